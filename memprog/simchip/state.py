"""What a simulated chip is made of: the fixed silicon and the changing state of one array, as flat NumPy records."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memprog.chip import IntArray, Mask
from memprog.profile import ChipProfile, Islands, Simulation
from memprog.simchip import effects

Record = Any
"""A zero-dimensional structured array; its fields are views, (cells,) or (cells, channels)."""

STUCK_LOW, OPEN, UNFORMED = -1, -2, -3
STUCK_HIGH, SHORT = 1, 2
"""What ``stuck`` says of a cell that is not alive, which is 0: none of these switches, carries traps or relaxes."""

SHORT_USIEMENS = 20_000.0
"""A short goes past the transistor and conducts this whatever the gate: 50 ohm (assumption)."""
OPEN_USIEMENS = 0.02
"""What leaks through a cell that is open, below any memristor (assumption)."""
UNFORMED_USIEMENS = 1.0
"""Pristine oxide: no channel was ever formed in it (assumption)."""

SLOT_HEAD: list[tuple[str, str]] = [
    ("generation", "<u8"),
    ("clock_s", "<f8"),
    ("last_batch", "<i8"),
    ("last_batch_s", "<f8"),
    ("pulses", "<u8"),
    ("crc", "<u4"),
]
"""How a slot begins: when it was written, the last batch (-1: none) and when it ended, pulses of all time, CRC-32 or 0.

They are committed together with the cells, so that nothing can tell them apart.
"""


def silicon_dtype(profile: ChipProfile) -> np.dtype[Any]:
    """What never changes after manufacture, per cell, plus the offsets and gains of the columns.

    ``stuck`` is 0 for a living cell, else one of the codes above. Conductances are in uS. Effects that a profile does
    not have take no room.
    """
    rows, columns = profile.geometry.rows, profile.geometry.columns
    n = rows * columns
    per_cell = [
        (name, "<f4", (n,)) for name in ("transistor", "set_threshold_v", "reset_threshold_v", "slope_v", "set_gate")
    ]
    per_column = [("column_offset_a", "<f8", (columns,)), ("column_gain", "<f8", (columns,))]
    of_effects: list[Any] = []
    if profile.forming is not None:
        of_effects.append(("form_threshold_v", "<f4", (n,)))
    if profile.wires is not None:
        of_effects.append(("wire_factor", "<f8"))
    stuck, drop = ("stuck", "<i1", (n,)), ("source_drop", "<f8", (rows,))
    return np.dtype([*per_cell, stuck, *per_column, drop, *of_effects, ("crc", "<u4")])


def state_dtype(profile: ChipProfile) -> np.dtype[Any]:
    """What changes: one slot of the chip's file holds one such record.

    ``memristor`` is the complete channel once relaxed; ``unrelaxed`` what it still has to lose, one value a decade
    of time. A trap with amplitude 0 is absent. Every cell has its own clocks, so that only those touched age.
    Effects that a profile does not have take no room.
    """
    cells, simulation = profile.geometry.rows * profile.geometry.columns, profile.simulation
    of_effects: list[Any] = []
    if profile.forming is not None:
        of_effects.append(("pristine", "?", (cells,)))
    if profile.temperature is not None:
        of_effects += [("warmth_k", "<f8"), ("warmth_until_s", "<f8")]
    k, decades = simulation.channels_max, simulation.relaxation_decades
    return np.dtype(
        [
            *SLOT_HEAD,
            ("relaxed_until_s", "<f8", (cells,)),
            ("noise_until_s", "<f8", (cells,)),
            ("random", "<u8", (6,)),
            ("memristor", "<f8", (cells,)),
            ("unrelaxed", "<f4", (decades, cells)),
            ("flicker", "<f4", (simulation.flicker_decades, cells)),
            ("trap_amplitude", "<f4", (k, cells)),
            ("trap_dwell_low_s", "<f4", (k, cells)),
            ("trap_dwell_high_s", "<f4", (k, cells)),
            ("trap_dissolve_v", "<f4", (k, cells)),
            ("trap_high", "?", (k, cells)),
            *of_effects,
            ("wear", "<u4", (cells,)),
        ]
    )


def make_generator(seed: int, array: int) -> np.random.Generator:
    """The one random stream of an array: small state, quick, and independent of every other array's."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(array,))))


def store_generator(generator: np.random.Generator, record: Record) -> None:
    """Put a generator's state into a record."""
    state: dict[str, Any] = dict(generator.bit_generator.state)
    record["random"][:4] = state["state"]["state"]
    record["random"][4:] = state["has_uint32"], state["uinteger"]


def restore_generator(generator: np.random.Generator, record: Record) -> None:
    """Bring a generator to the state in a record."""
    words = record["random"]
    generator.bit_generator.state = {
        "bit_generator": "SFC64",
        "state": {"state": words[:4].copy()},
        "has_uint32": int(words[4]),
        "uinteger": int(words[5]),
    }


