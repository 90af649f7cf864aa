"""Compute Fig. 1: one simulated device on all its levels before and after denoising, and an array of 64 blocks."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from memprog.chip import Cells, FloatArray, Mask, Order
from memprog.jobs.reference import read_spec, read_usiemens, run_own
from memprog.profile import ChipProfile, bundled_profile
from memprog.protocol import Loop
from memprog.report.figures.fig1 import BLOCK, BLOCKS, SEED, SWEEP_V, Fig1
from memprog.simchip import SimChip, create

DEVICE, ARRAY = "rao2023-11bit", "rao2023-onchip-6bit"
"""Profiles of the single device and of the array."""
TWIN_COLUMNS = 64
SWEEP_SAMPLES = 16
"""Samples of one point of a sweep, 0.3 ms; one alone has 0.7 uS of readout noise at the top level."""
QUICK_ROUNDS = 40
"""Looks at most, of eight samples each, by which cells are programmed before they are denoised."""
ARRAY_PASSES = 3
"""Returns to the whole array after waiting: fewer than the profile asks for, as each takes ten seconds here."""
ARRAY_SAMPLES = 256
"""Dithered samples of the last look at the array."""
_NO_SPREAD: dict[str, Any] = dict.fromkeys(
    (
        "initial_spread",
        "transistor_spread",
        "threshold_spread_v",
        "switching_slope_spread",
        "set_gate_spread",
        "stuck_high_fraction",
        "stuck_low_fraction",
    ),
    0.0,
)


def fig1(seed: int = SEED, *, device: ChipProfile | None = None, array: ChipProfile | None = None) -> Fig1:
    """Take twins of one device to all levels and an array to 64 blocks, with memprog's own loop; a minute.

    The device is one in silicon, 2,048 in number: each level is programmed into a twin of its own, as all at once take
    seconds and one after the other a quarter of an hour. Twins have the same transistor, thresholds and readout, and
    differ in nothing but chance.

    Args:
        seed: of the two chips.
        device: profile of the single device.
        array: profile of the array; its rows and columns are whole blocks.
    """
    with tempfile.TemporaryDirectory(prefix="memprog-fig1-") as folder:
        device = device or bundled_profile(DEVICE)
        target, before, after = _levels(Path(folder), twins_of(device), seed)
        wanted, seen, done = _blocks(Path(folder), array := array or bundled_profile(ARRAY), seed)
    return Fig1(
        target_usiemens=target,
        before_a=before,
        after_a=after,
        array_target_usiemens=wanted,
        array_usiemens=seen,
        array_window_usiemens=array.levels.window_usiemens,
        array_done=done,
        array_profile=array.name,
        device_profile=device.name,
    )


def twins_of(profile: ChipProfile) -> ChipProfile:
    """A profile whose cells are one device over and over, one a level: no spread, none dead, one readout."""
    count = profile.levels.count
    columns = min(TWIN_COLUMNS, count)
    return dataclasses.replace(
        profile,
        geometry=dataclasses.replace(profile.geometry, arrays=1, rows=-(-count // columns), columns=columns),
        simulation=dataclasses.replace(profile.simulation, **_NO_SPREAD),
        readout=dataclasses.replace(
            profile.readout, gain_spread=0.0, source_drop_min=0.007, source_drop_max=0.007, offset_spread_a=0.0
        ),
    )


def _levels(folder: Path, profile: ChipProfile, seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Targets (n,) and sweeps (voltages, n) in A: written and verified by quick looks, and denoised after that.

    Quick looks alone, as an ordinary write-verify: longer ones would pick the levels that happen to be quiet.
    """
    chip = _made(folder, profile, seed, "twins")
    target = np.linspace(profile.levels.min_usiemens, profile.levels.max_usiemens, profile.levels.count)
    cells = Cells.from_mask(0, np.ones((profile.geometry.rows, profile.geometry.columns), dtype=bool))
    cells = cells.take(np.arange(len(target)))
    quick = _with_protocol(profile, approach_rounds=QUICK_ROUNDS, checks_per_pass=0, passes=0, mop_up_passes=0)
    run_own(chip, quick, cells, Loop(target, quick, denoise=False))
    before = _sweep(chip, profile, cells)
    run_own(chip, profile, cells, Loop(target, profile, full=True))
    return target, before, _sweep(chip, profile, cells)


def _with_protocol(profile: ChipProfile, **settings: Any) -> ChipProfile:
    return dataclasses.replace(profile, protocol=dataclasses.replace(profile.protocol, **settings))


def _sweep(chip: SimChip, profile: ChipProfile, cells: Cells) -> FloatArray:
    """Currents (voltages, cells) in A, less the reading at zero volts, scaled to the nominal voltage."""
    found = []
    for read_v in SWEEP_V.tolist():
        spec = read_spec(chip, profile, cells, SWEEP_SAMPLES)
        spec = dataclasses.replace(spec, read_v=read_v, order=Order.DWELLING)
        reading = chip.read(cells, spec)
        share = 1.0 if read_v == 0.0 else reading.sense_v / read_v
        found.append((reading.current_a - reading.offset_a) / share)
    return np.array(found)


def _blocks(folder: Path, profile: ChipProfile, seed: int) -> tuple[FloatArray, FloatArray, Mask]:
    """Program blocks of an array to a level each: wanted, read (NaN where unread) and done, all (rows, columns)."""
    chip, levels = _made(folder, profile, seed, "array"), profile.levels
    shape = (profile.geometry.rows, profile.geometry.columns)
    row, column = np.indices(shape) // BLOCK
    wanted = np.linspace(levels.min_usiemens, levels.max_usiemens, levels.count)[row * BLOCKS + column]
    cells = Cells.from_mask(0, np.ones(shape, dtype=bool))
    fewer = _with_protocol(profile, passes=ARRAY_PASSES, mop_up_passes=1)
    loop = Loop(wanted.ravel(), fewer)
    run_own(chip, fewer, cells, loop)
    seen = read_usiemens(chip, cells, read_spec(chip, profile, cells, ARRAY_SAMPLES))
    return wanted, np.where(np.isfinite(seen), seen, np.nan).reshape(shape), loop.done.reshape(shape)


def _made(folder: Path, profile: ChipProfile, seed: int, name: str) -> SimChip:
    path = folder / f"{name}.sim"
    create(path, profile, seed=seed, arrays=1)
    return SimChip(path, profile)
