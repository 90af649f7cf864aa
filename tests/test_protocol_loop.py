"""The closed loop as a state machine: scripted cells instead of a chip."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_cases import random_targets, small_profile, start_run

from memprog.chip import Bias, Cells, FloatArray, Status
from memprog.jobs.chips import make_chip
from memprog.profile import ChipProfile
from memprog.protocol import Look, Loop, Reason, Seen, Shots, Stage
from memprog.protocol.loop import STUCK_AFTER, UNREAD_AFTER
from memprog.session import Journal, Session, program_array
from memprog.session.blobs import pulses_of, seen_of
from memprog.simchip import SimChip

PROFILE = small_profile()
WINDOW = PROFILE.levels.window_usiemens


def seen(
    conductance: object,
    *,
    noise: object = None,
    lag1: float = 0.0,
    status: int = Status.OK,
    time_s: float = 0.0,
    profile: ChipProfile = PROFILE,
) -> Seen:
    """What a look at cells of these conductances sees; the noise is the readout's own unless told."""
    readback = np.atleast_1d(np.asarray(conductance, dtype=np.float64))
    quiet = profile.readout.sample_noise_usiemens(readback)
    deviation = np.broadcast_to(np.asarray(quiet if noise is None else noise, dtype=np.float64), readback.shape)
    codes = np.full(len(readback), status, dtype=np.uint8)
    codes[np.isposinf(readback)] = Status.CLAMPED
    unread = codes != Status.OK
    return Seen(
        readback_usiemens=np.where(unread, np.nan, readback),
        noise_usiemens=np.where(unread, np.nan, deviation),
        lag1=np.full(len(readback), lag1),
        status=codes,
        time_s=time_s,
    )


Watch = Callable[[Look, list[Shots]], None]


def run(loop: Loop, answer: Callable[[Look], Seen], watch: Watch | None = None) -> list[tuple[Look, list[Shots]]]:
    """Drive a loop to its end with scripted answers; times go on by themselves."""
    steps, clock_s = [], 0.0
    while (look := loop.next_look()) is not None:
        clock_s += 0.01 + look.wait_s + look.samples * look.interval_s
        shots = loop.take(look, dataclasses.replace(answer(look), time_s=clock_s))
        steps.append((look, shots))
        if watch is not None:
            watch(look, shots)
    loop.finish()
    return steps


def pulses_in(steps: list[tuple[Look, list[Shots]]]) -> list[tuple[int, float, float]]:
    """Every pulse of a one-cell run: kind, amplitude, gate."""
    return [
        (int(kind), float(volts), float(gate))
        for _, shots in steps
        for one in shots
        for kind, volts, gate in zip(one.pulses.bias, one.pulses.amplitude_v, one.pulses.gate_v, strict=True)
    ]


class Cell:
    """Cells that answer pulses as the loop's first beliefs say, but for thresholds that are off by some volts."""

    def __init__(self, loop: Loop, start_usiemens: FloatArray, off_v: FloatArray, profile: ChipProfile) -> None:
        self._loop, self._profile, self._off_v = loop, profile, off_v
        self._transistor = 1e6 / profile.protocol.access_ohm
        self.memristor = start_usiemens / (1.0 - start_usiemens / self._transistor)

    def conductance(self) -> FloatArray:
        return self.memristor * self._transistor / (self.memristor + self._transistor)

    def pulse(self, shots: Shots) -> None:
        settings, at = self._profile.protocol, shots.cells
        before = self.memristor[at]
        raises = shots.pulses.bias == Bias.SET
        full_gate = (5.0 - 0.5) / settings.gate_overdrive_v * self._transistor
        across_v = shots.pulses.amplitude_v / np.where(raises, 1.0, 1.0 + before / full_gate)
        first_v = np.where(raises, settings.set_first_v, settings.reset_first_v) + self._off_v[at]
        unit = settings.step_usiemens * (before / settings.state_usiemens) ** settings.state_exponent
        step = unit * np.exp((across_v - first_v) / settings.step_slope_v)
        ceiling = settings.set_gate_usiemens_per_v * (shots.pulses.gate_v - settings.set_gate_threshold_v)
        room = np.maximum(np.where(raises, ceiling - before, before - 5.0), 1e-9)
        self.memristor[at] += np.where(raises, 1.0, -1.0) * room * -np.expm1(-step / room)


