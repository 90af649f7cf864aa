"""Board check and chip record: defects are named before the first pulse, spared, kept, shown, tried on demand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from loop_cases import Bench, make_bench, random_targets, small_profile, wear_of, write_targets

from memprog.chip import Status
from memprog.errors import InputError
from memprog.jobs.chips import chip_report, record_path
from memprog.jobs.program import program
from memprog.protocol import Reason, Seen
from memprog.session import ChipRecord, defects_of
from memprog.simchip import SimChip

DEAD = {f"simulation__{kind}_fraction": 0.04 for kind in ("open", "short", "unformed")}
STUCK = {"simulation__stuck_high_fraction": 0.03, "simulation__stuck_low_fraction": 0.03}
BRIEF = {"protocol__passes": 1, "protocol__mop_up_passes": 1}
REASONS = {2: Reason.SHORT, -2: Reason.OPEN, -3: Reason.UNFORMED, 1: Reason.STUCK_HIGH, -1: Reason.STUCK_LOW}


def bench_of(folder: Path, **changes: float) -> Bench:
    return make_bench(folder, rows=16, columns=16, seed=5, **BRIEF, **DEAD, **STUCK, **changes)


def codes_of(bench: Bench) -> np.ndarray:
    """What the chip knows of its cells (rows, columns); see REASONS."""
    chip = SimChip(bench.workspace.chip_path, bench.kind)
    return np.array(chip._file.silicon[0]["stuck"]).reshape(16, 16)


def record_of(bench: Bench) -> ChipRecord:
    chip = SimChip(bench.workspace.chip_path, bench.kind)
    return ChipRecord.read(record_path(bench.workspace, chip.identity), chip.identity.serial, chip.geometry)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = bench_of(tmp_path_factory.mktemp("board"))
    program(made.workspace, profile=made.profile, verify=False)
    return made


@pytest.mark.parametrize("code", [2, -2, -3, 1, -1])
def test_every_defect_is_known_by_its_name_after_a_run(code: int, bench: Bench) -> None:
    defective = codes_of(bench) == code
    assert defective.sum() >= 3
    assert set(record_of(bench).defects[0][defective].tolist()) == {REASONS[code]}


def test_no_living_cell_is_called_dead(bench: Bench) -> None:
    assert not record_of(bench).defects[0][codes_of(bench) == 0].any()


def test_writing_image_after_image_accuses_no_living_cell(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, simulation__set_gate_spread=0.12)
    for seed in range(3):
        targets = random_targets(bench.kind.levels, (1, 16, 16), seed)
        write_targets(bench.workspace.image_path, bench.kind, targets)
        program(bench.workspace, profile=bench.profile, full=True, verify=False, yes=True)
        assert not record_of(bench).defects[0][codes_of(bench) == 0].any()
    for code in (1, -1):
        stuck = record_of(bench).defects[0][codes_of(bench) == code]
        assert np.mean(stuck == REASONS[code]) >= 0.98


def test_what_readings_alone_tell_costs_no_pulse(bench: Bench) -> None:
    wear, codes = wear_of(bench), codes_of(bench)
    assert not wear[np.abs(codes) >= 2].any()
    assert (wear[np.abs(codes) == 1] > 0).all(), "that a cell is stuck no reading tells"


def test_info_counts_the_defects_and_the_pulses(bench: Bench) -> None:
    told, codes = chip_report(bench.workspace, profile=bench.profile), codes_of(bench)
    assert told.defects_by_reason == {
        reason.name.lower(): int((codes == code).sum()) for code, reason in REASONS.items()
    }
    assert {(one["row"], one["column"]) for one in told.defects} == set(map(tuple, np.argwhere(codes != 0).tolist()))
    assert told.pulses_total == told.pulses_recorded == wear_of(bench).sum()
    assert told.pulses_per_cell_max == wear_of(bench).max()


def test_stuck_cells_are_spared_in_the_next_run_and_tried_again_on_demand(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    first = program(bench.workspace, profile=bench.profile, verify=False)
    stuck = np.abs(codes_of(bench)) == 1
    assert first.defects_by_reason.keys() == {"short", "open", "unformed"}
    write_targets(bench.workspace.image_path, bench.kind, random_targets(bench.kind.levels, (1, 16, 16), 99))
    before = wear_of(bench)
    second = program(bench.workspace, profile=bench.profile, verify=False, yes=True)
    assert second.defects_by_reason.keys() == {"short", "open", "unformed", "stuck_high", "stuck_low"}
    assert second.failed_by_reason["stuck_high"] >= 3
    np.testing.assert_array_equal(wear_of(bench)[stuck], before[stuck])
    third = program(bench.workspace, profile=bench.profile, verify=False, recheck=True)
    assert third.defects_by_reason.keys() == first.defects_by_reason.keys()
    assert (wear_of(bench)[stuck] > before[stuck]).all()
    assert {Reason.STUCK_HIGH, Reason.STUCK_LOW} <= set(record_of(bench).defects[0][stuck].tolist())


def test_a_run_on_some_cells_leaves_what_is_known_of_the_others(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    program(bench.workspace, profile=bench.profile, verify=False)
    before = record_of(bench).defects.copy()
    program(bench.workspace, profile=bench.profile, arrays=[0], region=(0, 4, 0, 16), verify=False, recheck=True)
    np.testing.assert_array_equal(record_of(bench).defects[0, 4:], before[0, 4:])


def seen(*readback_usiemens: float, status: Status = Status.OK) -> Seen:
    readback = np.array(readback_usiemens)
    n = readback.shape
    return Seen(
        readback_usiemens=readback,
        noise_usiemens=np.zeros(n),
        lag1=np.zeros(n),
        status=np.full(n, status, dtype=np.uint8),
        time_s=0.0,
    )


def test_the_check_names_what_two_looks_show() -> None:
    profile = small_profile()
    found = defects_of(seen(0.1, 1.0, 6.0, 3000.0, 3000.0), seen(0.0, 0.0, 0.0, 0.1, 5.0), profile)
    assert found.tolist() == [Reason.OPEN, Reason.UNFORMED, 0, 0, Reason.SHORT]
    beyond = seen(np.nan, status=Status.CLAMPED)
    assert defects_of(beyond, beyond, profile).tolist() == [Reason.SHORT]
    # A cell beyond the range that its gate can shut may be RESET: not for the check to judge.
    assert defects_of(beyond, seen(0.0), profile).tolist() == [0]
    nowhere = seen(np.nan, status=Status.NOT_WIRED)
    assert defects_of(nowhere, nowhere, profile).tolist() == [Reason.NOT_WIRED]


def test_a_coarse_readout_accuses_no_quiet_cell() -> None:
    coarse = dataclasses.replace(small_profile().readout, converter_bits=6)
    profile = dataclasses.replace(small_profile(), readout=coarse)
    assert defects_of(seen(0.0, 0.0), seen(0.0, 40.0), profile).tolist() == [0, 0]


def test_pulses_over_the_life_of_a_chip_are_limited_across_runs_and_journals(tmp_path: Path) -> None:
    few = {"limits__pulses_per_cell_life": 60}
    bench = make_bench(tmp_path, rows=8, columns=8, seed=5, **BRIEF, **few)
    limit = bench.kind.limits.pulses_per_cell_life
    worn = 0
    for number in range(4):
        journal = dataclasses.replace(bench.workspace, journal_path=tmp_path / f"journal{number % 2}")
        write_targets(bench.workspace.image_path, bench.kind, random_targets(bench.kind.levels, (1, 8, 8), number))
        report = program(journal, profile=bench.profile, verify=False, yes=True, full=True)
        worn += report.failed_by_reason.get("worn", 0)
    assert worn
    assert wear_of(bench).max() <= limit
    np.testing.assert_array_equal(record_of(bench).pulses[0], wear_of(bench))


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, b"half"])
def test_a_damaged_record_is_named(damage: bytes, tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    path = bench.workspace.chip_path.with_name("chip.sim.record")
    path.write_bytes(damage)
    with pytest.raises(InputError, match=r"chip\.sim\.record"):
        program(bench.workspace, profile=bench.profile)
    assert not wear_of(bench).any()
