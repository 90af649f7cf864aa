"""Fresh reads of a chip, spread over time: what verify, read and export build on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from memprog.chip import FloatArray, Mask, Status
from memprog.jobs.setup import Part
from memprog.protocol import Look
from memprog.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Readings of the cells of a part, in its order: (looks, n) conductance and deviation in uS, NaN where unread.

    ``clamped`` (n,) tells the cells that were beyond the converter's range in any look.
    """

    readback_usiemens: FloatArray
    noise_usiemens: FloatArray
    clamped: Mask
    span_s: float
    samples: int


def spread_looks(
    session: Session, part: Part, *, looks: int, samples: int, span_s: float, after: Callable[[int], None]
) -> Looks:
    """Look several times at every cell, all arrays in turn, so that the looks span at least so many seconds.

    ``after`` is called with the number of looks done.
    """
    readback, noise = np.full((looks, part.cells), np.nan), np.full((looks, part.cells), np.nan)
    clamped = np.zeros(part.cells, dtype=bool)
    addresses = list(zip(part.addresses(), part.slices(), strict=True))
    start_s = session.clock_s()
    for k in range(looks):
        due_s = start_s + span_s * k / max(looks - 1, 1)
        session.wait(max(due_s - session.clock_s(), 0.0))
        for (_, cells), here in addresses:
            look = Look(stage="verify", cells=np.arange(len(cells)), samples=samples, interval_s=0.0)
            seen = session.look(cells, look)
            readback[k, here], noise[k, here] = seen.readback_usiemens, seen.noise_usiemens
            clamped[here] |= seen.status == Status.CLAMPED
        after(k + 1)
    return Looks(
        readback_usiemens=readback,
        noise_usiemens=noise,
        clamped=clamped,
        span_s=session.clock_s() - start_s,
        samples=looks * samples,
    )
