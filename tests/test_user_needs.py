"""What users of such tools asked for, one test a need, by real processes on small simulated chips.

The needs are those that users of programmers for microcontrollers, memories and boards had to ask for again and again.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from loop_cases import write_profile
from pinned_names import FIELDS, INSIDE, fields_of_reports, paths_in
from processes import Ended
from processes import memprog_in as memprog

PROFILE = ("--profile", "small.yaml")
BRIEF = {"protocol__passes": 1, "protocol__mop_up_passes": 1}
HEALTHY = {"simulation__stuck_high_fraction": 0.0, "simulation__stuck_low_fraction": 0.0}
KILLED = {-9, 137}

Run = Callable[..., Ended]


def lay_out(folder: Path, seed: int = 5) -> Path:
    """A folder with a small profile, 16 weights and their image."""
    write_profile(folder / "small.yaml", rows=8, columns=8, **BRIEF, **HEALTHY)
    np.save(folder / "weights.npy", np.random.default_rng(seed).normal(size=(4, 4)).astype(np.float32))
    assert memprog(folder, "load-weights", "weights.npy", *PROFILE).code == 0
    return folder


@pytest.fixture(scope="module")
def blank_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image and a chip that was never programmed."""
    folder = lay_out(tmp_path_factory.mktemp("blank"))
    assert memprog(folder, "sim", "new", *PROFILE).code == 0
    return folder


