"""Characterise: the plan is within the limits whatever they are, and what was measured is in the folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kills import Kill, account_of, check_at_kill, check_equal, run_killed, run_on
from loop_cases import Bench, make_bench, wear_of

from memprog.analysis.logs import BIAS_NAMES, read_pulse_log, read_sweep
from memprog.analysis.traces import read_traces
from memprog.chip import Bias
from memprog.errors import InputError, LimitError, StoppedError
from memprog.jobs.characterise import characterise
from memprog.jobs.places import spread_mask
from memprog.jobs.plan import Planner
from memprog.jobs.program import program
from memprog.jobs.pulse import Train, pulse
from memprog.jobs.restore import restore
from memprog.jobs.runs import runs
from memprog.profile import bundled_profile, profile_names
from memprog.report.characterise import CharacteriseReport

HEALTHY = {"simulation__stuck_high_fraction": 0.0, "simulation__stuck_low_fraction": 0.0}
BRIEF = {"protocol__passes": 1, "protocol__mop_up_passes": 1}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path / "bench", rows=8, columns=8, seed=4, **HEALTHY | BRIEF)


@pytest.fixture(autouse=True)
def _short_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memprog.jobs.characterise.TRACE_SAMPLES", 200)


def measure(bench: Bench, folder: Path, **options: Any) -> CharacteriseReport:
    return characterise(bench.workspace, **{"profile": bench.profile, "folder": folder, "count": 4} | options)


def test_everything_that_was_planned_is_in_the_folder(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "measured"
    report = measure(bench, folder)
    written = json.loads((folder / "characterise.json").read_text(encoding="utf-8"))
    assert written == report.to_dict()
    log, sweep = read_pulse_log(folder / "pulses.csv"), read_sweep(folder / "iv.csv")
    traces = read_traces(folder / "traces.npz")
    assert report.pulses_total == report.pulses_planned == log.pulses == 4 * report.pulses_per_cell
    assert 150 <= report.pulses_per_cell <= 300
    assert report.events == len(log)
    for name in ("pulses", "readings"):
        per_cell = sum(stage[name] for stage in report.plan)
        wanted = log.pulses if name == "pulses" else len(log) - log.pulses - 4  # the snapshot is no step of the plan
        assert 4 * per_cell == wanted
    assert len(sweep.read_v) == 4 * 10
    assert traces.current_a.shape == (4, 600)
    np.testing.assert_allclose(np.unique(traces.bias_v), [0.15, 0.2, 0.25])
    for one in report.files:
        assert hashlib.sha256((folder / one["name"]).read_bytes()).hexdigest() == one["sha256"]
    places = set(zip(log.cells.row.tolist(), log.cells.column.tolist(), strict=True))
    assert {tuple(place) for place in report.places} == places
    check_equal(bench)


def test_the_log_shows_how_cells_switch_end_at_the_gate_and_relax(bench: Bench, tmp_path: Path) -> None:
    measure(bench, tmp_path)
    log = read_pulse_log(tmp_path / "pulses.csv")
    names = np.array(BIAS_NAMES)[log.bias]
    assert set(names.tolist()) == {"READ", "SET", "RESET", "SUB_THRESHOLD"}
    strong = (names == "SET") & (log.amplitude_v > 2.12)
    assert np.corrcoef(log.gate_v[strong], log.readback_usiemens[strong])[0, 1] > 0.8
    deep = (names == "RESET") & (log.amplitude_v > 2.4)
    assert np.median(log.readback_usiemens[deep]) < 50.0
    assert log.readback_usiemens.max() > 3000.0
    assert len(np.unique(log.width_ns[names == "SET"])) >= 6
    assert np.ptp(log.time_s) > 200.0


@pytest.mark.long
def test_the_same_commands_give_the_same_files(tmp_path: Path) -> None:
    found = []
    for name in ("one", "other"):
        bench = make_bench(tmp_path / name, rows=8, columns=8, seed=4, **HEALTHY)
        found.append([one["sha256"] for one in measure(bench, tmp_path / name / "measured").files])
    assert found[0] == found[1]


@pytest.mark.parametrize("name", profile_names())
def test_the_plan_is_within_the_limits_of_every_profile(name: str) -> None:
    kind = bundled_profile(name)
    check_plan(kind, kind.limits)


tightening = st.fixed_dictionaries(
    {
        "set_max_v": st.floats(0.0, 2.5),
        "reset_max_v": st.floats(0.0, 2.6),
        "sub_threshold_max_v": st.floats(0.0, 1.8),
        "gate_max_v": st.floats(0.0, 5.0),
        "width_min_ns": st.integers(100, 2000),
        "width_max_ns": st.integers(2000, 100_000),
    }
)


@settings(max_examples=40)
@given(tightening)
def test_the_plan_is_within_any_tighter_limits(lower: dict[str, Any]) -> None:
    kind = bundled_profile("rao2023-11bit")
    check_plan(kind, dataclasses.replace(kind.limits, **lower))


def check_plan(kind: Any, limits: Any) -> None:
    most_v = {
        Bias.SET: limits.set_max_v,
        Bias.RESET: limits.reset_max_v,
        Bias.SUB_THRESHOLD: limits.sub_threshold_max_v,
    }
    shots = [step.shot for step in Planner(kind, limits).steps() if step.shot is not None]
    assert len(shots) <= kind.limits.pulses_per_cell_run
    for shot in shots:
        assert 0.0 <= shot.amplitude_v <= most_v[shot.bias]
        assert 0.0 <= shot.gate_v <= limits.gate_max_v
        assert limits.width_min_ns <= shot.width_ns <= limits.width_max_ns


@pytest.mark.parametrize("count", [1, 2, 7, 60, 64, 100])
def test_cells_are_spread_over_the_array(count: int) -> None:
    kind = bundled_profile("rao2023-11bit")
    mask = spread_mask(kind, count)
    assert mask.sum() == count
    if count >= 4:
        assert np.ptp(np.nonzero(mask)[0]) > 100
        assert np.ptp(np.nonzero(mask)[1]) > 100
    np.testing.assert_array_equal(mask, spread_mask(kind, count))


@pytest.mark.parametrize("shape", [(8, 8), (1, 8), (8, 1), (3, 40)])
def test_as_many_cells_are_chosen_as_there_are(shape: tuple[int, int]) -> None:
    kind = bundled_profile("rao2023-11bit")
    size = dataclasses.replace(kind.geometry, rows=shape[0], columns=shape[1])
    assert spread_mask(dataclasses.replace(kind, geometry=size), 1000).all()
    assert spread_mask(dataclasses.replace(kind, geometry=size), 5).sum() == 5


def test_a_dry_run_sends_nothing_and_makes_no_folder(bench: Bench, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in bench.workspace.folder.iterdir()}
    report = measure(bench, tmp_path / "measured", dry_run=True)
    assert (report.dry_run, report.pulses_total, report.files) == (True, 0, [])
    assert report.pulses_planned == 4 * report.pulses_per_cell
    assert {path.name: path.read_bytes() for path in bench.workspace.folder.iterdir()} == before
    assert not (tmp_path / "measured").exists()


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"limits": {"pulses_per_cell_run": 50}}, LimitError, "pulses to one cell in this run"),
        ({"array": 1}, InputError, "array 1 is not on the chip"),
        ({"count": 0}, InputError, "at least one is needed"),
        ({"count": None, "region": (0, 9, 0, 1)}, InputError, "is not inside"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_given(
    options: dict[str, Any], error: type[Exception], sentence: str, bench: Bench, tmp_path: Path
) -> None:
    with pytest.raises(error, match=sentence):
        measure(bench, tmp_path / "measured", **options)
    assert wear_of(bench).sum() == 0
    assert runs(bench.workspace).runs == []


def test_other_files_in_the_folder_are_not_overwritten(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "traces.npz").write_bytes(b"notes")
    with pytest.raises(InputError, match="would be lost"):
        measure(bench, tmp_path)
    assert (tmp_path / "traces.npz").read_bytes() == b"notes"
    assert wear_of(bench).sum() == 0


@pytest.mark.long
def test_an_image_needs_the_operators_word_and_can_be_restored(bench: Bench, tmp_path: Path) -> None:
    program(bench.workspace, profile=bench.profile, verify=False)
    with pytest.raises(LimitError, match="--yes lets its cells be moved"):
        measure(bench, tmp_path)
    measure(bench, tmp_path, yes=True)
    report = restore(bench.workspace, profile=bench.profile, yes=True, verify=False)
    assert (report.cells, report.image_sha256) == (4, bench.image.sha256)


def test_what_was_measured_before_the_pulses_were_used_up_is_kept(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(StoppedError, match="stopped after 100 pulses"):
        measure(bench, tmp_path, max_pulses=100)
    assert read_pulse_log(tmp_path / "pulses.csv").pulses == 100
    assert not (tmp_path / "characterise.json").exists()
    (run,) = runs(bench.workspace).runs
    assert (run["kind"], run["state"], run["pulses_total"]) == ("characterise", "stopped", 100)
    check_equal(bench)


def test_cells_that_conduct_too_much_are_left_out_of_what_would_be_too_much(bench: Bench, tmp_path: Path) -> None:
    report = measure(bench, tmp_path, limits={"cell_current_max_a": 0.006})
    assert report.pulses_total < report.pulses_planned
    assert read_pulse_log(tmp_path / "pulses.csv").pulses == report.pulses_total
    check_equal(bench)


@pytest.mark.long
def test_a_kill_loses_no_pulse(bench: Bench, tmp_path: Path) -> None:
    before, kill = account_of(bench), Kill("after journal intent", 60)
    words = ("characterise", "--cells", "4", "--out", str(tmp_path / "measured"))
    assert run_killed(bench, kill, *words)
    check_at_kill(bench, before)
    train, out_path = Train(bias=Bias.SET, amplitude_v=1.0), tmp_path / "l.csv"
    pulse(bench.workspace, profile=bench.profile, array=0, cells=((0, 0),), out_path=out_path, train=train)
    assert [run["state"] for run in runs(bench.workspace).runs] == ["finished", "stopped"]
    check_equal(bench)
    assert run_on(bench, "program", "--array", "--no-verify").code in {0, 1}
    check_equal(bench)
