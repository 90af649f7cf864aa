"""The likelihood of a noisy trace: compiled or not, value and gradient are the same, and the gradient is one."""

from __future__ import annotations

import numpy as np
import pytest

from memprog.analysis.noise import drift_basis
from memprog.analysis.noise.model import Likelihood
from memprog.chip import FloatArray


def likelihood(fluctuators: int, blur: float) -> tuple[Likelihood, FloatArray]:
    """A trace with nothing of the model in it, a glitch included, and parameters near nowhere."""
    rng = np.random.default_rng(fluctuators)
    samples = rng.standard_normal(400) + np.repeat(rng.integers(0, 2, 40), 10) * 3.0
    samples[7] = 1e4
    rates, steps = rng.uniform(-4.0, -1.0, 2 * fluctuators), np.log([3.0, 1.5, 0.8][:fluctuators])
    return Likelihood(samples, drift_basis(400, 1), fluctuators), np.concatenate([rates, steps, [0.3, 0.2, 0.1, blur]])


@pytest.mark.parametrize("blur", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("fluctuators", [0, 1, 2, 3])
def test_value_and_gradient_are_the_same_compiled(fluctuators: int, blur: float) -> None:
    pytest.importorskip("numba")
    model, parameters = likelihood(fluctuators, blur)
    look = model.look(parameters)
    value, gradient = model.slope(parameters)
    assert value == pytest.approx(look.log_likelihood, rel=1e-9)
    np.testing.assert_allclose(gradient, look.gradient(), rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("blur", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("fluctuators", [1, 2, 3])
def test_the_gradient_is_what_differences_give(fluctuators: int, blur: float) -> None:
    model, parameters = likelihood(fluctuators, blur)
    model.samples[7] = 0.0
    gradient = model.look(parameters).gradient()
    for k in range(len(parameters) - (blur == 0.0)):
        aside = np.zeros(len(parameters))
        aside[k] = 1e-5
        ahead, behind = model.look(parameters + aside), model.look(parameters - aside)
        slope = (ahead.log_likelihood - behind.log_likelihood) / 2e-5
        assert gradient[k] == pytest.approx(slope, rel=1e-5, abs=1e-4)
