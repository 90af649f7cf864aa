"""``memprog physics check``: published facts beside simulated figures, each in a band that is stated with it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memprog.cli import main
from memprog.cli.physics import CHECK_GROUPS, check_lines
from memprog.errors import InputError
from memprog.jobs import physics_check
from memprog.jobs.physics_check import GROUPS, check_physics, cmo, neurram, product, silicon, telegraph
from memprog.jobs.physics_check.rows import Fact, Kind, about, deviation_of
from memprog.report.check import CheckReport, CheckRow

Capture = pytest.CaptureFixture[str]
QUICK = ("transport", "phase-field", "silicon")
"""Groups of a second or two."""


@pytest.fixture(scope="module")
def quick() -> CheckReport:
    """The quick groups, once."""
    return check_physics(only=QUICK)


def fact(**changes: Any) -> Fact:
    fields: dict[str, Any] = {
        "name": "step",
        "fact": "a step",
        "unit": "uS",
        "published": (2.0, 3.0),
        "band": (1.0, 4.0),
        "reason": "because",
        "kind": Kind.PREDICTED,
        "source": "a paper",
        "held": "all else",
    }
    return Fact(**fields | changes)


@pytest.mark.parametrize(
    ("simulated", "deviation", "inside"),
    [(2.5, 0.0, True), (4.0, 1 / 3, True), (1.0, -0.5, True), (0.9, -0.55, False), (math.nan, math.nan, False)],
)
def test_a_row_says_how_far_off_the_nearer_end_and_whether_in_the_band(
    simulated: float, deviation: float, inside: bool
) -> None:
    row = fact().row("rtn", simulated)
    assert row.deviation == pytest.approx(deviation, nan_ok=True)
    assert row.inside is inside
    assert (row.group, row.published_low, row.published_high) == ("rtn", 2.0, 3.0)


def test_beside_nothing_the_deviation_is_the_difference() -> None:
    assert deviation_of(-0.25, 0.0, 0.0) == -0.25
    assert deviation_of(110.0, -100.0, -100.0) == pytest.approx(2.1)


@pytest.mark.parametrize(
    "wrong", [{"published": (3.0, 2.0)}, {"band": (1.0, 1.0)}, {"published": math.nan}], ids=lambda change: str(change)
)
def test_facts_that_are_upside_down_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        fact(**wrong)


def test_a_band_is_as_wide_to_both_sides() -> None:
    assert about(-2.0, 0.1) == pytest.approx((-2.2, -1.8))


def test_every_row_says_source_band_and_what_was_held(quick: CheckReport) -> None:
    assert {row.group for row in quick.rows} == set(QUICK)
    assert len({(row.group, row.name) for row in quick.rows}) == len(quick.rows)
    for row in quick.rows:
        assert all((row.fact, row.source, row.held_fixed, row.band_reason))
        assert row.band_low < row.band_high
        assert f"{row.fact}{row.source}{row.held_fixed}{row.band_reason}{row.unit}".isascii()


def test_the_quick_groups_are_inside_their_bands(quick: CheckReport) -> None:
    assert [row.name for row in quick.rows if not row.inside] == []
    assert quick.passed
    assert quick.rows_inside == len(quick.rows)


def test_what_was_published_is_inside_its_own_band_or_a_stated_gap(quick: CheckReport) -> None:
    apart = [row.name for row in quick.rows if row.published_high < row.band_low or row.published_low > row.band_high]
    assert apart == []


def test_the_same_seed_gives_the_same_figures_and_another_does_not(quick: CheckReport) -> None:
    again, other = (check_physics(only=["phase-field"], seed=seed) for seed in (0, 1))
    before = [row for row in quick.rows if row.group == "phase-field"]
    assert list(again.rows) == before
    assert list(other.rows) != before


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(InputError, match="only transport"):
        check_physics(only=["fig9"])
    assert main(["physics", "check", "--only", "fig9"]) == 2


def test_the_command_offers_the_groups_there_are() -> None:
    assert tuple(GROUPS) == CHECK_GROUPS


def test_no_files_are_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["physics", "check", "--only", "transport"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_report(capsys: Capture) -> None:
    assert main(["physics", "check", "--only", "transport", "--only", "phase-field", "--format", "json"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert fields["groups"] == ["transport", "phase-field"]
    assert set(fields["rows"][0]) == {field.name for field in dataclasses.fields(CheckRow)}
    assert {row["kind"] for row in fields["rows"]} <= {kind.value for kind in Kind}
    assert fields["not_modelled"]
    assert fields["simulated"] is True


def test_a_figure_outside_its_band_ends_with_the_code_of_a_failed_verification(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def rows(seed: int, folder: Path) -> Iterator[CheckRow]:
        yield fact().row("transport", 9.0)

    monkeypatch.setattr(physics_check, "GROUPS", {"transport": rows})
    assert main(["physics", "check", "--only", "transport"]) == 1
    out = capsys.readouterr().out
    assert "OUTSIDE" in out
    assert "0 of 1 inside: NOT all inside their bands" in out


def test_a_person_is_told_every_fact_with_its_source(quick: CheckReport) -> None:
    lines = check_lines(quick.to_dict())
    assert all(line.isascii() for line in lines)
    for row in quick.rows:
        assert sum(line.startswith(f"{row.group} {row.name} ") for line in lines) == 1
        assert f"  source: {row.source}" in lines
    assert lines[-1] == f"{len(quick.rows)} of {len(quick.rows)} inside: all inside their bands"


def test_noise_that_is_all_white_shows_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    traces = 100.0 + 0.1 * np.random.default_rng(0).standard_normal((8, 20_000))
    sample, mean = telegraph._colour(traces)
    assert sample.simulated == pytest.approx(0.1, rel=0.02)
    assert mean.simulated == pytest.approx(0.1 / math.sqrt(250), rel=0.1)
    assert not mean.inside


def test_dead_cells_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silicon, "ROWS", 16)
    monkeypatch.setattr(silicon, "COLUMNS", 512)
    alive = [row for row in silicon.rows(3, tmp_path) if row.name == "cells_alive"]
    assert 0.995 < alive[0].simulated < 1.0


def test_uniform_errors_are_told_from_others() -> None:
    rng = np.random.default_rng(0)
    uniform, heaped = rng.uniform(-1.0, 1.0, 2000), np.clip(rng.normal(0.0, 0.4, 2000), -1.0, 1.0)
    assert cmo._distance(uniform) < cmo.SAME_LAW / math.sqrt(2000) < cmo._distance(heaped)
    assert cmo._distance(np.array([0.0])) == pytest.approx(0.5)


def test_columns_are_corrected_by_the_first_half_only() -> None:
    wanted = np.random.default_rng(0).standard_normal((8, 3))
    seen = wanted * np.array([2.0, -0.5, 1.0]) + np.array([0.1, 0.0, -3.0])
    np.testing.assert_allclose(product.corrected(seen, wanted), wanted, atol=1e-12)
    seen[4:] += 1.0
    assert np.all(product.corrected(seen, wanted)[:4] == pytest.approx(wanted[:4]))
    assert np.all(np.abs(product.corrected(seen, wanted)[4:] - wanted[4:]) > 0.1)


def test_a_column_of_nothing_has_no_gain() -> None:
    assert np.all(product.corrected(np.zeros((4, 1)), np.zeros((4, 1))) == 0.0)


@pytest.mark.parametrize(("when", "level", "sigma"), [("1s", 0.0, 0.348), ("1d", 40.0, 2.651), ("1s", 40.0, 1.103)])
def test_published_relaxation_is_the_fitted_polynomial(when: str, level: float, sigma: float) -> None:
    assert neurram.published_sigma_usiemens(when, level) == pytest.approx(sigma, abs=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_everything_is_inside_its_band(seed: int) -> None:
    report = check_physics(seed=seed)
    assert [(row.name, row.simulated) for row in report.rows if not row.inside] == []
