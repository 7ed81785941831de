"""People of every role in a running Superset, for the tests that look at it as they do."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from supersetapiclient.client import SupersetClient

from journeymart.superset.specs import Assets, role_names


@contextmanager
def people_of(client: SupersetClient, assets: Assets, prefix: str) -> Iterator[dict[str, tuple[str, str]]]:
    """User name and password of one person per role, by the role's name in Superset; they are removed afterwards."""
    listed = client.get(f"{client.base_url}/security/roles/", params={"q": json.dumps({"page_size": 100})}).json()
    role_ids = {item["name"]: item["id"] for item in listed["result"]}
    found, users = {}, []
    for name, role in assets.roles.items():
        for full_name in role_names(name, role):
            user_name, password = f"{prefix}-{full_name}", secrets.token_urlsafe(12)
            user = {
                "username": user_name, "first_name": "T", "last_name": name, "password": password,
                "email": f"{prefix}.{full_name.replace('@', '.')}@localhost.localdomain", "active": True,
                "roles": [role_ids[full_name]],
            }  # fmt: skip
            response = client.post(f"{client.base_url}/security/users/", json=user)
            assert response.status_code == 201, response.text
            users.append(response.json()["id"])
            found[full_name] = (user_name, password)
    yield found
    for number in users:
        client.delete(f"{client.base_url}/security/users/{number}")


def opened_by(full_name: str, assets: Assets) -> list[str]:
    """The dashboards that people of a role may open, by the role's name in Superset."""
    name, _, department = full_name.removeprefix("journeymart_").partition("@")
    return assets.opened_by(assets.roles[name], department or None)


def logged_in(pages: str, password: str, name: str = "admin") -> requests.Session:
    """A browser in which somebody has logged in, the administrator if nobody is named."""
    browser = requests.Session()
    browser.trust_env = False
    [token] = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', browser.get(f"{pages}/login/", timeout=60).text)
    form = {"username": name, "password": password, "csrf_token": token}
    browser.post(f"{pages}/login/", data=form, timeout=60)
    return browser
