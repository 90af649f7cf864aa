"""The colour of what is left when the fluctuators are taken away: mains lines, correlation, spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memprog.chip import FloatArray

_MOST_ORDERS = 100
_MOST_LINES = 12
_PIECES = 64
"""Into which a trace is cut to find the place of a line within a bin."""
_FALSE_ALARM = 1e-3
"""Chance that white noise shows one line anywhere in its spectrum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A single frequency in the noise, mains hum for example: amplitude in the trace's unit, phase at sample 0."""

    frequency_hz: float
    amplitude: float
    phase: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """Power spectral density by Welch's method: (frequencies,) in Hz and in the trace's unit squared a hertz."""

    frequency_hz: FloatArray
    density: FloatArray


def colour_gain(residual: FloatArray) -> float:
    """Log-likelihood that a coloured Gaussian model gains over white noise, less Schwarz's penalty; 0 or more.

    Two models, the better one counts: autoregression for what samples near each other share, white noise and a power
    law for what wanders over the whole trace.
    """
    return max(_autoregressive_gain(residual), _power_law_gain(residual), 0.0)


def _power_law_gain(residual: FloatArray) -> float:
    """Gain of ``1 + (corner / f) ** exponent`` over a flat spectrum, by Whittle's likelihood on a grid."""
    power = np.abs(np.fft.rfft(residual - residual.mean())[1:]) ** 2
    frequency = np.arange(1, len(power) + 1) / len(power)
    gains = []
    for exponent in (0.5, 1.0, 1.5, 2.0):
        corner = np.geomspace(0.3 / len(power), 1.0, 24)[:, None]
        shape = 1.0 + (corner / frequency) ** exponent
        flat = np.log(power.mean()) - np.log((power / shape).mean(axis=1))
        gains.append(float((len(power) * flat - np.log(shape).sum(axis=1)).max()))
    return max(gains) - float(np.log(len(residual)))


def _autoregressive_gain(residual: FloatArray) -> float:
    """Gain of the best order; Levinson's recursion gives the error of prediction for every order at once."""
    count = len(residual)
    orders = min(_MOST_ORDERS, count // 10)
    centred = residual - residual.mean()
    power = np.abs(np.fft.rfft(centred, 2 * count)) ** 2
    covariance = np.fft.irfft(power)[: orders + 1] / count
    if orders < 1 or covariance[0] <= 0:
        return 0.0
    errors = _prediction_errors(covariance)
    gains = -0.5 * count * np.log(errors / covariance[0]) - 0.5 * np.arange(orders + 1) * np.log(count)
    return float(gains.max())


def _prediction_errors(covariance: FloatArray) -> FloatArray:
    """Variance that is left unpredicted by orders 0, 1, ..., (orders + 1,); Levinson and Durbin."""
    errors = np.empty(len(covariance))
    errors[0] = covariance[0]
    predictor = np.zeros(0)
    for order in range(1, len(covariance)):
        reflection = (covariance[order] - predictor @ covariance[order - 1 : 0 : -1]) / errors[order - 1]
        predictor = np.append(predictor - reflection * predictor[::-1], reflection)
        errors[order] = errors[order - 1] * max(1.0 - reflection**2, 1e-12)
    return errors


def welch_spectrum(residual: FloatArray, interval_s: float) -> Spectrum:
    """Estimate the spectrum over eight half-overlapping pieces or more, mean removed."""
    from scipy.signal import welch

    piece = max(8, 2 * len(residual) // 9)
    frequency_hz, density = welch(residual, 1.0 / interval_s, nperseg=min(piece, len(residual)))
    return Spectrum(frequency_hz=frequency_hz[1:], density=density[1:])


def lines_in(residual: FloatArray, interval_s: float) -> tuple[Line, ...]:
    """Find single frequencies that stand out of their neighbourhood, the strongest first."""
    found: list[Line] = []
    rest = residual - residual.mean()
    for _ in range(_MOST_LINES):
        at = _strongest(rest)
        if at is None:
            break
        line = _refined(rest, at, interval_s)
        found.append(line)
        rest = rest - hum([line], len(rest), interval_s)
    return tuple(found)


def hum(lines: list[Line] | tuple[Line, ...], samples: int, interval_s: float) -> FloatArray:
    """Sum of lines at every sample, (samples,)."""
    time_s = np.arange(samples) * interval_s
    total = np.zeros(samples)
    for line in lines:
        total += line.amplitude * np.cos(2.0 * np.pi * line.frequency_hz * time_s + line.phase)
    return total


def _strongest(rest: FloatArray) -> int | None:
    """Place of the strongest line in the discrete spectrum, if there is one."""
    from scipy.ndimage import median_filter

    power = np.abs(np.fft.rfft(rest)) ** 2
    if len(power) < 32:
        return None
    # Of exponential power the median is ln 2 of the mean; slow colour is the ground's, not a line's.
    ground = median_filter(power[1:], size=31, mode="reflect") / np.log(2.0)
    above = power[1:] / np.maximum(ground, 1e-300)
    above[:3] = above[-3:] = 0.0  # a drift, and what cannot be told from the sampling, are no lines
    at = int(above.argmax())
    return at + 1 if above[at] > np.log(len(above) / _FALSE_ALARM) else None


def _refined(rest: FloatArray, at: int, interval_s: float) -> Line:
    """Amplitude and phase by least squares at the best frequency within a bin of the discrete spectrum."""
    time_s = np.arange(len(rest)) * interval_s
    bin_hz = 1.0 / (len(rest) * interval_s)
    # Within a bin the phase turns by so little over a piece that sums of pieces stand for its samples.
    cuts = np.unique(np.linspace(0, len(rest), _PIECES, endpoint=False).astype(int))
    pieces = np.add.reduceat(rest * np.exp(-2j * np.pi * at * bin_hz * time_s), cuts)
    middle_s = np.add.reduceat(time_s, cuts) / np.diff(cuts, append=len(rest))
    aside_hz = 0.0
    for reach in (0.6, 0.06, 0.006):
        tried_hz = aside_hz + np.linspace(-reach, reach, 25) * bin_hz
        aside_hz = float(tried_hz[np.abs(np.exp(-2j * np.pi * np.outer(tried_hz, middle_s)) @ pieces).argmax()])
    frequency_hz = at * bin_hz + aside_hz
    strength = complex(rest @ np.exp(-2j * np.pi * frequency_hz * time_s)) * 2.0 / len(rest)
    return Line(frequency_hz=frequency_hz, amplitude=abs(strength), phase=float(np.angle(strength)))


def inflation(residual: FloatArray, regressor: FloatArray) -> float:
    """How much more the regressor's coefficient varies than white noise of the same power would make it; 1 or more.

    Variance of least squares with coloured noise: the noise's power where the regressor has its own.
    """
    weight = np.abs(np.fft.rfft(regressor - regressor.mean())) ** 2
    power = np.abs(np.fft.rfft(residual - residual.mean())) ** 2
    if weight.sum() <= 0.0 or power.sum() <= 0.0:
        return 1.0
    half = max(2, len(power) // 200)
    kernel = np.full(2 * half + 1, 1.0 / (2 * half + 1))
    padded = np.concatenate([power[half:0:-1], power, power[-2 : -half - 2 : -1]])
    smooth = np.convolve(padded, kernel, mode="valid")[: len(power)]
    return float(max(1.0, (smooth * weight).sum() / weight.sum() / power.mean()))
