"""What an analysis of noise says: fluctuators with intervals, levels, drift, lines, residual noise and its colour."""

from __future__ import annotations

from dataclasses import dataclass

from memprog.analysis.noise.colour import Line, Spectrum
from memprog.chip import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A most likely value and its 95 % interval; infinite or zero ends where the trace sets no bound."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fluctuator:
    """A two-level fluctuator.

    ``step`` is what the level moves by on the average, in the trace's unit, above 0: where a smaller fluctuator is seen
    in one of the levels only, its share is in the step. ``tau_low_s`` and ``tau_high_s`` are the mean dwell times in
    the lower and the upper level, ``occupancy`` the share of time in the upper one, ``switchings`` how often it
    switched in the trace. ``trouble`` says why the intervals mean little, where they do.
    """

    step: Estimate
    tau_low_s: Estimate
    tau_high_s: Estimate
    occupancy: Estimate
    switchings: float
    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The noise of one trace, of one plateau of bias.

    ``levels`` are those in which the trace spent more than a thousandth of its time, rising, without drift. ``noise``
    is the deviation of a sample once fluctuators, drift and lines are gone, valid for ``interval_s`` and ``span_s``;
    ``colour`` the exponent of the spectrum below a tenth of the sampling rate: 0 white, -1 flicker. ``blur`` is the
    share of the sampling interval over which a sample seems averaged. ``path`` (n,) is the expected level at each
    sample, drift and lines included; ``slow`` (n,) drift and lines alone, about 0; ``residual`` (n,) the samples
    less a path. ``high`` (fluctuators, n) is the chance of each fluctuator, in their order, to be in its upper level.
    """

    samples: int
    interval_s: float
    span_s: float
    mean: float
    drift: float
    fluctuators: tuple[Fluctuator, ...]
    levels: tuple[float, ...]
    noise: Estimate
    colour: Estimate
    lag1: float
    lines: tuple[Line, ...]
    blur: float
    spectrum: Spectrum
    path: FloatArray
    slow: FloatArray
    high: FloatArray
    residual: FloatArray
