"""Airflow's login (FAB auth manager), for the container and the local platform alike."""

import os

from flask_appbuilder.const import AUTH_DB

AUTH_TYPE = AUTH_DB
# Its name stays Airflow's, whose logout deletes it by that name; Superset on the same host has another.
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = os.environ.get("AIRFLOW__API__BASE_URL", "").startswith("https://")
WTF_CSRF_ENABLED = True
