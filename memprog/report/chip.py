"""What a chip is, and what a plain read of it brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprog.report.base import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReport(Report):
    """Conductances read from a chip into a file.

    ======================== ============= ====== ===================================================================
    field                    type          unit   meaning, denominator
    ======================== ============= ====== ===================================================================
    simulated                bool          -      True when no silicon was involved
    chip                     object        -      maker, model, serial, firmware, as the chip itself told
    path                     str           -      file written; conductances in uS, NaN where unread
    arrays                   list of int   -      numbers of the arrays read
    cells                    int           cells  asked for
    unread                   int           cells  of ``cells``, clamped, over range or not wired
    noise_median_usiemens    float or null uS     median over the cells read of a cell's deviation in time
    ======================== ============= ====== ===================================================================
    """

    simulated: bool
    chip: Mapping[str, Any]
    path: str | Path
    arrays: Sequence[int]
    cells: int
    unread: int
    noise_median_usiemens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipReport(Report):
    """One chip: who it is, what it can do, what it may bear.

    ======================== ============= ====== ===================================================================
    field                    type          unit   meaning
    ======================== ============= ====== ===================================================================
    simulated                bool          -      True when no silicon is involved
    chip                     object        -      maker, model, serial, firmware, as the chip itself told
    profile                  str           -      name of the profile
    profile_sha256           str           -      hash of every value in it
    geometry                 object        -      arrays, rows, columns
    capabilities             object        -      fields of memprog.chip.Capabilities, units in their names
    limits                   object        -      the profile's hard limits, units in their names
    pulses_total             int or null   pulses over the chip's life as the chip counts; null where it cannot tell
    pulses_recorded          int           pulses the same, as memprog's journals say
    pulses_per_cell_max      int           pulses of pulses_recorded, to the cell that had most
    defects_by_reason        object        cells  reason -> number of cells known to be defective
    defects                  list          -      objects: array, row, column, reason
    clock_s                  float         s      the chip's clock; only differences mean anything
    path                     str or null   -      file of a simulated chip; null for silicon
    ======================== ============= ====== ===================================================================
    """

    simulated: bool
    chip: Mapping[str, Any]
    profile: str
    profile_sha256: str
    geometry: Mapping[str, Any]
    capabilities: Mapping[str, Any]
    limits: Mapping[str, Any]
    pulses_total: int | None
    pulses_recorded: int
    pulses_per_cell_max: int
    defects_by_reason: Mapping[str, int]
    defects: Sequence[Mapping[str, Any]]
    clock_s: float
    path: str | Path | None
