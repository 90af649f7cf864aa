"""Wires of the simulated chip: what readings lose in them, how a session takes them out, pulses and products."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_chip import (
    NOISELESS,
    array_cells,
    give,
    memristor_usiemens,
    read_spec,
    set_cells,
    set_memristors,
    small_profile,
    still_chip,
)

from memprog.chip import Bias, Cells, FloatArray, conductance_usiemens
from memprog.errors import InputError
from memprog.physics.nominal import nominal_lines
from memprog.physics.wires import Wires, WireSolver
from memprog.profile import ProductReadout, Wiring
from memprog.protocol import Look
from memprog.session import Session
from memprog.simchip import SimChip

WIRES = Wiring(row_ohm=2.0, column_ohm=1.0, driver_ohm=3.0, sense_ohm=4.0, spread=0.0)
EXACT = ProductReadout(rows_at_once=16, input_bits=0, input_max_v=0.3, converter_bits=0, range_a=1.0)
SILENT = NOISELESS | {"source_drop_min": 0.0, "source_drop_max": 0.0, "offset_spread_a": 0.0, "gain_spread": 0.0}


def wired(folder: Path, *, wires: Wiring | None = WIRES, **sections: Any) -> SimChip:
    """A silent chip with wires whose cells conduct 100 to 4,000 uS."""
    folder.mkdir(exist_ok=True)
    chip = still_chip(folder, wires=wires, readout=SILENT | sections.pop("readout", {}), **sections)
    set_cells(chip, np.geomspace(100.0, 4000.0, 256))
    return chip


def one_look(chip: SimChip) -> FloatArray:
    """What a session says that the cells conduct, (cells,)."""
    with Session(chip, chip._profile) as session:
        cells = array_cells(chip)
        look = Look(stage="test", cells=np.arange(len(cells)), samples=4, interval_s=0.0)
        return session.look(cells, look).readback_usiemens


def test_terminals_see_each_cell_behind_its_wires(tmp_path: Path) -> None:
    chip = wired(tmp_path)
    reading = chip.read(array_cells(chip), read_spec())
    seen = conductance_usiemens(reading.current_a, reading.offset_a, reading.sense_v)
    truth = np.geomspace(100.0, 4000.0, 256)
    lines = nominal_lines(chip._profile)
    assert lines is not None
    np.testing.assert_allclose(1.0 / seen, 1.0 / truth + lines.series_ohm.ravel() * 1e-6, rtol=2e-4)
    # The farthest cell is 16 segments along each wire, and both ends, away.
    assert lines.series_ohm.max() == 16 * 2.0 + 16 * 1.0 + 3.0 + 4.0


def test_session_takes_the_wires_out_of_readings_in_groups(tmp_path: Path) -> None:
    chip = wired(tmp_path)
    np.testing.assert_allclose(one_look(chip), np.geomspace(100.0, 4000.0, 256), rtol=3e-4)


def test_lines_that_nobody_measured_stay_in_the_reading(tmp_path: Path) -> None:
    chip = wired(tmp_path, wires=dataclasses.replace(WIRES, spread=0.1))
    factor = float(chip._file.silicon[0]["wire_factor"])
    off = one_look(chip) / np.geomspace(100.0, 4000.0, 256) - 1.0
    assert factor != 1.0
    assert (np.sign(off[-16:]) == -np.sign(factor - 1.0)).all()
    assert np.abs(off[-1]) > 10 * np.abs(off[0])


def test_noise_is_seen_through_the_wires(tmp_path: Path) -> None:
    quiet = {"white_noise_usiemens": 0.0, "white_noise_relative": 0.0}
    flicker = {"flicker_usiemens": 5.0, "flicker_exponent": 0.0}
    spread = []
    for name, wires in (("with", WIRES), ("without", None)):
        chip = wired(tmp_path / name, wires=wires, readout=quiet, simulation=flicker)
        set_cells(chip, 3000.0)
        traces = chip.trace(array_cells(chip), read_spec(samples=200, interval_s=0.1))
        spread.append(np.std(traces, axis=1)[-1])
    # Share of the volts, squared: once for the volts, once for the current the other cells take.
    assert spread[0] / spread[1] == pytest.approx((1.0 / (1.0 + 3000e-6 * 55.0)) ** 2, rel=0.1)


def test_pulses_lose_volts_on_the_way_to_the_far_corner(tmp_path: Path) -> None:
    chip = wired(tmp_path)
    set_memristors(chip, 3000.0)
    before = memristor_usiemens(chip)
    give(chip, Bias.RESET, 1.7)
    change = (memristor_usiemens(chip) - before).reshape(16, 16)
    assert np.median(change[:4, :4]) < 1.3 * np.median(change[-4:, -4:]) < 0.0


def product_chip(folder: Path, product: ProductReadout = EXACT, wires: Wiring | None = None) -> SimChip:
    """A silent chip of 10 to 100 uS."""
    chip = wired(folder, wires=wires, product=product)
    set_cells(chip, np.linspace(10.0, 100.0, 256))
    return chip


def exact(chip: SimChip, row_v: FloatArray) -> FloatArray:
    """The product of what every cell reads alone."""
    matrix = np.linspace(10.0, 100.0, 256).reshape(16, 16)
    return row_v @ matrix * 1e-6


ROW_V = np.random.default_rng(3).uniform(-0.2, 0.2, (5, 16))


@pytest.mark.parametrize("rows_at_once", [16, 5, 1])
def test_groups_of_rows_add_up_to_the_whole(rows_at_once: int, tmp_path: Path) -> None:
    chip = product_chip(tmp_path, dataclasses.replace(EXACT, rows_at_once=rows_at_once))
    product = chip.multiply(0, ROW_V, np.arange(16), 3.0)
    np.testing.assert_allclose(product.current_a, exact(chip, ROW_V), rtol=1e-4, atol=1e-10)


def test_more_groups_take_more_time_and_more_offsets(tmp_path: Path) -> None:
    times, offsets = [], []
    for rows_at_once in (16, 4):
        folder = tmp_path / str(rows_at_once)
        folder.mkdir()
        kind = dataclasses.replace(EXACT, rows_at_once=rows_at_once)
        chip = still_chip(folder, product=kind)
        product = chip.multiply(0, np.zeros((3, 16)), np.arange(16), 3.0)
        times.append(chip.clock_s())
        offsets.append(product.offset_a)
    assert times[1] == pytest.approx(4 * times[0])
    np.testing.assert_allclose(offsets[1], 4 * offsets[0])
    assert np.any(offsets[0])


def test_a_silent_product_reads_its_offset_and_no_more(tmp_path: Path) -> None:
    chip = still_chip(tmp_path, product=EXACT, readout={"white_noise_usiemens": 0.0})
    product = chip.multiply(0, np.zeros((1, 16)), np.arange(16), 3.0)
    np.testing.assert_allclose(product.current_a[0], product.offset_a, rtol=1e-12)


def test_input_and_output_converters_round(tmp_path: Path) -> None:
    coarse = dataclasses.replace(EXACT, input_bits=4, converter_bits=6, range_a=1e-4)
    chip = product_chip(tmp_path, coarse)
    product = chip.multiply(0, ROW_V, np.arange(16), 3.0)
    lsb_a, input_lsb_v = 2e-4 / 64, 0.6 / 16
    np.testing.assert_allclose(product.current_a / lsb_a, np.rint(product.current_a / lsb_a), atol=1e-6)
    rounded = exact(chip, np.clip(np.rint(ROW_V / input_lsb_v), -7, 7) * input_lsb_v)
    assert np.abs(product.current_a - rounded).max() <= 0.501 * lsb_a


def test_a_sum_beyond_the_range_is_nan_and_says_so(tmp_path: Path) -> None:
    chip = product_chip(tmp_path, dataclasses.replace(EXACT, range_a=1e-4))
    product = chip.multiply(0, np.array([np.full(16, 0.2), np.full(16, 0.001)]), np.arange(16), 3.0)
    assert product.saturated[0].all()
    assert np.isnan(product.current_a[0]).all()
    assert not product.saturated[1].any()


def test_products_go_through_the_wires_of_the_whole_array(tmp_path: Path) -> None:
    chip = product_chip(tmp_path, wires=WIRES)
    product = chip.multiply(0, ROW_V[:, :10], np.arange(3, 13), 3.0)
    matrix = np.zeros((16, 16))
    matrix[3:13] = np.linspace(10.0, 100.0, 256).reshape(16, 16)[3:13]
    terminal_v = np.zeros((5, 16))
    terminal_v[:, 3:13] = ROW_V[:, :10]
    wires = Wires(row_ohm=2.0, column_ohm=1.0, driver_ohm=3.0, sense_ohm=4.0)
    np.testing.assert_allclose(
        product.current_a, WireSolver(matrix, wires).currents_a(terminal_v), rtol=1e-3, atol=1e-9
    )


def test_profiles_without_a_product_section_convert_as_they_read(tmp_path: Path) -> None:
    chip = still_chip(tmp_path)
    row_v = np.full((1, 2), 0.1)
    product = chip.multiply(0, row_v, [0, 1], 3.0)
    lsb_a = chip.capabilities.current_lsb_a
    np.testing.assert_allclose(product.current_a / lsb_a, np.rint(product.current_a / lsb_a), atol=1e-6)


def test_wires_survive_reopening(tmp_path: Path) -> None:
    chip = wired(tmp_path, wires=dataclasses.replace(WIRES, spread=0.1))
    factor = float(chip._file.silicon[0]["wire_factor"])
    chip.close()
    again = SimChip(tmp_path / "chip.sim", chip._profile)
    assert float(again._file.silicon[0]["wire_factor"]) == factor


def test_a_cell_that_leaves_no_volts_for_itself_is_clamped(tmp_path: Path) -> None:
    chip = wired(tmp_path)
    # The bench believes in wires far longer than they are: what it reads cannot be.
    believed = dataclasses.replace(chip._profile, wires=dataclasses.replace(WIRES, row_ohm=200.0))
    cells = Cells(array=np.zeros(1, dtype=np.int64), row=np.array([15]), column=np.array([15]))
    with Session(chip, believed) as session:
        seen = session.look(cells, Look(stage="test", cells=np.arange(1), samples=4, interval_s=0.0))
    assert seen.status[0] == 1
    assert np.isnan(seen.readback_usiemens[0])


def test_wires_are_refused_where_they_are_none() -> None:
    with pytest.raises(InputError):
        Wires(row_ohm=-1.0, column_ohm=1.0)
    assert nominal_lines(small_profile()) is None
