"""Same seed, same commands, same bytes: image, chip file, and JSON but for times, ids and paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_cases import write_profile

from memprog.jobs.chips import new_chip
from memprog.jobs.load import load_weights
from memprog.jobs.program import program
from memprog.jobs.verify import verify
from memprog.jobs.workspace import Workspace, open_workspace
from memprog.session import Journal

TOLD_APART = {"run_id", "utc", "host_time_s", "path", "image", "weights"}


def same(value: Any) -> Any:
    """A report without what differs from run to run."""
    if isinstance(value, dict):
        return {key: same(one) for key, one in value.items() if key not in TOLD_APART}
    return [same(one) for one in value] if isinstance(value, list) else value


def whole_job(folder: Path, seed: int) -> tuple[Workspace, list[dict[str, Any]]]:
    """Weights into a chip of two small arrays, verified; what every step says."""
    folder.mkdir()
    size = {"rows": 16, "columns": 16, "arrays": 2}
    kind = write_profile(folder / "small.yaml", **size, protocol__passes=2, protocol__mop_up_passes=1)
    profile = str(folder / "small.yaml")
    np.save(folder / "weights.npy", np.random.default_rng(8).normal(size=(12, 14)).astype(np.float32))
    workspace = open_workspace(folder / ".memprog")
    loaded = load_weights(folder / "weights.npy", profile=kind, image_path=workspace.image_path)
    made = new_chip(workspace, profile=profile, seed=seed, arrays=2)
    programmed = program(workspace, profile=profile)
    verified = verify(workspace, profile=profile)
    return workspace, [same(report.to_dict()) for report in (loaded, made, programmed, verified)]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Workspace, list[dict[str, Any]]]]:
    folder = tmp_path_factory.mktemp("same")
    return [whole_job(folder / name, seed=21) for name in ("one", "other")]


def test_image_and_chip_are_the_same_to_the_byte(twice: list[tuple[Workspace, list[dict[str, Any]]]]) -> None:
    (one, _), (other, _) = twice
    assert one.image_path.read_bytes() == other.image_path.read_bytes()
    assert one.chip_path.read_bytes() == other.chip_path.read_bytes()


def test_reports_are_the_same_but_for_times_ids_and_paths(
    twice: list[tuple[Workspace, list[dict[str, Any]]]],
) -> None:
    (_, said), (_, said_again) = twice
    assert said == said_again
    assert said[2]["pulses_total"] > 1000
    assert said[2]["verify"]["cells"] == said[3]["cells"] == 12 * 14 * 2


def test_journals_hold_the_same_batches(twice: list[tuple[Workspace, list[dict[str, Any]]]]) -> None:
    journals = [Journal(workspace.journal_path, durable=False) for workspace, _ in twice]
    one, other = (list(journal.batches(journal.runs()[0].run_id)) for journal in journals)
    assert len(one) == len(other) > 50
    for a, b in zip(one, other, strict=True):
        if a.kind == "part":
            continue
        assert (a.batch_id, a.array, a.kind) == (b.batch_id, b.array, b.kind)
        for x, y in ((a.intent, b.intent), (a.outcome, b.outcome)):
            assert x is not None
            assert y is not None
            assert {name: value.tobytes() for name, value in x.items()} == {k: v.tobytes() for k, v in y.items()}
    for journal in journals:
        journal.close()


def test_another_seed_makes_another_chip(tmp_path: Path, twice: list[tuple[Workspace, list[dict[str, Any]]]]) -> None:
    write_profile(tmp_path / "small.yaml", rows=16, columns=16, arrays=2)
    profile = str(tmp_path / "small.yaml")
    one, other, same = (
        new_chip(open_workspace(tmp_path / name), profile=profile, seed=seed).chip["serial"]
        for name, seed in (("one", 1), ("other", 2), ("same", 1))
    )
    assert one == same != other
    again = new_chip(open_workspace(tmp_path / "one"), profile=profile, seed=1, force=True).chip["serial"]
    assert again != one, "what replaces a chip is not that chip"
