"""Bring the cells that a run wrote back to what they held before it, as its snapshot says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from memprog.chip import Cells
from memprog.errors import InputError, LimitError
from memprog.jobs.chips import SIM, Wanted, profile_of_chip
from memprog.jobs.holding import Held, hold
from memprog.jobs.program import Ending, carry_out, check_profile, resumed_task, run_masks
from memprog.jobs.progress import Listener, ignore
from memprog.jobs.setup import Part
from memprog.jobs.workspace import Workspace
from memprog.jobs.writing import Caller, Task
from memprog.profile import ChipProfile
from memprog.report.program import ProgramReport
from memprog.session import RESTORE, Allowance, Journal, Run, recorded_looks, tightened


def restore(
    workspace: Workspace,
    *,
    profile: str | None = None,
    backend: str = SIM,
    run_id: str | None = None,
    denoise: bool | None = None,
    resume: bool = False,
    full: bool = False,
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
    """Program the cells of a run back to the conductances they were found at, and verify them.

    A cell that could not be read then is left alone. What comes back is the conductance within the profile's window,
    not the filament: pulses cost endurance a second time.

    Options:
        workspace, profile, backend, expect_serial, timeout_s: as for program.
        run_id: whose snapshot; by default that of the newest run on this chip.
        resume, full: take up an unfinished restore, or start over an unfinished run.
        denoise, verify, min_yield, max_time_s, max_pulses, limits, listener, caller: as for program.
        yes: what the chip holds now is lost, so the operator has to say so.

    Raises:
        InputError: no such run, no snapshot, or a chip that is not the one of the run.
        LimitError: not permitted, a limit, an unfinished run or another process refused it.
        InstrumentError, StoppedError: the chip failed, or an allowance is used up; resume goes on.
    """
    if resume and full:
        raise InputError("a run is either taken up or started anew: resume and full exclude each other")
    kind = profile_of_chip(workspace, profile)
    wanted: Wanted = {"backend": backend, "expect_serial": expect_serial, "timeout_s": timeout_s}
    allowance = Allowance(max_pulses=max_pulses, max_time_s=max_time_s)
    ending = Ending(verify=verify, min_yield=min_yield, listener=listener or ignore, caller=caller or Caller())
    with hold(workspace, kind, label="memprog restore", anew=False, **wanted) as held:
        if resume:
            run = held.to_resume(RESTORE)
            held.account_for_lost_pulses(yes=yes)
            check_profile(run, kind)
            source = held.journal.run(str(run.facts["restores"]))
            asked = _task(held.journal, kind, source, denoise=denoise, full=full, limits=limits or {})
            task = resumed_task(run, asked.part, asked, denoise=denoise, limits=limits)
            return carry_out(held, task, run, allowance, ending)
        if not yes:
            raise LimitError(f"what chip {held.serial} holds would be lost; --yes permits it; nothing was applied")
        source = _source(held, run_id)
        held.refuse_unfinished("", full=full or source.unfinished)
        held.account_for_lost_pulses(yes=yes)
        task = _task(held.journal, kind, source, denoise=denoise, full=full, limits=limits or {})
        return carry_out(held, task, None, allowance, ending)


def _source(held: Held, run_id: str | None) -> Run:
    """The run whose snapshot is wanted; to begin a restore anew is not to undo it."""
    found = [run for run in held.runs() if run_id in (None, run.run_id)]
    if not found:
        which = "no run" if run_id is None else f"no run {run_id}"
        raise InputError(f"chip {held.serial} had {which} by {held.journal.path}; nothing was applied")
    if run_id is None and found[0].unfinished and found[0].facts["kind"] == RESTORE:
        return held.journal.run(str(found[0].facts["restores"]))
    return found[0]


def _task(
    journal: Journal, kind: ChipProfile, source: Run, *, denoise: bool | None, full: bool, limits: Mapping[str, float]
) -> Task:
    return Task(
        kind=RESTORE,
        image_sha256=source.facts.get("held") or "",
        profile=kind,
        part=_snapshot(journal, kind, source),
        denoise=denoise is not False,
        full=full,
        recheck=False,
        limits=tightened(kind.limits, **limits),
        restores=source.run_id,
    ).check()


def _snapshot(journal: Journal, kind: ChipProfile, source: Run) -> Part:
    """What the cells of a run held before its first pulse; those that could not be read are left out.

    Raises:
        InputError: the run ended before there was a snapshot of all its arrays.
    """
    arrays, masks, targets = [], [], []
    for array, mask in run_masks(source, journal, kind).items():
        looks = recorded_looks(journal, source.run_id, array)
        cells = Cells.from_mask(array, mask)
        if looks is None or len(looks[0].readback_usiemens) != len(cells):
            raise InputError(f"run {source.run_id} took no snapshot of array {array}; nothing was applied")
        held_then = looks[0].readback_usiemens
        readable = np.isfinite(held_then)
        inside = np.zeros_like(mask)
        inside[cells.row[readable], cells.column[readable]] = True
        if readable.any():
            arrays.append(array)
            masks.append(inside)
            targets.append(held_then[readable])
    part = Part(arrays=tuple(arrays), masks=tuple(masks), targets_usiemens=tuple(targets))
    if part.cells == 0:
        raise InputError(f"run {source.run_id} found no cell that could be read; nothing was applied")
    return part
