"""What a result was made by and from: versions, command line, time, configuration."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import memprog

_PACKAGES = ("numpy", "safetensors")


def provenance(argv: Sequence[str], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Give versions, argv, utc (ISO 8601) and configuration (key -> value and origin), as JSON can hold them."""
    versions = {"memprog": memprog.__version__, "python": platform.python_version()}
    return {
        "versions": versions | {name: _version(name) for name in _PACKAGES} | {"platform": platform.platform()},
        "argv": list(argv),
        "utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "configuration": dict(configuration),
    }


def _version(package: str) -> str | None:
    """Version of a package, which is not imported for that."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
