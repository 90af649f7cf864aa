"""What lies in a workspace, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprog.report.base import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport(Report):
    """One look at a workspace; nothing is opened for writing.

    ======================== ============== =========================================================================
    field                    type           meaning
    ======================== ============== =========================================================================
    workspace                str            its folder
    image                    object or null path, sha256, profile, layers (int), cells (int)
    chip                     object or null path, serial, profile, simulated, blank (bool: never pulsed)
    runs                     list           objects: run_id, kind, chip, utc, state, image_sha256, cells, cells_done,
                                            arrays and arrays_finished (int), pulses_total so far; the newest 20,
                                            newest first
    next_step                str            one sentence for the user
    ======================== ============== =========================================================================
    """

    workspace: str | Path
    image: Mapping[str, Any] | None
    chip: Mapping[str, Any] | None
    runs: Sequence[Mapping[str, Any]]
    next_step: str
