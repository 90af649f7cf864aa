"""A chip that this process owns, with its journal and the record of its life, brought together before it is used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memprog.chip import Chip
from memprog.errors import InputError, LimitError
from memprog.jobs.chips import SIM, opened, record_of, record_path
from memprog.jobs.workspace import Workspace
from memprog.profile import ChipProfile
from memprog.session import ChipRecord, Journal, Run, settle

RESUME_WITH = {"program": "memprog program --resume", "restore": "memprog restore --resume"}
"""How a run of each kind is taken up again."""
ANEW_WITH = {"program": "memprog program --array --full", "restore": "memprog restore --full"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a run that writes works with; the caller of ``hold`` closes it."""

    chip: Chip
    journal: Journal
    record: ChipRecord
    record_path: Path

    @property
    def serial(self) -> str:
        """Serial of the chip."""
        return self.chip.identity.serial

    def unfinished(self) -> Run | None:
        """The run on this chip that can be taken up, or None."""
        return unfinished_run(self.journal, self.serial)

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
        last = self.chip.last_batch_id()
        if last is not None and last > self.journal.newest_pulses(self.serial)[1]:
            raise InputError(
                f"chip {self.serial} was pulsed since run {run.run_id}, by another journal; "
                f"`{ANEW_WITH[kind]}` starts anew; nothing was applied"
            )
        return run

    def _last_run(self) -> str:
        """Say what there is in place of an unfinished run."""
        runs = self.journal.runs(self.serial)
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

    def supersede(self) -> None:
        """Give up a run that could be taken up; another begins."""
        run = self.unfinished()
        if run is not None:
            self.journal.end_run(run.run_id, "superseded", {})

    def update_record(self) -> None:
        """Bring the record of the chip's life up to date; it follows from the journal, so the next run can, too."""
        # Not MemprogError: a signal that arrives just here is one, too.
        with contextlib.suppress(InputError):
            self.record.count(self.journal)
            self.record.write(self.record_path)


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
    with opened(
        workspace, profile, backend=backend, expect_serial=expect_serial, timeout_s=timeout_s, label=label
    ) as chip:
        journal = Journal(workspace.journal_path, durable=not chip.identity.simulated)
        with contextlib.closing(journal):
            settle(journal, chip)
            path = record_path(workspace, chip.identity)
            record = record_of(path, chip)
            if record.count(journal):
                record.write(path)
            yield Held(chip=chip, journal=journal, record=record, record_path=path)


def unfinished_run(journal: Journal, serial: str) -> Run | None:
    """The newest run on a chip that can be taken up, or None."""
    return next((run for run in journal.runs(serial) if run.unfinished), None)


def unfinished_sentence(run: Run) -> str:
    """Say that a run is unfinished, and the two ways on."""
    kind = str(run.facts["kind"])
    return (
        f"run {run.run_id} on chip {run.chip}, begun {run.facts['utc']}, is unfinished; `{RESUME_WITH[kind]}` "
        f"takes it up, `{ANEW_WITH[kind]}` starts anew; nothing was applied"
    )
