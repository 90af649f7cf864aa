"""``memprog noise`` on files: what it prints, pools and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_noise import telegraph

from memprog.cli import main
from memprog.jobs.noise import analyse_files
from memprog.report.noise import NoiseReport

INTERVAL_S = 2e-4


def write_trace(path: Path, seed: int = 0, sign: float = -1.0) -> None:
    """Two plateaus of a device whose upper level is left sooner at the higher bias, with ramps before them."""
    rng = np.random.default_rng(seed)
    bias, conductance = [], []
    for start, volts, high in ((0.0, 0.15, 66.0), (0.15, 0.25, 22.0)):
        bias += [np.linspace(start, volts, 400), np.full(2500, volts)]
        conductance.append(96.0 + 2.5 * telegraph(rng, 58.0, high, 2900) + rng.normal(0, 0.1, 2900))
    bias_v, time_s = np.concatenate(bias), np.arange(5800) * INTERVAL_S
    np.savez(path, time_s=time_s, bias_v=sign * bias_v, current_a=bias_v * np.concatenate(conductance) * 1e-6)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> NoiseReport:
    folder = tmp_path_factory.mktemp("traces")
    for seed in (0, 1):
        write_trace(folder / f"{seed}.npz", seed)
    return analyse_files([folder / "0.npz", folder / "1.npz"], most=1)


def test_every_plateau_of_every_file_is_analysed(report: NoiseReport) -> None:
    assert [round(abs(one["bias_v"]), 2) for one in report.plateaus] == [0.15, 0.25] * 2
    for plateau in report.plateaus:
        (fluctuator,) = plateau["fluctuators"]
        assert fluctuator["step_usiemens"]["value"] == pytest.approx(2.5, abs=0.05)
        assert plateau["conductance_usiemens"] > 90
        assert len(plateau["levels_usiemens"]) == 2


def test_dwell_times_are_pooled_by_bias_and_their_trend_is_told(report: NoiseReport) -> None:
    assert [one["traces"] for one in report.pooled] == [2, 2]
    assert report.trends["tau_high"]["significant"]
    assert not report.trends["tau_low"]["significant"]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run ``memprog noise`` and give its exit code, standard output and standard error."""

    def noise(*words: str) -> tuple[int, str, str]:
        code = main(["noise", *words, "--quiet"])
        return code, *capsys.readouterr()

    return noise


def test_text_names_trace_step_and_dependence(tmp_path: Path, said: Callable[..., tuple[int, str, str]]) -> None:
    write_trace(tmp_path / "device.npz", sign=1.0)
    code, out, _ = said(str(tmp_path / "device.npz"), "--most", "1")
    assert code == 0
    assert "device.npz" in out
    assert "tau high: depends on the bias" in out


def test_a_csv_of_one_cell_is_read(tmp_path: Path, said: Callable[..., tuple[int, str, str]]) -> None:
    rng = np.random.default_rng(4)
    current = 0.2e-6 * (50.0 + telegraph(rng, 30, 30, 1000) + rng.normal(0, 0.1, 1000))
    rows = [f"{k * INTERVAL_S:.6g},0.2,{value:.9g}" for k, value in enumerate(current)]
    (tmp_path / "t.csv").write_text("\n".join(["time_s,bias_v,current_a", *rows]) + "\n", encoding="utf-8")
    code, out, err = said(str(tmp_path / "t.csv"), "--most", "1", "--format", "json")
    assert code == 0, err
    assert len(json.loads(out)["plateaus"][0]["fluctuators"]) == 1


@pytest.mark.parametrize(("name", "wrong"), [("short.npz", "no stretch of 500 samples"), ("x.txt", "are read from")])
def test_what_holds_no_trace_is_exit_3_with_one_sentence(
    tmp_path: Path, said: Callable[..., tuple[int, str, str]], name: str, wrong: str
) -> None:
    np.savez(tmp_path / "short.npz", time_s=np.arange(20.0), bias_v=np.full(20, 0.2), current_a=np.ones(20))
    (tmp_path / "x.txt").write_text("hello", encoding="utf-8")
    code, out, err = said(str(tmp_path / name))
    assert code == 3
    assert out == ""
    assert wrong in err
    assert "Traceback" not in err


@pytest.mark.parametrize("absurd", [1e300, 1e30])
def test_currents_that_no_cell_carries_are_left_out(
    tmp_path: Path, said: Callable[..., tuple[int, str, str]], absurd: float
) -> None:
    write_trace(tmp_path / "good.npz")
    with np.load(tmp_path / "good.npz") as kept:
        arrays = dict(kept)
    arrays["current_a"][1000] = absurd
    np.savez(tmp_path / "bad.npz", **arrays)
    code, out, err = said(str(tmp_path / "good.npz"), str(tmp_path / "bad.npz"), "--most", "1")
    assert code == 0, err
    assert "left out" in out
    assert "Warning" not in err


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("outlier_a", [1e-3, 1.0, 1e3])
def test_one_sample_far_off_is_no_end_of_the_analysis(
    tmp_path: Path, said: Callable[..., tuple[int, str, str]], outlier_a: float
) -> None:
    write_trace(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as kept:
        arrays = dict(kept)
    arrays["current_a"][1000] = outlier_a
    np.savez(tmp_path / "t.npz", **arrays)
    code, _, err = said(str(tmp_path / "t.npz"), "--most", "1")
    assert code == 0, err
