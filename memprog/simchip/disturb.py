"""What pulses do to the cells that share the open gate with those that are pulsed."""

from __future__ import annotations

import numpy as np

from memprog.chip import Bias, FloatArray, IntArray, Mask, Pulses
from memprog.profile import ChipProfile, Disturb
from memprog.simchip import cells as physics
from memprog.simchip.state import Record

LEAST_STEP_USIEMENS = 1e-4
"""Lines on which no cell could move by more than this in a batch are left alone: nothing would show."""
SPREADS = 5.0
"""So many deviations below its median the threshold of the weakest cell is taken to be, in that reckoning."""


def disturb(
    state: Record,
    silicon: Record,
    at: IntArray,
    raises: Mask,
    pulses: Pulses,
    profile: ChipProfile,
    law: Disturb,
    rng: np.random.Generator,
) -> None:
    """Let all cells under the same open gates as cells ``at`` bear what the pulses leave across them.

    Shots follow each other, so a cell bears those of all other cells of its line. Steps grow with exp(volts / slope),
    so many shots are one of a few slopes more; a pulsed cell's own shot counts among them, one too many. Fields that
    are too weak for the complete channel are taken to be too weak for incomplete ones (assumption).
    """
    slope_v = profile.simulation.switching_slope_v
    left_v = _left_across_v(raises, pulses, profile, law)
    line = _lines(at, profile)
    for polarity in (True, False):
        felt_v = np.where((left_v > 0) == polarity, np.abs(left_v), 0.0) / slope_v
        most = int(line.max(initial=0)) + 1
        peak = np.zeros(most)
        np.maximum.at(peak, line, felt_v)
        shots = np.bincount(line, weights=np.exp(felt_v - peak[line]) * (felt_v > 0), minlength=most)
        equal_v = slope_v * (peak + np.log(np.maximum(shots, 1e-300)))
        for number in np.flatnonzero((shots > 0) & (_largest_step(equal_v, polarity, profile) > LEAST_STEP_USIEMENS)):
            cells, mine = _cells_of(int(number), profile), line == number
            one = Pulses(
                bias=np.full(len(cells), int(Bias.SET if polarity else Bias.RESET), dtype=np.uint8),
                amplitude_v=np.full(len(cells), equal_v[number]),
                gate_v=np.full(len(cells), pulses.gate_v[mine].max()),
                width_ns=np.full(len(cells), pulses.width_ns[mine].max()),
            )
            driven = np.full(len(cells), polarity)
            physics.apply_pulses(state, silicon, cells, driven, one, profile.simulation, rng, profile.effects)


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


def _cells_of(line: int, profile: ChipProfile) -> IntArray:
    """All cells of a gate line."""
    every = np.arange(profile.geometry.rows * profile.geometry.columns)
    return np.asarray(every[_lines(every, profile) == line])


def _largest_step(volts: FloatArray, raises: bool, profile: ChipProfile) -> FloatArray:
    """Step that the weakest, largest cell could make; its median, as chance adds a factor of a few."""
    simulation = profile.simulation
    nominal_v = simulation.set_threshold_v if raises else simulation.reset_threshold_v
    weakest_v = nominal_v - SPREADS * simulation.threshold_spread_v
    widest = simulation.memristor_max_usiemens / simulation.switching_state_usiemens
    size = widest**simulation.switching_state_exponent
    exponent = np.minimum((volts - weakest_v) / simulation.switching_slope_v, 20.0)
    return np.asarray(simulation.switching_step_usiemens * size * np.exp(exponent))
