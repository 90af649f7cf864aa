"""A batch beyond any limit never reaches the chip, whatever the batch and whatever the limits."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from loop_cases import RecorderChip, cells_at, make_bench, pulses_of, recording, small_profile, wear_of

from memprog.chip import Bias, Cells, Pulses
from memprog.errors import InputError, LimitError
from memprog.jobs.program import program
from memprog.jobs.restore import restore
from memprog.jobs.status import status
from memprog.profile import ChipProfile, Limits, load_profile, profile_names
from memprog.protocol import Look
from memprog.session import Journal, Permissions, Session, check_possible
from memprog.session.limits import tightened

PROFILE = small_profile(rows=4, columns=4)
MOST_V = {
    Bias.SET: "set_max_v",
    Bias.RESET: "reset_max_v",
    Bias.SUB_THRESHOLD: "sub_threshold_max_v",
    Bias.FORM: "form_max_v",
}
CONDUCTANCE = 1000.0
IN_A_PULSE = 1.3 * CONDUCTANCE
"""A pulse opens the gate further than a read does."""
Folder = Callable[[], Path]


@pytest.fixture(scope="module")
def journal_path(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A new place for a journal at every call: hypothesis makes many."""
    folder, number = tmp_path_factory.mktemp("journals"), itertools.count()
    return lambda: folder / f"{next(number)}.sqlite"


volts = st.floats(0.5, 6.0)


@st.composite
def profiles(draw: st.DrawFn) -> ChipProfile:
    """A profile with limits of its own; an ordinary read is always within them."""
    width_min_ns = draw(st.integers(10, 500))
    limits = {name: draw(volts) for name in ("set_max_v", "reset_max_v", "sub_threshold_max_v", "form_max_v")}
    limits |= {
        "gate_max_v": draw(st.floats(3.0, 6.0)),
        "width_min_ns": width_min_ns,
        "width_max_ns": width_min_ns + draw(st.integers(0, 100_000)),
        "cell_current_max_a": draw(st.floats(1e-4, 2e-2)),
        "pulses_per_cell_run": draw(st.integers(1, 3)),
        "pulses_per_cell_life": draw(st.integers(1, 3)),
    }
    return small_profile(rows=4, columns=4, limits=limits)


def around(least: float, most: float) -> st.SearchStrategy[float]:
    """Mostly fine values, the limits themselves, their nearest neighbours outside, and what is no number."""
    edges = [least, most, math.nextafter(most, math.inf), math.nextafter(least, -math.inf), most + 0.0003, 1e300]
    odd = [math.nan, math.inf, -math.inf, -most, 2.0 * most]
    fine = st.floats(least, most)
    return st.one_of(fine, fine, fine, st.sampled_from([*edges, *odd]))


@st.composite
def batches(draw: st.DrawFn, limits: Limits) -> Pulses:
    """Pulses for a few cells: all fine, or one bad among many, or a mess."""
    n = draw(st.integers(1, 5))
    kinds = list(MOST_V)
    bias = [int(draw(st.sampled_from(kinds[:3]))) for _ in range(n)]
    amplitude = [draw(st.floats(0.0, getattr(limits, MOST_V[Bias(kind)]))) for kind in bias]
    gate = [draw(st.floats(0.0, limits.gate_max_v)) for _ in range(n)]
    width = [draw(st.integers(limits.width_min_ns, limits.width_max_ns)) for _ in range(n)]
    for _ in range(draw(st.integers(0, 2))):
        k = draw(st.integers(0, n - 1))
        what = draw(st.sampled_from(["bias", "amplitude", "gate", "width"]))
        if what == "bias":
            bias[k] = draw(st.sampled_from([0, int(Bias.FORM), 5, 255]))
        elif what == "amplitude":
            most = getattr(limits, MOST_V.get(bias[k], "set_max_v"))  # type: ignore[call-overload]
            amplitude[k] = draw(around(0.0, most))
        elif what == "gate":
            gate[k] = draw(around(0.0, limits.gate_max_v))
        else:
            edges = [limits.width_min_ns - 1, limits.width_max_ns + 1, 0, -1, -(2**63), 2**63 - 1]
            width[k] = draw(st.sampled_from(edges))
    return pulses_of(bias, amplitude, gate, width)


def allowed(limits: Limits, bias: int, amplitude_v: float, gate_v: float, width_ns: int, *, forming: bool) -> bool:
    """The limits as a person reads them, one pulse at a time, on a cell of known conductance."""
    if bias not in list(Bias) or (bias == Bias.FORM and not forming):
        return False
    within_volts = 0.0 <= amplitude_v <= getattr(limits, MOST_V[Bias(bias)]) and 0.0 <= gate_v <= limits.gate_max_v
    within_time = limits.width_min_ns <= width_ns <= limits.width_max_ns
    return within_volts and within_time and amplitude_v * IN_A_PULSE * 1e-6 <= limits.cell_current_max_a


