"""The rules as they are written: expectations/rules/*.yml and expectations/sql/*.sql."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from journeymart.errors import JourneymartError

RuleId = Annotated[str, StringConstraints(pattern=r"^DQ-[A-Z0-9]+(-[A-Z0-9]+)*$")]
SqlFile = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+\.sql$")]
# The only words a query may leave open: the suite's batch, filled in by Great Expectations, and scopes of the run.
SCOPES = ("files", "sessions")  # of sql/scope_*.sql
_OPEN_WORD = re.compile(r"\{[^}]*\}|\}")


class RuleError(JourneymartError):
    """A rule file is not what it should be; the message names the file and the place in it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(_Strict):
    """Korean first, English second."""

    ko: Annotated[str, Field(min_length=1)]
    en: Annotated[str, Field(min_length=1)]


class CoreExpectation(_Strict):
    """One of Great Expectations' own expectations; everything beside `type` is an argument of it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    type: Annotated[str, StringConstraints(pattern=r"^expect_[a-z_]+$")]

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments: column, max_value and so on."""
        return dict(self.model_extra or {})


class Rule(_Strict):
    """One check: a query that returns the offending rows (`sql`), or an `expectation` on the batch."""

    id: RuleId
    severity: Literal["critical", "warning"]
    title: Text
    description: Text
    sql: SqlFile | None = None
    expectation: CoreExpectation | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Rule:
        if (self.sql is None) == (self.expectation is None):
            raise ValueError(f"{self.id}: give either sql or expectation")
        return self


class Suite(_Strict):
    """One rule file. `batch` is the query whose rows the rules are about."""

    suite: Literal["raw", "next"]
    label: Text
    batch: SqlFile
    rules: Annotated[list[Rule], Field(min_length=1)]


class Rulebook:
    """All suites of a directory that has rules/ and sql/ in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.suites = [_read(path) for path in sorted((directory / "rules").glob("*.yml"), reverse=True)]
        if not self.suites:
            raise RuleError(f"{directory / 'rules'} has no *.yml")
        for name, counted in (
            ("suite", Counter(suite.suite for suite in self.suites)),
            ("rule", Counter(rule.id for suite in self.suites for rule in suite.rules)),
        ):
            if twice := [key for key, count in counted.items() if count > 1]:
                raise RuleError(f"{directory / 'rules'}: {name} {', '.join(twice)} is there more than once")

    def __len__(self) -> int:
        return sum(len(suite.rules) for suite in self.suites)

    def query(self, name: str) -> str:
        """Text of sql/`name` with the scopes filled in; {batch} stays open. Raises RuleError on any other brace."""
        text = re.sub(
            f"{{({'|'.join(SCOPES)})}}",
            lambda scope: f"(\n{self._read_sql(f'scope_{scope[1]}.sql')}\n)",
            self._read_sql(name),
        )
        if stray := [word for word in _OPEN_WORD.findall(text) if word != "{batch}"]:
            raise RuleError(
                f"{self.directory / 'sql' / name}: only {{batch}}, {{files}} and {{sessions}} may be open,"
                f" not {stray[0]}"
            )
        return text

    def _read_sql(self, name: str) -> str:
        path = self.directory / "sql" / name
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise RuleError(f"{path} cannot be read: {error.strerror}") from error


def _read(path: Path) -> Suite:
    try:
        return Suite.model_validate(yaml.load(path.read_text("utf-8"), yaml.CSafeLoader))
    except (yaml.YAMLError, ValidationError, OSError) as error:
        raise RuleError(f"{path}: {error}") from error
