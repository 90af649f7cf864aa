"""What the loop believes about each cell: at which voltage it moves, and how far the gate lets it go.

Beliefs start from the profile's protocol section and are corrected by what every pulse did. Steps are reckoned on the
memristor alone, its nominal access transistor taken out, since that is what a pulse moves. Conductances are in uS.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memprog.chip import FloatArray, IntArray, Mask
from memprog.profile import ChipProfile

SET, RESET = 0, 1
"""Polarities, as indices of beliefs that come in pairs."""
PolarityArray = NDArray[np.int64]

SPREAD_V = 0.1
"""Deviation of the first guess of a switching voltage (assumption)."""
DRIFT_V = 0.006
"""How much a cell's switching voltage may wander from pulse to pulse (assumption)."""
CYCLE_SPREAD = 0.45
"""Log-normal spread of one step round its median, in e-folds (assumption)."""
GATE_SPREAD = 0.06
"""Deviation of the first guess of the gate's ceiling, relative (assumption)."""
GATE_RESOLUTION = 0.02
"""How well one coarse SET tells the ceiling, relative (assumption)."""
LIMITED = 2.8
"""A SET meant to go this many times the room below the gate's ceiling tells of the ceiling, not of the voltage."""
OPEN_GATE = 1.3
"""A cell conducts up to this many times more in a pulse than in a read (assumption)."""
BEYOND_SCALE = 1.5
"""A cell that clamps the converter may conduct this many times its full scale, in a pulse (assumption)."""
STRONGEST_V = 0.01
"""A SET this near to its limit is as strong as SETs get, whatever the converter's step."""
ROOM_SHARE = 0.5
"""Share of the widest gate's ceiling below which no spread of transistors explains that a SET does nothing."""
FREE_SHARE = 0.5
"""A step of more than this share of the room tells nothing of the voltage: the ceiling was felt."""


class LastPulse:
    """The switching pulse of each cell whose effect no reading has told yet."""

    def __init__(self, cells: int) -> None:
        self.waiting = np.zeros(cells, dtype=bool)
        self.polarity = np.zeros(cells, dtype=np.int64)
        self.across_v, self.before, self.gate_v, self.denoise_step = (np.zeros(cells) for _ in range(4))

    def note(
        self,
        at: IntArray,
        polarity: PolarityArray,
        across_v: FloatArray,
        before: FloatArray,
        gate_v: FloatArray,
        denoise_step: FloatArray,
    ) -> None:
        """Keep what it takes to learn from the next reading; denoise_step is what was expected to come on top."""
        self.waiting[at] = True
        self.polarity[at], self.across_v[at], self.before[at] = polarity, across_v, before
        self.gate_v[at], self.denoise_step[at] = gate_v, denoise_step


