"""From weights to targets and back: precision, places, patterns."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from weights_cases import random_tensor, small_profile, some_weights, weights_of

from memprog.errors import InputError
from memprog.image import Image
from memprog.mapping import layer_weights, map_weights, rebuild, relative_error
from memprog.mapping.pairs import encode_pairs
from memprog.mapping.place import place_layers
from memprog.profile import Geometry
from memprog.tensors import Tensor, tensor_of
from memprog.weights import Weights

# 4,144 uS in float32 is at most 2.5e-4 uS off; a difference of two such numbers twice that.
FLOAT32_USIEMENS = 5e-4


def matrix_of(tensor: Tensor) -> Any:
    """A tensor as (outputs, inputs)."""
    return tensor.values().reshape(tensor.shape[0], -1)


@given(weights=some_weights(), levels=st.integers(2, 2048))
def test_rebuilt_weights_are_within_half_a_level(weights: Weights, levels: int) -> None:
    profile = small_profile(levels=levels)
    image, _ = map_weights(weights, profile)
    bound = profile.levels.spacing_usiemens / 2 + FLOAT32_USIEMENS
    for layer in image.layers:
        wanted = matrix_of(weights.tensors[layer.name])
        error = layer_weights(layer, image.targets_usiemens).reshape(wanted.shape) - wanted
        assert np.all(np.abs(error) <= layer.scale[:, np.newaxis] * bound * (1 + 1e-12))


@given(weights=some_weights())
def test_every_weight_has_exactly_one_pair_of_cells(weights: Weights) -> None:
    image, summary = map_weights(weights, small_profile())
    uses = np.zeros(image.targets_usiemens.shape, dtype=np.int64)
    for layer in image.layers:
        held = np.zeros((layer.outputs, layer.inputs), dtype=np.int64)
        for tile in layer.tiles:
            held[tile.block] += 1
            uses[tile.positive] += 1
            uses[tile.negative] += 1
        assert np.all(held == 1)
    assert np.array_equal(uses, ~np.isnan(image.targets_usiemens))
    assert summary.cells_used == uses.sum() == 2 * sum(layer.outputs * layer.inputs for layer in image.layers)


@given(weights=some_weights())
def test_rebuilding_gives_names_order_shapes_and_dtypes_back(weights: Weights) -> None:
    image, _ = map_weights(weights, small_profile())
    again = rebuild(image, image.targets_usiemens)
    assert list(again) == list(weights.tensors)
    for name, tensor in weights.tensors.items():
        assert (again[name].shape, again[name].dtype) == (tensor.shape, tensor.dtype)
        if tensor.bits.ndim < 2:
            assert np.array_equal(again[name].bits, tensor.bits)


@given(weights=some_weights(), levels=st.integers(2, 2048))
def test_targets_are_levels_of_the_profile(weights: Weights, levels: int) -> None:
    profile = small_profile(levels=levels)
    image, _ = map_weights(weights, profile)
    mapped = image.targets_usiemens[~np.isnan(image.targets_usiemens)]
    low, high = profile.levels.min_usiemens, profile.levels.max_usiemens
    assert np.isin(mapped, np.linspace(low, high, levels, dtype=np.float32)).all()


@given(weights=some_weights())
def test_one_cell_of_each_pair_is_at_the_lowest_level(weights: Weights) -> None:
    profile = small_profile()
    image, _ = map_weights(weights, profile)
    for layer in image.layers:
        for tile in layer.tiles:
            pair = np.minimum(image.targets_usiemens[tile.positive], image.targets_usiemens[tile.negative])
            assert np.all(pair == profile.levels.min_usiemens)


@given(
    shapes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=8),
    rows=st.integers(1, 20),
    columns=st.integers(2, 20),
)
def test_tiles_fit_and_never_overlap(shapes: list[tuple[int, int]], rows: int, columns: int) -> None:
    places = place_layers(
        dict(zip("abcdefgh", shapes, strict=False)), Geometry(arrays=20000, rows=rows, columns=columns)
    )
    tiles = [tile for own in places.values() for tile in own]
    uses = np.zeros((1 + max(tile.array for tile in tiles), rows, columns), dtype=np.int64)
    for tile in tiles:
        assert tile.row + tile.inputs <= rows
        assert tile.column + 2 * tile.outputs <= columns
        uses[tile.positive] += 1
        uses[tile.negative] += 1
    assert uses.max() == 1
    assert uses.any(axis=(1, 2)).all()


def test_layers_that_fit_beside_each_other_share_an_array() -> None:
    shapes = {"a": (128, 128), "b": (64, 128), "c": (60, 128), "d": (4, 100), "e": (1, 28)}
    places = place_layers(shapes, Geometry(arrays=1, rows=256, columns=256))
    assert {tile.array for tiles in places.values() for tile in tiles} == {0}


def test_a_convolution_is_unrolled_to_one_output_a_filter() -> None:
    kernel = random_tensor(1, (3, 2, 2, 2))
    image, summary = map_weights(weights_of({"conv": kernel}), small_profile())
    assert (summary.layers[0].outputs, summary.layers[0].inputs) == (3, 8)
    layer, tile = image.layers[0], image.layers[0].tiles[0]
    difference = image.targets_usiemens[tile.positive] - image.targets_usiemens[tile.negative]
    assert np.allclose(difference.T * layer.scale[:, np.newaxis], matrix_of(kernel), atol=2 * layer.scale.max())


def test_an_output_of_zeros_comes_back_as_zeros_whatever_its_cells_are() -> None:
    matrix = np.array([[0.0, 0.0], [1.0, -2.0]], np.float32)
    image, _ = map_weights(weights_of({"w": tensor_of(matrix)}), small_profile())
    noisy = np.random.default_rng(0).uniform(50.0, 4144.0, image.targets_usiemens.shape)
    assert np.all(layer_weights(image.layers[0], noisy)[0] == 0.0)


def test_the_largest_weight_of_each_output_uses_the_whole_range() -> None:
    matrix = np.array([[0.5, 0.1], [-3.0, 0.2]])
    image, _ = map_weights(weights_of({"w": tensor_of(matrix)}), small_profile())
    assert image.targets_usiemens[0, :2, :4].tolist() == [[4144.0, 50.0, 50.0, 4144.0], [868.0, 50.0, 322.0, 50.0]]
    assert layer_weights(image.layers[0], image.targets_usiemens)[:, 0].tolist() == pytest.approx([0.5, -3.0])


@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e300, 1.7e308])
def test_weights_at_the_ends_of_float64_do_not_break_the_summary(size: float) -> None:
    matrix = size * np.array([[1.0, -0.5], [0.25, 0.0]])
    _, summary = map_weights(weights_of({"w": tensor_of(matrix)}), small_profile())
    assert 0.0 <= summary.layers[0].error_rms_relative <= 1.0


def test_the_summary_tells_what_rounding_cost() -> None:
    matrix = tensor_of(np.array([[1.0, 0.4]]))
    image, summary = map_weights(weights_of({"w": matrix, "b": tensor_of(np.ones(3))}), small_profile(levels=3))
    layer = summary.layers[0]
    assert layer.error_max_relative == pytest.approx(0.1)
    assert layer.error_rms_relative == pytest.approx(0.1 / np.sqrt(1.16))
    assert (layer.clipped_fraction, layer.arrays, layer.scale_min) == (0.0, (0,), layer.scale_max)
    assert (summary.digital, summary.arrays_used, summary.cells_used, summary.fill_fraction) == (("b",), 1, 4, 0.05)
    assert relative_error(layer_weights(image.layers[0], image.targets_usiemens), matrix.values()) == pytest.approx(
        (layer.error_rms_relative, layer.error_max_relative)
    )


def test_weights_beyond_the_outermost_level_are_counted() -> None:
    # A scale at the lower end of float64 has no digits left to reach the largest weight exactly.
    pairs = encode_pairs(np.array([[6000 * 5e-324, 5e-324]]), small_profile().levels)
    assert pairs.clipped == 1
    assert pairs.steps.tolist() == [[2047, 0]]


def test_a_layer_of_zeros_has_no_error() -> None:
    _, summary = map_weights(weights_of({"w": tensor_of(np.zeros((2, 2)))}), small_profile())
    assert (summary.layers[0].error_rms_relative, summary.layers[0].error_max_relative) == (0.0, 0.0)


def three_matrices() -> Weights:
    """Two encoder matrices, a head, a bias."""
    names = ("enc.0.weight", "enc.1.weight", "head.weight")
    return weights_of({name: random_tensor(1, (2, 3)) for name in names} | {"head.bias": random_tensor(2, (2,))})


@pytest.mark.parametrize(
    ("only", "skip", "mapped"),
    [
        ((), (), ["enc.0.weight", "enc.1.weight", "head.weight"]),
        (("enc.*",), (), ["enc.0.weight", "enc.1.weight"]),
        (("head.weight", "enc.1*"), (), ["enc.1.weight", "head.weight"]),
        ((), ("head.*",), ["enc.0.weight", "enc.1.weight"]),
        (("enc.*",), ("*.0.*",), ["enc.1.weight"]),
    ],
    ids=["all", "only", "two patterns", "skip", "both"],
)
def test_patterns_choose_what_is_mapped(only: tuple[str, ...], skip: tuple[str, ...], mapped: list[str]) -> None:
    image, summary = map_weights(three_matrices(), small_profile(), only, skip)
    assert [layer.name for layer in image.layers] == mapped
    assert set(summary.digital) == set(three_matrices().tensors) - set(mapped)


@pytest.mark.parametrize(
    ("only", "skip", "sentence"),
    [
        (
            ("tail.*",),
            (),
            r"--only 'tail\.\*' matches none of the 3 tensors that could be meant, such as enc\.0\.weight",
        ),
        (("*.bias",), (), r"--only '\*\.bias' matches none of"),
        ((), ("tail.*",), r"--skip 'tail\.\*' matches none of"),
        ((), ("ENC.*",), r"--skip 'ENC\.\*' matches none of"),
        ((), ("*",), "leave none of the 3 matrices to map"),
    ],
    ids=["only", "only a vector", "skip", "case", "nothing left"],
)
def test_patterns_that_miss_are_refused(only: tuple[str, ...], skip: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        map_weights(three_matrices(), small_profile(), only, skip)


def test_weights_without_a_matrix_are_refused() -> None:
    with pytest.raises(InputError, match="no tensor has two or more dimensions"):
        map_weights(weights_of({"b": random_tensor(0, (4,))}), small_profile())


@pytest.mark.parametrize(("arrays", "needed"), [(1, "at least 2"), (2, "3")])
def test_a_chip_that_is_too_small_is_refused_with_the_number_it_takes(arrays: int, needed: str) -> None:
    # 72 weights are less than the 80 of two arrays, but no two of these layers fit beside each other.
    weights = weights_of({"a": random_tensor(0, (3, 8)), "b": random_tensor(1, (3, 8)), "c": random_tensor(2, (3, 8))})
    with pytest.raises(InputError, match=f"need {needed} arrays and the chip has {arrays} of 8 x 10"):
        map_weights(weights, small_profile(arrays=arrays))
    assert map_weights(weights, small_profile(arrays=3))[1].arrays_used == 3


def test_arrays_of_one_column_are_refused() -> None:
    with pytest.raises(InputError, match="at least two columns"):
        map_weights(three_matrices(), small_profile(columns=1))


def test_unread_cells_make_unknown_weights() -> None:
    image, _ = map_weights(weights_of({"w": random_tensor(0, (2, 3))}), small_profile())
    readings = image.targets_usiemens.astype(np.float64)
    readings[image.layers[0].tiles[0].negative] = np.nan
    assert np.isnan(layer_weights(image.layers[0], readings)).all()


def test_the_same_weights_get_the_same_image() -> None:
    first, second = (map_weights(three_matrices(), small_profile())[0] for _ in range(2))
    assert first.targets_usiemens.tobytes() == second.targets_usiemens.tobytes()
    assert places(first) == places(second)


def places(image: Image) -> list[Any]:
    """Name and tiles of each layer."""
    return [(layer.name, [dataclasses.astuple(tile) for tile in layer.tiles]) for layer in image.layers]
