"""Measure what dashboards ask: every chart's statement, as Superset writes it, on the warehouse of another platform.

scripts/bench dashboards --warehouse HOME      docs/benchmarks/dashboards.md
scripts/bench dashboards --warehouse HOME --only funnels main_paths --dry

A platform with the dashboards has to be running (scripts/demo): its Superset is asked for the statements, with the
filters as they stand when a dashboard is opened. They are then run on the warehouse of HOME, which is only read.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from measuring import REPO, TICK, machine
from supersetapiclient.base import raise_for_status
from supersetapiclient.client import SupersetClient

from journeymart.db import connect as connect_database
from journeymart.settings import Settings
from journeymart.superset.apply import connect, list_assets
from journeymart.superset.bundle import asset_uuid, own_name
from journeymart.superset.lint import COLUMN_FIELDS, names
from journeymart.superset.specs import Assets, Dashboard, read_assets

RESULTS = REPO / "docs" / "benchmarks" / "dashboards.md"
LOCALE = "ko"
# Of the other one people are looked up, which is written down.
DATABASE = "journeymart"
SERVERS = 8  # statements that Superset runs at a time: its threads
TARGET = 3.0  # seconds until the last chart of a dashboard has its numbers (P7)


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
    arguments.add_argument("--warehouse", type=Path, required=True, help="JOURNEYMART_HOME of the warehouse to ask")
    arguments.add_argument("--only", nargs="+", default=[], metavar="DASHBOARD")
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--dry", action="store_true", help="print the results, write no file")
    given = arguments.parse_args()
    busy = os.getloadavg()[0]
    assets = read_assets()
    warehouse = Settings.load({**os.environ, "JOURNEYMART_HOME": str(given.warehouse)})
    client = connect(Settings.load())
    dataset_ids = {item["uuid"]: item["id"] for item in list_assets(client, "datasets")}
    with connect_database("jm_dashboard", settings=warehouse) as connection:
        counted = connection.execute("select sum(events), count(*) from mart.session").fetchone()
    if counted is None:
        raise SystemExit(f"{given.warehouse}: nothing is published")
    lines, slowest = [], []
    for name, dashboard in assets.dashboards.items():
        if (given.only and name not in given.only) or dashboard.database != DATABASE:
            continue
        asked = Asked(client, dataset_ids, assets, name, warehouse)
        statements = asked.statements()
        together = []
        for _ in range(given.runs):
            for statement in statements:
                clock, cpu = asked.run(statement.sql)
                statement.clock.append(clock)
                statement.cpu.append(cpu)
            together.append(asked.run_together([statement.sql for statement in statements]))
        worst = max(statements, key=lambda one: statistics.median(one.clock))
        slowest += [(name, statement) for statement in statements]
        lines.append(
            f"| {dashboard.title.get(LOCALE)} {name} | {len(statements)} | {statistics.median(together):.1f} |"
            f" {sum(statistics.median(one.cpu) for one in statements):.1f} | {worst.chart} |"
            f" {statistics.median(worst.clock):.1f} |"
        )
        print(lines[-1], flush=True)
    slowest.sort(key=lambda one: -statistics.median(one[1].clock))
    text = "\n".join(
        [
            "# Benchmarks: dashboards",
            "",
            f"{machine('scripts/bench dashboards')}; load average {busy:.1f} before the start. {counted[0]:,} events in"
            f" {counted[1]:,} sessions. The statements of all charts of a dashboard as Superset writes them when it is"
            f" opened, the whole history and nothing kept from before; median of {given.runs} runs. Together: at most"
            f" {SERVERS} at a time, as Superset runs them, until the last has its numbers (P7: ≤ {TARGET:.0f} s)."
            " CPU: of the processes that answer, without their parallel workers. What was asked before comes from"
            " Superset's cache and asks the warehouse nothing.",
            "",
            "| dashboard | charts | together, s | CPU, s | slowest chart | alone, s |",
            "|---|---:|---:|---:|---|---:|",
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


class Asked:
    """The statements of one dashboard, and a warehouse to run them on."""

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

    def run_together(self, statements: list[str]) -> float:
        """Seconds until the last of them has answered."""
        started = time.monotonic()
        with ThreadPoolExecutor(SERVERS) as pool:
            list(pool.map(self.run, statements))
        return time.monotonic() - started

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
