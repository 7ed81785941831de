"""The archive: every landed file as it came, compressed, named by the sha256 of its bytes, and never changed.

    <archive>/<first two digits>/<sha256>.<ending>

A file is copied while its sha256 is worked out, so it is read once for both, and takes its name in the archive just
before the ledger row that refers to it is committed. Replays and audits read from here; the landing zone may be
cleared once a file is loaded.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from journeymart.definitions.sources import Source, Sources
from journeymart.files import writing
from journeymart.landing.files import FORMATS, LandingFile, landed_as
from journeymart.landing.readers import COMPRESSIONS, LINE, LINE_NO, FileRejectedError, read_csv, uncompressed

INCOMING = ".incoming"
BLOCK_BYTES = 2**20
STALE_SECONDS = 86_400
ADDED = ".zst"
KEPT_TOGETHER = 16
Goes = Callable[[int, bytes], bool]  # whether a line goes: its number, its bytes


@dataclass(frozen=True)
class Entry:
    """What the ledger says of a file that is needed to find it."""

    source: str
    path: str
    format: str
    sha256: str

    @property
    def is_compact(self) -> bool:
        """Whether it is kept as it came; everything else is compressed."""
        return self.format == "parquet" or self.path.lower().endswith(tuple(COMPRESSIONS))


@dataclass(frozen=True)
class Copy:
    """A copy of a file on its way into the archive."""

    sha256: str
    part: Path
    place: Path

    def keep(self) -> None:
        """Give the copy its name, on disk for good. One that is there already stays: its content is the same."""
        if self.place.exists():
            return
        self.place.parent.mkdir(parents=True, exist_ok=True)
        self.part.chmod(0o444)
        with self.part.open("rb") as written:
            os.fsync(written.fileno())
        self.part.rename(self.place)
        directory = os.open(self.place.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def discard(self) -> None:
        """Forget the copy unless it was kept."""
        self.part.unlink(missing_ok=True)


def keep_all(copies: Collection[Copy]) -> None:
    """Keep several copies; they wait for the disk together, because one after the other is slow."""
    with ThreadPoolExecutor(KEPT_TOGETHER) as pool:
        list(pool.map(Copy.keep, copies))


class Archive:
    """The archive in one directory, which is made when it is first needed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def place(self, entry: Entry) -> Path:
        """Where the content of a file is kept. Its endings say how to read it, so only those that do are taken over."""
        suffixes = [suffix.lower() for suffix in PurePosixPath(entry.path).suffixes]
        kept = [suffix for suffix in suffixes[-2:] if suffix in FORMATS or suffix in COMPRESSIONS]
        added = [] if entry.is_compact else [ADDED]
        return self.directory / entry.sha256[:2] / "".join([entry.sha256, *kept, *added])

    def copy(self, file: LandingFile) -> Copy:
        """Copy a file and work out its sha256. Raises FileRejectedError if the file cannot be read."""
        incoming = self.directory / INCOMING
        incoming.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=incoming)
        digest = hashlib.sha256()
        is_compact = Entry(file.source, file.path, file.format, "").is_compact
        with (
            writing(incoming, Path(name)),
            os.fdopen(number, "wb") as target,
            _compressed(target, is_compact) as written,
        ):
            for block in _blocks(file):
                digest.update(block)
                written.write(block)
        entry = Entry(file.source, file.path, file.format, digest.hexdigest())
        return Copy(entry.sha256, Path(name), self.place(entry))

    def clear(self) -> None:
        """Remove the copies that killed loaders have left half-made."""
        for part in (self.directory / INCOMING).glob("*"):
            with suppress(FileNotFoundError):  # another loader has just kept or forgotten its copy
                if part.stat().st_mtime < time.time() - STALE_SECONDS:
                    part.unlink()

    def orphans(self, known: Collection[Path]) -> list[Path]:
        """What is kept beside the `known` files: a loader was killed, or lost its server, just before it was recorded.

        The next loader finds it there, unless the sender has taken the file away; then it is the only copy.
        """
        return sorted(
            path
            for path in self.directory.glob("[0-9a-f][0-9a-f]/*")
            if path not in known and path.stat().st_mtime < time.time() - STALE_SECONDS
        )

    def original(self, sources: Sources, landing: Path, entry: Entry) -> LandingFile:
        """A file of the ledger to be read again: from here or, if it was landed before there was an archive, from the
        landing zone. Raises FileRejectedError if neither has these bytes."""
        plan = sources.sources[entry.source]
        kept = landed_as(self.directory, entry.source, plan, self.place(entry))
        if kept is not None:
            if not self.is_sound(entry):
                raise FileRejectedError(f"is damaged in the archive: {kept.location} is not what its name says")
            return replace(kept, path=entry.path)
        file = landed_as(landing, entry.source, plan, landing / entry.path)
        if file is None or file.sha256() != entry.sha256:
            raise FileRejectedError(
                f"is not in the archive {self.directory}, nor unchanged in the landing zone {landing}"
            )
        return file

    def erased(
        self, sources: Sources, entry: Entry, named: Collection[int], number: re.Pattern[bytes],
        among: Collection[int] | None,
    ) -> tuple[Copy, set[int]] | None:  # fmt: skip
        """A copy of an archived file without lines: those that are `named`, and those with `number` in them that are
        `among` these or, without it, anywhere. With the numbers of the lines that went; None if there are none, as when
        they went before.

        Other lines keep their numbers: a line becomes an empty one, a row of Parquet one without values. Raises
        FileRejectedError if the file is damaged.
        """
        file = self.original(sources, self.directory, entry)

        def goes(line_no: int, line: bytes) -> bool:
            is_candidate = among is None or line_no in among
            return line_no in named or (is_candidate and number.search(line) is not None)

        incoming = self.directory / INCOMING
        incoming.mkdir(exist_ok=True)  # a backup may leave out what is hidden
        part, path = tempfile.mkstemp(dir=incoming)
        lines: set[int] = set()
        with writing(incoming, Path(path)):
            with os.fdopen(part, "wb") as target:
                if file.format == "parquet":
                    _erase_rows(file, target, goes, lines)
                else:
                    records = _long_records(file, sources.sources[entry.source]) if file.format == "csv" else {}
                    _erase_lines(file, target, goes, lines, records)
            digest = _digest(Path(path), entry.is_compact)
        if not lines:
            Path(path).unlink()
            return None
        return Copy(digest, Path(path), self.place(replace(entry, sha256=digest))), lines

    def is_sound(self, entry: Entry) -> bool:
        """Whether the kept bytes are those that were landed."""
        try:
            return _digest(self.place(entry), entry.is_compact) == entry.sha256
        except OSError:  # what cannot be decompressed is not what was landed
            return False


