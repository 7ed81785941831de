"""Who sees what, asked as the people of each role: dashboards, datasets, rows, personal columns, and the ways around.

The rules are in Superset and in the database; each is tested without the other's help.
"""

from __future__ import annotations

import html
import json
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import psycopg
import pytest
import requests
from psycopg import sql
from requests.adapters import HTTPAdapter
from supersetapiclient.client import SupersetClient
from tests.people import logged_in, opened_by, people_of

from journeymart.db import connect as connect_database
from journeymart.publish.access import PERSONAL
from journeymart.settings import Settings
from journeymart.superset.apply import apply, list_assets
from journeymart.superset.bundle import asset_uuid, own_name
from journeymart.superset.client import connect
from journeymart.superset.lint import COLUMN_FIELDS, METRIC_FIELDS, names
from journeymart.superset.specs import ASSETS, LOCALES, Assets, Dashboard, read_assets, slug_of

pytestmark = pytest.mark.platform

# A department that owns no funnel.
ELSEWHERE = "elsewhere"
PEOPLE_AT_A_TIME = 4


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
    with people_of(admin, extended, "test") as logins:
        yield {
            role: SupersetClient(platform.superset_url, username=name, password=password)
            for role, (name, password) in logins.items()
        }


@pytest.fixture(scope="module")
def dataset_ids(admin: SupersetClient) -> dict[str, int]:
    return {item["uuid"]: item["id"] for item in list_assets(admin, "datasets")}


@pytest.fixture(scope="module")
def ask(extended: Assets, dataset_ids: dict[str, int]) -> Callable[..., Any]:
    """Asks for a metric of a dashboard's dataset; answers the response."""

    def query(
        client: SupersetClient, dashboard: str, dataset: str, *,
        locale: str = "ko", queries: Sequence[dict[str, Any]] = ({},), **options: Any,
    ) -> Any:  # fmt: skip
        spec = extended.datasets[dataset]
        metric = next(iter(spec.metrics.values())).label.get(locale)
        filters = options.pop("filters", [])
        period = options.pop("period", "No filter")
        top = ("result_format", "result_type", "custom_cache_timeout", "force")
        form = {key: options.pop(key) for key in top if key in options}
        temporal = [{"col": spec.time, "op": "TEMPORAL_RANGE", "val": period}] if spec.time else []
        number = dataset_ids[asset_uuid("datasets", own_name(dashboard, dataset), locale)]
        common = {"columns": [], "metrics": [metric], "filters": filters, "row_limit": 100, **options}
        asked = [{**common, **item} for item in queries]
        body = {
            "datasource": {"id": number, "type": "table"},
            "queries": [{**item, "filters": item["filters"] + temporal} for item in asked],
            "form_data": {
                "adhoc_filters": [
                    {"clause": "WHERE", "expressionType": "SIMPLE", "subject": spec.time, "operator": "TEMPORAL_RANGE",
                     "comparator": period}
                ] if spec.time else [],
                "extra_form_data": {"filters": filters},
            },
            "result_format": "json",
            "result_type": "full",
            **form,
        }  # fmt: skip
        return client.post(f"{client.base_url}/chart/data", json=body)

    return query


def test_everybody_sees_the_dashboards_of_their_role_and_no_other(people, extended):
    for name, client in people.items():
        listed = client.get(f"{client.base_url}/dashboard/", params={"q": json.dumps({"page_size": 100})}).json()
        expected = {
            slug_of(extended.dashboards[dashboard], locale)
            for dashboard in opened_by(name, extended)
            for locale in LOCALES
        }
        assert {item["slug"] for item in listed["result"]} == expected, name


def test_everybody_may_read_the_datasets_of_their_role_and_no_other(people, extended, admin, dataset_ids):
    listed = admin.get(f"{admin.base_url}/security/roles/", params={"q": json.dumps({"page_size": 100})}).json()
    role_ids = {item["name"]: item["id"] for item in listed["result"]}
    for name in people:
        permissions = admin.get(f"{admin.base_url}/security/roles/{role_ids[name]}/permissions/").json()["result"]
        kinds = {item["permission_name"] for item in permissions}
        assert kinds.isdisjoint({"all_datasource_access", "all_database_access", "database_access", "schema_access"})
        read = [item["view_menu_name"] for item in permissions if item["permission_name"] == "datasource_access"]
        assert {int(target.rpartition("(id:")[2].rstrip(")")) for target in read} == {
            dataset_ids[asset_uuid("datasets", own_name(key, dataset), locale)]
            for key in opened_by(name, extended)
            for dataset in extended.datasets_of(extended.dashboards[key])
            for locale in LOCALES
        }, name


