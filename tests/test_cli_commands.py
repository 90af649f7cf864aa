"""Each command turns its options into one call, and the answer into text, JSON or a feed."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sample_reports as samples

from memprog.cli import main
from memprog.jobs.progress import Progress

PROFILE_DEFAULT = "rao2023-11bit"


class Job:
    """Records how it was called and answers with a report."""

    def __init__(self, answer: Any, events: tuple[Progress, ...] = ()) -> None:
        self.answer, self.events = answer, events
        self.args: tuple[Any, ...] = ()
        self.keywords: dict[str, Any] = {}

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        self.args, self.keywords = args, keywords
        for event in self.events:
            keywords["listener"](event)
        return self.answer


Stub = Callable[..., Job]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stub:
    """Replace one function of memprog.jobs, in a workspace of its own."""
    monkeypatch.setenv("MEMPROG_WORKSPACE", str(tmp_path / "workspace"))

    def replace(name: str, answer: Any, events: tuple[Progress, ...] = ()) -> Job:
        job = Job(answer, events)
        monkeypatch.setattr(f"memprog.jobs.{name}", job)
        return job

    return replace


def progress(kind: str, **changes: Any) -> Progress:
    fields: dict[str, Any] = {
        "kind": kind,
        "array": 0,
        "arrays": 1,
        "stage": "coarse",
        "cells": 64,
        "cells_done": 32,
        "cells_failed": 0,
        "rounds": 3,
        "pulses_per_cell": 1.5,
        "chip_time_s": 0.5,
        "host_time_s": 10.0,
        "fraction": 0.5,
    }
    return Progress(**fields | changes)


PULSE = ["pulse", "--array", "0", "--cell", "1,2", "--bias", "SET", "--amplitude", "1.2", "--out", "log.csv"]
COMMANDS = [
    (["program", "--array"], "program.program", samples.program_report()),
    (["verify"], "verify.verify", samples.verify_report()),
    (["read", "--out", "g.npy"], "read.read_conductances", samples.read_report()),
    (PULSE, "pulse.pulse", samples.pulse_report()),
    (["characterise", "--out", "measured"], "characterise.characterise", samples.characterise_report()),
    (["iv", "--array", "0", "--out", "iv.csv"], "sensing.iv", samples.iv_report()),
    (["trace", "--array", "0", "--out", "t.npz"], "sensing.trace", samples.trace_report()),
    (["export", "--out", "w.npy"], "export_chip.export", samples.export_report()),
    (["info"], "chips.chip_report", samples.chip_report()),
    (["sim", "new"], "chips.new_chip", samples.chip_report()),
    (["demo"], "demo.demo", samples.demo_report()),
]
each_on_a_chip = pytest.mark.parametrize(("words", "name", "answer"), COMMANDS, ids=[" ".join(c[0]) for c in COMMANDS])


@each_on_a_chip
def test_simulated_is_said_in_text_and_beside_it(
    words: list[str], name: str, answer: Any, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub(name, answer)
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "SIMULATED" in out
    assert err == "SIMULATED: no silicon was involved.\n"
    assert out.isascii()


@each_on_a_chip
def test_json_is_the_report_and_nothing_else(
    words: list[str], name: str, answer: Any, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub(name, answer)
    assert main([*words, "--format", "json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    fields = json.loads(out)
    assert fields.pop("provenance")["argv"] == ["memprog", *words, "--format", "json", "--quiet"]
    assert fields == answer.to_dict()
    assert err == ""


@each_on_a_chip
def test_the_feed_ends_with_the_report_as_summary(
    words: list[str], name: str, answer: Any, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub(name, answer)
    assert main([*words, "--format", "jsonl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    summary = json.loads(lines[-1])
    assert summary.pop("provenance")["configuration"]["format"] == {"value": "jsonl", "origin": "command line"}
    assert summary == {"event": "summary", **answer.to_dict()}


def test_program_hands_over_its_defaults(stub: Stub, tmp_path: Path) -> None:
    job = stub("program.program", samples.program_report())
    assert main(["program", "--array"]) == 0
    assert job.args[0].folder == tmp_path / "workspace"
    assert callable(job.keywords.pop("listener"))
    caller = job.keywords.pop("caller")
    assert caller.argv == ("memprog", "program", "--array")
    assert caller.configuration["denoise"] == {"value": True, "origin": "default"}
    assert job.keywords == {
        "arrays": None,
        "region": None,
        "cells": None,
        "denoise": None,
        "dry_run": False,
        "verify": True,
        "min_yield": None,
        "yes": False,
        "resume": False,
        "full": False,
        "recheck": False,
        "max_time_s": None,
        "max_pulses": None,
        "limits": {},
        "timeout_s": 0.0,
        "backend": "sim",
        "profile": None,
        "expect_serial": None,
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--array", "2"], {"arrays": (2,)}),
        (["--array=2,0,2"], {"arrays": (0, 2)}),
        (["--array", "all"], {"arrays": None}),
        (["--array", "--dry-run"], {"arrays": None, "dry_run": True}),
        (["--array", "1", "--region", "0:4,2:8"], {"arrays": (1,), "region": (0, 4, 2, 8)}),
        (["--array", "0", "--cell", "1,2", "--cell", "3,4"], {"cells": ((1, 2), (3, 4))}),
        (["--array", "--no-denoise", "--no-verify", "--yes"], {"denoise": False, "verify": False, "yes": True}),
        (["--array", "--min-yield", "0.5"], {"min_yield": 0.5}),
        (["--array", "--backend", "board", "--profile", "p.yaml"], {"backend": "board", "profile": "p.yaml"}),
        (["--array", "--expect-serial", "SIM-7"], {"expect_serial": "SIM-7"}),
        (["--resume"], {"arrays": None, "resume": True, "full": False}),
        (["--resume", "--array", "1"], {"arrays": (1,), "resume": True}),
        (["--array", "--full", "--recheck"], {"full": True, "recheck": True, "resume": False}),
        (["--array", "--max-time", "90"], {"max_time_s": 90.0}),
        (["--array", "--max-time", "1.5min"], {"max_time_s": 90.0}),
        (["--array", "--max-time", "2h"], {"max_time_s": 7200.0}),
        (["--array", "--max-time=0.5s", "--max-pulses", "5000"], {"max_time_s": 0.5, "max_pulses": 5000}),
        (
            ["--array", "--limit", "set_max_v=2", "--limit", "width_max_ns=1e3"],
            {"limits": {"set_max_v": 2.0, "width_max_ns": 1000.0}},
        ),
        (["--array", "--timeout", "2.5"], {"timeout_s": 2.5}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_program_options_reach_the_job(words: list[str], expected: dict[str, Any], stub: Stub) -> None:
    job = stub("program.program", samples.program_report())
    assert main(["program", *words]) == 0
    assert {key: job.keywords[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say what to program: --array for all arrays"),
        (["--region", "0:4,0:4"], "say what to program"),
        (["--array", "--region", "0:4,0:4"], "places inside one array"),
        (["--array", "0,1", "--cell", "0,0"], "places inside one array"),
        (["--array", "0", "--cell", "0,0", "--region", "0:1,0:1"], "exclude each other"),
        (["--array", "first"], "'first' is not an array number"),
        (["--array", "-1"], "No such option"),
        (["--array", "0", "--region", "4:4,0:4"], "holds no cell"),
        (["--array", "0", "--region", "0-4,0-4"], "is not rows and columns"),
        (["--array", "0", "--cell", "1"], "is not a row and a column"),
        (["--array", "--min-yield", "nan"], "not a finite number"),
        (["--array", "--min-yield", "95"], "not a share from 0 to 1"),
        (["image.safetensors", "--array"], "unexpected extra argument"),
        (["--resume", "--full", "--array"], "--resume and --full exclude each other"),
        (["--resume", "--region", "0:4,0:4"], "say what to program"),
        (["--array", "--max-time", "0"], "'0' is not a time such as 90, 90s, 10min or 2h"),
        (["--array", "--max-time", "2d"], "'2d' is not a time"),
        (["--array", "--max-time", "nans"], "'nans' is not a time"),
        (["--array", "--max-pulses", "0"], "'0' is not a number of pulses"),
        (["--array", "--limit", "set_max_v"], "'set_max_v' is not a limit such as set_max_v=2.0"),
        (["--array", "--limit", "set_max_v=inf"], "not a finite number"),
        (["--array", "--limit", "set_max_v=1", "--limit", "set_max_v=2"], "set_max_v is given twice"),
        (["--array", "--timeout=-1"], "must not be below 0"),
        (["--array", "--profile", ""], "it is empty"),
        (["--array", "--workspace", ""], "it is empty"),
        (["--array", "--config", "no-such-file"], "does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_program_refuses_what_is_unclear_before_any_call(
    words: list[str], sentence: str, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    job = stub("program.program", samples.program_report())
    assert main(["program", *words]) == 2
    assert sentence in capsys.readouterr().err
    assert job.args == ()


@pytest.mark.parametrize(
    ("words", "name", "answer"),
    [
        (["program", "--array"], "program.program", samples.program_report(passed=False)),
        (["verify"], "verify.verify", samples.verify_report(passed=False)),
    ],
)
def test_too_low_a_yield_is_exit_code_1_with_the_report_printed(
    words: list[str], name: str, answer: Any, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub(name, answer)
    assert main([*words, "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False


def test_verify_options_reach_the_job(stub: Stub) -> None:
    job = stub("verify.verify", samples.verify_report())
    assert main(["verify", "--array", "0", "--window", "2.5", "--min-yield", "1"]) == 0
    assert job.keywords["arrays"] == (0,)
    assert job.keywords["window_usiemens"] == 2.5
    assert job.keywords["min_yield"] == 1.0
    assert job.keywords["argv"][:2] == ("memprog", "verify")


@pytest.mark.parametrize("window", ["0", "-1", "inf", "nan", "wide"])
def test_a_window_that_is_none_is_refused(window: str, stub: Stub) -> None:
    stub("verify.verify", samples.verify_report())
    assert main(["verify", f"--window={window}"]) == 2


def test_verify_text_says_yield_errors_noise_and_which_cells_fail(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub("verify.verify", samples.verify_report())
    main(["verify"])
    text = re.sub(" +", " ", capsys.readouterr().out)
    assert "yield 98.44 % (passed; at least 90.00 % is needed)" in text
    assert "cells in window 63 of 64" in text
    assert "window +-1 uS (floor 0.2 uS)" in text
    assert "error mean 0.01 uS, deviation 0.3 uS, largest 2.5 uS" in text
    assert "noise median 0.1 uS, 99 % below 0.4 uS, seen over 2 s" in text
    assert "stuck low 0 3 4 100.00 - - 0.50" in text


def test_a_yield_just_below_all_is_not_rounded_up(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub("verify.verify", samples.verify_report(yield_fraction=0.999999))
    main(["verify"])
    assert "100.00 %" not in capsys.readouterr().out


def test_program_text_has_the_verify_after_the_run(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub("program.program", samples.program_report(arrays=[samples.array_row(0), samples.array_row(1)]))
    main(["program", "--array"])
    text = re.sub(" +", " ", capsys.readouterr().out)
    assert "cells 64 in array(s) 0, 1" in text
    assert "failed 1 (stuck low 1)" in text
    assert "verify, by fresh reads:\nchip SIMULATED" in text


def test_a_dry_run_says_that_it_was_one(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = dict.fromkeys(samples.CHIP)
    stub("program.program", samples.program_report(dry_run=True, verify=None, cells_done=0, chip=nobody))
    assert main(["program", "--array", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "dry run: nothing was sent that changes the chip" in out
    assert "none was opened" in out
    assert "failed" not in out


def test_load_weights_hands_over_profile_image_and_patterns(
    stub: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = stub("load.load_weights", samples.load_report())
    weights = tmp_path / "w.npy"
    weights.touch()
    image = tmp_path / "other.image"
    words = ["load-weights", str(weights), "--only", "fc*", "--skip", "b", "--skip", "c", "--image", str(image)]
    assert main(words) == 0
    assert job.args == (weights,)
    assert job.keywords.pop("profile").name == PROFILE_DEFAULT
    assert job.keywords == {"image_path": image, "only": ("fc*",), "skip": ("b", "c")}
    out = capsys.readouterr().out
    text = re.sub(" +", " ", out)
    assert "fc1 4 x 4 array 0 at 0,8 0.0001 to 0.0002 0.10 % 0.20 % 0.00 %" in text
    assert "2 tiles, 2 arrays 0 to 1" in text
    assert "arrays 2 of 4 used, 50.00 % full" in text
    assert "\x1b" not in out


def test_read_and_export_hand_over_the_file(stub: Stub) -> None:
    reading = stub("read.read_conductances", samples.read_report())
    exporting = stub("export_chip.export", samples.export_report())
    assert main(["read", "-o", "g.csv", "--array", "1"]) == 0
    assert main(["export", "-o", "w.npy"]) == 0
    assert (reading.keywords["out_path"], reading.keywords["arrays"]) == (Path("g.csv"), (1,))
    assert exporting.keywords["out_path"] == Path("w.npy")
    assert main(["read"]) == 2
    assert main(["export"]) == 2


@pytest.mark.parametrize("words", [["read", "-o", "g.csv"], ["info"]], ids=" ".join)
def test_an_image_that_would_be_ignored_is_refused(
    words: list[str], stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--image", "x"]) == 2
    assert "No such option" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["sim", "new"], ["load-weights", __file__]], ids=lambda words: words[0])
def test_an_empty_profile_is_refused_and_not_the_default(
    words: list[str], stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--profile", ""]) == 2
    assert "'--profile': it is empty" in capsys.readouterr().err


def test_sim_new_hands_over_seed_arrays_and_force(stub: Stub) -> None:
    job = stub("chips.new_chip", samples.chip_report())
    assert main(["sim", "new"]) == 0
    assert job.keywords == {"profile": PROFILE_DEFAULT, "seed": 0, "arrays": None, "force": False}
    assert main(["sim", "new", "--seed", "7", "--arrays", "2", "--profile", "p", "--force"]) == 0
    assert job.keywords == {"profile": "p", "seed": 7, "arrays": 2, "force": True}
    assert main(["sim", "new", "--seed", "-1"]) == 2


def test_sim_age_hands_over_hours_and_temperature(stub: Stub) -> None:
    job = stub("aging.age_chip", samples.chip_report())
    assert main(["sim", "age", "--hours", "24", "--temperature", "85"]) == 0
    assert (job.keywords["hours"], job.keywords["celsius"]) == (24.0, 85.0)
    assert main(["sim", "age", "--hours", "0.5"]) == 0
    assert (job.keywords["hours"], job.keywords["celsius"]) == (0.5, None)
    assert main(["sim", "age"]) == 2
    assert main(["sim", "age", "--hours", "nan"]) == 2


def test_status_names_what_is_there_and_the_next_step(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub("status.status", samples.status_report())
    assert main(["status"]) == 0
    text = re.sub(" +", " ", capsys.readouterr().out)
    assert "chip none" in text
    assert "next Type: memprog program --array" in text
    assert "sha256 aaaaaaaaaaaa," in text


@pytest.mark.parametrize("what", ["backends", "profiles"])
def test_list_prints_a_table_or_json(what: str, stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"name": "sim", "bits": None, "sha256": "a" * 64, "description": "not silicon"}
    stub(f"chips.list_{what}", [entry])
    assert main(["list", what]) == 0
    assert capsys.readouterr().out == "name  bits\nsim      -\n\nsim  not silicon\n"
    assert main(["list", what, "--format", "json"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert fields["schema_version"] == 1
    assert fields[what] == [entry]


def test_list_without_a_kind_names_the_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 2
    assert "profiles" in capsys.readouterr().err


def test_the_feed_reports_events_as_they_happen(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    events = (progress("round"), progress("warning", message="warm"), progress("array_done", chip_time_s=float("nan")))
    stub("verify.verify", samples.verify_report(), events)
    assert main(["verify", "--format", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["round", "warning", "array_done", "summary"]
    assert lines[0]["cells_done"] == 32
    assert lines[1]["message"] == "warm"
    assert lines[2]["chip_time_s"] is None


def test_progress_and_warnings_go_beside_the_result(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub("verify.verify", samples.verify_report(), (progress("stage"), progress("warning", message="warm")))
    assert main(["verify", "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["cells"] == 64
    assert err.splitlines()[0].startswith("0:10 left, array 0 coarse, 32/64 cells done")
    assert err.splitlines()[1] == "Warning: warm"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--progress", "none"], ["Warning: warm", "SIMULATED: no silicon was involved."]),
        (["--quiet"], []),
    ],
)
def test_progress_can_be_left_out(
    words: list[str], expected: list[str], stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub("verify.verify", samples.verify_report(), (progress("stage"), progress("warning", message="warm")))
    assert main(["verify", *words]) == 0
    assert capsys.readouterr().err.splitlines() == expected


def test_the_log_file_tells_what_was_run(stub: Stub, tmp_path: Path) -> None:
    stub("status.status", samples.status_report())
    log = tmp_path / "log.txt"
    assert main(["status", "--log-file", str(log)]) == 0
    assert "started as: memprog status --log-file" in log.read_text(encoding="utf-8")


def test_a_log_file_that_cannot_be_written_is_exit_code_3(
    stub: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = stub("status.status", samples.status_report())
    assert main(["status", "--log-file", str(tmp_path / "missing" / "log.txt")]) == 3
    assert "No such file or directory" in capsys.readouterr().err
    assert job.args == ()
    assert logging.getLogger("memprog").handlers == []


@pytest.mark.parametrize(("words", "expected"), [(["-v"], "started as:"), ([], "")])
def test_verbose_logs_to_standard_error(
    words: list[str], expected: str, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub("status.status", samples.status_report())
    assert main(["status", *words]) == 0
    err = capsys.readouterr().err
    assert expected in err
    assert bool(expected) == bool(err)
