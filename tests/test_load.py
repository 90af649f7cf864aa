"""The load-weights job: from a file to an image file and a report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from weights_cases import random_tensor, small_profile

from memprog.errors import InputError
from memprog.image import read_image
from memprog.jobs.load import load_weights
from memprog.weights import write_weights


def some_file(folder: Path) -> Path:
    """A safetensors file of a matrix and a bias."""
    path = folder / "net.safetensors"
    tensors = {"w": random_tensor(0, (4, 6)), "b": random_tensor(1, (4,))}
    write_weights(path, tensors, form="safetensors", metadata={})
    return path


def test_the_report_names_the_image_that_was_written(tmp_path: Path) -> None:
    report = load_weights(some_file(tmp_path), profile=small_profile(), image_path=tmp_path / "new" / "image")
    image = read_image(tmp_path / "new" / "image")
    assert (report.image_sha256, report.weights_sha256) == (image.sha256, image.weights_sha256)
    assert (report.profile, report.profile_sha256, report.levels) == (image.profile_name, image.profile_sha256, 2048)
    assert (report.arrays_used, report.cells_used, report.digital) == (1, 48, ("b",))


def test_the_same_weights_give_the_same_image_file(tmp_path: Path) -> None:
    for name in ("first", "second"):
        load_weights(some_file(tmp_path), profile=small_profile(), image_path=tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_the_report_becomes_json(tmp_path: Path) -> None:
    report = load_weights(some_file(tmp_path), profile=small_profile(), image_path=tmp_path / "image")
    fields = json.loads(json.dumps(report.to_dict()))
    assert {field.name for field in dataclasses.fields(report)} < set(fields)
    assert fields["layers"][0]["tiles"][0]["inputs"] == 6
    assert fields["weights"] == str(tmp_path / "net.safetensors")


def test_bad_weights_leave_the_old_image_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.full((2, 2), np.nan))
    (tmp_path / "image").write_bytes(b"old")
    with pytest.raises(InputError, match="NaN"):
        load_weights(tmp_path / "bad.npy", profile=small_profile(), image_path=tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.npy", "image"]


def test_bad_weights_make_no_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.ones(3))
    with pytest.raises(InputError, match="no tensor has two"):
        load_weights(tmp_path / "bad.npy", profile=small_profile(), image_path=tmp_path / "new" / "image")
    assert not (tmp_path / "new").exists()


def test_the_image_never_replaces_the_weights(tmp_path: Path) -> None:
    path = some_file(tmp_path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="would replace the weights"):
        load_weights(path, profile=small_profile(), image_path=tmp_path / "." / "net.safetensors")
    assert path.read_bytes() == before


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"in the way")
    with pytest.raises(InputError, match="cannot be made a folder"):
        load_weights(some_file(tmp_path), profile=small_profile(), image_path=tmp_path / "new" / "image")
