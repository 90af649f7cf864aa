"""Feed damaged files of one format to the jobs that read them, and print as JSON what came of it.

A process of its own, so that its peak of memory is that of the batch: hostile_batch.py FORMAT COUNT SEED FOLDER.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import itertools
import json
import os
import sqlite3
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import fuzz
import numpy as np
from loop_cases import Bench, make_bench
from weights_cases import random_tensor

from memprog.cli.config import read_file
from memprog.errors import MemprogError
from memprog.jobs.chips import chip_report
from memprog.jobs.load import load_weights
from memprog.jobs.program import program
from memprog.jobs.status import status
from memprog.jobs.verify import verify
from memprog.jobs.workspace import Workspace, open_workspace
from memprog.profile import bundled_profile, load_profile
from memprog.tensors import encode_safetensors
from memprog.weights import open_weights
from memprog.weights.npz import encode_npz

PROFILE = Path(__file__).parent.parent / "profiles" / "rao2023-11bit.yaml"
ADDRESS_SPACE = 6 << 30
"""So that a bomb is a MemoryError here, and not the end of the machine."""
SHOWN = 5

Job = Callable[[Path], object]


class Canary:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, ("canary", "w")


@dataclass(frozen=True)
class Target:
    """One format: valid files, how they are damaged, under what name they lie, who reads them."""

    seeds: Sequence[bytes]
    damage: fuzz.Damage
    path: Path
    jobs: Sequence[Job]
    left: frozenset[str] = frozenset()
    """Names that may appear beside the file."""


def npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def npy_files() -> list[bytes]:
    """Small arrays of several kinds, one of them pickled."""
    rng = np.random.default_rng(1)
    arrays = [
        rng.normal(size=(3, 4)).astype("<f4"),
        np.asfortranarray(rng.normal(size=(4, 3))),
        np.arange(12).reshape(3, 4).astype(">i2"),
        np.array([[Canary()]], dtype=object),
    ]
    files = [npy_bytes(array) for array in arrays]
    return [*files, files[0].replace(b"(3, 4)", b"(3L,4)")]


def npz_files() -> list[bytes]:
    """An archive as memprog writes it, a compressed one, and one with a pickle."""
    tensors = {name: random_tensor(k, (3, 4)) for k, name in enumerate("ab")}
    compressed, pickled = io.BytesIO(), io.BytesIO()
    np.savez_compressed(compressed, a=np.ones((2, 3)), b=np.zeros((40, 4)))
    np.savez_compressed(pickled, a=np.array([[Canary()]], dtype=object))
    return [encode_npz(tensors), compressed.getvalue(), pickled.getvalue()]


def safetensors_files() -> list[bytes]:
    """A file of several dtypes with metadata, and one without."""
    several = {dtype: random_tensor(k, (2, 3), dtype) for k, dtype in enumerate(("F32", "BF16", "I8", "F64"))}
    return [encode_safetensors(several, {"format": "pt"}), encode_safetensors({"a": random_tensor(0, (3, 4))}, {})]


def read_weights(path: Path) -> None:
    """Load the weights; what NumPy can read as well must be the same."""
    image = path.parent / "image.safetensors"
    load_weights(path, profile=bundled_profile("rao2023-11bit"), image_path=image)
    image.unlink()
    if path.suffix != ".safetensors":
        check_against_numpy(path)


def check_against_numpy(path: Path) -> None:
    found = [tensor.bits for tensor in open_weights(path).tensors.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = np.load(path, allow_pickle=False)
        arrays = [theirs] if path.suffix == ".npy" else [theirs[name] for name in theirs.files]
    assert all(np.array_equal(mine, array) for mine, array in zip(found, arrays, strict=True))


def weights_target(folder: Path, form: str) -> Target:
    files = {"npy": npy_files, "npz": npz_files, "safetensors": safetensors_files}[form]
    how = {"npy": fuzz.damage_npy, "npz": fuzz.damage_npz, "safetensors": fuzz.damage_safetensors}[form]
    return Target(files(), how, folder / f"w.{form}", [read_weights])


def profile_target(folder: Path) -> Target:
    return Target(
        [PROFILE.read_bytes()], fuzz.damage_text, folder / "p.yaml", [lambda path: load_profile(str(path)).name]
    )


def jobs_on(bench: Bench, open_with: Callable[[Path], Workspace]) -> dict[str, Job]:
    """Jobs that read what lies in a workspace and send nothing that changes the chip."""

    def on(job: Callable[..., object], **options: object) -> Job:
        return lambda path: job(open_with(path), **options)

    dry = functools.partial(program, dry_run=True)
    named = {"profile": bench.profile}
    return {
        "status": on(status),
        "info": on(chip_report, **named),
        "own profile": on(dry),
        "dry run": on(dry, **named),
        "verify": on(verify, **named),
    }


def image_target(folder: Path) -> Target:
    """An image of real layers, and one of bare targets."""
    bench = make_bench(folder.parent / "bench", rows=8, columns=8, seed=1)
    weights = folder.parent / "w.safetensors"
    tensors = {"a": random_tensor(1, (3, 4)), "b": random_tensor(2, (2, 2)), "bias": random_tensor(3, (3,))}
    weights.write_bytes(encode_safetensors(tensors, {"format": "pt"}))
    layers = folder.parent / "layers.safetensors"
    load_weights(weights, profile=bench.kind, image_path=layers)
    seeds = [layers.read_bytes(), bench.workspace.image_path.read_bytes()]
    jobs = jobs_on(bench, lambda path: open_workspace(bench.workspace.folder, image=path))
    del jobs["info"]  # it does not read the image
    return Target(seeds, fuzz.damage_safetensors, folder / "i.safetensors", list(jobs.values()))


def chip_target(folder: Path) -> Target:
    """A new chip, and one that was programmed."""
    bench = make_bench(folder.parent / "bench", rows=4, columns=4, seed=1, protocol__passes=1)
    seeds = [bench.workspace.chip_path.read_bytes()]
    program(bench.workspace, profile=bench.profile, verify=False)
    seeds.append(bench.workspace.chip_path.read_bytes())
    jobs = jobs_on(bench, lambda path: open_workspace(bench.workspace.folder, chip=path))
    wanted = [jobs[name] for name in ("status", "info", "dry run", "verify")]
    return Target(seeds, fuzz.damage, folder / "chip.sim", wanted)


def record_target(folder: Path) -> Target:
    """The record of a chip's life, beside the chip."""
    bench = make_bench(folder.parent / "bench", rows=4, columns=4, seed=1, protocol__passes=1)
    program(bench.workspace, profile=bench.profile, verify=False)
    record = bench.workspace.chip_path.with_name("chip.sim.record")
    (folder / "chip.sim").write_bytes(bench.workspace.chip_path.read_bytes())
    jobs = jobs_on(bench, lambda path: open_workspace(bench.workspace.folder, chip=path.with_name("chip.sim")))
    wanted = [jobs[name] for name in ("info", "dry run")]
    return Target([record.read_bytes()], fuzz.damage_safetensors, folder / record.name, wanted, frozenset({"chip.sim"}))


