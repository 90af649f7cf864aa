"""The table of commands; a command's module is imported only when the command is run."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

import memprog

Entry = tuple[str, str, str]
"""Module, attribute, short help."""

COMMANDS: Mapping[str, Entry] = {
    "load-weights": ("memprog.cli.load_weights", "load_weights", "Turn a weights file into target conductances."),
    "program": ("memprog.cli.program", "program", "Write the image into the chip, denoise, verify."),
    "verify": ("memprog.cli.verify", "verify", "Compare the chip with the image by fresh reads."),
    "read": ("memprog.cli.read", "read", "Write the chip's conductances to a file."),
    "pulse": ("memprog.cli.pulse", "pulse", "Give pulses of your choice to some cells, and log them."),
    "iv": ("memprog.cli.iv", "iv", "Read cells at several read voltages."),
    "trace": ("memprog.cli.trace", "trace", "Write the current of cells over time."),
    "characterise": ("memprog.cli.characterise", "characterise", "Find out how cells behave, into a folder of logs."),
    "export": ("memprog.cli.export", "export", "Write the weights as the chip holds them."),
    "noise": ("memprog.cli.noise", "noise", "Take measured traces of current apart."),
    "restore": ("memprog.cli.restore", "restore", "Bring back what the cells held before a run."),
    "runs": ("memprog.cli.runs", "runs", "List what was done, when, and with what result."),
    "status": ("memprog.cli.status", "status", "Say what is in the workspace and what to do next."),
    "info": ("memprog.cli.info", "info", "Describe the chip: identity, size, abilities, limits."),
    "list": ("memprog.cli.list_known", "list_known", "List backends or profiles."),
    "profile": ("memprog.cli.app", "profile", "List, show, copy and check profiles."),
    "physics": ("memprog.cli.app", "physics", "Draw the figures of the theory, and write their numbers."),
    "config": ("memprog.cli.app", "config", "Show and check the settings."),
    "sim": ("memprog.cli.app", "sim", "Make simulated chips, and let them age."),
    "demo": ("memprog.cli.demo", "demo", "Watch a small real network go into a simulated chip."),
}

SIM_COMMANDS: Mapping[str, Entry] = {
    "new": ("memprog.cli.sim_new", "sim_new", "Make a new simulated chip."),
    "age": ("memprog.cli.sim_age", "sim_age", "Let a simulated chip lie, cool or warm."),
}

PROFILE_COMMANDS: Mapping[str, Entry] = {
    "list": ("memprog.cli.profile", "list_known", "List the profiles that come with memprog."),
    "show": ("memprog.cli.profile", "show", "Print every value of a profile, with its source if asked."),
    "copy": ("memprog.cli.profile", "copy", "Write a profile to a file, to be changed."),
    "fit": ("memprog.cli.profile", "fit", "Make a profile of what characterise measured."),
    "validate": ("memprog.cli.profile", "validate", "Say of each file whether it is a profile."),
    "schema": ("memprog.cli.profile", "schema", "Write the JSON Schema of profiles, for editors."),
}

PHYSICS_COMMANDS: Mapping[str, Entry] = {
    "check": ("memprog.cli.physics", "check", "Compare the simulated physics with what was published."),
    "fig1": ("memprog.cli.physics", "fig1", "One device on all levels before and after denoising, and an array."),
    "fig2": ("memprog.cli.physics", "fig2", "Islands beside the main channel, and what denoising does to them."),
    "fig3": ("memprog.cli.physics", "fig3", "A wave past a trapped charge, and the current steps that follow."),
    "fig4": ("memprog.cli.physics", "fig4", "The phase field of a channel under sub-threshold pulses."),
    "figS14": ("memprog.cli.physics", "fig_s14", "Dwell times of a two-level fluctuation against bias."),
}

CONFIG_COMMANDS: Mapping[str, Entry] = {
    "show": ("memprog.cli.config_commands", "show", "Print every setting, and where it comes from if asked."),
    "validate": ("memprog.cli.config_commands", "validate", "Check a file of settings, or those in force here."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run it."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Give the names in the order of the table."""
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command, or say there is none."""
        if cmd_name not in self._entries:
            return None
        module, attribute, _ = self._entries[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write names and short helps without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, _, short) in self._entries.items()])


_NAMES = {"help_option_names": ["-h", "--help"]}

sim = LazyGroup("sim", entries=SIM_COMMANDS, help="Make simulated chips, and let them age.")

profile = LazyGroup("profile", entries=PROFILE_COMMANDS, help="List, show, copy and check profiles.")

physics = LazyGroup(
    "physics", entries=PHYSICS_COMMANDS, help="Draw the figures of the theory (Rao 2023), and write their numbers."
)

config = LazyGroup("config", entries=CONFIG_COMMANDS, help="Show and check the settings.")

app = LazyGroup(
    "memprog",
    entries=COMMANDS,
    context_settings=_NAMES,
    help="Write a trained neural network into memristor arrays, denoise every cell, and prove it.\n\n"
    "The main job: load-weights FILE, then program --array, then verify.",
    epilog="Settings also come from MEMPROG_<KEY> in the environment and from memprog.yaml; see config show.",
)
app = click.version_option(memprog.__version__, prog_name="memprog", message="%(prog)s %(version)s")(app)
