"""How the simulated physics compares with what was published."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from memprog.report.base import Report


class Kind(enum.Enum):
    """What a simulated figure had to do with the published one."""

    INPUT = "input"
    TUNED = "tuned"
    PREDICTED = "predicted"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One published fact and the simulated figure.

    ``simulated`` is NaN where the simulation has no such figure, which is outside of every band.
    """

    group: str
    name: str
    fact: str
    unit: str
    published_low: float
    published_high: float
    simulated: float
    deviation: float
    band_low: float
    band_high: float
    band_reason: str
    kind: Kind
    source: str
    held_fixed: str
    inside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport(Report):
    """One row a published fact, group by group.

    ============= ============ ============================================================================
    field         type         meaning
    ============= ============ ============================================================================
    simulated     bool         always true: no silicon is involved
    seed          int          what chips, maps and inputs were drawn from
    groups        list of str  groups that were run
    rows          list         objects: group, name (of the row; group and name do not change), fact, unit
                               (empty for a plain number), published_low and published_high (equal where one
                               number was published), simulated (null where there is no such figure),
                               deviation (of the simulated figure from the nearer end of the published ones,
                               over that end; the difference itself where that end is 0; 0 between them),
                               band_low and band_high (what the simulated figure is held to; null where there
                               is no such end), band_reason, kind (input: the model was given the fact;
                               tuned: a free parameter was set by it; predicted: neither), source, held_fixed
                               (what the figure was obtained with), inside (whether it is in its band)
    rows_inside   int          rows inside their bands
    passed        bool         whether all are; the exit code says the same
    not_modelled  list of str  published behaviour of which the simulated chip has nothing
    host_time_s   float        how long it took
    ============= ============ ============================================================================
    """

    simulated: bool
    seed: int
    groups: Sequence[str]
    rows: Sequence[CheckRow]
    rows_inside: int
    passed: bool
    not_modelled: Sequence[str]
    host_time_s: float
