"""Every exit code by real processes: each way to it, with at most one sentence, and nothing lost on the way."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from holding import Ended, finish, memprog, on, small_bench, waiting
from loop_cases import Bench
from processes import REPOSITORY, environment

from memprog.jobs.status import status

STUB = """
import sys
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
ON_CHIP = """
import sys
import memprog.jobs.chips as chips
from memprog.cli import main
from memprog.errors import InstrumentError

class Broken(chips.SimChip):
{body}

chips.SimChip = Broken
sys.exit(main())
"""
needs_posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes and signals")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def run(source: str, body: str, *words: str, **options: Any) -> Ended:
    """Run one command line with a stand-in for a part of it."""
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    code = source.format(tests=str(REPOSITORY / "tests"), body=indented)
    given: dict[str, Any] = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    done = subprocess.run([sys.executable, "-c", code, *words], check=False, text=True, timeout=120, **given)
    assert "Traceback" not in (done.stderr or "")
    return Ended(done.returncode, done.stdout or "", done.stderr or "")


def runs_of(bench: Bench) -> list[dict[str, Any]]:
    return status(bench.workspace).runs


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return small_bench(tmp_path / "bench", rows=8, columns=8)


def test_0_done_and_good_enough(bench: Bench) -> None:
    program = memprog(*on(bench, "program", "--array", "--min-yield", "0.5", "--format", "json", "--quiet"))
    assert (program.code, program.err) == (0, "")
    assert program.fields["passed"]
    assert memprog(*on(bench, "verify", "--min-yield", "0.5")).code == 0
    assert [run["state"] for run in runs_of(bench)] == ["finished"]


def test_1_done_and_checked_but_not_good_enough(bench: Bench) -> None:
    verify = memprog(*on(bench, "verify", "--format", "json", "--quiet"))
    assert (verify.code, verify.err) == (1, "")
    assert not verify.fields["passed"]


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["verify", "--nonsense"],
        ["verify", "--format", "xml"],
        ["load-weights"],
        ["load-weights", "no-file"],
        ["program"],
        ["status", "--log-file", "."],
    ],
    ids=" ".join,
)
def test_2_words_that_make_no_command_line(words: list[str], tmp_path: Path) -> None:
    ended = memprog(*words, cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: memprog")
    assert list(tmp_path.iterdir()) == []


def broken_image(bench: Bench) -> None:
    bench.workspace.image_path.write_bytes(b"no image")


def broken_chip(bench: Bench) -> None:
    bench.workspace.chip_path.write_bytes(b"no chip")


def no_image(bench: Bench) -> None:
    bench.workspace.image_path.unlink()


def file_for_folder(bench: Bench) -> None:
    for path in bench.workspace.folder.iterdir():
        path.unlink()
    bench.workspace.folder.rmdir()
    bench.workspace.folder.write_bytes(b"precious")


@pytest.mark.parametrize("spoil", [broken_image, broken_chip, no_image, file_for_folder])
@pytest.mark.parametrize("words", [("program", "--array"), ("verify",)], ids=" ".join)
def test_3_input_that_cannot_be_used(spoil: Any, words: tuple[str, ...], bench: Bench) -> None:
    spoil(bench)
    ended = memprog(*on(bench, *words))
    assert (ended.code, ended.out) == (
        3 if spoil is not file_for_folder else 2,
        "",
    )  # the last one click itself refuses
    assert ended.err.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("raise OSError(28, 'No space left on device', 'image')", "Error: image: No space left on device\n"),
        ("raise MemoryError", r"Error: there is not enough memory for this \(MemoryError\)\n"),
        (
            "import numpy; numpy.ones(1 << 50)",
            r"Error: there is not enough memory for this \(MemoryError: Unable .*\)\n",
        ),
        ("from memprog.errors import InputError; raise InputError('a\\nb\\x1b[2J')", r"Error: a\\nb\\x1b\[2J\n"),
    ],
)
def test_3_surroundings_that_cannot_be_used(body: str, sentence: str) -> None:
    ended = run(STUB, body, "status")
    assert (ended.code, ended.out) == (3, "")
    assert re.fullmatch(sentence, ended.err), ended.err


@needs_full
@pytest.mark.parametrize("output", ["text", "json"])
def test_3_result_that_could_not_be_written_though_the_run_is_recorded(output: str, bench: Bench) -> None:
    with Path("/dev/full").open("w") as full:
        ended = memprog(*on(bench, "program", "--array", "--format", output, "--quiet"), stdout=full)
    assert (ended.code, ended.err) == (3, "Error: No space left on device\n")
    assert [run["state"] for run in runs_of(bench)] == ["finished"]


