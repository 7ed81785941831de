"""Segments of the ways that sessions take: whatever a page is called, it is only ever compared."""

from __future__ import annotations

import re
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import Environment
from psycopg.types.json import Jsonb

from journeymart.db import connect
from journeymart.definitions.applied import load_definitions
from journeymart.definitions.loader import DefinitionError
from journeymart.definitions.requests import read
from journeymart.definitions.segments import Clause, Segment, Walk
from journeymart.settings import REPO, Settings

LEAF = REPO / "dbt_project" / "models" / "intermediate" / "int_segment__leaf.sql"
# the model as a run renders it: what a definition says comes from a table, not from the text
LEAVES = (
    Environment(autoescape=False)  # noqa: S701 - SQL
    .from_string(LEAF.read_text(encoding="utf-8"))
    .render(source=lambda _schema, table: f"pg_temp.{table}")
)
HOSTILE = ["'; drop table node; --", "\\'", "') or true --", "$$", ".*", "[^", "A{9999}", "{{ x }}", "{% raw %}", "%s"]
# what people call pages, and what might end the statement, the pattern or the template around it
codes = st.sampled_from(["A", "B", *HOSTILE]) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12
)


def segment(path: dict[str, Any]) -> Segment:
    return read(Segment, {"id": "SG-X", "label": {"ko": "가", "en": "x"}, "owner": "a", "all_of": [{"path": path}]})


@pytest.fixture(scope="module")
def database(server: Settings) -> Any:
    with connect("jm_builder", settings=server) as connection:
        connection.execute(
            "create temporary table node (node_id integer, node text);"
            "create temporary table definition"
            " (kind text, definition_id text, retired_at timestamptz, content jsonb)"
        )
        yield connection
        connection.rollback()


def takes(walk: Walk, path: list[str]) -> bool:
    """Whether a session takes such a way: every choice of places is tried."""
    later = [
        path[places[-1] + 1 :]
        for places in combinations(range(len(path)), len(walk.through))
        if tuple(path[place] for place in places) == walk.through
        and (not walk.directly or places[-1] - places[0] == len(places) - 1)
        and (walk.at_step is None or places[0] == walk.at_step - 1)
    ]
    return any(not rest or not walk.ends for rest in later) and not any(walk.not_then in rest for rest in later)


limits: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("channel", "domain", "device_type"), codes)
    | {"from_date": st.dates(max_value=date(2026, 3, 2)), "to_date": st.dates(min_value=date(2026, 3, 3))},
)


@st.composite
def asked(draw: st.DrawFn) -> tuple[Walk, list[str]]:
    known = draw(st.lists(codes, min_size=1, max_size=4, unique=True))
    one = st.sampled_from(known) | codes
    through = tuple(draw(st.lists(one, min_size=1, max_size=3)))
    directly = draw(st.booleans())
    ends = draw(st.booleans())
    limited: dict[str, Any] = dict(draw(limits))
    walk = Walk(
        **limited,
        through=through,
        directly=directly,
        at_step=draw(st.none() | st.integers(1, 3)) if directly or len(through) == 1 else None,
        ends=ends,
        not_then=None if ends else draw(st.none() | one),
    )
    return walk, draw(st.lists(st.sampled_from(known), min_size=1, max_size=5))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=asked())
def test_a_hostile_path_is_only_ever_compared(database: psycopg.Connection, question: tuple[Walk, list[str]]) -> None:
    """A session is found when it takes the way by comparing names, and what becomes SQL holds none of them."""
    walk, path = question
    content = segment(walk.model_dump(mode="json", by_alias=True)).content()
    [leaf] = content["leaves"]
    assert re.fullmatch(r"[0-9a-f]{16}", leaf["leaf_id"])
    assert content["expression"] == segment({"through": ["A"]}).content()["expression"].replace(
        segment({"through": ["A"]}).content()["leaves"][0]["leaf_id"], leaf["leaf_id"]
    )
    database.execute("delete from pg_temp.node; delete from pg_temp.definition")
    nodes = {code: number for number, code in enumerate(dict.fromkeys(path), start=1)}
    with database.cursor() as cursor:
        cursor.executemany("insert into node values (%s, %s)", [(number, code) for code, number in nodes.items()])
        cursor.execute("insert into definition values ('segments', 'SG-X', null, %s)", (Jsonb(content),))
        cursor.execute(
            "select coalesce(s.path ~ l.pattern and coalesce(s.path !~ l.forbidden, true), false)"  # noqa: S608 - our own
            f" from ({LEAVES}) as l cross join (select string_agg(raw.node_char(n), '' order by o)"
            " from unnest(%s::integer[]) with ordinality as u (n, o)) as s (path)".encode(),
            ([nodes[code] for code in path],),
        )
        assert cursor.fetchall() == [(takes(walk, path),)]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limited=limits, breakdown=codes, kind=st.sampled_from(["path", "funnel"]))