def refused_for(session: Session, cells: Cells, pulses: Pulses) -> str | None:
    """Why a batch was refused; None where it was not."""
    try:
        session.fire(cells, pulses)
    except LimitError as error:
        return str(error)
    return None


@settings(max_examples=60)
@given(data=st.data(), profile=profiles(), forming=st.booleans())
def test_what_reaches_the_chip_is_within_every_limit_and_what_is_within_them_reaches_it(
    data: st.DataObject, profile: ChipProfile, forming: bool, journal_path: Folder
) -> None:
    limits = profile.limits
    chip = RecorderChip(profile, CONDUCTANCE)
    session, journal = recording(journal_path(), chip, permissions=Permissions(forming=forming))
    spent = np.zeros(5, dtype=int)
    for _ in range(4):
        pulses = data.draw(batches(limits))
        n = len(pulses)
        cells = cells_at(*((0, k // 4, k % 4) for k in range(n)))
        session.look(cells, Look(stage="check", cells=np.arange(n), samples=1, interval_s=0.0))
        each = zip(pulses.bias, pulses.amplitude_v, pulses.gate_v, pulses.width_ns, strict=True)
        fine = all(allowed(limits, *one, forming=forming) for one in each)
        fine &= bool((spent[:n] < min(limits.pulses_per_cell_run, limits.pulses_per_cell_life)).all())
        near_a = np.abs(pulses.amplitude_v * IN_A_PULSE * 1e-6 / limits.cell_current_max_a - 1.0)
        sent, intended = len(chip.batches), journal.pulses("run")
        refusal = refused_for(session, cells, pulses)
        # A reading of 1,000 uS is rounded on its way: right at the current limit either is fine.
        assert (refusal is None) == fine or (near_a < 1e-6).any()
        if refusal is None:
            np.testing.assert_array_equal(chip.batches[-1][1].amplitude_v, pulses.amplitude_v)
            spent[:n] += 1
        else:
            assert "nothing was applied" in refusal
        given_now = refusal is None
        assert (len(chip.batches), journal.pulses("run")) == (sent + given_now, intended + given_now * n)
    journal.close()


@given(
    bias=st.sampled_from(list(Bias)),
    factor=st.sampled_from([1.0 + 1e-4, 1.5, 100.0]),
    bad=st.integers(0, 9),
)
def test_one_bad_pulse_among_many_refuses_all_and_is_named_with_value_and_limit(
    bias: Bias, factor: float, bad: int, journal_path: Folder
) -> None:
    chip = RecorderChip(PROFILE, CONDUCTANCE)
    session, journal = recording(journal_path(), chip, permissions=Permissions(forming=True))
    limit = getattr(PROFILE.limits, MOST_V[bias])
    amplitude = np.full(10, 0.5)
    amplitude[bad] = limit * factor
    cells = cells_at(*((0, k // 4, k % 4) for k in range(10)))
    with pytest.raises(LimitError, match=f"{bias.name} amplitude") as refused:
        session.fire(cells, pulses_of([bias] * 10, amplitude, [1.0] * 10, [1000] * 10))
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", str(refused.value))]
    assert numbers[0] == pytest.approx(limit * factor, rel=2e-6)
    assert limit in numbers
    assert numbers[0] > limit
    assert (chip.batches, journal.pulses("run")) == ([], 0)
    journal.close()


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("gate", {"gate_v": 5.0003}),
        ("gate", {"gate_v": math.nan}),
        ("gate", {"gate_v": -0.1}),
        ("pulse width", {"width_ns": 100_001}),
        ("pulse width", {"width_ns": 99}),
        ("SET amplitude", {"amplitude_v": math.nan}),
        ("SET amplitude", {"amplitude_v": math.inf}),
        ("SET amplitude", {"amplitude_v": -math.inf}),
        ("pulse kind", {"bias": 9}),
    ],
)
def test_each_quantity_is_refused_by_name(name: str, changed: dict[str, float], tmp_path: Path) -> None:
    chip = RecorderChip(PROFILE)
    session, journal = recording(tmp_path / "j", chip)
    asked = {"bias": int(Bias.SET), "amplitude_v": 1.0, "gate_v": 1.0, "width_ns": 1000} | changed
    with pytest.raises(LimitError) as refused:
        session.fire(cells_at((0, 0, 0)), pulses_of(*([value] for value in asked.values())))
    assert str(refused.value).startswith(f"{name} {next(iter(changed.values())):.7g}")
    assert chip.batches == []
    journal.close()


def test_expected_current_of_a_cell_is_limited_once_it_was_read(tmp_path: Path) -> None:
    profile = small_profile(rows=4, columns=4, limits={"cell_current_max_a": 1e-3})
    chip = RecorderChip(profile, CONDUCTANCE)
    session, journal = recording(tmp_path / "j", chip)
    cells = cells_at((0, 0, 0))
    strong = pulses_of([Bias.RESET], [1.1], [5.0], [1000])
    session.look(cells, Look(stage="check", cells=np.arange(1), samples=1, interval_s=0.0))
    with pytest.raises(LimitError, match=r"expected cell current 0\.00143 A is outside 0\.\.0\.001 A"):
        session.fire(cells, strong)
    session.fire(cells, pulses_of([Bias.RESET], [0.7], [5.0], [1000]))
    assert len(chip.batches) == 1
    journal.close()


@pytest.mark.parametrize("readings", [0, 1])
def test_a_cell_never_read_or_beyond_scale_is_reckoned_to_conduct_beyond_scale(readings: int, tmp_path: Path) -> None:
    chip = RecorderChip(PROFILE, math.inf)
    session, journal = recording(tmp_path / "j", chip)
    cells = cells_at((0, 0, 0))
    for _ in range(readings):
        session.look(cells, Look(stage="check", cells=np.arange(1), samples=1, interval_s=0.0))
    with pytest.raises(LimitError, match=r"expected cell current 0\.0195 A is outside 0\.\.0\.016 A"):
        session.fire(cells, pulses_of([Bias.RESET], [2.6], [5.0], [1000]))
    assert chip.batches == []
    journal.close()


@pytest.mark.parametrize("seen_usiemens", [-0.3, 0.0, math.inf])
def test_a_cell_that_reads_nothing_or_too_much_may_still_be_pulsed(seen_usiemens: float, tmp_path: Path) -> None:
    # An open cell reads a little below zero as often as above; it must not stop the other cells of the run.
    chip = RecorderChip(PROFILE, seen_usiemens)
    session, journal = recording(tmp_path / "j", chip)
    cells = cells_at((0, 0, 0))
    session.look(cells, Look(stage="check", cells=np.arange(1), samples=1, interval_s=0.0))
    session.fire(cells, pulses_of([Bias.SET], [1.0], [1.0], [1000]))
    assert len(chip.batches) == 1
    journal.close()


@pytest.mark.parametrize("name", ["pulses_per_cell_run", "pulses_per_cell_life"])
def test_pulses_to_one_cell_are_counted_over_a_run(name: str, tmp_path: Path) -> None:
    chip = RecorderChip(small_profile(rows=4, columns=4, limits={name: 3}))
    session, journal = recording(tmp_path / "j", chip)
    one = pulses_of([Bias.SET], [1.0], [1.0], [1000])
    for _ in range(3):
        session.fire(cells_at((0, 1, 1)), one)
    with pytest.raises(LimitError, match=r"pulses to one cell .* 4 is outside 0\.\.3"):
        session.fire(cells_at((0, 1, 1)), one)
    session.fire(cells_at((0, 1, 2)), one)
    assert (len(chip.batches), journal.pulses("run")) == (4, 4)
    journal.close()


def test_a_refused_batch_does_not_count(tmp_path: Path) -> None:
    chip = RecorderChip(small_profile(rows=4, columns=4, limits={"pulses_per_cell_run": 1}))
    session, journal = recording(tmp_path / "j", chip)
    for _ in range(3):
        with pytest.raises(LimitError):
            session.fire(cells_at((0, 0, 0)), pulses_of([Bias.SET], [9.0], [1.0], [1000]))
    session.fire(cells_at((0, 0, 0)), pulses_of([Bias.SET], [1.0], [1.0], [1000]))
    assert len(chip.batches) == 1
    journal.close()


def test_a_cell_twice_in_a_batch_is_refused_since_it_would_be_counted_once(tmp_path: Path) -> None:
    chip = RecorderChip(small_profile(rows=4, columns=4, limits={"pulses_per_cell_run": 1}))
    session, journal = recording(tmp_path / "j", chip)
    with pytest.raises((LimitError, InputError)):
        session.fire(cells_at((0, 0, 0), (0, 0, 0)), pulses_of([Bias.SET] * 2, [1.0] * 2, [1.0] * 2, [1000] * 2))
    assert (chip.batches, journal.pulses("run")) == ([], 0)
    journal.close()


@pytest.mark.parametrize("place", [(0, -1, 0), (0, 0, 4), (1, 0, 0), (0, 4, 0)])
def test_a_cell_that_is_not_on_the_chip_is_never_pulsed_or_read(place: tuple[int, int, int], tmp_path: Path) -> None:
    chip = RecorderChip(PROFILE)
    session, journal = recording(tmp_path / "j", chip)
    with pytest.raises(InputError, match="is not on a chip"):
        session.fire(cells_at(place), pulses_of([Bias.SET], [1.0], [1.0], [1000]))
    with pytest.raises(InputError, match="is not on a chip"):
        session.look(cells_at(place), Look(stage="check", cells=np.arange(1), samples=1, interval_s=0.0))
    assert (chip.batches, chip.reads, journal.pulses("run")) == ([], [], 0)
    journal.close()


def test_cells_and_pulses_must_pair_up(tmp_path: Path) -> None:
    chip = RecorderChip(PROFILE)
    session, journal = recording(tmp_path / "j", chip)
    with pytest.raises(InputError):
        session.fire(cells_at((0, 0, 0), (0, 0, 1)), pulses_of([Bias.SET], [1.0], [1.0], [1000]))
    assert (chip.batches, journal.pulses("run")) == ([], 0)
    journal.close()


def test_forming_needs_permission(tmp_path: Path) -> None:
    forming = pulses_of([Bias.FORM], [4.2], [1.5], [1000])
    chip, fresh = RecorderChip(PROFILE, 20.0), Look(stage="check", cells=np.arange(1), samples=1, interval_s=0.0)
    session, journal = recording(tmp_path / "forbidden", chip)
    with pytest.raises(LimitError, match="forming is irreversible and was not permitted"):
        session.fire(cells_at((0, 0, 0)), forming)
    assert (chip.batches, journal.pulses("run")) == ([], 0)
    journal.close()
    session, journal = recording(tmp_path / "permitted", chip, permissions=Permissions(forming=True))
    session.look(cells_at((0, 0, 0)), fresh)
    session.fire(cells_at((0, 0, 0)), forming)
    assert len(chip.batches) == 1
    journal.close()


@given(
    readout=st.fixed_dictionaries({"read_v": around(0.0, 0.3), "read_gate_v": around(0.0, 5.0)}),
)
@example(readout={"read_v": 0.3, "read_gate_v": 5.0})
def test_a_read_beyond_the_limits_never_reaches_the_chip(readout: dict[str, float], journal_path: Folder) -> None:
    profile = small_profile(rows=4, columns=4, readout=readout)
    chip = RecorderChip(profile)
    session, journal = recording(journal_path(), chip)
    fine = 0.0 <= readout["read_v"] <= 0.3 and 0.0 <= readout["read_gate_v"] <= 5.0
    look = Look(stage="check", cells=np.arange(1), samples=1, interval_s=0.0)
    if fine and readout["read_v"] > 1e-6:
        session.look(cells_at((0, 0, 0)), look)
    elif not fine:
        with pytest.raises(LimitError, match=r"read (amplitude|gate) .* is outside .*nothing was applied"):
            session.look(cells_at((0, 0, 0)), look)
        assert [batch.kind for batch in journal.batches("run")] == []
    assert all(0.0 <= spec.read_v <= 0.3 and 0.0 <= spec.gate_v <= 5.0 for _, spec in chip.reads)
    assert len(chip.reads) == (fine and readout["read_v"] > 1e-6)
    journal.close()


NAMES = [field.name for field in dataclasses.fields(Limits)]


@given(name=st.sampled_from(NAMES), factor=st.floats(-2.0, 2.0) | st.sampled_from([math.nan, math.inf, -math.inf]))
def test_tightening_never_widens(name: str, factor: float) -> None:
    hard = getattr(PROFILE.limits, name)
    value = hard * factor
    wider = value < hard if name == "width_min_ns" else not 0 <= value <= hard
    if wider or not math.isfinite(value):
        with pytest.raises(LimitError, match=name):
            tightened(PROFILE.limits, **{name: value})
    else:
        soft = tightened(PROFILE.limits, **{name: value})
        assert getattr(soft, name) == value
        assert dataclasses.replace(soft, **{name: hard}) == PROFILE.limits


def test_a_run_with_tighter_limits_keeps_to_them(tmp_path: Path) -> None:
    chip = RecorderChip(PROFILE)
    session, journal = recording(tmp_path / "j", chip, limits=tightened(PROFILE.limits, set_max_v=1.5))
    with pytest.raises(LimitError, match=r"SET amplitude 2 V is outside 0\.\.1\.5 V"):
        session.fire(cells_at((0, 0, 0)), pulses_of([Bias.SET], [2.0], [1.0], [1000]))
    session.fire(cells_at((0, 0, 0)), pulses_of([Bias.SET], [1.5], [1.0], [1000]))
    assert len(chip.batches) == 1
    journal.close()


def test_a_session_cannot_be_given_wider_limits(tmp_path: Path) -> None:
    wider = dataclasses.replace(PROFILE.limits, gate_max_v=6.0)
    with pytest.raises(LimitError, match="gate_max_v 6 is wider than the profile's 5"):
        Session(RecorderChip(PROFILE), PROFILE, limits=wider)


def test_without_a_journal_nothing_is_pulsed() -> None:
    chip = RecorderChip(PROFILE)
    with pytest.raises(InputError, match="a session without a journal may read only"):
        Session(chip, PROFILE).fire(cells_at((0, 0, 0)), pulses_of([Bias.SET], [1.0], [1.0], [1000]))
    assert chip.batches == []


def test_where_the_journal_cannot_be_written_nothing_is_pulsed(tmp_path: Path) -> None:
    chip = RecorderChip(PROFILE)
    journal = Journal(tmp_path / "j", durable=False)
    session = Session(chip, PROFILE, journal=journal, run_id="run")
    journal.close()
    with pytest.raises(Exception, match="journal cannot be written"):
        session.fire(cells_at((0, 0, 0)), pulses_of([Bias.SET], [1.0], [1.0], [1000]))
    assert chip.batches == []


def test_a_limit_below_nothing_is_not_called_wide() -> None:
    with pytest.raises(LimitError, match="set_max_v -1 leaves nothing to be done"):
        tightened(PROFILE.limits, set_max_v=-1.0)


QUICK = ("set_max_v", "gate_max_v", "row_current_max_a", "pulses_per_cell_run")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.long] * (n not in QUICK)) for n in NAMES if n != "form_max_v"]
)
def test_limits_that_nothing_can_keep_are_refused_before_anything_begins(name: str, tmp_path: Path) -> None:
    bench = make_bench(tmp_path, rows=4, columns=4, seed=1)
    hopeless = 90_000.0 if name == "width_min_ns" else 0.0
    sentences = []
    for dry_run in (True, False):
        with pytest.raises(LimitError, match=rf"{name} \S+ leaves nothing to be done: .*nothing was applied") as error:
            program(bench.workspace, profile=bench.profile, limits={name: hopeless}, dry_run=dry_run)
        sentences.append(str(error.value))
    assert sentences[0] == sentences[1]
    assert status(bench.workspace).runs == []
    # What the sentence calls enough is enough.
    found = re.search(r"it must be at (least|most) (\S+);", sentences[0])
    assert found is not None
    enough = float(found[2])
    assert program(bench.workspace, profile=bench.profile, limits={name: enough}, verify=False).cells == 16


