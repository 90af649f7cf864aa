"""From a published fact and a simulated figure to a row that says how they compare."""

from __future__ import annotations

import math
from dataclasses import dataclass

from memprog.errors import InputError
from memprog.report.check import CheckRow, Kind

__all__ = ["RAO", "Fact", "Kind", "about", "deviation_of"]

RAO = "Rao et al., Nature 615, 823 (2023)"
"""The paper most facts are from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A published fact, and what a simulated figure is held to.

    Attributes:
        name: of the row; never changes.
        fact: in words.
        unit: ASCII, empty for a plain number.
        published: one number, or the two ends of a range.
        band: ends of what the simulated figure is held to; infinite where there is none.
        reason: why the band is as wide as it is.
        kind: what the simulated figure has to do with the published one.
        source: of the published fact.
        held: what the simulated figure is obtained with.
    """

    name: str
    fact: str
    unit: str = ""
    published: float | tuple[float, float]
    band: tuple[float, float]
    reason: str
    kind: Kind
    source: str
    held: str

    def __post_init__(self) -> None:
        """Refuse a range or a band that is upside down.

        Raises:
            InputError: it is.
        """
        low, high = self.ends
        if not (low <= high and self.band[0] < self.band[1]):
            raise InputError(f"{self.name}: published {low:g} to {high:g} and band {self.band} are no ranges")

    @property
    def ends(self) -> tuple[float, float]:
        """The two ends of what was published, equal for one number."""
        return self.published if isinstance(self.published, tuple) else (self.published, self.published)

    def row(self, group: str, simulated: float) -> CheckRow:
        """Put the simulated figure beside it."""
        low, high = self.ends
        return CheckRow(
            group=group,
            name=self.name,
            fact=self.fact,
            unit=self.unit,
            published_low=low,
            published_high=high,
            simulated=simulated,
            deviation=deviation_of(simulated, low, high),
            band_low=self.band[0],
            band_high=self.band[1],
            band_reason=self.reason,
            kind=self.kind,
            source=self.source,
            held_fixed=self.held,
            inside=self.band[0] <= simulated <= self.band[1],
        )


def deviation_of(simulated: float, low: float, high: float) -> float:
    """Relative deviation from the nearer end of a range, absolute where that is 0; 0 inside, NaN of NaN."""
    if low <= simulated <= high:
        return 0.0
    near = high if simulated > high else low
    return (simulated - near) / abs(near) if near else simulated - near


def about(value: float, share: float) -> tuple[float, float]:
    """Give a band of a share to both sides of a value."""
    half = math.fabs(value) * share
    return value - half, value + half
