"""Columns behind a figure, as they go into a table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from memprog.chip import FloatArray


def padded(columns: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Fill columns up to the longest with NaN."""
    longest = max(len(column) for column in columns.values())
    return {
        name: np.concatenate([column, np.full(longest - len(column), np.nan)]).astype(np.float64)
        for name, column in columns.items()
    }
