# ruff: noqa: S608 - SQL made of this module's own constants
"""From typed fields to the tables of schema raw: which dictionaries a source uses and what is copied where.

All SQL here is DuckDB's, over the relation `typed` that decode.py makes; rows with a problem are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from journeymart.definitions.pages import Pages
from journeymart.landing.decode import KEY_LENGTH, LINE_NO_MASK, text
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


def _hash(value: str) -> str:
    """The first 64 bits of the md5, signed: in PostgreSQL ('x' || left(md5(value), 16))::bit(64)::bigint."""
    unsigned = f"('0x' || left(md5({value}), 16))::ubigint"
    return (
        f"case when {unsigned} < 9223372036854775808 then {unsigned}::bigint"
        f" else ({unsigned} - 9223372036854775808)::bigint - 9223372036854775807 - 1 end"
    )


def _line_hash(*values: str) -> str:
    """The hash of a row's line number and these values."""
    return _hash(f"concat_ws('|', row_id & {LINE_NO_MASK}, {', '.join(values)})")


EVENT_HASH = _hash("event_id")
NODE_CODE_LENGTH = 256
NO_PAGE = "(none)"  # in the place of an address, all of which begin with /
JSON_COLUMNS = frozenset({"properties", "fields", "attributes", "answers"})


@dataclass(frozen=True)
class Target:
    """How one source is stored. `tables` maps a table of schema raw to the query of the rows copied into it."""

    time: str | None  # the field that says when it happened, or from when on it holds
    dictionaries: dict[Dictionary, str]  # with the query of the values that occur, distinct
    tables: dict[str, str]
    derived: Callable[[Pages], dict[str, str]] = lambda _pages: {}  # further columns of `typed`
    numbered: dict[str, tuple[str, ...]] = field(default_factory=dict)  # numbers in `typed`, each of these columns
    prepare: Callable[[Pages], list[str]] = lambda _pages: []  # tables made before the dictionaries are filled
    names: str | None = None  # query of (node_id, name, last_at)
    numbers: tuple[str, ...] = ()  # fields that are summed for the ledger
    is_event: bool = True  # happened when it says, and not in times to come
    # 64 bits of each row. Their sum over a file does not depend on the order of rows; DQ-RAW-HASH works it out again
    # from the stored rows (expectations/sql/raw_hash.sql).
    line_hash: str = ""

    @property
    def in_dictionaries(self) -> frozenset[str]:
        """Fields whose values are stored nowhere but in dictionaries."""
        columns = {column for dictionary in self.dictionaries for column in dictionary.columns}
        return frozenset(columns | ({"page_code", "transaction_code"} if NODE in self.dictionaries else set()))


def _distinct(column: str) -> str:
    return f"select distinct {column} from typed where problem is null and {column} is not null"


def _fingerprint(columns: tuple[str, ...]) -> str:
    """md5 of the values, each with its length, so that no two different rows can look alike."""
    parts = ", ".join(f"coalesce(strlen({column}) || ':' || {column}, '-')" for column in columns)
    return f"md5(concat_ws(',', {parts}))::uuid::varchar"


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


def _node(prefix: str, code: str) -> str:
    """What a path calls a node: with a mark where reports of paths use the word themselves (entry, exit, other)."""
    return f"regexp_replace({prefix} || {code}, {text(_REPORT_WORDS)}, {text(_MARKED)})"


def _prefix(pages: Pages) -> str:
    """What goes before the pages of an event's domain."""
    found = [
        f"when {_SITE} = {text(entry.domain)}{f' and channel = {text(entry.channel)}' if entry.channel else ''}"
        f" then {text(f'{entry.name}:')}"
        for entry in sorted(pages.domains, key=lambda entry: entry.channel is None)
    ]
    return f"case {' '.join(found)} else '' end"


def _derived(pages: Pages) -> dict[str, str]:
    # Not coalesce, which works out its second value for every row.
    place = (
        f"case when page_code is not null then page_code when page_url is null then {text(NO_PAGE)}"
        f" else '/' || ltrim({_PATH}, '/') end"
    )
    return {
        "kind": "case when page_code is null then 'url' else 'page' end",
        "place": f"{_prefix(pages)} || {_APART} || {place}" if pages.domains else place,
        # The page of an error is a page of the domain on which it was shown.
        "error_place": f"{_prefix(pages)} || error_page" if pages.domains else "error_page",
        "site": _SITE,
        "event_hash": EVENT_HASH,
    }


