"""Program an image into a chip: the main job."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from memprog.chip import Mask
from memprog.errors import InputError
from memprog.image import Image
from memprog.jobs.chips import DEFAULT_SEED, SIM, Wanted, check_backend, make_chip
from memprog.jobs.holding import ANEW_WITH, OVERWRITE, Held, hold, peek
from memprog.jobs.progress import Listener, ignore
from memprog.jobs.setup import Part, check_on_chip, choose, open_image, part_of, utc_now
from memprog.jobs.summing import plan_report, run_report
from memprog.jobs.verify import verify_part
from memprog.jobs.workspace import Workspace
from memprog.jobs.writing import Caller, Task, Writing
from memprog.profile import ChipProfile, Limits
from memprog.report.program import ProgramReport
from memprog.report.verify import VerifyReport
from memprog.session import PART, PROGRAM, Allowance, Journal, Run, Session, masks_of, tightened

Region = tuple[int, int, int, int]


def program(
    workspace: Workspace,
    *,
    profile: str | None = None,
    backend: str = SIM,
    arrays: Sequence[int] | None = None,
    region: Region | None = None,
    cells: Sequence[tuple[int, int]] | None = None,
    denoise: bool | None = None,
    dry_run: bool = False,
    resume: bool = False,
    full: bool = False,
    recheck: bool = False,
    verify: bool = True,
    min_yield: float | None = None,
    max_time_s: float | None = None,
    max_pulses: int | None = None,
    limits: Mapping[str, float] | None = None,
    yes: bool = False,
    expect_serial: str | None = None,
    timeout_s: float = 0.0,
    listener: Listener | None = None,
    caller: Caller | None = None,
) -> ProgramReport:
    """Bring every chosen cell to its target, denoise and confirm it, then verify by fresh reads.

    Options:
        workspace: where image, simulated chip and journal are; a missing simulated chip is made, seed 0.
        profile, backend, expect_serial, timeout_s: which chip, and how long to wait for one that is in use.
        arrays, region, cells: what of the image: some arrays, and inside one (r0, r1, c0, c1) or (row, column) pairs.
        denoise: False leaves sub-threshold pulses and noise check out; None, unless a run taken up does, denoises.
        dry_run: plan only; nothing is sent, and no file is made.
        resume: take up the unfinished run of this chip, with its cells and settings.
        full: start anew over an unfinished run, and over cells found in their windows.
        recheck: forget which cells were stuck, and try them again.
        verify, min_yield: whether to verify at the end, and the least yield that passes; by default the profile's.
        max_time_s, max_pulses: stop after so many seconds of the host, or before so many pulses are exceeded.
        limits: by name, tighter than the profile's.
        yes: overwrite a chip that holds another image.
        listener, caller: who hears of every round; who asked.

    Raises:
        InputError: image, profile or chip cannot be used, or do not belong together.
        LimitError: a limit, a missing permission, an unfinished run or another process refused it.
        InstrumentError, StoppedError: the chip failed, or an allowance is used up; resume goes on.
    """
    if resume and full:
        raise InputError("a run is either taken up or started anew: resume and full exclude each other")
    image, kind = open_image(workspace, profile)
    asked = _Asked(
        image=image, kind=kind, arrays=arrays, region=region, cells=cells, denoise=denoise, limits=dict(limits or {})
    )
    wanted: Wanted = {"backend": backend, "expect_serial": expect_serial, "timeout_s": timeout_s}
    task = asked.task(full=full, recheck=recheck)
    if dry_run:
        task = _rehearse(workspace, asked, task, wanted, resume=resume, yes=yes)
        return plan_report(task, utc_now(), (caller or Caller()).argv, min_yield)
    allowance = Allowance(max_pulses=max_pulses, max_time_s=max_time_s)
    ending = Ending(verify=verify, min_yield=min_yield, listener=listener or ignore, caller=caller or Caller())
    return _on_chip(workspace, asked, task, wanted, allowance, ending, resume=resume, yes=yes)


def _on_chip(
    workspace: Workspace,
    asked: _Asked,
    task: Task,
    wanted: Wanted,
    allowance: Allowance,
    ending: Ending,
    *,
    resume: bool,
    yes: bool,
) -> ProgramReport:
    """Find out whether the run may begin, or which one goes on, and carry it out."""
    image, kind = asked.image, asked.kind
    if not workspace.chip_path.exists() and not resume and wanted["backend"] == SIM:
        arrays = image.targets_usiemens.shape[0]
        make_chip(workspace.chip_path, kind, seed=DEFAULT_SEED, arrays=arrays, replace=False)
    with hold(workspace, kind, label="memprog program", anew=not resume, **wanted) as held:
        task, run = _may_begin(held, asked, task, resume=resume, yes=yes)
        return carry_out(held, task, run, allowance, ending)


def _may_begin(held: Held, asked: _Asked, task: Task, *, resume: bool, yes: bool) -> tuple[Task, Run | None]:
    """Find out what would be done, and refuse what may not be; nothing is sent yet."""
    run = held.to_resume(PROGRAM) if resume else None
    if run is not None:
        task = asked.task_of(run, held.journal, task)
    check_on_chip(task.part, held.chip.geometry)
    if run is None:
        held.refuse_unfinished(asked.image.sha256, full=task.full)
        held.refuse_other_image(asked.image.sha256, yes=yes)
    held.account_for_lost_pulses(yes=yes)
    return task, run


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What happens after the last array, and who hears of it."""

    verify: bool
    min_yield: float | None
    listener: Listener
    caller: Caller


