"""What the journal costs: a full array programmed with it and without, the same chip, the same pulses.

    python tests/bench/journal.py --seeds 0 1

Prints JSON. Seconds are processor time, disk writes of the system included, so that a busy machine disturbs them
little; what can be compared is the share.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from memprog.chip import FloatArray
from memprog.jobs.chips import make_chip
from memprog.jobs.setup import Part, utc_now
from memprog.jobs.writing import Caller, Task
from memprog.profile import DEFAULT_PROFILE, ChipProfile, load_profile
from memprog.session import ArrayOutcome, Journal, Session, program_array
from memprog.simchip import SimChip


class Nothing(Journal):
    """A journal that forgets."""

    def __init__(self) -> None:
        self._batch_id = 0

    def intend(self, *_: Any, **__: Any) -> int:
        self._batch_id += 1
        return self._batch_id

    def record(self, *_: Any) -> None:
        pass

    def close(self) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", type=int, default=256, help="program only rows and columns below this")
    parser.add_argument("--profile", default=DEFAULT_PROFILE)
    options = parser.parse_args()
    kind = load_profile(options.profile)
    runs = [measured(kind, seed, options.rows) for seed in options.seeds]
    print(json.dumps({"profile": kind.name, "rows": options.rows, "runs": runs}, indent=2))


def measured(kind: ChipProfile, seed: int, rows: int) -> dict[str, Any]:
    """Program with, without, and with a journal again: the machine's mood shows in the difference of the two."""
    first, _, size, outcome = timed(kind, seed, rows, journalled=True)
    without, _, _, same = timed(kind, seed, rows, journalled=False)
    again, *_ = timed(kind, seed, rows, journalled=True)
    assert np.array_equal(outcome.pulses, same.pulses), "the journal changed what the loop did"
    return {
        "seed": seed,
        "cells": int(outcome.programmed.sum()),
        "pulses": int(outcome.pulses.sum()),
        "journal_mb": size / 1e6,
        "with_s": [first, again],
        "without_s": without,
        "share_of_host_time": 1.0 - without / min(first, again),
    }


def timed(kind: ChipProfile, seed: int, rows: int, *, journalled: bool) -> tuple[float, float, int, ArrayOutcome]:
    """Program one array of random levels; seconds, chip seconds, bytes of the journal, outcome."""
    target = np.full((kind.geometry.rows, kind.geometry.columns), np.nan)
    levels = np.random.default_rng([seed, 1]).integers(0, kind.levels.count, (rows, rows))
    target[:rows, :rows] = kind.levels.min_usiemens + levels * kind.levels.spacing_usiemens
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        make_chip(Path(folder) / "chip", kind, seed=seed, arrays=1)
        journal = Journal(path, durable=False) if journalled else Nothing()
        if journalled:
            journal.start_run("run", chip="", facts=task_of(kind, target).facts(utc_now(), Caller()))
        session = Session(SimChip(Path(folder) / "chip", kind), kind, journal=journal, run_id="run")
        start_s = time.process_time()
        with session:
            outcome = program_array(session, kind, 0, target)
        seconds = time.process_time() - start_s
        journal.close()
        return seconds, outcome.chip_time_s, path.stat().st_size if journalled else 0, outcome


def task_of(kind: ChipProfile, target: FloatArray) -> Task:
    """What the journal is told of the run; targets (rows, columns) in uS, NaN for none."""
    mask = np.isfinite(target)
    return Task(
        kind="program",
        image_sha256="",
        profile=kind,
        part=Part(arrays=(0,), masks=(mask,), targets_usiemens=(target[mask],)),
        denoise=True,
        full=False,
        recheck=False,
        limits=kind.limits,
    )


if __name__ == "__main__":
    main()
