"""The one place that turns every way a run can end into an exit code and at most one sentence."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import click

from memprog.cli.app import app
from memprog.cli.streams import say, silence, soften
from memprog.errors import (
    EXIT_INPUT,
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    MemprogError,
    StoppedError,
)

_STOP_SIGNALS = ("SIGTERM", "SIGHUP", "SIGBREAK")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code; no traceback ever reaches the user.

    Args:
        argv: the words after ``memprog``; by default those of the running program.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    soften(sys.stdout)
    soften(sys.stderr)
    with _stop_signals_raise():
        return _flushed(_ended(words))


def _ended(words: list[str]) -> int:
    """Run and map every ending that is not a crash."""
    try:
        return _invoke(words)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as mistake:
        with contextlib.suppress(OSError, ValueError):
            mistake.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return EXIT_INTERRUPTED
    except MemprogError as error:
        say(f"Error: {error}")
        return error.exit_code
    except BrokenPipeError:  # of help: a command's own output does not raise it, and a device's is InstrumentError
        silence(sys.stdout)
        return EXIT_OK
    except OSError as error:
        say(f"Error: {_os_sentence(error)}")
        return EXIT_INPUT
    except Exception as error:  # noqa: BLE001 - the last clause: a crash becomes one sentence and a log
        return _crashed(error, words)


def _invoke(words: list[str]) -> int:
    """Run without click's own main, which would turn a closed pipe into exit code 1."""
    if "_MEMPROG_COMPLETE" in os.environ:
        app.main(prog_name="memprog")
    with app.make_context("memprog", list(words), obj=("memprog", *words)) as context:
        code: Any = app.invoke(context)
    return code if isinstance(code, int) else EXIT_OK


def _os_sentence(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def _crashed(error: Exception, words: list[str]) -> int:
    log = _write_crash_log(error, words)
    where = f"the log is {log}" if log else "and no log could be written"
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    say(f"Error: memprog failed inside ({reason[:300]}); {where}")
    return EXIT_INTERNAL


def _write_crash_log(error: Exception, words: list[str]) -> str | None:
    """Write the traceback to a new file in the temporary folder; None where that fails too."""
    import tempfile  # these two cost a sixth of the start-up time
    import traceback

    text = f"memprog {' '.join(words)}\n\n{''.join(traceback.format_exception(error))}"
    try:
        number, path = tempfile.mkstemp(prefix="memprog-", suffix=".log")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as log:
            log.write(text)
    except OSError:
        return None
    return path


def _flushed(code: int) -> int:
    """Find out now, not at interpreter exit, whether the last of the output arrived."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError as error:
        silence(sys.stdout)
        say(f"Error: standard output: {_os_sentence(error)}")
        return code or EXIT_INPUT
    return code


@contextlib.contextmanager
def _stop_signals_raise() -> Iterator[None]:
    """Turn a polite request to stop into StoppedError, so that every clean-up on the way out runs."""
    former: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in _STOP_SIGNALS if hasattr(signal, name)]
        # One that is ignored stays ignored: that is what nohup asks for.
        wanted = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
        former = {number: signal.signal(number, _raise_stopped) for number in wanted}
    try:
        yield
    finally:
        for number, action in former.items():
            signal.signal(number, action)


def _raise_stopped(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not cut the clean-up short
    raise StoppedError(f"stopped by {signal.Signals(number).name} before the end")
