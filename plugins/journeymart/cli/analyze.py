"""`journeymart analyze`: the analyses of schema mart from the command line."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from journeymart.analysis import Result, Scope, call
from journeymart.settings import Settings

app = typer.Typer()
analyze = typer.Typer(help="Analyses of the published mart.", no_args_is_help=True)
paths = typer.Typer(help="Which ways sessions take.", no_args_is_help=True)
app.add_typer(analyze, name="analyze")
analyze.add_typer(paths, name="paths")


@dataclass(frozen=True)
class Request:
    """What every analysis gets: where the warehouse is, the shared filters, and a directory of definitions if named."""

    settings: Settings
    scope: Scope
    definitions: Path | None


def _shared(
    from_date: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First date.")] = None,
    to_date: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last date, included.")] = None,
    segment: Annotated[str | None, typer.Option(help="Only members of this segment.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only sessions of this channel, for example app.")] = None,
    domain: Annotated[str | None, typer.Option(help="Only sessions of this domain.")] = None,
    definitions: Annotated[Path | None, typer.Option(help="Read definitions from here, where one is needed.")] = None,
) -> Request:
    """The options that all analyses share."""
    scope = Scope(from_date and from_date.date(), to_date and to_date.date(), channel, domain, segment)
    return Request(Settings.load(), scope, definitions)


def analysis(command: Callable[..., Result]) -> Callable[..., None]:
    """Make a command of an analysis: its first parameter, the request, is read from the shared options; what it
    returns is printed, as a table or with `--json` as a list of objects."""
    shared = inspect.signature(_shared, eval_str=True).parameters
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    @functools.wraps(command)
    def run(*, as_json: bool, **options: Any) -> None:
        request = _shared(**{name: options.pop(name) for name in shared})
        _show(command(request, **options), as_json=as_json)

    as_json = inspect.Parameter(
        "as_json",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option("--json", help="A list of objects on stdout, one a row.")],
    )
    parameters = [
        *(item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in (*own, *shared.values())),
        as_json,
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    return run


def _show(result: Result, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result.records(), ensure_ascii=False, default=str))
        return
    cells = [result.columns, *([_cell(value) for value in row] for row in result.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


@paths.command("main")
@analysis
def paths_main(
    request: Request,
    depth: Annotated[int, typer.Option(help="Number of steps.")] = 5,
    top: Annotated[int, typer.Option(help="Nodes of a step that keep their name; the others are 기타.")] = 10,
) -> Result:
    """The ways that sessions take from their start.

    Example: `journeymart analyze paths main --depth 4 --top 6 --channel app`
    """
    return call(request.settings, "paths_main", {"depth": depth, "top_k": top, **request.scope.arguments()})
