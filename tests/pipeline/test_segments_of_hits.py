"""Who is hit by a rule is in a segment that asks for it, whatever makes the hit come or go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.pipeline.comparison import differences, mart_tables
from tests.pipeline.zone import Zone

from journeymart import pipeline
from journeymart.settings import Settings

LABEL = {"ko": "시험", "en": "Test"}
LIMITS: dict[str, dict[str, Any]] = {"EVER": {}, "TWICE": {"times": {"gte": 2}}, "LATELY": {"within": "3h"}}
SEGMENTS = [
    {"id": f"SG-{name}", "label": LABEL, "owner": "tests", "all_of": [{"rule": "DR-STUCK", **limits}]}
    for name, limits in LIMITS.items()
]


def event(device: str, time: str, page: str, customer: str | None = None) -> dict[str, Any]:
    return {"event_id": f"{device}-{time}-{page}", "event_time": f"2026-03-02T{time}:00+09:00", "visitor_id": device,
            "customer_id": customer, "page_code": page}  # fmt: skip


def test_hits_come_and_go_with_their_customers(warehouse: Settings, tmp_path: Path) -> None:
    """As time passes, with late files, with another version of the rule, and when a device turns out to be somebody's;
    each time in a run of changes, and in the end as if everything was computed at once."""
    zone = Zone(tmp_path / "landing", warehouse)
    definitions = zone.define(json.dumps({"segments": SEGMENTS}), "segments")
    (definitions / "audiences.yml").write_text("audiences: []", encoding="utf-8")

    def after(*events: dict[str, Any], missed: str = "B") -> dict[str, list[str]]:
        """The members by segment, once these have landed."""
        page = {"source": "screen", "where": {"page_code": "A"}}
        absence = {"source": "screen", "where": {"page_code": missed}, "within": "1h"}
        rule = {
            "id": "DR-STUCK",
            "label": LABEL,
            "owner": "tests",
            "steps": [{"name": "A", **page}],
            "absence": absence,
        }
        zone.define(json.dumps({"rules": [rule]}), "rules")
        zone.put(f"clickstream/{len(list(zone.directory.rglob('*.ndjson')))}.ndjson", list(events))
        run = pipeline.run(warehouse, zone.directory, definitions=definitions)
        assert run.build.scope in ("all", "changes")
        rows = zone.query(
            "select segment_id, customer_id || to_char(valid_from at time zone 'Asia/Seoul', ' HH24:MI')"
            " from mart.segment_member where valid_to is null order by 1, 2"
        )
        return {name: [who for segment, who in rows if segment == f"SG-{name}"] for name in LIMITS}

    nobody: dict[str, list[str]] = {"EVER": [], "TWICE": [], "LATELY": []}
    assert after(event("v1", "10:00", "A", "c1")) == nobody
    # only time passes
    assert after(event("v9", "12:00", "X")) == nobody | {"EVER": ["c1 11:00"], "LATELY": ["c1 11:00"]}
    assert after(event("v9", "15:00", "X")) == nobody | {"EVER": ["c1 11:00"]}
    # what was missed comes late
    assert after(event("v1", "10:30", "B", "c1")) == nobody
    # another version of the rule misses something else
    assert after(event("v9", "15:01", "X"), missed="C") == nobody | {"EVER": ["c1 11:00"]}
    # what somebody did before they are known to be that customer
    assert after(event("v2", "12:00", "A"), missed="C") == nobody | {"EVER": ["c1 11:00"]}
    assert after(event("v2", "16:00", "X", "c1"), missed="C") == nobody | {
        "EVER": ["c1 11:00"], "TWICE": ["c1 13:00"], "LATELY": []
    }  # fmt: skip
    stored = mart_tables(warehouse)
    pipeline.run(warehouse, zone.directory, definitions=definitions, full=True)
    assert differences(mart_tables(warehouse), stored) == {}
