"""Analyse the noise in files of traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memprog.analysis.noise import MOST_FLUCTUATORS, Noise, analyse_noise
from memprog.analysis.noise.plateaus import Plateau, plateaus_of
from memprog.analysis.noise.pooled import Pooled, Trend, pool, trend
from memprog.analysis.traces import Traces, read_traces_and_hash
from memprog.chip import FloatArray
from memprog.errors import InputError
from memprog.files import make_folder, refuse_unwritable, replace_whole
from memprog.jobs.progress import Listener, Progress, ignore
from memprog.report.figures import canvas
from memprog.report.figures.noise import SIZE_INCHES, NoisePicture, draw_noise
from memprog.report.noise import NoiseReport

LEAST_SAMPLES = 500
"""Shorter stretches are left out: their fluctuators cannot be told from noise."""
MOST_SAMPLES = 1_000_000
"""Of one stretch: 250 bytes of memory a sample and level squared."""
MOST_USIEMENS = 1e12
"""A million siemens: no cell, but a file that is damaged, or a converter that overflowed."""
SAME_BIAS = 0.02
"""Plateaus whose bias differs by less than this share are pooled."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One cell under one bias; ``cell`` counts within the file."""

    path: Path
    cell: int
    place: tuple[int, int, int] | None
    plateau: Plateau
    first_s: float
    conductance_usiemens: FloatArray


@dataclass(frozen=True, kw_only=True)
class Analysed:
    """What an analysis of files of traces found, stretch by stretch."""

    files: Sequence[Mapping[str, Any]]
    stretches: Sequence[Stretch]
    found: Sequence[Noise]
    unread: Sequence[str]

    def report(self, picture: Path | None = None) -> NoiseReport:
        """Pool what has the same bias, and tell everything, also where a picture of it was written."""
        pooled, trends = _together(self.stretches, self.found)
        entries = [_entry(stretch, noise) for stretch, noise in zip(self.stretches, self.found, strict=True)]
        return NoiseReport(
            files=self.files,
            plateaus=entries,
            unread=self.unread,
            pooled=pooled,
            trends=trends,
            picture=None if picture is None else str(picture),
        )


def analyse_files(
    paths: Sequence[Path],
    *,
    most: int = MOST_FLUCTUATORS,
    picture: Path | None = None,
    listener: Listener | None = None,
) -> NoiseReport:
    """Analyse every cell and every plateau of bias in files of traces, and pool what has the same bias.

    Args:
        paths: .npz or .csv.
        most: fluctuators at most that are looked for in one trace.
        picture: .png or .svg in which the first stretch is drawn, if any; needs matplotlib.
        listener: is told of every stretch that is done.

    Raises:
        InputError: a file cannot be read, none has a stretch that is long enough, or the picture cannot be drawn or
            written.
    """
    if picture is not None:
        _refuse_picture(picture)
    analysis = analysed(paths, most=most, listener=listener)
    if picture is not None:
        replace_whole(picture, _drawn(analysis.stretches[0], analysis.found[0], picture.suffix))
    return analysis.report(picture)


def analysed(paths: Sequence[Path], *, most: int = MOST_FLUCTUATORS, listener: Listener | None = None) -> Analysed:
    """Analyse every cell and every plateau of bias in files of traces; raises as analyse_files."""
    files: list[dict[str, Any]] = []
    stretches: list[Stretch] = []
    unread: list[str] = []
    for path in paths:
        traces, digest = read_traces_and_hash(path)
        cells = len(traces.current_a)
        files.append({"path": str(path), "sha256": digest, "simulated": traces.simulated, "cells": cells})
        stretches += list(_stretches(path, traces, unread.append))
    if not stretches:
        names = ", ".join(str(path) for path in paths)
        raise InputError(f"{names}: no stretch of {LEAST_SAMPLES} samples under one bias; {'; '.join(unread[:3])}")
    found = []
    for count, stretch in enumerate(stretches, start=1):
        found.append(analyse_noise(stretch.conductance_usiemens, stretch.plateau.interval_s, most=most))
        share = count / len(stretches)
        (listener or ignore)(Progress(kind="round", stage="noise", cells=len(stretches), rounds=count, fraction=share))
    return Analysed(files=files, stretches=stretches, found=found, unread=unread)


def _refuse_picture(path: Path) -> None:
    """Find out before the work whether the picture can be drawn and written."""
    if path.suffix not in canvas.KINDS:
        raise InputError(f"{path}: a picture is written as {' or '.join(canvas.KINDS)}; nothing was written")
    make_folder(path.parent)
    refuse_unwritable(path)
    canvas.require(otherwise="leave --picture out")


def _drawn(stretch: Stretch, noise: Noise, kind: str) -> bytes:
    title = f"{_named(stretch.path, stretch.place)}, {stretch.plateau.bias_v:.3g} V"
    shown = NoisePicture(
        title=title, first_s=stretch.first_s, conductance_usiemens=stretch.conductance_usiemens, noise=noise
    )
    return canvas.render(lambda figure: draw_noise(figure, shown), kind, SIZE_INCHES)


