"""The condition language: what it compiles to, and that nothing a definition says becomes SQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from pydantic import ValidationError

from journeymart.db import connect
from journeymart.definitions.applied import load_definitions
from journeymart.definitions.conditions import Condition
from journeymart.definitions.loader import DefinitionError
from journeymart.settings import Settings


def predicate(source: str, **where: object) -> str:
    return Condition.model_validate({"source": source, "where": where}).predicate()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"channel": "web"}, "(a.channel = 'web')"),
        ({"channel": ["web", "app"]}, "(a.channel in ('web', 'app'))"),
        ({"click_text": {"contains": "50%_"}}, r"(d.click_text like  E'%50\\%\\_%')"),
        ({"error_code": {"is_null": False}}, "((r.error_code is null) = false)"),
        ({"none_of": [{"channel": "web"}]}, "(coalesce(((a.channel = 'web')), false) is false)"),
    ],
)
def test_what_a_condition_compiles_to(where: dict[str, object], expected: str) -> None:
    assert predicate("screen", **where) == expected


def test_amounts_are_numbers_and_message_items_are_text() -> None:
    assert predicate("transaction", amount={"between": [1, 2.5]}) == "(f.amount between 1 and 2.5)"
    assert predicate("transaction", **{"fields.currency": "USD"}) == "(d.fields ->> 'currency' = 'USD')"


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
    ],
)
def test_mistakes_are_explained(source: str, where: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        predicate(source, **where)


@pytest.mark.postgres
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
    | st.sampled_from(["'; drop table raw.event; --", "\\'", "%", "$$", "' or true --", "\\"])
)
def test_a_hostile_value_is_only_ever_compared(server: Settings, value: str) -> None:
    """Any text matches itself, by each operator, and not a different text; the statement stays one statement."""
    other = "≠" if value else "≠≠"
    with connect("jm_loader", settings=server) as connection:
        connection.execute("create temporary table d (click_text text)")
        connection.cursor().executemany("insert into d values (%s)", [(value,), (other,)])
        for where in ({"click_text": value}, {"click_text": {"in": [value]}}, {"click_text": {"contains": value}}):
            statement = sql.SQL(f"select click_text from d where {predicate('screen', **where)}")  # noqa: S608
            found = {text for (text,) in connection.execute(statement)}
            assert found == (
                {value, other}
                if isinstance(where["click_text"], dict) and "contains" in where["click_text"] and value in other
                else {value}
            )
        connection.rollback()


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
