"""What a sample may read that is an average over a share of its interval, whatever switched meanwhile.

A fluctuator's state is a chain in continuous time with rates ``Q``. The characteristic function of the time that it
spends in its upper level, on the way from one state to another, is an element of ``exp(Q + i w D)``, where ``D``
counts the upper level (Feynman and Kac's formula for a chain of two states): of order two, in closed form. Those of
independent fluctuators multiply, white noise is one factor more, and Fourier's transform gives the density of the
reading, exactly, on a grid. Rows and columns are the states before and after the interval, as everywhere here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from memprog.analysis.noise.chain import FLOOR
from memprog.chip import FloatArray

ComplexArray = NDArray[np.complex128]
TAPS = 4
"""Neighbours on the grid that a cubic spline takes a value from."""
_FINE = 5.0
"""Points of the grid in a deviation of the noise at least: splines are then right to 1e-5 of the highest density."""
_WIDE = 10.0
"""Deviations of the noise that the grid reaches beyond the levels."""
_MOST_LEVELS_OVER_NOISE = 1000.0
"""Where levels lie further apart, the densities between them are blunted to this: they hold no more than edges."""
_FASTEST = 9.0
"""Frequency, in turns of a radian for a deviation of the noise, beyond which noise leaves nothing: exp(-40)."""
_LEAST = 1e-12
"""Share of the highest density below which what the transform gives is but rounding."""
NONE = FLOOR / _LEAST
"""Density of an impossible sample over ``least``: no pair of states is so unlikely that no path could pass a glitch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One fluctuator's share: ``value`` (2, 2, frequencies), and ``slopes`` (4, 2, 2, frequencies).

    Derivatives are by the logarithms of the rates up and down and of the step, and by the blur.
    """

    value: ComplexArray
    slopes: ComplexArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Averages:
    """Chance and density of readings for every pair of states.

    ``steady`` (states, states) is the chance that nothing switches while it is averaged: such a reading lies at the
    level of the second state, in white noise. The density of the others at ``first + spacing * k``, times their
    chance, is a cubic spline with ``coefficients`` (points, states, states); what is below ``least`` (states, states)
    counts as ``NONE`` times it.
    """

    steady: FloatArray
    coefficients: FloatArray
    first: float
    spacing: float
    least: FloatArray
    all_ways: list[Factor]
    steady_ways: list[Factor]
    kernel: ComplexArray
    by_log_sigma: FloatArray

    def gradient(self, by_steady: FloatArray, by_coefficients: FloatArray) -> FloatArray:
        """Carry derivatives of a likelihood over to the parameters.

        Args:
            by_steady: (states, states) its derivative by ``steady``.
            by_coefficients: (points, states, states) that by ``coefficients``.

        Returns:
            (3 fluctuators + 2,) derivatives in the order of ``Shape`` without the baseline: by the logarithms of the
            rates up, of the rates down, of the steps and of the noise, and by the blur.
        """
        points, count = len(by_coefficients), len(self.all_ways)
        weight = np.conj(np.fft.rfft(np.moveaxis(by_coefficients, 0, -1))[..., : len(self.kernel)])
        weight *= self.kernel * 2.0 / (points * self.spacing)
        weight[..., 0] /= 2.0
        of_steady = -weight
        of_steady[..., 0] += by_steady
        slopes = np.array(
            [_contracted(weight, self.all_ways, k) + _contracted(of_steady, self.steady_ways, k) for k in range(count)]
        )
        moving = joined([way.value for way in self.all_ways]) - joined([way.value for way in self.steady_ways])
        by_sigma = ((weight * moving).real @ self.by_log_sigma).sum()
        return np.concatenate([slopes[:, :3].T.ravel(), [by_sigma, slopes[:, 3].sum()]])


def averages(up: FloatArray, down: FloatArray, steps: FloatArray, sigma: float, blur: float) -> Averages:
    """Give what readings may be, (states, states) in all.

    Args:
        up: (fluctuators,) rates from the lower level to the upper per sample, one fluctuator at least.
        down: (fluctuators,) rates back.
        steps: (fluctuators,) from the lower level to the upper.
        sigma: deviation of the white noise of a reading.
        blur: share of the interval over which is averaged, its last part, above 0.
    """
    span = float(steps.sum())
    blunt = max(sigma, span / _MOST_LEVELS_OVER_NOISE)
    # A power of two and a place in whole spacings: the grid stays where it is when parameters change a little.
    spacing = float(2.0 ** np.floor(np.log2(blunt / _FINE)))
    first = float(np.floor(-_WIDE * blunt / spacing)) * spacing
    points = _even_length(int((span + _WIDE * blunt - first) / spacing) + TAPS)
    omega = np.asarray(2.0 * np.pi * np.fft.rfftfreq(points, spacing), dtype=np.float64)
    omega = omega[blunt * omega <= _FASTEST]
    smear: FloatArray = (blunt * omega) ** 2
    kernel = np.exp(-0.5 * smear + 1j * omega * first) * 3.0 / (2.0 + np.cos(omega * spacing))
    ways = [_ways(*one, omega, blur) for one in zip(up, down, steps, strict=True)]
    all_ways, steady_ways = [one for one, _ in ways], [one for _, one in ways]
    every, steady = joined([way.value for way in all_ways]), joined([way.value for way in steady_ways])
    coefficients = np.fft.irfft((every - steady) * kernel, points) / spacing
    return Averages(
        steady=steady[..., 0].real,
        coefficients=np.ascontiguousarray(np.moveaxis(coefficients, -1, 0)),
        first=first,
        spacing=spacing,
        least=_LEAST / blunt * every[..., 0].real,
        all_ways=all_ways,
        steady_ways=steady_ways,
        kernel=np.asarray(kernel, dtype=np.complex128),
        by_log_sigma=-smear if blunt == sigma else np.zeros_like(smear),
    )


def joined(factors: list[ComplexArray]) -> ComplexArray:
    """Multiply independent fluctuators' (2, 2, frequencies) to (states, states, frequencies), the first slowest."""
    whole = factors[0]
    for factor in factors[1:]:
        size = 2 * len(whole)
        whole = (whole[:, None, :, None] * factor[None, :, None, :]).reshape(size, size, -1)
    return whole


