"""Reading a profile: YAML made stricter, every number with its origin, every key known, values that make sense."""

from __future__ import annotations

import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from memprog import strict_yaml
from memprog.errors import InputError, ProfileError, brief
from memprog.profile.effects import (
    Curvature,
    Disturb,
    Forming,
    Islands,
    LevelRelaxation,
    ProductReadout,
    Retention,
    Temperature,
    Wiring,
)
from memprog.profile.numbers import ENDS, MAY_BE_NEGATIVE, MAY_BE_ZERO
from memprog.profile.schema import (
    ChipProfile,
    Driver,
    Geometry,
    Levels,
    Limits,
    Protocol,
    Readout,
    Simulation,
)

FORMAT_VERSION = 1

BIAS_NAMES = ("SET", "RESET", "SUB_THRESHOLD", "FORM", "READ", "INHIBIT")
"""The rows every bias table must have."""

LINES = ("bit_line", "source_line", "word_line", "body")
"""What each of these rows drives."""

SECTIONS: Mapping[str, type] = {
    "geometry": Geometry,
    "levels": Levels,
    "limits": Limits,
    "driver": Driver,
    "readout": Readout,
    "simulation": Simulation,
    "protocol": Protocol,
}
OPTIONAL_SECTIONS: Mapping[str, type] = {
    "wires": Wiring,
    "product": ProductReadout,
    "forming": Forming,
    "disturb": Disturb,
    "level_relaxation": LevelRelaxation,
    "retention": Retention,
    "temperature": Temperature,
    "curvature": Curvature,
    "islands": Islands,
}
"""Effects that a chip may have; without the section it has none of it."""
CHOICES = {
    "driver.gate_line": ("row", "column", "chip"),
    "driver.amplitude_per": ("cell", "row", "cluster", "shot"),
    "driver.width_per": ("cell", "row", "cluster", "shot"),
    "driver.compliance": ("gate", "smu", "none"),
}
"""Words, and what each may be."""
_WHOLE_MAX = 2**53
_NAME = re.compile(r"[\w.+-][\w.+ -]{0,63}", re.ASCII)
"""It stands in files, sentences and the head of a simulated chip."""


def parse_profile(text: str, *, origin: str) -> ChipProfile:
    """Turn YAML text into a profile, or say what is wrong with it, naming the origin.

    Raises:
        ProfileError: not YAML, unknown or missing keys, a number without source, values that contradict each other.
    """
    try:
        return _build(strict_yaml.load(text))
    except InputError as error:
        raise ProfileError(f"profile {origin}: {error}") from error


def _build(data: object) -> ChipProfile:
    mapping = _mapping("the file", data)
    head = ("name", "format_version", "description", "bias_table")
    _same_keys("the file", set(mapping), {*head, *SECTIONS}, frozenset(OPTIONAL_SECTIONS))
    if type(mapping["format_version"]) is not int or mapping["format_version"] != FORMAT_VERSION:
        raise ProfileError(
            f"format version {strict_yaml.shown(mapping['format_version'])}; this memprog reads {FORMAT_VERSION}"
        )
    provenance: dict[str, str] = {}
    present = {key: kind for key, kind in OPTIONAL_SECTIONS.items() if key in mapping}
    sections = {key: _section(key, kind, mapping[key], provenance) for key, kind in {**SECTIONS, **present}.items()}
    profile = ChipProfile(
        name=_name(mapping["name"]),
        description=_text("description", mapping["description"]),
        bias_table=_bias_table(mapping["bias_table"], provenance),
        provenance=types.MappingProxyType(provenance),
        sha256=_digest(mapping),
        chip_sha256=_digest({k: v for k, v in mapping.items() if k not in {"protocol", "description"}}),
        **sections,
    )
    _check_sense(profile)
    return profile


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _mapping(where: str, data: object) -> Mapping[str, Any]:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ProfileError(f"{where} must be a mapping with names as keys")
    return data


def _text(where: str, data: object) -> str:
    if not isinstance(data, str) or not data.strip():
        raise ProfileError(f"{where} must be text")
    return data


def _name(data: object) -> str:
    name = _text("name", data)
    if not _NAME.fullmatch(name):
        raise ProfileError(f"name is '{brief(name)}'; it must be 1 to 64 letters, digits, spaces, or any of . + - _")
    return name


