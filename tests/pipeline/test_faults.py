"""What senders, disks and networks do wrong: each ends with a clear message, nothing lost, the other files loaded."""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib
import io
import json
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from tests.pipeline.test_corrections import environment
from tests.pipeline.zone import Zone, event, transaction
from typer.testing import CliRunner

from journeymart.cli import build_app
from journeymart.db import DatabaseUnreachableError, connect
from journeymart.landing import archive, discover
from journeymart.landing import load as loading
from journeymart.landing.encode import Batch, Encoded, Encoder
from journeymart.landing.files import FileResult, LandingFile
from journeymart.landing.personal import mask_line
from journeymart.landing.quarantine import Filter, replay
from journeymart.landing.readers import CHUNK_BYTES, Chunk
from journeymart.settings import REPO, Settings

GOOD = json.dumps(event(1))


def lines_of(zone: Zone) -> list[int]:
    return [line_no for (line_no,) in zone.query("select row_id & 4294967295 from raw.event order by row_id")]


def own_fields(**types: str) -> str:
    """A plan with fields of the bank's own."""
    named = {"ko": "x", "en": "x"}
    fields = {key: {"type": kind, "label": named, "description": named} for key, kind in types.items()}
    return json.dumps({"sources": {"clickstream": {"fields": fields}}})


def csv_text(rows: list[dict[str, Any]], columns: list[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_data(zone: Zone):
    zone.put("clickstream/a.ndjson", b"\xef\xbb\xbf" + f"{GOOD}\r\n{json.dumps(event(2))}\r\n".encode())
    text = csv_text([event(3, click_name="x")], ["event_id", "event_time", "visitor_id", "page_code", "click_name"])
    zone.put("clickstream/b.csv", b"\xef\xbb\xbf" + text.encode())
    assert [(result.status, result.rows_loaded) for result in zone.land()] == [("loaded", 2), ("loaded", 1)]
    assert zone.query("select event_id, click_name from raw.clickstream order by row_id") == [
        ("e1", None),
        ("e2", None),
        ("e3", "x"),
    ]


@pytest.mark.parametrize(
    ("encoding", "reason"), [("cp949", "The line is not UTF-8 at byte "), ("utf-16", "The line contains a NUL byte.")]
)
def test_each_line_of_another_encoding_says_so(zone: Zone, encoding: str, reason: str):
    text = "".join(json.dumps(event(number, page_name="해외송금"), ensure_ascii=False) + "\n" for number in range(3))
    zone.put("clickstream/a.ndjson", text.encode(encoding))
    zone.put("clickstream/b.ndjson", [event(9)])
    first, second = zone.land()
    assert (first.rows_loaded, first.rows_quarantined) == (0, first.rows_read)
    assert first.rows_read >= 3
    assert second.rows_loaded == 1
    assert all(found.startswith(reason) for _, _, found in zone.quarantine())


def test_a_line_of_twenty_megabytes_costs_only_itself(zone: Zone):
    huge = json.dumps(event(2, click_text="x" * 20 * 2**20))
    zone.put("clickstream/a.ndjson.gz", f"{GOOD}\n{huge}\n{json.dumps(event(3))}\n")
    [result] = zone.land()
    assert (result.rows_read, result.rows_loaded, result.rows_quarantined) == (3, 2, 1)
    assert lines_of(zone) == [1, 3]
    assert zone.quarantine() == [(2, None, "The line is longer than 1,048,576 bytes.")]


def test_a_row_of_parquet_may_be_as_long_as_a_line(zone: Zone):
    """Sixty megabytes in one of them were more than the memory that a loader takes, at every run."""
    rows = pa.Table.from_pylist([event(n, click_text="x" * (60 * 2**20 if n == 2 else 1)) for n in (1, 2, 3)])
    parquet.write_table(rows, zone.put("clickstream/a.parquet", b""))
    [result] = zone.land()
    assert (result.rows_read, result.rows_loaded, result.rows_quarantined) == (3, 2, 1)
    assert lines_of(zone) == [1, 3]
    assert zone.quarantine() == [(2, None, "The line is longer than 1,048,576 bytes.")]
    assert zone.value("select length(line) from raw.quarantine") == 2**20


def test_nested_json_where_text_is_expected(zone: Zone):
    zone.put(
        "clickstream/a.ndjson",
        [
            event(1, click_text={"ko": "송금"}),
            event(2, click_text=["송금"]),
            event(3, visitor_id=[1]),
            event(4, click_text="[송금]"),
            event(5, click_text='{"ko": "송금"}', visitor_id="{v}"),
        ],
    )
    [result] = zone.land()
    assert lines_of(zone) == [4, 5]
    assert result.rows_read == 5
    assert zone.quarantine() == [
        (1, "click_text", """click_text is not text: '{"ko":"송금"}'."""),
        (2, "click_text", """click_text is not text: '["송금"]'."""),
        (3, "visitor_id", "visitor_id is not text: '[1]'."),
    ]


def test_columns_missing_extra_and_in_another_order(zone: Zone):
    columns = ["event_id", "event_time", "visitor_id", "page_code", "click_text"]
    row = event(1, click_text="t", new_column="n")
    zone.put("clickstream/1.csv", csv_text([row], [*columns, "new_column"]))
    row["event_id"] = "e2"
    zone.put("clickstream/2.csv", csv_text([row], [*reversed([*columns, "new_column"])]))
    zone.put("clickstream/3.csv", "event_id,event_time,page_code\ne3,2025-06-01,P\n")
    zone.put("clickstream/4.csv", "event_id,event_time,visitor_id\ne4,2025-06-01,v\ne5,2025-06-01\n")
    results = zone.land()
    assert [result.status for result in results] == ["loaded", "loaded", "rejected", "loaded"]
    assert "has no column for the required field 'visitor_id'" in (results[2].error or "")
    assert zone.query("select event_id, click_text, properties from raw.clickstream order by row_id") == [
        ("e1", "t", {"new_column": "n"}),
        ("e2", "t", {"new_column": "n"}),
        ("e4", None, None),
    ]
    assert zone.quarantine() == [(3, None, "The line has 2 values instead of 3.")]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("clickstream/a.ndjson", b""),
        ("clickstream/a.ndjson", b"\n\n"),
        ("clickstream/a.ndjson.gz", b""),
        ("clickstream/a.csv", b"event_id,event_time,visitor_id\n"),
    ],
)
def test_an_empty_file_is_loaded_with_no_rows(zone: Zone, path: str, content: bytes):
    zone.put(path, content)
    [result] = zone.land()
    assert (result.status, result.rows_read) == ("loaded", 0)


def test_an_empty_file_is_not_what_was_declared(zone: Zone):
    zone.put("clickstream/a.ndjson", b"", {"rows": 2})
    assert zone.land()[0].error == "clickstream/a.ndjson has 0 rows, but its .done declares 2"