def test_the_menu_lists_what_is_theirs(people, extended, ask):
    """The second answer comes from the cache, which keeps what people may open apart."""
    for name, client in [*people.items(), *people.items()]:
        response = ask(client, "start", "menu", columns=["dashboard"], metrics=[])
        assert response.status_code == 200, response.text
        listed = {row["dashboard"] for row in response.json()["result"][0]["data"]}
        assert listed == {
            f'<a href="/superset/dashboard/{dashboard.slug}/">{dashboard.title.ko}</a>'
            for dashboard in (extended.dashboards[key] for key in opened_by(name, extended) if key != "start")
        }, name


def queries_of(dashboard: Dashboard, assets: Assets, locale: str) -> dict[str, list[dict[str, Any]]]:
    """By dataset the queries of a dashboard's charts and of the lists of values of its filters."""
    found: dict[str, list[dict[str, Any]]] = {}

    def add(dataset: str, columns: list[str], metrics: list[str], filters: dict[str, Any]) -> None:
        labels = [assets.datasets[dataset].metrics[name].label.get(locale) for name in dict.fromkeys(metrics)]
        conditions = [
            {"col": name, "op": "IN" if isinstance(v, list) else "==", "val": v} for name, v in filters.items()
        ]
        query = {"columns": list(dict.fromkeys(columns)), "metrics": labels, "filters": conditions}
        found.setdefault(dataset, []).append(query)

    for chart in (assets.charts[name] for name in dashboard.charts):
        columns, metrics = (
            [name for field in fields for name in names(chart.params.get(field))]
            for fields in (COLUMN_FIELDS, METRIC_FIELDS)
        )
        add(chart.dataset, columns, metrics, chart.filters)
    for item in dashboard.filters.values():
        if item.dataset and item.column:
            add(item.dataset, [item.column], names(item.sort_by), {})
    return found


def test_every_chart_answers_those_who_may_open_its_dashboard_and_nobody_else(people, extended, ask):
    """Every role asks every dataset of its dashboards, one of them for every chart and filter, and is refused at the
    others; roles and departments in turn.

    Packs share their charts: one stands for all.
    """
    packs = [key for key, dashboard in extended.dashboards.items() if dashboard.owner]
    asked_of = [(key, dashboard) for key, dashboard in extended.dashboards.items() if key not in packs[1:]]
    asks: dict[str, list[tuple[bool, str, str, str, list[dict[str, Any]]]]] = {name: [] for name in people}
    for place, (key, dashboard) in enumerate(asked_of):
        locale = LOCALES[place % len(LOCALES)]
        asked = queries_of(dashboard, extended, locale)
        able = {name: key in opened_by(name, extended) for name in people}
        roles = sorted({(able[name], name.partition("@")[0]) for name in people}, reverse=True)
        whole = place % max(1, sum(is_able for is_able, _role in roles))
        for number, (is_able, role) in enumerate(roles):
            names_of = [name for name in people if name.partition("@")[0] == role and able[name] == is_able]
            listed = list(asked.items())[None if is_able else -1 :]
            asks[names_of[place % len(names_of)]] += [
                (is_able, key, locale, dataset, queries if number == whole else queries[:1])
                for dataset, queries in listed
            ]

    def wrong_of(name: str) -> list[Any]:
        wrong: list[Any] = []
        for is_able, key, locale, dataset, queries in asks[name]:
            response = ask(people[name], key, dataset, locale=locale, queries=queries)
            if response.status_code != (200 if is_able else 403):
                wrong.append((name, key, dataset, response.status_code, response.text))
            for query, result in zip(queries, response.json().get("result", []), strict=is_able):
                known = {*query["columns"], *query["metrics"]}
                if result["error"] or (result["rowcount"] and set(result["colnames"]) != known):
                    wrong.append((name, key, dataset, query, result["error"] or result["colnames"]))
        return wrong

    assert sum(map(len, asks.values())) > len(asked_of)
    with ThreadPoolExecutor(PEOPLE_AT_A_TIME) as pool:
        assert [found for wrong in pool.map(wrong_of, asks) for found in wrong] == []


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
            counted = sql.SQL(
                "select count(*) filter (where funnel_id = 'FN-ACCOUNT-OPEN') > 0,"
                " count(*) filter (where funnel_id = 'FN-REMITTANCE') from mart.{}"
            )
            seen = connection.execute(counted.format(sql.Identifier(table))).fetchone()
            assert seen == (expected, 0)
        for function in ("funnel", "funnel_times"):
            call = sql.SQL("select count(*) > 0 from mart.{}('FN-ACCOUNT-OPEN')").format(sql.Identifier(function))
            assert connection.execute(call).fetchone() == (expected,)


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


