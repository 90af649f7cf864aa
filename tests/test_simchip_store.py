"""The file of a simulated chip: it remembers, survives kills, is the same for the same seed, and refuses others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
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

from memprog.chip import Bias
from memprog.errors import EXIT_INPUT, ChipFileError
from memprog.profile import ChipProfile
from memprog.simchip import SimChip, create, read_header
from memprog.simchip.state import Record
from memprog.simchip.store import HEADER, HEADER_BYTES, ChipFile, layout_of

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
    assert read_header(chip._file.path)["pulses"] == len(cells)


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


def test_kill_before_the_generation_is_written_loses_only_the_last_batch(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    cells = array_cells(chip)
    chip.pulse(cells, same_pulses(len(cells), Bias.SET, 1.9), 1)
    kept = memristor_usiemens(chip).copy()
    whole = chip._file._slots

    class KilledAtTheEnd:
        """Slots whose process dies as the whole record has been written, before its generation is."""

        def __getitem__(self, key: object) -> object:
            return whole[key]

        def __setitem__(self, key: object, value: object) -> None:
            whole[key] = value
            raise Killed

    chip._file._slots = KilledAtTheEnd()
    with pytest.raises(Killed):
        chip.pulse(cells, same_pulses(len(cells), Bias.SET, 2.1), 2)
    other = reopened(chip)
    np.testing.assert_allclose(memristor_usiemens(other), kept, rtol=1e-4)
    # Told as applied though it was not: counts may err upwards by one batch, never downwards.
    assert other.last_batch_id() == 2


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


def chopped(content: bytes) -> bytes:
    return content[:-1]


def cut_in_the_head(content: bytes) -> bytes:
    return content[: HEADER.itemsize - 1]


def lengthened(content: bytes) -> bytes:
    return content + b"\0"


def empty(content: bytes) -> bytes:
    return b""


def foreign(content: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + content[8:]


def of_the_next_version(content: bytes) -> bytes:
    return patched(content, "format_version", 2)


def of_another_profile(content: bytes) -> bytes:
    return patched(content, "profile", b"rao2023-onchip-6bit")


def of_another_make_of_the_profile(content: bytes) -> bytes:
    return patched(content, "chip_sha256", b"0" * 64)


def of_no_arrays(content: bytes) -> bytes:
    return patched(content, "arrays", 0)


def of_too_many_arrays(content: bytes) -> bytes:
    return patched(content, "arrays", 4_000_000_000)


def with_a_name_that_is_not_text(content: bytes) -> bytes:
    return patched(content, "profile", b"\xff\xfe\xfd")


def patched(content: bytes, field: str, value: object) -> bytes:
    """A chip file with one field of its head changed."""
    header = np.frombuffer(content[: HEADER.itemsize], HEADER).copy()
    header[field] = value
    return header.tobytes() + content[HEADER.itemsize :]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (chopped, "bytes long, a whole one has"),
        (cut_in_the_head, "not the file of a simulated chip"),
        (lengthened, "bytes long, a whole one has"),
        (empty, "not the file of a simulated chip"),
        (foreign, "not the file of a simulated chip"),
        (of_the_next_version, "format version 2; this memprog reads 1"),
        (of_another_profile, "made as 'rao2023-onchip-6bit'"),
        (of_another_make_of_the_profile, r"made as 'rao2023-11bit' \(00000000\)"),
        (of_no_arrays, "claims 0 arrays"),
        (of_too_many_arrays, "claims 4000000000 arrays"),
        (with_a_name_that_is_not_text, "not as 'rao2023-11bit'"),
    ],
)
def test_file_that_is_not_this_chip_is_refused_in_a_sentence_and_left_alone(
    damage: Callable[[bytes], bytes], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "chip.sim"
    create(path, small_profile(), seed=1, arrays=2)
    content = damage(path.read_bytes())
    path.write_bytes(content)
    with pytest.raises(ChipFileError, match=sentence) as caught:
        SimChip(path, small_profile())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == EXIT_INPUT
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["chip.sim"]


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


def test_array_without_a_whole_state_is_refused_when_it_is_touched(tmp_path: Path) -> None:
    chip = new_chip(tmp_path)
    slots(chip)["generation"][1] = 0
    other = reopened(chip)
    other.read(array_cells(other, 0), read_spec())
    with pytest.raises(ChipFileError, match="array 1 has no whole state"):
        other.read(array_cells(other, 1), read_spec())


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
