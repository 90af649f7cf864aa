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

from memprog.analysis.fitting import Fluctuations, Found, Quiet, fit_logs, wandering
from memprog.analysis.fitting.noise import FAR, NEAR, fit_slow_noise, fit_traps, fit_white_noise
from memprog.analysis.fitting.relaxation import unrelaxed
from memprog.analysis.fitting.steps import change_of, free_step, step_of
from memprog.analysis.logs import PulseLog, read_pulse_log, write_pulse_log
from memprog.chip import Bias
from memprog.cli import main
from memprog.errors import InputError, LimitError
from memprog.image import Image, write_image
from memprog.jobs.characterise import characterise
from memprog.jobs.chips import make_chip
from memprog.jobs.fit_profile import fit_profile
from memprog.jobs.profiles import validate_profiles
from memprog.jobs.program import program
from memprog.jobs.verify import verify
from memprog.jobs.workspace import open_workspace
from memprog.profile import (
    DEFAULT_PROFILE,
    SECTIONS,
    ChipProfile,
    bundled_profile,
    parse_profile,
    profile_text,
    read_profile,
)
from memprog.profile.writing import profile_with
from memprog.simchip import SimChip
from memprog.simchip import cells as physics
from memprog.simchip.state import plant_traps

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
    "channel_dissolve_v": 0.66,
    "channel_dissolve_spread_v": 0.08,
}
"""A kind of chip that the base is wrong about, by 10 to 60 %."""
STEEP: Mapping[str, float] = {
    "set_threshold_v": 1.45,
    "reset_threshold_v": 1.35,
    "threshold_spread_v": 0.06,
    "switching_slope_v": 0.055,
    "switching_slope_spread": 0.08,
    "switching_cycle_spread": 0.3,
    "switching_state_exponent": 0.65,
    "switching_width_exponent": 0.4,
    "set_gate_usiemens_per_v": 1850.0,
    "set_gate_threshold_v": 0.42,
    "set_gate_spread": 0.035,
    "trap_relative_amplitude": 0.022,
    "trap_amplitude_spread": 0.9,
    "trap_dwell_ratio_decades": 0.4,
    "trap_bias_decay_per_v": 15.0,
    "flicker_usiemens": 0.013,
    "relaxation_fraction_per_decade": 0.0003,
    "relaxation_spread_per_decade": 0.0002,
    "white_noise_usiemens": 0.06,
    "channel_dissolve_v": 0.95,
    "channel_dissolve_spread_v": 0.12,
}
"""Another, wrong to the other side in most."""


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


