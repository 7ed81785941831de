"""Who sees what, asked as the people of each role: dashboards, datasets, rows, personal columns, and the ways around.

The rules are in Superset and in the database; each is tested without the other's help.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from supersetapiclient.client import SupersetClient

from journeymart.db import connect as connect_database
from journeymart.publish.access import PERSONAL
from journeymart.settings import Settings
from journeymart.superset.apply import apply, connect, list_assets
from journeymart.superset.bundle import asset_uuid, own_name, slug_of
from journeymart.superset.roles import role_names
from journeymart.superset.specs import ASSETS, LOCALES, Assets, read_assets

pytestmark = pytest.mark.platform

# A department that owns no funnel.
ELSEWHERE = "elsewhere"


@pytest.fixture(scope="module")
def extended(platform: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assets]:
    """The shipped assets, applied with one more department."""
    directory = tmp_path_factory.mktemp("roles") / "assets"
    shutil.copytree(ASSETS, directory)
    roles = directory / "roles.yml"
    roles.write_text(roles.read_text().replace("departments: [", f"departments: [{ELSEWHERE}, "))
    apply(platform, directory)
    yield read_assets(directory)
    assert f"journeymart_analyst@{ELSEWHERE}" in apply(platform).removed["roles"]


@pytest.fixture(scope="module")
def admin(platform: Settings, extended: Assets) -> SupersetClient:
    return connect(platform)


@pytest.fixture(scope="module")
def people(platform: Settings, admin: SupersetClient, extended: Assets) -> Iterator[dict[str, SupersetClient]]:
    """One logged-in person per role."""
    listed = admin.get(f"{admin.base_url}/security/roles/", params={"q": json.dumps({"page_size": 100})}).json()
    role_ids = {item["name"]: item["id"] for item in listed["result"]}
    found, users = {}, []
    for name, role in extended.roles.items():
        for full_name in role_names(name, role):
            password = secrets.token_urlsafe(12)
            user = {
                "username": f"test-{full_name}", "first_name": "T", "last_name": name, "password": password,
                "email": f"{full_name.replace('@', '.')}@localhost.localdomain", "active": True,
                "roles": [role_ids[full_name]],
            }  # fmt: skip
            response = admin.post(f"{admin.base_url}/security/users/", json=user)
            assert response.status_code == 201, response.text
            users.append(response.json()["id"])
            found[full_name] = SupersetClient(platform.superset_url, username=user["username"], password=password)
    yield found
    for number in users:
        admin.delete(f"{admin.base_url}/security/users/{number}")


@pytest.fixture(scope="module")
def dataset_ids(admin: SupersetClient) -> dict[str, int]:
    return {item["uuid"]: item["id"] for item in list_assets(admin, "datasets")}


@pytest.fixture(scope="module")
def ask(extended: Assets, dataset_ids: dict[str, int]) -> Callable[..., Any]:
    """Asks for a metric of a dashboard's dataset; answers the response."""

    def query(client: SupersetClient, dashboard: str, dataset: str, **options: Any) -> Any:
        spec = extended.datasets[dataset]
        metric = next(iter(spec.metrics.values())).label.ko
        filters = options.pop("filters", [])
        period = options.pop("period", "No filter")
        temporal = {"col": spec.time, "op": "TEMPORAL_RANGE", "val": period}
        number = dataset_ids[asset_uuid("datasets", own_name(dashboard, dataset), "ko")]
        body = {
            "datasource": {"id": number, "type": "table"},
            "queries": [
                {
                    "columns": [],
                    "metrics": [metric],
                    "filters": filters + ([temporal] if spec.time else []),
                    "row_limit": 100,
                    **options,
                }
            ],
            "form_data": {
                "adhoc_filters": [
                    {"clause": "WHERE", "expressionType": "SIMPLE", "subject": spec.time, "operator": "TEMPORAL_RANGE",
                     "comparator": period}
                ] if spec.time else [],
                "extra_form_data": {"filters": filters},
            },
            "result_format": "json",
            "result_type": "full",
        }  # fmt: skip
        return client.post(f"{client.base_url}/chart/data", json=body)

    return query


