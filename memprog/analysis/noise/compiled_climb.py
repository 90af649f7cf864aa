"""Log-likelihood and the parts of its gradient in one pass over the samples, compiled; needs the extra ``accel``.

Whole arrays and an index are handed around instead of rows: a view for every sample costs more than the arithmetic.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from memprog.analysis.noise.averages import NONE, TAPS
from memprog.analysis.noise.chain import FLOOR
from memprog.chip import FloatArray, IntArray

Spline = tuple[FloatArray, float, float, FloatArray]
"""Coefficients, first point, spacing and least of ``Averages``; no points where samples are instants."""
Climbed = tuple[float, tuple[FloatArray, FloatArray, FloatArray, FloatArray, float, FloatArray]]
_FREE = {"reassoc", "contract", "nsz"}
"""Sums may be taken in any order, so that several terms are added at once."""
_SMALL = 1e-100
"""Product of scales at which its logarithm is taken: one logarithm for many samples."""


@numba.njit(cache=True, error_model="numpy", fastmath=_FREE)
def climb(
    rest: FloatArray, lift: FloatArray, sigma: float, steady: FloatArray, settled: FloatArray, spline: Spline
) -> Climbed:
    """Do what ``Look`` does, without arrays of all pairs.

    Args:
        rest: (n,) samples less the baseline.
        lift: (states,) level of each state above the baseline.
        sigma: deviation of the white noise.
        steady: (states, states) chance of going from the first to the second in one sample, without a switching
            while it is averaged.
        settled: (states,) chance of each where nothing is known.
        spline: what samples may be that are averaged over a switching.

    Returns:
        log-likelihood, and the fields of ``Parts`` in their order.
    """
    count, states = len(rest), len(lift)
    plain = _densities(rest, lift, sigma)
    places, weights, slopes = _places(rest, spline)
    coefficients = spline[0].reshape(len(spline[0]), states * states)
    least = spline[3].reshape(states * states)
    between = _between(places, weights, coefficients, least)
    log_likelihood, forward = _forward(plain, steady, settled, between)
    by_steady, by_level, by_log_sigma = np.zeros((states, states)), np.zeros(states), 0.0
    by_sample, by_coefficients, chances = np.zeros(count), np.zeros(coefficients.shape), np.empty(states * states)
    backward, before, straight = np.full(states, 1.0 / states), np.empty(states), np.empty(states)
    for at in range(count - 1, 0, -1):
        scale = _back(plain, steady, between, forward, backward, before, at)
        for to in range(states):
            straight[to] = 0.0
        for origin in range(states):
            for to in range(states):
                chance = scale * forward[at - 1, origin] * backward[to]
                by_steady[origin, to] += chance * plain[at, to]
                straight[to] += chance * plain[at, to] * steady[origin, to]
                chances[origin * states + to] = chance
        if len(between) and places[at] >= 0:
            by_sample[at] = _spread(
                by_coefficients, coefficients, between, chances, least, weights, slopes, places[at], at
            )
        total = 0.0
        for state in range(states):
            total += before[state]
        for state in range(states):
            backward[state] = before[state] / total
        by_log_sigma += _straight(straight, rest, lift, sigma, by_level, by_sample, at)
    straight[:] = forward[0] * backward
    straight /= straight.sum()
    by_log_sigma += _straight(straight, rest, lift, sigma, by_level, by_sample, 0)
    return log_likelihood, (
        by_steady,
        straight,
        by_level,
        by_sample,
        by_log_sigma,
        by_coefficients.reshape(spline[0].shape),
    )


@numba.njit(cache=True, error_model="numpy", fastmath=_FREE)
def _densities(rest: FloatArray, lift: FloatArray, sigma: float) -> FloatArray:
    """Density of each sample in each state, (n, states)."""
    plain = np.empty((len(rest), len(lift)))
    height, narrow = 1.0 / (sigma * math.sqrt(2.0 * math.pi)), 1.0 / sigma
    for at in range(len(rest)):
        for state in range(len(lift)):
            z = (rest[at] - lift[state]) * narrow
            plain[at, state] = math.exp(-0.5 * z * z) * height + FLOOR
    return plain


@numba.njit(cache=True, error_model="numpy", fastmath=_FREE)
def _places(rest: FloatArray, spline: Spline) -> tuple[IntArray, FloatArray, FloatArray]:
    """First of the coefficients around each sample, -1 off the grid; their weights and slopes, (n, taps)."""
    coefficients, first, spacing, _ = spline
    points = len(coefficients)
    count = len(rest) if points else 0
    places = np.full(count, -1)
    weights, slopes = np.empty((count, TAPS)), np.empty((count, TAPS))
    for at in range(count):
        place = (rest[at] - first) / spacing
        if not 0.0 <= place <= points - 1:
            continue
        place = min(max(place, 1.0), points - 3.0)
        below = math.floor(place)
        places[at] = below - 1
        f = place - below
        g = 1.0 - f
        weights[at, 0], weights[at, 3] = g**3 / 6.0, f**3 / 6.0
        weights[at, 1] = (3.0 * f**3 - 6.0 * f**2 + 4.0) / 6.0
        weights[at, 2] = (3.0 * g**3 - 6.0 * g**2 + 4.0) / 6.0
        slopes[at, 0], slopes[at, 3] = -(g**2) / (2.0 * spacing), f**2 / (2.0 * spacing)
        slopes[at, 1] = (3.0 * f**2 - 4.0 * f) / (2.0 * spacing)
        slopes[at, 2] = (4.0 * g - 3.0 * g**2) / (2.0 * spacing)
    return places, weights, slopes


@numba.njit(cache=True, error_model="numpy", fastmath=_FREE)
def _between(places: IntArray, weights: FloatArray, coefficients: FloatArray, least: FloatArray) -> FloatArray:
    """Chance times density of each sample between levels for every pair of states, (n, pairs); or none."""
    pairs = len(least)
    between = np.empty((len(places), pairs))
    for at in range(len(places)):
        place = places[at]
        if place < 0:
            for pair in range(pairs):
                between[at, pair] = NONE * least[pair]
            continue
        for pair in range(pairs):
            density = weights[at, 0] * coefficients[place, pair] + weights[at, 1] * coefficients[place + 1, pair]
            density += weights[at, 2] * coefficients[place + 2, pair] + weights[at, 3] * coefficients[place + 3, pair]
            between[at, pair] = density if density >= least[pair] else NONE * least[pair]
    return between


@numba.njit(cache=True, error_model="numpy", fastmath=_FREE)
def _forward(
    plain: FloatArray, steady: FloatArray, settled: FloatArray, between: FloatArray
) -> tuple[float, FloatArray]:
    """Log-likelihood, and the chances of the states at each sample given those up to it, (n, states)."""
    count, states = plain.shape
    forward = np.empty((count, states))
    log_likelihood, product = 0.0, 1.0
    for at in range(count):
        for to in range(states):
            forward[at, to] = settled[to] if at == 0 else 0.0
        if at > 0:
            for origin in range(states):
                for to in range(states):
                    forward[at, to] += forward[at - 1, origin] * steady[origin, to]
        for to in range(states):
            forward[at, to] *= plain[at, to]
        if at > 0 and len(between):
            for origin in range(states):
                for to in range(states):
                    forward[at, to] += forward[at - 1, origin] * between[at, origin * states + to]
        total = 0.0
        for to in range(states):
            total += forward[at, to]
        for to in range(states):
            forward[at, to] /= total
        product *= total
        if not _SMALL < product < 1.0 / _SMALL:
            log_likelihood += math.log(product)
            product = 1.0
    return log_likelihood + math.log(product), forward


@numba.njit(cache=True, error_model="numpy", fastmath=_FREE)
def _back(
    plain: FloatArray,
    steady: FloatArray,
    between: FloatArray,
    forward: FloatArray,
    backward: FloatArray,
    before: FloatArray,
    at: int,
) -> float:
    """Fill in the backward weights of the sample before; give what turns weights into chances of pairs."""
    whole, states = 0.0, len(backward)
    for origin in range(states):
        weight = 0.0
        for to in range(states):
            density = steady[origin, to] * plain[at, to]
            if len(between):
                density += between[at, origin * states + to]
            weight += density * backward[to]
        before[origin] = weight
        whole += forward[at - 1, origin] * weight
    return 1.0 / whole


@numba.njit(cache=True, error_model="numpy", fastmath=_FREE)
def _spread(
    by_coefficients: FloatArray,
    coefficients: FloatArray,
    between: FloatArray,
    chances: FloatArray,
    least: FloatArray,
    weights: FloatArray,
    slopes: FloatArray,
    place: int,
    at: int,
) -> float:
    """Add the derivatives by the coefficients around a sample; give that by its baseline."""
    for pair in range(len(chances)):
        chances[pair] = chances[pair] if between[at, pair] >= least[pair] else 0.0
    by_sample = 0.0
    for tap in range(TAPS):
        tilt = 0.0
        for pair in range(len(chances)):
            by_coefficients[place + tap, pair] += chances[pair] * weights[at, tap]
            tilt += chances[pair] * coefficients[place + tap, pair]
        by_sample -= tilt * slopes[at, tap]
    return by_sample


@numba.njit(cache=True, error_model="numpy", fastmath=_FREE)
def _straight(
    straight: FloatArray,
    rest: FloatArray,
    lift: FloatArray,
    sigma: float,
    by_level: FloatArray,
    by_sample: FloatArray,
    at: int,
) -> float:
    """Add what a sample says that lies at a level; give the derivative by the logarithm of the noise."""
    by_log_sigma = 0.0
    for state in range(len(lift)):
        off = (rest[at] - lift[state]) / sigma
        slope = straight[state] * off / sigma
        by_level[state] += slope
        by_sample[at] += slope
        by_log_sigma += straight[state] * (off * off - 1.0)
    return by_log_sigma
