"""Banks at the edge: with nothing or next to nothing, with a very long session, with a day that has no midnight."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment
from psycopg import sql
from tests.conftest import Warehouses
from tests.pipeline.comparison import differences, mart_tables
from tests.pipeline.zone import HEAD, Zone, screen
from typer.testing import CliRunner

from journeymart import pipeline
from journeymart.analysis import AnalysisError, call
from journeymart.cli import build_app
from journeymart.db import connect
from journeymart.definitions.loader import SHIPPED
from journeymart.settings import Settings
from journeymart.superset.specs import read_assets

# ── next to nothing ──

ANALYSES = [line.strip() for line in f"""
    paths main
    paths around --node A
    paths around --node E1 --kind error --occurrence all
    paths around --node TRANSFER --kind transaction
    paths between --start A --end TRANSFER
    paths steps --nodes A,TRANSFER
    paths next --node A
    paths to-error --error E1
    paths after-error --least 1
    paths compare --with SG-STABLE
    paths people --step 1 --to-node 기타 --top 2
    paths people --node A --step 0
    paths segment --id SG-X --through A,TRANSFER
    retention --id CH-LOGIN-WEEK
    retention --id CH-LOGIN-WEEK --people 2026-03-02 --age 1 --away
    retention --definition {SHIPPED}/cohorts.yml --id CH-LOGIN-WEEK --mode unbounded --period month
    lifecycle --id CH-LOGIN-WEEK
    segment --id SG-LARGE-TRANSFER
    segment --definition {SHIPPED}/segments.yml --id SG-LARGE-TRANSFER --members
    overlap
    kpi --id KP-TRANSFER-DONE
    channels --id FN-ACCOUNT-OPEN
    sessions
    journey --customer c1
    funnel --id FN-ACCOUNT-OPEN
    funnel --id FN-ACCOUNT-OPEN --by segment
    funnel --id FN-ACCOUNT-OPEN --as ga4
    funnel --definition {SHIPPED}/funnels.yml --id FN-REMITTANCE --by channel
    funnel-compare --id FN-ACCOUNT-OPEN --with SG-STABLE
    funnel-people --id FN-ACCOUNT-OPEN --step 1
    funnel-times --id FN-ACCOUNT-OPEN
    rule --id DR-FX-INTENT --summary
    rule --definition {SHIPPED}/rules.yml --id DR-FX-STUCK
""".strip().splitlines()]  # fmt: skip
FILTERS = (
    "",
    "--from 2026-03-01 --to 2026-03-31 --segment SG-STABLE --channel web --domain bank --device-type desktop",
    "--from 9999-12-31",
    "--to 0001-01-01",
)
SHOWN = [
    {},
    {"channel": ["web"], "domain": ["bank"], "device_type": ["desktop"], "segment": ["안정형 고객"], "figure": ["x"]},
]
ARRIVALS: list[dict[str, list[dict[str, Any]]]] = [
    {},
    {"transactions/a.ndjson": [{
        "transaction_id": "t1", "transaction_time": "2026-03-02T10:00:00+09:00", "customer_id": "c1",
        "transaction_code": "TRANSFER", "channel": "branch",
    }]},
    {"clickstream/a.ndjson": [{
        "event_id": "e1", "event_time": "2026-03-02T10:00:00+09:00", "visitor_id": "v1", "page_code": "A",
    }]},
]  # fmt: skip


READERS = {"customer": "jm_cs", "access": "jm_auditor"}  # of datasets that begin so


def queries_of_dashboards(chosen: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Every dataset with its query as Superset asks it in Korean, with these filters."""
    assets = read_assets()
    environment = Environment(autoescape=False)  # noqa: S701 - SQL
    environment.filters["where_in"] = lambda values: (
        sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, values))).as_string(None)
    )
    period = {"from_expr": "date '2026-03-01'", "to_expr": "date '2026-04-01'"} if chosen else {}
    for name, dataset in assets.datasets.items():
        if dataset.query is None or dataset.menu:
            continue
        values: dict[str, Any] = {word: text.ko for word, text in dataset.words.items()}
        values |= dict.fromkeys(dataset.links, "x") | {f"{word}_roles": ["x"] for word in dataset.links}
        values |= {word: [["a", "b"]] for word in dataset.names}
        values |= dict.fromkeys((dataset.proof, "figures"), "W10=") if dataset.proof else {}
        yield name, environment.from_string(assets.queries[dataset.query]).render(
            filter_values=lambda column, **_: chosen.get(column, []),
            get_time_filter=lambda _column, **_: SimpleNamespace(**period),
            current_username=lambda: "kim", current_user_roles=lambda: ["x"], **values,
        )  # fmt: skip


