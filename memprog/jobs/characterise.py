"""Characterise a chip: a planned set of ramps, repeated pulses, waits, sweeps and traces on some of its cells."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from memprog.analysis.logs import Sweep, write_sweep
from memprog.analysis.traces import Traces, refuse_other_than_archive, write_traces
from memprog.files import make_folder, refuse_binary, replace_whole
from memprog.jobs.chips import SIM, Wanted, profile_of_chip
from memprog.jobs.holding import Held, hold, peek
from memprog.jobs.logged import Errand, LoggedRun
from memprog.jobs.places import Region, chosen_mask, spread_mask
from memprog.jobs.plan import Planner, Step
from memprog.jobs.progress import Listener, ignore
from memprog.jobs.pulse import kept, may_begin, write_log
from memprog.jobs.sensing import POINTS, TRACE_INTERVAL_S, check_trace, read_voltages, swept, traced
from memprog.jobs.setup import utc_now
from memprog.jobs.workspace import Workspace
from memprog.jobs.writing import Caller
from memprog.profile import ChipProfile, Limits
from memprog.report.characterise import CharacteriseReport
from memprog.session import CHARACTERISE, Allowance, Session, tightened

CELLS = 64
TRACE_SAMPLES = 10_000
TRACE_SHARES = (0.75, 1.0, 1.25)
"""Read voltages of the traces, as shares of the profile's: those of the published traces, where that is 0.2 V."""
PULSES, SWEEP, TRACES, REPORT = "pulses.csv", "iv.csv", "traces.npz", "characterise.json"
"""Files that are written into the folder."""


def characterise(
    workspace: Workspace,
    *,
    folder: Path,
    profile: str | None = None,
    backend: str = SIM,
    array: int = 0,
    count: int | None = None,
    region: Region | None = None,
    max_pulses: int | None = None,
    yes: bool = False,
    dry_run: bool = False,
    limits: Mapping[str, float] | None = None,
    expect_serial: str | None = None,
    timeout_s: float = 0.0,
    listener: Listener | None = None,
    caller: Caller | None = None,
) -> CharacteriseReport:
    """Give the chosen cells every step of the plan, and write what was measured into a folder.

    What was measured before something stopped the run is written all the same, but for the report.

    Options:
        workspace, profile, backend, expect_serial, timeout_s: as for program; a chip must be there.
        folder: gets pulses.csv, iv.csv, traces.npz and characterise.json, the report.
        array, count, region: which cells of one array: so many, evenly spread (64 by default), or (r0, r1, c0, c1).
        max_pulses: stop before so many pulses are exceeded.
        yes, dry_run, limits, listener, caller: as for pulse.

    Raises:
        InputError: chip, cells or folder cannot be used.
        LimitError: a limit, an image, an unfinished run or another process refused it.
        InstrumentError, StoppedError: the chip failed, or an allowance is used up.
    """
    kind, caller = profile_of_chip(workspace, profile), caller or Caller()
    bounds = tightened(kind.limits, **dict(limits or {}))
    steps = Planner(kind, bounds).steps()
    errand = Errand(
        kind=CHARACTERISE,
        profile=kind,
        array=array,
        mask=chosen_mask(kind, region, None) if region else spread_mask(kind, CELLS if count is None else count),
        shots=tuple(step.shot for step in steps if step.shot is not None),
        readings=sum(step.shot is None for step in steps),
        limits=bounds,
    )
    check_trace(int(errand.mask.sum()), TRACE_SAMPLES * len(TRACE_SHARES))
    wanted: Wanted = {"backend": backend, "expect_serial": expect_serial, "timeout_s": timeout_s}
    if dry_run:
        with peek(workspace, kind, label="memprog characterise --dry-run", **wanted) as held:
            may_begin(held, errand, yes=yes)
            return _report(errand, steps, held, utc_now(), caller, folder)
    _prepare_folder(folder)
    with hold(workspace, kind, label="memprog characterise", anew=True, **wanted) as held:
        may_begin(held, errand, yes=yes)
        allowance = Allowance(max_pulses=max_pulses)
        run = LoggedRun(held, errand, allowance, listener=listener or ignore, caller=caller)
        return _carry_out(held, run, errand, steps, folder, listener or ignore, caller)


