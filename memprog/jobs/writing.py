"""One run that writes to a chip, begun anew or taken up: snapshot, board check, array after array, record."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import memprog
from memprog.chip import Cells
from memprog.errors import InputError, LimitError, MemprogError
from memprog.jobs.holding import ANEW_WITH, RESUME_WITH, Held, not_begun
from memprog.jobs.progress import Listener, Progress
from memprog.jobs.setup import Part, utc_now
from memprog.jobs.verify import check_window
from memprog.profile import ChipProfile, Limits
from memprog.protocol import Loop, Reason, Stage, waiting_s
from memprog.report.verify import VerifyReport
from memprog.session import (
    Allowance,
    ArrayOutcome,
    Run,
    Session,
    check_possible,
    defects_of,
    look_over,
    part_blob,
    program_array,
    recorded_looks,
)

STUCK = (Reason.STUCK_HIGH, Reason.STUCK_LOW)
"""Defects that only pulses show; the record of the chip remembers them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is written into a chip, and how: ``kind`` is program or restore.

    ``image_sha256`` names the image the chip is meant to hold afterwards, empty for none; ``restores`` the run whose
    snapshot is brought back.
    """

    kind: str
    image_sha256: str
    profile: ChipProfile
    part: Part
    denoise: bool
    full: bool
    recheck: bool
    limits: Limits
    restores: str = ""

    def check(self) -> Task:
        """Give the task back, if a run of it could do something that a verify could certify.

        Raises:
            ProfileError: the profile's window is too narrow for its readout.
            LimitError: nothing could be done under its limits.
        """
        check_window(self.profile)
        check_possible(self.profile, self.limits, denoise=self.denoise)
        return self

    def facts(self, utc: str, caller: Caller) -> dict[str, Any]:
        """What the journal keeps of how a run began."""
        settings = {name: getattr(self, name) for name in ("denoise", "full", "recheck")}
        return {
            "kind": self.kind,
            "utc": utc,
            "image_sha256": self.image_sha256,
            "profile": self.profile.name,
            "profile_sha256": self.profile.sha256,
            "memprog_version": memprog.__version__,
            "argv": list(caller.argv),
            "configuration": dict(caller.configuration),
            "settings": settings | {"limits": dataclasses.asdict(self.limits)},
            "cells": self.part.cells,
            "arrays": list(self.part.arrays),
            "restores": self.restores,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asked for a run, for the journal: the command line, and of every setting its value and origin."""

    argv: Sequence[str] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)


