"""Train the demo's classifier on the UCI handwritten digits and write what the package ships.

Usage: python tests/train_demo.py [FOLDER]      needs scikit-learn (extra test-long); writes memprog/demo_data/
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

DEMO_DATA = Path(__file__).parent.parent / "memprog" / "demo_data"
SEED = 20230329
HELD_OUT = 450
HIDDEN = 64
PIXEL_MAX = 16.0


def split(images: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the images to train on and of those held out, always the same."""
    order = np.random.default_rng(SEED).permutation(len(images))
    return order[HELD_OUT:], order[:HELD_OUT]


def train(images: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """Weights and biases of 64 -> 64 -> 10 with ReLU; weights are (out, in)."""
    network = MLPClassifier((HIDDEN,), alpha=0.1, max_iter=2000, random_state=SEED)
    network.fit(images / PIXEL_MAX, labels)
    tensors = {}
    for name, weight, bias in zip(("hidden", "output"), network.coefs_, network.intercepts_, strict=True):
        tensors[f"{name}.weight"] = np.ascontiguousarray(weight.T, dtype=np.float32)
        tensors[f"{name}.bias"] = bias.astype(np.float32)
    return tensors


def main(folder: Path = DEMO_DATA) -> None:
    """Train with one thread, so that the sums come out the same every time, and write both files."""
    images, labels = load_digits(return_X_y=True)
    training, held_out = split(images)
    with threadpool_limits(1):
        tensors = train(images[training], labels[training])
    (folder / "digits.safetensors").write_bytes(save(tensors))
    np.savez_compressed(
        folder / "digits_heldout.npz",
        images=images[held_out].astype(np.uint8),
        labels=labels[held_out].astype(np.uint8),
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
