"""What every job that needs an image and a chip begins with: both open, and checked against each other."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from memprog.chip import Cells, ChipGeometry, FloatArray, Mask
from memprog.errors import ImageError, InputError
from memprog.image import Image, read_image
from memprog.jobs.chips import own_profile
from memprog.jobs.workspace import Workspace
from memprog.profile import ChipProfile, load_profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a job is about: arrays in order, of each the cells (rows, columns), and their targets (n,) in uS.

    A job that only reads has no targets: then ``targets_usiemens`` is empty.
    """

    arrays: tuple[int, ...]
    masks: tuple[Mask, ...]
    targets_usiemens: tuple[FloatArray, ...] = ()

    @property
    def cells(self) -> int:
        """Number of cells."""
        return sum(int(mask.sum()) for mask in self.masks)

    def addresses(self) -> list[tuple[int, Cells]]:
        """Cells of each array, row by row."""
        return [(array, Cells.from_mask(array, mask)) for array, mask in zip(self.arrays, self.masks, strict=True)]

    def slices(self) -> list[slice]:
        """Where the cells of each array stand in the list of all cells."""
        ends = np.cumsum([0, *(int(mask.sum()) for mask in self.masks)]).tolist()
        return [slice(first, end) for first, end in itertools.pairwise(ends)]

    def plane(self, number: int) -> FloatArray:
        """Targets (rows, columns) of the array at a place in the part, NaN where there is none."""
        plane = np.full(self.masks[number].shape, np.nan)
        plane[self.masks[number]] = self.targets_usiemens[number]
        return plane


def open_image(workspace: Workspace, profile: str | None) -> tuple[Image, ChipProfile]:
    """Read the image and the profile it was made for.

    Raises:
        ImageError: no image, one that cannot be read, or one made for another profile.
    """
    if not workspace.image_path.exists():
        raise ImageError(f"there is no image in {workspace.folder}; `memprog load-weights FILE` makes one")
    image = read_image(workspace.image_path)
    kind = load_profile(profile) if profile else own_profile(image.profile_name, f"{workspace.image_path}")
    if image.profile_sha256 != kind.sha256:
        raise ImageError(
            f"{workspace.image_path} was made for profile {image.profile_name} ({image.profile_sha256[:8]}), "
            f"not for {kind.name} ({kind.sha256[:8]}); load the weights again"
        )
    return image, kind


def choose(
    image: Image,
    arrays: Sequence[int] | None,
    region: tuple[int, int, int, int] | None = None,
    cells: Sequence[tuple[int, int]] | None = None,
) -> Part:
    """Pick arrays of an image, and inside one array a region (r0, r1, c0, c1; half-open) or single cells.

    Raises:
        InputError: a place that is not in the image, or that has no target.
    """
    count, rows, columns = image.targets_usiemens.shape
    wanted = tuple(range(count)) if arrays is None else tuple(dict.fromkeys(arrays))
    for array in wanted:
        if not 0 <= array < count:
            raise InputError(f"array {array} is not in the image, which has arrays 0 to {count - 1}")
    inside = np.ones((rows, columns), dtype=bool)
    if region is not None:
        inside = region_mask(region, rows, columns)
    if cells is not None:
        inside = cells_mask(cells, rows, columns)
    part = part_of(image, {array: ~np.isnan(image.targets_usiemens[array]) & inside for array in wanted})
    if part.cells == 0:
        raise InputError("there is no cell with a target in what was asked for; nothing was done")
    return part


def part_of(image: Image, masks: Mapping[int, Mask]) -> Part:
    """Take the cells of masks (rows, columns) out of an image, array by array; empty ones are left out."""
    masks = {array: mask for array, mask in masks.items() if mask.any()}
    targets = [image.targets_usiemens[array][mask].astype(np.float64) for array, mask in masks.items()]
    return Part(arrays=tuple(masks), masks=tuple(masks.values()), targets_usiemens=tuple(targets))


def check_on_chip(part: Part, geometry: ChipGeometry) -> None:
    """Refuse a part that needs arrays the chip does not have, before anything is done to it.

    Raises:
        InputError: names the first such array.
    """
    beyond = [array for array in part.arrays if array >= geometry.arrays]
    if beyond:
        raise InputError(f"the image needs array {beyond[0]}; the chip has {geometry.arrays}; nothing was done")


def targets_of(image: Image, array: int, mask: Mask) -> FloatArray:
    """Targets (rows, columns) in uS of the chosen cells of one array, NaN elsewhere."""
    return np.where(mask, image.targets_usiemens[array], np.nan).astype(np.float64)


def check_array(array: int, geometry: ChipGeometry, also: str = "") -> None:
    """Refuse the number of an array that the chip does not have; the sentence may go on with what also holds.

    Raises:
        InputError: it has none of that number.
    """
    if not 0 <= array < geometry.arrays:
        raise InputError(f"array {array} is not on the chip, which has arrays 0 to {geometry.arrays - 1}{also}")


def median(values: FloatArray) -> float:
    """Median of what is finite among values (n,); NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def utc_now() -> str:
    """Now, as ISO 8601 in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def region_mask(region: tuple[int, int, int, int], rows: int, columns: int) -> Mask:
    """Mask (rows, columns) of a region (r0, r1, c0, c1; half-open).

    Raises:
        InputError: it is not inside the array.
    """
    r0, r1, c0, c1 = region
    if not (0 <= r0 < r1 <= rows and 0 <= c0 < c1 <= columns):
        raise InputError(f"region {r0}:{r1},{c0}:{c1} is not inside an array of {rows} x {columns}")
    inside = np.zeros((rows, columns), dtype=bool)
    inside[r0:r1, c0:c1] = True
    return inside


def cells_mask(cells: Sequence[tuple[int, int]], rows: int, columns: int) -> Mask:
    """Mask (rows, columns) of (row, column) pairs.

    Raises:
        InputError: one is not inside the array.
    """
    inside = np.zeros((rows, columns), dtype=bool)
    for row, column in cells:
        if not (0 <= row < rows and 0 <= column < columns):
            raise InputError(f"cell {row},{column} is not inside an array of {rows} x {columns}")
        inside[row, column] = True
    return inside
