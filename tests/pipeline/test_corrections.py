"""A corrected file takes the place of an earlier one: the mart is that of a load of the corrected files alone."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tests.conftest import Warehouses
from tests.pipeline.comparison import differences, mart_by_name, mart_tables
from tests.pipeline.tangle import CUSTOMER_DAYS, customers, cut, tangle
from tests.pipeline.zone import Zone, event
from typer.testing import CliRunner

from journeymart import pipeline
from journeymart.certificate import certify
from journeymart.cli import build_app
from journeymart.db import connect
from journeymart.erasure import erase
from journeymart.errors import WrongUsageError
from journeymart.landing.again import land_again
from journeymart.landing.quarantine import Filter, replay
from journeymart.landing.trace import TraceError, Tracer
from journeymart.person import person
from journeymart.settings import Settings
from journeymart.transform.build import build

# Dictionaries keep what they have once seen, also what only a superseded file had.
DICTIONARIES = {"node", "inflow", "bot_agent"}
REPEATED_LINES = 0.15


def test_dates_are_rebuilt_from_raw(warehouse: Settings, tmp_path: Path) -> None:
    zone = Zone(tmp_path / "landing", warehouse)
    zone.put(
        "clickstream/1.ndjson",
        [event(n, event_time=f"2026-03-{day}T12:00:00+09:00") for n, day in enumerate((10, 11, 12))],
    )
    pipeline.run(warehouse, zone.directory)
    sound = mart_by_name(warehouse)
    with connect("jm_admin", settings=warehouse) as connection:  # a day that somebody has damaged
        connection.execute("delete from mart.session_fact where session_date = '2026-03-11'")
        connection.execute("update mart.session_daily set sessions = 9 where session_date = '2026-03-11'")
    assert differences(mart_by_name(warehouse), sound) != {}

    call = ["reprocess", "--from", "2026-03-11", "--to", "2026-03-12", "--json"]
    with mock.patch.object(Settings, "load", return_value=warehouse):
        result = CliRunner().invoke(build_app(), call)
        assert CliRunner().invoke(build_app(), [*call[:2], "2026-03-13", *call[3:]]).exit_code == 2
    assert result.exit_code == 0, result.output
    days = json.loads(result.stdout)["dates"]
    assert [(day["session_date"], day["sessions"], day["is_changed"]) for day in days] == [
        ("2026-03-11", 1, True), ("2026-03-12", 1, False),
    ]  # fmt: skip
    assert differences(mart_by_name(warehouse), sound) == {}


def test_a_declared_correction_is_recorded(zone: Zone):
    first = zone.put("clickstream/a.ndjson", [event(1), event(2)])
    old = first.read_bytes()
    sha256 = hashlib.sha256(old).hexdigest()
    zone.put("clickstream/b.ndjson", [event(1)])
    # in one delivery: before it in the order of paths, loaded behind it all the same
    zone.put("clickstream/a-corrected.ndjson", [event(2), event(3)], {"supersedes": "clickstream/a.ndjson"})
    assert [(result.path, result.status) for result in zone.land()] == [
        ("clickstream/a.ndjson", "loaded"),
        ("clickstream/b.ndjson", "loaded"),
        ("clickstream/a-corrected.ndjson", "loaded"),
    ]
    assert zone.query("select path, status, superseded_by from raw.file order by 1") == [
        ("clickstream/a-corrected.ndjson", "loaded", None),
        ("clickstream/a.ndjson", "superseded", 3),
        ("clickstream/b.ndjson", "loaded", None),
    ]
    assert zone.land() == []
    # the same wrong content again, and a correction of the correction back to it
    zone.put("clickstream/d.ndjson", [event(4)], {"supersedes": sha256})
    assert [(result.status, result.error) for result in zone.land()] == [
        (
            "rejected",
            f"clickstream/d.ndjson has a .done that supersedes '{sha256}', which is no loaded file of its source",
        )
    ]
    zone.put("clickstream/c.ndjson", old)
    zone.put("clickstream/e.ndjson", old, {"supersedes": "clickstream/a-corrected.ndjson"})
    assert [result.status for result in zone.land()] == ["repeated", "loaded"]
    # that content is loaded now, so its correction is taken
    assert [(result.path, result.status) for result in zone.land()] == [("clickstream/d.ndjson", "loaded")]
    # overwritten in its place
    zone.put("clickstream/b.ndjson", [event(7)], {"supersedes": "clickstream/b.ndjson"})
    assert [result.status for result in zone.land()] == ["loaded"]
    assert sorted(zone.query("select path from raw.file where status = 'loaded'")) == [
        ("clickstream/b.ndjson",),
        ("clickstream/d.ndjson",),
    ]


def test_a_content_that_is_loaded_already_may_correct_another(zone: Zone):
    zone.put("clickstream/a.ndjson", [event(1)])
    right = zone.put("clickstream/b.ndjson", [event(2)]).read_bytes()
    zone.land()
    zone.put("clickstream/c.ndjson", right, {"supersedes": "clickstream/a.ndjson"})
    zone.put("clickstream/d.ndjson", right, {"supersedes": "clickstream/a.ndjson"})
    zone.put("clickstream/e.ndjson", right, {"supersedes": "clickstream/b.ndjson"})
    assert [(result.status, result.error) for result in zone.land()] == [
        ("repeated", None), ("repeated", None),
        ("rejected", "clickstream/e.ndjson has a .done that supersedes 'clickstream/b.ndjson', which is no loaded file"
         " of its source"),
    ]  # fmt: skip
    assert zone.query("select path, status, superseded_by, repeat_of from raw.file where error is null order by 1") == [
        ("clickstream/a.ndjson", "superseded", 2, None), ("clickstream/b.ndjson", "loaded", None, None),
        ("clickstream/c.ndjson", "repeated", None, 2), ("clickstream/d.ndjson", "repeated", None, 2),
    ]  # fmt: skip


def test_a_correction_that_waits_for_what_it_corrects(zone: Zone):
    zone.put("clickstream/b.ndjson", [event(2)], {"supersedes": "clickstream/a.ndjson"})
    assert [result.status for result in zone.land()] == ["rejected"]
    assert zone.land() == []
    zone.put("clickstream/a.ndjson", [event(1)])
    assert [result.status for result in zone.land()] == ["loaded"]
    assert [result.status for result in zone.land()] == ["loaded"]
    assert zone.query("select path from raw.file where status = 'superseded'") == [("clickstream/a.ndjson",)]


def test_a_changed_plan_reads_files_again_from_the_archive(zone: Zone):
    line = event(1, menu="홈", staff="김하나", branch="7", properties={"branch": "8", "a": 1})
    first = zone.put("clickstream/a.ndjson", [line, event(2, staff="이두리", branch="x")])
    declared = {"rows": 2, "sha256": hashlib.sha256(first.read_bytes()).hexdigest().upper()}
    Path(f"{first}.done").write_text(json.dumps(declared))
    zone.put("customers/a.ndjson", [{"customer_id": "c1"}])
    by_place = "sources: {clickstream: {fields: {event_id: {file_line: true}}}}"
    zone.land(definitions=zone.define(by_place))
    archived = sorted(zone.settings.archive.rglob("*"))
    event_id = zone.value("select min(event_id) from raw.clickstream")
    first.unlink()
    definitions = zone.define(
        """