def test_a_bank_with_next_to_nothing_is_answered(
    warehouses: Warehouses, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing, then one transaction at a branch, then one event: every analysis under every filter, and everything on
    dashboards. Only a page or an error that nobody has met is refused. Periods beyond all time are for the last."""
    zone = Zone(tmp_path / "landing", warehouses.create())
    zone.directory.mkdir()
    monkeypatch.setattr(Settings, "load", lambda *_: zone.settings)
    app = build_app()
    for arrival in ARRIVALS:
        for path, lines in arrival.items():
            zone.put(path, lines)
        pipeline.run(zone.settings, zone.directory)
        for line in ANALYSES:
            for filters in FILTERS if arrival is ARRIVALS[-1] else FILTERS[:2]:
                asked = CliRunner().invoke(
                    app, ["analyze", *shlex.split(f"{line} {filters}"), "--json"], standalone_mode=False
                )
                if isinstance(asked.exception, AnalysisError):
                    assert re.search("has the code|is called", str(asked.exception)), (arrival, line, filters)
                    continue
                assert asked.exception is None, (arrival, line, filters)
                assert isinstance(json.loads(asked.stdout), list)
        with ExitStack() as stack:
            readers = {
                role: stack.enter_context(connect(role, settings=zone.settings))
                for role in ("jm_report", *READERS.values())
            }
            for reader in readers.values():
                reader.execute("select set_config('journeymart.departments', '*', false)")
            for chosen in SHOWN:
                for name, query in queries_of_dashboards(chosen):
                    readers[READERS.get(name.partition("_")[0], "jm_report")].execute(query.encode()).fetchall()
    warehouses.drop(zone.settings)


# ── a day without midnight, and a session of 10,000 events ──

# In São Paulo the fourth of November 2018 began at one o'clock.
EVENTS = [
    ("2018-11-03T23:59:59.999999-03:00", "A"),
    ("2018-11-04T01:00:00-02:00", "B"),
    ("2018-11-04T01:00:00.000001-02:00", "A"),
    ("2019-01-31T12:00:00-02:00", "A"),
    ("2019-02-28T12:00:00-03:00", "B"),
]
LONG = 10_000
START = datetime(2019, 3, 1, 8, tzinfo=timezone(timedelta(hours=-3)))


@pytest.fixture(scope="module")
def bank(warehouses: Warehouses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zone]:
    zone = Zone(tmp_path_factory.mktemp("edges") / "landing", warehouses.create())
    zone.put("clickstream/a.ndjson", [
        {"event_id": f"e{number}", "event_time": at, "visitor_id": "v", "customer_id": "c", "page_code": page}
        for number, (at, page) in enumerate(EVENTS)
    ])  # fmt: skip
    zone.put("clickstream/long.ndjson", [
        {"event_id": f"l{number}", "event_time": (START + timedelta(milliseconds=700 * number)).isoformat(),
         "visitor_id": "long", "page_code": "XYY"[number % 3]}
        for number in range(LONG) if number != LONG // 2
    ])  # fmt: skip
    zone.put("customers/a.ndjson", [
        {"customer_id": "c", "effective_date": day, "grade": grade}
        for day, grade in (("2018-11-01", "old"), ("2018-11-04", "new"))
    ])  # fmt: skip
    late = {"hour": 23, "weekday": 6, "customer.grade": "old"}
    first = {"hour": 1, "weekday": 7, "date": "2018-11-04", "customer.grade": "new"}
    defined = {
        "funnels": [
            {"id": "FN-NIGHT", **HEAD, "window": "1s", "steps": [
                {"name": "before", "source": "screen", "where": late},
                {"name": "after", "source": "screen", "where": first},
            ]},
            {"id": "FN-LONG", **HEAD, "window": None, "entry": "best", "steps": [
                {"name": page, **screen(page)} for page in "XYXY"
            ]},
            {"id": "FN-ATTEMPTS", **HEAD, "window": "10s", "count_by": "attempt", "steps": [
                {"name": page, **screen(page)} for page in "XY"
            ]},
        ],
        "cohorts": [
            {"id": f"CH-{period.upper()}", **HEAD, "period": period, "ages": 2, "start": screen("A"),
             "return": screen("B")} for period in ("day", "month")
        ],
        "segments": [{"id": "SG-NEW", **HEAD, "all_of": [{"customer": {"grade": "new"}}]}],
        "kpis": [{"id": "KP-A", **HEAD, "count": screen("A")}],
        "rules": [{"id": "DR-LONG", **HEAD, "within": "10s", "steps": [
            {"name": "x", **screen("X")}, {"name": "y", **screen("Y"), "times": {"gte": 3}},
        ]}],
        "audiences": [],
    }  # fmt: skip
    for kind, items in defined.items():
        zone.define(json.dumps({kind: items}), kind)
    definitions = zone.define(
        "sessions: {timeout: 30m, cut_at_midnight: true, time_zone: America/Sao_Paulo}", "sessions"
    )
    pipeline.run(zone.settings, zone.directory, definitions=definitions)
    yield zone
    warehouses.drop(zone.settings)


def test_a_day_begins_when_its_clock_does(bank: Zone) -> None:
    """Sessions, key numbers, cohorts, and what is known of customers as of the very first moment."""
    sessions = "select session_date::text, events from mart.session where visitor_id = 'v' order by started_at"
    assert bank.query(sessions) == [("2018-11-03", 1), ("2018-11-04", 2), ("2019-01-31", 1), ("2019-02-28", 1)]
    kpi = bank.query("select kpi_date::text, value from mart.kpi_daily order by 1")
    assert kpi == [("2018-11-03", 1), ("2018-11-04", 1), ("2019-01-31", 1)]
    night = call(bank.settings, "funnel", {"funnel_id": "FN-NIGHT"}).records()
    assert [row["entered"] for row in night] == [1, 1]
    since = "select valid_from = '2018-11-04T01:00:00-02:00', valid_to from mart.segment_member"
    assert bank.query(since) == [(True, None)]
    returned = "select cohort_start::text, age, returned from mart.retention where cohort_id = '{}' and returned > 0"
    assert bank.query(returned.format("CH-DAY")) == [("2018-11-03", 1, 1)]


def test_a_month_follows_a_month_whatever_its_length(bank: Zone) -> None:
    """Who starts on the last of January and returns on the last of February returns after one month."""
    cells = call(bank.settings, "retention_cells", {"cohort": "CH-MONTH"}).records()
    assert [(str(row["cohort_start"]), row["age"], row["returned"]) for row in cells if row["returned"]] == [
        ("2018-11-01", 0, 1), ("2019-01-01", 1, 1),
    ]  # fmt: skip


def test_a_session_of_ten_thousand_events_is_one_session(bank: Zone) -> None:
    """One event of it comes late; what that makes of the mart is what computing it anew does."""
    at = START + timedelta(milliseconds=700 * (LONG // 2))
    middle = {"event_id": "middle", "event_time": at.isoformat(), "visitor_id": "long", "page_code": "X"}
    bank.put("clickstream/late.ndjson", [middle])
    definitions = bank.directory.parent / "definitions"
    assert pipeline.run(bank.settings, bank.directory, definitions=definitions).build.scope == "changes"
    assert bank.query("select events from mart.session where visitor_id = 'long'") == [(LONG,)]
    stored = mart_tables(bank.settings)
    pipeline.run(bank.settings, bank.directory, definitions=definitions, full=True)
    assert differences(mart_tables(bank.settings), stored) == {}
    around = call(bank.settings, "paths_around", {"node": "X", "before": 100, "after": 100, "occurrence": "all"})
    visits = bank.value("select count(*) from mart.session_event as e inner join raw.node as n using (node_id)"
                        " where n.node = 'X' and e.is_move")  # fmt: skip
    assert sum(row["sessions"] for row in around.records() if row["step"] == 0) == visits > LONG // 4
