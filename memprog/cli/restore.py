"""``memprog restore``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memprog.cli.console import Console
from memprog.cli.options import ChipChoice, RunSettings, with_chip, with_console, with_run_settings, with_workspace
from memprog.cli.program import outcome_lines
from memprog.errors import EXIT_BELOW_YIELD, EXIT_OK

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command()
@click.option("--run", "run_id", metavar="ID", help="Whose snapshot; by default that of the newest run on this chip.")
@click.option("--resume", is_flag=True, help="Go on with a restore that did not end.")
@click.option("--full", is_flag=True, help="Begin anew, over a run that did not end and over cells that hold.")
@click.option("--yes", is_flag=True, help="Lose what the chip holds now.")
@with_run_settings
@with_workspace("chip", "journal")
@with_chip
@with_console
def restore(
    console: Console,
    choice: ChipChoice,
    workspace: Workspace,
    run_id: str | None,
    resume: bool,
    full: bool,
    yes: bool,
    settings: RunSettings,
) -> int:
    """Bring the cells that a run wrote back to what they held before its first pulse.

    Conductances come back within the profile's window; it costs pulses as programming does.
    """
    from memprog.jobs.restore import restore as restore_chip

    if resume and (full or run_id):
        raise click.UsageError("--resume takes up the restore as it was begun; it excludes --full and --run.")
    report = restore_chip(
        workspace,
        run_id=run_id,
        resume=resume,
        full=full,
        yes=yes,
        listener=console.listen,
        caller=console.caller(),
        **settings,
        **choice.keywords(),
    )
    console.show(report, outcome_lines)
    return EXIT_OK if report.passed else EXIT_BELOW_YIELD
