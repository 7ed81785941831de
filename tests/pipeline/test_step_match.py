"""Everything that happens can be a step: each source, each kind of field, on one small day of one bank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.comparison import differences, mart_tables
from tests.pipeline.zone import Zone

from journeymart import pipeline
from journeymart.definitions.conditions import Condition
from journeymart.definitions.funnels import FunnelsFile
from journeymart.definitions.loader import load_yaml
from journeymart.settings import Settings

AT = "2026-03-02T09:{:02}:00+09:00"
# condition → ids of what fulfils it
STEPS: dict[str, list[str]] = {
    "source: screen, where: {page_code: FX010}": ["e1", "e4"],
    "source: screen, where: {page_code: FX010, customer.grade: VIP}": ["e4"],
    "source: screen, where: {properties.rate: {gte: 3}, click_text: {contains: 송금}}": ["e2"],
    "source: screen, where: {any_of: [{page_code: {matches: '^FX0[12]0$'}}, {error_code: E1}], hour: {lt: 10}}":
        ["e1", "e2", "e3", "e4"],
    "source: screen, where: {session.utm_source: kakao}": ["e1", "e2", "e3"],
    "source: transaction, where: {transaction_code: FX, amount: {gte: 10000}, fields.currency: USD}": ["t1"],
    "source: transaction, where: {session.inflow_channel: {is_null: true}}": ["t2"],
    "source: transaction, where: {fields.fee: {between: [1, 2.5]}, customer.attributes.tier: gold}": ["t2"],
    "source: consultation, where: {category: 불만, none_of: [{result: 해결}]}": ["o2"],
    "source: campaign, where: {campaign_id: CMP, clicked_at: {is_null: false}}": ["m1"],
    "source: subscription, where: {product_code: {starts_with: FUND}}": ["s1"],
    "source: survey, where: {answers.score: {lte: 3}}": ["r1", "r2"],
    "source: any, where: {channel: {in: [app, call]}}": ["e4", "o1", "o2", "t1"],
    "source: any": ["e1", "e2", "e3", "e4", "m1", "o1", "o2", "r1", "r2", "s1", "t1", "t2"],
}  # fmt: skip
VIP = "source: screen, where: {page_code: FX010, customer.grade: VIP}"
FX = "{name: FX, source: screen, where: {page_code: FX010}}"
ERROR = "{name: error, source: screen, where: {page_code: ERR}}"  # no condition of STEPS


def funnel(name: str, window: str, steps: list[str]) -> str:
    """A funnel as it stands in funnels.yml."""
    return (
        f"  - id: FN-{name}\n    label: {{ko: 시험, en: Test}}\n    owner: tests\n    window: {window}\n    steps:\n"
        + "".join(f"      - {step}\n" for step in steps)
    )


ALL = funnel("ALL", "1d", [f"{{name: step, {condition}}}" for condition in STEPS])
FIRST = ALL + funnel("CHANGED", "1d", [FX, FX]) + funnel("GONE", "1d", [FX, FX])
SECOND = ALL + funnel("CHANGED", "1m", [FX, FX]) + funnel("NEW", "1d", [FX, ERROR])
DID = {page: f"{{source: screen, where: {{page_code: {page}}}}}" for page in ("FX010", "ERR")}
HEAD = "label: {ko: 시험, en: Test}, owner: tests"


def cohort(name: str, page: str, period: str) -> str:
    """A cohort as it stands in cohorts.yml."""
    return f"  - {{id: CH-{name}, {HEAD}, period: {period}, start: {DID[page]}}}\n"


def segment(name: str, page: str, within: str) -> str:
    """A segment as it stands in segments.yml."""
    return f"  - {{id: SG-{name}, {HEAD}, all_of: [{{did: {DID[page]}, within: {within}}}]}}\n"


# funnels.yml, cohorts.yml, segments.yml before and after: what stays, what changes, what goes and what is new
BEFORE = (
    FIRST,
    cohort("SAME", "FX010", "day") + cohort("CHANGED", "FX010", "day") + cohort("GONE", "FX010", "day"),
    segment("SAME", "FX010", "9d") + segment("CHANGED", "FX010", "9d") + segment("GONE", "FX010", "9d"),
)
AFTER = (
    SECOND,
    cohort("SAME", "FX010", "day") + cohort("CHANGED", "FX010", "month") + cohort("NEW", "ERR", "day"),
    segment("SAME", "FX010", "9d") + segment("CHANGED", "ERR", "8d") + segment("NEW", "ERR", "9d"),
)


@pytest.fixture
def bank(warehouse: Settings, tmp_path: Path) -> Zone:
    landing = tmp_path / "landing"
    landing.mkdir()
    zone = Zone(landing, warehouse)
    screen = {"user_agent": "Mozilla/5.0"}
    zone.put("clickstream/a.ndjson", [
        {"event_id": "e1", "event_time": AT.format(0), "visitor_id": "v1", "customer_id": "c1", "page_code": "FX010",
         "utm_source": "kakao", **screen},
        {"event_id": "e2", "event_time": AT.format(1), "visitor_id": "v1", "page_code": "FX020", "action_type": "click",
         "click_text": "해외송금 하기", "properties": {"rate": "3.50"}, **screen},
        {"event_id": "e3", "event_time": AT.format(2), "visitor_id": "v1", "page_code": "ERR", "error_code": "E1",
         "action_type": "error", "properties": {"rate": "x"}, **screen},
        {"event_id": "e4", "event_time": AT.format(3), "visitor_id": "v2", "customer_id": "c2", "page_code": "FX010",
         "channel": "app", **screen},
    ])  # fmt: skip
    zone.put("transactions/a.ndjson", [
        {"transaction_id": "t1", "transaction_time": AT.format(4), "customer_id": "c2", "transaction_code": "FX",
         "channel": "app", "amount": 10000, "fields": {"currency": "USD", "fee": 3}},
        {"transaction_id": "t2", "transaction_time": AT.format(5), "customer_id": "c2", "transaction_code": "FX",
         "channel": "branch", "amount": 5, "fields": {"currency": "USD", "fee": "2.5"}},
    ])  # fmt: skip
    zone.put("consultations/a.ndjson", [
        {"consultation_id": f"o{number}", "customer_id": "c1", "consulted_at": AT.format(6), "channel": "call",
         "category": "불만", "result": result} for number, result in ((1, "해결"), (2, None))
    ])  # fmt: skip
    zone.put("campaign_sends/a.ndjson", [
        {"send_id": "m1", "customer_id": "c1", "sent_at": AT.format(7), "campaign_id": "CMP",
         "clicked_at": AT.format(9)},
    ])  # fmt: skip
    zone.put("subscriptions/a.ndjson", [
        {"subscription_id": "s1", "customer_id": "c1", "subscribed_at": AT.format(8), "product_code": "FUND-1"},
    ])  # fmt: skip
    zone.put("survey_responses/a.ndjson", [
        {"response_id": "r1", "responded_at": AT.format(8), "visitor_id": "v2", "answers": {"score": 2}},
        {"response_id": "r2", "responded_at": AT.format(8), "customer_id": "c1", "answers": {"score": 3}},
        {"response_id": "r3", "responded_at": AT.format(8), "answers": {"score": 1}},
    ])  # fmt: skip
    zone.put("customers/a.ndjson", [
        {"customer_id": "c2", "effective_date": "2026-01-01", "grade": "VIP", "attributes": {"tier": "gold"}},
        {"customer_id": "c2", "effective_date": "2026-03-03", "grade": "basic"},
        {"customer_id": "c1", "effective_date": "2026-01-01", "grade": "basic"},
    ])  # fmt: skip
    return zone


def matches(zone: Zone) -> dict[str, list[str]]:
    """Ids by condition of the funnel with all of them."""
    steps = load_yaml("funnels", define(zone, (ALL, "", ""))).parse(FunnelsFile).funnels[0].steps
    by_condition = {
        Condition(source=step.source, where=step.where).condition_id: text
        for step, text in zip(steps, STEPS, strict=True)
    }
    found: dict[str, list[str]] = {text: [] for text in STEPS}
    for condition, line_id in zone.query(
        """
        select
            m.condition_id,
            coalesce(e.event_id, t.transaction_id, o.consultation_id, c.send_id, s.subscription_id, r.response_id)
        from mart.step_match as m
        left join raw.clickstream as e using (row_id)
        left join raw.transactions as t using (row_id)
        left join raw.consultations as o using (row_id)
        left join raw.campaign_sends as c using (row_id)
        left join raw.subscriptions as s using (row_id)
        left join raw.survey_responses as r using (row_id)
        order by 2
        """
    ):
        if condition in by_condition:
            found[by_condition[condition]].append(line_id)
    return found


def define(zone: Zone, definitions: tuple[str, str, str]) -> Path:
    for kind, text in zip(("funnels", "cohorts", "segments"), definitions, strict=True):
        zone.define(f"{kind}:\n{text}" if text else f"{kind}: []", kind)
    return zone.define("rules: []", "rules")


def entries(zone: Zone) -> list[tuple[Any, ...]]:
    return zone.query(
        "select funnel_id, version, subject_id, step_reached from mart.funnel_entry"
        " where funnel_id <> 'FN-ALL' order by 1, 3"
    )


def test_every_source_and_every_field_can_be_a_step(bank: Zone) -> None:
    """Also when more becomes known of a customer later, and when definitions change: only what changes is computed."""
    pipeline.run(bank.settings, bank.directory, definitions=define(bank, BEFORE))
    assert matches(bank) == STEPS
    assert bank.value("select count(*) from mart.step_match where person_key is null") == 0
    assert entries(bank) == [(f"FN-{name}", 1, person, 1) for name in ("CHANGED", "GONE") for person in ("c1", "c2")]

    # c1 has been a VIP from the day of the events on
    bank.put("customers/b.ndjson", [{"customer_id": "c1", "effective_date": "2026-03-02", "grade": "VIP"}])
    bank.land()
    applied = pipeline.apply(bank.settings, define(bank, AFTER))
    assert applied.build.scope == "changes"
    assert {(c.what, c.definition_id, c.version) for c in applied.changes} == {
        (what, f"{kind}-{name}", version)
        for kind in ("FN", "CH", "SG")
        for what, name, version in (("changed", "CHANGED", 2), ("new", "NEW", 1), ("retired", "GONE", 1))
    }
    assert matches(bank) == STEPS | {VIP: ["e1", "e4"]}
    assert entries(bank) == [
        ("FN-CHANGED", 2, "c1", 1), ("FN-CHANGED", 2, "c2", 1), ("FN-NEW", 1, "c1", 2), ("FN-NEW", 1, "c2", 1)
    ]  # fmt: skip
    assert applied.publication is not None
    assert applied.publication.added["step_match"] == 2, "c1 as a VIP, and the only match of what is new"
    assert bank.query("select cohort_id, version, period, size from mart.cohort inner join mart.retention"
                      " using (cohort_id, version) where age = 0 order by 1") == [
        ("CH-CHANGED", 2, "month", 2), ("CH-NEW", 1, "day", 1), ("CH-SAME", 1, "day", 2)
    ]  # fmt: skip
    assert bank.query("select segment_id, version, customer_id from mart.segment_member order by 1, 3") == [
        ("SG-CHANGED", 2, "c1"), ("SG-NEW", 1, "c1"), ("SG-SAME", 1, "c1"), ("SG-SAME", 1, "c2")
    ]  # fmt: skip
    assert applied.publication.added["cohort_day"] == 3, "cohorts that stay as they are are not computed"
    stored = mart_tables(bank.settings)
    pipeline.run(bank.settings, bank.directory, definitions=define(bank, AFTER), full=True)
    assert differences(mart_tables(bank.settings), stored) == {}
    assert pipeline.apply(bank.settings, define(bank, AFTER)).build.scope == "empty"
