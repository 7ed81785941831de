"""Great Expectations at work. Everything it needs is made anew in memory for each validation (nothing with an id of
its own is kept in the repository); only results stay on disk, for the pages of Data Docs.

Imports Great Expectations (4 s): import this module where it is used, not before.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read on import; nothing may leave the network

import great_expectations as gx
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.data_context.types.resource_identifiers import ExpectationSuiteIdentifier
from great_expectations.expectations.registry import get_expectation_impl

from journeymart.errors import one_line
from journeymart.files import naming
from journeymart.quality.expectation import ExpectNoOffendingRows
from journeymart.quality.result import Check, QualityError
from journeymart.settings import Settings

if TYPE_CHECKING:
    from journeymart.quality.gate import RunFacts
    from journeymart.quality.rules import Rule, Rulebook, Suite

SITE = "journeymart"
RESULTS = "validation_results_store"
# The checks read; the database makes sure of it.
SESSION = "-c default_transaction_read_only=on -c application_name=journeymart\\ checks"
TEMPLATES = "data_docs"


def evaluate(settings: Settings, rulebook: Rulebook, facts: RunFacts, kept_runs: int) -> list[Check]:
    """Evaluate every rule in one checkpoint, write the pages, and return one check per evaluated rule, in order."""
    context = _context(settings, rulebook, kept_runs)
    warehouse = context.data_sources.add_postgres(
        "warehouse",
        connection_string=f"{settings.dsn('jm_builder', driver='postgresql+psycopg2')}?options={quote(SESSION)}",
    )
    definitions = []
    for suite in rulebook.suites:
        # a query asset has to begin with the word select, our files begin with what they are for
        batch = f"select * from (\n{rulebook.query(suite.batch)}\n) as scope"  # noqa: S608 (our own file)
        asset = warehouse.add_query_asset(suite.suite, query=batch)
        definitions.append(
            context.validation_definitions.add(
                gx.ValidationDefinition(
                    name=suite.suite,
                    data=asset.add_batch_definition_whole_table("scope"),
                    suite=context.suites.add(_expectation_suite(rulebook, suite, facts)),
                )
            )
        )
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name="gate",
            validation_definitions=definitions,
            result_format={"result_format": "BASIC", "exclude_unexpected_values": True},
        )
    )
    with naming(settings.home / "checks"):
        outcome = checkpoint.run(run_id=RunIdentifier(run_name=facts.run_id, run_time=dt.datetime.now(dt.UTC)))
    _forget_error_details(context, outcome.run_results)
    with naming(settings.docs):
        context.build_data_docs(
            site_names=[SITE],
            resource_identifiers=[
                *outcome.run_results,
                *(ExpectationSuiteIdentifier(s.suite) for s in rulebook.suites),
            ],
        )
    checks = {}
    for identifier, result in outcome.run_results.items():
        page = _page(context, settings, identifier)
        for found in result.to_json_dict()["results"]:
            check = read_check(found, page)
            checks[check.check_id] = check
    rules = [rule.id for suite in rulebook.suites for rule in suite.rules]
    return [checks[rule] for rule in rules if rule in checks]


def _context(settings: Settings, rulebook: Rulebook, kept_runs: int) -> Any:
    """A context in memory whose results and pages are files of this home."""
    stores = InMemoryStoreBackendDefaults()
    results = settings.home / "checks"
    stores.stores[RESULTS] = {
        "class_name": "ValidationResultsStore",
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(results),
            "suppress_store_backend_id": True,
        },
    }
    site = "journeymart.quality.site"
    view = {"module_name": site, "class_name": "Page", "templates": str(rulebook.directory / TEMPLATES)}
    config = DataContextConfig(
        store_backend_defaults=stores,
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
        data_docs_sites={
            SITE: {
                "module_name": site,
                "class_name": "OfflineSiteBuilder",
                "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(settings.docs)},
                "site_index_builder": {
                    "module_name": site,
                    "class_name": "RunIndex",
                    "templates": str(rulebook.directory / TEMPLATES),
                    "results": str(results),
                    "pages": str(settings.docs),
                    "kept_runs": kept_runs,
                },
                "site_section_builders": {
                    "expectations": {"renderer": {"module_name": site, "class_name": "SuiteContent"}, "view": view},
                    "validations": {
                        "renderer": {"module_name": site, "class_name": "ResultContent"},
                        "view": view,
                        "run_name_filter": {"matches_regex": "."},  # the default leaves out runs named "profiling"
                    },
                    "profiling": "none",
                },
            }
        },
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _expectation_suite(rulebook: Rulebook, suite: Suite, facts: RunFacts) -> gx.ExpectationSuite:
    return gx.ExpectationSuite(
        name=suite.suite,
        expectations=[_expectation(rulebook, suite, rule, number, facts) for number, rule in enumerate(suite.rules)],
    )


def _expectation(rulebook: Rulebook, suite: Suite, rule: Rule, number: int, facts: RunFacts) -> Any:
    """The rule as an expectation; what the pages say about it travels in `meta`, so that they need no other source."""
    common: dict[str, Any] = {
        "severity": rule.severity,
        "description": f"{rule.description.ko} / {rule.description.en}",
        "meta": {
            "check_id": rule.id,
            "number": number,
            "title": rule.title.model_dump(),
            "description": rule.description.model_dump(),
            "suite": {"name": suite.suite, "label": suite.label.model_dump()},
            "run": asdict(facts),
        },
    }
    if rule.sql is not None:
        return ExpectNoOffendingRows(unexpected_rows_query=rulebook.query(rule.sql), **common)
    assert rule.expectation is not None  # noqa: S101 (one of the two, says the rule's model)
    return get_expectation_impl(rule.expectation.type)(**rule.expectation.arguments, **common)


def _forget_error_details(context: Any, results: dict[Any, Any]) -> None:
    """Keep of an error what error_reason says, on disk as well; tracebacks hold queries and values."""
    for identifier, result in results.items():
        reasons = [error_reason(found.to_json_dict().get("exception_info") or {}) for found in result.results]
        if any(reasons):
            for found, reason in zip(result.results, reasons, strict=True):
                if reason:
                    found.exception_info = {"raised_exception": True, "exception_message": reason}
            context.stores[RESULTS].set(identifier, result)


def _page(context: Any, settings: Settings, identifier: Any) -> str:
    """Path of a result's page, relative to the docs. One that could not be rendered, or had no room, is only logged by
    GX, which then leaves none or a part of it."""
    url = context.get_docs_sites_urls(resource_identifier=identifier, site_name=SITE, only_if_exists=True)[0][
        "site_url"
    ]
    path = Path(unquote(urlsplit(url or "").path))
    if not url or not path.read_bytes().rstrip().endswith(b"</html>"):
        raise QualityError("Data Docs could not be written; the log above says why")
    return os.path.relpath(path, settings.docs)


def read_check(found: dict[str, Any], page: str) -> Check:
    """One expectation's result, as Great Expectations writes it to JSON, as a check."""
    config, result = found["expectation_config"], found["result"]
    reason = error_reason(found.get("exception_info") or {})
    return Check(
        check_id=config["meta"]["check_id"],
        suite=config["meta"]["suite"]["name"],
        severity=config["severity"],
        passed=bool(found["success"]) and reason is None,
        observed=f"could not be evaluated: {reason}" if reason is not None else observed_text(result),
        docs_path=f"{page}#{config['meta']['check_id']}",
        is_error=reason is not None,
    )


