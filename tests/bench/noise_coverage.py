"""Coverage of the intervals of `memprog noise` on synthetic traces, one JSON line a point. Run by hand; hours in full.

    python tests/bench/noise_coverage.py --out traces.jsonl [--traces 400] [--points NAME ...] [--list] [--summary]

Telegraph signals are drawn in continuous time, so that nothing but the samples limits them: they are looked at in
instants or averaged over the whole interval between samples. A point is identifiable, by a rule that looks at truths
only, where every fluctuator is expected to switch 8 times or more and the standard errors of the logarithms of its
dwell times, from the curvature of the likelihood at the truth, are 0.7 or less. Coverage is wanted between 90 and 99 %
at those; the others are run and marked. The file holds one line a trace; traces that are in it are not run again, so a
run that was killed goes on, and a greater number of traces adds to those before.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from memprog.analysis.noise import Estimate, Fluctuator, analyse_noise, drift_basis
from memprog.analysis.noise.fit import Fitted
from memprog.analysis.noise.intervals import covariance
from memprog.analysis.noise.model import Likelihood

Floats = NDArray[np.float64]

LEAST_SWITCHINGS = 8.0
MOST_ERROR = 0.7
QUANTITIES = ("step", "tau_low_s", "tau_high_s", "occupancy")
SNRS = (1.0, 2.0, 5.0, 20.0)
DWELLS = (2.0, 20.0, 200.0, 2000.0)
STEPS = {1: (1.0,), 2: (1.6, 1.0), 3: (2.3, 1.6, 1.0)}
SPREAD = {1: (1.0,), 2: (1.0, 3.0), 3: (1.0, 3.0, 9.0)}
"""Dwell times of the fluctuators in units of the first; shorter instead of longer from 200 samples on."""
LENGTHS = ((2.0, 3000), (20.0, 6000), (200.0, 5000), (2000.0, 20_000))
"""Samples of a trace by the dwell time of the first fluctuator: the slowest switches 10 times or more."""
LOPSIDED = (1.0, 0.5, 2.0)
"""Mean dwell in the lower level over that in the upper."""


class Truth(NamedTuple):
    """One fluctuator: mean dwell times in samples, step in deviations of the white noise."""

    tau_low: float
    tau_high: float
    step: float


@dataclass(frozen=True)
class Point:
    """One kind of trace; drift (from end to end) and hum (amplitude) in deviations of the white noise."""

    name: str
    truths: tuple[Truth, ...]
    samples: int
    aperture: bool
    drift: float
    hum: float


def points() -> list[Point]:
    """The grid, and the corners in which steps are nearly alike."""
    found = []
    for count in (1, 2, 3):
        for dwell in DWELLS:
            for at, snr in enumerate(SNRS):
                spread = [one if dwell < 200 else 1.0 / one for one in SPREAD[count]]
                truths = [
                    Truth(tau_low=dwell * wide * uneven, tau_high=dwell * wide, step=snr * step)
                    for wide, uneven, step in zip(spread, LOPSIDED, STEPS[count], strict=False)
                ]
                aperture = (at + count) % 2 == 0
                found.append(_point(f"n{count}-d{dwell:g}-s{snr:g}", truths, dwell, aperture=aperture, slow=at % 2))
    found += [
        _point(f"instants-d2-s{snr:g}", [Truth(2.0, 2.0, snr)], 2.0, aperture=False, slow=0) for snr in SNRS[1::2]
    ]
    for dwell in (200.0, 1000.0):
        alike = [Truth(tau_low=dwell, tau_high=dwell / wide, step=10.0 * step) for wide, step in ((1, 1), (2, 1.1))]
        found.append(_point(f"alike2-d{dwell:g}", alike, dwell, aperture=False, slow=0))
        alike.append(Truth(tau_low=dwell / 3.0, tau_high=dwell / 2.0, step=12.1))
        found.append(_point(f"alike3-d{dwell:g}", alike, dwell, aperture=True, slow=0))
    return found


def _point(name: str, truths: list[Truth], dwell: float, *, aperture: bool, slow: int) -> Point:
    samples = next(enough for most, enough in LENGTHS if dwell <= most)
    return Point(name, tuple(truths), samples, aperture, drift=1.0 * slow, hum=0.3 * slow)


def draw(point: Point, seed: int) -> Floats:
    """One trace, (samples,), white noise of deviation 1."""
    rng = np.random.default_rng([seed, *point.name.encode()])
    at = np.arange(point.samples)
    trace = rng.standard_normal(point.samples) + point.drift * at / point.samples
    trace += point.hum * np.cos(2.0 * np.pi * 60.0 * 2e-4 * at + rng.uniform(0.0, 2.0 * np.pi))
    for truth in point.truths:
        trace += truth.step * telegraph(truth, point.samples, rng, aperture=point.aperture)
    return trace


def telegraph(truth: Truth, samples: int, rng: np.random.Generator, *, aperture: bool) -> Floats:
    """Share of the interval before each sample spent in the upper level, or the state at the sample."""
    first_high = rng.random() < truth.tau_high / (truth.tau_low + truth.tau_high)
    means = (truth.tau_high, truth.tau_low) if first_high else (truth.tau_low, truth.tau_high)
    pairs = int(samples / sum(means) * 2.0 + 50)
    ends = (rng.exponential(1.0, (pairs, 2)) * means).ravel().cumsum()
    assert ends[-1] > samples
    at = np.arange(samples + 1)
    if not aperture:
        return ((np.searchsorted(ends, at[1:]) % 2 == 0) == first_high).astype(np.float64)
    high = np.zeros(len(ends)) + ((np.arange(len(ends)) % 2 == 0) == first_high)
    spent = np.concatenate([[0.0], (high * np.diff(ends, prepend=0.0)).cumsum()])
    return np.diff(np.interp(at, np.concatenate([[0.0], ends]), spent))


def predicted(point: Point, traces: int = 3) -> tuple[float, float]:
    """Fewest switchings to expect, and the largest standard error of a log dwell time, from truths alone."""
    rates = np.array([[1.0 / truth.tau_low, 1.0 / truth.tau_high] for truth in point.truths])
    switchings = 2.0 * point.samples / (1.0 / rates).sum(axis=1)
    errors = []
    for seed in range(traces):
        model = Likelihood(draw(point, 10**6 + seed), drift_basis(point.samples, 1), len(rates))
        steps = np.log([truth.step for truth in point.truths])
        blur = 0.999 if point.aperture else 0.0
        truth = np.concatenate([*np.log(rates).T, steps, [point.drift / 2.0, point.drift / 2.0, 0.0, blur]])
        errors.append(np.sqrt(np.diag(covariance(Fitted(look=model.look(truth))))[: 2 * len(rates)]))
    return float(switchings.min()), float(np.median(errors, axis=0).max())


def one_trace(point: Point, seed: int) -> dict[str, Any]:
    """How many were found, and for each true fluctuator whether the intervals of the nearest one hold it."""
    start_s = time.process_time()
    found = analyse_noise(draw(point, seed), 1.0).fluctuators
    taken_s = time.process_time() - start_s
    matched = _matched(point.truths, found)
    held = [
        {name: one is not None and _holds(getattr(one, name), _true(truth, name)) for name in QUANTITIES}
        | {"trouble": one is not None and bool(one.trouble)}
        for truth, one in zip(point.truths, matched, strict=True)
    ]
    found_steps = [round(one.step.value, 4) for one in found]
    return {
        "point": point.name,
        "seed": seed,
        "found": len(found),
        "held": held,
        "steps": found_steps,
        "processor_s": taken_s,
    }


def _true(truth: Truth, name: str) -> float:
    occupancy = truth.tau_high / (truth.tau_low + truth.tau_high)
    return {"step": truth.step, "tau_low_s": truth.tau_low, "tau_high_s": truth.tau_high, "occupancy": occupancy}[name]


def _holds(estimate: Estimate, value: float) -> bool:
    return estimate.low <= value <= estimate.high


def _matched(truths: tuple[Truth, ...], found: tuple[Fluctuator, ...]) -> list[Fluctuator | None]:
    """The found fluctuator nearest in step and dwell times to each true one, none twice."""
    if not found:
        return [None] * len(truths)
    true = np.log([[*truth] for truth in truths])
    seen = np.log([[one.tau_low_s.value, one.tau_high_s.value, one.step.value] for one in found])
    far = (np.abs(true[:, None] - seen[None, :]) * [1.0, 1.0, 10.0]).sum(axis=2)
    matched: list[Fluctuator | None] = [None] * len(truths)
    for row, column in zip(*linear_sum_assignment(far), strict=True):
        matched[row] = found[column]
    return matched


def summary(point: Point, results: list[dict[str, Any]]) -> dict[str, Any]:
    """One line: shares of traces, coverage with the right number and over all."""
    switchings, error = predicted(point)
    right = [one for one in results if one["found"] == len(point.truths)]
    return {
        "point": point.name,
        "truths": [truth._asdict() for truth in point.truths],
        **{key: value for key, value in asdict(point).items() if key not in ("name", "truths")},
        "traces": len(results),
        "expected_switchings": switchings,
        "expected_error_log_tau": error if np.isfinite(error) else None,
        "identifiable": _is_identifiable(switchings, error),
        "right_number": len(right) / len(results),
        "found": [sum(one["found"] == count for one in results) for count in range(4)],
        "coverage_right": _coverage(right),
        "coverage_all": _coverage(results),
        "trouble": float(np.mean([held["trouble"] for one in results for held in one["held"]])),
        "processor_s": float(np.mean([one["processor_s"] for one in results])),
    }


def _is_identifiable(switchings: float, error: float) -> bool:
    return bool(switchings >= LEAST_SWITCHINGS and error <= MOST_ERROR)


def _coverage(results: list[dict[str, Any]]) -> dict[str, float | None]:
    return {
        name: float(np.mean([held[name] for one in results for held in one["held"]])) if results else None
        for name in QUANTITIES
    }


def main() -> None:
    """Run the points that are asked for, and append a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("noise_coverage.jsonl"), help="results of single traces")
    parser.add_argument("--traces", type=int, default=400)
    parser.add_argument("--points", nargs="+", help="names, or beginnings of names")
    parser.add_argument("--list", action="store_true", help="names and what is expected of them, without a run")
    parser.add_argument("--summary", action="store_true", help="of the traces in the file, without a run")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    chosen = [one for one in points() if not arguments.points or one.name.startswith(tuple(arguments.points))]
    if arguments.list:
        for point in chosen:
            switchings, error = predicted(point)
            sys.stdout.write(f"{point.name:16} {switchings:9.1f} switchings, error of log tau {error:.3g}\n")
        return
    lines = arguments.out.read_text(encoding="utf-8").splitlines() if arguments.out.exists() else []
    known: dict[str, dict[int, dict[str, Any]]] = {point.name: {} for point in chosen}
    for one in map(json.loads, lines):
        known.get(one["point"], {})[one["seed"]] = one
    with ProcessPoolExecutor(arguments.processes) as pool, arguments.out.open("a", encoding="utf-8") as out:
        for point in chosen:
            results = known[point.name]
            seeds = [] if arguments.summary else sorted({*range(arguments.traces)} - {*results})
            for one in pool.map(one_trace, [point] * len(seeds), seeds):
                results[one["seed"]] = one
                out.write(json.dumps(one) + "\n")
                out.flush()
            if results:
                sys.stdout.write(json.dumps(summary(point, list(results.values()))) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
