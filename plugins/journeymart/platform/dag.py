"""Start a DAG over Airflow's REST API and wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests

from journeymart.platform.processes import PlatformError
from journeymart.settings import Settings

_ENDED = {"success", "failed"}
_TASK_ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}


class DagRunFailedError(PlatformError):
    """The run ended, but not well."""


def run_dag(
    settings: Settings, dag_id: str, *, seconds: float, report: Callable[[str], None] = lambda _line: None
) -> dict[str, Any]:
    """Trigger `dag_id` and wait up to `seconds` for its end.

    Returns {run_id, state, url, tasks: {task_id: [state of each instance]}}; `report` receives a line for each task
    that ends. Raises PlatformError if Airflow is not there, does not know the DAG yet after a minute, refuses, or time
    runs out.
    """
    try:
        return _run_dag(settings, dag_id, seconds, report)
    except requests.RequestException as error:
        raise PlatformError(
            f"no answer from Airflow at {settings.airflow_url}; is it running? (`journeymart status`, `journeymart up`)"
        ) from error


def _run_dag(settings: Settings, dag_id: str, seconds: float, report: Callable[[str], None]) -> dict[str, Any]:
    session = _login(settings)
    base = f"{settings.airflow_url}/api/v2/dags/{dag_id}"
    _wait_for(session, base, dag_id)
    response = session.post(f"{base}/dagRuns", json={"logical_date": None}, timeout=60)
    if not response.ok:
        raise PlatformError(f"Airflow refused to start {dag_id}: {response.status_code} {response.text[:500]}")
    run_id = response.json()["dag_run_id"]
    reported: set[tuple[str, int]] = set()
    deadline = time.monotonic() + seconds
    while True:
        state = session.get(f"{base}/dagRuns/{run_id}", timeout=60).json()["state"]
        instances = session.get(f"{base}/dagRuns/{run_id}/taskInstances", timeout=60).json()["task_instances"]
        for item in instances:
            key = (item["task_id"], item["map_index"])
            if item["state"] in _TASK_ENDED and key not in reported:
                reported.add(key)
                index = f" [{item['map_index']}]" if item["map_index"] >= 0 else ""
                report(f"{item['task_id']}{index}: {item['state']} ({item['duration'] or 0:.0f} s)")
        if state in _ENDED:
            break
        if time.monotonic() > deadline:
            raise PlatformError(f"run {run_id} of {dag_id} is still {state} after {seconds:.0f} s")
        time.sleep(1)
    tasks: dict[str, list[str]] = {}
    for item in instances:
        tasks.setdefault(item["task_id"], []).append(item["state"])
    url = f"{settings.airflow_url}/dags/{dag_id}/runs/{run_id}"
    return {"run_id": run_id, "state": state, "url": url, "tasks": tasks}


def _login(settings: Settings) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a proxy of the environment has no business between local services
    response = session.post(
        f"{settings.airflow_url}/auth/token",
        json={"username": "admin", "password": settings.secret("AIRFLOW_ADMIN_PASSWORD")},
        timeout=60,
    )
    if not response.ok:
        raise PlatformError(
            f"Airflow did not let admin in with AIRFLOW_ADMIN_PASSWORD: {response.status_code} {response.text[:200]}"
        )
    session.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
    return session


def _wait_for(session: requests.Session, base: str, dag_id: str) -> None:
    """A DAG file is known once the DAG processor has read it."""
    deadline = time.monotonic() + 60
    while not session.get(base, timeout=60).ok:
        if time.monotonic() > deadline:
            raise PlatformError(f"Airflow does not know {dag_id} after 60 s; look for import errors in its UI")
        time.sleep(1)
