"""How a run shows itself while it lasts: a bar on a terminal, else a plain line now and then, or a feed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from memprog.cli.streams import write_line

if TYPE_CHECKING:
    from memprog.jobs.progress import Progress

PLAIN_EVERY_S = 5.0
PLAIN_STAGE_EVERY_S = 2.0


class Shows(Protocol):
    """Anything that can show how far a run is."""

    def show(self, progress: Progress) -> None:
        """Take one report of progress."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


def describe(progress: Progress) -> str:
    """Say in one line how far a run is; what matters most stands first, a narrow terminal cuts the rest."""
    array = f"array {progress.array}" if progress.arrays == 1 else f"array {progress.array} (of {progress.arrays})"
    parts = [f"{clock(left_s(progress))} left", f"{array} {progress.stage}", *_work(progress)]
    return ", ".join(parts)


def _work(progress: Progress) -> list[str]:
    """Say what was done to the cells; plain reads do nothing to them."""
    if not (progress.pulses_per_cell or progress.cells_done or progress.cells_failed):
        return [f"{progress.cells} cells", f"round {progress.rounds}"]
    return [
        f"{progress.cells_done}/{progress.cells} cells done",
        f"{progress.cells_failed} failed",
        f"round {progress.rounds}",
        f"{progress.pulses_per_cell:.1f} pulses/cell",
        f"chip {progress.chip_time_s:.1f} s",
    ]


def left_s(progress: Progress) -> float | None:
    """Guess the host seconds to go from the share of work done; None as long as there is nothing to go by."""
    if progress.fraction <= 0.01 or progress.host_time_s <= 0.0:
        return None
    return progress.host_time_s * (1.0 / min(progress.fraction, 1.0) - 1.0)


def clock(seconds: float | None) -> str:
    """Write seconds as m:ss or h:mm:ss."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Nothing:
    """Show nothing but warnings."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def show(self, progress: Progress) -> None:
        """Pass on a warning only."""
        if progress.kind == "warning":
            write_line(self._stream, f"Warning: {progress.message}")

    def close(self) -> None:
        """There is nothing to restore."""


class Plain:
    """A line every few seconds, at a new stage, at the end of an array, and for each warning."""

    def __init__(self, stream: TextIO | None, now_s: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now_s = now_s
        self._last_s = float("-inf")
        self._stage: tuple[int, str] | None = None

    def show(self, progress: Progress) -> None:
        """Write a line if one is due."""
        if progress.kind == "warning":
            write_line(self._stream, f"Warning: {progress.message}")
        elif self._due(progress):
            self._last_s, self._stage = self._now_s(), (progress.array, progress.stage)
            write_line(self._stream, describe(progress))

    def _due(self, progress: Progress) -> bool:
        waited_s = self._now_s() - self._last_s
        new_stage = (progress.array, progress.stage) != self._stage
        every_s = PLAIN_STAGE_EVERY_S if new_stage else PLAIN_EVERY_S
        return progress.kind == "array_done" or waited_s >= every_s

    def close(self) -> None:
        """There is nothing to restore."""


class Bar:
    """A bar at the bottom of a terminal."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.table import Column

        text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
        self._bar = Progress(
            BarColumn(bar_width=12), TaskProgressColumn(), text, console=Console(file=stream), transient=True
        )
        self._task = self._bar.add_task("", total=1.0)
        self._bar.start()

    def show(self, progress: Progress) -> None:
        """Move the bar; a warning stays above it."""
        if progress.kind == "warning":
            self._bar.console.print(f"Warning: {progress.message}", markup=False, highlight=False)
        else:
            self._bar.update(self._task, completed=progress.fraction, description=describe(progress))

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


class Feed:
    """JSON Lines on standard output: one event a line, as it happens."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def show(self, progress: Progress) -> None:
        """Write the event; its name is the kind of progress."""
        fields = dataclasses.asdict(progress)
        self.event(fields.pop("kind"), fields)

    def event(self, name: str, fields: dict[str, Any]) -> None:
        """Write one event."""
        from memprog.report.base import plain

        write_line(self._stream, json.dumps({"event": name, **plain(fields)}))

    def close(self) -> None:
        """There is nothing to restore."""
