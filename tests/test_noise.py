"""Traces of known truth: what the analysis of noise must find in them, and must not."""

from __future__ import annotations

import numpy as np
import pytest

from memprog.analysis.noise import Noise, analyse_noise, drift_basis
from memprog.analysis.noise.chain import smooth, sweep_in_blocks
from memprog.analysis.noise.coarse import coarse_starts
from memprog.analysis.noise.colour import hum, lines_in
from memprog.analysis.noise.model import Likelihood, stationary, transitions
from memprog.analysis.noise.plateaus import plateaus_of
from memprog.analysis.noise.pooled import pool, trend
from memprog.analysis.noise.result import Estimate
from memprog.chip import FloatArray
from memprog.errors import InputError

INTERVAL_S = 2e-4


def telegraph(rng: np.random.Generator, tau_low: float, tau_high: float, samples: int) -> FloatArray:
    """0 and 1 at instants, one apart; mean dwell times in samples."""
    total = 1.0 / tau_low + 1.0 / tau_high
    settled = -np.expm1(-total)
    leave = (settled / tau_low / total, settled / tau_high / total)
    state = int(rng.random() < tau_high / (tau_low + tau_high))
    found: list[int] = []
    while len(found) < samples:
        found += [state] * int(rng.geometric(leave[state]))
        state = 1 - state
    return np.array(found[:samples], dtype=np.float64)


def holds(estimate: Estimate, truth: float, slack: float = 1.0) -> bool:
    """Whether truth lies in the interval, widened on a logarithmic scale."""
    middle = estimate.value
    return middle * (estimate.low / middle) ** slack <= truth <= middle * (estimate.high / middle) ** slack


def test_one_fluctuator_is_found_with_its_step_and_dwell_times() -> None:
    rng = np.random.default_rng(1)
    samples = 98.0 + 2.5 * telegraph(rng, 57.0, 37.0, 5000) + rng.normal(0.0, 0.4, 5000)
    noise = analyse_noise(samples, INTERVAL_S)
    assert len(noise.fluctuators) == 1
    found = noise.fluctuators[0]
    assert holds(found.step, 2.5, 1.5)
    assert holds(found.tau_low_s, 57 * INTERVAL_S, 1.5)
    assert holds(found.tau_high_s, 37 * INTERVAL_S, 1.5)
    assert holds(noise.noise, 0.4, 1.5)
    assert noise.levels == pytest.approx([98.0, 100.5], abs=0.05)
    assert found.trouble == ""


def test_two_fluctuators_make_four_levels() -> None:
    rng = np.random.default_rng(2)
    samples = telegraph(rng, 200.0, 120.0, 6000) * 3.0 + telegraph(rng, 20.0, 25.0, 6000) + rng.normal(0, 0.5, 6000)
    noise = analyse_noise(samples, INTERVAL_S)
    assert [round(one.step.value) for one in noise.fluctuators] == [3, 1]
    assert noise.levels == pytest.approx([0.0, 1.0, 3.0, 4.0], abs=0.15)


def test_a_step_hidden_in_noise_is_found_by_its_slowness() -> None:
    rng = np.random.default_rng(3)
    samples = telegraph(rng, 150.0, 100.0, 8000) + rng.normal(0.0, 1.0, 8000)
    noise = analyse_noise(samples, INTERVAL_S)
    assert len(noise.fluctuators) == 1
    assert holds(noise.fluctuators[0].step, 1.0, 1.5)


@pytest.mark.parametrize("seed", range(3))
def test_white_noise_has_no_fluctuator(seed: int) -> None:
    noise = analyse_noise(np.random.default_rng(seed).normal(size=4000), INTERVAL_S)
    assert noise.fluctuators == ()
    assert noise.colour.low < 0.2
    assert abs(noise.lag1) < 0.06


def test_coloured_noise_is_no_fluctuator() -> None:
    rng = np.random.default_rng(5)
    frequency = np.fft.rfftfreq(6000)
    shaped = np.fft.rfft(rng.normal(size=6000))
    shaped[1:] /= np.sqrt(frequency[1:])
    shaped[0] = 0.0
    noise = analyse_noise(np.fft.irfft(shaped) + rng.normal(size=6000), INTERVAL_S)
    assert noise.fluctuators == ()
    assert -1.4 < noise.colour.value < -0.5


def test_hum_is_taken_for_lines_and_not_for_fluctuators() -> None:
    rng = np.random.default_rng(6)
    time_s = np.arange(5000) * INTERVAL_S
    samples = 2.0 * telegraph(rng, 60.0, 50.0, 5000) + rng.normal(0.0, 0.05, 5000)
    samples += 0.1 * np.cos(2 * np.pi * 60.0 * time_s) + 0.12 * np.cos(2 * np.pi * 180.0 * time_s + 1.0)
    noise = analyse_noise(samples, INTERVAL_S)
    assert len(noise.fluctuators) == 1
    amplitudes = {round(line.frequency_hz): line.amplitude for line in noise.lines}
    assert amplitudes[60] == pytest.approx(0.1, rel=0.2)
    assert amplitudes[180] == pytest.approx(0.12, rel=0.2)
    assert noise.noise.value == pytest.approx(0.05, rel=0.1)


