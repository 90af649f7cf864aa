"""Wires of an array by nodal analysis: what its columns carry when many rows are driven at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from memprog.chip import FloatArray
from memprog.errors import InputError

RTOL = 1e-9
"""Where the iteration ends, in the energy norm: the error of a current is then about 1e-8 of the largest."""
MOST_ITERATIONS = 2000
"""256 x 256 cells of 1 S behind segments of 1 ohm, far beyond any array, need 300."""
BLOCK = 1 << 18
"""Node voltages of one family that are iterated together: their working set stays in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wires:
    """Resistances of the wires of an array; 0 is a wire without any.

    A row wire is driven beside column 0 through ``driver_ohm``, a column wire is held at 0 V through ``sense_ohm``
    beside row 0 (beside the last row with ``sensed_at_last_row``). One segment lies between neighbouring cells and one
    between the end of a wire and its first cell, so the farthest cell sees rows + columns segments.
    """

    row_ohm: float
    column_ohm: float
    driver_ohm: float = 0.0
    sense_ohm: float = 0.0
    sensed_at_last_row: bool = False

    def __post_init__(self) -> None:
        """Refuse resistances no wire has."""
        for name in ("row_ohm", "column_ohm", "driver_ohm", "sense_ohm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} of a wire is {value}; it must be 0 or a positive number")


