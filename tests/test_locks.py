"""A chip has one owner on this machine; the lock is the operating system's and dies with its process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import environment

from memprog.errors import InputError, LimitError
from memprog.locks import owned

NOBODY = 65534
HOLD = """
import os, sys
import json
if os.name != 'nt': import fcntl  # before another user is taken on, who may not read the interpreter's files
from memprog.errors import MemprogError
from memprog.locks import owned
if len(sys.argv) > 2:
    os.setuid(int(sys.argv[2]))
try:
    with owned(sys.argv[1], "memprog program"):
        print("held", flush=True)
        sys.stdin.readline()
except MemprogError as error:
    print(f"{error.exit_code} {error}", flush=True)
"""

needs_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such thing")
needs_root = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another")


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of locks for this test, not made yet."""
    monkeypatch.setenv("MEMPROG_LOCKS", str(tmp_path / "locks"))
    return tmp_path / "locks"


def start(identity: str, *, user: int | None = None, **options: object) -> subprocess.Popen[str]:
    """Start a process that asks for a chip and keeps it until it gets a line."""
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", HOLD, identity, *([] if user is None else [str(user)])],
        env=environment(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        **options,
    )


def said(child: subprocess.Popen[str]) -> str:
    """The next line a process writes."""
    assert child.stdout is not None
    return child.stdout.readline().rstrip("\n")


