"""One open chip: carries decisions out, within limits, and remembers what it did."""

from memprog.session.journal import Journal
from memprog.session.limits import Permissions
from memprog.session.run import ArrayOutcome, program_array
from memprog.session.session import Session

__all__ = ["ArrayOutcome", "Journal", "Permissions", "Session", "program_array"]
