"""Fig. 3 of Rao 2023: a wave past a trapped charge, published and ours, and the current steps that follow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from memprog.chip import FloatArray
from memprog.physics.fig3 import Curve, Fig3, SizeSweep
from memprog.physics.transport import QUANTUM_USIEMENS, REACH, Channel, narrowest_open_nm
from memprog.physics.trap_potential import COULOMB_EV_NM, PERMITTIVITY
from memprog.physics.trap_step import MEASURED_RELATIVE, MEASURED_USIEMENS, OF_ONE_QUANTUM, StepMap
from memprog.report.figures.columns import padded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE_INCHES = (13.0, 7.6)
COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#66ccee", "#bbbbbb")
"""Told apart by colour-blind readers, too (Paul Tol's bright scheme)."""
SHOWN_NM = 3.0
"""Channel whose steps are drawn against distance: the published boundary's."""
SHOWN_DEBYES = 2
"""Every so many Debye lengths of the map are drawn."""
LEAST_PERCENT = 1e-3
"""Lower end of the axis of steps."""
NOTE = {"ha": "right", "va": "top", "fontsize": 8, "color": "0.3"}
"""How notes in a panel are set."""
READINGS = {"relative": MEASURED_RELATIVE, "one_quantum": OF_ONE_QUANTUM}
"""What a measured step is a share of: all the cell's current, or what one open mode can carry."""


def draw(figure: Figure, fig3: Fig3) -> None:
    """Draw six panels: waves above, steps below."""
    figure.set_layout_engine("constrained")
    (island, boundary, corrected), (distance, size, answer) = figure.subplots(2, 3)
    _draw_waves(island, fig3, "island", "a  Island, channel 1 nm")
    _draw_waves(boundary, fig3, "boundary", "b  Boundary, channel 3 nm, as published")
    _draw_slip(corrected, fig3)
    _draw_distance(distance, fig3)
    _draw_size(size, fig3)
    _draw_answer(answer, fig3.steps)


def columns(fig3: Fig3) -> dict[str, FloatArray]:
    """Name every column behind the panels, units in the names; shorter ones are filled with NaN.

    |psi|^2 and relative steps are numbers without a unit.
    """
    table: dict[str, FloatArray] = {"z_nm": fig3.z_nm}
    for curve in fig3.curves:
        name = f"{curve.figure}_{_plain(curve.label)}"
        table[f"{name}_published"] = curve.published
        table[f"{name}_computed"] = curve.computed
        if curve.slip:
            table[f"{name}_corrected"] = curve.corrected
    table["distance_nm"] = fig3.steps.distance_nm
    table["sweep_size_nm"] = fig3.sweep.size_nm
    table["debye_nm"] = fig3.steps.debye_nm
    for kind, steps, sweep in _kinds(fig3):
        for row, size in enumerate(steps.size_nm.tolist()):
            for column, debye in enumerate(steps.debye_nm.tolist()):
                table[f"step_{kind}_size_{size:g}_nm_debye_{debye:.2f}_nm"] = steps.step[row, column]
        for row, outside in enumerate(sweep.distance_nm.tolist()):
            table[f"step_{kind}_swept_size_at_{outside:g}_nm"] = sweep.step[row]
        for reading, wanted in READINGS.items():
            found = steps.distances_with(wanted)
            for row, size in enumerate(steps.size_nm.tolist()):
                name = f"measured_{reading}_{kind}_size_{size:g}_nm"
                table[f"{name}_nearest_nm"] = found.nearest_nm[row]
                table[f"{name}_farthest_nm"] = found.farthest_nm[row]
    return padded(table)


def facts(fig3: Fig3) -> dict[str, Any]:
    """Say in JSON what the figure shows: deviations, settings and answers; None where there is no such distance."""
    channel = Channel(size_nm=SHOWN_NM)
    return {
        "source": "Rao et al., Nature 615, 823 (2023), Fig. 3, doi 10.1038/s41586-023-05759-5",
        "deviation_max": fig3.deviation,
        "deviations": {f"{curve.figure}: {curve.label}": curve.deviation for curve in fig3.curves},
        "slip_max": max(curve.slip for curve in fig3.curves),
        "transmission_published": {f"{curve.figure}: {curve.label}": curve.transmission[0] for curve in fig3.curves},
        "transmission_corrected": {f"{curve.figure}: {curve.label}": curve.transmission[1] for curve in fig3.curves},
        "energy_ev": channel.energy_ev,
        "effective_mass": channel.mass,
        "coulomb_published_ev_nm": COULOMB_EV_NM,
        "coulomb_dielectric_ev_nm": COULOMB_EV_NM / PERMITTIVITY,
        "quantum_usiemens": QUANTUM_USIEMENS,
        "second_mode_opens_at_nm": _second_opens_nm(channel),
        "narrowest_open_if_energy_counts_from_the_well_nm": narrowest_open_nm(channel.energy_ev, channel.mass),
        "measured_relative": list(MEASURED_RELATIVE),
        "measured_usiemens": list(MEASURED_USIEMENS),
        "measured_of_one_quantum": list(OF_ONE_QUANTUM),
        "answers": _answers(fig3),
        "reach": REACH,
    }


def _answers(fig3: Fig3) -> list[dict[str, Any]]:
    """Distances outside the wall that make the measured step, by what is assumed, size and Debye length."""
    rows: list[dict[str, Any]] = []
    for kind, steps, _ in _kinds(fig3):
        for reading, wanted in READINGS.items():
            found = steps.distances_with(wanted)
            rows += [
                {
                    "coulomb": kind,
                    "step_is_share_of": reading,
                    "size_nm": float(size),
                    "debye_nm": float(debye),
                    "nearest_nm": _or_none(float(found.nearest_nm[row, column])),
                    "farthest_nm": _or_none(float(found.farthest_nm[row, column])),
                }
                for row, size in enumerate(steps.size_nm)
                for column, debye in enumerate(steps.debye_nm)
            ]
    return [row for row in rows if row["nearest_nm"] is not None or row["farthest_nm"] is not None]


def _draw_waves(axes: Any, fig3: Fig3, which: str, title: str) -> None:
    """Published points on our lines."""
    curves = [curve for curve in fig3.curves if curve.figure == which]
    for colour, curve in zip(COLOURS, curves, strict=False):
        axes.plot(fig3.z_nm, curve.computed, color=colour, label=_readable(curve))
        axes.plot(fig3.z_nm[::4], curve.published[::4], "o", color=colour, markersize=3.5, markerfacecolor="white")
    worst = max(curve.deviation for curve in curves)
    axes.text(
        0.97,
        0.80,
        f"points: published\nlines: memprog\nlargest difference {worst:.0e}",
        transform=axes.transAxes,
        **NOTE,
    )
    _label_wave(axes, title)


def _draw_slip(axes: Any, fig3: Fig3) -> None:
    """The boundary without the slip, and where it was with it."""
    curves = [curve for curve in fig3.curves if curve.figure == "boundary"]
    for colour, curve in zip(COLOURS, curves, strict=False):
        axes.plot(fig3.z_nm, curve.corrected, color=colour, label=_readable(curve))
        if curve.slip:
            axes.plot(fig3.z_nm, curve.computed, "--", color=colour, linewidth=1.0)
    axes.text(0.97, 0.80, "dashed: as published\n(distance of the other trap)", transform=axes.transAxes, **NOTE)
    _label_wave(axes, "c  Boundary, corrected")


def _draw_distance(axes: Any, fig3: Fig3) -> None:
    """Step against distance, a line for every other Debye length."""
    row = int(np.flatnonzero(fig3.steps.size_nm == SHOWN_NM)[0])
    for colour, column in zip(COLOURS, range(0, len(fig3.steps.debye_nm), SHOWN_DEBYES), strict=False):
        label = f"{fig3.steps.debye_nm[column]:.2g} nm"
        axes.plot(fig3.steps.distance_nm, _percent(fig3.steps.step[row, column]), color=colour, label=label)
        weaker = _percent(fig3.steps_dielectric.step[row, column])
        axes.plot(fig3.steps.distance_nm, weaker, "--", color=colour, linewidth=1.0)
    axes.set_xlabel("distance of the trap outside the wall (nm)")
    axes.set_xlim(0.0, 5.0)
    axes.legend(title="Debye length", frameon=False, fontsize=8, title_fontsize=8, loc="upper right")
    axes.text(4.95, 1.6, f"yellow: measured\ndashed: potential / {PERMITTIVITY:g}", **NOTE)
    _label_step(axes, f"d  Step against distance, channel {SHOWN_NM:g} nm")


def _draw_size(axes: Any, fig3: Fig3) -> None:
    """Step against the size of the channel; lines break where the second mode opens."""
    opens = _second_opens_nm(Channel(size_nm=SHOWN_NM))
    after = int(np.searchsorted(fig3.sweep.size_nm, opens))
    size = np.insert(fig3.sweep.size_nm, after, np.nan)
    for colour, row in zip(COLOURS, range(len(fig3.sweep.distance_nm)), strict=False):
        for sweep, line in ((fig3.sweep, "-"), (fig3.sweep_dielectric, "--")):
            step = np.insert(_percent(sweep.step[row]), after, np.nan)
            label = f"{sweep.distance_nm[row]:g} nm" if line == "-" else None
            axes.plot(size, step, line, color=colour, linewidth=1.5 if label else 1.0, label=label)
    axes.axvline(opens, color="0.6", linewidth=0.8, linestyle=":")
    axes.text(opens - 0.1, 160.0, "1 mode", ha="right", fontsize=8, color="0.4")
    axes.text(opens + 0.1, 160.0, "3", fontsize=8, color="0.4")
    axes.set_xlim(*fig3.sweep.size_nm[[0, -1]])
    axes.set_xlabel("size of the channel (nm)")
    axes.legend(title="distance", frameon=False, fontsize=8, title_fontsize=8, loc="upper left", ncols=3)
    _label_step(axes, f"e  Step against size, Debye length {fig3.sweep.debye_nm:.2f} nm")
    axes.set_ylim(LEAST_PERCENT, 3000.0)


def _draw_answer(axes: Any, steps: StepMap) -> None:
    """Which distances give the measured step, a band for each size."""
    found, wider = (steps.distances_with(wanted) for wanted in READINGS.values())
    for row, (colour, size) in enumerate(zip(COLOURS, steps.size_nm.tolist(), strict=False)):
        axes.fill_between(steps.debye_nm, wider.nearest_nm[row], found.farthest_nm[row], color=colour, alpha=0.3)
        middle = 0.5 * (found.nearest_nm[row] + found.farthest_nm[row])
        axes.plot(steps.debye_nm, middle, color=colour, marker=".", markersize=4, label=f"{size:g} nm")
    axes.set_xlabel("Debye length (nm)")
    axes.set_ylabel("distance of the trap outside the wall (nm)")
    axes.set_xlim(0.0, 5.0)
    axes.set_ylim(0.0, 5.0)
    axes.legend(title="channel", frameon=False, fontsize=8, title_fontsize=8, loc="upper left", ncols=2)
    axes.text(4.95, 0.45, "line: step over all current\nband: to step over one quantum", **NOTE)
    axes.set_title("f  Traps that make the measured step", loc="left", fontsize=10)


def _label_wave(axes: Any, title: str) -> None:
    """Axes of a panel of waves; the wave comes from the left."""
    axes.set_xlabel("z (nm)")
    axes.set_ylabel(r"$|\psi(z)|^2$ (incoming wave: 1)")
    axes.set_xlim(-3.0, 3.0)
    axes.set_ylim(0.0, 5.2)
    axes.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
    axes.set_title(title, loc="left", fontsize=10)


def _label_step(axes: Any, title: str) -> None:
    """Axes of a panel of steps, with the measured ones as a band."""
    axes.axhspan(*(100.0 * share for share in MEASURED_RELATIVE), color="#ccbb44", alpha=0.6, linewidth=0)
    axes.set_yscale("log")
    axes.set_ylim(LEAST_PERCENT, 300.0)
    axes.set_ylabel("step of the current (%)")
    axes.set_title(title, loc="left", fontsize=10)


def _percent(step: FloatArray) -> FloatArray:
    """Steps to draw: in percent, NaN where rounding left no step."""
    return np.where(step > 0.0, 100.0 * step, np.nan)


def _kinds(fig3: Fig3) -> tuple[tuple[str, StepMap, SizeSweep], ...]:
    """Both strengths of the trap's potential."""
    return ("published", fig3.steps, fig3.sweep), ("dielectric", fig3.steps_dielectric, fig3.sweep_dielectric)


def _second_opens_nm(channel: Channel) -> float:
    """Size at which the second mode opens at the channel's energy; its bottom falls as 1 / size^2."""
    return channel.size_nm * math.sqrt(channel.mode_ev[1] / channel.energy_ev)


def _readable(curve: Curve) -> str:
    """Legend of a wave."""
    return curve.label.replace("n = 5*10^18", "5e18 per cm^3").replace("n = 10^19", "1e19 per cm^3")


def _plain(label: str) -> str:
    """Turn a published heading into a name."""
    return "".join(letter if letter.isalnum() or letter == "." else "_" for letter in label.lower()).strip("_")


def _or_none(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if math.isnan(value) else value
