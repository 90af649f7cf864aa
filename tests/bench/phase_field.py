"""Time the phase field: whole arrays against a double loop, finer grids, larger batches. Prints JSON; run by hand.

    python tests/bench/phase_field.py

Ratios are of times taken in one run; times themselves depend on the machine.
"""

from __future__ import annotations

import json
import sys
import time
from bisect import bisect_right
from collections.abc import Callable

import numpy as np

from memprog.physics.channels import PUBLISHED_SHAPE, synthetic_maps
from memprog.physics.phase_field import (
    PUBLISHED_SCHEDULE,
    PUBLISHED_SETTINGS,
    RELAX,
    Stage,
    evolve,
    published_profile,
)

LOOP_STEPS = 10


def main() -> None:
    """Run the comparisons and print one JSON object."""
    evolve(np.zeros((1, 3, 3)), (RELAX,))  # scipy is imported here, outside what is timed
    json.dump({"against_loop": against_loop(), "grids": grids(), "batches": batches()}, sys.stdout, indent=2)
    sys.stdout.write("\n")


def against_loop() -> dict[str, float]:
    """The same map by the whole-array solver and cell by cell in Python."""
    phi = synthetic_maps(PUBLISHED_SHAPE, 1, np.random.default_rng(0))
    start_s = time.perf_counter()
    slow = loop(phi[0].tolist(), LOOP_STEPS)
    loop_s = time.perf_counter() - start_s
    stage = Stage(steps=LOOP_STEPS, bias_ev=0.0)
    quick_s = best_s(lambda: evolve(phi, (stage,)))
    many = np.repeat(phi, 64, axis=0)
    batch_s = best_s(lambda: evolve(many, (stage,))) / len(many)
    return {
        "loop_s": loop_s,
        "whole_array_s": quick_s,
        "loop_over_whole_array": loop_s / quick_s,
        "loop_over_one_map_of_64": loop_s / batch_s,
        "largest_difference": float(np.abs(np.array(slow) - evolve(phi, (stage,))[0]).max()),
    }


def loop(phi: list[list[float]], steps: int) -> list[list[float]]:
    """Explicit Euler in plain Python, f' from the spline's own polynomials."""
    spline = published_profile()._spline()
    knots, parts = spline.x.tolist(), spline.c.T.tolist()
    step, pull = PUBLISHED_SETTINGS.time_step, PUBLISHED_SETTINGS.grid_gradient_ev
    rows, columns = len(phi), len(phi[0])
    for _ in range(steps):
        after = [line[:] for line in phi]
        for i in range(rows):
            for j in range(columns):
                mine = phi[i][j]
                k = min(bisect_right(knots, mine), len(parts)) - 1
                off = mine - knots[k]
                slope = (3.0 * parts[k][0] * off + 2.0 * parts[k][1]) * off + parts[k][2]
                up, down = phi[max(i - 1, 0)][j], phi[min(i + 1, rows - 1)][j]
                left, right = phi[i][max(j - 1, 0)], phi[i][min(j + 1, columns - 1)]
                mine += step * (pull * (up + down + left + right - 4.0 * mine) - slope)
                after[i][j] = min(max(mine, 0.0), 1.0)
        phi = after
    return phi


def grids() -> list[dict[str, float]]:
    """The published schedule on finer grids over the same area: cells and steps both rise with the factor squared."""
    phi, found = synthetic_maps(PUBLISHED_SHAPE, 1, np.random.default_rng(0)), []
    for factor in (1, 2, 3, 4):
        fine = np.repeat(np.repeat(phi, factor, axis=1), factor, axis=2)
        settings = PUBLISHED_SETTINGS.refined(factor)
        spent_s = best_s(lambda fine=fine, settings=settings: evolve(fine, PUBLISHED_SCHEDULE, settings))
        steps = settings.substeps * sum(stage.steps for stage in PUBLISHED_SCHEDULE)
        after = evolve(fine, PUBLISHED_SCHEDULE, settings)
        found.append(
            {
                "factor": factor,
                "cells": fine.size,
                "steps": steps,
                "schedule_s": spent_s,
                "ns_per_cell_and_step": 1e9 * spent_s / (fine.size * steps),
                "phi_sum_after": float(after.sum()) / factor**2,
                "area_after": float((after > 0.5).sum()) / factor**2,
            }
        )
    return found


def batches() -> list[dict[str, float]]:
    """The published schedule on more maps at once."""
    found = []
    for maps in (1, 10, 100, 1000):
        phi = synthetic_maps(PUBLISHED_SHAPE, maps, np.random.default_rng(0))
        spent_s = best_s(lambda phi=phi: evolve(phi, PUBLISHED_SCHEDULE), times=2)
        found.append({"maps": maps, "schedule_s": spent_s, "ms_per_map": 1e3 * spent_s / maps})
    return found


def best_s(work: Callable[[], object], times: int = 5) -> float:
    """Shortest of several runs."""
    spent = []
    for _ in range(times):
        start_s = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start_s)
    return min(spent)


if __name__ == "__main__":
    main()
