"""What every chip must keep, simulated or behind instruments: one function a promise, each on a fresh chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from small_chip import read_spec, same_pulses

from memprog.chip import Bias, Cells, Chip, Order, ReadSpec, Status, conductance_usiemens
from memprog.errors import InputError, MemprogError
from memprog.profile import ChipProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A way to get a fresh chip, and the profile it was made with.

    The chip needs two rows, four columns and a row limit that one row of fresh cells can exceed.
    """

    open_chip: Callable[[], Chip]
    profile: ChipProfile

    def spec(self, **changes: object) -> ReadSpec:
        """The profile's ordinary read, with some of it changed."""
        readout = self.profile.readout
        usual = {"read_v": readout.read_v, "gate_v": readout.read_gate_v}
        usual |= {"aperture_ns": readout.aperture_ns, "settle_ns": readout.settle_ns}
        return read_spec(**usual | changes)


def shuffled(chip: Chip, seed: int = 3) -> Cells:
    """Every cell of the chip, in no order."""
    array, row, column = np.indices((chip.geometry.arrays, chip.geometry.rows, chip.geometry.columns)).reshape(3, -1)
    order = np.random.default_rng(seed).permutation(len(array))
    return Cells(array=array[order], row=row[order], column=column[order])


def cells_at(*places: tuple[int, int, int]) -> Cells:
    """Cells by address."""
    array, row, column = np.array(places, dtype=np.int64).reshape(-1, 3).T
    return Cells(array=array, row=row, column=column)


def row_of(chip: Chip, row: int) -> Cells:
    """One row of the first array."""
    return cells_at(*((0, row, column) for column in range(chip.geometry.columns)))


def outside(chip: Chip) -> list[Cells]:
    """Batches whose second cell the chip does not have."""
    size = chip.geometry
    wrong = [(size.arrays, 0, 0), (0, size.rows, 0), (0, 0, size.columns), (-1, 0, 0), (0, -1, 0), (0, 0, -1)]
    return [cells_at((0, 0, 0), place) for place in wrong]


def check_fields_of_a_reading_are_one_value_a_cell(bench: Bench) -> None:
    chip = bench.open_chip()
    cells = shuffled(chip).take(slice(0, 11))
    reading = chip.read(cells, bench.spec(samples=5))
    per_cell = ("current_a", "current_std_a", "lag1", "sense_v", "offset_a", "range_a", "status", "time_s")
    assert {name: getattr(reading, name).shape for name in (*per_cell, "temperature_k")} == dict.fromkeys(
        (*per_cell, "temperature_k"), (11,)
    )
    assert reading.samples == 5


def check_answers_follow_the_order_of_the_cells(bench: Bench) -> None:
    chip = bench.open_chip()
    cells = shuffled(chip)
    # Every second cell is pulsed high, so that neighbours in the batch differ by far more than any noise.
    raised = cells.take((cells.row + cells.column) % 2 == 0)
    levels = bench.profile.levels
    chip.pulse(raised, same_pulses(len(raised), Bias.SET, 2.2, gate_v=1.2), 1)
    found = []
    for seed in (3, 4):
        cells = shuffled(chip, seed)
        reading = chip.read(cells, bench.spec(samples=32))
        image = np.full((chip.geometry.arrays, chip.geometry.rows, chip.geometry.columns), np.nan)
        image[cells.array, cells.row, cells.column] = conductance_usiemens(
            reading.current_a, reading.offset_a, reading.sense_v
        )
        found.append(image)
    assert not np.isnan(found[0]).any()
    high = np.indices(found[0].shape)[1:].sum(axis=0) % 2 == 0
    # A stuck cell may stand on the wrong side; a wrong order would put half of them there.
    between = levels.min_usiemens + 550.0
    assert np.mean((found[0] > between) == high) > 0.98
    assert np.median(np.abs(found[0] - found[1])) < levels.window_usiemens * 1.5


def check_order_of_a_trace_follows_the_order_of_the_cells(bench: Bench) -> None:
    chip = bench.open_chip()
    forward = shuffled(chip).take(slice(0, 9))
    backward = forward.take(np.arange(9)[::-1])
    first, second = (chip.trace(cells, bench.spec(samples=64)).mean(axis=1) for cells in (forward, backward))
    noise_a = 6.0 * bench.profile.readout.sample_noise_usiemens(first.max() / 0.2e-6) * 0.2e-6 / 8.0
    fluctuation_a = 0.1 * first
    assert np.all(np.abs(first - second[::-1]) < noise_a + fluctuation_a)


