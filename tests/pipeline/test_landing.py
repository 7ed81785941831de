"""Landing on a real PostgreSQL: every line accounted for, every file exactly once, whatever happens."""

from __future__ import annotations

import gzip
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from io import BufferedReader
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from tests.pipeline.test_corrections import environment
from tests.pipeline.zone import Zone, event, transaction
from typer.testing import CliRunner

from journeymart.cli import build_app
from journeymart.cli.__main__ import OneLine
from journeymart.db import connect
from journeymart.errors import JourneymartError
from journeymart.landing import FileResult, LandingFile, discover, indexes
from journeymart.landing import load as loading
from journeymart.settings import REPO

DEFINITIONS = Path(__file__).parent / "definitions"


EVERY_FIELD = {
    "event_id": "e1",
    "event_time": "2025-06-01T09:00:00.123456+09:00",
    "visitor_id": "v1",
    "customer_id": "c1",
    "session_id": "s1",
    "received_time": "2025-06-01T00:00:01Z",
    "channel": "app",
    "domain": "m.bank.example",
    "page_url": "https://m.bank.example/fx?x=1",
    "referrer_url": "https://www.search.example:443/q",
    "page_code": "FX010",
    "page_name": "해외송금",
    "action_type": "input",
    "click_text": "송금",
    "click_name": "btn",
    "checkbox": "동의",
    "popup_name": "pop",
    "tab_name": "tab",
    "step_position": "2",
    "utm_source": "naver",
    "utm_medium": "cpc",
    "utm_campaign": "c",
    "utm_term": "t",
    "utm_content": "k",
    "error_code": "E1",
    "error_page": "FX011",
    "exit_menu": "menu",
    "ip": "10.0.0.1",
    "user_agent": "UA",
    "os": "Android",
    "device_type": "mobile",
    "device_model": "SM",
    "app_version": "1.2",
    "properties": {"ab": "x"},
}


def test_every_field_of_an_event_is_kept(zone: Zone):
    zone.put("clickstream/a.ndjson", [EVERY_FIELD])
    [result] = zone.land()
    assert (result.status, result.rows_read, result.rows_loaded, result.rows_quarantined) == ("loaded", 1, 1, 0)
    stored = zone.value(
        """
        select to_jsonb(e) || to_jsonb(c) || to_jsonb(v) || to_jsonb(k) || to_jsonb(n) || to_jsonb(a) || to_jsonb(i)
            || to_jsonb(x) || to_jsonb(t) || jsonb_build_object('name', m.name, 'last', m.last_at = e.event_at,
               'event_time', to_char(e.event_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
               'received_time', to_char(c.received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS'))
        from raw.event e join raw.clickstream c using (row_id) join raw.visitor v using (visitor_key)
        join raw.customer k using (customer_key) join raw.node n using (node_id) join raw.agent a using (agent_key)
        join raw.inflow i using (inflow_key) join raw.error x using (error_key) join raw.action t using (action_id)
        join raw.node_name m using (node_id)
        """
    )
    expected = {
        **EVERY_FIELD,
        "event_time": "2025-06-01T00:00:00.123456",
        "received_time": "2025-06-01T00:00:01",
        "tag_session_id": "s1",
        "ip": "10.0.0.0",
        "referrer_domain": "www.search.example",
        "kind": "page",
        "code": "FX010",
        "name": "해외송금",
        "last": True,
        "row_id": (result.file_id or 0) << 32 | 1,
    }
    for field in ("session_id", "page_code"):  # stored under other names, above
        del expected[field]
    assert {key: stored[key] for key in expected} == expected


def test_an_id_made_of_several_columns_tells_rows_apart(zone: Zone):
    """Whatever is written in them and whether they are empty; a column that a file does not have is empty, too."""
    plan = zone.define("sources:\n  clickstream:\n    fields:\n      event_id: {hash: [a, b, c]}\n")
    plain = {key: value for key, value in event(1).items() if key != "event_id"}
    different = [{"a": "x"}, {"b": "x"}, {"a": "x", "b": "y"}, {"a": "x|y"}, {"a": '["x","y"'}]
    zone.put("clickstream/1.ndjson", [{**plain, **values} for values in different])
    same = [{"a": "x", "b": None, "c": ""}, {"a": "x", "b": "y", "c": None}]
    zone.put("clickstream/2.ndjson", [{**plain, **values} for values in same])
    assert [result.rows_loaded for result in zone.land(definitions=plan)] == [5, 2]
    assert zone.value("select count(distinct event_hash) from raw.event") == len(different)


def test_the_event_hash_is_64_bits_of_md5(zone: Zone):
    zone.put("clickstream/a.ndjson", [event(number) for number in range(200)])
    zone.land()
    assert zone.value(
        """
        select count(*) from raw.event join raw.clickstream using (row_id)
        where event_hash = ('x' || left(md5(event_id), 16))::bit(64)::bigint
        """
    ) == 200  # fmt: skip


def test_every_line_ends_as_a_row_or_in_quarantine(zone: Zone):
    lines = [
        json.dumps(event(1)),
        "",
        "{broken",
        "[1]",
        json.dumps({**event(2), "event_time": "yesterday"}),
        json.dumps({**event(3), "visitor_id": ""}),
        json.dumps({**event(4), "visitor_id": "v" * 257}),
        json.dumps({**event(5), "action_type": "hover"}),
        json.dumps({**event(6), "event_time": "1969-12-31T23:59:59Z"}),
        json.dumps({**event(7), "click_text": "a\0b"}),
        json.dumps({**event(8), "properties": {"a": "\0"}}),
        json.dumps(event(9))[:-1] + ', "extra": 1e999999}',
        json.dumps(event(10))[:-1] + ', "extra": NaN}',
        json.dumps(event(11))[:-1] + ', "extra": ' + "[" * 30_000 + "]" * 30_000 + "}",
        json.dumps(event(12), ensure_ascii=False),
        json.dumps({**event(6), "event_time": "2199-12-31T23:59:59Z"}),
        "\t" + json.dumps(event(14)),
    ]
    content = ("\n".join(lines) + "\n").encode() + b'{"event_id": "\xff"}\n' + b"\0\n" + json.dumps(event(13)).encode()
    zone.put("clickstream/a.ndjson", content)
    [result] = zone.land()
    assert (result.rows_read, result.rows_loaded, result.rows_quarantined) == (19, 4, 15)
    found = [(line_no, field, reason[:50]) for line_no, field, reason in zone.quarantine()]
    assert found == [
        (3, None, "The line is not JSON."),
        (4, None, "The line is not a JSON object."),
        (5, "event_time", "event_time is not a time (ISO 8601 or as declared)"),
        (6, "visitor_id", "visitor_id is missing."),
        (7, "visitor_id", "visitor_id is longer than 256 characters: 'vvvvvvv"),
        (8, "action_type", "action_type is not one of view, click, select, inp"),
        (9, "event_time", "event_time is before 1970 or after 2199: '1969-12-"),
        (10, "click_text", "click_text contains a NUL character."),
        (11, "properties", "properties cannot be stored as JSON because of 'a'"),
        (12, "properties", "properties cannot be stored as JSON because of 'ex"),
        (13, "properties", "properties cannot be stored as JSON because of 'ex"),
        (14, "properties", "properties cannot be stored as JSON."),
        (16, "event_time", "event_time is more than 1 day ahead of the clock: "),
        (18, None, "The line is not UTF-8 at byte 15."),
        (19, None, "The line contains a NUL byte."),
    ]
    assert zone.query("select row_id & 4294967295 from raw.event order by 1") == [(1,), (15,), (17,), (20,)]
    assert zone.value("select line from raw.quarantine where line_no = 3") == "{broken"
    long_value = zone.value("select reason from raw.quarantine where line_no = 7")
    assert long_value.endswith("'" + "v" * 80 + "…'.")


