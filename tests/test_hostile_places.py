"""Full disks, read-only folders, odd paths, clocks that go backwards, journals that others hold: nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holding import Ended, finish, memprog, on, small_bench, waiting
from loop_cases import Bench
from processes import environment

from memprog.errors import LimitError
from memprog.jobs.program import program
from memprog.jobs.status import status
from memprog.jobs.verify import verify

DONE = {0, 1}
"""Exit codes of a run that came to its end, whatever its yield."""

needs_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such thing")


def as_root() -> bool:
    return hasattr(os, "getuid") and os.getuid() == 0


def one_sentence(ended: Ended) -> None:
    """Nothing on standard output, one sentence beside it."""
    assert ended.out == ""
    assert ended.err.startswith("Error: ")
    assert ended.err.count("\n") == 1, ended.err


def again(bench: Bench) -> None:
    """Take a run up again: where a plain one is refused because another was not finished, with --resume."""
    with contextlib.suppress(LimitError):
        program(bench.workspace, profile=bench.profile, verify=False)
        return
    program(bench.workspace, profile=bench.profile, verify=False, resume=True)


def whole(bench: Bench) -> None:
    """The job can be taken up again, and chip and image are what they should be."""
    again(bench)
    assert verify(bench.workspace, profile=bench.profile).yield_fraction > 0.5
    assert status(bench.workspace).runs[0]["state"] == "finished"


def sizes(telling: Iterable[float], more: Iterable[float]) -> list[Any]:
    """Sizes for every run of the tests, and those between them for a long one."""
    return [*telling, *(pytest.param(size, marks=pytest.mark.long) for size in more)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return small_bench(tmp_path / "bench", rows=8, columns=8)


class SmallDisk:
    """A disk of a few megabytes that can be filled up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def leave(self, room: int) -> None:
        """Fill the disk but for so many bytes."""
        left = os.statvfs(self.folder)
        self._ballast.write_bytes(b"x" * max(left.f_bavail * left.f_frsize - room, 0))

    def make_room(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if not as_root() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def limited(megabytes: float) -> Callable[[], None]:
    """What a child does to have no file grow beyond a size: a full disk for those who may not mount one."""

    def limit() -> None:
        import resource

        size = int(megabytes * (1 << 20))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("room", [0, 4096])
def test_full_disk_leaves_the_image_there_was(room: int, disk: SmallDisk) -> None:
    bench = small_bench(disk.folder / "bench")
    weights = disk.folder / "weights.npy"
    np.save(weights, np.random.default_rng(1).normal(size=(8, 16)).astype(np.float32))
    before = bench.workspace.image_path.read_bytes()
    disk.leave(room)
    ended = memprog(*on(bench, "load-weights", str(weights)))
    if ended.code:
        assert ended.code == 3
        one_sentence(ended)
        assert bench.workspace.image_path.read_bytes() == before
    assert room or ended.code == 3
    disk.make_room()
    assert memprog(*on(bench, "load-weights", str(weights))).code == 0
    assert sorted(path.name for path in bench.workspace.folder.iterdir()) == ["chip.sim", "image.safetensors"]


@pytest.mark.parametrize("room", sizes([0, 16384], [4096, 40960]))
def test_full_disk_leaves_no_half_chip(room: int, disk: SmallDisk) -> None:
    bench = small_bench(disk.folder / "bench", chip=False)
    disk.leave(room)
    ended = memprog(*on(bench, "program", "--array", "--quiet"))
    assert ended.code in {3, 6}
    one_sentence(ended)
    assert [path.name for path in bench.workspace.folder.iterdir() if "partial" in path.name] == []
    disk.make_room()
    whole(bench)


# Room for 88 to 112 kB once ended in SIGBUS, because the second slots of the chip were holes in its file.
@pytest.mark.parametrize("room_kib", sizes([0, 96, 512], [16, 40, 64, 88, 112, 128, 160, 192, 256, 384]))
def test_full_disk_during_a_run_stops_it_and_loses_nothing(room_kib: int, disk: SmallDisk) -> None:
    bench = small_bench(disk.folder / "bench")
    disk.leave(room_kib * 1024)
    ended = memprog(*on(bench, "program", "--array", "--quiet"))
    assert ended.code in {3, 6}
    one_sentence(ended)
    disk.make_room()
    whole(bench)


def test_full_disk_leaves_the_file_of_conductances_there_was(disk: SmallDisk) -> None:
    bench = small_bench(disk.folder / "bench")
    out = disk.folder / "conductances.npy"
    words = on(bench, "read", "--out", str(out))
    assert memprog(*words).code == 0
    before = out.read_bytes()
    disk.leave(0)
    ended = memprog(*words, "--quiet")
    assert ended.code == 3
    one_sentence(ended)
    assert out.read_bytes() == before


@needs_posix
@pytest.mark.parametrize("megabytes", sizes([0.0, 0.05, 0.12], [0.01, 0.08, 0.2]))
def test_files_that_may_not_grow_stop_a_run_and_lose_nothing(megabytes: float, tmp_path: Path) -> None:
    bench = small_bench(tmp_path / "bench", chip=megabytes > 0.07)
    before = bench.workspace.image_path.read_bytes()
    ended = memprog(*on(bench, "program", "--array", "--quiet"), preexec_fn=limited(megabytes))
    assert ended.code in {3, 6}
    one_sentence(ended)
    assert bench.workspace.image_path.read_bytes() == before
    whole(bench)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody can write into a folder; root, whom permissions do not bind, gets it mounted over itself."""
    if not as_root():
        mode = folder.stat().st_mode
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(mode)
        return
    if subprocess.run(["mount", "--bind", folder, folder], check=False, capture_output=True).returncode:
        pytest.skip("this root can mount nothing")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@needs_posix
@pytest.mark.parametrize("chip", [True, False], ids=["chip", "no chip"])
@pytest.mark.parametrize("words", [("program", "--array"), ("verify",), ("sim", "new", "--force")], ids=" ".join)
def test_read_only_workspace_is_refused_in_one_sentence(words: tuple[str, ...], chip: bool, tmp_path: Path) -> None:
    bench = small_bench(tmp_path / "bench", chip=chip)
    before = snapshot(bench.workspace.folder)
    with read_only(bench.workspace.folder):
        ended = memprog(*on(bench, *words, "--quiet"), cwd=tmp_path)
    assert ended.code == 3
    one_sentence(ended)
    assert snapshot(bench.workspace.folder) == before


@needs_posix
@pytest.mark.parametrize("programmed", [False, True], ids=["blank", "programmed"])
def test_status_of_a_read_only_workspace_is_told_or_refused_in_one_sentence(programmed: bool, bench: Bench) -> None:
    if programmed:
        assert memprog(*on(bench, "program", "--array", "--quiet")).code in DONE
    with read_only(bench.workspace.folder):
        ended = memprog(*on(bench, "status"))
    # Format 1 of the journal cannot be opened without writing: exit 3 there is honest, an answer is better.
    assert ended.code in ({0, 3} if programmed else {0})
    if ended.code:
        one_sentence(ended)


ODD = "m\u00e9moire \u2013 \u03a9 \u6f22\u5b57, 'quoted', 100% #1 &  two spaces"
ASCII_ONLY = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
ALL_AT_ONCE = f"-dash {ODD}" + ("" if os.name == "nt" else "\nline")
PLACES: dict[str, tuple[str, dict[str, str]]] = {
    "all at once": (ALL_AT_ONCE, {}),
    "all at once, unknown to the locale": (ALL_AT_ONCE, ASCII_ONLY),
}
ONE_BY_ONE: dict[str, tuple[str, dict[str, str]]] = {
    "letters": (ODD, {}),
    "letters unknown to the locale": (ODD, ASCII_ONLY),
    "dash": ("-dash", {}),
    "line": ("new\nline", {}),
}


@pytest.mark.long
@pytest.mark.parametrize(("name", "locale"), ONE_BY_ONE.values(), ids=ONE_BY_ONE)
def test_main_job_on_a_path_that_is_odd_in_one_way(name: str, locale: dict[str, str], tmp_path: Path) -> None:
    test_main_job_on_an_odd_path(name, locale, tmp_path)


@pytest.mark.parametrize(("name", "locale"), PLACES.values(), ids=PLACES)
def test_main_job_on_an_odd_path(name: str, locale: dict[str, str], tmp_path: Path) -> None:
    if os.name == "nt" and not name.isprintable():
        pytest.skip("Windows has no such names")
    folder = tmp_path / name
    bench = small_bench(folder, rows=8, columns=8)
    bench.workspace.image_path.unlink()
    np.save(folder / "my weights.npy", np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32))
    given: dict[str, Any] = {"cwd": folder, "env": environment(**locale)}
    for words in (
        ("load-weights", "my weights.npy", "--profile", "small.yaml"),
        ("program", "--array", "--profile", str(folder / "small.yaml"), "--workspace", str(folder / ".memprog")),
        ("verify", "--profile", "small.yaml", "--log-file", str(folder / "a log.txt")),
        ("status", "--format", "json", "--workspace", str(folder / ".memprog")),
    ):
        ended = memprog(*words, **given)
        assert ended.code in DONE, ended.err
    assert ended.fields["image"]["path"]
    missing = memprog("verify", "--workspace", str(folder / "none"), **given)
    assert missing.code == 3
    one_sentence(missing)


BACKWARDS = """
import datetime, itertools, os, time

real, hours = datetime.datetime, itertools.count(int(os.environ["HOURS_BACK"]))

class Backwards(real):
    @classmethod
    def now(cls, tz=None):
        return real.now(tz) - datetime.timedelta(hours=next(hours))

datetime.datetime = Backwards
wall = time.time
time.time = lambda: wall() - 3600.0 * next(hours)
"""


def test_host_clock_that_goes_backwards_mixes_nothing_up(bench: Bench, tmp_path: Path) -> None:
    # The wall clock only: the monotonic one, which waits are counted by, cannot do that.
    (tmp_path / "sitecustomize.py").write_text(BACKWARDS)
    paths = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])

    def run(hours: int, *words: str) -> Ended:
        return memprog(*on(bench, *words, "--format", "json"), env=environment(PYTHONPATH=paths, HOURS_BACK=str(hours)))

    # Twice by some years each time, and by an hour whenever somebody asks for the time.
    first, second = run(0, "program", "--array"), run(30_000, "program", "--array", "--no-denoise")
    assert first.code in DONE
    assert second.code in DONE
    assert second.fields["utc"] < first.fields["utc"]
    for fields in (first.fields, second.fields):
        assert fields["host_time_s"] >= 0
        assert fields["chip_time_s"] > 0
    status = run(60_000, "status").fields
    assert [one["run_id"] for one in status["runs"]] == [second.fields["run_id"], first.fields["run_id"]]
    assert run(90_000, "verify").fields["yield_fraction"] > 0.5


@contextlib.contextmanager
def transaction(journal: Path, *statements: str) -> Iterator[None]:
    """Somebody else has the journal open, and a transaction under way."""
    with contextlib.closing(sqlite3.connect(journal, isolation_level=None, timeout=60.0)) as other:
        for statement in statements:
            other.execute(statement).fetchall()
        yield
        other.execute("ROLLBACK")


READ = ("BEGIN", "SELECT count(*) FROM sqlite_master")


@pytest.mark.parametrize("moment", [pytest.param("from the start", marks=pytest.mark.long), "half-way"])
def test_reader_of_the_journal_does_not_disturb_a_run(moment: str, bench: Bench) -> None:
    assert memprog(*on(bench, "program", "--array", "0", "--cell", "0,0", "--quiet")).code in DONE
    with contextlib.ExitStack() as reading:
        if moment == "from the start":
            reading.enter_context(transaction(bench.workspace.journal_path, *READ))
        child = reading.enter_context(waiting(*on(bench, "program", "--array", "--format", "json")))
        if moment == "half-way":
            reading.enter_context(transaction(bench.workspace.journal_path, *READ))
        ended = finish(child)
    assert ended.code in DONE
    runs = json.loads(memprog(*on(bench, "status", "--format", "json")).out)["runs"]
    assert runs[0]["run_id"] == ended.fields["run_id"]
    assert runs[0]["state"] == "finished"


@pytest.fixture
def impatient(tmp_path: Path) -> dict[str, str]:
    """Variables of a process that soon gives up waiting for a journal."""
    (tmp_path / "sitecustomize.py").write_text("import memprog.session.journal as journal\njournal.BUSY_S = 0.2\n")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])}


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_writer_that_keeps_the_journal_stops_a_run_and_nothing_is_lost(
    lock: str, bench: Bench, impatient: dict[str, str]
) -> None:
    words = on(bench, "program", "--array", "--quiet")
    with waiting(*words, **impatient) as child, transaction(bench.workspace.journal_path, lock):
        ended = finish(child)
    assert ended.code == 6
    assert "locked" in ended.err
    one_sentence(ended)
    whole(bench)


def test_writer_that_keeps_the_journal_from_the_start_keeps_the_chip_untouched(
    bench: Bench, tmp_path: Path, impatient: dict[str, str]
) -> None:
    assert memprog(*on(bench, "program", "--array", "0", "--cell", "0,0", "--quiet")).code in DONE
    before = shutil.copyfile(bench.workspace.chip_path, tmp_path / "copy")
    with transaction(bench.workspace.journal_path, "BEGIN EXCLUSIVE"):
        ended = memprog(*on(bench, "program", "--array", "--quiet"), env=environment(**impatient))
    assert ended.code in {3, 5, 6}
    one_sentence(ended)
    assert bench.workspace.chip_path.read_bytes() == Path(before).read_bytes()
    whole(bench)


@needs_posix
def test_journal_that_is_a_folder_or_a_device_is_refused(bench: Bench, tmp_path: Path) -> None:
    for place in (str(tmp_path), "/dev/null", "/dev/full"):
        ended = memprog(*on(bench, "program", "--array", "--quiet", "--journal", place))
        assert ended.code in {2, 3, 6}, place
        assert ended.err.splitlines()[-1].startswith("Error: ")
    assert sys.platform != "linux" or Path("/dev/null").is_char_device()
    whole(bench)
