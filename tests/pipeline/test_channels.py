"""What the rules of inflow channels can say: GA4's default channel grouping, and what the shipped ones should."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from psycopg import sql
from tests.oracle.recorded import check_table
from tests.pipeline.zone import Zone, event

from journeymart.db import connect
from journeymart.definitions.channels import DIRECT, ChannelsFile
from journeymart.definitions.loader import load_yaml
from journeymart.settings import Settings

MARKS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "referrer_domain")
PAID = "^(.*cp.*|ppc|retargeting|paid.*)$"


def channel(settings: Settings, rules: ChannelsFile, marks: dict[str, str | None]) -> str:
    """The channel of one inflow, asked of the database as the mart asks it."""
    cases = [f"when {rule['predicate']} then '{rule['id']}'" for rule in rules.content()["rules"]]
    query = sql.SQL("select case {} else {} end from (select {}) as i").format(
        sql.SQL("\n".join(cases)), sql.Literal(DIRECT), sql.SQL(", ").join(
            sql.SQL("{}::text as {}").format(sql.Literal(marks.get(mark)), sql.Identifier(mark)) for mark in MARKS
        )
    )  # fmt: skip
    with connect("jm_builder", settings=settings) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])


def listed_sources(shared_data: Path) -> dict[str, list[str]]:
    """Google's published sources by category."""
    listed: dict[str, list[str]] = {}
    with (shared_data / "oracles" / "channels" / "ga4_source_categories.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            listed.setdefault(row["source_category"].removeprefix("SOURCE_CATEGORY_").lower(), []).append(
                row["source"].lower()
            )
    return listed


def channels(rules: list[tuple[str, dict[str, Any]]]) -> ChannelsFile:
    return ChannelsFile.model_validate(
        {"channels": [{"id": name, "label": {"ko": name, "en": name}, "where": where} for name, where in rules]}
    )


def ga4(shared_data: Path) -> ChannelsFile:
    """Google's published rules (default channel group, in their order) with Google's published lists of sources."""
    listed = listed_sources(shared_data)
    shops = {"any_of": [
        {"utm_source": listed["shopping"]}, {"utm_campaign": {"matches": "^(.*(([^a-df-z]|^)shop|shopping).*)$"}},
    ]}  # fmt: skip
    medium, paid = "utm_medium", {"matches": PAID}
    mails = ["email", "e-mail", "e_mail", "e mail"]
    rules: list[tuple[str, dict[str, Any]]] = [
        ("direct", {"utm_source": "(direct)", medium: ["(none)", "(not set)"]}),
        ("cross_network", {"utm_campaign": {"contains": "cross-network"}}),
        ("paid_shopping", {**shops, medium: paid}),
        ("paid_search", {"utm_source": listed["search"], medium: paid}),
        ("paid_social", {"utm_source": listed["social"], medium: paid}),
        ("paid_video", {"utm_source": listed["video"], medium: paid}),
        ("display", {medium: ["display", "banner", "expandable", "interstitial", "cpm"]}),
        ("paid_other", {medium: paid}),
        ("organic_shopping", shops),
        ("organic_social", {"any_of": [
            {"utm_source": listed["social"]},
            {medium: ["social", "social-network", "social-media", "sm", "social network", "social media"]},
        ]}),
        ("organic_video", {"any_of": [{"utm_source": listed["video"]}, {medium: {"matches": "^(.*video.*)$"}}]}),
        ("organic_search", {"any_of": [{"utm_source": listed["search"]}, {medium: "organic"}]}),
        ("referral", {medium: ["referral", "app", "link"]}),
        ("email", {"any_of": [{"utm_source": mails}, {medium: mails}]}),
        ("affiliates", {medium: "affiliate"}),
        ("audio", {medium: "audio"}),
        ("sms", {"any_of": [{"utm_source": "sms"}, {medium: "sms"}]}),
    ]  # fmt: skip
    return channels(rules)


def test_ga4_default_channel_group(server: Settings, shared_data: Path) -> None:
    rules = ga4(shared_data)
    cases = json.loads(
        (shared_data / "oracles" / "channels" / "ga4_default_channel_grouping.json").read_text(encoding="utf-8")
    )
    for case in cases:
        # its sources are compared without regard to case; the recorded answers are in the words of its reports
        marks = {f"utm_{name}": case[name].lower() or None for name in ("source", "medium", "campaign")}
        wanted = case["expected_channel"].lower().replace(" ", "_").replace("-", "_")
        assert channel(server, rules, marks) == wanted, case


def posthog(shared_data: Path) -> ChannelsFile:
    """PostHog's channel types, in their order; whose site a referrer is, by Google's lists."""
    listed = listed_sources(shared_data)
    kinds: dict[str, list[dict[str, Any]]] = {
        kind: [
            {"utm_source": listed[kind]},
            {"referrer_domain": [*listed[kind], *(f"www.{source}" for source in listed[kind])]},
        ]
        for kind in ("shopping", "search", "social", "video")
    }
    kinds["search"].append({"referrer_domain": {"matches": r"(^|\.)google\.[a-z.]+$"}})
    kinds["shopping"] += [{"utm_campaign": {"matches": "^(.*(([^a-df-z]|^)shop|shopping).*)$"}}]
    paid = {"utm_medium": {"matches": PAID}}
    return channels([
        ("cross_network", {"utm_campaign": "cross-network"}),
        *((f"paid_{kind}", {**paid, "any_of": alternatives}) for kind, alternatives in kinds.items()),
        ("paid_unknown", paid),
        *((f"organic_{kind}", {"any_of": alternatives}) for kind, alternatives in kinds.items()),
        ("other", {"any_of": [{mark: {"is_null": False}} for mark in MARKS]}),
    ])  # fmt: skip


