"""Settings: which of several values holds, where it came from, and what is refused."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sample_reports as samples
from processes import environment

from memprog.cli import config, main
from memprog.strict_yaml import MAX_BYTES

LEVELS = ["user", "project", "chosen", "environment", "command line"]
"""Where a value may come from, the weakest first."""
WORDS_OF_KEYS = {
    "format": "text",
    "progress": "none",
    "quiet": "true",
    "timeout": "5",
    "min_yield": "0.5",
    "max_time": "10min",
    "max_pulses": "7",
    "denoise": "false",
    "verify": "false",
}


class Place:
    """A user's folder, a project with a folder inside it, a chosen file, and the way to look at settings."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.user = root / "user" / "memprog" / "memprog.yaml"
        self.project = root / "project" / "memprog.yaml"
        self.chosen = root / "chosen" / "lab.yaml"
        self.inside = root / "project" / "deep" / "er"
        for folder in (self.user.parent, self.inside, self.chosen.parent):
            folder.mkdir(parents=True)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(root / "user"))
        monkeypatch.chdir(self.inside)

    def put(self, level: str, key: str, value: str) -> list[str]:
        """Set a key at one level; give the words the command line then needs."""
        if level == "environment":
            self._monkeypatch.setenv(f"MEMPROG_{key.upper()}", value)
        elif level == "command line":
            return [f"--{key.replace('_', '-')}", value]
        else:
            path: Path = getattr(self, level)
            path.write_text(f"{key}: {value}\n", encoding="utf-8")
            return ["--config", str(path)] if level == "chosen" else []
        return []

    def origin(self, level: str, key: str) -> str:
        """How a level is named."""
        named = {"environment": f"environment variable MEMPROG_{key.upper()}", "command line": "command line"}
        return named.get(level) or str(getattr(self, level))

    def settings(self, *words: str) -> dict[str, Any]:
        """What config show says, as JSON."""
        assert main(["config", "show", *words, "--format", "json"]) == 0
        fields = json.loads(self._capsys.readouterr().out)
        assert fields["provenance"]["configuration"] == fields["configuration"]
        found: dict[str, Any] = fields["configuration"]
        return found

    def refused(self, *words: str) -> str:
        """The one sentence of a refusal."""
        assert main(["config", "show", *words]) == 3
        out, err = self._capsys.readouterr()
        assert out == ""
        assert err.startswith("Error: ")
        assert err.count("\n") == 1
        return err


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path, monkeypatch, capsys)


def test_without_anything_the_defaults_hold(place: Place) -> None:
    settings = place.settings()
    assert settings.pop("format") == {"value": "json", "origin": "command line"}
    assert {one["origin"] for one in settings.values()} == {"default"}
    assert settings["workspace"]["value"] == ".memprog"
    assert settings["timeout"]["value"] == 0.0
    assert list(settings) == [key for key in config.SETTINGS if key != "format"]


@pytest.mark.parametrize(("weak", "strong"), list(itertools.pairwise(LEVELS)))
@pytest.mark.parametrize(("key", "low", "high"), [("backend", "low", "high"), ("timeout", 1.0, 2.0)])
def test_the_nearer_level_wins(weak: str, strong: str, key: str, low: object, high: object, place: Place) -> None:
    words = place.put(weak, key, str(low))
    assert place.settings(*words)[key] == {"value": low, "origin": place.origin(weak, key)}
    words += place.put(strong, key, str(high))
    assert place.settings(*words)[key] == {"value": high, "origin": place.origin(strong, key)}


def test_levels_add_up_where_they_do_not_meet(place: Place) -> None:
    words = [
        word
        for level, key in zip(LEVELS, ("backend", "timeout", "max_pulses", "profile", "expect_serial"), strict=True)
        for word in place.put(level, key, "7")
        if level not in {"user"}
    ]
    place.put("user", "backend", "board")
    settings = place.settings(*words)
    found = [settings[key]["origin"] for key in ("backend", "timeout", "max_pulses", "profile", "expect_serial")]
    expected = ("backend", "timeout", "max_pulses", "profile", "expect_serial")
    assert found == [place.origin(level, key) for level, key in zip(LEVELS, expected, strict=True)]


def test_only_the_nearest_project_file_counts(place: Place) -> None:
    place.project.write_text("backend: far\ntimeout: 9\n", encoding="utf-8")
    (place.inside.parent / "memprog.yaml").write_text("backend: near\n", encoding="utf-8")
    settings = place.settings()
    assert settings["backend"]["value"] == "near"
    assert settings["timeout"]["origin"] == "default"


