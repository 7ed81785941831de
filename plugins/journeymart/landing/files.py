"""The landing zone: which files are complete and not yet in the ledger."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal, Self

import psycopg
from pydantic import Field as ModelField
from pydantic import ValidationError, field_validator

from journeymart.definitions.loader import DefinitionModel, suggestion
from journeymart.definitions.sources import Source, Sources
from journeymart.errors import JourneymartError
from journeymart.landing.personal import mask_name
from journeymart.landing.readers import COMPRESSIONS, FileRejectedError

FORMATS = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".parquet": "parquet",
    ".log": "combined_log",
    ".dat": "messages",
}
DONE = ".done"
_ENDING = re.compile(f"(?i)({'|'.join(map(re.escape, FORMATS))})?({'|'.join(map(re.escape, COMPRESSIONS))})?$")
PERSONAL_NAME = "has a name with a personal value in it: rename it, nothing of it is loaded"
UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp")
MAX_DONE_BYTES = 65_536
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LandingFile:
    """A complete file of the landing zone. `problem` says why it can only be rejected."""

    source: str
    path: str  # relative to the landing zone, with /, without personal values
    root: Path  # the landing zone, or the archive
    location: Path
    bytes: int
    modified_at: datetime
    format: str
    compression: str | None
    problem: str | None = None

    def is_unchanged(self) -> bool:
        """Whether the file is still the one that was discovered."""
        try:
            status = self.location.stat(follow_symlinks=False)
        except OSError:
            return False
        return status.st_size == self.bytes and _modified_at(status) == self.modified_at

    def open(self) -> BufferedReader:
        """The file as landed. Raises OSError if it cannot be read, or is not a file."""
        return open_landed(self.root, self.location)

    def sha256(self) -> str:
        """Of the bytes as landed. Raises FileRejectedError if the file cannot be read."""
        try:
            with self.open() as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise FileRejectedError(f"cannot be read: {error.strerror}") from error

    def declared(self) -> Any:
        """The content of `<file>.done`; None if there is none or it is empty, text if it is not JSON."""
        try:
            with open_landed(self.root, Path(f"{self.location}{DONE}")) as stream:
                text = stream.read(MAX_DONE_BYTES).decode("utf-8-sig", "backslashreplace")
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        content = text.replace("\0", "\\x00").strip()
        try:
            declared: Any = (
                _storable(json.loads(content, parse_float=str, parse_constant=_no_number)) if content else None
            )
        except (ValueError, RecursionError):
            return content
        if (other := supersedes(declared)) is not None:
            return {**declared, "supersedes": _masked(other)}
        return declared


def open_landed(root: Path, path: Path) -> BufferedReader:
    """A file of the landing zone, where others put what they like: no links are followed below `root`, be they in the
    place of a folder, and pipes not waited for.

    Raises OSError for those too, as for what cannot be opened.
    """
    with ExitStack() as opened:
        at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, at)
        *folders, name = path.relative_to(root).parts
        for folder in folders:
            at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            opened.callback(os.close, at)
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return os.fdopen(descriptor, "rb")


class Declaration(DefinitionModel):
    """What the sender says about a file in its .done; None and empty where nothing is said."""

    rows: int | None = None
    sha256: str | None = None
    totals: dict[str, Decimal] = ModelField(default_factory=dict)
    supersedes: str | None = None  # sha256 or path of the file that this one corrects

    @field_validator("totals", mode="before")
    @classmethod
    def _null_says_nothing(cls, value: Any) -> Any:
        return {} if value is None else value

    @classmethod
    def read(cls, content: Any, numbers: tuple[str, ...]) -> Self:
        """Check the content of a .done file; `numbers` are the fields that have totals.

        Raises FileRejectedError: a total that is not understood would look like one that was checked.
        """
        if not isinstance(content, dict | None):
            raise FileRejectedError("cannot be checked against its .done, which is no JSON object")
        try:
            declared = cls() if content is None else cls.model_validate(content)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(map(str, problem["loc"]))
            hint = suggestion(where, cls.model_fields) if problem["type"] == "extra_forbidden" else ""
            at = f" at '{where[:80]}'" if where else ""
            raise FileRejectedError(f"cannot be checked against its .done{at}: {problem['msg']}{hint}") from None
        for field in declared.totals:
            if field not in numbers:
                raise FileRejectedError(f"has a .done with a total of '{field[:80]}', which this source has no sums of")
        return declared


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _storable(value: Any) -> Any:
    """The value, if PostgreSQL can hold it as JSON. Raises ValueError if not: NUL, or half of a surrogate pair."""
    if "\\u0000" in json.dumps(value, ensure_ascii=False).encode().decode():
        raise ValueError("a text contains NUL")
    return value


def supersedes(declared: Any) -> str | None:
    """Which file a .done says is corrected, before the rest of it is checked."""
    found = declared.get("supersedes") if isinstance(declared, dict) else None
    return found if isinstance(found, str) else None


def discover(
    landing: Path,
    sources: Sources,
    warehouse: psycopg.Connection,
    *,
    source: str | None = None,
    paths: set[str] | None = None,
    again: bool = False,
) -> list[LandingFile]:
    """Complete files that the ledger does not know, ordered by source and path, corrections behind what they correct.

    A file is known by source, path, size and time of change. One that was rejected comes again when it or its .done
    has changed, when the file that it corrects has been loaded, or with `again`, as the plan may have changed, unless
    that was for its name. `source` and `paths` (relative to the landing zone) limit the search. One query for all.
    Raises JourneymartError if the landing zone or the source does not exist.
    """
    if not landing.is_dir():
        raise JourneymartError(f"there is no landing zone at {landing}")
    if source is not None and source not in sources.sources:
        raise JourneymartError(f"there is no source '{source}'{suggestion(source, sources.sources)}")
    found = [
        file
        for name, definition in sorted(sources.sources.items())
        if source in (None, name)
        for file in sorted(_scan(landing, name, definition), key=lambda file: file.path)
        if paths is None or file.path in paths
    ]
    strays = _of_no_source(landing, sources) if source is None else []
    found += [stray for stray in strays if paths is None or stray.path in paths]
    settled = _settled(warehouse, found, again=again)
    fresh = [file for position, file in enumerate(found) if position not in settled]
    for stray in strays:
        if stray in found and stray not in fresh:  # rejected long ago, and still there
            log.warning("%s %s: nothing of it is loaded", landing / stray.path, stray.problem)
    return sorted(fresh, key=lambda file: (file.source, supersedes(file.declared()) is not None))


def _settled(warehouse: psycopg.Connection, found: list[LandingFile], *, again: bool) -> set[int]:
    """Positions of the files that the ledger knows, without rejected ones that may be taken now."""
    known = warehouse.execute(
        """
        select given.n, latest.status, latest.declared,
            case when latest.status = 'rejected' and latest.declared ->> 'supersedes' is not null then exists (
                select from raw.file as corrected
                where corrected.source = given.source and corrected.file_id > latest.file_id
                    and corrected.status = 'loaded'
                    and (
                        lower(latest.declared ->> 'supersedes') = corrected.sha256
                        or latest.declared ->> 'supersedes' = corrected.path
                    )
            ) else false end
        from unnest(%s::text[], %s::text[], %s::bigint[], %s::timestamptz[])
            with ordinality as given (source, path, bytes, modified_at, n)
        cross join lateral (
            select file.file_id, file.status, file.declared
            from raw.file
            where (file.source, file.path, file.bytes, file.modified_at)
                = (given.source, given.path, given.bytes, given.modified_at)
            order by file.file_id desc
            limit 1
        ) as latest
        """,
        [[getattr(file, key) for file in found] for key in ("source", "path", "bytes", "modified_at")],
    ).fetchall()
    return {
        number - 1
        for number, status, declared, is_awaited in known
        if status != "rejected"
        or not ((again and found[number - 1].problem is None) or is_awaited or declared != found[number - 1].declared())
    }


def _of_no_source(landing: Path, sources: Sources) -> list[LandingFile]:
    """Folders with files, and files in no folder, that nothing will ever load, each as one that can only be rejected;
    the ledger has it once."""
    strays = []
    for entry in sorted(landing.iterdir()):
        name = entry.name.encode(errors="backslashreplace").decode()
        if name in sources.sources or not _looks_landed(name):
            continue
        if entry.is_dir():
            if not any(
                _looks_landed(file) and Path(directory, file).lstat().st_size
                for directory, _, files in os.walk(entry)
                for file in files
            ):
                continue
            problem = f"is a folder of no source{suggestion(name, sources.sources)}"
        elif _ending(entry)[0] in FORMATS:
            problem = "lies in the folder of no source"
        else:
            continue  # notes, and what describes the landing zone
        problem = f"{problem} (sources: {', '.join(sources.sources)})"
        shown = _masked(name)
        strays.append(LandingFile(shown, shown, landing, entry, 0, EPOCH, "unknown", None, problem))
    return strays


def _looks_landed(name: str) -> bool:
    return not name.startswith((".", "_")) and not name.lower().endswith((*UNFINISHED, DONE))


def _scan(landing: Path, name: str, source: Source) -> Iterator[LandingFile]:
    """All complete files of one source, in no particular order."""
    pending = [landing / name] if (landing / name).is_dir() else []
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as entries:
                listed = list(entries)
        except OSError as error:  # gone meanwhile, or not ours to read: the others are landed
            shown = landing / _masked(directory.relative_to(landing).as_posix())
            log.warning("%s cannot be read: %s", shown, error.strerror)
            continue
        names = {entry.name for entry in listed}
        for entry in listed:
            if not _looks_landed(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append(Path(entry.path))
            elif not source.require_done or entry.name + DONE in names:
                file = landed_as(landing, name, source, Path(entry.path))
                if file is not None:  # it may have been taken away meanwhile
                    yield file


def landed_as(landing: Path, name: str, source: Source, location: Path) -> LandingFile | None:
    """A file of the landing zone as it would be landed now; None if it is not there."""
    try:
        status = location.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return _landing_file(landing, name, source, location, status)


def _landing_file(landing: Path, name: str, source: Source, location: Path, status: os.stat_result) -> LandingFile:
    ending, compression = _ending(location)
    file_format = FORMATS.get(ending, "unknown") if source.format == "by_name" else source.format
    given = location.relative_to(landing).as_posix()
    path = given.encode(errors="backslashreplace").decode()
    masked, problem = _masked(path), None
    if path != given:
        problem = "has a name that is not UTF-8"
    elif path != masked:
        problem = PERSONAL_NAME
    elif not stat.S_ISREG(status.st_mode):
        problem = "is not a regular file; links are not followed"
    elif file_format == "unknown":
        problem = f"has the unknown ending '{ending}'; known are {', '.join(FORMATS)}, each plain, .gz or .zst"
    elif file_format == "parquet" and not status.st_size:  # not a repeat of any other empty file
        problem = "is not readable as Parquet: it is empty"
    return LandingFile(
        name, masked, landing, location, status.st_size, _modified_at(status), file_format, compression, problem
    )


def _ending(location: Path) -> tuple[str, str | None]:
    """What a name says of the format and of the compression."""
    suffixes = [suffix.lower() for suffix in location.suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    return next(iter(suffixes[-2:-1] if compression else suffixes[-1:]), ""), compression


def _masked(path: str) -> str:
    """A path of the landing zone without personal values. An ending is no part of one, as it could be of an address."""
    start = next(_ENDING.finditer(path)).start()
    return "/".join(map(mask_name, path[:start].split("/"))) + path[start:]


def _modified_at(status: os.stat_result) -> datetime:
    return EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)


FileStatus = Literal["loaded", "repeated", "rejected", "postponed", "failed"]


@dataclass(frozen=True)
class FileResult:
    """What became of a file. `postponed`: it changed while it was read; `failed`: this machine or the server has no
    room. Both leave nothing behind and are taken again later."""

    source: str
    path: str
    status: FileStatus
    file_id: int | None = None
    rows_read: int = 0
    rows_loaded: int = 0
    rows_quarantined: int = 0
    totals: dict[str, str] | None = None
    error: str | None = None

    @property
    def is_failure(self) -> bool:
        """Whether somebody has to look: the file is not loaded, and it was not just being written."""
        return self.status in {"rejected", "failed"}