def test_a_cell_in_its_window_is_checked_held_confirmed_and_done_without_a_pulse() -> None:
    loop = Loop(np.array([1000.0]), PROFILE)
    stages = []
    steps = run(loop, lambda _: seen(1000.0), lambda look, _: stages.append((look.stage, int(loop.stage[0]))))
    assert stages[:3] == [("approach", Stage.CHECK), ("check", Stage.HOLD), ("confirm", Stage.HOLD)]
    assert pulses_in(steps) == []
    assert loop.done.tolist() == [True]
    assert loop.reason.tolist() == [Reason.NONE]


def test_a_cell_is_not_done_before_a_second_look_that_was_waited_for() -> None:
    loop = Loop(np.array([1000.0]), PROFILE)
    done_after = []
    run(loop, lambda _: seen(1000.0), lambda look, _: done_after.append((look.wait_s, bool(loop.done[0]))))
    first_done = next(k for k, (_, done) in enumerate(done_after) if done)
    assert done_after[first_done][0] == PROFILE.protocol.confirm_wait_s
    assert not any(done for _, done in done_after[:first_done])


def test_a_cell_that_left_its_window_must_be_confirmed_anew() -> None:
    loop = Loop(np.array([1000.0]), PROFILE, denoise=False)
    long_looks, done_after = 0, []

    def answer(look: Look) -> Seen:
        # In the window at first, out of it in the first confirm, and back for good.
        nonlocal long_looks
        long_looks += look.stage != "approach"
        return seen(1005.0 if long_looks == 2 and look.stage == "confirm" else 1000.0)

    def watch(look: Look, _: list[Shots]) -> None:
        if look.stage != "approach":
            done_after.append(bool(loop.done[0]))

    run(loop, answer, watch)
    assert done_after[:4] == [False, False, False, True]


def test_a_long_look_takes_as_many_samples_as_the_profile_says_and_a_quick_one_fewer() -> None:
    loop = Loop(np.array([1000.0]), PROFILE)
    steps = run(loop, lambda _: seen(1000.0))
    protocol = PROFILE.protocol
    assert {look.samples for look, _ in steps if look.stage == "approach"} == {protocol.quick_samples}
    long = {(look.samples, look.interval_s) for look, _ in steps if look.stage != "approach"}
    assert long == {(protocol.check_samples, protocol.check_interval_s)}
    assert loop.samples[0] == sum(look.samples for look, _ in steps)


@pytest.mark.parametrize(
    ("error", "kind"), [(-200.0, Bias.SET), (-5.0, Bias.SET), (5.0, Bias.RESET), (2e3, Bias.RESET)]
)
def test_a_cell_below_its_target_is_set_and_one_above_is_reset(error: float, kind: Bias) -> None:
    loop = Loop(np.array([2000.0]), PROFILE, denoise=False)
    look = loop.next_look()
    assert look is not None
    (shots,) = loop.take(look, seen(2000.0 + error))
    assert shots.cells.tolist() == [0]
    assert shots.pulses.bias.tolist() == [kind]


def test_the_gate_stops_a_coarse_set_short_of_the_target() -> None:
    loop = Loop(np.array([2000.0]), PROFILE, denoise=False)
    look = loop.next_look()
    assert look is not None
    (shots,) = loop.take(look, seen(300.0))
    memristor = 2000.0 / (1.0 - 2000.0 * PROFILE.protocol.access_ohm * 1e-6)
    ceiling = PROFILE.protocol.set_gate_usiemens_per_v * (shots.pulses.gate_v[0] - 0.5)
    assert 0.9 * memristor < ceiling < memristor


def test_a_cell_above_the_range_is_reset() -> None:
    loop = Loop(np.array([4000.0]), PROFILE)
    look = loop.next_look()
    assert look is not None
    shots = loop.take(look, seen(np.inf))
    assert shots[0].pulses.bias.tolist() == [Bias.RESET]
    assert np.isnan(loop.readback_usiemens[0])


NOISY = {
    "wide": {"noise": 1.0},
    "correlated": {"noise": 0.45, "lag1": 0.9},
}