class Writing:
    """A run of a task on a chip that is held; with ``run`` it takes that one up."""

    def __init__(self, held: Held, task: Task, run: Run | None, *, listener: Listener, caller: Caller) -> None:
        self._held, self._task, self._listener, self._caller = held, task, listener, caller
        self._taken_up = run
        self.run_id = uuid.uuid4().hex[:12] if run is None else run.run_id
        self.resumes = 0 if run is None else int(run.summary.get("resumes", 0)) + 1
        self._told = Progress(kind="round", run_id=self.run_id, array=task.part.arrays[0], arrays=len(task.part.arrays))
        self.outcomes: list[ArrayOutcome] = []
        self.defects: NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self.host_time_s = 0.0
        self._start_s, self._chip_start_s = time.monotonic(), held.chip.clock_s()

    def session(self, allowance: Allowance) -> Session:
        """Open the session that carries the run out."""
        return Session(
            self._held.chip,
            self._task.profile,
            journal=self._held.journal,
            run_id=self.run_id,
            limits=self._task.limits,
            allowance=allowance,
            spent_life=self._held.record.pulses.astype(np.int64),
        )

    def run(self, session: Session, utc: str) -> None:
        """Write the arrays one after the other; the journal says how it ended, whichever way it did."""
        self._begin(utc)
        try:
            self._write(session)
        except BaseException as error:
            # What a limit or a wrong input refused, it would refuse again.
            if isinstance(error, LimitError):
                error.add_note(f"run {self.run_id} keeps its limits; `{ANEW_WITH[self._task.kind]}` starts anew")
            elif not isinstance(error, InputError):
                error.add_note(f"`{RESUME_WITH[self._task.kind]}` goes on where run {self.run_id} stopped")
            raise
        self._held.journal.end_run(self.run_id, "finished", self._summary())

    def _write(self, session: Session) -> None:
        try:
            known = self._check_board(session)
            for number, array in enumerate(self._task.part.arrays):
                self.outcomes.append(self._array(session, number, array, known[number]))
        except BaseException:
            self._record_stop()
            raise
        finally:
            self.host_time_s = time.monotonic() - self._start_s
            self._remember_stuck()
            self._held.update_record()

    def note_verified(self, report: VerifyReport) -> None:
        """Keep in the table of runs what the verify after the run found."""
        found = {"verified_utc": report.utc, "cells_in_window": report.cells_in_window, "passed": report.passed}
        self._held.journal.end_run(self.run_id, "finished", found)

    def _begin(self, utc: str) -> None:
        journal, part = self._held.journal, self._task.part
        held = self._held.holds()
        self._held.record.holds = self._task.image_sha256
        if self._taken_up is not None:
            journal.end_run(self.run_id, "running", {"resumes": self.resumes})
            return
        parts = {array: part_blob(mask) for array, mask in zip(part.arrays, part.masks, strict=True)}
        facts, last = self._task.facts(utc, self._caller), self._held.chip.last_batch_id()
        given_up = self._held.unfinished()
        with not_begun():
            journal.start_run(
                self.run_id,
                chip=self._held.name,
                facts=facts | {"last_batch": last, "held": held},
                parts=parts,
                supersedes=None if given_up is None else given_up.run_id,
                disowns=self._held.former,
            )

    def _record_stop(self) -> None:
        """Note that the run ended before its end; counted from the journal, since an array may be under way."""
        with contextlib.suppress(MemprogError, OSError):
            pulses = self._held.journal.pulses(self.run_id)
            self._held.journal.end_run(self.run_id, "stopped", self._summary() | {"pulses_total": pulses})
            self._tell_stopped(pulses)

    def _summary(self) -> dict[str, Any]:
        """What the table of runs keeps."""
        return {
            "cells": self._task.part.cells,
            "cells_done": sum(int(outcome.done.sum()) for outcome in self.outcomes),
            "pulses_total": sum(int(outcome.pulses.sum()) for outcome in self.outcomes),
            "resumes": self.resumes,
            "ended_utc": utc_now(),
        }

    def _check_board(self, session: Session) -> list[NDArray[np.uint8]]:
        """Snapshot what all cells hold, before the first pulse, and say which are not worth one: (n,) an array."""
        known = []
        for number, (array, cells) in enumerate(self._task.part.addresses()):
            found = self._defects(session, array, cells)
            before = self._held.record.defects[cells.array, cells.row, cells.column]
            stuck = np.where(np.isin(before, STUCK), before, 0)
            self._learn(number, np.where(found > 0, found, stuck).astype(np.uint8))
            spared = np.where(found > 0, found, 0 if self._task.recheck else stuck)
            known.append(np.where(spared > 0, spared, session.worn(cells) * int(Reason.WORN)).astype(np.uint8))
            # The whole check counts as next to nothing of the work.
            self._tell(session, number, 0.01 * number, stage="check", cells=self._task.part.cells)
        self.defects = np.concatenate(known)
        self._held.update_record()
        return known

    def _defects(self, session: Session, array: int, cells: Cells) -> NDArray[np.uint8]:
        """Look, unless the run that is taken up did; a look after its first pulses would be no snapshot."""
        looks = recorded_looks(self._held.journal, self.run_id, array) if self._taken_up else None
        if looks is None:
            looks = look_over(session, cells, self._task.profile)
        return defects_of(*looks, self._task.profile)

    def _learn(self, number: int, reasons: NDArray[np.uint8]) -> None:
        mask = self._task.part.masks[number]
        plane = np.zeros(mask.shape, dtype=np.uint8)
        plane[mask] = reasons
        self._held.record.learn(self._task.part.arrays[number], mask, plane)

    def _remember_stuck(self) -> None:
        """Take over which cells did not move; under tightened limits that says nothing of a cell."""
        if self._task.limits != self._task.profile.limits:
            return
        for outcome in self.outcomes:
            stuck = np.isin(outcome.reason, STUCK)
            moved = outcome.programmed & ~stuck & np.isin(self._held.record.defects[outcome.array], STUCK)
            self._held.record.learn(outcome.array, stuck | moved, np.where(stuck, outcome.reason, 0))

    def _array(self, session: Session, number: int, array: int, known: NDArray[np.uint8]) -> ArrayOutcome:
        """Program one array, or take over what the journal says of one that is finished."""
        journal = self._held.journal
        finished = journal.cells_of(self.run_id, array)
        if finished is not None:
            return ArrayOutcome.of(array, finished)

        def watch(stage: str, loop: Loop) -> None:
            self._round(session, number, stage, loop)

        outcome = program_array(
            session,
            self._task.profile,
            array,
            self._task.part.plane(number),
            denoise=self._task.denoise,
            full=self._task.full,
            later_s=self._later_s(),
            known=known,
            history=journal.batches(self.run_id, array=array) if self._taken_up else (),
            watch=watch,
        )
        journal.record_cells(self.run_id, array, outcome.blob())
        self._array_done(session, number, outcome)
        return outcome

    def _later_s(self) -> float:
        """Chip time that the arrays after the next one will take, judged by those that are done."""
        left = len(self._task.part.arrays) - len(self.outcomes) - 1
        each_s = [outcome.chip_time_s for outcome in self.outcomes] or [waiting_s(self._task.profile.protocol)]
        return left * sum(each_s) / len(each_s)

    def _round(self, session: Session, number: int, stage: str, loop: Loop) -> None:
        self._tell(
            session,
            number,
            number + loop.fraction,
            stage=stage,
            cells=len(loop.target_usiemens),
            cells_done=int(loop.done.sum()),
            cells_failed=int((loop.stage == Stage.FAILED).sum()),
            rounds=loop.rounds,
            pulses_per_cell=float(loop.pulses.mean()),
        )

    def _array_done(self, session: Session, number: int, outcome: ArrayOutcome) -> None:
        cells, done = int(outcome.programmed.sum()), int(outcome.done.sum())
        self._tell(
            session,
            number,
            number + 1.0,
            kind="array_done",
            stage="done",
            cells=cells,
            cells_done=done,
            cells_failed=cells - done,
            rounds=outcome.rounds,
            pulses_per_cell=float(outcome.pulses.sum()) / cells,
        )

    def _tell_stopped(self, pulses: int) -> None:
        """Tell the listener how far the run came: the arrays that are finished, and the one under way."""
        cells, done = self._task.part.cells, sum(int(outcome.done.sum()) for outcome in self.outcomes)
        failed = sum(int(outcome.programmed.sum()) for outcome in self.outcomes) - done
        under_way = self._told.kind == "round"
        self._listener(
            dataclasses.replace(
                self._told,
                kind="stopped",
                stage="stopped",
                cells=cells,
                cells_done=done + under_way * self._told.cells_done,
                cells_failed=failed + under_way * self._told.cells_failed,
                rounds=sum(outcome.rounds for outcome in self.outcomes) + under_way * self._told.rounds,
                pulses_per_cell=pulses / cells,
                host_time_s=time.monotonic() - self._start_s,
            )
        )

    def _tell(self, session: Session, number: int, work: float, *, kind: str = "round", **counts: Any) -> None:
        """Tell the listener of the array at a place in the part; work is what is done of all, counted in arrays."""
        arrays = self._task.part.arrays
        self._told = Progress(
            kind=kind,
            run_id=self.run_id,
            array=arrays[number],
            arrays=len(arrays),
            chip_time_s=session.clock_s() - self._chip_start_s,
            host_time_s=time.monotonic() - self._start_s,
            fraction=work / len(arrays),
            **counts,
        )
        self._listener(self._told)
