"""Read conductances off a chip, into a file or for an export."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from memprog.chip import FloatArray
from memprog.errors import InputError
from memprog.files import replace_whole
from memprog.jobs.chips import SIM, chip_facts, profile_of_chip, reading
from memprog.jobs.looks import Looks, spread_looks
from memprog.jobs.progress import Listener, Progress, ignore
from memprog.jobs.setup import Part, check_array, median
from memprog.jobs.workspace import Workspace
from memprog.profile import ChipProfile
from memprog.report.chip import ReadReport
from memprog.session import Session

LOOKS = 4
"""Enough to average over fast fluctuators; verify looks longer."""
SPAN_S = 2.0


def read_conductances(
    workspace: Workspace,
    *,
    profile: str | None = None,
    backend: str = SIM,
    arrays: Sequence[int] | None = None,
    out_path: Path,
    expect_serial: str | None = None,
    timeout_s: float = 0.0,
    listener: Listener | None = None,
) -> ReadReport:
    """Read every cell of the chosen arrays and write a .npy (arrays, rows, columns) or a .csv, in uS.

    Raises:
        InputError: no chip, an array it does not have, or a file that cannot be written.
        InstrumentError: the chip could not be read.
    """
    if out_path.suffix not in {".npy", ".csv"}:
        raise InputError(f"{out_path}: conductances are written as .npy or .csv")
    kind = profile_of_chip(workspace, profile)
    with reading(
        workspace, kind, backend=backend, expect_serial=expect_serial, timeout_s=timeout_s, label="memprog read"
    ) as session:
        part = _whole_arrays(session, kind, arrays)
        looks = look_briefly(session, kind, part, listener or ignore)
        readback = looks.readback_usiemens.mean(axis=0)
        cube = readback.reshape(len(part.arrays), kind.geometry.rows, kind.geometry.columns)
        replace_whole(out_path, _npy(cube) if out_path.suffix == ".npy" else _csv(part.arrays, cube))
        noise = np.sqrt((looks.noise_usiemens**2).mean(axis=0))
        return ReadReport(
            simulated=session.identity.simulated,
            chip=chip_facts(session.identity),
            path=str(out_path),
            arrays=list(part.arrays),
            cells=part.cells,
            unread=int(np.isnan(readback).sum()),
            noise_median_usiemens=median(noise),
        )


def look_briefly(session: Session, kind: ChipProfile, part: Part, listener: Listener) -> Looks:
    """Look at every cell a few times over two seconds."""

    def after(looks: int) -> None:
        listener(
            Progress(
                kind="round",
                array=part.arrays[-1],
                arrays=len(part.arrays),
                stage="read",
                cells=part.cells,
                rounds=looks,
                fraction=looks / LOOKS,
            )
        )

    return spread_looks(session, part, looks=LOOKS, samples=kind.protocol.check_samples, span_s=SPAN_S, after=after)


def _whole_arrays(session: Session, kind: ChipProfile, arrays: Sequence[int] | None) -> Part:
    wanted = tuple(range(session.geometry.arrays)) if arrays is None else tuple(dict.fromkeys(arrays))
    for array in wanted:
        check_array(array, session.geometry)
    whole = np.ones((kind.geometry.rows, kind.geometry.columns), dtype=bool)
    return Part(arrays=wanted, masks=(whole,) * len(wanted))


def _npy(cube: FloatArray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, cube, allow_pickle=False)
    return stream.getvalue()


def _csv(arrays: Sequence[int], cube: FloatArray) -> bytes:
    """One line a cell: array,row,column,readback_usiemens; the last is empty where a cell could not be read."""
    lines = ["array,row,column,readback_usiemens"]
    for array, plane in zip(arrays, cube, strict=True):
        for (row, column), value in np.ndenumerate(plane):
            lines.append(f"{array},{row},{column},{'' if np.isnan(value) else f'{value:.6g}'}")
    return ("\n".join(lines) + "\n").encode()
