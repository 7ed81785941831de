"""A history that is hard to count: few visitors who do everything, always at the limits, and where sessions end."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from tests.oracle.rules import random_rule

DEFINITIONS = Path(__file__).parent / "definitions"
DRAWN_RULES = 30
START = datetime(2026, 6, 1, 9, tzinfo=UTC)
SEOUL = ZoneInfo("Asia/Seoul")
VISITORS = "uvwxyz"
CUSTOMER_DAYS = ("2026-01-01", "2026-03-01", "2026-06-02", "2026-06-03")  # on which their customer files are of effect
ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1)"


def tangle(landing: Path, seed: int) -> Path:
    """Write a file of each source; returns definitions of its own."""
    chance = random.Random(seed)
    clock = Clock(chance)
    for source, lines in (
        ("clickstream", events(chance, clock)),
        ("transactions", transactions(chance, clock)),
        *(("customers", customers(day)) for day in CUSTOMER_DAYS),
    ):
        (landing / source).mkdir(exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        name = "all.ndjson" if source != "customers" else f"{len(list((landing / source).iterdir()))}.ndjson"
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
            "result_code": (None, "0000", "E201")[number % 3],
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
