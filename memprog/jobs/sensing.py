"""Measure cells without disturbing them: currents at several read voltages, and traces of current over time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memprog.analysis.logs import Sweep, write_sweep
from memprog.analysis.traces import MAX_BYTES, Traces, refuse_other_than_archive, write_traces
from memprog.chip import Cells, FloatArray, conductance_usiemens
from memprog.errors import InputError
from memprog.files import refuse_binary
from memprog.jobs.chips import SIM, Wanted, chip_facts, profile_of_chip, reading
from memprog.jobs.logged import EVENTS_MOST, check_out, log_facts
from memprog.jobs.places import Region, chosen_mask
from memprog.jobs.progress import Listener, Progress, ignore
from memprog.jobs.setup import check_array, median
from memprog.jobs.workspace import Workspace
from memprog.profile import ChipProfile
from memprog.protocol import Look
from memprog.report.sensing import IvReport, TraceReport
from memprog.session import Session, Traced, tightened

POINTS = 10
TRACE_SAMPLES = 20_000
TRACE_INTERVAL_S = 2e-4
"""Sampling of the traces that were published with Rao 2023: 5 kHz, 4 s."""


def iv(
    workspace: Workspace,
    *,
    array: int,
    out_path: Path,
    profile: str | None = None,
    backend: str = SIM,
    region: Region | None = None,
    cells: Sequence[tuple[int, int]] | None = None,
    from_v: float | None = None,
    to_v: float | None = None,
    points: int = POINTS,
    samples: int | None = None,
    limits: Mapping[str, float] | None = None,
    expect_serial: str | None = None,
    timeout_s: float = 0.0,
    listener: Listener | None = None,
) -> IvReport:
    """Read cells of one array at rising read voltages, too low to switch anything, and write them as a sweep.

    Options:
        workspace, profile, backend, expect_serial, timeout_s, limits: as for program.
        array, region, cells: which cells of one array: (r0, r1, c0, c1) or (row, column) pairs; all by default.
        from_v, to_v, points: read voltages, evenly spaced; by default up to the profile's, from a step above zero.
        samples: of each reading; by default as many as the loop's long looks take.

    Raises:
        InputError: chip, cells, voltages or file cannot be used.
        LimitError: a read voltage, or what a cell may draw at it, is beyond a limit.
        InstrumentError: the chip could not be read.
    """
    kind = profile_of_chip(workspace, profile)
    check_out(out_path, ".csv", "a sweep")
    refuse_binary(out_path)
    read_v, mask = read_voltages(kind, from_v, to_v, points), chosen_mask(kind, region, cells)
    _check_lines(int(mask.sum()), points)
    count = kind.protocol.check_samples if samples is None else samples
    wanted: Wanted = {"backend": backend, "expect_serial": expect_serial, "timeout_s": timeout_s}
    bounds = tightened(kind.limits, **dict(limits or {}))
    with reading(workspace, kind, label="memprog iv", limits=bounds, **wanted) as session:
        check_array(array, session.geometry)
        addressed = Cells.from_mask(array, mask)
        start_s = session.clock_s()
        sweep = swept(session, kind, addressed, read_v, count, listener or ignore)
        data = write_sweep(out_path, sweep)
        return IvReport(
            **_told(session, kind, addressed, out_path, data),
            array=array,
            read_v=read_v.tolist(),
            samples=count,
            unread=int(np.isnan(sweep.readback_usiemens).sum()),
            rise_median=_rise(sweep, len(addressed)),
            chip_time_s=session.clock_s() - start_s,
        )


def trace(
    workspace: Workspace,
    *,
    array: int,
    out_path: Path,
    profile: str | None = None,
    backend: str = SIM,
    region: Region | None = None,
    cells: Sequence[tuple[int, int]] | None = None,
    read_v: float | None = None,
    interval_s: float = TRACE_INTERVAL_S,
    samples: int = TRACE_SAMPLES,
    limits: Mapping[str, float] | None = None,
    expect_serial: str | None = None,
    timeout_s: float = 0.0,
    listener: Listener | None = None,
) -> TraceReport:
    """Sense every sample of cells of one array, and write the currents as a trace file.

    Options:
        workspace, profile, backend, expect_serial, timeout_s, limits: as for program.
        array, region, cells: as for iv.
        read_v: by default the profile's.
        interval_s: between two samples of a cell; at least the aperture of one.
        samples: of each cell. Cells that cannot be sensed at the same time are sensed one group after the other.

    Raises:
        InputError: chip, cells or file cannot be used, or the file would be too large to be read again.
        LimitError, InstrumentError: as for iv.
    """
    kind = profile_of_chip(workspace, profile)
    check_out(out_path, ".npz", "a trace")
    refuse_other_than_archive(out_path)
    mask = chosen_mask(kind, region, cells)
    check_trace(int(mask.sum()), samples)
    wanted: Wanted = {"backend": backend, "expect_serial": expect_serial, "timeout_s": timeout_s}
    bounds = tightened(kind.limits, **dict(limits or {}))
    with reading(workspace, kind, label="memprog trace", limits=bounds, **wanted) as session:
        check_array(array, session.geometry)
        addressed = Cells.from_mask(array, mask)
        start_s, bias_v = session.clock_s(), kind.readout.read_v if read_v is None else read_v
        traces = traced(session, addressed, [bias_v], samples, interval_s, listener or ignore)
        data = write_traces(out_path, traces)
        return TraceReport(
            **_told(session, kind, addressed, out_path, data),
            array=array,
            unread=int(np.isnan(traces.current_a).any(axis=1).sum()),
            read_v=bias_v,
            samples=samples,
            interval_s=float(traces.time_s[0]),
            span_s=float(traces.time_s[-1] - traces.time_s[0]),
            noise_median_usiemens=_noise(traces),
            chip_time_s=session.clock_s() - start_s,
        )


def _told(session: Session, kind: ChipProfile, cells: Cells, path: Path, data: bytes) -> dict[str, Any]:
    """Fields that the reports of both verbs share."""
    return {
        "simulated": session.identity.simulated,
        "chip": chip_facts(session.identity),
        "profile": kind.name,
        "profile_sha256": kind.sha256,
        "path": path,
        "sha256": hashlib.sha256(data).hexdigest(),
        "cells": len(cells),
    }


def read_voltages(kind: ChipProfile, from_v: float | None, to_v: float | None, points: int) -> FloatArray:
    """Read voltages (points,), rising evenly.

    Raises:
        InputError: there are none, or they do not rise from above zero.
    """
    end_v = kind.readout.read_v if to_v is None else to_v
    if not 1 <= points <= EVENTS_MOST:
        raise InputError(f"{points} read voltages asked for; at least one is needed")
    first_v = end_v / points if from_v is None else from_v
    if not 0.0 < first_v <= end_v or (points > 1 and first_v == end_v):
        raise InputError(f"read voltages must rise from above 0 V; {points} from {first_v:g} V to {end_v:g} V do not")
    return np.minimum(np.round(np.linspace(first_v, end_v, points), 9), end_v)


def _check_lines(cells: int, points: int) -> None:
    if cells * points > EVENTS_MOST:
        raise InputError(f"{cells} cells at {points} voltages are more lines than can be read again")


def check_trace(cells: int, samples: int) -> None:
    """Refuse traces that could not be written, before the chip is opened.

    Raises:
        InputError: none, or more than a file may hold.
    """
    if samples < 1:
        raise InputError(f"{samples} samples asked for; at least one is needed")
    if (cells + 4) * samples * np.dtype(np.float32).itemsize >= MAX_BYTES:
        raise InputError(f"{cells} cells x {samples} samples are more than the {MAX_BYTES} bytes a trace may hold")


def swept(
    session: Session, kind: ChipProfile, cells: Cells, read_v: FloatArray, samples: int, listener: Listener
) -> Sweep:
    """Read all cells at each voltage in turn; a quick look before tells how many can be read at once."""
    at = np.arange(len(cells))
    session.look(cells, Look(stage="iv", cells=at, samples=kind.protocol.quick_samples, interval_s=0.0))
    found: dict[str, list[FloatArray]] = {"current_a": [], "readback_usiemens": [], "time_s": []}
    for number, volts in enumerate(read_v.tolist(), 1):
        look = Look(stage="iv", cells=at, samples=samples, interval_s=0.0)
        sensed = session.sense(cells, look, read_v=volts)
        found["current_a"].append(sensed.current_a - sensed.offset_a)
        found["readback_usiemens"].append(conductance_usiemens(sensed.current_a, sensed.offset_a, sensed.sense_v))
        found["time_s"].append(sensed.time_s)
        listener(_progress("iv", cells, number, len(read_v)))
    columns: dict[str, Any] = {name: np.concatenate(values) for name, values in found.items()}
    everywhere = np.tile(at, len(read_v))
    facts = log_facts(session.identity, kind)
    return Sweep(cells=cells.take(everywhere), read_v=np.repeat(read_v, len(cells)), facts=facts, **columns)


def traced(
    session: Session, cells: Cells, read_v: Sequence[float], samples: int, interval_s: float, listener: Listener
) -> Traces:
    """Trace all cells at each voltage in turn, stretch after stretch of one time axis."""
    stretches: list[Traced] = []
    for number, volts in enumerate(read_v, 1):
        stretches.append(session.trace(cells, samples=samples, interval_s=interval_s, read_v=volts))
        listener(_progress("trace", cells, number, len(read_v)))
    times_s = [one.start_s - stretches[0].start_s + one.interval_s * np.arange(1, samples + 1) for one in stretches]
    # Rows differ in what is lost on their way, by the same share at every voltage.
    scale = np.array([one.sense_v / volts for one, volts in zip(stretches, read_v, strict=True)]).mean(axis=0)
    return Traces(
        time_s=np.concatenate(times_s),
        bias_v=np.repeat(np.asarray(read_v, dtype=np.float64), samples),
        current_a=np.concatenate([one.current_a.astype(np.float32) for one in stretches], axis=1),
        cells=cells,
        bias_scale=np.where(np.isfinite(scale), scale, 1.0),
        simulated=session.identity.simulated,
    )


def _progress(stage: str, cells: Cells, number: int, of: int) -> Progress:
    array = int(cells.array[0]) if len(cells) else 0
    return Progress(kind="round", array=array, stage=stage, cells=len(cells), rounds=number, fraction=number / of)


def _rise(sweep: Sweep, cells: int) -> float:
    """Median over the cells of their conductance at the highest voltage over that at the lowest, less one."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return median(sweep.readback_usiemens[-cells:] / sweep.readback_usiemens[:cells] - 1.0)


def _noise(traces: Traces) -> float:
    """Median over the cells of the deviation of their conductance in time."""
    return median(np.std(traces.conductance_usiemens(), axis=1))
