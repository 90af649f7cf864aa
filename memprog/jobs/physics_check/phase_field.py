"""Fig. 4 of Rao 2023: what sub-threshold pulses leave of islands and main channel, over several synthetic maps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from memprog.chip import FloatArray
from memprog.jobs.physics_check.rows import RAO, Fact, Kind
from memprog.physics.channels import COMPLETE, PUBLISHED_SHAPE, census, synthetic_maps
from memprog.physics.phase_field import PUBLISHED_SCHEDULE, moments
from memprog.report.check import CheckRow

GROUP = "phase-field"
MAPS = 16
"""Maps whose mean is compared."""
VISIBLE = 0.05
"""Order parameter from which a map shows colour, as in Fig. 4 of memprog."""
DRAWN, RELAXED, IN_PULSE, AFTER_PULSE, _, AFTER_SECOND = range(6)
"""Moments of the published schedule."""

_SOURCE = f"{RAO}, Fig. 4, as its code draws it (read off the picture)"
_HELD = (
    "published energy profile, K, step and schedule (30 eV); 16 synthetic maps of the drawn size, as the measured one "
    "is not available"
)
TAIL = Fact(
    name="island_after_relaxing",
    fact="order parameter left of the island after 60 steps without bias: only a faint tail",
    published=(0.0, COMPLETE),
    band=(VISIBLE, COMPLETE),
    reason="faint is below a complete channel's one half, and still visible",
    kind=Kind.PREDICTED,
    source=_SOURCE,
    held=_HELD,
)
GONE = Fact(
    name="island_after_pulse_1",
    fact="order parameter left of the island after the first sub-threshold pulse: gone",
    published=0.0,
    band=(-VISIBLE, VISIBLE),
    reason="less than shows as colour",
    kind=Kind.PREDICTED,
    source=_SOURCE,
    held=_HELD,
)
NARROWER = Fact(
    name="narrower_in_pulse_1",
    fact="share by which the first pulse makes the main channel narrower, at its end: about a fifth",
    published=0.2,
    band=(0.1, 0.3),
    reason="a fifth was read off a picture by eye, of maps that are not ours",
    kind=Kind.PREDICTED,
    source=_SOURCE,
    held=f"{_HELD}; width where colour shows",
)
RESTED = Fact(
    name="narrower_after_pulse_1",
    fact="the same after the rest that follows the pulse",
    published=0.2,
    band=(0.1, 0.3),
    reason="a fifth was read off a picture by eye, of maps that are not ours; in rest the channel widens a little",
    kind=Kind.PREDICTED,
    source=_SOURCE,
    held=f"{_HELD}; width where colour shows",
)
AGAIN = Fact(
    name="narrower_after_pulse_2",
    fact="share by which the second pulse makes the main channel narrower still",
    published=(0.0, 0.2),
    band=(0.02, 0.3),
    reason="each pulse costs a little more of the main channel: more than nothing, and no more than the first may",
    kind=Kind.PREDICTED,
    source=_SOURCE,
    held=f"{_HELD}; width where colour shows",
)


def rows(seed: int, folder: Path) -> Iterator[CheckRow]:  # noqa: ARG001 - no chip is made
    """Carry maps through the published schedule and measure island and main channel."""
    maps = moments(synthetic_maps(PUBLISHED_SHAPE, MAPS, np.random.default_rng([seed, 4])), PUBLISHED_SCHEDULE)
    flat = maps.reshape(-1, *maps.shape[-2:])
    width = census(flat, VISIBLE).main_width.reshape(maps.shape[:2]).mean(axis=1)
    island = island_left(maps).mean(axis=1)
    yield TAIL.row(GROUP, float(island[RELAXED]))
    yield GONE.row(GROUP, float(island[AFTER_PULSE]))
    yield NARROWER.row(GROUP, float(1.0 - width[IN_PULSE] / width[RELAXED]))
    yield RESTED.row(GROUP, float(1.0 - width[AFTER_PULSE] / width[RELAXED]))
    yield AGAIN.row(GROUP, float(1.0 - width[AFTER_SECOND] / width[AFTER_PULSE]))


def island_left(maps: FloatArray) -> FloatArray:
    """Highest order parameter (moments, maps) in the upper half of where the island was drawn."""
    shape = PUBLISHED_SHAPE
    row = shape.main_centre[0] - 0.5 * shape.main_height - shape.island_gap - 0.5 * shape.island_height
    return np.asarray(maps[..., : round(row) + 1, :].max(axis=(-2, -1)))
