"""Airflow on the local platform: scheduler, DAG processor, API server and triggerer."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from journeymart.platform.processes import answers, http_get, wait_until
from journeymart.platform.tool import Tool


class Airflow(Tool):
    """Four processes, local executor, metadata on the platform's PostgreSQL."""

    name = "airflow"

    def commands(self) -> dict[str, list[str]]:
        """The API server first: the others talk to it. Logs are read from the common disk, not served."""
        airflow = str(self.bin / "airflow")
        return {
            "airflow-api-server": [airflow, "api-server"],
            "airflow-scheduler": [airflow, "scheduler", "--skip-serve-logs"],
            "airflow-dag-processor": [airflow, "dag-processor"],
            "airflow-triggerer": [airflow, "triggerer", "--skip-serve-logs"],
        }

    def variables(self) -> dict[str, str]:
        """Configuration by environment only; airflow.cfg stays as generated."""
        settings = self.settings
        url = settings.airflow_url
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": settings.dsn("airflow", "airflow", driver="postgresql+psycopg2"),
            # The default of 5+10 connections runs out on a busy machine.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "15",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": "15",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(settings.repo / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.repo / "plugins"),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DEFAULT_TIMEZONE": "Asia/Seoul",
            "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES": "customer_id,visitor_id",  # of requests, in the server's log
            "AIRFLOW__CORE__FERNET_KEY": settings.secret("AIRFLOW_FERNET_KEY"),
            "AIRFLOW__FAB__CONFIG_FILE": str(self.folder / "webserver_config.py"),
            "AIRFLOW__FAB__SESSION_MAX_LIFETIME_MINUTES": "720",  # a login lasts a working day, as Superset's
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(urlsplit(url).port),
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__INSTANCE_NAME": "journeymart",
            "AIRFLOW__API__ENABLE_SWAGGER_UI": "False",  # its page runs scripts of another host
            "AIRFLOW__API__SECRET_KEY": settings.secret("AIRFLOW_SECRET_KEY"),
            "AIRFLOW__API_AUTH__JWT_SECRET": settings.secret("AIRFLOW_JWT_SECRET"),
            # The default of 5 s fails tasks while everything starts at once on two cores.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
            # Parsing is what an idle Airflow spends its time on; an edited DAG file is noticed by the next refresh.
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__TRIGGERER__DEFAULT_CAPACITY": "50",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONPATH": str(settings.repo / "plugins"),
            # The plugin asks the warehouse what channels may show.
            "JOURNEYMART_PG_HOST": settings.pg_host,
            "JOURNEYMART_PG_PORT": str(settings.pg_port),
        }

    def start(self, seconds: float = 300) -> None:
        """The scheduler last: a task it starts before the API server answers would fail."""
        api_server, scheduler, *others = self.services
        for service in (api_server, *others):
            service.start(self.commands()[service.name], self.environment())
        if not scheduler.is_running():
            wait_until(
                lambda: answers(f"{self.settings.airflow_url}/api/v2/version"),
                seconds=seconds,
                what="Airflow's API server",
                log=api_server.log,
                failed=lambda: not api_server.is_running(),
            )
        super().start(seconds)

    def is_healthy(self) -> bool:
        """True if all four components and the database report healthy."""
        response = http_get(f"{self.settings.airflow_url}/api/v2/monitor/health")
        if response is None or not response[1]:
            return False
        components = json.loads(response[1])
        expected = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all((components.get(name) or {}).get("status") == "healthy" for name in expected)
