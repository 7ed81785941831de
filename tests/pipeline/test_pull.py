"""Pulling from another database: every row exactly once, in files that nothing changes any more."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from psycopg.abc import Buffer
from tests.conftest import running_postgres

from journeymart.db import connect
from journeymart.definitions import DefinitionError
from journeymart.definitions.databases import load_pulls
from journeymart.definitions.sources import load_sources
from journeymart.errors import JourneymartError
from journeymart.landing import land
from journeymart.landing.pull import PullResult, connection_url, pull
from journeymart.settings import REPO, Settings

TABLE: LiteralString = """
create table ledger (
    "No" integer primary key, id text not null, at timestamptz, customer text, code text, amount numeric(20, 4),
    body jsonb, changed timestamp
)"""
ROWS: LiteralString = """
insert into ledger
select n, 'T' || n, timestamptz '2026-06-01 09:00:00+09' + n * interval '1 minute', 'C' || mod(n, 7), 'TRANSFER',
    n + 0.0001, jsonb_build_object('to', '가' || n), timestamp '2026-06-01 00:00' + (n / 10) * interval '1 second'
from generate_series(%s::integer, %s::integer) as n"""
SOURCES = """
sources:
  transactions:
    fields:
      transaction_id: {from: id}
      transaction_time: {from: at}
      customer_id: {from: customer}
      transaction_code: {from: code}
      fields: {from: body}
"""


class Core:
    """A core banking database, the definitions that pull from it, and a landing zone."""

    def __init__(self, directory: Path, bank: Settings, warehouse: Settings) -> None:
        self.bank, self.warehouse = bank, warehouse
        self.landing, self.definitions = directory / "landing", directory / "definitions"
        self.definitions.mkdir()
        (self.definitions / "sources.yml").write_text(SOURCES)
        self.define("table: ledger", batch_rows=15)

    def define(self, origin: str, batch_rows: int = 15, key: str = '"No"', watermark: str = "changed") -> None:
        (self.definitions / "databases.yml").write_text(
            f"pulls:\n  core:\n    source: transactions\n    connection: core\n    {origin}\n    key: {key}\n"
            f"    watermark: {watermark}\n    batch_rows: {batch_rows}\n    lag: 0s\n"
        )

    def execute(self, statement: LiteralString, *values: Any) -> None:
        with connect("jm_admin", settings=self.bank) as database:
            database.execute(statement, values)

    def pull(self) -> PullResult:
        [result] = pull(self.landing, definitions=self.definitions, settings=self.warehouse)
        return result

    def pulled(self) -> list[int]:
        """The numbers of all rows in all files, in the order of the files."""
        return [
            number
            for path in sorted((self.landing / "transactions/db/core").glob("*.parquet"))
            for number in map(int, pq.read_table(path).column("No").to_pylist())
        ]


@pytest.fixture(scope="module")
def databases(new_warehouse: Callable[[], Settings]) -> Iterator[tuple[Settings, Settings]]:
    """The bank's, on a server of its own, and the warehouse."""
    warehouse = new_warehouse()
    with running_postgres() as bank:
        yield bank, warehouse


