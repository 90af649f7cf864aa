"""A verify as JUnit XML: differs is a failure, could not check an error, and the file parses whatever it names."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import sample_reports as samples
from hypothesis import given
from hypothesis import strategies as st
from loop_cases import make_bench

import memprog
from memprog.cli import main
from memprog.errors import ChipFileError, InstrumentError, LimitError, StoppedError
from memprog.jobs.verify import verify
from memprog.report.junit import junit_error, junit_report

Run = Callable[..., int]
HOSTILE = "\x00\x1b[2J<\"&'>]]>\udcff\ufffe\u2028 ü𝛀"
VERIFIED = {"verify": "verify.verify", "program": "program.program"}


def suite(data: bytes) -> ElementTree.Element:
    """The one suite in a file."""
    root = ElementTree.fromstring(data)
    assert root.tag == "testsuites"
    (only,) = root
    return only


def properties(one: ElementTree.Element) -> dict[str, str | None]:
    return {str(found.get("name")): found.get("value") for found in one.iter("property")}


def report(**changes: Any) -> bytes:
    return junit_report(samples.verify_report(**changes).to_dict())


def test_an_array_that_passes_is_a_test_without_a_failure() -> None:
    found = suite(report())
    assert [found.get(key) for key in ("name", "tests", "failures", "errors")] == ["tiny SIM-7", "2", "0", "0"]
    whole, case = found.iter("testcase")
    assert (whole.get("classname"), whole.get("name"), list(whole)) == ("memprog.verify", "all arrays", [])
    assert (case.get("classname"), case.get("name"), list(case)) == ("memprog.verify", "array 0", [])


def test_only_the_array_below_the_least_yield_fails_with_numbers_and_cells() -> None:
    arrays = [samples.verified_row(0, 32), samples.verified_row(1), samples.verified_row(7, 57)]
    found = suite(report(arrays=arrays, passed=False))
    assert [found.get(key) for key in ("tests", "failures", "errors")] == ["4", "3", "0"]
    cases = {str(case.get("name")): case.findall("failure") for case in found.iter("testcase")}
    assert {name: len(failures) for name, failures in cases.items()} == {
        "all arrays": 1,
        "array 0": 1,
        "array 1": 0,
        "array 7": 1,
    }
    (failure,) = cases["array 0"]
    assert "32 of 64 cells are in the window of +-1 uS, a yield of 0.500000; 0.9 is needed" in str(
        failure.get("message")
    )
    assert "row 3, column 4: target 100.00 uS, readback -, stuck low" in str(failure.text)
    assert "row 3" not in str(cases["array 7"][0].text)


def test_an_array_that_falls_short_while_the_whole_passes_only_says_so() -> None:
    found = suite(report(arrays=[samples.verified_row(0, 10), samples.verified_row(1)], passed=True))
    assert [found.get(key) for key in ("tests", "failures", "errors")] == ["3", "0", "0"]
    assert not list(found.iter("failure"))
    said = {str(case.get("name")): case.findtext("system-out") for case in found.iter("testcase")}
    assert (said["all arrays"], said["array 1"]) == (None, None)
    assert "10 of 64 cells are in the window" in str(said["array 0"])


def test_the_test_of_all_arrays_fails_with_the_verify_though_each_array_passes() -> None:
    found = suite(report(arrays=[samples.verified_row(0)], passed=False))
    failed = {str(case.get("name")) for case in found.iter("testcase") if case.find("failure") is not None}
    assert (failed, found.get("failures")) == ({"all arrays"}, "1")


def test_it_says_what_was_verified_by_what() -> None:
    assert properties(suite(report())) == {
        "simulated": "true",
        "serial": "SIM-7",
        "image_sha256": "i" * 64,
        "profile": "tiny",
        "memprog_version": memprog.__version__,
        "argv": "memprog verify",
    }


def test_an_error_is_one_test_with_the_sentence() -> None:
    found = suite(junit_error("the link was lost", "InstrumentError", ("memprog", "verify")))
    assert [found.get(key) for key in ("tests", "failures", "errors")] == ["1", "0", "1"]
    (error,) = found.iter("error")
    assert (error.get("message"), error.get("type"), error.text) == (
        "the link was lost",
        "InstrumentError",
        "the link was lost",
    )


def test_hostile_names_stay_inside_their_attributes() -> None:
    chip = {**samples.CHIP, "serial": HOSTILE}
    failure = {**samples.FAILURE, "reason": HOSTILE}
    arrays = [samples.verified_row(0, 1)]
    found = suite(
        report(chip=chip, profile=HOSTILE, argv=(HOSTILE,), arrays=arrays, first_failures=[failure], passed=False)
    )
    kept = "[2J<\"&'>]]>\u2028 ü𝛀"
    assert properties(found)["serial"] == properties(found)["argv"] == kept
    assert found.get("name") == f"{kept} {kept}"
    assert next(iter(found.iter("failure"))).text.endswith(kept)  # type: ignore[union-attr]


@given(st.text())
def test_any_text_gives_a_file_that_parses(text: str) -> None:
    (error,) = suite(junit_error(text, text, (text,))).iter("error")
    letters = [letter for letter in text if letter.isprintable()]
    assert [letter for letter in str(error.get("message")) if letter.isprintable()] == letters
    assert suite(report(profile=text, argv=(text,))).get("tests") == "2"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command whose job answers with a report, or ends with an error."""

    def run(ending: Any, *words: str) -> int:
        def job(*_: Any, **__: Any) -> Any:
            if isinstance(ending, BaseException):
                raise ending
            return ending

        monkeypatch.setattr(f"memprog.jobs.{VERIFIED[words[0]]}", job)
        return main([*words, "--workspace", str(tmp_path / "workspace")])

    return run


