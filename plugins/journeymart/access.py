"""Who may open what in Superset, until when: asked for, approved by somebody else, ended by its date or by a person.

`ops.access_grant` is what counts. `settle` makes the accounts what it says, as often as it is asked, so whatever was
cut short is made good by the next call. The DAGs access_request and access_end call these functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

import psycopg
from psycopg.rows import class_row
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from journeymart.db import connect
from journeymart.errors import JourneymartError, WrongUsageError
from journeymart.person import person
from journeymart.settings import Settings
from journeymart.sso import PREFIX, USER_NAME, groups
from journeymart.superset.accounts import Holder, give_password, settle_accounts
from journeymart.superset.client import ADMIN, superset_errors
from journeymart.superset.client import connect as connect_superset

LONGEST = 366  # days; who needs it for longer asks again
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]


class AccessError(WrongUsageError):
    """What is asked for cannot be granted or ended; the message says why."""


class OwnRequestError(JourneymartError):
    """Somebody approves what they have asked for, or what is for themselves."""


class Request(BaseModel):
    """What the form asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_name: Annotated[str, Field(pattern=f"^{USER_NAME}$")]
    full_name: Text
    email: Annotated[str, Field(max_length=200, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$")]
    role: Annotated[str, Field(pattern=r"^[a-z_]+(@[a-z0-9-]+)?$")]
    reason: Text
    until_on: date


class End(BaseModel):
    """Whose grants end now: all of them, or those of one role. Nobody's, if nobody is named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_name: str | None = None
    role: str | None = None


@dataclass(frozen=True)
class Grant:
    """A request and what became of it."""

    request_id: str
    user_name: str
    full_name: str
    email: str
    role: str
    reason: str
    until_on: date
    requested_by: str
    requested_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None

    @property
    def state(self) -> str:
        """waiting, granted, refused (also: not answered in time) or ended."""
        if self.ended_at is None:
            return "granted" if self.approved_at else "waiting"
        return "ended" if self.approved_at else "refused"


def ask(settings: Settings, request_id: str, content: Any) -> Grant:
    """Write a request down; the same one again is the one that is there, and what was approved of it is settled.

    Raises AccessError if it cannot be granted.
    """
    try:
        request = Request.model_validate(content)
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise AccessError(f"this cannot be asked for: {mistakes}") from None
    if request.user_name.lower() == ADMIN:
        raise AccessError("the administrator's account has every right already")
    if any(PREFIX + request.role in roles for roles in groups("SUPERSET").values()):
        raise AccessError(f"groups of the single sign-on decide who is {request.role}: ask where they are kept")
    with connect("jm_builder", settings=settings) as connection:
        connection.execute(
            """
            insert into ops.access_grant (request_id, user_name, full_name, email, role, reason, until_on, requested_by)
            select %(request_id)s, %(user_name)s, %(full_name)s, %(email)s, %(role)s, %(reason)s, %(until_on)s, %(by)s
            where %(until_on)s between current_date and current_date + %(longest)s
            on conflict do nothing
            """,
            {**dict(request), "request_id": request_id, "by": person(), "longest": LONGEST},
        )
        found = _grants(connection, request_id)
    if not found:
        raise AccessError(f"the last day is one from today on, at most {LONGEST} days ahead, not {request.until_on}")
    [grant] = found
    if request != Request.model_validate({name: getattr(grant, name) for name in Request.model_fields}):
        raise AccessError(f"there is another request by the name {request_id}")
    if grant.state == "granted":
        settle(settings)
    return grant


def answer(settings: Settings, request_id: str, *, is_approved: bool, by: str | None) -> Grant:
    """Approve a request, or refuse it; `by` nobody, if nobody has answered in time. An answer that was given stays.

    Raises OwnRequestError if somebody approves what they asked for or what is for themselves.
    """
    with connect("jm_builder", settings=settings) as connection:
        if is_approved:
            try:
                connection.execute(
                    "update ops.access_grant set approved_by = %s, approved_at = clock_timestamp()"
                    " where request_id = %s and approved_at is null and ended_at is null",
                    (by, request_id),
                )
            except psycopg.errors.CheckViolation:
                raise OwnRequestError(f"{by} asked for this or would get it: somebody else has to approve it") from None
        else:
            connection.execute(
                "update ops.access_grant set ended_by = %s, ended_at = clock_timestamp()"
                " where request_id = %s and approved_at is null and ended_at is null",
                (by, request_id),
            )
        [grant] = _grants(connection, request_id)
    settle(settings)
    return grant


def end(settings: Settings, content: Any) -> list[str]:
    """End somebody's grants now, in the name of who asks, and all whose last day is over; returns the changed accounts.

    Raises AccessError if nothing was ever granted to the person who is named.
    """
    whom = End.model_validate(content or {})
    if whom.user_name:
        with connect("jm_builder", settings=settings) as connection:
            ended = connection.execute(
                "update ops.access_grant set ended_by = coalesce(ended_by, case when ended_at is null then %(by)s end),"
                " ended_at = coalesce(ended_at, clock_timestamp())"
                " where lower(user_name) = lower(%(user_name)s) and (%(role)s::text is null or role = %(role)s)",
                {"by": person(), "user_name": whom.user_name, "role": whom.role},
            )
        if not ended.rowcount:
            raise AccessError(f"nothing was granted to '{whom.user_name}'" + (f" as {whom.role}" if whom.role else ""))
    return settle(settings)


def settle(settings: Settings) -> list[str]:
    """Make the accounts what the grants say; then grants whose last day is over have ended. Returns those changed."""
    with connect("jm_builder", settings=settings) as connection, superset_errors(settings):
        # one at a time: who asked the table before another would write what was true then
        connection.execute("select pg_advisory_xact_lock(hashtext('journeymart.access_grant'))")
        holders = connection.cursor(row_factory=class_row(Holder)).execute(
            """
            select
                max(user_name) as user_name,
                max(full_name) as full_name,
                max(email) as email,
                array_agg(distinct role) filter (where ended_at is null and until_on >= current_date) as roles
            from ops.access_grant
            where approved_at is not null
            group by lower(user_name)
            order by lower(user_name)
            """
        )
        changed = settle_accounts(connect_superset(settings), holders)
        connection.execute(
            "update ops.access_grant set ended_at = clock_timestamp()"
            " where ended_at is null and until_on < current_date"
        )
    return changed


def grants(settings: Settings) -> list[Grant]:
    """All requests and what became of them, the latest first."""
    with connect("jm_builder", settings=settings) as connection:
        return _grants(connection)


def first_password(settings: Settings, user_name: str) -> str:
    """A new password for an account that grants have made, for the administrator to hand over; kept nowhere."""
    with superset_errors(settings):
        return give_password(connect_superset(settings), user_name)


def _grants(connection: psycopg.Connection, request_id: str | None = None) -> list[Grant]:
    return (
        connection.cursor(row_factory=class_row(Grant))
        .execute(
            "select * from ops.access_grant where %(id)s::text is null or request_id = %(id)s"
            " order by requested_at desc, request_id",
            {"id": request_id},
        )
        .fetchall()
    )
