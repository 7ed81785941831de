"""Sources other than the clickstream, from their files to the mart, over two runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, LiteralString

import pytest

from journeymart import pipeline
from journeymart.db import connect
from journeymart.landing.again import land_again
from journeymart.settings import Settings

HEADER = "DT0000000000001WITHDRAW    2026060109301512302C1        0000   +000000005000000"
FIRST: dict[str, list[dict[str, Any]]] = {
    "transactions": [
        {"transaction_id": "t1", "transaction_time": "2026-06-01T10:00", "transaction_code": "FX_REMIT", "amount": 2,
         "currency": "USD", "channel": "web"},
        {"transaction_id": "t2", "transaction_time": "2026-06-02T10:00", "transaction_code": "NEW_CODE", "amount": 7,
         "currency": "XAU", "result_code": "0000"},
    ],
    "subscriptions": [
        {"subscription_id": "s1", "subscribed_at": "2026-05-01", "product_code": "CARD", "product_name": "하나카드",
         "status": "active", "channel": "app", "branch": "b1"},
        {"subscription_id": "s2", "subscribed_at": "2026-05-02", "product_code": "LOAN", "state": "active"},
    ],
    "survey_responses": [
        {"response_id": "r1", "responded_at": "2026-06-02", "rule_id": "DR-1", "answers": {"q1": "좋음"}},
        {"response_id": "r1", "responded_at": "2026-06-03", "rule_id": "DR-1", "answers": {"q1": "again"}},
    ],
    "consents": [
        {"purpose": "marketing", "granted": True, "effective_at": "2026-05-01"},
        {"purpose": "marketing", "granted": "Y", "effective_at": "2026-06-03"},
        {"purpose": "marketing", "granted": "maybe", "effective_at": "2026-06-04"},
    ],
    "campaign_sends": [{"send_id": "m1", "sent_at": "2026-06-01", "campaign_id": "c1"}],
    "customers": [
        {"effective_date": "2026-05-01", "grade": "silver"}, {"effective_date": "2026-05-01", "grade": "gold"},
        {"effective_date": "2026-06-01", "grade": "black"},
    ],
}  # fmt: skip
SECOND: dict[str, list[dict[str, Any]]] = {
    "subscriptions": [
        {"subscription_id": "s1", "subscribed_at": "2026-05-01", "product_code": "CARD", "product_name": "하나카드",
         "status": "ended", "channel": "app", "ended_at": "2026-06-05"},
    ],
    "consents": [{"purpose": "marketing", "granted": False, "effective_at": "2026-06-03"}],
    "customers": [
        {"effective_date": "2026-06-01", "grade": "white"},
        {"effective_date": "2026-05-01", "grade": "gold"},
    ],
    "campaign_sends": [
        {"send_id": "m1", "sent_at": "2026-06-01", "campaign_id": "c1", "opened_at": "2026-06-02"},
    ],
}  # fmt: skip


def put(landing: Path, name: str, sources: dict[str, list[dict[str, Any]]]) -> None:
    for source, rows in sources.items():
        (landing / source).mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps({"customer_id": "C1", **row}, ensure_ascii=False) + "\n" for row in rows)
        (landing / source / f"{name}.ndjson").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def mart(new_warehouse: Callable[[], Settings], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings, landing = new_warehouse(), tmp_path_factory.mktemp("landing")
    put(landing, "first", FIRST)
    core = [b"H20260601", (HEADER + "110-***-123456  ").encode("cp949"), b"T000000001+00000000005000000"]
    (landing / "transactions" / "core.dat").write_bytes(b"\n".join(core))
    pipeline.run(settings, landing, run_id="first")
    put(landing, "second", SECOND)
    definitions = tmp_path_factory.mktemp("definitions")
    (definitions / "exchange_rates.yml").write_text("exchange_rates: {USD: {2026-05-01: 1300, 2026-06-02: 1500}}")
    (definitions / "sources.yml").write_text("sources: {subscriptions: {fields: {status: {aliases: [state]}}}}")
    again = land_again(landing, "again", definitions=definitions, settings=settings)
    assert [(result.path, result.status) for result in again] == [("subscriptions/first.ndjson", "loaded")]
    second = pipeline.run(settings, landing, run_id="second", definitions=definitions)
    assert second.build.scope == "changes"
    return settings


def query(settings: Settings, statement: LiteralString) -> list[tuple[Any, ...]]:
    with connect("jm_admin", settings=settings) as warehouse:
        return warehouse.execute(statement).fetchall()


def test_a_subscription_is_in_its_latest_state(mart: Settings) -> None:
    assert query(
        mart,
        "select subscription_id, product_code, status, channel, ended_at::date::text from mart.subscription order by 1",
    ) == [("s1", "CARD", "ended", "app", "2026-06-05"), ("s2", "LOAN", "active", None, None)]  # an alias came later
    assert query(mart, "select properties from raw.subscriptions order by row_id limit 1") == [({"branch": "b1"},)]


def test_a_consent_holds_until_the_next_and_a_withdrawal_wins(mart: Settings) -> None:
    assert query(
        mart,
        "select is_granted, valid_from::date::text, valid_to::date::text from mart.consent"
        " where valid_from < valid_to order by valid_from",
    ) == [(True, "2026-05-01", "2026-06-03"), (False, "2026-06-03", "9999-12-31")]
    assert query(mart, "select field, reason from raw.quarantine") == [
        ("granted", "granted is not true or false: 'maybe'.")
    ]
    assert query(mart, "select reason, reason_ko from mart.quarantine_reason") == [
        ("granted is not true or false: ….", "참·거짓으로 읽을 수 없음")
    ]


def test_what_is_sent_again_with_more_known_counts(mart: Settings) -> None:
    assert query(mart, "select send_id, opened_at::date::text from mart.campaign_send") == [("m1", "2026-06-02")]
    assert query(mart, "select response_id, answers from mart.survey_response") == [("r1", {"q1": "좋음"})]


def test_what_is_said_last_of_a_customer_s_day_counts_and_the_earlier_lines_are_its_duplicates(mart: Settings) -> None:
    assert query(mart, "select grade, valid_from::text from mart.customer order by valid_from") == [
        ("gold", "2026-05-01"),
        ("white", "2026-06-01"),
    ]
    assert query(
        mart,
        "select of.path, of_row_id & 4294967295, d.row_id & 4294967295 from mart.line_duplicate as d"
        " join raw.file as f on f.file_id = (d.row_id >> 32) and f.source = 'customers'"
        " join raw.file as of on of.file_id = (of_row_id >> 32) order by d.row_id",
    ) == [("customers/second.ndjson", 2, 1), ("customers/second.ndjson", 2, 2), ("customers/second.ndjson", 1, 3)]
    # of one that says the same again nothing has changed
    assert query(mart, "select from_at::date::text from build.int_customer__changed") == [("2026-06-01",)]


def test_everything_is_in_the_timeline(mart: Settings) -> None:
    rows = query(mart, "select kind, happened_at::date::text, title, detail from mart.timeline order by 2, 1, 3")
    assert rows == [
        ("subscription", "2026-05-01", "하나카드", "가입 · ended"),
        ("subscription", "2026-05-02", "LOAN", "가입 · active"),
        ("campaign", "2026-06-01", "c1", ""),
        ("transaction", "2026-06-01", "출금", "50,000 · 0000"),
        ("transaction", "2026-06-01", "해외송금", "2 · USD"),
        ("survey", "2026-06-02", "DR-1", '{"q1": "좋음"}'),
        ("transaction", "2026-06-02", "NEW_CODE", "7 · XAU · 0000"),
        ("subscription", "2026-06-05", "하나카드", "해지 · ended"),
    ]


def test_every_line_is_accounted_for(mart: Settings) -> None:
    assert query(
        mart,
        "select source, sum(rows_landed)::int, sum(rows_mart)::int, sum(rows_duplicate)::int,"
        " sum(rows_quarantined)::int, sum(rows_out_of_scope)::int, sum(difference)::int"
        " from mart.data_status group by 1 order by 1",
    ) == [
        ("campaign_sends", 2, 1, 1, 0, 0, 0),
        ("consents", 4, 3, 0, 1, 0, 0),
        ("customers", 5, 2, 3, 0, 0, 0),
        ("subscriptions", 5, 2, 1, 0, 2, 0),  # two lines were read again under another plan
        ("survey_responses", 2, 1, 1, 0, 0, 0),
        ("transactions", 3, 3, 0, 0, 0, 0),
    ]


def test_the_catalogue_holds_defined_and_seen_transaction_codes(mart: Settings) -> None:
    assert query(
        mart,
        "select transaction_code, name_ko, category_en, is_defined, channels, first_seen_date::text, transactions,"
        " item_list from mart.transaction_code where transactions > 0 or transaction_code = 'SEC_OUT' order by 1",
    ) == [
        ("FX_REMIT", "해외송금", "Foreign exchange", True, ["app", "branch", "call", "web"], "2026-06-01", 1,
         "account_no 출금 계좌번호, currency 송금 통화, beneficiary_country 수취 국가, purpose 송금 사유,"
         " fee_krw 수수료(원)"),
        ("NEW_CODE", "NEW_CODE", None, False, ["(none)"], "2026-06-02", 1, None),
        ("SEC_OUT", "타사 출고", "Securities", True, ["app", "branch", "call", "web"], None, 0,
         "account_no 계좌번호, stock_code 종목 코드, quantity 수량, receiving_broker 입고 증권사"),
        ("WITHDRAW", "출금", "Cash", True, ["atm", "branch", "call"], "2026-06-01", 1, "account_no 출금 계좌번호"),
    ]  # fmt: skip


def test_an_amount_without_exchange_rate_is_visible(mart: Settings) -> None:
    assert query(
        mart, "select transaction_id, transaction_name, amount_krw::text from mart.transaction order by 1"
    ) == [
        ("T0000000000001", "출금", "50000.00"),
        ("t1", "해외송금", "2600.00"),  # 2800 until a changed rate came with the second run
        ("t2", "NEW_CODE", None),
    ]
    assert query(mart, "select sum(amount_krw)::text from mart.transaction_daily") == [("52600.00",)]
    assert query(mart, "select version from mart.definition where definition_id = 'USD'") == [(2,)]
    assert query(mart, "select sum(unconverted)::int, sum(transactions)::int from mart.transaction_daily") == [(1, 3)]
    assert query(
        mart, "select passed from ops.check_result where check_id = 'DQ-NEXT-EXCHANGE' and run_id = 'first'"
    ) == [(False,)]