@pytest.mark.parametrize("why", list(NOISY))
def test_a_noisy_cell_gets_sub_threshold_pulses_and_the_other_polarity_after_a_failure(why: str) -> None:
    loop = Loop(np.array([1000.0]), PROFILE)
    steps = run(loop, lambda look: seen(1000.0, **({} if look.stage == "approach" else NOISY[why])))
    denoising = [[one.pulses for one in shots] for look, shots in steps if shots and look.stage != "approach"]
    kinds = [{int(one.bias[0]) for one in pulses} for pulses in denoising]
    assert all(len(pulses) == PROFILE.protocol.sub_threshold_pulses for pulses in denoising)
    assert kinds[:4] == [{Bias.SUB_THRESHOLD}, {Bias.SET}, {Bias.SUB_THRESHOLD}, {Bias.SET}]
    assert denoising[2][0].amplitude_v[0] > denoising[0][0].amplitude_v[0]
    for pulses in denoising:
        # Too weak to switch the complete channel: far below what a step of 20 uS takes.
        most_v = {Bias.SET: PROFILE.protocol.set_first_v, Bias.SUB_THRESHOLD: 1.2 * PROFILE.protocol.reset_first_v}
        assert pulses[0].amplitude_v[0] < most_v[Bias(int(pulses[0].bias[0]))]
    assert loop.denoise_pulses[0] == loop.pulses[0] > 0
    assert (loop.done[0], loop.reason[0]) == (False, Reason.NOISY)


def test_a_cell_that_jumps_from_look_to_look_is_denoised() -> None:
    loop = Loop(np.array([1000.0]), PROFILE)
    long_looks = 0

    def answer(look: Look) -> Seen:
        nonlocal long_looks
        long_looks += look.stage != "approach"
        return seen(1000.0 if long_looks < 3 else 1002.5)

    steps = run(loop, answer)
    first = next(shots for look, shots in steps if shots)
    assert {int(one.pulses.bias[0]) for one in first} == {Bias.SUB_THRESHOLD}


def test_noise_of_the_readout_alone_is_no_reason_to_denoise() -> None:
    for target in (50.0, 1000.0, 4144.0):
        loop = Loop(np.array([target]), PROFILE)
        assert pulses_in(run(loop, lambda _, target=target: seen(target))) == []


def test_without_denoise_there_is_never_a_sub_threshold_pulse() -> None:
    rng = np.random.default_rng(3)
    loop = Loop(rng.uniform(50.0, 4144.0, 20), PROFILE, denoise=False)

    def answer(look: Look) -> Seen:
        near = loop.target_usiemens[look.cells] + rng.normal(0.0, 2.0, len(look.cells))
        return seen(near, noise=5.0, lag1=0.9)

    steps = run(loop, answer)
    assert Bias.SUB_THRESHOLD not in {kind for kind, _, _ in pulses_in(steps)}
    assert loop.pulses.sum() > 0
    assert loop.denoise_pulses.sum() == 0


def test_a_cell_that_cannot_be_read_gets_no_pulse_and_is_given_up() -> None:
    loop = Loop(np.array([1000.0, 1000.0]), PROFILE)
    blind = []

    def answer(look: Look) -> Seen:
        blind.append(0 in look.cells)
        return seen(np.where(look.cells == 0, np.nan, 1000.0))

    steps = run(loop, answer)
    assert pulses_in(steps) == []
    assert sum(blind) == UNREAD_AFTER
    assert loop.reason.tolist() == [Reason.UNREADABLE, Reason.NONE]
    assert loop.done.tolist() == [False, True]


def test_a_cell_that_was_unreadable_for_a_while_is_programmed_after_all() -> None:
    loop = Loop(np.array([1000.0]), PROFILE)
    looks = 0

    def answer(look: Look) -> Seen:
        nonlocal looks
        looks += 1
        return seen(np.nan if looks < UNREAD_AFTER else 1000.0)

    run(loop, answer)
    assert loop.done.tolist() == [True]


def test_a_cell_that_is_not_wired_is_closed_at_once() -> None:
    loop = Loop(np.array([1000.0]), PROFILE)
    steps = run(loop, lambda _: seen(np.nan, status=Status.NOT_WIRED))
    assert len(steps) == 1
    assert (loop.reason[0], loop.pulses[0], loop.done[0]) == (Reason.NOT_WIRED, 0, False)


