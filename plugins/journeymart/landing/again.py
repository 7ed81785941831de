"""Landing again: files that were landed under another tracking plan are read from the archive under the plan of now.

Such a file becomes a new file of the ledger that supersedes its earlier self, in one transaction: killed at any moment,
one of the two counts. The next run takes the rows of the one from the mart and adds those of the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg.types.json import Jsonb

from journeymart.errors import one_line
from journeymart.landing.archive import Entry
from journeymart.landing.encode import REFUSED, words
from journeymart.landing.files import FileResult, LandingFile
from journeymart.landing.load import TAKEN_AGAIN, Content, FileChangedError, Loader
from journeymart.landing.readers import FileRejectedError
from journeymart.settings import Settings


class AgainLoader(Loader):
    """Loads files of the ledger once more; use as a context manager."""

    def __init__(self, run_id: str, *, definitions: Path | None = None, settings: Settings | None = None) -> None:
        super().__init__(run_id, definitions=definitions, settings=settings)
        self._earlier = 0  # the file at hand, as it is in the ledger

    def files(self, source: str | None = None) -> list[int]:
        """Loaded files whose lines another plan gave their meaning, in the order in which they were landed."""
        plans = {name: self.plan_hash(name) for name in self.sources.sources if source in (None, name)}
        rows = self.warehouse.execute(
            "select f.file_id from raw.file as f"
            " join unnest(%s::text[], %s::text[]) as now (source, plan_hash) on f.source = now.source"
            " where f.status = 'loaded' and f.plan_hash is distinct from now.plan_hash order by f.file_id",
            (list(plans), list(plans.values())),
        ).fetchall()
        return [file_id for (file_id,) in rows]

    def land_again(self, file_id: int, landing: Path) -> FileResult:
        """Load one file again; `failed` says why it stays as it was."""
        row = self.warehouse.execute(
            "select archived_sha256 is null, source, path, format, coalesce(archived_sha256, sha256) from raw.file"
            " where file_id = %s",
            (file_id,),
        ).fetchone()
        if row is None:
            raise FileChangedError
        self._is_whole, *found = row
        entry = Entry(*found)
        self._earlier = file_id
        try:
            file = self.archive.original(self.sources, landing, entry)
            try:
                return self._load([file])[0]
            except REFUSED:
                pass  # once more, with a look at every value
            return self._load([file], careful=True)[0]
        except (*REFUSED, *TAKEN_AGAIN, FileRejectedError, FileChangedError, psycopg.OperationalError) as error:
            self._reconnect()
            reason = words(error) or "is being landed by another process"
            return FileResult(
                entry.source, entry.path, "failed", error=one_line(f"{entry.path} {reason}; it stays as it was")
            )

    def _content(self, file: LandingFile) -> Content:
        """What was declared still has to hold, unless lines were erased since; what it corrected at that time is
        corrected. It keeps the sha256 as it landed, of which its ids may be made, and its place in the archive, where a
        file may be compressed: a copy of that one nobody would find again, nor erase."""
        row = self.warehouse.execute(
            "select source, path, format, coalesce(archived_sha256, sha256), sha256, case"
            " when jsonb_typeof(declared) <> 'object' then declared"
            " when rows_erased > 0 or archived_sha256 is not null"
            " then declared - '{supersedes,rows,totals,sha256}'::text[]"
            " else declared - 'supersedes' end"
            " from raw.file where file_id = %s",
            (self._earlier,),
        ).fetchone()
        if row is None:
            raise FileChangedError
        *kept, sha256, declared = row
        copy = self.archive.copy(file)
        return Content(sha256, declared, replace(copy, place=self.archive.place(Entry(*kept))))

    def _take(self, files: list[LandingFile], contents: list[Content]) -> list[int | None]:
        """The new row of the file at hand, known by the place at which it was landed. Raises FileChangedError if it is
        no longer loaded."""
        earlier = self.warehouse.execute(
            "update raw.file set status = 'superseded' where file_id = %s and status = 'loaded'", (self._earlier,)
        )
        if not earlier.rowcount:
            raise FileChangedError
        [file], [content] = files, contents
        row = self.warehouse.execute(
            """
            insert into raw.file (
                source, path, sha256, archived_sha256, bytes, modified_at, format, status, declared, run_id, plan_hash
            )
            select source, path, sha256, archived_sha256, bytes, modified_at, format, 'loaded', %s, %s, %s
            from raw.file where file_id = %s
            returning file_id
            """,
            (
                None if content.declared is None else Jsonb(content.declared), self.run_id,
                self.plan_hash(file.source), self._earlier,
            ),
        ).fetchone()  # fmt: skip
        if row is None:
            raise FileChangedError
        self.warehouse.execute("update raw.file set superseded_by = %s where file_id = %s", (row[0], self._earlier))
        return [int(row[0])]


def land_again(
    landing: Path,
    run_id: str,
    *,
    source: str | None = None,
    definitions: Path | None = None,
    settings: Settings | None = None,
) -> Iterator[FileResult]:
    """Load every file again that was landed under another plan; a result for each, one that fails stops no other."""
    with AgainLoader(run_id, definitions=definitions, settings=settings) as loader:
        for file_id in loader.files(source):
            yield loader.land_again(file_id, landing)
