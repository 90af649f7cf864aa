"""Points at which a test may kill the process: before and after everything that is meant to last.

``MEMPROG_FAULT="after journal intent:3"`` ends the process the third time it passes that point, as ``kill -9`` would:
no clean-up runs, nothing is flushed. Without the variable a point costs one comparison.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "MEMPROG_FAULT"

POINTS = (
    "before journal schema",
    "after journal schema",
    "before journal run",
    "after journal run",
    "before journal intent",
    "after journal intent",
    "before journal outcome",
    "after journal outcome",
    "before journal cells",
    "after journal cells",
    "before journal end",
    "after journal end",
    "before chip clock",
    "after chip clock",
    "before chip slot",
    "inside chip slot",
    "after chip slot",
    "before chip file",
    "after chip file",
    "before file",
    "inside file",
    "after file",
)
"""Every point there is; each is visited by a test that dies there and goes on from what is left."""


class _Fault:
    """Kills the process the nth time it passes one point."""

    def __init__(self, wanted: str) -> None:
        self._name, _, count = wanted.partition(":")
        self._left = int(count or "1")

    def passed(self, name: str) -> None:
        """Count, and die at the last."""
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                _die()


def _die() -> None:
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)  # Windows has no SIGKILL


_armed = _Fault(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def point(name: str) -> None:
    """Pass a point: the last thing this process does where a test asked for that."""
    if _armed is not None:
        _armed.passed(name)
