"""Turn the conductances of a chip into a weights file of the format the weights came in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from memprog.errors import InputError
from memprog.image import Image, Layer
from memprog.mapping import layer_weights, rebuild, relative_error
from memprog.report.load import ExportedLayer, ExportReport
from memprog.tensors import FloatArray
from memprog.weights import write_weights


def export_weights(
    image: Image,
    conductances_usiemens: FloatArray,
    out_path: Path,
    *,
    simulated: bool | None = None,
    chip: Mapping[str, Any] | None = None,
) -> ExportReport:
    """Write the weights as the chip holds them: names, order, shapes and dtypes of the file they came from.

    Args:
        image: what was programmed.
        conductances_usiemens: (arrays, rows, columns) in uS of at least the image's arrays; NaN where unread.
        out_path: file to write; its suffix must be that of the weights' format.
        simulated: whether the chip is, for the report.
        chip: who it is, for the report.

    Raises:
        InputError: a cell that holds a weight is unread, or the file cannot be written; nothing was written.
    """
    _check_readings(image, conductances_usiemens)
    tensors = rebuild(image, conductances_usiemens)
    sha256 = write_weights(out_path, tensors, form=image.weights_format, metadata=image.weights_metadata)
    return ExportReport(
        simulated=simulated,
        chip=chip,
        path=str(out_path),
        sha256=sha256,
        format=image.weights_format,
        image_sha256=image.sha256,
        layers=[_compare(layer, image, conductances_usiemens) for layer in image.layers],
        digital=list(image.digital),
    )


def _check_readings(image: Image, conductances_usiemens: FloatArray) -> None:
    arrays, *size = image.targets_usiemens.shape
    found = conductances_usiemens.shape
    if len(found) != 3 or found[0] < arrays or list(found[1:]) != size:
        raise InputError(f"readings of shape {found} do not fit an image of {arrays} arrays of {size[0]} x {size[1]}")
    tiles = [tile for layer in image.layers for tile in layer.tiles]
    cells = 2 * sum(tile.inputs * tile.outputs for tile in tiles)
    read = sum(
        int(np.isfinite(conductances_usiemens[place]).sum())
        for tile in tiles
        for place in (tile.positive, tile.negative)
    )
    if read < cells:
        raise InputError(f"{cells - read} of {cells} cells that hold weights have no reading; nothing was written")


def _compare(layer: Layer, image: Image, conductances_usiemens: FloatArray) -> ExportedLayer:
    targeted = layer_weights(layer, image.targets_usiemens)
    rms, largest = relative_error(layer_weights(layer, conductances_usiemens), targeted)
    return ExportedLayer(
        name=layer.name, shape=layer.shape, dtype=layer.dtype, error_rms_relative=rms, error_max_relative=largest
    )