@pytest.fixture(scope="module")
def few(log: PulseLog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pulse log of 16 cells: enough to write a profile from."""
    place = log.cells.row * BASE.geometry.columns + log.cells.column
    path = tmp_path_factory.mktemp("few") / "pulses.csv"
    write_pulse_log(path, part_of(log, np.isin(place, np.unique(place)[:16])))
    return path


def part_of(log: PulseLog, some: np.ndarray) -> PulseLog:
    """Some events of a log."""
    names = ("bias", "amplitude_v", "gate_v", "width_ns", "readback_usiemens", "time_s")
    return PulseLog(cells=log.cells.take(some), **{name: getattr(log, name)[some] for name in names})


@pytest.fixture(scope="module")
def found(log: PulseLog) -> Mapping[str, Found]:
    """What the log tells of the simulated cell, by key."""
    return {one.key.removeprefix("simulation."): one for one in fit_logs([log], BASE)}


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


def test_thresholds_slopes_spreads_gate_and_relaxation_are_found_from_a_wrong_base(found: Mapping[str, Found]) -> None:
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
        "channel_dissolve_v": 0.2,
    }
    for key, share in within.items():
        one = found[key]
        assert one.estimate.value == pytest.approx(OTHER[key], rel=share), key
        assert one.estimate.low < one.estimate.value < one.estimate.high
        assert one.is_told
    assert found["switching_width_exponent"].estimate.value == pytest.approx(0.5, abs=0.05)


@pytest.mark.long
def test_ceilings_are_found_though_the_base_is_far_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SETs that the gate stops look like small free steps to who believes in another gate."""
    monkeypatch.setattr("memprog.jobs.characterise.TRACE_SAMPLES", 200)
    far_off = {
        "set_threshold_v": 1.3,
        "reset_threshold_v": 1.55,
        "switching_slope_v": 0.045,
        "switching_state_exponent": 0.8,
        "set_gate_usiemens_per_v": 1500.0,
        "set_gate_threshold_v": 0.3,
    }
    folder = measure(tmp_path / "chip", far_off, 24)
    value = {one.key: one.estimate.value for one in fit_logs([read_pulse_log(folder / "pulses.csv")], BASE)}
    for key, wanted in far_off.items():
        assert value[f"simulation.{key}"] == pytest.approx(wanted, rel=0.1), key


def test_what_is_found_is_what_the_measured_cells_are(
    found: Mapping[str, Found], log: PulseLog, measured: Path
) -> None:
    """The cells that were measured, not all that could have been: a sample of 64 is what it is."""
    value = {key: one.estimate.value for key, one in found.items()}
    folder = measured.parent
    chip = SimChip(open_workspace(folder / "workspace").chip_path, read_profile(folder / "hidden.yaml"))
    places = np.unique(np.stack([log.cells.row, log.cells.column]), axis=1)
    at = places[0] * BASE.geometry.columns + places[1]
    silicon = chip._file.silicon[0]
    assert value["set_threshold_v"] == pytest.approx(silicon["set_threshold_v"][at].mean(), abs=0.02)
    assert value["reset_threshold_v"] == pytest.approx(silicon["reset_threshold_v"][at].mean(), abs=0.02)
    gate = np.log(silicon["set_gate"][at])
    assert np.log(value["set_gate_usiemens_per_v"]) == pytest.approx(gate.mean(), abs=0.02)
    assert value["set_gate_spread"] == pytest.approx(gate.std(), rel=0.2)
    chip.close()


def test_what_has_not_relaxed_is_what_the_simulated_cell_keeps() -> None:
    passed_s = np.geomspace(1e-3, 1e4, 20)
    times_s = physics.relaxation_times_s(BASE.simulation)
    np.testing.assert_allclose(unrelaxed(passed_s, BASE.simulation), np.exp(-passed_s[:, None] / times_s).sum(axis=1))


def fluctuations(rng: np.random.Generator, cells: int) -> Fluctuations:
    """One trap a cell at three biases, as the model of the simulated cell makes them, seen almost perfectly."""
    simulation = dataclasses.replace(BASE.simulation, **{key: OTHER[key] for key in OTHER if key.startswith("trap_")})
    state = {name: np.zeros((1, cells)) for name in ("trap_amplitude", "trap_dwell_low_s", "trap_dwell_high_s")}
    state |= {name: np.zeros((1, cells)) for name in ("trap_dissolve_v", "trap_high")}
    plant_traps(state, 0, np.arange(cells), simulation, rng, None)
    cell, bias_v = np.repeat(np.arange(cells), 3), np.tile([0.15, 0.2, 0.25], cells)
    conductance = rng.uniform(100, 3000, cells)[cell]
    steps = physics.trap_steps_usiemens(state["trap_amplitude"][0, cell], conductance, simulation)
    high_s = state["trap_dwell_high_s"][0, cell] * np.exp(-simulation.trap_bias_decay_per_v * (bias_v - 0.2))
    tau_s = np.stack([state["trap_dwell_low_s"][0, cell], high_s])
    seen = (tau_s > 4e-4).all(axis=0) & (tau_s < 0.2).all(axis=0)
    found = Fluctuations(
        cell=cell,
        bias_v=bias_v,
        conductance=conductance,
        step=steps * np.exp(0.01 * rng.standard_normal(len(cell))),
        step_ratio=np.full(len(cell), 1.04),
        tau_s=tau_s * np.exp(0.1 * rng.standard_normal(tau_s.shape)),
        log_error=np.full(tau_s.shape, 0.1),
        clean=np.ones(len(cell), dtype=bool),
        interval_s=np.full(len(cell), 2e-4),
        span_s=np.full(len(cell), 2.0),
    )
    return found.take(seen)


def test_traps_are_found_as_large_and_as_quick_as_they_were_made() -> None:
    found = fit_traps(fluctuations(np.random.default_rng(0), 2000), BASE.simulation)
    for key in ("trap_relative_amplitude", "trap_amplitude_spread", "trap_bias_decay_per_v"):
        assert found[key] == pytest.approx(OTHER[key], rel=0.12), key
    # Those whose two dwell times differ a lot are seen less often.
    assert 0.3 < found["trap_dwell_ratio_decades"] < 0.65
    # They end beyond what a trace shows.
    assert not {"trap_dwell_min_s", "trap_dwell_max_s"} & set(found)


def test_dwell_times_that_end_within_a_trace_are_told() -> None:
    seen = fluctuations(np.random.default_rng(1), 400)
    middle_s = np.sqrt(seen.tau_s.prod(axis=0))
    ends = {one: 10.0**one for one in (-2.6, -1.4)}
    found = fit_traps(seen.take((middle_s > ends[-2.6]) & (middle_s < ends[-1.4])), BASE.simulation)
    assert found["trap_dwell_min_s"] == pytest.approx(ends[-2.6], rel=0.35)
    assert found["trap_dwell_max_s"] == pytest.approx(ends[-1.4], rel=0.35)


def test_white_and_slow_noise_are_told_apart() -> None:
    rng, interval_s, samples = np.random.default_rng(2), 2e-4, 10_000
    conductance = np.linspace(500.0, 2500.0, 24)
    times_s = physics.flicker_times_s(BASE.simulation)
    white, slow = 0.11, 0.03 * np.sqrt(conductance / BASE.simulation.flicker_reference_usiemens)
    keep = np.exp(-interval_s / times_s)[:, None]
    state = rng.standard_normal((len(times_s), len(conductance)))
    wander = np.empty((samples, len(conductance)))
    for sample in range(samples):
        state = keep * state + np.sqrt(1.0 - keep**2) * rng.standard_normal(state.shape)
        wander[sample] = slow * state.sum(axis=0)
    readout = BASE.readout
    deviation = np.sqrt(10.0 * (white**2 + (readout.white_noise_relative * conductance) ** 2))
    residual = wander + deviation * rng.standard_normal(wander.shape)
    residual = readout.lsb_usiemens * np.rint(residual / readout.lsb_usiemens)
    quiet = Quiet(
        cell=np.arange(24),
        conductance=conductance,
        interval_s=np.full(24, interval_s),
        aperture_s=np.full(24, 2e-5),
        near=np.array([wandering(one, NEAR) for one in residual.T]),
        far=np.array([wandering(one, FAR) for one in residual.T]),
    )
    flicker = fit_slow_noise(quiet, BASE.simulation)["flicker_usiemens"]
    assert flicker == pytest.approx(0.03, rel=0.12)
    found = fit_white_noise(quiet, readout, BASE.simulation, flicker)
    assert found["white_noise_usiemens"] == pytest.approx(white, rel=0.03)


def test_noise_of_traces_makes_a_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng, samples = np.random.default_rng(3), 2500
    np.savez(
        tmp_path / "t.npz",
        time_s=np.arange(samples) * 2e-4,
        bias_v=np.full(samples, 0.2),
        current_a=0.2e-6 * (98.0 + 0.12 * rng.standard_normal((9, samples))),
    )
    out = tmp_path / "quiet.yaml"
    words = ["noise", str(tmp_path / "t.npz"), "--most", "0", "--fit", str(out), "--quiet", "--format", "json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    # Traces that do not say they are memprog's are taken to sense all the time, which is the aperture of the base.
    assert read_profile(out).readout.white_noise_usiemens == pytest.approx(0.12, rel=0.03)
    assert [one["key"] for one in told["fitted"]][-1] == "readout.white_noise_usiemens"
    assert told["files"][0]["kind"] == "trace"
    assert validate_profiles([out])[0]["passed"]
    assert main(words) == 5
    assert main(["noise", str(tmp_path / "t.npz"), "--fit", str(tmp_path / "t.npz"), "--force"]) == 3


def test_a_log_of_one_polarity_tells_only_of_that(log: PulseLog) -> None:
    part = part_of(log, log.bias != int(Bias.SET))
    keys = {one.key for one in fit_logs([part], BASE)}
    assert "simulation.set_threshold_v" not in keys
    assert "simulation.set_gate_usiemens_per_v" not in keys


def test_the_profile_written_says_where_its_numbers_are_from(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    report = fit_profile([few], out_path=out, name="mine")
    profile = read_profile(out)
    assert validate_profiles([out])[0]["passed"]
    assert (profile.name, profile.sha256) == ("mine", report.profile_sha256)
    (file,) = report.files
    source = profile.provenance["simulation.switching_slope_v"]
    assert re.fullmatch(
        rf"source: fitted from pulses\.csv {file['sha256'][:16]}: 0\.\d+ \[0\.\d+, 0\.\d+\] \(95 %\), 16 cells", source
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


def test_nothing_is_replaced_without_force(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    out.write_text("precious", encoding="utf-8")
    with pytest.raises(LimitError, match="is there already; --force replaces it; nothing was written"):
        fit_profile([few], out_path=out, name="mine")
    assert out.read_text(encoding="utf-8") == "precious"
    fit_profile([few], out_path=out, name="mine", force=True)
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


def test_the_command_writes_and_tells(few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.yaml"
    words = ["profile", "fit", str(few), "--name", "mine", "--out", str(out), "--quiet"]
    assert main([*words, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["profile"] == "mine"
    assert {one["cells"] for one in told["fitted"] if "switching" in one["key"]} == {16}
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


def random_levels(kind: ChipProfile, seed: int, rows: int) -> Image:
    """An image of random levels in a corner of one array."""
    geometry, levels = kind.geometry, kind.levels
    targets = np.full((1, geometry.rows, geometry.columns), np.nan, dtype=np.float32)
    chosen = np.random.default_rng([seed, 1]).integers(0, levels.count, (rows, rows))
    targets[0, :rows, :rows] = levels.min_usiemens + chosen * levels.spacing_usiemens
    return Image(
        profile_name=kind.name,
        profile_sha256=kind.sha256,
        weights_sha256="",
        weights_name="random levels",
        weights_format="npy",
        layers=(),
        digital={},
        targets_usiemens=targets,
    )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How programming went, on the average of a few chips."""

    pulses_per_cell: float
    yield_fraction: float
    noise_usiemens: float
    fluctuating_fraction: float

    @staticmethod
    def of(kind: str, seeds: tuple[int, ...], folder: Path, rows: int = 64) -> Outcome:
        """Program the same random levels into new chips of a kind, and verify them."""
        folder.mkdir()
        path = folder / "kind.yaml"
        path.write_text(kind, encoding="utf-8")
        profile = read_profile(path)
        found = []
        for seed in seeds:
            (folder / str(seed)).mkdir()
            workspace = open_workspace(folder / str(seed))
            write_image(workspace.image_path, random_levels(profile, 0, rows))
            make_chip(workspace.chip_path, profile, seed=seed, arrays=1)
            run = program(workspace, profile=str(path), verify=False)
            seen = verify(workspace, profile=str(path))
            fluctuating = seen.fluctuating_cells / seen.cells
            found.append((run.pulses_per_cell_mean, seen.yield_fraction, seen.noise_median_usiemens, fluctuating))
        return Outcome(*(float(value) for value in np.mean(found, axis=0)))

    def over(self, other: Outcome) -> dict[str, float]:
        """Ratio of each number to the other's."""
        return {key: value / getattr(other, key) for key, value in dataclasses.asdict(self).items()}


@pytest.mark.long
@pytest.mark.parametrize("changes", [OTHER, STEEP], ids=["other", "steep"])
def test_chips_of_the_fitted_kind_are_programmed_like_those_of_the_hidden_one(
    changes: Mapping[str, float], tmp_path: Path
) -> None:
    """The fitter never sees the hidden profile, nor its chips those that are compared."""
    folder = measure(tmp_path / "first", changes, 64)
    fit_profile([folder], out_path=tmp_path / "fitted.yaml", name="fitted")
    fitted = (tmp_path / "fitted.yaml").read_text(encoding="utf-8")
    protocol = yaml.safe_load(fitted)["protocol"]
    hidden = Outcome.of(hidden_text(changes, protocol), (2, 3), tmp_path / "hidden")
    alike = Outcome.of(fitted, (102, 103), tmp_path / "fitted")
    believed = Outcome.of(hidden_text({}, protocol), (102, 103), tmp_path / "believed")
    # 300 or so of 8,192 cells fluctuate at the end, the slowest and the hardest to dissolve: the tails of what differs.
    within = {"pulses_per_cell": 0.15, "yield_fraction": 0.02, "noise_usiemens": 0.15, "fluctuating_fraction": 0.3}
    ratios = alike.over(hidden)
    assert {key: abs(ratios[key] - 1.0) < within[key] for key in within} == dict.fromkeys(within, True), ratios
    # Without the fit it is another chip.
    assert abs(believed.over(hidden)["noise_usiemens"] - 1.0) > 0.12


def test_effects_of_a_base_are_written_a_number_a_line_and_stay_what_they_were() -> None:
    base = profile_text("rao2023-11bit-full")
    written = profile_with(base, name="mine", description="of a test", measured={})
    before, after = parse_profile(base, origin="base"), parse_profile(written, origin="written")
    assert (after.wires, after.islands, after.effects) == (before.wires, before.islands, before.effects)
    assert "\nwires:\n  row_ohm: {value: 0.01," in written
