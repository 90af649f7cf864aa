"""What an analysis of measured noise found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memprog.report.base import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseReport(Report):
    """Noise of traces: one entry a cell and plateau of bias, and what plateaus of one bias say together.

    An estimate is an object of ``value``, ``low`` and ``high``, the ends of its 95 % interval; null where the trace
    sets none.

    ============= ============ ============================================================================
    field         type         meaning
    ============= ============ ============================================================================
    files         list         objects: path, sha256, simulated (null where the file does not say), cells
    plateaus      list         objects: path, array, row, column (null where the file does not say), bias_v,
                               first_s, samples, interval_s, span_s, conductance_usiemens (mean),
                               drift_usiemens (end less start), levels_usiemens, fluctuators, noise_usiemens
                               (estimate: deviation of a sample without fluctuators, drift and lines),
                               colour_exponent (estimate: 0 white, -1 flicker), lag1, lines (objects:
                               frequency_hz, amplitude_usiemens), blur (share of the interval over which a
                               sample is averaged). A fluctuator has the estimates step_usiemens, tau_low_s,
                               tau_high_s and occupancy (share of time in the upper level), and switchings
                               and trouble (why its intervals mean little; empty where they do)
    unread        list of str  cells without a current, and stretches without a bias or too short
    pooled        list         objects: bias_v, traces, tau_low_s and tau_high_s (estimates over the largest
                               fluctuator of every plateau of this bias), scatter_low, scatter_high (1 where
                               traces differ as much as their intervals say)
    trends        object       tau_low, tau_high: null, or slope_per_v (estimate, of log tau against the
                               amount of the bias), p_value, significant
    picture       str or null  file in which the first plateau was drawn; null where none was asked for
    ============= ============ ============================================================================
    """

    files: Sequence[Mapping[str, Any]]
    plateaus: Sequence[Mapping[str, Any]]
    unread: Sequence[str]
    pooled: Sequence[Mapping[str, Any]]
    trends: Mapping[str, Any]
    picture: str | None
