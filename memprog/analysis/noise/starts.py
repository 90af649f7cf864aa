"""First guesses of fluctuators, from which the likelihood is climbed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from memprog.chip import FloatArray, Mask

_SPANS = (1, 4, 16, 64, 256, 1024)
"""Samples over which is averaged to find a step that noise hides."""
_JUMP = 5.0
"""Differences of neighbouring samples this far above their noise are steps."""
_STEADY = 4
"""Samples that a level must last for its mean to count."""
_MOST_SINGLE, _RESTLESS = 2000, 0.3
"""Samples that are looked at one by one, and the least share of jumps between them at which they are."""
_MOST_JUMPS, _MOST_PEAKS, _BEST_LEVELS = 1000, 6, 6
"""Jumps that are looked at, sizes that are taken from them, sets of levels that are given."""


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
    """Take the steps that jumps between steady levels suggest, a number of them at a time; each time with the noise.

    Finds steps well above the noise, also where several fluctuators add up to levels without order. Which of the sums
    is the lowest level seen is not known: every possibility is tried, and those that fit the levels best are given.
    """
    for steady in (_steady_levels(samples), _single_samples(samples)):
        if steady is not None:
            yield from _by_levels(steady, count)


def _by_levels(steady: _Steady, count: int) -> Iterator[tuple[list[Guess], float]]:
    sizes = np.abs(np.diff(steady.means))
    errors = steady.sigma * np.sqrt(1.0 / steady.lengths[1:] + 1.0 / steady.lengths[:-1])
    jumps = steady.close & (sizes > _JUMP * steady.sigma)
    if jumps.sum() < 2 * count:
        return
    on = np.array(list(itertools.product((0, 1), repeat=count)), dtype=np.float64)
    found: list[tuple[float, list[Guess]]] = []
    for steps in itertools.combinations(_peaks(sizes[jumps], errors[jumps]), count):
        for seen in on:
            lower = float(steady.means.min() - seen @ steps)
            found.append(_weigh_levels(steady, lower, np.array(steps), on))
    for _, guesses in sorted(found, key=lambda one: one[0])[:_BEST_LEVELS]:
        yield guesses, steady.sigma


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steady:
    """Stretches without a jump: means and lengths (m,), whether each next one follows closely (m - 1,), the noise."""

    means: FloatArray
    lengths: FloatArray
    close: Mask
    sigma: float


def _steady_levels(samples: FloatArray) -> _Steady | None:
    """Cut a trace at its jumps; nothing where there are none, or too many to be jumps."""
    differences = np.diff(samples)
    sigma = float(np.median(np.abs(differences)) / 0.6745 / np.sqrt(2.0))
    # From the sample before to the one after: a switching may take a sample.
    moving = np.abs(samples[2:] - samples[:-2]) > _JUMP * np.sqrt(2.0) * sigma
    if sigma <= 0.0 or not moving.any() or moving.mean() > 0.6:
        return None
    edges = np.flatnonzero(np.diff(np.concatenate([[1], moving, [1]]).astype(np.int8)))
    starts, ends = edges[::2] + 1, edges[1::2] + 1
    long = ends - starts >= _STEADY
    starts, ends = starts[long], ends[long]
    if len(starts) < 3:
        return None
    total = np.concatenate([[0.0], samples.cumsum()])
    lengths = (ends - starts).astype(np.float64)
    return _Steady(
        means=(total[ends] - total[starts]) / lengths, lengths=lengths, close=starts[1:] - ends[:-1] <= 4, sigma=sigma
    )


def _single_samples(samples: FloatArray) -> _Steady | None:
    """Take every sample for a level of its own where levels last for little more; nothing where they last longer.

    That three in ten neighbours lie at one level is an assumption; it enters the estimate of the noise.
    """
    some = samples[:_MOST_SINGLE]
    sizes = np.abs(np.diff(some))
    sigma = float(np.quantile(sizes, 0.1)) / (0.43 * np.sqrt(2.0))
    if sigma <= 0.0 or (sizes > _JUMP * np.sqrt(2.0) * sigma).mean() < _RESTLESS:
        return None
    return _Steady(means=some, lengths=np.ones(len(some)), close=np.ones(len(some) - 1, dtype=bool), sigma=sigma)


def _peaks(sizes: FloatArray, errors: FloatArray) -> FloatArray:
    """Sizes around which most jumps lie, the most frequent first; each jump as wide as its error."""
    order = np.argsort(errors)[:_MOST_JUMPS]
    sizes, errors = sizes[order], np.hypot(errors[order], 0.05 * errors.max())
    grid = np.linspace(sizes.min(), sizes.max(), 500)
    density = (np.exp(-0.5 * ((grid[:, None] - sizes) / errors) ** 2) / errors).sum(axis=1)
    inner = np.concatenate([[-np.inf], density, [-np.inf]])
    tops = np.flatnonzero((inner[1:-1] >= inner[:-2]) & (inner[1:-1] > inner[2:]))
    return np.asarray(grid[tops[np.argsort(-density[tops])][:_MOST_PEAKS]])


def _weigh_levels(steady: _Steady, lower: float, steps: FloatArray, on: FloatArray) -> tuple[float, list[Guess]]:
    """Tell how badly levels fit the steady ones, and the rates they suggest."""
    for _ in range(3):
        high = on[np.abs(steady.means[:, None] - (lower + on @ steps)).argmin(axis=1)]
        near = np.abs(steady.means - lower - high @ steps) < 3.0 * steady.sigma
        terms = np.column_stack([np.ones(len(high)), high])[near] * np.sqrt(steady.lengths[near, None])
        better, _, rank, _ = np.linalg.lstsq(terms, steady.means[near] * np.sqrt(steady.lengths[near]), rcond=None)
        if rank <= len(steps) or better[1:].min() <= 0.0:
            break
        lower, steps = float(better[0]), better[1:]
    off = steady.means[:, None] - (lower + on @ steps)
    nearest = np.abs(off).argmin(axis=1)
    # A third of the noise is left for drift and hum.
    missed = np.abs(off).min(axis=1) / np.hypot(steady.sigma / np.sqrt(steady.lengths), steady.sigma / 3.0)
    high = on[nearest]
    up_time = steady.lengths @ high
    switched = np.maximum(np.abs(np.diff(high, axis=0)).sum(axis=0) / 2.0, 0.5)
    guesses = [
        Guess(
            up=min(float(switched[k] / max(steady.lengths.sum() - up_time[k], 1.0)), 1.0),
            down=min(float(switched[k] / max(up_time[k], 1.0)), 1.0),
            step=float(steps[k]),
            lower=lower,
        )
        for k in range(len(steps))
    ]
    # Two fluctuators seldom switch at once.
    together = np.maximum(np.abs(np.diff(high, axis=0)).sum(axis=1) - 1.0, 0.0)[steady.close].sum()
    return float(np.minimum(missed, 4.0) @ np.minimum(missed, 4.0) + 8.0 * together), guesses


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
