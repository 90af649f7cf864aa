from __future__ import annotations

import numpy as np
import pytest

from memprog.chip import Cells
from memprog.errors import InputError
from memprog.physics.deembed import (
    LineMap,
    apparent_usiemens,
    de_embed,
    grouped_read_currents_a,
    line_map,
    line_map_ohm,
    line_sensitivity,
    local_share,
)
from memprog.physics.wires import Wires, WireSolver

SIZE = 256
PLAIN = Wires(row_ohm=0.01, column_ohm=0.01)


def cells_at(row: object, column: object) -> Cells:
    row, column = np.atleast_1d(np.asarray(row)), np.atleast_1d(np.asarray(column))
    return Cells(array=np.zeros(len(row), dtype=np.int64), row=row, column=column)


def random_groups(seed: int, most: int) -> tuple[Cells, np.ndarray, np.ndarray]:
    """All cells of an array in shuffled order, grouped at random within rows; their conductances."""
    rng = np.random.default_rng(seed)
    row, column = (index.ravel() for index in np.indices((SIZE, SIZE)))
    turn = rng.permuted(np.tile(np.arange(SIZE), (SIZE, 1)), axis=1).ravel()
    shuffled = rng.permutation(SIZE * SIZE)
    cells = cells_at(row[shuffled], column[shuffled])
    group = (row * SIZE + turn // most)[shuffled]
    return cells, group, rng.uniform(50, 4144, SIZE * SIZE)


def far_corner(ohm: float) -> tuple[Cells, LineMap]:
    return cells_at(SIZE - 1, SIZE - 1), line_map(SIZE, SIZE, Wires(row_ohm=ohm, column_ohm=ohm))


def test_the_far_corner_sits_behind_512_segments() -> None:
    ohm = line_map_ohm(SIZE, SIZE, Wires(row_ohm=1.0, column_ohm=1.0))
    assert ohm[-1, -1] == ohm.max() == 512
    assert ohm[0, 0] == ohm.min() == 2
    assert line_map_ohm(SIZE, SIZE, Wires(row_ohm=1.0, column_ohm=1.0, sensed_at_last_row=True))[0, -1] == 512
    assert line_map_ohm(3, 4, Wires(row_ohm=1.0, column_ohm=10.0, driver_ohm=100.0, sense_ohm=1000.0))[1, 2] == 1123


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("row_ohm", [0.0, 0.4])
def test_a_group_is_an_array_with_all_other_gates_shut(last: bool, row_ohm: float) -> None:
    wires = Wires(row_ohm=row_ohm, column_ohm=0.3, driver_ohm=5.0, sense_ohm=2.0, sensed_at_last_row=last)
    rng = np.random.default_rng(3)
    column = rng.permutation(20)[:7]
    conductance = np.zeros((9, 20))
    conductance[6, column] = rng.uniform(50, 4144, 7)
    row_v = np.zeros((1, 9))
    row_v[0, 6] = 0.2
    whole_a = WireSolver(conductance, wires).currents_a(row_v)[0]
    cells, group = cells_at(np.full(7, 6), column), np.zeros(7, dtype=np.int64)
    current_a = grouped_read_currents_a(conductance[6, column], cells, group, 0.2, line_map(9, 20, wires))
    assert current_a == pytest.approx(whole_a[column], rel=1e-8)


@pytest.mark.parametrize("most", [1, 24, 256])
@pytest.mark.parametrize("ohm", [0.0, 0.01, 0.4])
def test_round_trip_through_the_wires(most: int, ohm: float) -> None:
    cells, group, conductance = random_groups(4, most)
    lines = line_map(SIZE, SIZE, Wires(row_ohm=ohm, column_ohm=ohm, driver_ohm=0.5, sense_ohm=0.1))
    apparent = apparent_usiemens(conductance, cells, group, lines)
    assert (apparent < conductance).all()
    np.testing.assert_allclose(de_embed(apparent, cells, group, lines), conductance, rtol=1e-9)


def test_cells_sensed_alone_see_their_series_resistance() -> None:
    cells, _, conductance = random_groups(5, 1)
    lines = line_map(SIZE, SIZE, PLAIN)
    alone = 1e6 / (1e6 / conductance + lines.series_ohm[cells.row, cells.column])
    np.testing.assert_allclose(apparent_usiemens(conductance, cells, None, lines), alone, rtol=1e-12)


def test_far_corner_at_4_millisiemens_reads_two_percent_low_at_ten_milliohm() -> None:
    cells, lines = far_corner(0.01)
    low = {true: true - apparent_usiemens(np.array([true]), cells, None, lines)[0] for true in (4000.0, 4100.0, 4144.0)}
    assert low[4000.0] / 4000.0 == pytest.approx(0.020, abs=0.0005)
    # The 84 uS that are quoted for "4 mS" belong to 4.1 mS.
    assert [low[4000.0], low[4100.0], low[4144.0]] == pytest.approx([80.3, 84.3, 86.1], abs=0.05)


def test_above_0_47_ohm_a_segment_the_far_corner_cannot_read_full_scale() -> None:
    cells, lines = far_corner(0.47)
    short = apparent_usiemens(np.array([1e9]), cells, None, lines)[0]
    assert short == pytest.approx(1e6 / (512 * 0.47), rel=1e-5)
    assert 4144.0 < short < 4160.0
    # It would take 1.5 siemens there, 360 times what the profile calls its highest level.
    assert de_embed(np.array([4144.0]), cells, None, lines)[0] == pytest.approx(1.486e6, rel=1e-3)
    cells, lines = far_corner(0.4714)
    assert np.isnan(de_embed(np.array([4144.0]), cells, None, lines)[0])


def test_sensitivity_is_the_change_a_wrong_line_map_makes() -> None:
    cells, group, conductance = random_groups(6, 24)
    lines = line_map(SIZE, SIZE, Wires(row_ohm=0.01, column_ohm=0.02))
    wrong = LineMap(row_ohm=lines.row_ohm * 1.0001, column_ohm=lines.column_ohm * 1.0001)
    apparent = apparent_usiemens(conductance, cells, group, lines)
    change = de_embed(apparent, cells, group, wrong) / conductance - 1
    sensitivity = line_sensitivity(local_share(apparent, cells, group, lines))
    np.testing.assert_allclose(change, 1e-4 * sensitivity, rtol=1e-3)


def test_a_map_one_percent_wrong_costs_the_far_corner_most_of_a_microsiemens() -> None:
    cells, lines = far_corner(0.01)
    apparent = apparent_usiemens(np.array([4144.0]), cells, None, lines)
    error_usiemens = 0.01 * line_sensitivity(local_share(apparent, cells, None, lines)) * 4144.0
    assert error_usiemens[0] == pytest.approx(0.88, abs=0.01)


def test_a_cell_that_was_not_read_makes_its_group_unknown_and_no_other() -> None:
    cells = cells_at([3, 3, 3, 8, 8, 8], [10, 200, 100, 10, 100, 200])
    group, lines = np.array([0, 0, 0, 1, 1, 1]), line_map(SIZE, SIZE, PLAIN)
    conductance = np.array([100.0, 4000.0, 2000.0, 100.0, 2000.0, 4000.0])
    apparent = apparent_usiemens(conductance, cells, group, lines)
    apparent[1] = np.nan
    found = de_embed(apparent, cells, group, lines)
    assert np.isnan(found[:3]).all()
    assert found[3:] == pytest.approx(conductance[3:], rel=1e-9)


def test_others_of_the_group_are_known_once_the_unread_current_is() -> None:
    cells, group = cells_at([3, 3, 3], [10, 200, 100]), np.zeros(3, dtype=np.int64)
    lines, conductance = line_map(SIZE, SIZE, PLAIN), np.array([100.0, 4000.0, 2000.0])
    apparent = apparent_usiemens(conductance, cells, group, lines)
    found = de_embed(np.array([apparent[0], np.nan, apparent[2]]), cells, group, lines, unread_usiemens=apparent[1])
    assert np.isnan(found[1])
    assert found[[0, 2]] == pytest.approx(conductance[[0, 2]], rel=1e-9)
    least = de_embed(np.array([apparent[0], np.nan, apparent[2]]), cells, group, lines, unread_usiemens=0.0)
    assert (least[[0, 2]] < conductance[[0, 2]]).all()


def test_noise_below_zero_stays_what_it_is() -> None:
    cells, lines = cells_at(0, 0), line_map(SIZE, SIZE, PLAIN)
    assert de_embed(np.array([-0.5]), cells, None, lines)[0] == pytest.approx(-0.5, rel=1e-6)


def test_no_cells_are_no_trouble() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert de_embed(np.zeros(0), cells_at(nothing, nothing), None, line_map(2, 2, PLAIN)).shape == (0,)


@pytest.mark.parametrize(("row", "column"), [([1, 2], [0, 1]), ([1, 1], [5, 5])])
def test_cells_that_cannot_be_sensed_together_are_refused(row: list[int], column: list[int]) -> None:
    with pytest.raises(InputError, match="different cells of one row"):
        de_embed(np.ones(2), cells_at(row, column), np.array([4, 4]), line_map(9, 9, PLAIN))


def test_what_does_not_fit_is_refused() -> None:
    lines = line_map(9, 9, PLAIN)
    with pytest.raises(InputError, match="row 9, column 0 is not in a line map of 9 x 9"):
        de_embed(np.ones(1), cells_at(9, 0), None, lines)
    with pytest.raises(InputError, match="1 cells need as many values"):
        de_embed(np.ones(2), cells_at(0, 0), None, lines)
    with pytest.raises(InputError, match="1 cells need as many group numbers"):
        de_embed(np.ones(1), cells_at(0, 0), np.array([1, 2]), lines)
    with pytest.raises(InputError, match="0 or positive"):
        apparent_usiemens(np.array([-1.0]), cells_at(0, 0), None, lines)
    with pytest.raises(InputError, match="falls along a row"):
        LineMap(row_ohm=np.array([[2.0, 1.0]]), column_ohm=np.zeros((1, 2)))
    with pytest.raises(InputError, match="do not pair up"):
        LineMap(row_ohm=np.zeros((1, 2)), column_ohm=np.zeros((2, 1)))
    with pytest.raises(InputError, match="column map"):
        LineMap(row_ohm=np.zeros((1, 2)), column_ohm=np.array([[0.0, -1.0]]))
    with pytest.raises(InputError, match="no cells"):
        line_map(0, 4, PLAIN)
