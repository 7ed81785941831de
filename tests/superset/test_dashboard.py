"""The dashboards in a browser: all there in both languages, complete, without errors, and nothing leaves the host.

One pass: Korean at 1440 pixels, English at 1024. Screenshots are left in .local/screenshots (JOURNEYMART_SCREENSHOTS).
"""

from __future__ import annotations

import difflib
import itertools
import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, StorageState, expect, sync_playwright
from tests.browser import CHROMIUM, FLAGS, PATIENCE
from tests.people import opened_by, people_of

from journeymart.db import connect as warehouse_as
from journeymart.settings import REPO, Settings
from journeymart.superset.apply import apply, list_assets
from journeymart.superset.bundle import applies, asset_uuid, own_name, pack, parts
from journeymart.superset.client import connect
from journeymart.superset.help import figure_of, proof_link
from journeymart.superset.manifest import current_models
from journeymart.superset.pull import Pulled, pull
from journeymart.superset.specs import ASSETS, LOCALES, Assets, slug_of

pytestmark = pytest.mark.platform

WIDTHS = {"ko": 1440, "en": 1024}
HEIGHT = 3000  # high enough that every chart is in view: others are not drawn
BAD_REQUEST = 400
FOUND = 302
# Superset's own telemetry picture: asked for by its code, stopped by our content security policy.
BLOCKED_BY_POLICY = "violates the following Content Security Policy directive"
# What the mark at a point of a canvas says when it is pointed at; nothing beside the marks.
HINT = """([x, y]) => document.elementFromPoint(x, y).parentElement.style.cursor === 'pointer'
    ? [...document.querySelectorAll('body > div')].find(box => box.style.zIndex === '9999999')?.innerText ?? ''
    : ''"""
STEP = r"\d · (?!기타|이탈)(.+)"  # a page of the main paths that has people of its own
# Charts that are drawn on a canvas; one that failed has none.
DRAWN = {"sankey_v2", "funnel", "mixed_timeseries", "echarts_timeseries_bar", "graph_chart", "heatmap_v2"}


@dataclass
class Watched:
    """A page and what went wrong on it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    left_the_host: list[str] = field(default_factory=list)

    def listen(self, host: str) -> None:
        def on_console(message: ConsoleMessage) -> None:
            if message.type == "error" and BLOCKED_BY_POLICY not in message.text:
                self.errors.append(message.text)

        def on_request(request: Request) -> None:
            address = urlsplit(request.url)
            if address.scheme.startswith("http") and address.netloc != host and request.failure != "csp":
                self.left_the_host.append(request.url)

        def on_response(response: Response) -> None:
            if response.status >= BAD_REQUEST:  # the console does not say of what
                self.errors.append(f"{response.status} {response.url}")

        self.page.on("console", on_console)
        self.page.on("response", on_response)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("requestfinished", on_request)
        self.page.on("requestfailed", on_request)


@pytest.fixture(scope="module")
def screenshots() -> Path:
    folder = Path(os.environ.get("JOURNEYMART_SCREENSHOTS") or REPO / ".local" / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def logins(browser: Browser, platform: Settings, assets: Assets) -> Iterator[dict[str, StorageState]]:
    """Cookies of a person of every role who has logged in, by the role's name; `admin` too."""
    # Superset keeps people who did something; a home may be looked at again.
    with people_of(connect(platform), assets, f"browser-{secrets.token_hex(3)}") as people:
        yield {
            "admin": log_in(browser, platform, "admin", platform.secret("SUPERSET_ADMIN_PASSWORD")),
            **{role: send_login(browser, platform, *person) for role, person in people.items()},
        }


def send_login(browser: Browser, platform: Settings, name: str, password: str) -> StorageState:
    """What the form of the login page sends; drawing the page for everybody would take long."""
    context = browser.new_context()
    address = f"{platform.superset_url}/login/"
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', context.request.get(address).text())
    assert token is not None
    form = {"username": name, "password": password, "csrf_token": token[1]}
    answer = context.request.post(address, form=form, timeout=PATIENCE)
    assert answer.url.endswith(("/dashboard/start/", "/dashboard/start-en/")), f"{name} does not begin at the menu"
    state = context.storage_state()
    context.close()
    return state


