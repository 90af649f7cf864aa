"""The command line: one module a command, each parse, one call into jobs, print."""

from memprog.cli.endings import main

__all__ = ["main"]
