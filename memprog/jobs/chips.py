"""Opening and making chips, and telling what one is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memprog.chip import Chip
from memprog.errors import ChipFileError, InputError, LimitError
from memprog.files import make_folder
from memprog.image import read_image
from memprog.jobs.workspace import Workspace
from memprog.profile import DEFAULT_PROFILE, ChipProfile, bundled_profile, load_profile, profile_names
from memprog.report.chip import ChipReport
from memprog.simchip import SimChip, create, read_header

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


def make_chip(path: Path, profile: ChipProfile, *, seed: int, arrays: int) -> None:
    """Write the file of a new simulated chip, replacing what is there."""
    if not 1 <= arrays <= profile.geometry.arrays:
        raise InputError(
            f"{arrays} arrays asked for; a chip of profile {profile.name} has 1 to {profile.geometry.arrays}"
        )
    if not 0 <= seed < 2**63:
        raise InputError(f"seed {seed} is not between 0 and 2**63")
    make_folder(path.parent)
    create(path, profile, seed=seed, arrays=arrays)


def open_chip(workspace: Workspace, profile: ChipProfile, backend: str, expect_serial: str | None) -> Chip:
    """Open the chip behind a backend; the caller hands it to a session, which closes it.

    Raises:
        InputError: no such backend, or no usable chip file.
        LimitError: another chip than expected.
    """
    if backend != SIM:
        raise InputError(f"there is no backend '{backend}'; this version knows: {SIM}")
    if not workspace.chip_path.exists():
        raise ChipFileError(f"there is no chip in {workspace.folder}; `memprog program --array` makes one")
    chip = SimChip(workspace.chip_path, profile)
    if expect_serial is not None and chip.identity.serial != expect_serial:
        found = chip.identity.serial
        chip.close()
        raise LimitError(f"the chip is {found}, expected {expect_serial}; nothing was done")
    return chip


def profile_of_chip(workspace: Workspace, profile: str | None) -> ChipProfile:
    """The profile asked for, else the one the workspace's simulated chip was made with, else the default."""
    if profile is None and workspace.chip_path.exists():
        name = read_header(workspace.chip_path)["profile"].decode(errors="replace")
        profile = name if name in profile_names() else None
    return load_profile(profile) if profile else bundled_profile(DEFAULT_PROFILE)


def chip_report(
    workspace: Workspace, *, profile: str | None = None, backend: str = SIM, expect_serial: str | None = None
) -> ChipReport:
    """Tell what a chip is, can do and may bear; nothing is changed."""
    kind = profile_of_chip(workspace, profile)
    chip = open_chip(workspace, kind, backend, expect_serial)
    try:
        return ChipReport(
            simulated=chip.identity.simulated,
            chip=chip_facts(chip),
            profile=kind.name,
            profile_sha256=kind.sha256,
            geometry=dataclasses.asdict(chip.geometry),
            capabilities=dataclasses.asdict(chip.capabilities),
            limits=dataclasses.asdict(kind.limits),
            pulses_total=int(read_header(workspace.chip_path)["pulses"]),
            clock_s=chip.clock_s(),
            path=str(workspace.chip_path),
        )
    finally:
        chip.close()


def chip_facts(chip: Chip) -> Mapping[str, Any]:
    """Identity of a chip as reports carry it."""
    facts = dataclasses.asdict(chip.identity)
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
