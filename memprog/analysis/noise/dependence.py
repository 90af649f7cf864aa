"""Whether the fluctuators of a fit are independent of each other, as the model has them."""

from __future__ import annotations

import itertools

import numpy as np

from memprog.analysis.noise.model import Look

DEPENDENT = 3.0
"""Correlation between two fluctuators, in units of what independent ones show by chance, that refutes independence."""


def dependence(look: Look, k: int, j: int) -> float:
    """Correlation of two fluctuators over its standard deviation if they were independent.

    Of two independent telegraph signals the correlation varies as the sum of the products of their autocorrelations.
    """
    shape, states, on = look.likelihood.shape, look.smoothed.states, look.likelihood.on
    one, other = states @ on[:, k], states @ on[:, j]
    one, other = one - one.mean(), other - other.mean()
    power = float((one @ one) * (other @ other))
    if power <= 0.0:
        return 0.0
    rates = np.exp(look.parameters[shape.up]) + np.exp(look.parameters[shape.down])
    chance = 1.0 / np.sqrt(len(one) * np.tanh(float(rates[k] + rates[j]) / 2.0))
    return float(abs(one @ other) / np.sqrt(power) / chance)


def are_independent(look: Look) -> bool:
    """Say whether no pair of fluctuators refutes that they are."""
    pairs = itertools.combinations(range(look.likelihood.shape.fluctuators), 2)
    return all(dependence(look, k, j) < DEPENDENT for k, j in pairs)
