"""The journal: a durable record of what was done to a chip, in SQLite, one blob a batch, intent before outcome.

What the loop remembers is not stored: it follows from the looks, which are. The loop sees numbers as the journal keeps
them, so that replaying a journal gives bit for bit the decisions that were taken. Rows are only ever added, but for how
a run ended; every row carries a checksum.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from memprog import faults
from memprog.errors import InputError, JournalError, brief
from memprog.session.blobs import Blob
from memprog.session.entries import PART, PULSE, Batch, Fate, Run, check_facts, damaged
from memprog.session.tables import SCHEMA, checksum_of

FORMAT_VERSION = 3
PAGE_BYTES = 1 << 14
"""Blobs are long: large pages spare a third of the time that writing takes."""
MERGE_PAGES = 256
"""Pages that may wait to be merged into the file: 4 MB, as much as by default."""
_TROUBLE = (sqlite3.Error, UnicodeError)
"""What SQLite raises; the second where a damaged file makes it quote bytes that are no text."""
_NUMBER_BITS = 32
BUSY_S = 5.0
"""How long to wait for another process that is writing to the same journal."""


class Journal:
    """An open journal. Every method that writes has committed when it returns."""

    _above = -1

    def __init__(self, path: Path, *, durable: bool, number: int = 0) -> None:
        """Open or make a journal.

        Args:
            path: where it is.
            durable: wait for the disk at every commit, as silicon deserves.
            number: 0 to 2**31 - 1, of a new journal: the upper half of its batch ids, so that a chip that is pulsed
                by several journals can tell whose batch it carried out last.

        Raises:
            InputError: the file is no journal, of another version, or cannot be written.
        """
        with self._opening(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
            self._make_ready(durable, number)

    @classmethod
    def reading(cls, path: Path) -> Self:
        """Open a journal that must be there, to read only.

        Raises:
            InputError: no file, no journal, or of another version.
        """
        journal = cls.__new__(cls)
        with journal._opening(path):
            path = path.resolve()
            sides = [path.with_name(path.name + side) for side in ("-wal", "-journal")]
            # Where nothing waits to be merged or taken back, a folder that may not be written to is no obstacle.
            immutable = "" if any(side.exists() and side.stat().st_size for side in sides) else "&immutable=1"
            journal._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro{immutable}", uri=True, isolation_level=None, timeout=BUSY_S
            )
            journal._let_go_unless(journal._check_version)
        return journal

    @classmethod
    def in_memory(cls) -> Self:
        """A journal that nobody sees and that ends with the process."""
        journal = cls.__new__(cls)
        journal._path = Path("no journal")
        journal._db = sqlite3.connect(":memory:", isolation_level=None)
        journal._create(0)
        return journal

    @contextlib.contextmanager
    def _opening(self, path: Path) -> Iterator[None]:
        self._path = path
        try:
            yield
        except (OSError, *_TROUBLE) as error:
            raise InputError(f"{path}: cannot be used as a journal: {brief(error)}") from error

    def _make_ready(self, durable: bool, number: int) -> None:
        """Recognise the file before anything in it is changed."""

        def ready() -> None:
            if not self._db.execute("SELECT name FROM sqlite_master").fetchall():
                self._db.execute(f"PRAGMA page_size={PAGE_BYTES}")
                self._create(number)
            self._check_version()
            # Where the file system says that it cannot share memory, SQLite stays with a rollback journal.
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA wal_autocheckpoint={MERGE_PAGES}")
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")

        self._let_go_unless(ready)

    def _let_go_unless(self, fine: Any) -> None:
        try:
            fine()
        except BaseException:
            self._db.close()
            raise

    def _create(self, number: int) -> None:
        with self._transaction("schema"):
            if self._db.execute("SELECT name FROM sqlite_master").fetchall():
                return  # another process was quicker
            for statement in SCHEMA.split(";"):
                self._db.execute(statement)
            meta = {"format_version": str(FORMAT_VERSION), "journal_id": secrets.token_hex(8), "number": str(number)}
            self._db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())

    def _check_version(self) -> None:
        found = self._db.execute("SELECT value FROM meta WHERE key = 'format_version'").fetchone()
        if found is None or found[0] != str(FORMAT_VERSION):
            raise InputError(
                f"{self._path}: journal of format {brief(found and found[0])}; this memprog reads {FORMAT_VERSION}"
            )

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    @property
    def journal_id(self) -> str:
        """Tells one journal from another."""
        return self._meta("journal_id")

    @property
    def number(self) -> int:
        """Upper half of the batch ids that this journal gives."""
        try:
            return int(self._meta("number"))
        except ValueError as error:
            raise damaged(self._path, "its number is none") from error

    def gave(self, batch_id: int) -> bool:
        """Say whether a batch id is one of this journal's."""
        return batch_id >> _NUMBER_BITS == self.number

    def go_on_above(self, batch_id: int) -> None:
        """Give no id up to this one, so that no chip or record ever hears one twice; others' ids do not matter."""
        if self.gave(batch_id):
            self._above = max(self._above, batch_id)

    def start_run(
        self,
        run_id: str,
        *,
        chip: str,
        facts: Mapping[str, Any],
        parts: Mapping[int, Blob] | None = None,
        supersedes: str | None = None,
        disowns: bool = False,
    ) -> None:
        """Open a run; every batch from now on belongs to one.

        Args:
            run_id: names the run.
            chip: what this journal calls the chip; see Run.
            facts: what it began with; see Run.
            parts: for each array a blob that says which cells the run is about.
            supersedes: the run that is given up for this one.
            disowns: mark the runs before it as not the chip's past: what is there now is an older copy.

        Raises:
            InputError: there is a run of that name.
        """
        with self._transaction("run"):
            if self._rows("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)):
                raise InputError(f"{self._path}: there is a run {run_id} already")
            for run in self.runs(chip) if disowns else ():
                self._put_run(dataclasses.replace(run, former=True))
            self._put_run(Run(run_id=run_id, chip=chip, former=False, state="running", facts=dict(facts), summary={}))
            if supersedes is not None:
                self._put_run(dataclasses.replace(self.run(supersedes), state="superseded"))
            for array, blob in (parts or {}).items():
                self._put_intent(self._newest() + 1, run_id, array, PART, 0, blob)

    def end_run(self, run_id: str, state: str, summary: Mapping[str, Any]) -> None:
        """Say how a run ended, or what became of it since; what the summary said before is kept."""
        with self._transaction("end"):
            run = self.run(run_id)
            summary = {**run.summary, **summary}
            self._put_run(dataclasses.replace(run, state=state, summary=summary))

    def intend(self, run_id: str, array: int, kind: str, intent: Blob, *, pulses: int = 0) -> int:
        """Write down what is about to be sent; returns the batch id."""
        with self._transaction("intent"):
            batch_id = self._newest() + 1
            self._put_intent(batch_id, run_id, array, kind, pulses, intent)
        return batch_id

    def record(self, batch_id: int, outcome: Blob) -> None:
        """Write down what became of a batch."""
        with self._transaction("outcome"):
            packed = save(dict(outcome))
            checksum = checksum_of([batch_id], packed)
            self._db.execute("INSERT INTO outcomes VALUES (?, ?, ?)", (batch_id, checksum, packed))

    def record_cells(self, run_id: str, array: int, cells: Blob) -> None:
        """Keep the final verdict on the cells of one array."""
        with self._transaction("cells"):
            packed = save(dict(cells))
            row = (run_id, array, checksum_of([run_id, array], packed), packed)
            self._db.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", row)

    def runs(self, chip: str | None = None) -> list[Run]:
        """All runs, or those of one chip that is still there, newest first."""
        rows = self._rows("SELECT * FROM runs ORDER BY rowid DESC")
        runs = [self._run(row) for row in rows]
        return [run for run in runs if chip is None or (run.chip == chip and not run.former)]

    def run(self, run_id: str) -> Run:
        """One run.

        Raises:
            InputError: there is none of that name.
        """
        rows = self._rows("SELECT * FROM runs WHERE run_id = ?", (run_id,))
        if not rows:
            raise InputError(f"{self._path}: there is no run {run_id}")
        return self._run(rows[0])

    def cells_of(self, run_id: str, array: int) -> dict[str, NDArray[Any]] | None:
        """The final verdict on the cells of one array, or None."""
        query = "SELECT checksum, packed FROM verdicts WHERE run_id = ? AND array_number = ?"
        rows = self._rows(query, (run_id, array))
        return self._unpacked(rows[0][1], rows[0][0], [run_id, array]) if rows else None

    def batches(
        self, run_id: str, *, kind: str | None = None, array: int | None = None, after: int = -1
    ) -> Iterator[Batch]:
        """Every batch of a run, or those of one kind, of one array, or beyond one id, in order."""
        query = "SELECT batch_id, kind, array_number FROM intents WHERE run_id = ? AND batch_id > ? ORDER BY batch_id"
        for batch_id, its_kind, its_array in self._rows(query, (run_id, after)):
            if kind in (None, its_kind) and array in (None, its_array):
                yield self._batch(batch_id)

    def pulses(self, run_id: str) -> int:
        """Pulses of a run, those of unknown fate counted as given."""
        return sum(pulses for _, pulses, fate in self._pulse_rows(run_id) if fate is not Fate.NOT_APPLIED)

    def unsettled(self, chip: str) -> list[Batch]:
        """Batches of pulses to a chip whose fate nobody has looked into, oldest first."""
        found = []
        for run in reversed(self.runs(chip)):
            query = (
                "SELECT batch_id FROM intents WHERE run_id = ? AND kind = ? AND NOT EXISTS "
                "(SELECT 1 FROM outcomes WHERE outcomes.batch_id = intents.batch_id) ORDER BY batch_id"
            )
            found += [self._batch(batch_id) for (batch_id,) in self._rows(query, (run.run_id, PULSE))]
        return found

    def ends_of(self, run: Run) -> tuple[int, list[int]]:
        """Ids of the newest batch of pulses that a run is known to have given, -1 for none, and of those in doubt."""
        rows = self._pulse_rows(run.run_id)
        given = max((batch_id for batch_id, _, fate in rows if fate in (None, Fate.APPLIED)), default=-1)
        return given, [batch_id for batch_id, _, fate in rows if fate is Fate.UNKNOWN and batch_id > given]

    def chip_of(self, batch_id: int) -> str | None:
        """Which chip a batch of pulses was meant for; None where there is none of that id."""
        query = "SELECT chip FROM runs JOIN intents USING (run_id) WHERE batch_id = ? AND kind = ?"
        rows = self._rows(query, (batch_id, PULSE))
        return str(rows[0][0]) if rows else None

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _pulse_rows(self, run_id: str) -> list[tuple[int, int, Fate | None]]:
        """Id, number of pulses, and fate of every batch of pulses: None where all went well, UNKNOWN where open."""
        query = (
            "SELECT intents.batch_id, pulses, outcomes.checksum, outcomes.packed FROM intents "
            "LEFT JOIN outcomes ON outcomes.batch_id = intents.batch_id "
            "WHERE run_id = ? AND kind = ?"
        )
        found = []
        for batch_id, pulses, checksum, packed in self._rows(query, (run_id, PULSE)):
            outcome = None if packed is None else self._unpacked(packed, checksum, [batch_id])
            batch = Batch(batch_id=batch_id, array=0, kind=PULSE, intent={}, outcome=outcome)
            if not (type(batch_id) is type(pulses) is int and pulses >= 0):
                raise damaged(self._path, f"batch {brief(batch_id)} of {brief(pulses)} pulses")
            found.append((batch_id, pulses, Fate.UNKNOWN if outcome is None else batch.fate))
        return found

    def _newest(self) -> int:
        newest = self._db.execute("SELECT max(batch_id) FROM intents").fetchone()[0]
        return max(self._above, (self.number << _NUMBER_BITS) - 1 if newest is None else int(newest))

    def _put_intent(self, batch_id: int, run_id: str, array: int, kind: str, pulses: int, intent: Blob) -> None:
        packed = save(dict(intent))
        checksum = checksum_of([batch_id, run_id, array, kind, pulses], packed)
        row = (batch_id, run_id, array, kind, pulses, checksum, packed)
        self._db.execute("INSERT INTO intents VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _put_run(self, run: Run) -> None:
        facts, summary = (json.dumps(dict(part), sort_keys=True) for part in (run.facts, run.summary))
        row = [run.run_id, run.chip, int(run.former), run.state, facts, summary]
        self._db.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET "
            "former = excluded.former, state = excluded.state, summary = excluded.summary, "
            "checksum = excluded.checksum",
            [*row, checksum_of(row)],
        )

    def _batch(self, batch_id: int) -> Batch:
        query = "SELECT batch_id, run_id, array_number, kind, pulses, checksum, packed FROM intents WHERE batch_id = ?"
        *facts, checksum, packed = self._row(query, batch_id)
        result = self._rows("SELECT checksum, packed FROM outcomes WHERE batch_id = ?", (batch_id,))
        return Batch(
            batch_id=batch_id,
            array=facts[2],
            kind=facts[3],
            intent=self._unpacked(packed, checksum, facts),
            outcome=self._unpacked(result[0][1], result[0][0], [batch_id]) if result else None,
        )

    def _run(self, row: tuple[Any, ...]) -> Run:
        *facts, checksum = row
        if checksum != checksum_of(facts):
            raise damaged(self._path, "the row of a run does not fit its checksum")
        run_id, chip, former, state, began, summary = facts
        try:
            began, summary = json.loads(began), json.loads(summary)
            check_facts(began)
            if not isinstance(summary, dict):
                raise InputError("a run whose summary is none")
        except (InputError, TypeError, ValueError, RecursionError) as error:
            raise damaged(self._path, brief(error)) from error
        return Run(run_id=run_id, chip=chip, former=bool(former), state=state, facts=began, summary=summary)

    def _meta(self, key: str) -> str:
        (value,) = self._row("SELECT value FROM meta WHERE key = ?", key)
        if not isinstance(value, str):
            raise damaged(self._path, f"its {key} is no text")
        return value

    def _row(self, query: str, key: str | int) -> tuple[Any, ...]:
        """The one row that there is of a key."""
        rows = self._rows(query, (key,))
        if not rows:
            raise damaged(self._path, f"there is nothing of {brief(key)}")
        return rows[0]

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except _TROUBLE as error:
            raise InputError(f"{self._path}: the journal cannot be read: {brief(error)}") from error

    def _unpacked(self, packed: bytes, checksum: int, facts: list[Any]) -> dict[str, NDArray[Any]]:
        try:
            if checksum == checksum_of(facts, packed):
                return dict(load(packed))
        except (SafetensorError, TypeError, ValueError) as error:
            raise InputError(f"{self._path}: the journal holds a batch that cannot be read: {error}") from error
        raise damaged(self._path, "a batch does not fit its checksum")

    @contextlib.contextmanager
    def _transaction(self, what: str) -> Iterator[None]:
        """All or nothing, committed at the end; a disk that is full stops the run, with what was done recorded."""
        faults.point(f"before journal {what}")
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            # An interrupt must not leave a transaction open: how the run ended is still to be written.
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if not isinstance(error, _TROUBLE):
                raise
            raise JournalError(f"{self._path}: the journal cannot be written: {brief(error)}") from error
        faults.point(f"after journal {what}")
