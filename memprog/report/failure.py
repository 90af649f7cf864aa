"""Why a command has no result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memprog import errors
from memprog.report.base import Report

KINDS = {
    errors.EXIT_USAGE: "usage",
    errors.EXIT_INPUT: "input",
    errors.EXIT_INSTRUMENT: "instrument",
    errors.EXIT_LIMIT: "limit",
    errors.EXIT_STOPPED: "stopped",
    errors.EXIT_INTERNAL: "internal",
    errors.EXIT_INTERRUPTED: "interrupted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureReport(Report):
    """What stands in the place of a report that there is none of.

    ====== ============== ============================================================================================
    field  type           meaning
    ====== ============== ============================================================================================
    error  object         exit_code (int), kind (usage, input, instrument, limit, stopped, internal, interrupted),
                          message (str, the sentence on standard error), way_on (list of str: how to go on, if there is
                          a way that is known)
    run    object or null of a run that was stopped: run_id, arrays, cells, cells_done and cells_failed (when it was
                          last heard of), pulses_per_cell (of the whole run), fraction (of the work, an estimate),
                          chip_time_s and host_time_s (of this invocation, s)
    ====== ============== ============================================================================================
    """

    error: Mapping[str, Any]
    run: Mapping[str, Any] | None


RUN = (
    "run_id",
    "arrays",
    "cells",
    "cells_done",
    "cells_failed",
    "pulses_per_cell",
    "fraction",
    "chip_time_s",
    "host_time_s",
)


def failure(exit_code: int, message: str, way_on: Sequence[str], stopped: Mapping[str, Any] | None) -> FailureReport:
    """Report an ending by its exit code; ``stopped`` is how far a run came that did not end, or None."""
    return FailureReport(
        error={"exit_code": exit_code, "kind": KINDS[exit_code], "message": message, "way_on": list(way_on)},
        run=None if stopped is None else {name: stopped[name] for name in RUN},
    )
