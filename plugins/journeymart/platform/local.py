"""The whole local platform of one home: up, down, status."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from journeymart.platform.airflow import Airflow
from journeymart.platform.postgres import Postgres
from journeymart.platform.processes import PlatformError, answers
from journeymart.platform.secrets import ensure_secrets, write_private
from journeymart.platform.superset import Superset
from journeymart.platform.tool import Tool
from journeymart.settings import DEFAULT_PORT_BASE, Settings, read_env_file

LOWEST_PORT_BASE = 1024  # the first port that needs no privilege
HIGHEST_PORT_BASE = 65533  # three ports from here


def up(report: Callable[[str], None], *, port_base: int | None = None, only_postgres: bool = False) -> Settings:
    """Start what does not run, wait until all of it is healthy, and return the settings to reach it.

    `report` receives one line per finished step. `port_base` defaults to the home's last one. Can be repeated at any
    time, also after being killed. Raises PlatformError if a service does not come up.
    """
    started = time.monotonic()

    def done(what: str) -> None:
        report(f"{what} ({time.monotonic() - started:.0f} s)")

    with _only_one(Settings.load()) as home:
        settings = _configure(home, port_base)
        settings.landing.mkdir(mode=0o700, exist_ok=True)  # where it is missing, runs fail: it could be a lost mount
        postgres = Postgres(settings)
        postgres.start()
        postgres.provision()
        done("PostgreSQL is ready")
        if only_postgres:
            return settings
        if subprocess.run([str(settings.repo / "scripts/lib/venvs"), "airflow", "superset"], check=False).returncode:
            raise PlatformError("the virtual environments could not be installed; the reason is above")
        identity = postgres.identity()

        def bring_up(tool: Tool) -> None:
            tool.prepare(identity)
            done(f"{tool.name.capitalize()}'s database is ready")
            tool.start()
            done(f"{tool.name.capitalize()} is healthy")

        with ThreadPoolExecutor() as pool:
            list(pool.map(bring_up, _tools(settings)))
    return settings


def down(report: Callable[[str], None]) -> None:
    """Stop everything that `up` started for this home; data stays."""
    with _only_one(Settings.load()) as settings:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda tool: tool.stop(), _tools(settings)))
        report("Airflow and Superset are stopped")
        Postgres(settings).stop()
        report("PostgreSQL is stopped")


def status(settings: Settings) -> dict[str, dict[str, str | bool]]:
    """`{service: {url, healthy}}` for postgres, airflow, superset and docs."""
    airflow, superset = _tools(settings)
    return {
        "postgres": {
            "url": f"postgresql://{settings.pg_host}:{settings.pg_port}/{settings.pg_database}",
            "healthy": Postgres(settings).is_healthy(),
        },
        "airflow": {"url": settings.airflow_url, "healthy": airflow.is_running() and airflow.is_healthy()},
        "superset": {"url": settings.superset_url, "healthy": superset.is_running() and superset.is_healthy()},
        "docs": {"url": settings.docs_url, "healthy": airflow.is_running() and answers(settings.docs_url)},
    }


def _tools(settings: Settings) -> tuple[Airflow, Superset]:
    return Airflow(settings), Superset(settings)


@contextmanager
def _only_one(settings: Settings) -> Iterator[Settings]:
    """Let one `up` or `down` at a time work on a home."""
    # Entered by the account that runs PostgreSQL, listed by nobody; everything below is the owner's alone.
    settings.home.mkdir(mode=0o711, parents=True, exist_ok=True)
    private = (settings.archive, settings.docs, settings.export, settings.logs, settings.reports, settings.run)
    for folder in private:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid == os.geteuid():  # as older versions made it
            folder.chmod(folder.stat().st_mode & 0o770)
    with (settings.run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield settings


def _configure(settings: Settings, port_base: int | None) -> Settings:
    """Write the home's secrets and addresses and read them back."""
    ensure_secrets(settings.home)
    addresses = settings.home / "platform.env"
    last = read_env_file(addresses).get("JOURNEYMART_PG_PORT")
    base = port_base or (int(last) if last else DEFAULT_PORT_BASE)
    if not LOWEST_PORT_BASE <= base <= HIGHEST_PORT_BASE:
        raise PlatformError(f"--port-base must be between {LOWEST_PORT_BASE} and {HIGHEST_PORT_BASE}")
    if last and base != int(last) and Postgres(Settings.load()).is_healthy():
        raise PlatformError(f"the platform runs on --port-base {last}: `journeymart down` first")
    wanted = {
        "JOURNEYMART_PG_HOST": "127.0.0.1",
        "JOURNEYMART_PG_PORT": str(base),
        "JOURNEYMART_AIRFLOW_URL": f"http://127.0.0.1:{base + 1}",
        "JOURNEYMART_SUPERSET_URL": f"http://127.0.0.1:{base + 2}",
    }
    write_private(addresses, "".join(f"{name}={value}\n" for name, value in wanted.items()))
    settings = Settings.load()
    found = (settings.pg_host, str(settings.pg_port), settings.airflow_url, settings.superset_url)
    for (name, value), actual in zip(wanted.items(), found, strict=True):
        if actual != value:
            raise PlatformError(f"{name}={actual} is set in the environment, but the local platform is at {value}")
    return settings
