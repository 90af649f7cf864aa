"""Every way a run can end maps to one exit code and at most one sentence."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
import sample_reports as samples
from processes import environment

from memprog.cli import main
from memprog.errors import (
    ChipFileError,
    ImageError,
    InputError,
    InstrumentError,
    LimitError,
    MemprogError,
    ProfileError,
    StoppedError,
)

REPOSITORY = Path(__file__).parent.parent
ENDINGS = [
    (InputError("a sentence"), 3),
    (ProfileError("a sentence"), 3),
    (ImageError("a sentence"), 3),
    (ChipFileError("a sentence"), 3),
    (InstrumentError("a sentence"), 4),
    (LimitError("a sentence"), 5),
    (StoppedError("a sentence"), 6),
    (MemprogError("a sentence"), 70),
    (OSError(errno.ENOSPC, "a sentence"), 3),
    (PermissionError(errno.EACCES, "a sentence", "image"), 3),
    (ConnectionResetError(errno.ECONNRESET, "a sentence"), 4),
    (BrokenPipeError(errno.EPIPE, "a sentence"), 4),
    (TimeoutError("a sentence"), 4),
    (ZeroDivisionError("a sentence"), 70),
    (click.UsageError("a sentence"), 2),
    (KeyboardInterrupt(), 130),
    (click.Abort(), 130),
]


def run(code: str, *args: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run Python code that has memprog, with what follows as its command line."""
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        check=False,
        text=True,
        timeout=60,
        env=environment(),
        **{"capture_output": True, **options},  # type: ignore[call-overload]
    )


STUB = """
import sys, time
sys.path.insert(0, {tests!r})
import sample_reports as samples
import memprog.jobs.status as jobs
from memprog.cli import main
def status(workspace):
    {body}
    return samples.status_report()
jobs.status = status
sys.exit(main())
"""


def stub(body: str) -> str:
    return STUB.format(tests=str(REPOSITORY / "tests"), body=body)


@pytest.mark.parametrize(("ending", "code"), ENDINGS, ids=lambda value: type(value).__name__)
def test_every_ending_has_its_exit_code_and_one_sentence(
    ending: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def end(_: object) -> None:
        raise ending

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("memprog.jobs.status.status", end)
    assert main(["status", "--workspace", str(tmp_path)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert "a sentence" in err or code == 130
    assert err.count("\n") == 1 or code == 2


def test_a_job_that_returns_is_exit_code_0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("memprog.jobs.status.status", lambda _: samples.status_report())
    assert main(["status", "--workspace", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["verify", "--nonsense"],
        ["verify", "--format", "xml"],
        ["load-weights"],
        ["load-weights", "no-file"],
    ],
    ids=" ".join,
)
def test_what_click_refuses_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("Usage: memprog")


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["program", "-h"], ["sim", "--help"], ["sim", "new", "-h"]]
)
def test_asking_for_help_is_exit_code_0(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out


def test_a_crash_leaves_its_traceback_in_a_log_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("memprog.jobs.status.status", lambda _: samples.CHIP["nothing"])
    assert main(["status", "--workspace", str(tmp_path)]) == 70
    match = re.search(r"the log is (\S+\.log)", capsys.readouterr().err)
    assert match is not None
    text = Path(match[1]).read_text(encoding="utf-8")
    assert text.startswith("memprog status --workspace")
    assert "Traceback" in text
    assert "KeyError" in text


def test_a_crash_is_still_one_sentence_where_no_log_can_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    monkeypatch.setattr("memprog.jobs.status.status", lambda _: samples.CHIP["nothing"])
    assert main(["status", "--workspace", str(tmp_path)]) == 70
    assert capsys.readouterr().err.endswith("and no log could be written\n")


def test_stop_signals_are_as_before_after_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    main(["--version"])
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_crash_in_a_real_process_is_exit_code_70() -> None:
    ended = run(stub("return 1 / 0"), "status")
    assert ended.returncode == 70
    assert "Traceback" not in ended.stderr
    match = re.search(r"the log is (\S+\.log)", ended.stderr)
    assert match is not None
    Path(match[1]).unlink()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "code", "sentence"),
    [
        (signal.SIGTERM, 6, "Error: stopped by SIGTERM before the end\n"),
        (signal.SIGINT, 130, "interrupted\n"),
    ],
)
def test_a_signal_runs_the_clean_up_and_has_its_own_code(number: int, code: int, sentence: str) -> None:
    body = "try: print('ready', flush=True); time.sleep(50)\n    finally: print('clean', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", stub(body), "status"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (code, "clean\n", sentence)


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX pipe")
@pytest.mark.parametrize(
    "words", [["--help"], ["program", "--help"], ["status"], ["status", "--format", "json"]], ids=" ".join
)
def test_a_reader_that_left_is_no_failure(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = run(stub("pass"), *words, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (ended.returncode, ended.stderr.replace("Error: ", "")) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_on_a_full_disk_is_exit_code_3() -> None:
    with Path("/dev/full").open("w") as full:
        ended = run(stub("pass"), "status", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 3
    assert ended.stderr == "Error: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="POSIX shell")
def test_closed_standard_streams_are_no_crash() -> None:
    command = f'"{sys.executable}" -c "$CODE" status >&- 2>&-'
    ended = subprocess.run(["sh", "-c", command], env=environment(CODE=stub("pass")), check=False, timeout=60)
    assert ended.returncode == 0


def test_a_console_without_a_character_gets_an_escape() -> None:
    body = "import dataclasses; return dataclasses.replace(samples.status_report(), next_step='\\u2713 \\u03a9')"
    ended = subprocess.run(
        [sys.executable, "-c", stub(body), "status"],
        env=environment(PYTHONIOENCODING="cp1252:strict"),
        check=False,
        timeout=60,
        capture_output=True,
    )
    assert ended.returncode == 0
    assert b"\\u2713 \\u03a9" in ended.stdout


def test_python_m_memprog_is_the_same_command_line() -> None:
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "memprog", "--version"],
        env=environment(),
        check=False,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0
    assert re.fullmatch(r"memprog \d+\.\d+\S*\n", ended.stdout)
    assert time.monotonic() - started < 10
