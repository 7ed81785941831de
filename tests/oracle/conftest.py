"""A batch of random logs and funnels in one published mart, for all analyses that have a reference."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Warehouses
from tests.oracle import funnels, logs, rules
from tests.oracle.bank import Bank

from journeymart import pipeline
from journeymart.db import connect
from journeymart.definitions.funnels import Funnel
from journeymart.definitions.rules import parse_rules

FUNNELS = 40  # per batch
PLAIN = 12
RULES = 40
WAYS = 20
HITS = 20
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

OUTCOMES = ("entered", "converted", "dropped", "still_open")


def random_limits(chance: random.Random) -> dict[str, Any]:
    """Filters of a report as a segment has them."""
    days = sorted(logs.date_of(chance.randrange(logs.BATCH)).isoformat() for _ in range(2))
    limits = {
        "from": days[0], "to": days[1], "channel": chance.choice(["web", "app"]),
        "domain": chance.choice(["one", "two"]), "device_type": chance.choice(["mobile", "desktop"]),
    }  # fmt: skip
    return {name: value for name, value in limits.items() if chance.random() < 0.3}


def funnel_cell(chance: random.Random, funnel: dict[str, Any]) -> dict[str, Any]:
    """A cell of the report on a funnel."""
    step = chance.randint(1, len(funnel["steps"]))
    outcomes = OUTCOMES if step < len(funnel["steps"]) else OUTCOMES[:2]  # of the last step only these can be asked
    cell = {"id": funnel["id"], "step": step, "outcome": chance.choice(outcomes)}
    if "breakdown" in funnel and chance.random() < 0.7:
        cell["breakdown"] = chance.choice(["web", "app", "(none)"])
    return {**cell, **random_limits(chance)}


def way(chance: random.Random) -> dict[str, Any]:
    """Two pages after each other, of a report with filters."""
    return {"through": chance.sample(logs.PAGES, 2), **random_limits(chance)}


def hits(chance: random.Random) -> dict[str, Any]:
    """So many hits of a rule, lately or ever."""
    clause = {"rule": f"DR-{chance.randrange(RULES)}"}
    limits = {"times": {"gte": chance.randint(2, 3)}, "within": chance.choice(["1h", "1d", "20d"])}
    return {**clause, **{name: value for name, value in limits.items() if chance.random() < 0.5}}


KPIS = [
    {"id": "KP-B", "label": LABEL, "owner": "tests", "count": {"source": "screen", "where": {"page_code": "B"}}},
    {"id": "KP-RATE", "label": LABEL, "owner": "tests", "count": {"source": "screen", "where": {"page_code": "B"}},
     "per": {"source": "transaction", "where": {"transaction_code": "T"}}},
]  # fmt: skip


Drawn = tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, dict[str, Any]]]


def define(directory: Path, batch: int, *, plain: bool = False) -> Drawn:
    """Write random definitions; returns funnels and rules as they stand there, and the clause of each cell's segment.

    plain: with funnels that have nothing but steps and a window, too, which few of the random ones are.
    """
    chance = random.Random(batch)
    content = [funnels.random_funnel(chance, f"FN-{number}") for number in range(FUNNELS)] + AGREEING + FOUND
    if plain:
        content += [
            {
                "id": f"FN-PLAIN-{number}", "label": LABEL, "owner": "tests",
                "window": chance.choice([None, "60s", "10m", "2h"]), "entry": chance.choice(["best", "first"]),
                "steps": [
                    {"name": page, "source": "screen", "where": {"page_code": page}}
                    for page in chance.sample(logs.PAGES[:4], 3)
                ],
            }
            for number in range(PLAIN)
        ]  # fmt: skip
    chance = random.Random(batch)
    drawn = [rules.random_rule(chance, f"DR-{number}") for number in range(RULES)]
    chance = random.Random(batch)
    clauses = {f"SG-OF-{funnel['id']}": {"funnel": funnel_cell(chance, funnel)} for funnel in content}
    clauses |= {f"SG-WAY-{number}": {"path": way(chance)} for number in range(WAYS)}
    clauses |= {f"SG-HIT-{number}": hits(chance) for number in range(HITS)}
    cells = [{"id": name, "label": LABEL, "owner": "tests", "all_of": [clause]} for name, clause in clauses.items()]
    for kind, items in {"rules": drawn, "funnels": content, "segments": SEGMENTS + cells, "kpis": KPIS}.items():
        (directory / f"{kind}.yml").write_text(json.dumps({kind: items}), encoding="utf-8")
    return content, drawn, clauses


@pytest.fixture(scope="package", params=range(logs.BATCHES))
def bank(
    request: pytest.FixtureRequest, warehouses: Warehouses, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    batch: int = request.param
    landing, directory = tmp_path_factory.mktemp("logs"), tmp_path_factory.mktemp("definitions")
    items = logs.generate(batch)
    sessions = logs.land(items, landing, batch)
    content, drawn, clauses = define(directory, batch)
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
            clauses,
            warehouse,
            directory,
        )
    warehouses.drop(warehouse)
