"""The error tree and its exit codes."""

from __future__ import annotations

import re

import pytest

from memprog import errors
from memprog.errors import MemprogError

LEAVES = {
    "InputError": 3,
    "ProfileError": 3,
    "ImageError": 3,
    "ChipFileError": 3,
    "InstrumentError": 4,
    "LimitError": 5,
    "StoppedError": 6,
    "JournalError": 6,
}


def tree(root: type[MemprogError]) -> dict[str, type[MemprogError]]:
    """All errors that memprog.errors defines below root."""
    found: dict[str, type[MemprogError]] = {}
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            found |= {kind.__name__: kind, **tree(kind)}
    return found


def test_exit_codes_of_the_tree_are_the_documented_ones() -> None:
    assert {name: kind.exit_code for name, kind in tree(MemprogError).items()} == LEAVES


def test_tree_drawn_at_the_top_of_the_file_is_the_tree() -> None:
    drawn = dict(re.findall(r"(\w+Error) +(\d+) ", errors.__doc__ or ""))
    assert drawn == {name: str(code) for name, code in {"MemprogError": 70, **LEAVES}.items()}


@pytest.mark.parametrize("kind", tree(MemprogError).values(), ids=lambda kind: kind.__name__)
def test_text_of_an_error_is_what_it_was_given(kind: type[MemprogError]) -> None:
    assert str(kind("SET 2.600 V is outside 0..2.500 V; nothing was applied")).startswith("SET 2.600 V")


def test_exit_codes_are_all_different() -> None:
    codes = [value for name, value in vars(errors).items() if name.startswith("EXIT_")]
    assert sorted(codes) == [0, 1, 2, 3, 4, 5, 6, 70, 130]
