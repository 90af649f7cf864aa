"""Writing a profile: a base's values, some of them replaced, in its order, one number a line with its origin."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from memprog import strict_yaml
from memprog.errors import ProfileError
from memprog.profile.reading import OPTIONAL_SECTIONS, SECTIONS, parse_profile

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_WIDTH = 116
DIGITS = 4
"""Digits that a measured number is written with: its interval is always wider."""


def profile_with(
    base: str, *, name: str, description: str, measured: Mapping[str, tuple[float, str]], comments: Sequence[str] = ()
) -> str:
    """Give the YAML of a profile that differs from a base in name, description and what was measured.

    Args:
        base: YAML of a sound profile; its comments are lost.
        name: of the new one.
        description: of the new one.
        measured: by section.key the value, and its source.
        comments: lines above everything.

    Raises:
        ProfileError: the base, or what would be written, is no sound profile.
    """
    parse_profile(base, origin="base")
    tree = strict_yaml.load(base)
    if not isinstance(tree, dict):
        raise ProfileError("the base is no mapping")
    for key, (value, source) in measured.items():
        section, leaf = key.split(".")
        tree[section][leaf] = {"value": rounded(value), "source": source}
    tree["name"], tree["description"] = name, description
    text = "".join(f"# {line}\n" for line in comments) + "\n".join(_lines(tree)) + "\n"
    parse_profile(text, origin=name)
    return text


def rounded(value: float) -> float:
    """A measured number to as many digits as are written."""
    return float(f"{value:.{DIGITS}g}")


def _lines(tree: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, value in tree.items():
        if key == "description":
            words = " ".join(value.split())
            folded = textwrap.wrap(words, _WIDTH, break_on_hyphens=False)
            lines += ["description: >-", *(f"  {line}" for line in folded)]
        elif key in SECTIONS or key in OPTIONAL_SECTIONS or key == "bias_table":
            lines += ["", f"{key}:", *(f"  {name}: {_flow(leaf)}" for name, leaf in value.items())]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return lines


def _flow(value: Any) -> str:
    """A value on one line: words bare where they stay words, other text in quotes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        plain = _WORD.fullmatch(value) and strict_yaml.load(value) == value
        return value if plain else json.dumps(value, ensure_ascii=True)
    if isinstance(value, float) and math.isfinite(value):
        return _number(value)
    return str(value)


def _number(value: float) -> str:
    """A float that YAML reads as one: without a point, 1e-05 would be a word."""
    text = repr(value)
    head, mark, tail = text.partition("e")
    return f"{head}.0e{tail}" if mark and "." not in head else text
