"""Pulse logs and sweeps as files: what is written comes back, and what is not understood is refused with its line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memprog.analysis import tables
from memprog.analysis.logs import (
    BIAS_NAMES,
    LINE_BYTES,
    PulseLog,
    Sweep,
    decode_pulse_log,
    encode_pulse_log,
    read_pulse_log,
    read_sweep,
    write_pulse_log,
    write_sweep,
)
from memprog.chip import Bias, Cells
from memprog.errors import InputError

HEADS = "array,row,column,bias_name,amplitude_v,gate_v,width_ns,readback_usiemens,time_s"
LINE = "0,3,17,SET,1.6,1.55,1000,131.07,0.5043"
TITLE = "# memprog pulse log, format 1"

fine = st.floats(-1e4, 1e4, allow_nan=False)
volts = st.floats(0.0, 10.0)


def cells_of(places: list[tuple[int, int, int]]) -> Cells:
    array, row, column = np.array(places, dtype=np.int64).reshape(-1, 3).T
    return Cells(array=array, row=row, column=column)


place = st.integers(0, 2**31 - 1)
events = st.tuples(
    place,
    place,
    place,
    st.integers(0, 4),
    volts,
    volts,
    st.integers(1, 10**9),
    fine | st.just(np.nan),
    st.floats(0.0, 1e6),
)


@st.composite
def logs(draw: st.DrawFn) -> PulseLog:
    drawn = draw(st.lists(events, max_size=12))
    array, row, column, bias, amplitude_v, gate_v, width_ns, readback, time_s = (
        np.array([event[k] for event in drawn]) for k in range(9)
    )
    return PulseLog(
        cells=Cells(array=array.astype(np.int64), row=row.astype(np.int64), column=column.astype(np.int64)),
        bias=bias.astype(np.uint8),
        amplitude_v=amplitude_v,
        gate_v=gate_v,
        width_ns=width_ns.astype(np.int64),
        readback_usiemens=readback,
        time_s=time_s,
        facts={"chip": "SIM-1, SIMULATED"},
    )


@settings(max_examples=60)
@given(logs())
def test_a_log_that_is_written_comes_back(log: PulseLog) -> None:
    data = encode_pulse_log(log)
    back = decode_pulse_log(data)
    assert max(map(len, data.splitlines()[3:]), default=0) < LINE_BYTES
    assert back.facts == log.facts
    for name in ("array", "row", "column"):
        np.testing.assert_array_equal(getattr(back.cells, name), getattr(log.cells, name))
    np.testing.assert_array_equal(back.bias, log.bias)
    np.testing.assert_array_equal(back.width_ns, log.width_ns)
    for name in ("amplitude_v", "gate_v", "readback_usiemens"):
        np.testing.assert_allclose(getattr(back, name), getattr(log, name), rtol=1e-6, equal_nan=True)
    np.testing.assert_allclose(back.time_s, log.time_s, atol=1e-9)
    assert encode_pulse_log(back) == data


def test_every_bias_there_is_has_its_name_in_a_log() -> None:
    assert BIAS_NAMES[0] == "READ"
    assert all(BIAS_NAMES[bias] == bias.name for bias in Bias)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADS}\n{LINE}\n",
        f"{HEADS}\n{LINE}",
        f"{HEADS}\r\n{LINE}\r\n",
        f"\ufeff{HEADS}\n{LINE}\n",
        f"# made by another tool\n{HEADS}\n{LINE}\n",
        f"{TITLE}\n# chip: A-1\n{HEADS}\n{LINE}\n",
    ],
    ids=["bare", "no last newline", "Windows", "byte order mark", "foreign remark", "ours"],
)
def test_logs_of_other_tools_fit(text: str) -> None:
    log = decode_pulse_log(text.encode())
    assert (len(log), log.pulses) == (1, 1)
    assert (log.cells.row[0], log.cells.column[0]) == (3, 17)
    assert BIAS_NAMES[log.bias[0]] == "SET"
    assert log.readback_usiemens[0] == 131.07


def test_a_cell_that_could_not_be_read_has_an_empty_field() -> None:
    log = decode_pulse_log(f"{HEADS}\n0,0,0,READ,0.2,3,1000,,1\n".encode())
    assert np.isnan(log.readback_usiemens[0])
    assert log.pulses == 0
    assert b",1000,,1.000000000\n" in encode_pulse_log(log)


def test_an_empty_log_is_one(tmp_path: Path) -> None:
    log = decode_pulse_log(f"{TITLE}\n{HEADS}\n".encode())
    write_pulse_log(tmp_path / "log.csv", log)
    assert len(read_pulse_log(tmp_path / "log.csv")) == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"# memprog pulse log, format 2\n{HEADS}\n{LINE}", "line 1: format 2; this memprog reads 1"),
        (f"# memprog pulse log, format x\n{HEADS}\n{LINE}", "line 1: format x; this memprog reads 1"),
        (f"# memprog sweep, format 1\n{HEADS}\n{LINE}", "line 1: holds a sweep, not a pulse log"),
        (f"{TITLE}\n", "has no line that names its columns"),
        (f"{HEADS},wear\n{LINE},1", "line 1: there is no column 'wear'"),
        (f"{TITLE}\n{HEADS.replace(',gate_v', '')}\n{LINE}", "line 2: column 'gate_v' is missing"),
        (f"{HEADS},array\n{LINE},0", "line 1: the columns must stand in this order, each once"),
        (f"column,row,array{HEADS[16:]}\n{LINE}", "line 1: the columns must stand in this order"),
        (f"{HEADS}\n{LINE}\n{LINE},7\n", "line 3: has 10 fields; a line has 9"),
        (f"{HEADS}\n{LINE}\n\n{LINE}\n", "line 3: has 1 fields"),
        (f"{HEADS}\n# late\n{LINE}\n", "line 2: has 1 fields"),
        (f"{HEADS}\n{LINE}\n{LINE.replace('SET', 'set')}\n", "line 3: bias_name 'set' is none of READ, SET, RESET"),
        (f"{HEADS}\n{LINE.replace('1.6', 'nan')}\n", "line 2: amplitude_v 'nan' is no number"),
        (f"{HEADS}\n{LINE.replace('1.6', '')}\n", "line 2: amplitude_v '' is no number"),
        (f"{HEADS}\n{LINE.replace('1.6', '1_6')}\n", "line 2: amplitude_v '1_6' is no number"),
        (f"{HEADS}\n{LINE.replace('1.6', '1e999')}\n", "line 2: amplitude_v '1e999' is too large"),
        (f"{HEADS}\n{LINE.replace('1.6', '-1.6')}\n", "event 1 has amplitude_v -1.6; the least there is is 0"),
        (f"{HEADS}\n{LINE.replace('131.07', 'inf')}\n", "line 2: readback_usiemens 'inf' is no number"),
        (f"{HEADS}\n{LINE.replace('17', '1.5')}\n", "line 2: column '1.5' is not a whole number"),
        (f"{HEADS}\n{LINE.replace('17', '-1')}\n", "line 2: column '-1' is not a whole number"),
        (f"{HEADS}\n{LINE.replace('17', '9' * 40)}\n", "is not a whole number"),
        (f"{HEADS}\n{LINE.replace('17', chr(0x661))}\n", "is not a whole number"),
        (f"{HEADS}\n{LINE.replace('1000', '0')}\n", "event 1 has width_ns 0; the least there is is 1"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_line(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: .*{re.escape(sentence)}") as refused:
        read_pulse_log(path)
    assert "\n" not in str(refused.value)


def test_a_line_far_down_is_named_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_BLOCK_LINES", 16)
    lines = [TITLE, HEADS, *[LINE] * 100]
    assert len(decode_pulse_log("\n".join(lines).encode())) == 100
    lines[77] = lines[77].replace("1.55", "x")
    with pytest.raises(InputError, match="line 78: gate_v 'x' is no number"):
        decode_pulse_log("\n".join(lines).encode())


def test_files_that_are_no_logs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.csv"
    with pytest.raises(InputError, match="there is no such file"):
        read_pulse_log(path)
    path.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(InputError, match="is no text at byte 4"):
        read_pulse_log(path)
    monkeypatch.setattr(tables, "MAX_BYTES", 1000)
    path.write_bytes(b"\n" * 1001)
    with pytest.raises(InputError, match="holds 1001 bytes; 1 to 1000 can be read"):
        read_pulse_log(path)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_log_or_one_sentence(noise: bytes) -> None:
    for data in (noise, TITLE.encode() + b"\n" + noise, HEADS.encode() + b"\n" + noise):
        try:
            decode_pulse_log(data)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either ending is fine


def test_nothing_that_is_no_text_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "weights.csv"
    path.write_bytes(b"\x93NUMPY\x00\x00")
    log = decode_pulse_log(f"{HEADS}\n{LINE}\n".encode())
    with pytest.raises(InputError, match="would be lost"):
        write_pulse_log(path, log)
    assert path.read_bytes() == b"\x93NUMPY\x00\x00"


def test_a_sweep_comes_back(tmp_path: Path) -> None:
    sweep = Sweep(
        cells=cells_of([(0, 1, 2), (0, 1, 3)]),
        read_v=np.array([0.1, 0.1]),
        current_a=np.array([1.25e-5, np.nan]),
        readback_usiemens=np.array([125.9, np.nan]),
        time_s=np.array([0.1, 0.2]),
        facts={"chip": "A"},
    )
    data = write_sweep(tmp_path / "iv.csv", sweep)
    assert data.decode().splitlines()[2:4] == [
        "array,row,column,read_v,current_a,readback_usiemens,time_s",
        "0,1,2,0.1,1.25e-05,125.9,0.100000000",
    ]
    back = read_sweep(tmp_path / "iv.csv")
    np.testing.assert_array_equal(back.current_a, sweep.current_a)
    np.testing.assert_array_equal(back.cells.column, [2, 3])


def test_columns_of_different_lengths_are_no_log() -> None:
    with pytest.raises(InputError, match=r"a log of 1 events has gate_v of shape \(2,\)"):
        PulseLog(
            cells=cells_of([(0, 0, 0)]),
            bias=np.array([1], dtype=np.uint8),
            amplitude_v=np.ones(1),
            gate_v=np.ones(2),
            width_ns=np.ones(1, dtype=np.int64),
            readback_usiemens=np.ones(1),
            time_s=np.ones(1),
        )
