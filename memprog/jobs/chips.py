"""Opening and making chips, and telling what one is."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from memprog.chip import Chip, Identity
from memprog.errors import ChipFileError, InputError, LimitError, brief
from memprog.files import make_folder
from memprog.image import read_image
from memprog.jobs.workspace import Workspace
from memprog.locks import owned
from memprog.profile import DEFAULT_PROFILE, ChipProfile, Limits, bundled_profile, load_profile, profile_names
from memprog.protocol import Reason
from memprog.report.chip import ChipReport
from memprog.session import ChipRecord, Journal, Session, fates, is_past
from memprog.simchip import SimChip, create, summary_of


class Wanted(TypedDict, total=False):
    """Which chip a job works on, and how long it waits for it; the keywords of ``opened``."""

    backend: str
    expect_serial: str | None
    timeout_s: float


SIM = "sim"
DEFAULT_SEED = 0


def new_chip(
    workspace: Workspace,
    *,
    profile: str = DEFAULT_PROFILE,
    seed: int = DEFAULT_SEED,
    arrays: int | None = None,
    force: bool = False,
) -> ChipReport:
    """Manufacture a simulated chip in a workspace.

    Raises:
        LimitError: there is one already and force is not given.
        InputError: more arrays than the profile has, a negative seed, or a file that cannot be written.
    """
    kind = load_profile(profile)
    if workspace.chip_path.exists() and not force:
        raise LimitError(f"{workspace.chip_path} holds a chip already; --force replaces it, history and all")
    make_chip(workspace.chip_path, kind, seed=seed, arrays=arrays if arrays is not None else arrays_needed(workspace))
    return chip_report(workspace, profile=profile)


def arrays_needed(workspace: Workspace) -> int:
    """As many arrays as the workspace's image needs; one where there is no image."""
    return read_image(workspace.image_path).targets_usiemens.shape[0] if workspace.image_path.exists() else 1


def make_chip(path: Path, profile: ChipProfile, *, seed: int, arrays: int, replace: bool = True) -> None:
    """Write the file of a new simulated chip; with replace False one that is there, by then, stays."""
    if not 1 <= arrays <= profile.geometry.arrays:
        raise InputError(
            f"{arrays} arrays asked for; a chip of profile {profile.name} has 1 to {profile.geometry.arrays}"
        )
    if not 0 <= seed < 2**63:
        raise InputError(f"seed {seed} is not between 0 and 2**63")
    make_folder(path.parent)
    name, birth = path.name, 0
    with contextlib.suppress(ChipFileError):
        before = summary_of(path)
        name, birth = before.serial, before.birth + 1
    with _owned_file(path, name, 0.0, "memprog sim new"):
        if path.exists() and not replace:
            return
        for left_over in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
            left_over.unlink(missing_ok=True)
        create(path, profile, seed=seed, arrays=arrays, birth=birth)
        # The record of the chip that was there is not that of the new one.
        path.with_name(path.name + ".record").unlink(missing_ok=True)


@contextlib.contextmanager
def opened(
    workspace: Workspace,
    profile: ChipProfile,
    *,
    label: str,
    backend: str = SIM,
    expect_serial: str | None = None,
    timeout_s: float = 0.0,
) -> Iterator[Chip]:
    """Own the chip behind a backend and open it, until the end of the block.

    Args:
        workspace: where a simulated chip lies.
        profile: what kind of chip it is.
        label: what others are told who want it meanwhile.
        backend: what the chip stands behind.
        expect_serial: refuse any other.
        timeout_s: how long to wait for another process that holds it.

    Raises:
        InputError: no such backend, or no usable chip file.
        LimitError: another process holds the chip, or it is another than expected.
    """
    check_backend(backend)
    if not workspace.chip_path.exists():
        raise ChipFileError(f"there is no chip in {workspace.folder}; `memprog program --array` makes one")
    serial = summary_of(workspace.chip_path).serial
    if expect_serial is not None and serial != expect_serial:
        raise LimitError(f"the chip is {serial}, expected {expect_serial}; nothing was done")
    with _owned_file(workspace.chip_path, serial, timeout_s, label):
        chip = open_chip(workspace, profile)
        try:
            yield chip
        finally:
            chip.close()


