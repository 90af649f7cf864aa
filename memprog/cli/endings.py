"""The one place that turns every way a run can end into an exit code and at most one sentence."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from memprog.cli import sentences
from memprog.cli.app import app
from memprog.cli.console import Invocation
from memprog.cli.signals import Wishes, caught
from memprog.cli.streams import say, silence, soften
from memprog.errors import (
    EXIT_INPUT,
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    MemprogError,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code; no traceback ever reaches the user.

    Args:
        argv: the words after ``memprog``; by default those of the running program, which ends with this call.
    """
    invocation = Invocation(words=("memprog", *(sys.argv[1:] if argv is None else argv)))
    with caught(for_good=argv is None) as wishes:
        soften(sys.stdout)
        soften(sys.stderr)
        ending = _watched(invocation, wishes)
        code = _code(ending)
        with contextlib.suppress(Exception):  # whatever goes wrong while it is reported, it ended as it ended
            _report(ending, invocation)
        return _flushed(code)


def _watched(invocation: Invocation, wishes: Wishes) -> int | BaseException:
    """Run to the end, whichever it is; from then on signals are left unheard."""
    try:
        ending = _ended(invocation)
    except BaseException as second:  # noqa: BLE001 - a signal on the way out of the other one
        ending = second
    wishes.over = True
    # Libraries on the way out turn an interrupt into errors of their own: a crash after a signal is that signal's.
    if wishes.raised is not None and isinstance(ending, BaseException) and _is_crash(ending):
        return wishes.raised
    return ending


def _ended(invocation: Invocation) -> int | BaseException:
    try:
        return _invoke(invocation)
    except BaseException as ending:  # noqa: BLE001 - every ending there is
        return ending


def _invoke(invocation: Invocation) -> int:
    """Run without click's own main, which would turn a closed pipe into exit code 1."""
    if "_MEMPROG_COMPLETE" in os.environ:
        app.main(prog_name="memprog")
    with app.make_context("memprog", list(invocation.words[1:]), obj=invocation) as context:
        code: Any = app.invoke(context)
    return code if isinstance(code, int) else EXIT_OK


def _code(ending: int | BaseException) -> int:
    """Exit code of an ending; EXIT_INTERNAL for what nobody foresaw."""
    match ending:
        case int():
            return ending
        case click.exceptions.Exit():
            return ending.exit_code
        case SystemExit():
            return ending.code if isinstance(ending.code, int) else EXIT_INTERNAL if ending.code else EXIT_OK
        case click.ClickException():
            return EXIT_USAGE
        case click.Abort() | KeyboardInterrupt():
            return EXIT_INTERRUPTED
        case MemprogError():
            return ending.exit_code
        case BrokenPipeError():  # of help: a command's own output does not raise it, and a device's is InstrumentError
            return EXIT_OK
        case OSError() | MemoryError():
            return EXIT_INPUT
        case _:
            return EXIT_INTERNAL


def _is_crash(ending: BaseException) -> bool:
    return not isinstance(ending, MemprogError) and _code(ending) == EXIT_INTERNAL


def _report(ending: int | BaseException, invocation: Invocation) -> None:
    """Say how it ended in one sentence, where there is anything to say; to programs as an object, too."""
    if isinstance(ending, BrokenPipeError):
        silence(sys.stdout)
        return
    message = _message(ending, invocation)
    if message is None or isinstance(ending, int):
        return
    notes = sentences.notes(ending, invocation.given)
    if isinstance(ending, click.ClickException):
        ending.show()
    else:
        begin = "" if isinstance(ending, click.Abort | KeyboardInterrupt) else "Error: "
        say(begin + "; ".join([message, *notes]))
    if invocation.console is not None:
        invocation.console.fail(_code(ending), message, notes)


def _message(ending: int | BaseException, invocation: Invocation) -> str | None:
    """What there is to say of an ending; None for nothing."""
    match ending:
        case int() | click.exceptions.Exit():
            return None
        case SystemExit() if _code(ending) != EXIT_INTERNAL:
            return None
        case _:
            said = sentences.message(ending, invocation.given)
            return _crash_message(ending, invocation.words) if said is None else said


def _crash_message(error: BaseException, words: Sequence[str]) -> str:
    log = None
    with contextlib.suppress(Exception):
        log = _write_crash_log(error, words)
    where = f"the log is {log}" if log else "and no log could be written"
    return f"memprog failed inside ({sentences.foreign(error)}); {where}"


def _write_crash_log(error: BaseException, words: Sequence[str]) -> str:
    """Write the traceback to a new file in the temporary folder."""
    import tempfile  # these two cost a sixth of the start-up time
    import traceback

    text = f"{' '.join(words)}\n\n{''.join(traceback.format_exception(error))}"
    number, path = tempfile.mkstemp(prefix="memprog-", suffix=".log")
    with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as log:
        log.write(text)
    return path


def _flushed(code: int) -> int:
    """Find out now, not at interpreter exit, which would change the code, whether the last of the output arrived."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        silence(sys.stderr)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
    except (OSError, ValueError) as error:
        silence(sys.stdout)
        say(f"Error: standard output: {sentences.os_sentence(error) if isinstance(error, OSError) else error}")
        return code or EXIT_INPUT
    return code
