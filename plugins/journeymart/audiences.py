"""Audiences on request: a definition is added to audiences.yml, computed, checked and published."""

from __future__ import annotations

import getpass
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg.rows import class_row, dict_row

from journeymart import pipeline
from journeymart.db import connect
from journeymart.definitions.applied import load_definitions
from journeymart.definitions.loader import SHIPPED, load_yaml
from journeymart.errors import JourneymartError
from journeymart.settings import Settings

_FILE = "audiences.yml"


class AudienceError(JourneymartError):
    """A request that cannot be fulfilled; the message says why."""


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


def origin_of(text: str) -> Any:
    """`from` of a definition: a segment by its name alone, anything else as YAML."""
    try:
        return yaml.safe_load(text) if text.lstrip().startswith("{") else {"segment": text}
    except yaml.YAMLError as error:
        raise AudienceError(f"--from is not YAML: {' '.join(str(error).split())}") from None


def request(settings: Settings, content: dict[str, Any], directory: Path | None = None) -> Export:
    """Add an audience to audiences.yml of `directory` (default: the shipped definitions) and export it.

    The file is changed only if everything is right; raises DefinitionError with the mistakes otherwise.
    """
    document = load_yaml("audiences", directory)
    if any(item.get("id") == content["id"] for item in document.data.get("audiences") or ()):
        raise AudienceError(f"{document.path}: {content['id']} is there already; edit it there, or take another name")
    text = document.path.read_text(encoding="utf-8")
    if not document.data.get("audiences"):
        text = "audiences:\n"
    text = text.rstrip("\n") + "\n" + _indented(content)
    target = (directory or SHIPPED) / _FILE
    with tempfile.TemporaryDirectory() as folder:
        tried = Path(shutil.copytree(directory or SHIPPED, Path(folder) / "definitions"))
        (tried / _FILE).write_text(text, encoding="utf-8")
        load_definitions(tried)
    unfinished = target.with_name(f".{target.name}.tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(target)
    with connect("jm_builder", settings=settings) as connection:
        connection.execute(
            "insert into ops.access_log (user_name, object, purpose) values (%s, %s, %s)",
            (os.environ.get("JOURNEYMART_USER") or getpass.getuser(), f"audience {content['id']}", content["purpose"]),
        )
    pipeline.apply(settings, directory)
    [export] = [item for item in exports(settings) if item.export_id == content["id"]]
    return export


def exports(settings: Settings) -> list[Export]:
    """The latest export of each audience."""
    with connect("jm_dashboard", settings=settings) as connection:
        try:
            return (
                connection.cursor(row_factory=class_row(Export))
                .execute(
                    """
                    select distinct on (export_id)
                        export_id, export_no, as_of::text, candidates, without_consent, suppressed, fatigued, held_out,
                        members
                    from mart.audience_export
                    order by export_id, export_no desc
                    """
                )
                .fetchall()
            )
        except psycopg.errors.UndefinedTable as error:
            raise AudienceError("nothing has been published yet") from error


def effect(settings: Settings, export_id: str | None = None) -> list[dict[str, Any]]:
    """Rows of mart.audience_effect."""
    with connect("jm_dashboard", settings=settings) as connection:
        try:
            return (
                connection.cursor(row_factory=dict_row)
                .execute(
                    "select * from mart.audience_effect where %(id)s::text is null or export_id = %(id)s"
                    " order by export_id, is_held_out",
                    {"id": export_id},
                )
                .fetchall()
            )
        except psycopg.errors.UndefinedTable as error:
            raise AudienceError("nothing has been published yet") from error


def _indented(content: dict[str, Any]) -> str:
    """The definition as an item of the list that ends the file."""
    dumped = yaml.safe_dump([content], allow_unicode=True, sort_keys=False, width=110)
    return "".join(f"  {line}\n" for line in dumped.splitlines())
