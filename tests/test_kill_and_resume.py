"""kill -9 at any moment of a run, any number of times, then resume: the four promises of the journal, counted."""

from __future__ import annotations

import dataclasses
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holding import small_bench
from kills import (
    FEED,
    Account,
    Kill,
    Result,
    account_of,
    check_at_kill,
    check_equal,
    check_errs_upwards,
    has_run,
    result_of,
    run_killed,
    run_on,
)
from loop_cases import Bench, make_bench

from memprog.jobs.chips import make_chip
from memprog.jobs.program import program

OFTEN = (
    "before journal intent",
    "after journal intent",
    "before journal outcome",
    "after journal outcome",
    "before chip slot",
    "inside chip slot",
    "after chip slot",
)
SELDOM = (
    "before journal schema",
    "after journal schema",
    "before journal run",
    "after journal run",
    "before journal cells",
    "after journal cells",
    "before journal end",
    "before file",
    "inside file",
    "after file",
    "before chip clock",
    "after chip clock",
)
EXTRA_PULSES = 1.02
YIELD_LOSS = 0.002


def random_kill(rng: np.random.Generator, batches: int, lines: int) -> Kill:
    """Any moment of a run, that is of so many batches and tells so many lines at most."""
    chance = rng.random()
    if chance < 0.2:
        return Kill(FEED, int(rng.integers(1, lines)))
    if chance < 0.3:
        return Kill(str(rng.choice(SELDOM)), int(rng.integers(1, 4)))
    return Kill(str(rng.choice(OFTEN)), int(rng.integers(1, batches)))


@dataclasses.dataclass(frozen=True)
class Chain:
    """A run that was killed again and again, until it came to its end."""

    bench: Bench
    killed: tuple[Kill, ...]
    account: Account


def chain(bench: Bench, kills: list[Kill], *options: str, forgetful: bool = False) -> Chain:
    """Kill a run at each of some moments, where it comes so far, check it each time, and let it end."""
    account, killed = account_of(bench), []
    for kill in kills:
        words = ("program", "--resume") if has_run(bench) else ("program", "--array")
        if run_killed(bench, kill, *words, "--no-verify", *options, forgetful=forgetful):
            killed.append(kill)
            account = check_at_kill(bench, account)
        elif not has_run(bench):
            break
    else:
        words = ("program", "--resume") if has_run(bench) else ("program", "--array")
        ended = run_on(bench, *words, "--no-verify", *options, forgetful=forgetful)
        assert ended.code in {0, 1}, ended.err
        assert ended.fields["resumed"] == ("--resume" in words)
    account = check_errs_upwards(bench, len(killed)) if forgetful else check_equal(bench)
    assert account.most_in_a_run <= bench.kind.limits.pulses_per_cell_run
    return Chain(bench, tuple(killed), account)


def unkilled(bench: Bench, folder: Path, **options: Any) -> Result:
    """The same run on the same chip, left alone."""
    size, seed = bench.kind.geometry, int(folder.name.rpartition("-")[2])
    twin = dataclasses.replace(bench, workspace=dataclasses.replace(bench.workspace, **moved(bench, folder)))
    make_chip(twin.workspace.chip_path, bench.kind, seed=seed, arrays=size.arrays)
    program(twin.workspace, profile=bench.profile, verify=False, **options)
    return result_of(twin)


def moved(bench: Bench, folder: Path) -> dict[str, Path]:
    """The files of another workspace with the same image."""
    folder.mkdir()
    shutil.copy(bench.workspace.image_path, folder)
    names = ("image_path", "chip_path", "journal_path")
    return {"folder": folder} | {name: folder / getattr(bench.workspace, name).name for name in names}


FEW_ROUNDS = {"rows": 12, "columns": 12, "protocol__round_budget": 30}
CHAINS: list[tuple[dict[str, Any], tuple[str, ...], bool]] = [
    ({}, (), False),
    ({}, (), False),
    ({}, (), False),
    ({}, (), True),
    ({}, ("--no-denoise",), False),
    ({"arrays": 2, "rows": 6}, (), False),
    ({"arrays": 2, "rows": 6}, (), True),
    ({"arrays": 3, "rows": 4}, (), False),
    ({"limits__pulses_per_cell_run": 24, "protocol__pulse_budget": 21}, (), False),
    ({"limits__pulses_per_cell_run": 24, "protocol__pulse_budget": 21}, (), True),
]
"""What is special about chip and command line of each chain, and whether the chip cannot tell its last batch."""


