"""Validate a built run: evaluate every rule, write the outcome to ops.check_result, bring Data Docs up to date."""

from __future__ import annotations

import contextlib
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from journeymart.db import connect, exists
from journeymart.quality.later import postpone
from journeymart.quality.result import Check, QualityError, ValidationResult
from journeymart.quality.rules import Rulebook
from journeymart.settings import REPO, Settings

logger = logging.getLogger(__name__)

DIRECTORY = REPO / "expectations"
KEPT_RUNS = 60
_RUN_FACTS = """
    with policy as (
        select coalesce(max(content ->> 'time_zone'), current_setting('timezone')) as time_zone
        from config.definition
        where kind = 'sessions' and retired_at is null
    )

    select
        s.run_id,
        s.is_full,
        coalesce(to_char(s.watermark_at at time zone p.time_zone, 'YYYY-MM-DD HH24:MI'), ''),
        to_char(clock_timestamp() at time zone p.time_zone, 'YYYY-MM-DD HH24:MI:SS'),
        p.time_zone,
        (select count(*) from build.run_file),
        count(d.session_date),
        coalesce(min(d.session_date)::text, ''),
        coalesce(max(d.session_date)::text, '')
    from build.run_scope as s
    cross join policy as p
    left join build.touched_date as d on true
    group by s.run_id, s.is_full, s.watermark_at, p.time_zone
"""


@dataclass(frozen=True)
class RunFacts:
    """What the pages say about a run. Times are text in the business time zone, dates are ISO."""

    run_id: str
    is_full: bool
    as_of: str
    checked_at: str
    time_zone: str
    files: int
    dates: int
    first_date: str
    last_date: str


def validate(
    settings: Settings, run_id: str, *, directory: Path = DIRECTORY, kept_runs: int = KEPT_RUNS
) -> ValidationResult:
    """Evaluate the rules of `directory` on the run that was built last, as role jm_builder, reading only.

    Leaves one row per rule in ops.check_result and the pages in `settings.docs`, where the last `kept_runs` runs and
    as many earlier runs with a failure stay. Repeating it for the same run replaces its rows; a run that is already
    published is answered with its recorded checks, since publishing may have moved the tables they were made on.
    Whether the run may be published is for the caller to read from `ValidationResult.critical`.
    Raises RuleError if a rule file is wrong, QualityError if another run was built meanwhile or a rule was skipped.
    """
    published = _published(settings, run_id)
    if published is not None:
        return published
    rulebook = Rulebook(directory)
    facts = _run_facts(settings, run_id)
    # Great Expectations prints; standard output belongs to the command line's own result.
    with contextlib.redirect_stdout(sys.stderr):
        # A third of the time of its imports, for expectations with charts and statistics, of which no rule is one.
        postpone("altair", "scipy.stats")
        # It reports its own workings in hundreds of lines, which would end up in the log of the Airflow task.
        logging.getLogger("great_expectations").setLevel(logging.WARNING)
        from journeymart.quality.engine import evaluate  # noqa: PLC0415 (4 s: only where a validation really runs)

        checks = evaluate(settings, rulebook, facts, kept_runs)
    expected = [rule.id for suite in rulebook.suites for rule in suite.rules]
    if [check.check_id for check in checks] != expected:
        raise QualityError(f"{len(checks)} of {len(expected)} rules were evaluated; nothing may be published on that")
    result = ValidationResult(run_id, tuple(checks))
    _record(settings, result)
    for check in result.failed:
        logger.log(
            logging.ERROR if check in result.critical else logging.WARNING, "%s: %s", check.check_id, check.observed
        )
    return result


def _published(settings: Settings, run_id: str) -> ValidationResult | None:
    """The checks on record, if the run has been published."""
    with connect("jm_builder", settings=settings) as connection:
        status = connection.execute("select status from ops.run where run_id = %s", (run_id,)).fetchone()
        if status != ("published",):
            return None
        rows = connection.execute(
            "select check_id, suite, severity, passed, observed, docs_path from ops.check_result"
            " where run_id = %s order by checked_at, check_id",
            (run_id,),
        )
        return ValidationResult(run_id, tuple(Check(*row) for row in rows))


def _run_facts(settings: Settings, run_id: str) -> RunFacts:
    with connect("jm_builder", settings=settings) as connection:
        is_built = exists(connection, "build.run_scope")
        row = connection.execute(_RUN_FACTS).fetchone() if is_built else None
    if row is None or row[0] != run_id:
        raise QualityError(f"run {run_id} is not what was built last: build it again, then validate")
    return RunFacts(*row)


def _record(settings: Settings, result: ValidationResult) -> None:
    rows = [
        (result.run_id, check.suite, check.check_id, check.severity, check.passed, check.observed, check.docs_path)
        for check in result.checks
    ]
    with connect("jm_builder", settings=settings) as connection, connection.cursor() as cursor:
        cursor.execute("delete from ops.check_result where run_id = %s", (result.run_id,))
        cursor.executemany(
            "insert into ops.check_result (run_id, suite, check_id, severity, passed, observed, docs_path)"
            " values (%s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