STUCK = [
    (1000.0, 20.0, Bias.SET, Reason.STUCK_LOW, PROFILE.limits.set_max_v),
    (1000.0, 3000.0, Bias.RESET, Reason.STUCK_HIGH, PROFILE.limits.reset_max_v),
    # Half again beyond full scale, 7.5 mS, is what a clamped cell may conduct under the cell current limit.
    (1000.0, np.inf, Bias.RESET, Reason.STUCK_HIGH, PROFILE.limits.cell_current_max_a / 7.5e-3),
]


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize(("target", "found", "kind", "reason", "most_v"), STUCK)
def test_a_cell_that_never_moves_is_stuck_once_pulses_reached_a_limit(
    target: float, found: float, kind: Bias, reason: Reason, most_v: float, others: int
) -> None:
    loop = Loop(np.array([target, 500.0][: 1 + others]), PROFILE)
    pulses = pulses_in(run(loop, lambda look: seen(np.where(look.cells == 0, found, 500.0))))
    assert loop.reason[0] == reason
    assert loop.done.tolist() == [False, True][: 1 + others]
    assert {one for one, _, _ in pulses} == {kind}
    strength = [volts for _, volts, _ in pulses]
    assert strength == sorted(strength)
    assert strength[-1] == pytest.approx(most_v, abs=PROFILE.driver.amplitude_lsb_v)
    assert STUCK_AFTER <= len(pulses) < PROFILE.protocol.pulse_budget


@pytest.mark.parametrize("gain", [0.75, 0.87, 1.0])
def test_a_cell_found_where_its_gate_ends_gets_a_wider_gate_and_comes_home(gain: float) -> None:
    """Programmed before, and now meant to be higher: by what the loop believes of the gate it would not move."""
    loop = Loop(np.array([1616.0]), PROFILE, denoise=False)
    settings = PROFILE.protocol
    memristor = float(loop.response.memristor(np.array([1416.0]))[0])
    gates_v: list[float] = []
    while (look := loop.next_look()) is not None:
        for shots in loop.take(look, seen(memristor / (1.0 + memristor * settings.access_ohm * 1e-6))):
            gate_v, amplitude_v = float(shots.pulses.gate_v[0]), float(shots.pulses.amplitude_v[0])
            gates_v.append(gate_v)
            ends = settings.set_gate_usiemens_per_v * gain * (gate_v - settings.set_gate_threshold_v)
            if shots.pulses.bias[0] == Bias.SET and amplitude_v > 1.9:
                memristor = max(memristor, ends)
            elif shots.pulses.bias[0] == Bias.RESET and amplitude_v > 1.0:
                memristor -= 0.5 * max(memristor - float(loop.response.memristor(np.array([1616.0]))[0]), 0.0)
    assert loop.done.tolist() == [True]
    assert max(gates_v) > gates_v[0] or gain == 1.0


def test_a_cell_that_the_widest_gate_moves_no_further_is_unreachable_and_not_stuck() -> None:
    loop = Loop(np.array([4100.0]), PROFILE)
    steps = run(loop, lambda _: seen(3582.0))
    assert loop.reason.tolist() == [Reason.UNREACHABLE]
    assert len(pulses_in(steps)) >= STUCK_AFTER


def test_a_cell_that_was_not_asked_to_go_far_is_not_called_stuck() -> None:
    loop = Loop(np.array([1000.0]), PROFILE)
    run(loop, lambda _: seen(1030.0))
    assert loop.reason[0] in {Reason.UNREACHABLE, Reason.OUT_OF_BUDGET}


def test_a_cell_that_comes_no_further_is_unreachable() -> None:
    profile = small_profile(protocol={"pulse_budget": 60})
    loop = Loop(np.array([4000.0]), profile)
    conductance = 300.0

    def answer(look: Look) -> Seen:
        nonlocal conductance
        conductance = min(conductance + 400.0, 3000.0)
        return seen(conductance)

    run(loop, answer)
    assert loop.reason.tolist() == [Reason.UNREACHABLE]


@pytest.mark.parametrize("others", [0, 1])
def test_a_cell_that_never_lands_is_tried_until_its_budget_is_spent(others: int) -> None:
    profile = small_profile(protocol={"pulse_budget": 40})
    loop = Loop(np.array([1000.0, 500.0][: 1 + others]), profile, denoise=False)
    side = 1.0

    def answer(look: Look) -> Seen:
        nonlocal side
        side = -side
        return seen(np.where(look.cells == 0, 1000.0 + 20.0 * side, 500.0))

    run(loop, answer)
    assert (loop.reason[0], loop.pulses[0]) == (Reason.OUT_OF_BUDGET, 40)


