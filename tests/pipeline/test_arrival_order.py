"""The mart does not depend on how its history arrived: in which order, in how many files, how often."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import yaml
from tests.oracle.rules import random_rule
from tests.pipeline.comparison import differences, mart_by_name, mart_tables

from journeymart import pipeline
from journeymart.db import connect
from journeymart.definitions.transactions import length, placed
from journeymart.sample.generate import Spec, generate
from journeymart.sample.messages import Messages
from journeymart.settings import Settings

pytestmark = [pytest.mark.postgres, pytest.mark.slow]  # a dozen runs

DEFINITIONS = Path(__file__).parent / "definitions"
FILES = {"clickstream": 16, "transactions": 4}  # how many files the lines of a source are split into
DRAWN_RULES = 30
MESSAGE_FILES = 3
REPEATED_LINES = 0.03
START = datetime(2026, 6, 1, 9, tzinfo=UTC)
SEOUL = ZoneInfo("Asia/Seoul")
VISITORS = "uvwxyz"
CUSTOMER_DAYS = ("2026-01-01", "2026-03-01", "2026-06-02", "2026-06-03")  # on which their customer files are of effect
ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1)"


def sample_bank(landing: Path, seed: int) -> Path | None:
    """A bank with what real ones have: robots, duplicates, late files, broken lines."""
    generate(Spec(out=landing, customers=60, days=8, seed=seed, file_format="ndjson"))
    return None


def tangle(landing: Path, seed: int) -> Path | None:
    """A few visitors who do everything that is hard to count, always at the limits; returns its own definitions."""
    chance = random.Random(seed)
    clock = Clock(chance)
    for source, lines in (
        ("clickstream", events(chance, clock)),
        ("transactions", transactions(chance, clock)),
        *(("customers", customers(day)) for day in CUSTOMER_DAYS),
    ):
        (landing / source).mkdir(exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        name = "all.ndjson" if source in FILES else f"{len(list((landing / source).iterdir()))}.ndjson"
        (landing / source / name).write_text(text, encoding="utf-8")
    definitions = landing.parent / "definitions"
    shutil.copytree(DEFINITIONS / "tangled", definitions)
    drawn = json.dumps([random_rule(chance, f"DR-DRAWN-{number}") for number in range(DRAWN_RULES)])
    rules = yaml.safe_load((definitions / "rules.yml").read_text(encoding="utf-8"))
    rules["rules"] += json.loads(drawn.replace('"transaction_code": "T"', '"transaction_code": "BUY"'))
    (definitions / "rules.yml").write_text(json.dumps(rules), encoding="utf-8")
    return definitions


class Clock:
    """Moments from one to the next, now and then exactly the time-out away, and never twice the same."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.now = START
        self.used: set[datetime] = set()

    def next(self) -> str:
        steps = self.chance.choice([range(1, 600), range(1, 600), range(599, 602), range(1799, 1802), [7200]])
        self.now += timedelta(seconds=self.chance.choice(steps))
        while self.now in self.used:
            self.now += timedelta(milliseconds=1)
        self.used.add(self.now)
        return self.now.isoformat()

    def restart(self) -> None:
        self.now = START + timedelta(minutes=30 * self.chance.randrange(60))


def events(chance: random.Random, clock: Clock) -> Iterator[dict[str, Any]]:
    """480 views of 6 visitors, who share 4 customers; some ids again at other times, of the same or other visitors."""
    ids: list[str] = []
    for visitor in VISITORS:
        clock.restart()
        for _ in range(80):
            ids.append(chance.choice(ids) if ids and chance.random() < 0.1 else f"e-{len(ids)}")
            error = chance.random() < 0.1
            yield {
                "event_id": ids[-1],
                "event_time": clock.next(),
                "visitor_id": visitor,
                "customer_id": chance.choice([None] * 8 + ["c-1", f"c-{VISITORS.index(visitor) // 2 + 2}"]),
                "page_code": chance.choice("AABBCD"),
                "page_name": chance.choice(["one name", "another name"]),
                "channel": chance.choice(["web", "web", "app"]),
                "action_type": "error" if error else chance.choice(["view", "click"]),
                "error_code": "E-1" if error else None,
                "utm_campaign": chance.choice([None] * 8 + ["june", "july"]),
                "user_agent": chance.choice(["Mozilla/5.0"] * 9 + [ROBOT]),
            }


