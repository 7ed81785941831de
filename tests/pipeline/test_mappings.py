"""What other tools write lands under the names of the tracking plan."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.pipeline.zone import Zone

from journeymart.definitions.sources import load_sources

GA4 = {
    "event_timestamp": 1780272000123456,
    "event_name": "page_view",
    "user_pseudo_id": "123.456",
    "platform": "WEB",
    "event_params": [
        {"key": "page_title", "value": {"string_value": "송금"}},
        {"key": "ga_session_id", "value": {"int_value": 77}},
        {"key": "page_location", "value": {"string_value": "https://bank.example/fx"}},
    ],
    "device": {"category": "mobile", "operating_system": "Android", "web_info": {"hostname": "bank.example"}},
    "collected_traffic_source": {"manual_source": "naver"},
}
SEGMENT = {
    "messageId": "m1",
    "timestamp": "2026-06-01T00:00:00.123456Z",
    "anonymousId": "123.456",
    "type": "page",
    "context": {
        "sessionId": 77,
        "page": {"url": "https://bank.example/fx", "title": "송금"},
        "device": {"type": "mobile"},
        "os": {"name": "Android"},
        "campaign": {"source": "naver"},
    },
    "properties": {"product": "FX"},
}
SNOWPLOW = {
    "event_id": "e1",
    "derived_tstamp": "2026-06-01 00:00:00.123456",
    "domain_userid": "123.456",
    "domain_sessionid": "77",
    "platform": "web",
    "event_name": "page_view",
    "page_url": "https://bank.example/fx",
    "page_urlhost": "bank.example",
    "page_title": "송금",
    "mkt_source": "naver",
    "dvce_type": "Mobile",
    "os_name": "Android",
}
MATOMO = {
    "_id": "123.456",
    "cdt": "2026-06-01 00:00:00.123456",
    "rand": "1",
    "url": "https://bank.example/fx",
    "action_name": "송금",
}


# Exports as the tools document them, with what they log of apps, servers and clicks.
SCREEN = "contexts_com_snowplowanalytics_mobile_screen_1"
CLIENT_SESSION = "contexts_com_snowplowanalytics_snowplow_client_session_1"
EXPORTS: dict[str, list[dict[str, Any]]] = {
    "snowplow": [
        {
            "app_id": "bank-app", "platform": "mob", "event": "unstruct", "event_id": "a", "event_name": "screen_view",
            "derived_tstamp": "2026-06-01T00:00:00.123Z", "collector_tstamp": "2026-06-01T00:00:01.000Z",
            "domain_userid": None, "network_userid": "n1", "user_id": "C1", "dvce_ismobile": None,
            "unstruct_event_com_snowplowanalytics_mobile_screen_view_1": {"name": "FX010", "id": "0ab1"},
            CLIENT_SESSION: [{"userId": "u1", "sessionId": "s1", "sessionIndex": 3}],
            "contexts_com_snowplowanalytics_snowplow_mobile_context_1": [{"osType": "ios", "deviceModel": "iPhone14"}],
            "contexts_com_snowplowanalytics_mobile_application_1": [{"version": "7.1", "build": "3"}],
        },
        {
            "platform": "web", "event": "unstruct", "event_id": "b", "event_name": "link_click", "se_action": None,
            "derived_tstamp": "2026-06-01T00:00:00.123Z", "domain_userid": "d1", "domain_sessionid": "s2",
            "page_url": "https://bank.example/fx", "dvce_type": "Computer", "os_name": "Windows 10",
            "unstruct_event_com_snowplowanalytics_snowplow_link_click_1": {
                "targetUrl": "https://bank.example/fx/next", "elementId": "next", "elementContent": "다음",
            },
        },
        {
            "platform": "web", "event": "unstruct", "event_id": "c", "event_name": "limit_changed",
            "derived_tstamp": "2026-06-01T00:00:00.123Z", "domain_userid": "d1", "page_url": "https://bank.example/fx",
        },
        {
            "platform": "app", "event": "unstruct", "event_id": "d", "event_name": "application_background",
            "derived_tstamp": "2026-06-01T00:00:00.123Z", SCREEN: [{"name": "FX010"}],
            CLIENT_SESSION: [{"user_id": "u1", "session_id": "s1"}],
            "contexts_com_snowplowanalytics_snowplow_mobile_context_1": [{"os_type": "ios", "device_model": "iPad8"}],
            "contexts_nl_basjes_yauaa_context_1": [{"device_class": "Phone"}],
        },
        {
            "platform": "web", "event": "unstruct", "event_id": "e", "event_name": "link_click",
            "derived_tstamp": "2026-06-01T00:00:00.123Z", "domain_userid": "d1", "page_url": "https://bank.example/fx",
            "unstruct_event_com_snowplowanalytics_snowplow_link_click_1": {
                "element_id": "next", "element_content": "다음",
            },
        },
    ],
    "ga4": [
        {
            "event_timestamp": "1780272000123456", "event_name": "screen_view", "user_pseudo_id": "g1",
            "event_bundle_sequence_id": "7", "platform": "ANDROID", "app_info": {"version": "7.1"},
            "event_params": [
                {"key": "firebase_screen_class", "value": {"string_value": "FxActivity", "int_value": None}},
                {"key": "ga_session_id", "value": {"string_value": None, "int_value": "1780271000"}},
            ],
            "device": {"category": "mobile", "mobile_model_name": "SM-S901", "operating_system": "ANDROID"},
        },
        *(
            {
                "event_timestamp": "1780272000123456", "event_name": name, "user_pseudo_id": "g2", "platform": "WEB",
                "event_params": [
                    {"key": "page_location", "value": {"string_value": "https://bank.example/fx"}},
                    {"key": "ga_session_id", "value": {"int_value": "5"}},
                ],
                "device": {"category": "desktop", "web_info": {"hostname": "bank.example"}},
            }
            for name in ("session_start", "apply_complete")
        ),
    ],
    "segment": [
        {
            "messageId": "a", "type": "screen", "name": "FX010", "anonymousId": "m1", "userId": "C1",
            "channel": "client", "timestamp": "2026-06-01T00:00:00.123Z", "receivedAt": "2026-06-01T00:00:01.000Z",
            "context": {
                "app": {"name": "Bank", "version": "7.1"}, "os": {"name": "iOS", "version": "17.1"},
                "device": {"type": "ios", "model": "iPhone14", "manufacturer": "Apple"}, "ip": "203.0.113.7",
            },
            "properties": {},
        },
        {
            "messageId": "b", "type": "track", "event": "Limit Changed", "userId": "C1", "anonymousId": None,
            "originalTimestamp": "2026-06-01T00:00:00.123Z", "channel": "server", "properties": {"limit": 5},
            "context": {"library": {"name": "go"}},
        },
        {
            "messageId": "c", "type": "page", "name": "FX010", "anonymousId": "m2", "channel": "web",
            "originalTimestamp": "2026-06-01T00:00:00.123Z", "context": {"sessionId": 1},
            "properties": {
                "url": "https://bank.example/fx", "title": "송금", "referrer": "https://search.example/",
            },
        },
        {
            "messageId": "d", "type": "identify", "anonymousId": "m2", "userId": "C1", "channel": "web",
            "originalTimestamp": "2026-06-01T00:00:00.123Z", "traits": {"grade": "VIP"},
            "context": {"page": {"url": "https://bank.example/fx"}},
        },
    ],
    "matomo": [
        {
            "idsite": "1", "rec": "1", "cid": "0123456789abcdef", "cdt": "2026-06-01 00:00:00",
            "url": "https://bank.example/fx", "e_c": "form", "e_a": "submit", "e_n": "송금", "uid": "C1",
        },
        {
            "idsite": "1", "rec": "1", "_id": "0123456789abcdef", "cdt": "2026-06-01 00:00:00",
            "url": "https://bank.example/fx", "download": "https://bank.example/fx.pdf",
        },
        {
            "idsite": "1", "rec": "1", "_id": "0123456789abcdef", "received_at": "2026-06-01 00:00:15", "ping": "1",
            "url": "https://bank.example/fx", "pv_id": "aB3dE6",
        },
    ],
    "matomo_visits": [
        {"visit": {
            "idSite": "1", "idVisit": "7", "visitIp": "203.0.113.77", "visitorId": "0123456789abcdef", "userId": "C1",
            "serverTimestamp": 1780272015, "deviceType": "Smartphone", "deviceModel": "SM-S901",
            "operatingSystemName": "Android", "referrerType": "direct", "referrerUrl": "",
         }, "action": action}
        for action in (
            {"type": "action", "url": "https://bank.example/fx", "pageTitle": "송금", "pageIdAction": "11",
             "idpageview": "aB3dE6", "pageId": "101", "serverTimePretty": "Jun 1, 2026 09:00:00", "timeSpent": "15",
             "timestamp": 1780272000, "title": "송금", "subtitle": "https://bank.example/fx"},
            {"type": "event", "url": "https://bank.example/fx", "eventCategory": "form", "eventAction": "submit",
             "eventName": "송금 신청", "pageId": "102", "timestamp": 1780272005},
            {"type": "search", "url": None, "siteSearchKeyword": "환율", "pageId": "103", "timestamp": 1780272010},
            {"type": "goal", "goalName": "송금", "goalId": 3, "timestamp": 1780272005},
        )
    ],
    "matomo_log": [
        {
            "idsite": 1, "idvisit": 7, "idvisitor": "0123456789abcdef", "user_id": "C1", "ip": "203.0.113.77",
            "referer_url": None, "config_os": "AND", "config_device_type": 1, "config_device_model": "SM-S901",
            "title": None, "event_action": None, "event_name": None, **row,
        }
        for row in (
            {"idlink_va": 101, "server_time": "2026-06-01 00:00:00", "url": "https://bank.example/fx",
             "title": "송금", "type": "1"},
            {"idlink_va": 103, "server_time": "2026-06-01 00:00:06", "url": "https://bank.example/fx",
             "event_action": "submit", "event_name": "송금 신청", "type": "10"},
            {"idlink_va": 104, "server_time": "2026-06-01 00:00:07", "url": None, "title": "환율", "type": "8"},
            {"idlink_va": 105, "server_time": "2026-06-01 00:00:08", "url": "https://bank.example/fx", "type": "13"},
        )
    ],
}  # fmt: skip
PHONE = ("mobile", "AND", "SM-S901", None)
# visitor, session, action, channel, node, click_name, click_text, device_type, os, device_model, app_version
EXPORTED = {
    "snowplow": [
        ("u1", "s1", "view", "app", "FX010", None, None, None, "ios", "iPhone14", "7.1"),
        ("d1", "s2", "click", "web", "/fx", "next", "다음", "desktop", "Windows 10", None, None),
        ("d1", None, "click", "web", "/fx", None, None, None, None, None, None),
        ("u1", "s1", "scroll", "app", "FX010", None, None, "mobile", "ios", "iPad8", None),
        ("d1", None, "click", "web", "/fx", "next", "다음", None, None, None, None),
    ],
    "ga4": [
        ("g1", "1780271000", "view", "app", "FxActivity", None, None, "mobile", "ANDROID", "SM-S901", "7.1"),
        ("g2", "5", "scroll", "web", "/fx", None, None, "desktop", None, None, None),
        ("g2", "5", "click", "web", "/fx", None, None, "desktop", None, None, None),
    ],
    "segment": [
        ("m1", None, "view", "app", "FX010", None, None, "mobile", "iOS", "iPhone14", "7.1"),
        ("C1", None, "click", "web", "(none)", "Limit Changed", None, None, None, None, None),
        ("m2", "1", "view", "web", "FX010", None, None, None, None, None, None),
        ("m2", None, "scroll", "web", "/fx", None, None, None, None, None, None),
    ],
    "matomo": [
        ("0123456789abcdef", None, "click", "web", "/fx", "submit", "송금", None, None, None, None),
        ("0123456789abcdef", None, "click", "web", "/fx", None, None, None, None, None, None),
        ("0123456789abcdef", None, "scroll", "web", "/fx", None, None, None, None, None, None),
    ],
    "matomo_visits": [
        ("0123456789abcdef", "7", "view", "web", "/fx", None, None, "mobile", "Android", "SM-S901", None),
        ("0123456789abcdef", "7", "click", "web", "/fx", "submit", "송금 신청", "mobile", "Android", "SM-S901", None),
        ("0123456789abcdef", "7", "submit", "web", "(none)", None, "환율", "mobile", "Android", "SM-S901", None),
        ("0123456789abcdef", "7", "scroll", "web", "(none)", None, None, "mobile", "Android", "SM-S901", None),
    ],
    "matomo_log": [
        ("0123456789abcdef", "7", "view", "web", "/fx", None, None, *PHONE),
        ("0123456789abcdef", "7", "click", "web", "/fx", "submit", "송금 신청", *PHONE),
        ("0123456789abcdef", "7", "submit", "web", "(none)", None, None, *PHONE),
        ("0123456789abcdef", "7", "scroll", "web", "/fx", None, None, *PHONE),
    ],
}  # fmt: skip
DECODED = """
    select visitor_id, tag_session_id, action_type, channel, code, click_name, click_text, device_type, os,
        device_model, app_version
    from raw.event join raw.clickstream using (row_id)
    join raw.visitor using (visitor_key) join raw.action using (action_id) join raw.agent using (agent_key)
    join raw.node using (node_id)
    order by row_id"""


@pytest.mark.parametrize("tool", EXPORTS)
def test_what_another_tool_exports_of_apps_and_clicks(zone: Zone, tool: str) -> None:
    zone.put("clickstream/a.ndjson", EXPORTS[tool])
    [result] = zone.land(definitions=zone.define(f"sources:\n  clickstream:\n    extends: {tool}\n"))
    assert (result.status, result.rows_loaded, zone.quarantine()) == ("loaded", len(EXPORTS[tool]), [])
    assert zone.query(DECODED) == EXPORTED[tool]
    assert zone.value("select count(distinct event_hash) from raw.event") == len(EXPORTS[tool])


def test_what_a_value_stands_for_does_not_replace_it(zone: Zone) -> None:
    """An event of the bank's own is a click here, and which one it was is what funnels ask for."""
    zone.put("clickstream/a.ndjson", EXPORTS["ga4"])
    pq.write_table(
        pa.Table.from_pylist([{**EXPORTS["ga4"][2], "user_pseudo_id": "g3"}]), zone.put("clickstream/b.parquet", b"")
    )
    zone.land(definitions=zone.define("sources:\n  clickstream:\n    extends: ga4\n"))
    found = zone.query(
        "select properties ->> 'event_name', properties ->> 'user_pseudo_id' from raw.clickstream order by row_id"
    )
    assert found == [(name, None) for name in ("screen_view", "session_start", "apply_complete", "apply_complete")]


