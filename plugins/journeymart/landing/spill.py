"""Where engines put what does not fit into memory, and what killed processes have left there."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "journeymart-spill-"


@contextmanager
def spill_directory() -> Iterator[Path]:
    """A directory that is removed afterwards or, when this process is killed, by the next one that asks for its own.

    A lock tells which are in use: it ends with its process, and holds for those in other containers, too.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        _remove(left, _lock(left))
    while (lock := _lock(directory := Path(tempfile.mkdtemp(prefix=PREFIX)))) is None:
        pass  # another process has found it before it was locked
    try:
        yield directory
    finally:
        _remove(directory, lock)


def _lock(directory: Path) -> int | None:
    """The locked directory's descriptor; None if it is in use, gone, a link, or another user's."""
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = directory.exists() and os.fstat(lock).st_uid == os.geteuid()
    except BlockingIOError:
        is_ours = False
    if not is_ours:
        os.close(lock)
        return None
    return lock


def _remove(directory: Path, lock: int | None) -> None:
    if lock is not None:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)
