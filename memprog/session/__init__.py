"""One open chip: carries decisions out, within limits, and remembers what it did."""

from memprog.session.allowance import Allowance
from memprog.session.check import defects_of, look_over, recorded_looks
from memprog.session.entries import (
    CHARACTERISE,
    OF_THE_LOOP,
    PART,
    PROGRAM,
    PULSES,
    RESTORE,
    UNFINISHED,
    Batch,
    Fate,
    Run,
)
from memprog.session.journal import Journal
from memprog.session.limits import Permissions, check_pulses, tightened
from memprog.session.possible import check_possible
from memprog.session.record import ChipRecord
from memprog.session.replay import fates, is_left_by, is_past, leads_to, settle
from memprog.session.run import ArrayOutcome, masks_of, part_blob, program_array
from memprog.session.session import Session, Traced

__all__ = [
    "CHARACTERISE",
    "OF_THE_LOOP",
    "PART",
    "PROGRAM",
    "PULSES",
    "RESTORE",
    "UNFINISHED",
    "Allowance",
    "ArrayOutcome",
    "Batch",
    "ChipRecord",
    "Fate",
    "Journal",
    "Permissions",
    "Run",
    "Session",
    "Traced",
    "check_possible",
    "check_pulses",
    "defects_of",
    "fates",
    "is_left_by",
    "is_past",
    "leads_to",
    "look_over",
    "masks_of",
    "part_blob",
    "program_array",
    "recorded_looks",
    "settle",
    "tightened",
]
