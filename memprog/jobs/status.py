"""Tell what lies in a workspace and what to do next."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from memprog.image import read_image
from memprog.jobs.workspace import Workspace
from memprog.report.status import StatusReport
from memprog.session import Journal
from memprog.simchip import summary_of


def status(workspace: Workspace) -> StatusReport:
    """Look into a workspace; nothing is changed.

    Raises:
        InputError: a file there cannot be read.
    """
    image, chip, runs = _image(workspace), _chip(workspace), _runs(workspace)
    return StatusReport(
        workspace=str(workspace.folder), image=image, chip=chip, runs=runs, next_step=_next_step(image, chip, runs)
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


def _chip(workspace: Workspace) -> dict[str, Any] | None:
    if not workspace.chip_path.exists():
        return None
    summary = summary_of(workspace.chip_path)
    return {
        "path": str(workspace.chip_path),
        "serial": summary.serial,
        "profile": summary.profile,
        "simulated": True,
        "blank": summary.last_batch is None,
    }


def _runs(workspace: Workspace) -> list[dict[str, Any]]:
    if not workspace.journal_path.exists():
        return []
    with contextlib.closing(Journal.reading(workspace.journal_path)) as journal:
        return [
            {
                "run_id": run.run_id,
                "utc": run.facts["utc"],
                "state": run.state,
                "image_sha256": run.image_sha256,
                "cells": run.facts["cells"],
                "cells_done": run.summary.get("cells_done"),
            }
            for run in journal.runs()
        ]


def _next_step(image: dict[str, Any] | None, chip: dict[str, Any] | None, runs: list[dict[str, Any]]) -> str:
    if image is None:
        return "load weights: memprog load-weights FILE"
    if not runs or runs[0]["image_sha256"] != image["sha256"] or chip is None or chip["blank"]:
        return "program the chip: memprog program --array"
    if runs[0]["state"] != "finished":
        return "the last run did not finish; program again, what holds is left alone: memprog program --array"
    return "verify what the chip holds: memprog verify"
