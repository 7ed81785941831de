"""The mart does not depend on how its history arrived: in which order, in how many files, how often."""

from __future__ import annotations

import json
import random
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString

import pyarrow as pa
from tests.conftest import Warehouses
from tests.pipeline.comparison import differences, mart_by_name, mart_tables

from journeymart import pipeline
from journeymart.db import connect
from journeymart.definitions.transactions import length, placed
from journeymart.sample.generate import Spec, generate
from journeymart.sample.messages import Messages
from journeymart.settings import Settings

FILES = {"clickstream": 16, "transactions": 4}  # how many files the lines of a source are split into
MESSAGE_FILES = 3
SEED = 7
REPEATED_LINES = 0.03


def test_random_arrival(warehouse: Settings, warehouses: Warehouses, tmp_path: Path) -> None:
    """Of a bank with what real ones have (robots, duplicates, late files, broken lines), lines dealt at random to 20
    files, some of them twice, files once more under other names, in two runs.

    The mart is that of one full load, row for row, and computing it anew from raw changes nothing, not even keys. The
    same of a history that is harder to count, and corrected besides: test_corrections.py.
    """
    whole, landing = tmp_path / "whole", tmp_path / "landing"
    generate(Spec(out=whole, customers=60, days=8, seed=SEED, file_format="ndjson"))
    at_once = warehouses.create()
    pipeline.run(at_once, whole)
    tied = rows(at_once, "select visitor_id, event_at from mart.event group by 1, 2 having count(*) > 1")
    assert tied == [], "events of one visitor at one moment count in the order of arrival"
    # the pattern that is planted in the sample: nobody is missed, and nobody else is found
    truth = json.loads((whole / "truth.json").read_text(encoding="utf-8"))["remittance_intent"]["by_input"]
    found = rows(at_once, "select distinct customer_id from mart.detection where rule_id = 'DR-FX-INTENT' order by 1")
    assert [customer for (customer,) in found] == truth != []

    arrivals = shuffled(whole, tmp_path / "prepared", random.Random(SEED))
    half = len(arrivals) // 2
    for number, files in enumerate((arrivals[half:], arrivals[:half])):
        for file in files:
            place = landing / file.relative_to(tmp_path / "prepared")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, place)
        run = pipeline.run(warehouse, landing)
        assert run.build.scope == ("changes" if number else "all")
        assert {file.status for file in run.files} <= {"loaded", "repeated"}

    assert differences(mart_by_name(warehouse), mart_by_name(at_once)) == {}
    stored = mart_tables(warehouse)
    assert pipeline.run(warehouse, landing, full=True).build.scope == "all"
    assert differences(mart_tables(warehouse), stored) == {}
    warehouses.drop(at_once)


def rows(settings: Settings, query: LiteralString) -> list[tuple[Any, ...]]:
    with connect("jm_builder", settings=settings) as connection:
        return connection.execute(query).fetchall()


def lines_of(file: Path) -> list[bytes]:
    with pa.input_stream(str(file), compression="detect") as stream:
        return stream.read().splitlines()


def dealt(lines: list[bytes], files: int, chance: random.Random) -> list[list[bytes]]:
    """Lines in random order, each in one file or in two."""
    parts: list[list[bytes]] = [[] for _ in range(files)]
    for line in lines:
        for part in chance.sample(parts, 2 if chance.random() < REPEATED_LINES else 1):
            part.append(line)
    for part in parts:
        chance.shuffle(part)
    return parts


def amount_of(messages: list[bytes]) -> Decimal:
    """What the amounts in the headers add up to, as a trailer says it."""
    header = Messages().file.header
    [(item, start)] = [(item, start) for item, start in placed(list(header)) if item.field == "amount"]
    amounts = [message[start : start + item.length] for message in messages if len(message) >= length(header)]
    return Decimal(sum(int(amount) for amount in amounts if amount.strip())).scaleb(-item.decimals)


def shuffled(history: Path, directory: Path, chance: random.Random) -> list[Path]:
    """The files of `history`, those of FILES cut up and mixed, in random order."""
    arrivals = []
    for source in sorted(path.name for path in history.iterdir() if path.is_dir()):
        files = sorted(path for path in (history / source).rglob("*") if path.is_file() and path.suffix != ".done")
        (directory / source).mkdir(parents=True)
        if source not in FILES:
            arrivals += [Path(shutil.copy(file, directory / source)) for file in files]
            continue
        messages = [file for file in files if ".dat" in file.suffixes]
        lines = [line for file in files if file not in messages for line in lines_of(file)]
        for number, part in enumerate(dealt(lines, FILES[source], chance)):
            arrivals.append(directory / source / f"part-{number:02}.ndjson")
            arrivals[-1].write_bytes(b"".join(line + b"\n" for line in part))
        arrivals.append(Path(shutil.copy(arrivals[-1], directory / source / "part-again.ndjson")))
        lines = [line for file in messages for line in lines_of(file)[1:-1]]
        for number, part in enumerate(dealt(lines, MESSAGE_FILES, chance) if lines else []):
            arrivals.append(directory / source / f"part-{number:02}.dat")
            arrivals[-1].write_bytes(b"".join(Messages().framed(part, amount_of(part), "2026-06-01")))
    chance.shuffle(arrivals)
    return arrivals
