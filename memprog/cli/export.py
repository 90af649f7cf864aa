"""``memprog export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprog.cli.console import Console
from memprog.cli.options import ChipChoice, out_option, with_chip, with_console, with_workspace
from memprog.cli.text import Fields, chip_line, facts, shape, share, table

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command()
@out_option("File to write, in the format the weights came in.")
@with_workspace("image", "chip")
@with_chip
@with_console
def export(console: Console, choice: ChipChoice, workspace: Workspace, out: Path) -> None:
    """Write the weights as the chip holds them: same names, shapes and dtypes as they came in."""
    from memprog.jobs.export_chip import export as export_chip

    report = export_chip(workspace, out_path=out, listener=console.listen, **choice.keywords())
    console.show(report, _lines)


def _lines(fields: Fields) -> list[str]:
    """Say per layer how far what the chip holds is from what was asked for."""
    heads = ("layer", "shape", "dtype", "error rms", "error max")
    rows = [
        [
            one["name"],
            shape(one["shape"]),
            one["dtype"],
            share(one["error_rms_relative"]),
            share(one["error_max_relative"]),
        ]
        for one in fields["layers"]
    ]
    totals = [
        ("file", f"{fields['path']} ({fields['format']})"),
        ("chip", "-" if fields["chip"] is None else chip_line(fields)),
        ("digital", ", ".join(fields["digital"]) or "none"),
    ]
    return [*table(heads, rows), "", *facts(totals)]