def config_target(folder: Path) -> Target:
    """A configuration that sets much of what there is to set."""
    text = (
        "format_version: 1\nworkspace: here\nprofile: rao2023-11bit\nmin_yield: 0.9\nmax_time: 10min\n"
        "max_pulses: 1000\ndenoise: true\nprogress: plain\nlimits: {set_max_v: 2.0, pulses_per_cell_run: 300}\n"
    )
    return Target([text.encode()], fuzz.damage_text, folder / "memprog.yaml", [read_file])


def journal_target(folder: Path) -> Target:
    """The journal of a run that was finished; `runs`, where there is that job, reads it too."""
    bench = make_bench(folder.parent / "bench", rows=4, columns=4, seed=1, protocol__passes=1)
    program(bench.workspace, profile=bench.profile, verify=False)
    database = sqlite3.connect(bench.workspace.journal_path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()

    def open_with(path: Path) -> Workspace:
        for beside in path.parent.glob(f"{path.name}-*"):
            beside.unlink()
        return open_workspace(bench.workspace.folder, journal=path)

    named = jobs_on(bench, open_with)
    jobs = [named[name] for name in ("status", "dry run", "verify")]
    if importlib.util.find_spec("memprog.jobs.runs"):
        runs = importlib.import_module("memprog.jobs.runs").runs
        jobs.append(lambda path: runs(open_with(path)))
    how = functools.partial(fuzz.damage_database, scratch=folder.parent / "scratch.sqlite")
    beside = frozenset({"j.sqlite-wal", "j.sqlite-shm"})
    return Target([bench.workspace.journal_path.read_bytes()], how, folder / "j.sqlite", jobs, beside)


TARGETS: dict[str, Callable[[Path], Target]] = {
    "npy": functools.partial(weights_target, form="npy"),
    "npz": functools.partial(weights_target, form="npz"),
    "safetensors": functools.partial(weights_target, form="safetensors"),
    "profile": profile_target,
    "image": image_target,
    "chip": chip_target,
    "journal": journal_target,
    "record": record_target,
    "config": config_target,
}


def run(target: Target, data: bytes) -> tuple[list[str], list[str]]:
    """Give the endings of all jobs on one damaged file, and what should never have been."""
    endings, wrong = [], []
    for job in target.jobs:
        target.path.write_bytes(data)
        try:
            job(target.path)
            endings.append("read")
        except MemprogError as error:
            endings.append(f"exit {error.exit_code}")
            if error.exit_code not in (3, 5) or "\n" in str(error) or len(str(error)) > 2000:
                wrong.append(f"{type(error).__name__} {error.exit_code}: {error!s:.300}")
        except Exception:  # noqa: BLE001 - whatever it is, it should not have come
            wrong.append(traceback.format_exc(limit=-6))
        present = {path.name for path in target.path.parent.iterdir()} - {target.path.name} - target.left
        if present:
            wrong.append(f"written: {sorted(present)}")
    return endings, wrong


def limit_memory() -> None:
    """Cap what this process may ask for, where the system can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))


def peak_mb() -> float | None:
    """The most memory this process ever held, where the system tells."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main(form: str, count: str, seed: str, folder: str) -> None:
    here = Path(folder) / "here"
    here.mkdir()
    os.chdir(here)
    limit_memory()
    warnings.simplefilter("error")
    target = TARGETS[form](here)
    endings: Counter[str] = Counter()
    wrong: list[str] = []
    damaged = fuzz.damaged(target.seeds, target.damage, int(count), int(seed))
    for number, data in enumerate(itertools.chain(target.seeds, damaged)):
        found, mistakes = run(target, data)
        endings.update(found)
        if mistakes and len(wrong) < SHOWN:
            (Path(folder) / f"wrong-{number}").write_bytes(data)
        wrong += [f"file {number}: {mistake}" for mistake in mistakes]
    print(json.dumps({"endings": endings, "wrong": wrong[:SHOWN], "wrongs": len(wrong), "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
