"""How a small real network survived being written into a simulated chip."""

from __future__ import annotations

from dataclasses import dataclass

from memprog.report.base import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoVariant:
    """One way of programming, with denoise or without.

    ================================= ====== ========================================================================
    field                             unit   meaning, denominator (all float)
    ================================= ====== ========================================================================
    yield_fraction                    1      by verify: cells in the window / cells
    true_yield_fraction               1      by the simulated chip: in the window at least 99 % of 100 s / cells
    true_yield_time_average_fraction  1      by the simulated chip: time average in the window / cells
    false_done_fraction               1      said done and truly outside / said done
    weight_snr_db                     dB     power of the weights / power of their error, as programmed
    weight_snr_done_db                dB     the same, had the cells the loop named as failed come to their targets
    accuracy                          1      right answers on the held-out images / heldout_images
    ================================= ====== ========================================================================
    """

    yield_fraction: float
    true_yield_fraction: float
    true_yield_time_average_fraction: float
    false_done_fraction: float
    weight_snr_db: float
    weight_snr_done_db: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport(Report):
    """The demo's outcome; pulses, samples and times are those of the run with denoise.

    ======================== ============= ======= ==================================================================
    field                    type          unit    meaning, denominator
    ======================== ============= ======= ==================================================================
    simulated                bool          -       always True
    profile                  str           -       name of the profile
    seed                     int           -       of the simulated chip
    cells                    int           cells   programmed in each variant, stuck ones included
    heldout_images           int           images  never seen in training
    accuracy_original        float         1       of the network as trained
    accuracy_quantised       float         1       of the network rounded to the profile's levels
    denoise                  object        -       fields of DemoVariant
    no_denoise               object        -       fields of DemoVariant
    pulses_per_cell_mean     float         pulses  all kinds / cells
    samples_per_cell_mean    float         samples current samples taken / cells
    chip_time_s              float         s       by the chip's clock
    host_time_s              float         s       by the host's clock, the whole demo
    ======================== ============= ======= ==================================================================
    """

    simulated: bool
    profile: str
    seed: int
    cells: int
    heldout_images: int
    accuracy_original: float
    accuracy_quantised: float
    denoise: DemoVariant
    no_denoise: DemoVariant
    pulses_per_cell_mean: float
    samples_per_cell_mean: float
    chip_time_s: float
    host_time_s: float
