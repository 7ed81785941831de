"""Where one answer ends and the next begins: hand-made logs in New York, whose numbers are written down beside them.

Nothing lands in order, half of it a run later, and a day of 23 hours (8 March) is among the days.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.conftest import Warehouses
from tests.pipeline.zone import HEAD, Zone, screen

from journeymart import pipeline
from journeymart.analysis import call
from journeymart.db import connect

TEN = datetime(2026, 3, 2, 15, tzinfo=UTC)  # in New York
GOOGLE = {"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "x"}


def of(source: str, **where: Any) -> dict[str, Any]:
    return {"source": source, "where": where}


def funnel(name: str, *steps: dict[str, Any] | str, **extra: Any) -> dict[str, Any]:
    named = [{"name": f"{n}", **(screen(step) if isinstance(step, str) else step)} for n, step in enumerate(steps)]
    return {"id": f"FN-{name}", **HEAD, "window": "1h", "steps": named, **extra}


BUY = of("transaction", transaction_code="BUY")
SOURCES = (
    screen("SOURCE"), of("transaction", transaction_code="SOURCE"), of("consultation", category="x"),
    of("campaign", campaign_id="x"), of("subscription", product_code="x"), of("survey", **{"answers.q": 1}),
)  # fmt: skip
FUNNELS = [
    funnel("DAY", "DA", "DB", window="1d"),
    funnel("HOURS", of("screen", page_code="HO", hour=1, weekday=7, date="2026-03-08"), "HO"),
    funnel("SOURCES", *SOURCES),
    funnel("BACKWARD", SOURCES[5], SOURCES[4]),
    funnel("STRICT", "UA", "UB", order="strict"),
    funnel("STRICT-ANY", of("any", node="UA"), of("any", node="UB"), order="strict"),
    *(funnel(f"BY-{count_by.upper()}", "SA", BUY, count_by=count_by) for count_by in ("person", "visitor", "session")),
    funnel("SHARED", "VA", "VB", window="5d"),
    funnel("TOUCH", "CA", BUY, window=None),
    funnel("AMOUNT-ANY", "CA", "CB", BUY, order="any", window=None, count_by="attempt"),
]
SEGMENTS = [
    {"id": "SG-TWICE", **HEAD, "all_of": [{"did": screen("GA"), "within": "1h", "times": {"gte": 2}}]},
    {"id": "SG-NOT", **HEAD, "all_of": [{"did_not": screen("GB"), "within": "1h"}, {"did": screen("GA")}]},
    {"id": "SG-VIP", **HEAD, "all_of": [{"customer": {"grade": "vip"}}]},
    {"id": "SG-OPEN", **HEAD, "all_of": [{"funnel": {"id": "FN-DAY", "step": 1, "outcome": "still_open"}}]},
]
COHORTS = [
    {"id": "CH-DAY", **HEAD, "period": "day", "ages": 3, "start": screen("RA"), "return": screen("RB")},
    {"id": "CH-WEEK", **HEAD, "period": "week", "ages": 3, "start": screen("KA")},
]
KPIS = [{"id": "KP-RATE", **HEAD, "count": screen("RB"), "per": screen("RA")}]

# minute, device, customer, page, what else is known
SCREENS: list[tuple[float, str, str | None, str, dict[str, Any]]] = [
    (0, "dev", "one moment", "SOURCE", {}), (0, "dev2", "one by one", "SOURCE", {}),
    (0, "du", "u", "UA", {}), (2, "du", "u", "UB", {}),
    *((minute, f"d {who}", who, page, {}) for who in ("during", "after", "late", "branch")
      for minute, page in ((0, "SA"), (10, "SZ"))),
    (0, "shared", None, "VA", {}), (1440, "shared", "v", "VB", {}),
    (0, "dg", "g", "GA", {}), (30, "dg", "g", "GA", {}), (75, "dg", "g", "GA", {}), (120, "dg", "g", "GB", {}),
    # touches: on another device; on the device before the login; of a device that two have; of nobody
    (0, "c1a", "c1", "X", GOOGLE), (1440, "c1b", "c1", "CA", {"channel": "app"}),
    (0, "c2", None, "X", GOOGLE), (1440, "c2", "c2", "CA", {}), (1441, "c2", "c2", "CB", {}),
    (0, "c34", None, "X", GOOGLE), (1440, "c34", "c3", "CA", {}), (2880, "c34", "c4", "CA", {}),
    (0, "c5", None, "X", GOOGLE), (1440, "c5", None, "CA", {}),
    (0, "c6", "c6", "X", GOOGLE), (30 * 1440, "c6", "c6", "CA", {}),
    (-1 / 60, "c7", "c7", "X", GOOGLE), (30 * 1440, "c7", "c7", "CA", {}),
    # the last event is an exit; somebody goes on after one; an exit that names no menu
    *((minute, device, None, "XA", {"action_type": "exit", "exit_menu": menu}) for minute, device, menu in (
        (0, "left", "first"), (1, "left", "last"), (0, "stayed", "first"), (1, "unnamed", None))),
    (1, "stayed", None, "XB", {}), (0, "unnamed", None, "XB", {}),
]  # fmt: skip
# at, device, customer, page
MOMENTS = [
    ("2026-03-07T17:00:00", "d1", "in 24 hours", "DA"), ("2026-03-08T17:00:00", "d1", "in 24 hours", "DB"),
    ("2026-03-07T17:00:00", "d2", "later", "DA"), ("2026-03-08T17:00:00.000001", "d2", "later", "DB"),
    ("2026-03-08T06:59:59", "h", None, "HO"), ("2026-03-08T07:00:00", "h", None, "HO"),
    ("2026-03-08T04:59:59.999999", "r1", None, "RA"), ("2026-03-08T07:00:00", "r1", None, "RB"),
    ("2026-03-08T05:00:00", "r2", None, "RA"), ("2026-03-09T03:59:59", "r2", None, "RB"),
    ("2026-03-09T04:00:00", "r2", None, "RB"),
    ("2025-12-29T05:00:00", "k", None, "KA"), ("2026-01-05T04:59:59", "k", None, "KA"),
    ("2026-01-05T05:00:00", "k", None, "KA"), ("2026-01-19T15:00:00", "k", None, "KA"),
    ("2026-04-02T12:00:00", "last", None, "LAST"),
]  # fmt: skip
# minute, customer, amount, currency, channel
BOUGHT = [
    (5, "during", None, None, "web"), (20, "after", None, None, "web"), (41, "late", None, None, "web"),
    (5, "branch", None, None, "branch"), (1500, "c1", "1.50", "USD", "branch"), (1500, "c1", "7", "KRW", "branch"),
    (1445, "c2", None, None, "web"), (0, "c8", "250", "KRW", "branch"),
]  # fmt: skip


# What happens beside screens, in the order that it has at one moment: its key, its time, what is known of it.
RECORDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "transactions": ("transaction_id", "transaction_time", {"transaction_code": "SOURCE", "channel": "branch"}),
    "consultations": ("consultation_id", "consulted_at", {"category": "x"}),
    "campaign_sends": ("send_id", "sent_at", {"campaign_id": "x"}),
    "subscriptions": ("subscription_id", "subscribed_at", {"product_code": "x"}),
    "survey_responses": ("response_id", "responded_at", {"answers": {"q": 1}}),
}


def at(minute: float) -> str:
    return (TEN + timedelta(minutes=minute)).isoformat()


def clickstream() -> Iterator[dict[str, Any]]:
    for number, (minute, device, customer, page, known) in enumerate(SCREENS):
        yield {"event_id": f"s{number}", "event_time": at(minute), "visitor_id": device, "customer_id": customer,
               "page_code": page, "channel": "web", **known}  # fmt: skip
    for number, (moment, device, customer, page) in enumerate(MOMENTS):
        yield {"event_id": f"m{number}", "event_time": f"{moment}Z", "visitor_id": device, "customer_id": customer,
               "page_code": page, "channel": "web"}  # fmt: skip


def everything_else() -> dict[str, list[dict[str, Any]]]:
    """Each source at one moment, and in turn a minute apart; what was bought, and of whom something is known."""
    found: dict[str, list[dict[str, Any]]] = {
        "transactions": [
            {"transaction_id": f"t{number}", "transaction_time": at(minute), "customer_id": customer,
             "transaction_code": "BUY", "amount": amount, "currency": currency, "channel": channel}
            for number, (minute, customer, amount, currency, channel) in enumerate(BOUGHT)
        ],
        "consultations": [
            {"consultation_id": "ku", "customer_id": "u", "consulted_at": at(1), "category": "other"}
        ],
        "customers": [
            {"customer_id": "c1", "effective_date": "2026-03-03", "grade": "vip"},
            {"customer_id": "c2", "effective_date": "2026-03-03", "grade": "vip"},
            {"customer_id": "c2", "effective_date": "2026-03-05", "grade": "base"},
            {"customer_id": "c2", "effective_date": "2099-01-01", "grade": "vip"},
        ],
    }  # fmt: skip
    for who, apart in (("one moment", 0), ("one by one", 1)):
        for place, (source, (key, time, known)) in enumerate(RECORDS.items(), start=1):
            line = {key: who, "customer_id": who, time: at(apart * place), **known}
            found.setdefault(source, []).append(line)
    return found


@pytest.fixture(scope="module")
def bank(warehouses: Warehouses, tmp_path_factory: pytest.TempPathFactory) -> Zone:
    zone = Zone(tmp_path_factory.mktemp("borders") / "landing", warehouses.create())
    zone.define("sessions: {time_zone: America/New_York, device_days: 30}", "sessions")
    defined = {"funnels": FUNNELS, "segments": SEGMENTS, "cohorts": COHORTS, "kpis": KPIS}
    for kind, items in defined.items():
        definitions = zone.define(json.dumps({kind: items}), kind)
    for source, lines in everything_else().items():
        zone.put(f"{source}/a.ndjson", lines)
    events = [*clickstream()]
    zone.put("clickstream/a.ndjson", events[1::2][::-1])
    pipeline.run(zone.settings, zone.directory, definitions=definitions)
    zone.put("clickstream/b.ndjson", events[::2])
    pipeline.run(zone.settings, zone.directory, definitions=definitions)
    return zone


def rows(bank: Zone, function: str, *columns: str, **arguments: Any) -> list[tuple[Any, ...]]:
    return [tuple(row[column] for column in columns) for row in call(bank.settings, function, arguments).records()]


def entered(bank: Zone, name: str) -> list[int]:
    return [count for (count,) in rows(bank, "funnel", "entered", funnel_id=f"FN-{name}")]


def test_a_day_of_a_window_has_24_hours_and_its_last_moment_counts(bank: Zone) -> None:
    assert entered(bank, "DAY") == [2, 1]
    still_open = bank.query(
        "select customer_id, to_char(valid_to at time zone 'UTC', 'DD HH24:MI:SS.US') from mart.segment_member"
        " where segment_id = 'SG-OPEN' order by 1"
    )
    assert still_open == [("in 24 hours", "08 17:00:00.000000"), ("later", "08 17:00:00.000001")]


@pytest.mark.parametrize("limit", [{"from_date": "2026-03-08"}, {"to_date": "2026-03-06"}, {"channel": "atm"}])
def test_a_funnel_that_nobody_is_in_has_its_steps(bank: Zone, limit: dict[str, str]) -> None:
    assert rows(bank, "funnel", "step_no", "entered", "from_first", "amount_krw", funnel_id="FN-DAY", **limit) == [
        (1, 0, None, 0), (2, 0, None, 0),
    ]  # fmt: skip


def test_what_the_clock_shows_is_of_the_time_zone(bank: Zone) -> None:
    """From 1:59:59 to 3:00 it is a second."""
    assert entered(bank, "HOURS") == [1, 1]
    days = rows(bank, "kpi", "kpi_date", "value", "base", "rate", kpi="KP-RATE")
    assert [(f"{day:%d}", *counts) for day, *counts in days] == [
        ("07", 0, 1, 0),
        ("08", 2, 1, 2),
        ("09", 1, None, None),
    ]


def test_at_one_moment_sources_have_an_order(bank: Zone) -> None:
    assert entered(bank, "SOURCES") == [2] * 6
    assert entered(bank, "BACKWARD") == [2, 0]


def test_a_strict_attempt_is_ended_by_what_its_steps_could_be(bank: Zone) -> None:
    """A consultation between two screens ends it where steps are of any source."""
    assert [entered(bank, "STRICT"), entered(bank, "STRICT-ANY")] == [[1, 1], [1, 0]]


@pytest.mark.parametrize(("count_by", "converted"), [("person", 3), ("visitor", 2), ("session", 2)])
def test_a_transaction_is_of_the_session_up_to_half_an_hour_after_it(bank: Zone, count_by: str, converted: int) -> None:
    """Of a person, what was bought at a branch too."""
    assert entered(bank, f"BY-{count_by.upper()}") == [4, converted + (count_by == "person")]


def test_returns_are_of_dates_not_of_hours(bank: Zone) -> None:
    cells = rows(bank, "retention_cells", "cohort_start", "age", "size", "returned", cohort="CH-DAY")
    assert [(f"{start:%d}", *cell) for start, *cell in cells if cell[0] < 2] == [
        ("07", 0, 1, 0), ("07", 1, 1, 1), ("08", 0, 1, 1), ("08", 1, 1, 1),
    ]  # fmt: skip


def test_a_week_goes_on_in_the_next_year(bank: Zone) -> None:
    cells = rows(bank, "lifecycle_cells", "period_start", "status", "persons", cohort="CH-WEEK", to_date="2026-01-31")
    assert [(f"{start:%m-%d}", status) for start, status, persons in cells if persons] == [
        ("12-29", "new"), ("01-05", "returning"), ("01-12", "dormant"), ("01-19", "resurrecting"), ("01-26", "dormant"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("segment", "minutes"),
    [("SG-TWICE", [(30, 60), (75, 90)]), ("SG-NOT", [(0, 120), (180, None)])],
)
def test_somebody_belongs_until_the_match_is_as_long_ago(
    bank: Zone, segment: str, minutes: list[tuple[int, int | None]]
) -> None:
    found = bank.query(
        "select (extract(epoch from valid_from) / 60)::integer, (extract(epoch from valid_to) / 60)::integer,"
        " segment_id from mart.segment_member where customer_id = 'g' order by 1"
    )
    zero = int(TEN.timestamp() // 60)
    assert [(begin - zero, end and end - zero) for begin, end, name in found if name == segment] == minutes


def test_what_is_known_of_a_customer_begins_at_midnight(bank: Zone) -> None:
    found = bank.query(
        "select customer_id, valid_from at time zone 'UTC', valid_to at time zone 'UTC' from mart.segment_member"
        " where segment_id = 'SG-VIP' order by 1"
    )
    assert [(who, f"{begin:%d %H}", end and f"{end:%d %H}") for who, begin, end in found] == [
        ("c1", "03 05", None), ("c2", "03 05", "05 05"),
    ]  # fmt: skip


def test_what_is_known_of_a_customer_ahead_is_not_so_yet(bank: Zone) -> None:
    with connect("jm_cs", settings=bank.settings) as reader:
        found = reader.execute("select grade from mart.customer_profile('kim', 'c2', 'x')").fetchall()
    assert found == [("base",)]


@pytest.mark.parametrize(
    ("touch", "paid", "direct"), [("first", ["c1", "c2", "c5", "c6", "c7"], 2), ("last", ["c1", "c2", "c5", "c6"], 3)]
)
def test_touches_are_of_all_devices_of_a_customer_and_of_30_days(
    bank: Zone, touch: str, paid: list[str], direct: int
) -> None:
    """Not of a device that c3 and c4 have; 30 days to the second."""
    found = dict(rows(bank, "channel_report", "inflow_channel", "entered", funnel="FN-TOUCH", touch=touch))
    assert found == {"paid": len(paid), "direct": direct}


def test_amounts_are_of_the_transactions_that_took_the_step(bank: Zone) -> None:
    """1.50 dollars, at 1,400 won; not what was bought besides."""
    amounts = [(7, 0), (2, 2100)]
    assert rows(bank, "funnel", "entered", "amount_krw", funnel_id="FN-TOUCH") == amounts
    app = rows(bank, "funnel", "entered", "amount_krw", funnel_id="FN-TOUCH", channel="app")
    assert app == [(1, 0), (1, 2100)]
    assert [amount for (amount,) in rows(bank, "funnel", "amount_krw", funnel_id="FN-AMOUNT-ANY")] == [250, 2100, 0]


def test_a_second_customer_of_the_device_takes_back_what_was_the_first_ones(bank: Zone) -> None:
    """The last test: it lands more."""
    assert rows(bank, "funnel_people", "subject_id", "status", funnel_id="FN-SHARED", step=1) == [("v", "converted")]
    bank.put("clickstream/late.ndjson", [
        {"event_id": "late", "event_time": at(4320), "visitor_id": "shared", "customer_id": "w", "page_code": "VC",
         "channel": "web"}
    ])  # fmt: skip
    pipeline.run(bank.settings, bank.directory, definitions=bank.directory.parent / "definitions")
    people = rows(bank, "funnel_people", "subject_id", "customer_id", "status", funnel_id="FN-SHARED", step=1)
    assert people == [("shared", None, "dropped")]


def test_a_session_has_the_menu_of_the_exit_that_ended_it(bank: Zone) -> None:
    menus = (
        "select visitor_id, exit_menu from mart.session where visitor_id in ('left', 'stayed', 'unnamed') order by 1"
    )
    assert bank.query(menus) == [("left", "last"), ("stayed", None), ("unnamed", None)]
