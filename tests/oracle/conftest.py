"""A batch of random logs and funnels in one published mart, for all analyses that have a reference."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest
from tests.conftest import Warehouses
from tests.oracle import funnels, logs, rules
from tests.oracle.bank import Bank

from journeymart import pipeline
from journeymart.db import connect
from journeymart.definitions.funnels import Funnel
from journeymart.definitions.rules import parse_rules

FUNNELS = 40  # per batch
RULES = 40
LABEL = {"ko": "시험", "en": "Test"}
# What means the same as the segments and the steps of paths that test_agreement.py asks for.
AGREEING = [
    {
        "id": f"FN-{count_by.upper()}", "label": LABEL, "owner": "tests", "window": None, "count_by": count_by,
        "steps": [{"name": page, "source": "screen", "where": {"page_code": page}} for page in "BCD"],
    }
    for count_by in ("person", "session")
]  # fmt: skip
# What tells an answer to logs.FOUND from the one that was wrong.
FOUND = [
    {
        "id": "FN-LATEST-HELD", "label": LABEL, "owner": "tests", "order": "any", "window": None, "entry": "latest",
        "hold": ["channel"], "steps": [
            {"name": "AC", "source": "screen", "where": {"page_code": ["A", "C"]}},
            {"name": "D", "source": "screen", "where": {"page_code": "D"}},
            {"name": "T", "source": "transaction", "where": {"transaction_code": "T"}},
        ],
    }
]  # fmt: skip
SEGMENTS = [
    {"id": f"SG-{name}", "label": LABEL, "owner": "tests", "all_of": [clause]}
    for name, clause in {
        "B": {"did": {"source": "screen", "where": {"page_code": "B"}}},
        "C": {"did": {"source": "screen", "where": {"page_code": "C"}}},
        "THROUGH": {"path": {"through": ["B", "C"]}},
        "DIRECTLY": {"path": {"through": ["B", "C"], "directly": True}},
        "LEFT": {"path": {"through": ["B"], "not_then": "C"}},
        "ENDS": {"path": {"through": ["B"], "ends": True}},
        "SECOND": {"path": {"through": ["B", "C"], "directly": True, "at_step": 2}},
        "TWICE": {"path": {"through": ["B"]}, "times": {"gte": 2}},
        "REACHED": {"funnel": {"id": "FN-PERSON", "step": 2}},
        "STAYED": {
            "all_of": [
                {"funnel": {"id": "FN-PERSON"}},
                {"none_of": [{"funnel": {"id": "FN-PERSON", "step": 2}}]},
            ]
        },
    }.items()
]

KPIS = [
    {"id": "KP-B", "label": LABEL, "owner": "tests", "count": {"source": "screen", "where": {"page_code": "B"}}},
    {"id": "KP-RATE", "label": LABEL, "owner": "tests", "count": {"source": "screen", "where": {"page_code": "B"}},
     "per": {"source": "transaction", "where": {"transaction_code": "T"}}},
]  # fmt: skip


@pytest.fixture(scope="package", params=range(logs.BATCHES))
def bank(
    request: pytest.FixtureRequest, warehouses: Warehouses, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    batch: int = request.param
    landing, directory = tmp_path_factory.mktemp("logs"), tmp_path_factory.mktemp("definitions")
    items = logs.generate(batch)
    sessions = logs.land(items, landing, batch)
    chance = random.Random(batch)
    content = [funnels.random_funnel(chance, f"FN-{number}") for number in range(FUNNELS)] + AGREEING + FOUND
    chance = random.Random(batch)
    drawn = [rules.random_rule(chance, f"DR-{number}") for number in range(RULES)]
    (directory / "rules.yml").write_text(json.dumps({"rules": drawn}), encoding="utf-8")
    (directory / "funnels.yml").write_text(json.dumps({"funnels": content}), encoding="utf-8")
    (directory / "segments.yml").write_text(json.dumps({"segments": SEGMENTS}), encoding="utf-8")
    (directory / "kpis.yml").write_text(json.dumps({"kpis": KPIS}), encoding="utf-8")
    warehouse = warehouses.create()
    pipeline.run(warehouse, landing, definitions=directory)
    with connect("jm_dashboard", settings=warehouse, autocommit=True, timezone="UTC") as connection:
        yield Bank(
            connection,
            batch,
            sessions,
            funnels.events_of(items, batch, sessions),
            [Funnel.model_validate(item) for item in content],
            {item["id"]: item for item in content},
            parse_rules(rules.document(drawn)),
            warehouse,
        )
    warehouses.drop(warehouse)
