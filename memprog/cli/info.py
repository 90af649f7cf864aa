"""``memprog info``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from memprog.cli.console import Console
from memprog.cli.options import ChipChoice, with_chip, with_console, with_workspace
from memprog.cli.text import Fields, chip_line, facts, number

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command()
@with_workspace("chip")
@with_chip
@with_console
def info(console: Console, choice: ChipChoice, workspace: Workspace) -> None:
    """Describe the chip: identity, size, abilities, limits."""
    from memprog.jobs.chips import chip_report

    console.show(chip_report(workspace, **choice.keywords()), chip_lines)


def chip_lines(fields: Fields) -> list[str]:
    """Say who a chip is, what it can do and what it may bear."""
    geometry = fields["geometry"]
    pairs = [
        ("chip", chip_line(fields)),
        ("firmware", fields["chip"]["firmware"]),
        ("profile", f"{fields['profile']} ({fields['profile_sha256'][:12]})"),
        ("file", fields["path"] or "-"),
        ("cells", f"{geometry['arrays']} array(s) of {geometry['rows']} x {geometry['columns']}"),
        ("pulses so far", number(fields["pulses_total"])),
        ("chip clock", number(fields["clock_s"], "s", ".6g")),
    ]
    abilities = [(name, _value(value)) for name, value in fields["capabilities"].items()]
    limits = [(name, _value(value)) for name, value in fields["limits"].items()]
    return [*facts(pairs), "", "abilities:", *facts(abilities), "", "limits:", *facts(limits)]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value, form=".6g") if isinstance(value, (int, float)) or value is None else str(value)