def test_3_log_file_that_cannot_be_made_stops_before_anything_is_done(bench: Bench, tmp_path: Path) -> None:
    before = bench.workspace.chip_path.read_bytes()
    ended = memprog(*on(bench, "program", "--array", "--log-file", str(tmp_path / "missing" / "log")))
    assert (ended.code, ended.out) == (3, "")
    assert re.fullmatch(r"Error: \S+: No such file or directory\n", ended.err)
    assert bench.workspace.chip_path.read_bytes() == before
    assert not bench.workspace.journal_path.exists()


@needs_full
@pytest.mark.parametrize(
    ("words", "code"), [(("status",), 0), (("verify", "--quiet"), 1), (("verify", "--expect-serial", "no"), 5)]
)
def test_log_on_a_full_disk_is_told_and_changes_no_exit_code(words: tuple[str, ...], code: int, bench: Bench) -> None:
    ended = memprog(*on(bench, *words, "--log-file", "/dev/full"))
    assert ended.code == code
    assert ended.err.startswith("Warning: /dev/full: the log is incomplete: No space left on device\n")


@needs_full
def test_errors_that_cannot_be_said_keep_their_exit_code(bench: Bench, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        assert memprog("nonsense", stderr=full).code == 2
        assert memprog(*on(bench, "verify", "--expect-serial", "no"), stderr=full).code == 5
        assert memprog(*on(bench, "program", "--array", "--min-yield", "0"), stderr=full).code == 0
        assert run(STUB, "return 1 / 0", "status", stderr=full, env=environment(TMPDIR=str(tmp_path))).code == 70


def way_on(bench: Bench, stopped: dict[str, Any]) -> str:
    """What is added to the sentence of a run that can be taken up."""
    command = shlex.join(["memprog", *on(bench, "program", "--resume")])
    return f"; `{command}` goes on where run {stopped['run_id']} stopped\n"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("def read(self, cells, spec): raise InstrumentError('read: no answer')", "Error: read: no answer\n"),
        ("def read(self, cells, spec): raise TimeoutError", "Error: the link was lost: TimeoutError\n"),
        (
            "def pulse(self, cells, pulses, batch_id): raise ConnectionResetError(104, 'reset by peer')",
            "Error: the link was lost: reset by peer\n",
        ),
        (
            "def pulse(self, cells, pulses, batch_id): raise BrokenPipeError(32, 'gone')",
            "Error: the link was lost: gone\n",
        ),
    ],
    ids=["InstrumentError", "timeout", "reset", "pipe"],
)
def test_4_instrument_or_the_wire_failed(body: str, sentence: str, bench: Bench) -> None:
    ended = run(ON_CHIP, body, *on(bench, "program", "--array", "--quiet"))
    (stopped,) = runs_of(bench)
    assert ended == Ended(4, "", sentence.rstrip() + way_on(bench, stopped))
    assert stopped["state"] == "stopped"


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "--expect-serial", "SIM-another"),
        ("program", "--array", "--expect-serial", "SIM-another"),
        ("verify", "--window", "0.0001"),
        ("sim", "new"),
    ],
    ids=" ".join,
)
def test_5_refused_by_a_limit_or_a_missing_permission(words: tuple[str, ...], bench: Bench) -> None:
    before = bench.workspace.chip_path.read_bytes()
    ended = memprog(*on(bench, *words))
    assert (ended.code, ended.out, ended.err.count("\n")) == (5, "", 1)
    assert bench.workspace.chip_path.read_bytes() == before


