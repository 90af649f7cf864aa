"""The simulated chip: physics of the cell, readout chain, and a file that remembers as silicon does."""

from memprog.simchip.chip import SimChip
from memprog.simchip.store import create, read_header, serial_of

__all__ = ["SimChip", "create", "read_header", "serial_of"]
