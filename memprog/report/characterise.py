"""What was measured to find out how cells of a chip behave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprog.report.base import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class CharacteriseReport(Report):
    """One characterisation: what was planned, what was given, and which files hold what was measured.

    ================ ============= ====== ===========================================================================
    field            type          unit   meaning, denominator
    ================ ============= ====== ===========================================================================
    run_id           str           -      names the run in the journal; empty for a dry run
    simulated        bool          -      True when no silicon was involved
    chip             object        -      maker, model, serial, firmware, as the chip itself told
    profile          str           -      name of the profile
    profile_sha256   str           -      hash of every value in it
    utc              str           -      start of the run, ISO 8601
    argv             list of str   -      the command line
    dry_run          bool          -      True: nothing was sent that changes the chip
    limits           object        -      what every pulse was checked against, units in the names
    array            int           -      number of the array
    cells            int           cells  that were chosen
    places           list          -      row and column of each of ``cells``
    plan             list          -      objects, in order: stage, pulses and readings (alone) of each cell
    pulses_planned   int           pulses over all ``cells``
    pulses_total     int           pulses given; fewer than planned where cells came to conduct too much for a pulse
    pulses_per_cell  int           pulses planned for each cell
    events           int           -      lines of pulses.csv: readings and pulses
    path             str           -      folder of the files
    files            list          -      objects: name, bytes, sha256; empty for a dry run
    chip_time_s      float         s      by the chip's clock
    host_time_s      float         s      by the host's clock
    ================ ============= ====== ===========================================================================
    """

    run_id: str
    simulated: bool
    chip: Mapping[str, Any]
    profile: str
    profile_sha256: str
    utc: str
    argv: Sequence[str]
    dry_run: bool
    limits: Mapping[str, Any]
    array: int
    cells: int
    places: Sequence[Sequence[int]]
    plan: Sequence[Mapping[str, Any]]
    pulses_planned: int
    pulses_total: int
    pulses_per_cell: int
    events: int
    path: str | Path
    files: Sequence[Mapping[str, Any]]
    chip_time_s: float
    host_time_s: float
