"""Command lines in processes of their own, some of which stop half-way and wait until the test has done its part."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loop_cases import Bench, make_bench
from processes import Ended, environment

WAITING = """
import sys
from memprog.cli import main
from memprog.cli.console import Console

listen, left = Console.listen, [int(sys.argv.pop(1))]

def listen_and_wait(console, progress):
    listen(console, progress)
    left[0] -= 1
    if left[0] == 0:
        print("waiting", flush=True)
        sys.stdin.readline()

Console.listen = listen_and_wait
sys.exit(main())
"""
BRIEF = {"protocol__passes": 1, "protocol__mop_up_passes": 1}


def small_bench(folder: Path, **options: Any) -> Bench:
    """A workspace with image and chip of so few cells that a run takes a second or two."""
    return make_bench(folder, **{"rows": 16, "columns": 16, "seed": 3} | BRIEF | options)


def on(bench: Bench, *words: str) -> tuple[str, ...]:
    """A command line on a bench."""
    profile = ("--profile", bench.profile) if words[0] not in {"status", "runs"} else ()
    return (*words, "--workspace", str(bench.workspace.folder), *profile)


def memprog(*words: str, program: str = "", **options: Any) -> Ended:
    """Run one command line to its end, by a script of its own if one is given; no traceback may come out."""
    given: dict[str, Any] = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    start = [program] if program else ["-m", "memprog"]
    command = [sys.executable, "-W", "error", *start, *words]
    ended = subprocess.run(command, check=False, text=True, timeout=300, **given)
    assert "Traceback" not in (ended.stderr or "")
    return Ended(ended.returncode, ended.stdout or "", ended.stderr or "")


@contextlib.contextmanager
def waiting(*words: str, at: int = 3, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A command line that waits at the nth sign of progress until ``finish`` is called; killed if it never is."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WAITING, str(at), *words],
        env=environment(**variables),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "waiting\n", child.communicate()
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def finish(child: subprocess.Popen[str]) -> Ended:
    """Let a waiting command line go on, to its end."""
    out, err = child.communicate("\n", timeout=300)
    assert "Traceback" not in err
    return Ended(child.returncode, out, err)
