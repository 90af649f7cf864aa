"""The simulated chip keeps the contract that every chip must keep."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from contract import CHECKS, Bench
from small_chip import new_chip, small_profile

PROFILES = ("rao2023-11bit", "rao2023-onchip-6bit")


def sim_bench(name: str, folder: Path) -> Bench:
    """Fresh simulated chips, small enough to be quick; their row limit is one that a small row can exceed."""
    profile = small_profile(name, limits={"row_current_max_a": 2e-4})
    number = itertools.count()
    return Bench(open_chip=lambda: new_chip(folder, profile, seed=5, name=f"{next(number)}.sim"), profile=profile)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_simulated_chip(check: Callable[[Bench], None], name: str, tmp_path: Path) -> None:
    check(sim_bench(name, tmp_path))


def test_every_promise_is_found_by_its_name() -> None:
    assert len(CHECKS) >= 20