def splines(places: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights of the four coefficients around each place between two points, and their slopes, (..., 4) each.

    Args:
        places: (...) from 0 at the second of the four to 1 at the third.
    """
    f, rest = places, 1.0 - places
    weights = np.stack([rest**3, 3.0 * f**3 - 6.0 * f**2 + 4.0, 3.0 * rest**3 - 6.0 * rest**2 + 4.0, f**3], axis=-1)
    slopes = np.stack([-(rest**2), 3.0 * f**2 - 4.0 * f, 4.0 * rest - 3.0 * rest**2, f**2], axis=-1)
    return weights / 6.0, slopes / 2.0


def _even_length(least: int) -> int:
    from scipy.fft import next_fast_len

    return 2 * int(next_fast_len(-(-least // 2), real=True))


def _ways(up: float, down: float, step: float, omega: FloatArray, blur: float) -> tuple[Factor, Factor]:
    """All a fluctuator may do in an interval, and that it stays where it is while it is averaged."""
    before, by_rest = _flow((1.0 - blur) * up, (1.0 - blur) * down, np.zeros(1))
    turn = step * omega
    flow, by_flow = _flow(blur * up, blur * down, turn)
    stay, by_stay = np.zeros_like(flow), np.zeros_like(by_flow)
    stay[0, 0], stay[1, 1] = np.exp(-blur * up), np.exp(-blur * down - 1j * turn)
    by_stay[0, 0, 0], by_stay[1, 1, 1], by_stay[2, 1, 1] = -stay[0, 0], -stay[1, 1], -1j * stay[1, 1]

    def after_rest(value: ComplexArray, slopes: ComplexArray) -> Factor:
        rest = np.einsum("pij,jkw->pikw", by_rest[..., 0], value)
        averaged = np.einsum("ij,pjkw->pikw", before[..., 0], slopes)
        return Factor(
            value=np.einsum("ij,jkw->ikw", before[..., 0], value),
            slopes=np.stack(
                [
                    up * ((1.0 - blur) * rest[0] + blur * averaged[0]),
                    down * ((1.0 - blur) * rest[1] + blur * averaged[1]),
                    turn * averaged[2],
                    up * (averaged[0] - rest[0]) + down * (averaged[1] - rest[1]),
                ]
            ),
        )

    return after_rest(flow, by_flow), after_rest(stay, by_stay)


def _flow(up: float, down: float, turn: FloatArray) -> tuple[ComplexArray, ComplexArray]:
    """Exponential of ``[[-up, up], [down, -down - 1j turn]]``, (2, 2, n), and slopes by the three, (3, 2, 2, n)."""
    half = -0.5 * (up + down + 1j * turn)
    square = half**2 - 1j * turn * up
    root = np.sqrt(square)
    near = np.abs(square) < 1e-3
    safe = np.where(near, 1.0, root)
    even = np.cosh(root)
    odd = np.where(near, 1.0 + square / 6.0 + square**2 / 120.0 + square**3 / 5040.0, np.sinh(root) / safe)
    curved = np.where(
        near, 1.0 / 6.0 + square / 60.0 + square**2 / 1680.0 + square**3 / 90720.0, (even - odd) / (2.0 * safe**2)
    )
    one = np.eye(2)[:, :, None]
    zero = np.zeros_like(half)
    inner = np.array([[zero - up, zero + up], [zero + down, -down - 1j * turn]]) - half * one
    height = np.exp(half)
    value = height * (even * one + odd * inner)
    slopes = []
    for by_half, by_product, by_inner in (
        (-0.5, 1j * turn, [[-1.0, 1.0], [0.0, 0.0]]),
        (-0.5, 0.0, [[0.0, 0.0], [1.0, -1.0]]),
        (-0.5j, 1j * up, [[0.0, 0.0], [0.0, -1j]]),
    ):
        by_square = 2.0 * half * by_half - by_product
        moved = np.array(by_inner)[:, :, None] - by_half * one
        slopes.append(
            by_half * value + height * (0.5 * odd * by_square * one + curved * by_square * inner + odd * moved)
        )
    return cast(ComplexArray, value), np.array(slopes)


def _contracted(weight: ComplexArray, ways: list[Factor], k: int) -> FloatArray:
    """Sum of weights (states, states, frequencies) times the slopes of one fluctuator and the values of the others."""
    count = len(ways)
    whole = weight.reshape(*(2,) * (2 * count), -1)
    before, after = "abc"[:count], "def"[:count]
    operands = [ways[one].value for one in range(count) if one != k]
    others = ",".join(f"{before[one]}{after[one]}w" for one in range(count) if one != k)
    terms = f"{before}{after}w,{others}" if others else f"{before}{after}w"
    left = np.einsum(f"{terms}->{before[k]}{after[k]}w", whole, *operands, optimize=True)
    return np.asarray(np.einsum("ijw,pijw->p", left, ways[k].slopes).real)