@needs_posix
@pytest.mark.parametrize(
    ("names", "code", "sentence"),
    [
        (("SIGTERM",), 6, "Error: stopped by SIGTERM before the end\n"),
        (("SIGHUP",), 6, "Error: stopped by SIGHUP before the end\n"),
        (("SIGINT",), 130, "interrupted\n"),
        (("SIGINT", "SIGINT"), 130, "interrupted\n"),
        (("SIGTERM", "SIGTERM"), 6, "Error: stopped by SIGTERM before the end\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_6_and_130_stopped_early_and_recorded(names: tuple[str, ...], code: int, sentence: str, bench: Bench) -> None:
    with waiting(*on(bench, "program", "--array", "--quiet")) as child:
        for name in names:
            child.send_signal(getattr(signal, name))
        ended = finish(child)
    (stopped,) = runs_of(bench)
    assert (ended.code, ended.out, ended.err) == (code, "", sentence.rstrip() + way_on(bench, stopped))
    # The second Ctrl-C may be quicker than the note of how it ended: then the run looks as after a kill.
    assert stopped["state"] in ({"stopped", "running"} if names == ("SIGINT", "SIGINT") else {"stopped"})


CRASHES = {
    "error": ("return 1 / 0", "ZeroDivisionError"),
    "recursion": ("def again(): again()\nagain()", "RecursionError"),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
    "SystemExit": ("raise SystemExit('words')", "SystemExit"),
    "error without words": (
        "class Mute(Exception):\n    def __str__(self): return 1 / 0\nraise Mute",
        "Mute",
    ),
}


@pytest.mark.parametrize("body", CRASHES.values(), ids=list(CRASHES))
def test_70_a_crash_is_one_sentence_and_a_log_with_the_traceback(body: tuple[str, str], tmp_path: Path) -> None:
    ended = run(STUB, body[0], "status", env=environment(TMPDIR=str(tmp_path)))
    assert (ended.code, ended.out) == (70, "")
    match = re.fullmatch(rf"Error: memprog failed inside \({body[1]}.*\); the log is (\S+\.log)\n", ended.err)
    assert match is not None, ended.err
    text = Path(match[1]).read_text()
    assert text.startswith("memprog status\n")
    assert "Traceback" in text
    assert body[1] in text


def test_130_click_abort() -> None:
    assert run(STUB, "import click; raise click.Abort", "status") == Ended(130, "", "interrupted\n")


@pytest.mark.parametrize("number", ["None", "0", "17"])
def test_exit_code_that_a_library_asked_for_is_kept(number: str) -> None:
    assert run(STUB, f"sys.exit({number})", "status") == Ended(0 if number == "None" else int(number), "", "")


@needs_posix
@pytest.mark.parametrize(
    "words", [["--help"], ["program", "--help"], ["status"], ["status", "--format", "json"]], ids=" ".join
)
def test_0_though_the_reader_left_before_the_start(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = run(STUB, "pass", *words, stdout=writing)
    os.close(writing)
    assert ended == Ended(0, "", "")


@needs_posix
def test_2_and_70_though_nobody_reads_the_sentence(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    assert run(STUB, "pass", "nonsense", stderr=writing).code == 2
    assert run(STUB, "return 1 / 0", "status", stderr=writing, env=environment(TMPDIR=str(tmp_path))).code == 70
    os.close(writing)


@needs_posix
@pytest.mark.parametrize("lines", [0, 1, 5])
def test_run_goes_on_to_its_end_when_the_reader_of_the_feed_leaves(lines: int, bench: Bench) -> None:
    words = on(bench, "program", "--array", "--format", "jsonl", "--min-yield", "0")
    with subprocess.Popen(
        [sys.executable, "-m", "memprog", *words],
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        for _ in range(lines):
            assert json.loads(child.stdout.readline())["event"] == "round"
        child.stdout.close()
        err = child.stderr.read()
    assert (child.returncode, err) == (0, "SIMULATED: no silicon was involved.\n")
    assert [run["state"] for run in runs_of(bench)] == ["finished"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX shell")
@pytest.mark.parametrize(
    "closed", [*(pytest.param(some, marks=pytest.mark.long) for some in (">&-", ">&- 2>&-")), "2>&-", "<&- >&- 2>&-"]
)
def test_closed_standard_streams_are_no_crash_and_harm_no_file(closed: str, bench: Bench) -> None:
    words = " ".join(f"'{word}'" for word in on(bench, "program", "--array", "--min-yield", "0"))
    command = f"'{sys.executable}' -m memprog {words} {closed}"
    done = subprocess.run(["sh", "-c", command], env=environment(), check=False, timeout=120, capture_output=True)
    assert done.returncode == 0
    assert memprog(*on(bench, "verify", "--min-yield", "0.5")).code == 0
    assert [run["state"] for run in runs_of(bench)] == ["finished"]


def test_a_console_without_a_character_gets_an_escape() -> None:
    body = "import dataclasses; return dataclasses.replace(samples.status_report(), next_step='\\u2713 \\u03a9')"
    ended = run(STUB, body, "status", env=environment(PYTHONIOENCODING="cp1252:strict"))
    assert ended.code == 0
    assert "\\u2713 \\u03a9" in ended.out
