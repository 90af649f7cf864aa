"""A simulated cell set up like the measured device gives traces in which the same analysis finds the same things.

What was measured: domain figures of Rao 2023's supplementary traces (step, dwell times at three biases), and what
``memprog noise`` finds in them beside the fluctuator: 0.051 uS a sample, whose means over 5, 25 and 250 samples are
left with 0.025, 0.015 and 0.008 uS (medians over 18 plateaus of six traces; hum taken out).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_chip import array_cells, new_chip, read_spec, relative_for, set_cells, set_traps, small_profile

from memprog.analysis.noise import Noise, analyse_noise
from memprog.chip import FloatArray, Order

INTERVAL_S = 2e-4
MEASURED = {0.15: (2.13, 13.2e-3), 0.20: (2.57, 7.5e-3), 0.25: (2.92, 4.35e-3)}
"""Bias: step in uS, dwell time in the upper state in s, as the authors fitted it."""
TAU_LOW_S = 11.5e-3
SPREAD = {5: 0.0253, 25: 0.0154, 250: 0.0081}
SAMPLE_USIEMENS = 0.051


def traces(folder: Path, bias_v: float, cells: int, samples: int) -> FloatArray:
    """Conductances (cells, samples) of cells of 98 uS that all have the measured fluctuator."""
    folder.mkdir(exist_ok=True)
    profile = small_profile("rao2023-11bit-full", arrays=1, simulation={"channel_create_max": 0.0})
    chip = new_chip(folder, profile, seed=7)
    set_cells(chip, 98.0)
    set_traps(chip, relative_for(2.57, 98.0, profile), TAU_LOW_S, 7.5e-3)
    spec = read_spec(read_v=bias_v, samples=samples, interval_s=INTERVAL_S, aperture_ns=200_000, order=Order.DWELLING)
    chosen = array_cells(chip).take(np.arange(cells))
    reading = chip.read(chosen, read_spec(read_v=bias_v))
    return np.asarray((chip.trace(chosen, spec) - reading.offset_a[:, None]) / reading.sense_v[:, None] * 1e6)


def means_left(found: Noise) -> dict[int, float]:
    """Deviation of means over so many samples of what is left."""
    left = found.residual
    return {n: float(left[: len(left) // n * n].reshape(-1, n).mean(axis=1).std()) for n in SPREAD}


def test_noise_without_a_fluctuator_has_the_measured_size_and_colour(tmp_path: Path) -> None:
    profile = small_profile("rao2023-11bit-full", arrays=1, simulation={"channels_initial_mean": 0.0})
    chip = new_chip(tmp_path, profile, seed=7)
    set_cells(chip, 98.0)
    spec = read_spec(samples=5000, interval_s=INTERVAL_S, aperture_ns=200_000, order=Order.DWELLING)
    found = [
        analyse_noise(one / 0.2e-6, INTERVAL_S, most=0)
        for one in chip.trace(array_cells(chip).take(np.arange(12)), spec)
    ]
    assert np.median([one.noise.value for one in found]) == pytest.approx(SAMPLE_USIEMENS, rel=0.1)
    for n, expected in SPREAD.items():
        assert np.median([means_left(one)[n] for one in found]) == pytest.approx(expected, rel=0.25)
    # The measured plateaus scatter from -0.22 to -0.68, with a median of -0.35.
    assert np.median([one.colour.value for one in found]) == pytest.approx(-0.35, abs=0.1)


def test_one_plateau_gives_its_fluctuator_back(tmp_path: Path) -> None:
    found = analyse_noise(traces(tmp_path, 0.2, 1, 5000)[0], INTERVAL_S, most=1)
    (one,) = found.fluctuators
    assert one.step.value == pytest.approx(2.57, abs=0.05)
    assert one.tau_low_s.low < TAU_LOW_S < one.tau_low_s.high
    assert one.tau_high_s.low < 7.5e-3 < one.tau_high_s.high
    assert found.noise.value == pytest.approx(SAMPLE_USIEMENS, rel=0.15)
    # Like the bench's, a sample is the mean over the whole interval.
    assert found.blur > 0.9


@pytest.mark.long
@pytest.mark.parametrize("bias_v", MEASURED)
def test_ten_plateaus_at_each_bias_give_the_published_constants(bias_v: float, tmp_path: Path) -> None:
    step, tau_high_s = MEASURED[bias_v]
    found = [analyse_noise(one, INTERVAL_S, most=1) for one in traces(tmp_path, bias_v, 10, 4350)]
    fluctuators = [one.fluctuators[0] for one in found]
    assert np.median([one.step.value for one in fluctuators]) == pytest.approx(step, rel=0.03)
    # 4,350 samples are 40 to 55 pairs of dwells: a tenth of ten plateaus' mean is what chance allows.
    assert np.exp(np.mean([np.log(one.tau_low_s.value) for one in fluctuators])) == pytest.approx(TAU_LOW_S, rel=0.12)
    assert np.exp(np.mean([np.log(one.tau_high_s.value) for one in fluctuators])) == pytest.approx(tau_high_s, rel=0.12)
