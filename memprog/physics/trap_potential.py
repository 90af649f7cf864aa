"""Owns the potential of an electron trapped outside the wall of a channel, between the channel's transverse modes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memprog.chip import FloatArray
from memprog.errors import InputError
from memprog.physics.transport import Channel

COULOMB_EV_NM = 1.44
"""e^2 / 4 pi eps0 as the published scripts round it (CODATA: 1.43996); they divide it by no permittivity."""
DEBYE_NM = 0.0690e9
"""Debye length in nm over sqrt(permittivity * temperature / carriers), published so; carriers in 1/cm^3."""
PERMITTIVITY = 16.0
"""Relative permittivity of the published scripts; there it enters the Debye length and nothing else."""
BATCH_VALUES = 2_000_000
"""Potentials are computed at most at this many points at once: 16 MB an array."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traps:
    """Electrons trapped outside one wall at z = 0: arrays (b,) of alternatives, or single numbers.

    ``outside_nm`` is the distance from the wall, ``along_nm`` the place along it (the wall goes from 0 to the
    channel's size). ``coulomb_ev_nm`` is potential times distance, close by: as published, or divided by a permittivity
    for a trap in a dielectric.
    """

    outside_nm: FloatArray | float
    along_nm: FloatArray | float
    debye_nm: FloatArray | float
    coulomb_ev_nm: float = COULOMB_EV_NM

    def __post_init__(self) -> None:
        """Reject traps inside the channel and lengths that are none.

        Raises:
            InputError: a distance or Debye length not above 0, a number that is none, arrays that do not fit together.
        """
        for name in ("outside_nm", "debye_nm"):
            value = np.asarray(getattr(self, name))
            if not (value > 0.0).all():
                raise InputError(f"a trap's {name} is {value.min(initial=np.inf)}, needs to be above 0")
        for name in ("outside_nm", "along_nm", "debye_nm", "coulomb_ev_nm"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"a trap's {name} is not finite")
        try:
            np.broadcast_shapes(np.shape(self.outside_nm), np.shape(self.along_nm), np.shape(self.debye_nm), (1,))
        except ValueError as error:
            raise InputError("distances, places and Debye lengths of traps do not fit together") from error

    @property
    def columns(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Distance, place and Debye length, each (b,)."""
        outside, along, debye, _ = np.broadcast_arrays(self.outside_nm, self.along_nm, self.debye_nm, np.zeros(1))
        return outside.astype(np.float64), along.astype(np.float64), debye.astype(np.float64)


def debye_nm(
    carriers_per_cm3: FloatArray | float, permittivity: float = PERMITTIVITY, temperature_k: float = 300.0
) -> FloatArray:
    """Length over which carriers screen a charge: 2.14 nm at the published 5e18 per cm^3.

    Raises:
        InputError: no carriers, which screen nothing.
    """
    carriers = np.asarray(carriers_per_cm3, dtype=np.float64)
    if not (carriers > 0.0).all():
        raise InputError(f"{carriers.min(initial=np.inf)} carriers per cm^3 do not screen, needs more than 0")
    return np.asarray(DEBYE_NM * np.sqrt(permittivity * temperature_k / carriers), dtype=np.float64)


def trap_elements_ev(channel: Channel, traps: Traps, *, divide_by: Traps | None = None) -> FloatArray:
    """Matrix elements of the traps' potentials between transverse modes, on every slice.

    The integral across is a sum over the middles of points x points squares: the paper's curves contain the error of
    that with 20 points, about 1e-6 of the potential.

    Args:
        channel: the channel the traps stand beside.
        traps: b alternatives, not b traps at once; for traps that are there together add their elements.
        divide_by: traps whose distance stands under the fraction while the exponential keeps its own. Only the
            published boundary needs it (a slip in its script).

    Returns:
        (b, slices + 1, modes^2, modes^2), symmetric in the last two.
    """
    under = traps if divide_by is None else divide_by
    outside, along, debye, under_outside, under_along = np.broadcast_arrays(*traps.columns, *under.columns[:2])
    z_nm = channel.z_nm[(channel.slices + 1) // 2 :]  # the rest is its mirror image
    batch = max(BATCH_VALUES // (len(z_nm) * channel.points**2), 1)
    pieces = []
    for part in (slice(start, start + batch) for start in range(0, len(outside), batch)):
        distance = _distance_nm(channel, z_nm, outside[part], along[part])
        divisor = distance
        if divide_by is not None:
            divisor = _distance_nm(channel, z_nm, under_outside[part], under_along[part])
        screened = np.exp(-distance / debye[part, None, None, None])
        pieces.append(_between_modes(channel, traps.coulomb_ev_nm * screened / divisor))
    ahead = np.concatenate(pieces)
    middle = 1 - channel.slices % 2  # an even number of slices has one in the middle, which is not doubled
    return np.concatenate([ahead[:, middle:][:, ::-1], ahead], axis=1)


def _distance_nm(channel: Channel, z_nm: FloatArray, outside: FloatArray, along: FloatArray) -> FloatArray:
    """Distance of every point from a trap, (b, slices, points, points)."""
    middle = (np.arange(channel.points) + 0.5) * channel.size_nm / channel.points
    depth = (middle + outside[:, None]) ** 2
    aside = (middle - along[:, None]) ** 2
    squared = (z_nm**2)[:, None, None] + depth[:, None, :, None] + aside[:, None, None, :]
    return np.asarray(np.sqrt(squared), dtype=np.float64)


def _between_modes(channel: Channel, potential_ev: FloatArray) -> FloatArray:
    """Matrix elements (b, slices, modes^2, modes^2) of a potential (b, slices, points, points)."""
    middle = (np.arange(channel.points) + 0.5) / channel.points
    across = math.sqrt(2.0 / channel.points) * np.sin(math.pi * np.outer(middle, np.arange(1, channel.modes + 1)))
    first, second = np.triu_indices(channel.modes)
    products = across[:, first] * across[:, second]
    elements = products.T @ (potential_ev @ products)  # (b, slices, pairs into the wall, pairs along it)
    pair = np.zeros((channel.modes, channel.modes), dtype=np.intp)
    pair[first, second] = pair[second, first] = np.arange(len(first))
    row, column = np.divmod(np.arange(channel.modes**2), channel.modes)
    return np.asarray(elements[:, :, pair[row[:, None], row], pair[column[:, None], column]], dtype=np.float64)
