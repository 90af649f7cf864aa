"""What a command may write: never another file of the workspace, nor a file it reads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import click

from memprog.cli import config
from memprog.errors import InputError

BESIDE = "memprog.beside"
"""Where a context keeps the endings of the files that its command writes beside the output."""
_OUTPUTS = {"log_file": "the log", "junit": "the JUnit file", "out": "the output", "picture": "the picture"}
_ROLES = {
    "image": ("",),
    "chip": ("", ".record"),
    "journal": ("", "-wal", "-shm", "-journal"),
}
"""What a workspace is made of, and how the names of its files go on."""
_INPUTS = ("weights", "profile", "name_or_file", "file", "files", "base")

Kept = tuple[str, str, Path]
"""Part of the workspace, or the option or argument; how a sentence names it; the file."""


def check_paths(context: click.Context) -> None:
    """Refuse a command line, or configuration, under which one file would be written over another.

    Raises:
        InputError: names the file, and what would have been lost.
    """
    for name in (*_OUTPUTS, *_ROLES):
        path = context.params.get(name)
        if isinstance(path, Path):
            check_path(context, name, path)
    for path in _beside(context):
        check_path(context, "out", path)


def check_path(context: click.Context, name: str, path: Path) -> None:
    """Refuse a path that something else of the command has.

    Raises:
        InputError: names the file, and what would have been lost.
    """
    for owner, kind, kept in [*_workspace(context), *_inputs(context), *_others(context)]:
        if owner != name and _same(path, kept):
            mine = _OUTPUTS.get(name, f"the {name}")
            raise InputError(f"{path}: {mine} would take the place of {kind}; nothing was done")


@contextlib.contextmanager
def folder_of_output(context: click.Context) -> Iterator[None]:
    """Find out before a chip is touched whether the output can be written; its folder is made, and kept on success.

    Raises:
        InputError: it cannot.
    """
    path = context.params.get("out")
    if not isinstance(path, Path) or context.params.get("dry_run"):
        yield
        return
    made = _make_folders(path)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # something lies in there already
            for folder in made:
                folder.rmdir()
        raise


def _make_folders(path: Path) -> list[Path]:
    """Make the folders that a file needs; give those that were not there, the innermost first."""
    from memprog.files import make_folder, refuse_unwritable

    missing = [folder for folder in path.parents if not folder.exists()]
    make_folder(path.parent)
    refuse_unwritable(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written: its folder cannot be written to; nothing was changed")
    return missing


def _workspace(context: click.Context) -> Iterator[Kept]:
    """The files of the workspace, those given singly, and those in the workspaces that would hold otherwise."""
    from memprog.jobs.workspace import open_workspace

    given = {role: context.params.get(role) for role in _ROLES}
    for folder in _folders(context):
        for paths in (given, {}):
            workspace = open_workspace(folder, **paths)
            for role, endings in _ROLES.items():
                path = getattr(workspace, f"{role}_path")
                for ending in endings:
                    yield role, f"the {role} of the workspace", path.with_name(path.name + ending)


def _folders(context: click.Context) -> Iterator[Path]:
    # Of a command without --workspace, or under a configuration that is in error, this is all there is to know.
    found = context.meta.get(config.FOUND, {}).get("workspace")
    named = [context.params.get("workspace"), found and found.value, os.environ.get("MEMPROG_WORKSPACE")]
    yield from map(Path, dict.fromkeys(str(folder) for folder in named if folder))
    default: Path = config.SETTINGS["workspace"].default
    yield default


def _inputs(context: click.Context) -> Iterator[Kept]:
    for path in context.meta.get(config.FILES, []):
        yield "", "the configuration", path
    for name in _INPUTS:
        value = context.params.get(name)
        for path in value if isinstance(value, tuple) else [value]:
            if isinstance(path, Path) or (isinstance(path, str) and config.if_yaml(path)):
                yield "", "a file that is read", Path(path)


def _beside(context: click.Context) -> list[Path]:
    """The files that go beside the output, under its name."""
    out = context.params.get("out")
    return [out.with_suffix(ending) for ending in context.meta.get(BESIDE, ())] if isinstance(out, Path) else []


def _others(context: click.Context) -> Iterator[Kept]:
    for name, kind in _OUTPUTS.items():
        path = context.params.get(name)
        if isinstance(path, Path):
            yield name, kind, path


def _same(one: Path, other: Path) -> bool:
    """Say whether two names lead to one file, which need not be there yet."""
    try:
        return os.path.realpath(one) == os.path.realpath(other) or one.samefile(other)
    except (OSError, ValueError):  # one is not there, or there is no current folder to start from
        return one == other
