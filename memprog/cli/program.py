"""``memprog program``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memprog.cli import kinds
from memprog.cli.console import Console
from memprog.cli.junit import JUnitFile, with_junit
from memprog.cli.options import (
    ChipChoice,
    RunSettings,
    arrays_option,
    with_chip,
    with_console,
    with_run_settings,
    with_workspace,
)
from memprog.cli.text import Fields, chip_line, facts, number, reasons, share, table, verify_lines
from memprog.errors import EXIT_BELOW_YIELD, EXIT_OK

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command()
@arrays_option("What to program: --array for all arrays of the image, --array 0 or --array 0,2 for some.")
@click.option(
    "--region", type=kinds.region, metavar="R0:R1,C0:C1", help="Only this part of one array; from 0, ends excluded."
)
@click.option(
    "--cell", "cells", type=kinds.cell, multiple=True, metavar="R,C", help="Only this cell of one array; repeatable."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done; send nothing that changes the chip.")
@with_junit
@click.option("--resume", is_flag=True, help="Go on with the run that did not end; --array may be left out.")
@click.option("--full", is_flag=True, help="Begin anew, over a run that did not end and over cells that hold.")
@click.option("--recheck", is_flag=True, help="Try cells again that are known to be stuck.")
@click.option("--yes", is_flag=True, help="Overwrite a chip that holds another image.")
@with_run_settings
@with_workspace("image", "chip", "journal")
@with_chip
@with_console
def program(
    console: Console,
    choice: ChipChoice,
    workspace: Workspace,
    arrays: tuple[int, ...] | None,
    region: tuple[int, int, int, int] | None,
    cells: tuple[tuple[int, int], ...],
    dry_run: bool,
    junit: JUnitFile,
    resume: bool,
    full: bool,
    recheck: bool,
    yes: bool,
    settings: RunSettings,
) -> int:
    """Write the image into the chip: pulse, read, denoise, confirm, verify.

    Exit code 1 when the yield (cells in the window / cells programmed, stuck ones included) is too low.
    """
    from memprog.jobs.program import program as program_chip

    junit.require_verify(verify=settings["verify"] and not dry_run)
    if resume and full:
        raise click.UsageError("--resume and --full exclude each other.")
    report = program_chip(
        workspace,
        arrays=_checked(arrays, region, cells, resume) or None,
        region=region,
        cells=cells or None,
        dry_run=dry_run,
        yes=yes,
        resume=resume,
        full=full,
        recheck=recheck,
        listener=console.listen,
        caller=console.caller(),
        **settings,
        **choice.keywords(),
    )
    console.show(report, outcome_lines)
    junit.write(report.verify)
    return EXIT_OK if report.passed else EXIT_BELOW_YIELD


def _checked(
    arrays: tuple[int, ...] | None,
    region: tuple[int, int, int, int] | None,
    cells: tuple[tuple[int, int], ...],
    resume: bool,
) -> tuple[int, ...]:
    """Refuse a command line that leaves open what to program; a run that is resumed knows."""
    if arrays is None and resume and not region and not cells:
        return ()
    if arrays is None:
        raise click.UsageError("say what to program: --array for all arrays of the image, --array 0 for one.")
    if region and cells:
        raise click.UsageError("--region and --cell exclude each other.")
    if (region or cells) and len(arrays) != 1:
        raise click.UsageError("--region and --cell are places inside one array: give its number, like --array 0.")
    return arrays


def outcome_lines(fields: Fields) -> list[str]:
    """Say what a run that wrote did, and what the verify after it found."""
    if fields["dry_run"]:
        return [*facts(_plan(fields)), "dry run: nothing was sent that changes the chip"]
    lines = [*facts([*_plan(fields), *_outcome(fields)]), *_arrays(fields)]
    return (
        lines if fields["verify"] is None else [*lines, "", "verify, by fresh reads:", *verify_lines(fields["verify"])]
    )


def _plan(fields: Fields) -> list[tuple[str, str]]:
    return [
        ("chip", chip_line(fields)),
        ("profile", fields["profile"]),
        ("run", fields["run_id"]),
        *([("restores", f"what run {fields['restores']} found")] if fields["restores"] else []),
        ("cells", f"{fields['cells']:,d} in array(s) {', '.join(str(one['array']) for one in fields['arrays'])}"),
        ("denoise", "yes" if fields["denoise"] else "no"),
    ]


def _outcome(fields: Fields) -> list[tuple[str, str]]:
    mean, p99 = number(fields["pulses_per_cell_mean"]), number(fields["pulses_per_cell_p99"])
    return [
        ("done", f"{fields['cells_done']:,d} of {fields['cells']:,d} ({share(fields['yield_fraction'])})"),
        ("failed", f"{fields['cells_failed']:,d} ({reasons(fields['failed_by_reason'])})"),
        ("pulses", f"{fields['pulses_total']:,d}, {fields['denoise_pulses_total']:,d} of them to denoise"),
        ("pulses a cell", f"mean {mean}, 99 % at most {p99}"),
        ("samples a cell", f"mean {number(fields['samples_per_cell_mean'])}"),
        ("rounds", f"{fields['rounds']:,d}"),
        ("time", f"chip {number(fields['chip_time_s'], 's')}, host {number(fields['host_time_s'], 's')}"),
    ]


def _arrays(fields: Fields) -> list[str]:
    """Compare the arrays where there are several."""
    if len(fields["arrays"]) < 2:
        return []
    heads = ("array", "cells", "done", "failed", "rounds", "pulses")
    keys = ("cells", "cells_done", "cells_failed", "rounds", "pulses_total")
    return ["", *table(heads, [[str(one["array"]), *(f"{one[key]:,d}" for key in keys)] for one in fields["arrays"]])]
