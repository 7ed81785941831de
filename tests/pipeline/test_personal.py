# ruff: noqa: RUF001 - wide digits and dashes are what this is about
"""Personal data planted in every field of every source is nowhere after a run: not in a table, a log or a page."""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.pipeline.zone import Zone, event

from journeymart import pipeline
from journeymart.db import connect
from journeymart.definitions.sources import Field, load_sources
from journeymart.landing import discover
from journeymart.settings import Settings

# What must not be found, whatever stands between its digits.
SECRETS = {
    "hong.gildong@bank.example": ("hong.gildong@bank.example", "hong.gildong%40bank.example"),
    "01098765432": ("010-9876-5432", "01098765432", "+82 10 9876 5432", "０１０９８７６５４３２", "%2Fu%2F01098765432",
                    quote("０１０９８７６５４３２"), r"메모\n010\u002d98765432"),
    "9001011234568": ("900101-1234568", "9001011234568"),
    "1102345678901": ("110-234-5678901", "계좌번호: 1102345678901"),
    "4111111111111111": ("4111-1111-1111-1111", "4111111111111111"),
}  # fmt: skip
TEXT = "문의 " + " / ".join(value for written in SECRETS.values() for value in written) + " 끝"
LINK = "https://bank.example/u/hong.gildong@bank.example/x?t=010-9876-5432&acct_no=1102345678901#900101-1234568"
NESTED = {"deep": [{"acctNo": "1102345678901", "rrn": 9001011234568}, TEXT], "hong.gildong@bank.example": True}
ADDRESS = "203.0.113.77"
VALID = {
    "time": "2026-06-01T10:00:00+09:00",
    "date": "2026-06-01",
    "integer": 1980,
    "decimal": "1.5",
    "boolean": True,
}


def planted(fields: dict[str, Field]) -> Iterator[dict[str, Any]]:
    """Lines with secrets in one field each: all ways of writing them in text, one in a key, none in a sound number."""
    for number, (field, rules) in enumerate(fields.items()):
        line = {key: VALID.get(rules.type, f"{key}{number}") for key, rules in fields.items() if rules.required}
        line = {"ip": ADDRESS, **line} if "ip" in fields else line
        in_key = [value for written in SECRETS.values() for value in written]
        ways: dict[str, list[Any]] = {"key": in_key, "json": [NESTED]}
        for value in ways.get(rules.type, [TEXT, LINK]):
            line |= {key: f"{key}{number}{len(str(value))}" for key, rules in fields.items() if key.endswith("_id")}
            yield {**line, field: value}
    yield {**line, "unheard_of": NESTED, "hong.gildong@bank.example": "010-9876-5432"}


