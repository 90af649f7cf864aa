"""Forward and backward through a hidden chain, a whole trace at once instead of a sample at a time."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np

from memprog.chip import FloatArray

Sweep = Callable[[FloatArray, FloatArray], tuple[float, FloatArray]]
FLOOR = 1e-290
"""Density below which a sample counts as impossible; keeps a glitch from making every path impossible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoothed:
    """What the whole trace says of the hidden states.

    ``log_likelihood`` is that of all samples, less what the caller scaled its weights by. ``pairs`` (samples - 1,
    states, states) is the chance that the chain was in the first state at a sample and in the second at the next one;
    ``first`` (states,) the chances at the first sample.
    """

    log_likelihood: float
    pairs: FloatArray
    first: FloatArray

    @property
    def states(self) -> FloatArray:
        """Chance of each state at each sample, (samples, states)."""
        return np.concatenate([self.pairs @ np.ones(len(self.first)), self.pairs[-1].sum(axis=0)[None]])


def smooth(first_weights: FloatArray, step_weights: FloatArray) -> Smoothed:
    """Tell how likely every pair of neighbouring states is, given all samples.

    Compiled where the extra ``accel`` is installed, with whole arrays otherwise; the answers agree to rounding.

    Args:
        first_weights: (states,) chance of a state at the first sample times the density of that sample in it.
        step_weights: (samples - 1, states, states) chance of going from the first state to the second times the
            density of the sample at which the chain arrives. Any positive scale a step; only ratios count within one.
    """
    sweep = _compiled_sweep() if has_compiler() else sweep_in_blocks
    log_likelihood, pairs = sweep(first_weights, np.ascontiguousarray(step_weights))
    return Smoothed(log_likelihood=log_likelihood, pairs=pairs, first=pairs[0].sum(axis=1))


@cache
def has_compiler() -> bool:
    """Whether the extra ``accel`` is there."""
    return importlib.util.find_spec("numba") is not None


def _compiled_sweep() -> Sweep:
    from memprog.analysis.noise.compiled import sweep

    return cast(Sweep, sweep)


def sweep_in_blocks(first_weights: FloatArray, step_weights: FloatArray) -> tuple[float, FloatArray]:
    """Give log-likelihood and pairs with whole arrays.

    The product of the step matrices is associative: it is taken in about sqrt(samples) blocks side by side, so that
    the number of array operations grows with the square root of the length of the trace.
    """
    steps, states, _ = step_weights.shape
    length = max(1, round(steps**0.5))
    blocks = -(-steps // length)
    padded = np.empty((blocks * length, states, states))
    padded[:steps] = step_weights
    padded[steps:] = np.eye(states)
    # (length, blocks, states, states): one array operation works on the same place of all blocks.
    weights = np.ascontiguousarray(padded.reshape(blocks, length, states, states).swapaxes(0, 1))
    ahead, ahead_log = _products(weights)
    starts, log_likelihood = _chain(first_weights, ahead[-1], ahead_log[-1])
    behind, _ = _products(weights[::-1].swapaxes(2, 3))
    ends = _chain_back(behind[-1].swapaxes(1, 2), states)
    forward = np.empty((length, blocks, states))
    forward[0] = starts[:-1]
    forward[1:] = np.einsum("bi,lbij->lbj", starts[:-1], ahead[:-1])
    backward = np.empty((length, blocks, states))
    backward[-1] = ends[1:]
    backward[:-1] = np.einsum("lbji,bj->lbi", behind[-2::-1], ends[1:])
    pairs = forward[..., :, None] * weights * backward[..., None, :]
    pairs /= pairs.sum(axis=(2, 3), keepdims=True)
    return log_likelihood, pairs.swapaxes(0, 1).reshape(blocks * length, states, states)[:steps]


def _products(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Multiply up along the first axis of (length, blocks, states, states), scaled to sum 1; and the scales' logs."""
    product, logs = np.empty_like(weights), np.empty(weights.shape[:2])
    for at in range(len(weights)):
        grown = weights[at] if at == 0 else product[at - 1] @ weights[at]
        scale = grown.sum(axis=(1, 2))
        np.divide(grown, scale[:, None, None], out=product[at])
        logs[at] = np.log(scale)
    return product, logs.cumsum(axis=0)


def _chain(first: FloatArray, whole: FloatArray, logs: FloatArray) -> tuple[FloatArray, float]:
    """Give the scaled forward weights at the start of every block and after the last, and the log-likelihood."""
    starts = np.empty((len(whole) + 1, len(first)))
    total = first.sum()
    starts[0], log_likelihood = first / total, float(np.log(total) + logs.sum())
    for block in range(len(whole)):
        grown = starts[block] @ whole[block]
        total = grown.sum()
        starts[block + 1] = grown / total
        log_likelihood += float(np.log(total))
    return starts, log_likelihood


def _chain_back(whole: FloatArray, states: int) -> FloatArray:
    """Give the scaled backward weights at the start of every block, and those at the very end."""
    ends = np.empty((len(whole) + 1, states))
    ends[-1] = 1.0 / states
    for block in range(len(whole) - 1, -1, -1):
        grown = whole[block] @ ends[block + 1]
        ends[block] = grown / grown.sum()
    return ends
