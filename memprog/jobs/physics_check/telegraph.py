"""Telegraph noise of the authors' device: a simulated cell set up like it, read as they did, and taken apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memprog.analysis.noise import Noise, analyse_noise
from memprog.analysis.noise.pooled import pool
from memprog.chip import FloatArray, Order, ReadSpec
from memprog.jobs.physics_check.chips import every_cell, make, small
from memprog.jobs.physics_check.rows import RAO, Fact, Kind, about
from memprog.profile import ChipProfile
from memprog.report.check import CheckRow
from memprog.simchip import SimChip
from memprog.simchip.placing import place, plant

GROUP = "rtn"
PROFILE, PLAIN = "rao2023-11bit-full", "rao2023-11bit"
"""All effects as measured; and the default, whose noise includes what the traces have of mains hum."""
CELLS, TAKEN_APART = 32, 1
"""Cells alike, for the colour of the noise; and how many traces are taken apart, which takes longest."""
SAMPLES, INTERVAL_S = 20_000, 2e-4
"""Of one trace: 4 s at 5 kHz, as the authors took them; here under one bias, there under three."""
QUIET_USIEMENS, STEP_USIEMENS = 97.0, 2.57
"""Set up: the lower level, and the step at 0.20 V (mean conductance of the traces 96 to 100 uS)."""
LOW_S, HIGH_S = 0.0115, 0.0075
"""Set up: dwell times at 0.20 V, the authors' fit."""
PLATEAU, AVERAGED = 5000, 250
"""Samples of one plateau of the traces, 1 s, and of a mean that shows how coloured their noise is, 50 ms."""

