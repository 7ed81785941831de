"""Landing files: written under a hidden name, renamed when complete, announced by ``.done`` where wanted."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from journeymart.sample.render import CHUNK, Renderer
from journeymart.sample.simulate import Rows

FORMATS: Final = ("mixed", "ndjson", "csv", "parquet")
SUFFIX: Final = {"ndjson": ".ndjson.gz", "csv": ".csv.gz", "parquet": ".parquet"}
_GZIP_WINDOW: Final = 31
_FASTEST: Final = 1
_READ: Final = 1 << 20


def write_clickstream(path: Path, rows: Rows, renderer: Renderer) -> None:
    """Write event rows in the format and compression that the name of `path` asks for."""
    chunks = [rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]
    if path.suffix == ".parquet":
        tables = (renderer.table(chunk) for chunk in chunks)
        _write_parquet(path, tables)
        return
    style = "csv" if ".csv" in path.suffixes else "ndjson"
    header = [renderer.csv_header.encode()] if style == "csv" else []
    write_text(path, chain(header, (piece for chunk in chunks for piece in renderer.lines(chunk, style))))


def write_text(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write `pieces` one after the other, compressed as the name says (``.gz``, ``.zst``)."""
    part = _part(path)
    if path.suffix == ".zst":
        with pa.CompressedOutputStream(str(part), "zstd") as stream:
            for piece in pieces:
                stream.write(piece)
    else:
        # No file name and no time in the gzip header: the same rows give the same bytes.
        squeeze = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP_WINDOW)
        with part.open("wb") as file:
            for piece in pieces:
                file.write(squeeze.compress(piece))
            file.write(squeeze.flush())
    part.rename(path)


def write_csv(path: Path, records: list[dict[str, Any]]) -> None:
    """Write flat records that share their keys as compressed CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_text(path, [text.getvalue().encode()])


def write_ndjson(path: Path, lines: Iterable[str]) -> None:
    """Write ready lines."""
    write_text(path, [("\n".join(lines) + "\n").encode()])


def write_done(path: Path, rows: int, *, sha256: bool = False, totals: dict[str, str] | None = None) -> None:
    """Announce that `path` is complete, with the control values asked for."""
    done: dict[str, Any] = {"rows": rows}
    if sha256:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_READ):
                digest.update(block)
        done["sha256"] = digest.hexdigest()
    if totals:
        done["totals"] = totals
    target = path.with_name(path.name + ".done")
    part = _part(target)
    part.write_text(json.dumps(done) + "\n", encoding="utf-8")
    part.rename(target)


def _write_parquet(path: Path, tables: Iterator[pa.Table]) -> None:
    part = _part(path)
    first = next(tables)
    with pq.ParquetWriter(part, first.schema, compression="zstd") as writer:
        for table in chain([first], tables):
            writer.write_table(table)
    part.rename(path)


def _part(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.part")
