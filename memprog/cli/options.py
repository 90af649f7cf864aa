"""Options that several commands share, each group folded into one value."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import click

from memprog.cli import kinds
from memprog.cli.console import Console
from memprog.errors import InstrumentError

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)

_OUTPUT: Sequence[Decorator] = (
    click.option(
        "--format",
        "output",
        type=click.Choice(["text", "json", "jsonl"]),
        default="text",
        show_default=True,
        help="Of the result on standard output.",
    ),
    click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "plain", "none"]),
        default="auto",
        show_default=True,
        help="How to show progress on standard error; a bar appears on a terminal only.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Only the result and errors."),
    click.option("-v", "--verbose", count=True, help="Log to standard error; twice for more."),
    click.option("--log-file", type=_FILE, help="Append everything that is logged to this file."),
)

_CHIP: Sequence[Decorator] = (
    click.option("--backend", default="sim", show_default=True, help="What the chip stands behind."),
    click.option("--profile", help="Name of a profile, or a YAML file; by default the image's."),
    click.option("--expect-serial", metavar="SERIAL", help="Refuse any other chip than this one."),
)

_WORKSPACE = click.option(
    "--workspace",
    type=_FOLDER,
    envvar="MEMPROG_WORKSPACE",
    show_envvar=True,
    help="Folder of image, simulated chip and journal; by default .memprog here.",
)

_PATHS = {
    "image": click.option("--image", type=_FILE, help="Image file, instead of the workspace's."),
    "chip": click.option("--chip", type=_FILE, help="File of the simulated chip, instead of the workspace's."),
    "journal": click.option("--journal", type=_FILE, help="Journal file, instead of the workspace's."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipChoice:
    """Which chip a command works on."""

    backend: str
    profile: str | None
    expect_serial: str | None

    def keywords(self) -> ChipKeywords:
        """Give the choice as the keyword arguments every job on a chip takes."""
        return {"backend": self.backend, "profile": self.profile, "expect_serial": self.expect_serial}


class ChipKeywords(TypedDict):
    """Keyword arguments of every job on a chip."""

    backend: str
    profile: str | None
    expect_serial: str | None


def with_console(command: Command) -> Command:
    """Give the command a ``console``, from the options on output, progress and logs."""

    @functools.wraps(command)
    def run(*, output: str, progress: str, quiet: bool, verbose: int, log_file: Path | None, **rest: Any) -> Any:
        settings = Console(
            output=output, progress=progress, quiet=quiet, verbose=verbose, log_file=log_file, argv=_argv()
        )
        with settings as console, _lost_links_are_instrument_errors():
            return command(console=console, **rest)

    return _decorated(run, _OUTPUT)


def with_chip(command: Command) -> Command:
    """Give the command a ``choice`` of chip."""

    @functools.wraps(command)
    def run(*, backend: str, profile: str | None, expect_serial: str | None, **rest: Any) -> Any:
        return command(choice=ChipChoice(backend=backend, profile=profile, expect_serial=expect_serial), **rest)

    return _decorated(run, _CHIP)


def with_workspace(*paths: str) -> Decorator:
    """Give the command a ``workspace``, of which the named paths (image, chip, journal) can be given singly."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*, workspace: Path | None, **rest: Any) -> Any:
            given = {name: rest.pop(name) for name in paths}
            return command(workspace=_open_workspace(workspace, given), **rest)

        return _decorated(run, (_WORKSPACE, *(_PATHS[name] for name in paths)))

    return decorate


def arrays_option(help_text: str) -> Decorator:
    """Give the command ``arrays``: None without the option, () for all, else the numbers."""
    return click.option(
        "--array", "arrays", type=kinds.arrays, is_flag=False, flag_value="all", metavar="[N,...]", help=help_text
    )


def out_option(help_text: str) -> Decorator:
    """Give the command ``out``, the file to write."""
    return click.option("--out", "-o", type=_FILE, required=True, help=help_text)


def min_yield_option(command: Command) -> Command:
    """Give the command ``min_yield``, None for the profile's."""
    option = click.option(
        "--min-yield", type=kinds.fraction, metavar="FRACTION", help="Exit code 1 below this; by default the profile's."
    )
    return option(command)


@contextlib.contextmanager
def _lost_links_are_instrument_errors() -> Iterator[None]:
    """Keep a link that broke apart from files that cannot be used, even where a driver forgot to."""
    try:
        yield
    except (ConnectionError, TimeoutError) as error:
        raise InstrumentError(f"the link was lost: {error.strerror or error or type(error).__name__}") from error


def _open_workspace(folder: Path | None, given: dict[str, Path | None]) -> Workspace:
    from memprog.jobs.workspace import open_workspace

    return open_workspace(folder, **given)


def _argv() -> tuple[str, ...]:
    words = click.get_current_context().find_object(tuple)
    return ("memprog",) if words is None else words


def _decorated(command: Command, decorators: Sequence[Decorator]) -> Command:
    """Apply from the last to the first, which is the order of the help text."""
    for decorate in reversed(decorators):
        command = decorate(command)
    return command
