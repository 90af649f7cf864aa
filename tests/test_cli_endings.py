"""Every way a run can end maps to one exit code and at most one sentence."""

from __future__ import annotations

import errno
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
    (MemoryError("a sentence"), 3),
    (RecursionError("a sentence"), 70),
    (GeneratorExit("a sentence"), 70),
    (SystemExit("a sentence"), 70),
    (click.UsageError("a sentence"), 2),
    (KeyboardInterrupt(), 130),
    (click.Abort(), 130),
]


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