@pytest.mark.parametrize("words", [["verify"], ["program", "--array"]], ids=" ".join)
@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ChipFileError("no chip there"), 3, "no chip there"),
        (InstrumentError("the link was lost"), 4, "the link was lost"),
        (LimitError("refused"), 5, "refused"),
        (StoppedError("stopped"), 6, "stopped"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), 4, "reset"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_could_not_check_is_an_error_and_keeps_its_exit_code(
    words: list[str], error: BaseException, code: int, said: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "junit.xml"
    path.write_bytes(report())
    assert run(error, *words, "--junit", str(path)) == code
    found = suite(path.read_bytes())
    assert (found.get("errors"), found.get("failures")) == ("1", "0")
    assert said in str(next(iter(found.iter("error"))).get("message"))
    assert properties(found)["argv"] == f"memprog {' '.join(words)} --junit {path} --workspace {tmp_path / 'workspace'}"


@pytest.mark.parametrize(("in_window", "code", "failures"), [(63, 0, "0"), (10, 1, "2")])
@pytest.mark.parametrize("command", list(VERIFIED))
def test_json_on_standard_output_and_the_file_at_once(
    command: str, in_window: int, code: int, failures: str, run: Run, tmp_path: Path, capsys: Any
) -> None:
    verified = samples.verify_report(arrays=[samples.verified_row(0, in_window)], passed=not code)
    programmed = samples.program_report(verify=verified.to_dict(), passed=not code)
    path = tmp_path / "made for it" / "junit.xml"
    ending, words = (verified, ["verify"]) if command == "verify" else (programmed, ["program", "--array"])
    assert run(ending, *words, "--format", "json", "--junit", str(path)) == code
    shown = json.loads(capsys.readouterr().out)
    del shown["provenance"]
    assert shown == ending.to_dict()
    found = suite(path.read_bytes())
    assert (found.get("errors"), found.get("failures")) == ("0", failures)


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "--min-yield", "7"],
        ["program"],
        ["program", "--array", "--no-verify"],
        ["program", "--array", "--dry-run"],
    ],
    ids=" ".join,
)
def test_wrong_usage_writes_no_file(words: list[str], run: Run, tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    assert run(samples.program_report(), *words, "--junit", str(path)) == 2
    assert not path.exists()


@pytest.mark.parametrize("words", [["verify"], ["program", "--array"]], ids=" ".join)
@pytest.mark.parametrize("wrong", ["variable", "file", "log"])
def test_an_older_file_does_not_speak_for_a_command_that_never_began(
    wrong: str, words: list[str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, settings = tmp_path / "junit.xml", tmp_path / "settings.yaml"
    path.write_bytes(report())
    settings.write_text("nonsense: 1\n")
    if wrong == "variable":
        monkeypatch.setenv("MEMPROG_BAD", "1")
    more = {"variable": [], "file": ["--config", str(settings)], "log": ["--log-file", str(tmp_path / "no" / "log")]}
    assert run(samples.verify_report(), *words, *more[wrong], "--junit", str(path)) == 3
    found = suite(path.read_bytes())
    assert (found.get("errors"), found.get("failures")) == ("1", "0")


@pytest.mark.parametrize("name", ["image.safetensors", "chip.sim", "journal.sqlite"])
def test_nor_is_an_error_written_over_the_workspace_that_cannot_be_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMPROG_BAD", "1")
    monkeypatch.setenv("MEMPROG_WORKSPACE", str(tmp_path))
    assert main(["verify", "--junit", str(tmp_path / name)]) == 3
    assert not (tmp_path / name).exists()
    (tmp_path / "other").write_bytes(b"\x40\0\0\0\0\0\0\0{}")
    assert main(["verify", "--junit", str(tmp_path / "other")]) == 3
    assert (tmp_path / "other").read_bytes().endswith(b"{}")


def test_a_file_that_cannot_be_written_is_exit_code_3_after_the_result(run: Run, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "junit.xml"
    assert run(samples.verify_report(), "verify", "--format", "json", "--junit", str(path)) == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["passed"] is True
    assert [line.startswith("Error: ") for line in err.splitlines()] == [False, True]


def test_an_error_stays_the_ending_where_the_file_cannot_be_written(run: Run, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "junit.xml"
    assert run(InstrumentError("the link was lost"), "verify", "--junit", str(path)) == 4
    warning, error = capsys.readouterr().err.splitlines()
    assert warning.startswith("Warning: ")
    assert error == "Error: the link was lost"


@pytest.mark.parametrize("name", ["image.safetensors", "chip.sim", "chip.sim.record", "journal.sqlite"])
def test_no_file_of_the_workspace_is_replaced(name: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "workspace" / name
    path.parent.mkdir()
    path.write_bytes(b"precious")
    assert run(samples.verify_report(), "verify", "--junit", str(path)) == 3
    assert path.read_bytes() == b"precious"


def test_a_verify_counts_each_array_for_itself(tmp_path: Path) -> None:
    bench = make_bench(tmp_path, rows=8, columns=8, arrays=2, seed=5, simulation__stuck_high_fraction=0.2)
    found = verify(bench.workspace, profile=bench.profile, window_usiemens=1e6)
    assert [one["array"] for one in found.arrays] == [0, 1]
    for name in ("cells", "cells_in_window", "cells_unread"):
        assert sum(one[name] for one in found.arrays) == getattr(found, name)
    unread = [one["cells_unread"] for one in found.arrays]
    assert unread[0] != unread[1]
    target = bench.image.targets_usiemens
    assert [one["cells"] for one in found.arrays] == [int(np.isfinite(array).sum()) for array in target]
    assert all(one["yield_fraction"] == one["cells_in_window"] / one["cells"] for one in found.arrays)
