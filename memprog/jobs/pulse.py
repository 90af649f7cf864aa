"""Give pulses of the operator's choice to some cells, read after each, and log them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memprog.analysis.logs import write_pulse_log
from memprog.chip import Bias
from memprog.errors import InputError
from memprog.files import refuse_binary
from memprog.jobs.chips import SIM, Wanted, profile_of_chip
from memprog.jobs.holding import Held, hold, peek
from memprog.jobs.logged import Errand, LoggedRun, Shot, check_out
from memprog.jobs.places import Region, chosen_mask
from memprog.jobs.progress import Listener, ignore
from memprog.jobs.setup import median, utc_now
from memprog.jobs.workspace import Workspace
from memprog.jobs.writing import Caller
from memprog.profile import ChipProfile
from memprog.report.pulse import PulseReport
from memprog.session import PULSES, Allowance, Permissions, tightened

STEPS_MOST = 100_000
"""A ramp of more steps is a slip of the pen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """Pulses one after the other: ``count`` at ``amplitude_v``, and where ``to_v`` is given at every step up to it.

    ``gate_v`` and ``width_ns`` None mean the profile's: in SET and FORM, where the gate is the compliance, the one that
    ends in the middle of the levels; else the most there is.
    """

    bias: Bias
    amplitude_v: float
    gate_v: float | None = None
    width_ns: int | None = None
    count: int = 1
    to_v: float | None = None
    step_v: float | None = None

    def amplitudes_v(self) -> list[float]:
        """Amplitudes of the ramp, the last of them not beyond its end.

        Raises:
            InputError: no ramp can be made of it.
        """
        if self.count < 1:
            raise InputError(f"{self.count} pulses asked for; at least one is needed")
        if (self.to_v is None) != (self.step_v is None):
            raise InputError("a ramp needs both its end and its step")
        if self.to_v is None or self.step_v is None:
            return [self.amplitude_v]
        steps = (self.to_v - self.amplitude_v) / self.step_v if self.step_v > 0 else -1.0
        if not 0.0 <= steps < STEPS_MOST:
            raise InputError(
                f"no ramp leads from {self.amplitude_v:g} V to {self.to_v:g} V in steps of {self.step_v:g} V"
            )
        # A step more where rounding alone keeps the ramp from its end; digits beyond a nanovolt are rounding.
        numbers = np.arange(int(steps + 1e-6) + 1)
        ramp_v: list[float] = np.minimum(np.round(self.amplitude_v + numbers * self.step_v, 9), self.to_v).tolist()
        return ramp_v

    def shots(self, kind: ChipProfile) -> tuple[Shot, ...]:
        """All pulses, in order."""
        gate_v = usual_gate_v(kind, self.bias) if self.gate_v is None else self.gate_v
        width_ns = kind.protocol.pulse_width_ns if self.width_ns is None else self.width_ns
        each = [
            Shot(bias=self.bias, amplitude_v=amplitude_v, gate_v=gate_v, width_ns=width_ns)
            for amplitude_v in self.amplitudes_v()
        ]
        return tuple(shot for shot in each for _ in range(self.count))


def usual_gate_v(kind: ChipProfile, bias: Bias) -> float:
    """Gate of a pulse when nobody says: compliance to the middle of the levels in SET and FORM, else wide open."""
    if bias in (Bias.RESET, Bias.SUB_THRESHOLD):
        return kind.limits.gate_max_v
    return gate_ending_at_v(kind, 0.5 * (kind.levels.min_usiemens + kind.levels.max_usiemens))


def gate_ending_at_v(kind: ChipProfile, conductance_usiemens: float) -> float:
    """Gate at which a strong SET ends at a conductance, transistor included, by the profile's first guess."""
    settings = kind.protocol
    memristor = memristor_usiemens(kind, conductance_usiemens)
    wanted = settings.set_gate_threshold_v + memristor / settings.set_gate_usiemens_per_v
    return float(min(wanted, kind.limits.gate_max_v))


def memristor_usiemens(kind: ChipProfile, conductance_usiemens: float) -> float:
    """Conductance of the memristor alone in a cell of some conductance; infinite beyond what the transistor lets be."""
    share = 1.0 - conductance_usiemens * 1e-6 * kind.protocol.access_ohm
    return conductance_usiemens / share if share > 0 else float("inf")


