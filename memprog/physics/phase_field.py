"""The phase field of conduction channels (Rao 2023, Fig. 4): its energy profile, its settings, and its evolution.

The order parameter phi is 0 in insulating oxide and 1 in a complete channel. With mobility one it obeys
d(phi)/dt = -f'(phi) + K lap(phi) - bias, so f, K and the bias are energies in eV and time is in 1/eV.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from memprog.chip import FloatArray
from memprog.errors import InputError
from memprog.physics.published import published_lines

PUBLISHED_ROWS = 57
PUBLISHED_COLUMNS = 51
"""The grid of the paper's code, which is the unit of area here; its pitch in nm is not stated."""
PUBLISHED_CELLS = PUBLISHED_ROWS * PUBLISHED_COLUMNS
PUBLISHED_GRADIENT_EV = 0.05
"""K of the paper's code, for lengths in units of the square root of the map's area."""
PUBLISHED_TIME_STEP = 0.0005
PUBLISHED_BIAS_EV = 30.0
"""The paper's sub-threshold pulse; how many volts that is, is not known."""

_TABLE = 1 << 16
_BLOCK_CELLS = 1 << 15
"""Maps are advanced in blocks of about this many cells, so that their four arrays stay in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyProfile:
    """Energy in eV (DFT, Rao 2023) at rising values of the order parameter from 0 to 1, each (n,)."""

    order: FloatArray
    energy_ev: FloatArray

    def __post_init__(self) -> None:
        """Reject what cannot be interpolated from 0 to 1."""
        if self.order.ndim != 1 or self.order.shape != self.energy_ev.shape or len(self.order) < 4:
            raise InputError(
                f"an energy profile needs 4 or more points, got {self.order.shape} and {self.energy_ev.shape}"
            )
        if not (np.isfinite(self.order).all() and np.isfinite(self.energy_ev).all()):
            raise InputError("an energy profile holds a number that is not finite")
        if self.order[0] != 0.0 or self.order[-1] != 1.0 or (np.diff(self.order) <= 0).any():
            raise InputError("the order parameter of an energy profile must rise from 0 to 1")

    def energy_at(self, order: FloatArray) -> FloatArray:
        """Interpolate f, eV, at any order parameters in 0..1."""
        return np.asarray(self._spline()(order), dtype=np.float64)

    def slope_at(self, order: FloatArray) -> FloatArray:
        """Interpolate f', eV, at any order parameters in 0..1."""
        return np.asarray(self._spline()(order, 1), dtype=np.float64)

    def curvature_at(self, order: FloatArray) -> FloatArray:
        """Interpolate f'', eV, at any order parameters in 0..1."""
        return np.asarray(self._spline()(order, 2), dtype=np.float64)

    @property
    def barrier_order(self) -> float:
        """Order parameter at the top of the barrier; above it a uniform region grows, below it dissolves."""
        fine = np.linspace(0.0, 1.0, _TABLE + 1)
        return float(fine[np.argmax(self.energy_at(fine))])

    def _spline(self) -> Any:
        """Build the cubic spline through the points, with free (not-a-knot) ends.

        The published points lie on a smooth curve: a cubic spline foretells a point that is left out to 1.2 meV,
        scipy's monotone one (PCHIP) only to 61 meV, and that one's f' has a kink at every point.
        """
        from scipy.interpolate import CubicSpline

        return CubicSpline(self.order, self.energy_ev)


