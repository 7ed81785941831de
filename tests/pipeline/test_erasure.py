"""An erased customer's lines leave raw, quarantine and archive; that there were lines stays in the ledger.

What becomes of the mart is shown where there is one: test_corrections.py.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.pipeline.test_corrections import environment
from tests.pipeline.zone import Zone, event
from typer.testing import CliRunner

from journeymart import erasure
from journeymart.cli import build_app
from journeymart.db import connect
from journeymart.errors import WrongUsageError
from journeymart.landing.again import land_again
from journeymart.landing.archive import INCOMING, Archive
from journeymart.landing.quarantine import Filter, replay
from journeymart.landing.trace import Tracer

CUSTOMER = "C-77"
CSV = """transaction_id,transaction_time,customer_id,transaction_code,amount
t1,2025-06-01,C-77,FX,10.50
t2,2025-06-01,C-778,"F
X",1
t3,2025-06-01,C-77,"F
X",2.25
t4,2025-06-01,C-77,FX,1e5
t5,2025-06-01,c1,FX,3
"""


def land(zone: Zone) -> None:
    zone.put("clickstream/a.ndjson", [event(1), event(2, customer_id=CUSTOMER, page_name="그의 화면"), event(3)])
    zone.put("clickstream/b.ndjson.gz", [event(4, customer_id=CUSTOMER), event(5, customer_id="C-778")])
    zone.put("transactions/a.csv", CSV, {"rows": 5, "totals": {"amount": "100016.75"}})
    (zone.directory / "customers").mkdir()
    rows = [{"customer_id": name, "attributes": json.dumps({"n": name})} for name in ("c1", CUSTOMER, "C-778")]
    pq.write_table(pa.Table.from_pylist(rows), zone.directory / "customers/a.parquet")
    zone.put("consents/a.ndjson", [{"customer_id": CUSTOMER, "purpose": "m", "granted": True, "effective_at": "x"}])
    assert {result.status for result in zone.land()} == {"loaded"}


def erase(zone: Zone) -> erasure.Erasure:
    return erasure.erase(zone.settings, CUSTOMER, "request 7", zone.directory)


def publish(zone: Zone) -> None:
    """What publication does with the lines of the run."""
    zone.query(
        "select raw.remove_erased(array_agg(row_id), 1) from raw.erased_line where publication_id is null"
        " having count(*) > 0"
    )


def archived(zone: Zone) -> bytes:
    """All of the archive, decompressed. Copies that were not finished go after a day, as after landing."""
    found = b""
    for path in sorted(zone.settings.archive.glob("??/*")):
        if path.suffix == ".parquet":
            found += repr(pq.read_table(path).to_pylist()).encode()
        else:
            compression = {".gz": "gzip", ".zst": "zstd"}[path.suffix]
            found += pa.input_stream(str(path), compression=compression).read()
    return found


def written(zone: Zone) -> str:
    """All of the warehouse that is not in a schema of the server's own."""
    tables = zone.query(
        "select c.oid::regclass::text from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace"
        " where c.relkind in ('r', 'm') and n.nspname in ('raw', 'ops', 'config', 'mart', 'export')"
    )
    return "\n".join(str(zone.query(f"select t::text from {table} as t")) for (table,) in tables)  # noqa: S608


def names(text: str | bytes) -> int:
    """How often the customer's number is in a text."""
    return len(re.findall(rb"C-77(?!\d)", text.encode() if isinstance(text, str) else text))


