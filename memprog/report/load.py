"""What became of weights on their way to the chip, and on their way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memprog.report.base import Report

if TYPE_CHECKING:
    from memprog.mapping import LayerSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport(Report):
    """Weights mapped into an image; no chip was touched.

    ==================== ============= ====== =======================================================================
    field                type          unit   meaning, denominator
    ==================== ============= ====== =======================================================================
    weights              str           -      weights file as given
    weights_format       str           -      npy, npz or safetensors
    weights_sha256       str           -      hash of the weights file
    image                str           -      image file written
    image_sha256         str           -      hash of the image file
    profile              str           -      name of the profile
    profile_sha256       str           -      hash of every value in it
    levels               int           levels a cell is rounded to
    layers               list          -      objects, in file order: name, shape, dtype, outputs, inputs; tiles (array,
                                              row, column, inputs, outputs, first_input, first_output); scale_min,
                                              scale_max (weight per uS); error_rms_relative (rms of quantised - original
                                              over rms of original), error_max_relative (largest such error over largest
                                              weight), clipped_fraction (of the layer's weights)
    digital              list of str   -      tensors that stay digital, kept whole in the image
    arrays_used          int           arrays the image fills, from array 0 on
    arrays_available     int           arrays on a chip of the profile
    cells_used           int           cells  with a target, two a weight
    fill_fraction        float         1      cells_used / cells of the arrays used
    ==================== ============= ====== =======================================================================
    """

    weights: str
    weights_format: str
    weights_sha256: str
    image: str
    image_sha256: str
    profile: str
    profile_sha256: str
    levels: int
    layers: Sequence[LayerSummary]
    digital: Sequence[str]
    arrays_used: int
    arrays_available: int
    cells_used: int
    fill_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedLayer:
    """One tensor as the chip holds it, against what the image asked for; LoadReport says how errors are counted."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    error_rms_relative: float
    error_max_relative: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport(Report):
    """Weights as a chip holds them, in the format they came in.

    ==================== ============== ==== ========================================================================
    field                type           unit meaning
    ==================== ============== ==== ========================================================================
    simulated            bool or null   -    True when no silicon was involved; null when nobody said
    chip                 object or null -    maker, model, serial, firmware; null when nobody said
    path                 str            -    weights file written
    sha256               str            -    hash of it
    format               str            -    npy, npz or safetensors
    image_sha256         str            -    hash of the image file
    layers               list           -    objects, in file order: name, shape, dtype; error_rms_relative (rms of
                                             exported - targeted over rms of targeted), error_max_relative (largest
                                             such error over largest targeted weight), before rounding to the dtype
    digital              list of str    -    tensors that never were on the chip, bit for bit as they came
    ==================== ============== ==== ========================================================================
    """

    simulated: bool | None
    chip: Mapping[str, Any] | None
    path: str
    sha256: str
    format: str
    image_sha256: str
    layers: Sequence[ExportedLayer]
    digital: Sequence[str]
