"""What a figure of a paper shows, and where picture and numbers were written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprog.report.base import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureReport(Report):
    """One figure, drawn or only computed.

    ======================== ============= ====== ===================================================================
    field                    type          unit   meaning
    ======================== ============= ====== ===================================================================
    figure                   str           -      fig2, fig3, fig4 or figS14
    seed                     int or null   -      what random maps were drawn from; null where there are none
    paths                    object        -      files written: picture (null without one), numbers (.csv: every
                                                  column that is drawn, units in the names, empty where there is
                                                  nothing), facts (.json: the facts below)
    facts                    object        -      what the figure shows, in numbers: for each figure the keys that
                                                  ``facts`` gives in its module of memprog.report.figures, units in
                                                  the names; null where there is none
    ======================== ============= ====== ===================================================================
    """

    figure: str
    seed: int | None
    paths: Mapping[str, str | Path | None]
    facts: Mapping[str, Any]
