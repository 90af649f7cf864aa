"""A verify as JUnit XML, the form in which build servers show tests: one test of all arrays, and one an array.

The test of all arrays fails when the verify does. An array below the least yield fails with it; where the verify
passes all the same, it only says so. A verify that could not be done is an error, and names no array.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import memprog

CLASS_NAME = "memprog.verify"

Fields = Mapping[str, Any]
"""Of a verify report, as its ``to_dict`` gives them."""

# What XML 1.0 cannot hold, not even escaped; a lone surrogate stands for a byte of a name that is not UTF-8.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_report(fields: Fields) -> bytes:
    """Write a verify report as one suite, named after profile and chip; it has failures exactly when that failed."""
    arrays: Sequence[Fields] = fields["arrays"]
    short = [one for one in arrays if one["yield_fraction"] < fields["min_yield"]]
    failures = 0 if fields["passed"] else 1 + len(short)
    serial = fields["chip"]["serial"]
    root, suite = _suite(f"{fields['profile']} {serial}", tests=1 + len(arrays), failures=failures, errors=0)
    suite.set("timestamp", _fit(fields["utc"]))
    _properties(
        suite,
        simulated=str(fields["simulated"]).lower(),
        serial=serial,
        image_sha256=fields["image_sha256"],
        profile=fields["profile"],
        memprog_version=fields["memprog_version"],
        argv=" ".join(fields["argv"]),
    )
    whole = _case(suite, "all arrays")
    if not fields["passed"]:
        _end(whole, "failure", _sentence(fields, fields), _details(fields, fields["first_failures"], fields))
    for one in arrays:
        case = _case(suite, f"array {one['array']}")
        cells = [cell for cell in fields["first_failures"] if cell["array"] == one["array"]]
        if one in short and fields["passed"]:
            ElementTree.SubElement(case, "system-out").text = _fit(_details(one, cells, fields))
        elif one in short:
            _end(case, "failure", _sentence(one, fields), _details(one, cells, fields))
    return _bytes(root)


def junit_error(sentence: str, kind: str, argv: Sequence[str]) -> bytes:
    """Write that a verify could not be done: one suite of one test, in error; kind is the error's class."""
    root, suite = _suite("memprog verify", tests=1, failures=0, errors=1)
    _properties(suite, memprog_version=memprog.__version__, argv=" ".join(argv))
    _end(_case(suite, "could not check"), "error", sentence, sentence, kind)
    return _bytes(root)


def _suite(name: str, **counts: int) -> tuple[ElementTree.Element, ElementTree.Element]:
    root = ElementTree.Element("testsuites")
    numbers = {key: str(value) for key, value in (counts | {"skipped": 0}).items()}
    return root, ElementTree.SubElement(root, "testsuite", {"name": _fit(name), **numbers})


def _properties(suite: ElementTree.Element, **values: str) -> None:
    parent = ElementTree.SubElement(suite, "properties")
    for name, value in values.items():
        ElementTree.SubElement(parent, "property", {"name": name, "value": _fit(value)})


def _case(suite: ElementTree.Element, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", {"classname": CLASS_NAME, "name": name})


def _end(case: ElementTree.Element, tag: str, sentence: str, text: str, kind: str = "yield") -> None:
    end = ElementTree.SubElement(case, tag, {"message": _fit(sentence), "type": _fit(kind)})
    end.text = _fit(text)


def _sentence(one: Fields, fields: Fields) -> str:
    return (
        f"{one['cells_in_window']} of {one['cells']} cells are in the window of +-{fields['window_usiemens']:g} uS, "
        f"a yield of {one['yield_fraction']:.6f}; {fields['min_yield']:g} is needed; {one['cells_unread']} unread"
    )


def _details(one: Fields, cells: Sequence[Fields], fields: Fields) -> str:
    """The sentence again, then those of the report's first failing cells that belong here."""
    heading = "first cells that fail:" if cells else "the report lists failing cells of other arrays only"
    return "\n".join([_sentence(one, fields), heading, *map(_cell, cells)])


def _cell(cell: Fields) -> str:
    where = f"array {cell['array']}, row {cell['row']}, column {cell['column']}"
    target, readback = (_usiemens(cell[key]) for key in ("target_usiemens", "readback_usiemens"))
    return f"{where}: target {target}, readback {readback}, {cell['reason']}"


def _usiemens(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} uS"


def _fit(text: str) -> str:
    return _UNFIT.sub("", text)


def _bytes(root: ElementTree.Element) -> bytes:
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
