"""Files that were damaged or made to do harm: one sentence, exit code 3, little memory, nothing run or written."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import hostile_batch as batch
import pytest
from hostile_cases import IMAGES, PROFILE_NAMES, PROFILES, WEIGHTS, Make, image_table
from loop_cases import make_bench
from processes import environment

from memprog.cli import main
from memprog.errors import InputError, MemprogError, ProfileError
from memprog.files import replace_whole
from memprog.image import read_image
from memprog.jobs.load import load_weights
from memprog.jobs.program import program
from memprog.jobs.status import status
from memprog.jobs.workspace import open_workspace
from memprog.profile import bundled_profile, load_profile
from memprog.tensors import encode_safetensors

PEAK_MB = 500
ALLOWED_MB = 80
"""For one file made by hand, the largest of which is a few MB: less than what one unfolds to that says so."""

FORMATS = {
    "npy": 400,
    "npz": 400,
    "safetensors": 400,
    "config": 400,
    "profile": 100,
    "image": 100,
    "chip": 12,
    "journal": 12,
    "record": 12,
}


def feed(form: str, count: int, seed: int, folder: Path) -> dict[str, object]:
    """Run a batch of damaged files in a process of its own."""
    script = Path(__file__).parent / "hostile_batch.py"
    ended = subprocess.run(
        [sys.executable, str(script), form, str(count), str(seed), str(folder)],
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=7200,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr[-3000:]
    found: dict[str, object] = json.loads(ended.stdout)
    return found


def check(found: dict[str, object]) -> None:
    """Every ending is a right result or a refusal, the peak is bounded, and both kinds of ending were seen."""
    assert found["wrongs"] == 0, "\n".join(found["wrong"])  # type: ignore[arg-type]
    assert found["peak_mb"] is None or found["peak_mb"] < PEAK_MB  # type: ignore[operator]
    assert {"read", "exit 3"} <= set(found["endings"])  # type: ignore[call-overload]


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_files_are_read_right_or_refused(form: str, tmp_path: Path) -> None:
    check(feed(form, FORMATS[form], 1, tmp_path))


@pytest.mark.long
@pytest.mark.parametrize("form", FORMATS)
def test_ten_thousand_damaged_files_are_read_right_or_refused(form: str, tmp_path: Path) -> None:
    check(feed(form, 10_000, 2, tmp_path))


def files_in(folder: Path) -> dict[Path, int | None]:
    """Every path under a folder, files with the time of their last change."""
    return {path: path.stat().st_mtime_ns if path.is_file() else None for path in folder.rglob("*")}


def refused(job: Callable[[], object], folder: Path) -> str:
    """Run a job that must end with a sentence, whose text is given, and write nothing."""
    before = files_in(folder)
    with pytest.raises(MemprogError) as caught:
        job()
    assert files_in(folder) == before
    sentence = str(caught.value)
    assert caught.value.exit_code == 3
    assert sentence.isprintable()
    assert len(sentence) < 1000
    return sentence


def refused_cheaply(job: Callable[[], object], folder: Path) -> str:
    """The same, with an eye on memory; slow where many small things are made."""
    tracemalloc.start()
    try:
        sentence = refused(job, folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < ALLOWED_MB << 20
    return sentence


@pytest.mark.parametrize(("name", "make"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_made_to_do_harm_are_refused(
    name: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(make())
    image = tmp_path / "work" / "image.safetensors"
    profile = bundled_profile("rao2023-11bit")
    assert str(path) in refused_cheaply(lambda: load_weights(path, profile=profile, image_path=image), tmp_path)


@pytest.mark.parametrize("make", IMAGES.values(), ids=IMAGES)
def test_images_made_to_do_harm_are_refused(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "image.safetensors"
    path.write_bytes(make())
    workspace = open_workspace(tmp_path)
    for job in (read_image, lambda _: status(workspace), lambda _: program(workspace, dry_run=True)):
        assert str(path) in refused_cheaply(lambda job=job: job(path), tmp_path)  # type: ignore[misc]


def test_the_image_these_were_made_from_is_one(tmp_path: Path) -> None:
    path = tmp_path / "image.safetensors"
    path.write_bytes(image_table())
    assert read_image(path).layers[0].name == "a"


@pytest.mark.parametrize("name", PROFILE_NAMES, ids=ascii)
def test_an_image_cannot_name_a_profile_that_does_harm(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "image.safetensors").write_bytes(image_table(profile={"name": name, "sha256": "0"}))
    refused(lambda: program(open_workspace(tmp_path), dry_run=True), tmp_path)


@pytest.mark.parametrize("make", PROFILES.values(), ids=PROFILES)
def test_profiles_made_to_do_harm_are_refused(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_bytes(make())
    assert "mine.yaml" in refused(lambda: load_profile(str(path)), tmp_path)


def test_a_profile_that_is_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes with names here")
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ProfileError, match="there is no such file"):
        load_profile(str(tmp_path / "pipe.yaml"))


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="no ordinary file"):
        replace_whole(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("form", ["npy", "npz", "safetensors", "profile"])
def test_a_file_cut_anywhere_is_refused(form: str, tmp_path: Path) -> None:
    target = batch.TARGETS[form](tmp_path)
    whole = target.seeds[0]
    for part in range(16):
        target.path.write_bytes(whole[: len(whole) * part // 16])
        refused(lambda: target.jobs[0](target.path), tmp_path)


@pytest.mark.parametrize("form", ["image", "chip", "journal", "record"])
def test_a_file_of_the_workspace_cut_anywhere_is_refused(form: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    target = batch.TARGETS[form](here)
    whole = target.seeds[-1]
    for part in range(1, 16, 2):
        endings, wrong = batch.run(target, whole[: len(whole) * part // 16])
        assert wrong == []
        assert "exit 3" in endings, f"cut at {part}/16"


@pytest.mark.parametrize("kind", ["chip", "journal"])
def test_a_file_of_another_version_is_refused_and_left_as_it_is(kind: str, tmp_path: Path) -> None:
    bench = make_bench(tmp_path, rows=4, columns=4, seed=1, protocol__passes=1)
    program(bench.workspace, profile=bench.profile, verify=False)
    path = bench.workspace.chip_path if kind == "chip" else bench.workspace.journal_path
    if kind == "chip":
        data = bytearray(path.read_bytes())
        data[16:20] = (99).to_bytes(4, "little")
        path.write_bytes(data)
    else:
        database = sqlite3.connect(path)
        with database:
            database.execute("UPDATE meta SET value = '99' WHERE key = 'format_version'")
        database.close()
    sentence = refused(lambda: status(bench.workspace), tmp_path)
    assert "99" in sentence


def test_a_hostile_name_does_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(WEIGHTS["name that steers"][1]())
    assert main(["load-weights", str(path), "--workspace", str(tmp_path / "work")]) == 3
    error = capsys.readouterr().err
    assert error.rstrip("\n").isprintable()
    assert "\\x1b[2J" in error


def test_a_name_that_stands_twice_is_said(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(WEIGHTS["name twice in disguise"][1]())
    image = tmp_path / "image.safetensors"
    with pytest.raises(InputError, match="its header names 'a' twice"):
        load_weights(path, profile=bundled_profile("rao2023-11bit"), image_path=image)


def test_writing_the_same_name_twice_is_not_possible() -> None:
    assert encode_safetensors({}, {}) == b"\x08" + bytes(7) + b"{}      "
