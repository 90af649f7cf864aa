"""Owns the electron that passes a trapped charge in a narrow channel: wave, transmission and conductance.

The channel is a square tube with hard walls; the wave is a sum of its transverse modes, each on a line of slices. A
trap outside the wall is a screened Coulomb potential that scatters and mixes the modes (Rao 2023, Fig. 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from memprog.errors import InputError

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Leads = Literal["lattice", "first-order"]

HBAR2_OVER_2M_EV_NM2 = 0.0381
"""hbar^2 / 2 m_e as the published scripts round it (CODATA: 0.038100)."""
COULOMB_EV_NM = 1.44
"""e^2 / 4 pi eps0 as the published scripts round it (CODATA: 1.43996). They divide it by no permittivity."""
DEBYE_NM = 0.0690e9
"""Debye length in nm is this times sqrt(permittivity * temperature / carriers), published so, carriers in 1/cm^3."""
PERMITTIVITY = 16.0
"""Relative permittivity of the published scripts; there it enters the Debye length only."""
QUANTUM_USIEMENS = 77.48091729
"""2 e^2 / h (exact in the SI): what one open mode conducts at most."""
REACH = (
    "One open mode conducts at most 77.5 uS, three (the next that open, at 7.2 nm and 0.2 eV) 232 uS. The model says how "
    "a trap beside such a channel changes its current, so it speaks of traces near 100 uS. Cells of 0.1 to 4 mS have "
    "tens of modes and metal between: how their telegraph steps scale with conductance is an assumption, not a result."
)
"""How far the model carries."""
BATCH_POINTS = 2_000_000
"""Potentials are computed for at most this many points at once: 16 MB an array."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A square channel, the electron in it, and how finely both are drawn; the defaults are the published ones.

    ``energy_ev`` counts from the bottom of the lowest transverse mode, as published: that one is open at any size.
    ``modes`` is per side, so the wave has modes^2 components. Leads are exact for the ``lattice`` of slices (what
    passes an empty channel is then 1 to rounding) or joined by differences of ``first-order``, without a potential on
    the two end slices (published: an empty channel reflects 1e-5 to 1e-4).
    """

    size_nm: float
    energy_ev: float = 0.2
    mass: float = 0.11
    length_nm: float = 6.0
    slices: int = 100
    modes: int = 2
    points: int = 20
    leads: Leads = "lattice"

    def __post_init__(self) -> None:
        """Reject a channel no wave can be computed in.

        Raises:
            InputError: a size, an energy or a count that is out of range, or slices too thick for the wave.
        """
        for name in ("size_nm", "energy_ev", "mass", "length_nm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise InputError(f"the channel's {name} is {value}, needs a number above 0")
        for name, least in (("slices", 2), ("modes", 1), ("points", 2)):
            if getattr(self, name) < least:
                raise InputError(f"the channel's {name} is {getattr(self, name)}, needs at least {least}")
        if self.points <= self.modes:
            raise InputError(f"{self.points} points across do not resolve {self.modes} modes, needs more points")
        if self.leads not in get_args(Leads):
            raise InputError(f"leads are '{self.leads}', known are {', '.join(get_args(Leads))}")
        phase = math.sqrt(self.energy_ev * self.per_ev_nm2) * self.step_nm
        if phase >= 1.0:
            raise InputError(f"the wave turns by {phase:.2f} rad a slice, needs less than 1; take more slices")

    @property
    def step_nm(self) -> float:
        """Thickness of a slice."""
        return self.length_nm / self.slices

    @property
    def per_ev_nm2(self) -> float:
        """2 m / hbar^2: turns an energy into a squared wave number."""
        return self.mass / HBAR2_OVER_2M_EV_NM2

    @property
    def z_nm(self) -> FloatArray:
        """Places along the channel (slices + 1,), the trap's being 0; mirrored exactly."""
        half = np.arange(self.slices + 1) - self.slices / 2
        return half * self.step_nm

    @property
    def mode_ev(self) -> FloatArray:
        """Bottom of each mode (modes^2,) above that of the lowest, the second side's number running fastest."""
        squared = np.arange(1, self.modes + 1) ** 2
        bottom = (squared[:, None] + squared[None, :] - 2.0).ravel()
        return np.asarray(bottom * (np.pi / self.size_nm) ** 2 / self.per_ev_nm2)

    @property
    def open_modes(self) -> NDArray[np.int64]:
        """Modes that carry current at this energy, by number."""
        return np.flatnonzero(self.mode_ev < self.energy_ev)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traps:
    """Single electrons trapped outside one wall at z = 0: arrays (b,) of alternatives, or scalars.

    ``outside_nm`` is the distance from the wall, ``along_nm`` the place along it (0 to the channel's size), and
    ``coulomb_ev_nm`` the potential times the distance, near by: divide by a permittivity for a trap in a dielectric.
    """

    outside_nm: FloatArray | float
    along_nm: FloatArray | float
    debye_nm: FloatArray | float
    coulomb_ev_nm: float = COULOMB_EV_NM

    def __post_init__(self) -> None:
        """Reject traps in the channel and lengths that are none.

        Raises:
            InputError: a distance or Debye length that is not above 0, or arrays that do not fit together.
        """
        for name in ("outside_nm", "debye_nm"):
            value = np.asarray(getattr(self, name))
            if not (value > 0.0).all():
                raise InputError(f"a trap's {name} is {value.min(initial=np.inf)}, needs to be above 0")
        try:
            np.broadcast_shapes(*(np.shape(getattr(self, name)) for name in ("outside_nm", "along_nm", "debye_nm")))
        except ValueError as error:
            raise InputError("distances, places and Debye lengths of traps do not fit together") from error

    @property
    def columns(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Distance, place and Debye length, each (b,)."""
        outside, along, debye = np.broadcast_arrays(
            *(np.atleast_1d(np.asarray(v, float)) for v in (self.outside_nm, self.along_nm, self.debye_nm))
        )
        return outside, along, debye


@dataclass(frozen=True, slots=True, kw_only=True)
class Scattering:
    """What b potentials do to a wave that comes in one of o open modes.

    ``wave`` is (b, o, slices + 1, modes^2) for an incoming amplitude of 1; ``transmission`` and ``reflection`` are
    (b, o), the share of the incoming current over all outgoing modes. They add up to 1.
    """

    wave: ComplexArray
    transmission: FloatArray
    reflection: FloatArray

    @property
    def density(self) -> FloatArray:
        """|psi(z)|^2 summed over the transverse modes, (b, o, slices + 1): what the paper draws."""
        return np.asarray((np.abs(self.wave) ** 2).sum(axis=-1))

    @property
    def conductance_quanta(self) -> FloatArray:
        """Landauer's two-probe conductance (b,) in units of 2 e^2 / h: the sum over incoming modes."""
        return np.asarray(self.transmission.sum(axis=1))

    @property
    def conductance_usiemens(self) -> FloatArray:
        """The same in uS, (b,)."""
        return self.conductance_quanta * QUANTUM_USIEMENS


def debye_nm(
    carriers_per_cm3: FloatArray | float, permittivity: float = PERMITTIVITY, temperature_k: float = 300.0
) -> FloatArray:
    """Length over which carriers screen a charge; 2.14 nm at 5e18 per cm^3, the published island and boundary."""
    carriers = np.asarray(carriers_per_cm3, dtype=np.float64)
    if not (carriers > 0.0).all():
        raise InputError(f"{carriers.min(initial=np.inf)} carriers per cm^3 do not screen; needs more than 0")
    return np.asarray(DEBYE_NM * np.sqrt(permittivity * temperature_k / carriers))


def published_curves(name: Literal["island", "boundary"]) -> dict[str, FloatArray]:
    """Read the paper's |psi(z)|^2, each column (101,) by its heading; ``z (nm)`` is the first.

    Raises:
        InputError: there are no such curves.
    """
    if name not in ("island", "boundary"):
        raise InputError(f"there are no published curves '{name}', only island and boundary")
    text = (files("memprog.physics") / "published" / f"{name}.txt").read_text(encoding="utf-8")
    heading, *lines = text.splitlines()
    rows = np.array([line.split() for line in lines], dtype=np.float64)
    return {label.strip(): rows[:, k] for k, label in enumerate(heading.rstrip("\t ").split("\t"))}


def trap_elements_ev(channel: Channel, traps: Traps, *, divide_by: Traps | None = None) -> FloatArray:
    """Matrix elements of the traps' potentials between transverse modes, on every slice.

    The integral is a sum over the middles of points x points squares, which is what the paper's curves contain.

    Args:
        channel: the channel the traps stand beside.
        traps: b alternatives, not b traps at once; add the elements of traps that are there together.
        divide_by: traps whose distance stands under the fraction; the exponential keeps its own. Only the published
            boundary needs it (a slip in its script).

    Returns:
        (b, slices + 1, modes^2, modes^2), symmetric in the last two.
    """
    columns = (*traps.columns, *(traps if divide_by is None else divide_by).columns[:2])
    outside, along, debye, under_outside, under_along = np.broadcast_arrays(*columns)
    half = channel.z_nm[channel.slices // 2 :]  # what is mirrored needs no second reckoning
    per_trap = len(half) * channel.points**2
    parts = np.array_split(np.arange(len(outside)), max(math.ceil(len(outside) * per_trap / BATCH_POINTS), 1))
    pairs = []
    for part in parts:
        distance = _distance_nm(channel, half, outside[part], along[part])
        under = distance
        if divide_by is not None:
            under = _distance_nm(channel, half, under_outside[part], under_along[part])
        screened = np.exp(-distance / debye[part, None, None, None])
        pairs.append(_between_modes(channel, traps.coulomb_ev_nm * screened / under))
    behind = np.concatenate(pairs)
    mirrored = behind[:, :0:-1] if channel.slices % 2 == 0 else behind[:, ::-1]
    return np.concatenate([mirrored, behind], axis=1)[:, -channel.slices - 1 :]


def scatter(channel: Channel, elements_ev: FloatArray) -> Scattering:
    """Send a wave of each open mode into b potentials and see what passes.

    All systems are solved as one band matrix: they follow each other on its diagonal, uncoupled.

    Args:
        channel: energy, modes and slices.
        elements_ev: (b, slices + 1, modes^2, modes^2), as ``trap_elements_ev`` gives.

    Raises:
        InputError: the elements do not belong to this channel.
    """
    from scipy.linalg import solve_banded

    places, modes = channel.slices + 1, channel.modes**2
    if elements_ev.ndim != 4 or elements_ev.shape[1:] != (places, modes, modes):
        raise InputError(f"potentials of shape {elements_ev.shape} do not fit (b, {places}, {modes}, {modes})")
    if not np.isfinite(elements_ev).all():
        raise InputError("a potential is not finite")
    count, incoming = len(elements_ev), channel.open_modes
    ends, source, flux = _leads(channel)
    right = np.zeros((count, places, modes, len(incoming)), dtype=np.complex128)
    right[:, 0, incoming, np.arange(len(incoming))] = source[incoming]
    band = band_matrix(channel, elements_ev, ends)
    solved = solve_banded(
        (modes, modes), band, right.reshape(-1, len(incoming)), overwrite_ab=True, overwrite_b=True, check_finite=False
    )
    wave = np.moveaxis(solved.reshape(count, places, modes, len(incoming)), 3, 1)
    ratio = flux[None, :] / flux[incoming][:, None]
    back = wave[:, :, 0, :] - np.eye(modes)[incoming]
    return Scattering(
        wave=wave,
        transmission=np.einsum("bom,om->bo", np.abs(wave[:, :, -1, :]) ** 2, ratio),
        reflection=np.einsum("bom,om->bo", np.abs(back) ** 2, ratio),
    )


def band_matrix(channel: Channel, elements_ev: FloatArray, ends: ComplexArray) -> ComplexArray:
    """Write b systems one after the other as diagonals, (2 modes^2 + 1, b (slices + 1) modes^2), for LAPACK.

    Rows say psi(n-1) + psi(n+1) + D(n) psi(n) = 0. Neighbouring slices are coupled by 1, so the band is as narrow as
    the number of modes.
    """
    count, places, modes, _ = elements_ev.shape
    blocks = slice_blocks(channel, elements_ev, ends)
    band = np.zeros((2 * modes + 1, count, places, modes), dtype=np.complex128)
    row, column = np.indices((modes, modes))
    band[modes + row - column, :, :, column] = blocks.transpose(2, 3, 0, 1)
    band[0, :, 1:] = 1.0
    band[-1, :, :-1] = 1.0
    return band.reshape(2 * modes + 1, -1)


def slice_blocks(channel: Channel, elements_ev: FloatArray, ends: ComplexArray) -> ComplexArray:
    """Diagonal block of each slice, (b, slices + 1, modes^2, modes^2); ``ends`` (modes^2,) joins the leads."""
    square = channel.per_ev_nm2 * channel.step_nm**2
    diagonal = (channel.energy_ev - channel.mode_ev) * square - 2.0
    blocks = (np.diag(diagonal) - square * elements_ev).astype(np.complex128)
    if channel.leads == "lattice":
        blocks[:, [0, -1]] += np.diag(ends)
    else:
        blocks[:, [0, -1]] = np.diag(ends)
    return blocks


def _leads(channel: Channel) -> tuple[ComplexArray, ComplexArray, FloatArray]:
    """What joins the end slices to the leads, what comes in, and the current a unit amplitude carries; (modes^2,)."""
    turn = channel.step_nm * np.sqrt((channel.energy_ev - channel.mode_ev + 0j) * channel.per_ev_nm2)
    if channel.leads == "lattice":
        lattice = 2.0 * np.arcsin(turn / 2.0)
        factor = np.exp(1j * lattice)
        return factor, 2j * np.sin(lattice), np.sin(lattice).real
    return 1j * turn - 1.0, 2j * turn, turn.real


def _distance_nm(channel: Channel, z_nm: FloatArray, outside: FloatArray, along: FloatArray) -> FloatArray:
    """Distance (b, slices, points, points) of every point from a trap."""
    middle = (np.arange(channel.points) + 0.5) * channel.size_nm / channel.points
    depth = (middle + outside[:, None]) ** 2
    aside = (middle - along[:, None]) ** 2
    return np.asarray(np.sqrt((z_nm**2)[:, None, None] + depth[:, None, :, None] + aside[:, None, None, :]))


def _between_modes(channel: Channel, potential_ev: FloatArray) -> FloatArray:
    """Matrix elements (b, slices, modes^2, modes^2) of a potential (b, slices, points, points)."""
    middle = (np.arange(channel.points) + 0.5) / channel.points
    number = np.arange(1, channel.modes + 1)
    across = np.sqrt(2.0 / channel.points) * np.sin(np.pi * np.outer(middle, number))
    first, second = np.triu_indices(channel.modes)
    products = across[:, first] * across[:, second]
    pairs = products.T @ (potential_ev @ products)
    where = np.zeros((channel.modes, channel.modes), dtype=np.intp)
    where[first, second] = where[second, first] = np.arange(len(first))
    full = pairs[:, :, where][:, :, :, :, where]  # (b, slices, n, n', m, m')
    modes = channel.modes**2
    return np.asarray(full.transpose(0, 1, 2, 4, 3, 5).reshape(*full.shape[:2], modes, modes))
