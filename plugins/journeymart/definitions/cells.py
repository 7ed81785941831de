"""Cells of reports written as segments: what a segment has to ask for to hold the customers of one number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, StringConstraints, model_validator

from journeymart.definitions.cohorts import Cohort, CohortsFile, begin_of, shown_ages
from journeymart.definitions.conditions import Condition
from journeymart.definitions.durations import Duration
from journeymart.definitions.loader import DefinitionModel, Document, Label, load_yaml, suggestion
from journeymart.definitions.requests import RequestError, read
from journeymart.definitions.segments import Reached, RuleId, Segment, SegmentsFile, Walk

Clauses = list[dict[str, Any]]
Item = TypeVar("Item", Cohort, Segment)
_REPORTS = ("funnel", "path", "rule", "retention", "lifecycle")


class RuleCell(DefinitionModel):
    """Who was hit by a rule; with `within`, in the time before now."""

    id: RuleId
    within: Duration | None = None


class CohortCell(DefinitionModel):
    """What cells of both reports on a cohort say; `period` instead of the cohort's own."""

    id: str
    start: date
    period: Literal["day", "week", "month"] | None = None
    channel: str | None = None
    domain: str | None = None
    device_type: str | None = None

    @property
    def session(self) -> dict[str, str]:
        """The filters, which are fields of a session."""
        return {name: value for name in ("channel", "domain", "device_type") if (value := getattr(self, name))}

    @property
    def instead(self) -> dict[str, Any]:
        """What is asked instead of what the cohort says."""
        return {"period": self.period}


class RetentionCell(CohortCell):
    """Who starts in the period from `start`; with an age, who returns at it, or does not."""

    age: Annotated[int, Field(ge=0, le=400)] | None = None
    returned: bool = True
    mode: Literal["exact", "unbounded", "bracket"] | None = None
    entry: Literal["every", "first"] | None = None
    ages: int | None = None
    brackets: tuple[int, ...] | None = None

    @property
    def instead(self) -> dict[str, Any]:
        """What is asked instead of what the cohort says."""
        brackets = None if self.brackets is None else list(self.brackets)
        return {"period": self.period, "mode": self.mode, "entry": self.entry, "ages": self.ages, "brackets": brackets}


class LifecycleCell(CohortCell):
    """Who is in a state in the period from `start`."""

    status: Literal["new", "returning", "resurrecting", "dormant"]


class Cell(DefinitionModel):
    """One number of a report; with a segment, that of the customers who belong to it now."""

    funnel: Reached | None = None
    path: Walk | None = None
    rule: RuleCell | None = None
    retention: RetentionCell | None = None
    lifecycle: LifecycleCell | None = None
    segment: str | None = None

    @model_validator(mode="after")
    def _is_of_one_report(self) -> Cell:
        said = [name for name in _REPORTS if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(f"a cell is of one of {', '.join(_REPORTS)}, not of {' and '.join(said) or 'nothing'}")
        return self

    @property
    def of_cohort(self) -> RetentionCell | LifecycleCell | None:
        """The cell, if it is of a report on a cohort."""
        return self.retention or self.lifecycle

    def uses(self, directory: Path | None = None) -> list[tuple[Document, Cohort | Segment]]:
        """The definitions of a directory that it is a number of, with their files. Raises RequestError if there are
        none."""
        found: list[tuple[Document, Cohort | Segment]] = []
        if self.of_cohort is not None:
            document = load_yaml("cohorts", directory)
            found.append((document, _named(document, document.parse(CohortsFile).cohorts, self.of_cohort.id)))
        if self.segment is not None:
            document = load_yaml("segments", directory)
            found.append((document, _named(document, document.parse(SegmentsFile).segments, self.segment)))
        return found

    def clauses(self, directory: Path | None = None) -> Clauses:
        """What a segment asks for that has its customers, by the definitions of a directory.

        Raises RequestError if there is no such definition, or if its report has no such cell.
        """
        found: Clauses = [
            {name: said.model_dump(mode="json", by_alias=True, exclude_defaults=True)}
            for name, said in (("funnel", self.funnel), ("path", self.path))
            if said is not None
        ]
        if self.rule is not None:
            hits = self.rule.model_dump(mode="json", exclude_none=True)
            found.append({"rule": hits.pop("id"), **hits})
        for _, definition in self.uses(directory):
            if isinstance(definition, Segment):
                found += definition.written()["all_of"]
                continue
            try:
                found += self._of_cohort(definition)
            except (ValueError, OverflowError) as error:  # dates have an end
                raise RequestError(str(error)) from error
        return found

    def _of_cohort(self, cohort: Cohort) -> Clauses:
        if (cell := self.lifecycle) is not None:
            return lifecycle(cohort.replaced(cell.instead), cell.start, cell.status, session=cell.session)
        if (of := self.retention) is not None:
            cohort = cohort.replaced(of.instead)
            return retention(cohort, of.start, age=of.age, returned=of.returned, session=of.session)
        return []


class Asked(DefinitionModel):
    """A segment that somebody asks for: a cell, and what the segment is called."""

    id: str
    label: Label
    owner: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
    purpose: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = None
    cell: Cell

    @model_validator(mode="after")
    def _is_called_something(self) -> Asked:
        if not self.label.ko.strip() or not self.label.en.strip():
            raise ValueError("label: say what people read")
        return self

    def segment(self, directory: Path | None = None) -> Segment:
        """The segment, by the definitions of a directory. Raises RequestError with every mistake."""
        own = self.model_dump(include={"id", "label", "owner"})
        return read(Segment, {**own, "all_of": self.cell.clauses(directory)})


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


def _named(document: Document, items: Sequence[Item], wanted: str) -> Item:
    known = {item.id: item for item in items}
    if wanted not in known:
        hint = suggestion(wanted, known)
        raise RequestError(f"{document.path}: there is no {document.kind.removesuffix('s')} {wanted}{hint}")
    return known[wanted]


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
