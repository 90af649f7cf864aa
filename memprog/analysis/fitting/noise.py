"""What traces say of a kind of chip: how large, quick and biased its fluctuators are, and its white and slow noise."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from memprog.analysis.fitting.found import Values
from memprog.chip import FloatArray, IntArray, Mask
from memprog.profile import Readout, Simulation

REFERENCE_V = 0.2
"""Bias at which a profile's dwell times hold; as in the model of the simulated cell."""
SAME_TRAP = 0.15
"""Steps that differ by less than this share, in one cell at two biases, are of one trap."""
CLEAR_STEP = 1.3
"""Ends of a step's interval may differ by this factor."""
FEWEST_TRAPS = 8
QUICKEST, SLOWEST = 3.0, 20.0
"""A trap is seen for sure that dwells at least so many samples, and at most such a part of the trace."""
CHANCE = 0.05
"""Dwell times seem to end within what can be seen where they would leave such a gap by chance less often."""
NEAR, FAR = 1, 500
"""Samples apart: neighbours tell of white noise, distant ones of slow noise, too."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fluctuations:
    """The largest fluctuator of each plateau of bias, (f,).

    ``cell`` counts from 0; ``step`` and ``conductance`` (mean of the plateau) are in uS; ``step_ratio`` is the upper
    end of the step's interval over the lower. ``log_error`` (2, f) are the deviations of the logarithms of the dwell
    times ``tau_s`` (2, f) in the lower and the upper level. ``clean`` says whether dwell times mean anything.
    """

    cell: IntArray
    bias_v: FloatArray
    conductance: FloatArray
    step: FloatArray
    step_ratio: FloatArray
    tau_s: FloatArray
    log_error: FloatArray
    clean: Mask
    interval_s: FloatArray
    span_s: FloatArray

    def take(self, which: Mask) -> Fluctuations:
        """Keep some of the fluctuators."""
        return Fluctuations(**{field.name: getattr(self, field.name)[..., which] for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quiet:
    """What is left of plateaus without their fluctuators, (p,): see ``wandering``; ``near`` and ``far`` are in uS^2."""

    cell: IntArray
    conductance: FloatArray
    interval_s: FloatArray
    aperture_s: FloatArray
    near: FloatArray
    far: FloatArray

    def take(self, which: Mask) -> Quiet:
        """Keep some of the plateaus."""
        return Quiet(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


def wandering(residual: FloatArray, apart: int) -> float:
    """Half the mean square of differences between samples so far apart: white noise, and what wandered meanwhile."""
    return float(((residual[apart:] - residual[:-apart]) ** 2).mean() / 2.0)


def fit_traps(seen: Fluctuations, simulation: Simulation) -> Values:
    """Size of fluctuators and its spread, ratio of dwell times, and how the upper one falls with the bias."""
    seen = seen.take(seen.step_ratio < CLEAR_STEP)
    if len(np.unique(seen.cell)) < FEWEST_TRAPS:
        return {}
    reach = seen.conductance / (1.0 + seen.conductance / simulation.trap_saturation_usiemens)
    size = np.log(seen.step / reach)
    sizes = medians(seen.cell, size)
    own = sizes[seen.cell]
    found = {
        "trap_relative_amplitude": float(np.exp(np.nanmean(sizes))),
        "trap_amplitude_spread": float(np.nanstd(sizes, ddof=1)),
    }
    same = seen.take(seen.clean & (np.abs(size - own) < SAME_TRAP))
    if len(np.unique(same.cell)) < FEWEST_TRAPS:
        return found
    return found | _dwells(same)


def _dwells(same: Fluctuations) -> dict[str, float]:
    """What dwell times say of one and the same trap of each cell at several biases."""
    count = int(same.cell.max()) + 1
    log_tau, bias_v = np.log(same.tau_s), np.abs(same.bias_v)
    weight = 1.0 / (same.log_error[1] ** 2 + 1e-4)
    total = np.maximum(np.bincount(same.cell, weights=weight, minlength=count), 1e-300)

    def aside(values: FloatArray) -> FloatArray:
        middle = np.bincount(same.cell, weights=weight * values, minlength=count) / total
        return np.asarray(values - middle[same.cell])

    off_v, off = aside(bias_v), aside(log_tau[1])
    found: dict[str, float] = {}
    lever = float(np.sum(weight * off_v**2))
    decay = -float(np.sum(weight * off_v * off)) / lever if np.ptp(bias_v) > 0.01 and lever > 0 else 0.0
    if decay > 0:
        found["trap_bias_decay_per_v"] = decay
    upper = log_tau[1] + decay * (bias_v - REFERENCE_V)
    decades = medians(same.cell, (upper - log_tau[0]) / np.log(10.0))
    error = medians(same.cell, (same.log_error**2).sum(axis=0)) / np.log(10.0) ** 2
    variance = float(np.nanvar(decades, ddof=1) - np.nanmean(error))
    if variance > 0:
        found["trap_dwell_ratio_decades"] = float(np.sqrt(variance))
    middle = medians(same.cell, (upper + log_tau[0]) / 2.0 / np.log(10.0))
    quickest = float(np.log10(QUICKEST * same.interval_s.max()))
    slowest = float(np.log10(same.span_s.min() / SLOWEST))
    return found | _ends(middle[np.isfinite(middle)], quickest, slowest)


def _ends(decades: FloatArray, quickest: float, slowest: float) -> dict[str, float]:
    """Ends of evenly spread logarithms of dwell times, where they lie within what can be seen."""
    found = {}
    inside = decades[(decades > quickest) & (decades < slowest)]
    if len(inside) < FEWEST_TRAPS:
        return {}
    first, last, count = float(inside.min()), float(inside.max()), len(inside)
    gap = (last - first) / (count - 1.0)
    if decades.min() > quickest and ((last - first) / (last - quickest)) ** count < CHANCE:
        found["trap_dwell_min_s"] = float(10.0 ** (first - gap))
    if decades.max() < slowest and ((last - first) / (slowest - first)) ** count < CHANCE:
        found["trap_dwell_max_s"] = float(10.0 ** (last + gap))
    return found


def fit_slow_noise(quiet: Quiet, simulation: Simulation) -> Values:
    """Low-frequency noise a square root of a decade, by the profile's law of how it grows with the conductance."""
    if len(quiet.cell) < FEWEST_TRAPS:
        return {}
    scale = (quiet.conductance / simulation.flicker_reference_usiemens) ** (2.0 * simulation.flicker_exponent)
    power = (quiet.far - quiet.near) / (_wandered(quiet, FAR, simulation) - _wandered(quiet, NEAR, simulation)) / scale
    middle = typical(power)
    return {"flicker_usiemens": float(np.sqrt(middle))} if middle > 0 else {}


