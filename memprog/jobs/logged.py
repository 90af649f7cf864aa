"""A run whose pulses are the operator's and not the loop's: held, journalled and counted like any other, and logged.

It takes a snapshot first, so that `restore` brings back what the cells held; it cannot be taken up again, and the chip
holds no image afterwards.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import memprog
from memprog.analysis.logs import LINE_BYTES, READ, PulseLog
from memprog.analysis.tables import MAX_BYTES
from memprog.chip import Bias, Cells, FloatArray, Identity, Mask, Pulses
from memprog.errors import InputError, MemprogError
from memprog.jobs.chips import chip_facts
from memprog.jobs.holding import Held, not_begun
from memprog.jobs.progress import Listener, Progress
from memprog.jobs.setup import check_array, utc_now
from memprog.jobs.writing import Caller
from memprog.profile import ChipProfile, Limits
from memprog.protocol import Look, Seen
from memprog.session import PULSES, Allowance, Permissions, Session, check_pulses, look_over, part_blob

EVENTS_MOST = MAX_BYTES // LINE_BYTES
"""More events would make a log that cannot be read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One pulse, the same for all cells."""

    bias: Bias
    amplitude_v: float
    gate_v: float
    width_ns: int

    def pulses(self, n: int) -> Pulses:
        """Give it to n cells."""
        return Pulses(
            bias=np.full(n, int(self.bias), dtype=np.uint8),
            amplitude_v=np.full(n, self.amplitude_v),
            gate_v=np.full(n, self.gate_v),
            width_ns=np.full(n, self.width_ns, dtype=np.int64),
        )

    def words(self) -> str:
        """Say which it is."""
        return f"{self.bias.name} {self.amplitude_v:.4g} V"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What a run is to do to the cells of one array: every shot of ``shots``, in order, to each cell of ``mask``."""

    kind: str
    profile: ChipProfile
    array: int
    mask: Mask
    shots: tuple[Shot, ...]
    limits: Limits
    permissions: Permissions = field(default_factory=Permissions)
    readings: int = 0
    """Readings of each cell besides those right after a pulse."""

    @property
    def cells(self) -> Cells:
        """The cells, row by row."""
        return Cells.from_mask(self.array, self.mask)

    def check(self, held: Held) -> Errand:
        """Give the errand back if every one of its shots is within every limit that is known before a cell is read.

        Raises:
            LimitError: one is not. Nothing was applied.
            InputError: the chip has no such array, or the log would be too long to be read again.
        """
        check_array(self.array, held.chip.geometry, "; nothing was applied")
        cells = self.cells
        events = len(cells) * (len(self.shots) + self.readings + 1)
        if events > EVENTS_MOST:
            raise InputError(f"a log of {events} events is longer than the {EVENTS_MOST} that can be read again")
        spent_life = held.record.pulses[cells.array, cells.row, cells.column].astype(np.int64)
        for shot in dict.fromkeys(self.shots):
            pulses, none = shot.pulses(len(cells)), np.zeros(len(cells))
            earlier = np.full(len(cells), len(self.shots) - 1)
            check_pulses(pulses, none, earlier, spent_life + earlier, self.limits, self.permissions)
        return self

    def facts(self, utc: str, caller: Caller) -> dict[str, Any]:
        """What the journal keeps of how the run began."""
        settings = {"denoise": False, "full": False, "recheck": False, "limits": dataclasses.asdict(self.limits)}
        return {
            "kind": self.kind,
            "utc": utc,
            "image_sha256": "",
            "profile": self.profile.name,
            "profile_sha256": self.profile.sha256,
            "memprog_version": memprog.__version__,
            "argv": list(caller.argv),
            "configuration": dict(caller.configuration),
            "settings": settings | {"forming": self.permissions.forming, "shots": len(self.shots)},
            "cells": int(self.mask.sum()),
            "arrays": [self.array],
            "restores": "",
        }

    def told(self, held: Held, run: LoggedRun | None, utc: str, caller: Caller) -> dict[str, Any]:
        """Fields that the reports of all errands share; without a run it is a dry one."""
        cells = int(self.mask.sum())
        return {
            "run_id": "" if run is None else run.run_id,
            "simulated": held.chip.identity.simulated,
            "chip": chip_facts(held.chip.identity),
            "profile": self.profile.name,
            "profile_sha256": self.profile.sha256,
            "utc": utc,
            "argv": list(caller.argv),
            "dry_run": run is None,
            "limits": dataclasses.asdict(self.limits),
            "array": self.array,
            "cells": cells,
            "pulses_planned": cells * len(self.shots),
            "pulses_total": 0 if run is None else run.pulses_total,
            "events": 0 if run is None else run.events,
            "chip_time_s": 0.0 if run is None else run.chip_time_s,
            "host_time_s": 0.0 if run is None else run.host_time_s,
        }