def manufacture(silicon: Record, profile: ChipProfile, rng: np.random.Generator) -> None:
    """Fill in what differs from cell to cell and from column to column."""
    simulation, readout = profile.simulation, profile.readout
    n = silicon["stuck"].shape[0]

    def spread(width: float) -> NDArray[np.float64]:
        factor: NDArray[np.float64] = np.exp(width * rng.standard_normal(n))
        return factor

    silicon["transistor"] = spread(simulation.transistor_spread)
    for name in ("set_threshold_v", "reset_threshold_v"):
        silicon[name] = getattr(simulation, name) + simulation.threshold_spread_v * rng.standard_normal(n)
    silicon["slope_v"] = simulation.switching_slope_v * spread(simulation.switching_slope_spread)
    silicon["set_gate"] = simulation.set_gate_usiemens_per_v * spread(simulation.set_gate_spread)
    lot = rng.random(n)
    silicon["stuck"] = _fates(lot, simulation)
    silicon["column_offset_a"] = readout.offset_spread_a * rng.standard_normal(silicon["column_offset_a"].shape)
    silicon["column_gain"] = 1.0 + readout.gain_spread * rng.standard_normal(silicon["column_gain"].shape)
    silicon["source_drop"] = rng.uniform(readout.source_drop_min, readout.source_drop_max, silicon["source_drop"].shape)
    if profile.forming is not None:
        spread_v = profile.forming.threshold_spread_v * rng.standard_normal(n)
        silicon["form_threshold_v"] = profile.forming.threshold_v + spread_v
    if profile.wires is not None:
        silicon["wire_factor"] = max(1.0 + profile.wires.spread * rng.standard_normal(), 0.0)


def _fates(lot: NDArray[np.float64], simulation: Simulation) -> NDArray[np.int8]:
    """Say who is not alive: high and shorted cells drew the lowest lots, low, open and unformed ones the highest."""
    fate = np.zeros(len(lot), dtype=np.int8)
    high, low = simulation.stuck_high_fraction, simulation.stuck_low_fraction
    fate[lot < high + simulation.short_fraction] = SHORT
    fate[lot < high] = STUCK_HIGH
    fate[lot > 1.0 - (low + simulation.open_fraction + simulation.unformed_fraction)] = UNFORMED
    fate[lot > 1.0 - (low + simulation.open_fraction)] = OPEN
    fate[lot > 1.0 - low] = STUCK_LOW
    return fate


def deliver(state: Record, silicon: Record, profile: ChipProfile, rng: np.random.Generator) -> None:
    """Bring a new array to where the forming station leaves it, incomplete channels included; some come pristine."""
    simulation = profile.simulation
    n = state["memristor"].shape[0]
    start = simulation.initial_median_usiemens * np.exp(simulation.initial_spread * rng.standard_normal(n))
    stuck = silicon["stuck"]
    start[stuck == STUCK_HIGH] = simulation.stuck_high_usiemens
    start[stuck == STUCK_LOW] = simulation.stuck_low_usiemens
    state["memristor"] = np.clip(start, simulation.memristor_min_usiemens, simulation.memristor_max_usiemens)
    for fate, usiemens in ((SHORT, SHORT_USIEMENS), (OPEN, OPEN_USIEMENS), (UNFORMED, UNFORMED_USIEMENS)):
        state["memristor"][stuck == fate] = usiemens
    state["flicker"] = rng.standard_normal(state["flicker"].shape, dtype=np.float32)
    has_channel = stuck == 0
    if profile.forming is not None:
        state["pristine"] = has_channel & (rng.random(n) < profile.forming.pristine_fraction)
        state["memristor"][state["pristine"] | (stuck == UNFORMED)] = profile.forming.pristine_usiemens
        has_channel = has_channel & ~state["pristine"]
    wake_channels(state, np.arange(n), has_channel, simulation, rng, profile.islands)


def wake_channels(
    state: Record, at: IntArray, where: Mask, simulation: Simulation, rng: np.random.Generator, islands: Islands | None
) -> None:
    """Let as many incomplete channels appear as forming leaves behind, in those cells ``at`` where (n,) is true."""
    channels = rng.poisson(simulation.channels_initial_mean, len(at))
    for k in range(simulation.channels_max):
        plant_traps(state, k, at[(channels > k) & where], simulation, rng, islands)


def plant_traps(
    state: Record, k: int, at: IntArray, simulation: Simulation, rng: np.random.Generator, islands: Islands | None
) -> None:
    """Let an incomplete channel with its trap appear in place k of the cells ``at``."""
    n = len(at)
    decades = rng.uniform(math.log10(simulation.trap_dwell_min_s), math.log10(simulation.trap_dwell_max_s), n)
    ratio = simulation.trap_dwell_ratio_decades * rng.standard_normal(n)
    low_s, high_s = 10.0 ** (decades - ratio / 2), 10.0 ** (decades + ratio / 2)
    amplitude = simulation.trap_relative_amplitude * np.exp(simulation.trap_amplitude_spread * rng.standard_normal(n))
    if islands is None:
        dissolve_v = simulation.channel_dissolve_v + simulation.channel_dissolve_spread_v * rng.standard_normal(n)
    else:
        diameter = islands.diameter_cells + islands.diameter_spread_cells * rng.standard_normal(n)
        dissolve_v = effects.dissolve_v(islands, diameter)
    state["trap_amplitude"][k, at] = amplitude
    state["trap_dwell_low_s"][k, at], state["trap_dwell_high_s"][k, at] = low_s, high_s
    state["trap_dissolve_v"][k, at] = dissolve_v
    state["trap_high"][k, at] = rng.random(n) < high_s / (low_s + high_s)
