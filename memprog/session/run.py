"""Carry the closed loop out on one array: what it decides, the session does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memprog.chip import Cells, FloatArray, IntArray, Mask, StatusArray
from memprog.errors import InputError
from memprog.profile import ChipProfile
from memprog.protocol import Loop, Reason, largest_step
from memprog.session.blobs import Blob, once
from memprog.session.entries import Batch
from memprog.session.replay import follow
from memprog.session.session import Session

START = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayOutcome:
    """What the loop says of one array; masks and counts are (rows, columns), zero where nothing was programmed."""

    array: int
    programmed: Mask
    done: Mask
    reason: NDArray[np.uint8]
    pulses: NDArray[np.int64]
    denoise_pulses: NDArray[np.int64]
    samples: NDArray[np.int64]
    readback_usiemens: FloatArray
    rounds: int
    chip_time_s: float

    def blob(self) -> dict[str, NDArray[Any]]:
        """Pack it for the journal."""
        counts = {name: getattr(self, name).astype(np.uint32) for name in ("pulses", "denoise_pulses", "samples")}
        return counts | {
            "programmed": self.programmed,
            "done": self.done,
            "reason": self.reason,
            "readback_usiemens": self.readback_usiemens.astype(np.float32),
            "rounds": np.array([self.rounds]),
            "chip_time_s": np.array([self.chip_time_s]),
        }

    @classmethod
    def of(cls, array: int, blob: Blob) -> Self:
        """Unpack what the journal holds of an array that is finished.

        Raises:
            InputError: it is not whole.
        """
        try:
            counts = {name: blob[name].astype(np.int64) for name in ("pulses", "denoise_pulses", "samples")}
            return cls(
                array=array,
                programmed=blob["programmed"],
                done=blob["done"],
                reason=blob["reason"],
                readback_usiemens=blob["readback_usiemens"].astype(np.float64),
                rounds=int(blob["rounds"][0]),
                chip_time_s=float(blob["chip_time_s"][0]),
                **counts,
            )
        except (KeyError, IndexError) as error:
            raise InputError(f"the journal's verdict on array {array} is not whole: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What the loop starts an array with; the journal keeps it, so that a replay starts the same.

    ``known`` (n,) is a Reason for each cell that is not worth trying, 0 for the others; ``budget`` (n,) the pulses
    after which a cell is given up; ``later_s`` how long after this array the whole job ends: cells are aimed to be in
    their windows then.
    """

    denoise: bool
    full: bool
    later_s: float
    budget: IntArray
    known: StatusArray

    def blob(self) -> dict[str, NDArray[Any]]:
        """Pack it for the journal."""
        return {
            "denoise": np.array([self.denoise]),
            "full": np.array([self.full]),
            "later_s": np.array([self.later_s]),
            "budget": once(self.budget.astype(np.uint32)),
            "known": self.known,
        }

    @classmethod
    def of(cls, blob: Blob) -> Self:
        """Unpack it.

        Raises:
            InputError: it is not whole.
        """
        try:
            return cls(
                denoise=bool(blob["denoise"][0]),
                full=bool(blob["full"][0]),
                later_s=float(blob["later_s"][0]),
                budget=np.broadcast_to(blob["budget"].astype(np.int64), blob["known"].shape),
                known=blob["known"],
            )
        except (KeyError, IndexError, ValueError) as error:
            raise InputError(f"the journal's start of an array is not whole: {error}") from error


Watch = Callable[[str, Loop], None]
"""Called after every round with the stage and the loop."""


