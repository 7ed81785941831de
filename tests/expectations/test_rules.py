"""Every rule holds in a sound warehouse and fails, alone, when what it guards is damaged."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.sql import SQL
from tests.conftest import Warehouses

from journeymart.db import connect
from journeymart.quality import validate
from journeymart.quality.gate import DIRECTORY
from journeymart.quality.rules import Rulebook
from journeymart.settings import Settings

from .conftest import RUN, at, create_models, fill, microseconds

# a run of changes counts the sessions themselves instead of the moves
MOVES_LOST = ("DQ-NEXT-PATH-MOVE DQ-NEXT-PATH-AROUND", "delete from build.path_move where channel = 'app'")
# (the rule, or rules, that must notice, the damage); F1 is line 1 of file 1 (clickstream), T1 of file 2 (transactions)
DAMAGE = [
    ("DQ-RAW-LINES", "update raw.file set rows_read = rows_read + 1 where file_id = 1"),
    (
        "DQ-RAW-ROWS DQ-RAW-HASH",
        "delete from raw.event where row_id = F6; delete from raw.clickstream where row_id = F6",
    ),
    ("DQ-RAW-HASH", "update raw.event set event_at = event_at + interval '1 microsecond' where row_id = F6"),
    ("DQ-RAW-HASH", "update raw.transactions set transacted_at = '2026-03-10 09:00+09' where row_id = T3"),
    ("DQ-RAW-ROWS DQ-RAW-HASH", "delete from raw.customers where customer_key = 2"),
    ("DQ-RAW-HALVES", "update raw.clickstream set row_id = F9 where row_id = F5"),
    ("DQ-RAW-HALVES", "delete from raw.clickstream where row_id = F6"),
    ("DQ-RAW-QUARANTINE", "insert into raw.quarantine values (1, 8, 'clickstream', null, 'broken', 'x')"),
    ("DQ-RAW-DECLARED", """update raw.file set declared = '{"rows": 6}' where file_id = 2"""),
    ("DQ-RAW-DECLARED", """update raw.file set declared = '{"sha256": "cc"}' where file_id = 2"""),
    ("DQ-RAW-DECLARED", """update raw.file set declared = '{"totals": {"amount": "4811.01"}}' where file_id = 2"""),
    ("DQ-RAW-DECLARED", """update raw.file set declared = '{"totals": {"amount": "many"}}' where file_id = 2"""),
    ("DQ-RAW-DECLARED", """update raw.file set declared = '{"totals": {"fee": "1"}}' where file_id = 2"""),
    (
        "DQ-RAW-AMOUNT",
        """update raw.file set totals = '{"amount": "4811.01"}', declared = null where file_id = 2""",
    ),
    ("DQ-RAW-TIME", "update raw.file set last_event_at = loaded_at + interval '25 hours' where file_id = 2"),
    ("DQ-RAW-TIME", "update raw.file set first_event_at = '1969-12-31' where file_id = 2"),
    (
        "DQ-RAW-LATE",
        """insert into config.definition values ('sources', 'expect_every', 1, '{"transactions": 3600}');"""
        "update raw.file set last_event_at = last_event_at - interval '2 hours' where source = 'transactions'",
    ),
    ("DQ-RAW-LATE", """insert into config.definition values ('sources', 'expect_every', 1, '{"consents": 3600}')"""),
    (
        "DQ-RAW-QUARANTINE-RATIO",
        "insert into raw.quarantine values (1, 8, 'clickstream', null, 'broken', 'x');"
        "update raw.file set rows_read = 8, rows_quarantined = 1 where file_id = 1",
    ),
    ("DQ-RAW-VOLUME", "update raw.file_day set rows_loaded = 321 where file_id = 19"),
    ("DQ-RAW-VOLUME", "update raw.file_day set rows_loaded = 17 where file_id = 19"),
    ("DQ-RAW-VOLUME", "delete from raw.file_day where file_id = 19"),
    ("DQ-NEXT-LINES", "update build.file_balance set rows_mart = rows_mart - 1 where file_id = 3"),
    ("DQ-NEXT-LINES", "delete from build.file_balance where file_id = 3"),
    ("DQ-NEXT-LINES", "insert into build.file_balance values (18, 7, 0, 0)"),
    ("DQ-NEXT-RECOUNT", "update build.file_balance set rows_mart = 6, rows_duplicate = 0 where file_id = 1"),
    ("DQ-NEXT-RECOUNT", "update build.file_balance set rows_duplicate = 2, rows_bot = 0 where file_id = 1"),
    ("DQ-NEXT-RECOUNT", "update build.file_balance set rows_mart = 5, rows_duplicate = 0 where file_id = 2"),
    (
        "DQ-NEXT-ONCE DQ-RAW-HASH",
        "update raw.event set event_hash = 1 where row_id = F2;"
        "update raw.clickstream set event_id = 'e-1' where row_id = F2",
    ),
    ("DQ-NEXT-DUPLICATE", "update build.line_duplicate set of_row_id = row_id where row_id = F7"),
    ("DQ-NEXT-DUPLICATE", "update build.line_duplicate set of_row_id = F7 where row_id = T3"),
    ("DQ-NEXT-DUPLICATE", "update build.line_duplicate set of_row_id = 0 where row_id = T3"),
    ("DQ-NEXT-SESSION", "update build.session_fact set error_steps = null where errors > 0"),
    ("DQ-NEXT-SESSION", "update build.session_fact set path_times = path_times || ended_at where customer_key = 2"),
    ("DQ-NEXT-SESSION", "update build.session_event set event_no = 4 where row_id = F3"),
    ("DQ-NEXT-SESSION", "update build.session_event set started_at = event_at where row_id = F3"),
    (
        "DQ-NEXT-SESSION DQ-NEXT-PATH-MOVE",
        "update build.session_fact set ended_at = ended_at + interval '1 second' where visitor_key = 1",
    ),
    ("DQ-NEXT-HASH", "update build.session_event set node_id = 1 where row_id = F2"),
    ("DQ-NEXT-HASH", "update build.transaction_fact set transacted_at = '2026-03-10 09:00+09' where row_id = T2"),
    (
        "DQ-NEXT-SESSION DQ-NEXT-HASH",
        "update build.session_event set event_at = event_at - interval '1 s' where row_id = F1",
    ),
    ("DQ-NEXT-DAILY", "update build.session_daily set amount_krw = amount_krw + 0.01 where channel = 'web'"),
    ("DQ-NEXT-DAILY", "update build.session_daily set errors = 0"),
    ("DQ-NEXT-DAILY", "update build.session_daily set converted_sessions = 1"),
    ("DQ-NEXT-DAILY", "update build.session_daily set session_date = session_date + 1"),
    ("DQ-NEXT-PATH-EDGE DQ-NEXT-PATH-MONTH", "update build.path_edge set sessions = 2 where step_no = 3"),
    ("DQ-NEXT-PATH-EDGE DQ-NEXT-PATH-MONTH", "delete from build.path_edge where step_no = 4"),
    (
        "DQ-NEXT-PATH-EDGE DQ-NEXT-PATH-MONTH",
        "update build.path_edge set to_node = 'LIST' where step_no = 1 and to_node = '이탈'",
    ),
    ("DQ-NEXT-PATH-MONTH", "update build.path_month set path_month = '2026-04-01' where channel = 'app'"),
    ("DQ-NEXT-PATH-MONTH", "update build.path_month set sessions = 2 where step_no = 3"),
    ("DQ-NEXT-PATH-MONTH", "delete from build.path_month where step_no = 4"),
    ("DQ-NEXT-PATH-AROUND", "update build.path_around set path_month = '2026-04-01' where channel = 'app'"),
    ("DQ-NEXT-PATH-AROUND", "update build.path_around set sessions = 2 where node_id = 3 and step = 1"),
    ("DQ-NEXT-PATH-AROUND", "delete from build.path_around where node_id = 3"),
    ("DQ-NEXT-PATH-AROUND", "delete from build.path_around where channel = 'app' and node_id = 3 and step = 0"),
    ("DQ-NEXT-PATH-MOVE", "update build.path_move set visits = 2 where channel = 'app' and length(path) = 2"),
    ("DQ-NEXT-PATH-MOVE", "update build.path_move set stays = '{1}' where stays = '{600}'"),
    MOVES_LOST,
    ("DQ-NEXT-PATH-COUNT", "delete from build.path_count where channel = 'app'"),
    ("DQ-NEXT-AMOUNT DQ-NEXT-HASH", "update build.transaction_fact set amount = amount + 0.0001 where row_id = T2"),
    ("DQ-NEXT-AMOUNT", "update build.transaction_fact set amount_krw = amount_krw - 0.01 where row_id = T5"),
    ("DQ-NEXT-AMOUNT", "update build.transaction_fact set currency = 'USD' where row_id = T5"),
    (
        "DQ-NEXT-SESSION-AMOUNT",
        "update build.session_fact set amount_krw = 1001 where amount_krw = 1000;"
        "update build.session_daily set amount_krw = 1001 where amount_krw = 1000",
    ),
    (
        "DQ-NEXT-SESSION-AMOUNT",
        "update build.transaction_fact set session_visitor_key = 2, started_at = '2026-03-10' where row_id = T5",
    ),
    ("DQ-NEXT-SESSION-AMOUNT", "update build.transaction_fact set is_failed = false where row_id = T4"),
    (
        "DQ-NEXT-SESSION-AMOUNT",
        "update build.session_fact set failed_transactions = 0 where customer_key = 2;"
        "update build.session_daily set converted_sessions = 1",
    ),
    ("DQ-NEXT-CUSTOMER", "update build.session_fact set customer_key = 9 where customer_key is null"),
    ("DQ-NEXT-CUSTOMER", "update build.session_fact set customer_key = 1 where customer_key = 2"),
    ("DQ-NEXT-CUSTOMER DQ-NEXT-HASH", "update build.transaction_fact set customer_key = 9 where customer_key = 2"),
    ("DQ-NEXT-EXCHANGE", "update build.transaction_fact set amount_krw = null where currency = 'USD'"),
    ("DQ-NEXT-FUNNEL DQ-NEXT-PEOPLE", "delete from build.funnel_entry where subject_key = 3"),
    ("DQ-NEXT-PEOPLE", "update build.funnel_entry set subject_key = 5 where subject_key = 3"),
    ("DQ-NEXT-PEOPLE", "update build.funnel_entry set step_times[3] = step_times[1] where subject_key = 4"),
    ("DQ-NEXT-PATH-PEOPLE", "update build.step_match set started_at = '2026-03-10' where condition_id = 'k6'"),
    ("DQ-NEXT-PATH-PEOPLE", "update build.int_step__node set node_id = 1 where condition_id = 'k6'"),
    ("DQ-NEXT-PEOPLE DQ-NEXT-STEP-DAILY", "delete from build.step_match where person_key = 2"),
    ("DQ-NEXT-STEP-DAILY", "update build.step_daily set matches = matches + 1 where condition_id = 'k2'"),
    ("DQ-NEXT-STEP-DAILY", "insert into build.step_daily values ('k3', '2026-03-10', -1)"),
    ("DQ-NEXT-FUNNEL", "delete from build.funnel_step"),
    ("DQ-NEXT-FUNNEL", "update build.funnel_step set still_open = 0 where step_no = 1"),
    ("DQ-NEXT-FUNNEL", "update build.funnel_entry set status = 'dropped' where subject_key = 1"),
    ("DQ-NEXT-FUNNEL", "update build.funnel_step set entered = 5, converted = 5 where step_no = 3"),
    ("DQ-NEXT-AUDIENCE", "update build.consent set valid_to = '2026-03-10 11:40+09' where customer_key = 1"),
    ("DQ-NEXT-AUDIENCE", "update build.audience_member set row_hash = 'x' where customer_key = 2"),
    ("DQ-NEXT-AUDIENCE", "delete from build.audience_change where op = 'D'"),
    ("DQ-NEXT-AUDIENCE", "update build.audience_export set members = 2"),
    ("DQ-NEXT-FUNNEL", "update build.funnel_step set step_no = 4 where step_no = 3"),
]
# Rules that count in another way when a run covers only what changed.
CHANGES = [
    (rule, damage)
    for rule, damage in DAMAGE
    if rule != MOVES_LOST[0]
    and rule.split()[0]
    in {
        "DQ-NEXT-LINES", "DQ-NEXT-RECOUNT", "DQ-NEXT-ONCE", "DQ-RAW-HASH", "DQ-NEXT-DAILY", "DQ-NEXT-PATH-COUNT",
        "DQ-NEXT-PATH-EDGE", "DQ-NEXT-PATH-MONTH", "DQ-NEXT-PATH-AROUND", "DQ-NEXT-PATH-MOVE", "DQ-NEXT-SESSION-AMOUNT",
    }
] + [
    ("DQ-NEXT-PATH-MOVE", MOVES_LOST[1]),
    (
        "DQ-NEXT-DAILY DQ-NEXT-PATH-COUNT DQ-NEXT-PATH-EDGE DQ-NEXT-PATH-AROUND DQ-NEXT-PATH-MOVE"
        " DQ-NEXT-SESSION-AMOUNT",
        "delete from build.session_fact_before where visitor_key = 2",
    ),
    ("DQ-NEXT-SESSION-AMOUNT", "delete from build.transaction_fact_before where row_id = T1"),
    ("DQ-NEXT-PATH-MOVE", "delete from build.path_move_before where channel = 'app'"),
]  # fmt: skip
# A run that computes what these held before once more finds no change of them.
COMPARED = (
    "session_fact", "session_daily", "path_count", "path_edge", "path_month", "path_around", "path_move",
    "transaction_fact",
)  # fmt: skip


def damaged(warehouse: psycopg.Connection, damage: str) -> None:
    """Carry out the damage, with the addresses of lines filled in."""
    row_id = {"F": 1 << 32, "T": 2 << 32}
    warehouse.execute(SQL(re.sub(r"\b([FT])(\d)\b", lambda found: str(row_id[found[1]] + int(found[2])), damage)))


def recomputed(warehouse: psycopg.Connection) -> None:
    """Make the run one of changes, before which everything was as it is now."""
    warehouse.execute("update build.run_scope set is_full = false")
    for name in COMPARED:
        warehouse.execute(SQL(f"insert into build.{name}_before table build.{name}"))


def failed(settings: Settings) -> set[str]:
    return {check.check_id for check in validate(settings, RUN).failed}


def queries() -> dict[str, str]:
    """What each rule asks, for rows that offend. Great Expectations asks the same, but takes half a second for it."""
    rulebook, found = Rulebook(DIRECTORY), {}
    for suite in rulebook.suites:
        batch = f"({rulebook.query(suite.batch)})"
        for rule in suite.rules:
            if rule.sql is not None:
                found[rule.id] = rulebook.query(rule.sql).replace("{batch}", batch)
                continue
            assert rule.expectation is not None
            assert rule.expectation.type == "expect_column_values_to_be_between"
            limit = rule.expectation.arguments
            found[rule.id] = f"select from {batch} as b where {limit['column']} > {limit['max_value']}"
    return found


QUERIES = queries()


@pytest.fixture(scope="module")
def sound(warehouses: Warehouses) -> Iterator[psycopg.Connection]:
    """An administrator's connection to a warehouse of its own in its sound state, for damage that is taken back."""
    settings = warehouses.create()
    create_models(settings)
    with connect("jm_admin", settings=settings, autocommit=True) as connection:
        fill(connection)
        yield connection
    warehouses.drop(settings)


