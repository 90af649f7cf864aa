"""Fig. 3 of Rao 2023: waves past a trapped charge as published, and the current steps that follow from the model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from memprog.jobs.physics_check.rows import RAO, Fact, Kind
from memprog.physics.fig3 import boundary_channel, boundary_curves, island_curves
from memprog.physics.transport import QUANTUM_USIEMENS
from memprog.physics.trap_potential import Traps, debye_nm
from memprog.physics.trap_step import MEASURED_USIEMENS, channel_for_step, relative_step
from memprog.report.check import CheckRow

GROUP = "transport"
EXACT = 1e-6
"""|psi|^2 in the published files has more digits than this."""
CARRIERS_PER_CM3 = {"5e18": 5e18, "1e19": 1e19}
"""Carriers of the published figure."""
DISTANCES_NM = np.linspace(0.5, 3.0, 26)
"""Distances outside the wall that are tried."""

_CURVES = f"{RAO}, Fig. 3, supplementary data (waves)"
ISLAND = Fact(
    name="island_waves",
    fact="largest difference from the published |psi|^2 of the island, three curves",
    published=0.0,
    band=(-1.0, EXACT),
    reason="the same equation on the same grid: nothing but rounding may differ",
    kind=Kind.PREDICTED,
    source=_CURVES,
    held="1 nm channel, trap 1 nm out, 5e18 and 1e19 per cm^3, all as published; nothing fitted",
)
BOUNDARY = Fact(
    name="boundary_waves",
    fact="largest difference from the published |psi|^2 of the boundary, four curves",
    published=0.0,
    band=(-1.0, EXACT),
    reason="the same equation on the same grid: nothing but rounding may differ",
    kind=Kind.TUNED,
    source=_CURVES,
    held="3 nm channel, traps 1 and 0.8 nm out as published; where along the wall they sit was fitted to these curves, "
    "and the script's second trap divided by the distance to the first",
)


def rows(seed: int, folder: Path) -> Iterator[CheckRow]:  # noqa: ARG001 - nothing is random, and no chip is made
    """Compare the waves, and ask where a trap must sit to make the measured step."""
    yield ISLAND.row(GROUP, max(curve.deviation for curve in island_curves()))
    yield BOUNDARY.row(GROUP, max(curve.deviation for curve in boundary_curves()))
    for name, carriers in CARRIERS_PER_CM3.items():
        yield _distance_fact(name).row(GROUP, distance_of_step_nm(math.sqrt(math.prod(MEASURED_USIEMENS)), carriers))


def distance_of_step_nm(step_usiemens: float, carriers_per_cm3: float) -> float:
    """Distance outside the wall of the published boundary's channel at which a trap makes a step; NaN where none.

    The channel is one open mode, as in the figure; what the cell conducts beyond it flows elsewhere.
    """
    size, debye = boundary_channel().size_nm, float(debye_nm(carriers_per_cm3))
    traps = Traps(outside_nm=DISTANCES_NM, along_nm=0.5 * size, debye_nm=debye)
    step = relative_step(channel_for_step(size, debye), traps) * QUANTUM_USIEMENS
    # Steps fall with distance; np.interp wants them rising.
    found = np.interp(math.log(step_usiemens), np.log(step[::-1]), DISTANCES_NM[::-1], left=math.nan, right=math.nan)
    return float(found)


def _distance_fact(carriers: str) -> Fact:
    return Fact(
        name=f"trap_distance_{carriers}",
        fact=f"distance of a trap that makes the measured step near 100 uS; the figure draws 0.8 and 1 nm ({carriers})",
        unit="nm",
        published=(0.8, 1.0),
        band=(0.4, 2.0),
        reason="the figure is a sketch, not a fit to the traces: within a factor of two of what it draws",
        kind=Kind.PREDICTED,
        source=f"{RAO}, Fig. 3 (distances), and supplementary traces (steps of 2.13 to 2.92 uS, our reckoning)",
        held=f"3 nm channel, one mode of 77.5 uS, {carriers} carriers per cm^3, Coulomb potential as in the scripts: "
        "not divided by the permittivity",
    )
