"""The journal: a durable record of what was done to a chip, in SQLite, one blob a batch, intent before outcome.

What the loop remembers is not stored: it follows from the looks, which are. Numbers are rounded to float32 before the
loop sees them, so that replaying a journal gives bit for bit the decisions that were taken.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from memprog.errors import InputError, StoppedError

FORMAT_VERSION = 1

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, utc TEXT NOT NULL, state TEXT NOT NULL, chip TEXT NOT NULL, image_sha256 TEXT NOT NULL,
    profile_sha256 TEXT NOT NULL, memprog_version TEXT NOT NULL, argv TEXT NOT NULL, settings TEXT NOT NULL,
    summary TEXT
);
CREATE TABLE batches (
    batch_id INTEGER PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs, array_number INTEGER NOT NULL,
    kind TEXT NOT NULL, intent BLOB NOT NULL, outcome BLOB
);
CREATE TABLE outcomes (
    run_id TEXT NOT NULL REFERENCES runs, array_number INTEGER NOT NULL, cells BLOB NOT NULL,
    PRIMARY KEY (run_id, array_number)
);
"""

Blob = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row of the table of runs; ``state`` is running, finished or stopped."""

    run_id: str
    utc: str
    state: str
    chip: str
    image_sha256: str
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch of a run; ``outcome`` is None where its fate is unknown."""

    batch_id: int
    array: int
    kind: str
    intent: dict[str, NDArray[Any]]
    outcome: dict[str, NDArray[Any]] | None


class Journal:
    """An open journal. Every method that writes has committed when it returns."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        """Open or make a journal; durable waits for the disk at every commit, as silicon deserves.

        Raises:
            InputError: the file is no journal, of another version, or cannot be written.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            self._make_ready(durable)
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"{path}: cannot be used as a journal: {error}") from error

    def _make_ready(self, durable: bool) -> None:
        """Recognise the file before anything in it is changed; let go of it where it is no journal."""
        try:
            self._check_version()
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        except BaseException:
            self._db.close()
            raise

    def _check_version(self) -> None:
        tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            with self._transaction():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO meta VALUES ('format_version', ?)", (str(FORMAT_VERSION),))
            return
        found = self._db.execute("SELECT value FROM meta WHERE key = 'format_version'").fetchone()
        if found is None or found[0] != str(FORMAT_VERSION):
            raise InputError(
                f"{self._path}: journal of format {found and found[0]}; this memprog reads {FORMAT_VERSION}"
            )

    def start_run(
        self,
        run_id: str,
        *,
        utc: str,
        chip: str,
        image_sha256: str,
        profile_sha256: str,
        memprog_version: str,
        argv: list[str],
        settings: Mapping[str, Any],
    ) -> None:
        """Open a run; every batch from now on belongs to one."""
        row = (run_id, utc, "running", chip, image_sha256, profile_sha256, memprog_version)
        with self._transaction():
            self._db.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                (*row, json.dumps(argv), json.dumps(dict(settings), sort_keys=True)),
            )

    def end_run(self, run_id: str, state: str, summary: Mapping[str, Any]) -> None:
        """Close a run as finished or stopped."""
        with self._transaction():
            self._db.execute(
                "UPDATE runs SET state = ?, summary = ? WHERE run_id = ?",
                (state, json.dumps(dict(summary), sort_keys=True), run_id),
            )

    def intend(self, run_id: str, array: int, kind: str, intent: Blob) -> int:
        """Write down what is about to be sent; returns the batch id."""
        with self._transaction():
            cursor = self._db.execute(
                "INSERT INTO batches (run_id, array_number, kind, intent) VALUES (?, ?, ?, ?)",
                (run_id, array, kind, save(dict(intent))),
            )
        if cursor.lastrowid is None:
            raise StoppedError(f"{self._path}: the journal gave no number to a batch; nothing was sent")
        return cursor.lastrowid

    def record(self, batch_id: int, outcome: Blob) -> None:
        """Write down what became of a batch."""
        with self._transaction():
            self._db.execute("UPDATE batches SET outcome = ? WHERE batch_id = ?", (save(dict(outcome)), batch_id))

    def record_cells(self, run_id: str, array: int, cells: Blob) -> None:
        """Keep the final verdict on the cells of one array."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?)", (run_id, array, save(dict(cells))))

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        rows = self._rows("SELECT run_id, utc, state, chip, image_sha256, summary FROM runs ORDER BY rowid DESC")
        return [
            Run(run_id=r[0], utc=r[1], state=r[2], chip=r[3], image_sha256=r[4], summary=self._summary(r[5] or "{}"))
            for r in rows
        ]

    def cells_of(self, run_id: str, array: int) -> dict[str, NDArray[Any]] | None:
        """The final verdict on the cells of one array, or None."""
        rows = self._rows("SELECT cells FROM outcomes WHERE run_id = ? AND array_number = ?", (run_id, array))
        return self._unpacked(rows[0][0]) if rows else None

    def batches(self, run_id: str) -> Iterator[Batch]:
        """Every batch of a run, in order."""
        ids = self._rows("SELECT batch_id FROM batches WHERE run_id = ? ORDER BY batch_id", (run_id,))
        for (batch_id,) in ids:
            query = "SELECT array_number, kind, intent, outcome FROM batches WHERE batch_id = ?"
            array, kind, intent, outcome = self._rows(query, (batch_id,))[0]
            yield Batch(
                batch_id=batch_id,
                array=array,
                kind=kind,
                intent=self._unpacked(intent),
                outcome=None if outcome is None else self._unpacked(outcome),
            )

    def pulses(self, run_id: str) -> int:
        """Pulses of a run, those of unknown fate counted as given."""
        return sum(len(batch.intent["bias"]) for batch in self.batches(run_id) if batch.kind == "pulse")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise InputError(f"{self._path}: the journal cannot be read: {error}") from error

    def _summary(self, text: str) -> dict[str, Any]:
        try:
            return dict(json.loads(text))
        except (TypeError, ValueError) as error:
            raise InputError(f"{self._path}: the summary of a run cannot be read: {error}") from error

    def _unpacked(self, blob: bytes) -> dict[str, NDArray[Any]]:
        try:
            return dict(load(blob))
        except (SafetensorError, TypeError, ValueError) as error:
            raise InputError(f"{self._path}: the journal holds a batch that cannot be read: {error}") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, committed at the end; a disk that is full stops the run, with what was done recorded."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            # An interrupt must not leave a transaction open: how the run ended is still to be written.
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if not isinstance(error, sqlite3.Error):
                raise
            raise StoppedError(f"{self._path}: the journal cannot be written: {error}") from error


def float32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round as the journal does."""
    return np.asarray(values, dtype=np.float32)
