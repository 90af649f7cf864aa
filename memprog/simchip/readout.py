"""The simulated readout chain: from cell to converter code, all samples of many cells at once, with coloured noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memprog.chip import FloatArray, IntArray, Mask, ReadSpec
from memprog.profile import Readout, Simulation
from memprog.simchip import cells as physics
from memprog.simchip.effects import relaxation_times_s
from memprog.simchip.state import Record

BLOCK = 1 << 19
"""Samples drawn together, cells times samples: their working set stays in the cache."""
MEMORYLESS = 0.02
"""Low-frequency noise that keeps less than this from sample to sample is drawn afresh for each."""

Float32Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The constant part of a readout, per cell (n,): volts at the terminals, column offset and gain.

    ``share`` of these volts is across the cell when it conducts ``seen_usiemens``; None is all of them. The factors are
    what temperature and the curvature of I-V make of memristors and transistors; None is nothing.
    """

    sense_v: FloatArray
    offset_a: FloatArray
    gain: FloatArray
    share: FloatArray | None = None
    seen_usiemens: FloatArray | None = None
    memristor_factor: FloatArray | None = None
    transistor_factor: FloatArray | None = None

    def take(self, part: slice) -> Line:
        """Keep some of the cells."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        kept: dict[str, Any] = {name: value if value is None else value[part] for name, value in values.items()}
        return Line(**kept)


def line_of(silicon: Record, at: IntArray, columns: int, read_v: float) -> Line:
    """Look up what the row driver and the column amplifier do to each cell."""
    column = at % columns
    return Line(
        sense_v=read_v * (1.0 - silicon["source_drop"][at // columns]),
        offset_a=silicon["column_offset_a"][column],
        gain=silicon["column_gain"][column],
    )


def parts(n: int, samples: int) -> Iterator[slice]:
    """Cut n cells into runs whose samples fit one block."""
    size = max(BLOCK // samples, 256)
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def sample(
    state: Record,
    silicon: Record,
    at: IntArray,
    line: Line,
    spec: ReadSpec,
    interval_s: float,
    readout: Readout,
    simulation: Simulation,
    rng: np.random.Generator,
) -> tuple[Float32Array, Mask]:
    """Sample cells ``at`` and move them on in time: converter codes (samples, n), and where one was at its end (n,)."""
    transistor = physics.transistor_usiemens(silicon, at, spec.gate_v, simulation)
    if line.transistor_factor is not None:
        transistor *= line.transistor_factor
    quiet = _quiet(state, at, transistor, line, spec, interval_s, simulation)
    present = quiet[0].astype(np.float64)
    conductance = quiet
    _add_traps(conductance, present, transistor, state, at, spec, interval_s, simulation, rng)
    quick = _add_flicker(conductance, present, state, at, interval_s, simulation, rng)
    if line.share is not None and line.seen_usiemens is not None:
        quick *= line.share**4
        _behind_wires(conductance, line.share, line.seen_usiemens)
    noise = np.sqrt(_amplifier_variance(present, spec, readout) + quick).astype(np.float32)
    conductance += noise * rng.standard_normal(conductance.shape, dtype=np.float32)
    return _convert(conductance, line, spec, readout, rng)


def _behind_wires(conductance: Float32Array, share: FloatArray, seen_usiemens: FloatArray) -> None:
    """Turn conductances (samples, n) into what the terminals see of them, in place.

    Exact where a cell conducts what the share was reckoned with, to first order in what it does beyond; that others of
    its group fluctuate is left out.
    """
    conductance *= (share**2).astype(np.float32)
    conductance += (seen_usiemens * (share - share**2)).astype(np.float32)


def _quiet(
    state: Record,
    at: IntArray,
    transistor: FloatArray,
    line: Line,
    spec: ReadSpec,
    interval_s: float,
    simulation: Simulation,
) -> Float32Array:
    """Conductance (samples, n) with every trap low, relaxation going on; the state moves to the last sample."""
    decay = np.exp(-interval_s / relaxation_times_s(simulation))
    kept = (decay ** np.arange(1, spec.samples + 1)[:, None]).astype(np.float32)
    # Not a BLAS product: that may add in another order with another number of threads.
    memristor: Float32Array = np.einsum("jk,kn->jn", kept, state["unrelaxed"][:, at])
    relaxed = state["memristor"][at].astype(np.float32)
    memristor = physics.not_below_least(memristor + relaxed, relaxed)
    if line.memristor_factor is not None:
        memristor *= line.memristor_factor.astype(np.float32)
    in_series = transistor.astype(np.float32)
    state["unrelaxed"][:, at] *= kept[-1][:, None]
    series: Float32Array = memristor * in_series / (memristor + in_series)
    return series


def _add_traps(
    conductance: Float32Array,
    present: FloatArray,
    transistor: FloatArray,
    state: Record,
    at: IntArray,
    spec: ReadSpec,
    interval_s: float,
    simulation: Simulation,
    rng: np.random.Generator,
) -> None:
    """Let the traps hop from sample to sample, and add their steps where they are high."""
    relative = state["trap_amplitude"][:, at] * physics.step_at_bias(spec.read_v, simulation)
    for k in range(simulation.channels_max):
        cell = np.flatnonzero(relative[k])
        where = at[cell]
        step = physics.trap_steps_in_series(relative[k, cell], present[cell], transistor[cell], simulation)
        dwell_high = physics.dwell_high_s(state["trap_dwell_high_s"][k, where], spec.read_v, simulation)
        share, memory = physics.trap_odds(state["trap_dwell_low_s"][k, where], dwell_high, interval_s)
        rise, stay = share * (1 - memory), share + (1 - share) * memory
        lot = rng.random((spec.samples, len(cell)), dtype=np.float32)
        high = state["trap_high"][k, where]
        within = min(spec.aperture_ns * 1e-9 / interval_s, 1.0) if simulation.trap_averaging else 0.0
        for j in range(spec.samples):
            before, high = high, lot[j] < np.where(high, stay, rise)
            conductance[j, cell] += step * (_averaged(before, high, within, rng) if within else high)
        state["trap_high"][k, where] = high


def _averaged(before: Mask, high: Mask, within: float, rng: np.random.Generator) -> Float32Array:
    """Share of its aperture that each trap spends high: one that switched did so in it with chance ``within``.

    Traps that switch more than once between two samples are not followed.
    """
    share = high.astype(np.float32)
    switched = np.flatnonzero(before != high)
    lot = rng.random((2, len(switched)), dtype=np.float32)
    inside = lot[0] < within
    share[switched[inside]] = lot[1, inside]
    return share


def _add_flicker(
    conductance: Float32Array,
    present: FloatArray,
    state: Record,
    at: IntArray,
    interval_s: float,
    simulation: Simulation,
    rng: np.random.Generator,
) -> FloatArray:
    """Add low-frequency noise; returns the variance (n,) of what is too quick to be followed, to be added as white."""
    scale = (present / simulation.flicker_reference_usiemens) ** simulation.flicker_exponent
    width = (simulation.flicker_usiemens * scale).astype(np.float32)
    quick = np.zeros(len(at))
    for k, time_s in enumerate(physics.flicker_times_s(simulation).tolist()):
        keep = np.float32(np.exp(-interval_s / time_s))
        if keep < MEMORYLESS:
            quick += width.astype(np.float64) ** 2
            state["flicker"][k, at] = rng.standard_normal(len(at), dtype=np.float32)
            continue
        fresh = rng.standard_normal(conductance.shape, dtype=np.float32)
        fresh *= np.sqrt(1 - keep**2)
        value = state["flicker"][k, at]
        for j in range(len(conductance)):
            value = keep * value + fresh[j]
            conductance[j] += width * value
        state["flicker"][k, at] = value
    return quick


def _amplifier_variance(present: FloatArray, spec: ReadSpec, readout: Readout) -> FloatArray:
    narrowing = readout.white_noise_aperture_ns / spec.aperture_ns
    variance: FloatArray = readout.white_noise_usiemens**2 + (readout.white_noise_relative * present) ** 2
    return variance * narrowing


def _convert(
    conductance: Float32Array, line: Line, spec: ReadSpec, readout: Readout, rng: np.random.Generator
) -> tuple[Float32Array, Mask]:
    """Turn conductances into converter codes, in place."""
    lsb_a = lsb_amperes(spec, readout)
    conductance *= (line.sense_v * line.gain * 1e-6 / lsb_a).astype(np.float32)
    conductance += (line.offset_a / lsb_a).astype(np.float32)
    if readout.dither_lsb:
        dither = rng.random(conductance.shape, dtype=np.float32) - np.float32(0.5)
        conductance += np.float32(readout.dither_lsb) * dither
    np.rint(conductance, out=conductance)
    end = np.float32(2 ** (readout.converter_bits - 1) - 1)
    clamped = np.abs(conductance).max(axis=0) >= end
    return np.clip(conductance, -end, end, out=conductance), clamped


def lsb_amperes(spec: ReadSpec, readout: Readout) -> float:
    """Converter step: a smaller range that was asked for has smaller steps."""
    return 2.0 * (spec.range_a or readout.range_a) / float(2**readout.converter_bits)


def statistics(code: Float32Array, lsb_a: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean and deviation in A, and the lag-1 correlation, of codes (samples, n): each (n,)."""
    samples = len(code)
    first = code[0].astype(np.float64)
    about = code - code[0]
    mean = about.mean(axis=0, dtype=np.float64)
    about -= mean.astype(np.float32)
    scatter = np.einsum("jn,jn->n", about, about, dtype=np.float64)
    lagged = np.einsum("jn,jn->n", about[1:], about[:-1], dtype=np.float64)
    lag1 = np.divide(lagged, scatter, out=np.zeros_like(mean), where=(scatter > 0) & (samples > 2))
    return (first + mean) * lsb_a, np.sqrt(scatter / max(samples - 1, 1)) * lsb_a, lag1