def log_in(browser: Browser, platform: Settings, name: str, password: str) -> StorageState:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{platform.superset_url}/login/")
    # The session is a cookie: an answer to the login page that comes late would put back the one without a user.
    page.wait_for_load_state("networkidle")
    page.locator("#username").fill(name)
    page.locator("#password").fill(password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login" not in url, timeout=PATIENCE)
    assert context.request.get(f"{platform.superset_url}/api/v1/me/").ok, "the login did not last"
    state = context.storage_state()
    context.close()
    return state


def test_who_comes_back_to_the_login_page_is_not_told_of_a_wrong_password(browser, platform):
    """Logged out, or idle for long, in the window of the login; but who has typed a wrong one is."""
    context = browser.new_context(locale="ko-KR")
    page = context.new_page()
    said = page.get_by_text("사용자 이름이나 비밀번호가 맞지 않습니다")
    page.goto(f"{platform.superset_url}/login/")
    for password in ("wrong", platform.secret("SUPERSET_ADMIN_PASSWORD")):
        page.wait_for_load_state("networkidle")
        page.locator("#username").fill("admin")
        page.locator("#password").fill(password)
        page.keyboard.press("Enter")
        if password == "wrong":
            said.wait_for(timeout=PATIENCE)
    page.wait_for_url(lambda url: "/login" not in url, timeout=PATIENCE)
    page.locator(".slice_container").first.wait_for(timeout=PATIENCE)
    context.clear_cookies()
    page.goto(f"{platform.superset_url}/login/")
    page.locator("#username").wait_for(timeout=PATIENCE)
    page.wait_for_load_state("networkidle")
    assert said.count() == 0
    context.close()


@pytest.fixture(params=["ko", "en"])
def locale(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def window(
    browser: Browser, platform: Settings, logins: dict[str, StorageState], locale: str
) -> Iterator[Callable[[str], Watched]]:
    """A browser window in one language, watched for errors; it becomes the one of each role that is asked for.

    One for all keeps Superset's scripts, which are megabytes.
    """
    context = browser.new_context(viewport={"width": WIDTHS[locale], "height": HEIGHT})
    watched = Watched(context.new_page())
    watched.page.set_default_timeout(PATIENCE)
    watched.listen(urlsplit(platform.superset_url).netloc)

    def open_window(role: str) -> Watched:
        context.clear_cookies()
        cookies: Any = logins[role]["cookies"]  # its types know no way back
        context.add_cookies(cookies)
        address = f"{platform.superset_url}/lang/{locale}"
        answer = context.request.get(address, max_redirects=0, timeout=PATIENCE)
        assert answer.status == FOUND, answer.status
        return watched

    yield open_window
    context.close()


def open_dashboard(page: Page, platform: Settings, assets: Assets, locale: str, name: str, period: str = "") -> None:
    address = f"{platform.superset_url}/superset/dashboard/{slug_of(assets.dashboards[name], locale)}/"
    if period:
        state = f"extraFormData:(time_range:'{period}'),filterState:(value:'{period}')"
        address += f"?native_filters=(NATIVE_FILTER-period:({state},id:NATIVE_FILTER-period,ownState:()))"
    page.goto(address)
    wait_for_charts(page, charts_of_tab(assets, name, 0))


def charts_of_tab(assets: Assets, name: str, tab: int) -> list[str]:
    return [chart for row in assets.dashboards[name].tabs[tab].rows for chart in row.charts]


def wait_for_charts(page: Page, charts: list[str]) -> None:
    number = len(charts)
    expect(page.locator(".slice_container:visible")).to_have_count(number, timeout=PATIENCE)
    expect(page.locator("[data-test=loading-indicator], .dashboard .loading")).to_have_count(0, timeout=PATIENCE)
    page.wait_for_load_state("networkidle")


def assert_healthy(window: Watched) -> None:
    expect(window.page.locator(".ant-alert-error")).to_have_count(0)
    assert window.errors == []
    assert window.left_the_host == []


def test_every_dashboard_is_complete(window, platform, assets, logins, locale, screenshots):
    """Each as somebody who may open it, in turn, so that every role looks at something."""
    roles = [role for role in logins if role != "admin"]
    models = current_models(platform)
    seen = set()
    for number_of_dashboard, (name, dashboard) in enumerate(assets.dashboards.items()):
        if dashboard.database != "journeymart":
            continue  # shows nobody until it is asked (below)
        if dashboard.owner and number_of_dashboard % len(LOCALES) != LOCALES.index(locale):
            continue  # packs share their charts: each is opened in one language
        # Of a department these show its own, which not every department has.
        departments = {role.partition("@")[2] for role in roles}
        own = {
            "journey_overview": "fx-sales", "funnels": "digital-sales", "detection": "fx-sales",
            "campaigns": "fx-sales", "cohorts": "",
        }  # fmt: skip
        sees = {"", own[name]} if name in own else departments
        able = [role for role in roles if name in opened_by(role, assets) and role.partition("@")[2] in sees]
        role = min(able, key=lambda one: (one in seen, (roles.index(one) + number_of_dashboard) % len(roles)))
        seen.add(role)
        watched = window(role)
        page = watched.page
        open_dashboard(page, platform, assets, locale, name)
        expect(page.locator("[data-test=editable-title-input]").first).to_have_value(dashboard.title.get(locale))
        filters = {item.label.get(locale) for item in dashboard.filters.values()}
        for number, tab in enumerate(dashboard.tabs):
            charts = charts_of_tab(assets, name, number)
            if number and not charts:
                continue
            if number:
                page.get_by_role("tab", name=tab.title.get(locale)).click()
                wait_for_charts(page, charts)
            here = {
                item.label.get(locale) for item in dashboard.filters.values()
                if any(applies(item, chart, assets, models) for chart in charts)
            }  # fmt: skip
            for label in here:
                expect(page.get_by_text(label, exact=True).first).to_be_visible(timeout=PATIENCE)
            filters -= here
            for chart in charts:
                title = assets.charts[chart].title.get(locale)
                header = page.locator("[data-test=slice-header]:visible").get_by_text(title, exact=True)
                expect(header.first).to_be_visible()
            page.screenshot(path=screenshots / f"{name}_{number}_{locale}.png", full_page=True)
            drawn = sum(assets.charts[chart].type in DRAWN for chart in charts)
            expect(page.locator(".slice_container:visible canvas"), name).to_have_count(drawn)
        assert filters == set(), name
        # People may stop without an error; every other chart shows something.
        assert page.locator(".ant-empty").count() <= ("funnel_errors" in dashboard.charts), name
        assert_healthy(watched)
        page.goto("about:blank")  # what is open keeps drawing
    if locale == "ko":
        assert seen | {"journeymart_customer_service"} == set(roles)


def test_what_is_empty_says_why(window, platform, assets, locale, screenshots):
    """Of a time before there was any data: tables give the reason, numbers are 0 or say that there is none."""
    watched = window("journeymart_executive")
    open_dashboard(watched.page, platform, assets, locale, "pain_points", "2001-01-01 : 2001-01-02")
    title, why, none = {
        "ko": ("고른 조건에 맞는 데이터가 없습니다", "위의 필터(*는 필수)와 기간을 확인해 보세요", "데이터 없음"),
        "en": ("Nothing fits the chosen filters", "Check the filters (* is required) and the period above", "No data"),
    }[locale]
    _status, *texts, _surveys = watched.page.locator(".slice_container:visible").all_inner_texts()  # have no period
    numbers = [text for text in texts if why not in text]
    assert (len(texts), len(numbers)) == (7, 3)
    assert all(title in text for text in texts if why in text)
    assert {text.partition("\n")[0] for text in numbers} == {"0", none}
    watched.page.screenshot(path=screenshots / f"empty_{locale}.png", full_page=True)
    assert_healthy(watched)


@pytest.mark.parametrize("locale", ["ko"], indirect=True)
def test_a_department_without_a_funnel_is_told_so(window, platform, assets, locale):
    """Nothing to choose from is no reason to wait: the dashboard opens, and says whose funnels it shows."""
    watched = window("journeymart_analyst@securities-sales")
    open_dashboard(watched.page, platform, assets, locale, "funnels")
    expect(watched.page.get_by_text("자기 부서의 것만 보입니다").first).to_be_visible()
    assert_healthy(watched)


def test_nobody_opens_what_is_not_theirs(browser, platform, assets, logins):
    """Everybody asks for one dashboard that is theirs and one that is not; test_roles.py has every one."""
    for number, (role, login) in enumerate(logins.items()):
        context = browser.new_context(storage_state=login)
        own = list(assets.dashboards) if role == "admin" else opened_by(role, assets)
        foreign = [name for name in assets.dashboards if name not in own]
        for names, status in ((own, 200), (foreign, 404)):
            for name in names[number % len(names) :][:1] if names else []:
                slug = slug_of(assets.dashboards[name], LOCALES[number % len(LOCALES)])
                answer = context.request.get(f"{platform.superset_url}/superset/dashboard/{slug}/", timeout=PATIENCE)
                assert answer.status == status, (role, name)
        context.close()


@pytest.mark.parametrize("name", ["customer_view", "behaviour_history"])
def test_who_looks_up_a_customer_sees_today(browser, platform, assets, logins, name):
    """By the calendar of the warehouse, whatever the zone of the server is."""
    context = browser.new_context(storage_state=logins["admin"])
    period = assets.dashboards[name].filters["period"].default.ko.replace("'", "!'")
    answer = context.request.get(f"{platform.superset_url}/api/v1/time_range/", params={"q": f"'{period}'"})
    [found] = answer.json()["result"]
    context.close()
    tomorrow = datetime.now(ZoneInfo("Asia/Seoul")).date() + timedelta(days=1)
    assert found["until"] == f"{tomorrow}T00:00:00"


@pytest.mark.parametrize("locale", ["ko"], indirect=True)
def test_every_lesson_leads_to_the_chart_that_answers_it(window, platform, assets, locale, screenshots):
    """As the data team, who may open all of them."""
    watched = window("journeymart_data_team")
    page = watched.page
    open_dashboard(page, platform, assets, locale, "tutorial")
    page.screenshot(path=screenshots / f"lessons_{locale}.png")
    links = page.locator(".slice_container a").evaluate_all("links => links.map(link => link.href)")
    assert len(links) == len(assets.menu.lessons)
    for link, lesson in zip(links, assets.menu.lessons, strict=True):
        page.goto("about:blank")
        page.goto(link)
        chart = page.locator(f"[data-test-chart-name='{assets.charts[lesson.chart].title.get(locale)}']:visible")
        drawn = "canvas" if assets.charts[lesson.chart].type in DRAWN else "tbody td"
        expect(chart.locator(drawn).first, lesson.chart).to_be_visible(timeout=PATIENCE)
        expect(chart.locator(".ant-empty"), lesson.chart).to_have_count(0)
        expect(chart).to_be_in_viewport()
    assert_healthy(watched)


@pytest.mark.parametrize("locale", ["ko"], indirect=True)
def test_choosing_an_anchor_redraws_the_paths_around_it(window, platform, assets, locale, screenshots):
    watched = window("journeymart_data_team")
    page = watched.page
    open_dashboard(page, platform, assets, locale, "around_paths")
    box = page.locator("[data-test=NATIVE_FILTER-anchor]")
    box.click()
    options = page.locator(".ant-select-item-option-content:visible")
    chosen = options.nth(1).inner_text()
    options.nth(1).click()

    def asks(request: Request) -> bool:
        return "/api/v1/chart/data" in request.url and chosen in (request.post_data or "")

    with page.expect_request(asks) as caught:
        page.locator("[data-test=filter-bar__apply-button]").click()
    answer = caught.value.response()
    assert answer is not None
    assert answer.ok
    wait_for_charts(page, charts_of_tab(assets, "around_paths", 0))
    page.screenshot(path=screenshots / f"around_paths_chosen_{locale}.png", full_page=True)
    assert_healthy(watched)


@pytest.mark.parametrize("locale", ["ko"], indirect=True)
def test_a_number_leads_to_its_people_and_to_one_of_them(window, platform, assets, locale, screenshots):
    """As the customer service: a step of a funnel or path in a channel, its customers there, the single view of one."""
    watched = window("journeymart_customer_service")
    page = watched.page
    dashboard, people, chosen, channel = {
        "ko": ("main_paths", "behaviour-people", "behaviour", "앱"),
        "en": ("funnels", "funnel-people", "step", "App"),
    }[locale]
    in_channel = (
        f"NATIVE_FILTER-channel:(extraFormData:(filters:!((col:channel,op:IN,val:!('{channel}')))),"
        f"filterState:(value:!('{channel}')),id:NATIVE_FILTER-channel,ownState:())"
    )
    slug = slug_of(assets.dashboards[dashboard], locale)
    page.goto(f"{platform.superset_url}/superset/dashboard/{slug}/?native_filters=({in_channel})")
    wait_for_charts(page, charts_of_tab(assets, dashboard, 0))
    link = page.locator(f"td a[href*={people}]").first
    name = link.inner_text()
    link.click()
    expect(page.locator(f"[data-test=NATIVE_FILTER-{chosen}]")).to_contain_text(name, timeout=PATIENCE)
    page.locator("[data-test=NATIVE_FILTER-purpose]").click()
    page.locator(".ant-select-item-option-content:visible").first.click()

    def asks_in_channel(request: Request) -> bool:
        asked: Any = request.post_data_json if "/api/v1/chart/data" in request.url else None
        limit = {"col": "channel", "op": "IN", "val": [channel]}
        return asked is not None and any(limit in query["filters"] for query in asked["queries"])

    with page.expect_request(asks_in_channel):
        page.locator("[data-test=filter-bar__apply-button]").click()
    customer = page.locator("td a[href*=customer-view]").first
    number = customer.inner_text()
    page.screenshot(path=screenshots / f"drill_{dashboard}_{locale}.png", full_page=True)
    customer.click()
    expect(page.locator("[data-test=NATIVE_FILTER-customer_id]")).to_contain_text(number, timeout=PATIENCE)
    assert_healthy(watched)


@pytest.mark.parametrize("locale", ["ko"], indirect=True)
def test_a_canary_is_seen_where_people_look(window, platform, assets, locale, screenshots):
    """What it did, row by row in the single view; that it was all seen, on the status of the data."""
    day = "2026-06-02"
    own = {"JOURNEYMART_HOME": str(platform.home), "JOURNEYMART_DEFINITIONS": str(platform.home / "definitions")}
    for command in ("canary send --date " + day, "run", "canary check --date " + day):
        subprocess.run([REPO / "scripts" / "journeymart", *command.split()], env={**os.environ, **own}, check=True)
    purpose = {"ko": "상담 응대", "en": "Serving the customer"}[locale]
    chosen = {"customer_id": "CANARY-WEB-20260602", "purpose": purpose, "period": f"{day} : 2026-06-03"}
    slug = slug_of(assets.dashboards["customer_view"], locale)
    with warehouse_as("jm_dashboard", settings=platform) as mart:
        [(link,)] = mart.execute("select mart.dashboard_link(%s, %s, '')", (slug, json.dumps(chosen))).fetchall()
    watched = window("journeymart_customer_service")
    watched.page.goto(platform.superset_url + link.partition('"')[2].partition('"')[0])
    wait_for_charts(watched.page, charts_of_tab(assets, "customer_view", 0))
    watched.page.screenshot(path=screenshots / f"canary_{locale}.png", full_page=True)
    rows = watched.page.locator(".slice_container:visible").last.locator("tbody tr").all_inner_texts()
    kinds = {
        "ko": "✉ 캠페인|● 행동|● 행동|● 행동|● 행동|◆ 거래",
        "en": "✉ Campaign" + "|● Behaviour" * 4 + "|◆ Transaction",
    }
    times = ("05:50:00", "06:00:00", "06:01:00", "06:02:00", "06:13:00", "06:14:00")
    assert len(rows) == len(times)
    for row, kind, at in zip(rows, kinds[locale].split("|"), times, strict=True):
        assert kind in row, row
        assert f"{day} {at}" in row, row
    open_dashboard(watched.page, platform, assets, locale, "landing")
    watched.page.screenshot(path=screenshots / f"canary_landing_{locale}.png", full_page=True)
    expect(watched.page.get_by_text({"ko": "모두 보임", "en": "All seen"}[locale], exact=True)).to_be_visible()
    assert_healthy(watched)


@pytest.mark.parametrize(
    ("role", "tab", "mark", "leads_to", "chosen"),
    [
        ("customer_service", "주요 경로", f"{STEP} > {STEP}", "behaviour-people", "behaviour"),
        ("data_team", "여정 지도", "([^>]+): ", "around-paths", "anchor"),
    ],
)
@pytest.mark.parametrize("locale", ["ko"], indirect=True)
def test_a_mark_of_a_picture_leads_on(window, platform, assets, locale, role, tab, mark, leads_to, chosen):
    """A band of the main paths to the customers of the move, a page of the journey map to what is around it."""
    watched = window(f"journeymart_{role}")
    page = watched.page
    open_dashboard(page, platform, assets, locale, "main_paths")
    page.get_by_role("tab", name=tab).click()
    picture = page.locator(".slice_container:visible:has(canvas)").first
    expect(picture.locator("canvas")).to_be_visible()
    expect(page.locator("[data-test=loading-indicator], .dashboard .loading")).to_have_count(0)
    # What is drawn is found as people find it: by pointing at it until it names itself.
    area = picture.locator("canvas").bounding_box()
    assert area is not None
    for across, down in itertools.product(range(2, 100, 2), repeat=2):
        point = (area["x"] + area["width"] * across / 100, area["y"] + area["height"] * down / 100)
        page.mouse.move(*point)
        named = re.match(mark, page.evaluate(HINT, point))
        if named:
            break
    else:
        raise AssertionError("nothing in the picture names itself")
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url(f"**/{leads_to}/**", timeout=PATIENCE)
    for name in named.groups():
        expect(page.locator(f"[data-test=NATIVE_FILTER-{chosen}]")).to_contain_text(name, timeout=PATIENCE)
    assert_healthy(watched)


def test_help_explains_the_numbers(window, platform, assets, locale, screenshots):
    watched = window("journeymart_executive")
    open_dashboard(watched.page, platform, assets, locale, "journey_overview", "2026-06-04 : 2026-06-05")
    changes = watched.page.locator(".superset-legacy-chart-big-number .subheader-line:not(.subtitle-line)").all()
    assert len(changes) == 6
    for change in changes:  # more or less is said without a colour
        sign, text = change.evaluate("line => getComputedStyle(line, '::before').content"), change.inner_text()
        assert sign == ("none" if text.startswith("+0.0%") else {"+": '"▲ "', "-": '"▼ "'}[text[0]]), text
    watched.page.screenshot(path=screenshots / f"compared_{locale}.png", full_page=True)
    tab = assets.dashboards["journey_overview"].tabs[-1]
    watched.page.get_by_role("tab", name=tab.title.get(locale)).click()
    for name in ("conversion_rate", "error_sessions"):
        label = assets.datasets["session_period"].metrics[name].label.get(locale)
        expect(watched.page.locator("table strong").get_by_text(label, exact=True).first).to_be_visible()
    watched.page.screenshot(path=screenshots / f"help_{locale}.png", full_page=True)
    # The tab was one click; a second one leads from a chart to checks and files.
    link = f'a[href="{proof_link("journey_overview", "kpi_conversion_rate", assets, locale)}"]'
    watched.page.locator(link).click()
    watched.page.wait_for_url(f"**/{slug_of(assets.dashboards['proof'], locale)}/**", timeout=PATIENCE)
    wait_for_charts(watched.page, charts_of_tab(assets, "proof", 0))
    figure = figure_of("journey_overview", "kpi_conversion_rate", assets, locale)
    expect(watched.page.locator("[data-test=NATIVE_FILTER-figure]")).to_contain_text(figure, timeout=PATIENCE)
    for cell in ("DQ-NEXT-DAILY", "dbt_project/models/marts/behaviour/session_daily.sql", re.compile("^[0-9a-f]{64}$")):
        expect(watched.page.locator("td").get_by_text(cell).first).to_be_visible()
    expect(watched.page.locator("td").get_by_text("DQ-NEXT-FUNNEL")).to_have_count(0)
    watched.page.screenshot(path=screenshots / f"proof_{locale}.png", full_page=True)
    assert_healthy(watched)


@pytest.mark.parametrize("locale", ["ko"], indirect=True)
def test_edits_made_in_the_browser_come_back_as_they_were_made(window, platform, assets, locale, screenshots, tmp_path):
    """A chart renamed and made higher, a sentence in the help, and a chart saved in the chart editor as it was."""
    make_editable(platform, assets, "channels", locale)
    watched = window("admin")
    page = watched.page
    page.set_viewport_size({"width": WIDTHS[locale], "height": 1200})
    open_dashboard(page, platform, assets, locale, "channels")
    page.locator("[data-test=edit-dashboard-button]").click()
    title = page.locator("[data-test=slice-header] [data-test=textarea-editable-title-input]").nth(1)
    title.click()
    title.fill("날마다 유입")
    title.press("Enter")
    box = page.locator("[data-test=dashboard-component-chart-holder]").nth(1).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] + 80, steps=8)
    page.mouse.up()
    page.locator("[role=tab]").filter(has=page.locator("textarea")).last.click(position={"x": 3, "y": 8})
    text = page.locator("[data-test=dashboard-markdown-editor]")
    text.click()
    text.click()
    page.locator(".ace_editor").click(position={"x": 200, "y": 30})
    for key in ("Control+Home", "ArrowDown", "Home"):
        page.keyboard.press(key)
    page.keyboard.type("덧붙인 문장입니다. ")
    page.locator("[data-test=dashboard-header-container]").click(position={"x": 400, "y": 5})
    with page.expect_response(lambda answer: answer.request.method == "PUT" and "/dashboard/" in answer.url) as saved:
        page.locator("[data-test=header-save-button]").click()
    assert saved.value.ok
    page.screenshot(path=screenshots / f"edited_{locale}.png", full_page=True)
    number = next(
        item["id"]
        for item in list_assets(connect(platform), "charts")
        if item["uuid"] == asset_uuid("charts", own_name("channels", "channel_trend"), locale)
    )
    page.goto(f"{platform.superset_url}/explore/?slice_id={number}")
    page.wait_for_load_state("networkidle")
    page.locator("[data-test=query-save-button]").click()
    with page.expect_response(lambda answer: answer.request.method == "PUT" and "/chart/" in answer.url) as saved:
        page.locator("[data-test=btn-modal-save]").click()
    assert saved.value.ok
    directory = tmp_path / "assets"
    shutil.copytree(ASSETS, directory)
    assert pull(platform, directory) == Pulled(changed=["charts/channel_trend.yml", "dashboards/channels.yml"])
    names = ("charts/channel_trend.yml", "dashboards/channels.yml")
    changed = {name: changed_lines(ASSETS / name, directory / name) for name in names}
    assert changed == {
        "charts/channel_trend.yml": [
            "- title: {ko: 일별 유입, en: Inflow by day}",
            "+ title: {ko: 날마다 유입, en: Inflow by day}",
        ],
        "dashboards/channels.yml": [
            "-       - height: 40",
            "+       - height: 50",
            "-         유입 채널은 세션의 첫 화면에 붙어 온 UTM과 이전 사이트로 정합니다."
            " 둘 다 없으면 직접 유입입니다.",
            "+         덧붙인 문장입니다. 유입 채널은 세션의 첫 화면에 붙어 온 UTM과 이전 사이트로 정합니다."
            " 둘 다 없으면 직접 유입입니다.",
        ],
    }
    assert apply(platform).imported["dashboards"] == 1, "what was edited becomes what the repository says again"


def changed_lines(before: Path, after: Path) -> list[str]:
    old, new = (path.read_text(encoding="utf-8").splitlines() for path in (before, after))
    return [line for line in difflib.ndiff(old, new) if line[0] in "-+"]


def make_editable(platform: Settings, assets: Assets, dashboard: str, locale: str) -> None:
    """What `apply --editable` does, for one dashboard in one language: all of them would take a minute."""
    address = f"{platform.pg_host}:{platform.pg_port}/{platform.pg_database}"
    files = parts(assets, current_models(platform), address, is_editable=True)[f"{dashboard}_{locale}"]
    client = connect(platform)
    response = client.post(
        client.assets.import_url,
        files={"bundle": ("assets.zip", pack(files), "application/zip")},
        data={"passwords": json.dumps({"databases/journeymart.yaml": platform.password("jm_report")})},
    )
    assert response.ok, response.text
