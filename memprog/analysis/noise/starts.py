"""First guesses of fluctuators, from which the likelihood is climbed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from memprog.chip import FloatArray

_SPANS = (1, 4, 16, 64, 256, 1024)
"""Samples over which is averaged to find a step that noise hides."""
_JUMP = 5.0
"""Differences of neighbouring samples this far above their noise are steps."""
_STEADY = 4
"""Samples that a level must last for its mean to count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A fluctuator that a trace suggests: rates per sample, its step, and the level below it."""

    up: float
    down: float
    step: float
    lower: float


def by_threshold(residual: FloatArray) -> Iterator[Guess]:
    """Cut what is left over in two, after averaging over shorter and longer spans."""
    for span in _SPANS:
        if span * 8 > len(residual):
            break
        smooth = np.convolve(residual, np.full(span, 1.0 / span), mode="valid")
        low, high = np.percentile(smooth, (1, 99))
        for cut in (_two_means(smooth), float(low + high) / 2.0):
            guess = _cut(smooth, cut, span)
            if guess is not None:
                yield guess


def by_jumps(samples: FloatArray, count: int) -> Iterator[tuple[list[Guess], float]]:
    """Sort the jumps of a trace by size into a number of fluctuators; each time with the noise.

    Finds steps well above the noise, also where several fluctuators add up to levels without order. Which of the sums
    is the lowest level seen is not known: one guess for every possibility.
    """
    differences = np.diff(samples)
    sigma = float(np.median(np.abs(differences)) / 0.6745 / np.sqrt(2.0))
    large = np.abs(differences) > _JUMP * np.sqrt(2.0) * sigma
    if sigma <= 0.0 or not large.any() or large.mean() > 0.3:
        return
    edges = np.concatenate([[0], np.flatnonzero(large) + 1, [len(samples)]])
    lengths = np.diff(edges)
    steady = lengths >= _STEADY
    means = (np.add.reduceat(samples, edges[:-1]) / lengths)[steady]
    sizes = np.sort(np.abs(np.diff(means)))
    sizes = sizes[sizes > _JUMP * sigma]
    if len(sizes) < 2 * count:
        return
    even = np.asarray(np.percentile(sizes, (np.arange(count) + 0.5) / count * 100.0))
    wide = sizes[0] + (sizes[int(0.98 * len(sizes))] - sizes[0]) * (np.arange(count) + 0.5) / count
    for first, on in itertools.product((even, wide), itertools.product((0, 1), repeat=count)):
        centres = _clusters(sizes, first)
        nearest = np.abs(sizes[:, None] - centres).argmin(axis=1)
        rates = np.maximum(np.bincount(nearest, minlength=count), 1) / len(samples)
        lower = float(means.min() - np.dot(on, centres))
        guesses = [Guess(up=rate, down=rate, step=size, lower=lower) for rate, size in zip(rates, centres, strict=True)]
        yield guesses, sigma


def _clusters(sizes: FloatArray, centres: FloatArray) -> FloatArray:
    """Middles of clusters: centres that move to the median of the sizes nearest to them."""
    for _ in range(20):
        nearest = np.abs(sizes[:, None] - centres).argmin(axis=1)
        centres = np.array(
            [np.median(sizes[nearest == k]) if (nearest == k).any() else was for k, was in enumerate(centres)]
        )
    return centres


def _two_means(values: FloatArray) -> float:
    """Threshold between two clusters."""
    cut = float(values.mean())
    for _ in range(12):
        high = values > cut
        if high.all() or not high.any():
            break
        cut = float((values[high].mean() + values[~high].mean()) / 2.0)
    return cut


def _cut(smooth: FloatArray, cut: float, span: int) -> Guess | None:
    """Rates, step and lower level that a threshold suggests; nothing where it is never crossed."""
    high = smooth > cut
    ups = int((high[1:] & ~high[:-1]).sum())
    if not ups or high.all():
        return None
    lower, upper = float(smooth[~high].mean()), float(smooth[high].mean())
    up, down = ups / max(int((~high).sum()), 1), ups / max(int(high.sum()), 1)
    return Guess(up=min(up, 1.0 / span), down=min(down, 1.0 / span), step=upper - lower, lower=lower)
