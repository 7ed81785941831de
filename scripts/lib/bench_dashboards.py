"""Measure dashboards: opened in a browser, and what each of their charts asks of the warehouse.

scripts/bench dashboards                                   docs/benchmarks/dashboards.md
scripts/bench dashboards --only funnels main_paths --dry

Measures the platform of JOURNEYMART_HOME, which has to be running with its dashboards and data of the size that is of
interest; nothing is written but the results, and Superset forgets the numbers that it has kept.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests
from measuring import REPO, TICK, machine
from playwright.sync_api import Browser, Page, Request, ViewportSize, sync_playwright
from supersetapiclient.base import raise_for_status
from supersetapiclient.client import SupersetClient

from journeymart.db import connect as connect_database
from journeymart.settings import Settings
from journeymart.superset.apply import list_assets
from journeymart.superset.bundle import asset_uuid, own_name
from journeymart.superset.cache import refresh
from journeymart.superset.client import connect
from journeymart.superset.lint import COLUMN_FIELDS, names
from journeymart.superset.specs import Assets, Dashboard, read_assets, slug_of

RESULTS = REPO / "docs" / "benchmarks" / "dashboards.md"
LOCALE = "ko"
# Of the other one people are looked up, which is written down.
DATABASE = "journeymart"
CHROMIUM = "/usr/bin/chromium"
WINDOW: ViewportSize = {"width": 1440, "height": 3000}  # charts out of view are not drawn
PATIENCE = 120_000  # milliseconds
AT_ONCE = 6  # connections of a browser to one host
QUESTION = "/api/v1/chart/data"
# When the last chart was drawn, milliseconds since 1970, asked at each frame: the looks that expect() takes are up to a
# second apart.
DRAWN = """charts => {
    const shown = document.querySelectorAll(".slice_container");
    const waiting = document.querySelectorAll("[data-test=loading-indicator], .dashboard .loading");
    return [...shown].filter(chart => chart.checkVisibility()).length === charts && !waiting.length && Date.now();
}"""
# Superset goes to an address without loading its scripts again.
GO = "address => { history.pushState({}, '', address); dispatchEvent(new PopStateEvent('popstate', { state: {} })); }"
# Seconds until everything is there, asked for the first time and again (P7).
TARGETS = (3.0, 1.0)


@dataclass
class Statement:
    """What one chart asks, and the seconds of its runs: by the clock, and of CPU of the process that answers."""

    chart: str
    sql: str
    clock: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def main() -> None:
    """Run what the arguments ask for and write the results file."""
    arguments = argparse.ArgumentParser(
        prog="scripts/bench dashboards", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--only", nargs="+", default=[], metavar="DASHBOARD")
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--dry", action="store_true", help="print the results, write no file")
    given = arguments.parse_args()
    busy = os.getloadavg()[0]
    assets = read_assets()
    platform = Settings.load()
    client = connect(platform)
    dataset_ids = {item["uuid"]: item["id"] for item in list_assets(client, "datasets")}
    with connect_database("jm_dashboard", settings=platform) as connection:
        counted = connection.execute("select sum(events), count(*) from mart.session").fetchone()
    if counted is None:
        raise SystemExit(f"{platform.home}: nothing is published")
    lines, slowest = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = logged_in(browser, platform)
        for name, dashboard in assets.dashboards.items():
            if (given.only and name not in given.only) or dashboard.database != DATABASE:
                continue
            asked = Asked(client, dataset_ids, assets, name, platform)
            statements = asked.statements()
            questions = load(page, platform, dashboard)
            elsewhere = assets.dashboards["cohorts" if name == "start" else "start"]
            answered, drawn = [], []
            for _ in range(given.runs):
                for statement in statements:
                    clock, cpu = asked.run(statement.sql)
                    statement.clock.append(clock)
                    statement.cpu.append(cpu)
                refresh(platform)
                answered.append([answer(page, questions) for _ in TARGETS])
                refresh(platform)
                drawn.append([draw(page, elsewhere, dashboard) for _ in TARGETS])
            worst = max(statements, key=lambda one: statistics.median(one.clock))
            slowest += [(name, statement) for statement in statements]
            cells = []
            for opened in (answered, drawn):
                for seconds, target in zip(zip(*opened, strict=True), TARGETS, strict=True):
                    middle = statistics.median(seconds)
                    cells.append(f"{middle:.1f}{'' if middle <= target else ': missed'}")
            lines.append(
                f"| {dashboard.title.get(LOCALE)} {name} | {len(charts_shown(dashboard))} of {len(dashboard.charts)} |"
                f" {' | '.join(cells)} | {sum(statistics.median(one.cpu) for one in statements):.1f} |"
                f" {worst.chart} | {statistics.median(worst.clock):.1f} |"
            )
            print(lines[-1], flush=True)
    slowest.sort(key=lambda one: -statistics.median(one[1].clock))
    text = "\n".join(
        [
            "# Benchmarks: dashboards",
            "",
            f"{machine('scripts/bench dashboards')}; load average {busy:.1f} before the start. {counted[0]:,} events in"
            f" {counted[1]:,} sessions. The whole history, median of {given.runs} runs: cold, when Superset has kept no"
            f" number (P7: ≤ {TARGETS[0]:.0f} s), and warm, asked again (≤ {TARGETS[1]:.0f} s).",
            "",
            f"- Answered: all questions of the page asked again by a program that draws nothing, {AT_ONCE} at once as"
            " browsers do; seconds until the last answer. This is what the server's two cores do.",
            "- Drawn: opened in Chromium (no graphics card) on the same two cores, coming from another dashboard, so"
            " that the scripts are loaded; seconds from the first question until the last chart is drawn.",
            "- Charts of other tabs are asked for when their tab is opened. Statements are those of all charts, run one"
            " after the other; CPU is of the process that answers, without its parallel workers.",
            "",
            "| dashboard | charts shown | answered cold, s | warm, s | drawn cold, s | warm, s |"
            " CPU of all statements, s | slowest chart | alone, s |",
            "|---|---:|---:|---:|---:|---:|---:|---|---:|",
            *lines,
            "",
            "## The slowest statements",
            "",
            "| dashboard | chart | alone, s | CPU, s |",
            "|---|---|---:|---:|",
            *(
                f"| {name} | {one.chart} | {statistics.median(one.clock):.2f} | {statistics.median(one.cpu):.2f} |"
                for name, one in slowest[:15]
            ),
            "",
        ]
    )
    if given.dry:
        print(text)
    else:
        RESULTS.write_text(text, encoding="utf-8")


def logged_in(browser: Browser, platform: Settings) -> Page:
    """A page of the administrator, with the scripts of dashboards in the browser's cache."""
    page = browser.new_context(viewport=WINDOW).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{platform.superset_url}/login/")
    page.wait_for_load_state("networkidle")
    page.locator("#username").fill("admin")
    page.locator("#password").fill(platform.secret("SUPERSET_ADMIN_PASSWORD"))
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login" not in url)
    page.wait_for_load_state("networkidle")
    return page


