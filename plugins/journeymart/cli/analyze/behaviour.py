"""What happened: `journeymart analyze kpi`, `sessions`, `reported`, `journey` and `rule`."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from journeymart.analysis import Result, call
from journeymart.cli.analyze.request import Request, analysis, require
from journeymart.cli.common import day, file
from journeymart.person import person

app = typer.Typer()


@app.command("kpi")
@analysis
def kpi(
    request: Request,
    kpi_id: Annotated[str, typer.Option("--id", help="The key number, as definitions/kpis.yml names it.")],
) -> Result:
    """A key number by day. --channel, --domain and --device-type: of what happened in such sessions; --segment: of what
    those did who belong now.

    Example: `journeymart analyze kpi --id KP-TRANSFER-DONE --from 2026-06-01`
    """
    return call(request.settings, "kpi", {"kpi": kpi_id, **request.scope.arguments()})


@app.command("sessions")
@analysis
def sessions(request: Request) -> Result:
    """How our sessions differ from those that the tag counted, by date: the same, split by us, or joined by us.

    Example: `journeymart analyze sessions --from 2026-06-01 --to 2026-06-14`
    """
    return call(request.settings, "session_difference", request.scope.arguments())


@app.command("reported")
@analysis
def reported(
    request: Request,
    as_of: Annotated[
        date | None, day("As told by the end of this date.  [default: when a date was first reported]", "--as-of")
    ] = None,
) -> Result:
    """Totals of each date as readers were told once, and as they are now, with the causes of the difference.

    Example: `journeymart analyze reported --from 2026-06-01 --to 2026-06-14 --as-of 2026-06-20`
    """
    scope = request.scope.arguments()
    dates = {"from_date": scope.pop("from_date"), "to_date": scope.pop("to_date")}
    if any(scope.values()):
        raise typer.BadParameter("only totals of dates are kept: --from, --to and --as-of")
    return call(request.settings, "reported", {**dates, "as_of": as_of})


@app.command("journey")
@analysis
def journey(
    request: Request,
    customer: Annotated[str, typer.Option(help="The bank's customer number.")],
    purpose: Annotated[str, typer.Option(help="Why you look: it is written down, with your name.")] = "command line",
) -> Result:
    """What happened with one customer, in order, with the number of the session; the look-up is written down.
    --channel, --domain and --device-type: what happened in such sessions; --segment: nothing, unless they belong now.

    Example: `journeymart analyze journey --customer C10000001 --purpose "complaint 4711" --from 2026-06-01`
    """
    if not purpose.strip():
        raise typer.BadParameter("--purpose must say why: without a reason nothing is shown")
    scope = request.scope.arguments()
    zone = ZoneInfo(call(request.settings, "time_zone", {}).rows[0][0])
    first, last, channel = scope.pop("from_date"), scope.pop("to_date"), scope.pop("channel")
    return call(request.settings, "customer_timeline", {
        "viewer": person(),
        "customer": customer,
        "purpose": purpose,
        "from_at": datetime.combine(first, time(), zone) if first else "-infinity",
        "to_at": datetime.combine(last + timedelta(days=1), time(), zone) if last and last < date.max else "infinity",
        "of_channel": channel,
        **scope,
    }, role="jm_cs")  # fmt: skip


@app.command("rule")
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
    from journeymart.analysis import adhoc

    if labels is not None and not summary:
        raise typer.BadParameter("--labels goes with --summary")
    known = None if labels is None else [line.strip() for line in _read(labels).splitlines() if line.strip()]
    if definition is not None:
        return adhoc.rule(request.settings, definition, request.scope, summary=summary, rule_id=rule_id, labels=known)
    return adhoc.live_rule(request.settings, require("rule", rule_id), request.scope, summary=summary, labels=known)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from None
