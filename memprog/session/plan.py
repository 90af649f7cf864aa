"""Grouping of reads: which cells of a row are sensed at the same time without overloading its line."""

from __future__ import annotations

import numpy as np

from memprog.chip import Capabilities, Cells, ChipGeometry, FloatArray, IntArray
from memprog.profile import ChipProfile

MARGIN = 0.93
"""Share of the row current limit that planning uses; the rest is for cells that are not what they were."""
UNKNOWN_FACTOR = 1.3
"""A cell never read may conduct this much more than the top level (assumption)."""
GROWTH_FACTOR = 1.15
"""A pulse may leave a cell this much above both its last readback and its target (assumption)."""


def read_currents_a(
    readback_usiemens: FloatArray, target_usiemens: FloatArray, profile: ChipProfile, read_v: float | None = None
) -> FloatArray:
    """Give the current (n,) that cells may draw when they are read, on the careful side.

    Args:
        readback_usiemens: (n,) what they were last seen to conduct, NaN where that is not known.
        target_usiemens: (n,) what they are about to become, NaN where nobody said.
        profile: of the chip.
        read_v: at which they are read; by default the profile's.
    """
    # Noise may show a cell that does not conduct below nothing.
    known = np.fmax(np.fmax(readback_usiemens, target_usiemens), 0.0) * GROWTH_FACTOR
    unknown = UNKNOWN_FACTOR * profile.levels.max_usiemens
    careful: FloatArray = np.where(np.isnan(readback_usiemens), unknown, known) * 1e-6
    return careful * (profile.readout.read_v if read_v is None else read_v)


def most_read_a(profile: ChipProfile) -> float:
    """Give the most that any one cell is expected to draw: never read, or seen at the end of the converter's range."""
    extremes_usiemens = np.array([np.nan, profile.readout.full_scale_usiemens])
    return float(read_currents_a(extremes_usiemens, np.full(2, np.nan), profile).max())


def read_groups(cells: Cells, expected_a: FloatArray, geometry: ChipGeometry, capabilities: Capabilities) -> IntArray:
    """Number the groups (n,) of cells that may be sensed at once: one row each, under its current limit.

    Args:
        cells: n cells, each once.
        expected_a: current each is expected to draw.
        geometry: of the chip.
        capabilities: row current limit and number of converters.
    """
    line = cells.array * geometry.rows + cells.row
    rows, row_of = np.unique(line, return_inverse=True)
    place = _places(row_of, cells.column)
    current = np.zeros((len(rows), int(place.max(initial=0)) + 1))
    present = np.zeros(current.shape, dtype=bool)
    current[row_of, place] = expected_a
    present[row_of, place] = True
    turn = _turns(current, present, MARGIN * capabilities.row_current_max_a, capabilities.parallel_cells)
    groups: IntArray = np.unique(row_of * geometry.columns + turn[row_of, place], return_inverse=True)[1]
    return groups


def _places(row_of: IntArray, column: IntArray) -> IntArray:
    """Number the cells of each row from 0 on, by column."""
    order = np.lexsort((column, row_of))
    counts = np.bincount(row_of)
    place = np.empty(len(row_of), dtype=np.int64)
    place[order] = np.arange(len(row_of)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place


def _turns(current: FloatArray, present: np.ndarray, limit_a: float, parallel: int) -> IntArray:
    """Walk along all rows at once; where the next cell would be too much, a new turn begins."""
    rows, places = current.shape
    drawn, members = np.zeros(rows), np.zeros(rows, dtype=np.int64)
    turn = np.zeros((rows, places), dtype=np.int64)
    now = np.zeros(rows, dtype=np.int64)
    for place in range(places):
        here = present[:, place]
        full = here & ((drawn + current[:, place] > limit_a) | (members >= parallel))
        now += full
        drawn = np.where(full, 0.0, drawn) + current[:, place]
        members = np.where(full, 0, members) + here
        turn[:, place] = now
    return turn
