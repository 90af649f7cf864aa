"""What the journal says of a run and of a batch, as frozen values."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from memprog.errors import InputError, brief
from memprog.profile import Limits

PART, PULSE = "part", "pulse"
"""Kinds of batches: which cells of an array a run is about, and pulses. The others belong to who writes them."""
KINDS = PROGRAM, RESTORE, PULSES, CHARACTERISE = "program", "restore", "pulse", "characterise"
"""Kinds of runs: of the loop, and at the operator's word."""
OF_THE_LOOP = (PROGRAM, RESTORE)
"""Kinds of runs that can be taken up again: what was left undone follows from the journal."""
UNFINISHED = ("running", "stopped")
"""States of a run that did not end; the others are finished, and superseded by a later run."""


_BEGAN: Mapping[str, type] = {
    "kind": str,
    "utc": str,
    "image_sha256": str,
    "profile": str,
    "profile_sha256": str,
    "memprog_version": str,
    "argv": list,
    "configuration": dict,
    "settings": dict,
    "cells": int,
    "arrays": list,
    "restores": str,
}
_SETTINGS: Mapping[str, type] = {"denoise": bool, "full": bool, "recheck": bool, "limits": dict}


def damaged(journal_path: Path, flaw: str) -> InputError:
    """Make the error of a journal that is not what was written into it, with what is to be done about it."""
    return InputError(f"{journal_path}: the journal is damaged: {flaw}; put a copy back, or move it away to start anew")


def check_facts(facts: object) -> None:
    """Refuse facts that no run begins with, whoever wrote them into a journal.

    Raises:
        InputError: something is missing, or is not of its type.
    """
    began = _of_types(facts, _BEGAN)
    if began["kind"] not in KINDS:
        raise InputError(f"a run of kind {brief(began['kind'])}")
    if not all(type(array) is int and array >= 0 for array in began["arrays"]):
        raise InputError("a run on arrays that are no numbers")
    if type(began.get("last_batch")) not in (int, type(None)) or type(began.get("held")) not in (str, type(None)):
        raise InputError("a run that began after no batch, or on what is no image")
    limits = _of_types(began["settings"], _SETTINGS)["limits"]
    known = {field.name for field in dataclasses.fields(Limits)}
    if set(limits) != known or not all(type(value) in (int, float) for value in limits.values()):
        raise InputError("a run under limits that there are not")


def _of_types(found: object, types: Mapping[str, type]) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise InputError("a run that says nothing of how it began")
    for name, kind in types.items():
        if type(found.get(name)) is not kind:
            raise InputError(f"a run whose {name} is missing or is something else")
    return found


class Fate(enum.IntEnum):
    """What became of a batch that was left without outcome. The numbers are stored: never renumber."""

    APPLIED = 1
    NOT_APPLIED = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row of the table of runs; ``chip`` is the serial, for a simulated chip followed by where its file is.

    ``former`` says that the chip is no longer the one of the run, but an older copy.

    ``facts`` holds what a run began with: kind, utc, image_sha256, profile, profile_sha256, memprog_version, argv,
    configuration (of every setting its value and origin), settings, cells, arrays, restores; a run that is begun on a
    chip also says the last_batch that the chip had heard of, and the image that it held. ``summary`` is empty until the
    run ended.
    """

    run_id: str
    chip: str
    former: bool
    state: str
    facts: Mapping[str, Any]
    summary: Mapping[str, Any]

    @property
    def serial(self) -> str:
        """Serial of the chip."""
        return self.chip.partition(" ")[0]

    @property
    def unfinished(self) -> bool:
        """Whether it can be taken up again."""
        return self.state in UNFINISHED and not self.former and self.facts["kind"] in OF_THE_LOOP

    @property
    def image_sha256(self) -> str:
        """The image it wrote, or the one that was there before what it restored; empty for none."""
        return str(self.facts["image_sha256"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch of a run; ``outcome`` is None where its fate is unknown."""

    batch_id: int
    array: int
    kind: str
    intent: dict[str, NDArray[Any]]
    outcome: dict[str, NDArray[Any]] | None

    @property
    def fate(self) -> Fate | None:
        """What was found out later of a batch left without outcome; None where all went well, or nobody looked."""
        if self.outcome is None or "fate" not in self.outcome:
            return None
        try:
            return Fate(int(self.outcome["fate"][0]))
        except (ValueError, IndexError) as error:
            raise InputError(f"batch {self.batch_id} of the journal has a fate that there is not") from error
