"""The record of one chip over its life: pulses every cell has had, and which cells are known to be defective.

The record follows from journals and is brought up to date from them: for each journal it remembers up to which batch
it has counted, so that a kill in between loses nothing and counts nothing twice.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memprog.chip import ChipGeometry, Mask
from memprog.errors import InputError, brief
from memprog.files import read_whole, replace_whole
from memprog.session.blobs import cells_of
from memprog.session.entries import PULSE, Fate
from memprog.session.journal import Journal
from memprog.tensors import decode_safetensors, encode_safetensors, tensor_of

FORMAT_VERSION = 2
_KEY = "memprog chip record"


class ChipRecord:
    """Pulses (arrays, rows, columns) and defects, a Reason or 0, of the same shape.

    ``holds`` is the hash of the image that was last written into the chip, empty for none, None where nobody knows;
    ``extra`` how many pulses are counted here that the chip does not count.
    """

    def __init__(self, serial: str, geometry: ChipGeometry) -> None:
        """Begin the record of a chip nothing is known of."""
        shape = (geometry.arrays, geometry.rows, geometry.columns)
        self.serial = serial
        self.pulses: NDArray[np.uint32] = np.zeros(shape, dtype=np.uint32)
        self.defects: NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)
        self.holds: str | None = None
        self.extra = 0
        self._counted: dict[str, int] = {}

    @classmethod
    def read(cls, path: Path, serial: str, geometry: ChipGeometry) -> ChipRecord:
        """Read a record; a new one where there is none, or where it is about another chip.

        Raises:
            InputError: the file is no record, of another version, or damaged.
        """
        record = cls(serial, geometry)
        if not path.exists():
            return record
        facts, arrays = _parsed(path)
        if facts["serial"] == serial and arrays["pulses"].shape == record.pulses.shape:
            record.pulses, record.defects = arrays["pulses"].copy(), arrays["defects"].copy()
            record._counted, record.holds, record.extra = dict(facts["counted"]), facts["holds"], facts["extra"]
        return record

    def write(self, path: Path) -> None:
        """Replace the file in one step.

        Raises:
            InputError: the folder cannot be written to.
        """
        tensors = {"pulses": tensor_of(self.pulses), "defects": tensor_of(self.defects)}
        facts = {
            "format_version": FORMAT_VERSION,
            "serial": self.serial,
            "counted": self._counted,
            "holds": self.holds,
            "extra": self.extra,
        }
        facts["checksum"] = _checksum(facts, self.pulses, self.defects)
        replace_whole(path, encode_safetensors(tensors, {_KEY: json.dumps(facts, sort_keys=True)}))

    def reconcile(self, pulses: int) -> int:
        """Take note of how many pulses the chip counts, and give how many of them are not in here.

        An older copy of a chip counts fewer than its record has: the rest is set apart, or it would hide what is lost.
        """
        lacking = pulses + self.extra - int(self.pulses.sum())
        self.extra -= min(lacking, 0)
        return max(lacking, 0)

    def spread(self, pulses: int) -> None:
        """Count pulses that nobody knows the cells of: evenly, rounded up."""
        each = -(-pulses // self.pulses.size)
        self.pulses += np.uint32(each)
        self.extra += each * self.pulses.size - pulses

    def counted(self, journal: Journal) -> int:
        """Id of the newest batch of a journal that is counted; -1 for none."""
        return self._counted.get(journal.journal_id, -1)

    def count(self, journal: Journal, name: str, fates: Mapping[int, Fate] | None = None) -> bool:
        """Add the pulses of a journal to the chip it calls so, those that are not counted yet; says whether any were.

        A batch whose fate neither the journal nor ``fates`` tells is left for the next time, and what follows, too.
        """
        fates = fates or {}
        counted = self.counted(journal)
        newest = counted
        columns = self.pulses.shape[2]
        open_ids = [batch.batch_id for batch in journal.unsettled(name) if batch.batch_id not in fates]
        unsettled = min(open_ids, default=sys.maxsize)
        for run in journal.runs(name):
            for batch in journal.batches(run.run_id, kind=PULSE, after=counted):
                if batch.batch_id >= unsettled:
                    break
                newest = max(newest, batch.batch_id)
                if fates.get(batch.batch_id, batch.fate) is not Fate.NOT_APPLIED:
                    cell = cells_of(batch.intent)
                    self._add(batch.array, cell // columns, cell % columns)
        self._counted[journal.journal_id] = newest
        return newest > counted

    def _add(self, array: int, row: NDArray[np.int64], column: NDArray[np.int64]) -> None:
        try:
            self.pulses[array, row, column] += 1
        except IndexError as error:
            raise InputError("the journal has pulses to cells that the chip does not have") from error

    def learn(self, array: int, cells: Mask, reason: NDArray[np.uint8]) -> None:
        """Replace what is known of some cells (rows, columns) of an array; reason has the shape of the array."""
        self.defects[array][cells] = reason[cells]


def _parsed(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        tensors, metadata = decode_safetensors(read_whole(path))
        facts = json.loads(metadata[_KEY])
        if facts["format_version"] != FORMAT_VERSION:
            raise InputError(f"format version {brief(facts['format_version'])}; this memprog reads {FORMAT_VERSION}")
        arrays = {name: tensors[name].bits for name in ("pulses", "defects")}
        if facts.pop("checksum") != _checksum(facts, arrays["pulses"], arrays["defects"]):
            raise InputError("it does not fit its checksum")
        _check(facts)
        return facts, arrays
    except (InputError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: the record of the chip cannot be read: {brief(error)}; "
            "move it away, it is made again from the journals"
        ) from error


def _check(facts: dict[str, Any]) -> None:
    """Refuse what no record says, even under a checksum that fits."""
    counts = facts["counted"].values()
    if not (type(facts["serial"]) is str and type(facts["holds"]) in (str, type(None))):
        raise InputError("it names its chip or its image by something that is no text")
    if type(facts["extra"]) is not int or facts["extra"] < 0:
        raise InputError("it counts fewer pulses than none")
    if not all(type(batch) is int and -1 <= batch <= sys.maxsize for batch in counts):
        raise InputError("it has counted up to something that is no batch")


def _checksum(facts: dict[str, Any], pulses: NDArray[Any], defects: NDArray[Any]) -> int:
    shape = [str(pulses.dtype), pulses.shape, str(defects.dtype), defects.shape]
    begin = zlib.crc32(json.dumps([facts, shape], sort_keys=True).encode())
    return zlib.crc32(defects.tobytes(), zlib.crc32(pulses.tobytes(), begin))
