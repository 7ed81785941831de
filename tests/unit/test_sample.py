"""The sample bank: the same seed gives the same bytes, and truth.json says what is really in the files."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import io
import json
import re
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from journeymart.cli.sample import app
from journeymart.sample.generate import Spec, customers_for, generate
from journeymart.sample.pages import Site
from journeymart.settings import REPO

FIELDS = {
    "clickstream": (
        "event_id event_time visitor_id customer_id session_id received_time channel domain page_url referrer_url "
        "page_code page_name action_type click_text click_name checkbox popup_name tab_name step_position utm_source "
        "utm_medium utm_campaign utm_term utm_content error_code error_page exit_menu ip user_agent os device_type "
        "device_model app_version properties"
    ),
    "transactions": (
        "transaction_id transaction_time customer_id transaction_code channel result_code amount currency visitor_id "
        "session_id fields"
    ),
    "customers": (
        "customer_id effective_date birth_year gender region grade investment_propensity joined_on attributes"
    ),
    "consultations": "consultation_id customer_id consulted_at channel category result agent_team",
    "campaign_sends": ("send_id customer_id sent_at campaign_id channel message_id result opened_at clicked_at"),
    "subscriptions": "subscription_id customer_id subscribed_at product_code product_name status ended_at channel",
    "survey_responses": "response_id responded_at customer_id visitor_id rule_id answers",
    "consents": "customer_id purpose granted effective_at",
}
REQUIRED = {
    "clickstream": ("event_id", "event_time", "visitor_id"),
    "transactions": ("transaction_id", "transaction_time", "customer_id", "transaction_code"),
}
TIME = {"clickstream": "event_time", "transactions": "transaction_time"}
ACTIONS = {"view", "click", "select", "input", "submit", "popup", "tab", "scroll", "error", "exit"}
CRAWLER = re.compile(r"bot|Yeti|Headless|python-requests", re.IGNORECASE)
HALF_HOUR = dt.timedelta(minutes=30)

Line = dict[str, Any]


def spec(out: Path, **changes: Any) -> Spec:
    settings: dict[str, Any] = {"out": out, "customers": 60, "days": 9, "seed": 11} | changes
    return Spec(**settings)


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def text_of(path: Path) -> str:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).decode()
    with pa.input_stream(str(path), compression="zstd") as stream:
        return stream.read().decode()


def read(path: Path) -> list[Line | None]:
    """The data rows of a file, None where a line is no JSON."""
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            for name in ("event_time", "received_time"):
                row[name] = row[name] and row[name].isoformat()
        return rows
    if ".dat" in path.suffixes:
        return [message(record) for record in gzip.decompress(path.read_bytes()).splitlines()[1:-1]]
    text = text_of(path)
    if ".csv" in path.suffixes:
        return [{k: v or None for k, v in row.items()} for row in csv.DictReader(io.StringIO(text))]
    rows = []
    for line in text.splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            rows.append(None)
    return rows


def message(record: bytes) -> Line | None:
    """A message of the core system, cut at the bytes that its layout is documented with."""
    text = record[1:79].decode("cp949")
    found: Line = {
        "transaction_id": text[:14],
        "transaction_code": text[14:26],
        "transaction_time": dt.datetime.strptime(text[26:43], "%Y%m%d%H%M%S%f").isoformat(timespec="milliseconds")
        + "+09:00",
        "channel": {"01": "branch", "02": "atm"}[text[43:45]],
        "customer_id": text[45:55],
        "result_code": text[55:59],
        "currency": text[59:62],
        "amount": int(text[62:78]) / 100 if text[62:78].strip() else None,
        "fields": {"account_no": record[79:95].decode().strip()},
    }
    return {name: value.strip() if isinstance(value, str) else value for name, value in found.items() if value != "   "}


def is_time(text: Any) -> bool:
    try:
        dt.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return False
    return True


def defect(source: str, row: Line | None) -> tuple[str | None, str] | None:
    """What is wrong with a line: (field, reason), or nothing."""
    if row is None:
        return None, "malformed"
    for name in REQUIRED.get(source, ()):
        if row.get(name) is None:
            return name, "missing_required"
    if source in TIME and not is_time(row[TIME[source]]):
        return TIME[source], "bad_time"
    if source == "clickstream" and (row.get("action_type") or "view") not in ACTIONS:
        return "action_type", "unknown_value"
    if source == "transactions":
        return transaction_defect(row)
    return None


def transaction_defect(row: Line) -> tuple[str, str] | None:
    if row["transaction_code"] == "CASH_CHECK":
        return "transaction_code", "unknown_value"
    if not isinstance(row.get("amount") or 0, int | float):
        return "amount", "bad_number"
    return None


class Bank:
    """A bank read back from its files with nothing but Python."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.truth = json.loads((root / "truth.json").read_text(encoding="utf-8"))
        self.rows: dict[str, list[tuple[str, int, Line | None]]] = defaultdict(list)
        for source in FIELDS:
            for path in sorted((root / source).glob("*/*")):
                if path.suffix != ".done":
                    name = str(path.relative_to(root))
                    self.rows[source] += [(name, i, row) for i, row in enumerate(read(path), 1)]
        self.bots = {v for agent in self.truth["bots"]["by_user_agent"].values() for v in agent["visitors"]}
        self.events = [row for row in self.accepted("clickstream", "event_id") if row["visitor_id"] not in self.bots]
        for row in self.events:
            row["at"] = dt.datetime.fromisoformat(row["event_time"])
        self.events.sort(key=lambda row: (row["visitor_id"], row["at"]))
        self.transactions = self.accepted("transactions", "transaction_id")

    def accepted(self, source: str, key: str) -> list[Line]:
        found: dict[str, Line] = {}
        for _, _, row in self.rows[source]:
            if row is not None and defect(source, row) is None:
                found.setdefault(row[key], row)
        return list(found.values())

    def sessions(self) -> list[list[Line]]:
        found: list[list[Line]] = []
        for row in self.events:
            last = found[-1][-1] if found else None
            if last and last["visitor_id"] == row["visitor_id"] and row["at"] - last["at"] <= HALF_HOUR:
                found[-1].append(row)
            else:
                found.append([row])
        return found


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    root = tmp_path_factory.mktemp("bank")
    generate(spec(root))
    return Bank(root)


