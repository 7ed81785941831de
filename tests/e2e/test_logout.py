"""Who has logged out of Airflow in a browser is out."""

from __future__ import annotations

import re

import pytest
import requests

pytestmark = pytest.mark.platform


def test_logging_out_of_airflow_ends_the_session(platform):
    pages = f"{platform.airflow_url}/auth"
    browser = requests.Session()
    browser.trust_env = False
    [token] = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', browser.get(f"{pages}/login/", timeout=60).text)
    form = {"username": "admin", "password": platform.secret("AIRFLOW_ADMIN_PASSWORD"), "csrf_token": token}
    browser.post(f"{pages}/login/", data=form, timeout=60)
    dags = f"{platform.airflow_url}/api/v2/dags"
    assert browser.get(dags, timeout=60).status_code == 200
    assert 'name="password"' in browser.get(f"{platform.airflow_url}/api/v2/auth/logout", timeout=60).text
    assert browser.get(dags, timeout=60).status_code == 401
