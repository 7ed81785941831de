"""A bank with several hosts: where pages.yml says so, the pages of a domain are nodes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Warehouses
from tests.pipeline.zone import Zone

from journeymart import pipeline
from journeymart.analysis import call
from journeymart.definitions.loader import SHIPPED
from journeymart.landing.again import land_again
from journeymart.landing.load import Loader

HEAD = "label: {ko: 가, en: x}, owner: tests"
DOMAINS = """
domains:
  - {domain: invest.bank.example, name: 투자}
  - {domain: www.bank.example, channel: app, name: 앱}
"""
# One visit: where somebody is, and what the page is called there; a page code on two hosts, one host in two channels.
JOURNEY = [
    ("web", "https://www.bank.example/login/", None, "로그인"),
    ("web", "https://www.bank.example/accounts/12", None, None),
    ("web", "https://INVEST.bank.example/login", None, "로그인"),
    ("web", "https://invest.bank.example/orders/77?x=1", None, None),
    ("web", "https://invest.bank.example/", "FX010", "환전"),
    ("web", "https://www.bank.example/", "FX010", "환전"),
    ("app", "https://www.bank.example/login", None, "로그인"),
    ("web", "https://invest.bank.example/", "이탈", None),
]  # fmt: skip
APART = [
    "/login", "/accounts/:id", "투자:/login", "투자:/orders/:id", "투자:FX010", "FX010", "앱:/login", "투자:이탈",
]  # fmt: skip
TOGETHER = ["/login", "/accounts/:id", "/login", "/orders/:id", "FX010", "/login", "이탈*"]


def pages(zone: Zone, domains: str) -> Path:
    return zone.define((SHIPPED / "pages.yml").read_text() + domains, "pages")


@pytest.fixture(scope="module")
def bank(warehouses: Warehouses, tmp_path_factory: pytest.TempPathFactory) -> Zone:
    """One that has declared its domains after the first file landed, and has landed it again."""
    zone = Zone(tmp_path_factory.mktemp("domains") / "landing", warehouses.create())
    zone.put("clickstream/a.ndjson", [
        {"event_id": f"e{number}", "event_time": f"2026-03-02T10:0{number}:00+09:00", "visitor_id": "v",
         "customer_id": "c", "channel": channel, "page_url": url, "page_code": code, "page_name": name}
        for number, (channel, url, code, name) in enumerate(JOURNEY)
    ])  # fmt: skip
    screens = [
        f"{{name: {node}, source: screen, where: {{node: '{node}'}}}}"
        for node in ("/login", "투자:/login", "앱:/login")
    ]
    zone.define(f"funnels:\n- {{id: FN-X, {HEAD}, window: 1h, steps: [{', '.join(screens)}]}}\n", "funnels")
    zone.define(
        "segments:\n"
        f"- {{id: SG-PATH, {HEAD}, all_of: [{{path: {{through: ['투자:/login', '/orders/:id']}}}}]}}\n"
        f"- {{id: SG-OWN, {HEAD}, all_of: [{{path: {{through: ['투자:/login', '투자:/orders/:id']}}}}]}}\n",
        "segments",
    )
    zone.define("cohorts: []", "cohorts")
    pipeline.run(zone.settings, zone.directory, definitions=pages(zone, ""))
    return zone


def path(zone: Zone) -> list[str]:
    [row] = call(zone.settings, "paths_top", {"top_k": 5}).records()
    return list(row["nodes"])


def test_pages_are_of_every_domain_until_it_is_declared(bank: Zone) -> None:
    """Then what landed before is read again, as after any change of a plan, and one visit crosses the domains."""
    assert path(bank) == TOGETHER
    definitions = pages(bank, DOMAINS)
    [again] = land_again(bank.directory, "again", definitions=definitions, settings=bank.settings)
    assert again.status == "loaded"
    pipeline.run(bank.settings, bank.directory, definitions=definitions)
    assert bank.value("select count(*) from mart.session") == 1
    assert path(bank) == APART
    edges = bank.query("select from_node, to_node from mart.path_edge where step_no < 3 order by step_no")
    assert edges == [("/login", "/accounts/:id"), ("/accounts/:id", "투자:/login")]
    assert bank.query("select entry_node, exit_node from mart.session") == [("/login", "투자:이탈")]
    # what landed stays: the page code, the domain; names and labels tell the pages apart
    events = bank.query(
        "select page_code, page_name, domain from mart.event where node like '투자:%' order by event_no"
    )
    assert events == [
        (None, "로그인", "invest.bank.example"), (None, None, "invest.bank.example"),
        ("FX010", "환전", "invest.bank.example"), ("이탈", None, "invest.bank.example"),
    ]  # fmt: skip
    labels = bank.query(
        "select label from mart.node as n where exists (select from mart.event as e where e.node = n.node)"
    )
    assert {label for (label,) in labels} == {
        "로그인", "/accounts/:id", "투자:로그인", "투자:/orders/:id", "투자:환전", "환전", "앱:로그인", "투자:이탈",
    }  # fmt: skip
    # and every analysis takes the name that it shows
    assert [row["entered"] for row in call(bank.settings, "funnel", {"funnel_id": "FN-X"}).records()] == [1, 1, 1]
    around = call(bank.settings, "paths_around", {"node": "투자:/login", "before": 1, "after": 1}).records()
    assert [(row["from_node"], row["to_node"]) for row in around] == [
        ("/accounts/:id", "투자:/login"), ("투자:/login", "투자:/orders/:id")
    ]  # fmt: skip
    between = call(bank.settings, "paths_between", {"start": "투자:/login", "end": "FX010"}).records()
    assert [row["path"] for row in between] == ["투자:/login > 투자:/orders/:id > 투자:FX010 > FX010"]
    members = "select segment_id, customer_id from mart.segment_member where valid_to is null"
    assert bank.query(members) == [("SG-OWN", "c")]


def test_the_page_of_an_error_is_one_of_its_domain(zone: Zone) -> None:
    """As nodes are: the page that the tag names is told apart and found by the name that it is shown with."""
    hosts = ("www.bank.example", "invest.bank.example", "www.bank.example")
    zone.put("clickstream/a.ndjson", [
        {"event_id": f"e{number}", "event_time": f"2026-03-02T10:0{number}:00+09:00", "visitor_id": "v",
         "page_url": f"https://{host}/", "page_code": "FX010", "page_name": "환전",
         **({"action_type": "error", "error_code": "E1", "error_page": "FX010"} if number else {})}
        for number, host in enumerate(hosts)
    ])  # fmt: skip
    zone.define("cohorts: []", "cohorts")
    pipeline.run(zone.settings, zone.directory, definitions=pages(zone, DOMAINS))
    errors = zone.query(
        "select e.error_page, n.label from mart.error_page as e join mart.node as n on e.error_page = n.node"
    )
    assert sorted(errors) == [("FX010", "환전"), ("투자:FX010", "투자:환전")]
    around = {"node": "투자:FX010", "kind": "error", "before": 1, "after": 0}
    found = call(zone.settings, "paths_around", around).records()
    assert [(row["from_node"], row["to_node"]) for row in found] == [("FX010", "투자:FX010")]


def test_a_plan_without_domains_is_the_plan_it_was(bank: Zone) -> None:
    """So that nobody is asked to land everything again for what they do not use."""
    hashes = []
    for domains in ("", "domains: []\n", DOMAINS):
        with Loader("test", definitions=pages(bank, domains), settings=bank.settings) as loader:
            hashes.append(loader.plan_hash("clickstream"))
    assert hashes[0] == hashes[1] != hashes[2]
