"""Analogue products of the simulated chip: inputs through converters, rows in groups, wires, and columns sensed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from memprog.chip import FloatArray, IntArray, Product
from memprog.profile import ChipProfile, ProductReadout
from memprog.simchip.state import Record


def readout_of(profile: ChipProfile) -> ProductReadout:
    """How products are sensed; a profile that does not say drives all rows at once and senses as it reads cells."""
    return profile.product or ProductReadout(
        rows_at_once=profile.geometry.rows,
        input_bits=0,
        input_max_v=profile.limits.read_max_v,
        converter_bits=profile.readout.converter_bits,
        range_a=profile.readout.range_a,
    )


def seconds(profile: ChipProfile, vectors: int, rows: int) -> float:
    """Chip time of so many products."""
    groups = max(-(-rows // readout_of(profile).rows_at_once), 1)
    return vectors * groups * (profile.readout.aperture_ns + profile.readout.settle_ns) * 1e-9


def multiplied(
    conductance_usiemens: FloatArray,
    rows: IntArray,
    row_v: FloatArray,
    profile: ChipProfile,
    silicon: Record,
    rng: np.random.Generator,
) -> Product:
    """Sense all columns for row_v (batch, n) on n rows, whose cells conduct conductance_usiemens (n, columns).

    Every group of rows is converted by itself, offset and gain of the column included, and the codes are added up.
    """
    how = readout_of(profile)
    batch, columns = len(row_v), conductance_usiemens.shape[1]
    total_a, saturated = np.zeros((batch, columns)), np.zeros((batch, columns), dtype=bool)
    offset_a, lsb_a = silicon["column_offset_a"], 2.0 * how.range_a / 2.0**how.converter_bits
    driven_v = _converted(row_v, how)
    for group in _groups(len(rows), how.rows_at_once):
        current_a = _through_wires(conductance_usiemens[group], rows[group], driven_v[:, group], profile, silicon)
        current_a = current_a * silicon["column_gain"] + offset_a
        current_a += _noise_a(profile) * rng.standard_normal(current_a.shape)
        saturated |= np.abs(current_a) >= how.range_a
        total_a += current_a if how.converter_bits == 0 else np.rint(current_a / lsb_a) * lsb_a
    groups = len(range(0, len(rows), how.rows_at_once))
    return Product(current_a=np.where(saturated, np.nan, total_a), saturated=saturated, offset_a=groups * offset_a)


def _groups(rows: int, at_once: int) -> Iterator[slice]:
    return (slice(start, start + at_once) for start in range(0, rows, at_once))


def _converted(row_v: FloatArray, how: ProductReadout) -> FloatArray:
    """What the input converters make of the wanted volts."""
    if how.input_bits == 0:
        return row_v
    lsb_v = 2.0 * how.input_max_v / 2.0**how.input_bits
    end = 2.0 ** (how.input_bits - 1) - 1
    return np.asarray(np.clip(np.rint(row_v / lsb_v), -end, end) * lsb_v)


def _through_wires(
    conductance_usiemens: FloatArray, rows: IntArray, row_v: FloatArray, profile: ChipProfile, silicon: Record
) -> FloatArray:
    """Currents (batch, columns) of driven rows; the gates of all others are shut."""
    if profile.wires is None:
        return np.asarray(np.einsum("br,rc->bc", row_v, conductance_usiemens) * 1e-6)
    from memprog.physics.wires import Wires, WireSolver

    factor, wires = float(silicon["wire_factor"]), profile.wires
    lines = Wires(
        row_ohm=wires.row_ohm * factor,
        column_ohm=wires.column_ohm * factor,
        driver_ohm=wires.driver_ohm,
        sense_ohm=wires.sense_ohm,
    )
    whole = np.zeros((profile.geometry.rows, conductance_usiemens.shape[1]))
    whole[rows] = conductance_usiemens
    terminal_v = np.zeros((len(row_v), len(whole)))
    terminal_v[:, rows] = row_v
    return WireSolver(whole, lines).currents_a(terminal_v)


def _noise_a(profile: ChipProfile) -> float:
    """Deviation of one conversion: the amplifier's noise, at the aperture of a reading."""
    readout = profile.readout
    narrowing = readout.white_noise_aperture_ns / readout.aperture_ns
    return float(readout.white_noise_usiemens * 1e-6 * readout.read_v * narrowing**0.5)
