"""Who enters a funnel again is computed again only where that could change how far they get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.pipeline.zone import Zone

from journeymart import pipeline
from journeymart.settings import Settings

FUNNEL = {
    "id": "FN-AB", "label": {"ko": "시험", "en": "Test"}, "owner": "tests", "window": "10m", "entry": "best",
    "steps": [{"name": page, "source": "screen", "where": {"page_code": page}} for page in "AB"],
}  # fmt: skip


def event(device: str, customer: str, time: str, page: str) -> dict[str, Any]:
    return {"event_id": f"{device}-{time}", "event_time": f"2026-03-02T{time}:00+09:00", "visitor_id": device,
            "customer_id": customer, "page_code": page}  # fmt: skip


def test_an_entry_more_counts_where_something_follows(warehouse: Settings, tmp_path: Path) -> None:
    zone = Zone(tmp_path / "landing", warehouse)
    directory = zone.define(json.dumps({"funnels": [FUNNEL]}), "funnels")

    def run(number: int, *events: dict[str, Any]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Entries as they are published, and who was computed for it."""
        zone.put(f"clickstream/{number}.ndjson", list(events))
        pipeline.run(zone.settings, zone.directory, definitions=directory)
        entries = (
            "select subject_id, to_char(entered_at at time zone 'Asia/Seoul', 'HH24:MI'), step_reached"
            " from mart.funnel_entry where funnel_id = 'FN-AB' order by 1"
        )
        return zone.query(entries), zone.query(
            "select c.customer_id from build.int_funnel__subject as s"
            " inner join raw.customer as c on s.subject_key = c.customer_key where s.funnel_id = 'FN-AB' order by 1"
        )

    first = [
        event("1", "followed", "09:00", "A"), event("2", "followed", "12:05", "B"),
        event("3", "alone", "09:00", "A"), event("4", "earlier", "09:00", "A"), event("9", "clock", "20:00", "Z"),
    ]  # fmt: skip
    entries, _ = run(1, *first)
    assert entries == [("alone", "09:00", 1), ("earlier", "09:00", 1), ("followed", "09:00", 1)]

    entries, computed = run(2, *(
        event("5", "followed", "12:00", "A"), event("6", "alone", "12:00", "A"), event("7", "earlier", "08:00", "A"),
        event("8", "new", "12:00", "A"),
    ))  # fmt: skip
    assert entries == [("alone", "09:00", 1), ("earlier", "08:00", 1), ("followed", "12:00", 2), ("new", "12:00", 1)]
    assert computed == [("earlier",), ("followed",), ("new",)]

    # what follows may be the news, and may be late
    entries, computed = run(3, event("6", "alone", "12:05", "B"))
    assert entries[0] == ("alone", "12:00", 2)
    assert computed == [("alone",)]
