"""The option ``--junit``: what a verify found, or why there was none, as a file for build servers."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from memprog.cli import sentences
from memprog.cli.options import Command, argv, invocation
from memprog.cli.outputs import check_path
from memprog.cli.streams import say
from memprog.errors import InputError

_FILE = click.Path(dir_okay=False, path_type=Path)


def with_junit(command: Command) -> Command:
    """Give the command a file ``junit``, from a path or none; goes above all that can fail."""

    @functools.wraps(command)
    def run(*, junit: Path | None, quiet: bool, **rest: Any) -> Any:
        file = JUnitFile(path=junit, argv=argv(), quiet=quiet)
        with file.noting_errors():
            return command(junit=file, quiet=quiet, **rest)

    option = click.option(
        "--junit", type=_FILE, metavar="FILE", help="Write the verify as JUnit XML too, a test an array."
    )
    return option(run)


class _UnwritableError(InputError):
    """The JUnit file itself is the trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JUnitFile:
    """Where the JUnit file of one command goes; without a path nothing is written."""

    path: Path | None
    argv: tuple[str, ...]
    quiet: bool

    @contextlib.contextmanager
    def noting_errors(self) -> Iterator[None]:
        """Write down why there was no verify, whatever the reason, so that no older file speaks for this run."""
        try:
            yield
        except (click.ClickException, _UnwritableError):
            raise
        except BaseException as error:
            self._note(error)
            raise

    def require_verify(self, *, verify: bool) -> None:
        """Refuse to show a verify that there will not be.

        Raises:
            click.UsageError: a file was asked for, and no verify.
        """
        if self.path is not None and not verify:
            raise click.UsageError("--junit shows a verify, and with --no-verify or --dry-run there is none.")

    def write(self, fields: Mapping[str, Any] | None) -> None:
        """Write what a verify found, if there was one.

        Raises:
            InputError: the file cannot be written.
        """
        if self.path is not None and fields is not None:
            from memprog.report.junit import junit_report

            _write(self.path, junit_report(fields))

    def _note(self, error: BaseException) -> None:
        """Write an error; that the file cannot be written is the smaller of two troubles, and only mentioned."""
        if self.path is None:
            return
        from memprog.report.junit import junit_error

        try:
            _write(self.path, junit_error(_sentence(error), type(error).__name__, self.argv))
        except InputError as unwritable:
            if not self.quiet:
                say(f"Warning: {unwritable}")


def _sentence(error: BaseException) -> str:
    """Say what standard error will; of a crash, whose log is not written yet, what it was."""
    given = invocation().given
    said = sentences.message(error, given) or sentences.foreign(error)
    return "; ".join([said, *sentences.notes(error, given)])


def _write(path: Path, text: bytes) -> None:
    from memprog.files import make_folder, refuse_binary, replace_whole

    try:
        # Again, because an error is also noted where it came before the paths were looked at, or from that.
        check_path(click.get_current_context(), "junit", path)
        refuse_binary(path)
        make_folder(path.parent)
        replace_whole(path, text)
    except InputError as error:
        raise _UnwritableError(str(error)) from error
