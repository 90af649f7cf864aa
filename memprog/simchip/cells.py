"""The physics of the simulated cell: conductance, switching, incomplete channels, relaxation, passing time.

Every function works on whole arrays; ``at`` picks cells by flat index. Conductances are in uS.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from memprog.chip import FloatArray, IntArray, Mask, Pulses
from memprog.profile import NO_EFFECTS, Effects, LevelRelaxation, Simulation
from memprog.simchip import effects as effect
from memprog.simchip.effects import relaxation_times_s
from memprog.simchip.state import SHORT, Record, plant_traps, wake_channels

Float32Array = NDArray[np.float32]

COMPLETED_GAIN = (0.5, 1.5)
"""A channel that is completed adds this many times its trap's step (assumption)."""
CLOSED_USIEMENS = 1e-3
"""Leakage of a closed access transistor (assumption)."""
BYPASS_USIEMENS = 1e12
"""Stands for the transistor of a short, which goes past it: a number that adds nothing to any series."""
STIRRED_SHARE = 0.002
"""Relaxation by level begins anew only where a pulse moved a cell by so much of the range (assumption)."""
LEAST_USIEMENS = 0.1
"""A memristor never conducts less, relaxation included (assumption); a cell that is open has none to speak of."""


def transistor_usiemens(silicon: Record, at: IntArray, gate_v: FloatArray | float, simulation: Simulation) -> Any:
    """Conductance of the access transistor in its linear region; a closed one leaks a thousandth of a uS."""
    overdrive = np.maximum(np.asarray(gate_v) - simulation.transistor_threshold_v, 0.0)
    usiemens = np.maximum(simulation.transistor_usiemens_per_v * silicon["transistor"][at] * overdrive, CLOSED_USIEMENS)
    usiemens[silicon["stuck"][at] == SHORT] = BYPASS_USIEMENS
    return usiemens


def flicker_times_s(simulation: Simulation) -> FloatArray:
    """Time constants of the low-frequency noise, one a decade: equal powers give 1/f between the ends."""
    return np.asarray(simulation.flicker_fastest_s * 10.0 ** np.arange(simulation.flicker_decades, dtype=float))


def memristor_usiemens(state: Record, at: IntArray) -> FloatArray:
    """The complete channel as it is now, relaxation under way included."""
    unrelaxed: FloatArray = state["unrelaxed"][:, at].sum(axis=0, dtype=np.float64)
    relaxed = state["memristor"][at]
    return np.asarray(not_below_least(relaxed + unrelaxed, relaxed))


def not_below_least(memristor: Any, relaxed: Any) -> Any:
    """Keep what relaxation takes from falling below the least there is; what is open was below it from the start."""
    return np.maximum(memristor, np.minimum(relaxed, LEAST_USIEMENS))


def in_series(memristor: FloatArray, transistor: FloatArray) -> FloatArray:
    """Two conductances in series."""
    return memristor * transistor / (memristor + transistor)


def trap_steps_usiemens(relative: Float32Array, quiet: FloatArray, simulation: Simulation) -> Float32Array:
    """Conductance step of each trap (channels, cells) on cells of conductance quiet (cells,)."""
    reach = (quiet / (1.0 + quiet / simulation.trap_saturation_usiemens)).astype(np.float32)
    return np.asarray(np.minimum(relative * reach, np.float32(simulation.trap_amplitude_max_usiemens)))


def trap_steps_in_series(
    relative: Float32Array, quiet: FloatArray, transistor: FloatArray, simulation: Simulation
) -> Float32Array:
    """The same where the gate may be almost shut: all traps together never lift a cell above its transistor."""
    room = ((transistor - quiet) / max(simulation.channels_max, 1)).astype(np.float32)
    return np.asarray(np.minimum(trap_steps_usiemens(relative, quiet, simulation), room))


def dwell_high_s(dwell: Float32Array, bias_v: float, simulation: Simulation) -> Float32Array:
    """Dwell time of the upper state at a bias; stored values hold at 0.2 V, the law only where it was measured."""
    clipped = min(max(abs(bias_v), simulation.trap_bias_min_v), simulation.trap_bias_max_v)
    return dwell * np.float32(np.exp(-simulation.trap_bias_decay_per_v * (clipped - 0.2)))


