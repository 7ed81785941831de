"""Analyses of the published mart: each is a SQL function of schema mart, called here with bound arguments.

The functions are in dbt_project/mart_functions; Superset calls the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from journeymart.db import LACKING, DatabaseOutdatedError, connect
from journeymart.errors import JourneymartError, NotPublishedError, WrongUsageError
from journeymart.settings import Settings


class AnalysisError(WrongUsageError):
    """An analysis was refused; the message says which argument, and why."""


@dataclass(frozen=True)
class Scope:
    """The filters that all analyses share; none means no limit. Both dates are included."""

    from_date: date | None = None
    to_date: date | None = None
    channel: str | None = None
    domain: str | None = None
    segment: str | None = None
    device_type: str | None = None

    def arguments(self) -> dict[str, Any]:
        """As arguments of a function of schema mart."""
        return dict(vars(self))


@dataclass(frozen=True)
class Result:
    """Rows of an analysis in its own order."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    @classmethod
    def of(cls, cursor: psycopg.Cursor[Any]) -> Result:
        """All that a query returned."""
        return cls([column.name for column in cursor.description or ()], cursor.fetchall())

    def records(self) -> list[dict[str, Any]]:
        """Each row by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def call(settings: Settings, function: str, arguments: Mapping[str, Any], role: str = "jm_dashboard") -> Result:
    """Call `mart.<function>` as `role`, with `arguments` by name.

    Raises AnalysisError if the function refuses an argument, NotPublishedError if there is none.
    """
    with connect(role, settings=settings) as connection:
        try:
            return Result.of(connection.execute(calling(function, arguments), arguments))
        except psycopg.errors.UndefinedFunction as error:  # its message is the signature, which says nothing to people
            raise NotPublishedError(
                "what is published here does not know this analysis; `journeymart run` renews it"
            ) from error
        except LACKING as error:
            raise DatabaseOutdatedError(error) from error
        except psycopg.ProgrammingError as error:
            raise JourneymartError(_words(error)) from error
        except psycopg.DataError as error:
            raise AnalysisError(_words(error)) from error


def calling(function: str, arguments: Mapping[str, Any]) -> sql.Composed:
    """The query that calls `mart.<function>` with arguments of these names."""
    return sql.SQL("select * from {}({})").format(
        sql.Identifier("mart", function),
        sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in arguments
        ),
    )


@contextmanager
def explained() -> Iterator[None]:
    """Raise AnalysisError for arguments the database refuses, NotPublishedError for a table that is not there."""
    try:
        yield
    except psycopg.DataError as error:
        raise AnalysisError(_words(error)) from error
    except psycopg.errors.UndefinedTable as error:
        raise NotPublishedError(f"nothing has been published yet: {error.diag.message_primary}") from error


def _words(error: psycopg.Error) -> str:
    return "; ".join(filter(None, (error.diag.message_primary or str(error), error.diag.message_hint)))
