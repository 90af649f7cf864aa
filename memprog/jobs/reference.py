"""Run a write-verify loop on a simulated chip without a journal: a published one, or memprog's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memprog.chip import Cells, Chip, FloatArray, IntArray, ReadSpec, Status, conductance_usiemens
from memprog.errors import LimitError
from memprog.profile import ChipProfile
from memprog.protocol import Loop
from memprog.protocol.reference import Reference
from memprog.session import Session
from memprog.session.plan import most_read_a, read_groups

MOST_ROUNDS = 10_000
"""A loop that does not end by itself is ended here (assumption: ten times the largest budget)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a loop ended: looks it took, and chip time from the first to the last."""

    rounds: int
    chip_time_s: float


def read_spec(chip: Chip, profile: ChipProfile, cells: Cells, samples: int = 1) -> ReadSpec:
    """The profile's ordinary read, as many cells of a row at a time as the chip can sense."""
    readout = profile.readout
    return ReadSpec(
        read_v=readout.read_v,
        gate_v=readout.read_gate_v,
        aperture_ns=readout.aperture_ns,
        settle_ns=readout.settle_ns,
        samples=samples,
        group=_groups(chip, profile, cells),
    )


def read_usiemens(chip: Chip, cells: Cells, spec: ReadSpec) -> FloatArray:
    """Conductance of cells (n,) in uS: infinite where the converter clamped, NaN where they could not be read."""
    reading = chip.read(cells, spec)
    found = conductance_usiemens(reading.current_a, reading.offset_a, reading.sense_v)
    return np.where(reading.status == Status.CLAMPED, np.inf, found)


def run_reference(chip: Chip, profile: ChipProfile, cells: Cells, loop: Reference) -> Ended:
    """Run a loop over all its cells at once, batch by batch, until none is open.

    Pulses go to the chip as the loop wants them, without a session and its limits, so no silicon may be behind it.

    Args:
        chip: simulated.
        profile: of the chip.
        cells: (n,) in the order of the loop's targets.
        loop: fresh, or where it was left.

    Raises:
        LimitError: the chip is not a simulated one.
    """
    _refuse_silicon(chip)
    began_s, rounds = chip.clock_s(), 0
    while len(at := loop.open_cells()) and rounds < MOST_ROUNDS:
        here = cells.take(at)
        if loop.dropped:
            chip.read(here, read_spec(chip, profile, here, loop.dropped))
        readback = read_usiemens(chip, here, read_spec(chip, profile, here, loop.samples - loop.dropped))
        shots = loop.take(at, readback)
        if shots is not None:
            chip.pulse(cells.take(shots.cells), shots.pulses, (chip.last_batch_id() or 0) + 1)
        rounds += 1
    return Ended(rounds=rounds, chip_time_s=chip.clock_s() - began_s)


def run_own(chip: Chip, profile: ChipProfile, cells: Cells, loop: Loop) -> Ended:
    """Run memprog's own loop over cells of one array in its order, within the profile's limits, and leave no record.

    Raises:
        LimitError: the chip is not a simulated one, or a pulse is beyond a limit.
    """
    _refuse_silicon(chip)
    session, began_s = Session(chip, profile), chip.clock_s()
    session.expect(cells, loop.target_usiemens)
    while (look := loop.next_look()) is not None:
        seen = session.look(cells.take(look.cells), look)
        for shots in loop.take(look, seen):
            here = cells.take(shots.cells)
            session.check_pulses(here, shots.pulses)
            chip.pulse(here, shots.pulses, (chip.last_batch_id() or 0) + 1)
    loop.finish()
    return Ended(rounds=loop.rounds, chip_time_s=chip.clock_s() - began_s)


def _refuse_silicon(chip: Chip) -> None:
    if not chip.identity.simulated:
        raise LimitError("pulses that nobody records go to simulated chips only; nothing was applied")


def _groups(chip: Chip, profile: ChipProfile, cells: Cells) -> IntArray:
    """Number the cells that are sensed together, as if each conducted the most that any can."""
    expected_a = np.full(len(cells), most_read_a(profile))
    return read_groups(cells, expected_a, chip.geometry, chip.capabilities)
