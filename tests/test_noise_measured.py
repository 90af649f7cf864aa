"""Noise of the measured traces: what the analysis says, beside counting and averaging, and beside the authors' fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rtn_independent import TwoLevels, two_levels

from memprog.analysis.traces import read_traces
from memprog.jobs.noise import analyse_files
from memprog.report.noise import NoiseReport

TRACES = sorted((Path(__file__).parent / "data" / "rtn").glob("trace_*.npz"))
BIASES_V = (-0.15, -0.20, -0.25)
TAU0_S = (11.5e-3, 11.5e-3, 11.5e-3)
"""The authors' fit of the dwell time in the lower level at each bias; see data/rtn/SOURCES.txt."""
TAU1_S = (13.2e-3, 7.5e-3, 4.35e-3)
"""In the upper level."""
MOST_LIKELY_TAU1_S, ITS_ERROR_S = 11.5e-3, 0.6e-3
"""At -0.15 V, by maximum likelihood over all of the authors' traces."""


def counted(entry: dict[str, Any]) -> TwoLevels:
    """The independent estimate for one plateau of a report."""
    traces = read_traces(Path(entry["path"]))
    first = int(np.searchsorted(traces.time_s, entry["first_s"]))
    inside = slice(first, first + entry["samples"])
    current_a = np.abs(np.asarray(traces.current_a[0][inside], dtype=np.float64))
    return two_levels(current_a / abs(entry["bias_v"]) * 1e6, entry["interval_s"])


def within(value: float, estimate: dict[str, float]) -> bool:
    return estimate["low"] <= value <= estimate["high"]


@pytest.fixture(scope="module", params=(1, 3), ids=("one fluctuator", "up to three"))
def report(request: pytest.FixtureRequest) -> NoiseReport:
    return analyse_files(TRACES, most=request.param)


def test_one_trace_agrees_with_counting_and_averaging() -> None:
    plateaus = analyse_files(TRACES[:1], most=1).plateaus
    assert len(plateaus) == 3
    for entry in plateaus:
        found, largest = counted(entry), entry["fluctuators"][0]
        assert within(found.step, largest["step_usiemens"])
        assert within(found.occupancy, largest["occupancy"])


@pytest.mark.long
def test_nine_of_ten_steps_and_occupancies_agree_with_counting_and_averaging(report: NoiseReport) -> None:
    assert len(report.plateaus) == 30
    steps = occupancies = 0
    for entry in report.plateaus:
        found, largest = counted(entry), entry["fluctuators"][0]
        steps += within(found.step, largest["step_usiemens"])
        occupancies += within(found.occupancy, largest["occupancy"])
    assert steps >= 27
    assert occupancies >= 27


@pytest.mark.long
def test_steps_differ_from_averaged_jumps_by_a_thousandth_over_all_plateaus(report: NoiseReport) -> None:
    ratios = [
        entry["fluctuators"][0]["step_usiemens"]["value"] / counted(entry).step - 1.0 for entry in report.plateaus
    ]
    assert abs(np.mean(ratios)) < 0.002


@pytest.mark.long
def test_pooled_dwell_times_are_those_of_all_dwells_counted(report: NoiseReport) -> None:
    for pooled in report.pooled:
        group = [
            entry
            for entry in report.plateaus
            if abs(entry["bias_v"] - pooled["bias_v"]) < 0.01 and not entry["fluctuators"][0]["trouble"]
        ]
        assert pooled["traces"] == len(group) >= 9
        found = [counted(entry) for entry in group]
        interval_s, dwells = group[0]["interval_s"], sum(one.dwells for one in found) / 2.0
        # Dwells within one sample are not counted, a few per cent of them.
        assert pooled["tau_low_s"]["value"] == pytest.approx(
            sum(one.low for one in found) / dwells * interval_s, rel=0.1
        )
        assert pooled["tau_high_s"]["value"] == pytest.approx(
            sum(one.high for one in found) / dwells * interval_s, rel=0.1
        )


@pytest.mark.long
def test_a_trace_that_pauses_between_the_levels_is_left_out_of_the_pool(report: NoiseReport) -> None:
    # Trace 9 stays 43 samples at a third level, a sixth of the step up: one fluctuator reads it as rapid switching.
    troubled = [entry for entry in report.plateaus if entry["fluctuators"][0]["trouble"]]
    assert [(Path(entry["path"]).stem, round(entry["bias_v"], 2)) for entry in troubled] == [("trace_09", -0.15)]


@pytest.mark.long
def test_the_bias_moves_one_dwell_time_as_the_authors_found(report: NoiseReport) -> None:
    pooled = sorted(report.pooled, key=lambda entry: -entry["bias_v"])
    assert [entry["bias_v"] for entry in pooled] == pytest.approx(BIASES_V, rel=0.02)
    # Ten of the traces are here: they scatter by more than their intervals, and the fit is to all.
    for entry, tau0_s, tau1_s in zip(pooled, TAU0_S, TAU1_S, strict=True):
        assert entry["tau_low_s"]["value"] == pytest.approx(tau0_s, rel=0.3)
        assert entry["tau_high_s"]["value"] == pytest.approx(tau1_s, rel=0.3)
    slow = pooled[0]["tau_high_s"]
    assert slow["low"] < MOST_LIKELY_TAU1_S + 2.0 * ITS_ERROR_S
    assert slow["high"] > MOST_LIKELY_TAU1_S - 2.0 * ITS_ERROR_S
    assert not report.trends["tau_low"]["significant"]
    assert report.trends["tau_high"]["significant"]
    assert report.trends["tau_high"]["slope_per_v"]["high"] < 0.0
