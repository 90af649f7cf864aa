"""The demo's network: shipped weights, held-out images and the figures computed from them."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from memprog.analysis.network import (
    LAYERS,
    accuracy,
    classify,
    demo_tensors,
    demo_tensors_path,
    heldout_digits,
    signal_to_noise_db,
)
from memprog.errors import InputError


def test_shipped_weights_read_at_least_97_percent_of_the_held_out_digits() -> None:
    assert accuracy(demo_tensors(), *heldout_digits()) >= 0.97


def test_held_out_images_are_scaled_and_show_every_digit() -> None:
    images, labels = heldout_digits()
    assert images.shape == (len(labels), 64)
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert set(labels) == set(range(10))


def test_shipped_tensors_are_float32_and_named_after_their_layers() -> None:
    tensors = demo_tensors()
    assert set(tensors) == {f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")}
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}
    assert tensors["hidden.weight"].shape == (64, 64)
    assert tensors["output.weight"].shape == (10, 64)


def test_licences_of_the_data_are_shipped_beside_it() -> None:
    text = demo_tensors_path().with_name("LICENSES.txt").read_text(encoding="ascii")
    for fact in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", "scikit-learn", "digits_heldout.npz"):
        assert fact in text


def test_demo_data_stays_small() -> None:
    assert sum(path.stat().st_size for path in demo_tensors_path().parent.iterdir() if path.is_file()) < 150_000


def test_hidden_units_are_rectified() -> None:
    tensors = {
        "hidden.weight": np.array([[1.0], [-1.0]]),
        "hidden.bias": np.zeros(2),
        "output.weight": np.array([[1.0, 0.0], [0.0, 1.0]]),
        "output.bias": np.array([0.0, 0.5]),
    }
    assert classify(tensors, np.array([[2.0], [0.2], [-2.0]])).tolist() == [0, 1, 1]


def test_weights_without_meaning_do_no_better_than_chance() -> None:
    noise = np.random.default_rng(7)
    tensors = {name: noise.normal(size=tensor.shape) for name, tensor in demo_tensors().items()}
    assert accuracy(tensors, *heldout_digits()) < 0.35


@pytest.mark.parametrize(("factor", "decibels"), [(1.1, 20.0), (0.9, 20.0), (2.0, 0.0), (1.01, 40.0)])
def test_weights_off_by_a_factor_have_the_signal_to_noise_it_implies(factor: float, decibels: float) -> None:
    wanted = {"a": np.array([[1.0, -2.0]]), "b": np.array([[[3.0]]])}
    got = {name: tensor * factor for name, tensor in wanted.items()}
    assert signal_to_noise_db(wanted, got) == pytest.approx(decibels)


def test_signal_to_noise_is_over_all_weights_together_not_a_mean_of_tensors() -> None:
    wanted = {"a": np.full((1, 9), 1.0), "b": np.full((1, 1), 1.0)}
    got = {"a": np.full((1, 9), 1.0), "b": np.full((1, 1), 0.0)}
    assert signal_to_noise_db(wanted, got) == pytest.approx(10.0)


def test_tensors_that_stay_digital_do_not_count() -> None:
    wanted = {"w": np.array([[1.0]]), "bias": np.array([100.0])}
    assert signal_to_noise_db(wanted, {"w": np.array([[1.1]])}) == pytest.approx(20.0)


def test_equal_weights_have_infinite_signal_to_noise() -> None:
    assert signal_to_noise_db(demo_tensors(), demo_tensors()) == math.inf


def test_noise_on_weights_that_should_be_zero_is_minus_infinity() -> None:
    assert signal_to_noise_db({"w": np.zeros((1, 1))}, {"w": np.ones((1, 1))}) == -math.inf


def test_an_unread_weight_makes_the_signal_to_noise_unknown() -> None:
    assert math.isnan(signal_to_noise_db({"w": np.ones((1, 2))}, {"w": np.array([[1.0, np.nan]])}))


@pytest.mark.parametrize("got", [{}, {"w": np.ones((2, 1))}])
def test_a_tensor_missing_or_of_another_shape_is_refused(got: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"tensor 'w' of shape \(1, 2\)"):
        signal_to_noise_db({"w": np.ones((1, 2))}, got)


@pytest.mark.long
def test_training_again_rewrites_the_shipped_images_and_weights_as_good(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    subprocess.run([sys.executable, Path(__file__).with_name("train_demo.py"), tmp_path], check=True)
    shipped = demo_tensors_path().parent
    with np.load(tmp_path / "digits_heldout.npz") as again, np.load(shipped / "digits_heldout.npz") as first:
        assert np.array_equal(again["images"], first["images"])
        assert np.array_equal(again["labels"], first["labels"])
    # Another BLAS rounds otherwise, and training amplifies it: not the same bytes there, but as good.
    assert accuracy(demo_tensors(tmp_path / "digits.safetensors"), *heldout_digits()) >= 0.97
