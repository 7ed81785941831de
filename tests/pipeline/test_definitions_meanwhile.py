"""Definitions that somebody applies while another run is on its way: what is published is of one set of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.zone import Zone, event

from journeymart import pipeline
from journeymart.errors import PipelineError
from journeymart.publish import PublishError, publish, publisher
from journeymart.quality import ValidationResult, validate
from journeymart.settings import Settings
from journeymart.transform import build as building

ENTRIES = "select step_reached, count(*) from mart.funnel_entry where funnel_id = 'FN-X' group by 1"


def define(zone: Zone, window: str) -> Path:
    steps = [{"name": page, "source": "screen", "where": {"page_code": page}} for page in ("P1", "P2")]
    funnel = {"id": "FN-X", "label": {"ko": "x", "en": "x"}, "owner": "tests", "window": window, "steps": steps}
    return zone.define(json.dumps({"funnels": [funnel]}), "funnels")


def test_what_is_published_is_of_the_definitions_that_were_built(
    warehouse: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = Zone(tmp_path / "landing", warehouse)
    zone.put("clickstream/1.ndjson", [event(n, visitor_id="v1") for n in (1, 2)])
    pipeline.run(warehouse, zone.directory, definitions=define(zone, "1h"))
    assert zone.query(ENTRIES) == [(2, 1)]

    def built(run_id: str, number: int) -> str:
        """A run that has been checked and waits for its publication."""
        zone.put(f"clickstream/{run_id}.ndjson", [event(number, visitor_id=f"v{number}")])
        zone.land()
        building.build(warehouse, run_id, definitions=define(zone, "1h"))
        pipeline.validate(warehouse, run_id)
        return run_id

    # somebody applies others while it is being published
    refused: list[pytest.ExceptionInfo[PipelineError]] = []
    replace_rows = publisher._replace_rows

    def meanwhile(*arguments: Any) -> tuple[int, int]:
        if not refused:
            with pytest.raises(PipelineError, match="another run") as error:
                building.build(warehouse, "other", definitions=define(zone, "2h"))
            refused.append(error)
        return replace_rows(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(publisher, "_replace_rows", meanwhile)
        publish(warehouse, built("second", 8))
    assert len(refused) == 1
    assert zone.query(ENTRIES) == [(1, 1), (2, 1)]

    # or before, and is killed once they are applied
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    run_id = built("third", 15)
    with monkeypatch.context() as patched:
        patched.setattr(building, "apply_transaction_codes", killed)
        with pytest.raises(KeyboardInterrupt):
            building.build(warehouse, "other", definitions=define(zone, "2h"))
    with pytest.raises(PublishError, match="third is failed"):
        publish(warehouse, run_id)
    assert zone.query(ENTRIES) == [(1, 1), (2, 1)]
    pipeline.run(warehouse, zone.directory, definitions=define(zone, "2h"))
    assert sorted(zone.query(ENTRIES)) == [(1, 2), (2, 1)]


def test_what_is_checked_stays_until_it_has_been(
    warehouse: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody asks for an audience while the scheduled run is checked."""
    zone = Zone(tmp_path / "landing", warehouse)
    zone.put("clickstream/1.ndjson", [event(1)])
    zone.land()
    building.build(warehouse, "first")

    def meanwhile(*arguments: Any) -> ValidationResult:
        with pytest.raises(PipelineError, match="another run"):
            building.build(warehouse, "other")
        return validate(*arguments)

    monkeypatch.setattr(pipeline, "run_checks", meanwhile)
    assert not pipeline.validate(warehouse, "first").critical
    assert publish(warehouse, "first").files == 1
