"""Signals in real processes: a batch is never cut in two, twice Ctrl-C does not wait, and no chip is left driven."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from holding import on, small_bench
from processes import REPOSITORY, environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")

STUB = """
import os, signal, sys, time
sys.path.insert(0, {tests!r})
import sample_reports as samples
import memprog.jobs.status as jobs
from memprog import stopping
from memprog.cli import main

def hear(line="asked"):
    while stopping._wish is None:
        time.sleep(0.001)
    print(line, flush=True)

def status(workspace):
{body}
    return samples.status_report()

jobs.status = status
sys.argv[1:] = ["status"]
sys.exit(main())
"""
HELD = """
    with stopping.held():
        print("ready", flush=True)
        hear()
        sys.stdin.readline()
        print("whole", flush=True)
    print("never")
"""


def code(body: str) -> str:
    """Source of a command line whose one job is the body."""
    indented = body if body.startswith("\n    ") else "    " + body.replace("\n", "\n    ")
    return STUB.format(tests=str(REPOSITORY / "tests"), body=indented)


@contextlib.contextmanager
def started(body: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the body and has said it is ready."""
    with subprocess.Popen(  # type: ignore[call-overload]
        [sys.executable, "-W", "error", "-c", code(body)],
        env=environment(),
        text=True,
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    ) as child:
        try:
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().rstrip("\n")


def ended(child: subprocess.Popen[str], given: str = "") -> tuple[int, str, str]:
    """Exit code and what was left to read, after the last thing to type."""
    out, err = child.communicate(given, timeout=60)
    return child.returncode, out, err


@pytest.mark.parametrize(
    ("number", "code", "sentence"),
    [
        (signal.SIGINT, 130, "interrupted\n"),
        (signal.SIGTERM, 6, "Error: stopped by SIGTERM before the end\n"),
        (signal.SIGHUP, 6, "Error: stopped by SIGHUP before the end\n"),
    ],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_signal_waits_for_the_end_of_the_batch(number: int, code: int, sentence: str) -> None:
    with started(HELD) as child:
        child.send_signal(number)
        assert line(child) == "asked"
        assert ended(child, "\n") == (code, "whole\n", sentence)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT first", "SIGTERM first"])
def test_polite_signals_never_cut_a_batch_however_many_come(first: int, number: int) -> None:
    with started(HELD) as child:
        child.send_signal(first)
        assert line(child) == "asked"
        child.send_signal(number)
        returned, out, err = ended(child, "\n")
    assert (returned, out) == (130 if first == signal.SIGINT else 6, "whole\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT first", "SIGTERM first"])
def test_interrupt_after_another_signal_stops_at_once(first: int) -> None:
    with started(HELD) as child:
        child.send_signal(first)
        assert line(child) == "asked"
        child.send_signal(signal.SIGINT)
        assert ended(child) == (130, "", "interrupted\n")


def test_signal_outside_a_batch_stops_at_once() -> None:
    with started('print("ready", flush=True); sys.stdin.readline()') as child:
        child.send_signal(signal.SIGINT)
        assert ended(child) == (130, "", "interrupted\n")


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGTERM"])
def test_signal_that_was_ignored_at_the_start_stays_ignored(name: str) -> None:
    number = getattr(signal, name)
    body = 'print("ready", flush=True); sys.stdin.readline()'
    with started(body, preexec_fn=lambda: signal.signal(number, signal.SIG_IGN)) as child:
        child.send_signal(number)
        returned, out, err = ended(child, "\n")
    assert (returned, err) == (0, "")
    assert out


def test_person_at_a_terminal_is_told_that_a_batch_is_under_way() -> None:
    ours, theirs = os.openpty()
    with started(HELD, stderr=theirs) as child:
        os.close(theirs)
        child.send_signal(signal.SIGINT)
        assert line(child) == "asked"
        assert b"stopping at the end of this batch; once more stops at once" in os.read(ours, 1000)
        assert ended(child, "\n")[0] == 130
    os.close(ours)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signal_lost_in_a_finalizer_is_heard_all_the_same(name: str) -> None:
    body = f"""
    class Thing:
        def __del__(self):
            os.kill(os.getpid(), signal.{name})
            time.sleep(0)
    print("ready", flush=True)
    Thing()
    sys.stdin.readline()
"""
    with started(body) as child:
        child.wait(timeout=60)  # with nothing to read it would wait for ever
        returned, out, err = ended(child)
    assert (returned, out) == (130 if name == "SIGINT" else 6, "")
    assert err.count("\n") == 1


REPORTING = """
    import memprog.cli.endings as endings
    say = endings.say
    def interrupted(sentence):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        say(sentence)
    endings.say = interrupted
    print("ready", flush=True)
    raise {ending}
"""


@pytest.mark.parametrize(
    ("ending", "code", "sentence"),
    [
        ("KeyboardInterrupt", 130, "interrupted\n"),
        ("OSError(28, 'full')", 3, "Error: full\n"),
        ("MemoryError", 3, "Error: there is not enough memory for this (MemoryError)\n"),
    ],
)
def test_signal_while_an_ending_is_reported_changes_nothing(ending: str, code: int, sentence: str) -> None:
    with started(REPORTING.format(ending=ending)) as child:
        assert ended(child) == (code, "", sentence)


