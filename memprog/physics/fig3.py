"""Owns the numbers of Fig. 3 of Rao 2023: the published waves, ours, and the steps that follow from the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from memprog.chip import FloatArray
from memprog.errors import InputError
from memprog.physics.published import published_lines
from memprog.physics.transport import Channel, scatter
from memprog.physics.trap_potential import COULOMB_EV_NM, PERMITTIVITY, Traps, debye_nm, trap_elements_ev
from memprog.physics.trap_step import StepMap, channel_for_step, relative_step, step_map

SIZES_NM = (1.0, 2.0, 3.0, 5.0, 8.0)
"""Channels of the map: the published 1 and 3 nm, and up to one of three open modes."""
CARRIERS_PER_CM3 = (1e18, 2e18, 5e18, 1e19, 2e19, 5e19, 1e20, 2e20, 5e20, 1e21)
"""Carriers of the map: Debye lengths of 4.8 to 0.15 nm, falling."""
DISTANCES_NM = (0.3, 5.0)
"""Distances of a trap outside the wall in the map."""
SWEPT_DISTANCES_NM = (0.5, 1.0, 2.0)
"""Distances of the trap while the channel's size is swept."""
SWEPT_SIZES_NM = (1.0, 9.0)
"""Sizes swept at the published 5e18 carriers per cm^3."""
Which = Literal["island", "boundary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One published |psi(z)|^2 and ours, (101,) each; ``corrected`` is without the published slip, where there is one.

    ``transmission`` is ours, as published and corrected.
    """

    figure: Which
    label: str
    published: FloatArray
    computed: FloatArray
    corrected: FloatArray
    transmission: tuple[float, float]

    @property
    def deviation(self) -> float:
        """Largest difference between the published curve and ours, at any point."""
        return float(np.abs(self.published - self.computed).max())

    @property
    def slip(self) -> float:
        """Largest difference the published slip makes at any point."""
        return float(np.abs(self.computed - self.corrected).max())


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeSweep:
    """Relative step (distances, sizes) against the size of the channel, at one Debye length."""

    size_nm: FloatArray
    distance_nm: FloatArray
    debye_nm: float
    coulomb_ev_nm: float
    step: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Fig3:
    """Everything the figure shows; z (101,).

    ``_dielectric`` is with the trap's potential divided by the permittivity, which the published scripts do not do.
    """

    z_nm: FloatArray
    curves: tuple[Curve, ...]
    steps: StepMap
    steps_dielectric: StepMap
    sweep: SizeSweep
    sweep_dielectric: SizeSweep

    @property
    def deviation(self) -> float:
        """Largest difference from the paper over all curves."""
        return max(curve.deviation for curve in self.curves)


def published_curves(which: Which) -> dict[str, FloatArray]:
    """Read the paper's |psi(z)|^2: each column (101,) by its heading, ``z (nm)`` first.

    Raises:
        InputError: there are no such curves.
    """
    if which not in ("island", "boundary"):
        raise InputError(f"there are no published curves '{which}', only island and boundary")
    heading, *lines = published_lines(f"{which}.txt")
    rows = np.array([line.split() for line in lines], dtype=np.float64)
    return {label.strip(): rows[:, k] for k, label in enumerate(heading.strip().split("\t"))}


def island_channel() -> Channel:
    """The published island: a channel of 1 nm."""
    return Channel(size_nm=1.0, leads="first-order")


def island_elements_ev() -> dict[str, FloatArray]:
    """Potentials (1, 101, 4, 4) of the published island by the heading of their curve: a trap 1 nm out, mid-wall."""
    carriers = {"n = 5*10^18": 5e18, "n = 10^19": 1e19}
    traps = Traps(outside_nm=1.0, along_nm=0.5, debye_nm=debye_nm(np.array(list(carriers.values()))))
    elements = trap_elements_ev(island_channel(), traps)
    return {"No trap": np.zeros_like(elements[:1])} | {name: elements[k : k + 1] for k, name in enumerate(carriers)}


def boundary_channel() -> Channel:
    """The published ragged boundary: a channel of 3 nm."""
    return Channel(size_nm=3.0, leads="first-order")


def boundary_elements_ev(*, slip: bool = False) -> dict[str, FloatArray]:
    """Potentials (1, 101, 4, 4) of the published boundary by the heading of their curve.

    One trap is 1 nm out and 1 nm along the wall, the other 0.8 nm out and 2 nm along (both found by fitting).

    Args:
        slip: divide the second trap's potential by the distance to the first, as the published script does.
    """
    debye = debye_nm(5e18)
    first = Traps(outside_nm=1.0, along_nm=1.0, debye_nm=debye)
    second = Traps(outside_nm=0.8, along_nm=2.0, debye_nm=debye)
    far = trap_elements_ev(boundary_channel(), first)
    near = trap_elements_ev(boundary_channel(), second, divide_by=first if slip else None)
    return {"No trap": np.zeros_like(far), "Trap (0.8 nm)": near, "Trap (1 nm)": far, "Trap (both)": near + far}


def island_curves() -> tuple[Curve, ...]:
    """The published island and ours."""
    elements = island_elements_ev()
    return _curves("island", island_channel(), elements, elements)


def boundary_curves() -> tuple[Curve, ...]:
    """The published boundary and ours, with its slip and without."""
    return _curves("boundary", boundary_channel(), boundary_elements_ev(slip=True), boundary_elements_ev())


def fig3(*, distances: int = 21, sizes: int = 65) -> Fig3:
    """Compute the figure; ten seconds or so, nearly all of it for the maps.

    Args:
        distances: how many distances the maps have.
        sizes: how many sizes the sweeps have.
    """
    debye = debye_nm(np.array(CARRIERS_PER_CM3))
    distance = np.geomspace(*DISTANCES_NM, distances)
    screened_ev_nm = COULOMB_EV_NM / PERMITTIVITY
    return Fig3(
        z_nm=island_channel().z_nm,
        curves=island_curves() + boundary_curves(),
        steps=step_map(np.array(SIZES_NM), debye, distance),
        steps_dielectric=step_map(np.array(SIZES_NM), debye, distance, screened_ev_nm),
        sweep=size_sweep(np.linspace(*SWEPT_SIZES_NM, sizes), COULOMB_EV_NM),
        sweep_dielectric=size_sweep(np.linspace(*SWEPT_SIZES_NM, sizes), screened_ev_nm),
    )


def size_sweep(size_nm: FloatArray, coulomb_ev_nm: float) -> SizeSweep:
    """Steps against the size of the channel, at the published screening and three distances."""
    debye, distance = float(debye_nm(5e18)), np.array(SWEPT_DISTANCES_NM)
    steps = [
        relative_step(
            channel_for_step(size, debye),
            Traps(outside_nm=distance, along_nm=0.5 * size, debye_nm=debye, coulomb_ev_nm=coulomb_ev_nm),
        )
        for size in size_nm.tolist()
    ]
    return SizeSweep(
        size_nm=size_nm, distance_nm=distance, debye_nm=debye, coulomb_ev_nm=coulomb_ev_nm, step=np.array(steps).T
    )


def _curves(
    which: Which, channel: Channel, computed: dict[str, FloatArray], corrected: dict[str, FloatArray]
) -> tuple[Curve, ...]:
    """Solve all potentials of one panel at once and put each beside its published curve."""
    published = published_curves(which)
    waves = scatter(channel, np.concatenate([*computed.values(), *corrected.values()]))
    density, passed = waves.density[:, 0], waves.conductance_quanta
    return tuple(
        Curve(
            figure=which,
            label=label,
            published=published[label],
            computed=density[k],
            corrected=density[len(computed) + k],
            transmission=(float(passed[k]), float(passed[len(computed) + k])),
        )
        for k, label in enumerate(computed)
    )