@pytest.mark.parametrize("denoise", [True, False])
def test_the_budget_of_a_cell_is_kept_but_for_one_last_denoising(denoise: bool) -> None:
    profile = small_profile(protocol={"pulse_budget": 30})
    rng = np.random.default_rng(5)
    loop = Loop(np.full(30, 1000.0), profile, denoise=denoise)
    run(loop, lambda look: seen(1000.0 + rng.normal(0.0, 3.0, len(look.cells)), noise=2.0))
    over = profile.protocol.sub_threshold_pulses if denoise else 0
    assert 30 <= loop.pulses.max() <= 30 + over


def test_a_run_ends_at_its_round_budget_and_every_cell_has_a_reason() -> None:
    profile = small_profile(protocol={"round_budget": 7})
    loop = Loop(np.array([1000.0, 2000.0]), profile)
    steps = run(loop, lambda look: seen(loop.target_usiemens[look.cells] + 300.0))
    assert len(steps) == 7
    assert not loop.done.any()
    assert (loop.reason != Reason.NONE).all()


anything = st.one_of(
    st.floats(-10.0, 6000.0), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e9]), st.floats(995.0, 1005.0)
)


@given(
    values=st.lists(st.tuples(anything, st.floats(0.0, 100.0), st.floats(-1.0, 1.0)), min_size=1, max_size=40),
    targets=st.lists(st.floats(50.0, 4144.0), min_size=1, max_size=4),
    denoise=st.booleans(),
    limits=st.fixed_dictionaries(
        {
            "set_max_v": st.floats(0.5, 3.0),
            "reset_max_v": st.floats(0.5, 3.0),
            "sub_threshold_max_v": st.floats(0.1, 2.0),
            "gate_max_v": st.floats(3.0, 6.0),
        }
    ),
)
@settings(max_examples=60)
def test_whatever_is_seen_no_pulse_is_beyond_a_limit_and_the_run_ends(
    values: list[tuple[float, float, float]], targets: list[float], denoise: bool, limits: dict[str, float]
) -> None:
    profile = small_profile(limits=limits, protocol={"round_budget": 40, "passes": 2, "mop_up_passes": 1})
    loop = Loop(np.array(targets), profile, denoise=denoise)
    turn = 0

    def answer(look: Look) -> Seen:
        nonlocal turn
        turn += 1
        conductance, noise, lag1 = values[turn % len(values)]
        return seen(np.full(len(look.cells), conductance), noise=noise, lag1=lag1)

    most_v = {
        Bias.SET: limits["set_max_v"],
        Bias.RESET: limits["reset_max_v"],
        Bias.SUB_THRESHOLD: limits["sub_threshold_max_v"],
    }
    steps = run(loop, answer)
    assert len(steps) <= 40
    for kind, volts, gate in pulses_in(steps):
        assert 0.0 <= volts <= most_v[Bias(kind)]
        assert 0.0 <= gate <= limits["gate_max_v"]
    for _, shots in steps:
        for one in shots:
            assert len(np.unique(one.cells)) == len(one.cells) == len(one.pulses) > 0
    assert ((loop.reason == Reason.NONE) == loop.done).all()


def imagined(seed: int, n: int = 30) -> tuple[Loop, list[tuple[Look, list[Shots]]]]:
    """A run on cells with thresholds of their own, and noise that follows from the seed."""
    rng = np.random.default_rng(seed)
    loop = Loop(rng.uniform(200.0, 4000.0, n), PROFILE)
    cell = Cell(loop, rng.uniform(60.0, 300.0, n), rng.normal(0.0, 0.08, n), PROFILE)

    def answer(look: Look) -> Seen:
        return seen(cell.conductance()[look.cells] + rng.normal(0.0, 0.05, len(look.cells)))

    def watch(_: Look, shots: list[Shots]) -> None:
        for one in shots:
            cell.pulse(one)

    return loop, run(loop, answer, watch)


def test_cells_of_all_kinds_come_home() -> None:
    loop, _ = imagined(1)
    assert loop.done.all()
    assert np.abs(loop.readback_usiemens - loop.target_usiemens).max() <= WINDOW
    assert loop.pulses.mean() < 30


def test_the_same_looks_give_the_same_pulses() -> None:
    (one, first), (other, second) = imagined(2), imagined(2)
    assert len(first) == len(second)
    for (look, shots), (look_2, shots_2) in zip(first, second, strict=True):
        np.testing.assert_array_equal(look.cells, look_2.cells)
        for a, b in zip(shots, shots_2, strict=True):
            np.testing.assert_array_equal(a.cells, b.cells)
            for name in ("bias", "amplitude_v", "gate_v", "width_ns"):
                np.testing.assert_array_equal(getattr(a.pulses, name), getattr(b.pulses, name))
    np.testing.assert_array_equal(one.reason, other.reason)


