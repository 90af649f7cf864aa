"""A profile fitted to measurements: what is told, how well, what is written, and whether chips of it behave alike."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from memprog.analysis.fitting import fit_logs
from memprog.analysis.fitting.steps import change_of, free_step, step_of
from memprog.analysis.logs import PulseLog, read_pulse_log
from memprog.cli import main
from memprog.errors import InputError, LimitError
from memprog.jobs.characterise import characterise
from memprog.jobs.chips import make_chip
from memprog.jobs.fit_profile import fit_profile
from memprog.jobs.profiles import validate_profiles
from memprog.jobs.workspace import open_workspace
from memprog.profile import DEFAULT_PROFILE, SECTIONS, bundled_profile, parse_profile, profile_text, read_profile
from memprog.profile.writing import profile_with
from memprog.simchip import cells as physics

BASE = bundled_profile(DEFAULT_PROFILE)
OTHER: Mapping[str, float] = {
    "set_threshold_v": 1.78,
    "reset_threshold_v": 1.05,
    "threshold_spread_v": 0.11,
    "switching_slope_v": 0.09,
    "switching_slope_spread": 0.15,
    "switching_cycle_spread": 0.5,
    "switching_state_exponent": 0.4,
    "set_gate_usiemens_per_v": 2500.0,
    "set_gate_threshold_v": 0.6,
    "set_gate_spread": 0.07,
    "trap_relative_amplitude": 0.045,
    "trap_amplitude_spread": 0.7,
    "trap_dwell_ratio_decades": 0.6,
    "trap_bias_decay_per_v": 8.0,
    "flicker_usiemens": 0.03,
    "relaxation_fraction_per_decade": 0.0008,
    "relaxation_spread_per_decade": 0.0004,
    "white_noise_usiemens": 0.11,
}
"""A kind of chip that the base is wrong about, by 10 to 60 %."""


def hidden_text(changes: Mapping[str, float], protocol: Any = None) -> str:
    """A profile that differs from the base in some numbers; with another protocol section, where one is given."""
    tree = yaml.safe_load(profile_text(DEFAULT_PROFILE))
    for key, value in changes.items():
        section = "readout" if key in tree["readout"] else "simulation"
        tree[section][key]["value"] = value
    tree["name"] = "hidden"
    tree["protocol"] = protocol or tree["protocol"]
    return yaml.safe_dump(tree, sort_keys=False)


def measure(folder: Path, changes: Mapping[str, float], count: int, seed: int = 1) -> Path:
    """Characterise some cells of a chip of such a kind; the folder of what was measured."""
    folder.mkdir()
    (folder / "hidden.yaml").write_text(hidden_text(changes), encoding="utf-8")
    workspace = open_workspace(folder / "workspace")
    make_chip(workspace.chip_path, read_profile(folder / "hidden.yaml"), seed=seed, arrays=1)
    characterise(workspace, folder=folder / "measured", profile=str(folder / "hidden.yaml"), count=count)
    return folder / "measured"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("memprog.jobs.characterise.TRACE_SAMPLES", 200)
        return measure(tmp_path_factory.mktemp("fit") / "chip", OTHER, 64)


@pytest.fixture(scope="module")
def log(measured: Path) -> PulseLog:
    return read_pulse_log(measured / "pulses.csv")


def test_steps_are_those_of_the_simulated_cell() -> None:
    simulation = dataclasses.replace(BASE.simulation, switching_cycle_spread=0.0)
    rng = np.random.default_rng(0)
    n = 50
    memristor, over_v, room = rng.uniform(10, 8000, n), rng.uniform(-0.3, 0.3, n), rng.uniform(10, 1000, n)
    width_ns, slope_v = rng.integers(100, 100_000, n), rng.uniform(0.05, 0.1, n)
    silicon = {"slope_v": slope_v}
    wanted = physics._free_step(silicon, np.arange(n), memristor, over_v, width_ns, simulation, rng)
    np.testing.assert_allclose(free_step(memristor, width_ns, over_v / slope_v, simulation), wanted)
    small = np.minimum(wanted, room)
    np.testing.assert_allclose(step_of(change_of(small, room), room), small)


def test_thresholds_slopes_spreads_gate_and_relaxation_are_found_from_a_wrong_base(log: PulseLog) -> None:
    found = {one.key: one for one in fit_logs([log], BASE)}
    within = {
        "set_threshold_v": 0.04,
        "reset_threshold_v": 0.04,
        "threshold_spread_v": 0.25,
        "switching_slope_v": 0.06,
        "switching_slope_spread": 0.3,
        "switching_cycle_spread": 0.12,
        "switching_state_exponent": 0.1,
        "set_gate_usiemens_per_v": 0.03,
        "set_gate_threshold_v": 0.02,
        "relaxation_fraction_per_decade": 0.3,
        "relaxation_spread_per_decade": 0.3,
    }
    for key, share in within.items():
        one = found[f"simulation.{key}"]
        assert one.estimate.value == pytest.approx(OTHER[key], rel=share), key
        assert one.estimate.low < one.estimate.value < one.estimate.high
        assert one.is_told
    assert found["simulation.switching_width_exponent"].estimate.value == pytest.approx(0.5, abs=0.05)


def test_the_intervals_cover_what_the_cells_themselves_are(log: PulseLog, measured: Path) -> None:
    """Of the cells that were measured, not of all that could have been: a sample of 64 is what it is."""
    from memprog.simchip import SimChip

    found = {one.key.split(".")[1]: one.estimate for one in fit_logs([log], BASE)}
    folder = measured.parent
    chip = SimChip(open_workspace(folder / "workspace").chip_path, read_profile(folder / "hidden.yaml"))
    places = np.unique(np.stack([log.cells.row, log.cells.column]), axis=1)
    at = places[0] * BASE.geometry.columns + places[1]
    silicon = chip._file.silicon[0]
    assert found["set_threshold_v"].value == pytest.approx(silicon["set_threshold_v"][at].mean(), abs=0.02)
    assert found["reset_threshold_v"].value == pytest.approx(silicon["reset_threshold_v"][at].mean(), abs=0.02)
    gate = np.log(silicon["set_gate"][at])
    assert np.log(found["set_gate_usiemens_per_v"].value) == pytest.approx(gate.mean(), abs=0.02)
    assert found["set_gate_spread"].value == pytest.approx(gate.std(), rel=0.2)
    chip.close()


def test_a_log_of_one_polarity_and_width_tells_only_of_those(log: PulseLog) -> None:
    some = log.bias != 1
    some &= log.width_ns != 0
    part = PulseLog(
        cells=log.cells.take(some),
        **{
            name: getattr(log, name)[some]
            for name in ("bias", "amplitude_v", "gate_v", "width_ns", "readback_usiemens", "time_s")
        },
    )
    keys = {one.key for one in fit_logs([part], BASE)}
    assert "simulation.set_threshold_v" not in keys
    assert "simulation.set_gate_usiemens_per_v" not in keys


def test_the_profile_written_says_where_its_numbers_are_from(measured: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    report = fit_profile([measured / "pulses.csv"], out_path=out, name="mine")
    profile = read_profile(out)
    assert validate_profiles([out])[0]["passed"]
    assert (profile.name, profile.sha256) == ("mine", report.profile_sha256)
    (file,) = report.files
    source = profile.provenance["simulation.switching_slope_v"]
    assert re.fullmatch(
        rf"source: fitted from pulses\.csv {file['sha256'][:16]}: 0\.\d+ \[0\.\d+, 0\.\d+\] \(95 %\), 64 cells", source
    )
    replaced = {one["key"] for one in report.fitted}
    assert {"protocol.set_first_v", "protocol.step_slope_v", "protocol.set_gate_usiemens_per_v"} <= replaced
    assert profile.protocol.step_slope_v == profile.simulation.switching_slope_v
    assert profile.protocol.set_first_v == profile.simulation.set_threshold_v
    for key, origin in BASE.provenance.items():
        if key not in replaced:
            assert profile.provenance[key] == origin
            section, _, leaf = key.partition(".")
            assert not leaf or getattr(getattr(profile, section), leaf) == getattr(getattr(BASE, section), leaf)
    assert {one["key"] for one in report.kept} & replaced == set()


def test_nothing_is_replaced_without_force(measured: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    out.write_text("precious", encoding="utf-8")
    with pytest.raises(LimitError, match="is there already; --force replaces it; nothing was written"):
        fit_profile([measured / "pulses.csv"], out_path=out, name="mine")
    assert out.read_text(encoding="utf-8") == "precious"
    fit_profile([measured / "pulses.csv"], out_path=out, name="mine", force=True)
    assert read_profile(out).name == "mine"


@pytest.mark.parametrize(
    ("inside", "sentence"),
    [
        ({}, r"holds none of pulses\.csv, iv\.csv and traces\.npz"),
        ({"iv.csv": "array,row,column,read_v,current_a,readback_usiemens,time_s\n0,0,0,0.2,1e-5,50,1\n"}, "neither"),
        (
            {
                "pulses.csv": "array,row,column,bias_name,amplitude_v,gate_v,width_ns,readback_usiemens,time_s\n"
                "0,0,0,SET,1.6,2,1000,50,1\n"
            },
            "no number of a profile can be told",
        ),
    ],
)
def test_what_tells_nothing_is_refused(inside: Mapping[str, str], sentence: str, tmp_path: Path) -> None:
    folder = tmp_path / "measured"
    folder.mkdir()
    for name, text in inside.items():
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        fit_profile([folder], out_path=tmp_path / "mine.yaml", name="mine")
    assert not (tmp_path / "mine.yaml").exists()


def test_the_command_writes_and_tells(measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.yaml"
    words = ["profile", "fit", str(measured / "pulses.csv"), "--name", "mine", "--out", str(out), "--quiet"]
    assert main([*words, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["profile"] == "mine"
    assert {one["cells"] for one in told["fitted"]} == {64}
    assert main(words) == 5
    assert "--force replaces it" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0
    assert "simulation.set_threshold_v" in capsys.readouterr().out
    assert main(["profile", "validate", str(out)]) == 0


@pytest.mark.parametrize("name", ["rao2023-11bit"])
def test_writing_a_profile_changes_nothing_but_what_was_asked(name: str) -> None:
    base = bundled_profile(name)
    text = profile_with(
        profile_text(name),
        name="1.0",
        description="as it was",
        measured={"readout.gain_spread": (1.23456e-05, 'a "source": {of} #sorts')},
        comments=("first line",),
    )
    again = parse_profile(text, origin="again")
    assert text.startswith("# first line\nname: ")
    assert max(map(len, re.findall(r"(?m)^  .*$", text.split("geometry:")[0]))) <= 120
    assert (again.name, again.description.strip()) == ("1.0", "as it was")
    assert again.readout.gain_spread == 1.235e-05
    assert again.provenance["readout.gain_spread"] == 'source: a "source": {of} #sorts'
    for section in SECTIONS:
        if section != "readout":
            assert getattr(again, section) == getattr(base, section)
    assert dataclasses.replace(again.readout, gain_spread=base.readout.gain_spread) == base.readout
    assert again.bias_table == base.bias_table
    assert list(yaml.safe_load(text)) == list(yaml.safe_load(profile_text(name)))
