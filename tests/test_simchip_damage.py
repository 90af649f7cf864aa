"""Files that are not, or no longer, the file of a chip: one sentence each, no warning, and they are left alone."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_chip import array_cells, new_chip, read_spec, same_pulses, small_profile

from memprog.chip import Bias
from memprog.errors import EXIT_INPUT, ChipFileError
from memprog.simchip import SimChip, create, summary_of
from memprog.simchip.soundness import SILICON_BOUNDS, STATE_BOUNDS, checksum
from memprog.simchip.state import SLOT_HEAD
from memprog.simchip.store import FORMAT_VERSION, HEADER, HEADER_BYTES, layout_of

LAYOUT = layout_of(small_profile(), 2)
BOUNDS = SILICON_BOUNDS | STATE_BOUNDS
FIELDS = {*(LAYOUT.silicon.names or ()), *(LAYOUT.state.names or ())}


def chopped(content: bytes) -> bytes:
    return content[:-1]


def cut_in_the_head(content: bytes) -> bytes:
    return content[: HEADER.itemsize - 1]


def cut_after_the_head(content: bytes) -> bytes:
    return content[:HEADER_BYTES]


def cut_in_the_middle(content: bytes) -> bytes:
    return content[: len(content) // 2]


def lengthened(content: bytes) -> bytes:
    return content + b"\0"


def empty(content: bytes) -> bytes:
    return b""


def foreign(content: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + content[8:]


def of_the_version_before(content: bytes) -> bytes:
    return headed(content, "format_version", FORMAT_VERSION - 1)


def of_the_next_version(content: bytes) -> bytes:
    return headed(content, "format_version", FORMAT_VERSION + 1)


def of_another_profile(content: bytes) -> bytes:
    return headed(content, "profile", b"rao2023-onchip-6bit")


def of_another_make_of_the_profile(content: bytes) -> bytes:
    return headed(content, "chip_sha256", b"0" * 64)


def of_no_arrays(content: bytes) -> bytes:
    return headed(content, "arrays", 0)


def of_too_many_arrays(content: bytes) -> bytes:
    return headed(content, "arrays", 4_000_000_000)


def of_tiny_slots_and_very_many_arrays(content: bytes) -> bytes:
    room = (len(content) - HEADER_BYTES) // 2
    return headed(headed(headed(content, "slot_bytes", 1), "slots_at", HEADER_BYTES), "arrays", room)


def of_slots_of_another_size(content: bytes) -> bytes:
    bytes_of_all = len(content) - LAYOUT.slots_at
    return headed(headed(content, "slot_bytes", bytes_of_all // 2), "arrays", 1)


def of_slots_beyond_the_end(content: bytes) -> bytes:
    return headed(content, "slots_at", 2**63)


def with_a_name_that_is_not_text(content: bytes) -> bytes:
    return headed(content, "profile", b"\xff\xfe\xfd")


def with_another_seed_by_accident(content: bytes) -> bytes:
    return headed(content, "seed", 9, sealed=False)


def with_a_clock_of_no_number(content: bytes) -> bytes:
    return headed(content, "clock_s", np.nan)


def with_a_clock_before_the_beginning(content: bytes) -> bytes:
    return headed(content, "clock_s", -1.0)


def with_a_clock_beyond_all_time(content: bytes) -> bytes:
    return headed(content, "clock_s", 1e300)


def headed(content: bytes, field: str, value: object, *, sealed: bool = True) -> bytes:
    """A chip file with one fact of its head changed, and its checksum with it."""
    header = np.frombuffer(content[: HEADER.itemsize], HEADER).copy()
    header[field] = value
    if sealed and field != "clock_s":
        fields = HEADER.fields or {}
        header["crc"] = zlib.crc32(header.tobytes()[: fields["crc"][1]])
    return header.tobytes() + content[HEADER.itemsize :]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (chopped, "bytes long, a whole one has"),
        (cut_in_the_head, "not the file of a simulated chip"),
        (cut_after_the_head, "bytes long, a whole one has"),
        (cut_in_the_middle, "bytes long, a whole one has"),
        (lengthened, "bytes long, a whole one has"),
        (empty, "not the file of a simulated chip"),
        (foreign, "not the file of a simulated chip"),
        (of_the_version_before, r"format version 1, and this memprog reads 2; make a new chip with `memprog sim new"),
        (of_the_next_version, "format version 3, and this memprog reads 2"),
        (of_another_profile, "made as 'rao2023-onchip-6bit'"),
        (of_another_make_of_the_profile, r"made as 'rao2023-11bit' \(00000000\)"),
        (of_no_arrays, "the head of the file is damaged"),
        (of_too_many_arrays, "bytes long, a whole one has"),
        (of_tiny_slots_and_very_many_arrays, "the head of the file is damaged"),
        (of_slots_of_another_size, "not of the size that 'rao2023-11bit' gives them"),
        (of_slots_beyond_the_end, "bytes long, a whole one has"),
        (with_a_name_that_is_not_text, "not as 'rao2023-11bit'"),
        (with_another_seed_by_accident, "the head of the file is damaged"),
        (with_a_clock_of_no_number, "its clock shows nan s"),
        (with_a_clock_before_the_beginning, "its clock shows -1 s"),
        (with_a_clock_beyond_all_time, r"its clock shows 1e\+300 s"),
    ],
)
def test_file_that_is_not_this_chip_is_refused_in_a_sentence_and_left_alone(
    damage: Callable[[bytes], bytes], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "chip.sim"
    create(path, small_profile(), seed=1, arrays=2)
    content = damage(path.read_bytes())
    path.write_bytes(content)
    refused(path, sentence)
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["chip.sim"]


def refused(path: Path, sentence: str) -> None:
    """Open and use a chip, which must end in one sentence that names the file."""
    with pytest.raises(ChipFileError, match=sentence) as caught:
        use(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == EXIT_INPUT


def use(path: Path) -> None:
    """Open a chip and do a little of everything to all of it."""
    chip = SimChip(path, small_profile())
    for array in (0, 1):
        cells = array_cells(chip, array)
        chip.pulse(cells, same_pulses(len(cells), Bias.SET, 1.9), array)
        chip.read(cells, read_spec(samples=3))
        chip.multiply(array, np.full((1, 4), 0.1), [0, 1, 2, 3], 3.0)


def used_and_closed(folder: Path) -> Path:
    """The file of a chip that has been pulsed in both arrays and closed."""
    chip = new_chip(folder)
    use(chip._file.path)
    chip = SimChip(chip._file.path, small_profile())
    for array in (0, 1):
        chip.read(array_cells(chip, array), read_spec())
    chip.close()
    return chip._file.path


def parts(path: Path) -> tuple[np.memmap, np.memmap]:
    """Silicon (arrays,) and slots (arrays, 2) of a chip's file, to be spoilt."""
    slots = np.memmap(path, LAYOUT.state, "r+", LAYOUT.slots_at, (2, 2))
    return np.memmap(path, LAYOUT.silicon, "r+", HEADER_BYTES, (2,)), slots


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("memristor", np.nan, "memristor from nan to nan"),
        ("memristor", np.inf, "memristor from .* to inf"),
        ("memristor", -1.0, "memristor from -1 to"),
        ("unrelaxed", np.nan, "unrelaxed"),
        ("unrelaxed", -1e30, "unrelaxed"),
        ("flicker", np.inf, "flicker"),
        ("trap_amplitude", -1.0, "trap_amplitude"),
        ("trap_amplitude", np.nan, "trap_amplitude"),
        ("trap_dissolve_v", np.nan, "trap_dissolve_v"),
        ("relaxed_until_s", np.nan, "relaxed_until_s"),
        ("relaxed_until_s", -1.0, "relaxed_until_s"),
        ("noise_until_s", 1e6, r"noise_until_s from .* to 1e\+06"),
        ("wear", 77, "wear of .* after 256 pulses"),
        ("random", 0, "random state of no generator"),
        ("clock_s", np.nan, "clock_s of nan"),
        ("clock_s", -5.0, "clock_s of -5"),
        ("last_batch_s", np.inf, "last_batch_s of inf"),
        ("last_batch", -2, "last batch -2 after 256 pulses"),
        ("pulses", 0, "last batch 1 after 0 pulses"),
        ("generation", 2**63, "generation 9223372036854775808 after"),
        ("generation", 900, "generation 900 after"),
        ("generation", 0, "no whole state"),
    ],
)
@pytest.mark.parametrize("in_use", [True, False], ids=["in use", "closed"])
def test_number_that_no_chip_could_have_written_is_refused(
    field: str, value: float, sentence: str, in_use: bool, tmp_path: Path
) -> None:
    path = used_and_closed(tmp_path)
    _, slots = parts(path)
    newest = slots["generation"][1].argmax()
    if field == "generation" and value == 0:
        slots["generation"][1] = 0
    else:
        place = (1, newest) if slots[field].ndim == 2 else (1, newest, ..., slice(0, 6))
        slots[field][place] = value
    slots["crc"][1] = 0 if in_use else slots["crc"][1]
    refused(path, rf"array 1 is damaged \(.*{sentence}")


