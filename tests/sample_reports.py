"""Reports as jobs would give them, for tests of what prints them."""

from __future__ import annotations

import math
from typing import Any

from memprog.report import (
    CharacteriseReport,
    CheckReport,
    CheckRow,
    ChipReport,
    DemoReport,
    DemoVariant,
    ExportedLayer,
    ExportReport,
    FailureReport,
    FigureReport,
    IvReport,
    LoadReport,
    NoiseReport,
    ProfileFitReport,
    ProgramReport,
    PulseReport,
    ReadReport,
    RunsReport,
    StatusReport,
    TraceReport,
    VerifyReport,
)
from memprog.report.check import Kind
from memprog.report.failure import RUN, failure

CHIP = {"maker": "memprog", "model": "SimChip", "serial": "SIM-7", "firmware": "1"}
FAILURE = {
    "array": 0,
    "row": 3,
    "column": 4,
    "target_usiemens": 100.0,
    "readback_usiemens": math.nan,
    "error_usiemens": math.nan,
    "noise_usiemens": 0.5,
    "reason": "stuck low",
}


def verify_report(**changes: Any) -> VerifyReport:
    """64 cells, one of them failed."""
    fields: dict[str, Any] = {
        "simulated": True,
        "chip": CHIP,
        "profile": "tiny",
        "profile_sha256": "p" * 64,
        "image_sha256": "i" * 64,
        "utc": "2030-01-01T00:00:00Z",
        "argv": ("memprog", "verify"),
        "limits": {"set_max_v": 2.5},
        "cells": 64,
        "cells_in_window": 63,
        "cells_unread": 0,
        "yield_fraction": 63 / 64,
        "min_yield": 0.9,
        "passed": True,
        "window_usiemens": 1.0,
        "window_floor_usiemens": 0.2,
        "error_mean_usiemens": 0.01,
        "error_std_usiemens": 0.3,
        "error_max_usiemens": 2.5,
        "noise_median_usiemens": 0.1,
        "noise_p99_usiemens": 0.4,
        "noise_span_s": 2.0,
        "levels": 2048,
        "effective_bits": 10.5,
        "stuck_cells": 1,
        "fluctuating_cells": 0,
        "first_failures": [FAILURE],
        "arrays": [verified_row(0)],
    }
    return VerifyReport(**fields | changes)


def program_report(**changes: Any) -> ProgramReport:
    """One array of 64 cells, one of them failed."""
    fields: dict[str, Any] = {
        "kind": "program",
        "restores": None,
        "run_id": "run-1",
        "simulated": True,
        "chip": CHIP,
        "profile": "tiny",
        "profile_sha256": "p" * 64,
        "image_sha256": "i" * 64,
        "utc": "2030-01-01T00:00:00Z",
        "argv": ("memprog", "program", "--array"),
        "denoise": True,
        "dry_run": False,
        "resumed": False,
        "resumes": 0,
        "limits": {"set_max_v": 2.5},
        "defects_by_reason": {"open": 1},
        "cells": 64,
        "cells_done": 63,
        "cells_failed": 1,
        "failed_by_reason": {"stuck low": 1},
        "yield_fraction": 63 / 64,
        "min_yield": 0.9,
        "passed": True,
        "pulses_total": 640,
        "pulses_per_cell_mean": 10.0,
        "pulses_per_cell_p99": 30.0,
        "samples_per_cell_mean": 400.0,
        "denoise_pulses_total": 100,
        "rounds": 31,
        "chip_time_s": 12.5,
        "host_time_s": 0.5,
        "arrays": [array_row(0)],
        "verify": verify_report().to_dict(),
    }
    return ProgramReport(**fields | changes)


def array_row(array: int) -> dict[str, Any]:
    """What a program report says of one array."""
    counts = {"cells": 64, "cells_done": 63, "cells_failed": 1, "rounds": 31, "pulses_total": 640}
    return {"array": array, **counts, "chip_time_s": 12.5}


def verified_row(array: int, in_window: int = 63) -> dict[str, Any]:
    """What a verify report says of one array."""
    counts = {"cells": 64, "cells_in_window": in_window, "cells_unread": 0}
    return {"array": array, **counts, "yield_fraction": in_window / 64}


def read_report() -> ReadReport:
    """One array."""
    return ReadReport(
        simulated=True, chip=CHIP, path="g.npy", arrays=(0,), cells=64, unread=1, noise_median_usiemens=0.1
    )


