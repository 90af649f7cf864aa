"""The image file: what comes back, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from weights_cases import random_tensor, small_profile, some_weights, weights_of

from memprog.errors import ImageError, InputError
from memprog.image import Image, Layer, Tile, read_image, write_image
from memprog.mapping import map_weights
from memprog.tensors import Tensor, decode_safetensors, encode_safetensors


def small_image() -> Image:
    """Two layers on two arrays, and a digital tensor of bfloat16."""
    weights = weights_of(
        {
            "b.weight": random_tensor(1, (6, 9)),
            "b.bias": random_tensor(2, (6,), "BF16"),
            "a.weight": random_tensor(3, (2, 3, 2), "F16"),
        }
    )
    return map_weights(weights, small_profile())[0]


def image_bytes(folder: Path) -> bytes:
    """The bytes of small_image's file."""
    write_image(folder / "image", small_image())
    return (folder / "image").read_bytes()


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The file of small_image with its JSON changed."""
    tensors, metadata = decode_safetensors(image_bytes(folder))
    table = json.loads(metadata["memprog"])
    change(table)
    path = folder / "changed"
    path.write_bytes(encode_safetensors(tensors, {"memprog": json.dumps(table)}))
    return path


def plain(image: Image) -> dict[str, Any]:
    """An image as values that == compares, the file's hash left out."""
    fields = {field.name: getattr(image, field.name) for field in dataclasses.fields(image)}
    fields["layers"] = [dataclasses.asdict(layer) | {"scale": layer.scale.tolist()} for layer in image.layers]
    fields["digital"] = {name: (t.dtype, t.shape, t.bits.tobytes()) for name, t in image.digital.items()}
    fields["targets_usiemens"] = (image.targets_usiemens.shape, image.targets_usiemens.tobytes())
    del fields["sha256"]
    return fields


@given(weights=some_weights())
def test_a_written_image_comes_back_the_same(tmp_path_factory: pytest.TempPathFactory, weights: Any) -> None:
    image, _ = map_weights(weights, small_profile())
    path = tmp_path_factory.mktemp("image") / "image"
    sha256 = write_image(path, image)
    again = read_image(path)
    assert plain(again) == plain(image)
    assert again.sha256 == sha256


def test_the_same_image_gives_the_same_bytes(tmp_path: Path) -> None:
    first = image_bytes(tmp_path)
    assert image_bytes(tmp_path) == first
    write_image(tmp_path / "again", read_image(tmp_path / "image"))
    assert (tmp_path / "again").read_bytes() == first


def test_one_metadata_key_holds_sorted_json(tmp_path: Path) -> None:
    _, metadata = decode_safetensors(image_bytes(tmp_path))
    assert list(metadata) == ["memprog"]
    assert json.dumps(json.loads(metadata["memprog"]), sort_keys=True) == metadata["memprog"]


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_image_is_refused(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    folder = tmp_path_factory.mktemp("image")
    data = image_bytes(folder)
    (folder / "image").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ImageError, match="image"):
        read_image(folder / "image")


def first_layer(table: dict[str, Any]) -> dict[str, Any]:
    """The 6 x 9 layer, which stands on two tiles."""
    layer: dict[str, Any] = table["layers"][0]
    return layer


def first_tile(table: dict[str, Any]) -> dict[str, Any]:
    """A tile of that layer."""
    tile: dict[str, Any] = first_layer(table)["tiles"][0]
    return tile


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "newer": (lambda table: table.update(format_version=3), "it has format version 3; this memprog reads 2"),
    "no version": (lambda table: table.pop("format_version"), "layer table is damaged"),
    "no weights": (lambda table: table.pop("weights"), "layer table is damaged"),
    "layers no list": (lambda table: table.update(layers=5), "layer table is damaged"),
    "shape no numbers": (lambda table: first_layer(table).update(shape="wide"), "does not fit 120 pairs of cells"),
    "tile without row": (lambda table: first_tile(table).pop("row"), "layer table is damaged"),
    "negative row": (lambda table: first_tile(table).update(row=-1), "must be whole and not negative"),
    "half a row": (lambda table: first_tile(table).update(row=0.5), "must be whole and not negative"),
    "nothing in tile": (lambda table: first_tile(table).update(inputs=0), "tile of 0 inputs x 5 outputs holds nothing"),
    "dtype": (lambda table: first_layer(table).update(dtype="F8_E4M3"), "dtype F8_E4M3 cannot be weights"),
    "encoding": (lambda table: first_layer(table).update(encoding="offset"), "has encoding 'offset'"),
    "few scales": (lambda table: first_layer(table).update(scale=[1.0]), "needs 6 finite scales"),
    "NaN scale": (lambda table: first_layer(table).update(scale=[float("nan")] * 6), "needs 6 finite scales"),
    "larger": (lambda table: first_layer(table).update(shape=[6, 10]), "has 60 weights, its tiles hold 54"),
    "huge": (lambda table: first_layer(table).update(shape=[2**40, 9]), "does not fit 120 pairs of cells"),
    "layer lost": (lambda table: table["layers"].pop(), "does not name each layer"),
    "off the chip": (lambda table: first_tile(table).update(array=7), "has a tile outside 3 arrays of 8 x 10"),
    "weight twice": (lambda table: first_tile(table).update(first_input=1), "has weights that no tile holds"),
}


