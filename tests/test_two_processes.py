"""Two processes and one chip: the second is told in one sentence, and the chip is as if it had never come."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from holding import finish, memprog, on, small_bench, waiting
from loop_cases import Bench

from memprog.cli.app import COMMANDS
from memprog.simchip import SimChip

BUSY = (
    r"Error: chip SIM-[0-9a-f]{12} is in use by process (\d+) \(memprog program, since \S+\+00:00\); "
    r"nothing was done\n"
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return small_bench(tmp_path / "bench")


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder but the side files of the journal, which readers may touch."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


@pytest.mark.parametrize(
    "words",
    [
        ("program", "--array"),
        ("program", "--array", "--dry-run"),
        ("program", "--array", "--no-verify", "--yes"),
        ("verify",),
        ("read", "--out", "conductances.npy"),
        ("info",),
        ("sim", "new", "--force"),
    ],
    ids=" ".join,
)
def test_second_process_is_refused_and_changes_nothing(words: tuple[str, ...], bench: Bench, tmp_path: Path) -> None:
    with waiting(*on(bench, "program", "--array")) as first:
        before = files(tmp_path)
        second = memprog(*on(bench, *words), cwd=tmp_path)
        assert (second.code, second.out) == (5, "")
        match = re.fullmatch(BUSY, second.err)
        assert match is not None, second.err
        assert int(match[1]) == first.pid
        assert files(tmp_path) == before
        assert finish(first).code in {0, 1}


def test_the_first_is_not_disturbed_by_those_that_were_refused(bench: Bench, tmp_path: Path) -> None:
    twin = small_bench(tmp_path / "twin")
    with waiting(*on(bench, "program", "--array", "--format", "json")) as first:
        for words in (("program", "--array"), ("verify",), ("info",)):
            assert memprog(*on(bench, *words)).code == 5
        disturbed = finish(first).fields
    alone = memprog(*on(twin, "program", "--array", "--format", "json")).fields
    for key in ("pulses_total", "cells_done", "rounds", "chip_time_s"):
        assert disturbed[key] == alone[key], key
    assert bench.workspace.chip_path.read_bytes() == twin.workspace.chip_path.read_bytes()


def test_chip_reached_by_another_path_is_the_same_chip(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "link.sim").symlink_to(bench.workspace.chip_path)
    with waiting(*on(bench, "program", "--array")):
        assert memprog(*on(bench, "info", "--chip", str(tmp_path / "link.sim"))).code == 5
        away = memprog("info", "--workspace", "bench/.memprog", "--profile", bench.profile, cwd=tmp_path)
        assert away.code == 5


def test_twin_of_the_same_seed_in_another_file_is_another_chip(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other.sim"
    shutil.copyfile(bench.workspace.chip_path, other)
    paths = ("--chip", str(other), "--journal", str(tmp_path / "other.sqlite"))
    with waiting(*on(bench, "program", "--array")):
        twin = memprog(*on(bench, "program", "--array", "--format", "json", *paths))
    assert twin.code in {0, 1}
    assert twin.fields["chip"]["serial"] == SimChip(bench.workspace.chip_path, bench.kind).identity.serial


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        # Comes with the command itself.
        pytest.param(("runs",), marks=pytest.mark.skipif("runs" not in COMMANDS, reason="no such command yet")),
    ],
    ids=" ".join,
)
def test_commands_that_only_look_at_files_need_no_chip(words: tuple[str, ...], bench: Bench) -> None:
    with waiting(*on(bench, "program", "--array")) as first:
        looked = memprog(*on(bench, *words))
        assert (looked.code, looked.err) == (0, "")
        assert "running" in looked.out
        assert finish(first).code in {0, 1}


def test_chip_is_free_when_its_owner_is_done(bench: Bench) -> None:
    with waiting(*on(bench, "program", "--array")) as first:
        finish(first)
        assert memprog(*on(bench, "info")).code == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_chip_is_free_when_its_owner_was_killed(bench: Bench) -> None:
    with waiting(*on(bench, "program", "--array")) as first:
        first.send_signal(signal.SIGKILL)
        assert first.wait(timeout=60) == -signal.SIGKILL
        assert memprog(*on(bench, "info")).code == 0
