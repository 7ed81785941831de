"""Canary customers through landing, models and publication; whatever loses one is named by the check."""

from __future__ import annotations

import gzip
import json
from datetime import date
from pathlib import Path

import pytest
from tests.pipeline.zone import Zone
from typer.testing import CliRunner

from journeymart import pipeline
from journeymart.canaries import CanaryMissingError, Outcome, check, require, send
from journeymart.cli.canary import app
from journeymart.db import connect
from journeymart.definitions import SHIPPED
from journeymart.settings import Settings

DAY = date(2026, 6, 2)
CANARIES = (SHIPPED / "canaries.yml").read_text(encoding="utf-8")
CLICKS = f"clickstream/canary/CN-WEB-{DAY:%Y%m%d}.ndjson.gz"


@pytest.fixture
def zone(tmp_path: Path, warehouse: Settings) -> Zone:
    (tmp_path / "landing").mkdir()
    return Zone(tmp_path / "landing", warehouse)


def lost(outcomes: list[Outcome]) -> dict[str, list[str]]:
    """What is missing, by canary."""
    return {outcome.canary_id: [*map(str, outcome.missing)] for outcome in outcomes if outcome.missing}


def found(zone: Zone, definitions: Path | None = None) -> dict[str, list[str]]:
    return lost(check(zone.settings, DAY, definitions))


def test_what_happened_is_what_is_shown(zone: Zone) -> None:
    """Sent twice, and looked for as often as one likes; a definition that says something else is told so."""
    sent = send(zone.settings, zone.directory, DAY)
    assert [(item.canary_id, len(item.files)) for item in sent] == [("CN-WEB", 3), ("CN-APP", 3), ("CN-COUNTER", 2)]
    assert send(zone.settings, zone.directory, DAY) == []
    assert set(found(zone)) == {"CN-WEB", "CN-APP", "CN-COUNTER"}, "nothing has been published"
    pipeline.run(zone.settings, zone.directory)
    outcomes = check(zone.settings, DAY)
    require(outcomes)
    assert [str(outcome) for outcome in outcomes] == [f"{item.canary_id} {DAY}: seen" for item in sent]
    assert check(zone.settings) == [], "before it is due nobody is alarmed"

    zone.query("update ops.canary set due_at = now(); select 1")
    assert len(check(zone.settings)) == len(sent)
    with connect("jm_dashboard", settings=zone.settings) as mart:
        rows = mart.execute("select distinct canary_date, is_seen, hop, checked_at is null from mart.canary").fetchall()
    assert rows == [(DAY, True, None, False)]

    # the same lines once more, under other names: they repeat what is there
    zone.query("delete from ops.canary; select 1")
    for path in [*zone.directory.rglob("*.gz"), *zone.directory.rglob("*.done")]:
        path.unlink()
    assert len(send(zone.settings, zone.directory, DAY)) == len(sent)
    pipeline.run(zone.settings, zone.directory)
    assert found(zone) == {}

    changed = zone.define(
        CANARIES.replace("FXE010, FXR020, FX_REMIT]", "FXR020, FX_REMIT]").replace("behaviour: 4", "behaviour: 5")
        .replace("FN-REMITTANCE: 3", "FN-REMITTANCE: 2").replace("[DR-FX-STUCK]", "[DR-FX-INTENT]"), "canaries"
    )  # fmt: skip
    assert found(zone, changed) == {
        "CN-WEB": [
            "session: expected LGN010 > FXR010 > FXR020 > FX_REMIT with 1 transactions,"
            " seen LGN010 > FXR010 > FXE010 > FXR020 > FX_REMIT with 1 transactions",
            "timeline: expected 5 behaviour, 1 campaign, 1 transaction, seen 4 behaviour, 1 campaign, 1 transaction",
            "funnel FN-REMITTANCE: expected step 2, seen step 3",
            "rule DR-FX-INTENT: expected a hit, seen none",
        ]
    }


