"""First guesses of several fluctuators from a coarse view of a trace, where many a start can be tried.

One fluctuator more at a time often ends in sums of steps instead of the steps. Means over blocks bring slow ones out of
the noise, and are so few that the climb is begun from many ratios of steps; the likelihood of the means decides.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from memprog.analysis.noise.climbing import climb
from memprog.analysis.noise.model import Likelihood, Look
from memprog.chip import FloatArray

_BLOCKS = (1, 4, 16, 64)
"""Samples that are averaged."""
_FEWEST, _MOST = 200, 1000
"""Blocks that are worth looking at, and that are looked at."""
_SHARES = {
    2: ((0.55, 0.45), (0.65, 0.35), (0.8, 0.2)),
    3: ((0.5, 0.3, 0.2), (0.6, 0.25, 0.15), (0.45, 0.35, 0.2), (0.4, 0.33, 0.27), (0.55, 0.35, 0.1), (0.7, 0.2, 0.1)),
}
"""Shares of the steps in what a trace spans."""
_ITERATIONS = 25
_RATE = 0.1
"""Rate a block from which all are begun."""


def coarse_starts(model: Likelihood) -> Iterator[FloatArray]:
    """Give the best start that each coarse view suggests, none where there is nothing coarse to look at."""
    for block in _BLOCKS:
        view = _view(model, block)
        if view is None:
            break
        best = max((climb(view, start, _ITERATIONS) for start in _starts(view)), key=lambda look: look.log_likelihood)
        yield _as_samples(best, block)


def _view(model: Likelihood, block: int) -> Likelihood | None:
    """Means over blocks as a trace of their own; the start of the trace where there are more than enough."""
    blocks = min(len(model.samples) // block, _MOST)
    if blocks < _FEWEST:
        return None
    samples = model.samples[: blocks * block].reshape(blocks, block).mean(axis=1)
    basis = model.basis[: blocks * block].reshape(blocks, block, -1).mean(axis=1)
    return Likelihood(samples, basis, model.shape.fluctuators)


def _starts(view: Likelihood) -> Iterator[FloatArray]:
    shape = view.shape
    low, high = np.percentile(view.samples, (1, 99))
    sigma = float(np.median(np.abs(np.diff(view.samples)))) / 0.6745 / np.sqrt(2.0)
    for shares in _SHARES[shape.fluctuators]:
        start = np.zeros(shape.size)
        start[shape.up] = start[shape.down] = np.log(_RATE)
        start[shape.step] = np.log(np.array(shares) * max(high - low, 1e-12))
        start[shape.drift.start] = low
        start[shape.sigma] = np.log(max(1.2 * sigma, 1e-12))
        yield start


def _as_samples(look: Look, block: int) -> FloatArray:
    """Turn parameters of blocks into those of samples."""
    shape, start = look.likelihood.shape, look.parameters.copy()
    start[shape.up] -= np.log(block)
    start[shape.down] -= np.log(block)
    start[shape.sigma] += 0.5 * np.log(block)
    return start
