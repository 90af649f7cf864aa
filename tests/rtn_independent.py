"""Step and occupancy of a two-level signal by counting and averaging; shares no code and no method with memprog.

No model of the dwell times, no likelihood, no states that are hidden: samples above a threshold are high. It needs a
step of ten times the noise or more.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

Floats = NDArray[np.float64]

APART = 1
"""Samples left out at either side of a switching: they average over both levels."""
LEAST, MOST = 3, 50
"""Samples averaged on either side; fewer say too little, more drift apart. 50 are 10 ms, about a mean dwell time."""
HARMONICS = (1, 3, 5, 7, 9, 11, 13, 15, 19, 23)
"""Of the mains, as seen in the spectrum of the traces."""
MAINS_HZ = np.arange(59.8, 60.25, 0.05)


class TwoLevels(NamedTuple):
    """Step with standard error, share of samples in the upper level, jumps averaged, dwells, samples low and high."""

    step: float
    error: float
    occupancy: float
    jumps: int
    dwells: int
    low: int
    high: int


def two_levels(samples: Floats, interval_s: float) -> TwoLevels:
    """Average the jumps at all clean switchings, and count the samples above the threshold."""
    high = samples > threshold(samples)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(high.astype(np.int8))) + 1, [len(samples)]])
    quiet = samples - mains(samples, edges, interval_s)
    jumps, weights = [], []
    for start, middle, end in zip(edges[:-2], edges[1:-1], edges[2:], strict=True):
        before = quiet[max(start + APART, middle - APART - MOST) : middle - APART]
        after = quiet[middle + APART : min(end - APART, middle + APART + MOST)]
        if min(len(before), len(after)) >= LEAST:
            jumps.append((after.mean() - before.mean()) * (1.0 if high[middle] else -1.0))
            # What is common to a whole dwell does not average out: long ones count little more than short ones.
            weights.append(1.0 / (1.0 / len(before) + 1.0 / len(after) + 0.15))
    found, weight = np.array(jumps), np.array(weights) / np.sum(weights)
    step = float(weight @ found)
    error = float(np.sqrt((weight**2 * (found - step) ** 2).sum()))
    return TwoLevels(
        step=step,
        error=error,
        occupancy=float(high.mean()),
        jumps=len(found),
        dwells=len(edges) - 1,
        low=int((~high).sum()),
        high=int(high.sum()),
    )


def threshold(samples: Floats) -> float:
    """Midway between the two modes of the trace without its shortest excursions."""
    smooth = median_filter(samples, 5, mode="nearest")
    cut = float(np.percentile(smooth, (2, 98)).mean())
    for _ in range(50):
        cut = float(np.median(smooth[smooth > cut]) + np.median(smooth[smooth <= cut])) / 2.0
    return cut


def mains(samples: Floats, edges: NDArray[np.intp], interval_s: float) -> Floats:
    """Hum at every sample, by least squares within dwells: jumps and drift cannot enter."""
    time_s = np.arange(len(samples)) * interval_s
    best: tuple[float, Floats] = (np.inf, np.zeros(len(samples)))
    observed = _within(samples[:, None], edges)[:, 0]
    for mains_hz in MAINS_HZ:
        phase = 2.0 * np.pi * mains_hz * np.outer(time_s, HARMONICS)
        waves = np.column_stack([np.cos(phase), np.sin(phase)])
        inside = _within(waves, edges)
        amplitudes, *_ = np.linalg.lstsq(inside, observed, rcond=None)
        missed = float(((observed - inside @ amplitudes) ** 2).sum())
        if missed < best[0]:
            best = (missed, waves @ amplitudes)
    return best[1]


def _within(columns: Floats, edges: NDArray[np.intp]) -> Floats:
    """Columns less their mean over each dwell, or over each 100 samples or so of a long one; short dwells left out."""
    parts = []
    for start, end in itertools.pairwise(edges.tolist()):
        inside = columns[start + APART : end - APART]
        if len(inside) >= 10:
            parts += [part - part.mean(axis=0) for part in np.array_split(inside, max(1, len(inside) // 100))]
    return np.concatenate(parts)