def test_what_loses_a_canary_is_named(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    send(zone.settings, zone.directory, DAY)
    file = zone.directory / CLICKS
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    app_file = zone.directory / CLICKS.replace("WEB", "APP")
    app_file.unlink()  # on its way
    broken = json.loads(lines[2]) | {"event_time": "2026-06-02T25:00:00+09:00"}
    file.write_bytes(gzip.compress("\n".join([lines[0], lines[1], json.dumps(broken), lines[3]]).encode()))
    Path(f"{file}.done").unlink()
    counter = zone.directory / f"transactions/canary/CN-COUNTER-{DAY:%Y%m%d}.ndjson.gz"
    counter.write_bytes(counter.read_bytes()[:-9])
    pipeline.run(zone.settings, zone.directory)
    missing = found(zone)
    assert missing["CN-APP"] == [f"file {app_file.relative_to(zone.directory)}: expected landed, seen not landed"]
    assert missing["CN-WEB"] == [f"lines of {CLICKS}: expected 4 in the mart, seen 3 in the mart, 1 in quarantine"]
    [rejected] = missing["CN-COUNTER"]
    assert rejected.startswith(f"file {counter.relative_to(zone.directory)}: expected loaded and published, seen ")
    assert zone.query("select canary_id, hop, is_seen from mart.canary order by 1") == [
        ("CN-APP", "file", False), ("CN-COUNTER", "file", False), ("CN-WEB", "lines", False)
    ]  # fmt: skip

    monkeypatch.setattr(Settings, "load", lambda: zone.settings)
    ended = CliRunner().invoke(app, ["check", "--date", str(DAY), "--json"])
    assert isinstance(ended.exception, CanaryMissingError)
    assert "CN-WEB 2026-06-02: lines of clickstream/canary/" in str(ended.exception)
    [web, *_] = json.loads(ended.stdout)["canaries"]
    assert (web["canary_id"], web["missing"][0]["hop"]) == ("CN-WEB", "lines")


def test_lines_that_land_and_wait_or_are_taken_for_others(zone: Zone) -> None:
    """Landed and not published; a robot's; in the session of nobody; in an audience."""
    send(zone.settings, zone.directory, DAY)
    zone.land()
    robots = zone.define(
        CANARIES.replace("utm_medium: push", "utm_medium: push, user_agent: Googlebot/2.1"), "canaries"
    )
    pipeline.run(zone.settings, zone.directory)
    other = date(2026, 6, 3)
    send(zone.settings, zone.directory, other, robots)
    zone.land()
    waiting = lost(check(zone.settings, other, robots))
    assert all(text.endswith("expected loaded and published, seen waiting") for text in waiting["CN-WEB"])
    # somebody else logs in on the canary's device, within its session
    stranger = {"event_id": "s", "event_time": "2026-06-03T06:22:30+09:00", "visitor_id": f"canary-app-{other:%Y%m%d}",
                "customer_id": "somebody", "page_code": "HOME01"}  # fmt: skip
    zone.put("clickstream/stranger.ndjson", [stranger])
    # and gives the canary of the counter a consent
    zone.put("consents/1.ndjson", [{"customer_id": f"CANARY-COUNTER-{other:%Y%m%d}", "purpose": "marketing",
                                    "granted": True, "effective_at": "2026-06-01T00:00:00+09:00"}])  # fmt: skip
    zone.define(
        "segments: [{id: SG-ALL, label: {ko: 가, en: x}, owner: a, all_of: [{did: {source: transaction, where: {}}}]}]",
        "segments",
    )
    zone.define(
        "audiences:\n- {id: AU-ALL, label: {ko: 가, en: x}, owner: a, purpose: marketing, from: {segment: SG-ALL}}",
        "audiences",
    )
    pipeline.run(zone.settings, zone.directory, definitions=robots)
    missing = lost(check(zone.settings, other, robots))
    [bots] = missing["CN-WEB"]
    assert bots.endswith("expected 4 in the mart, seen 3 in the mart, 1 of robots")
    assert missing["CN-APP"][0].startswith("session: expected LGN010 > ACO010 > ")
    assert missing["CN-APP"][0].endswith("seen none")
    assert missing["CN-COUNTER"] == ["audience: expected none, seen AU-ALL"]
    assert zone.query("select customer_id from mart.audience_member") == [(f"CANARY-COUNTER-{other:%Y%m%d}",)]


def test_a_robot_makes_the_journey_on_the_real_web(zone: Zone) -> None:
    """Of it only what must be seen is defined; with numbers as pseudonyms, too."""
    definitions = zone.define(
        "canaries: [{id: CN-ROBOT, label: {ko: 가, en: x}, customer_id: 'T-1', visitor_id: robot, within: 1h,"
        " expect: {timeline: {behaviour: 2}, sessions: [{path: [HOME01, LGN010]}]}}]",
        "canaries",
    )
    zone.define("personal: {customer: hash, device: hash}\nsources: {}")
    zone.put("clickstream/1.ndjson", [
        {"event_id": code, "event_time": f"2026-06-02T10:0{minute}:00+09:00", "visitor_id": "robot",
         "customer_id": "T-1", "page_code": code}
        for minute, code in enumerate(["HOME01", "LGN010"])
    ])  # fmt: skip
    [sent] = send(zone.settings, zone.directory, DAY, definitions)
    assert sent.files == ()
    pipeline.run(zone.settings, zone.directory, definitions=definitions)
    assert found(zone, definitions) == {}
    assert lost(check(zone.settings, date(2026, 6, 3), definitions)) == {
        "CN-ROBOT": [
            "session: expected HOME01 > LGN010 with 0 transactions, seen none",
            "timeline: expected 2 behaviour, seen none",
        ]
    }
