"""Our one kind of expectation. Imports Great Expectations (4 s): import this module where it is used, not before."""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.compatibility import pydantic
from great_expectations.constants import MAX_RESULT_RECORDS
from great_expectations.expectations.core.unexpected_rows_expectation import UnexpectedRowsExpectation

ROWS_SHOWN = 20


class ExpectNoOffendingRows(UnexpectedRowsExpectation):
    """A query that returns a row per difference returns none.

    The query runs once, not a second time to be counted, so that at most MAX_RESULT_RECORDS rows are counted; a few
    of them are kept with the result. The queries return keys and aggregates only, so results hold no personal value.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.table",)

    @pydantic.validator("unexpected_rows_query")
    def _validate_query(cls, query: str) -> str:  # noqa: N805 (pydantic makes it a class method)
        # Replaces the check that prints a warning about queries without {batch}: ours may be about files or this run.
        return query

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        rows = metrics["unexpected_rows_query.table"]
        return {
            "success": not rows,
            "result": {
                "observed_value": len(rows),
                "details": {  # lists, because the names of an object are sorted on their way to disk
                    "columns": list(rows[0]) if rows else [],
                    "rows": [
                        [None if cell is None else str(cell) for cell in row.values()] for row in rows[:ROWS_SHOWN]
                    ],
                    "has_more": len(rows) >= MAX_RESULT_RECORDS,
                },
            },
        }
