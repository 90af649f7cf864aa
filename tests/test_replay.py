"""Following a journal that was cut anywhere gives the loop that was there: same looks, same pulses, same counts."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, cast

import numpy as np
import pytest
from forgetful import ForgetfulChip
from holding import BRIEF
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_cases import random_targets, start_run, write_profile

from memprog.chip import Cells, Chip
from memprog.errors import InputError
from memprog.jobs.chips import make_chip
from memprog.profile import ChipProfile
from memprog.protocol import Look, Loop, Shots, Stage
from memprog.session import Batch, Fate, Journal, Session, program_array
from memprog.session.blobs import cells_of, pulse_blob, same_blob, seen_of
from memprog.session.entries import PULSE
from memprog.session.replay import RESUME, follow
from memprog.session.run import START, Start, _loop_of
from memprog.simchip import SimChip

PLACES = st.floats(0.0, 1.0, exclude_max=True)
"""Where in a run a journal is cut, as a share of it."""


class Recorded:
    """A whole run of one array: its batches from the start on, and the loop and what it owed before each of them."""

    def __init__(
        self, kind: ChipProfile, chip: SimChip, target_usiemens: np.ndarray, start: Start, batches: list[Batch]
    ) -> None:
        self.kind, self.chip, self.start, self.batches = kind, chip, start, batches
        self.cells = Cells.from_mask(0, ~np.isnan(target_usiemens))
        self.target_usiemens = target_usiemens.ravel()
        self.loops: list[Loop] = []
        self.owed: list[list[Shots]] = []

    def fresh(self, chip: Chip | None = None, **options: Any) -> tuple[Loop, Session]:
        """A loop that knows nothing yet, and a session that cannot pulse."""
        session = Session(chip or self.chip, self.kind, **options)
        return _loop_of(session, self.kind, self.target_usiemens, self.start), session

    def given(self, batches: list[Batch]) -> np.ndarray:
        """Pulses (n,) of each cell in some batches, those of unknown fate counted."""
        count = np.zeros(self.kind.geometry.rows * self.kind.geometry.columns, dtype=int)
        for batch in batches:
            if batch.kind == PULSE and batch.fate is not Fate.NOT_APPLIED:
                count[cells_of(batch.intent)] += 1
        return count[self.cells.row * self.kind.geometry.columns + self.cells.column]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("recorded")
    kind = write_profile(folder / "small.yaml", rows=8, columns=8, **BRIEF | {"protocol__passes": 2})
    make_chip(folder / "chip.sim", kind, seed=2, arrays=1)
    chip, journal = SimChip(folder / "chip.sim", kind), Journal(folder / "journal", durable=False)
    start_run(journal, chip=chip.identity.serial)
    target = random_targets(kind.levels, (8, 8), 2).astype(np.float64)
    program_array(Session(chip, kind, journal=journal, run_id="run"), kind, 0, target)
    batches = list(journal.batches("run"))
    journal.close()
    begun = batches.pop(0)
    assert begun.kind == START
    one = Recorded(kind, chip, target, Start.of(begun.intent), batches)
    loop, owed = one.fresh()[0], []
    for batch in batches:
        one.loops.append(copy.deepcopy(loop))
        one.owed.append(list(owed))
        if batch.kind == PULSE:
            owed.pop(0)
        else:
            look = loop.next_look()
            assert look is not None
            owed = loop.take(look, seen_of(batch.outcome or {}))
    return one


def same_look(one: Look | None, other: Look | None) -> bool:
    """Whether two looks are at the same cells in the same way."""
    if one is None or other is None:
        return one is other
    plain = [dataclasses.replace(look, cells=np.zeros(0)) for look in (one, other)]
    return repr(plain[0]) == repr(plain[1]) and np.array_equal(one.cells, other.cells)


def same_shots(one: list[Shots], other: list[Shots], cells: Cells) -> bool:
    """Whether two loops decided on the same pulses, bit for bit as a journal keeps them."""
    blobs = [[pulse_blob(cells.take(shots.cells), shots.pulses, 8) for shots in all_of] for all_of in (one, other)]
    return len(one) == len(other) and all(map(same_blob, *blobs))


def without_outcome(batch: Batch) -> Batch:
    """A batch as a kill leaves it."""
    return dataclasses.replace(batch, outcome=None)


def of_fate(batch: Batch, fate: Fate) -> Batch:
    """A batch that was looked into after a kill."""
    return dataclasses.replace(batch, outcome={"fate": np.array([fate])})


@settings(max_examples=40)
@given(where=PLACES)
def test_decisions_go_on_as_they_would_have_wherever_nothing_was_owed(where: float, recorded: Recorded) -> None:
    settled = [k for k, owed in enumerate(recorded.owed) if not owed]
    at = settled[int(where * len(settled))]
    loop, session = recorded.fresh()
    follow(loop, recorded.cells, recorded.batches[:at], session)
    uncut = copy.deepcopy(recorded.loops[at])
    if uncut.passes < recorded.kind.protocol.passes:
        assert same_look(loop.next_look(), uncut.next_look())
    uncut.interrupted()
    look = loop.next_look()
    assert same_look(look, uncut.next_look())
    assert look is not None
    seen = seen_of(recorded.batches[at].outcome or {})
    if len(seen.readback_usiemens) == len(look.cells):
        assert same_shots(loop.take(look, seen), uncut.take(look, seen), recorded.cells)
    np.testing.assert_array_equal(loop.pulses, uncut.pulses)
    np.testing.assert_array_equal(loop.denoise_pulses, uncut.denoise_pulses)


@settings(max_examples=40)
@given(where=PLACES, fate=st.sampled_from([None, *Fate]))
def test_pulses_are_counted_as_the_journal_has_them_wherever_it_is_cut(
    where: float, fate: Fate | None, recorded: Recorded
) -> None:
    at = 1 + int(where * len(recorded.batches))
    history, last = recorded.batches[:at], recorded.batches[at - 1]
    if fate is not None:
        history[-1] = of_fate(last, fate) if last.kind == PULSE else without_outcome(last)
    loop, session = recorded.fresh()
    follow(loop, recorded.cells, history, session)
    given_pulses = recorded.given(history)
    np.testing.assert_array_equal(loop.pulses, given_pulses)
    np.testing.assert_array_equal(session._pulses_run.ravel()[flat(recorded)], given_pulses)
    look = loop.next_look()
    assert look is not None
    if last.kind == PULSE:
        concerned = np.isin(flat(recorded), cells_of(last.intent))
        # Nothing is learned from pulses that may not have been given.
        assert fate in {None, Fate.APPLIED} or not loop._last.waiting[concerned].any()
        # Whatever was given or not, the cells are neither done nor given up, and only a look can decide on a pulse.
        assert (loop.stage[concerned] == Stage.APPROACH).all()


@settings(max_examples=40)
@given(where=PLACES, noted=st.booleans())
@pytest.mark.long
def test_chain_of_cuts_is_followed_as_it_was_lived(where: float, noted: bool, recorded: Recorded) -> None:
    """A resume withdraws what was owed; a second one, from the journal of the first, withdraws the same."""
    at = 1 + int(where * len(recorded.batches))
    loop, session = recorded.fresh()
    follow(loop, recorded.cells, recorded.batches[:at], session)
    again, session = recorded.fresh()
    resumed = Batch(batch_id=at, array=0, kind=RESUME, intent={}, outcome={} if noted else None)
    follow(again, recorded.cells, [*recorded.batches[:at], resumed], session)
    assert same_look(again.next_look(), loop.next_look())
    np.testing.assert_array_equal(again.pulses, loop.pulses)
    np.testing.assert_array_equal(again.stage, loop.stage)


@settings(max_examples=40)
@given(where=PLACES, other_kind=st.booleans())
def test_journal_of_other_decisions_is_refused(where: float, other_kind: bool, recorded: Recorded) -> None:
    places = [k for k, batch in enumerate(recorded.batches) if batch.kind == PULSE]
    at = places[int(where * len(places))]
    batch = recorded.batches[at]
    intent: dict[str, Any] = {**batch.intent, "amplitude_v": batch.intent["amplitude_v"] + np.float32(1e-3)}
    changed = dataclasses.replace(batch, **{"kind": "read check"} if other_kind else {"intent": intent})
    loop, session = recorded.fresh()
    with pytest.raises(InputError, match=r"decides otherwise|is not whole"):
        follow(loop, recorded.cells, [*recorded.batches[:at], changed], session)


def flat(recorded: Recorded) -> np.ndarray:
    """Flat index (n,) of the cells of the run."""
    return recorded.cells.row * recorded.kind.geometry.columns + recorded.cells.column


def test_readbacks_and_clock_are_those_of_the_last_look(recorded: Recorded) -> None:
    loop, session = recorded.fresh()
    follow(loop, recorded.cells, recorded.batches, session)
    np.testing.assert_array_equal(session.readback_usiemens[0].ravel(), loop.readback_usiemens)
    looks = [batch.outcome for batch in recorded.batches if batch.outcome and "time_s" in batch.outcome]
    assert session.clock_s() >= float(looks[-1]["time_s"][0])
    assert session.clock_s() == recorded.chip.clock_s()


def test_clock_that_starts_anew_goes_on_where_the_journal_left_it(recorded: Recorded) -> None:
    """A rack counts from its start; so does this chip, which was opened just now."""
    chip = cast(Chip, ForgetfulChip(recorded.chip._file.path, recorded.kind))
    assert chip.clock_s() == 0.0
    loop, session = recorded.fresh(chip)
    follow(loop, recorded.cells, recorded.batches, session)
    looks = [batch.outcome for batch in recorded.batches if batch.outcome and "time_s" in batch.outcome]
    assert session.clock_s() == pytest.approx(float(looks[-1]["time_s"][0]))
    everything = Look(stage="approach", cells=np.arange(len(recorded.cells)), samples=1, interval_s=0.0)
    assert session.look(recorded.cells, everything).time_s > float(looks[-1]["time_s"][0])


def test_pulses_of_the_run_are_not_counted_twice_over_the_life_of_a_cell(recorded: Recorded) -> None:
    """The record of the chip, from which a resume starts, has them already."""
    before = 7
    lived = np.zeros((1, 8, 8), dtype=np.int64)
    lived.ravel()[flat(recorded)] = before + recorded.given(recorded.batches)
    loop, session = recorded.fresh(spent_life=lived)
    follow(loop, recorded.cells, recorded.batches, session)
    assert (session._spent_life.ravel()[flat(recorded)] == before).all()
