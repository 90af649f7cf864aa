"""Chip profiles: what one kind of chip is, may bear, and how its simulated twin behaves.

A profile is one flat YAML file. Every number in it is written as ``{value: 2.5, source: "..."}`` or
``{value: 2.5, assumption: "why"}``; a number without either is refused, and so is an unknown key.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from memprog import strict_yaml
from memprog.errors import InputError, ProfileError, brief
from memprog.profile.effects import (
    NO_EFFECTS,
    Curvature,
    Disturb,
    Effects,
    Forming,
    Islands,
    LevelRelaxation,
    ProductReadout,
    Retention,
    Temperature,
    Wiring,
)
from memprog.profile.reading import BIAS_NAMES, FORMAT_VERSION, OPTIONAL_SECTIONS, SECTIONS, parse_profile
from memprog.profile.schema import ChipProfile, Driver, Geometry, Levels, Limits, Protocol, Readout, Simulation

__all__ = [
    "BIAS_NAMES",
    "DEFAULT_PROFILE",
    "FORMAT_VERSION",
    "NO_EFFECTS",
    "OPTIONAL_SECTIONS",
    "SECTIONS",
    "ChipProfile",
    "Curvature",
    "Disturb",
    "Driver",
    "Effects",
    "Forming",
    "Geometry",
    "Islands",
    "LevelRelaxation",
    "Levels",
    "Limits",
    "ProductReadout",
    "Protocol",
    "Readout",
    "Retention",
    "Simulation",
    "Temperature",
    "Wiring",
    "bundled_profile",
    "is_file_name",
    "load_profile",
    "parse_profile",
    "profile_names",
    "profile_text",
    "read_profile",
]

DEFAULT_PROFILE = "rao2023-11bit"


def profile_names() -> list[str]:
    """Names of the profiles that come with memprog, sorted."""
    return sorted(path.name.removesuffix(".yaml") for path in _folder().iterdir() if path.name.endswith(".yaml"))


@functools.lru_cache(maxsize=32)
def bundled_profile(name: str) -> ChipProfile:
    """Load a profile that comes with memprog.

    Raises:
        ProfileError: there is none of that name.
    """
    return parse_profile(_bundled_text(name), origin=name)


def load_profile(name_or_path: str) -> ChipProfile:
    """Load a bundled profile by name, or one of the user's by path (a name that ends in .yaml or .yml).

    Raises:
        ProfileError: no such profile, or a file that breaks the schema.
    """
    return read_profile(Path(name_or_path)) if is_file_name(name_or_path) else bundled_profile(name_or_path)


def is_file_name(name_or_path: str) -> bool:
    """Say whether a profile is meant by path: a name that ends in .yaml or .yml."""
    return name_or_path.endswith((".yaml", ".yml"))


def read_profile(path: Path) -> ChipProfile:
    """Load a profile from a file of any name.

    Raises:
        ProfileError: a file that cannot be read or breaks the schema.
    """
    return parse_profile(_file_text(path), origin=str(path))


def profile_text(name_or_path: str) -> str:
    """Text of a profile as it was written, comments included.

    Raises:
        ProfileError: no such profile, or a file that cannot be read.
    """
    return _file_text(Path(name_or_path)) if is_file_name(name_or_path) else _bundled_text(name_or_path)


def _bundled_text(name: str) -> str:
    if name not in profile_names():
        raise ProfileError(f"there is no profile '{brief(name)}'; there are: {', '.join(profile_names())}")
    return (_folder() / f"{name}.yaml").read_text(encoding="utf-8")


def _file_text(path: Path) -> str:
    try:
        return strict_yaml.read_text(path)
    except InputError as error:
        raise ProfileError(str(error)) from error


def _folder() -> Traversable:
    """The folder of bundled profiles: inside an installed package, else in the checkout."""
    packaged = files("memprog") / "_profiles"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent.parent / "profiles"
