"""The command line: one module a command, each parse, one call into jobs, print."""

from __future__ import annotations

from collections.abc import Sequence

from memprog.errors import EXIT_INTERRUPTED, MemprogError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code; no traceback ever reaches the user.

    Args:
        argv: the words after ``memprog``; by default those of the running program, which ends with this call.
    """
    try:
        # Imported here, because click alone takes long enough for somebody to change his mind.
        from memprog.cli.endings import main as run

        return run(argv)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except MemprogError as late:  # a signal in the moment between the end of a command and its report
        return late.exit_code
