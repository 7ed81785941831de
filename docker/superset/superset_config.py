"""Superset's configuration, for the container and the local platform alike; what differs comes by environment.

SUPERSET_DB_PASSWORD, SUPERSET_SECRET_KEY and SUPERSET_HOME (state and caches) are required.
Everything is served by this host: the content security policy allows no other origin.
"""

import os
from urllib.parse import quote

_HOME = os.environ["SUPERSET_HOME"]
_URL = os.environ.get("JOURNEYMART_SUPERSET_URL", "http://127.0.0.1:54322")
_IS_HTTPS = _URL.startswith("https://")

# --- metadata -------------------------------------------------------------------------------------------
SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
SQLALCHEMY_DATABASE_URI = (
    f"postgresql+psycopg2://superset:{quote(os.environ['SUPERSET_DB_PASSWORD'], safe='')}"
    f"@{os.environ.get('JOURNEYMART_PG_HOST', '127.0.0.1')}:{os.environ.get('JOURNEYMART_PG_PORT', '54320')}/superset"
)
SQLALCHEMY_ENGINE_OPTIONS = {"pool_size": 5, "max_overflow": 10, "pool_pre_ping": True}

# --- features -------------------------------------------------------------------------------------------
FEATURE_FLAGS = {
    # Virtual datasets read filter values: where page in {{ filter_values('page')|where_in }}
    "ENABLE_TEMPLATE_PROCESSING": True,
    # Would let a role read a dataset through a dashboard, around the dataset's own permissions.
    "DASHBOARD_RBAC": False,
    "EMBEDDED_SUPERSET": False,
}
ROW_LIMIT = 10_000
SQL_MAX_ROW = 100_000
SUPERSET_WEBSERVER_TIMEOUT = 120  # seconds, as gunicorn's

# --- language -------------------------------------------------------------------------------------------
BABEL_DEFAULT_LOCALE = "ko"
LANGUAGES = {"ko": {"flag": "kr", "name": "한국어"}, "en": {"flag": "us", "name": "English"}}
APP_NAME = "journeymart"

# --- appearance -----------------------------------------------------------------------------------------
# Light enough for the dark labels that funnels write on their bars.
EXTRA_CATEGORICAL_COLOR_SCHEMES = [
    {
        "id": "journeymart",
        "label": "journeymart",
        "description": "",
        "isDefault": True,
        "colors": [
            *("#7FA8E6", "#7CCBA2", "#F5C969", "#F19C79", "#8FD3E8"),
            *("#B79CE0", "#F2A1C0", "#A9C46C", "#D9B38C", "#86B6B0"),
        ],
    }
]


# --- caches: files for results, the metadata database (Superset's default) for filter states -------------
def _file_cache(name: str, seconds: int) -> dict[str, str | int]:
    return {
        "CACHE_TYPE": "FileSystemCache",
        "CACHE_DIR": os.path.join(_HOME, "cache", name),  # noqa: PTH118
        "CACHE_THRESHOLD": 5_000,
        "CACHE_DEFAULT_TIMEOUT": seconds,
    }


CACHE_CONFIG = _file_cache("metadata", 3_600)
DATA_CACHE_CONFIG = _file_cache("data", 3_600)
RATELIMIT_STORAGE_URI = "memory://"  # login attempts are counted per server process

# --- web security ---------------------------------------------------------------------------------------
WTF_CSRF_ENABLED = True
SESSION_COOKIE_NAME = "journeymart_superset"  # Airflow may run on the same host, and cookies ignore ports
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _IS_HTTPS
ENABLE_PROXY_FIX = _IS_HTTPS  # TLS ends at a proxy in front
TALISMAN_ENABLED = True
TALISMAN_CONFIG = {
    "content_security_policy": {
        "default-src": ["'self'"],
        "base-uri": ["'self'"],
        "connect-src": ["'self'"],
        "font-src": ["'self'", "data:"],
        "frame-ancestors": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "object-src": "'none'",
        "script-src": ["'self'", "'strict-dynamic'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "worker-src": ["'self'", "blob:"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": _IS_HTTPS,
}