class Response:
    """Beliefs about n cells: median SET and RESET voltage, and gain of the gate; each with its uncertainty."""

    def __init__(self, cells: int, profile: ChipProfile) -> None:
        self._settings, self._limits = profile.protocol, profile.limits
        self._floor = profile.levels.min_usiemens / 10.0
        self._full_scale = profile.readout.full_scale_usiemens
        self._transistor = 1e6 / profile.protocol.access_ohm
        gate_threshold_v = profile.readout.read_gate_v - profile.protocol.gate_overdrive_v
        opened = (profile.limits.gate_max_v - gate_threshold_v) / profile.protocol.gate_overdrive_v
        self._open_transistor = self._transistor * opened
        first_v = np.array([[profile.protocol.set_first_v], [profile.protocol.reset_first_v]])
        self._first_v = first_v
        self.median_v = np.repeat(first_v, cells, axis=1)
        self._variance = np.full((2, cells), SPREAD_V**2)
        self._gate_gain = np.ones(cells)
        self._gate_variance = np.full(cells, GATE_SPREAD**2)

    def memristor(self, conductance: FloatArray) -> FloatArray:
        """Take the nominal access transistor out of a conductance; infinity becomes full scale, NaN stays NaN."""
        seen = np.clip(conductance, self._floor, self._full_scale)
        alone: FloatArray = seen / np.maximum(1.0 - seen / self._transistor, 0.05)
        return alone

    def slope(self, memristor: FloatArray) -> FloatArray:
        """d(conductance)/d(memristor): how much of a memristor step shows."""
        share: FloatArray = (self._transistor / (self._transistor + memristor)) ** 2
        return share

    def voltage(self, at: IntArray, polarity: PolarityArray, memristor: FloatArray, step: FloatArray) -> FloatArray:
        """Volts at the driver for a step of that median size, within the limits of its polarity."""
        across_v = self.median_v[polarity, at] + self._settings.step_slope_v * np.log(step / self._unit(memristor))
        driver_v = across_v * self._share_of_driver(polarity, memristor)
        most_v = np.where(polarity == SET, self._limits.set_max_v, self._limits.reset_max_v)
        return np.clip(driver_v, 0.0, most_v)

    def across(self, driver_v: FloatArray, polarity: PolarityArray, memristor: FloatArray) -> FloatArray:
        """The volts that count: on the memristor in RESET; at the driver in SET, where the gate takes the rest."""
        return driver_v / self._share_of_driver(polarity, memristor)

    def gate_voltage(self, at: IntArray, ceiling: FloatArray) -> FloatArray:
        """Gate volts at which a SET ends at that memristor conductance."""
        settings = self._settings
        wanted = settings.set_gate_threshold_v + ceiling / (settings.set_gate_usiemens_per_v * self._gate_gain[at])
        return np.clip(wanted, 0.0, self._limits.gate_max_v)

    def safer_polarity(self, at: IntArray) -> PolarityArray:
        """The polarity whose switching voltage is further above the ordinary; RESET where both are ordinary."""
        margin_v = self.median_v[:, at] - self._first_v
        return np.where(margin_v[SET] > margin_v[RESET], SET, RESET)

    def is_strong(self, across_v: FloatArray, polarity: PolarityArray) -> Mask:
        """Whether volts that count move cells as different as they are expected to be."""
        return np.asarray(across_v > self._first_v[polarity, 0] + SPREAD_V)

    def learn(self, at: IntArray, last: LastPulse, memristor: FloatArray, resolution: FloatArray) -> None:
        """Correct the beliefs about cells ``at`` by what their last pulse did.

        Args:
            at: n cells, each once.
            last: their last pulses.
            memristor: (n,) what they are now.
            resolution: (n,) smallest step that the reading could tell from none.
        """
        polarity, before, gate_v = last.polarity[at], last.before[at], last.gate_v[at]
        sign = np.where(polarity == SET, 1.0, -1.0)
        change = sign * (memristor - before - last.denoise_step[at])
        room = np.maximum(np.where(polarity == SET, self._ceiling(at, gate_v) - before, before - self._floor), 1.0)
        seen = np.maximum(change, 0.5 * resolution)
        overdrive = (last.across_v[at] - self.median_v[polarity, at]) / self._settings.step_slope_v
        expected = self._unit(before) * np.exp(np.minimum(overdrive, 20.0))
        limited = (polarity == SET) & (expected > LIMITED * room) & (change > 0.3 * room)
        # If the strongest SET does nothing, this gate ends where the cell is already, or the cell is stuck.
        strongest = (polarity == SET) & (last.across_v[at] > self._limits.set_max_v - STRONGEST_V)
        strongest &= self.is_strong(last.across_v[at], polarity)
        limited |= strongest & (change <= resolution)
        self._learn_gate(at[limited], memristor[limited], gate_v[limited])
        # A step that could not be seen, and was not expected to be, teaches nothing.
        telling = (change > resolution) | (expected > resolution)
        free = ~limited & telling & (seen < FREE_SHARE * room)
        implied_v = last.across_v[at] - self._settings.step_slope_v * np.log(seen / self._unit(before))
        self._learn_voltage(at[free], polarity[free], implied_v[free])

    def _learn_voltage(self, at: IntArray, polarity: PolarityArray, implied_v: FloatArray) -> None:
        """One scalar Kalman step a cell."""
        variance = self._variance[polarity, at] + DRIFT_V**2
        gain = variance / (variance + (CYCLE_SPREAD * self._settings.step_slope_v) ** 2)
        self.median_v[polarity, at] += gain * (implied_v - self.median_v[polarity, at])
        self._variance[polarity, at] = (1.0 - gain) * variance

    def _learn_gate(self, at: IntArray, reached: FloatArray, gate_v: FloatArray) -> None:
        """The same for the gate: where a coarse SET ended is its ceiling."""
        settings = self._settings
        nominal = settings.set_gate_usiemens_per_v * np.maximum(gate_v - settings.set_gate_threshold_v, 1e-3)
        gain = self._gate_variance[at] / (self._gate_variance[at] + GATE_RESOLUTION**2)
        self._gate_gain[at] += gain * (np.clip(reached / nominal, 0.5, 2.0) - self._gate_gain[at])
        self._gate_variance[at] *= 1.0 - gain

    def has_room(self, at: IntArray, memristor: FloatArray) -> Mask:
        """Whether a SET with the gate wide open should move a cell far, whatever its transistor is like."""
        return np.asarray(memristor < ROOM_SHARE * self._ceiling(at, np.full(len(at), self._limits.gate_max_v)))

    def _ceiling(self, at: IntArray, gate_v: FloatArray) -> FloatArray:
        """Memristor conductance at which a SET with that gate ends."""
        settings = self._settings
        rise: FloatArray = settings.set_gate_usiemens_per_v * (gate_v - settings.set_gate_threshold_v)
        return rise * self._gate_gain[at]

    def _unit(self, memristor: FloatArray) -> FloatArray:
        """Step at the median voltage."""
        settings = self._settings
        size: FloatArray = (memristor / settings.state_usiemens) ** settings.state_exponent
        return settings.step_usiemens * size

    def _share_of_driver(self, polarity: PolarityArray, memristor: FloatArray) -> FloatArray:
        """Driver volts for one volt that counts: RESET loses a share on the open access transistor."""
        return np.where(polarity == SET, 1.0, 1.0 + memristor / self._open_transistor)


def conducting_usiemens(readback: FloatArray, full_scale_usiemens: float) -> FloatArray:
    """The most a cell may conduct in a pulse, whose gate is opened further than a read's; NaN is beyond full scale."""
    return np.where(np.isfinite(readback), OPEN_GATE * np.maximum(readback, 0.0), BEYOND_SCALE * full_scale_usiemens)


def moved(first: FloatArray, now: FloatArray) -> Mask:
    """Whether a memristor has clearly left the conductance it was found at."""
    far: Mask = np.abs(now - first) > 5.0 + 0.05 * first
    return far