def check_current_is_nan_exactly_where_status_is_not_ok(bench: Bench) -> None:
    chip = bench.open_chip()
    cells = shuffled(chip)
    whole = chip.read(cells, bench.spec(samples=4))
    range_a = float(np.nanmedian(np.abs(whole.current_a))) + 1e-12
    part = chip.read(cells, bench.spec(samples=4, range_a=range_a))
    for reading in (whole, part):
        bad = reading.status != Status.OK
        np.testing.assert_array_equal(np.isnan(reading.current_a), bad)
        np.testing.assert_array_equal(np.isnan(reading.current_std_a), bad)
    assert 0 < np.count_nonzero(part.status == Status.CLAMPED) < len(cells)
    np.testing.assert_array_equal(part.range_a, np.full(len(cells), range_a))


def check_clamped_value_is_nan_and_status(bench: Bench) -> None:
    chip = bench.open_chip()
    cells = row_of(chip, 1)
    reading = chip.read(cells, bench.spec(samples=3, range_a=1e-7))
    assert set(reading.status.tolist()) == {Status.CLAMPED}
    assert np.isnan(reading.current_a).all()
    assert np.isnan(chip.trace(cells, bench.spec(samples=3, range_a=1e-7))).all()


def check_cell_outside_the_chip_is_refused_and_nothing_happens(bench: Bench) -> None:
    chip = bench.open_chip()
    clock_s, spec = chip.clock_s(), bench.spec()
    for cells in outside(chip):
        for act in (chip.read, chip.trace):
            with pytest.raises(InputError, match=r"is not on a chip of"):
                act(cells, spec)
        with pytest.raises(InputError, match=r"is not on a chip of"):
            chip.pulse(cells, same_pulses(2, Bias.RESET, 1.0), 7)
    assert chip.last_batch_id() is None
    assert chip.clock_s() == clock_s


def check_cell_twice_in_a_batch_of_pulses_is_refused(bench: Bench) -> None:
    chip = bench.open_chip()
    with pytest.raises(InputError, match="twice"):
        chip.pulse(cells_at((0, 1, 2), (0, 0, 0), (0, 1, 2)), same_pulses(3, Bias.RESET, 1.0), 7)
    assert chip.last_batch_id() is None


def check_last_batch_is_none_first_and_then_the_id(bench: Bench) -> None:
    chip = bench.open_chip()
    known = chip.capabilities.knows_last_batch
    assert chip.last_batch_id() is None
    for batch_id in (0, 41, 42):
        chip.pulse(row_of(chip, 0), same_pulses(chip.geometry.columns, Bias.SUB_THRESHOLD, 0.1), batch_id)
        assert chip.last_batch_id() == (batch_id if known else None)


def check_reading_does_not_count_as_a_pulse(bench: Bench) -> None:
    chip = bench.open_chip()
    cells = row_of(chip, 0)
    chip.pulse(cells, same_pulses(len(cells), Bias.SUB_THRESHOLD, 0.1), 5)
    before = chip.last_batch_id()
    chip.read(cells, bench.spec(samples=2))
    chip.trace(cells, bench.spec(samples=2))
    chip.wait(1.0)
    assert chip.last_batch_id() == before


def check_clock_never_goes_back_and_moves_by_what_is_waited(bench: Bench) -> None:
    chip = bench.open_chip()
    cells = row_of(chip, 0)
    moments = [chip.clock_s()]
    reading = chip.read(cells, bench.spec(samples=4))
    moments += [*sorted(reading.time_s.tolist()), chip.clock_s()]
    chip.trace(cells, bench.spec(samples=4, order=Order.DWELLING))
    moments.append(chip.clock_s())
    delivered = chip.pulse(cells, same_pulses(len(cells), Bias.SUB_THRESHOLD, 0.1), 1)
    moments += [delivered.time_s, chip.clock_s()]
    assert moments == sorted(moments)
    assert moments[0] < reading.time_s.min() <= moments[-4] < delivered.time_s
    for seconds in (0.0, 0.25, 3600.0):
        before = chip.clock_s()
        chip.wait(seconds)
        # A real clock runs on by itself.
        assert seconds - 1e-6 <= chip.clock_s() - before <= seconds + 1.0
    with pytest.raises(MemprogError):
        chip.wait(-1.0)


def check_empty_batches_do_nothing(bench: Bench) -> None:
    chip = bench.open_chip()
    nothing = cells_at()
    clock_s = chip.clock_s()
    for group in (None, np.zeros(0, dtype=np.int64)):
        for order in Order:
            reading = chip.read(nothing, bench.spec(samples=3, group=group, order=order))
            assert len(reading.current_a) == len(reading.status) == len(reading.time_s) == 0
            assert chip.trace(nothing, bench.spec(samples=3, group=group, order=order)).shape == (0, 3)
    delivered = chip.pulse(nothing, same_pulses(0, Bias.RESET, 1.0), 3)
    assert len(delivered.status) == len(delivered.amplitude_v) == 0
    assert chip.clock_s() - clock_s < 1.0