def step_at_bias(bias_v: float, simulation: Simulation) -> np.float32:
    """How many times larger steps are at a bias than at 0.2 V; the law only where it was measured."""
    clipped = min(max(abs(bias_v), simulation.trap_bias_min_v), simulation.trap_bias_max_v)
    return np.float32(max(1.0 + simulation.trap_step_bias_per_v * (clipped - 0.2), 0.0))


def trap_odds(dwell_low: Any, dwell_high: Any, seconds: Any) -> tuple[Any, Any]:
    """Share of time in the upper state, and what memory of the present state is left after some seconds."""
    share = dwell_high / (dwell_low + dwell_high)
    return share, np.exp(-np.asarray(seconds, dtype=np.float64) * (1.0 / dwell_low + 1.0 / dwell_high))


def relax(state: Record, at: IntArray, now_s: float | FloatArray, simulation: Simulation) -> None:
    """Bring the relaxation of cells ``at`` to the present, one for all or one a cell."""
    passed_s = now_s - state["relaxed_until_s"][at]
    if passed_s.max(initial=0.0) > 0:
        decay(state, at, passed_s, simulation)
        state["relaxed_until_s"][at] = now_s


def decay(state: Record, at: IntArray, seconds: float | FloatArray, simulation: Simulation) -> None:
    """Let cells ``at`` lose what they lose in so many seconds, whatever their clocks say."""
    for k, time_s in enumerate(relaxation_times_s(simulation).tolist()):
        state["unrelaxed"][k, at] *= np.exp(-seconds / time_s)


def age(
    state: Record,
    at: IntArray,
    now_s: float | FloatArray,
    bias_v: float,
    simulation: Simulation,
    rng: np.random.Generator,
) -> None:
    """Bring cells ``at`` to the present: relaxation goes on, traps hop, low-frequency noise wanders."""
    relax(state, at, now_s, simulation)
    passed_s = now_s - state["noise_until_s"][at]
    if not passed_s.max(initial=0.0) > 0:
        return
    for k in range(simulation.channels_max):
        cell = np.flatnonzero(state["trap_amplitude"][k, at])
        where = at[cell]
        high = dwell_high_s(state["trap_dwell_high_s"][k, where], bias_v, simulation)
        share, memory = trap_odds(state["trap_dwell_low_s"][k, where], high, passed_s[cell])
        chance = share + (state["trap_high"][k, where] - share) * memory
        state["trap_high"][k, where] = rng.random(len(cell)) < chance
    for k, time_s in enumerate(flicker_times_s(simulation).tolist()):
        keep = np.exp(-passed_s / time_s)
        fresh = np.sqrt(1 - keep**2) * rng.standard_normal(len(at), dtype=np.float32)
        state["flicker"][k, at] = keep * state["flicker"][k, at] + fresh
    state["noise_until_s"][at] = now_s


