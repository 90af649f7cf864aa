"""How well the parameters of a fit are known: curvature of the likelihood, widened by the colour of the noise."""

from __future__ import annotations

import numpy as np

from memprog.analysis.noise.climbing import scales
from memprog.analysis.noise.colour import inflation
from memprog.analysis.noise.dependence import DEPENDENT, dependence
from memprog.analysis.noise.fit import Fitted
from memprog.analysis.noise.result import Estimate, Fluctuator
from memprog.chip import FloatArray

NORMAL_95 = 1.959964
_INSIDE = (0.05, 0.95)
"""Blur at which the curvature is taken at most: at its ends there is none to one side."""
FEW_SWITCHINGS = 6.0
"""With fewer the dwell times are known to no better than a factor of two."""
_ASIDE = 0.05
"""Step at which slopes are compared, in about the deviations of the parameters."""
_FLAT = 1e-3
"""Curvature below which a direction is not known, in about the inverse variances of the parameters."""
_BURSTS = 4.0
"""Three switchings in a row this many deviations above what the rates allow, and as many again."""


def covariance(fitted: Fitted) -> FloatArray:
    """Invert the curvature of the log-likelihood, (size, size); infinite where it is flat.

    Blur is taken as known only where the likelihood has no top in it: at an end it is looked at a little inside.
    """
    model, top = fitted.look.likelihood, fitted.parameters.copy()
    size = model.shape.size
    free = np.ones(size, dtype=bool)
    free[model.shape.blur] = model.shape.fluctuators > 0
    top[model.shape.blur] = np.clip(top[model.shape.blur], *_INSIDE)
    scale = scales(model, top)
    curvature = np.zeros((size, size))
    for k in np.flatnonzero(free):
        aside = np.zeros(size)
        aside[k] = _ASIDE * scale[k]
        (_, ahead), (_, behind) = model.slope(top + aside), model.slope(top - aside)
        curvature[k] = (behind - ahead) / (2.0 * _ASIDE) * scale
    known = np.zeros((size, size))
    free[model.shape.blur] &= bool(curvature[model.shape.blur, model.shape.blur] > _FLAT)
    if not np.isfinite(curvature).all():
        return np.asarray(known + np.inf)
    inner = (curvature + curvature.T)[np.ix_(free, free)] / 2.0
    values, vectors = np.linalg.eigh(inner)
    spread = np.where(values > _FLAT, 1.0 / np.maximum(values, _FLAT), np.inf)
    with np.errstate(invalid="ignore"):
        flat = ~np.isfinite(spread)
        inverse = (vectors[:, ~flat] * spread[~flat]) @ vectors[:, ~flat].T
        inverse[np.diag_indices(len(inverse))] += np.where((np.abs(vectors[:, flat]) > 0.1).any(axis=1), np.inf, 0.0)
    known[np.ix_(free, free)] = inverse
    return np.asarray(known * np.outer(scale, scale))


def fluctuators_of(fitted: Fitted, interval_s: float, unit: float) -> list[Fluctuator]:
    """Give each fluctuator with its intervals, in the order of the parameters.

    Args:
        fitted: the fit, to samples in ``unit``.
        interval_s: between two samples.
        unit: of the samples, in that of the trace.
    """
    known, shape, top = covariance(fitted), fitted.look.likelihood.shape, fitted.parameters
    found = []
    for k in range(shape.fluctuators):
        up, down, step = (part.start + k for part in (shape.up, shape.down, shape.step))
        balance = known[up, up] + known[down, down] - 2.0 * known[up, down]
        share = np.exp(top[up]) / (np.exp(top[up]) + np.exp(top[down]))
        switchings = 2.0 * len(fitted.residual) * share * np.exp(top[down])
        found.append(
            Fluctuator(
                step=_step_estimate(fitted, k, known[step, step], unit),
                tau_low_s=_log_estimate(-top[up], known[up, up], interval_s),
                tau_high_s=_log_estimate(-top[down], known[down, down], interval_s),
                occupancy=_share_estimate(top[up] - top[down], balance),
                switchings=float(switchings),
                trouble=_trouble(
                    float(switchings), known[[up, down, step], [up, down, step]], bursts=_comes_in_bursts(fitted, k)
                ),
            )
        )
    return found


