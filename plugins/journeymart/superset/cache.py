"""After a publication: chart results that Superset has cached are old."""

from __future__ import annotations

import logging

from supersetapiclient.base import raise_for_status

from journeymart.settings import Settings
from journeymart.superset.apply import list_assets
from journeymart.superset.client import SupersetError, connect, superset_errors

logger = logging.getLogger(__name__)


def refresh(settings: Settings) -> bool:
    """Forget the cached results of our datasets; charts are computed anew when next opened.

    Returns False, with a line in the log, where no Superset answers: a warehouse may run without one.
    """
    try:
        with superset_errors(settings):
            client = connect(settings)
            datasets = [f"{item['id']}__table" for item in list_assets(client, "datasets")]
            response = client.post(
                client.join_urls(client.base_url, "cachekey", "invalidate"), json={"datasource_uids": datasets}
            )
            raise_for_status(response)
    except SupersetError as error:
        logger.warning("dashboards keep cached numbers for up to an hour: %s", error)
        return False
    return True
