"""A marketer asks for an audience in Airflow's pages, in a browser; the scheduler's task publishes it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import FrameLocator, Page, expect, sync_playwright
from tests.browser import CHROMIUM, FLAGS, PATIENCE

from journeymart.db import connect
from journeymart.definitions import load_yaml
from journeymart.settings import REPO, Settings

pytestmark = pytest.mark.platform

HOSTILE = "재이용 <img src=x onerror=alert(1)> '; drop table mart.event; --"


@pytest.fixture(scope="module")
def marketer(platform: Settings, session: requests.Session) -> Iterator[tuple[str, str]]:
    """Name and password of somebody who may open Airflow's pages and ask for audiences, and nothing else."""
    name, password = f"marketer-{secrets.token_hex(3)}", secrets.token_urlsafe(12)
    users = f"{platform.airflow_url}/auth/fab/v1/users"
    person = {
        "username": name, "password": password, "first_name": "마", "last_name": "케터", "email": f"{name}@localhost",
        "roles": [{"name": "Viewer"}, {"name": "Marketer"}],
    }  # fmt: skip
    session.post(users, json=person, timeout=60).raise_for_status()
    yield name, password
    session.delete(f"{users}/{name}", timeout=60).raise_for_status()


@pytest.fixture(scope="module")
def pages(platform: Settings, marketer: tuple[str, str]) -> Iterator[dict[str, Page]]:
    """Airflow in Korean and in English, once the marketer has logged in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        korean = browser.new_context(locale="ko-KR", viewport={"width": 1280, "height": 1250})
        page = korean.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{platform.airflow_url}/auth/login/")
        for field, value in zip(("username", "password"), marketer, strict=True):
            page.locator(f"#{field}").fill(value)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/login" not in url)
        english = browser.new_context(
            locale="en-US", viewport={"width": 1280, "height": 1250}, storage_state=korean.storage_state()
        )
        yield {"ko": page, "en": english.new_page()}
        browser.close()


def form_in(page: Page, platform: Settings) -> FrameLocator:
    """The plugin's page in Airflow's."""
    page.goto(f"{platform.airflow_url}/plugin/journeymart-audiences")
    return page.frame_locator("iframe")


def test_an_audience_is_asked_for_and_published(platform, marketer, pages):
    page, audience_id = pages["ko"], f"AU-ASKED-{secrets.token_hex(2).upper()}"
    screenshots = Path(os.environ.get("JOURNEYMART_SCREENSHOTS") or REPO / ".local" / "screenshots")
    screenshots.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))  # a script got through; the page waits for ever

    frame = form_in(page, platform)
    for name, value in {
        "id": audience_id, "label_ko": HOSTILE, "label_en": "Asked in the form", "purpose": "marketing", "owner": "fx",
    }.items():  # fmt: skip
        frame.locator(f"[name={name}]").fill(value)
    frame.locator("[name=segment]").select_option("SG-FX-INTEREST")
    frame.locator("[name=columns][value=grade]").check()

    # what a select offers is not all that can be sent
    frame.locator("[name=segment] option:checked").evaluate("option => option.value = `SG-FX-INTREST'; drop --`")
    frame.get_by_role("button").click()
    alert = frame.get_by_role("alert")
    expect(alert).to_contain_text("요청하지 못했습니다", timeout=PATIENCE)
    expect(alert).to_contain_text("from.segment")
    expect(frame.locator("[name=label_ko]")).to_have_value(HOSTILE)
    page.screenshot(path=screenshots / "audience_refused_ko.png")

    frame.locator("[name=segment]").select_option("SG-FX-INTEREST")
    frame.get_by_role("button").click()
    status = frame.get_by_role("status")
    expect(status).to_contain_text(audience_id, timeout=PATIENCE)
    expect(status).to_contain_text("게시되었습니다", timeout=PATIENCE)  # the page asks by itself
    page.screenshot(path=screenshots / "audience_published_ko.png")
    form_in(pages["en"], platform).get_by_text("Request an audience:").wait_for()
    pages["en"].screenshot(path=screenshots / "audience_form_en.png")
    assert problems == []

    [asked] = [
        item
        for item in load_yaml("audiences", platform.home / "definitions").data["audiences"]
        if item["id"] == audience_id
    ]
    assert asked == {
        "id": audience_id, "label": {"ko": HOSTILE, "en": "Asked in the form"}, "owner": "fx", "purpose": "marketing",
        "from": {"segment": "SG-FX-INTEREST"}, "schedule": "day", "columns": ["grade"],
    }  # fmt: skip
    with connect("jm_campaign", settings=platform) as connection:
        published = connection.execute(
            "select name_ko, members from export.audience where export_id = %s", (audience_id,)
        ).fetchall()
        members = connection.execute(
            "select count(*) from export.audience_snapshot where export_id = %s", (audience_id,)
        ).fetchone()
    with connect("jm_auditor", settings=platform) as connection:
        looks = connection.execute(
            "select user_name, purpose from ops.access_log where object = %s", (f"audience {audience_id}",)
        ).fetchall()
    assert looks == [(marketer[0], "marketing")]
    assert members is not None and members[0] > 0
    assert published == [(HOSTILE, members[0])]