def role_of(full_name: str, assets: Assets) -> Any:
    return assets.roles[full_name.removeprefix("journeymart_").partition("@")[0]]


def test_everybody_sees_the_dashboards_of_their_role_and_no_other(people, extended):
    for name, client in people.items():
        listed = client.get(f"{client.base_url}/dashboard/", params={"q": json.dumps({"page_size": 100})}).json()
        expected = {
            slug_of(extended.dashboards[dashboard], locale)
            for dashboard in role_of(name, extended).dashboards
            for locale in LOCALES
        }
        assert {item["slug"] for item in listed["result"]} == expected, name


def test_everybody_reads_the_datasets_of_their_role_and_no_other(people, extended, ask):
    for name, client in people.items():
        for key, dashboard in extended.dashboards.items():
            expected = 200 if key in role_of(name, extended).dashboards else 403
            for dataset in extended.datasets_of(dashboard):
                response = ask(client, key, dataset)
                assert response.status_code == expected, (name, key, dataset, response.text)


def test_a_department_sees_its_own_funnels_even_when_the_answer_is_cached(people, ask):
    def started(department: str) -> int:
        response = ask(people[f"journeymart_analyst@{department}"], "funnels", "funnel")
        return int(next(iter(response.json()["result"][0]["data"][0].values())) or 0)

    own = started("digital-sales")
    assert own > 0
    assert started(ELSEWHERE) == 0
    assert started("digital-sales") == own


@pytest.mark.parametrize("setting", [None, "", ELSEWHERE, "digital-sales,*x"])
def test_the_database_keeps_departments_apart_by_itself(platform, setting):
    expected = setting is not None and "digital-sales" in setting
    with connect_database("jm_report", settings=platform, autocommit=True) as connection:
        if setting is not None:
            connection.execute("select set_config('journeymart.departments', %s, false)", (setting,))
        for table in ("funnel_step", "funnel_entry"):
            seen = connection.execute(
                sql.SQL("select count(*) > 0 from mart.{}").format(sql.Identifier(table))
            ).fetchone()
            assert seen == (expected,)


