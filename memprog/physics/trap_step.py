"""Owns the step a trap makes in a channel's current, and which traps make a step of a measured size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from memprog.chip import FloatArray
from memprog.errors import InputError
from memprog.physics.transport import QUANTUM_USIEMENS, Channel, scatter
from memprog.physics.trap_potential import COULOMB_EV_NM, Traps, trap_elements_ev

MEASURED_RELATIVE = (0.022, 0.029)
"""Steps over mean conductance (96-100 uS) in the traces of Rao et al. at 0.15 to 0.25 V (our reckoning)."""
MEASURED_USIEMENS = (2.13, 2.92)
"""The same steps in uS."""
OF_ONE_QUANTUM = (MEASURED_USIEMENS[0] / QUANTUM_USIEMENS, MEASURED_USIEMENS[1] / QUANTUM_USIEMENS)
"""The same steps as a share of one open mode: what the trap must do if the rest of 96-100 uS flows elsewhere."""
ROOM = 8.0
"""A channel for steps reaches this many Debye lengths to both sides: there the potential is below 1 meV."""
SLICE_NM = 0.1
"""Slices of a channel for steps; 0.05 nm changes a step by less than 1 part in 1,000."""
SHORTEST_NM = 6.0
"""A channel for steps is never shorter than the published one."""


class Range(NamedTuple):
    """Nearest and farthest distance (nm) with a step in a range; NaN where the grid of distances does not reach."""

    nearest_nm: FloatArray
    farthest_nm: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMap:
    """Relative step of a trap in the middle of a wall, (sizes, debyes, distances), on the grid of the three."""

    size_nm: FloatArray
    debye_nm: FloatArray
    distance_nm: FloatArray
    coulomb_ev_nm: float
    step: FloatArray

    def __post_init__(self) -> None:
        """Reject a map that is not on its grid.

        Raises:
            InputError: the shapes differ.
        """
        grid = (len(self.size_nm), len(self.debye_nm), len(self.distance_nm))
        if self.step.shape != grid:
            raise InputError(f"a map of steps has shape {self.step.shape}, its grid {grid}")

    def distances_with(self, wanted: tuple[float, float]) -> Range:
        """Distances (sizes, debyes) at which the step lies between two values; steps fall with distance."""
        far, near = (self._distance_at(step) for step in wanted)
        return Range(near, far)

    def _distance_at(self, wanted: float) -> FloatArray:
        """Distance (sizes, debyes) of one step, by interpolation of its logarithm; the farthest if there are more."""
        falls = (self.step[..., :-1] >= wanted) & (self.step[..., 1:] < wanted)
        last = falls.shape[-1] - 1 - np.argmax(falls[..., ::-1], axis=-1)
        above, below = (np.take_along_axis(self.step, (last + k)[..., None], -1)[..., 0] for k in (0, 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.log(above / wanted) / np.log(above / np.maximum(below, 1e-300))
        distance = self.distance_nm[last] + share * (self.distance_nm[last + 1] - self.distance_nm[last])
        return np.where(falls.any(axis=-1), distance, np.nan)


def channel_for_step(size_nm: float, debye_nm: float, energy_ev: float = 0.2) -> Channel:
    """A channel long enough for a trap's potential to end in it, with modes to spare above the open ones.

    Modes: three per side, and four from 6 nm on, as more open at 7.2 nm (at 0.2 eV). One more changes a step by up to
    2 %, most where a trap is 0.3 nm from a wide channel.
    """
    length = max(SHORTEST_NM, 2.0 * ROOM * debye_nm)
    slices = 2 * math.ceil(length / (2.0 * SLICE_NM))
    return Channel(
        size_nm=size_nm,
        energy_ev=energy_ev,
        length_nm=slices * SLICE_NM,
        slices=slices,
        modes=3 if size_nm < 6.0 else 4,
    )


def relative_step(channel: Channel, traps: Traps) -> FloatArray:
    """Share of the current a trap takes while it is charged, (T_without - T_with) / T_without, (b,)."""
    elements = trap_elements_ev(channel, traps)
    quanta = scatter(channel, np.concatenate([np.zeros_like(elements[:1]), elements])).conductance_quanta
    return np.asarray(1.0 - quanta[1:] / quanta[0], dtype=np.float64)


def step_map(
    size_nm: FloatArray, debye_nm: FloatArray, distance_nm: FloatArray, coulomb_ev_nm: float = COULOMB_EV_NM
) -> StepMap:
    """Compute steps on a grid of sizes, Debye lengths and distances outside the wall (rising); all at 0.2 eV."""
    step = np.empty((len(size_nm), len(debye_nm), len(distance_nm)))
    for row, size in enumerate(size_nm.tolist()):
        for column, debye in enumerate(debye_nm.tolist()):
            traps = Traps(outside_nm=distance_nm, along_nm=0.5 * size, debye_nm=debye, coulomb_ev_nm=coulomb_ev_nm)
            step[row, column] = relative_step(channel_for_step(size, debye), traps)
    return StepMap(size_nm=size_nm, debye_nm=debye_nm, distance_nm=distance_nm, coulomb_ev_nm=coulomb_ev_nm, step=step)


def conductance_against_energy(channel: Channel, traps: Traps, energy_ev: FloatArray) -> FloatArray:
    """Landauer conductance (energies,) in quanta past one trap; energies count from the lowest mode."""
    return scatter(channel, trap_elements_ev(channel, traps), energy_ev).conductance_quanta