def test_unknown_fields_are_kept_in_properties(zone: Zone):
    zone.put(
        "clickstream/a.ndjson",
        [
            event(1, colour="red", nested={"a": [1, None]}),
            event(2, colour=1, properties={"p": True}),
            event(3, properties=["no", "object"], colour="x"),
            event(4),
        ],
    )
    zone.put("clickstream/b.csv", "event_id,event_time,visitor_id,colour,empty\nb,2025-06-01,v,green,\n")
    zone.land()
    assert [row[0] for row in zone.query("select properties from raw.clickstream order by row_id")] == [
        {"colour": "red", "nested": {"a": [1, None]}},
        {"colour": 1, "p": True},
        {"colour": "x", "properties": ["no", "object"]},
        None,
        {"colour": "green"},
    ]


def test_unknown_columns_of_parquet_are_what_ndjson_makes_of_them(zone: Zone):
    unknown: list[dict[str, Any]] = [
        {"deep": {"a": [1, {"b": "x"}], "c": None}, "list": ["y"]},
        {"deep": {"a": [], "c": None}, " ": 2.5},
    ]
    lines = [event(number, **fields) for number, fields in enumerate(unknown)]
    lines[0]["deep"]["a"] = lines[1]["deep"]["a"] = [{"b": "x"}]  # one type, as Parquet needs
    zone.put("clickstream/a.ndjson", lines)
    pq.write_table(pa.Table.from_pylist([*lines], pa.schema([
        *((name, pa.string()) for name in event(1)),
        ("deep", pa.struct({"a": pa.list_(pa.struct({"b": pa.string()})), "c": pa.string()})),
        ("list", pa.list_(pa.string())), (" ", pa.float64()),
    ])), zone.directory / "clickstream/b.parquet")  # fmt: skip
    zone.land()
    found = [row[0] for row in zone.query("select properties from raw.clickstream order by row_id")]
    assert found[:2] == found[2:]
    assert found[0] == {"deep": {"a": [{"b": "x"}], "c": None}, "list": ["y"]}


def test_a_number_that_json_has_not_is_rejected_with_its_column(zone: Zone):
    table = pa.table({
        **{name: [value] * 3 for name, value in event(1).items()}, "event_id": ["a", "b", "c"],
        "score": [1.5, float("nan"), 2.0], "deep": [{"x": 1.0}, {"x": 2.0}, {"x": float("inf")}],
    })  # fmt: skip
    (zone.directory / "clickstream").mkdir()
    pq.write_table(table, zone.directory / "clickstream/a.parquet")
    assert zone.land()[0].rows_loaded == 1
    assert [(line_no, reason) for line_no, _, reason in zone.quarantine()] == [
        (2, "properties cannot be stored as JSON because of 'score'."),
        (3, "properties cannot be stored as JSON because of 'deep'."),
    ]


TIMES = ["20250601T090000+0900", "2025-06-01T09:00:00,000+09", "20250601T000000.0Z", "2025-06-01T0900", "20250601T09"]


@pytest.mark.parametrize("kind", ["ndjson", "csv", "parquet"])
def test_times_and_dates_in_every_way_of_iso_8601(zone: Zone, kind: str):
    customers = [{"customer_id": "c1", "effective_date": "20250601", "joined_on": "2025-06-01"}]
    for source, rows in (
        ("clickstream", [event(number, event_time=text) for number, text in enumerate(TIMES)]),
        ("customers", customers),
    ):
        file = zone.put(f"{source}/a.{kind}", rows)
        if kind == "csv":
            arrow_csv.write_csv(pa.Table.from_pylist(rows), file)
        elif kind == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), file)
    zone.land()
    assert zone.quarantine() == []
    assert zone.query("select distinct event_at at time zone 'UTC' from raw.event") == [(datetime(2025, 6, 1),)]
    assert zone.value("select effective_date = joined_on from raw.customers")


@pytest.mark.parametrize("text", ["20250631T090000", "20250601090000", "20250601T0900,5", "1748736000"])
def test_digits_that_are_no_time_of_iso_8601(zone: Zone, text: str):
    zone.put("clickstream/a.ndjson", [event(1, event_time=text)])
    zone.land()
    assert [field for _, field, _ in zone.quarantine()] == ["event_time"]


