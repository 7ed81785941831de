"""One warehouse for the tests of a module that only land files; each begins with empty tables."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.pipeline.zone import Zone

from journeymart.db import connect
from journeymart.settings import Settings


@pytest.fixture(scope="module")
def shared_warehouse(new_warehouse: Callable[[], Settings]) -> Settings:
    return new_warehouse()


@pytest.fixture
def zone(tmp_path: Path, shared_warehouse: Settings) -> Zone:
    """An empty landing zone and a warehouse without rows."""
    directory = tmp_path / "landing"
    directory.mkdir()
    with connect("jm_admin", settings=shared_warehouse) as warehouse:
        # only those that a test has written: to truncate all of them takes longer than most tests
        [tables] = warehouse.execute(
            "select string_agg(format('raw.%I', relname), ', ') from pg_class"
            " where relnamespace = 'raw'::regnamespace and relkind = 'r' and relname <> 'action'"
            " and pg_relation_size(oid) > 0"
        ).fetchone() or [None]
        if tables:
            warehouse.execute(f"truncate {tables} restart identity cascade".encode())
    return Zone(directory, shared_warehouse)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """While it lasts, no temporary file of the archive has room for a byte."""
    made = tempfile.mkstemp

    def full(dir: os.PathLike[str]) -> tuple[int, str]:  # noqa: A002 - as in the standard library
        number, name = made(dir=dir)
        os.close(number)
        return os.open("/dev/full", os.O_WRONLY), name

    @contextmanager
    def lasting() -> Iterator[None]:
        with monkeypatch.context() as patched:
            patched.setattr(tempfile, "mkstemp", full)
            yield

    return lasting
