"""The way up the likelihood, each parameter in units of how well it can be known."""

from __future__ import annotations

import numpy as np

from memprog.analysis.noise.model import Likelihood, Look
from memprog.chip import FloatArray


def climb(model: Likelihood, start: FloatArray, iterations: int, *, blurs: bool = False) -> Look:
    """Climb the likelihood from a start, along with the blur or at that of the start."""
    from scipy.optimize import minimize

    scale = scales(model, start)

    def uphill(scaled: FloatArray) -> tuple[float, FloatArray]:
        log_likelihood, gradient = model.slope(scaled * scale)
        return -log_likelihood, -gradient * scale

    blur = (0.0, 1.0) if blurs else (start[model.shape.blur],) * 2
    bounds = [
        (None if low is None else low / size, None if high is None else high / size)
        for (low, high), size in zip([*_bounds(model), blur], scale, strict=True)
    ]
    found = minimize(
        uphill,
        start / scale,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": iterations, "ftol": 1e-9},
    )
    return model.look(found.x * scale)


def scales(model: Likelihood, parameters: FloatArray) -> FloatArray:
    """About how well each parameter can be known: makes the likelihood equally steep in all of them."""
    shape, count = model.shape, len(model.samples)
    up, down = np.exp(parameters[shape.up]), np.exp(parameters[shape.down])
    switchings = np.maximum(count * up * down / (up + down), 1.0)
    relative = np.exp(parameters[shape.sigma] - parameters[shape.step])
    scale = np.empty(shape.size)
    scale[shape.up] = scale[shape.down] = 1.0 / np.sqrt(switchings)
    scale[shape.step] = relative * 2.0 / np.sqrt(count)
    scale[shape.drift] = np.exp(parameters[shape.sigma]) / np.sqrt(count)
    scale[shape.sigma] = 1.0 / np.sqrt(2.0 * count)
    scale[shape.blur] = 1.0 / np.sqrt(max(float(switchings.sum()) if len(up) else 1.0, 1.0))
    return scale


def _bounds(model: Likelihood) -> list[tuple[float | None, float | None]]:
    """Dwell times from a third of a sample to three times the trace; steps and noise not below a millionth."""
    shape, count = model.shape, len(model.samples)
    scale = float(np.log(model.samples.std() + 1e-300))
    rates: tuple[float | None, float | None] = (float(np.log(0.3 / count)), float(np.log(3.0)))
    small: tuple[float | None, float | None] = (scale - 14.0, scale + 3.0)
    return [rates] * (2 * shape.fluctuators) + [small] * shape.fluctuators + [(None, None)] * shape.baseline + [small]
