"""The archive: every landed file as it came, compressed, named by the sha256 of its bytes, and never changed.

    <archive>/<first two digits>/<sha256>.<ending>

A file is copied while its sha256 is worked out, so it is read once for both, and takes its name in the archive just
before the ledger row that refers to it is committed. Replays and audits read from here; the landing zone may be
cleared once a file is loaded.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa

from journeymart.definitions.sources import Sources
from journeymart.landing.files import FORMATS, LandingFile, landed_as
from journeymart.landing.readers import COMPRESSIONS, FileRejectedError

INCOMING = ".incoming"
BLOCK_BYTES = 2**20
STALE_SECONDS = 86_400
ADDED = ".zst"
KEPT_TOGETHER = 16


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
        try:
            is_compact = Entry(file.source, file.path, file.format, "").is_compact
            with os.fdopen(number, "wb") as target, _compressed(target, is_compact) as written:
                for block in _blocks(file):
                    digest.update(block)
                    written.write(block)
        except BaseException:
            Path(name).unlink()
            raise
        entry = Entry(file.source, file.path, file.format, digest.hexdigest())
        return Copy(entry.sha256, Path(name), self.place(entry))

    def clear(self) -> None:
        """Remove the copies that killed loaders have left half-made."""
        for part in (self.directory / INCOMING).glob("*"):
            if part.stat().st_mtime < time.time() - STALE_SECONDS:
                part.unlink(missing_ok=True)

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

    def is_sound(self, entry: Entry) -> bool:
        """Whether the kept bytes are those that were landed."""
        digest = hashlib.sha256()
        with pa.OSFile(str(self.place(entry))) as raw:
            stream = raw if entry.is_compact else pa.CompressedInputStream(raw, COMPRESSIONS[ADDED])
            try:
                while block := stream.read(BLOCK_BYTES):
                    digest.update(block)
            except OSError:  # what cannot be decompressed is not what was landed
                return False
        return digest.hexdigest() == entry.sha256


def _blocks(file: LandingFile) -> Iterator[bytes]:
    try:
        with file.location.open("rb") as stream:
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
