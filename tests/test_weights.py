"""Weights files: every format there and back, and what is refused."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from weights_cases import DTYPES, random_tensor, tensors, zipped

from memprog.errors import InputError
from memprog.tensors import Tensor, encode_safetensors, round_to, tensor_of
from memprog.weights import FORMATS, open_weights, write_weights

NUMPY_DTYPES = tuple(name for name in DTYPES if name != "BF16")


def npy(array: NDArray[Any], **options: Any) -> bytes:
    """The bytes NumPy itself writes for an array."""
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def safetensors(header: dict[str, Any], numbers: bytes) -> bytes:
    """A safetensors file that claims whatever its header says."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def same(first: Tensor, second: Tensor) -> bool:
    """Say whether two tensors agree bit for bit."""
    return (first.dtype, first.shape, first.bits.tobytes()) == (second.dtype, second.shape, second.bits.tobytes())


@given(named=st.dictionaries(st.text("zya./é", min_size=1), tensors(), min_size=1, max_size=5))
def test_safetensors_come_back_bit_for_bit_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, named: dict[str, Tensor]
) -> None:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    sha256 = write_weights(path, named, form="safetensors", metadata={"format": "pt"})
    weights = open_weights(path)
    assert list(weights.tensors) == list(named)
    assert all(same(weights.tensors[name], named[name]) for name in named)
    assert (weights.sha256, weights.format, dict(weights.metadata)) == (sha256, "safetensors", {"format": "pt"})


@given(named=st.dictionaries(st.sampled_from(["z", "y/a", "file", "a.b"]), tensors(), min_size=1))
def test_npz_come_back_bit_for_bit_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, named: dict[str, Tensor]
) -> None:
    path = tmp_path_factory.mktemp("weights") / "w.npz"
    named = {name: tensor for name, tensor in named.items() if tensor.dtype != "BF16"} or {"z": random_tensor(0, (2,))}
    write_weights(path, named, form="npz", metadata={})
    weights = open_weights(path)
    assert list(weights.tensors) == list(named)
    assert all(same(weights.tensors[name], named[name]) for name in named)
    with np.load(path) as archive:
        assert all(np.array_equal(archive[name], named[name].bits) for name in named)