@pytest.mark.long
def test_hum_that_two_fluctuators_hide_is_no_third_one() -> None:
    rng = np.random.default_rng(16)
    samples = 3.2 * telegraph(rng, 20.0, 20.0, 10_000) + 2.0 * telegraph(rng, 30.0, 60.0, 10_000)
    samples += rng.normal(0.0, 1.0, 10_000) + 0.3 * np.cos(2.0 * np.pi * 0.012 * np.arange(10_000))
    noise = analyse_noise(samples, INTERVAL_S)
    assert [round(one.step.value) for one in noise.fluctuators] == [3, 2]
    assert [round(line.frequency_hz) for line in noise.lines] == [60]


@pytest.mark.long
def test_steps_in_averaged_samples_keep_their_size_where_noise_hides_what_lies_between() -> None:
    """Without blur the steps come out smaller by an error or more: the mean over several traces shows it."""
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        fine = telegraph(rng, 200.0, 200.0, 50_000).reshape(-1, 10).mean(axis=1)
        (one,) = analyse_noise(2.0 * fine + rng.normal(0.0, 1.0, 5000), INTERVAL_S).fluctuators
        assert holds(one.step, 2.0, 1.5)
        assert one.trouble == ""
        found.append(one.step.value)
    assert np.mean(found) == pytest.approx(2.0, abs=0.04)


def test_two_fluctuators_that_never_rest_are_found_by_their_levels() -> None:
    rng = np.random.default_rng(21)
    samples = 3.2 * telegraph(rng, 2.0, 2.0, 3000) + 2.0 * telegraph(rng, 3.0, 6.0, 3000) + rng.normal(0.0, 0.1, 3000)
    noise = analyse_noise(samples, INTERVAL_S)
    assert [round(one.step.value, 1) for one in noise.fluctuators] == [3.2, 2.0]
    assert noise.blur < 0.1


def test_steps_that_noise_hides_are_told_from_their_sums_by_a_coarse_view() -> None:
    """One fluctuator at a time ends in sums of steps here: 3.1, 1.6 and 0.9."""
    rng = np.random.default_rng(5)
    samples = rng.normal(0.0, 1.0, 12_000)
    for step, tau in ((2.3, 1000.0), (1.6, 300.0), (1.0, 150.0)):
        samples += step * telegraph(rng, tau, tau, 12_000)
    model = Likelihood(samples, drift_basis(12_000, 1), 3)
    best = max(coarse_starts(model), key=lambda start: model.slope(start)[0])
    assert np.sort(np.exp(best[model.shape.step])) == pytest.approx([1.0, 1.6, 2.3], rel=0.15)


def test_drift_is_removed_and_told() -> None:
    rng = np.random.default_rng(7)
    samples = telegraph(rng, 40.0, 40.0, 4000) * 2.0 + np.linspace(0.0, 3.0, 4000) + rng.normal(0, 0.3, 4000)
    noise = analyse_noise(samples, INTERVAL_S)
    assert noise.drift == pytest.approx(3.0, abs=0.15)
    assert holds(noise.fluctuators[0].step, 2.0, 1.5)


def test_samples_that_average_over_a_switching_are_no_third_level() -> None:
    rng = np.random.default_rng(8)
    fine = telegraph(rng, 600.0, 500.0, 60_000).reshape(-1, 10).mean(axis=1)
    noise = analyse_noise(fine * 2.0 + rng.normal(0.0, 0.05, 6000), INTERVAL_S)
    assert len(noise.fluctuators) == 1
    assert noise.blur > 0.8
    assert holds(noise.fluctuators[0].tau_low_s, 60 * INTERVAL_S, 1.5)


