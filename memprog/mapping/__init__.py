"""From weights to an image, and from readbacks to weights: pure functions, no chip and no file."""

from memprog.mapping.load import LayerSummary, LoadSummary, map_weights
from memprog.mapping.precision import relative_error
from memprog.mapping.rebuild import layer_weights, rebuild

__all__ = ["LayerSummary", "LoadSummary", "layer_weights", "map_weights", "rebuild", "relative_error"]
