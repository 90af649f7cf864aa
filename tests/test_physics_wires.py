from __future__ import annotations

import itertools

import numpy as np
import pytest

from memprog.errors import InputError
from memprog.physics.wires import Wires, WireSolver

ONE_OHM = Wires(row_ohm=1.0, column_ohm=1.0)


def random_array(rows: int, columns: int, low: float = 1.0, high: float = 100.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (rows, columns))


def by_kirchhoff(conductance_usiemens: np.ndarray, wires: Wires, row_v: np.ndarray) -> tuple[np.ndarray, ...]:
    """Column currents and both nodes of each cell, from a dense matrix filled branch by branch."""
    rows, columns = conductance_usiemens.shape
    node = np.arange(2 * rows * columns).reshape(2, rows, columns)
    end = rows - 1 if wires.sensed_at_last_row else 0
    matrix, injected = np.zeros((node.size, node.size)), np.zeros(node.size)
    branches = [(node[0, r, c], node[1, r, c], conductance_usiemens[r, c] * 1e-6) for r, c in np.ndindex(rows, columns)]
    branches += [(node[0, r, c], node[0, r, c + 1], 1 / wires.row_ohm) for r, c in np.ndindex(rows, columns - 1)]
    branches += [(node[1, r, c], node[1, r + 1, c], 1 / wires.column_ohm) for r, c in np.ndindex(rows - 1, columns)]
    for a, b, siemens in branches:
        matrix[[a, b, a, b], [a, b, b, a]] += siemens * np.array([1, 1, -1, -1])
    driver, sense = 1 / (wires.row_ohm + wires.driver_ohm), 1 / (wires.column_ohm + wires.sense_ohm)
    matrix[node[0, :, 0], node[0, :, 0]] += driver
    injected[node[0, :, 0]] = driver * row_v
    matrix[node[1, end], node[1, end]] += sense
    voltage = np.linalg.solve(matrix, injected)
    return voltage[node[1, end]] * sense, voltage[node[0]], voltage[node[1]]


@pytest.mark.parametrize(
    ("rows", "columns", "ohm"), [(1, 1, 1.0), (1, 9, 1.0), (9, 1, 1.0), (12, 17, 0.47), (17, 12, 50.0), (8, 8, 1e4)]
)
@pytest.mark.parametrize("last", [False, True])
def test_currents_and_nodes_are_those_of_kirchhoff(rows: int, columns: int, ohm: float, last: bool) -> None:
    wires = Wires(row_ohm=ohm, column_ohm=2 * ohm, driver_ohm=30.0, sense_ohm=7.0, sensed_at_last_row=last)
    conductance, row_v = random_array(rows, columns, 0.0, 4144.0), np.linspace(-0.2, 0.2, rows) + 0.01
    current_a, on_rows, on_columns = by_kirchhoff(conductance, wires, row_v)
    solver = WireSolver(conductance, wires)
    assert solver.currents_a(row_v[None])[0] == pytest.approx(current_a, rel=1e-7, abs=1e-8 * np.abs(current_a).max())
    found_rows, found_columns = solver.node_voltages_v(row_v[None])
    assert found_rows[0] == pytest.approx(on_rows, rel=1e-7, abs=1e-10)
    assert found_columns[0] == pytest.approx(on_columns, rel=1e-7, abs=1e-10)


def test_without_resistance_the_product_is_the_ideal_one() -> None:
    conductance, row_v = random_array(20, 30), np.random.default_rng(1).uniform(0, 0.2, (3, 20))
    solver = WireSolver(conductance, Wires(row_ohm=0.0, column_ohm=0.0))
    assert solver.currents_a(row_v) == pytest.approx(row_v @ conductance * 1e-6, rel=1e-14)
    on_rows, on_columns = solver.node_voltages_v(row_v)
    assert (on_rows == row_v[:, :, None]).all()
    assert (on_columns == 0).all()


