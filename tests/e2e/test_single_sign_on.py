"""People log in at an OpenID provider: Superset and Airflow beside the platform's own, as an installation has them that
declares one. The provider speaks TLS with an authority of its own, knows clients and their addresses, and checks PKCE.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import flask
import oidc_provider_mock
import pytest
import requests
from joserfc import jwt
from joserfc.jwk import RSAKey
from playwright.sync_api import expect, sync_playwright
from tests.browser import CHROMIUM, FLAGS, PATIENCE
from tests.people import opened_by
from werkzeug.serving import make_server

from journeymart import access
from journeymart.platform.airflow import Airflow
from journeymart.platform.processes import answers, wait_until
from journeymart.platform.superset import Superset
from journeymart.settings import REPO, Settings
from journeymart.superset.client import all_of
from journeymart.superset.client import connect as connect_superset
from journeymart.superset.specs import read_assets, slug_of

pytestmark = pytest.mark.platform

ADMINS, SALES = "dw-admins", "/영업/디지털"
GROUPS = {
    "SUPERSET": f"{{{ADMINS}: [Admin], {SALES}: [analyst@digital-sales, no_such_role]}}",
    "AIRFLOW": f"{{{ADMINS}: [Admin], {SALES}: [Viewer, Analyst]}}",
}
# What shows in a browser that somebody is in.
LANDED = {"SUPERSET": "[data-test='dashboard-header-container']", "AIRFLOW": "a[href='/assets']:has-text('에셋')"}
ENGLISH = {"Accept-Language": "en-GB,en;q=0.9"}
Claims = dict[str, Any]


def somebody() -> requests.Session:
    """Who has not logged in."""
    session = requests.Session()
    session.trust_env = False
    return session


class Provider:
    """The provider of the bank; `forge` makes other tokens of those that it is about to hand out."""

    def __init__(self, certificate: Path) -> None:
        app = oidc_provider_mock.app(require_client_registration=True, require_nonce=True)
        self.forge: Callable[[Claims], str | None] | None = None
        self._challenges: dict[str, str] = {}
        app.before_request(self._proves)
        app.after_request(self._hands_out)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        self.server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=tls)
        self.url = f"https://localhost:{self.server.server_port}"
        self.session = somebody()
        self.session.verify = str(certificate)

    def register(self, redirect_uri: str) -> tuple[str, str]:
        """A client; returns its id and secret."""
        asked = {"redirect_uris": [redirect_uri]}
        found = self.session.post(f"{self.url}/oauth2/clients", json=asked, timeout=60).json()
        return found["client_id"], found["client_secret"]

    def knows(self, sub: str, **claims: Any) -> str:
        """Somebody, under the number that the provider has for them."""
        self.session.put(f"{self.url}/users/{sub}", json=claims, timeout=60).raise_for_status()
        return sub

    def _proves(self) -> None:
        # of RFC 7636; the mock takes any
        if flask.request.path == "/oauth2/token":
            digest = hashlib.sha256(flask.request.form["code_verifier"].encode()).digest()
            shown = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if shown != self._challenges.pop(flask.request.form["code"]):
                flask.abort(400)

    def _hands_out(self, response: flask.Response) -> flask.Response:
        asked = flask.request.args
        if flask.request.path == "/oauth2/authorize" and flask.request.method == "POST":
            assert asked["code_challenge_method"] == "S256"
            code = parse_qs(urlsplit(response.headers["Location"]).query)["code"][0]
            self._challenges[code] = asked["code_challenge"]
        if flask.request.path == "/oauth2/token" and self.forge:
            token = response.get_json()
            token["id_token"] = self.forge(_claims(token["id_token"]))
            response.set_data(flask.json.dumps({name: value for name, value in token.items() if value}))
        return response


def _claims(token: str) -> Claims:
    body = token.split(".")[1]
    claims: Claims = flask.json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


class Web:
    """A web server of the platform's Superset or Airflow that trusts the provider."""

    def __init__(self, tool: str, platform: Settings, provider: Provider, logs: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        self.tool = tool
        self.pages = f"{self.url}/auth" if tool == "AIRFLOW" else self.url
        self.provider = provider
        client_id, secret = provider.register(f"{self.pages}/oauth-authorized/sso")
        settings = replace(platform, airflow_url=self.url, superset_url=self.url)
        started = Airflow(settings) if tool == "AIRFLOW" else Superset(settings)
        self._log = logs / tool
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*next(iter(started.commands().values())), "--workers", "1"],
                env={
                    **started.environment(),
                    "JOURNEYMART_SSO_ISSUER": provider.url,
                    f"{tool}_SSO_CLIENT_ID": client_id,
                    f"{tool}_SSO_CLIENT_SECRET": secret,
                    f"{tool}_SSO_GROUPS": GROUPS[tool],
                    "REQUESTS_CA_BUNDLE": str(provider.session.verify),
                },
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=started.home,
                start_new_session=True,
            )  # fmt: skip

    def wait(self) -> None:
        """Until it answers."""
        path = "/api/v2/version" if self.tool == "AIRFLOW" else "/health"
        wait_until(
            lambda: answers(f"{self.url}{path}"),
            seconds=300,
            what=self.tool,
            log=self._log,
            failed=lambda: self.process.poll() is not None,
        )

    def visits(self, sub: str, session: requests.Session | None = None, **query: str) -> requests.Response:
        """Somebody goes to the login page, to the provider and back; returns where they end."""
        session = session or self.browser()
        page = session.get(f"{self.pages}/login/", params=query, timeout=60)
        [button] = re.findall(r'<a href="([^"]+)"', page.text)
        at_provider = session.get(urljoin(page.url, button.replace("&amp;", "&")), timeout=60)
        assert at_provider.url.startswith(self.provider.url), at_provider.text
        return session.post(at_provider.url, data={"sub": sub}, timeout=60)

    def browser(self) -> requests.Session:
        session = somebody()
        session.verify = self.provider.session.verify
        return session

    def logged_in(self, session: requests.Session) -> bool:
        """Whether the session is somebody's."""
        path = "/api/v2/dags" if self.tool == "AIRFLOW" else "/api/v1/me/"
        return session.get(f"{self.url}{path}", timeout=60).status_code == 200

    def comes_in(self, sub: str) -> requests.Session:
        """As `visits`; the session of who may look at something."""
        session = self.browser()
        answer = self.visits(sub, session)
        assert (answer.status_code, self.logged_in(session)) == (200, True), answer.text
        return session


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost"
    command = [*made.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", str(path)]
    written = subprocess.run(command, check=True, capture_output=True, text=True)
    path.write_text(path.read_text() + written.stdout)
    bank = Provider(path)
    threading.Thread(target=bank.server.serve_forever, daemon=True).start()
    yield bank
    bank.server.shutdown()


@pytest.fixture(scope="module")
def webs(platform: Settings, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Web]]:
    """Superset and Airflow with single sign-on, on the platform's databases."""
    found = {tool: Web(tool, platform, provider, tmp_path_factory.mktemp("logs")) for tool in GROUPS}
    for web in found.values():
        web.wait()
    yield found
    for web in found.values():
        os.killpg(web.process.pid, signal.SIGKILL)  # nobody waits for an orderly end
        web.process.wait()


