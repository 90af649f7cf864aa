"""Fig. 1 of Rao 2023: one device on 2,048 levels before and after denoising, and a whole array of 64 levels.

The device is simulated: 2,048 twins of one, each on a level of its own (see ``memprog.jobs.fig1``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memprog.chip import FloatArray, Mask
from memprog.report.figures.columns import padded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE_INCHES = (13.0, 8.0)
SEED = 1
"""What the two chips are drawn from, unless another is asked for."""
SWEEP_V = np.linspace(0.0, 0.2, 21)
"""Voltages of a sweep, rising, as the paper reads a level."""
BLOCK, BLOCKS = 32, 8
"""Cells along a block, and blocks along the array."""
WINDOW_USIEMENS = 1.0
"""Every reading of the paper's device is within this of its target (as remembered, not checked)."""
SHOWN = 12
"""Neighbouring levels in the middle of the range that are drawn large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fig1:
    """What Fig. 1 shows.

    Attributes:
        target_usiemens: (n,) of the levels, rising.
        before_a, after_a: (21, n) currents at SWEEP_V, programmed without denoising and denoised after that.
        array_target_usiemens, array_usiemens: (rows, columns) wanted and read; NaN where a cell could not be read.
        array_window_usiemens: accepted error of the array.
        array_done: (rows, columns) what the loop called done.
        array_profile, device_profile: names of the profiles.
    """

    target_usiemens: FloatArray
    before_a: FloatArray
    after_a: FloatArray
    array_target_usiemens: FloatArray
    array_usiemens: FloatArray
    array_window_usiemens: float
    array_done: Mask
    array_profile: str
    device_profile: str

    def errors_usiemens(self, current_a: FloatArray) -> FloatArray:
        """Conductance less target at every voltage but 0, (20, n)."""
        return np.asarray(current_a[1:] / SWEEP_V[1:, None] * 1e6 - self.target_usiemens)

    @property
    def array_errors_usiemens(self) -> FloatArray:
        """Readback less target (rows, columns), NaN where there is no reading."""
        return self.array_usiemens - self.array_target_usiemens


def columns(shown: Fig1) -> dict[str, FloatArray]:
    """Give what is drawn as columns of one length, filled up with NaN: sweeps level by level, voltages rising."""
    before, after = shown.errors_usiemens(shown.before_a), shown.errors_usiemens(shown.after_a)
    rows, widths = np.indices(shown.array_usiemens.shape)
    return padded(
        {
            "sweep_target_usiemens": np.repeat(shown.target_usiemens, len(SWEEP_V)),
            "sweep_bias_v": np.tile(SWEEP_V, len(shown.target_usiemens)),
            "sweep_before_a": shown.before_a.T.ravel(),
            "sweep_after_a": shown.after_a.T.ravel(),
            "level_target_usiemens": shown.target_usiemens,
            "level_largest_error_before_usiemens": np.abs(before).max(axis=0),
            "level_largest_error_after_usiemens": np.abs(after).max(axis=0),
            "array_row": rows.ravel().astype(np.float64),
            "array_column": widths.ravel().astype(np.float64),
            "array_target_usiemens": shown.array_target_usiemens.ravel(),
            "array_readback_usiemens": shown.array_usiemens.ravel(),
        }
    )


def facts(shown: Fig1) -> dict[str, float | str]:
    """Say in numbers how near the levels are, before and after, and how many cells of the array are in the window."""
    found: dict[str, float | str] = {
        "source": "Rao et al., Nature 615, 823 (2023), Fig. 1, doi 10.1038/s41586-023-05759-5, as remembered",
        "device": f"{shown.device_profile}, one device: as many twins as levels, each on its own, the same in silicon",
        "array": f"{shown.array_profile}, blocks of {BLOCK} x {BLOCK} cells, one level each; a few passes only",
        "levels": len(shown.target_usiemens),
        "window_usiemens": WINDOW_USIEMENS,
    }
    for name, current_a in (("before", shown.before_a), ("after", shown.after_a)):
        error = shown.errors_usiemens(current_a)
        every = (np.abs(error) <= WINDOW_USIEMENS).all(axis=0)
        found[f"readings_in_window_{name}"] = float((np.abs(error) <= WINDOW_USIEMENS).mean())
        found[f"levels_always_in_window_{name}"] = float(every.mean())
        mean = np.abs(error.mean(axis=0))
        found[f"levels_on_average_in_window_{name}"] = float((mean <= WINDOW_USIEMENS).mean())
        found[f"error_rms_usiemens_{name}"] = float(np.sqrt(np.nanmean(error**2)))
        found[f"fluctuation_median_usiemens_{name}"] = float(np.median(error.std(axis=0)))
    error = shown.array_errors_usiemens
    found["array_levels"] = len(np.unique(shown.array_target_usiemens))
    found["array_window_usiemens"] = shown.array_window_usiemens
    found["array_in_window"] = float((np.abs(error) <= shown.array_window_usiemens).mean())
    found["array_done"] = float(shown.array_done.mean())
    found["array_error_rms_of_done_usiemens"] = float(np.sqrt(np.nanmean(error[shown.array_done] ** 2)))
    return found


def draw(figure: Figure, shown: Fig1) -> None:
    """Draw sweeps above; errors of the levels and the array below."""
    figure.set_layout_engine("constrained")
    (whole, before, after), (errors, array, spread) = figure.subplots(2, 3)
    _draw_all(whole, shown)
    _draw_some(before, shown, shown.before_a, "b  Some levels before denoising")
    _draw_some(after, shown, shown.after_a, "c  The same after denoising")
    _draw_errors(errors, shown)
    image = array.imshow(shown.array_usiemens, cmap="viridis", interpolation="nearest", vmin=0.0)
    array.set(xlabel="column", ylabel="row")
    array.set_title("e  Array, 64 blocks, as read", loc="left")
    figure.colorbar(image, ax=array, label="conductance (uS)")
    _draw_array_errors(spread, shown)


def _draw_all(axes: Axes, shown: Fig1) -> None:
    """Every sweep after denoising, coloured by its level."""
    from matplotlib.collections import LineCollection

    lines = np.stack(np.broadcast_arrays(SWEEP_V[:, None], 1e6 * shown.after_a), axis=-1).transpose(1, 0, 2)
    drawn = LineCollection(list(lines), linewidths=0.3, cmap="viridis", rasterized=True)
    drawn.set_array(shown.target_usiemens)
    axes.add_collection(drawn)
    axes.set(
        xlabel="bias (V)",
        ylabel="current (uA)",
        xlim=(0.0, 0.2),
        xticks=SWEEP_V[::5],
        ylim=(0.0, 1e6 * float(shown.after_a.max())),
    )
    axes.set_title(f"a  One device (twins), {len(shown.target_usiemens):,d} levels", loc="left")


def _draw_some(axes: Axes, shown: Fig1, current_a: FloatArray, title: str) -> None:
    """Conductance along the sweeps of a few neighbouring levels."""
    middle = len(shown.target_usiemens) // 2
    chosen = slice(middle, middle + SHOWN)
    conductance = current_a[1:, chosen] / SWEEP_V[1:, None] * 1e6
    for k in range(conductance.shape[1]):
        axes.axhspan(
            shown.target_usiemens[middle + k] - WINDOW_USIEMENS,
            shown.target_usiemens[middle + k] + WINDOW_USIEMENS,
            color=f"C{k % 10}",
            alpha=0.12,
            linewidth=0.0,
        )
        axes.plot(SWEEP_V[1:], conductance[:, k], color=f"C{k % 10}", linewidth=1.0)
    targets = shown.target_usiemens[chosen]
    axes.set(xlabel="bias (V)", ylabel="conductance (uS)", ylim=(targets[0] - 6.0, targets[-1] + 6.0))
    axes.set_title(title, loc="left")


def _draw_errors(axes: Axes, shown: Fig1) -> None:
    """Share of the levels whose largest error of a sweep is below a number."""
    share = np.arange(1, len(shown.target_usiemens) + 1) / len(shown.target_usiemens)
    for name, current_a, colour in (("before", shown.before_a, "#ee6677"), ("after", shown.after_a, "#4477aa")):
        largest = np.sort(np.abs(shown.errors_usiemens(current_a)).max(axis=0))
        axes.plot(largest, 100.0 * share, color=colour, label=f"{name} denoising")
    axes.axvline(WINDOW_USIEMENS, color="0.5", linewidth=0.8, linestyle="--")
    axes.set(xlabel="largest error of a sweep (uS)", ylabel="levels (%)", xscale="log", xlim=(0.05, 200.0))
    axes.set_title("d  Errors of the levels", loc="left")
    axes.legend(frameon=False, loc="lower right")


def _draw_array_errors(axes: Axes, shown: Fig1) -> None:
    """Histogram of the array's errors, within two windows."""
    window = shown.array_window_usiemens
    error = shown.array_errors_usiemens
    axes.hist(error[np.isfinite(error)], bins=np.linspace(-2.5 * window, 2.5 * window, 101).tolist(), color="#4477aa")
    for edge in (-window, window):
        axes.axvline(edge, color="0.5", linewidth=0.8, linestyle="--")
    inside, beyond = (float((np.abs(error) <= share * window).mean()) for share in (1.0, 2.5))
    note = f"{100.0 * (1.0 - beyond):.1f} % are farther off,\nor unread"
    axes.text(0.03, 0.97, note, transform=axes.transAxes, va="top", fontsize=8, color="0.3")
    axes.set(xlabel="error (uS)", ylabel="cells", yscale="log", ylim=(0.7, 4e4))
    axes.set_title(f"f  Errors of the array, {100.0 * inside:.1f} % in the window", loc="left")
