"""Synthetic maps of channels, their segmentation, and what single pulses do to islands and to the main channel."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from memprog.errors import InputError
from memprog.physics.channels import PUBLISHED_SHAPE, Islands, census, maps_with_islands, segment, synthetic_maps
from memprog.physics.denoise_table import DENOISE_TABLE, PulseCount, bias_from_v, count_pulses, tabulate
from memprog.physics.phase_field import PUBLISHED_BIAS_EV
from memprog.report.figures import fig2, fig4


@pytest.fixture(scope="module")
def count() -> PulseCount:
    return count_pulses(160, np.random.default_rng(7), np.arange(-20.0, 121.0, 10.0))


def boxes(*areas: tuple[int, int, int, int]) -> np.ndarray:
    """A 20 x 20 map with boxes (first row, rows, first column, columns) at 1."""
    phi = np.zeros((20, 20))
    for row, rows, column, columns in areas:
        phi[row : row + rows, column : column + columns] = 1.0
    return phi


def test_maps_have_the_published_grid_and_about_the_published_sizes() -> None:
    maps = synthetic_maps(PUBLISHED_SHAPE, 40, np.random.default_rng(0))
    assert maps.shape == (40, 57, 51)
    assert 0.0 <= maps.min() <= maps.max() <= 1.0
    alone = synthetic_maps(replace(PUBLISHED_SHAPE, island_order=0.0), 40, np.random.default_rng(0))
    main = segment(alone, 0.3).main_mask()
    assert main.sum(axis=(1, 2)).mean() == pytest.approx(np.pi / 4 * 18 * 25, rel=0.05)
    # The teeth of a ragged boundary reach a cell or two further than the ellipse they stand on.
    assert 18 <= main.any(axis=1).sum(axis=1).mean() <= 21
    assert 25 <= main.any(axis=2).sum(axis=1).mean() <= 29
    island = (maps > 0.3) & (alone <= 0.3)
    assert island.any(axis=1).sum(axis=1).mean() == pytest.approx(6.0, abs=1.0)
    assert island.any(axis=2).sum(axis=1).mean() == pytest.approx(9.0, abs=1.0)
    assert (maps.max(axis=(1, 2)) > 0.9).all()


def test_same_seed_same_maps_and_other_maps_differ() -> None:
    first, again = (synthetic_maps(PUBLISHED_SHAPE, 2, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(first, again)
    assert np.abs(first[0] - first[1]).max() > 0.3


def test_distance_and_size_of_the_island_are_those_asked_for() -> None:
    near = replace(PUBLISHED_SHAPE, raggedness=0.0, cloud_order=0.0, island_order=1.0)
    far = replace(near, island_gap=5.0, island_height=7.0, island_width=7.0)
    near_map, far_map = (synthetic_maps(shape, 1, np.random.default_rng(0)) for shape in (near, far))
    assert census(far_map).islands.tolist() == [1]
    assert segment(far_map).diameter.min() == pytest.approx(7.0, abs=0.5)
    assert census(near_map).island_area[0] + census(near_map).main_area[0] > census(far_map).main_area[0]
    assert census(synthetic_maps(replace(near, island_height=0.0), 1, np.random.default_rng(0))).islands[0] == 0


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="does not fit a map of 51 x 57"):
        replace(PUBLISHED_SHAPE, main_height=60.0)
    with pytest.raises(InputError, match=r"lie in 0\.\.1"):
        replace(PUBLISHED_SHAPE, island_order=1.2)
    with pytest.raises(InputError):
        replace(PUBLISHED_SHAPE, wall=0.0)
    one = np.zeros((1, 1))
    with pytest.raises(InputError, match="one shape"):
        Islands(row=one, column=one, height=one, width=one, order=np.zeros(1))


def test_several_islands_fit_one_map() -> None:
    def place(*values: float) -> np.ndarray:
        return np.array([values])

    size = place(7.0, 7.0, 7.0)
    islands = Islands(row=place(8, 8, 50), column=place(8, 42, 8), height=size, width=size, order=place(1, 1, 1))
    shape = replace(PUBLISHED_SHAPE, raggedness=0.0, cloud_order=0.0, island_height=0.0)
    assert census(maps_with_islands(shape, islands, np.random.default_rng(0))).islands.tolist() == [3]


def test_largest_channel_is_the_main_one_and_corners_do_not_join() -> None:
    maps = np.array([boxes((2, 6, 2, 5), (8, 3, 7, 3), (14, 2, 2, 2)), boxes(), boxes((5, 2, 5, 2))])
    found = segment(maps)
    assert found.map_of.tolist() == [0, 0, 0, 2]
    assert found.area.tolist() == [30, 9, 4, 4]
    assert found.main.tolist() == [True, False, False, True]
    assert found.main_mask().sum(axis=(1, 2)).tolist() == [30, 0, 4]
    counted = census(maps)
    assert counted.islands.tolist() == [2, 0, 0]
    assert counted.island_area.tolist() == [13, 0, 0]
    assert counted.conduction.tolist() == [30, 0, 4]
    assert np.isnan(counted.main_width).tolist() == [False, True, False]


def test_of_two_equal_channels_one_is_main() -> None:
    assert segment(boxes((2, 3, 2, 3), (10, 3, 10, 3))[None]).main.tolist() == [True, False]


def test_width_is_measured_between_cells() -> None:
    phi = np.zeros((1, 9, 12))
    phi[0, 1:8, 3:9] = 1.0
    phi[0, 1:8, 2] = 0.25
    # The left wall crosses one half a third of the way from 0.25 to 1, the right one midway between cells.
    assert census(phi).main_width[0] == pytest.approx(5 + 2 / 3 + 0.5)
    assert census(phi).neck[0] == pytest.approx(6.0)


@pytest.mark.long
def test_counting_again_finds_the_table_that_ships(count: PulseCount) -> None:
    fresh, shipped = tabulate(count), DENOISE_TABLE
    assert set(fresh.diameter) <= set(shipped.diameter)
    expected = np.interp(fresh.diameter, shipped.diameter, shipped.threshold_ev)
    assert fresh.threshold_ev == pytest.approx(expected, abs=4.0)
    # The neck is one ragged row of each map, and scatters more.
    for name, close in (("area_kept", 0.02), ("conduction_kept", 0.02), ("neck_kept", 0.06)):
        column = np.interp(fresh.bias_ev, shipped.bias_ev, getattr(shipped, name))
        assert getattr(fresh, name) == pytest.approx(column, abs=close), name
    assert fresh.broken_ev == pytest.approx(shipped.broken_ev, abs=6.0)


@pytest.mark.long
def test_table_that_ships_is_the_one_counted_from_its_seed() -> None:
    fresh = tabulate(count_pulses(1200, np.random.default_rng(1)))
    assert fresh.threshold_ev == pytest.approx(DENOISE_TABLE.threshold_ev, abs=0.06)
    assert fresh.slope_ev == pytest.approx(DENOISE_TABLE.slope_ev, abs=0.06)
    assert fresh.conduction_kept == pytest.approx(DENOISE_TABLE.conduction_kept, abs=0.001)
    assert fresh.recession == pytest.approx(DENOISE_TABLE.recession, abs=0.006)


def test_chance_rises_with_bias_and_falls_with_size(count: PulseCount) -> None:
    assert (np.diff(count.gone.mean(axis=1)) >= 0).all()
    bias = np.linspace(-20, 120, 141)
    chance = DENOISE_TABLE.chance(DENOISE_TABLE.diameter[:, None], bias)
    assert (np.diff(chance, axis=1) >= 0).all()
    assert (np.diff(DENOISE_TABLE.threshold_ev) > 0).all()
    assert DENOISE_TABLE.chance(np.array(6.0), DENOISE_TABLE.bias_for_ev(np.array(6.0), 0.95)) == pytest.approx(0.95)


def test_table_foretells_what_was_counted(count: PulseCount) -> None:
    expected = DENOISE_TABLE.chance(count.diameter, count.bias_ev[:, None])
    assert np.abs(expected.mean(axis=1) - count.gone.mean(axis=1)).max() < 0.1


def test_islands_go_long_before_the_main_channel_breaks_but_not_for_nothing() -> None:
    table, published = DENOISE_TABLE, np.array(PUBLISHED_BIAS_EV)
    assert table.largest_dissolved == pytest.approx(6.2, abs=0.1)
    assert table.area_cost(published) == pytest.approx(0.25, abs=0.01)
    assert table.conduction_cost(published) == pytest.approx(0.315, abs=0.01)
    assert table.broken_ev / PUBLISHED_BIAS_EV == pytest.approx(3.3, abs=0.05)
    small, large = (table.bias_for_ev(np.array(size), 0.95) for size in (5.0, 10.0))
    assert table.conduction_cost(small) < 0.16
    assert table.conduction_cost(large) > 0.7


def test_volts_are_in_proportion_to_the_published_pulse() -> None:
    assert bias_from_v(np.array([0.0, 0.4, 0.8]), 0.8).tolist() == [0.0, 15.0, 30.0]
    with pytest.raises(InputError, match="must be above 0"):
        bias_from_v(np.array([0.4]), 0.0)


def test_tables_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(InputError, match="another length"):
        replace(DENOISE_TABLE, area_kept=np.ones(3))
    with pytest.raises(InputError, match="rising"):
        replace(DENOISE_TABLE, diameter=DENOISE_TABLE.diameter[::-1])
    with pytest.raises(InputError, match="between 0 and 1"):
        DENOISE_TABLE.bias_for_ev(np.array(6.0), 1.0)


def test_figure_4_gives_columns_of_one_length_and_facts_that_are_json() -> None:
    shown = fig4.fig4()
    found = fig4.columns(shown)
    assert {len(column) for column in found.values()} == {57 * 51}
    assert np.isfinite(found["map_phi_after_pulse_2"]).all()
    facts = fig4.facts(shown)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["main_area_cells_after_pulse_2"] < facts["main_area_cells_after_pulse_1"]


def test_figure_2_shows_islands_going_and_the_main_channel_staying() -> None:
    shown = fig2.fig2()
    assert {len(column) for column in fig2.columns(shown).values()} == {65 * 59}
    facts = fig2.facts(shown)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert (facts["islands_before"], facts["islands_after_pulse_1"], facts["islands_after_pulse_2"]) == (4, 1, 0)
    assert facts["main_area_cells_after_pulse_2"] > 100


@pytest.mark.parametrize("module", [fig2, fig4], ids=["fig2", "fig4"])
def test_figures_are_drawn_when_matplotlib_is_there(module: object) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    figure = figures.Figure(figsize=(14, 7))
    shown = fig2.fig2() if module is fig2 else fig4.fig4()
    module.draw(figure, shown)  # type: ignore[attr-defined]
    figure.canvas.draw()
    assert len(figure.axes) >= 7
