"""Indexes of raw.event and raw.clickstream: kept up row by row, or built behind a load that outweighs the tables."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import psycopg

from journeymart.landing.files import LandingFile

SOURCE = "clickstream"
# Landed bytes, compressed as they mostly are, from which on building is worth the locks it takes.
BULK_BYTES = 16 * 2**20
log = logging.getLogger(__name__)


def drop_before(warehouse: psycopg.Connection, files: Sequence[LandingFile]) -> None:
    """Drop the indexes if these files outweigh what is stored; not if a reader keeps us waiting for the lock.

    A run that is killed leaves the tables without them, which makes others slow but not wrong.
    """
    given = sum(file.bytes for file in files if file.source == SOURCE)
    if given < BULK_BYTES:
        return
    row = warehouse.execute("select pg_relation_size('raw.clickstream')").fetchone()
    if row is None or given < row[0]:
        return
    try:
        warehouse.execute("select raw.drop_event_indexes()")
    except psycopg.errors.LockNotAvailable:
        log.info("the indexes of raw.event are in use; keeping them up row by row")


def create_behind(warehouse: psycopg.Connection) -> None:
    """Build the indexes that are missing, also those a killed run has left out. Readers are not blocked."""
    warehouse.execute("select raw.create_event_indexes()")
