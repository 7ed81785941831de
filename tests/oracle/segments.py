"""Who belongs to a segment, in plain Python: the definition is asked again at every moment at which it could change."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from tests.oracle.cohorts import History
from tests.oracle.logs import SEOUL

Stay = tuple[datetime, datetime | None]


def fulfils(act: tuple[datetime, str, str | None], condition: dict[str, Any]) -> bool:
    """Whether what somebody does, in a session of this channel or in none, is what a condition looks for."""
    at, code, channel = act
    day = at.astimezone(SEOUL).date().isoformat()
    return all(
        code in wanted
        if name in {"page_code", "transaction_code"}
        else channel == wanted
        if name == "session.channel"
        else wanted.get("gte", day) <= day <= wanted.get("lte", day)
        for name, wanted in condition["where"].items()
    )


class Customer:
    """One customer of a log: what they do, and what is known of them from when on."""

    def __init__(self, history: History, person: str) -> None:
        # in UTC, where a day is always 24 hours
        self.acts = [
            (at.astimezone(UTC), code, channel)
            for (at, who, code), channel in zip(history.moments, history.channels, strict=True)
            if who == person
        ]
        self.grades = sorted(
            (datetime.combine(day, time(), SEOUL), grade)
            for (who, day), grade in history.grades.items()
            if who == person
        )
        self.changes = {at for at, _, _ in self.acts} | {at for at, _ in self.grades}
        self.known_from = min(self.changes)

    def holds(self, clause: dict[str, Any], now: datetime) -> bool:
        """Whether a clause of a definition is true at a moment."""
        if "customer" in clause:
            wanted = clause["customer"]["grade"]
            known = [grade for since, grade in self.grades if since <= now]
            grade = known[-1] if known else None
            operator, value = next(iter(wanted.items())) if isinstance(wanted, dict) else ("eq", wanted)
            if operator == "is_null":
                return bool((grade is None) == value)
            return bool(grade in value if operator == "not_in" else grade == value) == (operator == "eq")
        for name, combine in (("all_of", all), ("any_of", any)):
            if name in clause:
                return combine(self.holds(part, now) for part in clause[name])
        if "none_of" in clause:
            return not any(self.holds(part, now) for part in clause["none_of"])
        condition = clause.get("did") or clause["did_not"]
        within = timedelta(days=int(clause["within"].removesuffix("d"))) if "within" in clause else None
        acts = self.acts
        if "after" in clause:
            first = next((place for place, act in enumerate(acts) if fulfils(act, clause["after"])), len(acts))
            acts = acts[first + 1 :]
        times = sum(
            fulfils(act, condition) and act[0] <= now and (within is None or act[0] > now - within) for act in acts
        )
        if "did_not" in clause:
            return times == 0
        wanted = clause.get("times", {"gte": 1})
        return wanted.get("eq", times) == times and wanted.get("gte", 0) <= times <= wanted.get("lte", times)

    def stays(self, segment: dict[str, Any]) -> list[Stay]:
        """When the customer belongs, from … until before."""
        moments = self.changes | {at + timedelta(days=days) for at, _, _ in self.acts for days in (3, 7, 10, 14, 30)}
        found: list[Stay] = []
        since = None
        for now in sorted(moment for moment in moments if moment >= self.known_from):
            belongs = all(self.holds(clause, now) for clause in segment["all_of"])
            if belongs and since is None:
                since = now
            elif not belongs and since is not None:
                found.append((since, now))
                since = None
        return [*found, *([(since, None)] if since is not None else [])]
