"""Whom sessions belong to: proved by logins, never guessed on a shared device, and undone without a trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.comparison import differences, mart_by_name
from tests.pipeline.zone import Zone, event, transaction

from journeymart import pipeline
from journeymart.db import connect
from journeymart.errors import WrongUsageError
from journeymart.identity import IdentityError, link, unlink
from journeymart.settings import Settings

# own: only A logs in. kiosk: A, later B. late: A, but longer ago than 30 days. both: A and B in one session.
ANONYMOUS = [("own", 10), ("kiosk", 10), ("late", 10), ("both", 10)]
LOGINS = [("own", 12, "A"), ("kiosk", 12, "A"), ("late", 41, "A"), ("both", 12, "A"), ("both", 12, "B")]


def visit(number: int, device: str, day: int, customer: str | None = None) -> dict[str, Any]:
    at = f"2026-0{3 + day // 32}-{day - day // 32 * 31:02}T12:00:{number:02}+09:00"
    return event(number, event_time=at, visitor_id=device, customer_id=customer)


def whose(settings: Settings, day: str = "2026-03-10") -> dict[str, tuple[str | None, str | None]]:
    """Customer and rule of the sessions of a date, by device."""
    with connect("jm_dashboard", settings=settings) as connection:
        rows = connection.execute(
            "select visitor_id, customer_id, identity_rule from mart.session where session_date = %s", (day,)
        ).fetchall()
    return {device: (customer, rule) for device, customer, rule in rows}


def test_sessions_find_their_customer_and_lose_them_again(warehouse: Settings, tmp_path: Path) -> None:
    zone = Zone(tmp_path / "landing", warehouse)
    zone.put("clickstream/1.ndjson", [visit(n, *item) for n, item in enumerate(ANONYMOUS)])
    pipeline.run(warehouse, zone.directory)
    assert set(whose(warehouse).values()) == {(None, None)}

    zone.put("clickstream/2.ndjson", [visit(n, *item) for n, item in enumerate(LOGINS, start=10)])
    pipeline.run(warehouse, zone.directory)
    nobody = (None, None)
    shared = (None, "shared")
    assert whose(warehouse) == {"own": ("A", "device"), "kiosk": ("A", "device"), "late": nobody, "both": shared}
    assert whose(warehouse, "2026-03-12")["own"] == ("A", "login")
    with connect("jm_dashboard", settings=warehouse) as connection:
        evidence = connection.execute(
            "select customer_id, identity_rule, evidence_customer_id, evidence_date::text, line_no from mart.identity"
            " where visitor_id = 'own' and started_at < '2026-03-11'"
        ).fetchall()
    assert evidence == [("A", "device", "A", "2026-03-12", 1)]

    # the guard: as soon as a second customer logs in, nobody's earlier sessions are shown to anybody
    zone.put("clickstream/3.ndjson", [visit(20, "kiosk", 14, "B")])
    version = identity_version(zone)
    unlink(warehouse, "own", "lent to a colleague")
    pipeline.run(warehouse, zone.directory)
    assert identity_version(zone) == version + 1
    assert whose(warehouse)["kiosk"] == shared
    assert whose(warehouse)["own"] == (None, "unlinked")
    earlier = mart_by_name(warehouse)

    link(warehouse, "own")
    unlink(warehouse, "kiosk", "it stands in a branch")
    assert pipeline.run(warehouse, zone.directory).build.scope == "changes"
    assert whose(warehouse)["own"] == ("A", "device")
    assert whose(warehouse)["kiosk"] == (None, "unlinked")
    changed = mart_by_name(warehouse)
    pipeline.run(warehouse, zone.directory, full=True)
    assert differences(mart_by_name(warehouse), changed) == {}, "as if it had always been so"
    assert identity_version(zone) == version + 2, "two decisions in one run, and nothing new in a full one"

    unlink(warehouse, "own", "lent again")
    link(warehouse, "kiosk")
    pipeline.run(warehouse, zone.directory)
    assert set(differences(mart_by_name(warehouse), earlier)) == {"unlinked_device"}, "all but the decision itself"


def test_a_login_is_proved_by_a_line_of_its_own_session(warehouse: Settings, tmp_path: Path) -> None:
    """Not by another one of the day; a session of several not by who came before, one without a login by all."""
    zone = Zone(tmp_path / "landing", warehouse)
    lines = [
        ("own", "10:00", "A"), ("own", "15:00", "A"),
        ("kiosk", "10:00", "C"), ("kiosk", "15:00", "A"), ("kiosk", "15:01", "B"), ("kiosk", "20:00", None),
    ]  # fmt: skip
    zone.put("clickstream/1.ndjson", [
        event(n, event_time=f"2026-03-10T{at}:00+09:00", visitor_id=device, customer_id=who)
        for n, (device, at, who) in enumerate(lines)
    ])  # fmt: skip
    pipeline.run(warehouse, zone.directory)
    proofs = zone.query(
        "select visitor_id, to_char(started_at at time zone 'Asia/Seoul', 'HH24:MI'), identity_rule,"
        " string_agg(evidence_customer_id || line_no, ' ' order by line_no)"
        " from mart.identity group by 1, 2, 3 order by 1, 2"
    )
    assert proofs == [
        ("kiosk", "10:00", "login", "C3"), ("kiosk", "15:00", "shared", "A4 B5"),
        ("kiosk", "20:00", "shared", "C3 A4 B5"),
        ("own", "10:00", "login", "A1"), ("own", "15:00", "login", "A2"),
    ]  # fmt: skip


def identity_version(zone: Zone) -> int:
    """That of the publication, which every session shows."""
    [(version, shown)] = zone.query(
        "select p.identity_version, array(select distinct s.identity_version from mart.session as s)"
        " from mart.publication_latest as p"
    )
    assert shown == [version]
    return version


def test_transactions_find_the_session_that_becomes_their_customers(warehouse: Settings, tmp_path: Path) -> None:
    """At its other end, hours away from what a run changes."""
    zone = Zone(tmp_path / "landing", warehouse)
    times = ("10:00", "10:25", "10:50", "11:15", "11:40")

    def view(device: str, time: str, customer: str | None = None) -> dict[str, Any]:
        at = f"2026-03-10T{time}:00+09:00"
        return event(1, event_id=f"{device} {time}", event_time=at, visitor_id=device, customer_id=customer)

    zone.put(
        "clickstream/1.ndjson",
        [view("late login", time) for time in times]
        + [view("one login less", time, "C2" if time == "10:00" else None) for time in times if time != "10:25"]
        + [view("bridged", time, "C3" if time == "11:40" else None) for time in times if time != "10:50"]
        + [view("bridged", "20:00", "another")],  # else its first session were C3's by the device
    )
    zone.put("clickstream/2.ndjson", [view("one login less", "10:25", "another")])
    zone.put(
        "transactions/1.ndjson",
        [
            transaction(n, transaction_time=f"2026-03-10T{time}:00+09:00", customer_id=f"C{n}", channel="web")
            for n, time in ((1, "11:45"), (2, "11:45"), (3, "10:30"))
        ],
    )
    pipeline.run(warehouse, zone.directory)
    assert zone.query("select transaction_id from mart.transaction where session_id is not null") == []

    zone.put("clickstream/3.ndjson", [view("late login", "10:05", "C1"), view("bridged", "10:50")])
    zone.put("clickstream/4.ndjson", [view("one login less", "10:25")], {"supersedes": "clickstream/2.ndjson"})
    assert pipeline.run(warehouse, zone.directory).build.scope == "changes"
    assert zone.query(
        "select t.transaction_id, s.visitor_id from mart.transaction as t"
        " inner join mart.session as s using (session_id) order by 1"
    ) == [("t1", "late login"), ("t2", "one login less"), ("t3", "bridged")]
    changed = mart_by_name(warehouse)
    pipeline.run(warehouse, zone.directory, full=True)
    assert differences(mart_by_name(warehouse), changed) == {}


def test_what_another_customer_does_is_no_part_of_a_session(warehouse: Settings, tmp_path: Path) -> None:
    """Even on the same device: B's transfer would else be told of A, who may be called about it."""
    zone = Zone(tmp_path / "landing", warehouse)
    zone.put("clickstream/1.ndjson", [visit(1, "shared", 10)])
    transfers = [
        transaction(
            n, transaction_time="2026-03-10T12:00:30+09:00", customer_id=who, channel="web", visitor_id="shared"
        )
        for n, who in ((1, "A"), (2, "B"))
    ]
    zone.put("transactions/1.ndjson", transfers)
    pipeline.run(warehouse, zone.directory)
    in_session = "select transaction_id from mart.transaction where session_id is not null order by 1"
    assert zone.query(in_session) == [("t1",), ("t2",)], "nobody logged in"

    steps: list[tuple[Callable[[], object], list[str], str | None]] = [
        (lambda: zone.put("clickstream/2.ndjson", [visit(2, "shared", 12, "A")]), ["t1"], "A"),  # by the device
        (lambda: unlink(warehouse, "shared", "a kiosk"), ["t1", "t2"], None),
        (lambda: link(warehouse, "shared"), ["t1"], "A"),
        (lambda: zone.put("clickstream/3.ndjson", [visit(3, "shared", 14, "B")]), ["t1", "t2"], None),
        (lambda: zone.put("clickstream/4.ndjson", [visit(4, "shared", 10, "A")]), ["t1"], "A"),  # by a login
    ]
    for change, there, customer in steps:
        change()
        assert pipeline.run(warehouse, zone.directory).build.scope == "changes"
        assert zone.query(in_session) == [(transaction_id,) for transaction_id in there]
        assert zone.query("select customer_id, transactions from mart.session where session_date = '2026-03-10'") == [
            (customer, len(there))
        ]
    changed = mart_by_name(warehouse)
    pipeline.run(warehouse, zone.directory, full=True)
    assert differences(mart_by_name(warehouse), changed) == {}