def carry_out(held: Held, task: Task, run: Run | None, allowance: Allowance, ending: Ending) -> ProgramReport:
    """Run what is to be written, or take a run up, verify it, and sum both up."""
    utc = utc_now()
    writing = Writing(held, task, run, listener=ending.listener, caller=ending.caller)
    with writing.session(allowance) as session:
        writing.run(session, utc)
        verified = _verified(session, writing, task, ending) if ending.verify else None
        return run_report(
            writing, task, session, verified, min_yield=ending.min_yield, utc=utc, argv=ending.caller.argv
        )


def _verified(session: Session, writing: Writing, task: Task, ending: Ending) -> VerifyReport:
    """Look at what was programmed with fresh eyes."""
    reasons = np.concatenate([outcome.reason[outcome.programmed] for outcome in writing.outcomes])
    try:
        report = verify_part(
            session,
            task.profile,
            task.part,
            image_sha256=task.image_sha256,
            reasons=reasons,
            min_yield=ending.min_yield,
            listener=ending.listener,
            argv=ending.caller.argv,
        )
    except BaseException as error:
        error.add_note("programming is finished; `memprog verify` checks it")
        raise
    writing.note_verified(report)
    return report


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the caller asked to be programmed."""

    image: Image
    kind: ChipProfile
    arrays: Sequence[int] | None
    region: Region | None
    cells: Sequence[tuple[int, int]] | None
    denoise: bool | None
    limits: Mapping[str, float]

    def task(self, *, full: bool, recheck: bool) -> Task:
        """Make a task of it, or refuse what could not be carried out."""
        return Task(
            kind=PROGRAM,
            image_sha256=self.image.sha256,
            profile=self.kind,
            part=choose(self.image, self.arrays, self.region, self.cells),
            denoise=self.denoise is not False,
            full=full,
            recheck=recheck,
            limits=tightened(self.kind.limits, **self.limits),
        ).check()

    def task_of(self, run: Run, journal: Journal, asked: Task) -> Task:
        """Make the task that a run was begun with; what was asked for must not contradict it.

        Raises:
            InputError: it does, or image or profile are not those of the run.
        """
        check_profile(run, self.kind)
        if run.image_sha256 != self.image.sha256:
            raise InputError(
                f"run {run.run_id} writes image {run.image_sha256[:8]}, not {self.image.sha256[:8]}; "
                f"`{OVERWRITE}` starts anew; nothing was applied"
            )
        return resumed_task(run, self._part_of(run, journal), asked, denoise=self.denoise, limits=self.limits)

    def _part_of(self, run: Run, journal: Journal) -> Part:
        part = part_of(self.image, run_masks(run, journal, self.kind))
        if self.arrays is None and self.region is None and self.cells is None:
            return part
        wanted = choose(self.image, self.arrays, self.region, self.cells)
        same = wanted.arrays == part.arrays and all(map(np.array_equal, wanted.masks, part.masks))
        if not same:
            raise InputError(f"run {run.run_id} is about other cells than those asked for; --resume alone takes it up")
        return part


def run_masks(run: Run, journal: Journal, kind: ChipProfile) -> dict[int, Mask]:
    """Cells (rows, columns) of each array that a run is about."""
    shape = (kind.geometry.rows, kind.geometry.columns)
    return masks_of(journal.batches(run.run_id, kind=PART), shape)


def check_profile(run: Run, kind: ChipProfile) -> None:
    """Refuse to go on with another profile than a run was begun with."""
    if run.facts["profile_sha256"] != kind.sha256:
        raise InputError(
            f"run {run.run_id} was begun with profile {run.facts['profile']} "
            f"({run.facts['profile_sha256'][:8]}), not {kind.name} ({kind.sha256[:8]}); "
            f"`{ANEW_WITH[str(run.facts['kind'])]}` starts anew; nothing was applied"
        )


def resumed_task(
    run: Run, part: Part, asked: Task, *, denoise: bool | None, limits: Mapping[str, float] | None
) -> Task:
    """Make the task of an unfinished run from what the journal says of it; denoise is None where nobody asked.

    Raises:
        InputError: something else was asked for than the run was begun with.
    """
    settings = run.facts["settings"]
    begun_with = Limits(**settings["limits"])
    if limits and asked.limits != begun_with:
        raise InputError(f"run {run.run_id} keeps the limits it was begun with; nothing was applied")
    if denoise is not None and denoise != settings["denoise"]:
        begun = "with denoise" if settings["denoise"] else "without denoise"
        raise InputError(f"run {run.run_id} was begun {begun}, and goes on so; nothing was applied")
    if asked.recheck and not settings["recheck"]:
        raise InputError(f"run {run.run_id} has done its board check; --recheck is for a new run; nothing was applied")
    return dataclasses.replace(
        asked,
        kind=str(run.facts["kind"]),
        image_sha256=run.image_sha256,
        part=part,
        denoise=settings["denoise"],
        full=settings["full"],
        recheck=settings["recheck"],
        limits=begun_with,
        restores=str(run.facts["restores"]),
    )


def _rehearse(workspace: Workspace, asked: _Asked, task: Task, wanted: Wanted, *, resume: bool, yes: bool) -> Task:
    """Find out whether a run could begin, and which, without sending anything; a chip would be made where none is."""
    check_backend(wanted["backend"])
    if not workspace.chip_path.exists() and not resume and wanted["expect_serial"] is None:
        return task
    with peek(workspace, task.profile, label="memprog program --dry-run", **wanted) as held:
        return _may_begin(held, asked, task, resume=resume, yes=yes)[0]
