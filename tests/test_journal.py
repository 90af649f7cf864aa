"""The journal: intent before outcome, what it refuses, and that every failure is one of the tree's."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_cases import RecorderChip, cells_at, pulses_of, recording, small_profile, start_run

from memprog.chip import Bias
from memprog.errors import InputError, InstrumentError, MemprogError, StoppedError
from memprog.protocol import Look
from memprog.session import Journal
from memprog.session.blobs import pulses_of as pulses_in
from memprog.session.blobs import seen_of
from memprog.session.entries import PULSE
from memprog.session.journal import FORMAT_VERSION
from memprog.session.tables import checksum_of

PROFILE = small_profile(rows=4, columns=4)
PULSES = pulses_of([Bias.SET, Bias.RESET], [1.6, 1.2], [3.0, 5.0], [1000, 1000])
CELLS = cells_at((0, 1, 2), (0, 3, 0))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal with one run."""
    opened = Journal(tmp_path / "journal.sqlite", durable=False)
    start_run(opened)
    yield opened
    opened.close()


def edit(path: Path, statement: str, *values: Any) -> None:
    """Change a journal behind memprog's back."""
    database = sqlite3.connect(path)
    with database:
        database.execute(statement, values)
    database.close()


def test_a_batch_of_unknown_fate_is_an_intent_without_outcome_and_counts(tmp_path: Path) -> None:
    chip = RecorderChip(PROFILE)
    session, journal = recording(tmp_path / "j", chip)
    session.fire(CELLS, PULSES)
    chip.broken = True
    with pytest.raises(InstrumentError, match="the wire is cut"):
        session.fire(CELLS, PULSES)
    known, unknown = journal.batches("run")
    assert known.outcome is not None
    assert unknown.outcome is None
    assert journal.pulses("run") == 4
    journal.close()


def test_the_intent_is_on_disk_before_the_chip_hears_of_it(tmp_path: Path) -> None:
    class Curious(RecorderChip):
        """Looks into the journal, as another process would, at the moment it is pulsed."""

        def pulse(self, *batch: Any) -> Any:
            other = Journal(tmp_path / "j", durable=False)
            seen.extend((one.batch_id, one.outcome) for one in other.batches("run"))
            other.close()
            return super().pulse(*batch)

    seen: list[tuple[int, Any]] = []
    session, journal = recording(tmp_path / "j", chip := Curious(PROFILE))
    session.fire(CELLS, PULSES)
    assert seen == [(chip.batches[0][2], None)]
    journal.close()


def test_a_batch_of_unknown_fate_counts_against_the_limit_of_a_cell(tmp_path: Path) -> None:
    chip = RecorderChip(small_profile(rows=4, columns=4, limits={"pulses_per_cell_run": 1}))
    session, journal = recording(tmp_path / "j", chip)
    chip.broken = True
    with pytest.raises(InstrumentError):
        session.fire(CELLS, PULSES)
    chip.broken = False
    with pytest.raises(MemprogError, match="pulses to one cell in this run 2"):
        session.fire(CELLS, PULSES)
    assert chip.batches == []
    journal.close()


def test_batches_say_what_was_sent_to_which_cell(tmp_path: Path) -> None:
    session, journal = recording(tmp_path / "j", RecorderChip(PROFILE))
    session.fire(CELLS, PULSES)
    (batch,) = journal.batches("run")
    assert (batch.kind, batch.array) == ("pulse", 0)
    assert batch.intent["cell"].tolist() == [1 * 4 + 2, 3 * 4 + 0]
    sent = pulses_in(batch.intent)
    assert sent.bias.tolist() == [Bias.SET, Bias.RESET]
    np.testing.assert_array_equal(sent.amplitude_v, PULSES.amplitude_v.astype(np.float32))
    np.testing.assert_array_equal(sent.gate_v, PULSES.gate_v.astype(np.float32))
    np.testing.assert_array_equal(sent.width_ns, PULSES.width_ns)
    journal.close()


def test_what_the_loop_saw_is_what_is_recorded(tmp_path: Path) -> None:
    chip = RecorderChip(PROFILE, 1000.0 / 3.0)
    chip.conductance_usiemens[0, 3, 0] = np.inf
    session, journal = recording(tmp_path / "j", chip)
    seen = session.look(CELLS, Look(stage="check", cells=np.arange(2), samples=4, interval_s=0.0))
    (batch,) = journal.batches("run")
    assert batch.kind == "read check"
    assert batch.outcome is not None
    recorded = seen_of(batch.outcome)
    for name in ("readback_usiemens", "noise_usiemens", "lag1", "status", "time_s"):
        np.testing.assert_array_equal(getattr(recorded, name), getattr(seen, name))
    assert seen.readback_usiemens[0] == np.float32(seen.readback_usiemens[0])
    assert np.isnan(seen.readback_usiemens[1])
    journal.close()


