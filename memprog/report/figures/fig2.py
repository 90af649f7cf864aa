"""Fig. 2 of Rao 2023: a complete channel and incomplete ones beside it, before, during and after denoising.

The paper shows conductive-AFM maps; these are synthetic ones, and time is counted in steps of the phase field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memprog.chip import FloatArray
from memprog.physics.channels import COMPLETE, Census, Islands, census, maps_with_islands, segment
from memprog.physics.denoise_table import COUNTED_SHAPE
from memprog.physics.phase_field import PUBLISHED_SCHEDULE, Stage, moments
from memprog.report.figures.columns import padded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE_INCHES = (13.0, 6.5)
SEED = 2
"""What the map is drawn from, unless another is asked for."""
FRAMES = ("before", "in_pulse_1", "after_pulse_1", "in_pulse_2", "after_pulse_2")
_TITLES = ("before", "end of pulse 1", "after pulse 1", "end of pulse 2", "after pulse 2")
_FRAME_STEPS = (60, 70, 80, 90, 100)
_RECORD_STEPS = 2
_PULSES = ((60, 70), (80, 90))
"""Steps at which the published schedule pulses."""
_ISLAND_ROWS = (10.0, 25.0, 55.0, 40.0)
_ISLAND_COLUMNS = (29.0, 48.0, 42.0, 10.0)
_ISLAND_DIAMETERS = (7.0, 8.5, 9.5, 8.0)
_ISLAND_ORDERS = (0.9, 0.9, 0.9, 0.9)
"""Where islands of which size are put, cells (assumption: chosen so that some survive relaxing and some a pulse)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fig2:
    """What Fig. 2 shows, computed from a synthetic map with several islands.

    Attributes:
        maps: (5, rows, columns) order parameters at FRAMES.
        main: (5, rows, columns) cells of the main channel.
        step: (n,) published time steps since the map was drawn.
        measured: channels at those steps, each field (n,).
    """

    maps: FloatArray
    main: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    step: FloatArray
    measured: Census


def fig2(seed: int = SEED) -> Fig2:
    """Draw a map with several islands from the seed, and carry it through the published schedule."""
    places = (_ISLAND_ROWS, _ISLAND_COLUMNS, _ISLAND_DIAMETERS, _ISLAND_DIAMETERS, _ISLAND_ORDERS)
    row, column, height, width, order = (np.array([place]) for place in places)
    islands = Islands(row=row, column=column, height=height, width=width, order=order)
    start = maps_with_islands(COUNTED_SHAPE, islands, np.random.default_rng(seed))
    short = [
        Stage(steps=_RECORD_STEPS, bias_ev=stage.bias_ev)
        for stage in PUBLISHED_SCHEDULE
        for _ in range(stage.steps // _RECORD_STEPS)
    ]
    film = moments(start, short)[:, 0]
    frames = film[[step // _RECORD_STEPS for step in _FRAME_STEPS]]
    return Fig2(
        maps=frames,
        main=segment(frames).main_mask(),
        step=_RECORD_STEPS * np.arange(len(film), dtype=np.float64),
        measured=census(film),
    )


def columns(shown: Fig2) -> dict[str, FloatArray]:
    """Give everything that is drawn as columns of one length, filled up with NaN."""
    measured = shown.measured
    rows, widths = np.indices(shown.maps.shape[1:])
    found: dict[str, FloatArray] = {
        "step": shown.step,
        "main_area_cells": measured.main_area,
        "main_conduction": measured.conduction,
        "main_width_cells": measured.main_width,
        "islands": measured.islands.astype(np.float64),
        "island_area_cells": measured.island_area,
        "map_row_cells": rows.ravel().astype(np.float64),
        "map_column_cells": widths.ravel().astype(np.float64),
    }
    for name, phi in zip(FRAMES, shown.maps, strict=True):
        found[f"map_phi_{name}"] = phi.ravel()
    return padded(found)


def facts(shown: Fig2) -> dict[str, float | str]:
    """Say in numbers what the figure shows; costs are relative to the map before the first pulse."""
    measured, before = shown.measured, _FRAME_STEPS[0] // _RECORD_STEPS
    found: dict[str, float | str] = {"map": "synthetic; the measured ones are not available"}
    for name, step in zip(FRAMES, _FRAME_STEPS, strict=True):
        at = step // _RECORD_STEPS
        found[f"islands_{name}"] = float(measured.islands[at])
        found[f"island_area_cells_{name}"] = float(measured.island_area[at])
        found[f"main_area_cells_{name}"] = float(measured.main_area[at])
        found[f"main_conduction_kept_{name}"] = float(measured.conduction[at] / measured.conduction[before])
    return found


def draw(figure: Figure, shown: Fig2) -> None:
    """Draw the maps above; islands and main channel over time below."""
    figure.set_layout_engine("constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[1.15, 1.0])
    above, below = grid[0].subgridspec(1, len(FRAMES)), grid[1].subgridspec(1, 2)
    _draw_maps(figure, [figure.add_subplot(above[at]) for at in range(len(FRAMES))], shown)
    measured = shown.measured
    areas, kept = figure.add_subplot(below[0]), figure.add_subplot(below[1])
    areas.plot(shown.step, measured.main_area, color="C0", label="main channel, complete")
    areas.plot(shown.step, measured.island_area, color="C3", label="islands, incomplete")
    areas.set(xlabel="step", ylabel="area (cells)", title="area above one half", ylim=(0, None))
    before = _FRAME_STEPS[0] // _RECORD_STEPS
    kept.plot(shown.step, measured.conduction / measured.conduction[before], color="C0", label="conduction, main")
    kept.plot(shown.step, measured.island_area / measured.island_area[before], color="C3", label="area, all islands")
    kept.set(xlabel="step", ylabel="relative to before", title="what denoising costs, and what it buys", xlim=(50, 100))
    kept.set_ylim(0.0, 1.3)
    for axis in (areas, kept):
        _mark_pulses(axis)
        axis.legend(frameon=False, loc="upper right")


def _draw_maps(figure: Figure, axes: list[Axes], shown: Fig2) -> None:
    """Maps with the main channel outlined in white and every island in blue."""
    for at, (axis, title) in enumerate(zip(axes, _TITLES, strict=True)):
        phi, main = shown.maps[at], shown.main[at]
        image = axis.imshow(phi, vmin=0, vmax=1, cmap="inferno", interpolation="nearest")
        own = np.where(main | (phi <= COMPLETE), phi, 0.0)
        axis.contour(own, levels=[COMPLETE], colors="white", linewidths=1.0)
        others = np.where(main, 0.0, phi)
        if (others > COMPLETE).any():
            axis.contour(others, levels=[COMPLETE], colors="deepskyblue", linewidths=1.2)
        number = int(shown.measured.islands[_FRAME_STEPS[at] // _RECORD_STEPS])
        axis.set_title(f"{title}\n{number} {'island' if number == 1 else 'islands'}", fontsize="medium")
        axis.set_xlabel("column (cells)")
    axes[0].set_ylabel("row (cells)")
    figure.colorbar(image, ax=axes, label="order parameter", shrink=0.68, pad=0.01)


def _mark_pulses(axis: Axes) -> None:
    """Shade the steps at which the bias is on."""
    for first, last in _PULSES:
        axis.axvspan(first, last, color="0.9", zorder=0)
