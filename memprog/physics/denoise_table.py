"""What one sub-threshold pulse does to islands and to the main channel: counted over synthetic maps, and as a table.

A bias is in eV of the phase field. How many volts it is, is not known: one reference point, the published pulse of
30 eV, stands for the chip's sub-threshold amplitude (assumption: in proportion).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from memprog.chip import FloatArray, IntArray
from memprog.errors import InputError
from memprog.physics.channels import COMPLETE, PUBLISHED_SHAPE, Islands, Segments, census, maps_with_islands, segment
from memprog.physics.phase_field import PUBLISHED_BIAS_EV, RELAX, REST, Stage, evolve

PULSE_STEPS = 10
BIASES_EV = np.arange(-20.0, 121.0, 5.0)
"""Biases that are tried; small islands go without a pulse, and only an opposite one tells how weak they are."""
DIAMETERS = (3.5, 10.5)
"""Islands outside are not counted: smaller ones are a few cells of the grid, larger ones compare with the channel."""
COUNTED_SHAPE = replace(
    PUBLISHED_SHAPE, rows=65, columns=59, island_height=0.0, island_width=0.0, island_gap=0.0, cloud_order=0.0
)
"""A main channel in a map of the published pitch, and large enough for an island on any side."""
DRAWN_DIAMETERS = (5.0, 13.0)
DRAWN_ASPECTS = (1.0, 1.5)
DRAWN_GAPS = (2.0, 5.0)
DRAWN_ORDERS = (0.6, 1.0)
"""Islands are drawn evenly from these, cells and order parameters (assumption); what relaxing leaves is counted."""
_FEWEST = 8
"""A class of sizes with fewer islands than this is left out of the table."""
_LOGISTIC = float(np.sqrt(3.0) / np.pi)
"""Scale of a logistic distribution over its deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseCount:
    """What single pulses of b biases did to n islands and to the main channels of m maps.

    Attributes:
        bias_ev: (b,) rising biases.
        diameter: (n,) of each island before the pulse, from its area above COMPLETE; cells.
        gone: (b, n) no cell of the island is above COMPLETE after the pulse and its rest.
        main_diameter: (m,) of each main channel before the pulse, cells.
        area_kept: (b, m) share of the main channel's cells that stay above COMPLETE.
        conduction_kept: (b, m) share of the sum of phi over those cells.
        neck_kept: (b, m) share of the least sum of phi along a row.
    """

    bias_ev: FloatArray
    diameter: FloatArray
    gone: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    main_diameter: FloatArray
    area_kept: FloatArray
    conduction_kept: FloatArray
    neck_kept: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiseTable:
    """Fate of islands and of the main channel under one pulse (10 steps, then 10 of rest), after 60 steps of relaxing.

    The chance to dissolve is logistic in the bias; threshold and slope depend on the island's size.

    Attributes:
        diameter: (k,) rising island diameters, cells of the published grid.
        islands: (k,) how many were counted for each.
        threshold_ev: (k,) bias that dissolves half of them.
        slope_ev: (k,) scale of the logistic.
        bias_ev: (b,) rising biases of the columns below, each (b,) and a mean over maps.
        area_kept: share of the main channel's cells that stay above one half.
        conduction_kept: share of its conduction, the sum of phi over its cells, when current flows through the film.
        neck_kept: share of the least sum of phi along a row, which limits a current along the film.
        recession: cells by which the wall of the main channel draws back: half the loss of its diameter.
        main_diameter: of the main channels, cells; mean over maps.
        broken_ev: bias that leaves nothing of half the main channels.
    """

    diameter: FloatArray
    islands: IntArray
    threshold_ev: FloatArray
    slope_ev: FloatArray
    bias_ev: FloatArray
    area_kept: FloatArray
    conduction_kept: FloatArray
    neck_kept: FloatArray
    recession: FloatArray
    main_diameter: float
    broken_ev: float

    def __post_init__(self) -> None:
        """Reject columns that do not belong together, or axes that do not rise."""
        for axis, columns in (
            (self.diameter, (self.islands, self.threshold_ev, self.slope_ev)),
            (self.bias_ev, (self.area_kept, self.conduction_kept, self.neck_kept, self.recession)),
        ):
            if axis.ndim != 1 or len(axis) < 2 or (np.diff(axis) <= 0).any():
                raise InputError("an axis of a denoise table needs two or more rising numbers")
            if any(column.shape != axis.shape for column in columns):
                raise InputError(f"a denoise table with {len(axis)} entries has a column of another length")
        if not (self.slope_ev > 0).all():
            raise InputError("a slope in a denoise table is not above 0")

    def chance(self, diameter: FloatArray, bias_ev: FloatArray) -> FloatArray:
        """Chance that one pulse dissolves an island; sizes and biases broadcast.

        Sizes outside the table take its first or last line.
        """
        threshold = np.interp(diameter, self.diameter, self.threshold_ev)
        slope = np.interp(diameter, self.diameter, self.slope_ev)
        chance: FloatArray = 1.0 / (1.0 + np.exp(-np.clip((bias_ev - threshold) / slope, -40.0, 40.0)))
        return chance

    def bias_for_ev(self, diameter: FloatArray, chance: float) -> FloatArray:
        """Bias at which one pulse dissolves this share of the islands of each size."""
        if not 0.0 < chance < 1.0:
            raise InputError(f"a chance to dissolve of {chance:g} is not between 0 and 1")
        threshold = np.interp(diameter, self.diameter, self.threshold_ev)
        slope = np.interp(diameter, self.diameter, self.slope_ev)
        return np.asarray(threshold + slope * np.log(chance / (1.0 - chance)))

    def conduction_cost(self, bias_ev: FloatArray) -> FloatArray:
        """Share of its conduction one pulse takes from the main channel; beyond the table its last number."""
        return np.asarray(1.0 - np.interp(bias_ev, self.bias_ev, self.conduction_kept))

    def area_cost(self, bias_ev: FloatArray) -> FloatArray:
        """Share of its cells one pulse takes from the main channel; beyond the table its last number."""
        return np.asarray(1.0 - np.interp(bias_ev, self.bias_ev, self.area_kept))

    @property
    def largest_dissolved(self) -> float:
        """Diameter below which the published pulse dissolves 95 % of the islands, cells; NaN if there is none."""
        needed = self.bias_for_ev(self.diameter, 0.95)
        if not needed[0] <= PUBLISHED_BIAS_EV <= needed[-1]:
            return float("nan")
        return float(np.interp(PUBLISHED_BIAS_EV, np.maximum.accumulate(needed), self.diameter))


