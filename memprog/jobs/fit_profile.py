"""Fit a profile to measurements, and write it: what they tell replaces the base's numbers, all else stays."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from memprog.analysis import tables
from memprog.analysis.fitting import Fluctuations, Found, Quiet, fit_logs, fit_noise, wandering
from memprog.analysis.fitting.noise import FAR, NEAR
from memprog.analysis.logs import PULSE_LOG, SWEEP, PulseLog, decode_pulse_log, read_sweep
from memprog.analysis.noise import MOST_FLUCTUATORS, Noise
from memprog.analysis.noise.intervals import NORMAL_95
from memprog.errors import InputError
from memprog.files import read_whole, replace_whole
from memprog.jobs.characterise import PULSES, TRACES
from memprog.jobs.characterise import SWEEP as SWEEP_FILE
from memprog.jobs.noise import Analysed, Stretch, analysed
from memprog.jobs.profiles import check_new, check_usable, refuse_to_replace
from memprog.jobs.progress import Listener
from memprog.profile import DEFAULT_PROFILE, ChipProfile, load_profile, parse_profile, profile_text
from memprog.profile.writing import profile_with, rounded
from memprog.report.fit import ProfileFitReport

SAME_BIAS = 0.05
"""White noise is taken from plateaus whose bias is within this share of the read voltage, where there are any."""
SLOW_SHARE = 4
"""A plateau must be so many times longer than the distance over which slow noise is looked at."""
TROUBLED = "it switched too seldom"
"""Dwell times of such a fluctuator mean little; its step means something."""

_LOGS = (
    "set_threshold_v",
    "reset_threshold_v",
    "threshold_spread_v",
    "switching_slope_v",
    "switching_slope_spread",
    "switching_state_exponent",
    "switching_width_exponent",
    "switching_cycle_spread",
    "set_gate_usiemens_per_v",
    "set_gate_threshold_v",
    "set_gate_spread",
    "relaxation_fraction_per_decade",
    "relaxation_spread_per_decade",
    "channel_dissolve_v",
)
_TRACES = (
    "trap_relative_amplitude",
    "trap_amplitude_spread",
    "trap_dwell_min_s",
    "trap_dwell_max_s",
    "trap_dwell_ratio_decades",
    "trap_bias_decay_per_v",
    "flicker_usiemens",
)
_DIFFERENCES = (
    "simulation.trap_amplitude_spread",
    "simulation.trap_dwell_min_s",
    "simulation.trap_dwell_max_s",
    "simulation.trap_dwell_ratio_decades",
)
_SILENT = {
    "readout.white_noise_relative": "cells of one conductance cannot tell noise that grows with it from other noise",
    "simulation.relaxation_floor_usiemens": "what large pulses leave to relax hides it",
    "simulation.trap_saturation_usiemens": "traces of one conductance say nothing of how steps grow with it",
    "simulation.channel_create_max": "a trace shows a fluctuator only where it switches within the trace",
    "simulation.channel_dissolve_spread_v": "too few cells fluctuate often enough to tell how they differ",
    "simulation.transistor_usiemens_per_v": "a reading shows memristor and transistor as one",
}
"""What is not looked for, though it matters, and why."""


@dataclass(kw_only=True)
class _Sources:
    """Files by what they are, in the order in which they are named."""

    told: list[dict[str, Any]] = field(default_factory=list)
    logs: list[PulseLog] = field(default_factory=list)
    traces: list[Path] = field(default_factory=list)

    def numbers(self, kind: str) -> list[int]:
        """Numbers of the files of one kind."""
        return [number for number, one in enumerate(self.told) if one["kind"] == kind]

    def words(self, kind: str) -> str:
        """Name the files of one kind, each with the beginning of its hash."""
        some = [self.told[number] for number in self.numbers(kind)]
        return ", ".join(f"{Path(one['path']).name} {one['sha256'][:16]}" for one in some)


def fit_profile(
    paths: Sequence[Path],
    *,
    out_path: Path,
    name: str,
    base: str = DEFAULT_PROFILE,
    force: bool = False,
    listener: Listener | None = None,
) -> ProfileFitReport:
    """Write a profile of the kind of chip that was measured.

    Options:
        paths: folders as characterise writes them, pulse logs (.csv), traces (.npz, .csv), sweeps (.csv).
        out_path, name: of the new profile; force replaces a file that is there.
        base: bundled name or path of the profile that it differs from.
        listener: hears of every trace that is analysed.

    Raises:
        InputError: a file or name that cannot be used, or measurements that tell nothing.
        LimitError: there is a file already and force is not given, or no cell could be programmed by the new profile.
    """
    return _fitted(_sources_of(paths), out_path, name, base, force=force, listener=listener, most=MOST_FLUCTUATORS)


def fit_noise_profile(
    paths: Sequence[Path],
    *,
    out_path: Path,
    base: str = DEFAULT_PROFILE,
    most: int = MOST_FLUCTUATORS,
    force: bool = False,
    listener: Listener | None = None,
) -> ProfileFitReport:
    """Write a profile with the noise of traces, named as its file; options and errors as for fit_profile."""
    sources = _Sources(traces=list(paths))
    return _fitted(sources, out_path, out_path.stem, base, force=force, listener=listener, most=most)


def _fitted(
    sources: _Sources, out_path: Path, name: str, base: str, *, force: bool, listener: Listener | None, most: int
) -> ProfileFitReport:
    check_new(out_path, name)
    refuse_to_replace(out_path, force=force)
    kind, text = load_profile(base), profile_text(base)
    found: list[tuple[Found, str]] = []
    unread: Sequence[str] = ()
    if sources.logs:
        found += [(one, PULSE_LOG) for one in fit_logs(sources.logs, kind)]
    if sources.traces:
        analysis = analysed(sources.traces, most=most, listener=listener)
        sources.told += [_trace_facts(one) for one in analysis.files]
        unread = analysis.unread
        # Traces that do not say of which cell they are may be of one: they say nothing of how cells differ.
        hidden = () if all(stretch.place for stretch in analysis.stretches) else _DIFFERENCES
        told_by_traces = fit_noise(*_noise_arrays(analysis, kind), kind)
        found += [(one, "trace") for one in told_by_traces if one.key not in hidden]
    told = [(one, role) for one, role in found if one.is_told]
    if not told:
        names = ", ".join(_names(sources))
        raise InputError(f"{names}: no number of a profile can be told from it; nothing was written")
    told = [*told, *_protocol(told, kind)]
    measured = {one.key: (one.estimate.value, _source(one, sources.words(role))) for one, role in told}
    written = profile_with(
        text,
        name=name,
        description=f"{kind.description} Fitted: differs from {kind.name} in what was measured.",
        measured=measured,
        comments=(
            f"Fitted by memprog to {', '.join(_names(sources))}.",
            f"What was measured says so in its source; all else is as in {kind.name}, sha256 {kind.sha256[:16]}.",
        ),
    )
    profile = parse_profile(written, origin=str(out_path))
    check_usable(profile)
    replace_whole(out_path, written.encode())
    return ProfileFitReport(
        profile=profile.name,
        profile_sha256=profile.sha256,
        path=out_path,
        base=kind.name,
        base_sha256=kind.sha256,
        files=sources.told,
        fitted=[_entry(one, sources.numbers(role), kind) for one, role in told],
        kept=list(_kept(found, sources)),
        unread=unread,
    )


def _sources_of(paths: Iterable[Path]) -> _Sources:
    """Read what is small, and sort files by what they hold."""
    sources = _Sources()
    for path in paths:
        inside = [path / name for name in (PULSES, SWEEP_FILE, TRACES) if (path / name).exists()]
        if path.is_dir() and not inside:
            raise InputError(f"{path}: holds none of {PULSES}, {SWEEP_FILE} and {TRACES}")
        for one in inside if path.is_dir() else [path]:
            _sort_in(one, sources)
    if not sources.logs and not sources.traces:
        raise InputError("there is neither a pulse log nor a trace among the files; sweeps tell nothing of a profile")
    return sources


def _sort_in(path: Path, sources: _Sources) -> None:
    if path.suffix == ".npz":
        sources.traces.append(path)
        return
    data = read_whole(path, tables.MAX_BYTES)
    head = data[:4096].decode(errors="replace")
    facts: dict[str, Any] = {"path": str(path), "kind": PULSE_LOG, "sha256": hashlib.sha256(data).hexdigest()}
    if "bias_name" in head:
        try:
            log = decode_pulse_log(data)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        sources.logs.append(log)
        sources.told.append(facts | {"cells": _cells(log.cells)})
    elif "read_v" in head:
        sources.told.append(facts | {"kind": SWEEP, "cells": _cells(read_sweep(path).cells)})
    else:
        sources.traces.append(path)


def _cells(cells: Any) -> int:
    return len(np.unique(np.stack([cells.array, cells.row, cells.column]), axis=1).T)


def _trace_facts(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"path": one["path"], "kind": "trace", "sha256": one["sha256"], "cells": one["cells"]}


def _names(sources: _Sources) -> list[str]:
    return [Path(one["path"]).name for one in sources.told]


def _noise_arrays(analysis: Analysed, kind: ChipProfile) -> tuple[Fluctuations, Quiet]:
    """What the fits need of every stretch, as arrays."""
    places = {key: number for number, key in enumerate(dict.fromkeys((s.path, s.cell) for s in analysis.stretches))}
    both = list(zip(analysis.stretches, analysis.found, strict=True))
    seen = [_fluctuation(places, stretch, noise) for stretch, noise in both if _has_step(noise)]
    long = [(s, n) for s, n in both if len(n.residual) >= SLOW_SHARE * FAR]
    read_v = kind.readout.read_v
    at_read = [(s, n) for s, n in long if abs(abs(s.plateau.bias_v) - read_v) <= SAME_BIAS * read_v]
    quiet = [
        {
            "cell": places[stretch.path, stretch.cell],
            "conductance": abs(noise.mean),
            "interval_s": noise.interval_s,
            # What memprog traced names its cells and has the aperture of its reads; others sense all the time.
            "aperture_s": kind.readout.aperture_ns * 1e-9 if stretch.place else noise.interval_s,
            "near": wandering(noise.residual, NEAR),
            "far": wandering(noise.residual, FAR),
        }
        for stretch, noise in at_read or long
    ]
    return _columns(seen, Fluctuations), _columns(quiet, Quiet)


def _columns(rows: Sequence[Mapping[str, Any]], kind: type) -> Any:
    """Rows as the arrays of a dataclass; what is a pair in a row becomes (2, n)."""
    return kind(**{one.name: np.array([row[one.name] for row in rows]).T for one in fields(kind)})


def _has_step(noise: Noise) -> bool:
    """Whether the largest fluctuator has a step that means something."""
    if not noise.fluctuators:
        return False
    trouble = noise.fluctuators[0].trouble
    return not trouble or trouble.startswith(TROUBLED)


def _fluctuation(places: Mapping[tuple[Path, int], int], stretch: Stretch, noise: Noise) -> dict[str, Any]:
    largest = noise.fluctuators[0]
    taus = (largest.tau_low_s, largest.tau_high_s)
    known = all(tau.low > 0 and math.isfinite(tau.high) for tau in taus)
    return {
        "cell": places[stretch.path, stretch.cell],
        "bias_v": stretch.plateau.bias_v,
        "conductance": abs(noise.mean),
        "step": largest.step.value,
        "step_ratio": largest.step.high / max(largest.step.low, 1e-12),
        "tau_s": [tau.value for tau in taus],
        "log_error": [math.log(tau.high / tau.low) / (2.0 * NORMAL_95) if known else math.inf for tau in taus],
        "clean": known and not largest.trouble,
        "interval_s": noise.interval_s,
        "span_s": noise.span_s,
    }


def _protocol(told: Sequence[tuple[Found, str]], kind: ChipProfile) -> Iterator[tuple[Found, str]]:
    """First guesses of the loop, from the same estimates."""
    values = {one.key.split(".")[1]: one.estimate.value for one, _ in told}
    simulation, settings = kind.simulation, kind.protocol
    slope_v = values.get("switching_slope_v", simulation.switching_slope_v)
    state = values.get("switching_state_exponent", simulation.switching_state_exponent)
    width = values.get("switching_width_exponent", simulation.switching_width_exponent)
    # Thresholds hold for the model's step, state and width; the loop's first guesses for its own.
    shift_v = slope_v * (
        math.log(settings.step_usiemens / simulation.switching_step_usiemens)
        + state * math.log(simulation.switching_state_usiemens / settings.state_usiemens)
        - width * math.log(settings.pulse_width_ns / simulation.switching_width_ns)
    )
    for one, role in told:
        wanted = _GUESSES.get(one.key)
        if wanted is None:
            continue
        by_v = shift_v if wanted in ("set_first_v", "reset_first_v") else 0.0
        yield one.moved(f"protocol.{wanted}", by_v), role


_GUESSES = {
    "simulation.set_threshold_v": "set_first_v",
    "simulation.reset_threshold_v": "reset_first_v",
    "simulation.switching_slope_v": "step_slope_v",
    "simulation.switching_state_exponent": "state_exponent",
    "simulation.set_gate_usiemens_per_v": "set_gate_usiemens_per_v",
    "simulation.set_gate_threshold_v": "set_gate_threshold_v",
}
"""Which of the loop's first guesses stands for which number of the simulated cell."""


