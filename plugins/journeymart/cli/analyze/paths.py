"""`journeymart analyze paths`: which ways sessions take."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

from journeymart.analysis import Result, call
from journeymart.cli.analyze.request import Request, Saving, analysis, limits, listed, segment_of
from journeymart.cli.common import duration, group, number

app = group("paths", "Which ways sessions take.", "analyze paths main --depth 4")

STEPS = 100  # of a path, as far as schema mart goes

Node = Annotated[str, typer.Option(help="Page code, URL path, transaction code, error code or error page.")]
Kind = Annotated[Literal["page", "error", "transaction"], typer.Option(help="What the node is.")]
Within = Annotated[
    timedelta | None,
    duration("Of persons, across visits and channels, so long before and after (7d).  [default: of sessions]"),
]
Occurrence = Annotated[Literal["first", "last", "all"], typer.Option(help="Which visits in a session count.")]


@app.command("main")
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


@app.command("around")
@analysis
def paths_around(
    request: Request,
    node: Node,
    kind: Kind = "page",
    before: Annotated[int, number("Steps before.", least=0, most=STEPS)] = 2,
    after: Annotated[int, number("Steps after.", least=0, most=STEPS)] = 2,
    occurrence: Occurrence = "first",
    within: Within = None,
) -> Result:
    """Where sessions, or persons, come from to a page, an error or a transaction, and where they go.

    Example: `journeymart analyze paths around --node LGN-E401 --kind error --before 3`
    """
    arguments = {
        "node": node, "kind": kind, "before": before, "after": after, "occurrence": occurrence, "within": within,
    }  # fmt: skip
    return call(request.settings, "paths_around", {**arguments, **request.scope.arguments()})


@app.command("between")
@analysis
def paths_between(
    request: Request,
    start: Annotated[str, typer.Option(help="Code of the page or transaction to start from.")],
    end: Annotated[str, typer.Option(help="Code of the page or transaction to arrive at.")],
    top: Annotated[int, number("Ways that are named; the others are 기타.")] = 10,
    max_steps: Annotated[int | None, number("Arrive within so many steps.")] = None,
    within: Within = None,
) -> Result:
    """What happens between two pages: the whole way, and how long it takes.

    Example: `journeymart analyze paths between --start STK010 --end ORD010 --top 20`
    """
    arguments = {"start": start, "end": end, "top_k": top, "max_steps": max_steps, "within": within}
    return call(request.settings, "paths_between", {**arguments, **request.scope.arguments()})


@app.command("steps")
@analysis
def paths_steps(
    request: Request,
    nodes: Annotated[str, typer.Option(help="Codes of pages or transactions in order, separated by commas.")],
) -> Result:
    """Conversion and exit at the major steps, for everyone and for the segment if one is given.

    Example: `journeymart analyze paths steps --nodes ACO010,ACO020,ACO050 --segment SG-STABLE`
    """
    scope = request.scope.arguments()
    segment = scope.pop("segment")
    arguments = {"nodes": listed("--nodes", nodes), "segments": ["all", *([segment] if segment else [])]}
    return call(request.settings, "paths_steps", {**arguments, **scope})


@app.command("next")
@analysis
def paths_next(
    request: Request,
    node: Node,
    kind: Kind = "page",
    top: Annotated[int, number("Next nodes that are named; the others are 기타.")] = 10,
) -> Result:
    """Which page follows a page, by visit, and how long people stayed before.

    Example: `journeymart analyze paths next --node TRF020`
    """
    return call(request.settings, "paths_next", {"node": node, "kind": kind, "top_k": top, **request.scope.arguments()})


@app.command("to-error")
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


@app.command("after-error")
@analysis
def paths_after_error(
    request: Request,
    least: Annotated[int, number("Visits with an error that it must have to be named.")] = 20,
    top: Annotated[int, number("Errors of a page that are named; the others are 기타.")] = 20,
) -> Result:
    """Which errors make people leave: how visits of a page end with the error, and without any.

    Example: `journeymart analyze paths after-error --channel app --top 5`
    """
    arguments = {"least_visits": least, "top_k": top}
    return call(request.settings, "paths_after_error", {**arguments, **request.scope.arguments()})


@app.command("compare")
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


@app.command("people")
@analysis
def paths_people(
    request: Request,
    step: Annotated[int, number("The step, as paths main or paths around numbers it.", least=-STEPS, most=STEPS)],
    from_node: Annotated[str | None, typer.Option(help="Where the move leads from.  [default: anywhere]")] = None,
    to_node: Annotated[str | None, typer.Option(help="Where the move leads to.  [default: anywhere]")] = None,
    node: Annotated[str | None, typer.Option(help="The node of paths around; without it, paths main.")] = None,
    kind: Kind = "page",
    occurrence: Occurrence = "first",
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


@app.command("segment")
@analysis
def paths_segment(  # noqa: PLR0913, PLR0917 - each one is an option
    request: Request,
    segment_id: Annotated[str, typer.Option("--id", help="Identifier of the new segment, SG-….")],
    through: Annotated[str, typer.Option(help="Pages or transactions in order, separated by commas; codes or names.")],
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
    nodes = listed("--through", through)
    walk = {"through": nodes, "directly": directly, "at_step": at_step, "ends": ends, "not_then": not_then}
    cell = {"path": {**walk, **limits(request.scope)}}
    return segment_of(request, cell, Saving(save, segment_id, label or segment_id, owner))
