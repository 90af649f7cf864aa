"""memprog on a simulated chip that behaves as a rack does: it cannot tell its last batch, and its clock starts anew.

Run as a script, with a command line of memprog; every batch of pulses that is sent is noted in a file beside the chip.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any, cast

from memprog.chip import Capabilities, Cells, Chip, Delivered, Pulses, Reading, ReadSpec
from memprog.jobs import chips
from memprog.jobs.workspace import Workspace
from memprog.profile import ChipProfile
from memprog.simchip import SimChip

SENT = ".sent"


class ForgetfulChip:
    """All that is not said here a SimChip does."""

    def __init__(self, path: Path, profile: ChipProfile) -> None:
        self._chip = SimChip(path, profile)
        self._start_s = self._chip.clock_s()
        self._sent = os.open(path.with_name(path.name + SENT), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    @property
    def capabilities(self) -> Capabilities:
        return dataclasses.replace(self._chip.capabilities, knows_last_batch=False)

    def last_batch_id(self) -> int | None:
        return None

    def clock_s(self) -> float:
        return self._chip.clock_s() - self._start_s

    def read(self, cells: Cells, spec: ReadSpec) -> Reading:
        reading = self._chip.read(cells, spec)
        return dataclasses.replace(reading, time_s=reading.time_s - self._start_s)

    def pulse(self, cells: Cells, pulses: Pulses, batch_id: int) -> Delivered:
        os.write(self._sent, f"{batch_id}\n".encode())
        delivered = self._chip.pulse(cells, pulses, batch_id)
        return dataclasses.replace(delivered, time_s=delivered.time_s - self._start_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chip, name)


def open_forgetful(workspace: Workspace, profile: ChipProfile) -> Chip:
    """Take the place of ``memprog.jobs.chips.open_chip``."""
    return cast(Chip, ForgetfulChip(workspace.chip_path, profile))


def sent_to(chip_path: Path) -> list[int]:
    """Every batch that was sent to a forgetful chip, in order."""
    path = chip_path.with_name(chip_path.name + SENT)
    return [int(line) for line in path.read_text().split()] if path.exists() else []


if __name__ == "__main__":
    from memprog.cli import main

    chips.open_chip = open_forgetful
    sys.exit(main())
