"""A session: the only holder of a chip. It checks limits, writes the journal, and turns readings into conductance."""

from __future__ import annotations

import dataclasses
from types import TracebackType
from typing import Self

import numpy as np

from memprog.chip import Cells, Chip, FloatArray, IntArray, Pulses, Reading, ReadSpec, Status, conductance_usiemens
from memprog.errors import InputError
from memprog.profile import ChipProfile, Limits
from memprog.protocol import Look, Seen, conducting_usiemens
from memprog.session.journal import Journal, float32
from memprog.session.limits import Permissions, check_pulses, check_read, tightened
from memprog.session.plan import read_groups

UNKNOWN_FACTOR = 1.3
"""A cell never read may conduct this much more than the top level (assumption)."""
GROWTH_FACTOR = 1.15
"""A pulse may leave a cell this much above both its last readback and its target (assumption)."""


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
    ) -> None:
        """Take hold of a chip.

        Args:
            chip: opened by the caller, closed by the session.
            profile: what kind of chip it is.
            journal: where batches are recorded; without one the session only reads.
            run_id: the run in the journal that batches belong to.
            permissions: what the operator allowed; nothing by default.
            limits: tighter than the profile's.
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
        self._permissions = permissions or Permissions()
        shape = (size.arrays, size.rows, size.columns)
        self._readback_usiemens = np.full(shape, np.nan)
        self._expected_usiemens = np.full(shape, np.nan)
        self._pulses_run = np.zeros(shape, dtype=np.int64)

    def __enter__(self) -> Self:
        """Nothing is driven until the first batch."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Bring outputs to zero on every way out."""
        self.close()

    @property
    def chip(self) -> Chip:
        """The chip, for questions that change nothing: who it is, what it can do, its clock."""
        return self._chip

    @property
    def limits(self) -> Limits:
        """What every batch is checked against: the profile's limits, or the run's tighter ones."""
        return self._limits

    @property
    def readback_usiemens(self) -> FloatArray:
        """Last readback of every cell (arrays, rows, columns), NaN where never or not readable."""
        return self._readback_usiemens.copy()

    def expect(self, cells: Cells, conductance_usiemens: FloatArray) -> None:
        """Say what cells are about to become, so that reads are grouped safely."""
        cells.check_inside(self._chip.geometry)
        self._expected_usiemens[cells.array, cells.row, cells.column] = conductance_usiemens

    def look(self, cells: Cells, look: Look) -> Seen:
        """Wait as the look asks, then read cells (n,); conductances rounded as the journal keeps them.

        Raises:
            LimitError: the profile's read voltages are beyond its limits.
            InstrumentError: the readout failed; no cell was disturbed.
        """
        cells.check_inside(self._chip.geometry)
        check_read(self._spec(look.samples, look.interval_s, None), self._limits)
        if look.wait_s > 0:
            self._chip.wait(look.wait_s)
        array = int(cells.array[0]) if len(cells) else 0
        batch_id = self._intend(array, f"read {look.stage}", {"samples": np.array([look.samples])})
        reading = self._read(cells, look.samples, look.interval_s)
        seen = self._seen(reading)
        if batch_id is not None and self._journal is not None:
            self._journal.record(batch_id, _seen_blob(seen))
        self._readback_usiemens[cells.array, cells.row, cells.column] = seen.readback_usiemens
        return seen

    def fire(self, cells: Cells, pulses: Pulses) -> None:
        """Give each cell its pulse, if every one of them is within every limit.

        Raises:
            LimitError: one of them is not; nothing was applied.
            InputError: cells that are not on the chip, that stand twice, or are not as many as pulses; the same.
            InstrumentError: the batch failed on the way; its fate is in the journal as unknown.
        """
        if self._journal is None:
            raise InputError("a session without a journal may read only; nothing was applied")
        self._check_addresses(cells, len(pulses))
        if len(cells) == 0:
            return
        at = (cells.array, cells.row, cells.column)
        spent = self._pulses_run[at]
        check_pulses(pulses, self._conducting(at), spent, spent, self._limits, self._permissions)
        batch_id = self._intend(
            int(cells.array[0]), "pulse", _pulse_blob(cells, pulses, self._profile.geometry.columns)
        )
        self._pulses_run[at] += 1
        delivered = self._chip.pulse(cells, pulses, batch_id or 0)
        self._journal.record(batch_id or 0, {"status": delivered.status})

    def begin(self, array: int, settings: dict[str, float]) -> None:
        """Write down what the loop starts an array with, so that its journal can be replayed."""
        batch_id = self._intend(array, "start", {name: np.array([value]) for name, value in settings.items()})
        if batch_id is not None and self._journal is not None:
            self._journal.record(batch_id, {"status": np.zeros(1, dtype=np.uint8)})

    def wait(self, seconds: float) -> None:
        """Let chip time pass."""
        self._chip.wait(seconds)

    def close(self) -> None:
        """Bring outputs to zero and let go of the chip."""
        self._chip.make_safe()
        self._chip.close()

    def _conducting(self, at: tuple[IntArray, IntArray, IntArray]) -> FloatArray:
        """The most each cell may conduct in a pulse, by its last reading; without one it counts as beyond scale."""
        readout = self._profile.readout
        return conducting_usiemens(self._readback_usiemens[at], readout.range_a / readout.read_v * 1e6)

    def _intend(self, array: int, kind: str, blob: dict[str, np.ndarray]) -> int | None:
        return self._journal.intend(self._run_id, array, kind, blob) if self._journal else None

    def _check_addresses(self, cells: Cells, pulses: int) -> None:
        """Refuse what could not be counted: limits a cell hold only where each cell stands in a batch once."""
        cells.check_inside(self._chip.geometry)
        once = np.zeros(self._pulses_run.shape, dtype=bool)
        once[cells.array, cells.row, cells.column] = True
        if not np.count_nonzero(once) == len(cells) == pulses:
            raise InputError(f"{pulses} pulses for {np.count_nonzero(once)} different cells; nothing was applied")

    def _read(self, cells: Cells, samples: int, interval_s: float) -> Reading:
        """Read in groups; cells of a group that drew too much are read again, each alone."""
        row_max_a = min(self._chip.capabilities.row_current_max_a, self._limits.row_current_max_a)
        sharing = dataclasses.replace(self._chip.capabilities, row_current_max_a=row_max_a)
        group = read_groups(cells, self._expected_a(cells), self._chip.geometry, sharing)
        reading = self._chip.read(cells, self._spec(samples, interval_s, group))
        tripped = np.flatnonzero(reading.status == Status.OVER_RANGE)
        if len(tripped):
            alone = self._spec(samples, interval_s, np.arange(len(tripped)))
            return _merged(reading, self._chip.read(cells.take(tripped), alone), tripped)
        return reading

    def _spec(self, samples: int, interval_s: float, group: IntArray | None) -> ReadSpec:
        readout = self._profile.readout
        return ReadSpec(
            read_v=readout.read_v,
            gate_v=readout.read_gate_v,
            aperture_ns=readout.aperture_ns,
            settle_ns=readout.settle_ns,
            samples=samples,
            interval_s=interval_s,
            group=group,
        )

    def _expected_a(self, cells: Cells) -> FloatArray:
        """Current each cell may draw at the read voltage, on the careful side."""
        at = (cells.array, cells.row, cells.column)
        known = np.fmax(self._readback_usiemens[at], self._expected_usiemens[at]) * GROWTH_FACTOR
        unknown = UNKNOWN_FACTOR * self._profile.levels.max_usiemens
        careful = np.where(np.isnan(self._readback_usiemens[at]), unknown, known)
        return careful * 1e-6 * self._profile.readout.read_v

    def _seen(self, reading: Reading) -> Seen:
        conductance = conductance_usiemens(reading.current_a, reading.offset_a, reading.sense_v)
        return Seen(
            readback_usiemens=float32(conductance).astype(np.float64),
            noise_usiemens=float32(reading.current_std_a / reading.sense_v * 1e6).astype(np.float64),
            lag1=float32(reading.lag1).astype(np.float64),
            status=reading.status,
            time_s=float(reading.time_s.max(initial=0.0)),
        )


def _seen_blob(seen: Seen) -> dict[str, np.ndarray]:
    return {
        "readback_usiemens": float32(seen.readback_usiemens),
        "noise_usiemens": float32(seen.noise_usiemens),
        "lag1": float32(seen.lag1),
        "status": seen.status,
        "time_s": np.array([seen.time_s]),
    }


def _pulse_blob(cells: Cells, pulses: Pulses, columns: int) -> dict[str, np.ndarray]:
    return {
        "cell": (cells.row * columns + cells.column).astype(np.uint32),
        "bias": pulses.bias,
        "amplitude_v": float32(pulses.amplitude_v),
        "gate_v": float32(pulses.gate_v),
        "width_ns": pulses.width_ns.astype(np.uint32),
    }


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
