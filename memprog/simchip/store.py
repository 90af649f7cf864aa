"""The file of a simulated chip: memory-mapped, two slots an array, and a generation number that only rises.

A slot is written whole before its generation is, and holds all that a batch changes: the cells, the number of the
batch, the pulses, the clock. Whatever kills the process, a batch in one array is wholly there or not at all; one over
several arrays is committed array by array. A power cut is another matter: nothing is forced to the disk before the
chip is closed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import zlib
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from memprog import faults
from memprog.errors import ChipFileError
from memprog.files import CHIP_BEGINS, beginning
from memprog.profile import ChipProfile
from memprog.simchip.soundness import MOST_S, checksum, flaw_of_heads, flaw_of_silicon, flaw_of_state
from memprog.simchip.state import (
    SLOT_HEAD,
    Record,
    deliver,
    make_generator,
    manufacture,
    silicon_dtype,
    state_dtype,
    store_generator,
)

MAGIC = b"memprog simchip\0"
FORMAT_VERSION = 2
HEADER_BYTES = 4096
WAY_ON = "put a copy back, or make a new chip with `memprog sim new --force`"
"""What is to be done about a file that is damaged."""
_FACTS = [
    ("magic", "S16"),
    ("format_version", "<u4"),
    ("arrays", "<u4"),
    ("seed", "<u8"),
    ("profile", "S64"),
    ("chip_sha256", "S64"),
    ("slots_at", "<u8"),
    ("slot_bytes", "<u8"),
    ("birth", "<u8"),
]
HEADER = np.dtype([*_FACTS, ("crc", "<u4"), ("clock_s", "<f8")])
"""``crc`` is the CRC-32 of all that stands before it, which never changes; the clock is what waiting moves."""
_HEAD = np.dtype(SLOT_HEAD)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipSummary:
    """What a chip's file tells without its cells; ``last_batch`` is None before the first."""

    serial: str
    profile: str
    chip_sha256: str
    arrays: int
    seed: int
    birth: int
    last_batch: int | None
    pulses: int
    clock_s: float


def layout_of(profile: ChipProfile, arrays: int) -> Layout:
    """Say where everything is in the file of a chip of this kind.

    Raises:
        ChipFileError: an array of that size is beyond what can be simulated.
    """
    rows, columns = profile.geometry.rows, profile.geometry.columns
    try:
        silicon, state = silicon_dtype(profile), state_dtype(profile)
    except ValueError as error:
        raise ChipFileError(f"an array of {rows} x {columns} cells is too large to be simulated") from error
    return Layout(arrays=arrays, silicon=silicon, state=state)


