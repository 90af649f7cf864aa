"""One array as NumPy's .npy: checked before it is believed, never unpickled."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import numpy as np
from numpy.lib import format as npy_format

from memprog.errors import InputError
from memprog.tensors import Tensor, dtype_name, tensor_of

_HEADER = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


def decode_npy(data: bytes) -> Tensor:
    """Take the bytes of a .npy file apart.

    Raises:
        InputError: truncated, a shape that does not match the bytes, objects, or another unfit dtype.
    """
    stream = io.BytesIO(data)
    try:
        shape, by_columns, dtype = _HEADER[npy_format.read_magic(stream)](stream)
    except (ValueError, KeyError) as error:
        raise InputError("it is not a whole .npy array of version 1 or 2") from error
    dtype_name(dtype)
    body = memoryview(data)[stream.tell() :]
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != len(body):
        raise InputError(f"it claims {dtype} of shape {shape} but holds {len(body)} bytes of numbers")
    return tensor_of(np.frombuffer(body, dtype).reshape(shape, order="F" if by_columns else "C"))


def encode_npy(tensors: Mapping[str, Tensor]) -> bytes:
    """Write the one tensor there is as .npy, which has no place for its name."""
    (tensor,) = tensors.values()
    stream = io.BytesIO()
    npy_format.write_array(stream, tensor.bits, version=(1, 0), allow_pickle=False)
    return stream.getvalue()
