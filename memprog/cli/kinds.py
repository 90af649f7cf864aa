"""Values on the command line: from text to numbers, or the sentence that says why not."""

from __future__ import annotations

import math
import os
import re
from typing import Any

import click

from memprog.errors import InputError
from memprog.units import parse_quantity

_REGION = re.compile(r"(\d{1,9}):(\d{1,9}),(\d{1,9}):(\d{1,9})")
_CELL = re.compile(r"(\d{1,9}),(\d{1,9})")
_DURATION = re.compile(r"(.*?)(s|min|h)?")
_LIMIT = re.compile(r"([a-z][a-z0-9_]*)=(.*)")
_FROM_ONE = re.compile(r"0*[1-9][0-9]{0,17}")
_UNITS_S = {None: 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}
_ARRAY = re.compile(r"\d{1,9}")
_BARE = re.compile(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?")
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


def array(text: str) -> int:
    """Read the number of one array.

    Raises:
        click.BadParameter: it is something else.
    """
    if not _ARRAY.fullmatch(text):
        raise click.BadParameter(f"'{text}' is not the number of one array, such as 0.")
    return int(text)


def volts(text: str) -> float:
    """Read ``0.2``, ``0.2V`` or ``200mV``, at least 0.

    Raises:
        click.BadParameter: it is something else.
    """
    value_v = finite(text) if _BARE.fullmatch(str(text)) else _quantity(text, "V")
    if value_v < 0.0:
        raise click.BadParameter(f"'{text}' is below 0 V; the bias says in which direction a voltage acts.")
    return value_v


def width_ns(text: str) -> int:
    """Read ``100ns`` or ``1us`` as whole nanoseconds, at least one; a bare number could be either.

    Raises:
        click.BadParameter: it is something else.
    """
    wanted_ns = _quantity(text, "s") * 1e9
    if not 0.5 <= wanted_ns < 1e15 or abs(wanted_ns - round(wanted_ns)) > 1e-6 * wanted_ns:
        raise click.BadParameter(f"'{text}' is not a number of whole nanoseconds, at least one.")
    return round(wanted_ns)


def interval_s(text: str) -> float:
    """Read ``0.2ms`` or ``2s``, at least 0.

    Raises:
        click.BadParameter: it is something else.
    """
    time_s = _quantity(text, "s")
    if time_s < 0.0:
        raise click.BadParameter(f"'{text}' is below 0 s.")
    return time_s


def count(text: str) -> int:
    """Read how many, 1 or more.

    Raises:
        click.BadParameter: it is something else.
    """
    return _from_one(text, "a whole number above 0.")


def fraction(text: str) -> float:
    """Read a share from 0 to 1.

    Raises:
        click.BadParameter: it is something else; click's own range lets nan through.
    """
    share = finite(text)
    if not 0.0 <= share <= 1.0:
        raise click.BadParameter(f"{text} is not a share from 0 to 1.")
    return share


def window_usiemens(text: str) -> float:
    """Read a half-width in uS, above 0.

    Raises:
        click.BadParameter: it is something else.
    """
    half_width_usiemens = finite(text)
    if half_width_usiemens <= 0.0:
        raise click.BadParameter(f"{text} uS is no window; it must be above 0.")
    return half_width_usiemens


def word(text: str) -> str:
    """Read a name, which has at least one letter.

    Raises:
        click.BadParameter: there is nothing but blanks.
    """
    if not text.strip():
        raise click.BadParameter("it is empty.")
    return text


def seconds(text: str) -> float:
    """Read a time in seconds, 0 or above.

    Raises:
        click.BadParameter: it is something else.
    """
    time_s = finite(text)
    if time_s < 0.0:
        raise click.BadParameter(f"{text} s is no time to wait; it must not be below 0.")
    return time_s


def duration_s(text: str) -> float:
    """Read ``90``, ``90s``, ``10min`` or ``2h`` as seconds, above 0.

    Raises:
        click.BadParameter: it is something else.
    """
    match = _DURATION.fullmatch(str(text))
    try:
        time_s = finite(match[1]) * _UNITS_S[match[2]] if match else math.nan
    except click.BadParameter:
        time_s = math.nan
    if not 0.0 < time_s < math.inf:
        raise click.BadParameter(f"'{text}' is not a time such as 90, 90s, 10min or 2h.")
    return time_s


def pulses(text: str) -> int:
    """Read how many pulses, 1 or more.

    Raises:
        click.BadParameter: it is something else.
    """
    return _from_one(text, "a number of pulses, such as 1000000.")


def limit(text: str) -> tuple[str, float]:
    """Read ``NAME=VALUE``; whether there is such a limit, the profile knows.

    Raises:
        click.BadParameter: it is something else.
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"'{text}' is not a limit such as set_max_v=2.0.")
    return match[1], finite(match[2])


def _from_one(text: str, wanted: str) -> int:
    if not _FROM_ONE.fullmatch(str(text)):
        raise click.BadParameter(f"'{text}' is not {wanted}")
    return int(text)


def _quantity(text: str, unit: str) -> float:
    try:
        return parse_quantity(str(text), unit)
    except InputError as error:
        raise click.BadParameter(f"{error}.") from error


class FilledPath(click.Path):
    """A path that is not empty: click would take an empty one for the current folder."""

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a path."""
        if not os.fspath(value):
            raise click.BadParameter("it is empty.")
        return super().convert(value, param, ctx)


def finite(text: str) -> float:
    """Read a number, neither infinite nor nan.

    Raises:
        click.BadParameter: it is something else.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise click.BadParameter(f"'{text}' is not a finite number.")
    return number
