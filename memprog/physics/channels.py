"""Synthetic conductive-AFM maps of channels, and what is complete in a map and what is an island.

The measured map of Rao 2023 is not available. Sizes are those the paper's code draws, in cells of its 57 x 51 grid;
how sharp, how ragged and how conducting the parts are is assumed. The film lies in the plane of a map: current flows
through it, as under the tip of a conductive AFM, so that all cells conduct side by side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memprog.chip import FloatArray, IntArray
from memprog.errors import InputError
from memprog.physics.phase_field import PUBLISHED_COLUMNS, PUBLISHED_ROWS

LabelArray = NDArray[np.int32]

COMPLETE = 0.5
"""A cell belongs to a channel above this order parameter: the energy barrier is at 0.49."""
_CLOUD_FROM_CENTRE = (-4.0, 17.0)
"""Where the faint cloud lies, rows and columns from the middle of the main channel (assumption: beside it)."""
_CLOUD_SIZE = (7.0, 4.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelShape:
    """What a synthetic map shows: a ragged main channel, an island, a cloud; lengths in cells.

    Attributes:
        rows: rows of the map.
        columns: columns of the map.
        main_height: rows the main channel spans.
        main_width: columns it spans.
        main_order: order parameter at its boundary (assumption); its core is at 1.
        raggedness: deviation of its boundary relative to its radius (assumption).
        grain: correlation length of the raggedness (assumption).
        wall: width of its boundary relative to its radius (assumption).
        island_height: rows the island spans; 0 for none.
        island_width: columns it spans; 0 for none.
        island_gap: from the upper end of the main channel to the island; 0 touches, below 0 overlaps.
        island_order: order parameter in the island (assumption).
        cloud_order: order parameter in the middle of the cloud (assumption); 0 for none.
    """

    rows: int = PUBLISHED_ROWS
    columns: int = PUBLISHED_COLUMNS
    main_height: float = 25.0
    main_width: float = 18.0
    main_order: float = 0.65
    raggedness: float = 0.12
    grain: float = 1.5
    wall: float = 0.06
    island_height: float = 9.0
    island_width: float = 6.0
    island_gap: float = 0.0
    island_order: float = 0.65
    cloud_order: float = 0.25

    def __post_init__(self) -> None:
        """Reject shapes that do not fit their map."""
        lengths = (self.main_height, self.main_width, self.wall, self.grain)
        if not all(0 < length < math.inf for length in lengths):
            raise InputError(f"main channel, wall and grain need a size above 0, not {lengths}")
        if not (0 <= self.island_height < math.inf and 0 <= self.island_width < math.inf and 0 <= self.raggedness < 1):
            raise InputError(
                f"an island of {self.island_width} x {self.island_height} cells beside a channel with a raggedness of "
                f"{self.raggedness} cannot be drawn"
            )
        orders = (self.main_order, self.island_order, self.cloud_order)
        if not all(0 <= order <= 1 for order in orders):
            raise InputError(f"order parameters lie in 0..1, not {orders}")
        height = self.main_height + self.island_height + self.island_gap
        if height + 2 > self.rows or max(self.main_width, self.island_width) + 2 > self.columns:
            raise InputError(
                f"a channel of {self.main_width:g} x {self.main_height:g} cells with its island does not fit a map of "
                f"{self.columns} x {self.rows}"
            )

    @property
    def main_centre(self) -> tuple[float, float]:
        """Row and column of the middle of the main channel: channel and island together are centred."""
        above = self.island_height + self.island_gap if self.island_height > 0 else 0.0
        return 0.5 * (self.rows - 1 + above), 0.5 * (self.columns - 1)


PUBLISHED_SHAPE = ChannelShape()


@dataclass(frozen=True, slots=True, kw_only=True)
class Islands:
    """Elliptic islands, each field (maps, islands a map): middle, diameters in cells (0 for none), order parameter."""

    row: FloatArray
    column: FloatArray
    height: FloatArray
    width: FloatArray
    order: FloatArray

    def __post_init__(self) -> None:
        """Reject fields that do not belong together."""
        shapes = {part.shape for part in (self.row, self.column, self.height, self.width, self.order)}
        if len(shapes) != 1 or self.row.ndim != 2:
            raise InputError(f"the fields of islands have one shape (maps, islands a map), not {sorted(shapes)}")


def synthetic_maps(shape: ChannelShape, count: int, rng: np.random.Generator) -> FloatArray:
    """Draw maps that differ in their ragged boundaries.

    Returns:
        (count, rows, columns) order parameters in 0..1.
    """
    row, column = shape.main_centre
    above = 0.5 * shape.main_height + shape.island_gap + 0.5 * shape.island_height
    islands = Islands(
        row=np.full((count, 1), row - above),
        column=np.full((count, 1), column),
        height=np.full((count, 1), shape.island_height),
        width=np.full((count, 1), shape.island_width),
        order=np.full((count, 1), shape.island_order),
    )
    return maps_with_islands(shape, islands, rng)


def maps_with_islands(shape: ChannelShape, islands: Islands, rng: np.random.Generator) -> FloatArray:
    """Draw a map for each line of the given islands, which take the place of the one the shape describes.

    Returns:
        (maps, rows, columns) order parameters in 0..1.
    """
    noise = _correlated_noise((len(islands.row), shape.rows, shape.columns), shape.grain, rng)
    rows, columns = np.arange(shape.rows, dtype=np.float64)[:, None], np.arange(shape.columns, dtype=np.float64)
    row, column = shape.main_centre
    radius = np.hypot((rows - row) / (0.5 * shape.main_height), (columns - column) / (0.5 * shape.main_width))
    ragged = radius + shape.raggedness * noise
    hot = shape.main_order + (1.0 - shape.main_order) * np.exp(-((np.maximum(ragged, 0.0) / 0.6) ** 2))
    phi = hot * _inside(ragged, shape.wall)
    np.maximum(phi, _island_order(islands, rows, columns, shape.raggedness * noise), out=phi)
    off_rows = (rows - row - _CLOUD_FROM_CENTRE[0]) / _CLOUD_SIZE[0]
    off_columns = (columns - column - _CLOUD_FROM_CENTRE[1]) / _CLOUD_SIZE[1]
    cloud = shape.cloud_order * np.exp(-(off_rows**2) - off_columns**2)
    np.maximum(phi, cloud * (1.0 + 0.5 * noise), out=phi)
    return np.clip(phi, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """The channels of m maps: cells above COMPLETE that touch along an edge belong together.

    Attributes:
        labels: (maps, rows, columns); 0 outside channels, then one number a channel over all maps.
        map_of: (channels,) map a channel lies in; channel k has label k + 1.
        area: (channels,) cells.
        main: (channels,) the largest channel of its map; all others are islands.
    """

    labels: LabelArray
    map_of: IntArray
    area: IntArray
    main: NDArray[np.bool_]

    @property
    def diameter(self) -> FloatArray:
        """Diameter of the circle with each channel's area, cells."""
        return np.asarray(2.0 * np.sqrt(self.area / np.pi))

    def main_mask(self) -> NDArray[np.bool_]:
        """Cells of main channels, (maps, rows, columns)."""
        return np.concatenate([[False], self.main])[self.labels]


