"""What landing accepts stops no run, however long or large it is."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import pytest
from tests.pipeline.zone import Zone, event, transaction

from journeymart import pipeline
from journeymart.settings import Settings

DEFINITIONS = {
    "segments": """
segments:
  - {id: SG-VIP, label: {ko: 우수, en: VIP}, owner: tests, all_of: [{customer: {grade: VIP}}]}
""",
    "funnels": """
funnels:
  - id: FN-BUY
    label: {ko: 구매, en: Buy}
    owner: tests
    window: 1d
    breakdown: {by: click_text, as_of_step: 1}
    steps:
      - {name: view, source: screen, where: {page_code: P1}}
      - {name: buy, source: transaction, where: {transaction_code: FX}}
""",
    "sessions": "sessions: {time_zone: Asia/Seoul, path_depth: null}",
}
TOKEN = random.Random(1).randbytes(2000).hex()
UNDATED = [
    {"customer_id": "undated", "grade": "VIP"},
    {"customer_id": "undated", "effective_date": "1899-12-30", "grade": "GOLD"},  # day 0 of a spreadsheet
]
LARGE = [transaction(n, amount="1000000000000000", currency="USD", visitor_id="v1", channel="web") for n in (1, 2)]


@pytest.fixture(scope="module")
def mart(new_warehouse: Callable[[], Settings], tmp_path_factory: pytest.TempPathFactory) -> Zone:
    zone = Zone(tmp_path_factory.mktemp("limits") / "landing", new_warehouse())
    definitions = [zone.define(text, kind) for kind, text in DEFINITIONS.items()]
    zone.put(
        "clickstream/1.ndjson",
        [
            event(1, event_time="2025-06-01T00:00:00Z", customer_id="c1", click_text=TOKEN),
            event(2, action_type="error", error_code=TOKEN, error_page=TOKEN),
            *(event(n, visitor_id="walker", page_code=f"W{n}") for n in range(1000, 2200)),
        ],
    )
    zone.put("customers/1.ndjson", UNDATED)
    zone.put("transactions/1.ndjson", LARGE)
    pipeline.run(zone.settings, zone.directory, definitions=definitions[0])
    return zone


def test_a_line_without_date_comes_before_every_date(mart: Zone):
    assert mart.query("select valid_from::text, valid_to::text, grade from mart.customer order by 1") == [
        ("1800-01-01", "1899-12-30", "VIP"),
        ("1899-12-30", "9999-12-31", "GOLD"),
    ]
    [(valid_to,)] = mart.query("select valid_to from mart.segment_member")
    assert valid_to.date() == datetime.fromisoformat("1899-12-30").date()


def test_large_amounts_are_converted_and_added_up(mart: Zone):
    each = Decimal(10**15 * 1350)
    assert mart.query("select amount_krw from mart.transaction") == [(each,), (each,)]
    for table in ("session", "session_daily", "channel_daily", "transaction_daily"):
        assert (table, mart.value(f"select sum(amount_krw) from mart.{table}")) == (table, 2 * each)  # noqa: S608
    assert mart.query("select amount_krw from mart.funnel_step where funnel_id = 'FN-BUY' and step_no = 2") == [(each,)]


def test_long_values_are_cut_where_they_are_keys(mart: Zone):
    assert mart.query("select error_page, error_code, errors from mart.error_page") == [(TOKEN[:256], TOKEN[:256], 1)]
    assert mart.query("select error_page from mart.event where error_code is not null") == [(TOKEN,)]
    assert mart.query("select distinct breakdown from mart.funnel_step where funnel_id = 'FN-BUY'") == [(TOKEN[:256],)]
    for error in (TOKEN, TOKEN[:256]):
        around = f"select sum(sessions) from mart.paths_around('{error}', kind => 'error') where step = 0"  # noqa: S608
        assert mart.value(around) == 1


def test_a_path_of_a_thousand_steps_is_counted_by_its_beginning(mart: Zone):
    assert mart.query("select length(path) from mart.path_count order by 1 desc limit 1") == [(501,)]
    assert mart.query("select max(step_no) from mart.path_edge") == [(500,)]
    assert mart.query("select max(length(path)) from mart.session_fact") == [(1200,)]
