"""definitions/segments.yml: groups of customers by what they are and what they do, with validity over time.

A segment compiles into an expression over multiranges of time: each thing it asks for (a leaf) holds during some
ranges, and `all_of`, `any_of` and `none_of` are intersection, union and what is left. So it is known for every moment
who belongs, also for moments to come.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Literal

from psycopg import sql
from pydantic import Field, WithJsonSchema, model_validator

from journeymart.definitions.conditions import Condition, row_predicate
from journeymart.definitions.durations import Duration
from journeymart.definitions.loader import DefinitionModel, Label, suggestion

_ALWAYS = sql.SQL("'{(,)}'::tstzmultirange")
_GROUPS = ("all_of", "any_of", "none_of")
_KINDS = (*_GROUPS, "customer", "did", "did_not", "path", "funnel", "rule")
MAX_TIMES = 1000
MAX_NODES = 32
RuleId = Annotated[str, Field(pattern=r"^DR-[A-Z0-9-]{1,60}$")]


class Times(DefinitionModel):
    """How often: `gte`, `lte` or `eq`."""

    gte: Annotated[int, Field(ge=1, le=MAX_TIMES)] | None = None
    lte: Annotated[int, Field(ge=0, le=MAX_TIMES)] | None = None
    eq: Annotated[int, Field(ge=0, le=MAX_TIMES)] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Times:
        if self.eq is None and self.gte is None and self.lte is None:
            raise ValueError("say gte, lte or eq")
        if self.eq is not None and (self.gte is not None or self.lte is not None):
            raise ValueError("eq stands alone")
        if self.gte is not None and self.lte is not None and self.gte > self.lte:
            raise ValueError(f"cannot be reached: at least {self.gte} and at most {self.lte}")
        return self


class Limits(DefinitionModel):
    """What the filters of a report leave: sessions of these dates, or entries into a funnel, both dates included, and
    of this channel, domain and device; of an entry, those of its session."""

    from_date: Annotated[date | None, Field(alias="from")] = None
    to_date: Annotated[date | None, Field(alias="to")] = None
    channel: str | None = None
    domain: str | None = None
    device_type: str | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Limits:
        if self.from_date is not None and self.to_date is not None and self.from_date > self.to_date:
            raise ValueError(f"cannot be reached: from {self.from_date} to {self.to_date}")
        return self


class Walk(Limits):
    """A way that a session takes: as `analyze paths` filters and shows them."""

    through: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_NODES)]  # pages and transactions, in order
    directly: bool = False  # each right after the one before; else others may lie between
    at_step: Annotated[int, Field(ge=1, le=100)] | None = None  # the first of them is this step of the session
    ends: bool = False  # with the last of them the session ends
    not_then: str | None = None  # and does not come here afterwards

    @model_validator(mode="after")
    def _possible(self) -> Walk:
        if self.at_step is not None and len(self.through) > 1 and not self.directly:
            raise ValueError("at_step: says where the first of several is only with directly")
        if self.ends and self.not_then is not None:
            raise ValueError("not_then: nothing comes after the end of the session")
        return self


class Reached(Limits):
    """A step of a funnel: one cell of its report."""

    id: Annotated[str, Field(pattern=r"^FN-[A-Z0-9-]{1,60}$")]
    step: Annotated[int, Field(ge=1, le=32)] = 1
    outcome: Literal["entered", "converted", "dropped", "still_open"] | None = None  # none: entered
    breakdown: str | None = None  # the value by which the funnel is broken down


class Clause(DefinitionModel):
    """One thing a segment asks for: what a customer is, did, or did not do, or a group of such clauses."""

    all_of: Annotated[tuple[Clause, ...], Field(min_length=1)] | None = None
    any_of: Annotated[tuple[Clause, ...], Field(min_length=1)] | None = None
    none_of: Annotated[tuple[Clause, ...], Field(min_length=1)] | None = None
    customer: Annotated[dict[str, Any], WithJsonSchema({"type": "object"}), Field(min_length=1)] | None = None
    did: Condition | None = None
    did_not: Condition | None = None
    after: Condition | None = None  # of did and did_not: only what comes after the first of these
    path: Walk | None = None
    funnel: Reached | None = None
    rule: RuleId | None = None  # hits of a detection rule
    times: Times | None = None  # of did, path, funnel and rule; at least once, if not said
    within: Duration | None = None  # of did, did_not, path, funnel and rule: the time before now; none: ever

    @model_validator(mode="after")
    def _says_one_thing(self) -> Clause:
        said = [name for name in _KINDS if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(f"a clause says exactly one of {', '.join(_KINDS)}, not {' and '.join(said) or 'nothing'}")
        if self.times is not None and not self._is_counted():
            raise ValueError("times belongs to did, path, funnel and rule")
        if self.within is not None and self.did_not is None and not self._is_counted():
            raise ValueError("within belongs to did, did_not, path, funnel and rule")
        if self.after is not None and (self.did, self.did_not) == (None, None):
            raise ValueError("after belongs to did and did_not")
        if (self.times or self.within) and self.funnel and self.funnel.outcome in {"dropped", "still_open"}:
            raise ValueError(f"times and within: nobody is {self.funnel.outcome} at a moment; it is of now")
        if self.within is not None and not self.within:
            raise ValueError("within must be longer than nothing")
        if self.customer is not None:
            row_predicate("customer", self.customer)
        return self

    def conditions(self) -> Iterator[Condition]:
        """Everything that must be matched."""
        yield from (condition for condition in (self.did, self.did_not, self.after) if condition is not None)
        for clause in self._clauses():
            yield from clause.conditions()

    def funnels(self) -> Iterator[Reached]:
        """The funnels that are asked."""
        yield from [self.funnel] if self.funnel is not None else []
        for clause in self._clauses():
            yield from clause.funnels()

    def rules(self) -> Iterator[str]:
        """The rules that are asked."""
        yield from [self.rule] if self.rule is not None else []
        for clause in self._clauses():
            yield from clause.rules()

    def leaves(self) -> Iterator[dict[str, Any]]:
        """Everything that holds or does not hold at a moment."""
        for clause in self._clauses():
            yield from clause.leaves()
        if self.customer is not None:
            yield _leaf({"predicate": row_predicate("customer", self.customer)})
        for count in self._counts():
            yield self._at_least(count)

    def expression(self) -> sql.Composable:
        """When the clause holds, over `r.leaf_id` and `r.valid` of the rows of one customer."""
        parts = [clause.expression() for clause in self._clauses()]
        if self.all_of is not None:
            return _join(" * ", parts)
        if self.any_of is not None:
            return _join(" + ", parts)
        if self.none_of is not None:
            return _join(" - ", [_ALWAYS, _join(" + ", parts)])
        if self.customer is not None:
            return _holds(_leaf({"predicate": row_predicate("customer", self.customer)}))
        if self.did_not is not None:
            return _join(" - ", [_ALWAYS, _holds(self._at_least(1))])
        least, most = self._bounds()
        many = _holds(self._at_least(least)) if least else _ALWAYS
        return many if most is None else _join(" - ", [many, _holds(self._at_least(most + 1))])

    def _clauses(self) -> tuple[Clause, ...]:
        return next((clauses for name in _GROUPS if (clauses := getattr(self, name)) is not None), ())

    def _is_counted(self) -> bool:
        return (self.did, self.path, self.funnel, self.rule) != (None, None, None, None)

    def _bounds(self) -> tuple[int, int | None]:
        if self.times is None:
            return 1, None
        if self.times.eq is not None:
            return self.times.eq, self.times.eq
        return self.times.gte or 0, self.times.lte

    def _counts(self) -> Iterator[int]:
        if self.did_not is not None:
            yield 1
        elif self._is_counted():
            least, most = self._bounds()
            yield from ([least] if least else [])
            yield from ([] if most is None else [most + 1])

    def _at_least(self, count: int) -> dict[str, Any]:
        condition = self.did or self.did_not
        what: dict[str, Any] = {"condition_id": condition.condition_id} if condition else {}
        if self.after is not None:
            what["after_condition_id"] = self.after.condition_id
        for name in ("path", "funnel"):
            if (asked := getattr(self, name)) is not None:
                what = {name: asked.model_dump(mode="json", by_alias=True, exclude_none=True)}
        if self.rule is not None:
            what = {"rule_id": self.rule}
        within = None if self.within is None else self.within.total_seconds()
        return _leaf({**what, "at_least": count, "within_seconds": within})


class Segment(DefinitionModel):
    """A group of customers; `all_of` must hold."""

    id: Annotated[str, Field(pattern=r"^SG-[A-Z0-9-]{1,60}$")]
    label: Label
    owner: str
    all_of: Annotated[tuple[Clause, ...], Field(min_length=1)]

    def _clause(self) -> Clause:
        return Clause(all_of=self.all_of)

    def conditions(self) -> tuple[Condition, ...]:
        """Everything the segment needs matched."""
        return tuple(self._clause().conditions())

    def unusable_report(self, funnels: Mapping[str, Mapping[str, Any]]) -> str | None:
        """Why a step of a funnel or a rule that the segment asks cannot be had of `funnels` (contents by id, those of
        rules too); None if all can."""
        for rule_id in self._clause().rules():
            if rule_id not in funnels:
                return f"{self.id}: there is no rule {rule_id}{suggestion(rule_id, funnels)}"
        for asked in self._clause().funnels():
            funnel = funnels.get(asked.id)
            if funnel is None:
                return f"{self.id}: there is no funnel {asked.id}{suggestion(asked.id, funnels)}"
            if asked.step > len(funnel["steps"]):
                return f"{self.id}: {asked.id} has {len(funnel['steps'])} steps"
            if asked.step == len(funnel["steps"]) and asked.outcome in {"dropped", "still_open"}:
                return (
                    f"{self.id}: nobody is {asked.outcome} at step {asked.step}, the last of {asked.id}: name an"
                    " earlier step, or outcome: converted"
                )
            if asked.breakdown is not None and funnel["breakdown"] is None:
                return f"{self.id}: {asked.id} has no breakdown"
        return None

    def written(self) -> dict[str, Any]:
        """Plain values as segments.yml has them."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def content(self) -> dict[str, Any]:
        """Plain values for `config.definition`."""
        leaves = {leaf["leaf_id"]: leaf for leaf in self._clause().leaves()}
        return {
            "label": self.label.model_dump(),
            "owner": self.owner,
            "leaves": list(leaves.values()),
            "expression": self._clause().expression().as_string(None),
        }


class SegmentsFile(DefinitionModel):
    """The file as a whole."""

    segments: tuple[Segment, ...] = ()


def _leaf(what: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(what, sort_keys=True, ensure_ascii=False)
    return {"leaf_id": hashlib.sha256(text.encode()).hexdigest()[:16], **what}


def _holds(leaf: dict[str, Any]) -> sql.Composable:
    return sql.SQL("coalesce(range_agg(r.valid) filter (where r.leaf_id = {}), '{{}}')").format(
        sql.Literal(leaf["leaf_id"])
    )


def _join(operator: str, parts: list[sql.Composable]) -> sql.Composable:
    return sql.SQL("({})").format(sql.SQL(operator).join(parts))