@dataclasses.dataclass(kw_only=True)
class _Measured:
    """What was measured so far, besides the log of the run."""

    sweep: Sweep | None = None
    traces: Traces | None = None

    def writers(self, folder: Path, run: LoggedRun) -> list[tuple[Path, Callable[[], bytes]]]:
        """For each file how to write it; no bytes where there is nothing yet."""

        def write_iv() -> bytes:
            return write_sweep(folder / SWEEP, self.sweep) if self.sweep else b""

        def write_npz() -> bytes:
            return write_traces(folder / TRACES, self.traces) if self.traces else b""

        return [
            (folder / PULSES, lambda: write_log(folder / PULSES, run)),
            (folder / SWEEP, write_iv),
            (folder / TRACES, write_npz),
        ]


def _carry_out(
    held: Held,
    run: LoggedRun,
    errand: Errand,
    steps: tuple[Step, ...],
    folder: Path,
    listener: Listener,
    caller: Caller,
) -> CharacteriseReport:
    utc, found = utc_now(), _Measured()
    writers = found.writers(folder, run)
    with kept(writers, run), run.under_way(utc) as session:
        quick = errand.profile.protocol.quick_samples
        for number, step in enumerate(steps, 1):
            # Sweep and traces at the end count as a tenth of the work.
            fraction = 0.9 * number / len(steps)
            if step.shot is None:
                run.read(session, fraction, samples=quick, wait_s=step.wait_s)
            else:
                run.give(session, step.shot, fraction)
        _measure(session, errand, run, found, listener)
    files = [_file_facts(path, write()) for path, write in writers]
    report = _report(errand, steps, held, utc, caller, folder, run=run, files=files)
    replace_whole(folder / REPORT, (json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n").encode())
    return report


def _measure(session: Session, errand: Errand, run: LoggedRun, found: _Measured, listener: Listener) -> None:
    """Sweep the read voltage of the cells as the last pulses left them, and trace them."""
    kind, cells = errand.profile, run.cells
    sweep_v = read_voltages(kind, None, min(kind.readout.read_v, errand.limits.read_max_v), POINTS)
    found.sweep = swept(session, kind, cells, sweep_v, kind.protocol.check_samples, listener)
    read_v = trace_voltages(kind, errand.limits)
    found.traces = traced(session, cells, read_v, TRACE_SAMPLES, TRACE_INTERVAL_S, listener)


def trace_voltages(kind: ChipProfile, limits: Limits) -> list[float]:
    """Read voltages of the traces, none beyond the limit."""
    wanted = [min(round(share * kind.readout.read_v, 9), limits.read_max_v) for share in TRACE_SHARES]
    return list(dict.fromkeys(wanted))


def _prepare_folder(folder: Path) -> None:
    """Find out before the chip is opened that every file can be written."""
    make_folder(folder)
    for name in (PULSES, SWEEP, REPORT):
        refuse_binary(folder / name)
    refuse_other_than_archive(folder / TRACES)


def _file_facts(path: Path, data: bytes) -> dict[str, Any]:
    return {"name": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _stages(steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    """Pulses and readings alone, of each cell, stage by stage in order."""
    found = []
    for stage, members in groupby(steps, key=lambda step: step.stage):
        shots = [step.shot is not None for step in members]
        found.append({"stage": stage, "pulses": sum(shots), "readings": len(shots) - sum(shots)})
    return found


def _report(
    errand: Errand,
    steps: tuple[Step, ...],
    held: Held,
    utc: str,
    caller: Caller,
    folder: Path,
    *,
    run: LoggedRun | None = None,
    files: list[dict[str, Any]] | None = None,
) -> CharacteriseReport:
    row, column = np.nonzero(errand.mask)
    return CharacteriseReport(
        **errand.told(held, run, utc, caller),
        places=np.stack([row, column], axis=1).tolist(),
        plan=_stages(steps),
        pulses_per_cell=len(errand.shots),
        path=folder,
        files=files or [],
    )
