"""What pulses do to the cells that share the open gate with those that are pulsed."""

from __future__ import annotations

import numpy as np

from memprog.chip import Bias, FloatArray, IntArray, Mask, Pulses
from memprog.profile import ChipProfile, Disturb
from memprog.simchip import cells as physics
from memprog.simchip.state import Record

LEAST_STEP_USIEMENS = 1e-3
"""A cell that a batch could not move by more than this is left alone: nothing would show."""


def disturb(
    state: Record,
    silicon: Record,
    at: IntArray,
    raises: Mask,
    pulses: Pulses,
    now_s: float,
    profile: ChipProfile,
    law: Disturb,
    rng: np.random.Generator,
) -> None:
    """Let all cells under the same open gates as cells ``at`` bear what the pulses leave across them.

    Shots follow each other, so a cell bears those of all other cells of its line. Steps grow with exp(volts / slope),
    so many shots are one of a few slopes more; a pulsed cell's own shot counts among them, one too many. Fields that
    are too weak for the complete channel are taken to be too weak for incomplete ones (assumption).
    """
    left_v, line = _left_across_v(raises, pulses, profile, law), _lines(at, profile)
    lines = int(line.max(initial=0)) + 1
    gate_v, width_ns = np.zeros(lines), np.zeros(lines, dtype=np.int64)
    np.maximum.at(gate_v, line, pulses.gate_v)
    np.maximum.at(width_ns, line, pulses.width_ns)
    for raising in (True, False):
        equal_v = _equal_v(np.where((left_v > 0) == raising, np.abs(left_v), 0.0), line, lines, profile)
        cells = _within_reach(silicon, equal_v, raising, profile)
        if len(cells) == 0:
            continue
        of = _lines(cells, profile)
        one = Pulses(
            bias=np.full(len(cells), int(Bias.SET if raising else Bias.RESET), dtype=np.uint8),
            amplitude_v=equal_v[of],
            gate_v=gate_v[of],
            width_ns=width_ns[of],
        )
        physics.relax(state, cells, now_s, profile.simulation)
        driven = np.full(len(cells), raising)
        physics.apply_pulses(state, silicon, cells, driven, one, profile.simulation, rng, profile.effects)


def _equal_v(volts: FloatArray, line: IntArray, lines: int, profile: ChipProfile) -> FloatArray:
    """The one shot a line (lines,) that does what all its shots do together; 0 V where there is none."""
    slope_v = profile.simulation.switching_slope_v
    felt, peak = volts / slope_v, np.zeros(lines)
    np.maximum.at(peak, line, felt)
    shots = np.bincount(line, weights=np.exp(felt - peak[line]) * (felt > 0), minlength=lines)
    return np.where(shots > 0, slope_v * (peak + np.log(np.maximum(shots, 1.0))), 0.0)


def _within_reach(silicon: Record, equal_v: FloatArray, raises: bool, profile: ChipProfile) -> IntArray:
    """Cells that a shot of that many volts on their line would move by anything that shows, were they at their widest.

    Only then are they worth a pulse.
    """
    simulation = profile.simulation
    widest = simulation.memristor_max_usiemens / simulation.switching_state_usiemens
    largest = simulation.switching_step_usiemens * widest**simulation.switching_state_exponent
    threshold_v = silicon["set_threshold_v" if raises else "reset_threshold_v"]
    needed_v = threshold_v + silicon["slope_v"] * np.log(LEAST_STEP_USIEMENS / largest)
    every = np.arange(len(threshold_v))
    line = _lines(every, profile)
    felt_v = np.where(line < len(equal_v), equal_v[np.minimum(line, len(equal_v) - 1)], 0.0)
    return np.flatnonzero((felt_v > needed_v) & (felt_v > 0))


def _left_across_v(raises: Mask, pulses: Pulses, profile: ChipProfile, law: Disturb) -> FloatArray:
    """Volts (n,) across inhibited cells in each shot, above 0 where they drive the bit line."""
    row = profile.bias_table["INHIBIT"]
    named = {"amplitude": pulses.amplitude_v, "gate": pulses.gate_v}
    ends = (row["bit_line"], row["source_line"])
    bit, source = (named[volts] if isinstance(volts, str) else np.full(len(pulses), volts) for volts in ends)
    return np.asarray(bit - source + np.where(raises, 1.0, -1.0) * law.leftover_share * pulses.amplitude_v)


def _lines(at: IntArray, profile: ChipProfile) -> IntArray:
    """Number of the gate line of each cell."""
    columns = profile.geometry.columns
    of_line = {"row": at // columns, "column": at % columns, "chip": np.zeros_like(at)}
    return np.asarray(of_line[profile.driver.gate_line])
