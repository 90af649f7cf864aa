"""What was measured on cells without disturbing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprog.report.base import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class IvReport(Report):
    """One sweep of read voltages.

    ==================== ============= ========= ====================================================================
    field                type          unit      meaning, denominator
    ==================== ============= ========= ====================================================================
    simulated            bool          -         True when no silicon was involved
    chip                 object        -         maker, model, serial, firmware, as the chip itself told
    profile              str           -         name of the profile
    profile_sha256       str           -         hash of every value in it
    path                 str           -         the sweep, a CSV
    sha256               str           -         hash of it
    array                int           -         number of the array
    cells                int           cells     that were read
    read_v               list of float V         nominal read voltages, in order
    samples              int           samples   of each reading
    unread               int           readings  of ``cells`` x voltages, that gave no number
    rise_median          float or null 1         median over the cells of conductance at the last voltage over that at
                                                 the first, less one: how far from straight
    chip_time_s          float         s         by the chip's clock
    ==================== ============= ========= ====================================================================
    """

    simulated: bool
    chip: Mapping[str, Any]
    profile: str
    profile_sha256: str
    path: str | Path
    sha256: str
    array: int
    cells: int
    read_v: Sequence[float]
    samples: int
    unread: int
    rise_median: float
    chip_time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceReport(Report):
    """Traces of current over time.

    ====================== ============= ======= ====================================================================
    field                  type          unit    meaning, denominator
    ====================== ============= ======= ====================================================================
    simulated              bool          -       True when no silicon was involved
    chip                   object        -       maker, model, serial, firmware, as the chip itself told
    profile                str           -       name of the profile
    profile_sha256         str           -       hash of every value in it
    path                   str           -       the traces, a .npz
    sha256                 str           -       hash of it
    array                  int           -       number of the array
    cells                  int           cells   that were traced
    unread                 int           cells   of ``cells``, that gave no trace
    read_v                 float         V       nominal read voltage
    samples                int           samples of each cell
    interval_s             float         s       between two samples of a cell
    span_s                 float         s       from the first to the last sample of a cell
    noise_median_usiemens  float or null uS      median over the cells of the deviation of a sample, over the span
    chip_time_s            float         s       by the chip's clock
    ====================== ============= ======= ====================================================================
    """

    simulated: bool
    chip: Mapping[str, Any]
    profile: str
    profile_sha256: str
    path: str | Path
    sha256: str
    array: int
    cells: int
    unread: int
    read_v: float
    samples: int
    interval_s: float
    span_s: float
    noise_median_usiemens: float
    chip_time_s: float