def test_hostile_filters_of_a_cell_are_only_ever_compared(
    database: psycopg.Connection, limited: dict[str, Any], breakdown: str, kind: str
) -> None:
    """They come back from the database as they are, from a table and not from the text of a statement."""
    own = {"id": "FN-X", "step": 2, "breakdown": breakdown} if kind == "funnel" else {"through": ["A"]}
    content = read(Segment, {
        "id": "SG-X", "label": {"ko": "가", "en": "x"}, "owner": "a", "all_of": [{kind: {**own, **limited}}]
    }).content()  # fmt: skip
    one_leaf = r"\(+coalesce\(range_agg\(r\.valid\) filter \(where r\.leaf_id = '[0-9a-f]{16}'\), '\{\}'\)+"
    assert re.fullmatch(one_leaf, content["expression"])
    database.execute("delete from pg_temp.definition")
    database.execute("insert into definition values ('segments', 'SG-X', null, %s)", (Jsonb(content),))
    names = ("channel", "domain", "device_type")
    columns = "channel, domain, device_type, is_of_agents, breakdown, from_date::text, to_date::text"
    found = database.execute(f"select {columns} from ({LEAVES}) as l".encode()).fetchall()  # noqa: S608 - our own
    assert found == [(
        *(limited.get(name) for name in names), any(name in limited for name in names),
        breakdown if kind == "funnel" else None,
        str(limited.get("from_date", "-infinity")), str(limited.get("to_date", "infinity")),
    )]  # fmt: skip


def test_text_cannot_hold_what_the_database_cannot(tmp_path: Path) -> None:
    (tmp_path / "segments.yml").write_text('segments:\n- id: "SG\\0"\n')
    with pytest.raises(DefinitionError, match=r"segments\.yml:2: text cannot hold a NUL character"):
        load_definitions(tmp_path)


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (
            "funnel: {id: FN-ACCOUNT-OPENING}",
            r"segments\.yml:2: segments\.0: SG-X: there is no funnel FN-ACCOUNT-OPENING; did you",
        ),
        ("funnel: {id: FN-ACCOUNT-OPEN, step: 30}", r"SG-X: FN-ACCOUNT-OPEN has \d steps"),
        ("funnel: {id: FN-ACCOUNT-OPEN, step: 5, outcome: dropped}", "nobody is dropped at step 5, the last of FN-ACC"),
        (
            "funnel: {id: FN-ACCOUNT-OPEN, from: 2026-03-02, to: 2026-03-01}",
            "cannot be reached: from 2026-03-02 to 2026-03-01",
        ),
        ("funnel: {id: FN-ACCOUNT-OPEN, outcome: dropped}, within: 7d", "nobody is dropped at a moment; it is of now"),
        (
            "rule: DR-FX-INTEND",
            r"segments\.yml:2: segments\.0: SG-X: there is no rule DR-FX-INTEND; did you mean 'DR-FX-INTENT'",
        ),
        ("none_of: [{rule: FN-ACCOUNT-OPEN}]", "should match pattern"),
        ("rule: DR-FX-INTENT, after: {source: screen, where: {page_code: A}}", "after belongs to did and did_not"),
    ],
)
def test_a_segment_of_what_a_report_does_not_have(tmp_path: Path, report: str, message: str) -> None:
    (tmp_path / "segments.yml").write_text(
        f"segments:\n- {{id: SG-X, label: {{ko: 가, en: x}}, owner: a, all_of: [{{{report}}}]}}\n"
    )
    with pytest.raises(DefinitionError, match=message):
        load_definitions(tmp_path)


@pytest.mark.parametrize(
    ("asked", "written"),
    [("7d", "7d"), ("1w", "7d"), ("36h", "36h"), ("90s", "90s"), ("1.5s", "1500ms"), ("0.5m", "30s")],
)
def test_a_duration_is_written_in_its_largest_unit(asked: str, written: str) -> None:
    clause = Clause.model_validate({"rule": "DR-FX-STUCK", "within": asked})
    assert clause.model_dump(mode="json", exclude_defaults=True)["within"] == written