def test_no_report_reads_a_customers_or_devices_number_in_any_column(platform):
    """Whatever it is called, and as a part of another text, too."""
    with connect_database("jm_admin", settings=platform, autocommit=True) as connection:
        connection.execute(
            "create temporary table number as"
            # those of other tests are words, of which names of files are made, too
            " select customer_id as number from raw.customer where customer_id ~ '[0-9]{4}'"
            " union select visitor_id from raw.visitor where visitor_id ~ '[0-9]{4}'"
        )
        columns = connection.execute(
            "select c.relname, a.attname, has_column_privilege('jm_report', c.oid, a.attnum, 'select')"
            " from pg_attribute as a inner join pg_class as c on c.oid = a.attrelid"
            " where c.relnamespace = 'mart'::regnamespace and a.attnum > 0 and not a.attisdropped"
            " and c.relkind in ('r', 'p', 'v') and a.atttypid = any('{text, text[], jsonb}'::regtype[])"
        ).fetchall()
        found = {
            (table, column): is_readable
            for table, column, is_readable in columns
            if connection.execute(
                sql.SQL(
                    "select exists ("
                    " select from (select {0}::text as value from {1} where {0} is not null limit 1000) as t"
                    " cross join lateral (select t.value union all"
                    " select regexp_split_to_table(t.value, '[^[:alnum:]]+')) as w (word)"
                    " inner join number as n on w.word = n.number)"
                ).format(sql.Identifier(column), sql.Identifier("mart", table))
            ).fetchone()
            == (True,)
        }
    assert {("session", "customer_id"), ("identity", "evidence_customer_id"), ("event", "visitor_id")} <= set(found)
    assert [place for place, is_readable in found.items() if is_readable] == []