@pytest.mark.parametrize("number", [pytest.param(n, marks=[pytest.mark.long] * (n % 2)) for n in range(len(CHAINS))])
def test_nothing_is_lost_and_nothing_given_twice_in_a_chain_of_kills(number: int, tmp_path: Path) -> None:
    sizes, options, forgetful = CHAINS[number]
    bench = small_bench(tmp_path / "bench", **FEW_ROUNDS | sizes | {"seed": number})
    rng = np.random.default_rng([number, 3])
    kills = [random_kill(rng, 80, 30) for _ in range(3)]
    done = chain(bench, kills, *options, forgetful=forgetful)
    assert done.killed
    alone = unkilled(bench, tmp_path / f"alone-{number}", denoise="--no-denoise" not in options)
    result = result_of(bench)
    # Four deviations of two counts that are as uncertain as counts of these cells can be.
    assert result.in_window > alone.in_window - 4.0 * (0.5 * result.cells) ** 0.5
    assert result.false_done < alone.false_done + 4.0 * (2.0 * alone.false_done + 1.0) ** 0.5
    # A run of a single pass has two after a kill.
    assert result.pulses < 1.25 * alone.pulses


@pytest.mark.long
def test_two_hundred_kills_cost_neither_pulses_nor_yield_nor_truth(tmp_path: Path) -> None:
    chips, chains, kills = 10, 50, 5
    rng = np.random.default_rng(200)
    moments = [[random_kill(rng, 400, 90) for _ in range(kills)] for _ in range(chains)]

    def alone(seed: int) -> Result:
        bench = make_bench(tmp_path / f"alone-{seed}", rows=48, columns=48, seed=seed)
        assert run_on(bench, "program", "--array", "--no-verify").code in {0, 1}
        check_equal(bench)
        return result_of(bench)

    def killed(number: int) -> tuple[int, Result]:
        forgetful = number % 5 == 4
        bench = make_bench(tmp_path / f"chain-{number}", rows=48, columns=48, seed=number % chips)
        done = chain(bench, moments[number], forgetful=forgetful)
        result = result_of(bench)
        shutil.rmtree(bench.workspace.folder)
        return len(done.killed), result

    with ThreadPoolExecutor(2) as pool:
        unkilled_runs, killed_runs = pool.map(alone, range(chips)), pool.map(killed, range(chains))
        before, after = list(unkilled_runs), list(killed_runs)
    figures = aggregated(before, [result for _, result in after]) | {"kills": sum(count for count, _ in after)}
    print(json.dumps(figures))
    assert figures["kills"] >= 200
    assert figures["yield_loss"] <= YIELD_LOSS
    assert figures["pulses_ratio"] <= EXTRA_PULSES
    assert figures["false_done_more"] <= 3.0 * figures["false_done_deviation"]


def aggregated(alone: list[Result], killed: list[Result]) -> dict[str, float]:
    """What kills cost, over all cells of all runs; each as a share of the cells, or of the pulses."""

    def share(results: list[Result], name: str) -> float:
        return float(sum(getattr(result, name) for result in results) / sum(result.cells for result in results))

    false_before, false_after = share(alone, "false_done"), share(killed, "false_done")
    cells = sum(result.cells for result in alone), sum(result.cells for result in killed)
    return {
        "cells_unkilled": cells[0],
        "cells_killed": cells[1],
        "yield_unkilled": share(alone, "in_window"),
        "yield_killed": share(killed, "in_window"),
        "yield_loss": share(alone, "in_window") - share(killed, "in_window"),
        "done_unkilled": share(alone, "done"),
        "done_killed": share(killed, "done"),
        "false_done_unkilled": false_before,
        "false_done_killed": false_after,
        "false_done_more": false_after - false_before,
        "false_done_deviation": (false_before / cells[0] + false_before / cells[1]) ** 0.5,
        "pulses_ratio": share(killed, "pulses") / share(alone, "pulses"),
    }
