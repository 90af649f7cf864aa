"""The forward and backward sweep sample by sample, compiled; needs the extra ``accel``."""

from __future__ import annotations

import numba
import numpy as np

from memprog.chip import FloatArray


@numba.njit(cache=True)
def sweep(first_weights: FloatArray, step_weights: FloatArray) -> tuple[float, FloatArray]:
    """Give what ``chain.smooth`` gives: log-likelihood and pairs (samples - 1, states, states)."""
    steps, states, _ = step_weights.shape
    forward = np.empty((steps + 1, states))
    total = first_weights.sum()
    forward[0] = first_weights / total
    log_likelihood = np.log(total)
    for at in range(steps):
        total = 0.0
        for to in range(states):
            weight = 0.0
            for origin in range(states):
                weight += forward[at, origin] * step_weights[at, origin, to]
            forward[at + 1, to] = weight
            total += weight
        for to in range(states):
            forward[at + 1, to] /= total
        log_likelihood += np.log(total)
    pairs = np.empty((steps, states, states))
    backward, before = np.full(states, 1.0 / states), np.empty(states)
    for at in range(steps - 1, -1, -1):
        whole, total = 0.0, 0.0
        for origin in range(states):
            before[origin] = 0.0
            for to in range(states):
                share = step_weights[at, origin, to] * backward[to]
                before[origin] += share
                pairs[at, origin, to] = forward[at, origin] * share
                whole += pairs[at, origin, to]
            total += before[origin]
        pairs[at] /= whole
        for origin in range(states):
            backward[origin] = before[origin] / total
    return log_likelihood, pairs
