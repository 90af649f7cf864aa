"""What a simulated chip knows of itself: share of time in the window, its average, and which cells are healthy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_chip import (
    NOISELESS,
    array_cells,
    file_bytes,
    new_chip,
    read_spec,
    relative_for,
    set_cells,
    set_memristors,
    set_traps,
    small_profile,
    still_chip,
)

from memprog.profile import bundled_profile
from memprog.simchip import SimChip
from memprog.simchip.truth import HORIZON_S, Truth, truth_of

PROFILE = bundled_profile("rao2023-11bit")
SIMULATION = PROFILE.simulation
QUIET = 1000.0


def truth_at(chip: SimChip, target_usiemens: float, window_usiemens: float = 1.0) -> Truth:
    """The truth about array 0 when every cell has one target."""
    shape = (chip.geometry.rows, chip.geometry.columns)
    return truth_of(chip, 0, np.full(shape, target_usiemens), window_usiemens)


def trapped_chip(folder: Path, low_s: float, high_s: float, *, is_high: bool = False, step: float = 4.0) -> SimChip:
    """A chip of cells at 1,000 uS, each with one trap that adds 4 uS."""
    chip = still_chip(folder, readout=NOISELESS)
    set_cells(chip, QUIET)
    set_traps(chip, relative_for(step, QUIET, chip._profile), low_s, high_s, is_high=is_high)
    return chip


@pytest.mark.parametrize(("target", "expected"), [(1000.0, 1.0), (1000.9, 1.0), (1001.1, 0.0), (998.9, 0.0)])
def test_cell_that_does_nothing_is_inside_for_ever_or_never(target: float, expected: float, tmp_path: Path) -> None:
    chip = still_chip(tmp_path)
    set_cells(chip, QUIET)
    truth = truth_at(chip, target)
    np.testing.assert_allclose(truth.share_in_window, expected, atol=1e-9)
    np.testing.assert_array_equal(truth.in_window, expected == 1.0)
    np.testing.assert_allclose(truth.mean_usiemens, QUIET, rtol=1e-6)


@pytest.mark.parametrize(("low_s", "high_s"), [(0.0115, 0.0075), (0.001, 0.004), (0.002, 0.0005)])
def test_cell_with_a_quick_trap_is_inside_for_the_stationary_share(low_s: float, high_s: float, tmp_path: Path) -> None:
    chip = trapped_chip(tmp_path, low_s, high_s)
    up = high_s / (low_s + high_s)
    np.testing.assert_allclose(truth_at(chip, QUIET).share_in_window, 1.0 - up, atol=0.002)
    np.testing.assert_allclose(truth_at(chip, QUIET + 4.0).share_in_window, up, atol=0.002)
    np.testing.assert_allclose(truth_at(chip, QUIET + 2.0).share_in_window, 0.0, atol=1e-9)
    np.testing.assert_allclose(truth_at(chip, QUIET + 2.0, 2.5).share_in_window, 1.0, atol=1e-9)
    np.testing.assert_allclose(truth_at(chip, QUIET).mean_usiemens, QUIET + 4.0 * up, atol=0.01)


def test_average_may_be_in_the_window_where_the_cell_never_is(tmp_path: Path) -> None:
    truth = truth_at(trapped_chip(tmp_path, 0.01, 0.01), QUIET + 2.0)
    assert np.all(np.abs(truth.mean_usiemens - QUIET - 2.0) < 0.1)
    assert not truth.in_window.any()


@pytest.mark.parametrize("is_high", [False, True])
def test_slow_trap_counts_from_the_state_it_is_in_now(is_high: bool, tmp_path: Path) -> None:
    dwell_s = 50.0
    chip = trapped_chip(tmp_path, dwell_s, dwell_s, is_high=is_high)
    rate = 2.0 / dwell_s
    same = 0.5 + 0.5 * (1.0 - np.exp(-rate * HORIZON_S)) / (rate * HORIZON_S)
    share = truth_at(chip, QUIET + (4.0 if is_high else 0.0)).share_in_window
    np.testing.assert_allclose(share, same, atol=0.005)


def test_rule_of_99_percent_is_kept_to_either_side(tmp_path: Path) -> None:
    for up, expected in ((0.008, True), (0.012, False)):
        (tmp_path / str(up)).mkdir()
        chip = trapped_chip(tmp_path / str(up), 0.01 * (1 - up) / up, 0.01)
        np.testing.assert_array_equal(truth_at(chip, QUIET).in_window, expected)


def test_three_traps_are_independent(tmp_path: Path) -> None:
    chip = trapped_chip(tmp_path, 0.003, 0.001)
    state = chip._load(0)
    for k, (low_s, high_s) in enumerate([(0.003, 0.001), (0.001, 0.001), (0.004, 0.001)]):
        state["trap_amplitude"][k] = state["trap_amplitude"][0]
        state["trap_dwell_low_s"][k], state["trap_dwell_high_s"][k] = low_s, high_s
    up = np.array([0.25, 0.5, 0.2])
    np.testing.assert_allclose(truth_at(chip, QUIET).share_in_window, np.prod(1 - up), atol=0.003)
    np.testing.assert_allclose(truth_at(chip, QUIET + 12.0).share_in_window, np.prod(up), atol=0.003)
    np.testing.assert_allclose(truth_at(chip, QUIET).mean_usiemens, QUIET + 4.0 * up.sum(), atol=0.02)


def test_relaxing_cell_leaves_the_window_when_it_falls_below(tmp_path: Path) -> None:
    chip = still_chip(tmp_path)
    set_cells(chip, QUIET)
    # Falls by 2 uS with a time constant of 10 s: half of it is gone, and the cell outside, after 6.9 s.
    slow = int(np.flatnonzero(np.isclose(10.0, 0.01 * 10.0 ** np.arange(7)))[0])
    chip._load(0)["unrelaxed"][slow] = 2.0 / (1.0 - QUIET / 10_000.0) ** 2
    truth = truth_at(chip, QUIET + 2.0)
    np.testing.assert_allclose(truth.share_in_window, 10.0 * np.log(2.0) / HORIZON_S, atol=0.03)
    np.testing.assert_allclose(truth.mean_usiemens, QUIET + 2.0 * 0.1 * (1 - np.exp(-10.0)), atol=0.02)


def test_no_target_no_share(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    target = np.full((16, 16), np.nan)
    target[3, 5], target[7, 2] = 120.0, 300.0
    truth = truth_of(chip, 0, target, 1.0)
    np.testing.assert_array_equal(np.isnan(truth.share_in_window), np.isnan(target))
    assert not truth.in_window[np.isnan(target)].any()
    assert np.isfinite(truth.mean_usiemens).all()


def test_stuck_cells_are_not_healthy_and_others_are(tmp_path: Path) -> None:
    chip = new_chip(tmp_path, small_profile(simulation={"stuck_high_fraction": 0.1, "stuck_low_fraction": 0.1}))
    stuck = chip._file.silicon[0]["stuck"].reshape(16, 16)
    assert (stuck > 0).any()
    assert (stuck < 0).any()
    np.testing.assert_array_equal(truth_at(chip, 500.0).healthy, stuck == 0)


def test_cell_whose_target_its_silicon_cannot_reach_is_not_healthy(tmp_path: Path) -> None:
    chip = still_chip(tmp_path)
    # The gate limit of 5 V gives a memristor of 9,000 uS; with a transistor of 10,000 uS in series 4,737 uS.
    assert truth_at(chip, 4700.0).healthy.all()
    assert not truth_at(chip, 4800.0).healthy.any()
    assert not truth_at(chip, SIMULATION.memristor_min_usiemens - 1.0).healthy.any()
    assert truth_at(chip, SIMULATION.memristor_min_usiemens + 1.0).healthy.all()


def test_reached_target_is_never_called_out_of_reach(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    # A hair above the deepest memristor; its transistor in series takes another 2.5 nS off.
    set_memristors(chip, SIMULATION.memristor_min_usiemens + 1e-4)
    chip._load(0)["trap_amplitude"] = 0.0
    alive = chip._file.silicon[0]["stuck"].reshape(16, 16) == 0
    truth = truth_of(chip, 0, truth_at(chip, 1.0).mean_usiemens, 1e-3)
    assert np.all(truth.in_window[alive])
    assert np.all(truth.healthy[alive])


@pytest.mark.parametrize("seed", [1, 2])
def test_long_traces_agree_with_the_share_and_the_mean_that_were_foretold(seed: int, tmp_path: Path) -> None:
    quick = {"trap_dwell_min_s": 1e-3, "trap_dwell_max_s": 1.0, "flicker_usiemens": 0.0}
    chip = new_chip(tmp_path, small_profile(arrays=1, simulation=quick, readout=NOISELESS), seed=seed)
    cells = array_cells(chip)
    once = chip.read(cells, read_spec())
    target = np.nan_to_num(once.current_a - once.offset_a, nan=1e-5) / once.sense_v * 1e6
    foretold = truth_of(chip, 0, target.reshape(16, 16), 1.0)
    samples = chip.trace(cells, read_spec(samples=1000, interval_s=HORIZON_S / 1000))
    seen = (samples - once.offset_a[:, None]) / once.sense_v[:, None] * 1e6
    fine = np.isfinite(seen).all(axis=1)
    assert fine.mean() > 0.98
    share = (np.abs(seen - target[:, None]) <= 1.0).mean(axis=1)[fine]
    told = foretold.share_in_window.ravel()[fine]
    assert np.mean((told > 0.02) & (told < 0.98)) > 0.2, "too few cells that come and go to learn from"
    # A trap of 1 s gives a hundred visits in 100 s: a tenth for one cell, far less for all of them.
    assert np.abs(share - told).max() < 0.25
    assert abs(np.mean(share - told)) < 0.01
    away = seen.mean(axis=1)[fine] - foretold.mean_usiemens.ravel()[fine]
    assert abs(np.median(away)) < 0.02
    assert np.percentile(np.abs(away), 95) < 1.5


def test_telling_the_truth_writes_nothing_and_repeats_itself(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    chip.wait(5.0)
    before = file_bytes(chip)
    first, second = truth_at(chip, 120.0, 5.0), truth_at(chip, 120.0, 5.0)
    np.testing.assert_array_equal(first.share_in_window, second.share_in_window)
    assert chip.clock_s() == 5.0
    assert file_bytes(chip) == before


def test_telling_the_truth_changes_nothing_that_comes_after(tmp_path: Path) -> None:
    files = []
    for name, asked in (("silent", False), ("asked", True)):
        chip = new_chip(tmp_path, name=name)
        chip.wait(5.0)
        if asked:
            truth_at(chip, 120.0, 5.0)
        chip.read(array_cells(chip).take(np.arange(40)), read_spec(samples=3))
        files.append(file_bytes(chip))
    assert files[0] == files[1]
