"""Every point at which a process may be killed, visited by a job that dies there and goes on from what is left."""

from __future__ import annotations

import ast
import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from kills import (
    KILLED,
    Kill,
    account_of,
    check_at_kill,
    check_equal,
    has_run,
    open_batches,
    opened_journal,
    run_killed,
    run_on,
)
from loop_cases import Bench, make_bench
from processes import REPOSITORY, environment

import memprog
from memprog.faults import POINTS
from memprog.jobs.chips import make_chip
from memprog.simchip import summary_of

SHORT = {
    "protocol__approach_rounds": 2,
    "protocol__checks_per_pass": 1,
    "protocol__passes": 1,
    "protocol__mop_up_passes": 1,
    "protocol__round_budget": 9,
}
"""A run that goes through everything once, and does not come far."""

PROGRAM: list[tuple[str, int, list[str]]] = [
    ("before journal schema", 1, []),
    ("after journal schema", 1, []),
    ("before journal run", 1, []),
    ("after journal run", 1, []),
    # A look, from its intent to its outcome.
    ("before journal intent", 1, []),
    ("after journal intent", 1, ["read snapshot"]),
    ("before chip slot", 1, ["read snapshot"]),
    ("inside chip slot", 2, ["read isolation"]),
    ("after chip slot", 3, ["read approach"]),
    ("before journal outcome", 4, ["read approach"]),
    ("after journal outcome", 4, []),
    # What is only noted.
    ("after journal intent", 3, ["start"]),
    ("before journal outcome", 3, ["start"]),
    # A batch of pulses, from its intent to its outcome.
    ("before journal intent", 5, []),
    ("after journal intent", 5, ["pulse"]),
    ("before chip slot", 4, ["pulse"]),
    ("inside chip slot", 4, ["pulse"]),
    ("after chip slot", 4, ["pulse"]),
    ("before journal outcome", 5, ["pulse"]),
    ("after journal outcome", 5, []),
    # Waiting before a look.
    ("before chip clock", 1, []),
    ("after chip clock", 1, []),
    # The end, and what verify adds to it.
    ("before journal cells", 1, []),
    ("after journal cells", 1, []),
    ("before journal end", 1, []),
    ("after journal end", 1, []),
    ("before journal end", 2, []),
    ("after journal end", 2, []),
    # The record of the chip: after the board check, and after the last array.
    ("before file", 1, []),
    ("inside file", 2, []),
    ("after file", 2, []),
]
"""Point, how often it is passed, and the kinds of batches that are then without outcome."""

FILES: list[tuple[str, tuple[str, ...], str]] = [
    ("before file", ("load-weights", "weights.npy"), "bench/.memprog/image.safetensors"),
    ("inside file", ("load-weights", "weights.npy"), "bench/.memprog/image.safetensors"),
    ("after file", ("load-weights", "weights.npy"), "bench/.memprog/image.safetensors"),
    ("inside file", ("verify", "--junit", "verify.xml"), "verify.xml"),
    ("after file", ("verify", "--junit", "verify.xml"), "verify.xml"),
    ("inside file", ("read", "--array", "0", "--out", "read.npy"), "read.npy"),
    ("inside file", ("export", "--out", "exported.npy"), "exported.npy"),
    ("before chip file", ("sim", "new", "--force", "--seed", "5"), "bench/.memprog/chip.sim"),
    ("after chip file", ("sim", "new", "--force", "--seed", "5"), "bench/.memprog/chip.sim"),
]
"""Point, the job that passes it once, and the file that the job writes."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path / "bench", rows=12, columns=12, seed=3, **SHORT)


@pytest.mark.parametrize(("point", "count", "kinds"), PROGRAM, ids=str)
def test_program_goes_on_from_wherever_it_was_killed(point: str, count: int, kinds: list[str], bench: Bench) -> None:
    before = account_of(bench)
    assert run_killed(bench, Kill(point, count), "program", "--array")
    check_at_kill(bench, before)
    assert [batch.kind for batch in open_batches(bench)] == kinds
    finished = is_finished(bench)
    resumed = run_on(bench, "program", "--resume")
    if has_begun(bench, finished):
        assert resumed.code in {0, 1}, resumed.err
    else:
        # Before the first row there is nothing to take up; after the last there is nothing left to do.
        assert (resumed.code, "nothing was applied" in resumed.err) == (3, True)
        again = run_on(bench, "verify" if finished else "program", *([] if finished else ["--array"]))
        assert again.code in {0, 1}, again.err
    assert is_finished(bench)
    assert check_equal(bench).total > 0


def is_finished(bench: Bench) -> bool:
    """Whether the newest run came to its end."""
    with opened_journal(bench) as journal:
        return journal is not None and [run.state for run in journal.runs()][:1] == ["finished"]


def has_begun(bench: Bench, finished: bool) -> bool:
    """Whether a run was there to be taken up."""
    with opened_journal(bench) as journal:
        return not finished and journal is not None and bool(journal.runs()) and not has_run(bench)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights, and a bench that they were written into."""
    folder = tmp_path_factory.mktemp("written")
    laid = make_bench(folder / "bench", rows=12, columns=12, seed=3, chip=False, **SHORT)
    np.save(folder / "weights.npy", np.random.default_rng(1).standard_normal((10, 6)).astype(np.float32))
    assert run_on(laid, "load-weights", str(folder / "weights.npy")).code == 0
    make_chip(laid.workspace.chip_path, laid.kind, seed=3, arrays=1)
    assert run_on(laid, "program", "--array").code in {0, 1}
    return folder


