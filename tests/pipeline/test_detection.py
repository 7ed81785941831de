"""What files that land later do to hits: they fire what was waited for, revise, and take back."""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from unittest import mock

import psycopg
import pytest
import yaml
from psycopg import sql
from typer.testing import CliRunner

from journeymart import audiences, pipeline, segments
from journeymart.analysis import Scope, adhoc
from journeymart.cli import build_app
from journeymart.db import connect
from journeymart.definitions.requests import RequestError, origin_of, with_definition
from journeymart.errors import WrongUsageError
from journeymart.publish.access import access_digest, grant_access
from journeymart.publish.drop import drop
from journeymart.settings import REPO, Settings

NINE = datetime(2026, 6, 1, 9, tzinfo=UTC)
RULES = """
rules:
  - id: DR-A-THEN-B
    label: {ko: 순서, en: Sequence}
    owner: tests
    within: 30m
    steps:
      - {name: A, source: screen, where: {page_code: A}}
      - {name: B, source: transaction, where: {amount: {gte: 100}}}
    goal: {source: screen, where: {page_code: G}, within: 1h}
    action:
      kind: popup
      message_id: MSG-FX-GUIDE
      expires: 1h
      max_per_customer: 1 per 7d
      quiet_hours: {from: "18:50", to: "19:00"}
      channels: [web, app]
  - id: DR-NO-C
    label: {ko: 미도달, en: Not reached}
    owner: others
    steps:
      - {name: A, source: screen, where: {page_code: A}}
    absence: {source: screen, where: {page_code: C}, within: 10m}
"""
HABIT = """
  - id: DR-HABIT
    label: {ko: 평소, en: Habit}
    owner: tests
    steps:
      - name: H
        source: transaction
        where: {transaction_code: SELL}
        above_habit: {times: 5, over: 90d, least: 3}
    action: {kind: survey, message_id: MSG-FX-HELP, expires: 1h}
"""
AUDIENCES = """
audiences:
  - id: AU-RUN
    label: {ko: 매번, en: Each run}
    owner: tests
    purpose: marketing
    from: {rule: DR-A-THEN-B, within: 1d}
    columns: [grade]
    schedule: run
    goal: {source: screen, where: {page_code: G}, within: 1h}
    file: true
  - id: AU-DAY
    label: {ko: 매일, en: Each day}
    owner: tests
    purpose: marketing
    from: {rule: DR-NO-C, within: 1d}
  - id: AU-EVEN  # by its name late and same are exported, small and gone are held out
    label: {ko: 효과, en: Effect}
    owner: tests
    purpose: advice
    from: {rule: DR-NO-C, within: 1d}
    hold_out: 0.5
    campaigns: [CP-OWN]
    goal: {source: screen, where: {page_code: G}, within: 6m}
"""


KEYS = {
    "clickstream": "event_id", "transactions": "transaction_id", "consents": "purpose", "campaign_sends": "send_id",
    "survey_responses": "response_id",
}  # fmt: skip


class Bank:
    """A landing zone with two rules, and who was detected."""

    def __init__(self, settings: Settings, directory: Path, rules: str = RULES + HABIT) -> None:
        self.settings, self.landing, self.definitions = settings, directory / "landing", directory / "definitions"
        self.definitions.mkdir()
        (self.definitions / "rules.yml").write_text(rules, encoding="utf-8")
        if rules.startswith(RULES):
            (self.definitions / "audiences.yml").write_text(AUDIENCES, encoding="utf-8")
        self.files = 0

    def run(self, *lines: dict[str, Any]) -> pipeline.Run:
        """Land lines as files of their own and run the pipeline."""
        for source, key in KEYS.items():
            own = [line for line in lines if key in line]
            if own:
                self.files += 1
                path = self.landing / source / f"{self.files}.ndjson"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(json.dumps(line) + "\n" for line in own), encoding="utf-8")
        return pipeline.run(self.settings, self.landing, definitions=self.definitions)

    def rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        with connect("jm_dashboard", settings=self.settings, timezone="UTC") as connection:
            return connection.execute(query).fetchall()

    def queue(self) -> list[tuple[Any, ...]]:
        """What a campaign system is told to show: trigger, visitor, until when."""
        with connect("jm_campaign", settings=self.settings, timezone="UTC") as connection:
            return connection.execute(
                "select trigger_id, visitor_id, expires_at from export.trigger_queue order by 2"
            ).fetchall()

    def acknowledge(self, trigger_id: Any) -> None:
        with connect("jm_campaign", settings=self.settings) as connection:
            connection.execute("insert into export.ack (trigger_id, status) values (%s, 'shown')", (trigger_id,))

    def exported(self, query: LiteralString) -> list[tuple[Any, ...]]:
        """What a campaign system reads."""
        with connect("jm_campaign", settings=self.settings, timezone="UTC") as connection:
            return connection.execute(query).fetchall()

    def hits(self, rule_id: str) -> dict[str, tuple[Any, ...]]:
        """Minutes after nine of the detection, ids of the evidence, revision; by visitor."""
        return {
            visitor: ((at - NINE) / timedelta(minutes=1), [item["id"] for item in evidence], revision)
            for rule, visitor, at, evidence, revision in self.rows(
                "select rule_id, visitor_id, detected_at, evidence, revision from mart.detection order by 2, 3"
            )
            if rule == rule_id
        }


