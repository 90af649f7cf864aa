"""What averaged samples may read: the densities are those of the exact law, and chances add up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import iv

from memprog.analysis.noise import analyse_noise
from memprog.analysis.noise.averages import Averages, averages, splines
from memprog.analysis.noise.model import Likelihood, transitions
from memprog.chip import FloatArray

UP, DOWN, STEP = 0.7, 0.4, 6.0


def density(known: Averages, readings: FloatArray) -> FloatArray:
    """Of readings between levels, for every pair of states: (n, states, states)."""
    places = (readings - known.first) / known.spacing
    below = np.floor(places).astype(np.intp)
    weights, _ = splines(places - below)
    return np.asarray(sum(weights[:, tap, None, None] * known.coefficients[below + tap - 1] for tap in range(4)))


def by_bessel(share: FloatArray) -> FloatArray:
    """Density of the share of an interval spent high, for every pair of states, (n, 2, 2); sure states left out.

    Pedler, Journal of Applied Probability 8 (1971) 381: occupation times of a chain of two states.
    """
    root = np.sqrt(UP * DOWN * share * (1.0 - share))
    decay = np.exp(-UP * (1.0 - share) - DOWN * share)
    stays = UP * DOWN * iv(1, 2.0 * root) / root
    moved = iv(0, 2.0 * root)
    low = np.stack([stays * (1.0 - share), UP * moved], axis=-1)
    high = np.stack([DOWN * moved, stays * share], axis=-1)
    return np.asarray(decay[:, None, None] * np.stack([low, high], axis=1))


def test_densities_are_those_of_the_exact_law() -> None:
    readings = np.linspace(-4.0, STEP + 4.0, 101)
    share = (np.arange(20_000) + 0.5) / 20_000
    bells = np.exp(-0.5 * (readings[:, None] - STEP * share) ** 2) / np.sqrt(2.0 * np.pi)
    expected = np.einsum("rs,sij->rij", bells, by_bessel(share)) / len(share)
    found = density(averages(np.array([UP]), np.array([DOWN]), np.array([STEP]), 1.0, 1.0), readings)
    np.testing.assert_allclose(found, expected, atol=2e-5 * expected.max())


@pytest.mark.parametrize("blur", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("fluctuators", [1, 2, 3])
def test_chances_of_all_readings_are_those_of_the_chain(fluctuators: int, blur: float) -> None:
    rng = np.random.default_rng(fluctuators)
    up, down = np.exp(rng.uniform(-9.0, 1.0, (2, fluctuators)))
    known = averages(up, down, np.array([5.0, 40.0, 0.3][:fluctuators]), 0.1, blur)
    on = Likelihood(np.zeros(2), np.ones((2, 1)), fluctuators).on
    whole = known.steady + known.coefficients.sum(axis=0) * known.spacing
    np.testing.assert_allclose(whole, transitions(up, down, on), rtol=1e-9, atol=1e-13)
    assert known.coefficients.min() > -1e-4 * known.coefficients.max()


def test_levels_far_apart_need_no_endless_grid() -> None:
    known = averages(np.array([0.1]), np.array([0.1]), np.array([1.0]), 1e-9, 1.0)
    assert len(known.coefficients) < 20_000


def averaged(seed: int, tau: float, count: int) -> FloatArray:
    """Share of each interval spent high, (count,); dwell times ``tau`` samples in both levels."""
    rng = np.random.default_rng(seed)
    ends = rng.exponential(tau, int(2 * count / tau + 100)).cumsum()
    spent = np.concatenate([[0.0], (np.diff(ends, prepend=0.0) * (np.arange(len(ends)) % 2)).cumsum()])
    return np.diff(np.interp(np.arange(count + 1.0), np.concatenate([[0.0], ends]), spent))


@pytest.mark.parametrize("step", [5.0, 20.0])
def test_levels_that_last_two_averaged_samples_keep_steps_and_dwell_times(step: float) -> None:
    samples = step * averaged(3, 2.0, 4000) + np.random.default_rng(4).normal(0.0, 1.0, 4000)
    noise = analyse_noise(samples, 1.0)
    (one,) = noise.fluctuators
    assert noise.blur > 0.9
    assert one.step.value == pytest.approx(step, rel=0.02)
    assert one.tau_low_s.value == pytest.approx(2.0, rel=0.12)
    assert one.tau_high_s.value == pytest.approx(2.0, rel=0.12)
    assert one.step.low < step < one.step.high
    assert one.step.high / one.step.low < 1.1