def program_array(
    session: Session,
    profile: ChipProfile,
    array: int,
    target_usiemens: FloatArray,
    *,
    denoise: bool = True,
    full: bool = False,
    later_s: float = 0.0,
    known: StatusArray | None = None,
    history: Iterable[Batch] = (),
    watch: Watch | None = None,
) -> ArrayOutcome:
    """Program one array: target (rows, columns) in uS, NaN cells are left alone.

    ``known`` (n,) in the order of the cells and ``later_s`` are those of Start. ``history`` is what the journal holds
    of this array, in order, when a run is taken up again; how it started then counts. It is read once, batch by batch.

    Raises:
        LimitError: a pulse was refused by a limit; what was done before is in the journal.
        InstrumentError: the chip or the wire to it failed.
        InputError: the history is not that of this loop.
    """
    programmed = ~np.isnan(target_usiemens)
    cells = Cells.from_mask(array, programmed)
    batches = iter(history)
    begun = next((batch for batch in batches if batch.kind == START and batch.outcome is not None), None)
    if begun is None or begun.outcome is None:
        known = np.zeros(len(cells), dtype=np.uint8) if known is None else known
        budget = _budget(session, profile, cells)
        start = Start(denoise=denoise, full=full, later_s=later_s, budget=budget, known=known)
        start_s = session.clock_s()
        session.note(array, START, start.blob())
    else:
        start, start_s = Start.of(begun.intent), float(begun.outcome["time_s"][0])
    loop = _loop_of(session, profile, target_usiemens[programmed], start)
    session.expect(cells, loop.target_usiemens)
    if begun is not None:
        follow(loop, cells, batches, session)
    _run(session, loop, cells, watch)
    return _outcome(array, programmed, loop, session.clock_s() - start_s)


def _budget(session: Session, profile: ChipProfile, cells: Cells) -> IntArray:
    """Pulses (n,) after which cells are given up, so that no step ends at a limit."""
    room = session.pulses_left(cells) - largest_step(profile.protocol)
    return np.clip(room, 0, profile.protocol.pulse_budget)


def _loop_of(session: Session, profile: ChipProfile, target_usiemens: FloatArray, start: Start) -> Loop:
    within = dataclasses.replace(profile, limits=session.limits)
    if len(start.known) != len(target_usiemens):
        raise InputError("the journal's start of an array is about other cells")
    return Loop(
        target_usiemens,
        within,
        denoise=start.denoise,
        later_s=start.later_s,
        full=start.full,
        known=start.known,
        budget=start.budget,
    )


def _run(session: Session, loop: Loop, cells: Cells, watch: Watch | None) -> None:
    while (look := loop.next_look()) is not None:
        seen = session.look(cells.take(look.cells), look)
        for shots in loop.take(look, seen):
            session.fire(cells.take(shots.cells), shots.pulses)
        if watch is not None:
            watch(look.stage, loop)
    loop.finish()


def _outcome(array: int, programmed: Mask, loop: Loop, chip_time_s: float) -> ArrayOutcome:
    def spread(values: np.ndarray, fill: float = 0) -> np.ndarray:
        whole = np.full(programmed.shape, fill, dtype=values.dtype)
        whole[programmed] = values
        return whole

    return ArrayOutcome(
        array=array,
        programmed=programmed,
        done=spread(loop.done),
        reason=spread(np.where(loop.done, int(Reason.NONE), loop.reason).astype(np.uint8)),
        pulses=spread(loop.pulses),
        denoise_pulses=spread(loop.denoise_pulses),
        samples=spread(loop.samples),
        readback_usiemens=spread(loop.readback_usiemens, np.nan),
        rounds=loop.rounds,
        chip_time_s=chip_time_s,
    )


def masks_of(parts: Iterable[Batch], shape: tuple[int, int]) -> dict[int, Mask]:
    """Cells (rows, columns) of each array that a run is about, as its parts in the journal say.

    Raises:
        InputError: a part that does not fit the arrays.
    """
    cells = shape[0] * shape[1]
    masks = {}
    for part in parts:
        bits = part.intent.get("cells")
        if bits is None or bits.dtype != np.uint8 or bits.shape != (-(-cells // 8),):
            raise InputError(f"the journal does not say which cells of array {part.array} its run is about")
        masks[part.array] = np.unpackbits(bits, count=cells).astype(bool).reshape(shape)
    return masks


def part_blob(mask: Mask) -> dict[str, NDArray[Any]]:
    """Pack the cells of one array that a run is about."""
    return {"cells": np.packbits(mask.ravel())}
