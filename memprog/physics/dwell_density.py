"""Owns the dwell-time densities published with Rao 2023, the laws they follow, and their dwell times.

What the columns are was found from their numbers; no text came with them. All are densities over linear time, in 1/s,
each of about 1 in all: no counts, no densities over log time. The measured ones seem to be kernel estimates: one ends
as a Gaussian of 1.0 ms does, and an exponential law smoothed by a Gaussian, 1 in all, fits all six. Smoothing spills
over zero, which is why they rise at first (dwells too short to be seen would look alike); an exponential law without it
takes 11 ms for 14. The simulated ones are, to the last digit, a law with a rise and with the authors' constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from memprog.chip import FloatArray
from memprog.errors import InputError
from memprog.physics.published import published_lines

State = Literal[0, 1]

BIASES_V = (-0.15, -0.20, -0.25)
"""Biases of the columns, in their order."""
AUTHORS_TAU0_S = (0.0115, 0.0115, 0.0115)
AUTHORS_TAU1_S = (0.0132, 0.0075, 0.00435)
"""Dwell times at BIASES_V: the constants the authors fitted. That of state 0 does not depend on the bias."""
_BOUNDS = (1e-5, 10.0)
"""No parameter of a law is looked for outside, s (or none): samples are 0.2 ms apart, the columns end at 39 ms."""
_FIRST_GUESS_S = (0.01, 0.001)
"""Where every fit starts: a dwell time, and a kernel or rise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DwellColumn:
    """One published density (n,) in 1/s, and the dwell time that the authors give for it.

    ``bias_v`` is NaN where one column stands for all biases: the simulated state 0.
    """

    state: State
    bias_v: float
    simulated: bool
    density: FloatArray
    authors_tau_s: float

    @property
    def name(self) -> str:
        """Name for tables: ``measured_tau1_at_minus_0.15_v``."""
        bias = "" if math.isnan(self.bias_v) else f"_at_minus_{-self.bias_v:.2f}_v"
        return f"{'simulated' if self.simulated else 'measured'}_tau{self.state}{bias}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DwellDensities:
    """All published columns, at the same times (n,), evenly spaced."""

    time_s: FloatArray
    columns: tuple[DwellColumn, ...]

    @property
    def measured(self) -> tuple[DwellColumn, ...]:
        """Those from measured traces: state 0 at the three biases, then state 1."""
        return tuple(column for column in self.columns if not column.simulated)

    @property
    def simulated(self) -> tuple[DwellColumn, ...]:
        """Those that the authors simulated: state 0 at any bias, then state 1 at the three."""
        return tuple(column for column in self.columns if column.simulated)


class SmoothedFit(NamedTuple):
    """Exponential law under a Gaussian kernel, fitted; ``rms`` is what is left of the density, 1/s."""

    tau_s: float
    kernel_s: float
    rms: float


class RisingFit(NamedTuple):
    """Exponential law that rises at first, fitted; ``total`` is its integral, ``rms`` what is left of the density."""

    tau_s: float
    rise_s: float
    total: float
    rms: float


def published_densities() -> DwellDensities:
    """Read the published columns."""
    _, *lines = published_lines("dwell_time_density.txt")
    table = np.array([line.split("\t") for line in lines], dtype=np.float64)
    return DwellDensities(
        time_s=table[:, 0],
        columns=tuple(
            DwellColumn(state=state, bias_v=bias_v, simulated=simulated, density=density, authors_tau_s=tau_s)
            for (state, bias_v, simulated, tau_s), density in zip(_headings(), table[:, 1:].T, strict=True)
        ),
    )


def exponential_density(time_s: FloatArray, tau_s: float) -> FloatArray:
    """Density (n,) of dwell times that end at a constant rate, 1/s; its integral from 0 is 1."""
    return np.asarray(np.exp(-time_s / tau_s) / tau_s, dtype=np.float64)