def _digest(place: Path, is_compact: bool) -> str:
    """The sha256 of a kept file, as it was landed."""
    digest = hashlib.sha256()
    with pa.OSFile(str(place)) as raw:
        stream = raw if is_compact else pa.CompressedInputStream(raw, COMPRESSIONS[ADDED])
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _long_records(file: LandingFile, plan: Source) -> dict[int, int]:
    """How many lines the records of a CSV file are, of those that are several, by the line on which they begin."""
    found: dict[int, int] = {}
    for chunk in read_csv(file.location, file.compression, plan.delimiter, plan.columns, plan.encoding):
        ends = pc.count_substring(chunk.table.column(LINE), "\n")
        long = chunk.table.select([LINE_NO]).append_column("lines", ends).filter(pc.greater(ends, 1))
        found.update(zip(*(column.to_pylist() for column in long.columns), strict=True))
        found.update((reject.line_no, reject.line.count("\n") + 1) for reject in chunk.rejects)
    return found


def _erase_lines(file: LandingFile, target: IO[bytes], goes: Goes, lines: set[int], records: Mapping[int, int]) -> None:
    """Copy a text file with empty lines in the place of those that go. A record of CSV goes with all its lines."""
    with pa.input_stream(str(file.location), compression=file.compression) as content, ExitStack() as closing:
        out: Any = target
        if file.compression:
            out = closing.enter_context(pa.CompressedOutputStream(target, file.compression))
        landed = io.BufferedReader(content)
        line_no = 1
        while record := list(itertools.islice(landed, records.get(line_no, 1))):
            whole = b"".join(record)
            if whole.strip() and goes(line_no, whole):
                lines.add(line_no)
                whole = b"".join(line[len(line.rstrip(b"\r\n")) :] for line in record)
            out.write(whole)
            line_no += len(record)


def _erase_rows(file: LandingFile, target: IO[bytes], goes: Goes, lines: set[int]) -> None:
    """Copy a Parquet file with rows without values in the place of those that go."""
    with uncompressed(file.location, file.compression) as plain, ExitStack() as closing:
        content = parquet.ParquetFile(plain)
        schema = pa.schema([column.with_nullable(True) for column in content.schema_arrow])
        first = 1
        sink: Any = target
        if file.compression:
            sink = closing.enter_context(pa.CompressedOutputStream(target, file.compression))
        out = closing.enter_context(parquet.ParquetWriter(sink, schema, compression=COMPRESSIONS[ADDED]))
        for batch in content.iter_batches():
            kept: list[int | None] = []
            for position in range(batch.num_rows):
                [row] = batch.slice(position, 1).to_pylist()
                is_empty = all(value is None for value in row.values())
                gone = not is_empty and goes(first + position, repr(row).encode())
                if gone:
                    lines.add(first + position)
                kept.append(None if gone else position)
            first += batch.num_rows
            columns = [column.take(pa.array(kept, pa.int64())) for column in batch.columns]
            out.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _blocks(file: LandingFile) -> Iterator[bytes]:
    try:
        with file.open() as stream:
            while block := stream.read(BLOCK_BYTES):
                yield block
    except OSError as error:
        raise FileRejectedError(f"cannot be read: {error.strerror}") from error


@contextmanager
def _compressed(target: IO[bytes], is_compact: bool) -> Iterator[Any]:
    if is_compact:
        yield target
        return
    with pa.CompressedOutputStream(target, COMPRESSIONS[ADDED]) as written:
        yield written
