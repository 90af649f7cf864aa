"""Files made by hand to do harm: bombs, lies, pickles, names that steer. Each is made when it is asked for."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from weights_cases import random_tensor, zipped

from memprog.image import checksum_of
from memprog.tensors import encode_safetensors

PROFILE_TEXT = (Path(__file__).parent.parent / "profiles" / "rao2023-11bit.yaml").read_text(encoding="utf-8")
Make = Callable[[], bytes]


class Canary:
    """Makes a file named canary where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, ("canary", "w")


def npy(shape: str, *, dtype: str = "'<f4'", body: bytes = bytes(16), version: bytes = b"\x01\x00") -> bytes:
    """A .npy file whose header says what it likes."""
    return npy_header(f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode(), body, version)


def npy_header(header: bytes, body: bytes = bytes(16), version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + body


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([[Canary(), 1.0]], dtype=object), allow_pickle=True)
    return stream.getvalue()


def deflated(members: dict[str, bytes]) -> bytes:
    return zipped(members, zipfile.ZIP_DEFLATED)


def lying_bomb() -> bytes:
    """A member that claims 144 bytes and unfolds to 300 MB."""
    head = npy("(2, 2)")
    size = 300 << 20
    data = deflated({"a.npy": head + bytes(size - len(head))})
    true, claimed = struct.pack("<L", size), struct.pack("<L", len(head))
    assert data.count(true) == 2
    return data.replace(true, claimed)


def many_members() -> bytes:
    """Thousands of members of one number each, all of them fine but for the last."""
    one = npy("(1,)", body=bytes(4))
    return zipped({**{f"{k}.npy": one for k in range(3_000)}, "last.npy": b"x"})


def zip_patched(old: bytes, new: bytes) -> bytes:
    """A sound archive with some of its bytes replaced."""
    data = zipped({"a.npy": npy("(2, 2)")})
    assert old in data
    return data.replace(old, new)


