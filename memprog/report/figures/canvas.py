"""The one place where pictures are made: a figure that is drawn on comes out as the bytes of a PNG or SVG file.

The same drawing gives the same bytes with one version of matplotlib: no date, no random names, no style of the user's.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from memprog.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = (".png", ".svg")
"""Endings of the files that can be written."""
INSTALL = "pip install 'memprog[plots]'"
_SETTINGS: Any = {"svg.hashsalt": "memprog", "savefig.dpi": 150, "font.size": 9.0, "axes.titlesize": 10.0}
_METADATA: dict[str, dict[str, Any]] = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
"""What a picture would say of its making; None leaves it out."""


def require(*, otherwise: str = "pass --no-picture for the numbers alone") -> None:
    """Make sure that pictures can be drawn, before anything is computed for them.

    Args:
        otherwise: what to do without matplotlib, as the sentence goes on.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        with _quiet():
            import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"a picture needs matplotlib, which is not here: {INSTALL}, or {otherwise}; nothing was written"
        ) from error


def render(draw: Callable[[Figure], None], kind: str, size_inches: tuple[float, float]) -> bytes:
    """Let ``draw`` draw on a figure of this size, and give the file.

    Args:
        draw: what to draw.
        kind: an ending of KINDS.
        size_inches: width and height.

    Raises:
        InputError: no such kind of file, or matplotlib is not installed.
    """
    if kind not in KINDS:
        raise InputError(f"a picture is written as {' or '.join(KINDS)}, not as '{kind}'")
    require()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    stream = io.BytesIO()
    with _quiet(), mpl.rc_context():
        mpl.rcdefaults()  # whatever the user's own file says
        mpl.rcParams.update(_SETTINGS)
        figure = Figure(figsize=size_inches)
        draw(figure)
        figure.savefig(stream, format=kind.removeprefix("."), metadata=_METADATA[kind])
    return stream.getvalue()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep matplotlib from telling of its caches, where the result and errors belong."""
    logger = logging.getLogger("matplotlib")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
