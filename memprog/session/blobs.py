"""What batches look like in the journal: as small as exactness allows, and the same numbers the loop decides on.

What is the same for all cells is kept once. Cells are the smallest integers that hold them; volts and readbacks
float32; the deviation and the correlation of samples, whose third digit means nothing, float16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memprog.chip import Cells, FloatArray, IntArray, Pulses, Reading, conductance_usiemens
from memprog.errors import InputError
from memprog.protocol import Seen

Blob = Mapping[str, NDArray[Any]]

_FLOAT16_MAX = float(np.finfo(np.float16).max)


def seen_blob(reading: Reading) -> dict[str, NDArray[Any]]:
    """Pack what a look saw: conductances at the sensed voltage, offset subtracted."""
    conductance = conductance_usiemens(reading.current_a, reading.offset_a, reading.sense_v)
    return {
        "readback_usiemens": conductance.astype(np.float32),
        "noise_usiemens": _float16(reading.current_std_a / reading.sense_v * 1e6),
        "lag1": _float16(reading.lag1),
        "status": once(reading.status),
        "time_s": np.array([reading.time_s.max(initial=0.0)]),
    }


def seen_of(blob: Blob) -> Seen:
    """Unpack what a look saw.

    Raises:
        InputError: fields are missing or do not fit each other.
    """
    try:
        readback = blob["readback_usiemens"].astype(np.float64)
        n = readback.shape
        return Seen(
            readback_usiemens=readback,
            noise_usiemens=np.broadcast_to(blob["noise_usiemens"].astype(np.float64), n),
            lag1=np.broadcast_to(blob["lag1"].astype(np.float64), n),
            status=np.broadcast_to(blob["status"].astype(np.uint8), n),
            time_s=float(blob["time_s"][0]),
        )
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise InputError(f"a look in the journal is not whole: {error}") from error


def pulse_blob(cells: Cells, pulses: Pulses, columns: int) -> dict[str, NDArray[Any]]:
    """Pack a batch of pulses to cells of one array."""
    return {
        "cell": _small(cells.row * columns + cells.column),
        "bias": once(pulses.bias),
        "amplitude_v": once(pulses.amplitude_v.astype(np.float32)),
        "gate_v": once(pulses.gate_v.astype(np.float32)),
        "width_ns": once(pulses.width_ns.astype(np.uint32)),
    }


def cells_of(blob: Blob) -> IntArray:
    """Flat index (n,) of the cells of a batch of pulses."""
    return blob["cell"].astype(np.int64)


def pulses_of(blob: Blob) -> Pulses:
    """Unpack a batch of pulses, volts as rounded.

    Raises:
        InputError: fields are missing or do not fit each other.
    """
    try:
        n = blob["cell"].shape
        return Pulses(
            bias=np.broadcast_to(blob["bias"].astype(np.uint8), n),
            amplitude_v=np.broadcast_to(blob["amplitude_v"].astype(np.float64), n),
            gate_v=np.broadcast_to(blob["gate_v"].astype(np.float64), n),
            width_ns=np.broadcast_to(blob["width_ns"].astype(np.int64), n),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"a batch in the journal is not whole: {error}") from error


def same_blob(one: Blob, other: Blob) -> bool:
    """Say whether two blobs hold the same, bit for bit."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name]) for name in one
    )


def _float16(values: FloatArray) -> NDArray[np.float16]:
    return np.clip(values, -_FLOAT16_MAX, _FLOAT16_MAX).astype(np.float16)


def once(values: NDArray[Any]) -> NDArray[Any]:
    """Keep one of values (n,) that are all the same; reading broadcasts it again."""
    return values[:1] if len(values) and (values == values[0]).all() else values


def _small(values: IntArray) -> NDArray[Any]:
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
