"""Bring Superset to what the repository says: import what differs, then remove what the repository no longer has.

Superset takes most of a minute to import everything, so what it holds is remembered: a dashboard goes with its charts
and datasets, which are its own, if its files are others than last time, or one of them was since changed or is gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from supersetapiclient.base import raise_for_status
from supersetapiclient.client import SupersetClient

from journeymart.settings import Settings
from journeymart.superset.bundle import CERTIFIED_BY, UUID_VERSION, Files, asset_uuids, pack, parts
from journeymart.superset.client import all_of, connect, superset_errors
from journeymart.superset.lint import check
from journeymart.superset.manifest import current_models
from journeymart.superset.roles import apply_roles
from journeymart.superset.specs import ASSETS, LOCALES, Assets, read_assets, slug_of

# Kinds of assets and the field that names one; in this order an asset goes before what it rests on.
TITLES = {"dashboards": "dashboard_title", "charts": "slice_name", "datasets": "table_name"}
FURTHER = {"dashboards": ["slug", "certified_by"], "charts": ["certified_by"], "datasets": ["extra"]}
# Everything of a kind as Superset lists it, its users' own included.
Listed = dict[str, list[dict[str, Any]]]


@dataclass
class Applied:
    """What `apply` did: number of assets imported by kind, titles removed by kind, addresses of the dashboards."""

    imported: dict[str, int] = field(default_factory=dict)
    removed: dict[str, list[str]] = field(default_factory=dict)
    dashboards: list[str] = field(default_factory=list)


def apply(
    settings: Settings, directory: Path = ASSETS, definitions: Path | None = None, *, is_editable: bool = False
) -> Applied:
    """Check, render and import the assets of `directory` and the packs of `definitions`; remove ours that are gone.

    Applying again changes nothing. `is_editable`: administrators may edit them in the browser until the next time, for
    `pull` to bring the edits back. Raises AssetError before anything is sent if a reference is broken, DbtError if
    the dbt project is not valid, SupersetError if the server cannot be reached or refuses.
    """
    assets = read_assets(directory, definitions, settings.airflow_url)
    models = current_models(settings)
    check(assets, models)
    address = f"{settings.pg_host}:{settings.pg_port}/{settings.pg_database}"
    wanted = parts(assets, models, address, is_editable=is_editable)
    passwords = {f"databases/{name}.yaml": settings.password(item.role) for name, item in assets.databases.items()}
    digests = {
        name: hashlib.sha256(json.dumps([part, passwords]).encode()).hexdigest() for name, part in wanted.items()
    }
    with superset_errors(settings):
        client = connect(settings)
        memory = Memory(settings.home / "superset" / "applied.json")
        listed = {kind: list_assets(client, kind) for kind in TITLES}
        stale = memory.differing(wanted, digests, listed)
        imported = {path: content for name in stale for path, content in wanted[name].items()}
        if imported:
            _import(client, imported, passwords)
            listed = {kind: list_assets(client, kind) for kind in TITLES}
        removed = {kind: _remove_gone(client, kind, listed[kind], assets) for kind in TITLES}
        removed["roles"] = apply_roles(client, assets, listed["datasets"])
        memory.write(wanted, digests, listed)
    return Applied(
        imported={
            kind: sum(path.startswith(f"{kind}/") for path in imported) for kind in ("databases", *reversed(TITLES))
        },
        removed=removed,
        dashboards=[
            f"{settings.superset_url}/superset/dashboard/{slug_of(dashboard, locale)}/"
            for dashboard in assets.dashboards.values()
            for locale in LOCALES
        ],
    )


class Memory:
    """What was applied last: of each part of the bundle a digest of its files, and when its assets were changed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def differing(self, wanted: Mapping[str, Files], digests: Mapping[str, str], listed: Listed) -> list[str]:
        """Names of the parts that are not in Superset as they were applied last, or should be others."""
        last = json.loads(self._path.read_text()) if self._path.exists() else {}
        now = self._states(wanted, digests, listed)
        return [name for name in wanted if last.get(name) != now[name]]

    def write(self, wanted: Mapping[str, Files], digests: Mapping[str, str], listed: Listed) -> None:
        """Remember that the parts were applied."""
        new = self._path.with_suffix(".part")
        new.write_text(json.dumps(self._states(wanted, digests, listed)))
        new.rename(self._path)

    @staticmethod
    def _states(wanted: Mapping[str, Files], digests: Mapping[str, str], listed: Listed) -> dict[str, list[str | None]]:
        changed = {item["uuid"]: item["changed_on_utc"] for items in listed.values() for item in items}
        # Databases are not listed: a person cannot change them unless as an administrator of Superset itself.
        return {
            name: [digests[name], *(changed.get(c["uuid"]) for p, c in part.items() if p.startswith(tuple(TITLES)))]
            for name, part in wanted.items()
        }


def _import(client: SupersetClient, files: Files, passwords: Mapping[str, str]) -> None:
    # Not assets.import_file: it sends the passwords in a form that Superset does not read.
    response = client.post(
        client.assets.import_url,
        files={"bundle": ("assets.zip", pack(files), "application/zip")},
        data={"passwords": json.dumps({path: password for path, password in passwords.items() if path in files})},
    )
    raise_for_status(response)


def _remove_gone(client: SupersetClient, kind: str, listed: list[dict[str, Any]], assets: Assets) -> list[str]:
    """Delete assets that carry our mark and are not in the repository; returns their titles."""
    wanted = asset_uuids(assets)[kind]
    gone = [item for item in listed if _is_ours(item) and item["uuid"] not in wanted]
    for item in gone:
        getattr(client, kind).delete(item["id"])
    return sorted(item[TITLES[kind]] for item in gone)


def _is_ours(item: dict[str, Any]) -> bool:
    """Whether an asset was imported by us: copies that users saved of ours have our mark, but another kind of id."""
    extra = json.loads(item.get("extra") or "{}")
    certified_by = item.get("certified_by") or extra.get("certification", {}).get("certified_by")
    return certified_by == CERTIFIED_BY and UUID(item["uuid"]).version == UUID_VERSION


def list_assets(client: SupersetClient, kind: str) -> list[dict[str, Any]]:
    """All assets of a kind (dashboards, charts, datasets) as Superset lists them, its users' own included."""
    columns = ["id", "uuid", "changed_on_utc", TITLES[kind], *FURTHER[kind]]
    return all_of(client, kind.removesuffix("s"), TITLES[kind], columns)
