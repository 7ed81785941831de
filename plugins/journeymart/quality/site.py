"""Data Docs of our own look: Great Expectations' site builder with three page contents, one view and an index.

The pages carry their style with them and load nothing: no script, no font, no image, no remote address.
Great Expectations instantiates these classes by name (see engine.py) with arguments of its own, most of which a page
has no use for.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from great_expectations.render.renderer.site_builder import SiteBuilder
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from journeymart.quality.engine import error_reason, observed_text


class OfflineSiteBuilder(SiteBuilder):
    """Great Expectations' site builder without the 4 MB of fonts and pictures it copies beside its own pages."""

    def build(self, resource_identifiers: Any = None, build_index: bool = True) -> tuple[Any, Any]:
        """Write the pages of `resource_identifiers`, then the index."""
        for section in self.site_section_builders.values():
            section.build(resource_identifiers=resource_identifiers)
        _, links = self.site_index_builder.build(build_index=build_index)
        return self.get_resource_url(only_if_exists=False), links


class Page:
    """The view: content of a page → HTML, by the template that the content names."""

    def __init__(self, templates: str, **_: Any) -> None:
        self.environment = Environment(
            loader=FileSystemLoader(templates),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, content: dict[str, Any], **_: Any) -> str:
        """HTML of the page."""
        return self.environment.get_template(content["template"]).render(content)


class ResultContent:
    """Content of a result page: one suite of one run."""

    def __init__(self, **_: Any) -> None:
        """Great Expectations passes its context; the page needs none."""

    def render(self, result: Any) -> dict[str, Any]:
        """What the template result.html.j2 shows."""
        rules = _rules(result.to_json_dict()["results"])
        return {
            "template": "result.html.j2",
            "root": "../../../../",  # validations/<suite>/<run>/<time>/<batch>.html
            "suite": rules[0]["meta"]["suite"],
            "run": rules[0]["meta"]["run"],
            "rules": rules,
            "count": _count(rules),
        }


class SuiteContent:
    """Content of a rule page: what a suite checks, with its queries."""

    def __init__(self, **_: Any) -> None:
        """Great Expectations passes its context; the page needs none."""

    def render(self, suite: Any) -> dict[str, Any]:
        """What the template suite.html.j2 shows."""
        rules = sorted(
            (
                {
                    "meta": expectation.meta,
                    "severity": expectation.severity.value,
                    "criterion": _criterion(expectation.configuration.to_json_dict()),
                }
                for expectation in suite.expectations
            ),
            key=lambda rule: rule["meta"]["number"],
        )
        return {"template": "suite.html.j2", "root": "../", "suite": rules[0]["meta"]["suite"], "rules": rules}


class RunIndex:
    """The front page: the last runs, newest first. Results and pages of older ones go."""

    def __init__(self, templates: str, results: str, pages: str, kept_runs: int, target_store: Any, **_: Any) -> None:
        self.view = Page(templates)
        self.results = Path(results)
        self.pages = Path(pages) / "validations"
        self.kept_runs = kept_runs
        self.target_store = target_store

    def build(self, build_index: bool = True, **_: Any) -> tuple[Any, Any]:
        """Read the results that are kept, remove the rest, write index.html."""
        if not build_index:
            return None, None
        runs = self._prune(self._read())
        content = {
            "template": "index.html.j2",
            "root": "",
            "runs": runs,
            "suites": [suite["suite"] for suite in runs[0]["suites"]] if runs else [],
        }
        return self.target_store.write_index_page(self.view.render(content)), {}

    def _read(self) -> list[dict[str, Any]]:
        """Every run with results on disk, newest first. <results>/<suite>/<run>/<time>/<batch>.json"""
        runs: dict[tuple[str, str], dict[Path, list[dict[str, Any]]]] = defaultdict(dict)
        for path in list(self.results.glob("*/*/*/*.json")):
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:  # half of one: the validation was killed, or had no room
                self._forget(path)
                continue
            runs[path.parent.name, path.parent.parent.name][path] = _rules(found["results"])
        return [self._run(results) for _, results in sorted(runs.items(), reverse=True)]

    def _run(self, results: dict[Path, list[dict[str, Any]]]) -> dict[str, Any]:
        suites = []
        for path, rules in sorted(results.items(), reverse=True):  # raw before next, as the data goes
            page = Path("validations", path.relative_to(self.results)).with_suffix(".html")
            suites.append(
                {"suite": rules[0]["meta"]["suite"], "page": page.as_posix(), "rules": rules, "count": _count(rules)}
            )
        rules = [rule for suite in suites for rule in suite["rules"]]
        return {"run": rules[0]["meta"]["run"], "suites": suites, "count": _count(rules), "paths": list(results)}

    def _prune(self, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Keep the last runs, and as many earlier ones in which something failed: what an auditor asks about."""
        recent, older = runs[: self.kept_runs], runs[self.kept_runs :]
        failed = [run for run in older if run["count"]["failed"]][: self.kept_runs]
        for run in older:
            if run not in failed:
                for path in run["paths"]:
                    self._forget(path)
        return recent + failed

    def _forget(self, path: Path) -> None:
        """Remove a result and its page."""
        _remove(path.parent)
        _remove(self.pages / path.parent.relative_to(self.results))


def _rules(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results of expectations as the templates want them, in the order of the rule file."""
    rules = []
    for found in results:
        config = found["expectation_config"]
        reason = error_reason(found.get("exception_info") or {})
        passed = bool(found["success"]) and reason is None
        details = found["result"].get("details", {})
        rules.append(
            {
                "meta": config["meta"],
                "severity": config["severity"],
                "state": "passed" if passed else "error" if reason else _failed_state(config["severity"]),
                "observed": observed_text(found["result"]) if reason is None else reason,
                "count": _number_found(found["result"]),
                "columns": details.get("columns", []),
                "rows": details.get("rows", []),
                "has_more": details.get("has_more", False),
                "criterion": _criterion(config),
            }
        )
    return sorted(rules, key=lambda rule: rule["meta"]["number"])


def _failed_state(severity: str) -> str:
    return "critical" if severity == "critical" else "warning"


def _number_found(result: dict[str, Any]) -> int | None:
    return result.get("unexpected_count", result.get("observed_value"))


def _criterion(config: dict[str, Any]) -> dict[str, Any]:
    """How a rule is decided: its query, or the name and the arguments of the expectation."""
    arguments = {name: value for name, value in config["kwargs"].items() if name != "batch_id"}
    query = arguments.pop("unexpected_rows_query", None)
    return {"query": query, "type": config["type"], "arguments": arguments}


def _count(rules: list[dict[str, Any]]) -> dict[str, int]:
    states = [rule["state"] for rule in rules]
    return {
        "rules": len(states),
        "passed": states.count("passed"),
        "warning": states.count("warning"),
        "critical": states.count("critical") + states.count("error"),
        "failed": len(states) - states.count("passed"),
    }


def _remove(directory: Path) -> None:
    """Remove a run's folder, and the folder of its name when that was the last one in it."""
    shutil.rmtree(directory, ignore_errors=True)
    if directory.parent.is_dir() and not any(directory.parent.iterdir()):
        directory.parent.rmdir()
