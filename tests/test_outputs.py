"""No command writes over another file of the workspace, over what it reads, or over what is not its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from processes import environment

from memprog import files
from memprog.cli import main
from memprog.errors import ChipFileError, InputError
from memprog.profile import bundled_profile
from memprog.simchip import create
from memprog.simchip.store import MAGIC
from memprog.tensors import encode_safetensors, tensor_of

PRECIOUS = b"precious, and no text: \0"
NAMES = ("image.safetensors", "chip.sim", "chip.sim.record", "journal.sqlite", "journal.sqlite-wal")
KEPT = {"chip": MAGIC + b"...", "old chip": MAGIC.rstrip(b"\0") + b"...", "database": b"SQLite format 3\0..."}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder one stands in, with a workspace whose files must all stay."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".memprog").mkdir()
    for name in NAMES:
        (tmp_path / ".memprog" / name).write_bytes(PRECIOUS)
    np.save(tmp_path / "weights.npy", np.ones((4, 4), dtype=np.float32))
    return tmp_path


WRITERS: dict[str, Callable[[str], list[str]]] = {
    "log": lambda path: ["status", "--log-file", path],
    "log without workspace": lambda path: ["profile", "list", "--log-file", path],
    "log of config": lambda path: ["config", "validate", "--log-file", path],
    "schema": lambda path: ["profile", "schema", "-o", path],
    "copy": lambda path: ["profile", "copy", "rao2023-11bit", path, "--name", "mine", "--force"],
    "read": lambda path: ["read", "--out", path],
    "export": lambda path: ["export", "--out", path],
    "figure": lambda path: ["physics", "figS14", "--out", path],
    "junit": lambda path: ["verify", "--junit", path],
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("writer", WRITERS)
def test_no_file_of_the_workspace_is_written_over(
    writer: str, name: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(WRITERS[writer](f".memprog/{name}")) == 3
    assert "would take the place of" in capsys.readouterr().err
    assert (place / ".memprog" / name).read_bytes() == PRECIOUS


@pytest.mark.parametrize("writer", ["log", "schema", "junit"])
@pytest.mark.parametrize("name", ["journal.sqlite", "image.safetensors"])
def test_nor_is_one_that_is_not_there_yet(writer: str, name: str, place: Path) -> None:
    (place / ".memprog" / name).unlink()
    assert main(WRITERS[writer](str(place / "." / ".memprog" / name))) == 3
    assert not (place / ".memprog" / name).exists()


@pytest.mark.parametrize("option", ["--image", "--chip", "--journal"])
def test_files_given_singly_count_too(option: str, place: Path) -> None:
    (place / "elsewhere").write_bytes(b"text, so that only the path tells")
    assert main(["status", option, "elsewhere", "--log-file", "elsewhere"]) == 3
    assert (place / "elsewhere").read_bytes() == b"text, so that only the path tells"


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to], ids=["symbolic", "hard"])
def test_another_name_of_a_file_is_that_file(link: Callable[[Path, Path], None], place: Path, tmp_path: Path) -> None:
    (place / ".memprog" / "image.safetensors").write_bytes(b"text")
    link(place / "log.txt", place / ".memprog" / "image.safetensors")
    assert main(["status", "--log-file", "log.txt"]) == 3
    assert (place / ".memprog" / "image.safetensors").read_bytes() == b"text"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", ["variable", "file above", "file given", "workspace configured"])
def test_a_configured_path_is_held_against_the_workspace(
    way: str, name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = place / ".memprog" / name
    target.write_bytes(b"text, so that only the path tells")
    words = ["status"]
    if way == "variable":
        monkeypatch.setenv("MEMPROG_LOG_FILE", str(target))
    elif way == "file above":
        (place / "memprog.yaml").write_text(f"log_file: .memprog/{name}\n")
    elif way == "file given":
        (place / "given.yaml").write_text(f"log_file: .memprog/{name}\n")
        words += ["--config", "given.yaml"]
    else:
        (place / ".memprog").rename(place / "work")
        target = place / "work" / name
        monkeypatch.setenv("MEMPROG_WORKSPACE", "work")
        words = ["profile", "schema", "-o", f"work/{name}"]
    assert main(words) == 3
    assert target.read_bytes() == b"text, so that only the path tells"


NEW = ("--name", "new", "--force")


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["load-weights", "weights.npy", "--log-file", "weights.npy"], "weights.npy"),
        (["load-weights", "weights.npy", "--image", "weights.npy"], "weights.npy"),
        (["load-weights", "weights.npy", "--profile", "mine.yaml", "--image", "mine.yaml"], "mine.yaml"),
        (["verify", "--profile", "mine.yaml", "--junit", "mine.yaml"], "mine.yaml"),
        (["sim", "new", "--force", "--profile", "mine.yaml", "--chip", "mine.yaml"], "mine.yaml"),
        (["status", "--config", "given.yaml", "--log-file", "given.yaml"], "given.yaml"),
        (["status", "--log-file", "memprog.yaml"], "memprog.yaml"),
        (["profile", "validate", "mine.yaml", "--log-file", "mine.yaml"], "mine.yaml"),
        (["profile", "copy", "mine.yaml", "mine.yaml", "--name", "new", "--force"], "mine.yaml"),
        (["profile", "fit", "log.csv", "--base", "mine.yaml", *NEW, "-o", "mine.yaml"], "mine.yaml"),
        (["noise", "log.csv", "--base", "mine.yaml", "--fit", "mine.yaml", "--force"], "mine.yaml"),
        (["config", "validate", "given.yaml", "--log-file", "given.yaml"], "given.yaml"),
        (["profile", "schema", "-o", "new.txt", "--log-file", "new.txt"], None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_command_reads_is_not_what_it_writes(
    words: list[str], read: str | None, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", "copy", "rao2023-11bit", "mine.yaml", "--name", "mine"]) == 0
    for name in ("given.yaml", "memprog.yaml", "log.csv"):
        (place / name).write_text("quiet: true\n")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert main(words) == 3
    assert "would take the place of" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert read is None or place / read in before


@pytest.mark.parametrize(
    "words",
    [
        ["load-weights", "weights.npy", "--image", ".memprog/chip.sim"],
        ["load-weights", "weights.npy", "--image", ".memprog/chip.sim.record"],
        ["load-weights", "weights.npy", "--image", ".memprog/journal.sqlite"],
        ["sim", "new", "--force", "--chip", ".memprog/journal.sqlite"],
        ["sim", "new", "--force", "--chip", ".memprog/image.safetensors"],
        ["program", "--array", "--journal", ".memprog/chip.sim"],
        ["program", "--array", "--chip", ".memprog/journal.sqlite"],
        ["program", "--array", "--image", "one", "--journal", "one"],
    ],
    ids=" ".join,
)
def test_one_file_is_not_two_of_the_workspace(
    words: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        (place / ".memprog" / name).unlink()
    assert main(words) == 3
    assert "would take the place of" in capsys.readouterr().err
    assert list((place / ".memprog").iterdir()) == []


def test_what_the_guard_takes_for_a_chip_is_one() -> None:
    assert MAGIC.startswith(files.CHIP_BEGINS)


@pytest.mark.parametrize("kind", KEPT)
@pytest.mark.parametrize("writer", [name for name in WRITERS if name not in {"read", "export"}])
def test_chips_and_journals_of_others_are_not_written_over_either(
    writer: str, kind: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "other.yaml").write_bytes(KEPT[kind])
    assert main(WRITERS[writer]("other.yaml")) == 3
    assert writer == "junit" or "would be lost" in capsys.readouterr().err
    assert (place / "other.yaml").read_bytes() == KEPT[kind]


def test_what_a_killed_writer_left_is_cleared_away_once_nobody_can_be_writing_it(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from memprog.files import replace_whole; replace_whole(Path({'a[1]'!r}), b'new')"
    killed = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(MEMPROG_FAULT="inside file:1"), check=False
    )
    assert killed.returncode != 0
    (left,) = tmp_path.iterdir()
    files.replace_whole(tmp_path / "a[1]", b"newer")
    assert {one.name for one in tmp_path.iterdir()} == {left.name, "a[1]"}
    os.utime(left, (0.0, 0.0))
    files.replace_whole(tmp_path / "b", b"another's")
    assert left.exists()
    files.replace_whole(tmp_path / "a[1]", b"newest")
    assert {one.name for one in tmp_path.iterdir()} == {"a[1]", "b"}


@pytest.mark.parametrize("kind", KEPT)
def test_replacing_a_whole_file_spares_chips_and_journals(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(KEPT[kind])
    with pytest.raises(InputError, match="would be lost"):
        files.replace_whole(path, b"new")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", KEPT[kind])]


@pytest.mark.parametrize(
    "content",
    [
        *KEPT.values(),
        b"notes",
        (9).to_bytes(8, "little") + b'{"a": 1} ',
        (1 << 63).to_bytes(8, "little") + b"{}",
        encode_safetensors({"a": tensor_of(np.ones(3))}, {}),
        encode_safetensors({"a": tensor_of(np.ones(3))}, {"memprog chip record": "{}"}),
    ],
)
def test_load_weights_replaces_only_an_image(content: bytes, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "other").write_bytes(content)
    assert main(["load-weights", "weights.npy", "--image", "other"]) == 3
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "something else than an image" in sentence
    assert (place / "other").read_bytes() == content


@pytest.mark.parametrize("content", [b"", encode_safetensors({}, {"memprog": json.dumps({"format_version": 99})})])
def test_load_weights_replaces_an_image_of_any_version_and_an_empty_file(content: bytes, place: Path) -> None:
    (place / "other").write_bytes(content)
    assert main(["load-weights", "weights.npy", "--image", "other"]) == 0
    assert (place / "other").stat().st_size > len(content)


@pytest.mark.parametrize("content", [KEPT["database"], b"notes", b"memprog sim"])
def test_sim_new_replaces_only_a_chip(content: bytes, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / ".memprog" / "image.safetensors").unlink()
    (place / "other").write_bytes(content)
    assert main(["sim", "new", "--force", "--chip", "other"]) == 3
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "something else than a chip" in sentence
    assert (place / "other").read_bytes() == content
    with pytest.raises(ChipFileError):
        create(place / "other", bundled_profile("rao2023-11bit"), seed=0, arrays=1)


def test_a_log_goes_on_where_text_is(place: Path) -> None:
    (place / "log.txt").write_text("before\n")
    assert main(["profile", "list", "--log-file", "log.txt"]) == 0
    assert (place / "log.txt").read_text(encoding="utf-8").startswith("before\n")
