"""Quarantine: what was rejected and why, and its replay once the rule that rejected it has been corrected.

A replay reads the file again from the archive, takes exactly the quarantined lines and lands those that are good now
under their own file and line number. All of it is one transaction: killed at any moment, each line is either still in
quarantine or a row, and a second replay finds nothing left to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from journeymart.db import alone, connect
from journeymart.errors import JourneymartError, one_line
from journeymart.landing.archive import Entry
from journeymart.landing.encode import REFUSED, Tally, words
from journeymart.landing.files import LandingFile
from journeymart.landing.load import TAKEN_AGAIN, FileChangedError, Loader
from journeymart.landing.readers import LINE_NO, Chunk, FileRejectedError
from journeymart.person import person
from journeymart.settings import Settings


class ReplayError(JourneymartError):
    """Nothing was replayed."""


@dataclass(frozen=True)
class Filter:
    """Which quarantined lines; what is None does not limit. `file` is a file_id or a path, `reason` a part of it."""

    file: str | None = None
    source: str | None = None
    reason: str | None = None

    def condition(self) -> sql.Composed:
        """SQL over raw.file f and a relation q with the columns of raw.quarantine, with `parameters`."""
        parts: list[sql.Composable] = [sql.SQL("f.status = 'loaded'")]
        if self.file is not None:
            parts.append(sql.SQL("(f.path = %(file)s or f.file_id::text = %(file)s)"))
        if self.source is not None:
            parts.append(sql.SQL("q.source = %(source)s"))
        if self.reason is not None:
            parts.append(sql.SQL("strpos(lower(concat_ws(' ', q.field, q.reason)), lower(%(reason)s)) > 0"))
        return sql.SQL(" and ").join(parts)

    @property
    def parameters(self) -> dict[str, Any]:
        """Values for `condition`."""
        return {"file": self.file, "source": self.source, "reason": self.reason}

    @property
    def options(self) -> list[str]:
        """As the command line takes it."""
        return [f"--{name} {value}" for name, value in self.parameters.items() if value is not None]


@dataclass(frozen=True)
class QuarantinedLine:
    """A rejected line; `line` is masked unless it was asked for in full."""

    file_id: int
    path: str
    line_no: int
    source: str
    field: str | None
    reason: str
    line: str | None


@dataclass(frozen=True)
class ReplayResult:
    """What became of the quarantined lines of one file."""

    file_id: int
    source: str
    path: str
    lines: int
    rows_loaded: int = 0
    rows_quarantined: int = 0
    error: str | None = None


def quarantined(
    chosen: Filter, *, limit: int = 50, unmasked: bool = False, settings: Settings | None = None
) -> list[QuarantinedLine]:
    """Lines in quarantine, the latest file first.

    Reads as jm_auditor, who sees the shape of a line but none of its values. `unmasked` reads as jm_builder, who sees
    all of it, and is recorded in ops.access_log.
    """
    role, relation = ("jm_builder", "quarantine") if unmasked else ("jm_auditor", "quarantine_masked")
    query = sql.SQL(
        "select q.file_id, f.path, q.line_no, q.source, q.field, q.reason, q.line"
        " from {} as q inner join raw.file as f using (file_id) where {}"
        " order by q.file_id desc, q.line_no limit %(limit)s"
    ).format(sql.Identifier("raw", relation), chosen.condition())
    with connect(role, settings=settings) as warehouse:
        if unmasked:
            warehouse.execute(
                "insert into ops.access_log (user_name, object, purpose) values (%s, 'raw.quarantine', %s)",
                (person(), " ".join(["quarantine list", *chosen.options])),
            )
        rows = warehouse.execute(query, {**chosen.parameters, "limit": limit}).fetchall()
    return [QuarantinedLine(*row) for row in rows]


def replay(
    landing: Path,
    run_id: str,
    chosen: Filter,
    *,
    definitions: Path | None = None,
    settings: Settings | None = None,
) -> Iterator[ReplayResult]:
    """Read the chosen lines again under the definitions of now; a result for each file, one that fails stops no other.

    The next run publishes what has become good. Raises ReplayError while a run is being built.
    """
    with Replayer(run_id, chosen, definitions=definitions, settings=settings) as replayer, replayer.alone():
        for file_id in replayer.files():
            yield replayer.replay(file_id, landing)


class Replayer(Loader):
    """Loads chosen lines of files that are in the ledger already."""

    def __init__(
        self, run_id: str, chosen: Filter, *, definitions: Path | None = None, settings: Settings | None = None
    ) -> None:
        super().__init__(run_id, definitions=definitions, settings=settings)
        self._chosen = chosen
        self._lines: Any = np.empty(0, dtype=np.int64)  # of the file at hand

    def alone(self) -> AbstractContextManager[None]:
        """Keep builds away: a model that reads raw twice must find the same rows of a published file."""
        return alone(self.warehouse, "build", ReplayError("a run is being built; replay when it has ended"))

    def files(self) -> list[int]:
        """Loaded files with chosen lines, in the order in which they were landed."""
        query = sql.SQL(
            "select distinct f.file_id from raw.quarantine as q inner join raw.file as f using (file_id)"
            " where {} order by 1"
        ).format(self._chosen.condition())
        return [row[0] for row in self.warehouse.execute(query, self._chosen.parameters)]

    def replay(self, file_id: int, landing: Path) -> ReplayResult:
        """Replay the chosen lines of one file."""
        row = self.warehouse.execute(
            "select archived_sha256 is null, source, path, format, coalesce(archived_sha256, sha256), sha256,"
            " rows_quarantined from raw.file where file_id = %s",
            (file_id,),
        ).fetchone()
        if row is None:
            raise ReplayError(f"there is no file {file_id}")
        self._is_whole, *found, sha256, lines = row  # as it landed, of which its ids may be made
        entry = Entry(*found)
        try:
            file = self.archive.original(self.sources, landing, entry)
            try:
                return self._replay(file_id, file, sha256)
            except REFUSED:
                pass  # once more, with a look at every value
            return self._replay(file_id, file, sha256, careful=True)
        except (
            *REFUSED,
            *TAKEN_AGAIN,
            FileRejectedError,
            FileChangedError,
            ReplayError,
            psycopg.OperationalError,
        ) as error:
            if self._is_disconnected():  # and the lock that kept builds away is gone
                raise ReplayError(
                    f"{one_line(entry.path)}: the connection is lost ({words(error)}); once it is back, replay again:"
                    " each line is in quarantine still or has been landed"
                ) from None
            reason = words(error) or "changed while it was read"
            if isinstance(error, (*TAKEN_AGAIN, psycopg.OperationalError)):
                reason += "; its lines stay in quarantine: once that is mended, replay them again"
            return ReplayResult(file_id, entry.source, entry.path, lines, 0, lines, one_line(f"{entry.path} {reason}"))

    def _replay(self, file_id: int, file: LandingFile, sha256: str, careful: bool = False) -> ReplayResult:
        with self.warehouse.transaction():
            self.warehouse.execute("select from raw.file where file_id = %s for update", (file_id,))
            self._lines = self._take_out(file_id)
            total = Tally()
            for counted in self._rows(file.source, {file_id: file}, {file_id: sha256}, careful):
                for tally in counted.values():
                    total.add(tally)
            if total.loaded + total.quarantined != len(self._lines):
                raise ReplayError(
                    f"has {len(self._lines)} quarantined lines, of which {total.loaded + total.quarantined} are lines"
                    " under the rules of now; send it again as a file that supersedes it"
                )
            self._put_back(file_id, total)
        return ReplayResult(file_id, file.source, file.path, len(self._lines), total.loaded, total.quarantined)

    def _take_out(self, file_id: int) -> Any:
        """Move the chosen lines from quarantine to the replayed ones; returns their numbers in order."""
        rows = self.warehouse.execute(
            sql.SQL(
                """
                with gone as (
                    delete from raw.quarantine as q using raw.file as f
                    where f.file_id = q.file_id and q.file_id = %(file_id)s and {}
                        and not exists (  -- of a customer who was erased: the archive has them no more
                            select from raw.erased_line as e where e.row_id = (q.file_id::bigint << 32) + q.line_no
                        )
                    returning q.file_id, q.line_no, q.field, q.reason
                )
                insert into raw.replay (row_id, field, reason, run_id)
                select (file_id::bigint << 32) + line_no, field, reason, %(run_id)s from gone
                returning row_id & 4294967295
                """
            ).format(self._chosen.condition()),
            {**self._chosen.parameters, "file_id": file_id, "run_id": self.run_id},
        ).fetchall()
        return np.sort(np.array([row[0] for row in rows], dtype=np.int64))

    def _put_back(self, file_id: int, total: Tally) -> None:
        """Lines that are in quarantine again were not replayed; the others are counted as loaded."""
        self.warehouse.execute(
            """
            delete from raw.replay as p using raw.quarantine as q
            where q.file_id = %s and p.row_id = (q.file_id::bigint << 32) + q.line_no
            """,
            (file_id,),
        )
        self.warehouse.execute(
            """
            with days as (
                insert into raw.file_day as known (file_id, happened_on, rows_loaded)
                select %(file_id)s, happened_on, rows_loaded
                from unnest(%(days)s::date[], %(rows)s::bigint[]) as counted (happened_on, rows_loaded)
                on conflict (file_id, happened_on) do update set rows_loaded = known.rows_loaded + excluded.rows_loaded
            )
            update raw.file as f
            set content_hash = content_hash + %(hash)s,  -- unknown stays unknown
                rows_loaded = rows_loaded + %(loaded)s,
                rows_quarantined = rows_quarantined - %(loaded)s,
                totals = coalesce((
                    select jsonb_object_agg(s.number, trim_scale(s.total)::text)
                    from (
                        select n.key as number, sum(n.value::numeric) as total
                        from (
                            select * from jsonb_each_text(f.totals) union all select * from jsonb_each_text(%(totals)s)
                        ) as n
                        group by n.key
                    ) as s
                ), '{}'),
                first_event_at = least(first_event_at, %(first_at)s),
                last_event_at = greatest(last_event_at, %(last_at)s)
            where file_id = %(file_id)s
            """,
            {
                "file_id": file_id, "days": list(total.days), "rows": list(total.days.values()), "hash": total.hash,
                "loaded": total.loaded, "first_at": total.first_at, "last_at": total.last_at,
                "totals": Jsonb({number: f"{sum_:f}" for number, sum_ in total.totals.items()}),
            },
        )  # fmt: skip

    def _chunks(self, file: LandingFile) -> Iterator[Chunk]:
        """Only the chosen lines; chunks without any are left out."""
        for chunk in super()._chunks(file):
            numbers = chunk.table.column(LINE_NO).to_numpy()
            rejects = [reject for reject in chunk.rejects if _contains(self._lines, np.array([reject.line_no]))[0]]
            mask = _contains(self._lines, numbers)
            if rejects or mask.any():
                yield Chunk(chunk.table.filter(mask), rejects)


def _contains(ordered: Any, values: Any) -> Any:
    """Which values are among the ordered ones."""
    if not len(ordered):
        return np.zeros(len(values), dtype=bool)
    return ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values
