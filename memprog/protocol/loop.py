"""The closed loop over the cells of one array, as a state machine: no I/O, no clock, no chance.

The session asks ``next_look`` which cells to read and how, carries that out, and hands what was seen to ``take``,
which answers with the pulses to give. Replaying the same looks gives the same pulses.

A cell walks APPROACH -> CHECK -> HOLD and back: pulses bring it near; a long interleaved look says whether it is
quiet; later looks, separated by waiting, confirm it. Whatever leaves its window goes back to APPROACH, until it has
held long enough or its budget is spent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memprog.chip import Bias, FloatArray, IntArray, Mask, Pulses, Status, steps_down
from memprog.profile import ChipProfile, Protocol
from memprog.protocol.drift import Drift
from memprog.protocol.response import RESET, SET, LastPulse, PolarityArray, Response, conducting_usiemens, moved
from memprog.protocol.words import Look, Reason, Seen, Shots, Stage

HORIZON_S = 100.0
"""How long the window must be held, by the definition of "in the window"."""
STUCK_AFTER = 24
"""Switching pulses without clear movement, the last one at its limit, before a cell is called stuck."""
UNREAD_AFTER = 5
"""Looks in a row without a reading before a cell is called unreadable."""
SURE_STEP = 4.0
"""A coarse SET is meant this many times stronger than the gate allows: then the gate decides where it ends."""
COARSE_GATE = 0.98
"""Share of the goal at which the gate stops a coarse SET; what is left is for the fine pulses."""
COARSE_USIEMENS = 80.0
"""A SET is coarse when it must go further than this and 5 % of the cell (assumption)."""
FINE_HEADROOM_USIEMENS = 1000.0
"""The gate of a fine SET is opened this far above the goal: its amplitude decides, not the gate (assumption)."""
STEP_SHARE = 0.75
"""Share of the way that the median of a fine pulse is meant to go: overshoot costs more than another pulse."""
LEAST_STEP_USIEMENS = 0.05
"""No pulse is meant to do less."""
FOUND_SHARE = 0.8
"""Share of the window within which a cell that was not pulsed in this run is left alone."""
FAR_SHARE = 0.1
"""A pulse that moves a cell by more than this share of it starts relaxation anew."""
CORRELATED = 4.0
"""Deviations of the lag-1 correlation of white noise above which a cell fluctuates."""


class Loop:
    """The loop's memory of n cells of one array; targets (n,) in uS, none NaN."""

    def __init__(
        self,
        target_usiemens: FloatArray,
        profile: ChipProfile,
        *,
        denoise: bool = True,
        later_s: float = 0.0,
        full: bool = False,
        known: NDArray[np.uint8] | None = None,
        budget: IntArray | None = None,
    ) -> None:
        """Start from nothing but targets.

        Args:
            target_usiemens: (n,) none NaN.
            profile: of the chip, with the limits of this run.
            denoise: False leaves the sub-threshold pulses and the noise check out.
            later_s: how long after the run the 100 s in the window begin.
            full: bring cells to the aim that were found well inside their window, too.
            known: (n,) a Reason for each cell that is not worth trying, 0 for the others.
            budget: (n,) pulses after which a cell is given up; by default the profile's for all.
        """
        n = len(target_usiemens)
        self._settings, self._limits, self._readout = profile.protocol, profile.limits, profile.readout
        self._driver = profile.driver
        self._full_scale = profile.readout.full_scale_usiemens
        self._denoise, self._later_s = denoise, later_s
        self._found_share = 0.0 if full else FOUND_SHARE
        self.window_usiemens = profile.levels.window_usiemens
        self.target_usiemens = np.asarray(target_usiemens, dtype=np.float64)
        self.response = Response(n, profile)
        self.drift = Drift(n)
        self._goal = self.response.memristor(self.target_usiemens)
        self._last = LastPulse(n)
        self.stage = np.full(n, Stage.APPROACH, dtype=np.uint8)
        self.reason = np.zeros(n, dtype=np.uint8)
        self.readback_usiemens = np.full(n, np.nan)
        self.pulses, self.denoise_pulses, self.samples, self.holds = (np.zeros(n, dtype=np.int64) for _ in range(4))
        self.rounds = self.passes = self._burst = self._checks = 0
        self._now_s = 0.0
        self._first = np.full(n, np.nan)
        self._unread = np.zeros(n, dtype=np.int64)
        self._has_moved, self._was_noisy, self._at_limit, self._strong, self._flipped = np.zeros((5, n), dtype=bool)
        self._raised_v = np.zeros(n)
        self._budget = np.full(n, self._settings.pulse_budget) if budget is None else budget
        if known is not None:
            self._close(np.flatnonzero(known), known[known != 0])

    @property
    def done(self) -> Mask:
        """Cells that held their window in as many separate looks as the profile asks for."""
        return np.asarray((self.stage == Stage.HOLD) & (self.holds >= self._settings.confirms))

    @property
    def fraction(self) -> float:
        """Rough share of the work done, 0 to 1, for a progress bar."""
        settled = float(((self.stage == Stage.HOLD) | (self.stage == Stage.FAILED)).mean())
        return min(0.5 * settled + 0.5 * self.passes / self._settings.passes, 1.0)

    def next_look(self) -> Look | None:
        """Say what to read next; None when the run is over."""
        settings = self._settings
        if self.rounds >= settings.round_budget:
            return None
        approach = np.flatnonzero(self.stage == Stage.APPROACH)
        if len(approach) and self._burst < settings.approach_rounds:
            return Look(stage="approach", cells=approach, samples=settings.quick_samples, interval_s=0.0)
        check = np.flatnonzero(self.stage == Stage.CHECK)
        if len(check) and self._checks < settings.checks_per_pass:
            return self._long_look("check", check, 0.0)
        due = self._due_for_confirm()
        if len(due):
            return self._long_look("confirm", due, settings.confirm_wait_s)
        if len(approach) and self.passes < settings.passes + settings.mop_up_passes:
            return Look(stage="approach", cells=approach, samples=settings.quick_samples, interval_s=0.0)
        return None

    def take(self, look: Look, seen: Seen) -> list[Shots]:
        """Learn from a look, judge its cells, and say which pulses to give before the next one, in order."""
        self.rounds += 1
        self._now_s = seen.time_s
        self.samples[look.cells] += look.samples
        at, conductance, noise, lag1 = self._remember(look, seen)
        self._learn(at, conductance, look.samples)
        self._give_up(at)
        alive = self.stage[at] != Stage.FAILED
        at, conductance, noise, lag1 = at[alive], conductance[alive], noise[alive], lag1[alive]
        if look.stage == "approach":
            self._burst += 1
            return self._approach(at, conductance)
        self._burst = 0
        self._checks += 1
        if look.stage == "confirm":
            self.passes, self._checks = self.passes + 1, 0
            self.drift.learn_share(at, self._travel(at))
        return self._judge(at, conductance, self._is_noisy(look, at, conductance, noise, lag1))

    def withdraw(self, shots: Shots) -> None:
        """Take back pulses that were decided on and never given; their cells are read before anything else."""
        self.pulses[shots.cells] -= 1
        self.denoise_pulses[shots.cells] -= shots.denoise
        self.doubt(shots)

    def doubt(self, shots: Shots) -> None:
        """Learn nothing from pulses that may or may not have been given; they count as given."""
        self._last.waiting[shots.cells] = False

    def interrupted(self) -> None:
        """Note that time passed in which nobody looked: at least one more pass over the whole array is due."""
        self.passes = min(self.passes, self._settings.passes - 1)

    def finish(self) -> None:
        """Name the reason of every cell that is not done; call once, when the run is over."""
        self._fail(np.flatnonzero(~self.done & (self.stage != Stage.FAILED)))

    def _long_look(self, stage: str, cells: IntArray, wait_s: float) -> Look:
        settings = self._settings
        return Look(
            stage=stage,
            cells=cells,
            samples=settings.check_samples,
            interval_s=settings.check_interval_s,
            wait_s=wait_s,
        )

    def _due_for_confirm(self) -> IntArray:
        """Cells to look at after waiting: all that hold, and at the very end only those that have not held enough."""
        settings = self._settings
        due = (self.stage == Stage.CHECK) | (self.stage == Stage.HOLD)
        if self.passes >= settings.passes:
            due &= self.holds < settings.confirms
        if self.passes >= settings.passes + settings.mop_up_passes:
            due[:] = False
        return np.flatnonzero(due)

    def _remember(self, look: Look, seen: Seen) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
        """Keep what was read; returns the cells that could be, a reading beyond the range as endlessly high."""
        at = look.cells
        conductance = np.where(seen.status == Status.CLAMPED, np.inf, seen.readback_usiemens)
        self.readback_usiemens[at] = seen.readback_usiemens
        blind = np.isnan(conductance)
        self._unread[at] = np.where(blind, self._unread[at] + 1, 0)
        self.holds[at[blind]] = 0
        self._close(at[seen.status == Status.NOT_WIRED], Reason.NOT_WIRED)
        self._close(at[blind & (self._unread[at] >= UNREAD_AFTER)], Reason.UNREADABLE)
        memristor = self.response.memristor(conductance)
        new = np.isnan(self._first[at])
        self._first[at[new]] = memristor[new]
        self._has_moved[at] |= moved(self._first[at], memristor)
        return at[~blind], conductance[~blind], seen.noise_usiemens[~blind], seen.lag1[~blind]

    def _learn(self, at: IntArray, conductance: FloatArray, samples: int) -> None:
        """Compare what each cell's last switching pulse did with what it was meant to do."""
        told = self._last.waiting[at]
        pulsed, memristor = at[told], self.response.memristor(conductance[told])
        noise = self._readout.sample_noise_usiemens(self.target_usiemens[pulsed]) / np.sqrt(samples)
        resolution = 3.0 * noise / self.response.slope(memristor)
        self.response.learn(pulsed, self._last, memristor, resolution)
        self._last.waiting[pulsed] = False

    def _give_up(self, at: IntArray) -> None:
        """Close cells that cannot be moved, or have had all the pulses they may have."""
        switching = self.pulses[at] - self.denoise_pulses[at]
        immovable = (switching >= STUCK_AFTER) & ~self._has_moved[at] & self._at_limit[at]
        spent = self.pulses[at] >= self._budget[at]
        self._fail(at[(immovable | spent) & (self.stage[at] < Stage.HOLD)])

    def _fail(self, at: IntArray) -> None:
        """Close cells with the reason that fits what was seen of them.

        Stuck is one that was asked to go far, and did not, by pulses that move any other: a SET near the end of what
        the gate lets through proves nothing, nor does a pulse that the limits of the run keep weak.
        """
        error = self.readback_usiemens[at] - self.target_usiemens[at]
        high = ~(error < 0)
        asked = (self.pulses[at] - self.denoise_pulses[at] >= STUCK_AFTER) & moved(self._first[at], self._goal[at])
        provable = high | self.response.has_room(at, self.response.memristor(self.readback_usiemens[at]))
        immovable = ~self._has_moved[at] & self._at_limit[at] & self._strong[at] & asked & provable
        near = np.abs(error) <= self._settings.landing_windows * self.window_usiemens
        beyond = self._at_limit[at] & ~near
        named = [immovable & high, immovable, beyond, self._was_noisy[at]]
        reasons = [Reason.STUCK_HIGH, Reason.STUCK_LOW, Reason.UNREACHABLE, Reason.NOISY]
        self.reason[at] = np.select(named, [int(r) for r in reasons], int(Reason.OUT_OF_BUDGET))
        self.stage[at] = Stage.FAILED

    def _close(self, at: IntArray, reason: Reason | NDArray[np.uint8]) -> None:
        self.reason[at], self.stage[at] = reason, Stage.FAILED

    def _approach(self, at: IntArray, conductance: FloatArray) -> list[Shots]:
        """Pulse what is off; pass on to the check what is near enough."""
        near = self._distance(at, conductance) <= self._room(at)
        self.stage[at[near]] = Stage.CHECK
        return self._switch(at[~near], conductance[~near])

    def _judge(self, at: IntArray, conductance: FloatArray, noisy: Mask) -> list[Shots]:
        """Decide after a long look: hold, denoise, or correct."""
        settings = self._settings
        conductance = self._steadied(at, conductance, noisy)
        off = self._distance(at, conductance) > self._room(at)
        good = ~noisy & ~off
        self.stage[at] = np.where(good, Stage.HOLD, Stage.APPROACH)
        self.holds[at] = np.where(good, self.holds[at] + 1, 0)
        self._was_noisy[at] = noisy
        shots = self._sub_threshold(at[noisy], conductance[noisy])
        # What did not help is tried a little stronger, and from the other side.
        self._raised_v[at] = np.where(noisy, settings.sub_threshold_step_v, 0.0)
        self._flipped[at] ^= noisy
        return shots + self._switch(at[off & ~noisy], conductance[off & ~noisy])

    def _steadied(self, at: IntArray, conductance: FloatArray, noisy: Mask) -> FloatArray:
        """Average a cell's looks along its drift where they agree; a cell that jumped is what it is now."""
        travel = self._travel(at)
        apart = np.abs(conductance - self.drift.level(at, self._now_s, travel)) > self.window_usiemens
        self.drift.disturb(at[apart | noisy], self._now_s)
        steady = np.isfinite(conductance) & ~noisy
        self.drift.note(at[steady], conductance[steady], self._now_s)
        return np.where(steady, self.drift.level(at, self._now_s, travel), conductance)

    def _is_noisy(self, look: Look, at: IntArray, conductance: FloatArray, noise: FloatArray, lag1: FloatArray) -> Mask:
        """Find fluctuators: too wide for the readout, correlated in time, or jumping from look to look."""
        if not self._denoise:
            return np.zeros(len(at), dtype=bool)
        accepted = self._settings.noise_accept * self.window_usiemens
        floor = self._readout.sample_noise_usiemens(conductance)
        variance = noise**2 - floor**2
        wide = variance > accepted**2
        correlated = (lag1 > CORRELATED / np.sqrt(look.samples)) & (variance > (0.5 * accepted) ** 2)
        expected = self.drift.level(at, self._now_s, self._travel(at))
        jumped = np.abs(conductance - expected) > self.window_usiemens
        return np.asarray(np.isfinite(conductance) & (wide | correlated | jumped))

    def _travel(self, at: IntArray) -> FloatArray:
        """How far each cell has come since it was found, as it shows in conductance: relaxation undoes a share."""
        memristor = self.response.memristor(self.readback_usiemens[at])
        return np.asarray((memristor - self._first[at]) * self.response.slope(memristor))

    def _drift_to_come(self, at: IntArray) -> FloatArray:
        """Change expected until the middle, in log time, of the seconds that the window must be held after the run."""
        rest_s = waiting_s(self._settings, self.passes) + self._later_s + 0.45 * HORIZON_S
        return self.drift.ahead(at, self._now_s, self._travel(at), rest_s)

    def _distance(self, at: IntArray, conductance: FloatArray) -> FloatArray:
        """Distance from the target, once relaxation has gone on."""
        return np.abs(conductance - self.target_usiemens[at] + self._drift_to_come(at))

    def _room(self, at: IntArray) -> FloatArray:
        """Distance that is near enough: a cell found well inside its window is not touched to bring it nearer."""
        share = np.where(self.pulses[at] == 0, np.maximum(self._found_share, self._settings.aim), self._settings.aim)
        return np.asarray(share * self.window_usiemens)

    def _switch(self, at: IntArray, conductance: FloatArray) -> list[Shots]:
        """Give each cell the pulse that should bring it home, and a denoising with the one that should land it."""
        if len(at) == 0:
            return []
        memristor = self.response.memristor(conductance)
        slope = self.response.slope(memristor)
        need = self._goal[at] - memristor - self._drift_to_come(at) / slope
        landing = self._denoise & (np.abs(need) * slope < self._settings.landing_windows * self.window_usiemens)
        cost = np.where(landing, self._denoise_step(at), 0.0) / slope
        polarity, amplitude_v, gate_v = self._aim(at, conductance, memristor, need - cost)
        self._last.note(at, polarity, self.response.across(amplitude_v, polarity, memristor), memristor, gate_v, cost)
        self.drift.disturb(at, self._now_s, np.abs(need) > FAR_SHARE * memristor)
        bias = np.where(polarity == SET, int(Bias.SET), int(Bias.RESET))
        return [self._shots(at, bias, amplitude_v, gate_v), *self._sub_threshold(at[landing], conductance[landing])]

    def _aim(
        self, at: IntArray, conductance: FloatArray, memristor: FloatArray, need: FloatArray
    ) -> tuple[PolarityArray, FloatArray, FloatArray]:
        """Choose polarity, amplitude and gate for a step of need (n,) uS of the memristor."""
        polarity = np.where(need > 0, SET, RESET)
        coarse = need > COARSE_USIEMENS + 0.05 * memristor
        ceiling = np.where(coarse, COARSE_GATE * self._goal[at], memristor + need + FINE_HEADROOM_USIEMENS)
        sure = SURE_STEP * np.maximum(ceiling - memristor, 1.0)
        step = np.where(coarse, sure, np.maximum(STEP_SHARE * np.abs(need), LEAST_STEP_USIEMENS))
        gate_v = np.where(polarity == SET, self.response.gate_voltage(at, ceiling), self._limits.gate_max_v)
        most_v = np.where(polarity == SET, self._limits.set_max_v, self._limits.reset_max_v)
        most_v = np.minimum(most_v, self._limits.cell_current_max_a * 1e6 / self._conducting(conductance))
        amplitude_v = np.minimum(self.response.voltage(at, polarity, memristor, step), most_v)
        shut = (polarity == SET) & (gate_v >= self._limits.gate_max_v)
        self._at_limit[at] = (amplitude_v >= most_v) | shut
        self._strong[at] = self.response.is_strong(self.response.across(most_v, polarity, memristor), polarity)
        return polarity, steps_down(amplitude_v, self._driver.amplitude_lsb_v), gate_v

    def _conducting(self, conductance: FloatArray) -> FloatArray:
        return np.maximum(conducting_usiemens(conductance, self._full_scale), 1e-3)

    def _denoise_polarity(self, at: IntArray) -> PolarityArray:
        """The side whose switching voltage is further away, the other one after a failure."""
        better = self.response.safer_polarity(at)
        return np.where(self._flipped[at], SET + RESET - better, better)

    def _denoise_step(self, at: IntArray) -> FloatArray:
        """Change in conductance (n,), upwards positive, that a denoising is expected to cost."""
        cost = self._settings.sub_threshold_cost_windows * self.window_usiemens
        return np.where(self._denoise_polarity(at) == SET, cost, -cost)

    def _sub_threshold(self, at: IntArray, conductance: FloatArray) -> list[Shots]:
        """Denoise: a few pulses too weak to switch the complete channel."""
        if len(at) == 0:
            return []
        count = self._settings.sub_threshold_pulses
        memristor = self.response.memristor(conductance)
        polarity = self._denoise_polarity(at)
        step = np.abs(self._denoise_step(at)) / count / self.response.slope(memristor)
        amplitude_v = self.response.voltage(at, polarity, memristor, step) + self._raised_v[at]
        limit_v = min(self._limits.set_max_v, self._limits.sub_threshold_max_v)
        most_v = np.minimum(limit_v, self._limits.cell_current_max_a * 1e6 / self._conducting(conductance))
        bias = np.where(polarity == SET, int(Bias.SET), int(Bias.SUB_THRESHOLD))
        # In SET the gate is the compliance: it stays near the cell, in case it should switch after all.
        near_v = self.response.gate_voltage(at, memristor + FINE_HEADROOM_USIEMENS)
        gate_v = np.where(polarity == SET, near_v, self._limits.gate_max_v)
        self.denoise_pulses[at] += count
        self.drift.disturb(at, self._now_s)
        amplitude_v = np.minimum(amplitude_v, most_v)
        return [self._shots(at, bias, amplitude_v, gate_v, denoise=True) for _ in range(count)]

    def _shots(
        self, at: IntArray, bias: IntArray, amplitude_v: FloatArray, gate_v: FloatArray, *, denoise: bool = False
    ) -> Shots:
        self.pulses[at] += 1
        width_ns = np.full(len(at), self._settings.pulse_width_ns, dtype=np.int64)
        pulses = Pulses(
            bias=bias.astype(np.uint8),
            amplitude_v=steps_down(amplitude_v, self._driver.amplitude_lsb_v),
            gate_v=steps_down(gate_v, self._driver.gate_lsb_v),
            width_ns=width_ns,
        )
        return Shots(cells=at, pulses=pulses, denoise=denoise)


def largest_step(settings: Protocol) -> int:
    """Pulses that a cell may be given between two looks: a switching pulse and a denoising."""
    return settings.sub_threshold_pulses + 1


def faintest_v(settings: Protocol) -> tuple[float, float]:
    """Amplitudes of SET and RESET that move the median cell by as little as any pulse is meant to."""
    below_v = settings.step_slope_v * float(np.log(settings.step_usiemens / LEAST_STEP_USIEMENS))
    return settings.set_first_v - below_v, settings.reset_first_v - below_v


def waiting_s(settings: Protocol, passes_done: int = 0) -> float:
    """Chip time that the passes still to come will take, about: most of a run is waiting."""
    passes = max(settings.passes + settings.mop_up_passes - passes_done, 0)
    return passes * (settings.confirm_wait_s + settings.check_samples * settings.check_interval_s)