def test_without_denoise_sub_threshold_pulses_need_no_voltage(tmp_path: Path) -> None:
    bench = make_bench(tmp_path, rows=4, columns=4, seed=1)
    report = program(
        bench.workspace, profile=bench.profile, limits={"sub_threshold_max_v": 0.0}, denoise=False, verify=False
    )
    assert report.denoise_pulses_total == 0 < report.pulses_total


def test_a_restore_under_limits_that_nothing_can_keep_is_refused(tmp_path: Path) -> None:
    bench = make_bench(tmp_path, rows=4, columns=4, seed=1)
    program(bench.workspace, profile=bench.profile, verify=False)
    given = wear_of(bench)
    with pytest.raises(LimitError, match="row_current_max_a 0 leaves nothing to be done"):
        restore(bench.workspace, profile=bench.profile, limits={"row_current_max_a": 0.0}, yes=True)
    assert (wear_of(bench) == given).all()
    assert len(status(bench.workspace).runs) == 1


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_that_comes_with_memprog_leaves_something_to_be_done(name: str) -> None:
    profile = load_profile(name)
    check_possible(profile, profile.limits)


@pytest.mark.parametrize("name", ["set_max_v", "cell_current_max_a"])
def test_cells_that_limits_keep_from_moving_are_not_called_stuck(name: str, tmp_path: Path) -> None:
    lower = {"set_max_v": 1.3, "cell_current_max_a": 1e-4}[name]
    bench = make_bench(tmp_path, rows=8, columns=8, seed=3, simulation__stuck_low_fraction=0.0)
    report = program(bench.workspace, profile=bench.profile, limits={name: lower}, verify=False)
    assert report.cells_done < 32
    assert "stuck_low" not in report.failed_by_reason
    assert report.failed_by_reason["unreachable"] > 16