@pytest.mark.parametrize("old", [True, False], ids=["old", "new"])
@pytest.mark.parametrize(("point", "words", "name"), FILES, ids=str)
def test_no_half_written_file_is_ever_seen(
    point: str, words: tuple[str, ...], name: str, old: bool, written: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "here"
    shutil.copytree(written, folder)
    path = folder / name
    if not old:
        path.unlink(missing_ok=True)
    elif path.name != "chip.sim":
        # Of an image only an image is replaced, or a file that holds nothing.
        path.write_bytes(b"" if path.name == "image.safetensors" else b"what was there before")
    before = contents(folder)
    died = started(folder, *words, MEMPROG_FAULT=point)
    assert died.returncode == KILLED, died.stderr
    left = contents(folder)
    whole = left.pop(name, None)
    if point.startswith("after"):
        assert whole is not None
        assert whole != before.get(name)
    else:
        assert whole == before.get(name)
    assert left == {other: content for other, content in before.items() if other != name}
    again = started(folder, *words)
    assert again.returncode in {0, 1}, again.stderr
    if whole is not None and point.startswith("after") and "verify" not in words:
        assert contents(folder)[name] == whole
    assert path.stat().st_size > 100


def started(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in a folder that a bench lies in, to its end or its death."""
    bench = ("--workspace", "bench/.memprog", "--profile", "bench/small.yaml")
    command = [sys.executable, "-W", "error", "-m", "memprog", *words, *bench]
    return subprocess.run(
        command, cwd=folder, env=environment(**more), capture_output=True, text=True, check=False, timeout=120
    )


def contents(folder: Path) -> dict[str, bytes]:
    """All files under their final names; of a simulated chip only what it is made of counts: it ages."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith((".tmp", ".partial", "-wal", "-shm")):
            name = str(path.relative_to(folder))
            found[name] = path.read_bytes()
            if path.name == "chip.sim":
                told = dataclasses.replace(summary_of(path), clock_s=0.0, serial="", birth=0)
                found[name] = repr(told).encode()
    return found


def test_every_point_is_visited() -> None:
    visited = {point for point, _, _ in PROGRAM} | {point for point, _, _ in FILES}
    assert visited == set(POINTS)


def test_points_in_the_source_are_those_that_are_listed() -> None:
    assert sorted(points_in_source()) == sorted(POINTS)


def points_in_source() -> Iterator[str]:
    """Every name that the source passes to ``faults.point``; those of transactions with what each is called."""
    package = Path(memprog.__file__).parent
    calls = [
        node
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    titles = {text_of(call) for call in calls if call.func.attr == "_transaction"}  # type: ignore[attr-defined]
    for call in calls:
        if ast.unparse(call.func) == "faults.point":
            text = text_of(call)
            yield from (text.replace("{what}", what) for what in titles) if "{what}" in text else (text,)


def text_of(call: ast.Call) -> str:
    """The first argument: a text, or a pattern with names in braces."""
    text = ast.literal_eval(ast.unparse(call.args[0]).removeprefix("f"))
    assert isinstance(text, str)
    return text


WRITERS = {
    "write_bytes": {"locks.py"},
    "write_text": set(),
    "fsync": {"files.py", "simchip/store.py"},
    "memmap": {"simchip/store.py"},
    "connect": {"session/journal.py"},
    "tofile": set(),
}
"""Calls that make something last, and the modules that may: each has its points."""


@pytest.mark.parametrize("name", WRITERS)
def test_only_modules_with_points_write_what_is_meant_to_last(name: str) -> None:
    package = REPOSITORY / "memprog"
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == name
    }
    assert found <= WRITERS[name], os.linesep.join(sorted(found))