def is_view(row: Line, page: str) -> bool:
    return row.get("page_code") == page and row.get("action_type") in (None, "view")


def test_same_seed_same_bytes_and_other_seed_other_bytes(bank: Bank, tmp_path: Path) -> None:
    generate(spec(tmp_path / "again"))
    generate(spec(tmp_path / "other", seed=12))
    assert digests(bank.root) == digests(tmp_path / "again")
    ours, others = digests(bank.root), digests(tmp_path / "other")
    assert not [name for name in ours if others.get(name) == ours[name] and not name.endswith(".done")]


def test_more_days_leave_the_earlier_days_as_they_are(bank: Bank, tmp_path: Path) -> None:
    generate(spec(tmp_path, days=11, from_day=10))
    assert {path.name for path in (tmp_path / "clickstream").iterdir()} == {"2026-06-10", "2026-06-11"}
    later = digests(tmp_path)
    whole = tmp_path / "whole"
    generate(spec(whole, days=11))
    full = digests(whole)
    earlier = {name: value for name, value in digests(bank.root).items() if name != "truth.json"}
    assert earlier == {name: full[name] for name in earlier}
    assert later == {name: full[name] for name in later}


def test_micro_batches_hold_the_day_line_by_line(tmp_path: Path) -> None:
    generate(spec(tmp_path / "day", days=2, from_day=2, file_format="ndjson"))
    generate(spec(tmp_path / "batches", days=2, from_day=2, file_format="ndjson", file_events=50))
    whole = text_of(next((tmp_path / "day/clickstream/2026-06-02").glob("*.gz")))
    parts = [text_of(path) for path in sorted((tmp_path / "batches/clickstream/2026-06-02").glob("*.gz"))]
    assert "".join(parts) == whole
    assert {part.count("\n") for part in parts[:-1]} == {50}


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_every_format_says_the_same(file_format: str, tmp_path: Path) -> None:
    sound: dict[str, dict[str, Line]] = {}
    for name in ("ndjson", file_format):
        generate(spec(tmp_path / name, days=2, file_format=name))
        rows = Bank(tmp_path / name).accepted("clickstream", "event_id")
        sound[name] = {
            row["event_id"]: {k: str(v) for k, v in row.items() if v is not None and k not in ("at", "properties")}
            for row in rows
        }
        for row in sound[name].values():
            for field in ("event_time", "received_time"):
                row[field] = dt.datetime.fromisoformat(row[field]).isoformat()
    assert sound["ndjson"] == sound[file_format]


