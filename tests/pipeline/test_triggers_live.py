"""Triggers that wait or were shown while what made them changes: wording, rules, the person, what lands late."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.pipeline.comparison import differences, mart_tables
from tests.pipeline.zone import Zone

from journeymart import pipeline
from journeymart.db import connect
from journeymart.settings import Settings

LABEL = {"ko": "시험", "en": "Test"}


def rule(rule_id: str, page: str, **action: Any) -> dict[str, Any]:
    action = {"kind": "popup", "message_id": "MSG-X", "expires": "9d", "purpose": None, **action}
    step = {"name": page, "source": "screen", "where": {"page_code": page}}
    return {"id": rule_id, "label": LABEL, "owner": "tests", "steps": [step], "action": action}


def event(device: str, time: str, page: str, customer: str | None = None) -> dict[str, Any]:
    return {"event_id": f"{device}-{time}-{page}", "event_time": f"2026-03-02T{time}:00+09:00", "visitor_id": device,
            "customer_id": customer, "page_code": page}  # fmt: skip


class Channel:
    """A bank whose channel shows what it is given."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.zone = Zone(directory / "landing", settings)
        self.files = 0

    def run(self, rules: list[dict[str, Any]], *events: dict[str, Any], cap: str | None = None, **wording: str) -> None:
        messages = [{"id": "MSG-X", "title": LABEL, "body": LABEL | wording}]
        self.zone.define(json.dumps({"rules": rules}), "rules")
        directory = self.zone.define(json.dumps({"max_per_customer": cap, "messages": messages}), "messages")
        self.files += 1
        if events:
            self.zone.put(f"clickstream/{self.files}.ndjson", list(events))
        pipeline.run(self.zone.settings, self.zone.directory, definitions=directory)

    def waiting(self, columns: str = "rule_id, coalesce(customer_id, visitor_id)") -> list[tuple[Any, ...]]:
        return self.zone.query(f"select {columns} from export.trigger_queue order by created_at, rule_id, 2")  # noqa: S608

    def show(self) -> None:
        """All that waits."""
        with connect("jm_campaign", settings=self.zone.settings) as connection:
            connection.execute(
                "insert into export.ack (trigger_id, status) select trigger_id, 'shown' from export.trigger_queue"
            )


def test_what_waits_is_shown_as_it_is_worded_now(warehouse: Settings, tmp_path: Path) -> None:
    """Not as it was when the hit was computed; and of whom saw the old wording it stays known."""
    channel = Channel(warehouse, tmp_path)
    rules = [rule("DR-A", "A", kind="survey")]
    channel.run(rules, event("v1", "10:00", "A", "c1"))
    channel.show()
    channel.zone.put("survey_responses/1.ndjson", [
        {"response_id": "r1", "responded_at": "2026-03-02T10:05:00+09:00", "customer_id": "c1", "rule_id": "DR-A",
         "answers": {}}
    ])  # fmt: skip
    channel.run(rules, event("v2", "10:00", "A", "c2"))
    channel.run(rules, event("v1", "11:00", "A", "c1"), ko="다른 말")
    assert channel.waiting("customer_id, message_version") == [("c2", 2), ("c1", 2)]
    assert channel.zone.query("select customer_id, message_version from mart.survey_answer") == [("c1", 1)]
    stored = mart_tables(warehouse)
    pipeline.run(warehouse, channel.zone.directory, definitions=tmp_path / "definitions", full=True)
    assert differences(mart_tables(warehouse), stored) == {}


def test_what_was_shown_counts_when_its_rule_or_hit_is_gone(warehouse: Settings, tmp_path: Path) -> None:
    channel = Channel(warehouse, tmp_path)
    twice = [rule("DR-A", "A"), rule("DR-B", "B")]
    channel.run(twice, event("v1", "10:00", "A", "c1"), event("v2", "10:00", "B", "c2"), cap="1 per 9d")
    assert channel.waiting() == [("DR-A", "c1"), ("DR-B", "c2")]
    channel.show()
    events = (event(device, "11:00", "B", f"c{device[1]}") for device in ("v1", "v2", "v3"))
    channel.run(twice[1:], *events, cap="1 per 9d")
    assert channel.waiting() == [("DR-B", "c3")]
    channel.run(twice, cap="2 per 9d")
    assert channel.waiting() == [("DR-B", "c1"), ("DR-B", "c2"), ("DR-B", "c3")], "brought back, it shows nothing twice"


def test_a_rule_shows_no_more_than_it_may_whatever_lands_late(warehouse: Settings, tmp_path: Path) -> None:
    """The cap counts hits by their times, and an earlier one has come to light since another was shown."""
    channel = Channel(warehouse, tmp_path)
    once = [rule("DR-A", "A", max_per_customer="1 per 7d")]
    channel.run(once, event("v1", "10:00", "A", "c1"), event("v2", "10:00", "A", "c2"))
    channel.show()
    channel.run(once, event("v1", "09:50", "A", "c1"), event("v3", "09:50", "A", "c3"))
    assert channel.waiting() == [("DR-A", "c3")]


def test_a_device_that_finds_its_customer_is_not_shown_the_same_again(warehouse: Settings, tmp_path: Path) -> None:
    channel = Channel(warehouse, tmp_path)
    rules = [rule("DR-A", "A")]
    channel.run(rules, event("v1", "10:00", "A"), event("v2", "10:00", "A"))
    assert sorted(channel.waiting()) == [("DR-A", "v1"), ("DR-A", "v2")]
    channel.zone.query(
        "insert into export.ack (trigger_id, status)"
        " select trigger_id, 'shown' from export.trigger_queue where visitor_id = 'v1' returning 1"
    )
    channel.run(rules, event("v1", "14:00", "L", "c1"), event("v2", "14:00", "L", "c2"))
    assert channel.waiting() == [("DR-A", "c2")]