@contextlib.contextmanager
def holder(identity: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a chip as long as the block lasts."""
    with start(identity, **options) as child:
        try:
            assert said(child) == "held"
            yield child
        finally:
            child.kill()


def ask(identity: str, **options: Any) -> None:
    """Own a chip for a moment."""
    with owned(identity, "test", **options):
        pass


def lock_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.lock"))


def test_second_process_is_told_who_holds_the_chip(locks: Path) -> None:
    with holder("chip A") as first, start("chip A") as second:
        line = said(second)
    sentence = (
        rf"5 chip chip A is in use by process {first.pid} \(memprog program, since \d{{4}}-\d\d-\d\dT[\d:]+\+00:00\)"
    )
    assert re.fullmatch(sentence + "; nothing was done", line)


def test_name_of_the_chip_is_used_in_the_sentence(locks: Path) -> None:
    with holder("maker model SIM-1 there"), pytest.raises(LimitError, match=r"^chip SIM-1 is in use"):
        ask("maker model SIM-1 there", name="SIM-1")


def test_another_chip_is_free(locks: Path) -> None:
    with holder("chip A"), holder("chip B"), owned("chip C", "test"):
        assert len(lock_files(locks)) == 3


def test_of_two_that_ask_at_once_exactly_one_is_let_in(locks: Path) -> None:
    children = [start("chip A") for _ in range(6)]
    try:
        lines = [said(child) for child in children]
    finally:
        for child in children:
            child.communicate("\n", timeout=60)
    assert sorted(line.split()[0] for line in lines) == ["5"] * 5 + ["held"]


@needs_posix
def test_name_of_a_file_is_the_same_chip_in_every_locale(locks: Path) -> None:
    with owned("chip \u00e9", "in UTF-8"), pytest.raises(LimitError, match="in UTF-8"):
        ask("chip \udcc3\udca9")


def test_lock_ends_with_its_block(locks: Path) -> None:
    with owned("chip A", "first"):
        pass
    with owned("chip A", "second"), start("chip A") as child:
        assert said(child).startswith("5 chip chip A is in use by process")
    with holder("chip A"):
        pass


def test_an_error_in_the_block_frees_the_chip(locks: Path) -> None:
    with pytest.raises(ZeroDivisionError), owned("chip A", "first"):
        raise ZeroDivisionError
    with owned("chip A", "second"):
        pass


@needs_posix
def test_kill_frees_the_chip_and_what_is_left_means_nothing(locks: Path) -> None:
    with start("chip A") as child:
        assert said(child) == "held"
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait(timeout=60) == -signal.SIGKILL
    (left,) = lock_files(locks)
    assert str(child.pid) in left.read_text()
    with owned("chip A", "test"):
        assert str(os.getpid()) in left.read_text()


def test_second_owner_in_the_same_process_is_refused(locks: Path) -> None:
    with owned("chip A", "first"):
        with pytest.raises(LimitError, match=rf"in use by process {os.getpid()} \(first, since"):
            ask("chip A")
        with start("chip A") as child:  # the refused one took nothing with it
            assert said(child).startswith("5 ")


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.pauses = 100.0, list[float]()

    def now_s(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def test_waits_as_long_as_asked_and_no_longer(locks: Path) -> None:
    clock = Clock()
    with owned("chip A", "first"), pytest.raises(LimitError):
        ask("chip A", timeout_s=1.5, now_s=clock.now_s, sleep=clock.sleep)
    assert sum(clock.pauses) == pytest.approx(1.5)
    assert max(clock.pauses) <= 0.2
    assert clock.pauses[:3] == sorted(clock.pauses[:3])


def test_does_not_wait_unasked(locks: Path) -> None:
    clock = Clock()
    with owned("chip A", "first"), pytest.raises(LimitError):
        ask("chip A", now_s=clock.now_s, sleep=clock.sleep)
    assert clock.pauses == []


def test_owner_that_leaves_in_time_is_followed(locks: Path) -> None:
    with start("chip A") as child:
        assert said(child) == "held"

        def leave(_: float) -> None:
            child.communicate("\n", timeout=60)

        with owned("chip A", "second", timeout_s=60.0, sleep=leave):
            assert child.returncode == 0


@needs_posix
def test_files_are_open_to_all_users_whatever_the_umask(locks: Path) -> None:
    with holder("chip A", umask=0o077):
        (file,) = lock_files(locks)
        assert stat.S_IMODE(file.stat().st_mode) == 0o666
        assert stat.S_IMODE(locks.stat().st_mode) == 0o1777


@pytest.fixture
def open_locks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of locks that other users can get to, unlike pytest's own folders."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "locks").mkdir()
        (Path(folder) / "locks").chmod(0o1777)
        monkeypatch.setenv("MEMPROG_LOCKS", f"{folder}/locks")
        yield Path(folder) / "locks"


@needs_root
def test_two_users_exclude_each_other(open_locks: Path) -> None:
    with holder("chip A"), start("chip A", user=NOBODY) as other:
        assert said(other).startswith("5 chip chip A is in use by process")
    with holder("chip B", user=NOBODY), pytest.raises(LimitError), owned("chip B", "root"):
        pass
    (theirs,) = [path for path in lock_files(open_locks) if path.stat().st_uid == NOBODY]
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o666


@needs_root
def test_folder_that_cannot_be_written_names_the_variable(open_locks: Path) -> None:
    open_locks.chmod(0o755)
    with start("chip A", user=NOBODY) as other:
        line = said(other)
    assert re.fullmatch(r"3 \S+\.lock: cannot hold the lock of a chip: Permission denied; MEMPROG_LOCKS names .*", line)


@needs_root
def test_file_that_may_only_be_read_still_locks(open_locks: Path) -> None:
    with owned("chip A", "root"):
        pass
    (file,) = lock_files(open_locks)
    file.chmod(0o644)
    open_locks.chmod(0o755)
    with holder("chip A", user=NOBODY), pytest.raises(LimitError, match="in use by another process"):
        ask("chip A")


@pytest.mark.parametrize("below", ["", "/deeper"], ids=["file", "below a file"])
def test_folder_that_is_a_file_is_refused(below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("precious")
    monkeypatch.setenv("MEMPROG_LOCKS", f"{tmp_path}/file{below}")
    with pytest.raises(InputError, match="MEMPROG_LOCKS"), owned("chip A", "test"):
        pass
    assert (tmp_path / "file").read_text() == "precious"


@needs_posix
def test_folder_that_is_a_link_is_refused(locks: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    locks.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"it is a link; MEMPROG_LOCKS"), owned("chip A", "test"):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []


@needs_posix
@pytest.mark.parametrize("kind", ["symlink", "dangling", "hard link", "fifo"])
def test_trap_in_the_place_of_a_lock_file_is_refused_and_what_it_leads_to_is_whole(
    kind: str, locks: Path, tmp_path: Path
) -> None:
    with owned("chip A", "test"):
        pass
    (file,) = lock_files(locks)
    file.unlink()
    victim = tmp_path / "victim"
    if kind != "dangling":
        victim.write_text("precious")
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "hard link":
        file.hardlink_to(victim)
    else:
        file.symlink_to(victim)
    with pytest.raises(InputError, match="cannot hold the lock"), owned("chip A", "test"):
        pass
    assert victim.exists() == (kind != "dangling")
    assert kind == "dangling" or victim.read_text() == "precious"


@needs_posix
@pytest.mark.parametrize(
    ("text", "said_of"),
    [
        (b"", "another process"),
        (b"\xff\xfe\x00", "another process"),
        (b"[" * 1024, "another process"),
        (b'{"pid": "x", "label": 1, "utc": 2}', "another process"),
        (b'{"pid": 7, "label": "\\u001b[2J\\n", "utc": "now"}', r"process 7 \(\?\[2J\?, since now\)"),
        (b'{"pid": 7, "label": "' + b"a" * 5000 + b'", "utc": "now"}', "another process"),
    ],
    ids=["empty", "bytes", "deep", "types", "escape", "long"],
)
def test_nothing_written_in_a_lock_file_does_harm(text: bytes, said_of: str, locks: Path) -> None:
    with owned("chip A", "first"):
        lock_files(locks)[0].write_bytes(text)
        with pytest.raises(LimitError, match=rf"^chip chip A is in use by {said_of}; nothing was done$"):
            ask("chip A")
