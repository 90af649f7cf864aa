"""Options that several commands share, each group folded into one value."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import click

from memprog.cli import config, kinds
from memprog.cli.advice import given_options
from memprog.cli.console import Console, Invocation
from memprog.cli.outputs import check_paths, folder_of_output
from memprog.errors import InputError, InstrumentError

if TYPE_CHECKING:
    from memprog.jobs.places import Region
    from memprog.jobs.workspace import Workspace

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def setting(key: str, *names: str, **attributes: Any) -> Decorator:
    """Make the option of a setting, whose check and default are those of the table."""
    known = config.SETTINGS[key]
    parameter = known.parameter or key
    return click.option(*names, parameter, type=known.kind, default=known.default, **attributes)


def _configure(context: click.Context, _: click.Parameter, chosen: Path | None) -> None:
    """Let what files and environment say stand where the command line says nothing."""
    if context.resilient_parsing:  # a shell asks for completions
        return
    context.meta[config.CHOSEN] = chosen
    context.meta[config.FILES] = [] if chosen is None else [chosen]
    context.meta[config.FILES] += config.standing_files()
    try:
        found = config.find(chosen)
    except InputError as error:  # raised when the rest of the command line is known: see with_plain_console
        context.meta[config.TROUBLE] = error
        return
    context.meta[config.FOUND] = found
    context.default_map = {
        config.SETTINGS[key].parameter or key: one.value for key, one in found.items() if key in config.SETTINGS
    }


def _limits(context: click.Context, _: click.Parameter, given: tuple[tuple[str, float], ...]) -> dict[str, float]:
    """Take the limits of the command line where they are tighter than those of the files."""
    found = context.meta.get(config.FOUND, {})
    for name, value in given:
        if len({other for named, other in given if named == name}) > 1:
            raise click.BadParameter(f"{name} is given twice, and differently.")
        key, said = f"limits.{name}", config.Found(value, config.COMMAND_LINE)
        if key not in found or config.tighter(key, said, found[key]):
            found[key] = said
    return {key.removeprefix("limits."): one.value for key, one in found.items() if key.startswith("limits.")}


_CONFIG = click.option(
    "--config",
    type=config.EXISTING_FILE,
    is_eager=True,  # before the options whose values it may give
    expose_value=False,
    callback=_configure,
    help="Settings, before those of memprog.yaml; see config show.",
)

_OUTPUT: Sequence[Decorator] = (
    setting("format", "--format", show_default=True, help="Of the result on standard output."),
    setting(
        "progress",
        "--progress",
        show_default=True,
        help="How to show progress on standard error; a bar appears on a terminal only.",
    ),
    setting("quiet", "-q", "--quiet/--no-quiet", help="Only the result and errors."),
    click.option(
        "-v",
        "--verbose",
        count=True,
        help="Log to standard error what began and how it ended; twice for every round, too.",
    ),
    setting("log_file", "--log-file", help="Append to this file what -vv logs."),
)

_CHIP: Sequence[Decorator] = (
    setting("backend", "--backend", show_default=True, metavar="NAME", help="What the chip stands behind."),
    setting(
        "profile", "--profile", metavar="PROFILE", help="Name of a profile, or a YAML file; by default the image's."
    ),
    setting("expect_serial", "--expect-serial", metavar="SERIAL", help="Refuse any other chip than this one."),
    setting(
        "timeout",
        "--timeout",
        metavar="SECONDS",
        show_default=True,
        help="Longest wait for a chip that another process holds, and for an instrument's answer.",
    ),
)

_WORKSPACE = setting("workspace", "--workspace", show_default=True, help="Folder of image, simulated chip and journal.")

_PATHS = {
    "image": click.option("--image", type=config.FILE, help="Image file, instead of the workspace's."),
    "chip": click.option("--chip", type=config.FILE, help="File of the simulated chip, instead of the workspace's."),
    "journal": click.option("--journal", type=config.FILE, help="Journal file, instead of the workspace's."),
}

_PLACES: Sequence[Decorator] = (
    click.option("--array", type=kinds.array, required=True, metavar="N", help="Number of the array."),
    click.option(
        "--region", type=kinds.region, metavar="R0:R1,C0:C1", help="Only this part of it; from 0, ends excluded."
    ),
    click.option("--cell", "cells", type=kinds.cell, multiple=True, metavar="R,C", help="Only this cell; repeatable."),
)

_MIN_YIELD = setting(
    "min_yield", "--min-yield", metavar="FRACTION", help="Exit code 1 below this; by default the profile's."
)

_LIMIT = click.option(
    "--limit",
    "limits",
    type=kinds.limit,
    multiple=True,
    metavar="NAME=VALUE",
    callback=_limits,
    help="Tighten a limit of the profile, such as set_max_v=2.0; repeatable.",
)

_RUN: Sequence[Decorator] = (
    setting(
        "denoise",
        "--denoise/--no-denoise",
        help="Quiet cells with sub-threshold pulses, or leave them out.  [default: denoise]",
    ),
    setting("verify", "--verify/--no-verify", help="Verify at the end, or leave it out.  [default: verify]"),
    _MIN_YIELD,
    setting("max_time", "--max-time", metavar="DURATION", help="Stop, to be resumed, after 90s, 10min or 2h."),
    setting("max_pulses", "--max-pulses", metavar="N", help="Stop, to be resumed, after so many pulses."),
    _LIMIT,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipChoice:
    """Which chip a command works on."""

    backend: str
    profile: str | None
    expect_serial: str | None
    timeout_s: float

    def keywords(self) -> ChipKeywords:
        """Give the choice as the keyword arguments every job on a chip takes."""
        return {
            "backend": self.backend,
            "profile": self.profile,
            "expect_serial": self.expect_serial,
            "timeout_s": self.timeout_s,
        }


class ChipKeywords(TypedDict):
    """Keyword arguments of every job on a chip."""

    backend: str
    profile: str | None
    expect_serial: str | None
    timeout_s: float


class RunSettings(TypedDict):
    """What a run that writes to a chip can be told, as keyword arguments of its job."""

    denoise: bool | None
    verify: bool
    min_yield: float | None
    max_time_s: float | None
    max_pulses: int | None
    limits: Mapping[str, float]


def with_console(command: Command) -> Command:
    """Give the command a ``console``, from the options on output, progress and logs, and the configuration."""
    return _CONFIG(with_plain_console(command))


def with_plain_console(command: Command) -> Command:
    """Give the command a ``console`` from its command line alone; for what looks at configuration itself."""

    @functools.wraps(command)
    def run(*, output: str, progress: str, quiet: bool, verbose: int, log_file: Path | None, **rest: Any) -> Any:
        context = click.get_current_context()
        settings = Console(
            output=output,
            progress=progress,
            quiet=quiet,
            verbose=verbose,
            log_file=log_file,
            argv=argv(),
            configuration=_configuration(),
        )
        under_way = invocation()
        under_way.console, under_way.given = settings, given_options(context)
        if config.TROUBLE in context.meta:
            raise context.meta[config.TROUBLE]
        check_paths(context)
        with settings as console, folder_of_output(context), _lost_links_are_instrument_errors():
            return command(console=console, **rest)

    return _decorated(run, _OUTPUT)


def with_chip(command: Command) -> Command:
    """Give the command a ``choice`` of chip."""

    @functools.wraps(command)
    def run(*, backend: str, profile: str | None, expect_serial: str | None, timeout: float, **rest: Any) -> Any:
        choice = ChipChoice(backend=backend, profile=profile, expect_serial=expect_serial, timeout_s=timeout)
        return command(choice=choice, **rest)

    return _decorated(run, _CHIP)


def with_workspace(*paths: str) -> Decorator:
    """Give the command a ``workspace``, of which the named paths (image, chip, journal) can be given singly."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*, workspace: Path, **rest: Any) -> Any:
            given = {name: rest.pop(name) for name in paths}
            return command(workspace=_open_workspace(workspace, given), **rest)

        return _decorated(run, (_WORKSPACE, *(_PATHS[name] for name in paths)))

    return decorate


