"""Bring Superset to what the repository says: import the bundle, then remove what the repository no longer has."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import requests
from supersetapiclient.base import raise_for_status
from supersetapiclient.client import SupersetClient
from supersetapiclient.exceptions import BadRequestError, ComplexBadRequestError

from journeymart.errors import JourneymartError
from journeymart.settings import Settings
from journeymart.superset.bundle import CERTIFIED_BY, UUID_VERSION, asset_uuids, pack, render, slug_of
from journeymart.superset.lint import check
from journeymart.superset.manifest import Models, current_models
from journeymart.superset.roles import apply_roles
from journeymart.superset.specs import ASSETS, LOCALES, Assets, read_assets

ADMIN = "admin"
PAGE_SIZE = 100
# Kinds of assets and the field that names one; in this order an asset goes before what it rests on.
TITLES = {"dashboards": "dashboard_title", "charts": "slice_name", "datasets": "table_name"}


class SupersetError(JourneymartError):
    """Superset cannot be reached or refused; the message carries its reason."""


@dataclass
class Applied:
    """What `apply` did: number of assets imported by kind, titles removed by kind, addresses of the dashboards."""

    imported: dict[str, int] = field(default_factory=dict)
    removed: dict[str, list[str]] = field(default_factory=dict)
    dashboards: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def apply(
    settings: Settings, directory: Path = ASSETS, definitions: Path | None = None, *, is_editable: bool = False
) -> Applied:
    """Check, render and import the assets of `directory` and the packs of `definitions`; remove ours that are gone.

    Applying again changes nothing. `is_editable`: administrators may edit them in the browser until the next time, for
    `pull` to bring the edits back. Raises AssetError before anything is sent if a reference is broken, DbtError if
    the dbt project is not valid, SupersetError if the server cannot be reached or refuses.
    """
    assets = read_assets(directory, definitions)
    models = current_models(settings)
    check(assets, models)
    with superset_errors(settings):
        client = connect(settings)
        _import(client, settings, assets, models, is_editable=is_editable)
        removed = {kind: _remove_gone(client, kind, assets) for kind in TITLES}
        removed["roles"] = apply_roles(client, assets, list_assets(client, "datasets"))
    wanted = asset_uuids(assets)
    return Applied(
        imported={
            "databases": len(assets.databases),
            **{kind: len(wanted[kind]) for kind in reversed(TITLES)},
            "roles": len(assets.roles),
        },
        removed=removed,
        dashboards=[
            f"{settings.superset_url}/superset/dashboard/{slug_of(dashboard, locale)}/"
            for dashboard in assets.dashboards.values()
            for locale in LOCALES
        ],
    )


def connect(settings: Settings) -> SupersetClient:
    """A client that is logged in as the administrator on first use."""
    if settings.superset_url.startswith("http://"):
        # The client speaks OAuth 2, whose library refuses plain HTTP unless it is told that this is meant.
        os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    return SupersetClient(settings.superset_url, username=ADMIN, password=settings.secret("SUPERSET_ADMIN_PASSWORD"))


@contextlib.contextmanager
def superset_errors(settings: Settings) -> Iterator[None]:
    """Turn what goes wrong between the client and the server into one SupersetError."""
    try:
        yield
    except requests.ConnectionError as error:
        raise SupersetError(f"no answer from Superset at {settings.superset_url}; is it running?") from error
    except (requests.RequestException, BadRequestError, ComplexBadRequestError) as error:
        reason = getattr(error, "message", None) or getattr(error, "errors", None) or error
        raise SupersetError(f"Superset at {settings.superset_url} refused: {reason}") from error


def _import(client: SupersetClient, settings: Settings, assets: Assets, models: Models, *, is_editable: bool) -> None:
    address = f"{settings.pg_host}:{settings.pg_port}/{settings.pg_database}"
    passwords = {f"databases/{name}.yaml": settings.password(item.role) for name, item in assets.databases.items()}
    # Not assets.import_file: it sends the passwords in a form that Superset does not read.
    response = client.post(
        client.assets.import_url,
        files={
            "bundle": ("assets.zip", pack(render(assets, models, address, is_editable=is_editable)), "application/zip")
        },
        data={"passwords": json.dumps(passwords)},
    )
    raise_for_status(response)


def _remove_gone(client: SupersetClient, kind: str, assets: Assets) -> list[str]:
    """Delete assets that carry our mark and are not in the repository; returns their titles."""
    wanted = asset_uuids(assets)[kind]
    gone = [item for item in list_assets(client, kind) if _is_ours(item) and item["uuid"] not in wanted]
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
    endpoint: str = getattr(client, kind).base_url
    found: list[dict[str, Any]] = []
    while True:
        query = {"page": len(found) // PAGE_SIZE, "page_size": PAGE_SIZE, "order_column": TITLES[kind]}
        response = client.get(endpoint, params={"q": json.dumps(query)})
        raise_for_status(response)
        page = response.json()["result"]
        found += page
        if len(page) < PAGE_SIZE:
            return found