def create(path: Path, profile: ChipProfile, *, seed: int, arrays: int, birth: int = 0) -> None:
    """Manufacture a chip and write its file whole, or not at all; birth tells it from those it replaces.

    Raises:
        ChipFileError: the file cannot be written, or another file than a chip is there; it still is.
    """
    begins = beginning(path)
    if begins and not begins.startswith(CHIP_BEGINS):
        raise ChipFileError(f"{path}: holds something else than a chip, which would be lost; nothing was written")
    layout = layout_of(profile, arrays)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            file.write(_header(profile, layout, seed, birth).ljust(HEADER_BYTES, b"\0"))
            for array in range(arrays):
                _fill(file, layout, profile, seed, array)
            file.flush()
            os.fsync(file.fileno())
        faults.point("before chip file")
        partial.replace(path)
        faults.point("after chip file")
    except OSError as error:
        raise ChipFileError(f"{path}: the simulated chip cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _header(profile: ChipProfile, layout: Layout, seed: int, birth: int) -> bytes:
    header = np.zeros((), HEADER)
    header["magic"], header["format_version"] = MAGIC, FORMAT_VERSION
    header["arrays"], header["seed"], header["birth"] = layout.arrays, seed, birth
    header["profile"], header["chip_sha256"] = profile.name.encode(), profile.chip_sha256.encode()
    header["slots_at"], header["slot_bytes"] = layout.slots_at, layout.state.itemsize
    header["crc"] = _header_crc(header.tobytes())
    return header.tobytes()


def _header_crc(head: bytes) -> int:
    return zlib.crc32(head[: np.dtype(_FACTS).itemsize])


def _fill(file: BinaryIO, layout: Layout, profile: ChipProfile, seed: int, array: int) -> None:
    rng = make_generator(seed, array)
    silicon, state = np.zeros((), layout.silicon), np.zeros((), layout.state)
    manufacture(silicon, profile, rng)
    deliver(state, silicon, profile, rng)
    silicon["crc"] = checksum(silicon)
    store_generator(rng, state)
    state["last_batch"] = -1
    # The second slot holds the same, without a generation: a hole would be found out by a full disk, which kills
    # whoever writes to it through a memory map.
    second = state.tobytes()
    state["generation"] = 1
    state["crc"] = checksum(state)
    file.seek(HEADER_BYTES + array * layout.silicon.itemsize)
    file.write(silicon.tobytes())
    file.seek(layout.slots_at + 2 * array * layout.state.itemsize)
    file.write(state.tobytes() + second)


class ChipFile:
    """An open chip file: the silicon to read, the state of each array to load and to commit."""

    def __init__(self, path: Path, profile: ChipProfile) -> None:
        header = read_header(path)
        self.path = path
        self.layout = _layout_under(path, header, profile)
        self.summary = _summary(path, header)
        arrays = (self.layout.arrays,)
        try:
            self._header = np.memmap(path, HEADER, "r+", 0, (1,))
            self.silicon = np.memmap(path, self.layout.silicon, "r", HEADER_BYTES, arrays)
            self._slots = np.memmap(path, self.layout.state, "r+", self.layout.slots_at, (*arrays, 2))
        except OSError as error:
            raise ChipFileError(f"{path}: cannot be opened for writing: {error.strerror or error}") from error
        self._in_use: set[int] = set()

    def load(self, array: int) -> Record:
        """Copy the newest whole state of an array.

        Raises:
            ChipFileError: the array is damaged.
        """
        newest = int(self._slots["generation"][array].argmax())
        # Not np.array(slot): of a structured scalar that is a view, and the file would change before its commit.
        record = np.empty((), self.layout.state)
        record[...] = self._slots[array, newest]
        flaw = flaw_of_silicon(self.silicon[array]) or flaw_of_state(record)
        if flaw:
            raise _damaged(self.path, array, flaw)
        record["crc"] = 0
        return record

    def commit(self, array: int, record: Record) -> None:
        """Make a state the newest: into the older slot, its generation last."""
        generations = self._slots["generation"][array]
        older, generation = int(generations.argmin()), int(generations.max()) + 1
        self._in_use.add(array)
        faults.point("before chip slot")
        generations[older] = 0
        record["generation"] = record["crc"] = 0
        self._slots[array, older] = record
        faults.point("inside chip slot")
        generations[older] = record["generation"] = generation
        faults.point("after chip slot")

    def set_clock(self, clock_s: float) -> None:
        """Put a time that passed without touching a cell into the head."""
        faults.point("before chip clock")
        self._header["clock_s"] = clock_s
        faults.point("after chip clock")

    def close(self) -> None:
        """Put checksums to what was committed, which a commit has no time for, and hand the file to the disk.

        Raises:
            ChipFileError: the disk takes it no longer.
        """
        for array in sorted(self._in_use):
            newest = int(self._slots["generation"][array].argmax())
            self._slots["crc"][array, newest] = checksum(self._slots[array, newest])
        self._in_use.clear()
        try:
            self._slots.flush()
            self._header.flush()
        except OSError as error:
            raise ChipFileError(f"{self.path}: cannot be written: {error.strerror or error}") from error


def read_header(path: Path) -> Record:
    """Read and recognise the head of a chip file.

    Raises:
        ChipFileError: not there, not a chip file, of another format version, damaged or not whole.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEADER.itemsize)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise ChipFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(head) < HEADER.itemsize or not head.startswith(MAGIC.rstrip(b"\0")):
        raise ChipFileError(f"{path}: not the file of a simulated chip")
    header = np.frombuffer(head, HEADER)[0]
    if header["format_version"] != FORMAT_VERSION:
        version = header["format_version"]
        raise ChipFileError(
            f"{path}: format version {version}, and this memprog reads {FORMAT_VERSION}; "
            "make a new chip with `memprog sim new --force`"
        )
    _check_whole(path, header, size, intact=header["crc"] == _header_crc(head))
    return header


def _check_whole(path: Path, header: Record, size: int, *, intact: bool) -> None:
    """Refuse sizes before anything of that size is read or mapped."""
    arrays, at, step = int(header["arrays"]), int(header["slots_at"]), int(header["slot_bytes"])
    if not intact or arrays < 1 or at < HEADER_BYTES or step < _HEAD.itemsize:
        raise ChipFileError(f"{path}: the head of the file is damaged; {WAY_ON}")
    if size != at + 2 * arrays * step:
        raise ChipFileError(f"{path}: {size} bytes long, a whole one has {at + 2 * arrays * step}; {WAY_ON}")
    if not 0.0 <= header["clock_s"] <= MOST_S:
        raise ChipFileError(f"{path}: its clock shows {header['clock_s']:g} s; {WAY_ON}")


def summary_of(path: Path) -> ChipSummary:
    """Tell what a chip's file holds without opening it for writing, and without its cells.

    The last batch is that of the array whose last pulse ended last.

    Raises:
        ChipFileError: not a whole file of a simulated chip.
    """
    return _summary(path, read_header(path))


def _summary(path: Path, header: Record) -> ChipSummary:
    heads = _newest_heads(path, header)
    last = max(heads, key=lambda head: (head["last_batch_s"], head["last_batch"]))
    return ChipSummary(
        serial=serial_of(header),
        profile=header["profile"].decode(errors="replace"),
        chip_sha256=header["chip_sha256"].decode(errors="replace"),
        arrays=int(header["arrays"]),
        seed=int(header["seed"]),
        birth=int(header["birth"]),
        last_batch=None if last["last_batch"] < 0 else int(last["last_batch"]),
        pulses=sum(int(head["pulses"]) for head in heads),
        clock_s=float(max([header["clock_s"], *(head["clock_s"] for head in heads)])),
    )


def _newest_heads(path: Path, header: Record) -> list[Record]:
    """Read how the newest slot of each array begins."""
    at, step = int(header["slots_at"]), int(header["slot_bytes"])
    try:
        # Without a buffer: another look must see what has been written since.
        with path.open("rb", buffering=0) as file:
            return [_newest_head(path, file, at, step, array) for array in range(int(header["arrays"]))]
    except OSError as error:
        raise ChipFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def _newest_head(path: Path, file: RawIOBase, at: int, step: int, array: int) -> Record:
    flaw = None
    # One who writes meanwhile may commit between two looks, and then they do not fit each other.
    for _ in range(3):
        pair = []
        for slot in (0, 1):
            file.seek(at + (2 * array + slot) * step)
            pair.append(np.frombuffer(file.read(_HEAD.itemsize) or b"", _HEAD)[0])
        older, newest = sorted(pair, key=lambda head: int(head["generation"]))
        flaw = flaw_of_heads(older, newest)
        if flaw is None:
            return newest
    raise _damaged(path, array, str(flaw))


def _damaged(path: Path, array: int, flaw: str) -> ChipFileError:
    return ChipFileError(f"{path}: array {array} is damaged ({flaw}); {WAY_ON}")


def serial_of(header: Record) -> str:
    """Serial number of a simulated chip: it follows from kind, size, seed, and how many it replaced in its place."""
    made_of = f"{header['chip_sha256'].decode(errors='replace')} {header['seed']} {header['arrays']} {header['birth']}"
    return "SIM-" + hashlib.sha256(made_of.encode()).hexdigest()[:12]


def _layout_under(path: Path, header: Record, profile: ChipProfile) -> Layout:
    """Say where everything is; a chip is only itself under the profile it was made with."""
    name, arrays = header["profile"].decode(errors="replace"), int(header["arrays"])
    if name != profile.name or header["chip_sha256"].decode(errors="replace") != profile.chip_sha256:
        raise ChipFileError(
            f"{path}: made as '{name}' ({header['chip_sha256'][:8].decode(errors='replace')}), "
            f"not as '{profile.name}' ({profile.chip_sha256[:8]}); make a new one with `memprog sim new`"
        )
    if arrays > profile.geometry.arrays:
        raise ChipFileError(f"{path}: claims {arrays} arrays; '{name}' has {profile.geometry.arrays}")
    layout = layout_of(profile, arrays)
    if (header["slots_at"], header["slot_bytes"]) != (layout.slots_at, layout.state.itemsize):
        raise ChipFileError(f"{path}: its arrays are not of the size that '{name}' gives them")
    if not os.access(path, os.W_OK):
        raise ChipFileError(f"{path}: cannot be written")
    return layout
