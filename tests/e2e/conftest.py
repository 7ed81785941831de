"""What tests of the running platform share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from journeymart.settings import Settings


@pytest.fixture(scope="module")
def session(platform: Settings) -> Iterator[requests.Session]:
    """Of the administrator, as a server logs in to Airflow."""
    with requests.Session() as logged_in:
        logged_in.trust_env = False
        login = {"username": "admin", "password": platform.secret("AIRFLOW_ADMIN_PASSWORD")}
        answer = logged_in.post(f"{platform.airflow_url}/auth/token", json=login, timeout=60)
        logged_in.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield logged_in
