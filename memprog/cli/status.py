"""``memprog status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from memprog.cli.advice import completed_command
from memprog.cli.console import Console
from memprog.cli.options import invocation, with_console, with_workspace
from memprog.cli.text import Fields, facts

if TYPE_CHECKING:
    from memprog.jobs.workspace import Workspace


@click.command()
@with_workspace("image", "chip", "journal")
@with_console
def status(console: Console, workspace: Workspace) -> None:
    """Say what is in the workspace and what to do next."""
    from memprog.jobs.status import status as look

    fields = look(workspace).to_dict()
    reason, _, command = fields["next_step"].rpartition(": ")
    ready = completed_command(command, invocation().given)
    console.show_fields(fields | {"next_step": f"{reason}: {ready}"}, _lines)


def _lines(fields: Fields) -> list[str]:
    pairs = [
        ("workspace", fields["workspace"]),
        ("image", _entry(fields["image"])),
        ("chip", _entry(fields["chip"])),
        *[("run", _entry(run)) for run in fields["runs"]],
        ("next", fields["next_step"]),
    ]
    return facts(pairs)


def _entry(entry: Fields | None) -> str:
    return "none" if entry is None else ", ".join(f"{key} {_value(value)}" for key, value in entry.items())


def _value(value: Any) -> str:
    """Shorten what is a hash; nobody compares 64 digits by eye."""
    text = "-" if value is None else str(value)
    return text[:12] if len(text) == 64 and text.isalnum() else text
