"""`journeymart run`, and `journeymart step NAME`, by which the DAG calls the same functions one at a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from journeymart.cli.common import Definitions, Json, Landing, day, write_json
from journeymart.errors import NotPublishedError, PipelineError, one_line
from journeymart.settings import Settings

if TYPE_CHECKING:
    from journeymart.pipeline import Run

app = typer.Typer()

# As many tasks as the executor runs at once: each further one costs a process start and lands nothing sooner.
_BATCHES = 4

Full = Annotated[bool, typer.Option("--full", help="Compute everything anew from raw.")]


@app.command()
def run(landing: Landing = None, definitions: Definitions = None, full: Full = False, as_json: Json = False) -> None:
    """Run the whole pipeline once: pull, land, build, validate, publish, deliver.

    Ends with 1 if a step failed, and also if a file was rejected or failed or a database was out of reach: the others
    are published all the same.

    Example: `journeymart run --landing /data/landing`
    """
    from journeymart import pipeline

    settings = Settings.load()
    result = pipeline.run(settings, landing or settings.landing, definitions=definitions, full=full)
    if as_json:
        write_json(result)
    else:
        _print(result)
    failures = [pulled.error for pulled in result.pulls if pulled.error]
    for error in (*failures, *(file.error for file in result.files if file.error)):
        print(error, file=sys.stderr)
    if failures or any(file.is_failure for file in result.files):
        raise typer.Exit(1)


def _print(result: Run) -> None:
    for pulled in result.pulls:
        if not pulled.error:
            print(f"pulled   {pulled.rows:>10,} rows  {pulled.name}")
    for file in result.files:
        counts = f"{file.rows_loaded:>10,} rows {file.rows_quarantined:>8,} quarantined"
        print(f"{file.status:8} {counts}  {one_line(file.path)}")
    if result.publication is None or result.checks is None:
        print("Nothing new: the mart is up to date.")
        return
    print(
        f"Published run {result.run_id}: {result.build.files:,} files, scope {result.build.scope},"
        f" {len(result.checks.passed)} checks passed, {len(result.checks.failed)} warnings."
    )


@app.command()
def reprocess(
    first: Annotated[date, day("First date.", "--from")],
    last: Annotated[date, day("Last date.", "--to")],
    definitions: Definitions = None,
    as_json: Json = False,
) -> None:
    """Rebuild dates from raw and publish them; what hangs on them is computed anew as well.

    Example: `journeymart reprocess --from 2026-06-01 --to 2026-06-30`
    """
    from journeymart import pipeline

    if first > last:
        raise typer.BadParameter("is later than --to", param_hint="--from")
    result = pipeline.reprocess(Settings.load(), first, last, definitions=definitions)
    if as_json:
        write_json(result)
        return
    for rebuilt in result.dates:
        change = "changed" if rebuilt.is_changed else "as before"
        print(
            f"{rebuilt.session_date}  {rebuilt.sessions:>10,} sessions {rebuilt.events:>12,} events"
            f" {rebuilt.transactions:>9,} transactions  {change}"
        )
    print(f"Published run {result.publication.run_id}.")


# The steps of a run in order, and what the other DAGs do.
Step = Literal[
    "pull", "discover", "land", "rejected", "build", "validate", "publish", "deliver", "audience", "segment", "report",
    "canary-send", "canary-check", "access-ask", "access-answer", "access-end", "housekeeping",
]  # fmt: skip


@app.command()
def step(
    name: Annotated[Step, typer.Argument(help="Which step.")],
    run_id: Annotated[str, typer.Option(help="The run that the step belongs to.")],
    files: Annotated[str | None, typer.Option(help="land, rejected: '-' to read a JSON list from stdin.")] = None,
    request: Annotated[str | None, typer.Option(help="audience, segment, access: '-' to read it from stdin.")] = None,
    landing: Landing = None,
    definitions: Definitions = None,
    full: Annotated[bool, typer.Option("--full", help="discover, build: compute everything anew from raw.")] = False,
    as_json: Json = False,
) -> None:
    """One step of a run; the last line of stdout is a JSON object. The Airflow DAG calls this.

    Example: `journeymart step build --run-id manual-1 --json`
    """
    if full and name not in ("discover", "build"):
        raise typer.BadParameter("is for discover and build", param_hint="--full")
    if {files, request} - {None, "-"}:
        raise typer.BadParameter("--files and --request take - and read standard input")
    try:
        given = json.load(sys.stdin) if "-" in {files, request} else None
    except ValueError as error:
        raise typer.BadParameter(f"standard input is no JSON: {error}") from None
    settings = Settings.load()
    write_json(_STEPS[name](_Asked(settings, run_id, landing or settings.landing, definitions, full, given)))


@dataclass(frozen=True)
class _Asked:
    """What a step is asked for; `given` is what came on standard input."""

    settings: Settings
    run_id: str
    landing: Path
    definitions: Path | None
    full: bool
    given: Any


def _pull(asked: _Asked) -> Any:
    from journeymart.landing.pull import PullError, pull

    results = pull(asked.landing, definitions=asked.definitions, settings=asked.settings)
    failed = [result.error for result in results if result.error]
    if failed:
        raise PullError("; ".join(failed))
    return {"pulls": results}


def _discover(asked: _Asked) -> Any:
    from journeymart.landing import discover
    from journeymart.transform.build import is_pending

    found = [file.path for file in discover(asked.landing, asked.definitions, settings=asked.settings)]
    batches = [found[start::_BATCHES] for start in range(min(_BATCHES, len(found)))]
    if not batches and (asked.full or is_pending(asked.settings, asked.definitions)):
        batches = [[]]  # nothing to load, but there is something to build
    return {"files": len(found), "batches": batches}


def _land(asked: _Asked) -> Any:
    from journeymart.landing import land

    only = None if asked.given is None else set(asked.given)
    results = land(asked.landing, asked.run_id, paths=only, definitions=asked.definitions, settings=asked.settings)
    return {"files": results, "failed": [result.error for result in results if result.status == "failed"]}


def _rejected(asked: _Asked) -> Any:
    """The ledger has what was rejected; what there was no room for, which is taken again, each `land` tells."""
    from journeymart.db import connect

    with connect("jm_builder", settings=asked.settings) as connection:
        query = "select error from raw.file where run_id = %s and status = 'rejected' order by file_id"
        errors = [error for (error,) in connection.execute(query, (asked.run_id,))]
    errors += [error for batch in asked.given or () for error in batch]
    for error in errors:
        print(error, file=sys.stderr)
    if errors:
        raise PipelineError(f"{len(errors)} files were rejected or failed, see above: nothing of them is loaded")
    return {"rejected": 0}


def _build(asked: _Asked) -> Any:
    from journeymart.transform.build import build

    return build(asked.settings, asked.run_id, definitions=asked.definitions, full=asked.full)


def _validate(asked: _Asked) -> Any:
    from journeymart import pipeline

    result = pipeline.validate(asked.settings, asked.run_id)
    return {"passed": len(result.passed), "failed": [check.check_id for check in result.failed]}


def _publish(asked: _Asked) -> Any:
    from journeymart.publish import publish

    return publish(asked.settings, asked.run_id)


def _deliver(asked: _Asked) -> Any:
    from journeymart import pipeline

    return {"dashboards_refreshed": pipeline.deliver(asked.settings)}


def _audience(asked: _Asked) -> Any:
    from journeymart import audiences

    return audiences.request(asked.settings, asked.given, asked.definitions)


def _segment(asked: _Asked) -> Any:
    from journeymart import segments

    return segments.request(asked.settings, asked.given, asked.definitions)


def _report(asked: _Asked) -> Any:
    from journeymart import reports

    try:
        return {"reports": reports.deliver(asked.settings, definitions=asked.definitions)}
    except NotPublishedError:  # of a new installation nothing is due
        return {"reports": []}


def _canary_send(asked: _Asked) -> Any:
    from journeymart import canaries

    return {"sent": canaries.send(asked.settings, asked.landing, definitions=asked.definitions)}


def _canary_check(asked: _Asked) -> Any:
    from journeymart import canaries

    outcomes = canaries.check(asked.settings, definitions=asked.definitions)
    canaries.require(outcomes)
    return {"seen": [outcome.canary_id for outcome in outcomes]}


def _access_ask(asked: _Asked) -> Any:
    from journeymart import access

    return {"state": access.ask(asked.settings, asked.run_id, asked.given).state}


def _access_answer(asked: _Asked) -> Any:
    from journeymart import access

    return {"state": access.answer(asked.settings, asked.run_id, **asked.given).state}


def _access_end(asked: _Asked) -> Any:
    from journeymart import access

    return {"changed": access.end(asked.settings, asked.given)}


def _housekeeping(asked: _Asked) -> Any:
    from journeymart.housekeeping import keep_house

    return keep_house(asked.settings, definitions=asked.definitions)


_STEPS: dict[Step, Callable[[_Asked], Any]] = {
    "pull": _pull,
    "discover": _discover,
    "land": _land,
    "rejected": _rejected,
    "build": _build,
    "validate": _validate,
    "publish": _publish,
    "deliver": _deliver,
    "audience": _audience,
    "segment": _segment,
    "report": _report,
    "canary-send": _canary_send,
    "canary-check": _canary_check,
    "access-ask": _access_ask,
    "access-answer": _access_answer,
    "access-end": _access_end,
    "housekeeping": _housekeeping,
}
