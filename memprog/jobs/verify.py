"""Verify a programmed chip against its image, by reads of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from memprog.analysis.verdict import Verdict, effective_bits, judge_looks, window_floor_usiemens
from memprog.errors import LimitError, ProfileError
from memprog.jobs.chips import SIM, chip_facts, name_after, reading
from memprog.jobs.looks import Looks, spread_looks
from memprog.jobs.progress import Listener, Progress, ignore
from memprog.jobs.setup import Part, check_on_chip, choose, open_image, utc_now
from memprog.jobs.workspace import Workspace
from memprog.profile import ChipProfile
from memprog.protocol import Reason
from memprog.report.verify import VerifyReport
from memprog.session import Journal, Session

LOOKS = 12
SPAN_S = 100.0
"""The definition of "in the window" asks about 100 s; the looks are spread over as long."""
FIRST_FAILURES = 10


def verify(
    workspace: Workspace,
    *,
    profile: str | None = None,
    backend: str = SIM,
    arrays: Sequence[int] | None = None,
    window_usiemens: float | None = None,
    min_yield: float | None = None,
    expect_serial: str | None = None,
    timeout_s: float = 0.0,
    listener: Listener | None = None,
    argv: Sequence[str] = (),
) -> VerifyReport:
    """Compare the chip with the image, by twelve looks at every cell spread over 100 s of chip time.

    Raises:
        InputError: no image, no chip, or they do not belong together.
        LimitError: the window is finer than this bench can certify.
        InstrumentError: the chip could not be read: that is not "differs".
    """
    image, kind = open_image(workspace, profile)
    part = choose(image, arrays)
    with reading(
        workspace, kind, backend=backend, expect_serial=expect_serial, timeout_s=timeout_s, label="memprog verify"
    ) as session:
        check_on_chip(part, session.geometry)
        return verify_part(
            session,
            kind,
            part,
            image_sha256=image.sha256,
            reasons=known_reasons(workspace, part, image.sha256, session),
            window_usiemens=window_usiemens,
            min_yield=min_yield,
            listener=listener,
            argv=argv,
        )


def verify_part(
    session: Session,
    kind: ChipProfile,
    part: Part,
    *,
    image_sha256: str,
    reasons: np.ndarray,
    window_usiemens: float | None = None,
    min_yield: float | None = None,
    listener: Listener | None = None,
    argv: Sequence[str] = (),
) -> VerifyReport:
    """Compare a chip that a session holds with targets; reasons (n,) are what the last run said of the cells."""
    window = kind.levels.window_usiemens if window_usiemens is None else window_usiemens
    samples, floor = _samples(kind), check_window(kind, window_usiemens)
    utc, heard = utc_now(), _Heard(listener or ignore, part)
    looks = spread_looks(session, part, looks=LOOKS, samples=samples, span_s=SPAN_S, after=heard.after)
    target = np.concatenate(part.targets_usiemens)
    sample_floor = kind.readout.sample_noise_usiemens(target)
    verdict = judge_looks(looks.readback_usiemens - target, looks.noise_usiemens, sample_floor, window)
    in_window = int(verdict.in_window.sum())
    least = kind.levels.min_yield if min_yield is None else min_yield
    return VerifyReport(
        simulated=session.identity.simulated,
        chip=chip_facts(session.identity),
        profile=kind.name,
        profile_sha256=kind.sha256,
        image_sha256=image_sha256,
        utc=utc,
        argv=list(argv),
        limits=dataclasses.asdict(session.limits),
        cells=part.cells,
        cells_in_window=in_window,
        cells_unread=int(np.isnan(verdict.error_usiemens).sum()),
        yield_fraction=in_window / part.cells,
        min_yield=least,
        passed=in_window / part.cells >= least,
        window_usiemens=window,
        window_floor_usiemens=floor,
        noise_span_s=looks.span_s,
        levels=kind.levels.count,
        stuck_cells=int(np.isin(reasons, (Reason.STUCK_HIGH, Reason.STUCK_LOW)).sum()),
        fluctuating_cells=int(verdict.fluctuating.sum()),
        first_failures=_failures(part, target, looks, verdict, reasons),
        arrays=_arrays(part, verdict),
        **_statistics(verdict, kind),
    )


def check_window(kind: ChipProfile, window_usiemens: float | None = None) -> float:
    """Refuse a window, by default the profile's, that no verify could certify; gives the smallest one in uS.

    Raises:
        ProfileError: it is the profile's; names the number that can be certified. Nothing was applied.
        LimitError: the same of a window that was asked for.
    """
    window = kind.levels.window_usiemens if window_usiemens is None else window_usiemens
    floor = window_floor_usiemens(kind.readout, kind.levels.max_usiemens, LOOKS * _samples(kind))
    if window >= floor:
        return floor
    sentence = f"a window of {window:g} uS cannot be certified on this bench; {floor:.3g} uS can; nothing was applied"
    raise LimitError(sentence) if window_usiemens is not None else ProfileError(f"profile {kind.name}: {sentence}")


def _samples(kind: ChipProfile) -> int:
    """Samples of one look."""
    return max(kind.protocol.check_samples // 2, 2)


def known_reasons(workspace: Workspace, part: Part, image_sha256: str, session: Session) -> np.ndarray:
    """What the last run that programmed a cell said of it, (n,): runs of this image on this chip; NONE without one."""
    reasons = np.zeros(part.cells, dtype=np.uint8)
    # Equal seeds make equal serials: a chip that was never pulsed has no past, whatever the journal says.
    if session.last_batch_id() is None or not workspace.journal_path.exists():
        return reasons
    with contextlib.closing(Journal.reading(workspace.journal_path)) as journal:
        name = name_after(journal, session.identity.serial, session.identity.unit, session.last_batch_id())
        for run in reversed(journal.runs(name)):
            if run.image_sha256 == image_sha256:
                _take_reasons(reasons, journal, run.run_id, part)
    return reasons


def _take_reasons(reasons: np.ndarray, journal: Journal, run_id: str, part: Part) -> None:
    """Put what one run said in the place of what was said before; it is silent on cells it did not program."""
    for array, mask, here in zip(part.arrays, part.masks, part.slices(), strict=True):
        cells = journal.cells_of(run_id, array)
        if cells is not None:
            done, reason = cells["done"][mask], cells["reason"][mask]
            reasons[here] = np.where(done | (reason != Reason.NONE), reason, reasons[here])


def _statistics(verdict: Verdict, kind: ChipProfile) -> dict[str, float]:
    """Error and noise over the cells that could be read; NaN, shown as null, where there is none."""
    error = verdict.error_usiemens[np.isfinite(verdict.error_usiemens)]
    noise = verdict.noise_usiemens[np.isfinite(verdict.noise_usiemens)]
    nothing = np.array([np.nan])
    error, noise = (error, noise) if len(error) else (nothing, nothing)
    std = float(error.std())
    return {
        "error_mean_usiemens": float(error.mean()),
        "error_std_usiemens": std,
        "error_max_usiemens": float(np.abs(error).max()),
        "noise_median_usiemens": float(np.median(noise)),
        "noise_p99_usiemens": float(np.quantile(noise, 0.99)),
        "effective_bits": effective_bits(std, kind.levels.max_usiemens - kind.levels.min_usiemens),
    }


def _arrays(part: Part, verdict: Verdict) -> list[Mapping[str, Any]]:
    """What was found in each array."""
    found: list[Mapping[str, Any]] = []
    for array, here in zip(part.arrays, part.slices(), strict=True):
        inside, unread = verdict.in_window[here], np.isnan(verdict.error_usiemens[here])
        counts = {"cells": len(inside), "cells_in_window": int(inside.sum()), "cells_unread": int(unread.sum())}
        found.append({"array": array, **counts, "yield_fraction": float(inside.mean())})
    return found


def _failures(
    part: Part, target: np.ndarray, looks: Looks, verdict: Verdict, reasons: np.ndarray
) -> list[Mapping[str, Any]]:
    """The first cells outside their window, by array, row and column."""
    addresses = [cells for _, cells in part.addresses()]
    array, row, column = (
        np.concatenate([getattr(cells, name) for cells in addresses]) for name in ("array", "row", "column")
    )
    return [
        {
            "array": int(array[k]),
            "row": int(row[k]),
            "column": int(column[k]),
            "target_usiemens": float(target[k]),
            "readback_usiemens": float(looks.readback_usiemens[:, k].mean()),
            "error_usiemens": float(verdict.error_usiemens[k]),
            "noise_usiemens": float(verdict.noise_usiemens[k]),
            "reason": _reason(int(reasons[k]), verdict, k),
        }
        for k in np.flatnonzero(~verdict.in_window)[:FIRST_FAILURES].tolist()
    ]


def _reason(known: int, verdict: Verdict, k: int) -> str:
    """Why a cell is outside: what the programming run said, else what these reads show."""
    if known:
        return Reason(known).name.lower()
    if np.isnan(verdict.error_usiemens[k]):
        return "unread"
    return "fluctuating" if verdict.fluctuating[k] else "off target"


class _Heard:
    """Turns finished looks into progress."""

    def __init__(self, listener: Listener, part: Part) -> None:
        self._listener, self._part, self._start_s = listener, part, time.monotonic()

    def after(self, looks: int) -> None:
        """Tell that another look at all cells is done."""
        self._listener(
            Progress(
                kind="round",
                array=self._part.arrays[-1],
                arrays=len(self._part.arrays),
                stage="verify",
                cells=self._part.cells,
                rounds=looks,
                host_time_s=time.monotonic() - self._start_s,
                fraction=looks / LOOKS,
            )
        )
