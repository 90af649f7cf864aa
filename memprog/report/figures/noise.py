"""What the noise of one trace was taken apart into: levels in time, their histogram, dwell times and the spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memprog.analysis.noise import Fluctuator, Noise
from memprog.analysis.noise.colour import welch_spectrum
from memprog.chip import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE_INCHES = (12.0, 8.0)
COLOURS = ("#4477aa", "#ee6677", "#228833")
"""Of the trace, the fit, and the second dwell time; told apart by colour-blind readers (Paul Tol's bright scheme)."""
SHOWN_SWITCHINGS = 40.0
"""Of the largest fluctuator in the stretch of the trace that is drawn: more run into each other."""
_LEAST_SHOWN, _MOST_SHOWN = 500, 5000
"""Samples drawn at least, and where nothing switches."""
_BINS, _FINE = 80, 800
_ALIASES = 50
"""Multiples of the sampling rate from which a spectrum is folded back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisePicture:
    """One plateau of a trace and what was found in it.

    Attributes:
        title: names the trace, the cell and the bias.
        first_s: time of the first sample.
        conductance_usiemens: (n,) the samples.
        noise: what they were taken apart into.
    """

    title: str
    first_s: float
    conductance_usiemens: FloatArray
    noise: Noise


def draw_noise(figure: Figure, shown: NoisePicture) -> None:
    """Draw the trace with its fitted levels above, histogram, dwell times and spectrum below."""
    figure.set_layout_engine("constrained")
    figure.suptitle(shown.title)
    grid = figure.add_gridspec(2, 1)
    below = grid[1].subgridspec(1, 3)
    _draw_trace(figure.add_subplot(grid[0]), shown)
    _draw_histogram(figure.add_subplot(below[0]), shown)
    _draw_dwells(figure.add_subplot(below[1]), shown.noise)
    _draw_spectrum(figure.add_subplot(below[2]), shown)


def dwell_times(noise: Noise, which: int) -> tuple[FloatArray, FloatArray]:
    """Dwells of one fluctuator along its likeliest states, in the lower and the upper level, s.

    The first and the last are left out: the trace begins and ends within them.
    """
    high = noise.high[which] > 0.5
    edges = np.flatnonzero(np.diff(high.astype(np.int8))) + 1
    lengths_s = np.diff(edges) * noise.interval_s
    upper = high[edges[:-1]]
    return lengths_s[~upper], lengths_s[upper]


def spectrum_of(noise: Noise, frequency_hz: FloatArray) -> FloatArray:
    """One-sided density of all fluctuators and white noise, uS^2/Hz, (frequencies,), folded as sampling folds it."""
    rate_hz = 1.0 / noise.interval_s
    total = np.full(len(frequency_hz), 2.0 * noise.noise.value**2 * noise.interval_s)
    folded_hz = frequency_hz[:, None] + rate_hz * np.arange(-_ALIASES, _ALIASES + 1)
    averaged = np.sinc(folded_hz * noise.blur * noise.interval_s) ** 2
    for one in noise.fluctuators:
        tau_s = 1.0 / (1.0 / one.tau_low_s.value + 1.0 / one.tau_high_s.value)
        power = one.step.value**2 * one.occupancy.value * (1.0 - one.occupancy.value)
        total += (4.0 * power * tau_s / (1.0 + (2.0 * np.pi * folded_hz * tau_s) ** 2) * averaged).sum(axis=1)
    return total


def _draw_trace(axes: Axes, shown: NoisePicture) -> None:
    """The beginning of the trace, so far that single switchings can be seen."""
    noise = shown.noise
    stop = min(noise.samples, _MOST_SHOWN)
    if noise.fluctuators:
        wanted = noise.samples * SHOWN_SWITCHINGS / max(noise.fluctuators[0].switchings, 1.0)
        stop = int(min(max(wanted, _LEAST_SHOWN), noise.samples))
    time_s = shown.first_s + noise.interval_s * np.arange(stop)
    axes.plot(time_s, shown.conductance_usiemens[:stop], color=COLOURS[0], linewidth=0.6, label="measured")
    fitted = "levels, drift and hum" if noise.fluctuators else "drift and hum"
    axes.plot(time_s, noise.path[:stop], color=COLOURS[1], linewidth=1.0, label=f"fitted {fitted}")
    part = "" if stop == noise.samples else f", first {stop} of {noise.samples} samples"
    axes.set_title(f"a  Trace{part}", loc="left")
    axes.set(xlabel="time (s)", ylabel="conductance (uS)", xlim=(time_s[0], time_s[-1]))
    axes.legend(frameon=False, fontsize=8, loc="upper right", ncols=2, bbox_to_anchor=(1.0, 1.1))


def _draw_histogram(axes: Axes, shown: NoisePicture) -> None:
    """Samples without drift and hum, and the expected levels under Gaussian noise."""
    noise = shown.noise
    level = shown.conductance_usiemens - noise.slow
    counts, *_ = axes.hist(level, bins=_BINS, density=True, color=COLOURS[0], alpha=0.5, label="measured")
    edges = np.linspace(level.min(), level.max(), _FINE + 1)
    middles = (edges[:-1] + edges[1:]) / 2.0
    share, _ = np.histogram(noise.path - noise.slow, bins=edges)
    bell = np.exp(-0.5 * ((middles[:, None] - middles) / noise.noise.value) ** 2)
    density = bell @ share / share.sum() / (noise.noise.value * np.sqrt(2.0 * np.pi))
    axes.plot(middles, density, color=COLOURS[1], label="fitted")
    for value in noise.levels:
        axes.axvline(value, color="0.4", linewidth=0.6, linestyle=":")
    axes.set_title("b  Without drift and hum", loc="left")
    axes.set(xlabel="conductance (uS)", ylabel="density (1/uS)", ylim=(0.0, 1.3 * max(density.max(), *counts)))
    axes.legend(frameon=False, fontsize=8, loc="upper center")


def _draw_dwells(axes: Axes, noise: Noise) -> None:
    """Share of the largest fluctuator's dwells that last longer, and the fitted exponentials with their intervals."""
    axes.set_title("c  Dwell times of the largest step", loc="left")
    axes.set(xlabel="dwell time t (ms)", ylabel="share longer than t")
    if not noise.fluctuators:
        axes.text(0.5, 0.5, "no fluctuator found", transform=axes.transAxes, ha="center", color="0.3")
        return
    one: Fluctuator = noise.fluctuators[0]
    lower_s, upper_s = dwell_times(noise, 0)
    longest = max(float(dwells.max(initial=noise.interval_s)) for dwells in (lower_s, upper_s))
    time_s = np.linspace(0.0, longest, 200)
    least = 0.5 / max(len(lower_s), len(upper_s), 2)
    cases = (("lower", lower_s, one.tau_low_s, COLOURS[0]), ("upper", upper_s, one.tau_high_s, COLOURS[2]))
    for name, dwells_s, tau_s, colour in cases:
        longer = 1.0 - np.arange(len(dwells_s)) / max(len(dwells_s), 1)
        axes.plot(1e3 * np.sort(dwells_s), longer, "o", color=colour, markersize=3.0, markerfacecolor="white")
        label = f"{name}: {1e3 * tau_s.value:.3g} ms [{1e3 * tau_s.low:.3g}, {1e3 * tau_s.high:.3g}]"
        axes.plot(1e3 * time_s, np.exp(-time_s / tau_s.value), color=colour, label=label)
        if tau_s.low > 0.0:
            ends = np.exp(-time_s / tau_s.low), np.exp(-time_s / tau_s.high)
            axes.fill_between(1e3 * time_s, *ends, color=colour, alpha=0.2, linewidth=0.0)
    axes.set(yscale="log", ylim=(least, 3.0), xlim=(0.0, 1e3 * longest))
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def _draw_spectrum(axes: Axes, shown: NoisePicture) -> None:
    """Welch's estimate of the trace and of what is left over, and the model of both."""
    noise = shown.noise
    whole = welch_spectrum(shown.conductance_usiemens, noise.interval_s)
    axes.loglog(whole.frequency_hz, whole.density, color=COLOURS[0], linewidth=0.8, label="measured")
    left = noise.spectrum
    axes.loglog(left.frequency_hz, left.density, color="0.6", linewidth=0.8, label="left over")
    axes.loglog(
        whole.frequency_hz, spectrum_of(noise, whole.frequency_hz), color=COLOURS[1], label="fluctuators, white noise"
    )
    for line in noise.lines:
        axes.axvline(line.frequency_hz, ymax=0.03, color="0.2", linewidth=1.0)
    axes.set_title("d  Spectrum; ticks at the foot: hum", loc="left")
    axes.set(xlabel="frequency (Hz)", ylabel="density (uS$^2$/Hz)")
    axes.set_ylim(top=axes.get_ylim()[1] * 10.0)  # room for the legend
    axes.legend(frameon=False, fontsize=8, loc="upper right")
