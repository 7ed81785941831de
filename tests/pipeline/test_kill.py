"""kill -9 of the runner at random moments of a load, of a build and of a publish, then a rerun: the same mart.

Nothing is cleaned up between the kills. A killed load leaves whole files only; a killed build or publish leaves the
mart as it was, or, when the kill came too late, as it was going to be.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from unittest import mock

import psycopg
import pytest
from tests.pipeline.comparison import State, differences, mart_by_name, raw_by_name

from journeymart import pipeline
from journeymart.db import connect
from journeymart.landing import land
from journeymart.publish import PublishError, publish, publisher
from journeymart.runs import new_run_id
from journeymart.sample.generate import Spec, generate
from journeymart.settings import REPO, Settings
from journeymart.transform.build import build

DAYS = 8
DAYS_BEFORE = 6  # published before the last ones arrive
KILLS = 4
BUILD_SECONDS = 4.0
ROLES = ("jm_loader", "jm_builder", "jm_publisher")
TABLES: dict[LiteralString, LiteralString] = {
    "event": "clickstream",
    "clickstream": "clickstream",
    "transactions": "transactions",
    "customers": "customers",
    "consultations": "consultations",
    "campaign_sends": "campaign_sends",
    "subscriptions": "subscriptions",
    "survey_responses": "survey_responses",
    "consents": "consents",
}


@dataclass(frozen=True)
class Undisturbed:
    """What a runner that nobody kills leaves, and how long it takes."""

    mart: State
    raw: State
    load_seconds: float
    publish_seconds: float


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("history")
    generate(Spec(out=directory, customers=100, days=DAYS, seed=7, file_format="ndjson"))
    return directory


@pytest.fixture(scope="module")
def undisturbed(
    new_warehouse: Callable[[], Settings], history: Path, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    settings, landing = new_warehouse(), tmp_path_factory.mktemp("landing")
    arrive(history, landing, range(DAYS))
    started = time.monotonic()
    land(landing, "undisturbed", settings=settings)
    loaded = time.monotonic()
    run_id, _ = prepare(settings)
    prepared = time.monotonic()
    publish(settings, run_id)
    published = time.monotonic()
    return Undisturbed(mart_by_name(settings), raw_by_name(settings), loaded - started, published - prepared)


def test_killed(warehouse: Settings, history: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Every day a file of each source arrives and the runner is killed while it loads them; then while it builds; then
    while it publishes, half of the times the first publication, which makes the mart, and half one that changes it."""
    chance = random.Random(1)
    landing = tmp_path / "landing"
    landing.mkdir()
    for day, moment in enumerate(moments(chance, KILLS)):
        arrive(history, landing, [day])
        assert kill(warehouse, "jm_loader", moment * undisturbed.load_seconds, "run", "--landing", str(landing))
        assert_whole_files(warehouse)
        assert mart_by_name(warehouse) == {}
    for moment in moments(chance, 2):
        assert kill(warehouse, "jm_builder", moment * BUILD_SECONDS, "run", "--landing", str(landing))
        assert_whole_files(warehouse)
        assert mart_by_name(warehouse) == {}

    before: State = {}
    for days, scope, seconds in (
        (range(KILLS, DAYS_BEFORE), "all", undisturbed.publish_seconds),
        (range(DAYS_BEFORE, DAYS), "changes", undisturbed.publish_seconds / 2),  # which is quicker
    ):
        arrive(history, landing, days)
        land(landing, scope, settings=warehouse)
        run_id, found_scope = prepare(warehouse)
        assert found_scope == scope
        seen = []
        for moment in moments(chance, 2):  # the last may come when all is done
            kill(warehouse, "jm_publisher", moment * seconds, "step", "publish", "--run-id", run_id)
            seen.append(mart_by_name(warehouse))
            assert is_published(warehouse, run_id) == (seen[-1] != before)
        publish(warehouse, run_id)
        after = mart_by_name(warehouse)
        assert is_published(warehouse, run_id)
        assert all(state in (before, after) for state in seen)
        before = after
    assert_whole_files(warehouse)
    assert differences(before, undisturbed.mart) == {}
    assert differences(raw_by_name(warehouse), undisturbed.raw) == {}


def test_a_row_that_would_stand_twice_is_not_published(warehouse: Settings, history: Path, tmp_path: Path) -> None:
    arrive(history, tmp_path, range(DAYS_BEFORE))
    pipeline.run(warehouse, tmp_path)
    arrive(history, tmp_path, range(DAYS_BEFORE, DAYS))
    land(tmp_path, "twice", settings=warehouse)
    run_id, scope = prepare(warehouse)
    assert scope == "changes"
    before = mart_by_name(warehouse)
    with connect("jm_builder", settings=warehouse, autocommit=True) as connection:
        connection.execute(
            "insert into build.session_fact select m.* from mart.session_fact as m"
            " inner join next.session_fact as n using (visitor_key, started_at)"
            " left join build.session_fact as b using (visitor_key, started_at)"
            " where b.visitor_key is null limit 1"
        )
    with pytest.raises(PublishError, match=r"mart.session_fact: Key \(visitor_key, started_at\)=.* already exists"):
        publish(warehouse, run_id)
    assert mart_by_name(warehouse) == before


