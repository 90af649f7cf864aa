"""Chips that look alike and journals that share a chip: what one does is never taken for what the other did."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from holding import memprog, on, waiting
from kills import Kill, account_of, check_equal, run_killed, run_on
from loop_cases import Bench, make_bench, random_targets, wear_of, write_targets

from memprog.errors import LimitError, StoppedError
from memprog.jobs.chips import make_chip
from memprog.jobs.program import program
from memprog.jobs.runs import runs
from memprog.jobs.status import status

BRIEF = {"protocol__passes": 1, "protocol__mop_up_passes": 1}
MIDDLE = Kill("after chip slot", 20)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path / "bench", rows=8, columns=8, seed=3, **BRIEF)


def twin_of(bench: Bench) -> Bench:
    """Another chip of the same seed, in the same workspace, with the same journal."""
    path = bench.workspace.folder / "twin.sim"
    make_chip(path, bench.kind, seed=3, arrays=1)
    return dataclasses.replace(bench, workspace=dataclasses.replace(bench.workspace, chip_path=path))


def other_journal(bench: Bench) -> Bench:
    path = bench.workspace.folder / "other.sqlite"
    return dataclasses.replace(bench, workspace=dataclasses.replace(bench.workspace, journal_path=path))


def test_a_twin_neither_settles_nor_disowns_what_is_under_way_on_the_other(bench: Bench) -> None:
    twin = twin_of(bench)
    assert run_killed(bench, MIDDLE, "program", "--array", "--no-verify")
    report = program(twin.workspace, profile=twin.profile, verify=False)
    assert report.pulses_total == wear_of(twin).sum()
    assert status(bench.workspace).next_step.endswith("memprog program --resume")
    assert run_on(bench, "program", "--resume", "--no-verify").code in {0, 1}
    check_equal(bench)
    check_equal(twin)
    assert not any(run["former_chip"] for run in runs(bench.workspace).runs)


def test_the_pulses_of_a_killed_run_count_against_life_under_another_journal_too(bench: Bench) -> None:
    assert run_killed(bench, MIDDLE, "program", "--array", "--no-verify")
    other = other_journal(bench)
    with pytest.raises(LimitError, match="pulses more than its record"):
        program(other.workspace, profile=other.profile, verify=False)
    program(other.workspace, profile=other.profile, verify=False, yes=True)
    told = run_on(other, "info").fields
    assert told["pulses_recorded"] >= told["pulses_total"]


def test_two_journals_that_begin_alike_do_not_take_each_others_batches_for_their_own(bench: Bench) -> None:
    copy = shutil.copytree(bench.workspace.folder, bench.workspace.folder.parent / "copy")
    assert run_killed(bench, Kill("after journal intent", 12), "program", "--array", "--no-verify")
    account = account_of(bench)
    assert account.last_done < account.last_sent
    other = other_journal(bench)
    with pytest.raises(StoppedError):
        program(other.workspace, profile=other.profile, max_pulses=200, yes=True)
    refused = run_on(bench, "program", "--resume")
    assert (refused.code, "was pulsed since" in refused.err) == (3, True)
    assert copy.exists()


def test_another_image_under_another_journal_needs_the_operators_word(bench: Bench) -> None:
    program(bench.workspace, profile=bench.profile, verify=False)
    other = other_journal(bench)
    program(other.workspace, profile=other.profile, verify=False)  # the image that it holds
    write_targets(bench.workspace.image_path, bench.kind, random_targets(bench.kind.levels, (1, 8, 8), 77))
    before = wear_of(bench)
    for workspace in (other.workspace, bench.workspace):
        with pytest.raises(LimitError, match="--yes overwrites it"):
            program(workspace, profile=bench.profile)
        with pytest.raises(LimitError, match="--yes overwrites it"):
            program(workspace, profile=bench.profile, dry_run=True)
    np.testing.assert_array_equal(wear_of(bench), before)
    bench.workspace.chip_path.with_name("chip.sim.record").unlink()
    third = dataclasses.replace(bench.workspace, journal_path=bench.workspace.folder / "third.sqlite")
    with pytest.raises(LimitError, match="holds what neither its record nor this journal knows"):
        program(third, profile=bench.profile)


def test_a_hard_link_is_the_same_chip(bench: Bench) -> None:
    link = bench.workspace.folder / "link.sim"
    os.link(bench.workspace.chip_path, link)
    with waiting(*on(bench, "program", "--array")):
        assert memprog(*on(bench, "verify", "--chip", str(link))).code == 5


def test_a_workspace_may_be_moved_and_its_run_taken_up(bench: Bench) -> None:
    assert run_killed(bench, MIDDLE, "program", "--array", "--no-verify")
    folder = bench.workspace.folder.rename(bench.workspace.folder.parent / "moved")
    moved = {name: folder / getattr(bench.workspace, name).name for name in ("image_path", "chip_path", "journal_path")}
    bench = dataclasses.replace(bench, workspace=dataclasses.replace(bench.workspace, folder=folder, **moved))
    assert run_on(bench, "program", "--resume", "--no-verify").code in {0, 1}
    check_equal(bench)


def test_tightened_limits_teach_nothing_of_stuck_cells(bench: Bench) -> None:
    tight = {"set_max_v": 1.2, "reset_max_v": 0.8}
    weak = program(bench.workspace, profile=bench.profile, limits=tight, verify=False)
    assert weak.failed_by_reason["unreachable"] > 30
    strong = program(bench.workspace, profile=bench.profile, verify=False)
    assert strong.defects_by_reason == {}
    assert strong.cells_done > 15


def test_a_worn_cell_is_a_result_and_stops_nobody_else(tmp_path: Path) -> None:
    bench = make_bench(tmp_path, rows=8, columns=8, seed=3, **BRIEF, limits__pulses_per_cell_life=40)
    total: dict[str, int] = {}
    for seed in range(3):
        write_targets(bench.workspace.image_path, bench.kind, random_targets(bench.kind.levels, (1, 8, 8), seed))
        total = dict(program(bench.workspace, profile=bench.profile, yes=True, verify=False).failed_by_reason)
    assert total["worn"] > 10
    assert wear_of(bench).max() <= 40


def test_a_recheck_that_is_stopped_forgets_nothing(tmp_path: Path) -> None:
    stuck = {"simulation__stuck_low_fraction": 0.1}
    bench = make_bench(tmp_path, rows=8, columns=8, seed=3, **BRIEF, **stuck)
    program(bench.workspace, profile=bench.profile, verify=False)
    before = run_on(bench, "info").fields["defects"]
    assert len(before) >= 3
    with pytest.raises(StoppedError):
        program(bench.workspace, profile=bench.profile, recheck=True, full=True, max_pulses=100)
    assert run_on(bench, "info").fields["defects"] == before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--backend", "nonsense"), 3),
        (("--expect-serial", "SIM-another"), 3),
        (("--resume",), 3),
        ((), 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_dry_run_without_a_chip_refuses_what_a_run_would(words: tuple[str, ...], code: int, tmp_path: Path) -> None:
    bench = make_bench(tmp_path, rows=8, columns=8, seed=3, chip=False, **BRIEF)
    array = () if "--resume" in words else ("--array",)
    assert memprog(*on(bench, "program", *array, "--dry-run", *words)).code == code
    assert not bench.workspace.chip_path.exists()


def test_a_dry_run_of_a_resume_plans_the_cells_of_the_run(bench: Bench) -> None:
    with pytest.raises(StoppedError):
        program(bench.workspace, profile=bench.profile, arrays=[0], cells=[(0, 0), (3, 4)], max_pulses=2)
    assert program(bench.workspace, profile=bench.profile, resume=True, dry_run=True).cells == 2
    assert program(bench.workspace, profile=bench.profile, full=True, dry_run=True, min_yield=0.5).min_yield == 0.5