def test_no_report_reads_a_personal_column(platform):
    with connect_database("jm_dashboard", settings=platform, autocommit=True) as owner:
        columns = owner.execute(
            "select c.relname, a.attname from pg_attribute as a inner join pg_class as c on c.oid = a.attrelid"
            " where c.relnamespace = 'mart'::regnamespace and c.relkind in ('r', 'v') and a.attname = any(%s)",
            (list(PERSONAL),),
        ).fetchall()
    assert {"timeline", "session", "event", "customer", "funnel_entry"} <= {table for table, _ in columns}
    with connect_database("jm_report", settings=platform, autocommit=True) as connection:
        connection.execute("select set_config('journeymart.departments', '*', false)")
        for table, column in columns:
            for shown in (sql.Identifier(column), sql.SQL("t::text")):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(
                        sql.SQL("select {} from {} as t limit 1").format(shown, sql.Identifier("mart", table))
                    )
        for statement in (
            "select * from mart.paths_people(step => 1)",
            "select * from mart.customer_profile('x', 'C0000000001', 'x')",
            "select * from ops.access_log",
            "select * from raw.customer",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
        connection.execute("select step_no, sessions from mart.paths_main(depth => 2)")


def test_customer_service_reaches_a_person_only_by_a_look_up(platform):
    with connect_database("jm_cs", settings=platform, autocommit=True) as connection:
        for statement in ("select customer_id from mart.timeline limit 1", "select * from ops.access_log"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


@pytest.fixture(scope="module")
def customer(platform: Settings) -> str:
    with connect_database("jm_dashboard", settings=platform, autocommit=True) as connection:
        row = connection.execute(
            "select customer_id from mart.timeline group by customer_id"
            " having count(distinct kind) > 1 order by count(*) desc limit 1"
        ).fetchone()
    assert row is not None
    return str(row[0])


def log_of(platform: Settings, customer: str) -> list[tuple[str, str, str]]:
    with connect_database("jm_auditor", settings=platform, autocommit=True) as connection:
        return connection.execute(
            "select user_name, object, purpose from ops.access_log where customer_id = %s order by accessed_at",
            (customer,),
        ).fetchall()


def test_every_look_at_a_customer_is_written_down(platform, people, ask, customer):
    client = people["journeymart_customer_service"]
    before = log_of(platform, customer)
    chosen = [
        {"col": "customer_id", "op": "IN", "val": [customer]},
        {"col": "purpose", "op": "IN", "val": ["상담 응대"]},
    ]
    period = "2000-01-01 : 2100-01-01"
    for _ in range(2):  # the second answer does not come from a cache
        response = ask(client, "customer_view", "customer_timeline", filters=chosen, period=period)
        assert response.status_code == 200, response.text
        assert next(iter(response.json()["result"][0]["data"][0].values())) > 0
    new = log_of(platform, customer)[len(before) :]
    assert new == [("test-journeymart_customer_service", "timeline", "상담 응대")] * 2


@pytest.mark.parametrize("missing", ["customer_id", "purpose", "period"])
def test_nobody_is_shown_without_number_purpose_and_period(platform, people, ask, customer, missing):
    before = log_of(platform, customer)
    chosen = [
        {"col": column, "op": "IN", "val": [value]}
        for column, value in (("customer_id", customer), ("purpose", "상담 응대"))
        if column != missing
    ]
    period = {} if missing == "period" else {"period": "2000-01-01 : 2100-01-01"}
    response = ask(
        people["journeymart_customer_service"], "customer_view", "customer_timeline", filters=chosen, **period
    )
    assert response.status_code == 200, response.text
    assert next(iter(response.json()["result"][0]["data"][0].values())) == 0
    assert log_of(platform, customer) == before


def test_a_forged_name_or_purpose_stays_a_text(people, ask, customer):
    for value in ("x' || current_user || '", "'); delete from ops.access_log; --", "{{ 1 + 1 }}"):
        chosen = [{"col": "customer_id", "op": "IN", "val": [value]}, {"col": "purpose", "op": "IN", "val": [value]}]
        response = ask(people["journeymart_customer_service"], "customer_view", "customer_profile", filters=chosen)
        assert response.status_code == 200, response.text
        assert [v for v in response.json()["result"][0]["data"][0].values() if v] == []


def test_there_is_no_way_around(people, ask, dataset_ids, admin):
    """What a curious person of a role may try besides opening dashboards."""
    client = people["journeymart_executive"]
    base = client.base_url
    foreign = dataset_ids[asset_uuid("datasets", own_name("customer_view", "customer_timeline"), "ko")]
    database = admin.get(f"{base}/database/").json()["result"][0]["id"]
    tries = {
        "SQL Lab": client.post(f"{base}/sqllab/execute/", json={"database_id": database, "sql": "select 1"}),
        "samples of a dataset": client.post(
            f"{base.removesuffix('api/v1')}datasource/samples?datasource_id={foreign}&datasource_type=table", json={}
        ),
        "export of a dataset": client.get(f"{base}/dataset/export/", params={"q": json.dumps([foreign])}),
        "a dataset": client.get(f"{base}/dataset/{foreign}"),
        "a dataset of one's own": client.post(
            f"{base}/dataset/", json={"database": database, "schema": "mart", "table_name": "mine", "sql": "select 1"}
        ),
        "values of a column": client.get(f"{base}/datasource/table/{foreign}/column/customer_id/values/"),
        "the log": client.get(f"{base}/log/"),
        "the users": client.get(f"{base}/security/users/"),
        "all the data as a bundle": client.get(f"{base}/assets/export/"),
    }
    allowed = {what: response.status_code for what, response in tries.items() if response.status_code < 400}
    assert allowed == {}
    drill = ask(client, "customer_view", "customer_timeline", columns=["customer_id"], metrics=[])
    assert drill.status_code == 403
    subquery = {"expressionType": "SQL", "label": "x", "sqlExpression": "(select min(customer_id) from mart.customer)"}
    assert ask(client, "start", "publication_latest", columns=[subquery]).status_code >= 400
