"""``memprog sim new``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memprog.cli.console import Console
from memprog.cli.info import chip_lines
from memprog.cli.options import new_profile_option, with_console, with_workspace

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command("new")
@new_profile_option
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="What the chip is drawn from."
)
@click.option(
    "--arrays",
    type=click.IntRange(1),
    metavar="N",
    help="How many arrays; by default what the workspace's image needs, or 1.",
)
@click.option("--force", is_flag=True, help="Replace the workspace's simulated chip and all it holds.")
@with_workspace("chip")
@with_console
def sim_new(
    console: Console, workspace: Workspace, profile: str | None, seed: int, arrays: int | None, force: bool
) -> None:
    """Make a new simulated chip. The same seed makes the same chip."""
    from memprog.jobs.chips import new_chip
    from memprog.profile import DEFAULT_PROFILE

    kind = DEFAULT_PROFILE if profile is None else profile
    report = new_chip(workspace, profile=kind, seed=seed, arrays=arrays, force=force)
    console.show(report, chip_lines)