def test_two_campaigns_of_one_moment_are_one_session(warehouse: Settings, tmp_path: Path) -> None:
    zone = Zone(tmp_path / "landing", warehouse)
    shipped = (Path(__file__).parents[2] / "dbt_project/definitions/sessions.yml").read_text(encoding="utf-8")
    (tmp_path / "sessions.yml").write_text(
        shipped.replace("cut_at_campaign: false", "cut_at_campaign: true"), encoding="utf-8"
    )
    times = {"c1": "10:00:00", "c2": "10:00:00", "c3": "10:01:00"}
    zone.put(
        "clickstream/1.ndjson",
        [
            event(n, event_time=f"2026-03-10T{time}+09:00", visitor_id="v", utm_campaign=campaign)
            for n, (campaign, time) in enumerate(times.items())
        ],
    )
    pipeline.run(warehouse, zone.directory, definitions=tmp_path)
    assert zone.query("select events, utm_campaign from mart.session order by started_at") == [(2, "c1"), (1, "c3")]


def test_what_cannot_be_decided(server: Settings) -> None:
    with pytest.raises(IdentityError, match="no visitor 'nobody' has landed"):
        unlink(server, "nobody", "because")
    with pytest.raises(WrongUsageError, match="say why"):
        unlink(server, "own", " ")
    with pytest.raises(IdentityError, match="is not unlinked"):
        link(server, "nobody")