def contents(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every row of every table and view as text, with the name of its relation."""
    with connect("jm_admin", settings=settings) as warehouse:
        relations = warehouse.execute(
            "select format('%I.%I', n.nspname, c.relname) from pg_class as c"
            " inner join pg_namespace as n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'v', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')"
        ).fetchall()
        for (relation,) in relations:
            for (row,) in warehouse.execute(f"select t::text from {relation} as t".encode()):  # noqa: S608 - quoted
                yield relation, row


def found(text: str) -> list[str]:
    """The secrets in a text."""
    read = unquote(re.sub(r"\\+u00(2d|2D)", "-", text))
    plain = re.sub(r"[-. +]", "", unicodedata.normalize("NFKC", read))
    return [secret for secret in [*SECRETS, ADDRESS] if secret in text or secret in plain]


def test_personal_data_is_nowhere(
    warehouse: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG, "journeymart")
    landing = tmp_path / "landing"
    lines = {}
    for source, rules in load_sources().sources.items():
        lines[source] = list(planted(rules.fields))
        (landing / source).mkdir(parents=True)
        texts = [json.dumps(line, ensure_ascii=number % 2 == 0) for number, line in enumerate(lines[source])]
        texts += [f'{{"broken": "{TEXT}"', f'[{ADDRESS}, "{TEXT}"]']
        (landing / source / "a.ndjson").write_text("\n".join(texts), encoding="utf-8")
        (landing / source / "no header.csv").write_text(f'"{TEXT}",{ADDRESS}\n1,2\n', encoding="utf-8")
    events = lines["clickstream"]
    columns = list(load_sources().sources["clickstream"].fields)
    rows = [[json.dumps(v) if isinstance(v := line.get(c), dict) else v for c in columns] for line in events]
    table = pa.table({c: [None if row[i] is None else str(row[i]) for row in rows] for i, c in enumerate(columns)})
    pq.write_table(table, landing / "clickstream" / "b.parquet")
    named = ["hong.gildong@bank.example.ndjson", "010-9876-5432/a.csv"]
    for number, name in enumerate(named):
        (landing / "clickstream" / name).parent.mkdir(exist_ok=True)
        (landing / "clickstream" / name).write_text("x" * number)
    (landing / "010-9876-5432").mkdir()
    (landing / "010-9876-5432/a.csv").write_text("x")
    (landing / "clickstream/c.ndjson").write_text("xx")
    (landing / "clickstream/c.ndjson.done").write_text(json.dumps({"supersedes": f"clickstream/{named[0]}"}))
    header = "DT0000000000001WITHDRAW    2026060109301512302C1        0000   +000000005000000"
    messages = [header + "110-234-5678901 ", header.replace("WITHDRAW", "UNHEARD1") + "9001011234568" * 3]
    messages += [header + "4111111111111111 too long"]
    content = "\n".join(["H20260601", *messages, "T000000003+00000000015000000"])
    (landing / "transactions" / "core.dat").write_bytes(content.encode("cp949"))

    run = pipeline.run(warehouse, landing, run_id="planted")
    assert run.checks is not None
    assert run.publication is not None

    statuses = {file.path.partition("/")[2] or file.path: file.status for file in run.files}
    assert statuses == {
        "a.ndjson": "loaded", "no header.csv": "rejected", "b.parquet": "loaded", "core.dat": "loaded",
        "*email*.ndjson": "rejected", "*phone*/a.csv": "rejected",
        "c.ndjson": "rejected", "*phone*": "rejected",
    }  # fmt: skip
    errors = {file.path: file.error for file in run.files}
    assert errors["clickstream/*email*.ndjson"] == (
        "clickstream/*email*.ndjson has a name with a personal value in it: rename it, nothing of it is loaded"
    )
    assert [file.path for file in discover(landing, settings=warehouse)] == []
    stored = list(contents(warehouse))
    assert [(relation, secrets, row) for relation, row in stored if (secrets := found(row))] == []
    text = "\n".join(row for _, row in stored)
    for kind in ("email", "phone", "resident_number", "account", "card"):
        assert f"*{kind}*" in text
        assert re.search(f"{kind}-[0-9a-f]{{24}}", text)
    assert "203.0.113.0" in text
    with connect("jm_admin", settings=warehouse) as connection:
        [[kept]] = connection.execute("select count(*) from raw.quarantine where line ~ '[*]phone[*]'").fetchall()
        assert kept > 2 * len(lines)
        assert connection.execute("select code from raw.node where kind = 'url' and code ~ '^/u/'").fetchall() == [
            ("/u/:id/x",)
        ]

    captured = capfd.readouterr()
    # The archive holds files as they were sent.
    files = [path for path in warehouse.home.rglob("*") if path.is_file() and warehouse.archive not in path.parents]
    assert any(path.suffix == ".html" for path in files)
    for written in [caplog.text, captured.out, captured.err, *(path.read_text(errors="replace") for path in files)]:
        assert found(written) == []


def test_customers_devices_and_addresses_can_be_pseudonyms(zone: Zone) -> None:
    """The same in every source and format; and a line that cannot be taken apart is not kept."""
    definitions = zone.define("personal: {customer: hash, device: hash, ip: hash}\nsources: {}\n")
    zone.put("clickstream/a.ndjson", [
        event(1, visitor_id="device77", customer_id="CUST001", ip=ADDRESS),
        event(2, visitor_id="device77", customer_id="CUST001", event_time="never", note="CUST001 x"),
        event(3, visitor_id="v" * 300, customer_id="CUST001"),
    ])  # fmt: skip
    zone.put("clickstream/b.ndjson", '{"customer_id": "CUST001"\n')
    zone.put("customers/a.csv", "customer_id,grade\nCUST001,gold\nCUST001,a,b\n")
    header = "DT0000000000001WITHDRAW    2026060109301512302CUST001   0000   +000000005000000"
    zone.put("transactions/a.dat", f"H20260601\n{header}110-***-123456  \nT000000001+00000000005000000\n")
    assert [result.status for result in zone.land(definitions=definitions)] == ["loaded"] * 4
    everything = [(relation, row) for relation, row in contents(zone.settings) if relation.startswith("raw.")]
    given = re.compile(f"CUST001|device77|v{{20}}|{re.escape(ADDRESS)}")
    assert [(relation, row) for relation, row in everything if given.search(row)] == []
    assert len(zone.query("select customer_id from raw.customer where customer_id ~ '^customer-[0-9a-f]{24}$'")) == 1
    assert zone.value(
        "select count(distinct customer_key) from (select customer_key from raw.event union all"
        " select customer_key from raw.customers union all select customer_key from raw.transactions) as t"
    ) == 1  # fmt: skip
    assert zone.quarantine() == [
        (2, "event_time", "event_time is not a time (ISO 8601 or as declared): 'never'."),
        (3, "visitor_id", "visitor_id is longer than 256 characters: '*device*'."),
        (1, None, "The line is not JSON."),
        (3, None, "The line has 3 values instead of 2."),
    ]


def test_what_a_field_takes_from_a_nested_column_is_personal_there_too(zone: Zone) -> None:
    """The rest of the column is kept, in every format: with an address, and with devices that become pseudonyms."""
    rows = [
        {"messageId": f"m{number}", "timestamp": "2026-06-01T00:00:00Z", "anonymousId": "a1", "type": "page",
         "context": {"ip": ip, "page": {"url": "https://bank.example/fx"}, "list": [{"ip": "7"}]}}
        for number, ip in enumerate((ADDRESS, None))
    ]  # fmt: skip
    zone.put("clickstream/a.ndjson", rows)
    kept = [{**row, "messageId": f"{row['messageId']}-b"} for row in rows]
    pq.write_table(pa.Table.from_pylist(kept), zone.put("clickstream/b.parquet", b""))
    zone.land(definitions=zone.define("sources: {clickstream: {extends: segment}}\n"))
    found = zone.query("select properties -> 'context' ->> 'ip', ip from raw.clickstream order by row_id")
    assert found == [("*ip*", "203.0.113.0"), (None, None)] * 2
    assert zone.value("select count(*) from raw.clickstream where properties #>> '{context,list,0,ip}' = '7'") == 4

    session = "contexts_com_snowplowanalytics_snowplow_client_session_1"
    event = {"event_id": "s1", "derived_tstamp": "2026-06-01T00:00:00Z", "platform": "mob", "event_name": "screen_view"}
    zone.put("clickstream/c.ndjson", [{**event, session: [{"sessionId": "x", "userId": "device77"}]}])
    columns = [*event, session]
    text = ['[{"sessionId": "x", "userId": "device77"}]' if key == session else event[key] for key in columns]
    text[0] = "s2"
    quoted = ['"' + value.replace('"', '""') + '"' for value in text]
    zone.put("clickstream/d.csv", ",".join(columns) + "\n" + ",".join(quoted) + "\n")
    definitions = zone.define("personal: {device: hash}\nsources: {clickstream: {extends: snowplow}}\n")
    assert [result.rows_loaded for result in zone.land(definitions=definitions)] == [1, 1]
    everything = [(relation, row) for relation, row in contents(zone.settings) if relation.startswith("raw.")]
    assert [(relation, row) for relation, row in everything if "device77" in row or ADDRESS in row] == []
    assert len(zone.query("select visitor_id from raw.visitor where visitor_id ~ '^device-[0-9a-f]{24}$'")) == 1
