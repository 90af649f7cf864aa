"""Fig. 4 of Rao 2023: the phase field of a channel before, during and after sub-threshold pulses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memprog.chip import FloatArray
from memprog.physics.channels import COMPLETE, PUBLISHED_SHAPE, Census, census, synthetic_maps
from memprog.physics.denoise_table import DENOISE_TABLE, DenoiseTable
from memprog.physics.phase_field import PUBLISHED_BIAS_EV, PUBLISHED_SCHEDULE, EnergyProfile, moments, published_profile
from memprog.report.figures.columns import padded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE_INCHES = (14.0, 7.0)
SEED = 6
"""What the map is drawn from, unless another is asked for."""
MOMENTS = ("drawn", "relaxed", "in_pulse_1", "after_pulse_1", "in_pulse_2", "after_pulse_2")
_TITLES = (
    "as drawn (synthetic)",
    "60 steps, no bias",
    "10 steps at 30 eV",
    "10 steps of rest",
    "10 more at 30 eV",
    "10 steps of rest",
)
VISIBLE = 0.05
"""Order parameter from which a map still shows colour."""
_SHOWN_DIAMETERS = (5.0, 6.0, 7.0, 8.0, 9.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fig4:
    """What Fig. 4 shows, computed from a synthetic map.

    Attributes:
        profile: energy against order parameter.
        maps: (6, rows, columns) order parameters at MOMENTS.
        measured: channels at MOMENTS, each field (6,).
        visible_width: (6,) mean width of the main channel where phi is above VISIBLE, cells.
        section_row: row through the middle of the main channel.
        table: chance to dissolve an island, and cost to the main channel.
    """

    profile: EnergyProfile
    maps: FloatArray
    measured: Census
    visible_width: FloatArray
    section_row: int
    table: DenoiseTable


def fig4(seed: int = SEED) -> Fig4:
    """Draw a map from the seed and carry it through the published schedule."""
    start = synthetic_maps(PUBLISHED_SHAPE, 1, np.random.default_rng(seed))
    maps = moments(start, PUBLISHED_SCHEDULE)[:, 0]
    return Fig4(
        profile=published_profile(),
        maps=maps,
        measured=census(maps),
        visible_width=census(maps, VISIBLE).main_width,
        section_row=round(PUBLISHED_SHAPE.main_centre[0]),
        table=DENOISE_TABLE,
    )


def columns(shown: Fig4) -> dict[str, FloatArray]:
    """Give everything that is drawn as columns of one length, filled up with NaN; units end the names."""
    fine = np.linspace(0.0, 1.0, 201)
    bias = np.arange(0.0, 121.0, 1.0)
    rows, widths = np.indices(shown.maps.shape[1:])
    found: dict[str, FloatArray] = {
        "profile_order": shown.profile.order,
        "profile_energy_ev": shown.profile.energy_ev,
        "curve_order": fine,
        "curve_energy_ev": shown.profile.energy_at(fine),
        "curve_slope_ev": shown.profile.slope_at(fine),
        "bias_ev": bias,
    }
    for diameter in _SHOWN_DIAMETERS:
        found[f"chance_to_dissolve_{diameter:g}_cells"] = shown.table.chance(np.array(diameter), bias)
    found["main_area_cost"] = shown.table.area_cost(bias)
    found["main_conduction_cost"] = shown.table.conduction_cost(bias)
    found["section_column_cells"] = np.arange(shown.maps.shape[2], dtype=np.float64)
    for name, phi in zip(MOMENTS, shown.maps, strict=True):
        found[f"section_phi_{name}"] = phi[shown.section_row]
    found["map_row_cells"], found["map_column_cells"] = rows.ravel().astype(float), widths.ravel().astype(float)
    for name, phi in zip(MOMENTS, shown.maps, strict=True):
        found[f"map_phi_{name}"] = phi.ravel()
    return padded(found)


def facts(shown: Fig4) -> dict[str, float | str]:
    """Say in numbers what the figure shows, and what it does not know."""
    found: dict[str, float | str] = {
        "map": "synthetic; the measured one is not available",
        "bias_to_volts": "unknown; 30 eV is the published sub-threshold pulse",
        "barrier_order": shown.profile.barrier_order,
        "steepest_slope_ev": float(np.abs(shown.profile.slope_at(np.linspace(0.0, 1.0, 1001))).max()),
        "barrier_ev": float(shown.profile.energy_ev.max() - shown.profile.energy_ev[0]),
    }
    for at, name in enumerate(MOMENTS):
        found[f"main_area_cells_{name}"] = float(shown.measured.main_area[at])
        found[f"main_width_cells_{name}"] = float(shown.measured.main_width[at])
        found[f"visible_width_cells_{name}"] = float(shown.visible_width[at])
        found[f"phi_sum_{name}"] = float(shown.measured.total[at])
        found[f"conduction_{name}"] = float(shown.measured.conduction[at])
        found[f"islands_{name}"] = float(shown.measured.islands[at])
        found[f"highest_phi_of_island_{name}"] = island_peak(shown.maps[at])
    bias = np.array(PUBLISHED_BIAS_EV)
    found["published_pulse_area_cost"] = float(shown.table.area_cost(bias))
    found["published_pulse_conduction_cost"] = float(shown.table.conduction_cost(bias))
    found["published_pulse_dissolves_95_percent_up_to_cells"] = shown.table.largest_dissolved
    found["main_channel_broken_at_ev"] = shown.table.broken_ev
    found["main_channel_broken_over_published_pulse"] = shown.table.broken_ev / PUBLISHED_BIAS_EV
    return found


def island_peak(phi: FloatArray) -> float:
    """Highest order parameter in the upper half of where the island was drawn, which the main channel never reaches."""
    shape = PUBLISHED_SHAPE
    row = shape.main_centre[0] - 0.5 * shape.main_height - shape.island_gap - 0.5 * shape.island_height
    return float(phi[: round(row) + 1].max())


def draw(figure: Figure, shown: Fig4) -> None:
    """Draw the maps above; energy, sections, chances and costs below."""
    figure.set_layout_engine("constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[1.0, 1.1])
    above, below = grid[0].subgridspec(1, len(MOMENTS)), grid[1].subgridspec(1, 4)
    _draw_maps(figure, [figure.add_subplot(above[at]) for at in range(len(MOMENTS))], shown)
    _draw_energy(figure.add_subplot(below[0]), shown)
    _draw_sections(figure.add_subplot(below[1]), shown)
    _draw_chances(figure.add_subplot(below[2]), shown)
    _draw_costs(figure.add_subplot(below[3]), shown)


def _draw_maps(figure: Figure, axes: list[Axes], shown: Fig4) -> None:
    """Six maps with the outline of what is complete."""
    for at, (axis, title) in enumerate(zip(axes, _TITLES, strict=True)):
        image = axis.imshow(shown.maps[at], vmin=0, vmax=1, cmap="inferno", interpolation="nearest")
        axis.contour(shown.maps[at], levels=[COMPLETE], colors="white", linewidths=0.8)
        axis.axhline(shown.section_row, color="white", linewidth=0.5, linestyle=":")
        numbers = f"width {shown.measured.main_width[at]:.1f}, area {shown.measured.main_area[at]:.0f}"
        axis.set_title(f"{title}\n{numbers}", fontsize="medium")
        axis.set_xlabel("column (cells)")
    axes[0].set_ylabel("row (cells)")
    figure.colorbar(image, ax=axes, label="order parameter", shrink=0.63, pad=0.01)


def _draw_energy(axis: Axes, shown: Fig4) -> None:
    """Draw the points of the profile and their spline, and the slope that a bias works against."""
    fine, profile = np.linspace(0.0, 1.0, 201), shown.profile
    axis.plot(fine, profile.energy_at(fine) - profile.energy_ev[0], color="C0")
    axis.plot(profile.order, profile.energy_ev - profile.energy_ev[0], "o", color="C0", markersize=4)
    axis.set(xlabel="order parameter", title="energy profile, DFT and spline")
    axis.set_ylabel("energy above oxide (eV)", color="C0")
    slope = axis.twinx()
    slope.plot(fine, profile.slope_at(fine), color="C3", linewidth=1.0)
    slope.axhline(0.0, color="C3", linewidth=0.5, linestyle=":")
    slope.set_ylabel("slope (eV)", color="C3")


def _draw_sections(axis: Axes, shown: Fig4) -> None:
    """Draw phi along the dotted line of the maps, at rest only."""
    for at, label, color in (
        (0, "drawn", "0.6"),
        (1, "relaxed", "C0"),
        (3, "after pulse 1", "C1"),
        (5, "after pulse 2", "C3"),
    ):
        axis.plot(shown.maps[at, shown.section_row], color=color, label=label)
    axis.axhline(COMPLETE, color="0.5", linewidth=0.5, linestyle=":")
    axis.set(xlabel="column (cells)", ylabel="order parameter", title="across the main channel", ylim=(0, 1.32))
    axis.legend(frameon=False, ncols=2, loc="upper center")


def _draw_chances(axis: Axes, shown: Fig4) -> None:
    """Draw the chance that one pulse dissolves an island, by size."""
    bias = np.arange(0.0, 121.0, 0.5)
    for k, diameter in enumerate(_SHOWN_DIAMETERS):
        axis.plot(bias, shown.table.chance(np.array(diameter), bias), color=f"C{k}", label=f"{diameter:g} cells")
    _mark_biases(axis, shown)
    axis.set(xlabel="bias of one pulse (eV)", ylabel="chance to dissolve", title="islands, by diameter")
    axis.legend(loc="lower right", fontsize="small", framealpha=1.0, edgecolor="none")


def _draw_costs(axis: Axes, shown: Fig4) -> None:
    """Draw what one pulse takes from the main channel."""
    bias = np.arange(0.0, 121.0, 0.5)
    axis.plot(bias, 100.0 * shown.table.area_cost(bias), label="area")
    axis.plot(bias, 100.0 * shown.table.conduction_cost(bias), label="conduction")
    _mark_biases(axis, shown)
    axis.set(xlabel="bias of one pulse (eV)", ylabel="lost (%)", title="main channel, cost")
    axis.legend(loc="upper left", framealpha=1.0, edgecolor="none")


def _mark_biases(axis: Axes, shown: Fig4) -> None:
    """Mark the published pulse, and the one that breaks the main channel."""
    axis.axvline(PUBLISHED_BIAS_EV, color="0.5", linewidth=0.8, linestyle="--")
    axis.axvline(shown.table.broken_ev, color="0.5", linewidth=0.8, linestyle=":")
