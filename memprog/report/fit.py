"""What a fit of a profile to measurements found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprog.report.base import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileFitReport(Report):
    """A profile fitted to measurements: what was replaced, and what the measurements could not tell.

    =============== ============ ============================================================================
    field           type         meaning
    =============== ============ ============================================================================
    profile         str          name of the profile that was written
    profile_sha256  str          hash of every value and note in it
    path            str          its file
    base            str          name of the profile that it differs from
    base_sha256     str          hash of every value and note in that
    files           list         objects: path, kind (pulse log, sweep or trace), sha256, cells
    fitted          list         objects: key (section.name), before (the base's value), value, low, high (95 %
                                 interval), cells (or traces, that told), files (numbers of ``files``)
    kept            list         objects: key, reason: what was looked for, and why the base's value stayed
    unread          list of str  traces of cells that were not read, and stretches too short to be analysed
    =============== ============ ============================================================================
    """

    profile: str
    profile_sha256: str
    path: str | Path
    base: str
    base_sha256: str
    files: Sequence[Mapping[str, Any]]
    fitted: Sequence[Mapping[str, Any]]
    kept: Sequence[Mapping[str, Any]]
    unread: Sequence[str]
