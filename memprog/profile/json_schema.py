"""The JSON Schema of profiles, made from the dataclasses and the rules of reading, so that it cannot fall behind."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from memprog.profile.numbers import ENDS, MAY_BE_NEGATIVE, MAY_BE_ZERO
from memprog.profile.reading import BIAS_NAMES, CHOICES, FORMAT_VERSION, LINES, OPTIONAL_SECTIONS, SECTIONS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TOO_LARGE = 1e300
"""What reading no longer takes for a finite number."""
_TEXT = {"$ref": "#/$defs/text"}

Schema = dict[str, Any]


def profile_schema() -> Schema:
    """Give the schema of a profile's file, draft 2020-12.

    It holds what concerns one value at a time; what values must be to each other, only reading checks.
    """
    head = {"name": _TEXT, "format_version": {"const": FORMAT_VERSION}, "description": _TEXT}
    sections = {section: _section(section, kind) for section, kind in SECTIONS.items()}
    needed = head | {"bias_table": _bias_table()} | sections
    properties = needed | {section: _section(section, kind) for section, kind in OPTIONAL_SECTIONS.items()}
    return {
        "$schema": DIALECT,
        "title": "memprog profile",
        "description": "What one kind of chip is, may bear, and how its simulated twin behaves.",
        **_closed(properties, list(needed)),
        "$defs": {"text": {"type": "string", "pattern": r"\S"}},
    }


def _closed(properties: Mapping[str, Any], required: Sequence[str]) -> Schema:
    """An object of these keys and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _section(section: str, kind: type) -> Schema:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    properties = {field.name: _leaf(f"{section}.{field.name}", hints[field.name]) for field in fields}
    needed = [field.name for field in fields if field.default is field.default_factory is dataclasses.MISSING]
    return {"description": (kind.__doc__ or "").splitlines()[0], **_closed(properties, needed)}


def _leaf(where: str, kind: type) -> Schema:
    """A word as it stands, or a number with its origin."""
    if kind is str:
        return {"enum": list(CHOICES[where])}
    number = {"type": "integer" if kind is int else "number"}
    least: Schema = {"minimum" if where in MAY_BE_ZERO else "exclusiveMinimum": 0}
    if where in MAY_BE_NEGATIVE:
        least = {"exclusiveMinimum": -_TOO_LARGE}
    if where in ENDS:
        least |= {"minimum": ENDS[where][0], "maximum": ENDS[where][1]}
    value = number | least | {"exclusiveMaximum": _TOO_LARGE}
    leaf = _closed({"value": value, "source": _TEXT, "assumption": _TEXT}, ["value"])
    return leaf | {"oneOf": [{"required": ["source"]}, {"required": ["assumption"]}]}


def _bias_table() -> Schema:
    volts = {"type": "number", "exclusiveMinimum": -_TOO_LARGE, "exclusiveMaximum": _TOO_LARGE}
    row = _closed({line: {"anyOf": [volts, {"enum": ["amplitude", "gate"]}]} for line in LINES}, LINES)
    rows = {"source": _TEXT} | dict.fromkeys(BIAS_NAMES, row)
    return {"description": "Volts on each line for every kind of pulse.", **_closed(rows, list(rows))}