class LoggedRun:
    """One run of an errand on a chip that is held."""

    def __init__(self, held: Held, errand: Errand, allowance: Allowance, *, listener: Listener, caller: Caller) -> None:
        self._held, self._errand, self._allowance = held, errand, allowance
        self._listener, self._caller = listener, caller
        self.run_id = uuid.uuid4().hex[:12]
        self.cells = errand.cells
        self.pulses_total = 0
        self.shots_given = 0
        self.held_back: Mask = np.zeros(len(self.cells), dtype=bool)
        self.first_usiemens, self.last_usiemens = (np.full(len(self.cells), np.nan) for _ in range(2))
        self._events: list[dict[str, NDArray[Any]]] = []
        self._start_s, self._chip_start_s = time.monotonic(), held.chip.clock_s()
        self._told = Progress(kind="round", run_id=self.run_id, array=errand.array, cells=len(self.cells))

    @property
    def host_time_s(self) -> float:
        """Host seconds since the run was made."""
        return time.monotonic() - self._start_s

    @property
    def chip_time_s(self) -> float:
        """Chip seconds since the run was made."""
        return self._held.chip.clock_s() - self._chip_start_s

    @contextlib.contextmanager
    def under_way(self, utc: str) -> Iterator[Session]:
        """Check the shots against what the cells conduct, begin the run, and end it, whichever way the block ends.

        Raises:
            LimitError: a shot would be too much for a cell as it is; no run has begun, and nothing was applied.
        """
        with self._session() as session:
            self._refuse_too_much()
            self._begin(utc)
            try:
                self._forget_image()
                snapshot, _ = look_over(session, self.cells, self._errand.profile)
                self._note_read(snapshot, np.arange(len(self.cells)))
                yield session
            except BaseException:
                self._record_stop()
                raise
            finally:
                self._held.update_record()
            self._held.journal.end_run(self.run_id, "finished", self._summary())

    def give(self, session: Session, shot: Shot, fraction: float, *, samples: int | None = None) -> Seen | None:
        """Give a shot to every cell that can bear it, and read those right after; None where there was none.

        ``fraction`` is what of the run is done by then. A cell that conducts so much by now that the shot is beyond a
        limit is left out, and counts as held back.
        """
        at = np.flatnonzero(session.bearable(self.cells, shot.pulses(len(self.cells))))
        missing = np.ones(len(self.cells), dtype=bool)
        missing[at] = False
        self.held_back |= missing
        self.shots_given += 1
        if len(at) == 0:
            return None
        some = self.cells.take(at)
        delivered = session.fire(some, shot.pulses(len(at)))
        self.pulses_total += len(at)
        count = self._errand.profile.protocol.quick_samples if samples is None else samples
        look = Look(stage=self._errand.kind, cells=at, samples=count, interval_s=0.0)
        seen = session.look(some, look)
        self._note(at, int(shot.bias), delivered.amplitude_v, shot.gate_v, shot.width_ns, seen, delivered.time_s)
        self._tell(shot.words(), fraction)
        return seen

    def read(self, session: Session, fraction: float, *, samples: int, wait_s: float = 0.0) -> Seen:
        """Read every cell after waiting, and log it."""
        at = np.arange(len(self.cells))
        look = Look(stage=self._errand.kind, cells=at, samples=samples, interval_s=0.0, wait_s=wait_s)
        seen = session.look(self.cells, look)
        self._note_read(seen, at)
        self._tell("read", fraction)
        return seen

    def log(self) -> PulseLog:
        """Everything that happened so far."""
        columns = {name: np.concatenate([event[name] for event in self._events]) for name in _COLUMNS}
        at = columns.pop("at")
        return PulseLog(
            cells=self.cells.take(at), facts=log_facts(self._held.chip.identity, self._errand.profile), **columns
        )

    @property
    def events(self) -> int:
        """Number of events so far."""
        return sum(len(event["at"]) for event in self._events)

    def _session(self) -> Session:
        return Session(
            self._held.chip,
            self._errand.profile,
            journal=self._held.journal,
            run_id=self.run_id,
            permissions=self._errand.permissions,
            limits=self._errand.limits,
            allowance=self._allowance,
            spent_life=self._held.record.pulses.astype(np.int64),
        )

    def _refuse_too_much(self) -> None:
        """Look at the cells before there is a run, so that what is refused leaves no run behind."""
        looking = Session(
            self._held.chip,
            self._errand.profile,
            permissions=self._errand.permissions,
            limits=self._errand.limits,
            spent_life=self._held.record.pulses.astype(np.int64),
        )
        quick = self._errand.profile.protocol.quick_samples
        looking.look(self.cells, Look(stage="check", cells=np.arange(len(self.cells)), samples=quick, interval_s=0.0))
        if self._errand.kind != PULSES:
            return
        for shot in dict.fromkeys(self._errand.shots):
            looking.check_pulses(self.cells, shot.pulses(len(self.cells)), earlier=len(self._errand.shots) - 1)

    def _begin(self, utc: str) -> None:
        held, facts = self._held, self._errand.facts(utc, self._caller)
        given_up = held.unfinished()
        with not_begun():
            held.journal.start_run(
                self.run_id,
                chip=held.name,
                facts=facts | {"last_batch": held.chip.last_batch_id(), "held": held.holds()},
                parts={self._errand.array: part_blob(self._errand.mask)},
                supersedes=None if given_up is None else given_up.run_id,
                disowns=held.former,
            )

    def _forget_image(self) -> None:
        """Say on disk, before the first pulse, that the image is gone: a process that is killed cannot any more."""
        self._held.record.holds = ""
        self._held.record.write(self._held.record_path)

    def _record_stop(self) -> None:
        with contextlib.suppress(MemprogError, OSError):
            self._held.journal.end_run(self.run_id, "stopped", self._summary())
            self._listener(
                dataclasses.replace(
                    self._told,
                    kind="stopped",
                    stage="stopped",
                    pulses_per_cell=self.pulses_total / len(self.cells),
                    host_time_s=self.host_time_s,
                )
            )

    def _summary(self) -> dict[str, Any]:
        pulses = self._held.journal.pulses(self.run_id)
        return {"cells": len(self.cells), "pulses_total": pulses, "ended_utc": utc_now()}

    def _note_read(self, seen: Seen, at: NDArray[np.int64]) -> None:
        readout = self._errand.profile.readout
        read_v = np.full(len(at), readout.read_v)
        self._note(at, READ, read_v, readout.read_gate_v, readout.aperture_ns, seen, seen.time_s)

    def _note(
        self,
        at: NDArray[np.int64],
        bias: int,
        amplitude_v: FloatArray,
        gate_v: float,
        width_ns: int,
        seen: Seen,
        time_s: float,
    ) -> None:
        n = len(at)
        if not self._events:
            self.first_usiemens[at] = seen.readback_usiemens
        self.last_usiemens[at] = seen.readback_usiemens
        self._events.append(
            {
                "at": at,
                "bias": np.full(n, bias, dtype=np.uint8),
                "amplitude_v": amplitude_v,
                "gate_v": np.full(n, gate_v),
                "width_ns": np.full(n, width_ns, dtype=np.int64),
                "readback_usiemens": seen.readback_usiemens,
                "time_s": np.full(n, time_s),
            }
        )

    def _tell(self, stage: str, fraction: float) -> None:
        self._told = dataclasses.replace(
            self._told,
            stage=stage,
            rounds=self.shots_given,
            pulses_per_cell=self.pulses_total / len(self.cells),
            chip_time_s=self.chip_time_s,
            host_time_s=self.host_time_s,
            fraction=fraction,
        )
        self._listener(self._told)


_COLUMNS = ("at", "bias", "amplitude_v", "gate_v", "width_ns", "readback_usiemens", "time_s")


def log_facts(identity: Identity, profile: ChipProfile) -> Mapping[str, str]:
    """What stands above the columns of a log: which chip, and which profile."""
    chip = f"{identity.serial}, SIMULATED" if identity.simulated else identity.serial
    return {"chip": chip, "profile": f"{profile.name} {profile.chip_sha256[:8]}"}


def check_out(path: Path, suffix: str, what: str) -> None:
    """Refuse a name that the file to be written must not have.

    Raises:
        InputError: another ending.
    """
    if path.suffix != suffix:
        raise InputError(f"{path}: {what} is written as {suffix}")