def apply_pulses(
    state: Record,
    silicon: Record,
    at: IntArray,
    raises: Mask,
    pulses: Pulses,
    simulation: Simulation,
    rng: np.random.Generator,
    effects: Effects = NO_EFFECTS,
    wire_ohm: FloatArray | None = None,
) -> None:
    """Give each cell in ``at`` one pulse: the complete channel moves, incomplete ones come and go.

    ``raises`` (n,) says which pulses drive the bit line, as SET does; the others drive the source line. ``wire_ohm``
    (n,) is what lies between the driver and each cell.
    """
    memristor = memristor_usiemens(state, at)
    transistor = transistor_usiemens(silicon, at, pulses.gate_v, simulation)
    # In SET the transistor saturates: its drop is the gate limit below, not a divider.
    across_v = np.where(raises, 1.0, transistor / (transistor + memristor)) * pulses.amplitude_v
    if wire_ohm is not None:
        drawn = np.where(raises, memristor, in_series(memristor, transistor))
        across_v /= 1.0 + drawn * wire_ohm * 1e-6
    threshold_v = np.where(raises, silicon["set_threshold_v"][at], silicon["reset_threshold_v"][at])
    step = _free_step(silicon, at, memristor, across_v - threshold_v, pulses.width_ns, simulation, rng)
    ceiling = silicon["set_gate"][at] * np.maximum(pulses.gate_v - simulation.set_gate_threshold_v, 0.0)
    room = np.where(raises, ceiling - memristor, memristor - simulation.memristor_min_usiemens)
    room = np.maximum(room, 1e-9)
    change = np.where(raises, 1.0, -1.0) * room * -np.expm1(-step / room)
    alive = silicon["stuck"][at] == 0
    if effects.forming is not None:
        formed = _form(state, silicon, at, raises & alive, pulses, ceiling, simulation, effects, rng)
        alive &= ~state["pristine"][at] & ~formed
    if effects.islands is not None:
        change = change - memristor * effect.channel_cost(effects.islands, np.where(raises, 0.0, across_v))
    _move(state, at, np.where(alive, change, 0.0), alive, simulation, rng, effects)
    _fate_of_channels(state, at, raises, across_v, ceiling, alive, simulation, rng, effects)
    _new_channels(state, at, across_v - threshold_v, alive, simulation, rng, effects)


def _form(
    state: Record,
    silicon: Record,
    at: IntArray,
    driven: Mask,
    pulses: Pulses,
    ceiling: FloatArray,
    simulation: Simulation,
    effects: Effects,
    rng: np.random.Generator,
) -> Mask:
    """Form those pristine cells that the pulse is strong enough for, and say which (n,): the gate says how far."""
    law = effects.forming
    formed = np.zeros(len(at), dtype=bool)
    pristine = np.flatnonzero(state["pristine"][at] & driven)
    if law is None or len(pristine) == 0:
        return formed
    threshold_v = silicon["form_threshold_v"][at[pristine]].astype(np.float64)
    gone = effect.forms(law, threshold_v, pulses.amplitude_v[pristine], pulses.width_ns[pristine], rng)
    gone &= ceiling[pristine] > 0
    formed[pristine[gone]] = True
    where = at[formed]
    landed = ceiling[formed] * np.exp(law.landing_spread * rng.standard_normal(len(where)))
    state["memristor"][where] = np.clip(landed, simulation.memristor_min_usiemens, simulation.memristor_max_usiemens)
    state["pristine"][where] = False
    wake_channels(state, where, np.ones(len(where), dtype=bool), simulation, rng, effects.islands)
    return formed


def _free_step(
    silicon: Record,
    at: IntArray,
    memristor: FloatArray,
    overdrive_v: FloatArray,
    width_ns: IntArray,
    simulation: Simulation,
    rng: np.random.Generator,
) -> FloatArray:
    """Step of the complete channel if neither the gate nor the end of the range stopped it."""
    size = (memristor / simulation.switching_state_usiemens) ** simulation.switching_state_exponent
    time = (width_ns / simulation.switching_width_ns) ** simulation.switching_width_exponent
    chance = simulation.switching_cycle_spread * rng.standard_normal(len(at))
    exponent = np.minimum(overdrive_v / silicon["slope_v"][at] + chance, 20.0)
    step: FloatArray = simulation.switching_step_usiemens * size * time * np.exp(exponent)
    return step


def _move(
    state: Record,
    at: IntArray,
    change: FloatArray,
    alive: NDArray[np.bool_],
    simulation: Simulation,
    rng: np.random.Generator,
    effects: Effects,
) -> None:
    """Change the complete channel; a small part of the change will relax away, a share a decade."""
    if effects.level_relaxation is not None:
        _move_and_start_anew(state, at, change, alive, simulation, rng, effects.level_relaxation)
        return
    spread = simulation.relaxation_spread_per_decade * rng.standard_normal(len(at))
    floor = simulation.relaxation_floor_usiemens * rng.standard_normal(len(at))
    lost = (simulation.relaxation_fraction_per_decade + spread) * change
    lost += np.where(alive, np.clip(floor, -np.abs(change), np.abs(change)), 0.0)
    kept = state["memristor"][at] + change - simulation.relaxation_decades * lost
    clipped = np.clip(kept, simulation.memristor_min_usiemens, simulation.memristor_max_usiemens)
    state["memristor"][at] = np.where(alive, clipped, kept)
    state["unrelaxed"][:, at] += lost.astype(np.float32)


