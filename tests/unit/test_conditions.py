"""The condition language: what it compiles to, and that nothing a definition says becomes SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql
from pydantic import ValidationError

from journeymart.db import connect
from journeymart.definitions.applied import load_definitions
from journeymart.definitions.conditions import Condition, KeepingCondition, row_predicate
from journeymart.definitions.fields import SOURCES, known_fields
from journeymart.definitions.loader import DefinitionError
from journeymart.settings import Settings


@pytest.fixture(scope="module")
def loader(server: Settings) -> Iterator[psycopg.Connection]:
    """One connection for hundreds of examples."""
    with connect("jm_loader", settings=server, autocommit=True) as connection:
        yield connection


def predicate(source: str, **where: object) -> str:
    return Condition.model_validate({"source": source, "where": where}).compiled()[source].predicate


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"channel": "web"}, "(a.channel = 'web')"),
        ({"channel": ["web", "app"]}, "(a.channel in ('web', 'app'))"),
        ({"click_text": {"contains": "50%_"}}, r"(d.click_text like  E'%50\\%\\_%')"),
        ({"error_code": {"is_null": False}}, "((r.error_code is null) = false)"),
        ({"none_of": [{"channel": "web"}]}, "(coalesce(((a.channel = 'web')), false) is false)"),
        ({"click_text": {"matches": r"송금\s?하기$"}}, r"(d.click_text ~  E'송금\\s?하기$')"),
        ({"properties.a.b": True}, "((d.properties #>> '{a,b}') = 'true')"),
        ({"hour": {"lt": 6}}, "(extract(hour from (e.event_at at time zone z.time_zone))::integer < 6)"),
        (
            {"session.channel": "app"},
            '((select x."channel" from "raw"."agent" as x where x."agent_key" = s."agent_key") = \'app\')',
        ),
        ({}, "(true)"),
    ],
)
def test_what_a_condition_compiles_to(where: dict[str, object], expected: str) -> None:
    assert predicate("screen", **where) == expected


def test_amounts_are_numbers_and_message_items_are_text() -> None:
    assert predicate("transaction", amount={"between": [1, 2.5]}) == "(f.amount between 1 and 2.5)"
    assert predicate("transaction", **{"fields.currency": "USD"}) == "((d.fields #>> '{currency}') = 'USD')"


def test_times_are_compared_as_moments() -> None:
    """Nine in Seoul is midnight in Greenwich: half an hour, whatever the text looks like."""
    predicate("campaign", opened_at={"gte": "2026-01-01T09:00:00+09:00", "lt": "2026-01-01T00:30:00+00:00"})


def test_what_is_looked_up_elsewhere_is_decided_last() -> None:
    where = {"customer.grade": "VIP", "page_code": "FX010"}
    compiled = predicate("screen", **where)
    assert compiled.index("'FX010'") < compiled.index("'VIP'")
    assert Condition(source="screen", where=where).uses == (True, False)


def test_any_source_has_null_for_what_it_does_not_know() -> None:
    compiled = Condition(source="any", where={"page_code": {"is_null": True}, "channel": "app"}).compiled()
    assert tuple(compiled) == SOURCES
    assert compiled["campaign"].predicate == "((null::text is null) = true and f.channel = 'app')"


def test_transactions_are_nodes_too() -> None:
    assert predicate("transaction", node="TRF") == "(n.node = 'TRF')"
    compiled = Condition(source="any", where={"node": "TRF"}).compiled()
    assert compiled["screen"].predicate == compiled["transaction"].predicate == "(n.node = 'TRF')"
    assert compiled["survey"].predicate == "(null::text = 'TRF')"


def test_a_condition_that_keeps_values_is_another_one() -> None:
    plain = Condition(source="transaction", where={"transaction_code": "TRF"})
    keeping = KeepingCondition(source="transaction", where=plain.where, hold=("fields.account",), breakdown="channel")
    assert keeping.compiled()["transaction"].predicate == plain.compiled()["transaction"].predicate
    assert keeping.compiled()["transaction"].breakdown == "(f.channel)::text"
    assert keeping.condition_id != plain.condition_id
    with pytest.raises(ValidationError, match=r"unknown field 'fields\.account' of source screen"):
        KeepingCondition(source="screen", hold=("fields.account",))


@pytest.mark.parametrize(
    ("source", "where", "message"),
    [
        ("screen", {"page_cod": "A"}, "unknown field 'page_cod' of source screen; did you mean 'page_code'"),
        ("screen", {"channel": {"equals": "web"}}, "unknown operator 'equals'"),
        ("transaction", {"amount": "1000"}, "amount is a number"),
        ("screen", {"page_code": 10}, "page_code is text; put 10 in quotes"),
        ("screen", {"step_position": {"between": ["1"]}}, "between takes two values"),
        ("transaction", {"fields.a' or '1": "x"}, "unknown field"),
        ("screen", {"any_of": []}, "expected a list of conditions"),
        ("screen", {"any_of": [{}]}, "expected fields with their conditions"),
        ("screen", {"click_text": {"matches": "(?=a)"}}, r"groups begin with \( or"),
        ("screen", {"click_text": {"matches": "("}}, "not a regular expression"),
        ("screen", {"click_text": {"matches": "((a?){30}){30}"}}, "longer than 200 with its repeats written out"),
        ("screen", {"click_text": {"matches": f"(?:{'a?[)b]' * 10}){{1,100}}"}}, "with its repeats written out"),
        ("screen", {"click_text": {"matches": r"\bx"}}, r"\\b is not known"),
        ("screen", {"click_text": {"matches": "[^a-c-e]"}}, "is read differently by different engines"),
        ("screen", {"properties.x": [1, "a"]}, "values of more than one kind"),
        ("screen", {"customer.joined_on": {"gte": "1.1.2026"}}, "customer.joined_on is a date; write it like"),
        ("screen", {"date": {"gte": "2026-W10-1"}}, "date is a date; write it like 2026-01-31"),
        ("campaign", {"clicked_at": {"gte": "2026-W10-1T09:00:00+09:00"}}, "clicked_at is a time; write it like"),
        ("campaign", {"clicked_at": {"gte": "2026-01-31T09:00:00+16:00"}}, "clicked_at is a time; write it like"),
        ("campaign", {"clicked_at": {"gte": "2026-01-31T09:00:00+09:60"}}, "clicked_at is a time; write it like"),
        ("campaign", {"opened_at": {"gte": "2026-01-01T09:00+09:00", "lt": "2026-01-01T00:00Z"}}, "cannot be reached"),
        ("screen", {"customer.gradee": "VIP"}, "unknown field 'customer.gradee' .* did you mean 'customer.grade'"),
        ("campaign", {"clicked_at": {"gte": "2026-01-31"}}, "clicked_at is a time; write it like"),
        ("consultation", {"session.channel": "web"}, "what is of source consultation has no session"),
        ("screen", {"properties": "x"}, "'properties' holds items: name one of them, such as properties.x"),
        ("any", {"pagecode": "A"}, "unknown field 'pagecode' of source any; did you mean 'page_code'"),
    ],
)
def test_mistakes_are_explained(source: str, where: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        predicate(source, **where)


@pytest.mark.parametrize("where", [{"any_of": ["VIP"]}, {"grade": {"in": [["VIP"]]}}, {"any_of": 1}])
def test_mistakes_about_rows_that_are_no_events_are_explained(where: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        row_predicate("customer", where)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
    | st.sampled_from(["'; drop table raw.event; --", "\\'", "%", "$$", "' or true --", "\\"])
)
def test_a_hostile_value_is_only_ever_compared(loader: psycopg.Connection, value: str) -> None:
    """Any text matches itself, by each operator, and not a different text; the statement stays one statement."""
    other = "≠" if value else "≠≠"
    with loader.transaction(force_rollback=True):
        loader.execute("create temporary table d (click_text text, properties jsonb)")
        loader.cursor().executemany(
            "insert into d values (%s, jsonb_build_object('x', %s::text))", [(text, text) for text in (value, other)]
        )
        for field in ("click_text", "properties.x"):
            for wanted in (value, {"in": [value]}, {"contains": value}, {"starts_with": value}, {"not_in": [other]}):
                nested = {"none_of": [{field: {"ne": other}, "any_of": [{field: {"not_in": [value]}}]}], field: wanted}
                for where in ({field: wanted}, nested):
                    statement = sql.SQL(f"select click_text from d where {predicate('screen', **where)}")  # noqa: S608
                    found = {text for (text,) in loader.execute(statement)}
                    everywhere = value == "" and isinstance(wanted, dict) and not {"in", "not_in"} & wanted.keys()
                    assert found == ({value, other} if everywhere else {value})


@settings(max_examples=300, deadline=None)
@given(
    source=st.sampled_from([*SOURCES, "any"]),
    name=st.sampled_from(
        ["", "fields.", "properties.", "customer.", "customer.attributes.", "session.", "page_code"]
    ).flatmap(lambda prefix: st.text(max_size=20).map(lambda text: prefix + text))
    | st.sampled_from(["fields.a'}' or true --", 'customer.grade" from x', "page_code = '' or '1", "properties.a}b"]),
    operator=st.sampled_from(["eq", "is_null"]) | st.text(max_size=10),
)
@example(source="screen", name="properties.NULL", operator="eq")  # without quotes no key, in an array of PostgreSQL
def test_a_hostile_name_is_refused(source: str, name: str, operator: str) -> None:
    """A name that compiles consists of known words, and of letters, digits, _ and - inside JSON columns."""
    try:
        compiled = Condition.model_validate({"source": source, "where": {name: {operator: True}}}).compiled()
    except ValidationError:
        return
    assert re.fullmatch(r"[\w.-]+", name)
    assert operator in {"eq", "ne", "in", "is_null"}
    column, *path = name.split(".")
    keys = path[1:] if column == "customer" else path
    literal = "{" + ",".join(f'"{key}"' if key.lower() == "null" else key for key in keys) + "}"
    for each in compiled.values():
        assert literal in each.predicate or name in known_fields(source)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pattern=st.text(st.sampled_from("ab1(|)[]{},*+?.^$-\\dwsDWS:=!<>\n"), max_size=16))
def test_a_regular_expression_that_is_accepted_is_one_for_the_database(
    loader: psycopg.Connection, pattern: str
) -> None:
    try:
        compiled = predicate("screen", click_text={"matches": pattern})
    except ValidationError:
        return
    loader.execute(sql.SQL(f"select {compiled} from (select 'ab1 '::text as click_text) as d"))  # noqa: S608


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$", "^(a|aa)+$", "(a*)*$", "(x+x+)+y", "((((a*)*)*)*)*$", "(.*)*(.*)*x", r"^(([a-z])+.)+[A-Z]([a-z])+$",
        "(.*a){30}$", "(a|b)*a(a|b){20}$",
    ],
)  # fmt: skip
def test_nested_repeats_cost_nothing_because_no_way_is_tried_twice(server: Settings, pattern: str) -> None:
    """Each of these takes others for ever; here milliseconds, of ten thousand characters that almost match."""
    compiled = predicate("screen", click_text={"matches": pattern})
    with connect("jm_loader", settings=server) as connection:
        connection.execute("set local statement_timeout = '5s'")
        connection.execute(sql.SQL(f"select {compiled} from (select repeat('ab', 5000) || '!' as click_text) as d"))  # noqa: S608


@pytest.mark.parametrize(
    "pattern", [r"(\w*\s*\d*\W*){50}$", r"(\w*\s*\d*){66}$", "^(((a?){6}){6}){5}$", "((a?){2}){100}"]
)
def test_the_longest_repeats_that_are_accepted_are_prepared_in_time(server: Settings, pattern: str) -> None:
    """Up to a second; four times as long would be a minute, or "too complex" in the middle of a run."""
    compiled = predicate("screen", click_text={"matches": pattern})
    with connect("jm_loader", settings=server) as connection:
        connection.execute("set local statement_timeout = '20s'")
        connection.execute(sql.SQL(f"select {compiled} from (select repeat('ab', 50) || '!' as click_text) as d"))  # noqa: S608


def test_a_mistake_in_a_file_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "funnels.yml").write_text(
        "funnels:\n  - id: FN-X\n    label: {ko: 가, en: x}\n    owner: a\n    window: 14 days\n    stepz: []\n"
    )
    with pytest.raises(DefinitionError) as raised:
        load_definitions(tmp_path)
    message = str(raised.value)
    assert "funnels.yml:6: funnels.0.stepz: unknown key; did you mean 'steps'?" in message
    assert "funnels.yml:5: funnels.0.window: expected a duration such as 30m, 14d" in message
    assert "funnels.yml:2: funnels.0.steps: missing" in message
