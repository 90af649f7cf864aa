"""``memprog load-weights``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprog.cli.console import Console
from memprog.cli.options import new_profile_option, with_console, with_workspace
from memprog.cli.text import Fields, facts, number, shape, share, table

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command("load-weights")
@click.argument("weights", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--only", multiple=True, metavar="PATTERN", help="Map only tensors of such names; repeatable.")
@click.option("--skip", multiple=True, metavar="PATTERN", help="Leave tensors of such names digital; repeatable.")
@new_profile_option
@with_workspace("image")
@with_console
def load_weights(
    console: Console,
    workspace: Workspace,
    weights: Path,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    profile: str | None,
) -> None:
    """Turn WEIGHTS (.safetensors, .npz, .npy) into the image: a target conductance for every cell.

    Tensors of two and more dimensions are mapped, the others stay digital and are kept in the image.
    """
    from memprog.jobs.load import load_weights as load
    from memprog.profile import DEFAULT_PROFILE, load_profile

    kind = load_profile(DEFAULT_PROFILE if profile is None else profile)
    report = load(weights, profile=kind, image_path=workspace.image_path, only=only, skip=skip)
    console.show(report, _lines)


def _lines(fields: Fields) -> list[str]:
    """Say per layer where it went and what rounding cost, and in all how full the chip is."""
    heads = ("layer", "shape", "place", "weight per uS", "error rms", "error max", "clipped")
    used, cells = fields["arrays_used"], fields["cells_used"]
    totals = [
        ("image", f"{fields['image']} ({fields['image_sha256'][:12]})"),
        ("profile", f"{fields['profile']}, {fields['levels']:,d} levels"),
        ("arrays", f"{used} of {fields['arrays_available']} used, {share(fields['fill_fraction'])} full"),
        ("cells", f"{cells:,d}, two a weight"),
        ("digital", ", ".join(fields["digital"]) or "none"),
    ]
    return [*table(heads, [_row(layer) for layer in fields["layers"]]), "", *facts(totals)]


def _row(layer: Fields) -> list[str]:
    low, high = number(layer["scale_min"]), number(layer["scale_max"])
    return [
        layer["name"],
        shape(layer["shape"]),
        _place(layer["tiles"]),
        low if low == high else f"{low} to {high}",
        share(layer["error_rms_relative"]),
        share(layer["error_max_relative"]),
        share(layer["clipped_fraction"]),
    ]


def _place(tiles: Sequence[Fields]) -> str:
    """Name the upper left cell of a single tile, else the arrays the tiles are on."""
    arrays = sorted({tile["array"] for tile in tiles})
    if len(tiles) == 1:
        return f"array {arrays[0]} at {tiles[0]['row']},{tiles[0]['column']}"
    where = f"array {arrays[0]}" if len(arrays) == 1 else f"{len(arrays)} arrays {arrays[0]} to {arrays[-1]}"
    return f"{len(tiles)} tiles, {where}"
