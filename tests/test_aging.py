"""``sim age``: a simulated chip lies, its clock moves, and what relaxes goes on relaxing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memprog.errors import ChipFileError, InputError
from memprog.jobs.aging import age_chip
from memprog.jobs.chips import new_chip
from memprog.jobs.workspace import Workspace, open_workspace
from memprog.profile import bundled_profile
from memprog.simchip import SimChip

FULL = "rao2023-11bit-full"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with a chip of every effect, of one array."""
    found = open_workspace(tmp_path)
    new_chip(found, profile=FULL)
    return found


def left_usiemens(workspace: Workspace) -> float:
    """What all cells together have still to lose, as a length."""
    chip = SimChip(workspace.chip_path, bundled_profile(FULL))
    left = float(np.linalg.norm(chip._load(0)["unrelaxed"].sum(axis=0)))
    chip.close()
    return left


def stirred(workspace: Workspace) -> float:
    """Leave the chip with much to lose; gives how much."""
    chip = SimChip(workspace.chip_path, bundled_profile(FULL))
    chip._load(0)["unrelaxed"][:] = 1.0
    chip._commit(np.array([0]))
    chip.close()
    return left_usiemens(workspace)


def test_clock_moves_by_the_hours(workspace: Workspace) -> None:
    assert age_chip(workspace, hours=24.0).clock_s == 86_400.0
    assert age_chip(workspace, hours=0.5, celsius=85.0).clock_s == 88_200.0


def test_cells_lose_more_in_an_oven(workspace: Workspace) -> None:
    before = stirred(workspace)
    age_chip(workspace, hours=1.0)
    cool = left_usiemens(workspace)
    stirred(workspace)
    age_chip(workspace, hours=1.0, celsius=150.0)
    assert left_usiemens(workspace) < 0.7 * cool < 0.7 * before


@pytest.mark.parametrize("hours", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_hours_that_are_none_are_refused_and_nothing_changes(hours: float, workspace: Workspace) -> None:
    before = workspace.chip_path.read_bytes()
    with pytest.raises(InputError):
        age_chip(workspace, hours=hours)
    assert workspace.chip_path.read_bytes() == before


@pytest.mark.parametrize("celsius", [-273.2, 1000.0, float("nan")])
def test_temperatures_beyond_what_is_known_are_refused(celsius: float, workspace: Workspace) -> None:
    with pytest.raises(InputError, match="degrees Celsius"):
        age_chip(workspace, hours=1.0, celsius=celsius)


def test_warmth_is_refused_where_the_profile_says_nothing_of_it(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    new_chip(workspace)
    with pytest.raises(InputError, match="no section 'retention'"):
        age_chip(workspace, hours=1.0, celsius=85.0)
    assert age_chip(workspace, hours=1.0).clock_s == 3600.0


def test_without_a_chip_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ChipFileError, match="there is no chip"):
        age_chip(open_workspace(tmp_path), hours=1.0)