SNAPSHOT: LiteralString = "select export_id, customer_id from export.audience_snapshot order by 1, 2"


def check_what_may_be_shown(bank: Bank) -> None:
    """Time, channel and person are looked at when it is asked for; who asked is written down."""

    def pending(
        minutes: float, channel: str = "web", customer: str | None = "c-late", visitor: str | None = None
    ) -> Any:
        moment = NINE + timedelta(minutes=minutes)
        with connect("jm_campaign", settings=bank.settings) as connection:
            return connection.execute(
                "select message -> 'title' ->> 'ko' from export.pending_triggers('tester', %s, %s, %s, %s)",
                (channel, customer, visitor, moment),
            ).fetchall()

    shown = [("해외송금 우대 안내",)]
    assert pending(40) == pending(60) == pending(69.9) == shown
    assert pending(70) == [], "it has expired"
    assert pending(50) == pending(59.9) == [], "these are quiet hours"
    assert pending(9) == [], "it had not happened yet"
    assert pending(40, channel="branch") == []
    assert pending(40, customer="c-same") == [], "consent was withdrawn"
    assert pending(40, customer=None, visitor="late") == [], "whoever uses the device need not be the customer"
    with connect("jm_auditor", settings=bank.settings) as connection:
        looks = connection.execute(
            "select user_name, object, customer_id, purpose from ops.access_log where user_name = 'tester'"
            " order by accessed_at"
        ).fetchall()
    assert looks[0] == ("tester", "export.trigger_queue", "c-late", "web")
    assert len(looks) == 10


def check_withdrawal(bank: Bank) -> None:
    """Who withdraws later than anything else is known goes all the same."""
    bank.run({**consent("late", granted=False), "effective_at": "2026-06-01T23:30:00Z"})
    assert ("AU-DAY", "c-late") not in bank.exported(SNAPSHOT)
    last = (
        "select customer_id, op from export.audience_delta where export_id = 'AU-DAY' order by export_no desc limit 1"
    )
    assert bank.exported(last) == [("c-late", "D")]


def check_files(settings: Settings) -> None:
    """Two exports as files that their manifests describe; a delivery that is repeated writes what is missing."""
    folder = settings.export / "AU-RUN"
    expected = {
        "AU-RUN-000001-delta.csv": ["c-late,I", "c-same,I"], "AU-RUN-000001-snapshot.csv": ["c-late,I", "c-same,I"],
        "AU-RUN-000002-delta.csv": ["c-same,D"], "AU-RUN-000002-snapshot.csv": ["c-late,I"],
    }  # fmt: skip
    content = {path.name: path.read_text() for path in folder.glob("*.csv")}
    assert {
        name: [",".join(line.split(",")[1:3]) for line in text.splitlines()[1:]] for name, text in content.items()
    } == expected
    assert content["AU-RUN-000001-delta.csv"].startswith("export_id,customer_id,op,row_hash,as_of,grade\n")
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}
    manifests = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert manifests.keys() == {"AU-RUN-000001.json", "AU-RUN-000002.json"}
    for item in (file for manifest in manifests.values() for file in manifest["files"]):
        assert item["rows"] == len(expected[item["name"]])
        assert item["sha256"] == hashlib.sha256(content[item["name"]].encode()).hexdigest()
    assert drop(settings) == []
    (folder / "AU-RUN-000002.json").unlink()  # killed before the manifest
    (folder / "AU-RUN-000002-delta.csv").unlink()
    (folder / ".AU-RUN-000001-snapshot.csv.tmp").write_text("c-gone")  # which nobody would write any more
    with connect("jm_admin", settings=settings, autocommit=True) as connection:
        connection.execute("insert into raw.erased_line values (1, 1, false)")  # a customer who is on the way out
        assert drop(settings) == []
        connection.execute("delete from raw.erased_line")
    with ThreadPoolExecutor() as pool:  # two deliveries at once
        written = list(pool.map(drop, [settings] * 2))
    assert sorted(path.name for paths in written for path in paths) == ["AU-RUN-000002.json"]
    assert {path.suffix for path in folder.iterdir()} == {".csv", ".json"}
    assert {path.name: path.read_text() for path in folder.glob("*.csv")} == content
    assert json.loads((folder / "AU-RUN-000002.json").read_text()) == manifests["AU-RUN-000002.json"]