def transactions(chance: random.Random, clock: Clock) -> Iterator[dict[str, Any]]:
    """120 transactions around those views, with and without a visitor; some ids again."""
    for number in range(120):
        if number % 15 == 0:
            clock.restart()
        yield {
            "transaction_id": f"t-{chance.randrange(number + 1) if chance.random() < 0.1 else number}",
            "transaction_time": clock.next(),
            "customer_id": f"c-{chance.randrange(1, 5)}",
            "visitor_id": chance.choice([None, None, *VISITORS]),
            "transaction_code": chance.choice(["BUY", "BUY", "SELL"]),
            "channel": chance.choice(["web", "web", "branch"]),
            "amount": chance.choice([None, "10.25", "999.99"]),
            "currency": chance.choice(["KRW", "USD"]),
        }


def customers(day: str) -> Iterator[dict[str, Any]]:
    """What is known of each customer from a day on."""
    for number in range(1, 5):
        yield {
            "customer_id": f"c-{number}",
            "effective_date": day,
            "grade": f"{int(day[-5:-3]) + number + int(day[-1])}",
        }


def cut(file: Path) -> set[tuple[str, datetime, datetime, int]]:
    """Sessions of a tangled history, cut one event after the other: visitor, start, end, events."""
    first: dict[str, dict[str, Any]] = {}
    for line in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        line["at"] = datetime.fromisoformat(line["event_time"])
        if line["event_id"] not in first or line["at"] < first[line["event_id"]]["at"]:
            first[line["event_id"]] = line
    sessions: list[list[dict[str, Any]]] = []
    for event in sorted(first.values(), key=lambda event: (event["visitor_id"], event["at"])):
        if event["user_agent"] == ROBOT:
            continue
        last = sessions[-1][-1] if sessions else None
        if (
            last is None
            or event["visitor_id"] != last["visitor_id"]
            or event["at"] - last["at"] > timedelta(minutes=30)
            or event["at"].astimezone(SEOUL).date() != last["at"].astimezone(SEOUL).date()
            or event["utm_campaign"] not in (None, last["utm_campaign"])
        ):
            sessions.append([])
        sessions[-1].append(event)
    return {(s[0]["visitor_id"], s[0]["at"], s[-1]["at"], len(s)) for s in sessions}


@pytest.mark.parametrize(("history", "seed"), [(sample_bank, 7), (tangle, 21)])
def test_random_arrival(
    new_warehouse: Callable[[], Settings], tmp_path: Path, history: Callable[[Path, int], Path | None], seed: int
) -> None:
    """Lines dealt at random to 20 files, some of them twice, files once more under other names, in two runs.

    The mart is that of one full load, row for row, and computing it anew from raw changes nothing, not even keys.
    """
    whole, landing = tmp_path / "whole", tmp_path / "landing"
    whole.mkdir()
    definitions = history(whole, seed)
    at_once = new_warehouse()
    pipeline.run(at_once, whole, definitions=definitions)
    tied = rows(at_once, "select visitor_id, event_at from mart.event group by 1, 2 having count(*) > 1")
    assert tied == [], "events of one visitor at one moment count in the order of arrival"
    if history is sample_bank:
        # the pattern that is planted in the sample: nobody is missed, and nobody else is found
        truth = json.loads((whole / "truth.json").read_text(encoding="utf-8"))["remittance_intent"]["by_input"]
        found = rows(
            at_once, "select distinct customer_id from mart.detection where rule_id = 'DR-FX-INTENT' order by 1"
        )
        assert [customer for (customer,) in found] == truth != []
    if history is tangle:
        sessions = rows(at_once, "select visitor_id, started_at, ended_at, events from mart.session")
        assert set(sessions) == cut(whole / "clickstream" / "all.ndjson")

    warehouse = new_warehouse()
    arrivals = shuffled(whole, tmp_path / "prepared", random.Random(seed))
    later = len(arrivals) // (6 if history is tangle else 2)
    for number, files in enumerate((arrivals[later:], arrivals[:later])):
        for file in files:
            place = landing / file.relative_to(tmp_path / "prepared")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, place)
        run = pipeline.run(warehouse, landing, definitions=definitions)
        assert run.build.scope == ("changes" if number else "all")
        assert {file.status for file in run.files} <= {"loaded", "repeated"}

    assert differences(mart_by_name(warehouse), mart_by_name(at_once)) == {}
    stored = mart_tables(warehouse)
    assert pipeline.run(warehouse, landing, definitions=definitions, full=True).build.scope == "all"
    assert differences(mart_tables(warehouse), stored) == {}


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
