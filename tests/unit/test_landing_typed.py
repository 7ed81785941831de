"""The rows of a batch between reading and copying: which lines are JSON, and what changes where."""

from __future__ import annotations

import json
import random

import duckdb
import pyarrow as pa
import pytest

from journeymart.landing.decode import HASH_OF_KEYS, ROW_ID
from journeymart.landing.readers import LINE
from journeymart.landing.typed import THREAD_ROWS, Typed

ODD = ("", "x", "{", "null", "[1]", "{}x", '{"a":1,}', '{"a":NaN}', '{"a":01}', '{"a":"\\x"}', '{"a":"\x01"}', '{"":1}')


def test_a_line_that_is_not_json_has_no_keys_whatever_stands_beside_it() -> None:
    choice = random.Random(1)
    lines = [json.dumps({f"key {choice.randrange(9)}": [number, "한"]}, ensure_ascii=False) for number in range(6000)]
    for position in choice.sample(range(len(lines)), 900):
        line, at = lines[position], choice.randrange(9)
        lines[position] = choice.choice([*ODD, line[:at], line[:at] + choice.choice('{}[]",:\\0é') + line[at + 1 :]])
    with duckdb.connect() as engine:
        engine.register("chunk", pa.table({"n": range(len(lines)), LINE: lines}))
        [found, expected] = [
            [row[0] for row in engine.execute(f"select {keys} from chunk order by n").fetchall()]  # noqa: S608
            for keys in (HASH_OF_KEYS, f"case when json_valid({LINE}) then hash(json_keys({LINE})) end")
        ]
    assert found == expected
    assert len(set(found)) > len(ODD) and 500 < found.count(None) < 900


def test_an_update_changes_the_rows_that_it_finds_in_whatever_order() -> None:
    count = 3 * THREAD_ROWS
    with duckdb.connect() as engine:
        typed = Typed(engine)
        typed.fill(f"select i + 7 as row_id, i::varchar as value, i::usmallint as small from range({count}) t(i)")  # noqa: S608
        typed.update({"value": "null", "small": "1"}, "typed where small % 5 = ? order by small desc", [2])
        typed.update({"value": "'none'"}, "typed where small = 99999")
        found = engine.execute("select row_id, value, small from typed").fetchall()
    assert found == [(i + 7, None if i % 5 == 2 else str(i), 1 if i % 5 == 2 else i) for i in range(count)]


@pytest.mark.parametrize("order", ["row_id", "row_id desc", "even, row_id"])
def test_columns_of_the_file_are_taken_as_they_are_without_values_that_are_empty(order: str) -> None:
    texts = ["a", None, "", "한"] * THREAD_ROWS
    ids = range(7, 7 + len(texts))
    chunk = pa.table({ROW_ID: ids, "given": texts, "full": ["x"] * len(texts)})
    with duckdb.connect() as engine:
        typed = Typed(engine)
        typed.fill(f"select i + 7 as row_id, i % 2 = 0 as even from range({len(texts)}) t(i) order by {order}")  # noqa: S608
        typed.add(chunk, {"value": "given", "whole": "full"}, {"whole"})
        found = engine.execute("select row_id, even, value, whole from typed").fetchall()
        unknown = pa.table({ROW_ID: [1], "given": ["a"], "full": ["x"]})
        for other in (chunk.slice(1), pa.concat_tables([chunk.slice(1), unknown])):
            with pytest.raises(AssertionError, match="not those of a chunk"):
                typed.add(other, {"other": "full"}, ())
    expected = [(row_id, i % 2 == 0, texts[i] or None, "x") for i, row_id in enumerate(ids)]
    assert found == expected


def test_a_value_is_replaced_wherever_it_is_and_what_is_made_of_it_with_it() -> None:
    with duckdb.connect() as engine:
        typed = Typed(engine)
        typed.fill(
            "select i as row_id, (i % 3)::varchar as a, case when i % 2 = 1 then (i % 5)::varchar end as b,"
            " concat_ws('-', a, b) as both from range(49152) t(i)"
        )
        assert sorted(typed.distinct("b").to_pylist()) == ["0", "1", "2", "3", "4"]
        typed.replace(
            {"a": {"1": "one", "7": "never"}, "b": {"4": "four"}}, {"both": "a || '+' || coalesce(b, 'none')"}
        )
        found = engine.execute("select * from typed").fetchall()
    for row_id, a, b, both in found:
        old_a, old_b = str(row_id % 3), str(row_id % 5) if row_id % 2 else None
        assert (a, b) == ("one" if old_a == "1" else old_a, "four" if old_b == "4" else old_b)
        is_changed = (a, b) != (old_a, old_b)
        assert both == (f"{a}+{b or 'none'}" if is_changed else "-".join(filter(None, (a, b))))
    assert [row_id for row_id, *_ in found] == list(range(49152))


def test_rows_that_hold_the_same_have_the_same_number_and_rows_with_a_problem_none() -> None:
    with duckdb.connect() as engine:
        typed = Typed(engine)
        typed.fill(
            "select i as row_id, case when i % 7 = 1 then 3 end::usmallint as problem,"
            " nullif((i % 3)::varchar, '0') as a, nullif((i % 4)::varchar, '0') as b,"
            " i::varchar as c, md5(c) as d, reverse(d) as e, left(d, 16) as f from range(49152) t(i)"
        )
        for _ in range(2):  # again, as after masking
            typed.number(
                {"pair": ("a", "b"), "wide": ("c", "a", "d", "e", "f")}
            )  # wide: more combinations than 64 bits
        pairs = engine.execute("select typed.row_id, typed.a, typed.b, pair.a, pair.b, pair from typed"
                               " left join pair using (pair) order by row_id").fetchall()  # fmt: skip
        [(numbers, values)] = engine.execute("select count(distinct pair), count(distinct (a, b)) from pair").fetchall()
        [wide] = engine.execute(
            "select count(distinct typed.wide), count(*), max(wide.wide)"
            " from typed join wide using (wide, a, c, d, e, f)"
        ).fetchall()
    assert (numbers, values) == (12, 12)
    for row_id, a, b, found_a, found_b, _ in pairs:
        assert (found_a, found_b) == ((None, None) if row_id % 7 == 1 else (a, b))
    rows = sum(row_id % 7 != 1 for row_id in range(49152))
    assert [pair[5] is None for pair in pairs] == [row_id % 7 == 1 for row_id in range(49152)]
    # `using (a)` leaves out what is null
    without_a = sum(row_id % 7 != 1 and row_id % 3 == 0 for row_id in range(49152))
    assert wide == (rows - without_a, rows - without_a, rows - 1)
