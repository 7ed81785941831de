"""Rejected lines are listed, and landed under their own number once the rule that rejected them is corrected."""

from __future__ import annotations

import psycopg
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pytest
from psycopg import sql
from pyarrow import parquet
from tests.pipeline.test_faults import fail_on_line
from tests.pipeline.zone import Zone, event, transaction

from journeymart.db import connect
from journeymart.landing.quarantine import Filter, ReplayError, quarantined, replay

HOVER = "sources: {clickstream: {fields: {action_type: {values: {hover: click}}}}}"


def test_the_list_shows_shape_and_reason_but_no_value(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    zone.put(
        "clickstream/a.ndjson",
        [event(1, action_type="hover", click_text="홍길동 010-1234-5678"), event(2, event_time="soon")],
    )
    zone.put("transactions/b.ndjson", [transaction(1, amount="1,000")])
    zone.land()
    found = quarantined(Filter(), settings=zone.settings)
    assert [(line.path, line.line_no, line.field) for line in found] == [
        ("transactions/b.ndjson", 1, "amount"),
        ("clickstream/a.ndjson", 1, "action_type"),
        ("clickstream/a.ndjson", 2, "event_time"),
    ]
    assert found[1].line == (
        '{"event_id": "xx", "event_time": "xxxx-xx-xxxxx:xx:xx+xx:xx", "visitor_id": "xx", "page_code": "xx",'
        ' "action_type": "xxxxx", "click_text": "xxx *xxxxx*"}'
    )
    for chosen, lines in (
        (Filter(source="transactions"), 1),
        (Filter(file="1", reason="EVENT_TIME"), 1),
        (Filter(file="clickstream/a.ndjson"), 2),
        (Filter(reason="nothing like it"), 0),
    ):
        assert len(quarantined(chosen, settings=zone.settings)) == lines
    monkeypatch.setenv("JOURNEYMART_USER", "noh")
    [line] = quarantined(Filter(reason="hover"), unmasked=True, settings=zone.settings)
    assert "홍길동" in (line.line or "")
    assert zone.query("select user_name, object, purpose from ops.access_log") == [
        ("noh", "raw.quarantine", "quarantine list --reason hover")
    ]


def test_no_reason_shows_a_value_to_an_auditor(zone: Zone):
    zone.put("transactions/a.ndjson", [transaction(1, customer_id=["C0001", "it's C0002"])])
    zone.land()
    [[_, _, reason]] = zone.quarantine()
    assert "C0001" in reason
    [line] = quarantined(Filter(), settings=zone.settings)
    assert (line.field, line.reason) == ("customer_id", "customer_id is not text: ….")
    with connect("jm_auditor", autocommit=True, settings=zone.settings) as warehouse:
        assert warehouse.execute("select reason from raw.replay_masked").fetchall() == []
        for relation in (sql.Identifier("raw", "quarantine"), sql.Identifier("raw", "replay")):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                warehouse.execute(sql.SQL("select reason from {}").format(relation))


def test_replay_lands_exactly_what_is_good_now_and_only_once(zone: Zone):
    zone.put(
        "clickstream/a.ndjson",
        [event(1), event(2, action_type="hover"), event(3, action_type="jump"), event(4, action_type="hover"), {}],
    )
    zone.put("clickstream/b.ndjson", [event(5, action_type="hover")])
    zone.land()
    definitions = zone.define(HOVER)
    before = zone.query("select * from raw.event")

    def again(chosen: Filter) -> list[tuple[int, int, int]]:
        results = list(replay(zone.directory, "r", chosen, definitions=definitions, settings=zone.settings))
        assert [result.error for result in results] == [None] * len(results)
        return [(result.lines, result.rows_loaded, result.rows_quarantined) for result in results]

    assert again(Filter(file="clickstream/a.ndjson", reason="action_type")) == [(3, 2, 1)]
    assert zone.query("select row_id >> 32, row_id & 4294967295 from raw.event order by row_id") == [
        (1, 1),
        (1, 2),
        (1, 4),
    ]
    assert set(before) < set(zone.query("select * from raw.event"))
    assert zone.value("select count(*) from raw.clickstream") == 3
    assert zone.statuses() == [("clickstream/a.ndjson", "loaded", 5, 3, 2), ("clickstream/b.ndjson", "loaded", 1, 0, 1)]
    assert zone.query("select row_id & 4294967295, field, publication_id from raw.replay order by 1") == [
        (2, "action_type", None),
        (4, "action_type", None),
    ]
    assert zone.quarantine()[0][2].endswith(": 'jump'.")
    assert again(Filter(file="clickstream/a.ndjson")) == [(2, 0, 2)]
    assert zone.statuses()[0] == ("clickstream/a.ndjson", "loaded", 5, 3, 2)


@pytest.mark.parametrize("kind", ["ndjson", "csv", "parquet"])
def test_an_unknown_transaction_code_waits_for_the_catalogue(zone: Zone, kind: str):
    lines = [transaction(1), transaction(2, transaction_code="FY")]
    file = zone.directory / f"transactions/a.{kind}"
    if kind == "ndjson":
        zone.put("transactions/a.ndjson", lines)
    else:
        file.parent.mkdir()
        write = arrow_csv.write_csv if kind == "csv" else parquet.write_table
        write(pa.Table.from_pylist(lines), file)
    catalogue = "transactions:\n  {}: {{label: {{ko: 외환, en: FX}}, category: {{ko: 외환, en: FX}}}}\n"
    zone.land(definitions=zone.define(catalogue.format("FX"), "transactions"))
    assert [(field, reason) for _, field, reason in zone.quarantine()] == [
        ("transaction_code", "transaction_code is not in transactions.yml: 'FY'.")
    ]
    known = zone.define(catalogue.format("FX") + catalogue.format("FY").partition("\n")[2], "transactions")
    [result] = replay(zone.directory, "r", Filter(), definitions=known, settings=zone.settings)
    assert (result.rows_loaded, result.error, zone.quarantine()) == (1, None, [])


def test_a_bank_may_load_transaction_codes_that_it_has_not_defined(zone: Zone):
    zone.put("transactions/a.ndjson", [transaction(1, transaction_code="FY")])
    [result] = zone.land(definitions=zone.define("unknown_codes: load\ntransactions: {}", "transactions"))
    assert result.rows_loaded == 1


def test_a_transaction_is_made_through_a_channel_of_the_contract_or_nobody_says_which(zone: Zone):
    channels = ["web", "app", "branch", "atm", "call", None, "mobile"]
    zone.put("transactions/a.ndjson", [transaction(n, channel=channel) for n, channel in enumerate(channels)])
    zone.land()
    assert zone.quarantine() == [(7, "channel", "channel is not one of web, app, branch, atm, call: 'mobile'.")]
    assert [channel for (channel,) in zone.query("select channel from raw.transactions order by 1")] == [
        "app", "atm", "branch", "call", "web", None
    ]  # fmt: skip


def test_amounts_of_replayed_lines_are_added_to_the_ledger(zone: Zone):
    lines = "".join(f"t{n};2025-06-01;c{n};FX;{amount}\n" for n, amount in enumerate(["1.5", "2.5", "9999999", "x"]))
    zone.put("transactions/a.csv", "transaction_id;transaction_time;customer_id;transaction_code;amount\n" + lines)
    narrow = zone.define("sources: {transactions: {delimiter: ';', fields: {transaction_id: {allowed: [t0]}}}}")
    zone.land(definitions=narrow)
    assert zone.query("select totals from raw.file") == [({"amount": "1.5"},)]
    wide = zone.define("sources: {transactions: {delimiter: ';'}}")
    [result] = replay(zone.directory, "r", Filter(), definitions=wide, settings=zone.settings)
    assert (result.lines, result.rows_loaded, result.rows_quarantined) == (3, 2, 1)
    assert zone.query("select totals from raw.file") == [({"amount": "10000003"},)]
    assert zone.value("select sum(amount) from raw.transactions") == 10000003


def test_a_replay_that_there_is_no_room_for_says_so_and_changes_nothing(zone: Zone):
    zone.put("clickstream/a.ndjson", [event(n, action_type="hover") for n in range(20)])
    zone.land()
    definitions = zone.define(HOVER)
    state = (zone.statuses(), zone.quarantine())
    fail_on_line(zone, 15, "raise exception 'no space left on device' using errcode = '53100'")
    try:
        [full] = replay(zone.directory, "r", Filter(), definitions=definitions, settings=zone.settings)
    finally:
        zone.query("drop function raw.fail cascade; select 1")
    assert (full.rows_loaded, full.rows_quarantined, zone.statuses(), zone.quarantine()) == (0, 20, *state)
    assert str(full.error).startswith("clickstream/a.ndjson no space left on device")
    assert str(full.error).endswith("; its lines stay in quarantine: once that is mended, replay them again")
    [result] = replay(zone.directory, "r", Filter(), definitions=definitions, settings=zone.settings)
    assert (result.rows_loaded, zone.value("select count(*) from raw.event")) == (20, 20)


def test_a_replay_that_fails_midway_changes_nothing(zone: Zone):
    zone.put("clickstream/a.ndjson", [event(n, action_type="hover") for n in range(20)])
    file = zone.put("clickstream/b.ndjson", [event(99, action_type="hover")])
    zone.land()
    file.write_text("other content")
    with connect("jm_admin", settings=zone.settings) as warehouse:
        warehouse.execute(
            """
            create function raw.fail() returns trigger language plpgsql as $$
            begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$;
            create trigger fail before insert on raw.clickstream for each row
            when ((new.row_id & 4294967295) = 15) execute function raw.fail()
            """
        )
    definitions = zone.define(HOVER)
    state = (zone.statuses(), zone.quarantine())
    try:
        with pytest.raises(ReplayError, match=r"a\.ndjson: the connection is lost .*; once it is back, replay"):
            list(replay(zone.directory, "r", Filter(), definitions=definitions, settings=zone.settings))
    finally:
        with connect("jm_admin", settings=zone.settings) as warehouse:
            warehouse.execute("drop function raw.fail cascade")
    assert (zone.statuses(), zone.quarantine()) == state
    assert zone.value("select (select count(*) from raw.replay) + (select count(*) from raw.event)") == 0
    first, second = replay(zone.directory, "r", Filter(), definitions=definitions, settings=zone.settings)
    assert (first.rows_loaded, first.error) == (20, None)
    assert (second.rows_loaded, second.error) == (1, None)  # from the archive, whatever lies in the landing zone now


def test_a_replay_does_not_interfere_with_a_build(zone: Zone):
    with (
        connect("jm_builder", settings=zone.settings, autocommit=True) as builder,
        pytest.raises(ReplayError, match="a run is being built"),
    ):
        builder.execute("select pg_advisory_lock(hashtext('journeymart.build'))")
        list(replay(zone.directory, "r", Filter(), settings=zone.settings))