def pulse_report(**changes: Any) -> PulseReport:
    """A ramp on 16 cells, one of which was left out at the end."""
    fields: dict[str, Any] = {
        "run_id": "run-2",
        "simulated": True,
        "chip": CHIP,
        "profile": "tiny",
        "profile_sha256": "p" * 64,
        "utc": "2030-01-01T00:00:00Z",
        "argv": ("memprog", "pulse"),
        "dry_run": False,
        "limits": {"set_max_v": 2.5},
        "array": 0,
        "cells": 16,
        "bias_name": "SET",
        "amplitudes_v": (1.0, 1.1),
        "gate_v": 1.5,
        "width_ns": 1000,
        "count": 1,
        "pulses_planned": 32,
        "pulses_total": 31,
        "cells_held_back": 1,
        "cells_unread": 0,
        "readback_first_median_usiemens": 100.0,
        "readback_last_median_usiemens": math.nan,
        "events": 47,
        "path": "log.csv",
        "sha256": "l" * 64,
        "chip_time_s": 0.5,
        "host_time_s": 0.1,
    }
    return PulseReport(**fields | changes)


def characterise_report() -> CharacteriseReport:
    """Two cells and a plan of one stage."""
    return CharacteriseReport(
        run_id="run-3",
        simulated=True,
        chip=CHIP,
        profile="tiny",
        profile_sha256="p" * 64,
        utc="2030-01-01T00:00:00Z",
        argv=("memprog", "characterise"),
        dry_run=False,
        limits={"set_max_v": 2.5},
        array=0,
        cells=2,
        places=[[0, 1], [2, 3]],
        plan=[{"stage": "cycles", "pulses": 24, "readings": 0}],
        pulses_planned=48,
        pulses_total=48,
        pulses_per_cell=24,
        events=50,
        path="measured",
        files=[{"name": "pulses.csv", "bytes": 4000, "sha256": "f" * 64}],
        chip_time_s=100.0,
        host_time_s=1.0,
    )


def _measured(path: str) -> dict[str, Any]:
    """What the reports of both verbs that only read share."""
    return {
        "simulated": True,
        "chip": CHIP,
        "profile": "tiny",
        "profile_sha256": "p" * 64,
        "path": path,
        "sha256": "m" * 64,
        "array": 0,
        "cells": 4,
        "unread": 1,
        "samples": 48,
        "chip_time_s": 0.5,
    }


def noise_report() -> NoiseReport:
    """One plateau with one fluctuator, not pooled with any other."""
    estimate = {"value": 2.0, "low": 1.9, "high": math.inf}
    keys = ("step_usiemens", "tau_low_s", "tau_high_s", "occupancy")
    fluctuator = dict.fromkeys(keys, estimate) | {"switchings": 80.0, "trouble": ""}
    plateau = {
        "path": "t.npz",
        "array": None,
        "row": None,
        "column": None,
        "bias_v": 0.2,
        "conductance_usiemens": 98.0,
        "fluctuators": [fluctuator],
        "noise_usiemens": estimate,
        "colour_exponent": estimate,
        "lines": [],
    }
    return NoiseReport(
        files=[{"path": "t.npz", "sha256": "n" * 64, "simulated": None, "cells": 1}],
        plateaus=[plateau],
        unread=["u.npz, cell 0: not read"],
        pooled=[],
        trends={"tau_low": None, "tau_high": None},
        picture=None,
    )


def profile_fit_report() -> ProfileFitReport:
    """One number replaced, and one not."""
    fitted = {"key": "simulation.switching_slope_v", "before": 0.07, "value": 0.09, "low": 0.085, "high": math.inf}
    return ProfileFitReport(
        profile="mine",
        profile_sha256="p" * 64,
        path="mine.yaml",
        base="tiny",
        base_sha256="b" * 64,
        files=[{"path": "pulses.csv", "kind": "pulse log", "sha256": "f" * 64, "cells": 64}],
        fitted=[fitted | {"cells": 64, "files": [0]}],
        kept=[{"key": "simulation.flicker_usiemens", "reason": "nothing in the files tells of it"}],
        unread=[],
    )


def iv_report() -> IvReport:
    """Two read voltages."""
    return IvReport(**_measured("iv.csv"), read_v=(0.1, 0.2), rise_median=0.01)


def trace_report() -> TraceReport:
    """A trace of a few samples."""
    return TraceReport(**_measured("t.npz"), read_v=0.2, interval_s=2e-4, span_s=0.0094, noise_median_usiemens=math.nan)


def chip_report() -> ChipReport:
    """A simulated chip of one small array."""
    return ChipReport(
        simulated=True,
        chip=CHIP,
        profile="tiny",
        profile_sha256="p" * 64,
        geometry={"arrays": 1, "rows": 8, "columns": 8},
        capabilities={"gate_line": "row", "product": False, "cell_switch_s": 1e-6},
        limits={"set_max_v": 2.5},
        pulses_total=None,
        pulses_recorded=12,
        pulses_per_cell_max=2,
        defects_by_reason={"stuck_low": 1},
        defects=[{"array": 0, "row": 1, "column": 2, "reason": "stuck_low"}],
        clock_s=0.0,
        path="chip",
    )


