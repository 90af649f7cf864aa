"""Readbacks to weights: what the chip really holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from memprog.image import Image, Layer
from memprog.tensors import FloatArray, Tensor, round_to


def layer_weights(layer: Layer, conductances_usiemens: NDArray[Any]) -> FloatArray:
    """Turn conductances into the weights of one layer.

    Args:
        layer: where they stand and what a uS is worth.
        conductances_usiemens: (arrays, rows, columns) in uS; NaN where nothing is known.

    Returns:
        Weights in the layer's shape; NaN where either cell of the pair is NaN.
    """
    matrix = np.empty((layer.outputs, layer.inputs))
    for tile in layer.tiles:
        positive = conductances_usiemens[tile.positive].astype(np.float64)
        matrix[tile.block] = (positive - conductances_usiemens[tile.negative]).T
    return (matrix * layer.scale[:, np.newaxis]).reshape(layer.shape)


def rebuild(image: Image, conductances_usiemens: NDArray[Any]) -> dict[str, Tensor]:
    """Turn conductances into all tensors of the weights file: its names, order, shapes and dtypes.

    Args:
        image: how the weights stand on the chip, and what stayed digital, which comes back bit for bit.
        conductances_usiemens: (arrays, rows, columns) in uS, finite where the image holds a weight.
    """
    mapped = {layer.name: round_to(layer_weights(layer, conductances_usiemens), layer.dtype) for layer in image.layers}
    held = {**image.digital, **mapped}
    return {name: held[name] for name in image.tensor_order}
