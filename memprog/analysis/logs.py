"""Logs of pulses and of read-voltage sweeps, as CSV files.

A pulse log, format 1::

    # memprog pulse log, format 1
    # chip: SIM-1a2b3c4d, SIMULATED
    # profile: rao2023-11bit 3516388f
    array,row,column,bias_name,amplitude_v,gate_v,width_ns,readback_usiemens,time_s
    0,3,17,READ,0.2,3,20000,118.42,0.5012
    0,3,17,SET,1.6,1.55,1000,131.07,0.5043

One line an event, in the order in which they happened. ``bias_name`` SET, RESET, SUB_THRESHOLD or FORM is a pulse:
``amplitude_v`` at the driver as it came out, ``gate_v``, ``width_ns``, and in ``readback_usiemens`` the reading right
after it; ``time_s`` is the chip's clock at the end of the pulse. READ is a reading alone: ``amplitude_v`` is the
nominal read voltage, ``gate_v`` the gate of the read, ``width_ns`` the aperture of a sample, ``time_s`` the chip's
clock at its end. ``readback_usiemens`` is empty where the cell could not be read. Amplitudes are at least 0: the name
of the bias says which line they are on. Lines that begin with # may stand above the names of the columns and nowhere
else; a file without the first is read as format 1. At most 256 MiB are read; what is not understood is refused with
the number of its line.

A sweep has the columns ``array,row,column,read_v,current_a,readback_usiemens,time_s``: the nominal read voltage, the
current less the reading at zero volts, and their conductance at the voltage that was really there. Current and
readback are empty where the cell could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memprog.analysis.tables import Column, Table, decode_table, encode_table, read_table, texts
from memprog.chip import Bias, Cells, FloatArray, IntArray
from memprog.errors import InputError
from memprog.files import refuse_binary, replace_whole

PULSE_LOG, SWEEP = "pulse log", "sweep"
"""How the files name themselves."""
READ = 0
"""In the place of a Bias: a reading alone."""
BIAS_NAMES = ("READ", *(bias.name for bias in sorted(Bias)))
LINE_BYTES = 128
"""No line of a pulse log that is written here is longer."""

_PLACE = (Column(name="array", whole=True), Column(name="row", whole=True), Column(name="column", whole=True))
_PULSE_COLUMNS = (
    *_PLACE,
    Column(name="bias_name", words=BIAS_NAMES),
    Column(name="amplitude_v"),
    Column(name="gate_v"),
    Column(name="width_ns", whole=True),
    Column(name="readback_usiemens", optional=True),
    Column(name="time_s"),
)
_SWEEP_COLUMNS = (
    *_PLACE,
    Column(name="read_v"),
    Column(name="current_a", optional=True),
    Column(name="readback_usiemens", optional=True),
    Column(name="time_s"),
)
_FORMS = {"amplitude_v": "%.7g", "gate_v": "%.7g", "read_v": "%.7g", "readback_usiemens": "%.7g", "current_a": "%.9g"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PulseLog:
    """Events in the order in which they happened, all (n,); see the module.

    ``bias`` is READ or a Bias; ``readback_usiemens`` NaN where the cell could not be read.
    """

    cells: Cells
    bias: NDArray[np.uint8]
    amplitude_v: FloatArray
    gate_v: FloatArray
    width_ns: IntArray
    readback_usiemens: FloatArray
    time_s: FloatArray
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no chip was ever given."""
        _check_lengths(self, len(self.cells))
        if not np.isin(self.bias, range(len(BIAS_NAMES))).all():
            raise InputError("a pulse log has an event that is neither a reading nor a pulse there is")
        _refuse_below(self.amplitude_v, 0.0, "amplitude_v")
        _refuse_below(self.width_ns, 1, "width_ns")

    def __len__(self) -> int:
        """Number of events."""
        return len(self.bias)

    @property
    def pulses(self) -> int:
        """Number of events that are pulses."""
        return int(np.count_nonzero(self.bias))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """Currents at several read voltages, all (n,); see the module. NaN where a cell could not be read."""

    cells: Cells
    read_v: FloatArray
    current_a: FloatArray
    readback_usiemens: FloatArray
    time_s: FloatArray
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse columns that do not belong together."""
        _check_lengths(self, len(self.cells))


def read_pulse_log(path: Path) -> PulseLog:
    """Read a pulse log.

    Raises:
        InputError: names the file, the line and what is wrong with it.
    """
    return _pulse_log(read_table(path, PULSE_LOG, _PULSE_COLUMNS), f"{path}: ")


def decode_pulse_log(data: bytes) -> PulseLog:
    """Take the bytes of a pulse log apart; see read_pulse_log."""
    return _pulse_log(decode_table(data, PULSE_LOG, _PULSE_COLUMNS), "")


def encode_pulse_log(log: PulseLog) -> bytes:
    """Write a pulse log: volts and uS to seven digits, times to a nanosecond."""
    columns = _place_texts(log.cells)
    columns["bias_name"] = [BIAS_NAMES[bias] for bias in log.bias.tolist()]
    columns |= _texts(log, ("amplitude_v", "gate_v"))
    columns["width_ns"] = texts(log.width_ns, "%d")
    columns |= _texts(log, ("readback_usiemens",))
    return encode_table(PULSE_LOG, log.facts, columns | {"time_s": _time_texts(log.time_s)})


def write_pulse_log(path: Path, log: PulseLog) -> bytes:
    """Put a pulse log in the place of a text file, and give its bytes.

    Raises:
        InputError: it cannot be written, or something that is no text stands there.
    """
    return _replaced(path, encode_pulse_log(log))


def read_sweep(path: Path) -> Sweep:
    """Read a sweep of read voltages.

    Raises:
        InputError: names the file, the line and what is wrong with it.
    """
    table = read_table(path, SWEEP, _SWEEP_COLUMNS)
    values = dict(table.columns)
    return Sweep(cells=_cells(values), facts=table.facts, **values)


def encode_sweep(sweep: Sweep) -> bytes:
    """Write a sweep of read voltages."""
    columns = _place_texts(sweep.cells) | _texts(sweep, ("read_v", "current_a", "readback_usiemens"))
    return encode_table(SWEEP, sweep.facts, columns | {"time_s": _time_texts(sweep.time_s)})


def write_sweep(path: Path, sweep: Sweep) -> bytes:
    """Put a sweep in the place of a text file, and give its bytes; raises as write_pulse_log."""
    return _replaced(path, encode_sweep(sweep))


def _pulse_log(table: Table, where: str) -> PulseLog:
    values = dict(table.columns)
    try:
        return PulseLog(cells=_cells(values), bias=values.pop("bias_name"), facts=table.facts, **values)
    except InputError as error:
        raise InputError(f"{where}{error}") from error


def _cells(values: dict[str, NDArray[Any]]) -> Cells:
    return Cells(array=values.pop("array"), row=values.pop("row"), column=values.pop("column"))


def _place_texts(cells: Cells) -> dict[str, list[str]]:
    return {name: texts(getattr(cells, name), "%d") for name in ("array", "row", "column")}


def _texts(log: PulseLog | Sweep, names: tuple[str, ...]) -> dict[str, list[str]]:
    return {name: texts(getattr(log, name), _FORMS[name]) for name in names}


def _time_texts(time_s: FloatArray) -> list[str]:
    return texts(time_s, "%.9f")


def _check_lengths(log: PulseLog | Sweep, n: int) -> None:
    for name in log.__slots__:
        value = getattr(log, name)
        if isinstance(value, np.ndarray) and value.shape != (n,):
            raise InputError(f"a log of {n} events has {name} of shape {value.shape}")


def _refuse_below(values: NDArray[Any], least: float, name: str) -> None:
    # Written so that NaN is refused, too.
    low = np.flatnonzero(~(values >= least))
    if len(low):
        raise InputError(f"event {low[0] + 1} has {name} {values[low[0]]:.7g}; the least there is is {least:g}")


def _replaced(path: Path, data: bytes) -> bytes:
    refuse_binary(path)
    replace_whole(path, data)
    return data
