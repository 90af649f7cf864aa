"""What a command writes to: its result on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from memprog.cli.progress import Bar, Feed, Nothing, Plain, Shows, describe
from memprog.cli.streams import say, write_line

if TYPE_CHECKING:
    from memprog.jobs.progress import Progress
    from memprog.jobs.writing import Caller
    from memprog.report.base import Report

Lines = Callable[[dict[str, Any]], Sequence[str]]
"""From a report's fields to the lines a person reads."""

_LOGGERS = ("memprog", "memprog_drivers")


@dataclass(kw_only=True)
class Invocation:
    """One command line: its words, memprog in front, and of the command, when it begins, its console and options.

    ``given`` holds the options that commands in advice need, too; see advice.
    """

    words: tuple[str, ...]
    console: Console | None = None
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Console:
    """One command's way to the outside, set up by the options all commands share."""

    output: str = "text"
    progress: str = "auto"
    quiet: bool = False
    verbose: int = 0
    log_file: Path | None = None
    argv: tuple[str, ...] = ("memprog",)
    configuration: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of every setting the value that holds and its origin."""
    _display: Shows | None = field(default=None, init=False)
    _open: ExitStack = field(default_factory=ExitStack, init=False)
    _stopped: Progress | None = field(default=None, init=False)
    _shown: bool = field(default=False, init=False)

    def __enter__(self) -> Self:
        """Start logging."""
        with ExitStack() as opening:
            opening.callback(setattr, logging, "raiseExceptions", logging.raiseExceptions)
            logging.raiseExceptions = False  # a log that cannot be written must not print a traceback
            self._start_logs(opening)
            self._open = opening.pop_all()
        logging.getLogger("memprog").info("started as: %s", " ".join(self.argv))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Take the bar away, note how it ended, stop logging; none of it may change how it ended."""
        with contextlib.suppress(OSError):
            self._close_display()
        if kind is not None:
            logging.getLogger("memprog").info("ended by %s: %s", kind.__name__, error)
        self._open.close()

    def caller(self) -> Caller:
        """Say who asks for a run, for the journal."""
        from memprog.jobs.writing import Caller

        return Caller(argv=self.argv, configuration=self.configuration)

    def listen(self, progress: Progress) -> None:
        """Show how far a job is; this is the listener that jobs are given."""
        if logging.getLogger("memprog").isEnabledFor(logging.DEBUG):
            logging.getLogger("memprog").debug("%s: %s", progress.kind, progress.message or describe(progress))
        if self._display is None:
            self._display = self._choose_display()
        if progress.kind == "stopped":
            self._stopped = progress
            if self.output != "jsonl":  # a sentence will say it
                return
        self._display.show(progress)

    def show(self, report: Report, lines: Lines) -> None:
        """Print the result in the format that was asked for."""
        self.show_fields(report.to_dict(), lines)

    def show_fields(self, fields: dict[str, Any], lines: Lines) -> None:
        """Print a result that is already in JSON's terms; as JSON it also says what made it."""
        self._close_display()
        if fields.get("simulated"):
            self.note("SIMULATED: no silicon was involved.")
        if self.output == "text":
            write_line(sys.stdout, "\n".join(lines(fields)))
            return
        self._shown = True
        self._print(fields, "summary")

    def fail(self, exit_code: int, message: str, way_on: Sequence[str]) -> None:
        """Print, where programs read, that there is no result and why; a result that was printed stands alone."""
        if self.output == "text" or (self.output == "json" and self._shown):
            return
        from memprog.report.failure import failure

        stopped = None if self._stopped is None else dataclasses.asdict(self._stopped)
        self._print(failure(exit_code, message, way_on, stopped).to_dict(), "error")

    def _print(self, fields: dict[str, Any], event: str) -> None:
        from memprog.cli.provenance import provenance

        fields = fields | {"provenance": provenance(self.argv, self.configuration)}
        if self.output == "json":
            write_line(sys.stdout, json.dumps(fields, indent=2, allow_nan=False))
        else:
            Feed(sys.stdout).event(event, fields)

    def note(self, sentence: str) -> None:
        """Tell the operator something that is not the result."""
        if not self.quiet:
            write_line(sys.stderr, sentence)

    def _choose_display(self) -> Shows:
        if self.output == "jsonl":
            return Feed(sys.stdout)
        if self.quiet or self.progress == "none":
            return Nothing(None if self.quiet else sys.stderr)
        # A bar in a log is noise, so one that was asked for appears on a terminal only, too.
        on_terminal = sys.stderr is not None and sys.stderr.isatty()
        in_peace = self.progress != "plain" and self.verbose < 2  # every round is logged to the same terminal then
        return Bar(sys.stderr) if on_terminal and in_peace else Plain(sys.stderr)

    def _close_display(self) -> None:
        if self._display is not None:
            self._display.close()
            self._display = None

    def _start_logs(self, opening: ExitStack) -> None:
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(self.verbose, 2)]
        _log_to(logging.StreamHandler(sys.stderr), logging.ERROR if self.quiet else level, opening)
        if self.log_file is not None:
            _log_to(_LogFile(self.log_file), logging.DEBUG, opening)


class _LogFile(logging.FileHandler):
    """A log whose disk may fill up: that is told once, at the end, and stops nothing."""

    def __init__(self, path: Path) -> None:
        from memprog.files import refuse_binary

        refuse_binary(path)
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._path, self._failure = path, ""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's signature
        """Remember what was wrong."""
        self._failure = self._failure or _reason(sys.exc_info()[1])

    def close(self) -> None:
        """Let go of the file, and tell what did not get into it."""
        try:
            super().close()
        except OSError as error:
            self._failure = self._failure or _reason(error)
        if self._failure:
            say(f"Warning: {self._path}: the log is incomplete: {self._failure}")
            self._failure = ""


def _reason(error: BaseException | None) -> str:
    return getattr(error, "strerror", None) or str(error)


def _log_to(receiver: logging.Handler, level: int, opening: ExitStack) -> None:
    """Send what memprog logs to one more place until the stack is closed."""
    receiver.setLevel(level)
    receiver.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    opening.callback(receiver.close)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        opening.callback(logger.removeHandler, receiver)
        opening.callback(logger.setLevel, logger.level)
        logger.addHandler(receiver)
        logger.setLevel(min(level, logger.level or level))
