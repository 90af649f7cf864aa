"""Everything that pulse logs say of a kind of chip, and everything that traces say, each number with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from memprog.analysis.fitting.dissolving import fit_dissolving, ramps_of
from memprog.analysis.fitting.found import Found, Values, jackknife
from memprog.analysis.fitting.gate import Gates, first_gates, fit_gates, stopped_by_gate, stopped_twice
from memprog.analysis.fitting.noise import Fluctuations, Quiet, fit_slow_noise, fit_traps, fit_white_noise
from memprog.analysis.fitting.relaxation import fit_relaxation, runs_of
from memprog.analysis.fitting.steps import Steps, history_of, steps_of
from memprog.analysis.fitting.switching import ROUNDS, WARM_ROUNDS, Population, first_population, fit_switching
from memprog.analysis.logs import PulseLog
from memprog.chip import FloatArray, Mask
from memprog.profile import ChipProfile, Simulation

TURNS = 3
"""Times that switching and gate are fitted, each by what the other found."""


def fit_logs(logs: Sequence[PulseLog], kind: ChipProfile) -> tuple[Found, ...]:
    """Fit thresholds, slopes, exponents, spreads, the gate and relaxation to pulse logs.

    Args:
        logs: of cells of one kind of chip.
        kind: what is believed of it: what is a definition (the size, state and width of a step), what the bench is
            like, and the nominal access transistor are taken from it.

    Returns:
        What the logs tell; numbers they tell nothing of are left out.

    Raises:
        InputError: the logs hold no event.
    """
    history = history_of(logs)
    steps = steps_of(history, kind)
    cells, simulation = history.cells, kind.simulation
    population, gates = first_population(cells, simulation), first_gates(cells, simulation)
    gates = fit_gates(steps, stopped_twice(steps), gates)
    for turn in range(TURNS):
        population, gates = _once(steps, population, gates, simulation, begun=turn > 0, rounds=ROUNDS)

    def again(keep: Mask) -> Values:
        some = _once(steps.take(keep), population, gates, simulation, begun=True, rounds=WARM_ROUNDS)
        return dict(some[0].values()) | dict(some[1].values())

    whole = dict(population.values()) | dict(gates.values())
    # A width or a state that never changed says nothing of its exponent.
    idle = set()
    if len(steps) == 0 or np.ptp(np.log(np.maximum(steps.before, 1e-3))) < 1.0:
        idle.add("simulation.switching_state_exponent")
    if len(np.unique(steps.width_ns)) < 2:
        idle.add("simulation.switching_width_exponent")
    switching = [one for one in jackknife(again, steps.cell, whole=whole) if one.key not in idle]
    runs, ramps = runs_of(history, kind), ramps_of(history, kind)
    relaxation = jackknife(lambda keep: fit_relaxation(runs.take(keep)), runs.cell)
    dissolving = jackknife(lambda keep: fit_dissolving(ramps.take(keep), simulation), ramps.cell)
    return (*switching, *relaxation, *dissolving)


def fit_noise(seen: Fluctuations, quiet: Quiet, kind: ChipProfile) -> tuple[Found, ...]:
    """Fit fluctuators, slow noise and white noise to what an analysis of traces found."""
    simulation = kind.simulation
    traps = jackknife(lambda keep: fit_traps(seen.take(keep), simulation), seen.cell)
    slow = jackknife(lambda keep: fit_slow_noise(quiet.take(keep), simulation), quiet.cell)
    flicker = slow[0].estimate.value if slow and slow[0].is_told else simulation.flicker_usiemens

    def white(keep: Mask) -> Values:
        return fit_white_noise(quiet.take(keep), kind.readout, simulation, flicker)

    return (*traps, *slow, *jackknife(white, quiet.cell, "readout"))


def _once(
    steps: Steps, population: Population, gates: Gates, simulation: Simulation, *, begun: bool, rounds: int
) -> tuple[Population, Gates]:
    room = _room(steps, gates, simulation)
    population = fit_switching(steps, room, simulation, population, begun=begun, rounds=rounds)
    free = np.exp(population.log_step(steps, simulation))
    return population, fit_gates(steps, stopped_by_gate(steps, free, gates), gates)


def _room(steps: Steps, gates: Gates, simulation: Simulation) -> FloatArray:
    """How far each pulse may go, uS: to the gate's ceiling in SET, to the deepest RESET there is in RESET."""
    up = gates.ceiling(steps.cell, steps.gate_v) - steps.before
    return np.maximum(np.where(steps.raises, up, steps.before - simulation.memristor_min_usiemens), 1e-6)
