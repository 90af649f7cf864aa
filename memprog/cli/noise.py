"""``memprog noise``."""

from __future__ import annotations

from pathlib import Path

import click

from memprog.cli import config, kinds
from memprog.cli.console import Console
from memprog.cli.fitted import BASE, BASE_HELP, fit_lines
from memprog.cli.options import with_console
from memprog.cli.text import Fields, number, table

_HEADS = (
    "trace",
    "bias V",
    "mean uS",
    "step uS",
    "tau low s",
    "tau high s",
    "occupancy",
    "noise uS",
    "colour",
    "hum uS",
)
_TOGETHER = ("together", "traces", "tau low s", "tau high s", "scatter low", "scatter high")


@click.command()
@click.argument("files", type=config.EXISTING_FILE, nargs=-1, required=True, metavar="TRACE...")
@click.option(
    "--most",
    type=click.IntRange(0, 3),
    default=3,
    show_default=True,
    help="Fluctuators at most that are looked for in one trace.",
)
@click.option(
    "--picture",
    "picture",
    type=config.FILE,
    metavar="FILE.png|svg",
    help="Draw trace, histogram, dwell times and spectrum; of several traces or stretches of bias, the first.",
)
@click.option("--fit", "out", type=config.FILE, metavar="NEW.yaml", help="Write a profile with this noise instead.")
@click.option("--base", type=kinds.word, default=BASE, show_default=True, metavar="NAME|FILE", help=BASE_HELP)
@click.option("--force", is_flag=True, help="Let --fit replace a file that is there.")
@with_console
def noise(
    console: Console,
    files: tuple[Path, ...],
    most: int,
    picture: Path | None,
    out: Path | None,
    base: str,
    force: bool,
) -> None:
    """Take measured traces of current apart: fluctuators, their steps and dwell times, drift, hum and noise.

    A TRACE is a .npz or .csv with time_s, bias_v and current_a, as memprog trace writes it. Every cell and every
    stretch of constant bias is analysed; those of the same bias are pooled. Intervals are 95 %.

    With --fit, a profile named as its file is written whose fluctuators (step, dwell times, how they depend on the
    bias), slow and white noise are those of the traces, as far as they tell; all else is as in the base. That takes
    eight traces or more; how cells differ is told only by traces that name them, as those of memprog do.
    """
    if out is not None:
        if picture is not None:
            raise click.UsageError("--picture draws what is found, --fit writes a profile of it: one at a time.")
        from memprog.jobs.fit_profile import fit_noise_profile

        found = fit_noise_profile(files, out_path=out, base=base, most=most, force=force, listener=console.listen)
        console.show(found, fit_lines)
        return
    from memprog.jobs.noise import analyse_files

    console.show(analyse_files(files, most=most, picture=picture, listener=console.listen), _lines)


def _lines(fields: Fields) -> list[str]:
    lines = table(_HEADS, [row for entry in fields["plateaus"] for row in _rows(entry)])
    if fields["pooled"]:
        lines += ["", *table(_TOGETHER, [_pooled_row(entry) for entry in fields["pooled"]])]
    for name, found in fields["trends"].items():
        if found is not None:
            said = "depends on the bias" if found["significant"] else "no dependence on the bias seen"
            slope = f"{_estimate(found['slope_per_v'])} per V, p {found['p_value']:.2g}"
            lines.append(f"{name.replace('_', ' ')}: {said}, {slope}")
    if fields["picture"]:
        lines.append(f"picture: {fields['picture']}, of the first plateau")
    return [*lines, *(f"left out: {name}" for name in fields["unread"])]


def _rows(entry: Fields) -> list[list[str]]:
    """One row a fluctuator, or one without; what belongs to the whole trace stands in the first."""
    name = Path(entry["path"]).name
    if entry["array"] is not None:
        name += f" {entry['array']}:{entry['row']},{entry['column']}"
    hum = max((line["amplitude_usiemens"] for line in entry["lines"]), default=None)
    first = [name, f"{entry['bias_v']:.4g}", f"{entry['conductance_usiemens']:.2f}"]
    last = [_estimate(entry["noise_usiemens"]), _estimate(entry["colour_exponent"]), number(hum)]
    keys = ("step_usiemens", "tau_low_s", "tau_high_s", "occupancy")
    middles = [[_estimate(one[key]) for key in keys] for one in entry["fluctuators"]] or [["-"] * len(keys)]
    rows = [[*first, *middles[0], *last]]
    return rows + [["", "", "", *middle, "", "", ""] for middle in middles[1:]]


def _pooled_row(entry: Fields) -> list[str]:
    return [
        f"{entry['bias_v']:.4g} V",
        str(entry["traces"]),
        *(_estimate(entry[key]) for key in ("tau_low_s", "tau_high_s")),
        *(number(entry[key], form=".2f") for key in ("scatter_low", "scatter_high")),
    ]


def _estimate(found: Fields) -> str:
    value, low, high = (number(found[key], form=".4g") for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
