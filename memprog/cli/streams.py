"""Standard streams that never turn into a traceback: narrow encodings, readers that left."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO

import click


def soften(stream: TextIO | None) -> None:
    """Let a console that lacks a character print an escape instead of failing."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def silence(stream: TextIO | None) -> None:
    """Point a stream whose reader is gone at nothing, so that Python's last flush cannot fail."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)


def write_line(stream: TextIO | None, text: str) -> None:
    """Write one line; a reader that left, or a log that is full, is no reason to stop a chip half-way.

    Raises:
        OSError: anything else that is wrong with standard output, such as a full disk.
    """
    try:
        if stream is not None:
            click.echo(text, file=stream)
    except BrokenPipeError:
        silence(stream)
    except OSError:
        if stream is sys.stdout:
            silence(stream)  # what waits in its buffer would fail once more, at the end
            raise


def say(sentence: str) -> None:
    """Write a sentence to standard error on one line, whatever state that is in and whatever names it repeats."""
    with contextlib.suppress(OSError, ValueError):
        click.echo("".join(map(_printed, sentence)), err=True)


def _printed(letter: str) -> str:
    """Show a control character, which a file name may hold and a terminal would obey, as its escape."""
    return letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode()
