"""What commands print that fit a profile, and the option for what they start from."""

from __future__ import annotations

from memprog.cli.text import Fields, facts, number, table

BASE = "rao2023-11bit"
"""The profile that numbers come from which were not measured."""
BASE_HELP = "Profile that keeps what the files cannot tell."
_HEADS = ("fitted", "before", "now", "low", "high", "cells")


def fit_lines(fields: Fields) -> list[str]:
    """A table of what was replaced, and what was not."""
    rows = [
        [
            one["key"],
            *(number(float(one[key]), form=".4g") for key in ("before", "value", "low", "high")),
            str(one["cells"]),
        ]
        for one in fields["fitted"]
    ]
    head = facts([("profile", fields["profile"]), ("file", fields["path"]), ("base", fields["base"])])
    kept = [(one["key"], one["reason"]) for one in fields["kept"]]
    lines = [*head, "", *table(_HEADS, rows)]
    if kept:
        lines += ["", "kept as in the base:", *facts(kept)]
    return [*lines, *(f"left out: {name}" for name in fields["unread"])]
