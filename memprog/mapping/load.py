"""Weights to an image, and what that cost in precision and cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memprog.image import DIFFERENTIAL, Image, Layer, Tile
from memprog.mapping.pairs import Pairs, encode_pairs
from memprog.mapping.place import place_layers
from memprog.mapping.precision import relative_error
from memprog.mapping.select import select_layers
from memprog.profile import ChipProfile, Geometry, Levels
from memprog.tensors import FloatArray, Tensor
from memprog.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSummary:
    """What became of one tensor.

    ``scale_min`` and ``scale_max`` are weight per uS, over the outputs. ``error_rms_relative`` is the rms of
    quantised - original over the rms of the original, ``error_max_relative`` the largest such error over the largest
    weight; both 0 for a layer of zeros. ``clipped_fraction`` is the share of weights beyond the outermost level.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    outputs: int
    inputs: int
    tiles: tuple[Tile, ...]
    scale_min: float
    scale_max: float
    error_rms_relative: float
    error_max_relative: float
    clipped_fraction: float

    @property
    def arrays(self) -> tuple[int, ...]:
        """Numbers of the arrays that hold it."""
        return tuple(sorted({tile.array for tile in self.tiles}))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSummary:
    """What became of a weights file; ``digital`` names the tensors that are not on the chip."""

    layers: tuple[LayerSummary, ...]
    digital: tuple[str, ...]
    arrays_used: int
    arrays_available: int
    cells_used: int
    fill_fraction: float


def map_weights(
    weights: Weights, profile: ChipProfile, only: Sequence[str] = (), skip: Sequence[str] = ()
) -> tuple[Image, LoadSummary]:
    """Map the matrices of a weights file onto a kind of chip.

    Every tensor of two or more dimensions is one matrix: its first axis is the outputs, the others the inputs.

    Args:
        weights: what was read.
        profile: gives levels and geometry.
        only: shell patterns of the tensors to map; without any, all.
        skip: shell patterns of tensors that stay digital.

    Raises:
        InputError: a pattern matches nothing, nothing is left to map, or the chip has too few arrays.
    """
    chosen = select_layers(weights.tensors, only, skip)
    shapes = {name: _matrix_shape(weights.tensors[name]) for name in chosen}
    places = place_layers(shapes, profile.geometry)
    targets = _blank(list(places.values()), profile.geometry)
    mapped = [_map_layer(name, weights.tensors[name], places[name], profile.levels, targets) for name in chosen]
    image = Image(
        profile_name=profile.name,
        profile_sha256=profile.sha256,
        weights_sha256=weights.sha256,
        weights_name=weights.name,
        weights_format=weights.format,
        layers=tuple(layer for layer, _ in mapped),
        digital={name: tensor for name, tensor in weights.tensors.items() if name not in shapes},
        targets_usiemens=targets,
        tensor_order=tuple(weights.tensors),
        weights_metadata=weights.metadata,
    )
    return image, _summary(image, tuple(summary for _, summary in mapped), profile.geometry)


def _matrix_shape(tensor: Tensor) -> tuple[int, int]:
    return tensor.shape[0], math.prod(tensor.shape[1:])


def _blank(places: Sequence[tuple[Tile, ...]], geometry: Geometry) -> NDArray[np.float32]:
    arrays = 1 + max(tile.array for tiles in places for tile in tiles)
    return np.full((arrays, geometry.rows, geometry.columns), np.nan, dtype=np.float32)


def _map_layer(
    name: str, tensor: Tensor, tiles: tuple[Tile, ...], levels: Levels, targets_usiemens: NDArray[np.float32]
) -> tuple[Layer, LayerSummary]:
    """Write one layer's targets into its cells."""
    matrix = tensor.values().reshape(_matrix_shape(tensor))
    pairs = encode_pairs(matrix, levels)
    positive_usiemens, negative_usiemens = pairs.positive_usiemens(), pairs.negative_usiemens()
    for tile in tiles:
        targets_usiemens[tile.positive] = positive_usiemens[tile.block].T
        targets_usiemens[tile.negative] = negative_usiemens[tile.block].T
    layer = Layer(
        name=name, shape=tensor.shape, dtype=tensor.dtype, encoding=DIFFERENTIAL, scale=pairs.scale, tiles=tiles
    )
    return layer, _layer_summary(layer, matrix, pairs)


def _layer_summary(layer: Layer, matrix: FloatArray, pairs: Pairs) -> LayerSummary:
    rms, largest = relative_error(pairs.weights(), matrix)
    return LayerSummary(
        name=layer.name,
        shape=layer.shape,
        dtype=layer.dtype,
        outputs=layer.outputs,
        inputs=layer.inputs,
        tiles=layer.tiles,
        scale_min=float(layer.scale.min()),
        scale_max=float(layer.scale.max()),
        error_rms_relative=rms,
        error_max_relative=largest,
        clipped_fraction=pairs.clipped / matrix.size,
    )


def _summary(image: Image, layers: tuple[LayerSummary, ...], geometry: Geometry) -> LoadSummary:
    targets = image.targets_usiemens
    cells_used = int(np.count_nonzero(~np.isnan(targets)))
    return LoadSummary(
        layers=layers,
        digital=tuple(image.digital),
        arrays_used=len(targets),
        arrays_available=geometry.arrays,
        cells_used=cells_used,
        fill_fraction=cells_used / targets.size,
    )
