"""Files that are older than their source is kept go; what is left is as if they had never come, but for the ledger."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from unittest import mock

import pytest
from tests.conftest import Warehouses
from tests.pipeline.comparison import differences, mart_by_name, mart_tables
from tests.pipeline.tangle import CUSTOMER_DAYS, SEOUL, customers, tangle
from tests.pipeline.test_corrections import DICTIONARIES, REPEATED_LINES, environment, without, write
from tests.pipeline.zone import Zone, event, transaction
from typer.testing import CliRunner

from journeymart import pipeline
from journeymart.cli import build_app
from journeymart.db import connect
from journeymart.erasure import erase
from journeymart.housekeeping import Housekeeping, keep_house
from journeymart.landing import archive
from journeymart.landing import load as loading
from journeymart.landing.again import land_again
from journeymart.landing.quarantine import Filter, replay
from journeymart.landing.trace import TraceError, Tracer
from journeymart.settings import Settings
from journeymart.transform.build import is_pending

SEED = 1
KEEP = "sources: {clickstream: {keep: 10d}, transactions: {keep: 20d}}"
NOON = "2025-06-{:02}T12:00:00+09:00"


def house(zone: Zone, now: str, *, dry_run: bool = False) -> Housekeeping:
    """Housekeeping at a time of the clock."""
    definitions = zone.define(KEEP)
    return keep_house(zone.settings, definitions=definitions, now=datetime.fromisoformat(now), dry_run=dry_run)


def publish(zone: Zone) -> None:
    """What publication does with the files that leave."""
    zone.query(
        "select raw.remove_superseded(array_agg(file_id), 1) from raw.file"
        " where status in ('superseded', 'expired') and removed_id is null having count(*) > 0"
    )


def test_what_was_archived_but_not_recorded_is_named(zone: Zone, empty_archive: None, monkeypatch: pytest.MonkeyPatch):
    """A loader that is killed between the two leaves what may be the only copy."""
    file = zone.put("clickstream/a.ndjson.gz", [event(1)])

    def killed(copies: list[archive.Copy]) -> None:
        archive.keep_all(copies)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(loading, "keep_all", killed)
        zone.land()
    [orphan] = zone.settings.archive.glob("??/*")
    assert house(zone, NOON.format(2)) == Housekeeping([], []), "the next loader will find it"
    content = file.read_bytes()
    file.unlink()
    os.utime(orphan, (0, 0))
    assert house(zone, NOON.format(2)) == Housekeeping([], [], [orphan])
    file.write_bytes(orphan.read_bytes())
    assert (file.read_bytes(), [result.status for result in zone.land()]) == (content, ["loaded"])
    assert house(zone, NOON.format(2)) == Housekeeping([], [])


def archived(zone: Zone) -> int:
    return len(list(zone.settings.archive.glob("??/*")))


@pytest.fixture
def empty_archive(zone: Zone) -> None:
    """Other tests of this warehouse have left what the ledger no longer names."""
    shutil.rmtree(zone.settings.archive, ignore_errors=True)


pytestmark = pytest.mark.usefixtures("empty_archive")


def test_a_file_goes_when_its_youngest_line_is_too_old_by_the_days_of_the_warehouse(zone: Zone):
    late, early = "2025-06-10T23:59:00+09:00", "2025-06-11T00:00:00+09:00"
    zone.put("clickstream/a.ndjson", [event(1, event_time=NOON.format(1)), event(2, event_time=late)])
    zone.put("clickstream/b.ndjson", [event(3, event_time=NOON.format(1)), event(4, event_time=early)])
    zone.put("clickstream/rejected.csv", "no,header\n")
    zone.put("transactions/a.ndjson", [transaction(1)])
    zone.put("customers/a.ndjson", [{"customer_id": "c1", "effective_date": "1999-01-01"}])
    zone.put("consultations/a.ndjson", [{"consultation_id": "n", "customer_id": "c1", "consulted_at": NOON.format(1)}])
    zone.land()
    assert zone.value("select count(*) from raw.file where status = 'loaded'") == 5
    assert house(zone, "2025-06-20T23:59:00+09:00").expired == []
    assert house(zone, "2025-06-20T15:00:00Z", dry_run=True).expired == ["clickstream/a.ndjson"]
    assert not zone.value("select count(*) from raw.file where status = 'expired'")
    assert house(zone, "2025-06-20T15:00:00Z") == Housekeeping(["clickstream/a.ndjson"], [])
    assert is_pending(zone.settings)
    assert house(zone, "2025-06-21T15:00:00Z").expired == ["clickstream/b.ndjson", "transactions/a.ndjson"]
    assert house(zone, "2035-06-21T15:00:00Z").expired == []


def test_a_file_without_a_time_goes_by_when_it_was_loaded(zone: Zone):
    zone.put("clickstream/a.ndjson", "{broken\n")
    zone.land()
    assert house(zone, "2025-06-30T00:00:00Z").expired == []
    assert house(zone, "2099-01-01T00:00:00Z").expired == ["clickstream/a.ndjson"]


def test_quarantine_and_archive_go_after_the_publication_and_the_ledger_stays(zone: Zone):
    zone.put("clickstream/a.ndjson", [event(1), {"event_id": "e2"}], {"rows": 2})
    zone.put("clickstream/b.ndjson", [event(3, event_time=NOON.format(20))])
    zone.land()
    row = "select file_id, path, sha256, rows_read, rows_loaded, rows_quarantined, content_hash from raw.file"
    before = zone.query(row + " order by 1")
    assert house(zone, NOON.format(25)) == Housekeeping(["clickstream/a.ndjson"], [])
    assert house(zone, NOON.format(25)) == Housekeeping([], []), "readers still see it"
    assert (archived(zone), len(zone.quarantine())) == (2, 1)
    assert list(replay(zone.directory, "r", Filter(), settings=zone.settings)) == []
    publish(zone)
    assert zone.value("select count(*) from raw.event") == 1
    assert house(zone, NOON.format(25)) == Housekeeping([], ["clickstream/a.ndjson"])
    assert house(zone, NOON.format(25)) == Housekeeping([], [])
    assert (archived(zone), zone.quarantine()) == (1, [])
    assert zone.query(row + " order by 1") == before
    assert zone.query("select status, cleared_at is not null from raw.file order by file_id") == [
        ("expired", True), ("loaded", False)
    ]  # fmt: skip


def expire(zone: Zone) -> None:
    """Let the files with lines of 1 June go, as far as they go."""
    house(zone, NOON.format(25))
    publish(zone)
    house(zone, NOON.format(25))


def test_what_was_once_there_does_not_come_back(zone: Zone):
    first = zone.put("clickstream/a.ndjson", [event(1, customer_id="c1"), {"event_id": "e2"}])
    zone.land()
    expire(zone)
    zone.put("clickstream/copy.ndjson", first.read_bytes(), {"rows": 2})
    zone.put("clickstream/c.ndjson", [event(3)], {"supersedes": "clickstream/a.ndjson"})
    assert [(result.status, result.error) for result in zone.land()] == [
        ("repeated", None),
        ("rejected", "clickstream/c.ndjson has a .done that supersedes 'clickstream/a.ndjson', which has expired"
         " (keep in sources.yml)"),
    ]  # fmt: skip
    assert zone.land() == []
    plan = zone.define("sources: {clickstream: {time_zone: UTC}}")
    assert list(land_again(zone.directory, "r", definitions=plan, settings=zone.settings)) == []
    asked = erase(zone.settings, "c1", "asked for", zone.directory)
    assert (asked.lines, asked.archived) == (0, 0)
    assert zone.value("select count(*) from raw.customer where customer_id = 'c1'") == 0
    # a file that is too old when it comes, as a correction too, goes with the next housekeeping
    other = zone.put("clickstream/x.ndjson", [event(5)])
    zone.put("clickstream/back.ndjson", first.read_bytes(), {"supersedes": "clickstream/x.ndjson"})
    assert [result.status for result in zone.land()] == ["loaded", "loaded"]
    assert archived(zone) == 2
    assert house(zone, NOON.format(25)).expired == ["clickstream/back.ndjson", "clickstream/x.ndjson"]
    publish(zone)
    house(zone, NOON.format(25))
    assert (archived(zone), zone.value("select count(*) from raw.event")) == (0, 0)
    assert other.exists(), "the landing zone is its senders'"


def test_a_copy_that_others_share_goes_with_the_last_of_them(zone: Zone):
    first = zone.put("clickstream/a.ndjson", [event(1)])
    content = first.read_bytes()
    zone.put("campaign_sends/same.ndjson", content + b"\n")  # of another source, where it is quarantined
    zone.put("clickstream/same.ndjson", content + b"\n")
    zone.land()
    plan = zone.define("sources: {clickstream: {time_zone: UTC}}")
    again = list(land_again(zone.directory, "r", definitions=plan, settings=zone.settings))
    assert [result.status for result in again] == ["loaded", "loaded"]
    assert archived(zone) == 2
    zone.query("update raw.file set last_event_at = '2025-06-20' where file_id = 4 returning 1")
    expire(zone)  # of a.ndjson what it was, and is; of same.ndjson what it was
    states = "select path, status, cleared_at is not null from raw.file where source = 'clickstream' order by file_id"
    assert zone.query(states) == [
        ("clickstream/a.ndjson", "expired", True), ("clickstream/same.ndjson", "expired", True),
        ("clickstream/a.ndjson", "loaded", False), ("clickstream/same.ndjson", "expired", True),
    ]  # fmt: skip
    assert archived(zone) == 2, "the other source's, and what a.ndjson is"
    zone.query("update raw.file set last_event_at = '2025-06-01' where status = 'loaded' returning 1")
    expire(zone)
    assert archived(zone) == 1


def test_killed_while_it_clears_it_begins_anew(zone: Zone):
    zone.put("clickstream/a.ndjson", [event(1), {"event_id": "e2"}])
    zone.put("clickstream/b.ndjson", [event(3)])
    zone.land()
    house(zone, NOON.format(25))
    publish(zone)
    unlink = Path.unlink
    removed: list[Path] = []

    def killed(path: Path, *, missing_ok: bool = False) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(path)
        unlink(path, missing_ok=missing_ok)

    with mock.patch.object(Path, "unlink", killed), pytest.raises(KeyboardInterrupt):
        house(zone, NOON.format(25))
    assert archived(zone) == 1
    assert len(zone.quarantine()) == 1
    assert house(zone, NOON.format(25)).cleared == ["clickstream/a.ndjson", "clickstream/b.ndjson"]
    assert (archived(zone), zone.quarantine()) == (0, [])


def by_day(directory: Path, everything: Path, chance: random.Random) -> list[str]:
    """A file of each day and source, some lines in that of a later day, too; returns the days."""
    days: set[str] = set()
    for source, time in (("clickstream", "event_time"), ("transactions", "transaction_time")):
        files = defaultdict(list)
        for text in (everything / source / "all.ndjson").read_text().splitlines():
            line = json.loads(text)
            files[str(datetime.fromisoformat(line[time]).astimezone(SEOUL).date())].append(line)
        days |= set(files)
        for day in sorted(files):
            repeated = [line for line in files[day] if chance.random() < REPEATED_LINES]
            files[chance.choice([later for later in sorted(files) if later >= day])].extend(repeated)
        for day, lines in files.items():
            write(directory / source / f"{day}.ndjson", lines)
    return sorted(days)


def test_what_is_left_is_the_mart_of_files_that_have_always_been_alone(
    warehouse: Settings, warehouses: Warehouses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A tangled history in a file for each day: the oldest go in a run of changes. The mart is that of a warehouse that
    never had them, and the same when everything is computed anew."""
    chance = random.Random(SEED)
    whole, landing, younger = (tmp_path / name for name in ("whole", "landing", "younger"))
    whole.mkdir()
    definitions = tangle(whole, SEED)
    (definitions / "sources.yml").write_text(KEEP.replace("20d", "10d"))
    days = by_day(landing, whole, chance)
    write(landing / "customers" / "all.ndjson", [line for day in CUSTOMER_DAYS for line in customers(day)])
    assert pipeline.run(warehouse, landing, definitions=definitions).build.scope == "all"
    zone = Zone(landing, warehouse)
    [now] = zone.query(f"select '{days[1]} 12:00'::timestamp at time zone 'Asia/Seoul' + interval '11 days'")[0]

    expired = keep_house(warehouse, definitions=definitions, now=now).expired
    older = [f"{source}/{day}.ndjson" for source in ("clickstream", "transactions") for day in days[:2]]
    assert expired == [path for path in older if (landing / path).exists()]
    shutil.copytree(landing, younger, ignore=lambda folder, names: [
        name for name in names if f"{Path(folder).name}/{name}" in expired
    ])  # fmt: skip
    sessions = zone.value("select count(*) from mart.session")
    run = pipeline.run(warehouse, landing, definitions=definitions)
    assert run.build.scope == "changes"
    assert run.files == []
    alone = warehouses.create()
    pipeline.run(alone, younger, definitions=definitions)
    found, expected = mart_by_name(warehouse), mart_by_name(alone)
    assert differences(without(found, DICTIONARIES), without(expected, DICTIONARIES)) == {}
    assert 0 < zone.value("select count(*) from mart.session") < sessions
    assert zone.query("select sum(rows_out_of_scope), sum(abs(difference)) from mart.data_status") == zone.query(
        "select sum(rows_loaded), 0::numeric from raw.file where status = 'expired'"
    )
    assert sorted(zone.query("select path from mart.landed_file where status = 'expired'")) == [
        (path,) for path in expired
    ]
    stored = mart_tables(warehouse)
    assert pipeline.run(warehouse, landing, definitions=definitions, full=True).build.scope == "all"
    assert differences(without(mart_tables(warehouse), DICTIONARIES), without(stored, DICTIONARIES)) == {}
    warehouses.drop(alone)

    for name, value in environment(warehouse).items():
        monkeypatch.setenv(name, value)
    assert_everything_expires(zone, definitions, expired)


