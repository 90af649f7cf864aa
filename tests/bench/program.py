"""Program a full array of random levels and print how it went, as JSON. Run by hand; it takes a minute a seed.

    python tests/bench/program.py [--seeds 0 1 2] [--profile rao2023-11bit] [--rows 256]

Times are also given as a ratio to what NumPy needs, in the same process, to draw as many normal samples as the reads
took: the ratio is what can be compared between machines.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from memprog.image import Image, read_image, write_image
from memprog.jobs.chips import make_chip
from memprog.jobs.program import program
from memprog.jobs.setup import choose
from memprog.jobs.truth import score
from memprog.jobs.verify import verify
from memprog.jobs.workspace import Workspace, open_workspace
from memprog.profile import ChipProfile, bundled_profile
from memprog.session import Journal


def main() -> None:
    """Run every seed with denoise and without, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--profile", default="rao2023-11bit")
    parser.add_argument("--rows", type=int, default=256, help="rows and columns of the part that is programmed")
    arguments = parser.parse_args()
    kind = bundled_profile(arguments.profile)
    runs = [
        one_run(kind, seed, arguments.rows, denoise=denoise) for seed in arguments.seeds for denoise in (True, False)
    ]
    json.dump({"profile": kind.name, "profile_sha256": kind.sha256, "runs": runs}, sys.stdout, indent=2)
    sys.stdout.write("\n")


def one_run(kind: ChipProfile, seed: int, rows: int, *, denoise: bool) -> dict[str, object]:
    """Program one chip in a temporary workspace and score it."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = open_workspace(Path(folder))
        write_image(workspace.image_path, random_levels(kind, seed, rows))
        image = read_image(workspace.image_path)
        make_chip(workspace.chip_path, kind, seed=seed, arrays=1)
        part = choose(image, None)
        start_s = time.perf_counter()
        run = program(workspace, denoise=denoise, verify=False)
        host_time_s = time.perf_counter() - start_s
        truth = score(workspace.chip_path, kind, image, part)
        done = said_done(workspace, run.run_id)[part.masks[0]]
        verified = verify(workspace)
        normals_s = seconds_for_normals(int(run.samples_per_cell_mean * run.cells))
        return {
            "seed": seed,
            "denoise": denoise,
            "cells": run.cells,
            "healthy": int(truth.healthy.sum()),
            "true_yield_of_healthy": float(truth.in_window[truth.healthy].mean()),
            "true_yield_of_healthy_on_average": float(truth.in_window_on_average[truth.healthy].mean()),
            "true_yield": float(truth.in_window.mean()),
            "verify_yield": verified.yield_fraction,
            "said_done": float(done.mean()),
            "false_done": float((done & ~truth.in_window).sum() / max(done.sum(), 1)),
            "failed_by_reason": run.failed_by_reason,
            "pulses_per_cell": run.pulses_per_cell_mean,
            "pulses_per_cell_p99": run.pulses_per_cell_p99,
            "denoise_pulses_per_cell": run.denoise_pulses_total / run.cells,
            "samples_per_cell": run.samples_per_cell_mean,
            "rounds": run.rounds,
            "chip_time_s": run.chip_time_s,
            "host_time_s": host_time_s,
            "normals_s": normals_s,
            "host_time_over_normals": host_time_s / normals_s,
            "journal_mb": workspace.journal_path.stat().st_size / 1e6,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def random_levels(kind: ChipProfile, seed: int, rows: int) -> Image:
    """An image of uniformly random levels in the upper left corner of one array."""
    geometry, levels = kind.geometry, kind.levels
    targets = np.full((1, geometry.rows, geometry.columns), np.nan, dtype=np.float32)
    chosen = np.random.default_rng([seed, 1]).integers(0, levels.count, (rows, rows))
    targets[0, :rows, :rows] = levels.min_usiemens + chosen * levels.spacing_usiemens
    return Image(
        profile_name=kind.name,
        profile_sha256=kind.sha256,
        weights_sha256="",
        weights_name="random levels",
        weights_format="npy",
        layers=(),
        digital={},
        targets_usiemens=targets,
    )


def said_done(workspace: Workspace, run_id: str) -> np.ndarray:
    """Cells (rows, columns) the loop called done."""
    journal = Journal(workspace.journal_path, durable=False)
    cells = journal.cells_of(run_id, 0)
    journal.close()
    assert cells is not None
    return cells["done"]


def seconds_for_normals(count: int) -> float:
    """How long NumPy takes to draw so many standard normal samples, a million at a time."""
    rng = np.random.default_rng(0)
    start_s = time.perf_counter()
    for _ in range(max(count // 1_000_000, 1)):
        rng.standard_normal(1_000_000)
    return time.perf_counter() - start_s


if __name__ == "__main__":
    main()
