"""The wish to stop, held back while a batch is under way: a signal never leaves one between intent and outcome.

Signals belong to the process, so this does too. What catches signals calls ``request``; what must not be cut in two
stands inside ``held``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

_depth = 0
_wish: BaseException | None = None


def request(ending: BaseException) -> None:
    """Raise ending: at the end of what is held, or at once where nothing is, or where one wish is waiting already."""
    global _wish
    if _depth and _wish is None:
        _wish = ending
        return
    _wish = None
    raise ending


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let a wish to stop wait until the end of the block; an error inside goes first."""
    global _depth, _wish
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        wish = None
        if not _depth:
            wish, _wish = _wish, None
    if wish is not None:
        raise wish
