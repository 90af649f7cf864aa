"""Pulse logs as steps of the memristor: what each pulse found, what it left, and how strong it was where it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memprog.analysis.logs import READ, PulseLog
from memprog.chip import Bias, FloatArray, IntArray, Mask
from memprog.errors import InputError
from memprog.profile import ChipProfile, Simulation

LEAST_SHARE = 0.05
"""A cell never seems to lose more than 95 % of its voltage on the access transistor (assumption)."""
NEIGHBOURS_S = 0.2
"""Readings of a cell no further apart than this tell how much it fluctuates between two readings."""
NOISE_QUANTILE = 0.84
"""Of the sizes of differences: the deviation where they are normal, and more where a few cells fluctuate a lot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The nominal access transistor, by the profile's protocol section: what is taken out of a reading."""

    read_usiemens: float
    overdrive_v: float
    threshold_v: float

    @staticmethod
    def of(kind: ChipProfile) -> Access:
        """The transistor of one kind of chip."""
        settings = kind.protocol
        return Access(
            read_usiemens=1e6 / settings.access_ohm,
            overdrive_v=settings.gate_overdrive_v,
            threshold_v=kind.readout.read_gate_v - settings.gate_overdrive_v,
        )

    def usiemens(self, gate_v: FloatArray) -> FloatArray:
        """Conductance of the transistor at a gate."""
        return self.read_usiemens * np.maximum(gate_v - self.threshold_v, 1e-6) / self.overdrive_v

    def memristor(self, conductance: FloatArray) -> FloatArray:
        """The memristor alone in a cell of that conductance."""
        share = np.maximum(1.0 - conductance / self.read_usiemens, LEAST_SHARE)
        return np.asarray(np.maximum(conductance, 0.0) / share)

    def gain(self, conductance: FloatArray) -> FloatArray:
        """d(memristor)/d(conductance): how much larger an error of a reading is for the memristor."""
        return np.asarray(np.maximum(1.0 - conductance / self.read_usiemens, LEAST_SHARE) ** -2.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Steps:
    """Pulses of known beginning and end, all (n,), cell by cell in order of time.

    ``cell`` counts from 0; ``raises`` is True for SET; ``across_v`` are the volts that count: at the driver in SET, on
    the memristor in RESET. ``before`` and ``after`` are memristor conductances in uS, ``noise`` the deviation of their
    difference that readings and fluctuators alone give.
    """

    cell: IntArray
    raises: Mask
    across_v: FloatArray
    gate_v: FloatArray
    width_ns: IntArray
    before: FloatArray
    after: FloatArray
    noise: FloatArray

    def __len__(self) -> int:
        """Number of pulses."""
        return len(self.cell)

    @property
    def change(self) -> FloatArray:
        """What each pulse did in its own direction, uS; negative where the reading went the other way."""
        return np.where(self.raises, 1.0, -1.0) * (self.after - self.before)

    def take(self, which: Mask) -> Steps:
        """Keep some of the pulses."""
        return Steps(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """Every event of every cell, cell by cell in order of time, all (n,): ``first`` marks the first of a cell.

    ``bias`` is READ or a Bias, ``conductance`` the reading after the event in uS, NaN where there is none.
    """

    cell: IntArray
    first: Mask
    bias: NDArray[np.uint8]
    amplitude_v: FloatArray
    gate_v: FloatArray
    width_ns: IntArray
    conductance: FloatArray
    time_s: FloatArray

    @property
    def cells(self) -> int:
        """Number of cells."""
        return int(self.first.sum())


def history_of(logs: Sequence[PulseLog]) -> History:
    """Put logs together; one cell in two logs counts as two, since what happened between them is not known.

    Raises:
        InputError: there is no event.
    """
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in ("file", "array", "row", "column", *_KEPT)}
    for number, log in enumerate(logs):
        columns["file"].append(np.full(len(log), number))
        for name in ("array", "row", "column"):
            columns[name].append(getattr(log.cells, name))
        for name in _KEPT:
            columns[name].append(getattr(log, name))
    joined = {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in columns.items()}
    if len(joined["file"]) == 0:
        raise InputError("the pulse logs hold no event")
    places = np.stack([joined[name] for name in ("file", "array", "row", "column")], axis=1)
    _, cell = np.unique(places, axis=0, return_inverse=True)
    cell = cell.ravel()
    order = np.argsort(cell, kind="stable")
    kept: dict[str, Any] = {name: joined[name][order] for name in _KEPT}
    kept["conductance"] = kept.pop("readback_usiemens")
    cell = cell[order]
    return History(cell=cell.astype(np.int64), first=np.diff(cell, prepend=-1) > 0, **kept)


_KEPT = ("bias", "amplitude_v", "gate_v", "width_ns", "readback_usiemens", "time_s")


def steps_of(history: History, kind: ChipProfile) -> Steps:
    """Keep the SET and RESET pulses that were read before and after."""
    access = Access.of(kind)
    found = np.roll(history.conductance, 1)
    switches = np.isin(history.bias, [int(Bias.SET), int(Bias.RESET)])
    known = ~history.first & np.isfinite(found) & np.isfinite(history.conductance) & switches
    before_g, after_g = found[known], history.conductance[known]
    raises = history.bias[known] == int(Bias.SET)
    before, after, gate_v = access.memristor(before_g), access.memristor(after_g), history.gate_v[known]
    opened = access.usiemens(gate_v)
    noise_g = reading_noise(history, kind)
    return Steps(
        cell=history.cell[known],
        raises=raises,
        across_v=history.amplitude_v[known] * np.where(raises, 1.0, opened / (opened + before)),
        gate_v=gate_v,
        width_ns=history.width_ns[known],
        before=before,
        after=after,
        noise=np.hypot(noise_g(before_g) * access.gain(before_g), noise_g(after_g) * access.gain(after_g)),
    )


class ReadingNoise:
    """Deviation of a reading of some conductance: the readout's own, and fluctuators that grow with the cell."""

    def __init__(self, floor_usiemens: float, relative: float, saturation_usiemens: float) -> None:
        self._floor, self._relative, self._saturation = floor_usiemens, relative, saturation_usiemens

    def __call__(self, conductance: FloatArray) -> FloatArray:
        """The deviation in uS."""
        size = np.maximum(conductance, 0.0)
        return np.hypot(self._floor, self._relative * size / (1.0 + size / self._saturation))


def reading_noise(history: History, kind: ChipProfile) -> ReadingNoise:
    """Learn from readings that follow each other without a pulse how much cells fluctuate; by the profile without."""
    simulation = kind.simulation
    floor = float(kind.readout.sample_noise_usiemens(0.0)) / np.sqrt(kind.protocol.quick_samples)
    pair = ~history.first & (history.bias == READ) & (np.diff(history.time_s, prepend=0.0) < NEIGHBOURS_S)
    before, after = np.roll(history.conductance, 1)[pair], history.conductance[pair]
    size = 0.5 * (before + after)
    seen = np.isfinite(size) & (size > 0)
    relative = simulation.trap_relative_amplitude
    if seen.sum() >= 100:
        reach = size[seen] / (1.0 + size[seen] / simulation.trap_saturation_usiemens)
        off = np.sqrt(np.maximum((after - before)[seen] ** 2 / 2.0 - floor**2, 0.0))
        relative = max(float(np.quantile(off / reach, NOISE_QUANTILE)), 1e-3 * relative)
    return ReadingNoise(floor, relative, simulation.trap_saturation_usiemens)


def free_step(before: FloatArray, width_ns: FloatArray | IntArray, excess: FloatArray, simulation: Simulation) -> Any:
    """Median step in uS of a pulse that nothing stops; ``excess`` is its voltage beyond the threshold, in slopes."""
    size = (before / simulation.switching_state_usiemens) ** simulation.switching_state_exponent
    time = (width_ns / simulation.switching_width_ns) ** simulation.switching_width_exponent
    return simulation.switching_step_usiemens * size * time * np.exp(np.minimum(excess, 20.0))


def change_of(step: FloatArray, room: FloatArray) -> FloatArray:
    """What becomes of a free step where only so much room is left, both in uS."""
    return np.asarray(-room * np.expm1(-step / room))


def step_of(change: FloatArray, room: FloatArray) -> FloatArray:
    """The free step that a change in that room is of: ``change_of`` the other way round."""
    return np.asarray(-room * np.log1p(-np.minimum(change / room, 0.98)))