def smoothed_density(time_s: FloatArray, tau_s: float, kernel_s: float) -> FloatArray:
    """The same as a kernel estimate shows it, (n,): what a Gaussian of this deviation carries below 0 is missing."""
    from scipy.special import log_ndtr

    ratio = kernel_s / tau_s
    exponent = 0.5 * ratio**2 - time_s / tau_s + log_ndtr(time_s / kernel_s - ratio)
    return np.asarray(np.exp(exponent) / tau_s, dtype=np.float64)


def rising_density(time_s: FloatArray, tau_s: float, rise_s: float, total: float) -> FloatArray:
    """Exponential law times 1 - exp(-t / rise), (n,): the law of the simulated columns; its integral is ``total``."""
    risen = exponential_density(time_s, tau_s) * -np.expm1(-time_s / rise_s)
    return np.asarray(total * (1.0 + rise_s / tau_s) * risen, dtype=np.float64)


def fit_exponential(time_s: FloatArray, density: FloatArray) -> float:
    """Dwell time of the plain exponential law, by least squares on a density (n,) in 1/s; smoothing makes it too long.

    Raises:
        InputError: times and densities do not belong together, or are too few.
    """
    (tau_s,), _ = _fitted(lambda tau: exponential_density(time_s, tau), time_s, density, _FIRST_GUESS_S[:1])
    return tau_s


def fit_smoothed(time_s: FloatArray, density: FloatArray) -> SmoothedFit:
    """Dwell time under a Gaussian kernel of unknown width, by least squares on a density (n,) in 1/s.

    Raises:
        InputError: times and densities do not belong together, or are too few.
    """
    (tau_s, kernel_s), rms = _fitted(
        lambda tau, kernel: smoothed_density(time_s, tau, kernel), time_s, density, _FIRST_GUESS_S
    )
    return SmoothedFit(tau_s, kernel_s, rms)


def fit_rising(time_s: FloatArray, density: FloatArray) -> RisingFit:
    """Dwell time, rise and integral of the law that rises, by least squares on a density (n,) in 1/s.

    Raises:
        InputError: times and densities do not belong together, or are too few.
    """
    (tau_s, rise_s, total), rms = _fitted(
        lambda tau, rise, total: rising_density(time_s, tau, rise, total), time_s, density, (*_FIRST_GUESS_S, 1.0)
    )
    return RisingFit(tau_s, rise_s, total, rms)


def _headings() -> list[tuple[State, float, bool, float]]:
    """State, bias, simulated or not and the authors' constant of each column of the file, in its order."""
    states: tuple[State, State] = (0, 1)
    by_state = [list(zip(BIASES_V, taus, strict=True)) for taus in (AUTHORS_TAU0_S, AUTHORS_TAU1_S)]
    measured = [(state, bias_v, False, tau_s) for state in states for bias_v, tau_s in by_state[state]]
    simulated = [(states[1], bias_v, True, tau_s) for bias_v, tau_s in by_state[1]]
    return [*measured, (states[0], math.nan, True, AUTHORS_TAU0_S[0]), *simulated]


def _fitted(
    law: Callable[..., FloatArray], time_s: FloatArray, density: FloatArray, start: tuple[float, ...]
) -> tuple[list[float], float]:
    """Fit the logarithms of a law's parameters, all above 0; also give the root mean square of what is left."""
    from scipy.optimize import least_squares

    if time_s.ndim != 1 or time_s.shape != density.shape or len(time_s) <= len(start):
        raise InputError(f"{time_s.shape} times and {density.shape} densities cannot fix {len(start)} parameters")
    if not (np.isfinite(density).all() and (time_s >= 0.0).all()):
        raise InputError("a density is not finite, or a dwell time below 0")
    tolerances = dict.fromkeys(("xtol", "ftol", "gtol"), 1e-14)
    found = least_squares(
        lambda logs: law(*np.exp(logs).tolist()) - density, np.log(start), bounds=np.log(_BOUNDS), **tolerances
    )
    return np.exp(found.x).tolist(), float(np.sqrt((found.fun**2).mean()))