@pytest.mark.parametrize("source", sorted(FIELDS))
def test_fields_are_those_of_the_contract_and_all_occur(bank: Bank, source: str) -> None:
    seen = {
        name
        for _, _, row in bank.rows[source]
        if row is not None
        for name, value in row.items()
        if value is not None and name != "at"
    }
    assert seen == set(FIELDS[source].split())


def test_every_file_adds_up(bank: Bank) -> None:
    files = {file["path"]: file for file in bank.truth["files"]}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    broken = []
    for source, rows in bank.rows.items():
        seen: set[str] = set()
        key = FIELDS[source].split()[0]
        for path, record, row in rows:
            counts[path]["lines"] += 1
            if wrong := defect(source, row):
                counts[path]["broken"] += 1
                broken.append((path, record, *wrong))
                continue
            assert row is not None
            unique = source not in ("customers", "consents")
            if unique and row[key] in seen:
                counts[path]["duplicate"] += 1
            elif row.get("visitor_id") in bank.bots:
                counts[path]["bot"] += 1
            else:
                counts[path]["events"] += 1
            seen.add(row[key])
            if source == "clickstream":
                delay = dt.datetime.fromisoformat(row["received_time"]) - dt.datetime.fromisoformat(row["event_time"])
                counts[path]["late"] += delay >= dt.timedelta(hours=1)
    assert counts.keys() == files.keys()
    for path, file in files.items():
        names = ("lines", "broken", "duplicate", "bot", "events", "late")
        assert {name: file[name] for name in names} == {name: counts[path][name] for name in names}, path
        assert file["lines"] == file["broken"] + file["duplicate"] + file["bot"] + file["events"]
    listed = [(line["path"], line["record"], line["field"], line["reason"]) for line in bank.truth["broken_lines"]]
    assert sorted(broken, key=str) == sorted(listed, key=str)
    assert {reason for *_, reason in listed} >= {"malformed", "missing_required", "bad_time", "unknown_value"}
    totals = bank.truth["clickstream"]["totals"]
    assert totals["accepted"] == len(bank.accepted("clickstream", "event_id"))
    assert totals["duplicate"] == sum(bank.truth["clickstream"]["duplicates"].values()) > 0


def test_line_numbers_count_the_header_of_csv(bank: Bank) -> None:
    lines = [line for line in bank.truth["broken_lines"] if line["path"].endswith(".csv.gz")]
    assert lines and all(line["line"] == line["record"] + 1 for line in lines)


def test_done_files_hold_what_was_written(bank: Bank) -> None:
    announced = sorted(bank.root.rglob("*.done"))
    assert announced
    for path in announced:
        data, done = path.with_suffix(""), json.loads(path.read_text(encoding="utf-8"))
        assert done["rows"] == len(read(data))
        if "sha256" in done:
            assert done["sha256"] == hashlib.sha256(data.read_bytes()).hexdigest()
        if "totals" in done:
            amounts = [row.get("amount") for row in read(data) if row]
            total = sum((Decimal(str(amount)) for amount in amounts if isinstance(amount, int | float)), Decimal(0))
            assert Decimal(done["totals"]["amount"]) == total


def test_events_of_a_visitor_have_no_ties(bank: Bank) -> None:
    times = Counter((row["visitor_id"], row["event_time"]) for row in bank.accepted("clickstream", "event_id"))
    assert max(times.values()) == 1


def test_bots_are_crawlers_and_nobody_else_is(bank: Bank) -> None:
    for row in bank.accepted("clickstream", "event_id"):
        assert bool(CRAWLER.search(row["user_agent"])) == (row["visitor_id"] in bank.bots)


def test_sessions_by_the_thirty_minute_rule(bank: Bank) -> None:
    sessions, truth = bank.sessions(), bank.truth["sessions"]
    assert truth["total"] == len(sessions)
    assert truth["single_event"] == sum(len(session) == 1 for session in sessions)
    assert truth["by_date"] == Counter(session[0]["at"].date().isoformat() for session in sessions)


def test_a_gap_of_exactly_thirty_minutes_is_planted(tmp_path: Path) -> None:
    generate(spec(tmp_path, customers=300, days=3))
    bank = Bank(tmp_path)
    gaps = [
        later["at"] - earlier["at"]
        for earlier, later in zip(bank.events, bank.events[1:], strict=False)
        if earlier["visitor_id"] == later["visitor_id"]
    ]
    assert bank.truth["sessions"]["exact_timeout_gaps"] == gaps.count(HALF_HOUR) > 0
    assert gaps.count(HALF_HOUR + dt.timedelta(milliseconds=1)) > 0
    assert bank.truth["sessions"]["total"] == len(bank.sessions())