def _same_keys(where: str, found: set[str], wanted: set[str], optional: frozenset[str] = frozenset()) -> None:
    if found - wanted - optional:
        raise ProfileError(f"{where} has unknown key(s): {brief(', '.join(sorted(found - wanted - optional)))}")
    if wanted - found:
        raise ProfileError(f"{where} lacks key(s): {', '.join(sorted(wanted - found))}")


def _section(section: str, kind: type, data: object, provenance: dict[str, str]) -> Any:
    mapping = _mapping(section, data)
    optional = frozenset(field.name for field in fields(kind) if field.default is not MISSING)
    _same_keys(section, set(mapping), {field.name for field in fields(kind)} - optional, optional)
    for key in sorted(optional - set(mapping)):
        provenance[f"{section}.{key}"] = "assumption: none of it, the profile does not name it"
    hints = typing.get_type_hints(kind)
    return kind(**{key: _leaf(f"{section}.{key}", hints[key], mapping[key], provenance) for key in mapping})


def _leaf(where: str, kind: type, data: object, provenance: dict[str, str]) -> Any:
    """Read one value: a word as it stands, a number with its origin."""
    if kind is str:
        word = _text(where, data)
        if word not in CHOICES[where]:
            raise ProfileError(f"{where} is '{brief(word)}'; it must be one of {', '.join(CHOICES[where])}")
        return word
    mapping = _mapping(f"{where} (a number needs a source or an assumption)", data)
    origins = sorted(set(mapping) - {"value"})
    if "value" not in mapping or origins not in (["source"], ["assumption"]):
        raise ProfileError(f"{where} must be {{value: ..., source: ...}} or {{value: ..., assumption: ...}}")
    provenance[where] = f"{origins[0]}: {_text(where, mapping[origins[0]])}"
    return _number(where, kind, mapping["value"])


def _is_finite(value: object) -> typing.TypeGuard[float]:
    """A number a float can hold; booleans are not numbers here."""
    return not isinstance(value, bool) and isinstance(value, (int, float)) and abs(value) < 1e300


def _number(where: str, kind: type, value: object) -> float | int:
    if not _is_finite(value):
        raise ProfileError(f"{where} must be a finite number, not {strict_yaml.shown(value)}")
    if where not in MAY_BE_NEGATIVE and (value < 0 or (value == 0 and where not in MAY_BE_ZERO)):
        raise ProfileError(f"{where} is {value:g}; it must be above 0")
    least, most = ENDS.get(where, (-math.inf, math.inf))
    if not least <= value <= most:
        raise ProfileError(f"{where} is {value:g}; it must be {least:g} to {most:g}")
    if kind is int and (value != int(value) or value > _WHOLE_MAX):
        raise ProfileError(f"{where} is {value:g}; it must be a whole number up to {_WHOLE_MAX}")
    return int(value) if kind is int else float(value)


def _bias_table(data: object, provenance: dict[str, str]) -> Mapping[str, Mapping[str, float | str]]:
    """Read the volts on bit line, source line, word line and body for every kind of pulse."""
    mapping = _mapping("bias_table", data)
    _same_keys("bias_table", set(mapping), {*BIAS_NAMES, "source"})
    provenance["bias_table"] = _text("bias_table.source", mapping["source"])
    table: dict[str, Mapping[str, float | str]] = {}
    for name in BIAS_NAMES:
        row = _mapping(f"bias_table.{name}", mapping[name])
        _same_keys(f"bias_table.{name}", set(row), set(LINES))
        for line, volts in row.items():
            if volts not in ("amplitude", "gate") and not _is_finite(volts):
                raise ProfileError(f"bias_table.{name}.{line} must be volts, 'amplitude' or 'gate'")
        table[name] = types.MappingProxyType(dict(row))
    return types.MappingProxyType(table)


def _opposite_polarities(profile: ChipProfile) -> list[tuple[bool, str]]:
    """SET and RESET must drive opposite lines, FORM as SET and SUB_THRESHOLD as RESET does."""
    driven = {
        name: [line for line in ("bit_line", "source_line") if profile.bias_table[name][line] == "amplitude"]
        for name in ("SET", "FORM", "RESET", "SUB_THRESHOLD")
    }
    one_each = all(len(lines) == 1 for lines in driven.values())
    pairs = driven["SET"] == driven["FORM"] != driven["RESET"] == driven["SUB_THRESHOLD"]
    return [
        (
            one_each and pairs,
            "bias_table must drive bit or source line, RESET and SUB_THRESHOLD the other than SET and FORM",
        )
    ]


def _dead_fraction(simulation: Simulation) -> float:
    stuck = simulation.stuck_high_fraction + simulation.stuck_low_fraction
    return stuck + simulation.open_fraction + simulation.short_fraction + simulation.unformed_fraction


