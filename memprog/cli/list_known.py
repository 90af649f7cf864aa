"""``memprog list``."""

from __future__ import annotations

from typing import Any

import click

from memprog.cli.console import Console
from memprog.cli.options import with_console
from memprog.cli.text import Fields, facts, table


@click.command("list")
@click.argument("what", type=click.Choice(["backends", "profiles"]))
@with_console
def list_known(console: Console, what: str) -> None:
    """List backends or profiles; never writes anything."""
    from memprog.jobs import chips
    from memprog.report.base import headed

    known: list[dict[str, Any]] = chips.list_backends() if what == "backends" else chips.list_profiles()
    console.show_fields(headed({what: known}), lambda fields: known_lines(fields[what]))


def known_lines(known: list[Fields]) -> list[str]:
    """Compare the entries in a table, then say of each what it is; hashes are for JSON."""
    if not known:
        return ["none"]
    heads = [head for head in known[0] if head not in {"description", "sha256"}]
    rows = [["-" if one[head] is None else str(one[head]) for head in heads] for one in known]
    return [*table(heads, rows), "", *facts([(one["name"], one["description"]) for one in known])]
