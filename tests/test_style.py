"""What the code must look like: names, docstrings, lengths, and no trace of one machine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for folder in ("memprog", "drivers") for path in (ROOT / folder).rglob("*.py"))
TEXTS = sorted(
    path
    for place in ("memprog", "drivers", "profiles", "tests", ".ci", "README.md", "CHANGELOG.md", "pyproject.toml")
    for path in [ROOT / place, *(ROOT / place).rglob("*")]
    if path.is_file() and (path.suffix in {".py", ".md", ".toml", ".yaml", ".txt"} or path.parent.name == ".ci")
)
FUNCTION_LINES = 60
FILE_LINES = 400
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|root|work|opt|mnt|Users)/\w|[A-Z]:\\Users|\.\./shared")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def each(paths: list[Path]) -> pytest.MarkDecorator:
    """One test a file, named after it."""
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.relative_to(ROOT).as_posix())


def tree(path: Path) -> ast.Module:
    """Syntax tree of a source file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def identifiers(module: ast.Module) -> Iterator[str]:
    """Every name in a file: variables, attributes, arguments, keywords, functions, classes, imports."""
    for node in ast.walk(module):
        for field in ("id", "attr", "arg", "name", "asname"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield name


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Functions and classes others may use, with those inside public classes."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


@each(SOURCES)
def test_no_name_ends_in_letters_that_mean_two_units(path: Path) -> None:
    assert [name for name in identifiers(tree(path)) if name.lower().endswith("_us")] == []


def test_no_profile_key_ends_in_letters_that_mean_two_units() -> None:
    for path in (ROOT / "profiles").glob("*.yaml"):
        assert re.findall(r"\w+_us\s*:", path.read_text(encoding="utf-8"), re.IGNORECASE) == [], path.name


@each(SOURCES)
def test_module_and_everything_public_in_it_has_a_docstring(path: Path) -> None:
    module = tree(path)
    assert ast.get_docstring(module), "the module has none"
    assert [name for name, node in public(module.body) if not ast.get_docstring(node)] == []


@each(SOURCES)
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    functions = [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


@each(SOURCES)
def test_file_is_short_enough_to_read(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= FILE_LINES


@each(TEXTS)
def test_file_names_no_folder_of_one_machine(path: Path) -> None:
    assert [match[0] for match in MACHINE_PATH.finditer(path.read_text(encoding="utf-8"))] == []
