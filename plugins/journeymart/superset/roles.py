"""Roles as code: what each may open, and nothing else. A dashboard that no role lists is seen by administrators only.

A role holds the permission to read the datasets of its dashboards, which are nobody else's (see bundle), and the few
that looking at a dashboard needs. Who has a role is decided where people log in.
"""

from __future__ import annotations

import re
from typing import Any

from supersetapiclient.client import SupersetClient

from journeymart.errors import JourneymartError
from journeymart.sso import PREFIX
from journeymart.superset.bundle import asset_uuid, own_name
from journeymart.superset.client import all_of, send
from journeymart.superset.specs import LOCALES, Assets, role_names

# The column by which a dataset's rows belong to departments.
OWNER = "owner"
# To log in, choose a language and a password, open dashboards and set their filters. No SQL Lab, no editing, no list of
# datasets.
LOOK = (
    ("can_dashboard", "Superset"),
    ("can_language_pack", "Superset"),
    ("can_log", "Superset"),
    ("can_read", "AvailableDomains"),
    ("can_read", "Chart"),
    ("can_read", "CssTemplate"),
    ("can_read", "CurrentUserRestApi"),
    ("can_read", "Dashboard"),
    ("can_read", "DashboardFilterStateRestApi"),
    ("can_read", "DashboardPermalinkRestApi"),
    ("can_read", "ExploreFormDataRestApi"),
    ("can_read", "SecurityRestApi"),
    ("can_read", "Theme"),
    ("can_read", "user"),
    ("can_recent_activity", "Log"),
    ("can_time_range", "Api"),
    ("can_write", "CurrentUserRestApi"),
    ("can_write", "DashboardFilterStateRestApi"),
    ("can_write", "DashboardPermalinkRestApi"),
    ("menu_access", "Dashboards"),
)
EXPORT = (("can_csv", "Superset"),)
_ID_IN_PERMISSION = re.compile(r"\(id:(\d+)\)$")


class RoleError(JourneymartError):
    """A role cannot be set up as it is written."""


def apply_roles(client: SupersetClient, assets: Assets, datasets: list[dict[str, Any]]) -> list[str]:
    """Bring Superset's roles to what roles.yml says; returns the names of ours that it no longer has and were removed.

    `datasets` are those in Superset. Raises RoleError if Superset does not know a permission.
    """
    permissions = _permissions(client)
    ids = {item["uuid"]: item["id"] for item in datasets}
    existing = {
        item["name"]: item["id"] for item in all_of(client, "security/roles") if item["name"].startswith(PREFIX)
    }
    departments: dict[str, list[int]] = {}
    wanted = set()
    for name, role in assets.roles.items():
        granted = [_find(permissions, key) for key in (*LOOK, *(EXPORT if "export" in role.may else ()))]
        for full_name, department in role_names(name, role).items():
            datasets_read = _datasets_of(assets.opened_by(role, department), assets)
            of_datasets = [_find(permissions, ("datasource_access", str(ids[uuid]))) for uuid in datasets_read]
            wanted.add(full_name)
            if full_name not in existing:
                existing[full_name] = send(client, "post", "security/roles/", {"name": full_name})["id"]
            path = f"security/roles/{existing[full_name]}/permissions"
            send(client, "post", path, {"permission_view_menu_ids": sorted([*granted, *of_datasets])})
            if department:
                departments.setdefault(department, []).append(existing[full_name])
    _apply_row_rules(client, assets, ids, departments)
    gone = sorted(set(existing) - wanted)
    for name in gone:
        send(client, "delete", f"security/roles/{existing[name]}")
    return gone


def _apply_row_rules(
    client: SupersetClient, assets: Assets, ids: dict[str, int], departments: dict[str, list[int]]
) -> None:
    """A department's own rows, in Superset too: its cache keeps results of one department apart from another's.

    The database has the same rule (publish/access.py), which holds whatever Superset asks.
    """
    tables = [
        ids[asset_uuid("datasets", own_name(name, dataset), locale)]
        for name, dashboard in assets.dashboards.items()
        for dataset in assets.datasets_of(dashboard)
        if OWNER in assets.datasets[dataset].columns
        for locale in LOCALES
    ]
    existing = {item["name"]: item["id"] for item in all_of(client, "rowlevelsecurity", "name")}
    wanted = {f"{PREFIX}{department}": roles for department, roles in departments.items()}
    for name, roles in wanted.items():
        rule = {
            "name": name,
            "filter_type": "Regular",
            "tables": sorted(tables),
            "roles": sorted(roles),
            "clause": f"{OWNER} = '{name.removeprefix(PREFIX)}'",  # of roles.yml, which allows letters, digits and -
            "group_key": PREFIX + "department",
        }
        if name in existing:
            send(client, "put", f"rowlevelsecurity/{existing[name]}", rule)
        else:
            send(client, "post", "rowlevelsecurity/", rule)
    for name, number in existing.items():
        if name.startswith(PREFIX) and name not in wanted:
            send(client, "delete", f"rowlevelsecurity/{number}")


def _datasets_of(dashboards: list[str], assets: Assets) -> list[str]:
    return [
        asset_uuid("datasets", own_name(name, dataset), locale)
        for name in dashboards
        for dataset in assets.datasets_of(assets.dashboards[name])
        for locale in LOCALES
    ]


def _permissions(client: SupersetClient) -> dict[tuple[str, str], int]:
    """Ids by permission and what it is on; of a dataset, by its id: its name in the permission may be an old one."""
    found: dict[tuple[str, str], int] = {}
    for item in all_of(client, "security/permissions-resources"):
        permission, target = item["permission"]["name"], item["view_menu"]["name"]
        if permission == "datasource_access":
            match = _ID_IN_PERMISSION.search(target)
            target = match[1] if match else target
        found[permission, target] = item["id"]
    return found


def _find(permissions: dict[tuple[str, str], int], key: tuple[str, str]) -> int:
    if key not in permissions:
        raise RoleError(f"Superset has no permission {key[0]} on {key[1]}")
    return permissions[key]
