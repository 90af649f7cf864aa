"""Program an image into a chip: the main job."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import memprog
from memprog.errors import LimitError
from memprog.image import Image
from memprog.jobs.chips import DEFAULT_SEED, SIM, chip_facts, make_chip, open_chip
from memprog.jobs.progress import Listener, Progress, ignore
from memprog.jobs.setup import Part, check_on_chip, choose, open_image, targets_of, utc_now
from memprog.jobs.verify import known_reasons, verify_part
from memprog.jobs.workspace import Workspace
from memprog.profile import ChipProfile
from memprog.protocol import Loop, Reason, Stage, waiting_s
from memprog.report.program import ProgramReport
from memprog.report.verify import VerifyReport
from memprog.session import ArrayOutcome, Journal, Session, program_array


def program(
    workspace: Workspace,
    *,
    profile: str | None = None,
    backend: str = SIM,
    arrays: Sequence[int] | None = None,
    region: tuple[int, int, int, int] | None = None,
    cells: Sequence[tuple[int, int]] | None = None,
    denoise: bool = True,
    dry_run: bool = False,
    verify: bool = True,
    min_yield: float | None = None,
    yes: bool = False,
    expect_serial: str | None = None,
    listener: Listener | None = None,
    argv: Sequence[str] = (),
) -> ProgramReport:
    """Bring every chosen cell to its target, denoise and confirm it, then verify by fresh reads.

    Args:
        workspace: where image, simulated chip and journal are; a missing simulated chip is made, seed 0.
        profile: name or path; default the image's.
        backend: which chip.
        arrays: of the image; None for all.
        region: (r0, r1, c0, c1), half-open, inside the one array chosen.
        cells: (row, column) pairs inside the one array chosen.
        denoise: False leaves the sub-threshold pulses and the noise check out.
        dry_run: plan only; nothing is sent, and no file is made.
        verify: False leaves it out at the end.
        min_yield: least yield that passes; default the profile's.
        yes: overwrite a chip that holds another image.
        expect_serial: refuse any other chip.
        listener: hears of every round.
        argv: the command line, for the record.

    Raises:
        InputError: image, profile or chip cannot be used, or do not belong together.
        LimitError: a limit or a missing permission refused it.
        InstrumentError: the chip failed; the journal holds what was done.
    """
    image, kind = open_image(workspace, profile)
    part = choose(image, arrays, region, cells)
    job = _Job(workspace, image, kind, part, denoise, listener or ignore, argv)
    if dry_run:
        _look_at_chip(workspace, kind, part, backend, expect_serial)
        return job.plan()
    if _is_missing(workspace, backend):
        make_chip(workspace.chip_path, kind, seed=DEFAULT_SEED, arrays=image.targets_usiemens.shape[0])
    with contextlib.ExitStack() as leaving:
        chip = open_chip(workspace, kind, backend, expect_serial)
        leaving.callback(chip.close)
        check_on_chip(part, chip)
        journal = Journal(workspace.journal_path, durable=not chip.identity.simulated)
        leaving.callback(journal.close)
        session = leaving.enter_context(Session(chip, kind, journal=journal, run_id=job.run_id))
        _refuse_other_image(journal, session, image, yes)
        outcomes = job.run(session, journal)
        verified = job.verify(session, min_yield) if verify else None
        return job.report(session, outcomes, verified, min_yield)


def _is_missing(workspace: Workspace, backend: str) -> bool:
    return backend == SIM and not workspace.chip_path.exists()


def _look_at_chip(workspace: Workspace, kind: ChipProfile, part: Part, backend: str, expect_serial: str | None) -> None:
    """Find out whether a run could begin, without sending anything; a chip that would be made always could."""
    if _is_missing(workspace, backend):
        return
    chip = open_chip(workspace, kind, backend, expect_serial)
    try:
        check_on_chip(part, chip)
    finally:
        chip.close()


def _refuse_other_image(journal: Journal, session: Session, image: Image, yes: bool) -> None:
    """A chip that holds another image is overwritten only on the operator's word."""
    if session.chip.last_batch_id() is None:
        return
    serial = session.chip.identity.serial
    last = next((run for run in journal.runs() if run.chip == serial), None)
    if last is not None and last.image_sha256 != image.sha256 and not yes:
        raise LimitError(
            f"chip {serial} holds image {last.image_sha256[:8]} since {last.utc}; --yes overwrites it with "
            f"{image.sha256[:8]}; nothing was applied"
        )