@pytest.fixture
def superset(webs: dict[str, Web]) -> Web:
    return webs["SUPERSET"]


@pytest.fixture
def airflow(webs: dict[str, Web]) -> Web:
    return webs["AIRFLOW"]


@pytest.fixture
def name(platform: Settings, session: requests.Session) -> Iterator[str]:
    """Of somebody new; their accounts are removed afterwards."""
    name = f"minji.{secrets.token_hex(3)}"
    yield name
    client = connect_superset(platform)
    for account in accounts(platform, name):
        client.delete(f"{client.base_url}/security/users/{account['id']}")
    answer = session.delete(f"{platform.airflow_url}/auth/fab/v1/users/{name}", timeout=60)
    assert answer.status_code in (204, 404)


def accounts(platform: Settings, name: str) -> list[dict[str, Any]]:
    return [item for item in all_of(connect_superset(platform), "security/users") if item["username"] == name]


def roles_of(platform: Settings, name: str) -> set[str]:
    [account] = accounts(platform, name)
    return {role["name"] for role in account["roles"]}


def airflow_roles(platform: Settings, session: requests.Session, name: str) -> set[str]:
    found = session.get(f"{platform.airflow_url}/auth/fab/v1/users/{name}", timeout=60).json()
    return {role["name"] for role in found["roles"]}


