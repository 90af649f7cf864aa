"""What passes between the loop and the session: looks asked for, what was seen, pulses wanted, how a cell ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from memprog.chip import FloatArray, IntArray, Pulses, StatusArray


class Stage(enum.IntEnum):
    """Where a cell stands."""

    APPROACH = 0
    CHECK = 1
    HOLD = 2
    FAILED = 3


class Reason(enum.IntEnum):
    """Why a cell failed. The numbers are stored in journals: never renumber."""

    NONE = 0
    STUCK_HIGH = 1
    STUCK_LOW = 2
    NOISY = 3
    UNREACHABLE = 4
    OUT_OF_BUDGET = 5
    NOT_WIRED = 6
    UNREADABLE = 7
    OPEN = 8
    SHORT = 9
    UNFORMED = 10
    WORN = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A read the loop wants: of these cells (positions in the loop's list), after waiting so long."""

    stage: str
    cells: IntArray
    samples: int
    interval_s: float
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look saw, (n,) but for the time: conductance and deviation of a sample in uS, NaN where not OK."""

    readback_usiemens: FloatArray
    noise_usiemens: FloatArray
    lag1: FloatArray
    status: StatusArray
    time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shots:
    """One batch of pulses the loop wants: cells (positions in the loop's list) and a pulse for each.

    ``denoise`` says that they are meant to be too weak to switch.
    """

    cells: IntArray
    pulses: Pulses
    denoise: bool