@cache
def published_profile() -> EnergyProfile:
    """Read the energy profile that ships with memprog: 21 points, eV."""
    table = np.array([line.split() for line in published_lines("energy_profile.txt")], dtype=np.float64)
    return EnergyProfile(order=table[:, 0].copy(), energy_ev=table[:, 1].copy())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A number of published time steps at one bias; a positive bias dissolves."""

    steps: int
    bias_ev: float

    def __post_init__(self) -> None:
        """Reject a stage that cannot be run."""
        if self.steps < 0 or not math.isfinite(self.bias_ev):
            raise InputError(f"a stage of {self.steps} steps at a bias of {self.bias_ev} eV cannot be run")


RELAX = Stage(steps=60, bias_ev=0.0)
PULSE = Stage(steps=10, bias_ev=PUBLISHED_BIAS_EV)
REST = Stage(steps=10, bias_ev=0.0)
PUBLISHED_SCHEDULE = (RELAX, PULSE, REST, PULSE, REST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How finely the field is resolved, and what it costs to bend.

    K is published as 0.05 times the number of grid points. Read as all 2,907 of them it is the Laplacian on a map of
    unit area, whose cells are 1/sqrt(2907) wide, and it draws what the paper draws. Read as the 51 or 57 of one side,
    walls are a fifth of a cell wide and pinned to the grid: the ragged boundary stays ragged and the island grows.
    A finer grid over the same area has more cells, hence a larger K from cell to cell and shorter stable steps.

    Attributes:
        gradient_ev: K for a map of unit area, eV.
        cells: grid cells in the area of the published map.
        time_step: length of a published step, 1/eV.
        substeps: parts each published step is cut into.
    """

    gradient_ev: float = PUBLISHED_GRADIENT_EV
    cells: int = PUBLISHED_CELLS
    time_step: float = PUBLISHED_TIME_STEP
    substeps: int = 1

    def __post_init__(self) -> None:
        """Reject settings that mean nothing, or that let a checkerboard grow."""
        if not (self.cells >= 1 and self.substeps >= 1 and 0 <= self.gradient_ev < math.inf):
            raise InputError(
                f"{self.cells} cells, {self.substeps} substeps and K = {self.gradient_ev} eV are no phase field"
            )
        if not 0 < self.time_step < math.inf:
            raise InputError(f"a time step of {self.time_step}/eV leads nowhere")
        if self.courant >= 1.0:
            raise InputError(
                f"{self.cells} cells with a time step of {self.time_step / self.substeps:g}/eV are unstable: "
                f"4 K dt is {self.courant:.2f} and must stay below 1; cut each step into "
                f"{math.floor(self.courant * self.substeps) + 1} substeps or more"
            )

    @property
    def grid_gradient_ev(self) -> float:
        """K between neighbouring cells, eV."""
        return self.gradient_ev * self.cells

    @property
    def courant(self) -> float:
        """4 K dt: explicit Euler amplifies the finest checkerboard when it passes 1 (a little less, with f'')."""
        return 4.0 * self.grid_gradient_ev * self.time_step / self.substeps

    def refined(self, factor: int) -> Settings:
        """Give the settings for a grid ``factor`` times finer along each side, over the same area and time."""
        if factor < 1:
            raise InputError(f"a grid cannot be refined {factor} times")
        return Settings(
            gradient_ev=self.gradient_ev,
            cells=self.cells * factor**2,
            time_step=self.time_step,
            substeps=self.substeps * factor**2,
        )


PUBLISHED_SETTINGS = Settings()