def open_chip(workspace: Workspace, profile: ChipProfile) -> Chip:
    """Open the simulated chip of a workspace; whoever does must own it.

    Raises:
        ChipFileError: no usable chip file, or one made for another profile.
    """
    return SimChip(workspace.chip_path, profile)


@contextlib.contextmanager
def reading(
    workspace: Workspace,
    profile: ChipProfile,
    *,
    label: str,
    limits: Limits | None = None,
    **wanted: Unpack[Wanted],
) -> Iterator[Session]:
    """Own a chip and open a session on it that may only read, under limits of the caller's; see opened."""
    with opened(workspace, profile, label=label, **wanted) as chip, Session(chip, profile, limits=limits) as session:
        yield session


def check_backend(backend: str) -> None:
    """Refuse a backend there is not.

    Raises:
        InputError: names those there are.
    """
    if backend != SIM:
        raise InputError(f"there is no backend '{backend}'; this version knows: {SIM}")


@contextlib.contextmanager
def _owned_file(path: Path, name: str, timeout_s: float, label: str) -> Iterator[None]:
    """Own a simulated chip by its file, under all its names: chips made alike have one serial."""
    with contextlib.ExitStack() as owning:
        owning.enter_context(owned(str(path.resolve()), label, name=name, timeout_s=timeout_s))
        if path.exists():
            file = path.stat()
            identity = f"file {file.st_dev} {file.st_ino}"
            owning.enter_context(owned(identity, label, name=name, timeout_s=timeout_s))
        yield


def name_in(journal_path: Path, serial: str, unit: str) -> str:
    """What a journal calls a chip: its serial, and of one that may have twins, where its file, the unit, is.

    The place is seen from the journal's folder, so that a workspace may be moved or copied.
    """
    if not unit:
        return serial
    folder = journal_path.resolve().parent
    try:
        place = os.path.relpath(unit, folder)
    except ValueError:  # on Windows, another drive
        place = unit
    return f"{serial} {Path(place).as_posix()}"


def name_of(journal: Journal, chip: Chip) -> str:
    """What a journal calls a chip; see name_after."""
    return name_after(journal, chip.identity.serial, chip.identity.unit, chip.last_batch_id())


def name_after(journal: Journal, serial: str, unit: str, last: int | None) -> str:
    """What a journal calls a chip whose last batch is known, or None; see name_in.

    A chip that was moved keeps the name under which the journal pulsed it last, as long as no other lies there now.
    """
    name = name_in(journal.path, serial, unit)
    known = None if last is None or not journal.gave(last) else journal.chip_of(last)
    if known is None or known.partition(" ")[0] != serial:
        return name
    place = journal.path.resolve().parent / known.partition(" ")[2]
    return name if place.exists() and not place.samefile(unit) else known


def journal_number(journal_path: Path, identity: Identity) -> int:
    """Number of a new journal: journals that pulse one chip differ, and where all lies alike they are alike."""
    place = Path(identity.unit).parent if identity.unit else Path(journal_path.anchor)
    try:
        seen_from_chip = os.path.relpath(journal_path.resolve(), place)
    except ValueError:  # on Windows, another drive
        seen_from_chip = str(journal_path)
    return zlib.crc32(Path(seen_from_chip).as_posix().encode()) & 0x7FFFFFFF


def record_path(workspace: Workspace, identity: Identity) -> Path:
    """Where the record of a chip's life is kept: beside the file of a simulated one."""
    if not identity.simulated:
        raise InputError(f"chip {identity.serial}: this version keeps records of simulated chips only")
    path = workspace.chip_path.resolve()
    return path.with_name(path.name + ".record")


def record_of(workspace: Workspace, chip: Chip) -> ChipRecord:
    """Read the record of a chip's life; what lies there is another's where the chip knows it was never pulsed.

    Raises:
        InputError: the file is no record, of another version, or damaged.
    """
    record = ChipRecord.read(record_path(workspace, chip.identity), chip.identity.serial, chip.geometry)
    if blank(chip) and record.pulses.any():
        return ChipRecord(chip.identity.serial, chip.geometry)
    return record


def blank(chip: Chip) -> bool:
    """Say whether a chip knows that it was never pulsed; one that cannot tell may hold anything."""
    return chip.capabilities.knows_last_batch and chip.last_batch_id() is None


