"""The picture of ``memprog noise``: what it is drawn from, where it is written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_noise import telegraph
from test_noise_command import write_trace

from memprog.analysis.noise import Noise, analyse_noise
from memprog.analysis.noise.colour import welch_spectrum
from memprog.cli import main
from memprog.jobs.noise import analyse_files
from memprog.report.figures import canvas
from memprog.report.figures.noise import SIZE_INCHES, NoisePicture, draw_noise, dwell_times, spectrum_of

INTERVAL_S = 2e-4


@pytest.fixture(scope="module")
def drawn() -> NoisePicture:
    rng = np.random.default_rng(3)
    samples = 98.0 + 2.0 * telegraph(rng, 60.0, 30.0, 6000) + rng.normal(0.0, 0.2, 6000) + np.linspace(0.0, 1.0, 6000)
    noise = analyse_noise(samples, INTERVAL_S)
    return NoisePicture(title="a trace", first_s=0.0, conductance_usiemens=samples, noise=noise)


def test_dwells_along_the_states_are_those_of_the_fit(drawn: NoisePicture) -> None:
    lower_s, upper_s = dwell_times(drawn.noise, 0)
    (found,) = drawn.noise.fluctuators
    assert abs(len(lower_s) - len(upper_s)) <= 1
    assert lower_s.mean() == pytest.approx(found.tau_low_s.value, rel=0.1)
    assert upper_s.mean() == pytest.approx(found.tau_high_s.value, rel=0.1)


def test_slow_parts_and_levels_make_the_path(drawn: NoisePicture) -> None:
    noise = drawn.noise
    assert np.ptp(noise.slow) == pytest.approx(1.0, abs=0.1)
    expected = noise.levels[0] + noise.fluctuators[0].step.value * noise.high[0] + noise.slow
    assert np.abs(noise.path - expected).max() < 1e-6


def test_spectrum_of_the_model_has_the_power_of_the_trace(drawn: NoisePicture) -> None:
    noise = drawn.noise
    seen = welch_spectrum(drawn.conductance_usiemens - noise.slow, INTERVAL_S)
    model = spectrum_of(noise, seen.frequency_hz)
    assert np.median(seen.density / model) / np.log(2.0) == pytest.approx(1.0, abs=0.5)
    assert model.sum() == pytest.approx(seen.density.sum(), rel=0.2)


def test_largest_step_comes_first_among_states_too() -> None:
    rng = np.random.default_rng(2)
    samples = telegraph(rng, 20.0, 25.0, 6000) + 3.0 * telegraph(rng, 200.0, 120.0, 6000) + rng.normal(0, 0.3, 6000)
    noise = analyse_noise(samples, INTERVAL_S)
    lower_s, _ = dwell_times(noise, 0)
    assert lower_s.mean() == pytest.approx(noise.fluctuators[0].tau_low_s.value, rel=0.3)


def test_a_trace_without_fluctuators_is_drawn(drawn: NoisePicture) -> None:
    pytest.importorskip("matplotlib")
    samples = np.random.default_rng(0).normal(50.0, 1.0, 1000)
    plain: Noise = analyse_noise(samples, INTERVAL_S, most=0)
    shown = NoisePicture(title="white", first_s=0.0, conductance_usiemens=samples, noise=plain)
    for one in (shown, drawn):
        assert canvas.render(lambda figure, one=one: draw_noise(figure, one), ".svg", SIZE_INCHES).startswith(b"<?xml")


def test_the_same_call_writes_the_same_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    write_trace(tmp_path / "t.npz")
    for name in ("a.png", "b.png"):
        assert main(["noise", str(tmp_path / "t.npz"), "--most", "1", "--picture", str(tmp_path / name)]) == 0
    assert "b.png" in capsys.readouterr().out
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_without_a_picture_none_is_named(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.npz")
    assert analyse_files([tmp_path / "t.npz"], most=0).picture is None


@pytest.mark.parametrize(("name", "wrong"), [("x.pdf", "is written as .png or .svg"), ("t.npz", "a file that is read")])
def test_a_picture_elsewhere_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, wrong: str
) -> None:
    write_trace(tmp_path / "t.npz")
    before = (tmp_path / "t.npz").read_bytes()
    assert main(["noise", str(tmp_path / "t.npz"), "--picture", str(tmp_path / name)]) != 0
    assert wrong in capsys.readouterr().err
    assert (tmp_path / "t.npz").read_bytes() == before
