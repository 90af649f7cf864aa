"""The file of a simulated chip: it remembers, survives kills, is the same for the same seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_chip import (
    array_cells,
    file_bytes,
    memristor_usiemens,
    new_chip,
    read_spec,
    same_pulses,
    small_profile,
)

from memprog import faults
from memprog.chip import Bias
from memprog.errors import ChipFileError, InputError
from memprog.profile import ChipProfile
from memprog.simchip import SimChip, create, soundness, store, summary_of
from memprog.simchip.state import Record
from memprog.simchip.store import HEADER_BYTES, ChipFile, layout_of

ROOT = Path(__file__).parent.parent

ELSEWHERE = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from small_chip import array_cells, memristor_usiemens, read_spec, small_profile
from memprog.simchip import SimChip
chip = SimChip(Path(sys.argv[1]), small_profile())
print(memristor_usiemens(chip).tobytes().hex())
print(chip.clock_s(), chip.last_batch_id())
print(chip.read(array_cells(chip), read_spec(samples=3)).current_a.tobytes().hex())
"""


class Killed(Exception):  # noqa: N818 - not an error of the program
    """What stands for the end of the process."""


def exercise(chip: SimChip) -> None:
    """A little of everything."""
    for array in (0, 1):
        cells = array_cells(chip, array)
        chip.pulse(cells, same_pulses(len(cells), Bias.SET, 1.9, gate_v=1.2), 10 + array)
        chip.read(cells, read_spec(samples=5))
        chip.wait(3.0)
        chip.pulse(cells, same_pulses(len(cells), Bias.SUB_THRESHOLD, 0.9), 20 + array)
        chip.trace(cells, read_spec(samples=3))
    chip.multiply(1, np.full((2, 4), 0.1), [0, 1, 2, 3], 3.0)


def generations(chip: SimChip, array: int = 0) -> list[int]:
    """Generation numbers of the two slots of an array, as they stand in the file."""
    return [int(number) for number in slots(chip)["generation"][array]]


def slots(chip: SimChip) -> np.memmap:
    """The slots of a chip, to poke at: (arrays, 2)."""
    layout = chip._file.layout
    return np.memmap(chip._file.path, layout.state, "r+", layout.slots_at, (layout.arrays, 2))


def reopened(chip: SimChip) -> SimChip:
    """Another look at the file, without the first having been closed: all that a kill leaves."""
    return SimChip(chip._file.path, chip._profile)


def same_state(one: Record, other: Record) -> bool:
    """Whether two states agree in everything but their generation."""
    return all(np.array_equal(one[name], other[name]) for name in one.dtype.names if name != "generation")


