"""A later version over an installation: the warehouse becomes what a new one is, and keeps what is in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.pipeline.catalogue import catalogue
from tests.pipeline.zone import Zone, event

from journeymart import pipeline
from journeymart.db import connect
from journeymart.errors import PipelineError
from journeymart.identity import unlink
from journeymart.platform.postgres import Postgres
from journeymart.publish.publisher import is_outdated
from journeymart.settings import Settings
from journeymart.transform.build import build, is_pending

# Back to the warehouse of 60d51f6, the earliest state that is brought up to date, and what nobody gives any more.
EARLIER = """
    drop table ops.restatement;
    drop index ops.publication_watermark;
    create or replace function raw.forget_customers() returns void language sql as '';
    grant execute on function lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) to public;
    grant insert on raw.erased_line to jm_loader;
    grant select on raw.quarantine to jm_auditor;
    grant update (reason) on ops.erasure to jm_builder;
    grant usage on schema config to jm_report;
    grant execute on function raw.forget_customers() to jm_builder;
    grant delete on export.ack to jm_campaign;
    grant jm_loader to jm_cs;
    alter default privileges for role jm_publisher in schema mart grant select on tables to jm_campaign;
"""


def test_a_warehouse_of_an_earlier_version_becomes_what_a_new_one_is(new_warehouse: Callable[[], Settings]) -> None:
    new = catalogue(new_warehouse())
    settings = new_warehouse()
    with connect("jm_admin", settings=settings) as connection:
        connection.execute(EARLIER)
        connection.execute(
            "insert into raw.file (source, path, sha256, bytes, modified_at, format, status, run_id)"
            " values ('clickstream', 'a.ndjson', 'x', 1, now(), 'ndjson', 'loaded', 'r')"
        )
    assert catalogue(settings) != new
    Postgres(settings).apply_warehouse_sql()
    differing = catalogue(settings) ^ new
    assert differing == set(), "\n".join(sorted(differing))
    with connect("jm_admin", settings=settings) as connection:
        assert connection.execute("select path, status from raw.file").fetchall() == [("a.ndjson", "loaded")]


@pytest.fixture(scope="module")
def mart(new_warehouse: Callable[[], Settings], tmp_path_factory: pytest.TempPathFactory) -> Zone:
    """One that has published."""
    zone = Zone(tmp_path_factory.mktemp("landing"), new_warehouse())
    zone.put("clickstream/a.ndjson", [event(n, customer_id=f"c{n % 3}") for n in range(20)])
    pipeline.run(zone.settings, zone.directory)
    return zone


def test_what_an_earlier_version_computed_and_this_one_does_not_is_gone(mart: Zone) -> None:
    assert not is_pending(mart.settings)
    made = catalogue(mart.settings)
    for role, statements in {
        "jm_builder": "create table {0}.retired (customer_id text)",
        "jm_publisher": "create table {0}.retired (customer_id text); create view {0}.seen as table {0}.retired",
    }.items():
        for schema in ("staging", "build", "next") if role == "jm_builder" else ("mart", "export"):
            with connect(role, settings=mart.settings) as connection:
                connection.execute(statements.format(schema).encode())
    with connect("jm_publisher", settings=mart.settings) as connection:
        connection.execute("create function mart.retired() returns text language sql return (table mart.retired)")
    mart.query("update ops.publication set definitions = 'of other models' returning 1")
    assert pipeline.run(mart.settings, mart.directory).build.scope == "all"
    differing = catalogue(mart.settings) ^ made
    assert differing == set(), "\n".join(sorted(differing))


def test_a_version_that_changes_only_what_is_asked_is_published_though_nothing_has_landed(mart: Zone) -> None:
    change = "update ops.mart_view set sql_hash = 'of another version' where name = %s"
    with connect("jm_admin", settings=mart.settings) as connection:
        assert not is_outdated(connection, mart.settings)
        for name in ("access", "mart_functions"):
            with connection.transaction(force_rollback=True):
                connection.execute(change, (name,))
                assert is_outdated(connection, mart.settings), name
        connection.execute(change, ("mart_functions",))
    assert is_pending(mart.settings)
    assert pipeline.run(mart.settings, mart.directory).build.scope == "changes"
    with connect("jm_builder", settings=mart.settings) as connection:
        assert not is_outdated(connection, mart.settings)


def test_definitions_and_decisions_are_published_though_nothing_has_landed(mart: Zone) -> None:
    """Not by a schedule that comes in between while the one who decided publishes them."""
    definitions = mart.define("funnels: []\n", "funnels")
    assert is_pending(mart.settings, definitions)
    for waits in (True, False):  # of other models, and of these again
        mart.query("update ops.publication set definitions = reverse(definitions) returning 1")
        assert is_pending(mart.settings) is waits
    unlink(mart.settings, "v1", "it stands in a branch")
    assert is_pending(mart.settings)
    build(mart.settings, "by-hand")
    assert not is_pending(mart.settings)
    mart.query("update ops.run set started_at = now() - interval '4 hours' where run_id = 'by-hand' returning 1")
    assert is_pending(mart.settings), "it was killed"
    pipeline.run(mart.settings, mart.directory)
    assert not is_pending(mart.settings)


def test_a_run_before_the_database_is_brought_up_to_date_says_so(mart: Zone) -> None:
    mart.query("drop table ops.restatement cascade; select 1")
    with pytest.raises(PipelineError, match="Do `journeymart up`, if this version has not been up"):
        pipeline.run(mart.settings, mart.directory, full=True)
