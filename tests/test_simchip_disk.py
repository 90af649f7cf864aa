"""Disks that are full: making a chip ends with a sentence, and nothing of it is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment
from small_chip import new_chip, small_profile

from memprog.errors import EXIT_INPUT, ChipFileError
from memprog.simchip import create, store

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
from memprog.cli import main
sys.exit(main())
"""

OLD = b"memprog simchip\0old"

ON_A_SMALL_DISK = """
mount -t tmpfs -o size=2m none "$1" || exit 77
printf 'memprog simchip\\000old' > "$1/chip.sim"
"$2" -m memprog sim new --force --workspace "$1" >&2
echo "$?"
ls -A "$1"
cat "$1/chip.sim"
"""


@pytest.mark.skipif(os.name != "posix", reason="there is no limit on the size of a file here")
def test_chip_that_outgrows_the_limit_of_its_process_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "chip.sim").write_bytes(OLD)
    arguments = ["sim", "new", "--force", "--workspace", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert ended.returncode == EXIT_INPUT
    check_sentence(ended.stderr, "File too large")
    assert [entry.name for entry in tmp_path.iterdir()] == ["chip.sim"]
    assert (tmp_path / "chip.sim").read_bytes() == OLD


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no way to a disk of its own here")
def test_chip_that_does_not_fit_the_disk_is_not_made(tmp_path: Path) -> None:
    # The mount is seen by this process alone, and goes with it.
    command = ["unshare", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh", str(tmp_path), sys.executable]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment())
    if ended.returncode in (1, 77) and "memprog" not in ended.stderr:
        pytest.skip("mounting is not permitted here")
    assert ended.stdout.split() == [str(EXIT_INPUT), "chip.sim", *OLD.decode().split()]
    check_sentence(ended.stderr, "No space left on device")


def check_sentence(said: str, reason: str) -> None:
    """One line on the error stream, with the reason in it."""
    assert len(said.splitlines()) == 1
    assert "the simulated chip cannot be written" in said
    assert reason in said


def test_disk_that_is_full_at_the_very_end_leaves_the_old_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = new_chip(tmp_path)._file.path
    old = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(ChipFileError, match=r"cannot be written: No space left on device$"):
        create(path, small_profile(), seed=2, arrays=1)
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["chip.sim"]


def test_chip_that_is_interrupted_while_it_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "manufacture", interrupted)
    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "chip.sim", small_profile(), seed=2, arrays=1)
    assert list(tmp_path.iterdir()) == []


def test_two_who_make_the_same_chip_at_once_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, manufacture, second = tmp_path / "chip.sim", store.manufacture, []

    def manufacture_two(*of: object) -> None:
        if not second:
            second.append(True)
            create(path, small_profile(), seed=3, arrays=2)
        manufacture(*of)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "manufacture", manufacture_two)
    create(path, small_profile(), seed=2, arrays=2)
    monkeypatch.undo()
    create(tmp_path / "alone.sim", small_profile(), seed=2, arrays=2)
    assert path.read_bytes() == (tmp_path / "alone.sim").read_bytes()
