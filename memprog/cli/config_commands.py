"""``memprog config``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from memprog.cli import config
from memprog.cli.console import Console
from memprog.cli.options import with_console, with_every_setting, with_plain_console
from memprog.cli.text import Fields, facts, visible
from memprog.errors import InputError, LimitError


@click.command()
@click.option("--origin", is_flag=True, help="Say also where each value comes from.")
@with_every_setting
@with_console
def show(console: Console, origin: bool, **_: Any) -> None:
    """Print every setting and the value that holds here; a dash where the image or the profile says.

    Takes the options of the other commands, to see what they would make of them.
    """
    from memprog.report.base import headed

    fields = headed({"configuration": console.configuration})
    console.show_fields(fields, lambda shown: _lines(shown["configuration"], origin))


@click.command()
@click.argument("file", required=False, type=config.EXISTING_FILE)
@with_plain_console
def validate(console: Console, file: Path | None) -> None:
    """Check FILE, or without one every file and variable that is in force here.

    Exit code 3, and a sentence that says what is wrong, where something is.
    """
    from memprog.report.base import headed

    files = config.standing_files() if file is None else [file]
    found = config.find(None) if file is None else config.read_file(file)
    _check_profile(found)
    keys, origins = sorted(found), sorted({one.origin for one in found.values()} | {str(path) for path in files})
    console.show_fields(headed({"passed": True, "keys": keys, "origins": origins}), _verdict)


def _check_profile(found: Mapping[str, config.Found]) -> None:
    """Look for the profile, and whether limits are within it, or within the default where none is set.

    Raises:
        InputError: no such profile, one that breaks the schema, or a limit that is wider than its or leaves nothing.
    """
    from memprog.profile import DEFAULT_PROFILE, load_profile
    from memprog.session import check_possible, tightened

    said = found.get("profile")
    try:
        profile = load_profile(DEFAULT_PROFILE if said is None else said.value)
    except InputError as error:
        raise InputError(f"{'' if said is None else said.origin}: profile: {error}") from error
    denoise = "denoise" not in found or bool(found["denoise"].value)
    for key, one in found.items():
        if key.startswith("limits."):
            try:
                limits = tightened(profile.limits, **{key.removeprefix("limits."): one.value})
                check_possible(profile, limits, denoise=denoise)
            except LimitError as error:
                raise InputError(f"{one.origin}: limits: {error}") from error


def _lines(settings: Fields, with_origin: bool) -> list[str]:
    values = {key: _text(one["value"]) for key, one in settings.items()}
    if not with_origin:
        return facts(list(values.items()))
    width = max(len(visible(value)) for value in values.values())
    return facts([(key, f"{visible(value):<{width}}  {settings[key]['origin']}") for key, value in values.items()])


def _text(value: Any) -> str:
    """Write a value as a file would have it."""
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _verdict(fields: Fields) -> list[str]:
    if not fields["origins"]:
        return ["there is no configuration here; the defaults hold"]
    return [f"fine: {len(fields['keys'])} setting(s) from {', '.join(map(visible, fields['origins']))}"]