@pytest.mark.parametrize("field", ["trap_dwell_low_s", "trap_dwell_high_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_trap_without_dwell_times_is_refused(field: str, value: float, tmp_path: Path) -> None:
    path = used_and_closed(tmp_path)
    _, slots = parts(path)
    slots["crc"] = 0
    newest = slots["generation"][0].argmax()
    cell = np.flatnonzero(slots["trap_amplitude"][0, newest, 0])[0]
    slots[field][0, newest, 0, cell] = value
    refused(path, rf"array 0 is damaged \({field}")


def test_truth_value_that_is_neither_true_nor_false_is_refused(tmp_path: Path) -> None:
    path = used_and_closed(tmp_path)
    _, slots = parts(path)
    slots["crc"] = 0
    slots["trap_high"].view(np.uint8)[0, :, 0, 0] = 7
    refused(path, r"array 0 is damaged \(trap_high")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("transistor", np.nan),
        ("set_threshold_v", np.inf),
        ("reset_threshold_v", np.nan),
        ("slope_v", 0.0),
        ("set_gate", -1.0),
        ("stuck", 100),
        ("column_offset_a", np.nan),
        ("column_gain", np.inf),
        ("source_drop", -2.0),
    ],
)
@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "by accident"])
def test_silicon_that_no_line_makes_is_refused(field: str, value: float, sealed: bool, tmp_path: Path) -> None:
    path = used_and_closed(tmp_path)
    silicon, _ = parts(path)
    silicon[field][0, 3] = value
    if sealed:
        silicon["crc"][0] = checksum(silicon[0])
    refused(path, rf"array 0 is damaged \({field}")


