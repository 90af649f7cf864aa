"""``memprog runs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memprog.cli.console import Console
from memprog.cli.options import with_console, with_workspace
from memprog.cli.text import Fields, number, table

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command()
@with_workspace("journal")
@with_console
def runs(console: Console, workspace: Workspace) -> None:
    """List what was done to chips: when, by which version, with what result."""
    from memprog.jobs.runs import runs as list_runs

    console.show(list_runs(workspace), _lines)


def _lines(fields: Fields) -> list[str]:
    if not fields["runs"]:
        return ["no run yet"]
    heads = ("run", "kind", "begun", "state", "chip", "image", "memprog", "cells", "done", "in window", "pulses")
    return table(heads, [_row(run) for run in fields["runs"]])


def _row(run: Fields) -> list[str]:
    state = f"{run['state']}, former chip" if run["former_chip"] else run["state"]
    counts = (number(run[name]) for name in ("cells", "cells_done", "cells_in_window", "pulses_total"))
    image = run["image_sha256"][:8] or "-"
    return [run["run_id"], run["kind"], run["utc"], state, run["chip"], image, run["memprog_version"], *counts]
