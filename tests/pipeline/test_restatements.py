"""What was reported of a day can be said again, and every change of it has a cause."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from unittest import mock

import pytest
from tests.pipeline.zone import Zone, event, transaction
from typer.testing import CliRunner

from journeymart import pipeline
from journeymart.cli import build_app
from journeymart.db import connect
from journeymart.erasure import erase
from journeymart.settings import Settings


@pytest.fixture
def zone(tmp_path: Path, warehouse: Settings) -> Zone:
    return Zone(tmp_path / "landing", warehouse)


def view(number: int, at: str, **fields: str) -> dict[str, object]:
    return event(number, event_time=f"2026-03-{at}:00+09:00", **fields)


def changes(zone: Zone) -> list[tuple[object, ...]]:
    """Of the latest publication."""
    return zone.query(
        "select to_char(business_date, 'DD'), measure, value_before::integer, value_after::integer, causes"
        " from mart.restatement where publication_id = (select max(publication_id) from ops.publication) order by 1, 2"
    )


def publish(zone: Zone) -> list[tuple[object, ...]]:
    pipeline.run(zone.settings, zone.directory)
    return changes(zone)


def test_each_change_of_a_reported_day_has_its_cause(zone: Zone) -> None:
    zone.put("clickstream/a.ndjson", [view(1, "10T12:00", visitor_id="A"), view(2, "11T23:55", visitor_id="B")])
    assert publish(zone) == []
    # of the 11th nothing had been reported: nothing was known of the 12th
    zone.put("clickstream/b.ndjson", [
        view(3, "10T13:00", visitor_id="C"), view(4, "11T10:00", visitor_id="C"), view(5, "12T12:00", visitor_id="D"),
    ])  # fmt: skip
    assert publish(zone) == [("10", "events", 1, 2, ["late"]), ("10", "sessions", 1, 2, ["late"])]
    zone.put("clickstream/a2.ndjson", [view(1, "10T12:00", visitor_id="A")], {"supersedes": "clickstream/a.ndjson"})
    assert publish(zone) == [
        ("11", "events", 2, 1, ["correction"]), ("11", "sessions", 2, 1, ["correction"]),
    ]  # fmt: skip
    pipeline.reprocess(zone.settings, date(2026, 3, 10), date(2026, 3, 11))
    assert changes(zone) == []  # everything anew, and nothing else than before


def test_days_are_those_of_the_business_time_zone(zone: Zone) -> None:
    """Whatever the calendar of the source is, or of who looks."""
    definitions = zone.define("sources: {clickstream: {time_zone: UTC}}")

    def at(number: int, time: str) -> dict[str, object]:
        return event(number, event_time=f"2026-03-{time}", visitor_id=f"v{number}")

    zone.put("clickstream/a.ndjson", [at(1, "09T16:00:00"), at(2, "10T16:00:00")])
    pipeline.run(zone.settings, zone.directory, definitions=definitions)
    zone.put("clickstream/b.ndjson", [at(3, "09T17:00:00")])  # two in the morning of the 10th in Seoul
    pipeline.run(zone.settings, zone.directory, definitions=definitions)
    assert changes(zone) == [("10", "events", 1, 2, ["late"]), ("10", "sessions", 1, 2, ["late"])]
    with connect("jm_admin", settings=zone.settings) as warehouse:
        warehouse.execute("update raw.file set loaded_at = '2026-03-09 18:00+00' where path = 'clickstream/b.ndjson'")
    arrived = (
        "select a.happened_on::text, a.days_late, s.landed_date::text, s.rows_mart::integer from mart.arrival as a"
        " inner join mart.data_status as s using (landed_date) where landed_date < '2026-04-01'"
    )
    for looks in ("UTC", "Asia/Seoul"):
        assert zone.query(f"set timezone = '{looks}'; {arrived}") == [("2026-03-10", 0, "2026-03-10", 1)]


def test_a_visit_that_goes_on_past_midnight_is_late_once_the_next_day_is_reported(zone: Zone) -> None:
    zone.put("clickstream/a.ndjson", [view(1, "10T23:55", visitor_id="A"), view(2, "11T00:00", visitor_id="B")])
    publish(zone)
    zone.put("clickstream/b.ndjson", [view(3, "11T00:05", visitor_id="A"), view(4, "12T00:00", visitor_id="B")])
    assert publish(zone) == [("10", "events", 1, 2, ["continued"])]
    zone.put("clickstream/c.ndjson", [view(5, "11T00:10", visitor_id="A")])
    assert publish(zone) == [("10", "events", 2, 3, ["late"])]


def test_each_cause_is_told_where_several_meet(zone: Zone) -> None:
    zone.put("clickstream/a.ndjson", [view(1, "10T12:00", visitor_id="A")])
    zone.put("clickstream/b.ndjson", [view(1, "11T12:00", visitor_id="A"), view(2, "13T12:00", visitor_id="B")])
    zone.put("transactions/a.ndjson", [
        transaction(1, transaction_time="2026-03-06T12:00:00+09:00", amount="100", currency="USD")
    ])  # fmt: skip
    rates = "exchange_rates: {USD: {2026-01-01: %s}}"
    pipeline.run(zone.settings, zone.directory, definitions=zone.define(rates % 1000, "exchange_rates"))
    # what has repeated the line that goes counts from now on, on another day
    zone.put("clickstream/a2.ndjson", [view(3, "10T12:00", visitor_id="C")], {"supersedes": "clickstream/a.ndjson"})
    pipeline.run(zone.settings, zone.directory, definitions=zone.define(rates % 1100, "exchange_rates"))
    assert changes(zone) == [
        ("06", "amount_krw", 100_000, 110_000, ["definition"]),
        ("11", "events", 0, 1, ["correction"]), ("11", "sessions", 0, 1, ["correction"]),
    ]  # fmt: skip


def test_transactions_of_every_channel_and_amounts(zone: Zone) -> None:
    paid = {"channel": "branch", "amount": "100", "currency": "USD"}
    zone.put("transactions/a.ndjson", [
        transaction(1, transaction_time="2026-03-10T12:00:00+09:00", **paid),
        transaction(2, transaction_time="2026-03-11T12:00:00+09:00", customer_id="c2"),
    ])  # fmt: skip
    rates = "exchange_rates: {USD: {2026-01-01: %s}}"
    pipeline.run(zone.settings, zone.directory, definitions=zone.define(rates % 1000, "exchange_rates"))
    pipeline.run(zone.settings, zone.directory, definitions=zone.define(rates % 1100, "exchange_rates"))
    assert changes(zone) == [("10", "amount_krw", 100_000, 110_000, ["definition"])]
    erase(zone.settings, "c1", "asked for", zone.directory)
    pipeline.run(zone.settings, zone.directory, definitions=zone.directory.parent / "definitions")
    assert changes(zone) == [
        ("10", "amount_krw", 110_000, 0, ["erasure"]), ("10", "transactions", 1, 0, ["erasure"]),
    ]  # fmt: skip


def test_what_was_reported_is_said_again(zone: Zone) -> None:
    for day, number in enumerate((1, 2, 3), start=11):  # the first reports the 9th, the others change it
        zone.put(f"clickstream/{number}.ndjson", [
            view(number, "09T12:00", visitor_id=f"v{number}"), view(10 + number, f"{day}T12:00", visitor_id="A"),
        ])  # fmt: skip
        publish(zone)
        with connect("jm_admin", settings=zone.settings) as warehouse:
            warehouse.execute(
                "update ops.publication set published_at = %s"
                " where publication_id = (select max(publication_id) from ops.publication)",
                (f"2026-03-{day} 23:00+09",),
            )

    def told(*options: str) -> list[tuple[object, ...]]:
        call = ["analyze", "reported", "--to", "2026-03-10", "--json", *options]
        with mock.patch.object(Settings, "load", return_value=zone.settings):
            result = CliRunner().invoke(build_app(), call)
        assert result.exit_code == 0, result.output
        return [
            (row["value_reported"], row["value_now"], row["restatements"], row["causes"])
            for row in json.loads(result.stdout) if row["measure"] == "sessions"
        ]  # fmt: skip

    late = ["late"]
    assert told("--as-of", "2026-03-10") == []  # nothing had been published
    assert told("--as-of", "2026-03-11") == told() == [("1", "3", 2, late)]
    assert told("--as-of", "2026-03-12") == [("2", "3", 1, late)]
    assert told("--as-of", "2026-03-13") == [("3", "3", 0, [])]
    assert told("--from", "2026-03-10") == []  # nothing happened on it
