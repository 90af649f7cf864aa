"""How a running job tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One event of a running job; ``fraction`` (0 to 1) estimates the work done.

    ``kind`` is round, array_done, warning, or stopped: the run ended before its end, and its counts are of all its
    arrays, while those of the others are of one. ``run_id`` is empty where nothing is written to a chip.
    """

    kind: str
    run_id: str = ""
    array: int = 0
    arrays: int = 1
    stage: str = ""
    cells: int = 0
    cells_done: int = 0
    cells_failed: int = 0
    rounds: int = 0
    pulses_per_cell: float = 0.0
    chip_time_s: float = 0.0
    host_time_s: float = 0.0
    fraction: float = 0.0
    message: str = ""


Listener = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """Listen to nothing."""
