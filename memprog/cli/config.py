"""Settings: what can be configured, where a value may come from, and which one holds.

The first that has a value wins: the command line; the environment (``MEMPROG_<KEY>``); the file of ``--config``;
``memprog.yaml`` in the current folder or the nearest one above it; ``memprog.yaml`` in the user's folder; the default.
``limits`` are another matter: of each the tightest that anyone names holds, wherever it was said.

A file is one flat mapping from the keys of SETTINGS to values. It may say ``format_version: 1`` and need not: it is
written by hand, a few lines long, and one without the key is read as version 1 for ever. Paths in a file start from
that file's folder. Nothing here permits or destroys; that is said on the command line, each time.
"""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from memprog.cli import kinds
from memprog.cli.text import visible
from memprog.errors import InputError

FILE_NAME = "memprog.yaml"
FORMAT_VERSION = 1
PREFIX = "MEMPROG_"
NOT_SETTINGS = ("MEMPROG_FAULT", "MEMPROG_LOCKS")
"""Variables that are read elsewhere."""
DEFAULT = "default"
COMMAND_LINE = "command line"

FOUND, TROUBLE, FILES = "memprog.configuration", "memprog.trouble", "memprog.files"
"""Where a context keeps what was found, why nothing could be, and which files were looked into."""
CHOSEN = "memprog.chosen"
"""Where it keeps the file of ``--config``."""

Holds = tuple[str, tuple[type, ...]]
"""How a sentence names a kind of value, and its types in a file."""
TEXT: Holds = ("text", (str,))
NUMBER: Holds = ("a number", (int, float))
WHOLE: Holds = ("a whole number", (int,))
SWITCH: Holds = ("true or false", (bool,))
TIME: Holds = ("seconds, or a time such as 10min", (int, float, str))


def never(_: str) -> bool:
    """Say that a text is no path."""
    return False


def always(_: str) -> bool:
    """Say that a text is a path."""
    return True


