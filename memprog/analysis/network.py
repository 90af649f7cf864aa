"""The demo's network: its shipped weights, its held-out images, and how well weights do on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from memprog.errors import InputError

LAYERS = ("hidden", "output")
"""Layers in the order the signal takes; each has a ``.weight`` (out, in) and a ``.bias`` (out,)."""

PIXEL_MAX = 16.0


def demo_tensors_path() -> Path:
    """Where the demo's weights file lies."""
    return Path(str(files("memprog") / "demo_data" / "digits.safetensors"))


def demo_tensors(path: Path | None = None) -> dict[str, NDArray[Any]]:
    """Load the demo's weights and biases: as they were trained, or as a file exported from a chip holds them."""
    return load_file(path or demo_tensors_path())


def heldout_digits() -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Load the images the network was not trained on.

    Returns:
        Images (n, 64), 0 blank to 1 full ink; labels (n,), 0 to 9.
    """
    with np.load(demo_tensors_path().with_name("digits_heldout.npz"), allow_pickle=False) as held_out:
        return held_out["images"] / PIXEL_MAX, held_out["labels"]


def classify(tensors: Mapping[str, NDArray[Any]], images: NDArray[np.float64]) -> NDArray[np.int64]:
    """Say which digit the network sees on each image.

    Args:
        tensors: weights and biases of all LAYERS, any real dtype.
        images: (n, inputs), scaled as heldout_digits gives them.

    Returns:
        Labels (n,).
    """
    signal = images
    for name in LAYERS:
        if name != LAYERS[0]:
            signal = np.maximum(signal, 0.0)
        signal = signal @ tensors[f"{name}.weight"].astype(np.float64).T + tensors[f"{name}.bias"]
    labels: NDArray[np.int64] = signal.argmax(axis=1)
    return labels


def accuracy(
    tensors: Mapping[str, NDArray[Any]], images: NDArray[np.float64], labels: NDArray[np.integer[Any]]
) -> float:
    """Share of the images (n, inputs) that the network labels as labels (n,) do, 0 to 1."""
    return float(np.mean(classify(tensors, images) == labels))


def signal_to_noise_db(wanted: Mapping[str, NDArray[Any]], got: Mapping[str, NDArray[Any]]) -> float:
    """Power of the wanted weights over power of what got differs by, in dB, over all weights together.

    Tensors of fewer than two dimensions stay digital, so they do not count. Infinite where nothing differs; NaN where
    a weight of got is NaN.

    Raises:
        InputError: got lacks a weight tensor, or has it in another shape.
    """
    signal = noise = 0.0
    for name, tensor in wanted.items():
        if tensor.ndim < 2:
            continue
        if name not in got or got[name].shape != tensor.shape:
            raise InputError(f"tensor '{name}' of shape {tensor.shape} is missing, or has another shape there")
        weights = tensor.astype(np.float64)
        signal += float(np.sum(weights**2))
        noise += float(np.sum((got[name].astype(np.float64) - weights) ** 2))
    if noise == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / noise) if signal > 0.0 else -math.inf
