"""Verify: by fresh reads, from image and chip alone, and honest about what it cannot certify."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from loop_cases import Bench, make_bench, wear_of

from memprog.errors import ImageError, InputError, LimitError
from memprog.jobs.chips import make_chip
from memprog.jobs.program import program
from memprog.jobs.verify import verify

BRIEF = {"protocol__passes": 1, "protocol__mop_up_passes": 1}
STUCK = {"simulation__stuck_high_fraction": 0.03, "simulation__stuck_low_fraction": 0.03}


def bench_in(folder: Path, **options: object) -> Bench:
    return make_bench(folder, **{"rows": 16, "columns": 16, "seed": 5} | BRIEF | options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench_in(tmp_path_factory.mktemp("untouched"))


def test_a_chip_that_was_never_programmed_does_not_pass(untouched: Bench) -> None:
    report = verify(untouched.workspace, profile=untouched.profile)
    assert report.cells == 256
    assert report.yield_fraction < 0.02
    assert report.passed is False
    assert report.error_max_usiemens > 1000.0
    assert report.simulated is True
    assert len(report.first_failures) == 10
    assert {one["reason"] for one in report.first_failures} <= {"off target", "fluctuating"}
    assert not untouched.workspace.journal_path.exists()


def test_reads_are_spread_over_the_time_the_window_is_defined_for(untouched: Bench) -> None:
    report = verify(untouched.workspace, profile=untouched.profile)
    assert report.noise_span_s == pytest.approx(100.0, rel=0.1)


def test_the_least_yield_decides_and_stands_in_the_report(untouched: Bench) -> None:
    report = verify(untouched.workspace, profile=untouched.profile, min_yield=0.0)
    assert (report.min_yield, report.passed) == (0.0, True)
    report = verify(untouched.workspace, profile=untouched.profile, window_usiemens=1e6)
    assert (report.min_yield, report.passed) == (untouched.kind.levels.min_yield, True)
    assert report.yield_fraction == 1.0


def test_a_window_finer_than_the_bench_can_see_is_refused_with_the_one_it_can(untouched: Bench) -> None:
    floor = verify(untouched.workspace, profile=untouched.profile).window_floor_usiemens
    assert 0.0 < floor < untouched.kind.levels.window_usiemens
    verify(untouched.workspace, profile=untouched.profile, window_usiemens=floor)
    for window in (0.999 * floor, 0.0, -1.0, math.nan):
        with pytest.raises(LimitError, match=f"cannot be certified on this bench; {floor:.3g} uS can"):
            verify(untouched.workspace, profile=untouched.profile, window_usiemens=window)


def test_verify_gives_no_pulse(untouched: Bench) -> None:
    verify(untouched.workspace, profile=untouched.profile)
    assert (wear_of(untouched) == 0).all()


def test_cells_beyond_the_range_are_counted_as_unread_and_never_in_the_window(tmp_path: Path) -> None:
    bench = bench_in(tmp_path, simulation__stuck_high_fraction=0.1, simulation__stuck_low_fraction=0.0)
    report = verify(bench.workspace, profile=bench.profile, window_usiemens=1e6)
    assert 10 < report.cells_unread < 50
    assert report.cells_in_window == report.cells - report.cells_unread
    assert np.isfinite(report.error_mean_usiemens)
    shown = report.to_dict()["first_failures"][0]
    assert (shown["reason"], shown["readback_usiemens"]) == ("unread", None)


def test_without_an_image_or_a_chip_there_is_nothing_to_verify(untouched: Bench, tmp_path: Path) -> None:
    bench = bench_in(tmp_path, chip=False)
    with pytest.raises(InputError, match="there is no chip"):
        verify(bench.workspace, profile=bench.profile)
    bench.workspace.image_path.unlink()
    with pytest.raises(ImageError, match="there is no image"):
        verify(bench.workspace, profile=bench.profile)


def test_another_chip_than_expected_is_not_read(untouched: Bench) -> None:
    with pytest.raises(LimitError, match="expected nobody"):
        verify(untouched.workspace, profile=untouched.profile, expect_serial="nobody")


def test_a_later_run_of_a_few_cells_does_not_make_verify_forget_the_stuck_ones(tmp_path: Path) -> None:
    bench = bench_in(tmp_path, **STUCK)
    program(bench.workspace, profile=bench.profile, verify=False)
    stuck = verify(bench.workspace, profile=bench.profile).stuck_cells
    assert stuck > 5
    program(bench.workspace, profile=bench.profile, region=(0, 1, 0, 4), verify=False)
    assert abs(verify(bench.workspace, profile=bench.profile).stuck_cells - stuck) <= 1


def test_a_new_chip_is_not_held_to_have_the_old_ones_stuck_cells(tmp_path: Path) -> None:
    bench = bench_in(tmp_path, **STUCK)
    program(bench.workspace, profile=bench.profile, verify=False)
    make_chip(bench.workspace.chip_path, bench.kind, seed=77, arrays=1)
    assert verify(bench.workspace, profile=bench.profile).stuck_cells == 0
