"""The board check: what readings alone tell of cells that are not worth a pulse.

A short conducts with its gate shut; an open cell does not with its gate open; one that was never formed next to not.
Whether a cell is stuck no reading tells: that is what the loop finds out, and the chip's record remembers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memprog.chip import Cells, Status
from memprog.profile import ChipProfile
from memprog.protocol import Look, Reason, Seen
from memprog.session.blobs import seen_of
from memprog.session.journal import Journal
from memprog.session.session import Session

SNAPSHOT, ISOLATION = "snapshot", "isolation"
"""Stages of the two looks: gate open, and gate shut."""


def look_over(session: Session, cells: Cells, profile: ChipProfile) -> tuple[Seen, Seen]:
    """Read cells of one array with the gate open, then with the gate shut."""
    at, samples = np.arange(len(cells)), profile.protocol.check_samples
    snapshot = session.look(cells, Look(stage=SNAPSHOT, cells=at, samples=samples, interval_s=0.0))
    quick = Look(stage=ISOLATION, cells=at, samples=profile.protocol.quick_samples, interval_s=0.0)
    return snapshot, session.look(cells, quick, gate_v=0.0)


def recorded_looks(journal: Journal, run_id: str, array: int) -> tuple[Seen, Seen] | None:
    """The two looks of a run at an array as its journal holds them, or None where one of them was never finished."""
    snapshot, isolation = (_last_look(journal, run_id, array, stage) for stage in (SNAPSHOT, ISOLATION))
    return None if snapshot is None or isolation is None else (snapshot, isolation)


def _last_look(journal: Journal, run_id: str, array: int, stage: str) -> Seen | None:
    batches = journal.batches(run_id, kind=f"read {stage}", array=array)
    outcomes = [batch.outcome for batch in batches if batch.outcome is not None]
    return seen_of(outcomes[-1]) if outcomes else None


def defects_of(snapshot: Seen, isolation: Seen, profile: ChipProfile) -> NDArray[np.uint8]:
    """Name the defect of each cell (n,) as a Reason, 0 where the two looks show none.

    A readout too coarse to tell an open cell from a quiet one finds neither open nor unformed cells.
    """
    settings, lsb_usiemens = profile.protocol, profile.readout.lsb_usiemens
    conducts, leaks = snapshot.readback_usiemens, isolation.readback_usiemens
    beyond = np.isin(isolation.status, (Status.CLAMPED, Status.OVER_RANGE))
    short = beyond | (leaks > max(settings.short_usiemens, 2.0 * lsb_usiemens))
    fine_enough = lsb_usiemens < settings.open_usiemens
    named = [
        snapshot.status == Status.NOT_WIRED,
        short,
        fine_enough & (conducts < settings.open_usiemens),
        fine_enough & (conducts < settings.unformed_usiemens),
    ]
    reasons = [Reason.NOT_WIRED, Reason.SHORT, Reason.OPEN, Reason.UNFORMED]
    found: NDArray[np.uint8] = np.select(named, [int(reason) for reason in reasons], 0).astype(np.uint8)
    return found
