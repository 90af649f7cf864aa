"""Names in memprog's JSON, as users' scripts know them: the tables only grow.

``FIELDS`` are those of each report, ``FACTS`` those of each figure. ``INSIDE`` are the paths of what stands deeper, by
command, as real runs print them; mappings whose keys are limits, reasons or settings are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from memprog import report

OPEN = frozenset({"provenance", "limits", "capabilities", "failed_by_reason", "defects_by_reason", "verify"})
"""Mappings with keys of their own, and the report inside a report."""


def fields_of_reports() -> dict[str, frozenset[str]]:
    """Names of the fields of each report there is."""
    kinds = [getattr(report, name) for name in report.__all__]
    found = [kind for kind in kinds if isinstance(kind, type) and dataclasses.is_dataclass(kind)]
    names = {kind.__name__: frozenset(field.name for field in dataclasses.fields(kind)) for kind in found}
    return {name: fields for name, fields in names.items() if fields}


def paths_in(value: Any, above: str = "") -> Iterator[str]:
    """Paths of all names below the first level of a JSON value; a list counts as its items."""
    if isinstance(value, list):
        for item in value:
            yield from paths_in(item, above)
    elif isinstance(value, dict):
        for key, item in value.items():
            if above:
                yield f"{above}.{key}"
            if key not in OPEN:
                yield from paths_in(item, f"{above}.{key}".lstrip("."))


FIELDS: dict[str, str] = {
    "CharacteriseReport": (
        "run_id simulated chip profile profile_sha256 utc argv dry_run limits array cells places plan pulses_planned "
        "pulses_total pulses_per_cell events path files chip_time_s host_time_s"
    ),
    "CheckReport": "simulated seed groups rows rows_inside passed not_modelled host_time_s",
    "CheckRow": (
        "group name fact unit published_low published_high simulated deviation band_low band_high band_reason kind "
        "source held_fixed inside"
    ),
    "ChipReport": (
        "simulated chip profile profile_sha256 geometry capabilities limits pulses_total pulses_recorded "
        "pulses_per_cell_max defects_by_reason defects clock_s path"
    ),
    "DemoReport": (
        "simulated profile seed cells heldout_images accuracy_original accuracy_quantised denoise no_denoise "
        "pulses_per_cell_mean samples_per_cell_mean chip_time_s host_time_s"
    ),
    "DemoVariant": (
        "yield_fraction true_yield_fraction true_yield_time_average_fraction false_done_fraction weight_snr_db "
        "weight_snr_done_db accuracy"
    ),
    "ExportReport": "simulated chip path sha256 format image_sha256 layers digital",
    "ExportedLayer": "name shape dtype error_rms_relative error_max_relative",
    "FailureReport": "error run",
    "FigureReport": "figure seed paths facts",
    "IvReport": (
        "simulated chip profile profile_sha256 path sha256 array cells read_v samples unread rise_median chip_time_s"
    ),
    "LoadReport": (
        "weights weights_format weights_sha256 image image_sha256 profile profile_sha256 levels layers digital "
        "arrays_used arrays_available cells_used fill_fraction"
    ),
    "NoiseReport": "files plateaus unread pooled trends picture",
    "ProfileFitReport": "profile profile_sha256 path base base_sha256 files fitted kept unread",
    "ProgramReport": (
        "kind restores run_id simulated chip profile profile_sha256 image_sha256 utc argv denoise dry_run resumed "
        "resumes limits defects_by_reason cells cells_done cells_failed failed_by_reason yield_fraction min_yield "
        "passed pulses_total pulses_per_cell_mean pulses_per_cell_p99 samples_per_cell_mean denoise_pulses_total "
        "rounds chip_time_s host_time_s arrays verify"
    ),
    "PulseReport": (
        "run_id simulated chip profile profile_sha256 utc argv dry_run limits array cells bias_name amplitudes_v "
        "gate_v width_ns count pulses_planned pulses_total cells_held_back cells_unread readback_first_median_usiemens "
        "readback_last_median_usiemens events path sha256 chip_time_s host_time_s"
    ),
    "ReadReport": "simulated chip path arrays cells unread noise_median_usiemens",
    "RunsReport": "journal runs",
    "StatusReport": "workspace image chip runs next_step",
    "TraceReport": (
        "simulated chip profile profile_sha256 path sha256 array cells unread read_v samples interval_s span_s "
        "noise_median_usiemens chip_time_s"
    ),
    "VerifyReport": (
        "simulated chip profile profile_sha256 image_sha256 utc argv limits cells cells_in_window cells_unread "
        "yield_fraction min_yield passed window_usiemens window_floor_usiemens error_mean_usiemens "
        "error_std_usiemens error_max_usiemens noise_median_usiemens noise_p99_usiemens noise_span_s levels "
        "effective_bits stuck_cells fluctuating_cells first_failures arrays"
    ),
}
"""Equal to the fields of each report's class."""

