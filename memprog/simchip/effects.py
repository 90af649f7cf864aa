"""The effects a profile may switch on: what each does to arrays of cells. Conductances are in uS."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memprog.chip import FloatArray, IntArray
from memprog.profile import Curvature, Forming, Islands, LevelRelaxation, Retention, Simulation, Temperature

Float32Array = NDArray[np.float32]

BOLTZMANN_EV_PER_K = 8.617333262e-5
"""CODATA 2018, exact."""
SECOND_S, DAY_S = 1.0, 86_400.0
"""When the two published deviations of relaxation were measured."""


def relaxation_times_s(simulation: Simulation) -> FloatArray:
    """Time constants of relaxation, one a decade: their sum is a straight line over log time."""
    return np.asarray(simulation.relaxation_fastest_s * 10.0 ** np.arange(simulation.relaxation_decades, dtype=float))


@functools.lru_cache(maxsize=16)
def _decade_weights(fastest_s: float, decades: int) -> FloatArray:
    """How much of (sigma at 1 s, sigma at 1 day) each decade holds, (decades, 2): both are then met exactly."""
    times_s = fastest_s * 10.0 ** np.arange(decades, dtype=float)
    quick = (times_s <= SECOND_S).astype(float)
    kinds = np.stack([quick, 1.0 - quick])
    gone = -np.expm1(-np.array([[SECOND_S], [DAY_S]]) / times_s)
    # Two unknowns, what a quick decade holds and what a slow one holds, from two deviations.
    return np.asarray(kinds.T @ np.linalg.inv(gone @ kinds.T))


def fresh_relaxation(
    law: LevelRelaxation, usiemens: FloatArray, simulation: Simulation, rng: np.random.Generator
) -> Float32Array:
    """Draw what cells (n,) that a pulse left at usiemens have yet to lose in each decade, (decades, n)."""
    x = usiemens / law.full_usiemens
    sigma = np.stack([_polynomial(law, "1s", x), _polynomial(law, "1d", x)])
    # Deviations that fall with time, as the published fits do in places, would be memory that comes back.
    sigma = np.stack([sigma[0], np.maximum(sigma[1], sigma[0])])
    weights = _decade_weights(simulation.relaxation_fastest_s, simulation.relaxation_decades)
    lost = (weights @ sigma) * rng.standard_normal(len(usiemens))
    # A decade's exponential is well under way before its time constant: with those beyond 1 s the sum begins at 1 s.
    lost -= law.mean_per_decade_usiemens * (relaxation_times_s(simulation) > SECOND_S)[:, None]
    return np.asarray(lost, dtype=np.float32)


def _polynomial(law: LevelRelaxation, when: str, x: FloatArray) -> FloatArray:
    coefficients = [getattr(law, f"sigma_{when}_{power}") for power in range(5)]
    return np.asarray(np.maximum(np.polynomial.polynomial.polyval(x, coefficients), 0.0))


def curved(
    law: Curvature, memristor: FloatArray, transistor: FloatArray, read_v: FloatArray, nominal_v: float
) -> FloatArray:
    """Factor (n,) by which memristors conduct more at read_v (n,) across cell and transistor than at the nominal volts.

    The share of the voltage on the memristor is that of the nominal conductance (assumption: the curvature is small).
    """
    c = law.per_v2 * np.minimum(1.0, (law.reference_usiemens / np.maximum(memristor, 1e-9)) ** law.exponent)
    share_squared = (transistor / (transistor + memristor)) ** 2
    factor: FloatArray = (1.0 + c * share_squared * read_v**2) / (1.0 + c * share_squared * nominal_v**2)
    return factor


def wander(law: Temperature, state: Any, now_s: float, rng: np.random.Generator) -> float:
    """Let the temperature of an array wander to the present; gives what it is above its profile's, K."""
    passed_s = now_s - float(state["warmth_until_s"])
    if passed_s > 0:
        keep = math.exp(-passed_s / law.wander_s)
        fresh = law.wander_k * math.sqrt(1.0 - keep**2) * rng.standard_normal()
        state["warmth_k"] = keep * state["warmth_k"] + fresh
        state["warmth_until_s"] = now_s
    return float(state["warmth_k"])


def hastening(law: Retention, kelvin: float, reference_k: float) -> float:
    """How many times faster relaxation goes at a temperature than at the reference: Arrhenius."""
    return math.exp(law.activation_ev / BOLTZMANN_EV_PER_K * (1.0 / reference_k - 1.0 / kelvin))


def forms(
    law: Forming, threshold_v: FloatArray, amplitude_v: FloatArray, width_ns: IntArray, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Say which pristine cells (n,) a pulse forms."""
    needed_v = threshold_v + law.decade_v * np.log10(law.width_ns / width_ns)
    chance = 1.0 / (1.0 + np.exp(-np.clip((amplitude_v - needed_v) / law.slope_v, -40.0, 40.0)))
    return np.asarray(rng.random(len(threshold_v)) < chance)


def dissolve_v(law: Islands, diameter_cells: FloatArray) -> FloatArray:
    """Volts across the memristor at which one pulse dissolves half the islands of each diameter (n,), by phase field.

    Small ones go below 0 V: they dissolve by themselves.
    """
    from memprog.physics.denoise_table import DENOISE_TABLE

    threshold_ev = np.interp(diameter_cells, DENOISE_TABLE.diameter, DENOISE_TABLE.threshold_ev)
    return np.asarray(threshold_ev * _volts_per_ev(law))


def dissolve_slope_v(law: Islands, threshold_v: Float32Array) -> FloatArray:
    """Scale of the logistic chance to dissolve, volts, of islands (n,) with that threshold."""
    from memprog.physics.denoise_table import DENOISE_TABLE

    threshold_ev = threshold_v / _volts_per_ev(law)
    slope_ev = np.interp(threshold_ev, DENOISE_TABLE.threshold_ev, DENOISE_TABLE.slope_ev)
    return np.asarray(slope_ev * _volts_per_ev(law))


def channel_cost(law: Islands, across_v: FloatArray) -> FloatArray:
    """Share of its conductance the main channel loses to one pulse, (n,)."""
    from memprog.physics.denoise_table import DENOISE_TABLE

    cost = DENOISE_TABLE.conduction_cost(across_v / _volts_per_ev(law)) - DENOISE_TABLE.conduction_cost(np.zeros(1))
    return np.asarray(law.cost_share * np.clip(cost, 0.0, 1.0))


def _volts_per_ev(law: Islands) -> float:
    from memprog.physics.phase_field import PUBLISHED_BIAS_EV

    return law.reference_v / PUBLISHED_BIAS_EV
