"""Compare the band solve of transport past a trap with a dense solve of the same system, as JSON. Run by hand.

    python tests/bench/transport.py [--repeats 20] [--batch 25] [--largest-dense 4000]

Both include assembly from the same matrix elements of the potential; those are timed apart, against one slice and one
element at a time. Ratios come from one run; the best of the repeats counts. The dense solve is numpy.linalg.solve with
as many threads as its library takes, and is left out (null) above so many unknowns.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np

from memprog.physics.fig3 import DISTANCES_NM, boundary_channel
from memprog.physics.transport import Channel, incoming_waves, join_leads, scatter, slice_blocks
from memprog.physics.trap_potential import COULOMB_EV_NM, Traps, debye_nm, trap_elements_ev

PUBLISHED = boundary_channel()
SIZES = {
    "published: 2x2 modes, 100 slices": PUBLISHED,
    "2x2 modes, 400 slices": Channel(size_nm=3.0, slices=400),
    "4x4 modes, 100 slices": Channel(size_nm=3.0, modes=4),
    "6x6 modes, 100 slices": Channel(size_nm=3.0, modes=6),
    "6x6 modes, 400 slices": Channel(size_nm=3.0, modes=6, slices=400),
}


def main() -> None:
    """Time every size alone and in a batch, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--batch", type=int, default=25, help="distances of the trap solved together")
    parser.add_argument("--largest-dense", type=int, default=4000, help="most unknowns solved densely")
    arguments = parser.parse_args()
    runs = {
        name: one_size(channel, arguments.repeats, arguments.batch, arguments.largest_dense)
        for name, channel in SIZES.items()
    }
    json.dump(
        {"batch": arguments.batch, "sizes": runs, "potentials": potentials(arguments.repeats)}, sys.stdout, indent=2
    )
    sys.stdout.write("\n")


def one_size(channel: Channel, repeats: int, batch: int, largest_dense: int) -> dict[str, object]:
    """Band and dense, alone and many at once."""
    elements = trap_elements_ev(channel, traps(channel, batch))
    unknowns = (channel.slices + 1) * channel.modes**2
    alone_s = best_s(lambda: scatter(channel, elements[:1]), repeats)
    together_s = best_s(lambda: scatter(channel, elements), max(repeats // 5, 1)) / batch
    found: dict[str, object] = {
        "unknowns": unknowns,
        "band_ms": 1e3 * alone_s,
        "band_in_batch_ms": 1e3 * together_s,
        "potential_ms": 1e3 * best_s(lambda: trap_elements_ev(channel, traps(channel, 1)), repeats),
        "dense_ms": None,
        "dense_over_band": None,
        "dense_over_band_in_batch": None,
        "largest_difference": None,
    }
    if unknowns <= largest_dense:
        dense_s = best_s(lambda: dense(channel, elements), repeats if unknowns < 1000 else 2)
        found |= {
            "dense_ms": 1e3 * dense_s,
            "dense_over_band": dense_s / alone_s,
            "dense_over_band_in_batch": dense_s / together_s,
            "largest_difference": float(
                np.abs(dense(channel, elements) - scatter(channel, elements[:1]).wave[0]).max()
            ),
        }
    return found


def traps(channel: Channel, count: int) -> Traps:
    """So many distances of a trap from the middle of a wall."""
    distance = np.geomspace(*DISTANCES_NM, count) if count > 1 else np.array([1.0])
    return Traps(outside_nm=distance, along_nm=0.5 * channel.size_nm, debye_nm=debye_nm(5e18))


def dense(channel: Channel, elements_ev: np.ndarray) -> np.ndarray:
    """Wave (o, slices + 1, modes^2) of the first potential by a plain dense solve."""
    energy, incoming = np.array([channel.energy_ev]), np.arange(channel.open_modes)
    joined = join_leads(channel, energy)
    blocks = slice_blocks(channel, elements_ev[:1], energy, joined)[0]
    places, modes, _ = blocks.shape
    full = np.zeros((places, modes, places, modes), dtype=np.complex128)
    place, mode = np.arange(places), np.arange(modes)
    full[place, :, place, :] = blocks
    full[place[:-1, None], mode, place[1:, None], mode] = 1.0
    full[place[1:, None], mode, place[:-1, None], mode] = 1.0
    right = incoming_waves(channel, joined, incoming).reshape(len(incoming), -1).T
    solved = np.linalg.solve(full.reshape(places * modes, -1), right)
    return solved.reshape(places, modes, -1).transpose(2, 0, 1)


def potentials(repeats: int) -> dict[str, float]:
    """Time the matrix elements of the published channel, all at once and one slice and one element at a time."""
    at_once_s = best_s(lambda: trap_elements_ev(PUBLISHED, traps(PUBLISHED, 1)), repeats)
    singly_s = best_s(one_by_one, 2)
    difference = np.abs(one_by_one() - trap_elements_ev(PUBLISHED, traps(PUBLISHED, 1))[0]).max()
    return {
        "at_once_ms": 1e3 * at_once_s,
        "one_by_one_ms": 1e3 * singly_s,
        "one_by_one_over_at_once": singly_s / at_once_s,
        "largest_difference_ev": float(difference),
    }


def one_by_one() -> np.ndarray:
    """Matrix elements (slices + 1, modes^2, modes^2) with a loop over slices and elements, vectorised only across."""
    channel, (outside, along, debye) = PUBLISHED, traps(PUBLISHED, 1).columns
    middle = (np.arange(channel.points) + 0.5) * channel.size_nm / channel.points
    depth, aside = np.meshgrid(middle, middle, indexing="ij")
    waves = [
        np.sin(i * np.pi * depth / channel.size_nm) * np.sin(j * np.pi * aside / channel.size_nm)
        for i in range(1, channel.modes + 1)
        for j in range(1, channel.modes + 1)
    ]
    found = np.empty((channel.slices + 1, len(waves), len(waves)))
    for n, z in enumerate(channel.z_nm):
        for i, left in enumerate(waves):
            for j, right in enumerate(waves):
                distance = np.sqrt((depth + outside) ** 2 + (aside - along) ** 2 + z * z)
                potential = COULOMB_EV_NM / distance * np.exp(-distance / debye)
                found[n, i, j] = (left * potential * right).sum() * (2.0 / channel.points) ** 2
    return found


def best_s(call: Callable[[], object], repeats: int) -> float:
    """Shortest of several runs, after one that does not count."""
    call()
    times = []
    for _ in range(repeats):
        start_s = time.perf_counter()
        call()
        times.append(time.perf_counter() - start_s)
    return min(times)


if __name__ == "__main__":
    main()