def test_enriched_events_of_snowplow_as_its_pipeline_writes_them(zone: Zone) -> None:
    plan = load_sources(zone.define("sources:\n  clickstream:\n    extends: snowplow_tsv\n"))
    columns = plan.sources["clickstream"].columns or []
    iglu, mobile = "iglu:com.snowplowanalytics.snowplow/", "iglu:com.snowplowanalytics.mobile/"
    contexts = {
        "schema": f"{iglu}contexts/jsonschema/1-0-0",
        "data": [
            {"schema": f"{mobile}screen/jsonschema/1-0-0", "data": {"name": "FX010", "id": "0ab1"}},
            {"schema": f"{iglu}client_session/jsonschema/1-0-2", "data": {"userId": "u1", "sessionId": "s1"}},
            {"schema": f"{iglu}mobile_context/jsonschema/1-0-3", "data": {"osType": "ios", "deviceModel": "iPhone14"}},
            {"schema": f"{mobile}application/jsonschema/1-0-0", "data": {"version": "7.1", "build": "3"}},
        ],
    }
    agent = {"schema": "iglu:nl.basjes/yauaa_context/jsonschema/1-0-4", "data": {"deviceClass": "Phone"}}
    derived = {"schema": f"{iglu}contexts/jsonschema/1-0-1", "data": [agent]}
    common = {"event_id": "a", "derived_tstamp": "2026-06-01 00:00:00.123", "network_userid": "n1"}
    rows = [
        {**common, "platform": "mob", "event_name": "screen_view", "contexts": json.dumps(contexts),
         "derived_contexts": json.dumps(derived)},
        {**common, "event_id": "b", "platform": "web", "event_name": "page_view", "domain_userid": "d1",
         "page_url": "https://bank.example/fx", "page_title": 'He said "송금', "dvce_type": "Tablet"},
    ]  # fmt: skip
    text = "".join("\t".join(row.get(column, "") for column in columns) + "\n" for row in rows)
    zone.put("clickstream/part-00000.gz", text)
    [result] = zone.land(definitions=zone.directory.parent / "definitions")
    assert (result.status, result.rows_loaded, zone.quarantine()) == ("loaded", 2, [])
    assert [row[:5] + row[7:] for row in zone.query(DECODED)] == [
        ("u1", "s1", "view", "app", "FX010", "mobile", "ios", "iPhone14", "7.1"),
        ("d1", None, "view", "web", "/fx", "tablet", None, None, None),
    ]
    assert zone.query("select page_name from raw.clickstream order by row_id") == [(None,), ('He said "송금',)]


