"""The commands on profiles, and the schema they are checked by."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from loop_cases import make_bench, wear_of

from memprog.cli import main
from memprog.errors import ProfileError
from memprog.jobs.profiles import validate_profiles
from memprog.jobs.program import program
from memprog.profile import (
    DEFAULT_PROFILE,
    SECTIONS,
    bundled_profile,
    load_profile,
    parse_profile,
    profile_names,
    profile_text,
)
from memprog.profile.json_schema import profile_schema

DEFAULT_TEXT = profile_text(DEFAULT_PROFILE)
CHECK = jsonschema.Draft202012Validator(profile_schema())
GONE = object()


def says(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What a command prints."""
    assert main(list(words)) == code
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *words: str, code: int) -> str:
    """The one sentence of a command that refuses."""
    assert main(list(words)) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def changed(dotted: str, value: object) -> dict[str, Any]:
    """The default profile with one entry replaced, added or gone."""
    tree = copy.deepcopy(yaml.safe_load(DEFAULT_TEXT))
    *parents, last = dotted.split(".")
    place = tree
    for parent in parents:
        place = place[parent]
    place[last] = value
    if value is GONE:
        del place[last]
    return tree  # type: ignore[no-any-return]


def test_list_names_what_list_profiles_names(capsys: pytest.CaptureFixture[str]) -> None:
    said = says(capsys, "profile", "list")
    assert said == says(capsys, "list", "profiles")
    assert all(name in said for name in profile_names())


