"""Write trained neural networks into memristor arrays: program, denoise and verify every cell.

The public names resolve when they are first used, so that ``memprog --version`` imports neither NumPy nor PyVISA.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "ChipProfile": "memprog.profile",
    "Image": "memprog.image",
    "MemprogError": "memprog.errors",
    "Train": "memprog.jobs.pulse",
    "age_chip": "memprog.jobs.aging",
    "characterise": "memprog.jobs.characterise",
    "demo": "memprog.jobs.demo",
    "export": "memprog.jobs.export_chip",
    "iv": "memprog.jobs.sensing",
    "load_profile": "memprog.profile",
    "load_weights": "memprog.jobs.load",
    "new_chip": "memprog.jobs.chips",
    "open_workspace": "memprog.jobs.workspace",
    "program": "memprog.jobs.program",
    "pulse": "memprog.jobs.pulse",
    "read_conductances": "memprog.jobs.read",
    "read_image": "memprog.image",
    "restore": "memprog.jobs.restore",
    "runs": "memprog.jobs.runs",
    "status": "memprog.jobs.status",
    "trace": "memprog.jobs.sensing",
    "verify": "memprog.jobs.verify",
}

__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604 - the names are those of the table above


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'memprog' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(__all__)
