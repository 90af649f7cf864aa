"""Command lines that are killed, and what journal, chip and record then say of the pulses that were given."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from forgetful import sent_to
from holding import Ended, memprog, on
from loop_cases import Bench, wear_of
from numpy.typing import NDArray
from processes import environment

from memprog.jobs.chips import name_in
from memprog.jobs.setup import Part, choose
from memprog.jobs.truth import score
from memprog.session import ChipRecord, Fate, Journal
from memprog.session.blobs import cells_of
from memprog.session.entries import PULSE, Batch
from memprog.simchip import summary_of

KILLED = -9 if os.name == "posix" else 137
FORGETFUL = Path(__file__).parent / "forgetful.py"
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Kill:
    """At the nth passing of a fault point, or after as many lines of the live feed."""

    point: str
    count: int


FEED = "feed"
"""The point of kills that the parent sends, wherever the child then is."""


@dataclass(frozen=True)
class Account:
    """Pulses (arrays, rows, columns): as the journal has them, those of unknown fate, those the chip really had.

    ``last_sent`` is the newest batch not known to have failed, ``last_done`` the last one the chip remembers; -1 for
    none.
    """

    journal: Counts
    doubtful: Counts
    wear: Counts
    most_in_a_run: int
    total: int
    last_sent: int
    last_done: int


def account_of(bench: Bench) -> Account:
    """Count all pulses of this chip, by two ways that know nothing of each other."""
    size = bench.kind.geometry
    journal, doubtful = (np.zeros((size.arrays, size.rows * size.columns), dtype=np.int64) for _ in range(2))
    most, total, last_sent = 0, 0, -1
    summary = summary_of(bench.workspace.chip_path)
    with opened_journal(bench) as book:
        name = name_in(bench.workspace.journal_path, summary.serial, str(bench.workspace.chip_path.resolve()))
        for run in book.runs(name) if book else []:
            before = journal.copy()
            for batch in book.batches(run.run_id, kind=PULSE) if book else []:
                if batch.fate is Fate.NOT_APPLIED:
                    continue
                journal[batch.array][cells_of(batch.intent)] += 1
                if doubt(batch):
                    doubtful[batch.array][cells_of(batch.intent)] += 1
                last_sent = max(last_sent, batch.batch_id)
            most = max(most, int((journal - before).max()))
            total += book.pulses(run.run_id) if book else 0
    shape = (size.arrays, size.rows, size.columns)
    wear = np.stack([wear_of(bench, array) for array in range(size.arrays)]).astype(np.int64)
    assert wear.sum() == summary.pulses
    last_done = -1 if summary.last_batch is None else summary.last_batch
    return Account(journal.reshape(shape), doubtful.reshape(shape), wear, most, total, last_sent, last_done)


def doubt(batch: Batch) -> bool:
    """Whether nobody knows if a batch was given."""
    return batch.outcome is None or batch.fate is Fate.UNKNOWN


@contextlib.contextmanager
def opened_journal(bench: Bench) -> Iterator[Journal | None]:
    """The journal of a bench; None where a kill left none, or an empty file."""
    path = bench.workspace.journal_path
    if not path.exists() or not path.stat().st_size:
        yield None
        return
    with contextlib.closing(Journal.reading(path)) as journal:
        yield journal


def open_batches(bench: Bench) -> list[Batch]:
    """Every batch of any kind without outcome, oldest first."""
    with opened_journal(bench) as journal:
        runs = journal.runs() if journal else []
        batches = [batch for run in runs for batch in (journal.batches(run.run_id) if journal else [])]
    return sorted(
        (batch for batch in batches if batch.outcome is None and batch.kind != "part"), key=lambda one: one.batch_id
    )


def has_run(bench: Bench) -> bool:
    """Whether there is something to resume."""
    with opened_journal(bench) as journal:
        return journal is not None and any(run.unfinished for run in journal.runs())


def run_killed(bench: Bench, kill: Kill, *words: str, forgetful: bool = False) -> bool:
    """Run a command line on a bench, and kill it; says whether it came so far."""
    start = [sys.executable, "-W", "error", *([str(FORGETFUL)] if forgetful else ["-m", "memprog"])]
    command = [*start, *on(bench, *words), "--format", "jsonl", "--progress", "none"]
    more = {} if kill.point == FEED else {"MEMPROG_FAULT": f"{kill.point}:{kill.count}"}
    with subprocess.Popen(
        command, env=environment(**more), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        if kill.point == FEED:
            for _ in range(kill.count):
                child.stdout.readline()
            child.kill()
        _, err = child.communicate(timeout=300)
    assert "Traceback" not in err, err
    assert child.returncode in {KILLED, 0, 1}, err
    return child.returncode == KILLED


def run_on(bench: Bench, *words: str, forgetful: bool = False) -> Ended:
    """Run a command line on a bench to its end."""
    options = {"program": str(FORGETFUL)} if forgetful else {}
    return memprog(*on(bench, *words), "--format", "json", **options)


def check_at_kill(bench: Bench, before: Account) -> Account:
    """Promises 1 and 2 at the moment of a kill: one batch at most is in doubt, no cell lost or won a pulse else."""
    now = account_of(bench)
    open_pulses = [batch for batch in open_batches(bench) if batch.kind == PULSE]
    assert len(open_pulses) <= 1
    assert all(batch.batch_id == now.last_sent for batch in open_pulses)
    assert now.total == now.journal.sum()
    assert (now.journal - now.doubtful <= now.wear).all()
    assert (now.wear <= now.journal).all()
    assert (now.wear >= before.wear).all()
    assert now.last_done >= before.last_done
    return now


def check_equal(bench: Bench) -> Account:
    """Promise 3 of a chip that knows its last batch: every pulse of every cell is in journal, chip and record."""
    now = account_of(bench)
    np.testing.assert_array_equal(now.journal, now.wear)
    np.testing.assert_array_equal(record_of(bench), now.wear)
    assert now.total == now.wear.sum()
    assert now.last_done == now.last_sent
    return now


def check_errs_upwards(bench: Bench, kills: int) -> Account:
    """Promise 3 of a chip that cannot tell: at most one batch a kill is too much, none is missing, none sent twice."""
    now = account_of(bench)
    assert (now.wear <= now.journal).all()
    assert (now.journal - now.doubtful <= now.wear).all()
    assert now.doubtful.max() <= kills
    np.testing.assert_array_equal(record_of(bench), now.journal)
    sent = sent_to(bench.workspace.chip_path)
    assert sent == sorted(set(sent))
    return now


def record_of(bench: Bench) -> Counts:
    """Pulses a cell as the record of the chip has them."""
    path = bench.workspace.chip_path.with_name(bench.workspace.chip_path.name + ".record")
    size = bench.kind.geometry
    record = ChipRecord.read(path, summary_of(bench.workspace.chip_path).serial, size)  # type: ignore[arg-type]
    return record.pulses.astype(np.int64)


@dataclass(frozen=True)
class Result:
    """How a run came out, against what the simulated chip knows of itself."""

    cells: int
    done: int
    in_window: int
    false_done: int
    pulses: int


def result_of(bench: Bench) -> Result:
    """Score the newest run of a bench."""
    part = choose(bench.image, None)
    truth = score(bench.workspace.chip_path, bench.kind, bench.image, part)
    done = done_of(bench, part)
    return Result(
        cells=part.cells,
        done=int(done.sum()),
        in_window=int(truth.in_window.sum()),
        false_done=int((done & ~truth.in_window).sum()),
        pulses=int(account_of(bench).wear.sum()),
    )


def done_of(bench: Bench, part: Part) -> NDArray[np.bool_]:
    """What the newest run says is done, (n,) in the order of the part."""
    found = []
    with opened_journal(bench) as journal:
        assert journal is not None
        run = journal.runs()[0]
        assert run.state == "finished"
        for array, mask in zip(part.arrays, part.masks, strict=True):
            cells = journal.cells_of(run.run_id, array)
            assert cells is not None
            found.append(cells["done"][mask])
    return np.concatenate(found)
