"""Sweeps and traces: what they hold, what they may not do, and that they disturb nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_cases import Bench, make_bench, wear_of

from memprog.analysis.logs import read_sweep
from memprog.analysis.traces import read_traces
from memprog.errors import InputError, LimitError
from memprog.jobs.read import read_conductances
from memprog.jobs.sensing import iv, trace
from memprog.report.sensing import IvReport, TraceReport

HEALTHY = {"simulation__stuck_high_fraction": 0.0, "simulation__stuck_low_fraction": 0.0}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path / "bench", rows=8, columns=8, seed=4, **HEALTHY)


def sweep(bench: Bench, **options: Any) -> IvReport:
    return iv(
        bench.workspace,
        **{"profile": bench.profile, "array": 0, "out_path": bench.workspace.folder / "iv.csv"} | options,
    )


def record(bench: Bench, **options: Any) -> TraceReport:
    wanted = {"profile": bench.profile, "array": 0, "out_path": bench.workspace.folder / "t.npz", "samples": 400}
    return trace(bench.workspace, **wanted | options)


def held(bench: Bench) -> np.ndarray:
    path = bench.workspace.folder / "g.npy"
    read_conductances(bench.workspace, profile=bench.profile, out_path=path)
    return np.asarray(np.load(path))[0]


def test_a_sweep_holds_every_cell_at_every_voltage(bench: Bench) -> None:
    report = sweep(bench, region=(2, 4, 1, 5), points=4, to_v=0.2)
    found = read_sweep(bench.workspace.folder / "iv.csv")
    assert (report.cells, report.read_v, report.unread) == (8, [0.05, 0.1, 0.15, 0.2], 0)
    np.testing.assert_allclose(found.read_v, np.repeat(report.read_v, 8))
    np.testing.assert_array_equal(found.cells.row[:8], [2] * 4 + [3] * 4)
    np.testing.assert_array_equal(found.cells.column[8:12], [1, 2, 3, 4])
    last = found.readback_usiemens[-8:].reshape(2, 4)
    assert (np.abs(last - held(bench)[2:4, 1:5]) < 20.0).all()
    # The conductance holds at the voltage that was really there, a little below the nominal one.
    sensed_v = found.current_a / found.readback_usiemens * 1e6
    assert (sensed_v < found.read_v).all()
    assert (sensed_v > 0.985 * found.read_v).all()


def test_neither_sweep_nor_trace_gives_a_pulse_or_begins_a_run(bench: Bench) -> None:
    before = held(bench)
    sweep(bench)
    record(bench)
    assert wear_of(bench).sum() == 0
    assert not bench.workspace.journal_path.exists()
    assert np.median(np.abs(held(bench) - before)) < 1.0


def test_a_trace_holds_every_sample_and_its_time(bench: Bench) -> None:
    report = record(bench, cells=((0, 0), (5, 6)), interval_s=1e-3, read_v=0.15)
    found = read_traces(bench.workspace.folder / "t.npz")
    assert found.current_a.shape == (2, 400)
    np.testing.assert_allclose(found.time_s, 1e-3 * np.arange(1, 401), rtol=1e-9)
    np.testing.assert_array_equal(found.bias_v, np.full(400, 0.15))
    assert found.cells is not None
    np.testing.assert_array_equal(found.cells.row, [0, 5])
    assert (found.simulated, report.unread) == (True, 0)
    assert report.interval_s == pytest.approx(1e-3)
    mean = found.conductance_usiemens().mean(axis=1)
    assert (np.abs(mean - held(bench)[[0, 5], [0, 6]]) < 20.0).all()
    assert 0.0 < report.noise_median_usiemens < 50.0
    assert report.chip_time_s > 2 * 0.4


def test_an_interval_shorter_than_the_aperture_is_not_claimed(bench: Bench) -> None:
    report = record(bench, cells=((0, 0),), interval_s=0.0)
    assert report.interval_s == pytest.approx(bench.kind.readout.aperture_ns * 1e-9)


@pytest.mark.parametrize(
    ("job", "options", "sentence"),
    [
        (sweep, {"to_v": 0.4}, r"read amplitude .* is outside 0\.\.0\.3 V"),
        (sweep, {"limits": {"read_max_v": 0.1}}, r"is outside 0\.\.0\.1 V"),
        (record, {"read_v": 0.31}, r"read amplitude 0\.31 V is outside 0\.\.0\.3 V"),
        (record, {"limits": {"read_max_v": 0.4}}, "wider than the profile's"),
    ],
)
def test_a_read_voltage_that_could_disturb_is_refused(job: Any, options: Any, sentence: str, bench: Bench) -> None:
    with pytest.raises(LimitError, match=sentence):
        job(bench, **options)
    assert {path.suffix for path in bench.workspace.folder.iterdir()}.isdisjoint({".csv", ".npz"})


@pytest.mark.parametrize(
    ("job", "options", "sentence"),
    [
        (sweep, {"from_v": 0.0}, "must rise from above 0 V"),
        (sweep, {"from_v": 0.3, "to_v": 0.2}, "must rise"),
        (sweep, {"from_v": 0.2, "to_v": 0.2}, "must rise"),
        (sweep, {"points": 0}, "at least one is needed"),
        (sweep, {"points": 100_000}, "more lines than can be read again"),
        (sweep, {"array": 1}, "array 1 is not on the chip"),
        (sweep, {"out_path": Path("iv.npz")}, r"written as \.csv"),
        (record, {"out_path": Path("t.csv")}, r"written as \.npz"),
        (record, {"samples": 0}, "at least one is needed"),
        (record, {"samples": 10_000_000}, "more than the 1073741824 bytes"),
        (record, {"array": 1}, "array 1 is not on the chip"),
        (record, {"region": (0, 9, 0, 1)}, "is not inside"),
        (record, {"cells": ((0, 0),), "region": (0, 1, 0, 1)}, "exclude each other"),
    ],
)
def test_what_cannot_be_measured_is_refused(job: Any, options: Any, sentence: str, bench: Bench) -> None:
    with pytest.raises(InputError, match=sentence):
        job(bench, **options)


def test_a_cell_beyond_the_converters_range_is_unread_and_the_others_are_not(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", rows=8, columns=8, seed=4, simulation__stuck_high_fraction=0.2)
    report = record(bench)
    found = read_traces(bench.workspace.folder / "t.npz")
    whole, none = np.isfinite(found.current_a).all(axis=1), np.isnan(found.current_a).all(axis=1)
    assert (whole | none).all()
    assert 0 < report.unread == none.sum() < 64
    swept = sweep(bench, points=2, to_v=0.2)
    assert 0 < swept.unread < 128
    assert np.isnan(read_sweep(bench.workspace.folder / "iv.csv").readback_usiemens).sum() == swept.unread
