"""How much of what pulses moved is lost again, a share a decade of time, and how much that differs.

Every pulse leaves a part of its change that is to relax, the same in each decade of time constants. What cells do over
a run of readings is therefore a straight line over one number that the log alone gives: all earlier changes, each as
far as it is not relaxed yet. Its slope is the share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memprog.analysis.fitting.found import Values
from memprog.analysis.fitting.steps import Access, History
from memprog.analysis.logs import READ
from memprog.chip import FloatArray, IntArray, Mask
from memprog.profile import ChipProfile, Simulation

FEWEST_READINGS = 6
FURTHEST = 30.0
"""Ages of the readings of a run must span so many times."""
OUTLIER = 4.0
BLOCK = 1 << 22
"""Pairs of a reading and an earlier pulse that are looked at together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Runs:
    """Runs of readings (r,): cell, the share each shows, its variance by readings, and how spread of pulses counts.

    A population with a spread a pulse scatters the shares with the variance ``spread**2 * weight + variance``.
    """

    cell: IntArray
    share: FloatArray
    variance: FloatArray
    weight: FloatArray

    def take(self, which: Mask) -> Runs:
        """Keep some of the runs."""
        return Runs(
            cell=self.cell[which],
            share=self.share[which],
            variance=self.variance[which],
            weight=self.weight[which],
        )


def runs_of(history: History, kind: ChipProfile) -> Runs:
    """Find the runs of readings that are long enough, and the share each shows; none where the log has none."""
    index = np.arange(len(history.cell))
    reads = (history.bias == READ) & np.isfinite(history.conductance)
    last_pulse = np.maximum.accumulate(np.where(history.first | (history.bias != READ), index, 0))
    reads &= history.bias[last_pulse] != READ
    at = index[reads]
    _, run, counts = np.unique(last_pulse[at], return_inverse=True, return_counts=True)
    age_s = history.time_s[at] - history.time_s[last_pulse[at]]
    youngest, oldest = np.full(len(counts), np.inf), np.zeros(len(counts))
    np.minimum.at(youngest, run, age_s)
    np.maximum.at(oldest, run, age_s)
    good = (counts >= FEWEST_READINGS) & (oldest >= FURTHEST * youngest) & (youngest > 0)
    kept = good[run]
    _, run = np.unique(run[kept], return_inverse=True)
    return _shares(history, kind, at[kept], run)


def fit_relaxation(runs: Runs) -> Values:
    """The share a decade and its spread from pulse to pulse, by maximum likelihood; nothing from too few runs."""
    seen = np.isfinite(runs.share) & np.isfinite(runs.variance) & (runs.weight > 0)
    if seen.sum() < FEWEST_READINGS:
        return {}
    share, variance, weight = runs.share[seen], runs.variance[seen], runs.weight[seen]
    middle = float(np.median(share))
    spread = 1.4826 * float(np.median(np.abs(share - middle)))
    for _ in range(50):
        total = spread**2 * weight + variance
        trust = ((share - middle) ** 2 < OUTLIER**2 * total) / total
        middle = float(np.sum(trust * share) / np.sum(trust))
        # Newton's scores for the variance: runs that readings hide count for little.
        top = np.sum(trust**2 * weight * ((share - middle) ** 2 - variance))
        spread = float(np.sqrt(max(top / np.sum(trust**2 * weight**2), 0.0)))
    return {"relaxation_fraction_per_decade": max(middle, 0.0), "relaxation_spread_per_decade": spread}


def _shares(history: History, kind: ChipProfile, at: IntArray, run: IntArray) -> Runs:
    """Fit a line to each run of the readings ``at`` (n,); run (n,) numbers them."""
    runs = int(run.max(initial=-1)) + 1
    memristor = Access.of(kind).memristor(history.conductance)
    moved = np.where(history.first | (history.bias == READ), 0.0, memristor - np.roll(memristor, 1))
    moved[~np.isfinite(moved)] = 0.0
    start = np.flatnonzero(history.first)[history.cell[at]]
    reading, pulse = _pairs(start, at)
    left = np.zeros(len(reading))
    for begin in range(0, len(reading), BLOCK):
        some = slice(begin, begin + BLOCK)
        passed_s = history.time_s[at[reading[some]]] - history.time_s[pulse[some]]
        left[some] = moved[pulse[some]] * unrelaxed(passed_s, kind.simulation)
    lever = np.bincount(reading, weights=left, minlength=len(at))
    count = np.maximum(np.bincount(run, minlength=runs), 1)
    off = lever - (np.bincount(run, weights=lever, minlength=runs) / count)[run]
    square = np.maximum(np.bincount(run, weights=off**2, minlength=runs), 1e-12)
    seen = memristor[at]
    seen = seen - (np.bincount(run, weights=seen, minlength=runs) / count)[run]
    share = np.bincount(run, weights=off * seen, minlength=runs) / square
    rest = np.bincount(run, weights=(seen - share[run] * off) ** 2, minlength=runs)
    # What each pulse's own share does to the slope.
    pull = (off / square[run])[reading] * left
    _, both = np.unique(run[reading] * np.int64(len(history.cell)) + pulse, return_inverse=True)
    each = np.bincount(both, weights=pull)
    owner = np.zeros(len(each), dtype=np.int64)
    owner[both] = run[reading]
    cell = np.zeros(runs, dtype=np.int64)
    cell[run] = history.cell[at]
    return Runs(
        cell=cell,
        share=share,
        variance=rest / np.maximum(count - 2, 1) / square,
        weight=np.asarray(np.bincount(owner, weights=each**2, minlength=runs), dtype=np.float64),
    )


def unrelaxed(passed_s: FloatArray, simulation: Simulation) -> FloatArray:
    """Decades of time constants over which a change that old is not lost yet."""
    left = np.zeros(len(passed_s))
    for decade in range(simulation.relaxation_decades):
        left += np.exp(-passed_s / (simulation.relaxation_fastest_s * 10.0**decade))
    return left


def _pairs(start: IntArray, end: IntArray) -> tuple[IntArray, IntArray]:
    """For every number i all events from start[i] to before end[i]: (i of each, event of each)."""
    lengths = end - start
    first = np.repeat(start, lengths)
    number = np.repeat(np.arange(len(start)), lengths)
    return number, first + np.arange(len(number)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
