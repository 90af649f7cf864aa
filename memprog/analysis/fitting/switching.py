"""At which voltage cells switch, how steeply, how far by state and width, and how much cells and cycles differ.

The logarithm of a step is linear in voltage, log conductance and log width; every cell has its own two thresholds and
slope, drawn from a common population. Pulses are chosen by the step they should make, never by the one they made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from memprog.analysis.fitting.found import Values
from memprog.analysis.fitting.steps import Steps, step_of
from memprog.chip import FloatArray, IntArray, Mask
from memprog.profile import Simulation

CLEAR = 10.0
"""A step counts that should be so many times what noise alone shows: fluctuators now and then show far more."""
ROOM_SHARE = 1.0
"""One that should use up more of its room than this says little of its size."""
OUTLIER = 4.0
"""Deviations beyond which a step is no cycle-to-cycle scatter: a fluctuator came, went or was completed."""
FEWEST_STEPS = 4
"""A cell with fewer clear steps is not counted."""
WILDEST = 1.5
"""A larger scatter, in e-folds, means that these steps follow another law; nothing is told then (assumption)."""
ROUNDS = 60
"""Of estimation; what is left to move by then is far below the intervals."""
WARM_ROUNDS = 20
_SPREADS_V, _SPREAD_SLOPE = 0.1, 0.2
"""First guesses of how cells differ."""
_KEYS = ("set_threshold_v", "reset_threshold_v", "switching_slope_v")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Population:
    """Cells (c,) and what they are drawn from.

    ``own`` (3, c) are SET threshold, RESET threshold and log slope of each cell, ``middle`` (3,) and ``spread`` (3,)
    their population; ``powers`` (2,) the exponents of state and width, ``scatter`` that of one step, in e-folds.
    ``counted`` (2, c) says which cells had enough clear steps of each polarity.
    """

    own: FloatArray
    middle: FloatArray
    spread: FloatArray
    powers: FloatArray
    scatter: float
    counted: Mask

    def excess(self, steps: Steps) -> FloatArray:
        """Volts beyond the threshold in slopes, (n,)."""
        threshold_v = np.where(steps.raises, self.own[0, steps.cell], self.own[1, steps.cell])
        return np.asarray((steps.across_v - threshold_v) / np.exp(self.own[2, steps.cell]))

    def log_step(self, steps: Steps, simulation: Simulation) -> FloatArray:
        """Logarithm of the median free step of each pulse, (n,)."""
        known = np.log(simulation.switching_step_usiemens)
        return np.asarray(known + self.powers @ _regressors(steps, simulation) + np.minimum(self.excess(steps), 20.0))

    def values(self) -> Values:
        """The numbers of a profile; polarities that were not seen are left out."""
        seen = self.counted.sum(axis=1)
        found = {key: float(self.middle[k]) for k, key in enumerate(_KEYS[:2]) if seen[k] > 1}
        if not found or self.scatter > WILDEST:
            return {}
        found["threshold_spread_v"] = float(self.spread[0])
        found["switching_slope_v"] = float(np.exp(self.middle[2]))
        found["switching_slope_spread"] = float(self.spread[2])
        found["switching_cycle_spread"] = self.scatter
        names = ("switching_state_exponent", "switching_width_exponent")
        return found | dict(zip(names, self.powers.tolist(), strict=True))


def first_population(cells: int, simulation: Simulation) -> Population:
    """What is believed before anything is measured."""
    middle = np.array([simulation.set_threshold_v, simulation.reset_threshold_v, np.log(simulation.switching_slope_v)])
    return Population(
        own=np.repeat(middle[:, None], cells, axis=1),
        middle=middle,
        spread=np.array([_SPREADS_V, _SPREADS_V, _SPREAD_SLOPE]),
        powers=np.array([simulation.switching_state_exponent, simulation.switching_width_exponent]),
        scatter=simulation.switching_cycle_spread,
        counted=np.zeros((2, cells), dtype=bool),
    )


def fit_switching(
    steps: Steps, room: FloatArray, simulation: Simulation, start: Population, *, begun: bool, rounds: int = ROUNDS
) -> Population:
    """Fit cells and population to steps.

    Args:
        steps: n pulses of cells numbered as in ``start``.
        room: (n,) uS that each had at most.
        simulation: units of the step: its size, state and width are definitions and stay.
        start: where to begin.
        begun: whether ``start`` is near enough to choose pulses by; else the first rounds take those that moved.
        rounds: of estimation.
    """
    population = start
    for number in range(rounds):
        if number % 5 == 0:
            chosen = _chosen(steps, room, population, simulation, by_size=not begun and number < 10)
        population = _improved(steps.take(chosen), room[chosen], population, simulation)
    return population


def _regressors(steps: Steps, simulation: Simulation) -> FloatArray:
    """Logarithms of state and width in the model's units, (2, n)."""
    state = np.log(np.maximum(steps.before, 1e-3) / simulation.switching_state_usiemens)
    return np.stack([state, np.log(steps.width_ns / simulation.switching_width_ns)])


