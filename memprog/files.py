"""Whole files in and out: read with a cap, and replaced in one step, so that no half-written file is ever seen."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from memprog import faults
from memprog.errors import InputError

MAX_BYTES = 4 << 30
"""The largest file that is read into memory, and the most a compressed one may unfold to."""


def read_whole(path: Path) -> bytes:
    """Read a file that must be there, hold something, and be of a sane size.

    Raises:
        InputError: no file, no permission, empty, or larger than MAX_BYTES.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: there is no such file")
        size = path.stat().st_size
        if not 0 < size <= MAX_BYTES:
            raise InputError(f"{path}: holds {size} bytes; 1 to {MAX_BYTES} can be read")
        return path.read_bytes()
    except (OSError, MemoryError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is not enough memory"
        raise InputError(f"{path}: cannot be read: {reason}") from error


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

    Raises:
        InputError: the folder cannot be written to, or a folder or a device stands there.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: cannot be written: it is no ordinary file; nothing was changed")
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
