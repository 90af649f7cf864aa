"""Batches by the million against generated limits: what reaches the chip is what is within every one of them."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, cast

import numpy as np
import pytest
from loop_cases import RecorderChip, small_profile

from memprog.chip import Bias, Cells, Delivered, Pulses, ReadSpec
from memprog.errors import LimitError
from memprog.profile import ChipProfile, Limits
from memprog.protocol import Look
from memprog.session import Journal, Permissions, Session, tightened

ROWS = COLUMNS = 4
MOST = 5
"""Cells in a batch."""
CONDUCTANCE = 1000.0
IN_A_PULSE = 1.3 * CONDUCTANCE
"""A pulse opens the gate further than a read does."""
NAMES = [field.name for field in dataclasses.fields(Limits)]


class CountingJournal:
    """Stands in for a journal on disk, which would be most of the time; counts what it is told."""

    def __init__(self) -> None:
        self.intended = self.recorded = 0

    def intend(self, run_id: str, array: int, kind: str, intent: Any, *, pulses: int = 0) -> int:
        self.intended += kind == "pulse"
        return self.intended

    def record(self, batch_id: int, outcome: Any) -> None:
        self.recorded += 1


class KeepingChip(RecorderChip):
    """Keeps what it was given, and nothing else that grows."""

    def pulse(self, cells: Cells, pulses: Pulses, batch_id: int) -> Delivered:
        self.batches.append((cells, pulses, batch_id))
        return Delivered(status=np.zeros(len(cells), np.uint8), amplitude_v=pulses.amplitude_v, time_s=0.0)


@dataclasses.dataclass(frozen=True)
class Batches:
    """Many batches of up to MOST pulses, all fields (batches, MOST); the first ``length`` of each row count."""

    length: np.ndarray
    cell: np.ndarray
    bias: np.ndarray
    amplitude_v: np.ndarray
    gate_v: np.ndarray
    width_ns: np.ndarray

    def within(self, limits: Limits, *, conducting_usiemens: float, forming: bool) -> np.ndarray:
        """Batches (batches,) with every pulse within the limits as a person reads them, those a cell aside."""
        highest = np.full(256, np.nan)
        highest[[int(bias) for bias in Bias]] = [voltage_of(limits, bias) for bias in Bias]
        if not forming:
            highest[int(Bias.FORM)] = np.nan
        fine = (self.amplitude_v >= 0) & (self.amplitude_v <= highest[self.bias])
        fine &= (self.gate_v >= 0) & (self.gate_v <= limits.gate_max_v)
        fine &= (self.width_ns >= limits.width_min_ns) & (self.width_ns <= limits.width_max_ns)
        fine &= self.amplitude_v * conducting_usiemens * 1e-6 <= limits.cell_current_max_a
        return np.asarray((fine | (np.arange(MOST) >= self.length[:, None])).all(axis=1))

    def near_current(self, limits: Limits, conducting_usiemens: float) -> np.ndarray:
        """Batches with a pulse so near the current limit that the rounding of a reading decides."""
        share = self.amplitude_v * conducting_usiemens * 1e-6 / limits.cell_current_max_a
        return np.asarray((np.abs(share - 1.0) < 1e-6).any(axis=1))


def voltage_of(limits: Limits, bias: Bias) -> float:
    """The highest amplitude of a kind of pulse."""
    names = {Bias.SET: "set_max_v", Bias.RESET: "reset_max_v", Bias.SUB_THRESHOLD: "sub_threshold_max_v"}
    return float(getattr(limits, names.get(bias, "form_max_v")))


def generated_limits(rng: np.random.Generator) -> dict[str, float]:
    """Limits of a profile; an ordinary read is always within them."""
    width_min_ns = int(rng.integers(10, 500))
    volts = dict(
        zip(("set_max_v", "reset_max_v", "sub_threshold_max_v", "form_max_v"), rng.uniform(0.5, 6.0, 4), strict=True)
    )
    return volts | {
        "gate_max_v": float(rng.uniform(3.0, 6.0)),
        "width_min_ns": width_min_ns,
        "width_max_ns": width_min_ns + int(rng.integers(0, 100_000)),
        "cell_current_max_a": float(10 ** rng.uniform(-3.3, -1.7)),
        "pulses_per_cell_run": int(rng.integers(1, 400)),
        "pulses_per_cell_life": int(rng.integers(1, 400)),
    }


def generated_tightening(rng: np.random.Generator, limits: Limits) -> dict[str, float]:
    """Some limits lowered; now and then so far that no cell may be read, and so none pulsed."""
    chosen = rng.choice(NAMES, int(rng.integers(0, 4)), replace=False)
    factors = {"row_current_max_a": (0.02, 0.3), "gate_max_v": (0.7, 1.0), "read_max_v": (0.6, 1.0)}
    return {
        str(name): tighter(getattr(limits, str(name)), float(rng.uniform(*factors.get(name, (0.3, 1.0)))), str(name))
        for name in chosen
    }


def may_read(profile: ChipProfile, limits: Limits) -> bool:
    """Whether cells that were never read may be, as a person reads the limits."""
    readout = profile.readout
    drawn_a = 1.3 * profile.levels.max_usiemens * 1e-6 * readout.read_v
    within_volts = readout.read_v <= limits.read_max_v and readout.read_gate_v <= limits.gate_max_v
    return within_volts and drawn_a <= limits.row_current_max_a


def tighter(value: float, factor: float, name: str) -> float:
    """A tighter value of the kind that the limit is of."""
    asked = value / factor if name == "width_min_ns" else value * factor
    return math.floor(asked) if isinstance(value, int) else asked


def generated_batches(rng: np.random.Generator, limits: Limits, count: int) -> Batches:
    """Batches that are fine, and in half of them some numbers moved to, onto and past what is allowed."""
    shape = (count, MOST)
    bias = rng.integers(1, 4, shape).astype(np.uint8)
    highest = np.array([0.0, *(voltage_of(limits, bias_) for bias_ in list(Bias)), 0.0])
    amplitude_v = rng.uniform(0.0, 1.0, shape) * highest[bias]
    gate_v = rng.uniform(0.0, limits.gate_max_v, shape)
    width_ns = rng.integers(limits.width_min_ns, max(limits.width_max_ns, limits.width_min_ns) + 1, shape)
    mean = np.where(rng.random((count, 1)) < 0.5, 0.0, 0.3)
    for values, most in ((amplitude_v, highest[bias]), (gate_v, np.full(shape, limits.gate_max_v))):
        odd = np.stack(
            [most, np.nextafter(most, np.inf), -most, 2.0 * most, most + 3e-4, np.full(shape, -0.0)]
            + [np.full(shape, number) for number in (np.nan, np.inf, -np.inf, 1e300, -5e-324)]
        )
        kind, moved = rng.integers(0, len(odd), shape), rng.random(shape) < mean / 4
        values[moved] = np.take_along_axis(odd, kind[None], 0)[0][moved]
    edges = np.array([limits.width_min_ns - 1, limits.width_max_ns + 1, 0, -1, -(2**62), 2**62])
    edges = np.concatenate([edges, [limits.width_min_ns, limits.width_max_ns]])
    moved = rng.random(shape) < mean / 4
    width_ns[moved] = rng.choice(edges, shape)[moved]
    moved = rng.random(shape) < mean / 4
    bias[moved] = rng.choice([0, int(Bias.FORM), 5, 255], shape)[moved]
    cell = np.argsort(rng.random((count, ROWS * COLUMNS)), axis=1)[:, :MOST]
    return Batches(rng.integers(1, MOST + 1, count), cell, bias, amplitude_v, gate_v, width_ns)


def fired(rng: np.random.Generator, count: int) -> tuple[int, int]:
    """Send batches under limits of their own; returns how many reached the chip, and how many were sent.

    A cell that may not be read counts as beyond the range of the converter when it is pulsed.
    """
    profile = small_profile(rows=ROWS, columns=COLUMNS, limits=generated_limits(rng))
    limits = tightened(profile.limits, **generated_tightening(rng, profile.limits))
    forming = bool(rng.random() < 0.3)
    chip, journal = KeepingChip(profile, CONDUCTANCE), CountingJournal()
    everywhere = Cells.from_mask(0, np.ones((ROWS, COLUMNS), dtype=bool))
    lived = rng.integers(0, 50, (1, ROWS, COLUMNS))
    session = Session(
        chip,
        profile,
        journal=cast(Journal, journal),
        limits=limits,
        permissions=Permissions(forming=forming),
        spent_life=lived,
    )
    readable = may_read(profile, limits)
    try:
        session.look(everywhere, Look(stage="check", cells=np.arange(ROWS * COLUMNS), samples=1, interval_s=0.0))
    except LimitError:
        assert not readable, limits
    assert len(chip.reads) == readable
    assert all(most_drawn_a(spec) <= limits.row_current_max_a for _, spec in chip.reads)
    batches = generated_batches(rng, limits if rng.random() < 0.5 else profile.limits, count)
    conducting_usiemens = IN_A_PULSE if readable else 1.5e6 * profile.readout.range_a / profile.readout.read_v
    within = batches.within(limits, conducting_usiemens=conducting_usiemens, forming=forming)
    near = batches.near_current(limits, conducting_usiemens)
    most = np.minimum(limits.pulses_per_cell_run, limits.pulses_per_cell_life - lived.ravel())
    spent = np.zeros(ROWS * COLUMNS, dtype=int)
    for k in range(count):
        to = slice(0, int(batches.length[k]))
        at = batches.cell[k, to]
        expected = bool(within[k]) and bool((spent[at] < most[at]).all())
        reached = reaches(session, everywhere.take(at), batches, k, to)
        assert reached == expected or near[k], (k, limits)
        spent[at] += reached
    check_all(chip, limits, forming=forming)
    assert len(chip.batches) == journal.intended == journal.recorded - readable
    assert (np.bincount(cells_of(chip), minlength=ROWS * COLUMNS) <= np.maximum(most, 0)).all()
    return len(chip.batches), count


def most_drawn_a(spec: ReadSpec) -> float:
    """The most that cells sensed together draw."""
    assert spec.group is not None
    return float(np.bincount(spec.group).max()) * CONDUCTANCE * 1e-6 * spec.read_v


def reaches(session: Session, cells: Cells, batches: Batches, k: int, to: slice) -> bool:
    """Send one batch; says whether it was let through."""
    pulses = Pulses(
        bias=batches.bias[k, to],
        amplitude_v=batches.amplitude_v[k, to],
        gate_v=batches.gate_v[k, to],
        width_ns=batches.width_ns[k, to],
    )
    try:
        session.fire(cells, pulses)
    except LimitError:
        return False
    return True


def cells_of(chip: KeepingChip) -> np.ndarray:
    """Flat index of every cell that was pulsed, as often as it was."""
    return np.concatenate([cells.row * COLUMNS + cells.column for cells, _, _ in chip.batches] or [np.zeros(0, int)])


def check_all(chip: KeepingChip, limits: Limits, *, forming: bool) -> None:
    """Every pulse that reached a chip is within the limits, seen all together."""
    for bias in Bias:
        of_kind = [pulses.amplitude_v[pulses.bias == bias] for _, pulses, _ in chip.batches]
        amplitude_v = np.concatenate([*of_kind, np.zeros(0)])
        assert ((amplitude_v >= 0) & (amplitude_v <= voltage_of(limits, bias))).all()
        assert (amplitude_v * IN_A_PULSE * 1e-6 <= limits.cell_current_max_a * (1 + 1e-6)).all()
        assert bias != Bias.FORM or forming or not len(amplitude_v)
    for _, pulses, _ in chip.batches:
        assert np.isin(pulses.bias, [int(bias) for bias in Bias]).all()
    gate_v = np.concatenate([pulses.gate_v for _, pulses, _ in chip.batches] or [np.zeros(0)])
    width_ns = np.concatenate([pulses.width_ns for _, pulses, _ in chip.batches] or [np.full(1, limits.width_min_ns)])
    assert ((gate_v >= 0) & (gate_v <= limits.gate_max_v)).all()
    assert ((width_ns >= limits.width_min_ns) & (width_ns <= limits.width_max_ns)).all()


def check_never_wider(rng: np.random.Generator) -> None:
    """Any limit set to any number, twice over: it is refused, or it is tighter than what was there."""
    limits = small_profile(limits=generated_limits(rng)).limits
    for name in rng.permutation(NAMES).tolist():
        hard = getattr(limits, name)
        odd = [math.nan, math.inf, -math.inf, -hard, math.nextafter(hard, math.inf), 2 * hard, hard, 0.0]
        value = float(rng.choice([*odd, *(hard * rng.uniform(0.0, 1.5, 6))]))
        fine = value >= hard and value < math.inf if name == "width_min_ns" else 0.0 <= value <= hard
        try:
            found = tightened(limits, **{name: value})
        except LimitError:
            assert not fine, (name, value, hard)
            continue
        assert fine, (name, value, hard)
        assert dataclasses.replace(found, **{name: hard}) == limits
        limits = found


def sent(seed: int, blocks: int, count: int) -> tuple[int, int]:
    """Many batches under many limits."""
    rng = np.random.default_rng(seed)
    found = [fired(rng, count) for _ in range(blocks)]
    return sum(reached for reached, _ in found), sum(number for _, number in found)


def test_no_batch_beyond_a_limit_reaches_the_chip_and_every_other_does() -> None:
    reached, number = sent(1, 40, 200)
    assert 0.1 * number < reached < 0.9 * number


def test_limits_are_only_ever_tightened() -> None:
    rng = np.random.default_rng(2)
    for _ in range(300):
        check_never_wider(rng)


@pytest.mark.long
def test_no_batch_of_a_million_beyond_a_limit_reaches_the_chip() -> None:
    reached, number = sent(3, 1000, 1000)
    print(json.dumps({"batches": number, "reached": reached, "beyond_a_limit": 0}))
    assert number == 1_000_000
    assert 0.1 * number < reached < 0.9 * number
    rng = np.random.default_rng(4)
    for _ in range(20_000):
        check_never_wider(rng)
