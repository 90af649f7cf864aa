"""The simulated cell: SET and RESET, their spread, the gate, the transistor, channels that come and go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from small_chip import (
    NOISELESS,
    STILL,
    array_cells,
    at_driver_v,
    give,
    memristor_usiemens,
    new_chip,
    read_spec,
    relative_for,
    same_pulses,
    set_cells,
    set_memristors,
    set_traps,
    small_profile,
    still_chip,
    trap_count,
)

from memprog.chip import Bias, Cells, FloatArray, conductance_usiemens
from memprog.profile import bundled_profile
from memprog.simchip import SimChip
from memprog.simchip import cells as physics

DRIVER = bundled_profile("rao2023-11bit").driver
SIMULATION = bundled_profile("rao2023-11bit").simulation


def change_of(chip: SimChip, bias: Bias, amplitude_v: float | FloatArray, **pulse: float) -> FloatArray:
    """What one pulse does to each complete channel of array 0, in uS."""
    before = memristor_usiemens(chip)
    give(chip, bias, amplitude_v, **pulse)
    return memristor_usiemens(chip) - before


def set_change(folder: Path, start_usiemens: float, amplitude_v: float, **pulse: float) -> FloatArray:
    """What one SET does to cells that are all alike, in uS."""
    folder.mkdir()
    chip = still_chip(folder)
    set_memristors(chip, start_usiemens)
    return change_of(chip, Bias.SET, amplitude_v, **pulse)


@pytest.mark.parametrize("gate_v", [0.3, 0.8, 1.5, 2.5])
def test_set_never_raises_a_cell_beyond_what_its_gate_allows(gate_v: float, tmp_path: Path) -> None:
    chip = new_chip(tmp_path, small_profile(simulation=STILL))
    gate_v = round(gate_v / DRIVER.gate_lsb_v) * DRIVER.gate_lsb_v
    start = memristor_usiemens(chip).copy()
    ceiling = chip._file.silicon[0]["set_gate"] * max(gate_v - SIMULATION.set_gate_threshold_v, 0.0)
    for _ in range(30):
        give(chip, Bias.SET, 2.5, gate_v=gate_v)
        assert np.all(memristor_usiemens(chip) <= np.maximum(start, ceiling) * (1 + 1e-6))
    # And it does get there.
    room = ceiling > start
    np.testing.assert_allclose(memristor_usiemens(chip)[room], ceiling[room], rtol=1e-3)


def test_completing_channels_does_not_carry_a_cell_beyond_what_its_gate_allows(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    gate_v = round(1.0 / DRIVER.gate_lsb_v) * DRIVER.gate_lsb_v
    start = memristor_usiemens(chip).copy()
    ceiling = chip._file.silicon[0]["set_gate"] * (gate_v - SIMULATION.set_gate_threshold_v)
    for _ in range(10):
        give(chip, Bias.SET, 2.5, gate_v=gate_v)
    # Some cells rise a little as they relax.
    assert np.all(memristor_usiemens(chip) <= np.maximum(start, ceiling) * (1 + 1e-3))


def test_higher_gate_lets_a_set_reach_higher(tmp_path: Path) -> None:
    reached = [
        np.median(set_change(tmp_path / str(gate_v), 100.0, 2.5, gate_v=gate_v)) + 100.0 for gate_v in (1.0, 1.5)
    ]
    np.testing.assert_allclose(reached, [1000.0, 2000.0], rtol=1e-3)


@pytest.mark.parametrize("amplitude_v", [1.5, 1.6, 1.75])
def test_set_step_is_log_normal_about_the_profile_value(amplitude_v: float, tmp_path: Path) -> None:
    change = set_change(tmp_path / "chip", SIMULATION.switching_state_usiemens, amplitude_v)
    excess_v = amplitude_v - SIMULATION.set_threshold_v
    expected = SIMULATION.switching_step_usiemens * np.exp(excess_v / SIMULATION.switching_slope_v)
    spread = SIMULATION.switching_cycle_spread
    assert np.all(change > 0)
    # The room below the gate limit takes two percent off the largest.
    log = np.log(change / expected)
    assert abs(log.mean()) < 4.0 * spread / len(log) ** 0.5 + 0.02
    assert log.std() == pytest.approx(spread, rel=0.15)
    assert stats.kstest((log - log.mean()) / log.std(), "norm").pvalue > 1e-3


def test_set_raises_more_with_more_amplitude_and_more_width(tmp_path: Path) -> None:
    usual = np.median(set_change(tmp_path / "usual", 1000.0, 1.6))
    stronger = np.median(set_change(tmp_path / "stronger", 1000.0, 1.67))
    longer = np.median(set_change(tmp_path / "longer", 1000.0, 1.6, width_ns=4000))
    wider = np.median(set_change(tmp_path / "wider", 4000.0, 1.6))
    assert stronger / usual == pytest.approx(np.e, rel=0.05)
    assert longer / usual == pytest.approx(2.0, rel=0.05)
    assert wider / usual == pytest.approx(2.0, rel=0.05)


def test_reset_lowers_and_stops_at_the_deepest_state(tmp_path: Path) -> None:
    chip = still_chip(tmp_path)
    set_memristors(chip, 1000.0)
    change = change_of(chip, Bias.RESET, at_driver_v(chip, SIMULATION.reset_threshold_v))
    assert np.all(change < 0)
    assert np.median(-change) == pytest.approx(SIMULATION.switching_step_usiemens, rel=0.1)
    for _ in range(40):
        give(chip, Bias.RESET, 2.6)
        assert np.all(memristor_usiemens(chip) >= SIMULATION.memristor_min_usiemens * (1 - 1e-6))
    assert np.all(memristor_usiemens(chip) < 2 * SIMULATION.memristor_min_usiemens)


def test_reset_loses_voltage_in_the_transistor_that_the_gate_can_give_back(tmp_path: Path) -> None:
    chip = still_chip(tmp_path)
    set_memristors(chip, 4000.0)
    weak = np.median(-change_of(chip, Bias.RESET, 1.4, gate_v=2.0))
    set_memristors(chip, 4000.0)
    strong = np.median(-change_of(chip, Bias.RESET, 1.4, gate_v=5.0))
    across_v = [1.4 * open_ / (open_ + 4000.0) for open_ in (4000.0 * 1.5, 4000.0 * 4.5)]
    expected = np.exp((across_v[1] - across_v[0]) / SIMULATION.switching_slope_v)
    assert strong / weak == pytest.approx(expected, rel=0.15)


def test_steps_differ_from_pulse_to_pulse_and_from_cell_to_cell(tmp_path: Path) -> None:
    chip = new_chip(tmp_path, small_profile(arrays=1, simulation=STILL | {"switching_slope_spread": 0.0}))
    logs = []
    for _ in range(24):
        set_memristors(chip, 1000.0)
        logs.append(np.log(change_of(chip, Bias.SET, SIMULATION.set_threshold_v)))
    within = np.std(logs, axis=0, ddof=1)
    between = np.std(np.mean(logs, axis=0), ddof=1)
    assert within.mean() == pytest.approx(SIMULATION.switching_cycle_spread, rel=0.1)
    assert between == pytest.approx(SIMULATION.threshold_spread_v / SIMULATION.switching_slope_v, rel=0.15)


def test_stuck_cells_do_not_move_and_their_neighbours_do(tmp_path: Path) -> None:
    chip = new_chip(tmp_path, small_profile(simulation={"stuck_high_fraction": 0.2, "stuck_low_fraction": 0.1}))
    stuck = chip._file.silicon[0]["stuck"]
    assert np.count_nonzero(stuck > 0) / len(stuck) == pytest.approx(0.2, abs=0.08)
    assert np.count_nonzero(stuck < 0) / len(stuck) == pytest.approx(0.1, abs=0.06)
    start = memristor_usiemens(chip).copy()
    assert set(start[stuck > 0]) == {SIMULATION.stuck_high_usiemens}
    assert set(start[stuck < 0]) == {SIMULATION.stuck_low_usiemens}
    for bias, amplitude_v in ((Bias.SET, 2.2), (Bias.RESET, 2.0), (Bias.SUB_THRESHOLD, 0.9), (Bias.SET, 2.0)):
        give(chip, bias, amplitude_v)
    chip.wait(1000.0)
    now = memristor_usiemens(chip)
    np.testing.assert_array_equal(now[stuck != 0], start[stuck != 0])
    assert np.all(now[stuck == 0] != start[stuck == 0])
    assert not trap_count(chip)[stuck != 0].any()


def test_every_pulse_wears_and_only_the_cells_that_got_it(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    before = memristor_usiemens(chip).copy()
    some = array_cells(chip).take(np.array([3, 77]))
    chip.pulse(some, same_pulses(2, Bias.SET, 2.0), 1)
    wear = chip._load(0)["wear"]
    assert np.flatnonzero(wear).tolist() == [3, 77]
    assert np.flatnonzero(memristor_usiemens(chip) != before).tolist() == [3, 77]
    assert not chip._load(1)["wear"].any()


def test_cell_conducts_less_than_its_memristor_and_less_than_its_transistor(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, readout=NOISELESS)
    set_memristors(chip, 9000.0)
    for gate_v in (0.4, 0.6, 1.0, 3.0):
        reading = chip.read(array_cells(chip), read_spec(gate_v=gate_v))
        found = conductance_usiemens(reading.current_a, reading.offset_a, reading.sense_v)
        transistor = max(SIMULATION.transistor_usiemens_per_v * (gate_v - SIMULATION.transistor_threshold_v), 1e-3)
        np.testing.assert_allclose(found, 1.0 / (1.0 / 9000.0 + 1.0 / transistor), rtol=1e-4, atol=1e-3)


def test_fluctuating_cell_never_conducts_more_than_its_transistor(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, readout=NOISELESS)
    set_memristors(chip, 9000.0)
    set_traps(chip, SIMULATION.trap_relative_amplitude, 1e3, 1e5, is_high=True)
    for gate_v in (0.51, 0.6, 3.0):
        reading = chip.read(array_cells(chip), read_spec(gate_v=gate_v))
        found = conductance_usiemens(reading.current_a, reading.offset_a, reading.sense_v)
        transistor = SIMULATION.transistor_usiemens_per_v * (gate_v - SIMULATION.transistor_threshold_v)
        assert np.all(found <= transistor * (1 + 1e-4)), f"gate {gate_v} V"


def test_transistors_differ_from_cell_to_cell(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    at = np.arange(256)
    usiemens = physics.transistor_usiemens(chip._file.silicon[0], at, 3.0, SIMULATION)
    assert np.median(usiemens) == pytest.approx(SIMULATION.transistor_usiemens_per_v * 2.5, rel=0.005)
    assert np.log(usiemens).std() == pytest.approx(SIMULATION.transistor_spread, rel=0.2)


def test_fresh_cells_are_log_normal_about_the_profile_value_and_most_fluctuate(tmp_path: Path) -> None:
    chip = new_chip(tmp_path, small_profile(rows=32, columns=32, arrays=1))
    start = memristor_usiemens(chip)
    assert np.median(start) == pytest.approx(SIMULATION.initial_median_usiemens, rel=0.1)
    assert np.log(start).std() == pytest.approx(SIMULATION.initial_spread, rel=0.1)
    counts = trap_count(chip)
    assert counts.max() <= SIMULATION.channels_max
    assert np.mean(counts > 0) == pytest.approx(1.0 - np.exp(-SIMULATION.channels_initial_mean), abs=0.06)


def test_traps_spread_over_the_decades_of_the_profile(tmp_path: Path) -> None:
    chip = new_chip(tmp_path, small_profile(rows=32, columns=32, arrays=1))
    state = chip._load(0)
    present = state["trap_amplitude"] > 0
    low_s, high_s = state["trap_dwell_low_s"][present], state["trap_dwell_high_s"][present]
    decade = np.log10(np.sqrt(low_s * high_s))
    ends = np.log10([SIMULATION.trap_dwell_min_s, SIMULATION.trap_dwell_max_s])
    assert stats.kstest(decade, "uniform", (ends[0], ends[1] - ends[0])).pvalue > 1e-3
    assert np.log10(high_s / low_s).std() == pytest.approx(SIMULATION.trap_dwell_ratio_decades, rel=0.1)
    log = np.log(state["trap_amplitude"][present] / SIMULATION.trap_relative_amplitude)
    assert abs(log.mean()) < 0.1
    assert log.std() == pytest.approx(SIMULATION.trap_amplitude_spread, rel=0.1)


def test_amplitude_of_a_trap_saturates_and_is_capped() -> None:
    relative = np.full((1, 3), SIMULATION.trap_relative_amplitude, dtype=np.float32)
    steps = physics.trap_steps_usiemens(relative, np.array([1.0, 98.0, 1e6]), SIMULATION)[0]
    # One uS is far below saturation; at 98 uS stands the step that was measured.
    assert steps[0] == pytest.approx(SIMULATION.trap_relative_amplitude, rel=0.01)
    assert steps[1] == pytest.approx(2.57, rel=0.01)
    most = SIMULATION.trap_relative_amplitude * SIMULATION.trap_saturation_usiemens
    assert steps[2] == pytest.approx(most, rel=1e-3)
    great = physics.trap_steps_usiemens(relative * 100, np.array([4000.0, 4000.0, 4000.0]), SIMULATION)
    assert great.max() == pytest.approx(SIMULATION.trap_amplitude_max_usiemens)


def test_sub_threshold_pulses_denoise_most_cells_and_cost_little(tmp_path: Path) -> None:
    chip = new_chip(tmp_path, small_profile(simulation={"stuck_high_fraction": 0.0, "stuck_low_fraction": 0.0}))
    set_cells(chip, 1000.0)
    set_traps(chip, 0.026, 0.01, 0.01)
    chip._load(0)["trap_dissolve_v"] = chip._load(1)["trap_dissolve_v"][0, 0]
    rng = np.random.default_rng(2)
    spread_v = SIMULATION.channel_dissolve_spread_v * rng.standard_normal(256)
    chip._load(0)["trap_dissolve_v"][0] = SIMULATION.channel_dissolve_v + spread_v
    before = memristor_usiemens(chip).copy()
    for _ in range(3):
        give(chip, Bias.SUB_THRESHOLD, at_driver_v(chip, 0.88))
    cost = before - memristor_usiemens(chip)
    assert np.mean(trap_count(chip) == 0) > 0.6
    assert np.median(cost) > 0
    # Under two window widths, of a cell a thousand times as large.
    assert np.median(np.abs(cost)) < 2.0


def test_feeble_pulses_leave_channels_and_conductance_alone(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, simulation={"channel_create_max": SIMULATION.channel_create_max})
    set_memristors(chip, 1000.0)
    set_traps(chip, 0.026, 0.01, 0.01, dissolve_v=0.8)
    change = change_of(chip, Bias.SUB_THRESHOLD, at_driver_v(chip, 0.4))
    assert np.all(trap_count(chip) == 1)
    assert np.all(np.abs(change) < 0.01)


def test_channel_dissolves_half_the_time_at_its_own_voltage(tmp_path: Path) -> None:
    chip = still_chip(tmp_path)
    set_memristors(chip, 1000.0)
    for across_v, expected in ((0.7, 0.12), (0.8, 0.5), (0.9, 0.88)):
        set_traps(chip, 0.026, 0.01, 0.01, dissolve_v=0.8)
        give(chip, Bias.SUB_THRESHOLD, at_driver_v(chip, across_v))
        assert np.mean(trap_count(chip) == 0) == pytest.approx(expected, abs=0.13)


@pytest.mark.parametrize(("bias", "amplitude_v"), [(Bias.SET, 2.0), (Bias.RESET, 2.0)])
def test_switching_leaves_incomplete_channels_behind(bias: Bias, amplitude_v: float, tmp_path: Path) -> None:
    chip = still_chip(tmp_path, simulation={"channel_create_max": SIMULATION.channel_create_max})
    set_memristors(chip, 1000.0)
    assert not trap_count(chip).any()
    give(chip, bias, amplitude_v)
    # One in 256: four deviations are 0.115.
    assert np.mean(trap_count(chip) == 1) == pytest.approx(SIMULATION.channel_create_max, abs=0.115)
    for _ in range(10):
        give(chip, bias, amplitude_v)
    assert trap_count(chip).max() <= SIMULATION.channels_max


def test_set_polarity_completes_a_channel_which_adds_to_the_cell(tmp_path: Path) -> None:
    chip = still_chip(tmp_path)
    set_memristors(chip, 1000.0)
    set_traps(chip, relative_for(20.0, 1000.0, chip._profile), 0.01, 0.01, dissolve_v=0.8)
    # 0.2 V above where the channel completes, 0.2 V below where the complete one switches.
    change = change_of(chip, Bias.SET, 1.4)
    done = trap_count(chip) == 0
    assert done.mean() > 0.9
    assert np.all((change[done] > 10.0) & (change[done] < 36.0))
    assert change[done].mean() == pytest.approx(20.0 + 1.2, abs=1.5)
    assert np.all(change[~done] < 6.0)


def test_set_polarity_needs_more_volts_for_a_channel_than_reset_polarity_does(tmp_path: Path) -> None:
    chip = still_chip(tmp_path)
    set_memristors(chip, 1000.0)
    gone = []
    for bias, amplitude_v in ((Bias.RESET, at_driver_v(chip, 1.0)), (Bias.SET, 1.0)):
        set_traps(chip, 0.026, 0.01, 0.01, dissolve_v=0.8)
        give(chip, bias, amplitude_v)
        gone.append(np.mean(trap_count(chip) == 0))
    assert gone[0] > 0.9
    assert gone[1] < 0.1


def test_channels_are_left_behind_half_as_often_where_creation_sets_in(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, simulation={"channel_create_max": SIMULATION.channel_create_max})
    onset_v = SIMULATION.reset_threshold_v - SIMULATION.channel_create_offset_v
    found = []
    for across_v in (onset_v - 0.2, onset_v, onset_v + 0.2):
        set_memristors(chip, 1000.0)
        chip._load(0)["trap_amplitude"] = 0.0
        give(chip, Bias.RESET, at_driver_v(chip, across_v))
        found.append(np.mean(trap_count(chip) > 0))
    np.testing.assert_allclose(found, np.array([0.0, 0.5, 1.0]) * SIMULATION.channel_create_max, atol=0.12)


def test_pulse_goes_to_the_cell_that_was_named(tmp_path: Path) -> None:
    chip = still_chip(tmp_path)
    set_memristors(chip, 1000.0)
    cells = Cells(array=np.zeros(3, dtype=np.int64), row=np.array([5, 0, 15]), column=np.array([1, 2, 15]))
    chip.pulse(cells, same_pulses(3, Bias.SET, np.array([1.0, 1.9, 1.0])), 1)
    change = memristor_usiemens(chip) - 1000.0
    assert np.argmax(change) == 2
    assert np.count_nonzero(change) == 3
