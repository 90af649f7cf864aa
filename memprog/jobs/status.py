"""Tell what lies in a workspace and what to do next."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from memprog.image import read_image
from memprog.jobs.chips import name_after
from memprog.jobs.holding import OVERWRITE, RESUME_WITH
from memprog.jobs.workspace import Workspace
from memprog.report.status import StatusReport
from memprog.session import PROGRAM, UNFINISHED, Journal, Run, leads_to
from memprog.simchip import ChipSummary, summary_of

SHOWN = 20
"""Runs that are shown; `memprog runs` has all."""


def status(workspace: Workspace) -> StatusReport:
    """Look into a workspace; nothing is changed.

    Raises:
        InputError: a file there cannot be read.
    """
    image, summary = _image(workspace), _chip(workspace)
    chip = None if summary is None else _chip_facts(workspace, summary)
    runs, past = _runs(workspace, summary)
    return StatusReport(
        workspace=str(workspace.folder), image=image, chip=chip, runs=runs, next_step=_next_step(image, chip, past)
    )


def _image(workspace: Workspace) -> dict[str, Any] | None:
    if not workspace.image_path.exists():
        return None
    image = read_image(workspace.image_path)
    return {
        "path": str(workspace.image_path),
        "sha256": image.sha256,
        "profile": image.profile_name,
        "layers": len(image.layers),
        "cells": int(np.isfinite(image.targets_usiemens).sum()),
    }


def _chip(workspace: Workspace) -> ChipSummary | None:
    return summary_of(workspace.chip_path) if workspace.chip_path.exists() else None


def _chip_facts(workspace: Workspace, summary: ChipSummary) -> dict[str, Any]:
    return {
        "path": str(workspace.chip_path),
        "serial": summary.serial,
        "profile": summary.profile,
        "simulated": True,
        "blank": summary.last_batch is None,
    }


def _runs(workspace: Workspace, chip: ChipSummary | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The newest runs in the journal, and of them those that are the past of the workspace's chip."""
    if not workspace.journal_path.exists():
        return [], []
    with contextlib.closing(Journal.reading(workspace.journal_path)) as journal:
        newest = journal.runs()[:SHOWN]
        runs = [_run(journal, run) for run in newest]
        name = None if chip is None else _name(workspace, journal, chip)
    past = [told for told, run in zip(runs, newest, strict=True) if run.chip == name and not run.former]
    return runs, past


def _name(workspace: Workspace, journal: Journal, chip: ChipSummary) -> str | None:
    """What the journal calls the chip; None where its runs are not the chip's past."""
    name = name_after(journal, chip.serial, str(workspace.chip_path.resolve()), chip.last_batch)
    return name if leads_to(journal, name, chip.last_batch) else None


def _run(journal: Journal, run: Run) -> dict[str, Any]:
    """How far a run is, by what the journal holds at this moment."""
    verdicts = [journal.cells_of(run.run_id, array) for array in run.facts["arrays"]]
    finished = [verdict for verdict in verdicts if verdict is not None]
    return {
        "run_id": run.run_id,
        "kind": run.facts["kind"],
        "chip": run.serial,
        "utc": run.facts["utc"],
        "state": "former chip" if run.former else run.state,
        "image_sha256": run.image_sha256,
        "cells": run.facts["cells"],
        "cells_done": sum(int(verdict["done"].sum()) for verdict in finished),
        "arrays": len(verdicts),
        "arrays_finished": len(finished),
        "pulses_total": journal.pulses(run.run_id),
    }


def _next_step(image: dict[str, Any] | None, chip: dict[str, Any] | None, past: list[dict[str, Any]]) -> str:
    if image is None:
        return "load weights: memprog load-weights FILE"
    unfinished = next((run for run in past if run["state"] in UNFINISHED and run["kind"] in RESUME_WITH), None)
    if unfinished is not None:
        return _way_on(unfinished, image)
    if not past or past[0]["image_sha256"] != image["sha256"] or chip is None or chip["blank"]:
        return "program the chip: memprog program --array"
    return "verify what the chip holds: memprog verify"


def _way_on(run: dict[str, Any], image: dict[str, Any]) -> str:
    if run["kind"] == PROGRAM and run["image_sha256"] != image["sha256"]:
        return (
            f"run {run['run_id']} writes another image; load that one again to take it up, or start anew: {OVERWRITE}"
        )
    whether = "" if run["state"] == "stopped" else "if it is not under way, "
    return f"{whether}take up run {run['run_id']}: {RESUME_WITH[run['kind']]}"