def _sense_of_effects(profile: ChipProfile) -> Iterator[tuple[bool, str]]:
    """What the sections that may be left out must keep, where they are there."""
    if profile.product is not None:
        bits = (profile.product.input_bits, profile.product.converter_bits)
        yield (
            all(n == 0 or 2 <= n <= 24 for n in bits),
            "bits of a product must be 2 to 24, or 0 for as fine as a float",
        )
    if profile.level_relaxation is not None:
        decades = profile.simulation.relaxation_decades
        yield (
            profile.simulation.relaxation_fastest_s
            < 1
            <= profile.simulation.relaxation_fastest_s * 10 ** (decades - 1),
            "level_relaxation needs simulation.relaxation_decades from below 1 s to beyond it",
        )


def _check_sense(profile: ChipProfile) -> None:
    """Refuse values that are each fine and together make no chip."""
    levels, limits, readout, driver = profile.levels, profile.limits, profile.readout, profile.driver
    protocol, simulation = profile.protocol, profile.simulation
    checks = (
        (min(profile.geometry.arrays, profile.geometry.rows, profile.geometry.columns) >= 1, "geometry has no cells"),
        (profile.geometry.arrays * profile.geometry.rows * profile.geometry.columns <= 2**26, "geometry is too large"),
        (levels.count >= 2, "levels.count must be at least 2"),
        (0 < levels.min_usiemens < levels.max_usiemens, "levels.min_usiemens must lie below levels.max_usiemens"),
        (levels.window_usiemens > 0, "levels.window_usiemens must be above 0"),
        (levels.min_yield <= 1, "levels.min_yield must not be above 1"),
        (0 < limits.width_min_ns <= limits.width_max_ns, "limits.width_min_ns must not be above limits.width_max_ns"),
        (0 < readout.read_v <= limits.read_max_v, "readout.read_v must be within limits.read_max_v"),
        (readout.read_gate_v <= limits.gate_max_v, "readout.read_gate_v must be within limits.gate_max_v"),
        (readout.aperture_ns >= 1, "readout.aperture_ns must be at least 1"),
        (readout.parallel_cells >= 1, "readout.parallel_cells must be at least 1"),
        (2 <= readout.converter_bits <= 24, "readout.converter_bits must be 2 to 24"),
        (readout.range_a > levels.max_usiemens * 1e-6 * readout.read_v, "readout.range_a must hold the top level"),
        (driver.gate_range_v >= limits.gate_max_v, "driver.gate_range_v must reach limits.gate_max_v"),
        (
            limits.width_min_ns <= protocol.pulse_width_ns <= limits.width_max_ns,
            "protocol.pulse_width_ns must be within limits.width_min_ns and width_max_ns",
        ),
        (protocol.gate_overdrive_v <= readout.read_gate_v, "protocol.gate_overdrive_v must not exceed the read gate"),
        (
            simulation.memristor_min_usiemens < simulation.memristor_max_usiemens,
            "simulation.memristor_min must be below max",
        ),
        (simulation.trap_dwell_min_s <= simulation.trap_dwell_max_s, "simulation.trap_dwell_min_s must not exceed max"),
        (simulation.trap_bias_min_v <= simulation.trap_bias_max_v, "simulation.trap_bias_min_v must not exceed max"),
        (readout.source_drop_min <= readout.source_drop_max < 1, "readout.source_drop_max must be above min, below 1"),
        (min(driver.amplitude_lsb_v, driver.gate_lsb_v, driver.width_lsb_ns) > 0, "driver resolutions must be above 0"),
        (simulation.channels_max <= 8, "simulation.channels_max must not be above 8"),
        (_dead_fraction(simulation) <= 1, "simulation has more stuck, open, shorted and unformed cells than cells"),
        (
            # The last step of a cell may be one switching pulse and one denoising.
            protocol.pulse_budget + protocol.sub_threshold_pulses + 1 <= limits.pulses_per_cell_run,
            "protocol.pulse_budget and one more step must fit limits.pulses_per_cell_run",
        ),
        (
            protocol.open_usiemens < protocol.unformed_usiemens < levels.min_usiemens - levels.window_usiemens,
            "protocol.open_usiemens must lie below unformed_usiemens, and that below the lowest level and its window",
        ),
        *_opposite_polarities(profile),
        *_sense_of_effects(profile),
    )
    for fine, sentence in checks:
        if not fine:
            raise ProfileError(sentence)
