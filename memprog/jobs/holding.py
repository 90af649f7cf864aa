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
from memprog.session import (
    OF_THE_LOOP,
    PROGRAM,
    RESTORE,
    ChipRecord,
    Journal,
    Run,
    fates,
    is_left_by,
    is_past,
    settle,
)

RESUME_WITH = {PROGRAM: "memprog program --resume", RESTORE: "memprog restore --resume"}
"""How a run of each kind is taken up again."""
OVERWRITE = "memprog program --array --full --yes"
"""How an image is written over a run that wrote another."""
ANEW_WITH = {PROGRAM: "memprog program --array --full", RESTORE: "memprog restore --full --yes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a run that writes works with; the caller of ``hold`` closes it.

    ``name`` is what the journal calls the chip; ``former`` says that the chip is an older copy of the one of that name,
    or another: what the journal has of that name is then no past, and is disowned when a run begins, not before.
    ``lost_pulses`` is how many more the chip counts than its record.
    """

    chip: Chip
    journal: Journal
    name: str
    former: bool
    record: ChipRecord
    record_path: Path
    lost_pulses: int

    @property
    def serial(self) -> str:
        """Serial of the chip."""
        return self.chip.identity.serial

    def runs(self) -> list[Run]:
        """The past of the chip, as far as the journal has it, newest first."""
        return [] if self.former else self.journal.runs(self.name)

    def unfinished(self) -> Run | None:
        """The run on this chip that was begun and not ended, or None."""
        return next((run for run in self.runs() if run.unfinished), None)

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
        if not self._may_go_on(run):
            raise InputError(
                f"chip {self.serial} was pulsed since run {run.run_id}, by another journal, or is an older copy; "
                f"`{ANEW_WITH[kind]}` starts anew; nothing was applied"
            )
        return run

    def _may_go_on(self, run: Run) -> bool:
        """Whether a chip is as a run left it, as far as it can tell."""
        return not self.chip.capabilities.knows_last_batch or is_left_by(self.journal, run, self.chip.last_batch_id())

    def _last_run(self) -> str:
        """Say what there is in place of an unfinished run, and what to do."""
        runs = self.runs()
        if runs and runs[0].state == "finished":
            return f"run {runs[0].run_id} is finished, `memprog verify` checks it; nothing was applied"
        if self.former and any(run.unfinished for run in self.journal.runs(self.name)):
            older = "it is an older copy of the chip that has one, or another of its serial"
            return f"{older}; `memprog program --array` begins one; nothing was applied"
        return "`memprog program --array` begins one; nothing was applied"

    def refuse_unfinished(self, image_sha256: str, *, full: bool) -> None:
        """Do not write over a run that can be taken up, unless asked to start anew; the image is that to be written.

        Raises:
            LimitError: there is one; names the two ways on.
        """
        run = self.unfinished()
        if run is not None and not full:
            kind = str(run.facts["kind"])
            which = f"run {run.run_id} on chip {run.serial}, begun {run.facts['utc']}, is unfinished"
            if kind == PROGRAM and image_sha256 not in ("", run.image_sha256):
                raise LimitError(
                    f"{which} and writes image {run.image_sha256[:8]}, not {image_sha256[:8]}; "
                    f"`{OVERWRITE}` starts anew; nothing was applied"
                )
            resume = f"`{RESUME_WITH[kind]}` takes it up, " if self._may_go_on(run) else ""
            raise LimitError(f"{which}; {resume}`{ANEW_WITH[kind]}` starts anew; nothing was applied")

    def holds(self) -> str | None:
        """Hash of the image that the chip holds, empty for none, None where nobody knows."""
        if blank(self.chip):
            return ""
        runs = self.runs()
        return runs[0].image_sha256 if self.record.holds is None and runs else self.record.holds

    def refuse_other_image(self, image_sha256: str, *, yes: bool) -> None:
        """Overwrite a chip that holds another image, or nobody knows what, only on the operator's word.

        Raises:
            LimitError: it does.
        """
        known = self.holds()
        if known is None and not self.chip.capabilities.knows_last_batch:
            return  # nobody knows of any pulse
        if known in ("", image_sha256) or yes:
            return
        holds = "what neither its record nor this journal knows" if known is None else f"image {known[:8]}"
        also = f", and counts {self.lost_pulses} pulses that its record lacks as spread over all cells"
        raise LimitError(
            f"chip {self.serial} holds {holds}; --yes overwrites it with {image_sha256[:8]}"
            f"{also if self.lost_pulses else ''}; nothing was applied"
        )

    def refuse_loss(self, *, yes: bool) -> None:
        """Move cells that hold an image, or those of a run that can be taken up, only on the operator's word.

        Raises:
            LimitError: there is something to lose.
        """
        run, known = self.unfinished(), self.holds()
        if yes:
            return
        if run is not None:
            kind = str(run.facts["kind"])
            resume = f"`{RESUME_WITH[kind]}` takes it up, " if self._may_go_on(run) else ""
            raise LimitError(
                f"run {run.run_id} on chip {run.serial}, begun {run.facts['utc']}, is unfinished; "
                f"{resume}--yes gives it up; nothing was applied"
            )
        if known or (known is None and self.chip.capabilities.knows_last_batch):
            holds = f"image {known[:8]}" if known else "what neither its record nor this journal knows"
            raise LimitError(f"chip {self.serial} holds {holds}; --yes lets its cells be moved; nothing was applied")

    def stop_what_was_killed(self) -> None:
        """Say of runs that cannot be taken up that they ended: who owns the chip knows that nobody carries them on."""
        for run in self.runs():
            if run.state == "running" and run.facts["kind"] not in OF_THE_LOOP:
                self.journal.end_run(run.run_id, "stopped", {})

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
            said = "%d pulses that the record of the chip lacks are counted as spread over all cells"
            logging.getLogger(__name__).warning(said, self.lost_pulses)
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
            raise InputError(
                f"{path}: there is no journal, so no run is known; "
                "`memprog program --array` begins one; nothing was applied"
            )
        with not_begun():
            journal = Journal(path, durable=durable, number=journal_number(path, chip.identity))
            leaving.enter_context(contextlib.closing(journal))
            held = _held(workspace, chip, journal)
            if not held.former:
                settle(journal, chip, held.name)
                held.stop_what_was_killed()
            for batch_id in (held.record.counted(journal), chip.last_batch_id()):
                journal.go_on_above(-1 if batch_id is None else batch_id)
        # What runs cost that an older copy does not know of is counted once more; a new chip has had none.
        if not (held.former and blank(chip)):
            held.count_pulses()
        yield dataclasses.replace(held, lost_pulses=held.record.reconcile(pulses_of_chip(workspace)))


@contextlib.contextmanager
def peek(workspace: Workspace, profile: ChipProfile, *, label: str, **wanted: Unpack[Wanted]) -> Iterator[Held]:
    """The same to find out what would happen: what would be settled and counted is so in memory only."""
    with opened(workspace, profile, label=label, **wanted) as chip, contextlib.ExitStack() as leaving:
        there = workspace.journal_path.exists()
        journal = Journal.reading(workspace.journal_path) if there else Journal.in_memory()
        leaving.enter_context(contextlib.closing(journal))
        held = _held(workspace, chip, journal)
        if not (held.former and blank(chip)):
            held.record.count(journal, held.name, {} if held.former else fates(journal, chip, held.name))
        yield dataclasses.replace(held, lost_pulses=held.record.reconcile(pulses_of_chip(workspace)))


def _held(workspace: Workspace, chip: Chip, journal: Journal) -> Held:
    name = name_of(journal, chip)
    return Held(
        chip=chip,
        journal=journal,
        name=name,
        former=not is_past(journal, chip, name),
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
