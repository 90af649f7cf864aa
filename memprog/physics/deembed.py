"""Cells read through wires: what the terminals see of the cells of one row, and back from there to the cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from memprog.chip import Cells, FloatArray, IntArray, Mask
from memprog.errors import InputError
from memprog.physics.wires import Wires


@dataclass(frozen=True, slots=True, kw_only=True)
class LineMap:
    """Resistance between each cell and the ends of its wires, both (rows, columns), from a profile or measured.

    ``row_ohm`` lies between a row's driver and the cell, and grows along the row; ``column_ohm`` lies between the cell
    and the point held at 0 V.
    """

    row_ohm: FloatArray
    column_ohm: FloatArray

    def __post_init__(self) -> None:
        """Refuse maps no wires can have."""
        if self.row_ohm.shape != self.column_ohm.shape or self.row_ohm.ndim != 2:
            raise InputError(f"line maps of shapes {self.row_ohm.shape} and {self.column_ohm.shape} do not pair up")
        for name, ohm in (("row", self.row_ohm), ("column", self.column_ohm)):
            if not (np.isfinite(ohm).all() and (ohm >= 0).all()):
                raise InputError(f"resistances in the {name} map must be 0 or positive numbers")
        if (np.diff(self.row_ohm, axis=1) < 0).any():
            raise InputError("resistance in the row map falls along a row, away from the driver; no wire does that")

    @property
    def series_ohm(self) -> FloatArray:
        """Wire in series with each cell when it is sensed alone, (rows, columns)."""
        return self.row_ohm + self.column_ohm


def line_map(rows: int, columns: int, wires: Wires) -> LineMap:
    """Map of an array whose segments are all alike.

    Raises:
        InputError: an array without cells.
    """
    if rows < 1 or columns < 1:
        raise InputError(f"an array of {rows} x {columns} has no cells")
    along_row = wires.driver_ohm + wires.row_ohm * np.arange(1.0, columns + 1)
    along_column = wires.sense_ohm + wires.column_ohm * np.arange(1.0, rows + 1)
    if wires.sensed_at_last_row:
        along_column = along_column[::-1]
    row_ohm, column_ohm = np.broadcast_arrays(along_row, along_column[:, None])
    return LineMap(row_ohm=row_ohm, column_ohm=column_ohm)


def line_map_ohm(rows: int, columns: int, wires: Wires) -> FloatArray:
    """Wire in series with each cell sensed alone, (rows, columns), of an array whose segments are all alike."""
    return line_map(rows, columns, wires).series_ohm


def apparent_usiemens(
    conductance_usiemens: FloatArray, cells: Cells, group: IntArray | None, lines: LineMap
) -> FloatArray:
    """Conductance the terminals see: sensed current over the voltage between row driver and column.

    The cells of a group are sensed at the same time. Their row's gates are open, all others shut; columns of the row
    that are not sensed float, so nothing flows in them. Then one row wire feeds the cells, each with a column wire of
    its own behind it.

    Args:
        conductance_usiemens: (n,) true conductance of each cell between its local nodes; 0 is an open cell.
        cells: the n cells.
        group: (n,) numbers of the cells sensed at the same time; None where each is sensed alone.
        lines: resistances of the wires.

    Returns:
        (n,) apparent conductance, at most the true one.

    Raises:
        InputError: a conductance is negative or not finite, or the groups are none that can be sensed at once.
    """
    if not (np.isfinite(conductance_usiemens).all() and (conductance_usiemens >= 0).all()):
        raise InputError("conductances must be 0 or positive numbers to be read through wires")
    ladder = _Ladder.of(cells, group, lines)
    cell = ladder.sort(conductance_usiemens) * 1e-6
    branch = cell / (1.0 + cell * ladder.column_ohm)
    # From the open end: what the row wire sees at each cell, itself and all that lies behind.
    seen = branch.copy()
    for here in ladder.inwards():
        seen[here - 1] += seen[here] / (1.0 + seen[here] * ladder.row_step_ohm[here])
    share = 1.0 / (1.0 + seen * ladder.row_step_ohm)
    for here in ladder.outwards():
        share[here] *= share[here - 1]
    return ladder.unsort(branch * share * 1e6)


def grouped_read_currents_a(
    conductance_usiemens: FloatArray, cells: Cells, group: IntArray | None, read_v: float, lines: LineMap
) -> FloatArray:
    """Sensed current of each cell (n,) in A for read_v between row driver and column; see apparent_usiemens."""
    return apparent_usiemens(conductance_usiemens, cells, group, lines) * (read_v * 1e-6)


def local_share(
    measured_usiemens: FloatArray,
    cells: Cells,
    group: IntArray | None,
    lines: LineMap,
    unread_usiemens: float = float("nan"),
) -> FloatArray:
    """Share of the read voltage that was between each cell's local nodes, given all currents of its group.

    Args:
        measured_usiemens: (n,) apparent conductance: offset-corrected current over the voltage at the terminals; NaN
            where a cell was not read.
        cells: the n cells, whole groups.
        group: (n,) numbers of the cells sensed at the same time; None where each is sensed alone.
        lines: resistances of the wires.
        unread_usiemens: apparent conductance to reckon with where a cell was not read (0 if it is not wired, full scale
            if it clamped: then the others' drops are at least this). NaN: what shared a group with it is unknown, too.

    Returns:
        (n,) share, 1 without wires; NaN where unknown, and where the wires would have taken all the voltage: no cell
        gives such a current.

    Raises:
        InputError: the groups are none that can be sensed at once.
    """
    ladder = _Ladder.of(cells, group, lines)
    measured = ladder.sort(measured_usiemens) * 1e-6
    flowing = np.where(np.isnan(measured), unread_usiemens * 1e-6, measured)
    through = flowing.copy()
    for here in ladder.inwards():
        through[here - 1] += through[here]
    drop = through * ladder.row_step_ohm
    for here in ladder.outwards():
        drop[here] += drop[here - 1]
    # A cell that was not read has no share, whatever it was reckoned with.
    share = 1.0 - drop - measured * ladder.column_ohm
    return ladder.unsort(np.where(share > 0, share, np.nan))


def de_embed(
    measured_usiemens: FloatArray,
    cells: Cells,
    group: IntArray | None,
    lines: LineMap,
    unread_usiemens: float = float("nan"),
) -> FloatArray:
    """Conductance of each cell between its local nodes (n,), the exact inverse of apparent_usiemens.

    Arguments, NaN and errors are those of local_share.
    """
    return measured_usiemens / local_share(measured_usiemens, cells, group, lines, unread_usiemens)


def line_sensitivity(share: FloatArray) -> FloatArray:
    """Relative error of a de-embedded conductance for each relative error of all line resistances, (n,).

    Args:
        share: (n,) what local_share gives; NaN stays NaN.
    """
    return (1.0 - share) / share


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ladder:
    """Cells sorted by group and, in a group, from the row's driver outwards, all (n,).

    ``row_step_ohm`` is the row wire between a cell and the one before it, or the driver; ``by_place`` lists first the
    first cells of all groups, then the second ones, with ``ends`` (places + 1,) between them.
    """

    order: IntArray
    row_step_ohm: FloatArray
    column_ohm: FloatArray
    by_place: IntArray
    ends: IntArray

    @staticmethod
    def of(cells: Cells, group: IntArray | None, lines: LineMap) -> _Ladder:
        """Lay out the row wires of all groups."""
        n = len(cells)
        group = np.arange(n) if group is None else group
        _check_inside(cells, group, lines)
        order = np.lexsort((cells.column, group))
        row, column = cells.row[order], cells.column[order]
        joined = np.zeros(n, dtype=bool)
        joined[1:] = group[order[1:]] == group[order[:-1]]
        _check_joined(cells.take(order), joined)
        to_driver = lines.row_ohm[row, column]
        step = to_driver.copy()
        step[1:] -= np.where(joined[1:], to_driver[:-1], 0.0)
        start = np.maximum.accumulate(np.where(joined, 0, np.arange(n)))
        place = np.arange(n) - start
        return _Ladder(
            order=order,
            row_step_ohm=step,
            column_ohm=lines.column_ohm[row, column],
            by_place=np.argsort(place, kind="stable"),
            ends=np.concatenate([[0], np.cumsum(np.bincount(place))]),
        )

    def sort(self, values: FloatArray) -> FloatArray:
        """Bring one value a cell into the ladder's order."""
        if values.shape != self.order.shape:
            raise InputError(f"{len(self.order)} cells need as many values, not an array of shape {values.shape}")
        return values[self.order]

    def unsort(self, values: FloatArray) -> FloatArray:
        """Bring values back into the caller's order."""
        found = np.empty_like(values)
        found[self.order] = values
        return found

    def outwards(self) -> Iterator[IntArray]:
        """Cells that have another before them in their group: the second ones of all groups, the third ones, ..."""
        for place in range(1, len(self.ends) - 1):
            yield self.by_place[self.ends[place] : self.ends[place + 1]]

    def inwards(self) -> Iterator[IntArray]:
        """The same from the open ends to the drivers."""
        for place in range(len(self.ends) - 2, 0, -1):
            yield self.by_place[self.ends[place] : self.ends[place + 1]]


def _check_inside(cells: Cells, group: IntArray, lines: LineMap) -> None:
    """Refuse cells without a place in the map, and group numbers that do not pair up with them."""
    if group.shape != cells.row.shape:
        raise InputError(f"{len(cells)} cells need as many group numbers, not an array of shape {group.shape}")
    rows, columns = lines.row_ohm.shape
    outside = (cells.row < 0) | (cells.row >= rows) | (cells.column < 0) | (cells.column >= columns)
    if outside.any():
        k = int(outside.argmax())
        raise InputError(f"row {cells.row[k]}, column {cells.column[k]} is not in a line map of {rows} x {columns}")


def _check_joined(cells: Cells, joined: Mask) -> None:
    """Refuse a group in two rows or arrays, or with a cell twice; ``joined`` (n,) says who shares the one before's."""
    apart = (np.diff(cells.array) != 0) | (np.diff(cells.row) != 0) | (np.diff(cells.column) == 0)
    wrong = apart & joined[1:]
    if wrong.any():
        k = int(wrong.argmax())
        pair = " and ".join(f"({cells.array[i]}, {cells.row[i]}, {cells.column[i]})" for i in (k, k + 1))
        raise InputError(f"cells {pair} (array, row, column) share a group; a group is different cells of one row")