def test_an_erased_customer_is_nowhere_and_the_ledger_balances(zone: Zone):
    land(zone)
    assert names(archived(zone)) == 8
    asked = erase(zone)
    assert (asked.lines, asked.archived) == (7, 5)
    assert asked.landed == sorted(
        path.relative_to(zone.directory).as_posix() for path in zone.directory.rglob("*.*") if path.suffix != ".done"
    )
    assert names(archived(zone)) == 0
    assert archived(zone).count(b"C-778") == 4
    zone.query(
        "insert into ops.access_log (user_name, object, purpose) values ('a', 'b', 'C-77 not C-778') returning 1"
    )
    zone.query(
        "insert into ops.access_grant values ('r', 'a', 'A', 'a@b', 'marketer', 'about C-77', current_date, 'b')"
        " returning 1"
    )
    publish(zone)
    assert names(written(zone)) == 0
    assert zone.value("select purpose ~ '^erased-[-0-9a-f]{36} not C-778$' from ops.access_log where user_name = 'a'")
    assert zone.query("select path, rows_read, rows_loaded, rows_quarantined, rows_erased, totals from raw.file") == [
        ("clickstream/a.ndjson", 3, 2, 0, 1, {}),
        ("clickstream/b.ndjson.gz", 2, 1, 0, 1, {}),
        ("consents/a.ndjson", 1, 0, 0, 1, {}),
        ("customers/a.parquet", 3, 2, 0, 1, {}),
        ("transactions/a.csv", 5, 2, 0, 3, {"amount": "4"}),
    ]
    assert zone.value(
        "select bool_and(content_hash = coalesce(raw.stored_hash("
        "source, file_id::bigint << 32, (file_id::bigint << 32) + 4294967295), 0)) from raw.file"
    )
    assert zone.query("select count(*), (select count(*) from raw.clickstream) from raw.event") == [(3, 3)]
    assert zone.value("select count(*) from raw.node_name") == 0
    assert zone.query("select reason, customer_hash ~ '^[0-9a-f]{64}$', archived_at is not null from ops.erasure") == [
        ("request 7", True, True)
    ]
    # the others are found where they were, in what the archive has now
    shutil.rmtree(zone.directory)
    with connect("jm_admin", settings=zone.settings, autocommit=True) as warehouse:
        warehouse.execute("create table if not exists mart.line_duplicate (row_id bigint, of_row_id bigint)")
        warehouse.execute("create table if not exists mart.line_bot (row_id bigint)")
        warehouse.execute("grant select on mart.line_duplicate, mart.line_bot to jm_builder")
    try:
        with Tracer(zone.settings, landing=zone.directory, unmasked=True) as tracer:
            assert tracer.line(5, 2)[0].went_to == "erased with its customer"
            assert tracer.line(5, 8)[0].text == "t5,2025-06-01,c1,FX,3"
            assert json.loads(tracer.line(4, 3)[0].text)["customer_id"] == "C-778"
    finally:
        with connect("jm_admin", settings=zone.settings, autocommit=True) as warehouse:
            warehouse.execute("drop table mart.line_duplicate, mart.line_bot")


def test_files_of_audiences_with_the_customer_are_removed_to_be_written_anew(zone: Zone):
    land(zone)
    for name, customer in (("AU-A-000001", CUSTOMER), ("AU-A-000002", "C-778"), ("AU-B-000001", CUSTOMER)):
        folder = zone.settings.export / name[:4]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text("{}")
        for kind in ("delta", "snapshot"):
            (folder / f"{name}-{kind}.csv").write_text(f"export_id,customer_id,op\n{name[:4]},{customer},I\n")
    assert erase(zone).exports == 2
    left = {path.name for path in zone.settings.export.rglob("*.*")}
    assert left == {"AU-A-000002.json", "AU-A-000002-delta.csv", "AU-A-000002-snapshot.csv"}
    assert erase(zone).exports == 0


