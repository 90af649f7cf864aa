"""Program and verify as whole jobs on small simulated chips, held against what the chips know of themselves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from loop_cases import Bench, make_bench, random_targets, wear_of, write_targets
from processes import environment

from memprog.chip import Mask
from memprog.errors import InputError, LimitError
from memprog.jobs.chips import make_chip
from memprog.jobs.program import program
from memprog.jobs.setup import choose
from memprog.jobs.truth import Score, score
from memprog.jobs.verify import verify
from memprog.jobs.workspace import open_workspace
from memprog.protocol import Reason
from memprog.report.program import ProgramReport
from memprog.report.verify import VerifyReport
from memprog.session import Journal
from memprog.simchip import SimChip

SIZE, SEED = 48, 1
STUCK = {"simulation__stuck_high_fraction": 0.015, "simulation__stuck_low_fraction": 0.015}
BRIEF = {"protocol__passes": 1, "protocol__mop_up_passes": 1}
"""For what is not about yield: a run that comes to an end soon."""


def score_of(bench: Bench) -> Score:
    return score(bench.workspace.chip_path, bench.kind, bench.image, choose(bench.image, None))


def stuck_in(bench: Bench) -> np.ndarray:
    """1 for stuck high, -1 for stuck low, as the chip knows (rows, columns)."""
    chip = SimChip(bench.workspace.chip_path, bench.kind)
    size = bench.kind.geometry
    return np.array(chip._file.silicon[0]["stuck"]).reshape(size.rows, size.columns)


def said_of(bench: Bench, run_id: str) -> dict[str, np.ndarray]:
    """What a run says of the cells of array 0: done and reason (rows, columns)."""
    journal = Journal(bench.workspace.journal_path, durable=False)
    cells = journal.cells_of(run_id, 0)
    journal.close()
    assert cells is not None
    return cells


@dataclass(frozen=True)
class Finished:
    """A bench after one run, with the truth at its end and the verify that followed."""

    bench: Bench
    run: ProgramReport
    truth: Score
    verified: VerifyReport


def finish(folder: Path, *, denoise: bool) -> Finished:
    bench = make_bench(folder, rows=SIZE, columns=SIZE, seed=SEED, **STUCK)
    run = program(bench.workspace, profile=bench.profile, denoise=denoise, verify=False)
    # The truth is about the 100 s that begin here; verify's reads take as long and come after.
    truth = score_of(bench)
    return Finished(bench, run, truth, verify(bench.workspace, profile=bench.profile))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finish(tmp_path_factory.mktemp("denoise"), denoise=True)


@pytest.fixture(scope="module")
def undenoised(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finish(tmp_path_factory.mktemp("no-denoise"), denoise=False)


def brief(folder: Path, **options: object) -> Bench:
    """A small bench whose runs end soon."""
    return make_bench(folder, **{"rows": 16, "columns": 16, "seed": 3} | BRIEF | options)  # type: ignore[arg-type]


def test_nine_healthy_cells_in_ten_are_truly_in_their_window(finished: Finished) -> None:
    truth = finished.truth
    assert truth.healthy.mean() > 0.9
    assert truth.in_window[truth.healthy].mean() >= 0.95


def test_verify_says_what_is_true_within_two_points(finished: Finished) -> None:
    assert finished.verified.cells == SIZE * SIZE
    assert abs(finished.verified.yield_fraction - finished.truth.in_window.mean()) <= 0.02


def test_what_the_loop_calls_done_is_seldom_truly_outside(finished: Finished) -> None:
    done = said_of(finished.bench, finished.run.run_id)["done"].ravel()
    assert done.sum() == finished.run.cells_done
    assert (done & ~finished.truth.in_window).sum() / done.sum() < 0.02


def test_verify_in_a_fresh_process_agrees(finished: Finished, tmp_path: Path) -> None:
    workspace = shutil.copytree(finished.bench.workspace.folder, tmp_path / "copy")
    words = ["verify", "--workspace", str(workspace), "--profile", finished.bench.profile, "--format", "json"]
    ended = subprocess.run(
        [sys.executable, "-m", "memprog", *words], env=environment(), capture_output=True, text=True, check=False
    )
    again = json.loads(ended.stdout)
    assert ended.returncode == (0 if again["passed"] else 1)
    assert again["chip"] == finished.verified.chip
    assert again["image_sha256"] == finished.run.image_sha256
    assert abs(again["yield_fraction"] - finished.verified.yield_fraction) <= 0.03


def test_denoising_makes_more_cells_truly_good(finished: Finished, undenoised: Finished) -> None:
    better, worse = (one.truth.in_window[one.truth.healthy].mean() for one in (finished, undenoised))
    assert better - worse >= 0.025
    assert finished.verified.yield_fraction - undenoised.verified.yield_fraction >= 0.025
    assert finished.verified.fluctuating_cells < undenoised.verified.fluctuating_cells


def test_without_denoise_no_denoising_pulse_is_given(finished: Finished, undenoised: Finished) -> None:
    assert (finished.run.denoise, undenoised.run.denoise) == (True, False)
    assert 0 < finished.run.denoise_pulses_total < finished.run.pulses_total
    assert undenoised.run.denoise_pulses_total == 0


def test_pulses_reported_recorded_and_received_are_the_same(finished: Finished) -> None:
    journal = Journal(finished.bench.workspace.journal_path, durable=False)
    assert journal.pulses(finished.run.run_id) == finished.run.pulses_total
    journal.close()
    wear = wear_of(finished.bench)
    assert wear.sum() == finished.run.pulses_total
    assert wear.mean() == pytest.approx(finished.run.pulses_per_cell_mean)
    settings = finished.bench.kind.protocol
    assert wear.max() <= settings.pulse_budget + settings.sub_threshold_pulses


def test_stuck_cells_are_named_for_what_they_are(finished: Finished) -> None:
    stuck, said = stuck_in(finished.bench), said_of(finished.bench, finished.run.run_id)
    high, low = stuck > 0, stuck < 0
    assert min(high.sum(), low.sum()) > 20
    assert not said["done"][stuck != 0].any()
    assert set(said["reason"][high].tolist()) == {Reason.STUCK_HIGH}
    assert set(said["reason"][low].tolist()) == {Reason.STUCK_LOW}
    accused = np.isin(said["reason"], [Reason.STUCK_HIGH, Reason.STUCK_LOW]) & (stuck == 0)
    assert accused.sum() <= 0.002 * (stuck == 0).sum()


def test_reports_count_stuck_cells_and_name_the_first_failures(finished: Finished) -> None:
    stuck = stuck_in(finished.bench)
    assert finished.verified.stuck_cells == pytest.approx((stuck != 0).sum(), abs=4)
    assert finished.run.failed_by_reason["stuck_high"] >= (stuck > 0).sum()
    places = [(one["row"], one["column"]) for one in finished.verified.first_failures]
    assert places == sorted(places)
    for one in finished.verified.first_failures:
        if stuck[one["row"], one["column"]]:
            assert one["reason"] in {"stuck_high", "stuck_low"}
        else:
            assert one["target_usiemens"] == finished.bench.image.targets_usiemens[0, one["row"], one["column"]]


def test_a_second_run_touches_only_what_differs(finished: Finished, tmp_path: Path) -> None:
    workspace = open_workspace(shutil.copytree(finished.bench.workspace.folder, tmp_path / "copy"))
    bench = Bench(workspace, finished.bench.kind, finished.bench.profile, finished.bench.image)
    before = wear_of(bench)
    again = program(workspace, profile=bench.profile, verify=False)
    spent = wear_of(bench) - before
    healthy = stuck_in(bench) == 0
    assert spent[healthy].mean() < 0.4 * before[healthy].mean()
    assert (spent[healthy] == 0).mean() > 0.2
    assert again.cells_done >= finished.run.cells_done - 0.01 * again.cells


@pytest.mark.parametrize(
    "part",
    [{"region": (2, 5, 3, 16)}, {"cells": [(0, 0), (7, 9), (15, 15)]}],
    ids=["region", "cells"],
)
def test_only_the_chosen_cells_get_pulses(part: dict[str, object], tmp_path: Path) -> None:
    bench = brief(tmp_path, arrays=2)
    report = program(bench.workspace, profile=bench.profile, arrays=[1], verify=False, **part)  # type: ignore[arg-type]
    chosen: Mask = np.zeros((16, 16), dtype=bool)
    if "region" in part:
        chosen[2:5, 3:16] = True
    else:
        chosen[[0, 7, 15], [0, 9, 15]] = True
    wear = wear_of(bench, array=1)
    assert (wear[~chosen] == 0).all()
    assert (wear[chosen] > 0).any()
    assert (wear_of(bench, array=0) == 0).all()
    assert report.cells == chosen.sum()
    assert report.pulses_total == wear.sum()


def test_cells_without_a_target_are_left_alone(tmp_path: Path) -> None:
    bench = brief(tmp_path)
    targets = bench.image.targets_usiemens.copy()
    targets[0, ::2] = np.nan
    write_targets(bench.workspace.image_path, bench.kind, targets)
    report = program(bench.workspace, profile=bench.profile, verify=False)
    assert report.cells == 128
    assert (wear_of(bench)[::2] == 0).all()


def test_a_lone_cell_is_programmed_as_well_as_one_among_many(tmp_path: Path) -> None:
    bench = make_bench(tmp_path, rows=8, columns=8, seed=6)
    done = 0
    for row in range(8):
        report = program(bench.workspace, profile=bench.profile, cells=[(row, 3)], verify=False)
        assert report.cells == 1
        done += report.cells_done
    assert done >= 7


def test_a_dry_run_makes_no_file_and_sends_nothing(tmp_path: Path) -> None:
    bench = brief(tmp_path, chip=False)
    before = sorted(tmp_path.rglob("*"))
    report = program(bench.workspace, profile=bench.profile, dry_run=True)
    assert sorted(tmp_path.rglob("*")) == before
    assert (report.dry_run, report.cells, report.pulses_total, report.verify) == (True, 256, 0, None)
    make_chip(bench.workspace.chip_path, bench.kind, seed=3, arrays=1)
    content = bench.workspace.chip_path.read_bytes()
    program(bench.workspace, profile=bench.profile, dry_run=True)
    assert bench.workspace.chip_path.read_bytes() == content
    assert not bench.workspace.journal_path.exists()


def test_a_missing_chip_is_made_for_as_many_arrays_as_the_image_has(tmp_path: Path) -> None:
    bench = brief(tmp_path, chip=False, arrays=2)
    program(bench.workspace, profile=bench.profile, arrays=[1], cells=[(0, 0)], verify=False)
    assert SimChip(bench.workspace.chip_path, bench.kind).geometry.arrays == 2


def test_a_chip_that_holds_another_image_is_overwritten_only_on_the_operators_word(tmp_path: Path) -> None:
    bench, cells = brief(tmp_path), [(0, 0), (1, 1)]
    first = program(bench.workspace, profile=bench.profile, cells=cells, verify=False)
    other = write_targets(bench.workspace.image_path, bench.kind, random_targets(bench.kind.levels, (1, 16, 16), 99))
    content = bench.workspace.chip_path.read_bytes()
    with pytest.raises(LimitError, match=f"holds image {first.image_sha256[:8]}.*--yes.*nothing was applied"):
        program(bench.workspace, profile=bench.profile, cells=cells, verify=False)
    assert bench.workspace.chip_path.read_bytes() == content
    second = program(bench.workspace, profile=bench.profile, cells=cells, verify=False, yes=True)
    assert second.image_sha256 == other.sha256
    program(bench.workspace, profile=bench.profile, cells=cells, verify=False)


def test_an_image_of_more_arrays_than_the_chip_has_is_refused_before_the_first_pulse(tmp_path: Path) -> None:
    bench = brief(tmp_path, arrays=2, chip=False)
    make_chip(bench.workspace.chip_path, bench.kind, seed=3, arrays=1)
    with pytest.raises(InputError, match="array 1"):
        program(bench.workspace, profile=bench.profile)
    assert (wear_of(bench) == 0).all()
    with pytest.raises(InputError, match="array 1"):
        verify(bench.workspace, profile=bench.profile)
    program(bench.workspace, profile=bench.profile, arrays=[0], cells=[(0, 0)], verify=False)


@pytest.mark.parametrize(
    "part",
    [
        {"arrays": [1]},
        {"arrays": [-1]},
        {"arrays": []},
        {"region": (0, 17, 0, 1)},
        {"region": (3, 3, 0, 1)},
        {"region": (-1, 3, 0, 1)},
        {"cells": [(0, 16)]},
        {"cells": [(-1, 0)]},
        {"cells": []},
    ],
)
def test_a_place_that_is_not_in_the_image_is_refused(part: dict[str, object], tmp_path: Path) -> None:
    bench = brief(tmp_path)
    content = bench.workspace.chip_path.read_bytes()
    with pytest.raises(InputError):
        program(bench.workspace, profile=bench.profile, **part)  # type: ignore[arg-type]
    assert bench.workspace.chip_path.read_bytes() == content


def test_a_run_that_breaks_off_is_recorded_as_stopped_with_the_pulses_it_gave(tmp_path: Path) -> None:
    bench, rounds = brief(tmp_path), 0

    def impatient(_: object) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        program(bench.workspace, profile=bench.profile, listener=impatient)
    journal = Journal(bench.workspace.journal_path, durable=False)
    (run,) = journal.runs()
    assert run.state == "stopped"
    assert run.summary["pulses_total"] == journal.pulses(run.run_id) == wear_of(bench).sum() > 0
    journal.close()
