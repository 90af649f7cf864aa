"""Take up a run again: fold what the journal recorded into a fresh loop, and find out what nobody wrote down.

The loop's memory is never stored. The same looks give the same decisions, so a loop that is fed with the recorded
looks ends up where the old one was; pulses that it decided on and that the journal does not know were never sent.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from memprog.chip import Cells, Chip
from memprog.errors import InputError
from memprog.protocol import Loop, Shots
from memprog.session.blobs import pulse_blob, same_blob, seen_of
from memprog.session.entries import PULSE, Batch, Fate, Run
from memprog.session.journal import Journal
from memprog.session.session import Session

RESUME = "resume"


def settle(journal: Journal, chip: Chip, name: str) -> None:
    """Write down, before anything is sent, the fate of what was under way when an earlier process ended."""
    for batch_id, fate in fates(journal, chip, name).items():
        journal.record(batch_id, {"fate": np.array([fate])})


def fates(journal: Journal, chip: Chip, name: str) -> dict[int, Fate]:
    """Find out, by batch id, what became of the pulses whose fate nobody has looked into.

    A chip that knows its last batch tells whether that was carried out, unless another journal has pulsed it since.

    Args:
        journal: with an open end.
        chip: opened.
        name: what the journal calls the chip, whose past it is.
    """
    knows = chip.capabilities.knows_last_batch
    found = [batch.batch_id for batch in journal.unsettled(name)]
    return {batch_id: _fate(journal, batch_id, chip) if knows else Fate.UNKNOWN for batch_id in found}


def _fate(journal: Journal, batch_id: int, chip: Chip) -> Fate:
    last = chip.last_batch_id()
    if last is None or (journal.gave(last) and last < batch_id):
        return Fate.NOT_APPLIED
    return Fate.APPLIED if last == batch_id else Fate.UNKNOWN


def is_past(journal: Journal, chip: Chip, name: str) -> bool:
    """Say whether the runs of a journal are the past of a chip, as far as the chip can tell."""
    return not chip.capabilities.knows_last_batch or leads_to(journal, name, chip.last_batch_id())


def leads_to(journal: Journal, name: str, last: int | None) -> bool:
    """Say whether the runs of a journal on a chip of this name may have led to its last batch.

    One that knows less than the journal is not the chip the journal is about, but an older copy of it; one whose last
    batch went to another chip is that one.
    """
    if last is not None and not journal.gave(last):
        return True
    given = max((journal.ends_of(run)[0] for run in journal.runs(name)), default=-1)
    return (-1 if last is None else last) >= given and (last is None or journal.chip_of(last) in (None, name))


def is_left_by(journal: Journal, run: Run, last: int | None) -> bool:
    """Say whether a chip whose last batch is this is as a run left it.

    The batch is the newest that the run is known to have given, or was the last when it began, or is one in doubt.
    """
    given, doubtful = journal.ends_of(run)
    return last in doubtful or last == (given if given >= 0 else run.facts.get("last_batch"))


def follow(loop: Loop, cells: Cells, batches: Iterable[Batch], session: Session) -> None:
    """Fold the batches of one array, from its start on, into a loop of the same cells, and take the run up.

    Raises:
        InputError: the loop decides otherwise than the journal says: another version of memprog wrote it.
    """
    owed: list[Shots] = []
    latest_s = 0.0
    for batch in batches:
        if batch.outcome is not None and "time_s" in batch.outcome:
            latest_s = max(latest_s, float(batch.outcome["time_s"][0]))
        if batch.kind == RESUME:
            owed = _forget(loop, owed)
        elif batch.kind == PULSE:
            _give(loop, cells, owed, batch, session)
        elif batch.outcome is not None:
            owed = _look(loop, cells, owed, batch, session)
    session.recall_clock(latest_s)
    session.note(int(cells.array[0]), RESUME, {"owed": np.array([len(owed)])})
    _forget(loop, owed)


def _forget(loop: Loop, owed: list[Shots]) -> list[Shots]:
    """Withdraw what was never sent; time passed, so every cell is looked at once more before the end."""
    for shots in owed:
        loop.withdraw(shots)
    loop.interrupted()
    return []


def _look(loop: Loop, cells: Cells, owed: list[Shots], batch: Batch, session: Session) -> list[Shots]:
    """Show the loop a recorded look; returns the pulses it decides on."""
    look, seen = loop.next_look(), seen_of(batch.outcome or {})
    if owed or look is None or batch.kind != f"read {look.stage}" or len(look.cells) != len(seen.readback_usiemens):
        raise _other_decisions(batch)
    session.recall_readback(cells.take(look.cells), seen)
    return loop.take(look, seen)


def _give(loop: Loop, cells: Cells, owed: list[Shots], batch: Batch, session: Session) -> None:
    """Match a recorded batch of pulses with the next that the loop decided on."""
    if not owed:
        raise _other_decisions(batch)
    shots = owed.pop(0)
    at = cells.take(shots.cells)
    if not same_blob(pulse_blob(at, shots.pulses, session.geometry.columns), batch.intent):
        raise _other_decisions(batch)
    if batch.fate is Fate.NOT_APPLIED:
        loop.withdraw(shots)
        return
    session.recall_pulses(at)
    if batch.fate is Fate.UNKNOWN:
        loop.doubt(shots)


def _other_decisions(batch: Batch) -> InputError:
    return InputError(
        f"the run cannot be taken up: from batch {batch.batch_id} on, this memprog decides otherwise than the one that "
        "wrote the journal; the same command with --full in the place of --resume starts anew"
    )
