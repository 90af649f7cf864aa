"""Cells of one array, wherever they lie: what the verbs that measure are about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from memprog.chip import Mask
from memprog.errors import InputError
from memprog.jobs.setup import cells_mask, region_mask
from memprog.profile import ChipProfile

Region = tuple[int, int, int, int]


def chosen_mask(kind: ChipProfile, region: Region | None, cells: Sequence[tuple[int, int]] | None) -> Mask:
    """Mask (rows, columns) of a region (r0, r1, c0, c1; half-open) or of (row, column) pairs; all without either.

    Raises:
        InputError: a place that an array does not have, or both ways at once.
    """
    if region is not None and cells is not None:
        raise InputError("cells are named by a region or one by one: region and cells exclude each other")
    rows, columns = kind.geometry.rows, kind.geometry.columns
    if region is not None:
        return region_mask(region, rows, columns)
    if cells is not None:
        return cells_mask(cells, rows, columns)
    return np.ones((rows, columns), dtype=bool)


def spread_mask(kind: ChipProfile, count: int) -> Mask:
    """Mask of so many cells, or all there are, spread evenly: the middles of equal parts of the array, row by row.

    Raises:
        InputError: less than one.
    """
    if count < 1:
        raise InputError(f"{count} cells asked for; at least one is needed")
    rows, columns = kind.geometry.rows, kind.geometry.columns
    down = min(rows, max(1, round((count * rows / columns) ** 0.5)))
    down = max(down, -(-min(count, rows * columns) // columns))
    across = min(columns, -(-count // down))
    row = ((np.arange(down) + 0.5) * rows / down).astype(int)
    column = ((np.arange(across) + 0.5) * columns / across).astype(int)
    chosen = np.stack(np.meshgrid(row, column, indexing="ij"), axis=-1).reshape(-1, 2)[:count]
    mask = np.zeros((rows, columns), dtype=bool)
    mask[chosen[:, 0], chosen[:, 1]] = True
    return mask
