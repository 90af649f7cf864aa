"""What is taken up, what is refused, and whose past a journal is: kills at chosen moments, and what may follow."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holding import small_bench
from kills import (
    Kill,
    account_of,
    check_at_kill,
    check_equal,
    check_errs_upwards,
    has_run,
    open_batches,
    opened_journal,
    record_of,
    run_killed,
    run_on,
)
from loop_cases import Bench, pulses_of, random_targets, start_run, write_profile, write_targets

from memprog.chip import Bias, Cells, Delivered, Pulses
from memprog.errors import InputError, InstrumentError
from memprog.jobs.chips import make_chip
from memprog.session import ChipRecord, Fate, Journal, Session, settle
from memprog.session.blobs import seen_of
from memprog.session.entries import PULSE
from memprog.simchip import SimChip, summary_of

MIDDLE = Kill("after journal outcome", 40)
"""In the middle of a run, with nothing in doubt."""
IN_DOUBT = [Kill("after journal intent", 41), Kill("after chip slot", 40)]
"""In a batch of pulses that was never given, and in one that was: a note, too, has an intent, and no slot."""


Killed = Callable[[Kill], Bench]
FEW_ROUNDS = {"rows": 8, "columns": 8, "protocol__round_budget": 30}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return small_bench(tmp_path / "bench", **FEW_ROUNDS)


@pytest.fixture(scope="module")
def originals() -> dict[Kill, Bench]:
    """Benches whose runs were killed, by moment; tests work on copies."""
    return {}


@pytest.fixture
def killed_at(
    originals: dict[Kill, Bench], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> Callable[[Kill], Bench]:
    def copied(kill: Kill) -> Bench:
        if kill not in originals:
            originals[kill] = small_bench(tmp_path_factory.mktemp("killed") / "bench", **FEW_ROUNDS)
            assert run_killed(originals[kill], kill, "program", "--array", "--no-verify")
        original, folder = originals[kill], tmp_path / "bench"
        shutil.copytree(original.workspace.folder.parent, folder)
        names = ("image_path", "chip_path", "journal_path")
        paths: dict[str, Any] = {name: folder / ".memprog" / getattr(original.workspace, name).name for name in names}
        workspace = dataclasses.replace(original.workspace, folder=folder / ".memprog", **paths)
        return dataclasses.replace(original, workspace=workspace, profile=str(folder / "small.yaml"))

    return copied


@pytest.fixture
def killed(killed_at: Killed) -> Bench:
    return killed_at(MIDDLE)


def state_of(bench: Bench) -> tuple[int, int | None, int, list[str]]:
    """What must not change where nothing is applied."""
    summary = summary_of(bench.workspace.chip_path)
    with opened_journal(bench) as journal:
        runs = journal.runs() if journal else []
        batches = sum(1 for run in runs for _ in (journal.batches(run.run_id) if journal else ()))
    return summary.pulses, summary.last_batch, batches, [run.run_id for run in runs]


@pytest.mark.parametrize(
    ("point", "count"), [("after journal intent", 1), ("inside chip slot", 1), ("before journal outcome", 2)], ids=str
)
def test_snapshot_that_was_killed_is_taken_again_before_the_first_pulse(point: str, count: int, bench: Bench) -> None:
    assert run_killed(bench, Kill(point, count), "program", "--array", "--no-verify")
    assert account_of(bench).wear.sum() == 0
    assert run_on(bench, "program", "--resume", "--no-verify").code in {0, 1}
    with opened_journal(bench) as journal:
        assert journal is not None
        batches = list(journal.batches(journal.runs()[0].run_id))
    first_pulse = next(batch.batch_id for batch in batches if batch.kind == PULSE)
    whole = [batch for batch in batches if batch.kind in {"read snapshot", "read isolation"} and batch.outcome]
    assert max(batch.batch_id for batch in whole) < first_pulse
    assert {len(seen_of(batch.outcome or {}).readback_usiemens) for batch in whole} == {64}
    check_equal(bench)


@pytest.mark.parametrize("point", ["before journal schema", "after journal schema", "before journal run"])
def test_before_the_first_row_there_is_nothing_to_resume_and_program_begins(point: str, bench: Bench) -> None:
    assert run_killed(bench, Kill(point, 1), "program", "--array")
    refused = run_on(bench, "program", "--resume")
    assert (refused.code, refused.fields["error"]["exit_code"]) == (3, 3)
    assert "has no unfinished run" in refused.err
    assert run_on(bench, "program", "--array", "--no-verify").code in {0, 1}
    check_equal(bench)


def test_run_killed_in_its_verify_is_finished_and_verify_checks_it(bench: Bench) -> None:
    assert run_killed(bench, Kill("before journal end", 2), "program", "--array")
    given = check_equal(bench)
    refused = run_on(bench, "program", "--resume")
    assert refused.code == 3
    assert "is finished, `memprog verify " in refused.err
    assert run_on(bench, "verify").code in {0, 1}
    np.testing.assert_array_equal(check_equal(bench).wear, given.wear)


RESUMING = [
    ("before journal outcome", 1),  # what became of the batch in doubt
    ("after journal outcome", 1),
    ("before file", 1),  # the record of the chip
    ("inside file", 1),
    ("before journal end", 1),  # that it runs again
    ("after journal end", 1),
    ("before journal intent", 1),  # that it was taken up
    ("after journal intent", 1),
    ("before journal outcome", 2),
    ("after journal intent", 2),  # the first look
]
SETTLING = 2
"""The first of these depend on whether the batch was given; the others are tried with both for a long run only."""


def resumes_killed() -> list[Any]:
    """Every moment of a resume with every way the run died (dying, point, count)."""
    return [
        pytest.param(dying, *moment, marks=[pytest.mark.long] if k >= SETTLING and k % 2 != way else [])
        for k, moment in enumerate(RESUMING)
        for way, dying in enumerate(IN_DOUBT)
    ]


@pytest.mark.parametrize(("dying", "point", "count"), resumes_killed(), ids=str)
def test_resume_that_is_killed_itself_is_resumed(dying: Kill, point: str, count: int, killed_at: Killed) -> None:
    bench = killed_at(dying)
    assert [batch.kind for batch in open_batches(bench)] == ["pulse"]
    before = account_of(bench)
    for _ in range(2):
        assert run_killed(bench, Kill(point, count), "program", "--resume", "--no-verify")
        before = check_at_kill(bench, before)
        if count == 1 and point.endswith("journal outcome"):
            break  # there is no batch in doubt for a second time
    assert run_on(bench, "program", "--resume", "--no-verify").code in {0, 1}
    check_equal(bench)


def test_full_run_is_the_one_that_is_taken_up(killed: Bench) -> None:
    before = account_of(killed)
    assert run_on(killed, "program", "--array").code == 5
    assert run_killed(killed, MIDDLE, "program", "--array", "--full", "--no-verify")
    check_at_kill(killed, before)
    assert run_on(killed, "program", "--resume", "--no-verify").code in {0, 1}
    check_equal(killed)
    with opened_journal(killed) as journal:
        assert journal is not None
        newest, first = journal.runs()
    assert (newest.state, newest.facts["settings"]["full"]) == ("finished", True)
    assert (first.state, first.facts["settings"]["full"]) == ("superseded", False)


def other_image(bench: Bench) -> list[str]:
    targets = random_targets(bench.kind.levels, bench.image.targets_usiemens.shape, 99)
    write_targets(bench.workspace.image_path, bench.kind, targets)
    return []


def other_profile(bench: Bench) -> list[str]:
    kind = write_profile(Path(bench.profile), rows=8, columns=8, protocol__aim=0.3)
    write_targets(bench.workspace.image_path, kind, bench.image.targets_usiemens)
    return []


def options(*words: str) -> Callable[[Bench], list[str]]:
    return lambda _: list(words)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (other_image, "writes image"),
        (other_profile, "was begun with profile"),
        (options("--no-denoise"), "was begun with denoise"),
        (options("--array", "0", "--cell", "1,1"), "is about other cells"),
        (options("--limit", "set_max_v=2.0"), "keeps the limits it was begun with"),
    ],
    ids=["image", "profile", "denoise", "cells", "limits"],
)
def test_resume_with_anything_else_is_refused_and_applies_nothing(
    change: Callable[[Bench], list[str]], sentence: str, killed: Bench
) -> None:
    before, wear = state_of(killed), account_of(killed).wear
    refused = run_on(killed, "program", "--resume", *change(killed))
    assert (refused.code, refused.fields["error"]["exit_code"]) == (3, 3), refused.err
    assert sentence in refused.err
    assert state_of(killed) == before
    np.testing.assert_array_equal(account_of(killed).wear, wear)


def test_a_run_without_denoise_is_taken_up_without_unless_the_contrary_is_said(bench: Bench) -> None:
    moment = ["--no-verify", "--no-denoise"]
    assert run_killed(bench, MIDDLE, "program", "--array", *moment)
    refused = run_on(bench, "program", "--resume", "--denoise")
    assert (refused.code, "was begun without denoise" in refused.err) == (3, True)
    resumed = run_on(bench, "program", "--resume", "--no-verify", "--format", "json")
    assert resumed.code in {0, 1}
    assert not resumed.fields["denoise"]
    check_equal(bench)


def test_what_was_refused_can_still_be_resumed(killed: Bench) -> None:
    assert run_on(killed, "program", "--resume", "--no-denoise").code == 3
    assert run_on(killed, "program", "--resume", "--no-verify").code in {0, 1}
    check_equal(killed)


@pytest.mark.parametrize(
    "moment", [MIDDLE, IN_DOUBT[0], *(pytest.param(kill, marks=pytest.mark.long) for kill in IN_DOUBT[1:])], ids=str
)
def test_chip_that_another_journal_pulsed_since_is_not_taken_up(moment: Kill, killed_at: Killed) -> None:
    killed = killed_at(moment)
    other = ("--journal", str(killed.workspace.folder / "other.sqlite"))
    # The pulses of the killed run are in neither the record nor this journal: no cell is worn further unasked.
    for unknown in (("--dry-run",), ("--no-verify",)):
        refused = run_on(killed, "program", "--array", *unknown, *other)
        assert (refused.code, "pulses more than its record" in refused.err) == (5, True)
    assert run_on(killed, "program", "--resume", "--dry-run").code == 0
    assert run_on(killed, "program", "--array", "--no-verify", "--yes", *other).code in {0, 1}
    before = state_of(killed)
    refused = run_on(killed, "program", "--resume")
    assert (refused.code, refused.fields["error"]["exit_code"]) == (3, 3)
    assert "was pulsed since" in refused.err
    assert state_of(killed) == before
    wear, recorded = account_of(killed).wear, record_of(killed)
    # Of a batch in doubt nobody can tell any more whether it was given: it counts.
    doubtful = account_of(killed).doubtful
    assert doubtful.any() == (moment in IN_DOUBT)
    assert (wear <= recorded).all()


def test_chip_put_back_from_an_older_copy_is_not_the_one_of_the_journal(killed: Bench, tmp_path: Path) -> None:
    older = tmp_path / "older.sim"
    shutil.copy(killed.workspace.chip_path, older)
    assert run_killed(killed, MIDDLE, "program", "--resume", "--no-verify")
    shutil.copy(older, killed.workspace.chip_path)
    before = account_of(killed).wear
    refused = run_on(killed, "program", "--resume")
    assert (refused.code, refused.fields["error"]["exit_code"]) == (3, 3)
    assert "has no unfinished run" in refused.err
    assert run_on(killed, "program", "--array", "--no-verify").code in {0, 1}
    now = account_of(killed)
    np.testing.assert_array_equal(now.journal, now.wear - before)
    # What the record knows of the years that were taken back is too much, never too little.
    assert (record_of(killed) >= now.wear).all()


@pytest.mark.parametrize("dying", [pytest.param(False, marks=pytest.mark.long), True], ids=["whole", "killed"])
def test_new_chip_of_the_same_seed_has_no_past(dying: bool, killed: Bench) -> None:
    assert run_on(killed, "program", "--resume", "--no-verify").code in {0, 1}
    assert run_on(killed, "info").fields["pulses_recorded"] > 0
    make_new = ("sim", "new", "--force", "--seed", "3")
    if dying:
        # The record of the old chip is still there.
        assert run_killed(killed, Kill("after chip file", 1), *make_new)
        assert killed.workspace.chip_path.with_name("chip.sim.record").exists()
    else:
        assert run_on(killed, *make_new).code == 0
    fresh = run_on(killed, "info").fields
    assert (fresh["pulses_total"], fresh["pulses_recorded"], fresh["defects"]) == (0, 0, [])
    assert run_on(killed, "program", "--array", "--dry-run").code == 0
    assert run_on(killed, "program", "--array", "--no-verify").code in {0, 1}
    check_equal(killed)
    with opened_journal(killed) as journal:
        assert journal is not None
        assert len({run.serial for run in journal.runs()}) == 2


def test_new_chip_over_an_unfinished_run_is_begun_anew(killed: Bench) -> None:
    assert run_on(killed, "sim", "new", "--force", "--seed", "3").code == 0
    refused = run_on(killed, "program", "--resume")
    assert (refused.code, "has no unfinished run" in refused.err) == (3, True)
    assert run_on(killed, "program", "--array", "--no-verify").code in {0, 1}
    check_equal(killed)


def test_chip_that_cannot_tell_is_asked_for_nothing_it_does_not_know(bench: Bench) -> None:
    assert run_killed(bench, MIDDLE, "program", "--array", "--no-verify", forgetful=True)
    assert run_on(bench, "program", "--array", "--dry-run", forgetful=True).code == 5
    assert run_on(bench, "program", "--resume", "--no-verify", forgetful=True).code in {0, 1}
    check_errs_upwards(bench, 1)
    other_image(bench)
    refused = run_on(bench, "program", "--array", forgetful=True)
    assert (refused.code, "--yes overwrites it" in refused.err) == (5, True)
    assert run_on(bench, "program", "--array", "--no-verify", "--yes", forgetful=True).code in {0, 1}
    check_errs_upwards(bench, 1)


class Unwilling(SimChip):
    """A chip whose wire breaks before, or after, a batch is carried out."""

    broken = ""

    def pulse(self, cells: Cells, pulses: Pulses, batch_id: int) -> Delivered:
        delivered = None if self.broken == "before" else super().pulse(cells, pulses, batch_id)
        if self.broken or delivered is None:
            raise InstrumentError("the wire is cut")
        return delivered


@pytest.mark.parametrize("broken", ["before", "after"])
def test_record_counts_a_batch_once_its_fate_is_known(broken: str, tmp_path: Path) -> None:
    kind = write_profile(tmp_path / "small.yaml", rows=4, columns=4)
    make_chip(tmp_path / "chip.sim", kind, seed=1, arrays=1)
    chip, journal = Unwilling(tmp_path / "chip.sim", kind), Journal(tmp_path / "journal", durable=False)
    serial = chip.identity.serial
    start_run(journal, chip="it")
    session, record = Session(chip, kind, journal=journal, run_id="run"), ChipRecord(serial, chip.geometry)
    cells = Cells.from_mask(0, np.ones((4, 4), dtype=bool))
    pulses = pulses_of([Bias.SET] * 16, [1.0] * 16, [1.0] * 16, [1000] * 16)
    session.fire(cells, pulses)
    assert record.count(journal, "it")
    chip.broken = broken
    with pytest.raises(InstrumentError):
        session.fire(cells, pulses)
    record.count(journal, "it")
    assert int(record.pulses.sum()) == 16
    settle(journal, chip, "it")
    record.count(journal, "it")
    assert int(record.pulses.sum()) == summary_of(tmp_path / "chip.sim").pulses == (32 if broken == "after" else 16)
    fate = list(journal.batches("run"))[-1].fate
    assert fate is (Fate.APPLIED if broken == "after" else Fate.NOT_APPLIED)
    journal.close()


def test_reader_never_believes_what_a_killed_writer_had_half_written(tmp_path: Path) -> None:
    """As on a network drive, where SQLite keeps a rollback journal instead of WAL."""
    (tmp_path / "here").mkdir()
    Journal(tmp_path / "here" / "j", durable=False).close()
    writer = sqlite3.connect(tmp_path / "here" / "j", isolation_level=None)
    writer.execute("PRAGMA journal_mode=DELETE")
    writer.execute("PRAGMA cache_size=1")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE meta SET value = 'half-written' WHERE key = 'journal_id'")
    for number in range(300):
        writer.execute("INSERT INTO meta VALUES (?, ?)", (str(number), "x" * 2000))
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert b"half-written" in (tmp_path / "there" / "j").read_bytes()
    writer.close()
    with pytest.raises(InputError):
        Journal.reading(tmp_path / "there" / "j")
    whole = Journal(tmp_path / "there" / "j", durable=False)
    assert whole.journal_id != "half-written"
    whole.close()


def test_three_arrays_are_taken_up_where_each_stood(tmp_path: Path) -> None:
    bench = small_bench(tmp_path / "bench", **FEW_ROUNDS | {"rows": 4, "arrays": 3})
    before = account_of(bench)
    for kill in (Kill("after journal cells", 1), Kill("before journal cells", 1), Kill("after journal cells", 2)):
        words = ("program", "--resume") if has_run(bench) else ("program", "--array")
        assert run_killed(bench, kill, *words, "--no-verify")
        before = check_at_kill(bench, before)
    assert run_on(bench, "program", "--resume", "--no-verify").fields["resumed"]
    check_equal(bench)
