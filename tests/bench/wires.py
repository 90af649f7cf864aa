"""Solve arrays with wires, with WireSolver and with SciPy's sparse LU, and print how they compare, as JSON.

    python tests/bench/wires.py [--size 256] [--repeat 3]

Each solver runs in a process of its own, so that its peak memory is its own; the memory of a process that only imports
the same modules is taken off. LU is timed without filling its matrix, and with the ordering that is fastest for it.
Ratios are what can be compared between machines.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

from memprog.physics.wires import Wires, WireSolver

CASES = [(1.0, 100.0, 1.0), (1.0, 100.0, 0.1), (50.0, 4144.0, 0.01), (50.0, 4144.0, 0.47), (50.0, 4144.0, 1.0)]
"""Least and most conductance of a cell in uS, ohm a segment."""

Array = np.ndarray
Solve = Callable[[Array], Array]


def main() -> None:
    """Run every case with both solvers, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="rows and columns")
    parser.add_argument("--repeat", type=int, default=3, help="runs a solver; the quickest counts")
    parser.add_argument("--solver", choices=["none", "wires", "lu"], help=argparse.SUPPRESS)
    parser.add_argument("--case", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.solver:
        json.dump(one_solver(arguments.solver, arguments.size, arguments.repeat, *CASES[arguments.case]), sys.stdout)
        return
    idle = in_child("none", 0, arguments)["peak_mb"]
    cases = [compare(number, arguments, idle) for number in range(len(CASES))]
    json.dump({"size": arguments.size, "import_only_mb": idle, "cases": cases}, sys.stdout, indent=2)
    sys.stdout.write("\n")


def in_child(solver: str, case: int, arguments: argparse.Namespace) -> dict:
    """Run one solver on one case in a process of its own."""
    options = {"solver": solver, "case": case, "size": arguments.size, "repeat": arguments.repeat}
    command = [sys.executable, __file__, *(f"--{name}={value}" for name, value in options.items())]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(case: int, arguments: argparse.Namespace, idle_mb: float) -> dict[str, object]:
    """Run both solvers on one case."""
    ours, lu = in_child("wires", case, arguments), in_child("lu", case, arguments)
    current_a, reference_a = np.array(ours.pop("current_a")), np.array(lu.pop("current_a"))
    low, high, ohm = CASES[case]
    for run in (ours, lu):
        run["own_peak_mb"] = run.pop("peak_mb") - idle_mb
    return {
        "usiemens": [low, high],
        "ohm_per_segment": ohm,
        "lost_share": 1 - reference_a.sum() / ours.pop("ideal_a"),
        "worst_relative_difference": float(np.abs(current_a / reference_a - 1).max()),
        "wires": ours,
        "lu": {name: value for name, value in lu.items() if name != "ideal_a"},
        "first_product_times_faster": lu["first_s"] / ours["first_s"],
        "further_product_times_faster": lu["further_s"] / ours["further_s"],
        "memory_times_smaller": lu["own_peak_mb"] / ours["own_peak_mb"],
    }


def one_solver(solver: str, size: int, repeat: int, low: float, high: float, ohm: float) -> dict[str, object]:
    """Time the first product and a further one, in this process."""
    found: dict[str, object] = {}
    if solver != "none":
        rng = np.random.default_rng(0)
        conductance, row_v = rng.uniform(low, high, (size, size)), rng.uniform(0, 0.2, (2, size))
        wires = Wires(row_ohm=ohm, column_ohm=ohm)
        prepare = with_wires(conductance, wires) if solver == "wires" else with_lu(conductance, wires)
        first_s, further_s = [], []
        for _ in range(repeat):
            started_s = time.perf_counter()
            solve = prepare()
            current_a = solve(row_v[0])
            first_s.append(time.perf_counter() - started_s)
            started_s = time.perf_counter()
            solve(row_v[1])
            further_s.append(time.perf_counter() - started_s)
        found = {"first_s": min(first_s), "further_s": min(further_s), "current_a": current_a.tolist()}
        found["ideal_a"] = float((row_v[0] @ conductance).sum() * 1e-6)
        if solver == "wires":
            array = WireSolver(conductance, wires)
            array.currents_a(row_v[:1])
            found["iterations"] = array.iterations
    return {**found, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def with_wires(conductance: Array, wires: Wires) -> Callable[[], Solve]:
    """What prepares memprog's solver."""

    def prepare() -> Solve:
        solver = WireSolver(conductance, wires)
        return lambda row_v: solver.currents_a(row_v[None])[0]

    return prepare


def with_lu(conductance: Array, wires: Wires) -> Callable[[], Solve]:
    """What prepares SciPy's, for wires without driver and sense resistance sensed beside row 0."""
    rows, columns = conductance.shape
    node = np.arange(2 * rows * columns).reshape(2, rows, columns)
    row, column = 1 / wires.row_ohm, 1 / wires.column_ohm
    branches = [
        (node[0], node[1], conductance * 1e-6),
        (node[0, :, :-1], node[0, :, 1:], np.full((rows, columns - 1), row)),
        (node[1, :-1], node[1, 1:], np.full((rows - 1, columns), column)),
    ]
    at, to, value = (np.concatenate([branch[k].ravel() for branch in branches]) for k in range(3))
    diagonal = np.bincount(at, value, node.size) + np.bincount(to, value, node.size)
    diagonal[node[0, :, 0]] += row
    diagonal[node[1, 0]] += column
    entries = np.concatenate([-value, -value, diagonal])
    places = np.concatenate([at, to, node.ravel()]), np.concatenate([to, at, node.ravel()])
    matrix = csc_matrix((entries, places))

    def prepare() -> Solve:
        factored = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})

        def solve(row_v: Array) -> Array:
            injected = np.zeros(node.size)
            injected[node[0, :, 0]] = row * row_v
            return factored.solve(injected)[node[1, 0]] * column

        return solve

    return prepare


if __name__ == "__main__":
    main()
