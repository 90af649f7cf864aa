"""``memprog pulse``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprog.cli import config, kinds
from memprog.cli.console import Console
from memprog.cli.options import (
    ChipChoice,
    limit_option,
    places_options,
    with_chip,
    with_console,
    with_workspace,
)
from memprog.cli.text import Fields, chip_line, facts, number

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace

BIASES = ("SET", "RESET", "SUB_THRESHOLD", "FORM")


@click.command()
@places_options
@click.option(
    "--bias", required=True, type=click.Choice(BIASES, case_sensitive=False), help="Row of the profile's bias table."
)
@click.option("--amplitude", "amplitude_v", required=True, type=kinds.volts, metavar="VOLTS", help="At the driver.")
@click.option("--to", "to_v", type=kinds.volts, metavar="VOLTS", help="Ramp the amplitude up to this; with --step.")
@click.option("--step", "step_v", type=kinds.volts, metavar="VOLTS", help="Step of the ramp.")
@click.option(
    "--gate",
    "gate_v",
    type=kinds.volts,
    metavar="VOLTS",
    help="By default wide open; in SET and FORM, where it is the compliance, the one that ends in mid-range.",
)
@click.option("--width", "width_ns", type=kinds.width_ns, metavar="TIME", help="Such as 1us; by default the profile's.")
@click.option("--count", type=kinds.count, default=1, show_default=True, help="Pulses at each amplitude.")
@click.option("--out", "-o", type=config.FILE, help="Log to write, .csv; a dry run needs none.")
@click.option("--allow-forming", is_flag=True, help="Permit FORM, which cannot be undone.")
@click.option("--yes", is_flag=True, help="Pulse a chip that holds an image, or whose run did not end.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; send nothing that changes the chip.")
@limit_option
@with_workspace("chip", "journal")
@with_chip
@with_console
def pulse(
    console: Console,
    choice: ChipChoice,
    workspace: Workspace,
    array: int,
    region: tuple[int, int, int, int] | None,
    cells: tuple[tuple[int, int], ...] | None,
    bias: str,
    amplitude_v: float,
    to_v: float | None,
    step_v: float | None,
    gate_v: float | None,
    width_ns: int | None,
    count: int,
    out: Path | None,
    allow_forming: bool,
    yes: bool,
    dry_run: bool,
    limits: Mapping[str, float],
) -> None:
    """Give pulses to some cells of one array, one after the other, and log a reading before the first and after each.

    The pulses are checked, journalled and counted like those of program; the chip holds no image afterwards.
    """
    from memprog.chip import Bias
    from memprog.jobs.pulse import Train
    from memprog.jobs.pulse import pulse as pulse_cells

    if region is None and cells is None:
        raise click.UsageError("say which cells to pulse: --cell R,C or --region R0:R1,C0:C1.")
    if out is None and not dry_run:
        raise click.UsageError("say where the log goes: --out LOG.csv.")
    if (to_v is None) != (step_v is None):
        raise click.UsageError("a ramp needs both --to and --step.")
    train = Train(
        bias=Bias[bias.upper()],
        amplitude_v=amplitude_v,
        gate_v=gate_v,
        width_ns=width_ns,
        count=count,
        to_v=to_v,
        step_v=step_v,
    )
    report = pulse_cells(
        workspace,
        array=array,
        region=region,
        cells=cells,
        train=train,
        out_path=out,
        allow_forming=allow_forming,
        yes=yes,
        dry_run=dry_run,
        limits=limits,
        listener=console.listen,
        caller=console.caller(),
        **choice.keywords(),
    )
    console.show(report, _lines)


def _lines(fields: Fields) -> list[str]:
    volts = fields["amplitudes_v"]
    ramp = f"{volts[0]:g} V" if len(volts) == 1 else f"{volts[0]:g} to {volts[-1]:g} V in {len(volts)} steps"
    pairs = [
        ("chip", chip_line(fields)),
        ("profile", fields["profile"]),
        ("run", fields["run_id"]),
        ("cells", f"{fields['cells']:,d} of array {fields['array']}"),
        ("pulses", f"{fields['bias_name']} {ramp}, {fields['count']} at each amplitude"),
        ("gate, width", f"{fields['gate_v']:.4g} V, {fields['width_ns']:,d} ns"),
    ]
    if fields["dry_run"]:
        planned = f"{fields['pulses_planned']:,d} pulses"
        return [*facts([*pairs, ("planned", planned)]), "dry run: nothing was sent that changes the chip"]
    first, last = (number(fields[f"readback_{which}_median_usiemens"], "uS") for which in ("first", "last"))
    pairs += [
        ("given", f"{fields['pulses_total']:,d} of {fields['pulses_planned']:,d}"),
        ("held back", f"{fields['cells_held_back']:,d} cell(s) that conducted too much for a later pulse"),
        ("readback", f"median {first} before, {last} after; {fields['cells_unread']:,d} cell(s) unread"),
        ("log", f"{fields['path']}, {fields['events']:,d} events"),
        ("time", f"chip {number(fields['chip_time_s'], 's')}, host {number(fields['host_time_s'], 's')}"),
    ]
    return facts(pairs)