def test_account_opening_funnel(bank: Bank) -> None:
    truth = bank.truth["account_opening"]
    steps = truth["steps"]
    people: dict[str, list[Line]] = defaultdict(list)
    for row in sorted(bank.events, key=lambda row: row["at"]):
        if any(is_view(row, step) for step in steps):
            people[row["customer_id"]].append(row)
    assert None not in people
    reached = []
    for rows in people.values():
        entries = []
        for start, row in enumerate(rows):
            if not is_view(row, steps[0]):
                continue
            step = 1
            for later in rows[start + 1 :]:
                if later["at"] - row["at"] > dt.timedelta(days=14):
                    break
                if step < len(steps) and is_view(later, steps[step]):
                    step += 1
            entries.append(step)
        reached.append((entries[0], max(entries)) if entries else (0, 0))
    assert truth["funnel"]["first_entry"] == [sum(first > i for first, _ in reached) for i in range(len(steps))]
    assert truth["funnel"]["best"] == [sum(best > i for _, best in reached) for i in range(len(steps))]
    assert truth["funnel"]["best"][-1] > 0


def test_planted_error_in_one_app_version(bank: Bank) -> None:
    truth = bank.truth["account_opening"]["planted_error"]
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for session in bank.sessions():
        if any(is_view(row, truth["page_code"]) for row in session):
            counts = counted[session[0].get("app_version") or "web"]
            counts["sessions"] += 1
            counts["failed"] += any(row.get("error_code") == truth["error_code"] for row in session)
            counts["finished"] += any(is_view(row, "ACO050") for row in session)
    assert truth["by_app_version"] == counted
    assert {version for version, counts in counted.items() if counts["failed"]} == {truth["app_version"]}
    with_error, without = truth["with_error"], truth["without_error"]
    assert with_error["finished"] / with_error["sessions"] < without["finished"] / without["sessions"]


def test_remittance_intent(bank: Bank) -> None:
    truth = bank.truth["remittance_intent"]
    forms = [row for row in bank.events if row.get("page_code") == truth["page_code"] and row.get("customer_id")]
    found: dict[str, set[str]] = defaultdict(set)
    for remittance in bank.transactions:
        if remittance["transaction_code"] != "FX_REMIT" or remittance["currency"] != "USD":
            continue
        at = dt.datetime.fromisoformat(remittance["transaction_time"])
        for row in forms:
            close = dt.timedelta(0) <= at - row["at"] <= HALF_HOUR and row["customer_id"] == remittance["customer_id"]
            if close and remittance["amount"] >= truth["amount_usd"]:
                found["by_view"] |= {row["customer_id"]} if is_view(row, truth["page_code"]) else set()
                found["by_input"] |= {row["customer_id"]} if row.get("action_type") == "input" else set()
    assert truth["by_view"] == sorted(found["by_view"])
    assert truth["by_input"] == sorted(found["by_input"]) != []
    assert set(truth["by_input_successful"]) <= found["by_input"]


def test_shared_devices_have_anonymous_sessions_between(bank: Bank) -> None:
    users: dict[str, set[str]] = defaultdict(set)
    for row in bank.events:
        if row.get("customer_id"):
            users[row["visitor_id"]].add(row["customer_id"])
    shared = {visitor: sorted(people) for visitor, people in users.items() if len(people) > 1}
    assert {device["visitor_id"]: device["customer_ids"] for device in bank.truth["shared_devices"]} == shared != {}
    who = [
        {row["customer_id"] for row in session if row.get("customer_id")}
        for session in bank.sessions()
        if session[0]["visitor_id"] == bank.truth["shared_devices"][0]["visitor_id"]
    ]
    assert max(map(len, who)) == 1
    known = [i for i, people in enumerate(who) if people]
    assert any(not people for people in who[known[0] : known[-1]])


