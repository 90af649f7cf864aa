"""Commands that a sentence names can be typed as they stand."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from holding import memprog, small_bench

from memprog.cli.advice import completed


@pytest.mark.parametrize(
    ("sentence", "whole"),
    [
        (
            "`memprog program --resume` goes on",
            "`memprog program --resume --workspace 'my ws' --profile p.yaml` goes on",
        ),
        ("`memprog runs` has all", "`memprog runs --workspace 'my ws'` has all"),
        ("`memprog verify --workspace here`", "`memprog verify --workspace here --profile p.yaml`"),
        ("`memprog profile validate`, twice `memprog list`", "`memprog profile validate`, twice `memprog list`"),
        ("`memprog nothing of the kind`; a `word`", "`memprog nothing of the kind`; a `word`"),
        ("`memprog program '`", "`memprog program '`"),
    ],
)
def test_commands_get_the_options_they_take_and_lack(sentence: str, whole: str) -> None:
    assert completed(sentence, {"workspace": "my ws", "profile": "p.yaml"}) == whole


def test_nothing_is_added_where_nothing_was_given() -> None:
    assert completed("`memprog program --resume` goes on", {}) == "`memprog program --resume` goes on"


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    """Options of a bench whose files lie about under names that a shell would cut."""
    bench = small_bench(tmp_path / "bench", rows=8, columns=8)
    workspace, chip, profile = tmp_path / "my work", tmp_path / "other chip.sim", tmp_path / "my profile.yaml"
    shutil.copytree(bench.workspace.folder, workspace)
    shutil.move(workspace / "chip.sim", chip)
    shutil.copy(bench.profile, profile)
    return ["--workspace", str(workspace), "--chip", str(chip), "--profile", str(profile)]


def advised(sentence: str, start: str) -> list[str]:
    """The words of the command that a sentence names in backticks and that begins so."""
    (command,) = (found for found in re.findall("`([^`]+)`", sentence) if found.startswith(start))
    return shlex.split(command)[1:]


def test_a_run_is_taken_up_by_the_command_that_was_named_wherever_its_files_lie(
    places: list[str], tmp_path: Path
) -> None:
    stopped = memprog("program", "--array", "--max-pulses", "500", *places, cwd=tmp_path)
    refused = memprog("program", "--array", *places, cwd=tmp_path)
    assert (stopped.code, refused.code) == (6, 5)
    words = advised(stopped.err.splitlines()[-1], "memprog program --resume")
    assert words == advised(refused.err, "memprog program --resume")
    told = memprog("program", "--array", "--format", "json", *places, cwd=tmp_path).fields["error"]["message"]
    assert words == advised(told, "memprog program --resume")
    status = memprog("status", *places[:4], "--format", "json", cwd=tmp_path).fields["next_step"]
    assert shlex.split(status.rpartition(": ")[2])[1:] == words[: len(words) - 2]
    assert memprog(*words, cwd=tmp_path).code in {0, 1}
    assert memprog(*advised(memprog(*words, cwd=tmp_path).err, "memprog verify"), cwd=tmp_path).code in {0, 1}


def test_a_run_is_started_anew_by_the_command_that_was_named(places: list[str], tmp_path: Path) -> None:
    assert memprog("program", "--array", "--max-pulses", "500", *places, cwd=tmp_path).code == 6
    refused = memprog("program", "--array", *places, cwd=tmp_path)
    assert memprog(*advised(refused.err, "memprog program --array --full"), cwd=tmp_path).code in {0, 1}
