"""definitions/packs.yml: what one department wants to see. A dashboard is made of each pack (superset/packs.py), and a
report of those that say when (reports)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from journeymart.definitions.funnels import FunnelsFile
from journeymart.definitions.loader import (
    DefinitionModel,
    Document,
    Label,
    Location,
    fitting,
    load_yaml,
    suggestion,
)
from journeymart.definitions.segments import SegmentsFile
from journeymart.definitions.sources import load_sources
from journeymart.definitions.transactions import load_transactions

MAX_ANCHORS = 20
Code = Annotated[str, Field(min_length=1, max_length=200)]
Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$", max_length=254)]


class Anchor(DefinitionModel):
    """A page, a transaction or an error: exactly one of them, by its code."""

    page: Code | None = None
    transaction: Code | None = None
    error: Code | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(value is not None for value in (self.page, self.transaction, self.error)) != 1:
            raise ValueError("say one of page, transaction and error")
        return self

    @property
    def kind(self) -> str:
        """`page`, `transaction` or `error`."""
        return "page" if self.page else "transaction" if self.transaction else "error"

    @property
    def code(self) -> str:
        """Its code, whatever it is."""
        return self.page or self.transaction or self.error or ""


class Between(DefinitionModel):
    """From where to where; pages or transactions."""

    start: Anchor
    end: Anchor

    @model_validator(mode="after")
    def _has_a_way(self) -> Self:
        for name, anchor in (("start", self.start), ("end", self.end)):
            if anchor.error:
                raise ValueError(f"{name}: a way begins and ends at a page or a transaction")
        if self.start == self.end:
            raise ValueError("end: the way ends where it starts")
        return self


class Report(DefinitionModel):
    """What the department is given without asking, once a day, week (it ends on Sunday) or month is over.

    `days`: how many it looks back upon, that day, week or month being the last of them; without it no further.
    `recipients`: addresses it is mailed to.
    """

    every: Literal["day", "week", "month"]
    days: Annotated[int, Field(ge=1, le=366)] | None = None
    recipients: Annotated[tuple[Address, ...], Field(max_length=50)] = ()

    def period(self, as_of: date) -> tuple[date, date]:
        """First and last date of the latest report whose last date is over on `as_of`."""
        if self.every == "day":
            last = first = as_of - timedelta(1)
        elif self.every == "week":
            last = as_of - timedelta(as_of.weekday() + 1)
            first = last - timedelta(6)
        else:
            last = as_of.replace(day=1) - timedelta(1)
            first = last.replace(day=1)
        return (last - timedelta(self.days - 1) if self.days else first), last

    def before(self, first: date) -> tuple[date, date]:
        """The period that ends where the one from `first` begins."""
        return (first - timedelta(self.days), first - timedelta(1)) if self.days else self.period(first)


class Pack(DefinitionModel):
    """What a department looks at: around its anchors, between two places, along its funnel, by its segments; of the
    sessions of its channel, domain and device, if it says so."""

    id: Annotated[str, Field(pattern=r"^PK-[A-Z0-9-]{1,60}$")]
    label: Label
    description: Label
    owner: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    anchors: Annotated[tuple[Anchor, ...], Field(max_length=MAX_ANCHORS)] = ()
    between: Between | None = None
    funnel: str | None = None
    segments: tuple[str, ...] = ()
    channel: Code | None = None
    domain: Annotated[Code, StringConstraints(to_lower=True)] | None = None  # as hosts are landed
    device_type: Code | None = None
    report: Report | None = None

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        if not (self.anchors or self.between or self.funnel):
            raise ValueError("say what to look at: anchors, between or funnel")
        return self

    @property
    def sessions(self) -> dict[str, str]:
        """Which sessions its numbers are of, by fields of a session; none: all."""
        return {name: value for name in ("channel", "domain", "device_type") if (value := getattr(self, name))}


class PacksFile(DefinitionModel):
    """The file as a whole."""

    packs: tuple[Pack, ...] = ()


def load_packs(directory: Path | None = None) -> tuple[Pack, ...]:
    """The packs of `directory`, else the shipped ones as far as they fit its funnels and segments.

    Raises DefinitionError with file and line of every mistake: what a pack of one's own names has to be defined.
    """
    document = load_yaml("packs", directory)
    packs = document.parse(PacksFile).packs
    known = _Known.read(directory)
    return fitting(document, packs, lambda number: _problems(document, number, packs, known), directory)


@dataclass(frozen=True)
class _Known:
    """What a pack may name: funnels with their owner, segments, transaction codes."""

    funnels: dict[str, str]
    segments: list[str]
    codes: Collection[str]

    @classmethod
    def read(cls, directory: Path | None) -> Self:
        return cls(
            {item.id: item.owner for item in load_yaml("funnels", directory).parse(FunnelsFile).funnels},
            [item.id for item in load_yaml("segments", directory).parse(SegmentsFile).segments],
            load_transactions(directory, load_sources(directory)).transactions,
        )


def _problems(document: Document, number: int, packs: tuple[Pack, ...], known: _Known) -> Iterator[str]:
    """What a pack names that is not there, or that its people would not see."""
    pack = packs[number]

    def problem(place: Location, text: str) -> str:
        return f"{document.where(('packs', number, *place))}: {text}"

    if pack.id in [other.id for other in packs[:number]]:
        yield problem(("id",), f"{pack.id} is there twice")
    if pack.funnel is not None:
        owner = known.funnels.get(pack.funnel)
        if owner is None:
            yield problem(("funnel",), f"funnels.yml has no {pack.funnel}{suggestion(pack.funnel, known.funnels)}")
        elif owner != pack.owner:
            yield problem(("funnel",), f"{pack.funnel} belongs to {owner}; the people of {pack.owner} do not see it")
    for place, segment in enumerate(pack.segments):
        if segment not in known.segments:
            yield problem(("segments", place), f"segments.yml has no {segment}{suggestion(segment, known.segments)}")
    anchors: list[tuple[Location, Anchor]] = [(("anchors", place), item) for place, item in enumerate(pack.anchors)]
    if pack.between:
        anchors += [(("between", "start"), pack.between.start), (("between", "end"), pack.between.end)]
    for at, anchor in anchors:
        if anchor.transaction and anchor.transaction not in known.codes:
            near = suggestion(anchor.transaction, known.codes)
            text = f"no transaction code '{anchor.transaction}' is defined{near}"
            yield problem((*at, "transaction"), text)
