"""Forward and backward through a hidden chain: compiled, in blocks and by brute force, the answers are the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from memprog.analysis.noise.chain import Sweep, sweep_in_blocks
from memprog.chip import FloatArray


def random_weights(steps: int, states: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Weights over twelve decades, some impossible."""
    rng = np.random.default_rng(seed)
    weights = 10.0 ** rng.uniform(-6.0, 6.0, (steps, states, states))
    weights[rng.random(weights.shape) < 0.1] = 1e-290
    return rng.random(states), weights


def by_all_paths(first: FloatArray, weights: FloatArray) -> tuple[float, FloatArray]:
    steps, states, _ = weights.shape
    total, pairs = 0.0, np.zeros_like(weights)
    for path in itertools.product(range(states), repeat=steps + 1):
        chance = first[path[0]] * np.prod([weights[at, path[at], path[at + 1]] for at in range(steps)])
        total += chance
        for at in range(steps):
            pairs[at, path[at], path[at + 1]] += chance
    return float(np.log(total)), pairs / total


def compiled() -> Sweep:
    pytest.importorskip("numba")
    from memprog.analysis.noise.compiled import sweep

    return sweep


@pytest.mark.parametrize("states", [1, 2, 4, 8])
@pytest.mark.parametrize("steps", [1, 2, 7, 1000, 1023])
def test_both_sweeps_agree(steps: int, states: int) -> None:
    first, weights = random_weights(steps, states, seed=steps + states)
    likelihood, pairs = compiled()(first, weights)
    in_blocks, pairs_in_blocks = sweep_in_blocks(first, weights)
    assert likelihood == pytest.approx(in_blocks, rel=1e-12, abs=1e-9)
    np.testing.assert_allclose(pairs, pairs_in_blocks, atol=1e-9, rtol=0.0)


@pytest.mark.parametrize("steps", [1, 4, 6])
def test_blocks_give_what_all_paths_give(steps: int) -> None:
    first, weights = random_weights(steps, 3, seed=steps)
    likelihood, pairs = by_all_paths(first, weights)
    found, found_pairs = sweep_in_blocks(first, weights)
    assert found == pytest.approx(likelihood, abs=1e-9)
    np.testing.assert_allclose(found_pairs, pairs, atol=1e-9, rtol=0.0)