def test_a_name_that_is_not_utf8_stops_no_other_file(zone: Zone):
    zone.put("clickstream/b.ndjson", [event(1)])
    Path(os.fsdecode(os.fsencode(zone.directory / "clickstream") + b"/bad\xff.ndjson")).write_text(GOOD)
    bad, good = sorted(zone.land(), key=lambda result: result.status, reverse=True)
    assert (bad.status, bad.error) == (
        "rejected", "clickstream/bad\\udcff.ndjson has a name that is not UTF-8",
    )  # fmt: skip
    assert (good.status, good.rows_loaded) == ("loaded", 1)
    assert zone.land() == []


def test_a_csv_whose_lines_end_with_cr_alone(zone: Zone):
    header = "transaction_id,transaction_time,customer_id,transaction_code"
    zone.put("transactions/a.csv", f"{header}\rx,2026-06-03T09:00:00,D1,TRANSFER\r")
    zone.put("transactions/b.csv", f"{header}\nx,2026-06-03T09:00:00,D1,TRANSFER\n")
    first, second = zone.land()
    reason = "has a carriage return within its header; lines end with LF or CR LF"
    assert (first.status, first.error) == ("rejected", f"transactions/a.csv {reason}")
    assert (second.status, second.rows_loaded) == ("loaded", 1)


@pytest.mark.parametrize("kind", [pa.time64("us"), pa.list_(pa.struct({"t": pa.time64("us")}))])
def test_a_time_of_day_beyond_the_day(zone: Zone, kind: pa.DataType):
    number = pa.array([10**16]).view(pa.time64("us"))
    if kind != number.type:
        number = pa.ListArray.from_arrays([0, 1], pa.StructArray.from_arrays([number], ["t"]))
    rows = pa.Table.from_pylist([event(1)]).append_column("at", number)
    parquet.write_table(rows, zone.put("clickstream/a.parquet", b""))
    zone.put("clickstream/b.ndjson", [event(2)])
    first, second = zone.land()
    reason = "has a time that is not within a day in its column 'at'"
    assert (first.status, first.error) == ("rejected", f"clickstream/a.parquet {reason}")
    assert (second.status, second.rows_loaded) == ("loaded", 1)


ZONES = "sources: {clickstream: {time_zone: %s}, transactions: {time_zone: %s}}"
SKIPPED = {  # a zone → times that its clocks skip, and others around them
    "America/New_York": (
        ["2025-03-09T02:30:00", "20250309T020000", " 2025-03-09 02:59:59.999 ", "2150-03-08 02:30"],
        ["2025-03-09T01:59:59.999", "2025-03-09T03:00", "2025-03-09T02:30Z", "2025-03-09T02:30:00-05:00"],
    ),
    "Europe/London": (["2025-03-30T01:30"], ["2025-03-30T01:30Z", "2025-03-30T02:30", "2025-03-30T01:30:00+0000"]),
    "America/Santiago": (["2025-09-07T00:00"], ["2025-09-07", "2025-09-07T01:00"]),  # a day alone begins when it begins
    "Australia/Lord_Howe": (["2025-10-05 02:00", "2025-10-05 02:29:59"], ["2025-10-05 02:30"]),
    "Pacific/Apia": (["2011-12-30 12:00"], ["2011-12-31 12:00", "2011-12-29 12:00"]),
    "Asia/Seoul": (["1988-05-08 02:30"], ["1988-05-08 03:30", "2025-03-09T02:30:00"]),
    "UTC": ([], ["2025-03-09T02:30:00"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["ndjson", "csv", "parquet"])
@pytest.mark.parametrize("where", SKIPPED)
def test_times_that_a_clock_skips_do_not_exist(zone: Zone, where: str, kind: str):
    skipped, others = SKIPPED[where]
    if kind == "parquet":  # as a database has them: a timestamp without time zone
        skipped, others = (
            [each for each in times if not re.search("[Zz]|[+-]..:?..$|^.{8,10}$", each)] for times in SKIPPED[where]
        )
    rows = [event(number, event_time=written) for number, written in enumerate([*others, *skipped])]
    file = zone.put(f"clickstream/a.{kind}", rows)
    if kind == "csv":
        file.write_text(csv_text(rows, ["event_id", "event_time", "visitor_id", "page_code"]))
    elif kind == "parquet":
        table = pa.Table.from_pylist(rows)
        times = pa.array([datetime.fromisoformat(row["event_time"].strip()) for row in rows], pa.timestamp("ms"))
        parquet.write_table(table.set_column(1, "event_time", times), file)
    zone.put("clickstream/b.ndjson", [event(99)])
    first, second = zone.land(definitions=zone.define(ZONES % (where, where)))
    assert (first.rows_loaded, first.rows_quarantined, second.rows_loaded) == (len(others), len(skipped), 1)
    found = zone.quarantine()
    assert [(line_no, field) for line_no, field, _ in found] == [
        (len(others) + number + (kind == "csv"), "event_time") for number in range(1, len(skipped) + 1)
    ]
    reason = f"event_time does not exist in {where}, where clocks are put forward: "
    assert all(found.startswith(reason) for _, _, found in found)


def test_times_that_a_clock_skips_in_a_format_of_their_own(zone: Zone):
    own = zone.define(
        "sources: {clickstream: {time_zone: America/New_York, fields: {event_time: {time: '%d.%m.%Y %H:%M'},"
        " received_time: {time: '%d.%m.%Y %H:%M %z'}}}}"
    )
    rows = [
        event(1, event_time="09.03.2025 02:30"),
        event(2, event_time="09.03.2025 01:30", received_time="09.03.2025 02:30 -0500"),
    ]
    zone.put("clickstream/a.ndjson", rows)
    zone.land(definitions=own)
    assert zone.quarantine() == [
        (
            1,
            "event_time",
            "event_time does not exist in America/New_York, where clocks are put forward: '09.03.2025 02:30'.",
        )
    ]


IMPOSSIBLE = [
    "2025-06-01T09:00:00+99:00", "2025-06-01 09:00-16", "20250601T090000.5+1600", "2025-06-01T09:00:00+09:60",
    "2025-06-01T09+99", " 2025-06-01T09:00:00-09:00:75 ",
]  # fmt: skip
POSSIBLE = ["2025-06-30", "20250630", "2025-06-01T09:00:00+15:59", "2025-06-01 09:00-1559", "2025-06-01T09:00:00.99Z"]


@pytest.mark.parametrize("kind", ["ndjson", "csv", "parquet"])
def test_an_offset_that_there_is_not_makes_no_time(zone: Zone, kind: str):
    rows = [event(number, event_time=written) for number, written in enumerate([*POSSIBLE, *IMPOSSIBLE])]
    file = zone.put(f"clickstream/a.{kind}", rows)
    if kind == "csv":
        file.write_text(csv_text(rows, ["event_id", "event_time", "visitor_id", "page_code"]))
    elif kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), file)
    [result] = zone.land()
    assert (result.rows_loaded, result.rows_quarantined) == (len(POSSIBLE), len(IMPOSSIBLE))
    reason = "event_time is not a time (ISO 8601 or as declared): "
    assert [found for _, _, found in zone.quarantine()] == [f"{reason}'{written}'." for written in IMPOSSIBLE]