def test_a_file_that_the_plan_rejected_is_taken_once_it_is_corrected(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    zone.put("customers/a.csv", "CUST_NO\nc1\n")
    zone.put("customers/a.txt", "c2")
    assert [result.status for result in zone.land()] == ["rejected", "rejected"]
    definitions = zone.define("sources: {customers: {fields: {customer_id: {from: CUST_NO}}}}")
    assert zone.land(definitions=definitions) == []
    for variable, value in environment(zone.settings).items():
        monkeypatch.setenv(variable, value)
    options = ["--landing", str(zone.directory), "--definitions", str(definitions), "--again"]
    assert CliRunner().invoke(build_app(), ["land", *options]).stdout == "1 loaded; 1 rows loaded, 0 in quarantine\n"


def test_a_source_may_have_another_encoding(zone: Zone):
    definitions = zone.define("sources: {customers: {encoding: cp949}}")
    zone.put("customers/a.csv", "customer_id,region\nc1,서울\nc2,부산\n".encode("cp949"))
    zone.put("customers/b.ndjson", '{"customer_id": "c3", "region": "똠"}\n'.encode("cp949"))
    zone.put("customers/c.ndjson", '{"customer_id": "c4", "region": "서울"}\n'.encode())
    zone.land(definitions=definitions)
    assert zone.query("select region from raw.customers order by row_id") == [("서울",), ("부산",), ("똠",)]
    assert zone.quarantine() == [(1, None, "The line is not CP949 at byte 34.")]


def test_times_without_offset_are_in_the_zone_of_the_source(zone: Zone):
    rows = [event(1, event_time="2025-06-01 09:00:00"), event(2, event_time="2025-06-01T00:00:00Z")]
    zone.put("clickstream/a.ndjson", rows)
    zone.land()
    assert zone.value("select count(distinct event_at) from raw.event") == 1
    other = zone.define("sources: {clickstream: {time_zone: America/New_York}}")
    zone.put("clickstream/b.ndjson", [event(3, event_time="2025-01-01T00:00:00"), event(4, event_time="2025-07-01")])
    zone.land(definitions=other)
    assert zone.query(
        "select to_char(event_at at time zone 'UTC', 'MM-DD HH24:MI') from raw.event order by row_id desc limit 2"
    ) == [("07-01 04:00",), ("01-01 05:00",)]


@pytest.mark.parametrize(
    ("how", "given", "expected"),
    [
        ("epoch_s", "1748736000.25", "2025-06-01 00:00:00.250000"),
        ("epoch_ms", "1748736000123", "2025-06-01 00:00:00.123000"),
        ("epoch_us", "1748736000123456", "2025-06-01 00:00:00.123456"),
        ("'%d.%m.%Y %H:%M'", "01.06.2025 09:00", "2025-06-01 00:00:00.000000"),
    ],
)
def test_times_as_other_tools_write_them(zone: Zone, how: str, given: str, expected: str):
    own = zone.define(f"sources: {{clickstream: {{fields: {{event_time: {{from: ts, time: {how}}}}}}}}}")
    zone.put("clickstream/a.csv", f"event_id,ts,visitor_id\na,{given},v\nb,99999999999999999999999999,v\nc,x,v\n")
    [result] = zone.land(definitions=own)
    assert (result.rows_loaded, result.rows_quarantined) == (1, 2)
    assert (
        zone.value("select to_char(event_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') from raw.event") == expected
    )


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"page_code": "P1", "page_url": "https://b.example/x"}, "page", "P1"),
        ({"page_url": "https://b.example/a/12/34/?q=1#top"}, "url", "/a/:id/:id"),
        ({"page_url": "https://b.example"}, "url", "/"),
        ({"page_url": "https://b.example//a//index.html"}, "url", "/a"),
        ({"page_url": "/a/0a1b2c3d-0000-4000-8000-0123456789ab"}, "url", "/a/:id"),
        ({"page_url": "app://main/home;jsessionid=12AB?x"}, "url", "/home"),
        ({"page_url": "https://b.example/" + "a" * 400}, "url", "/" + "a" * 255),
        ({}, "url", "(none)"),
        ({"page_code": "(none)"}, "page", "(none)"),
    ],
)
def test_the_node_of_an_event(zone: Zone, fields: dict[str, str], kind: str, code: str):
    zone.put("clickstream/a.ndjson", [{**event(1), "page_code": None, **fields}])
    zone.land()
    assert zone.query("select kind, code from raw.node") == [(kind, code)]


@pytest.mark.parametrize(
    ("fields", "domain"),
    [
        ({"referrer_url": "https://Search.example:8443/q?x=1"}, "search.example"),
        ({"referrer_url": "https://www.bank.example/a", "domain": "bank.example"}, None),
        ({"referrer_url": "https://bank.example/a", "page_url": "https://www.bank.example/b"}, None),
        ({"referrer_url": "https://user:secret@host.example/a"}, "host.example"),
        ({"referrer_url": "(direct)"}, None),
        ({}, None),
    ],
)
def test_the_referrer_is_where_a_visit_came_from(zone: Zone, fields: dict[str, str], domain: str | None):
    zone.put("clickstream/a.ndjson", [event(1, **fields)])
    zone.land()
    rows = zone.query("select referrer_domain from raw.event join raw.inflow using (inflow_key)")
    assert rows == ([] if domain is None else [(domain,)])


def test_a_page_keeps_the_time_of_each_of_its_names(zone: Zone):
    early, late = "2025-06-01T00:00:00Z", "2025-06-02T00:00:00Z"
    zone.put("clickstream/a.ndjson", [event(0, page_name="new", event_time=late)])
    zone.land()
    zone.put("clickstream/b.ndjson", [event(7, page_name="new", event_time=early), event(14, page_name="old")])
    zone.land()
    found = zone.query("select name, to_char(last_at at time zone 'UTC', 'DD HH24') from raw.node_name order by 1")
    assert found == [("new", "02 00"), ("old", "01 01")]


def test_the_same_rows_in_any_format_are_the_same(zone: Zone):
    rows = [event(number, click_text=f'"{number}",\n한글') for number in range(500)]
    table = pa.Table.from_pylist(rows)
    zone.put("clickstream/1.ndjson", rows)
    arrow_csv.write_csv(table, zone.directory / "clickstream/2.csv")
    pq.write_table(table, zone.directory / "clickstream/3.parquet")
    zone.put("clickstream/4.ndjson.gz", rows)
    (zone.directory / "clickstream/5.ndjson.zst").write_bytes(
        pa.compress((zone.directory / "clickstream/1.ndjson").read_bytes(), "zstd", asbytes=True)
    )
    typed = table.set_column(
        1, "event_time", pa.array([row["event_time"][:-6] for row in rows]).cast(pa.timestamp("us"))
    )
    pq.write_table(typed, zone.directory / "clickstream/6.parquet")
    assert {result.status for result in zone.land()} == {"loaded"}
    per_file = zone.query(
        """
        select count(*), sum(event_hash), min(event_at), max(event_at), sum(visitor_key), sum(node_id), max(agent_key),
            md5(string_agg(click_text, '|' order by event_id))
        from raw.event join raw.clickstream using (row_id) group by row_id >> 32
        """
    )
    assert len(per_file) == 6
    assert len(set(per_file)) == 1


def test_amounts_are_exact(zone: Zone):
    amounts = ["0.1", "0.20", "-5", "1234567890123456.7891", '"9999999999999999.9999"', "1000.0", "9999999999999999.75"]
    wrong = ["0.00001", "1.23456", '"12,5"', "12345678901234567", '"NaN"', "1e3", "-1.5E+03", '"1e3"', "1e999"]
    # The same key further inside is another amount.
    lines = [
        json.dumps(transaction(n, fields={"a": 1}))[:-2] + f', "amount": 9e9}}, "amount": {value}}}'
        for n, value in enumerate(amounts + wrong)
    ]
    zone.put("transactions/a.ndjson", "\n".join(lines))
    [result] = zone.land()
    assert result.totals == {"amount": "21234567890124451.839"}
    stored = [str(row[0]) for row in zone.query("select amount from raw.transactions order by row_id")]
    assert stored == [
        "0.1000", "0.2000", "-5.0000", "1234567890123456.7891", "9999999999999999.9999", "1000.0000",
        "9999999999999999.7500",
    ]  # fmt: skip
    assert zone.value("select sum(amount)::text from raw.transactions") == zone.value(
        "select to_char((totals ->> 'amount')::numeric, 'FM99999999999999999.0000') from raw.file"
    )
    no_number = "amount is not a decimal number of at most 16 digits before the point: "
    assert [(field, reason) for _, field, reason in zone.quarantine()] == [
        ("amount", "amount has more than 4 decimals: '0.00001'."),
        ("amount", "amount has more than 4 decimals: '1.23456'."),
        ("amount", f"{no_number}'12,5'."),
        ("amount", f"{no_number}'12345678901234567'."),
        ("amount", f"{no_number}'NaN'."),
        ("amount", "amount is in scientific notation: '1e3'."),
        ("amount", "amount is in scientific notation: '-1.5E+03'."),
        ("amount", "amount is in scientific notation: '1e3'."),
        ("amount", f"{no_number}'1e999'."),
    ]
    header = "transaction_id,transaction_time,customer_id,transaction_code,amount\n"
    zone.put("transactions/b.csv", header + "x,2025-06-01,c,FX,2e3\ny,2025-06-01,c,FX,2000\n")
    [result] = zone.land()
    assert (result.rows_loaded, result.rows_quarantined) == (1, 1)
    assert zone.quarantine()[-1] == (2, "amount", "amount is in scientific notation: '2e3'.")


