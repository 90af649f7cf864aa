"""Let a simulated chip grow older, as one that lies on a shelf or in an oven."""

from __future__ import annotations

import math

from memprog.errors import InputError
from memprog.jobs.chips import SIM, Wanted, chip_report, opened, profile_of_chip
from memprog.jobs.workspace import Workspace
from memprog.report.chip import ChipReport
from memprog.simchip import SimChip

ZERO_CELSIUS_K = 273.15
COLDEST_CELSIUS, HOTTEST_CELSIUS = -100.0, 400.0
"""Nothing is known of chips beyond (assumption)."""


def age_chip(
    workspace: Workspace,
    *,
    hours: float,
    celsius: float | None = None,
    profile: str | None = None,
    backend: str = SIM,
    expect_serial: str | None = None,
    timeout_s: float = 0.0,
) -> ChipReport:
    """Move a simulated chip's clock on, and let its cells relax as long at a temperature; it is read at its profile's.

    Options:
        workspace, backend, expect_serial, timeout_s: as for program; a simulated chip must be there.
        hours: how long, above 0.
        celsius: how warm; by default as warm as the profile reads it.
        profile: the chip's, where it does not come with memprog.

    Raises:
        InputError: no such time or temperature, no chip, or the profile does not say what warmth does to it.
        LimitError: another process holds the chip.
    """
    if not (math.isfinite(hours) and hours > 0):
        raise InputError(f"a chip cannot lie for {hours:g} hours")
    if celsius is not None and not COLDEST_CELSIUS <= celsius <= HOTTEST_CELSIUS:
        raise InputError(
            f"{celsius:g} degrees Celsius are not between {COLDEST_CELSIUS:g} and {HOTTEST_CELSIUS:g}, "
            "beyond which nothing is known of chips"
        )
    kind = profile_of_chip(workspace, profile)
    kelvin = kind.readout.temperature_k if celsius is None else celsius + ZERO_CELSIUS_K
    wanted: Wanted = {"backend": backend, "expect_serial": expect_serial, "timeout_s": timeout_s}
    with opened(workspace, kind, label="memprog sim age", **wanted) as chip:
        if not isinstance(chip, SimChip):
            raise InputError("only a simulated chip can be made older")
        chip.lie(hours * 3600.0, kelvin)
    return chip_report(workspace, profile=profile)
