"""Somebody asks in Airflow that a person may see dashboards; another approves, and it ends: the account in Superset."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple

import pytest
import requests

from journeymart import access
from journeymart.db import connect
from journeymart.settings import Settings
from journeymart.superset.accounts import AccountError
from journeymart.superset.client import all_of
from journeymart.superset.client import connect as connect_superset

pytestmark = pytest.mark.platform

PATIENCE = 180
APPROVE = "승인 / Approve"
PEOPLE = {
    "asker": ["Viewer", "Access requester"],
    "chief": ["Viewer", "Access requester", "Access approver"],
    "looker": ["Viewer"],
}


class Person(NamedTuple):
    """Somebody who is logged in to Airflow."""

    name: str
    session: requests.Session


@pytest.fixture(scope="module")
def people(platform: Settings, session: requests.Session) -> Iterator[dict[str, Person]]:
    """Who may ask, who may ask and approve, and who may look only."""
    found: dict[str, Person] = {}
    users = f"{platform.airflow_url}/auth/fab/v1/users"
    for kind, roles in PEOPLE.items():
        name, password = f"{kind}-{secrets.token_hex(3)}", secrets.token_urlsafe(12)
        person = {
            "username": name, "password": password, "first_name": kind, "last_name": "T", "email": f"{name}@localhost",
            "roles": [{"name": role} for role in roles],
        }  # fmt: skip
        session.post(users, json=person, timeout=60).raise_for_status()
        found[kind] = Person(name, requests.Session())
        found[kind].session.trust_env = False
        login = {"username": name, "password": password}
        answer = found[kind].session.post(f"{platform.airflow_url}/auth/token", json=login, timeout=60)
        found[kind].session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    yield found
    for one in found.values():
        session.delete(f"{users}/{one.name}", timeout=60).raise_for_status()


@pytest.fixture
def account(platform: Settings) -> Iterator[str]:
    """The name of a new account; it is removed afterwards."""
    name = f"new-{secrets.token_hex(3)}"
    yield name
    client = connect_superset(platform)
    for found in all_of(client, "security/users"):
        if found["username"] == name:
            client.delete(f"{client.base_url}/security/users/{found['id']}")


class Run:
    """A request in Airflow."""

    def __init__(self, platform: Settings, who: Person, dag_id: str, conf: dict[str, Any]) -> None:
        self.dag = f"{platform.airflow_url}/api/v2/dags/{dag_id}"
        self.answered = who.session.post(f"{self.dag}/dagRuns", json={"logical_date": None, "conf": conf}, timeout=60)
        self.run = f"{self.dag}/dagRuns/{self.answered.json().get('dag_run_id')}"

    def state(self, who: Person, wanted: str, task: str = "") -> None:
        """Wait until the run, or a task of it, is as wanted."""
        until, found = time.monotonic() + PATIENCE, None
        while found != wanted and time.monotonic() < until:
            found = who.session.get(f"{self.run}{task and '/taskInstances/'}{task}", timeout=60).json().get("state")
            time.sleep(1)
        assert found == wanted

    def shown(self, who: Person) -> str:
        """What somebody reads under Required Actions who is to answer."""
        details = who.session.get(f"{self.run}/taskInstances/request/-1/hitlDetails", timeout=60).json()
        return f"{details['subject']}{details['body']}"

    def respond(self, who: Person, option: str) -> int:
        """Answer under Required Actions; returns what the server says."""
        path = f"{self.run}/taskInstances/request/-1/hitlDetails"
        return who.session.patch(path, json={"chosen_options": [option], "params_input": {}}, timeout=60).status_code


def asked(account: str, **other: Any) -> dict[str, Any]:
    return {
        "user_name": account, "full_name": "김 `민지`", "email": f"{account}@bank.example", "role": "executive",
        "until_on": f"{date.today() + timedelta(days=1)}", "reason": "분기 보고 **준비**", **other,
    }  # fmt: skip


def roles_of(platform: Settings, account: str) -> tuple[set[str], bool] | None:
    """The roles of an account in Superset and whether it is active; nothing if there is none."""
    for found in all_of(connect_superset(platform), "security/users"):
        if found["username"] == account:
            return {role["name"] for role in found["roles"]}, found["active"]
    return None


def logged_in(platform: Settings, account: str, password: str) -> requests.Session | None:
    session = requests.Session()
    session.trust_env = False
    login = {"username": account, "password": password, "provider": "db"}
    answer = session.post(f"{platform.superset_url}/api/v1/security/login", json=login, timeout=60)
    if not answer.ok:
        return None
    session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return session


def test_what_somebody_else_approves_is_granted_until_it_ends(platform, people, account):
    asker, chief = people["asker"], people["chief"]
    run = Run(platform, chief, "access_request", asked(account))
    run.state(chief, "awaiting_input", "request")
    assert roles_of(platform, account) is None
    for text in (f"{account} → executive", "`김 '민지'`", "`분기 보고 **준비**`", f"`{chief.name}`"):
        assert text in run.shown(chief)
    assert run.respond(people["looker"], APPROVE) == 403
    assert run.respond(asker, APPROVE) == 403

    # their own request: it is asked once more, of somebody else
    assert run.respond(chief, APPROVE) == 200
    run.state(chief, "up_for_retry", "request")
    run.state(chief, "awaiting_input", "request")
    assert roles_of(platform, account) is None

    other = Run(platform, asker, "access_request", asked(account, role="auditor"))
    other.state(asker, "awaiting_input", "request")
    assert other.respond(chief, APPROVE) == 200
    other.state(asker, "success")
    assert roles_of(platform, account) == ({"journeymart_auditor"}, True)

    password = access.first_password(platform, account)
    person = logged_in(platform, account, password)
    assert person is not None
    listed = person.get(f"{platform.superset_url}/api/v1/dashboard/", timeout=60).json()["result"]
    assert {item["slug"] for item in listed} >= {"access-log", "access-log-en"}
    assert "funnels" not in {item["slug"] for item in listed}

    assert Run(platform, asker, "access_end", {"user_name": account}).answered.status_code == 403
    Run(platform, chief, "access_end", {"user_name": account}).state(chief, "success")
    assert roles_of(platform, account) == ({"Public"}, False)
    assert person.get(f"{platform.superset_url}/api/v1/dashboard/", timeout=60).status_code == 401
    assert logged_in(platform, account, password) is None

    found = [grant for grant in access.grants(platform) if grant.user_name == account]
    assert [(grant.role, grant.state, grant.requested_by, grant.approved_by, grant.ended_by) for grant in found] == [
        ("auditor", "ended", asker.name, chief.name, chief.name),
        ("executive", "refused", chief.name, None, chief.name),
    ]
    with connect("jm_auditor", settings=platform) as connection:
        seen = connection.execute("select count(*) from ops.access_grant where user_name = %s", (account,)).fetchone()
    assert seen == (2,)


def test_who_may_not_ask_and_what_cannot_be_asked_for(platform, people, account):
    assert Run(platform, people["looker"], "access_request", asked(account)).answered.status_code == 403
    for wrong in ({"role": "Admin"}, {"user_name": "x y"}, {"reason": ""}, {"until_on": "soon"}, {"until_on": None}):
        assert Run(platform, people["asker"], "access_request", asked(account, **wrong)).answered.status_code == 400
    for late in ("2020-01-01", f"{date.today() + timedelta(days=500)}"):
        run = Run(platform, people["asker"], "access_request", asked(account, until_on=late))
        run.state(people["asker"], "failed")
    assert [grant for grant in access.grants(platform) if grant.user_name == account] == []


def test_the_last_day_passes_and_what_was_cut_short_is_made_good(platform, account):
    ended = date.today() - timedelta(days=1)
    access.ask(platform, f"{account}-1", asked(account))
    access.answer(platform, f"{account}-1", is_approved=True, by="chief")
    assert access.answer(platform, f"{account}-1", is_approved=False, by="chief").state == "granted"  # it stays
    assert roles_of(platform, account) == ({"journeymart_executive"}, True)
    access.ask(platform, f"{account}-2", asked(account, role="marketer"))
    with connect("jm_admin", settings=platform) as connection:  # as if killed right after the answer was written down
        connection.execute(
            "update ops.access_grant set approved_by = 'chief', approved_at = now() where request_id = %s",
            (f"{account}-2",),
        )
    assert access.ask(platform, f"{account}-2", asked(account, role="marketer")).state == "granted"
    assert roles_of(platform, account) == ({"journeymart_executive", "journeymart_marketer"}, True)
    with pytest.raises(access.AccessError, match="another request"):
        access.ask(platform, f"{account}-1", asked(account, role="data_team"))
    for request, left in ((f"{account}-2", ({"journeymart_executive"}, True)), (f"{account}-1", ({"Public"}, False))):
        with connect("jm_admin", settings=platform) as connection:
            connection.execute("update ops.access_grant set until_on = %s where request_id = %s", (ended, request))
        access.end(platform, None)
        assert roles_of(platform, account) == left
        assert access.end(platform, {}) == []
    assert {(g.state, g.ended_by) for g in access.grants(platform) if g.user_name == account} == {("ended", None)}

    # what was taken from an account by hand comes back, and is taken again
    client = connect_superset(platform)
    [number] = [item["id"] for item in all_of(client, "security/users") if item["username"] == account]
    [role] = [item["id"] for item in all_of(client, "security/roles") if item["name"] == "journeymart_data_team"]
    client.put(f"{client.base_url}/security/users/{number}", json={"roles": [role], "active": True})
    assert access.end(platform, None) == [account]
    assert roles_of(platform, account) == ({"Public"}, False)
    with pytest.raises(access.AccessError, match="every right already"):
        access.ask(platform, f"{account}-3", asked("Admin"))
    with pytest.raises(AccountError, match="no account"):
        access.first_password(platform, "admin")
    with pytest.raises(access.AccessError, match="nothing was granted"):
        access.end(platform, {"user_name": "nobody"})


def test_an_account_that_an_administrator_has_switched_off_stays_so_whatever_ends(platform, account):
    for role in ("executive", "marketer"):
        access.ask(platform, f"{account}-{role}", asked(account, role=role))
        access.answer(platform, f"{account}-{role}", is_approved=True, by="chief")
    client = connect_superset(platform)
    [number] = [item["id"] for item in all_of(client, "security/users") if item["username"] == account]
    client.put(f"{client.base_url}/security/users/{number}", json={"active": False})
    assert access.end(platform, {"user_name": account, "role": "marketer"}) == [account]
    assert roles_of(platform, account) == ({"journeymart_executive"}, False)