def check_pulse_beyond_the_range_of_the_driver_is_clamped(bench: Bench) -> None:
    chip = bench.open_chip()
    driver = bench.profile.driver
    most_v = driver.amplitude_range_v
    asked_v = np.array([0.5, most_v * 1.5, 0.25])
    pulses = same_pulses(3, Bias.SUB_THRESHOLD, asked_v, gate_v=1.0)
    delivered = chip.pulse(cells_at((0, 0, 0), (0, 1, 1), (0, 1, 3)), pulses, 1)
    assert delivered.status.tolist() == [Status.OK, Status.CLAMPED, Status.OK]
    assert delivered.amplitude_v[1] == pytest.approx(most_v)
    # A wanted voltage becomes whole steps of the converter, and never more than was asked.
    less_v = (asked_v - delivered.amplitude_v)[[0, 2]]
    assert np.all((less_v >= -1e-9) & (less_v < driver.amplitude_lsb_v))
    steps = delivered.amplitude_v[[0, 2]] / chip.capabilities.amplitude_lsb_v
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
    gate = same_pulses(1, Bias.SUB_THRESHOLD, 0.1, gate_v=driver.gate_range_v * 1.5)
    assert chip.pulse(cells_at((0, 0, 0)), gate, 2).status.tolist() == [Status.CLAMPED]


def check_voltage_of_the_wrong_sign_is_clamped_just_as_well(bench: Bench) -> None:
    chip = bench.open_chip()
    most_v = bench.profile.driver.amplitude_range_v
    delivered = chip.pulse(cells_at((0, 0, 0)), same_pulses(1, Bias.SUB_THRESHOLD, -1.5 * most_v, gate_v=1.0), 1)
    assert delivered.status.tolist() == [Status.CLAMPED]
    assert abs(delivered.amplitude_v[0]) <= most_v


def check_making_safe_and_closing_twice_is_fine(bench: Bench) -> None:
    chip = bench.open_chip()
    chip.read(row_of(chip, 0), bench.spec())
    for act in (chip.make_safe, chip.make_safe, chip.close, chip.close, chip.make_safe):
        act()


def check_trace_gives_every_sample_of_every_cell(bench: Bench) -> None:
    chip = bench.open_chip()
    cells = row_of(chip, 1)
    samples = chip.trace(cells, bench.spec(samples=17))
    assert samples.shape == (len(cells), 17)
    assert samples.dtype == np.float64
    assert np.isfinite(samples).all()


def check_product_has_a_current_a_column_and_says_where_it_is_saturated(bench: Bench) -> None:
    chip = bench.open_chip()
    if not chip.capabilities.product:
        with pytest.raises(MemprogError):
            chip.multiply(0, np.zeros((1, 2)), [0, 1], 3.0)
        return
    rows = list(range(chip.geometry.rows))
    for row in rows:
        cells = row_of(chip, row)
        chip.pulse(cells, same_pulses(len(cells), Bias.SET, bench.profile.limits.set_max_v, gate_v=2.0), row)
    row_v = np.vstack([np.zeros(len(rows)), np.full(len(rows), 0.2), np.eye(len(rows))[0] * 0.01])
    product = chip.multiply(0, row_v, rows, 3.0)
    assert product.current_a.shape == product.saturated.shape == (3, chip.geometry.columns)
    np.testing.assert_array_equal(np.isnan(product.current_a), product.saturated)
    assert product.saturated[1].all()
    assert not product.saturated[[0, 2]].any()


def check_product_is_the_sum_of_what_the_cells_give_alone(bench: Bench) -> None:
    chip = bench.open_chip()
    if not chip.capabilities.product:
        return
    rows, row_v = [1, 0], np.array([[0.2, -0.1]])
    alone = [chip.read(row_of(chip, row), bench.spec(samples=64)) for row in rows]
    usiemens = [conductance_usiemens(one.current_a, one.offset_a, one.sense_v) for one in alone]
    expected_a = (usiemens[0] * 0.2 - usiemens[1] * 0.1) * 1e-6
    product = chip.multiply(0, row_v, rows, bench.profile.readout.read_gate_v)
    # Fluctuating cells, line drop and converter steps are allowed for; swapped rows are not.
    allowed_a = 0.1 * np.abs(usiemens[0] * 0.2e-6) + 2.0 * chip.capabilities.current_lsb_a
    assert np.all(np.abs(product.current_a[0] - expected_a) < allowed_a)


def check_product_of_wrong_shape_or_place_is_refused(bench: Bench) -> None:
    chip = bench.open_chip()
    if not chip.capabilities.product:
        return
    for array, row_v, rows in (
        (0, np.zeros((1, 3)), [0, 1]),
        (0, np.zeros(2), [0, 1]),
        (0, np.zeros((1, 2)), [0, chip.geometry.rows]),
        (chip.geometry.arrays, np.zeros((1, 2)), [0, 1]),
    ):
        with pytest.raises(InputError):
            chip.multiply(array, row_v, rows, 3.0)