_TRACES = f"{RAO}, supplementary traces (our reckoning over 50)"
_FITTED = f"{RAO}, supplementary data (authors' fit)"
_HELD = (
    f"{PROFILE}; a cell at 97 uS with one trap of 2.57 uS, 11.5 and 7.5 ms at 0.20 V; 4 s at 5 kHz, "
    "taken apart by memprog noise"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bias:
    """What was published at one bias."""

    bias_v: float
    step_usiemens: float
    occupancy: float
    high_s: float
    noise_usiemens: float


BIASES = (
    _Bias(bias_v=0.15, step_usiemens=2.13, occupancy=0.52, high_s=0.0132, noise_usiemens=0.145),
    _Bias(bias_v=0.20, step_usiemens=2.57, occupancy=0.39, high_s=0.0075, noise_usiemens=0.139),
    _Bias(bias_v=0.25, step_usiemens=2.92, occupancy=0.26, high_s=0.00435, noise_usiemens=0.166),
)
MOST_LIKELY_HIGH_S = 0.0115
"""At 0.15 V by maximum likelihood over the authors' traces, +-0.6 ms: another analysis of the same measurement."""


def rows(seed: int, folder: Path) -> Iterator[CheckRow]:
    """Read the cells at three biases, and then without their traps."""
    profile = small(PROFILE, rows=1, columns=CELLS)
    chip = make(folder, profile, seed=seed, name=GROUP)
    place(chip, 0, QUIET_USIEMENS)
    plant(chip, 0, step_usiemens=STEP_USIEMENS, low_s=LOW_S, high_s=HIGH_S)
    for bias in BIASES:
        traces = _traces_usiemens(chip, profile, bias.bias_v, TAKEN_APART)
        found = [analyse_noise(trace, INTERVAL_S, most=1) for trace in traces]
        yield from _of_bias(bias, found)
    yield from _straightness(chip, profile)
    plain = small(PLAIN, rows=1, columns=CELLS)
    chip = make(folder, plain, seed=seed, name=f"{GROUP}-plain")
    place(chip, 0, QUIET_USIEMENS)
    yield from _colour(_traces_usiemens(chip, plain, 0.20, CELLS))


def _straightness(chip: SimChip, profile: ChipProfile) -> Iterator[CheckRow]:
    """Rise of the conductance with the bias, without a trap."""
    place(chip, 0, QUIET_USIEMENS)
    low, high = (_traces_usiemens(chip, profile, bias_v, CELLS).mean() for bias_v in (0.15, 0.25))
    yield RISE.row(GROUP, float(high / low - 1.0))


def _traces_usiemens(chip: SimChip, profile: ChipProfile, bias_v: float, cells: int) -> FloatArray:
    """Conductance (cells, samples) as the authors sampled it: every 0.2 ms, each sample as long as that."""
    interval_ns = round(INTERVAL_S * 1e9)
    spec = ReadSpec(
        read_v=bias_v,
        gate_v=profile.readout.read_gate_v,
        aperture_ns=interval_ns,
        settle_ns=0,
        samples=SAMPLES,
        order=Order.DWELLING,
    )
    chip.wait(1.0)
    return chip.trace(every_cell(profile).take(np.arange(cells)), spec) / bias_v * 1e6


def _of_bias(bias: _Bias, found: list[Noise]) -> Iterator[CheckRow]:
    """Step, share of time and dwell times of the one fluctuator, over all cells."""
    largest = [noise.fluctuators[0] for noise in found if noise.fluctuators]
    if not largest:
        return
    step = float(np.mean([one.step.value for one in largest]))
    share = float(np.mean([one.occupancy.value for one in largest]))
    low_s = pool(bias.bias_v, [one.tau_low_s for one in largest]).tau_s.value
    high_s = pool(bias.bias_v, [one.tau_high_s for one in largest]).tau_s.value
    yield _step(bias).row(GROUP, step)
    yield _occupancy(bias).row(GROUP, share)
    yield _low(bias).row(GROUP, 1e3 * low_s)
    yield _high(bias).row(GROUP, 1e3 * high_s)
    if bias.step_usiemens == STEP_USIEMENS:
        yield LEFT.row(GROUP, float(np.mean([noise.noise.value for noise in found])))
        yield COLOUR.row(GROUP, float(np.mean([noise.colour.value for noise in found])))
    if bias.bias_v == BIASES[0].bias_v:
        yield MOST_LIKELY.row(GROUP, 1e3 * high_s)


def _colour(traces: FloatArray) -> Iterator[CheckRow]:
    """Deviation of a sample, and of the mean of 250, without a trap: inside plateaus as long as the authors'."""
    plateaus = traces.reshape(-1, PLATEAU)
    means = plateaus.reshape(len(plateaus), -1, AVERAGED).mean(axis=2)
    yield PER_SAMPLE.row(GROUP, float(plateaus.std(axis=1).mean()))
    yield PER_MEAN.row(GROUP, float(means.std(axis=1).mean()))


def _step(bias: _Bias) -> Fact:
    given = bias.step_usiemens == STEP_USIEMENS
    return Fact(
        name=f"step_at_{bias.bias_v:.2f}_v",
        fact=f"step of the two-level signal at -{bias.bias_v:.2f} V",
        unit="uS",
        published=bias.step_usiemens,
        band=about(bias.step_usiemens, 0.02 if given else 0.04),
        reason="the step that was put in: what is left is the analysis"
        if given
        else "an exponential law through three measured steps leaves 3 %",
        kind=Kind.INPUT if given else Kind.TUNED,
        source=_TRACES,
        held=_HELD,
    )


def _occupancy(bias: _Bias) -> Fact:
    return Fact(
        name=f"occupancy_at_{bias.bias_v:.2f}_v",
        fact=f"share of time in the upper level at -{bias.bias_v:.2f} V",
        published=bias.occupancy,
        band=(bias.occupancy - 0.1, bias.occupancy + 0.1),
        reason="three times the chance deviation of some 200 cycles; the authors' own dwell times are 0.015 off",
        kind=Kind.PREDICTED,
        source=_TRACES,
        held=f"{_HELD}; only dwell times were put in",
    )


def _low(bias: _Bias) -> Fact:
    return Fact(
        name=f"tau0_at_{bias.bias_v:.2f}_v",
        fact=f"mean dwell time in the lower level at -{bias.bias_v:.2f} V",
        unit="ms",
        published=1e3 * LOW_S,
        band=about(1e3 * LOW_S, 0.25),
        reason="three times the chance deviation of some 200 dwells, and what short ones the analysis misses",
        kind=Kind.INPUT,
        source=_FITTED,
        held=_HELD,
    )


def _high(bias: _Bias) -> Fact:
    return Fact(
        name=f"tau1_at_{bias.bias_v:.2f}_v",
        fact=f"mean dwell time in the upper level at -{bias.bias_v:.2f} V",
        unit="ms",
        published=1e3 * bias.high_s,
        band=about(1e3 * bias.high_s, 0.25),
        reason="three times the chance deviation of some 200 dwells, and what short ones the analysis misses",
        kind=Kind.INPUT,
        source=_FITTED,
        held=f"{_HELD}; the profile's law, an e-fold every 0.09 V, was fitted to these three",
    )


MOST_LIKELY = Fact(
    name="tau1_at_0.15_v_most_likely",
    fact="the same at -0.15 V by maximum likelihood over the traces",
    unit="ms",
    published=1e3 * MOST_LIKELY_HIGH_S,
    band=about(1e3 * MOST_LIKELY_HIGH_S, 0.4),
    reason="the authors' fit and the likelihood differ by 15 %, and the profile follows the fit; the rest is chance",
    kind=Kind.PREDICTED,
    source=f"{RAO}, supplementary traces (our maximum likelihood, 11.5 +- 0.6 ms)",
    held=_HELD,
)
_HELD_PLAIN = (
    f"{PLAIN}; {CELLS} cells at 97 uS without traps, 0.20 V, 4 s at 5 kHz; deviation inside 1 s, mean over all"
)
PER_SAMPLE = Fact(
    name="noise_per_sample",
    fact="deviation of one sample without fluctuators, at 5 kHz",
    unit="uS",
    published=0.086,
    band=about(0.086, 0.1),
    reason="the profile's white noise is this figure less its slow part; what is slower than 1 s comes on top",
    kind=Kind.INPUT,
    source=_TRACES,
    held=_HELD_PLAIN,
)
PER_MEAN = Fact(
    name="noise_per_250_samples",
    fact="deviation of the mean of 250 samples (white noise would leave 0.005)",
    unit="uS",
    published=0.023,
    band=about(0.023, 0.2),
    reason="the strength of the simulated 1/f noise was set by this figure; one decade of it is coarse",
    kind=Kind.TUNED,
    source=_TRACES,
    held=_HELD_PLAIN,
)
LEFT = Fact(
    name="noise_without_hum",
    fact="deviation of one sample without fluctuators and mains hum, as memprog noise sees it",
    unit="uS",
    published=0.051,
    band=about(0.051, 0.15),
    reason="three traces of the authors scatter as much",
    kind=Kind.TUNED,
    source=f"{RAO}, supplementary traces (memprog noise, median over 18 plateaus)",
    held=_HELD,
)
COLOUR = Fact(
    name="noise_colour",
    fact="exponent of the noise's spectrum (0 white, -1 flicker)",
    published=(-0.68, -0.22),
    band=(-0.68, -0.22),
    reason="the scatter of the measured plateaus",
    kind=Kind.PREDICTED,
    source=f"{RAO}, supplementary traces (memprog noise, 18 plateaus, median -0.35)",
    held=f"{_HELD}; the profile was set by means over 5, 25 and 250 samples",
)
RISE = Fact(
    name="rise_with_bias",
    fact="rise of the conductance from 0.15 to 0.25 V",
    published=0.038,
    band=about(0.038, 0.15),
    reason="given to the model as it is; the rest is noise, and the bias that is really there",
    kind=Kind.INPUT,
    source=_TRACES,
    held=f"{PROFILE}; {CELLS} cells at 97 uS without traps, 4 s",
)