def test_another_look_at_the_file_finds_the_same_cells(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    exercise(chip)
    other = reopened(chip)
    for array in (0, 1):
        assert same_state(chip._load(array), other._load(array))
    assert (other.clock_s(), other.last_batch_id()) == (chip.clock_s(), 21)
    assert other.identity == chip.identity


def test_reopened_chip_goes_on_as_if_it_had_never_been_closed(tmp_path: Path) -> None:
    for name in ("through", "stops"):
        (tmp_path / name).mkdir()
    through, stops = (new_chip(tmp_path / name) for name in ("through", "stops"))
    exercise(through)
    exercise(stops)
    stops.close()
    stops = reopened(stops)
    exercise(through)
    exercise(stops)
    assert file_bytes(through) == file_bytes(stops)


def test_another_process_reads_the_same_cells(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    exercise(chip)
    chip.close()
    command = [sys.executable, "-c", ELSEWHERE, str(chip._file.path), str(ROOT), str(ROOT / "tests")]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert answer[0] == memristor_usiemens(chip).tobytes().hex()
    assert answer[1] == f"{chip.clock_s()} {chip.last_batch_id()}"
    assert answer[2] == chip.read(array_cells(chip), read_spec(samples=3)).current_a.tobytes().hex()


def test_every_pulse_and_every_read_makes_a_new_generation_of_its_array_alone(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    assert [generations(chip, array) for array in (0, 1)] == [[1, 0], [1, 0]]
    cells = array_cells(chip, 1)
    seen = [max(generations(chip, 1))]
    for batch_id in range(3):
        chip.pulse(cells, same_pulses(len(cells), Bias.SET, 1.5), batch_id)
        seen.append(max(generations(chip, 1)))
        chip.read(cells, read_spec())
        seen.append(max(generations(chip, 1)))
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert sorted(generations(chip, 1)) == [6, 7]
    assert generations(chip, 0) == [1, 0]


def test_pulse_is_in_the_file_before_the_call_returns(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    cells = array_cells(chip)
    chip.pulse(cells, same_pulses(len(cells), Bias.SET, 1.9), 77)
    other = reopened(chip)
    np.testing.assert_array_equal(memristor_usiemens(other), memristor_usiemens(chip))
    assert other.last_batch_id() == 77
    assert summary_of(chip._file.path).pulses == len(cells)


def test_half_written_slot_is_ignored_and_the_older_one_used(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    cells = array_cells(chip)
    chip.pulse(cells, same_pulses(len(cells), Bias.SET, 1.9), 1)
    older = np.array(chip._load(0))
    chip.pulse(cells, same_pulses(len(cells), Bias.SET, 1.9), 2)
    newest = int(np.argmax(generations(chip)))
    # As a kill in the middle of the copy leaves it: no generation, and part of the cells new.
    slots(chip)["generation"][0, newest] = 0
    slots(chip)["memristor"][0, newest, 100:] = np.nan
    other = reopened(chip)
    assert same_state(other._load(0), older)
    # The next commit goes over the broken slot, and the good one stays until it is whole.
    other.pulse(cells, same_pulses(len(cells), Bias.RESET, 1.0), 3)
    assert np.isfinite(memristor_usiemens(reopened(chip))).all()
    assert min(generations(chip)) == 2
    assert max(generations(chip)) == 3


def test_kill_before_the_generation_is_written_leaves_the_batch_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = new_chip(tmp_path)
    cells = array_cells(chip)
    chip.pulse(cells, same_pulses(len(cells), Bias.SET, 1.9), 1)
    kept, clock_s = np.array(chip._load(0)), chip.clock_s()

    def die_inside(name: str) -> None:
        if name == "inside chip slot":
            raise Killed

    monkeypatch.setattr(faults, "point", die_inside)
    with pytest.raises(Killed):
        chip.pulse(cells, same_pulses(len(cells), Bias.SET, 2.1), 2)
    other = reopened(chip)
    assert same_state(other._load(0), kept)
    assert (other.last_batch_id(), other.clock_s()) == (1, clock_s)
    assert summary_of(chip._file.path).pulses == len(cells)
    # And whoever caught it can go on: the next commit is newer than the one before.
    monkeypatch.undo()
    chip.pulse(cells, same_pulses(len(cells), Bias.SET, 1.9), 3)
    assert same_state(reopened(chip)._load(0), chip._load(0))


def test_kill_between_the_state_and_the_rest_leaves_no_cell_in_the_future(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    cells = array_cells(chip)
    chip.read(cells, read_spec(samples=2))
    commit = chip._file.commit

    def commit_and_die(array: int, record: Record) -> None:
        commit(array, record)
        raise Killed

    chip._file.commit = commit_and_die
    with pytest.raises(Killed):
        chip.read(cells.take(np.arange(100)), read_spec(samples=20, interval_s=0.5))
    other = reopened(chip)
    assert other.clock_s() >= other._load(0)["noise_until_s"].max()
    reading = other.read(cells, read_spec(samples=2))
    assert np.isfinite(reading.current_a[reading.status == 0]).all()
    assert np.isfinite(other._load(0)["flicker"]).all()


def test_closing_a_second_look_does_not_turn_the_clock_back(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    onlooker = reopened(chip)
    chip.wait(50.0)
    onlooker.close()
    assert reopened(chip).clock_s() == 50.0


def test_waiting_is_remembered_without_closing(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    chip.wait(3600.0)
    assert reopened(chip).clock_s() == 3600.0


def test_same_seed_and_commands_give_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        chip = new_chip(tmp_path / name, seed=7)
        exercise(chip)
        files.append(file_bytes(chip))
    assert files[0] == files[1]


def test_another_seed_gives_another_chip(tmp_path: Path) -> None:
    one, other = (new_chip(tmp_path, seed=seed, name=f"{seed}.sim") for seed in (7, 8))
    assert one.identity.serial != other.identity.serial
    assert not np.array_equal(memristor_usiemens(one), memristor_usiemens(other))
    assert not np.array_equal(one._file.silicon["set_gate"], other._file.silicon["set_gate"])


def test_arrays_of_a_chip_differ_and_do_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    profile = small_profile()
    create(tmp_path / "one.sim", profile, seed=3, arrays=1)
    create(tmp_path / "two.sim", profile, seed=3, arrays=2)
    one, two = SimChip(tmp_path / "one.sim", profile), SimChip(tmp_path / "two.sim", profile)
    assert not np.array_equal(memristor_usiemens(two, 0), memristor_usiemens(two, 1))
    np.testing.assert_array_equal(memristor_usiemens(one, 0), memristor_usiemens(two, 0))
    assert (one.geometry.arrays, two.geometry.arrays) == (1, 2)
    assert one.identity.serial != two.identity.serial


def test_what_is_done_to_one_array_changes_no_random_number_of_another(tmp_path: Path) -> None:
    found = []
    for name, array_1_first in (("a", False), ("b", True)):
        chip = new_chip(tmp_path, name=name)
        if array_1_first:
            chip.pulse(array_cells(chip, 1), same_pulses(256, Bias.SET, 1.9), 1)
        chip.pulse(array_cells(chip, 0), same_pulses(256, Bias.SET, 1.9), 2)
        found.append(memristor_usiemens(chip).copy())
    np.testing.assert_array_equal(found[0], found[1])


def test_chip_opened_under_another_profile_is_refused(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    before = file_bytes(chip)
    other = small_profile("rao2023-onchip-6bit")
    with pytest.raises(ChipFileError, match=r"made as 'rao2023-11bit'.*not as 'rao2023-onchip-6bit'"):
        SimChip(chip._file.path, other)
    assert chip._file.path.read_bytes() == before


def test_missing_file_and_folder_in_its_place_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.sim", tmp_path):
        with pytest.raises(ChipFileError, match="cannot be read"):
            SimChip(path, small_profile())


def test_chip_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ChipFileError, match="cannot be written"):
        create(tmp_path / "file" / "chip.sim", small_profile(), seed=1, arrays=1)
    (tmp_path / "folder.sim" / "full").mkdir(parents=True)
    with pytest.raises(ChipFileError, match="cannot be written"):
        create(tmp_path / "folder.sim", small_profile(), seed=1, arrays=1)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.sim"]


def test_file_is_as_long_as_its_layout_says(tmp_path: Path) -> None:
    profile: ChipProfile = small_profile(rows=5, columns=7, arrays=3)
    create(tmp_path / "chip.sim", profile, seed=1, arrays=3)
    layout = layout_of(profile, 3)
    assert (tmp_path / "chip.sim").stat().st_size == layout.size
    assert layout.slots_at == HEADER_BYTES + 3 * layout.silicon.itemsize
    file = ChipFile(tmp_path / "chip.sim", profile)
    assert file.silicon.shape == (3,)
    assert file.load(2)["memristor"].shape == (35,)


def test_last_batch_is_the_one_that_ended_last_whatever_its_number_and_array(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    for array, batch_id in ((0, 900), (1, 4), (0, 901), (1, 5)):
        cells = array_cells(chip, array)
        chip.pulse(cells, same_pulses(len(cells), Bias.SET, 1.5), batch_id)
        chip.read(array_cells(chip, 1 - array), read_spec())
        assert chip.last_batch_id() == reopened(chip).last_batch_id() == batch_id
    assert summary_of(chip._file.path).pulses == 4 * 256


def test_summary_tells_what_the_chip_does(tmp_path: Path) -> None:
    chip = new_chip(tmp_path, seed=5)
    fresh = summary_of(chip._file.path)
    assert (fresh.last_batch, fresh.pulses, fresh.clock_s) == (None, 0, 0.0)
    exercise(chip)
    chip.wait(7.0)
    summary = summary_of(chip._file.path)
    assert (summary.serial, summary.profile) == (chip.identity.serial, chip._profile.name)
    assert (summary.arrays, summary.seed, summary.chip_sha256) == (2, 5, chip._profile.chip_sha256)
    assert (summary.last_batch, summary.pulses, summary.clock_s) == (21, 4 * 256, chip.clock_s())


def test_summary_can_be_told_of_a_file_that_may_not_be_written(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    chip._file.path.chmod(0o444)
    before = chip._file.path.stat()
    assert summary_of(chip._file.path).arrays == 2
    assert chip._file.path.stat().st_mtime_ns == before.st_mtime_ns


def test_summary_looks_again_where_a_commit_came_between_its_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = new_chip(tmp_path)
    looks = []

    def commit_between_first_looks(older: Record, newest: Record) -> str | None:
        looks.append(int(newest["generation"]))
        return "torn" if len(looks) == 1 else soundness.flaw_of_heads(older, newest)

    monkeypatch.setattr(store, "flaw_of_heads", commit_between_first_looks)
    assert summary_of(chip._file.path).arrays == 2
    assert len(looks) == 3


def test_unit_is_the_whole_path_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = new_chip(tmp_path)._file.path
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path)
    ways = (path, Path("chip.sim"), tmp_path / "below" / ".." / "chip.sim")
    units = {SimChip(way, small_profile()).identity.unit for way in ways}
    assert units == {str(path.resolve())}


@pytest.mark.parametrize("batch_id", [-1, 2**63])
def test_batch_whose_number_the_file_cannot_hold_is_refused(batch_id: int, tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    with pytest.raises(InputError, match=f"number {batch_id}"):
        chip.pulse(array_cells(chip), same_pulses(256, Bias.SET, 1.9), batch_id)
    assert summary_of(chip._file.path).pulses == 0


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e13, -0.5])
def test_wait_that_no_clock_can_show_is_refused(seconds: float, tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    with pytest.raises(InputError, match="cannot wait"):
        chip.wait(seconds)
    assert reopened(chip).clock_s() == 0.0


def test_product_over_no_rows_moves_the_clock_for_good(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    chip.multiply(0, np.zeros((2, 0)), [], 3.0)
    assert reopened(chip).clock_s() == chip.clock_s() > 0.0


def test_file_has_no_holes_that_a_full_disk_could_leave_unfilled(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    found = slots(chip)
    assert found["generation"].tolist() == [[1, 0], [1, 0]]
    np.testing.assert_array_equal(found["memristor"][:, 1], found["memristor"][:, 0])
    size = chip._file.path.stat()
    if hasattr(size, "st_blocks"):
        assert size.st_blocks * 512 >= size.st_size