def landed(zone: Zone, tool: str, **options: Any) -> tuple[Any, ...]:
    definitions = zone.define(f"sources:\n  clickstream:\n    extends: {tool}\n")
    [result] = zone.land(definitions=definitions, **options)
    assert (result.error, result.rows_loaded, zone.quarantine()) == (None, 1, [])
    [row] = zone.query(
        "select event_at at time zone 'UTC', visitor_id, tag_session_id, action_type, channel, domain, code, page_name,"
        " utm_source, device_type, os from raw.event join raw.clickstream using (row_id)"
        " join raw.visitor using (visitor_key) join raw.action using (action_id) join raw.agent using (agent_key)"
        " join raw.node using (node_id) left join raw.inflow using (inflow_key)"
    )
    return (str(row[0]), *row[1:])


PAGE_VIEW = (
    "2026-06-01 00:00:00.123456", "123.456", "77", "view", "web", "bank.example", "/fx", "송금",
    "naver", "mobile", "Android",
)  # fmt: skip


@pytest.mark.parametrize(("tool", "line"), [("ga4", GA4), ("segment", SEGMENT), ("snowplow", SNOWPLOW)])
def test_a_page_view_of_another_tool(zone: Zone, tool: str, line: dict[str, Any]) -> None:
    zone.put("clickstream/a.ndjson", [line])
    assert landed(zone, tool) == PAGE_VIEW