sources:
  clickstream:
    fields:
      event_id: {file_line: true}
      page_name: {aliases: [menu]}
      staff: {type: text, personal: name, label: {ko: 직원, en: Staff}, description: {ko: 직원., en: Staff.}}
      branch_no: {type: integer, from: branch, label: {ko: 지점, en: Branch}, description: {ko: 지점., en: Branch.}}
"""
    )
    again = list(land_again(zone.directory, "again", definitions=definitions, settings=zone.settings))
    assert [(result.path, result.status, result.rows_quarantined) for result in again] == [
        ("clickstream/a.ndjson", "loaded", 1)
    ]
    assert zone.query("select path, status, superseded_by from raw.file order by file_id") == [
        ("clickstream/a.ndjson", "superseded", 3),
        ("customers/a.ndjson", "loaded", None),
        ("clickstream/a.ndjson", "loaded", None),
    ]
    assert sorted(zone.settings.archive.rglob("*")) == archived, "what is nobody's would not be erased"
    [(page_name, properties, same_id)] = zone.query(
        "select page_name, properties, event_id from raw.clickstream where row_id >> 32 = 3"
    )
    assert (page_name, same_id) == ("홈", event_id)
    assert properties == {"a": 1, "branch": "8", "branch_no": 7, "staff": mock.ANY, "event_id": "e1"}
    assert properties["staff"].startswith("name-")
    reasons = zone.query("select field, reason from raw.quarantine where file_id = 3")
    assert reasons == [("branch_no", "branch_no is not a whole number: 'x'.")]
    assert zone.land(definitions=definitions) == []
    assert list(land_again(zone.directory, "again", definitions=definitions, settings=zone.settings)) == []
    # as an earlier version left it, which kept neither
    zone.query("update raw.file set plan_hash = null, content_hash = null where source = 'customers' returning 1")
    assert len(list(land_again(zone.directory, "again", definitions=definitions, settings=zone.settings))) == 1
    assert zone.value("select content_hash <> 0 from raw.file where source = 'customers' and status = 'loaded'")


def test_two_files_that_correct_each_other_do_not_both_vanish(zone: Zone):
    zone.put("clickstream/a.ndjson", [event(1)], {"supersedes": "clickstream/b.ndjson"})
    zone.put("clickstream/b.ndjson", [event(1)] * 2, {"supersedes": "clickstream/a.ndjson"})
    assert [result.status for result in zone.land()] == ["rejected", "rejected"]


def test_a_file_that_is_nowhere_any_more_stays_as_it_was(zone: Zone):
    zone.put("customers/a.ndjson", [{"customer_id": "c1"}])
    zone.land()
    shutil.rmtree(zone.settings.archive)
    zone.put("customers/a.ndjson", [{"customer_id": "c2"}])
    definitions = zone.define("sources: {customers: {time_zone: UTC}}")
    [result] = land_again(zone.directory, "again", definitions=definitions, settings=zone.settings)
    assert result.status == "failed"
    assert "customers/a.ndjson is not in the archive" in (result.error or "")
    assert zone.query("select status from raw.file") == [("loaded",)]


def test_what_only_a_superseded_file_had_goes_with_it(warehouse: Settings, tmp_path: Path):
    """The latest time, and all that is known of a customer, who leaves their segments."""
    zone = Zone(tmp_path / "landing", warehouse)
    definitions = zone.define(
        "segments: [{id: SG-VIP, label: {ko: 우수, en: VIP}, owner: tests, all_of: [{customer: {grade: VIP}}]}]",
        "segments",
    )
    zone.put("clickstream/1.ndjson", [event(1)])
    zone.put("clickstream/2.ndjson", [event(2, event_time=f"{datetime.now(UTC):%FT%TZ}")])
    zone.put("customers/1.ndjson", [{"customer_id": "c1", "grade": "VIP"}])
    pipeline.run(zone.settings, zone.directory, definitions=definitions)
    zone.put("clickstream/3.ndjson", [event(3)], {"supersedes": "clickstream/2.ndjson"})
    assert pipeline.run(zone.settings, zone.directory, definitions=definitions).build.scope == "all"
    assert zone.query("select customer_id from mart.segment_member") == [("c1",)]
    zone.put("clickstream/4.ndjson", [event(4)])
    zone.put("customers/2.ndjson", [{"customer_id": "c2"}], {"supersedes": "customers/1.ndjson"})
    assert pipeline.run(zone.settings, zone.directory, definitions=definitions).build.scope == "changes"
    last = datetime.fromisoformat(event(4)["event_time"])
    assert zone.query("select watermark_at from mart.watermark") == [(last,)]
    assert zone.query("select watermark_at from mart.publication_latest") == [(last,)]
    assert zone.query("select customer_id from mart.segment_member") == []


@pytest.mark.parametrize("seed", [3])
def test_corrections_and_replays_leave_the_mart_of_the_corrected_files(
    warehouse: Settings, warehouses: Warehouses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
):
    """A tangled history dealt to files that share ids. Some are wrong at first: lines that are missing, moved, broken
    or somebody else's. They are published, then corrected or replayed, in a run of changes; the mart is that of one
    load of what is right. Then the same with everything computed anew."""
    chance = random.Random(seed)
    whole, right, landing = (tmp_path / name for name in ("whole", "right", "landing"))
    whole.mkdir()
    definitions = tangle(whole, seed)
    consents = [
        {"customer_id": f"c-{n % 4 + 1}", "purpose": "marketing", "granted": n % 3 > 0,
         "effective_at": f"2026-05-{n + 1:02}"} for n in range(20)
    ]  # fmt: skip
    everything = {
        source: [json.loads(line) for line in (whole / source / "all.ndjson").read_text().splitlines()]
        for source in ("clickstream", "transactions")
    } | {"customers": [line for day in CUSTOMER_DAYS for line in customers(day)], "consents": consents}
    for line in everything["clickstream"]:  # a kind of action that no rule knows at first
        line["action_type"] = "jump" if chance.random() < 0.1 else line["action_type"]
    deal(everything, right, chance)
    with (right / "clickstream" / "part-3.ndjson").open("a") as file:
        file.write("{broken\n")
    shutil.copytree(right, landing)
    wrong = [path for path in sorted(landing.rglob("*.ndjson")) if path.stem in ("part-0", "part-1")]
    for path in wrong:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        write(path, spoiled(rows, everything[path.parent.name], chance))
    late = [landing / "clickstream" / "part-4.ndjson", landing / "transactions" / "part-2.ndjson"]
    for path in late:
        path.rename(tmp_path / f"{path.parent.name}-{path.name}")

    assert pipeline.run(warehouse, landing, definitions=definitions).build.scope == "all"
    (definitions / "sources.yml").write_text("sources: {clickstream: {fields: {action_type: {values: {jump: click}}}}}")
    at_once = warehouses.create()
    pipeline.run(at_once, right, definitions=definitions)
    assert_sessions(Zone(right, at_once), whole / "clickstream" / "all.ndjson")
    assert differences(mart_by_name(warehouse), mart_by_name(at_once))
    replayed = list(replay(landing, "replay", Filter(reason="jump"), definitions=definitions, settings=warehouse))
    assert len(replayed) > 2
    assert sum(result.rows_quarantined for result in replayed) == 0
    for path in late:
        (tmp_path / f"{path.parent.name}-{path.name}").rename(path)
    for path in wrong:
        corrected = path.with_name(f"{path.stem}-corrected.ndjson")
        shutil.copy(right / path.relative_to(landing), corrected)
        Path(f"{corrected}.done").write_text(json.dumps({"supersedes": path.relative_to(landing).as_posix()}))
    run = pipeline.run(warehouse, landing, definitions=definitions)
    assert run.build.scope == "changes"
    assert {file.status for file in run.files} == {"loaded"}
    found, expected = mart_by_name(warehouse), mart_by_name(at_once)
    assert differences(without(found, DICTIONARIES), without(expected, DICTIONARIES)) == {}
    assert all(set(expected[name]) <= set(found[name]) for name in DICTIONARIES)
    zone = Zone(landing, warehouse)
    assert zone.value("select count(*) from mart.data_status where difference <> 0") == 0
    assert zone.value("select count(*) from raw.replay where publication_id is null") == 0
    assert zone.value("select sum(rows_out_of_scope) from mart.data_status") == zone.value(
        "select sum(rows_loaded) from raw.file where status = 'superseded'"
    )
    assert zone.value("select count(*) from raw.event where row_id >> 32 in (select file_id from raw.file"
        " where status = 'superseded')") == 0  # fmt: skip
    assert_erased(zone, definitions, "c-2")
    stored = mart_tables(warehouse)
    assert pipeline.run(warehouse, landing, definitions=definitions, full=True).build.scope == "all"
    assert differences(without(mart_tables(warehouse), DICTIONARIES), without(stored, DICTIONARIES)) == {}
    assert_traced(landing, warehouse, monkeypatch)
    assert_restated(zone)
    warehouses.drop(at_once)


def assert_restated(zone: Zone):
    """The changes of a total lead, one after the other, from what was reported first to what it is now."""
    causes = zone.query("select distinct unnest(causes) from mart.restatement order by 1")
    assert causes == [("correction",), ("erasure",), ("late",), ("replay",)]
    broken = zone.query("""
        select r.*, d.value
        from (
            select business_date, measure, value_after, lead(value_before) over (
                partition by business_date, measure order by publication_id
            ) as next_before
            from mart.restatement
        ) as r
        left join mart.daily_total as d using (business_date, measure)
        where r.value_after <> coalesce(r.next_before, d.value, 0)
    """)
    assert broken == []


def assert_sessions(zone: Zone, events: Path):
    sessions = zone.query("select visitor_id, started_at, ended_at, events from mart.session")
    assert set(sessions) == cut(events)
    tied = zone.query("select visitor_id, event_at from mart.event group by 1, 2 having count(*) > 1")
    assert tied == [], "events of one visitor at one moment count in the order of arrival"


def assert_erased(zone: Zone, definitions: Path, customer_id: str):
    """A customer's lines leave in a run of changes; that this is the mart of the others is shown by the next full run,
    which reads raw without them."""
    sessions = zone.value("select count(*) from mart.session")
    erasure = erase(zone.settings, customer_id, "asked for", zone.directory, definitions=definitions)
    run = pipeline.run(zone.settings, zone.directory, definitions=definitions)
    assert run.build.scope == "changes"
    assert zone.query("select sum(rows_erased), sum(abs(difference)) from mart.data_status") == [(erasure.lines, 0)]
    assert 0 < zone.value("select count(*) from mart.session") < sessions
    certificate = certify(zone.settings, customer_id, definitions=definitions)
    assert (certificate.search.found, certificate.search.unreachable) == ({}, [])
    assert {
        f"warehouse.{schema}" for schema in ("raw", "ops", "config", "mart", "build")
    } <= certificate.search.places.keys()
    assert pipeline.run(zone.settings, zone.directory, definitions=definitions).build.scope == "empty"


def assert_traced(landing: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """From the mart, and from the ledger, back to the lines of the files."""
    zone = Zone(landing, settings)
    event_id, file_id, line_no = zone.query("select event_id, file_id, line_no from mart.event order by 1 limit 1")[0]
    path = zone.value(f"select path from raw.file where file_id = {file_id}")  # noqa: S608 - a number
    written = (landing / path).read_text().splitlines()[line_no - 1]
    shutil.rmtree(landing)  # the archive is enough
    quoting = "update raw.quarantine set reason = 'it is ''7''.' where field is not null returning file_id, line_no"
    number = zone.query(quoting)[0]
    with Tracer(settings, landing=landing) as tracer:
        assert tracer.line(*number)[0].went_to.endswith("it is ….")
    with Tracer(settings, landing=landing, unmasked=True) as tracer:
        [line] = tracer.line(file_id, line_no)
        assert (line.text, line.went_to, line.path) == (written, "mart", path)
        assert Path(line.archived).name.startswith(line.sha256)
        lines = tracer.event(event_id)
        assert line in lines
        others = {(other.went_to.rstrip("0123456789"), json.loads(other.text)["event_id"]) for other in lines}
        assert others - {("mart", event_id)} <= {
            (f"duplicate of line {line_no} of file ", event_id), ("out of scope: superseded by file ", event_id)
        }  # fmt: skip
        gone = "select file_id from raw.file where removed_id is not null and source = 'clickstream'"
        texts = [tracer.line(removed, number)[0].text for (removed,) in zone.query(gone) for number in (1, 2)]
        lost = {json.loads(text)["event_id"] for text in texts if text.startswith("{") and text.endswith("}")}
        assert lost
        for each in lost:
            assert any(other.went_to.startswith("out of scope: superseded by") for other in tracer.event(each))
        places = {
            "quarantine: The line is not JSON": "select file_id, line_no from raw.quarantine where field is null",
            "out of scope: superseded by file ": "select file_id, 1 from raw.file where removed_id is not null",
            "bot": "select row_id >> 32, row_id & 4294967295 from mart.line_bot",
        }
        for went_to, query in places.items():
            [found] = tracer.line(*zone.query(query + " limit 1")[0])
            assert found.went_to.startswith(went_to)
        loaded = zone.value("select min(file_id) from raw.file where status = 'loaded'")
        for find, message in (
            (lambda: tracer.transaction("t-none"), "there is no transaction t-none"),
            (lambda: tracer.line(loaded, 100_000), "has no line 100000"),
            (lambda: tracer.line(100_000, 1), "there is no line 1 of file 100000"),
            (lambda: tracer.status("clickstream", date(1999, 1, 1)), "no file of clickstream that was loaded on 1999"),
        ):
            with pytest.raises(TraceError, match=message):
                find()
        day, rows = zone.query(
            "set timezone = 'Asia/Seoul'; select landed_date, rows_mart from mart.data_status"
            " where source = 'clickstream' order by 1 limit 1"
        )[0]
        with pytest.raises(WrongUsageError, match=r"^there is no funnel FN-NONE; there are FN-"):
            tracer.funnel("FN-NONE", "nobody")
        files = tracer.status("clickstream", day)
        assert sum(file.rows_mart for file in files) == rows
        for file in files:
            assert file.rows_read == (
                file.rows_mart + file.rows_duplicate + file.rows_bot + file.rows_quarantined + file.rows_erased
                + file.rows_out_of_scope
            )  # fmt: skip
        assert {file.superseded_by is None for file in files} == {True, False}
    [(seen_by, looks)] = zone.query(
        "select user_name, count(*) from ops.access_log where object = 'archive' group by 1"
    )
    assert (seen_by, looks >= 6) == (person(), True)
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    shown = CliRunner().invoke(build_app(), ["trace", "line", str(file_id), str(line_no)])
    assert shown.exit_code == 0, shown.output
    assert f"{path}:{line_no} [{file_id}] → mart" in shown.stdout
    assert event_id not in shown.stdout
    listed = CliRunner().invoke(build_app(), ["quarantine", "list", "--limit", "1", "--json"])
    assert len(json.loads(listed.stdout)) == 1


def environment(settings: Settings) -> dict[str, str]:
    return {
        **settings.secrets,
        "JOURNEYMART_HOME": str(settings.home),
        "JOURNEYMART_PG_HOST": settings.pg_host,
        "JOURNEYMART_PG_PORT": str(settings.pg_port),
        "JOURNEYMART_PG_DATABASE": settings.pg_database,
    }


def without(state: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: rows for name, rows in state.items() if name not in names}


def deal(everything: dict[str, list[dict[str, Any]]], directory: Path, chance: random.Random) -> None:
    """Lines to five files of each source, some of them to two."""
    for source, lines in everything.items():
        parts: list[list[dict[str, Any]]] = [[] for _ in range(5)]
        for line in lines:
            for part in chance.sample(parts, 2 if chance.random() < REPEATED_LINES else 1):
                part.append(line)
        for number, part in enumerate(parts):
            write(directory / source / f"part-{number}.ndjson", part)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def spoiled(rows: list[dict[str, Any]], others: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    """A wrong version of a file: lines missing, moved in time, given to someone else, broken, or of other files."""
    found = []
    for row in rows:
        fault = chance.random()
        if fault < 0.2:
            continue
        moved = dict(row)
        if fault < 0.4:
            time = next((key for key in ("event_time", "transaction_time") if key in row), None)
            moved |= {time: chance.choice(others)[time]} if time else {}
        elif fault < 0.5:
            owner = "visitor_id" if "event_id" in row else "customer_id"
            moved[owner] = chance.choice(others)[owner]
        elif fault < 0.6:
            moved = {key: value for key, value in row.items() if key != "customer_id"}
        elif fault < 0.7:
            moved["page_name"] = "a wrong name"
        found.append(moved)
    return found + chance.sample(others, min(5, len(others)))


def test_a_consent_that_is_taken_back_or_ends_or_is_renewed(zone: Zone):
    """What a corrected file has not is no consent, and what the clock has ended neither; a renewed one never ended."""
    shared = {"label": {"ko": "x", "en": "x"}, "owner": "tests"}
    action = {"kind": "redirect", "target_url": "/x"}
    rule = {"id": "DR-CONSENT", **shared, "steps": [{"name": "A", "source": "screen", "where": {}}], "action": action}
    audience = {"id": "AU-CONSENT", **shared, "purpose": "marketing", "schedule": "month",
                "from": {"rule": "DR-CONSENT", "within": "9d"}}  # fmt: skip
    zone.define(json.dumps({"audiences": [audience]}), "audiences")
    definitions = zone.define(json.dumps({"rules": [rule]}), "rules")

    def consent(customer: str, effective_at: str, *, granted: bool = True) -> dict[str, Any]:
        return {"customer_id": customer, "purpose": "marketing", "granted": granted, "effective_at": effective_at}

    customers = ("corrected", "ended", "renewed")
    zone.put("clickstream/a.ndjson", [event(n, customer_id=name, visitor_id=name) for n, name in enumerate(customers)])
    zone.put("consents/a.ndjson", [consent("corrected", "2025-01-01")])
    given = [consent("ended", "2025-01-01"), consent("ended", "2099-01-01", granted=False)]
    zone.put("consents/b.ndjson", [*given, consent("renewed", "2025-01-01")])
    pipeline.run(zone.settings, zone.directory, definitions=definitions)
    # as if the time had come
    assert zone.query("update mart.consent set valid_to = now() where valid_to = '2099-01-01 00:00+09' returning 1")
    renewed = [consent("renewed", zone.value("select now()").isoformat())]
    zone.put("consents/c.ndjson", renewed, {"supersedes": "consents/a.ndjson"})
    pipeline.run(zone.settings, zone.directory, definitions=definitions)
    deltas = "select export_no, op, customer_id from export.audience_delta order by 1, 3"
    told = [*((1, "I", name) for name in customers), (2, "D", "corrected"), (2, "D", "ended")]
    assert zone.query(deltas) == told
    assert zone.query("select customer_id from export.audience_snapshot") == [("renewed",)]
    assert zone.query("select customer_id from mart.trigger order by 1") == [("ended",), ("renewed",)]

    zone.put("consents/d.ndjson", [consent("renewed", zone.value("select now()").isoformat(), granted=False)])
    pipeline.run(zone.settings, zone.directory, definitions=definitions, full=True)
    assert zone.query(deltas) == [*told, (3, "D", "renewed")]


def test_definitions_count_for_readers_once_they_are_published(zone: Zone):
    """Reports, audiences, pop-ups and dates of a build that has not ended are nobody's yet."""
    shared = {"label": {"ko": "x", "en": "x"}, "owner": "tests"}

    def at(page: str) -> dict[str, Any]:
        return {"source": "screen", "where": {"page_code": page}}

    action = {"kind": "popup", "message_id": "MSG-X", "expires": "1d"}
    rules = [{"id": f"DR-{name}", **shared, "steps": [{"name": "A", **at("A")}], "action": action} for name in "XY"]
    segment = {"id": "SG-X", **shared, "all_of": [{"did": at("A"), "within": "9d"}]}
    message = {"id": "MSG-X", "title": shared["label"], "body": shared["label"]}

    def define(*, page: str, segments: list[Any], purpose: str, cap: str, sessions: dict[str, Any]) -> Path:
        cohort = {"id": "CH-X", **shared, "period": "day", "ages": 2, "start": at(page), "return": {"source": "screen"}}
        audience = {"id": "AU-X", **shared, "purpose": purpose, "columns": ["grade"], "schedule": "run",
                    "from": {"rule": "DR-X", "within": "9d"}, "goal": {**at("A"), "within": "1h"}}  # fmt: skip
        zone.define(json.dumps({"cohorts": [cohort]}), "cohorts")
        zone.define(json.dumps({"segments": segments}), "segments")
        zone.define(json.dumps({"rules": rules}), "rules")
        zone.define(json.dumps({"audiences": [audience]}), "audiences")
        zone.define(json.dumps({"max_per_customer": cap, "messages": [message]}), "messages")
        return zone.define(json.dumps({"sessions": sessions}), "sessions")

    zone.put("clickstream/a.ndjson", [event(1, page_code="A", customer_id="c1", visitor_id="v")])
    zone.put("consents/a.ndjson", [
        {"customer_id": "c1", "purpose": "marketing", "granted": True, "effective_at": "2025-01-01T00:00:00+09:00"}
    ])  # fmt: skip
    first = define(page="A", segments=[segment], purpose="marketing", cap="3 per 9d", sessions={})
    pipeline.run(zone.settings, zone.directory, definitions=first)
    zone.query(
        "insert into export.ack (trigger_id, status) select t.trigger_id, 'shown' from mart.trigger as t"
        " where t.rule_id = 'DR-X' returning 1"
    )
    reads = (
        "select cohort_id, version, size from mart.retention where age = 0",
        "select segment_id, members from mart.segment",
        "select export_id, version, purpose from export.audience",
        "select export_id, customer_id from export.audience_snapshot",
        "select rule_id from export.trigger_queue",
        "select mart.path_depth()",
        "select export_id, version, customers from mart.audience_effect",
        "select size, returned from mart.retention_cells('CH-X', null, null, null, segment => 'SG-X')",
        "select mart.segment_moment('2025-01-01'), mart.time_zone()",
    )
    before = [zone.query(read) for read in reads]
    assert before[:5] == [
        [("CH-X", 1, 1)], [("SG-X", 1)], [("AU-X", 1, "marketing")], [("AU-X", "c1")], [("DR-Y",)]
    ]  # fmt: skip
    assert before[6] == [("AU-X", 1, 1)]
    changed = define(
        page="B", segments=[], purpose="service", cap="1 per 9d", sessions={"path_depth": 3, "time_zone": "UTC"}
    )
    build(zone.settings, "not-published", definitions=changed)
    assert [zone.query(read) for read in reads] == before
    pipeline.run(zone.settings, zone.directory, definitions=changed)
    assert [zone.query(read) for read in reads[:6]] == [[], [], [("AU-X", 2, "service")], [], [], [(3,)]]