def safetensors(header: Any, body: bytes = bytes(16), length: int | None = None) -> bytes:
    """A safetensors file whose header says what it likes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def entry(shape: Any = (2, 2), start: Any = 0, end: Any = 16, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


FINE = b'{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}'
DEEP = b"[" * 100_000

WEIGHTS: dict[str, tuple[str, Make]] = {
    "pickle": ("w.npy", pickled),
    "pickle and nothing else": ("w.npy", lambda: pickle.dumps(Canary())),
    "100 GB in 1 KB": ("w.npy", lambda: npy("(5000, 5000000)")),
    "more than memory has addresses": ("w.npy", lambda: npy(f"({2**62}, {2**62})")),
    "negative": ("w.npy", lambda: npy("(-2, -2)")),
    "none of too many": ("w.npy", lambda: npy(f"(0, {2**62}, {2**62})", body=b"")),
    "100 axes": ("w.npy", lambda: npy(f"({'1,' * 100})", body=bytes(4))),
    "digits without end": ("w.npy", lambda: npy(f"({'9' * 8000},)")),
    "fractions": ("w.npy", lambda: npy("(2.0, 2)")),
    "names": ("w.npy", lambda: npy("(__import__('os').system('touch canary'),)")),
    "unhashable": ("w.npy", lambda: npy_header(b"{[]: 1}")),
    "unary without end": ("w.npy", lambda: npy_header(b"-" * 9000 + b"1")),
    "parentheses without end": ("w.npy", lambda: npy_header(b"(" * 9000)),
    "header of NUL": ("w.npy", lambda: npy_header(bytes(100))),
    "byte order mark": ("w.npy", lambda: b"\xef\xbb\xbf" + npy("(2, 2)")),
    "unterminated": ("w.npy", lambda: npy_header(b"{'descr': '<f4")),
    "version 3": ("w.npy", lambda: npy("(2, 2)", version=b"\x03\x00")),
    "records with objects": ("w.npy", lambda: npy("(2,)", dtype="[('a', '|O'), ('b', '<f4')]")),
    "dtype of a terabyte": ("w.npy", lambda: npy("(1,)", dtype="'V999999999999'")),
    "dtype by name": ("w.npy", lambda: npy("(1,)", dtype="'memprog.errors'")),
    "bomb that says so": ("w.npz", lambda: deflated({"a.npy": bytes(66 << 20)})),
    "bomb that lies": ("w.npz", lying_bomb),
    "many members": ("w.npz", many_members),
    "archive in an archive": ("w.npz", lambda: deflated({"a.npz": deflated({"a.npy": npy("(2, 2)")})})),
    "archive as a member": ("w.npz", lambda: deflated({"a.npy": deflated({"a.npy": npy("(2, 2)")})})),
    "pickle in an archive": ("w.npz", lambda: deflated({"a.npy": pickled()})),
    "way out": ("w.npz", lambda: deflated({"../../canary.npy": b"x"})),
    "way out without suffix": ("w.npz", lambda: deflated({"../../canary": npy("(2, 2)")})),
    "names that steer": ("w.npz", lambda: deflated({"\x1b[2J.npy": b"x"})),
    "member of 100 GB": ("w.npz", lambda: deflated({"a.npy": npy("(5000, 5000000)")})),
    "encrypted": (
        "w.npz",
        lambda: zip_patched(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"),
    ),
    "header beyond the end": ("w.safetensors", lambda: safetensors({"a": entry()}, length=2**40)),
    "header of 2**64": ("w.safetensors", lambda: safetensors({"a": entry()}, length=2**64 - 1)),
    "header of nothing": ("w.safetensors", lambda: safetensors(b"", length=0)),
    "overlapping": ("w.safetensors", lambda: safetensors({"a": entry(), "b": entry([2], 8, 16)})),
    "gap": ("w.safetensors", lambda: safetensors({"a": entry([2], 0, 8), "b": entry([1], 12, 16)})),
    "beyond the end": ("w.safetensors", lambda: safetensors({"a": entry([2, 4], 0, 32)})),
    "backwards": ("w.safetensors", lambda: safetensors({"a": entry((2, 2), 16, 0)})),
    "negative offset": ("w.safetensors", lambda: safetensors({"a": entry((2, 2), -16, 0)})),
    "negative shape": ("w.safetensors", lambda: safetensors({"a": entry([-2, -2])})),
    "shape of 100 GB": ("w.safetensors", lambda: safetensors({"a": entry([5000, 5_000_000])})),
    "shape that overflows": ("w.safetensors", lambda: safetensors({"a": entry([2**63, 2])})),
    "too many axes": ("w.safetensors", lambda: safetensors({"a": entry([1] * 100, 0, 4)}, bytes(4))),
    "nothing times too much": ("w.safetensors", lambda: safetensors({"a": entry([0, 2**62, 2**62], 0, 0)}, b"")),
    "name twice": ("w.safetensors", lambda: safetensors(b'{"a":' + FINE + b',"a":' + FINE + b"}")),
    "name twice in disguise": ("w.safetensors", lambda: safetensors(b'{"a":' + FINE + b',"\\u0061":' + FINE + b"}")),
    "metadata twice": (
        "w.safetensors",
        lambda: safetensors(b'{"__metadata__":{"a":"1","a":"2"},"a":' + FINE + b"}"),
    ),
    "metadata that is none": ("w.safetensors", lambda: safetensors({"__metadata__": {"a": {"b": 1}}, "a": entry()})),
    "deep header": ("w.safetensors", lambda: safetensors(b'{"a":' + DEEP)),
    "mark in front": ("w.safetensors", lambda: safetensors(b'\xef\xbb\xbf{"a":' + FINE + b"}")),
    "name of a megabyte": ("w.safetensors", lambda: safetensors({"n" * (1 << 20): entry(dtype="BOOL")}, bytes(16))),
    "name that steers": ("w.safetensors", lambda: safetensors({"\x1b[2J\x00\n": entry([16], dtype="BOOL")})),
}
"""Name of the file and how it is made; none of them is weights."""


def image_table(**changes: Any) -> bytes:
    """An image of one array of 4 x 4 cells, and one layer, whose table is changed."""
    tile = dict.fromkeys(("array", "row", "column", "first_input", "first_output"), 0) | {"inputs": 4, "outputs": 2}
    layer = {"name": "a", "shape": [2, 4], "dtype": "F32", "encoding": "differential", "scale": [1.0, 1.0]}
    table = {
        "format_version": 2,
        "profile": {"name": "rao2023-11bit", "sha256": "0"},
        "weights": {"name": "w", "sha256": "0", "format": "npy", "metadata": {}, "tensor_order": ["a"]},
        "layers": [layer | {"tiles": [tile | changes.pop("tile", {})]} | changes.pop("layer", {})],
    }
    more = changes.pop("tensors", {})
    targets = random_tensor(0, (1, 4, 4))
    targets.bits[...] = 100.0
    tensors = {"targets": targets, **more}
    table |= changes
    with contextlib.suppress(ValueError, RecursionError):  # of what JSON cannot hold
        table["checksum"] = checksum_of(table, tensors)
    return encode_safetensors(tensors, {"memprog": json.dumps(table)})


HUGE = 10**11
IMAGES: dict[str, Make] = {
    "layer of 100 GB": lambda: image_table(
        layer={"shape": [1, HUGE], "scale": [1.0]}, tile={"inputs": HUGE, "outputs": 1}
    ),
    "layer of 4 GB": lambda: image_table(
        layer={"shape": [1, 1 << 32], "scale": [1.0]}, tile={"inputs": 1 << 32, "outputs": 1}
    ),
    "tile of digits without end": lambda: image_table(tile={"inputs": 10**4000}),
    "another version": lambda: image_table(format_version=1),
    "version as text": lambda: image_table(format_version="1"),
    "version of digits": lambda: image_table(format_version=10**4000),
    "profile that is a list": lambda: image_table(profile={"name": ["a"], "sha256": "0"}),
    "profile that is nothing": lambda: image_table(profile={"name": None, "sha256": "0"}),
    "metadata that is a list": lambda: image_table(
        weights={"name": "w", "sha256": "0", "format": "npy", "metadata": [], "tensor_order": ["a"]}
    ),
    "tensor of nobody": lambda: image_table(tensors={"stranger": random_tensor(1, (2,))}),
    "shape of fractions": lambda: image_table(layer={"shape": [2.0, 4.0]}),
    "name that steers": lambda: image_table(layer={"name": "\x1b[2J", "encoding": "\x07" * 10_000}),
    "table that is deep": lambda: encode_safetensors(
        {"targets": random_tensor(0, (1, 4, 4))}, {"memprog": DEEP.decode()}
    ),
    "table twice": lambda: safetensors(
        b'{"__metadata__":{"memprog":"{}","memprog":"{}"},"targets":'
        b'{"dtype":"F32","shape":[1,2,2],"data_offsets":[0,16]}}'
    ),
}
"""Each is a safetensors file and none an image."""

PROFILE_NAMES = ("a\x00b.yaml", "\ud800.yaml", "/dev/zero.yaml", "../" * 2000 + "x.yaml", "\x1b[2J", "x" * 10_000, ".")
"""Names of a profile that an image might carry."""


def renamed(name: str) -> bytes:
    return PROFILE_TEXT.replace("name: rao2023-11bit", f"name: {name}", 1).encode("utf-8", "surrogateescape")


def rows(value: str) -> bytes:
    return PROFILE_TEXT.replace("rows: {value: 256", f"rows: {{value: {value}", 1).encode()


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
PROFILES: dict[str, Make] = {
    "aliases that explode": ALIASES.encode,
    "mapping that merges": lambda: b"<<: {name: x}\n" + PROFILE_TEXT.encode(),
    "deep lists": lambda: b"[" * 200_000,
    "deep mappings": lambda: b"{a: " * 50_000,
    "deep indentation": lambda: "".join(" " * k + "a:\n" for k in range(600)).encode(),
    "key of 200 KB": lambda: b"k" * 200_000 + b": 1\n" + PROFILE_TEXT.encode(),
    "key that steers": lambda: PROFILE_TEXT.encode() + b'\n"\\e[2J": 1\n',
    "many keys": lambda: "".join(f"k{n}: 1\n" for n in range(15_000)).encode(),
    "NUL": lambda: PROFILE_TEXT.encode() + b"\0",
    "not UTF-8": lambda: PROFILE_TEXT.encode() + b"\n# \xff\n",
    "UTF-16": lambda: PROFILE_TEXT.encode("utf-16"),
    "larger than any": lambda: PROFILE_TEXT.encode() + b"#" * (1 << 20),
    "two documents": lambda: PROFILE_TEXT.encode() * 2 + b"---\n" + PROFILE_TEXT.encode(),
    "tag that calls": lambda: b'!!python/object/apply:builtins.open ["canary", "w"]\n',
    "tag that makes": lambda: b'a: !!python/object/new:os.system ["touch canary"]\n',
    "whole number of nothing": lambda: rows("!!int ''"),
    "fraction of nothing": lambda: rows("!!float ''"),
    "truth of nothing": lambda: rows("!!bool maybe"),
    "time of nothing": lambda: rows("!!timestamp never"),
    "day that is none": lambda: rows("2001-99-99"),
    "digits without end": lambda: rows("9" * 10_000),
    "hexadecimal without end": lambda: rows("0x" + "f" * 10_000),
    "whole and huge": lambda: rows("1.0e299"),
    "half a surrogate": lambda: renamed('"\\ud800"'),
    "name too long for a chip": lambda: renamed("n" * 65),
    "name that steers": lambda: renamed('"\\e[2J"'),
    "name with a way out": lambda: renamed("../../x"),
    "another version": lambda: PROFILE_TEXT.replace("format_version: 1", "format_version: 2", 1).encode(),
}
"""None of them is a profile."""
