"""The colour of what is left when the fluctuators are taken away: mains lines, correlation, spectrum."""

from __future__ import annotations

import numpy as np

from memprog.chip import FloatArray

_MOST_ORDERS = 100


def autoregressive_gain(residual: FloatArray) -> float:
    """Log-likelihood that an autoregressive Gaussian model gains over white noise, less Schwarz's penalty; 0 or more.

    Levinson's recursion gives the error of prediction for every order at once.
    """
    count = len(residual)
    orders = min(_MOST_ORDERS, count // 10)
    centred = residual - residual.mean()
    power = np.abs(np.fft.rfft(centred, 2 * count)) ** 2
    covariance = np.fft.irfft(power)[: orders + 1] / count
    if orders < 1 or covariance[0] <= 0:
        return 0.0
    errors = _prediction_errors(covariance)
    gains = -0.5 * count * np.log(errors / covariance[0]) - 0.5 * np.arange(orders + 1) * np.log(count)
    return float(max(gains.max(), 0.0))


def _prediction_errors(covariance: FloatArray) -> FloatArray:
    """Variance that is left unpredicted by orders 0, 1, ..., (orders + 1,); Levinson and Durbin."""
    errors = np.empty(len(covariance))
    errors[0] = covariance[0]
    filter_ = np.zeros(0)
    for order in range(1, len(covariance)):
        reflection = (covariance[order] - filter_ @ covariance[order - 1 : 0 : -1]) / errors[order - 1]
        filter_ = np.append(filter_ - reflection * filter_[::-1], reflection)
        errors[order] = errors[order - 1] * max(1.0 - reflection**2, 1e-12)
    return errors
