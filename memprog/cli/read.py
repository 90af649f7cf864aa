"""``memprog read``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprog.cli.console import Console
from memprog.cli.options import ChipChoice, arrays_option, out_option, with_chip, with_console, with_workspace
from memprog.cli.text import Fields, chip_line, facts, number

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command()
@out_option("File to write, .npy or .csv; conductances in uS.")
@arrays_option("Only these arrays; by default all.")
@with_workspace("chip")
@with_chip
@with_console
def read(console: Console, choice: ChipChoice, workspace: Workspace, out: Path, arrays: tuple[int, ...] | None) -> None:
    """Write the chip's conductances to a file."""
    from memprog.jobs.read import read_conductances

    report = read_conductances(
        workspace, arrays=arrays or None, out_path=out, listener=console.listen, **choice.keywords()
    )
    console.show(report, _lines)


def _lines(fields: Fields) -> list[str]:
    return facts(
        [
            ("chip", chip_line(fields)),
            ("file", fields["path"]),
            ("arrays", ", ".join(str(array) for array in fields["arrays"])),
            ("cells", f"{fields['cells']:,d}, {fields['unread']:,d} of them unread"),
            ("noise", f"median {number(fields['noise_median_usiemens'], 'uS')}"),
        ]
    )
