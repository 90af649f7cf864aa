"""Stretches of a trace over which the bias stands still and samples come at equal intervals."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from memprog.chip import FloatArray

_WINDOW, _APART = 25, 100
"""Samples whose median is compared with that of as many later; how much later."""
_CHANGE, _CHANGE_V = 0.01, 0.001
"""A bias that moves meanwhile by more than this share, and this many volts, is on its way."""
_SETTLING = 0.05
"""Share of a stretch left out at either end: lines and amplifiers settle."""
_LEAST_V = 0.01
"""Below it, current over bias says nothing about a conductance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """Samples ``first`` to ``last`` (not included), their mean bias and the interval between them."""

    first: int
    last: int
    bias_v: float
    interval_s: float


def plateaus_of(time_s: FloatArray, bias_v: FloatArray, least: int) -> tuple[Plateau, ...]:
    """Find the stretches of at least a number of samples; both arrays (n,), times rising.

    Where the bias steps or ramps there is none.
    """
    found = []
    for start, end in _steady(time_s, bias_v):
        margin = 0 if (start, end) == (0, len(time_s)) else round(_SETTLING * (end - start))
        first, last = start + margin, end - margin
        if last - first < least or abs(bias := float(bias_v[first:last].mean())) < _LEAST_V:
            continue
        interval_s = float((time_s[last - 1] - time_s[first]) / (last - 1 - first))
        found.append(Plateau(first=first, last=last, bias_v=bias, interval_s=interval_s))
    return tuple(found)


def _steady(time_s: FloatArray, bias_v: FloatArray) -> list[tuple[int, int]]:
    """Stretches without a pause in which the bias stays where it is, first sample and end of each."""
    steady = np.ones(len(bias_v), dtype=bool)
    if len(bias_v) > _WINDOW + _APART:
        medians = np.median(np.lib.stride_tricks.sliding_window_view(bias_v, _WINDOW), axis=1)
        before, after = medians[:-_APART], medians[_APART:]
        limit = np.maximum(_CHANGE * np.maximum(np.abs(before), np.abs(after)), _CHANGE_V)
        for moving in np.flatnonzero(np.abs(after - before) > limit):
            steady[moving + _WINDOW // 2 : moving + _APART + _WINDOW // 2] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[0], steady.astype(np.int8), [0]])))
    intervals = np.diff(time_s)
    pauses = np.flatnonzero(intervals > 1.5 * np.median(intervals)) + 1 if len(intervals) else np.zeros(0, dtype=int)
    found = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        cuts = [int(start), *(int(at) for at in pauses if start < at < end), int(end)]
        found += list(itertools.pairwise(cuts))
    return found
