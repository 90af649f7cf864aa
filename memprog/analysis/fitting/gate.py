"""Where the gate stops a SET: conductance a gate volt, the gate below which there is none, and how cells differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memprog.analysis.fitting.found import Values
from memprog.analysis.fitting.steps import Steps
from memprog.chip import FloatArray, IntArray, Mask
from memprog.profile import Simulation

STOPPED = 5.0
"""A SET that went less than this part of its free way was stopped by the gate, a hundredth of the room short of it."""
FAR = 0.1
"""It must have come from this share below, or it was there before."""
FEWEST_STOPS = 3
"""A cell with fewer is not counted."""
FEWEST_GATES = 3
"""Different gates that it takes to tell threshold from gain."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gates:
    """Gain of each cell (c,), uS a gate volt, NaN where it was not seen, and the gate threshold."""

    gain: FloatArray
    threshold_v: float
    told: bool = False

    def ceiling(self, cell: IntArray, gate_v: FloatArray) -> FloatArray:
        """Memristor conductance at which a SET ends."""
        seen = np.isfinite(self.gain)
        middle = float(np.exp(np.log(self.gain[seen]).mean())) if seen.any() else np.nan
        return np.where(seen, self.gain, middle)[cell] * np.maximum(gate_v - self.threshold_v, 0.0)

    def values(self) -> Values:
        """The numbers of a profile; nothing where too little was seen."""
        seen = np.isfinite(self.gain)
        if not self.told or seen.sum() < 2:
            return {}
        logs = np.log(self.gain[seen])
        return {
            "set_gate_usiemens_per_v": float(np.exp(logs.mean())),
            "set_gate_threshold_v": self.threshold_v,
            "set_gate_spread": float(logs.std(ddof=1)),
        }


def first_gates(cells: int, simulation: Simulation) -> Gates:
    """What is believed before anything is measured."""
    return Gates(
        gain=np.full(cells, simulation.set_gate_usiemens_per_v), threshold_v=simulation.set_gate_threshold_v
    )


def stopped_by_gate(steps: Steps, free: FloatArray) -> Mask:
    """SETs (n,) that the gate ended; ``free`` is how far they would have gone, uS."""
    change = steps.change
    far = (change > FAR * steps.after) & (change > 5.0 * steps.noise)
    return np.asarray(steps.raises & far & (free > STOPPED * change))


def fit_gates(steps: Steps, free: FloatArray, start: Gates) -> Gates:
    """Fit a line through one common threshold to where each cell's SETs ended."""
    at = stopped_by_gate(steps, free)
    cell, gate_v, ended, noise = steps.cell[at], steps.gate_v[at], steps.after[at], steps.noise[at]
    counts = np.bincount(cell, minlength=len(start.gain))
    if not (counts >= FEWEST_STOPS).any() or len(np.unique(gate_v)) < FEWEST_GATES:
        return start
    from scipy.optimize import minimize_scalar

    def gains(threshold_v: float) -> tuple[FloatArray, float]:
        over_v = np.maximum(gate_v - threshold_v, 1e-3)
        # What differs from stop to stop is partly the reading, partly a share of the way.
        weight = 1.0 / (noise**2 + (0.01 * ended) ** 2)
        top = np.bincount(cell, weights=weight * ended * over_v, minlength=len(counts))
        gain = top / np.maximum(np.bincount(cell, weights=weight * over_v**2, minlength=len(counts)), 1e-300)
        off = (ended - gain[cell] * over_v) ** 2 * weight
        # A stop that lies far off was none, or had a fluctuator that came with it.
        return gain, float(np.log1p(off / 9.0).sum())

    most_v = float(gate_v.min()) - 0.01
    found = minimize_scalar(lambda v: gains(v)[1], bounds=(max(most_v - 2.0, 0.0), most_v), method="bounded")
    gain, _ = gains(float(found.x))
    return Gates(
        gain=np.where(counts >= FEWEST_STOPS, gain, np.nan), threshold_v=max(float(found.x), 0.0), told=True
    )