def test_an_offset_that_there_is_not_in_other_formats(zone: Zone):
    own = zone.define("sources: {clickstream: {fields: {received_time: {time: '%m-%d-%Y (%z) %H:%M'}}}}")
    written = ["01-30-2025 (+0900) 09:00", "01-30-2025 (+99:00) 09:00", "01-30-2025 (-1600) 09:00"]
    zone.put("clickstream/a.ndjson", [event(number, received_time=each) for number, each in enumerate(written)])
    zone.put("transactions/b.ndjson", [transaction(1, transaction_time="2025-06-01T09:00:00+99:00")])
    found = {result.path: (result.rows_loaded, result.rows_quarantined) for result in zone.land(definitions=own)}
    assert found == {"clickstream/a.ndjson": (1, 2), "transactions/b.ndjson": (0, 1)}


def test_a_time_that_a_clock_skips_waits_for_the_right_zone(zone: Zone):
    zone.put(
        "clickstream/a.ndjson", [event(1, event_time="2025-03-09T02:30:00"), event(2, event_time="2025-03-09T03:30")]
    )
    zone.land(definitions=zone.define(ZONES % ("America/New_York", "UTC")))
    right = zone.define(ZONES % ("America/Phoenix", "UTC"))
    [result] = replay(zone.directory, "r", Filter(reason="clocks"), definitions=right, settings=zone.settings)
    assert (result.rows_loaded, result.error, zone.quarantine()) == (1, None, [])
    assert str(zone.value("select min(event_at at time zone 'UTC') from raw.event")) == "2025-03-09 07:30:00"


def test_an_hour_that_a_clock_repeats_is_its_second_one(zone: Zone):
    """As PostgreSQL reads it, too: with the offset of standard time."""
    zone.put(
        "clickstream/a.ndjson", [event(1, event_time="2025-11-02T01:30"), event(2, event_time="2025-11-02T01:30-04:00")]
    )
    zone.land(definitions=zone.define(ZONES % ("America/New_York", "UTC")))
    found = zone.query("select (event_at at time zone 'UTC')::time::text from raw.event order by row_id")
    assert found == [("06:30:00",), ("05:30:00",)]
    with connect("jm_loader", settings=zone.settings) as warehouse:
        warehouse.execute("set timezone = 'America/New_York'")
        [(same,)] = warehouse.execute(
            "select '2025-11-02 01:30'::timestamptz = '2025-11-02 06:30Z'::timestamptz"
        ).fetchall()
        assert same


def test_what_is_said_to_have_happened_in_times_to_come_moves_no_watermark(zone: Zone):
    """A device whose clock is wrong; one in a zone that somebody has got wrong is less than a day ahead."""
    ahead = [datetime.now(UTC) + timedelta(hours=hours) for hours in (23, 25)]
    zone.put("clickstream/a.ndjson", [event(n, event_time=time.isoformat()) for n, time in enumerate(ahead)])
    zone.put("transactions/a.ndjson", [transaction(1, transaction_time="2190-01-01")])
    zone.put("consents/a.ndjson", [{"customer_id": "c", "purpose": "p", "granted": True, "effective_at": "2190-01-01"}])
    zone.land()
    reason = "is more than 1 day ahead of the clock: "
    assert [(field, found.partition("'")[0]) for _, field, found in zone.quarantine()] == [
        (field, f"{field} {reason}") for field in ("event_time", "transaction_time")
    ]
    assert zone.query("select event_at from raw.event") == [(ahead[0],)]
    assert zone.query("select effective_at > now() from raw.consents") == [(True,)]