def charts_shown(dashboard: Dashboard) -> list[str]:
    """The charts of the tab that is open first."""
    return [chart for row in dashboard.tabs[0].rows for chart in row.charts]


def load(page: Page, platform: Settings, dashboard: Dashboard) -> list[Request]:
    """Open a dashboard as from outside, with Superset's scripts; the questions of its charts and filters."""
    asked: list[Request] = []

    def note(request: Request) -> None:
        if QUESTION in request.url:
            asked.append(request)

    page.on("request", note)
    page.goto(platform.superset_url + address(dashboard))
    page.wait_for_function(DRAWN, arg=len(charts_shown(dashboard)))
    page.wait_for_load_state("networkidle")
    page.remove_listener("request", note)
    return asked


def draw(page: Page, elsewhere: Dashboard, dashboard: Dashboard) -> float:
    """Seconds from the first question of a dashboard until its charts are drawn, in a page that was at another one."""
    for target in (elsewhere, dashboard):
        with page.expect_request(f"**{QUESTION}**") as first:
            page.evaluate(GO, address(target))
        drawn: float = page.wait_for_function(DRAWN, arg=len(charts_shown(target)), polling="raf").json_value()
        page.wait_for_load_state("networkidle")
    return (drawn - first.value.timing["startTime"]) / 1000


def answer(page: Page, questions: list[Request]) -> float:
    """Seconds until the server has answered the questions of a page, asked as by a browser that draws nothing."""
    session = requests.Session()
    session.cookies.update({cookie["name"]: cookie["value"] for cookie in page.context.cookies()})
    session.headers["X-CSRFToken"] = questions[0].headers["x-csrftoken"]

    def ask(question: Request) -> None:
        headers = {"Content-Type": "application/json"}
        session.post(question.url, question.post_data, headers=headers, timeout=PATIENCE / 1000).raise_for_status()

    with ThreadPoolExecutor(AT_ONCE) as asking:
        started = time.monotonic()
        deque(asking.map(ask, questions), maxlen=0)
        return time.monotonic() - started