def test_propensities_differ(bank: Bank, tmp_path: Path) -> None:
    history: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for _, _, row in bank.rows["customers"]:
        assert row is not None
        history[row["customer_id"]].append((row["effective_date"], row["investment_propensity"]))
    sessions: Counter[str] = Counter()
    viewing: Counter[str] = Counter()
    for session in bank.sessions():
        known = [row for row in session if row.get("customer_id")]
        if known:
            day = known[-1]["at"].date().isoformat()
            propensity = [p for since, p in history[known[-1]["customer_id"]] if since <= day][-1]
            sessions[propensity] += 1
            viewing[propensity] += any(is_view(row, "DEP010") for row in session)
    truth = bank.truth["propensity"]
    assert {name: truth[name]["sessions"] for name in truth} == {name: sessions[name] for name in truth}
    assert {name: truth[name]["sessions_viewing"]["DEP010"] for name in truth} == {
        name: viewing[name] for name in truth
    }

    large = generate(spec(tmp_path, customers=800, days=4))["propensity"]
    share = {
        (name, page): large[name]["sessions_viewing"][page] / large[name]["sessions"]
        for name in ("conservative", "aggressive")
        for page in ("STK020", "DEP020")
    }
    assert share["aggressive", "STK020"] > 3 * share["conservative", "STK020"]
    assert share["conservative", "DEP020"] > 3 * share["aggressive", "DEP020"]


def test_transactions_lie_in_sessions_of_their_customer_or_outside_all(bank: Bank) -> None:
    truth = bank.truth["transactions"]
    assert truth["accepted"] == len(bank.transactions)
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    for row in bank.transactions:
        if row.get("amount") is not None:
            amounts[row.get("currency", "KRW")] += Decimal(str(row["amount"]))
    assert {currency: Decimal(amount) for currency, amount in truth["amount_by_currency"].items()} == amounts
    spans: dict[str, list[tuple[dt.datetime, dt.datetime]]] = defaultdict(list)
    for session in bank.sessions():
        for customer in {row["customer_id"] for row in session if row.get("customer_id")}:
            spans[customer].append((session[0]["at"], session[-1]["at"]))
    last_landed = max(row["received_time"] for row in bank.events)
    for row in bank.transactions:
        at = dt.datetime.fromisoformat(row["transaction_time"])
        inside = any(start <= at <= end for start, end in spans[row["customer_id"]])
        # The events of a session near the end of the data may still be on their way.
        if row["channel"] in ("web", "app"):
            assert inside or at.isoformat() > last_landed[:11]
        else:
            assert not inside
    assert set(truth["by_channel"]) == {"web", "app", "branch", "atm", "call"}


def test_landing_zone_of_another_bank_is_refused(bank: Bank) -> None:
    with pytest.raises(ValueError, match="holds another sample bank"):
        generate(spec(bank.root, seed=99))


@pytest.mark.parametrize(
    "changes", [{"customers": 9}, {"days": 0}, {"seed": -1}, {"from_day": 10}, {"file_format": "xml"}]
)
def test_impossible_banks_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must"):
        spec(tmp_path, **changes)


def test_number_of_events_and_screens(tmp_path: Path) -> None:
    truth = generate(spec(tmp_path, customers=customers_for(20_000, 4), days=4, nodes=300))
    assert truth["clickstream"]["totals"]["lines"] == pytest.approx(20_000, rel=0.15)
    assert len(Site(300)) == len({page.code or page.path for page in Site(300).pages}) == 300


def test_command_prints_json_and_wrong_usage_is_exit_2(tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path / "cli"), "--customers", "20", "--days", "1", "--seed", "5", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["parameters"]["customers"] == 20
    assert CliRunner().invoke(app, ["--out", str(tmp_path), "--days", "0"]).exit_code == 2


def test_surveys_are_answered_by_who_was_asked(bank: Bank) -> None:
    """After the rule's first page was seen, with consent, with one of the choices of its message."""
    rules = {rule["id"]: rule for rule in definitions("rules")}
    messages = {message["id"]: message for message in definitions("messages")}
    consented = {row["customer_id"] for _, _, row in bank.rows["consents"] if row and row["granted"] == "true"}
    answered = bank.accepted("survey_responses", "response_id")
    assert answered
    for row in answered:
        rule, at = rules[row["rule_id"]], dt.datetime.fromisoformat(row["responded_at"])
        assert rule["action"]["kind"] == "survey"
        page = rule["steps"][0]["where"]["page_code"]
        seen = [
            event["at"]
            for event in bank.events
            if event.get("customer_id") == row["customer_id"] and is_view(event, page)
        ]
        assert any(HALF_HOUR <= at - moment <= dt.timedelta(days=1) for moment in seen)
        assert row["customer_id"] in consented
        [question] = messages[rule["action"]["message_id"]]["questions"]
        assert row["answers"][question["id"]] in {choice["ko"] for choice in question["choices"]}


def definitions(kind: str) -> list[Any]:
    found: list[Any] = yaml.safe_load((REPO / f"dbt_project/definitions/{kind}.yml").read_text(encoding="utf-8"))[kind]
    return found
