"""Pulses at the operator's word: within limits, journalled, counted, logged, and never silently over an image."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kills import Kill, account_of, check_at_kill, check_equal, run_killed, run_on
from loop_cases import Bench, make_bench, random_targets, wear_of, write_targets

from memprog.analysis.logs import BIAS_NAMES, read_pulse_log
from memprog.chip import Bias
from memprog.cli import main
from memprog.errors import InputError, LimitError, StoppedError
from memprog.jobs.program import program
from memprog.jobs.progress import Progress
from memprog.jobs.pulse import Train, pulse
from memprog.jobs.read import read_conductances
from memprog.jobs.restore import restore
from memprog.jobs.runs import runs
from memprog.jobs.status import status
from memprog.report.pulse import PulseReport
from memprog.simchip import SimChip, summary_of

HEALTHY = {"simulation__stuck_high_fraction": 0.0, "simulation__stuck_low_fraction": 0.0}
BRIEF = {"protocol__passes": 1, "protocol__mop_up_passes": 1}
SET = Train(bias=Bias.SET, amplitude_v=1.9)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path / "bench", rows=8, columns=8, seed=4, **HEALTHY | BRIEF)


def give(bench: Bench, train: Train = SET, **options: Any) -> PulseReport:
    given_options = {"array": 0, "region": (0, 2, 0, 4), "out_path": bench.workspace.folder / "log.csv"} | options
    return pulse(bench.workspace, profile=bench.profile, train=train, **given_options)


def files_of(bench: Bench) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in bench.workspace.folder.iterdir()}


def test_each_cell_is_read_before_the_first_pulse_and_after_each(bench: Bench) -> None:
    report = give(bench, Train(bias=Bias.SET, amplitude_v=1.5, to_v=1.9, step_v=0.1, count=2))
    log = read_pulse_log(bench.workspace.folder / "log.csv")
    assert report.amplitudes_v == [1.5, 1.6, 1.7, 1.8, 1.9]
    assert (report.pulses_total, report.pulses_planned, report.events) == (80, 80, 88)
    assert (len(log), log.pulses) == (88, 80)
    names = [BIAS_NAMES[bias] for bias in log.bias.tolist()]
    assert names == ["READ"] * 8 + ["SET"] * 80
    np.testing.assert_allclose(log.amplitude_v[8:], np.repeat(report.amplitudes_v, 16), atol=0.001)
    assert (np.diff(log.time_s) >= 0).all()
    first, last = log.readback_usiemens[:8], log.readback_usiemens[-8:]
    assert (last > first + 100.0).all()
    assert report.readback_last_median_usiemens == pytest.approx(np.median(last), rel=1e-6)
    assert log.facts["chip"].endswith(", SIMULATED")
    assert log.facts["profile"].startswith("small ")


def test_log_says_what_the_converters_made_of_the_volts(bench: Bench) -> None:
    give(bench, dataclasses.replace(SET, amplitude_v=1.23456))
    amplitude_v = read_pulse_log(bench.workspace.folder / "log.csv").amplitude_v[-1]
    lsb_v = bench.kind.driver.amplitude_lsb_v
    assert 1.23456 - lsb_v <= amplitude_v <= 1.23456


def test_journal_record_and_chip_count_every_pulse(bench: Bench) -> None:
    report = give(bench, dataclasses.replace(SET, count=3))
    check_equal(bench)
    wear = wear_of(bench)
    assert (wear[:2, :4] == 3).all()
    assert wear.sum() == report.pulses_total == 24
    (run,) = runs(bench.workspace).runs
    assert (run["kind"], run["state"], run["pulses_total"], run["cells"]) == ("pulse", "finished", 24, 8)
    assert run["run_id"] == report.run_id


@pytest.mark.parametrize(
    ("train", "options", "sentence"),
    [
        (dataclasses.replace(SET, amplitude_v=2.6), {}, r"SET amplitude 2\.6 V is outside 0\.\.2\.5 V"),
        (dataclasses.replace(SET, to_v=2.6, step_v=0.1), {}, r"SET amplitude 2\.6 V is outside"),
        (dataclasses.replace(SET, gate_v=5.1), {}, r"gate 5\.1 V is outside"),
        (dataclasses.replace(SET, width_ns=99), {}, "pulse width 99 ns is outside"),
        (dataclasses.replace(SET, count=401), {}, "pulses to one cell in this run 401 is outside 0..400"),
        (SET, {"limits": {"set_max_v": 1.8}}, r"SET amplitude 1\.9 V is outside 0\.\.1\.8 V"),
        (SET, {"limits": {"set_max_v": 3.0}}, "wider than the profile's"),
        (SET, {"limits": {"pulses_per_cell_life": 0}}, "over its life 1 is outside 0..0"),
        (SET, {"limits": {"cell_current_max_a": 1e-6}}, "expected cell current .* A is outside"),
        (dataclasses.replace(SET, bias=Bias.FORM), {}, "forming is irreversible .* --allow-forming"),
        (dataclasses.replace(SET, bias=Bias.SUB_THRESHOLD), {}, r"SUB_THRESHOLD amplitude 1\.9 V"),
    ],
)
def test_what_is_beyond_a_limit_is_refused_before_anything_is_given(
    train: Train, options: dict[str, Any], sentence: str, bench: Bench
) -> None:
    for dry_run in (True, False):
        if dry_run and "cell_current_max_a" in options.get("limits", {}):
            continue  # what a cell conducts, only a reading tells
        with pytest.raises(LimitError, match=sentence) as refused:
            give(bench, train, dry_run=dry_run, **options)
        assert "\n" not in str(refused.value)
    assert wear_of(bench).sum() == 0
    assert runs(bench.workspace).runs == []
    assert not (bench.workspace.folder / "log.csv").exists()


trains = st.builds(
    Train,
    bias=st.sampled_from(list(Bias)),
    amplitude_v=st.floats(0.0, 5.5),
    gate_v=st.none() | st.floats(0.0, 5.5),
    width_ns=st.none() | st.integers(1, 200_000),
    count=st.integers(1, 4),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(train=trains, forming=st.booleans(), most=st.integers(1, 4))
def test_no_pulse_beyond_a_limit_reaches_the_chip(
    train: Train, forming: bool, most: int, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    plain = SimChip.pulse

    def watched(chip: SimChip, cells: Any, pulses: Any, batch_id: int) -> Any:
        sent.append(pulses)
        return plain(chip, cells, pulses, batch_id)

    before = wear_of(bench).sum()
    with monkeypatch.context() as patch:
        patch.setattr(SimChip, "pulse", watched)
        try:
            give(bench, train, allow_forming=forming, limits={"pulses_per_cell_run": most})
        except LimitError:
            assert wear_of(bench).sum() == before
    limits = bench.kind.limits
    most_v = {
        Bias.SET: limits.set_max_v,
        Bias.RESET: limits.reset_max_v,
        Bias.SUB_THRESHOLD: limits.sub_threshold_max_v,
        Bias.FORM: limits.form_max_v,
    }
    assert len(sent) <= most
    for pulses in sent:
        assert forming or train.bias is not Bias.FORM
        assert (pulses.amplitude_v <= most_v[train.bias]).all()
        assert (pulses.gate_v <= limits.gate_max_v).all()
        assert ((limits.width_min_ns <= pulses.width_ns) & (pulses.width_ns <= limits.width_max_ns)).all()


def test_a_cell_that_comes_to_conduct_too_much_is_held_back_and_the_others_go_on(bench: Bench) -> None:
    read_conductances(bench.workspace, profile=bench.profile, out_path=bench.workspace.folder / "g.npy")
    found = np.load(bench.workspace.folder / "g.npy")[0, :2, :4]
    limit_a = 1.9 * 1.3e-6 * float(found.max()) * 1.5
    report = give(bench, dataclasses.replace(SET, count=5), limits={"cell_current_max_a": limit_a})
    assert report.cells_held_back > 0
    assert 8 <= report.pulses_total < report.pulses_planned
    assert read_pulse_log(bench.workspace.folder / "log.csv").pulses == report.pulses_total
    check_equal(bench)


def test_a_dry_run_sends_nothing_and_writes_nothing(bench: Bench, tmp_path: Path) -> None:
    before = files_of(bench)
    report = give(bench, dry_run=True, out_path=None)
    assert (report.dry_run, report.pulses_planned, report.pulses_total, report.path) == (True, 8, 0, None)
    words = ["--cell", "0,0", "--bias", "set", "--amplitude", "1.2", "--dry-run"]
    where = [
        "--out",
        str(tmp_path / "new" / "l.csv"),
        "--workspace",
        str(bench.workspace.folder),
        "--profile",
        bench.profile,
    ]
    assert main(["pulse", "--array", "0", *words, *where]) == 0
    assert files_of(bench) == before
    assert not (tmp_path / "new").exists()


def test_a_chip_that_holds_an_image_is_pulsed_only_on_the_operators_word_and_holds_none_then(bench: Bench) -> None:
    program(bench.workspace, profile=bench.profile, verify=False)
    before, wear = files_of(bench), wear_of(bench).sum()
    with pytest.raises(LimitError, match=f"holds image {bench.image.sha256[:8]}; --yes lets its cells be moved"):
        give(bench)
    with pytest.raises(LimitError, match="--yes"):
        give(bench, dry_run=True)
    assert wear_of(bench).sum() == wear
    assert files_of(bench).keys() == before.keys()
    assert status(bench.workspace).next_step.startswith("verify")
    give(bench, yes=True)
    assert status(bench.workspace).next_step == "program the chip: memprog program --array"
    give(bench)
    other = random_targets(bench.kind.levels, (1, 8, 8), 77)
    write_targets(bench.workspace.image_path, bench.kind, other)
    program(bench.workspace, profile=bench.profile, verify=False)
    check_equal(bench)


def test_restore_brings_back_what_the_cells_held_before_the_pulses(bench: Bench) -> None:
    program(bench.workspace, profile=bench.profile, verify=False)
    give(bench, yes=True)
    log = read_pulse_log(bench.workspace.folder / "log.csv")
    report = restore(bench.workspace, profile=bench.profile, yes=True, verify=False)
    assert (report.cells, report.image_sha256) == (8, bench.image.sha256)
    read_conductances(bench.workspace, profile=bench.profile, out_path=bench.workspace.folder / "g.npy")
    held = np.load(bench.workspace.folder / "g.npy")[0, :2, :4].ravel()
    assert (np.abs(held - log.readback_usiemens[:8]) < 3.0).mean() > 0.7


def test_a_run_that_can_be_taken_up_is_given_up_only_on_the_operators_word(bench: Bench) -> None:
    with pytest.raises(StoppedError):
        program(bench.workspace, profile=bench.profile, max_pulses=300)
    with pytest.raises(LimitError, match="is unfinished; `memprog program --resume` takes it up, --yes gives it up"):
        give(bench)
    give(bench, yes=True)
    assert [run["state"] for run in runs(bench.workspace).runs] == ["finished", "superseded"]
    with pytest.raises(InputError, match="has no unfinished run"):
        program(bench.workspace, profile=bench.profile, resume=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"array": 1}, "array 1 is not on the chip"),
        ({"region": (0, 9, 0, 1)}, "is not inside an array of 8 x 8"),
        ({"region": None, "cells": ((8, 0),)}, "cell 8,0 is not inside"),
        ({"cells": ((0, 0),)}, "exclude each other"),
        ({"out_path": Path("log.txt")}, r"log\.txt: a pulse log is written as \.csv"),
        ({"out_path": None}, "needs a file"),
    ],
)
def test_places_and_names_that_cannot_be_are_refused(options: dict[str, Any], sentence: str, bench: Bench) -> None:
    with pytest.raises(InputError, match=sentence):
        give(bench, **options)
    assert wear_of(bench).sum() == 0


@pytest.mark.parametrize(
    ("ramp", "sentence"),
    [
        ({"to_v": 1.0, "step_v": 0.1}, "no ramp leads from 1.9 V to 1 V"),
        ({"to_v": 2.0, "step_v": 0.0}, "in steps of 0 V"),
        ({"to_v": 2.0}, "both its end and its step"),
        ({"to_v": 2.0, "step_v": 1e-9}, "no ramp leads"),
        ({"count": 0}, "0 pulses asked for"),
    ],
)
def test_ramps_that_lead_nowhere_are_refused(ramp: dict[str, Any], sentence: str, bench: Bench) -> None:
    with pytest.raises(InputError, match=sentence):
        give(bench, dataclasses.replace(SET, **ramp))


def test_a_file_that_is_no_text_is_not_overwritten(bench: Bench) -> None:
    path = bench.workspace.folder / "log.csv"
    path.write_bytes(b"\x00weights")
    with pytest.raises(InputError, match="would be lost"):
        give(bench)
    assert (path.read_bytes(), wear_of(bench).sum()) == (b"\x00weights", 0)


def test_what_was_measured_before_the_run_was_stopped_is_kept(bench: Bench) -> None:
    def stop(progress: Progress) -> None:
        if progress.kind == "round" and progress.rounds == 3:
            raise StoppedError("enough")

    with pytest.raises(StoppedError, match="enough") as stopped:
        give(bench, dataclasses.replace(SET, count=9), listener=stop)
    (run,) = runs(bench.workspace).runs
    assert (run["state"], run["pulses_total"]) == ("stopped", 24)
    assert f"what run {run['run_id']} measured until then is in" in stopped.value.__notes__[0]
    assert read_pulse_log(bench.workspace.folder / "log.csv").pulses == 24
    assert status(bench.workspace).next_step == "program the chip: memprog program --array"
    check_equal(bench)
    give(bench)


WORDS = ("--array", "0", "--region", "0:2,0:4", "--bias", "SET", "--amplitude", "1.9", "--count", "9")


KILLS = [Kill("after chip slot", 9)]
MORE_KILLS = [
    Kill("after journal intent", 5),
    Kill("after journal run", 1),
    Kill("before journal intent", 1),
    Kill("inside chip slot", 8),
    Kill("before journal outcome", 8),
    Kill("after journal outcome", 12),
    Kill("before journal end", 1),
    Kill("inside file", 1),
]


@pytest.mark.parametrize(
    "kill", [*KILLS, *(pytest.param(kill, marks=pytest.mark.long) for kill in MORE_KILLS)], ids=str
)
def test_a_kill_loses_no_pulse_and_the_image_is_known_to_be_gone(kill: Kill, bench: Bench) -> None:
    program(bench.workspace, profile=bench.profile, verify=False)
    before = account_of(bench)
    out = str(bench.workspace.folder / "log.csv")
    assert run_killed(bench, kill, "pulse", *WORDS, "--yes", "--out", out)
    check_at_kill(bench, before)
    given = summary_of(bench.workspace.chip_path).pulses > before.wear.sum()
    write_targets(bench.workspace.image_path, bench.kind, random_targets(bench.kind.levels, (1, 8, 8), 77))
    again = run_on(bench, "pulse", *WORDS, "--out", out)
    assert again.code in ({0} if given else {0, 5}), again.err
    states = [run["state"] for run in runs(bench.workspace).runs]
    assert "running" not in states
    assert states[-1] == "finished"
    assert "stopped" in states
    check_equal(bench)
    assert run_on(bench, "program", "--array", "--no-verify", "--yes").code in {0, 1}
    check_equal(bench)