@pytest.mark.parametrize("resistive", list(itertools.product([False, True], repeat=4)))
def test_a_resistance_of_zero_is_the_limit_of_small_ones(resistive: tuple[bool, ...]) -> None:
    names = ("row_ohm", "column_ohm", "driver_ohm", "sense_ohm")
    some = dict(zip(names, (0.5, 0.3, 40.0, 25.0), strict=True))
    exact = Wires(**{name: some[name] if keep else 0.0 for name, keep in zip(names, resistive, strict=True)})
    tiny = Wires(**{name: some[name] if keep else 1e-9 for name, keep in zip(names, resistive, strict=True)})
    conductance, row_v = random_array(11, 14, 50, 4144), np.linspace(0.05, 0.2, 11)[None]
    limit = WireSolver(conductance, tiny).currents_a(row_v)
    assert WireSolver(conductance, exact).currents_a(row_v) == pytest.approx(limit, rel=1e-8)


def test_rows_and_columns_are_not_swapped() -> None:
    conductance = np.zeros((4, 6))
    conductance[1, 4] = 1000.0
    wires = Wires(row_ohm=3.0, column_ohm=20.0)
    current_a = WireSolver(conductance, wires).currents_a(np.full((1, 4), 0.2))[0]
    assert current_a[4] == pytest.approx(0.2 / (1000.0 + 5 * 3.0 + 2 * 20.0), rel=1e-9)
    assert np.delete(current_a, 4) == pytest.approx(0.0, abs=1e-18)


def test_driving_from_the_other_side_gives_the_same_transfer() -> None:
    conductance = random_array(15, 10, 50, 4144)
    forth = WireSolver(conductance, Wires(row_ohm=0.5, column_ohm=2.0, driver_ohm=9.0, sense_ohm=4.0))
    back = WireSolver(conductance.T, Wires(row_ohm=2.0, column_ohm=0.5, driver_ohm=4.0, sense_ohm=9.0))
    assert forth.currents_a(np.eye(15)) == pytest.approx(back.currents_a(np.eye(10)).T, rel=1e-7)


def test_a_batch_is_what_its_vectors_give_one_by_one() -> None:
    row_v = np.random.default_rng(2).uniform(-0.2, 0.2, (7, 256))
    row_v[3] = 0.0
    solver = WireSolver(random_array(256, 256), ONE_OHM)
    together = solver.currents_a(row_v)
    one_by_one = np.concatenate([solver.currents_a(row_v[k : k + 1]) for k in range(7)])
    assert together == pytest.approx(one_by_one, rel=1e-6, abs=1e-12)
    assert (together[3] == 0).all()


def test_closed_gates_draw_nothing() -> None:
    solver = WireSolver(np.zeros((5, 6)), ONE_OHM)
    assert (solver.currents_a(np.ones((2, 5))) == 0).all()
    on_rows, _ = solver.node_voltages_v(np.ones((1, 5)))
    assert on_rows == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(("ohm", "lost"), [(1.0, 0.67), (0.1, 0.18)])
def test_an_array_driven_in_all_rows_loses_current_to_its_wires(ohm: float, lost: float) -> None:
    conductance, row_v = random_array(256, 256), np.full((1, 256), 0.2)
    current_a = WireSolver(conductance, Wires(row_ohm=ohm, column_ohm=ohm)).currents_a(row_v)
    assert 1 - current_a.sum() / (row_v @ conductance * 1e-6).sum() == pytest.approx(lost, abs=0.01)


def test_iterations_stay_few_however_much_the_cells_conduct() -> None:
    row_v = np.full((1, 256), 0.2)
    few = WireSolver(random_array(256, 256), ONE_OHM)
    few.currents_a(row_v)
    many = WireSolver(random_array(256, 256, 50, 4144), Wires(row_ohm=10.0, column_ohm=10.0))
    many.currents_a(row_v)
    assert few.iterations <= 8
    assert many.iterations <= 100


@pytest.mark.parametrize("bad", [np.full((2, 2), -1.0), np.full((2, 2), np.nan), np.zeros((0, 3)), np.zeros(4)])
def test_conductances_no_array_has_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError):
        WireSolver(bad, ONE_OHM)


@pytest.mark.parametrize("bad", [np.zeros((1, 3)), np.zeros(2), np.full((1, 2), np.inf)])
def test_voltages_that_do_not_fit_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="each of 2 rows"):
        WireSolver(np.ones((2, 5)), ONE_OHM).currents_a(bad)


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_resistances_no_wire_has_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="sense_ohm"):
        Wires(row_ohm=1.0, column_ohm=1.0, sense_ohm=bad)