def evolve(
    phi: FloatArray,
    stages: Sequence[Stage],
    settings: Settings = PUBLISHED_SETTINGS,
    profile: EnergyProfile | None = None,
) -> FloatArray:
    """Carry maps through the stages by explicit Euler steps, clipped to 0..1 after each.

    Nothing flows over the edge of a map (a cell beyond it mirrors the last one). f' comes from a table of 65,536
    intervals, which is within 0.0006 eV of the spline.

    Args:
        phi: (maps, rows, columns) order parameters in 0..1; left as they are.
        stages: run one after the other.
        settings: must fit the pitch of the grid, whatever part of the area the maps cover.
        profile: energy against order parameter; the published one if None.

    Returns:
        (maps, rows, columns) order parameters after the last stage.

    Raises:
        InputError: phi has another shape, or holds NaN or anything outside 0..1; or the settings are unstable.
    """
    _check_maps(phi)
    result = np.array(phi, dtype=np.float64, order="C")
    maps, rows, columns = result.shape
    slope = _published_slopes() if profile is None else _slope_table(profile)
    _check_stable(settings, slope)
    tables = [(stage.steps * settings.substeps, _step_table(slope, stage, settings)) for stage in stages]
    block = max(_BLOCK_CELLS // (rows * columns), 1)
    for first in range(0, maps, block):
        part = result[first : first + block]
        for steps, table in tables:
            _advance(part, steps, table, 0.25 * settings.courant)
    return result


def moments(
    phi: FloatArray,
    stages: Sequence[Stage] = PUBLISHED_SCHEDULE,
    settings: Settings = PUBLISHED_SETTINGS,
    profile: EnergyProfile | None = None,
) -> FloatArray:
    """Carry maps through the stages and keep what they look like before the first and after each.

    Returns:
        (stages + 1, maps, rows, columns) order parameters.
    """
    _check_maps(phi)
    kept = np.empty((len(stages) + 1, *phi.shape))
    kept[0] = phi
    for at, stage in enumerate(stages):
        kept[at + 1] = evolve(kept[at], (stage,), settings, profile)
    return kept


def free_energy_ev(
    phi: FloatArray, settings: Settings = PUBLISHED_SETTINGS, profile: EnergyProfile | None = None
) -> FloatArray:
    """Sum energy and bending over each map, from the energy of insulating oxide up; without bias it only falls.

    Returns:
        (maps,) eV times the share of the published area.
    """
    curve = profile or published_profile()
    height = (curve.energy_at(phi) - curve.energy_ev[0]).sum(axis=(1, 2))
    bend = (np.diff(phi, axis=1) ** 2).sum(axis=(1, 2)) + (np.diff(phi, axis=2) ** 2).sum(axis=(1, 2))
    total: FloatArray = (height + 0.5 * settings.grid_gradient_ev * bend) / settings.cells
    return total


def _check_maps(phi: FloatArray) -> None:
    """Refuse what is no batch of maps of order parameters."""
    if phi.ndim != 3 or 0 in phi.shape[1:]:
        raise InputError(f"phase-field maps have the shape (maps, rows, columns), not {phi.shape}")
    if not ((phi >= 0.0) & (phi <= 1.0)).all():
        raise InputError("phase-field maps hold order parameters in 0..1, and these hold others")


def _check_stable(settings: Settings, slope: FloatArray) -> None:
    """Refuse steps that a checkerboard outgrows because the wells add their stiffness to K."""
    stiffest_ev = float(np.diff(slope[:-1]).max()) * _TABLE
    growth = settings.courant + 0.5 * stiffest_ev * settings.time_step / settings.substeps
    if growth >= 1.0:
        raise InputError(
            f"4 K dt + f'' dt / 2 is {growth:.3f} for an f'' of up to {stiffest_ev:.0f} eV and must stay below 1; "
            f"cut each step into {math.floor(growth * settings.substeps) + 1} substeps or more"
        )


def _slope_table(profile: EnergyProfile) -> FloatArray:
    """Tabulate f' in the middle of 65,536 equal intervals of phi, and at phi = 1."""
    middles = (np.arange(_TABLE + 1) + 0.5) / _TABLE
    middles[-1] = 1.0
    return profile.slope_at(middles)


@cache
def _published_slopes() -> FloatArray:
    """Keep the table of the published profile: building it takes as long as thirty steps of a map."""
    return _slope_table(published_profile())


def _step_table(slope: FloatArray, stage: Stage, settings: Settings) -> FloatArray:
    """Change of phi in one substep that does not depend on the neighbours."""
    table: FloatArray = -(slope + stage.bias_ev) * (settings.time_step / settings.substeps)
    return table


def _advance(phi: FloatArray, steps: int, table: FloatArray, share: float) -> None:
    """Step a block of maps in place; ``share`` is K dt, what a cell takes from each neighbour."""
    change, index = np.empty_like(phi), np.empty(phi.shape, dtype=np.intp)
    pull, keep = np.empty_like(phi), _kept_shares(phi.shape[1], phi.shape[2], share)
    for _ in range(steps):
        np.multiply(phi, _TABLE, out=index, casting="unsafe")
        # mode="clip" lets take write into its output without a copy; the indices are inside anyway.
        np.take(table, index, out=change, mode="clip")
        np.multiply(phi, share, out=pull)
        phi *= keep
        phi += change
        phi[:, 1:] += pull[:, :-1]
        phi[:, :-1] += pull[:, 1:]
        phi[:, :, 1:] += pull[:, :, :-1]
        phi[:, :, :-1] += pull[:, :, 1:]
        np.clip(phi, 0.0, 1.0, out=phi)


def _kept_shares(rows: int, columns: int, share: float) -> FloatArray:
    """What each cell keeps of itself, (rows, columns): one minus a share for every neighbour it has."""
    keep = np.full((rows, columns), 1.0 - 4.0 * share)
    keep[[0, -1], :] += share
    keep[:, [0, -1]] += share
    if rows == 1:
        keep += share
    if columns == 1:
        keep += share
    return keep