class _Job:
    """One programming run, from its first round to its report."""

    def __init__(
        self,
        workspace: Workspace,
        image: Image,
        kind: ChipProfile,
        part: Part,
        denoise: bool,
        listener: Listener,
        argv: Sequence[str],
    ) -> None:
        self._workspace, self._image, self._kind, self._part = workspace, image, kind, part
        self._denoise, self._listener, self._argv = denoise, listener, list(argv)
        self.run_id = uuid.uuid4().hex[:12]
        self._utc = utc_now()
        self._start_s = time.monotonic()
        self._chip_start_s = self._host_time_s = 0.0

    def run(self, session: Session, journal: Journal) -> list[ArrayOutcome]:
        """Program the arrays one after the other; the journal says how it ended, whichever way it did."""
        self._chip_start_s = session.chip.clock_s()
        journal.start_run(
            self.run_id,
            utc=self._utc,
            chip=session.chip.identity.serial,
            image_sha256=self._image.sha256,
            profile_sha256=self._kind.sha256,
            memprog_version=memprog.__version__,
            argv=self._argv,
            settings={"denoise": self._denoise, "arrays": list(self._part.arrays), "cells": self._part.cells},
        )
        outcomes: list[ArrayOutcome] = []
        try:
            for array, mask in zip(self._part.arrays, self._part.masks, strict=True):
                outcome = self._program(session, array, mask, self._later_s(outcomes))
                journal.record_cells(self.run_id, array, {"done": outcome.done, "reason": outcome.reason})
                outcomes.append(outcome)
        except BaseException:
            # Counted from the journal: the array that was under way has pulses, and no outcome yet.
            stopped = _summary(outcomes) | {"cells": self._part.cells, "pulses_total": journal.pulses(self.run_id)}
            journal.end_run(self.run_id, "stopped", stopped)
            raise
        self._host_time_s = time.monotonic() - self._start_s
        journal.end_run(self.run_id, "finished", _summary(outcomes))
        return outcomes

    def _later_s(self, outcomes: list[ArrayOutcome]) -> float:
        """Chip time that the arrays after the next one will take, judged by those that are done."""
        left = len(self._part.arrays) - len(outcomes) - 1
        each_s = [outcome.chip_time_s for outcome in outcomes] or [waiting_s(self._kind.protocol)]
        return left * sum(each_s) / len(each_s)

    def _program(self, session: Session, array: int, mask: np.ndarray, later_s: float) -> ArrayOutcome:
        def watch(stage: str, loop: Loop) -> None:
            self._listener(self._progress(session, array, stage, loop))

        target = targets_of(self._image, array, mask)
        outcome = program_array(session, self._kind, array, target, denoise=self._denoise, later_s=later_s, watch=watch)
        self._listener(
            Progress(
                kind="array_done",
                array=array,
                arrays=len(self._part.arrays),
                stage="done",
                cells=int(mask.sum()),
                cells_done=int(outcome.done.sum()),
                cells_failed=int(mask.sum() - outcome.done.sum()),
                rounds=outcome.rounds,
                pulses_per_cell=float(outcome.pulses[mask].mean()),
                chip_time_s=session.chip.clock_s() - self._chip_start_s,
                host_time_s=time.monotonic() - self._start_s,
                fraction=(self._part.arrays.index(array) + 1) / len(self._part.arrays),
            )
        )
        return outcome

    def _progress(self, session: Session, array: int, stage: str, loop: Loop) -> Progress:
        place = self._part.arrays.index(array)
        return Progress(
            kind="round",
            array=array,
            arrays=len(self._part.arrays),
            stage=stage,
            cells=len(loop.target_usiemens),
            cells_done=int(loop.done.sum()),
            cells_failed=int((loop.stage == Stage.FAILED).sum()),
            rounds=loop.rounds,
            pulses_per_cell=float(loop.pulses.mean()),
            chip_time_s=session.chip.clock_s() - self._chip_start_s,
            host_time_s=time.monotonic() - self._start_s,
            fraction=(place + loop.fraction) / len(self._part.arrays),
        )

    def verify(self, session: Session, min_yield: float | None) -> VerifyReport:
        """Look at what was programmed with fresh eyes."""
        return verify_part(
            session,
            self._image,
            self._kind,
            self._part,
            reasons=known_reasons(self._workspace, self._part, self._image, session.chip),
            min_yield=min_yield,
            listener=self._listener,
            argv=self._argv,
        )

    def plan(self) -> ProgramReport:
        """Say what would be programmed; no chip was opened."""
        nobody = {"maker": None, "model": None, "serial": None, "firmware": None}
        return self._report(nobody, [], None, 0.0, dry_run=True, simulated=True, min_yield=None)

    def report(
        self, session: Session, outcomes: list[ArrayOutcome], verified: VerifyReport | None, min_yield: float | None
    ) -> ProgramReport:
        """Sum up a run."""
        identity = session.chip.identity
        chip_time_s = sum(outcome.chip_time_s for outcome in outcomes)
        return self._report(
            chip_facts(session.chip),
            outcomes,
            verified,
            chip_time_s,
            dry_run=False,
            simulated=identity.simulated,
            min_yield=min_yield,
        )

    def _report(
        self,
        chip: Mapping[str, Any],
        outcomes: list[ArrayOutcome],
        verified: VerifyReport | None,
        chip_time_s: float,
        *,
        dry_run: bool,
        simulated: bool,
        min_yield: float | None,
    ) -> ProgramReport:
        least = self._kind.levels.min_yield if min_yield is None else min_yield
        cells = self._part.cells
        done = sum(int(outcome.done.sum()) for outcome in outcomes)
        passed = verified.passed if verified is not None else dry_run or done / cells >= least
        return ProgramReport(
            run_id=self.run_id,
            simulated=simulated,
            chip=chip,
            profile=self._kind.name,
            profile_sha256=self._kind.sha256,
            image_sha256=self._image.sha256,
            utc=self._utc,
            argv=self._argv,
            denoise=self._denoise,
            dry_run=dry_run,
            resumed=False,
            cells=cells,
            cells_done=done,
            cells_failed=0 if dry_run else cells - done,
            failed_by_reason=_reasons(outcomes),
            yield_fraction=done / cells,
            min_yield=least,
            passed=passed,
            chip_time_s=chip_time_s,
            host_time_s=self._host_time_s,
            arrays=self._arrays(outcomes),
            verify=None if verified is None else verified.to_dict(),
            **_counts(outcomes),
        )

    def _arrays(self, outcomes: list[ArrayOutcome]) -> list[dict[str, Any]]:
        if outcomes:
            return [_array_facts(outcome) for outcome in outcomes]
        return [
            {"array": array, "cells": int(mask.sum())}
            for array, mask in zip(self._part.arrays, self._part.masks, strict=True)
        ]


