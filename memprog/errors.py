"""The error tree: what can stop memprog, and the exit code each end maps to.

::

    MemprogError                70  (never raised itself)
    +-- InputError               3  a file or value that cannot be used; nothing was written
    |   +-- ProfileError         3  a profile that breaks the schema
    |   +-- ImageError           3  an image that cannot be read or does not fit
    |   +-- ChipFileError        3  a simulated chip's file that cannot be used
    +-- InstrumentError          4  the instrument or the wire failed
    +-- LimitError               5  a limit or a missing permission refused it
    +-- StoppedError             6  stopped early; what was done is recorded
    |   +-- JournalError         6  the journal can no longer be written

A cell that does not converge is not an error: it is a result with a reason.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_BELOW_YIELD = 1
EXIT_USAGE = 2
EXIT_INPUT = 3
EXIT_INSTRUMENT = 4
EXIT_LIMIT = 5
EXIT_STOPPED = 6
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130


class MemprogError(Exception):
    """Root of the tree: its text is one sentence for the operator."""

    exit_code: int = EXIT_INTERNAL


class InputError(MemprogError):
    """A file or a value that cannot be used."""

    exit_code = EXIT_INPUT


class ProfileError(InputError):
    """A profile that breaks the schema or contradicts itself."""


class ImageError(InputError):
    """An image that cannot be read, or does not fit the chip."""


class ChipFileError(InputError):
    """A file of a simulated chip that cannot be used."""


class InstrumentError(MemprogError):
    """The instrument or the wire to it failed."""

    exit_code = EXIT_INSTRUMENT


class LimitError(MemprogError):
    """A limit, or a permission that was not given, refused the act."""

    exit_code = EXIT_LIMIT


class StoppedError(MemprogError):
    """The run was stopped before its end; the journal holds what was done."""

    exit_code = EXIT_STOPPED


class JournalError(StoppedError):
    """The journal cannot be written any more; before a run began that is an InputError."""


def brief(value: object, most: int = 120) -> str:
    """Write a name or number of other people's files so that it fits a sentence: printable, and not endless."""
    try:
        text = str(value)
    except ValueError:  # a whole number with more digits than Python writes
        return "a number of thousands of digits"
    text = text if len(text) <= most else f"{text[: most - 3]}..."
    return text if text.isprintable() else ascii(text)[1:-1]
