"""YAML as plain data, read more strictly than usual: nothing is executed, nothing explodes, nothing is lost."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from memprog.errors import InputError, brief

MAX_BYTES = 1 << 18
"""No profile and no configuration is larger."""
NUMBER_CHARACTERS = 1000
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

_UNREADABLE = (yaml.YAMLError, RecursionError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
"""What PyYAML raises on text that is not plain YAML; its constructors stumble over `!!int ''` or `!!bool maybe`."""


class _StrictLoader(yaml.SafeLoader):
    """Plain data only: no aliases (they can explode) and no key twice (the last would win in silence)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse an alias where a node should stand."""
        if self.check_event(yaml.events.AliasEvent):
            raise InputError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """Refuse a number whose mere conversion would take minutes, such as one of base 60."""
        if node.tag in _NUMBERS and len(node.value) > NUMBER_CHARACTERS:
            raise InputError(f"a number has more than {NUMBER_CHARACTERS} characters")
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping whose keys are all different."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):  # SafeLoader itself refuses the others
                if key in seen:
                    raise InputError(f"key {shown(key)} stands twice in one mapping")
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def shown(value: object) -> str:
    """Quote something out of a file for a sentence: ASCII, on one line, not without end."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def read_text(path: Path) -> str:
    """Read a file that is to be parsed.

    Raises:
        InputError: names the path: not a file, larger than MAX_BYTES, not UTF-8, or not to be read.
    """
    try:
        if not path.is_file():
            raise InputError(f"{brief(path, 500)}: cannot be read: there is no such file")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES} bytes, which no such file is")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path with a NUL in it
        raise InputError(f"{brief(path, 500)}: cannot be read: {brief(error)}") from error


def load(text: str) -> object:
    """Turn text into dicts, lists, text, numbers, dates and None.

    Raises:
        InputError: not YAML, or more than plain data.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader, stricter still
    except _UNREADABLE as error:
        reason = brief(str(error).splitlines()[0]) if str(error) else type(error).__name__
        raise InputError(f"not readable as YAML: {reason}") from error


def replaced_value(text: str, key: str, value: str) -> str:
    """Give the text with another value, itself YAML, behind a key of the outermost mapping; all else stays.

    Raises:
        InputError: there is no such key with a plain value.
    """
    try:
        root = yaml.compose(text, Loader=_StrictLoader)
    except _UNREADABLE as error:
        raise InputError("not readable as YAML") from error
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    for name, node in pairs:
        if name.value == key and isinstance(node, yaml.ScalarNode):
            start, end = node.start_mark.index, node.end_mark.index
            # The end of a block scalar is the start of the next line.
            return text[:start] + value + ("\n" if text[:end].endswith("\n") else "") + text[end:]
    raise InputError(f"there is no plain value behind '{key}:'")