def _array_facts(outcome: ArrayOutcome) -> dict[str, Any]:
    cells, done = int(outcome.programmed.sum()), int(outcome.done.sum())
    return {
        "array": outcome.array,
        "cells": cells,
        "cells_done": done,
        "cells_failed": cells - done,
        "rounds": outcome.rounds,
        "pulses_total": int(outcome.pulses.sum()),
        "chip_time_s": outcome.chip_time_s,
    }


def _reasons(outcomes: list[ArrayOutcome]) -> dict[str, int]:
    """Cells by the reason they failed for, most first."""
    counted: Counter[str] = Counter()
    for outcome in outcomes:
        failed = outcome.reason[outcome.programmed & ~outcome.done]
        counted.update(Reason(reason).name.lower() for reason in failed.tolist())
    return dict(counted.most_common())


def _counts(outcomes: list[ArrayOutcome]) -> dict[str, Any]:
    """Pulses, samples and rounds over all arrays; zeros for a plan."""
    if not outcomes:
        nothing = ("pulses_total", "denoise_pulses_total", "rounds")
        none = ("pulses_per_cell_mean", "pulses_per_cell_p99", "samples_per_cell_mean")
        return dict.fromkeys(nothing, 0) | dict.fromkeys(none, 0.0)
    pulses, samples = (
        np.concatenate([getattr(outcome, name)[outcome.programmed] for outcome in outcomes])
        for name in ("pulses", "samples")
    )
    return {
        "pulses_total": int(pulses.sum()),
        "pulses_per_cell_mean": float(pulses.mean()),
        "pulses_per_cell_p99": float(np.quantile(pulses, 0.99)),
        "samples_per_cell_mean": float(samples.mean()),
        "denoise_pulses_total": sum(int(outcome.denoise_pulses.sum()) for outcome in outcomes),
        "rounds": sum(outcome.rounds for outcome in outcomes),
    }


def _summary(outcomes: list[ArrayOutcome]) -> dict[str, Any]:
    """What the journal's table of runs keeps of a run."""
    cells = sum(int(outcome.programmed.sum()) for outcome in outcomes)
    return {"cells": cells, "cells_done": sum(int(outcome.done.sum()) for outcome in outcomes)} | _counts(outcomes)