def granted(platform: Settings, name: str, role: str) -> None:
    request = f"{name}-{role}"
    access.ask(platform, request, {
        "user_name": name, "full_name": "김민지", "email": f"{name}@bank.example", "role": role,
        "until_on": f"{date.today() + timedelta(days=1)}", "reason": "분기 보고",
    })  # fmt: skip
    access.answer(platform, request, is_approved=True, by="chief")


def dashboards(web: Web, session: requests.Session) -> set[str]:
    query = {"q": "(page_size:100)"}
    answer = session.get(f"{web.url}/api/v1/dashboard/", params=query, timeout=60)
    return {item["slug"] for item in answer.json()["result"]}


def of_role(role: str) -> set[str]:
    assets = read_assets()
    names = opened_by(f"journeymart_{role}", assets)
    return {slug_of(assets.dashboards[name], locale) for name in names for locale in ("ko", "en")}


# ── who comes in ─────────────────────────────────────────────────────────────────────────────────────────────


def test_who_was_granted_nothing_is_told_so(platform, session, webs, provider, name):
    sub = provider.knows("1001", preferred_username=name, name="김민지", email=f"{name}@bank.example")
    for web in webs.values():
        browser = web.browser()
        answer = web.visits(sub, browser)
        assert (answer.status_code, web.logged_in(browser)) == (403, False)
        assert "아직 볼 수 있는 것이 없습니다" in answer.text
        browser.headers.update(ENGLISH)
        assert "nothing that you may see yet" in web.visits(sub, browser).text
    [account] = accounts(platform, name)
    assert (roles_of(platform, name), account["first_name"], account["active"]) == ({"Public"}, "김민지", True)
    assert airflow_roles(platform, session, name) == {"Public"}
    for password in ("!", "", "\0"):  # nobody comes in beside the provider
        login = {"username": name, "password": password, "provider": "db"}
        answer = somebody().post(f"{platform.superset_url}/api/v1/security/login", json=login, timeout=60)
        assert answer.status_code in (400, 401)
        answer = somebody().post(f"{platform.airflow_url}/auth/token", json=login, timeout=60)
        assert answer.status_code in (400, 401, 422)


def test_accounts_of_the_provider_get_no_password(platform, superset, airflow, provider, name):
    sub = provider.knows("1005", preferred_username=name, email=f"{name}@bank.example", groups=[SALES])
    password = secrets.token_urlsafe(12)
    browser = superset.comes_in(sub)
    token = browser.get(f"{superset.url}/api/v1/security/csrf_token/", timeout=60).json()["result"]
    browser.put(f"{superset.url}/api/v1/me/", json={"password": password}, headers={"X-CSRFToken": token}, timeout=60)
    browser = airflow.comes_in(sub)
    page = browser.get(f"{airflow.pages}/resetmypassword/form", timeout=60).text
    [token] = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    form = {"password": password, "conf_password": password, "csrf_token": token}
    browser.post(f"{airflow.pages}/resetmypassword/form", data=form, timeout=60)
    login = {"username": name, "password": password, "provider": "db"}
    assert not somebody().post(f"{platform.superset_url}/api/v1/security/login", json=login, timeout=60).ok
    assert not somebody().post(f"{platform.airflow_url}/auth/token", json=login, timeout=60).ok


