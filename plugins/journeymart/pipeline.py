"""The pipeline: land → build → validate → publish → deliver. `journeymart run` and the DAG call these functions.

Each step can be killed and repeated: landing commits file by file, build and validate write only what the next run
overwrites, publish is one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeymart.db import alone, connect, exists
from journeymart.definitions.check import require
from journeymart.definitions.requests import add, with_definition
from journeymart.definitions.versions import published_definitions
from journeymart.errors import PipelineError
from journeymart.landing import FileResult, land
from journeymart.person import person
from journeymart.publish import Publication, publish
from journeymart.publish.drop import drop
from journeymart.quality import ValidationResult
from journeymart.quality import validate as run_checks
from journeymart.runs import new_run_id
from journeymart.settings import Settings
from journeymart.transform.build import Build, build

if TYPE_CHECKING:
    from journeymart.landing.pull import PullResult


@dataclass(frozen=True)
class Run:
    """What a whole run did; `publication` is none when there was nothing to publish."""

    run_id: str
    pulls: list[PullResult]
    files: list[FileResult]
    build: Build
    checks: ValidationResult | None
    publication: Publication | None


@dataclass(frozen=True)
class Day:
    """A date of the mart once it was rebuilt, and whether one of its numbers was another before."""

    session_date: date
    sessions: int
    events: int
    transactions: int
    amount_krw: Decimal
    is_changed: bool


@dataclass(frozen=True)
class Reprocessed:
    """What rebuilding dates came to."""

    publication: Publication
    dates: list[Day]


@dataclass(frozen=True)
class Change:
    """A definition that came (`new`), changed (`changed`) or went (`retired`), with the version that counts."""

    what: str
    kind: str
    definition_id: str
    version: int


@dataclass(frozen=True)
class Applied:
    """What applying definitions did; `changes` against what was published before."""

    changes: list[Change]
    build: Build
    publication: Publication | None


def run(
    settings: Settings, landing: Path, *, definitions: Path | None = None, full: bool = False, run_id: str | None = None
) -> Run:
    """The whole pipeline once: what is new in other databases, every file of `landing` not yet loaded, and whatever is
    not yet published.

    A rejected file and a database out of reach do not stop the others. Raises JourneymartError if a step fails.
    """
    from journeymart.landing.pull import pull  # noqa: PLC0415 - brings SQLAlchemy, which most steps can do without

    run_id = run_id or new_run_id()
    pulls = pull(landing, definitions=definitions, settings=settings)
    files = land(landing, run_id, definitions=definitions, settings=settings)
    built = build(settings, run_id, definitions=definitions, full=full)
    if built.scope == "empty":
        drop(settings)  # what a run that was cut short has published
        return Run(run_id, pulls, files, built, None, None)
    checks, publication = _release(settings, run_id)
    return Run(run_id, pulls, files, built, checks, publication)


def reprocess(settings: Settings, first: date, last: date, *, definitions: Path | None = None) -> Reprocessed:
    """Rebuild the dates `first` to `last` (both included) from raw, and publish them; no file is landed.

    Everything is computed anew with them: funnels, cohorts and counters of other dates are made of their sessions too.
    Raises JourneymartError if a step fails; then readers keep what they had.
    """
    run_id = new_run_id()
    before = _days(settings, first, last)
    build(settings, run_id, definitions=definitions, full=True)
    _, publication = _release(settings, run_id)
    after = _days(settings, first, last)
    nothing = (0, 0, 0, Decimal(0))
    dates = [
        Day(day, *after.get(day, nothing), is_changed=before.get(day) != after.get(day))
        for day in sorted(before.keys() | after.keys())
    ]
    return Reprocessed(publication, dates)


def _release(settings: Settings, run_id: str) -> tuple[ValidationResult, Publication]:
    """What follows a build."""
    checks = validate(settings, run_id)
    publication = publish(settings, run_id)
    deliver(settings)
    return checks, publication


def _days(settings: Settings, first: date, last: date) -> dict[date, tuple[int, int, int, Decimal]]:
    """Sessions, events, transactions and won of them, by published date; nothing before the first publication."""
    with connect("jm_builder", settings=settings) as connection:
        if not exists(connection, "mart.session_daily"):
            return {}
        rows = connection.execute(
            """
            select session_date, sum(sessions)::bigint, sum(events)::bigint, sum(transactions)::bigint, sum(amount_krw)
            from mart.session_daily
            where session_date between %s and %s
            group by session_date
            """,
            (first, last),
        ).fetchall()
    return {day: (sessions, events, transactions, amount) for day, sessions, events, transactions, amount in rows}


def apply(settings: Settings, directory: Path | None = None) -> Applied:
    """Publish what changed definitions say, computed over the whole history; no file is landed.

    Raises JourneymartError for definitions that are wrong, and if a step fails.
    """
    require(directory)
    run_id = new_run_id()
    with connect("jm_builder", settings=settings) as connection:
        before = published_definitions(connection)
    built = build(settings, run_id, definitions=directory)
    if built.scope == "empty":
        drop(settings)  # what one that was cut short has published
        return Applied([], built, None)
    _, publication = _release(settings, run_id)
    with connect("jm_builder", settings=settings) as connection:
        after = published_definitions(connection)
    changes = [
        Change("changed" if key in before else "new", *key, version)
        for key, version in sorted(after.items())
        if before.get(key) != version
    ]
    changes += [Change("retired", *key, before[key]) for key in sorted(before.keys() - after.keys())]
    return Applied(changes, built, publication)


def request(
    settings: Settings, kind: str, content: dict[str, Any], purpose: str, directory: Path | None = None
) -> Applied:
    """Add a definition that somebody asks for to the file of its kind (audiences, segments), write down who and why,
    and publish it.

    A request that is repeated, because it was cut short, goes on from there. Raises RequestError with every mistake.
    """
    with_definition(kind, content, directory)  # a mistake is said before a database is asked
    with connect("jm_builder", settings=settings) as connection:
        connection.execute(
            "insert into ops.access_log (user_name, object, purpose) values (%s, %s, %s)",
            (person(), f"{kind.removesuffix('s')} {content.get('id')}", purpose),
        )
        add(kind, content, directory)  # nothing is added that cannot be written down
    return apply(settings, directory)


def deliver(settings: Settings) -> bool:
    """Write the audiences that are wanted as files, and tell Superset that its cached numbers are old; false when no
    Superset runs here."""
    from journeymart.superset.cache import refresh  # noqa: PLC0415 - brings Superset's client

    drop(settings)
    return refresh(settings)


def validate(settings: Settings, run_id: str) -> ValidationResult:
    """Check raw and next; raises PipelineError if a critical check fails, so that publish cannot follow."""
    # Another build meanwhile would take away what is checked, and leave failures on record that there were not.
    with connect("jm_builder", settings=settings, autocommit=True) as connection, alone(connection, "build"):
        result = run_checks(settings, run_id)
        failed = ", ".join(check.check_id for check in result.critical)
        connection.execute(
            "update ops.run set status = %s, error = %s where run_id = %s and status <> 'published'",
            ("failed", f"checks failed: {failed}", run_id) if failed else ("validated", None, run_id),
        )
    if failed:
        raise PipelineError(f"critical checks failed: {failed}; nothing was published. See {settings.docs_url}")
    return result
