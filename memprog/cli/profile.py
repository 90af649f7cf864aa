"""``memprog profile``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from memprog.cli import config, kinds
from memprog.cli.console import Console
from memprog.cli.fitted import BASE, BASE_HELP, fit_lines
from memprog.cli.list_known import known_lines
from memprog.cli.options import with_console
from memprog.cli.text import Fields, facts
from memprog.errors import EXIT_INPUT, EXIT_OK


@click.command("list")
@with_console
def list_known(console: Console) -> None:
    """List the profiles that come with memprog; never writes anything."""
    from memprog.jobs.chips import list_profiles
    from memprog.report.base import headed

    console.show_fields(headed({"profiles": list_profiles()}), lambda fields: known_lines(fields["profiles"]))


@click.command()
@click.argument("name_or_file", type=kinds.word, metavar="NAME|FILE")
@click.option("--origin", is_flag=True, help="Say also where each value comes from; JSON always does.")
@with_console
def show(console: Console, name_or_file: str, origin: bool) -> None:
    """Print every value of a profile; the unit of each is the end of its key."""
    from memprog.jobs.profiles import show_profile
    from memprog.report.base import headed

    console.show_fields(headed(show_profile(name_or_file)), lambda fields: _value_lines(fields, origin))


@click.command()
@click.argument("name_or_file", type=kinds.word, metavar="NAME|FILE")
@click.argument("out", type=config.FILE, metavar="OUT.yaml")
@click.option("--name", required=True, metavar="NEWNAME", help="Of the copy: letters, digits, '.', '_', '-'.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@with_console
def copy(console: Console, name_or_file: str, out: Path, name: str, force: bool) -> None:
    """Write a profile to OUT.yaml under another name, comments and all, to be changed there."""
    from memprog.jobs.profiles import copy_profile
    from memprog.report.base import headed

    fields = headed(copy_profile(name_or_file, out, name=name, force=force))
    console.show_fields(fields, lambda shown: facts([("profile", shown["name"]), ("file", shown["path"])]))


@click.command()
@click.argument(
    "files", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True, metavar="FOLDER|FILE..."
)
@click.option("--base", type=kinds.word, default=BASE, show_default=True, metavar="NAME|FILE", help=BASE_HELP)
@click.option("--name", required=True, metavar="NAME", help="Of the new profile: letters, digits, '.', '_', '-'.")
@click.option("--out", "-o", type=config.FILE, required=True, metavar="NEW.yaml", help="File to write.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@with_console
def fit(console: Console, files: tuple[Path, ...], base: str, name: str, out: Path, force: bool) -> None:
    """Write a profile of the kind of chip that memprog characterise measured, whatever it runs on.

    A FOLDER is one that characterise wrote; a FILE is a pulse log (.csv), a trace (.npz, .csv) or a sweep (.csv). What
    they tell replaces the numbers of the base and says so in its source, with a 95 % interval; all else stays as it
    was. The first guesses of the loop are set from the same estimates. Analysing the traces takes a second or two for
    each cell and bias; the more cells were measured, the better it is known how much cells differ.
    """
    from memprog.jobs.fit_profile import fit_profile

    report = fit_profile(files, out_path=out, name=name, base=base, force=force, listener=console.listen)
    console.show(report, fit_lines)


@click.command()
@click.argument("files", type=config.EXISTING_FILE, nargs=-1, required=True, metavar="FILE...")
@with_console
def validate(console: Console, files: tuple[Path, ...]) -> int:
    """Say of each FILE whether it is a profile. Exit code 3 where one is not."""
    from memprog.jobs.profiles import validate_profiles
    from memprog.report.base import headed

    verdicts = validate_profiles(files)
    passed = all(one["passed"] for one in verdicts)
    console.show_fields(headed({"passed": passed, "files": verdicts}), _verdict_lines)
    return EXIT_OK if passed else EXIT_INPUT


@click.command()
@click.option("--out", "-o", type=config.FILE, help="File to write, instead of standard output.")
@with_console
def schema(console: Console, out: Path | None) -> None:
    """Write the JSON Schema of profiles (draft 2020-12), by which an editor can check one as it is typed."""
    from memprog.jobs.profiles import schema_text, write_schema
    from memprog.report.base import headed

    if out is not None:
        write_schema(out)
        console.show_fields(headed({"path": str(out)}), lambda fields: facts([("file", fields["path"])]))
        return
    text = schema_text()
    console.show_fields(headed({"schema": json.loads(text)}), lambda _: [text.rstrip("\n")])


def _value_lines(fields: Fields, with_origin: bool) -> list[str]:
    head = [("name", fields["name"]), ("description", fields["description"]), ("sha256", fields["sha256"])]
    values = {key: str(one["value"]) for key, one in fields["values"].items()}
    if with_origin:
        width = max(len(value) for value in values.values())
        values = {key: f"{value:<{width}}  {_origin(fields['values'][key])}" for key, value in values.items()}
    return [*facts(head), "", *facts(list(values.items()))]


def _origin(one: dict[str, Any]) -> str:
    return one["origin"] or ""


def _verdict_lines(fields: Fields) -> list[str]:
    return facts(
        [
            (
                one["path"],
                f"fine: {one['name']} ({one['sha256'][:12]})" if one["passed"] else f"refused: {one['error']}",
            )
            for one in fields["files"]
        ]
    )