def fit_white_noise(quiet: Quiet, readout: Readout, simulation: Simulation, flicker_usiemens: float) -> Values:
    """White noise of one sample that does not grow with the conductance; what does stays as it was believed."""
    if len(quiet.cell) < FEWEST_TRAPS:
        return {}
    scale = (quiet.conductance / simulation.flicker_reference_usiemens) ** (2.0 * simulation.flicker_exponent)
    slow = flicker_usiemens**2 * scale * _wandered(quiet, NEAR, simulation)
    converter = readout.lsb_usiemens**2 * (1.0 / 12.0 + readout.dither_lsb**2 / 6.0)
    narrowing = readout.white_noise_aperture_ns * 1e-9 / quiet.aperture_s
    white = (quiet.near - slow - converter) / narrowing - (readout.white_noise_relative * quiet.conductance) ** 2
    middle = typical(white)
    return {"white_noise_usiemens": float(np.sqrt(middle))} if middle > 0 else {}


def typical(values: FloatArray) -> float:
    """Mean of what most have in common: cells with a fluctuator too quick or too slow to be seen lie above it."""
    kept = values
    for _ in range(5):
        middle = float(np.median(kept))
        spread = 1.4826 * float(np.median(np.abs(kept - middle)))
        kept = values[np.abs(values - middle) <= 3.0 * spread]
    return float(kept.mean())


def medians(cell: IntArray, values: FloatArray) -> FloatArray:
    """Median of the values of each cell, (cells,); NaN where there is none."""
    order = np.lexsort((values, cell))
    cell, values = cell[order], values[order]
    count = np.bincount(cell)
    first = np.cumsum(count) - count
    low, high = first + np.maximum(count - 1, 0) // 2, first + count // 2
    last = len(values) - 1
    return np.where(count > 0, 0.5 * (values[np.minimum(low, last)] + values[np.minimum(high, last)]), np.nan)


def _wandered(quiet: Quiet, apart: int, simulation: Simulation) -> FloatArray:
    """Variance, in those of one decade, that low-frequency noise adds to a difference of samples so far apart."""
    times_s = simulation.flicker_fastest_s * 10.0 ** np.arange(simulation.flicker_decades, dtype=float)
    return np.asarray(-np.expm1(-apart * quiet.interval_s / times_s[:, None]).sum(axis=0))
