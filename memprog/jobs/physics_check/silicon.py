"""How many cells are alive, how noisy equal states are, and what the gate does: arrays as they come."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from memprog.chip import Bias, Cells, FloatArray, Pulses, conductance_usiemens
from memprog.jobs.physics_check.chips import every_cell, make, small
from memprog.jobs.physics_check.rows import Fact, Kind
from memprog.jobs.reference import read_spec, read_usiemens
from memprog.profile import ChipProfile
from memprog.report.check import CheckRow
from memprog.simchip import SimChip

GROUP = "silicon"
PROFILE = "rao2023-11bit"
ROWS, COLUMNS = 256, 256
NOISY_ROWS = 16
"""Rows whose noise is looked at: 4,096 cells."""
SAMPLES, INTERVAL_S = 400, 0.01
"""Of the look at the noise: 4 s, as the traces of Rao 2023."""
EQUAL_USIEMENS = (90.0, 110.0)
"""Cells that conduct so much count as equal states."""
FLUCTUATES = 3.0
"""A cell is noisy that has this many times the noise of the median denoised one."""
CYCLES = 5
"""Sub-threshold pulses that make "a few cycles"."""

YIELD = Fact(
    name="cells_alive",
    fact="share of cells that answer to SET and RESET",
    published=0.998,
    band=(0.9968, 0.9992),
    reason="six times the chance deviation of 65,536 cells of which 0.2 % are dead",
    kind=Kind.INPUT,
    source="Li et al. 2018: 99.8 % of the cells of a 128 x 64 array (domain notes of this project)",
    held=f"{PROFILE}, 65,536 cells: strongest RESET, strongest SET, alive where the reading rose by a tenth of it",
)
SPREAD = Fact(
    name="noise_of_equal_states",
    fact="decades over which the noise of nominally equal states spreads: about one",
    published=1.0,
    band=(0.7, 1.6),
    reason="an order of magnitude is a rounded figure; from the 5th to the 95th of 100 cells is our reading of it",
    kind=Kind.TUNED,
    source="arXiv 2412.16080 (Ta2O5): noise of equal states spreads over an order of magnitude",
    held=f"{PROFILE}, those of 4,096 cells as they come that have 90 to 110 uS; deviation of 400 samples over 4 s",
)
QUIETER = Fact(
    name="noise_after_a_few_cycles",
    fact="share of the noise that a few sub-threshold cycles leave, median of cells that fluctuate: strongly denoised",
    published=(0.0, 0.3),
    band=(0.0, 0.3),
    reason="'strongly' is read as down to less than a third",
    kind=Kind.PREDICTED,
    source="arXiv 2412.16080 (Ta2O5): a few sub-threshold cycles give a strongly denoised state",
    held=f"{PROFILE}, the same cells before and after 5 sub-threshold pulses at 90 % of the RESET threshold",
)


GATE_PROFILE = "song2024-compute"
"""Its range is that of the chips whose gate was measured."""
GATES_V = (0.8, 1.0, 1.2, 1.4)
"""Gates whose ceilings lie inside the profile's range."""
GATE = Fact(
    name="set_by_gate",
    fact="conductance that a strong SET reaches, per volt of gate",
    unit="uS/V",
    published=(98.0, 125.0),
    band=(90.0, 135.0),
    reason="the middle of the range was put in; cells, the access transistor and a SET that stops short are on top",
    kind=Kind.INPUT,
    source="UMass laboratory code, Ta/HfO2 128 x 64 chips: SET 2.5 V with gate 0.4-1.8 V",
    held=f"{GATE_PROFILE}; 256 cells from their deepest RESET, two SETs of 2.5 V at each of four gates of 0.8 to 1.4 V",
)


def rows(seed: int, folder: Path) -> Iterator[CheckRow]:
    """Look at the noise of the cells as they come, denoise them, and then find out which are alive."""
    profile = small(PROFILE, rows=ROWS, columns=COLUMNS)
    chip = make(folder, profile, seed=seed, name=GROUP)
    cells = every_cell(profile)
    few = cells.take(cells.row < NOISY_ROWS)
    noise, level = _noise_usiemens(chip, profile, few)
    equal = (level > EQUAL_USIEMENS[0]) & (level < EQUAL_USIEMENS[1])
    low, high = np.quantile(noise[equal], (0.05, 0.95))
    yield SPREAD.row(GROUP, float(np.log10(high / low)))
    amplitude_v = 0.9 * profile.simulation.reset_threshold_v
    for _ in range(CYCLES):
        _give(chip, few, Bias.SUB_THRESHOLD, amplitude_v, profile)
    after, _ = _noise_usiemens(chip, profile, few)
    noisy = equal & (noise > FLUCTUATES * np.nanmedian(after[equal]))
    yield QUIETER.row(GROUP, float(np.median((after / noise)[noisy])))
    yield YIELD.row(GROUP, _alive(chip, profile, cells))
    yield GATE.row(GROUP, _by_gate(seed, folder))


def _noise_usiemens(chip: SimChip, profile: ChipProfile, cells: Cells) -> tuple[FloatArray, FloatArray]:
    """Deviation of each cell's samples over the span, as a noise measurement gives it, and its mean; (n,) in uS."""
    spec = dataclasses.replace(read_spec(chip, profile, cells, SAMPLES), interval_s=INTERVAL_S)
    found = chip.read(cells, spec)
    level = conductance_usiemens(found.current_a, found.offset_a, found.sense_v)
    return found.current_std_a / found.sense_v * 1e6, level


def _alive(chip: SimChip, profile: ChipProfile, cells: Cells) -> float:
    """Share of cells whose reading rises from the strongest RESET to the strongest SET."""
    spec = read_spec(chip, profile, cells, 4)
    _give(chip, cells, Bias.RESET, profile.limits.reset_max_v, profile)
    low = read_usiemens(chip, cells, spec)
    _give(chip, cells, Bias.SET, profile.limits.set_max_v, profile)
    high = read_usiemens(chip, cells, spec)
    # A cell beyond the converter's range before and after has not moved, as far as anybody can tell.
    return float(np.mean((high > 1.1 * low) & np.isfinite(low)))


def _by_gate(seed: int, folder: Path) -> float:
    """Slope of the median conductance after strong SETs over the gate, uS/V."""
    profile = small(GATE_PROFILE, rows=16, columns=16)
    chip = make(folder, profile, seed=seed, name=f"{GROUP}-gate")
    cells, reached = every_cell(profile), []
    spec = read_spec(chip, profile, cells, 16)
    for gate_v in GATES_V:
        _give(chip, cells, Bias.RESET, profile.limits.reset_max_v, profile)
        for _ in range(2):
            _give(chip, cells, Bias.SET, profile.limits.set_max_v, profile, gate_v)
        reached.append(float(np.nanmedian(read_usiemens(chip, cells, spec))))
    return float(np.polyfit(GATES_V, reached, 1)[0])


def _give(
    chip: SimChip,
    cells: Cells,
    bias: Bias,
    amplitude_v: float,
    profile: ChipProfile,
    gate_v: float | None = None,
) -> None:
    """Give every cell the same pulse; with the gate open, unless a gate is named."""
    n = len(cells)
    pulses = Pulses(
        bias=np.full(n, int(bias), dtype=np.uint8),
        amplitude_v=np.full(n, amplitude_v),
        gate_v=np.full(n, profile.limits.gate_max_v if gate_v is None else gate_v),
        width_ns=np.full(n, profile.protocol.pulse_width_ns, dtype=np.int64),
    )
    chip.pulse(cells, pulses, (chip.last_batch_id() or 0) + 1)