def test_unit_of_the_trace_does_not_matter() -> None:
    rng = np.random.default_rng(9)
    samples = telegraph(rng, 40.0, 60.0, 2000) + rng.normal(0.0, 0.2, 2000)

    def step(noise: Noise) -> float:
        return noise.fluctuators[0].step.value

    whole = step(analyse_noise(samples, INTERVAL_S))
    assert step(analyse_noise(samples * 1e-7 + 2e-5, INTERVAL_S)) == pytest.approx(whole * 1e-7, rel=1e-3)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros(10), "too short"),
        (np.ones(500), "no noise"),
        (np.append(np.zeros(500), np.nan), "sample 500"),
        (np.zeros((500, 2)), "too short"),
        (np.append(np.zeros(500), 1e200), "cannot be computed"),
        (np.append(np.zeros(500), 1e-310), "cannot be computed"),
    ],
)
def test_what_is_no_trace_is_refused(samples: FloatArray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        analyse_noise(samples, INTERVAL_S)


@pytest.mark.parametrize("fluctuators", [0, 1, 2, 3])
@pytest.mark.parametrize("blur", [0.0, 0.6])
def test_gradient_is_the_slope_of_the_likelihood(fluctuators: int, blur: float) -> None:
    rng = np.random.default_rng(fluctuators)
    steps = 0.9 + 0.6 * np.arange(fluctuators)
    samples = sum((step * telegraph(rng, 20.0, 30.0, 400) for step in steps), rng.normal(0, 0.3, 400))
    model = Likelihood(samples, np.vander(np.linspace(-1, 1, 400), 2, increasing=True), fluctuators)
    rates = np.full(fluctuators, -3.2)
    point = np.concatenate([rates, rates + 0.3, np.log(steps), [0.1, 0.05, np.log(0.35), blur]])
    slope = model.look(point).gradient()
    for k in range(model.shape.size - (blur == 0.0)):
        aside = np.zeros(model.shape.size)
        aside[k] = 1e-5
        ahead, behind = (model.look(point + sign * aside).log_likelihood for sign in (1, -1))
        assert slope[k] == pytest.approx((ahead - behind) / 2e-5, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize(("states", "samples"), [(1, 2), (2, 3), (2, 50), (3, 200), (8, 101)])
def test_blocks_give_what_going_sample_by_sample_gives(states: int, samples: int) -> None:
    rng = np.random.default_rng(states * samples)
    first, weights = rng.random(states), rng.random((samples - 1, states, states))
    forward, log_likelihood = first / first.sum(), np.log(first.sum())
    for step in weights:
        forward = forward @ step
        log_likelihood += np.log(forward.sum())
        forward /= forward.sum()
    found, pairs = sweep_in_blocks(first, weights)
    assert found == pytest.approx(log_likelihood, rel=1e-12)
    assert np.allclose(pairs.sum(axis=(1, 2)), 1.0)
    assert np.allclose(pairs[-1].sum(axis=0), forward)
    assert np.allclose(smooth(first, weights).pairs, pairs, rtol=1e-9, atol=1e-12)


def test_chances_of_one_interval_are_those_of_the_continuous_chain() -> None:
    on = np.array([[0.0], [1.0]])
    up, down = np.array([0.7]), np.array([0.4])
    from scipy.linalg import expm

    exact = expm(np.array([[-0.7, 0.7], [0.4, -0.4]]))
    assert np.allclose(transitions(up, down, on), exact)
    assert np.allclose(stationary(up, down, on) @ exact, stationary(up, down, on))


def test_lines_are_found_at_their_frequency_and_phase() -> None:
    rng = np.random.default_rng(11)
    time_s = np.arange(4000) * INTERVAL_S
    truth = 0.5 * np.cos(2 * np.pi * 50.3 * time_s + 0.7)
    lines = lines_in(truth + rng.normal(size=4000), INTERVAL_S)
    assert [round(line.frequency_hz, 0) for line in lines] == [50.0]
    assert np.abs(hum(lines, 4000, INTERVAL_S) - truth).max() < 0.15


def test_plateaus_leave_out_ramps_pauses_and_zero_bias() -> None:
    bias = np.concatenate([np.zeros(800), np.linspace(0, 0.15, 500), np.full(3000, 0.15), np.full(2000, 0.2)])
    bias += np.random.default_rng(0).normal(0, 1.5e-4, len(bias))
    time_s = np.arange(len(bias)) * INTERVAL_S
    time_s[5000:] += 1.0
    found = plateaus_of(time_s, bias, 500)
    assert [round(one.bias_v, 3) for one in found] == [0.15, 0.2, 0.2]
    assert found[0].first > 1300
    assert found[0].last <= 4300
    assert found[1].last <= 5000 <= found[2].first
    assert all(one.interval_s == pytest.approx(INTERVAL_S) for one in found)


def test_pooled_dwell_times_are_weighted_by_how_many_there_were() -> None:
    many = Estimate(value=2.0, low=2.0 * np.exp(-0.196), high=2.0 * np.exp(0.196))
    few = Estimate(value=1.5, low=1.5 * np.exp(-0.98), high=1.5 * np.exp(0.98))
    pooled = pool(0.2, [many, few])
    assert pooled.tau_s.value == pytest.approx((100 * 2.0 + 4 * 1.5) / 104, rel=1e-3)
    assert pooled.tau_s.high / pooled.tau_s.low == pytest.approx(np.exp(2 * 1.96 / np.sqrt(104)), rel=1e-3)


def test_a_trend_is_significant_only_where_there_is_one() -> None:
    def at(bias_v: float, tau: float) -> Estimate:
        return Estimate(value=tau, low=tau * 0.9, high=tau / 0.9)

    falling = trend([pool(v, [at(v, np.exp(-11.0 * v))]) for v in (0.15, 0.2, 0.25)])
    level = trend([pool(v, [at(v, tau)]) for v, tau in ((0.15, 1.0), (0.2, 1.03), (0.25, 0.98))])
    assert falling is not None
    assert level is not None
    assert falling.significant
    assert falling.slope_per_v.low < -11.0 < falling.slope_per_v.high
    assert not level.significant
    assert trend([pool(0.2, [at(0.2, 1.0)])]) is None
