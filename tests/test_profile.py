"""Profiles: every shipped one loads, and nothing but a complete, sourced, sensible one does."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from memprog.errors import EXIT_INPUT, ProfileError
from memprog.profile import (
    BIAS_NAMES,
    DEFAULT_PROFILE,
    OPTIONAL_SECTIONS,
    SECTIONS,
    ChipProfile,
    bundled_profile,
    load_profile,
    parse_profile,
    profile_names,
)
from memprog.strict_yaml import MAX_BYTES

FOLDER = Path(__file__).parent.parent / "profiles"
DEFAULT_TEXT = (FOLDER / f"{DEFAULT_PROFILE}.yaml").read_text(encoding="utf-8")
DEFAULT_TREE = yaml.safe_load(DEFAULT_TEXT)


def parsed(tree: object) -> ChipProfile:
    """Parse a profile given as plain data."""
    return parse_profile(yaml.safe_dump(tree, sort_keys=False), origin="test")


def changed(dotted: str, value: object) -> dict[str, Any]:
    """The default profile with one entry replaced or added."""
    tree = copy.deepcopy(DEFAULT_TREE)
    *parents, last = dotted.split(".")
    place = tree
    for parent in parents:
        place = place[parent]
    place[last] = value
    return tree


def without(dotted: str) -> dict[str, Any]:
    """The default profile with one entry gone."""
    tree = copy.deepcopy(DEFAULT_TREE)
    *parents, last = dotted.split(".")
    place = tree
    for parent in parents:
        place = place[parent]
    del place[last]
    return tree


def sourced(value: object) -> dict[str, object]:
    """A number as a profile wants it."""
    return {"value": value, "source": "made up for a test"}


@pytest.mark.parametrize("name", profile_names())
def test_shipped_profile_loads_under_its_file_name(name: str) -> None:
    profile = bundled_profile(name)
    assert profile.name == name
    assert profile.description.isascii()


@pytest.mark.parametrize("name", profile_names())
def test_every_number_of_a_shipped_profile_has_a_source_or_an_assumption(name: str) -> None:
    profile = bundled_profile(name)
    numbers = {
        f"{section}.{field.name}"
        for section, kind in (SECTIONS | OPTIONAL_SECTIONS).items()
        if getattr(profile, section) is not None
        for field in dataclasses.fields(kind)
        if not isinstance(getattr(getattr(profile, section), field.name), str)
    }
    assert set(profile.provenance) == numbers | {"bias_table"}
    for where, origin in profile.provenance.items():
        if where != "bias_table":
            kind, _, note = origin.partition(": ")
            assert kind in {"source", "assumption"}, where
            assert len(note) >= 8, f"{where}: '{note}' says nothing"


@pytest.mark.parametrize("name", profile_names())
def test_shipped_profile_reads_the_same_from_its_path(name: str) -> None:
    assert load_profile(str(FOLDER / f"{name}.yaml")) == load_profile(name)


@pytest.mark.parametrize("name", profile_names())
def test_converter_of_a_shipped_profile_reaches_its_highest_level(name: str) -> None:
    profile = bundled_profile(name)
    assert profile.levels.max_usiemens * 1e-6 * profile.readout.read_v <= profile.readout.range_a


@pytest.mark.parametrize("name", profile_names())
def test_first_pulses_of_a_shipped_profile_are_within_its_limits(name: str) -> None:
    protocol, limits = bundled_profile(name).protocol, bundled_profile(name).limits
    assert protocol.set_first_v <= limits.set_max_v
    assert protocol.reset_first_v <= limits.reset_max_v
    assert limits.width_min_ns <= protocol.pulse_width_ns <= limits.width_max_ns
    assert protocol.pulse_budget <= limits.pulses_per_cell_run
    assert limits.width_min_ns <= protocol.pulse_width_ns <= limits.width_max_ns
    assert protocol.pulse_budget <= limits.pulses_per_cell_run


def test_default_profile_is_shipped_and_has_the_levels_of_the_paper() -> None:
    levels = bundled_profile(DEFAULT_PROFILE).levels
    assert DEFAULT_PROFILE in profile_names()
    assert (levels.count, levels.min_usiemens, levels.max_usiemens) == (2048, 50.0, 4144.0)
    assert levels.spacing_usiemens == pytest.approx(2.0)


def test_sampling_noise_falls_with_the_aperture_down_to_the_converter() -> None:
    readout = bundled_profile(DEFAULT_PROFILE).readout
    short, long = (readout.sample_noise_usiemens(4000.0, readout.aperture_ns * k) for k in (1, 100))
    assert short > long >= readout.lsb_usiemens / 12**0.5


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        (changed("colour", "blue"), r"the file has unknown key\(s\): colour"),
        (changed("levels.tolerence_usiemens", sourced(1)), r"levels has unknown key\(s\): tolerence_usiemens"),
        (without("limits"), r"the file lacks key\(s\): limits"),
        (without("limits.gate_max_v"), r"limits lacks key\(s\): gate_max_v"),
        (changed("limits.set_max_v", 2.5), r"limits\.set_max_v \(a number needs a source or an assumption\)"),
        (changed("limits.set_max_v", {"value": 2.5}), r"limits\.set_max_v must be \{value: \.\.\., source: \.\.\.\}"),
        (changed("limits.set_max_v", {"source": "x"}), r"limits\.set_max_v must be \{value"),
        (changed("limits.set_max_v", {**sourced(2), "assumption": "x"}), r"limits\.set_max_v must be \{value"),
        (changed("limits.set_max_v", {"value": 2.5, "source": "  "}), r"limits\.set_max_v must be text"),
        (changed("limits.set_max_v", {"value": 2.5, "source": 7}), r"limits\.set_max_v must be text"),
        (changed("limits.set_max_v", sourced(-1.0)), r"limits\.set_max_v is -1; it must be above 0"),
        (changed("limits.set_max_v", sourced(float("nan"))), r"limits\.set_max_v must be a finite number"),
        (changed("limits.set_max_v", sourced(float("inf"))), r"limits\.set_max_v must be a finite number"),
        (changed("limits.set_max_v", sourced("2.5")), r"limits\.set_max_v must be a finite number"),
        (changed("limits.set_max_v", sourced(True)), r"limits\.set_max_v must be a finite number"),
        (changed("limits.set_max_v", sourced(10**400)), r"limits\.set_max_v must be a finite number"),
        (changed("geometry.rows", sourced(2.5)), r"geometry\.rows is 2\.5; it must be a whole number"),
        (changed("driver.gate_line", "diagonal"), r"driver\.gate_line is 'diagonal'; it must be one of row, column"),
        (changed("driver.compliance", 3), r"driver\.compliance must be text"),
        (changed("format_version", 2), r"format version 2; this memprog reads 1"),
        (changed("format_version", "1"), r"format version '1'; this memprog reads 1"),
        (changed("name", ""), r"name must be text"),
        (changed("geometry", [1, 2]), r"geometry must be a mapping"),
        ([1, 2], r"the file must be a mapping"),
        (None, r"the file must be a mapping"),
        (without("bias_table.SET"), r"bias_table lacks key\(s\): SET"),
        (without("bias_table.source"), r"bias_table lacks key\(s\): source"),
        (changed("bias_table.SET.drain", 0.0), r"bias_table\.SET has unknown key\(s\): drain"),
        (changed("bias_table.SET.body", "ground"), r"bias_table\.SET\.body must be volts, 'amplitude' or 'gate'"),
        (changed("bias_table.SET.body", float("nan")), r"bias_table\.SET\.body must be"),
    ],
)
def test_broken_profile_is_refused_in_one_sentence(tree: object, sentence: str) -> None:
    with pytest.raises(ProfileError, match=rf"^profile test: {sentence}") as refusal:
        parsed(tree)
    assert "\n" not in str(refusal.value)
    assert refusal.value.exit_code == EXIT_INPUT


@pytest.mark.parametrize(
    ("dotted", "value"),
    [
        ("geometry.rows", 0),
        ("geometry.rows", 2**40),
        ("levels.count", 1),
        ("levels.min_usiemens", 5000.0),
        ("levels.window_usiemens", 0.0),
        ("levels.min_yield", 1.01),
        ("limits.width_min_ns", 10**9),
        ("limits.read_max_v", 0.1),
        ("limits.gate_max_v", 0.1),
        ("readout.converter_bits", 64),
        ("readout.source_drop_min", 0.99),
    ],
)
def test_values_that_make_no_chip_together_are_refused(dotted: str, value: float) -> None:
    with pytest.raises(ProfileError, match=dotted.split(".")[0]):
        parsed(changed(dotted, sourced(value)))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (DEFAULT_TEXT + "\nname: again\n", r"key 'name' stands twice"),
        (DEFAULT_TEXT + "\ncolour: {count: 1, count: 2}\n", r"key 'count' stands twice"),
        ("a: &x 1\nb: *x\n", r"aliases \(\*name\) are not allowed"),
        ("a: [", r"not readable as YAML"),
        ("a: !!python/object/apply:os.getcwd []", r"not readable as YAML"),
        ("{[1]: 2}", r"not readable as YAML"),
        ("[" * 5000, r"not readable as YAML"),
        ("a: \x00", r"not readable as YAML"),
        ("", r"the file must be a mapping"),
    ],
)
def test_text_that_is_not_plain_yaml_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ProfileError, match=sentence):
        parse_profile(text, origin="test")


def test_unknown_name_lists_the_profiles_there_are() -> None:
    with pytest.raises(ProfileError, match=rf"there is no profile 'nope'; there are: .*{DEFAULT_PROFILE}"):
        load_profile("nope")


def test_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"mine\.yaml: cannot be read"):
        load_profile(str(tmp_path / "mine.yaml"))


def test_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ProfileError, match="cannot be read"):
        load_profile(str(path))


def test_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ProfileError, match="larger than"):
        load_profile(str(path))


def test_refusal_of_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(changed("colour", "blue")), encoding="utf-8")
    with pytest.raises(ProfileError, match=r"mine\.yaml: the file has unknown key"):
        load_profile(str(path))


@pytest.mark.parametrize("section", SECTIONS)
def test_hashes_see_a_changed_value_but_another_protocol_is_the_same_chip(section: str) -> None:
    key, value = next((key, leaf["value"]) for key, leaf in DEFAULT_TREE[section].items() if "value" in leaf)
    other = value + 1 if isinstance(value, int) else value * 1.001
    before, after = parsed(DEFAULT_TREE), parsed(changed(f"{section}.{key}.value", other))
    assert after.sha256 != before.sha256
    assert (after.chip_sha256 == before.chip_sha256) == (section == "protocol")


def test_hashes_see_a_changed_bias_table() -> None:
    before, after = parsed(DEFAULT_TREE), parsed(changed("bias_table.SET.body", -0.5))
    assert after.sha256 != before.sha256
    assert after.chip_sha256 != before.chip_sha256


def test_another_description_is_another_profile_but_the_same_chip() -> None:
    before, after = parsed(DEFAULT_TREE), parsed(changed("description", "another"))
    assert after.sha256 != before.sha256
    assert after.chip_sha256 == before.chip_sha256


def test_hash_is_of_the_content_not_of_the_layout() -> None:
    commented = parse_profile("# a remark\n" + DEFAULT_TEXT, origin="test")
    backwards = parsed(dict(reversed(DEFAULT_TREE.items())))
    assert commented.sha256 == backwards.sha256 == bundled_profile(DEFAULT_PROFILE).sha256


@pytest.mark.parametrize("key", ["open_fraction", "short_fraction", "unformed_fraction"])
def test_share_of_defects_may_be_left_out_and_then_is_none(key: str) -> None:
    before = parsed(DEFAULT_TREE)
    assert getattr(before.simulation, key) == 0.0
    assert before.provenance[f"simulation.{key}"].startswith("assumption: ")
    after = parsed(changed(f"simulation.{key}", sourced(0.01)))
    assert getattr(after.simulation, key) == 0.01
    assert after.provenance[f"simulation.{key}"] == "source: made up for a test"
    # Another chip: a file made with the one is refused under the other.
    assert after.chip_sha256 != before.chip_sha256
    assert getattr(parsed(changed(f"simulation.{key}", sourced(0))).simulation, key) == 0.0


def test_key_that_is_optional_is_still_checked_when_it_is_there() -> None:
    with pytest.raises(ProfileError, match=r"simulation\.open_fraction must be \{value"):
        parsed(changed("simulation.open_fraction", {"value": 0.1}))
    with pytest.raises(ProfileError, match="unknown key"):
        parsed(changed("simulation.opened_fraction", sourced(0.1)))
    with pytest.raises(ProfileError, match="more stuck, open, shorted and unformed cells than cells"):
        parsed(changed("simulation.open_fraction", sourced(0.999)))


def test_a_profile_cannot_be_changed_after_loading() -> None:
    profile = bundled_profile(DEFAULT_PROFILE)
    attempts: list[Callable[[], object]] = [
        lambda: setattr(profile, "name", "other"),
        lambda: setattr(profile.limits, "set_max_v", 9.0),
        lambda: profile.bias_table.update({}),  # type: ignore[attr-defined]
        lambda: profile.bias_table["SET"].update({}),  # type: ignore[attr-defined]
    ]
    for attempt in attempts:
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
            attempt()


def test_bias_table_has_a_row_for_every_kind_of_pulse() -> None:
    assert set(bundled_profile(DEFAULT_PROFILE).bias_table) == set(BIAS_NAMES)


@pytest.mark.parametrize("name", profile_names())
def test_the_chip_part_of_a_shipped_profile_is_the_frozen_one(name: str) -> None:
    changelog = (Path(__file__).parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"`{name}`: `{bundled_profile(name).chip_sha256}`" in changelog