def _named(path: Path, place: tuple[int, int, int] | None) -> str:
    return path.name if place is None else f"{path.name}, array {place[0]}, row {place[1]}, column {place[2]}"


def _stretches(path: Path, traces: Traces, leave_out: Callable[[str], None]) -> Iterator[Stretch]:
    """Cut each cell's trace at every change of bias; conductance at the mean bias of each stretch."""
    cuts = plateaus_of(traces.time_s, traces.bias_v, LEAST_SAMPLES)
    if not cuts:
        leave_out(f"{path} has no stretch of {LEAST_SAMPLES} samples under one bias of 10 mV or more")
    for cell, current_a in enumerate(traces.current_a):
        at = traces.cells
        place = None if at is None else (int(at.array[cell]), int(at.row[cell]), int(at.column[cell]))
        scale = 1.0 if traces.bias_scale is None else float(traces.bias_scale[cell])
        named = (
            f"{path}, cell {cell}" if place is None else f"{path}, array {place[0]}, row {place[1]}, column {place[2]}"
        )
        for cut in cuts:
            inside = slice(cut.first, cut.last)
            # The mean, not each sample's bias: that carries the voltmeter's noise, in the measured traces 0.1 %.
            with np.errstate(over="ignore", invalid="ignore"):
                conductance = np.asarray(current_a[inside], dtype=np.float64) / (scale * cut.bias_v) * 1e6
                mean = conductance.mean()
            # Some benches count current out of the cell as positive: its amount is what the bias drives.
            conductance *= -1.0 if mean < 0 else 1.0
            if not np.isfinite(conductance).all():
                leave_out(f"{named}: not read")
                break
            if np.ptp(conductance) == 0.0:
                leave_out(f"{named}: all samples are the same at {cut.bias_v:.3g} V")
                continue
            if np.abs(conductance).max() > MOST_USIEMENS:
                leave_out(f"{named}: beyond {MOST_USIEMENS:g} uS at {cut.bias_v:.3g} V")
                continue
            if len(conductance) > MOST_SAMPLES:
                raise InputError(
                    f"{named}: {len(conductance)} samples under one bias; at most {MOST_SAMPLES} are analysed"
                )
            yield Stretch(path, cell, place, cut, float(traces.time_s[cut.first]), conductance)


def _entry(stretch: Stretch, noise: Noise) -> dict[str, Any]:
    array, row, column = stretch.place or (None, None, None)
    return {
        "path": str(stretch.path),
        "array": array,
        "row": row,
        "column": column,
        "bias_v": stretch.plateau.bias_v,
        "first_s": stretch.first_s,
        "samples": noise.samples,
        "interval_s": noise.interval_s,
        "span_s": noise.span_s,
        "conductance_usiemens": noise.mean,
        "drift_usiemens": noise.drift,
        "levels_usiemens": noise.levels,
        "fluctuators": [
            {
                "step_usiemens": asdict(one.step),
                "tau_low_s": asdict(one.tau_low_s),
                "tau_high_s": asdict(one.tau_high_s),
                "occupancy": asdict(one.occupancy),
                "switchings": one.switchings,
                "trouble": one.trouble,
            }
            for one in noise.fluctuators
        ],
        "noise_usiemens": asdict(noise.noise),
        "colour_exponent": asdict(noise.colour),
        "lag1": noise.lag1,
        "lines": [{"frequency_hz": one.frequency_hz, "amplitude_usiemens": one.amplitude} for one in noise.lines],
        "blur": noise.blur,
    }


def _together(stretches: Sequence[Stretch], found: Sequence[Noise]) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """Pool the largest fluctuator of each plateau by bias, and look for a trend over the biases."""
    seen = [
        (stretch.plateau.bias_v, noise.fluctuators[0])
        for stretch, noise in zip(stretches, found, strict=True)
        if noise.fluctuators and not noise.fluctuators[0].trouble
    ]
    groups: list[list[int]] = []
    for k in sorted(range(len(seen)), key=lambda k: seen[k][0]):
        last = seen[groups[-1][0]][0] if groups else None
        if last is not None and abs(seen[k][0] - last) <= SAME_BIAS * abs(last):
            groups[-1].append(k)
        else:
            groups.append([k])
    low, high = [], []
    for group in groups:
        bias_v = float(np.mean([seen[k][0] for k in group]))
        low.append(pool(bias_v, [seen[k][1].tau_low_s for k in group]))
        high.append(pool(bias_v, [seen[k][1].tau_high_s for k in group]))
    pooled = [_pooled_entry(one, other) for one, other in zip(low, high, strict=True)]
    return pooled, {"tau_low": _trend_entry(trend(low)), "tau_high": _trend_entry(trend(high))}


def _pooled_entry(low: Pooled, high: Pooled) -> dict[str, Any]:
    return {
        "bias_v": low.bias_v,
        "traces": low.traces,
        "tau_low_s": asdict(low.tau_s),
        "tau_high_s": asdict(high.tau_s),
        "scatter_low": low.scatter,
        "scatter_high": high.scatter,
    }


def _trend_entry(found: Trend | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "slope_per_v": asdict(found.slope_per_v),
        "p_value": found.p_value,
        "significant": found.significant,
    }