def segment(phi: FloatArray, level: float = COMPLETE) -> Segments:
    """Find the channels of each map, and the largest of each, which is its main channel.

    Args:
        phi: (maps, rows, columns) order parameters.
        level: a cell above it belongs to a channel.
    """
    from scipy.ndimage import label

    if phi.ndim != 3:
        raise InputError(f"maps to segment have the shape (maps, rows, columns), not {phi.shape}")
    touching = np.zeros((3, 3, 3), dtype=bool)
    touching[1] = [[False, True, False], [True, True, True], [False, True, False]]
    labels, count = label(phi > level, structure=touching)
    where = np.flatnonzero(labels)
    found, first = np.unique(labels.ravel()[where], return_index=True)
    map_of = where[first] // (phi.shape[1] * phi.shape[2])
    area = np.bincount(labels.ravel(), minlength=count + 1)[found]
    # Largest last within each map; of equals the first one counts.
    order = np.lexsort((-np.arange(count), area, map_of))
    last = np.append(np.diff(map_of[order]) != 0, True)[:count]
    main = np.zeros(count, dtype=bool)
    main[order[last]] = True
    return Segments(
        labels=labels.astype(np.int32), map_of=map_of.astype(np.int64), area=area.astype(np.int64), main=main
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What m maps hold, each (maps,); lengths in cells, NaN where there is no main channel.

    Attributes:
        main_area: cells of the main channel.
        conduction: sum of phi over them: current flows through the film, and all cells conduct side by side.
        main_width: width at half of the main channel, averaged over the middle half of its rows.
        neck: the least sum of phi along one of those rows: what would limit a current along the film instead.
        islands: number of other channels.
        island_area: cells of all of them.
        total: sum of phi over the map.
    """

    main_area: FloatArray
    conduction: FloatArray
    main_width: FloatArray
    neck: FloatArray
    islands: IntArray
    island_area: FloatArray
    total: FloatArray


def census(phi: FloatArray, level: float = COMPLETE) -> Census:
    """Count and measure the channels of each map, (maps, rows, columns)."""
    found = segment(phi, level)
    maps, mask = len(phi), found.main_mask()
    area = mask.sum(axis=(1, 2)).astype(np.float64)
    islands = np.bincount(found.map_of[~found.main], minlength=maps)
    island_area = np.bincount(found.map_of[~found.main], weights=found.area[~found.main], minlength=maps)
    width, neck = _across(phi, mask, level)
    return Census(
        main_area=area,
        conduction=np.where(mask, phi, 0.0).sum(axis=(1, 2)),
        main_width=width,
        neck=neck,
        islands=islands.astype(np.int64),
        island_area=island_area.astype(np.float64),
        total=phi.sum(axis=(1, 2)),
    )


def _across(phi: FloatArray, mask: NDArray[np.bool_], level: float) -> tuple[FloatArray, FloatArray]:
    """Mean width and least sum of phi along the rows of the middle half of each main channel, each (maps,)."""
    there = np.asarray(mask.any(axis=2))
    first, last = there.argmax(axis=1), there.shape[1] - 1 - there[:, ::-1].argmax(axis=1)
    quarter = (last - first + 1) // 4
    row = np.arange(there.shape[1])
    middle = there & (row >= (first + quarter)[:, None]) & (row <= (last - quarter)[:, None])
    empty = ~middle.any(axis=1)
    widths = np.where(middle, _widths(phi, mask, level), 0.0).sum(axis=1) / np.maximum(middle.sum(axis=1), 1)
    sums = np.where(middle, np.where(mask, phi, 0.0).sum(axis=2), np.inf).min(axis=1)
    return np.where(empty, np.nan, widths), np.where(empty, np.nan, sums)


def _widths(phi: FloatArray, mask: NDArray[np.bool_], level: float) -> FloatArray:
    """Columns of a mask in each row, with the part of a cell at either wall by interpolation; (maps, rows)."""
    step = phi[:, :, 1:] - phi[:, :, :-1]
    rises, falls = ~mask[:, :, :-1] & mask[:, :, 1:], mask[:, :, :-1] & ~mask[:, :, 1:]
    crossing = np.divide(level - phi[:, :, :-1], step, out=np.zeros_like(step), where=rises | falls)
    # A cell reaches half a column beyond its middle, which is where the mask ends without interpolation.
    part = np.where(rises, 0.5 - crossing, 0.0) + np.where(falls, crossing - 0.5, 0.0)
    total: FloatArray = mask.sum(axis=2) + part.sum(axis=2)
    return total


def _correlated_noise(shape: tuple[int, int, int], grain: float, rng: np.random.Generator) -> FloatArray:
    """Noise of deviation one, correlated over ``grain`` cells within a map and not between maps."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(rng.standard_normal(shape), sigma=(0.0, grain, grain))
    # White noise under a Gaussian of this width keeps 1 / (2 sqrt(pi) grain) of its deviation.
    return np.asarray(smooth * (2.0 * math.sqrt(math.pi) * grain))


def _inside(radius: FloatArray, wall: float) -> FloatArray:
    """1 well inside radius 1 and 0 well outside, over a wall of this width."""
    return np.asarray(1.0 / (1.0 + np.exp(np.clip((radius - 1.0) / wall, -40.0, 40.0))))


def _island_order(islands: Islands, rows: FloatArray, columns: FloatArray, ragged: FloatArray) -> FloatArray:
    """Order parameter the islands give their map, (maps, rows, columns); 0 where one has no size."""
    phi = np.zeros(ragged.shape)
    there = (islands.height > 0) & (islands.width > 0)
    order = np.where(there, islands.order, 0.0)
    half_height, half_width = (np.where(there, 0.5 * size, 1.0) for size in (islands.height, islands.width))
    for k in range(islands.row.shape[1]):
        off_rows = (rows - islands.row[:, k, None, None]) / half_height[:, k, None, None]
        off_columns = (columns - islands.column[:, k, None, None]) / half_width[:, k, None, None]
        # An incomplete channel has a softer wall than the main one (assumption).
        inside = _inside(np.hypot(off_rows, off_columns) + ragged, 0.15)
        np.maximum(phi, order[:, k, None, None] * inside, out=phi)
    return phi