def assert_everything_expires(zone: Zone, definitions: Path, earlier: list[str]):
    """By the clock of today all is too old. What has expired can still be asked for."""
    gone = zone.value("select min(file_id) from raw.file where status = 'expired'")
    event_id, file_id, line_no = zone.query("select event_id, file_id, line_no from mart.event order by 1 limit 1")[0]
    [(loaded,)] = zone.query("select array_agg(path order by path) from raw.file"
        " where status = 'loaded' and source <> 'customers'")  # fmt: skip
    call = ["housekeeping", "--definitions", str(definitions)]
    shown = CliRunner().invoke(build_app(), [*call, "--dry-run"])
    assert shown.stdout.splitlines() == [f"{path} would go" for path in loaded]
    done = CliRunner().invoke(build_app(), [*call, "--json"])
    assert json.loads(done.stdout) == {"expired": loaded, "cleared": earlier, "orphans": []}
    with Tracer(zone.settings, landing=zone.directory, unmasked=True) as tracer:
        [line] = tracer.line(gone, 1)
        assert (line.went_to, line.text, line.archived) == ("out of scope: expired", "", "")
        [line] = tracer.line(file_id, line_no)
        assert (line.went_to, json.loads(line.text)["event_id"]) == (
            "out of scope with the next publication: expired", event_id
        )  # fmt: skip
    pipeline.run(zone.settings, zone.directory, definitions=definitions)
    assert zone.query("select (select count(*) from mart.session), count(*) from raw.event") == [(0, 0)]
    assert CliRunner().invoke(build_app(), call).stdout.splitlines() == [
        f"{path} is gone from quarantine and archive" for path in loaded
    ]
    assert CliRunner().invoke(build_app(), call).stdout == "No file is due.\n"
    with Tracer(zone.settings, landing=zone.directory) as tracer:
        landed = zone.value("select loaded_at::date from raw.file where source = 'clickstream' limit 1")
        assert {file.superseded_by for file in tracer.status("clickstream", landed)} == {None}
        with pytest.raises(TraceError, match="there is no event"):
            tracer.event(event_id)


def test_what_expires_while_a_run_is_checked_goes_with_the_next(warehouse: Settings, tmp_path: Path):
    zone = Zone(tmp_path / "landing", warehouse)
    zone.put("clickstream/a.ndjson", [event(1), {"event_id": "e2"}])
    zone.put("clickstream/b.ndjson", [event(3, event_time=NOON.format(20))])
    checked = pipeline.validate

    def checked_late(*given: object, **named: object) -> object:
        house(zone, NOON.format(25))
        return checked(*given, **named)  # type: ignore[arg-type]

    with mock.patch.object(pipeline, "validate", checked_late):
        assert pipeline.run(zone.settings, zone.directory).publication is not None
    assert zone.value("select sum(events) from mart.session") == 2
    assert pipeline.run(zone.settings, zone.directory).publication is not None
    assert zone.value("select sum(events) from mart.session") == 1
    with connect("jm_auditor", settings=warehouse) as auditor:
        assert auditor.execute("select count(*) from raw.file where cleared_at is null").fetchone() == (2,)