def test_customer_service_reaches_a_person_only_by_a_look_up(platform):
    with connect_database("jm_cs", settings=platform, autocommit=True) as connection:
        for statement in ("select customer_id from mart.timeline limit 1", "select * from ops.access_log"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_no_temporary_type_is_taken_for_one_of_postgres(platform):
    """It would let its owner, a campaign system say, act as the owner of the function that uses it."""
    with connect_database("jm_campaign", settings=platform, autocommit=True) as connection:
        for statement in (
            "create temp table acted (as_role text)",
            "grant insert on acted to public",
            "create function pg_temp.act(value pg_catalog.timestamptz) returns boolean language sql"
            " as $$ insert into pg_temp.acted values (current_user) returning true $$",
            "create domain pg_temp.timestamptz as pg_catalog.timestamptz check (pg_temp.act(value))",
            "select * from export.pending_triggers('test', 'web', 'nobody')",
        ):
            connection.execute(statement)
        assert connection.execute("select * from acted").fetchall() == []
        found = connection.execute(
            "select oid::regprocedure::text from pg_proc where pronamespace::regnamespace::text = any(%s) and prosecdef"
            " and not exists (select from unnest(proconfig) as s where s = 'search_path=pg_catalog, pg_temp')",
            (["raw", "ops", "config", "mart", "export"],),
        ).fetchall()
    assert found == []


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


def test_auditors_read_who_looked_and_of_the_number_its_ends(platform, people, ask, customer):
    """At once, not with the next publication, and never from a cache."""
    columns = ["user_name", "screen", "customer_masked", "purpose"]
    for purpose in ("민원 처리", "본인 열람 요청"):
        chosen = [
            {"col": "customer_id", "op": "IN", "val": [customer]},
            {"col": "purpose", "op": "IN", "val": [purpose]},
        ]
        ask(people["journeymart_customer_service"], "customer_view", "customer_profile", filters=chosen)
        response = ask(people["journeymart_auditor"], "access_log", "access_log", columns=columns, metrics=[])
        assert response.status_code == 200, response.text
        assert customer not in response.text
        assert {
            "user_name": "test-journeymart_customer_service",
            "screen": "고객 싱글뷰 · 고객 정보",
            "customer_masked": f"{customer[:2]}***{customer[-2:]}",
            "purpose": purpose,
        } in response.json()["result"][0]["data"]


def test_who_fails_to_log_in_has_to_wait(platform):
    """Whichever worker answers, with the right password too, in the browser too; another address need not."""
    url, right = platform.superset_url, platform.secret("SUPERSET_ADMIN_PASSWORD")

    def from_address(address: str) -> requests.Session:
        session, adapter = requests.Session(), HTTPAdapter()
        adapter.init_poolmanager(1, 1, source_address=(address, 0))
        session.mount("http://", adapter)
        return session

    def log_in(session: requests.Session, password: str) -> int:
        body = {"username": "admin", "password": password, "provider": "db"}
        return session.post(f"{url}/api/v1/security/login", json=body, timeout=60).status_code

    session = from_address("127.0.0.2")
    assert [log_in(session, "wrong") for _ in range(6)] == [401] * 5 + [429]
    assert log_in(session, right) == 429
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', session.get(f"{url}/login/", timeout=60).text)
    assert token
    form = {"username": "admin", "password": right, "csrf_token": token[1]}
    refused = session.post(f"{url}/login/", data=form, timeout=60)
    assert (refused.status_code, "1분 뒤에 다시 시도하세요." in refused.text) == (429, True)
    assert [log_in(from_address("127.0.0.3"), right) for _ in range(6)] == [200] * 6


def test_what_the_login_page_asks_begins_no_session(platform):
    """Its answers may come after the login's: a session without a user would take the place of the one with."""
    session, url = requests.Session(), platform.superset_url
    assert "Set-Cookie" in session.get(f"{url}/login/", timeout=60).headers
    for method, path, status in (
        ("POST", "superset/log/?explode=events", 204),
        ("GET", "superset/language_pack/ko/", 200),
    ):
        answer = session.request(method, f"{url}/{path}", timeout=60)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (status, False)


def test_customers_of_a_step_are_written_down_one_by_one(platform, people, ask):
    client = people["journeymart_customer_service"]
    chosen = [
        {"col": "step", "op": "IN", "val": ["계좌 개설 · 1. 약관 동의"]},
        {"col": "outcome", "op": "IN", "val": ["도달한 고객 모두"]},
    ]
    purpose = {"col": "purpose", "op": "IN", "val": ["장애 확인"]}

    def looks() -> Counter[str]:
        with connect_database("jm_auditor", settings=platform, autocommit=True) as connection:
            found = connection.execute(
                "select customer_id from ops.access_log where object = 'funnel FN-ACCOUNT-OPEN'"
            ).fetchall()
        return Counter(customer for (customer,) in found)

    def shown(filters: list[dict[str, Any]]) -> set[str]:
        columns = ["customer_id", "customer_shown"]
        response = ask(client, "funnel_people", "funnel_people", filters=filters, columns=columns, metrics=[])
        assert response.status_code == 200, response.text
        rows = response.json()["result"][0]["data"]
        assert all(chosen_by(row["customer_shown"]) == {"customer_id": [row["customer_id"]]} for row in rows)
        return {row["customer_id"] for row in rows}

    before = looks()
    assert (shown(chosen), looks()) == (set(), before)
    customers = shown([*chosen, purpose])
    assert 0 < len(customers) <= 100
    assert looks() - before == dict.fromkeys(customers, 1)


def chosen_by(link: str) -> dict[str, list[str]]:
    """What a link to a dashboard chooses in its filters, read as Superset reads it."""
    found = re.fullmatch(r'<a href="/superset/dashboard/[a-z-]+/\?native_filters=\(([^"]*)\)">.*</a>', link)
    assert found is not None, link
    text = r"'(?:[^'!]|!.)*'"
    value = rf"(!\({text}(?:,{text})*\)|{text})"
    state = (
        rf"NATIVE_FILTER-(\w+):\(extraFormData:\((?:time_range:|filters:!\(\(col:\1,op:IN,val:){value}\)*,"
        rf"filterState:\(value:{value}\),id:NATIVE_FILTER-\1,ownState:\(\)\)"
    )
    chosen = {}
    for name, asked, shown in re.findall(state, unquote(found[1])):
        assert asked == shown
        chosen[name] = [re.sub("!(.)", r"\1", quoted[1:-1]) for quoted in re.findall(text, shown)]
    return chosen


def filters_of(chosen: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    return [{"col": column, "op": "IN", "val": values} for column, values in chosen.items()]


@pytest.mark.parametrize("name", ["계좌 개설 · 1. 약관", "it's!", "'),b:!(c", '"><script>', "100% & #1 + 2", "\\1 !'"])
def test_a_link_chooses_what_it_names_whatever_that_is(platform, name):
    with connect_database("jm_report", settings=platform, autocommit=True) as connection:
        filters = json.dumps(
            {"step": name, "channel": [name, "app"], "period": "2026-03-01 : ", "none": None, "nothing": []}
        )
        row = connection.execute("select mart.dashboard_link('a-b', %s, %s)", (filters, name)).fetchone()
    assert row is not None
    assert chosen_by(row[0]) == {"step": [name], "channel": [name, "app"], "period": ["2026-03-01 : "]}
    assert row[0].partition(">")[2] == html.escape(name, quote=False) + "</a>"


# Dashboard, dataset and column with links to the people behind a row.
DRILLS = [
    ("funnels", "funnel", "step_shown"), ("detection", "detection", "rule_shown"),
    ("pain_points", "exit_page", "exit_page"), ("pain_points", "error_page", "error_shown"),
    ("main_paths", "main_path", "source_shown"), ("main_paths", "main_path", "target_shown"),
    ("around_paths", "around", "from_shown"), ("around_paths", "around", "to_shown"),
]  # fmt: skip


@pytest.mark.parametrize(("dashboard", "dataset", "column"), DRILLS)
def test_a_row_leads_to_its_people_where_the_role_allows(people, extended, ask, dashboard, dataset, column):
    """Whoever may not is asked in between: the cache keeps them apart."""
    target = extended.datasets[dataset].links["people"]
    able = [name for name in people if dashboard in opened_by(name, extended)]
    may = [name for name in able if target in opened_by(name, extended)]
    assert may == ["journeymart_customer_service"]
    for name in [*may, *able, *may]:
        response = ask(people[name], dashboard, dataset, columns=[column])
        assert response.status_code == 200, response.text
        shown = [row[column] for row in response.json()["result"][0]["data"] if row[column]]
        assert any(value.startswith("<a ") for value in shown) == (name in may), (name, shown)


def move(name: str) -> dict[str, str | None]:
    """The arguments of mart.paths_people() for a step or move of a path, from its name: "2 · A (x) → 3 · B (y)" in Main
    paths, "A · 페이지 ← -1 · B (y)" or "A · 페이지 → +1 · 이탈" in Before and after.
    """
    place_and_end = r"(?P<place>.*?(?:\((?P<code>\S+)\))?)(?: (?P<arrow>[→←]) .* · (?:.* \((\S+)\)|(유입|이탈)))?"
    found = re.fullmatch(place_and_end, name)
    assert found is not None, name
    place, arrow, other = found["place"], found["arrow"], found[4] or found[5]
    if place.endswith(" · 페이지"):
        ends = {"from": other, "to": None} if arrow == "←" else {"from": None, "to": other}
        return {"step": "-1" if arrow == "←" else "0", "at": place.removesuffix(" · 페이지"), **ends}
    return {"step": place.partition(" · ")[0], "from": found["code"], "to": other}


@pytest.fixture(scope="module")
def limits(platform: Settings) -> dict[str, list[str]]:
    """What is chosen in the filters of a dashboard: the channels and device of most sessions, the largest segment."""
    most = "select array_agg({0}) from (select {0} from mart.{1} group by {0} order by sum({2}) desc limit {3}) as most"
    asked = {
        "channel": most.format("channel", "session_daily", "sessions", 2),
        "device_type": most.format("device_type", "session_daily", "sessions", 1),
        "segment": most.format("name_ko", "segment", "members", 1),
    }
    with connect_database("jm_report", settings=platform, autocommit=True) as connection:
        found = {name: connection.execute(query.encode()).fetchone() for name, query in asked.items()}
    return {name: row[0] for name, row in found.items() if row}


def test_customers_of_a_step_are_limited_like_its_number(platform, people, ask, limits):
    """By the filters that its link carries; what is not known limits them to nobody."""
    client = people["journeymart_customer_service"]
    asked = {"columns": ["step_shown"], "filters": filters_of(limits), "period": "2026-06-02 : 2026-06-04"}
    rows = ask(client, "funnels", "funnel", **asked).json()["result"][0]["data"]
    carried = chosen_by(min(row["step_shown"] for row in rows))
    (period,) = carried.pop("period")
    assert period == asked["period"]
    assert {name: carried[name] for name in limits} == limits

    def shown(**changed: list[str]) -> list[str]:
        filters = filters_of({**carried, "purpose": ["장애 확인"], **changed})
        response = ask(
            client, "funnel_people", "funnel_people",
            filters=filters, period=period, columns=["customer_id"], metrics=[],
        )  # fmt: skip
        assert response.status_code == 200, response.text
        return sorted(row["customer_id"] for row in response.json()["result"][0]["data"])

    with connect_database("jm_dashboard", settings=platform, autocommit=True) as connection:
        expected = connection.execute(
            """
            select distinct p.subject_id
            from mart.funnel as f
            cross join unnest(%(channel)s::text[]) as c (channel)
            cross join unnest(%(device_type)s::text[]) as d (device_type)
            inner join mart.segment as s on s.name_ko = any(%(segment)s)
            cross join lateral mart.funnel_people(
                f.funnel_id, 1, from_date => '2026-06-02', to_date => '2026-06-03',
                channel => c.channel, segment => s.segment_id, device_type => d.device_type
            ) as p
            where f.label_ko = split_part(%(step)s, ' · ', 1)
            order by 1
            """,
            {**limits, "step": carried["step"][0]},
        ).fetchall()
    customers = [customer for (customer,) in expected]
    assert 0 < len(customers) <= 100
    assert shown() == customers
    for name, chosen in limits.items():
        assert shown(**{name: ["?"]}) == []
        assert shown(**{name: [*chosen, "?"]}) == customers


def test_customers_of_a_behaviour_are_those_who_did_it(platform, people, ask, limits):
    """Every link of the tables, followed: the customers are those of the sessions and hits behind the row, which are
    limited by filters where the dashboard has any.
    """
    client = people["journeymart_customer_service"]
    purpose = {"col": "purpose", "op": "IN", "val": ["장애 확인"]}
    sessions = (
        "select distinct customer_id from mart.session where customer_id = any(%(members)s)"
        " and device_type = any(%(device_type)s) and"
    )
    page = "(select min(label) || ' (' || node || ')' from mart.node where node = {} group by node)"
    expected = {
        "탐지": "select d.customer_id from mart.detection as d inner join mart.definition as r on"
        " r.definition_id = d.rule_id and r.kind = 'rules' where d.customer_id is not null and r.label_ko = %(name)s",
        "거래 없이 끝남": f"{sessions} not is_converted and channel = any(%(channel)s)"
        f" and {page.format('exit_node')} = %(name)s",
        "오류": f"{sessions} session_id in (select e.session_id from mart.event as e"  # noqa: S608 - no value in it
        " where e.channel = any(%(channel)s)"
        f" and e.error_code || ' · ' || {page.format('coalesce(e.error_page, e.node)')} = %(name)s)",
        "경로": "select distinct p.customer_id from unnest(%(channel)s::text[]) as c"
        " cross join unnest(%(device_type)s::text[]) as d cross join lateral mart.paths_people("
        "(%(step)s)::integer, %(from)s, %(to)s, channel => c, device_type => d) as p"
        " where p.customer_id = any(%(members)s)",
        "전후": "select distinct p.customer_id from mart.node as n cross join unnest(%(channel)s::text[]) as c"
        " cross join unnest(%(device_type)s::text[]) as d cross join lateral mart.paths_people("
        "(%(step)s)::integer, %(from)s, %(to)s, n.node, channel => c, device_type => d) as p"
        " where p.customer_id = any(%(members)s) and n.label = %(at)s",
    }
    with connect_database("jm_dashboard", settings=platform, autocommit=True) as connection:
        members = [
            customer
            for (customer,) in connection.execute(
                "select m.customer_id from mart.segment as s cross join lateral mart.segment_members(s.segment_id) as m"
                " where s.name_ko = any(%(segment)s)",
                limits,
            )
        ]
    followed = Counter[str]()
    for dashboard, dataset, column in DRILLS[1:]:
        chosen = {} if dashboard == "detection" else limits
        response = ask(client, dashboard, dataset, columns=[column], filters=filters_of(chosen))
        rows = response.json()["result"][0]["data"]
        for link in sorted(row[column] for row in rows if row[column].startswith("<a "))[:3]:
            carried = chosen_by(link)
            (behaviour,) = carried.pop("behaviour")
            assert carried == chosen
            kind, _, name = behaviour.partition(" · ")
            filters = [*filters_of({**carried, "behaviour": [behaviour]}), purpose]
            response = ask(
                client, "behaviour_people", "behaviour_people", filters=filters, columns=["customer_id"], metrics=[]
            )
            assert response.status_code == 200, response.text
            seen = {row["customer_id"] for row in response.json()["result"][0]["data"]}
            with connect_database("jm_dashboard", settings=platform, autocommit=True) as connection:
                way = move(name) if kind in ("경로", "전후") else {}
                arguments = {**limits, "members": members, "name": name, **way}
                customers = {found for (found,) in connection.execute(expected[kind].encode(), arguments)}
            assert len(seen) == min(len(customers), 100)
            assert seen <= customers
            followed[kind] += len(seen)
    assert set(+followed) == set(expected)
    nobody = ask(client, "behaviour_people", "behaviour_people", columns=["customer_id"], metrics=[])
    assert nobody.json()["result"][0]["data"] == []


def test_numbers_leave_only_by_roles_that_may_export(people, ask):
    """As CSV with a mark, by which a spreadsheet knows that the Korean in it is UTF-8."""
    for role, expected in (("journeymart_executive", 403), ("journeymart_marketer", 200)):
        response = ask(people[role], "channels", "session", columns=["inflow_channel"], result_format="csv")
        assert response.status_code == expected, role
    first, _, rows = response.content.decode("utf-8").partition("\n")
    assert first.startswith("\ufeff유입 채널,")
    assert "직접 유입," in rows


def test_rows_behind_a_number_are_those_of_the_department(people, ask):
    columns = ["entry_date", "funnel", "entered"]
    for department, seen in (("digital-sales", {"계좌 개설"}), ("fx-sales", {"해외송금"}), (ELSEWHERE, set())):
        response = ask(
            people[f"journeymart_analyst@{department}"], "funnels", "funnel",
            columns=columns, metrics=[], result_type="drill_detail",
        )  # fmt: skip
        assert response.status_code == 200, response.text
        assert {row["funnel"] for row in response.json()["result"][0]["data"]} == seen


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


def test_a_percent_sign_and_a_backslash_stay_one(platform, people, ask, customer):
    """Names of pages and segments have them (old ones for the won), and are filters, which would find nothing."""
    purpose = r"금리 5% 문의, 두 개는 %%, \10,000 환급 \\ '"
    chosen = filters_of({"customer_id": [customer], "purpose": [purpose]})
    assert ask(people["journeymart_customer_service"], "customer_view", "customer_profile", filters=chosen).ok
    assert log_of(platform, customer)[-1][-1] == purpose


@pytest.mark.parametrize("dataset", ["funnel", "funnel_group"])
def test_devices_chosen_together_are_the_sum_of_each(people, ask, dataset):
    def counted(*devices: str) -> Counter[str]:
        chosen = filters_of({"device_type": [*devices]})
        response = ask(people["journeymart_data_team"], "funnels", dataset, filters=chosen, columns=["funnel"])
        found: Counter[str] = Counter()
        for row in response.json()["result"][0]["data"]:
            found[row.pop("funnel")] += next(iter(row.values()))
        return found

    apart = counted("desktop") + counted("mobile")
    assert apart.total() > 0
    assert counted("desktop", "mobile") == apart


def test_nobody_asks_with_sql_of_their_own(platform, people, ask, customer):
    """It would run as the account of the dashboards: rows of other departments, and looks in the name of others."""
    before = log_of(platform, customer)
    others = own_sql("set_config('journeymart.departments', '*', false)")
    look = own_sql(f"mart.customer_profile('somebody else', '{customer}', 'x')::text")
    for role, dashboard, dataset, sql_ in (
        ("journeymart_analyst@fx-sales", "funnels", "funnel", others),
        ("journeymart_customer_service", "customer_view", "customer_profile", look),
    ):
        for what in (
            {"columns": [sql_]},
            {"columns": [{**sql_, "columnType": "BASE_AXIS", "timeGrain": "P1D"}]},
            {"metrics": [sql_]},
            {"filters": [{"col": sql_, "op": "==", "val": "*"}]},
            {"orderby": [[sql_, True]]},
            {"extras": {"where": f"{sql_['sqlExpression']} is not null"}},
            {"extras": {"having": f"max({sql_['sqlExpression']}) is not null"}},
        ):
            assert ask(people[role], dashboard, dataset, **what).status_code == 403, (role, what)
    assert log_of(platform, customer) == before


def test_nobody_asks_in_the_frame_of_what_an_administrator_ran(platform, people, admin, customer):
    """SQL of one's own around a query of SQL Lab, which is as open as the tables that it names: to all without any."""
    before = log_of(platform, customer)
    look = own_sql(f"mart.customer_profile('somebody else', '{customer}', 'x')::text")
    for database in admin.get(f"{admin.base_url}/database/").json()["result"]:
        run = {"database_id": database["id"], "sql": "select 1 as one", "client_id": secrets.token_hex(5)}
        response = admin.post(f"{admin.base_url}/sqllab/execute/", json=run)
        assert response.status_code == 200, response.text
        body = {
            "datasource": {"id": response.json()["query_id"], "type": "query"},
            "queries": [{"columns": [look], "metrics": [], "row_limit": 1}],
        }
        for role, client in people.items():
            assert client.post(f"{client.base_url}/chart/data", json=body).status_code == 403, role
    assert log_of(platform, customer) == before


def test_the_name_of_a_column_is_no_template(people, ask):
    """Superset would render it even if only the text of the query is asked for."""
    query = {"columns": ["{{ 'x' * 3 }}"], "metrics": [], "result_type": "query"}
    response = ask(people["journeymart_executive"], "landing", "data_status", **query)
    assert response.status_code == 403, response.text


def test_nobody_has_a_look_at_a_customer_kept(people, ask, customer):
    """A look that comes from a cache would not be written down, whatever the person's own request says."""
    client = people["journeymart_customer_service"]
    chosen = filters_of({"customer_id": [customer], "purpose": ["상담 응대"]})
    kept = ask(client, "customer_view", "customer_profile", filters=chosen, custom_cache_timeout=3600)
    assert kept.status_code == 403, kept.text


ONLY_APP = {"clause": "WHERE", "expressionType": "SIMPLE", "subject": "channel", "operator": "IN", "comparator": ["앱"]}


@pytest.mark.parametrize(
    "limited",
    [
        {"adhoc_filters": [ONLY_APP]},  # no part of a query
        {"queries": [{"filters": [{"col": "channel", "op": "IN", "val": ["앱"]}]}, {}]},  # part of another one
    ],
)
def test_nobody_changes_what_others_are_shown(people, ask, limited):
    """Templates read the filters of the request; an answer to them is not kept as that of a query without."""

    def sessions(role: str, **options: Any) -> Any:
        response = ask(people[f"journeymart_{role}"], "channels", "session", **options)
        assert response.status_code == 200, response.text
        return response.json()["result"][-1]["data"]

    before = sessions("marketer", force=True)
    assert sessions("executive", force=True, **limited) != before
    assert sessions("marketer") == before


def test_the_log_of_superset_knows_neither_customers_nor_passwords(platform, people, ask, customer):
    """It is no part of what erasure goes through; when dashboards are applied their databases' passwords are sent."""
    chosen = filters_of({"customer_id": [customer], "purpose": ["상담 응대"]})
    assert ask(people["journeymart_customer_service"], "customer_view", "customer_profile", filters=chosen).ok
    passwords = [platform.password(role) for role in ("jm_report", "jm_cs")]
    with connect_database("superset", database="superset", settings=platform, autocommit=True) as connection:
        found = connection.execute(
            "select l.action from logs as l cross join unnest(%s::text[]) as t (value)"
            " where strpos(concat(l.json, l.referrer), t.value) > 0",
            ([customer, *passwords],),
        ).fetchall()
        known = connection.execute(
            "select count(*) > 0 from logs where json like '%/assets/import/%' and action like '%import_'"
        ).fetchone()
    assert (found, known) == ([], (True,))


@pytest.mark.parametrize(
    "sent",
    [
        '<a href="https://evil.example" style="position:fixed;inset:0">로그인</a>',
        '<a href="/superset/dashboard/../../logout/">로그인</a>',
        "<img src=x>",
        "</td><!--",
        "1 < 2",
    ],
)
def test_what_looks_like_html_is_no_more_than_a_text(admin, ask, sent):
    """Tables would show it as HTML, with its style: names of pages come from anybody who opens one."""
    column = own_sql(f"concat('{sent}')")
    rows = ask(admin, "start", "publication_latest", columns=[column], metrics=[]).json()["result"][0]["data"]
    [shown] = [row["x"] for row in rows]
    assert re.search(r"<(?!/a>)[a-z/!]", shown) is None
    assert shown.replace("\u200b", "") == sent


def test_the_log_of_the_server_has_no_customer_of_a_query_that_failed(platform, people, ask, customer):
    chosen = filters_of({"customer_id": [customer], "purpose": ["상담 응대"]})
    wrong = {"col": "happened_at", "op": ">", "val": f"no date {customer}"}
    response = ask(
        people["journeymart_customer_service"], "customer_view", "customer_timeline", filters=[*chosen, wrong]
    )  # fmt: skip
    assert response.status_code == 400
    log = (platform.logs / "superset.log").read_text(errors="replace")
    assert "A query failed: InvalidDatetimeFormat" in log
    assert customer not in log


def test_no_other_site_may_read_answers(platform):
    response = requests.get(f"{platform.superset_url}/login/", headers={"Origin": "https://tile.osm.ch"}, timeout=30)
    assert [name for name in response.headers if name.lower().startswith("access-control")] == []


def own_sql(expression: str) -> dict[str, str]:
    return {"expressionType": "SQL", "label": "x", "sqlExpression": expression}


def test_who_opens_what_is_closed_reads_that_it_is(platform, admin, extended):
    """A link that somebody has sent, say."""
    with people_of(admin, extended, "sent") as logins:
        name, password = logins["journeymart_executive"]
        browser = logged_in(platform.superset_url, password, name)
        for path in ("dashboard/customer-view/", "dashboard/none/", "dashboard/p/none/", "../sqllab/"):
            for language, said in (("ko", "볼 권한이 없습니다"), ("en", "not open to you")):
                browser.get(f"{platform.superset_url}/lang/{language}", timeout=60)
                address = f"{platform.superset_url}/superset/{path}"
                answer = browser.get(address, headers={"Accept": "text/html"}, timeout=60)
                assert answer.status_code in (403, 404)
                assert said in answer.text
                assert "Content-Security-Policy" in answer.headers


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
        **{
            f"people as {what} of {where}s": client.get(f"{base}/{where}/related/{what}")
            for where in ("chart", "dashboard")
            for what in ("owners", "created_by", "changed_by")
        },
        "all the data as a bundle": client.get(f"{base}/assets/export/"),
    }
    allowed = {
        what: response.status_code
        for what, response in tries.items()
        if response.status_code < 400 and response.json().get("result") != []
    }
    assert allowed == {}
    drill = ask(client, "customer_view", "customer_timeline", columns=["customer_id"], metrics=[])
    assert drill.status_code == 403
    subquery = {"expressionType": "SQL", "label": "x", "sqlExpression": "(select min(customer_id) from mart.customer)"}
    assert ask(client, "start", "publication_latest", columns=[subquery]).status_code >= 400
