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
STOP_SPREAD = 0.01
"""How far stops of one cell and gate lie apart by themselves, as a share of where they are (assumption)."""
OPENED_V = 0.2
"""Stops with the gate hardly open say little of the gain."""
OUTLIER = 3.0
NEAR = 2.0
"""Within such a factor a ceiling is known from the start (assumption): a weak SET deep down is no stop."""
AGAIN = 0.1
"""A free SET would do at least this part of what an equal one did before it."""
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
    return Gates(gain=np.full(cells, simulation.set_gate_usiemens_per_v), threshold_v=simulation.set_gate_threshold_v)


def stopped_by_gate(steps: Steps, free: FloatArray, believed: Gates) -> Mask:
    """SETs (n,) that the gate ended, near where it is believed to; ``free`` is how far they would have gone, uS."""
    change = steps.change
    far = (change > FAR * steps.after) & (change > 5.0 * steps.noise)
    least = believed.ceiling(steps.cell, steps.gate_v - OPENED_V) / NEAR
    most = believed.ceiling(steps.cell, steps.gate_v + OPENED_V) * NEAR
    near = (steps.after > least) & (steps.after < most)
    return np.asarray(steps.raises & far & near & (free > STOPPED * change))


def stopped_twice(steps: Steps) -> Mask:
    """SETs (n,) that did next to nothing right after an equal one that did a lot: stopped, whatever is believed."""
    equal = np.append(False, steps.cell[1:] == steps.cell[:-1]) & steps.raises & np.roll(steps.raises, 1)
    for values in (steps.across_v, steps.gate_v, steps.width_ns):
        equal &= values == np.roll(values, 1)
    change, noise = steps.change, steps.noise
    before = np.roll(change, 1)
    small = np.abs(change) < np.maximum(AGAIN * before, noise)
    return np.asarray(equal & small & (before > FAR * steps.after) & (before > 5.0 * noise))


def fit_gates(steps: Steps, at: Mask, start: Gates) -> Gates:
    """Fit a line through one common threshold to where the gate stopped SETs ``at`` (n,) of each cell."""
    cell, gate_v, ended, noise = steps.cell[at], steps.gate_v[at], steps.after[at], steps.noise[at]
    if len(np.unique(gate_v)) < FEWEST_GATES:
        return start
    from scipy.optimize import minimize_scalar

    counts = np.bincount(cell, weights=gate_v > gate_v.min() + OPENED_V, minlength=len(start.gain))
    weight = 1.0 / (noise**2 + (STOP_SPREAD * ended) ** 2)

    def gains(threshold_v: float) -> tuple[FloatArray, float]:
        over_v = gate_v - threshold_v
        gain = _middles(cell, ended / over_v, weight * over_v**2, len(counts))
        for _ in range(3):
            # A stop far off the line was none, or a fluctuator came with it: it counts for ever less.
            trust = weight / (1.0 + (ended - gain[cell] * over_v) ** 2 * weight / OUTLIER**2)
            top = np.bincount(cell, weights=trust * ended * over_v, minlength=len(counts))
            gain = top / np.maximum(np.bincount(cell, weights=trust * over_v**2, minlength=len(counts)), 1e-300)
        off = (ended - gain[cell] * over_v) ** 2 * weight
        return gain, float(np.log1p(off / OUTLIER**2).sum())

    most_v = float(gate_v.min()) - 0.01
    found = minimize_scalar(lambda v: gains(v)[1], bounds=(max(most_v - 2.0, 0.0), most_v), method="bounded")
    gain, _ = gains(float(found.x))
    seen = counts >= FEWEST_STOPS
    if not seen.any():
        return start
    return Gates(gain=np.where(seen, gain, np.nan), threshold_v=float(found.x), told=True)


def _middles(cell: IntArray, values: FloatArray, weight: FloatArray, cells: int) -> FloatArray:
    """Weighted median of the values of each cell, (cells,); 1 where there is none."""
    order = np.lexsort((values, cell))
    cell, values, weight = cell[order], values[order], weight[order]
    total = np.bincount(cell, weights=weight, minlength=cells)
    before = np.cumsum(weight) - (np.cumsum(total) - total)[cell]
    past = np.flatnonzero(before >= 0.5 * total[cell])
    middle = np.ones(cells)
    # The last one written is the first past the middle.
    middle[cell[past[::-1]]] = values[past[::-1]]
    return middle
