"""Log-likelihood and the parts of its gradient in one pass over the samples, compiled; needs the extra ``accel``."""

from __future__ import annotations

import math

import numba
import numpy as np

from memprog.analysis.noise.chain import FLOOR
from memprog.chip import FloatArray

_NEVER = 1e-20
"""Chance of a pair of states below which it adds nothing to a gradient."""
Parts = tuple[float, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


@numba.njit(cache=True, error_model="numpy")
def climb(
    rest: FloatArray,
    lift: FloatArray,
    gaps: FloatArray,
    noise: tuple[float, float],
    chances: FloatArray,
    settled: FloatArray,
) -> Parts:
    """Do what ``Look`` does, without arrays of all pairs.

    Args:
        rest: (n,) samples less the baseline.
        lift: (states,) level of each state above the baseline.
        gaps: (states, states) from the level of the first to that of the second where one fluctuator switches, else 0.
        noise: deviation of the white noise, and blur.
        chances: (states, states) of going from the first to the second in one sample.
        settled: (states,) chance of each where nothing is known.

    Returns:
        log-likelihood; expected counts of neighbouring samples (states, states); chances at the first sample
        (states,); derivatives by the level of each state (states,), by the baseline at each sample (n,), and by the
        logarithm of the noise and by blur (2,).
    """
    sigma, blur = noise
    plain, below = _densities(rest, lift, sigma, blur > 0.0)
    count, states = plain.shape
    pairs = np.empty((states, states))
    log_likelihood, forward = _forward(plain, below, gaps, blur, chances, settled)
    counts, by_level = np.zeros((states, states)), np.zeros(states)
    by_sample, by_noise = np.zeros(count), np.zeros(2)
    backward, straight = np.full(states, 1.0 / states), np.empty(states)
    for at in range(count - 1, 0, -1):
        _weigh(pairs, chances, gaps, blur, plain[at], below[at])
        _backward(pairs, forward[at - 1], backward)
        counts += pairs
        straight[:] = 0.0
        for origin in range(states):
            for to in range(states):
                straight[to] += pairs[origin, to]
        off = rest[at] - lift
        if blur > 0.0:
            by_sample[at] = _between(pairs, gaps, blur, off, plain[at], below[at], straight, by_level, by_noise)
        by_sample[at] += _straight(straight, off, sigma, by_level, by_noise)
    first = pairs.sum(axis=1)
    by_sample[0] = _straight(first, rest[0] - lift, sigma, by_level, by_noise)
    return log_likelihood, counts, first, by_level, by_sample, by_noise


@numba.njit(cache=True, error_model="numpy")
def _densities(rest: FloatArray, lift: FloatArray, sigma: float, blurred: bool) -> tuple[FloatArray, FloatArray]:
    """Density of each sample in each state, and the share of the noise below it, (n, states)."""
    plain, below = np.empty((len(rest), len(lift))), np.empty((len(rest), len(lift)))
    height = 1.0 / (sigma * math.sqrt(2.0 * math.pi))
    for at in range(len(rest)):
        for state in range(len(lift)):
            z = (rest[at] - lift[state]) / sigma
            plain[at, state] = math.exp(-0.5 * z * z) * height + FLOOR
            if blurred:
                below[at, state] = 0.5 * math.erfc(-z * math.sqrt(0.5))
    return plain, below


@numba.njit(cache=True, error_model="numpy")
def _weigh(
    weights: FloatArray, chances: FloatArray, gaps: FloatArray, blur: float, plain: FloatArray, below: FloatArray
) -> None:
    """Fill in the chance of each pair of states times the density of the sample at which the chain arrives."""
    for origin in range(len(plain)):
        for to in range(len(plain)):
            density = plain[to]
            if blur > 0.0 and gaps[origin, to] != 0.0:
                between = max((below[origin] - below[to]) / gaps[origin, to], FLOOR)
                density = (1.0 - blur) * density + blur * between
            weights[origin, to] = chances[origin, to] * density


@numba.njit(cache=True, error_model="numpy")
def _forward(
    plain: FloatArray, below: FloatArray, gaps: FloatArray, blur: float, chances: FloatArray, settled: FloatArray
) -> tuple[float, FloatArray]:
    """Log-likelihood, and the chances of the states at each sample given those up to it, (n, states)."""
    count, states = plain.shape
    forward, weights = np.empty((count, states)), np.empty((states, states))
    total, log_likelihood = 0.0, 0.0
    for state in range(states):
        forward[0, state] = settled[state] * plain[0, state]
        total += forward[0, state]
    forward[0] /= total
    log_likelihood = math.log(total)
    for at in range(1, count):
        _weigh(weights, chances, gaps, blur, plain[at], below[at])
        total = 0.0
        for to in range(states):
            weight = 0.0
            for origin in range(states):
                weight += forward[at - 1, origin] * weights[origin, to]
            forward[at, to] = weight
            total += weight
        for to in range(states):
            forward[at, to] /= total
        log_likelihood += math.log(total)
    return log_likelihood, forward


@numba.njit(cache=True, error_model="numpy")
def _backward(weights: FloatArray, forward: FloatArray, backward: FloatArray) -> None:
    """Turn weights into chances of pairs, and move the backward weights one sample back; both in place."""
    states = len(forward)
    whole, total = 0.0, 0.0
    before = np.empty(states)
    for origin in range(states):
        before[origin] = 0.0
        for to in range(states):
            share = weights[origin, to] * backward[to]
            before[origin] += share
            weights[origin, to] = forward[origin] * share
            whole += weights[origin, to]
        total += before[origin]
    for origin in range(states):
        backward[origin] = before[origin] / total
        for to in range(states):
            weights[origin, to] /= whole


@numba.njit(cache=True, error_model="numpy")
def _between(
    pairs: FloatArray,
    gaps: FloatArray,
    blur: float,
    off: FloatArray,
    plain: FloatArray,
    below: FloatArray,
    straight: FloatArray,
    by_level: FloatArray,
    by_noise: FloatArray,
) -> float:
    """Add what a sample says that may lie between two levels; give the derivative by its baseline."""
    by_sample = 0.0
    for origin in range(len(off)):
        for to in range(len(off)):
            gap = gaps[origin, to]
            if gap == 0.0 or pairs[origin, to] < _NEVER:
                continue
            density = max((below[origin] - below[to]) / gap, FLOOR)
            mixed = (1.0 - blur) * plain[to] + blur * density
            lying = pairs[origin, to] * blur * density / mixed
            straight[to] -= lying
            scale = lying / (density * gap)
            by_level[origin] += scale * (density - plain[origin])
            by_level[to] += scale * (plain[to] - density)
            by_sample += scale * (plain[to] - plain[origin])
            by_noise[0] += scale * (off[to] * plain[to] - off[origin] * plain[origin])
            by_noise[1] += pairs[origin, to] * (density - plain[to]) / mixed
    return by_sample


@numba.njit(cache=True, error_model="numpy")
def _straight(weights: FloatArray, off: FloatArray, sigma: float, by_level: FloatArray, by_noise: FloatArray) -> float:
    """Add what a sample says that lies at a level; give the derivative by its baseline."""
    by_sample = 0.0
    for state in range(len(off)):
        slope = weights[state] * off[state] / sigma**2
        by_level[state] += slope
        by_sample += slope
        by_noise[0] += weights[state] * ((off[state] / sigma) ** 2 - 1.0)
    return by_sample
