"""SimChip: the chip contract, kept by a simulated chip in a file, with a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memprog.chip import (
    Bias,
    Capabilities,
    Cells,
    Chip,
    ChipGeometry,
    Delivered,
    FloatArray,
    Identity,
    IntArray,
    Mask,
    Order,
    Product,
    Pulses,
    Reading,
    ReadSpec,
    Status,
    StatusArray,
    steps_down,
)
from memprog.errors import InputError, InstrumentError
from memprog.physics.nominal import nominal_lines
from memprog.profile import ChipProfile
from memprog.simchip import cells as physics
from memprog.simchip.array import READ_BIAS_V, LiveArray
from memprog.simchip.disturb import Neighbours
from memprog.simchip.product import multiplied
from memprog.simchip.product import seconds as seconds_of_products
from memprog.simchip.readout import Line, lsb_amperes, parts, sample, statistics
from memprog.simchip.soundness import MOST_S
from memprog.simchip.state import Record, make_generator, restore_generator, store_generator
from memprog.simchip.store import ChipFile


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schedule:
    """When a read senses its cells: time between samples, and per cell (n,) start, last sample, and age afterwards."""

    interval_s: float
    start_s: FloatArray
    time_s: FloatArray
    left_s: FloatArray

    def take(self, which: IntArray) -> _Schedule:
        """Keep some of the cells."""
        start_s, time_s, left_s = self.start_s[which], self.time_s[which], self.left_s[which]
        return _Schedule(interval_s=self.interval_s, start_s=start_s, time_s=time_s, left_s=left_s)


class SimChip:
    """A simulated chip. What it is, only its readings tell; tests open the door in ``memprog.simchip.truth``."""

    def __init__(self, path: Path, profile: ChipProfile) -> None:
        self._file = ChipFile(path, profile)
        self._profile = profile
        self._clock_s = self._file.summary.clock_s
        self._last_batch = self._file.summary.last_batch
        self._states: dict[int, Record] = {}
        self._rngs: dict[int, np.random.Generator] = {}
        driven = [bias for bias in Bias if profile.bias_table[bias.name]["bit_line"] == "amplitude"]
        self._raises = np.isin(np.arange(max(Bias) + 1), driven)
        self._lines = nominal_lines(profile)
        self._live_arrays: dict[int, LiveArray] = {}

    @property
    def identity(self) -> Identity:
        """Maker, model and a serial number that follows from seed, size and profile; its file tells it from twins."""
        return Identity(
            maker="memprog",
            model=self._profile.name,
            serial=self._file.summary.serial,
            firmware="simchip 1",
            simulated=True,
            unit=str(self._file.path.resolve()),
        )

    @property
    def geometry(self) -> ChipGeometry:
        """Arrays in this file, rows and columns of the profile."""
        size = self._profile.geometry
        return ChipGeometry(arrays=self._file.layout.arrays, rows=size.rows, columns=size.columns)

    @property
    def capabilities(self) -> Capabilities:
        """What the profile's driver and readout can do."""
        driver, readout = self._profile.driver, self._profile.readout
        return Capabilities(
            gate_line=driver.gate_line,
            amplitude_per=driver.amplitude_per,
            width_per=driver.width_per,
            compliance=driver.compliance,
            parallel_cells=readout.parallel_cells,
            row_current_max_a=self._profile.limits.row_current_max_a,
            cell_switch_s=0.0,
            concurrent_arrays=1,
            amplitude_lsb_v=driver.amplitude_lsb_v,
            gate_lsb_v=driver.gate_lsb_v,
            current_range_a=readout.range_a,
            current_lsb_a=2.0 * readout.range_a / 2**readout.converter_bits,
            product=True,
            knows_last_batch=True,
        )

    def clock_s(self) -> float:
        """Seconds this chip has lived."""
        return self._clock_s

    def read(self, cells: Cells, spec: ReadSpec) -> Reading:
        """Sense the current of each cell; see the contract."""
        cells.check_inside(self.geometry)
        n = len(cells)
        mean, deviation, lag1 = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n)
        sense_v, offset_a = np.zeros(n), np.zeros(n)
        present = self._present(cells, spec)
        status = self._tripped(cells, spec, present)
        schedule = self._schedule(cells, spec)
        lsb_a = lsb_amperes(spec, self._profile.readout)
        for array, where, at in self._by_array(cells):
            line = self._line(cells, present, array, where, at, spec)
            for part in parts(len(at), spec.samples):
                here = where[part]
                code, clamped = self._sample(array, at[part], line.take(part), spec, schedule.take(where[part]))
                mean[here], deviation[here], lag1[here] = statistics(code, lsb_a)
                status[here[clamped & (status[here] == Status.OK)]] = Status.CLAMPED
            sense_v[where], offset_a[where] = line.sense_v, line.offset_a
        self._arrive(cells, schedule)
        bad = status != Status.OK
        mean[bad], deviation[bad], lag1[bad] = np.nan, np.nan, 0.0
        return Reading(
            current_a=mean,
            current_std_a=deviation,
            lag1=lag1,
            sense_v=sense_v,
            offset_a=offset_a,
            range_a=np.full(n, spec.range_a or self._profile.readout.range_a),
            status=status,
            time_s=schedule.time_s,
            temperature_k=self._kelvin(cells),
            samples=spec.samples,
        )

    def trace(self, cells: Cells, spec: ReadSpec) -> FloatArray:
        """Sense every sample; see the contract."""
        cells.check_inside(self.geometry)
        samples = np.full((len(cells), spec.samples), np.nan)
        present = self._present(cells, spec)
        tripped = self._tripped(cells, spec, present) != Status.OK
        schedule = self._schedule(cells, spec)
        lsb_a = lsb_amperes(spec, self._profile.readout)
        for array, where, at in self._by_array(cells):
            line = self._line(cells, present, array, where, at, spec)
            for part in parts(len(at), spec.samples):
                code, clamped = self._sample(array, at[part], line.take(part), spec, schedule.take(where[part]))
                samples[where[part]] = np.where(clamped, np.nan, code * lsb_a).T
        self._arrive(cells, schedule)
        samples[tripped] = np.nan
        return samples

    def pulse(self, cells: Cells, pulses: Pulses, batch_id: int) -> Delivered:
        """Give each cell one pulse; durable before it returns. See the contract.

        A kill leaves a batch in one array wholly carried out or not at all, and one over several array by array.
        """
        self._check_batch(cells, pulses, batch_id)
        delivered, status = self._converted(pulses)
        end_s = self._clock_s + self._shots_s(delivered)
        for array, where, at in self._by_array(cells):
            self._live(array).apply(at, self._raises[pulses.bias[where]], delivered.take(where), self._clock_s)
            state = self._states[array]
            state["last_batch"], state["last_batch_s"] = batch_id, end_s
            state["pulses"] += len(where)
            self._last_batch = batch_id
        self._clock_s = end_s
        self._commit(np.unique(cells.array))
        return Delivered(status=status, amplitude_v=delivered.amplitude_v, time_s=self._clock_s)

    def last_batch_id(self) -> int | None:
        """The last batch carried out; None before the first."""
        return self._last_batch

    def multiply(self, array: int, row_v: FloatArray, rows: Sequence[int] | IntArray, gate_v: float) -> Product:
        """Apply row_v to rows of an array and sense all columns; see the contract."""
        rows = np.asarray(rows, dtype=np.int64)
        if row_v.ndim != 2 or row_v.shape[1] != len(rows):
            raise InputError(f"row voltages of shape {row_v.shape} do not fit {len(rows)} rows")
        columns = self.geometry.columns
        row, column = np.repeat(rows, columns), np.tile(np.arange(columns), len(rows))
        cells = Cells(array=np.full(len(row), array, dtype=np.int64), row=row, column=column)
        cells.check_inside(self.geometry)
        self._load(array)
        conductance = self._conductance_now(cells, gate_v).reshape(len(rows), columns)
        product = multiplied(conductance, rows, row_v, self._profile, self._file.silicon[array], self._rngs[array])
        self._clock_s += seconds_of_products(self._profile, len(row_v), len(rows))
        self._commit(np.array([array]))
        return product

    def wait(self, seconds: float) -> None:
        """Move the clock; cells age when they are next touched."""
        if not 0.0 <= seconds <= MOST_S - self._clock_s:
            raise InputError(f"cannot wait {seconds} s")
        self._clock_s += seconds
        self._file.set_clock(self._clock_s)

    def lie(self, seconds: float, kelvin: float) -> None:
        """Let the chip lie on a shelf so warm: relaxation goes as fast as that temperature makes it.

        Raises:
            InputError: no such time, or the profile does not say what warmth does.
        """
        if not 0.0 <= seconds <= MOST_S - self._clock_s:
            raise InputError(f"a chip cannot lie for {seconds} s")
        reference_k, law = self._profile.readout.temperature_k, self._profile.retention
        if law is None and kelvin != reference_k:
            raise InputError(
                f"profile {self._profile.name} has no section 'retention', so that it is not known what {kelvin:g} K do"
            )
        arrays = np.arange(self.geometry.arrays)
        for array in arrays.tolist():
            self._live(array).lie(self._clock_s, seconds, kelvin)
        self._clock_s += seconds
        self._commit(arrays)

    def make_safe(self) -> None:
        """Nothing is driven between calls, so there is nothing to bring to zero."""

    def close(self) -> None:
        """Hand the file to the disk and forget it."""
        self._file.close()

    def _by_array(self, cells: Cells) -> Iterator[tuple[int, IntArray, IntArray]]:
        """For each array of a batch: its number, where its cells stand in the batch, their flat index in it."""
        at = cells.row * self.geometry.columns + cells.column
        for array in np.unique(cells.array).tolist():
            self._load(array)
            where = np.flatnonzero(cells.array == array)
            yield array, where, at[where]

    def _load(self, array: int) -> Record:
        """The state of an array; its cells are as old as when each was last touched."""
        if array not in self._states:
            self._states[array] = self._file.load(array)
            self._rngs[array] = make_generator(0, array)
            restore_generator(self._rngs[array], self._states[array])
        return self._states[array]

    def _sample(
        self, array: int, at: IntArray, line: Line, spec: ReadSpec, schedule: _Schedule
    ) -> tuple[NDArray[np.float32], Mask]:
        state, silicon, rng = self._states[array], self._file.silicon[array], self._rngs[array]
        readout, simulation = self._profile.readout, self._profile.simulation
        physics.age(state, at, schedule.start_s, READ_BIAS_V, simulation, rng)
        return sample(state, silicon, at, line, spec, schedule.interval_s, readout, simulation, rng)

    def _kelvin(self, cells: Cells) -> FloatArray:
        """What the sensor of each cell's array shows, (n,)."""
        kelvin = np.full(len(cells), self._profile.readout.temperature_k)
        if self._profile.temperature is not None:
            for array in np.unique(cells.array).tolist():
                kelvin[cells.array == array] += float(self._states[array]["warmth_k"])
        return kelvin

    def _conductance_now(self, cells: Cells, gate_v: float) -> FloatArray:
        """Conductance of each cell at this moment, traps as they stand."""
        found = np.zeros(len(cells))
        for array, where, at in self._by_array(cells):
            across_v = np.full(len(at), self._profile.readout.read_v)
            found[where] = self._live(array).conductance(at, gate_v, across_v, self._clock_s)
        return found

    def _live(self, array: int) -> LiveArray:
        """An array with all that belongs to it."""
        if array not in self._live_arrays:
            state, silicon, law = self._load(array), self._file.silicon[array], self._profile.disturb
            self._live_arrays[array] = LiveArray(
                profile=self._profile,
                silicon=silicon,
                state=state,
                rng=self._rngs[array],
                lines=self._lines,
                neighbours=None if law is None else Neighbours(silicon, self._profile, law),
            )
        return self._live_arrays[array]

    def _line(
        self, cells: Cells, present: FloatArray, array: int, where: IntArray, at: IntArray, spec: ReadSpec
    ) -> Line:
        """What stands between the cells of an array, which are ``where`` in the batch, and their readings."""
        group = None if spec.group is None else spec.group[where]
        return self._live(array).line(cells.take(where), at, group, spec, present[where], self._clock_s)

    def _check_batch(self, cells: Cells, pulses: Pulses, batch_id: int) -> None:
        """Refuse a batch that no chip could carry out."""
        if not 0 <= batch_id < 2**63:
            raise InputError(f"a batch cannot have the number {batch_id}")
        cells.check_inside(self.geometry)
        flat = (cells.array * self.geometry.rows + cells.row) * self.geometry.columns + cells.column
        if len(np.unique(flat)) != len(flat):
            raise InputError("a batch gives each cell one pulse; a cell stands in it twice")
        fields = (pulses.bias, pulses.amplitude_v, pulses.gate_v, pulses.width_ns)
        if any(field.shape != flat.shape or not np.isfinite(field).all() for field in fields):
            raise InputError(f"{len(flat)} cells need as many pulses, every number of them finite")
        if not np.isin(pulses.bias, [int(bias) for bias in Bias]).all():
            raise InputError("a pulse names no row of the bias table")

    def _converted(self, pulses: Pulses) -> tuple[Pulses, StatusArray]:
        """What the converters make of the wanted volts: whole steps, rounded down, never beyond their range."""
        driver = self._profile.driver
        # Up would be beyond a limit that was checked on what was asked.
        amplitude_v = steps_down(pulses.amplitude_v, driver.amplitude_lsb_v)
        gate_v = steps_down(pulses.gate_v, driver.gate_lsb_v)
        most_v, most_gate_v = driver.amplitude_range_v, driver.gate_range_v
        clamped = (np.abs(amplitude_v) > most_v) | (np.abs(gate_v) > most_gate_v)
        status = np.where(clamped, Status.CLAMPED, Status.OK).astype(np.uint8)
        delivered = Pulses(
            bias=pulses.bias,
            amplitude_v=np.clip(amplitude_v, -most_v, most_v),
            gate_v=np.clip(gate_v, -most_gate_v, most_gate_v),
            width_ns=np.maximum(np.rint(pulses.width_ns / driver.width_lsb_ns), 1).astype(np.int64)
            * driver.width_lsb_ns,
        )
        return delivered, status

    def _shots_s(self, pulses: Pulses) -> float:
        """Chip time of a batch: one cell after the other, so no line ever carries more than one cell's current."""
        return float((pulses.width_ns + self._profile.driver.shot_overhead_ns).sum()) * 1e-9

    def _schedule(self, cells: Cells, spec: ReadSpec) -> _Schedule:
        """Lay out the samples of a read in time."""
        group = np.arange(len(cells)) if spec.group is None else spec.group
        groups, turn = np.unique(group, return_inverse=True)
        visit_s = (spec.aperture_ns + spec.settle_ns) * 1e-9 + self.capabilities.cell_switch_s
        apart_s = spec.interval_s if spec.samples > 1 else 0.0
        if spec.order is Order.INTERLEAVED:
            interval_s = max(apart_s, len(groups) * visit_s)
            time_s = np.asarray(self._clock_s + (spec.samples - 1) * interval_s + (turn + 1.0) * visit_s)
            start_s, left_s = np.full(len(cells), self._clock_s), np.full(len(cells), time_s.max(initial=self._clock_s))
            return _Schedule(interval_s=interval_s, start_s=start_s, time_s=time_s, left_s=left_s)
        interval_s = max(apart_s, spec.aperture_ns * 1e-9)
        time_s = np.asarray(self._clock_s + (turn + 1.0) * (spec.samples * interval_s + visit_s))
        start_s = time_s - spec.samples * interval_s
        return _Schedule(interval_s=interval_s, start_s=start_s, time_s=time_s, left_s=time_s)

    def _present(self, cells: Cells, spec: ReadSpec) -> FloatArray:
        """Conductance (n,) as a read finds the cells, where anything depends on it; else zeros."""
        if spec.group is None and self._lines is None:
            return np.zeros(len(cells))
        # A chip of closed cells still lets something through.
        return np.maximum(self._conductance_now(cells, spec.gate_v), 1e-9)

    def _tripped(self, cells: Cells, spec: ReadSpec, present: FloatArray) -> StatusArray:
        """Status (n,) before sampling: a group that shares no row, or draws too much, is not sensed."""
        status = np.full(len(cells), Status.OK, dtype=np.uint8)
        if spec.group is None or len(cells) == 0:
            return status
        _, group, members = np.unique(spec.group, return_inverse=True, return_counts=True)
        line = cells.array * self.geometry.rows + cells.row
        first = np.zeros(len(members), dtype=np.int64)
        first[group] = line
        if np.any(line != first[group]) or members.max() > self._profile.readout.parallel_cells:
            raise InstrumentError(
                f"cells sensed together must share a row and be at most {self._profile.readout.parallel_cells}"
            )
        drawn_a = np.bincount(group, weights=present * spec.read_v * 1e-6)
        status[drawn_a[group] > self._profile.limits.row_current_max_a] = Status.OVER_RANGE
        return status

    def _arrive(self, cells: Cells, schedule: _Schedule) -> None:
        """Set the clock to the end of a read, and those of the cells to where sampling left them."""
        self._clock_s = float(schedule.time_s.max(initial=self._clock_s))
        for array, where, at in self._by_array(cells):
            state = self._states[array]
            state["relaxed_until_s"][at] = state["noise_until_s"][at] = schedule.left_s[where]
        self._commit(np.unique(cells.array))

    def _commit(self, arrays: IntArray) -> None:
        """Make the touched arrays durable, each with its part of a batch and the time."""
        for array in arrays.tolist():
            self._states[array]["clock_s"] = self._clock_s
            store_generator(self._rngs[array], self._states[array])
            self._file.commit(array, self._states[array])


_fits: type[Chip] = SimChip
