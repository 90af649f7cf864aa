"""At which voltage sub-threshold pulses dissolve what makes a cell fluctuate.

A cell that fluctuates is read in runs between sub-threshold pulses that become stronger. The first quiet run
that two loud ones do not follow tells which pulse it was (a later one may have made the cell fluctuate anew); cells
that fluctuate to the end count as what they are, stronger than all of them. Cells that hardly ever switch would fall
quiet by chance and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memprog.analysis.fitting.found import FEWEST_CELLS, Values
from memprog.analysis.fitting.steps import Access, History
from memprog.analysis.logs import READ
from memprog.chip import Bias, FloatArray, IntArray, Mask
from memprog.profile import ChipProfile, Simulation

FEWEST_READINGS = 4
LOUD = 4.0
"""A run fluctuates whose deviation is so many times what the readout alone gives one; less than half of it is quiet."""
BUSY_READINGS = 5
"""A cell must fluctuate in every so many readings before a ramp: else it falls quiet by chance."""
_GRID = 25
_GOES_ON = 0.7
"""Chance that a fluctuator which falls silent by itself is loud for one run more (assumption)."""
_OTHERS = -1.5
"""Log odds, expected, of a ramp that tells of something else (assumption)."""
_DOUBTS = np.array([0.4, 0.5])
"""How well the logarithm of the spread from channel to channel and those log odds are believed (assumption): a few
dozen cells tell neither."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ramps:
    """Ramps of sub-threshold pulses on cells that fluctuated before them, (r,).

    ``across_v`` (r, p) are the volts on the memristor, NaN beyond the last pulse; ``gone`` (r,) says after which pulse
    a cell was quiet, p where it never was.
    """

    cell: IntArray
    across_v: FloatArray
    gone: IntArray

    def take(self, which: Mask) -> Ramps:
        """Keep some of the ramps."""
        return Ramps(cell=self.cell[which], across_v=self.across_v[which], gone=self.gone[which])


def ramps_of(history: History, kind: ChipProfile) -> Ramps:
    """Find the ramps; none where the log has none, or no cell fluctuated."""
    pulses = np.flatnonzero(history.bias == int(Bias.SUB_THRESHOLD))
    number, loud, quiet = _runs(history, kind)
    # A pulse that no run precedes or follows tells nothing.
    pulses = pulses[(pulses > 0) & (pulses + 1 < len(history.cell))]
    same = (history.cell[pulses - 1] == history.cell[pulses]) & (history.cell[pulses] == history.cell[pulses + 1])
    pulses = pulses[same & (number[pulses - 1] >= 0) & (number[pulses + 1] >= 0)]
    if len(pulses) == 0:
        return Ramps(cell=np.zeros(0, dtype=np.int64), across_v=np.zeros((0, 1)), gone=np.zeros(0, dtype=np.int64))
    before, after = number[pulses - 1], number[pulses + 1]
    # A ramp goes on as long as the run after a pulse is the one before the next.
    begins = np.append(True, before[1:] != after[:-1])
    ramp = np.cumsum(begins) - 1
    place = np.arange(len(pulses)) - np.flatnonzero(begins)[ramp]
    shape = (int(ramp.max()) + 1, int(place.max()) + 1)
    access = Access.of(kind)
    opened = access.usiemens(history.gate_v[pulses])
    share = opened / (opened + access.memristor(history.conductance[pulses - 1]))
    across_v, silent = np.full(shape, np.nan), np.ones((shape[0], shape[1] + 2), dtype=bool)
    across_v[ramp, place] = history.amplitude_v[pulses] * share
    silent[ramp, place] = quiet[after]
    # A run that two loud ones follow was quiet by chance; beyond the last pulse nothing speaks against it.
    silent = silent[:, :-2] & (silent[:, 1:-1] | silent[:, 2:])
    silent &= np.isfinite(across_v)
    gone = np.where(silent.any(axis=1), silent.argmax(axis=1), np.bincount(ramp))
    told = loud[before[begins]] & np.isfinite(across_v[:, 0])
    found = Ramps(cell=history.cell[pulses[begins]], across_v=across_v, gone=gone)
    return found.take(told)


