"""Whether what a chip's file holds can be what a chip wrote: checksums, and bounds that no cell ever comes near."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from memprog.simchip.state import SHORT, UNFORMED, Record

MOST_S = 1e12
"""No clock shows more: beyond it a pulse would take no time."""
MOST_USIEMENS = 1e6
_DWELL_S = (1e-15, 1e20)

SILICON_BOUNDS: dict[str, tuple[float, float]] = {
    "transistor": (1e-6, 1e6),
    "set_threshold_v": (-100.0, 100.0),
    "reset_threshold_v": (-100.0, 100.0),
    "slope_v": (1e-9, 1e3),
    "set_gate": (0.0, 1e9),
    "stuck": (UNFORMED, SHORT),
    "column_offset_a": (-1.0, 1.0),
    "column_gain": (-100.0, 100.0),
    "source_drop": (0.0, 1.0),
    "form_threshold_v": (-1e3, 1e3),
    "wire_factor": (0.0, 1e3),
}
STATE_BOUNDS: dict[str, tuple[float, float]] = {
    "memristor": (0.0, MOST_USIEMENS),
    "unrelaxed": (-MOST_USIEMENS, MOST_USIEMENS),
    "flicker": (-1e3, 1e3),
    "trap_amplitude": (0.0, 1e6),
    "trap_dissolve_v": (-1e3, 1e3),
    "warmth_k": (-1e3, 1e3),
}


def checksum(record: Record) -> int:
    """CRC-32 of a record but for its own ``crc``; never 0, which means that there is none."""
    raw = np.reshape(record, 1).view(np.uint8).data
    at = record.dtype.fields["crc"][1]
    return zlib.crc32(raw[at + 4 :], zlib.crc32(raw[:at])) or 1


def flaw_of_silicon(silicon: Record) -> str | None:
    """Name the first thing in the silicon of an array that cannot be true, or None."""
    flaw = _out_of_bounds(silicon, SILICON_BOUNDS)
    if flaw is None and silicon["crc"] != checksum(silicon):
        return "the checksum of its silicon does not match"
    return flaw


def flaw_of_state(state: Record) -> str | None:
    """Name the first thing in the newest state of an array that cannot be true, or None."""
    flaw = _out_of_bounds(state, STATE_BOUNDS) or _flaw_of_times(state) or _flaw_of_counts(state)
    if flaw is None and state["crc"] not in (0, checksum(state)):
        return "its checksum does not match"
    return flaw


def _out_of_bounds(record: Record, bounds: dict[str, tuple[float, float]]) -> str | None:
    there = ((name, ends) for name, ends in bounds.items() if name in record.dtype.fields)
    return next((flaw for name, ends in there if (flaw := _beyond(name, record[name], ends))), None)


def _beyond(name: str, values: Any, ends: tuple[float, float]) -> str | None:
    """Say so where values, which may be none, do not all lie between the ends; NaN never does."""
    least, most = float(values.min(initial=ends[1])), float(values.max(initial=ends[0]))
    return None if ends[0] <= least and most <= ends[1] else f"{name} from {least:g} to {most:g}"


def _flaw_of_times(state: Record) -> str | None:
    """No cell lives in the future, and whoever has a trap has dwell times."""
    present = state["trap_amplitude"] > 0
    until = [name for name in ("relaxed_until_s", "noise_until_s", "warmth_until_s") if name in state.dtype.fields]
    found: Iterable[str | None] = (
        *(_beyond(name, state[name], (0.0, state["clock_s"])) for name in until),
        *(_beyond(name, state[name][present], _DWELL_S) for name in ("trap_dwell_low_s", "trap_dwell_high_s")),
    )
    return next((flaw for flaw in found if flaw), None)


def _flaw_of_counts(state: Record) -> str | None:
    """Every pulse wears one cell; a truth value is 0 or 1; a generator of zeros gives nothing but zeros."""
    worn = int(state["wear"].sum(dtype=np.uint64))
    if worn != state["pulses"]:
        return f"wear of {worn} after {state['pulses']} pulses"
    for name in ("trap_high", "pristine"):
        if name in state.dtype.fields and state[name].view(np.uint8).max(initial=0) > 1:
            return f"{name} neither true nor false"
    words = state["random"]
    return None if words[:4].any() and words[4] <= 1 and words[5] < 2**32 else "random state of no generator"


def flaw_of_heads(older: Record, newest: Record) -> str | None:
    """Name what cannot be true of the heads of the two slots of an array, or None."""
    generation = int(newest["generation"])
    if generation == 0:
        return "no whole state"
    if generation >= 2**62 or older["generation"] not in (0, generation - 1):
        return f"generation {generation} after {older['generation']}"
    for name in ("clock_s", "last_batch_s"):
        if not 0.0 <= newest[name] <= MOST_S:
            return f"{name} of {newest[name]:g}"
    if newest["last_batch"] < -1 or (newest["last_batch"] < 0) != (newest["pulses"] == 0):
        return f"last batch {newest['last_batch']} after {newest['pulses']} pulses"
    return None