def test_a_request_to_matomo(zone: Zone) -> None:
    zone.put("clickstream/a.ndjson", [MATOMO])
    assert landed(zone, "matomo") == (*PAGE_VIEW[:2], None, *PAGE_VIEW[3:8], None, None, None)


def test_a_visit_of_matomo_that_went_on_is_no_other_one(zone: Zone) -> None:
    """Its actions are told again, beside the new ones: equal ids make them duplicates. Its IP address is shortened."""
    first, second, *_ = EXPORTS["matomo_visits"]
    zone.put("clickstream/1.ndjson", [first])
    went_on = {**first["visit"], "serverTimestamp": 1780279999}
    zone.put("clickstream/2.ndjson", [{**line, "visit": went_on} for line in (first, second)])
    zone.land(definitions=zone.define("sources:\n  clickstream:\n    extends: matomo_visits\n"))
    assert zone.value("select count(distinct event_hash) from raw.event") == 2
    assert zone.query("select distinct ip::text, properties -> 'visit' ->> 'visitIp' from raw.clickstream") == [
        ("203.0.113.0", "*ip*")
    ]


def test_visits_of_matomo_that_nobody_cut_into_actions_say_what_they_are(zone: Zone) -> None:
    [visit, action] = EXPORTS["matomo_visits"][0].values()
    zone.put("clickstream/a.ndjson", json.dumps([{**visit, "actionDetails": [action]}]) + "\n")
    zone.put("clickstream/b.ndjson", [{**visit, "actionDetails": [action]}])
    zone.land(definitions=zone.define("sources:\n  clickstream:\n    extends: matomo_visits\n"))
    assert zone.quarantine() == [
        (1, None, "The line is not a JSON object."),
        (1, "event_id", "event_id is missing."),
    ]


