"""Snapshot and restore, the table of runs, and what status says of a run under way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from loop_cases import Bench, make_bench, random_targets, wear_of, write_targets

import memprog
from memprog.errors import InputError, LimitError, StoppedError
from memprog.jobs.program import program
from memprog.jobs.progress import Progress
from memprog.jobs.read import read_conductances
from memprog.jobs.restore import restore
from memprog.jobs.runs import runs
from memprog.jobs.status import status
from memprog.jobs.writing import Caller
from memprog.session import Allowance

QUIET = {
    "simulation__channels_initial_mean": 0.0,
    "simulation__stuck_high_fraction": 0.0,
    "simulation__stuck_low_fraction": 0.0,
    "protocol__passes": 2,
    "protocol__mop_up_passes": 1,
}


def small(folder: Path, **changes: float) -> Bench:
    return make_bench(folder, **{"rows": 8, "columns": 8, "seed": 4} | QUIET | changes)


def held(bench: Bench, path: Path) -> np.ndarray:
    read_conductances(bench.workspace, profile=bench.profile, out_path=path)
    return np.asarray(np.load(path))


def test_cells_come_back_to_what_they_held_before_the_run(tmp_path: Path) -> None:
    bench = small(tmp_path)
    before = held(bench, tmp_path / "before.npy")
    program(bench.workspace, profile=bench.profile, verify=False)
    assert (np.abs(held(bench, tmp_path / "between.npy") - before) > 10.0).mean() > 0.9
    report = restore(bench.workspace, profile=bench.profile, yes=True)
    after = held(bench, tmp_path / "after.npy")
    assert (report.kind, report.cells, report.image_sha256) == ("restore", 64, "")
    # Snapshot and both reads are noisy, and the window is 1 uS.
    assert (np.abs(after - before) < 2.0).mean() > 0.9
    newest, oldest = runs(bench.workspace).runs
    assert (newest["kind"], newest["restores"]) == ("restore", oldest["run_id"])


@pytest.mark.long
def test_the_snapshot_of_any_run_can_be_brought_back(tmp_path: Path) -> None:
    bench = small(tmp_path)
    first = program(bench.workspace, profile=bench.profile, verify=False)
    images = [bench.image.sha256]
    for seed in (1, 2):
        targets = random_targets(bench.kind.levels, (1, 8, 8), seed)
        images.append(write_targets(bench.workspace.image_path, bench.kind, targets).sha256)
        last = program(bench.workspace, profile=bench.profile, verify=False, yes=True)
    report = restore(bench.workspace, profile=bench.profile, yes=True, run_id=last.run_id, verify=False)
    assert report.image_sha256 == images[1], "it held the second image before the third"
    restore(bench.workspace, profile=bench.profile, yes=True, run_id=first.run_id, verify=False)
    # A chip that holds no image may be written without another word.
    program(bench.workspace, profile=bench.profile, verify=False)


def test_restore_needs_the_operators_word_and_a_run(tmp_path: Path) -> None:
    bench = small(tmp_path)
    with pytest.raises(
        InputError, match="there is no journal, so no run is known; `memprog program --array` begins one; nothing was"
    ):
        restore(bench.workspace, profile=bench.profile, yes=True)
    assert not bench.workspace.journal_path.exists()
    program(bench.workspace, profile=bench.profile, verify=False)
    before = wear_of(bench)
    with pytest.raises(LimitError, match="--yes permits it; nothing was applied"):
        restore(bench.workspace, profile=bench.profile)
    with pytest.raises(InputError, match="had no run of-nobody"):
        restore(bench.workspace, profile=bench.profile, yes=True, run_id="of-nobody")
    with pytest.raises(InputError, match="has no unfinished run"):
        restore(bench.workspace, profile=bench.profile, resume=True)
    np.testing.assert_array_equal(wear_of(bench), before)


def test_a_stopped_restore_is_taken_up_by_its_own_command(tmp_path: Path) -> None:
    bench = small(tmp_path)
    program(bench.workspace, profile=bench.profile, verify=False)
    with pytest.raises(StoppedError) as stopped:
        restore(bench.workspace, profile=bench.profile, yes=True, max_pulses=300)
    assert "`memprog restore --resume` goes on" in stopped.value.__notes__[0]
    assert status(bench.workspace).next_step.endswith("memprog restore --resume")
    with pytest.raises(LimitError, match="memprog restore --resume"):
        program(bench.workspace, profile=bench.profile)
    with pytest.raises(InputError, match="taken up by `memprog restore --resume`"):
        program(bench.workspace, profile=bench.profile, resume=True)
    with pytest.raises(LimitError, match="`memprog restore --resume` takes it up, `memprog restore --full --yes`"):
        restore(bench.workspace, profile=bench.profile, yes=True)
    report = restore(bench.workspace, profile=bench.profile, resume=True, verify=False)
    programmed = runs(bench.workspace).runs[1]["run_id"]
    assert (report.resumed, report.resumes, report.restores) == (True, 1, programmed)
    assert wear_of(bench).sum() == sum(run["pulses_total"] for run in runs(bench.workspace).runs)


def test_a_run_that_went_wrong_half_way_can_be_undone(tmp_path: Path) -> None:
    bench = small(tmp_path)
    with pytest.raises(StoppedError):
        program(bench.workspace, profile=bench.profile, max_pulses=500)
    report = restore(bench.workspace, profile=bench.profile, yes=True, verify=False)
    assert report.cells_done >= 40
    assert [run["state"] for run in runs(bench.workspace).runs] == ["finished", "superseded"]


def test_another_image_over_an_unfinished_run_has_one_way_on_whoever_is_asked(tmp_path: Path) -> None:
    bench = small(tmp_path)
    with pytest.raises(StoppedError):
        program(bench.workspace, profile=bench.profile, max_pulses=500)
    write_targets(bench.workspace.image_path, bench.kind, random_targets(bench.kind.levels, (1, 8, 8), 77))
    way = "memprog program --array --full --yes"
    assert status(bench.workspace).next_step.endswith(f"start anew: {way}")
    with pytest.raises(LimitError, match=f"`{way}` starts anew"):
        program(bench.workspace, profile=bench.profile)
    with pytest.raises(InputError, match=f"`{way}` starts anew"):
        program(bench.workspace, profile=bench.profile, resume=True)
    report = program(bench.workspace, profile=bench.profile, full=True, yes=True, verify=False)
    assert report.cells_done > 0
    told = [(run["state"], run["pulses_total"]) for run in runs(bench.workspace).runs]
    assert [state for state, _ in told] == ["finished", "superseded"]
    assert [pulses for _, pulses in told] == [run["pulses_total"] for run in status(bench.workspace).runs]
    assert sum(pulses for _, pulses in told) == wear_of(bench).sum()


def test_runs_say_what_was_done_by_whom_and_with_what_result(tmp_path: Path) -> None:
    bench = small(tmp_path)
    assert runs(bench.workspace).runs == []
    argv = ["memprog", "program", "--array"]
    report = program(bench.workspace, profile=bench.profile, limits={"set_max_v": 2.4}, caller=Caller(argv=argv))
    (run,) = runs(bench.workspace).runs
    assert (run["run_id"], run["state"], run["kind"], run["argv"]) == (report.run_id, "finished", "program", argv)
    assert run["memprog_version"] == memprog.__version__
    assert run["settings"]["limits"]["set_max_v"] == report.limits["set_max_v"] == 2.4
    assert (run["cells"], run["cells_done"], run["pulses_total"]) == (64, report.cells_done, report.pulses_total)
    assert report.verify is not None
    assert (run["cells_in_window"], run["passed"]) == (report.verify["cells_in_window"], report.passed)
    assert run["utc"] <= run["ended_utc"] <= run["verified_utc"]


def test_status_says_how_far_a_run_is(tmp_path: Path) -> None:
    bench = make_bench(tmp_path, rows=8, columns=8, seed=4, arrays=2, **QUIET)
    assert status(bench.workspace).next_step == "program the chip: memprog program --array"
    seen: list[tuple[int, int, int]] = []

    def listen(progress: Progress) -> None:
        if progress.kind == "array_done":
            (run,) = status(bench.workspace).runs
            seen.append((run["arrays_finished"], run["cells_done"], run["pulses_total"]))
            raise StoppedError("enough") if progress.array == 0 else AssertionError

    with pytest.raises(StoppedError):
        program(bench.workspace, profile=bench.profile, listener=listen)
    assert seen[0][0] == 1
    assert 20 <= seen[0][1] <= 64
    assert seen[0][2] == wear_of(bench).sum()
    assert status(bench.workspace).next_step.endswith("memprog program --resume")
    report = program(bench.workspace, profile=bench.profile, resume=True)
    assert [one["array"] for one in report.arrays] == [0, 1]
    assert report.pulses_total == wear_of(bench).sum() + wear_of(bench, 1).sum()
    assert status(bench.workspace).next_step == "verify what the chip holds: memprog verify"


@pytest.mark.parametrize("most", [0, pytest.param(1, marks=pytest.mark.long), 63, 64, 700])
def test_an_allowance_of_pulses_is_never_exceeded_and_the_rest_comes_later(most: int, tmp_path: Path) -> None:
    bench = small(tmp_path)
    with pytest.raises(StoppedError, match=rf"the next batch of .* would exceed the {most}"):
        program(bench.workspace, profile=bench.profile, max_pulses=most)
    assert wear_of(bench).sum() <= most
    report = program(bench.workspace, profile=bench.profile, resume=True, verify=False)
    assert report.pulses_total == wear_of(bench).sum() > most


def test_time_is_looked_at_between_batches() -> None:
    now_s = [100.0]
    allowance = Allowance(max_time_s=5.0, clock=lambda: now_s[0])
    for passed_s, stops in ((0.0, False), (4.9, False), (5.0, True), (900.0, True)):
        now_s[0] = 100.0 + passed_s
        stopped: Callable[[], None] = allowance.check_time
        if stops:
            with pytest.raises(StoppedError, match="stopped after 5 s"):
                stopped()
        else:
            stopped()


def test_limits_of_a_run_are_tighter_or_refused(tmp_path: Path) -> None:
    bench = small(tmp_path)
    with pytest.raises(LimitError, match="a run may only tighten limits"):
        program(bench.workspace, profile=bench.profile, limits={"set_max_v": 2.6})
    with pytest.raises(InputError, match="there is no limit 'set_max'"):
        program(bench.workspace, profile=bench.profile, limits={"set_max": 2.0})
    with pytest.raises(StoppedError):
        program(bench.workspace, profile=bench.profile, limits={"set_max_v": 2.4}, max_pulses=200)
    with pytest.raises(InputError, match="keeps the limits it was begun with"):
        program(bench.workspace, profile=bench.profile, resume=True, limits={"set_max_v": 2.3})
    report = program(bench.workspace, profile=bench.profile, resume=True, verify=False)
    assert report.limits == dataclasses.asdict(bench.kind.limits) | {"set_max_v": 2.4}