def address(dashboard: Dashboard) -> str:
    """Where it is opened, without the host."""
    return f"/superset/dashboard/{slug_of(dashboard, LOCALE)}/"


class Asked:
    """The statements of one dashboard, as Superset writes them."""

    def __init__(
        self, client: SupersetClient, dataset_ids: dict[str, int], assets: Assets, name: str, warehouse: Settings
    ) -> None:
        self._client = client
        self._ids = dataset_ids
        self._assets = assets
        self._name = name
        self._dashboard: Dashboard = assets.dashboards[name]
        self._warehouse = warehouse

    def statements(self) -> list[Statement]:
        """One for each query of its charts."""
        chosen = dict(self._first_choices())
        found = []
        for chart in self._dashboard.charts:
            spec = self._assets.charts[chart]
            params = spec.params
            columns = list(dict.fromkeys(name for key in COLUMN_FIELDS for name in names(params.get(key))))
            order = names(params.get("timeseries_limit_metric"))
            metrics = [[params["metric"]]] if "metric" in params else [names(params.get("metrics"))]
            if "metrics_b" in params:
                metrics.append(names(params["metrics_b"]))
            filters = [
                {"col": key, "op": "IN" if isinstance(value, list) else "==", "val": value}
                for key, value in spec.filters.items()
            ]
            found += [
                Statement(
                    chart,
                    self._sql(spec.dataset, columns, [*shown, *order], [*filters, *self._acting(chosen, spec.dataset)]),
                )
                for shown in metrics
            ]
        return found

    def run(self, statement: str) -> tuple[float, float]:
        """Seconds by the clock and of CPU, on a new connection."""
        with self._connect() as connection:
            before = _cpu(connection)
            started = time.monotonic()
            connection.execute(statement.encode()).fetchall()
            return time.monotonic() - started, _cpu(connection) - before

    def _connect(self) -> psycopg.Connection:
        database = self._assets.databases[self._dashboard.database]
        options = {**database.parameters, "journeymart.departments": "*", "default_transaction_read_only": "on"}
        connection = connect_database(database.role, settings=self._warehouse)
        for name, value in options.items():
            connection.execute("select set_config(%s, %s, false)", (name, value))
        return connection

    def _first_choices(self) -> Iterator[tuple[str, str]]:
        """Column and value of the filters that have one before anybody chooses."""
        for item in self._dashboard.filters.values():
            if item.column and item.default:
                yield item.column, item.default.get(LOCALE)
            elif item.column and item.dataset and item.sort_by:
                listed = self._sql(item.dataset, [item.column], [item.sort_by], [])
                with self._connect() as connection:
                    first = connection.execute(listed.encode()).fetchone()
                if first:
                    yield item.column, first[0]

    def _acting(self, chosen: dict[str, str], dataset: str) -> list[dict[str, Any]]:
        columns = self._assets.datasets[dataset].columns
        return [{"col": key, "op": "IN", "val": [value]} for key, value in chosen.items() if key in columns]

    def _sql(self, dataset: str, columns: list[str], metrics: list[str], filters: list[dict[str, Any]]) -> str:
        spec = self._assets.datasets[dataset]
        labels = [spec.metrics[name].label.get(LOCALE) for name in dict.fromkeys(metrics)]
        query = {
            "columns": columns,
            "metrics": labels,
            "filters": filters,
            "orderby": [[labels[-1], False]] if labels else [],
            "row_limit": 1000,
        }
        number = self._ids[asset_uuid("datasets", own_name(self._name, dataset), LOCALE)]
        response = self._client.post(
            self._client.join_urls(self._client.base_url, "chart", "data"),
            json={
                "datasource": {"id": number, "type": "table"},
                "queries": [query],
                "form_data": {"extra_form_data": {"filters": filters}},
                "result_format": "json",
                "result_type": "query",
            },
        )
        raise_for_status(response)
        statement: str = response.json()["result"][0]["query"]
        return statement


def _cpu(connection: psycopg.Connection) -> float:
    """CPU seconds of the process at the other end."""
    fields = Path(f"/proc/{connection.info.backend_pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


if __name__ == "__main__":
    main()
