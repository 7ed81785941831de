"""Whatever is defined, a mart that grew with what arrived is the one that is computed anew from all of it."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from pathlib import Path

import pytest
from tests.conftest import Warehouses
from tests.oracle import logs
from tests.oracle.conftest import define
from tests.pipeline.comparison import differences, mart_tables

from journeymart import pipeline

PARTS = 3
STRAY = 0.2  # lines that do not arrive with the others of their device
BATCH = 1000  # a batch of its own: no other test has these logs and definitions


@pytest.mark.parametrize("changing", [False, True][: logs.BATCHES], ids=["fixed", "changing"][: logs.BATCHES])
def test_logs_that_arrive_in_parts(warehouses: Warehouses, tmp_path: Path, *, changing: bool) -> None:
    """Lines of each log dealt at random to three runs, most of a device with its others, so that many arrive late;
    under random funnels, rules and segments. Changing, by night: in the second run others have their ids, and some are
    retired, and what was done has failed; in the third all are back."""
    whole, landing, directory = (tmp_path / name for name in ("whole", "landing", "definitions"))
    directory.mkdir()
    logs.land(logs.generate(BATCH), whole, BATCH)
    define(directory, BATCH, plain=True)
    chance = random.Random(BATCH)
    part_of = defaultdict[str, int](lambda: chance.randrange(PARTS))
    parts: dict[str, list[tuple[int, str]]] = {}
    for file in sorted(whole.rglob("*.ndjson")):
        parts[file.parent.name] = [
            (chance.randrange(PARTS) if chance.random() < STRAY else part_of[json.loads(line)["visitor_id"]], line)
            for line in file.read_text(encoding="utf-8").splitlines()
        ]
    warehouse = warehouses.create()
    for number in range(PARTS):
        if changing:
            define(directory, BATCH + number % 2, plain=number % 2 == 0)
            done = {"done_results": [logs.RESULTS[number % 2]], "unknown_codes": "load", "transactions": {}}
            (directory / "transactions.yml").write_text(json.dumps(done), encoding="utf-8")
        for source, lines in parts.items():
            file = landing / source / f"{number}.ndjson"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f"{line}\n" for part, line in lines if part == number), encoding="utf-8")
        run = pipeline.run(warehouse, landing, definitions=directory)
        assert run.build.scope == ("changes" if number else "all")
    grown = mart_tables(warehouse)
    assert pipeline.run(warehouse, landing, definitions=directory, full=True).build.scope == "all"
    assert differences(mart_tables(warehouse), grown) == {}
    warehouses.drop(warehouse)
