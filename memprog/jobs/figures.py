"""Figures of the papers as files: the picture, its columns as CSV, its facts as JSON."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import memprog
from memprog.chip import FloatArray
from memprog.errors import InputError
from memprog.files import refuse_unwritable, replace_whole
from memprog.physics.fig3 import fig3 as compute_fig3
from memprog.report.base import headed, plain
from memprog.report.figure import FigureReport
from memprog.report.figures import canvas, fig2, fig3, fig4, fig_s14

NUMBERS, FACTS = ".csv", ".json"
"""Endings of the two files beside a picture."""
_PACKAGES = ("numpy", "scipy")
"""On whose versions the numbers may depend."""


class Drawn(Protocol):
    """What a module of memprog.report.figures has."""

    SIZE_INCHES: tuple[float, float]

    def columns(self, shown: Any, /) -> dict[str, FloatArray]:
        """Give all that is drawn as columns of one length."""

    def facts(self, shown: Any, /) -> Mapping[str, Any]:
        """Say in numbers what is shown."""

    def draw(self, figure: Any, shown: Any, /) -> None:
        """Draw it on a matplotlib figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One figure: what computes it, what shows it, and the seed of its random maps, None where it has none."""

    compute: Callable[..., Any]
    module: Drawn
    seed: int | None = None


FIGURES: Mapping[str, Known] = {
    "fig2": Known(compute=fig2.fig2, module=fig2, seed=fig2.SEED),
    "fig3": Known(compute=compute_fig3, module=fig3),
    "fig4": Known(compute=fig4.fig4, module=fig4, seed=fig4.SEED),
    "figS14": Known(compute=fig_s14.fig_s14, module=fig_s14),
}


def write_figure(name: str, out_path: Path, *, picture: bool = True, seed: int | None = None) -> FigureReport:
    """Compute a figure and write its files, each whole; the same call writes the same bytes.

    Args:
        name: a key of FIGURES.
        out_path: the picture, .png or .svg; its columns go beside it as .csv, its facts as .json.
        picture: whether to draw it; without, matplotlib is not needed and out_path is not written.
        seed: what the maps of fig2 and fig4 are drawn from; by default the figure's own.

    Raises:
        InputError: no such figure or ending, a seed for what has none, a file that cannot be written, no matplotlib.
    """
    known = _known(name, seed)
    if out_path.suffix not in canvas.KINDS:
        raise InputError(f"{out_path}: a picture is written as {' or '.join(canvas.KINDS)}; nothing was written")
    paths = [out_path.with_suffix(NUMBERS), out_path.with_suffix(FACTS), *([out_path] if picture else [])]
    for path in paths:
        refuse_unwritable(path)
    if picture:
        canvas.require()
    sown = known.seed if seed is None else seed
    shown = known.compute() if sown is None else known.compute(sown)
    report = FigureReport(
        figure=name,
        seed=sown,
        paths={"picture": out_path if picture else None, "numbers": paths[0], "facts": paths[1]},
        facts=known.module.facts(shown),
    )
    contents = [_csv(known.module.columns(shown)), _json(report)]
    if picture:
        contents.append(_picture(known.module, shown, out_path.suffix))
    for path, content in zip(paths, contents, strict=True):
        replace_whole(path, content)
    return report


def _known(name: str, seed: int | None) -> Known:
    """Look a figure up, and refuse a seed where nothing is random.

    Raises:
        InputError: there is no such figure, or no seed in it.
    """
    if name not in FIGURES:
        raise InputError(f"there is no figure '{name}', only {', '.join(FIGURES)}")
    if seed is not None and FIGURES[name].seed is None:
        raise InputError(f"{name} has no random maps, so it takes no seed")
    return FIGURES[name]


def _picture(module: Drawn, shown: Any, kind: str) -> bytes:
    return canvas.render(lambda figure: module.draw(figure, shown), kind, module.SIZE_INCHES)


def _csv(columns: Mapping[str, FloatArray]) -> bytes:
    """One line of names, then the values; empty where there is none."""
    rows = np.column_stack(list(columns.values())).tolist()
    lines = [",".join("" if math.isnan(value) else f"{value:.10g}" for value in row) for row in rows]
    return ("\n".join([",".join(columns), *lines]) + "\n").encode()


def _json(report: FigureReport) -> bytes:
    """Facts and what made them; without a clock or a path, so that they can be compared."""
    versions = {"memprog": memprog.__version__, "python": platform.python_version()}
    versions |= {package: importlib.metadata.version(package) for package in _PACKAGES}
    fields = {"figure": report.figure, "seed": report.seed, "facts": plain(report.facts)}
    text = json.dumps(headed(fields | {"provenance": {"versions": versions}}), indent=2, allow_nan=False)
    return (text + "\n").encode()
