"""Who returns, and who belongs to a segment: `journeymart analyze retention`, `lifecycle`, `segment` and `overlap`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import typer

from journeymart.analysis import AnalysisError, Result, Scope, call
from journeymart.cli.analyze.request import Request, Saving, analysis, listed, require, segment_of
from journeymart.cli.common import day, file, number

app = typer.Typer()

AGES = 400  # of a cohort, as far as schema mart goes

Id = Annotated[str | None, typer.Option("--id", help="One that is defined, or one of those in the file.")]
Period = Annotated[Literal["day", "week", "month"] | None, typer.Option(help="Other periods than the definition's.")]
AsOf = Annotated[date | None, day("As if nothing had happened afterwards.")]


@app.command("retention")
@analysis
def retention(  # noqa: PLR0913, PLR0917 - each one is an option
    request: Request,
    cohort: Id = None,
    definition: Annotated[Path | None, file("A file like cohorts.yml, with cohorts not applied.")] = None,
    period: Period = None,
    mode: Annotated[
        Literal["exact", "unbounded", "bracket"] | None, typer.Option(help="When a return counts, if not as defined.")
    ] = None,
    entry: Annotated[
        Literal["every", "first"] | None, typer.Option(help="Who belongs to a period, if not as defined.")
    ] = None,
    ages: Annotated[int | None, number("Last age shown, if not as defined.", most=AGES)] = None,
    brackets: Annotated[
        str | None, typer.Option(help="First age of each bracket after the first, separated by commas.")
    ] = None,
    as_of: AsOf = None,
    cohort_start: Annotated[date | None, day("List the persons of this period.", "--people")] = None,
    age: Annotated[int | None, number("With --people: only those who return at this age.", least=0, most=AGES)] = None,
    away: Annotated[bool, typer.Option("--away", help="With --age: those who do not return.")] = False,
    saving: Saving | None = None,
) -> Result:
    """Of those who start in a period, how many return in later ones; with --people, who they are. --channel, --domain
    and --device-type: of those with a start of the period in such a session.

    Example: `journeymart analyze retention --id CH-LOGIN-WEEK --period month --mode unbounded`
    """
    scope = request.scope.arguments()
    changed = {"period": period, "mode": mode, "entry": entry, "ages": ages, "brackets": _brackets(brackets)}
    if saving is not None and (definition is not None or cohort is None or cohort_start is None or as_of is not None):
        raise AnalysisError(
            "--save is of one cell as it is now: it takes --id and --people, no --definition and no --as-of"
        )
    if (age is not None and cohort_start is None) or (away and age is None):
        raise typer.BadParameter("--age goes with --people, and --away with --age")
    if definition is not None:
        if cohort_start is not None:
            raise AnalysisError("--people is of an applied cohort: apply the definition first")
        from journeymart.analysis import adhoc

        return adhoc.retention(
            request.settings, definition, request.scope, as_of=as_of, instead=changed, cohort_id=cohort
        )
    cohort = require("cohort", cohort)
    arguments = {"cohort": cohort, **changed, "as_of": as_of}
    if cohort_start is None:
        return call(request.settings, "retention_cells", {**arguments, **scope})
    if saving is not None:
        cell = {"id": cohort, "start": cohort_start, "age": age, "returned": not away, **changed}
        return segment_of(request, {"retention": {**cell, **_of_session(request.scope)}}, saving)
    del scope["from_date"], scope["to_date"]
    people = {"cohort_start": cohort_start, "age": age, "has_returned": not away}
    return call(request.settings, "retention_people", {**arguments, **scope, **people})


@app.command("lifecycle")
@analysis
def lifecycle(
    request: Request,
    cohort: Annotated[str, typer.Option("--id", help="The cohort, as definitions/cohorts.yml names it.")],
    period: Period = None,
    as_of: AsOf = None,
    start: Annotated[date | None, day("With --save: first day of the cell's period.")] = None,
    status: Annotated[
        Literal["new", "returning", "resurrecting", "dormant"] | None,
        typer.Option(help="With --save: status of the cell."),
    ] = None,
    saving: Saving | None = None,
) -> Result:
    """Who is new, returning, resurrecting or dormant in each period, by the starts of a cohort. --channel, --domain and
    --device-type: those with a start of the period in such a session; of dormant ones, of the period before.

    Example: `journeymart analyze lifecycle --id CH-LOGIN-WEEK --period month`
    """
    asked = (saving, start, status)
    if asked != (None, None, None) and (None in asked or as_of is not None):
        raise AnalysisError("--save is of one cell as it is now: it takes --start and --status, and no --as-of")
    scope = request.scope.arguments()
    if saving is not None:
        cell = {"id": cohort, "start": start, "status": status, "period": period}
        return segment_of(request, {"lifecycle": {**cell, **_of_session(request.scope)}}, saving)
    return call(request.settings, "lifecycle_cells", {"cohort": cohort, "period": period, "as_of": as_of, **scope})


@app.command("segment")
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
    if definition is not None:
        from journeymart.analysis import adhoc

        found = adhoc.segment(request.settings, definition, request.scope, as_of=as_of, segment_id=segment_id)
    else:
        scope = request.scope.arguments()
        arguments = {"segment": require("segment", segment_id), "as_of": as_of, "also_in": scope.pop("segment")}
        found = call(request.settings, "segment_members", {**arguments, **scope})
    return found if members else Result(["segment_id", "members"], [(segment_id or "", len(found.rows))])


@app.command("overlap")
@analysis
def overlap(
    request: Request,
    segments: Annotated[str | None, typer.Option(help="Segments, separated by commas.  [default: all]")] = None,
    as_of: AsOf = None,
) -> Result:
    """How many customers two segments have in common, for each two of them; filters are those of `analyze segment`.

    Example: `journeymart analyze overlap --segments SG-AGGRESSIVE,SG-FX-INTEREST`
    """
    named = listed("--segments", segments)
    if named is not None and len(set(named)) == 1:
        raise typer.BadParameter(f"--segments takes two or more, not {segments!r} alone")
    scope = request.scope.arguments()
    arguments = {"segments": named, "as_of": as_of, "also_in": scope.pop("segment")}
    return call(request.settings, "segment_overlap", {**arguments, **scope})


def _of_session(scope: Scope) -> dict[str, str | None]:
    """The filters that are fields of a session."""
    return {"channel": scope.channel, "domain": scope.domain, "device_type": scope.device_type}


def _brackets(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--brackets takes numbers separated by commas, not {text!r}") from None
    if not all(1 <= item <= AGES for item in numbers):
        raise typer.BadParameter(f"--brackets takes numbers between 1 and {AGES}, not {text!r}")
    return numbers
