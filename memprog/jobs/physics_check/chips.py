"""Simulated chips for the comparison: a profile on as many cells as are needed, in a file of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from memprog.chip import Cells
from memprog.profile import ChipProfile, bundled_profile
from memprog.simchip import SimChip, create


def small(name: str, *, rows: int, columns: int, arrays: int = 1) -> ChipProfile:
    """A bundled profile with another number of cells, and nothing else changed."""
    full = bundled_profile(name)
    return dataclasses.replace(
        full, geometry=dataclasses.replace(full.geometry, arrays=arrays, rows=rows, columns=columns)
    )


def make(folder: Path, profile: ChipProfile, *, seed: int, name: str) -> SimChip:
    """Manufacture a chip with all its arrays and open it."""
    path = folder / f"{name}.sim"
    create(path, profile, seed=seed, arrays=profile.geometry.arrays)
    return SimChip(path, profile)


def every_cell(profile: ChipProfile, array: int = 0) -> Cells:
    """All cells of one array, row by row."""
    return Cells.from_mask(array, np.ones((profile.geometry.rows, profile.geometry.columns), dtype=bool))
