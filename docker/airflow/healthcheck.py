"""Exit 0 if the API server reports the named component of Airflow as healthy: `python healthcheck.py scheduler`.

One request instead of `airflow jobs check`, which would load all of Airflow twice a minute in each container.
"""

import json
import os
import sys
import urllib.request


def is_healthy(url: str, component: str) -> bool:
    """True if metadatabase, scheduler, dag_processor or triggerer is healthy; OSError if the server is out of reach."""
    with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as response:  # noqa: S310 (our own server)
        health = json.load(response)
    return bool(health[component]["status"] == "healthy")


if __name__ == "__main__":
    api_server = os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].removesuffix("/execution/")
    sys.exit(not is_healthy(api_server, sys.argv[1]))
