"""The door to what a simulated chip knows of itself: for tests and metrics only, never for the loop."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

import numpy as np

from memprog.chip import FloatArray, IntArray, Mask
from memprog.profile import ChipProfile
from memprog.simchip import cells as physics
from memprog.simchip.array import READ_BIAS_V
from memprog.simchip.chip import SimChip
from memprog.simchip.effects import relaxation_times_s
from memprog.simchip.state import Record

HORIZON_S = 100.0
SHARE_OF_TIME = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The cells of one array over the next 100 s, all (rows, columns); read noise excluded.

    ``share_in_window`` is the expected share of time within the window, NaN where there is no target;
    ``mean_usiemens`` the expected time average.
    """

    share_in_window: FloatArray
    mean_usiemens: FloatArray
    healthy: Mask

    @property
    def in_window(self) -> Mask:
        """The definition: within the window for at least 99 % of 100 s. False where there is no target."""
        return self.share_in_window >= SHARE_OF_TIME


def truth_of(chip: SimChip, array: int, target_usiemens: FloatArray, window_usiemens: float) -> Truth:
    """Tell the truth about one array: target (rows, columns) in uS, NaN where it does not matter."""
    profile = chip._profile
    # On copies: being looked at must not change what the chip does next.
    state, rng = chip._load(array).copy(), copy.deepcopy(chip._rngs[array])
    silicon = chip._file.silicon[array]
    at = np.arange(state["wear"].shape[0])
    physics.age(state, at, chip.clock_s(), READ_BIAS_V, profile.simulation, rng)
    target = np.asarray(target_usiemens, dtype=np.float64).ravel()
    inside, mean = np.zeros(len(at)), np.zeros(len(at))
    for seconds, weight in zip(*_moments(), strict=True):
        quiet = _quiet_later(state, silicon, at, seconds, profile)
        for chance, conductance in _levels(state, at, quiet, seconds, profile):
            inside += weight * chance * (np.abs(conductance - target) <= window_usiemens)
            mean += weight * chance * conductance
    shape = (profile.geometry.rows, profile.geometry.columns)
    inside[np.isnan(target)] = np.nan
    healthy = (silicon["stuck"] == 0) & _reachable(silicon, at, target, profile)
    if profile.forming is not None:
        healthy &= ~state["pristine"]
    return Truth(
        share_in_window=inside.reshape(shape),
        mean_usiemens=mean.reshape(shape),
        healthy=healthy.reshape(shape),
    )


def _moments() -> tuple[FloatArray, FloatArray]:
    """Moments over the horizon and their weights: close together at first, when relaxation is quick."""
    edges = np.concatenate([[0.0], np.geomspace(0.03, HORIZON_S, 30)])
    return (edges[1:] + edges[:-1]) / 2.0, np.diff(edges) / HORIZON_S


def _quiet_later(state: Record, silicon: Record, at: IntArray, seconds: float, profile: ChipProfile) -> FloatArray:
    decay = np.exp(-seconds / relaxation_times_s(profile.simulation))
    memristor = physics.not_below_least(
        state["memristor"] + np.einsum("k,kn->n", decay, state["unrelaxed"]), state["memristor"]
    )
    transistor = physics.transistor_usiemens(silicon, at, profile.readout.read_gate_v, profile.simulation)
    return physics.in_series(memristor, transistor)


def _levels(
    state: Record, at: IntArray, quiet: FloatArray, seconds: float, profile: ChipProfile
) -> list[tuple[FloatArray, FloatArray]]:
    """Every combination of trap states some seconds from now: its chance and its conductance, each (cells,)."""
    simulation = profile.simulation
    steps = physics.trap_steps_usiemens(state["trap_amplitude"], quiet, simulation)
    present = state["trap_amplitude"] > 0
    low = np.where(present, state["trap_dwell_low_s"], 1.0)
    high = np.where(present, physics.dwell_high_s(state["trap_dwell_high_s"], READ_BIAS_V, simulation), 1.0)
    share, memory = physics.trap_odds(low, high, seconds)
    up = np.where(present, share + (state["trap_high"] - share) * memory, 0.0)
    found = []
    for states in itertools.product((0, 1), repeat=simulation.channels_max):
        chance, conductance = np.ones(len(at)), quiet.copy()
        for k, is_high in enumerate(states):
            chance = chance * (up[k] if is_high else 1.0 - up[k])
            conductance = conductance + is_high * steps[k]
        found.append((chance, conductance))
    return found


def _reachable(silicon: Record, at: IntArray, target: FloatArray, profile: ChipProfile) -> Mask:
    """Whether the target lies below what the cell's transistor and gate limit can give, and above its deepest RESET."""
    simulation, limits = profile.simulation, profile.limits
    transistor = physics.transistor_usiemens(silicon, at, profile.readout.read_gate_v, simulation)
    most = silicon["set_gate"] * (limits.gate_max_v - simulation.set_gate_threshold_v)
    most = np.minimum(most, simulation.memristor_max_usiemens)
    least = physics.in_series(np.asarray(simulation.memristor_min_usiemens), transistor)
    return np.isnan(target) | ((target <= physics.in_series(most, transistor)) & (target >= least))