def test_a_session_policy_is_a_version_and_differs_from_the_tag(zone: Zone):
    """By visitor: the same; split by the silence of an hour; two ids joined; and one with an event without an id."""
    tagged = {
        "same": ("10:00 s1", "10:05 s1"),
        "split": ("10:00 s2", "11:00 s2"),
        "two": ("10:00 s3", "10:05 s4"),
        "untagged": ("10:00 s5", "10:05"),
    }
    zone.put("clickstream/a.ndjson", [
        {"event_id": f"{visitor}{at}", "event_time": f"2026-03-02T{at[:5]}:00+09:00", "visitor_id": visitor,
         "page_code": "A", "session_id": at[6:] or None}
        for visitor, times in tagged.items() for at in times
    ])  # fmt: skip
    difference = "select sessions, source_sessions, same, split, joined, events_without_source"
    difference += " from mart.session_difference('2026-03-02', '2026-03-02')"
    versions = (
        "select session_policy_version, identity_version from ops.publication order by publication_id desc limit 2"
    )
    pipeline.run(zone.settings, zone.directory, definitions=zone.define("sessions: {timeout: 30m}", "sessions"))
    assert zone.query(difference) == [(5, 5, 1, 1, 3, 1)]
    [(before, identity), *_] = zone.query(versions)
    pipeline.run(zone.settings, zone.directory, definitions=zone.define("sessions: {timeout: 2h}", "sessions"))
    assert zone.query(difference) == [(4, 5, 2, 0, 3, 1)]
    assert zone.query(versions) == [(before + 1, identity), (before, identity)]