def check_product_over_no_rows_is_nothing_but_noise(bench: Bench) -> None:
    chip = bench.open_chip()
    if not chip.capabilities.product:
        return
    product = chip.multiply(0, np.zeros((2, 0)), [], 3.0)
    assert product.current_a.shape == (2, chip.geometry.columns)
    assert np.all(np.abs(product.current_a) < 1e-6)
    assert not product.saturated.any()


def check_grouping_cells_of_two_rows_is_refused(bench: Bench) -> None:
    chip = bench.open_chip()
    for act in (chip.read, chip.trace):
        with pytest.raises(MemprogError, match="row"):
            act(cells_at((0, 0, 0), (0, 1, 1)), bench.spec(group=np.array([5, 5])))
    if chip.geometry.arrays > 1:
        with pytest.raises(MemprogError, match="row"):
            chip.read(cells_at((0, 0, 0), (1, 0, 1)), bench.spec(group=np.array([5, 5])))


def check_group_over_the_row_current_is_over_range_and_nan(bench: Bench) -> None:
    chip = bench.open_chip()
    limit_a = chip.capabilities.row_current_max_a
    cells = row_of(chip, 0)
    alone = chip.read(cells, bench.spec(samples=16))
    assert np.nansum(alone.current_a) > 1.2 * limit_a, "this bench cannot exceed its row limit"
    allowed = np.cumsum(np.nan_to_num(alone.current_a, nan=limit_a)) < 0.8 * limit_a
    assert allowed.any()
    assert not allowed.all()
    both = Cells(
        array=np.concatenate([cells.array, cells.array[allowed]]),
        row=np.concatenate([cells.row, cells.row[allowed] + 1]),
        column=np.concatenate([cells.column, cells.column[allowed]]),
    )
    group = np.where(both.row == 0, 9, np.arange(len(both)) + 100)
    reading = chip.read(both, bench.spec(samples=4, group=group))
    np.testing.assert_array_equal(reading.status == Status.OVER_RANGE, both.row == 0)
    np.testing.assert_array_equal(np.isnan(reading.current_a), both.row == 0)
    np.testing.assert_array_equal(
        np.isnan(chip.trace(both, bench.spec(samples=4, group=group))).all(axis=1), both.row == 0
    )
    together = chip.read(cells.take(allowed), bench.spec(samples=16, group=np.zeros(allowed.sum(), dtype=np.int64)))
    assert (together.status == Status.OK).all()


def check_cells_of_a_group_are_sensed_at_one_moment(bench: Bench) -> None:
    chip = bench.open_chip()
    reading = chip.read(row_of(chip, 0).take(slice(0, 4)), bench.spec(samples=2, group=np.array([8, 8, 3, 3])))
    assert reading.time_s[0] == reading.time_s[1]
    assert reading.time_s[2] == reading.time_s[3]
    assert reading.time_s[0] != reading.time_s[2]


def check_interleaved_cells_share_the_span_and_dwelling_ones_take_turns(bench: Bench) -> None:
    chip = bench.open_chip()
    cells = row_of(chip, 0).take(slice(0, 4))
    spec = bench.spec(samples=8)
    visit_s = (spec.aperture_ns + spec.settle_ns) * 1e-9
    start_s = chip.clock_s()
    interleaved = chip.read(cells, spec)
    took_s = chip.clock_s() - start_s
    assert took_s >= 8 * 4 * visit_s * (1 - 1e-9)
    # Every cell is seen in the last round, and so near the end.
    assert np.ptp(interleaved.time_s) <= took_s / 8 * (1 + 1e-9)
    start_s = chip.clock_s()
    dwelling = chip.read(cells, bench.spec(samples=8, order=Order.DWELLING))
    took_s = chip.clock_s() - start_s
    assert took_s >= 4 * 8 * spec.aperture_ns * 1e-9
    assert np.ptp(dwelling.time_s) >= 0.6 * took_s
    assert np.all(np.diff(dwelling.time_s) > 0)


def check_interval_keeps_the_samples_of_a_cell_apart(bench: Bench) -> None:
    chip = bench.open_chip()
    cells = row_of(chip, 0).take(slice(0, 3))
    for order, turns in ((Order.INTERLEAVED, 1), (Order.DWELLING, 3)):
        start_s = chip.clock_s()
        reading = chip.read(cells, bench.spec(samples=5, interval_s=0.1, order=order))
        assert chip.clock_s() - start_s >= turns * 4 * 0.1
        assert reading.time_s.min() - start_s >= 4 * 0.1
        assert reading.time_s.max() <= chip.clock_s()


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
