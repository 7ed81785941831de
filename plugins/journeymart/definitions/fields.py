"""The fields that conditions can ask about: by source, with the SQL expression of each and its type.

The expressions name the aliases of dbt_project/macros/conditions.sql.
"""

from __future__ import annotations

import re
from typing import Literal

# In the order of things that happen at one moment: the place is the source_rank of step_match.
SOURCES = ("screen", "transaction", "consultation", "campaign", "subscription", "survey")
Source = Literal["screen", "transaction", "consultation", "campaign", "subscription", "survey", "any"]

TEXT, NUMBER, BOOLEAN, DATE, TIME, ITEM = "text", "number", "yes/no", "date", "time", "item"
CASTS = {TEXT: "text", NUMBER: "numeric", BOOLEAN: "boolean", DATE: "date", TIME: "timestamptz", ITEM: "jsonb"}

# When and of whom, by source.
AT = {
    "screen": "e.event_at", "transaction": "f.transacted_at", "consultation": "f.consulted_at",
    "campaign": "f.sent_at", "subscription": "f.subscribed_at", "survey": "f.responded_at",
}  # fmt: skip
CUSTOMER = dict.fromkeys(SOURCES, "f.customer_key") | {"screen": "coalesce(s.customer_key, e.customer_key)"}

# What is known of a device, and of where an event came from; what else a tag tells of an event.
AGENT = ("channel", "domain", "os", "device_type", "device_model", "app_version")
INFLOW = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "referrer_domain")
DETAIL = (
    "page_name", "page_url", "referrer_url", "click_text", "click_name", "checkbox", "popup_name", "tab_name",
    "step_position", "exit_menu",
)  # fmt: skip

# field → (expression, type)
FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "screen": {
        "page_code": ("case when n.kind = 'page' then n.code end", TEXT),
        "node": ("n.node", TEXT),
        "action_type": ("t.action_type", TEXT),
        **{name: (f"a.{name}", TEXT) for name in (*AGENT, "user_agent")},
        **{name: (f"i.{name}", TEXT) for name in INFLOW},
        "error_code": ("r.error_code", TEXT),
        "error_page": ("r.error_page", TEXT),
        **{name: (f"d.{name}", TEXT) for name in DETAIL},
        "properties": ("d.properties", ITEM),
    },
    "transaction": {
        "transaction_code": ("n.code", TEXT),
        "node": ("n.node", TEXT),
        "channel": ("f.channel", TEXT),
        "result_code": ("f.result_code", TEXT),
        "currency": ("f.currency", TEXT),
        "amount": ("f.amount", NUMBER),
        "amount_krw": ("f.amount_krw", NUMBER),
        "fields": ("d.fields", ITEM),
        "properties": ("d.properties", ITEM),
    },
    "consultation": {
        "channel": ("f.channel", TEXT),
        "category": ("f.category", TEXT),
        "result": ("f.result", TEXT),
        "agent_team": ("f.agent_team", TEXT),
        "properties": ("d.properties", ITEM),
    },
    "campaign": {
        "campaign_id": ("f.campaign_id", TEXT),
        "channel": ("f.channel", TEXT),
        "message_id": ("f.message_id", TEXT),
        "result": ("f.result", TEXT),
        "opened_at": ("f.opened_at", TIME),
        "clicked_at": ("f.clicked_at", TIME),
        "properties": ("d.properties", ITEM),
    },
    "subscription": {
        "product_code": ("f.product_code", TEXT),
        "product_name": ("f.product_name", TEXT),
        "status": ("f.status", TEXT),
        "channel": ("f.channel", TEXT),
        "ended_at": ("f.ended_at", TIME),
        "properties": ("d.properties", ITEM),
    },
    "survey": {
        "rule_id": ("f.rule_id", TEXT),
        "answers": ("f.answers", ITEM),
        "properties": ("d.properties", ITEM),
    },
}
# Of the customer, as they were on the day of the event.
CUSTOMER_FIELDS = {
    "birth_year": NUMBER, "gender": TEXT, "region": TEXT, "grade": TEXT, "investment_propensity": TEXT,
    "joined_on": DATE, "attributes": ITEM,
}  # fmt: skip
# Of rows that are not events: a version of a customer, and what is known of where an event came from.
ROW_FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "customer": {name: (f"u.{name}", kind) for name, kind in CUSTOMER_FIELDS.items()},
    "inflow": {name: (f"i.{name}", TEXT) for name in INFLOW},
}
FIELDS |= ROW_FIELDS
# Of the session, as it began: (table, key, column).
SESSION_FIELDS = {
    **{name: (("raw", "agent", "agent_key"), name) for name in AGENT},
    **{name: (("raw", "inflow", "inflow_key"), name) for name in INFLOW},
    "inflow_channel": ((None, "inflow", "inflow_key"), "inflow_channel"),
}
# What says no more than which page and what kind of action: decided once for each of them, not for each event.
OF_NODE = {"page_code", "node", "action_type"}
MOMENT = {"hour": ("hour", NUMBER), "weekday": ("isodow", NUMBER), "date": ("", DATE)}  # in business time
RANGES = {
    "hour": (0, 23, "hours are 0 (midnight) to 23"),
    "weekday": (1, 7, "weekdays are 1 (Monday) to 7 (Sunday)"),
}
TIMES = {name for fields in FIELDS.values() for name, (_, kind) in fields.items() if kind == TIME}
# Of what Python reads, what the database reads too.
WRITTEN = {
    DATE: re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    TIME: re.compile(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?"
        r"(Z|[-+](0[0-9]|1[0-5])(:?[0-5][0-9])?)"
    ),
}


def known_fields(source: str) -> list[str]:
    """The names that a condition on `source` can use; items inside JSON columns by the name of the column alone."""
    sources = SOURCES if source == "any" else (source,)
    names = {name for each in sources for name in FIELDS[each]} | set(MOMENT)
    names |= {f"customer.{name}" for name in CUSTOMER_FIELDS}
    if set(sources) & {"screen", "transaction"}:
        names |= {f"session.{name}" for name in SESSION_FIELDS}
    return sorted(names)
