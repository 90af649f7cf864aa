"""``memprog characterise``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprog.cli import config, kinds
from memprog.cli.console import Console
from memprog.cli.options import ChipChoice, limit_option, with_chip, with_console, with_workspace
from memprog.cli.text import Fields, chip_line, facts, number, table

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command()
@click.option("--array", type=kinds.array, default="0", show_default=True, metavar="N", help="Number of the array.")
@click.option("--cells", "count", type=kinds.count, metavar="N", help="So many cells, evenly spread.  [default: 64]")
@click.option(
    "--region", type=kinds.region, metavar="R0:R1,C0:C1", help="All cells of this part of it; from 0, ends excluded."
)
@click.option("--out", "-o", "folder", type=config.FOLDER, required=True, help="Folder for what is measured.")
@click.option("--max-pulses", type=kinds.pulses, metavar="N", help="Stop after so many pulses.")
@click.option("--yes", is_flag=True, help="Pulse a chip that holds an image, or whose run did not end.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; send nothing that changes the chip.")
@limit_option
@with_workspace("chip", "journal")
@with_chip
@with_console
def characterise(
    console: Console,
    choice: ChipChoice,
    workspace: Workspace,
    array: int,
    count: int | None,
    region: tuple[int, int, int, int] | None,
    folder: Path,
    max_pulses: int | None,
    yes: bool,
    dry_run: bool,
    limits: Mapping[str, float],
) -> None:
    """Find out how cells behave: ramps, gates, widths, repeated and sub-threshold pulses, relaxation, noise.

    Writes pulses.csv, iv.csv, traces.npz and characterise.json; the chip holds no image afterwards.
    """
    from memprog.jobs.characterise import characterise as characterise_chip

    if region and count:
        raise click.UsageError("--region and --cells exclude each other.")
    report = characterise_chip(
        workspace,
        folder=folder,
        array=array,
        count=count,
        region=region,
        max_pulses=max_pulses,
        yes=yes,
        dry_run=dry_run,
        limits=limits,
        listener=console.listen,
        caller=console.caller(),
        **choice.keywords(),
    )
    console.show(report, _lines)


def _lines(fields: Fields) -> list[str]:
    pairs = [
        ("chip", chip_line(fields)),
        ("profile", fields["profile"]),
        ("run", fields["run_id"]),
        ("cells", f"{fields['cells']:,d} of array {fields['array']}, {fields['pulses_per_cell']} pulses each"),
    ]
    stages = [[str(one["stage"]), str(one["pulses"]), str(one["readings"])] for one in fields["plan"]]
    plan = ["", *table(("stage", "pulses", "readings alone"), stages)]
    if fields["dry_run"]:
        planned = ("planned", f"{fields['pulses_planned']:,d} pulses")
        return [*facts([*pairs, planned]), *plan, "", "dry run: nothing was sent that changes the chip"]
    pairs += [
        ("given", f"{fields['pulses_total']:,d} of {fields['pulses_planned']:,d} pulses"),
        ("folder", fields["path"]),
        ("files", ", ".join(f"{one['name']} ({one['bytes']:,d} bytes)" for one in fields["files"])),
        ("time", f"chip {number(fields['chip_time_s'], 's')}, host {number(fields['host_time_s'], 's')}"),
    ]
    return [*facts(pairs), *plan]
