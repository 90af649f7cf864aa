"""One array as NumPy's .npy: checked before it is believed, never unpickled."""

from __future__ import annotations

import io
import math
import tokenize
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from memprog.errors import InputError, brief
from memprog.tensors import Tensor, dtype_name, tensor_of

_HEADER = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
# What NumPy, tokenize and the parser of literals raise on damaged headers.
_DAMAGES = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    SyntaxError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
)


def decode_npy(data: bytes) -> Tensor:
    """Take the bytes of a .npy file of weights apart.

    Raises:
        InputError: truncated, a shape that does not match the bytes, objects, or another unfit dtype.
    """
    return tensor_of(decode_array(data, dtype_name))


def decode_array(data: bytes, check_dtype: Callable[[np.dtype[Any]], object]) -> NDArray[Any]:
    """Take the bytes of any .npy file apart; check_dtype refuses what must not be in it, objects first of all.

    Raises:
        InputError: truncated, a shape that does not match the bytes, or what check_dtype refuses.
    """
    shape, by_columns, dtype, body = _split(data)
    check_dtype(dtype)
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != len(body):
        raise InputError(f"it claims {dtype} of shape {brief(shape)} but holds {len(body)} bytes of numbers")
    try:
        return np.frombuffer(body, dtype).reshape(shape, order="F" if by_columns else "C")
    except ValueError as error:
        raise InputError(f"it claims the shape {brief(shape)}, which no array can have") from error


def _split(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], memoryview]:
    """Read the header; NumPy's warning about files of Python 2 is not the operator's concern."""
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, by_columns, dtype = _HEADER[npy_format.read_magic(stream)](stream)
    except _DAMAGES as error:
        raise InputError("it is not a whole .npy array of version 1 or 2") from error
    return shape, by_columns, dtype, memoryview(data)[stream.tell() :]


def encode_npy(tensors: Mapping[str, Tensor]) -> bytes:
    """Write the one tensor there is as .npy, which has no place for its name."""
    (tensor,) = tensors.values()
    stream = io.BytesIO()
    npy_format.write_array(stream, tensor.bits, version=(1, 0), allow_pickle=False)
    return stream.getvalue()
