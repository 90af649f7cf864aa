"""``memprog verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memprog.cli.console import Console
from memprog.cli.junit import JUnitFile, with_junit
from memprog.cli.kinds import window_usiemens
from memprog.cli.options import ChipChoice, arrays_option, min_yield_option, with_chip, with_console, with_workspace
from memprog.cli.text import verify_lines
from memprog.errors import EXIT_BELOW_YIELD, EXIT_OK

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command()
@arrays_option("Only these arrays; by default all of the image.")
@click.option("--window", type=window_usiemens, metavar="uS", help="Accepted error in uS; by default the profile's.")
@min_yield_option
@with_junit
@with_workspace("image", "chip", "journal")
@with_chip
@with_console
def verify(
    console: Console,
    choice: ChipChoice,
    workspace: Workspace,
    arrays: tuple[int, ...] | None,
    window: float | None,
    min_yield: float | None,
    junit: JUnitFile,
) -> int:
    """Compare the chip with the image by fresh reads.

    Exit code 1 when the yield (cells in the window / all cells of the image, stuck ones included) is too low.
    """
    from memprog.jobs.verify import verify as verify_chip

    report = verify_chip(
        workspace,
        arrays=arrays or None,
        window_usiemens=window,
        min_yield=min_yield,
        listener=console.listen,
        argv=console.argv,
        **choice.keywords(),
    )
    console.show(report, verify_lines)
    junit.write(report.to_dict())
    return EXIT_OK if report.passed else EXIT_BELOW_YIELD