def noticing(connection: psycopg.Connection) -> set[str]:
    connection.execute("set local role jm_builder")
    return {rule for rule, query in QUERIES.items() if connection.execute(query.encode()).fetchone() is not None}


@pytest.mark.parametrize("is_full", [True, False])
def test_all_rules_hold_in_a_sound_warehouse(warehouse: psycopg.Connection, home: Settings, is_full: bool) -> None:
    if not is_full:
        recomputed(warehouse)
    result = validate(home, RUN)
    assert [check.check_id for check in result.checks if not check.passed] == []
    assert len(result.passed) == len(result.checks) == len(Rulebook(DIRECTORY))
    assert result.critical == ()


@pytest.mark.parametrize(("rule", "damage"), DAMAGE)
def test_damage_is_noticed_by_its_rule_alone(sound: psycopg.Connection, rule: str, damage: str) -> None:
    with sound.transaction(force_rollback=True):
        damaged(sound, damage)
        assert noticing(sound) == set(rule.split())


@pytest.mark.parametrize(("rule", "damage"), CHANGES)
def test_damage_is_noticed_in_a_run_of_changes(sound: psycopg.Connection, rule: str, damage: str) -> None:
    with sound.transaction(force_rollback=True):
        recomputed(sound)
        damaged(sound, damage)
        assert noticing(sound) == set(rule.split())