def _step_estimate(fitted: Fitted, k: int, variance: float, unit: float) -> Estimate:
    """Give what the level moves by, on the average, when a fluctuator switches.

    The model's fluctuators are independent. Smaller ones that are not, because they sit in one state of the larger one
    only, move along with it. Then their share is added, and the interval covers the step without it, too: the model
    that it comes from is refuted.
    """
    shape, states, on = fitted.look.likelihood.shape, fitted.look.smoothed.states, fitted.look.likelihood.on
    steps, high, residual = np.exp(fitted.parameters[shape.step]), states @ on, fitted.residual
    alone = _log_estimate(float(np.log(steps[k])), variance * inflation(residual, high[:, k]), unit)
    moved, rest = 0.0, residual
    for j in np.flatnonzero(steps < steps[k]):
        if dependence(fitted.look, k, int(j)) > DEPENDENT:
            together = states @ (on[:, j] * on[:, k])
            share_up = together.sum() / high[:, k].sum()
            share_low = (high[:, j] - together).sum() / (1.0 - high[:, k]).sum()
            moved += float(steps[j] * (share_up - share_low))
            rest = rest + steps[j] * (high[:, j] - share_low - (share_up - share_low) * high[:, k])
    if moved == 0.0:
        return alone
    spread = variance * float(rest.var() / residual.var()) * inflation(rest, high[:, k])
    joint = _log_estimate(float(np.log(steps[k] + moved)), spread, unit)
    return Estimate(value=joint.value, low=min(alone.low, joint.low), high=max(alone.high, joint.high))


def _comes_in_bursts(fitted: Fitted, k: int) -> bool:
    """Say whether a fluctuator switches at three samples in a row far more often than its rates allow.

    This is how two levels imitate a third one between them, by samples that each lie between two switchings.
    """
    shape, high = fitted.look.likelihood.shape, fitted.look.likelihood.on[:, k]
    pairs = fitted.look.smoothed.pairs
    switching = pairs * np.abs(high[:, None] - high[None, :])
    # Of neighbours together, not each alone: where the moment is uncertain, each of several samples may be the one.
    onward = switching / np.maximum(pairs.sum(axis=2, keepdims=True), 1e-300)
    row = np.einsum("nj,njk,nkl->n", switching[:-2].sum(axis=1), onward[1:-1], onward[2:], optimize=True)
    seen = float(row.sum())
    up, down = float(np.exp(fitted.parameters[shape.up][k])), float(np.exp(fitted.parameters[shape.down][k]))
    settled = -float(np.expm1(-(up + down)))
    expected = float(switching.sum()) * up * down * (settled / (up + down)) ** 2
    return bool(seen > expected + _BURSTS * (1.0 + np.sqrt(expected)))


def _log_estimate(logarithm: float, variance: float, unit: float) -> Estimate:
    half = NORMAL_95 * np.sqrt(max(variance, 0.0))
    with np.errstate(over="ignore"):
        ends = np.exp([logarithm - half, logarithm, logarithm + half]) * unit
    return Estimate(value=float(ends[1]), low=float(ends[0]), high=float(ends[2]))


def _share_estimate(log_odds: float, variance: float) -> Estimate:
    half = NORMAL_95 * np.sqrt(max(variance, 0.0))
    low, value, high = (float(1.0 / (1.0 + np.exp(-odds))) for odds in (log_odds - half, log_odds, log_odds + half))
    return Estimate(value=value, low=low, high=high)


def _trouble(switchings: float, variances: FloatArray, *, bursts: bool) -> str:
    if switchings < FEW_SWITCHINGS:
        return "it switched too seldom for its dwell times to be known"
    if not np.isfinite(variances).all() or variances.max() > 1.0:
        return "step and dwell times cannot be told apart"
    if bursts:
        return "its switchings come in bursts, as if another level lay between its two"
    return ""
