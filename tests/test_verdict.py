"""Verdicts on synthetic looks: the looks are made here, so what is true is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop_cases import small_profile

from memprog.analysis.verdict import Verdict, effective_bits, judge_looks, window_floor_usiemens
from memprog.chip import FloatArray
from memprog.profile import bundled_profile

LOOKS, CELLS, FLOOR = 12, 400, 0.3
SAMPLES = 24


def quiet_looks(seed: int = 1) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Errors and deviations of cells that do nothing, read by a bench with that floor."""
    rng = np.random.default_rng(seed)
    error = FLOOR / math.sqrt(SAMPLES) * rng.standard_normal((LOOKS, CELLS))
    noise = FLOOR * np.sqrt(rng.chisquare(SAMPLES - 1, (LOOKS, CELLS)) / (SAMPLES - 1))
    return error, noise, np.full(CELLS, FLOOR)


def judge(error: FloatArray, noise: FloatArray, floor: FloatArray, window: float = 1.0) -> Verdict:
    return judge_looks(error, noise, floor, window)


def test_quiet_cells_are_in_or_out_by_where_they_are() -> None:
    error, noise, floor = quiet_looks()
    offset = np.linspace(-2.0, 2.0, CELLS)
    verdict = judge(error + offset, noise, floor)
    clear = np.abs(np.abs(offset) - 1.0) > 0.1
    np.testing.assert_array_equal(verdict.in_window[clear], (np.abs(offset) < 1.0)[clear])
    np.testing.assert_allclose(verdict.error_usiemens, offset, atol=0.1)
    assert verdict.fluctuating.mean() < 0.02


def test_noise_of_the_readout_does_not_put_a_cell_outside() -> None:
    error, noise, floor = quiet_looks()
    verdict = judge(error + 0.85, noise, floor)
    assert verdict.in_window.mean() > 0.98


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_cell_that_drifts_across_the_edge_is_outside_though_its_mean_is_inside(side: float) -> None:
    error, noise, floor = quiet_looks()
    drift = np.linspace(0.2, 1.5, LOOKS)
    error[:, 0] += side * drift
    error[:, 1] += side * drift[::-1]
    error[:, 2] += side * np.linspace(0.2, 0.7, LOOKS)
    verdict = judge(error, noise, floor)
    assert verdict.in_window[:3].tolist() == [False, False, True]
    assert (np.abs(verdict.error_usiemens[:3]) < 1.0).all()
    assert not verdict.fluctuating[:3].any()


def test_a_slow_fluctuator_that_leaves_the_window_is_outside_though_its_mean_is_inside() -> None:
    error, noise, floor = quiet_looks()
    telegraph = np.array([0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0])
    error[:, 0] += 3.0 * (telegraph - 0.4)
    verdict = judge(error, noise, floor)
    assert abs(verdict.error_usiemens[0]) < 1.0
    assert verdict.fluctuating[0]
    assert not verdict.in_window[0]


def test_a_fast_fluctuator_shows_in_the_noise_of_each_look() -> None:
    error, noise, floor = quiet_looks()
    noise[:, 0] = math.hypot(FLOOR, 1.5)
    noise[:, 1] = math.hypot(FLOOR, 0.25)
    verdict = judge(error, noise, floor)
    assert verdict.fluctuating[:2].tolist() == [True, True]
    assert verdict.in_window[:2].tolist() == [False, True]
    assert verdict.noise_usiemens[0] == pytest.approx(math.hypot(FLOOR, 1.5), rel=0.1)


def test_low_frequency_noise_that_all_cells_share_makes_none_of_them_a_fluctuator() -> None:
    error, noise, floor = quiet_looks()
    wander = 0.2 * np.random.default_rng(5).standard_normal((LOOKS, CELLS))
    assert judge(error + wander, noise, floor).fluctuating.mean() < 0.02


