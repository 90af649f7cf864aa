"""Stand-ins and small cases that the tests of limits, loop, session, journal and jobs share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from memprog.chip import (
    Capabilities,
    Cells,
    Chip,
    ChipGeometry,
    Delivered,
    FloatArray,
    Identity,
    IntArray,
    Product,
    Pulses,
    Reading,
    ReadSpec,
    Status,
)
from memprog.errors import InstrumentError
from memprog.image import Image, read_image, write_image
from memprog.jobs.chips import make_chip
from memprog.jobs.setup import Part
from memprog.jobs.workspace import Workspace, open_workspace
from memprog.jobs.writing import Caller, Task
from memprog.profile import DEFAULT_PROFILE, ChipProfile, Levels, bundled_profile, load_profile
from memprog.session import Journal, Session
from memprog.simchip import SimChip

SOURCE = Path(__file__).parent.parent / "profiles" / f"{DEFAULT_PROFILE}.yaml"
OFFSET_A = 3e-8
SENSED = 0.993
"""Share of the read voltage that the recorder chip says is really there."""


def small_profile(*, arrays: int = 1, rows: int = 16, columns: int = 16, **sections: dict[str, Any]) -> ChipProfile:
    """The default profile on a small chip, with some values of some sections changed."""
    changes = {"geometry": {"arrays": arrays, "rows": rows, "columns": columns}, **sections}
    profile = bundled_profile(DEFAULT_PROFILE)
    return dataclasses.replace(
        profile, **{name: dataclasses.replace(getattr(profile, name), **values) for name, values in changes.items()}
    )


def cells_at(*places: tuple[int, int, int]) -> Cells:
    """Cells by (array, row, column)."""
    array, row, column = np.array(places, dtype=np.int64).reshape(-1, 3).T
    return Cells(array=array, row=row, column=column)


def pulses_of(bias: Any, amplitude_v: Any, gate_v: Any, width_ns: Any) -> Pulses:
    """Pulses from plain lists."""
    return Pulses(
        bias=np.array(bias, dtype=np.uint8),
        amplitude_v=np.array(amplitude_v, dtype=np.float64),
        gate_v=np.array(gate_v, dtype=np.float64),
        width_ns=np.array(width_ns, dtype=np.int64),
    )


class RecorderChip:
    """A chip that does all it is told, remembers it, and never moves: the session alone can refuse."""

    def __init__(self, profile: ChipProfile, conductance_usiemens: Any = 1000.0) -> None:
        size = profile.geometry
        self.profile = profile
        self.conductance_usiemens = np.broadcast_to(
            np.asarray(conductance_usiemens, dtype=np.float64), (size.arrays, size.rows, size.columns)
        ).copy()
        self.row_current_max_a = profile.limits.row_current_max_a
        self.reads: list[tuple[Cells, ReadSpec]] = []
        self.batches: list[tuple[Cells, Pulses, int]] = []
        self.calls: list[str] = []
        self.broken = False
        self._clock_s = 0.0

    @property
    def identity(self) -> Identity:
        return Identity(maker="memprog", model="recorder", serial="REC-1", firmware="0", simulated=True)

    @property
    def geometry(self) -> ChipGeometry:
        size = self.profile.geometry
        return ChipGeometry(arrays=size.arrays, rows=size.rows, columns=size.columns)

    @property
    def capabilities(self) -> Capabilities:
        driver, readout = self.profile.driver, self.profile.readout
        return Capabilities(
            gate_line=driver.gate_line,
            amplitude_per=driver.amplitude_per,
            width_per=driver.width_per,
            compliance=driver.compliance,
            parallel_cells=readout.parallel_cells,
            row_current_max_a=self.row_current_max_a,
            cell_switch_s=0.0,
            concurrent_arrays=1,
            amplitude_lsb_v=driver.amplitude_lsb_v,
            gate_lsb_v=driver.gate_lsb_v,
            current_range_a=readout.range_a,
            current_lsb_a=1e-9,
            product=False,
            knows_last_batch=False,
        )

    def clock_s(self) -> float:
        return self._clock_s

    def read(self, cells: Cells, spec: ReadSpec) -> Reading:
        self._do("read")
        self.reads.append((cells, spec))
        self._clock_s += 1e-3
        n = len(cells)
        conductance = self.conductance_usiemens[cells.array, cells.row, cells.column] * (spec.gate_v > 0)
        current_a = conductance * 1e-6 * spec.read_v * SENSED + OFFSET_A
        status = np.where(np.isfinite(conductance), Status.OK, Status.CLAMPED).astype(np.uint8)
        group = np.arange(n) if spec.group is None else spec.group
        drawn_a = np.zeros(int(group.max(initial=0)) + 1)
        np.add.at(drawn_a, group, np.nan_to_num(current_a, posinf=0.0))
        status[drawn_a[group] > self.row_current_max_a] = Status.OVER_RANGE
        current_a[status != Status.OK] = np.nan
        return Reading(
            current_a=current_a,
            current_std_a=np.where(np.isnan(current_a), np.nan, 1e-8),
            lag1=np.zeros(n),
            sense_v=np.full(n, spec.read_v * SENSED),
            offset_a=np.full(n, OFFSET_A),
            range_a=np.full(n, self.profile.readout.range_a),
            status=status,
            time_s=np.full(n, self._clock_s),
            temperature_k=np.full(n, 300.0),
            samples=spec.samples,
        )

    def trace(self, cells: Cells, spec: ReadSpec) -> FloatArray:
        raise InstrumentError("the recorder takes no traces")

    def pulse(self, cells: Cells, pulses: Pulses, batch_id: int) -> Delivered:
        self._do("pulse")
        self.batches.append((cells, pulses, batch_id))
        return Delivered(
            status=np.zeros(len(cells), dtype=np.uint8), amplitude_v=pulses.amplitude_v, time_s=self._clock_s
        )

    def last_batch_id(self) -> int | None:
        return None

    def multiply(self, array: int, row_v: FloatArray, rows: Sequence[int] | IntArray, gate_v: float) -> Product:
        raise InstrumentError("the recorder has no product")

    def wait(self, seconds: float) -> None:
        self._do("wait")
        self._clock_s += seconds

    def make_safe(self) -> None:
        self.calls.append("make_safe")

    def close(self) -> None:
        self.calls.append("close")

    def _do(self, what: str) -> None:
        self.calls.append(what)
        if self.broken:
            raise InstrumentError(f"{what}: the wire is cut")


_fits: type[Chip] = RecorderChip


def start_run(journal: Journal, run_id: str = "run", *, chip: str = "REC-1", image_sha256: str = "image") -> None:
    """Open a run in a journal with the least a run needs."""
    kind = small_profile(rows=4, columns=4)
    part = Part(arrays=(0,), masks=(np.ones((1, 1), dtype=bool),), targets_usiemens=(np.zeros(1),))
    task = Task(
        kind="program",
        image_sha256=image_sha256,
        profile=kind,
        part=part,
        denoise=True,
        full=False,
        recheck=False,
        limits=kind.limits,
    )
    journal.start_run(run_id, chip=chip, facts=task.facts("2026-01-01T00:00:00+00:00", Caller()))


def recording(journal_path: Path, chip: RecorderChip, **session: Any) -> tuple[Session, Journal]:
    """A session on a recorder chip, with a run open in a journal."""
    journal = Journal(journal_path, durable=False)
    start_run(journal)
    return Session(chip, chip.profile, journal=journal, run_id="run", **session), journal


def write_profile(path: Path, *, rows: int, columns: int, arrays: int = 1, **changes: Any) -> ChipProfile:
    """Write the default profile for a small chip as a file; changes are ``section__key=value``."""
    tree = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    tree["name"] = "small"
    size = {"geometry__arrays": arrays, "geometry__rows": rows, "geometry__columns": columns}
    for place, value in (size | changes).items():
        section, key = place.split("__")
        tree[section].setdefault(key, {"assumption": "of this test"})["value"] = value
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return load_profile(str(path))


def random_targets(levels: Levels, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A random level for every cell, in uS."""
    level = np.random.default_rng(seed).integers(0, levels.count, shape)
    return (levels.min_usiemens + levels.spacing_usiemens * level).astype(np.float32)