@pytest.mark.parametrize("dtype", NUMPY_DTYPES)
def test_an_npy_holds_one_tensor_named_after_the_file(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "layer.npy"
    wanted = random_tensor(1, (3, 4), dtype)
    write_weights(path, {"layer": wanted}, form="npy", metadata={})
    assert same(open_weights(path).tensors["layer"], wanted)
    assert np.array_equal(np.load(path), wanted.bits)


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_tensors_give_the_same_bytes(tmp_path: Path, form: str) -> None:
    paths = [tmp_path / f"{name}.{form}" for name in ("first", "second")]
    for path in paths:
        write_weights(path, {"w": random_tensor(1, (3, 4))}, form=form, metadata={})
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_what_the_safetensors_library_writes_and_reads_is_what_memprog_reads_and_writes(tmp_path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.arange(3, dtype=np.int8),
    }
    save_file(arrays, tmp_path / "theirs.safetensors", {"format": "np"})
    weights = open_weights(tmp_path / "theirs.safetensors")
    path = tmp_path / "ours.safetensors"
    write_weights(path, weights.tensors, form="safetensors", metadata=weights.metadata)
    assert {name: array.tolist() for name, array in load_file(path).items()} == {
        name: array.tolist() for name, array in arrays.items()
    }


@pytest.mark.parametrize("dtype", [">f4", ">i2", ">f8"])
def test_big_endian_arrays_keep_their_numbers(tmp_path: Path, dtype: str) -> None:
    (tmp_path / "w.npy").write_bytes(npy(np.arange(6).reshape(2, 3).astype(dtype)))
    assert open_weights(tmp_path / "w.npy").tensors["w"].values().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_arrays_stored_by_columns_keep_their_places(tmp_path: Path) -> None:
    (tmp_path / "w.npy").write_bytes(npy(np.asfortranarray(np.arange(6.0).reshape(2, 3))))
    assert open_weights(tmp_path / "w.npy").tensors["w"].values().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_compressed_npz_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "w.npz", b=np.zeros((2, 2)), a=np.ones(2))
    assert list(open_weights(tmp_path / "w.npz").tensors) == ["b", "a"]


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "empty file": ("w.npy", b"", "holds 0 bytes"),
    "unknown suffix": ("w.bin", b"1234", r"weights come as \.npy, \.npz, \.safetensors"),
    "no suffix": ("w", b"1234", r"weights come as \.npy, \.npz, \.safetensors"),
    "not npy": ("w.npy", b"PK\3\4 and more", "not a whole .npy array"),
    "npy cut in header": ("w.npy", npy(np.ones((2, 2)))[:40], "not a whole .npy array"),
    "npy cut in numbers": ("w.npy", npy(np.ones((2, 2)))[:-1], r"claims float64 of shape \(2, 2\) but holds 31 bytes"),
    "npy with a tail": ("w.npy", npy(np.ones((2, 2))) + b"x", r"claims float64 of shape \(2, 2\) but holds 33 bytes"),
    "npy that lies": (
        "w.npy",
        npy(np.ones((2, 2))).replace(b"(2, 2), }" + b" " * 8, b"(-2, -2), }" + b" " * 6),
        r"claims float64 of shape \(-2, -2\)",
    ),
    "empty tensor": ("w.npy", npy(np.ones((2, 0))), r"tensor 'w' of shape \(2, 0\) is empty"),
    "NaN": ("w.npy", npy(np.array([[1.0, np.nan]])), "tensor 'w' holds NaN or infinity"),
    "infinity": ("w.npy", npy(np.array([[1.0, -np.inf]], np.float16)), "tensor 'w' holds NaN or infinity"),
    "text": ("w.npy", npy(np.array([["a", "b"]])), "dtype <U1 cannot be weights"),
    "pickle": ("w.npy", npy(np.array([[{}]], object), allow_pickle=True), "dtype object cannot be weights"),
    "complex": ("w.npy", npy(np.ones((2, 2), complex)), "dtype complex128 cannot be weights"),
    "boolean": ("w.npy", npy(np.ones((2, 2), bool)), "dtype bool cannot be weights"),
    "records": ("w.npy", npy(np.ones(2, [("a", "f4")])), "cannot be weights"),
    "dates": ("w.npy", npy(np.ones((2, 2), "M8[s]")), "cannot be weights"),
    "not npz": ("w.npz", npy(np.ones((2, 2))), "not a whole .npz archive"),
    "npz cut": ("w.npz", zipped({"a.npy": npy(np.ones((2, 2)))})[:-30], "not a whole .npz archive"),
    "npz of nothing": ("w.npz", zipped({}), "holds no tensor"),
    "npz of text": ("w.npz", zipped({"a.txt": b"a"}), "member 'a.txt' is not a .npy array"),
    "npz of a bad member": ("w.npz", zipped({"a.npy": b"a"}), "member 'a.npy': it is not a whole .npy array"),
    "npz of bzip2": (
        "w.npz",
        zipped({"a.npy": b"a"}, zipfile.ZIP_BZIP2),
        "compressed in a way that NumPy does not use",
    ),
    "bomb": ("w.npz", zipped({"a.npy": bytes(65 << 20)}, zipfile.ZIP_DEFLATED), "unfold to 68157440, which no weights"),
    "safetensors cut": (
        "w.safetensors",
        encode_safetensors({"a": random_tensor(0, (4, 4))}, {})[:-1],
        "not a whole safetensors file",
    ),
    "safetensors of nothing": ("w.safetensors", encode_safetensors({}, {}), "holds no tensor"),
    "safetensors that lie": (
        "w.safetensors",
        safetensors({"a": {"dtype": "F32", "shape": [2**60, 16], "data_offsets": [0, 8]}}, bytes(8)),
        "not a whole safetensors file",
    ),
    "float8": (
        "w.safetensors",
        safetensors({"a": {"dtype": "F8_E4M3", "shape": [2, 4], "data_offsets": [0, 8]}}, bytes(8)),
        "tensor 'a': dtype F8_E4M3 cannot be weights",
    ),
    "safetensors of booleans": (
        "w.safetensors",
        safetensors({"a": {"dtype": "BOOL", "shape": [2, 4], "data_offsets": [0, 8]}}, bytes(8)),
        "tensor 'a': dtype BOOL cannot be weights",
    ),
    "bfloat16 infinity": (
        "w.safetensors",
        encode_safetensors({"a": Tensor(bits=np.array([[0x7F80]], np.uint16), dtype="BF16")}, {}),
        "tensor 'a' holds NaN or infinity",
    ),
}


