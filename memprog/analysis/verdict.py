"""Judge cells by looks spread over time: which agree with being in their window, and which fluctuate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memprog.profile import Readout

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

OUTLIER = 6.0
"""A cell fluctuates when it stands this many robust deviations above its neighbours in conductance."""
ABSOLUTE_WINDOWS = 0.5
"""A cell fluctuates, whatever its neighbours do, when its deviation in time is this share of the window."""
FEWEST = 64
"""With fewer neighbours than this a cell is not compared with them."""
SWING = 1.5
"""Deviations a fluctuator is taken to swing from its mean: 1 with equal dwell times, 3 when it is high a tenth of the
time; this one makes verify's yield agree with the truth of simulated chips, with denoise and without."""
NEIGHBOURS = 512
"""Cells of similar conductance that noise is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the looks say of n cells, each (n,); NaN errors and False masks where a cell could not be read.

    ``error_usiemens`` is readback - target, averaged over all looks; ``noise_usiemens`` the deviation of a sample about
    that average, over the whole span.
    """

    error_usiemens: FloatArray
    noise_usiemens: FloatArray
    fluctuating: Mask
    in_window: Mask


def judge_looks(
    error_usiemens: FloatArray, noise_usiemens: FloatArray, floor_usiemens: FloatArray, window_usiemens: float
) -> Verdict:
    """Decide from several looks at each cell whether it is in its window for the time they span.

    Args:
        error_usiemens: (looks, n) mean of readback - target in each look; NaN where it could not be read.
        noise_usiemens: (looks, n) deviation of a sample in each look.
        floor_usiemens: (n,) deviation the readout alone gives a sample.
        window_usiemens: accepted abs(error).
    """
    read = np.isfinite(error_usiemens).all(axis=0)
    looks, n = error_usiemens.shape
    error, within = np.full(n, np.nan), np.full(n, np.nan)
    between, early, late = np.zeros(n), np.full(n, np.nan), np.full(n, np.nan)
    if read.any():
        error[read] = error_usiemens[:, read].mean(axis=0)
        within[read] = np.sqrt((noise_usiemens[:, read] ** 2).mean(axis=0))
        between[read] = _about_trend(error_usiemens[:, read])
        part = max(looks // 4, 1)
        early[read] = error_usiemens[:part, read].mean(axis=0)
        late[read] = error_usiemens[-part:, read].mean(axis=0)
    excess = np.sqrt(np.maximum(within**2 - floor_usiemens**2, 0.0) + between**2)
    wide = excess > ABSOLUTE_WINDOWS * window_usiemens
    fluctuating = read & (wide | _outliers(np.where(read, excess, np.nan), floor_usiemens))
    swing = np.where(fluctuating, SWING * excess, 0.0)
    worst = np.fmax(np.abs(early), np.abs(late)) + swing
    return Verdict(
        error_usiemens=error,
        noise_usiemens=np.sqrt(within**2 + between**2),
        fluctuating=fluctuating,
        in_window=read & (worst <= window_usiemens),
    )


def window_floor_usiemens(readout: Readout, max_usiemens: float, samples: int) -> float:
    """Smallest window this bench can certify: two deviations of a mean, the gain of its columns, its converter steps.

    A converter whose step is wider than the noise before it hides half a step, however long one averages.
    """
    noise = float(readout.sample_noise_usiemens(max_usiemens))
    hidden = 0.0 if noise > 0.5 * readout.lsb_usiemens else 0.5 * readout.lsb_usiemens
    return 2.0 * noise / math.sqrt(samples) + 2.0 * readout.gain_spread * max_usiemens + hidden


def effective_bits(error_std_usiemens: float, range_usiemens: float) -> float:
    """log2 of the levels an ideal quantiser would need to have the same error; NaN without an error."""
    if not error_std_usiemens > 0:
        return float("nan")
    return float(np.log2(range_usiemens / (error_std_usiemens * np.sqrt(12.0))))


def _about_trend(error: FloatArray) -> FloatArray:
    """Deviation of the looks about a straight line (relaxation is no fluctuation); 0 with fewer than three."""
    looks = error.shape[0]
    if looks < 3:
        return np.zeros(error.shape[1])
    time = np.linspace(-1.0, 1.0, looks)
    slope = np.einsum("j,jn->n", time, error) / np.sum(time * time)
    rest = error - error.mean(axis=0) - time[:, None] * slope
    deviation: FloatArray = np.sqrt((rest**2).sum(axis=0) / (looks - 2))
    return deviation


def _outliers(excess: FloatArray, similar_to: FloatArray) -> Mask:
    """Cells far noisier than others read with the same floor: the bench's own 1/f noise is what most of them share."""
    order = np.argsort(similar_to, kind="stable")
    flagged = np.zeros(len(excess), dtype=bool)
    for part in np.array_split(order, max(len(order) // NEIGHBOURS, 1)):
        values = excess[part]
        if np.isfinite(values).sum() < FEWEST:
            continue
        middle = np.nanmedian(values)
        spread = 1.4826 * np.nanmedian(np.abs(values - middle))
        flagged[part] = values > middle + OUTLIER * max(spread, 0.1 * middle)
    return flagged
