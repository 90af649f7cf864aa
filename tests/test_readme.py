"""What the README shows is run, so that it stays true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import environment

from memprog.tensors import encode_safetensors, tensor_of

README = Path(__file__).parent.parent / "README.md"


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[
        number
    ]


def test_the_python_example_programs_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    weights = np.random.default_rng(5).normal(size=(6, 8)).astype(np.float32)
    (tmp_path / "model.safetensors").write_bytes(encode_safetensors({"weight": tensor_of(weights)}, {}))
    exec(block("python"), {})  # the project's own text
    yield_fraction = float(capsys.readouterr().out.split()[0])
    assert yield_fraction > 0.9


@pytest.mark.long
def test_the_benchmark_runs_and_prints_every_figure() -> None:
    script = Path(__file__).parent / "bench" / "program.py"
    done = subprocess.run(
        [sys.executable, str(script), "--seeds", "4", "--rows", "6"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    assert done.stdout.count('"host_time_over_normals"') == 2
    assert '"true_yield_of_healthy"' in done.stdout