def test_a_fluctuator_is_found_among_cells_of_its_own_floor() -> None:
    # The right half is read ten times worse; what is ordinary there is a fluctuator on the left.
    error, noise, floor = quiet_looks()
    scale = np.where(np.arange(2 * CELLS) < CELLS, 1.0, 10.0)
    error, noise, floor = (np.concatenate([a, a], axis=-1) * scale for a in (error, noise, floor))
    noise[:, 0] = 10.0 * FLOOR
    verdict = judge_looks(np.tile(error, 3), np.tile(noise, 3), np.tile(floor, 3), 50.0)
    assert verdict.fluctuating[0]
    assert verdict.fluctuating.mean() < 0.02


def test_a_cell_that_could_not_be_read_once_is_not_in_the_window() -> None:
    error, noise, floor = quiet_looks()
    error[3, 0] = noise[3, 0] = np.nan
    error[:, 1] = noise[:, 1] = np.nan
    verdict = judge(error, noise, floor)
    assert np.isnan(verdict.error_usiemens[:2]).all()
    assert np.isnan(verdict.noise_usiemens[:2]).all()
    assert not verdict.in_window[:2].any()
    assert not verdict.fluctuating[:2].any()
    assert verdict.in_window[2:].all()


def test_where_nothing_could_be_read_nothing_is_in_the_window() -> None:
    nothing = np.full((LOOKS, 3), np.nan)
    verdict = judge(nothing, nothing, np.full(3, FLOOR))
    assert not verdict.in_window.any()
    assert np.isnan(verdict.error_usiemens).all()


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_a_few_looks_are_judged_too(looks: int) -> None:
    error, noise, floor = quiet_looks()
    error[:, 0] += 5.0
    verdict = judge(error[:looks], noise[:looks], floor)
    assert not verdict.in_window[0]
    assert verdict.in_window[1:].mean() > 0.95


@given(window=st.floats(0.0, 5.0), wider=st.floats(0.0, 5.0))
def test_a_wider_window_never_loses_a_cell(window: float, wider: float) -> None:
    error, noise, floor = quiet_looks()
    error += np.linspace(-3.0, 3.0, CELLS)
    noise[:, ::7] *= 4.0
    narrow, wide = (judge(error, noise, floor, one).in_window for one in (window, window + wider))
    assert not (narrow & ~wide).any()


def test_the_floor_is_noise_of_a_mean_gain_of_a_column_and_steps_that_noise_does_not_hide() -> None:
    readout = small_profile(
        readout={"gain_spread": 0.0, "converter_bits": 30, "white_noise_usiemens": 0.1, "white_noise_relative": 0.0}
    ).readout
    sample = 0.1 * math.sqrt(readout.white_noise_aperture_ns / readout.aperture_ns)
    assert window_floor_usiemens(readout, 4000.0, 100) == pytest.approx(2.0 * sample / 10.0, rel=1e-3)
    assert window_floor_usiemens(readout, 4000.0, 400) == pytest.approx(2.0 * sample / 20.0, rel=1e-3)
    crooked = small_profile(readout={"gain_spread": 1e-3}).readout
    assert window_floor_usiemens(crooked, 4000.0, 10**9) == pytest.approx(2.0 * 1e-3 * 4000.0, rel=1e-2)


def test_averaging_does_not_help_a_converter_whose_steps_are_wider_than_the_noise() -> None:
    readout = small_profile(readout={"converter_bits": 6, "dither_lsb": 0.0}).readout
    assert readout.lsb_usiemens > 100.0
    assert window_floor_usiemens(readout, 4144.0, 10**9) >= 0.5 * readout.lsb_usiemens
    assert window_floor_usiemens(bundled_profile("rao2023-11bit").readout, 4144.0, 288) < 1.0


def test_effective_bits_of_an_ideal_quantiser_are_its_bits() -> None:
    for bits in (1, 6, 11):
        error = 4094.0 / 2**bits / math.sqrt(12.0)
        assert effective_bits(error, 4094.0) == pytest.approx(bits)
    quantised = np.random.default_rng(3).uniform(-0.5, 0.5, 100_000) * 4094.0 / 2**8
    assert effective_bits(float(quantised.std()), 4094.0) == pytest.approx(8.0, abs=0.01)


@pytest.mark.parametrize("std", [0.0, -1.0, math.nan])
def test_without_an_error_there_are_no_effective_bits(std: float) -> None:
    assert math.isnan(effective_bits(std, 4094.0))
