from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from memprog.errors import InputError
from memprog.physics.fig3 import Curve, Fig3, boundary_curves, fig3, island_curves, published_curves
from memprog.physics.transport import (
    HBAR2_OVER_2M_EV_NM2,
    QUANTUM_USIEMENS,
    Channel,
    band_matrix,
    incoming_waves,
    join_leads,
    narrowest_open_nm,
    scatter,
    slice_blocks,
)
from memprog.physics.trap_potential import Traps, debye_nm, trap_elements_ev
from memprog.physics.trap_step import (
    MEASURED_RELATIVE,
    StepMap,
    channel_for_step,
    conductance_against_energy,
    relative_step,
)
from memprog.report.figures import fig3 as drawn

SAME_CURVE = 1e-9


@pytest.fixture(scope="module")
def small() -> Fig3:
    return fig3(distances=5, sizes=3)


def published_trap(**changes: float) -> Traps:
    return Traps(**({"outside_nm": 1.0, "along_nm": 1.5, "debye_nm": 2.14} | changes))


def empty(channel: Channel) -> np.ndarray:
    return np.zeros((1, channel.slices + 1, channel.modes**2, channel.modes**2))


@pytest.mark.parametrize("curves", [island_curves, boundary_curves])
def test_every_point_of_every_published_curve_comes_out_again(curves: Callable[[], tuple[Curve, ...]]) -> None:
    deviations = {curve.label: curve.deviation for curve in curves()}
    assert len(deviations) == len(published_curves(curves()[0].figure)) - 1
    assert max(deviations.values()) < SAME_CURVE


def test_slip_is_in_the_second_trap_only_and_is_no_trifle() -> None:
    slips = {curve.label: curve.slip for curve in boundary_curves()}
    assert slips["No trap"] == slips["Trap (1 nm)"] == 0.0
    assert slips["Trap (0.8 nm)"] > 0.3
    assert slips["Trap (both)"] > 0.05


def test_nearer_trap_blocks_more_once_the_slip_is_gone() -> None:
    passed = {curve.label: curve.transmission[1] for curve in boundary_curves()}
    assert passed["Trap (both)"] < passed["Trap (0.8 nm)"] < passed["Trap (1 nm)"] < passed["No trap"]


def test_unknown_curves_are_refused() -> None:
    with pytest.raises(InputError, match="only island and boundary"):
        published_curves("../island")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("leads", "size_nm", "slices"), [*itertools.product(("lattice", "first-order"), (3.0, 8.0), (100, 61))]
)
def test_no_current_is_lost(leads: str, size_nm: float, slices: int) -> None:
    channel = Channel(size_nm=size_nm, modes=3, slices=slices, leads=leads)  # type: ignore[arg-type]
    traps = published_trap(outside_nm=np.array([0.3, 1.0, 3.0]), along_nm=1.1)  # type: ignore[arg-type]
    found = scatter(channel, trap_elements_ev(channel, traps))
    assert found.transmission.shape == (3, channel.open_modes)
    assert np.abs(found.transmission + found.reflection - 1.0).max() < 1e-9
    assert found.transmission.min() < 0.9


def test_empty_channel_conducts_one_quantum_for_each_open_mode() -> None:
    channel = Channel(size_nm=8.0, modes=3)
    energy = np.array([0.01, 0.1, 0.2, 0.45, 0.5])
    quanta = scatter(channel, empty(channel), energy).conductance_quanta
    bottoms = sorted(0.5 * (i * i + j * j) - 1.0 for i, j in itertools.product((1, 2, 3), repeat=2))
    lowest = 2.0 * (math.pi / 8.0) ** 2 * HBAR2_OVER_2M_EV_NM2 / 0.11
    assert quanta == pytest.approx([sum(lowest * bottom < e for bottom in bottoms) for e in energy], abs=1e-12)


def test_published_leads_reflect_a_little_in_an_empty_channel() -> None:
    channel = Channel(size_nm=3.0, leads="first-order")
    assert scatter(channel, empty(channel)).reflection[0, 0] == pytest.approx(1.6e-5, rel=0.05)


@pytest.mark.parametrize("height_ev", [-0.2, 0.1, 0.3])
def test_square_barrier_passes_what_the_textbook_says(height_ev: float) -> None:
    channel = Channel(size_nm=1.0, modes=1, slices=2000)
    barrier = empty(channel)
    barrier[:, 750:1250] = height_ev  # 500 slices of 3 pm are 1.5 nm
    inside = np.sqrt((channel.energy_ev - height_ev + 0j) * channel.per_ev_nm2)
    sine = (np.sin(inside * 1.5) ** 2).real
    textbook = 1.0 / (1.0 + height_ev**2 * sine / (4.0 * channel.energy_ev * (channel.energy_ev - height_ev)))
    assert scatter(channel, barrier).conductance_quanta[0] == pytest.approx(textbook, rel=1e-4)


