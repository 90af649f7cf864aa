"""Where layers stand on the chip: their matrices cut into tiles, the tiles packed into few arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from memprog.errors import InputError
from memprog.image import Tile
from memprog.profile import Geometry


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a layer's matrix that fits into one array."""

    name: str
    first_input: int
    first_output: int
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True, order=True)
class _Space:
    """A rectangle of one array: its upper left corner, then its size; ``pair`` counts pairs of columns."""

    array: int
    row: int
    pair: int
    inputs: int
    outputs: int

    def fits(self, piece: _Piece) -> bool:
        """Say whether a piece can stand in it."""
        return piece.inputs <= self.inputs and piece.outputs <= self.outputs

    def contains(self, other: _Space) -> bool:
        """Say whether another rectangle of this array lies in it."""
        return (
            self.row <= other.row
            and self.pair <= other.pair
            and other.row + other.inputs <= self.row + self.inputs
            and other.pair + other.outputs <= self.pair + self.outputs
        )

    def without(self, taken: _Space) -> list[_Space]:
        """Give the largest rectangles that another one of this array leaves of it; they may overlap."""
        above, left = taken.row - self.row, taken.pair - self.pair
        below, right = self.inputs - above - taken.inputs, self.outputs - left - taken.outputs
        if max(above, below) >= self.inputs or max(left, right) >= self.outputs:
            return [self]
        strips = (
            replace(self, inputs=above),
            replace(self, row=taken.row + taken.inputs, inputs=below),
            replace(self, outputs=left),
            replace(self, pair=taken.pair + taken.outputs, outputs=right),
        )
        return [strip for strip in strips if strip.inputs > 0 and strip.outputs > 0]


def place_layers(shapes: Mapping[str, tuple[int, int]], geometry: Geometry) -> dict[str, tuple[Tile, ...]]:
    """Give every layer its tiles; the same shapes always get the same places.

    Args:
        shapes: (outputs, inputs) of each layer's matrix.
        geometry: of the chip.

    Raises:
        InputError: the chip has too few arrays; the sentence tells how many it takes.
    """
    pairs = geometry.columns // 2
    if not pairs:
        raise InputError("a pair of conductances needs arrays of at least two columns")
    weights = sum(outputs * inputs for outputs, inputs in shapes.values())
    _check_arrays(math.ceil(weights / (geometry.rows * pairs)), geometry, "at least ")
    pieces = [piece for name, shape in shapes.items() for piece in _cut(name, shape, geometry.rows, pairs)]
    corners = _pack(pieces, geometry.rows, pairs)
    _check_arrays(1 + max(corner.array for corner in corners), geometry)
    tiles: dict[str, list[Tile]] = {name: [] for name in shapes}
    for piece, corner in zip(pieces, corners, strict=True):
        tiles[piece.name].append(_tile(piece, corner))
    return {name: tuple(own) for name, own in tiles.items()}


def _check_arrays(needed: int, geometry: Geometry, bound: str = "") -> None:
    if needed > geometry.arrays:
        size = f"{geometry.arrays} of {geometry.rows} x {geometry.columns} cells"
        raise InputError(f"the weights need {bound}{needed} arrays and the chip has {size}; use --only or --skip")


def _cut(name: str, shape: tuple[int, int], rows: int, pairs: int) -> list[_Piece]:
    """Cut a matrix into as many whole arrays as it fills, and the rests."""
    outputs, inputs = shape
    return [
        _Piece(name, first_input, first_output, min(rows, inputs - first_input), min(pairs, outputs - first_output))
        for first_output in range(0, outputs, pairs)
        for first_input in range(0, inputs, rows)
    ]


def _pack(pieces: Sequence[_Piece], rows: int, pairs: int) -> list[_Space]:
    """Choose a place for each piece: the largest first, each in the smallest free rectangle that holds it."""
    order = sorted(range(len(pieces)), key=lambda k: (-pieces[k].inputs * pieces[k].outputs, -pieces[k].inputs, k))
    free: list[list[_Space]] = []
    places: dict[int, _Space] = {}
    for k in order:
        fitting = [space for spaces in free for space in spaces if space.fits(pieces[k])]
        if not fitting:
            fitting = [_Space(len(free), 0, 0, rows, pairs)]
            free.append(fitting)
        corner = min(fitting, key=lambda space: (space.inputs * space.outputs, space))
        places[k] = replace(corner, inputs=pieces[k].inputs, outputs=pieces[k].outputs)
        free[corner.array] = _what_is_left(free[corner.array], places[k])
    return [places[k] for k in range(len(pieces))]


def _what_is_left(spaces: Sequence[_Space], taken: _Space) -> list[_Space]:
    """Take a rectangle out of an array's free ones, and drop those that lie in others."""
    left = sorted({part for space in spaces for part in space.without(taken)})
    return [part for part in left if not any(other != part and other.contains(part) for other in left)]


def _tile(piece: _Piece, corner: _Space) -> Tile:
    return Tile(
        array=corner.array,
        row=corner.row,
        column=2 * corner.pair,
        inputs=piece.inputs,
        outputs=piece.outputs,
        first_input=piece.first_input,
        first_output=piece.first_output,
    )