@pytest.mark.parametrize("name", profile_names())
def test_show_gives_every_value_and_where_it_comes_from(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    fields = json.loads(says(capsys, "profile", "show", name, "--format", "json"))
    profile = bundled_profile(name)
    assert (fields["name"], fields["sha256"]) == (name, profile.sha256)
    for section, kind in SECTIONS.items():
        for field in dataclasses.fields(kind):
            key = f"{section}.{field.name}"
            value = getattr(getattr(profile, section), field.name)
            assert fields["values"][key] == {"value": value, "origin": profile.provenance.get(key)}, key
    row = fields["values"]["bias_table.SET.bit_line"]
    assert row == {"value": "amplitude", "origin": f"source: {profile.provenance['bias_table']}"}


def test_show_prints_origins_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    plain = says(capsys, "profile", "show", DEFAULT_PROFILE)
    with_origin = says(capsys, "profile", "show", DEFAULT_PROFILE, "--origin")
    line = next(line for line in plain.splitlines() if line.startswith("limits.set_max_v "))
    assert line.split() == ["limits.set_max_v", "2.5"]
    assert f"source: {'UMass laboratory code, Ta/HfO2 128 x 64 chips: SET 2.5 V'}" in with_origin
    assert "assumption: " not in plain


def test_show_takes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(DEFAULT_TEXT.replace("value: 2.5,", "value: 2.25,", 1), encoding="utf-8")
    assert "2.25" in says(capsys, "profile", "show", str(tmp_path / "mine.yaml"))
    assert "there is no profile 'nope'" in refusal(capsys, "profile", "show", "nope", code=3)


def test_a_copy_differs_by_its_name_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.yaml"
    says(capsys, "profile", "copy", DEFAULT_PROFILE, str(out), "--name", "mine")
    assert out.read_text(encoding="utf-8") == DEFAULT_TEXT.replace(f"\nname: {DEFAULT_PROFILE}\n", "\nname: mine\n")
    assert load_profile(str(out)).name == "mine"
    again = tmp_path / "again.yml"
    says(capsys, "profile", "copy", str(out), str(again), "--name", "1.0")
    assert load_profile(str(again)).name == "1.0"


@pytest.mark.parametrize(
    ("written", "copied"),
    [
        ("name: 'old'  # called so since spring", "name: new  # called so since spring"),
        ("name: >-\n  old\n  er", "name: new"),
        ('"name": "old"', '"name": new'),
    ],
)
def test_a_copy_keeps_what_stands_around_the_name(
    written: str, copied: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = f"name: {DEFAULT_PROFILE}"
    (tmp_path / "old.yaml").write_text(DEFAULT_TEXT.replace(head, written, 1), encoding="utf-8")
    says(capsys, "profile", "copy", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml"), "--name", "new")
    assert (tmp_path / "new.yaml").read_text(encoding="utf-8") == DEFAULT_TEXT.replace(head, copied, 1)


def test_a_copy_replaces_a_file_by_force_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.yaml"
    out.write_text("dear", encoding="utf-8")
    words = ("profile", "copy", DEFAULT_PROFILE, str(out), "--name", "mine")
    assert "is there already; --force replaces it" in refusal(capsys, *words, code=5)
    assert out.read_text(encoding="utf-8") == "dear"
    says(capsys, *words, "--force")
    assert load_profile(str(out)).name == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize(
    ("source", "out", "name", "sentence"),
    [
        (DEFAULT_PROFILE, "mine.yaml", "a b", "a profile's name is letters"),
        (DEFAULT_PROFILE, "mine.yaml", "", "a profile's name is letters"),
        (DEFAULT_PROFILE, "mine.yaml", "rao2023-onchip-6bit", "comes with memprog; choose another"),
        (DEFAULT_PROFILE, "mine.txt", "mine", "ends in .yaml or .yml"),
        (DEFAULT_PROFILE, "broken.yaml/mine.yaml", "mine", "cannot be made a folder"),
        (DEFAULT_PROFILE, "missing/mine.yaml", "mi ne", "a profile's name is"),
        ("nope", "mine.yaml", "mine", "there is no profile 'nope'"),
        ("broken.yaml", "mine.yaml", "mine", "lacks key(s)"),
    ],
)
def test_a_copy_that_would_be_no_profile_is_not_written(
    source: str,
    out: str,
    name: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.yaml").write_text("name: broken\n", encoding="utf-8")
    assert sentence in refusal(capsys, "profile", "copy", source, out, "--name", name, code=3)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.yaml"]


def test_validate_says_the_verdict_on_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad, bomb = (str(tmp_path / name) for name in ("good.yaml", "bad.yaml", "bomb.txt"))
    Path(good).write_text(DEFAULT_TEXT, encoding="utf-8")
    Path(bad).write_text(DEFAULT_TEXT.replace("value: 2.5,", "value: -2.5,", 1), encoding="utf-8")
    Path(bomb).write_text("a: &a [x]\nb: [*a, *a]\n", encoding="utf-8")
    lines = says(capsys, "profile", "validate", bad, good, bomb, code=3).splitlines()
    assert [line.split()[1] for line in lines] == ["refused:", "fine:", "refused:"]
    assert "limits.set_max_v is -2.5; it must be above 0" in lines[0]
    assert "aliases (*name) are not allowed" in lines[2]
    fields = json.loads(says(capsys, "profile", "validate", good, "--format", "json"))
    assert (fields["passed"], fields["files"][0]["sha256"]) == (True, bundled_profile(DEFAULT_PROFILE).sha256)


@pytest.mark.parametrize("words", [[], ["no-such-file.yaml"]])
def test_validate_of_nothing_is_a_matter_of_usage(words: list[str]) -> None:
    assert main(["profile", "validate", *words]) == 2


def test_the_schema_is_printed_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = says(capsys, "profile", "schema")
    says(capsys, "profile", "schema", "--out", str(tmp_path / "schema.json"))
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == printed
    assert json.loads(printed) == profile_schema()
    assert json.loads(says(capsys, "profile", "schema", "--format", "json"))["schema"] == profile_schema()


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(profile_schema())


@pytest.mark.parametrize("name", profile_names())
def test_every_shipped_profile_fits_the_schema(name: str) -> None:
    CHECK.validate(yaml.safe_load(profile_text(name)))


@pytest.mark.parametrize(
    "tree",
    [
        changed("colour", "blue"),
        changed("levels.tolerence_usiemens", {"value": 1, "source": "x"}),
        changed("limits", GONE),
        changed("limits.gate_max_v", GONE),
        changed("limits.set_max_v", 2.5),
        changed("limits.set_max_v", {"value": 2.5}),
        changed("limits.set_max_v", {"source": "x"}),
        changed("limits.set_max_v", {"value": 2.5, "source": "x", "assumption": "x"}),
        changed("limits.set_max_v", {"value": 2.5, "source": "x", "note": "x"}),
        changed("limits.set_max_v", {"value": 2.5, "source": " "}),
        changed("limits.set_max_v", {"value": 2.5, "source": 7}),
        changed("limits.set_max_v", {"value": 0, "source": "x"}),
        changed("limits.set_max_v", {"value": -1.0, "source": "x"}),
        changed("limits.set_max_v", {"value": float("inf"), "source": "x"}),
        changed("limits.set_max_v", {"value": "2.5", "source": "x"}),
        changed("limits.set_max_v", {"value": True, "source": "x"}),
        changed("limits.set_max_v", {"value": 10**400, "source": "x"}),
        changed("readout.dither_lsb", {"value": -0.1, "source": "x"}),
        changed("geometry.rows", {"value": 2.5, "source": "x"}),
        changed("driver.gate_line", "diagonal"),
        changed("driver.compliance", 3),
        changed("driver.compliance", {"value": "gate", "source": "x"}),
        changed("format_version", 2),
        changed("format_version", "1"),
        changed("format_version", GONE),
        changed("name", ""),
        changed("description", 3),
        changed("geometry", [1, 2]),
        [1, 2],
        None,
        changed("bias_table.SET", GONE),
        changed("bias_table.source", GONE),
        changed("bias_table.SET.drain", 0.0),
        changed("bias_table.SET.body", GONE),
        changed("bias_table.SET.body", "ground"),
        changed("bias_table.SET.body", True),
        changed("bias_table.SET.body", float("-inf")),
    ],
)
def test_what_reading_refuses_by_its_shape_the_schema_refuses_too(tree: object) -> None:
    with pytest.raises(ProfileError):
        parse_profile(yaml.safe_dump(tree), origin="test")
    assert not CHECK.is_valid(tree)


@pytest.mark.parametrize(
    ("dotted", "value"), [("readout.dither_lsb", 0), ("limits.set_max_v", 2), ("geometry.rows", 128.0)]
)
def test_what_reading_takes_the_schema_takes_too(dotted: str, value: float) -> None:
    tree = changed(dotted, {"value": value, "assumption": "x"})
    parse_profile(yaml.safe_dump(tree), origin="test")
    CHECK.validate(tree)


def test_a_field_with_a_default_may_be_left_out_by_the_schema() -> None:
    optional = {
        f"{section}.{field.name}"
        for section, kind in SECTIONS.items()
        for field in dataclasses.fields(kind)
        if field.default is not dataclasses.MISSING
    }
    sections = profile_schema()["properties"]
    left_out = {
        f"{section}.{key}"
        for section in SECTIONS
        for key in sections[section]["properties"]
        if key not in sections[section]["required"]
    }
    assert left_out == optional


def test_a_window_that_no_verify_could_certify_is_refused_before_the_first_pulse(tmp_path: Path) -> None:
    bench = make_bench(tmp_path, rows=4, columns=4, seed=1, levels__window_usiemens=0.01)
    (verdict,) = validate_profiles([Path(bench.profile)])
    assert not verdict["passed"]
    assert "cannot be certified" in verdict["error"]
    with pytest.raises(ProfileError, match=r"cannot be certified.*nothing was applied"):
        program(bench.workspace, profile=bench.profile, verify=False)
    assert wear_of(bench).sum() == 0


@pytest.mark.parametrize("words", [("info",), ("program", "--array", "--dry-run"), ("restore", "--yes"), ("verify",)])
def test_whoever_forgets_the_file_of_an_own_profile_is_told_to_give_it(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = make_bench(tmp_path, rows=4, columns=4, seed=1)
    monkeypatch.chdir(tmp_path)
    place = ["--workspace", str(bench.workspace.folder)]
    sentence = "was made with profile 'small', which does not come with memprog: give its file with --profile"
    assert sentence in refusal(capsys, *words, *place, code=3)
    (tmp_path / "memprog.yaml").write_text(f"profile: {bench.profile}\n")
    if words[0] in {"info", "program"}:
        assert main([*words, *place]) == 0
