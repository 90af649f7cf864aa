"""The simulated chip: physics of the cell, readout chain, and a file that remembers as silicon does."""

from memprog.simchip.chip import SimChip
from memprog.simchip.store import ChipSummary, create, read_header, serial_of, summary_of

__all__ = ["ChipSummary", "SimChip", "create", "read_header", "serial_of", "summary_of"]
