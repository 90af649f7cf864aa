"""The main job by real processes: weights into a small simulated chip, verified, and back again."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import Ended, environment
from processes import memprog_in as memprog

REPOSITORY = Path(__file__).parent.parent
SMALL = {"arrays": 1, "rows": 16, "columns": 16}
CELLS = 64
Run = Callable[..., Ended]


def write_profile(path: Path) -> None:
    """The default profile on a chip of one small array."""
    text = (REPOSITORY / "profiles" / "rao2023-11bit.yaml").read_text(encoding="utf-8")
    for key, value in SMALL.items():
        text = re.sub(rf"^(  {key}: {{value: )\d+", rf"\g<1>{value}", text, count=1, flags=re.MULTILINE)
    path.write_text(text.replace("name: rao2023-11bit", "name: small", 1), encoding="utf-8")


def weights() -> np.ndarray[Any, np.dtype[np.float32]]:
    """32 weights, so 64 cells."""
    return np.random.default_rng(5).normal(size=(4, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Ended]]:
    """A folder in which the three commands of the main job were run, and what each said."""
    folder = tmp_path_factory.mktemp("job")
    write_profile(folder / "small.yaml")
    np.save(folder / "weights.npy", weights())
    profile = ("--profile", "small.yaml")
    said = {
        "load": memprog(folder, "load-weights", "weights.npy", *profile),
        "program": memprog(folder, "program", "--array", *profile, "--format", "json"),
        "verify": memprog(folder, "verify", *profile, "--format", "json"),
    }
    return folder, said


@pytest.fixture
def run(finished: tuple[Path, dict[str, Ended]], tmp_path: Path) -> Run:
    """Run a command in a copy of that folder."""
    folder = tmp_path / "job"
    shutil.copytree(finished[0], folder)

    def run(*words: str, profile: bool = True) -> Ended:
        return memprog(folder, *words, *(("--profile", "small.yaml") if profile else ()))

    return run


def exit_code(fields: dict[str, Any]) -> int:
    return 0 if fields["passed"] else 1


def test_the_three_commands_write_real_weights_into_the_chip(finished: tuple[Path, dict[str, Ended]]) -> None:
    _, said = finished
    assert (said["load"].code, said["load"].err) == (0, "")
    program, verify = said["program"].fields, said["verify"].fields
    assert said["program"].code == exit_code(program)
    assert said["verify"].code == exit_code(verify)
    assert program["cells"] == verify["cells"] == CELLS
    assert verify["yield_fraction"] == verify["cells_in_window"] / CELLS > 0.7
    assert verify["image_sha256"] == program["image_sha256"]
    assert verify["argv"] == ["memprog", "verify", "--profile", "small.yaml", "--format", "json"]


def test_what_the_run_says_adds_up(finished: tuple[Path, dict[str, Ended]]) -> None:
    program = finished[1]["program"].fields
    assert program["cells_done"] + program["cells_failed"] == CELLS
    assert sum(program["failed_by_reason"].values()) == program["cells_failed"]
    assert program["pulses_per_cell_mean"] == pytest.approx(program["pulses_total"] / CELLS)
    assert 0 < program["denoise_pulses_total"] < program["pulses_total"]
    assert program["yield_fraction"] == program["cells_done"] / CELLS
    assert sum(one["pulses_total"] for one in program["arrays"]) == program["pulses_total"]
    assert program["verify"]["cells"] == CELLS
    assert program["chip_time_s"] > 0


def test_everything_says_that_it_is_simulated(finished: tuple[Path, dict[str, Ended]]) -> None:
    for name in ("program", "verify"):
        ended = finished[1][name]
        assert ended.fields["simulated"] is True
        assert "SIMULATED" in ended.err


def test_verify_in_another_process_sees_the_same_cells(run: Run, finished: tuple[Path, dict[str, Ended]]) -> None:
    again = run("verify", "--format", "json")
    before = finished[1]["verify"].fields
    assert again.code == exit_code(again.fields)
    assert again.fields["chip"] == before["chip"]
    assert abs(again.fields["cells_in_window"] - before["cells_in_window"]) <= 6


def test_the_window_decides_and_too_low_a_yield_is_exit_code_1(run: Run) -> None:
    narrow = run("verify", "--window", "0.3", "--min-yield", "1", "--format", "json")
    assert (narrow.code, narrow.fields["passed"]) == (1, False)
    wide = run("verify", "--window", "5000", "--min-yield", "1", "--format", "json")
    assert (wide.code, wide.fields["passed"]) == (0, True)


def test_a_window_finer_than_the_bench_can_see_is_not_certified(run: Run) -> None:
    ended = run("verify", "--window", "0.001")
    assert (ended.code, ended.out) == (5, "")
    assert "cannot be certified" in ended.err


def test_read_brings_conductances_near_their_targets(
    run: Run, finished: tuple[Path, dict[str, Ended]], tmp_path: Path
) -> None:
    assert run("read", "--out", str(tmp_path / "g.npy")).code == 0
    conductances = np.load(tmp_path / "g.npy")
    assert conductances.shape == (1, 16, 16)
    ended = run("read", "--out", str(tmp_path / "g.csv"), "--array", "0", "--format", "json")
    assert ended.code == 0
    assert ended.fields["arrays"] == [0]
    with (tmp_path / "g.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) > 1


def test_export_brings_the_weights_back(run: Run, tmp_path: Path) -> None:
    ended = run("export", "--out", str(tmp_path / "back.npy"), "--format", "json")
    assert ended.code == 0
    back, original = np.load(tmp_path / "back.npy"), weights()
    assert (back.shape, back.dtype) == (original.shape, original.dtype)
    assert np.median(np.abs(back - original)) < 0.01 * np.abs(original).max()


def test_info_describes_the_chip(run: Run, finished: tuple[Path, dict[str, Ended]]) -> None:
    ended = run("info", "--format", "json")
    assert ended.code == 0
    assert ended.fields["geometry"] == SMALL
    assert ended.fields["chip"] == finished[1]["verify"].fields["chip"]
    assert ended.fields["pulses_total"] == finished[1]["program"].fields["pulses_total"]


def test_status_knows_image_chip_and_runs(run: Run) -> None:
    ended = run("status", "--format", "json", profile=False)
    assert ended.code == 0
    assert ended.fields["image"] is not None
    assert ended.fields["chip"] is not None
    assert len(ended.fields["runs"]) >= 1


def test_status_of_an_empty_folder_says_how_to_begin(tmp_path: Path) -> None:
    ended = memprog(tmp_path, "status")
    assert ended.code == 0
    assert "load-weights" in ended.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["backends", "profiles"])
def test_list_writes_nothing(what: str, tmp_path: Path) -> None:
    ended = memprog(tmp_path, "list", what)
    assert ended.code == 0
    assert ("rao2023-11bit" if what == "profiles" else "sim") in ended.out
    assert list(tmp_path.iterdir()) == []


def test_a_new_chip_replaces_an_old_one_only_when_told(run: Run) -> None:
    refused = run("sim", "new", "--seed", "3")
    assert (refused.code, "--force" in refused.err) == (5, True)
    ended = run("sim", "new", "--seed", "3", "--force", "--format", "json")
    assert (ended.code, ended.fields["pulses_total"]) == (0, 0)


def test_a_region_touches_its_cells_only(run: Run) -> None:
    ended = run("program", "--array", "0", "--region", "0:2,0:4", "--format", "json")
    assert ended.fields["cells"] == 8
    assert ended.code == exit_code(ended.fields)


def test_a_dry_run_leaves_the_chip_alone(run: Run) -> None:
    before = run("info", "--format", "json").fields["pulses_total"]
    ended = run("program", "--array", "--dry-run")
    assert ended.code == 0
    assert "dry run" in ended.out
    assert run("info", "--format", "json").fields["pulses_total"] == before


def test_the_feed_of_a_run_is_json_lines_that_end_with_a_summary(run: Run) -> None:
    ended = run("program", "--array", "0", "--cell", "0,0", "--cell", "1,1", "--no-verify", "--format", "jsonl")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert {"round", "array_done"} <= {event["event"] for event in events}
    assert events[-1]["event"] == "summary"
    assert events[-1]["cells"] == 2
    assert events[-1]["verify"] is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 6), (signal.SIGINT, 130)])
def test_a_run_that_is_stopped_leaves_a_chip_that_can_be_programmed(number: int, code: int, tmp_path: Path) -> None:
    write_profile(tmp_path / "small.yaml")
    np.save(tmp_path / "weights.npy", weights())
    profile = ("--profile", "small.yaml")
    assert memprog(tmp_path, "load-weights", "weights.npy", *profile).code == 0
    with subprocess.Popen(
        [sys.executable, "-m", "memprog", "program", "--array", *profile, "--format", "jsonl"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["event"] == "round"
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err.count("\n")) == (code, 1)
    assert "`memprog program --resume " in err
    assert memprog(tmp_path, "program", "--array", *profile).code == 5
    again = memprog(tmp_path, "program", "--resume", *profile, "--no-verify", "--format", "json")
    assert again.code == exit_code(again.fields)
    assert again.fields["resumed"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["program", "--array", "1"], 3),
        (["program", "--array", "0", "--cell", "16,0"], 3),
        (["program", "--array", "--backend", "nonsense"], 3),
        (["program", "--array", "--image", "missing"], 3),
        (["program"], 2),
        (["load-weights", "missing.npy"], 2),
        (["load-weights", "small.yaml"], 3),
        (["read", "--out", "small.yaml/g.npy"], 3),
        (["read", "--out", "g.txt"], 3),
        (["export", "--out", "back.safetensors"], 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_one_sentence_and_a_code(words: list[str], code: int, run: Run) -> None:
    ended = run(*words)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.splitlines()[-1].startswith("Error: ")


def test_another_chip_than_expected_is_refused(run: Run) -> None:
    ended = run("verify", "--expect-serial", "nobody")
    assert ended.code in {3, 5}
    assert "nobody" in ended.err


def test_a_profile_that_differs_from_the_image_is_refused(run: Run) -> None:
    ended = run("program", "--array", "--profile", "rao2023-11bit", profile=False)
    assert ended.code == 3