def test_who_reads_while_the_mart_is_renewed_reads_on(warehouse: Settings, history: Path, tmp_path: Path) -> None:
    """A dashboard has read one table and asks for another that the publication has taken before, on a slow machine."""

    def slowly(*arguments: Any) -> tuple[int, int]:
        time.sleep(0.8 / len(taken))  # all of them: nearly as long as PostgreSQL waits before it looks for deadlocks
        return take_over(*arguments)

    take_over = publisher._take_over
    arrive(history, tmp_path, range(2))
    pipeline.run(warehouse, tmp_path)
    run_id = new_run_id()
    build(warehouse, run_id, full=True)
    pipeline.validate(warehouse, run_id)
    before = mart_by_name(warehouse)
    with connect("jm_admin", settings=warehouse) as connection:
        taken = [
            row[0] for row in connection.execute("select name from build.model where kind = 'delta' order by position")
        ]
    with (
        mock.patch.object(publisher, "_take_over", slowly),
        ThreadPoolExecutor() as pool,
        connect("jm_dashboard", settings=warehouse) as reader,
    ):
        reader.execute(f"select from mart.{taken[-1]} limit 1".encode())
        publishing = pool.submit(publish, warehouse, run_id)
        for name in taken[:-1]:
            time.sleep(0.1)
            reader.execute(f"select from mart.{name} limit 1".encode())
        assert not publishing.done()
        reader.commit()
        publishing.result(timeout=60)
    assert is_published(warehouse, run_id)
    assert mart_by_name(warehouse) == before


def arrive(history: Path, landing: Path, days: Iterable[int]) -> None:
    """Folders of each source, by their place among its days."""
    for source in sorted(path for path in history.iterdir() if path.is_dir()):
        directories = dict(enumerate(sorted(source.iterdir())))
        for day in directories.keys() & set(days):
            shutil.copytree(directories[day], landing / source.name / directories[day].name)


def moments(chance: random.Random, count: int) -> list[float]:
    """Random parts of 1, one from each of `count` equal intervals."""
    return [(number + chance.random()) / count for number in range(count)]


def prepare(settings: Settings) -> tuple[str, str]:
    """Build and check what has landed; the run and its scope."""
    run_id = new_run_id()
    built = build(settings, run_id)
    pipeline.validate(settings, run_id)
    return run_id, built.scope


def kill(settings: Settings, role: str, delay: float, *command: str) -> bool:
    """Start the command, wait until it works as `role`, kill it `delay` seconds later, wait until PostgreSQL knows.

    False if it had ended by itself before.
    """
    at_work = 2 if role == "jm_loader" else 1  # one connection of the loader's role only looks for new files
    environment = {
        **os.environ,
        **settings.secrets,
        "PYTHONPATH": str(REPO / "plugins"),
        "JOURNEYMART_HOME": str(settings.home),
        "JOURNEYMART_PG_HOST": settings.pg_host,
        "JOURNEYMART_PG_PORT": str(settings.pg_port),
        "JOURNEYMART_PG_DATABASE": settings.pg_database,
        "TMPDIR": str(settings.home),
    }
    with (
        connect("jm_auditor", settings=settings, autocommit=True) as watcher,
        subprocess.Popen(
            [sys.executable, "-m", "journeymart.cli", *command], env=environment, stdout=subprocess.DEVNULL
        ) as process,
    ):
        others = connections(watcher, *ROLES)
        wait_until(lambda: process.poll() is not None or connections(watcher, role) >= at_work)
        time.sleep(delay)
        process.kill()
        process.wait()
        wait_until(lambda: connections(watcher, *ROLES) <= others)
        return process.returncode == -signal.SIGKILL


def connections(watcher: psycopg.Connection, *roles: str) -> int:
    row = watcher.execute(
        "select count(*) from pg_stat_activity where datname = current_database() and usename = any(%s::text[])",
        (list(roles),),
    ).fetchone()
    return int(row[0]) if row else 0


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def assert_whole_files(settings: Settings) -> None:
    """Every file of the ledger has all of its rows, and no row is of a file that is not there."""
    with connect("jm_builder", settings=settings) as connection:

        def counts(query: LiteralString) -> dict[int, int]:
            return dict(connection.execute(query).fetchall())

        for table, source in TABLES.items():
            rows = counts(f"select (row_id >> 32)::integer, count(*) from raw.{table} group by 1")  # noqa: S608
            ledger = counts(
                f"select file_id, rows_loaded from raw.file where source = '{source}' and rows_loaded > 0"  # noqa: S608
            )
            assert rows == ledger
        quarantined = counts("select file_id, count(*) from raw.quarantine group by 1")
        assert quarantined == counts("select file_id, rows_quarantined from raw.file where rows_quarantined > 0")


def is_published(settings: Settings, run_id: str) -> bool:
    with connect("jm_builder", settings=settings) as connection:
        return connection.execute("select from ops.publication where run_id = %s", (run_id,)).fetchone() is not None