def pulse(
    workspace: Workspace,
    *,
    array: int,
    train: Train,
    out_path: Path | None,
    profile: str | None = None,
    backend: str = SIM,
    region: Region | None = None,
    cells: Sequence[tuple[int, int]] | None = None,
    allow_forming: bool = False,
    yes: bool = False,
    dry_run: bool = False,
    limits: Mapping[str, float] | None = None,
    expect_serial: str | None = None,
    timeout_s: float = 0.0,
    listener: Listener | None = None,
    caller: Caller | None = None,
) -> PulseReport:
    """Read the chosen cells, give each of them every pulse of a train, read after each, and write a pulse log.

    What was measured before something stopped the run is written all the same.

    Options:
        workspace, profile, backend, expect_serial, timeout_s: as for program; a chip must be there.
        array, region, cells: which cells of one array: (r0, r1, c0, c1) or (row, column) pairs.
        train: the pulses.
        out_path: the log, .csv; None for a dry run only.
        allow_forming: permits FORM.
        yes: pulse a chip that holds an image, or whose run is unfinished; the image is gone afterwards.
        dry_run: plan only; nothing is sent, and no file is made.
        limits: by name, tighter than the profile's.
        listener, caller: who hears of every pulse; who asked.

    Raises:
        InputError: chip, cells, train or file cannot be used.
        LimitError: a limit, a missing permission, an image, an unfinished run or another process refused it.
        InstrumentError, StoppedError: the chip failed, or somebody stopped the run.
    """
    kind, caller = profile_of_chip(workspace, profile), caller or Caller()
    _check_log(out_path, needed=not dry_run)
    errand = Errand(
        kind=PULSES,
        profile=kind,
        array=array,
        mask=chosen_mask(kind, region, cells),
        shots=train.shots(kind),
        limits=tightened(kind.limits, **dict(limits or {})),
        permissions=Permissions(forming=allow_forming),
    )
    wanted: Wanted = {"backend": backend, "expect_serial": expect_serial, "timeout_s": timeout_s}
    if dry_run or out_path is None:
        with peek(workspace, kind, label="memprog pulse --dry-run", **wanted) as held:
            may_begin(held, errand, yes=yes)
            return _report(errand, train, held, utc_now(), caller)
    with hold(workspace, kind, label="memprog pulse", anew=True, **wanted) as held:
        may_begin(held, errand, yes=yes)
        return _carry_out(held, errand, train, out_path, listener or ignore, caller)


def _check_log(path: Path | None, *, needed: bool) -> None:
    if path is None:
        if needed:
            raise InputError("a pulse log needs a file to be written to")
        return
    check_out(path, ".csv", "a pulse log")
    refuse_binary(path)


def may_begin(held: Held, errand: Errand, *, yes: bool) -> None:
    """Refuse what may not be done; nothing is sent yet."""
    errand.check(held)
    held.refuse_loss(yes=yes)
    held.account_for_lost_pulses(yes=yes)


def _carry_out(
    held: Held, errand: Errand, train: Train, out_path: Path, listener: Listener, caller: Caller
) -> PulseReport:
    utc, run = utc_now(), LoggedRun(held, errand, Allowance(), listener=listener, caller=caller)
    with kept([(out_path, lambda: write_log(out_path, run))], run), run.under_way(utc) as session:
        for number, shot in enumerate(errand.shots, 1):
            run.give(session, shot, number / len(errand.shots))
    data = write_log(out_path, run)
    return _report(errand, train, held, utc, caller, run=run, out_path=out_path, data=data)


def write_log(path: Path, run: LoggedRun) -> bytes:
    """Write what a run has logged so far, if it has anything; gives the bytes."""
    return write_pulse_log(path, run.log()) if run.events else b""


@contextlib.contextmanager
def kept(files: Iterable[tuple[Path, Any]], run: LoggedRun) -> Any:
    """Write files where the block ends by an error: what was measured until then cannot be measured again."""
    try:
        yield
    except BaseException as error:
        for path, write in files:
            with contextlib.suppress(InputError):
                if write():
                    error.add_note(f"what run {run.run_id} measured until then is in {path}")
        raise


def _report(
    errand: Errand,
    train: Train,
    held: Held,
    utc: str,
    caller: Caller,
    *,
    run: LoggedRun | None = None,
    out_path: Path | None = None,
    data: bytes = b"",
) -> PulseReport:
    first = errand.shots[0]
    return PulseReport(
        **errand.told(held, run, utc, caller),
        bias_name=train.bias.name,
        amplitudes_v=train.amplitudes_v(),
        gate_v=first.gate_v,
        width_ns=first.width_ns,
        count=train.count,
        cells_held_back=0 if run is None else int(run.held_back.sum()),
        cells_unread=0 if run is None else int(np.isnan(run.last_usiemens).sum()),
        readback_first_median_usiemens=float("nan") if run is None else median(run.first_usiemens),
        readback_last_median_usiemens=float("nan") if run is None else median(run.last_usiemens),
        path=None if run is None else out_path,
        sha256=None if run is None else hashlib.sha256(data).hexdigest(),
    )