def test_what_one_cell_does_changes_nothing_for_the_next_ones_coarse_pulses() -> None:
    def first_pulses(found: list[float]) -> list[float]:
        loop = Loop(np.array([1000.0, 3000.0]), PROFILE)
        look = loop.next_look()
        assert look is not None
        shots = loop.take(look, seen(found))
        return [float(one.pulses.amplitude_v[k]) for one in shots for k in np.flatnonzero(one.cells == 1)]

    assert first_pulses([100.0, 200.0]) == first_pulses([np.nan, 200.0]) == first_pulses([np.inf, 200.0])


def test_a_journal_replayed_through_a_fresh_loop_gives_the_pulses_that_were_recorded(tmp_path: Path) -> None:
    profile = small_profile(rows=8, columns=8, simulation={"stuck_high_fraction": 0.05, "stuck_low_fraction": 0.05})
    target = random_targets(profile.levels, (8, 8), 4).astype(np.float64)
    target[0, :3] = np.nan
    make_chip(tmp_path / "chip.sim", profile, seed=4, arrays=1)
    journal = Journal(tmp_path / "journal", durable=False)
    start_run(journal)
    with Session(SimChip(tmp_path / "chip.sim", profile), profile, journal=journal, run_id="run") as session:
        outcome = program_array(session, profile, 0, target)
    journal.close()

    journal = Journal(tmp_path / "journal", durable=False)
    batches, cells = journal.batches("run"), Cells.from_mask(0, ~np.isnan(target))
    start = next(batches)
    assert (start.kind, start.intent["later_s"][0], start.intent["denoise"][0]) == ("start", 0.0, True)
    loop, pulses = Loop(target[~np.isnan(target)], profile), 0
    while (look := loop.next_look()) is not None:
        read = next(batches)
        assert read.kind == f"read {look.stage}"
        assert read.outcome is not None
        for shots in loop.take(look, seen_of(read.outcome)):
            batch, at = next(batches), cells.take(shots.cells)
            assert batch.kind == "pulse"
            given_ = pulses_of(batch.intent)
            np.testing.assert_array_equal(batch.intent["cell"], at.row * 8 + at.column)
            np.testing.assert_array_equal(given_.bias, shots.pulses.bias)
            np.testing.assert_array_equal(given_.width_ns, shots.pulses.width_ns)
            for name in ("amplitude_v", "gate_v"):
                asked = getattr(shots.pulses, name).astype(np.float32)
                np.testing.assert_array_equal(getattr(given_, name).astype(np.float32), asked)
            pulses += len(shots.pulses)
    loop.finish()
    assert next(batches, None) is None
    assert pulses == journal.pulses("run") == outcome.pulses.sum() > 300
    np.testing.assert_array_equal(loop.done, outcome.done[~np.isnan(target)])
    np.testing.assert_array_equal(np.where(loop.done, 0, loop.reason), outcome.reason[~np.isnan(target)])
    journal.close()


@pytest.mark.parametrize("off_v", [0.15, -0.15])
def test_a_cell_whose_threshold_is_off_needs_fewer_pulses_once_that_is_learned(off_v: float) -> None:
    n = 20
    loop = Loop(np.full(n, 1500.0), PROFILE, denoise=False)
    cell = Cell(loop, np.full(n, 1440.0), np.full(n, off_v), PROFILE)
    spent = []
    for _ in range(2):
        before = loop.pulses.copy()
        clock_s = 100.0 * len(spent)
        # From some way below, by fine pulses: their amplitude decides, not the gate.
        cell.memristor[:] = 1440.0 / (1.0 - 0.144) + np.linspace(0.0, 20.0, n)
        loop.stage[:] = Stage.APPROACH
        loop._burst = 0
        while (look := loop.next_look()) is not None and look.stage == "approach":
            clock_s += 0.01
            for one in loop.take(look, seen(cell.conductance()[look.cells], time_s=clock_s)):
                cell.pulse(one)
        spent.append(float((loop.pulses - before).mean()))
    assert spent[1] <= 0.75 * spent[0]
    assert np.abs(loop.response.median_v[0] - PROFILE.protocol.set_first_v - off_v).max() < 0.05
