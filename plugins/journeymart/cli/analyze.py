"""`journeymart analyze`: the analyses of schema mart from the command line."""

from __future__ import annotations

import functools
import getpass
import inspect
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from journeymart.analysis import AnalysisError, Result, Scope, call
from journeymart.cli.groups import with_example
from journeymart.cli.numbers import number
from journeymart.cli.places import directory, file
from journeymart.settings import Settings

if TYPE_CHECKING:
    from journeymart.definitions.cohorts import Cohort

app = typer.Typer()
analyze = typer.Typer(
    help=with_example("Analyses of the published mart.", "analyze funnel --id FN-ACCOUNT-OPEN"), no_args_is_help=True
)
paths = typer.Typer(
    help=with_example("Which ways sessions take.", "analyze paths main --depth 4"), no_args_is_help=True
)
app.add_typer(analyze, name="analyze")
analyze.add_typer(paths, name="paths")

# As far as schema mart goes: steps of a path, ages of a cohort.
STEPS, AGES = 100, 400


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
    device_type: Annotated[str | None, typer.Option(help="Only sessions on such a device, for example mobile.")] = None,
    definitions: Annotated[Path | None, directory("Read definitions from here, where one is needed.")] = None,
) -> Request:
    """The options that all analyses share."""
    if from_date and to_date and from_date > to_date:
        raise typer.BadParameter("--from lies after --to")
    scope = Scope(from_date and from_date.date(), to_date and to_date.date(), channel, domain, segment, device_type)
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

    as_json = inspect.Parameter(
        "as_json",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option("--json", help="A list of objects on stdout, one a row.")],
    )
    parameters = [
        *(item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in (*own, *saved.values(), *shared.values())),
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


class Kind(StrEnum):
    """What a node is."""

    PAGE = "page"
    ERROR = "error"
    TRANSACTION = "transaction"


class Occurrence(StrEnum):
    """Which visits of a node in a session count."""

    FIRST = "first"
    LAST = "last"
    ALL = "all"


Node = Annotated[str, typer.Option(help="Page code, URL path, transaction code, error code or error page.")]
KindOption = Annotated[Kind, typer.Option(help="What the node is.")]


@paths.command("main")
@analysis
def paths_main(
    request: Request,
    depth: Annotated[int, number("Number of steps.", most=STEPS)] = 5,
    top: Annotated[int, number("Nodes of a step that keep their name; the others are 기타.")] = 10,
) -> Result:
    """The ways that sessions take from their start.

    Example: `journeymart analyze paths main --depth 4 --top 6 --channel app`
    """
    return call(request.settings, "paths_main", {"depth": depth, "top_k": top, **request.scope.arguments()})


@paths.command("around")
@analysis
def paths_around(
    request: Request,
    node: Node,
    kind: KindOption = Kind.PAGE,
    before: Annotated[int, number("Steps before.", least=0, most=STEPS)] = 2,
    after: Annotated[int, number("Steps after.", least=0, most=STEPS)] = 2,
    occurrence: Annotated[Occurrence, typer.Option(help="Which visits in a session count.")] = Occurrence.FIRST,
) -> Result:
    """Where sessions come from to a page, an error or a transaction, and where they go.

    Example: `journeymart analyze paths around --node LGN-E401 --kind error --before 3`
    """
    arguments = {"node": node, "kind": kind, "before": before, "after": after, "occurrence": occurrence}
    return call(request.settings, "paths_around", {**arguments, **request.scope.arguments()})


@paths.command("between")
@analysis
def paths_between(
    request: Request,
    start: Annotated[str, typer.Option(help="Code of the page or transaction to start from.")],
    end: Annotated[str, typer.Option(help="Code of the page or transaction to arrive at.")],
    top: Annotated[int, number("Ways that are named; the others are 기타.")] = 10,
    max_steps: Annotated[int | None, number("Arrive within so many steps.")] = None,
) -> Result:
    """What happens between two pages: the whole way, and how long it takes.

    Example: `journeymart analyze paths between --start STK010 --end ORD010 --top 20`
    """
    arguments = {"start": start, "end": end, "top_k": top, "max_steps": max_steps}
    return call(request.settings, "paths_between", {**arguments, **request.scope.arguments()})


@paths.command("steps")
@analysis
def paths_steps(
    request: Request,
    nodes: Annotated[str, typer.Option(help="Codes of pages or transactions in order, separated by commas.")],
) -> Result:
    """Conversion and exit at the major steps, for everyone and for the segment if one is given.

    Example: `journeymart analyze paths steps --nodes ACO010,ACO020,ACO050 --segment SG-YOUNG`
    """
    scope = request.scope.arguments()
    segment = scope.pop("segment")
    arguments = {"nodes": _listed("--nodes", nodes), "segments": ["all", *([segment] if segment else [])]}
    return call(request.settings, "paths_steps", {**arguments, **scope})


@paths.command("next")
@analysis
def paths_next(
    request: Request,
    node: Node,
    kind: KindOption = Kind.PAGE,
    top: Annotated[int, number("Next nodes that are named; the others are 기타.")] = 10,
) -> Result:
    """Which page follows a page, by visit, and how long people stayed before.

    Example: `journeymart analyze paths next --node TRF020`
    """
    return call(request.settings, "paths_next", {"node": node, "kind": kind, "top_k": top, **request.scope.arguments()})


@paths.command("to-error")
@analysis
def paths_to_error(
    request: Request,
    error: Annotated[str, typer.Option(help="Code of the error, or of the page that it is about.")],
    steps: Annotated[int, number("Moves before the error that make a way.", least=0, most=STEPS)] = 2,
    least: Annotated[int, number("Sessions that a way must have to be named.")] = 20,
    top: Annotated[int, number("Ways that are named; the others are 기타.")] = 20,
) -> Result:
    """Which ways lead to an error more often than sessions meet it in general, by lift.

    Example: `journeymart analyze paths to-error --error LGN-E401 --steps 1`
    """
    arguments = {"error": error, "steps": steps, "least_sessions": least, "top_k": top}
    return call(request.settings, "paths_to_error", {**arguments, **request.scope.arguments()})


@paths.command("compare")
@analysis
def paths_compare(
    request: Request,
    segment_b: Annotated[str | None, typer.Option("--with", help="The other segment.  [default: everyone]")] = None,
    depth: Annotated[int, number("Number of steps.", most=STEPS)] = 5,
) -> Result:
    """The main paths of --segment beside those of another segment, with the difference of the shares.

    Example: `journeymart analyze paths compare --segment SG-AGGRESSIVE --with SG-STABLE`
    """
    scope = request.scope.arguments()
    arguments = {"segment_a": scope.pop("segment"), "segment_b": segment_b, "depth": depth}
    return call(request.settings, "paths_compare", {**arguments, **scope})


@paths.command("people")
@analysis
def paths_people(
    request: Request,
    step: Annotated[int, number("The step, as paths main or paths around numbers it.", least=-STEPS, most=STEPS)],
    from_node: Annotated[str | None, typer.Option(help="Where the move leads from.  [default: anywhere]")] = None,
    to_node: Annotated[str | None, typer.Option(help="Where the move leads to.  [default: anywhere]")] = None,
    node: Annotated[str | None, typer.Option(help="The node of paths around; without it, paths main.")] = None,
    kind: KindOption = Kind.PAGE,
    occurrence: Annotated[Occurrence, typer.Option(help="Which visits in a session count.")] = Occurrence.FIRST,
    top: Annotated[int | None, number("The --top of paths main, for its row 기타.")] = None,
) -> Result:
    """The sessions behind one row of `paths main` or `paths around`.

    Example: `journeymart analyze paths people --node LGN010 --step 0 --to-node 이탈`
    """
    arguments = {
        "step": step, "from_node": from_node, "to_node": to_node, "node": node, "kind": kind, "occurrence": occurrence,
        "top_k": top,
    }  # fmt: skip
    return call(request.settings, "paths_people", {**arguments, **request.scope.arguments()})


@paths.command("segment")
@analysis
def paths_segment(  # noqa: PLR0913, PLR0917 - each one is an option
    request: Request,
    segment_id: Annotated[str, typer.Option("--id", help="Identifier of the new segment, SG-….")],
    through: Annotated[str, typer.Option(help="Pages or transactions in order, separated by commas.")],
    directly: Annotated[bool, typer.Option("--directly", help="Each right after the one before.")] = False,
    at_step: Annotated[int | None, number("The first is this step of the session.", most=STEPS)] = None,
    ends: Annotated[bool, typer.Option("--ends", help="The session ends there: a cell of 이탈.")] = False,
    not_then: Annotated[str | None, typer.Option(help="And does not come here afterwards.")] = None,
    label: Annotated[str | None, typer.Option(help="What people read.  [default: the identifier]")] = None,
    owner: Annotated[str, typer.Option(help="Which department it belongs to.")] = "analysis",
    save: Annotated[Path | None, typer.Option(help="Add it to this segments.yml.")] = None,
) -> Result:
    """Customers with a session that takes a way, as `paths main` and `paths steps` show it; saved as a segment.

    Example: `journeymart analyze paths segment --id SG-LEFT-OPENING --through ACO010,ACO020 --not-then ACO050`
    """
    nodes = _listed("--through", through)
    walk = {"through": nodes, "directly": directly, "at_step": at_step, "ends": ends, "not_then": not_then}
    clauses = [{"path": {**walk, **_limits(request.scope)}}]
    return _segment_of(request, clauses, Saving(save, segment_id, label or segment_id, owner))


def _limits(scope: Scope) -> dict[str, Any]:
    """The filters of sessions as a segment has them."""
    return {name: value for name, value in scope.arguments().items() if name != "segment"}


def _segment_of(request: Request, clauses: list[dict[str, Any]], saving: Saving) -> Result:
    """How many customers a segment has that asks for all this; it is saved."""
    from journeymart.analysis import adhoc  # noqa: PLC0415 - keeps --help quick
    from journeymart.definitions import DefinitionError, segments  # noqa: PLC0415 - keeps --help quick

    if saving.file is not None and request.scope.segment is not None:
        raise AnalysisError(
            f"--segment cannot be saved: add what {request.scope.segment} asks for to the new segment's all_of yourself"
        )
    if saving.file is not None and not saving.file.parent.is_dir():
        raise AnalysisError(f"--save: {saving.file.parent} is no directory")
    try:
        definition = segments.parse({
            "id": saving.segment_id, "label": {"ko": saving.label, "en": saving.label}, "owner": saving.owner,
            "all_of": clauses,
        })  # fmt: skip
    except DefinitionError as error:
        raise AnalysisError(str(error)) from error
    found = adhoc.segment(request.settings, definition, Scope(segment=request.scope.segment))
    if saving.file is not None:
        segments.append(saving.file, definition)
    return Result(["segment_id", "members"], [(saving.segment_id, len(found.rows))])


def _cell_of(
    request: Request,
    saving: Saving,
    cohort_id: str,
    instead: dict[str, Any],
    cell: Callable[[Cohort], list[dict[str, Any]]],
) -> Result:
    """Save a cell of the report on a cohort, in which `instead` replaces what is defined."""
    from journeymart.analysis import adhoc  # noqa: PLC0415 - keeps --help quick
    from journeymart.definitions.loader import load_yaml  # noqa: PLC0415 - keeps --help quick

    asked = {name: value for name, value in instead.items() if value is not None}
    document = load_yaml("cohorts", request.definitions)
    cohort = adhoc.published_cohort(request.settings, document, cohort_id, asked)
    try:
        clauses = cell(cohort)
    except ValueError as error:
        raise AnalysisError(str(error)) from error
    return _segment_of(request, clauses, saving)


class Period(StrEnum):
    """Length of the periods of a cohort report."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Mode(StrEnum):
    """When a return counts."""

    EXACT = "exact"
    UNBOUNDED = "unbounded"
    BRACKET = "bracket"


class Entry(StrEnum):
    """Who belongs to a period: all who start in it, or those who start for the first time."""

    EVERY = "every"
    FIRST = "first"


class Status(StrEnum):
    """How somebody who ever started is doing in a period."""

    NEW = "new"
    RETURNING = "returning"
    RESURRECTING = "resurrecting"
    DORMANT = "dormant"


CohortId = Annotated[str, typer.Option("--id", help="The cohort, as definitions/cohorts.yml names it.")]
Id = Annotated[str | None, typer.Option("--id", help="One that is defined, or one of those in the file.")]
PeriodOption = Annotated[Period | None, typer.Option(help="Other periods than the definition's.")]
ModeOption = Annotated[Mode | None, typer.Option(help="When a return counts, if not as defined.")]
EntryOption = Annotated[Entry | None, typer.Option(help="Who belongs to a period, if not as defined.")]
Ages = Annotated[int | None, number("Last age shown, if not as defined.", most=AGES)]
Brackets = Annotated[str | None, typer.Option(help="First age of each bracket after the first, separated by commas.")]
AsOf = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="As if nothing had happened afterwards.")]


@analyze.command("retention")
@analysis
def retention(  # noqa: PLR0913, PLR0917 - each one is an option
    request: Request,
    cohort: Id = None,
    definition: Annotated[Path | None, file("A file like cohorts.yml, with cohorts not applied.")] = None,
    period: PeriodOption = None,
    mode: ModeOption = None,
    entry: EntryOption = None,
    ages: Ages = None,
    brackets: Brackets = None,
    as_of: AsOf = None,
    cohort_start: Annotated[
        datetime | None, typer.Option("--people", formats=["%Y-%m-%d"], help="List the persons of this period.")
    ] = None,
    age: Annotated[int | None, number("With --people: only those who return at this age.", least=0, most=AGES)] = None,
    away: Annotated[bool, typer.Option("--away", help="With --age: those who do not return.")] = False,
    saving: Saving | None = None,
) -> Result:
    """Of those who start in a period, how many return in later ones; with --people, who they are. --channel, --domain
    and --device-type: of those with a start of the period in such a session.

    Example: `journeymart analyze retention --id CH-LOGIN-WEEK --period month --mode unbounded`
    """
    scope = request.scope.arguments()
    changed = {
        "period": period,
        "mode": mode,
        "entry": entry,
        "ages": ages,
        "brackets": _numbers("--brackets", brackets),
    }
    if saving is not None and (definition is not None or cohort is None or cohort_start is None or as_of is not None):
        raise AnalysisError(
            "--save is of one cell as it is now: it takes --id and --people, no --definition and no --as-of"
        )
    if definition is not None:
        if cohort_start is not None:
            raise AnalysisError("--people is of an applied cohort: apply the definition first")
        from journeymart.analysis import adhoc  # noqa: PLC0415 - keeps --help quick

        return adhoc.retention(
            request.settings, definition, request.scope, as_of=as_of and as_of.date(), cohort_id=cohort,
            instead={name: value for name, value in changed.items() if value is not None},
        )  # fmt: skip
    if cohort is None:
        raise typer.BadParameter("name a cohort with --id, or a file with --definition")
    if saving is not None and cohort_start is not None:
        from journeymart.definitions import cells  # noqa: PLC0415 - keeps --help quick

        session = {name: scope[name] for name in ("channel", "domain", "device_type") if scope[name] is not None}
        begin = cohort_start.date()
        return _cell_of(
            request, saving, cohort, changed,
            lambda plan: cells.retention(plan, begin, age=age, returned=not away, session=session),
        )  # fmt: skip
    dates = {name: scope.pop(name) for name in ("from_date", "to_date")}
    arguments = {"cohort": cohort, **changed, "as_of": as_of and as_of.date(), **scope}
    if cohort_start is None:
        return call(request.settings, "retention_cells", {**arguments, **dates})
    people = {"cohort_start": cohort_start.date(), "age": age, "has_returned": not away}
    return call(request.settings, "retention_people", {**arguments, **people})


@analyze.command("lifecycle")
@analysis
def lifecycle(
    request: Request,
    cohort: CohortId,
    period: PeriodOption = None,
    as_of: AsOf = None,
    start: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="With --save: first day of the cell's period.")
    ] = None,
    status: Annotated[Status | None, typer.Option(help="With --save: status of the cell.")] = None,
    saving: Saving | None = None,
) -> Result:
    """Who is new, returning, resurrecting or dormant in each period, by the starts of a cohort.

    Example: `journeymart analyze lifecycle --id CH-LOGIN-WEEK --period month`
    """
    scope = request.scope.arguments()
    _not_here(scope, "lifecycle", "channel", "domain", "device_type")
    if (saving, start, status) != (None, None, None):
        if saving is None or start is None or status is None or as_of is not None:
            raise AnalysisError("--save is of one cell as it is now: it takes --start and --status, and no --as-of")
        from journeymart.definitions import cells  # noqa: PLC0415 - keeps --help quick

        begin = start.date()
        return _cell_of(request, saving, cohort, {"period": period}, lambda plan: cells.lifecycle(plan, begin, status))
    return call(request.settings, "lifecycle_cells", {
        "cohort": cohort, "period": period, "as_of": as_of and as_of.date(), **scope
    })  # fmt: skip


@analyze.command("segment")
@analysis
def segment_(
    request: Request,
    segment_id: Id = None,
    definition: Annotated[Path | None, file("A file like segments.yml, with segments not applied.")] = None,
    *,
    members: Annotated[bool, typer.Option("--members", help="List the customers instead of counting them.")] = False,
    as_of: AsOf = None,
) -> Result:
    """How many customers belong to a segment, now or at the end of a date; with --segment, those of both; with --from,
    --to, --channel, --domain or --device-type, those of them who have such a session.

    Example: `journeymart analyze segment --id SG-AGGRESSIVE --segment SG-FX-INTEREST --members`
    """
    moment = as_of and as_of.date()
    if definition is not None:
        from journeymart.analysis import adhoc  # noqa: PLC0415 - keeps --help quick

        found = adhoc.segment(request.settings, definition, request.scope, as_of=moment, segment_id=segment_id)
    elif segment_id is None:
        raise typer.BadParameter("name a segment with --id, or a file with --definition")
    else:
        scope = request.scope.arguments()
        arguments = {"segment": segment_id, "as_of": moment, "also_in": scope.pop("segment")}
        found = call(request.settings, "segment_members", {**arguments, **scope})
    return found if members else Result(["segment_id", "members"], [(segment_id or "", len(found.rows))])


@analyze.command("overlap")
@analysis
def overlap(
    request: Request,
    segments: Annotated[str | None, typer.Option(help="Segments, separated by commas.  [default: all]")] = None,
    as_of: AsOf = None,
) -> Result:
    """How many customers two segments have in common, for each two of them.

    Example: `journeymart analyze overlap --segments SG-AGGRESSIVE,SG-FX-INTEREST`
    """
    _not_here(
        request.scope.arguments(), "overlap", "channel", "domain", "device_type", "from_date", "to_date", "segment"
    )
    return call(request.settings, "segment_overlap", {
        "segments": _listed("--segments", segments), "as_of": as_of and as_of.date()
    })  # fmt: skip


@analyze.command("kpi")
@analysis
def kpi(
    request: Request,
    kpi_id: Annotated[str, typer.Option("--id", help="The key number, as definitions/kpis.yml names it.")],
) -> Result:
    """A key number by day.

    Example: `journeymart analyze kpi --id KP-TRANSFER-DONE --from 2026-03-01`
    """
    scope = request.scope.arguments()
    _not_here(scope, "kpi", "channel", "domain", "device_type", "segment")
    return call(request.settings, "kpi", {"kpi": kpi_id, **scope})


class Touch(StrEnum):
    """Which session decides by which channel somebody came."""

    FIRST = "first"
    LAST = "last"


@analyze.command("channels")
@analysis
def channels(
    request: Request,
    funnel_id: Annotated[str, typer.Option("--id", help="The funnel, as definitions/funnels.yml names it.")],
    touch: Annotated[
        Touch, typer.Option(help="The first session up to the entry, or the last that did not come directly.")
    ] = Touch.LAST,
) -> Result:
    """Conversion of a funnel by the inflow channel of those who enter it.

    Example: `journeymart analyze channels --id FN-ACCOUNT-OPEN --touch first`
    """
    scope = request.scope.arguments()
    _not_here(scope, "channels", "channel", "domain", "device_type", "segment")
    return call(request.settings, "channel_report", {"funnel": funnel_id, "touch": touch, **scope})


@analyze.command("sessions")
@analysis
def sessions(request: Request) -> Result:
    """How our sessions differ from those that the tag counted, by date: the same, split by us, or joined by us.

    Example: `journeymart analyze sessions --from 2026-03-01 --to 2026-03-31`
    """
    scope = request.scope.arguments()
    for name in ("channel", "domain", "device_type", "segment"):
        if scope.pop(name) is not None:
            raise typer.BadParameter(f"sessions are compared by date alone: --{name.replace('_', '-')} does not apply")
    return call(request.settings, "session_difference", scope)


@analyze.command("journey")
@analysis
def journey(
    request: Request,
    customer: Annotated[str, typer.Option(help="The bank's customer number.")],
    purpose: Annotated[str, typer.Option(help="Why you look: it is written down, with your name.")] = "command line",
) -> Result:
    """What happened with one customer, in order, with the number of the session; the look-up is written down.
    --channel, --domain and --device-type: what happened in such sessions; --segment: nothing, unless they belong now.

    Example: `journeymart analyze journey --customer C000001 --purpose "complaint 4711" --from 2026-03-01`
    """
    if not purpose.strip():
        raise typer.BadParameter("--purpose must say why: without a reason nothing is shown")
    scope = request.scope.arguments()
    zone = ZoneInfo(call(request.settings, "time_zone", {}).rows[0][0])
    first, last, channel = scope.pop("from_date"), scope.pop("to_date"), scope.pop("channel")
    return call(request.settings, "customer_timeline", {
        "viewer": os.environ.get("JOURNEYMART_USER") or getpass.getuser(),
        "customer": customer,
        "purpose": purpose,
        "from_at": datetime.combine(first, time(), zone) if first else "-infinity",
        "to_at": datetime.combine(last + timedelta(days=1), time(), zone) if last and last < date.max else "infinity",
        "of_channel": channel,
        **scope,
    }, role="jm_cs")  # fmt: skip


def _not_here(scope: dict[str, Any], name: str, *filters: str) -> None:
    """Take filters out that an analysis of persons does not have; refuse them when given."""
    for filter_name in filters:
        if scope.pop(filter_name) is not None:
            option = filter_name.removesuffix("_date").replace("_", "-")
            raise typer.BadParameter(f"{name} is about persons and has no --{option}; it is a filter of sessions")


def _numbers(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{option} takes numbers separated by commas, not {text!r}") from None
    if not all(1 <= item <= AGES for item in numbers):
        raise typer.BadParameter(f"{option} takes numbers between 1 and {AGES}, not {text!r}")
    return numbers


def _listed(option: str, text: str | None) -> list[str] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise typer.BadParameter(f"{option} takes codes separated by commas, not {text!r}")
    return parts


class Peer(StrEnum):
    """A tool as which a funnel may be counted: those of analysis/peers.yml."""

    POSTHOG = "posthog"
    MIXPANEL = "mixpanel"
    GA4 = "ga4"
    AMPLITUDE = "amplitude"
    CLICKHOUSE = "clickhouse"


FunnelId = Annotated[str, typer.Option("--id", help="Identifier of the funnel, for example FN-ACCOUNT-OPEN.")]


class Groups(StrEnum):
    """By what the numbers of a funnel are split."""

    BREAKDOWN = "breakdown"
    CHANNEL = "channel"
    SEGMENT = "segment"


@analyze.command("funnel")
@analysis
def funnel(
    request: Request,
    funnel_id: Annotated[
        str | None, typer.Option("--id", help="A defined funnel, or one of those in the file.")
    ] = None,
    definition: Annotated[Path | None, file("A file like funnels.yml, with funnels not applied.")] = None,
    by: Annotated[
        Groups | None,
        typer.Option(help="One row per step and value of the breakdown it defines, channel of the entry, or segment."),
    ] = None,
    segments: Annotated[str | None, typer.Option(help="With --by segment: which.  [default: all]")] = None,
    peer: Annotated[
        Peer | None, typer.Option("--as", help="As this tool would count it: what differs, one policy at a time.")
    ] = None,
) -> Result:
    """A funnel step by step: who takes each step, goes on, drops out or still may go on, and how long it takes.

    Example: `journeymart analyze funnel --id FN-ACCOUNT-OPEN --from 2026-03-01 --channel app`
    """
    if peer is not None:
        if by is not None:
            raise typer.BadParameter("--as gives the numbers of all; it does not go with --by")
        from journeymart.analysis import adhoc  # noqa: PLC0415 - keeps --help quick
        from journeymart.definitions.loader import load_yaml, read_document  # noqa: PLC0415 - keeps --help quick

        document = read_document("funnels", definition) if definition else load_yaml("funnels", request.definitions)
        if definition is None and funnel_id is None:
            raise typer.BadParameter("name a funnel with --id, or a file with --definition")
        return adhoc.funnel_as(
            request.settings, document, request.scope, peer, funnel_id=funnel_id, is_published=definition is None
        )
    if definition is not None:
        from journeymart.analysis import adhoc  # noqa: PLC0415 - keeps --help quick

        return adhoc.funnel(
            request.settings, definition, request.scope,
            breakdown_by=by, segments=_listed("--segments", segments), funnel_id=funnel_id,
        )  # fmt: skip
    if funnel_id is None:
        raise typer.BadParameter("name a funnel with --id, or a file with --definition")
    arguments = {"funnel_id": funnel_id, "breakdown_by": by, "segments": _listed("--segments", segments)}
    return call(request.settings, "funnel", {**arguments, **request.scope.arguments()})


@analyze.command("funnel-compare")
@analysis
def funnel_compare(
    request: Request,
    funnel_id: FunnelId,
    segment_b: Annotated[str | None, typer.Option("--with", help="The other segment.  [default: everyone]")] = None,
) -> Result:
    """A funnel of --segment beside that of another segment, with the difference of the shares and its interval.

    Example: `journeymart analyze funnel-compare --id FN-ACCOUNT-OPEN --segment SG-AGGRESSIVE --with SG-STABLE`
    """
    scope = request.scope.arguments()
    arguments = {"funnel_id": funnel_id, "segment_a": scope.pop("segment"), "segment_b": segment_b}
    return call(request.settings, "funnel_compare", {**arguments, **scope})


class Outcome(StrEnum):
    """What became of someone at a step."""

    ENTERED = "entered"
    CONVERTED = "converted"
    DROPPED = "dropped"
    STILL_OPEN = "still_open"


@analyze.command("funnel-people")
@analysis
def funnel_people(
    request: Request,
    funnel_id: FunnelId,
    step: Annotated[int, number("Number of the step.")],
    outcome: Annotated[Outcome, typer.Option(help="What became of them at the step.")] = Outcome.ENTERED,
    breakdown: Annotated[str | None, typer.Option(help="Only those of this value of the breakdown.")] = None,
    saving: Saving | None = None,
) -> Result:
    """The people behind one number of a funnel; with --save, as a segment.

    Example: `journeymart analyze funnel-people --id FN-ACCOUNT-OPEN --step 3 --outcome dropped`
    """
    if saving is not None:
        cell = {"id": funnel_id, "step": step, "outcome": outcome.value, "breakdown": breakdown}
        clauses = [{"funnel": {**cell, **_limits(request.scope)}}]
        return _segment_of(request, clauses, saving)
    arguments = {"funnel_id": funnel_id, "step": step, "outcome": outcome, "of_breakdown": breakdown}
    return call(request.settings, "funnel_people", {**arguments, **request.scope.arguments()})


@analyze.command("funnel-times")
@analysis
def funnel_times(
    request: Request,
    funnel_id: FunnelId,
    from_step: Annotated[int, number("From this step …")] = 1,
    to_step: Annotated[int | None, number("… to this one.  [default: the last]")] = None,
    bins: Annotated[int, number("Number of bins.", most=100)] = 10,
) -> Result:
    """How long it takes from one step of a funnel to another: the distribution.

    Example: `journeymart analyze funnel-times --id FN-ACCOUNT-OPEN --from-step 1 --to-step 5`
    """
    arguments = {"funnel_id": funnel_id, "from_step": from_step, "to_step": to_step, "bins": bins}
    return call(request.settings, "funnel_times", {**arguments, **request.scope.arguments()})


@analyze.command("rule")
@analysis
def rule(
    request: Request,
    rule_id: Annotated[str | None, typer.Option("--id", help="The rule, as definitions/rules.yml names it.")] = None,
    definition: Annotated[Path | None, file("A file like rules.yml, with rules not applied.")] = None,
    *,
    summary: Annotated[bool, typer.Option(help="Per date: hits, people, and who is found by other rules too.")] = False,
    labels: Annotated[Path | None, file("With --summary: a file of the customers it should find, one a line.")] = None,
) -> Result:
    """What a rule has found; with --definition, what a draft would have found in all that has landed. --channel,
    --domain and --device-type are those of the session of a hit's last event.

    Example: `journeymart analyze rule --definition draft.yml --from 2026-06-01 --to 2026-06-30 --summary`
    """
    from journeymart.analysis import adhoc  # noqa: PLC0415 - templates, for this alone

    if labels is not None and not summary:
        raise typer.BadParameter("--labels goes with --summary")
    known = None if labels is None else [line.strip() for line in _read(labels).splitlines() if line.strip()]
    if definition is not None:
        return adhoc.rule(request.settings, definition, request.scope, summary=summary, rule_id=rule_id, labels=known)
    if rule_id is None:
        raise typer.BadParameter("name a rule with --id, or a file with --definition")
    return adhoc.live_rule(request.settings, rule_id, request.scope, summary=summary, labels=known)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from None
