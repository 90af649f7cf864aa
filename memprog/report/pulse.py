"""What pulses of the operator's choice did to some cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprog.report.base import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseReport(Report):
    """One train of pulses, a reading before the first and after each.

    =============================== ============= ====== ============================================================
    field                           type          unit   meaning, denominator
    =============================== ============= ====== ============================================================
    run_id                          str           -      names the run in the journal; empty for a dry run
    simulated                       bool          -      True when no silicon was involved
    chip                            object        -      maker, model, serial, firmware, as the chip itself told
    profile                         str           -      name of the profile
    profile_sha256                  str           -      hash of every value in it
    utc                             str           -      start of the run, ISO 8601
    argv                            list of str   -      the command line
    dry_run                         bool          -      True: nothing was sent that changes the chip
    limits                          object        -      what every pulse was checked against, units in the names
    array                           int           -      number of the array
    cells                           int           cells  that were asked for
    bias_name                       str           -      SET, RESET, SUB_THRESHOLD or FORM
    amplitudes_v                    list of float V      asked for at the driver, in order; more than one is a ramp
    gate_v                          float         V      at the gate
    width_ns                        int           ns     of each pulse
    count                           int           pulses to each cell at each amplitude
    pulses_planned                  int           pulses over all ``cells``
    pulses_total                    int           pulses given, over all ``cells``
    cells_held_back                 int           cells  of ``cells``, that conducted too much for a later pulse
    cells_unread                    int           cells  of ``cells``, whose last reading gave no number
    readback_first_median_usiemens  float or null uS     median of the readings before the first pulse
    readback_last_median_usiemens   float or null uS     median of the last readings
    events                          int           -      lines of the log: readings and pulses
    path                            str or null   -      the log; null for a dry run
    sha256                          str or null   -      hash of it
    chip_time_s                     float         s      by the chip's clock
    host_time_s                     float         s      by the host's clock
    =============================== ============= ====== ============================================================
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
    bias_name: str
    amplitudes_v: Sequence[float]
    gate_v: float
    width_ns: int
    count: int
    pulses_planned: int
    pulses_total: int
    cells_held_back: int
    cells_unread: int
    readback_first_median_usiemens: float
    readback_last_median_usiemens: float
    events: int
    path: str | Path | None
    sha256: str | None
    chip_time_s: float
    host_time_s: float
