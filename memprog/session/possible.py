"""Whether anything can be done at all under the limits of a run: asked before anything begins, and by a dry run."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from memprog.errors import LimitError
from memprog.profile import ChipProfile, Limits
from memprog.protocol import conducting_usiemens, faintest_v, largest_step
from memprog.session.limits import NOTHING, is_wider
from memprog.session.plan import most_read_a

Need = tuple[str, float, str]
"""A limit by name, the value from which on something can be done, and why."""


def check_possible(profile: ChipProfile, limits: Limits, *, denoise: bool = True) -> None:
    """Refuse limits under which no cell can be read, or none moved.

    Args:
        profile: of the chip.
        limits: the profile's, or the tighter ones of a run.
        denoise: whether sub-threshold pulses are wanted.

    Raises:
        LimitError: names the first such limit, and the value that would do. Nothing was applied.
    """
    for name, bound, why in _needs(profile, denoise):
        value = getattr(limits, name)
        if is_wider(name, bound, value):
            would_do = f"at least {_rounded_up(bound):g}" if bound > value else f"at most {bound:g}"
            raise LimitError(f"{name} {value:g} leaves nothing to be done: {why}, so it must be {would_do}; {NOTHING}")


def _needs(profile: ChipProfile, denoise: bool) -> Iterator[Need]:
    readout, settings = profile.readout, profile.protocol
    set_v, reset_v = faintest_v(settings)
    lowest_usiemens = float(conducting_usiemens(np.array(profile.levels.min_usiemens), math.inf))
    lowest_a = min(set_v, reset_v) * lowest_usiemens * 1e-6
    yield "read_max_v", readout.read_v, f"cells are read at {readout.read_v:g} V"
    yield "gate_max_v", readout.read_gate_v, f"cells are read with {readout.read_gate_v:g} V at the gate"
    yield "row_current_max_a", most_read_a(profile), "one cell alone may draw as much in a read"
    for name in ("width_min_ns", "width_max_ns"):
        yield name, settings.pulse_width_ns, f"pulses last {settings.pulse_width_ns} ns"
    yield "set_max_v", set_v, "below that a SET moves no cell"
    yield "reset_max_v", reset_v, "below that a RESET moves no cell"
    if denoise:
        yield "sub_threshold_max_v", reset_v, "below that nothing is denoised, which `--no-denoise` asks for"
    yield "cell_current_max_a", lowest_a, "a cell at the lowest level draws as much when it begins to move"
    for name in ("pulses_per_cell_run", "pulses_per_cell_life"):
        yield name, largest_step(settings) + 1, f"one step of the loop may take {largest_step(settings)} pulses"


def _rounded_up(value: float) -> float:
    """The same to three digits or a little more, never less, so that what a sentence names is accepted."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2) if value > 0 else 1.0
    return value if value == int(value) else math.ceil(value / unit) * unit
