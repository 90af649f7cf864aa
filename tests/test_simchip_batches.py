"""What a simulated chip makes of a batch of pulses before physics begins: malformed ones, and the bias table."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from small_chip import array_cells, give, memristor_usiemens, new_chip, same_pulses, set_memristors, small_profile

from memprog.chip import Bias
from memprog.errors import InputError


@pytest.mark.parametrize(
    "broken",
    [
        {"amplitude_v": np.full(256, np.nan)},
        {"gate_v": np.full(256, np.inf)},
        {"width_ns": np.full(3, 1000)},
        {"bias": np.full(256, 9, dtype=np.uint8)},
    ],
    ids=["amplitude is not a number", "gate is infinite", "three widths", "unknown kind"],
)
def test_a_malformed_batch_is_refused_and_leaves_the_cells_alone(tmp_path: Path, broken: dict[str, np.ndarray]) -> None:
    chip = new_chip(tmp_path)
    cells, before = array_cells(chip), memristor_usiemens(chip).copy()
    pulses = dataclasses.replace(same_pulses(len(cells), Bias.SET, 2.0), **broken)
    with pytest.raises(InputError):
        chip.pulse(cells, pulses, 1)
    assert chip.last_batch_id() is None
    assert np.array_equal(memristor_usiemens(chip), before)


@pytest.mark.parametrize("bit_line", ["amplitude", 0.0])
def test_the_bias_table_says_which_way_a_pulse_drives(tmp_path: Path, bit_line: float | str) -> None:
    profile = small_profile()
    driven = {"bit_line": bit_line, "source_line": 0.0 if bit_line else "amplitude", "word_line": "gate", "body": 0.0}
    chip = new_chip(tmp_path, dataclasses.replace(profile, bias_table={**profile.bias_table, "SUB_THRESHOLD": driven}))
    set_memristors(chip, 500.0)
    give(chip, Bias.SUB_THRESHOLD, 2.2)
    rise = np.median(memristor_usiemens(chip)) - 500.0
    assert rise > 1.0 if bit_line else rise < -1.0


def test_widths_are_whole_steps_of_the_driver(tmp_path: Path) -> None:
    profile = small_profile(driver={"width_lsb_ns": 500})
    times_s = []
    for name, width_ns in (("a", 1000), ("b", 1100)):
        chip = new_chip(tmp_path, profile, name=name)
        give(chip, Bias.SET, 1.5, width_ns=width_ns)
        times_s.append(chip.clock_s())
    assert times_s[0] == times_s[1]
