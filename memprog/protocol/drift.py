"""Relaxation as the readings show it: a cell loses a share of the way it has come, evenly over the logarithm of time.

One share is learned from all cells together; each cell's own rate starts from it and is corrected by a straight line
through its looks. Conductances are in uS, rates in uS an e-fold of time.
"""

from __future__ import annotations

import numpy as np

from memprog.chip import FloatArray, IntArray, Mask

YOUNGEST_S = 0.1
"""A cell counts as at least this old; what relaxes sooner is over before the next look."""
LARGEST_USIEMENS = 5.0
"""No relaxation beyond this is believed."""
RATE_SPREAD = 0.6
"""Spread of the rate from cell to cell, relative to the expected (assumption)."""
LEAST_RATE_USIEMENS = 0.02
"""Rate of a cell that came from nowhere is known no better than this (assumption)."""
LOOK_USIEMENS = 0.2
"""How well one long look tells where a cell is, low-frequency noise included (assumption)."""


class Drift:
    """Beliefs about n cells, and the line through the looks at each since its last pulse."""

    def __init__(self, cells: int) -> None:
        self.share = 0.0
        self._start_s = np.full(cells, np.nan)
        self._looks, self._mean_age, self._mean = np.zeros(cells), np.zeros(cells), np.zeros(cells)
        # Centred sums add up over pulses, which move a cell but not the rate at which it relaxes.
        self._ages, self._slope = np.zeros(cells), np.zeros(cells)

    def disturb(self, at: IntArray, now_s: float, far: Mask | None = None) -> None:
        """Note a pulse: the line starts anew; where the pulse went far, so does relaxation."""
        self._looks[at] = 0.0
        start = np.isnan(self._start_s[at])
        if far is not None:
            start |= far
        self._start_s[at[start]] = now_s
        self._ages[at[start]] = self._slope[at[start]] = 0.0

    def note(self, at: IntArray, conductance: FloatArray, now_s: float) -> None:
        """Take one more long look into the lines."""
        self._start_s[at] = np.where(np.isnan(self._start_s[at]), now_s, self._start_s[at])
        fresh = self._looks[at] == 0
        self._mean_age[at[fresh]] = self._mean[at[fresh]] = 0.0
        self._looks[at] += 1.0
        age = self._age(at, now_s)
        off_age, off = age - self._mean_age[at], conductance - self._mean[at]
        self._mean_age[at] += off_age / self._looks[at]
        self._mean[at] += off / self._looks[at]
        # A line's first look tells of no slope.
        off_age[fresh] = 0.0
        self._ages[at] += off_age * (age - self._mean_age[at])
        self._slope[at] += np.where(fresh, 0.0, off_age * (conductance - self._mean[at]))

    def learn_share(self, at: IntArray, travel: FloatArray) -> None:
        """Fit the share to all cells; travel (n,) is how far each has come, uS."""
        seen = np.isfinite(travel) & (np.abs(self._slope[at]) < LARGEST_USIEMENS * np.maximum(self._ages[at], 1e-9))
        way, ages = travel[seen], self._ages[at[seen]]
        # np.sum, not a BLAS product: its order of adding does not depend on how many threads there are.
        weight = float(np.sum(way * way * ages))
        if weight > 0:
            self.share = float(np.sum(way * self._slope[at[seen]])) / weight

    def rate(self, at: IntArray, travel: FloatArray) -> FloatArray:
        """What each cell is believed to change an e-fold of time."""
        expected = np.where(np.isfinite(travel), self.share * travel, 0.0)
        trust = 1.0 / ((RATE_SPREAD * expected) ** 2 + LEAST_RATE_USIEMENS**2)
        told = self._ages[at] / LOOK_USIEMENS**2
        rate: FloatArray = (expected * trust + self._slope[at] / LOOK_USIEMENS**2) / (trust + told)
        doubt = 3.0 / np.sqrt(trust)
        return np.clip(rate, expected - doubt, expected + doubt)

    def level(self, at: IntArray, now_s: float, travel: FloatArray) -> FloatArray:
        """Where each cell is now by the line through its looks; NaN where there was none since its last pulse."""
        line = self._mean[at] + self.rate(at, travel) * (self._age(at, now_s) - self._mean_age[at])
        return np.where(self._looks[at] > 0, line, np.nan)

    def ahead(self, at: IntArray, now_s: float, travel: FloatArray, seconds: float) -> FloatArray:
        """Change expected over the next seconds, uS."""
        folds = np.log1p(seconds * np.exp(-self._age(at, now_s)))
        change = self.rate(at, travel) * np.where(np.isfinite(folds), folds, 0.0)
        return np.clip(change, -LARGEST_USIEMENS, LARGEST_USIEMENS)

    def _age(self, at: IntArray, now_s: float) -> FloatArray:
        """Logarithm of the seconds since relaxation began."""
        age: FloatArray = np.log(np.maximum(now_s - self._start_s[at], YOUNGEST_S))
        return age
