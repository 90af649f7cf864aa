"""Small simulated chips for tests: profiles cut down to few cells, effects switched off, cells set up by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from memprog.chip import Bias, Cells, FloatArray, Pulses, ReadSpec
from memprog.profile import ChipProfile, bundled_profile
from memprog.simchip import SimChip, create
from memprog.simchip import cells as physics

STILL: dict[str, float] = {
    "stuck_high_fraction": 0.0,
    "stuck_low_fraction": 0.0,
    "channels_initial_mean": 0.0,
    "channel_create_max": 0.0,
    "flicker_usiemens": 0.0,
    "relaxation_fraction_per_decade": 0.0,
    "relaxation_spread_per_decade": 0.0,
    "relaxation_floor_usiemens": 0.0,
}
"""Simulation without stuck cells, traps, low-frequency noise and relaxation."""

ALIKE: dict[str, float] = {
    "transistor_spread": 0.0,
    "threshold_spread_v": 0.0,
    "switching_slope_spread": 0.0,
    "set_gate_spread": 0.0,
}
"""Simulation in which no cell differs from its neighbour."""

NOISELESS: dict[str, float] = {"white_noise_usiemens": 0.0, "white_noise_relative": 0.0, "converter_bits": 28}
"""Readout that adds next to nothing."""

_READ = ReadSpec(read_v=0.2, gate_v=3.0, aperture_ns=20_000, settle_ns=5_000, samples=1)


def small_profile(
    name: str = "rao2023-11bit", *, rows: int = 16, columns: int = 16, arrays: int = 2, **sections: Any
) -> ChipProfile:
    """A bundled profile on few cells, with some values of some sections replaced, or whole effects put in."""
    full = bundled_profile(name)
    size = dataclasses.replace(full.geometry, rows=rows, columns=columns, arrays=arrays)
    changed = {
        key: dataclasses.replace(getattr(full, key), **values) if isinstance(values, dict) else values
        for key, values in sections.items()
    }
    return dataclasses.replace(full, geometry=size, **changed)


def new_chip(folder: Path, profile: ChipProfile | None = None, *, seed: int = 1, name: str = "chip.sim") -> SimChip:
    """Manufacture a chip and open it."""
    profile = profile or small_profile()
    create(folder / name, profile, seed=seed, arrays=profile.geometry.arrays)
    return SimChip(folder / name, profile)


def still_chip(folder: Path, *, seed: int = 1, **sections: Any) -> SimChip:
    """A chip of one array whose cells are all alike and do nothing of their own accord."""
    simulation = STILL | ALIKE | sections.pop("simulation", {})
    return new_chip(folder, small_profile(arrays=1, simulation=simulation, **sections), seed=seed)


def array_cells(chip: SimChip, array: int = 0) -> Cells:
    """Every cell of one array, in flat order."""
    return Cells.from_mask(array, np.ones((chip.geometry.rows, chip.geometry.columns), dtype=bool))


def read_spec(**changes: Any) -> ReadSpec:
    """The ordinary read, with some of it changed."""
    return dataclasses.replace(_READ, **changes)


def same_pulses(
    n: int, bias: Bias, amplitude_v: float | FloatArray, gate_v: float = 5.0, width_ns: int = 1000
) -> Pulses:
    """One kind of pulse for n cells."""
    return Pulses(
        bias=np.full(n, bias, dtype=np.uint8),
        amplitude_v=np.broadcast_to(np.asarray(amplitude_v, dtype=np.float64), (n,)).copy(),
        gate_v=np.full(n, gate_v),
        width_ns=np.full(n, width_ns, dtype=np.int64),
    )


def give(chip: SimChip, bias: Bias, amplitude_v: float | FloatArray, gate_v: float = 5.0, width_ns: int = 1000) -> None:
    """Pulse every cell of array 0 once."""
    cells = array_cells(chip)
    chip.pulse(cells, same_pulses(len(cells), bias, amplitude_v, gate_v, width_ns), (chip.last_batch_id() or 0) + 1)


def at_driver_v(chip: SimChip, across_v: float, gate_v: float = 5.0) -> FloatArray:
    """Amplitude that puts a voltage across each memristor of array 0 in RESET polarity, transistor drop included."""
    memristor = memristor_usiemens(chip)
    at = np.arange(len(memristor))
    transistor = physics.transistor_usiemens(chip._file.silicon[0], at, gate_v, chip._profile.simulation)
    return np.asarray(across_v * (transistor + memristor) / transistor)


def set_memristors(chip: SimChip, usiemens: float | FloatArray, array: int = 0) -> None:
    """Give the complete channels of an array a conductance, with nothing left to relax."""
    state = chip._load(array)
    state["memristor"] = usiemens
    state["unrelaxed"] = 0.0


def set_cells(chip: SimChip, usiemens: float | FloatArray, array: int = 0) -> None:
    """Give the cells of an array a quiet conductance at the read gate, transistor included."""
    silicon, simulation = chip._file.silicon[array], chip._profile.simulation
    at = np.arange(chip.geometry.rows * chip.geometry.columns)
    transistor = physics.transistor_usiemens(silicon, at, chip._profile.readout.read_gate_v, simulation)
    set_memristors(chip, usiemens * transistor / (transistor - usiemens), array)


def memristor_usiemens(chip: SimChip, array: int = 0) -> FloatArray:
    """Conductance of the complete channels at this moment, (cells,)."""
    state = chip._load(array)
    at = np.arange(len(state["wear"]))
    physics.relax(state, at, chip.clock_s(), chip._profile.simulation)
    return physics.memristor_usiemens(state, at)


def set_traps(
    chip: SimChip, relative: float, low_s: float, high_s: float, *, is_high: bool = False, dissolve_v: float = 0.8
) -> None:
    """Give every cell of array 0 one trap, the first, and no other."""
    state = chip._load(0)
    state["trap_amplitude"] = 0.0
    state["trap_amplitude"][0] = relative
    state["trap_dwell_low_s"][0], state["trap_dwell_high_s"][0] = low_s, high_s
    state["trap_dissolve_v"][0], state["trap_high"] = dissolve_v, False
    state["trap_high"][0] = is_high


def relative_for(step_usiemens: float, quiet_usiemens: float, profile: ChipProfile) -> float:
    """Relative amplitude of a trap that steps a cell of some conductance by so much."""
    reach = quiet_usiemens / (1.0 + quiet_usiemens / profile.simulation.trap_saturation_usiemens)
    return step_usiemens / reach


def trap_count(chip: SimChip, array: int = 0) -> np.ndarray:
    """Incomplete channels of each cell, (cells,)."""
    return np.count_nonzero(chip._load(array)["trap_amplitude"], axis=0)


def file_bytes(chip: SimChip) -> bytes:
    """What the chip's file holds, as another process would see it."""
    chip.close()
    return chip._file.path.read_bytes()
