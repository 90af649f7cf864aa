"""What was published, as files: see SOURCES.txt."""

from __future__ import annotations

from importlib.resources import files


def published_lines(name: str) -> list[str]:
    """Read the lines of one of the files."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8").splitlines()