def if_yaml(text: str) -> bool:
    """Say whether a profile is given by path."""
    return text.endswith((".yaml", ".yml"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key: what a file may hold, how a value is checked, what holds when nobody sets it."""

    holds: Holds
    kind: click.ParamType[Any] | Callable[[str], Any]
    default: Any = None
    is_path: Callable[[str], bool] = never
    parameter: str | None = None

    def convert(self, value: object) -> Any:
        """Check a value as the option does.

        Raises:
            click.BadParameter: with the reason.
        """
        return click.types.convert_type(self.kind)(value)


FILE = kinds.FilledPath(dir_okay=False, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = kinds.FilledPath(file_okay=False, path_type=Path)

SETTINGS: Mapping[str, Setting] = {
    "workspace": Setting(holds=TEXT, kind=FOLDER, default=Path(".memprog"), is_path=always),
    "backend": Setting(holds=TEXT, kind=kinds.word, default="sim"),
    "profile": Setting(holds=TEXT, kind=kinds.word, is_path=if_yaml),
    "expect_serial": Setting(holds=TEXT, kind=kinds.word),
    "timeout": Setting(holds=NUMBER, kind=kinds.seconds, default=0.0),
    "format": Setting(holds=TEXT, kind=click.Choice(["text", "json", "jsonl"]), default="text", parameter="output"),
    "progress": Setting(holds=TEXT, kind=click.Choice(["auto", "bar", "plain", "none"]), default="auto"),
    "log_file": Setting(holds=TEXT, kind=FILE, is_path=always),
    "quiet": Setting(holds=SWITCH, kind=click.BOOL, default=False),
    "min_yield": Setting(holds=NUMBER, kind=kinds.fraction),
    "max_time": Setting(holds=TIME, kind=kinds.duration_s),
    "max_pulses": Setting(holds=WHOLE, kind=kinds.pulses),
    "denoise": Setting(holds=SWITCH, kind=click.BOOL, default=True),
    "verify": Setting(holds=SWITCH, kind=click.BOOL, default=True),
}
"""Every key but ``limits``, a mapping, which has no variable. Where the default is None, image or profile say."""

_LIMIT = Setting(holds=NUMBER, kind=kinds.finite)


@dataclass(frozen=True, slots=True)
class Found:
    """A value, checked, and where it was found."""

    value: Any
    origin: str


def find(chosen: Path | None) -> dict[str, Found]:
    """Gather what files and environment say; limits under ``limits.NAME``.

    Raises:
        InputError: names the file or variable and what is wrong with it.
    """
    found: dict[str, Found] = {}
    for path in [*standing_files(), *([] if chosen is None else [chosen])]:
        found = {**found, **_tightest(found, read_file(path))}
    return found | read_environment(os.environ)


def _tightest(found: Mapping[str, Found], more: Mapping[str, Found]) -> dict[str, Found]:
    """Let nearer settings win, but of limits the tighter ones."""
    return {key: found[key] if key in found and not tighter(key, one, found[key]) else one for key, one in more.items()}


def tighter(key: str, one: Found, other: Found) -> bool:
    """Say whether a setting holds against one that is further away: a limit only where it is at least as tight."""
    if not key.startswith("limits."):
        return True
    return bool(one.value >= other.value if key.endswith("min_ns") else one.value <= other.value)


def standing_files() -> list[Path]:
    """The files that are read unasked, the weakest first: the user's, then that of the folder one stands in."""
    found = [user_file()]
    with contextlib.suppress(FileNotFoundError):  # the current folder is gone; a workspace elsewhere may still be fine
        here = Path.cwd()
        found += [folder / FILE_NAME for folder in (here, *here.parents) if _is_file(folder / FILE_NAME)][:1]
    return [path for path in found if _is_file(path)]


def user_file() -> Path:
    """Where the user's own file would be."""
    chosen = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(chosen, "memprog") if Path(chosen).is_absolute() else Path(click.get_app_dir("memprog"))) / FILE_NAME


def read_file(path: Path) -> dict[str, Found]:
    """Read and check one file.

    Raises:
        InputError: names the file and the key.
    """
    from memprog import strict_yaml  # costs a fifth of the start-up time

    text = strict_yaml.read_text(path)
    try:
        content = strict_yaml.load(text)
        if not isinstance(content, dict | None):
            raise InputError("must be a mapping from settings to values")
        return _settings(content or {}, path)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_environment(variables: Mapping[str, str]) -> dict[str, Found]:
    """Read and check the variables whose names begin as memprog's do.

    Raises:
        InputError: names the variable.
    """
    found = {}
    for name in sorted(variables):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            try:
                key = _known(name.removeprefix(PREFIX).lower(), SETTINGS)
                if not variables[name]:
                    raise InputError("it is empty; unset it or give it a value")
                found[key] = Found(_checked(SETTINGS[key], variables[name]), f"environment variable {name}")
            except InputError as error:
                raise InputError(f"environment variable {name}: {error}") from error
    return found


def in_force(context: click.Context, found: Mapping[str, Found]) -> dict[str, dict[str, Any]]:
    """Tell of every key the value that holds, as JSON can hold it, and where it came from."""
    values = {key: found.get(key, Found(setting.default, DEFAULT)) for key, setting in SETTINGS.items()}
    for key, setting in SETTINGS.items():
        name = setting.parameter or key
        if name in context.params and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            values[key] = Found(context.params[name], COMMAND_LINE)
    values |= {key: found[key] for key in sorted(found) if key.startswith("limits.")}
    return {key: {"value": _plain(one.value), "origin": one.origin} for key, one in values.items()}


def _settings(content: Mapping[Any, Any], path: Path) -> dict[str, Found]:
    """Check every key of a file, and give the values of those that are settings."""
    found: dict[str, Found] = {}
    for key, raw in content.items():
        _known(key, [*SETTINGS, "limits", "format_version"])
        try:
            if key == "limits":
                found |= {f"limits.{name}": Found(value, str(path)) for name, value in _limits(raw).items()}
            elif key == "format_version":
                _check_version(raw)
            else:
                found[key] = Found(_checked(SETTINGS[key], _written(SETTINGS[key], raw, path.parent)), str(path))
        except InputError as error:
            raise InputError(f"{key}: {error}") from error
    return found


def _known(key: object, known: Collection[str]) -> str:
    """Let a known key pass; of an unknown one say which it may have been meant to be."""
    if key is True:  # YAML takes a bare yes for a truth
        key = "yes"
    if isinstance(key, str) and key in known:
        return key
    if isinstance(key, str) and (key in {"yes", "full", "resume", "recheck", "force"} or key.startswith("allow_")):
        raise InputError(f"{key} cannot be configured; what permits or repeats is said on the command line, each time")
    if key == "limits":
        raise InputError("limits cannot be set in the environment; a file or --limit can")
    from memprog.strict_yaml import shown

    nearest = difflib.get_close_matches(str(key)[:100], known, n=1, cutoff=0.0)[0]
    raise InputError(f"there is no setting {shown(key)}; the nearest is '{nearest}'")


def _check_version(raw: object) -> None:
    if type(raw) is not int or raw != FORMAT_VERSION:
        raise InputError(f"this memprog reads {FORMAT_VERSION}")


def _written(setting: Setting, raw: object, folder: Path) -> object:
    """Check the type a file gives, and let a path start from the file's folder."""
    name, types = setting.holds
    if not isinstance(raw, types) or (isinstance(raw, bool) and bool not in types):
        from memprog.strict_yaml import shown

        raise InputError(f"it must be {name}, not {shown(raw)}")
    if not isinstance(raw, str) or not raw or not setting.is_path(raw):
        return raw
    try:
        return str(folder / Path(raw).expanduser())
    except RuntimeError as error:
        raise InputError(str(error)) from error


def _checked(setting: Setting, raw: object) -> Any:
    try:
        return setting.convert(raw)
    except click.BadParameter as error:
        raise InputError(visible(error.message.rstrip("."))[:300]) from error
    except (ValueError, OverflowError) as error:  # a NUL in a path, a number beyond all floats
        raise InputError(f"it cannot be used: {error}") from error


def _limits(raw: object) -> dict[str, float]:
    """Read the mapping of limits; that a run may only tighten them, the run sees to."""
    from dataclasses import fields

    from memprog.profile.schema import Limits

    if not isinstance(raw, dict):
        raise InputError("it must be a mapping from names of limits to numbers")
    known = [field.name for field in fields(Limits)]
    return {_known(name, known): _checked(_LIMIT, _written(_LIMIT, value, Path())) for name, value in raw.items()}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # of a folder above it that cannot be searched
        return False
