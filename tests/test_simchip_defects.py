"""Shorted, open and unformed cells: what they conduct, that nothing moves them, and what they do to their row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_chip import (
    NOISELESS,
    array_cells,
    give,
    memristor_usiemens,
    new_chip,
    read_spec,
    same_pulses,
    small_profile,
    trap_count,
)

from memprog.chip import Bias, FloatArray, Status, conductance_usiemens
from memprog.profile import ChipProfile
from memprog.simchip import SimChip
from memprog.simchip.state import (
    OPEN,
    OPEN_USIEMENS,
    SHORT,
    SHORT_USIEMENS,
    STUCK_HIGH,
    STUCK_LOW,
    UNFORMED,
    UNFORMED_USIEMENS,
)
from memprog.simchip.truth import truth_of

DEFECTS = {"short_fraction": 0.08, "open_fraction": 0.12, "unformed_fraction": 0.16}
FATES = (SHORT, OPEN, UNFORMED)


def defect_chip(folder: Path, **sections: dict[str, float]) -> SimChip:
    """A chip of one array, a third of whose cells are shorted, open or unformed, and some stuck."""
    stuck = {"stuck_high_fraction": 0.05, "stuck_low_fraction": 0.05}
    profile = small_profile(arrays=1, simulation=DEFECTS | stuck | sections.pop("simulation", {}), **sections)
    return new_chip(folder, profile)


def fates(chip: SimChip) -> np.ndarray:
    """What became of each cell of array 0, (cells,)."""
    return np.array(chip._file.silicon[0]["stuck"])


def conductance(chip: SimChip, gate_v: float) -> FloatArray:
    """What each cell of array 0 conducts at this moment, read noise excluded."""
    return chip._conductance_now(array_cells(chip), gate_v)


def test_as_many_cells_are_of_each_kind_as_the_profile_says(tmp_path: Path) -> None:
    chip = new_chip(tmp_path, small_profile(rows=64, columns=64, arrays=1, simulation=DEFECTS))
    found = fates(chip)
    wanted = {SHORT: 0.08, OPEN: 0.12, UNFORMED: 0.16, STUCK_HIGH: 0.001, STUCK_LOW: 0.001, 0: 0.638}
    for fate, share in wanted.items():
        # Four deviations of a share of 4,096 cells.
        assert np.mean(found == fate) == pytest.approx(share, abs=4 * (share * (1 - share) / 4096) ** 0.5), fate
    assert set(found.tolist()) <= set(wanted)


def test_defects_change_nothing_else_about_a_chip(tmp_path: Path) -> None:
    plain, named = new_chip(tmp_path, small_profile(), name="plain"), dict.fromkeys(DEFECTS, 0.0)
    same = new_chip(tmp_path, small_profile(simulation=named), name="same")
    assert plain._file.path.read_bytes() == same._file.path.read_bytes()
    other = new_chip(tmp_path, small_profile(simulation=DEFECTS), name="other")
    one, two = plain._file.silicon[0], other._file.silicon[0]
    for name in set(one.dtype.names) - {"stuck", "crc"}:
        np.testing.assert_array_equal(one[name], two[name])
    spared = ~np.isin(fates(other), FATES)
    np.testing.assert_array_equal(fates(other)[spared], fates(plain)[spared])
    np.testing.assert_array_equal(memristor_usiemens(other)[spared], memristor_usiemens(plain)[spared])


def test_each_kind_conducts_what_it_should_with_the_gate_open_and_shut(tmp_path: Path) -> None:
    chip = defect_chip(tmp_path)
    fate, open_, shut = fates(chip), conductance(chip, 3.0), conductance(chip, 0.0)
    np.testing.assert_allclose(open_[fate == SHORT], SHORT_USIEMENS, rtol=1e-6)
    np.testing.assert_allclose(shut[fate == SHORT], SHORT_USIEMENS, rtol=1e-6)
    np.testing.assert_allclose(open_[fate == OPEN], OPEN_USIEMENS, rtol=1e-3)
    np.testing.assert_allclose(open_[fate == UNFORMED], UNFORMED_USIEMENS, rtol=1e-3)
    assert np.all(open_[fate == 0] > 2.0)
    # With the gate shut nobody but a short conducts anything to speak of, and so a short is known.
    assert np.all(shut[fate != SHORT] < 0.01)


def test_readings_show_what_each_kind_conducts(tmp_path: Path) -> None:
    chip = defect_chip(tmp_path, readout=NOISELESS)
    fate, cells = fates(chip), array_cells(chip)
    for gate_v in (3.0, 0.0):
        reading = chip.read(cells, read_spec(gate_v=gate_v, samples=4))
        np.testing.assert_array_equal(reading.status[fate == SHORT], Status.CLAMPED)
        assert np.isnan(reading.current_a[fate == SHORT]).all()
        found = conductance_usiemens(reading.current_a, reading.offset_a, reading.sense_v)
        told = np.where(fate == OPEN, OPEN_USIEMENS, UNFORMED_USIEMENS) if gate_v else np.zeros(len(cells))
        dead = np.isin(fate, (OPEN, UNFORMED))
        np.testing.assert_allclose(found[dead], told[dead], atol=0.01)


def test_nothing_moves_a_shorted_an_open_or_an_unformed_cell(tmp_path: Path) -> None:
    chip = defect_chip(tmp_path)
    fate = fates(chip)
    dead = np.isin(fate, FATES)
    before = [conductance(chip, gate_v).copy() for gate_v in (3.0, 0.0)]
    start = memristor_usiemens(chip).copy()
    for bias, amplitude_v in ((Bias.SET, 2.2), (Bias.RESET, 2.6), (Bias.SUB_THRESHOLD, 0.9), (Bias.SET, 2.5)):
        give(chip, bias, amplitude_v)
    chip.wait(1e5)
    chip.read(array_cells(chip), read_spec(samples=16))
    for gate_v, then in zip((3.0, 0.0), before, strict=True):
        np.testing.assert_array_equal(conductance(chip, gate_v)[dead], then[dead])
    np.testing.assert_array_equal(memristor_usiemens(chip)[dead], start[dead])
    assert np.all(memristor_usiemens(chip)[fate == 0] != start[fate == 0])
    assert not trap_count(chip)[dead].any()
    assert np.all(chip._load(0)["wear"] == 4)


def test_chip_with_defects_can_be_closed_and_opened_again(tmp_path: Path) -> None:
    chip = defect_chip(tmp_path)
    give(chip, Bias.RESET, 2.2)
    chip.close()
    again = SimChip(chip._file.path, chip._profile)
    np.testing.assert_array_equal(conductance(again, 3.0), conductance(chip, 3.0))


def test_defective_cells_are_not_healthy(tmp_path: Path) -> None:
    chip = defect_chip(tmp_path)
    truth = truth_of(chip, 0, np.full((16, 16), 500.0), 1.0)
    np.testing.assert_array_equal(truth.healthy.ravel(), fates(chip) == 0)
    mean = truth.mean_usiemens.ravel()
    np.testing.assert_allclose(mean[fates(chip) == SHORT], SHORT_USIEMENS, rtol=1e-6)
    np.testing.assert_allclose(mean[fates(chip) == OPEN], OPEN_USIEMENS, rtol=1e-3)


@pytest.mark.parametrize("gate_v", [3.0, 0.0])
def test_row_that_a_short_overloads_is_not_sensed_whatever_the_gate(gate_v: float, tmp_path: Path) -> None:
    # One short draws 4 mA at 0.2 V, all others with their gates shut next to nothing.
    chip = defect_chip(tmp_path, limits={"row_current_max_a": 3.9e-3})
    cells = array_cells(chip)
    shorted = np.isin(cells.row, cells.row[fates(chip) == SHORT])
    assert 0 < np.count_nonzero(shorted) < len(cells)
    reading = chip.read(cells, read_spec(gate_v=gate_v, group=cells.row))
    np.testing.assert_array_equal(reading.status == Status.OVER_RANGE, shorted)
    np.testing.assert_array_equal(np.isnan(reading.current_a[shorted]), True)
    alone = chip.read(cells.take(fates(chip) != SHORT), read_spec(gate_v=gate_v))
    assert not np.any(alone.status == Status.OVER_RANGE)


def test_short_saturates_its_column_of_a_product(tmp_path: Path) -> None:
    chip = defect_chip(tmp_path)
    shorted = fates(chip).reshape(16, 16) == SHORT
    row = int(shorted.any(axis=1).argmax())
    product = chip.multiply(0, np.array([[0.2]]), [row], 0.0)
    np.testing.assert_array_equal(product.saturated[0], shorted[row])


def test_pulses_on_defective_cells_alone_are_carried_out(tmp_path: Path) -> None:
    chip = defect_chip(tmp_path)
    cells = array_cells(chip).take(np.isin(fates(chip), FATES))
    delivered = chip.pulse(cells, same_pulses(len(cells), Bias.SET, 2.5), 3)
    assert set(delivered.status.tolist()) == {Status.OK}
    assert chip.last_batch_id() == 3


def test_all_cells_may_be_of_one_kind(tmp_path: Path) -> None:
    nothing = {"stuck_high_fraction": 0.0, "stuck_low_fraction": 0.0}
    for name, fate in (("short_fraction", SHORT), ("open_fraction", OPEN), ("unformed_fraction", UNFORMED)):
        profile: ChipProfile = small_profile(arrays=1, simulation=nothing | {name: 1.0})
        assert set(fates(new_chip(tmp_path, profile, name=name)).tolist()) == {fate}
