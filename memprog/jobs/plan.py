"""What characterise does to each cell: which pulses and readings, in which order, within the limits of the run.

The amplitudes start from the profile's first guesses of where cells switch, which are what is to be found out: ramps
go well below and above them. How many steps a ramp has, and how far it goes, are choices of this module (assumptions).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from memprog.chip import Bias
from memprog.jobs.logged import Shot
from memprog.jobs.pulse import gate_ending_at_v, memristor_usiemens
from memprog.profile import ChipProfile, Limits

STEPS = 16
"""Pulses of one ramp."""
WIDTHS = 6
CYCLES = 12
"""Repetitions of one and the same SET and RESET, for what differs from cycle to cycle."""
STRONG = {Bias.SET: 0.85, Bias.RESET: 0.95}
"""Share of the limit that brings a cell to a state, whatever it was; in RESET the transistor takes a part."""
RAMP = (0.6, 1.4)
"""Ends of a ramp, as shares of the amplitude at which cells are believed to switch."""
NOISE_READINGS = 16
NOISE_APART_S = 0.05
NOISE_RAMPS = 3
"""One cell in three or four fluctuates often enough to tell at which voltage it stops; each time it is prepared, others
do."""
NOISE_READINGS_BETWEEN = 10
"""After each sub-threshold pulse: enough to tell whether a cell still fluctuates as it did before."""
AGES_S = tuple(float(age) for age in np.round(np.geomspace(0.1, 100.0, 10), 6))
"""When relaxation is read, after the pulse."""
STATES = (0.05, 0.5, 0.95)
"""Low, middle and high conductance, as shares of the range of levels."""
STATE_NAMES = ("low", "middle", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that is done to every cell: a shot and the reading after it, or a reading alone after waiting."""

    stage: str
    shot: Shot | None = None
    wait_s: float = 0.0


