"""The demo's stand-in for the bank's campaign system and channels: what a receiver does, in docs/integrate.md's words.

As jm_campaign it reads whom it is given, answers in export.ack, and leaves what it sent in the landing zone. It moves
nobody: the sample's customers do what they would have done anyway, so whatever effect is measured of it is chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, LiteralString
from zlib import crc32

from journeymart.db import connect
from journeymart.sample.write import write_csv, write_done
from journeymart.settings import Settings

SENT_AFTER: Final = timedelta(hours=10)
"""The sample's exports end with a day, and nobody is written to at night."""
NOT_REACHED: Final = 40
"""One customer of so many cannot be reached."""
CLICKED: Final = 4
"""One of so many who are shown something clicks it."""
_MEMBERS: LiteralString = """
    select export_id, customer_id, as_of from export.audience_snapshot as s
    where not exists (select from export.ack as a where a.export_id = s.export_id and a.row_key = s.customer_id)
    order by export_id, customer_id
"""
# One for each person: what has been shown counts for what may be shown next.
_TRIGGERS: LiteralString = """
    select distinct on (coalesce(customer_id, visitor_id)) trigger_id::text from export.trigger_queue
    where show_from <= (select max(as_of) from export.audience)
    order by coalesce(customer_id, visitor_id), created_at, trigger_id
"""


@dataclass(frozen=True, slots=True)
class Played:
    """How many customers of audiences were sent something, and how many triggers were shown."""

    sent: int
    shown: int


def play(settings: Settings, landing: Path) -> Played:
    """Send to everybody in an audience who is not answered for yet, and show what waits, one to each person."""
    with connect("jm_campaign", settings=settings) as connection, connection.cursor() as cursor:
        answers, sends = [], []
        for export_id, customer_id, as_of in cursor.execute(_MEMBERS).fetchall():
            send = _send(export_id, customer_id, as_of + SENT_AFTER)
            is_reached = _hash(send["send_id"]) % NOT_REACHED
            answers.append((export_id, customer_id, "sent" if is_reached else "failed"))
            sends += [send] if is_reached else []
        if sends:
            path = landing / "campaign_sends" / sends[0]["sent_at"][:10] / "audiences.csv.gz"
            write_csv(path, sends)
            write_done(path, len(sends))
        cursor.executemany("insert into export.ack (export_id, row_key, status) values (%s, %s, %s)", answers)
        waiting = cursor.execute(_TRIGGERS).fetchall()
        shown = [(trigger_id, "shown" if _hash(trigger_id) % CLICKED else "clicked") for (trigger_id,) in waiting]
        cursor.executemany("insert into export.ack (trigger_id, status) values (%s, %s)", shown)
    return Played(len(sends), len(shown))


def _send(export_id: str, customer_id: str, sent_at: datetime) -> dict[str, str]:
    return {
        "send_id": f"{export_id}-{customer_id}",
        "customer_id": customer_id,
        "sent_at": sent_at.isoformat(),
        "campaign_id": export_id.replace("AU-", "CMP-", 1),
        "channel": "push",
        "result": "delivered",
    }


def _hash(key: str) -> int:
    return crc32(key.encode())