class WireSolver:
    """An array with wires, prepared once for any number of products.

    The row wires, taken alone, are solved exactly; what remains, a system of the column wires' nodes, is solved by
    conjugate gradients preconditioned with the exact solution of the column wires taken alone.
    """

    def __init__(self, conductance_usiemens: FloatArray, wires: Wires) -> None:
        """Prepare an array.

        Args:
            conductance_usiemens: (rows, columns) conductance of each cell; 0 is an open cell or a shut gate.
            wires: its wires.

        Raises:
            InputError: a conductance is negative or not finite, or there are no cells.
        """
        if conductance_usiemens.ndim != 2 or conductance_usiemens.size == 0:
            raise InputError(f"an array of shape {conductance_usiemens.shape} has no rows and columns")
        if not (np.isfinite(conductance_usiemens).all() and (conductance_usiemens >= 0).all()):
            raise InputError("conductances must be 0 or positive numbers to be solved with wires")
        self._flip = (slice(None, None, 1 if wires.sensed_at_last_row else -1), slice(None, None, -1))
        self._siemens = np.ascontiguousarray(conductance_usiemens[self._flip] * 1e-6)
        self._by_column = np.ascontiguousarray(self._siemens.T)
        self._rows = _Lines(self._siemens, wires.row_ohm, wires.driver_ohm)
        self._columns = _Lines(self._by_column, wires.column_ohm, wires.sense_ohm)
        self._iterations = 0

    @property
    def iterations(self) -> int:
        """Iterations the last product took; of a batch, those of its slowest part."""
        return self._iterations

    def currents_a(self, row_v: FloatArray) -> FloatArray:
        """Currents out of the columns.

        Args:
            row_v: (batch, rows) voltage of each row's driver.

        Returns:
            (batch, columns) currents in A.

        Raises:
            InputError: the voltages do not fit, or the iteration does not end.
        """
        current_a = np.empty((len(row_v), self._siemens.shape[1]))
        for part, row_nodes, column_nodes in self._solve(row_v):
            row_nodes -= column_nodes.swapaxes(1, 2)
            current_a[part] = np.einsum("rc,brc->bc", self._siemens, row_nodes)
        return np.ascontiguousarray(current_a[:, ::-1])

    def node_voltages_v(self, row_v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Voltages at both ends of each cell.

        Args:
            row_v: (batch, rows) voltage of each row's driver.

        Returns:
            Two arrays (batch, rows, columns): the row wire's nodes and the column wire's nodes, in V.

        Raises:
            InputError: the voltages do not fit, or the iteration does not end.
        """
        on_rows, on_columns = np.empty((2, len(row_v), *self._siemens.shape))
        for part, row_nodes, column_nodes in self._solve(row_v):
            on_rows[part] = row_nodes[:, *self._flip]
            on_columns[part] = column_nodes.swapaxes(1, 2)[:, *self._flip]
        return on_rows, on_columns

    def _solve(self, row_v: FloatArray) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
        """Node voltages (part, rows, columns) and (part, columns, rows), flipped, part of the batch after part."""
        rows = self._siemens.shape[0]
        if row_v.ndim != 2 or row_v.shape[1] != rows or not np.isfinite(row_v).all():
            raise InputError(f"row voltages of shape {row_v.shape} must be finite, one for each of {rows} rows")
        self._iterations = 0
        size = max(BLOCK // self._siemens.size, 1)
        for start in range(0, len(row_v), size):
            part = slice(start, min(start + size, len(row_v)))
            driven = self._rows.driven(row_v[part, self._flip[0]])
            column_nodes = self._column_nodes(_turned(driven * self._siemens))
            row_nodes = driven + self._rows.solve(_turned(column_nodes) * self._siemens)
            yield part, row_nodes, column_nodes

    def _column_nodes(self, injected_a: FloatArray) -> FloatArray:
        """Voltages of the column wires' nodes (batch, columns, rows) for currents into grounded column wires."""
        voltage = np.zeros_like(injected_a)
        residual = injected_a
        step = self._columns.solve(residual.copy())
        # What the column wires alone draw at ``step``; carried along, it saves multiplying by their matrix.
        drawn = residual.copy()
        energy = _dot(residual, step)
        stop = RTOL**2 * energy
        for iteration in range(MOST_ITERATIONS):
            if (energy <= stop).all():
                self._iterations = max(self._iterations, iteration)
                return voltage
            change = drawn - self._through_rows(step)
            length = _ratio(energy, _dot(step, change))
            voltage += length * step
            residual -= length * change
            direction = self._columns.solve(residual.copy())
            before, energy = energy, _dot(residual, direction)
            turn = _ratio(energy, before)
            step *= turn
            step += direction
            drawn *= turn
            drawn += residual
        raise InputError(f"the wires were not solved in {MOST_ITERATIONS} iterations; cells conduct too much for them")

    def _through_rows(self, column_nodes: FloatArray) -> FloatArray:
        """Current (batch, columns, rows) that comes back through the cells and row wires from the column wires."""
        row_nodes = self._rows.solve(_turned(column_nodes * self._by_column))
        back: FloatArray = _turned(row_nodes)
        back *= self._by_column
        return back


class _Lines:
    """The parallel wires of one family, alone: the far ends of their cells are at 0 V. Node 0 is the open end.

    Eliminated from the open end every pivot is a sum of positive conductances, so no digit is lost however small the
    resistance of a segment. All lines together are one tridiagonal system L D L^T.
    """

    def __init__(self, siemens: FloatArray, segment_ohm: float, terminal_ohm: float) -> None:
        self._shape = siemens.shape
        self._segments, self._load, self._terminal = segment_ohm > 0, siemens.sum(axis=1)[:, None], 0.0
        if segment_ohm + terminal_ohm > 0:
            self._terminal = 1.0 / (segment_ohm + terminal_ohm)
        if self._segments:
            self._pivot, self._factor = _factored(siemens, 1.0 / segment_ohm, self._terminal)

    def driven(self, terminal_v: FloatArray) -> FloatArray:
        """Node voltages (batch, lines, nodes) for voltages (batch, lines) at the terminals."""
        voltage = np.zeros((len(terminal_v), *self._shape))
        if self._terminal == 0:
            voltage += terminal_v[:, :, None]
            return voltage
        voltage[:, :, -1] = self._terminal * terminal_v
        return self.solve(voltage)

    def solve(self, injected_a: FloatArray) -> FloatArray:
        """Node voltages for currents injected at the nodes, both (batch, lines, nodes); may use up its argument."""
        if self._terminal == 0:
            return np.zeros_like(injected_a)
        if not self._segments:
            # Without resistance between its nodes a line is one node.
            one_node = injected_a.sum(axis=2, keepdims=True) / (self._load + self._terminal)
            return np.repeat(one_node, self._shape[1], axis=2)
        flat = injected_a.reshape(len(injected_a), -1)
        solved, _ = lapack.dpttrs(self._pivot, self._factor, flat.T, overwrite_b=1)
        voltage: FloatArray = solved.T.reshape(injected_a.shape)
        return voltage


def _factored(siemens: FloatArray, segment: float, terminal: float) -> tuple[FloatArray, FloatArray]:
    """Pivots and factors of L D L^T for all lines (lines, nodes) one after another; segment, terminal in S."""
    lines, nodes = siemens.shape
    pivot, factor = np.empty((nodes, lines)), np.zeros((nodes, lines))
    beyond = np.zeros(lines)
    for node, cells in enumerate(siemens.T):
        # To ground from here, away from the terminal: this cell, beside all that lies behind one more segment.
        to_ground = cells + beyond
        pivot[node] = to_ground + (segment if node < nodes - 1 else terminal)
        factor[node] = -segment / pivot[node]
        beyond = to_ground * segment / pivot[node]
    factor[-1] = 0.0
    # LAPACK wants one factor fewer than pivots, but at least one.
    return pivot.T.reshape(-1), factor.T.reshape(-1)[: max(siemens.size - 1, 1)]


def _turned(nodes: FloatArray) -> FloatArray:
    """Swap rows and columns of every (batch, .., ..) array, in memory too."""
    return np.ascontiguousarray(nodes.swapaxes(1, 2))


def _dot(left: FloatArray, right: FloatArray) -> FloatArray:
    """Inner product of each pair of a batch."""
    return np.asarray(np.einsum("bij,bij->b", left, right))


def _ratio(over: FloatArray, under: FloatArray) -> FloatArray:
    """Quotient for each of a batch, (batch, 1, 1); 0 where there is nothing left to divide by."""
    return np.divide(over, under, out=np.zeros_like(over), where=under > 0)[:, None, None]
