"""Connections to the warehouse, one login role per kind of work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg

from journeymart.errors import JourneymartError, NotPublishedError
from journeymart.settings import Settings

# What PostgreSQL says when something is asked for that the database does not have, or has for other roles only.
LACKING = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.InvalidColumnReference,
    psycopg.errors.InsufficientPrivilege,
)


class DatabaseUnreachableError(JourneymartError):
    """No connection to PostgreSQL; the message carries the server's reason, never the password."""


class DatabaseOutdatedError(JourneymartError):
    """The database is that of an older version of the code. `error` is one of LACKING."""

    def __init__(self, error: psycopg.Error) -> None:
        super().__init__(
            f"the database is not as this version needs it ({error.diag.message_primary}): `journeymart up` brings it"
            " up to date, then `journeymart run` what is published"
        )


def connect(
    role: str,
    *,
    autocommit: bool = False,
    database: str | None = None,
    settings: Settings | None = None,
    **session_settings: str | int | float | bool,
) -> psycopg.Connection:
    """Connect as `role`; use it as a context manager, which commits on success and always closes.

    `session_settings` are PostgreSQL parameters for this session: `connect("jm_loader", work_mem="256MB")`.
    Raises SettingsError without a password for the role, DatabaseUnreachableError if the server refuses.
    """
    settings = settings or Settings.load()
    try:
        connection = psycopg.connect(
            host=settings.pg_host,
            port=settings.pg_port,
            dbname=database or settings.pg_database,
            user=role,
            password=settings.password(role),
            application_name=f"journeymart {role}",
            connect_timeout=10,
            options="-c synchronous_commit=on",  # what is said to be done stays done if the server dies a moment later
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        raise DatabaseUnreachableError(
            f"cannot connect as {role}: {reason}; once that is mended, repeat the command"
        ) from error
    try:
        for name, value in session_settings.items():
            connection.execute("select set_config(%s, %s, false)", (name, str(value)))
        connection.autocommit = autocommit
    except psycopg.Error:
        connection.close()
        raise
    return connection


def holds(connection: psycopg.Connection, question: LiteralString, parameters: Mapping[str, Any] | None = None) -> bool:
    """What the database answers to a question that is true or false."""
    return connection.execute(question, parameters).fetchone() == (True,)


def exists(connection: psycopg.Connection, relation: str) -> bool:
    """Whether there is a table or view of this name, such as `mart.definition` before the first publication."""
    return holds(connection, "select to_regclass(%(relation)s) is not null", {"relation": relation})


@contextmanager
def published() -> Iterator[None]:
    """Raise NotPublishedError for a table that is not there: a publication brings it."""
    try:
        yield
    except psycopg.errors.UndefinedTable as error:
        raise NotPublishedError("nothing has been published yet") from error


@contextmanager
def alone(connection: psycopg.Connection, work: str, otherwise: JourneymartError | None = None) -> Iterator[None]:
    """Do this work (`build`, `report`) while nobody else does; if somebody does, raise `otherwise`, or wait.

    The connection is one that commits by itself; what it holds dies with it.
    """
    lock = {"lock": f"journeymart.{work}"}
    if otherwise is None:
        connection.execute("select pg_advisory_lock(hashtext(%(lock)s))", lock)
    elif not holds(connection, "select pg_try_advisory_lock(hashtext(%(lock)s))", lock):
        raise otherwise
    try:
        yield
    finally:
        if not connection.closed:  # at once: a connection is gone a moment after its end
            connection.execute("select pg_advisory_unlock(hashtext(%(lock)s))", lock)


def await_build(connection: psycopg.Connection) -> None:
    """Hold the build for this connection, until it ends, once no other one does."""
    connection.execute("select pg_advisory_lock(hashtext('journeymart.build'))")


def await_delivery(connection: psycopg.Connection) -> None:
    """Hold the files of audiences for this connection, until it ends, once nobody else writes or removes them."""
    connection.execute("select pg_advisory_lock(hashtext('journeymart.deliver'))")
