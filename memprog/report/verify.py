"""What fresh reads of a programmed chip say about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memprog.report.base import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport(Report):
    """One comparison of a chip with its image, from reads of its own.

    ======================== ============= ========= ================================================================
    field                    type          unit      meaning, denominator
    ======================== ============= ========= ================================================================
    simulated                bool          -         True when no silicon was involved
    chip                     object        -         maker, model, serial, firmware, as the chip itself told
    profile                  str           -         name of the profile
    profile_sha256           str           -         hash of every value in it
    image_sha256             str           -         hash of the image file
    utc                      str           -         start of the reads, ISO 8601
    argv                     list of str   -         the command line
    limits                   object        -         what the session was bound by, units in the names
    cells                    int           cells     with a target in the image, stuck ones included
    cells_in_window          int           cells     of ``cells``, whose readings agree with being in the window
    cells_unread             int           cells     of ``cells``, clamped, over range or not wired; never in the window
    yield_fraction           float         1         cells_in_window / cells
    min_yield                float         1         least yield_fraction that passes
    passed                   bool          -         yield_fraction >= min_yield; False is exit code 1
    window_usiemens          float         uS        accepted abs(error)
    window_floor_usiemens    float         uS        smallest window this bench can certify
    error_mean_usiemens      float or null uS        mean of readback - target over the cells read
    error_std_usiemens       float or null uS        standard deviation of the same
    error_max_usiemens       float or null uS        largest abs(readback - target) of the same
    noise_median_usiemens    float or null uS        median over the cells read of a cell's deviation in time
    noise_p99_usiemens       float or null uS        99th percentile of the same
    noise_span_s             float         s         time over which a cell's samples were spread
    levels                   int           levels    the profile tells apart
    effective_bits           float or null bit       log2 of the levels that the measured errors leave distinguishable
    stuck_cells              int           cells     of ``cells``, known to be stuck
    fluctuating_cells        int           cells     of ``cells``, whose noise shows a fluctuator
    first_failures           list          -         objects: array, row, column, target_usiemens, readback_usiemens,
                                                     error_usiemens, noise_usiemens, reason; by array, row, column
    arrays                   list          -         objects: array, cells, cells_in_window, cells_unread,
                                                     yield_fraction (cells_in_window / cells of the array)
    ======================== ============= ========= ================================================================
    """

    simulated: bool
    chip: Mapping[str, Any]
    profile: str
    profile_sha256: str
    image_sha256: str
    utc: str
    argv: Sequence[str]
    limits: Mapping[str, Any]
    cells: int
    cells_in_window: int
    cells_unread: int
    yield_fraction: float
    min_yield: float
    passed: bool
    window_usiemens: float
    window_floor_usiemens: float
    error_mean_usiemens: float
    error_std_usiemens: float
    error_max_usiemens: float
    noise_median_usiemens: float
    noise_p99_usiemens: float
    noise_span_s: float
    levels: int
    effective_bits: float
    stuck_cells: int
    fluctuating_cells: int
    first_failures: Sequence[Mapping[str, Any]]
    arrays: Sequence[Mapping[str, Any]]
