"""The sister chip's product: a 128 x 128 Fourier matrix in 8-bit cells, multiplied on the simulated chip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from memprog.chip import FloatArray
from memprog.jobs.physics_check.chips import make, small
from memprog.jobs.physics_check.rows import Fact, Kind
from memprog.profile import ChipProfile
from memprog.report.check import CheckRow
from memprog.simchip import SimChip
from memprog.simchip.placing import place

GROUP = "mx100"
PROFILE = "mx100-8bit"
SIZE = 128
"""Inputs and outputs of the published product."""
VECTORS = 64
"""Random inputs to correct the columns by, and as many others to compare."""

FOURIER = Fact(
    name="fourier_rmse",
    fact="error of a product with the 128 x 128 Fourier matrix, rms over that of the exact product",
    unit="%",
    published=6.40,
    band=(3.2, 12.8),
    reason="within a factor of two: wires, converter range and how the cells were programmed are not published here; "
    "over the rms of the exact product is our reading of RMSE",
    kind=Kind.PREDICTED,
    source="Sci. Adv. 2025, adv3436 (MX100): 128 x 128 DFT matrix on chip, RMSE 6.40 %",
    held=f"{PROFILE}; real and imaginary part in one array each, pairs of cells put on 256 levels within half a level, "
    "none stuck, fluctuators not denoised; 64 random 8-bit inputs; gain and offset of columns corrected by 64 others",
)


def rows(seed: int, folder: Path) -> Iterator[CheckRow]:
    """Put both parts of the matrix on a chip, multiply random vectors, and compare with exact products."""
    yield FOURIER.row(GROUP, 100.0 * fourier_rmse(seed, folder))


def fourier_rmse(seed: int, folder: Path) -> float:
    """Rms error of the product over the rms of the exact one."""
    profile = small(PROFILE, rows=SIZE, columns=2 * SIZE, arrays=2)
    chip = make(folder, profile, seed=seed, name=GROUP)
    rng = np.random.default_rng([seed, 5])
    most_v = profile.readout.read_v
    row_v = rng.uniform(-most_v, most_v, (2 * VECTORS, SIZE))
    angle = 2.0 * np.pi * np.outer(np.arange(SIZE), np.arange(SIZE)) / SIZE
    exact, found = [], []
    for array, matrix in enumerate((np.cos(angle), -np.sin(angle))):
        _program(chip, profile, array, matrix, rng)
        exact.append(row_v @ matrix)
        found.append(_multiplied(chip, profile, array, row_v))
    wanted, seen = np.concatenate(exact, axis=1), np.concatenate(found, axis=1)
    left = corrected(seen, wanted)[VECTORS:] - wanted[VECTORS:]
    return float(np.sqrt((left**2).mean() / (wanted[VECTORS:] ** 2).mean()))


def corrected(seen: FloatArray, wanted: FloatArray) -> FloatArray:
    """Take gain and offset of each column out of products (2 n, columns), as the first n of them show them."""
    half = len(seen) // 2
    x, y = seen[:half], wanted[:half]
    off_x, off_y = x - x.mean(axis=0), y - y.mean(axis=0)
    scatter = (off_x**2).sum(axis=0)
    # A column that is nothing but zero (the sine of nothing) has no gain.
    gain = np.where(scatter > 0, (off_x * off_y).sum(axis=0) / np.where(scatter > 0, scatter, 1.0), 0.0)
    return np.asarray((seen - x.mean(axis=0)) * gain + y.mean(axis=0))


def _program(chip: SimChip, profile: ChipProfile, array: int, matrix: FloatArray, rng: np.random.Generator) -> None:
    """Put a matrix of -1 to 1 into pairs of neighbouring columns, each cell within its level's window."""
    levels = profile.levels
    middle = 0.5 * (levels.count - 1)
    pairs = np.stack([middle * (1.0 + matrix), middle * (1.0 - matrix)], axis=-1).ravel()
    error = rng.uniform(-levels.window_usiemens, levels.window_usiemens, pairs.size)
    place(chip, array, levels.min_usiemens + np.rint(pairs) * levels.spacing_usiemens + error, quiet=False)


def _multiplied(chip: SimChip, profile: ChipProfile, array: int, row_v: FloatArray) -> FloatArray:
    """Differences (batch, outputs) of the currents of each pair, A."""
    product = chip.multiply(array, row_v, np.arange(SIZE), profile.readout.read_gate_v)
    current_a = product.current_a - product.offset_a
    return np.asarray(current_a[:, 0::2] - current_a[:, 1::2])
