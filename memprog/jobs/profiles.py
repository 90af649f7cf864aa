"""Showing, copying and checking profiles, and the schema that editors check them by."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from memprog import strict_yaml
from memprog.errors import InputError, LimitError, ProfileError
from memprog.files import replace_whole
from memprog.profile import (
    OPTIONAL_SECTIONS,
    SECTIONS,
    ChipProfile,
    is_file_name,
    load_profile,
    parse_profile,
    profile_names,
    profile_text,
    read_profile,
)
from memprog.profile.json_schema import profile_schema

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DEFAULTED = "default: not in the file"


def show_profile(name_or_path: str) -> dict[str, Any]:
    """Give what a profile says: of every value, under section.key, the value and its origin.

    The origin is "source: ..." or "assumption: ...", None for words, which need none.
    """
    profile = load_profile(name_or_path)
    return {
        "name": profile.name,
        "description": " ".join(profile.description.split()),
        "sha256": profile.sha256,
        "chip_sha256": profile.chip_sha256,
        "values": {key: {"value": value, "origin": origin} for key, value, origin in _values(profile)},
    }


def _values(profile: ChipProfile) -> Iterator[tuple[str, Any, str | None]]:
    for section in (*SECTIONS, *OPTIONAL_SECTIONS):
        part = getattr(profile, section)
        for field in () if part is None else dataclasses.fields(part):
            key, value = f"{section}.{field.name}", getattr(part, field.name)
            yield key, value, None if isinstance(value, str) else profile.provenance.get(key, DEFAULTED)
    for name, row in profile.bias_table.items():
        for line, volts in row.items():
            yield f"bias_table.{name}.{line}", volts, f"source: {profile.provenance['bias_table']}"


def copy_profile(name_or_path: str, out_path: Path, *, name: str, force: bool = False) -> dict[str, Any]:
    """Write a profile's text, comments and all, under another name.

    Raises:
        InputError: a profile that is none, a name or file name that cannot be one, or a file that cannot be written.
        LimitError: there is a file already and force is not given.
    """
    check_new(out_path, name)
    text = profile_text(name_or_path)
    profile = parse_profile(text, origin=name_or_path)
    text = _renamed(text, profile, name)
    refuse_to_replace(out_path, force=force)
    replace_whole(out_path, text.encode())
    return {"path": str(out_path), "name": name, "copied_from": profile.name}


def check_new(out_path: Path, name: str) -> None:
    """Refuse a name or a file that no profile of the user's may have.

    Raises:
        InputError: says which, and why.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"a profile's name is letters, digits, '.', '_' and '-', not {strict_yaml.shown(name)}")
    if name in profile_names():
        raise InputError(f"'{name}' is the name of a profile that comes with memprog; choose another")
    if not is_file_name(str(out_path)):
        raise InputError(f"{out_path}: a profile's file ends in .yaml or .yml")


def refuse_to_replace(out_path: Path, *, force: bool) -> None:
    """Refuse to write where a file is, unless that is wanted.

    Raises:
        LimitError: there is one.
    """
    if out_path.exists() and not force:
        raise LimitError(f"{out_path} is there already; --force replaces it; nothing was written")


def _renamed(text: str, profile: ChipProfile, name: str) -> str:
    """Give the text with another name, having checked that nothing else became another."""
    # Some names would be numbers or truth values without quotes.
    written = name if _is_plain(name) else json.dumps(name)
    copied = strict_yaml.replaced_value(text, "name", written)
    again = parse_profile(copied, origin=f"{profile.name}, renamed")
    hashes = ("sha256", "chip_sha256")
    if dataclasses.replace(again, name=profile.name, **{key: getattr(profile, key) for key in hashes}) != profile:
        raise InputError(f"the name of {profile.name} cannot be replaced where it stands; nothing was written")
    return copied


def _is_plain(name: str) -> bool:
    try:
        return strict_yaml.load(name) == name
    except InputError:
        return False


def validate_profiles(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Say of each file whether it is a profile: path, passed, name and sha256, or the error."""
    return [_verdict(path) for path in paths]


def _verdict(path: Path) -> dict[str, Any]:
    verdict: dict[str, Any] = {"path": str(path), "passed": False, "name": None, "sha256": None, "error": None}
    try:
        profile = read_profile(path)
        check_usable(profile)
    except (ProfileError, LimitError) as error:
        return verdict | {"error": str(error)}
    return verdict | {"passed": True, "name": profile.name, "sha256": profile.sha256}


def check_usable(profile: ChipProfile) -> None:
    """Refuse a profile by which no cell can be certified, or none moved.

    Raises:
        ProfileError, LimitError: name what stands in the way.
    """
    # The other commands do without the whole loop.
    from memprog.jobs.verify import check_window
    from memprog.session import check_possible

    check_window(profile)
    check_possible(profile, profile.limits)


def schema_text() -> str:
    """Give the JSON Schema of profiles as text."""
    return json.dumps(profile_schema(), indent=2, allow_nan=False) + "\n"


def write_schema(path: Path) -> None:
    """Write the JSON Schema of profiles to a file.

    Raises:
        InputError: the file cannot be written.
    """
    replace_whole(path, schema_text().encode())
