"""How many cells are alive, and how noisy equal states are: arrays of the default profile as they come."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from memprog.chip import Bias, Cells, FloatArray, Pulses
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


def _noise_usiemens(chip: SimChip, profile: ChipProfile, cells: Cells) -> tuple[FloatArray, FloatArray]:
    """Deviation of each cell's samples over the span, as a noise measurement gives it, and its mean; (n,) in uS."""
    spec = dataclasses.replace(read_spec(chip, profile, cells, SAMPLES), interval_s=INTERVAL_S)
    found = chip.read(cells, spec)
    level = (found.current_a - found.offset_a) / found.sense_v * 1e6
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


def _give(chip: SimChip, cells: Cells, bias: Bias, amplitude_v: float, profile: ChipProfile) -> None:
    """Give every cell the same pulse with the gate open."""
    n = len(cells)
    pulses = Pulses(
        bias=np.full(n, int(bias), dtype=np.uint8),
        amplitude_v=np.full(n, amplitude_v),
        gate_v=np.full(n, profile.limits.gate_max_v),
        width_ns=np.full(n, profile.protocol.pulse_width_ns, dtype=np.int64),
    )
    chip.pulse(cells, pulses, (chip.last_batch_id() or 0) + 1)