def test_band_gives_what_a_dense_solve_gives() -> None:
    channel = Channel(size_nm=8.0, modes=2, slices=20)
    elements = trap_elements_ev(channel, published_trap())
    energy = np.array([0.2])
    joined = join_leads(channel, energy)
    blocks = slice_blocks(channel, elements, energy, joined)[0]
    dense = np.zeros((84, 84), dtype=complex)
    for n in range(21):
        dense[4 * n : 4 * n + 4, 4 * n : 4 * n + 4] = blocks[n]
    dense += np.eye(84, k=4) + np.eye(84, k=-4)
    right = incoming_waves(channel, joined, np.arange(3)).reshape(3, 84).T
    wave = np.linalg.solve(dense, right).reshape(21, 4, 3).transpose(2, 0, 1)
    assert np.abs(scatter(channel, elements).wave[0] - wave).max() < 1e-12
    band = band_matrix(slice_blocks(channel, elements, energy, joined))
    assert band.shape == (13, 84)
    assert np.array_equal(band[8], np.diag(dense))


def test_energies_and_traps_solved_together_are_as_if_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Channel(size_nm=8.0, modes=2, slices=30)
    elements = trap_elements_ev(channel, published_trap(outside_nm=np.array([0.5, 1.0, 2.0])))  # type: ignore[arg-type]
    energy = np.array([0.1, 0.2, 0.3])
    together = scatter(channel, elements, energy)
    monkeypatch.setattr("memprog.physics.transport.BATCH_VALUES", 1)
    for k in range(3):
        alone = scatter(channel, elements[k : k + 1], energy[k : k + 1])
        count = alone.transmission.shape[1]
        assert together.transmission[k, :count] == pytest.approx(alone.transmission[0], abs=1e-12)
        assert (together.wave[k, count:] == 0.0).all()
        assert (together.reflection[k, count:] == 0.0).all()
    assert scatter(channel, elements, energy).transmission == pytest.approx(together.transmission, abs=1e-12)


@pytest.mark.parametrize("slices", [10, 11])
def test_potential_is_mirrored_about_the_trap(slices: int) -> None:
    channel = Channel(size_nm=3.0, slices=slices, points=6)
    elements = trap_elements_ev(channel, published_trap(along_nm=0.4))
    assert elements.shape == (1, slices + 1, 4, 4)
    assert np.array_equal(elements, elements[:, ::-1])
    assert np.array_equal(elements, elements.swapaxes(2, 3))
    middle = (np.arange(6) + 0.5) * 0.5
    depth, aside = np.meshgrid(middle, middle, indexing="ij")
    distance = np.sqrt((depth + 1.0) ** 2 + (aside - 0.4) ** 2 + channel.z_nm[2] ** 2)
    first, second = (np.sqrt(2 / 3) * np.sin(k * np.pi * middle / 3.0) for k in (1, 2))
    potential = 1.44 / distance * np.exp(-distance / 2.14)
    wanted = (potential * np.outer(first * second, first * first)).sum() * 0.25
    assert elements[0, 2, 0, 2] == pytest.approx(wanted, rel=1e-12)  # modes 11 and 21


def test_potentials_in_batches_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Channel(size_nm=3.0, slices=10, points=6)
    traps = published_trap(outside_nm=np.array([0.5, 1.0, 2.0]))  # type: ignore[arg-type]
    together = trap_elements_ev(channel, traps)
    monkeypatch.setattr("memprog.physics.trap_potential.BATCH_VALUES", 1)
    assert np.array_equal(trap_elements_ev(channel, traps), together)


def test_debye_length_is_the_published_one() -> None:
    assert debye_nm(5e18) == pytest.approx(2.138, abs=1e-3)
    assert debye_nm(np.array([1e18, 4e18]))[1] == pytest.approx(0.5 * debye_nm(1e18))


def test_step_falls_with_distance_screening_and_permittivity() -> None:
    distance = np.array([0.5, 1.0, 2.0, 4.0])
    steps = [
        relative_step(
            channel_for_step(3.0, debye),
            Traps(outside_nm=distance, along_nm=1.5, debye_nm=debye, coulomb_ev_nm=1.44 / permittivity),
        )
        for debye, permittivity in ((2.14, 1.0), (0.5, 1.0), (0.5, 16.0))
    ]
    assert (np.diff(steps, axis=1) < 0).all()
    assert (np.diff(steps, axis=0) < 0).all()
    assert steps[0][0] > 0.8


def test_channel_for_steps_is_fine_enough() -> None:
    coarse = channel_for_step(3.0, 2.14)
    finer = Channel(size_nm=3.0, length_nm=1.5 * coarse.length_nm, slices=3 * coarse.slices, modes=4, points=30)
    traps = published_trap(outside_nm=np.array([1.0, 1.6]))  # type: ignore[arg-type]
    assert relative_step(coarse, traps) == pytest.approx(relative_step(finer, traps), rel=5e-3)


