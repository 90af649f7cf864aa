"""Tables of measurements as CSV text: a line that names format and version, facts, column names, one line an event.

Strict on the way in: whatever is not understood is refused with the number of its line, never guessed. Lines are
taken a block at a time, so that a large file costs little more memory than its numbers.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memprog.errors import InputError, brief
from memprog.files import read_whole

FORMAT_VERSION = 1
MAX_BYTES = 256 << 20
"""The largest table that is read."""
_BLOCK_LINES = 1 << 15
_TITLE = re.compile(r"#\s*memprog (?P<kind>[a-z -]+), format (?P<version>.*)")
_WHOLE = re.compile(r"[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

Values = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column by name.

    ``words`` are what may stand in it, and become their positions (uint8); without them it holds numbers, ``whole``
    ones at least 0 as int64, or finite ones as float64. ``optional`` lets a field be empty: that becomes NaN.
    """

    name: str
    whole: bool = False
    optional: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns by name, each (n,), and the facts that stood above them, such as chip and profile."""

    columns: Mapping[str, Values]
    facts: Mapping[str, str]


def read_table(path: Path, kind: str, columns: Sequence[Column]) -> Table:
    """Read a table of one kind from a file; one that does not say what it is counts as that, in format 1.

    Raises:
        InputError: no such file, too large, of another kind or version, or a line that is not understood.
    """
    data = read_whole(path, MAX_BYTES)
    try:
        return decode_table(data, kind, columns)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def decode_table(data: bytes, kind: str, columns: Sequence[Column]) -> Table:
    """Take the bytes of a table apart; see read_table."""
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"is no text at byte {error.start}") from error
    if lines[-1] == "":
        lines.pop()
    above = len(list(itertools.takewhile(lambda line: line.startswith("#"), lines)))
    facts = _facts(lines[:above], kind)
    if above == len(lines):
        raise InputError("has no line that names its columns")
    _check_heads(lines[above].rstrip("\r").split(","), columns, above + 1)
    blocks = list(_blocks(lines, above + 1, columns))
    joined = {column.name: np.concatenate([block[k] for block in blocks]) for k, column in enumerate(columns)}
    return Table(columns=joined, facts=facts)


def encode_table(kind: str, facts: Mapping[str, str], columns: Mapping[str, Sequence[str]]) -> bytes:
    """Write a table: its title, its facts, its columns, which are texts of one length."""
    above = [
        f"# memprog {kind}, format {FORMAT_VERSION}",
        *(f"# {name}: {brief(fact)}" for name, fact in facts.items()),
    ]
    lines = [*above, ",".join(columns), *map(",".join, zip(*columns.values(), strict=True))]
    return ("\n".join(lines) + "\n").encode()


def texts(values: Values, form: str) -> list[str]:
    """Write numbers (n,), each in a printf form; nothing where there is none."""
    written: list[str] = np.char.mod(form, values).tolist() if len(values) else []
    if values.dtype.kind == "f":
        for k in np.flatnonzero(~np.isfinite(values)).tolist():
            written[k] = ""
    return written


def _facts(lines: list[str], kind: str) -> dict[str, str]:
    for number, line in enumerate(lines, 1):
        title = _TITLE.fullmatch(line.rstrip())
        if title is None:
            continue
        if title["kind"] != kind:
            raise InputError(f"line {number}: holds a {brief(title['kind'])}, not a {kind}")
        if title["version"] != str(FORMAT_VERSION):
            raise InputError(f"line {number}: format {brief(title['version'])}; this memprog reads {FORMAT_VERSION}")
    named = [line[1:].partition(":") for line in lines if ":" in line]
    return {name.strip(): fact.strip() for name, _, fact in named}


def _check_heads(heads: list[str], columns: Sequence[Column], line: int) -> None:
    names, found = [column.name for column in columns], [head.strip() for head in heads]
    for head in found:
        if head not in names:
            raise InputError(f"line {line}: there is no column '{brief(head, 40)}'; there are: {', '.join(names)}")
    for name in names:
        if name not in found:
            raise InputError(f"line {line}: column '{name}' is missing")
    if found != names:
        raise InputError(f"line {line}: the columns must stand in this order, each once: {', '.join(names)}")


def _blocks(lines: list[str], first: int, columns: Sequence[Column]) -> Iterator[list[Values]]:
    """Turn lines into values, a block of them at a time; at least one block, so that no column is ever missing."""
    for start in range(first, max(len(lines), first + 1), _BLOCK_LINES):
        rows = [line.rstrip("\r").split(",") for line in lines[start : start + _BLOCK_LINES]]
        for k, row in enumerate(rows):
            if len(row) != len(columns):
                raise InputError(f"line {start + k + 1}: has {len(row)} fields; a line has {len(columns)}")
        fields = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
        yield [_values(column, texts, start + 1) for column, texts in zip(columns, fields, strict=True)]


def _values(column: Column, fields: Sequence[str], line: int) -> Values:
    """Values of one column of a block that begins at a line."""
    if column.words:
        places = {word: place for place, word in enumerate(column.words)}
        _refuse(column, fields, line, lambda text: text in places, f"is none of {', '.join(column.words)}")
        return np.array([places[text] for text in fields], dtype=np.uint8)
    if column.whole:
        _refuse(column, fields, line, _WHOLE.fullmatch, "is not a whole number")
        return np.array([int(text) for text in fields], dtype=np.int64)
    _refuse(
        column, fields, line, lambda text: _NUMBER.fullmatch(text) or (column.optional and not text), "is no number"
    )
    values = np.array([float(text) if text else np.nan for text in fields])
    _refuse(column, fields, line, lambda text: not text or abs(float(text)) < np.inf, "is too large")
    return values


def _refuse(column: Column, fields: Sequence[str], line: int, fine: Any, why: str) -> None:
    for k, text in enumerate(fields):
        if not fine(text):
            raise InputError(f"line {line + k}: {column.name} '{brief(text, 40)}' {why}")
