"""What a channel may show right now, over HTTP: `GET /journeymart/triggers/v1/pending`.

The rows are those of export.pending_triggers(), asked as jm_campaign, which writes down who looked. Who may ask is the
Airflow role Channel (docker/airflow/prepare.py), with a token of Airflow's own login.
"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import psycopg
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, FastAPI, HTTPException, Query, Response
from psycopg.rows import dict_row
from pydantic import BaseModel, Field

from journeymart.db import connect
from journeymart.errors import JourneymartError
from journeymart.settings import Settings

PERMISSION = "journeymart triggers"
MOST_KNOWN = 10_000  # users whose rate is remembered
STATEMENT = """
    select * from export.pending_triggers(
        reader => %(reader)s, channel => %(channel)s, customer => %(customer)s, visitor => %(visitor)s {moment}
    )
"""


class Label(BaseModel):
    """What people read."""

    ko: str
    en: str


class Question(BaseModel):
    """A question of a survey; with choices, or to be answered in words."""

    id: str
    text: Label
    choices: list[Label] = []


class Message(BaseModel):
    """What is shown: plain text, to be escaped like any other."""

    title: Label
    body: Label
    button: Label | None = None
    questions: list[Question] = []


class Trigger(BaseModel):
    """Something to show. Answer in export.ack with its trigger_id, and it is not given again."""

    trigger_id: UUID
    rule_id: str
    action: Literal["popup", "survey", "redirect", "campaign"]
    message_id: str | None
    message_version: int | None
    message: Message | None
    target_url: str | None
    created_at: datetime
    show_from: datetime
    expires_at: datetime
    dedupe_key: str = Field(description="Rule and last event; show one of them once.")


class Pending(BaseModel):
    """All that may be shown now, the oldest first."""

    triggers: list[Trigger]


class Rates:
    """A bucket of requests per user: `burst` at once, refilled at `per_second`."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self.burst, self.clock = per_second, burst, clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, user: str) -> float:
        """Take one request; returns 0, or the seconds after which there is one."""
        now = self.clock()
        with self._lock:
            left, since = self._left.pop(user, (float(self.burst), now))
            left = min(self.burst, left + (now - since) * self.per_second)
            seconds = 0.0 if left >= 1 else (1 - left) / self.per_second
            self._left[user] = (left if seconds else left - 1, now)
            if len(self._left) > MOST_KNOWN:
                self._left.popitem(last=False)
        return seconds


class Warehouse:
    """One connection, kept open: a new one for each request would cost more than the answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        # Data that is replayed has its own time; a bank's has the clock's.
        is_replay = os.environ.get("JOURNEYMART_TRIGGER_CLOCK") == "data"
        self._statement = STATEMENT.format(moment=", moment => null" if is_replay else "").encode()

    def pending(self, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """Rows of export.pending_triggers(); a connection that was lost is made anew, once."""
        with self._lock:
            if self._connection is not None:
                try:
                    return self._ask(self._connection, arguments)
                except psycopg.OperationalError:
                    self._connection.close()
                    self._connection = None
            self._connection = connect("jm_campaign", settings=Settings.load(), autocommit=True, statement_timeout="2s")
            return self._ask(self._connection, arguments)

    def _ask(self, connection: psycopg.Connection, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        return connection.cursor(row_factory=dict_row).execute(self._statement, arguments).fetchall()


app = FastAPI(
    title="journeymart triggers",
    version="1",
    description="What a channel may show a customer or a device right now. Consent, quiet hours, expiry and frequency "
    "are checked at the moment of the request, which is written to the access log.",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,  # below, behind the login
)
rates = Rates(float(os.environ.get("JOURNEYMART_TRIGGER_RATE", "50")), burst=100)
warehouse = Warehouse()


def channel_user(user: GetUserDep) -> str:
    """The name of who asks, if they may."""
    if not get_auth_manager().is_authorized_custom_view(method="GET", resource_name=PERMISSION, user=user):
        raise HTTPException(403, "This user may not read triggers; give it the role Channel.")
    return str(user.get_name())


User = Annotated[str, Depends(channel_user)]
Identifier = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


@app.get(
    "/v1/pending",
    responses={401: {"description": "No login"}, 403: {"description": "Not a channel"},
               429: {"description": "Too many requests; Retry-After says when"},
               503: {"description": "The warehouse does not answer; show nothing"}},
)  # fmt: skip
def pending(
    response: Response,
    user: User,
    channel: Annotated[str, Query(min_length=1, max_length=60, pattern=r"^[\w-]+$", examples=["web"])],
    customer_id: Identifier = None,
    visitor_id: Identifier = None,
) -> Pending:
    """Pending triggers of a customer who has logged in, or of a device that nobody is known to use."""
    seconds = rates.wait(user)
    if seconds:
        raise HTTPException(429, "Too many requests.", headers={"Retry-After": str(int(seconds) + 1)})
    if customer_id is None and visitor_id is None:
        raise HTTPException(422, "Name a customer_id or a visitor_id.")
    response.headers["Cache-Control"] = "no-store"
    arguments = {"reader": user, "channel": channel, "customer": customer_id, "visitor": visitor_id}
    try:
        return Pending.model_validate({"triggers": warehouse.pending(arguments)})
    except (psycopg.Error, JourneymartError) as error:
        raise HTTPException(503, "The warehouse does not answer.") from error


@app.get("/openapi.json", include_in_schema=False, dependencies=[Depends(channel_user)])
def openapi() -> dict[str, Any]:
    """The description of this interface, for those who may use it."""
    return app.openapi()