def _chosen(steps: Steps, room: FloatArray, population: Population, simulation: Simulation, *, by_size: bool) -> Mask:
    """Pulses (n,) that should make a clear step with room to spare; ``by_size``: that did."""
    if by_size:
        size = steps.change
        return np.asarray((size > CLEAR * steps.noise) & (size < 0.4 * room))
    size = np.exp(population.log_step(steps, simulation))
    return np.asarray((size > CLEAR * steps.noise) & (size < ROOM_SHARE * room))


def _improved(steps: Steps, room: FloatArray, now: Population, simulation: Simulation) -> Population:
    """One step of Gauss and Newton for all cells and both exponents together, then one for how much they differ."""
    expected = now.log_step(steps, simulation)
    shown = np.exp(expected) * np.exp(-np.minimum(np.exp(expected) / room, 5.0))
    seen = np.log(step_of(np.maximum(steps.change, 0.1 * steps.noise), room))
    off, variance = seen - expected, now.scatter**2 + (steps.noise / shown) ** 2
    weight = np.where(off**2 < OUTLIER**2 * variance, 1.0 / variance, 0.0)
    slope_v = np.exp(now.own[2, steps.cell])
    own = np.stack([np.where(steps.raises, -1.0, 0.0) / slope_v, np.where(steps.raises, 0.0, -1.0) / slope_v])
    own = np.concatenate([own, -now.excess(steps)[None]])
    shared = _regressors(steps, simulation)
    cells = now.own.shape[1]
    precision = now.spread**-2.0
    block = _sums(steps.cell, cells, own, own, weight) + np.diag(precision)
    cross = _sums(steps.cell, cells, own, shared, weight)
    pull = _sums(steps.cell, cells, own, off[None], weight)[..., 0] + precision * (now.middle[:, None] - now.own).T
    inverse = np.linalg.inv(block)
    rest = np.einsum("an,bn,n->ab", shared, shared, weight) - np.einsum("cia,cij,cjb->ab", cross, inverse, cross)
    push = np.einsum("an,n,n->a", shared, off, weight) - np.einsum("cia,cij,cj->a", cross, inverse, pull)
    # A width or a state that never changed says nothing of its exponent, which then stays.
    powers = np.linalg.solve(rest + 1e-3 * np.eye(2), push)
    moved = np.einsum("cij,cj->ic", inverse, pull - cross @ powers)
    bounded = np.clip(moved, [[-0.3], [-0.3], [-0.5]], [[0.3], [0.3], [0.5]])
    cell_own = now.own + bounded
    tells = weight > 0
    sides = (tells & steps.raises, tells & ~steps.raises)
    counts = np.stack([np.bincount(steps.cell[side], minlength=cells) for side in sides])
    scatter = _scatter(off, weight, (steps.noise / shown) ** 2, block, precision, now.scatter)
    moved_on = replace(now, powers=np.clip(now.powers + powers, 0.0, 3.0), scatter=scatter)
    return _told(moved_on, cell_own, np.asarray(inverse, dtype=np.float64), counts.astype(np.int64))


def _told(now: Population, own: FloatArray, covariance: FloatArray, counts: IntArray) -> Population:
    """What the population is like, by the cells that were seen; the two thresholds share one spread."""
    counted = counts >= FEWEST_STEPS
    middle, variance, weights = now.middle.copy(), np.zeros(3), np.zeros(3)
    for k, seen in enumerate((counted[0], counted[1], counted.any(axis=0))):
        if seen.sum() < 2:
            continue
        middle[k] = own[k, seen].mean()
        weights[k] = seen.sum() - 1.0
        variance[k] = ((own[k, seen] - middle[k]) ** 2).sum() + covariance[seen, k, k].sum()
    thresholds = variance[:2].sum() / max(weights[:2].sum(), 1.0)
    spread = np.sqrt(np.array([thresholds, thresholds, variance[2] / max(weights[2], 1.0)]))
    spread = np.where(weights.sum() > 0, np.maximum(spread, 1e-3), now.spread)
    return replace(now, own=own, middle=middle, spread=spread, counted=counted)


def _scatter(
    off: FloatArray, weight: FloatArray, measured: FloatArray, block: FloatArray, precision: FloatArray, now: float
) -> float:
    """Scatter from step to step: what is left, less what readings give, for as many numbers as were not used up."""
    kept = weight > 0
    if kept.sum() < 10:
        return now
    # Of three numbers a cell, the share that its steps and not its population decided.
    used = 3.0 * len(block) - float(np.einsum("cii,i->", np.linalg.inv(block), precision))
    share = float(now**2 * weight[kept].mean())
    left = float((weight[kept] * (off[kept] ** 2 - measured[kept])).sum() / weight[kept].sum())
    return float(np.sqrt(max(left * kept.sum() / max(kept.sum() - used * share, 1.0), 1e-4)))


def _sums(cell: IntArray, cells: int, one: FloatArray, other: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted sums of products over the pulses of each cell: (a, n) and (b, n) to (cells, a, b)."""
    found = np.empty((cells, len(one), len(other)))
    for a in range(len(one)):
        for b in range(len(other)):
            found[:, a, b] = np.bincount(cell, weights=one[a] * other[b] * weight, minlength=cells)
    return found