def test_grants_say_what_is_seen_and_until_when(platform, superset, provider, name):
    sub = provider.knows("1002", preferred_username=name, name="김민지", email=f"{name}@bank.example")
    superset.visits(sub)
    granted(platform, name, "executive")
    browser = superset.comes_in(sub)
    assert dashboards(superset, browser) == of_role("executive")
    assert access.end(platform, {"user_name": name}) == [name]
    assert not superset.logged_in(browser)
    assert "끝났거나" in superset.visits(sub).text
    granted(platform, name, "auditor")
    assert dashboards(superset, superset.comes_in(sub)) == of_role("auditor")


def test_a_grant_may_come_before_the_first_login(platform, superset, provider, name):
    granted(platform, name, "executive")
    password = access.first_password(platform, name)
    login = {"username": name, "password": password, "provider": "db"}
    address = f"{platform.superset_url}/api/v1/security/login"
    assert somebody().post(address, json=login, timeout=60).status_code == 200
    sub = provider.knows("1003", preferred_username=name.upper(), email=f"{name}@bank.example")
    assert dashboards(superset, superset.comes_in(sub)) == of_role("executive")
    assert len(accounts(platform, name)) == 1
    assert somebody().post(address, json=login, timeout=60).status_code == 401  # the provider's from now on
    assert dashboards(superset, superset.comes_in(sub)) == of_role("executive")


def test_groups_of_the_provider_decide_the_roles_they_are_mapped_to(
    platform, session, webs, superset, airflow, provider, name, monkeypatch
):
    who = {"preferred_username": name, "name": "김민지", "email": f"{name}@bank.example"}
    sub = provider.knows("1004", **who, groups=[SALES, "others"])
    assert dashboards(superset, superset.comes_in(sub)) == of_role("analyst@digital-sales")
    airflow.comes_in(sub)
    assert airflow_roles(platform, session, name) == {"Viewer", "Analyst"}

    # beside them, grants give what groups do not decide, and leave what they do
    monkeypatch.setenv("SUPERSET_SSO_GROUPS", GROUPS["SUPERSET"])
    with pytest.raises(access.AccessError, match="groups of the single sign-on decide"):
        granted(platform, name, "analyst@digital-sales")
    granted(platform, name, "auditor")
    assert roles_of(platform, name) == {"journeymart_analyst@digital-sales", "journeymart_auditor"}
    superset.comes_in(sub)
    assert roles_of(platform, name) == {"journeymart_analyst@digital-sales", "journeymart_auditor"}
    access.end(platform, {"user_name": name})
    assert roles_of(platform, name) == {"journeymart_analyst@digital-sales"}

    provider.knows(sub, **who, groups=ADMINS)  # one alone, as some providers write it
    for web in webs.values():
        web.comes_in(sub)
    assert roles_of(platform, name) == {"Admin"}
    assert airflow_roles(platform, session, name) == {"Admin"}
    provider.knows(sub, **who)
    for web in webs.values():
        assert web.visits(sub).status_code == 403
    assert roles_of(platform, name) == {"Public"}
    assert airflow_roles(platform, session, name) == {"Public"}


def test_who_was_switched_off_stays_out_whatever_groups_come_and_go(platform, superset, provider, name):
    who = {"preferred_username": name, "email": f"{name}@bank.example"}
    sub = provider.knows("1006", **who, groups=[SALES])
    superset.comes_in(sub)
    client = connect_superset(platform)
    client.put(f"{client.base_url}/security/users/{accounts(platform, name)[0]['id']}", json={"active": False})
    for groups in ([SALES], [], [SALES]):
        provider.knows(sub, **who, groups=groups)
        assert superset.visits(sub).status_code == 403