# fmt: off
DENOISE_TABLE = DenoiseTable(
    diameter=np.arange(4.0, 10.5),
    islands=np.array([72, 87, 77, 92, 81, 81, 58]),
    threshold_ev=np.array([-5.3, 8.6, 22.9, 36.7, 50.8, 61.9, 72.4]),
    slope_ev=np.array([1.5, 1.2, 1.4, 2.0, 1.6, 1.7, 1.6]),
    bias_ev=BIASES_EV,
    area_kept=np.array([
        1.000, 1.000, 0.999, 0.992, 0.964, 0.927, 0.891, 0.855, 0.820, 0.784, 0.747, 0.710, 0.674, 0.636, 0.598,
        0.558, 0.517, 0.474, 0.429, 0.380, 0.326, 0.267, 0.197, 0.112, 0.009, 0.000, 0.000, 0.000, 0.000,
    ]),
    conduction_kept=np.array([
        1.085, 1.065, 1.042, 1.013, 0.969, 0.919, 0.871, 0.824, 0.777, 0.731, 0.685, 0.639, 0.595, 0.550, 0.506,
        0.461, 0.416, 0.371, 0.326, 0.280, 0.233, 0.184, 0.131, 0.072, 0.006, 0.000, 0.000, 0.000, 0.000,
    ]),
    neck_kept=np.array([
        1.092, 1.072, 1.053, 1.035, 1.030, 1.006, 0.969, 0.935, 0.902, 0.868, 0.828, 0.798, 0.762, 0.729, 0.688,
        0.646, 0.601, 0.553, 0.507, 0.461, 0.415, 0.356, 0.287, 0.208, 0.036, 0.000, 0.000, 0.000, 0.000,
    ]),
    recession=np.array([
        0.00, 0.00, 0.00, 0.04, 0.16, 0.34, 0.51, 0.68, 0.86, 1.05, 1.24, 1.44, 1.63, 1.84, 2.06, 2.31, 2.56, 2.84,
        3.15, 3.50, 3.91, 4.41, 5.07, 6.07, 8.53, 9.10, 9.10, 9.10, 9.10,
    ]),
    main_diameter=18.21,
    broken_ev=99.5,
)
# fmt: on
"""Counted over 1,200 maps: ``tabulate(count_pulses(1200, numpy.random.default_rng(1)))``, rounded."""


def bias_from_v(amplitude_v: FloatArray, reference_v: float) -> FloatArray:
    """Turn amplitudes into biases, eV: ``reference_v`` is taken to be the published pulse (assumption, in proportion).

    Raises:
        InputError: the reference is not above 0.
    """
    if not reference_v > 0:
        raise InputError(f"a sub-threshold amplitude of {reference_v:g} V cannot be a reference; it must be above 0")
    return np.asarray(amplitude_v) * (PUBLISHED_BIAS_EV / reference_v)