@pytest.mark.parametrize(("name", "data", "sentence"), REFUSED.values(), ids=REFUSED)
def test_unfit_files_are_refused_in_one_sentence(tmp_path: Path, name: str, data: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=sentence) as caught:
        open_weights(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_archive_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    twins = zipped({"a.npy": npy(np.ones((2, 2))), "b.npy": npy(np.ones((2, 2)))}).replace(b"b.npy", b"a.npy")
    (tmp_path / "w.npz").write_bytes(twins)
    with pytest.raises(InputError, match="two of its members have the same name"):
        open_weights(tmp_path / "w.npz")


@given(st.data())
def test_damaged_files_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    form = data.draw(st.sampled_from(["npz", "safetensors"]))
    path = tmp_path_factory.mktemp("weights") / f"w.{form}"
    write_weights(path, {"a": random_tensor(0, (4, 4)), "b": random_tensor(1, (3,))}, form=form, metadata={})
    bits = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(bits) - 1))
    bits[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bits[: data.draw(st.integers(1, len(bits)))])
    with contextlib.suppress(InputError):
        assert open_weights(path).tensors


def test_a_folder_or_nothing_is_refused(tmp_path: Path) -> None:
    for name in ("w.npy", "absent.npy"):
        (tmp_path / "w.npy").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="there is no such file"):
            open_weights(tmp_path / name)


def test_another_suffix_than_the_format_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"came as \.safetensors and go out as \.safetensors"):
        write_weights(tmp_path / "w.npz", {"w": random_tensor(0, (2, 2))}, form="safetensors", metadata={})
    assert not list(tmp_path.iterdir())


@given(value=st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_bfloat16_is_the_nearest_there_is(value: float) -> None:
    rounded = round_to(np.array([value]), "BF16")
    bits = int(rounded.bits[0])
    sign = bits & 0x8000
    around = [sign | min(max((bits & 0x7FFF) + step, 0), 0x7F7F) for step in (-1, 0, 1)]
    near = Tensor(bits=np.array(around, np.uint16), dtype="BF16").values()
    assert abs(rounded.values()[0] - value) == np.abs(near - value).min()


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_beyond_a_dtype_become_its_largest(dtype: str) -> None:
    big = round_to(np.array([-1.7e308, 1.7e308]), dtype)
    assert big.is_finite()
    assert big.values()[0] <= 0 < big.values()[1]


def test_integers_are_rounded_not_cut() -> None:
    assert round_to(np.array([1.6, -1.6, 300.0, -300.0]), "I8").bits.tolist() == [2, -2, 127, -128]
    assert round_to(np.array([-3.0, 254.7]), "U8").bits.tolist() == [0, 255]


@pytest.mark.parametrize("make", [np.asfortranarray, np.ascontiguousarray, lambda array: array[::-1, ::-1]], ids="fcr")
def test_any_layout_in_memory_is_the_same_tensor(make: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    array = make(np.arange(6.0).reshape(2, 3))
    assert tensor_of(array).bits.tobytes() == np.ascontiguousarray(array).tobytes()
