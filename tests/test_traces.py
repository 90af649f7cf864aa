"""Trace files: what is written comes back; archives that lie, swell or carry code are refused before they can harm."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memprog.analysis import traces as module
from memprog.analysis.traces import Traces, decode_traces, encode_traces, read_traces, write_traces
from memprog.chip import Cells
from memprog.errors import InputError

N = 50
PLAIN: Mapping[str, Any] = {
    "time_s": np.arange(N) * 2e-4,
    "bias_v": np.full(N, 0.2, dtype=np.float32),
    "current_a": np.linspace(1e-5, 2e-5, N, dtype=np.float32),
}


def archive(**members: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **{name: value for name, value in (PLAIN | members).items() if value is not None})
    return stream.getvalue()


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return stream.getvalue()


def npy(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=True)
    return stream.getvalue()


def two_cells() -> Traces:
    current_a = np.vstack([PLAIN["current_a"], np.full(N, np.nan, dtype=np.float32)])
    return Traces(
        time_s=PLAIN["time_s"],
        bias_v=np.full(N, 0.2),
        current_a=current_a,
        cells=Cells(array=np.array([0, 0]), row=np.array([1, 2]), column=np.array([3, 4])),
        bias_scale=np.array([0.993, 0.995]),
        simulated=True,
    )


def test_traces_that_are_written_come_back_the_same_bytes_each_time(tmp_path: Path) -> None:
    traces = two_cells()
    data = write_traces(tmp_path / "t.npz", traces)
    assert data == encode_traces(two_cells()) == (tmp_path / "t.npz").read_bytes()
    back = read_traces(tmp_path / "t.npz")
    np.testing.assert_array_equal(back.current_a, traces.current_a)
    assert back.current_a.dtype == np.float32
    assert back.cells is not None
    np.testing.assert_array_equal(back.cells.row, [1, 2])
    assert back.simulated is True
    expected = PLAIN["current_a"] / (0.2 * 0.993) * 1e6
    np.testing.assert_allclose(back.conductance_usiemens()[0], expected, rtol=1e-6)
    assert np.isnan(back.conductance_usiemens()[1]).all()


def test_one_cell_of_anybodys_archive_is_read() -> None:
    traces = decode_traces(archive())
    assert traces.current_a.shape == (1, N)
    assert (traces.cells, traces.bias_scale, traces.simulated) == (None, None, None)
    other = decode_traces(
        archive(
            simulated=True, current_a=np.ones((3, N), dtype=">f8"), array=[0, 0, 0], row=[1, 2, 3], column=[4, 4, 4]
        )
    )
    assert other.simulated is True
    assert other.current_a.dtype == np.float64
    assert other.cells is not None


def test_one_cell_fits_into_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("time_s,bias_v,current_a\n0.0001,0.2,1e-5\n0.0003,0.2,1.1e-5\n", encoding="utf-8")
    np.testing.assert_array_equal(read_traces(path).current_a, [[1e-5, 1.1e-5]])
    path.write_text("time_s,bias_v,current_a\n0.0001,0.2,\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2: current_a '' is no number"):
        read_traces(path)


class Harm:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (archive(current_a=None), "'current_a' is missing"),
        (archive(code=np.zeros(1)), "there is no 'code' in traces"),
        (archive(format_version=2), "format 2; this memprog reads 1"),
        (archive(format_version=[1, 1]), "'format_version' must be one value"),
        (archive(current_a=np.ones(N + 1)), "traces need"),
        (archive(current_a=np.ones((1, 1, N))), "traces need"),
        (archive(current_a=np.float64(1.0)), "traces need"),
        (archive(time_s=np.zeros(0), bias_v=np.zeros(0), current_a=np.zeros(0)), "n at least 1"),
        (archive(time_s=np.full(N, 1.0)), "must rise; sample 1 comes no later"),
        (archive(time_s=np.full(N, np.nan)), "a time or a bias that is no number"),
        (archive(bias_v=np.full(N, np.inf)), "a time or a bias that is no number"),
        (archive(current_a=np.full(N, np.inf)), "an infinite current"),
        (archive(current_a=np.ones(N, dtype=complex)), "dtype complex128 cannot be part of a trace"),
        (archive(current_a=np.ones(N, dtype=bool)), "a trace of true and false is none"),
        (archive(bias_v=np.array(["0.2"] * N)), "cannot be part of a trace"),
        (archive(row=[0]), "there is only row"),
        (archive(array=[0], row=[-1], column=[0]), "'row' must hold whole numbers, none below 0"),
        (archive(array=[0], row=[0.5], column=[0]), "'row' must hold whole numbers"),
        (archive(array=[0, 0], row=[0, 0], column=[0, 1]), "traces of 1 cells come with places of 2"),
        (archive(bias_scale=[0.0]), "'bias_scale' must be"),
        (b"PK\x03\x04 and no more", "not a whole .npz archive"),
        (b"\x93NUMPY", "does not start as one"),
        (archive()[:-30], "not a whole .npz archive"),
        (zipped({"time_s.npy": bytes(80 << 20)}, zipfile.ZIP_DEFLATED), "unfold to 83886080"),
        (zipped({"time_s.npy": b"\x93NUMPY\x01\x00"}), "it is not a whole .npy array"),
        (zipped({"run.py": b"print()"}), "is not a .npy array"),
        (zipped({"time_s.npy": npy(np.array([Harm()], dtype=object))}), "dtype object cannot be part of a trace"),
        (zipped({"time_s.npy": npy(np.zeros(3))[:-8]}), r"it claims float64 of shape (3,) but holds 16 bytes"),
    ],
)
def test_archives_that_are_no_traces_are_refused(
    data: bytes, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "t.npz"
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: .*{re.escape(sentence)}") as refused:
        read_traces(path)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "harm").exists()


def test_harm_would_be_done_by_whoever_unpickles_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Harm()))
    assert (tmp_path / "harm").exists()


def test_a_member_that_claims_more_than_a_trace_may_hold_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="unfold to"):
        decode_traces(archive())
    with pytest.raises(InputError, match="more than a trace file may hold"):
        encode_traces(two_cells())


def test_a_claim_of_terabytes_costs_nothing() -> None:
    header = npy(np.zeros(3)).replace(b"(3,), }", b"(9999999999999,), }").replace(b"          \n", b"\n")
    size = len(header) - 10 - 24
    header = header[:8] + size.to_bytes(2, "little") + header[10:]
    with pytest.raises(InputError, match=r"claims float64 of shape \(9999999999999,\) but holds 24 bytes"):
        decode_traces(zipped({"time_s.npy": header}))


def test_other_files_are_neither_read_nor_overwritten(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"traces are read from \.npz or \.csv"):
        read_traces(tmp_path / "t.mat")
    for name, content in {"a.npz": b"notes", "b.npz": b"SQLite format 3\0"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="would be lost"):
            write_traces(tmp_path / name, two_cells())
        assert (tmp_path / name).read_bytes() == content