def _lookups(pages: Pages) -> list[str]:
    """What has to be worked out once for each number, however many events have it."""
    parts = f"split_part(place, {_APART}, 1) as prefix, substr(place, strpos(place, {_APART}) + 1) as page"
    return [
        f"""
        create or replace temp table places as
        select place_no, kind, prefix,
            case when starts_with(page, '/') and kind = 'url' then {clean_path("page", pages)} else page end as code
        from (select place_no, kind, {parts if pages.domains else "'' as prefix, place as page"} from place_no)""",
        f"""
        create or replace temp table agents as
        select agent_no, {_fingerprint(AGENT_COLUMNS)} as fingerprint, {", ".join(AGENT_COLUMNS)}
        from (select * rename (site as domain) from agent_no)""",
        # Few events say where they came from: their own site is no referrer.
        f"""
        create or replace temp table inflows as
        select inflow_no, {_fingerprint(INFLOW_COLUMNS)} as fingerprint, {", ".join(INFLOW_COLUMNS)}
        from (
            select *, case
                when {_without_www("host")} is distinct from {_without_www("site")} then host end as referrer_domain
            from (select *, {_host("referrer_url")} as host from inflow_no)
        )
        where coalesce({", ".join(INFLOW_COLUMNS)}) is not null""",
        f"""
        create or replace temp table errors as
        select error_no, {_fingerprint(ERROR_COLUMNS)} as fingerprint, {", ".join(ERROR_COLUMNS)}
        from (select * rename (error_place as error_page) from error_no)
        where coalesce({", ".join(ERROR_COLUMNS)}) is not null""",
    ]


def _keys(table: str) -> str:
    """The key of a dictionary by number."""
    return f"(select {table}_no, key from {table}s join {table}_keys using (fingerprint))"


_UTM_COLUMNS = tuple(column for column in INFLOW_COLUMNS if column != "referrer_domain")
# What an event says about its site comes from the page's address where the tag does not say it. It is part of keys, and
# no address that works has a longer one.
_SITE = f"case when domain is not null then lower(domain) else left({_host('page_url')}, {KEY_LENGTH}) end"
_APART = "chr(31)"  # between the name of a domain and the page
_REPORT_WORDS, _MARKED = r"^(유입|이탈|기타)\**$", r"\0*"
_PATH = r"regexp_replace(page_url, '^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*|[?#].*$', '', 'gs')"
_NODES = f"""(
    select places.place_no, node_keys.key
    from places
    join node_keys on node_keys.kind = places.kind and node_keys.code = places.code
        and node_keys.node = {_node("places.prefix", "places.code")}
)"""

CLICKSTREAM = Target(
    time="event_time",
    line_hash=f"xor(xor(event_hash, epoch_us(event_time)), row_id & {LINE_NO_MASK})",
    derived=_derived,
    numbered={
        "place_no": ("kind", "place"),
        "agent_no": tuple("site" if column == "domain" else column for column in AGENT_COLUMNS),
        "inflow_no": ("site", "referrer_url", *_UTM_COLUMNS),
        "error_no": tuple("error_place" if column == "error_page" else column for column in ERROR_COLUMNS),
    },
    prepare=_lookups,
    dictionaries={
        VISITOR: _distinct("visitor_id"),
        CUSTOMER: _distinct("customer_id"),
        NODE: f"select distinct kind, code, {_node('prefix', 'code')} as node from places",
        AGENT: "select distinct * exclude (agent_no) from agents",
        INFLOW: "select distinct * exclude (inflow_no) from inflows",
        ERROR: "select distinct * exclude (error_no) from errors",
    },
    tables={
        "event": f"""
            select row_id, event_time as event_at, event_hash,
                visitor_keys.key as visitor_key, customer_keys.key as customer_key, nodes.key as node_id,
                agents.key as agent_key, inflows.key as inflow_key, errors.key as error_key, actions.action_id
            from typed
            join visitor_keys using (visitor_id)
            left join customer_keys using (customer_id)
            join {_NODES} as nodes using (place_no)
            join {_keys("agent")} as agents using (agent_no)
            left join {_keys("inflow")} as inflows using (inflow_no)
            left join {_keys("error")} as errors using (error_no)
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
        select nodes.key as node_id, left(page_name, {NODE_CODE_LENGTH}) as name, max(last_at) as last_at
        from (
            select place_no, page_name, max(event_time) as last_at
            from typed where page_name is not null and problem is null group by all
        ) as named
        join {_NODES} as nodes using (place_no)
        group by all""",
)

TRANSACTIONS = Target(
    time="transaction_time",
    line_hash=_line_hash("transaction_id", "epoch_us(transaction_time)", "amount"),
    numbers=("amount",),
    dictionaries={
        VISITOR: _distinct("visitor_id"),
        CUSTOMER: _distinct("customer_id"),
        NODE: f"""
            select 'transaction' as kind, code, {_node("''", "code")} as node
            from (select distinct transaction_code as code from typed where problem is null)""",
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
    line_hash=_line_hash("customer_id", "effective_date"),
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
    line_hash=_line_hash("consultation_id", "epoch_us(consulted_at)"),
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
    line_hash=_line_hash("send_id", "epoch_us(sent_at)"),
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
    line_hash=_line_hash("subscription_id", "epoch_us(subscribed_at)"),
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
    line_hash=_line_hash("response_id", "epoch_us(responded_at)"),
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
    is_event=False,
    line_hash=_line_hash("customer_id", "purpose", "granted", "epoch_us(effective_at)"),
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
LINE_TABLES = tuple(next(iter(target.tables)) for target in TARGETS.values())  # one row of these for each line