def test_a_reopened_journal_shows_its_runs_newest_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "folder" / "j", durable=True)
    start_run(journal, "first")
    journal.end_run("first", "finished", {"cells": 3})
    start_run(journal, "second", image_sha256="other")
    journal.record_cells("second", 0, {"done": np.eye(2, dtype=bool)})
    journal.close()
    again = Journal(tmp_path / "deep" / "folder" / "j", durable=False)
    second, first = again.runs()
    assert (first.run_id, first.state, dict(first.summary)) == ("first", "finished", {"cells": 3})
    assert (second.run_id, second.state, second.image_sha256) == ("second", "running", "other")
    cells = again.cells_of("second", 0)
    assert cells is not None
    np.testing.assert_array_equal(cells["done"], np.eye(2, dtype=bool))
    assert again.cells_of("second", 1) is None
    assert again.cells_of("first", 0) is None
    again.close()


def test_batch_numbers_rise_over_all_runs(journal: Journal) -> None:
    start_run(journal, "other")
    two = {"bias": np.zeros(2, np.uint8)}
    numbers = [journal.intend(run, 0, "pulse", two, pulses=2) for run in ("run", "other", "run")]
    assert numbers == sorted(set(numbers))
    assert [batch.batch_id for batch in journal.batches("run")] == [numbers[0], numbers[2]]
    assert (journal.pulses("run"), journal.pulses("other"), journal.pulses("nobody")) == (4, 2, 0)


@pytest.mark.parametrize("version", ["0", str(FORMAT_VERSION + 1), "x"])
def test_another_format_version_is_refused(version: str, tmp_path: Path) -> None:
    Journal(tmp_path / "j", durable=False).close()
    edit(tmp_path / "j", "UPDATE meta SET value = ?", version)
    with pytest.raises(InputError, match=rf"journal of format {version}; this memprog reads {FORMAT_VERSION}"):
        Journal(tmp_path / "j", durable=False)


@pytest.mark.parametrize("content", [b"not a database, but long enough to look like one" * 40, b"\0" * 4096])
def test_what_is_not_a_database_is_refused_and_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be used as a journal"):
        Journal(path, durable=False)
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    edit(tmp_path / "j", "CREATE TABLE songs (name TEXT)")
    content = (tmp_path / "j").read_bytes()
    with pytest.raises(InputError, match="cannot be used as a journal"):
        Journal(tmp_path / "j", durable=False)
    assert (tmp_path / "j").read_bytes() == content


@pytest.mark.parametrize("place", ["folder", "file/below"])
def test_a_path_that_can_hold_no_file_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be used as a journal"):
        Journal(tmp_path / place, durable=False)


@pytest.mark.parametrize("blob", [b"", b"\xff" * 20, "text", 7])
def test_a_batch_that_cannot_be_read_is_an_input_error(blob: Any, tmp_path: Path) -> None:
    session, journal = recording(tmp_path / "j", RecorderChip(PROFILE))
    session.fire(CELLS, PULSES)
    edit(tmp_path / "j", "UPDATE intents SET packed = ?", blob)
    with pytest.raises(InputError, match=r"holds a batch that cannot be read|is damaged"):
        list(journal.batches("run"))
    journal.close()


def test_a_summary_that_cannot_be_read_is_an_input_error(tmp_path: Path, journal: Journal) -> None:
    edit(tmp_path / "journal.sqlite", "UPDATE runs SET summary = '{broken'")
    with pytest.raises(InputError, match="is damaged"):
        journal.runs()


def test_a_locked_journal_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **options: connect(path, **options | {"timeout": 0.01}))
    session, journal = recording(tmp_path / "j", chip := RecorderChip(PROFILE))
    other = connect(tmp_path / "j", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoppedError, match="cannot be written"):
        session.fire(CELLS, PULSES)
    assert chip.batches == []
    other.execute("ROLLBACK")
    other.close()
    session.fire(CELLS, PULSES)
    assert len(chip.batches) == 1
    journal.close()


def test_a_journal_that_may_only_be_read_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, connect = tmp_path / "j", sqlite3.connect
    Journal(path, durable=False).close()
    read_only = f"file:{path.as_posix()}?mode=ro"
    monkeypatch.setattr(sqlite3, "connect", lambda _, **options: connect(read_only, uri=True, **options))
    journal = Journal(path, durable=False)
    with pytest.raises(StoppedError, match="cannot be written"):
        start_run(journal)
    assert journal.runs() == []
    journal.close()


