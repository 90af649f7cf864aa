"""Small chips and made-up weights for the tests of weights, mapping, image, load-weights and export."""

from __future__ import annotations

import dataclasses
import io
import math
import zipfile
from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from memprog.profile import ChipProfile, Geometry, bundled_profile
from memprog.tensors import Tensor, round_to
from memprog.weights import Weights

DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8")


def small_profile(*, arrays: int = 500, rows: int = 8, columns: int = 10, levels: int = 2048) -> ChipProfile:
    """The default chip with fewer cells, and as many levels as asked for."""
    profile = bundled_profile("rao2023-11bit")
    geometry = Geometry(arrays=arrays, rows=rows, columns=columns)
    return dataclasses.replace(profile, geometry=geometry, levels=dataclasses.replace(profile.levels, count=levels))


def random_tensor(seed: int, shape: tuple[int, ...], dtype: str = "F32") -> Tensor:
    """Normal numbers of the sizes that a dtype holds comfortably."""
    spread = 40.0 if dtype[0] in "IU" else 0.1
    values = spread * np.random.default_rng(seed).standard_normal(shape)
    return round_to(np.asarray(values), dtype)


def weights_of(tensors: Mapping[str, Tensor]) -> Weights:
    """Weights as if read from a safetensors file."""
    return Weights(
        name="made-up.safetensors", format="safetensors", sha256="5e" * 32, tensors=tensors, metadata={"made": "up"}
    )


def shapes(*, min_dims: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of a few axes, of which some make more than one tile on a small chip."""
    return st.lists(st.integers(1, 13), min_size=min_dims, max_size=4).map(tuple).filter(lambda s: math.prod(s) < 400)


def tensors(*, min_dims: int = 0) -> st.SearchStrategy[Tensor]:
    """Tensors of any dtype and of shapes()."""
    return st.builds(random_tensor, st.integers(0, 2**32), shapes(min_dims=min_dims), st.sampled_from(DTYPES))


def some_weights() -> st.SearchStrategy[Weights]:
    """Up to five tensors, at least one of them a matrix, in an order that is not that of their names."""
    rest = st.dictionaries(st.sampled_from("zyxabc"), tensors(), max_size=4)
    matrix = tensors(min_dims=2)
    return st.builds(lambda first, rest: weights_of({**rest, "m.weight": first}), matrix, rest)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of the given members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()