def test_parameters_of_the_banks_own_events_of_ga4(zone: Zone) -> None:
    """Every parameter of an event can be a field; what is none stays in properties."""
    value = "$.event_params[key={}].value.{}"
    own: dict[str, dict[str, Any]] = {
        "loan_product": {"type": "text", "from": value.format("loan_product", "string_value")},
        "loan_months": {
            "type": "integer",
            "aliases": [value.format("loan_months", kind) for kind in ("int_value", "double_value")],
        },
    }
    named = {"label": {"ko": "가", "en": "a"}, "description": {"ko": "가", "en": "a"}}
    plan = {"extends": "ga4", "fields": {key: {**field, **named} for key, field in own.items()}}
    parameters = [
        {"key": "loan_product", "value": {"string_value": "L-100"}},
        {"key": "loan_months", "value": {"int_value": "36"}},
        {"key": "engaged_session_event", "value": {"int_value": "1"}},
    ]
    line = {**GA4, "event_name": "loan_apply", "event_params": parameters, "items": [{"item_id": "SKU1"}]}
    zone.put("clickstream/a.ndjson", [line])
    pq.write_table(pa.Table.from_pylist([{**line, "user_pseudo_id": "2"}]), zone.put("clickstream/b.parquet", b""))
    zone.land(definitions=zone.define(json.dumps({"sources": {"clickstream": plan}})))
    found = zone.query("select properties from raw.clickstream")
    assert len(found) == 2
    for [properties] in found:
        assert (properties["loan_product"], properties["loan_months"]) == ("L-100", 36)
        assert properties["event_params"][2]["key"] == "engaged_session_event"
        assert properties["items"] == [{"item_id": "SKU1"}]


def test_nested_columns_of_parquet(zone: Zone) -> None:
    path = zone.put("clickstream/a.parquet", b"")
    pq.write_table(pa.Table.from_pylist([GA4]), path)
    assert landed(zone, "ga4") == PAGE_VIEW


def test_what_a_mapping_does_not_name_is_kept(zone: Zone) -> None:
    zone.put("clickstream/a.ndjson", [SEGMENT])
    landed(zone, "segment")
    properties = zone.value("select properties from raw.clickstream")
    assert properties["product"] == "FX"
    assert properties["context"] == SEGMENT["context"]
