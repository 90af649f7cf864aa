"""One owner a chip: locks of the operating system, named after a chip's identity, that die with their process.

Lock files are never deleted (whoever deletes one may let two owners in), and what stands in one means nothing unless
its lock is held. On Windows the lock lies on a byte far behind the text, because locked bytes cannot be read there.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from memprog.errors import InputError, LimitError

VARIABLE = "MEMPROG_LOCKS"
LONGEST_PAUSE_S = 0.2
_MOST_BYTES = 1024
_LOCKED_BYTE = 1 << 30


@contextlib.contextmanager
def owned(
    identity_text: str,
    label: str,
    *,
    name: str | None = None,
    timeout_s: float = 0.0,
    now_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Be the only owner of a chip on this machine, in this process too, until the end of the block.

    Args:
        identity_text: everything that tells the chip from any other.
        label: what holds it, for the sentence others get.
        name: what to call the chip in that sentence; by default its identity.
        timeout_s: how long to wait for another owner to leave.
        now_s: the clock that is meant.
        sleep: how to wait.

    Raises:
        LimitError: another owner holds it; the sentence says which.
        InputError: the folder of the locks cannot be used.
    """
    path = _folder() / f"{hashlib.sha256(identity_text.encode()).hexdigest()[:16]}.lock"
    number = _open(path)
    try:
        if not _taken(path, number, timeout_s, now_s, sleep):
            raise LimitError(f"chip {name or identity_text} is in use by {_holder(number)}; nothing was done")
        _sign(number, label)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # a lock outlives no process, so there is nothing to report
                os.ftruncate(number, 0)
                _unlock(number)
    finally:
        os.close(number)


def _folder() -> Path:
    """The folder all users of this machine share; TMPDIR and TEMP often differ from user to user."""
    given = os.environ.get(VARIABLE)
    shared = os.environ.get("PROGRAMDATA", "C:\\") if os.name == "nt" else "/tmp"  # noqa: S108 - files are checked
    path = Path(given) if given else Path(shared) / "memprog-locks"
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir(parents=True)
            path.chmod(0o1777)  # mkdir's own mode is cut by the umask
        mode = path.lstat().st_mode
    except OSError as error:
        raise _unusable(path, error.strerror) from error
    if not stat.S_ISDIR(mode):
        raise _unusable(path, "it is a link" if stat.S_ISLNK(mode) else "it is no folder")
    return path


def _open(path: Path) -> int:
    """Open a lock file, made if there is none; never through a link, and never one with a second name."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        number = _opened(path, flags)
    except OSError as error:
        raise _unusable(path, error.strerror) from error
    found = os.fstat(number)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(number)
        raise _unusable(path, "it is no plain file of its own")
    return number


def _opened(path: Path, flags: int) -> int:
    # Not O_CREAT alone: Linux refuses it for another user's file in a sticky folder (fs.protected_regular).
    with contextlib.suppress(FileNotFoundError):
        return _existing(path, flags)
    with contextlib.suppress(FileExistsError):
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | flags, 0o666)
        if hasattr(os, "fchmod"):
            os.fchmod(number, 0o666)
        return number
    return _existing(path, flags)


def _existing(path: Path, flags: int) -> int:
    """Open what is there; a file that may only be read can still be locked."""
    try:
        return os.open(path, os.O_RDWR | flags)
    except PermissionError:
        return os.open(path, os.O_RDONLY | flags)


def _taken(
    path: Path, number: int, timeout_s: float, now_s: Callable[[], float], sleep: Callable[[float], None]
) -> bool:
    """Try until the lock is taken or the time is over, with growing pauses."""
    end_s, pause_s = now_s() + timeout_s, 0.01
    while not _locked(path, number):
        left_s = end_s - now_s()
        if left_s <= 0:
            return False
        sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    return True


def _locked(path: Path, number: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(number, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # Windows says the second
        return False
    except OSError as error:
        raise _unusable(path, error.strerror) from error
    return True


def _unlock(number: int) -> None:
    """Let go; closing does that by itself except on Windows, where it may come late."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(number, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(number, msvcrt.LK_UNLCK, 1)


def _sign(number: int, label: str) -> None:
    """Write down who holds the lock; only those who are refused read it, so failing to is no failure."""
    utc = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    text = json.dumps({"pid": os.getpid(), "label": label[:100], "utc": utc})
    with contextlib.suppress(OSError):
        os.ftruncate(number, 0)
        os.lseek(number, 0, os.SEEK_SET)
        os.write(number, text.encode())


def _holder(number: int) -> str:
    """Say who holds the lock; the file is anyone's to write, so only harmless characters of it are repeated."""
    try:
        os.lseek(number, 0, os.SEEK_SET)
        found = json.loads(os.read(number, _MOST_BYTES))
        pid, label, utc = int(found["pid"]), str(found["label"]), str(found["utc"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
    return f"process {pid} ({_plain(label)}, since {_plain(utc)})"


def _plain(text: str) -> str:
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text[:100])


def _unusable(path: Path, reason: str | None) -> InputError:
    return InputError(f"{path}: cannot hold the lock of a chip: {reason}; {VARIABLE} names another folder")
