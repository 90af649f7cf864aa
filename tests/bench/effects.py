"""What the effects of a real chip cost: program the same levels with every effect on and with none, in turns, as JSON.

    python tests/bench/effects.py [--profile rao2023-11bit-full] [--rows 256] [--turns 3] [--only wires ...]

Processor time of ``program`` alone, without verify; the ratio is what can be compared between machines. The issue that
asked for the effects wants it below 1.5.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from program import random_levels

from memprog.image import read_image, write_image
from memprog.jobs.chips import make_chip
from memprog.jobs.program import program
from memprog.jobs.setup import choose
from memprog.jobs.truth import score
from memprog.jobs.workspace import open_workspace
from memprog.profile import OPTIONAL_SECTIONS, load_profile, profile_text


def main() -> None:
    """Run both kinds in turns and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="rao2023-11bit-full")
    parser.add_argument("--rows", type=int, default=256, help="rows and columns of the part that is programmed")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=sorted(OPTIONAL_SECTIONS), help="switch on these effects only")
    arguments = parser.parse_args()
    whole = yaml.safe_load(profile_text(arguments.profile))
    wanted = set(arguments.only or OPTIONAL_SECTIONS)
    kinds = {
        "on": whole_without(whole, set(OPTIONAL_SECTIONS) - wanted),
        "off": whole_without(whole, set(OPTIONAL_SECTIONS)),
    }
    runs: dict[str, list[dict[str, Any]]] = {"on": [], "off": []}
    for _ in range(arguments.turns):
        for name, kind in kinds.items():
            runs[name].append(one_run(kind, arguments.seed, arguments.rows))
    spent = {name: statistics.median(run["processor_time_s"] for run in found) for name, found in runs.items()}
    effects = sorted(set(kinds["on"]) & set(OPTIONAL_SECTIONS))
    result = {"profile": arguments.profile, "effects": effects, "ratio": spent["on"] / spent["off"], "runs": runs}
    json.dump(result, sys.stdout, indent=2)
    sys.stdout.write("\n")


def whole_without(tree: dict[str, Any], sections: set[str]) -> dict[str, Any]:
    """A profile as plain data, some sections left out, under a name of its own."""
    return {key: value for key, value in tree.items() if key not in sections} | {"name": "bench-of-effects"}


def one_run(tree: dict[str, Any], seed: int, rows: int) -> dict[str, Any]:
    """Program one chip in a temporary workspace."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kind.yaml"
        path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
        kind, workspace = load_profile(str(path)), open_workspace(Path(folder))
        write_image(workspace.image_path, random_levels(kind, seed, rows))
        make_chip(workspace.chip_path, kind, seed=seed, arrays=1)
        start_s = time.process_time()
        run = program(workspace, profile=str(path), verify=False)
        spent_s = time.process_time() - start_s
        image = read_image(workspace.image_path)
        truth = score(workspace.chip_path, kind, image, choose(image, None))
        return {
            "processor_time_s": spent_s,
            "true_yield_of_healthy": float(truth.in_window[truth.healthy].mean()),
            "pulses_per_cell": run.pulses_per_cell_mean,
            "samples_per_cell": run.samples_per_cell_mean,
            "chip_time_s": run.chip_time_s,
        }


if __name__ == "__main__":
    main()