@pytest.mark.parametrize(("change", "sentence"), DAMAGES.values(), ids=DAMAGES)
def test_a_table_that_does_not_hang_together_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    with pytest.raises(ImageError, match=sentence):
        read_image(rewritten(tmp_path, change))


def test_tiles_on_the_same_cells_are_refused(tmp_path: Path) -> None:
    def collide(table: dict[str, Any]) -> None:
        place = {key: table["layers"][0]["tiles"][0][key] for key in ("array", "row", "column")}
        table["layers"][1]["tiles"][0].update(place)

    with pytest.raises(ImageError, match="has a tile on cells that are taken"):
        read_image(rewritten(tmp_path, collide))


def test_a_file_that_memprog_did_not_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(encode_safetensors({"w": random_tensor(0, (2, 2))}, {"format": "pt"}))
    with pytest.raises(ImageError, match="memprog did not write it"):
        read_image(tmp_path / "other")


def test_a_missing_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="there is no such file"):
        read_image(tmp_path / "image")


TARGETS = {
    "flat": (np.full((2, 8), 50.0, np.float32), r"must be float32 \(arrays, rows, columns\)"),
    "float64": (np.full((1, 2, 8), 50.0), r"must be float32 \(arrays, rows, columns\)"),
    "no array": (np.full((0, 2, 8), 50.0, np.float32), r"must be float32 \(arrays, rows, columns\)"),
    "infinite": (np.full((1, 2, 8), np.inf, np.float32), "must be above 0 uS and finite"),
    "negative": (np.full((1, 2, 8), -50.0, np.float32), "must be above 0 uS and finite"),
    "missing": (np.full((3, 8, 10), np.nan, np.float32), "a cell that holds a weight has no target"),
}


@pytest.mark.parametrize(("targets", "sentence"), TARGETS.values(), ids=TARGETS)
def test_targets_that_no_cell_can_have_are_refused(targets: Any, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        dataclasses.replace(small_image(), targets_usiemens=targets)


def test_cells_without_a_weight_may_have_a_target() -> None:
    everywhere = np.full(small_image().targets_usiemens.shape, 50.0, np.float32)
    assert dataclasses.replace(small_image(), targets_usiemens=everywhere).layers


def test_an_image_without_layers_is_a_plain_field_of_targets(tmp_path: Path) -> None:
    image = dataclasses.replace(small_image(), layers=(), digital={}, tensor_order=())
    write_image(tmp_path / "image", image)
    assert read_image(tmp_path / "image").layers == ()


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_image(tmp_path / "image", small_image())
    assert [path.name for path in tmp_path.iterdir()] == ["image"]


def test_a_tile_names_the_cells_of_its_pairs() -> None:
    tile = Tile(array=1, row=2, column=4, inputs=3, outputs=2, first_input=5, first_output=6)
    numbers = np.arange(2 * 8 * 10).reshape(2, 8, 10)
    assert numbers[tile.positive][0].tolist() == [104, 106]
    assert numbers[tile.negative][0].tolist() == [105, 107]
    assert tile.block == (slice(6, 8), slice(5, 8))


def test_a_vector_is_no_layer() -> None:
    with pytest.raises(ImageError, match="is no matrix"):
        Layer(name="b", shape=(3,), dtype="F32", encoding="differential", scale=np.ones(3), tiles=())


def test_bits_of_another_type_are_no_tensor() -> None:
    with pytest.raises(InputError, match="float32 cannot be a tensor of BF16"):
        Tensor(bits=np.zeros(3, np.float32), dtype="BF16")


def test_an_image_in_which_four_bytes_were_overwritten_is_refused(tmp_path: Path) -> None:
    data = bytearray(image_bytes(tmp_path))
    targets = read_image(tmp_path / "image").targets_usiemens
    place = data.index(np.float32(targets[~np.isnan(targets)][0]).tobytes())
    data[place : place + 4] = np.float32(123.0).tobytes()
    (tmp_path / "damaged").write_bytes(data)
    with pytest.raises(ImageError, match="does not fit its checksum; load the weights again"):
        read_image(tmp_path / "damaged")


def test_an_image_whose_table_says_something_else_that_could_be_is_refused(tmp_path: Path) -> None:
    path = rewritten(tmp_path, lambda table: table["layers"][0]["scale"].__setitem__(0, 0.5))
    with pytest.raises(ImageError, match="does not fit its checksum"):
        read_image(path)
