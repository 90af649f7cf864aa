"""Whose past a journal is, after copies, moves and backups: what goes on, what is refused, and what is counted."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from holding import memprog, on
from kills import Kill, check_equal, record_of, run_killed, run_on
from loop_cases import Bench, make_bench, random_targets, wear_of, write_targets

from memprog.errors import InputError, LimitError, StoppedError
from memprog.jobs.chips import make_chip
from memprog.jobs.program import program
from memprog.jobs.restore import restore
from memprog.jobs.runs import runs
from memprog.jobs.status import status

FEW = {"protocol__passes": 1, "protocol__mop_up_passes": 1, "protocol__round_budget": 30}
NO_WAY_ELSE = ("program", "--array", "--full", "--no-verify")


def small(folder: Path, *, arrays: int = 1, rounds: int = 30) -> Bench:
    return make_bench(
        folder / "bench", rows=8, columns=8, seed=3, arrays=arrays, **FEW | {"protocol__round_budget": rounds}
    )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return small(tmp_path)


def under(bench: Bench, **paths: Path) -> Bench:
    """The same bench, with other files in the place of some."""
    return dataclasses.replace(bench, workspace=dataclasses.replace(bench.workspace, **paths))


def other_journal(bench: Bench) -> Bench:
    return under(bench, journal_path=bench.workspace.folder / "other.sqlite")


def other_image(bench: Bench, seed: int = 77) -> None:
    shape = bench.image.targets_usiemens.shape
    write_targets(bench.workspace.image_path, bench.kind, random_targets(bench.kind.levels, shape, seed))


def stop(bench: Bench, pulses: int = 300, **options: bool) -> None:
    """A run that stops after so many pulses."""
    with pytest.raises(StoppedError):
        program(bench.workspace, profile=bench.profile, verify=False, max_pulses=pulses, **options)


def journal_files(bench: Bench, folder: Path) -> None:
    """Copy a journal, and what waits to be merged into it."""
    folder.mkdir()
    for path in bench.workspace.journal_path.parent.glob(bench.workspace.journal_path.name + "*"):
        shutil.copy(path, folder / path.name)


def put_back(bench: Bench, folder: Path) -> None:
    for path in bench.workspace.journal_path.parent.glob(bench.workspace.journal_path.name + "*"):
        path.unlink()
    for path in folder.iterdir():
        shutil.copy(path, bench.workspace.journal_path.parent / path.name)


@pytest.mark.long
def test_an_older_copy_that_another_journal_pulsed_last_is_not_taken_for_the_chip_of_a_run(tmp_path: Path) -> None:
    """Its finished arrays would be called done, and hold what they held before."""
    bench, older = small(tmp_path, arrays=2), tmp_path / "older.sim"
    program(other_journal(bench).workspace, profile=bench.profile, verify=False)
    shutil.copy(bench.workspace.chip_path, older)
    other_image(bench)
    assert run_killed(bench, Kill("after journal cells", 1), "program", "--array", "--no-verify", "--yes")
    shutil.copy(older, bench.workspace.chip_path)
    refused = run_on(bench, "program", "--resume", "--no-verify")
    assert (refused.code, "or is an older copy; `memprog program --array --full " in refused.err) == (3, True)
    told = run_on(bench, "program", "--array")
    assert (told.code, "--resume" in told.err) == (5, False), "what is refused is not named as a way on"
    assert run_on(bench, *NO_WAY_ELSE).code in {0, 1}
    assert (record_of(bench) >= np.stack([wear_of(bench, array) for array in range(2)])).all()


def test_a_blank_twin_is_not_the_chip_of_a_run_that_was_killed_in_its_snapshot(bench: Bench) -> None:
    program(other_journal(bench).workspace, profile=bench.profile, verify=False)
    assert run_killed(bench, Kill("before journal intent", 5), "program", "--array", "--no-verify")
    bench.workspace.chip_path.unlink()
    make_chip(bench.workspace.chip_path, bench.kind, seed=3, arrays=1)
    refused = run_on(bench, "program", "--resume")
    assert (refused.code, "was pulsed since" in refused.err) == (3, True)
    assert run_on(bench, *NO_WAY_ELSE).code in {0, 1}
    check_equal(bench)


@pytest.mark.parametrize("kill", [Kill("after journal intent", 1), Kill("after chip slot", 20)], ids=str)
def test_a_restore_begun_anew_brings_back_what_the_first_was_to(kill: Kill, bench: Bench) -> None:
    first = program(bench.workspace, profile=bench.profile, verify=False)
    assert run_killed(bench, kill, "restore", "--yes", "--no-verify")
    plain = run_on(bench, "restore", "--yes", "--no-verify")
    assert (plain.code, "`memprog restore --full --yes " in plain.err) == (5, True)
    assert run_on(bench, "restore", "--full", "--yes", "--no-verify").code in {0, 1}
    newest, killed, _ = runs(bench.workspace).runs
    assert (newest["restores"], killed["restores"]) == (first.run_id, first.run_id)
    assert (newest["state"], killed["state"]) == ("finished", "superseded")


def test_what_a_chip_held_before_a_run_is_what_it_holds_once_restored(bench: Bench) -> None:
    """Also where another journal wrote it: then this one has no run before."""
    program(bench.workspace, profile=bench.profile, verify=False)
    other_image(bench)
    other = other_journal(bench).workspace
    program(other, profile=bench.profile, verify=False, yes=True)
    assert restore(other, profile=bench.profile, verify=False, yes=True).image_sha256 == bench.image.sha256
    with pytest.raises(LimitError, match=f"holds image {bench.image.sha256[:8]}"):
        program(bench.workspace, profile=bench.profile, dry_run=True)


def test_a_command_that_is_refused_on_an_older_copy_costs_the_run_nothing(bench: Bench, tmp_path: Path) -> None:
    stop(bench)
    shutil.copy(bench.workspace.chip_path, tmp_path / "older.sim")
    with pytest.raises(StoppedError):
        program(bench.workspace, profile=bench.profile, verify=False, max_pulses=300, resume=True)
    shutil.copy(bench.workspace.chip_path, tmp_path / "newer.sim")
    shutil.copy(tmp_path / "older.sim", bench.workspace.chip_path)
    assert status(bench.workspace).next_step == "program the chip: memprog program --array"
    for words in (("--resume",), ("--resume", "--dry-run")):
        refused = run_on(bench, "program", *words)
        assert (refused.code, "an older copy of the chip that has one" in refused.err) == (3, True)
    shutil.copy(tmp_path / "newer.sim", bench.workspace.chip_path)
    assert run_on(bench, "program", "--resume", "--no-verify").code in {0, 1}
    check_equal(bench)


@pytest.mark.parametrize("forgetful", [False, pytest.param(True, marks=pytest.mark.long)], ids=["knows", "forgetful"])
def test_an_older_journal_gives_no_batch_a_number_that_is_counted_already(
    forgetful: bool, bench: Bench, tmp_path: Path
) -> None:
    first = ("program", "--array", "--no-verify", "--max-pulses", "200")
    assert run_on(bench, *first, forgetful=forgetful).code == 6
    journal_files(bench, tmp_path / "older")
    assert run_on(bench, "program", "--resume", "--no-verify", forgetful=forgetful).code in {0, 1}
    if not forgetful:
        program(other_journal(bench).workspace, profile=bench.profile, verify=False, full=True)
    put_back(bench, tmp_path / "older")
    assert run_on(bench, *NO_WAY_ELSE, forgetful=forgetful).code in {0, 1}
    assert (record_of(bench) >= wear_of(bench)).all()


@pytest.mark.long
def test_pulses_that_were_taken_back_do_not_hide_those_that_are_lost(bench: Bench, tmp_path: Path) -> None:
    upper, lower = (("program", "--array", "0", "--no-verify", "--region", rows) for rows in ("0:4,0:8", "4:8,0:8"))
    shutil.copy(bench.workspace.chip_path, tmp_path / "blank.sim")
    assert run_on(bench, *upper[:-1], "0:1,0:1").code in {0, 1}
    shutil.copy(bench.workspace.chip_path, tmp_path / "older.sim")
    assert run_on(bench, *upper).code in {0, 1}
    shutil.copy(tmp_path / "older.sim", bench.workspace.chip_path)
    assert run_on(bench, *upper[:-1], "0:1,0:1").code in {0, 1}
    assert run_killed(other_journal(bench), Kill("after chip slot", 12), *lower, "--journal", str(other_of(bench)))
    refused = run_on(bench, *NO_WAY_ELSE)
    assert (refused.code, "pulses more than its record" in refused.err) == (5, True)
    named = run_on(bench, "program", "--resume", "--no-verify", "--journal", str(other_of(bench)))
    assert named.code in {0, 1}
    assert run_on(bench, *NO_WAY_ELSE).code in {0, 1}
    assert (record_of(bench) >= wear_of(bench)).all()


def other_of(bench: Bench) -> Path:
    return other_journal(bench).workspace.journal_path


def test_a_new_chip_in_the_place_of_one_of_its_serial_begins_without_wear(bench: Bench) -> None:
    program(bench.workspace, profile=bench.profile, verify=False)
    bench.workspace.chip_path.unlink()
    make_chip(bench.workspace.chip_path, bench.kind, seed=3, arrays=1)
    program(bench.workspace, profile=bench.profile, verify=False)
    np.testing.assert_array_equal(record_of(bench)[0], wear_of(bench))


def test_a_journal_reached_by_a_link_shows_what_a_killed_run_left_in_it(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    bench.workspace.journal_path.symlink_to(tmp_path / "elsewhere" / "journal.sqlite")
    assert run_killed(bench, Kill("after chip slot", 20), "program", "--array", "--no-verify")
    assert [run["state"] for run in runs(bench.workspace).runs] == ["running"]
    assert run_on(bench, "program", "--array", "--dry-run").code == 5
    assert run_on(bench, "program", "--resume", "--no-verify").code in {0, 1}


def test_a_chip_has_one_record_however_it_is_reached(bench: Bench, tmp_path: Path) -> None:
    link = tmp_path / "link.sim"
    link.symlink_to(bench.workspace.chip_path)
    stop(bench)
    stop(under(other_journal(bench), chip_path=link), full=True)
    np.testing.assert_array_equal(record_of(bench)[0], wear_of(bench))
    assert not link.with_name("link.sim.record").exists()


@pytest.mark.parametrize("what", ["chip renamed", "record left behind", "journal moved", "hard link"])
def test_a_run_is_taken_up_where_chip_or_journal_lie_now(what: str, bench: Bench, tmp_path: Path) -> None:
    assert run_killed(bench, Kill("after chip slot", 20), "program", "--array", "--no-verify")
    chip, journal = bench.workspace.chip_path, bench.workspace.journal_path
    moved = under(bench, chip_path=chip.with_name("board7.sim"))
    if what == "journal moved":
        moved = under(bench, journal_path=tmp_path / "moved" / journal.name)
        journal_files(bench, tmp_path / "moved")
    elif what == "hard link":
        chip.with_name("board7.sim").hardlink_to(chip)
    else:
        chip.rename(moved.workspace.chip_path)
    if what == "chip renamed":
        with contextlib.suppress(FileNotFoundError):
            chip.with_name("chip.sim.record").rename(chip.with_name("board7.sim.record"))
    places = ("--chip", str(moved.workspace.chip_path), "--journal", str(moved.workspace.journal_path))
    assert (
        memprog(*on(bench, "status"), *places, "--format", "json").fields["next_step"].count("memprog program --resume")
    )
    assert run_on(bench, "program", "--resume", "--no-verify", *places).code in {0, 1}
    np.testing.assert_array_equal(record_of(moved)[0], wear_of(moved))


def test_chips_of_one_serial_that_changed_places_are_told_apart(bench: Bench) -> None:
    """Else the snapshot of the one would be written into the other."""
    chip = bench.workspace.chip_path
    twin = under(bench, chip_path=chip.with_name("twin.sim"))
    make_chip(twin.workspace.chip_path, bench.kind, seed=3, arrays=1)
    for one in (bench, twin):
        program(one.workspace, profile=bench.profile, verify=False)
    chip.rename(chip.with_name("third.sim"))
    twin.workspace.chip_path.rename(chip)
    chip.with_name("third.sim").rename(twin.workspace.chip_path)
    for one in (bench, twin):
        with pytest.raises(InputError, match="had no run"):
            restore(one.workspace, profile=bench.profile, yes=True)


def test_the_operator_is_told_of_lost_pulses_before_his_word_lets_them_count(bench: Bench) -> None:
    assert run_killed(bench, Kill("after chip slot", 20), "program", "--array", "--no-verify")
    other_image(bench)
    words = ("program", "--array", "--no-verify", "--journal", str(other_of(bench)))
    refused = run_on(bench, *words)
    assert refused.code == 5
    assert "--yes overwrites it" in refused.err
    assert "as spread over all cells" in refused.err
    assert "as spread over all cells" in run_on(bench, *words, "--yes").err
