"""Sections of a profile that may be left out: each is one effect of a real chip, and a chip without it has none of it.

The loop never reads them. ``wires`` and ``product`` are also known to the bench, which takes wires out of readings.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Resistance of the wires: of one segment between neighbouring cells, and of what stands at the end of a line.

    These are the nominal ones, which readings are corrected with; ``spread`` is the relative deviation of one array's
    lines from them, which nobody told the bench.
    """

    row_ohm: float
    column_ohm: float
    driver_ohm: float
    sense_ohm: float
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forming:
    """Cells that come pristine: no channel was formed in them yet, and no pulse but a strong one forms it.

    They conduct ``pristine_usiemens``. A pulse of ``width_ns`` forms half the cells at ``threshold_v``, a ten times
    shorter one at ``decade_v`` more; the gate ends it at its SET limit, ``landing_spread`` (log-normal) off.
    """

    pristine_fraction: float
    pristine_usiemens: float
    threshold_v: float
    threshold_spread_v: float
    slope_v: float
    width_ns: int
    decade_v: float
    landing_spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturb:
    """What cells bear that share the open gate with one that is pulsed.

    ``leftover_share`` of the amplitude stands across them, besides what the INHIBIT row of the bias table puts there.
    """

    leftover_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRelaxation:
    """Relaxation that depends on the level a pulse leaves a cell at, and begins anew with every pulse.

    With x = G / ``full_usiemens`` the deviation is the polynomial ``sigma_1s`` of x one second after the pulse and
    ``sigma_1d`` one day after it, in uS; in between it rises evenly over the logarithm of time. All cells lose
    ``mean_per_decade_usiemens`` a decade of time besides, from the first second on.
    """

    full_usiemens: float
    sigma_1s_0: float
    sigma_1s_1: float
    sigma_1s_2: float
    sigma_1s_3: float
    sigma_1s_4: float
    sigma_1d_0: float
    sigma_1d_1: float
    sigma_1d_2: float
    sigma_1d_3: float
    sigma_1d_4: float
    mean_per_decade_usiemens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Relaxation goes faster at higher temperature: by Arrhenius, against that of the readout."""

    activation_ev: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """The chip is not always as warm as its profile says: it wanders, and what it conducts with it."""

    wander_k: float
    wander_s: float
    memristor_per_k: float
    transistor_per_k: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curvature:
    """I-V that is not straight: conductance grows with the square of the voltage across the memristor.

    It is G(V) = G(0) (1 + c V^2) with c = ``per_v2`` up to ``reference_usiemens``, falling with the conductance to the
    power of ``exponent`` above it.
    """

    per_v2: float
    reference_usiemens: float
    exponent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Islands:
    """Incomplete channels dissolve as the phase field says, islands by their size, and the main channel pays for it.

    ``reference_v`` across the memristor stands for the published pulse; the main channel loses ``cost_share`` of the
    conductance that the phase field takes from it.
    """

    reference_v: float
    diameter_cells: float
    diameter_spread_cells: float
    cost_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductReadout:
    """How analogue products are driven and sensed.

    So many rows are driven at once, the sums of further groups are added up digitally. Inputs have ``input_bits`` over
    +-``input_max_v``, every conversion ``converter_bits`` over +-``range_a``. 0 bits: as fine as a float.
    """

    rows_at_once: int
    input_bits: int
    input_max_v: float
    converter_bits: int
    range_a: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """Which effects change what a pulse does to a cell; None is none of it."""

    forming: Forming | None = None
    level_relaxation: LevelRelaxation | None = None
    islands: Islands | None = None


NO_EFFECTS = Effects()