# ── who does not ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wanted", ["admin", "ADMIN"])
def test_a_local_account_is_not_opened(webs, provider, wanted):
    sub = provider.knows("2001", preferred_username=wanted, email="admin@localhost.localdomain", groups=[ADMINS])
    for web in webs.values():
        browser = web.browser()
        answer = web.visits(sub, browser)
        assert (answer.status_code, web.logged_in(browser)) == (403, False)
        assert "통합 로그인의 것이 아닙니다" in answer.text


@pytest.mark.parametrize(
    "wanted",
    [
        None, "", " admin", "admin\n", "admin\0", "\uff41dmin", "<script>alert(1)</script>", "a" * 65, ["admin"],
        "'; drop table ab_user; --",
    ],
)  # fmt: skip
def test_a_name_that_no_account_can_have_is_refused(webs, provider, wanted):
    sub = provider.knows("2002", preferred_username=wanted, email="x@bank.example", groups=[ADMINS])
    for web in webs.values():
        browser = web.browser()
        answer = web.visits(sub, browser)
        assert (answer.status_code, web.logged_in(browser)) == (403, False)
        assert "쓸 수 있는 사용자 이름" in answer.text
        assert "<script" not in answer.text


def test_what_else_a_token_says_does_no_harm(platform, webs, superset, provider, name):
    long = "<b>민지\0</b>" * 40
    sub = provider.knows("2003", preferred_username=name, name=long, email="no\0address", groups={ADMINS: 1, "a": [2]})
    for web in webs.values():
        answer = web.visits(sub)
        assert (answer.status_code, "<b>" in answer.text) == (403, False)
    [account] = accounts(platform, name)
    assert (account["first_name"], account["email"]) == (long.replace("\0", "")[:64], f"{name}@localhost.localdomain")
    other = provider.knows("2004", preferred_username=f"x.{name}", email=account["email"])
    assert "이미 다른 계정의 것" in superset.visits(other).text
    assert accounts(platform, f"x.{name}") == []


def signed(claims: Claims) -> str:
    """By the provider itself."""
    key = flask.g.oidc_provider_mock_storage.jwk.as_dict(is_private=True)
    return jwt.encode({"alg": "RS256", "kid": key["kid"]}, claims, RSAKey.import_key(key))


def unsigned(claims: Claims) -> str:
    parts = (base64.urlsafe_b64encode(flask.json.dumps(part).encode()) for part in ({"alg": "none"}, claims))
    return b".".join(part.rstrip(b"=") for part in parts).decode() + "."