def observed_text(result: dict[str, Any]) -> str:
    """What was found in a few words: `0`, or the number of offending rows and the first of them."""
    if "unexpected_count" in result:
        return f"{result['unexpected_count']} / {result['element_count']}"
    details = result.get("details", {})
    rows = details.get("rows")
    if not rows:
        return str(result.get("observed_value", ""))
    first = one_line(", ".join(f"{name} {cell}" for name, cell in zip(details["columns"], rows[0], strict=True)))
    return f"{result['observed_value']}{'+' if details['has_more'] else ''}: {first}"


def error_reason(exception_info: dict[str, Any]) -> str | None:
    """Why a rule could not be evaluated, or None if it could.

    PostgreSQL quotes the value it stumbled over, which may be a personal one: of errors in data only the kind is said.
    """
    infos = [exception_info] if "raised_exception" in exception_info else list(exception_info.values())
    raised = [info for info in infos if info.get("raised_exception")]
    if not raised:
        return None
    message = str(raised[0].get("exception_message") or "").strip().split("\n", 1)[0]
    kind = re.search(r"psycopg2\.errors\.(\w+)", message)
    if "sqlalchemy.exc.DataError" in str(raised[0].get("exception_traceback")):
        return kind[1] if kind else "DataError"
    return message or "unknown error"
