"""Reports become JSON whose field names are an interface."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import sample_reports as samples
from hypothesis import given
from hypothesis import strategies as st

import memprog
from memprog import report
from memprog.report import Report, plain

VERIFY_FIELDS = """schema_version memprog_version simulated chip profile profile_sha256 image_sha256 cells
cells_in_window yield_fraction window_usiemens window_floor_usiemens error_mean_usiemens error_std_usiemens
error_max_usiemens noise_median_usiemens noise_p99_usiemens noise_span_s levels effective_bits stuck_cells
first_failures cells_unread fluctuating_cells min_yield passed utc argv arrays limits"""
PROGRAM_FIELDS = """schema_version memprog_version run_id simulated cells cells_done cells_failed failed_by_reason
pulses_total pulses_per_cell_mean pulses_per_cell_p99 samples_per_cell_mean denoise_pulses_total rounds chip_time_s
host_time_s resumed chip profile profile_sha256 image_sha256 yield_fraction min_yield passed denoise dry_run arrays
verify utc argv kind restores limits resumes defects_by_reason"""
ALL = [
    samples.verify_report(),
    samples.program_report(),
    samples.read_report(),
    samples.check_report(),
    samples.chip_report(),
    samples.status_report(),
    samples.runs_report(),
    samples.failure_report(),
    samples.demo_report(),
    samples.load_report(),
    samples.export_report(),
    samples.figure_report(),
    samples.pulse_report(),
    samples.characterise_report(),
    samples.iv_report(),
    samples.noise_report(),
    samples.profile_fit_report(),
    samples.trace_report(),
]


def report_kinds() -> list[type[Report]]:
    kinds = [getattr(report, name) for name in report.__all__]
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Report) and kind is not Report]


def test_there_is_a_sample_of_every_kind_of_report() -> None:
    assert {type(one) for one in ALL} == set(report_kinds())


def test_verify_json_has_the_fields_users_rely_on() -> None:
    assert set(samples.verify_report().to_dict()) == set(VERIFY_FIELDS.split())


def test_program_json_has_the_fields_users_rely_on() -> None:
    assert set(samples.program_report().to_dict()) == set(PROGRAM_FIELDS.split())


@pytest.mark.parametrize("one", ALL, ids=lambda one: type(one).__name__)
def test_every_report_starts_with_its_versions_and_is_strict_json(one: Report) -> None:
    fields = one.to_dict()
    assert list(fields)[:2] == ["schema_version", "memprog_version"]
    assert fields["schema_version"] == 1
    assert fields["memprog_version"] == memprog.__version__
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields


@pytest.mark.parametrize("kind", report_kinds(), ids=lambda kind: kind.__name__)
def test_every_field_is_documented(kind: type[Report]) -> None:
    documented = re.findall(r"^    (\w+)  +\S", inspect.getsource(kind), re.MULTILINE)
    assert {field.name for field in dataclasses.fields(kind)} <= set(documented)


def test_a_report_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        samples.verify_report().cells = 1  # type: ignore[misc]


def test_numpy_and_other_values_become_plain_ones() -> None:
    class Colour(enum.Enum):
        RED = "red"

    value = {
        1: np.float32(0.5),
        "a": np.array([[1.0, np.nan], [np.inf, -1.0]]),
        "b": (np.int64(3), np.bool_(True), Path("x")),
        "c": Colour.RED,
    }
    assert plain(value) == {"1": 0.5, "a": [[1.0, None], [None, -1.0]], "b": [3, True, "x"], "c": "red"}


@given(st.floats())
def test_what_is_no_number_becomes_null(value: float) -> None:
    assert plain(value) == (value if math.isfinite(value) else None)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x"])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="a report cannot hold a"):
        plain(value)
