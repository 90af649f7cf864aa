"""Compare the simulated physics with what was published, fact by fact: the job behind ``memprog physics check``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from memprog.errors import InputError
from memprog.jobs.physics_check import cmo, neurram, phase_field, product, silicon, telegraph, transport
from memprog.jobs.progress import Listener, Progress, ignore
from memprog.report.check import CheckReport, CheckRow

__all__ = ["GROUPS", "NOT_MODELLED", "check_physics"]

GROUPS: Mapping[str, Callable[[int, Path], Iterator[CheckRow]]] = {
    "transport": transport.rows,
    "phase-field": phase_field.rows,
    "rtn": telegraph.rows,
    "silicon": silicon.rows,
    "neurram": neurram.rows,
    "cmo": cmo.rows,
    "mx100": product.rows,
}
"""By name what gives a group's rows, from a seed and a folder for the files of its chips."""
NOT_MODELLED = (
    "Mains hum: a sample of the measured traces scatters by 0.086 uS, by 0.051 without it; no simulated chip hums.",
    "How telegraph noise grows from 0.1 to 4 mS is not published: the law and its cap are assumptions of the profiles.",
)
"""Published behaviour that no row can be about."""


def check_physics(
    *, only: Sequence[str] = (), seed: int = 0, folder: Path | None = None, listener: Listener | None = None
) -> CheckReport:
    """Obtain every figure anew and put it beside the published one; a minute or so.

    Args:
        only: names of groups; all by default.
        seed: what chips, maps and inputs are drawn from.
        folder: where the simulated chips' files go; by default one that is gone afterwards.
        listener: who hears of each group.

    Raises:
        InputError: there is no such group.
    """
    for name in only:
        if name not in GROUPS:
            raise InputError(f"there is no group '{name}' of published facts, only {', '.join(GROUPS)}")
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="memprog-check-") as temporary:
            return check_physics(only=only, seed=seed, folder=Path(temporary), listener=listener)
    begun_s = time.monotonic()
    names = [name for name in GROUPS if not only or name in only]
    rows: list[CheckRow] = []
    for count, name in enumerate(names, start=1):
        rows += GROUPS[name](seed, folder)
        share = count / len(names)
        told = Progress(kind="round", stage=f"check: {name}", cells=len(rows), rounds=count, fraction=share)
        (listener or ignore)(told)
    inside = sum(row.inside for row in rows)
    return CheckReport(
        simulated=True,
        seed=seed,
        groups=names,
        rows=rows,
        rows_inside=inside,
        passed=inside == len(rows),
        not_modelled=NOT_MODELLED,
        host_time_s=time.monotonic() - begun_s,
    )