def _move_and_start_anew(
    state: Record,
    at: IntArray,
    change: FloatArray,
    alive: Mask,
    simulation: Simulation,
    rng: np.random.Generator,
    law: LevelRelaxation,
) -> None:
    """Change the complete channel; what it was still to lose is forgotten, and drawn anew for where it is now."""
    present = memristor_usiemens(state, at) + change
    clipped = np.clip(present, simulation.memristor_min_usiemens, simulation.memristor_max_usiemens)
    fresh = effect.fresh_relaxation(law, clipped, simulation, rng)
    # Nobody loses more than there is, or gains more than any channel has.
    lost = fresh.sum(axis=0, dtype=np.float64)
    room = np.where(lost > 0, clipped - LEAST_USIEMENS, simulation.memristor_max_usiemens - clipped)
    fresh *= np.minimum(room / np.maximum(np.abs(lost), 1e-9), 1.0).astype(np.float32)
    moved = alive & (np.abs(change) > STIRRED_SHARE * law.full_usiemens)
    relaxed = clipped - fresh.sum(axis=0, dtype=np.float64)
    state["memristor"][at] = np.where(moved, relaxed, state["memristor"][at] + np.where(alive, change, 0.0))
    state["unrelaxed"][:, at] = np.where(moved, fresh, state["unrelaxed"][:, at])


def _logistic(x: FloatArray) -> FloatArray:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -40.0, 40.0)))


def _fate_of_channels(
    state: Record,
    at: IntArray,
    raises: NDArray[np.bool_],
    across_v: FloatArray,
    ceiling: FloatArray,
    alive: NDArray[np.bool_],
    simulation: Simulation,
    rng: np.random.Generator,
    effects: Effects,
) -> None:
    """RESET polarity dissolves incomplete channels; SET polarity completes them, which adds up to the gate limit."""
    offset_v = np.where(raises, simulation.channel_complete_offset_v, 0.0)
    for k in range(simulation.channels_max):
        amplitude = state["trap_amplitude"][k, at]
        threshold_v = state["trap_dissolve_v"][k, at]
        slope_v: Any = simulation.channel_dissolve_slope_v
        if effects.islands is not None:
            slope_v = effect.dissolve_slope_v(effects.islands, threshold_v)
        excess_v = across_v - offset_v - threshold_v
        gone = (rng.random(len(at)) < _logistic(excess_v / slope_v)) & (amplitude > 0)
        completed = gone & raises & alive
        gain = trap_steps_usiemens(amplitude, state["memristor"][at], simulation) * rng.uniform(
            *COMPLETED_GAIN, len(at)
        )
        gain = np.minimum(gain, np.maximum(ceiling - memristor_usiemens(state, at), 0.0))
        state["memristor"][at[completed]] += gain[completed]
        state["trap_amplitude"][k, at[gone]] = 0.0


def _new_channels(
    state: Record,
    at: IntArray,
    overdrive_v: FloatArray,
    alive: NDArray[np.bool_],
    simulation: Simulation,
    rng: np.random.Generator,
    effects: Effects,
) -> None:
    """Switching may leave an incomplete channel behind, in the first free place."""
    excess_v = overdrive_v + simulation.channel_create_offset_v
    chance = simulation.channel_create_max * _logistic(excess_v / simulation.channel_create_slope_v)
    born = at[(rng.random(len(at)) < chance) & alive]
    for k in range(simulation.channels_max):
        free = state["trap_amplitude"][k, born] == 0
        plant_traps(state, k, born[free], simulation, rng, effects.islands)
        born = born[~free]
