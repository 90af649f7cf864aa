"""The wires a profile says its chips have. Importing this costs nothing to who has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memprog.profile import ChipProfile

if TYPE_CHECKING:
    from memprog.physics.deembed import LineMap


def nominal_lines(profile: ChipProfile) -> LineMap | None:
    """Give the line map of a profile, or None where its wires have no resistance."""
    wires, size = profile.wires, profile.geometry
    if wires is None or not any((wires.row_ohm, wires.column_ohm, wires.driver_ohm, wires.sense_ohm)):
        return None
    from memprog.physics.deembed import line_map
    from memprog.physics.wires import Wires

    names = ("row_ohm", "column_ohm", "driver_ohm", "sense_ohm")
    return line_map(size.rows, size.columns, Wires(**{name: getattr(wires, name) for name in names}))
