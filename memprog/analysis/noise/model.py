"""The model of a noisy trace: independent two-level fluctuators on a slow baseline, averaged and in noise."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from memprog.analysis.noise.chain import FLOOR, Smoothed, has_compiler, smooth
from memprog.chip import FloatArray, IntArray, Mask

_ROOT_2_PI = float(np.sqrt(2.0 * np.pi))


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

    A sample is an average over part of its interval: where a fluctuator switches between two samples, the second may
    lie anywhere between the levels. ``blur`` is the share of the interval over which is averaged. Within one interval
    only one switching of one fluctuator is followed.
    """

    def __init__(self, samples: FloatArray, basis: FloatArray, fluctuators: int) -> None:
        """Take samples (n,) and the baseline's functions (n, functions)."""
        self.samples, self.basis = samples, basis
        self.shape = Shape(fluctuators=fluctuators, baseline=basis.shape[1])
        self.on = np.array(list(itertools.product((0, 1), repeat=fluctuators)), dtype=np.float64).reshape(
            2**fluctuators, fluctuators
        )

    @cached_property
    def flips(self) -> tuple[IntArray, IntArray]:
        """Pairs of states that differ in one fluctuator."""
        apart = np.abs(self.on[:, None, :] - self.on[None, :, :]).sum(axis=2)
        source, target = np.nonzero(apart == 1)
        return source, target

    @cached_property
    def flip_ends(self) -> tuple[FloatArray, FloatArray]:
        """Where each of the pairs begins and ends, (flips, states) of 0 and 1."""
        every = np.eye(len(self.on))
        source, target = self.flips
        return every[source], every[target]

    def look(self, parameters: FloatArray) -> Look:
        """Weigh every path by what the samples say."""
        up, down = np.exp(parameters[self.shape.up]), np.exp(parameters[self.shape.down])
        sigma, blur = float(np.exp(parameters[self.shape.sigma])), float(parameters[self.shape.blur])
        steps = np.exp(parameters[self.shape.step])
        levels = self.basis @ parameters[self.shape.drift]
        off = (self.samples - levels)[:, None] - self.on @ steps
        plain = np.exp(-0.5 * (off / sigma) ** 2) / (sigma * _ROOT_2_PI) + FLOOR
        between = self._between(off, steps, sigma, plain, blur)
        chances = transitions(up, down, self.on)
        weights = chances * plain[1:, None, :]
        if between is not None:
            source, target = self.flips
            weights[:, source, target] = chances[source, target] * between.mixed
        smoothed = smooth(stationary(up, down, self.on) * plain[0], weights)
        return Look(likelihood=self, parameters=parameters, smoothed=smoothed, off=off, plain=plain, between=between)

    def slope(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Give log-likelihood and gradient (size,): those of ``look``, sooner where the extra ``accel`` is there."""
        if not has_compiler() or len(self.samples) < 2:
            look = self.look(parameters)
            return look.log_likelihood, look.gradient()
        return self._compiled_slope(parameters)

    def _compiled_slope(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        from memprog.analysis.noise.compiled_climb import climb

        shape = self.shape
        up, down, steps = (np.exp(parameters[part]) for part in (shape.up, shape.down, shape.step))
        lift, gaps = self.on @ steps, np.zeros((len(self.on),) * 2)
        source, target = self.flips
        gaps[source, target] = lift[target] - lift[source]
        rest = self.samples - self.basis @ parameters[shape.drift]
        noise = float(np.exp(parameters[shape.sigma])), float(parameters[shape.blur])
        log_likelihood, counts, first, by_level, by_sample, by_noise = climb(
            rest, lift, gaps, noise, transitions(up, down, self.on), stationary(up, down, self.on)
        )
        gradient = np.empty(shape.size)
        gradient[shape.up], gradient[shape.down] = rate_gradients(up, down, self.on, counts, first)
        gradient[shape.step] = (by_level @ self.on) * steps
        gradient[shape.drift] = by_sample @ self.basis
        gradient[shape.sigma], gradient[shape.blur] = by_noise
        return log_likelihood, gradient

    def _between(
        self, off: FloatArray, steps: FloatArray, sigma: float, plain: FloatArray, blur: float
    ) -> Between | None:
        if blur <= 0.0 or not self.shape.fluctuators:
            return None
        from scipy.special import ndtr

        source, target = self.flips
        gap = (self.on[target] - self.on[source]) @ steps
        below = ndtr(off[1:] / sigma)
        density = np.maximum((below[:, source] - below[:, target]) / gap, FLOOR)
        straight = plain[1:, target]
        mixed = (1.0 - blur) * straight + blur * density
        return Between(
            density=density, mixed=mixed, share=blur * density / mixed, gap=gap, by_blur=(density - straight) / mixed
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """Samples that may lie between two levels, (n - 1, flips).

    ``density`` of a sample between, ``mixed`` with that of one that is not, ``share`` of the first in the mixture,
    ``gap`` (flips,) from the source's level up to the target's, ``by_blur`` the derivative of log ``mixed`` by the
    blur.
    """

    density: FloatArray
    mixed: FloatArray
    share: FloatArray
    gap: FloatArray
    by_blur: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One evaluation of the likelihood, from which gradient and states follow."""

    likelihood: Likelihood
    parameters: FloatArray
    smoothed: Smoothed
    off: FloatArray
    plain: FloatArray
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
            lying = self._lie_between(self.between, path, rng)
            rest[lying] = rng.normal(0.0, float(np.exp(self.parameters[self.likelihood.shape.sigma])), int(lying.sum()))
        return np.asarray(rest)

    def _lie_between(self, between: Between, path: IntArray, rng: np.random.Generator) -> Mask:
        """Draw which samples of a path lie between two levels, (n,)."""
        states = len(self.likelihood.on)
        source, target = self.likelihood.flips
        which = np.full((states, states), -1)
        which[source, target] = np.arange(len(source))
        flip = which[path[:-1], path[1:]]
        chance = between.share[np.arange(len(flip)), flip] * (flip >= 0)
        return np.concatenate([[False], rng.random(len(flip)) < chance])

    def gradient(self) -> FloatArray:
        """Derivative of the log-likelihood by every parameter, by Fisher's identity."""
        model, shape = self.likelihood, self.likelihood.shape
        sigma = float(np.exp(self.parameters[shape.sigma]))
        weights = self.smoothed.states
        by_level, by_sigma, by_blur = np.zeros_like(weights), 0.0, 0.0
        if self.between is not None:
            weights, by_level, by_sigma, by_blur = self._between_parts(self.between)
        relative = self.off / sigma
        by_level += weights * relative / sigma
        by_sigma += float((weights * (relative**2 - 1.0)).sum())
        gradient = np.empty(shape.size)
        up, down = np.exp(self.parameters[shape.up]), np.exp(self.parameters[shape.down])
        gradient[shape.up], gradient[shape.down] = rate_gradients(
            up, down, model.on, self.smoothed.pairs.sum(axis=0), self.smoothed.first
        )
        gradient[shape.step] = (by_level.sum(axis=0) @ model.on) * np.exp(self.parameters[shape.step])
        gradient[shape.drift] = by_level.sum(axis=1) @ model.basis
        gradient[shape.sigma], gradient[shape.blur] = by_sigma, by_blur
        return gradient

    def _between_parts(self, between: Between) -> tuple[FloatArray, FloatArray, float, float]:
        """Weights left to plain samples; derivatives by each level, by log sigma and by blur of those between."""
        source, target = self.likelihood.flips
        from_source, to_target = self.likelihood.flip_ends
        moved = self.smoothed.pairs[:, source, target]
        weights = self.smoothed.states
        lying = moved * between.share
        weights[1:] -= lying @ to_target
        bell = self.plain[1:]
        sloped = self.off[1:] * bell
        scale = lying / (between.density * between.gap)
        by_level = np.zeros_like(weights)
        by_level[1:] = (scale * (between.density - bell[:, source])) @ from_source
        by_level[1:] += (scale * (bell[:, target] - between.density)) @ to_target
        by_sigma = float((scale * (sloped[:, target] - sloped[:, source])).sum())
        return weights, by_level, by_sigma, float((moved * between.by_blur).sum())


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
