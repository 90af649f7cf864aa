"""The one way from a report to JSON: plain Python values, and null where there is no number."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import PurePath
from typing import Any

import memprog

SCHEMA_VERSION = 1
"""Of every report's JSON. Fields may be added under one version; none is renamed, removed or given another meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What all reports share: ``to_dict`` puts schema_version (int) and memprog_version (str) in front."""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields in the order they are declared, as values that JSON can hold."""
        return headed(_fields(self))


def headed(fields: dict[str, Any]) -> dict[str, Any]:
    """Put in front what every JSON object of memprog starts with."""
    return {"schema_version": SCHEMA_VERSION, "memprog_version": memprog.__version__} | fields


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold.

    NumPy scalars and arrays become Python ones, NaN and infinities None, tuples lists, mapping keys text,
    dataclasses mappings, enums their value, paths text. Anything else is a mistake of the caller.

    Raises:
        TypeError: the value has no JSON form.
    """
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy
        value = value.tolist()
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    return _container(value)


def _container(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if is_dataclass(value):
        return _fields(value)
    raise TypeError(f"a report cannot hold a {type(value).__name__}")


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
