"""Housekeeping: files that are older than their source is kept (`keep` in sources.yml) go, raw, mart and archive.

A file that is due is named in the ledger (status `expired`), and the next run takes its rows away as it takes those of
a corrected file. Its quarantined lines and its copy in the archive go by the first housekeeping after that publication.
Its row of the ledger stays. Killed at any moment, the next one goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path

import psycopg

from journeymart.db import await_build, connect, holds
from journeymart.definitions.sessions import time_zone
from journeymart.definitions.sources import load_sources
from journeymart.landing.archive import Archive, Entry
from journeymart.settings import Settings


@dataclass(frozen=True)
class Housekeeping:
    """Paths of files that go with the next run, and of those that went earlier and are now cleared from quarantine and
    archive; and what is in the archive but not in the ledger."""

    expired: list[str]
    cleared: list[str]
    orphans: list[Path] = field(default_factory=list)


def keep_house(
    settings: Settings, *, definitions: Path | None = None, now: datetime | None = None, dry_run: bool = False
) -> Housekeeping:
    """Name the files that are due, and clear what runs have taken away since. `dry_run` only says what is due.

    A file is due when its latest time, or of one without any the time when it was loaded, is before the beginning of
    the day that is `keep` before today. Days are those of the warehouse's time zone.
    """
    sources = load_sources(definitions).sources
    zone = time_zone(definitions)
    today = datetime.combine((now or datetime.now(UTC)).astimezone(zone).date(), time(), zone)
    kept_from = {name: today - source.keep for name, source in sources.items() if source.keep is not None}
    with connect("jm_loader", settings=settings, autocommit=True) as warehouse:
        with warehouse.transaction(force_rollback=dry_run):
            expired = warehouse.execute(
                """
                update raw.file as f set status = 'expired'
                from unnest(%s::text[], %s::timestamptz[]) as due (source, kept_from)
                where
                    f.source = due.source
                    and f.status in ('loaded', 'superseded')
                    and coalesce(f.last_event_at, f.loaded_at) < due.kept_from
                returning f.path
                """,
                (list(kept_from), list(kept_from.values())),
            ).fetchall()
        archive = Archive(settings.archive)
        cleared = [] if dry_run else _clear(warehouse, archive)
        kept = warehouse.execute(
            "select source, path, format, coalesce(archived_sha256, sha256) from raw.file"
            " where status in ('loaded', 'superseded', 'expired') and cleared_at is null"
        )
        orphans = archive.orphans({archive.place(Entry(*place)) for place in kept})
    return Housekeeping(sorted(path for (path,) in expired), cleared, orphans)


def _clear(warehouse: psycopg.Connection, archive: Archive) -> list[str]:
    """Clear quarantine and archive of the files whose rows are gone; returns their paths.

    Files with the same content share a copy, which goes with the last of them.
    """
    if not holds(
        warehouse,
        "select exists ("
        "select from raw.file where status = 'expired' and removed_id is not null and cleared_at is null)",
    ):
        return []
    await_build(warehouse)  # an erasure writes archived files anew
    with warehouse.transaction():
        # A file with the same content that is being loaded finds its copy there, or makes one after this.
        warehouse.execute("lock table raw.file in share row exclusive mode")
        gone = warehouse.execute(
            """
            update raw.file set cleared_at = clock_timestamp()
            where status = 'expired' and removed_id is not null and cleared_at is null
            returning file_id, source, path, format, coalesce(archived_sha256, sha256)
            """
        ).fetchall()
        file_ids = [file_id for file_id, *_ in gone]
        warehouse.execute("delete from raw.quarantine where file_id = any(%s)", (file_ids,))
        warehouse.execute("delete from raw.replay where (row_id >> 32)::integer = any(%s)", (file_ids,))
        entries = [Entry(*place) for _, *place in gone]
        needed = warehouse.execute(
            """
            select source, path, format, coalesce(archived_sha256, sha256)
            from raw.file
            where
                coalesce(archived_sha256, sha256) = any(%s)
                and status in ('loaded', 'superseded', 'expired')
                and cleared_at is null
            """,
            ([entry.sha256 for entry in entries],),
        ).fetchall()
        for place in {archive.place(entry) for entry in entries} - {archive.place(Entry(*place)) for place in needed}:
            place.unlink(missing_ok=True)
    return sorted(entry.path for entry in entries)
