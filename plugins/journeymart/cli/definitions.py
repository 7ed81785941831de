"""`journeymart definitions`: check what business people wrote, and bring it into the mart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from journeymart.cli.common import Json, directory, group, write_json
from journeymart.settings import Settings

app = group("definitions", "Funnels, cohorts and what else is defined in YAML.", "definitions check my-definitions")

Directory = Annotated[
    Path | None,
    typer.Argument(help="Directory of definitions.  [default: the shipped ones]", exists=True, file_okay=False),
]
Definitions = Annotated[Path | None, directory("The same directory, as the other commands take it.")]


@app.command("check")
def check(directory: Directory = None, definitions: Definitions = None, as_json: Json = False) -> None:
    """Read every definition and say what is wrong, with file, line and what may have been meant.

    Example: `journeymart definitions check my-definitions`
    """
    from journeymart.definitions.check import check as check_all

    report = check_all(_one_of(directory, definitions))
    if as_json:
        write_json(report)
    else:
        for message in report.errors:
            print(message)
        for message in report.warnings:
            print(f"warning: {message}")
        print(f"{report.files} files, {len(report.errors)} errors, {len(report.warnings)} warnings")
    if report.errors:
        raise typer.Exit(1)


@app.command("apply")
def apply(directory: Directory = None, definitions: Definitions = None, as_json: Json = False) -> None:
    """Make changed definitions count: version them, compute them over the whole history, check and publish.

    What did not change is not computed again. Files that have landed meanwhile are published with it.

    Example: `journeymart definitions apply my-definitions`
    """
    from journeymart import pipeline

    result = pipeline.apply(Settings.load(), _one_of(directory, definitions))
    if as_json:
        write_json(result)
        return
    for change in result.changes:
        print(f"{change.what:8} {change.kind} {change.definition_id}, version {change.version}")
    if result.publication is None:
        print("Nothing has changed.")
    else:
        print(f"Published run {result.publication.run_id}, scope {result.build.scope}.")


def _one_of(argument: Path | None, option: Path | None) -> Path | None:
    if argument is not None and option is not None and argument != option:
        raise typer.BadParameter("name one directory, as an argument or with --definitions")
    return argument or option