def test_an_erasure_that_is_killed_goes_on_when_it_is_asked_for_again(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    """At every step: no archived file is lost, and in the end nothing is left of the customer."""
    land(zone)
    archive = Archive
    for holder, step in [(archive, "erased"), (erasure, "_discard"), (Path, "unlink"), (archive, "place")]:
        for after in range(0, 6, 2):
            calls = iter(range(100))
            real = getattr(holder, step)

            def killed(*given: Any, real: Any = real, calls: Any = calls, after: int = after, **named: Any) -> Any:
                if next(calls) == after:
                    raise KeyboardInterrupt
                return real(*given, **named)

            with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
                patched.setattr(holder, step, killed)
                erase(zone)
                raise KeyboardInterrupt  # there was nothing left to do
    asked = erase(zone)
    assert asked.lines == 7
    assert names(archived(zone)) == 0
    assert archived(zone).count(b"C-778") == 4
    publish(zone)
    assert names(written(zone)) == 0
    assert zone.value("select bool_and(rows_read = rows_loaded + rows_quarantined + rows_erased) from raw.file")
    again = erase(zone)
    assert (again.lines, again.archived) == (0, 0)
    file = zone.put("clickstream/c.ndjson", [event(9, customer_id=CUSTOMER)])
    zone.land()
    file.unlink()
    for name, value in environment(zone.settings).items():
        monkeypatch.setenv(name, value)
    later = CliRunner().invoke(build_app(), ["erase", "--customer", "-", "--reason", "x", "--json"], f"{CUSTOMER}\n")
    # the default landing zone has nothing of it; that files were landed from somewhere is known all the same
    paths = [path for (path,) in zone.query("select path from raw.file order by 1")]
    assert json.loads(later.stdout) == {
        "erasure_id": again.erasure_id, "lines": 1, "archived": 1, "exports": 0, "landed": [], "elsewhere": paths
    }  # fmt: skip
    publish(zone)
    assert names(written(zone)) == 0


def test_an_erasure_on_a_full_disk_says_where_and_goes_on_when_it_is_asked_for_again(
    zone: Zone, full_disk: Callable[[], AbstractContextManager[None]]
):
    land(zone)
    incoming = zone.settings.archive / INCOMING
    before, left = archived(zone), list(incoming.iterdir())
    with full_disk(), pytest.raises(OSError, match=f"No space left on device: '{incoming}'"):
        erase(zone)
    assert (archived(zone), list(incoming.iterdir())) == (before, left)
    assert erase(zone).lines == 7
    assert names(archived(zone)) == 0


def test_what_lands_before_the_lines_are_gone_is_the_customers_until_it_is_erased_too(zone: Zone):
    land(zone)
    erase(zone)
    zone.put("clickstream/c.ndjson", [event(9, customer_id=CUSTOMER)])
    zone.land()
    publish(zone)
    assert zone.query(
        "select c.customer_id, f.content_hash = raw.stored_hash(f.source, e.row_id, e.row_id) from raw.event as e"
        " inner join raw.customer as c using (customer_key) inner join raw.file as f on f.file_id = e.row_id >> 32"
        " where f.path = 'clickstream/c.ndjson'"
    ) == [(CUSTOMER, True)]
    erase(zone)
    publish(zone)
    assert names(written(zone)) == 0


def test_every_landed_file_with_lines_of_the_customer_is_named(zone: Zone):
    """Also the same content under another name, and a file that another has superseded."""
    wrong = zone.put("clickstream/a.ndjson", [event(1, customer_id=CUSTOMER)])
    zone.put("clickstream/again/a.ndjson", wrong.read_bytes())
    zone.put("clickstream/b.ndjson", [event(2, customer_id=CUSTOMER)], {"supersedes": "clickstream/a.ndjson"})
    zone.land()
    zone.query("select raw.remove_superseded(array_agg(file_id), 1) from raw.file where status = 'superseded'")
    assert erase(zone).landed == ["clickstream/a.ndjson", "clickstream/again/a.ndjson", "clickstream/b.ndjson"]


@pytest.fixture
def alone(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    """Without what other tests leave where a certificate looks; and keys of customers count from the beginning here."""
    shutil.rmtree(zone.settings.home / "archive", ignore_errors=True)
    zone.query("delete from ops.erasure; delete from ops.access_grant; select 1")
    for name, value in environment(zone.settings).items():
        monkeypatch.setenv(name, value)
    yield zone
    zone.query("delete from ops.erasure; select 1")


def certify(*devices: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, what it says, and why not."""
    call = ["certify", "--customer", "-", "--json"]
    said = CliRunner().invoke(build_app(), call, "\n".join([CUSTOMER, *devices]))
    return said.exit_code, json.loads(said.stdout or "{}"), str(said.exception)


def test_a_certificate_is_written_once_the_number_is_nowhere(alone: Zone):
    zone = alone
    land(zone)
    zone.put("clickstream/c.ndjson", [event(6, customer_id=CUSTOMER, visitor_id="only-his")])
    zone.land()
    assert "nobody has asked to erase" in certify()[2]
    erase(zone)
    assert "wait for the next run" in certify()[2]
    publish(zone)
    aside = zone.settings.archive.rename(zone.settings.home / "elsewhere")  # not mounted, or another one is named
    assert "files that may have such lines are not in the archive" in certify()[2]
    aside.rename(zone.settings.archive)
    code, first, _ = certify("only-his")
    assert (code, first["search"]["found"], first["search"]["unreachable"]) == (0, {}, [])
    places = first["search"]["places"]
    assert {f"warehouse.{name}" for name in ("raw", "ops", "config", "export")} <= places.keys()
    assert places["files/archive"]["parts"] == len(list(zone.settings.archive.glob("??/*")))
    assert places["files/archive"]["bytes"] > len(CSV)
    page = Path(first["page"])
    assert page.is_relative_to(zone.settings.docs)
    text = page.read_text()
    assert names(text) == 0
    cells = "".join(f"<td>{cell}</td>" for cell in ("transactions", 3, 1, 5, 2, 0, 3))
    assert all(shown in text for shown in ("request 7", cells, "기기 식별자 1개"))
    sha256 = hashlib.sha256(page.read_bytes()).hexdigest()
    assert first["sha256"] == sha256
    assert zone.query("select certificate_sha256, certified_at > archived_at from ops.erasure") == [(sha256, True)]
    # a device that has lines which are not the customer's
    elsewhere = certify("v3")[1]["search"]["found"]
    assert [elsewhere.pop(f"warehouse.raw.visitor.visitor_id{where}") for where in ("", " (pg_stats)")] == [1, 1]
    assert [(Path(path).parts[-3], times) for path, times in elsewhere.items()] == [("archive", 1)]
    # asked for again, it is another request
    zone.put("clickstream/d.ndjson", [event(7, customer_id=CUSTOMER)])
    zone.land()
    erase(zone)
    assert zone.query("select certified_at, certificate_sha256 from ops.erasure") == [(None, None)]
    publish(zone)
    zone.query("update raw.file set rows_erased = rows_erased + 1 where path = 'clickstream/d.ndjson' returning 1")
    assert "does not add up for files of clickstream" in certify()[2]
    assert len(list(page.parent.iterdir())) == 1


def test_a_number_that_is_left_anywhere_is_named_and_not_certified(alone: Zone):
    zone, home = alone, alone.settings.home
    land(zone)
    erase(zone)
    publish(zone)
    device = "d\\1한"
    planted = {
        "docs/validations/page.html": b"<td>C-77</td>",
        "export/AU-X/x.csv": b"a,C-778,C-77,xC-77\n",
        "logs/old.log.gz": gzip.compress(b"x" * (2**20 - 3) + b' "memo": "a\\nC-77"'),
        "logs/old.log.bz2": bz2.compress(b"C-77"),
        "logs/old.log.xz": lzma.compress(b"x" * 2**20 + b" C-77"),
        "export/AU-X.zip": b"",
        "archive/aa/a.dat.zst": pa.compress(b"FX20250601C-77X", "zstd", asbytes=True),
        "archive/aa/b.parquet": b"",
        "reports/C-77.html": b"",
        "superset/state.json": json.dumps({"params": json.dumps({"device": device})}).encode(),
    }
    for path, content in planted.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_bytes(content)
    pq.write_table(pa.table({"a": [["\u00a0C-77"], ["C-778"]]}), home / "archive/aa/b.parquet")
    with zipfile.ZipFile(home / "export/AU-X.zip", "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("x.csv", "a,C-77\n")
    zone.query("update ops.erasure set reason = reason || ' of C-77' returning 1")
    with connect("superset", database="superset", settings=zone.settings) as metadata:
        metadata.execute("create table kept (value bytea)")
        for value in ("고객C-77", device):
            metadata.execute("insert into kept values (%s)", (json.dumps(value, ensure_ascii=False).encode(),))
    try:
        code, found, _ = certify(device)
        with pytest.MonkeyPatch.context() as patch:  # a folder that may not be listed
            patch.setattr(os, "scandir", lambda path: (_ for _ in ()).throw(PermissionError(13, "denied", path)))
            assert f"{home} cannot be searched: denied" in certify()[2]
    finally:
        with connect("superset", database="superset", settings=zone.settings) as metadata:
            metadata.execute("drop table kept")
        for path in planted:
            (home / path).unlink()
    assert (code, found["page"], found["sha256"]) == (1, None, None)
    assert found["search"]["found"] == {
        "warehouse.ops.erasure.reason": 1, "superset.public.kept.value": 2, **{str(home / path): 1 for path in planted}
    }  # fmt: skip
    assert zone.value("select certified_at from ops.erasure") is None


def test_what_was_written_about_the_customer_goes_with_the_last_line(alone: Zone):
    """In addresses, errors and what the planner remembers; and a device that nobody else has used."""
    zone = alone
    zone.put("clickstream/a.ndjson", [event(n, customer_id=f"C-{n}", visitor_id="d0") for n in range(76, 79)])
    url = {"page_code": None, "page_url": "https://a.bank/customer/C-77/card", "page_name": "C-77님"}
    zone.put("clickstream/b.ndjson", [event(1, customer_id=CUSTOMER, visitor_id="his", **url), event(2, **url)])
    zone.land()
    zone.query("insert into ops.run values ('r', 'all', 1, 'failed', 'Key (customer_id)=(C-77)') returning 1")
    zone.query("analyze raw.customer, raw.node, raw.visitor; select 1")
    assert zone.value("select count(*) from pg_stats where histogram_bounds::text ~ 'C-77[^8]'") > 0
    erase(zone)
    publish(zone)
    code, outcome, _ = certify("his")
    left = {place.removeprefix("warehouse.") for place in outcome["search"]["found"]}
    # its other line is not the customer's
    assert left - {path for path in left if "/archive/" in path} == {
        "raw.clickstream.page_url",
        "raw.clickstream.page_name",
    }
    assert code == 1
    assert zone.query("select visitor_id from raw.visitor where visitor_id not like 'erased-%' order by 1") == [
        ("d0",), ("v2",)
    ]  # fmt: skip
    assert zone.value("select error from ops.run where run_id = 'r'").startswith("Key (customer_id)=(erased-")


HEADER = """
file:
  trailer: {value: "T", rows: {offset: 1, length: 3}}
  header:
    - {name: transaction_id, length: 2, field: transaction_id, label: {ko: x, en: x}}
    - {name: code, length: 2, field: transaction_code, label: {ko: x, en: x}}
    - {name: time, length: 8, type: date, field: transaction_time, label: {ko: x, en: x}}
    - {name: customer_id, length: 4, field: customer_id, label: {ko: x, en: x}}
transactions:
  FX: {label: {ko: x, en: x}, category: {ko: x, en: x}}
"""


def test_lines_of_a_file_with_a_trailer_are_replayed_after_others_were_erased(zone: Zone):
    plan = zone.define(HEADER, "transactions")
    zone.put("transactions/a.dat", f"t1FX20250601{CUSTOMER}\nt2FX20250601C-78\nt3FY20250601C-78\nT003\n")
    assert zone.land(definitions=plan)[0].rows_quarantined == 1
    erase(zone)
    publish(zone)
    zone.define(HEADER + "  FY: {label: {ko: x, en: x}, category: {ko: x, en: x}}\n", "transactions")
    [replayed] = replay(zone.directory, "r", Filter(), definitions=plan, settings=zone.settings)
    assert (replayed.rows_loaded, replayed.error) == (1, None)
    [again] = land_again(zone.directory, "r", definitions=plan, settings=zone.settings)
    assert (again.rows_read, again.rows_loaded, again.error) == (2, 2, None)


def test_messages_go_from_a_superseded_file_too(alone: Zone):
    """Raw has none of its rows, and nothing stands between the number and what is before it."""
    zone = alone
    plan = zone.define(HEADER, "transactions")
    zone.put("transactions/a.dat", f"t1FX20250601{CUSTOMER}\nt2FX20250601C-78\nT002\n")
    zone.land(definitions=plan)
    zone.put("transactions/b.dat", f"t1FX20250601{CUSTOMER}\nT001\n", {"supersedes": "transactions/a.dat"})
    zone.land(definitions=plan)
    zone.query("select raw.remove_superseded(array_agg(file_id), 1) from raw.file where status = 'superseded'")
    assert names(archived(zone)) == 2
    assert erase(zone).archived == 2
    assert (names(archived(zone)), archived(zone).count(b"C-78")) == (0, 1)


def test_a_stray_quote_takes_no_line_of_others_with_it(zone: Zone):
    lines = [
        "transaction_id,transaction_time,customer_id,transaction_code,note",
        f't1,2025-06-01,{CUSTOMER},FX,tv 55" wide',
        "t2,2025-06-01,c1,FX,x",
        f't3,2025-06-01,{CUSTOMER},FX,"never closed',
        "t4,2025-06-01,c1,FX,x",
        't5,2025-06-01,c1,FX,"q\nr"',
    ]
    zone.put("transactions/a.csv", "\n".join(lines))
    zone.land()
    erase(zone)
    publish(zone)
    plan = zone.define("sources: {transactions: {fields: {result_code: {aliases: [rc]}}}}")
    [again] = land_again(zone.directory, "r", definitions=plan, settings=zone.settings)
    assert (again.rows_read, again.rows_loaded) == (3, 3)
    assert names(archived(zone)) == 0


def test_a_replayed_line_is_numbered_by_its_file_as_it_landed(zone: Zone):
    plan = zone.define("sources: {clickstream: {fields: {event_id: {file_line: true}}}}")
    lines = [event(1), event(2, action_type="Click", customer_id=CUSTOMER), event(3, action_type="Click")]
    zone.put("clickstream/a.ndjson", lines)
    zone.land(definitions=plan)
    erase(zone)
    zone.define(
        "sources: {clickstream: {fields: {event_id: {file_line: true}, action_type: {values: {Click: click}}}}}"
    )
    [replayed] = replay(zone.directory, "r", Filter(), definitions=plan, settings=zone.settings)
    assert (replayed.lines, replayed.rows_loaded) == (1, 1), "the erased one waits for the next run"
    assert zone.query("select event_id from raw.clickstream order by row_id") == zone.query(
        "select left(sha256, 16) || '-' || line_no from raw.file cross join (values (1), (3)) as l (line_no)"
    )
    publish(zone)
    assert zone.query("select rows_read, rows_loaded, rows_quarantined, rows_erased from raw.file") == [(3, 2, 0, 1)]


def test_what_cannot_be_erased_says_why(zone: Zone):
    zone.put("customers/a.ndjson", [{"customer_id": "c1"}])
    zone.land()
    with pytest.raises(erasure.ErasureError, match="nothing of this customer has landed"):
        erasure.erase(zone.settings, "nobody", "request 8", zone.directory)
    with pytest.raises(WrongUsageError, match="say why"):
        erasure.erase(zone.settings, "c1", " ", zone.directory)
    for no_number in ("", " ", '"'):  # which is in every rejected line
        with pytest.raises(WrongUsageError, match="say which customer"):
            erasure.erase(zone.settings, no_number, "request 8", zone.directory)
    with connect("jm_builder", settings=zone.settings) as build:
        build.execute("select pg_advisory_lock(hashtext('journeymart.build'))")
        with pytest.raises(erasure.ErasureError, match="a run is being built"):
            erase(zone)


def test_rows_of_a_compressed_parquet_file(zone: Zone):
    (zone.directory / "customers").mkdir()
    with pa.output_stream(zone.directory / "customers/a.parquet.gz", compression="gzip") as stream:
        pq.write_table(pa.Table.from_pylist([{"customer_id": name} for name in ("c1", CUSTOMER)]), stream)
    zone.land()
    erase(zone)
    publish(zone)
    plan = zone.define("sources: {customers: {fields: {region: {aliases: [area]}}}}")
    [again] = land_again(zone.directory, "r", definitions=plan, settings=zone.settings)
    assert (again.rows_read, again.rows_loaded) == (1, 1)
    [kept] = zone.settings.archive.glob("??/*.parquet.gz")
    with pa.input_stream(kept, compression="gzip") as content:
        assert pq.read_table(pa.BufferReader(content.read())).to_pylist() == [
            {"customer_id": "c1"},
            {"customer_id": None},
        ]
