"""A transaction that was refused is activity and nothing more: it converts no session and moves no money."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.comparison import differences, mart_tables
from tests.pipeline.zone import Zone, event, transaction

from journeymart import pipeline
from journeymart.settings import Settings

FUNNEL = {
    "id": "FN-FX", "label": {"ko": "x", "en": "x"}, "owner": "tests", "window": "1d",
    "steps": [
        {"name": "view", "source": "screen", "where": {"page_code": "P1"}},
        {"name": "FX", "source": "transaction", "where": {"transaction_code": "FX"}},
    ],
}  # fmt: skip
AT = "2025-06-01T10:01:{:02}+09:00"
MADE = [  # device, customer, result, amount: one done, one refused, one of which nothing is known; and refused ones
    ("v1", "c1", "0000", 100), ("v1", "c1", "E201", 1000), ("v1", "c1", None, 10), ("v2", "c2", "E201", 2000),
    (None, "c1", "E201", 5000),
]  # fmt: skip


def done(zone: Zone, *results: str) -> Path:
    """Definitions in which these results stand for done."""
    content = {"done_results": results, "unknown_codes": "load", "transactions": {}}
    return zone.define(json.dumps(content), "transactions")


@pytest.fixture(scope="module")
def mart(new_warehouse: Callable[[], Settings], tmp_path_factory: pytest.TempPathFactory) -> Zone:
    zone = Zone(tmp_path_factory.mktemp("failed") / "landing", new_warehouse())
    seen = [("v1", "c1", "P1"), ("v2", "c2", "P1"), ("v3", "c3", "P2")]
    zone.put("clickstream/a.ndjson", [
        event(number, event_time=AT.format(0), visitor_id=device, customer_id=customer, page_code=page, channel="web",
              domain="bank")
        for number, (device, customer, page) in enumerate(seen)
    ])  # fmt: skip
    zone.put("transactions/a.ndjson", [
        transaction(number, transaction_time=AT.format(number), visitor_id=device, customer_id=customer,
                    channel="web" if device else "branch", result_code=result, amount=amount, currency="KRW")
        for number, (device, customer, result, amount) in enumerate(MADE, 1)
    ])  # fmt: skip
    zone.define(json.dumps({"funnels": [FUNNEL]}), "funnels")
    pipeline.run(zone.settings, zone.directory, definitions=done(zone, "0000"))
    return zone


def shown(zone: Zone) -> dict[str, Any]:
    """What each relation says: transactions, failed ones or whether converted, and won."""
    query = zone.query
    return {
        "transaction": query("select transaction_id from mart.transaction where is_failed order by 1"),
        "timeline": query("select distinct detail from mart.timeline where is_error order by 1"),
        "session": query(
            "select transactions, failed_transactions, is_converted, amount_krw from mart.session order by visitor_id"
        ),
        "session_daily": query("select sessions, converted_sessions, transactions, amount_krw from mart.session_daily"),
        "channel_daily": query("select sessions, converted_sessions, transactions, amount_krw from mart.channel_daily"),
        "transaction_daily": query(
            "select channel, transactions, failed, amount_krw from mart.transaction_daily order by 1"
        ),
        "transaction_code": query("select transactions, failed from mart.transaction_code"),
    }


def test_a_failed_transaction_is_counted_and_converts_nothing(mart: Zone) -> None:
    assert shown(mart) == {
        "transaction": [("t2",), ("t4",), ("t5",)],
        "timeline": [("1,000 · KRW · E201",), ("2,000 · KRW · E201",), ("5,000 · KRW · E201",)],
        "session": [(3, 1, True, 110), (1, 1, False, 0), (0, 0, False, 0)],
        "session_daily": [(3, 1, 4, 110)],
        "channel_daily": [(3, 1, 4, 110)],
        "transaction_daily": [("branch", 1, 1, 0), ("web", 4, 2, 110)],
        "transaction_code": [(5, 3)],
    }
    # a step is of its own condition, which takes the refused one as well
    assert mart.query("select entered, amount_krw from mart.funnel_step order by step_no") == [(2, 0), (2, 2100)]


def test_what_counts_as_done_may_change(mart: Zone) -> None:
    """Only what it concerns is computed, and is what a full run makes of everything. It changes the module's mart."""
    assert pipeline.apply(mart.settings, done(mart, "E201")).build.scope == "changes"
    assert mart.query("select row_id & 4294967295 from build.run_line order by 1") == [(1,), (2,), (4,), (5,)]
    assert shown(mart) == {
        "transaction": [("t1",)],
        "timeline": [("100 · KRW · 0000",)],
        "session": [(3, 1, True, 1010), (1, 0, True, 2000), (0, 0, False, 0)],
        "session_daily": [(3, 2, 4, 3010)],
        "channel_daily": [(3, 2, 4, 3010)],
        "transaction_daily": [("branch", 1, 0, 5000), ("web", 4, 1, 3010)],
        "transaction_code": [(5, 1)],
    }
    changed = mart_tables(mart.settings)
    assert pipeline.run(mart.settings, mart.directory, definitions=done(mart, "E201"), full=True).build.scope == "all"
    assert differences(mart_tables(mart.settings), changed) == {}
    # who does not say what is done has no failed ones
    assert pipeline.apply(mart.settings, done(mart)).build.scope == "changes"
    assert mart.query("select sum(failed)::int, sum(amount_krw) from mart.transaction_daily") == [(0, 8110)]
    assert mart.query("select converted_sessions, amount_krw from mart.session_daily") == [(2, 3110)]
