"""What several traces say together: dwell times for each bias, and whether they depend on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memprog.analysis.noise.intervals import NORMAL_95
from memprog.analysis.noise.result import Estimate

SIGNIFICANT = 0.01
"""Chance of a trend as steep where there is none, below which a trend is called significant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """One dwell time under one bias from several traces.

    ``scatter`` is the deviation between traces in units of what their intervals expect: about 1 where they are alike.
    Where it is larger the interval has been widened by it.
    """

    bias_v: float
    traces: int
    tau_s: Estimate
    scatter: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How the logarithm of a dwell time moves with the bias, 1/V, and the chance of as much without dependence."""

    slope_per_v: Estimate
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether the dwell time depends on the bias."""
        return self.p_value < SIGNIFICANT


def pool(bias_v: float, taus: Sequence[Estimate]) -> Pooled:
    """Join dwell times that are alike: the most likely common one.

    Dwell times are exponential: the likelihood of n of them with mean t is that of n numbers alone, and the most likely
    common mean is the mean weighted by n. Each trace counts as many dwells as its interval is worth.
    """
    worth = np.array([_worth(tau) for tau in taus])
    values = np.array([tau.value for tau in taus])
    value = float(worth @ values / worth.sum())
    # Twice the log-likelihood ratio of own means against a common one.
    ratio = values / value
    deviance = 2.0 * float((worth * (ratio - 1.0 - np.log(ratio))).sum())
    scatter = float(np.sqrt(deviance / (len(taus) - 1))) if len(taus) > 1 else 1.0
    half = NORMAL_95 / float(np.sqrt(worth.sum())) * max(scatter, 1.0)
    tau = Estimate(value=value, low=value * float(np.exp(-half)), high=value * float(np.exp(half)))
    return Pooled(bias_v=bias_v, traces=len(taus), tau_s=tau, scatter=scatter)


def trend(pooled: Sequence[Pooled]) -> Trend | None:
    """Fit a straight line through log tau against |bias|, weighted; None with fewer than two biases."""
    from scipy.stats import norm

    bias = np.array([abs(one.bias_v) for one in pooled])
    if len(np.unique(bias)) < 2:
        return None
    logs = np.log([one.tau_s.value for one in pooled])
    weights = np.array([_worth(one.tau_s) for one in pooled])
    aside = bias - weights @ bias / weights.sum()
    information = float(weights @ aside**2)
    slope = float(weights @ (aside * logs)) / information
    error = information**-0.5
    estimate = Estimate(value=slope, low=slope - NORMAL_95 * error, high=slope + NORMAL_95 * error)
    return Trend(slope_per_v=estimate, p_value=float(2.0 * norm.sf(abs(slope) / error)))


def _worth(tau: Estimate) -> float:
    """Number of exponential dwell times that would be known as well."""
    width = np.log(tau.high / tau.low) / (2.0 * NORMAL_95) if tau.low > 0 and np.isfinite(tau.high) else np.inf
    return float(max(width, 1e-6) ** -2)
