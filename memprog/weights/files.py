"""Opening and writing weights files of every format, and the checks that hold for all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from memprog.errors import InputError, brief
from memprog.files import read_whole, replace_whole
from memprog.tensors import Tensor, decode_safetensors, encode_safetensors
from memprog.weights.npy import decode_npy, encode_npy
from memprog.weights.npz import decode_npz, encode_npz


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """The tensors of one weights file in its order, none empty, all finite.

    ``name`` is the file's, without folders; ``format`` one of FORMATS; ``sha256`` of its bytes; ``metadata`` what a
    safetensors file says beside its tensors, empty for other formats.
    """

    name: str
    format: str
    sha256: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]

    def __post_init__(self) -> None:
        """Refuse what cannot be written into conductances."""
        if not self.tensors:
            raise InputError("it holds no tensor")
        for name, tensor in self.tensors.items():
            if not tensor.bits.size:
                raise InputError(f"tensor '{brief(name)}' of shape {brief(tensor.shape)} is empty")
            if not tensor.is_finite():
                raise InputError(f"tensor '{brief(name)}' holds NaN or infinity")


@dataclass(frozen=True, slots=True)
class _Format:
    """How one format's bytes become tensors, given the file's stem, and back."""

    decode: Callable[[bytes, str], tuple[dict[str, Tensor], dict[str, str]]]
    encode: Callable[[Mapping[str, Tensor], Mapping[str, str]], bytes]


_FORMATS: Mapping[str, _Format] = {
    "npy": _Format(lambda data, stem: ({stem: decode_npy(data)}, {}), lambda tensors, _: encode_npy(tensors)),
    "npz": _Format(lambda data, _: (decode_npz(data), {}), lambda tensors, _: encode_npz(tensors)),
    "safetensors": _Format(lambda data, _: decode_safetensors(data), encode_safetensors),
}
FORMATS = tuple(_FORMATS)
"""Names of the formats; each is also the suffix of its files."""


def open_weights(path: Path) -> Weights:
    """Read a weights file; its suffix says which format it is.

    Raises:
        InputError: no such file, an unknown suffix, truncated, pickled, a dtype that weights cannot have, a tensor
            that is empty or not finite, or a file that unfolds to more than memory should hold.
    """
    name = _format_of(path)
    data = read_whole(path)
    try:
        tensors, metadata = _FORMATS[name].decode(data, path.stem)
        sha256 = hashlib.sha256(data).hexdigest()
        return Weights(name=path.name, format=name, sha256=sha256, tensors=tensors, metadata=metadata)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def write_weights(path: Path, tensors: Mapping[str, Tensor], *, form: str, metadata: Mapping[str, str]) -> str:
    """Write tensors in their order as the format ``form``, in one step, and give the SHA-256 of the file.

    Raises:
        InputError: the path's suffix is another format's, or the folder cannot be written to.
    """
    check_suffix(path, form)
    data = _FORMATS[form].encode(tensors, metadata)
    replace_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def check_suffix(path: Path, form: str) -> None:
    """Refuse a file whose suffix is not that of the format its weights came in.

    Raises:
        InputError: it is not.
    """
    if path.suffix.removeprefix(".").lower() != form:
        raise InputError(f"{path}: the weights came as .{form} and go out as .{form}; nothing was written")


def _format_of(path: Path) -> str:
    name = path.suffix.removeprefix(".").lower()
    if name not in _FORMATS:
        raise InputError(f"{path}: weights come as {', '.join(f'.{known}' for known in FORMATS)}")
    return name
