"""The noise of a current trace: how many fluctuators, their steps and dwell times, and the colour of the rest."""

from __future__ import annotations

import numpy as np

from memprog.analysis.noise.colour import Line, Spectrum, hum, lines_in, welch_spectrum
from memprog.analysis.noise.fit import CLEARLY, MOST_FLUCTUATORS, Fitted, fit_trace, refit
from memprog.analysis.noise.intervals import NORMAL_95, fluctuators_of
from memprog.analysis.noise.result import Estimate, Fluctuator, Noise
from memprog.chip import FloatArray
from memprog.errors import InputError

__all__ = ["MOST_FLUCTUATORS", "Estimate", "Fluctuator", "Line", "Noise", "Spectrum", "analyse_noise", "fit_noise"]

LEAST_SAMPLES = 200
_LEAST_SPREAD = 1e-100
"""Below it, and above its inverse, squares of squares are no numbers any more."""
_MOST_DRIFT = 3
"""Highest power of time in the drift."""


def analyse_noise(samples: FloatArray, interval_s: float, *, most: int = MOST_FLUCTUATORS) -> Noise:
    """Take a trace apart into drift, fluctuators, lines and noise.

    Args:
        samples: (n,) at equal intervals and under one bias, in any unit.
        interval_s: between two samples.
        most: fluctuators at most.

    Raises:
        InputError: too few samples, one that is no number, or all the same.
    """
    fitted, lines = fit_noise(samples, interval_s, most=most)
    return describe(fitted, lines, samples, interval_s)


def fit_noise(
    samples: FloatArray, interval_s: float, *, most: int = MOST_FLUCTUATORS
) -> tuple[Fitted, tuple[Line, ...]]:
    """Fit fluctuators to a trace in units of its deviation, less the lines that are given beside."""
    samples = _checked(samples)
    count, unit = len(samples), float(samples.std())
    scaled = (samples - np.median(samples)) / unit
    basis = drift_basis(count, 1)
    lines: tuple[Line, ...] = ()
    wave, made, earlier = np.zeros(count), list[Fitted](), list[Fitted]()
    # Hum goes first: small fluctuators would imitate it. Large ones hide it, so it is looked for beside one, too, and
    # where only all of them let enough of it be seen to make one of them, they are looked for once more.
    for limit in (*dict.fromkeys((0, min(1, most), most)), most):
        fitted = fit_trace(scaled - wave, basis, limit, made, earlier)
        lines, before = lines_in(fitted.residual + wave, interval_s), wave
        wave = hum(lines, count, interval_s)
        if limit == most and 0.5 * float((wave - before) @ (wave - before)) < CLEARLY * fitted.sigma**2:
            break
        if (wave != before).any():
            made, earlier = [], made
    scaled = scaled - wave
    if lines:
        fitted = refit(fitted, scaled, basis)
    for power in range(2, _MOST_DRIFT + 1):
        bent = refit(fitted, scaled, drift_basis(count, power))
        if bent.criterion <= fitted.criterion:
            break
        fitted = bent
    return fitted, lines


def describe(fitted: Fitted, lines: tuple[Line, ...], samples: FloatArray, interval_s: float) -> Noise:
    """Turn a fit into what it says about the trace, in the trace's unit."""
    count, unit = len(samples), float(samples.std())
    residual = fitted.residual
    shape = fitted.look.likelihood.shape
    base = fitted.look.likelihood.basis @ fitted.parameters[shape.drift]
    steady = base - base.mean()
    slow = steady + hum(lines, count, interval_s)
    path = fitted.look.states_mean() + base.mean() + slow
    found = fluctuators_of(fitted, interval_s, unit)
    order = sorted(range(len(found)), key=lambda k: -found[k].step.value)
    spectrum = welch_spectrum(residual * unit, interval_s)
    centred = residual - residual.mean()
    return Noise(
        samples=count,
        interval_s=interval_s,
        span_s=count * interval_s,
        mean=float(samples.mean()),
        drift=float(steady[-1] - steady[0]) * unit,
        fluctuators=tuple(found[k] for k in order),
        levels=_levels(fitted, float(base.mean()), unit, float(np.median(samples))),
        noise=_deviation(residual, unit),
        colour=_slope(spectrum),
        lag1=float((centred[1:] * centred[:-1]).mean() / (centred**2).mean()),
        lines=tuple(
            Line(frequency_hz=line.frequency_hz, amplitude=line.amplitude * unit, phase=line.phase) for line in lines
        ),
        blur=float(fitted.parameters[shape.blur]),
        spectrum=spectrum,
        path=path * unit + float(np.median(samples)),
        slow=slow * unit,
        high=(fitted.look.smoothed.states @ fitted.look.likelihood.on).T[order],
        residual=residual * unit,
    )


def drift_basis(count: int, power: int) -> FloatArray:
    """Legendre's polynomials over the trace, (count, power + 1)."""
    return np.asarray(np.polynomial.legendre.legvander(np.linspace(-1.0, 1.0, count), power), dtype=np.float64)


def _checked(samples: FloatArray) -> FloatArray:
    if samples.ndim != 1 or len(samples) < LEAST_SAMPLES:
        raise InputError(f"a trace of {samples.size} samples is too short; noise needs {LEAST_SAMPLES} or more")
    if not np.isfinite(samples).all():
        raise InputError(f"sample {int((~np.isfinite(samples)).argmax())} of the trace is not a number")
    if np.ptp(samples) == 0.0:
        raise InputError("all samples of the trace are the same; there is no noise in it")
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(samples.std())
    if not _LEAST_SPREAD < spread < 1.0 / _LEAST_SPREAD:
        raise InputError(f"samples that spread by {spread:.3g} cannot be computed with")
    return np.asarray(samples, dtype=np.float64)


def _levels(fitted: Fitted, base: float, unit: float, zero: float) -> tuple[float, ...]:
    shape, model = fitted.look.likelihood.shape, fitted.look.likelihood
    levels = base + model.on @ np.exp(fitted.parameters[shape.step])
    seen = fitted.look.smoothed.states.mean(axis=0) > 1e-3
    return tuple(float(level) * unit + zero for level in np.sort(levels[seen]))


def _deviation(residual: FloatArray, unit: float) -> Estimate:
    """Standard deviation; the interval counts as many independent samples as the correlation leaves."""
    power = np.abs(np.fft.rfft(residual - residual.mean())) ** 2
    independent = power[1:].sum() ** 2 / (power[1:] ** 2).sum() * 2.0 * 2.0
    value = float(residual.std()) * unit
    half = NORMAL_95 / np.sqrt(2.0 * max(min(independent, len(residual)), 2.0))
    return Estimate(value=value, low=value * float(np.exp(-half)), high=value * float(np.exp(half)))


def _slope(spectrum: Spectrum) -> Estimate:
    """Exponent of a power law through the lower tenth of the spectrum, by least squares of logarithms."""
    low = spectrum.frequency_hz <= spectrum.frequency_hz[-1] / 5.0
    low[: min(8, len(low))] = True
    x, y = np.log(spectrum.frequency_hz[low]), np.log(np.maximum(spectrum.density[low], 1e-300))
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    off = y - y.mean() - slope * x
    half = NORMAL_95 * float(np.sqrt((off @ off) / max(len(x) - 2, 1) / (x @ x)))
    return Estimate(value=slope, low=slope - half, high=slope + half)
