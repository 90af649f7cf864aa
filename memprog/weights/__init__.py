"""Weights files: one reader and one writer a format, and what any weights must fulfil."""

from memprog.weights.files import FORMATS, Weights, open_weights, write_weights

__all__ = ["FORMATS", "Weights", "open_weights", "write_weights"]