def test_signal_after_the_end_changes_nothing() -> None:
    body = 'import atexit; atexit.register(os.kill, os.getpid(), signal.SIGINT)\nprint("ready", flush=True)'
    with started(body) as child:
        returned, _, err = ended(child)
    assert (returned, err) == (0, "")


def test_interrupt_that_a_library_turns_into_its_own_error_is_still_an_interrupt() -> None:
    body = """
    print("ready", flush=True)
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        raise ImportError("numpy failed to import") from None
"""
    with started(body) as child:
        assert ended(child) == (130, "", "interrupted\n")


AT_IMPORT = """
import os, signal, sys

class Signalling:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ.get("SIGNAL_AT"):
            os.kill(os.getpid(), getattr(signal, os.environ["SIGNAL"]))

sys.meta_path.insert(0, Signalling())
"""


@pytest.mark.parametrize(
    "command", [["-m", "memprog"], ["-c", "import sys; from memprog.cli import main; sys.exit(main())"]]
)
@pytest.mark.parametrize(
    "module", ["click", "memprog.cli.app", "memprog.cli.list_known", "numpy", "memprog.jobs.chips"]
)
def test_interrupt_during_start_up_is_no_traceback(command: list[str], module: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(AT_IMPORT)
    paths = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, *command, "list", "backends"],
        env=environment(PYTHONPATH=paths, SIGNAL_AT=module, SIGNAL="SIGINT"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr in {"", "interrupted\n"}


PROGRAM = """
import atexit, json, os, signal, sys
sys.path.insert(0, {tests!r})
from loop_cases import RecorderChip
from memprog import stopping
from memprog.errors import InstrumentError
from memprog.profile import load_profile
import memprog.jobs.chips as chips
from memprog.cli import main

def kill(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)

class Driven(RecorderChip):
    unsafe = {unsafe!r}

    def pulse(self, cells, pulses, batch_id):
        self.calls.append("drive")
        with stopping.held():
            if len(self.batches) == 2:
                {act}
            return super().pulse(cells, pulses, batch_id)

    def make_safe(self):
        if self.unsafe:
            self.unsafe = False
            kill(signal.SIGINT)
        super().make_safe()

    def close(self):
        if {unsafe!r}:
            self.make_safe()
        super().close()

chip = Driven(load_profile(sys.argv[sys.argv.index("--profile") + 1]))
chips.open_chip = lambda *_, **__: chip
atexit.register(lambda: print(json.dumps(chip.calls)))
sys.exit(main())
"""
WAYS = {
    "return": ("pass", 1),
    "error": ("raise ZeroDivisionError", 70),
    "lost instrument": ("raise InstrumentError('pulse: the wire is cut')", 4),
    "lost link": ("raise ConnectionResetError(104, 'reset')", 4),
    "SIGINT": ("kill(signal.SIGINT)", 130),
    "SIGTERM": ("kill(signal.SIGTERM)", 6),
    "SIGHUP": ("kill(signal.SIGHUP)", 6),
    "SIGINT twice": ("kill(signal.SIGINT, signal.SIGINT)", 130),
    "SIGTERM, then SIGINT": ("kill(signal.SIGTERM, signal.SIGINT)", 130),
    "SystemExit": ("raise SystemExit(17)", 17),
    "GeneratorExit": ("raise GeneratorExit", 70),
    "MemoryError": ("raise MemoryError", 3),
    "RecursionError": ("raise RecursionError", 70),
}


def program(folder: Path, act: str, *, unsafe: bool = False) -> tuple[int, list[str], str]:
    """Program a recorder chip that does something in its third batch; its exit code, and all the chip was told."""
    bench = small_bench(folder, rows=4, columns=4)
    source = PROGRAM.format(tests=str(REPOSITORY / "tests"), act=act, unsafe=unsafe)
    words = on(bench, "program", "--array", "--no-verify", "--format", "json")
    done = subprocess.run(
        [sys.executable, "-c", source, *words],
        env=environment(TMPDIR=str(folder)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


def driven_at_the_end(calls: list[str]) -> bool:
    last = max(k for k, call in enumerate(calls) if call in {"drive", "pulse", "read"})
    return "make_safe" not in calls[last:]


@pytest.mark.parametrize("way", WAYS)
def test_chip_is_made_safe_on_every_way_out(way: str, tmp_path: Path) -> None:
    act, code = WAYS[way]
    returned, calls, err = program(tmp_path, act)
    assert returned == code, err
    assert not driven_at_the_end(calls)
    assert calls[-1] == "close"
    at_once = way != "return" and "pulse" not in calls[len(calls) - calls[::-1].index("drive") :]
    assert at_once == (way not in {"return", "SIGINT", "SIGTERM", "SIGHUP"}), "held signals let the batch end"


def test_interrupt_while_the_chip_is_made_safe_does_not_leave_it_driven(tmp_path: Path) -> None:
    returned, calls, _ = program(tmp_path, "kill(signal.SIGINT)", unsafe=True)
    assert returned == 130
    assert not driven_at_the_end(calls)
    assert calls[-1] == "close"


def test_an_interrupted_demo_names_no_run_that_is_gone_with_its_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "memprog", "demo", "--format", "jsonl"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), text=True, **pipes) as child:  # type: ignore[call-overload]
        while "pulses_per_cell" not in child.stdout.readline():
            pass
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err.splitlines()[-1]) == (130, "interrupted")
    assert list(tmp_path.iterdir()) == []