def check_access(settings: Settings) -> None:
    """A campaign system reads export, answers in export.ack, and that is all."""
    with connect("jm_campaign", settings=settings, autocommit=True) as connection:
        found = connection.execute(
            """
            select n.nspname, c.relname, has_any_column_privilege(c.oid, 'insert, update')
            from pg_class as c
            inner join pg_namespace as n on c.relnamespace = n.oid
            where
                c.relkind in ('r', 'p', 'v', 'm')
                and n.nspname not in ('pg_catalog', 'information_schema')
                and has_schema_privilege(n.oid, 'usage')
                and (
                    has_any_column_privilege(c.oid, 'select, insert, update')
                    or has_table_privilege(c.oid, 'delete, truncate')
                )
            order by 1, 2
            """
        ).fetchall()
        assert {schema for schema, _, _ in found} == {"export"}
        names = {"audience", "audience_snapshot", "audience_delta", "trigger_queue"}
        assert {name for _, name, _ in found} == {"ack"} | names | {f"{name}_v1" for name in names}
        assert [name for _, name, may_write in found if may_write] == ["ack"]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from mart.detection")


def check_request(bank: Bank) -> None:
    """Somebody asks for an audience; what is wrong changes nothing."""
    before = (bank.definitions / "audiences.yml").read_text(encoding="utf-8")
    content: dict[str, Any] = {
        "id": "AU-ASKED", "label": {"ko": "요청", "en": "Asked"}, "owner": "tests", "purpose": "marketing"
    }  # fmt: skip
    with pytest.raises(RequestError, match="has no DR-NO-D; did you mean 'DR-NO-C'"):
        audiences.request(bank.settings, content | {"from": {"rule": "DR-NO-D", "within": "1d"}}, bank.definitions)
    with pytest.raises(RequestError, match="AU-RUN is there already"):
        audiences.request(bank.settings, content | {"id": "AU-RUN"}, bank.definitions)
    assert (bank.definitions / "audiences.yml").read_text(encoding="utf-8") == before
    # As the container does that runs Airflow's tasks, with its passwords and no others.
    compose = yaml.safe_load((REPO / "docker/compose.yml").read_text(encoding="utf-8"))
    known = bank.settings.secrets.keys() & compose["services"]["airflow-scheduler"]["environment"].keys()
    scheduler = replace(bank.settings, secrets={name: bank.settings.secrets[name] for name in known})
    check_request_for_a_segment(scheduler, bank)
    content |= {"from": origin_of("{rule: DR-NO-C, within: 1d}"), "file": True}
    with pytest.MonkeyPatch.context() as killed:
        killed.setattr(pipeline, "deliver", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            audiences.request(scheduler, content, bank.definitions)
    asked = audiences.request(scheduler, content, bank.definitions)
    assert (bank.settings.export / "AU-ASKED/AU-ASKED-000001.json").exists()
    repeated = content | {"from": {"rule": "DR-NO-C", "within": "1d"}}
    file = bank.definitions / "audiences.yml"
    assert with_definition("audiences", repeated, bank.definitions) == file.read_text(encoding="utf-8")
    assert (asked.candidates, asked.without_consent, asked.members, asked.export_no) == (4, 3, 1, 1)
    assert bank.exported(SNAPSHOT) == [
        ("AU-ASKED", "c-late"), ("AU-DAY", "c-late"), ("AU-EVEN", "c-late"), ("AU-EVEN", "c-same"), ("AU-RUN", "c-late")
    ]  # fmt: skip
    assert bank.exported("select max(export_no) from export.audience_delta where export_id <> 'AU-ASKED'") == [(2,)]
    file.write_text(before, encoding="utf-8")
    folder = bank.settings.export / "AU-ASKED"
    with mock.patch.object(pipeline, "deliver", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        pipeline.apply(bank.settings, bank.definitions)
    assert [path.name for path in drop(bank.settings)] == ["AU-ASKED-000002.json"], "who has its files is told, too"
    delta, snapshot = (folder / f"AU-ASKED-000002-{kind}.csv" for kind in ("delta", "snapshot"))
    assert [line.split(",")[1:3] for line in delta.read_text().splitlines()[1:]] == [["c-late", "D"]]
    assert len(snapshot.read_text().splitlines()) == 1
    shutil.rmtree(folder)
    assert drop(bank.settings) == [], "nobody is told again"


def check_request_for_a_segment(scheduler: Settings, bank: Bank) -> None:
    """Somebody saves who went to A and not to C afterwards; a request that was cut short goes on."""
    file = bank.definitions / "segments.yml"
    cell = {"path": {"through": ["A"], "not_then": "C"}}
    content = {"id": "SG-LEFT", "label": {"ko": "중단", "en": "중단"}, "owner": "tests", "purpose": "call back"}
    for wrong, message in (
        ({"cell": {"path": {"through": ["Nowhere"]}}}, "no page or transaction is called 'Nowhere'"),
        ({"cell": cell, "id": "SG-STABLE"}, "SG-STABLE is there already"),
        ({"cell": {"funnel": {"id": "FN-NONE"}}}, "there is no funnel FN-NONE"),
        ({"cell": {**cell, "funnel": {"id": "FN-REMITTANCE"}}}, "a cell is of one of .* not of funnel and path"),
        ({"cell": cell, "purpose": None}, "purpose: missing"),
        ({"cell": cell, "purpose": " "}, "purpose: .* at least 1 character"),
        ({"cell": cell, "owner": "a\x85b"}, "SG-LEFT: has text that cannot be written"),
    ):
        with pytest.raises(WrongUsageError, match=message):
            segments.request(scheduler, content | wrong, bank.definitions)
    with pytest.raises(psycopg.DataError, match="NUL"):  # in what is written down, not in the definition
        segments.request(scheduler, content | {"cell": cell, "purpose": "a\0"}, bank.definitions)
    assert not file.exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOURNEYMART_USER", "analyst")
        with pytest.MonkeyPatch.context() as killed:
            killed.setattr(pipeline, "build", mock.Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                segments.request(scheduler, content | {"cell": cell}, bank.definitions)
        text = file.read_text(encoding="utf-8")
        assert segments.request(scheduler, content | {"cell": cell}, bank.definitions) == segments.Saved("SG-LEFT", 4)
    left = [("c-late",), ("c-same",), ("c-small",), ("c-wait",)]
    assert bank.rows("select customer_id from mart.segment_member where segment_id = 'SG-LEFT' order by 1") == left
    with connect("jm_auditor", settings=bank.settings) as connection:
        looks = connection.execute(
            "select distinct user_name, purpose from ops.access_log where object = 'segment SG-LEFT'"
        ).fetchall()
    assert looks == [("analyst", "call back")]
    # the command line writes the same
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Settings, "load", lambda: bank.settings)
        options = ["--through", "A", "--not-then", "C", "--label", "중단", "--owner", "tests", "--save", str(file)]
        shown = CliRunner().invoke(build_app(), ["analyze", "paths", "segment", "--id", "SG-LEFT", *options, "--json"])
    assert json.loads(shown.stdout) == [{"segment_id": "SG-LEFT", "members": 4}]
    assert file.read_text(encoding="utf-8") == text


def check_departments(settings: Settings) -> None:
    """Reports see the hits of their department's rules only: in tables, in views, and no view forgets to ask."""

    def seen(departments: str | None) -> dict[str, set[str]]:
        with connect("jm_report", settings=settings, autocommit=True) as connection:
            if departments is not None:
                connection.execute("select set_config('journeymart.departments', %s, false)", (departments,))
            tables = connection.execute(
                "select c.oid::regclass::text from pg_attribute as a inner join pg_class as c on a.attrelid = c.oid"
                " where c.relnamespace = 'mart'::regnamespace and a.attname = 'rule_id' and c.relkind in ('r', 'v')"
            ).fetchall()
            query = sql.SQL("select distinct rule_id from {}")
            return {name: {rule for (rule,) in connection.execute(query.format(sql.SQL(name)))} for (name,) in tables}

    everything = seen("*")
    assert everything.keys() >= {f"mart.{name}" for name in ("detection", "trigger", "detection_pending")}
    full = {name for name, rules in everything.items() if "DR-NO-C" in rules}
    assert full == {f"mart.detection{name}" for name in ("", "_hit", "_next", "_step")} | {
        "mart.survey_answer", "mart.survey_response"
    }  # fmt: skip
    for departments in (None, "", "elsewhere", "others*,x"):
        assert not any(seen(departments).values()), departments
    own = seen("x,tests")
    assert {name for name, rules in own.items() if "DR-A-THEN-B" in rules} >= full
    assert not any("DR-NO-C" in rules for rules in own.values())

    with connect("jm_publisher", settings=settings) as connection:
        connection.execute("create view mart.careless as select rule_id, detected_at from mart.detection")
        connection.execute("create view mart.cautious as select rule_id from mart.detection_hit")
        before = access_digest(connection)
        grant_access(connection)
        granted = "select has_any_column_privilege('jm_report', %s, 'select')"
        assert connection.execute(granted, ("mart.careless",)).fetchone() == (False,)
        assert connection.execute(granted, ("mart.cautious",)).fetchone() == (True,)
        assert access_digest(connection) == before, "to set the rules changes nothing that would have them set again"
        connection.rollback()


def answered(number: int, reason: str | list[str]) -> dict[str, Any]:
    return {"response_id": f"r-{number}", "responded_at": (NINE + timedelta(minutes=6)).isoformat(),
            "customer_id": f"c-{number}", "rule_id": "DR-HABIT", "answers": {"reason": reason, "age": "3"}}  # fmt: skip


def event(visitor: str, page: str, minutes: float) -> dict[str, Any]:
    at = (NINE + timedelta(minutes=minutes)).isoformat()
    return {"event_id": f"{visitor}-{page}-{minutes}", "event_time": at, "visitor_id": visitor, "page_code": page,
            "customer_id": f"c-{visitor}"}  # fmt: skip


def transaction(visitor: str, minutes: float, amount: int) -> dict[str, Any]:
    at = (NINE + timedelta(minutes=minutes)).isoformat()
    return {"transaction_id": f"t-{visitor}", "transaction_time": at, "customer_id": f"c-{visitor}",
            "visitor_id": visitor, "transaction_code": "BUY", "channel": "web", "amount": amount}  # fmt: skip


def sell(minutes: float, amount: int) -> dict[str, Any]:
    line = transaction("seller", minutes, amount)
    return line | {"transaction_id": f"sell-{minutes}", "transaction_code": "SELL", "visitor_id": None}


def advice(visitor: str) -> dict[str, Any]:
    return consent(visitor, granted=True) | {"purpose": "advice"}


def sent(visitor: str, minutes: float, campaign: str) -> dict[str, Any]:
    at = (NINE + timedelta(minutes=minutes)).isoformat()
    return {"send_id": f"{visitor}-{minutes}", "customer_id": f"c-{visitor}", "sent_at": at, "campaign_id": campaign}


def consent(visitor: str, *, granted: bool) -> dict[str, Any]:
    at = "2026-05-01T00:00:00Z" if granted else "2026-06-01T09:30:00Z"
    return {"customer_id": f"c-{visitor}", "purpose": "marketing", "granted": granted, "effective_at": at}


def test_later_files_revise_hits(warehouse: Settings, tmp_path: Path) -> None:
    bank = Bank(warehouse, tmp_path)
    bank.run(
        event("same", "A", 0), transaction("same", 30, 100),  # the end of the time is included
        event("late", "A", 0), transaction("late", 10, 100),
        event("small", "A", 0), transaction("small", 10, 99),
        event("wait", "A", 25),
        event("gone", "A", 5),
        sell(1, 100), sell(2, 100), sell(3, 100), sell(4, 499), sell(5, 1000), sell(6, 1000),
        consent("same", granted=True), consent("late", granted=True),
        {**consent("late", granted=False), "effective_at": "2099-01-01T00:00:00Z"},  # it is given until then
        advice("late"), advice("same"), advice("small"), advice("gone"),
        # one that is dated ahead moves no watermark, so it expires nothing
        {"customer_id": "c-wait", "purpose": "marketing", "granted": True, "effective_at": "2027-01-01T00:00:00Z"},
        *({"response_id": rule or "none", "responded_at": NINE.isoformat(), "customer_id": "c-late", "rule_id": rule,
           "answers": {}} for rule in ("DR-A-THEN-B", "DR-NO-C", "DR-GONE", None)),
    )  # fmt: skip
    sequence = {
        "late": (10, ["late-A-0", "t-late"], 1),
        "same": (30, ["same-A-0", "t-same"], 1),
    }
    assert bank.hits("DR-A-THEN-B") == sequence
    # 499 is less than 5 times 100, 1000 is more than 5 times the average of four
    assert bank.hits("DR-HABIT") == {None: (5, ["sell-5"], 1)}
    absent = {name: (10.0, [f"{name}-A-0"], 1) for name in ("late", "same", "small")}
    assert bank.hits("DR-NO-C") == absent | {"gone": (15, ["gone-A-5"], 1)}
    assert bank.rows("select due_at from mart.detection_pending") == [(NINE + timedelta(minutes=35),)]

    assert set(bank.rows("select rule_name from mart.survey_answer")) == {
        ("순서",), ("미도달",), ("DR-GONE",), ("규칙 없음",)
    }  # fmt: skip
    # who looks at a customer reads the same name; of a rule that is gone, or none, what the answer says
    with connect("jm_cs", settings=bank.settings) as connection:
        seen = connection.execute(
            "select t.title from unnest(%s::text[]) as c (customer) cross join lateral"
            " mart.customer_timeline('kim', c.customer, 'x', '-infinity', 'infinity') as t where t.kind = 'survey'",
            ([customer for (customer,) in bank.rows("select distinct customer_id from mart.survey_answer")],),
        ).fetchall()
    assert {title for (title,) in seen} == {"순서", "미도달", "DR-GONE", "survey"}

    queue = bank.queue()
    assert [(row[1], row[2]) for row in queue] == [
        ("late", NINE + timedelta(minutes=70)), ("same", NINE + timedelta(minutes=90))
    ]  # fmt: skip

    assert bank.exported(SNAPSHOT) == [
        ("AU-DAY", "c-late"), ("AU-DAY", "c-same"), ("AU-EVEN", "c-late"), ("AU-EVEN", "c-same"),
        ("AU-RUN", "c-late"), ("AU-RUN", "c-same"),
    ]  # fmt: skip
    assert bank.rows(
        "select export_id, candidates, without_consent, held_out, members from mart.audience_export order by 1"
    ) == [("AU-DAY", 4, 2, 0, 2), ("AU-EVEN", 4, 0, 2, 2), ("AU-RUN", 2, 0, 0, 2)]

    # the watermark passes 9:35; an A comes to light that is nearer to the purchase; C turns out to have been reached
    run = bank.run(event("late", "A", 4), event("gone", "C", 15), event("late", "G", 36), sell(0.5, 5000),
                   consent("same", granted=False), event("small", "G", 36.5),
                   sent("late", 31, "CP-OWN"), sent("small", 31, "CP-OTHER"), sent("gone", 29, "CP-OWN"),
                   *(answered(number, ["입력할 것이 많아서", "나중에 하려고"]) for number in range(4)),
                   answered(4, "Too much to fill in"), answered(5, "번호를 몰라요"))  # fmt: skip
    assert run.build.scope == "changes"
    assert bank.hits("DR-A-THEN-B") == sequence | {"late": (10, ["late-A-4", "t-late"], 2)}
    assert bank.hits("DR-NO-C") == {
        **absent,  # the other A lies before the first was certain
        "wait": (35, ["wait-A-25"], 1),
    }
    assert bank.hits("DR-HABIT") == {}, "what came to light makes it less unusual"
    assert bank.rows("select count(*) from mart.detection_pending") == [(0,)]
    assert bank.rows("select goal_at from mart.detection where goal_at is not null") == [
        (NINE + timedelta(minutes=36),)
    ]

    # a revised hit is still the same trigger; who has withdrawn consent since is not shown anything
    assert bank.queue() == [row for row in queue if row[1] == "late"]
    check_what_may_be_shown(bank)
    bank.acknowledge(queue[0][0])
    assert bank.queue() == []
    assert bank.rows(
        "select rule_id, message_id, is_answered, is_shown, is_clicked, is_expired from mart.trigger_outcome"
    ) == [("DR-A-THEN-B", "MSG-FX-GUIDE", True, True, False, False)]

    # without a goal nobody reaches it, nor fails to
    assert bank.rows(
        "select rule_id, has_reached_goal, count(*) from mart.detection_hit group by 1, 2 order by 1, 2"
    ) == [
        ("DR-A-THEN-B", False, 1), ("DR-A-THEN-B", True, 1), ("DR-NO-C", None, 4)
    ]  # fmt: skip
    assert set(bank.rows("select rule_id, goal_reached is null from mart.detection_step where detected > 0")) == {
        ("DR-A-THEN-B", False), ("DR-NO-C", True)
    }  # fmt: skip
    # five people chose the first, four the last, one wrote words
    assert bank.rows("select rule_id, question, choice_no, choice, responses from mart.survey_choice order by 3") == [
        ("DR-HABIT", "무엇이 불편하셨나요?", number, choice, responses)
        for number, choice, responses in (
            (0, None, None), (1, "입력할 것이 많아서", 5), (2, "수수료를 알 수 없어서", None),
            (3, "나중에 하려고", None)
        )
    ]  # fmt: skip

    # nor is an audience that is exported once a day told of anybody but those who go
    assert bank.exported(SNAPSHOT) == [
        ("AU-DAY", "c-late"), ("AU-EVEN", "c-late"), ("AU-EVEN", "c-same"), ("AU-RUN", "c-late")
    ]  # fmt: skip
    assert bank.exported("select * from export.audience_snapshot") == bank.exported(
        "select * from export.audience_snapshot_v1"
    )
    delta = bank.exported("select export_id, export_no, customer_id, op from export.audience_delta order by 1, 2, 3")
    assert delta == [
        ("AU-DAY", 1, "c-late", "I"), ("AU-DAY", 1, "c-same", "I"), ("AU-DAY", 2, "c-same", "D"),
        ("AU-EVEN", 1, "c-late", "I"), ("AU-EVEN", 1, "c-same", "I"),
        ("AU-RUN", 1, "c-late", "I"), ("AU-RUN", 1, "c-same", "I"), ("AU-RUN", 2, "c-same", "D"),
    ]  # fmt: skip
    with connect("jm_campaign", settings=bank.settings) as connection:
        connection.execute("insert into export.ack (export_id, row_key, status) values ('AU-RUN', 'c-late', 'sent')")
    assert bank.rows(
        "select customers, acknowledged, sent, returned, converted from mart.audience_effect where export_id = 'AU-RUN'"
    ) == [(2, 1, 1, 1, 1)]
    assert bank.rows(
        "select customers, converted, still_open, conversion_ratio from mart.audience_effect where export_id = 'AU-DAY'"
    ) == [(2, None, None, None)], "it has no goal"
    # Exported at 9:30, with six minutes for the goal. Of those who could be told one was, by its own campaign, came
    # back and reached the goal at the last moment; of those held out one came back and was half a minute too late.
    # A send before the export, or of another campaign, is none.
    assert bank.rows(
        "select is_held_out, customers, acknowledged, sent, returned, converted, still_open, conversion_ratio"
        " from mart.audience_effect where export_id = 'AU-EVEN' order by 1"
    ) == [(False, 2, 0, 1, 1, 1, 0, 0.5), (True, 2, 0, 0, 1, 0, 0, 0.0)]
    check_files(bank.settings)
    check_access(bank.settings)
    check_departments(bank.settings)

    # a back-test finds what the rule has found, whatever has changed since it was first computed
    for rule_id in ("DR-A-THEN-B", "DR-NO-C"):
        live = adhoc.live_rule(bank.settings, rule_id, Scope())
        assert adhoc.rule(bank.settings, bank.definitions / "rules.yml", Scope(), rule_id=rule_id) == live
        assert len(live.rows) == len(bank.hits(rule_id))
    summary = adhoc.live_rule(bank.settings, "DR-NO-C", Scope(), summary=True, labels=["c-late", "c-gone"])
    assert summary.records() == [
        {"detection_date": NINE.date(), "hits": 4, "people": 4, "found_by_others": 2, "again_within_week": 0,
         "goal_reached": 0, "labelled": 1}
    ]  # fmt: skip
    check_request(bank)
    check_withdrawal(bank)


ENDINGS = """
rules:
  - id: DR-STAY
    label: {ko: 머묾, en: Stay}
    owner: tests
    steps:
      - {name: D, source: screen, where: {page_code: D}}
    dwell: {gte: 1h}
  - id: DR-GOAL
    label: {ko: 목표, en: Goal}
    owner: tests
    steps:
      - {name: GT, source: screen, where: {page_code: GT}}
    goal: {source: transaction, where: {transaction_code: BUY}, within: 1d}
  - id: DR-ABSENT
    label: {ko: 미도달, en: Not reached}
    owner: tests
    steps:
      - {name: P, source: screen, where: {page_code: P}}
    session_end: true
    absence: {source: screen, where: {page_code: Q}}
"""


def test_what_ends_or_follows_a_hit(warehouse: Settings, tmp_path: Path) -> None:
    """It may be in another session (the time-out is 30 minutes), or happen at its very moment."""
    bank = Bank(warehouse, tmp_path, ENDINGS)
    bank.run(
        event("stays", "D", 0),
        event("leaves", "D", 0), event("leaves", "E", 40),
        event("heard", "D", 0), event("heard", "D", 40), event("heard", "D", 65),
        event("other", "Z", 70),
        event("buys", "GT", 60), transaction("buys", 60, 100), event("buys", "N", 61),
        # types without opening anything, somebody else takes the device, and goes on with another one
        event("goes", "GT", 60), event("goes", "K", 61) | {"action_type": "input"},
        event("goes", "Y", 62) | {"customer_id": "c-else"}, event("phone", "N", 90) | {"customer_id": "c-goes"},
        event("exits", "P", 0), event("exits", "X", 1) | {"action_type": "exit"},
        event("exits", "Q", 1), event("exits", "P", 1),
    )  # fmt: skip
    kept = {"heard": (60, ["heard-D-0"], 1)}
    assert bank.hits("DR-STAY") == kept | {"stays": (60, ["stays-D-0"], 1)}
    assert bank.rows("select visitor_id from mart.detection where is_censored") == [("stays",)]
    goals: LiteralString = "select goal_at from mart.detection where rule_id = 'DR-GOAL' order by 1"
    assert bank.rows(goals) == [(NINE + timedelta(hours=1),), (None,)]
    over: LiteralString = "select has_reached_goal, is_goal_over from mart.detection_hit order by 1, 2"
    assert bank.rows(over) == [(False, False), (True, False)] + 4 * [(None, None)], "there is time left, or no goal"
    followed: LiteralString = "select next_node, hits from mart.detection_next where rule_id = '{}' order by 1"
    assert bank.rows(followed.format("DR-GOAL")) == [("BUY", 1), ("N", 1)]
    assert bank.rows(followed.format("DR-STAY")) == [("D", 1), (None, 1)], "the day is not over"
    assert bank.rows(
        "select detected_at, started_at from mart.detection where rule_id = 'DR-ABSENT' order by detected_at"
    ) == [(NINE + timedelta(minutes=1), NINE), (NINE + timedelta(minutes=31), NINE + timedelta(minutes=1))]

    # what lands late is in a session of its own, and fulfils nothing
    assert bank.run(event("stays", "E", 45)).build.scope == "changes"
    assert bank.hits("DR-STAY") == kept

    # computed anew, as for a new version, the hits have been known for as long as before
    published: LiteralString = "select rule_id, detected_at, published_at from mart.detection_hit order by 1, 2"
    known = bank.rows(published)
    pipeline.run(bank.settings, bank.landing, definitions=bank.definitions, full=True)
    assert bank.rows(published) == known

    bank.run(event("other", "Z", 26 * 60 + 6))  # a day after who was heard stayed once more
    assert bank.rows(followed.format("DR-STAY")) == [("D", 1), ("이탈", 1)]
    assert bank.rows(over)[:2] == [(False, True), (True, True)]


def test_a_hit_is_known_once_its_evidence_and_its_rule_are(warehouse: Settings, tmp_path: Path) -> None:
    rule = {"label": {"ko": "시험", "en": "Test"}, "owner": "tests"}
    steps = [{"name": page, "source": "screen", "where": {"page_code": page}} for page in "AB"]
    rules = [{"id": "DR-BOTH", **rule, "within": "30m", "steps": steps}]
    bank = Bank(warehouse, tmp_path, json.dumps({"rules": rules}))
    published: LiteralString = "select rule_id from mart.detection_hit where published_at = ("
    published += "select published_at from mart.publication_latest) order by 1"
    bank.run(event("x", "B", 10))
    bank.run(event("x", "A", 0))
    assert bank.rows(published) == [("DR-BOTH",)]
    rules.append({"id": "DR-LATER", **rule, "steps": steps[1:]})
    (bank.definitions / "rules.yml").write_text(json.dumps({"rules": rules}), encoding="utf-8")
    bank.run()
    assert bank.rows(published) == [("DR-LATER",)]


def test_nobody_is_exported_as_away_before_the_period_has_begun(warehouse: Settings, tmp_path: Path) -> None:
    bank = Bank(warehouse, tmp_path, "rules: []\n")
    shared = {"label": {"ko": "가", "en": "X"}, "owner": "tests"}
    start = {"source": "screen", "where": {"page_code": "A"}}
    away = {"cohort": "CH-X", "start": "2026-06-01", "age": 1, "returned": False}
    cohort = {"id": "CH-X", **shared, "period": "day", "ages": 3, "start": start}
    audience = {"id": "AU-X", **shared, "purpose": "marketing", "schedule": "run", "from": away}
    (bank.definitions / "cohorts.yml").write_text(json.dumps({"cohorts": [cohort]}), encoding="utf-8")
    (bank.definitions / "audiences.yml").write_text(json.dumps({"audiences": [audience]}), encoding="utf-8")
    bank.run(event("x", "A", 0), event("y", "A", 0), consent("x", granted=True), consent("y", granted=True))
    assert bank.exported(SNAPSHOT) == []
    bank.run(event("x", "A", 24 * 60))
    assert bank.exported(SNAPSHOT) == [("AU-X", "c-y")]