def test_a_row_of_a_parquet_file_goes_to_quarantine_as_json(zone: Zone):
    rows = [event(1, click_text=""), {**event(2), "visitor_id": None}, {**event(3), "click_text": "a\0b"}]
    (zone.directory / "clickstream").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), zone.directory / "clickstream/a.parquet")
    [result] = zone.land()
    assert (result.rows_loaded, result.rows_quarantined) == (1, 2)
    assert [row[:2] for row in zone.quarantine()] == [(2, "visitor_id"), (3, "click_text")]
    assert json.loads(zone.value("select line from raw.quarantine where line_no = 2"))["event_id"] == "e2"


def test_texts_of_parquet_that_their_writer_calls_bytes(zone: Zone):
    """As Impala and old Hive do. Bytes that are no text stay what they were."""
    texts = {"event_id": "e1", "event_time": "2025-06-01", "visitor_id": "v", "page_name": "화면", "memo": "다"}
    columns = {name: pa.array([text.encode()]) for name, text in texts.items()}
    pq.write_table(pa.table(columns | {"raw": [b"\0\1"]}), zone.put("clickstream/a.parquet", b""))
    assert zone.land()[0].rows_loaded == 1
    assert zone.query("select page_name, properties from raw.clickstream") == [
        ("화면", {"memo": "다", "raw": r"\x00\x01"})
    ]


def test_compressed_parquet_files(zone: Zone):
    (zone.directory / "clickstream").mkdir()
    for number, (ending, compression) in enumerate({"gz": "gzip", "zst": "zstd"}.items()):
        with pa.output_stream(zone.directory / f"clickstream/a.parquet.{ending}", compression=compression) as stream:
            pq.write_table(pa.Table.from_pylist([event(number)]), stream)
    whole = (zone.directory / "clickstream/a.parquet.gz").read_bytes()
    (zone.directory / "clickstream/cut.parquet.gz").write_bytes(whole[: len(whole) // 2])
    (zone.directory / "clickstream/none.parquet.gz").write_bytes(b"no gzip")
    results = zone.land()
    assert [(result.status, result.rows_loaded) for result in results] == [
        ("loaded", 1), ("loaded", 1), ("rejected", 0), ("rejected", 0),
    ]  # fmt: skip
    assert (results[3].error or "").startswith("clickstream/none.parquet.gz cannot be decompressed: ")


def test_the_other_sources(zone: Zone):
    zone.put(
        "transactions/a.ndjson",
        [
            transaction(
                1, visitor_id="v1", currency="USD", amount="1.5", fields={"bank": "A"}, session_id="s", channel="web"
            )
        ],
    )
    zone.put("customers/a.csv", 'customer_id,birth_year,joined_on,attributes\nc1,1980,2020-02-29,"{""a"": 1}"\n')
    zone.put("consultations/a.ndjson", [{"consultation_id": "k1", "customer_id": "c1", "consulted_at": "2025-06-01"}])
    zone.put(
        "campaign_sends/a.ndjson", [{"send_id": "s1", "customer_id": "c2", "sent_at": "2025-06-01", "campaign_id": "m"}]
    )
    assert [result.rows_loaded for result in zone.land()] == [1, 1, 1, 1]
    assert zone.query(
        "select kind, code, amount::text, currency, fields, tag_session_id, visitor_id, customer_id"
        " from raw.transactions"
        " join raw.node using (node_id) join raw.visitor using (visitor_key) join raw.customer using (customer_key)"
    ) == [("transaction", "FX", "1.5000", "USD", {"bank": "A"}, "s", "v1", "c1")]
    assert zone.query("select birth_year, joined_on::text, attributes from raw.customers") == [
        (1980, "2020-02-29", {"a": 1})
    ]
    assert zone.value("select count(*) from raw.consultations join raw.customer using (customer_key)") == 1
    assert zone.value("select count(*) from raw.campaign_sends join raw.customer using (customer_key)") == 1


def test_messages_of_fixed_width(zone: Zone):
    header = "DT0000000000001FX_REMIT    2026060109301512302C1000000010000USD+000000001500050"
    remit = header.encode() + b"110-***-123456  USDVN" + "유학생 경비".encode("cp949").ljust(20) + b"000007500"
    records = [b"H20260601", remit, remit.replace(b"FX_REMIT", b"FX_REMIX"), remit.replace(b"20260601", b"20260631")]
    zone.put("transactions/core.dat.gz", b"\r\n".join([*records, b"T000000003+00000000004500150"]))
    zone.put("customers/core.dat", b"H")
    assert [(result.path, result.error) for result in zone.land()] == [
        ("customers/core.dat", "customers/core.dat is a .dat file, which holds messages of transactions only"),
        ("transactions/core.dat.gz", None),
    ]
    assert zone.query(
        "select transaction_id, transacted_at::text, customer_id, code, channel, result_code, amount, currency, fields"
        " from raw.transactions join raw.customer using (customer_key) join raw.node using (node_id)"
    ) == [
        (
            "T0000000000001", "2026-06-01 09:30:15.123+09", "C100000001", "FX_REMIT", "atm", "0000",
            Decimal("15000.5000"), "USD",
            {
                "account_no": "110-***-123456", "currency": "USD", "beneficiary_country": "VN",
                "purpose": "유학생 경비", "fee_krw": 7500,
            },
        )
    ]  # fmt: skip
    assert zone.quarantine() == [
        (3, "transaction_code", "There is no layout for transaction_code 'FX_REMIX'."),
        (4, "transaction_time", "transaction_time is not a time as laid out: '20260631093015123'."),
    ]


def test_messages_with_json_bodies(zone: Zone):
    definitions = zone.define(
        """
file:
  header:
    - {name: transaction_id, length: 3, field: transaction_id, label: {ko: 거래, en: Id}}
    - {name: code, length: 2, field: transaction_code, label: {ko: 코드, en: Code}}
    - {name: time, length: 14, type: time, field: transaction_time, label: {ko: 일시, en: Time}}
    - {name: customer_id, length: 2, field: customer_id, label: {ko: 고객, en: Customer}}
transactions:
  FX:
    label: {ko: 외환, en: FX}
    category: {ko: 외환, en: FX}
    body: json
    items:
      - {name: amount, type: number, field: amount, label: {ko: 금액, en: Amount}}
      - {name: account_no, key: acctNo, personal: account, label: {ko: 계좌번호, en: Account}}
""",
        "transactions",
    )
    header = "001FX20260601093015C1"
    zone.put("transactions/a.dat", f'{header}{{"amount": 12.5, "acctNo": "77001122", "memo": "a@b.co"}}\n{header}{{\n')
    zone.land(definitions=definitions)
    [(amount, fields, properties)] = zone.query("select amount, fields, properties from raw.transactions")
    assert (amount, properties) == (Decimal("12.5"), {"memo": mock.ANY})
    assert fields["account_no"].startswith("account-")
    assert properties["memo"].startswith("email-")
    assert zone.quarantine() == [(2, None, "The body is not JSON.")]


def test_dictionaries_waste_no_keys(zone: Zone):
    for number in range(3):
        zone.put(f"clickstream/{number}.ndjson", [event(row, click_text=str(number)) for row in range(50)])
        zone.land()
    assert zone.value("select max(visitor_key) from raw.visitor") == 50
    assert zone.value("select max(node_id) from raw.node") == 7
    assert zone.value("select max(agent_key) from raw.agent") == 1


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"properties": {"a": 1}, "zz": 2}, {"a": 1, "zz": 2}),
        ({"properties": {"zz": 1}, "zz": 2, "b": 3}, {"zz": 1, "_line": {"zz": 2, "b": 3}}),
        ({"properties": {"zz": {"a": 1}}, "zz": {"b": 2}}, {"zz": {"a": 1}, "_line": {"zz": {"b": 2}}}),
        (
            {"properties": {"zz": 1, "_line": 4}, "zz": 2},
            {"properties": {"zz": 1, "_line": 4}, "_line": {"zz": 2}},
        ),
        ({"properties": 1, "_line": 4}, {"properties": 1, "_line": 4}),
    ],
)
def test_what_has_no_field_is_kept_beside_properties_of_the_same_name(zone: Zone, fields: object, kept: object):
    assert isinstance(fields, dict)
    zone.put("clickstream/a.ndjson", [event(1, **fields)])
    zone.land()
    assert zone.query("select properties from raw.clickstream") == [(kept,)]


