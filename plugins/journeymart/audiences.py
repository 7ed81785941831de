"""Audiences on request: a definition is added to audiences.yml, computed, checked and published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.rows import class_row, dict_row

from journeymart import pipeline
from journeymart.db import connect, published
from journeymart.settings import Settings


@dataclass(frozen=True)
class Export:
    """The latest export of an audience; what it counts is in mart.audience_export."""

    export_id: str
    export_no: int
    as_of: str
    candidates: int | None
    without_consent: int | None
    suppressed: int | None
    fatigued: int | None
    held_out: int
    members: int


def request(settings: Settings, content: dict[str, Any], directory: Path | None = None) -> Export:
    """Add an audience to audiences.yml of `directory` (default: the shipped definitions) and export it.

    The file is changed only if everything is right; raises RequestError with the mistakes otherwise. A request that
    is repeated, because it was cut short, goes on from there.
    """
    pipeline.request(settings, "audiences", content, content.get("purpose", ""), directory)
    [export] = [item for item in exports(settings) if item.export_id == content["id"]]
    return export


def exports(settings: Settings) -> list[Export]:
    """The latest export of each audience; as jm_builder, whose password alone is where requests are worked on."""
    with connect("jm_builder", settings=settings) as connection, published():
        query = """
            select distinct on (export_id)
                export_id, export_no, as_of::text, candidates, without_consent, suppressed, fatigued, held_out, members
            from mart.audience_export
            order by export_id, export_no desc
        """
        return connection.cursor(row_factory=class_row(Export)).execute(query).fetchall()


def effect(settings: Settings, export_id: str | None = None) -> list[dict[str, Any]]:
    """Rows of mart.audience_effect."""
    with connect("jm_dashboard", settings=settings) as connection, published():
        query = (
            "select * from mart.audience_effect where %(id)s::text is null or export_id = %(id)s"
            " order by export_id, is_held_out"
        )
        return connection.cursor(row_factory=dict_row).execute(query, {"id": export_id}).fetchall()
