"""One array of a simulated chip: what its cells conduct now, what lies between them and a reading, what pulses do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from memprog.chip import Cells, FloatArray, IntArray, Mask, Pulses, ReadSpec
from memprog.profile import ChipProfile
from memprog.simchip import cells as physics
from memprog.simchip.disturb import Neighbours
from memprog.simchip.effects import curved, hastening, wander
from memprog.simchip.readout import Line, line_of
from memprog.simchip.state import Record

if TYPE_CHECKING:
    from memprog.physics.deembed import LineMap

READ_BIAS_V = 0.2
"""Traps keep the kinetics of the read bias while nobody looks: none were measured at 0 V (assumption)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveArray:
    """Silicon, state and random stream of one array, with the profile and the nominal wires of its chip."""

    profile: ChipProfile
    silicon: Record
    state: Record
    rng: np.random.Generator
    lines: LineMap | None
    neighbours: Neighbours | None

    def conductance(self, at: IntArray, gate_v: float, across_v: FloatArray, now_s: float) -> FloatArray:
        """Conductance of cells ``at`` at this moment with volts (n,) across them, traps as they stand."""
        simulation = self.profile.simulation
        physics.age(self.state, at, now_s, READ_BIAS_V, simulation, self.rng)
        transistor = physics.transistor_usiemens(self.silicon, at, gate_v, simulation)
        memristor = physics.memristor_usiemens(self.state, at)
        of_memristor, of_transistor = self._factors(at, gate_v, across_v, now_s)
        memristor = memristor if of_memristor is None else memristor * of_memristor
        transistor = transistor if of_transistor is None else transistor * of_transistor
        quiet = physics.in_series(memristor, transistor)
        steps = physics.trap_steps_in_series(self.state["trap_amplitude"][:, at], quiet, transistor, simulation)
        present: FloatArray = quiet + (steps * self.state["trap_high"][:, at]).sum(axis=0)
        return present

    def line(
        self, cells: Cells, at: IntArray, group: IntArray | None, spec: ReadSpec, seen: FloatArray, now_s: float
    ) -> Line:
        """What stands between the cells, which are ``at`` and conduct ``seen``, and their readings.

        ``group`` (n,) is as in the spec.
        """
        line = line_of(self.silicon, at, self.profile.geometry.columns, spec.read_v)
        memristor, transistor = self._factors(at, spec.gate_v, line.sense_v, now_s)
        line = replace(line, memristor_factor=memristor, transistor_factor=transistor)
        if self.lines is None:
            return line
        from memprog.physics.deembed import LineMap, apparent_usiemens

        factor = float(self.silicon["wire_factor"])
        lines = LineMap(row_ohm=self.lines.row_ohm * factor, column_ohm=self.lines.column_ohm * factor)
        return replace(line, share=apparent_usiemens(seen, cells, group, lines) / seen, seen_usiemens=seen)

    def apply(self, at: IntArray, raises: Mask, pulses: Pulses, now_s: float) -> None:
        """Let pulses act on cells ``at``, and on those that share their gates."""
        profile = self.profile
        physics.relax(self.state, at, now_s, profile.simulation)
        wire_ohm = None
        if self.lines is not None:
            wire_ohm = self.lines.series_ohm.ravel()[at] * float(self.silicon["wire_factor"])
        physics.apply_pulses(
            self.state, self.silicon, at, raises, pulses, profile.simulation, self.rng, profile.effects, wire_ohm
        )
        self.state["wear"][at] += 1
        if self.neighbours is not None:
            self.neighbours.bear(self.state, at, raises, pulses, now_s, self.rng)

    def lie(self, now_s: float, seconds: float, kelvin: float) -> None:
        """Let relaxation go on for seconds at a temperature; the cells' clocks are then at the end of them."""
        law, simulation = self.profile.retention, self.profile.simulation
        hastened = 1.0 if law is None else hastening(law, kelvin, self.profile.readout.temperature_k)
        every = np.arange(len(self.state["wear"]))
        physics.relax(self.state, every, now_s, simulation)
        physics.decay(self.state, every, seconds * hastened, simulation)
        self.state["relaxed_until_s"] = now_s + seconds

    def _factors(
        self, at: IntArray, gate_v: float, across_v: FloatArray, now_s: float
    ) -> tuple[FloatArray | None, FloatArray | None]:
        """What warmth and the curvature of I-V make of memristors and transistors ``at``; None is nothing."""
        profile = self.profile
        memristor: FloatArray | None = None
        transistor: FloatArray | None = None
        if profile.curvature is not None:
            nominal = physics.transistor_usiemens(self.silicon, at, gate_v, profile.simulation)
            channel = physics.memristor_usiemens(self.state, at)
            memristor = curved(profile.curvature, channel, nominal, across_v, profile.readout.read_v)
        if profile.temperature is not None:
            warmth_k = wander(profile.temperature, self.state, now_s, self.rng)
            warm = np.full(len(at), 1.0 + profile.temperature.memristor_per_k * warmth_k)
            memristor = warm if memristor is None else memristor * warm
            transistor = np.full(len(at), 1.0 + profile.temperature.transistor_per_k * warmth_k)
        return memristor, transistor
