"""What was done to chips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprog.report.base import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsReport(Report):
    """The runs in one journal, newest first.

    ======== ==== ====================================================================================================
    field    type meaning
    ======== ==== ====================================================================================================
    journal  str  its file
    runs     list objects: run_id, kind (program, restore, pulse or characterise), chip (serial), former_chip (bool:
                  what is there since is an older copy), state (running, stopped, finished, superseded), utc, ended_utc,
                  memprog_version, argv, configuration (of every setting its value and origin, empty for a run that
                  Python asked for), settings (limits included), image_sha256, profile, profile_sha256, arrays
                  (their numbers), restores (run_id or null); and, null while unknown: cells, cells_done,
                  pulses_total, resumes, verified_utc, cells_in_window, passed (of the verify that followed)
    ======== ==== ====================================================================================================
    """

    journal: str | Path
    runs: Sequence[Mapping[str, Any]]
