"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in what a full disk says, which leaves open which of the disks it is."""
    try:
        yield
    except OSError as error:
        if error.errno and not error.filename:
            error.filename = str(path)
        raise


@contextmanager
def writing(path: Path, unfinished: Path) -> Iterator[None]:
    """Remove what is unfinished when `path` cannot be written."""
    try:
        with naming(path):
            yield
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A hidden file that takes the place of `path` once it is written and on disk for good."""
    unfinished = path.with_name(f".{path.name}.tmp")
    with writing(path, unfinished):
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
