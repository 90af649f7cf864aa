"""The file of a simulated chip: memory-mapped, two slots an array, and a generation number that only rises.

A slot is written whole before its generation is; whatever kills the process, the other slot is still there. A power
cut is another matter: nothing is forced to the disk before the chip is closed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memprog.errors import ChipFileError
from memprog.profile import ChipProfile
from memprog.simchip.state import Record, form, make_generator, manufacture, silicon_dtype, state_dtype, store_generator

MAGIC = b"memprog simchip\0"
FORMAT_VERSION = 1
HEADER_BYTES = 4096
HEADER = np.dtype(
    [
        ("magic", "S16"),
        ("format_version", "<u4"),
        ("arrays", "<u4"),
        ("seed", "<u8"),
        ("profile", "S64"),
        ("chip_sha256", "S64"),
        ("clock_s", "<f8"),
        ("last_batch", "<i8"),
        ("pulses", "<u8"),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Sizes and places of the parts of a chip's file."""

    arrays: int
    silicon: np.dtype[Any]
    state: np.dtype[Any]

    @property
    def slots_at(self) -> int:
        """Where the first slot begins."""
        return HEADER_BYTES + self.arrays * self.silicon.itemsize

    @property
    def size(self) -> int:
        """Size of the whole file in bytes."""
        return self.slots_at + 2 * self.arrays * self.state.itemsize


def layout_of(profile: ChipProfile, arrays: int) -> Layout:
    """Say where everything is in the file of a chip of this kind."""
    rows, columns = profile.geometry.rows, profile.geometry.columns
    return Layout(
        arrays=arrays,
        silicon=silicon_dtype(rows, columns),
        state=state_dtype(rows * columns, profile.simulation),
    )


def create(path: Path, profile: ChipProfile, *, seed: int, arrays: int) -> None:
    """Manufacture a chip and write its file whole, or not at all.

    Raises:
        ChipFileError: the file cannot be written.
    """
    layout = layout_of(profile, arrays)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(_header(profile, seed, arrays).ljust(HEADER_BYTES, b"\0"))
            file.truncate(layout.size)
        for array in range(arrays):
            _fill(partial, layout, profile, seed, array)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise ChipFileError(f"{path}: the simulated chip cannot be written: {error.strerror or error}") from error


def _header(profile: ChipProfile, seed: int, arrays: int) -> bytes:
    header = np.zeros((), HEADER)
    header["magic"], header["format_version"] = MAGIC, FORMAT_VERSION
    header["arrays"], header["seed"], header["last_batch"] = arrays, seed, -1
    header["profile"], header["chip_sha256"] = profile.name.encode(), profile.chip_sha256.encode()
    return header.tobytes()


def _fill(path: Path, layout: Layout, profile: ChipProfile, seed: int, array: int) -> None:
    rng = make_generator(seed, array)
    silicon, state = np.zeros((), layout.silicon), np.zeros((), layout.state)
    manufacture(silicon, profile.simulation, profile.readout, rng)
    form(state, silicon, profile.simulation, rng)
    state["generation"] = 1
    store_generator(rng, state)
    with path.open("r+b") as file:
        file.seek(HEADER_BYTES + array * layout.silicon.itemsize)
        file.write(silicon.tobytes())
        file.seek(layout.slots_at + 2 * array * layout.state.itemsize)
        file.write(state.tobytes())


class ChipFile:
    """An open chip file: the silicon to read, the state of each array to load and to commit."""

    def __init__(self, path: Path, profile: ChipProfile) -> None:
        header = read_header(path)
        _check_header(path, header, profile)
        self.layout = layout_of(profile, int(header["arrays"]))
        if path.stat().st_size != self.layout.size:
            raise ChipFileError(f"{path}: {path.stat().st_size} bytes long, a whole one has {self.layout.size}")
        arrays = (self.layout.arrays,)
        self.path = path
        self.header = np.memmap(path, HEADER, "r+", 0, (1,))
        self.silicon = np.memmap(path, self.layout.silicon, "r", HEADER_BYTES, arrays)
        self._slots = np.memmap(path, self.layout.state, "r+", self.layout.slots_at, (*arrays, 2))

    def load(self, array: int) -> Record:
        """Copy the newest whole state of an array.

        Raises:
            ChipFileError: neither slot is whole.
        """
        newest = int(self._slots["generation"][array].argmax())
        if self._slots["generation"][array, newest] == 0:
            raise ChipFileError(f"{self.path}: array {array} has no whole state")
        # Not np.array(slot): of a structured scalar that is a view, and the file would change before its commit.
        record = np.empty((), self.layout.state)
        record[...] = self._slots[array, newest]
        return record

    def commit(self, array: int, record: Record) -> None:
        """Make a state the newest: into the older slot, its generation last."""
        generation = int(record["generation"]) + 1
        older = int(self._slots["generation"][array].argmin())
        self._slots["generation"][array, older] = 0
        record["generation"] = 0
        self._slots[array, older] = record
        self._slots["generation"][array, older] = record["generation"] = generation

    def flush(self) -> None:
        """Hand everything to the operating system's disk queue."""
        self._slots.flush()
        self.header.flush()


def read_header(path: Path) -> Record:
    """Read and recognise the head of a chip file.

    Raises:
        ChipFileError: not there, not a chip file, or of another format version.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEADER.itemsize)
    except OSError as error:
        raise ChipFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(head) < HEADER.itemsize or not head.startswith(MAGIC.rstrip(b"\0")):
        raise ChipFileError(f"{path}: not the file of a simulated chip")
    header = np.frombuffer(head, HEADER)[0]
    if header["format_version"] != FORMAT_VERSION:
        raise ChipFileError(f"{path}: format version {header['format_version']}; this memprog reads {FORMAT_VERSION}")
    return header


def serial_of(header: Record) -> str:
    """Serial number of a simulated chip: it follows from kind, size and seed, so that equal chips are equal."""
    made_of = f"{header['chip_sha256'].decode(errors='replace')} {header['seed']} {header['arrays']}"
    return "SIM-" + hashlib.sha256(made_of.encode()).hexdigest()[:12]


def _check_header(path: Path, header: Record, profile: ChipProfile) -> None:
    """A chip is only itself under the profile it was made with."""
    name = header["profile"].decode(errors="replace")
    if name != profile.name or header["chip_sha256"].decode(errors="replace") != profile.chip_sha256:
        raise ChipFileError(
            f"{path}: made as '{name}' ({header['chip_sha256'][:8].decode(errors='replace')}), "
            f"not as '{profile.name}' ({profile.chip_sha256[:8]}); make a new one with `memprog sim new`"
        )
    if not 1 <= header["arrays"] <= profile.geometry.arrays or not os.access(path, os.W_OK):
        raise ChipFileError(f"{path}: claims {header['arrays']} arrays, or cannot be written")
