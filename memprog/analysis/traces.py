"""Traces of current over time, as .npz archives or as CSV.

A trace file, format 1, is a .npz of ``time_s`` (n,), ``bias_v`` (n,) and ``current_a`` (n,) or (cells, n); it may also
hold ``format_version`` (1), ``array``, ``row``, ``column`` and ``bias_scale`` (cells,), and ``simulated``. ``time_s``
counts from the first sample of each cell, so that it is one for all, whether cells were sensed in turn or one after
the other; it rises, and jumps between stretches. ``bias_v`` may change from stretch to stretch; the voltage that was
really across a cell is ``bias_v`` times its ``bias_scale``. ``current_a`` is the current, less the reading at zero
volts where memprog took it; NaN throughout where a cell could not be read. One cell also fits into a CSV with the
columns ``time_s,bias_v,current_a``.

Nothing in a file is executed, and what an archive claims to unfold to is checked before it is: at most 1 GiB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memprog.analysis import tables
from memprog.analysis.tables import Column, decode_table
from memprog.chip import Cells, FloatArray
from memprog.errors import InputError, brief
from memprog.files import beginning, read_whole, refuse_unwritable, replace_whole
from memprog.tensors import Tensor, tensor_of
from memprog.weights.npy import decode_array
from memprog.weights.npz import encode_npz, unfolded

FORMAT_VERSION = 1
MAX_BYTES = 1 << 30
"""The most a trace file may hold, packed or not."""
TRACE = "trace"
"""How a CSV names itself."""
_NEEDED = ("time_s", "bias_v", "current_a")
_PLACE = ("array", "row", "column")
_KNOWN = (*_NEEDED, "format_version", *_PLACE, "bias_scale", "simulated")
_COLUMNS = tuple(Column(name=name) for name in _NEEDED)
_ZIP_BEGINS = b"PK"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traces:
    """Currents of cells over one time axis; see the module.

    ``time_s`` and ``bias_v`` are (n,), ``current_a`` (cells, n) in float32 or float64, NaN throughout where a cell
    could not be read. ``cells`` and ``bias_scale`` (cells,) are None where the file does not say.
    """

    time_s: FloatArray
    bias_v: FloatArray
    current_a: NDArray[Any]
    cells: Cells | None = None
    bias_scale: FloatArray | None = None
    simulated: bool | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together, and times that do not rise."""
        n = len(self.time_s) if self.time_s.ndim == 1 else 0
        if n < 1 or self.bias_v.shape != (n,) or self.current_a.ndim != 2 or self.current_a.shape[1] != n:
            shapes = ", ".join(f"{name} {getattr(self, name).shape}" for name in _NEEDED)
            raise InputError(f"traces need (n,), (n,) and (cells, n) values, n at least 1; there are {shapes}")
        if not (np.isfinite(self.time_s).all() and np.isfinite(self.bias_v).all()):
            raise InputError("traces have a time or a bias that is no number")
        if np.any(np.diff(self.time_s) <= 0):
            k = int(np.argmax(np.diff(self.time_s) <= 0)) + 1
            raise InputError(f"the times of traces must rise; sample {k} comes no later than the one before it")
        if np.isinf(self.current_a).any():
            raise InputError("traces have an infinite current")
        count = len(self.current_a)
        for name, found in (("places", self.cells), ("bias_scale", self.bias_scale)):
            if found is not None and len(found) != count:
                raise InputError(f"traces of {count} cells come with {name} of {len(found)}")

    def conductance_usiemens(self) -> FloatArray:
        """Give (cells, n) conductances in uS; NaN where the current is, or where there is no bias."""
        scale = np.ones(len(self.current_a)) if self.bias_scale is None else self.bias_scale
        bias_v = np.where(self.bias_v == 0, np.nan, self.bias_v)
        return np.asarray(self.current_a / (scale[:, None] * bias_v) * 1e6)


