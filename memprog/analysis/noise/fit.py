"""Fit fluctuators to a trace by maximum likelihood, as many as the trace gives reason for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from memprog.analysis.noise.colour import autoregressive_gain
from memprog.analysis.noise.model import Likelihood, Look
from memprog.chip import FloatArray

MOST_FLUCTUATORS = 3
"""Eight levels: beyond it paths are too many to be told apart in a trace of ordinary length."""
BLUR_SIGNAL_TO_NOISE = 4.0
"""Steps this far above the noise show whether a sample lies between two levels."""
_SPANS = (1, 4, 16, 64, 256, 1024)
"""Samples over which is averaged to find a first guess of a step that noise hides."""
_PROMISING, _QUICK, _THOROUGH = 3, 12, 150
"""First guesses that are followed up, iterations from each, and from the best of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The most likely parameters for a number of fluctuators, in the units and order of ``Shape``."""

    look: Look

    @property
    def parameters(self) -> FloatArray:
        """The parameters, (size,)."""
        return self.look.parameters

    @property
    def fluctuators(self) -> int:
        """How many fluctuators."""
        return self.look.likelihood.shape.fluctuators

    @property
    def criterion(self) -> float:
        """Log-likelihood less Schwarz's penalty, plus what a Gaussian model of the residual's colour would add.

        Coloured noise without fluctuators is the rival that a further fluctuator must beat: it too makes neighbouring
        samples alike, with two levels or more only by chance.
        """
        penalty = 0.5 * (self.look.likelihood.shape.size - 1) * np.log(len(self.look.off))
        residual = self.look.residual(np.random.default_rng(0))
        return self.look.log_likelihood - float(penalty) + autoregressive_gain(residual)


def fit_trace(samples: FloatArray, basis: FloatArray, most: int = MOST_FLUCTUATORS) -> Fitted:
    """Fit no fluctuator, then one, and so on, and keep the best by the criterion.

    Args:
        samples: (n,) in any unit.
        basis: (n, functions) of the baseline; the first is constant.
        most: fluctuators at most.
    """
    best = fit_count(samples, basis, 0, None)
    last, reached = best, best.criterion
    for count in range(1, most + 1):
        last = fit_count(samples, basis, count, last)
        if last.criterion > reached:
            best, reached = last, last.criterion
        elif count > best.fluctuators + 1:
            break
    return best


def fit_count(samples: FloatArray, basis: FloatArray, count: int, fewer: Fitted | None) -> Fitted:
    """Fit a number of fluctuators, starting from the fit with one less."""
    model = Likelihood(samples, basis, count)
    if fewer is None:
        coefficients, *_ = np.linalg.lstsq(basis, samples, rcond=None)
        sigma = float((samples - basis @ coefficients).std()) or 1e-12
        return Fitted(look=model.look(np.concatenate([coefficients, [np.log(sigma), 0.0]])))
    started = sorted((model.look(start) for start in _starts(model, fewer)), key=lambda look: -look.log_likelihood)
    tried = [_climb(model, look.parameters, _QUICK) for look in started[:_PROMISING]]
    best = max(tried, key=lambda look: look.log_likelihood, default=None)
    return fewer if best is None else refine(model, best.parameters)


def refine(model: Likelihood, parameters: FloatArray) -> Fitted:
    """Climb to the top; how much samples are averaged is found out where steps are clear."""
    shape = model.shape
    look = _climb(model, parameters, _THOROUGH)
    steps = look.parameters[shape.step] - look.parameters[shape.sigma]
    if shape.fluctuators and np.exp(steps).max() > BLUR_SIGNAL_TO_NOISE:
        start = look.parameters.copy()
        start[shape.blur] = start[shape.blur] or 0.2
        blurred = _climb(model, start, _THOROUGH, blurs=True)
        look = blurred if blurred.log_likelihood > look.log_likelihood + 2.0 else look
    return Fitted(look=look)


def _climb(model: Likelihood, start: FloatArray, iterations: int, *, blurs: bool = False) -> Look:
    from scipy.optimize import minimize

    def uphill(parameters: FloatArray) -> tuple[float, FloatArray]:
        look = model.look(parameters)
        return -look.log_likelihood, -look.gradient()

    blur = (0.0, 1.0) if blurs else (start[model.shape.blur],) * 2
    found = minimize(
        uphill,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[*_bounds(model), blur],
        options={"maxiter": iterations, "ftol": 1e-10},
    )
    return model.look(found.x)


def _bounds(model: Likelihood) -> list[tuple[float | None, float | None]]:
    """Dwell times from a third of a sample to three times the trace; steps and noise not below a millionth."""
    shape, count = model.shape, len(model.samples)
    scale = float(np.log(model.samples.std() + 1e-300))
    rates = (float(np.log(0.3 / count)), float(np.log(3.0)))
    small = (scale - 14.0, scale + 3.0)
    return [rates] * (2 * shape.fluctuators) + [small] * shape.fluctuators + [(None, None)] * shape.baseline + [small]


def _starts(model: Likelihood, fewer: Fitted) -> Iterator[FloatArray]:
    """First guesses: what is left over is cut in two, after averaging over shorter and longer spans."""
    residual = fewer.look.residual(np.random.default_rng(0))
    count = len(residual)
    for span in _SPANS:
        if span * 8 > count:
            break
        smooth = np.convolve(residual, np.full(span, 1.0 / span), mode="valid")
        for cut in (_cut_in_two(smooth), float((np.percentile(smooth, 1) + np.percentile(smooth, 99)) / 2.0)):
            guess = _guess(smooth, cut, span)
            if guess is not None:
                yield _joined(model, fewer, guess)


def _cut_in_two(values: FloatArray) -> float:
    """Threshold between two clusters, by a few rounds of the two means."""
    cut = float(values.mean())
    for _ in range(12):
        high = values > cut
        if high.all() or not high.any():
            break
        cut = float((values[high].mean() + values[~high].mean()) / 2.0)
    return cut


def _guess(smooth: FloatArray, cut: float, span: int) -> tuple[float, float, float, float] | None:
    """Rates up and down, step and lower level that a threshold suggests."""
    high = smooth > cut
    ups = int((high[1:] & ~high[:-1]).sum())
    if not ups or high.all():
        return None
    lower, upper = float(smooth[~high].mean()), float(smooth[high].mean())
    rate_up = max(ups, 1) / max(int((~high).sum()), 1)
    rate_down = max(ups, 1) / max(int(high.sum()), 1)
    return min(rate_up, 1.0 / span), min(rate_down, 1.0 / span), upper - lower, lower


def _joined(model: Likelihood, fewer: Fitted, guess: tuple[float, float, float, float]) -> FloatArray:
    rate_up, rate_down, step, lower = guess
    old, shape = fewer.look.likelihood.shape, model.shape
    before = fewer.parameters
    start = np.empty(shape.size)
    start[shape.up] = np.append(before[old.up], np.log(rate_up))
    start[shape.down] = np.append(before[old.down], np.log(rate_down))
    start[shape.step] = np.append(before[old.step], np.log(step))
    start[shape.drift] = before[old.drift]
    start[shape.drift.start] += lower
    share, variance = rate_up / (rate_up + rate_down), np.exp(2.0 * before[old.sigma])
    rest = variance - share * (1.0 - share) * step**2
    start[shape.sigma], start[shape.blur] = 0.5 * np.log(max(rest, 0.05 * variance)), before[old.blur]
    return start
