"""``memprog demo``."""

from __future__ import annotations

import click

from memprog.cli.console import Console
from memprog.cli.options import with_console
from memprog.cli.text import Fields, facts, number, share, table


@click.command()
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="What the chip is drawn from."
)
@with_console
def demo(console: Console, seed: int) -> None:
    """Write a classifier of handwritten digits into a simulated chip, and score it.

    Loads, programs, verifies and reads back a small network twice, with denoise and without.
    """
    from memprog.jobs.demo import demo as run

    console.show(run(seed=seed, folder=None, listener=console.listen), _lines)


def _lines(fields: Fields) -> list[str]:
    head = [
        ("chip", f"SIMULATED {fields['profile']}, seed {fields['seed']}"),
        ("cells", f"{fields['cells']:,d}"),
        ("pulses a cell", f"mean {number(fields['pulses_per_cell_mean'])}"),
        ("samples a cell", f"mean {number(fields['samples_per_cell_mean'])}"),
        ("time", f"chip {number(fields['chip_time_s'], 's')}, host {number(fields['host_time_s'], 's')}"),
    ]
    return [*facts(head), "", *_variants(fields), "", *_accuracy(fields)]


def _variants(fields: Fields) -> list[str]:
    """Set the two ways of programming side by side."""
    rows = [
        ("yield, by verify", "yield_fraction", share),
        ("true yield (99 % of 100 s in the window)", "true_yield_fraction", share),
        ("true yield by time average", "true_yield_time_average_fraction", share),
        ("said done, truly outside", "false_done_fraction", share),
        ("weights, signal to noise", "weight_snr_db", lambda value: number(value, "dB", ".1f")),
        ("the same but for failed cells", "weight_snr_done_db", lambda value: number(value, "dB", ".1f")),
    ]
    variants = (fields["denoise"], fields["no_denoise"])
    return table(
        ("", "denoise", "no denoise"), [[name, *(form(one[key]) for one in variants)] for name, key, form in rows]
    )


def _accuracy(fields: Fields) -> list[str]:
    rows = [
        ("as trained", fields["accuracy_original"]),
        ("rounded to the levels", fields["accuracy_quantised"]),
        ("as programmed, denoise", fields["denoise"]["accuracy"]),
        ("as programmed, no denoise", fields["no_denoise"]["accuracy"]),
    ]
    title = f"accuracy on {fields['heldout_images']:,d} held-out images"
    return [f"{title}:", *facts([(name, share(value)) for name, value in rows])]
