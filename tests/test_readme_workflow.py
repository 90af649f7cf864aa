"""The workflow for GitHub Actions in the README: it parses, and its commands are run, one after the other."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from processes import REPOSITORY, environment

from memprog.tensors import encode_safetensors, tensor_of

SHELL = shutil.which("bash")


def workflow() -> dict[str, Any]:
    """The one block of YAML in the README that runs on something."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    wanted = [block for block in blocks if "runs-on:" in block]
    assert len(wanted) == 1, f"README.md shows {len(wanted)} workflows; there must be one, as a ```yaml block"
    found: dict[str, Any] = yaml.safe_load(wanted[0])
    return found


def steps() -> list[dict[str, Any]]:
    (job,) = workflow()["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


def commands() -> list[str]:
    """Every line of every run step."""
    return [line for step in steps() if "run" in step for line in step["run"].splitlines() if line.strip()]


def ours() -> list[list[str]]:
    return [shlex.split(command) for command in commands() if command.startswith("memprog ")]


def junit_file() -> str:
    (words,) = [words for words in ours() if "--junit" in words]
    assert words[:2] == ["memprog", "verify"]
    assert "--min-yield" in words
    return words[words.index("--junit") + 1]


def test_the_workflow_installs_this_package_and_does_the_main_job() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wheel = f"{project['name']}-{project['version']}-py3-none-any.whl"
    first, *rest = commands()
    assert shlex.split(first) == ["pip", "install", wheel]
    assert [command.split()[0] for command in rest] == ["memprog"] * len(rest)
    assert [words[1] for words in ours()] == ["load-weights", "program", "verify"]
    assert {"--array", "json"} <= set(ours()[1])


def test_the_workflow_keeps_the_junit_file_even_where_verify_fails() -> None:
    (upload,) = [step for step in steps() if str(step.get("uses", "")).startswith("actions/upload-artifact@")]
    assert upload["if"] == "always()"
    assert junit_file() in upload["with"]["path"].split()


@pytest.mark.skipif(SHELL is None, reason="the runner of the workflow has a bash")
def test_the_commands_of_the_workflow_succeed_in_order(tmp_path: Path) -> None:
    weights = tmp_path / ours()[0][-1]
    tensor = tensor_of(np.random.default_rng(5).normal(size=(6, 8)).astype(np.float32))
    weights.write_bytes(encode_safetensors({"layer.weight": tensor}, {}))
    for command in commands():
        if command.startswith("memprog "):
            script = f'memprog() {{ "$PYTHON" -m memprog "$@"; }}\n{command}'
            ended = subprocess.run(
                [str(SHELL), "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
                cwd=tmp_path,
                env=environment(PYTHON=sys.executable),
                check=False,
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert ended.returncode == 0, f"{command}: {ended.stderr}"
    (suite,) = ElementTree.parse(tmp_path / junit_file()).getroot()
    assert [suite.get(key) for key in ("tests", "failures", "errors")] == ["2", "0", "0"], "one array, and all of them"
    assert json.loads((tmp_path / "program.json").read_text(encoding="utf-8"))["cells"] == 96
