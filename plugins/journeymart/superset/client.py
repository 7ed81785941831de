"""How we talk to Superset: as its administrator, over its REST API."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import requests
from supersetapiclient.base import raise_for_status
from supersetapiclient.client import SupersetClient
from supersetapiclient.exceptions import BadRequestError, ComplexBadRequestError

from journeymart.errors import JourneymartError
from journeymart.settings import Settings

ADMIN = "admin"
PAGE_SIZE = 100


class SupersetError(JourneymartError):
    """Superset cannot be reached or refused; the message carries its reason."""


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
        if reason == "Not authorized":  # the password was changed in the browser alone
            reason = f"SUPERSET_ADMIN_PASSWORD is not the password of its {ADMIN}"
        raise SupersetError(f"Superset at {settings.superset_url} refused: {reason}") from error


def all_of(client: SupersetClient, path: str, order: str = "id", columns: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Everything of a list that comes in pages; without an order, pages overlap and leave rows out.

    `columns`: which are wanted, if not those that Superset gives unasked.
    """
    found: list[dict[str, Any]] = []
    while True:
        query = {"page": len(found) // PAGE_SIZE, "page_size": PAGE_SIZE, "order_column": order}
        if columns:
            query["columns"] = columns
        response = client.get(client.join_urls(client.base_url, path) + "/", params={"q": json.dumps(query)})
        raise_for_status(response)
        page = response.json()["result"]
        found += page
        if len(page) < PAGE_SIZE:
            return found


def send(client: SupersetClient, verb: str, path: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send JSON to a path of Superset's API; returns its answer. Raises requests.HTTPError if it refuses."""
    response = getattr(client, verb)(client.join_urls(client.base_url, path), json=content)
    raise_for_status(response)
    answer: dict[str, Any] = response.json()
    return answer
