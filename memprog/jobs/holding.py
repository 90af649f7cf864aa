"""A chip that this process owns, with its journal and the record of its life, brought together before it is used."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from memprog.chip import Chip
from memprog.errors import InputError, JournalError, LimitError
from memprog.jobs.chips import (
    Wanted,
    blank,
    journal_number,
    name_of,
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
        return next((run for run in self.journal.runs(self.name) if run.unfinished), None)

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
            kind = str(run.facts["kind"])
            raise LimitError(
                f"run {run.run_id} on chip {run.serial}, begun {run.facts['utc']}, is unfinished; "
                f"`{RESUME_WITH[kind]}` takes it up, `{ANEW_WITH[kind]}` starts anew; nothing was applied"
            )

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

    def count_pulses(self) -> None:
        """Count what the journal knows and the record does not.

        Raises:
            InputError: the folder of the record cannot be written to.
        """
        if self.record.count(self.journal, self.name):
            self.record.write(self.record_path)

    def update_record(self) -> None:
        """Bring the record of the chip's life up to date; it follows from the journal, so the next run can, too."""
        try:
            self.record.count(self.journal, self.name)
            self.record.write(self.record_path)
        except InputError as error:  # not MemprogError: a signal that arrives just here is one, too
            logging.getLogger(__name__).warning("the record of the chip is behind: %s", error)


@contextlib.contextmanager
def hold(
    workspace: Workspace, profile: ChipProfile, *, label: str, anew: bool, **wanted: Unpack[Wanted]
) -> Iterator[Held]:
    """Own a chip to write to it; what an earlier process left without outcome is settled first. See opened.

    With anew False, which is for what needs a run of the past, no journal is made.

    Raises:
        InputError: chip, journal or record cannot be used.
        LimitError: another process holds the chip, or it is another than expected.
    """
    with opened(workspace, profile, label=label, **wanted) as chip, contextlib.ExitStack() as leaving:
        path, durable = workspace.journal_path, not chip.identity.simulated
        if not anew and not path.exists():
            raise InputError(f"{path}: there is no journal, so no run is known; nothing was applied")
        with not_begun():
            journal = Journal(path, durable=durable, number=journal_number(path, chip.identity))
            leaving.enter_context(contextlib.closing(journal))
            held = _held(workspace, chip, journal)
            if not is_past(journal, chip, held.name):
                # What the runs of an older copy of this chip cost is counted once more, while they are still its past.
                held.count_pulses()
                journal.disown(held.name)
            settle(journal, chip, held.name)
        held.count_pulses()
        lost = pulses_of_chip(workspace) - int(held.record.pulses.sum())
        yield dataclasses.replace(held, lost_pulses=max(lost, 0))


@contextlib.contextmanager
def peek(workspace: Workspace, profile: ChipProfile, *, label: str, **wanted: Unpack[Wanted]) -> Iterator[Held]:
    """The same to find out what would happen: nothing is settled or written, and no pulse is known to be lost."""
    with opened(workspace, profile, label=label, **wanted) as chip, contextlib.ExitStack() as leaving:
        there = workspace.journal_path.exists()
        journal = Journal.reading(workspace.journal_path) if there else Journal.in_memory()
        leaving.enter_context(contextlib.closing(journal))
        if not is_past(journal, chip, name_of(workspace, chip.identity)):
            journal = leaving.enter_context(contextlib.closing(Journal.in_memory()))
        yield _held(workspace, chip, journal)


def _held(workspace: Workspace, chip: Chip, journal: Journal) -> Held:
    return Held(
        chip=chip,
        journal=journal,
        name=name_of(workspace, chip.identity),
        record=record_of(workspace, chip),
        record_path=record_path(workspace, chip.identity),
        lost_pulses=0,
    )


@contextlib.contextmanager
def not_begun() -> Iterator[None]:
    """Before a run has begun there is nothing to take up: a journal that cannot be written is bad input."""
    try:
        yield
    except JournalError as error:
        raise InputError(f"{error}; nothing was applied") from error
