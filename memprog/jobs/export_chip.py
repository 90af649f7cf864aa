"""Read a programmed chip back and write its weights in the format they came in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from memprog.errors import InputError
from memprog.image import Image
from memprog.jobs.chips import SIM, chip_facts, reading
from memprog.jobs.export import export_weights
from memprog.jobs.progress import Listener, ignore
from memprog.jobs.read import look_briefly
from memprog.jobs.setup import Part, check_on_chip, choose, open_image
from memprog.jobs.workspace import Workspace
from memprog.profile import ChipProfile
from memprog.report.load import ExportReport
from memprog.session import Session
from memprog.weights.files import check_suffix


def export(
    workspace: Workspace,
    *,
    profile: str | None = None,
    backend: str = SIM,
    out_path: Path,
    expect_serial: str | None = None,
    timeout_s: float = 0.0,
    listener: Listener | None = None,
) -> ExportReport:
    """Write the weights as the chip holds them.

    Raises:
        InputError: no image or chip, a cell that cannot be read, or a file that cannot be written.
        InstrumentError: the chip could not be read.
    """
    if out_path.resolve() == workspace.image_path.resolve():
        raise InputError(f"{out_path}: the weights would replace the image; nothing was written")
    image, kind = open_image(workspace, profile)
    check_suffix(out_path, image.weights_format)
    with reading(
        workspace, kind, backend=backend, expect_serial=expect_serial, timeout_s=timeout_s, label="memprog export"
    ) as session:
        part = choose(image, None)
        check_on_chip(part, session.geometry)
        conductances = conductances_of(session, kind, image, part, listener or ignore)
        identity = session.identity
        return export_weights(image, conductances, out_path, simulated=identity.simulated, chip=chip_facts(identity))


def conductances_of(session: Session, kind: ChipProfile, image: Image, part: Part, listener: Listener) -> np.ndarray:
    """Read a part of an image: (arrays, rows, columns) in uS, NaN where unread; beyond the range is full scale."""
    looks = look_briefly(session, kind, part, listener)
    full_scale = kind.readout.full_scale_usiemens
    readback = np.where(looks.clamped, full_scale, looks.readback_usiemens.mean(axis=0))
    found = np.full(image.targets_usiemens.shape, np.nan)
    for array, mask, here in zip(part.arrays, part.masks, part.slices(), strict=True):
        found[array, mask] = readback[here]
    return found