def fit_dissolving(ramps: Ramps, simulation: Simulation) -> Values:
    """Middle of the voltage, the most likely one; how sharp it is and how it differs stay about as believed."""
    if len(np.unique(ramps.cell)) < FEWEST_CELLS:
        return {}
    from scipy.optimize import minimize

    place = np.arange(ramps.across_v.shape[1])
    survived = place < ramps.gone[:, None]
    last = place == ramps.gone[:, None]
    volts = np.nan_to_num(ramps.across_v)
    normal = np.linspace(-4.0, 4.0, _GRID)
    weight = np.exp(-0.5 * normal**2)
    weight /= weight.sum()
    by_itself = (1.0 - _GOES_ON) * _GOES_ON**ramps.gone

    def against(parameters: FloatArray) -> float:
        own_v = parameters[0] + np.exp(parameters[1]) * normal
        excess = (volts[..., None] - own_v) / simulation.channel_dissolve_slope_v
        kept = -np.logaddexp(0.0, excess)
        log_chance = np.where(survived[..., None], kept, 0.0).sum(axis=1)
        log_chance += np.where(last[..., None], excess + kept, 0.0).sum(axis=1)
        # Some are none of it: a fluctuator that fell silent by itself, or another that came.
        other = 1.0 / (1.0 + np.exp(-parameters[2]))
        likely = (1.0 - other) * np.exp(log_chance) @ weight + other * by_itself
        believed = ((parameters[1:] - start[1:]) / _DOUBTS) ** 2
        return float(0.5 * believed.sum() - np.log(likely).sum())

    spread_v = max(simulation.channel_dissolve_spread_v, 0.02)
    start = np.array([simulation.channel_dissolve_v, np.log(spread_v), _OTHERS])
    found = minimize(against, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-2})
    return {"channel_dissolve_v": float(found.x[0])}


def _runs(history: History, kind: ChipProfile) -> tuple[IntArray, Mask, Mask]:
    """Number of the run of readings each event belongs to (-1: none), and of each run whether it is loud or quiet."""
    reads = (history.bias == READ) & np.isfinite(history.conductance)
    starts = reads & (history.first | ~np.roll(reads, 1))
    number = np.where(reads, np.cumsum(starts) - 1, -1)
    if not reads.any():
        return number, np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)
    at = np.flatnonzero(reads)
    run, seen = number[at], history.conductance[at]
    count = np.bincount(run)
    middle = np.bincount(run, weights=seen) / count
    alone = _readout_alone(middle, kind)
    quiet = _deviation(run, seen) < 0.5 * LOUD * alone
    place = np.arange(len(at)) - np.flatnonzero(starts[at])[run]
    parts = np.maximum(count // BUSY_READINGS, 1)
    part = (np.cumsum(parts) - parts)[run] + np.minimum(place // BUSY_READINGS, parts[run] - 1)
    still = _deviation(part, seen) <= LOUD * alone[np.repeat(np.arange(len(count)), parts)]
    loud = np.bincount(np.repeat(np.arange(len(count)), parts), weights=still) == 0
    number[at[count[run] < FEWEST_READINGS]] = -1
    return number, loud, quiet


def _deviation(group: IntArray, values: FloatArray) -> FloatArray:
    """Deviation of the values of each group, (groups,)."""
    count = np.bincount(group)
    middle = np.bincount(group, weights=values) / count
    square = np.bincount(group, weights=(values - middle[group]) ** 2)
    return np.sqrt(square / np.maximum(count - 1, 1))


def _readout_alone(conductance: FloatArray, kind: ChipProfile) -> FloatArray:
    """Deviation of readings without fluctuators: the readout's own, and some decades of low-frequency noise."""
    simulation = kind.simulation
    readout = kind.readout.sample_noise_usiemens(conductance) / np.sqrt(kind.protocol.quick_samples)
    scale = (np.maximum(conductance, 0.0) / simulation.flicker_reference_usiemens) ** simulation.flicker_exponent
    return np.asarray(np.hypot(readout, np.sqrt(2.0) * simulation.flicker_usiemens * scale))
