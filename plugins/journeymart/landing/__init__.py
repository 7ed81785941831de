"""Landing: files of the landing zone → rows of schema raw, each file exactly once, each line accounted for.

    files = discover(landing)            # complete files that the ledger does not know
    results = land(landing, run_id=...)  # discover and load; one result for each file

Every line with content ends as one row of its table or as one row of raw.quarantine with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from journeymart.db import connect
from journeymart.definitions.sources import load_sources
from journeymart.landing import files as landing_zone
from journeymart.landing import indexes
from journeymart.landing.files import FileResult, LandingFile
from journeymart.settings import Settings

__all__ = ["FileResult", "LandingFile", "discover", "land"]


def discover(
    landing: Path,
    definitions: Path | None = None,
    *,
    source: str | None = None,
    paths: set[str] | None = None,
    again: bool = False,
    settings: Settings | None = None,
) -> list[LandingFile]:
    """Complete files that are not in the ledger yet, ordered by source and path; with `again` rejected ones, too.

    `definitions` is a directory (default: the shipped one); `source` and `paths` (relative to the landing zone)
    limit the search. Raises JourneymartError if the landing zone or the source does not exist.
    """
    sources = load_sources(definitions)
    with connect("jm_loader", autocommit=True, settings=settings) as warehouse:
        return landing_zone.discover(landing, sources, warehouse, source=source, paths=paths, again=again)


def land(
    landing: Path,
    run_id: str,
    *,
    source: str | None = None,
    paths: set[str] | None = None,
    again: bool = False,
    definitions: Path | None = None,
    settings: Settings | None = None,
    progress: Callable[[FileResult, int, int], None] | None = None,
) -> list[FileResult]:
    """Discover and load, with `again` rejected files once more; results in the order of discovery. One rejected file
    stops no other.

    `progress` is called after each file with its result, how many are done and how many there are.
    """
    from journeymart.landing.load import Loader  # noqa: PLC0415 - brings DuckDB and Arrow

    found = discover(landing, definitions, source=source, paths=paths, again=again, settings=settings)
    results: list[FileResult] = []
    if found:
        with Loader(run_id, definitions=definitions, settings=settings) as loader:
            indexes.drop_before(loader.warehouse, found)
            for result in loader.land(found):
                results.append(result)
                if progress:
                    progress(result, len(results), len(found))
            indexes.create_behind(loader.warehouse)
    return results