def test_every_rule_is_shown_able_to_fail() -> None:
    rules = {rule.id for suite in Rulebook(DIRECTORY).suites for rule in suite.rules}
    assert {rule for noticing, _ in DAMAGE for rule in noticing.split()} == rules


def test_ids_that_only_share_a_hash_are_no_duplicates(warehouse: psycopg.Connection, home: Settings) -> None:
    damaged(warehouse, "update raw.event set event_hash = 1 where row_id = F2")
    landed_so = microseconds(at(1))  # and the ledger knows it so
    difference = (1 ^ landed_so ^ 2) - (2 ^ landed_so ^ 2)
    warehouse.execute("update raw.file set content_hash = content_hash + %s where file_id = 1", (difference,))
    assert failed(home) == set()


def test_amounts_are_not_compared_with_a_declaration_that_covers_quarantined_lines(
    warehouse: psycopg.Connection, home: Settings
) -> None:
    warehouse.execute(
        "insert into raw.quarantine values (2, 6, 'transactions', 'amount', 'not a number', 'x');"
        "update raw.file set rows_read = 6, rows_quarantined = 1,"
        """ declared = '{"rows": 6, "totals": {"amount": "9"}}' where file_id = 2"""
    )
    assert failed(home) == {"DQ-RAW-QUARANTINE-RATIO"}


