"""The model of a noisy trace: independent two-level fluctuators on a slow baseline, averaged and in noise."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from memprog.analysis.noise.averages import NONE, TAPS, Averages, averages, splines
from memprog.analysis.noise.chain import FLOOR, Smoothed, has_compiler, smooth
from memprog.chip import FloatArray

_ROOT_2_PI = float(np.sqrt(2.0 * np.pi))
_NEVER = 1e-305
"""Stands for no weight in a quotient: less than ``FLOOR`` times any chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How many parameters there are, and where each stands in the vector of them.

    In order: logarithm of the rates up, rates down and steps of each fluctuator, coefficients of the baseline,
    logarithm of the white noise, blur. Rates are per sample.
    """

    fluctuators: int
    baseline: int

    @property
    def size(self) -> int:
        """Number of parameters."""
        return 3 * self.fluctuators + self.baseline + 2

    @property
    def up(self) -> slice:
        """Rates up."""
        return slice(0, self.fluctuators)

    @property
    def down(self) -> slice:
        """Rates down."""
        return slice(self.fluctuators, 2 * self.fluctuators)

    @property
    def step(self) -> slice:
        """Steps."""
        return slice(2 * self.fluctuators, 3 * self.fluctuators)

    @property
    def sigma(self) -> int:
        """White noise."""
        return self.size - 2

    @property
    def blur(self) -> int:
        """Blur."""
        return self.size - 1

    @property
    def drift(self) -> slice:
        """Coefficients of the baseline."""
        return slice(3 * self.fluctuators, 3 * self.fluctuators + self.baseline)


class Likelihood:
    """Log-likelihood of a trace and its gradient, for a number of fluctuators.

    A sample is an average over ``blur``, the last share of its interval: where fluctuators switch meanwhile, once or
    several times, it may lie anywhere between their levels.
    """

    def __init__(self, samples: FloatArray, basis: FloatArray, fluctuators: int) -> None:
        """Take samples (n,) and the baseline's functions (n, functions)."""
        self.samples, self.basis = samples, basis
        self.shape = Shape(fluctuators=fluctuators, baseline=basis.shape[1])
        self.on = np.array(list(itertools.product((0, 1), repeat=fluctuators)), dtype=np.float64).reshape(
            2**fluctuators, fluctuators
        )

    def look(self, parameters: FloatArray) -> Look:
        """Weigh every path by what the samples say."""
        up, down, steps, sigma, blur = self._taken_apart(parameters)
        off = (self.samples - self.basis @ parameters[self.shape.drift])[:, None] - self.on @ steps
        plain = np.exp(-0.5 * (off / sigma) ** 2) / (sigma * _ROOT_2_PI) + FLOOR
        between = None
        if blur > 0.0 and self.shape.fluctuators:
            between = Between.of(averages(up, down, steps, sigma, blur), off[1:, 0])
            weights = between.averages.steady * plain[1:, None, :] + between.density
        else:
            weights = transitions(up, down, self.on) * plain[1:, None, :]
        smoothed = smooth(stationary(up, down, self.on) * plain[0], weights)
        return Look(
            likelihood=self,
            parameters=parameters,
            smoothed=smoothed,
            off=off,
            plain=plain,
            weights=weights,
            between=between,
        )

    def slope(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Give log-likelihood and gradient (size,): those of ``look``, sooner where the extra ``accel`` is there."""
        if not has_compiler() or len(self.samples) < 2:
            look = self.look(parameters)
            return look.log_likelihood, look.gradient()
        return self._compiled_slope(parameters)

    def _compiled_slope(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        from memprog.analysis.noise.compiled_climb import climb

        up, down, steps, sigma, blur = self._taken_apart(parameters)
        rest = self.samples - self.basis @ parameters[self.shape.drift]
        known = averages(up, down, steps, sigma, blur) if blur > 0.0 and self.shape.fluctuators else None
        chances = transitions(up, down, self.on) if known is None else known.steady
        spline = (np.zeros((0, *chances.shape)), 0.0, 1.0, chances)
        if known is not None:
            spline = (known.coefficients, known.first, known.spacing, known.least)
        log_likelihood, parts = climb(rest, self.on @ steps, sigma, chances, stationary(up, down, self.on), spline)
        return log_likelihood, self.gathered(parameters, Parts(*parts), known)

    def gathered(self, parameters: FloatArray, parts: Parts, known: Averages | None) -> FloatArray:
        """Put together the gradient, (size,)."""
        shape = self.shape
        up, down, steps, _, _ = self._taken_apart(parameters)
        gradient = np.zeros(shape.size)
        counts = parts.by_steady * (transitions(up, down, self.on) if known is None else 0.0)
        gradient[shape.up], gradient[shape.down] = rate_gradients(up, down, self.on, counts, parts.first)
        gradient[shape.step] = (parts.by_level @ self.on) * steps
        gradient[shape.drift] = parts.by_sample @ self.basis
        gradient[shape.sigma] = parts.by_log_sigma
        if known is not None:
            free = np.ones(shape.size, dtype=bool)
            free[shape.drift] = False
            gradient[free] += known.gradient(parts.by_steady, parts.by_coefficients)
        return gradient

    def _taken_apart(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, float, float]:
        """Rates up and down, steps, white noise, blur."""
        shape = self.shape
        up, down, steps = (np.exp(parameters[part]) for part in (shape.up, shape.down, shape.step))
        return up, down, steps, float(np.exp(parameters[shape.sigma])), float(parameters[shape.blur])


class Parts(NamedTuple):
    """Derivatives of a log-likelihood by what depends on parameters.

    ``by_steady`` (states, states) by the chance of going from one to another without a switching while it is averaged,
    ``first`` (states,) the chances at the first sample; by the level of each state (states,) and by the baseline at
    each sample (n,), by the logarithm of the noise, and by the coefficients of ``Averages``.
    """

    by_steady: FloatArray
    first: FloatArray
    by_level: FloatArray
    by_sample: FloatArray
    by_log_sigma: float
    by_coefficients: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """Samples that may lie between levels: their chance times density, (n - 1, states, states).

    ``values`` and ``slopes`` (n - 1, points) are the splines that make up density and its slope from coefficients.
    """

    averages: Averages
    density: FloatArray
    values: Any
    slopes: Any

    @classmethod
    def of(cls, known: Averages, rest: FloatArray) -> Between:
        """Look up samples less the baseline, (n - 1,)."""
        from scipy.sparse import csr_array

        points, states, _ = known.coefficients.shape
        places = np.clip((rest - known.first) / known.spacing, 1.0, points - 3.0)
        below = np.floor(places)
        weights, slopes = splines(places - below)
        inside = (rest >= known.first) & (rest <= known.first + known.spacing * (points - 1))
        columns = (below[:, None] + np.arange(-1, TAPS - 1)).astype(np.intp).ravel()
        starts = np.arange(len(rest) + 1) * TAPS
        values, slopes = (
            csr_array(((one * inside[:, None]).ravel(), columns, starts), shape=(len(rest), points))
            for one in (weights, slopes / known.spacing)
        )
        density = (values @ known.coefficients.reshape(points, -1)).reshape(-1, states, states)
        density = np.where(density < known.least, NONE * known.least, density)
        return cls(averages=known, density=density, values=values, slopes=slopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One evaluation of the likelihood, from which gradient and states follow."""

    likelihood: Likelihood
    parameters: FloatArray
    smoothed: Smoothed
    off: FloatArray
    plain: FloatArray
    weights: FloatArray
    between: Between | None

    @property
    def log_likelihood(self) -> float:
        """Of all samples, in nats."""
        return self.smoothed.log_likelihood

    def states_mean(self) -> FloatArray:
        """Expected sum of the steps at every sample, (n,); samples between two levels are not looked at."""
        model = self.likelihood
        return np.asarray(self.smoothed.states @ (model.on @ np.exp(self.parameters[model.shape.step])))

    def residual(self, rng: np.random.Generator) -> FloatArray:
        """Take one path, drawn from all by their chance given the samples, off the samples: (n,).

        The mean over all paths would leave noise that is no longer white where paths are uncertain; one path does not.
        A sample between two levels says nothing about the noise: it gets white noise instead.
        """
        pairs, draws = self.smoothed.pairs, rng.random(len(self.off))
        ladder = pairs.cumsum(axis=2)
        ladder /= np.maximum(ladder[..., -1:], 1e-300)
        onward = (draws[1:, None, None] > ladder).sum(axis=2).clip(max=len(self.smoothed.first) - 1).tolist()
        state = int(min((draws[0] > self.smoothed.first.cumsum()).sum(), len(self.smoothed.first) - 1))
        path = np.array([state, *(state := step[state] for step in onward)])
        rest = self.off[np.arange(len(path)), path]
        if self.between is not None:
            at = np.arange(len(path) - 1), path[:-1], path[1:]
            share = self.between.density[at] / np.maximum(self.weights[at], _NEVER)
            lying = np.append(False, rng.random(len(share)) < share)
            rest[lying] = rng.normal(0.0, float(np.exp(self.parameters[self.likelihood.shape.sigma])), int(lying.sum()))
        return np.asarray(rest)

    def gradient(self) -> FloatArray:
        """Derivative of the log-likelihood by every parameter, by Fisher's identity."""
        pairs, between = self.smoothed.pairs, self.between
        scale = pairs / np.maximum(self.weights, _NEVER)
        by_sample, by_coefficients = np.zeros(len(self.off)), np.zeros(0)
        if between is not None:
            pairs = pairs - scale * between.density
            spread = scale * (between.density >= between.averages.least)
            known = between.averages.coefficients
            by_coefficients = (between.values.T @ spread.reshape(len(spread), -1)).reshape(known.shape)
            slopes = between.slopes @ known.reshape(len(known), -1)
            by_sample[1:] = -(slopes * spread.reshape(len(spread), -1)).sum(axis=1)
        levels = np.concatenate([self.smoothed.first[None], pairs.sum(axis=1)])
        sigma = float(np.exp(self.parameters[self.likelihood.shape.sigma]))
        relative = self.off / sigma
        by_level = levels * relative / sigma
        parts = Parts(
            by_steady=np.einsum("nij,nj->ij", scale, self.plain[1:]),
            first=self.smoothed.first,
            by_level=by_level.sum(axis=0),
            by_sample=by_sample + by_level.sum(axis=1),
            by_log_sigma=float((levels * (relative**2 - 1.0)).sum()),
            by_coefficients=by_coefficients,
        )
        return self.likelihood.gathered(self.parameters, parts, None if between is None else between.averages)


def rate_gradients(
    up: FloatArray, down: FloatArray, on: FloatArray, counts: FloatArray, first: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Derivatives by the logarithms of all rates up and down, (fluctuators,) each.

    ``counts`` (states, states) of neighbouring samples, ``first`` (states,) the chances at the first one.
    """
    by_up, by_down = np.empty(len(up)), np.empty(len(up))
    for k in range(len(up)):
        high = on[:, k]
        low = 1.0 - high
        moves = np.array([[low @ counts @ low, low @ counts @ high], [high @ counts @ low, high @ counts @ high]])
        by_up[k], by_down[k] = rate_derivatives(up[k], down[k], moves, float(first @ high))
    return by_up, by_down


def transitions(up: FloatArray, down: FloatArray, on: FloatArray) -> FloatArray:
    """Chance of going from each state to each in one sample, (states, states); rates (fluctuators,) per sample."""
    total = up + down
    settled = -np.expm1(-total)
    rise, fall = up / total * settled, down / total * settled
    before, after = on[:, None, :], on[None, :, :]
    low = np.where(after > 0, rise, 1.0 - rise)
    high = np.where(after > 0, 1.0 - fall, fall)
    return np.asarray(np.where(before > 0, high, low).prod(axis=2))


def stationary(up: FloatArray, down: FloatArray, on: FloatArray) -> FloatArray:
    """Chance of each state when nothing is known, (states,)."""
    share = up / (up + down)
    return np.asarray(np.where(on > 0, share, 1.0 - share).prod(axis=1))


def rate_derivatives(up: float, down: float, moves: FloatArray, first_high: float) -> tuple[float, float]:
    """Derivatives of the expected log-chance of a path by the logarithms of both rates.

    ``moves`` (2, 2) counts neighbouring samples by state, low first; ``first_high`` is the chance that the path
    starts high.
    """
    total = up + down
    stays = float(np.exp(-total))
    settled = -float(np.expm1(-total))
    rise, fall = up / total * settled, down / total * settled
    by_rise = moves[0, 1] / rise - moves[0, 0] / (1.0 - rise)
    by_fall = moves[1, 0] / fall - moves[1, 1] / (1.0 - fall)
    rise_up = down / total**2 * settled + up / total * stays
    rise_down = -up / total**2 * settled + up / total * stays
    fall_down = up / total**2 * settled + down / total * stays
    fall_up = -down / total**2 * settled + down / total * stays
    share = up / total
    start = first_high * (1.0 - share) - (1.0 - first_high) * share
    return (
        float(up * (by_rise * rise_up + by_fall * fall_up) + start),
        float(down * (by_rise * rise_down + by_fall * fall_down) - start),
    )