def arrays_option(help_text: str) -> Decorator:
    """Give the command ``arrays``: None without the option, () for all, else the numbers."""
    return click.option(
        "--array", "arrays", type=kinds.arrays, is_flag=False, flag_value="all", metavar="[N,...]", help=help_text
    )


def places_options(command: Command) -> Command:
    """Give the command ``array``, and ``region`` and ``cells`` inside it, which exclude each other."""

    @functools.wraps(command)
    def run(*, region: Region | None, cells: tuple[tuple[int, int], ...], **rest: Any) -> Any:
        if region and cells:
            raise click.UsageError("--region and --cell exclude each other.")
        return command(region=region, cells=cells or None, **rest)

    return _decorated(run, _PLACES)


def limit_option(command: Command) -> Command:
    """Give the command ``limits``, those that are tighter than the profile's."""
    return _LIMIT(command)


def out_option(help_text: str) -> Decorator:
    """Give the command ``out``, the file to write."""
    return click.option("--out", "-o", type=config.FILE, required=True, help=help_text)


def new_profile_option(command: Command) -> Command:
    """Give the command ``profile``, where there is no image yet that would say."""
    help_text = "Name of a profile, or a YAML file.  [default: rao2023-11bit]"
    return setting("profile", "--profile", metavar="PROFILE", help=help_text)(command)


