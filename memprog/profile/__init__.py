"""Chip profiles: what one kind of chip is, may bear, and how its simulated twin behaves.

A profile is one flat YAML file. Every number in it is written as ``{value: 2.5, source: "..."}`` or
``{value: 2.5, assumption: "why"}``; a number without either is refused, and so is an unknown key.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from memprog.errors import ProfileError, brief
from memprog.profile.reading import BIAS_NAMES, FORMAT_VERSION, SECTIONS, parse_profile
from memprog.profile.schema import ChipProfile, Driver, Geometry, Levels, Limits, Protocol, Readout, Simulation

__all__ = [
    "BIAS_NAMES",
    "DEFAULT_PROFILE",
    "FORMAT_VERSION",
    "SECTIONS",
    "ChipProfile",
    "Driver",
    "Geometry",
    "Levels",
    "Limits",
    "Protocol",
    "Readout",
    "Simulation",
    "bundled_profile",
    "load_profile",
    "parse_profile",
    "profile_names",
]

DEFAULT_PROFILE = "rao2023-11bit"
MAX_BYTES = 1 << 18


def profile_names() -> list[str]:
    """Names of the profiles that come with memprog, sorted."""
    return sorted(path.name.removesuffix(".yaml") for path in _folder().iterdir() if path.name.endswith(".yaml"))


@functools.lru_cache(maxsize=32)
def bundled_profile(name: str) -> ChipProfile:
    """Load a profile that comes with memprog.

    Raises:
        ProfileError: there is none of that name.
    """
    if name not in profile_names():
        raise ProfileError(f"there is no profile '{brief(name)}'; there are: {', '.join(profile_names())}")
    return parse_profile((_folder() / f"{name}.yaml").read_text(encoding="utf-8"), origin=name)


def load_profile(name_or_path: str) -> ChipProfile:
    """Load a bundled profile by name, or one of the user's by path (a name that ends in .yaml or .yml).

    Raises:
        ProfileError: no such profile, or a file that breaks the schema.
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        return bundled_profile(name_or_path)
    try:
        if path.exists() and not path.is_file():
            raise ProfileError(f"{path}: no profile, but a folder or a device")
        if path.stat().st_size > MAX_BYTES:
            raise ProfileError(f"{path}: larger than {MAX_BYTES} bytes, which no profile is")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path with a NUL in it
        raise ProfileError(f"{brief(path, 500)}: cannot be read: {brief(error)}") from error
    return parse_profile(text, origin=str(path))


def _folder() -> Traversable:
    """The folder of bundled profiles: inside an installed package, else in the checkout."""
    packaged = files("memprog") / "_profiles"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent.parent / "profiles"
