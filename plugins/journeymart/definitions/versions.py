"""Definitions in the warehouse: their versions in schema config, and which of them the published mart follows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import psycopg
from psycopg.types.json import Jsonb

from journeymart.db import exists, holds
from journeymart.definitions.applied import Definitions
from journeymart.definitions.exchange_rates import KIND as EXCHANGE_RATES
from journeymart.definitions.transactions import load_transactions

# A change of these kinds of definitions computes the whole mart anew; one of another kind, what it defines alone.
REBUILDING = frozenset({"channels", "sessions"})


def apply_definitions(connection: psycopg.Connection, definitions: Definitions, project_hash: str) -> str:
    """Version what changed in config.definition; returns a hash of what decides all of the mart's numbers."""
    current = definitions.content
    with connection.transaction():
        stored = {
            (kind, definition_id): (version, content if retired_at is None else None)
            for kind, definition_id, version, content, retired_at in connection.execute(
                "select distinct on (kind, definition_id) kind, definition_id, version, content, retired_at"
                " from config.definition order by kind, definition_id, version desc"
            )
        }
        gone = [key for key, (_, content) in stored.items() if content is not None and current.get(key) != content]
        new = [(*key, stored.get(key, (0,))[0] + 1, Jsonb(content)) for key, content in current.items()
               if stored.get(key, (0, None))[1] != content]  # fmt: skip
        with connection.cursor() as cursor:
            cursor.executemany(
                "update config.definition set retired_at = now()"
                " where kind = %s and definition_id = %s and retired_at is null",
                gone,
            )
            cursor.executemany(
                "insert into config.definition (kind, definition_id, version, content) values (%s, %s, %s, %s)", new
            )
            if EXCHANGE_RATES in {kind for kind, *_ in [*gone, *new]}:
                cursor.execute("delete from config.exchange_rate")
                cursor.execute(
                    """
                    insert into config.exchange_rate (currency, valid_from, krw_per_unit)
                    select d.definition_id, r.key::date, r.value::numeric
                    from config.definition as d
                    cross join lateral jsonb_each_text(d.content -> 'krw_per_unit') as r
                    where d.kind = %s and d.retired_at is null
                    """,
                    (EXCHANGE_RATES,),
                )
            cursor.execute("delete from config.condition")
            cursor.executemany(
                "insert into config.condition (condition_id, source, predicate, hold_value, breakdown_value,"
                " is_of_node, uses_customer, uses_session) values (%s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (
                        key,
                        source,
                        compiled.predicate,
                        compiled.hold,
                        compiled.breakdown,
                        compiled.is_of_node,
                        *condition.uses,
                    )
                    for key, condition in definitions.conditions.items()
                    for source, compiled in condition.compiled().items()
                ],
            )
    return digest_of(definitions, project_hash)


def digest_of(definitions: Definitions, project_hash: str) -> str:
    """A hash of what decides all of the mart's numbers."""
    general = [item for item in sorted(definitions.content.items()) if item[0][0] in REBUILDING]
    return hashlib.sha256(json.dumps([project_hash, *general], sort_keys=True).encode()).hexdigest()


def apply_transaction_codes(connection: psycopg.Connection, directory: Path | None) -> None:
    """Bring config.transaction_code up to date. Names decide no number, so they need no new computation."""
    codes = load_transactions(directory).transactions
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("delete from config.transaction_code where transaction_code <> all (%s)", (list(codes),))
        cursor.executemany(
            """
            insert into config.transaction_code as known (transaction_code, content) values (%s, %s)
            on conflict (transaction_code) do update set content = excluded.content, applied_at = now()
            where known.content <> excluded.content
            """,
            [(code, Jsonb(transaction.model_dump(exclude_none=True))) for code, transaction in codes.items()],
        )


def published_definitions(connection: psycopg.Connection) -> dict[tuple[str, str], int]:
    """Version by kind and id of what mart follows; nothing before the first publication."""
    if not exists(connection, "mart.definition"):
        return {}
    rows = connection.execute("select kind, definition_id, version from mart.definition").fetchall()
    return {(kind, definition_id): version for kind, definition_id, version in rows}


def definitions_wait(connection: psycopg.Connection) -> bool:
    """Whether a definition has changed since the publication that mart shows."""
    return holds(
        connection,
        """
        with applied as (select kind, definition_id, version from config.definition where retired_at is null),
        published as (select kind, definition_id, version from mart.definition)
        select exists (
            (table applied except table published) union all (table published except table applied)
        )
        """,
    )
