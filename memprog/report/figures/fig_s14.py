"""Dwell times of a two-level fluctuation against bias: the densities published with Rao 2023, and exponential laws.

The columns come from the paper's supplementary data. That the paper's Fig. S14 is the figure that shows them could not
be checked: the supplementary text was not at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memprog.chip import FloatArray
from memprog.physics.dwell_density import (
    AUTHORS_TAU0_S,
    AUTHORS_TAU1_S,
    BIASES_V,
    DwellColumn,
    DwellDensities,
    RisingFit,
    SmoothedFit,
    exponential_density,
    fit_exponential,
    fit_rising,
    fit_smoothed,
    published_densities,
    rising_density,
    smoothed_density,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE_INCHES = (12.0, 8.0)
COLOURS = ("#4477aa", "#228833", "#ee6677")
"""Of the three biases; told apart by colour-blind readers, too (Paul Tol's bright scheme)."""
ANY_BIAS = "0.4"
"""Colour of what does not depend on the bias."""
LEAST = 0.3
"""Lower end of the axis of densities, 1/s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FigS14:
    """Published densities, and a fit to each measured and each simulated column, in their order.

    Attributes:
        densities: what was published.
        plain_s: (6,) dwell times of the measured columns by the exponential law alone.
        smoothed: of the measured columns, by the exponential law under a Gaussian kernel.
        rising: of the simulated columns, by the law they follow.
    """

    densities: DwellDensities
    plain_s: FloatArray
    smoothed: tuple[SmoothedFit, ...]
    rising: tuple[RisingFit, ...]


def fig_s14() -> FigS14:
    """Fit every published column."""
    found = published_densities()
    time_s = found.time_s
    return FigS14(
        densities=found,
        plain_s=np.array([fit_exponential(time_s, column.density) for column in found.measured]),
        smoothed=tuple(fit_smoothed(time_s, column.density) for column in found.measured),
        rising=tuple(fit_rising(time_s, column.density) for column in found.simulated),
    )


def columns(shown: FigS14) -> dict[str, FloatArray]:
    """Give what is drawn, (49,) each: of every column the density, the authors' exponential law and the fitted law."""
    time_s = shown.densities.time_s
    found = {"dwell_time_s": time_s}
    for column, smoothed in zip(shown.densities.measured, shown.smoothed, strict=True):
        found |= _published(column, time_s)
        found[f"{column.name}_smoothed_fit_per_s"] = smoothed_density(time_s, smoothed.tau_s, smoothed.kernel_s)
    for column, rising in zip(shown.densities.simulated, shown.rising, strict=True):
        found |= _published(column, time_s)
        fitted = rising_density(time_s, rising.tau_s, rising.rise_s, rising.total)
        found[f"{column.name}_rising_fit_per_s"] = fitted
    return found


def facts(shown: FigS14) -> dict[str, Any]:
    """Say in numbers what the columns are, and the dwell time of each beside the authors' constant."""
    measured = zip(shown.densities.measured, shown.plain_s.tolist(), shown.smoothed, strict=True)
    simulated = zip(shown.densities.simulated, shown.rising, strict=True)
    return {
        "source": "Rao et al., Nature 615, 823 (2023), supplementary data, doi 10.1038/s41586-023-05759-5",
        "is_figure_s14": "not checked: the supplementary text was not at hand",
        "density": "1/s over linear time, about 1 in all; the measured ones seem to be kernel estimates",
        "measured": {
            column.name: {
                "bias_v": column.bias_v,
                "authors_tau_s": column.authors_tau_s,
                "plain_tau_s": plain_s,
                "smoothed_tau_s": smoothed.tau_s,
                "smoothed_over_authors": smoothed.tau_s / column.authors_tau_s,
                "kernel_s": smoothed.kernel_s,
                "left_rms_per_s": smoothed.rms,
                "left_by_authors_rms_per_s": _left(shown, column),
            }
            for column, plain_s, smoothed in measured
        },
        "simulated": {
            column.name: {
                "authors_tau_s": column.authors_tau_s,
                "rising_tau_s": rising.tau_s,
                "rise_s": rising.rise_s,
                "total": rising.total,
                "left_rms_per_s": rising.rms,
            }
            for column, rising in simulated
        },
    }


def draw(figure: Figure, shown: FigS14) -> None:
    """Draw measured densities above, the simulated ones and the dwell times below."""
    figure.set_layout_engine("constrained")
    (first, second), (simulated, times) = figure.subplots(2, 2)
    _draw_measured(first, shown, 0, "a  State 0, measured")
    _draw_measured(second, shown, 1, "b  State 1, measured")
    _draw_simulated(simulated, shown)
    _draw_times(times, shown)


def _published(column: DwellColumn, time_s: FloatArray) -> dict[str, FloatArray]:
    return {
        f"{column.name}_published_per_s": column.density,
        f"{column.name}_authors_law_per_s": exponential_density(time_s, column.authors_tau_s),
    }


def _left(shown: FigS14, column: DwellColumn) -> float:
    """Root mean square of what the exponential law with the authors' constant leaves of a density, 1/s."""
    law = exponential_density(shown.densities.time_s, column.authors_tau_s)
    return float(np.sqrt(((column.density - law) ** 2).mean()))


def _draw_measured(axes: Axes, shown: FigS14, state: int, title: str) -> None:
    """Points as published, the law with the authors' constants, and the fit under a kernel."""
    time_ms = 1e3 * shown.densities.time_s
    pairs = zip(shown.densities.measured, shown.smoothed, strict=True)
    chosen = [(column, fit) for column, fit in pairs if column.state == state]
    for colour, (column, fit) in zip(COLOURS, chosen, strict=True):
        law = exponential_density(shown.densities.time_s, column.authors_tau_s)
        smoothed = smoothed_density(shown.densities.time_s, fit.tau_s, fit.kernel_s)
        label = f"{column.bias_v:.2f} V: {1e3 * fit.tau_s:.1f} ms ({1e3 * column.authors_tau_s:.3g} ms)"
        axes.plot(time_ms, column.density, "o", color=colour, markersize=3.5, markerfacecolor="white")
        axes.plot(time_ms, law, "--", color=colour, linewidth=1.0)
        axes.plot(time_ms, smoothed, color=colour, label=label)
    note = "points: published\nlines: exponential under a kernel\ndashed: exponential, authors' constant"
    axes.text(0.03, 0.05, note, transform=axes.transAxes, fontsize=8, color="0.3")
    axes.legend(title="fit (authors)", frameon=False, fontsize=8, title_fontsize=8, loc="upper right")
    _label_density(axes, title)


def _draw_simulated(axes: Axes, shown: FigS14) -> None:
    """Points as published, lines the law they follow."""
    time_ms = 1e3 * shown.densities.time_s
    pairs = zip(shown.densities.simulated, shown.rising, strict=True)
    for colour, (column, fit) in zip((ANY_BIAS, *COLOURS), pairs, strict=True):
        law = rising_density(shown.densities.time_s, fit.tau_s, fit.rise_s, fit.total)
        where = "any bias" if np.isnan(column.bias_v) else f"{column.bias_v:.2f} V"
        label = f"state {column.state}, {where}: {1e3 * fit.tau_s:.2f} ms"
        axes.plot(time_ms, law, color=colour, label=label)
        axes.plot(time_ms, column.density, "o", color=colour, markersize=3.5, markerfacecolor="white")
    note = "points: published\nlines: exponential times (1 - exp(-t / rise))"
    axes.text(0.03, 0.05, note, transform=axes.transAxes, fontsize=8, color="0.3")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    _label_density(axes, "c  Simulated by the authors")


def _draw_times(axes: Axes, shown: FigS14) -> None:
    """Draw dwell times against bias: authors' constants, and fits with and without a kernel."""
    bias_v, smoothed_s = np.array(BIASES_V), np.array([fit.tau_s for fit in shown.smoothed])
    for state, (colour, authors_s) in enumerate((("#aa3377", AUTHORS_TAU0_S), ("#4477aa", AUTHORS_TAU1_S))):
        part = slice(3 * state, 3 * state + 3)
        axes.plot(bias_v, 1e3 * np.array(authors_s), "--", color=colour, linewidth=1.0, label=f"state {state}, authors")
        axes.plot(bias_v, 1e3 * smoothed_s[part], "o", color=colour, label=f"state {state}, under a kernel")
        axes.plot(bias_v, 1e3 * shown.plain_s[part], "x", color=colour, label=f"state {state}, exponential alone")
    axes.set(xlabel="bias (V)", ylabel="dwell time (ms)", ylim=(0.0, 22.0), xlim=(-0.14, -0.26), xticks=bias_v)
    axes.legend(frameon=False, fontsize=8, loc="upper right", ncols=2)
    axes.set_title("d  Dwell times of the measured columns", loc="left", fontsize=10)


def _label_density(axes: Axes, title: str) -> None:
    axes.set_yscale("log")
    axes.set(xlabel="dwell time (ms)", ylabel="density (1/s)", xlim=(0.0, 40.0), ylim=(LEAST, 400.0))
    axes.set_title(title, loc="left", fontsize=10)
