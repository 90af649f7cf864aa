"""A chip that this process owns, with its journal and the record of its life, brought together before it is used."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from memprog.chip import Chip
from memprog.errors import InputError, JournalError, LimitError
from memprog.jobs.chips import (
    SIM,
    Wanted,
    blank,
    journal_number,
    name_in,
    opened,
    pulses_of_chip,
    record_of,
    record_path,
)
from memprog.jobs.workspace import Workspace
from memprog.profile import ChipProfile
from memprog.session import ChipRecord, Journal, Run, is_past, settle

RESUME_WITH = {"program": "memprog program --resume", "restore": "memprog restore --resume"}
"""How a run of each kind is taken up again."""
ANEW_WITH = {"program": "memprog program --array --full", "restore": "memprog restore --full --yes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a run that writes works with; the caller of ``hold`` closes it.

    ``name`` is what the journal calls the chip; ``lost_pulses`` how many more the chip counts than its record.
    """

    chip: Chip
    journal: Journal
    name: str
    record: ChipRecord
    record_path: Path
    lost_pulses: int

    @property
    def serial(self) -> str:
        """Serial of the chip."""
        return self.chip.identity.serial

    def unfinished(self) -> Run | None:
        """The run on this chip that can be taken up, or None."""
        return unfinished_run(self.journal, self.name)

    def to_resume(self, kind: str) -> Run:
        """The unfinished run of a kind.

        Raises:
            InputError: there is none, or the chip went its own way since.
        """
        run = self.unfinished()
        if run is None:
            raise InputError(f"chip {self.serial} has no unfinished run in {self.journal.path}; {self._last_run()}")
        if run.facts["kind"] != kind:
            raise InputError(f"run {run.run_id} is taken up by `{RESUME_WITH[str(run.facts['kind'])]}`")
        if self._pulsed_since(run):
            raise InputError(
                f"chip {self.serial} was pulsed since run {run.run_id}, by another journal; "
                f"`{ANEW_WITH[kind]}` starts anew; nothing was applied"
            )
        return run

    def _pulsed_since(self, run: Run) -> bool:
        """Whether a chip that can tell was pulsed by another journal after a run's last pulse, or after its begin."""
        last = self.chip.last_batch_id()
        if last is None or last == run.facts.get("last_batch"):
            return False
        return not self.journal.gave(last) or last > self.journal.newest_pulses(self.name)[1]

    def _last_run(self) -> str:
        """Say what there is in place of an unfinished run."""
        runs = self.journal.runs(self.name)
        if runs and runs[0].state == "finished":
            return f"run {runs[0].run_id} is finished, `memprog verify` checks it; nothing was applied"
        return "nothing was applied"

    def refuse_unfinished(self, *, full: bool) -> None:
        """Do not write over a run that can be taken up, unless asked to start anew.

        Raises:
            LimitError: there is one; names the two ways on.
        """
        run = self.unfinished()
        if run is not None and not full:
            raise LimitError(unfinished_sentence(run))

    def refuse_other_image(self, image_sha256: str, *, yes: bool) -> None:
        """Overwrite a chip that holds another image, or nobody knows what, only on the operator's word.

        Raises:
            LimitError: it does.
        """
        runs = self.journal.runs(self.name)
        known = self.record.holds
        if known is None and runs:
            known = runs[0].image_sha256
        if known is None and not self.chip.capabilities.knows_last_batch:
            return  # nobody knows of any pulse
        if blank(self.chip) or known in ("", image_sha256) or yes:
            return
        holds = "what neither its record nor this journal knows" if known is None else f"image {known[:8]}"
        raise LimitError(
            f"chip {self.serial} holds {holds}; --yes overwrites it with {image_sha256[:8]}; nothing was applied"
        )

    def account_for_lost_pulses(self, *, yes: bool) -> None:
        """Do not wear a chip whose record lacks pulses, unless told to: then they count as spread over all cells.

        Raises:
            LimitError: pulses are missing, those of a journal that is not this one.
        """
        if self.lost_pulses and not yes:
            raise LimitError(
                f"chip {self.serial} counts {self.lost_pulses} pulses more than its record: those of a run that was "
                "killed, in another journal; name that one with --journal once, or let --yes count them as spread over "
                "all cells; nothing was applied"
            )
        if self.lost_pulses:
            self.record.spread(self.lost_pulses)

    def update_record(self) -> None:
        """Bring the record of the chip's life up to date; it follows from the journal, so the next run can, too."""
        try:
            self.record.count(self.journal, self.name)
            self.record.write(self.record_path)
        except InputError as error:  # not MemprogError: a signal that arrives just here is one, too
            logging.getLogger(__name__).warning("the record of the chip is behind: %s", error)


