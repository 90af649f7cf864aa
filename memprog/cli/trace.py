"""``memprog trace``."""

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
from memprog.cli.text import Fields, chip_line, facts, number

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command()
@places_options
@click.option("--read-voltage", "read_v", type=kinds.volts, metavar="VOLTS", help="By default the profile's.")
@click.option(
    "--interval",
    "interval_s",
    type=kinds.interval_s,
    default="0.2ms",
    show_default=True,
    metavar="TIME",
    help="Between two samples of a cell.",
)
@click.option("--samples", type=kinds.count, default=20_000, show_default=True, help="Of each cell.")
@out_option("Traces to write, .npz.")
@limit_option
@with_workspace("chip")
@with_chip
@with_console
def trace(
    console: Console,
    choice: ChipChoice,
    workspace: Workspace,
    array: int,
    region: tuple[int, int, int, int] | None,
    cells: tuple[tuple[int, int], ...] | None,
    read_v: float | None,
    interval_s: float,
    samples: int,
    out: Path,
    limits: Mapping[str, float],
) -> None:
    """Sense every sample of cells of one array, and write the currents over time.

    Cells that cannot be sensed at the same time are sensed one after the other, each at the interval asked for.
    """
    from memprog.jobs.sensing import trace as trace_cells

    report = trace_cells(
        workspace,
        array=array,
        region=region,
        cells=cells,
        read_v=read_v,
        interval_s=interval_s,
        samples=samples,
        out_path=out,
        limits=limits,
        listener=console.listen,
        **choice.keywords(),
    )
    console.show(report, _lines)


def _lines(fields: Fields) -> list[str]:
    return facts(
        [
            ("chip", chip_line(fields)),
            ("file", fields["path"]),
            ("cells", f"{fields['cells']:,d} of array {fields['array']}, {fields['unread']:,d} unread"),
            ("samples", f"{fields['samples']:,d} a cell, every {number(fields['interval_s'], 's')}"),
            ("read voltage", number(fields["read_v"], "V")),
            ("noise", f"median {number(fields['noise_median_usiemens'], 'uS')} over {number(fields['span_s'], 's')}"),
            ("chip time", number(fields["chip_time_s"], "s")),
        ]
    )
