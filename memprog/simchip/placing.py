"""The door through which cells of a simulated chip are put into a known state: for checks and figures, not the loop.

What is placed is not committed to the chip's file before the next pulse or product.
"""

from __future__ import annotations

import numpy as np

from memprog.chip import FloatArray
from memprog.errors import InputError
from memprog.simchip import cells as physics
from memprog.simchip.chip import SimChip


def place(chip: SimChip, array: int, usiemens: float | FloatArray, *, quiet: bool = True) -> None:
    """Give the cells of an array conductances at the read gate, with nothing left to relax; all are alive.

    Args:
        chip: whose clock does not move.
        array: which of its arrays.
        usiemens: one for all or (cells,), access transistor included.
        quiet: take all traps out; else cells keep those they have.

    Raises:
        InputError: a conductance beyond the access transistor's.
    """
    silicon, state, profile = chip._file.silicon[array], chip._load(array), chip._profile
    at = np.arange(len(state["wear"]))
    transistor = physics.transistor_usiemens(silicon, at, profile.readout.read_gate_v, profile.simulation)
    wanted = np.broadcast_to(np.asarray(usiemens, dtype=np.float64), transistor.shape)
    if not ((wanted > 0) & (wanted < transistor)).all():
        most, least = float(wanted.max()), float(transistor.min())
        raise InputError(f"no memristor makes a cell conduct {most:g} uS behind a transistor of {least:g} uS")
    state["memristor"] = wanted * transistor / (transistor - wanted)
    state["unrelaxed"] = 0.0
    if quiet:
        state["trap_amplitude"], state["trap_high"] = 0.0, False


def plant(chip: SimChip, array: int, *, step_usiemens: float, low_s: float, high_s: float) -> None:
    """Put one trap into every cell of an array, low to begin with; others are taken out.

    Args:
        chip: whose clock does not move.
        array: which of its arrays.
        step_usiemens: what the trap adds while it is high, at the conductance the cells have now.
        low_s: mean dwell time in the lower level.
        high_s: the same in the upper level, at a bias of 0.2 V.

    Raises:
        InputError: a step or a time that is not above 0.
    """
    if not min(step_usiemens, low_s, high_s) > 0:
        raise InputError(f"a trap of {step_usiemens:g} uS, {low_s:g} s and {high_s:g} s fluctuates nowhere")
    silicon, state, profile = chip._file.silicon[array], chip._load(array), chip._profile
    at = np.arange(len(state["wear"]))
    transistor = physics.transistor_usiemens(silicon, at, profile.readout.read_gate_v, profile.simulation)
    quiet = physics.in_series(physics.memristor_usiemens(state, at), transistor)
    reach = physics.trap_steps_usiemens(np.ones(len(at), dtype=np.float32), quiet, profile.simulation)
    state["trap_amplitude"], state["trap_high"] = 0.0, False
    state["trap_amplitude"][0] = step_usiemens / reach
    state["trap_dwell_low_s"][0], state["trap_dwell_high_s"][0] = low_s, high_s
    state["trap_dissolve_v"][0] = profile.simulation.channel_dissolve_v