STRANGER = RSAKey.generate_key(2048, auto_kid=True)
FORGED: dict[str, Callable[[Claims], str | None]] = {
    "of another signer": lambda claims: jwt.encode({"alg": "RS256"}, claims, STRANGER),
    "unsigned": unsigned,
    "of another issuer": lambda claims: signed(claims | {"iss": "https://evil.example"}),
    "for another client": lambda claims: signed(claims | {"aud": ["other"]}),
    "of another login": lambda claims: signed(claims | {"nonce": "other"}),
    "expired": lambda claims: signed(claims | {"exp": claims["iat"] - 600}),
    "missing": lambda claims: None,
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_strangers_token_is_refused(platform, webs, provider, name, forged):
    sub = provider.knows("2005", preferred_username=name, email=f"{name}@bank.example", groups=[ADMINS])
    provider.forge = FORGED[forged]
    try:
        for web in webs.values():
            browser = web.browser()
            answer = web.visits(sub, browser)
            assert not web.logged_in(browser)
            assert "로그인하지 못했습니다" in answer.text or "쓸 수 있는 사용자 이름" in answer.text
    finally:
        provider.forge = None
    assert accounts(platform, name) == []


# ── the way ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_way_back_is_one_of_ones_own(webs, provider, name):
    sub = provider.knows("3001", preferred_username=name, email=f"{name}@bank.example", groups=[SALES])
    own = {"SUPERSET": "/superset/dashboard/funnels/", "AIRFLOW": "/dags"}
    for tool, web in webs.items():
        assert urlsplit(web.visits(sub, next=f"{web.url}{own[tool]}").url).path == own[tool]
        for elsewhere in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
            assert web.visits(sub, next=elsewhere).url.startswith(web.url)
        stranger = web.browser()
        answer = stranger.get(f"{web.pages}/oauth-authorized/sso?code=x&state=y", timeout=60)
        assert "로그인하지 못했습니다" in answer.text
        assert not web.logged_in(stranger)


def test_logging_out_ends_the_session_at_the_provider_too(webs, provider, name):
    sub = provider.knows("3002", preferred_username=name, email=f"{name}@bank.example", groups=[SALES])
    for tool, web in webs.items():
        browser = web.comes_in(sub)
        path = "/api/v2/auth/logout" if tool == "AIRFLOW" else "/logout/"
        answer = browser.get(f"{web.url}{path}", timeout=60)
        assert urlsplit(answer.url)[:3] == (*urlsplit(provider.url)[:2], "/oauth2/end_session")
        assert parse_qs(urlsplit(answer.url).query)["post_logout_redirect_uri"] == [f"{web.pages}/login/"]
        assert not web.logged_in(browser)


def test_programs_log_in_with_local_accounts_still(platform, session, superset, airflow, provider, name):
    client = connect_superset(replace(platform, superset_url=superset.url))
    assert len(all_of(client, "security/roles")) > 5
    program = {
        "username": name, "password": secrets.token_urlsafe(12), "first_name": "channel", "last_name": "T",
        "email": f"{name}@localhost", "roles": [{"name": "Channel"}],
    }  # fmt: skip
    session.post(f"{airflow.url}/auth/fab/v1/users", json=program, timeout=60).raise_for_status()
    login = {key: program[key] for key in ("username", "password")}
    assert somebody().post(f"{airflow.url}/auth/token", json=login, timeout=60).ok
    sub = provider.knows("3004", preferred_username=name, email=f"{name}@bank.example")
    assert "통합 로그인의 것이 아닙니다" in airflow.visits(sub).text


def test_it_is_off_unless_it_is_declared(platform):
    for url, form in ((platform.superset_url, "csrf_token"), (f"{platform.airflow_url}/auth", 'name="password"')):
        assert form in somebody().get(f"{url}/login/", timeout=60).text
        assert somebody().get(f"{url}/login/sso", timeout=60).status_code == 404
        assert somebody().get(f"{url}/oauth-authorized/sso", timeout=60).status_code == 404


def test_in_a_browser(webs, provider, name):
    """Screenshots are left beside those of the dashboards."""
    who = {"preferred_username": name, "name": "김민지", "email": f"{name}@bank.example"}
    folder = Path(os.environ.get("JOURNEYMART_SCREENSHOTS") or REPO / ".local" / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        problems: list[str] = []
        for tool, web in webs.items():
            for locale, button, groups, seen in (
                ("en-GB", "Single sign-on", [], "[role=alert]"),
                ("ko-KR", "통합 로그인", [SALES], LANDED[tool]),
            ):
                sub = provider.knows("3003", **who, groups=groups)
                page = chromium.new_context(locale=locale, ignore_https_errors=True).new_page()
                page.on("pageerror", lambda error: problems.append(str(error)))
                page.goto(f"{web.pages}/login/")
                page.screenshot(path=folder / f"sign_on_{tool.lower()}_{locale[:2]}.png")
                page.get_by_role("link", name=button).click()
                page.locator("input[name=sub]").fill(sub)
                page.get_by_role("button", name="Authorize", exact=True).click()
                expect(page.locator(seen).first).to_be_visible(timeout=PATIENCE)
                page.screenshot(path=folder / f"signed_on_{tool.lower()}_{locale[:2]}.png")
        assert problems == []
        chromium.close()
