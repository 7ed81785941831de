"""A landing zone with the warehouse it is loaded into; lines and parts of definitions to put there."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from journeymart.db import connect
from journeymart.landing import FileResult, land
from journeymart.settings import Settings

HEAD = {"label": {"ko": "시험", "en": "Test"}, "owner": "tests"}


class Zone:
    """A landing zone and the warehouse it is loaded into."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.directory = directory
        self.settings = settings

    def put(self, path: str, content: bytes | str | list[dict[str, Any]], done: object = None) -> Path:
        """Write a file; a list becomes NDJSON, `done` the .done beside it."""
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        if isinstance(content, str):
            content = content.encode()
        file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
        if done is not None:
            Path(f"{file}.done").write_text(done if isinstance(done, str) else json.dumps(done))
        return file

    def define(self, text: str, kind: str = "sources") -> Path:
        """A directory of definitions with this sources.yml (or other kind)."""
        directory = self.directory.parent / "definitions"
        directory.mkdir(exist_ok=True)
        (directory / f"{kind}.yml").write_text(text)
        return directory

    def land(self, **options: Any) -> list[FileResult]:
        return land(self.directory, "test-run", settings=self.settings, **options)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with connect("jm_admin", settings=self.settings) as warehouse:
            cursor = warehouse.execute(statement)
            while cursor.nextset():
                pass
            return cursor.fetchall()

    def value(self, statement: str) -> Any:
        return self.query(statement)[0][0]

    def quarantine(self) -> list[tuple[Any, ...]]:
        return self.query("select line_no, field, reason from raw.quarantine order by file_id, line_no")

    def statuses(self) -> list[tuple[Any, ...]]:
        return self.query(
            "select path, status, rows_read, rows_loaded, rows_quarantined from raw.file order by file_id"
        )


def event(number: int, **fields: Any) -> dict[str, Any]:
    minutes, seconds = divmod(number % 3600, 60)
    return {
        "event_id": f"e{number}",
        "event_time": f"2025-06-01T10:{minutes:02}:{seconds:02}+09:00",
        "visitor_id": f"v{number % 50}",
        "page_code": f"P{number % 7}",
        **fields,
    }


def transaction(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"t{number}",
        "transaction_time": "2025-06-01T00:00:00Z",
        "customer_id": "c1",
        "transaction_code": "FX",
        **fields,
    }


def screen(page: str) -> dict[str, Any]:
    return {"source": "screen", "where": {"page_code": page}}
