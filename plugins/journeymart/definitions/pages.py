"""definitions/pages.yml: how the path of a URL becomes the name of a page when an event has no page code."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from journeymart.definitions.loader import DefinitionModel, load_yaml


class PathRule(DefinitionModel):
    """What matches is replaced. Regular expressions are RE2's: linear in time, without look-around."""

    match: str = Field(min_length=1, max_length=500)
    replace: str = Field(max_length=200)


class PageDomain(DefinitionModel):
    """A domain whose pages are nodes of their own, `name:` before page code or path; of one channel, if it is said."""

    domain: str = Field(min_length=1, max_length=256)
    channel: str | None = Field(default=None, min_length=1, max_length=256)
    name: str = Field(pattern=r"^[^\W\d_][\w-]{0,29}$")

    @field_validator("domain")
    @classmethod
    def _is_a_host(cls, domain: str) -> str:
        if domain != domain.lower() or any(mark in domain for mark in "/:@?# "):
            raise ValueError(f"a domain is a host name in lower case, without port or path, not {domain!r}")
        return domain


class Pages(DefinitionModel):
    """Rules in the order in which they are applied; query string, fragment and host are gone by then."""

    path_rules: list[PathRule] = Field(max_length=100)
    domains: list[PageDomain] = Field(default=[], max_length=100)

    @model_validator(mode="after")
    def _each_domain_once(self) -> Pages:
        seen = set()
        for number, entry in enumerate(self.domains):
            if (entry.domain, entry.channel) in seen:
                of = f" of channel {entry.channel}" if entry.channel else ""
                raise ValueError(f"domains.{number}.domain: {entry.domain}{of} is there twice")
            seen.add((entry.domain, entry.channel))
        return self


def load_pages(directory: Path | None = None) -> Pages:
    """Read pages.yml. Raises DefinitionError, also for a regular expression that does not compile."""
    document = load_yaml("pages", directory)
    pages = document.parse(Pages)
    if find_spec("duckdb") is None:  # in Airflow's environment, whose form has its requests checked again by a task
        return pages
    mistake = _mistake(tuple((rule.match, rule.replace) for rule in pages.path_rules))
    if mistake:
        number, reason = mistake
        raise document.error(("path_rules", number, "match"), f"not a regular expression: {reason}")
    return pages


@cache
def _mistake(rules: tuple[tuple[str, str], ...]) -> tuple[int, str] | None:
    """The number of the first rule that DuckDB, which applies them, does not take, and why; asked once for the same
    rules, because DuckDB takes longer to start than all else that reads them."""
    import duckdb  # noqa: PLC0415 - is not everywhere

    with duckdb.connect() as engine:
        for number, rule in enumerate(rules):
            try:
                engine.execute("select regexp_replace('', ?, ?, 'g')", rule)
            except duckdb.Error as error:
                return number, str(error).splitlines()[0]
    return None
