"""Reports as lines for a person: plain ASCII, units with every number, a dash where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Fields = Mapping[str, Any]

FAILURES_SHOWN = 10


def number(value: float | None, unit: str = "", form: str = ".3g") -> str:
    """Write a number and its unit, or a dash."""
    if value is None:
        return "-"
    text = f"{value:,d}" if isinstance(value, int) else f"{value:{form}}"
    return f"{text} {unit}".rstrip()


def share(value: float | None) -> str:
    """Write a fraction in percent, never rounded up to 100 %."""
    if value is None:
        return "-"
    text = f"{100.0 * value:.2f}"
    return "99.99+ %" if text == "100.00" and value < 1.0 else f"{text} %"


def shape(sizes: Sequence[int]) -> str:
    """Write the shape of a tensor."""
    return " x ".join(str(size) for size in sizes)


def facts(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Put names and values under each other."""
    width = max(len(name) for name, _ in pairs)
    return [f"{name:<{width}}  {visible(value)}".rstrip() for name, value in pairs]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Align a table: the first column to the left, the others to the right."""
    lines = [heads, *[[visible(cell) for cell in row] for row in rows]]
    widths = [max(len(line[k]) for line in lines) for k in range(len(heads))]
    return [_aligned(line, widths) for line in lines]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
    cells[0] = row[0].ljust(widths[0])
    return "  ".join(cells).rstrip()


def visible(text: str) -> str:
    """Escape what would steer the terminal: names come from other people's files."""
    return text if text.isprintable() else ascii(text)


def chip_line(fields: Fields) -> str:
    """Name the chip, and say loudly when it is not one; a dry run knows of none."""
    chip = fields["chip"]
    name = "none was opened" if chip["serial"] is None else f"{chip['maker']} {chip['model']} serial {chip['serial']}"
    return f"SIMULATED {name}" if fields["simulated"] else name


def reasons(counts: Fields) -> str:
    """Write reasons and their counts, the most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {count:,d}" for reason, count in ranked) or "none"


def verify_lines(fields: Fields) -> list[str]:
    """Say what a verify found: yield, errors, noise, and which cells fail first."""
    outcome = "passed" if fields["passed"] else "too low"
    pairs = [
        ("chip", chip_line(fields)),
        ("profile", fields["profile"]),
        ("yield", f"{share(fields['yield_fraction'])} ({outcome}; at least {share(fields['min_yield'])} is needed)"),
        ("cells in window", f"{fields['cells_in_window']:,d} of {fields['cells']:,d}"),
        (
            "window",
            f"+-{number(fields['window_usiemens'], 'uS')} (floor {number(fields['window_floor_usiemens'], 'uS')})",
        ),
        ("error", _errors(fields)),
        ("noise", _noise(fields)),
        ("levels", f"{fields['levels']:,d} ({number(fields['effective_bits'], 'bit', '.2f')} effective)"),
        ("not in window", _defects(fields)),
    ]
    return [*facts(pairs), *_failures(fields)]


def _errors(fields: Fields) -> str:
    mean, std, largest = (number(fields[f"error_{which}_usiemens"], "uS") for which in ("mean", "std", "max"))
    return f"mean {mean}, deviation {std}, largest {largest}"


def _noise(fields: Fields) -> str:
    median, p99 = (number(fields[f"noise_{which}_usiemens"], "uS") for which in ("median", "p99"))
    return f"median {median}, 99 % below {p99}, seen over {number(fields['noise_span_s'], 's')}"


def _defects(fields: Fields) -> str:
    stuck, noisy, unread = (fields[key] for key in ("stuck_cells", "fluctuating_cells", "cells_unread"))
    outside = fields["cells"] - fields["cells_in_window"]
    return f"{outside:,d}; in all {stuck:,d} stuck, {noisy:,d} fluctuating, {unread:,d} unread"


def _failures(fields: Fields) -> list[str]:
    shown = fields["first_failures"][:FAILURES_SHOWN]
    if not shown:
        return []
    heads = ("reason", "array", "row", "column", "target uS", "readback uS", "error uS", "noise uS")
    columns = ("target_usiemens", "readback_usiemens", "error_usiemens", "noise_usiemens")
    rows = [
        [
            str(cell["reason"]),
            *(str(cell[key]) for key in ("array", "row", "column")),
            *(number(cell[key], form=".2f") for key in columns),
        ]
        for cell in shown
    ]
    return ["", "first cells that fail:", *table(heads, rows)]