def posthog_cases(shared_data: Path, reasons: Counter[str]) -> list[tuple[dict[str, str | None], str]]:
    """The marks of inflows and the channel (or the kind of site) each is said to come by."""
    file = shared_data / "oracles" / "channels" / "posthog_channel_type.json"
    cases = json.loads(file.read_text(encoding="utf-8"))
    asked = []
    for case in [*cases["channel_type"], *cases["domain_type"]]:
        marks = {name: str(value).lower() for name, value in case.get("params", {}).items()}
        referrer = case["referring_domain"]
        if marks.keys() - set(MARKS):
            reasons["PostHog: a click id (gclid) in the URL decides; an inflow has campaign marks and a referrer"] += 1
        elif not marks and referrer is None:
            reasons["PostHog: of whom nothing is known is not who came directly; here both are direct"] += 1
        else:
            wanted = case.get("expected_channel") or case["expected_domain_type"]
            asked.append(({**marks, "referrer_domain": None if referrer == "$direct" else referrer}, wanted))
    return asked


def test_posthog_channel_types(server: Settings, shared_data: Path) -> None:
    rules = posthog(shared_data)
    for marks, wanted in posthog_cases(shared_data, Counter()):
        name = wanted.removeprefix("$").lower().replace(" ", "_")
        assert channel(server, rules, marks) in {name, f"organic_{name}"}, (marks, wanted)


def matomo_cases(shared_data: Path, reasons: Counter[str]) -> dict[str, dict[str, Any]]:
    """Pages with the referrer that led to them, by event id."""
    file = shared_data / "oracles" / "channels" / "matomo_referrer_type.json"
    asked = {}
    for number, case in enumerate(json.loads(file.read_text(encoding="utf-8"))):
        is_same = urlsplit(case["page_url"]).hostname == urlsplit(case["referrer"]).hostname
        if is_same and case["expected_type"] == "website":
            reasons["Matomo: a site is a directory of a host; here a referrer of the same host is no inflow"] += 1
        elif urlsplit(case["referrer"]).hostname == "payments.amazon.com":
            reasons["Matomo: a directory of a referrer is left out; an inflow has the referrer's domain"] += 1
        else:
            asked[f"e{number}"] = case
    return asked


def test_matomo_referrer_types(zone: Zone, shared_data: Path) -> None:
    """Pages and referrers are landed; a campaign, named in the address there, is a mark of the event here."""
    asked = matomo_cases(shared_data, Counter())
    named = {
        key: re.findall(r"(?:pk_campaign=|mtm_campaign' => ')(\w+)", case["page_url"] + case["extra"])
        for key, case in asked.items()
    }
    zone.put("clickstream/a.ndjson", [
        event(0, event_id=key, page_code=None, page_url=case["page_url"], referrer_url=case["referrer"],
              utm_campaign=next(iter(named[key]), None))
        for key, case in asked.items()
    ])  # fmt: skip
    assert [result.rows_loaded for result in zone.land()] == [len(asked)]
    excluded = {"any_of": [
        {"referrer_domain": ["paypal.com", "www.paypal.com", "payment.provider"]},
        {"referrer_domain": {"ends_with": ".payment.provider"}},
    ]}  # fmt: skip
    rules = channels([
        ("campaign", {"utm_campaign": {"is_null": False}}),
        ("search_engine", {"referrer_domain": {"matches": r"(^|\.)google\.[a-z.]+$"}}),
        ("direct", excluded),
        ("website", {"referrer_domain": {"is_null": False}}),
    ])  # fmt: skip
    rows = zone.query(
        "select event_id, utm_campaign, referrer_domain from raw.event join raw.clickstream using (row_id)"
        " left join raw.inflow using (inflow_key)"
    )
    found = {
        key: channel(zone.settings, rules, {"utm_campaign": campaign, "referrer_domain": domain})
        for key, campaign, domain in rows
    }
    assert found == {key: case["expected_type"].removesuffix("_entry") for key, case in asked.items()}


def test_the_table_of_what_cannot_be_asked(shared_data: Path) -> None:
    """The conventions contradict each other; each is put to rules of its own."""
    directory = shared_data / "oracles" / "channels"

    def cases(name: str) -> list[Any]:
        return json.loads((directory / f"{name}.json").read_text(encoding="utf-8"))

    reasons: Counter[str] = Counter({
        "Matomo: which engine and which words were searched for": len(cases("matomo_search_engines")),
        "Snowplow: which engine and which words were searched for": len(cases("snowplow_referers")),
    })  # fmt: skip
    asked = len(cases("ga4_default_channel_grouping"))
    asked += len(posthog_cases(shared_data, reasons)) + len(matomo_cases(shared_data, reasons))
    check_table("channels", asked, reasons)


@pytest.mark.parametrize(
    ("marks", "wanted"),
    [
        ({}, "direct"),
        ({"utm_medium": "CPC", "utm_source": "naver"}, "paid"),
        ({"utm_medium": "Kakaotalk"}, "message"),
        ({"utm_campaign": "june"}, "campaign"),
        ({"referrer_domain": "m.search.naver.com"}, "search"),
        ({"referrer_domain": "t.co"}, "social"),
        ({"referrer_domain": "cafe.example"}, "referral"),
        ({"referrer_domain": "www.google.com", "utm_source": "newsletter"}, "campaign"),
    ],
)
def test_shipped_rules(server: Settings, marks: dict[str, str | None], wanted: str) -> None:
    assert channel(server, load_yaml("channels").parse(ChannelsFile), marks) == wanted
