"""The target image: what every cell should be, and how weights are rebuilt from readbacks.

The file is safetensors with one metadata key, ``memprog``, that holds sorted JSON; the same image gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memprog.errors import ImageError, InputError, brief
from memprog.files import beginning, read_whole, replace_whole
from memprog.tensors import FloatArray, Tensor, decode_safetensors, encode_safetensors, stored_as

FORMAT_VERSION = 2
DIFFERENTIAL = "differential"
_METADATA_KEY = "memprog"
_TARGETS = "targets"
_DIGITAL = "digital/"
_MAX_HEADER = 100_000_000  # what the safetensors library takes at most
# What a table raises in which a thing is missing, or is something else than it should be.
_DAMAGES = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, MemoryError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Where a piece of a layer's matrix stands on the chip: rows are inputs, a pair of columns is an output.

    ``array``, ``row`` and ``column`` are the upper left cell; ``inputs`` and ``outputs`` the size of the piece;
    ``first_input`` and ``first_output`` its place in the matrix.
    """

    array: int
    row: int
    column: int
    inputs: int
    outputs: int
    first_input: int
    first_output: int

    def __post_init__(self) -> None:
        """Refuse what is not a place."""
        if not all(type(value) is int and value >= 0 for value in dataclasses.astuple(self)):
            raise ImageError(f"a tile's numbers must be whole and not negative: {brief(self)}")
        if not (self.inputs and self.outputs):
            raise ImageError(f"a tile of {self.inputs} inputs x {self.outputs} outputs holds nothing")

    @property
    def positive(self) -> tuple[int, slice, slice]:
        """Index of the G+ cells in (arrays, rows, columns); they stand as (inputs, outputs)."""
        return self.array, slice(self.row, self.row + self.inputs), self._columns(0)

    @property
    def negative(self) -> tuple[int, slice, slice]:
        """Index of the G- cells, each to the right of its G+."""
        return self.array, slice(self.row, self.row + self.inputs), self._columns(1)

    @property
    def block(self) -> tuple[slice, slice]:
        """Index of the piece in the layer's matrix (outputs, inputs)."""
        outputs = slice(self.first_output, self.first_output + self.outputs)
        return outputs, slice(self.first_input, self.first_input + self.inputs)

    def _columns(self, offset: int) -> slice:
        return slice(self.column + offset, self.column + 2 * self.outputs, 2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One tensor of the weights file as a matrix (outputs, inputs) of conductance pairs.

    ``shape`` and ``dtype`` are those of the file; the first axis is the outputs, the others together the inputs.
    ``scale`` (outputs,) is weight per uS: w = scale (G+ - G-); 0 for an output whose weights are all zero.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    encoding: str
    scale: FloatArray
    tiles: tuple[Tile, ...]

    def __post_init__(self) -> None:
        """Refuse a layer whose weights do not each have exactly one place."""
        if self.encoding != DIFFERENTIAL:
            raise ImageError(
                f"layer '{brief(self.name)}' has encoding '{brief(self.encoding)}'; this memprog knows {DIFFERENTIAL}"
            )
        if len(self.shape) < 2 or min(self.shape) < 1:
            raise ImageError(f"layer '{brief(self.name)}' of shape {brief(self.shape)} is no matrix")
        stored_as(self.dtype)
        fine = self.scale.shape == (self.outputs,) and np.isfinite(self.scale).all() and (self.scale >= 0).all()
        if not fine:
            raise ImageError(f"layer '{brief(self.name)}' needs {self.outputs} finite scales, none below 0")
        self._check_cover()

    @property
    def outputs(self) -> int:
        """Rows of the matrix."""
        return self.shape[0]

    @property
    def inputs(self) -> int:
        """Columns of the matrix: the product of all axes but the first."""
        return math.prod(self.shape[1:])

    def _check_cover(self) -> None:
        weights = sum(tile.inputs * tile.outputs for tile in self.tiles)
        if weights != self.outputs * self.inputs:
            raise ImageError(
                f"layer '{brief(self.name)}' has {self.outputs * self.inputs} weights, its tiles hold {brief(weights)}"
            )
        covered = np.zeros((self.outputs, self.inputs), dtype=np.bool_)
        for tile in self.tiles:
            covered[tile.block] = True
        if not covered.all():
            raise ImageError(f"layer '{brief(self.name)}' has weights that no tile holds")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Image:
    """What every cell should be, and all it takes to turn readbacks into the weights file again.

    ``targets_usiemens`` is float32 (arrays, rows, columns) in uS; NaN means leave the cell alone. It has the arrays
    that are used, which can be fewer than the chip's. ``digital`` holds, bit for bit, the tensors that are not on the
    chip; ``tensor_order`` names those and the layers in the order of the weights file, whose safetensors metadata is
    ``weights_metadata``. ``sha256`` is of the image file's bytes, empty before there is one.
    """

    profile_name: str
    profile_sha256: str
    weights_sha256: str
    weights_name: str
    weights_format: str
    layers: tuple[Layer, ...]
    digital: Mapping[str, Tensor]
    targets_usiemens: NDArray[np.float32]
    tensor_order: tuple[str, ...] = ()
    weights_metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sha256: str = ""

    def __post_init__(self) -> None:
        """Refuse targets that no cell can have, and tiles that are not on the chip or on each other's cells."""
        targets = self.targets_usiemens
        if targets.ndim != 3 or targets.dtype != np.float32 or not targets.size:
            raise ImageError(
                f"targets are {targets.dtype} {targets.shape}; they must be float32 (arrays, rows, columns)"
            )
        if np.isinf(targets).any() or (targets <= 0).any():
            raise ImageError("targets must be above 0 uS and finite, or NaN where a cell is left alone")
        if sorted(self.tensor_order) != sorted([*self.digital, *(layer.name for layer in self.layers)]):
            raise ImageError("the order of the tensors does not name each layer and each digital tensor once")
        self._check_places()

    def _check_places(self) -> None:
        taken = np.zeros(self.targets_usiemens.shape, dtype=np.bool_)
        for layer in self.layers:
            for tile in layer.tiles:
                _take(taken, tile, layer.name)
        if np.isnan(self.targets_usiemens[taken]).any():
            raise ImageError("a cell that holds a weight has no target")


def _take(taken: NDArray[np.bool_], tile: Tile, name: str) -> None:
    """Mark the cells of a tile, which must be on the chip and free."""
    arrays, rows, columns = taken.shape
    end_row, end_column = tile.row + tile.inputs, tile.column + 2 * tile.outputs
    if tile.array >= arrays or end_row > rows or end_column > columns:
        raise ImageError(
            f"layer '{brief(name)}' has a tile outside {arrays} arrays of {rows} x {columns}: {brief(tile)}"
        )
    cells = taken[tile.array, tile.row : end_row, tile.column : end_column]
    if cells.any():
        raise ImageError(f"layer '{brief(name)}' has a tile on cells that are taken: {brief(tile)}")
    cells[...] = True


def write_image(path: Path, image: Image) -> str:
    """Write an image file in one step and give the SHA-256 of its bytes, which the image read back has.

    Raises:
        InputError: the folder cannot be written to, or another file than an image is there; it still is.
    """
    if beginning(path) and not _is_image(path):
        raise InputError(f"{path}: holds something else than an image, which would be lost; nothing was written")
    targets = image.targets_usiemens.astype("<f4", order="C")
    tensors = {_TARGETS: Tensor(bits=targets, dtype="F32")}
    tensors |= {_DIGITAL + name: tensor for name, tensor in image.digital.items()}
    table = _table(image)
    table["checksum"] = checksum_of(table, tensors)
    data = encode_safetensors(tensors, {_METADATA_KEY: json.dumps(table, sort_keys=True)})
    replace_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def _is_image(path: Path) -> bool:
    """Say whether a file begins as an image of any version does, whole or not."""
    length = int.from_bytes(beginning(path, 8), "little")
    try:
        header = json.loads(beginning(path, 8 + min(length, _MAX_HEADER))[8:])
        return set(header["__metadata__"]) == {_METADATA_KEY}
    except _DAMAGES:
        return False


def read_image(path: Path) -> Image:
    """Read an image file and check that it hangs together.

    Raises:
        ImageError: no such file, truncated, of another version, or not an image.
    """
    try:
        data = read_whole(path)
    except InputError as error:
        raise ImageError(str(error)) from error
    try:
        tensors, metadata = decode_safetensors(data)
        table = _parse(metadata)
        said, found = table.pop("checksum"), checksum_of(table, tensors)
        image = _image(tensors, table, hashlib.sha256(data).hexdigest())
        if said != found:
            raise ImageError("it is damaged: it does not fit its checksum; load the weights again")
        return image
    except InputError as error:
        raise ImageError(f"{path}: cannot be used as an image: {error}") from error
    except _DAMAGES as error:
        reason = brief(f"{type(error).__name__}: {error}")
        raise ImageError(f"{path}: cannot be used as an image: its layer table is damaged ({reason})") from error


def _table(image: Image) -> dict[str, Any]:
    """Everything but the tensors, as JSON can hold it."""
    return {
        "format_version": FORMAT_VERSION,
        "profile": {"name": image.profile_name, "sha256": image.profile_sha256},
        "weights": {
            "name": image.weights_name,
            "sha256": image.weights_sha256,
            "format": image.weights_format,
            "metadata": dict(image.weights_metadata),
            "tensor_order": image.tensor_order,
        },
        "layers": [_layer_table(layer) for layer in image.layers],
    }


def _layer_table(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "shape": layer.shape,
        "dtype": layer.dtype,
        "encoding": layer.encoding,
        "scale": layer.scale.tolist(),
        "tiles": [dataclasses.asdict(tile) for tile in layer.tiles],
    }


def checksum_of(table: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 of all that an image file says, but the checksum itself; against damage, not against malice."""
    found = zlib.crc32(json.dumps(table, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found = zlib.crc32(json.dumps([name, tensor.dtype, tensor.bits.shape]).encode(), found)
        found = zlib.crc32(tensor.bits.tobytes(), found)
    return found


def _parse(metadata: Mapping[str, str]) -> dict[str, Any]:
    if set(metadata) != {_METADATA_KEY}:
        raise ImageError("it is a safetensors file, but memprog did not write it")
    table: dict[str, Any] = json.loads(metadata[_METADATA_KEY])
    version = table["format_version"]
    if type(version) is not int or version != FORMAT_VERSION:
        raise ImageError(f"it has format version {brief(version)}; this memprog reads {FORMAT_VERSION}")
    return table


def _image(tensors: dict[str, Tensor], table: Mapping[str, Any], sha256: str) -> Image:
    weights, profile = table["weights"], table["profile"]
    targets = tensors.pop(_TARGETS).bits
    strangers = [name for name in tensors if not name.startswith(_DIGITAL)]
    if strangers:
        raise ImageError(f"it holds a tensor '{brief(strangers[0])}', which images do not")
    return Image(
        profile_name=_text(profile["name"]),
        profile_sha256=_text(profile["sha256"]),
        weights_sha256=_text(weights["sha256"]),
        weights_name=_text(weights["name"]),
        weights_format=_text(weights["format"]),
        layers=tuple(_layer(entry, targets.size // 2) for entry in table["layers"]),
        targets_usiemens=targets,
        digital={name.removeprefix(_DIGITAL): tensor for name, tensor in tensors.items()},
        tensor_order=tuple(_text(name) for name in weights["tensor_order"]),
        weights_metadata={_text(key): _text(value) for key, value in weights["metadata"].items()},
        sha256=sha256,
    )


def _layer(entry: Mapping[str, Any], pairs: int) -> Layer:
    """Read one layer, which can have as many weights as the image has pairs of cells, and no more."""
    shape = tuple(entry["shape"])
    if not all(type(length) is int for length in shape) or math.prod(shape) > pairs:
        raise ImageError(f"a layer of shape {brief(shape)} does not fit {pairs} pairs of cells")
    return Layer(
        name=_text(entry["name"]),
        shape=shape,
        dtype=entry["dtype"],
        encoding=entry["encoding"],
        scale=np.array(entry["scale"], dtype=np.float64),
        tiles=tuple(Tile(**tile) for tile in entry["tiles"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ImageError(f"'{brief(value)}' stands where a text should")
    return value
