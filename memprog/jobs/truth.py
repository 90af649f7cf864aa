"""Score a run on a simulated chip against what the chip knows of itself; for metrics, never for the loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memprog.image import Image
from memprog.jobs.setup import Part, targets_of
from memprog.profile import ChipProfile
from memprog.simchip import SimChip
from memprog.simchip.truth import truth_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What is true of the cells of a part, masks (n,) in its order; defined as in ``memprog.simchip.truth``."""

    healthy: np.ndarray
    in_window: np.ndarray
    in_window_on_average: np.ndarray


def score(chip_path: Path, kind: ChipProfile, image: Image, part: Part, window_usiemens: float | None = None) -> Score:
    """Ask a simulated chip, at the time its clock shows, for the truth about the cells of a part."""
    window = kind.levels.window_usiemens if window_usiemens is None else window_usiemens
    chip = SimChip(chip_path, kind)
    found: dict[str, list[np.ndarray]] = {"healthy": [], "in_window": [], "in_window_on_average": []}
    for array, mask in zip(part.arrays, part.masks, strict=True):
        target = targets_of(image, array, mask)
        truth = truth_of(chip, array, target, window)
        found["healthy"].append(truth.healthy[mask])
        found["in_window"].append(truth.in_window[mask])
        found["in_window_on_average"].append((np.abs(truth.mean_usiemens - target) <= window)[mask])
    return Score(**{name: np.concatenate(masks) for name, masks in found.items()})
