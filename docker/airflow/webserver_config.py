"""Airflow's login (FAB auth manager), for the container and the local platform alike."""

import os

from flask_appbuilder.const import AUTH_DB, AUTH_OAUTH

from journeymart.sso import sign_on

AUTH_TYPE = AUTH_DB
if _sso := sign_on("AIRFLOW"):
    from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager
    from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride

    from journeymart.sso.web import security_manager

    AUTH_TYPE = AUTH_OAUTH
    OAUTH_PROVIDERS = [_sso.provider()]
    SECURITY_MANAGER_CLASS = security_manager(_sso, FabAirflowSecurityManagerOverride)
    # To the page that ends the session at the provider, too; Airflow's own has a like address without the last slash.
    FabAuthManager.get_url_logout = lambda manager: manager.get_url_login().replace("/login/", "/logout/")
# Its name stays Airflow's, whose logout deletes it by that name; Superset on the same host has another.
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = os.environ.get("AIRFLOW__API__BASE_URL", "").startswith("https://")
WTF_CSRF_ENABLED = True
