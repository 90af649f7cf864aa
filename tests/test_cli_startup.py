"""Start-up is a feature: asking for help or the version imports nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment

REPOSITORY = Path(__file__).parent.parent
HEAVY = ("numpy", "rich", "pyvisa", "yaml", "safetensors", "scipy", "sqlite3", "memprog.jobs.", "memprog.report")
CODE = """
import json, sys
from memprog.cli import main
code = main()
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [["--version"], ["--help"], ["program", "--help"], ["sim", "--help"], ["config", "show", "--help"]],
    ids=" ".join,
)
def test_asking_imports_nothing_heavy(words: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CODE, *words],
        env=environment(),
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    code, modules = json.loads(ended.stderr)
    assert code == 0
    assert [name for name in modules if name.startswith(HEAVY)] == []
