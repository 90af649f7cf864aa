"""What there is to say of an ending in one sentence, wherever it is said: standard error, JSON, JUnit."""

from __future__ import annotations

import contextlib

import click

from memprog.cli.advice import Given, completed
from memprog.errors import MemprogError

_REPORTED = 300
"""Letters of a foreign error that a sentence repeats; the log has the rest."""


def message(ending: BaseException, given: Given) -> str | None:
    """Say how it ended; None for an ending that nobody foresaw.

    Args:
        ending: an error, or what a signal raised.
        given: options that the commands in the sentence need, too; see advice.
    """
    match ending:
        case click.ClickException():
            return ending.format_message()
        case click.Abort() | KeyboardInterrupt():
            return "interrupted"
        case MemprogError():
            return completed(str(ending), given)
        case OSError():
            return os_sentence(ending)
        case MemoryError():
            return f"there is not enough memory for this ({foreign(ending)})"
        case _:
            return None


def notes(ending: BaseException, given: Given) -> list[str]:
    """Say what was noted on the way out, such as how to go on."""
    noted = getattr(ending, "__notes__", []) if isinstance(ending, MemprogError | KeyboardInterrupt) else []
    return [completed(note, given) for note in noted]


def os_sentence(error: OSError) -> str:
    """Say what the system refused, and for which file."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def foreign(error: BaseException) -> str:
    """Kind and text of a foreign error on one line; even asking for the text may fail."""
    text = ""
    with contextlib.suppress(Exception):
        text = " ".join(str(error).split())[:_REPORTED]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
