"""Single sign-on by OpenID Connect for Superset and Airflow: what an installation says about it, in its environment.

Off unless JOURNEYMART_SSO_ISSUER is set. What the two do with it is in web.py, which needs Flask AppBuilder; this is
read by grants of access too, because roles that groups of the provider decide are none of theirs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

from journeymart.errors import JourneymartError

# Names of accounts, of Superset and Airflow alike: what is taken from a token, and what can be asked for.
USER_NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
# In addresses: the provider sends people back to …/oauth-authorized/sso.
NAME = "sso"
# A role of Superset's and Airflow's own that may do nothing.
NOTHING = "Public"
# What tells our roles, those of roles.yml, from Superset's own and an installation's.
PREFIX = "journeymart_"
_SECONDS = 10  # that a page waits for the provider
_LOOPBACK = {"127.0.0.1", "localhost"}

Tool = Literal["AIRFLOW", "SUPERSET"]


class SignOnError(JourneymartError):
    """What is said about single sign-on cannot be; the message names the variable."""


@dataclass(frozen=True)
class SignOn:
    """The provider, as one of the two is registered there.

    :param groups: the tool's roles that people of a group of the provider have, and nobody else.
    """

    tool: Tool
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    groups: dict[str, list[str]]

    def provider(self) -> dict[str, Any]:
        """It as Flask AppBuilder's OAUTH_PROVIDERS names it: the code flow with state, nonce and PKCE."""
        return {
            "name": NAME,
            "icon": "",  # has to be there, for a page that is not shown
            "remote_app": {
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "server_metadata_url": f"{self.issuer}/.well-known/openid-configuration",
                "client_kwargs": {
                    "scope": "openid profile email",
                    "code_challenge_method": "S256",
                    "default_timeout": _SECONDS,
                },
            },
        }


def sign_on(tool: Tool) -> SignOn | None:
    """What the environment says about one of the two; nothing if single sign-on is off. Raises SignOnError."""
    issuer = os.environ.get("JOURNEYMART_SSO_ISSUER", "").rstrip("/")
    if not issuer:
        return None
    address = urlsplit(issuer)
    if address.scheme != "https" and address.hostname not in _LOOPBACK:
        raise SignOnError(f"JOURNEYMART_SSO_ISSUER has to begin with https://, not '{issuer}'")
    return SignOn(
        tool, issuer, _required(f"{tool}_SSO_CLIENT_ID"), _required(f"{tool}_SSO_CLIENT_SECRET"), groups(tool)
    )


def groups(tool: Tool) -> dict[str, list[str]]:
    """Roles by group of the provider (AIRFLOW_SSO_GROUPS, SUPERSET_SSO_GROUPS), as the tool calls them.

    Of Superset those of roles.yml and Admin can be meant. Raises SignOnError.
    """
    name = f"{tool}_SSO_GROUPS"
    try:
        found = yaml.safe_load(os.environ.get(name) or "{}")
    except yaml.YAMLError as error:
        raise SignOnError(f"{name} is not YAML: {error}") from None
    if not isinstance(found, dict) or not all(
        isinstance(group, str) and isinstance(roles, list) and all(isinstance(role, str) for role in roles)
        for group, roles in found.items()
    ):
        raise SignOnError(f"{name} has to be {{group: [role, …], …}}, not '{os.environ[name]}'")
    if tool == "SUPERSET":
        found = {
            group: [role if role == "Admin" else PREFIX + role for role in roles] for group, roles in found.items()
        }
    return found


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SignOnError(f"{name} has to be set where JOURNEYMART_SSO_ISSUER is")
    return value
