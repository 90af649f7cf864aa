"""``memprog physics``: a picture, its columns and its facts, the same each time, and never over what is not its own."""

from __future__ import annotations

import csv
import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pinned_names import FACTS
from processes import environment

from memprog.cli import main
from memprog.errors import InputError
from memprog.jobs.figures import FIGURES, write_figure
from memprog.physics.fig3 import fig3
from memprog.report.figures import canvas

NAMES = tuple(FIGURES)
PNG, SVG = b"\x89PNG\r\n", b"<?xml"
NO_MATPLOTLIB = """
import sys
sys.modules["matplotlib"] = None
from memprog.cli import main
sys.exit(main())
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", autouse=True)
def coarse() -> Iterator[None]:
    """Let fig3 be computed on a coarse grid: the whole one takes ten seconds and has a test of its own."""
    with pytest.MonkeyPatch.context() as patch:
        coarser = functools.lru_cache(functools.partial(fig3, distances=3, sizes=5))
        patch.setitem(FIGURES, "fig3", replace(FIGURES["fig3"], compute=coarser))  # type: ignore[arg-type]
        yield


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder one stands in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no matplotlib."""
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)


def answer(capsys: Capture, *words: str) -> dict[str, Any]:
    """Run a command that succeeds, and give its object."""
    capsys.readouterr()
    assert main(["physics", *words, "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    fields: dict[str, Any] = json.loads(out)
    return fields


def refused(capsys: Capture, *words: str) -> str:
    """Run a command whose input cannot be used, and give its one sentence."""
    capsys.readouterr()
    assert main(["physics", *words]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    (sentence,) = err.splitlines()
    return sentence


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_each_figure_writes_a_picture_and_its_numbers(name: str, place: Path, capsys: Capture) -> None:
    fields = answer(capsys, name)
    assert fields["paths"] == {"picture": f"{name}.png", "numbers": f"{name}.csv", "facts": f"{name}.json"}
    assert {path.name for path in place.iterdir()} == set(fields["paths"].values())
    assert (place / f"{name}.png").read_bytes().startswith(PNG)
    assert (fields["figure"], fields["seed"]) == (name, FIGURES[name].seed)
    assert fields["provenance"]["argv"] == ["memprog", "physics", name, "--format", "json"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_facts_never_change(name: str, place: Path, capsys: Capture) -> None:
    facts = answer(capsys, name, "--no-picture")["facts"]
    assert set(FACTS[name].split()) == set(facts)
    assert set(FACTS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_file_of_facts_says_what_is_printed_and_which_versions_made_it(name: str, place: Path, capsys: Capture) -> None:
    printed = answer(capsys, name, "--no-picture")
    kept = json.loads((place / f"{name}.json").read_text(encoding="utf-8"))
    for key in ("schema_version", "memprog_version", "figure", "seed", "facts"):
        assert kept[key] == printed[key]
    assert set(kept["provenance"]["versions"]) == {"memprog", "python", "numpy", "scipy"}


@pytest.mark.parametrize("name", NAMES)
def test_columns_come_whole_and_empty_where_there_is_nothing(name: str, place: Path, capsys: Capture) -> None:
    answer(capsys, name, "--no-picture")
    with (place / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        heads, *rows = list(csv.reader(stream))
    assert len({*heads}) == len(heads)
    assert {len(row) for row in rows} == {len(heads)}
    read = np.array([[float(cell) if cell else np.nan for cell in row] for row in rows])
    known = FIGURES[name]
    computed = known.compute() if known.seed is None else known.compute(known.seed)
    wanted = known.module.columns(computed)
    assert heads == list(wanted)
    np.testing.assert_allclose(read, np.column_stack(list(wanted.values())), rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_person_is_told_the_files_and_a_few_facts(name: str, place: Path, capsys: Capture) -> None:
    assert main(["physics", name, "--no-picture"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.isascii()
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert lines[0] == ["picture", "none"]
    assert lines[1:3] == [["numbers", f"{name}.csv"], ["facts", f"{name}.json"]]
    assert len(lines) > 5


@pytest.mark.parametrize(
    ("name", "kind", "start"), [pytest.param("fig4", ".png", PNG, marks=pytest.mark.long), ("figS14", ".svg", SVG)]
)
def test_the_same_command_writes_the_same_bytes(name: str, kind: str, start: bytes, place: Path) -> None:
    words = ["physics", name, "--out", name + kind]
    assert main(words) == 0
    first = files_in(place)
    assert main(words) == 0
    assert files_in(place) == first
    assert first[name + kind].startswith(start)
    assert b"Date" not in first[name + kind]
    assert b"date" not in first[name + kind]


def test_pictures_do_not_depend_on_the_users_style() -> None:
    style = pytest.importorskip("matplotlib").rcParams
    plain = canvas.render(lambda figure: figure.suptitle("as it is"), ".png", (2.0, 1.0))
    before = style["font.size"]
    try:
        style["font.size"] = 31.0
        large = canvas.render(lambda figure: figure.suptitle("as it is"), ".png", (2.0, 1.0))
        assert style["font.size"] == 31.0
    finally:
        style["font.size"] = before
    assert plain == large


def test_a_seed_draws_other_maps_and_the_same_ones_again(place: Path, capsys: Capture) -> None:
    default = answer(capsys, "fig4", "--no-picture", "--out", "a.png")
    other = answer(capsys, "fig4", "--no-picture", "--out", "b.png", "--seed", "7")
    again = answer(capsys, "fig4", "--no-picture", "--out", "c.png", "--seed", "7")
    assert (default["seed"], other["seed"]) == (6, 7)
    assert default["facts"] != other["facts"] == again["facts"]
    assert (place / "b.csv").read_bytes() == (place / "c.csv").read_bytes()


@pytest.mark.parametrize("name", ["fig3", "figS14"])
def test_what_is_not_random_takes_no_seed(name: str, place: Path) -> None:
    assert main(["physics", name, "--seed", "1"]) == 2
    with pytest.raises(InputError, match="takes no seed"):
        write_figure(name, place / "a.png", seed=1)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_without_matplotlib_a_sentence_says_what_to_install_or_pass(
    name: str, place: Path, bare: None, capsys: Capture
) -> None:
    sentence = refused(capsys, name, "--out", f"new/{name}.png")
    assert "pip install 'memprog[plots]'" in sentence
    assert "--no-picture" in sentence
    assert list(place.iterdir()) == []


def test_without_matplotlib_numbers_are_written_all_the_same(place: Path) -> None:
    assert main(["physics", "figS14", "--no-picture"]) == 0
    before = files_in(place)
    for path in place.iterdir():
        path.unlink()
    command = [sys.executable, "-W", "error", "-c", NO_MATPLOTLIB, "physics", "figS14", "--no-picture"]
    ended = subprocess.run(command, env=environment(), cwd=place, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert files_in(place) == before


@pytest.mark.parametrize("name", ["fig4.csv", "fig4.json", "fig4.png"])
def test_no_file_of_the_workspace_is_written_over_by_any_of_the_three(name: str, place: Path, capsys: Capture) -> None:
    (place / ".memprog").mkdir()
    image = place / ".memprog" / "image.safetensors"
    image.write_bytes(b"precious")
    (place / name).symlink_to(image)
    assert "would take the place of the image of the workspace" in refused(capsys, "fig4")
    assert image.read_bytes() == b"precious"
    assert {path.name for path in place.iterdir()} == {".memprog", name}


@pytest.mark.parametrize("name", ["fig4.csv", "fig4.json", "fig4.png"])
def test_nor_is_a_chip_of_others_or_a_folder(name: str, place: Path, capsys: Capture) -> None:
    (place / name).write_bytes(b"memprog simchip: somebody's")
    assert "would be lost" in refused(capsys, "fig4")
    assert files_in(place) == {name: b"memprog simchip: somebody's"}
    (place / name).unlink()
    (place / name).mkdir()
    if name == "fig4.png":  # the option itself refuses a folder
        assert main(["physics", "fig4"]) == 2
    else:
        assert "no ordinary file" in refused(capsys, "fig4")
    assert [path.name for path in place.iterdir()] == [name]


@pytest.mark.parametrize("log", ["fig4.csv", "fig4.json", "fig4.png"])
def test_the_log_is_none_of_the_three(log: str, place: Path, capsys: Capture) -> None:
    assert "would take the place of" in refused(capsys, "fig4", "--log-file", log)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("out", ["fig4.pdf", "fig4", "fig4.csv", "new/fig4.jpeg"])
def test_other_kinds_of_picture_are_refused(out: str, place: Path, capsys: Capture) -> None:
    assert ".png or .svg" in refused(capsys, "fig4", "--out", out)
    assert list(place.iterdir()) == []
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        canvas.render(lambda figure: None, ".pdf", (1.0, 1.0))


def test_an_unknown_figure_is_refused(place: Path) -> None:
    assert main(["physics", "fig1"]) == 2
    with pytest.raises(InputError, match="only fig2, fig3, fig4, figS14"):
        write_figure("fig1", place / "fig1.png")


def test_a_folder_is_made_for_the_files(place: Path, capsys: Capture) -> None:
    answer(capsys, "figS14", "--no-picture", "--out", "new/er/dwells.svg")
    assert {path.name for path in (place / "new" / "er").iterdir()} == {"dwells.csv", "dwells.json"}


@pytest.mark.long
def test_fig3_at_its_own_resolution_is_the_published_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIGURES, "fig3", replace(FIGURES["fig3"], compute=fig3))  # type: ignore[arg-type]
    report = write_figure("fig3", place / "fig3.png")
    assert report.facts["deviation_max"] < 1e-9
    assert len(report.facts["answers"]) > 20
