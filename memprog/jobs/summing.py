"""What a run that wrote to a chip comes to, as a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from memprog.jobs.chips import chip_facts, count_reasons
from memprog.jobs.writing import Task, Writing
from memprog.report.program import ProgramReport
from memprog.report.verify import VerifyReport
from memprog.session import ArrayOutcome, Session


def plan_report(task: Task, utc: str, argv: Sequence[str], min_yield: float | None) -> ProgramReport:
    """Say what would be written; nothing was."""
    nobody = {"maker": None, "model": None, "serial": None, "firmware": None}
    arrays = [
        {"array": array, "cells": int(mask.sum())}
        for array, mask in zip(task.part.arrays, task.part.masks, strict=True)
    ]
    return _report(
        task,
        [],
        run_id="",
        simulated=True,
        chip=nobody,
        utc=utc,
        argv=list(argv),
        dry_run=True,
        resumed=False,
        resumes=0,
        cells_failed=0,
        defects_by_reason={},
        min_yield=task.profile.levels.min_yield if min_yield is None else min_yield,
        passed=True,
        host_time_s=0.0,
        arrays=arrays,
        verify=None,
    )


def run_report(
    writing: Writing,
    task: Task,
    session: Session,
    verified: VerifyReport | None,
    *,
    min_yield: float | None,
    utc: str,
    argv: Sequence[str],
) -> ProgramReport:
    """Sum up a run."""
    done = sum(int(outcome.done.sum()) for outcome in writing.outcomes)
    least = task.profile.levels.min_yield if min_yield is None else min_yield
    return _report(
        task,
        writing.outcomes,
        run_id=writing.run_id,
        simulated=session.identity.simulated,
        chip=chip_facts(session.identity),
        utc=utc,
        argv=list(argv),
        dry_run=False,
        resumed=writing.resumes > 0,
        resumes=writing.resumes,
        cells_failed=task.part.cells - done,
        defects_by_reason=count_reasons(writing.defects[writing.defects > 0]),
        min_yield=least,
        passed=done / task.part.cells >= least if verified is None else verified.passed,
        host_time_s=writing.host_time_s,
        arrays=[_array_facts(outcome) for outcome in writing.outcomes],
        verify=None if verified is None else verified.to_dict(),
    )


def _report(task: Task, outcomes: list[ArrayOutcome], **facts: Any) -> ProgramReport:
    cells, done = task.part.cells, sum(int(outcome.done.sum()) for outcome in outcomes)
    failed = [outcome.reason[outcome.programmed & ~outcome.done] for outcome in outcomes]
    return ProgramReport(
        kind=task.kind,
        restores=task.restores or None,
        profile=task.profile.name,
        profile_sha256=task.profile.sha256,
        image_sha256=task.image_sha256,
        denoise=task.denoise,
        limits=dataclasses.asdict(task.limits),
        cells=cells,
        cells_done=done,
        failed_by_reason=count_reasons(np.concatenate(failed)) if failed else {},
        yield_fraction=done / cells,
        chip_time_s=sum(outcome.chip_time_s for outcome in outcomes),
        **_counts(outcomes),
        **facts,
    )


def _array_facts(outcome: ArrayOutcome) -> Mapping[str, Any]:
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