def count_pulses(maps: int, rng: np.random.Generator, bias_ev: FloatArray = BIASES_EV) -> PulseCount:
    """Draw maps with one island each, let them relax, and try every bias on each from the same start."""
    if maps < 1 or len(bias_ev) < 2 or (np.diff(bias_ev) <= 0).any():
        raise InputError(f"{maps} maps and {len(bias_ev)} biases are no count; it needs a map and two rising biases")
    before = evolve(maps_with_islands(COUNTED_SHAPE, scattered_islands(maps, rng), rng), (RELAX,))
    found, start = segment(before), census(before)
    islands = np.flatnonzero(~found.main & (found.diameter >= DIAMETERS[0]) & (found.diameter < DIAMETERS[1]))
    gone, area, conduction, neck = (np.empty((len(bias_ev), n)) for n in (len(islands), maps, maps, maps))
    mask = found.main_mask()
    for at, bias in enumerate(bias_ev):
        after = evolve(before, (Stage(steps=PULSE_STEPS, bias_ev=float(bias)), REST))
        gone[at] = _peaks(after, found)[islands] <= COMPLETE
        left = np.where(mask & (after > COMPLETE), after, 0.0)
        area[at] = (left > 0).sum(axis=(1, 2)) / start.main_area
        conduction[at] = left.sum(axis=(1, 2)) / start.conduction
        neck[at] = np.nan_to_num(census(left).neck) / start.neck
    return PulseCount(
        bias_ev=np.asarray(bias_ev, dtype=np.float64),
        diameter=found.diameter[islands],
        gone=gone > 0,
        main_diameter=2.0 * np.sqrt(start.main_area / np.pi),
        area_kept=area,
        conduction_kept=conduction,
        neck_kept=neck,
    )


def scattered_islands(maps: int, rng: np.random.Generator) -> Islands:
    """Draw one island a map: beside the main channel in any direction, of mixed size, aspect, gap and order."""
    low, high = DRAWN_DIAMETERS
    diameter, angle = rng.uniform(low, high, maps), rng.uniform(0.0, 2.0 * np.pi, maps)
    gap, order = rng.uniform(*DRAWN_GAPS, maps), rng.uniform(*DRAWN_ORDERS, maps)
    stretch = np.sqrt(rng.uniform(*DRAWN_ASPECTS, maps))
    up, along = np.sin(angle), np.cos(angle)
    shape = COUNTED_SHAPE
    main = 1.0 / np.hypot(up / (0.5 * shape.main_height), along / (0.5 * shape.main_width))
    height, width = diameter * stretch, diameter / stretch
    distance = main + gap + 0.5 / np.hypot(up / height, along / width)
    middle = shape.main_centre
    each = (middle[0] + distance * up, middle[1] + distance * along, height, width, order)
    row, column, height, width, order = (part[:, None] for part in each)
    return Islands(row=row, column=column, height=height, width=width, order=order)


def tabulate(count: PulseCount) -> DenoiseTable:
    """Fit thresholds and slopes to classes of island size one cell wide, and average the cost over the maps.

    A smooth trend of threshold with size is taken out before the spread within a class is measured, and the spread
    that the steps between the biases add.
    """
    threshold = _thresholds(count)
    centres = np.arange(DIAMETERS[0] + 0.5, DIAMETERS[1])
    centres = centres[np.histogram(count.diameter, np.append(centres - 0.5, DIAMETERS[1]))[0] >= _FEWEST]
    if len(centres) < 2:
        raise InputError(f"{len(count.diameter)} islands are too few for a table of their sizes; draw more maps")
    trend = np.polynomial.Polynomial.fit(count.diameter, threshold, 2)
    off = threshold - trend(count.diameter)
    member = np.abs(count.diameter - centres[:, None]) <= 0.5
    number = member.sum(axis=1)
    mean = (member * off).sum(axis=1) / number
    variance = (member * (off - mean[:, None]) ** 2).sum(axis=1) / (number - 1)
    step = float(np.diff(count.bias_ev).mean())
    kept = {name: getattr(count, name).mean(axis=1) for name in ("area_kept", "conduction_kept", "neck_kept")}
    return DenoiseTable(
        diameter=centres,
        islands=number.astype(np.int64),
        threshold_ev=trend(centres) + mean,
        slope_ev=_LOGISTIC * np.sqrt(np.maximum(variance - step**2 / 12.0, step**2 / 12.0)),
        bias_ev=count.bias_ev,
        recession=(0.5 * count.main_diameter * (1.0 - np.sqrt(count.area_kept))).mean(axis=1),
        main_diameter=float(count.main_diameter.mean()),
        broken_ev=_broken_ev(count),
        **kept,
    )


def _thresholds(count: PulseCount) -> FloatArray:
    """Bias at which each island goes, (n,): halfway between the last one it survives and the first it does not."""
    step = np.diff(count.bias_ev)
    edges = np.concatenate([[count.bias_ev[0] - 0.5 * step[0]], count.bias_ev[:-1] + 0.5 * step])
    first = np.where(count.gone.any(axis=0), count.gone.argmax(axis=0), len(edges) - 1)
    return np.asarray(edges[first])


def _broken_ev(count: PulseCount) -> float:
    """Bias that leaves no cell of half the main channels; NaN if none of those tried does."""
    broken = (count.area_kept == 0).mean(axis=1)
    if broken[-1] < 0.5:
        return float("nan")
    return float(np.interp(0.5, np.maximum.accumulate(broken), count.bias_ev))


def _peaks(phi: FloatArray, found: Segments) -> FloatArray:
    """Highest order parameter in each channel found earlier, (channels,)."""
    from scipy.ndimage import maximum

    return np.asarray(maximum(phi, found.labels, np.arange(1, len(found.area) + 1)), dtype=np.float64)
