"""What a fit found out about one number of a profile, and how well: leave groups of cells out and see what changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from memprog.analysis.noise.result import Estimate
from memprog.chip import IntArray, Mask

GROUPS = 16
"""Groups of cells that are left out in turn."""
STUDENT_95 = 2.131
"""Half-width of a 95 % interval in standard errors, Student's t with 15 degrees of freedom."""
WIDEST = 0.5
"""An interval whose half-width is more than this share of the value tells too little to replace what is believed."""
FEWEST_CELLS = 8
"""Fewer cells say nothing of how cells differ (assumption)."""

Values = Mapping[str, float]
"""Numbers of a profile's ``simulation`` or ``readout`` section by key, such as ``switching_slope_v``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A number of a profile as measured: ``key`` is section.name, ``estimate`` has the 95 % interval."""

    key: str
    estimate: Estimate
    cells: int

    @property
    def is_told(self) -> bool:
        """Whether the interval is narrow enough to say something."""
        half = (self.estimate.high - self.estimate.low) / 2.0
        return bool(np.isfinite(half) and half <= WIDEST * abs(self.estimate.value))

    def moved(self, key: str, by: float) -> Found:
        """The same under another key, all of it higher by so much."""
        ends = self.estimate
        higher = Estimate(value=ends.value + by, low=ends.low + by, high=ends.high + by)
        return Found(key=key, estimate=higher, cells=self.cells)


def jackknife(
    fit: Callable[[Mask], Values], cell: IntArray, section: str = "simulation", whole: Values | None = None
) -> tuple[Found, ...]:
    """Fit all cells, then all but each group of cells, and give every number with its interval.

    Args:
        fit: gives numbers by key from the events a mask (n,) keeps.
        cell: (n,) which cell each event belongs to, counted from 0.
        section: of the profile, that the keys belong to.
        whole: what all cells together said, where it is known already.
    """
    values = fit(np.ones(len(cell), dtype=bool)) if whole is None else whole
    count = len(np.unique(cell))
    if not values or count < FEWEST_CELLS:
        return ()
    groups = min(GROUPS, count)
    left_out = [fit(cell % groups != group) for group in range(groups)]
    found = []
    for key, value in values.items():
        others = np.array([one.get(key, np.nan) for one in left_out])
        error = float(np.sqrt((groups - 1.0) / groups * ((others - others.mean()) ** 2).sum()))
        half = STUDENT_95 * error
        estimate = Estimate(value=value, low=max(value - half, 0.0), high=value + half)
        found.append(Found(key=f"{section}.{key}", estimate=estimate, cells=count))
    return tuple(found)
