"""``memprog iv``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprog.cli import kinds
from memprog.cli.console import Console
from memprog.cli.options import (
    ChipChoice,
    limit_option,
    out_option,
    places_options,
    with_chip,
    with_console,
    with_workspace,
)
from memprog.cli.text import Fields, chip_line, facts, number, share

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command()
@places_options
@click.option("--from", "from_v", type=kinds.volts, metavar="VOLTS", help="Lowest; by default a step above zero.")
@click.option("--to", "to_v", type=kinds.volts, metavar="VOLTS", help="Highest; by default the profile's read voltage.")
@click.option("--points", type=kinds.count, default=10, show_default=True, help="Read voltages.")
@click.option("--samples", type=kinds.count, help="Of each reading; by default those of a long look.")
@out_option("Sweep to write, .csv.")
@limit_option
@with_workspace("chip")
@with_chip
@with_console
def iv(
    console: Console,
    choice: ChipChoice,
    workspace: Workspace,
    array: int,
    region: tuple[int, int, int, int] | None,
    cells: tuple[tuple[int, int], ...] | None,
    from_v: float | None,
    to_v: float | None,
    points: int,
    samples: int | None,
    out: Path,
    limits: Mapping[str, float],
) -> None:
    """Read cells of one array at rising read voltages, and write currents and conductances.

    Reading disturbs nothing: no voltage is beyond the profile's read_max_v.
    """
    from memprog.jobs.sensing import iv as sweep

    report = sweep(
        workspace,
        array=array,
        region=region,
        cells=cells,
        from_v=from_v,
        to_v=to_v,
        points=points,
        samples=samples,
        out_path=out,
        limits=limits,
        listener=console.listen,
        **choice.keywords(),
    )
    console.show(report, _lines)


def _lines(fields: Fields) -> list[str]:
    volts = fields["read_v"]
    return facts(
        [
            ("chip", chip_line(fields)),
            ("file", fields["path"]),
            ("cells", f"{fields['cells']:,d} of array {fields['array']}"),
            ("read voltages", f"{len(volts)} from {volts[0]:g} V to {volts[-1]:g} V, {fields['samples']} samples each"),
            ("unread", f"{fields['unread']:,d} of {fields['cells'] * len(volts):,d} readings"),
            ("rise", f"conductance, last over first, median {share(fields['rise_median'])}"),
            ("chip time", number(fields["chip_time_s"], "s")),
        ]
    )
