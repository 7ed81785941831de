"""What other tools write lands under the names of the tracking plan."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.pipeline.zone import Zone

pytestmark = pytest.mark.postgres

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
    "name": "송금",
    "context": {
        "sessionId": 77,
        "page": {"url": "https://bank.example/fx"},
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
    "dvc_type": "mobile",
    "os_name": "Android",
}
MATOMO = {
    "_id": "123.456",
    "cdt": "2026-06-01 00:00:00.123456",
    "rand": "1",
    "url": "https://bank.example/fx",
    "action_name": "송금",
}


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
