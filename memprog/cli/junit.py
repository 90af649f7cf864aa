"""The option ``--junit``: what a verify found, or why there was none, as a file for build servers."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memprog.cli.console import Console
from memprog.cli.options import Command
from memprog.errors import InputError

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace

_FILE = click.Path(dir_okay=False, path_type=Path)


def junit_option(command: Command) -> Command:
    """Give the command the path ``junit``, or None."""
    option = click.option(
        "--junit", type=_FILE, metavar="FILE", help="Write the verify as JUnit XML too, a test an array."
    )
    return option(command)


def with_junit(command: Command) -> Command:
    """Make of the path ``junit`` a file that also tells how the command failed; goes below what gives the console."""

    @functools.wraps(command)
    def run(*, console: Console, workspace: Workspace, junit: Path | None, **rest: Any) -> Any:
        file = JUnitFile(path=junit, console=console)
        file.check(workspace)
        with file.noting_errors():
            return command(console=console, workspace=workspace, junit=file, **rest)

    return run


class _UnwritableError(InputError):
    """The JUnit file itself is the trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JUnitFile:
    """Where the JUnit file of one command goes; without a path nothing is written."""

    path: Path | None
    console: Console

    def check(self, workspace: Workspace) -> None:
        """Refuse a path at which something lies that is worth more.

        Raises:
            InputError: it is the image, the chip, the journal, or what belongs to one of these.
        """
        kept = [path.resolve() for path in (workspace.image_path, workspace.chip_path, workspace.journal_path)]
        mine = None if self.path is None else self.path.resolve()
        # Companions, such as chip.sim.record or journal.sqlite-wal, begin with the name of what they belong to.
        if mine and any(mine.parent == path.parent and mine.name.startswith(path.name) for path in kept):
            raise InputError(f"{self.path}: the JUnit file would replace a file of the workspace; nothing was done")

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

        kind = type(error).__name__
        try:
            _write(self.path, junit_error(str(error) or kind, kind, self.console.argv))
        except InputError as unwritable:
            self.console.note(f"Warning: {unwritable}")


def _write(path: Path, text: bytes) -> None:
    from memprog.files import make_folder, replace_whole

    try:
        make_folder(path.parent)
        replace_whole(path, text)
    except InputError as error:
        raise _UnwritableError(str(error)) from error
