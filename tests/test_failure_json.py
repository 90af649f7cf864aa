"""A command that ends without a result says so to programs, too: one object, or the last event of the feed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sample_reports as samples
from holding import memprog, on, small_bench
from loop_cases import Bench

from memprog.cli import main
from memprog.errors import InputError, InstrumentError, LimitError, StoppedError
from memprog.report.failure import KINDS


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return small_bench(tmp_path / "bench", rows=8, columns=8)


def test_a_run_that_stops_early_says_how_far_it_came_and_the_way_on(bench: Bench) -> None:
    stopped = memprog(*on(bench, "program", "--array", "--max-pulses", "500", "--format", "json", "--quiet"))
    assert stopped.code == 6
    fields = json.loads(stopped.out)
    assert set(fields) == {"schema_version", "memprog_version", "error", "run", "provenance"}
    error, run = fields["error"], fields["run"]
    assert (error["exit_code"], error["kind"]) == (6, "stopped")
    assert error["message"] in stopped.err
    assert any("memprog program --resume" in way for way in error["way_on"])
    listed = memprog(*on(bench, "runs", "--format", "json")).fields["runs"][0]
    assert (run["run_id"], run["cells"]) == (listed["run_id"], 64)
    assert run["pulses_per_cell"] * 64 == pytest.approx(listed["pulses_total"])
    assert 0.0 <= run["fraction"] < 1.0


def test_the_feed_of_a_run_that_stops_early_ends_with_the_error(bench: Bench) -> None:
    stopped = memprog(*on(bench, "program", "--array", "--max-pulses", "500", "--format", "jsonl", "--quiet"))
    *rounds, last_round, error = [json.loads(line) for line in stopped.out.splitlines()]
    assert {event["event"] for event in rounds} == {"round"}
    assert (last_round["event"], error["event"]) == ("stopped", "error")
    assert last_round["run_id"] == rounds[0]["run_id"] == error["run"]["run_id"]


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (InputError("bad"), 3),
        (OSError(28, "full"), 3),
        (InstrumentError("bad"), 4),
        (LimitError("bad"), 5),
        (StoppedError("bad"), 6),
        (RuntimeError("bad"), 70),
        (KeyboardInterrupt(), 130),
    ],
    ids=["input", "system", "instrument", "limit", "stopped", "internal", "interrupted"],
)
def test_every_ending_without_a_result_is_an_object(
    ending: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise ending

    monkeypatch.setattr("memprog.jobs.status.status", fail)
    assert main(["status", "--format", "json"]) == code
    out, err = capsys.readouterr()
    fields = json.loads(out)
    assert fields["error"] | {"message": ""} == {
        "exit_code": code,
        "kind": KINDS[code],
        "message": "",
        "way_on": [],
    }
    assert fields["error"]["message"] in err
    assert fields["run"] is None
    assert fields["provenance"]["argv"] == ["memprog", "status", "--format", "json"]


def test_so_is_a_configuration_that_cannot_be_used_and_what_does_not_go_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["program", "--resume", "--full", "--format", "json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "usage"
    monkeypatch.setenv("MEMPROG_WORKSPAC", "here")
    assert main(["status", "--format", "json"]) == 3
    assert "MEMPROG_WORKSPAC" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_a_result_that_was_printed_stands_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise InputError("junit.xml: cannot be written")

    monkeypatch.setattr("memprog.jobs.verify.verify", lambda *_, **__: samples.verify_report())
    monkeypatch.setattr("memprog.cli.junit.JUnitFile.write", fail)
    assert main(["verify", "--format", "json", "--quiet"]) == 3
    assert set(json.loads(capsys.readouterr().out)) >= {"cells_in_window"}


def test_text_for_people_stays_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--image", "nowhere"]) == 3
    assert capsys.readouterr().out == ""