def test_paths_in_a_file_start_from_its_folder(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "workspace: chips/one\nlog_file: ../log.txt\nprofile: mine.yaml\n"
    place.project.write_text(text, encoding="utf-8")
    settings = place.settings()
    folder = place.project.parent
    assert settings["workspace"]["value"] == str(folder / "chips" / "one")
    assert settings["log_file"]["value"] == str(folder / ".." / "log.txt")
    assert settings["profile"]["value"] == str(folder / "mine.yaml")
    monkeypatch.setenv("MEMPROG_WORKSPACE", "here")
    assert place.settings()["workspace"]["value"] == "here"
    place.project.write_text("profile: rao2023-11bit\n", encoding="utf-8")
    assert place.settings()["profile"]["value"] == "rao2023-11bit"


def test_a_home_and_an_absolute_path_stay_what_they_are(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place.inside))
    monkeypatch.setenv("USERPROFILE", str(place.inside))
    place.project.write_text(f"workspace: ~/chips\nlog_file: {place.chosen}\n", encoding="utf-8")
    settings = place.settings()
    assert settings["workspace"]["value"] == str(place.inside / "chips")
    assert settings["log_file"]["value"] == str(place.chosen)


def test_a_file_on_a_path_with_blanks_and_other_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "Gerät für Ω 1"
    folder.mkdir()
    (folder / "memprog.yaml").write_text("workspace: Zellen µ\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    assert main(["config", "show", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["configuration"]["workspace"]
    assert found == {"value": str(folder / "Zellen µ"), "origin": str(folder / "memprog.yaml")}


def test_limits_are_decided_one_by_one(place: Place) -> None:
    place.user.write_text("limits: {set_max_v: 2.4, reset_max_v: 2.5}\n", encoding="utf-8")
    place.project.write_text("limits: {set_max_v: 2.2, gate_max_v: 4}\n", encoding="utf-8")
    settings = place.settings("--limit", "gate_max_v=3.5")
    assert {key: one for key, one in settings.items() if key.startswith("limits")} == {
        "limits.gate_max_v": {"value": 3.5, "origin": "command line"},
        "limits.reset_max_v": {"value": 2.5, "origin": str(place.user)},
        "limits.set_max_v": {"value": 2.2, "origin": str(place.project)},
    }


def test_of_each_limit_the_tightest_holds_wherever_it_was_said(place: Place) -> None:
    place.user.write_text("limits: {set_max_v: 2.1, width_min_ns: 200}\n", encoding="utf-8")
    place.project.write_text("limits: {set_max_v: 2.2, width_min_ns: 150}\n", encoding="utf-8")
    settings = place.settings("--limit", "set_max_v=2.3", "--limit", "width_min_ns=300")
    assert settings["limits.set_max_v"] == {"value": 2.1, "origin": str(place.user)}
    assert settings["limits.width_min_ns"] == {"value": 300.0, "origin": "command line"}


@pytest.mark.parametrize(("key", "value"), WORDS_OF_KEYS.items())
@pytest.mark.parametrize("level", ["project", "environment"])
def test_every_kind_of_value_can_be_set_in_a_file_and_in_the_environment(
    level: str, key: str, value: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.put(level, key, value)
    assert main(["config", "show", "--origin"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{key} "))
    shown = {"max_time": "600.0", "timeout": "5.0"}.get(key, value)
    assert line.split(maxsplit=2)[1:] == [shown, place.origin(level, key)]


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What program was called with, once it was."""
    called: dict[str, Any] = {}

    def program(workspace: object, **keywords: Any) -> Any:
        called.update(keywords, workspace=workspace)
        return samples.program_report()

    monkeypatch.setattr("memprog.jobs.program.program", program)
    return called


def test_a_command_works_by_what_is_configured(place: Place, job: dict[str, Any]) -> None:
    place.project.write_text(
        "format_version: 1\nworkspace: w\nbackend: board\nprofile: mine.yaml\nexpect_serial: '7'\ntimeout: 3\n"
        "quiet: true\nmin_yield: 0.25\nmax_time: 2h\nmax_pulses: 9\ndenoise: false\nverify: false\n"
        "limits: {set_max_v: 2}\nlog_file: log.txt\n",
        encoding="utf-8",
    )
    assert main(["program", "--array"]) == 0
    folder = place.project.parent
    assert job["workspace"].folder == folder / "w"
    expected = {
        "backend": "board",
        "profile": str(folder / "mine.yaml"),
        "expect_serial": "7",
        "timeout_s": 3.0,
        "min_yield": 0.25,
        "max_time_s": 7200.0,
        "max_pulses": 9,
        "denoise": False,
        "verify": False,
        "limits": {"set_max_v": 2.0},
    }
    assert {key: job[key] for key in expected} == expected
    assert "started as: memprog program" in (folder / "log.txt").read_text(encoding="utf-8")


def test_the_command_line_can_undo_what_is_configured(
    place: Place, job: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    place.project.write_text("denoise: false\nverify: false\nquiet: true\nformat: json\n", encoding="utf-8")
    assert main(["program", "--array", "--denoise", "--verify", "--no-quiet", "--format", "text"]) == 0
    assert (job["denoise"], job["verify"]) == (True, True)
    out, err = capsys.readouterr()
    assert "SIMULATED" in err
    assert not out.startswith("{")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("time_out: 3", "there is no setting 'time_out'; the nearest is 'timeout'"),
        ("3: 3", "there is no setting 3; the nearest is"),
        ("limits: {set_maxv: 3}", "limits: there is no setting 'set_maxv'; the nearest is 'set_max_v'"),
        ("limits: {set_max_v: high}", "limits: it must be a number, not 'high'"),
        ("limits: {set_max_v: .nan}", "limits: 'nan' is not a finite number"),
        ("limits: 3", "limits: it must be a mapping"),
        ("yes: true", "yes cannot be configured"),
        ("'yes': true", "yes cannot be configured"),
        ("full: true", "full cannot be configured"),
        ("resume: true", "resume cannot be configured"),
        ("recheck: true", "recheck cannot be configured"),
        ("force: true", "force cannot be configured"),
        ("allow_forming: true", "allow_forming cannot be configured"),
        ("min_yield: 95", "min_yield: 95 is not a share from 0 to 1"),
        ("min_yield: true", "min_yield: it must be a number, not True"),
        ("min_yield: '0.9'", "min_yield: it must be a number, not '0.9'"),
        ("timeout: -1", "timeout: -1 s is no time to wait"),
        (f"timeout: {'9' * 900}", "timeout: it cannot be used"),
        ("max_pulses: 1.5", "max_pulses: it must be a whole number, not 1.5"),
        ("max_time: 2d", "max_time: '2d' is not a time"),
        ("denoise: 0", "denoise: it must be true or false, not 0"),
        ('max_time: "1\\n\\e[2J"', r"'1\n\x1b[2J' is not a time"),
        (f"format: {'x' * 9000}", "format: 'xxx"),
        ("format: xml", "format: 'xml' is not one of"),
        ("profile:", "profile: it must be text, not None"),
        ("profile: ''", "profile: it is empty"),
        ("workspace: ''", "workspace: it is empty"),
        ('workspace: "a\\0b"', "workspace: it cannot be used"),
        ("expect_serial: 0012", "expect_serial: it must be text, not 10"),
        ("format_version: 2", "format_version: this memprog reads 1"),
        ("format_version: true", "format_version: this memprog reads 1"),
        ("- a", "must be a mapping"),
        ("backend: sim\nbackend: board", "key 'backend' stands twice"),
        ("backend: [", "not readable as YAML"),
        ("backend: \x00", "not readable as YAML"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases (*name) are not allowed"),
        ("[" * 5000, "not readable as YAML"),
        ("timeout: 1" + ":59" * 5000, "a number has more than 1000 characters"),
        ("x" * 1000 + ": 1", "there is no setting 'xxx"),
        ('"a\\e[2J": 1', r"there is no setting 'a\x1b[2J'"),
    ],
    ids=lambda value: value[:40].encode("ascii", "backslashreplace").decode().replace("\x00", "NUL"),
)
def test_what_a_file_must_not_say_is_one_sentence_with_its_name(text: str, sentence: str, place: Place) -> None:
    place.project.write_text(text, encoding="utf-8")
    said = place.refused()
    assert said.startswith(f"Error: {place.project}: ")
    assert sentence in said
    assert len(said) < 600 + len(str(place.project))


def test_what_a_file_says_is_never_executed(place: Place) -> None:
    mark = place.inside / "executed"
    place.project.write_text(f"backend: !!python/object/apply:os.mkdir [{mark}]\n", encoding="utf-8")
    assert "not readable as YAML" in place.refused()
    assert not mark.exists()


def test_a_file_that_is_too_large_or_not_utf8_is_refused(place: Place) -> None:
    with place.project.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert "larger than" in place.refused()
    place.project.write_bytes(b"backend: \xff")
    assert "cannot be read" in place.refused()


@pytest.mark.parametrize("level", ["user", "project", "chosen"])
def test_every_file_is_checked_even_where_a_nearer_one_decides(level: str, place: Place) -> None:
    words = place.put(level, "timeout", "soon")
    said = place.refused(*words, "--timeout", "1")
    assert str(getattr(place, level)) in said
    assert "timeout" in said


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("MEMPROG_TIME_OUT", "3", "there is no setting 'time_out'; the nearest is 'timeout'"),
        ("MEMPROG_LIMITS", "set_max_v=2", "limits cannot be set in the environment"),
        ("MEMPROG_YES", "1", "yes cannot be configured"),
        ("MEMPROG_MIN_YIELD", "95", "95 is not a share from 0 to 1"),
        ("MEMPROG_VERIFY", "perhaps", "'perhaps' is not a valid boolean"),
        ("MEMPROG_EXPECT_SERIAL", "", "it is empty"),
        ("MEMPROG_VERIFY", "", "it is empty"),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused_by_name(
    name: str, value: str, sentence: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    said = place.refused()
    assert f"environment variable {name}: " in said
    assert sentence in said


def test_variables_that_are_read_elsewhere_are_no_settings(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in config.NOT_SETTINGS:
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("OTHER_TIMEOUT", "x")
    assert place.settings()["timeout"]["origin"] == "default"


def test_a_bad_value_on_the_command_line_stays_a_matter_of_usage(place: Place) -> None:
    assert main(["config", "show", "--timeout", "soon"]) == 2


def test_help_comes_even_where_the_configuration_is_broken(place: Place) -> None:
    place.project.write_text("nonsense: 1", encoding="utf-8")
    assert main(["program", "--help"]) == 0
    assert main(["status"]) == 3


def test_an_empty_file_configures_nothing(place: Place) -> None:
    place.project.write_text("# all commented out\n", encoding="utf-8")
    assert place.settings()["backend"]["origin"] == "default"


def test_validate_checks_one_file_alone(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.project.write_text("nonsense: 1", encoding="utf-8")
    place.chosen.write_text("timeout: 3\nlimits: {set_max_v: 2}\n", encoding="utf-8")
    assert main(["config", "validate", str(place.chosen)]) == 0
    assert capsys.readouterr().out == f"fine: 2 setting(s) from {place.chosen}\n"
    assert main(["config", "validate", str(place.project)]) == 3
    assert "there is no setting 'nonsense'" in capsys.readouterr().err
    assert main(["config", "validate", str(place.inside / "none.yaml")]) == 2


def test_validate_without_a_file_checks_what_is_in_force(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "validate"]) == 0
    assert capsys.readouterr().out == "there is no configuration here; the defaults hold\n"
    place.put("user", "timeout", "3")
    monkeypatch.setenv("MEMPROG_BACKEND", "sim")
    assert main(["config", "validate", "--format", "json"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert (fields["passed"], fields["keys"]) == (True, ["backend", "timeout"])
    assert fields["origins"] == sorted([str(place.user), "environment variable MEMPROG_BACKEND"])
    place.put("project", "timeout", "soon")
    assert main(["config", "validate"]) == 3


def test_every_json_report_says_what_made_it(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.put("project", "format", "json")
    assert main(["list", "profiles"]) == 0
    provenance = json.loads(capsys.readouterr().out)["provenance"]
    assert set(provenance) == {"versions", "argv", "utc", "configuration"}
    assert set(provenance["versions"]) == {"memprog", "python", "numpy", "safetensors", "platform"}
    assert all(provenance["versions"].values())
    assert provenance["argv"] == ["memprog", "list", "profiles"]
    assert provenance["utc"].endswith("+00:00")
    assert provenance["configuration"]["format"] == {"value": "json", "origin": str(place.project)}


def test_a_folder_that_is_gone_is_no_reason_to_fail(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os, sys; os.rmdir({str(gone)!r}); from memprog.cli import main; sys.exit(main())"
    run: Callable[..., Any] = subprocess.run
    ended = run(
        [sys.executable, "-c", code, "status", "--workspace", str(tmp_path)],
        cwd=gone,
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("profile: nope", "there is no profile 'nope'"),
        ("profile: nope.yaml", "there is no such file"),
        ("limits: {set_max_v: 9}", "set_max_v 9 is wider than the profile's 2.5"),
        ("limits: {row_current_max_a: 0.0001}", "row_current_max_a 0.0001 leaves nothing to be done"),
        ("limits: {sub_threshold_max_v: 0}", "which `--no-denoise` asks for"),
        ("yes: true", "yes cannot be configured"),
    ],
)
def test_validate_looks_at_what_a_setting_stands_for(
    text: str, sentence: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.project.write_text(text)
    assert main(["config", "validate"]) == 3
    err = capsys.readouterr().err
    assert sentence in err
    assert str(place.project) in err
