"""Funnels as other tools would define them: peers.yml says what they do by default, and what cannot be said here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from journeymart.analysis import Scope
from journeymart.definitions.funnels import Funnel
from journeymart.definitions.loader import DefinitionModel, read_document

_FILE = Path(__file__).with_name("peers.yml")


class Policy(DefinitionModel):
    """What a tool does by default; keys and values as peers.yml explains them."""

    key: str
    theirs: Any
    why: str
    source: str


class Beyond(Policy):
    """What decides numbers there and cannot be said here."""

    when: Literal["no_window", "repeated_step", "strict", "hold", "exclusions"] | None = None


@dataclass(frozen=True)
class Change:
    """A policy in which a funnel differs from a tool, in words, and the funnel with theirs."""

    key: str
    ours: str
    theirs: str
    why: str
    source: str
    funnel: Funnel


class Semantics(DefinitionModel):
    """One tool."""

    id: str
    name: str
    policies: tuple[Policy, ...]
    beyond: tuple[Beyond, ...]

    def changes(self, funnel: Funnel, scope: Scope) -> tuple[list[Change], list[Change]]:
        """The policies that differ, each on top of those before it; and those that such a funnel cannot have here."""
        made: list[Change] = []
        refused: list[Change] = []
        for policy in self.policies:
            now = made[-1].funnel if made else funnel
            found = _dates(now, policy, scope) if policy.key == "dates" else _key(now, policy)
            if found is None:
                continue
            ours, theirs, content = found
            changed = _validated(content) if isinstance(content, dict) else content
            if isinstance(changed, Funnel):
                made.append(Change(policy.key, ours, theirs, policy.why, policy.source, changed))
            else:
                refused.append(Change(policy.key, ours, theirs, f"{policy.why} Here {changed}.", policy.source, now))
        return made, refused

    def not_reproduced(self, funnel: Funnel) -> list[Change]:
        """What else decides their number of such a funnel."""
        return [
            Change(item.key, _OURS[item.key], item.theirs, item.why, item.source, funnel)
            for item in self.beyond
            if item.when is None or _WHEN[item.when](funnel)
        ]


class _PeersFile(DefinitionModel):
    peers: tuple[Semantics, ...]


@cache
def peers() -> Mapping[str, Semantics]:
    """All tools of peers.yml."""
    return {item.id: item for item in read_document("peers", _FILE).parse(_PeersFile).peers}


_WHEN: dict[str, Callable[[Funnel], bool]] = {
    "no_window": lambda funnel: funnel.window is None,
    "repeated_step": lambda funnel: len({(s.source, str(s.where)) for s in funnel.steps}) < len(funnel.steps),
    "strict": lambda funnel: funnel.order == "strict",
    "hold": lambda funnel: bool(funnel.hold),
    "exclusions": lambda funnel: bool(funnel.exclusions),
}
_OURS = {
    "ties": "order of landing",
    "window": "none",
    "strict": "sources of the steps",
    "hold": "of a person",
    "exclusions": "attempt by attempt",
    "users": "exact",
    "repeated steps": "an event each",
}
# Ours and theirs in words, and the funnel with theirs, or why there is none; None where they are the same.
_Found = tuple[str, str, dict[str, Any] | str] | None


def _validated(content: dict[str, Any]) -> Funnel | str:
    """The funnel, or why it cannot be."""
    try:
        return Funnel.model_validate(content)
    except ValidationError as error:
        return "; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())


def _key(funnel: Funnel, policy: Policy) -> _Found:
    """A key of the funnel."""
    content = funnel.model_dump(mode="json")
    if policy.key == "optional":
        left_out = [step.name for step in funnel.steps if step.optional]
        if not left_out:
            return None
        return (
            ", ".join(left_out),
            "required",
            content | {"steps": [step | {"optional": policy.theirs} for step in content["steps"]]},
        )
    ours = content[policy.key]
    theirs = policy.theirs.get(ours, ours) if isinstance(policy.theirs, dict) else policy.theirs
    if ours == theirs or (policy.key == "exclusion_mode" and not funnel.exclusions):
        return None
    if policy.key == "exclusions":
        return str(len(ours)), "none", content | {policy.key: theirs}
    return _words(getattr(funnel, policy.key)), _words(theirs), content | {policy.key: theirs}


def _dates(funnel: Funnel, policy: Policy, scope: Scope) -> _Found:
    """The period: its limits become a part of the steps."""
    limits = {"gte": scope.from_date, "lte": scope.to_date}
    period = {operator: day.isoformat() for operator, day in limits.items() if day is not None}
    if not period:
        return None
    everything = policy.theirs == "all"
    ours, theirs = "by the first entry ever", "all steps within" if everything else "the first entry within"
    if not everything and funnel.order == "any":
        return ours, theirs, "every step may be the entry, with order: any"
    content = funnel.model_dump(mode="json")
    for place, step in enumerate([*content["steps"], *(content["exclusions"] if everything else ())]):
        if place == 0 or everything:
            step["where"] = {"any_of": [step["where"]], "date": period} if step["where"] else {"date": period}
    return ours, theirs, content


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(_words(item) for item in value) or "none"
    return str(value)


def _duration(value: timedelta) -> str:
    """As definitions write it: in the largest unit that has no fraction."""
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60)):
        if value.total_seconds() % seconds == 0:
            return f"{value.total_seconds() / seconds:.15g}{unit}"
    return f"{value.total_seconds():.15g}s"
