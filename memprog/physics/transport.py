"""Owns the electron in a narrow channel: its transverse modes, its wave along the channel, what passes and conducts.

The channel is a square tube with hard walls between two like leads; the wave is a sum of transverse modes, each on a
line of slices. What scatters and mixes them comes as matrix elements (``trap_potential`` makes those of a trap).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from memprog.chip import FloatArray, IntArray
from memprog.errors import InputError

ComplexArray = NDArray[np.complex128]
Leads = Literal["lattice", "first-order"]

HBAR2_OVER_2M_EV_NM2 = 0.0381
"""hbar^2 / 2 m_e as the published scripts round it (CODATA: 0.038100)."""
QUANTUM_USIEMENS = 77.48091729
"""2 e^2 / h (exact in the SI): what one open mode conducts at most."""
REACH = (
    "One open mode conducts at most 77.5 uS; the next two open together, at 7.2 nm and 0.2 eV, and make it 232 uS. "
    "So the model explains by how much a trap beside a channel of one to three modes changes its current: that is the "
    "size of the steps measured near 100 uS, not their bias dependence or dwell times. A cell of 0.1 to 4 mS has up to "
    "50 modes and metal between: how its telegraph steps scale with conductance is an assumption, not a result."
)
"""How far the model carries."""
BATCH_VALUES = 4_000_000
"""At most this many values of band matrices are held at once: 64 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A square channel, the electron in it, and how finely both are drawn; the defaults are the published ones.

    ``energy_ev`` counts from the bottom of the lowest transverse mode, as published: that mode is open at any size.
    ``modes`` is per side, so the wave has modes^2 components; ``points`` are those of integrals across one side. Leads
    are exact for the ``lattice`` of slices (an empty channel passes all, to rounding), or joined by ``first-order``
    differences and with no potential on the two end slices (published: the wave in an empty channel ripples by 2 %).
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
            raise InputError(f"{self.points} points across do not resolve {self.modes} modes; take more points")
        if self.leads not in get_args(Leads):
            raise InputError(f"leads are '{self.leads}', known are {' and '.join(get_args(Leads))}")
        self.check_energy(self.energy_ev)

    def check_energy(self, energy_ev: float) -> None:
        """Refuse an energy whose wave turns by a radian or more from slice to slice.

        Raises:
            InputError: it does, or the energy is not above 0: then no mode is open and nothing passes.
        """
        if not energy_ev > 0.0:
            raise InputError(f"at {energy_ev} eV above the lowest mode no mode is open, needs more than 0 eV")
        turn = math.sqrt(energy_ev * self.per_ev_nm2) * self.step_nm
        if not turn < 1.0:
            raise InputError(f"the wave turns by {turn:.2f} rad a slice, needs less than 1; take more slices")

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
        """Places along the channel (slices + 1,), from -length / 2 to length / 2 and exactly mirrored."""
        return np.asarray((np.arange(self.slices + 1) - self.slices / 2) * self.step_nm, dtype=np.float64)

    @property
    def mode_ev(self) -> FloatArray:
        """Bottom of each mode (modes^2,) above that of the lowest; the second side's number runs fastest."""
        squared = np.arange(1, self.modes + 1) ** 2
        above = (squared[:, None] + squared[None, :] - 2.0).ravel()
        return np.asarray(above * (math.pi / self.size_nm) ** 2 / self.per_ev_nm2, dtype=np.float64)

    @property
    def open_modes(self) -> int:
        """How many modes carry current at this energy (of those the channel is drawn with)."""
        return int((self.mode_ev < self.energy_ev).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Scattering:
    """What b potentials do to a wave that comes in one of o modes.

    ``wave`` is (b, o, slices + 1, modes^2) for an incoming amplitude of 1; ``transmission`` and ``reflection`` are
    (b, o), the share of the incoming current over all outgoing modes: they add up to 1. Where one of b has an energy
    at which mode o is closed, all three are 0.
    """

    wave: ComplexArray
    transmission: FloatArray
    reflection: FloatArray

    @property
    def density(self) -> FloatArray:
        """|psi(z)|^2 summed over the transverse modes, (b, o, slices + 1): what the paper draws."""
        return np.asarray((np.abs(self.wave) ** 2).sum(axis=-1), dtype=np.float64)

    @property
    def conductance_quanta(self) -> FloatArray:
        """Landauer's two-probe conductance (b,) in units of 2 e^2 / h: the sum over incoming modes."""
        return np.asarray(self.transmission.sum(axis=1), dtype=np.float64)

    @property
    def conductance_usiemens(self) -> FloatArray:
        """The same in uS, (b,)."""
        return self.conductance_quanta * QUANTUM_USIEMENS


class Joined(NamedTuple):
    """How the wave joins the leads at b energies, each (b, modes^2).

    ``end`` stands on the diagonal of both end slices, ``source`` brings in a wave of amplitude 1, ``flux`` is the
    current of that wave (0 where the mode is closed).
    """

    end: ComplexArray
    source: ComplexArray
    flux: FloatArray


def narrowest_open_nm(energy_ev: float, mass: float = 0.11) -> float:
    """Size below which no mode is open for an energy that counts from the bottom of the well, confinement included.

    5.8 nm at 0.2 eV: so counted, nothing would pass the published channels of 1 and 3 nm.
    """
    return math.pi * math.sqrt(2.0 * HBAR2_OVER_2M_EV_NM2 / (mass * energy_ev))


def scatter(channel: Channel, elements_ev: FloatArray, energy_ev: FloatArray | None = None) -> Scattering:
    """Send a wave of each open mode into b potentials and see what passes.

    All systems are solved as one band matrix: they follow each other on its diagonal, uncoupled.

    Args:
        channel: modes, slices and leads.
        elements_ev: (b, slices + 1, modes^2, modes^2) matrix elements of the potentials.
        energy_ev: (b,) energies, the channel's if not given; one potential may meet many energies.

    Raises:
        InputError: the elements do not belong to this channel, are not finite, or an energy is out of range.
    """
    elements, energy = _fitting(channel, elements_ev, energy_ev)
    incoming = np.flatnonzero(channel.mode_ev < energy.max())
    values = channel.slices * channel.modes**2 * (3 * channel.modes**2 + 1)
    batch = max(BATCH_VALUES // values, 1)
    pieces = [
        _scatter_batch(channel, elements[start : start + batch], energy[start : start + batch], incoming)
        for start in range(0, len(energy), batch)
    ]
    wave, passed, back = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    return Scattering(wave=wave, transmission=passed, reflection=back)


def join_leads(channel: Channel, energy_ev: FloatArray) -> Joined:
    """Work out how the wave joins the leads at b energies (b,)."""
    turn = channel.step_nm * np.sqrt((energy_ev[:, None] - channel.mode_ev + 0j) * channel.per_ev_nm2)
    if channel.leads == "first-order":
        return Joined(1j * turn - 1.0, 2j * turn, turn.real)
    lattice = 2.0 * np.arcsin(turn / 2.0)
    return Joined(np.exp(1j * lattice), 2j * np.sin(lattice), np.sin(lattice).real)


def slice_blocks(channel: Channel, elements_ev: FloatArray, energy_ev: FloatArray, joined: Joined) -> ComplexArray:
    """Diagonal block of each slice, (b, slices + 1, modes^2, modes^2), leads joined.

    The wave obeys psi(n-1) + psi(n+1) + block(n) psi(n) = 0, but for what comes in on slice 0.
    """
    square = channel.per_ev_nm2 * channel.step_nm**2
    modes = np.arange(channel.modes**2)
    blocks = (-square * elements_ev).astype(np.complex128)
    blocks[:, :, modes, modes] += ((energy_ev[:, None] - channel.mode_ev) * square - 2.0)[:, None, :]
    if channel.leads == "first-order":
        blocks[:, [0, -1]] = 0.0
    blocks[:, [[0], [-1]], modes, modes] += joined.end[:, None, :]
    return blocks


def incoming_waves(channel: Channel, joined: Joined, incoming: IntArray) -> ComplexArray:
    """Right-hand sides (o, b, slices + 1, modes^2): a wave of each incoming mode (o,), from slice 0."""
    shape = (len(incoming), len(joined.flux), channel.slices + 1, channel.modes**2)
    right = np.zeros(shape, dtype=np.complex128)
    source = np.where(joined.flux > 0.0, joined.source, 0.0)
    right[np.arange(len(incoming)), :, 0, incoming] = source[:, incoming].T
    return right


def band_matrix(blocks: ComplexArray) -> ComplexArray:
    """Write b systems one after the other as diagonals, (3 modes^2 + 1, b (slices + 1) modes^2), as LAPACK wants them.

    Neighbouring slices are coupled by 1 within a mode, so the band is only as wide as there are modes. The first
    modes^2 rows are 0, the room elimination needs; a column lies in memory in one piece.
    """
    count, places, modes, _ = blocks.shape
    band = np.zeros((count, places, modes, 3 * modes + 1), dtype=np.complex128)
    row, column = np.indices((modes, modes))
    band[:, :, column, 2 * modes + row - column] = blocks
    band[:, 1:, :, modes] = 1.0
    band[:, :-1, :, 3 * modes] = 1.0
    return band.reshape(-1, 3 * modes + 1).T


def _fitting(channel: Channel, elements_ev: FloatArray, energy_ev: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Bring b potentials and b energies together, or refuse them."""
    places, modes = channel.slices + 1, channel.modes**2
    if elements_ev.shape[1:] != (places, modes, modes):
        raise InputError(f"potentials of shape {elements_ev.shape} do not fit (b, {places}, {modes}, {modes})")
    if not np.isfinite(elements_ev).all():
        raise InputError("a potential is not finite; nothing was computed")
    energy = np.asarray(channel.energy_ev if energy_ev is None else energy_ev, dtype=np.float64)
    try:
        (count,) = np.broadcast_shapes(energy.shape, (len(elements_ev),))
    except ValueError as error:
        raise InputError(f"energies {energy.shape} do not fit {len(elements_ev)} potentials") from error
    if not count:
        raise InputError("there is no potential to scatter at")
    channel.check_energy(float(energy.min()))
    channel.check_energy(float(energy.max()))
    return np.broadcast_to(elements_ev, (count, places, modes, modes)), np.broadcast_to(energy, (count,))


def _scatter_batch(
    channel: Channel, elements_ev: FloatArray, energy_ev: FloatArray, incoming: IntArray
) -> tuple[ComplexArray, FloatArray, FloatArray]:
    """Wave, transmission and reflection of a batch that fits in memory."""
    from scipy.linalg.lapack import zgbsv

    modes, places = channel.modes**2, channel.slices + 1
    joined = join_leads(channel, energy_ev)
    band = band_matrix(slice_blocks(channel, elements_ev, energy_ev, joined))
    right = incoming_waves(channel, joined, incoming).reshape(len(incoming), -1).T
    _, _, solved, singular = zgbsv(modes, modes, band, right, overwrite_ab=True, overwrite_b=True)
    if singular:
        raise InputError("a wave is not determined by what comes in; change the energy a little")
    wave = np.moveaxis(solved.T.reshape(len(incoming), len(energy_ev), places, modes), 0, 1)
    inward = joined.flux[:, incoming, None]
    ratio = np.divide(joined.flux[:, None, :], inward, out=np.zeros_like(wave[:, :, 0].real), where=inward > 0.0)
    back = wave[:, :, 0] - np.eye(modes)[incoming]
    return wave, (np.abs(wave[:, :, -1]) ** 2 * ratio).sum(axis=2), (np.abs(back) ** 2 * ratio).sum(axis=2)
