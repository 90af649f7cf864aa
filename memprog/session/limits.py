"""The one gate in front of everything that changes a chip: profile limits, the run's tighter ones, permissions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from memprog.chip import Bias, FloatArray, IntArray, Pulses, ReadSpec
from memprog.errors import InputError, LimitError
from memprog.profile import Limits

NOTHING = "nothing was applied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What the operator allowed for this run. Everything is off unless asked for."""

    forming: bool = False

    def require_forming(self) -> None:
        """Stop unless the operator allowed forming."""
        if not self.forming:
            raise LimitError(f"forming is irreversible and was not permitted; --allow-forming permits it; {NOTHING}")


def tightened(limits: Limits, **lower: Any) -> Limits:
    """Lower some limits for one run.

    Raises:
        InputError: there is no limit of that name.
        LimitError: one of them would be wider than the profile's.
    """
    known = [field.name for field in dataclasses.fields(limits)]
    for name, value in lower.items():
        if name not in known:
            raise InputError(f"there is no limit '{name}'; there are: {', '.join(known)}")
        hard = getattr(limits, name)
        if not np.isfinite(value) or value < 0:
            raise LimitError(f"{name} {value:g} leaves nothing to be done; {NOTHING}")
        if is_wider(name, value, hard):
            raise LimitError(f"{name} {value:g} is wider than the profile's {hard:g}; a run may only tighten limits")
    return dataclasses.replace(limits, **lower)


def is_wider(name: str, value: float, than: float) -> bool:
    """Whether a limit of that name permits more than another of the same name."""
    return value < than if name.endswith("min_ns") else value > than


def check_pulses(
    pulses: Pulses,
    conductance_usiemens: FloatArray,
    spent_run: IntArray,
    spent_life: IntArray,
    limits: Limits,
    permissions: Permissions,
) -> None:
    """Refuse a whole batch when any pulse in it is beyond a limit.

    Args:
        pulses: n pulses.
        conductance_usiemens: (n,) the most each cell may conduct in its pulse; NaN is refused.
        spent_run: (n,) pulses each cell was given in this run.
        spent_life: (n,) pulses each cell was given over its life, as far as is known.
        limits: of the profile, or tighter.
        permissions: of this run.

    Raises:
        LimitError: names the first limit broken, with asked value and limit. Nothing was applied.
    """
    known = np.isin(pulses.bias, [int(bias) for bias in Bias])
    _refuse(~known, pulses.bias, "pulse kind", "", "is unknown")
    if np.any(pulses.bias == Bias.FORM):
        permissions.require_forming()
    for bias, most_v in (
        (Bias.SET, limits.set_max_v),
        (Bias.RESET, limits.reset_max_v),
        (Bias.SUB_THRESHOLD, limits.sub_threshold_max_v),
        (Bias.FORM, limits.form_max_v),
    ):
        of_kind = pulses.bias == bias
        _between(pulses.amplitude_v, 0.0, most_v, of_kind, f"{bias.name} amplitude", "V")
    everywhere = np.ones(len(pulses), dtype=bool)
    _between(pulses.gate_v, 0.0, limits.gate_max_v, everywhere, "gate", "V")
    _between(pulses.width_ns, limits.width_min_ns, limits.width_max_ns, everywhere, "pulse width", "ns")
    current_a = pulses.amplitude_v * conductance_usiemens * 1e-6
    _between(current_a, 0.0, limits.cell_current_max_a, everywhere, "expected cell current", "A")
    _between(spent_run + 1, 0, limits.pulses_per_cell_run, everywhere, "pulses to one cell in this run", "")
    _between(spent_life + 1, 0, limits.pulses_per_cell_life, everywhere, "pulses to one cell over its life", "")


def check_read(spec: ReadSpec, expected_a: FloatArray, limits: Limits) -> None:
    """Refuse a read that could disturb a cell, or a cell that alone could be too much for its row's line.

    Args:
        spec: how cells are to be read.
        expected_a: (n,) the most each cell may draw in it; NaN is refused.
        limits: of the profile, or tighter.

    Raises:
        LimitError: names the limit broken. Nothing was applied.
    """
    for name, value, most in (
        ("read amplitude", spec.read_v, limits.read_max_v),
        ("read gate", spec.gate_v, limits.gate_max_v),
    ):
        _between(np.array([value]), 0.0, most, np.ones(1, dtype=bool), name, "V")
    everywhere = np.ones(len(expected_a), dtype=bool)
    _between(expected_a, 0.0, limits.row_current_max_a, everywhere, "expected read current", "A")


def _between(values: FloatArray | IntArray, least: float, most: float, where: np.ndarray, name: str, unit: str) -> None:
    # Written so that NaN, for which every comparison is false, is refused too.
    fine = (values >= least) & (values <= most)
    _refuse(where & ~fine, values, name, unit, f"is outside {least:.7g}..{most:.7g}")


def _refuse(broken: np.ndarray, values: np.ndarray, name: str, unit: str, why: str) -> None:
    if broken.any():
        value = float(values[int(broken.argmax())])
        # Enough digits that one converter step, or one ns, beyond a limit does not look like the limit.
        text = f"{name} {value:.7g} {unit}".rstrip()
        raise LimitError(f"{text} {why} {unit}".rstrip() + f" ({int(broken.sum())} cell(s)); {NOTHING}")
