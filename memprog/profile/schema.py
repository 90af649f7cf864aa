"""The shape of a profile: frozen sections whose field names are the keys of the YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from memprog.profile.effects import (
    Curvature,
    Disturb,
    Effects,
    Forming,
    Islands,
    LevelRelaxation,
    ProductReadout,
    Retention,
    Temperature,
    Wiring,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How many cells the chip carries."""

    arrays: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The target conductances, and how close a cell must come to one."""

    count: int
    min_usiemens: float
    max_usiemens: float
    window_usiemens: float
    min_yield: float

    @property
    def spacing_usiemens(self) -> float:
        """Distance between neighbouring levels."""
        return (self.max_usiemens - self.min_usiemens) / (self.count - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the chip must never be given. A run may tighten these, never widen them."""

    set_max_v: float
    reset_max_v: float
    sub_threshold_max_v: float
    form_max_v: float
    read_max_v: float
    gate_max_v: float
    width_min_ns: int
    width_max_ns: int
    cell_current_max_a: float
    row_current_max_a: float
    pulses_per_cell_run: int
    pulses_per_cell_life: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """How pulses are made: resolution of the converters, and what is shared along which line."""

    amplitude_lsb_v: float
    amplitude_range_v: float
    gate_lsb_v: float
    gate_range_v: float
    width_lsb_ns: int
    gate_line: str
    amplitude_per: str
    width_per: str
    shot_overhead_ns: int
    compliance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """How currents are sensed: voltages, converter, noise of the amplifier, parallelism."""

    read_v: float
    read_gate_v: float
    aperture_ns: int
    settle_ns: int
    parallel_cells: int
    range_a: float
    converter_bits: int
    dither_lsb: float
    offset_spread_a: float
    gain_spread: float
    source_drop_min: float
    source_drop_max: float
    white_noise_usiemens: float
    white_noise_relative: float
    white_noise_aperture_ns: int
    temperature_k: float

    @property
    def lsb_usiemens(self) -> float:
        """One converter step, as a conductance at the read voltage."""
        return 2.0 * self.range_a / float(2**self.converter_bits) / self.read_v * 1e6

    @property
    def full_scale_usiemens(self) -> float:
        """The end of the converter's range, as a conductance at the read voltage."""
        return self.range_a / self.read_v * 1e6

    def sample_noise_usiemens(self, conductance_usiemens: Any, aperture_ns: int | None = None) -> Any:
        """Deviation the readout alone gives one sample: a^2 + (bG)^2, narrowed by the aperture, plus the converter.

        Works on floats and arrays alike. 1/f noise and fluctuators of the cell come on top of it.
        """
        narrowing = self.white_noise_aperture_ns / (aperture_ns or self.aperture_ns)
        white = (self.white_noise_usiemens**2 + (self.white_noise_relative * conductance_usiemens) ** 2) * narrowing
        # A dithered code toggles between two steps: up to a quarter of a step squared, in the middle between them.
        converter = self.lsb_usiemens**2 * (1.0 / 12.0 + self.dither_lsb**2 / 6.0)
        noise: Any = (white + converter) ** 0.5
        return noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Behaviour of the simulated cell; the loop never reads this section. A key with a default may be left out."""

    initial_median_usiemens: float
    initial_spread: float
    memristor_min_usiemens: float
    memristor_max_usiemens: float
    stuck_high_fraction: float
    stuck_low_fraction: float
    stuck_high_usiemens: float
    stuck_low_usiemens: float
    transistor_usiemens_per_v: float
    transistor_threshold_v: float
    transistor_spread: float
    set_threshold_v: float
    reset_threshold_v: float
    threshold_spread_v: float
    switching_step_usiemens: float
    switching_slope_v: float
    switching_slope_spread: float
    switching_state_usiemens: float
    switching_state_exponent: float
    switching_cycle_spread: float
    switching_width_ns: int
    switching_width_exponent: float
    set_gate_usiemens_per_v: float
    set_gate_threshold_v: float
    set_gate_spread: float
    channels_max: int
    channels_initial_mean: float
    channel_create_max: float
    channel_create_offset_v: float
    channel_create_slope_v: float
    channel_dissolve_v: float
    channel_dissolve_spread_v: float
    channel_dissolve_slope_v: float
    channel_complete_offset_v: float
    trap_relative_amplitude: float
    trap_amplitude_spread: float
    trap_saturation_usiemens: float
    trap_amplitude_max_usiemens: float
    trap_dwell_min_s: float
    trap_dwell_max_s: float
    trap_dwell_ratio_decades: float
    trap_bias_decay_per_v: float
    trap_bias_min_v: float
    trap_bias_max_v: float
    flicker_usiemens: float
    flicker_reference_usiemens: float
    flicker_exponent: float
    flicker_fastest_s: float
    flicker_decades: int
    relaxation_fraction_per_decade: float
    relaxation_spread_per_decade: float
    relaxation_floor_usiemens: float
    relaxation_fastest_s: float
    relaxation_decades: int
    open_fraction: float = 0.0
    short_fraction: float = 0.0
    unformed_fraction: float = 0.0
    trap_step_bias_per_v: float = 0.0
    trap_averaging: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Settings of the closed loop: first guesses, sampling, acceptance, budget."""

    access_ohm: float
    gate_overdrive_v: float
    set_first_v: float
    reset_first_v: float
    step_usiemens: float
    step_slope_v: float
    state_usiemens: float
    state_exponent: float
    set_gate_usiemens_per_v: float
    set_gate_threshold_v: float
    pulse_width_ns: int
    sub_threshold_cost_windows: float
    sub_threshold_step_v: float
    sub_threshold_pulses: int
    landing_windows: float
    quick_samples: int
    check_samples: int
    check_interval_s: float
    noise_accept: float
    aim: float
    approach_rounds: int
    checks_per_pass: int
    confirms: int
    confirm_wait_s: float
    passes: int
    mop_up_passes: int
    pulse_budget: int
    round_budget: int
    open_usiemens: float
    unformed_usiemens: float
    short_usiemens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipProfile:
    """One kind of chip, frozen; ``sha256`` names every value and note in it.

    A section that may be left out is None where it was.
    """

    name: str
    description: str
    geometry: Geometry
    levels: Levels
    limits: Limits
    bias_table: Mapping[str, Mapping[str, float | str]]
    driver: Driver
    readout: Readout
    simulation: Simulation
    protocol: Protocol
    provenance: Mapping[str, str]
    sha256: str
    chip_sha256: str
    wires: Wiring | None = None
    product: ProductReadout | None = None
    forming: Forming | None = None
    disturb: Disturb | None = None
    level_relaxation: LevelRelaxation | None = None
    retention: Retention | None = None
    temperature: Temperature | None = None
    curvature: Curvature | None = None
    islands: Islands | None = None

    @property
    def effects(self) -> Effects:
        """What pulses do to the simulated cells besides what section ``simulation`` says."""
        return Effects(**{field.name: getattr(self, field.name) for field in fields(Effects)})
