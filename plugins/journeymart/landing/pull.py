"""Rows of other databases → Parquet files in the landing zone, in batches by (watermark, key).

A file is renamed into place when it is complete, and its name says how far it reaches:

    <landing>/<source>/db/<pull>/<number>~<watermark>~<key>.parquet

The next batch begins behind the last file, in the landing zone or in the ledger. There is no other state that could
say something else, so a pull that is killed at any moment goes on where its last complete file ends.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
from psycopg.types.string import TextLoader
from pyarrow import parquet

from journeymart.db import connect
from journeymart.definitions.databases import Pull, load_pulls
from journeymart.definitions.sources import load_sources
from journeymart.errors import JourneymartError, WrongUsageError
from journeymart.files import writing
from journeymart.landing.personal import mask_line
from journeymart.settings import Settings

FOLDER = "db"
NUMBER_DIGITS = 10
MAX_NAME_BYTES = 240  # of a file: 255 may be, and while it is written it has more
# Airflow's names of connection types, where SQLAlchemy's differ.
DIALECTS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "oracle": "oracle+oracledb",
    "mssql": "mssql+pyodbc",
}
# Types of PostgreSQL whose values lose something in Python: digits of numbers in JSON, 24:00, months.
AS_WRITTEN = ("json", "jsonb", "time", "timetz", "interval")
Position = tuple[Any, Any]  # watermark and key of the last row
LOG = logging.getLogger(__name__)


class PullError(JourneymartError):
    """A database cannot be pulled from."""


@dataclass(frozen=True)
class PullResult:
    """What one pull brought."""

    name: str
    source: str
    files: tuple[str, ...] = ()  # relative to the landing zone
    rows: int = 0
    error: str | None = None


def pull(
    landing: Path, *, only: str | None = None, definitions: Path | None = None, settings: Settings | None = None
) -> list[PullResult]:
    """Pull what is new in every table of definitions/databases.yml, or in one; one that fails stops no other.

    Raises WrongUsageError for an unknown name and DefinitionError for a definition that cannot be used.
    """
    sources = load_sources(definitions)
    pulls = load_pulls(definitions, sources)
    if only is not None and only not in pulls:
        raise WrongUsageError(f"there is no pull '{only}' in databases.yml; there are: {', '.join(pulls) or 'none'}")
    results = []
    for name, definition in pulls.items():
        if only not in (None, name):
            continue
        zone = ZoneInfo(sources.sources[definition.source].time_zone)
        try:
            results.append(_pull(landing, name, definition, zone, settings))
        # Drivers and Arrow raise ValueError and TypeError for what they cannot read.
        except (sa.exc.SQLAlchemyError, JourneymartError, OSError, ImportError, ValueError, TypeError) as error:
            reason = mask_line(" ".join(str(getattr(error, "orig", None) or error).split()))[:400]
            if isinstance(error, sa.exc.OperationalError | OSError):
                reason += "; once that is mended, pull again: it goes on behind the last whole file"
            results.append(PullResult(name, definition.source, error=f"pull {name}: {reason}"))
    return results


def _pull(landing: Path, name: str, definition: Pull, zone: ZoneInfo, settings: Settings | None) -> PullResult:
    folder = landing / definition.source / FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    url = connection_url(definition.connection, os.environ)
    if url.get_backend_name() == "postgresql":  # one that says of no encoding which it has would send bytes for texts
        url = url.set(query={"client_encoding": "utf8", **url.query})
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    files, rows = [], 0
    with (
        _alone(folder, name),
        connect("jm_loader", autocommit=True, settings=settings) as warehouse,
        engine.connect() as database,
    ):
        driver: Any = database.connection.driver_connection
        if engine.dialect.name == "postgresql":
            database.execution_options(postgresql_readonly=True)
            for kind in AS_WRITTEN:
                driver.adapters.register_loader(kind, TextLoader)
            driver.adapters.register_loader("bpchar", _Unpadded)
        elif engine.dialect.name == "sqlite":  # which keeps bytes that are no text as text
            driver.text_factory = lambda text: text.decode(errors="backslashreplace")
        table = _table(definition)
        for part in folder.glob(".*.part"):  # of a pull that was killed, or had no room
            part.unlink()
        for column in (definition.watermark, definition.key):
            without = sa.select(sa.literal(1)).select_from(table).where(table.c[column].is_(None)).limit(1)
            if database.execute(without).first():
                LOG.warning("pull %s: rows without %s are never pulled", name, column)
        number, position = _reached(folder, definition.source, name, warehouse)
        is_last = False
        while not is_last:
            batch, is_last = _batch(database, table, definition, position, zone)
            if not batch:
                break
            columns = list(batch[0]._fields)
            position = _position(batch[-1], columns, definition)
            number += 1
            path = folder / f"{number:0{NUMBER_DIGITS}}~{_written(position[0])}~{_written(position[1])}.parquet"
            if len(path.name) > MAX_NAME_BYTES:
                raise PullError(
                    f"{definition.key} is too long to name a file by, with {len(str(position[1]))} characters: make a"
                    " shorter key in a query"
                )
            _write(path, columns, batch)
            files.append(path.relative_to(landing).as_posix())
            rows += len(batch)
    return PullResult(name, definition.source, tuple(files), rows)


def connection_url(connection: str, environment: Any) -> sa.URL:
    """The SQLAlchemy URL of an Airflow connection, which the environment has as AIRFLOW_CONN_<ID>: a URI or JSON, as
    Airflow's own export of its connections. In a DAG the task puts there what only Airflow knows.

    Raises PullError without the value, which holds a password.
    """
    variable = f"AIRFLOW_CONN_{connection.upper()}"
    value = environment.get(variable)
    if not value:
        raise PullError(f"the connection '{connection}' is not there: set {variable}")
    try:
        if value.lstrip().startswith("{"):
            parts = json.loads(value)
            url = sa.URL.create(
                parts["conn_type"], parts.get("login"), parts.get("password"), parts.get("host"),
                int(parts["port"]) if parts.get("port") else None, parts.get("schema"),
                {key: value for key, value in (parts.get("extra") or {}).items() if isinstance(value, str)},
            )  # fmt: skip
        else:
            url = sa.make_url(value)
    except (ValueError, KeyError, TypeError, AttributeError, sa.exc.ArgumentError):
        raise PullError(f"{variable} is no connection URI and no JSON of one") from None
    return url.set(drivername=DIALECTS.get(url.drivername, url.drivername))


def _table(definition: Pull) -> Any:
    columns: list[Any] = [sa.column(definition.watermark), sa.column(definition.key)]
    if definition.query is not None:
        return sa.text(definition.query.strip().rstrip(";")).columns(*columns).subquery("pulled")
    schema, _, table = (definition.table or "").rpartition(".")
    return sa.table(table, *columns, schema=schema or None)


def _batch(
    database: sa.Connection, table: Any, definition: Pull, position: Position | None, zone: ZoneInfo
) -> tuple[Sequence[sa.Row[Any]], bool]:
    """The next rows behind a position, in order, and whether there are no others."""
    watermark, key = table.c[definition.watermark], table.c[definition.key]
    query = sa.select(sa.text("*")).select_from(table).where(watermark.is_not(None), key.is_not(None))
    if position is not None:
        reached, last = position
        query = query.where(sa.or_(watermark > reached, sa.and_(watermark == reached, key > last)))
    query = query.order_by(watermark, key).limit(definition.batch_rows + 1)
    try:
        rows = database.execute(query).all()
    except (psycopg.DataError, sa.exc.DataError):  # a time that Python has no value for
        database.rollback()
        if not _takes_any_time(database):
            raise
        rows = database.execute(query).all()
    database.rollback()
    columns = list(rows[0]._fields) if rows else []
    for name in (definition.watermark, definition.key):
        if rows and name not in columns:
            raise PullError(f"the rows have no column '{name}', only {', '.join(columns)}")
    found = [_position(row, columns, definition) for row in rows]
    if len(found) > definition.batch_rows and found[-1] == found[-2]:
        at, same = found[-1]
        raise PullError(
            f"several rows have the {definition.watermark} {at} and the {definition.key} '{same}', and those"
            " behind the end of a batch would be lost: make a key in a query that tells them apart"
        )
    is_last = len(rows) <= definition.batch_rows
    rows, found = rows[: definition.batch_rows], found[: definition.batch_rows]
    # A database that counts finer than microseconds, as SQL Server does, finds the last row again, and before it those
    # of its microsecond that have been taken, too.
    begin = found.index(position) + 1 if position in found else 0
    if begin == definition.batch_rows:
        raise PullError(
            f"{definition.batch_rows:,} rows or more have the same {definition.watermark} to the microsecond, but not"
            " beyond: raise batch_rows, or round it in a query"
        )
    settled = [
        row
        for row, (watermark, _) in zip(rows[begin:], found[begin:], strict=True)
        if _is_settled(watermark, definition, zone)
    ]
    return settled, is_last


def _is_settled(watermark: Any, definition: Pull, zone: ZoneInfo) -> bool:
    """Whether a row is older than the lag; of a date, which has more rows until it is over. A number has no age."""
    if isinstance(watermark, date) and not isinstance(watermark, datetime):
        watermark = datetime.combine(watermark, time.max)
    if not isinstance(watermark, datetime):
        return True
    limit = datetime.now(UTC) - definition.lag
    return watermark <= (limit if watermark.tzinfo else limit.astimezone(zone).replace(tzinfo=None))


def _position(row: sa.Row[Any], columns: list[str], definition: Pull) -> Position:
    watermark, key = (row[columns.index(name)] for name in (definition.watermark, definition.key))
    if isinstance(watermark, _Unreadable):
        raise PullError(
            f"{definition.watermark} is {watermark} where {definition.key} is '{key}': leave it out in a query"
        )
    return watermark, key


class _Unpadded(TextLoader):
    """Of char(n), whose spaces at the end are no part of the value."""

    def load(self, data: Buffer) -> Any:
        return str(super().load(data)).rstrip(" ")


class _Unreadable(str):
    """A time as the database writes it: infinity, or of a year that Python does not count. Landing says what of it."""

    __slots__ = ()


class _AnyDate(DateLoader):
    def load(self, data: Buffer) -> Any:
        return _loaded(super().load, data)


class _AnyTime(TimestampLoader):
    def load(self, data: Buffer) -> Any:
        return _loaded(super().load, data)


class _AnyTimeWithZone(TimestamptzLoader):
    def load(self, data: Buffer) -> Any:
        return _loaded(super().load, data)


def _loaded(load: Callable[[Buffer], Any], data: Buffer) -> Any:
    try:
        return load(data)
    except psycopg.DataError:
        return _Unreadable(bytes(data).decode())


def _takes_any_time(database: sa.Connection) -> bool:
    """Make times that Python has no value for come as text, from PostgreSQL. Slower, so only once one was met."""
    driver: Any = database.connection.driver_connection
    if not isinstance(driver, Connection):
        return False
    for name, loader in (("date", _AnyDate), ("timestamp", _AnyTime), ("timestamptz", _AnyTimeWithZone)):
        driver.adapters.register_loader(name, loader)
    return True


# ── how far a pull has come ──


def _reached(folder: Path, source: str, name: str, warehouse: Connection) -> tuple[int, Position | None]:
    """Number and position of the last file, whether it still lies in the landing zone or is known to the ledger."""
    prefix = f"{source}/{FOLDER}/{name}/"
    known = warehouse.execute(
        "select path from raw.file where source = %s and starts_with(path, %s) order by path desc limit 1",
        (source, prefix),
    ).fetchone()
    names = [path.name for path in folder.glob("[0-9]*.parquet")]
    names += [known[0].removeprefix(prefix)] if known else []
    if not names:
        return 0, None
    number, watermark, key = max(names).removesuffix(".parquet").split("~")
    return int(number), (_read(watermark), _read(key))


# A value's type is the letter before it, because the comparison in the database needs the type again.
_TYPES: dict[str, tuple[type, Callable[[str], Any]]] = {
    "t": (datetime, datetime.fromisoformat),
    "d": (date, date.fromisoformat),
    "i": (int, int),
    "n": (Decimal, Decimal),
    "s": (str, str),
}


def _written(value: Any) -> str:
    for letter, (kind, _) in _TYPES.items():
        if isinstance(value, kind):
            text = value.isoformat() if isinstance(value, date) else str(value)
            return letter + quote(text, safe=":+").replace("~", "%7E")
    raise PullError(f"a watermark or key of type {type(value).__name__} is not supported; cast it in a query")


def _read(text: str) -> Any:
    return _TYPES[text[0]][1](unquote(text[1:]))


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Hold the folder for this process; the lock dies with it."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PullError(f"{name} is being pulled by another process") from None
        yield


# ── rows as Parquet ──


def _write(path: Path, columns: list[str], rows: Sequence[sa.Row[Any]]) -> None:
    """Write a file under a hidden name and rename it into place."""
    arrays = [_array(column) for column in zip(*rows, strict=True)]
    part = path.with_name(f".{path.name}.part")
    with writing(path, part):
        with part.open("wb") as file:
            parquet.write_table(pa.table(arrays, names=columns), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)


def _array(values: Iterable[Any]) -> pa.Array:
    """Times and whole numbers as they are, everything else as the text it is written with, so that nothing is lost."""
    values = list(values)
    kinds = {type(value) for value in values if value is not None}
    if kinds == {datetime}:
        zoned = {value.tzinfo is not None for value in values if value is not None}
        if len(zoned) == 1:
            return pa.array(values, pa.timestamp("us", "UTC" if zoned.pop() else None))
    if kinds == {date}:
        return pa.array(values, pa.date32())
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