def test_a_run_that_was_started_twice_is_refused(journal: Journal) -> None:
    with pytest.raises(MemprogError):
        start_run(journal)


class Interrupted(Mapping[str, Any]):
    """A blob whose packing is interrupted by the operator."""

    def __getitem__(self, key: str) -> Any:
        raise KeyboardInterrupt

    def __iter__(self) -> Iterator[str]:
        return iter(["bias"])

    def __len__(self) -> int:
        return 1


def test_an_interrupt_in_the_middle_of_a_write_leaves_a_journal_that_works(journal: Journal) -> None:
    with pytest.raises(KeyboardInterrupt):
        journal.intend("run", 0, "pulse", Interrupted())
    journal.end_run("run", "stopped", {})
    assert [run.state for run in journal.runs()] == ["stopped"]
    assert list(journal.batches("run")) == []


def test_a_closed_journal_fails_as_the_tree_does(journal: Journal) -> None:
    journal.close()
    with pytest.raises(StoppedError):
        journal.intend("run", 0, "pulse", {"bias": np.zeros(1, np.uint8)})
    with pytest.raises(InputError):
        journal.runs()


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: [],
        lambda facts: {},
        lambda facts: facts | {"kind": "erase"},
        lambda facts: facts | {"arrays": ["0"]},
        lambda facts: facts | {"cells": "many"},
        lambda facts: facts | {"settings": {}},
        lambda facts: facts | {"settings": facts["settings"] | {"limits": {"set_max_v": 99.0}}},
        lambda facts: facts | {"settings": facts["settings"] | {"denoise": 1}},
    ],
    ids=["list", "empty", "kind", "arrays", "cells", "settings", "limits", "denoise"],
)
def test_facts_that_no_run_begins_with_are_refused_under_a_checksum_that_fits(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    path = tmp_path / "j"
    forge(path, lambda facts: json.dumps(change(facts)))
    with contextlib.closing(Journal.reading(path)) as journal, pytest.raises(InputError, match="journal is damaged"):
        journal.runs()


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000], ids=["empty", "cut", "deep"])
def test_facts_that_are_no_json_are_refused_under_a_checksum_that_fits(tmp_path: Path, text: str) -> None:
    path = tmp_path / "j"
    forge(path, lambda _: text)
    with contextlib.closing(Journal.reading(path)) as journal, pytest.raises(InputError, match="journal is damaged"):
        journal.runs()


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM meta WHERE key = 'journal_id'",
        "UPDATE meta SET value = x'31' WHERE key = 'journal_id'",
        "DELETE FROM meta WHERE key = 'number'",
        "UPDATE meta SET value = x'31' WHERE key = 'number'",
        "UPDATE meta SET value = 'one' WHERE key = 'number'",
    ],
)
def test_a_journal_that_has_lost_what_names_it_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "j"
    forge(path, json.dumps)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(damage)
        database.commit()
    with contextlib.closing(Journal.reading(path)) as journal, pytest.raises(InputError, match="journal is damaged"):
        print(journal.journal_id, journal.number)


def test_a_batch_that_only_the_index_knows_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with contextlib.closing(Journal(path, durable=False)) as journal:
        start_run(journal)
        for _ in range(2):
            journal.intend("run", 0, PULSE, {"cells": np.zeros(1)}, pulses=1)
    with contextlib.closing(sqlite3.connect(path)) as database:
        page = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'intents'").fetchone()[0]
        size = database.execute("PRAGMA page_size").fetchone()[0]
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    # The header of a leaf of the table: it has one row where the index has two.
    at = (page - 1) * size + 3
    assert data[at : at + 2] == b"\0\2"
    data[at : at + 2] = b"\0\1"
    path.write_bytes(data)
    with contextlib.closing(Journal.reading(path)) as journal, pytest.raises(InputError, match="there is nothing of"):
        journal.unsettled("REC-1")


def forge(path: Path, change: Callable[[dict[str, Any]], str]) -> None:
    """Write a journal whose one run begins with other facts, under a checksum that fits."""
    with contextlib.closing(Journal(path, durable=False)) as journal:
        start_run(journal)
    with contextlib.closing(sqlite3.connect(path)) as database:
        (row,) = database.execute("SELECT * FROM runs").fetchall()
        began = [*row[:4], change(json.loads(row[4])), row[5]]
        database.execute("UPDATE runs SET facts = ?, checksum = ?", (began[4], checksum_of(began)))
        database.commit()
