"""What channels ask for on the running platform, and the page of docs/integrate.md that shows it, in a browser."""

from __future__ import annotations

import re
import statistics
import time
from urllib.parse import quote

import pytest
import requests
from playwright.sync_api import Route, expect, sync_playwright
from tests.browser import CHROMIUM, FLAGS

from journeymart.db import connect
from journeymart.settings import REPO, Settings

pytestmark = pytest.mark.platform

REQUESTS = 40
MILLISECONDS = 50


@pytest.fixture(scope="module")
def customer(platform: Settings) -> str:
    """Somebody of the sample bank to whom something may be shown at its last moment."""
    with connect("jm_campaign", settings=platform, autocommit=True) as connection:
        found = connection.execute(
            """
            select q.customer_id
            from export.trigger_queue as q
            cross join lateral export.pending_triggers('test', 'web', q.customer_id, moment => null) as p
            where q.trigger_id = p.trigger_id and p.message is not null
            order by q.trigger_id
            limit 1
            """
        ).fetchone()
    assert found is not None, "the sample bank has pending triggers"
    return str(found[0])


def test_airflow_has_no_page_with_scripts_of_another_host(platform: Settings) -> None:
    """Those that FastAPI makes of an interface's description load theirs from a CDN."""
    for place in ("", "auth/", "execution/"):
        for page in ("docs", "redoc"):
            shown = requests.get(f"{platform.airflow_url}/{place}{page}", timeout=60).text
            assert re.findall("(?:src|href)=[\"']?(?:https?:)?//[^ >]*", shown) == []


def test_pending_triggers_over_http(platform: Settings, session: requests.Session, customer: str) -> None:
    url = f"{platform.airflow_url}/journeymart/triggers/v1/pending?channel=web&customer_id={quote(customer)}"
    log = platform.logs / "airflow-api-server.log"
    logged = log.stat().st_size
    assert requests.get(url, timeout=60).status_code == 401
    [trigger, *_] = session.get(url, timeout=60).json()["triggers"]
    assert trigger["message"]["title"]["ko"]
    took = []
    for _ in range(REQUESTS):
        started = time.monotonic()
        assert session.get(url, timeout=60).ok
        took.append((time.monotonic() - started) * 1000)
    print(f"median {statistics.median(took):.1f} ms, slowest {max(took):.1f} ms")
    assert statistics.median(took) < MILLISECONDS
    with connect("jm_auditor", settings=platform) as connection:
        looks = connection.execute(
            "select count(*) from ops.access_log where user_name = 'admin' and customer_id = %s and purpose = 'web'",
            (customer,),
        ).fetchone()
    assert looks == (REQUESTS + 1,)
    written = log.read_bytes()[logged:]  # of whom is in the database's log only
    assert b"/journeymart/triggers/v1/pending" in written
    assert customer.encode() not in written


def test_the_example_page_shows_a_popup(platform: Settings, session: requests.Session, customer: str) -> None:
    [page_text] = re.findall(r"```html\n(.*?)```", (REPO / "docs" / "integrate.md").read_text(encoding="utf-8"), re.S)
    url = f"{platform.airflow_url}/journeymart/triggers/v1/pending?channel=web&customer_id={quote(customer)}"
    pending = session.get(url, timeout=60).json()["triggers"]
    token = str(session.headers["Authorization"])

    def as_the_server(route: Route) -> None:
        route.continue_(headers={**route.request.headers, "authorization": token})

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.route("**/example?*", lambda route: route.fulfill(body=page_text, content_type="text/html; charset=utf-8"))
        page.route("**/journeymart/triggers/**", as_the_server)
        address = f"{platform.airflow_url}/example?customer_id={quote(customer)}"
        shown = []
        for trigger in pending:  # each is answered, and the next one comes
            page.goto(address)
            popup = page.locator("#popup")
            expect(popup).to_be_visible()
            expect(popup.locator("h2")).to_have_text(trigger["message"]["title"]["ko"])
            shown.append(popup.get_attribute("data-trigger"))
            with connect("jm_campaign", settings=platform) as connection:
                connection.execute("insert into export.ack (trigger_id, status) values (%s, 'shown')", (shown[-1],))
        page.goto(address)
        page.wait_for_load_state("networkidle")
        expect(page.locator("#popup")).to_be_hidden()
        browser.close()
    assert shown == [trigger["trigger_id"] for trigger in pending]
    assert problems == []
