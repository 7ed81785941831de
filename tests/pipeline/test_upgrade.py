"""A later version over an installation: the warehouse becomes what a new one is, and keeps what is in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.pipeline.catalogue import catalogue
from tests.pipeline.zone import Zone, event

from journeymart import pipeline
from journeymart.db import connect
from journeymart.publish.publisher import is_outdated
from journeymart.settings import Settings


@pytest.fixture(scope="module")
def mart(new_warehouse: Callable[[], Settings], tmp_path_factory: pytest.TempPathFactory) -> Zone:
    """One that has published."""
    zone = Zone(tmp_path_factory.mktemp("landing"), new_warehouse())
    zone.put("clickstream/a.ndjson", [event(n, customer_id=f"c{n % 3}") for n in range(20)])
    pipeline.run(zone.settings, zone.directory)
    return zone


def test_what_an_earlier_version_computed_and_this_one_does_not_is_gone(mart: Zone) -> None:
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
    assert pipeline.run(mart.settings, mart.directory).build.scope == "changes"
    with connect("jm_builder", settings=mart.settings) as connection:
        assert not is_outdated(connection, mart.settings)
