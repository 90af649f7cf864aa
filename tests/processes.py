"""What tests need to start real processes of this checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
LOCKS = "MEMPROG_LOCKS"


def environment(**more: str) -> dict[str, str]:
    """What a process needs to find this checkout, and nothing that steers memprog but where tests keep locks.

    Its output is buffered, as a user's is: what is still to be written when a disk is full comes to light at the end.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MEMPROG_") or key == LOCKS}
    kept.pop("PYTHONUNBUFFERED", None)
    return kept | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "drivers")])} | more


@dataclass(frozen=True)
class Ended:
    """What a process left."""

    code: int
    out: str
    err: str

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON object at the end of standard output."""
        fields: dict[str, Any] = json.loads(self.out[self.out.index("{") :])
        return fields


def memprog_in(folder: Path, *words: str, answer: str = "", **variables: str) -> Ended:
    """Run one command line in a folder; whoever asks something is given the answer. No traceback may come out."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "memprog", *words],
        cwd=folder,
        env=environment(**variables),
        check=False,
        capture_output=True,
        encoding=variables.get("PYTHONIOENCODING", "utf-8"),
        input=answer,
        timeout=300,
    )
    assert "Traceback" not in ended.stderr + ended.stdout
    return Ended(ended.returncode, ended.stdout, ended.stderr)
