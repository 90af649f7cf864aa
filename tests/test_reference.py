"""Published write-verify loops: what they decide, and that they run through the contract with any chip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_chip import NOISELESS, STILL, array_cells, new_chip, small_profile

from memprog.chip import Bias, Cells, Chip, FloatArray
from memprog.errors import InputError, LimitError
from memprog.jobs.reference import read_spec, read_usiemens, run_reference
from memprog.protocol.reference import Fixed, FixedSettings, Ramp, RampSettings, Reference
from memprog.protocol.words import Shots

UP, DOWN = int(Bias.SET), int(Bias.RESET)


def told(loop: Reference, *readbacks: float) -> list[Shots | None]:
    """Tell a loop of one cell one readback after the other."""
    return [loop.take(np.array([0]), np.array([readback])) for readback in readbacks]


def amplitudes(shots: list[Shots | None]) -> list[float | None]:
    return [None if one is None else round(float(one.pulses.amplitude_v[0]), 6) for one in shots]


def directions(shots: list[Shots | None]) -> list[int | None]:
    return [None if one is None else int(one.pulses.bias[0]) for one in shots]


def test_a_ramp_rises_until_the_cell_goes_past_and_begins_anew_the_other_way() -> None:
    shots = told(Ramp(np.array([20.0])), 5.0, 6.0, 12.0, 25.0, 24.0, 18.0)
    assert amplitudes(shots) == [1.2, 1.3, 1.4, 1.2, 1.3, 1.2]
    assert directions(shots) == [UP, UP, UP, DOWN, DOWN, UP]


def test_set_and_reset_open_the_gate_as_the_authors_do() -> None:
    up, down = told(Ramp(np.array([20.0])), 5.0, 30.0)
    assert up is not None
    assert down is not None
    assert (up.pulses.gate_v[0], down.pulses.gate_v[0]) == (2.5, 5.0)
    assert (up.pulses.width_ns[0], down.pulses.width_ns[0]) == (1000, 1000)


def test_a_ramp_wants_two_reads_that_agree() -> None:
    loop = Ramp(np.array([20.0]))
    assert amplitudes(told(loop, 17.0, 20.5)) == [1.2, None]
    assert not loop.done[0]
    told(loop, 19.5)
    assert loop.done[0]
    assert len(loop.open_cells()) == 0
    assert loop.pulses[0] == 1


def test_a_read_that_does_not_confirm_begins_the_ramp_anew_and_counts_as_a_reversal() -> None:
    loop = Ramp(np.array([20.0]))
    shots = told(loop, 15.0, 16.0, 20.0, 18.0, 18.5)
    assert amplitudes(shots) == [1.2, 1.3, None, 1.2, 1.3]
    assert loop.reversals[0] == 1
    assert not loop.done[0]


def test_a_ramp_stays_at_its_most_and_gives_up_after_a_few_pulses_there() -> None:
    settings = RampSettings(first_v=3.8, most_v=4.0, most_at_limit=3)
    loop = Ramp(np.array([20.0]), settings)
    shots = told(loop, *[5.0] * 6)
    assert amplitudes(shots) == [3.8, 3.9, 4.0, 4.0, 4.0, None]
    assert loop.given_up[0]
    assert not loop.done[0]


def test_a_ramp_gives_up_after_so_many_reversals() -> None:
    loop = Ramp(np.array([20.0]), RampSettings(most_reversals=2))
    shots = told(loop, 10.0, 30.0, 10.0, 30.0)
    assert directions(shots) == [UP, DOWN, UP, None]
    assert loop.given_up[0]


@pytest.mark.parametrize(
    ("target", "up_v", "down_v"),
    [(20.0, 1.35, 1.5), (45.0, 1.35, 1.3), (80.0, 1.5, 1.3)],
    ids=("low", "middle", "high"),
)
def test_fixed_pulses_are_all_alike_and_go_by_the_target(target: float, up_v: float, down_v: float) -> None:
    shots = told(Fixed(np.array([target])), 0.9 * target, 0.95 * target, 1.1 * target, 1.05 * target)
    assert amplitudes(shots) == [up_v, up_v, down_v, down_v]
    assert directions(shots) == [UP, UP, DOWN, DOWN]


@pytest.mark.parametrize(("share", "done"), [(0.02, True), (0.002, False)])
def test_one_read_inside_a_share_of_the_target_ends_fixed_pulses(share: float, done: bool) -> None:
    loop = Fixed(np.array([50.0]), FixedSettings(window_share=share))
    told(loop, 50.5)
    assert bool(loop.done[0]) is done


def test_fixed_pulses_end_with_the_budget() -> None:
    loop = Fixed(np.array([50.0]), FixedSettings(most_pulses=2))
    assert amplitudes(told(loop, 40.0, 40.0, 40.0)) == [1.35, 1.35, None]
    assert loop.given_up[0]


@pytest.mark.parametrize("loop", [Ramp(np.array([20.0])), Fixed(np.array([20.0]))], ids=("ramp", "fixed"))
def test_a_clamped_reading_is_too_high_and_none_at_all_ends_it(loop: Reference) -> None:
    assert directions(told(loop, np.inf, np.nan)) == [DOWN, None]
    assert loop.given_up[0]
    assert loop.pulses[0] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: RampSettings(first_v=5.0),
        lambda: RampSettings(dropped=8),
        lambda: RampSettings(window_usiemens=0.0),
        lambda: FixedSettings(set_v=(1.0,)),
        lambda: FixedSettings(window_share=float("nan")),
        lambda: Ramp(np.array([np.nan])),
    ],
    ids=("begins above its most", "nothing left", "no window", "too few", "no number", "no target"),
)
def test_settings_that_cannot_be_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError):
        wrong()


def alike(folder: Path, **readout: Any) -> tuple[Any, Chip]:
    """A small quiet chip whose cells answer to the amplitudes of both loops."""
    simulation = {"set_threshold_v": 1.45, "switching_step_usiemens": 2.0, "switching_state_usiemens": 50.0}
    profile = small_profile(arrays=1, simulation=STILL | simulation, readout=readout)
    return profile, new_chip(folder, profile)


def spread_targets(cells: Cells) -> FloatArray:
    return np.linspace(20.0, 80.0, len(cells))


@pytest.mark.parametrize("kind", [Ramp, Fixed])
def test_a_loop_brings_the_cells_of_a_simulated_chip_home(kind: type[Reference], tmp_path: Path) -> None:
    profile, chip = alike(tmp_path, **NOISELESS)
    cells = array_cells(chip)
    target = spread_targets(cells)
    loop = Ramp(target) if kind is Ramp else Fixed(target)
    ended = run_reference(chip, profile, cells, loop)
    assert loop.done.mean() > 0.95
    assert ended.rounds > loop.pulses.max()
    assert ended.chip_time_s > 0
    left = read_usiemens(chip, cells, read_spec(chip, profile, cells, 100)) - target
    assert np.all(np.abs(left[loop.done]) < loop.window_usiemens[loop.done] + 0.01)


def test_each_look_of_a_ramp_drops_its_first_reads(tmp_path: Path) -> None:
    profile, chip = alike(tmp_path)
    cells = array_cells(chip).take(np.arange(4))
    before_s = chip.clock_s()
    loop = Ramp(read_usiemens(chip, cells, read_spec(chip, profile, cells)))
    one_read_s = chip.clock_s() - before_s
    ended = run_reference(chip, profile, cells, loop)
    assert ended.rounds == 2
    assert ended.chip_time_s == pytest.approx(2 * 8 * one_read_s)


def test_a_reference_loop_runs_on_no_silicon(tmp_path: Path) -> None:
    profile, chip = alike(tmp_path)

    class Silicon:
        """The same chip under another name."""

        identity = type("Identity", (), {"simulated": False})()
        pulse = None

    cells = array_cells(chip)
    with pytest.raises(LimitError, match="nothing was applied"):
        run_reference(Silicon(), profile, cells, Ramp(spread_targets(cells)))  # type: ignore[arg-type]