def test_people_read_in_korean_why_a_file_or_a_line_was_rejected(zone: Zone):
    zone.put("clickstream/1.csv", "event_id\na\n")
    zone.put("clickstream/2.txt", "x")
    zone.put("clickstream/3.parquet", "no parquet")
    (zone.directory / "clickstream/4.ndjson").symlink_to("5.ndjson")
    (zone.directory / "clickstream/6.ndjson.gz").write_bytes(gzip.compress(GOOD.encode())[:-4])
    zone.put("clickstream/7.csv", "a,a\n1,2\n")
    for number, done in enumerate(
        ({"supersedes": "x"}, {"rows": 5}, {"sha256": "0"}, {"row": 1}, {"totals": {"x": 1}})
    ):
        zone.put(f"clickstream/8{number}.ndjson", [event(number)], done)
    zone.put("clickstream/9.dat", "H")
    zone.put("transactions/1.dat", "H\nD\n")
    zone.put("transactions/2.dat", "H\nD\nT000000005+00000000000000001\n")
    zone.put("transactions/3.dat", "H\nT\n")
    zone.put("transactions/4.ndjson", [transaction(1)], {"totals": {"amount": "5"}})
    zone.put("clickstream/010-1234-5678.csv", "x")
    zone.put("unheard_of/1.ndjson", [event(1)])
    zone.put("1.ndjson", [event(1)])
    unknown = "D" + "t1".ljust(14) + "X".ljust(12) + "20250601090000000" + "04" + "c".ljust(10) + "0000KRW+" + "0" * 15
    zone.put("transactions/7.dat", f"H\nD1\n{unknown}\nT000000002+00000000000000000\n")
    amounts = ["1e5", "1,000", "1.23456", "NaN"]
    zone.put("transactions/5.ndjson", [transaction(number, amount=amount) for number, amount in enumerate(amounts)])
    zone.put("transactions/6.ndjson", [transaction(9, channel="x"), transaction(10, transaction_code="x")])
    zone.put("consents/1.ndjson", [{"customer_id": "c", "purpose": "p", "granted": "x", "effective_at": "2025-01-01"}])
    zone.put(
        "customers/1.ndjson", [{"customer_id": "c", "effective_date": "x"}, {"customer_id": "c", "birth_year": "x"}]
    )
    bad: list[dict[str, Any]] = [
        {"event_time": "x"}, {"event_time": "1960-01-01"}, {"event_time": "2190-01-01"},
        {"event_time": "2025-03-09 02:30"}, {"visitor_id": [1]}, {"event_id": "x" * 300},
        {"event_id": None}, {"more": "a\0b"}, {"click_text": "a\0b"},
    ]  # fmt: skip
    lines = [json.dumps({**event(number), **fields}) for number, fields in enumerate(bad)]
    lines += ['{"event_id": "1", "event_id": "2"}', "x", "[]", "a\0b", "x" * (2**20 + 1)]
    zone.put("clickstream/91.ndjson", "\n".join(lines).encode() + b"\n\xff\n")
    zone.put("clickstream/92.csv", 'event_id,event_time,visitor_id\n1,2\n"x,1,2\n')
    known = "transactions: {FX: {label: {ko: 외환, en: FX}, category: {ko: 외환, en: FX}}}"
    shipped = (REPO / "dbt_project/definitions/transactions.yml").read_text()
    zone.define(shipped[: shipped.index("transactions:")].replace("unknown_codes: load", "") + known, "transactions")
    zone.land(definitions=zone.define(ZONES % ("America/New_York", "UTC")))

    dataset = (REPO / "docker/superset/assets/datasets/landed_file.sql").read_text()
    [words] = re.findall(r"coalesce\(\s+case \{\{ \[language\].*?\n    \) as error", dataset, re.S)
    words = words.replace("{{ [language] | where_in }}", "'ko'")
    files = zone.query(f"select path, error, {words} from raw.file where status = 'rejected'")  # noqa: S608
    assert len(files) == 19
    assert [row for row in files if not re.search("[가-힣]", row[2].partition(" (원천")[0])] == []
    model = (REPO / "dbt_project/models/marts/trust/quarantine_reason.sql").read_text()
    model = re.sub(r"\{\{ source\('raw', '(\w+)'\) \}\}", r"raw.\1", model.partition("\n")[2])
    model = re.sub(r"\{\{ business_date\('([\w.]+)'\) \}\}", r"\1::date", model)
    reasons = zone.query(f"select reason, kind, reason_ko from ({model}) as reasons")  # noqa: S608
    assert len(reasons) > 20
    assert [row for row in reasons if not re.search("[가-힣]", row[2])] == []
    kinds = {ko: {row[1] for row in reasons if row[2] == ko} for *_, ko in reasons}
    assert kinds["길이나 값의 개수가 다름"] == {"syntax"}, "a message that is too short is no wrong value"
    assert kinds["정의되지 않은 거래 코드"] == {"value"}, "of a message and of JSON"


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_a_file_of_broken_lines_is_taken_in_parts(zone: Zone, monkeypatch: pytest.MonkeyPatch, kind: str):
    """However large it is: what cannot be taken apart takes memory, too. And no more of Python's time than others."""
    monkeypatch.setattr(loading, "BATCH_BYTES", 5_000)
    monkeypatch.setattr("journeymart.landing.readers.CHUNK_BYTES", 5_000)
    masked = mock.Mock(wraps=mask_line)
    monkeypatch.setattr("journeymart.landing.protection.mask_line", masked)
    broken = '{"event_id": "e%d", "event_time": "2025-06-01T09:00:00+09:00", "ip": "10.0.0.1" 1'
    lines = [broken % number if number % 3 else json.dumps(event(number)) for number in range(1000)]
    lines[500] = broken % 500 + " 010-1234-5678"
    zone.put(f"clickstream/a.{kind}", "\n".join(["event_id,event_time,visitor_id"] * (kind == "csv") + lines))
    encoded: list[int] = []
    encode = Encoder.encode

    def counted(encoder: Encoder, batch: Batch) -> Encoded:
        encoded.append(batch.lines)
        return encode(encoder, batch)

    monkeypatch.setattr(Encoder, "encode", counted)
    [result] = zone.land()
    loaded = 334 if kind == "ndjson" else 0
    assert (result.rows_read, result.rows_loaded, result.rows_quarantined) == (1000, loaded, 1000 - loaded)
    assert (sum(encoded), max(encoded) < 150) == (1000, True)
    masked.assert_called_once_with(lines[500])
    [(line,)] = zone.query("select line from raw.quarantine where line like '%phone%'")
    assert line == broken.replace("10.0.0.1", "10.0.0.0") % 500 + " *phone*"