def test_published_channel_makes_the_measured_step_with_a_trap_half_as_far_again() -> None:
    traps = published_trap(outside_nm=np.array([1.5, 1.58, 1.7]), debye_nm=2.138)  # type: ignore[arg-type]
    below, hit, beyond = relative_step(channel_for_step(3.0, 2.138), traps)
    assert below > MEASURED_RELATIVE[1] > hit > MEASURED_RELATIVE[0] > beyond


def test_distances_of_a_wanted_step_are_found_between_the_grid_points() -> None:
    distance = np.array([1.0, 2.0, 3.0])
    step = np.array([[[1e-1, 1e-2, 1e-3], [1e-3, 1e-4, 0.0]]])
    steps = StepMap(
        size_nm=np.array([3.0]), debye_nm=np.array([2.0, 1.0]), distance_nm=distance, coulomb_ev_nm=1.44, step=step
    )
    found = steps.distances_with((10**-2.5, 10**-1.5))
    assert found.nearest_nm[0, 0] == pytest.approx(1.5)
    assert found.farthest_nm[0, 0] == pytest.approx(2.5)
    assert np.isnan(found.nearest_nm[0, 1])
    assert np.isnan(found.farthest_nm[0, 1])
    with pytest.raises(InputError, match="its grid"):
        StepMap(size_nm=distance, debye_nm=distance, distance_nm=distance, coulomb_ev_nm=1.44, step=step)


def test_conductance_rises_with_energy_and_never_above_one_quantum_a_mode() -> None:
    channel = channel_for_step(3.0, 2.14)
    quanta = conductance_against_energy(channel, published_trap(), np.linspace(0.01, 0.3, 20))
    assert (np.diff(quanta) > 0).all()
    assert quanta[0] < 0.05
    assert 0.9 < quanta[-1] < 1.0
    one = scatter(channel, empty(channel))
    assert one.conductance_usiemens[0] == pytest.approx(QUANTUM_USIEMENS)


def test_energy_from_the_bottom_of_the_well_would_close_the_published_channels() -> None:
    assert narrowest_open_nm(0.2) == pytest.approx(5.85, abs=0.01)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size_nm": 0.0}, "size_nm is 0.0, needs a number above 0"),
        ({"energy_ev": math.nan}, "energy_ev is nan"),
        ({"slices": 1}, "slices is 1, needs at least 2"),
        ({"points": 2}, "2 points across do not resolve 2 modes"),
        ({"leads": "open"}, "known are lattice and first-order"),
        ({"slices": 3}, r"turns by 1\.52 rad a slice"),
    ],
)
def test_channel_no_wave_can_be_computed_in_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Channel(**({"size_nm": 3.0} | change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"outside_nm": -1.0}, "outside_nm is -1.0, needs to be above 0"),
        ({"debye_nm": math.nan}, "debye_nm is nan"),
        ({"along_nm": math.inf}, "along_nm is not finite"),
        ({"outside_nm": np.ones(2), "debye_nm": np.ones(3)}, "do not fit together"),
    ],
)
def test_trap_that_cannot_be_is_refused(change: dict[str, float], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        published_trap(**change)


def test_potentials_and_energies_that_do_not_belong_are_refused() -> None:
    channel = Channel(size_nm=3.0)
    with pytest.raises(InputError, match="do not fit"):
        scatter(channel, np.zeros((1, 5, 4, 4)))
    with pytest.raises(InputError, match="not finite"):
        scatter(channel, empty(channel) + np.nan)
    with pytest.raises(InputError, match="no mode is open"):
        scatter(channel, empty(channel), np.array([-0.1, 0.2]))
    with pytest.raises(InputError, match="do not fit 2 potentials"):
        scatter(channel, np.repeat(empty(channel), 2, axis=0), np.array([0.1, 0.2, 0.3]))
    with pytest.raises(InputError, match="no potential"):
        scatter(channel, empty(channel)[:0])
    with pytest.raises(InputError, match="do not screen"):
        debye_nm(0.0)


def test_columns_have_names_units_and_one_length(small: Fig3) -> None:
    table = drawn.columns(small)
    assert {len(column) for column in table.values()} == {101}
    assert np.array_equal(table["z_nm"], small.z_nm)
    assert np.isfinite(table["distance_nm"]).sum() == 5
    assert len({*table}) == len(table)
    assert all(name.replace(".", "_").isidentifier() for name in table)


def test_facts_are_json_and_give_answers_for_both_strengths(small: Fig3) -> None:
    facts = drawn.facts(small)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["deviation_max"] < SAME_CURVE
    assert facts["second_mode_opens_at_nm"] == pytest.approx(7.16, abs=0.01)
    assert {answer["coulomb"] for answer in facts["answers"]} == {"published", "dielectric"}


def test_figure_has_six_labelled_panels(small: Fig3) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    drawn.draw(figure, small)
    assert len(figure.axes) == 6
    assert all(axes.get_xlabel().endswith("(nm)") and axes.get_ylabel() for axes in figure.axes)
