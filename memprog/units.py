"""Quantities with units, between text and SI floats; the only place that knows prefixes."""

from __future__ import annotations

import re

from memprog.errors import InputError

_PREFIX = {"": 1.0, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
_QUANTITY = re.compile(
    r"\s*(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<prefix>[pnuµmkMG]?)(?P<unit>[A-Za-z]+)\s*"
)


def parse_quantity(text: str, unit: str) -> float:
    """Turn "50uS" into 5e-05 when unit is "S"; the unit must be there.

    Raises:
        InputError: no number, another unit, or none (a bare number is ambiguous).
    """
    match = _QUANTITY.fullmatch(text)
    if match is None or match["unit"] != unit:
        raise InputError(f"'{text}' is not a quantity in {unit}; write a number and its unit, like 1.5m{unit}")
    return float(match["number"]) * _PREFIX[match["prefix"]]


def format_quantity(value: float, unit: str) -> str:
    """Write a value with the prefix that leaves one to three digits before the point."""
    magnitude = abs(value)
    for prefix in ("G", "M", "k", "", "m", "u", "n", "p"):
        if magnitude >= _PREFIX[prefix]:
            return f"{value / _PREFIX[prefix]:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}"