@contextlib.contextmanager
def hold(
    workspace: Workspace,
    profile: ChipProfile,
    *,
    label: str,
    backend: str = SIM,
    expect_serial: str | None = None,
    timeout_s: float = 0.0,
) -> Iterator[Held]:
    """Own a chip to write to it; what an earlier process left without outcome is settled first.

    Raises:
        InputError: chip, journal or record cannot be used.
        LimitError: another process holds the chip, or it is another than expected.
    """
    with (
        opened(
            workspace, profile, backend=backend, expect_serial=expect_serial, timeout_s=timeout_s, label=label
        ) as chip,
        contextlib.closing(_settled(workspace, chip)) as journal,
    ):
        name = name_in(workspace.journal_path, chip.identity.serial, chip.identity.unit)
        path = record_path(workspace, chip.identity)
        record = record_of(path, chip)
        if record.count(journal, name):
            record.write(path)
        lost = max(pulses_of_chip(workspace) - int(record.pulses.sum()), 0)
        yield Held(chip=chip, journal=journal, name=name, record=record, record_path=path, lost_pulses=lost)


@contextlib.contextmanager
def peek(workspace: Workspace, profile: ChipProfile, *, label: str, **wanted: Unpack[Wanted]) -> Iterator[Held]:
    """The same to find out what would happen: nothing is settled, counted or written."""
    with opened(workspace, profile, label=label, **wanted) as chip, contextlib.ExitStack() as leaving:
        name = name_in(workspace.journal_path, chip.identity.serial, chip.identity.unit)
        journal = leaving.enter_context(contextlib.closing(_readable(workspace)))
        if not is_past(journal, chip, name):
            journal = leaving.enter_context(contextlib.closing(Journal.in_memory()))
        path = record_path(workspace, chip.identity)
        record = record_of(path, chip)
        record.count(journal, name)
        yield Held(chip=chip, journal=journal, name=name, record=record, record_path=path, lost_pulses=0)


def _readable(workspace: Workspace) -> Journal:
    return Journal.reading(workspace.journal_path) if workspace.journal_path.exists() else Journal.in_memory()


def _settled(workspace: Workspace, chip: Chip) -> Journal:
    """Open the journal; what keeps it from being written before anything began is no reason to come back later."""
    path, name = workspace.journal_path, name_in(workspace.journal_path, chip.identity.serial, chip.identity.unit)
    with not_begun():
        journal = Journal(path, durable=not chip.identity.simulated, number=journal_number(path, chip.identity))
        try:
            if not is_past(journal, chip, name):
                # What the runs of an older copy of this chip cost is counted once more, while they are still its past.
                record = record_of(record_path(workspace, chip.identity), chip)
                if record.count(journal, name):
                    record.write(record_path(workspace, chip.identity))
            settle(journal, chip, name)
        except BaseException:
            journal.close()
            raise
    return journal


@contextlib.contextmanager
def not_begun() -> Iterator[None]:
    """Before a run has begun there is nothing to take up: a journal that cannot be written is bad input."""
    try:
        yield
    except JournalError as error:
        raise InputError(f"{error}; nothing was applied") from error


def unfinished_run(journal: Journal, name: str) -> Run | None:
    """The newest run on a chip that can be taken up, or None."""
    return next((run for run in journal.runs(name) if run.unfinished), None)


def unfinished_sentence(run: Run) -> str:
    """Say that a run is unfinished, and the two ways on."""
    kind = str(run.facts["kind"])
    return (
        f"run {run.run_id} on chip {run.serial}, begun {run.facts['utc']}, is unfinished; `{RESUME_WITH[kind]}` "
        f"takes it up, `{ANEW_WITH[kind]}` starts anew; nothing was applied"
    )
