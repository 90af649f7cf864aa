"""``memprog sim age``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memprog.cli import kinds
from memprog.cli.console import Console
from memprog.cli.info import chip_lines
from memprog.cli.options import ChipChoice, with_chip, with_console, with_workspace

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command("age")
@click.option("--hours", type=kinds.finite, required=True, metavar="HOURS", help="How long it lies.")
@click.option(
    "--temperature",
    "celsius",
    type=kinds.finite,
    metavar="CELSIUS",
    help="How warm it lies; by default as warm as it is read.",
)
@with_workspace("chip")
@with_chip
@with_console
def sim_age(console: Console, choice: ChipChoice, workspace: Workspace, hours: float, celsius: float | None) -> None:
    """Let the simulated chip lie on a shelf or in an oven, and give it back as warm as it is read.

    Its clock moves on, and its cells relax as long as that, faster in the warm where the profile has a section
    'retention'.
    """
    from memprog.jobs.aging import age_chip

    console.show(age_chip(workspace, hours=hours, celsius=celsius, **choice.keywords()), chip_lines)
