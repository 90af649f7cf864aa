"""``memprog physics``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from memprog.cli import config
from memprog.cli.console import Console
from memprog.cli.options import with_console
from memprog.cli.outputs import BESIDE
from memprog.cli.text import Fields, facts, number

Command = Callable[..., Any]

_BESIDE = (".csv", ".json")
_TOLD: dict[str, tuple[tuple[str, str, str], ...]] = {
    "fig2": (
        ("islands before", "islands_before", ""),
        ("islands after 1 pulse", "islands_after_pulse_1", ""),
        ("islands after 2 pulses", "islands_after_pulse_2", ""),
        ("conduction kept", "main_conduction_kept_after_pulse_2", "of 1, main channel"),
    ),
    "fig3": (
        ("deviation", "deviation_max", "at most, from the published waves"),
        ("slip", "slip_max", "at most, of the published boundary"),
        ("second mode", "second_mode_opens_at_nm", "nm"),
    ),
    "fig4": (
        ("barrier", "barrier_ev", "eV"),
        ("width drawn", "main_width_cells_drawn", "cells"),
        ("width after 2 pulses", "main_width_cells_after_pulse_2", "cells"),
        ("cost of a pulse", "published_pulse_conduction_cost", "of 1, conduction of the main channel"),
        ("dissolves", "published_pulse_dissolves_95_percent_up_to_cells", "cells across, 95 % of the islands"),
    ),
    "figS14": (),
}
"""Of each figure what a person is told: name, key among the facts, unit."""


def _beside(context: click.Context, _: click.Parameter, out: Path) -> Path:
    context.meta[BESIDE] = _BESIDE
    return out


def _written(name: str) -> Callable[[Command], Command]:
    """Give the command of a figure ``console``, ``out`` and ``with_picture``."""
    out = click.option(
        "--out",
        "-o",
        type=config.FILE,
        default=f"{name}.png",
        show_default=True,
        callback=_beside,
        help="Picture to write, .png or .svg; the numbers go beside it as .csv and .json.",
    )
    picture = click.option(
        "--picture/--no-picture",
        "with_picture",
        default=True,
        help="Draw, or write the numbers only, which needs no matplotlib.  [default: picture]",
    )
    return lambda command: out(picture(with_console(command)))


_SEED = click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="What the map is drawn from; by default the figure's own."
)


@click.command("fig2")
@_SEED
@_written("fig2")
def fig2(console: Console, out: Path, with_picture: bool, seed: int | None) -> None:
    """Draw islands beside the main channel, before, during and after sub-threshold pulses (synthetic maps)."""
    _write(console, "fig2", out, with_picture, seed)


@click.command("fig3")
@_written("fig3")
def fig3(console: Console, out: Path, with_picture: bool) -> None:
    """Draw a wave past a trapped charge, published and computed, and the current steps that follow.

    Takes ten seconds or so.
    """
    _write(console, "fig3", out, with_picture)


@click.command("fig4")
@_SEED
@_written("fig4")
def fig4(console: Console, out: Path, with_picture: bool, seed: int | None) -> None:
    """Draw the phase field of a channel under sub-threshold pulses (synthetic map, published schedule)."""
    _write(console, "fig4", out, with_picture, seed)


@click.command("figS14")
@_written("figS14")
def fig_s14(console: Console, out: Path, with_picture: bool) -> None:
    """Draw published densities of dwell times against exponential laws. That it is the paper's S14 was not checked."""
    _write(console, "figS14", out, with_picture)


def _write(console: Console, name: str, out: Path, with_picture: bool, seed: int | None = None) -> None:
    from memprog.jobs.figures import write_figure

    console.show(write_figure(name, out, picture=with_picture, seed=seed), _lines)


def _lines(fields: Fields) -> list[str]:
    """Name the files, and tell a few of the facts."""
    found = fields["facts"]
    told = [(what, number(found[key], unit)) for what, key, unit in _TOLD[fields["figure"]]]
    return facts(
        [
            ("picture", fields["paths"]["picture"] or "none"),
            ("numbers", fields["paths"]["numbers"]),
            ("facts", fields["paths"]["facts"]),
            *told,
            *_dwell_times(found.get("measured", {})),
        ]
    )


def _dwell_times(columns: Fields) -> list[tuple[str, str]]:
    """Fitted dwell times beside the authors' constants."""
    return [
        (
            name.removeprefix("measured_"),
            f"{number(1e3 * one['smoothed_tau_s'], 'ms')}, authors {number(1e3 * one['authors_tau_s'], 'ms')}",
        )
        for name, one in columns.items()
    ]
