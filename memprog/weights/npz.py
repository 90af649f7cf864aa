"""Named arrays as NumPy's .npz: a zip of .npy members, whose declared sizes are checked before anything is unfolded."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import TypeVar

from memprog.errors import InputError, brief
from memprog.files import MAX_BYTES
from memprog.tensors import Tensor
from memprog.weights.npy import decode_npy, encode_npy

Member = TypeVar("Member")

_SUFFIX = ".npy"
_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
# Trained weights hardly compress; a small file that claims a thousand times its size is not weights.
_SUSPECT_RATIO = 200
_HARMLESS_BYTES = 64 << 20
# What zipfile raises on damaged, encrypted or foreign archives.
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    OverflowError,
    MemoryError,
)


def decode_npz(data: bytes) -> dict[str, Tensor]:
    """Take the bytes of a .npz file of weights apart, in the order of its members.

    Raises:
        InputError: not a zip, damaged, encrypted, unfolding to too much, or a member that is not a fit array.
    """
    return unfolded(data, decode_npy)


def unfolded(data: bytes, decode: Callable[[bytes], Member], most_bytes: int = MAX_BYTES) -> dict[str, Member]:
    """Take the bytes of any .npz file apart, in the order of its members, each decoded by a function of its bytes.

    Raises:
        InputError: not a zip, damaged, encrypted, unfolding to more than most_bytes, or what decode refuses.
    """
    if not data.startswith(_STARTS):  # zipfile would look for an archive further on
        raise InputError("not a whole .npz archive: it does not start as one")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members, len(data), most_bytes)
            return {member.filename.removesuffix(_SUFFIX): _member(archive, member, decode) for member in members}
    except _DAMAGES as error:
        raise InputError(f"not a whole .npz archive: {brief(error)}") from error


def _check_members(members: list[zipfile.ZipInfo], packed: int, most_bytes: int) -> None:
    for member in members:
        if not member.filename.endswith(_SUFFIX):
            raise InputError(f"member '{brief(member.filename)}' is not a .npy array")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"member '{brief(member.filename)}' is compressed in a way that NumPy does not use")
    if len({member.filename for member in members}) < len(members):
        raise InputError("two of its members have the same name")
    unfolded_bytes = sum(member.file_size for member in members)
    if unfolded_bytes > most_bytes or unfolded_bytes > max(_HARMLESS_BYTES, _SUSPECT_RATIO * packed):
        raise InputError(f"its {packed} bytes unfold to {unfolded_bytes}, which no weights or traces do")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, decode: Callable[[bytes], Member]) -> Member:
    try:
        with archive.open(member) as stream:
            # With a size: without one, zipfile unfolds all there is before it looks at what the member claims.
            return decode(stream.read(member.file_size))
    except InputError as error:
        raise InputError(f"member '{brief(member.filename)}': {error}") from error


def encode_npz(tensors: Mapping[str, Tensor]) -> bytes:
    """Write tensors as an uncompressed .npz, in their order; same input, same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, tensor in tensors.items():
            # A ZipInfo of its own carries no time of day.
            archive.writestr(zipfile.ZipInfo(name + _SUFFIX), encode_npy({name: tensor}))
    return stream.getvalue()
