"""dbt in this process: one invocation per run, because starting dbt costs seconds and a model milliseconds."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from journeymart.errors import JourneymartError
from journeymart.settings import Settings

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest


class DbtError(JourneymartError):
    """A model or test failed; the message names it and gives the database's words."""


@dataclass(frozen=True)
class NodeResult:
    """Outcome of one model, seed or test."""

    node: str
    status: str
    seconds: float
    rows: int | None
    message: str


@dataclass(frozen=True)
class MartTable:
    """A stored mart table as its contract declares it: `columns` maps names to Postgres types, in order."""

    name: str
    columns: dict[str, str]


class Dbt:
    """The dbt project of this repository as it is read now, against the warehouse of `settings`.

    Raises DbtError where the project is not valid.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        os.environ.update(
            JOURNEYMART_PG_HOST=settings.pg_host,
            JOURNEYMART_PG_PORT=str(settings.pg_port),
            JOURNEYMART_PG_DATABASE=settings.pg_database,
            JM_BUILDER_PASSWORD=settings.password("jm_builder"),
            DBT_SEND_ANONYMOUS_USAGE_STATS="false",
            DO_NOT_TRACK="1",
        )
        outcome = self._invoke(["parse"])
        if not outcome.success:  # of what it has kept of other versions dbt may miss some: then all is read anew
            outcome = self._invoke(["--no-partial-parse", "parse"])
        if not outcome.success:
            raise DbtError(f"dbt parse failed: {outcome.exception}") from outcome.exception
        self._manifest: Manifest = outcome.result

    def models(self) -> list[dict[str, Any]]:
        """Every model as dbt describes it in its manifest: name, description, columns with types, labels and so on."""
        return [node.to_dict() for node in self._manifest.nodes.values() if node.resource_type.value == "model"]

    def mart_tables(self) -> list[MartTable]:
        """The tables that publish will keep in schema mart."""
        return [
            MartTable(node.name, {column.name: column.data_type or "" for column in node.columns.values()})
            for node in self._manifest.nodes.values()
            if node.resource_type.value == "model" and node.config.materialized == "delta"
        ]

    def project_hash(self) -> str:
        """Hash of every model, seed and macro: what decides the numbers besides the definitions."""
        parts = [
            f"{node.unique_id} {node.checksum.checksum}"
            for node in self._manifest.nodes.values()
            if node.resource_type.value in {"model", "seed"}
        ]
        parts += [
            f"{macro.unique_id} {macro.macro_sql}"
            for macro in self._manifest.macros.values()
            if macro.package_name == self._manifest.metadata.project_name
        ]
        return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()

    def build(self, facts: dict[str, Any]) -> list[NodeResult]:
        """Seeds, models and data tests, in dependency order, for a run of these facts (macros/run.sql).

        A run of changes leaves out the views that nothing is computed from: another SQL of theirs would be another
        project, and that is a full build. Failures are results, not exceptions.
        """
        selected = ["--exclude-resource-type", "unit_test"]
        if not facts["is_full"]:
            selected += ["--select", "+config.materialized:delta", "+config.materialized:work_table"]
        outcome = self._invoke(["build", *selected], self._manifest, vars={"run": facts})
        if outcome.exception is not None:
            raise DbtError(f"dbt could not run: {outcome.exception}") from outcome.exception
        return [
            NodeResult(
                node=result.node.unique_id,
                status=str(result.status),
                seconds=result.execution_time,
                rows=result.adapter_response.get("rows_affected") if result.adapter_response else None,
                message=str(result.message or ""),
            )
            for result in outcome.result.results
        ]

    def _invoke(self, arguments: list[str], manifest: Manifest | None = None, **parameters: Any) -> Any:
        from dbt.cli.main import dbtRunner  # noqa: PLC0415 - two seconds of imports, needed here only

        from journeymart.transform.adapter import prepare_adapter  # noqa: PLC0415 - as dbt itself

        prepare_adapter()
        project = self._settings.repo / "dbt_project"
        state = self._settings.home / "dbt"
        return dbtRunner(manifest=manifest).invoke(
            [
                # Results and messages are kept in ops.model_result; writing them down twice more takes a second of CPU.
                "--log-level", "none", "--log-level-file", "none", "--log-path", str(state / "logs"),
                "--no-write-json", "--no-populate-cache",
                *arguments,
                "--project-dir", str(project), "--profiles-dir", str(project), "--target-path", str(state / "target"),
            ],
            **parameters,
        )  # fmt: skip