@pytest.fixture
def core(databases: tuple[Settings, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Core:
    bank, warehouse = databases
    monkeypatch.setenv("AIRFLOW_CONN_CORE", bank.dsn("jm_admin"))
    core = Core(tmp_path, bank, warehouse)
    core.execute("drop table if exists ledger")
    core.execute(TABLE)
    core.execute(ROWS, 1, 40)
    with connect("jm_admin", settings=warehouse) as connection:
        connection.execute("truncate raw.file, raw.quarantine, raw.transactions restart identity cascade")
    return core


def test_rows_become_files_by_watermark_and_key_and_land_like_any_other(core: Core) -> None:
    first = core.pull()
    assert (first.rows, first.error) == (40, None)
    assert first.files == (
        "transactions/db/core/0000000001~t2026-06-01T00:00:01~i15.parquet",  # ten rows share a watermark
        "transactions/db/core/0000000002~t2026-06-01T00:00:03~i30.parquet",
        "transactions/db/core/0000000003~t2026-06-01T00:00:04~i40.parquet",
    )
    assert core.pull() == PullResult("core", "transactions")
    core.execute(ROWS, 41, 45)
    assert core.pull().rows == 5
    assert core.pulled() == list(range(1, 46))
    results = land(core.landing, "run", definitions=core.definitions, settings=core.warehouse)
    assert [(result.status, result.rows_loaded) for result in results] == [("loaded", n) for n in (15, 15, 10, 5)]
    with connect("jm_admin", settings=core.warehouse) as warehouse:
        assert warehouse.execute(
            "select transaction_id, transacted_at::text, amount::text, fields from raw.transactions order by 1 limit 1"
        ).fetchall() == [("T1", "2026-06-01 09:01:00+09", "1.0001", {"to": "가1"})]


def test_the_ledger_remembers_what_no_longer_lies_in_the_landing_zone(core: Core) -> None:
    core.pull()
    land(core.landing, "run", definitions=core.definitions, settings=core.warehouse)
    for path in core.landing.rglob("*.parquet"):
        path.unlink()
    core.execute(ROWS, 41, 41)
    assert core.pull().files == ("transactions/db/core/0000000004~t2026-06-01T00:00:04~i41.parquet",)


def test_a_query_can_be_pulled_from_and_text_keys_break_ties(core: Core) -> None:
    core.define("query: 'select *, at::date as day from ledger where \"No\" <= 12;'", 5, key="id", watermark="day")
    assert core.pull().rows == 12
    assert sorted(core.pulled()) == list(range(1, 13))
    assert core.pull().rows == 0


def test_a_key_may_hold_what_parts_the_names_of_files_but_has_to_fit_into_one(core: Core) -> None:
    core.execute("update ledger set id = '~/' || id")
    core.define("table: ledger", 15, key="id")
    assert [core.pull().rows, core.pull().rows] == [40, 0]
    core.execute(
        "insert into ledger select 41, repeat('가', 30), at, customer, code, amount, body, changed from ledger limit 1"
    )
    core.execute("update ledger set changed = '2026-07-01' where \"No\" = 41")
    assert core.pull().error == (
        "pull core: id is too long to name a file by, with 30 characters: make a shorter key in a query"
    )


class Coarse(psycopg.adapt.Loader):
    """As a driver that has no value for what a database counts beyond microseconds."""

    def load(self, data: Buffer) -> int:
        return int(float(bytes(data)))


def test_a_key_that_several_rows_have_loses_none_of_them_in_silence(core: Core) -> None:
    core.define("query: 'select *, \"No\" / 4 as half from ledger'", 15, key="half")
    assert core.pull().error == (
        "pull core: several rows have the changed 2026-06-01 00:00:03 and the half '7', and those behind the end of a"
        " batch would be lost: make a key in a query that tells them apart"
    )


def test_a_watermark_that_counts_finer_than_its_driver(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether rows are equal or in the order of their keys where it cannot be seen, each comes once."""
    core.execute("alter table ledger add column tick numeric")
    core.execute(
        'update ledger set tick = "No" / 20 + case mod("No", 4) when 0 then 0.9 - 0.01 * mod("No", 20) else 0.5 end'
    )
    adapters = psycopg.adapt.AdaptersMap(psycopg.adapters)
    adapters.register_loader("numeric", Coarse)
    monkeypatch.setattr(psycopg, "adapters", adapters)
    core.define("table: ledger", 21, watermark="tick")
    assert [core.pull().rows, core.pull().rows, sorted(core.pulled())] == [40, 0, list(range(1, 41))]
    core.execute(ROWS.replace("from generate", ", 9.5 from generate"), 41, 70)
    assert core.pull().error == (
        "pull core: 21 rows or more have the same tick to the microsecond, but not beyond: raise batch_rows, or round"
        " it in a query"
    )
    core.define("table: ledger", 31, watermark="tick")
    assert [core.pull().error, sorted(core.pulled())] == [None, list(range(1, 71))]


def test_a_landing_zone_without_room(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    write = pq.write_table

    def full(table: pa.Table, _part: Any, **options: Any) -> None:
        with Path("/dev/full").open("wb") as device:
            write(table, device, **options)

    folder = core.landing / "transactions/db/core"
    with monkeypatch.context() as patched:
        patched.setattr(pq, "write_table", full)
        error = str(core.pull().error)
    assert error.startswith(f"pull core: [Errno 28] No space left on device: '{folder}/0000000001~")
    assert error.endswith("; once that is mended, pull again: it goes on behind the last whole file")
    assert [path.name for path in folder.iterdir()] == [".lock"]
    assert core.pull().rows == 40


def test_what_a_killed_pull_has_left_half_written_goes(core: Core) -> None:
    folder = core.landing / "transactions/db/core"
    folder.mkdir(parents=True)
    (folder / ".0000000001~i1~i1.parquet.part").touch()
    core.pull()
    assert {path.name for path in folder.iterdir() if path.name.startswith(".")} == {".lock"}


def test_bytes_that_sqlite_keeps_as_text_stop_nothing(
    core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CORE", f"sqlite:///{tmp_path}/bank.db")
    with closing(sqlite3.connect(tmp_path / "bank.db")) as database, database:
        database.execute("create table ledger as select 1 as No, '가' as name, '2026-06-01' as changed")
        database.execute("insert into ledger values (2, cast(x'b0a1' as text), '2026-06-02')")
    core.define("table: ledger", key="No")
    [path] = core.pull().files
    assert pq.read_table(core.landing / path).column("name").to_pylist() == ["가", r"\xb0\xa1"]


def test_what_changes_is_pulled_again_and_young_rows_wait(core: Core) -> None:
    core.pull()
    core.execute("update ledger set changed = '2026-07-01' where \"No\" = 3")
    core.execute("update ledger set changed = now() at time zone 'Asia/Seoul' where \"No\" = 4")
    text = (core.definitions / "databases.yml").read_text()
    (core.definitions / "databases.yml").write_text(text.replace("lag: 0s", "lag: 1h"))
    core.pull()
    assert core.pulled() == [*range(1, 41), 3]


def test_rows_of_a_date_wait_until_it_is_over(core: Core) -> None:
    """Those that come later in the day may have a smaller key than the last one that was taken."""
    day = "(at at time zone ''Asia/Seoul'')::date as day"
    core.define(f"query: 'select *, {day} from ledger where \"No\" <= 12;'", 5, key="id", watermark="day")  # noqa: S608
    core.execute('update ledger set at = now() where "No" in (3, 4)')
    core.execute("update ledger set at = now() - interval '1 day' where \"No\" = 5")
    core.pull()
    assert sorted(core.pulled()) == [1, 2, *range(5, 13)]


def test_times_that_python_has_no_value_for_cost_only_their_rows(core: Core) -> None:
    core.execute("update ledger set at = 'infinity' where \"No\" = 3")
    core.execute("update ledger set at = '20000-01-01' where \"No\" = 4")
    core.execute("update ledger set at = '0001-01-01 BC' where \"No\" = 17")
    result = core.pull()
    assert (result.rows, result.error, core.pulled()) == (40, None, list(range(1, 41)))
    landed = land(core.landing, "r", definitions=core.definitions, settings=core.warehouse)
    assert (sum(file.rows_loaded for file in landed), sum(file.rows_quarantined for file in landed)) == (37, 3)
    with connect("jm_admin", settings=core.warehouse) as warehouse:
        reasons = warehouse.execute("select reason from raw.quarantine order by file_id, line_no").fetchall()
    time = "transaction_time is not a time (ISO 8601 or as declared)"
    assert [reason for (reason,) in reasons] == [
        f"{time}: 'infinity'.",
        "transaction_time is before 1970 or after 2199: '20000-01-01 00:00:00+09'.",
        f"{time}: '0001-01-01 00:00:00+08:27:52 BC'.",
    ]
    core.execute("update ledger set changed = 'infinity' where \"No\" = 40")
    assert core.pull().error == "pull core: changed is infinity where No is '40': leave it out in a query"


def test_what_python_has_no_value_for_comes_as_it_is_written(core: Core) -> None:
    written = {"body": '{"rate": 1234567890.12345678901}', "closes": "24:00:00", "term": "1 mon 32 days"}
    core.define(
        "query: 'select l.*, time $$24:00$$ as closes, interval $$1 mon 32 days$$ as term from ledger as l'", 40
    )
    core.execute("update ledger set body = %s", written["body"])
    assert core.pull().error is None
    [file] = (core.landing / "transactions/db/core").glob("*.parquet")
    assert pq.read_table(file, columns=list(written)).to_pylist() == [written] * 40


def test_what_char_is_filled_up_with_is_no_part_of_it(core: Core) -> None:
    core.define("query: 'select l.*, id::char(10) as padded, customer::char(8) as who from ledger as l'", 15, "padded")
    assert core.pull().rows == 40
    assert core.pull().rows == 0
    files = sorted((core.landing / "transactions/db/core").glob("*.parquet"))
    rows = [
        row for file in files for row in pq.read_table(file, columns=["id", "padded", "customer", "who"]).to_pylist()
    ]
    assert len(rows) == 40
    assert all(row["id"] == row["padded"] and row["customer"] == row["who"] for row in rows)


def test_rows_without_a_key_are_named_wherever_they_lie(core: Core, caplog: pytest.LogCaptureFixture) -> None:
    core.define("query: 'select *, nullif(id, $$T14$$) as name from ledger'", 4, key="name")
    assert core.pull().rows == 39
    assert caplog.messages == ["pull core: rows without name are never pulled"]


def test_a_database_that_does_not_know_its_encoding(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect("jm_admin", autocommit=True, settings=core.bank) as database:
        database.execute("create database bytes encoding 'SQL_ASCII' locale 'C' template template0")
    utf8 = sa.make_url(core.bank.dsn("jm_admin")).set(database="bytes").render_as_string(hide_password=False)
    korean = utf8 + "?client_encoding=euckr"
    old = sa.create_engine(connection_url("old", {"AIRFLOW_CONN_OLD": korean}), poolclass=sa.NullPool)
    with old.begin() as database:
        database.execute(
            sa.text("create table ledger as select 1 as \"No\", timestamp '2026-06-01' as changed, '가' as name")
        )
    monkeypatch.setenv("AIRFLOW_CONN_CORE", utf8)
    assert str(core.pull().error).startswith('pull core: invalid byte sequence for encoding "UTF8": 0xb0')
    monkeypatch.setenv("AIRFLOW_CONN_CORE", korean)
    [path] = core.pull().files
    assert pq.read_table(core.landing / path).column("name").to_pylist() == ["가"]


def test_a_failing_database_stops_no_other_pull_and_shows_no_password(core: Core) -> None:
    text = (core.definitions / "databases.yml").read_text()
    (core.definitions / "databases.yml").write_text(text + text.partition("\n")[2].replace("core", "other"))
    os.environ["AIRFLOW_CONN_OTHER"] = core.bank.dsn("jm_admin").replace(f":{core.bank.pg_port}/", ":1/")
    good, bad = pull(core.landing, definitions=core.definitions, settings=core.warehouse)
    del os.environ["AIRFLOW_CONN_OTHER"]
    assert good.rows == 40
    assert bad.error is not None and "other" in bad.error and "refused" in bad.error
    assert core.bank.password("jm_admin") not in bad.error
    with pytest.raises(JourneymartError, match="there is no pull 'none'"):
        pull(core.landing, only="none", definitions=core.definitions, settings=core.warehouse)


def test_kill_at_any_moment_loses_and_doubles_nothing(core: Core) -> None:
    core.execute(ROWS, 41, 3000)
    command = [sys.executable, "-m", "journeymart.cli", "pull"]
    command += ["--landing", str(core.landing), "--definitions", str(core.definitions)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPO / "plugins"),
        "JOURNEYMART_HOME": str(core.warehouse.home),
        "JOURNEYMART_PG_PORT": str(core.warehouse.pg_port),
        "JOURNEYMART_PG_DATABASE": core.warehouse.pg_database,
        **core.warehouse.secrets,
    }
    folder = core.landing / "transactions/db/core"
    for _ in range(3):
        before = len(list(folder.glob("*.parquet")))
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
            while len(list(folder.glob("*.parquet"))) < before + 20 and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
    assert len(core.pulled()) < 3000
    core.pull()
    assert core.pulled() == list(range(1, 3001))


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("postgres://u:p%40@h:5433/db", "postgresql+psycopg://u:p%40@h:5433/db"),
        ("mysql://u:p@h/db", "mysql+pymysql://u:p@h/db"),
        ("sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
        (
            json.dumps(
                {
                    "conn_type": "postgres",
                    "login": "u",
                    "password": "p@",
                    "host": "h",
                    "port": 1,
                    "schema": "d",
                    "extra": {"sslmode": "require"},
                }
            ),
            "postgresql+psycopg://u:p%40@h:1/d?sslmode=require",
        ),
    ],
)
def test_connections_as_airflow_writes_them(value: str, url: str) -> None:
    assert connection_url("core", {"AIRFLOW_CONN_CORE": value}) == sa.make_url(url)


def test_a_connection_that_is_none_is_explained_without_its_value() -> None:
    for environment, message in (
        ({}, "the connection 'core' is not there: set AIRFLOW_CONN_CORE"),
        ({"AIRFLOW_CONN_CORE": "secret"}, "AIRFLOW_CONN_CORE is no connection URI and no JSON of one"),
    ):
        with pytest.raises(JourneymartError) as error:
            connection_url("core", environment)
        assert str(error.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("source: transactions", "source: transaction"), "3: pulls.core.source: unknown source; did you mean"),
        (("table: ledger", "query: select 1\n    table: a"), "2: pulls.core: give either a table or a query"),
        (("batch_rows: 15", "batchrows: 15"), "8: pulls.core.batchrows: unknown key; did you mean 'batch_rows'?"),
    ],
)
def test_a_mistake_in_databases_is_explained(core: Core, change: tuple[str, str], message: str) -> None:
    path = core.definitions / "databases.yml"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(DefinitionError) as error:
        load_pulls(core.definitions, load_sources())
    assert message in str(error.value)
