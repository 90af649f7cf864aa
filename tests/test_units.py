"""Quantities with units, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprog.errors import InputError
from memprog.units import format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("50uS", "S", 50e-6),
        ("50 µS", "S", 50e-6),
        ("100ns", "s", 100e-9),
        ("1.5V", "V", 1.5),
        (" .5 mV ", "V", 0.5e-3),
        ("-3.e2kohm", "ohm", -300e3),
        ("4e-3S", "S", 4e-3),
        ("12pA", "A", 12e-12),
        ("2MS", "S", 2e6),
        ("1GS", "S", 1e9),
        ("5m", "m", 5.0),
        ("5mm", "m", 5e-3),
    ],
)
def test_prefix_and_unit_give_the_value_in_si(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "S", "50", "50u", "50us", "50US", "50 u S", "uS", "1,5uS", "1_0uS", "nanS", "infS", "50uS/s", "1e uS"]
)
def test_text_without_number_and_the_wanted_unit_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a quantity in S"):
        parse_quantity(text, "S")


def test_microseconds_are_not_microsiemens() -> None:
    with pytest.raises(InputError, match="'50uS' is not a quantity in s"):
        parse_quantity("50uS", "s")


@pytest.mark.parametrize(
    ("value", "text"),
    [(50e-6, "50 uS"), (4.144e-3, "4.144 mS"), (0.0, "0 S"), (-1e-7, "-100 nS"), (1.0, "1 S"), (2.5e4, "25 kS")],
)
def test_value_is_written_with_a_fitting_prefix(value: float, text: str) -> None:
    assert format_quantity(value, "S") == text


@given(st.floats(min_value=1e-11, max_value=1e11))
def test_written_quantity_reads_back_to_four_digits(value: float) -> None:
    assert parse_quantity(format_quantity(value, "V"), "V") == pytest.approx(value, rel=1e-3)
