"""The simulated readout: noise with its colour, telegraph noise as measured, converter steps, what is corrected."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from small_chip import (
    ALIKE,
    NOISELESS,
    STILL,
    array_cells,
    memristor_usiemens,
    new_chip,
    read_spec,
    relative_for,
    set_cells,
    set_memristors,
    set_traps,
    small_profile,
    still_chip,
)

from memprog.chip import Cells, FloatArray, Order, ReadSpec, Status, conductance_usiemens
from memprog.profile import bundled_profile
from memprog.simchip import SimChip
from memprog.simchip import cells as physics
from memprog.simchip.readout import BLOCK, parts, statistics

PROFILE = bundled_profile("rao2023-11bit")
READOUT, SIMULATION = PROFILE.readout, PROFILE.simulation

# The supplementary traces of Rao 2023: 5 kHz, about 97 uS, step 2.57 uS and dwell times 11.5 and 7.5 ms at 0.2 V.
# Cells dwell: visited in turn, each would be sampled too seldom.
MEASURED = read_spec(aperture_ns=200_000, settle_ns=0, samples=5000, order=Order.DWELLING)
SAMPLE_S = 200e-6
MEASURED_QUIET, MEASURED_STEP = 96.0, 2.57
MEASURED_LOW_S, MEASURED_HIGH_S = 0.0115, 0.0075


def trace_usiemens(chip: SimChip, cells: Cells, spec: ReadSpec) -> FloatArray:
    """A trace (cells, samples) in uS, corrected as a readback is."""
    samples = chip.trace(cells, spec)
    once = chip.read(cells, spec_once(spec))
    return np.asarray((samples - once.offset_a[:, None]) / once.sense_v[:, None] * 1e6)


def spec_once(spec: ReadSpec) -> ReadSpec:
    """The same read, one sample of it."""
    return read_spec(read_v=spec.read_v, gate_v=spec.gate_v, aperture_ns=spec.aperture_ns, settle_ns=spec.settle_ns)


def reading_usiemens(chip: SimChip, spec: ReadSpec) -> FloatArray:
    """Mean readback of every cell of array 0, in uS."""
    reading = chip.read(array_cells(chip), spec)
    return conductance_usiemens(reading.current_a, reading.offset_a, reading.sense_v)


def measured_device(folder: Path) -> SimChip:
    """A chip whose cells are all the device of the supplementary traces."""
    chip = still_chip(folder, simulation={"flicker_usiemens": SIMULATION.flicker_usiemens})
    set_cells(chip, MEASURED_QUIET)
    relative = relative_for(MEASURED_STEP, MEASURED_QUIET, chip._profile)
    set_traps(chip, relative, MEASURED_LOW_S, MEASURED_HIGH_S)
    chip._load(0)["trap_high"][0] = np.random.default_rng(1).random(256) < 0.39
    return chip


def dwell_s(high: np.ndarray, interval_s: float) -> tuple[float, float]:
    """Maximum-likelihood dwell times (low, high) of two-level signals (cells, samples)."""
    rises = np.count_nonzero(~high[:, :-1] & high[:, 1:])
    falls = np.count_nonzero(high[:, :-1] & ~high[:, 1:])
    leave_low, leave_high = rises / np.count_nonzero(~high[:, :-1]), falls / np.count_nonzero(high[:, :-1])
    # A two-state chain seen at intervals: both chances shrink together as transitions go unseen.
    rate = -np.log1p(-leave_low - leave_high) / interval_s / (leave_low + leave_high)
    return 1.0 / (leave_low * rate), 1.0 / (leave_high * rate)


def test_traced_cell_shows_the_two_levels_and_dwell_times_that_were_measured(tmp_path: Path) -> None:
    chip = measured_device(tmp_path)
    samples = trace_usiemens(chip, array_cells(chip).take(np.arange(48)), MEASURED)
    high = samples > MEASURED_QUIET + MEASURED_STEP / 2
    step = samples[high].mean() - samples[~high].mean()
    assert step == pytest.approx(MEASURED_STEP, rel=0.02)
    # Nothing in between: the two levels lie 18 deviations of the noise apart.
    assert np.mean(np.abs(samples - MEASURED_QUIET - MEASURED_STEP / 2) < 0.5) < 1e-3
    low_s, high_s = dwell_s(high, SAMPLE_S)
    # 48 s hold some 2,500 dwells of each kind: four deviations are 8 %.
    assert low_s == pytest.approx(MEASURED_LOW_S, rel=0.08)
    assert high_s == pytest.approx(MEASURED_HIGH_S, rel=0.08)
    assert high.mean() == pytest.approx(0.39, abs=0.03)


@pytest.mark.parametrize(
    ("read_v", "expected_high_s"),
    [(0.15, 0.01306), (0.25, 0.00431), (0.1, 0.01306), (0.3, 0.00431), (-0.25, 0.00431)],
)
def test_upper_dwell_time_falls_with_bias_within_the_measured_range(
    read_v: float, expected_high_s: float, tmp_path: Path
) -> None:
    chip = measured_device(tmp_path)
    spec = dataclasses.replace(MEASURED, read_v=read_v)
    samples = trace_usiemens(chip, array_cells(chip).take(np.arange(48)), spec)
    low_s, high_s = dwell_s(samples > MEASURED_QUIET + MEASURED_STEP / 2, SAMPLE_S)
    assert low_s == pytest.approx(MEASURED_LOW_S, rel=0.09)
    assert high_s == pytest.approx(expected_high_s, rel=0.09)


def test_law_of_the_upper_dwell_time_is_exact_and_held_outside_the_measurements() -> None:
    dwell = np.array([MEASURED_HIGH_S], dtype=np.float32)

    def at(bias_v: float) -> float:
        return float(physics.dwell_high_s(dwell, bias_v, SIMULATION)[0])

    assert at(0.2) == pytest.approx(MEASURED_HIGH_S)
    assert at(0.15) / at(0.25) == pytest.approx(np.exp(SIMULATION.trap_bias_decay_per_v * 0.1), rel=1e-5)
    assert (at(0.05), at(0.5)) == (at(0.15), at(0.25))
    # The authors' fitted constants: 13.2 and 4.35 ms.
    assert at(0.15) == pytest.approx(0.0132, rel=0.02)
    assert at(0.25) == pytest.approx(0.00435, rel=0.02)


def test_slow_trap_keeps_its_state_through_a_short_read_and_forgets_it_over_a_long_wait(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, readout=NOISELESS)
    set_cells(chip, MEASURED_QUIET)
    set_traps(chip, relative_for(MEASURED_STEP, MEASURED_QUIET, chip._profile), 1.0, 1.0, is_high=True)
    first = reading_usiemens(chip, read_spec())
    assert np.mean(first > MEASURED_QUIET + 1.0) > 0.95
    chip.wait(0.01)
    assert np.mean(reading_usiemens(chip, read_spec()) > MEASURED_QUIET + 1.0) > 0.92
    chip.wait(20.0)
    later = reading_usiemens(chip, read_spec())
    assert np.mean(later > MEASURED_QUIET + 1.0) == pytest.approx(0.5, abs=0.125)


def test_next_look_finds_traps_where_the_last_one_left_them(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, readout=NOISELESS)
    set_cells(chip, MEASURED_QUIET)
    set_traps(chip, relative_for(MEASURED_STEP, MEASURED_QUIET, chip._profile), 0.5, 0.5)
    last = chip.trace(array_cells(chip), read_spec(samples=6, interval_s=0.5))[:, -1] > 97.0 * 0.1986e-6
    assert 0.35 < last.mean() < 0.65
    assert np.mean((reading_usiemens(chip, read_spec()) > MEASURED_QUIET + 1.0) == last) > 0.9


def test_two_products_in_a_row_find_traps_in_the_same_state(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, readout=NOISELESS)
    set_cells(chip, MEASURED_QUIET)
    set_traps(chip, relative_for(MEASURED_STEP, MEASURED_QUIET, chip._profile), 1.0, 1.0)
    chip.wait(100.0)
    row_v = np.eye(16) * 0.2
    first, second = (chip.multiply(0, row_v, np.arange(16), 3.0).current_a > 97.0 * 0.2e-6 for _ in range(2))
    assert 0.35 < first.mean() < 0.65
    assert np.mean(first == second) > 0.97


@pytest.mark.parametrize("usiemens", [100.0, 4000.0])
@pytest.mark.parametrize("aperture_ns", [20_000, 200_000, 3_200_000])
def test_white_noise_narrows_with_the_root_of_the_aperture(usiemens: float, aperture_ns: int, tmp_path: Path) -> None:
    chip = still_chip(tmp_path, readout={"converter_bits": 26})
    set_cells(chip, usiemens)
    reading = chip.read(array_cells(chip), read_spec(samples=64, aperture_ns=aperture_ns))
    found = np.sqrt(np.mean(reading.current_std_a**2)) / 0.2 * 1e6
    white = np.hypot(READOUT.white_noise_usiemens, READOUT.white_noise_relative * usiemens)
    # 16,000 samples: four deviations are 2.2 %; the true bias is up to 0.9 % low.
    assert found == pytest.approx(white * (READOUT.white_noise_aperture_ns / aperture_ns) ** 0.5, rel=0.035)
    assert found == pytest.approx(chip._profile.readout.sample_noise_usiemens(usiemens, aperture_ns), rel=0.035)
    assert abs(np.mean(reading.lag1)) < 0.05


def test_noise_of_the_measured_device_is_coloured_as_measured(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, simulation={"flicker_usiemens": SIMULATION.flicker_usiemens})
    set_cells(chip, 98.0)
    samples = trace_usiemens(chip, array_cells(chip).take(np.arange(64)), MEASURED)
    single = samples.std(axis=1).mean()
    blocks = samples.reshape(64, -1, 250).mean(axis=2).std(axis=1).mean()
    # Measured over 4 s: 0.086 uS a sample, 0.023 uS over 250 samples, where white noise would give 0.005.
    assert single == pytest.approx(0.086, rel=0.06)
    assert blocks == pytest.approx(0.023, rel=0.25)
    assert blocks > 3.0 * single / 250**0.5


def test_low_frequency_noise_grows_with_the_root_of_conductance(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, simulation={"flicker_usiemens": SIMULATION.flicker_usiemens}, readout=NOISELESS)
    found = []
    for usiemens in (98.0, 98.0 * 16):
        set_cells(chip, usiemens)
        samples = trace_usiemens(chip, array_cells(chip), read_spec(samples=400, interval_s=0.01))
        found.append(samples.std(axis=1).mean())
    assert found[1] / found[0] == pytest.approx(4.0, rel=0.06)


def test_low_frequency_noise_keeps_its_power_however_sparsely_it_is_sampled(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, simulation={"flicker_usiemens": SIMULATION.flicker_usiemens}, readout=NOISELESS)
    set_cells(chip, SIMULATION.flicker_reference_usiemens)
    whole = SIMULATION.flicker_usiemens * SIMULATION.flicker_decades**0.5
    for interval_s in (0.0, 0.3, 100.0):
        reading = trace_usiemens(chip, array_cells(chip), read_spec(samples=8, interval_s=interval_s))
        chip.wait(1000.0)
        # Over cells, not over time: at short intervals one cell hardly moves.
        assert reading[:, -1].std() == pytest.approx(whole, rel=0.2)


def test_low_frequency_noise_is_shared_by_reads_close_together_and_not_by_reads_far_apart(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, simulation={"flicker_usiemens": SIMULATION.flicker_usiemens}, readout=NOISELESS)
    set_cells(chip, 98.0)
    looks = []
    for wait_s in (0.0, 0.01, 1000.0):
        chip.wait(wait_s)
        looks.append(reading_usiemens(chip, read_spec(samples=8)))
    near, far = np.corrcoef(looks[0], looks[1])[0, 1], np.corrcoef(looks[0], looks[2])[0, 1]
    assert near > 0.55
    assert abs(far) < 0.25


def test_low_frequency_noise_goes_on_where_the_last_look_left_it(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, simulation={"flicker_usiemens": SIMULATION.flicker_usiemens}, readout=NOISELESS)
    set_cells(chip, 98.0)
    samples = trace_usiemens(chip, array_cells(chip), read_spec(samples=60, interval_s=0.3))
    following = reading_usiemens(chip, read_spec())
    assert np.corrcoef(samples[:, -1], following)[0, 1] > 0.35
    assert abs(np.corrcoef(samples[:, 0], following)[0, 1]) < 0.25


@pytest.mark.parametrize("range_a", [None, 1e-4])
def test_readings_are_whole_steps_of_the_converter(range_a: float | None, tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    samples = chip.trace(array_cells(chip), read_spec(samples=16, range_a=range_a))
    lsb_a = 2.0 * (range_a or READOUT.range_a) / 2**READOUT.converter_bits
    steps = samples / lsb_a
    # Traces are kept to seven digits.
    np.testing.assert_allclose(steps, np.rint(steps), rtol=2e-7)
    assert len(np.unique(np.rint(steps))) > 100
    once = chip.read(array_cells(chip), read_spec(range_a=range_a))
    np.testing.assert_allclose(once.current_a / lsb_a, np.rint(once.current_a / lsb_a), atol=1e-6)
    assert chip.capabilities.current_lsb_a == pytest.approx(2.0 * READOUT.range_a / 2**READOUT.converter_bits)


def test_current_at_the_end_of_the_converter_is_clamped_and_one_below_it_is_not(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, readout=NOISELESS | {"offset_spread_a": 0.0, "gain_spread": 0.0})
    set_cells(chip, 1000.0)
    sense_v = chip.read(array_cells(chip), read_spec()).sense_v
    current_a = 1000.0e-6 * sense_v
    above, below = (chip.read(array_cells(chip), read_spec(range_a=float(current_a.mean()) * k)) for k in (0.99, 1.01))
    assert set(above.status.tolist()) == {Status.CLAMPED}
    assert set(below.status.tolist()) == {Status.OK}
    np.testing.assert_allclose(below.current_a, current_a, rtol=1e-6)


def test_one_clamped_sample_makes_the_whole_reading_clamped(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, readout=NOISELESS)
    set_cells(chip, MEASURED_QUIET)
    set_traps(chip, relative_for(10.0, MEASURED_QUIET, chip._profile), 0.01, 0.01)
    spec = read_spec(samples=8, interval_s=0.1, range_a=(MEASURED_QUIET + 5.0) * 0.2e-6)
    assert np.mean(chip.read(array_cells(chip), spec).status == Status.CLAMPED) > 0.9


def test_dither_makes_the_mean_of_many_samples_finer_than_a_step(tmp_path: Path) -> None:
    quiet = {"white_noise_usiemens": 0.0, "white_noise_relative": 0.0, "gain_spread": 0.0}
    lsb = bundled_profile("rao2023-onchip-6bit").readout.lsb_usiemens
    assert lsb == pytest.approx(67.2, rel=0.01)
    worst = {}
    for dither_lsb in (0.0, 1.0):
        folder = tmp_path / str(dither_lsb)
        folder.mkdir()
        readout = quiet | {"dither_lsb": dither_lsb}
        profile = small_profile("rao2023-onchip-6bit", arrays=1, simulation=STILL | ALIKE, readout=readout)
        chip = new_chip(folder, profile)
        truth = np.linspace(200.0, 200.0 + 2 * lsb, 256)
        set_memristors(chip, truth / (1.0 - truth / 10_000.0))
        spec = read_spec(aperture_ns=1000, settle_ns=200, samples=1024)
        reading = chip.read(array_cells(chip), spec)
        found = conductance_usiemens(reading.current_a, reading.offset_a, reading.sense_v)
        worst[dither_lsb] = np.abs(found - truth).max()
    assert worst[0.0] > 0.45 * lsb
    # A dithered sample is off by half a step at most (deviation), the mean of 1,024 by a sixty-fourth.
    assert worst[1.0] < 4.0 * lsb / 64


def test_sensed_voltage_and_offset_give_the_true_conductance_where_the_nominal_voltage_does_not(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, readout={"offset_spread_a": 1e-6})
    set_cells(chip, 4000.0)
    reading = chip.read(array_cells(chip), read_spec(samples=64))
    found = conductance_usiemens(reading.current_a, reading.offset_a, reading.sense_v)
    noise = READOUT.sample_noise_usiemens(4000.0) / 8.0
    gain = 4.5 * READOUT.gain_spread * 4000.0
    assert np.abs(found - 4000.0).max() < 4.5 * noise + gain
    nominal = (reading.current_a - reading.offset_a) / 0.2e-6
    low = 1.0 - nominal / 4000.0
    assert np.all((low > READOUT.source_drop_min - 2e-4) & (low < READOUT.source_drop_max + 2e-4))
    # Without the zero-current reading the worst column is uS off.
    assert np.abs(reading.current_a / reading.sense_v * 1e6 - 4000.0).max() > 5.0


def test_columns_share_an_offset_and_rows_a_drop(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    reading = chip.read(array_cells(chip), read_spec())
    offset_a, sense_v = reading.offset_a.reshape(16, 16), reading.sense_v.reshape(16, 16)
    assert np.all(offset_a == offset_a[0])
    assert len(np.unique(offset_a[0])) == 16
    assert np.all(sense_v == sense_v[:, :1])
    assert len(np.unique(sense_v[:, 0])) == 16
    # It is a property of the chip, not of the read.
    np.testing.assert_array_equal(chip.read(array_cells(chip), read_spec(samples=4)).offset_a, reading.offset_a)


def test_negative_read_voltage_gives_the_same_conductance(tmp_path: Path) -> None:
    chip = still_chip(tmp_path)
    set_cells(chip, 1000.0)
    found = reading_usiemens(chip, read_spec(read_v=-0.2, samples=16))
    assert np.median(found) == pytest.approx(1000.0, abs=0.1)


@pytest.mark.parametrize("samples", [1, 2, 3, 50])
def test_statistics_agree_with_numpy(samples: int) -> None:
    rng = np.random.default_rng(9)
    walk = np.cumsum(rng.normal(0.0, 3.0, (samples, 7)), axis=0) + rng.normal(0.0, 5.0, (samples, 7))
    code = np.rint(walk + 100_000.0).astype(np.float32)
    lsb_a = 7.6e-9
    mean_a, std_a, lag1 = statistics(code.copy(), lsb_a)
    wide = code.astype(np.float64)
    np.testing.assert_allclose(mean_a, wide.mean(axis=0) * lsb_a, rtol=1e-9)
    if samples == 1:
        assert not std_a.any()
    else:
        np.testing.assert_allclose(std_a, wide.std(axis=0, ddof=1) * lsb_a, rtol=1e-4)
    about = wide - wide.mean(axis=0)
    scatter = (about**2).sum(axis=0)
    reference = (about[1:] * about[:-1]).sum(axis=0) / scatter if samples > 2 else np.zeros(7)
    np.testing.assert_allclose(lag1, reference, atol=1e-4)


def test_statistics_of_samples_that_are_all_alike_have_no_deviation_and_no_correlation() -> None:
    mean_a, std_a, lag1 = statistics(np.full((9, 4), 54_321.0, dtype=np.float32), 1e-9)
    np.testing.assert_allclose(mean_a, 54_321e-9)
    assert not std_a.any()
    assert not lag1.any()


def test_reading_holds_the_statistics_of_its_samples(tmp_path: Path) -> None:
    spec = read_spec(samples=40, interval_s=0.001)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    reading = new_chip(first).read(array_cells(new_chip(first, name="other.sim")), spec)
    chip = new_chip(second)
    samples = chip.trace(array_cells(chip), spec)
    np.testing.assert_allclose(reading.current_a, samples.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(reading.current_std_a, samples.std(axis=1, ddof=1), rtol=1e-3)


def test_large_reads_are_cut_into_parts_that_cover_every_cell_once() -> None:
    for n, samples in ((0, 5), (1, 1), (1000, 2048), (257, BLOCK * 2), (70_000, 8)):
        covered = [index for part in parts(n, samples) for index in range(n)[part]]
        assert covered == list(range(n))
        assert all(len(range(n)[part]) * samples <= max(BLOCK, 256 * samples) for part in parts(n, samples))


def test_read_of_many_cells_in_parts_keeps_every_answer_with_its_cell(tmp_path: Path) -> None:
    profile = small_profile(rows=32, columns=32, arrays=1, simulation={"channels_initial_mean": 0.0})
    chip = new_chip(tmp_path, profile)
    order = np.random.default_rng(4).permutation(1024)
    cells = array_cells(chip).take(order)
    reading = chip.read(cells, read_spec(samples=2048))
    found = conductance_usiemens(reading.current_a, reading.offset_a, reading.sense_v)
    transistor = physics.transistor_usiemens(chip._file.silicon[0], order, 3.0, profile.simulation)
    truth = physics.in_series(memristor_usiemens(chip)[order], transistor)
    np.testing.assert_allclose(found, truth, atol=0.5, rtol=1e-3)
