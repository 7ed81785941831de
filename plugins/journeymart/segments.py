"""Numbers as segments: what is behind a cell of a report is written into segments.yml, and published if asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from journeymart import pipeline
from journeymart.analysis import AnalysisError, Scope, adhoc, call, explained
from journeymart.db import connect
from journeymart.definitions.cells import Asked, Cell
from journeymart.definitions.requests import RequestError, read
from journeymart.settings import Settings


@dataclass(frozen=True)
class Saved:
    """A segment, and how many customers its cell has now."""

    segment_id: str
    members: int


def request(settings: Settings, content: Any, directory: Path | None = None) -> Saved:
    """Add the cell of a report that somebody asks for (`Asked`) to segments.yml of `directory` (default: the
    installation's own definitions) and publish it, with who asked and why in ops.access_log.

    A request that is repeated, because it was cut short, goes on from there. Raises RequestError or AnalysisError for
    what cannot be; then nothing has changed.
    """
    asked = read(Asked, content)
    if asked.purpose is None:
        raise RequestError("purpose: missing")
    definition, saved = drawn_up(settings, asked, directory)
    pipeline.request(settings, "segments", definition, asked.purpose, directory)
    return saved


def drawn_up(settings: Settings, asked: Asked, directory: Path | None = None) -> tuple[dict[str, Any], Saved]:
    """The definition of the segment that is asked for, by those of a directory, and what it comes to now.

    Raises RequestError for what cannot be, AnalysisError if what is published has no such cell.
    """
    asked.segment(directory)  # what is wrong in itself, before the database is asked anything
    cell = _with_codes(settings, asked.cell)
    for document, definition in cell.uses(directory):
        adhoc.require_published(settings, document, definition)
    _require_shown(settings, cell)
    segment = asked.model_copy(update={"cell": cell}).segment(directory)
    found = adhoc.segment(settings, segment, Scope())
    return segment.written(), Saved(segment.id, len(found.rows))


def _require_shown(settings: Settings, cell: Cell) -> None:
    """Raise AnalysisError if a report on a cohort does not show the cell, or not yet."""
    if (of := cell.retention) is not None:
        arguments = {"cohort": of.id, **of.instead, "from_date": of.start, "to_date": of.start}
        shown = {age for _, age, *_ in call(settings, "retention_cells", arguments).rows}
        if shown and of.age is not None and of.age not in shown:
            raise AnalysisError(f"the report has no age {of.age} of who starts on {of.start}, or not yet")
    if (state := cell.lifecycle) is not None:
        dates = {"from_date": state.start, "to_date": state.start}
        arguments = {"cohort": state.id, **state.instead, **dates, **state.session}
        shown = {row[:2] for row in call(settings, "lifecycle_cells", arguments).rows}
        if (state.start, state.status) not in shown:
            raise AnalysisError(f"the report has no cell '{state.status}' of {state.start}")


def _with_codes(settings: Settings, cell: Cell) -> Cell:
    """The cell with the codes of pages and transactions that are named as reports show them."""
    if (walk := cell.path) is None:
        return cell
    wanted = [*walk.through, *([] if walk.not_then is None else [walk.not_then])]
    with connect("jm_dashboard", settings=settings) as connection, explained():
        codes = {
            code: [code]
            for (code,) in connection.execute("select distinct node from mart.node where node = any(%s)", (wanted,))
        }
        names = [name for name in wanted if name not in codes]
        codes |= connection.execute(
            "select label, array_agg(distinct node) from mart.node where label = any(%s) group by label", (names,)
        ).fetchall()
    for name in names:
        if len(found := codes.get(name, [])) != 1:
            several = f"several pages or transactions are called {name!r}: {', '.join(found[:5])}; name one by its code"
            raise AnalysisError(several if found else f"no page or transaction is called {name!r}")
    named = {
        "through": tuple(codes[name][0] for name in walk.through),
        "not_then": walk.not_then and codes[walk.not_then][0],
    }
    return cell.model_copy(update={"path": walk.model_copy(update=named)})
