"""The differential encoding: a weight as the difference of two conductances, w = scale (G+ - G-)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memprog.profile import Levels
from memprog.tensors import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """A matrix rounded to level differences.

    ``steps`` (outputs, inputs) is how many levels G+ stands above G-; one of the two is always at the lowest level.
    ``scale`` (outputs,) is weight per uS. ``clipped`` counts weights beyond the outermost level.
    """

    steps: NDArray[np.int64]
    scale: FloatArray
    clipped: int
    levels: Levels

    def positive_usiemens(self) -> NDArray[np.float32]:
        """Targets of G+, (outputs, inputs) in uS."""
        return _at_level(np.maximum(self.steps, 0), self.levels)

    def negative_usiemens(self) -> NDArray[np.float32]:
        """Targets of G-, (outputs, inputs) in uS."""
        return _at_level(np.maximum(-self.steps, 0), self.levels)

    def weights(self) -> FloatArray:
        """The matrix that conductances exactly at these targets stand for."""
        return self.steps * (self.scale * self.levels.spacing_usiemens)[:, np.newaxis]


def encode_pairs(matrix: FloatArray, levels: Levels) -> Pairs:
    """Round a matrix (outputs, inputs) to levels; the largest weight of each output reaches the highest level.

    An output of zeros gets scale 0, so that it comes back as zeros whatever its cells are.
    """
    scale = np.abs(matrix).max(axis=1) / (levels.max_usiemens - levels.min_usiemens)
    # Weights so small that their scale vanishes in float64 become zeros as well.
    weight_per_step = np.where(scale > 0, scale * levels.spacing_usiemens, np.inf)
    steps = np.rint(matrix / weight_per_step[:, np.newaxis])
    top = levels.count - 1
    clipped = int(np.count_nonzero(np.abs(steps) > top))
    return Pairs(steps=steps.clip(-top, top).astype(np.int64), scale=scale, clipped=clipped, levels=levels)


def _at_level(number: NDArray[np.int64], levels: Levels) -> NDArray[np.float32]:
    usiemens: NDArray[np.float32] = np.linspace(
        levels.min_usiemens, levels.max_usiemens, levels.count, dtype=np.float32
    )
    return usiemens[number]
