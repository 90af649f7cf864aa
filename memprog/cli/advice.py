"""Advice that can be typed as it stands: the commands that a sentence names, with the options that were given here."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Mapping

import click

from memprog.cli import config

GIVEN = ("config", "workspace", "image", "chip", "journal", "profile", "backend")
"""Options without which a command would look at something else than this one did."""
_QUOTED = re.compile(r"`(memprog [^`]+)`")

Given = Mapping[str, str]
"""Of the options above those that the command line said, and their values."""


def given_options(context: click.Context) -> dict[str, str]:
    """Gather what the command line said; files and environment will say the same again."""
    values = context.params | {"config": context.meta.get(config.CHOSEN)}
    said = click.core.ParameterSource.COMMANDLINE
    return {name: str(values[name]) for name in GIVEN if context.get_parameter_source(name) is said}


def completed(sentence: str, given: Given) -> str:
    """Complete every command that a sentence names in backticks."""
    return _QUOTED.sub(lambda match: f"`{completed_command(match[1], given)}`", sentence)


def completed_command(command: str, given: Given) -> str:
    """Add to a command those of the given options that it can take and does not have; a command that is none stays."""
    if not given:
        return command
    with contextlib.suppress(Exception):  # advice that is not complete is still better than no sentence
        words = shlex.split(command)
        takes = _options_of(words)
        have = {word.partition("=")[0] for word in words}
        names = [name for name in given if f"--{name}" in takes - have]
        return " ".join([command, *(shlex.join([f"--{name}", given[name]]) for name in names)])
    return command


def _options_of(words: list[str]) -> set[str]:
    """Options of the command that words begin with; imports that one command."""
    from memprog.cli.app import app

    command: click.Command | None = app
    for word in words[1:]:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    return set() if command is None else {name for option in command.params for name in option.opts}