class Planner:
    """Makes the steps for one profile under the limits of a run."""

    def __init__(self, kind: ChipProfile, limits: Limits) -> None:
        self._kind, self._limits = kind, limits
        settings = kind.protocol
        self._width_ns = min(max(settings.pulse_width_ns, limits.width_min_ns), limits.width_max_ns)
        self._most = {Bias.SET: limits.set_max_v, Bias.RESET: limits.reset_max_v}
        self._strong = {bias: share * self._most[bias] for bias, share in STRONG.items()}
        self._first = {Bias.SET: settings.set_first_v, Bias.RESET: settings.reset_first_v}

    def steps(self) -> tuple[Step, ...]:
        """Everything, in order."""
        return (*self._ramps(), *self._gates(), *self._widths(), *self._cycles(), *self._noise(), *self._ages())

    def _ramps(self) -> Iterator[Step]:
        """Amplitude ramps of both polarities from each state."""
        for share, name in zip(STATES, STATE_NAMES, strict=True):
            for bias in (Bias.RESET, Bias.SET):
                stage = f"{bias.name.lower()} ramp from {name}"
                yield from self._prepare(stage, share)
                yield from (Step(stage=stage, shot=self._shot(bias, volts)) for volts in self._ramp_v(bias, share))

    def _gates(self) -> Iterator[Step]:
        """The gate decides where a strong SET ends: from low, opened step by step."""
        stage = "gate ramp"
        yield from self._prepare(stage, STATES[0])
        for share in np.linspace(0.05, 1.0, STEPS).tolist():
            yield Step(stage=stage, shot=self._shot(Bias.SET, self._strong[Bias.SET], self._gate_v(share)))

    def _widths(self) -> Iterator[Step]:
        """Ever longer pulses of one amplitude, near where cells are believed to switch."""
        for bias in (Bias.RESET, Bias.SET):
            stage = f"{bias.name.lower()} widths"
            yield from self._prepare(stage, STATES[1])
            volts = self._switching_v(bias, STATES[1])
            for width_ns in self._widths_ns():
                yield Step(stage=stage, shot=self._shot(bias, volts, width_ns=width_ns))

    def _cycles(self) -> Iterator[Step]:
        """The same SET and RESET again and again."""
        for _ in range(CYCLES):
            yield Step(stage="cycles", shot=self._shot(Bias.SET, self._strong[Bias.SET], self._gate_v(STATES[1])))
            yield Step(stage="cycles", shot=self._shot(Bias.RESET, self._strong[Bias.RESET]))

    def _noise(self) -> Iterator[Step]:
        """Readings before and after sub-threshold pulses that become stronger: what they quieten, and what it costs."""
        stage = "sub-threshold ramp"
        noise = [Step(stage=stage, wait_s=NOISE_APART_S)] * NOISE_READINGS
        most_v = min(1.2 * self._first[Bias.RESET], self._limits.sub_threshold_max_v)
        for _ in range(NOISE_RAMPS):
            yield from self._prepare(stage, STATES[1])
            yield from noise
            for volts in np.linspace(0.25 * most_v, most_v, STEPS).tolist():
                yield Step(stage=stage, shot=self._shot(Bias.SUB_THRESHOLD, volts))
                yield from noise[:NOISE_READINGS_BETWEEN]
            yield from noise

    def _ages(self) -> Iterator[Step]:
        """Readings at growing ages after a large step up, and after one down."""
        waits_s = np.diff([0.0, *AGES_S]).tolist()
        yield from self._prepare("relaxation after set", STATES[2])
        yield from (Step(stage="relaxation after set", wait_s=wait_s) for wait_s in waits_s)
        yield Step(stage="relaxation after reset", shot=self._shot(Bias.RESET, self._strong[Bias.RESET]))
        yield from (Step(stage="relaxation after reset", wait_s=wait_s) for wait_s in waits_s)
        yield from self._prepare("end", STATES[1])

    def _prepare(self, stage: str, share: float) -> Iterable[Step]:
        """Bring every cell to a state: far down, then up to where the gate stops it."""
        down = Step(stage=stage, shot=self._shot(Bias.RESET, self._strong[Bias.RESET]))
        up = Step(stage=stage, shot=self._shot(Bias.SET, self._strong[Bias.SET], self._gate_v(share)))
        return (down, down, up, up)

    def _shot(self, bias: Bias, volts: float, gate_v: float | None = None, width_ns: int | None = None) -> Shot:
        """A shot; without a gate, the one at which the amplitude decides and not the compliance."""
        if gate_v is None:
            gate_v = self._gate_v(1.0) if bias is Bias.SET else self._limits.gate_max_v
        gate_v = min(gate_v, self._limits.gate_max_v)
        return Shot(
            bias=bias,
            # Rounded, but never up: that could be beyond a limit.
            amplitude_v=min(round(volts, 6), volts),
            gate_v=min(round(gate_v, 6), gate_v),
            width_ns=self._width_ns if width_ns is None else width_ns,
        )

    def _gate_v(self, share: float) -> float:
        """Gate at which a strong SET ends at a share of the range of levels."""
        return gate_ending_at_v(self._kind, self._state_usiemens(share))

    def _ramp_v(self, bias: Bias, share: float) -> list[float]:
        """From below where cells in a state are believed to switch to above."""
        first_v = self._switching_v(bias, share)
        least_v, most_v = (min(end * first_v, self._most[bias]) for end in RAMP)
        ramp_v: list[float] = np.linspace(least_v, most_v, STEPS).tolist()
        return ramp_v

    def _switching_v(self, bias: Bias, share: float) -> float:
        """Amplitude at the driver where cells in a state are believed to switch; RESET loses a part to transistors."""
        memristor = memristor_usiemens(self._kind, self._state_usiemens(share))
        taken = memristor * 1e-6 * self._kind.protocol.access_ohm if bias is Bias.RESET else 0.0
        return min(self._first[bias] * (1.0 + taken), self._most[bias])

    def _state_usiemens(self, share: float) -> float:
        levels = self._kind.levels
        return levels.min_usiemens + share * (levels.max_usiemens - levels.min_usiemens)

    def _widths_ns(self) -> list[int]:
        """From the shortest to the longest there may be, in whole steps of the driver's timer."""
        least_ns, most_ns = self._limits.width_min_ns, self._limits.width_max_ns
        step_ns = self._kind.driver.width_lsb_ns
        wanted = np.rint(np.geomspace(least_ns, most_ns, WIDTHS) / step_ns) * step_ns
        widths_ns: list[int] = np.clip(wanted, least_ns, most_ns).astype(int).tolist()
        return widths_ns
