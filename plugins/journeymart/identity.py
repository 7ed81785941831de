"""Decisions about devices: whether sessions without a login may belong to the customer who logs in there."""

from __future__ import annotations

from journeymart.db import connect
from journeymart.errors import JourneymartError, WrongUsageError
from journeymart.settings import Settings


class IdentityError(JourneymartError):
    """A device cannot be unlinked or linked; the message says why."""


def unlink(settings: Settings, visitor_id: str, reason: str) -> None:
    """From the next run on, sessions without a login on this device belong to nobody.

    Raises IdentityError for a visitor who is not known, WrongUsageError without a reason.
    """
    if not reason.strip():
        raise WrongUsageError("say why the device is unlinked; the reason is kept")
    with connect("jm_builder", settings=settings) as connection:
        found = connection.execute(
            "insert into config.unlinked_device (visitor_key, reason)"
            " select visitor_key, %s from raw.visitor where visitor_id = %s"
            " on conflict (visitor_key) do update set reason = excluded.reason",
            (reason, visitor_id),
        ).rowcount
    if not found:
        raise IdentityError(f"no visitor {visitor_id!r} has landed")


def link(settings: Settings, visitor_id: str) -> None:
    """Take a decision back; raises IdentityError if there is none."""
    with connect("jm_builder", settings=settings) as connection:
        found = connection.execute(
            "delete from config.unlinked_device as u using raw.visitor as v"
            " where v.visitor_key = u.visitor_key and v.visitor_id = %s",
            (visitor_id,),
        ).rowcount
    if not found:
        raise IdentityError(f"the device of visitor {visitor_id!r} is not unlinked")
