"""The dbt project's own macros as sqlfluff sees them: text of the shape that dbt would get, without a database.

Each has the name and the parameters of the macro in dbt_project/macros. A macro without a line here is reported by
sqlfluff as an undefined variable.
"""

from collections.abc import Sequence
from typing import Any

execute = True


def is_full() -> bool:
    """Read the side of a run of changes: it is the longer one."""
    return False


def has_gone() -> bool:
    """Read the side of a run that takes files away: it is the longer one."""
    return True


def is_gone(row_id: str) -> str:
    """A condition."""
    return f"{row_id} in (select g.file_id from build.run_gone as g)"


def landed(table: str) -> str:
    """A relation."""
    return f"raw.{table}"


def gone_lines(table: str) -> str:
    """A relation."""
    return f"raw.{table}"


def session_policy() -> dict[str, Any]:
    """A policy with everything switched on."""
    return {
        "time_zone": "Asia/Seoul",
        "timeout_seconds": 1800,
        "transaction_tolerance_seconds": 1800,
        "transaction_channels": ["web"],
        "cut_at_midnight": True,
        "cut_at_campaign": True,
        "collapse_repeats": True,
        "exclude_bots": True,
        "path_depth": 10,
        "device_days": 30,
    }


def new_lines(table: str) -> str:
    """A relation of raw."""
    return f"raw.{table}"


def is_new(row_id: str) -> str:
    """A condition on a row."""
    return f"{row_id} > 0"


def is_visible(row_id: str) -> str:
    """A condition on a row."""
    return f"{row_id} > 0"


def business_date(expression: str) -> str:
    """A date."""
    return f"({expression} at time zone 'Asia/Seoul')::date"


def seconds(value: float | None) -> str:
    """An interval."""
    return f"interval '{value} seconds'"


def computed(name: str) -> str:
    """A relation of this run."""
    return f"build.{name}"


def published(name: str) -> str:
    """A relation of the last publication."""
    return f"mart.{name}"


def changed_sessions() -> str:
    """A subquery."""
    return "(select * from build.session_fact)"


def replaced(name: str, columns: str) -> str:
    """A subquery."""
    return f"(select {columns} from mart.{name})"


def signed_rows(name: str, columns: str) -> list[tuple[int, str]]:
    """Two relations with their signs."""
    return [(1, computed(name)), (-1, replaced(name, columns))]


def counted(name: str, key: list[str], counters: list[str], changes: str, decimals: Sequence[str] = ()) -> str:
    """A query with the key and the counters."""
    return f"select {', '.join(key + counters)} from {changes} as changed"


def duplicates(table: str, id: str, happened_at: str = "row_id") -> str:  # noqa: A002 (the macro's name for it)
    """A query with row_id and of_row_id."""
    return f"select row_id, row_id as of_row_id from raw.{table}"


def midnight(expression: str) -> str:
    """A moment."""
    return f"({expression}::timestamp at time zone 'Asia/Seoul')"


def conditions(source: str, which: str = "known") -> list[tuple[str, str]]:
    """One condition."""
    return [("c1", "true")] if which == "known" else []


def step_matches(of: dict[str, str], rows: str, found: list[tuple[str, str]]) -> str:
    """A query with the columns of step_match."""
    return (
        "select condition_id, row_id, matched_at, source_rank, person_key, visitor_key, started_at, hold_value,"
        " breakdown_value from build.step_match"
    )


def funnel_walk() -> str:
    """A statement."""
    return "select 1"


def consent_moment() -> str:
    """When consent has to hold still."""
    return "now()"


def consents(customer_key: str, purpose: str) -> str:
    """A condition."""
    return f"({customer_key} = {purpose})"


def watermark() -> str:
    """A moment."""
    return "(select r.watermark_at from build.run_scope as r)"


def detection_walk() -> str:
    """A statement."""
    return "select 1"


def trigger_cap() -> str:
    """A statement."""
    return "select 1"


def is_published(name: str) -> bool:
    """There is something in mart."""
    return True


def segments() -> dict[str, Any]:
    """One segment that asks for one thing."""
    return {
        "rows": [("SG-1", 1, "'{}'::tstzmultirange")],
        "leaves": [{"leaf_id": "l1", "predicate": "u.grade is null"}],
    }


def channel_rules() -> list[dict[str, str]]:
    """One rule."""
    return [{"id": "paid", "predicate": "true"}]


def is_of_retired(kind: str, definition_id: str) -> str:
    """A condition on a published row."""
    return f"not exists (select from config.definition as d where (d.kind, m.{definition_id}) = ('{kind}', ''))"


def is_new_definition(kind: str = "d.kind", definition_id: str = "d.definition_id", version: str = "d.version") -> str:
    """A condition on a definition."""
    return f"not exists (select from mart.definition as p where (p.kind, p.version) = ({kind}, {version}))"


def times_left(known: str, come: str, gone: str) -> str:
    """A list."""
    return f"array(select t.seconds from unnest({known} || {come} || {gone}) as t (seconds) order by t.seconds)"


def is_of_agents(agent_key: str) -> str:
    """Whether the filters of a cell leave a session."""
    return f"({agent_key} is not null)"


def look_up(relation: str, alias: str, condition: str) -> str:
    """A join."""
    return f"inner join {relation} as {alias} on {condition}"


def first_of(name: str, column: str, condition: str) -> str:
    """A value."""
    return f"(select min(m.{column}) from next.{name} as m where {condition})"


def pace_of(longest: str) -> str:
    """What to sort by."""
    return f"{longest} is null, {longest}"


def surroundings(beside: str) -> str:
    """A moment."""
    return f"(m.matched_at + {beside} * k.moment)"


def stretches() -> str:
    """Queries of a with."""
    return (
        "stretched as (select c.*, 1 as stretch_no from counted as c),\n\n"
        "held as (select s.*, s.matched_at as first_at, s.matched_at as last_at, 1 as times from stretched as s)"
    )
