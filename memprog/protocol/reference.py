"""Published write-verify loops to compare with, as pure decisions on arrays: no I/O, no clock, no chance.

``Ramp`` is the loop of the NeuRRAM authors, ``Fixed`` that of the CMO/HfOx authors. Both are asked which cells are
still open, are told a readback of each, and answer with pulses.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memprog.chip import Bias, FloatArray, IntArray, Mask, Pulses
from memprog.errors import InputError
from memprog.protocol.words import Shots


@dataclass(frozen=True, slots=True, kw_only=True)
class RampSettings:
    """How the NeuRRAM authors' code programs a cell (Neurram_48core, wupdate_control.py; window: Wan 2022).

    Attributes:
        window_usiemens: accepted error; +-1 uS on 1-40 uS.
        first_v: amplitude a ramp begins with, SET and RESET alike.
        step_v: what each further pulse of a ramp adds.
        most_v: amplitude at which a ramp stays. The code takes it as an argument: 3.3 V unless given, 4.0 V at most.
        most_at_limit: pulses at that amplitude after which a cell is given up.
        most_reversals: changes of direction after which a cell is given up; 20 to 50 by experiment.
        set_gate_v, reset_gate_v: gate in SET and RESET.
        width_ns: of every pulse.
        samples, dropped: reads of one look, and how many at its beginning do not count.
    """

    window_usiemens: float = 1.0
    first_v: float = 1.2
    step_v: float = 0.1
    most_v: float = 4.0
    most_at_limit: int = 10
    most_reversals: int = 40
    set_gate_v: float = 2.5
    reset_gate_v: float = 5.0
    width_ns: int = 1000
    samples: int = 8
    dropped: int = 3

    def __post_init__(self) -> None:
        """Refuse a ramp that does not rise, or looks that leave nothing.

        Raises:
            InputError: it does not.
        """
        _check_window("window", self.window_usiemens)
        if not (0 < self.first_v <= self.most_v and self.step_v > 0):
            raise InputError(f"a ramp from {self.first_v:g} V by {self.step_v:g} V never comes to {self.most_v:g} V")
        if not 0 <= self.dropped < self.samples:
            raise InputError(f"a look of {self.samples} reads that drops {self.dropped} leaves none")


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedSettings:
    """How the CMO/HfOx authors program a cell: pulses that are all alike, one read after each.

    Amplitudes go by the target (arXiv 2502.04524, flow chart of the closed loop): below the first edge the first, and
    so on. Gate, width and budget are not in it.

    Attributes:
        window_share: accepted error over the target; 0.02 or 0.002.
        edges_usiemens: where the amplitudes change.
        set_v, reset_v: one more than there are edges.
        set_gate_v, reset_gate_v: wide open, for what limits is the device (assumption).
        width_ns: of every pulse (assumption).
        most_pulses: after which a cell is given up (assumption: ten times what 0.2 % takes).
    """

    window_share: float = 0.02
    edges_usiemens: tuple[float, ...] = (30.0, 60.0)
    set_v: tuple[float, ...] = (1.35, 1.35, 1.5)
    reset_v: tuple[float, ...] = (1.5, 1.3, 1.3)
    set_gate_v: float = 5.0
    reset_gate_v: float = 5.0
    width_ns: int = 1000
    most_pulses: int = 1000

    def __post_init__(self) -> None:
        """Refuse amplitudes that do not go with the edges.

        Raises:
            InputError: they do not.
        """
        _check_window("share of the target", self.window_share)
        classes = len(self.edges_usiemens) + 1
        if not (len(self.set_v) == len(self.reset_v) == classes):
            raise InputError(f"{classes} classes of targets need as many SET and RESET amplitudes")


class Reference(abc.ABC):
    """What both loops remember of n cells: which are done, which were given up, and their pulses.

    A cell is done once it was inside its window in ``looks`` readbacks in a row, without a pulse in between.
    """

    samples: int = 1
    dropped: int = 0

    def __init__(self, target_usiemens: FloatArray, window_usiemens: FloatArray, *, looks: int) -> None:
        self.target_usiemens = np.asarray(target_usiemens, dtype=np.float64)
        if not np.isfinite(self.target_usiemens).all():
            raise InputError("a target of a write-verify loop is no number")
        n = len(self.target_usiemens)
        self.window_usiemens = np.broadcast_to(np.asarray(window_usiemens, dtype=np.float64), (n,))
        self.done, self.given_up = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        self.pulses = np.zeros(n, dtype=np.int64)
        self.readback_usiemens = np.full(n, np.nan)
        self._looks, self._agreed = looks, np.zeros(n, dtype=np.int64)

    def open_cells(self) -> IntArray:
        """Positions of the cells that want to be read next; none when the loop is over."""
        return np.flatnonzero(~self.done & ~self.given_up)

    def take(self, at: IntArray, readback_usiemens: FloatArray) -> Shots | None:
        """Learn readbacks of cells ``at`` and give the pulses that follow; None where there are none.

        Args:
            at: (n,) positions, each once.
            readback_usiemens: (n,) infinite where the converter clamped, NaN where a cell could not be read: it is
                given up.
        """
        self.readback_usiemens[at] = readback_usiemens
        self.given_up[at[np.isnan(readback_usiemens)]] = True
        error = readback_usiemens - self.target_usiemens[at]
        inside = np.abs(error) <= self.window_usiemens[at]
        self._left(at[~inside & (self._agreed[at] > 0)])
        self._agreed[at] = np.where(inside, self._agreed[at] + 1, 0)
        self.done[at[self._agreed[at] >= self._looks]] = True
        raises = error < 0
        self._turn(at[~inside], raises[~inside])
        shot = ~inside & ~self.given_up[at]
        if not shot.any():
            return None
        self.pulses[at[shot]] += 1
        return Shots(cells=at[shot], pulses=self._pulses(at[shot], raises[shot]), denoise=False)

    def _left(self, at: IntArray) -> None:  # noqa: B027 - only one of the loops minds
        """Note cells that a further read did not confirm."""

    @abc.abstractmethod
    def _turn(self, at: IntArray, raises: Mask) -> None:
        """Note which way cells outside their windows must go, and give up those that had enough."""

    @abc.abstractmethod
    def _pulses(self, at: IntArray, raises: Mask) -> Pulses:
        """Make the pulses of cells outside their windows."""


class Ramp(Reference):
    """The NeuRRAM loop: amplitudes rise pulse by pulse, and begin anew where the direction changes.

    Two reads must agree; where the second does not, the ramp begins anew, too.
    """

    def __init__(self, target_usiemens: FloatArray, settings: RampSettings | None = None) -> None:
        self.settings = settings or RampSettings()
        super().__init__(target_usiemens, np.asarray(self.settings.window_usiemens), looks=2)
        self.samples, self.dropped = self.settings.samples, self.settings.dropped
        n = len(self.target_usiemens)
        self.reversals = np.zeros(n, dtype=np.int64)
        self._direction, self._at_limit = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self._amplitude_v = np.zeros(n)

    def _left(self, at: IntArray) -> None:
        self.reversals[at] += self._direction[at] != 0
        self._direction[at] = 0

    def _turn(self, at: IntArray, raises: Mask) -> None:
        settings, wanted, before = self.settings, np.where(raises, 1, -1), self._direction[at]
        self.reversals[at] += (before != 0) & (wanted != before)
        anew = wanted != before
        risen_v = np.minimum(self._amplitude_v[at] + settings.step_v, settings.most_v)
        self._at_limit[at] = np.where(anew, 0, self._at_limit[at] + (self._amplitude_v[at] >= settings.most_v))
        self._amplitude_v[at] = np.where(anew, settings.first_v, risen_v)
        self._direction[at] = wanted
        spent = (self._at_limit[at] >= settings.most_at_limit) | (self.reversals[at] > settings.most_reversals)
        self.given_up[at[spent]] = True

    def _pulses(self, at: IntArray, raises: Mask) -> Pulses:
        settings = self.settings
        return _pulses(raises, self._amplitude_v[at], settings.set_gate_v, settings.reset_gate_v, settings.width_ns)


class Fixed(Reference):
    """The CMO/HfOx loop: one pulse of fixed amplitude up or down, one read, until the read is inside."""

    def __init__(self, target_usiemens: FloatArray, settings: FixedSettings | None = None) -> None:
        self.settings = settings or FixedSettings()
        target = np.asarray(target_usiemens, dtype=np.float64)
        super().__init__(target, self.settings.window_share * np.abs(target), looks=1)
        self._class = np.searchsorted(self.settings.edges_usiemens, target)

    def _turn(self, at: IntArray, raises: Mask) -> None:  # noqa: ARG002 - every pulse is like the last
        self.given_up[at[self.pulses[at] >= self.settings.most_pulses]] = True

    def _pulses(self, at: IntArray, raises: Mask) -> Pulses:
        settings = self.settings
        up_v, down_v = (_pick(volts, self._class[at]) for volts in (settings.set_v, settings.reset_v))
        amplitude_v = np.where(raises, up_v, down_v)
        return _pulses(raises, amplitude_v, settings.set_gate_v, settings.reset_gate_v, settings.width_ns)


def _pick(volts: Sequence[float], which: IntArray) -> FloatArray:
    return np.asarray(volts, dtype=np.float64)[which]


def _pulses(raises: Mask, amplitude_v: FloatArray, set_gate_v: float, reset_gate_v: float, width_ns: int) -> Pulses:
    """SET where a cell is to rise, RESET where it is to fall."""
    return Pulses(
        bias=np.where(raises, int(Bias.SET), int(Bias.RESET)).astype(np.uint8),
        amplitude_v=amplitude_v.copy(),
        gate_v=np.where(raises, set_gate_v, reset_gate_v),
        width_ns=np.full(len(raises), width_ns, dtype=np.int64),
    )


def _check_window(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        raise InputError(f"the {name} of a write-verify loop is {value:g}; it must be above 0")