def test_silicon_never_changes(tmp_path: Path) -> None:
    path = used_and_closed(tmp_path)
    silicon, _ = parts(path)
    silicon["set_gate"][0, 3] *= 1.01
    refused(path, r"array 0 is damaged \(the checksum of its silicon does not match\)")


@pytest.mark.parametrize("field", ["memristor", "last_batch", "pulses", "wear", "flicker", "random", "clock_s"])
def test_flipped_bit_in_a_closed_chip_is_found(field: str, tmp_path: Path) -> None:
    path = used_and_closed(tmp_path)
    _, slots = parts(path)
    fields = LAYOUT.state.fields or {}
    content = bytearray(path.read_bytes())
    # The lowest bit of the first number of the field: of most of them nothing but a checksum tells.
    content[LAYOUT.slots_at + int(slots["generation"][0].argmax()) * LAYOUT.state.itemsize + fields[field][1]] ^= 1
    path.write_bytes(content)
    refused(path, "array 0 is damaged")


def test_checksum_stands_only_while_a_chip_is_closed(tmp_path: Path) -> None:
    path = used_and_closed(tmp_path)
    _, slots = parts(path)
    newest = slots["generation"].argmax(axis=1)
    assert all(slots["crc"][array, newest[array]] for array in (0, 1))
    chip = SimChip(path, small_profile())
    chip.read(array_cells(chip, 0), read_spec())
    assert slots["crc"][0, 1 - newest[0]] == 0
    chip.close()
    assert slots["crc"][0, 1 - newest[0]] == checksum(slots[0, 1 - newest[0]])
    use(path)


def test_garbage_in_a_good_file_is_found_or_does_no_harm_and_never_warns(tmp_path: Path) -> None:
    path = used_and_closed(tmp_path)
    content, (_, slots) = path.read_bytes(), parts(path)
    starts = LAYOUT.slots_at + LAYOUT.state.itemsize * np.arange(4)
    older = starts[np.arange(0, 4, 2) + slots["generation"].argmin(axis=1)]
    rng = np.random.default_rng(4)
    for at in rng.integers(HEADER_BYTES, len(content) - 1024, 40).tolist():
        path.write_bytes(content[:at] + rng.bytes(1024) + content[at + 1024 :])
        if np.any((older + np.dtype(SLOT_HEAD).itemsize <= at) & (at + 1024 <= older + LAYOUT.state.itemsize)):
            use(path)
        else:
            refused(path, "is damaged")


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("field", [name for name in BOUNDS if name in FIELDS])
def test_numbers_near_the_end_of_what_is_believed_never_warn(field: str, end: int, tmp_path: Path) -> None:
    path = used_and_closed(tmp_path)
    silicon, slots = parts(path)
    slots["crc"] = 0
    # Single precision must not carry it over the end.
    last = BOUNDS[field][end]
    extreme = last + 1e-6 * abs(last) * (-1 if end else 1)
    if field in SILICON_BOUNDS:
        silicon[field][:, ::2] = extreme
        silicon["crc"] = [checksum(one) for one in silicon]
    else:
        slots[field] = np.where(slots[field] != 0, extreme, 0)
    use(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.3, 0.5, 0.9, 0.9999])
def test_file_cut_anywhere_is_refused(share: float, tmp_path: Path) -> None:
    path = used_and_closed(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    for look in (summary_of, use):
        with pytest.raises(ChipFileError):
            look(path)


def test_array_that_lost_both_slots_makes_no_summary(tmp_path: Path) -> None:
    path = used_and_closed(tmp_path)
    _, slots = parts(path)
    slots["generation"][1] = 0
    with pytest.raises(ChipFileError, match=r"array 1 is damaged \(no whole state\)"):
        summary_of(path)
