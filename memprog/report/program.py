"""What one run of the closed loop did to a chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memprog.report.base import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramReport(Report):
    """One programming run; "done" is what the loop says, the verify inside it is by fresh reads.

    ======================== ============== ======== ================================================================
    field                    type           unit     meaning, denominator
    ======================== ============== ======== ================================================================
    kind                     str            -        program, or restore
    restores                 str or null    -        of a restore, the run whose snapshot is brought back
    run_id                   str            -        names the run in the journal; empty for a dry run
    simulated                bool           -        True when no silicon was involved
    chip                     object         -        maker, model, serial, firmware, as the chip itself told
    profile                  str            -        name of the profile
    profile_sha256           str            -        hash of every value in it
    image_sha256             str            -        hash of the image file
    utc                      str            -        start of the run, ISO 8601
    argv                     list of str    -        the command line
    denoise                  bool           -        False with --no-denoise
    dry_run                  bool           -        True: nothing was sent that changes the chip; all counts are plans
    resumed                  bool           -        True when the run took up an earlier, unfinished one
    resumes                  int            times    it was taken up, this time included
    limits                   object         -        what every pulse was checked against, units in the names
    defects_by_reason        object         cells    reason -> number of ``cells`` that were not tried: found defective
                                                     by the board check, or known to be stuck; part of failed_by_reason
    cells                    int            cells    that were to be programmed, stuck ones included
    cells_done               int            cells    of ``cells``, confirmed by the loop
    cells_failed             int            cells    of ``cells``, given up with a reason
    failed_by_reason         object         cells    reason -> number of cells; they sum up to cells_failed
    yield_fraction           float          1        cells_done / cells
    min_yield                float          1        least yield that passes
    passed                   bool           -        the verify's passed where there is one, else yield_fraction >=
                                                     min_yield; True for a dry run; False is exit code 1
    pulses_total             int            pulses   all kinds, over all cells
    pulses_per_cell_mean     float          pulses   pulses_total / cells
    pulses_per_cell_p99      float          pulses   99th percentile over ``cells``
    samples_per_cell_mean    float          samples  current samples taken / cells
    denoise_pulses_total     int            pulses   of pulses_total, below the switching threshold
    rounds                   int            rounds   of decide, pulse, read; summed over the arrays
    chip_time_s              float          s        by the chip's clock, verify not included
    host_time_s              float          s        by the host's clock, of this invocation, verify not included
    arrays                   list           -        objects: array, cells, cells_done, cells_failed, rounds,
                                                     pulses_total, chip_time_s
    verify                   object or null -        a verify report, null with --no-verify and for a dry run
    ======================== ============== ======== ================================================================
    """

    kind: str
    restores: str | None
    run_id: str
    simulated: bool
    chip: Mapping[str, Any]
    profile: str
    profile_sha256: str
    image_sha256: str
    utc: str
    argv: Sequence[str]
    denoise: bool
    dry_run: bool
    resumed: bool
    resumes: int
    limits: Mapping[str, Any]
    defects_by_reason: Mapping[str, int]
    cells: int
    cells_done: int
    cells_failed: int
    failed_by_reason: Mapping[str, int]
    yield_fraction: float
    min_yield: float
    passed: bool
    pulses_total: int
    pulses_per_cell_mean: float
    pulses_per_cell_p99: float
    samples_per_cell_mean: float
    denoise_pulses_total: int
    rounds: int
    chip_time_s: float
    host_time_s: float
    arrays: Sequence[Mapping[str, Any]]
    verify: Mapping[str, Any] | None
