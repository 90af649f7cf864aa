"""Fig. 1: twins of one device on every level, before and after denoising, and an array in blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_chip import array_cells, new_chip, small_profile

from memprog.jobs.fig1 import fig1, twins_of
from memprog.jobs.reference import read_spec, read_usiemens, run_own
from memprog.profile import bundled_profile
from memprog.protocol import Loop
from memprog.report.figures.fig1 import BLOCK, SWEEP_V, Fig1, columns, facts


@pytest.fixture(scope="module")
def shown() -> Fig1:
    """128 levels of the device, and two blocks of the array."""
    device = small_profile(levels={"count": 128})
    return fig1(3, device=device, array=small_profile("rao2023-onchip-6bit", rows=BLOCK, columns=2 * BLOCK))


def test_denoising_brings_levels_home_and_keeps_them_there(shown: Fig1) -> None:
    found = facts(shown)
    assert float(found["readings_in_window_after"]) > 0.9
    assert float(found["readings_in_window_before"]) < 0.8
    assert float(found["error_rms_usiemens_after"]) < 0.7 < float(found["error_rms_usiemens_before"])


def test_sweeps_rise_from_nothing(shown: Fig1) -> None:
    for current_a in (shown.before_a, shown.after_a):
        assert current_a.shape == (len(SWEEP_V), 128)
        assert np.all(np.abs(current_a[0]) < 1e-8)
        assert np.all(np.diff(shown.after_a, axis=0) > 0)


def test_each_block_of_the_array_is_on_a_level_of_its_own(shown: Fig1) -> None:
    left, right = shown.array_target_usiemens[:, :BLOCK], shown.array_target_usiemens[:, BLOCK:]
    assert np.all(left == left[0, 0])
    assert np.all(right == right[0, 0])
    assert right[0, 0] - left[0, 0] == pytest.approx(bundled_profile("rao2023-onchip-6bit").levels.spacing_usiemens)
    assert facts(shown)["array_in_window"] > 0.9


def test_columns_hold_every_sweep_level_and_cell(shown: Fig1) -> None:
    table = columns(shown)
    assert np.count_nonzero(np.isfinite(table["sweep_after_a"])) == 128 * len(SWEEP_V)
    assert np.count_nonzero(np.isfinite(table["level_target_usiemens"])) == 128
    assert np.count_nonzero(np.isfinite(table["array_target_usiemens"])) == 2 * BLOCK**2


def test_twins_are_one_device(tmp_path: Path) -> None:
    profile = twins_of(small_profile(levels={"count": 100}))
    chip = new_chip(tmp_path, profile)
    silicon = chip._file.silicon[0]
    assert chip.geometry.cells >= 100
    for name in ("transistor", "set_threshold_v", "reset_threshold_v", "slope_v", "set_gate"):
        assert len(np.unique(silicon[name])) == 1
    assert np.all(silicon["stuck"] == 0)
    assert np.unique(silicon["column_gain"]).size == np.unique(silicon["source_drop"]).size == 1


def test_own_loop_without_a_journal_brings_cells_home(tmp_path: Path) -> None:
    profile = small_profile(rows=8, columns=8, arrays=1, simulation={"stuck_high_fraction": 0.0})
    chip = new_chip(tmp_path, profile)
    cells = array_cells(chip)
    loop = Loop(np.linspace(500.0, 3000.0, len(cells)), profile)
    run_own(chip, profile, cells, loop)
    error = read_usiemens(chip, cells, read_spec(chip, profile, cells, 64)) - loop.target_usiemens
    assert loop.done.mean() > 0.9
    assert np.abs(error[loop.done]).max() < 2.0


@pytest.mark.long
def test_the_whole_figure_is_as_the_paper_has_it() -> None:
    found = facts(fig1())
    assert found["levels"] == 2048
    assert found["array_levels"] == 64
    assert float(found["levels_on_average_in_window_after"]) > 0.9
    assert float(found["array_in_window"]) > 0.9
