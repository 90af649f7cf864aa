"""The simulated chip's clock: what reads, pulses and products cost, and cells that age by exactly that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_chip import (
    NOISELESS,
    STILL,
    array_cells,
    give,
    memristor_usiemens,
    new_chip,
    read_spec,
    same_pulses,
    set_memristors,
    small_profile,
    still_chip,
    trap_count,
)

from memprog.chip import Bias, Cells, FloatArray, Order, Pulses
from memprog.errors import InputError
from memprog.profile import bundled_profile
from memprog.simchip import SimChip
from memprog.simchip import cells as physics

SIMULATION = bundled_profile("rao2023-11bit").simulation
VISIT_S = 25e-6
SHOT_S = 3e-6


def some_cells(chip: SimChip, n: int) -> Cells:
    """The first cells of array 0."""
    return array_cells(chip).take(np.arange(n))


def relaxing_chip(folder: Path, fraction: float = 0.1) -> SimChip:
    """A chip of cells that have just been SET from 1,000 to some 3,000 uS and now fall back."""
    simulation = {"relaxation_fraction_per_decade": fraction, "relaxation_decades": 5}
    chip = still_chip(folder, simulation=simulation, readout=NOISELESS)
    set_memristors(chip, 1000.0)
    give(chip, Bias.SET, 2.2, gate_v=2.0)
    return chip


def test_clock_starts_at_zero_and_waits_add_up(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    assert chip.clock_s() == 0.0
    chip.wait(0.0)
    chip.wait(12.5)
    chip.wait(0.25)
    assert chip.clock_s() == 12.75
    with pytest.raises(InputError, match="cannot wait -1"):
        chip.wait(-1.0)
    assert chip.clock_s() == 12.75


def test_interleaved_read_visits_every_cell_once_a_round(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    reading = chip.read(some_cells(chip, 10), read_spec(samples=6))
    np.testing.assert_allclose(reading.time_s, 5 * 10 * VISIT_S + np.arange(1, 11) * VISIT_S)
    assert chip.clock_s() == pytest.approx(6 * 10 * VISIT_S)


def test_interval_longer_than_a_round_stretches_the_rounds(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    reading = chip.read(some_cells(chip, 10), read_spec(samples=6, interval_s=0.5))
    np.testing.assert_allclose(reading.time_s, 5 * 0.5 + np.arange(1, 11) * VISIT_S)
    assert chip.clock_s() == pytest.approx(2.5 + 10 * VISIT_S)


def test_cells_of_a_group_take_one_turn(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    cells = some_cells(chip, 48)
    chip.read(cells, read_spec(samples=4, group=cells.row))
    assert chip.clock_s() == pytest.approx(4 * 3 * VISIT_S)


def test_dwelling_read_finishes_one_cell_before_the_next(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    reading = chip.read(some_cells(chip, 5), read_spec(samples=8, order=Order.DWELLING))
    dwell_s = 8 * 20e-6 + VISIT_S
    np.testing.assert_allclose(reading.time_s, np.arange(1, 6) * dwell_s)
    assert chip.clock_s() == pytest.approx(5 * dwell_s)
    chip.read(some_cells(chip, 5), read_spec(samples=8, interval_s=0.01, order=Order.DWELLING))
    assert chip.clock_s() == pytest.approx(5 * dwell_s + 5 * (0.08 + VISIT_S))


def test_interval_is_nothing_to_a_single_sample(tmp_path: Path) -> None:
    chip = relaxing_chip(tmp_path)
    before_s, before = chip.clock_s(), memristor_usiemens(chip).copy()
    for order in Order:
        chip.read(some_cells(chip, 5), read_spec(samples=1, interval_s=100.0, order=order))
    assert chip.clock_s() - before_s < 1e-3
    np.testing.assert_allclose(memristor_usiemens(chip), before, rtol=0.003)


def test_trace_takes_as_long_as_a_read(tmp_path: Path) -> None:
    for order in Order:
        chip = new_chip(tmp_path, name=f"{order.value}.sim")
        spec = read_spec(samples=7, interval_s=0.01, order=order)
        chip.read(some_cells(chip, 9), spec)
        once_s = chip.clock_s()
        chip.trace(some_cells(chip, 9), spec)
        assert chip.clock_s() == pytest.approx(2 * once_s)


def shots(chip: SimChip, cells: Cells, pulses: Pulses) -> float:
    """Time of one batch in shots of 1 us and their overhead."""
    before_s = chip.clock_s()
    chip.pulse(cells, pulses, 1)
    return (chip.clock_s() - before_s) / SHOT_S


def test_cells_are_pulsed_one_after_the_other(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    cells = array_cells(chip)
    assert shots(chip, cells, same_pulses(256, Bias.RESET, np.linspace(0.1, 0.6, 256))) == pytest.approx(256)
    two_widths = same_pulses(256, Bias.RESET, 0.5)
    two_widths.width_ns[::2] = 4000
    assert shots(chip, cells, two_widths) == pytest.approx(128 * (1 + 6 / 3))


def test_rows_of_two_arrays_are_different_rows(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    cells = Cells(array=np.array([0, 1]), row=np.array([2, 2]), column=np.array([0, 1]))
    assert shots(chip, cells, same_pulses(2, Bias.RESET, 0.5)) == pytest.approx(2)


def test_product_takes_one_conversion_an_input_vector(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    chip.multiply(0, np.zeros((7, 3)), [0, 1, 2], 3.0)
    assert chip.clock_s() == pytest.approx(7 * VISIT_S)


@pytest.mark.parametrize(
    ("samples", "interval_s", "order"),
    [
        (1, 0.0, Order.INTERLEAVED),
        (64, 0.0, Order.INTERLEAVED),
        (40, 0.05, Order.INTERLEAVED),
        (1, 0.0, Order.DWELLING),
        (64, 0.0, Order.DWELLING),
        (10, 0.05, Order.DWELLING),
    ],
)
def test_read_ages_its_cells_by_as_long_as_it_takes(
    samples: int, interval_s: float, order: Order, tmp_path: Path
) -> None:
    chip = relaxing_chip(tmp_path)
    start_s = chip.clock_s()
    start = memristor_usiemens(chip).copy()
    unrelaxed = chip._load(0)["unrelaxed"].astype(float)
    chip.read(array_cells(chip), read_spec(samples=samples, interval_s=interval_s, order=order))

    def expected(seconds: float) -> FloatArray:
        kept = np.exp(-seconds / physics.relaxation_times_s(chip._profile.simulation)) - 1.0
        return np.asarray(start + kept @ unrelaxed)

    now = memristor_usiemens(chip)
    took_s = chip.clock_s() - start_s
    # To one interval: whether a round begins or ends with its sample is the chip's own affair.
    slack_s = interval_s if order is Order.INTERLEAVED else 0.0
    assert np.all(now <= expected(took_s - slack_s) + 1e-3)
    assert np.all(now >= expected(took_s + slack_s) - 1e-3)


def test_dwelling_read_sees_each_cell_at_its_own_time(tmp_path: Path) -> None:
    chip = relaxing_chip(tmp_path)
    cells = array_cells(chip)
    reading = chip.read(cells, read_spec(samples=2, interval_s=0.05, order=Order.DWELLING))
    usiemens = reading.current_a / reading.sense_v * 1e6
    # 26 s pass from the first cell to the last; they were alike at the start.
    assert usiemens[0] - usiemens[-1] > 100.0
    assert np.all(np.diff(usiemens.reshape(16, 16).mean(axis=1)) < 0)


def test_read_of_one_cell_leaves_the_age_of_the_others_to_be_caught_up(tmp_path: Path) -> None:
    alone, together = (relaxing_chip_in(tmp_path / name) for name in ("alone", "together"))
    for _ in range(10):
        alone.read(some_cells(alone, 1), read_spec(samples=4))
        alone.wait(0.1)
    together.wait(alone.clock_s() - together.clock_s())
    np.testing.assert_allclose(memristor_usiemens(alone)[1:], memristor_usiemens(together)[1:], rtol=1e-6)


def relaxing_chip_in(folder: Path) -> SimChip:
    """A relaxing chip in a folder of its own."""
    folder.mkdir()
    return relaxing_chip(folder)


def test_after_a_set_the_cell_falls_back_evenly_over_the_decades_of_time(tmp_path: Path) -> None:
    chip = new_chip(
        tmp_path,
        small_profile(
            arrays=1,
            simulation=STILL
            | {
                "relaxation_fraction_per_decade": SIMULATION.relaxation_fraction_per_decade,
                "relaxation_spread_per_decade": SIMULATION.relaxation_spread_per_decade,
            },
        ),
    )
    set_memristors(chip, 1000.0)
    give(chip, Bias.SET, 2.2, gate_v=2.0)
    step = memristor_usiemens(chip) - 1000.0
    assert np.median(step) > 1500.0
    pulsed_s, found = chip.clock_s(), []
    for seconds in (0.03, 0.3, 3.0, 30.0, 300.0):
        chip.wait(pulsed_s + seconds - chip.clock_s())
        found.append(memristor_usiemens(chip).copy())
    share = -np.diff(found, axis=0) / step
    # Means of 256 cells whose shares spread by 0.0003.
    np.testing.assert_allclose(share.mean(axis=1), SIMULATION.relaxation_fraction_per_decade, atol=1e-4)
    assert share[1].std() == pytest.approx(SIMULATION.relaxation_spread_per_decade, rel=0.2)


def test_relaxation_is_seen_by_readings_too(tmp_path: Path) -> None:
    chip = relaxing_chip(tmp_path, fraction=0.001)
    first = chip.read(array_cells(chip), read_spec()).current_a
    chip.wait(100.0)
    fell = np.median((first - chip.read(array_cells(chip), read_spec()).current_a) / 0.2e-6)
    # 2 mS, a thousandth a decade, four decades; the transistor passes on three fifths of it.
    assert 3.0 < fell < 6.0


def test_after_a_reset_the_cell_rises_again(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, simulation={"relaxation_fraction_per_decade": 0.001})
    set_memristors(chip, 3000.0)
    give(chip, Bias.RESET, 2.2)
    low = memristor_usiemens(chip).copy()
    chip.wait(100.0)
    rise = memristor_usiemens(chip) - low
    assert np.all(rise > 0)
    decades = np.sum(1.0 - np.exp(-100.0 / physics.relaxation_times_s(chip._profile.simulation)))
    assert decades == pytest.approx(4.5, abs=0.5)
    # What relaxed while the other cells were pulsed is not seen here.
    np.testing.assert_allclose(rise / (3000.0 - low), 0.001 * decades, rtol=0.03)


def test_cell_that_was_never_pulsed_does_not_relax(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    before = memristor_usiemens(chip).copy()
    chip.wait(1e5)
    chip.read(array_cells(chip), read_spec(samples=4))
    np.testing.assert_array_equal(memristor_usiemens(chip), before)


def test_random_part_of_relaxation_does_not_move_the_cell_on_average(tmp_path: Path) -> None:
    floor = SIMULATION.relaxation_floor_usiemens
    chip = still_chip(tmp_path, simulation={"relaxation_floor_usiemens": floor})
    set_memristors(chip, 1000.0)
    give(chip, Bias.SET, 1.6)
    before = memristor_usiemens(chip).copy()
    chip.wait(1e7)
    moved = before - memristor_usiemens(chip)
    decades = SIMULATION.relaxation_decades
    assert abs(moved.mean()) < 4 * decades * floor / 16
    assert moved.std() == pytest.approx(decades * floor, rel=0.2)


def test_waiting_wakes_no_channels_and_heals_none(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    before = trap_count(chip).copy()
    chip.wait(1e6)
    chip.read(array_cells(chip), read_spec(samples=4))
    np.testing.assert_array_equal(trap_count(chip), before)
