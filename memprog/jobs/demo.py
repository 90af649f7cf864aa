"""The demo: a small real network written into a simulated chip twice, with denoise and without, and scored."""

from __future__ import annotations

import contextlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memprog.analysis.network import accuracy, demo_tensors, demo_tensors_path, heldout_digits, signal_to_noise_db
from memprog.chip import FloatArray, Mask
from memprog.image import Image, read_image
from memprog.jobs.chips import make_chip, reading
from memprog.jobs.export_chip import conductances_of
from memprog.jobs.load import load_weights
from memprog.jobs.program import program
from memprog.jobs.progress import Listener, ignore
from memprog.jobs.setup import Part, choose
from memprog.jobs.truth import score
from memprog.jobs.verify import verify
from memprog.jobs.workspace import Workspace, open_workspace
from memprog.mapping import rebuild
from memprog.profile import DEFAULT_PROFILE, ChipProfile, bundled_profile
from memprog.report.demo import DemoReport, DemoVariant
from memprog.report.program import ProgramReport
from memprog.session import Journal

DEFAULT_SEED = 0


def demo(*, seed: int = DEFAULT_SEED, folder: Path | None = None, listener: Listener | None = None) -> DemoReport:
    """Load, program, verify, read back and score the handwritten-digits network on a simulated chip.

    Args:
        seed: of the two chips, which are the same silicon.
        folder: where the two workspaces stay; by default they are made in a temporary folder and removed.
        listener: hears of every round.
    """
    if folder is not None:
        return _demo(seed, folder, listener or ignore)
    try:
        with tempfile.TemporaryDirectory(prefix="memprog-demo-") as temporary:
            return _demo(seed, Path(temporary), listener or ignore)
    except BaseException as error:
        error.__notes__ = []  # the run that could be taken up is gone with its folder
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """One variant: how it was programmed, and how it fared."""

    run: ProgramReport
    variant: DemoVariant


def _demo(seed: int, folder: Path, listener: Listener) -> DemoReport:
    start_s = time.monotonic()
    kind = bundled_profile(DEFAULT_PROFILE)
    with_denoise = _write(open_workspace(folder / "denoise"), kind, seed, True, listener)
    without = _write(open_workspace(folder / "no-denoise"), kind, seed, False, listener)
    image = read_image(folder / "denoise" / "image.safetensors")
    images, labels = heldout_digits()
    original = demo_tensors()
    quantised = _tensors(image, image.targets_usiemens.astype(np.float64))
    return DemoReport(
        simulated=True,
        profile=kind.name,
        seed=seed,
        cells=with_denoise.run.cells,
        heldout_images=len(labels),
        accuracy_original=accuracy(original, images, labels),
        accuracy_quantised=accuracy(quantised, images, labels),
        denoise=with_denoise.variant,
        no_denoise=without.variant,
        pulses_per_cell_mean=with_denoise.run.pulses_per_cell_mean,
        samples_per_cell_mean=with_denoise.run.samples_per_cell_mean,
        chip_time_s=with_denoise.run.chip_time_s,
        host_time_s=time.monotonic() - start_s,
    )


def _write(workspace: Workspace, kind: ChipProfile, seed: int, denoise: bool, listener: Listener) -> _Written:
    """Take the network once through the whole job on a fresh chip."""
    load_weights(demo_tensors_path(), profile=kind, image_path=workspace.image_path)
    image = read_image(workspace.image_path)
    part = choose(image, None)
    make_chip(workspace.chip_path, kind, seed=seed, arrays=image.targets_usiemens.shape[0])
    run = program(workspace, denoise=denoise, verify=False, listener=listener)
    # The truth is about the 100 s that begin here; verify's reads take as long and come after.
    truth = score(workspace.chip_path, kind, image, part)
    said_done = _said_done(workspace, run.run_id, part)
    verified = verify(workspace, listener=listener)
    images, labels = heldout_digits()
    conductances = _read_back(workspace, kind, image, part, listener)
    weights = _tensors(image, conductances)
    false_done = int((said_done & ~truth.in_window).sum())
    return _Written(
        run=run,
        variant=DemoVariant(
            yield_fraction=verified.yield_fraction,
            true_yield_fraction=float(truth.in_window.mean()),
            true_yield_time_average_fraction=float(truth.in_window_on_average.mean()),
            false_done_fraction=false_done / max(int(said_done.sum()), 1),
            weight_snr_db=signal_to_noise_db(demo_tensors(), weights),
            weight_snr_done_db=signal_to_noise_db(
                demo_tensors(), _tensors(image, _as_if_done(image, conductances, part, said_done))
            ),
            accuracy=accuracy(weights, images, labels),
        ),
    )


def _read_back(workspace: Workspace, kind: ChipProfile, image: Image, part: Part, listener: Listener) -> FloatArray:
    """Conductances (arrays, rows, columns) as the chip holds them."""
    with reading(workspace, kind, label="memprog demo") as session:
        return conductances_of(session, kind, image, part, listener)


def _tensors(image: Image, conductances: FloatArray) -> dict[str, FloatArray]:
    """The network that conductances stand for."""
    return {name: tensor.values() for name, tensor in rebuild(image, conductances).items()}


def _as_if_done(image: Image, conductances: FloatArray, part: Part, done: Mask) -> FloatArray:
    """The conductances, had the cells that were named as failed come to their targets."""
    found = conductances.copy()
    for array, mask, here in zip(part.arrays, part.masks, part.slices(), strict=True):
        failed = mask.copy()
        failed[mask] = ~done[here]
        found[array, failed] = image.targets_usiemens[array, failed]
    return found


def _said_done(workspace: Workspace, run_id: str, part: Part) -> Mask:
    """Cells the loop called done (n,), in the order of the part."""
    with contextlib.closing(Journal.reading(workspace.journal_path)) as journal:
        found = []
        for array, mask in zip(part.arrays, part.masks, strict=True):
            cells = journal.cells_of(run_id, array)
            found.append(np.zeros(int(mask.sum()), dtype=bool) if cells is None else cells["done"][mask])
        return np.concatenate(found)
