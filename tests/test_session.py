"""The session: grouping of reads, conductance from what was sensed, and a chip that is always made safe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop_cases import OFFSET_A, RecorderChip, cells_at, pulses_of, recording, small_profile

from memprog.chip import Bias, Cells, ChipGeometry, Status
from memprog.errors import InputError, InstrumentError, LimitError
from memprog.protocol import Look
from memprog.session import Session
from memprog.session.limits import tightened
from memprog.session.plan import UNKNOWN_FACTOR, most_read_a, read_groups

PROFILE = small_profile(arrays=2, rows=4, columns=8)


def look_at(cells: Cells, samples: int = 4, wait_s: float = 0.0) -> Look:
    return Look(stage="check", cells=np.arange(len(cells)), samples=samples, interval_s=0.01, wait_s=wait_s)


def whole_array(array: int) -> Cells:
    return Cells.from_mask(array, np.ones((4, 8), dtype=bool))


@given(data=st.data(), parallel=st.integers(1, 8), limit_a=st.floats(1e-3, 1e-1))
def test_groups_stay_in_one_row_under_its_limit_with_a_converter_for_each_cell(
    data: st.DataObject, parallel: int, limit_a: float
) -> None:
    geometry = ChipGeometry(arrays=3, rows=4, columns=8)
    places = data.draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 7)), unique=True, max_size=60)
    )
    cells = cells_at(*places)
    currents = st.floats(0.0, 2.0 * limit_a)
    expected_a = np.array(data.draw(st.lists(currents, min_size=len(cells), max_size=len(cells))))
    chip = RecorderChip(small_profile(readout={"parallel_cells": parallel}))
    chip.row_current_max_a = limit_a
    group = read_groups(cells, expected_a, geometry, chip.capabilities)
    assert group.shape == (len(cells),)
    assert sorted(set(group.tolist())) == list(range(len(set(group.tolist()))))
    for number in set(group.tolist()):
        members = group == number
        assert len({(a, r) for a, r in zip(cells.array[members], cells.row[members], strict=True)}) == 1
        assert members.sum() <= parallel
        # A cell that alone draws more than the limit has to be sensed alone.
        assert expected_a[members].sum() <= limit_a or members.sum() == 1


def test_cells_that_fit_are_sensed_together() -> None:
    chip = RecorderChip(PROFILE)
    group = read_groups(whole_array(0), np.full(32, 1e-4), chip.geometry, chip.capabilities)
    assert len(set(group.tolist())) == 4


def test_cells_never_read_are_expected_above_the_top_level() -> None:
    chip = RecorderChip(PROFILE)
    top_a = UNKNOWN_FACTOR * PROFILE.levels.max_usiemens * 1e-6 * PROFILE.readout.read_v
    chip.row_current_max_a = 2.5 * top_a
    with Session(chip, PROFILE) as session:
        session.look(whole_array(0), look_at(whole_array(0)))
        session.look(whole_array(0), look_at(whole_array(0)))
    blind, knowing = (spec.group for _, spec in chip.reads)
    assert blind is not None
    assert knowing is not None
    assert np.bincount(blind).max() == 2
    assert np.bincount(knowing).max() > 2


def test_a_cell_that_noise_shows_below_nothing_is_read_again() -> None:
    chip, cells = RecorderChip(PROFILE, -0.01), whole_array(0)
    with Session(chip, PROFILE) as session:
        for _ in range(2):
            seen = session.look(cells, look_at(cells))
    assert (seen.readback_usiemens < 0).all()


def test_cells_about_to_rise_are_grouped_by_their_targets() -> None:
    chip = RecorderChip(PROFILE, 100.0)
    cells = whole_array(0)
    with Session(chip, PROFILE) as session:
        session.look(cells, look_at(cells))
        session.look(cells, look_at(cells))
        session.expect(cells, np.full(32, 11_000.0))
        session.look(cells, look_at(cells))
    sizes = [int(np.bincount(spec.group).max()) for _, spec in chip.reads if spec.group is not None]
    assert sizes[1] == 8
    assert sizes[2] == int(0.93 * PROFILE.limits.row_current_max_a / (1.15 * 11_000e-6 * PROFILE.readout.read_v))


def test_a_run_with_a_lower_row_current_senses_fewer_cells_together(tmp_path: Path) -> None:
    chip = RecorderChip(PROFILE)
    cells, lower_a = whole_array(0), 2e-3
    session, journal = recording(tmp_path / "j", chip, limits=tightened(PROFILE.limits, row_current_max_a=lower_a))
    session.look(cells, look_at(cells))
    session.look(cells, look_at(cells))
    for _, spec in chip.reads:
        assert spec.group is not None
        drawn_a = np.bincount(spec.group) * 1000e-6 * spec.read_v
        assert drawn_a.max() <= lower_a
    journal.close()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.93])
def test_a_cell_never_read_is_not_read_where_it_alone_may_draw_too_much(share: float, tmp_path: Path) -> None:
    chip, cells = RecorderChip(PROFILE), whole_array(0)
    limits = tightened(PROFILE.limits, row_current_max_a=share * most_read_a(PROFILE))
    session, journal = recording(tmp_path / "j", chip, limits=limits)
    with pytest.raises(LimitError, match=r"expected read current \S+ A is outside 0\.\..*32 cell.*nothing was applied"):
        session.look(cells, look_at(cells))
    assert (chip.reads, list(journal.batches("run"))) == ([], [])
    journal.close()


def test_a_cell_about_to_draw_too_much_alone_is_not_read(tmp_path: Path) -> None:
    chip, cells = RecorderChip(PROFILE), whole_array(0)
    most_a = most_read_a(PROFILE)
    session, journal = recording(tmp_path / "j", chip, limits=tightened(PROFILE.limits, row_current_max_a=most_a))
    session.look(cells, look_at(cells))
    target = np.full(32, 1000.0)
    target[7] = 1.001 * most_a / (1.15e-6 * PROFILE.readout.read_v)
    session.expect(cells, target)
    with pytest.raises(LimitError, match=r"expected read current .*1 cell.*nothing was applied"):
        session.look(cells, look_at(cells))
    session.look(cells.take(np.flatnonzero(target == 1000.0)), look_at(cells_at(*[(0, 0, 0)] * 31)))
    assert len(chip.reads) == 2
    journal.close()


def test_a_group_that_drew_too_much_is_read_again_cell_by_cell() -> None:
    chip = RecorderChip(PROFILE, 100.0)
    cells = whole_array(0)
    with Session(chip, PROFILE) as session:
        session.look(cells, look_at(cells))
        # A row that has grown behind the session's back.
        chip.conductance_usiemens[0, 2, :] = 20_000.0
        seen = session.look(cells, look_at(cells))
    assert len(chip.reads) == 3
    again, spec = chip.reads[-1]
    assert set(again.row.tolist()) == {2}
    assert spec.group is not None
    assert len(set(spec.group.tolist())) == len(again) == 8
    np.testing.assert_array_equal(seen.status, Status.OK)
    np.testing.assert_allclose(seen.readback_usiemens[cells.row == 2], 20_000.0, rtol=1e-6)
    np.testing.assert_allclose(seen.readback_usiemens[cells.row != 2], 100.0, rtol=1e-6)


def test_a_cell_that_draws_too_much_alone_has_no_reading() -> None:
    chip = RecorderChip(PROFILE)
    chip.conductance_usiemens[0, 0, 0] = 0.2e6
    with Session(chip, PROFILE) as session:
        seen = session.look(cells_at((0, 0, 0), (0, 1, 0)), look_at(cells_at((0, 0, 0), (0, 1, 0))))
    assert seen.status.tolist() == [Status.OVER_RANGE, Status.OK]
    assert np.isnan(seen.readback_usiemens).tolist() == [True, False]


def test_conductance_is_at_the_sensed_voltage_without_the_offset() -> None:
    chip = RecorderChip(PROFILE, 4000.0)
    with Session(chip, PROFILE) as session:
        seen = session.look(cells_at((1, 2, 3)), look_at(cells_at((1, 2, 3))))
        readback = session.readback_usiemens
    assert seen.readback_usiemens[0] == pytest.approx(4000.0, rel=1e-6)
    assert OFFSET_A / PROFILE.readout.read_v * 1e6 > 0.1
    assert readback[1, 2, 3] == seen.readback_usiemens[0]
    assert np.isnan(readback).sum() == readback.size - 1


def test_answers_are_in_the_order_the_cells_were_asked_for() -> None:
    chip = RecorderChip(PROFILE)
    chip.conductance_usiemens[:] = np.arange(64.0).reshape(2, 4, 8) + 100.0
    order = np.random.default_rng(1).permutation(32)
    cells = whole_array(1).take(order)
    with Session(chip, PROFILE) as session:
        seen = session.look(cells, look_at(cells))
    np.testing.assert_allclose(seen.readback_usiemens, 132.0 + order, rtol=1e-6)


def test_a_look_waits_first_and_asks_for_what_the_profile_says() -> None:
    chip = RecorderChip(PROFILE)
    with Session(chip, PROFILE) as session:
        seen = session.look(cells_at((0, 0, 0)), look_at(cells_at((0, 0, 0)), samples=7, wait_s=10.0))
    assert chip.calls[:2] == ["wait", "read"]
    assert seen.time_s == pytest.approx(10.0, abs=0.1)
    _, spec = chip.reads[0]
    readout = PROFILE.readout
    assert (spec.read_v, spec.gate_v, spec.samples) == (readout.read_v, readout.read_gate_v, 7)
    assert (spec.aperture_ns, spec.settle_ns, spec.interval_s) == (readout.aperture_ns, readout.settle_ns, 0.01)


def test_looking_at_nothing_sees_nothing() -> None:
    nothing = whole_array(0).take(np.zeros(32, dtype=bool))
    with Session(RecorderChip(PROFILE), PROFILE) as session:
        assert len(session.look(nothing, look_at(nothing)).readback_usiemens) == 0


def test_pulses_reach_the_chip_as_they_were_given(tmp_path: Path) -> None:
    session, journal = recording(tmp_path / "j", chip := RecorderChip(PROFILE))
    pulses = pulses_of([Bias.SET, Bias.SUB_THRESHOLD], [1.61, 0.8], [2.345, 5.0], [1000, 200])
    cells = cells_at((1, 0, 1), (1, 3, 7))
    session.fire(cells, pulses)
    ((to, given_, batch_id),) = chip.batches
    assert (to, given_) == (cells, pulses)
    (batch,) = journal.batches("run")
    assert batch.batch_id == batch_id
    journal.close()


@pytest.mark.parametrize("stop", [None, KeyboardInterrupt, SystemExit, RuntimeError])
def test_outputs_are_made_safe_on_every_way_out(stop: type[BaseException] | None) -> None:
    chip = RecorderChip(PROFILE)
    try:
        with Session(chip, PROFILE) as session:
            session.look(cells_at((0, 0, 0)), look_at(cells_at((0, 0, 0))))
            if stop is not None:
                raise stop
    except (KeyboardInterrupt, SystemExit, RuntimeError):
        assert stop is not None
    assert chip.calls == ["read", "make_safe", "close"]


def test_outputs_are_made_safe_when_the_wire_is_cut(tmp_path: Path) -> None:
    session, journal = recording(tmp_path / "j", chip := RecorderChip(PROFILE))
    chip.broken = True
    with pytest.raises(InstrumentError, match="the wire is cut"), session:
        session.fire(cells_at((0, 0, 0)), pulses_of([Bias.SET], [1.0], [1.0], [1000]))
    assert chip.calls == ["pulse", "make_safe", "close"]
    journal.close()


@pytest.mark.parametrize("size", [{"rows": 8, "columns": 8}, {"rows": 4, "columns": 4}])
def test_a_chip_of_another_size_than_its_profile_is_refused(size: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"the chip has \d x \d cells an array, profile rao2023-11bit says 4 x 8"):
        Session(RecorderChip(small_profile(arrays=2, **size)), PROFILE)


def test_a_chip_with_fewer_arrays_than_its_profile_is_fine_as_far_as_it_goes() -> None:
    chip = RecorderChip(small_profile(arrays=1, rows=4, columns=8))
    with Session(chip, PROFILE) as session:
        session.look(cells_at((0, 0, 0)), look_at(cells_at((0, 0, 0))))
        with pytest.raises(InputError, match="array 1, row 0, column 0 is not on a chip of 1 x 4 x 8"):
            session.look(cells_at((1, 0, 0)), look_at(cells_at((1, 0, 0))))
        with pytest.raises(InputError, match="is not on a chip"):
            session.expect(cells_at((1, 0, 0)), np.array([100.0]))