def _source(one: Found, files: str) -> str:
    ends = one.estimate
    return (
        f"fitted from {files}: {rounded(ends.value):g} [{rounded(ends.low):g}, {rounded(ends.high):g}] (95 %), "
        f"{one.cells} cells"
    )


def _entry(one: Found, files: list[int], kind: ChipProfile) -> dict[str, Any]:
    section, key = one.key.split(".")
    ends = one.estimate
    return {
        "key": one.key,
        "before": getattr(getattr(kind, section), key),
        "value": rounded(ends.value),
        "low": ends.low,
        "high": ends.high,
        "cells": one.cells,
        "files": files,
    }


def _kept(found: Sequence[tuple[Found, str]], sources: _Sources) -> Iterator[dict[str, str]]:
    """What was looked for in vain, and what is not looked for."""
    by_key = {one.key: one for one, _ in found}
    looked = [f"simulation.{key}" for key in (_LOGS if sources.logs else ()) + (_TRACES if sources.traces else ())]
    for key in [*looked, *(["readout.white_noise_usiemens"] if sources.traces else [])]:
        one = by_key.get(key)
        if one is None:
            yield {"key": key, "reason": "nothing in the files tells of it"}
        elif not one.is_told:
            ends = one.estimate
            yield {
                "key": key,
                "reason": f"too uncertain: {ends.value:.3g} [{ends.low:.3g}, {ends.high:.3g}] by {one.cells} cells",
            }
    yield from ({"key": key, "reason": reason} for key, reason in _SILENT.items())
