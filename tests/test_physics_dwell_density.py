"""Published densities of dwell times, the laws they follow, and what is found in them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from memprog.errors import InputError
from memprog.physics.dwell_density import (
    AUTHORS_TAU0_S,
    AUTHORS_TAU1_S,
    exponential_density,
    fit_exponential,
    fit_rising,
    fit_smoothed,
    published_densities,
    rising_density,
    smoothed_density,
)

FINE_S = np.linspace(0.0, 0.3, 300_001)


def area(density: np.ndarray) -> float:
    return float(np.trapezoid(density, FINE_S))


def test_published_columns_have_their_state_bias_and_constant() -> None:
    found = published_densities()
    assert [column.name for column in found.columns] == [
        "measured_tau0_at_minus_0.15_v",
        "measured_tau0_at_minus_0.20_v",
        "measured_tau0_at_minus_0.25_v",
        "measured_tau1_at_minus_0.15_v",
        "measured_tau1_at_minus_0.20_v",
        "measured_tau1_at_minus_0.25_v",
        "simulated_tau0",
        "simulated_tau1_at_minus_0.15_v",
        "simulated_tau1_at_minus_0.20_v",
        "simulated_tau1_at_minus_0.25_v",
    ]
    constants = [column.authors_tau_s for column in found.columns]
    assert constants == [*AUTHORS_TAU0_S, *AUTHORS_TAU1_S, AUTHORS_TAU0_S[0], *AUTHORS_TAU1_S]
    assert found.time_s.shape == (49,)
    assert np.allclose(np.diff(found.time_s), 8e-4)
    assert found.columns[4].density[0] == pytest.approx(93.9036, abs=1e-4)


def test_columns_are_densities_over_linear_time_in_per_second() -> None:
    found = published_densities()
    step_s = found.time_s[1] - found.time_s[0]
    for column in found.columns:
        beyond = np.exp(-found.time_s[-1] / column.authors_tau_s)
        assert 0.85 < column.density.sum() * step_s + beyond < 1.0, column.name


def test_simulated_columns_are_the_rising_law_with_the_authors_constants_to_rounding() -> None:
    found = published_densities()
    for column in found.simulated:
        fit = fit_rising(found.time_s, column.density)
        assert fit.rms < 1e-12
        assert fit.tau_s == pytest.approx(column.authors_tau_s, rel=6e-3)
        assert 0.92 < fit.total < 0.9501


def test_measured_columns_are_within_a_seventh_of_the_authors_constants_when_smoothing_is_in_the_law() -> None:
    found = published_densities()
    for column in found.measured:
        fit = fit_smoothed(found.time_s, column.density)
        assert fit.tau_s == pytest.approx(column.authors_tau_s, rel=0.12), column.name
        assert fit.rms < 1.5
        assert fit_exponential(found.time_s, column.density) > 1.08 * fit.tau_s


def test_dwell_time_of_state_1_falls_with_bias_and_that_of_state_0_does_not() -> None:
    found = published_densities()
    taus = [fit_smoothed(found.time_s, column.density).tau_s for column in found.measured]
    assert max(taus[:3]) < 1.1 * min(taus[:3])
    assert taus[3] > 1.5 * taus[4] > 2.5 * taus[5]


@pytest.mark.parametrize("kernel_s", [1e-4, 1e-3, 5e-3])
def test_smoothed_law_is_the_exponential_under_a_gaussian(kernel_s: float) -> None:
    dwells = np.random.default_rng(3).exponential(0.01, 400_000)
    shown = dwells + np.random.default_rng(4).normal(0.0, kernel_s, len(dwells))
    edges = np.array([0.0, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.04])
    counted = np.histogram(shown, edges)[0] / len(dwells)
    density = smoothed_density(FINE_S, 0.01, kernel_s)
    expected = [float(np.trapezoid(density[part], FINE_S[part])) for part in between(edges)]
    assert counted == pytest.approx(expected, abs=3e-3)


def between(edges: np.ndarray) -> list[np.ndarray]:
    at = np.searchsorted(FINE_S, edges)
    return [np.arange(first, last + 1) for first, last in itertools.pairwise(at)]


def test_laws_have_the_integrals_they_say() -> None:
    assert area(exponential_density(FINE_S, 0.01)) == pytest.approx(1.0, abs=1e-6)
    assert area(rising_density(FINE_S, 0.01, 0.001, 0.95)) == pytest.approx(0.95, abs=1e-6)
    assert area(smoothed_density(FINE_S, 0.01, 1e-5)) == pytest.approx(1.0, abs=1e-3)


def test_fits_find_what_they_were_given() -> None:
    time_s = published_densities().time_s
    assert fit_exponential(time_s, exponential_density(time_s, 0.007)) == pytest.approx(0.007, rel=1e-6)
    assert fit_smoothed(time_s, smoothed_density(time_s, 0.02, 0.002))[:2] == pytest.approx((0.02, 0.002), rel=1e-6)
    fit = fit_rising(time_s, rising_density(time_s, 0.004, 0.0006, 0.9))
    assert fit[:3] == pytest.approx((0.004, 0.0006, 0.9), rel=1e-6)


def test_what_cannot_fix_a_law_is_refused() -> None:
    time_s = np.array([0.001, 0.002])
    with pytest.raises(InputError, match="cannot fix 3 parameters"):
        fit_rising(time_s, np.ones(2))
    with pytest.raises(InputError, match=r"\(2,\) times and \(3,\) densities"):
        fit_exponential(time_s, np.ones(3))
    with pytest.raises(InputError, match="not finite"):
        fit_exponential(time_s, np.array([1.0, np.nan]))