def min_yield_option(command: Command) -> Command:
    """Give the command ``min_yield``, None for the profile's."""
    return _MIN_YIELD(command)


def with_run_settings(command: Command) -> Command:
    """Give the command a ``settings`` with what a run that writes can be told."""

    @functools.wraps(command)
    def run(
        *,
        denoise: bool,
        verify: bool,
        min_yield: float | None,
        max_time: float | None,
        max_pulses: int | None,
        limits: Mapping[str, float],
        **rest: Any,
    ) -> Any:
        settings = RunSettings(
            denoise=None if _unsaid("denoise") else denoise,
            verify=verify,
            min_yield=min_yield,
            max_time_s=max_time,
            max_pulses=max_pulses,
            limits=limits,
        )
        return command(settings=settings, **rest)

    return _decorated(run, _RUN)


def with_every_setting(command: Command) -> Command:
    """Give the command the options of all settings but those of the console."""
    return _decorated(command, (_WORKSPACE, *_CHIP, *_RUN))


@contextlib.contextmanager
def _lost_links_are_instrument_errors() -> Iterator[None]:
    """Keep a link that broke apart from files that cannot be used, even where a driver forgot to."""
    try:
        yield
    except (ConnectionError, TimeoutError) as error:
        lost = InstrumentError(f"the link was lost: {error.strerror or str(error) or type(error).__name__}")
        for note in getattr(error, "__notes__", ()):
            lost.add_note(note)
        raise lost from error


def _open_workspace(folder: Path, given: dict[str, Path | None]) -> Workspace:
    from memprog.jobs.workspace import open_workspace

    return open_workspace(folder, **given)


def _configuration() -> dict[str, dict[str, Any]]:
    context = click.get_current_context()
    return config.in_force(context, context.meta.get(config.FOUND, {}))


def _unsaid(parameter: str) -> bool:
    """Whether neither command line, environment nor a file said anything."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.DEFAULT


def argv() -> tuple[str, ...]:
    """Give the words of the command line, with memprog in front."""
    return invocation().words


def invocation() -> Invocation:
    """Give the command line under way; one without words where a command is called by itself."""
    found = click.get_current_context().find_object(Invocation)
    return Invocation(words=("memprog",)) if found is None else found


def _decorated(command: Command, decorators: Sequence[Decorator]) -> Command:
    """Apply from the last to the first, which is the order of the help text."""
    for decorate in reversed(decorators):
        command = decorate(command)
    return command
