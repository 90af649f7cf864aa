"""How well the parameters of a fit are known: curvature of the likelihood, widened by the colour of the noise."""

from __future__ import annotations

import numpy as np

from memprog.analysis.noise.colour import inflation
from memprog.analysis.noise.fit import Fitted, scales
from memprog.analysis.noise.result import Estimate, Fluctuator
from memprog.chip import FloatArray

NORMAL_95 = 1.959964
FEW_SWITCHINGS = 6.0
"""With fewer the dwell times are known to no better than a factor of two."""


def covariance(fitted: Fitted) -> FloatArray:
    """Invert the curvature of the log-likelihood, (size, size); infinite where it is flat.

    A blur at its end is taken as known.
    """
    model, top = fitted.look.likelihood, fitted.parameters
    size = model.shape.size
    free = np.ones(size, dtype=bool)
    free[model.shape.blur] = 0.01 < top[model.shape.blur] < 0.99
    scale = scales(model, top)
    curvature = np.zeros((size, size))
    for k in np.flatnonzero(free):
        aside = np.zeros(size)
        aside[k] = 0.05 * scale[k]
        ahead, behind = model.look(top + aside).gradient(), model.look(top - aside).gradient()
        curvature[k] = (behind - ahead) / 0.1 * scale
    inner = (curvature + curvature.T)[np.ix_(free, free)] / 2.0
    values, vectors = np.linalg.eigh(inner)
    spread = np.where(values > 1e-3, 1.0 / np.maximum(values, 1e-3), np.inf)
    known = np.zeros((size, size))
    with np.errstate(invalid="ignore"):
        flat = ~np.isfinite(spread)
        inverse = (vectors[:, ~flat] * spread[~flat]) @ vectors[:, ~flat].T
        inverse[np.diag_indices(len(inverse))] += np.where((np.abs(vectors[:, flat]) > 0.1).any(axis=1), np.inf, 0.0)
    known[np.ix_(free, free)] = inverse
    return np.asarray(known * np.outer(scale, scale))


def fluctuators_of(fitted: Fitted, residual: FloatArray, interval_s: float, unit: float) -> tuple[Fluctuator, ...]:
    """Give each fluctuator with its intervals, the largest step first.

    Args:
        fitted: the fit, to samples in ``unit``.
        residual: samples less a path, (n,).
        interval_s: between two samples.
        unit: of the samples, in that of the trace.
    """
    known, shape, top = covariance(fitted), fitted.look.likelihood.shape, fitted.parameters
    states, on = fitted.look.smoothed.states, fitted.look.likelihood.on
    found = []
    for k in range(shape.fluctuators):
        up, down, step = (part.start + k for part in (shape.up, shape.down, shape.step))
        wider = inflation(residual, states @ on[:, k])
        balance = known[up, up] + known[down, down] - 2.0 * known[up, down]
        share = np.exp(top[up]) / (np.exp(top[up]) + np.exp(top[down]))
        switchings = 2.0 * len(residual) * share * np.exp(top[down])
        found.append(
            Fluctuator(
                step=_log_estimate(top[step], known[step, step] * wider, unit),
                tau_low_s=_log_estimate(-top[up], known[up, up], interval_s),
                tau_high_s=_log_estimate(-top[down], known[down, down], interval_s),
                occupancy=_share_estimate(top[up] - top[down], balance),
                switchings=float(switchings),
                trouble=_trouble(float(switchings), known[[up, down, step], [up, down, step]]),
            )
        )
    return tuple(sorted(found, key=lambda one: -one.step.value))


def _log_estimate(logarithm: float, variance: float, unit: float) -> Estimate:
    half = NORMAL_95 * np.sqrt(max(variance, 0.0))
    with np.errstate(over="ignore"):
        ends = np.exp([logarithm - half, logarithm, logarithm + half]) * unit
    return Estimate(value=float(ends[1]), low=float(ends[0]), high=float(ends[2]))


def _share_estimate(log_odds: float, variance: float) -> Estimate:
    half = NORMAL_95 * np.sqrt(max(variance, 0.0))
    low, value, high = (float(1.0 / (1.0 + np.exp(-odds))) for odds in (log_odds - half, log_odds, log_odds + half))
    return Estimate(value=value, low=low, high=high)


def _trouble(switchings: float, variances: FloatArray) -> str:
    if switchings < FEW_SWITCHINGS:
        return "it switched too seldom for its dwell times to be known"
    if not np.isfinite(variances).all() or variances.max() > 1.0:
        return "step and dwell times cannot be told apart"
    return ""
