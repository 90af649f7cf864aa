"""What tests need to start real processes of this checkout."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
LOCKS = "MEMPROG_LOCKS"


def environment(**more: str) -> dict[str, str]:
    """What a process needs to find this checkout, and nothing that steers memprog but where tests keep locks."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MEMPROG_") or key == LOCKS}
    return kept | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "drivers")])} | more
