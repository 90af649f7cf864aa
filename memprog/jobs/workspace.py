"""The workspace: the folder where image, simulated chip and journal of one piece of work live."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = ".memprog"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where the files of one piece of work are; each may lie elsewhere."""

    folder: Path
    image_path: Path
    chip_path: Path
    journal_path: Path


def open_workspace(
    folder: Path | str | None = None,
    *,
    image: Path | str | None = None,
    chip: Path | str | None = None,
    journal: Path | str | None = None,
) -> Workspace:
    """Name the files of a workspace; nothing is made or read. Default folder: .memprog where one stands."""
    folder = Path(folder or FOLDER)
    return Workspace(
        folder=folder,
        image_path=Path(image or folder / "image.safetensors"),
        chip_path=Path(chip or folder / "chip.sim"),
        journal_path=Path(journal or folder / "journal.sqlite"),
    )