# ── the ledger ──


def test_a_folder_of_no_source_is_not_passed_over_in_silence(zone: Zone, caplog: pytest.LogCaptureFixture):
    zone.put("clickstreams/2025/a.ndjson", [event(1)])
    zone.put("_aside/a.ndjson", [event(2)])
    zone.put("unfinished/a.ndjson.part", [event(3)])
    zone.put("clickstream/a.ndjson", [event(4)])
    why = (
        "clickstreams is a folder of no source; did you mean 'clickstream'? (sources: clickstream, transactions,"
        " customers, consultations, campaign_sends, subscriptions, survey_responses, consents)"
    )
    found = [(result.path, result.status, result.error) for result in zone.land()]
    assert found == [("clickstream/a.ndjson", "loaded", None), ("clickstreams", "rejected", why)]
    assert zone.query("select path, error from raw.file where status = 'rejected'") == [("clickstreams", why)]
    caplog.clear()
    assert zone.land() == []
    assert f"{zone.directory}/{why}: nothing of it is loaded" in caplog.text
    assert zone.land(source="clickstream") == []


def test_a_file_in_no_folder_is_not_passed_over_in_silence(zone: Zone, caplog: pytest.LogCaptureFixture):
    zone.put("a.ndjson.gz", json.dumps(event(1)))
    zone.put("a.ndjson.gz.done", "{}")
    zone.put("b.csv.part", "event_id\n1\n")
    zone.put("truth.json", "{}")
    [result] = zone.land()
    assert (result.path, result.status) == ("a.ndjson.gz", "rejected")
    assert result.error is not None
    assert result.error.startswith("a.ndjson.gz lies in the folder of no source (sources: clickstream, ")
    assert zone.land() == []
    assert "nothing of it is loaded" in caplog.text


def test_a_key_that_comes_twice_costs_its_line(zone: Zone):
    twice = json.dumps(event(2))[:-1] + ', "event_id": "e3"}'
    nested = json.dumps(event(4))[:-1] + ', "properties": {"a": 1, "a": 2}}'
    more = json.dumps(event(5))[:-1] + ', "plan": 1, "plan": 2}'
    zone.put("clickstream/a.ndjson", "\n".join([json.dumps(event(1)), twice, nested, more, "x"]) + "\n")
    [result] = zone.land()
    assert (result.rows_loaded, result.rows_quarantined) == (2, 3)
    assert zone.quarantine() == [
        (2, None, "The line has the key 'event_id' twice."),
        (4, None, "The line has the key 'plan' twice."),
        (5, None, "The line is not JSON."),
    ]


def test_a_file_is_loaded_once(zone: Zone):
    file = zone.put("clickstream/a.ndjson", [event(1)])
    assert [result.status for result in zone.land()] == ["loaded"]
    assert zone.land() == []
    zone.put("clickstream/again/b.ndjson", file.read_bytes())
    assert [result.status for result in zone.land()] == ["repeated"]
    assert zone.land() == []
    assert zone.value("select count(*) from raw.event") == 1
    assert zone.query("select path, repeat_of is not null from raw.file order by file_id") == [
        ("clickstream/a.ndjson", False),
        ("clickstream/again/b.ndjson", True),
    ]
    zone.put("clickstream/a.ndjson", [event(1), event(2)])
    assert [result.rows_loaded for result in zone.land()] == [2]


def test_equal_files_of_one_run(zone: Zone):
    for name in ("a", "b", "c"):
        zone.put(f"clickstream/{name}.ndjson", [event(1)])
    assert [result.status for result in zone.land()] == ["loaded", "repeated", "repeated"]
    assert zone.value("select count(*) from raw.event") == 1


@pytest.mark.parametrize(
    ("done", "error"),
    [
        ({"rows": 99}, "has 2 rows, but its .done declares 99"),
        ({"sha256": "00"}, "has the sha256 "),
        ({"totals": {"amount": "9"}}, "has a total of amount of 3.5, but its .done declares 9"),
        ({"totals": {"amout": "3.5"}}, "has a .done with a total of 'amout'"),
    ],
)
def test_a_repeat_has_to_be_what_was_declared(zone: Zone, done: object, error: str):
    rows = [transaction(1, amount="1.5"), transaction(2, amount="2")]
    zone.put("transactions/a.ndjson", rows)
    zone.put("transactions/b.ndjson", rows, done)
    for statuses in (["loaded", "rejected"], ["rejected"]):  # in one run with its original, and later
        results = zone.land()
        assert [result.status for result in results] == statuses
        assert (results[-1].error or "").startswith(f"transactions/b.ndjson {error}")
        zone.put("transactions/b.ndjson", rows, done)
    zone.put("transactions/b.ndjson", rows, {"rows": 2, "totals": {"amount": "3.50"}})
    assert [result.status for result in zone.land()] == ["repeated"]


