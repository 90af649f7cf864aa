"""The phase field: its energy profile, its solver against a slow one, and what the published schedule does."""

from __future__ import annotations

import numpy as np
import pytest

from memprog.errors import InputError
from memprog.physics.channels import PUBLISHED_SHAPE, Census, census, synthetic_maps
from memprog.physics.phase_field import (
    PUBLISHED_CELLS,
    PUBLISHED_SCHEDULE,
    PUBLISHED_SETTINGS,
    PULSE,
    RELAX,
    REST,
    EnergyProfile,
    Settings,
    Stage,
    evolve,
    free_energy_ev,
    moments,
    published_profile,
)

MAPS = 12
DRAWN, RELAXED, IN_1, AFTER_1, IN_2, AFTER_2 = range(6)
VISIBLE = 0.05


@pytest.fixture(scope="module")
def published() -> np.ndarray:
    """(6, maps, rows, columns): the published schedule on maps with the published shape."""
    return moments(synthetic_maps(PUBLISHED_SHAPE, MAPS, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def measured(published: np.ndarray) -> list[Census]:
    return [census(phi) for phi in published]


def above_the_channel(phi: np.ndarray) -> np.ndarray:
    """(maps, rows, columns) where the island's upper half was drawn."""
    shape = PUBLISHED_SHAPE
    middle = shape.main_centre[0] - 0.5 * (shape.main_height + shape.island_height) - shape.island_gap
    return phi[:, : round(middle) + 1]


def slow_step(phi: np.ndarray, bias_ev: float, settings: Settings) -> np.ndarray:
    """One published step, cell by cell, with the spline itself."""
    profile, rows, columns = published_profile(), *phi.shape
    result = phi.copy()
    for row in range(rows):
        for column in range(columns):
            mine, lap = phi[row, column], 0.0
            for near, beside in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                if 0 <= near < rows and 0 <= beside < columns:
                    lap += phi[near, beside] - mine
            slope = float(profile.slope_at(np.array(mine)))
            mine += settings.time_step * (-slope + settings.grid_gradient_ev * lap - bias_ev)
            result[row, column] = min(max(mine, 0.0), 1.0)
    return result


def test_profile_is_the_published_double_well() -> None:
    profile = published_profile()
    assert len(profile.order) == 21
    assert profile.energy_ev[10] == -240.90645865
    assert profile.barrier_order == pytest.approx(0.490, abs=0.001)
    assert np.abs(profile.energy_at(profile.order) - profile.energy_ev).max() < 1e-9


def test_profile_foretells_a_point_left_out() -> None:
    whole = published_profile()
    for at in range(1, len(whole.order) - 1):
        rest = np.arange(len(whole.order)) != at
        part = EnergyProfile(order=whole.order[rest], energy_ev=whole.energy_ev[rest])
        assert part.energy_at(whole.order[at : at + 1])[0] == pytest.approx(whole.energy_ev[at], abs=0.0015)


@pytest.mark.parametrize(
    ("order", "energy"),
    [([0.0, 0.5, 0.4, 1.0], [0.0] * 4), ([0.0, 0.3, 0.6, 0.9], [0.0] * 4), ([0.0, 0.5, 0.7, 1.0], [0.0, np.nan, 1, 0])],
)
def test_profile_that_cannot_be_interpolated_is_refused(order: list[float], energy: list[float]) -> None:
    with pytest.raises(InputError):
        EnergyProfile(order=np.array(order), energy_ev=np.array(energy))


@pytest.mark.parametrize("shape", [(7, 5), (1, 6), (6, 1)])
def test_whole_array_solver_agrees_with_one_that_visits_cell_after_cell(shape: tuple[int, int]) -> None:
    phi = np.random.default_rng(3).random(shape)
    slow = phi
    for bias_ev in (0.0, 0.0, 30.0, 30.0, 0.0):
        slow = slow_step(slow, bias_ev, PUBLISHED_SETTINGS)
    stages = (Stage(steps=2, bias_ev=0.0), Stage(steps=2, bias_ev=30.0), Stage(steps=1, bias_ev=0.0))
    assert np.abs(evolve(phi[None], stages)[0] - slow).max() < 5e-6


def test_maps_of_a_batch_do_not_touch_each_other() -> None:
    maps = synthetic_maps(PUBLISHED_SHAPE, 30, np.random.default_rng(1))
    together = evolve(maps, PUBLISHED_SCHEDULE)
    assert np.array_equal(together[[0, 17, 29]], evolve(maps[[0, 17, 29]], PUBLISHED_SCHEDULE))


def test_given_maps_are_left_as_they_are_and_a_mirrored_map_stays_mirrored() -> None:
    maps = synthetic_maps(PUBLISHED_SHAPE, 2, np.random.default_rng(2))
    before = maps.copy()
    after = evolve(maps, (RELAX, PULSE))
    assert np.array_equal(maps, before)
    assert np.abs(evolve(maps[:, ::-1].copy(), (RELAX, PULSE))[:, ::-1] - after).max() < 1e-12


def test_without_bias_free_energy_only_falls() -> None:
    phi = moments(synthetic_maps(PUBLISHED_SHAPE, 2, np.random.default_rng(4)), [Stage(steps=5, bias_ev=0.0)] * 20)
    energy = np.array([free_energy_ev(maps) for maps in phi])
    assert (np.diff(energy, axis=0) < 0).all()


def test_flat_map_follows_the_equation_of_one_cell() -> None:
    phi = 0.6
    for _ in range(40):
        phi -= 0.0005 * float(published_profile().slope_at(np.array(phi)))
    assert evolve(np.full((1, 4, 4), 0.6), (Stage(steps=40, bias_ev=0.0),)) == pytest.approx(phi, abs=1e-5)


def test_published_settings_are_stable_and_count_all_cells() -> None:
    assert PUBLISHED_SETTINGS.grid_gradient_ev == pytest.approx(0.05 * 57 * 51)
    assert PUBLISHED_SETTINGS.courant == pytest.approx(0.29, abs=0.001)


def test_unstable_settings_are_refused_in_one_sentence_that_says_how_many_substeps_help() -> None:
    with pytest.raises(InputError, match=r"4 K dt is 1\.16 and must stay below 1; cut each step into 2 substeps"):
        Settings(cells=4 * PUBLISHED_CELLS)
    assert Settings(cells=4 * PUBLISHED_CELLS, substeps=2).courant < 1
    nearly = Settings(time_step=0.000999 / (4.0 * 0.05 * PUBLISHED_CELLS) * 1000.0)
    with pytest.raises(InputError, match="cut each step into 2 substeps"):
        evolve(np.zeros((1, 3, 3)), (RELAX,), nearly)


@pytest.mark.parametrize("bad", [np.zeros((3, 3)), np.full((1, 3, 3), np.nan), np.full((1, 3, 3), 1.1)])
def test_what_is_no_batch_of_maps_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError):
        evolve(bad, (RELAX,))


@pytest.mark.parametrize("factor", [2, 3])
def test_finer_grid_tells_the_same_story(factor: int) -> None:
    coarse = evolve(synthetic_maps(PUBLISHED_SHAPE, 2, np.random.default_rng(5)), (Stage(steps=5, bias_ev=0.0),))
    fine = np.repeat(np.repeat(coarse, factor, axis=1), factor, axis=2)
    stages = (RELAX, PULSE, REST)
    slow = evolve(fine, stages, PUBLISHED_SETTINGS.refined(factor))
    averaged = slow.reshape(2, 57, factor, 51, factor).mean(axis=(2, 4))
    quick = evolve(coarse, stages)
    assert np.abs(averaged - quick).max() < 0.05
    assert averaged.sum() == pytest.approx(quick.sum(), rel=0.02)
    assert (slow > 0.5).sum() / factor**2 == pytest.approx((quick > 0.5).sum(), rel=0.05)


def test_other_reading_of_the_published_gradient_leaves_the_boundary_ragged_and_lets_the_island_grow() -> None:
    start = synthetic_maps(PUBLISHED_SHAPE, 4, np.random.default_rng(0))
    one_side = evolve(start, (RELAX,), Settings(cells=57))
    assert (above_the_channel(one_side).max(axis=(1, 2)) > above_the_channel(start).max(axis=(1, 2)) + 0.15).all()
    assert (census(one_side).islands >= 1).any()


def test_after_sixty_steps_the_channel_is_smooth_and_the_island_a_faint_tail(
    published: np.ndarray, measured: list[Census]
) -> None:
    def outline(phi: np.ndarray) -> float:
        inside = phi > 0.5
        edges = (inside[:, 1:] != inside[:, :-1]).sum() + (inside[:, :, 1:] != inside[:, :, :-1]).sum()
        return float(edges / np.sqrt(inside.sum() * MAPS))

    # A convex outline has 4 sqrt(4 / pi) = 4.5 cell edges for the root of its area; an ellipse of 18 x 25 has 4.6.
    assert outline(published[DRAWN]) > 5.0
    assert outline(published[RELAXED]) < 4.8
    assert (measured[RELAXED].islands == 0).all()
    tail = above_the_channel(published[RELAXED]).max(axis=(1, 2))
    assert (above_the_channel(published[DRAWN]).max(axis=(1, 2)) > 0.6).all()
    assert ((tail > 0.05) & (tail < 0.4)).all()


def test_first_pulse_removes_island_and_cloud(published: np.ndarray) -> None:
    assert (above_the_channel(published[AFTER_1]).max(axis=(1, 2)) < 0.1).all()
    assert published[RELAXED][:, :, 42:].max() > 0.01
    assert published[AFTER_1][:, :, 42:].max() < 0.001


def test_first_pulse_makes_the_channel_about_a_fifth_narrower(published: np.ndarray, measured: list[Census]) -> None:
    """By the colour one sees it is nearly a fifth; at half of the order parameter a seventh."""
    visible = [census(phi, VISIBLE).main_width.mean() for phi in (published[RELAXED], published[IN_1])]
    assert visible[1] / visible[0] == pytest.approx(0.82, abs=0.04)
    half = measured[AFTER_1].main_width.mean() / measured[RELAXED].main_width.mean()
    assert half == pytest.approx(0.86, abs=0.03)


def test_each_pulse_costs_a_part_of_the_main_channel(measured: list[Census]) -> None:
    relaxed, first, second = (measured[at] for at in (RELAXED, AFTER_1, AFTER_2))
    assert (second.main_width < first.main_width).all()
    assert (first.main_width < relaxed.main_width).all()
    assert (first.main_area / relaxed.main_area).mean() == pytest.approx(0.75, abs=0.03)
    assert (second.main_area / first.main_area).mean() == pytest.approx(0.65, abs=0.04)
    assert (first.total / relaxed.total).mean() == pytest.approx(0.67, abs=0.03)
    assert (second.main_area > 0).all()


def test_same_bias_four_times_as_long_leaves_nothing(published: np.ndarray) -> None:
    """The bias outweighs the steepest part of the wells: what protects the channel is that the pulse is short."""
    assert np.abs(published_profile().slope_at(np.linspace(0, 1, 101))).max() < PULSE.bias_ev
    assert evolve(published[RELAXED], (Stage(steps=40, bias_ev=30.0), REST)).max() < 0.5
