"""What the rules of inflow channels can say: GA4's default channel grouping, and what the shipped ones should."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from tests.oracle.recorded import check_table

from journeymart.db import connect
from journeymart.definitions.channels import DIRECT, ChannelsFile
from journeymart.definitions.loader import load_yaml
from journeymart.settings import Settings

pytestmark = pytest.mark.postgres

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


def ga4(shared_data: Path) -> ChannelsFile:
    """Google's published rules (default channel group, in their order) with Google's published lists of sources."""
    with (shared_data / "oracles" / "channels" / "ga4_source_categories.csv").open(encoding="utf-8") as file:
        listed: dict[str, list[str]] = {}
        for row in csv.DictReader(file):
            listed.setdefault(row["source_category"].removeprefix("SOURCE_CATEGORY_").lower(), []).append(
                row["source"].lower()
            )
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
    return ChannelsFile.model_validate(
        {"channels": [{"id": name, "label": {"ko": name, "en": name}, "where": where} for name, where in rules]}
    )


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


def test_the_table_of_what_cannot_be_asked(shared_data: Path) -> None:
    """The conventions contradict each other; one is put to the rules, the others are not theirs to answer."""
    directory = shared_data / "oracles" / "channels"

    def cases(name: str) -> list[Any]:
        return json.loads((directory / f"{name}.json").read_text(encoding="utf-8"))

    posthog: Any = cases("posthog_channel_type")
    check_table("channels", len(cases("ga4_default_channel_grouping")), Counter({
        "PostHog: a click id (gclid, fbclid) in the URL decides; an inflow has campaign marks and a referrer":
            sum(len(part) for part in posthog.values() if isinstance(part, list)),
        "Matomo: whether a referrer is a site of one's own is decided from the page it led to":
            len(cases("matomo_referrer_type")),
        "Matomo: which engine and which words were searched for": len(cases("matomo_search_engines")),
        "Snowplow: which engine and which words were searched for": len(cases("snowplow_referers")),
    }))  # fmt: skip


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