def write_targets(path: Path, profile: ChipProfile, targets_usiemens: np.ndarray) -> Image:
    """Write an image of bare targets, without layers."""
    image = Image(
        profile_name=profile.name,
        profile_sha256=profile.sha256,
        weights_sha256="",
        weights_name="weights.npy",
        weights_format="npy",
        layers=(),
        digital={},
        targets_usiemens=targets_usiemens.astype(np.float32),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, image)
    return read_image(path)


@dataclasses.dataclass(frozen=True)
class Bench:
    """A workspace with an image of random levels and the profile it was made for."""

    workspace: Workspace
    kind: ChipProfile
    profile: str
    image: Image


def make_bench(
    folder: Path, *, rows: int, columns: int, seed: int, arrays: int = 1, chip: bool = True, **changes: Any
) -> Bench:
    """Lay out a workspace for a small job: profile, image of random levels, and a new chip of the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    profile = folder / "small.yaml"
    kind = write_profile(profile, rows=rows, columns=columns, arrays=arrays, **changes)
    workspace = open_workspace(folder / ".memprog")
    targets = random_targets(kind.levels, (arrays, rows, columns), seed)
    image = write_targets(workspace.image_path, kind, targets)
    if chip:
        make_chip(workspace.chip_path, kind, seed=seed, arrays=arrays)
    return Bench(workspace=workspace, kind=kind, profile=str(profile), image=image)


def wear_of(bench: Bench, array: int = 0) -> np.ndarray:
    """Pulses every cell of an array has had, as the chip knows (rows, columns)."""
    chip = SimChip(bench.workspace.chip_path, bench.kind)
    size = bench.kind.geometry
    return np.array(chip._load(array)["wear"]).reshape(size.rows, size.columns)
