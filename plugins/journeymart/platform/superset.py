"""Superset on the local platform: one gunicorn."""

from __future__ import annotations

from urllib.parse import urlsplit

from journeymart.platform.processes import http_get
from journeymart.platform.tool import Tool

_HTTP_OK = 200


class Superset(Tool):
    """Two workers with threads, metadata on the platform's PostgreSQL, caches in files."""

    name = "superset"

    def commands(self) -> dict[str, list[str]]:
        """Never with --preload: workers would share database sockets and mix up results.

        A connection that is used again just as it is closed is an error to people; two seconds, the default, are short.
        """
        return {
            "superset": [
                str(self.bin / "gunicorn"), "--bind", urlsplit(self.settings.superset_url).netloc,
                "--workers", "2", "--worker-class", "gthread", "--threads", "8",
                "--timeout", "120", "--graceful-timeout", "5", "--keep-alive", "75", "--no-control-socket",
                "superset.app:create_app()",
            ]
        }  # fmt: skip

    def variables(self) -> dict[str, str]:
        """What docker/superset/superset_config.py reads."""
        settings = self.settings
        return {
            "SUPERSET_HOME": str(self.home),
            "SUPERSET_DB_PASSWORD": settings.password("superset"),
            "SUPERSET_SECRET_KEY": settings.secret("SUPERSET_SECRET_KEY"),
            "JOURNEYMART_PG_HOST": settings.pg_host,
            "JOURNEYMART_PG_PORT": str(settings.pg_port),
            "JOURNEYMART_SUPERSET_URL": settings.superset_url,
            "FLASK_APP": "superset.app:create_app()",
            "SCARF_ANALYTICS": "false",
            "PYTHONPATH": f"{self.folder}:{settings.repo / 'plugins'}",
        }

    def is_healthy(self) -> bool:
        """True if the web server answers its health check."""
        response = http_get(f"{self.settings.superset_url}/health")
        return response is not None and response[0] == _HTTP_OK
