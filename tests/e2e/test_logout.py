"""A login lasts no longer than it should: logged out, idle for long, after a working day, or with another password."""

from __future__ import annotations

import base64
import re
import secrets
import time

import flask
import pytest
import requests
from flask.sessions import SecureCookieSessionInterface
from tests.people import logged_in, people_of

from journeymart.superset.client import all_of, connect
from journeymart.superset.specs import read_assets

pytestmark = pytest.mark.platform

HOUR = 60 * 60


def copied(browser: requests.Session) -> requests.Session:
    """Another browser that has come by the cookies of this one."""
    other = requests.Session()
    other.trust_env = False
    other.cookies.update(browser.cookies)
    return other


def test_logging_out_of_airflow_ends_the_session(platform):
    browser = logged_in(f"{platform.airflow_url}/auth", platform.secret("AIRFLOW_ADMIN_PASSWORD"))
    other = copied(browser)
    dags = f"{platform.airflow_url}/api/v2/dags"
    assert browser.get(dags, timeout=60).status_code == 200
    assert 'name="password"' in browser.get(f"{platform.airflow_url}/api/v2/auth/logout", timeout=60).text
    assert browser.get(dags, timeout=60).status_code == 401
    assert other.get(dags, timeout=60).status_code in (401, 403)


def test_nobody_comes_in_with_a_session_from_before_the_login(platform):
    pages = f"{platform.airflow_url}/auth"
    browser = requests.Session()
    browser.trust_env = False
    [token] = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', browser.get(f"{pages}/login/", timeout=60).text)
    other = copied(browser)  # who has put it there
    form = {"username": "admin", "password": platform.secret("AIRFLOW_ADMIN_PASSWORD"), "csrf_token": token}
    browser.post(f"{pages}/login/", data=form, timeout=60)
    assert browser.get(f"{platform.airflow_url}/api/v2/dags", timeout=60).status_code == 200
    assert 'name="password"' in other.get(f"{pages}/login/", timeout=60).text
    assert other.get(f"{platform.airflow_url}/api/v2/dags", timeout=60).status_code == 401


def test_a_login_of_airflow_lasts_a_working_day(platform):
    browser = logged_in(f"{platform.airflow_url}/auth", platform.secret("AIRFLOW_ADMIN_PASSWORD"))
    [token] = [cookie.value for cookie in browser.cookies if cookie.name == "_token"]
    payload = str(token).split(".")[1]
    claims = flask.json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert 11 * HOUR < claims["exp"] - time.time() <= 12 * HOUR


def test_logging_out_of_superset_ends_the_session_wherever_its_cookie_is(platform):
    browser = logged_in(platform.superset_url, platform.secret("SUPERSET_ADMIN_PASSWORD"))
    other = copied(browser)
    me = f"{platform.superset_url}/api/v1/me/"
    assert other.get(me, timeout=60).status_code == 200
    browser.get(f"{platform.superset_url}/logout/", timeout=60)
    assert browser.get(me, timeout=60).status_code == 401
    assert other.get(me, timeout=60).status_code == 401


@pytest.mark.parametrize(
    ("begun", "seen", "expected"), [(1, 0.4, 200), (1, 0.6, 401), (11.9, 0, 200), (12.1, 0, 401), (None, None, 401)]
)
def test_a_login_of_superset_ends_when_nobody_is_there_and_after_a_working_day(platform, begun, seen, expected):
    """Hours since the login, and since the last click."""
    browser = logged_in(platform.superset_url, platform.secret("SUPERSET_ADMIN_PASSWORD"))
    app = flask.Flask("superset")
    app.secret_key = platform.secret("SUPERSET_SECRET_KEY")
    cookies = SecureCookieSessionInterface().get_signing_serializer(app)
    assert cookies
    name, now = "journeymart_superset", time.time()
    content = cookies.loads(browser.cookies[name])
    if begun is None:  # as an older version wrote it
        del content["login"]
    else:
        content["login"] |= {"begun": now - begun * HOUR, "seen": now - seen * HOUR}
    browser.cookies.set(name, str(cookies.dumps(content)), domain="127.0.0.1")
    answers = [browser.get(f"{platform.superset_url}/api/v1/me/", timeout=60) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [expected] * 2
    if expected == 200:  # it is written down that somebody is there
        assert cookies.loads(browser.cookies[name])["login"]["seen"] >= now or seen == 0


def test_everybody_changes_the_password_they_were_given_and_who_came_with_it_is_out(platform):
    """The account can still be deleted, as people_of does."""
    url, new = platform.superset_url, secrets.token_urlsafe(8)
    me = f"{url}/api/v1/me/"
    client = connect(platform)
    with people_of(client, read_assets(), "changing") as people:
        for name, given in people.values():
            browser, other = (logged_in(url, given, name) for _ in range(2))
            assert browser.get(f"{url}/user_info/", timeout=60).status_code == 200
            token = browser.get(f"{url}/api/v1/security/csrf_token/", timeout=60).json()["result"]
            for password, expected in (("1", 400), (new, 200)):
                answer = browser.put(me, json={"password": password}, headers={"X-CSRFToken": token}, timeout=60)
                assert answer.status_code == expected, answer.text
            assert other.get(me, timeout=60).status_code == 401
            assert logged_in(url, new, name).get(me, timeout=60).status_code == 200
    left = {item["username"] for item in all_of(client, "security/users")}
    assert left.isdisjoint(name for name, _ in people.values())


def test_a_token_is_made_anew_for_a_working_day_only(platform):
    login = {"username": "admin", "password": platform.secret("SUPERSET_ADMIN_PASSWORD"), "provider": "db"}
    answer = requests.post(
        f"{platform.superset_url}/api/v1/security/login", json={**login, "refresh": True}, timeout=60
    )
    payload = answer.json()["refresh_token"].split(".")[1]
    claims = flask.json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert 11 * HOUR < claims["exp"] - time.time() <= 12 * HOUR