def pulses_of_chip(workspace: Workspace) -> int:
    """Pulses a simulated chip counts itself to have had."""
    return summary_of(workspace.chip_path).pulses


def profile_of_chip(workspace: Workspace, profile: str | None) -> ChipProfile:
    """The profile asked for, else the one the workspace's simulated chip was made with, else the default.

    Raises:
        InputError: the chip's is not one that comes with memprog, or what was asked for is no profile.
    """
    if profile is not None:
        return load_profile(profile)
    if not workspace.chip_path.exists():
        return bundled_profile(DEFAULT_PROFILE)
    return own_profile(summary_of(workspace.chip_path).profile, f"the chip in {workspace.chip_path}")


def own_profile(name: str, whose: str) -> ChipProfile:
    """The profile that a chip or an image says it was made with.

    Raises:
        InputError: it does not come with memprog; where its file is nobody knows.
    """
    if name not in profile_names():
        raise InputError(
            f"{whose} was made with profile '{brief(name)}', which does not come with memprog: "
            "give its file with --profile, or with profile: in memprog.yaml"
        )
    return bundled_profile(name)


def chip_report(
    workspace: Workspace,
    *,
    profile: str | None = None,
    backend: str = SIM,
    expect_serial: str | None = None,
    timeout_s: float = 0.0,
) -> ChipReport:
    """Tell what a chip is, can do and may bear, what it has been through and which cells are defective."""
    kind = profile_of_chip(workspace, profile)
    with opened(
        workspace, kind, backend=backend, expect_serial=expect_serial, timeout_s=timeout_s, label="memprog info"
    ) as chip:
        record = record_of(workspace, chip)
        if workspace.journal_path.exists():
            with contextlib.closing(Journal.reading(workspace.journal_path)) as journal:
                if is_past(journal, chip, name := name_of(journal, chip)):
                    record.count(journal, name, fates(journal, chip, name))
        return ChipReport(
            simulated=chip.identity.simulated,
            chip=chip_facts(chip.identity),
            profile=kind.name,
            profile_sha256=kind.sha256,
            geometry=dataclasses.asdict(chip.geometry),
            capabilities=dataclasses.asdict(chip.capabilities),
            limits=dataclasses.asdict(kind.limits),
            pulses_total=pulses_of_chip(workspace),
            pulses_recorded=int(record.pulses.sum()),
            pulses_per_cell_max=int(record.pulses.max()),
            defects_by_reason=count_reasons(record.defects[record.defects > 0]),
            defects=defect_list(record),
            clock_s=chip.clock_s(),
            path=str(workspace.chip_path),
        )


def count_reasons(reasons: NDArray[np.uint8]) -> dict[str, int]:
    """Cells by the reason they failed for, most first."""
    counted = Counter(Reason(reason).name.lower() for reason in reasons.tolist())
    return dict(counted.most_common())


def defect_list(record: ChipRecord) -> list[dict[str, Any]]:
    """Every cell known to be defective: array, row, column, reason."""
    found = []
    for array, row, column in np.argwhere(record.defects > 0).tolist():
        reason = Reason(record.defects[array, row, column]).name.lower()
        found.append({"array": array, "row": row, "column": column, "reason": reason})
    return found


def chip_facts(identity: Identity) -> Mapping[str, Any]:
    """Identity of a chip as reports carry it."""
    facts = dataclasses.asdict(identity)
    return {key: facts[key] for key in ("maker", "model", "serial", "firmware")}


def list_backends() -> list[dict[str, Any]]:
    """Every backend there is: name, whether it is simulated, and one sentence."""
    return [{"name": SIM, "simulated": True, "description": "the simulated chip of the workspace"}]


def list_profiles() -> list[dict[str, Any]]:
    """Every profile that comes with memprog: name, levels, window, size and one sentence."""
    found = []
    for name in profile_names():
        profile = bundled_profile(name)
        found.append(
            {
                "name": name,
                "levels": profile.levels.count,
                "min_usiemens": profile.levels.min_usiemens,
                "max_usiemens": profile.levels.max_usiemens,
                "window_usiemens": profile.levels.window_usiemens,
                "rows": profile.geometry.rows,
                "columns": profile.geometry.columns,
                "sha256": profile.sha256,
                "description": " ".join(profile.description.split()),
            }
        )
    return found
