"""What all analyses share: filters, definitions, how a result is shown, and how it is saved as a segment."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.cells import cell_len

from journeymart.analysis import AnalysisError, Result, Scope
from journeymart.cli.common import Json, day, directory, write_json
from journeymart.settings import Settings


@dataclass(frozen=True)
class Request:
    """What every analysis gets: where the warehouse is, the shared filters, and a directory of definitions if named."""

    settings: Settings
    scope: Scope
    definitions: Path | None


def _shared(
    from_date: Annotated[date | None, day("First date.", "--from")] = None,
    to_date: Annotated[date | None, day("Last date, included.", "--to")] = None,
    segment: Annotated[str | None, typer.Option(help="Only members of this segment.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only sessions of this channel, for example app.")] = None,
    domain: Annotated[str | None, typer.Option(help="Only sessions of this domain.")] = None,
    device_type: Annotated[str | None, typer.Option(help="Only sessions on such a device, for example mobile.")] = None,
    definitions: Annotated[Path | None, directory("Read definitions from here, where one is needed.")] = None,
) -> Request:
    """The options that all analyses share."""
    if from_date and to_date and from_date > to_date:
        raise typer.BadParameter("--from lies after --to")
    scope = Scope(from_date, to_date, channel, domain and domain.lower(), segment, device_type)  # as hosts are landed
    return Request(Settings.load(), scope, definitions)


@dataclass(frozen=True)
class Saving:
    """The segment that the customers behind a number become, and where it is written."""

    file: Path | None
    segment_id: str
    label: str
    owner: str


def _saving(
    save: Annotated[Path | None, typer.Option(help="Add the customers to this segments.yml, as a segment.")] = None,
    save_as: Annotated[str | None, typer.Option(help="With --save: identifier of the segment, SG-….")] = None,
    label: Annotated[str | None, typer.Option(help="What people read.  [default: the identifier]")] = None,
    owner: Annotated[str, typer.Option(help="Which department it belongs to.")] = "analysis",
) -> Saving | None:
    """The options of analyses whose numbers can be saved."""
    if (save is None) != (save_as is None):
        raise typer.BadParameter("--save and --save-as go together")
    return Saving(save, save_as, label or save_as, owner) if save and save_as else None


def analysis(command: Callable[..., Result]) -> Callable[..., None]:
    """Make a command of an analysis: its first parameter, the request, is read from the shared options, and `saving`,
    if it has one, from those of saving; what it returns is printed, as a table or with `--json` as a list of objects.
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    can_save = any(item.name == "saving" for item in own)
    own = [item for item in own if item.name != "saving"]
    saved = inspect.signature(_saving, eval_str=True).parameters if can_save else {}
    shared = inspect.signature(_shared, eval_str=True).parameters

    @functools.wraps(command)
    def run(*, as_json: bool, **options: Any) -> None:
        request = _shared(**{name: options.pop(name) for name in shared})
        if can_save:
            options["saving"] = _saving(**{name: options.pop(name) for name in saved})
        _show(command(request, **options), as_json=as_json)

    as_json = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json)
    parameters = [
        *(item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in (*own, *saved.values(), *shared.values())),
        as_json,
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    return run


def _show(result: Result, *, as_json: bool) -> None:
    if as_json:
        write_json(result.records())
        return
    cells = [result.columns, *([_cell(value) for value in row] for row in result.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())
    if not result.rows:
        print("Nothing fits.", file=sys.stderr)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    if isinstance(value, datetime):
        return value.isoformat(" ", "milliseconds")
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def require(what: str, identifier: str | None) -> str:
    """The identifier of what is analysed. Raises typer.BadParameter if neither it nor a file of such was named."""
    if identifier is None:
        raise typer.BadParameter(f"name a {what} with --id, or a file with --definition")
    return identifier


def listed(option: str, text: str | None) -> list[str] | None:
    """What stands between commas. Raises typer.BadParameter for nothing between two of them."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise typer.BadParameter(f"{option} takes codes separated by commas, not {text!r}")
    return parts


def limits(scope: Scope) -> dict[str, Any]:
    """The filters of sessions, and dates, as a cell of a report has them."""
    return {name: value for name, value in scope.arguments().items() if name != "segment"}


def segment_of(request: Request, cell: dict[str, Any], saving: Saving) -> Result:
    """How many customers a segment of the cell has; it is saved if a file is named."""
    from journeymart import segments
    from journeymart.definitions.cells import Asked
    from journeymart.definitions.requests import add, read, target_of

    directory = saving.file and saving.file.parent
    if saving.file is not None and (saving.file != target_of("segments", directory) or not saving.file.parent.is_dir()):
        raise AnalysisError(f"--save: {saving.file} is no segments.yml in a directory of definitions")
    asked = read(Asked, {
        "id": saving.segment_id, "label": {"ko": saving.label, "en": saving.label}, "owner": saving.owner,
        "cell": {**cell, "segment": request.scope.segment},
    })  # fmt: skip
    definition, saved = segments.drawn_up(request.settings, asked, request.definitions)
    if directory is not None:
        add("segments", definition, directory)
    return Result(["segment_id", "members"], [(saved.segment_id, saved.members)])
