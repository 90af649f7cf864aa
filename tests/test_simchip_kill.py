"""A simulated chip whose process is killed, at every point and at any moment: a batch is wholly there or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import environment
from small_chip import array_cells, new_chip, read_spec, same_pulses, small_profile

from memprog.chip import Bias
from memprog.faults import POINTS
from memprog.simchip import ChipSummary, SimChip, create, summary_of

TESTS = Path(__file__).parent

PULSING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from small_chip import array_cells, read_spec, same_pulses, small_profile
from memprog.chip import Bias
from memprog.simchip import SimChip
chip = SimChip(Path(sys.argv[1]), small_profile())
batch = chip.last_batch_id() or 0
while True:
    batch += 1
    cells = array_cells(chip, batch % 2).take(slice(0, 16 + batch % 7))
    chip.pulse(cells, same_pulses(len(cells), Bias.SET, 1.9), batch)
    print(batch, chip.clock_s(), flush=True)
    chip.read(cells, read_spec(samples=2))
    chip.wait(0.25)
"""

MAKING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from small_chip import small_profile
from memprog.simchip import create
create(Path(sys.argv[1]), small_profile(), seed=2, arrays=2)
"""

KILLS = [
    ("before chip slot", 1, None),
    ("inside chip slot", 1, None),
    ("after chip slot", 1, 1),
    ("before chip slot", 2, 1),
    ("inside chip slot", 2, 1),
    ("after chip slot", 2, 1),
    ("before chip clock", 1, 1),
    ("after chip clock", 1, 1),
    ("before chip slot", 7, 3),
    ("inside chip slot", 7, 3),
    ("after chip slot", 7, 4),
    ("inside chip slot", 8, 4),
    ("before chip clock", 5, 5),
    ("after chip clock", 5, 5),
]
"""Point, how often it is passed, and the last batch that is then in the file.

Every turn of the loop commits a slot twice, for the pulses and for the read, and moves the clock of the head once.
"""


def started(code: str, path: Path, **more: str) -> subprocess.Popen[str]:
    """A process that does something to a chip."""
    command = [sys.executable, "-c", code, str(path), str(TESTS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(**more))


def killed_at(code: str, path: Path, fault: str) -> list[str]:
    """Let a process run until it dies at a fault; returns what it said."""
    process = started(code, path, MEMPROG_FAULT=fault)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == (-9 if os.name == "posix" else 137)
    return said.splitlines()


def generations(path: Path) -> list[int]:
    """Generation of the newest state of each array."""
    chip = SimChip(path, small_profile())
    return [int(chip._load(array)["generation"]) for array in (0, 1)]


def check_whole(path: Path) -> ChipSummary:
    """A chip that everything agrees about: last batch, pulses, wear, clock, and no cell lives in the future."""
    chip, summary = SimChip(path, small_profile()), summary_of(path)
    assert (chip.last_batch_id(), chip.clock_s()) == (summary.last_batch, summary.clock_s)
    assert summary.pulses == sum(16 + batch % 7 for batch in range(1, (summary.last_batch or 0) + 1))
    for array in (0, 1):
        state = chip._load(array)
        batches = range(2 - array, (summary.last_batch or 0) + 1, 2)
        assert state["wear"].sum() == state["pulses"] == sum(16 + batch % 7 for batch in batches)
        assert max(state["relaxed_until_s"].max(), state["noise_until_s"].max()) <= chip.clock_s()
    return summary


@pytest.mark.parametrize(("point", "count", "last_batch"), KILLS)
def test_batch_is_wholly_there_or_not_at_all(point: str, count: int, last_batch: int | None, tmp_path: Path) -> None:
    path = new_chip(tmp_path)._file.path
    before = generations(path)
    said = killed_at(PULSING, path, f"{point}:{count}")
    summary = check_whole(path)
    assert summary.last_batch == last_batch
    assert np.all(np.array(generations(path)) >= before)
    if said:
        batch, clock_s = said[-1].split()
        assert int(batch) in {last_batch, (last_batch or 0) - 1}
        assert summary.clock_s >= float(clock_s)
    # And it goes on as if nothing had been.
    chip = SimChip(path, small_profile())
    cells = array_cells(chip, 1)
    chip.pulse(cells, same_pulses(len(cells), Bias.RESET, 1.2), 1000)
    assert np.isfinite(chip.trace(cells, read_spec(samples=2))).any(axis=1).mean() > 0.9
    assert summary_of(path).pulses == summary.pulses + len(cells)
    assert summary_of(path).last_batch == 1000


@pytest.mark.parametrize("kills", [8, pytest.param(40, marks=pytest.mark.long)])
def test_chip_survives_kills_at_any_moment(kills: int, tmp_path: Path) -> None:
    path = new_chip(tmp_path)._file.path
    rng = np.random.default_rng(20)
    summary, alive = summary_of(path), generations(path)
    for wanted in rng.integers(2, 12, kills).tolist():
        process = started(PULSING, path)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(wanted)]
        process.kill()
        # Not communicate(): it passes by what readline has already taken in.
        said += process.stdout.read().splitlines()
        process.communicate(timeout=60)
        batch, clock_s = said[-1].split()
        after = check_whole(path)
        # What was told as done is done; of what was not, at most one batch is.
        assert after.last_batch in {int(batch), int(batch) + 1}
        assert after.clock_s >= max(float(clock_s), summary.clock_s)
        newest = generations(path)
        assert all(now > then for now, then in zip(newest, alive, strict=True))
        summary, alive = after, newest
    assert (summary.last_batch or 0) > 3 * kills


def test_batch_over_two_arrays_is_committed_array_by_array(tmp_path: Path) -> None:
    path = new_chip(tmp_path)._file.path
    code = PULSING.replace("array_cells(chip, batch % 2).take(slice(0, 16 + batch % 7))", "both(chip)")
    both = "def both(chip):\n    from contract import shuffled\n    return shuffled(chip)\n"
    killed_at(both + code, path, "before chip slot:2")
    chip = SimChip(path, small_profile())
    assert [int(chip._load(array)["pulses"]) for array in (0, 1)] == [256, 0]
    assert chip.last_batch_id() == 1
    assert summary_of(path).pulses == 256


def test_chip_that_was_being_replaced_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    path, wanted = tmp_path / "chip.sim", tmp_path / "wanted.sim"
    create(path, small_profile(), seed=1, arrays=2)
    create(wanted, small_profile(), seed=2, arrays=2)
    old = path.read_bytes()
    killed_at(MAKING, path, "before chip file")
    assert path.read_bytes() == old
    killed_at(MAKING, path, "after chip file")
    assert path.read_bytes() == wanted.read_bytes()
    leftovers = {entry.name for entry in tmp_path.iterdir()} - {"chip.sim", "wanted.sim"}
    assert all(name.startswith(".chip.sim.") and name.endswith(".partial") for name in leftovers)
    assert len(leftovers) == 1


def test_every_point_of_the_chip_is_visited() -> None:
    visited = {point for point, _, _ in KILLS} | {"before chip file", "after chip file"}
    assert visited == {point for point in POINTS if " chip " in point}