def test_the_total_of_a_repeat_with_quarantined_lines(zone: Zone):
    """The ledger has the totals of loaded rows only."""
    rows = [transaction(1, amount="1.5"), transaction(2, amount="2", transaction_time="soon")]
    zone.put("transactions/a.ndjson", rows)
    zone.put("transactions/b.ndjson", rows, {"rows": 2})
    zone.put("transactions/c.ndjson", rows, {"totals": {"amount": "3.5"}})
    results = zone.land()
    assert [result.status for result in results] == ["loaded", "repeated", "rejected"]
    reason = "it repeats transactions/a.ndjson, of which lines are in quarantine or erased"
    assert results[2].error == f"transactions/c.ndjson has a .done that cannot be checked: {reason}"
    declared = {"totals": {"amount": "3.5"}}
    rows[0]["amount"], rows[1]["amount"] = "1", "2.5"
    zone.put("transactions/d.ndjson", rows, declared)
    zone.put("transactions/e.ndjson", rows, declared)
    assert [result.status for result in zone.land()] == ["loaded", "repeated"]


def test_an_empty_file_repeats_an_empty_file_only_if_it_can_be_one(zone: Zone):
    zone.put("clickstream/a.ndjson", b"")
    zone.put("clickstream/b.ndjson", b"", {"rows": 1000})
    zone.put("clickstream/c.parquet", b"")
    zone.put("clickstream/d.ndjson", b"", {"rows": 0})
    results = zone.land()
    assert [result.status for result in results] == ["loaded", "rejected", "rejected", "repeated"]
    assert [result.error for result in results[1:3]] == [
        "clickstream/b.ndjson has 0 rows, but its .done declares 1000",
        "clickstream/c.parquet is not readable as Parquet: it is empty",
    ]


def test_only_complete_files_are_discovered(zone: Zone):
    zone.put("clickstream/b/2.ndjson", [event(1)])
    zone.put("clickstream/a/1.csv.gz", "event_id\n")
    for ignored in (".hidden.ndjson", "_x.ndjson", "x.ndjson.tmp", "x.ndjson.part", "x.ndjson.done"):
        zone.put(f"clickstream/{ignored}", "")
    zone.put("elsewhere/x.ndjson", "")
    found = discover(zone.directory, settings=zone.settings)
    assert [(file.path, file.format, file.compression) for file in found] == [
        ("clickstream/a/1.csv.gz", "csv", "gzip"),
        ("clickstream/b/2.ndjson", "ndjson", None),
    ]
    only = discover(zone.directory, settings=zone.settings, paths={"clickstream/b/2.ndjson"})
    assert [file.path for file in only] == ["clickstream/b/2.ndjson"]
    assert discover(zone.directory, settings=zone.settings, source="transactions") == []
    waiting = zone.define("sources: {clickstream: {require_done: true}}")
    assert discover(zone.directory, waiting, settings=zone.settings) == []
    zone.put("clickstream/b/2.ndjson.done", "")
    assert len(discover(zone.directory, waiting, settings=zone.settings)) == 1


def test_a_wrong_landing_zone_or_source_is_an_error(zone: Zone):
    with pytest.raises(JourneymartError, match="no landing zone"):
        discover(zone.directory / "nowhere", settings=zone.settings)
    with pytest.raises(JourneymartError, match="did you mean 'clickstream'"):
        discover(zone.directory, source="clickstreams", settings=zone.settings)


