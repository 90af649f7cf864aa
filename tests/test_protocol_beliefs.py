"""What the loop believes of cells: switching voltages, the gate's ceiling, and how they relax."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop_cases import small_profile

from memprog.chip import FloatArray
from memprog.protocol.drift import LARGEST_USIEMENS, Drift
from memprog.protocol.response import RESET, SET, LastPulse, Response, moved

PROFILE = small_profile()
SETTINGS = PROFILE.protocol
ONE = np.zeros(1, dtype=np.int64)


def in_series(memristor: FloatArray) -> FloatArray:
    """A memristor behind its nominal access transistor."""
    transistor = 1e6 / SETTINGS.access_ohm
    return memristor * transistor / (memristor + transistor)


@given(memristor=st.floats(10.0, 8000.0))
def test_the_memristor_is_what_stands_in_series_with_the_transistor(memristor: float) -> None:
    response = Response(1, PROFILE)
    alone = response.memristor(in_series(np.array([memristor])))
    assert alone[0] == pytest.approx(memristor, rel=1e-9)
    assert alone[0] - in_series(alone)[0] > 0


@given(memristor=st.floats(10.0, 8000.0))
def test_the_slope_is_how_much_of_a_step_shows(memristor: float) -> None:
    step = 1e-3
    shown = (in_series(np.array([memristor + step])) - in_series(np.array([memristor - step]))) / (2.0 * step)
    assert Response(1, PROFILE).slope(np.array([memristor]))[0] == pytest.approx(shown[0], rel=1e-5)


def test_what_is_beyond_the_range_counts_as_full_scale_and_what_is_unread_as_unread() -> None:
    alone = Response(1, PROFILE).memristor(np.array([np.inf, 5000.0, np.nan, -3.0, 0.0]))
    assert alone[0] == alone[1] == pytest.approx(10_000.0)
    assert np.isnan(alone[2])
    assert (alone[3:] > 0).all()


@given(
    polarity=st.sampled_from([SET, RESET]),
    memristor=st.floats(5.0, 10_000.0),
    step=st.floats(1e-3, 1e5),
    belief_v=st.floats(-3.0, 6.0),
)
def test_no_amplitude_is_beyond_its_limit(polarity: int, memristor: float, step: float, belief_v: float) -> None:
    response = Response(1, PROFILE)
    response.median_v[:] = belief_v
    volts = response.voltage(ONE, np.array([polarity]), np.array([memristor]), np.array([step]))[0]
    assert 0.0 <= volts <= (PROFILE.limits.set_max_v if polarity == SET else PROFILE.limits.reset_max_v)


@given(ceiling=st.floats(-1e3, 1e5))
def test_no_gate_is_beyond_its_limit(ceiling: float) -> None:
    assert 0.0 <= Response(1, PROFILE).gate_voltage(ONE, np.array([ceiling]))[0] <= PROFILE.limits.gate_max_v


def test_a_larger_step_and_a_wider_cell_take_more_volts_in_reset() -> None:
    response, polarity = Response(1, PROFILE), np.array([RESET])
    small, large = (response.voltage(ONE, polarity, np.array([1000.0]), np.array([step]))[0] for step in (1.0, 20.0))
    wide = response.voltage(ONE, polarity, np.array([5000.0]), np.array([20.0]))[0]
    assert small < large < wide
    # At 1,000 uS a step of 20 uS takes the first guess across the memristor.
    assert response.across(np.array([large]), polarity, np.array([1000.0]))[0] == pytest.approx(SETTINGS.reset_first_v)


def pulsed(response: Response, polarity: int, true_v: float, times: int, rng: np.random.Generator) -> None:
    """Let cells of one true median voltage answer pulses meant for 10 uS, and the response learn from it."""
    n = response.median_v.shape[1]
    at, sides, before = np.arange(n), np.full(n, polarity), np.full(n, 1000.0)
    for _ in range(times):
        last = LastPulse(n)
        volts = response.voltage(at, sides, before, np.full(n, 10.0))
        across_v = response.across(volts, sides, before)
        last.note(at, sides, across_v, before, np.full(n, 5.0), np.zeros(n))
        step = SETTINGS.step_usiemens * np.exp((across_v - true_v) / SETTINGS.step_slope_v)
        step *= np.exp(SETTINGS.step_slope_v * rng.standard_normal(n))
        after = before + (step if polarity == SET else -step)
        response.learn(at, last, after, np.full(n, 0.5))


@pytest.mark.parametrize("polarity", [SET, RESET])
@pytest.mark.parametrize("off_v", [0.15, -0.1])
def test_the_switching_voltage_of_a_cell_is_learned_and_only_on_the_side_that_was_pulsed(
    polarity: int, off_v: float
) -> None:
    response = Response(50, PROFILE)
    first_v = response.median_v.copy()
    errors = []
    for _ in range(4):
        pulsed(response, polarity, float(first_v[polarity, 0]) + off_v, 1, np.random.default_rng(7))
        errors.append(float(np.abs(response.median_v[polarity] - first_v[polarity] - off_v).mean()))
    assert errors[0] < 0.6 * abs(off_v)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.02
    np.testing.assert_array_equal(response.median_v[1 - polarity], first_v[1 - polarity])


def test_a_step_that_could_not_be_seen_nor_was_expected_teaches_nothing() -> None:
    response = Response(1, PROFILE)
    first_v, last = response.median_v.copy(), LastPulse(1)
    last.note(ONE, np.array([RESET]), np.array([0.5]), np.array([1000.0]), np.array([5.0]), np.zeros(1))
    response.learn(ONE, last, np.array([1000.1]), np.array([0.5]))
    np.testing.assert_array_equal(response.median_v, first_v)


def test_where_a_coarse_set_ended_is_learned_as_the_ceiling_of_its_gate() -> None:
    response = Response(3, PROFILE)
    at, sides, before = np.arange(3), np.full(3, SET), np.full(3, 200.0)
    asked = response.gate_voltage(at, np.full(3, 2000.0))
    last = LastPulse(3)
    last.note(at, sides, np.full(3, 2.5), before, asked, np.zeros(3))
    response.learn(at, last, np.array([1800.0, 2000.0, 2200.0]), np.full(3, 1.0))
    again = response.gate_voltage(at, np.full(3, 2000.0))
    assert again[0] > asked[0] + 0.05
    assert again[1] == pytest.approx(asked[1], abs=1e-9)
    assert again[2] < asked[2] - 0.05
    assert response.median_v.tolist() == Response(3, PROFILE).median_v.tolist()


def test_denoising_is_done_from_the_side_that_is_further_from_switching() -> None:
    response = Response(3, PROFILE)
    response.median_v[SET, 0] += 0.2
    response.median_v[RESET, 1] += 0.2
    assert response.safer_polarity(np.arange(3)).tolist() == [SET, RESET, RESET]


def test_a_cell_has_moved_when_it_clearly_left_where_it_was_found() -> None:
    first = np.array([100.0, 100.0, 4000.0, 4000.0, np.nan])
    assert moved(first, np.array([104.0, 120.0, 4100.0, 3700.0, 100.0])).tolist() == [False, True, False, True, False]


TIMES_S = np.array([1.0, 3.0, 10.0, 30.0, 100.0])


def relaxing(rates: FloatArray, *, noise: float = 0.0, looks: int = len(TIMES_S)) -> Drift:
    """Cells pulsed at 0 s that change by a rate an e-fold of time, looked at a few times."""
    rng, at = np.random.default_rng(11), np.arange(len(rates))
    drift = Drift(len(rates))
    drift.disturb(at, 0.0, np.ones(len(rates), dtype=bool))
    for time_s in TIMES_S[:looks]:
        line = 1000.0 + rates * np.log(time_s) + noise * rng.standard_normal(len(rates))
        drift.note(at, line, float(time_s))
    return drift


def test_the_share_of_the_way_that_relaxes_is_learned_from_all_cells() -> None:
    travel = np.array([500.0, -300.0, 1500.0, 40.0, np.nan])
    drift = relaxing(np.where(np.isnan(travel), 3.0, -0.0004 * travel))
    drift.learn_share(np.arange(5), travel)
    assert drift.share == pytest.approx(-0.0004)


def test_the_share_is_learned_through_noise_and_spread_from_cell_to_cell() -> None:
    rng = np.random.default_rng(2)
    travel = rng.uniform(-2000.0, 2000.0, 500)
    drift = relaxing(-0.0003 * travel * (1.0 + 0.5 * rng.standard_normal(500)), noise=0.2)
    drift.learn_share(np.arange(500), travel)
    assert drift.share == pytest.approx(-0.0003, rel=0.15)


def test_a_cell_that_jumped_does_not_spoil_the_share() -> None:
    travel = np.array([500.0, 500.0])
    drift = relaxing(np.array([-0.2, 50.0]))
    drift.learn_share(np.arange(2), travel)
    assert LARGEST_USIEMENS < 50.0
    assert drift.share == pytest.approx(-0.0004)


def test_a_cells_own_rate_is_corrected_by_its_looks_the_more_there_are() -> None:
    travel, true = np.full(2, 1000.0), np.array([-0.2, -0.6])
    errors = []
    for looks in (1, 2, 5):
        drift = relaxing(true, looks=looks)
        drift.share = -0.0004
        errors.append(np.abs(drift.rate(np.arange(2), travel) - true))
    np.testing.assert_allclose(errors[0], [0.2, 0.2])
    assert (errors[1] < errors[0]).all()
    assert (errors[2] < 0.3 * errors[0]).all()


def test_no_look_makes_a_rate_that_cells_do_not_have() -> None:
    drift = relaxing(np.array([80.0]))
    drift.share = -0.0004
    assert abs(drift.rate(ONE, np.array([1000.0]))[0]) < 2.0


def test_the_line_goes_on_in_the_logarithm_of_time() -> None:
    rates = np.array([-0.4, 0.3])
    drift, travel = relaxing(rates), np.array([1000.0, -750.0])
    drift.share = -0.0004
    at = np.arange(2)
    np.testing.assert_allclose(drift.level(at, 1000.0, travel), 1000.0 + rates * np.log(1000.0), atol=1e-6)
    np.testing.assert_allclose(drift.ahead(at, 100.0, travel, 900.0), rates * np.log(10.0), rtol=1e-6)
    np.testing.assert_allclose(drift.ahead(at, 100.0, travel, 0.0), 0.0, atol=1e-12)


def test_a_pulse_begins_a_new_line_and_a_far_one_a_new_relaxation() -> None:
    at, travel = np.arange(2), np.array([1000.0, 1000.0])
    drift = relaxing(np.array([-0.4, -0.4]))
    drift.share = -0.0004
    drift.disturb(at, 100.0, np.array([False, True]))
    assert np.isnan(drift.level(at, 100.0, travel)).all()
    near, far = drift.ahead(at, 101.0, travel, 99.0)
    assert far == pytest.approx(-0.4 * np.log(100.0), rel=1e-3)
    assert near == pytest.approx(-0.4 * np.log(200.0 / 101.0), rel=1e-3)


def test_a_cell_that_was_never_looked_at_is_nowhere_and_goes_nowhere() -> None:
    drift = Drift(1)
    assert np.isnan(drift.level(ONE, 5.0, np.array([np.nan])))[0]
    assert drift.ahead(ONE, 5.0, np.array([np.nan]), 100.0)[0] == 0.0