def test_a_file_that_grows_while_it_is_read(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("journeymart.landing.readers.CHUNK_BYTES", 5_000)
    file = zone.put("clickstream/a.ndjson", [event(number) for number in range(200)])
    zone.put("clickstream/b.ndjson", [event(number, click_text="b") for number in range(3)])
    read = loading.Loader._chunks
    written: list[int] = []

    def chunks(loader: loading.Loader, found: LandingFile) -> Iterator[Chunk]:
        for number, chunk in enumerate(read(loader, found)):
            if number == 1 and len(written) < 2:  # together with the other file, and alone
                with file.open("a") as writer:
                    written.append(writer.write(json.dumps(event(1000 + len(written))) + "\n"))
            yield chunk

    monkeypatch.setattr(loading.Loader, "_chunks", chunks)
    first, second = zone.land()
    assert (first.status, first.error) == ("postponed", "clickstream/a.ndjson changed while it was read")
    assert second.status == "loaded"
    assert zone.value("select count(*) from raw.event") == 3
    assert [(result.status, result.rows_loaded) for result in zone.land()] == [("loaded", 202)]
    assert zone.value("select count(distinct event_id) from raw.clickstream") == 202


def test_a_thousand_small_files_at_once(zone: Zone):
    """Ten thousand take ten times as long: the work is done in groups."""
    for number in range(1000):
        zone.put(f"clickstream/{number:04}.ndjson", [event(number)])
    results = zone.land()
    assert Counter((result.status, result.rows_loaded) for result in results) == {("loaded", 1): 1000}
    assert zone.value("select count(distinct event_hash) from raw.event") == 1000
    assert zone.land() == []


def fail_on_line(zone: Zone, line_no: int, action: str) -> None:
    """From now on PostgreSQL fails like this when it is given an event of that line."""
    with connect("jm_admin", settings=zone.settings) as warehouse:
        warehouse.execute(
            f"""
            create or replace function raw.fail() returns trigger language plpgsql security definer as $$
            begin {action}; return new; end $$;
            create or replace trigger fail before insert on raw.event for each row
            when ((new.row_id & 4294967295) = {line_no}) execute function raw.fail()
            """.encode()
        )


@pytest.fixture
def failing(zone: Zone) -> Iterator[Zone]:
    """The zone; what `fail_on_line` did ends with the test."""
    yield zone
    with connect("jm_admin", settings=zone.settings) as warehouse:
        warehouse.execute("drop function if exists raw.fail cascade")


def test_a_full_disk(failing: Zone):
    zone = failing
    fail_on_line(zone, 3, "raise exception 'could not extend file: no space left on device' using errcode = '53100'")
    zone.put("clickstream/a.ndjson", [event(number) for number in range(5)])
    zone.put("clickstream/b.ndjson", [event(number) for number in range(2)])
    first, second = zone.land()
    assert (first.status, second.status) == ("failed", "loaded")
    assert (first.error or "").startswith(
        "clickstream/a.ndjson could not be loaded: could not extend file: no space left on device"
    )
    assert (first.error or "").endswith("; nothing of it is loaded, it is taken again by the next run")
    assert zone.value("select count(*) from raw.event") == 2
    with connect("jm_admin", settings=zone.settings) as warehouse:
        warehouse.execute("drop function raw.fail cascade")
    assert [(result.status, result.rows_loaded) for result in zone.land()] == [("loaded", 5)]


def test_a_mistake_of_ours_that_one_file_brings_to_light(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    """It stops no other, and the file is not said to be wrong."""
    zone.put("clickstream/a.ndjson", [event(1)])
    zone.put("clickstream/b.ndjson", [event(2)])
    load = loading.Loader._load

    def stumble(loader: loading.Loader, files: list[LandingFile], **options: Any) -> list[FileResult]:
        if any(file.path == "clickstream/a.ndjson" for file in files):
            raise duckdb.BinderException('Binder Error: Ambiguous reference to column name "x"')
        return load(loader, files, **options)

    monkeypatch.setattr(loading.Loader, "_load", stumble)
    assert [(result.status, result.error) for result in zone.land()] == [
        (
            "failed",
            'clickstream/a.ndjson could not be loaded: Binder Error: Ambiguous reference to column name "x";'
            " nothing of it is loaded, it is taken again by the next run",
        ),
        ("loaded", None),
    ]
    monkeypatch.undo()
    assert [(result.status, result.rows_loaded) for result in zone.land()] == [("loaded", 1)]


def test_a_disk_without_room_for_the_archive(zone: Zone, full_disk: Callable[[], AbstractContextManager[None]]):
    zone.put("clickstream/a.ndjson", [event(1)])
    incoming = zone.settings.archive / archive.INCOMING
    with full_disk():
        [result] = zone.land()
    assert (result.status, result.error) == (
        "failed",
        f"clickstream/a.ndjson could not be loaded: [Errno 28] No space left on device: '{incoming}';"
        " nothing of it is loaded, it is taken again by the next run",
    )
    assert list(incoming.iterdir()) == []
    assert [(result.status, result.rows_loaded) for result in zone.land()] == [("loaded", 1)]


def test_a_file_that_there_is_no_room_for_ends_the_step_rejected(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    """The DAG is red for it, as for one that was rejected, which the ledger has; of this one it knows nothing yet."""
    file = zone.put("clickstream/a.ndjson", [event(1)])
    zone.put("clickstream/b.ndjson", [event(2)])
    for variable, value in environment(zone.settings).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("JOURNEYMART_ARCHIVE", str(zone.directory.parent))
    place = zone.directory.parent / hashlib.sha256(file.read_bytes()).hexdigest()[:2]
    place.touch()  # where a folder has to be
    step = ["step", "--run-id", "test-run"]
    landed = json.loads(CliRunner().invoke(build_app(), [*step, "land", "--landing", str(zone.directory)]).stdout)
    assert ([file["status"] for file in landed["files"]], len(landed["failed"])) == (["failed", "loaded"], 1)
    reported = CliRunner().invoke(build_app(), [*step, "rejected", "--files", "-"], json.dumps([[], landed["failed"]]))
    assert (reported.exit_code, reported.stderr.splitlines()) == (1, landed["failed"])
    assert "a.ndjson could not be loaded: [Errno 17] File exists" in reported.stderr
    place.unlink()
    assert [(result.status, result.rows_loaded) for result in zone.land()] == [("loaded", 1)]
    assert CliRunner().invoke(build_app(), [*step, "rejected", "--files", "-"], "[[]]").exit_code == 0


def test_a_connection_lost_in_the_middle_of_a_file(failing: Zone):
    zone = failing
    with connect("jm_admin", settings=zone.settings) as warehouse:
        warehouse.execute("create sequence public.attempt")
    try:
        fail_on_line(
            zone, 30, "if nextval('public.attempt') = 1 then perform pg_terminate_backend(pg_backend_pid()); end if"
        )
        for name in "ab":
            zone.put(f"clickstream/{name}.ndjson", [event(number, click_text=name) for number in range(50)])
        results = zone.land()
        assert [(result.status, result.rows_loaded) for result in results] == [("loaded", 50), ("loaded", 50)]
        assert zone.value("select count(distinct row_id) from raw.event") == 100
        assert zone.statuses() == [(f"clickstream/{name}.ndjson", "loaded", 50, 50, 0) for name in "ab"]
    finally:
        with connect("jm_admin", settings=zone.settings) as warehouse:
            warehouse.execute("drop sequence public.attempt cascade")


def test_a_server_that_stays_away_stops_the_load_with_its_reason(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    zone.put("clickstream/a.ndjson", [event(1)])
    [file] = discover(zone.directory, settings=zone.settings)
    with loading.Loader("test-run", settings=zone.settings) as loader:
        pid = loader.warehouse.info.backend_pid
        monkeypatch.setattr(loader, "_settings", replace(zone.settings, pg_port=1))
        with connect("jm_admin", settings=zone.settings) as warehouse:
            warehouse.execute("select pg_terminate_backend(%s, 5000)", (pid,))
        with pytest.raises(DatabaseUnreachableError, match="cannot connect as jm_loader"):
            list(loader.land([file]))
    assert zone.statuses() == []


@pytest.mark.parametrize(
    "done", ['{"rows": NaN}', '{"totals": {"amount": Infinity}}', r'{"supersedes": "\u0000"}', r'{"sha256": "\ud800"}']
)
def test_a_declaration_that_postgres_cannot_hold_rejects_only_its_file(zone: Zone, done: str):
    zone.put("clickstream/a.ndjson", [event(1)], done)
    zone.put("clickstream/b.ndjson", [event(2)])
    first, second = zone.land()
    assert (first.status, second.status) == ("rejected", "loaded")
    assert "cannot be checked against its .done" in (first.error or "")
    assert zone.land() == []


def test_a_csv_whose_header_is_no_text_is_rejected(zone: Zone):
    """Its first line of data is no header either, and its values are told to nobody."""
    text = "event_id,event_time,visitor_id\ne1,2025-06-01,C0001\n"
    zone.put("clickstream/a.csv", text.encode("utf-16"))
    zone.put("clickstream/b.csv", "화면,방문자\nP1,홍길동\n".encode("cp949"))
    zone.put("clickstream/c.csv", "e1,2025-06-01,홍길동\ne2,2025-06-01,홍길동\n")
    assert [(result.status, result.error) for result in zone.land()] == [
        ("rejected", "clickstream/a.csv has no header: line 1: The line contains a NUL byte."),
        ("rejected", "clickstream/b.csv has no header: line 1: The line is not UTF-8 at byte 3."),
        (
            "rejected",
            "clickstream/c.csv has no column for the required field 'event_id' (looked for 'event_id'; of its 3"
            " columns 0 have a name that is known: none)",
        ),
    ]


def test_a_type_that_cannot_be_read_rejects_only_its_file(zone: Zone):
    columns = ["event_id", "event_time", "visitor_id", "page_code"]
    rows = pa.table({column: [event(1)[column]] for column in columns})
    wide = rows.append_column("much", pa.array([Decimal(10**70)], pa.decimal256(76, 0)))
    for name, table in (("a", wide), ("b", rows)):
        file = zone.put(f"clickstream/{name}.parquet", b"")
        parquet.write_table(table, file)
    first, second = zone.land()
    assert (first.status, second.status) == ("rejected", "loaded")
    assert (first.error or "").startswith("clickstream/a.parquet has columns or values that cannot be read: ")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [({"a\0b": ["x"]}, "has a column with a NUL character in its name"), ({}, "has no columns")],
)
def test_columns_that_sql_cannot_name_reject_only_their_file(zone: Zone, columns: dict[str, Any], reason: str):
    file = zone.put("clickstream/a.parquet", "")
    parquet.write_table(pa.table(columns), file)
    zone.put("clickstream/b.ndjson", GOOD)
    bad, good = zone.land()
    assert (bad.error, good.status) == (f"clickstream/a.parquet {reason}", "loaded")


def test_columns_may_be_named_as_what_landing_joins(zone: Zone):
    own = zone.define("sources: {clickstream: {fields: {event_id: {file_line: true}}}}")
    zone.put("clickstream/a.csv", "event_time,visitor_id,_file_id,_content_id\n2025-06-01,v,1,2\n")
    assert zone.land(definitions=own)[0].rows_loaded == 1
    assert zone.value("select properties from raw.clickstream") == {"_file_id": "1", "_content_id": "2"}


def test_structs_within_structs_and_maps_are_kept_of_many_rows(zone: Zone):
    """DuckDB takes them in portions, and refuses the former where a portion does not begin with its buffers."""
    rows = [event(number, context={"page": {"no": number}}, tags=[("k", number)]) for number in range(20_000)]
    columns = ["event_id", "event_time", "visitor_id", "context"]
    table = pa.Table.from_pylist([{column: row[column] for column in columns} for row in rows])
    tags = pa.array([row["tags"] for row in rows], pa.map_(pa.string(), pa.int64()))
    parquet.write_table(table.append_column("tags", tags), zone.put("clickstream/a.parquet", b""))
    assert [result.rows_loaded for result in zone.land()] == [20_000]
    assert zone.value("select properties from raw.clickstream where event_id = 'e19000'") == {
        "context": {"page": {"no": 19_000}}, "tags": {"k": 19_000}
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet"])
def test_a_key_of_blanks_is_none(zone: Zone, kind: str):
    """Columns of fixed width have them: all who are not logged in would be one customer."""
    rows = [event(1, customer_id="   ", page_name="  "), event(2, customer_id=" c2"), event(3, visitor_id="  ")]
    columns = [*event(1), "customer_id", "page_name"]
    file = zone.put(f"clickstream/a.{kind}", rows if kind == "ndjson" else csv_text(rows, columns))
    if kind == "parquet":
        table = pa.table({column: pa.array([row.get(column) for row in rows], pa.string()) for column in columns})
        parquet.write_table(table, file)
    zone.land()
    assert zone.query(
        "select customer_id, page_name from raw.event join raw.clickstream using (row_id)"
        " left join raw.customer using (customer_key) order by row_id"
    ) == [(None, "  "), (" c2", None)]
    assert [reason for _, _, reason in zone.quarantine()] == ["visitor_id is missing."]


def test_a_currency_of_blanks_is_none(zone: Zone):
    """And the amount in won, as in messages; a currency that nobody knows has no rate."""
    zone.put("transactions/a.ndjson", [transaction(1, amount=5, currency="   ")])
    zone.land()
    assert zone.query("select currency from raw.transactions") == [(None,)]


def test_a_birth_year_is_no_birthday(zone: Zone):
    years = ["1985", "19850401", "85"]
    zone.put(
        "customers/a.csv",
        csv_text([{"customer_id": year, "birth_year": year} for year in years], ["customer_id", "birth_year"]),
    )
    zone.land()
    assert zone.query("select birth_year from raw.customers") == [(1985,)]
    assert [reason for _, _, reason in zone.quarantine()] == ["birth_year is no year of four digits."] * 2


def test_a_declaration_may_have_a_mark_and_nulls(zone: Zone):
    done = '{"rows": 1, "totals": null}'
    zone.put("clickstream/a.ndjson", [event(1)], "\ufeff" + done)
    zone.put("clickstream/b.ndjson", [event(2)], "\ufeff" + done.replace("1", "2"))
    zone.put("clickstream/c.ndjson", [event(3)], "OK")
    assert [(result.status, result.error) for result in zone.land()] == [
        ("loaded", None),
        ("rejected", "clickstream/b.ndjson has 1 rows, but its .done declares 2"),
        ("rejected", "clickstream/c.ndjson cannot be checked against its .done, which is no JSON object"),
    ]


def test_columns_of_views_have_broken_lines_too(zone: Zone):
    """Arrow cannot filter them: they are read as text, further inside, too."""
    rows = pa.table({column: pa.array([event(1)[column], "x"], pa.string_view()) for column in event(1)})
    deep = rows.append_column("deep", pa.array([{"a": "x"}, {"a": "y"}], pa.struct([("a", pa.string_view())])))
    parquet.write_table(deep, zone.put("clickstream/a.parquet", b""))
    parquet.write_table(rows, zone.put("clickstream/b.parquet", b""))
    assert [(result.status, result.rows_loaded, result.rows_quarantined) for result in zone.land()] == [
        ("loaded", 1, 1), ("loaded", 1, 1)
    ]  # fmt: skip


def test_lines_of_a_megabyte_fit_into_memory(zone: Zone):
    """DuckDB holds two thousand lines at a time while it reads JSON."""
    items = [{"item": f"x{number}", "price": number * 3} for number in range(15_000)]
    zone.put("clickstream/a.ndjson", [event(number, click_text="송금 " * 60_000, cart=items) for number in range(80)])
    [result] = zone.land()
    assert (result.status, result.rows_loaded) == ("loaded", 80)
    assert (
        zone.value("select count(*) from raw.clickstream where jsonb_array_length(properties -> 'cart') = 15000") == 80
    )


def test_json_that_is_nested_without_end_costs_only_its_line(zone: Zone):
    """In memory it takes many times its length: a few such lines are more than DuckDB is given."""
    deep = json.dumps(event(1))[:-1] + ', "x": ' + "[" * 400_000 + "]" * 400_000 + "}\n"
    zone.put("clickstream/a.ndjson", deep * 20 + GOOD)
    [result] = zone.land()
    assert (result.status, result.rows_loaded, result.rows_quarantined) == ("loaded", 1, 20)
    assert {reason for _, _, reason in zone.quarantine()} == {"properties cannot be stored as JSON."}


def test_what_is_part_of_keys_is_short(zone: Zone):
    """An index takes no more than 2.7 kB, and a value that is too long would stop every run."""
    long = "x" * 4000
    zone.put(
        "clickstream/a.ndjson", [event(1, channel=long), event(2, domain=long), event(3, page_url=f"https://{long}/")]
    )
    zone.put("transactions/a.ndjson", [transaction(1, channel=long)])
    assert [result.rows_quarantined for result in zone.land()] == [2, 1]
    assert [(line_no, field) for line_no, field, _ in zone.quarantine()] == [
        (1, "channel"),
        (2, "domain"),
        (1, "channel"),
    ]
    assert zone.value("select length(domain) from raw.event join raw.agent using (agent_key)") == 256


def test_more_keys_than_lines(zone: Zone):
    zone.put("clickstream/a.ndjson", [event(number, **{f"id-{number}": number}) for number in range(300)])
    assert zone.land()[0].rows_loaded == 300
    assert zone.value("select properties ->> 'id-299' from raw.clickstream where event_id = 'e299'") == "299"


def test_numbers_and_times_are_read_as_written_or_not_at_all(zone: Zone):
    own = zone.define(own_fields(age="integer", price="decimal"))
    values = [
        {"age": "41"}, {"age": "41.0"}, {"age": "41.7"}, {"age": "1e3"}, {"age": "0x1F"},
        {"price": "1000.5"}, {"price": "1_000"}, {"event_time": "epoch"},
    ]  # fmt: skip
    zone.put("clickstream/a.ndjson", [event(number, **value) for number, value in enumerate(values)])
    zone.land(definitions=own)
    assert zone.query("select properties from raw.clickstream where properties is not null order by row_id") == [
        ({"age": 41},),
        ({"age": 41},),
        ({"price": 1000.5},),
    ]
    assert [(line_no, field) for line_no, field, _ in zone.quarantine()] == [
        (3, "age"),
        (4, "age"),
        (5, "age"),
        (7, "price"),
        (8, "event_time"),
    ]


def test_a_property_of_the_name_of_a_field_of_the_banks_own_is_not_lost(zone: Zone):
    own = zone.define(own_fields(age="integer", cart="json"))
    given: list[dict[str, Any]] = [
        {"age": "41", "properties": {"age": 41, "x": 1}}, {"age": "41", "properties": {"age": "old", "cart": 2}},
        {"age": "41", "cart": [1], "properties": {"age": 40, "cart": 2}}, {"properties": {"age": 5}},
    ]  # fmt: skip
    zone.put("clickstream/a.ndjson", [event(number, **fields) for number, fields in enumerate(given)])
    zone.land(definitions=own)
    assert [row[0] for row in zone.query("select properties from raw.clickstream order by row_id")] == [
        {"age": 41, "x": 1},
        {"age": 41, "cart": 2, "_properties": {"age": "old"}},
        {"age": 41, "cart": [1], "_properties": {"age": 40, "cart": 2}},
        {"age": 5},
    ]


def test_nul_inside_json_of_a_field_of_the_banks_own_costs_only_its_line(zone: Zone):
    own = zone.define(own_fields(cart="json", member="text", field="text"))
    zone.put("clickstream/a.ndjson", [event(1, cart=["\0"], member="m"), event(2, cart=["x"], field="f")])
    assert zone.land(definitions=own)[0].rows_loaded == 1
    assert zone.quarantine() == [(1, "cart", "cart cannot be stored as JSON.")]
    assert zone.value("select properties from raw.clickstream") == {"cart": ["x"], "field": "f"}


def test_a_compressed_file_that_grows_while_it_is_read_is_no_broken_one(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    whole = gzip.compress("".join(json.dumps(event(number)) + "\n" for number in range(50)).encode())
    file = zone.put("clickstream/a.ndjson.gz", "")
    file.write_bytes(whole[:-100])
    copy = archive.Archive.copy

    def copied(kept: archive.Archive, found: LandingFile) -> archive.Copy:
        made = copy(kept, found)
        file.write_bytes(whole[:-50])  # the sender goes on
        return made

    with monkeypatch.context() as patched:
        patched.setattr(archive.Archive, "copy", copied)
        assert [result.status for result in zone.land()] == ["postponed"]
    assert zone.statuses() == []
    file.write_bytes(whole)
    assert [result.rows_loaded for result in zone.land()] == [50]


def test_a_statement_that_is_ended_fails_one_file(zone: Zone):
    """Not only a lost connection: an administrator, or the server itself, ends a statement."""
    zone.put("clickstream/a.ndjson", [event(1, click_text="end me")])
    zone.put("clickstream/b.ndjson", [event(2)])
    with connect("jm_admin", settings=zone.settings) as warehouse:
        warehouse.execute(
            """
            create function raw.ended() returns trigger language plpgsql as $$
            begin raise exception 'canceling statement' using errcode = '57014'; end $$;
            create trigger ended before insert on raw.clickstream for each row
                when (new.click_text = 'end me') execute function raw.ended()
            """
        )
    first, second = zone.land()
    assert (first.status, second.status) == ("failed", "loaded")
    assert (first.error or "").endswith("nothing of it is loaded, it is taken again by the next run")
    with connect("jm_admin", settings=zone.settings) as warehouse:
        warehouse.execute("drop function raw.ended() cascade")
    assert [result.status for result in zone.land()] == ["loaded"]


def test_copies_that_another_loader_takes_away_disturb_nobody(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    incoming = zone.settings.archive / archive.INCOMING
    incoming.mkdir(parents=True, exist_ok=True)
    part = incoming / "part"
    part.touch()

    def listed(_directory: Path, _pattern: str) -> list[Path]:
        part.unlink(missing_ok=True)
        return [part]

    monkeypatch.setattr(Path, "glob", listed)
    archive.Archive(zone.settings.archive).clear()


MEMORY = """
import sys
from pathlib import Path
from journeymart.landing import land, load, readers
from journeymart.settings import Settings
load.CHUNK_BYTES = readers.CHUNK_BYTES = int(sys.argv[2])
load.BATCH_BYTES = 3 * load.CHUNK_BYTES
[result] = land(Path(sys.argv[1]), "memory", settings=Settings.load())
assert result.status == "loaded", result
"""


def test_memory_does_not_grow_with_the_file(zone: Zone, server: Settings, monkeypatch: pytest.MonkeyPatch):
    """Files of twelve and of twenty-four chunks need as much, of us and of PostgreSQL: no more than seven
    are on their way through the threads at a time. Measured as scripts/bench does."""
    monkeypatch.syspath_prepend(REPO / "scripts" / "lib")
    measure = importlib.import_module("measuring").measure
    chunk_bytes = CHUNK_BYTES // 16
    line = (json.dumps(event(1, click_text="송금 " * 400)) + "\n").encode()
    environment = {
        **os.environ,
        **zone.settings.secrets,
        "PYTHONPATH": str(REPO / "plugins"),
        "JOURNEYMART_PG_HOST": zone.settings.pg_host,
        "JOURNEYMART_PG_PORT": str(zone.settings.pg_port),
        "JOURNEYMART_PG_DATABASE": zone.settings.pg_database,
    }
    peaks = []
    for chunks in (12, 24):
        landing = zone.directory.parent / str(chunks)
        file = landing / "clickstream" / "a.ndjson.gz"
        file.parent.mkdir(parents=True)
        with gzip.open(file, "wb", compresslevel=1) as stream:
            for _ in range(chunks):
                stream.write(line * (chunk_bytes // len(line)))
        found = measure(server, [sys.executable, "-c", MEMORY, str(landing), str(chunk_bytes)], environment)
        peaks.append((found.own_memory, found.postgres_memory))
    for few, many in zip(*peaks, strict=True):
        assert 0 < many < few * 1.15 + 50, f"{peaks} MiB"


# ── faults at random ──

GARBAGE = [b"{", b"[]", b"\xff\xfe", b"a\0b", b'{"event_id": 1', b"null", b'"text"', b"   ", b"", b"{}"]
BAD_FIELDS: dict[str, Any] = {
    "event_id": "",
    "event_time": "2025-02-30T00:00:00",
    "visitor_id": None,
    "action_type": "hover",
    "click_text": "a\0b",
    "page_name": {"ko": "화면"},
    "received_time": "1960-01-01",
}


FaultyFile = tuple[str, bytes, int, int]
CSV_COLUMNS = ["event_id", "event_time", "visitor_id", "page_code", "page_name", "action_type", "received_time"]


@st.composite
def faulty_ndjson(draw: st.DrawFn) -> FaultyFile:
    """An NDJSON file with faults: its bytes, how many lines have content, how many of them are good."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    lines: list[bytes] = []
    good = 0
    for number in range(draw(st.integers(0, 40))):
        kind = draw(st.sampled_from(["good"] * 4 + ["field", "garbage", "cut", "bytes"]))
        line = json.dumps(event(number)).encode()
        if kind == "good":
            good += 1
        elif kind == "field":
            field = draw(st.sampled_from(sorted(BAD_FIELDS)))
            line = json.dumps(event(number, **{field: BAD_FIELDS[field]})).encode()
        elif kind == "garbage":
            line = draw(st.sampled_from(GARBAGE))
        elif kind == "cut":
            line = line[: chance.randrange(1, len(line) - 1)]
        else:
            at = chance.randrange(len(line))
            line = line[:at] + bytes([chance.choice([0, 0xFF, 0xC3])]) + line[at:]
        lines.append(line)
    end = draw(st.sampled_from([b"\n", b"\r\n"]))
    content = end.join(lines) + draw(st.sampled_from([b"", end]))
    return "ndjson", content, sum(bool(line.strip()) for line in lines), good


@st.composite
def faulty_csv(draw: st.DrawFn) -> FaultyFile:
    """A CSV file with faults, its columns in any order."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    columns = chance.sample(CSV_COLUMNS, len(CSV_COLUMNS))
    lines: list[bytes] = []
    good = 0
    for number in range(draw(st.integers(0, 40))):
        kind = draw(st.sampled_from(["good"] * 4 + ["field", "long", "short", "bytes", "quote"]))
        row = event(
            number, action_type="view", received_time="", page_name='화면, "이름"\n둘째 줄'[: chance.choice([2, 20])]
        )
        if kind == "good":
            good += 1
        elif kind == "field":
            field = draw(st.sampled_from([field for field in CSV_COLUMNS if isinstance(BAD_FIELDS.get(field), str)]))
            row[field] = BAD_FIELDS[field]
        line = csv_text([row], columns).encode().split(b"\r\n", 1)[1].removesuffix(b"\r\n")
        if kind in ("long", "bytes", "quote", "short"):  # one physical line, so that it counts as one
            line = b",".join(b"x" for _ in columns)
            line += {"long": b",x", "bytes": bytes([chance.choice([0, 0xFF, 0xC3])]), "quote": b'"', "short": b""}[kind]
            line = line[2:] if kind == "short" else line
        lines.append(line)
    content = b"\r\n".join([",".join(columns).encode(), *lines]) + b"\r\n"
    return "csv", content, len(lines), good


@settings(
    max_examples=int(os.environ.get("JOURNEYMART_FAULT_EXAMPLES", "6")),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(files=st.lists(st.one_of(faulty_ndjson(), faulty_csv()), min_size=1, max_size=2))
def test_every_line_of_faulty_files_ends_in_one_place(zone: Zone, files: list[FaultyFile]):
    """Whatever is wrong: lines with content = rows + quarantined lines, exactly the good ones are rows, and their hash
    is that of the rows as they are stored."""
    marker = os.urandom(8).hex()  # no content is loaded twice
    for number, (ending, content, _, _) in enumerate(files):
        zone.put(f"clickstream/{marker}/{number}.{ending}", content + b"\n" + marker.encode() + b"%d\n" % number)
    results = zone.land()
    assert [result.status for result in results] == ["loaded"] * len(files)
    for result, (_, _, content_lines, good) in zip(results, files, strict=True):
        assert (result.rows_read, result.rows_loaded) == (content_lines + 1, good)
        assert result.rows_quarantined == content_lines + 1 - good
        assert zone.query(
            f"""
            select
                (select count(*) from raw.event where row_id >> 32 = {result.file_id}),
                (select count(*) from raw.clickstream where row_id >> 32 = {result.file_id}),
                (select count(*) from raw.quarantine where file_id = {result.file_id} and reason <> ''),
                (select count(*) from raw.quarantine as q
                 inner join raw.event as e on e.row_id = (q.file_id::bigint << 32) + q.line_no),
                (select coalesce(sum(rows_loaded), 0)::integer from raw.file_day where file_id = {result.file_id}),
                (select content_hash from raw.file where file_id = {result.file_id}) = (
                    select coalesce(sum(
                        event_hash # (extract(epoch from event_at) * 1000000)::bigint # (row_id & 4294967295)
                    ), 0)
                    from raw.event where row_id >> 32 = {result.file_id}
                )
            """  # noqa: S608 - a number
        ) == [(good, good, content_lines + 1 - good, 0, good, True)]


def test_a_run_with_a_rejected_file_publishes_the_others_and_ends_with_1(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    zone.put("clickstream/good.ndjson", [event(1)])
    zone.put("clickstream/short.ndjson", [event(2)], done={"rows": 2})
    for variable, value in environment(zone.settings).items():
        monkeypatch.setenv(variable, value)
    command = ["run", "--landing", str(zone.directory), "--json"]
    ended = CliRunner().invoke(build_app(), command)
    [why] = [file["error"] for file in json.loads(ended.stdout)["files"] if file["error"]]
    assert (ended.exit_code, ended.stderr.splitlines()[-1]) == (1, why)
    assert zone.query("select event_id from mart.event") == [(event(1)["event_id"],)]
    run_id = zone.value("select run_id from ops.publication")
    reported = CliRunner().invoke(build_app(), ["step", "rejected", "--run-id", run_id])
    assert (reported.stderr, str(reported.exception)) == (
        f"{why}\n", "1 files were rejected or failed, see above: nothing of them is loaded"
    )  # fmt: skip
    assert CliRunner().invoke(build_app(), command).exit_code == 0, "it has been said"
