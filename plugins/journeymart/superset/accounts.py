"""Accounts of people in Superset: the roles of ours that are granted to them, and their first password."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from requests import HTTPError
from supersetapiclient.client import SupersetClient

from journeymart.errors import JourneymartError
from journeymart.sso import NOTHING, PREFIX, groups
from journeymart.superset.client import all_of, send


class AccountError(JourneymartError):
    """An account cannot be what it should be; the message says why."""


@dataclass(frozen=True)
class Holder:
    """Somebody, and the roles that they hold now, as roles.yml names them."""

    user_name: str
    full_name: str
    email: str
    roles: list[str] | None


def settle_accounts(client: SupersetClient, holders: Iterable[Holder]) -> list[str]:
    """Give every holder's account exactly their roles of ours; returns the names of those that were changed.

    An account that is not there is created, with a password that nobody knows. One without roles can no longer log in,
    and its session is over. Roles that are not ours, or that groups of the provider decide, stay; so does it that an
    administrator has switched an account off. Raises AccountError once it has done all others.
    """
    decided = {role for roles in groups("SUPERSET").values() for role in roles}
    role_ids = {item["name"]: item["id"] for item in all_of(client, "security/roles")}
    accounts = {item["username"].lower(): item for item in all_of(client, "security/users")}
    changed, problems = [], []
    for holder in holders:
        account = accounts.get(holder.user_name.lower())
        has = {role["name"] for role in account["roles"]} if account else {NOTHING}
        wanted = {name for name in has if name in decided or not (name == NOTHING or name.startswith(PREFIX))}
        wanted |= {PREFIX + role for role in holder.roles or ()}
        if unknown := sorted(wanted - set(role_ids)):
            problems.append(f"{holder.user_name}: Superset has no role {', '.join(unknown)}")
            wanted -= set(unknown)
        if (wanted or {NOTHING}) == has:
            continue
        # one that has roles was switched off by an administrator, and stays so whatever grants come and go
        may_be_active = account is None or account["active"] or has == {NOTHING}
        content: dict[str, Any] = {
            "roles": [role_ids[name] for name in wanted or {NOTHING}],
            "active": bool(wanted) and may_be_active,
        }
        try:
            if account:
                send(client, "put", f"security/users/{account['id']}", content)
            else:
                content |= {"username": holder.user_name, "first_name": holder.full_name, "last_name": ""}
                content |= {"email": holder.email, "password": secrets.token_urlsafe(32)}
                send(client, "post", "security/users/", content)
        except HTTPError as error:  # another account has this e-mail address
            problems.append(f"{holder.user_name}: {error}")
        else:
            changed.append(holder.user_name)
    if problems:
        raise AccountError("; ".join(problems))
    return changed


def give_password(client: SupersetClient, user_name: str) -> str:
    """Give an account that holds roles of ours alone a new password, and return it.

    Raises AccountError if there is none: other accounts are no business of grants.
    """
    for account in all_of(client, "security/users"):
        roles = [role["name"] for role in account["roles"]]
        if account["username"].lower() == user_name.lower() and all(name.startswith(PREFIX) for name in roles):
            password = secrets.token_urlsafe(12)
            send(client, "put", f"security/users/{account['id']}", {"password": password})
            return password
    raise AccountError(f"'{user_name}' has no account with roles that were granted, and no others")
