"""What was done to chips, when, by which version of memprog, and with what result."""

from __future__ import annotations

import contextlib
from typing import Any

from memprog.jobs.workspace import Workspace
from memprog.report.runs import RunsReport
from memprog.session import Journal, Run

FACTS = (
    "kind",
    "utc",
    "image_sha256",
    "profile",
    "profile_sha256",
    "memprog_version",
    "argv",
    "configuration",
    "cells",
    "arrays",
)
RESULTS = ("ended_utc", "cells_done", "resumes", "verified_utc", "cells_in_window", "passed")


def runs(workspace: Workspace) -> RunsReport:
    """List the runs in a workspace's journal, newest first; an empty list where there is no journal.

    Raises:
        InputError: the journal cannot be read.
    """
    found: list[dict[str, Any]] = []
    if workspace.journal_path.exists():
        with contextlib.closing(Journal.reading(workspace.journal_path)) as journal:
            found = [_facts(journal, run) for run in journal.runs()]
    return RunsReport(journal=str(workspace.journal_path), runs=found)


def _facts(journal: Journal, run: Run) -> dict[str, Any]:
    """One run, as reports carry it; what is not known yet is None."""
    settings = run.facts.get("settings", {})
    return {
        "run_id": run.run_id,
        "chip": run.serial,
        "former_chip": run.former,
        "state": run.state,
        **{name: run.facts.get(name) for name in FACTS},
        **{name: run.summary.get(name) for name in RESULTS},
        # A run that was killed had no time to say.
        "pulses_total": journal.pulses(run.run_id),
        "restores": run.facts.get("restores") or None,
        "settings": settings,
    }
