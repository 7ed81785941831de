"""Audiences as files, for campaign systems that read no database: `$JOURNEYMART_HOME/export/<audience>/`.

Each export leaves `<audience>-<number>-delta.csv`, the latest one `…-snapshot.csv` too, and at last `….json`, the
manifest with rows and sha256 of each. Files get their names only when they are complete, and what has its manifest is
not written again: a delivery may be killed at any moment and repeated. One works at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from journeymart.db import await_delivery, connect, holds
from journeymart.files import replacing
from journeymart.settings import Settings

MODE = 0o640  # as its folder, whatever the shell makes of files
_ROWS = """
    select {columns}
    from {relation}
    where export_id = {export_id} {only}
    order by customer_id
"""

# Who has had files of an audience is told by files that everybody left it; export.audience has it no more.
_RETIRED: LiteralString = """
    select distinct on (x.export_id)
        x.export_id,
        x.version,
        d.content ->> 'purpose',
        array(select jsonb_array_elements_text(d.content -> 'columns')),
        x.export_no,
        x.as_of
    from mart.audience_export as x
    inner join config.definition as d
        on d.kind = 'audiences' and x.export_id = d.definition_id and x.version = d.version
    where
        (d.content ->> 'file')::boolean
        and x.export_id not in (select n.definition_id from mart.definition as n where n.kind = 'audiences')
    order by x.export_id asc, x.export_no desc
"""


def drop(settings: Settings) -> list[Path]:
    """Write what has been exported and has no files yet; returns the new manifests. Nothing while an erased customer is
    still in the database: the run that takes the lines away delivers, too.

    Reads as jm_campaign, so the files hold nothing that a campaign system could not read in the database.
    """
    written = []
    with connect("jm_campaign", settings=settings, autocommit=True) as connection:
        await_delivery(connection)  # then look: what another has written is there
        with connect("jm_builder", settings=settings) as builder:
            if holds(builder, "select exists (select from raw.erased_line where publication_id is null)"):
                return []
            retired = builder.execute(_RETIRED).fetchall()
        connection.autocommit = False
        connection.execute("set transaction isolation level repeatable read, read only")
        audiences = connection.execute(
            "select export_id, version, purpose, attribute_names, export_no, as_of from export.audience"
            " where is_file and export_no is not null order by export_id"
        ).fetchall()
        audiences += [row for row in retired if (settings.export / row[0]).exists()]
        for export_id, version, purpose, attributes, latest, as_of in audiences:
            folder = settings.export / export_id
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            for left in folder.glob(".*.tmp"):  # of a delivery that was killed, or had no room
                left.unlink()
            numbers = connection.execute(
                "select distinct export_no from export.audience_delta where export_id = %s order by 1", (export_id,)
            ).fetchall()
            for number in sorted({latest, *(number for (number,) in numbers)}):
                manifest = folder / f"{export_id}-{number:06}.json"
                if manifest.exists():
                    continue
                kinds = ("delta", "snapshot") if number == latest else ("delta",)
                content = {
                    "export_id": export_id, "export_no": number, "purpose": purpose,
                    "files": [_write(connection, folder, export_id, number, kind, attributes) for kind in kinds],
                } | ({"version": version, "as_of": as_of.isoformat()} if number == latest else {})  # fmt: skip
                with replacing(manifest) as file:
                    os.fchmod(file.fileno(), MODE)
                    file.write(json.dumps(content, ensure_ascii=False, indent=1).encode())
                written.append(manifest)
    return written


def _write(
    connection: psycopg.Connection, folder: Path, export_id: str, number: int, kind: str, attributes: list[str]
) -> dict[str, Any]:
    """One CSV file; returns its entry in the manifest."""
    path = folder / f"{export_id}-{number:06}-{kind}.csv"
    columns: list[sql.Composable] = [sql.SQL("export_id, customer_id, op, row_hash, as_of")]
    columns += [
        sql.SQL("attributes ->> {} as {}").format(sql.Literal(name), sql.Identifier(name)) for name in attributes
    ]
    query = sql.SQL(_ROWS).format(
        columns=sql.SQL(", ").join(columns),
        relation=sql.Identifier("export", f"audience_{kind}"),
        export_id=sql.Literal(export_id),
        only=sql.SQL("and export_no = {}").format(sql.Literal(number)) if kind == "delta" else sql.SQL(""),
    )
    digest = hashlib.sha256()
    with replacing(path) as file, connection.cursor() as cursor:
        os.fchmod(file.fileno(), MODE)
        with cursor.copy(sql.SQL("copy ({}) to stdout (format csv, header)").format(query)) as copy:
            for block in copy:
                file.write(block)
                digest.update(block)
        rows = cursor.rowcount
    return {"name": path.name, "rows": rows, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}
