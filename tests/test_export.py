"""The export job: from conductances to a weights file of the format the weights came in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from weights_cases import random_tensor, small_profile, some_weights, weights_of

from memprog.errors import InputError
from memprog.image import Image
from memprog.jobs.export import export_weights
from memprog.mapping import map_weights
from memprog.tensors import FloatArray
from memprog.weights import FORMATS, Weights, open_weights, write_weights


def perfect(image: Image) -> FloatArray:
    """Readings of a chip whose every cell is at its target."""
    return image.targets_usiemens.astype(np.float64)


def one_layer() -> Image:
    """A matrix on one array, and a bias."""
    return map_weights(weights_of({"w": random_tensor(0, (4, 6)), "b": random_tensor(1, (4,))}), small_profile())[0]


@given(weights=some_weights(), noise_usiemens=st.floats(0, 10))
def test_an_export_has_the_names_order_shapes_dtypes_and_metadata_of_the_weights(
    tmp_path_factory: pytest.TempPathFactory, weights: Weights, noise_usiemens: float
) -> None:
    image, _ = map_weights(weights, small_profile())
    path = tmp_path_factory.mktemp("export") / "out.safetensors"
    noise = np.random.default_rng(0).normal(0.0, noise_usiemens, image.targets_usiemens.shape)
    export_weights(image, perfect(image) + noise, path)
    again = open_weights(path)
    assert [(name, t.shape, t.dtype) for name, t in again.tensors.items()] == [
        (name, t.shape, t.dtype) for name, t in weights.tensors.items()
    ]
    assert again.metadata == weights.metadata
    assert all(np.array_equal(again.tensors[name].bits, tensor.bits) for name, tensor in image.digital.items())


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_goes_out_as_it_came_in(tmp_path: Path, form: str) -> None:
    source, out = tmp_path / f"net.{form}", tmp_path / f"out.{form}"
    write_weights(source, {"net": random_tensor(0, (4, 6))}, form=form, metadata={})
    image, summary = map_weights(open_weights(source), small_profile())
    report = export_weights(image, perfect(image), out)
    wanted = open_weights(source).tensors["net"].values()
    (found,) = open_weights(out).tensors.values()
    assert np.allclose(found.values(), wanted, atol=summary.layers[0].scale_max)
    assert (report.format, report.sha256) == (form, open_weights(out).sha256)


def test_a_chip_at_its_targets_has_no_error(tmp_path: Path) -> None:
    report = export_weights(one_layer(), perfect(one_layer()), tmp_path / "out.safetensors")
    assert [(layer.error_rms_relative, layer.error_max_relative) for layer in report.layers] == [(0.0, 0.0)]


def test_the_report_tells_how_far_the_chip_is_from_the_image(tmp_path: Path) -> None:
    image = one_layer()
    readings = perfect(image)
    readings[image.layers[0].tiles[0].positive] += 4.094
    report = export_weights(image, readings, tmp_path / "out.safetensors")
    assert 0.0 < report.layers[0].error_rms_relative < 0.01
    assert report.layers[0].error_max_relative == pytest.approx(1e-3)


def test_the_report_becomes_json_and_says_whose_weights_they_are(tmp_path: Path) -> None:
    chip = {"serial": "SIM-1"}
    out = tmp_path / "out.safetensors"
    report = export_weights(one_layer(), perfect(one_layer()), out, simulated=True, chip=chip)
    fields = json.loads(json.dumps(report.to_dict()))
    assert (fields["simulated"], fields["chip"], fields["path"]) == (True, chip, str(out))
    assert (fields["digital"], fields["layers"][0]["shape"]) == (["b"], [4, 6])


@pytest.mark.parametrize("unknown", [np.nan, np.inf])
def test_an_unread_cell_is_refused_and_nothing_written(tmp_path: Path, unknown: float) -> None:
    readings = perfect(one_layer())
    readings[0, 0, 1] = unknown
    with pytest.raises(InputError, match="1 of 48 cells that hold weights have no reading; nothing was written"):
        export_weights(one_layer(), readings, tmp_path / "out.safetensors")
    assert not list(tmp_path.iterdir())


def test_cells_without_a_weight_may_be_unread(tmp_path: Path) -> None:
    assert np.isnan(perfect(one_layer())).any()
    export_weights(one_layer(), perfect(one_layer()), tmp_path / "out.safetensors")


def test_readings_of_more_arrays_than_the_image_has_are_fine(tmp_path: Path) -> None:
    readings = np.concatenate([perfect(one_layer()), np.full((3, 8, 10), np.nan)])
    export_weights(one_layer(), readings, tmp_path / "out.safetensors")


@pytest.mark.parametrize("shape", [(8, 10), (0, 8, 10), (1, 10, 8)], ids=str)
def test_readings_of_another_chip_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="do not fit an image of 1 arrays of 8 x 10"):
        export_weights(one_layer(), np.full(shape, 50.0), tmp_path / "out.safetensors")


def test_another_format_than_the_weights_came_in_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"go out as \.safetensors; nothing was written"):
        export_weights(one_layer(), perfect(one_layer()), tmp_path / "out.npz")
    assert not list(tmp_path.iterdir())
