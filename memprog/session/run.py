"""Carry the closed loop out on one array: what it decides, the session does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from memprog.chip import Cells, FloatArray, Mask
from memprog.profile import ChipProfile
from memprog.protocol import Loop, Reason
from memprog.session.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayOutcome:
    """What the loop says of one array; masks and counts are (rows, columns), zero where nothing was programmed."""

    array: int
    programmed: Mask
    done: Mask
    reason: np.ndarray
    pulses: np.ndarray
    denoise_pulses: np.ndarray
    samples: np.ndarray
    readback_usiemens: FloatArray
    rounds: int
    chip_time_s: float


Watch = Callable[[str, Loop], None]
"""Called after every round with the stage and the loop."""


def program_array(
    session: Session,
    profile: ChipProfile,
    array: int,
    target_usiemens: FloatArray,
    *,
    denoise: bool = True,
    later_s: float = 0.0,
    watch: Watch | None = None,
) -> ArrayOutcome:
    """Program one array: target (rows, columns) in uS, NaN cells are left alone.

    ``later_s`` is how long after this array the whole job ends: cells are aimed to be in their windows then.

    Raises:
        LimitError: a pulse was refused by a limit; what was done before is in the journal.
        InstrumentError: the chip or the wire to it failed.
    """
    programmed = ~np.isnan(target_usiemens)
    cells = Cells.from_mask(array, programmed)
    settings = profile.protocol
    # The last step of a cell may be a switching pulse and a denoising.
    most = max(session.limits.pulses_per_cell_run - settings.sub_threshold_pulses - 1, 0)
    settings = dataclasses.replace(settings, pulse_budget=min(settings.pulse_budget, most))
    within = dataclasses.replace(profile, limits=session.limits, protocol=settings)
    session.begin(array, {"later_s": later_s, "denoise": float(denoise), "pulse_budget": settings.pulse_budget})
    loop = Loop(target_usiemens[programmed], within, denoise=denoise, later_s=later_s)
    session.expect(cells, loop.target_usiemens)
    start_s = session.chip.clock_s()
    while (look := loop.next_look()) is not None:
        seen = session.look(cells.take(look.cells), look)
        for shots in loop.take(look, seen):
            session.fire(cells.take(shots.cells), shots.pulses)
        if watch is not None:
            watch(look.stage, loop)
    loop.finish()
    return _outcome(array, programmed, loop, session.chip.clock_s() - start_s)


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
