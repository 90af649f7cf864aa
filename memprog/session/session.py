"""A session: the only holder of a chip. It checks limits, writes the journal, and turns readings into conductance."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memprog import stopping
from memprog.chip import (
    Cells,
    Chip,
    ChipGeometry,
    Delivered,
    FloatArray,
    Identity,
    IntArray,
    Mask,
    Order,
    Pulses,
    Reading,
    ReadSpec,
    Status,
)
from memprog.errors import InputError
from memprog.profile import ChipProfile, Limits
from memprog.protocol import Look, Seen, conducting_usiemens, largest_step
from memprog.session.allowance import Allowance
from memprog.session.blobs import Blob, once, pulse_blob, seen_blob, seen_of
from memprog.session.entries import PULSE
from memprog.session.journal import Journal
from memprog.session.limits import Permissions, check_pulses, check_read, tightened
from memprog.session.plan import read_currents_a, read_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """Currents (n, samples) of n cells, less the reading at zero volts; NaN throughout where a cell was not readable.

    ``sense_v`` (n,) is what was really across each cell, NaN where it could not be told; ``start_s`` the clock of the
    run when the first cell was begun with.
    """

    current_a: FloatArray
    sense_v: FloatArray
    interval_s: float
    start_s: float


class Session:
    """One open chip, for one run."""

    def __init__(
        self,
        chip: Chip,
        profile: ChipProfile,
        *,
        journal: Journal | None = None,
        run_id: str = "",
        permissions: Permissions | None = None,
        limits: Limits | None = None,
        allowance: Allowance | None = None,
        spent_life: IntArray | None = None,
    ) -> None:
        """Take hold of a chip.

        Args:
            chip: opened by the caller, closed by the session.
            profile: what kind of chip it is.
            journal: where batches are recorded; without one the session only reads.
            run_id: the run in the journal that batches belong to.
            permissions: what the operator allowed; nothing by default.
            limits: tighter than the profile's.
            allowance: what this invocation may spend; without bound by default.
            spent_life: (arrays, rows, columns) pulses the cells have had before this session; none by default.

        Raises:
            InputError: the chip is not of the profile's size.
            LimitError: the limits are wider than the profile's.
        """
        size, wanted = chip.geometry, profile.geometry
        if (size.rows, size.columns) != (wanted.rows, wanted.columns):
            raise InputError(
                f"the chip has {size.rows} x {size.columns} cells an array, profile {profile.name} says "
                f"{wanted.rows} x {wanted.columns}"
            )
        self._chip, self._profile, self._journal, self._run_id = chip, profile, journal, run_id
        self._limits = (
            tightened(profile.limits, **{k: getattr(limits, k) for k in limits.__slots__}) if limits else profile.limits
        )
        self._permissions, self._allowance = permissions or Permissions(), allowance or Allowance()
        shape = (size.arrays, size.rows, size.columns)
        self._readback_usiemens = np.full(shape, np.nan)
        self._expected_usiemens = np.full(shape, np.nan)
        self._pulses_run = np.zeros(shape, dtype=np.int64)
        self._spent_life = np.zeros(shape, dtype=np.int64) if spent_life is None else spent_life.astype(np.int64)
        self._clock_ahead_s = 0.0

    def __enter__(self) -> Self:
        """Nothing is driven until the first batch."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Bring outputs to zero on every way out."""
        self.close()

    @property
    def identity(self) -> Identity:
        """Who the chip is."""
        return self._chip.identity

    @property
    def geometry(self) -> ChipGeometry:
        """How many cells the chip has."""
        return self._chip.geometry

    @property
    def run_id(self) -> str:
        """The run in the journal that batches belong to."""
        return self._run_id

    def last_batch_id(self) -> int | None:
        """The last batch of pulses the chip carried out; None where there was none, or it cannot know."""
        return self._chip.last_batch_id()

    def clock_s(self) -> float:
        """Chip time in seconds; it goes on where the journal of a resumed run left it."""
        return self._chip.clock_s() + self._clock_ahead_s

    @property
    def limits(self) -> Limits:
        """What every batch is checked against: the profile's limits, or the run's tighter ones."""
        return self._limits

    @property
    def readback_usiemens(self) -> FloatArray:
        """Last readback of every cell (arrays, rows, columns), NaN where never or not readable."""
        return self._readback_usiemens.copy()

    def pulses_left(self, cells: Cells) -> IntArray:
        """Pulses (n,) that cells may still be given, in this run and over their lives."""
        at = (cells.array, cells.row, cells.column)
        in_run = self._limits.pulses_per_cell_run - self._pulses_run[at]
        left: IntArray = np.minimum(
            in_run, self._limits.pulses_per_cell_life - self._spent_life[at] - self._pulses_run[at]
        )
        return left

    def worn(self, cells: Cells) -> Mask:
        """Which cells (n,) have had so many pulses that another step of the loop would be beyond their life."""
        at = (cells.array, cells.row, cells.column)
        left = self._limits.pulses_per_cell_life - self._spent_life[at] - self._pulses_run[at]
        return np.asarray(left < largest_step(self._profile.protocol))

    def expect(self, cells: Cells, conductance_usiemens: FloatArray) -> None:
        """Say what cells are about to become, so that reads are grouped safely."""
        cells.check_inside(self._chip.geometry)
        self._expected_usiemens[cells.array, cells.row, cells.column] = conductance_usiemens

    def look(self, cells: Cells, look: Look, *, gate_v: float | None = None) -> Seen:
        """Wait as the look asks, then read cells (n,) of one array; numbers are rounded as the journal keeps them.

        Raises:
            LimitError: voltages, or what one of the cells may draw, are beyond a limit; nothing was applied.
            InstrumentError: the readout failed; no cell was disturbed.
            StoppedError: the time this invocation may take is used up.
        """
        _, blob = self._taken(cells, look, self._spec(look.samples, look.interval_s, gate_v))
        seen = seen_of(blob)
        if gate_v is None:
            self.recall_readback(cells, seen)
        return seen

    def sense(self, cells: Cells, look: Look, *, read_v: float) -> Reading:
        """Read cells (n,) of one array at a read voltage of the caller's, and give what was sensed; raises as look."""
        spec = dataclasses.replace(self._spec(look.samples, look.interval_s, None), read_v=read_v)
        return self._taken(cells, look, spec)[0]

    def trace(self, cells: Cells, *, samples: int, interval_s: float, read_v: float) -> Traced:
        """Sense every sample of cells (n,) of one array, one group of cells after the other, and keep none of it.

        Raises:
            LimitError, InstrumentError, StoppedError: as look.
        """
        before = self.sense(
            cells, Look(stage="trace", cells=np.arange(len(cells)), samples=1, interval_s=0.0), read_v=read_v
        )
        spec = self._spec(samples, interval_s, None)
        spec = dataclasses.replace(spec, read_v=read_v, order=Order.DWELLING)
        expected_a = self._expected_a(cells, read_v)
        check_read(spec, expected_a, self._limits)
        group, start_s = self._groups(cells, expected_a), self.clock_s()
        with stopping.held():
            current_a = self._chip.trace(cells, dataclasses.replace(spec, group=group))
        return Traced(
            current_a=current_a - before.offset_a[:, None],
            sense_v=np.where(before.sense_v > 0, before.sense_v, np.nan),
            interval_s=max(interval_s, spec.aperture_ns * 1e-9),
            start_s=start_s,
        )

    def _taken(self, cells: Cells, look: Look, spec: ReadSpec) -> tuple[Reading, dict[str, NDArray[Any]]]:
        """Wait as the look asks, and read; the reading, and what the journal keeps of it."""
        cells.check_inside(self._chip.geometry)
        expected_a = self._expected_a(cells, spec.read_v)
        check_read(spec, expected_a, self._limits)
        self._allowance.check_time()
        if look.wait_s > 0:
            self._chip.wait(look.wait_s)
        array = int(cells.array[0]) if len(cells) else 0
        with stopping.held():
            batch_id = self._intend(array, f"read {look.stage}", {"samples": np.array([look.samples])})
            reading = self._on_run_clock(self._read(cells, spec, expected_a))
            blob = seen_blob(reading)
            if batch_id is not None and self._journal is not None:
                self._journal.record(batch_id, blob)
        return reading, blob

    def recall_readback(self, cells: Cells, seen: Seen) -> None:
        """Know what cells (n,) conduct, from a look now or from one that the journal remembers."""
        self._readback_usiemens[cells.array, cells.row, cells.column] = seen.readback_usiemens

    def bearable(self, cells: Cells, pulses: Pulses) -> Mask:
        """Which cells (n,), by their last readings and the pulses they had, may be given a pulse each."""
        at = (cells.array, cells.row, cells.column)
        current_a = pulses.amplitude_v * self._conducting(at) * 1e-6
        return np.asarray((current_a <= self._limits.cell_current_max_a) & (self.pulses_left(cells) >= 1))

    def check_pulses(self, cells: Cells, pulses: Pulses, *, earlier: int = 0) -> None:
        """Refuse what fire would refuse after so many earlier pulses to each cell; nothing is sent.

        Raises:
            LimitError, InputError: as fire.
        """
        self._check_addresses(cells, len(pulses))
        at = (cells.array, cells.row, cells.column)
        spent = self._pulses_run[at] + earlier
        check_pulses(pulses, self._conducting(at), spent, self._spent_life[at] + spent, self._limits, self._permissions)

    def fire(self, cells: Cells, pulses: Pulses) -> Delivered:
        """Give each cell of a batch, all of one array, its pulse, if every one of them is within every limit.

        What came of it is given back, its time on the clock of the run.

        Raises:
            LimitError: one of them is not; nothing was applied.
            InputError: cells that are not on the chip, that stand twice, or are not as many as pulses; the same.
            InstrumentError: the batch failed on the way; its fate is in the journal as unknown.
            StoppedError: this invocation may not spend so many pulses; nothing was applied.
        """
        if self._journal is None:
            raise InputError("a session without a journal may read only; nothing was applied")
        self.check_pulses(cells, pulses)
        if len(cells) == 0:
            none = np.zeros(0)
            return Delivered(status=none.astype(np.uint8), amplitude_v=none, time_s=self.clock_s())
        at = (cells.array, cells.row, cells.column)
        self._allowance.spend_pulses(len(cells))
        blob = pulse_blob(cells, pulses, self._profile.geometry.columns)
        with stopping.held():
            batch_id = self._journal.intend(self._run_id, int(cells.array[0]), PULSE, blob, pulses=len(cells))
            self._pulses_run[at] += 1
            delivered = self._chip.pulse(cells, pulses, batch_id)
            self._journal.record(batch_id, {"status": once(delivered.status)})
        return dataclasses.replace(delivered, time_s=delivered.time_s + self._clock_ahead_s)

    def recall_pulses(self, cells: Cells) -> None:
        """Count pulses that the journal of a resumed run remembers; over its life a cell has them counted already."""
        at = (cells.array, cells.row, cells.column)
        self._pulses_run[at] += 1
        self._spent_life[at] -= 1

    def recall_clock(self, time_s: float) -> None:
        """Let chip time go on from the latest that a resumed run knows: the clock of a rack starts anew."""
        self._clock_ahead_s = max(time_s - self._chip.clock_s(), 0.0)

    def note(self, array: int, kind: str, blob: Blob) -> None:
        """Write down something that is not sent to the chip, and that replaying the journal needs."""
        batch_id = self._intend(array, kind, blob)
        if batch_id is not None and self._journal is not None:
            self._journal.record(batch_id, {"time_s": np.array([self.clock_s()])})

    def wait(self, seconds: float) -> None:
        """Let chip time pass."""
        self._chip.wait(seconds)

    def close(self) -> None:
        """Bring outputs to zero and let go of the chip."""
        try:
            with stopping.held():
                self._chip.make_safe()
        finally:
            self._chip.close()

    def _conducting(self, at: tuple[IntArray, IntArray, IntArray]) -> FloatArray:
        """The most each cell may conduct in a pulse, by its last reading; without one it counts as beyond scale."""
        return conducting_usiemens(self._readback_usiemens[at], self._profile.readout.full_scale_usiemens)

    def _on_run_clock(self, reading: Reading) -> Reading:
        return dataclasses.replace(reading, time_s=reading.time_s + self._clock_ahead_s)

    def _intend(self, array: int, kind: str, blob: Blob) -> int | None:
        return self._journal.intend(self._run_id, array, kind, blob) if self._journal else None

    def _check_addresses(self, cells: Cells, pulses: int) -> None:
        """Refuse what could not be counted: limits a cell hold only where each cell stands in a batch once."""
        cells.check_inside(self._chip.geometry)
        named = np.zeros(self._pulses_run.shape, dtype=bool)
        named[cells.array, cells.row, cells.column] = True
        if not np.count_nonzero(named) == len(cells) == pulses:
            raise InputError(f"{pulses} pulses for {np.count_nonzero(named)} different cells; nothing was applied")

    def _read(self, cells: Cells, spec: ReadSpec, expected_a: FloatArray) -> Reading:
        """Read in groups; cells of a group that drew too much are read again, each alone."""
        group = self._groups(cells, expected_a)
        reading = self._chip.read(cells, dataclasses.replace(spec, group=group))
        tripped = np.flatnonzero(reading.status == Status.OVER_RANGE)
        if len(tripped):
            alone = dataclasses.replace(spec, group=np.arange(len(tripped)))
            return _merged(reading, self._chip.read(cells.take(tripped), alone), tripped)
        return reading

    def _groups(self, cells: Cells, expected_a: FloatArray) -> IntArray:
        """Number the groups (n,) of cells that are sensed at the same time."""
        row_max_a = min(self._chip.capabilities.row_current_max_a, self._limits.row_current_max_a)
        sharing = dataclasses.replace(self._chip.capabilities, row_current_max_a=row_max_a)
        return read_groups(cells, expected_a, self._chip.geometry, sharing)

    def _spec(self, samples: int, interval_s: float, gate_v: float | None) -> ReadSpec:
        readout = self._profile.readout
        return ReadSpec(
            read_v=readout.read_v,
            gate_v=readout.read_gate_v if gate_v is None else gate_v,
            aperture_ns=readout.aperture_ns,
            settle_ns=readout.settle_ns,
            samples=samples,
            interval_s=interval_s,
        )

    def _expected_a(self, cells: Cells, read_v: float) -> FloatArray:
        """Current each cell may draw at a read voltage, on the careful side."""
        at = (cells.array, cells.row, cells.column)
        return read_currents_a(self._readback_usiemens[at], self._expected_usiemens[at], self._profile, read_v)


def _merged(first: Reading, again: Reading, where: IntArray) -> Reading:
    """Put a second reading of some cells in place of the first."""
    merged = {}
    for name in first.__slots__:
        value = getattr(first, name)
        if isinstance(value, np.ndarray):
            value = value.copy()
            value[where] = getattr(again, name)
        merged[name] = value
    return Reading(**merged)
