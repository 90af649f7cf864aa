"""A bar on a terminal, else a plain line now and then, and never a broken run because nobody reads it."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from test_cli_commands import progress

from memprog.cli.progress import Bar, Plain, clock, describe, left_s


class Clock:
    """Time that stands still until told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class ReaderLeft(io.StringIO):
    """A pipe without a reader."""

    def write(self, _: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


class Terminal(io.StringIO):
    """Something a bar may be drawn on."""

    encoding = "cp1252"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def plain() -> tuple[Plain, io.StringIO, Clock]:
    stream, now = io.StringIO(), Clock()
    return Plain(stream, now), stream, now


def lines(stream: io.StringIO) -> int:
    return stream.getvalue().count("\n")


def test_the_line_says_stage_cells_rounds_pulses_chip_time_and_time_left() -> None:
    line = describe(progress("round", fraction=0.25))
    assert line == "0:30 left, array 0 coarse, 32/64 cells done, 0 failed, round 3, 1.5 pulses/cell, chip 0.5 s"
    assert "array 0 (of 3) coarse" in describe(progress("round", arrays=3))


def test_reads_do_not_count_cells_done_or_pulses() -> None:
    reads = progress("round", stage="verify", cells_done=0, pulses_per_cell=0.0)
    assert describe(reads) == "0:10 left, array 0 verify, 64 cells, round 3"


@pytest.mark.parametrize(("fraction", "left"), [(0.0, None), (0.5, 10.0), (1.0, 0.0), (1.5, 0.0)])
def test_time_left_follows_from_the_share_of_work_done(fraction: float, left: float | None) -> None:
    assert left_s(progress("round", fraction=fraction)) == left


@pytest.mark.parametrize(("seconds", "text"), [(None, "-:--"), (0.4, "0:00"), (61, "1:01"), (3661, "1:01:01")])
def test_clock_writes_minutes_and_hours(seconds: float | None, text: str) -> None:
    assert clock(seconds) == text


def test_plain_lines_come_every_few_seconds_only(plain: tuple[Plain, io.StringIO, Clock]) -> None:
    shows, stream, now = plain
    for _ in range(100):
        now.now_s += 0.1
        shows.show(progress("round"))
    assert lines(stream) == 2


def test_a_new_stage_has_a_line_at_once_but_not_many_a_second(plain: tuple[Plain, io.StringIO, Clock]) -> None:
    shows, stream, now = plain
    for stage in ("coarse", "check", "coarse", "check"):
        shows.show(progress("round", stage=stage))
    assert lines(stream) == 1
    now.now_s += 2.5
    shows.show(progress("round", stage="fine"))
    assert lines(stream) == 2


def test_a_finished_array_and_a_warning_always_have_a_line(plain: tuple[Plain, io.StringIO, Clock]) -> None:
    shows, stream, _ = plain
    shows.show(progress("round"))
    shows.show(progress("array_done"))
    shows.show(progress("warning", message="hot"))
    assert lines(stream) == 3
    assert stream.getvalue().endswith("Warning: hot\n")


def test_a_reader_that_left_does_not_stop_the_run() -> None:
    shows = Plain(ReaderLeft())
    shows.show(progress("round"))
    shows.show(progress("warning", message="hot"))


def test_the_bar_shows_progress_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    bar = Bar(stream)
    bar.show(progress("round", stage="[bold]fine"))
    bar.show(progress("warning", message="hot [1/2]"))
    bar.close()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "50%" in text
    assert "[bold]fine, 32/64 cells done" in text
    assert "Warning: hot [1/2]" in text
    text.encode("cp1252")


@pytest.mark.parametrize("words", [[], ["--progress", "bar"]])
def test_a_bar_never_appears_in_a_log(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    import sample_reports as samples

    from memprog.cli import main

    def verify(*_: Any, listener: Any, **__: Any) -> Any:
        listener(progress("round"))
        return samples.verify_report()

    monkeypatch.setattr("memprog.jobs.verify.verify", verify)
    assert main(["verify", "--workspace", str(tmp_path), *words]) == 0
    err = capsys.readouterr().err
    assert err.startswith("0:10 left, array 0")
    assert "\x1b" not in err
