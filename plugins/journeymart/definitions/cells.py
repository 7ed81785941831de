"""Cells of reports written as segments: what a segment has to ask for to hold the customers of one number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from journeymart.definitions.cohorts import Cohort, begin_of, shown_ages
from journeymart.definitions.conditions import Condition

Clauses = list[dict[str, Any]]


def retention(
    cohort: Cohort, start: date, *, age: int | None = None, returned: bool = True, session: Mapping[str, str]
) -> Clauses:
    """Who starts in the period from `start`; with an age, who returns at it, or does not. `session`: only those with a
    start of the period in a session with these fields.

    Raises ValueError if the report has no such cell.
    """
    _check_start(cohort.period, start)
    last = begin_of(cohort.period, start, 1) - timedelta(days=1)
    starts = _during(cohort.start, start, last)
    clauses: Clauses = [{"did": starts}]
    if session:
        clauses.append({"did": _during(cohort.start, start, last, session)})
    if cohort.entry == "first":
        clauses.append({"did_not": _during(cohort.start, None, start - timedelta(days=1))})
    if age is not None:
        until = _last_age(cohort, age)
        returns = _during(
            cohort.returns or cohort.start,
            begin_of(cohort.period, start, age),
            None if until is None else begin_of(cohort.period, start, until + 1) - timedelta(days=1),
        )
        # in the period of the start only what comes after it is a return
        clauses.append({"did" if returned else "did_not": returns, **({} if age else {"after": starts})})
    return clauses


def lifecycle(cohort: Cohort, start: date, status: str, *, session: Mapping[str, str]) -> Clauses:
    """Who is new, returning, resurrecting or dormant in the period from `start`. `session`: only those with a start in
    a session with these fields, in the period or, who is dormant, in the one before.

    Raises ValueError if no period begins then.
    """
    _check_start(cohort.period, start)
    before = start - timedelta(days=1)
    in_period = (start, begin_of(cohort.period, start, 1) - timedelta(days=1))
    in_last = (begin_of(cohort.period, start, -1), before)
    now, just_before = _during(cohort.start, *in_period), _during(cohort.start, *in_last)
    long_before = _during(cohort.start, None, in_last[0] - timedelta(days=1))
    clauses: Clauses = {
        "new": [{"did": now}, {"did_not": _during(cohort.start, None, before)}],
        "returning": [{"did": now}, {"did": just_before}],
        "resurrecting": [{"did": now}, {"did_not": just_before}, {"did": long_before}],
        "dormant": [{"did": just_before}, {"did_not": now}],
    }[status]
    if session:
        clauses.append({"did": _during(cohort.start, *(in_last if status == "dormant" else in_period), session)})
    return clauses


def _during(
    condition: Condition, first: date | None, last: date | None, session: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The condition on these dates, both included, and in such sessions."""
    limits: dict[str, Any] = {"date": dict(_dates(first, last))}
    limits |= {f"session.{name}": value for name, value in (session or {}).items()}
    # a field that the condition asks about already is asked about beside it
    where = {"any_of": [condition.where]} if limits.keys() & condition.where.keys() else condition.where
    return {"source": condition.source, "where": {**where, **limits}}


def _dates(first: date | None, last: date | None) -> Iterator[tuple[str, str]]:
    if first is not None:
        yield "gte", first.isoformat()
    if last is not None:
        yield "lte", last.isoformat()


def _last_age(cohort: Cohort, age: int) -> int | None:
    """The last age that counts as this one; None: all later ones do."""
    if age not in shown_ages(cohort.mode, cohort.ages, cohort.brackets):
        raise ValueError(f"the report has no age {age}")
    if cohort.mode == "bracket":
        return min([first - 1 for first in cohort.brackets if first > age] + [cohort.ages])
    return None if cohort.mode == "unbounded" else age


def _check_start(period: str, start: date) -> None:
    if begin_of(period, start, 0) != start:
        raise ValueError(f"no {period} begins on {start}")
