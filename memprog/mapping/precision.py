"""How far one set of weights is from another."""

from __future__ import annotations

import numpy as np

from memprog.tensors import FloatArray


def relative_error(weights: FloatArray, wanted: FloatArray) -> tuple[float, float]:
    """Compare two arrays of one shape.

    Returns:
        The rms of the difference over the rms of ``wanted``, and its largest amount over the largest amount in
        ``wanted``; both 0 where ``wanted`` is zero throughout.
    """
    largest = float(np.abs(wanted).max())
    if not largest:
        return 0.0, 0.0
    # Divided first: the square of a large weight need not fit into a float64.
    share, error = wanted / largest, weights / largest - wanted / largest
    return float(np.sqrt(np.mean(error**2) / np.mean(share**2))), float(np.abs(error).max())