def read_traces(path: Path) -> Traces:
    """Read a .npz or .csv of traces.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    return read_traces_and_hash(path)[0]


def read_traces_and_hash(path: Path) -> tuple[Traces, str]:
    """Read traces, and give the SHA-256 of the bytes they were read from, too; raises as read_traces."""
    if path.suffix not in _READERS:
        raise InputError(f"{path}: traces are read from .npz or .csv")
    decode, most_bytes = _READERS[path.suffix]
    data = read_whole(path, most_bytes)
    try:
        return decode(data), hashlib.sha256(data).hexdigest()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _decode_csv(data: bytes) -> Traces:
    found = decode_table(data, TRACE, _COLUMNS).columns
    return Traces(time_s=found["time_s"], bias_v=found["bias_v"], current_a=found["current_a"][None, :])


def decode_traces(data: bytes) -> Traces:
    """Take the bytes of a .npz of traces apart; see read_traces."""
    found = unfolded(data, lambda member: decode_array(member, _check_dtype), MAX_BYTES)
    for name in found:
        if name not in _KNOWN:
            raise InputError(f"there is no '{brief(name, 40)}' in traces; there may be {', '.join(_KNOWN)}")
    for name in _NEEDED:
        if name not in found:
            raise InputError(f"'{name}' is missing")
    version = _single(found, "format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise InputError(f"format {brief(version)}; this memprog reads {FORMAT_VERSION}")
    simulated = _single(found, "simulated", None)
    current_a = found["current_a"]
    return Traces(
        time_s=_numbers(found["time_s"]),
        bias_v=_numbers(found["bias_v"]),
        current_a=_currents(current_a if current_a.ndim != 1 else current_a[None, :]),
        cells=_cells(found),
        bias_scale=_scale(found),
        simulated=None if simulated is None else bool(simulated),
    )


def encode_traces(traces: Traces) -> bytes:
    """Write traces as .npz: same traces, same bytes.

    Raises:
        InputError: they are more than can be read again.
    """
    if traces.current_a.nbytes + 2 * traces.time_s.nbytes >= MAX_BYTES:
        raise InputError(f"{traces.current_a.nbytes} bytes of currents are more than a trace file may hold")
    named: dict[str, NDArray[Any]] = {
        "format_version": np.array(FORMAT_VERSION),
        "time_s": traces.time_s,
        "bias_v": traces.bias_v,
        "current_a": traces.current_a,
    }
    if traces.cells is not None:
        named |= {name: getattr(traces.cells, name) for name in _PLACE}
    if traces.bias_scale is not None:
        named["bias_scale"] = traces.bias_scale
    if traces.simulated is not None:
        named["simulated"] = np.array(int(traces.simulated), dtype=np.uint8)
    return encode_npz(_tensors(named))


def write_traces(path: Path, traces: Traces) -> bytes:
    """Put traces in the place of an archive, and give their bytes.

    Raises:
        InputError: they cannot be written, or something that is no archive stands there.
    """
    refuse_other_than_archive(path)
    data = encode_traces(traces)
    replace_whole(path, data)
    return data


def refuse_other_than_archive(path: Path) -> None:
    """Refuse to write traces where something else lies than an archive, or nothing.

    Raises:
        InputError: it does.
    """
    refuse_unwritable(path)
    begins = beginning(path)
    if begins and not begins.startswith(_ZIP_BEGINS):
        raise InputError(f"{path}: holds something that is no archive and would be lost; nothing was written")


def _tensors(named: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {name: tensor_of(values) for name, values in named.items()}


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise InputError(f"dtype {brief(dtype)} cannot be part of a trace")


def _single(found: Mapping[str, NDArray[Any]], name: str, default: Any) -> Any:
    if name not in found:
        return default
    if found[name].size != 1:
        raise InputError(f"'{name}' must be one value, not {found[name].shape}")
    return found[name].ravel()[0].item()


def _numbers(values: NDArray[Any]) -> FloatArray:
    if values.dtype.kind == "b":
        raise InputError("a trace of true and false is none")
    with np.errstate(invalid="ignore"):  # a NaN that signals stays one
        return values.astype(np.float64)


def _currents(values: NDArray[Any]) -> NDArray[Any]:
    """Currents in the precision they came in, in the byte order of this machine."""
    single = values.dtype.kind == "f" and values.dtype.itemsize <= 4
    return values.astype(np.float32) if single else _numbers(values)


def _cells(found: Mapping[str, NDArray[Any]]) -> Cells | None:
    there = [name for name in _PLACE if name in found]
    if not there:
        return None
    if len(there) < len(_PLACE):
        raise InputError(f"the place of a cell is {', '.join(_PLACE)}; there is only {', '.join(there)}")
    for name in _PLACE:
        values = found[name]
        whole = values.dtype.kind in "iu" and not np.any(values < 0)
        if not whole or np.any(values > np.iinfo(np.int64).max):
            raise InputError(f"'{name}' must hold whole numbers, none below 0")
    array, row, column = (np.atleast_1d(found[name]).astype(np.int64) for name in _PLACE)
    return Cells(array=array, row=row, column=column)


def _scale(found: Mapping[str, NDArray[Any]]) -> FloatArray | None:
    if "bias_scale" not in found:
        return None
    scale = np.atleast_1d(_numbers(found["bias_scale"]))
    if scale.ndim != 1 or not (np.isfinite(scale) & (scale > 0)).all():
        raise InputError("'bias_scale' must be (cells,) numbers above 0")
    return scale


_READERS: Mapping[str, tuple[Callable[[bytes], Traces], int]] = {
    ".npz": (decode_traces, MAX_BYTES),
    ".csv": (_decode_csv, tables.MAX_BYTES),
}
"""By ending: how the bytes are taken apart, and how many there may be."""
