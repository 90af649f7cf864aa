"""The record of a chip's life: what is read back, and what no record says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_cases import small_profile

from memprog.errors import InputError
from memprog.session import ChipRecord
from memprog.session.record import _KEY, _checksum
from memprog.tensors import decode_safetensors, encode_safetensors

GEOMETRY = small_profile(rows=3, columns=4, arrays=2).geometry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    record = ChipRecord("SIM-1", GEOMETRY)
    record.pulses[1, 2, 3], record.defects[0, 0, 1], record.holds = 7, 2, "image"
    record.write(tmp_path / "chip.record")
    return tmp_path / "chip.record"


def rewrite(path: Path, *, honest: bool, **changes: Any) -> None:
    """Change facts of a record; an honest one has a checksum that fits them."""
    tensors, metadata = decode_safetensors(path.read_bytes())
    facts = json.loads(metadata[_KEY]) | changes
    if honest:
        del facts["checksum"]
        facts["checksum"] = _checksum(facts, tensors["pulses"].bits, tensors["defects"].bits)
    path.write_bytes(encode_safetensors(tensors, {_KEY: json.dumps(facts)}))


def test_a_record_is_read_back_as_it_was_written(path: Path) -> None:
    record = ChipRecord.read(path, "SIM-1", GEOMETRY)
    assert (record.pulses.sum(), record.pulses[1, 2, 3], record.holds) == (7, 7, "image")
    np.testing.assert_array_equal(np.argwhere(record.defects), [[0, 0, 1]])


def test_the_record_of_another_chip_says_nothing_of_this_one(path: Path) -> None:
    assert ChipRecord.read(path, "SIM-2", GEOMETRY).pulses.sum() == 0


@pytest.mark.parametrize("changes", [{"counted": {"a": 5}}, {"holds": "other"}, {"serial": "SIM-2"}], ids=str)
def test_every_fact_is_under_the_checksum(path: Path, changes: dict[str, Any]) -> None:
    rewrite(path, honest=False, **changes)
    with pytest.raises(InputError, match="does not fit its checksum; move it away"):
        ChipRecord.read(path, "SIM-1", GEOMETRY)


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": 1},
        {"format_version": ["x" * 1000]},
        {"counted": {"a": float("inf")}},
        {"counted": {"a": 1.5}},
        {"counted": {"a": 2**70}},
        {"counted": ["a"]},
        {"extra": -1},
        {"extra": 0.5},
        {"holds": 3},
        {"serial": None},
    ],
    ids=str,
)
def test_what_no_record_says_is_refused_under_a_checksum_that_fits(path: Path, changes: dict[str, Any]) -> None:
    rewrite(path, honest=True, **changes)
    with pytest.raises(InputError, match="cannot be read") as caught:
        ChipRecord.read(path, "SIM-1", GEOMETRY)
    assert len(str(caught.value)) < 500


def test_metadata_nested_without_end_is_refused(path: Path) -> None:
    tensors, _ = decode_safetensors(path.read_bytes())
    path.write_bytes(encode_safetensors(tensors, {_KEY: "[" * 100_000}))
    with pytest.raises(InputError, match="cannot be read"):
        ChipRecord.read(path, "SIM-1", GEOMETRY)
