"""Turn a weights file into an image; no chip is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from memprog.errors import InputError
from memprog.files import make_folder
from memprog.image import write_image
from memprog.mapping import map_weights
from memprog.profile import ChipProfile
from memprog.report.load import LoadReport
from memprog.weights import open_weights


def load_weights(
    weights_path: Path | str,
    *,
    profile: ChipProfile,
    image_path: Path | str,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
) -> LoadReport:
    """Map a weights file onto a kind of chip and write the image.

    Args:
        weights_path: .npy, .npz or .safetensors.
        profile: of the chip the image is for.
        image_path: file to write; its folder is made where there is none.
        only: shell patterns of the tensors to map; without any, all of two or more dimensions.
        skip: shell patterns of tensors that stay digital.

    Raises:
        InputError: the weights or the patterns cannot be used, or the chip is too small; nothing was written.
    """
    weights_path, image_path = Path(weights_path), Path(image_path)
    if image_path.resolve() == weights_path.resolve():
        raise InputError(f"{image_path}: the image would replace the weights; nothing was written")
    weights = open_weights(weights_path)
    image, summary = map_weights(weights, profile, only, skip)
    make_folder(image_path.parent)
    image_sha256 = write_image(image_path, image)
    return LoadReport(
        weights=str(weights_path),
        weights_format=weights.format,
        weights_sha256=weights.sha256,
        image=str(image_path),
        image_sha256=image_sha256,
        profile=profile.name,
        profile_sha256=profile.sha256,
        levels=profile.levels.count,
        layers=summary.layers,
        digital=summary.digital,
        arrays_used=summary.arrays_used,
        arrays_available=summary.arrays_available,
        cells_used=summary.cells_used,
        fill_fraction=summary.fill_fraction,
    )
