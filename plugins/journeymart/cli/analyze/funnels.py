"""Funnels: `journeymart analyze funnel`, `funnel-compare`, `funnel-people`, `funnel-times` and `channels`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from journeymart.analysis import Result, call
from journeymart.cli.analyze.request import Request, Saving, analysis, limits, listed, require, segment_of
from journeymart.cli.common import file, number

app = typer.Typer()

Peer = Literal["posthog", "mixpanel", "ga4", "amplitude", "clickhouse"]  # those of analysis/peers.yml
FunnelId = Annotated[str, typer.Option("--id", help="Identifier of the funnel, for example FN-ACCOUNT-OPEN.")]


@app.command("funnel")
@analysis
def funnel(
    request: Request,
    funnel_id: Annotated[
        str | None, typer.Option("--id", help="A defined funnel, or one of those in the file.")
    ] = None,
    definition: Annotated[Path | None, file("A file like funnels.yml, with funnels not applied.")] = None,
    by: Annotated[
        Literal["breakdown", "channel", "segment"] | None,
        typer.Option(help="One row per step and value of the breakdown it defines, channel of the entry, or segment."),
    ] = None,
    segments: Annotated[str | None, typer.Option(help="With --by segment: which.  [default: all]")] = None,
    peer: Annotated[
        Peer | None, typer.Option("--as", help="As this tool would count it: what differs, one policy at a time.")
    ] = None,
) -> Result:
    """A funnel step by step: who takes each step, goes on, drops out or still may go on, and how long it takes.

    Example: `journeymart analyze funnel --id FN-ACCOUNT-OPEN --from 2026-06-01 --channel app`
    """
    if definition is None:
        require("funnel", funnel_id)
    if peer is not None:
        if by is not None:
            raise typer.BadParameter("--as gives the numbers of all; it does not go with --by")
        from journeymart.analysis import adhoc
        from journeymart.definitions.loader import load_yaml, read_document

        document = read_document("funnels", definition) if definition else load_yaml("funnels", request.definitions)
        return adhoc.funnel_as(
            request.settings, document, request.scope, peer, funnel_id=funnel_id, is_published=definition is None
        )
    listed_segments = listed("--segments", segments)
    if definition is not None:
        from journeymart.analysis import adhoc

        return adhoc.funnel(
            request.settings, definition, request.scope,
            breakdown_by=by, segments=listed_segments, funnel_id=funnel_id,
        )  # fmt: skip
    arguments = {"funnel_id": funnel_id, "breakdown_by": by, "segments": listed_segments}
    return call(request.settings, "funnel", {**arguments, **request.scope.arguments()})


@app.command("funnel-compare")
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


@app.command("funnel-people")
@analysis
def funnel_people(
    request: Request,
    funnel_id: FunnelId,
    step: Annotated[int, number("Number of the step.")],
    outcome: Annotated[
        Literal["entered", "converted", "dropped", "still_open"], typer.Option(help="What became of them at the step.")
    ] = "entered",
    breakdown: Annotated[str | None, typer.Option(help="Only those of this value of the breakdown.")] = None,
    saving: Saving | None = None,
) -> Result:
    """The people behind one number of a funnel; with --save, as a segment.

    Example: `journeymart analyze funnel-people --id FN-ACCOUNT-OPEN --step 3 --outcome dropped`
    """
    if saving is not None:
        cell = {"id": funnel_id, "step": step, "outcome": outcome, "breakdown": breakdown}
        return segment_of(request, {"funnel": {**cell, **limits(request.scope)}}, saving)
    arguments = {"funnel_id": funnel_id, "step": step, "outcome": outcome, "of_breakdown": breakdown}
    return call(request.settings, "funnel_people", {**arguments, **request.scope.arguments()})


@app.command("funnel-times")
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


@app.command("channels")
@analysis
def channels(
    request: Request,
    funnel_id: FunnelId,
    touch: Annotated[
        Literal["first", "last"],
        typer.Option(help="The first session up to the entry, or the last that did not come directly."),
    ] = "last",
) -> Result:
    """Conversion of a funnel by the inflow channel of those who enter it; the filters are those of the funnel.

    Example: `journeymart analyze channels --id FN-ACCOUNT-OPEN --touch first`
    """
    return call(request.settings, "channel_report", {"funnel": funnel_id, "touch": touch, **request.scope.arguments()})
