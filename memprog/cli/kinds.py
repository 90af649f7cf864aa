"""Values on the command line: from text to numbers, or the sentence that says why not."""

from __future__ import annotations

import math
import re

import click

_REGION = re.compile(r"(\d{1,9}):(\d{1,9}),(\d{1,9}):(\d{1,9})")
_CELL = re.compile(r"(\d{1,9}),(\d{1,9})")
_ARRAYS = re.compile(r"\d{1,9}(,\d{1,9})*")


def arrays(text: str) -> tuple[int, ...]:
    """Read ``all``, ``0`` or ``0,2``: rising numbers, each once, none for all.

    Raises:
        click.BadParameter: it is something else.
    """
    if text == "all":
        return ()
    if not _ARRAYS.fullmatch(text):
        raise click.BadParameter(f"'{text}' is not an array number such as 0, nor several such as 0,2.")
    return tuple(sorted({int(number) for number in text.split(",")}))


def region(text: str) -> tuple[int, int, int, int]:
    """Read ``R0:R1,C0:C1``, counted from 0, without the ends.

    Raises:
        click.BadParameter: it is something else, or holds no cell.
    """
    match = _REGION.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"'{text}' is not rows and columns such as 0:32,0:64.")
    row, row_end, column, column_end = (int(number) for number in match.groups())
    if row >= row_end or column >= column_end:
        raise click.BadParameter(f"'{text}' holds no cell; the second number of each pair is not part of it.")
    return row, row_end, column, column_end


def cell(text: str) -> tuple[int, int]:
    """Read ``R,C``, counted from 0.

    Raises:
        click.BadParameter: it is something else.
    """
    match = _CELL.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"'{text}' is not a row and a column such as 3,17.")
    return int(match[1]), int(match[2])


def fraction(text: str) -> float:
    """Read a share from 0 to 1.

    Raises:
        click.BadParameter: it is something else; click's own range lets nan through.
    """
    share = _finite(text)
    if not 0.0 <= share <= 1.0:
        raise click.BadParameter(f"{text} is not a share from 0 to 1.")
    return share


def window_usiemens(text: str) -> float:
    """Read a half-width in uS, above 0.

    Raises:
        click.BadParameter: it is something else.
    """
    half_width_usiemens = _finite(text)
    if half_width_usiemens <= 0.0:
        raise click.BadParameter(f"{text} uS is no window; it must be above 0.")
    return half_width_usiemens


def _finite(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise click.BadParameter(f"'{text}' is not a finite number.")
    return number