def status_report() -> StatusReport:
    """An image and nothing else."""
    return StatusReport(
        workspace=".memprog",
        image={"path": "image.safetensors", "sha256": "a" * 64, "profile": "tiny", "layers": 1, "cells": 64},
        chip=None,
        runs=[{"run_id": "run-1", "utc": "2030-01-01T00:00:00Z", "state": "done", "cells": 64, "cells_done": 63}],
        next_step="Type: memprog program --array",
    )


def failure_report() -> FailureReport:
    """A run that was stopped."""
    run = dict.fromkeys(RUN, 0) | {"run_id": "run-1"}
    return failure(6, "stopped", ["`memprog program --resume`"], run)


def runs_report() -> RunsReport:
    """One run, under way."""
    run = {"run_id": "run-1", "kind": "program", "chip": "SIM-1", "former_chip": False, "state": "running"}
    began = {"utc": "2030-01-01T00:00:00Z", "image_sha256": "i" * 64, "memprog_version": "0.1.0", "cells": 64}
    results = {"cells_done": None, "cells_in_window": None, "pulses_total": None}
    return RunsReport(journal="journal.sqlite", runs=[run | began | results])


def demo_report() -> DemoReport:
    """Two variants."""
    variant = DemoVariant(
        yield_fraction=0.95,
        true_yield_fraction=0.94,
        true_yield_time_average_fraction=0.98,
        false_done_fraction=0.01,
        weight_snr_db=51.2,
        weight_snr_done_db=61.5,
        accuracy=0.975,
    )
    return DemoReport(
        simulated=True,
        profile="tiny",
        seed=0,
        cells=64,
        heldout_images=360,
        accuracy_original=0.98,
        accuracy_quantised=0.98,
        denoise=variant,
        no_denoise=variant,
        pulses_per_cell_mean=10.0,
        samples_per_cell_mean=400.0,
        chip_time_s=12.5,
        host_time_s=0.5,
    )


def figure_report() -> FigureReport:
    """A figure without a picture."""
    paths = {"picture": None, "numbers": "fig2.csv", "facts": "fig2.json"}
    return FigureReport(figure="fig2", seed=2, paths=paths, facts={"islands_before": 3.0, "measured_tau_s": math.nan})


def check_report(**changes: Any) -> CheckReport:
    """One fact, and a simulated figure outside of its band."""
    row = CheckRow(
        group="rtn",
        name="step",
        fact="step of the signal",
        unit="uS",
        published_low=2.0,
        published_high=2.0,
        simulated=math.nan,
        deviation=math.nan,
        band_low=1.0,
        band_high=math.inf,
        band_reason="half is enough",
        kind=Kind.TUNED,
        source="a paper",
        held_fixed="all else",
        inside=False,
    )
    fields: dict[str, Any] = {
        "simulated": True,
        "seed": 0,
        "groups": ("rtn",),
        "rows": (row,),
        "rows_inside": 0,
        "passed": False,
        "not_modelled": ("the rest",),
        "host_time_s": 0.5,
    }
    return CheckReport(**fields | changes)


def load_report(**changes: Any) -> LoadReport:
    """Two layers, one of them over two arrays."""
    tile = {"array": 0, "row": 0, "column": 8, "inputs": 4, "outputs": 4, "first_input": 0, "first_output": 0}
    layer = {
        "name": "fc1",
        "shape": (4, 4),
        "dtype": "F32",
        "outputs": 4,
        "inputs": 4,
        "tiles": [tile],
        "scale_min": 1e-4,
        "scale_max": 2e-4,
        "error_rms_relative": 0.001,
        "error_max_relative": 0.002,
        "clipped_fraction": 0.0,
    }
    fields: dict[str, Any] = {
        "weights": "w.npy",
        "weights_format": "npy",
        "weights_sha256": "w" * 64,
        "image": "image.safetensors",
        "image_sha256": "i" * 64,
        "profile": "tiny",
        "profile_sha256": "p" * 64,
        "levels": 2048,
        "layers": [layer, layer | {"name": "fc2\x1b[2J", "tiles": [tile, tile | {"array": 1}]}],
        "digital": ["bias"],
        "arrays_used": 2,
        "arrays_available": 4,
        "cells_used": 64,
        "fill_fraction": 0.5,
    }
    return LoadReport(**fields | changes)


def export_report() -> ExportReport:
    """One layer."""
    layer = ExportedLayer(name="fc1", shape=(4, 4), dtype="F32", error_rms_relative=1e-3, error_max_relative=math.nan)
    return ExportReport(
        simulated=True,
        chip=CHIP,
        path="out.npy",
        sha256="o" * 64,
        format="npy",
        image_sha256="i" * 64,
        layers=[layer],
        digital=[],
    )