def sha256(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_what_the_sender_declares_is_checked(zone: Zone):
    rows = [transaction(1, amount="1.10"), transaction(2, amount="2.20"), transaction(3, customer_id="", amount="3.30")]
    file = zone.put("transactions/a.ndjson", rows)
    zone.put("transactions/a.ndjson.done", json.dumps({"rows": 3, "totals": {"amount": "6.6"}, "sha256": sha256(file)}))
    [result] = zone.land()
    assert (result.status, result.rows_loaded, result.totals) == ("loaded", 2, {"amount": "3.3"})
    assert zone.value("select declared ->> 'rows' from raw.file") == "3"


@pytest.mark.parametrize(
    ("done", "message"),
    [
        ({"rows": 3}, "transactions/a.ndjson has 2 rows, but its .done declares 3"),
        ({"totals": {"amount": "3.31"}}, "has a total of amount of 3.3, but its .done declares 3.31"),
        ({"totals": {"fee": "1"}}, "has a .done with a total of 'fee'"),
        ({"sha256": "00"}, "but its .done declares 00"),
        ({"row": 2}, "did you mean 'rows'?"),
        ("not json", "cannot be checked against its .done"),
        ("[" * 50_000, "cannot be checked against its .done"),
    ],
)
def test_a_file_that_differs_from_its_done_is_rejected(zone: Zone, done: object, message: str):
    rows = [transaction(1, amount="1.10"), transaction(2, amount="2.20")]
    file = zone.put("transactions/a.ndjson", rows, done)
    zone.put("transactions/b.ndjson", [transaction(3)])
    assert [result.status for result in zone.land()] == ["rejected", "loaded"]
    assert message in zone.value("select error from raw.file where status = 'rejected'")
    assert zone.value("select count(*) from raw.transactions") == 1
    assert zone.land() == []
    Path(f"{file}.done").write_text('{"rows": 2}')
    assert [result.status for result in zone.land()] == ["loaded"]


def test_a_rejected_file_comes_again_when_it_has_changed(zone: Zone):
    good = gzip.compress(json.dumps(event(1)).encode() * 1000)
    (zone.directory / "clickstream").mkdir()
    file = zone.directory / "clickstream/a.ndjson.gz"
    file.write_bytes(good[:-9])
    zone.put("clickstream/b.ndjson", [event(2)])
    [result, other] = zone.land()
    assert (other.status, other.rows_loaded) == ("loaded", 1)
    assert (result.status, result.error) == (
        "rejected",
        "clickstream/a.ndjson.gz cannot be decompressed: Truncated compressed stream",
    )
    assert zone.land() == []
    file.write_bytes(gzip.compress(json.dumps(event(1)).encode()))
    assert [result.status for result in zone.land()] == ["loaded"]


def test_files_that_cannot_be_read_are_rejected_with_their_reason(zone: Zone):
    zone.put("clickstream/1.csv", "event_id,event_time\na,2025-06-01\n")
    zone.put("clickstream/2.txt", "")
    zone.put("clickstream/3.parquet", "no parquet")
    zone.put("clickstream/5.ndjson", [event(1)])
    (zone.directory / "clickstream/4.ndjson").symlink_to("5.ndjson")
    errors = [result.error for result in zone.land()]
    assert errors[0] is not None
    assert errors[0].startswith(
        "clickstream/1.csv has no column for the required field 'visitor_id' (looked for 'visitor_id'"
    )
    assert errors[1] is not None
    assert errors[1].startswith("clickstream/2.txt has the unknown ending '.txt'; known are .ndjson")
    assert errors[2] is not None
    assert errors[2].startswith("clickstream/3.parquet is not readable as Parquet")
    assert errors[3] == "clickstream/4.ndjson is not a regular file; links are not followed"
    assert errors[4] is None
    assert zone.value("select count(*) from raw.event") == 1


def test_file_names_are_data(zone: Zone):
    name = "clickstream/'; drop table raw.file; --\n한글.ndjson"
    zone.put(name, [event(1)])
    assert [result.status for result in zone.land()] == ["loaded"]
    assert zone.value("select path from raw.file") == name


def test_file_names_forge_no_line(zone: Zone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    name = "clickstream/a\nclickstream/b.ndjson: loaded\x1b[2K\u2028\u202e.txt"
    shown = r"clickstream/a\nclickstream/b.ndjson: loaded\x1b[2K\u2028\u202e.txt"
    zone.put(name, "")
    for variable, value in environment(zone.settings).items():
        monkeypatch.setenv(variable, value)
    landed = CliRunner().invoke(build_app(), ["land", "--landing", str(zone.directory)])
    listed = CliRunner().invoke(build_app(), ["files"])
    [(path, error)] = zone.query("select path, error from raw.file")
    assert (path, error.startswith(f"{shown} has the unknown ending")) == (name, True)
    assert landed.stderr == f"{error}\n"
    assert shown.split(maxsplit=1)[0] in listed.stdout
    assert "\x1b" not in listed.stdout
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(OneLine("%(message)s"))
    handler.handle(logging.makeLogRecord({"msg": "%s cannot be read", "args": (name,)}))
    assert capsys.readouterr().out == f"{shown} cannot be read\n"


@pytest.mark.timeout(60)
def test_a_done_that_is_no_file_is_neither_followed_nor_waited_for(zone: Zone):
    """Who may write into the landing zone shall not have read what the loader may."""
    secret = zone.directory / "secrets.env"
    secret.write_text("JM_ADMIN_PASSWORD=secret")
    Path(f"{zone.put('clickstream/1.ndjson', [event(1)])}.done").symlink_to(secret)
    os.mkfifo(f"{zone.put('clickstream/2.ndjson', [event(2)])}.done")
    Path(f"{zone.put('clickstream/3.ndjson', [event(3)])}.done").mkdir()
    assert [result.status for result in zone.land()] == ["rejected"] * 3
    assert zone.land() == []
    said = " ".join(map(str, zone.query("select declared, error from raw.file order by file_id")))
    assert "secret" not in said
    assert said.count("cannot be read: ") == 3


def test_a_total_without_end_costs_nothing(zone: Zone):
    zone.put("transactions/a.ndjson", [transaction(1, amount="1")], {"totals": {"amount": "1e99999999"}})
    [result] = zone.land()
    assert result.error == "transactions/a.ndjson has a total of amount of 1, but its .done declares 1E+99999999"


def test_file_names_are_no_markup_of_the_progress_bar(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    zone.put("clickstream/a[/red].ndjson", [event(1)])
    for name, value in environment(zone.settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    landed = CliRunner().invoke(build_app(), ["land", "--landing", str(zone.directory)], catch_exceptions=False)
    assert (landed.exit_code, zone.value("select rows_loaded from raw.file")) == (0, 1)


def test_a_file_that_changes_while_it_is_read_is_postponed(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    file = zone.put("clickstream/a.ndjson", [event(1)])
    [found] = discover(zone.directory, settings=zone.settings)
    file.write_bytes(file.read_bytes() * 2)
    with loading.Loader("test-run", settings=zone.settings) as loader:
        [result] = loader.land([found])
    assert (result.status, result.error) == ("postponed", "clickstream/a.ndjson changed while it was read")
    assert zone.statuses() == []
    assert [result.rows_loaded for result in zone.land()] == [2]


def test_a_link_put_in_the_place_of_a_file_while_it_is_read_is_not_followed(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
):
    file = zone.put("clickstream/a.ndjson", [event(1)])
    secret, aside = zone.directory / "secret", zone.directory / "aside"
    secret.write_text(json.dumps(event(2)) + "\n")

    opened = LandingFile.open

    @contextmanager
    def swapped(found: LandingFile) -> Iterator[BufferedReader]:
        with opened(found) as stream:
            file.rename(aside)
            file.symlink_to(secret)
            yield stream
            file.unlink()
            aside.rename(file)

    monkeypatch.setattr(LandingFile, "open", swapped)
    assert [result.status for result in zone.land()] == ["loaded"]
    assert file.is_file()
    assert zone.value("select event_id from raw.clickstream") == event(1)["event_id"]


def test_a_link_put_in_the_place_of_a_folder_is_not_followed(zone: Zone):
    file = zone.put("clickstream/in/a.ndjson", [event(1)])
    other = zone.put("elsewhere/a.ndjson", [event(2)])
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    [found] = [found for found in discover(zone.directory, settings=zone.settings) if found.source == "clickstream"]
    file.parent.rename(zone.directory / "aside")
    file.parent.symlink_to(other.parent)
    with loading.Loader("test-run", settings=zone.settings) as loader:
        [result] = loader.land([found])
    assert (result.status, result.error) == ("rejected", "clickstream/in/a.ndjson cannot be read: Not a directory")


def test_many_small_files_share_transactions(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    for number in range(40):
        zone.put(f"clickstream/{number:02}.ndjson", [event(number * 10 + row) for row in range(10)])
    zone.put("clickstream/20.ndjson", [event(1), {"event_id": "x"}])
    loads: list[int] = []
    load = loading.Loader._load

    def counted(loader: loading.Loader, files: list[LandingFile], careful: bool = False) -> list[FileResult]:
        loads.append(len(files))
        return load(loader, files, careful)

    monkeypatch.setattr(loading.Loader, "_load", counted)
    results = zone.land()
    assert loads == [40]
    assert sum(result.rows_loaded for result in results) == 391
    assert [row[2:] for row in zone.statuses()] == [(r.rows_read, r.rows_loaded, r.rows_quarantined) for r in results]
    assert zone.query("select path, line_no from raw.quarantine join raw.file using (file_id)") == [
        ("clickstream/20.ndjson", 2)
    ]


def test_small_and_large_files_in_one_batch(zone: Zone):
    """DuckDB gathers the rows of small portions behind a join and lets large ones pass."""
    for path, count in {"a": 30, "b": 3000, "c": 40, "d": 2500, "e": 1}.items():
        rows = [transaction(number, transaction_id=f"{path}{number}", channel="atm") for number in range(2, count + 2)]
        arrow_csv.write_csv(pa.Table.from_pylist(rows), zone.directory / zone.put(f"transactions/{path}.csv", ""))
    assert sum(result.rows_loaded for result in zone.land()) == 5571
    assert zone.value("""
        select bool_and(transaction_id = substr(path, 14, 1) || (row_id & 4294967295))
        from raw.transactions join raw.file on file_id = row_id >> 32
    """)


def test_several_chunks_are_one_file(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loading, "BATCH_BYTES", 5_000)
    monkeypatch.setattr("journeymart.landing.readers.CHUNK_BYTES", 5_000)
    lines = [event(number, visitor_id=f"v{number // 2}") if number % 100 else {} for number in range(1000)]
    zone.put("clickstream/a.ndjson", lines)
    [result] = zone.land()
    assert (result.rows_read, result.rows_loaded, result.rows_quarantined) == (1000, 990, 10)
    assert zone.value("select count(distinct row_id) from raw.event") == 990
    assert [line_no for line_no, *_ in zone.quarantine()] == [number + 1 for number in range(0, 1000, 100)]
    assert zone.value("select bool_and('e' || (row_id & 4294967295) - 1 = event_id) from raw.clickstream")
    # encoders that work at the same time add no value twice, and waste no key
    assert zone.query("select count(*), max(visitor_key) - min(visitor_key) from raw.visitor") == [(500, 499)]


def test_concurrent_loaders_load_each_content_once(zone: Zone):
    for number in range(30):
        zone.put(f"clickstream/{number:02}.ndjson", [event(number * 100 + row) for row in range(100)])
        zone.put(f"clickstream/copy-{29 - number:02}.ndjson", [event(number * 100 + row) for row in range(100)])
    found = discover(zone.directory, settings=zone.settings)

    def run(files: list[LandingFile]) -> list[FileResult]:
        with loading.Loader("test-run", settings=zone.settings) as loader:
            return [loader._land_one(file) for file in files]

    with ThreadPoolExecutor(3) as pool:
        results = [
            r for run_results in pool.map(run, [found, found[::-1], found[20:] + found[:20]]) for r in run_results
        ]
    assert sum(result.status == "loaded" for result in results) == 30
    assert zone.value("select count(*) from raw.event") == 3000
    assert zone.value("select count(*) from raw.file where status = 'loaded'") == 30
    assert zone.value("select count(*) from raw.file where status = 'repeated'") == 30
    assert zone.land() == []


KILLED = """
import sys
from pathlib import Path
from typing import Any
from unittest import mock
from journeymart.landing import land
from journeymart.settings import Settings
land(Path(sys.argv[1]), "killed", settings=Settings.load())
"""


def test_kill_at_any_moment_loses_and_doubles_nothing(zone: Zone):
    for number in range(4):
        zone.put(f"clickstream/{number}.ndjson.gz", [event(number * 20_000 + row) for row in range(20_000)])
    environment = {
        **os.environ,
        **zone.settings.secrets,
        "PYTHONPATH": str(REPO / "plugins"),
        "JOURNEYMART_PG_HOST": zone.settings.pg_host,
        "JOURNEYMART_PG_PORT": str(zone.settings.pg_port),
        "JOURNEYMART_PG_DATABASE": zone.settings.pg_database,
    }
    for delay in (0.8, 1.2, 1.6, 2.0, 2.5, 3.0):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(zone.directory)], env=environment)
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        whole_files = zone.value("select count(*) from raw.file") * 20_000
        assert zone.value("select count(*) from raw.event") == whole_files
        assert zone.value("select count(*) from raw.clickstream") == whole_files
    zone.land()
    assert zone.value("select count(*) from raw.event") == 80_000
    assert zone.value("select count(distinct event_id) from raw.clickstream") == 80_000
    assert {row[1:] for row in zone.statuses()} == {("loaded", 20_000, 20_000, 0)}


def test_indexes_are_built_behind_a_load_that_outweighs_the_tables(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    def indexed() -> list[str]:
        return [row[0] for row in zone.query("select indexname from pg_indexes where schemaname = 'raw'"
                " and tablename in ('event', 'clickstream') order by 1")]  # fmt: skip

    every = ["clickstream_row", "event_hash", "event_row"]
    during: list[list[str]] = []
    monkeypatch.setattr(indexes, "BULK_BYTES", 500)
    for name, rows in (("bulk", 10), ("small", 1), ("outweighed", 20)):
        zone.put(f"clickstream/{name}.ndjson", [event(number, click_text=name) for number in range(rows)])
        zone.land(progress=lambda *_: during.append(indexed()))
        assert indexed() == every
    assert during == [[], every, every]
    # a run that was killed in between
    with connect("jm_loader", settings=zone.settings) as warehouse:
        warehouse.execute("select raw.drop_event_indexes()")
    assert indexed() == []
    zone.put("clickstream/next.ndjson", [event(1)])
    zone.land()
    assert indexed() == every


def test_loaders_that_end_together_build_the_indexes_once(zone: Zone):
    def build(_loader: int) -> None:
        with connect("jm_loader", settings=zone.settings, autocommit=True) as warehouse:
            indexes.create_behind(warehouse)

    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with connect("jm_loader", settings=zone.settings, autocommit=True) as warehouse:
        warehouse.execute("select raw.drop_event_indexes()")
    with ThreadPoolExecutor(2) as loaders, connect("jm_admin", settings=zone.settings) as third:
        third.execute("lock table raw.event in row exclusive mode")  # as a load that goes on
        built = loaders.map(build, range(2))
        while zone.value(waiting) < 2:
            time.sleep(0.01)
        third.rollback()
        assert list(built) == [None, None]
    assert zone.value("select count(*) from pg_indexes where tablename = 'event' and schemaname = 'raw'") == 2


# ── foreign files, by YAML alone ──


@pytest.mark.parametrize(
    ("dataset", "files", "rows"),
    [
        ("simple_shop_2019", {"clickstream": "simple_shop_2019/events.csv"}, 38_010),
        ("diginetica_sample", {"clickstream": "diginetica_sample/train-item-views.csv"}, 12_391),
        ("semicomplete_apache_2015", {"clickstream": "semicomplete_apache_2015/access.log"}, 10_000),
        ("bpi_12_w", {"clickstream": "bpi_logs/bpi_12_w.csv"}, 72_413),
        ("diy_woodworking_2014", {"transactions": "diy_woodworking_2014/purchase.csv.gz"}, 41_031),
    ],
)
def test_real_files_load_without_loss(zone: Zone, shared_data: Path, dataset: str, files: dict[str, str], rows: int):
    for source, name in files.items():
        file = shared_data / "real" / name
        target = zone.directory / source / file.name
        target.parent.mkdir(parents=True)
        target.write_bytes(file.read_bytes())
    [result] = zone.land(definitions=DEFINITIONS / dataset)
    assert (result.rows_read, result.rows_loaded, result.rows_quarantined) == (rows, rows, 0)


def test_access_log_lines_that_are_none_go_to_quarantine(zone: Zone):
    lines = [
        '10.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a?x=1 HTTP/1.1" 200 2326 "http://r.co/" "Moz \\"x\\" 4"',
        '10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /b HTTP/1.1" 200 - "-" "Mozilla (cut',
        '10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "\\x16\\x03" 400 0 "-" "-"',
        "nonsense",
        '10.0.0.1 - - [10/Oct/2000:13:55:36 -9900] "GET /b HTTP/1.1" 200 - "-" "-"',
    ]
    zone.put("clickstream/access.log", "\n".join(lines))
    [result] = zone.land(definitions=DEFINITIONS / "semicomplete_apache_2015")
    assert (result.rows_loaded, result.rows_quarantined) == (3, 2)
    assert zone.quarantine() == [
        (4, None, "The line is not in the combined log format."),
        (
            5,
            "event_time",
            "event_time is not a time (ISO 8601 or as declared): '10/Oct/2000:13:55:36 -9900'.",
        ),
    ]
    found = zone.query(
        "select code, user_agent from raw.event join raw.node using (node_id) join raw.agent using (agent_key)"
        " order by row_id"
    )
    assert found == [("/a", 'Moz \\"x\\" 4'), ("/b", "Mozilla (cut"), ("(none)", None)]
    assert zone.value("select bool_and(event_at = '2000-10-10 20:55:36+00') from raw.event")
