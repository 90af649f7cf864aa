"""Whole files in and out: read with a cap, and replaced in one step, so that no half-written file is ever seen."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import time
from pathlib import Path

from memprog import faults
from memprog.errors import InputError

MAX_BYTES = 4 << 30
"""The largest file that is read into memory, and the most a compressed one may unfold to."""
CHIP_BEGINS = b"memprog simchip"
"""How the file of a simulated chip of any version begins."""
_KEPT = {CHIP_BEGINS: "a simulated chip", b"SQLite format 3\0": "a journal or another database"}
_LONGEST_MARK = 64
_LEFT_OVER_S = 3600.0
"""Age of a half-written file whose writer must be gone: writing takes seconds at most."""


def read_whole(path: Path, most_bytes: int = MAX_BYTES) -> bytes:
    """Read a file that must be there, hold something, and be of a sane size.

    Raises:
        InputError: no file, no permission, empty, or larger than most_bytes.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: there is no such file")
        size = path.stat().st_size
        if not 0 < size <= most_bytes:
            raise InputError(f"{path}: holds {size} bytes; 1 to {most_bytes} can be read")
        return path.read_bytes()
    except (OSError, MemoryError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is not enough memory"
        raise InputError(f"{path}: cannot be read: {reason}") from error


def beginning(path: Path, most: int = _LONGEST_MARK) -> bytes:
    """Give the first bytes of an ordinary file; none where there is no such file, or none that can be read."""
    try:
        if not path.is_file():  # opening a pipe would wait for its other end
            return b""
        with path.open("rb") as stream:
            return stream.read(most)
    except (OSError, ValueError):
        return b""


def refuse_kept(path: Path) -> None:
    """Refuse to write where a chip or a journal lies, whoever they belong to.

    Raises:
        InputError: the file begins as one of them does.
    """
    begins = beginning(path)
    for mark, kind in _KEPT.items():
        if begins.startswith(mark):
            raise InputError(f"{path}: holds {kind}, which would be lost; nothing was written")


def refuse_unwritable(path: Path) -> None:
    """Refuse a place where a whole file is never put: a folder, a device, a chip, a journal.

    Raises:
        InputError: one of them stands there.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: cannot be written: it is no ordinary file; nothing was changed")
    refuse_kept(path)


def refuse_binary(path: Path) -> None:
    """Refuse to write text where something lies that is none: chip, journal, image, weights.

    Raises:
        InputError: the file begins as no text does.
    """
    refuse_kept(path)
    if b"\0" in beginning(path):
        raise InputError(f"{path}: holds something that is no text and would be lost; nothing was written")


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where there is none.

    Raises:
        InputError: something else stands there, or there is no permission.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made a folder: {error.strerror}") from error


def replace_whole(path: Path, data: bytes) -> None:
    """Put data in the place of a file: on any failure the old file, or none, is still there.

    A chip or a journal is never replaced: they are written by other means than this. What a process left that was
    killed in here is cleared away by a later one, when it is so old that nobody can still be writing it.

    Raises:
        InputError: the folder cannot be written to, or a folder, a device, a chip or a journal stands there.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        refuse_unwritable(path)
        _clear_left_over(path)
        faults.point("before file")
        with scratch.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        faults.point("inside file")
        scratch.replace(path)
        faults.point("after file")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}; nothing was changed") from error
    finally:
        with contextlib.suppress(OSError):  # a folder that is a file, a name that is too long: said above
            scratch.unlink(missing_ok=True)


def _clear_left_over(path: Path) -> None:
    for scratch in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - scratch.stat().st_mtime > _LEFT_OVER_S:
                scratch.unlink()
