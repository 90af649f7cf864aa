"""Whether an output can be written is known before a chip is touched; the folder that it needs is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loop_cases import Bench, make_bench

from memprog.cli import main


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    return make_bench(tmp_path / "bench", rows=8, columns=8, seed=3)


def on(bench: Bench, *words: str) -> list[str]:
    return [*words, "--workspace", str(bench.workspace.folder), "--profile", bench.profile]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["read", "--out", "cells.txt"], "written as .npy or .csv"),
        (["read", "--out", "file/cells.npy"], "cannot be made a folder"),
        (["export", "--out", "weights.txt"], "the weights came as .npy and go out as .npy"),
        (["export", "--out", "weights.safetensors"], "the weights came as .npy and go out as .npy"),
        (["export", "--out", "new/weights.safetensors"], "the weights came as .npy and go out as .npy"),
        (["export", "--out", "file/weights.npy"], "cannot be made a folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_name_that_cannot_be_written_is_refused_before_the_chip_is_opened(
    words: list[str],
    sentence: str,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def opened(*_: Any) -> None:
        raise AssertionError("the chip was opened")

    monkeypatch.setattr("memprog.jobs.chips.open_chip", opened)
    assert main(on(bench, *words)) == 3
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_missing_is_made(bench: Bench, tmp_path: Path) -> None:
    assert main(on(bench, "read", "--out", "new/er/cells.npy")) == 0
    assert main(["profile", "copy", "rao2023-11bit", "other/mine.yaml", "--name", "mine"]) == 0
    assert main(["profile", "schema", "--out", "third/schema.json"]) == 0
    assert all((tmp_path / name).is_file() for name in ("new/er/cells.npy", "other/mine.yaml", "third/schema.json"))


def test_a_folder_that_was_made_goes_again_where_nothing_is_written(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    bench.workspace.chip_path.unlink()
    for name in ("new/er/cells.npy", "kept/er/cells.npy", "kept/cells.npy"):
        assert main(on(bench, "read", "--out", name)) == 3
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "kept").iterdir()) == []


def test_every_round_is_logged_when_asked_twice(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(on(bench, "read", "--out", "cells.npy", "-v", "--progress", "none")) == 0
    assert "DEBUG" not in capsys.readouterr().err
    assert main(on(bench, "read", "--out", "cells.npy", "-vv", "--progress", "none")) == 0
    assert capsys.readouterr().err.count("DEBUG memprog: round: ") == 4