@pytest.fixture(scope="module")
def programmed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chip that holds its image."""
    folder = lay_out(tmp_path_factory.mktemp("programmed"))
    ended = memprog(folder, "program", "--array", "--min-yield", "0.5", *PROFILE, "--format", "json")
    assert ended.code == 0
    (folder / "program.json").write_text(ended.out, encoding="utf-8")
    return folder


@pytest.fixture
def blank(blank_folder: Path, tmp_path: Path) -> Run:
    """Run a command in a copy of that folder."""
    return in_copy(blank_folder, tmp_path)


@pytest.fixture
def programmed(programmed_folder: Path, tmp_path: Path) -> Run:
    """Run a command in a copy of that folder."""
    return in_copy(programmed_folder, tmp_path)


def in_copy(origin: Path, folder: Path) -> Run:
    shutil.copytree(origin, folder, dirs_exist_ok=True)

    def run(*words: str, answer: str = "", **variables: str) -> Ended:
        return memprog(folder, *words, *PROFILE, answer=answer, **variables)

    return run


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_verify_failure_exits_non_zero(blank: Run) -> None:
    ended = blank("verify", "--format", "json")
    assert (ended.code, ended.fields["passed"]) == (1, False)


def test_could_not_check_differs_from_differs(blank: Run, tmp_path: Path) -> None:
    differs = blank("verify")
    other = blank("verify", "--expect-serial", "nobody")
    chip = tmp_path / ".memprog" / "chip.sim"
    chip.write_bytes(chip.read_bytes()[:5000])
    damaged = blank("verify")
    chip.unlink()
    missing = blank("verify")
    assert [ended.code for ended in (differs, other, damaged, missing)] == [1, 5, 3, 3]
    assert [bool(ended.out) for ended in (differs, other, damaged, missing)] == [True, False, False, False]


def test_verify_is_on_by_default_after_writing(programmed_folder: Path, programmed: Run) -> None:
    report = json.loads((programmed_folder / "program.json").read_text(encoding="utf-8"))
    assert report["verify"]["cells"] == report["cells"] == 32
    without = programmed(
        "program", "--array", "0", "--cell", "0,0", "--no-verify", "--min-yield", "0", "--format", "json"
    )
    assert without.fields["verify"] is None


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["verify", "--window", "0.0001"], 5, "0.0001 uS"),
        (["verify", "--backend", "oscilloscope"], 3, "oscilloscope"),
        (["program", "--array", "--limit", "no_such_limit=1"], 3, "no_such_limit"),
        (["program", "--array", "--seed", "1"], 2, "--seed"),
        (["program", "--array", "--no-verify", "--junit", "j.xml"], 2, "--junit"),
        (["program", "--array", "--resume", "--full"], 2, "--full"),
        (["sim", "new", "--force", "--arrays", "2"], 3, "2 arrays"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_option_a_backend_cannot_honour_is_an_error(
    words: list[str], code: int, named: str, blank: Run, tmp_path: Path
) -> None:
    before = files_in(tmp_path / ".memprog")
    ended = blank(*words)
    assert ended.code == code
    assert named in ended.err.splitlines()[-1]
    assert files_in(tmp_path / ".memprog") == before


def test_says_which_cells_differ_first_and_how_many(blank: Run) -> None:
    text, fields = blank("verify").out, blank("verify", "--format", "json").fields
    places = [(cell["array"], cell["row"], cell["column"]) for cell in fields["first_failures"]]
    assert places == sorted(places)
    assert places[0] == (0, 0, 0)
    first = fields["first_failures"][0]
    assert first["error_usiemens"] == pytest.approx(first["readback_usiemens"] - first["target_usiemens"], abs=1e-3)
    assert f"not in window    {fields['cells'] - fields['cells_in_window']}" in text
    assert re.search(r"first cells that fail:\n.*\n\S.* 0 +0 +0 ", text)


# needs: full
def test_touches_only_what_differs_with_a_full_escape(programmed_folder: Path, tmp_path: Path) -> None:
    first = json.loads((programmed_folder / "program.json").read_text(encoding="utf-8"))["pulses_total"]
    again = ("program", "--array", "--no-verify", "--min-yield", "0", "--format", "json")
    plain = in_copy(programmed_folder, tmp_path / "plain")(*again).fields
    full = in_copy(programmed_folder, tmp_path / "full")(*again, "--full").fields
    assert plain["cells"] == full["cells"] == 32
    assert plain["pulses_total"] < first / 3
    assert plain["pulses_total"] < full["pulses_total"]


# needs: resume
def test_retries_and_resumes_after_a_crash(blank: Run) -> None:

    program = ("program", "--array", "--min-yield", "0", "--format", "json")
    assert blank(*program, MEMPROG_FAULT="after journal intent:40").code in KILLED
    refused = blank(*program)
    assert (refused.code, refused.fields["error"]["exit_code"]) == (5, 5)
    assert "--resume" in refused.err
    assert "--full" in refused.err
    assert blank("program", "--resume", MEMPROG_FAULT="after chip slot:20").code in KILLED
    resumed = blank("program", "--resume", "--min-yield", "0", "--format", "json")
    assert resumed.code == 0
    assert resumed.fields["resumed"] is True
    assert resumed.fields["yield_fraction"] > 0.6
    chip = blank("info", "--format", "json").fields
    # Each kill leaves a batch of unknown fate, which is counted as given: never too few.
    assert chip["pulses_total"] <= resumed.fields["pulses_total"] <= chip["pulses_total"] + 2 * 32
    again = blank("program", "--resume")
    assert (again.code, again.out) == (3, "")


def test_no_bar_in_a_log_and_a_parseable_feed(blank: Run) -> None:
    plain = blank("verify", "--progress", "bar")
    assert not set(plain.err) & {"\r", "\x1b", "\b"}
    assert "left, array 0 verify" in plain.err
    feed = blank("program", "--array", "--min-yield", "0", "--format", "jsonl")
    events = [json.loads(line) for line in feed.out.splitlines()]
    assert {"round", "array_done", "summary"} <= {event["event"] for event in events}
    assert events[-1]["event"] == "summary"
    assert "left, array" not in feed.err


def test_data_to_stdout_errors_to_stderr(blank: Run) -> None:
    fine = blank("verify", "--format", "json", "-v")
    assert fine.fields["cells"] == 32
    assert "SIMULATED" in fine.err
    wrong = blank("verify", "--array", "7", "-v")
    assert (wrong.code, wrong.out) == (3, "")
    assert wrong.err.splitlines()[-1].startswith("Error: ")
    told = blank("verify", "--array", "7", "--format", "json")
    assert (told.code, told.err) == (3, f"Error: {told.fields['error']['message']}\n")
    help_text = blank("verify", "--help")
    assert (help_text.code, help_text.err) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ["load-weights", "weights.npy"],
        ["program", "--array", "--dry-run"],
        ["program", "--array", "0", "--cell", "0,0", "--min-yield", "0"],
        ["verify"],
        ["read", "--out", "g.npy"],
        ["export", "--out", "w.npy"],
        ["info"],
    ],
    ids=" ".join,
)
def test_one_json_summary(words: list[str], programmed: Run) -> None:
    ended = programmed(*words, "--format", "json")
    assert ended.code in {0, 1}
    fields = ended.fields
    assert (fields["schema_version"], list(fields)[:2]) == (1, ["schema_version", "memprog_version"])
    assert "\x1b" not in ended.out
    assert programmed(*words, "--format", "json", "--quiet").err == ""


def test_names_never_change(blank: Run, tmp_path: Path) -> None:
    for name, pinned in {name: set(text.split()) for name, text in FIELDS.items()}.items():
        there = fields_of_reports()[name]
        assert not pinned - there, f"{name} lost a field: a name is never changed or removed"
        assert not there - pinned, f"{name} has a new field: pin it in pinned_names.py, where it stays for ever"
    assert set(FIELDS) == set(fields_of_reports())
    for command, text in INSIDE.items():
        profile = () if command == "status" else PROFILE
        found = set(paths_in(memprog(tmp_path, *command.split(), *profile, "--format", "json").fields))
        assert set(text.split()) == found, command


def test_never_the_wrong_device(blank: Run, tmp_path: Path) -> None:
    before = files_in(tmp_path / ".memprog")
    serial = blank("info", "--format", "json").fields["chip"]["serial"]
    for words in (["program", "--array"], ["verify"], ["read", "--out", "g.npy"], ["info"]):
        refused = blank(*words, "--expect-serial", "SIM-another")
        assert (refused.code, refused.out) == (5, "")
        assert serial in refused.err
        assert "SIM-another" in refused.err
    assert files_in(tmp_path / ".memprog") == before
    assert blank("verify", "--expect-serial", serial, "--min-yield", "0").code == 0


def test_a_dry_run_sends_nothing_that_changes_state_and_says_so(programmed: Run, tmp_path: Path) -> None:
    before = files_in(tmp_path)
    ended = programmed("program", "--array", "--dry-run")
    assert ended.code == 0
    assert "dry run: nothing was sent that changes the chip" in ended.out
    assert programmed("program", "--array", "--dry-run", "--format", "json").fields["dry_run"] is True
    assert files_in(tmp_path) == before


def test_destructive_verbs_need_a_flag_not_just_a_prompt(programmed: Run, tmp_path: Path) -> None:
    before = files_in(tmp_path / ".memprog")
    new = programmed("sim", "new", "--seed", "1", answer="y\n" * 5)
    assert (new.code, "--force" in new.err) == (5, True)
    assert files_in(tmp_path / ".memprog") == before
    np.save(tmp_path / "other.npy", np.ones((4, 4), dtype=np.float32))
    assert programmed("load-weights", "other.npy").code == 0
    chip = (tmp_path / ".memprog" / "chip.sim").read_bytes()
    overwrite = programmed("program", "--array", answer="y\n" * 5)
    assert (overwrite.code, "--yes" in overwrite.err) == (5, True)
    assert (tmp_path / ".memprog" / "chip.sim").read_bytes() == chip
    told = programmed("program", "--array", "--yes", "--min-yield", "0", "--format", "json")
    assert told.code == 0
    assert told.fields["pulses_total"] > 0


def test_no_traceback_on_a_windows_console(programmed: Run, tmp_path: Path) -> None:
    console = {"PYTHONIOENCODING": "cp1252"}
    name = "\u03a9\u2713\u2192.npy"
    shutil.copy(tmp_path / "weights.npy", tmp_path / name)
    wanted = [
        (["--help"], 0),
        (["program", "--help"], 0),
        (["load-weights", name, "--skip", "\u2713"], 3),
        (["load-weights", name], 0),
        (["load-weights", f"no-{name}"], 2),
        (["program", "--array", "--min-yield", "0", "--yes"], 0),
        (["verify", "--min-yield", "0"], 0),
        (["verify", "--min-yield", "0", "--format", "json"], 0),
        (["status"], 0),
        (["verify", "--image", f"no-{name}"], 3),
    ]
    for words, code in wanted:
        profile = () if words[0] == "status" or "--help" in words else PROFILE
        ended = memprog(tmp_path, *words, *profile, **console)
        assert (words, ended.code) == (words, code)
        assert code == 0 or ended.err


def test_read_several_times_majority_or_spread(programmed: Run) -> None:
    fields = programmed("verify", "--min-yield", "0", "--format", "json").fields
    assert fields["noise_span_s"] > 90.0
    assert 0.0 < fields["noise_median_usiemens"] <= fields["noise_p99_usiemens"]
    assert 0.0 < fields["error_std_usiemens"] <= fields["error_max_usiemens"]
    assert fields["fluctuating_cells"] <= fields["cells"]
    assert all(cell["noise_usiemens"] > 0.0 for cell in fields["first_failures"])


# needs: max-pulses, limit
def test_speed_against_wear_is_the_users_choice(blank_folder: Path, tmp_path: Path) -> None:
    program = ("program", "--array", "--no-verify", "--min-yield", "0", "--format", "json")
    run = in_copy(blank_folder, tmp_path / "few")
    stopped = run(*program, "--max-pulses", "150")
    assert (stopped.code, stopped.fields["error"]["exit_code"]) == (6, 6)
    assert 0 < run("info", "--format", "json").fields["pulses_total"] <= 150
    run = in_copy(blank_folder, tmp_path / "limit")
    spared = run(*program, "--limit", "pulses_per_cell_run=5").fields
    assert spared["pulses_per_cell_p99"] <= 5
    assert spared["pulses_total"] <= 5 * 32
    wider = run(*program, "--full", "--limit", "pulses_per_cell_run=100000")
    assert (wider.code, "only tighten" in wider.err) == (5, True)
    quick = in_copy(blank_folder, tmp_path / "quick")(*program, "--no-denoise").fields
    assert (quick["denoise"], quick["denoise_pulses_total"]) == (False, 0)


def test_seeded_fault_injection(blank_folder: Path, tmp_path: Path) -> None:
    left = []
    for name in ("first", "second"):
        run = in_copy(blank_folder, tmp_path / name)
        assert run("program", "--array", MEMPROG_FAULT="inside chip slot:25").code in KILLED
        left.append((tmp_path / name / ".memprog" / "chip.sim").read_bytes())
    assert left[0] == left[1]
    assert left[0] != (blank_folder / ".memprog" / "chip.sim").read_bytes()
