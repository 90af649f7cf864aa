"""What pulses do to the cells that share the open gate with those that are pulsed."""

from __future__ import annotations

import numpy as np

from memprog.chip import Bias, FloatArray, IntArray, Mask, Pulses
from memprog.profile import ChipProfile, Disturb
from memprog.simchip import cells as physics
from memprog.simchip.state import Record

LEAST_STEP_USIEMENS = 1e-3
"""A cell that a batch could not move by more than this is left alone: nothing would show."""


class Neighbours:
    """The cells of one array, as those that bear what is left across them while others of their line are pulsed.

    Shots follow each other, so a cell bears those of all other cells of its line. Steps grow with exp(volts / slope),
    so many shots are one of a few slopes more; a pulsed cell's own shot counts among them, one too many. Fields that
    are too weak for the complete channel are taken to be too weak for incomplete ones (assumption).
    """

    def __init__(self, silicon: Record, profile: ChipProfile, law: Disturb) -> None:
        self._silicon, self._profile, self._law = silicon, profile, law
        self._line = self._lines(np.arange(profile.geometry.rows * profile.geometry.columns))
        # Volts that a cell as wide as cells get needs at least to move: a first sieve, the same for every batch.
        widest = profile.simulation.memristor_max_usiemens
        self._needed_v = [self._needed(slice(None), widest, raises=raises) for raises in (False, True)]

    def bear(
        self, state: Record, at: IntArray, raises: Mask, pulses: Pulses, now_s: float, rng: np.random.Generator
    ) -> None:
        """Let all cells under the same open gates as cells ``at`` bear what the pulses leave across them."""
        profile, line = self._profile, self._line[at]
        left_v = self._left_across_v(raises, pulses)
        gate_v, width_ns = np.zeros(self._line[-1] + 1), np.zeros(self._line[-1] + 1, dtype=np.int64)
        np.maximum.at(gate_v, line, pulses.gate_v)
        np.maximum.at(width_ns, line, pulses.width_ns)
        for raising in (False, True):
            equal_v = self._equal_v(np.where((left_v > 0) == raising, np.abs(left_v), 0.0), line)
            cells = self._within_reach(state, equal_v, raises=raising)
            if len(cells) == 0:
                continue
            of = self._line[cells]
            one = Pulses(
                bias=np.full(len(cells), int(Bias.SET if raising else Bias.RESET), dtype=np.uint8),
                amplitude_v=equal_v[of],
                gate_v=gate_v[of],
                width_ns=width_ns[of],
            )
            physics.relax(state, cells, now_s, profile.simulation)
            driven = np.full(len(cells), raising)
            physics.apply_pulses(state, self._silicon, cells, driven, one, profile.simulation, rng, profile.effects)

    def _lines(self, at: IntArray) -> IntArray:
        """Number of the gate line of each cell."""
        columns = self._profile.geometry.columns
        of_line = {"row": at // columns, "column": at % columns, "chip": np.zeros_like(at)}
        return np.asarray(of_line[self._profile.driver.gate_line])

    def _left_across_v(self, raises: Mask, pulses: Pulses) -> FloatArray:
        """Volts (n,) across inhibited cells in each shot, above 0 where they drive the bit line."""
        row = self._profile.bias_table["INHIBIT"]
        named = {"amplitude": pulses.amplitude_v, "gate": pulses.gate_v}
        ends = (row["bit_line"], row["source_line"])
        bit, source = (named[volts] if isinstance(volts, str) else np.full(len(pulses), volts) for volts in ends)
        leftover = np.where(raises, 1.0, -1.0) * self._law.leftover_share * pulses.amplitude_v
        return np.asarray(bit - source + leftover)

    def _equal_v(self, volts: FloatArray, line: IntArray) -> FloatArray:
        """The one shot a line (lines,) that does what all its shots do together; 0 V where there is none."""
        slope_v, lines = self._profile.simulation.switching_slope_v, self._line[-1] + 1
        felt, peak = volts / slope_v, np.zeros(lines)
        np.maximum.at(peak, line, felt)
        shots = np.bincount(line, weights=np.exp(felt - peak[line]) * (felt > 0), minlength=lines)
        return np.where(shots > 0, slope_v * (peak + np.log(np.maximum(shots, 1.0))), 0.0)

    def _within_reach(self, state: Record, equal_v: FloatArray, *, raises: bool) -> IntArray:
        """Cells that a shot of so many volts on their line (lines,) moves by what shows."""
        felt_v = equal_v[self._line]
        cells = np.flatnonzero((felt_v > self._needed_v[raises]) & (felt_v > 0))
        needed_v = self._needed(cells, state["memristor"][cells], raises=raises)
        return np.asarray(cells[felt_v[cells] > needed_v])

    def _needed(self, at: IntArray | slice, memristor: FloatArray | float, *, raises: bool) -> FloatArray:
        """Volts at which a shot moves cells of those conductances by what shows, in the median."""
        simulation = self._profile.simulation
        size = (memristor / simulation.switching_state_usiemens) ** simulation.switching_state_exponent
        threshold_v = self._silicon["set_threshold_v" if raises else "reset_threshold_v"][at]
        folds = np.log(LEAST_STEP_USIEMENS / (simulation.switching_step_usiemens * size))
        return np.asarray(threshold_v + self._silicon["slope_v"][at] * folds)