def test_a_declaration_may_be_written_in_another_way(warehouse: psycopg.Connection, home: Settings) -> None:
    warehouse.execute(
        """update raw.file set declared = '{"rows": null, "sha256": "BB", "totals": {"amount": "4.811e3"}}'"""
        " where file_id = 2;"
        """update raw.file set declared = '{"totals": {"amount": 0}}' where file_id = 3"""
    )
    assert failed(home) == set()


def test_a_lost_path_step_beyond_the_kept_depth_is_no_difference(warehouse: psycopg.Connection, home: Settings) -> None:
    warehouse.execute(
        "update config.definition set content = jsonb_set(content, '{path_depth}', '3');"
        "delete from build.path_edge where step_no = 4; delete from build.path_month where step_no = 4"
    )
    assert failed(home) == set()


def test_an_empty_run_has_nothing_to_object_to(warehouse: psycopg.Connection, home: Settings) -> None:
    warehouse.execute(
        "truncate build.run_file, build.touched_date, build.session_event, build.session_fact, build.transaction_fact,"
        " build.session_daily, build.path_count, build.path_edge, build.path_month, build.path_around,"
        " build.path_move, build.line_duplicate, build.line_bot, build.file_balance, build.funnel_entry,"
        " build.funnel_step, build.int_funnel__date, build.int_funnel__subject, build.int_audience__scope,"
        " build.int_audience__change, build.step_match, build.step_daily"
    )
    assert failed(home) == set()
