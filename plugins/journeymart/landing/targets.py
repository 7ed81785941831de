# ruff: noqa: S608 - SQL made of this module's own constants
"""From typed fields to the tables of schema raw: which dictionaries a source uses and what is copied where.

All SQL here is DuckDB's, over the table `typed` that decode.py makes; rows with a problem are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from journeymart.definitions.pages import Pages
from journeymart.landing.decode import text
from journeymart.landing.dictionaries import (
    AGENT,
    AGENT_COLUMNS,
    CUSTOMER,
    ERROR,
    ERROR_COLUMNS,
    INFLOW,
    INFLOW_COLUMNS,
    NODE,
    VISITOR,
    Dictionary,
)

# The first 64 bits of the md5, signed: what PostgreSQL writes ('x' || left(md5(event_id), 16))::bit(64)::bigint.
UNSIGNED_HASH = "('0x' || left(md5(event_id), 16))::ubigint"
EVENT_HASH = (
    "case when unsigned_hash < 9223372036854775808 then unsigned_hash::bigint"
    " else (unsigned_hash - 9223372036854775808)::bigint - 9223372036854775807 - 1 end"
)
NODE_CODE_LENGTH = 256
NO_PAGE = "(none)"
JSON_COLUMNS = frozenset({"properties", "fields", "attributes", "answers"})


@dataclass(frozen=True)
class Target:
    """How one source is stored. `tables` maps a table of schema raw to the query of the rows copied into it."""

    time: str | None  # the field that says when it happened
    dictionaries: dict[Dictionary, str]  # with the query of the values that occur, distinct
    tables: dict[str, str]
    derived: dict[str, str] = field(default_factory=dict)  # further columns of `typed`
    prepare: Callable[[Pages], list[str]] = lambda _pages: []
    names: str | None = None  # query of (node_id, name, last_at)
    numbers: tuple[str, ...] = ()  # fields that are summed for the ledger


def _distinct(column: str) -> str:
    return f"select distinct {column} from typed where problem is null and {column} is not null"


def _fingerprint(columns: tuple[str, ...]) -> str:
    """md5 of the values, each with its length, so that no two different rows can look alike."""
    parts = ", ".join(f"coalesce(strlen({column}) || ':' || {column}, '-')" for column in columns)
    return f"md5(concat_ws(',', {parts}))::uuid::varchar"


def _fingerprinted(columns: tuple[str, ...], any_of: bool) -> str:
    """Distinct values of several columns with their fingerprint; `any_of` leaves out rows without any value."""
    listed = ", ".join(columns)
    known = f"and coalesce({listed}) is not null" if any_of else ""
    values = f"select distinct {listed} from events where problem is null {known}"
    return f"select {_fingerprint(columns)} as fingerprint, * from ({values})"


def _same(table: str, columns: tuple[str, ...]) -> str:
    return " and ".join(f"events.{column} is not distinct from {table}.{column}" for column in columns)


def _host(url: str) -> str:
    """Host of a URL in lower case, without user and port; null if there is none."""
    authority = f"regexp_extract({url}, '://[^/?#]*')"
    # One expression for both would need a capturing group, which takes five times as long.
    return f"nullif(lower(regexp_replace({authority}, '^://([^@]*@)?|:[0-9]*$', '', 'g')), '')"


def _without_www(host: str) -> str:
    return f"case when starts_with({host}, 'www.') then substr({host}, 5) else {host} end"


def clean_path(path: str, pages: Pages) -> str:
    """SQL that applies the rules of pages.yml to a path: each twice, because neighbours share a slash."""
    for rule in pages.path_rules:
        for _ in range(2):
            path = f"regexp_replace({path}, {text(rule.match)}, {text(rule.replace)}, 'g')"
    return f"coalesce(nullif(left({path}, {NODE_CODE_LENGTH}), ''), '/')"


def _places(pages: Pages) -> list[str]:
    """Which node a place is; a path is cleaned once, however many events have it."""
    return [
        # What an event says about its site comes from the page's address where the tag does not say it.
        f"""
        create or replace temp view events as
        select * replace (site as domain), {EVENT_HASH} as event_hash,
            case when {_without_www("referrer_host")} is distinct from {_without_www("site")}
                then referrer_host end as referrer_domain
        from typed""",
        f"""
        create or replace temp table places as
        select kind, place, case kind when 'url' then {clean_path("place", pages)} else place end as code
        from (select distinct kind, place from events where problem is null)""",
    ]


_PATH = r"regexp_replace(page_url, '^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*|[?#].*$', '', 'gs')"
_NODES = """
    join places on places.kind = events.kind and places.place = events.place
    join node_keys on node_keys.kind = places.kind and node_keys.code = places.code"""

CLICKSTREAM = Target(
    time="event_time",
    derived={
        "kind": "case when page_code is null and page_url is not null then 'url' else 'page' end",
        # Not coalesce, which works out its second value for every row.
        "place": f"case when page_code is not null then page_code when page_url is null then {text(NO_PAGE)}"
        f" else '/' || ltrim({_PATH}, '/') end",
        "site": f"case when domain is not null then lower(domain) else {_host('page_url')} end",
        "referrer_host": f"case when referrer_url is not null then {_host('referrer_url')} end",
        "unsigned_hash": UNSIGNED_HASH,
    },
    prepare=_places,
    dictionaries={
        VISITOR: _distinct("visitor_id"),
        CUSTOMER: _distinct("customer_id"),
        NODE: "select distinct kind, code from places",
        AGENT: _fingerprinted(AGENT_COLUMNS, any_of=False),
        INFLOW: _fingerprinted(INFLOW_COLUMNS, any_of=True),
        ERROR: _fingerprinted(ERROR_COLUMNS, any_of=True),
    },
    tables={
        "event": f"""
            select row_id, event_time as event_at, event_hash,
                visitor_keys.key as visitor_key, customer_keys.key as customer_key, node_keys.key as node_id,
                agent_keys.key as agent_key, inflow_keys.key as inflow_key, error_keys.key as error_key,
                actions.action_id
            from events
            join visitor_keys using (visitor_id)
            left join customer_keys using (customer_id)
            {_NODES}
            join agent_keys on {_same("agent_keys", AGENT_COLUMNS)}
            left join inflow_keys on {_same("inflow_keys", INFLOW_COLUMNS)}
            left join error_keys on {_same("error_keys", ERROR_COLUMNS)}
            join actions using (action_type)
            where problem is null
            order by row_id""",
        "clickstream": """
            select row_id, event_id, received_time as received_at, session_id as tag_session_id, page_name, page_url,
                referrer_url, click_text, click_name, checkbox, popup_name, tab_name, step_position, exit_menu, ip,
                properties
            from typed where problem is null""",
    },
    names=f"""
        select node_keys.key as node_id, left(page_name, {NODE_CODE_LENGTH}) as name, max(event_time) as last_at
        from events {_NODES}
        where page_name is not null and problem is null
        group by all""",
)

TRANSACTIONS = Target(
    time="transaction_time",
    numbers=("amount",),
    dictionaries={
        VISITOR: _distinct("visitor_id"),
        CUSTOMER: _distinct("customer_id"),
        NODE: """select distinct 'transaction' as kind, transaction_code as code from typed where problem is null""",
    },
    tables={
        "transactions": """
            select row_id, transaction_id, transaction_time as transacted_at, customer_keys.key as customer_key,
                node_keys.key as node_id, channel, result_code, amount, currency, visitor_keys.key as visitor_key,
                session_id as tag_session_id, fields, properties
            from typed
            join customer_keys using (customer_id)
            join node_keys on node_keys.kind = 'transaction' and node_keys.code = transaction_code
            left join visitor_keys using (visitor_id)
            where problem is null
            order by row_id"""
    },
)

CUSTOMERS = Target(
    time=None,
    dictionaries={CUSTOMER: _distinct("customer_id")},
    tables={
        "customers": """
            select row_id, customer_keys.key as customer_key, effective_date, birth_year, gender, region, grade,
                investment_propensity, joined_on, attributes, properties
            from typed join customer_keys using (customer_id) where problem is null order by row_id"""
    },
)

CONSULTATIONS = Target(
    time="consulted_at",
    dictionaries={CUSTOMER: _distinct("customer_id")},
    tables={
        "consultations": """
            select row_id, consultation_id, customer_keys.key as customer_key, consulted_at, channel, category, result,
                agent_team, properties
            from typed join customer_keys using (customer_id) where problem is null order by row_id"""
    },
)

CAMPAIGN_SENDS = Target(
    time="sent_at",
    dictionaries={CUSTOMER: _distinct("customer_id")},
    tables={
        "campaign_sends": """
            select row_id, send_id, customer_keys.key as customer_key, sent_at, campaign_id, channel, message_id,
                result, opened_at, clicked_at, properties
            from typed join customer_keys using (customer_id) where problem is null order by row_id"""
    },
)

SUBSCRIPTIONS = Target(
    time="subscribed_at",
    dictionaries={CUSTOMER: _distinct("customer_id")},
    tables={
        "subscriptions": """
            select row_id, subscription_id, customer_keys.key as customer_key, subscribed_at, product_code,
                product_name, status, ended_at, channel, properties
            from typed join customer_keys using (customer_id) where problem is null order by row_id"""
    },
)

SURVEY_RESPONSES = Target(
    time="responded_at",
    dictionaries={VISITOR: _distinct("visitor_id"), CUSTOMER: _distinct("customer_id")},
    tables={
        "survey_responses": """
            select row_id, response_id, responded_at, customer_keys.key as customer_key,
                visitor_keys.key as visitor_key, rule_id, answers, properties
            from typed
            left join customer_keys using (customer_id)
            left join visitor_keys using (visitor_id)
            where problem is null order by row_id"""
    },
)

CONSENTS = Target(
    time="effective_at",
    dictionaries={CUSTOMER: _distinct("customer_id")},
    tables={
        "consents": """
            select row_id, customer_keys.key as customer_key, purpose, granted as is_granted, effective_at, properties
            from typed join customer_keys using (customer_id) where problem is null order by row_id"""
    },
)

TARGETS = {
    "clickstream": CLICKSTREAM,
    "transactions": TRANSACTIONS,
    "customers": CUSTOMERS,
    "consultations": CONSULTATIONS,
    "campaign_sends": CAMPAIGN_SENDS,
    "subscriptions": SUBSCRIPTIONS,
    "survey_responses": SURVEY_RESPONSES,
    "consents": CONSENTS,
}