INSIDE: dict[str, str] = {
    "load-weights weights.npy": (
        "layers.name layers.shape layers.dtype layers.outputs layers.inputs layers.tiles layers.tiles.array "
        "layers.tiles.row layers.tiles.column layers.tiles.inputs layers.tiles.outputs layers.tiles.first_input "
        "layers.tiles.first_output layers.scale_min layers.scale_max layers.error_rms_relative "
        "layers.error_max_relative layers.clipped_fraction"
    ),
    "verify": (
        "chip.maker chip.model chip.serial chip.firmware first_failures.array first_failures.row "
        "first_failures.column first_failures.target_usiemens first_failures.readback_usiemens "
        "first_failures.error_usiemens first_failures.noise_usiemens first_failures.reason arrays.array "
        "arrays.cells arrays.cells_in_window arrays.cells_unread arrays.yield_fraction"
    ),
    "program --array --min-yield 0": (
        "chip.maker chip.model chip.serial chip.firmware arrays.array arrays.cells arrays.cells_done "
        "arrays.cells_failed arrays.rounds arrays.pulses_total arrays.chip_time_s"
    ),
    "info": "chip.maker chip.model chip.serial chip.firmware geometry.arrays geometry.rows geometry.columns",
    "read --out g.npy": "chip.maker chip.model chip.serial chip.firmware",
    "export --out w.npy": (
        "chip.maker chip.model chip.serial chip.firmware layers.name layers.shape layers.dtype "
        "layers.error_rms_relative layers.error_max_relative"
    ),
    "status": (
        "image.path image.sha256 image.profile image.layers image.cells chip.path chip.serial chip.profile "
        "chip.simulated chip.blank runs.run_id runs.utc runs.state runs.image_sha256 runs.cells runs.cells_done "
        "runs.kind runs.chip runs.arrays runs.arrays_finished runs.pulses_total"
    ),
}
"""Equal to what these commands print, one after the other, on a blank chip with an image of one layer."""

FACTS: dict[str, str] = {
    "fig1": (
        "source device array levels window_usiemens readings_in_window_before levels_always_in_window_before "
        "levels_on_average_in_window_before error_rms_usiemens_before fluctuation_median_usiemens_before "
        "readings_in_window_after levels_always_in_window_after levels_on_average_in_window_after "
        "error_rms_usiemens_after fluctuation_median_usiemens_after array_levels array_window_usiemens "
        "array_in_window array_done array_error_rms_of_done_usiemens"
    ),
    "fig2": (
        "map islands_before island_area_cells_before main_area_cells_before main_conduction_kept_before "
        "islands_in_pulse_1 island_area_cells_in_pulse_1 main_area_cells_in_pulse_1 main_conduction_kept_in_pulse_1 "
        "islands_after_pulse_1 island_area_cells_after_pulse_1 main_area_cells_after_pulse_1 "
        "main_conduction_kept_after_pulse_1 islands_in_pulse_2 island_area_cells_in_pulse_2 "
        "main_area_cells_in_pulse_2 main_conduction_kept_in_pulse_2 islands_after_pulse_2 "
        "island_area_cells_after_pulse_2 main_area_cells_after_pulse_2 main_conduction_kept_after_pulse_2"
    ),
    "fig3": (
        "source deviation_max deviations slip_max transmission_published transmission_corrected energy_ev "
        "effective_mass coulomb_published_ev_nm coulomb_dielectric_ev_nm quantum_usiemens second_mode_opens_at_nm "
        "narrowest_open_if_energy_counts_from_the_well_nm measured_relative measured_usiemens measured_of_one_quantum "
        "answers reach"
    ),
    "fig4": (
        "map bias_to_volts barrier_order steepest_slope_ev barrier_ev main_area_cells_drawn main_width_cells_drawn "
        "visible_width_cells_drawn phi_sum_drawn conduction_drawn islands_drawn highest_phi_of_island_drawn "
        "main_area_cells_relaxed main_width_cells_relaxed visible_width_cells_relaxed phi_sum_relaxed "
        "conduction_relaxed islands_relaxed highest_phi_of_island_relaxed main_area_cells_in_pulse_1 "
        "main_width_cells_in_pulse_1 visible_width_cells_in_pulse_1 phi_sum_in_pulse_1 conduction_in_pulse_1 "
        "islands_in_pulse_1 highest_phi_of_island_in_pulse_1 main_area_cells_after_pulse_1 "
        "main_width_cells_after_pulse_1 visible_width_cells_after_pulse_1 phi_sum_after_pulse_1 "
        "conduction_after_pulse_1 islands_after_pulse_1 highest_phi_of_island_after_pulse_1 "
        "main_area_cells_in_pulse_2 main_width_cells_in_pulse_2 visible_width_cells_in_pulse_2 phi_sum_in_pulse_2 "
        "conduction_in_pulse_2 islands_in_pulse_2 highest_phi_of_island_in_pulse_2 main_area_cells_after_pulse_2 "
        "main_width_cells_after_pulse_2 visible_width_cells_after_pulse_2 phi_sum_after_pulse_2 "
        "conduction_after_pulse_2 islands_after_pulse_2 highest_phi_of_island_after_pulse_2 published_pulse_area_cost "
        "published_pulse_conduction_cost published_pulse_dissolves_95_percent_up_to_cells main_channel_broken_at_ev "
        "main_channel_broken_over_published_pulse"
    ),
    "figS14": "source is_figure_s14 density measured simulated",
}
"""Equal to the names of the facts of each figure of ``memprog physics``."""
