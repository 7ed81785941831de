"""Journeys of persons: what comes before and after a page or a transaction, across visits, channels and devices."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from tests.conftest import Warehouses
from tests.pipeline.zone import Zone, event, transaction

from journeymart import pipeline
from journeymart.analysis import call

NODES = ["LOAN", "RATE", "ATM_OUT", "(consultation)", "APPLY"]


@pytest.fixture(scope="module")
def bank(warehouses: Warehouses, tmp_path_factory: pytest.TempPathFactory) -> Zone:
    """The customer c reads about a loan on the web, takes money out at an ATM, calls, and applies in the app to the
    second a week after the first page; a stranger reads about it, too."""
    zone = Zone(tmp_path_factory.mktemp("journeys") / "landing", warehouses.create())
    web = {"visitor_id": "web-1", "customer_id": "c", "channel": "web"}
    zone.put("clickstream/a.ndjson", [
        event(1, **web, event_time="2026-03-02T10:00:00+09:00", page_code="LOAN"),
        event(2, **web, event_time="2026-03-02T10:05:00+09:00", page_code="RATE"),
        event(3, visitor_id="app-1", customer_id="c", channel="app", event_time="2026-03-09T10:00:00+09:00",
              page_code="APPLY"),
        event(4, visitor_id="web-2", event_time="2026-03-02T10:00:00+09:00", page_code="LOAN"),
    ])  # fmt: skip
    zone.put("transactions/a.ndjson", [
        transaction(1, customer_id="c", channel="atm", transaction_code="ATM_OUT",
                    transaction_time="2026-03-03T18:00:00+09:00"),
    ])  # fmt: skip
    zone.put("consultations/a.ndjson", [
        {"consultation_id": "k", "customer_id": "c", "consulted_at": "2026-03-04T09:00:00+09:00", "channel": "call"},
    ])  # fmt: skip
    pipeline.run(zone.settings, zone.directory)
    return zone


def around(zone: Zone, node: str, **arguments: Any) -> dict[int, list[tuple[str, str, int]]]:
    """Moves by step."""
    found: dict[int, list[tuple[str, str, int]]] = {}
    for step, *move in call(zone.settings, "paths_around", {"node": node, **arguments}).rows:
        found.setdefault(step, []).append((move[0], move[1], move[2]))
    return found


def test_a_journey_goes_on_at_the_counter_on_the_phone_and_on_another_device(bank: Zone) -> None:
    moves = around(bank, "LOAN", before=1, after=5, within="7 days")
    assert moves[-1] == [("유입", "LOAN", 2)]
    assert moves[0] == [("LOAN", "RATE", 1), ("LOAN", "이탈", 1)]
    assert [moves[step][0] for step in range(4)] == [(*pair, 1) for pair in pairwise(NODES)]
    assert around(bank, "LOAN", before=0, after=5)[1] == [("RATE", "이탈", 1), ("이탈", "이탈", 1)], "in one visit"


def test_both_ends_of_the_time_are_included(bank: Zone) -> None:
    assert around(bank, "APPLY", before=5, after=0, within="7 days")[-5] == [("유입", "LOAN", 1)]
    assert around(bank, "APPLY", before=5, after=0, within="604799 seconds")[-5] == [("유입", "유입", 1)]


def test_a_transaction_outside_of_visits_is_an_anchor(bank: Zone) -> None:
    asked: dict[str, Any] = {"node": "ATM_OUT", "kind": "transaction", "before": 1, "after": 1, "within": "1 day"}
    wanted = {-1: [("유입", "ATM_OUT", 1)], 0: [("ATM_OUT", "(consultation)", 1)]}
    assert around(bank, **asked) == around(bank, **asked, channel="atm") == wanted
    assert around(bank, **asked, channel="web") == around(bank, **asked, device_type="mobile") == {}
    assert around(bank, **asked, from_date="2026-03-03", to_date="2026-03-03") == wanted
    assert around(bank, **asked, from_date="2026-03-04") == around(bank, **asked, to_date="2026-03-02") == {}
    assert around(bank, **asked | {"within": None}) == {}, "no visit comes to it"


def test_the_way_from_a_page_to_another_visit(bank: Zone) -> None:
    asked = {"start": "RATE", "end": "APPLY", "within": "7 days"}
    way = (" > ".join(NODES[1:]), 1, 7 * 86400 - 300.0)
    assert call(bank.settings, "paths_between", asked).rows == [way]
    assert call(bank.settings, "paths_between", asked | {"within": "6 days"}).rows == [("이탈", 1, None)]
    assert call(bank.settings, "paths_between", asked | {"within": None}).rows == [("이탈", 1, None)]
