"""Analyses of a bank so small that every answer can be read off it."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment
from psycopg import sql
from tests.conftest import Warehouses
from tests.pipeline.zone import HEAD, Zone, screen
from typer.testing import CliRunner

from journeymart import pipeline
from journeymart.analysis import AnalysisError, Scope, adhoc, call
from journeymart.cli import build_app
from journeymart.db import connect
from journeymart.definitions.segments import Segment
from journeymart.settings import Settings
from journeymart.superset.specs import read_assets

# as Superset says it of those who see every funnel
ALL_DEPARTMENTS = "select set_config('journeymart.departments', '*', false)"


FUNNELS = [
    {"id": f"FN-{name}{count_by.upper()}", **HEAD, "window": "1h", "count_by": count_by,
     "steps": [{"name": page, **screen(page)} for page in pages]}
    for name, pages in (("", "AB"), ("STOP-", "AX"))
    for count_by in ("person", "visitor", "session")
] + [
    {"id": "FN-GOAL", **HEAD, "window": "7d", "count_by": "person", "steps": [
        {"name": "E", **screen("E")}, {"name": "E2", **screen("E2"), "optional": True}, {"name": "F", **screen("F")},
    ]},
    {"id": "FN-FROM-BRANCH", **HEAD, "window": None, "steps": [
        {"name": "branch", "source": "transaction", "where": {"channel": "branch"}}, {"name": "G", **screen("G")},
    ]},
] + [
    {"id": f"FN-TIES-{count_by.upper()}", **HEAD, "window": "1h", "count_by": count_by,
     "steps": [{"name": page, **screen(page)} for page in "PQ"]}
    for count_by in ("person", "session", "attempt")
] + [
    {"id": f"FN-ENDED-{name}", **HEAD, "window": window, "count_by": "person", "exclusion_mode": "end_person",
     "steps": [{"name": page, **screen(page)} for page in "IK"], "exclusions": [screen("J")]}
    for name, window in (("MONTH", "30d"), ("EVER", None))
] + [
    {"id": f"FN-ANY-{name}", **HEAD, "window": "1h", "order": "any",
     "steps": [{"name": {"EN": page, "KO": f"{page} 화면"}[name], **screen(page)} for page in "AB"]}
    for name in ("EN", "KO")
] + [
    {"id": "FN-OPTIONAL", **HEAD, "window": "1h", "step_windows": [None, None, "10m"],
     "steps": [{"name": page, **screen(page), "optional": page == "O2"} for page in ("O1", "O2", "O3")]},
]  # fmt: skip
AUDIENCES = [
    {"id": f"AU-{count_by.upper()}", **HEAD, "purpose": "marketing",
     "from": {"funnel": f"FN-{count_by.upper()}", "step": 2, "outcome": "entered"}}
    for count_by in ("person", "visitor", "session")
]  # fmt: skip
RULES = [
    {"id": "DR-AB", **HEAD, "within": "1h", "steps": [{"name": page, **screen(page)} for page in "AB"], "score": 50},
    {"id": "DR-B", **HEAD, "steps": [{"name": "B", **screen("B")}], "score": 40},
]
SEGMENTS = [
    {"id": "SG-A", **HEAD, "all_of": [{"did": screen("A")}]},
    {"id": "SG-NOT-A", **HEAD, "all_of": [{"did_not": screen("A")}]},
]
KPIS = [{"id": "KP-CONSULTATIONS", **HEAD, "count": {"source": "consultation"}}]
# time, device, customer, page
EVENTS = [
    ("10:00", "own", "c1", "A"),
    ("10:01", "own", None, "B"),
    ("10:00", "unknown", None, "A"),
    ("10:05", "unknown", None, "B"),
    ("10:00", "kiosk", "c2", "X"),
    ("10:01", "kiosk", "c3", "Y"),
    ("10:02", "kiosk", None, "Z"),
    ("10:00", "late", "c4", "V"),
]
# What a customer did before and until a goal, by day of March: each a session. Day, time, page, inflow.
GOAL = [
    ("05", "10:00", "G", {"utm_source": "n", "utm_medium": "cpc"}),
    ("06", "10:00", "G", {}),
    ("07", "10:00", "G", {}),
    ("08", "10:00", "G", {"utm_source": "n", "utm_medium": "email"}),
    ("09", "10:00", "G", {}),
    ("09", "10:01", "E", {}),
    ("10", "10:00", "G", {}),
    ("10", "10:02", "F", {}),
    ("11", "10:00", "G", {"utm_source": "n", "utm_medium": "cpc"}),
]
# What happened at the same moment, in the order of landing: by device.
TIES = {
    "converts": ("10:00 P", "10:00 Q"),  # and would not, had Q come first
    "does not": ("10:00 Q", "10:00 P"),  # and would
    "twice P": ("10:00 P", "10:00 P", "10:05 Q"),
    "twice Q": ("10:00 P", "10:05 Q", "10:05 Q"),
    "no tie": ("10:00 P", "10:01 Q"),
}
# Ways of sessions on the first of February; ! where an error is met.
WAYS = ("HL!", "HL", "HL!", "SL!", "H")
# With an error three of four visits of M are the last of their session, without it one of four.
LEAVES = ("M!", "M!", "M!", "M!N", "MN", "MN", "MN", "M")
# Who is at J before K, and who has not come further than I yet: by device.
ENDED = {"ended": "IJK", "open": "I"}
# Minutes of pages by device: O3 must follow O1 within ten minutes, so that what comes later is no part of the attempt.
OPTIONAL = {"in time": {"O1": 0, "O2": 10}, "late": {"O1": 0, "O2": 11}, "converts": {"O1": 0, "O2": 3, "O3": 10}}
# The words that reports of paths use themselves, as codes: one session on a day of its own.
WORDS = ("이탈", "기타", "유입", "이탈*")


@pytest.fixture(scope="module")
def bank(warehouses: Warehouses, tmp_path_factory: pytest.TempPathFactory) -> Zone:
    zone = Zone(tmp_path_factory.mktemp("bank") / "landing", warehouses.create())
    zone.put("clickstream/a.ndjson", [
        {"event_id": f"e{number}", "event_time": f"2026-03-02T{at}:00+09:00", "visitor_id": device,
         "customer_id": customer, "page_code": page, "channel": "web" if customer else "app", "domain": "bank"}
        for number, (at, device, customer, page) in enumerate(EVENTS)
    ])  # fmt: skip
    zone.put("clickstream/ties.ndjson", [
        {"event_id": f"{device}{place}", "event_time": f"2026-03-01T{what[:5]}:00+09:00", "visitor_id": device,
         "page_code": what[6:]}
        for device, journey in TIES.items() for place, what in enumerate(journey)
    ])  # fmt: skip
    zone.put("clickstream/ended.ndjson", [
        {"event_id": f"{device}{place}", "event_time": f"2026-03-01T11:0{place}:00+09:00", "visitor_id": device,
         "page_code": page}
        for device, journey in ENDED.items() for place, page in enumerate(journey)
    ])  # fmt: skip
    zone.put("clickstream/optional.ndjson", [
        {"event_id": f"{device}{page}", "event_time": f"2026-02-25T11:{minute:02}:00+09:00",
         "visitor_id": f"o {device}", "page_code": page}
        for device, journey in OPTIONAL.items() for page, minute in journey.items()
    ])  # fmt: skip
    zone.put("clickstream/words.ndjson", [
        {"event_id": f"w{number}", "event_time": f"2026-03-03T10:0{number}:00+09:00", "visitor_id": "words",
         "page_code": page, "page_name": "Exit" if number == 2 else None, "channel": "web", "domain": "bank"}
        for number, page in enumerate(WORDS)
    ])  # fmt: skip
    zone.put("clickstream/errors.ndjson", [
        {"event_id": f"m{day}-{number}-{at}", "event_time": f"2026-02-0{day}T10:00:0{at}+09:00",
         "visitor_id": f"way{day}-{number}", "page_code": page, "error_code": "BAD" if error else None,
         "channel": "web", "domain": "bank"}
        for day, ways in enumerate((WAYS, LEAVES), 1) for number, way in enumerate(ways)
        for at, (page, error) in enumerate(re.findall("([A-Z])(!?)", way))
    ])  # fmt: skip
    zone.put("clickstream/goal.ndjson", [
        {"event_id": f"g{number}", "event_time": f"2026-03-{day}T{at}:00+09:00", "visitor_id": "goal",
         "customer_id": "c5", "page_code": page, "channel": "web", "domain": "bank", **inflow}
        for number, (day, at, page, inflow) in enumerate(GOAL)
    ])  # fmt: skip
    zone.put("clickstream/same.ndjson", [
        {"event_id": f"s{number}", "event_time": f"2026-03-04T10:00:0{number}+09:00", "visitor_id": f"same{number}",
         field: value, "channel": "web", "domain": "bank"}
        for number, (field, value) in enumerate({"page_code": "/home", "page_url": "https://bank/home"}.items())
    ])  # fmt: skip
    zone.put("clickstream/none.ndjson", [
        {"event_id": f"n{number}", "event_time": "2026-02-20T11:00:00+09:00", "visitor_id": f"none{number}",
         "customer_id": customer, "page_code": page, "channel": "web", "domain": "bank"}
        for number, (customer, page) in enumerate({"c6": None, "c7": "(none)"}.items())
    ])  # fmt: skip
    zone.put("transactions/a.ndjson", [
        {"transaction_id": "t1", "transaction_time": "2026-03-02T10:10:00+09:00", "visitor_id": "late",
         "customer_id": "c4", "transaction_code": "T", "channel": "web"},
        {"transaction_id": "t2", "transaction_time": "2026-03-04T10:00:00+09:00", "customer_id": "c5",
         "transaction_code": "DEPOSIT", "channel": "branch"},
    ])  # fmt: skip
    zone.put("customers/a.ndjson", [{"customer_id": "c4", "effective_date": "2026-03-03", "grade": "vip"}])
    zone.put("consultations/a.ndjson", [
        {"consultation_id": "k1", "customer_id": "c8", "consulted_at": "2026-03-02T10:00:00+09:00"}
    ])  # fmt: skip
    defined = {"funnels": FUNNELS, "segments": SEGMENTS, "audiences": AUDIENCES, "rules": RULES, "kpis": KPIS}
    for kind, items in defined.items():
        definitions = zone.define(json.dumps({kind: items}), kind)
    pipeline.run(zone.settings, zone.directory, definitions=definitions)
    return zone


def rows(bank: Zone, function: str, *columns: str, **arguments: Any) -> list[tuple[Any, ...]]:
    found = call(bank.settings, function, arguments)
    return [tuple(row[column] for column in columns) for row in found.records()]


@pytest.mark.parametrize("count_by", ["person", "visitor", "session"])
def test_a_segment_is_of_those_whose_sessions_count(bank: Zone, count_by: str) -> None:
    """Of c1 alone, where somebody unknown took the same steps, whatever the funnel counts."""
    funnel = {"funnel_id": f"FN-{count_by.upper()}"}
    once = [(1, 1), (2, 1)]
    assert rows(bank, "funnel", "step_no", "entered", **funnel) == [(1, 2), (2, 2)]
    assert rows(bank, "funnel", "step_no", "entered", segment="SG-A", **funnel) == once
    for named in (["SG-A"], ["SG-A", "SG-A"]):
        by_segment = rows(bank, "funnel", "step_no", "entered", breakdown_by="segment", segments=named, **funnel)
        assert by_segment == once
    compared = rows(bank, "funnel_compare", "entered_a", "entered_b", segment_a="SG-A", segment_b=None, **funnel)
    assert compared == [(1, 2), (1, 2)]
    assert len(rows(bank, "funnel_people", step=2, segment="SG-A", **funnel)) == 1


@pytest.mark.parametrize("count_by", ["person", "visitor", "session"])
def test_a_dashboard_finds_the_same_people_of_a_segment(bank: Zone, count_by: str) -> None:
    """The times of those who convert, and the table of those who stop."""
    assert len(asked_of_superset(bank, "funnel_time", f"FN-{count_by.upper()}")) == 2
    assert len(asked_of_superset(bank, "funnel_time", f"FN-{count_by.upper()}", segment=["Test"])) == 1
    assert len(asked_of_superset(bank, "funnel_stop", f"FN-STOP-{count_by.upper()}", segment=["Test"])) == 1


def asked_of_superset(bank: Zone, dataset: str, funnel_id: str, **chosen: list[str]) -> list[tuple[Any, ...]]:
    """The rows of a dataset as Superset asks for them in English, of one funnel and with these filters."""
    environment = Environment(autoescape=False)  # noqa: S701 - SQL
    environment.filters["where_in"] = lambda values: (
        sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, values))).as_string(None)
    )
    query = environment.from_string(read_assets().queries[f"{dataset}.sql"]).render(
        filter_values=lambda name, **_: chosen.get(name, []), get_time_filter=lambda _name, **_: SimpleNamespace(),
        language="en", exit="Exit", only_funnels=[funnel_id],
    )  # fmt: skip
    with connect("jm_report", settings=bank.settings) as connection:
        connection.execute(ALL_DEPARTMENTS)
        return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize("count_by", ["person", "visitor", "session"])
def test_customers_of_a_step_are_those_whose_sessions_count(bank: Zone, count_by: str) -> None:
    """The customer service is shown c1, whatever the funnel counts, with a segment or without; but of no department's
    funnel that is not theirs."""
    ask = (
        "select customer_id from mart.funnel_customers("
        "'lee', 'test', %s, 2, 'entered', '2026-03-02', '2026-03-02', segments => %s)"
    )
    with connect("jm_cs", settings=bank.settings) as connection:
        assert connection.execute(ask, (f"FN-{count_by.upper()}", None)).fetchall() == []
        connection.execute(ALL_DEPARTMENTS)
        for segments in (None, ["SG-A"]):
            assert connection.execute(ask, (f"FN-{count_by.upper()}", segments)).fetchall() == [("c1",)]


def test_an_audience_is_of_those_whose_sessions_count(bank: Zone) -> None:
    candidates = bank.query("select export_id, customer_id from build.int_audience__candidate order by 1")
    assert candidates == [("AU-PERSON", "c1"), ("AU-SESSION", "c1"), ("AU-VISITOR", "c1")]


@pytest.mark.parametrize(
    ("clause", "before", "since"),
    [
        ({"customer": {"grade": {"ne": "vip"}}}, ["c1", "c4"], ["c1"]),
        ({"customer": {"grade": {"not_in": ["vip"]}}}, ["c1", "c4"], ["c1"]),
        ({"customer": {"grade": {"is_null": True}}}, ["c1", "c4"], ["c1"]),
        ({"none_of": [{"customer": {"grade": {"is_null": False}}}]}, ["c1", "c4"], ["c1"]),
        ({"none_of": [{"customer": {"grade": {"ne": "vip"}}}]}, [], ["c4"]),
    ],
)
def test_what_is_not_known_of_a_customer_is_null(
    bank: Zone, clause: dict[str, Any], before: list[str], since: list[str]
) -> None:
    """Of c1 nothing is ever known, of c4 something from the day after they came."""
    segment = Segment.model_validate({"id": "SG-X", **HEAD, "all_of": [clause]})
    for day, wanted in ((1, []), (2, before), (3, since)):
        members = {row[0] for row in adhoc.segment(bank.settings, segment, Scope(), as_of=date(2026, 3, day)).rows}
        assert sorted(members & {"c1", "c4"}) == wanted, day


def test_who_is_known_by_what_something_else_asks_for_is_known_to_a_draft(bank: Zone) -> None:
    """Of c8 there is a consultation, which only a key number counts."""
    applied = call(bank.settings, "segment_members", {"segment": "SG-NOT-A"}).rows
    assert ("c8",) in applied
    assert adhoc.segment(bank.settings, Segment.model_validate(SEGMENTS[1]), Scope()).rows == applied


@pytest.mark.parametrize(("source", "wanted"), [("transaction", {"c4"}), ("any", {"c4"}), ("screen", set())])
def test_a_node_is_a_transaction_too(bank: Zone, source: str, wanted: set[str]) -> None:
    """Only c4 has one, of the code T."""
    assert customers_who_did(bank, {"source": source, "where": {"node": "T"}}) == wanted


@pytest.mark.parametrize(
    ("where", "wanted"),
    [({"page_code": {"is_null": True}}, {"c6"}), ({"page_code": "(none)"}, {"c7"}), ({"node": "(none)"}, {"c6", "c7"})],
)
def test_what_has_no_page_has_no_page_code(bank: Zone, where: dict[str, Any], wanted: set[str]) -> None:
    """c6 has an event with neither code nor address; of c7 the code itself reads like that."""
    assert customers_who_did(bank, {"source": "screen", "where": where}) == wanted
    codes = "select customer_id, node, page_code from mart.event where customer_id in ('c6', 'c7') order by 1"
    assert bank.query(codes) == [("c6", "(none)", None), ("c7", "(none)", "(none)")]


def customers_who_did(bank: Zone, condition: dict[str, Any]) -> set[str]:
    segment = Segment.model_validate({"id": "SG-X", **HEAD, "all_of": [{"did": condition}]})
    return {row[0] for row in adhoc.segment(bank.settings, segment, Scope()).rows}


def asked(bank: Zone, monkeypatch: pytest.MonkeyPatch, *options: str) -> list[dict[str, Any]]:
    """What the command line says."""
    monkeypatch.setattr(Settings, "load", lambda: bank.settings)
    shown = CliRunner().invoke(build_app(), ["analyze", *options, "--json"], catch_exceptions=False)
    return list(json.loads(shown.stdout))


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [
        (["--channel", "web"], 1),
        (["--domain", "Bank", "--from", "2026-03-02", "--to", "2026-03-02"], 1),
        (["--channel", "app"], 0),
        (["--from", "2026-03-03"], 0),
        (["--channel", "web", "--to", "2026-03-01"], 0),
        (["--channel", ""], 0),
    ],
)
def test_members_of_a_segment_with_such_a_session(
    bank: Zone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: list[str], wanted: int
) -> None:
    """c1, on the web on the second of March; applied, and drawn up on the spot."""
    draft = tmp_path / "draft.yml"
    draft.write_text(json.dumps({"segments": SEGMENTS}))
    for which in (["--id", "SG-A"], ["--id", "SG-A", "--definition", str(draft)]):
        assert [row["members"] for row in asked(bank, monkeypatch, "segment", *which, *limit)] == [wanted]


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [
        ([], ["own", "unknown"]),
        (["--channel", "web"], ["own"]),
        (["--channel", "app", "--domain", "bank"], ["unknown"]),
        (["--device-type", "none"], []),
        (["--segment", "SG-A"], ["own"]),
    ],
)
def test_hits_are_of_the_session_of_their_last_event(
    bank: Zone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: list[str], wanted: list[str]
) -> None:
    """Of c1 on the web, although B itself came from the app, and of somebody unknown in the app."""
    draft = tmp_path / "draft.yml"
    draft.write_text(json.dumps({"rules": RULES[:1]}))
    for which in (["--id", "DR-AB"], ["--definition", str(draft)]):
        hits = asked(bank, monkeypatch, "rule", *which, *limit)
        assert sorted(row["visitor_id"] for row in hits) == wanted
        counted = asked(bank, monkeypatch, "rule", *which, *limit, "--summary")
        assert sum(row["people"] for row in counted) == len(wanted)
        with pytest.raises(AnalysisError, match="there is no segment 'SG-NONE'"):
            asked(bank, monkeypatch, "rule", *which, "--segment", "SG-NONE")


@pytest.mark.parametrize(("channels", "wanted"), [(None, ["c1"]), (["web"], ["c1"]), (["app"], [])])
def test_customers_of_a_rule_are_limited_by_the_same(bank: Zone, channels: list[str] | None, wanted: list[str]) -> None:
    found = call(bank.settings, "behaviour_customers", {
        "viewer": "lee", "purpose": "test", "kind": "rule", "code": "DR-AB", "error_code": None, "from_date": None,
        "to_date": None, "channels": channels,
    }, role="jm_cs")  # fmt: skip
    assert [row["customer_id"] for row in found.records()] == wanted


@pytest.mark.parametrize(
    ("from_date", "wanted"), [("2026-03-02", [("c1", 2, 70, ["DR-AB", "DR-B"])]), ("2026-03-03", [])]
)
def test_who_is_at_risk_is_told_with_score_and_reasons(bank: Zone, from_date: str, wanted: list[Any]) -> None:
    """Doubts of 50 and 40 leave 0.5 × 0.6 of trust."""
    found = call(bank.settings, "behaviour_customers", {
        "viewer": "lee", "purpose": "test", "kind": "risk", "code": None, "error_code": None, "from_date": from_date,
        "to_date": None,
    }, role="jm_admin")  # fmt: skip
    assert [(row["customer_id"], row["times"], row["score"], row["rule_ids"]) for row in found.records()] == wanted


@pytest.mark.parametrize("count_by", ["person", "session"])
def test_times_of_a_funnel_are_limited_as_its_numbers_are(bank: Zone, count_by: str) -> None:
    """c1 takes a minute on the web, somebody unknown five in the app."""

    def times(**limit: str) -> list[tuple[Any, ...]]:
        asked = {"funnel_id": f"FN-{count_by.upper()}", "bins": 1, **limit}
        return rows(bank, "funnel_times", "from_seconds", "people", **asked)

    assert times() == [(60, 2)]
    assert times(segment="SG-A") == [(60, 1)]
    assert times(channel="app") == [(300, 1)]
    assert times(device_type="none") == []


def test_what_several_did_in_one_session_is_in_the_timeline_of_each(bank: Zone) -> None:
    """c2 sees X, c3 then Y in the same session, and nobody knows who saw Z."""
    happened = "select customer_id, title from mart.timeline where customer_id in ('c1', 'c2', 'c3') order by 1, 2"
    assert bank.query(happened) == [("c1", "A"), ("c1", "B"), ("c2", "X"), ("c3", "Y")]
    assert bank.query("select identity_rule from mart.session where visitor_id = 'kiosk'") == [("shared",)]


def test_nobody_stays_less_than_no_time_before_an_exit(bank: Zone) -> None:
    """T is ten minutes after V, the only event of its session; by what is kept, and by the sessions themselves."""
    for limit in ({}, {"domain": "bank"}):
        asked = {"node": "T", "kind": "transaction", **limit}
        assert rows(bank, "paths_next", "to_node", "visits", "median_dwell_seconds", **asked) == [("이탈", 1, 0)]


@pytest.mark.parametrize("count_by", ["person", "session", "attempt"])
def test_what_a_tie_has_decided_is_counted(bank: Zone, count_by: str) -> None:
    """Two of five at the first step, of whom one comes to the second; as kept by day, and as counted anew."""
    funnel = {"funnel_id": f"FN-TIES-{count_by.upper()}"}
    columns = ("step_no", "entered", "tie_decided")
    assert rows(bank, "funnel", *columns, **funnel) == [(1, 5, 2), (2, 4, 1)]
    assert rows(bank, "funnel", *columns, **funnel, channel="web") == [(1, 5, 2), (2, 4, 1)]


@pytest.mark.parametrize(("name", "steps"), [("EN", ["1 step", "2 steps"]), ("KO", ["1개 단계", "2개 단계"])])
def test_steps_in_any_order_are_counted_in_the_language_of_their_names(
    bank: Zone, monkeypatch: pytest.MonkeyPatch, name: str, steps: list[str]
) -> None:
    shown = asked(bank, monkeypatch, "funnel", "--id", f"FN-ANY-{name}")
    assert [row["name"] for row in shown] == steps
    kept = bank.query("select distinct step_name from mart.funnel_step where funnel_id like 'FN-ANY-%' order by 1")
    assert {*steps} < {step for (step,) in kept}


@pytest.mark.parametrize("funnel_id", ["FN-ENDED-MONTH", "FN-ENDED-EVER"])
def test_whom_an_exclusion_ended_has_dropped(bank: Zone, funnel_id: str) -> None:
    found = rows(bank, "funnel", "entered", "converted", "dropped", "still_open", funnel_id=funnel_id)
    assert found == [(2, 0, 1, 1), (0, 0, 0, 0)]


def test_an_optional_step_is_taken_while_the_next_one_can_be(bank: Zone) -> None:
    found = rows(bank, "funnel", "step_no", "entered", "converted", "dropped", funnel_id="FN-OPTIONAL")
    assert found == [(1, 3, 1, 2), (2, 2, 1, 1), (3, 1, 1, 0)]


def test_who_looks_at_a_journey_is_written_down(bank: Zone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JOURNEYMART_USER", "kim")

    def journey(*options: str) -> list[tuple[Any, ...]]:
        found = asked(bank, monkeypatch, "journey", "--customer", "c4", "--purpose", "complaint", *options)
        return [(row["session_no"], row["kind"], row["title"]) for row in found]

    assert journey() == journey("--from", "2026-03-02", "--to", "2026-03-02")
    assert journey() == [(1, "behaviour", "V"), (1, "transaction", "T")]
    assert journey("--from", "2026-03-03") == journey("--to", "2026-03-01") == []
    (tmp_path / "sessions.yml").write_text("sessions: {time_zone: America/Los_Angeles}")  # not published
    assert journey("--from", "2026-03-02", "--definitions", str(tmp_path)) == journey()
    # the filters of all analyses: of sessions, and of who belongs
    assert journey("--channel", "web", "--domain", "bank") == journey()
    assert journey("--channel", "app") == journey("--device-type", "mobile") == journey("--segment", "SG-A") == []
    looked = "select distinct user_name, object, customer_id, purpose, count(*) over () from ops.access_log where {}"
    assert bank.query(looked.format("user_name = 'kim'")) == [("kim", "timeline", "c4", "complaint", 12)]
    [shown] = asked(bank, monkeypatch, "journey", "--customer", "c1", "--segment", "SG-A", "--domain", "bank")[:1]
    assert (shown["session_no"], shown["title"]) == (1, "A")
    assert bank.query(looked.format("customer_id = 'c1' and user_name = 'kim'")) == [
        ("kim", "timeline", "c1", "command line", 1)
    ]
    refused = CliRunner().invoke(build_app(), ["analyze", "journey", "--customer", "c4", "--purpose", " "])
    assert "must say why" in refused.output


@pytest.mark.parametrize("limit", [{}, {"domain": "bank"}], ids=["kept", "by session"])
def test_a_page_called_exit_is_no_exit(bank: Zone, limit: dict[str, str]) -> None:
    """Each step is one session, by what is kept and by the sessions themselves."""
    day = {"from_date": "2026-03-03", "to_date": "2026-03-03", **limit}
    ways = [
        (1, "이탈*", "기타*"),
        (2, "기타*", "유입*"),
        (3, "유입*", "이탈**"),
        (4, "이탈**", "이탈"),
        (5, "이탈", "이탈"),
    ]
    for arguments in ({"depth": 5}, {"depth": 5, "top_k": 1}):
        assert rows(bank, "paths_main", "step_no", "from_node", "to_node", **arguments, **day) == ways
    compared = rows(bank, "paths_compare", "step_no", "from_node", "to_node", segment_a=None, segment_b=None, **day)
    assert compared == ways
    for step, start, end in ways:
        assert len(rows(bank, "paths_people", step=step, from_node=start, to_node=end, **day)) == 1
    around = rows(bank, "paths_around", "step", "from_node", "to_node", node="기타*", before=2, after=1, **day)
    assert around == [(-2, "유입", "이탈*"), (-1, "이탈*", "기타*"), (0, "기타*", "유입*")]
    assert rows(bank, "paths_next", "to_node", "visits", node="이탈**", **day) == [("이탈", 1)]


def test_a_page_called_exit_keeps_its_code(bank: Zone) -> None:
    assert bank.query("select page_code, node from mart.event where visitor_id = 'words' order by event_no") == [
        ("이탈", "이탈*"), ("기타", "기타*"), ("유입", "유입*"), ("이탈*", "이탈**"),
    ]  # fmt: skip
    assert bank.query("select label, name from mart.node where code = '유입'") == [("Exit*", "Exit")]


def test_a_page_and_a_path_with_the_same_code_are_one_way(bank: Zone) -> None:
    """A session begins and ends at the page, another at the URL."""
    day = "from mart.{} where session_date = '2026-03-04'"
    assert bank.query(f"select path, sessions {day.format('path')}") == [("/home", 2)]
    assert bank.query(f"select from_node, to_node, sessions {day.format('path_edge')}") == [("/home", "이탈", 2)]
    assert bank.query("select kind from mart.node where node = '/home' order by 1") == [("page",), ("url",)]


def flow(bank: Zone, customer: str, purpose: str = "complaint") -> list[tuple[Any, ...]]:
    """What noh is shown of the tenth of March."""
    at = "to_char(happened_at at time zone 'Asia/Seoul', 'DD HH24:MI')"
    day = "'2026-03-10 00:00+09', '2026-03-11 00:00+09'"
    return bank.query(
        f"select kind, {at}, step_no, inflow_channel, sessions, pages"  # noqa: S608 - our own
        f" from mart.customer_conversions('noh', '{customer}', '{purpose}', {day})"
    )


def test_the_way_to_a_goal_is_one_flow(bank: Zone) -> None:
    """From the first session ever over the last touch to the goal; what came after it is no part."""
    assert flow(bank, "c5") == [
        ("first_touch", "05 10:00", None, "paid", 1, 1),
        ("between", "06 10:00", None, None, 2, 2),
        ("last_touch", "08 10:00", None, "message", 1, 1),
        ("session", "09 10:00", None, None, 1, 2),
        ("step", "09 10:01", 1, None, None, None),
        ("session", "10 10:00", None, None, 1, 2),
        ("goal", "10 10:02", 3, None, None, None),
    ]
    assert flow(bank, "c1") == flow(bank, "c5", " ") == []
    looked = "select customer_id, object, purpose from ops.access_log where user_name = 'noh' order by customer_id"
    assert bank.query(looked) == [("c1", "conversions", "complaint"), ("c5", "conversions", "complaint")]


def test_touches_are_of_sessions_that_had_begun(bank: Zone) -> None:
    """The first one however long ago; whoever enters at a branch before any session was touched by none."""
    columns = ("inflow_channel", "entered", "converted")
    for funnel_id, first, last in (("FN-GOAL", "paid", "message"), ("FN-FROM-BRANCH", "(none)", "(none)")):
        assert rows(bank, "channel_report", *columns, funnel=funnel_id, touch="first") == [(first, 1, 1)]
        assert rows(bank, "channel_report", *columns, funnel=funnel_id, touch="last") == [(last, 1, 1)]


def test_a_way_to_an_error_is_compared_with_all_sessions(bank: Zone) -> None:
    """Two of the three sessions with the error are two of three that come from H; the other way one session takes."""
    asked = {"error": "BAD", "steps": 1, "from_date": "2026-02-01", "to_date": "2026-02-01"}
    columns = ("path", "sessions", "share", "all_sessions", "share_of_all", "error_rate", "lift")
    come = ("H > L", 2, 2 / 3, 3, 0.6, 2 / 3, pytest.approx(10 / 9))
    rare = (1, 1 / 3, 1, 0.2, 1.0, pytest.approx(5 / 3))
    assert rows(bank, "paths_to_error", *columns, least_sessions=2, **asked) == [come, ("기타", *rare)]
    assert rows(bank, "paths_to_error", *columns, least_sessions=1, **asked) == [("S > L", *rare), come]


@pytest.mark.parametrize("limit", [{}, {"domain": "bank"}], ids=["kept", "by session"])
def test_visits_with_an_error_are_compared_with_the_others_of_the_page(bank: Zone, limit: dict[str, str]) -> None:
    columns = ("node", "error_code", "visits", "exits", "other_visits", "other_exits", "difference", "extra_exits")
    asked = {"from_date": "2026-02-02", "to_date": "2026-02-02", **limit}
    assert rows(bank, "paths_after_error", *columns, least_visits=4, **asked) == [("M", "BAD", 4, 3, 4, 1, 0.5, 2.0)]
    assert rows(bank, "paths_after_error", *columns, **asked) == [("기타", "기타", 4, 3, None, None, None, None)]
