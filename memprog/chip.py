"""The contract with any chip, simulated or behind instruments; it speaks volts, amperes and seconds."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from memprog.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
StatusArray = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Bias(enum.IntEnum):
    """Which row of the profile's bias table a pulse uses. The numbers are stored in journals: never renumber."""

    SET = 1
    RESET = 2
    SUB_THRESHOLD = 3
    FORM = 4


class Status(enum.IntEnum):
    """What became of one cell of a batch. The numbers are stored in journals: never renumber."""

    OK = 0
    CLAMPED = 1
    OVER_RANGE = 2
    NOT_WIRED = 3


class Order(enum.Enum):
    """How samples of several cells follow each other in time."""

    INTERLEAVED = "interleaved"
    DWELLING = "dwelling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a chip is; ``serial`` is what journals are kept by.

    ``unit`` tells twins of one serial apart: the file of a simulated chip, nothing for silicon.
    """

    maker: str
    model: str
    serial: str
    firmware: str
    simulated: bool
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipGeometry:
    """How many cells there are to address."""

    arrays: int
    rows: int
    columns: int

    @property
    def cells(self) -> int:
        """Number of cells on the chip."""
        return self.arrays * self.rows * self.columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can do, and what its cells share; planning groups batches by this.

    ``gate_line`` is row, column or chip; ``amplitude_per`` and ``width_per`` are cell, row, cluster or shot;
    ``compliance`` is gate, smu or none.
    """

    gate_line: str
    amplitude_per: str
    width_per: str
    compliance: str
    parallel_cells: int
    row_current_max_a: float
    cell_switch_s: float
    concurrent_arrays: int
    amplitude_lsb_v: float
    gate_lsb_v: float
    current_range_a: float
    current_lsb_a: float
    product: bool
    knows_last_batch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Addresses of n cells: three index arrays of one length, in the order the caller wants the answer."""

    array: IntArray
    row: IntArray
    column: IntArray

    def __post_init__(self) -> None:
        """Refuse index arrays that do not pair up."""
        if not (self.array.shape == self.row.shape == self.column.shape and self.array.ndim == 1):
            raise InputError("cells need three index arrays of one length")

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.array)

    def take(self, which: IntArray | Mask) -> Cells:
        """Keep some of the cells, by mask or by position."""
        return Cells(array=self.array[which], row=self.row[which], column=self.column[which])

    @staticmethod
    def from_mask(array: int, mask: Mask) -> Cells:
        """Address the cells of one array where mask (rows, columns) is true, row by row."""
        row, column = np.nonzero(mask)
        return Cells(array=np.full(len(row), array, dtype=np.int64), row=row, column=column)

    def check_inside(self, geometry: ChipGeometry) -> None:
        """Refuse an address the chip does not have.

        Raises:
            InputError: names the first such cell.
        """
        size = ((self.array, geometry.arrays), (self.row, geometry.rows), (self.column, geometry.columns))
        outside = np.logical_or.reduce([(index < 0) | (index >= end) for index, end in size])
        if outside.any():
            k = int(outside.argmax())
            place = f"array {self.array[k]}, row {self.row[k]}, column {self.column[k]}"
            raise InputError(f"{place} is not on a chip of {geometry.arrays} x {geometry.rows} x {geometry.columns}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSpec:
    """How to sense: one spec for a whole batch.

    ``interval_s`` is the least time between two samples of one cell. ``group`` (n,) numbers the cells that are sensed
    at the same time: they share array and row, and their current must stay under the row limit. Without it cells are
    sensed one by one. ``range_a`` None means the backend's own choice.
    """

    read_v: float
    gate_v: float
    aperture_ns: int
    settle_ns: int
    samples: int
    interval_s: float = 0.0
    order: Order = Order.INTERLEAVED
    range_a: float | None = None
    group: IntArray | None = None

    def __post_init__(self) -> None:
        """Refuse a spec nothing can carry out."""
        if self.samples < 1 or self.aperture_ns < 1 or self.settle_ns < 0 or self.interval_s < 0:
            raise InputError("a read needs at least one sample, an aperture of 1 ns, and no negative times")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was sensed, one value a cell, all (n,).

    ``current_a`` and ``current_std_a`` are mean and deviation over the samples; NaN where status is not OK.
    ``lag1`` is the correlation of neighbouring samples, 0 with fewer than three. ``sense_v`` is the voltage that was
    really there: between the ends of the cell's row and column lines as the chip gives it, across the cell itself once
    the session has taken the wires out; ``offset_a`` the reading at zero volts, ``time_s`` the chip's clock
    at the last sample.
    """

    current_a: FloatArray
    current_std_a: FloatArray
    lag1: FloatArray
    sense_v: FloatArray
    offset_a: FloatArray
    range_a: FloatArray
    status: StatusArray
    time_s: FloatArray
    temperature_k: FloatArray
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulses:
    """One pulse a cell, all (n,): row of the bias table, volts at the driver, gate volts, width."""

    bias: NDArray[np.uint8]
    amplitude_v: FloatArray
    gate_v: FloatArray
    width_ns: IntArray

    def take(self, which: IntArray | Mask) -> Pulses:
        """Keep some of the pulses, by mask or by position."""
        return Pulses(
            bias=self.bias[which],
            amplitude_v=self.amplitude_v[which],
            gate_v=self.gate_v[which],
            width_ns=self.width_ns[which],
        )

    def __len__(self) -> int:
        """Number of pulses."""
        return len(self.bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What became of a batch of pulses: (n,) status, OK or CLAMPED or NOT_WIRED, and the volts that came out."""

    status: StatusArray
    amplitude_v: FloatArray
    time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Analogue products: (batch, columns) currents, NaN where ``saturated`` (same shape) is true.

    ``offset_a`` (columns,) is the reading with no row driven, which is still in them.
    """

    current_a: FloatArray
    saturated: Mask
    offset_a: FloatArray


class Chip(Protocol):
    """A chip under control. Drivers implement this and inherit nothing."""

    @property
    def identity(self) -> Identity:
        """Who it is, as asked from the chip itself."""
        ...

    @property
    def geometry(self) -> ChipGeometry:
        """How many cells it has."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do and what its cells share."""
        ...

    def clock_s(self) -> float:
        """Chip time in seconds; only differences mean anything."""
        ...

    def read(self, cells: Cells, spec: ReadSpec) -> Reading:
        """Sense the current of each cell.

        Args:
            cells: n cells; order is kept in the answer.
            spec: voltages, aperture, sampling and grouping.

        Returns:
            Arrays of length n; currents NaN where status is not OK.

        Raises:
            InstrumentError: the readout failed. No cell was disturbed.
        """
        ...

    def trace(self, cells: Cells, spec: ReadSpec) -> FloatArray:
        """Sense every sample: currents in A, (n, samples); a cell that clamped or tripped once is NaN throughout.

        Raises:
            InstrumentError: the readout failed. No cell was disturbed.
        """
        ...

    def pulse(self, cells: Cells, pulses: Pulses, batch_id: int) -> Delivered:
        """Give each cell one pulse, volts rounded down to what the driver can make; returns once it is carried out.

        Raises:
            InstrumentError: the fate of the batch is unknown unless last_batch_id() tells it.
        """
        ...

    def last_batch_id(self) -> int | None:
        """The last batch of pulses that was carried out; None where the chip cannot know."""
        ...

    def multiply(self, array: int, row_v: FloatArray, rows: Sequence[int] | IntArray, gate_v: float) -> Product:
        """Apply row_v (batch, len(rows)) to rows of an array and sense all columns at once.

        Raises:
            InstrumentError: the chip has no such product, or it failed.
        """
        ...

    def wait(self, seconds: float) -> None:
        """Let chip time pass."""
        ...

    def make_safe(self) -> None:
        """Bring outputs to zero, gates last; never raises for a chip that is already gone."""
        ...

    def close(self) -> None:
        """Make safe and let go."""
        ...


def steps_down(volts: FloatArray, lsb_v: float) -> FloatArray:
    """Whole converter steps, towards zero: a driver never gives more than was asked, so limits hold."""
    return np.trunc(volts / lsb_v + np.copysign(1e-6, volts)) * lsb_v


def conductance_usiemens(current_a: FloatArray, offset_a: FloatArray, sense_v: FloatArray) -> FloatArray:
    """Turn sensed currents into conductance at the voltage that was really there. NaN stays NaN."""
    return (current_a - offset_a) / sense_v * 1e6
