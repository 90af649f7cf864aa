"""Tensors bit for bit, whatever their dtype, and the safetensors container that carries them.

The safetensors library reads, because it checks what a file claims. Writing is done here: the library sorts tensors,
and a file that is exported must keep the order of the file it came from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from memprog.errors import InputError, brief

FloatArray = NDArray[np.float64]

# BF16, which NumPy lacks, is kept as its 16 bits.
_STORED_AS: Mapping[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("<i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("<u1"),
}
_NAME_OF = {(stored.kind, stored.itemsize): name for name, stored in _STORED_AS.items() if name != "BF16"}
_deserialize: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = deserialize
_BF16_MAX = float.fromhex("0x1.fep+127")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tensor:
    """Numbers as a file holds them.

    ``bits`` has the tensor's shape and is little-endian; BF16 stands in it as uint16. ``dtype`` is a safetensors name:
    F64, F32, F16, BF16, or a signed or unsigned integer of 8 to 64 bits such as I8 or U16.
    """

    bits: NDArray[Any]
    dtype: str

    def __post_init__(self) -> None:
        """Refuse bits that are not of the dtype."""
        if self.bits.dtype != stored_as(self.dtype):
            raise InputError(f"bits of type {self.bits.dtype} cannot be a tensor of {self.dtype}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis; () is a single number."""
        return self.bits.shape

    def values(self) -> FloatArray:
        """Give the numbers in float64: exact, except for integers above 2**53."""
        return self._numbers().astype(np.float64)

    def is_finite(self) -> bool:
        """Say whether there is neither NaN nor infinity in it."""
        return bool(np.isfinite(self._numbers()).all())

    def _numbers(self) -> NDArray[Any]:
        if self.dtype != "BF16":
            return self.bits
        return (self.bits.astype(np.uint32) << 16).view(np.float32)


def stored_as(dtype: str) -> np.dtype[Any]:
    """Say how NumPy keeps a dtype.

    Raises:
        InputError: not a dtype that weights can have.
    """
    if dtype not in _STORED_AS:
        raise InputError(f"dtype {brief(dtype)} cannot be weights; there are {', '.join(_STORED_AS)}")
    return _STORED_AS[dtype]


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Name a NumPy dtype as safetensors does, of either byte order.

    Raises:
        InputError: objects, text, booleans, complex and extended numbers cannot be weights.
    """
    name = _NAME_OF.get((dtype.kind, dtype.itemsize))
    if name is None:
        raise InputError(f"dtype {brief(dtype)} cannot be weights; there are {', '.join(_STORED_AS)}")
    return name


def tensor_of(array: NDArray[Any]) -> Tensor:
    """Take a NumPy array as it is, big-endian ones turned.

    Raises:
        InputError: a dtype that weights cannot have.
    """
    name = dtype_name(array.dtype)
    return Tensor(bits=np.asarray(array, dtype=_STORED_AS[name], order="C"), dtype=name)


def round_to(values: FloatArray, dtype: str) -> Tensor:
    """Bring numbers, NaN excluded, into a dtype: the nearest it has, the largest it has for what lies beyond."""
    stored = stored_as(dtype)
    if dtype == "BF16":
        return Tensor(bits=_bf16_bits(values), dtype=dtype)
    if stored.kind == "f":
        top = float(np.finfo(stored).max)
        return Tensor(bits=values.clip(-top, top).astype(stored), dtype=dtype)
    low, high = np.iinfo(stored).min, np.iinfo(stored).max
    top = float(high)
    if int(top) > high:  # 2**63 - 1 is not a float64; its neighbour below is
        top = float(np.nextafter(top, 0.0))
    return Tensor(bits=np.rint(values).clip(low, top).astype(stored), dtype=dtype)


def _bf16_bits(values: FloatArray) -> NDArray[np.uint16]:
    """Round to nearest, ties to even, by carrying into the upper half of a float32."""
    bits = values.clip(-_BF16_MAX, _BF16_MAX).astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def decode_safetensors(data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Take a safetensors file apart: tensors in the order of its header, and its metadata.

    Raises:
        InputError: truncated, offsets or shapes that lie, a dtype that weights cannot have.
    """
    try:
        found = dict(_deserialize(data))
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")], object_pairs_hook=_each_name_once)
    except (SafetensorError, ValueError, RecursionError) as error:
        raise InputError(f"not a whole safetensors file: {brief(error)}") from error
    metadata = header.pop("__metadata__", None) or {}
    return {name: _tensor(name, found[name]) for name in header}, metadata


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name twice, of which the library would keep the last in silence."""
    named: dict[str, Any] = {}
    for name, value in pairs:
        if name in named:
            raise InputError(f"its header names '{brief(name)}' twice")
        named[name] = value
    return named


def _tensor(name: str, entry: Mapping[str, Any]) -> Tensor:
    try:
        stored = stored_as(entry["dtype"])
        return Tensor(bits=np.frombuffer(entry["data"], stored).reshape(entry["shape"]), dtype=entry["dtype"])
    except InputError as error:
        raise InputError(f"tensor '{brief(name)}': {error}") from error
    except ValueError as error:
        raise InputError(f"tensor '{brief(name)}': its shape is none an array can have") from error


def encode_safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Put tensors, in their order, and metadata into the bytes of a safetensors file; same input, same bytes."""
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.bits.nbytes
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *(tensor.bits.tobytes() for tensor in tensors.values())])
