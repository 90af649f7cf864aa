"""The closed loop as pure decisions on arrays: coarse, noise check, denoise, fine, confirm. No I/O and no clock."""

from memprog.protocol.loop import Loop, faintest_v, largest_step, waiting_s
from memprog.protocol.response import conducting_usiemens
from memprog.protocol.words import Look, Reason, Seen, Shots, Stage

__all__ = [
    "Look",
    "Loop",
    "Reason",
    "Seen",
    "Shots",
    "Stage",
    "conducting_usiemens",
    "faintest_v",
    "largest_step",
    "waiting_s",
]
