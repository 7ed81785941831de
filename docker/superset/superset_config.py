"""Superset's configuration, for the container and the local platform alike; what differs comes by environment.

SUPERSET_DB_PASSWORD, SUPERSET_SECRET_KEY and SUPERSET_HOME (state and caches) are required.
Everything is served by this host: the content security policy allows no other origin.
"""

import codecs
import gc
import hashlib
import json
import logging
import os
import re
import secrets
import sqlite3
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from flask_appbuilder.const import AUTH_DB, AUTH_OAUTH
from flask_appbuilder.exceptions import PasswordComplexityValidationError
from sqlalchemy import event, false
from sqlalchemy.dialects.postgresql.base import PGDialect
from superset.errors import ErrorLevel, SupersetError, SupersetErrorType
from superset.exceptions import SupersetSecurityException
from superset.security import SupersetSecurityManager
from superset.utils.log import DBEventLogger

from journeymart.sso import sign_on

gc.set_threshold(50_000, 20, 50)  # as journeymart's own processes: most objects are there to stay
yaml.SafeLoader = yaml.CSafeLoader  # type: ignore[misc,assignment] # the same in C; Superset imports YAML with it

# What is today, and the last days until it, in the zone of the warehouse, whatever that of the server is.
os.environ["TZ"] = "Asia/Seoul"
time.tzset()

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
    # Lets the browser load _SCRIPTS.
    "DYNAMIC_PLUGINS": True,
}
ROW_LIMIT = 10_000
SQL_MAX_ROW = 100_000
SUPERSET_WEBSERVER_TIMEOUT = 120  # seconds, as gunicorn's

# --- language -------------------------------------------------------------------------------------------
BABEL_DEFAULT_LOCALE = "ko"
LANGUAGES = {"ko": {"flag": "kr", "name": "한국어"}, "en": {"flag": "us", "name": "English"}}
APP_NAME = "journeymart"
# As many English texts may mean the same; more than these are a guess of the catalogue's tools.
_MEANINGS = 3
# What the browser loads as plugins: name of a file beside this one.
_SCRIPTS = ("clickable", "plain")
_START = {"ko": "/superset/dashboard/start/", "en": "/superset/dashboard/start-en/"}
# The begin of a tag in JSON, but for links to dashboards, as tables have them (mart.dashboard_link).
_TAG = re.compile(rb'<(?=[A-Za-z/!?])(?!a href=\\"/superset/dashboard/[a-z0-9-]+/(?:[?#][^"\\<>]*)?\\">|/a>)')
_NO_TAG = rb"<\\u200b"  # a character that takes no room


# The browser asks for no English texts; of a language that it does not know it does.
_ENGLISH = "en_GB"


def COMMON_BOOTSTRAP_OVERRIDES_FUNC(data: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - Superset's name
    """What the browser is told on every page: to fetch our English texts too."""
    return {"locale": _ENGLISH} if data["locale"] == "en" else {}


def _texts(language: str, shipped: str) -> dict[str, Any]:
    """Superset's texts with ours (ko.yml, en.yml) in place of those that are missing or wrong.

    Its catalogues have guesses for texts that nobody translated: one Korean text for many different English ones.
    English is better than a wrong word.
    """
    path = files("superset").joinpath("translations", shipped)
    catalogue: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    ours = yaml.safe_load(Path(__file__).with_name(f"{language}.yml").read_text(encoding="utf-8"))
    texts: dict[str, Any] = catalogue["locale_data"]["superset"]
    times = Counter(text[0] for text in texts.values() if isinstance(text, list) and text)
    guesses = [key for key, text in texts.items() if isinstance(text, list) and text and times[text[0]] > _MEANINGS]
    for key in guesses:
        texts[key] = [""]
    texts |= {text: [own] for text, own in ours.items()}
    return catalogue


class Remembered:
    """What has happened lately, and how often, in a file that all workers share."""

    def __init__(self, name: str, seconds: float) -> None:
        self._path, self._seconds = os.path.join(_HOME, f"{name}.sqlite"), seconds  # noqa: PTH118
        with closing(self._connect()) as connection:
            connection.execute("create table if not exists remembered (what text, happened_at real)")

    def times(self, what: str | None) -> int:
        """How often it has."""
        with closing(self._connect()) as connection:
            recent = "select count(*) from remembered where what = ? and happened_at > ?"
            count: int = connection.execute(recent, (what, time.time() - self._seconds)).fetchone()[0]
        return count

    def add(self, what: str | None) -> None:
        """Remember one, and forget those that are too long ago."""
        now = time.time()
        with closing(self._connect()) as connection, connection:
            connection.execute("delete from remembered where happened_at <= ?", (now - self._seconds,))
            connection.execute("insert into remembered values (?, ?)", (what, now))

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10)


# Failed logins of an address after which it waits until the first is so many seconds ago. Superset's own limit counts
# those that succeed too.
_MOST_FAILED, _WAIT_SECONDS = 5, 60
# A login ends after so long without a request, and after a working day in any case. Superset keeps it in a cookie that
# anybody can use who has a copy, for a month, logged out or not.
_IDLE_SECONDS = 60 * int(os.environ.get("JOURNEYMART_IDLE_MINUTES") or 30)
_LONGEST_SECONDS = 12 * 60 * 60
# A program's token is made anew for as long.
JWT_REFRESH_TOKEN_EXPIRES = timedelta(seconds=_LONGEST_SECONDS)
_SEEN_SECONDS = 60  # between two notes in the cookie that somebody is still there
# Where a password is tried: in the browser, against a directory, by programs.
_LOGINS = {"AuthDBView.login", "AuthLDAPView.login", "SecurityApi.login"}
# What is said on a page of its own, and what leads on. The login page would say that the password is wrong; of what
# somebody may not open Superset says, in English, that it is not there, or shows JSON.
_WAIT = {
    "ko": ("로그인에 여러 번 실패했습니다. 1분 뒤에 다시 시도하세요.", "/login/", "로그인"),
    "en": ("Too many failed logins. Try again in a minute.", "/login/", "Sign in"),
}
_CLOSED = {
    "ko": ("이 화면은 없거나 볼 권한이 없습니다. 봐야 한다면 권한을 요청하세요.", _START["ko"], "시작 화면"),
    "en": ("This page is not there, or not open to you. If you need it, ask for access.", _START["en"], "Start"),
}
_PAGE = """<!doctype html><html lang="{}"><meta charset="utf-8"><title>{}</title>
<body style="font-family: sans-serif; margin: 3rem"><h1>{}</h1><p><a href="{}">{}</a></p>"""


def _page(said: dict[str, tuple[str, str, str]], status: int) -> Any:
    from flask import Response  # noqa: PLC0415
    from flask_babel import get_locale  # noqa: PLC0415

    language = "en" if str(get_locale()) == "en" else "ko"
    message, leads, label = said[language]
    return Response(_PAGE.format(language, message, message, leads, label), status)


def _explain(response: Any) -> Any:
    from flask import request  # noqa: PLC0415

    # What single sign-on refuses has a page of its own, which is no JSON.
    is_closed = response.status == "404 NOT FOUND" or (response.status == "403 FORBIDDEN" and response.is_json)
    # A person has opened it: what pages and programs ask for does not have to be HTML.
    is_page = "text/html" in request.accept_mimetypes.values()
    return _page(_CLOSED, response.status_code) if is_closed and is_page else response


def _end_logins(app: Any) -> None:
    """Logins end in time, and a copy of their cookie with them."""
    from flask import request, session  # noqa: PLC0415
    from flask_login import current_user, logout_user, user_logged_in, user_logged_out  # noqa: PLC0415

    ended = Remembered("ended_logins", _LONGEST_SECONDS)

    def password_of(user: Any) -> str:
        # nobody finds the password by it: it is of a salted hash, and short
        return hashlib.sha256(str(getattr(user, "password", None)).encode()).hexdigest()[:16]

    def begin(_app: Any, user: Any) -> None:
        now = time.time()
        session["login"] = {"id": secrets.token_urlsafe(16), "begun": now, "seen": now, "password": password_of(user)}

    def end(_app: Any, **_user: Any) -> None:
        login = session.pop("login", None)
        if login and not ended.times(login["id"]):
            ended.add(login["id"])

    def expire() -> None:
        if "_user_id" not in session or str(request.endpoint).endswith("static"):
            return
        login, now = session.get("login"), time.time()
        if (
            not login  # of a version that did not note it
            or now - login["seen"] > _IDLE_SECONDS
            or now - login["begun"] > _LONGEST_SECONDS
            or ended.times(login["id"])
            or login.get("password") != password_of(current_user)  # another one ends who came with the old one
        ):
            logout_user()
        elif now - login["seen"] > _SEEN_SECONDS:
            session["login"] = {**login, "seen": now}

    user_logged_in.connect(begin, app, weak=False)
    user_logged_out.connect(end, app, weak=False)
    app.before_request(expire)


def FLASK_APP_MUTATOR(app: Any) -> None:  # noqa: N802 - Superset's name
    """Before every request: the start page instead of Superset's own, the completed texts, safe and limited logins."""
    # This file is read before Flask is set up.
    from flask import Response, jsonify, redirect, request, send_file, session  # noqa: PLC0415
    from flask_babel import get_locale  # noqa: PLC0415
    from flask_login import current_user  # noqa: PLC0415
    from superset.db_engine_specs.postgres import PostgresEngineSpec  # noqa: PLC0415
    from superset.jinja_context import WhereInMacro  # noqa: PLC0415

    # Superset connects anew to ask for this before every chart, once or twice, even for one whose numbers it has kept.
    ask = PostgresEngineSpec.get_default_schema.__func__
    known: dict[int, str | None] = {}

    def get_default_schema(cls: Any, database: Any, catalog: str | None) -> str | None:
        if database.id not in known:
            known[database.id] = ask(cls, database, catalog)
        return known[database.id]

    PostgresEngineSpec.get_default_schema = classmethod(get_default_schema)

    # SQLAlchemy doubles % in a text, for drivers that are given values besides; Superset halves it, in what templates
    # have made not often enough.
    list_of = WhereInMacro.__call__

    def where_in(*arguments: Any, **options: Any) -> str | None:
        made = list_of(*arguments, **options)
        return made and made.replace("%%", "%")

    WhereInMacro.__call__ = where_in

    texts = {
        "ko": _texts("ko", "ko/LC_MESSAGES/messages.json"),
        _ENGLISH: _texts("en", "empty_language_pack.json"),
    }

    failed = Remembered("failed_logins", _WAIT_SECONDS)

    def is_login() -> bool:
        return request.method == "POST" and request.endpoint in _LOGINS

    def refuse() -> Any:
        if not is_login() or failed.times(request.remote_addr) < _MOST_FAILED:
            return None
        return (jsonify(message=_WAIT["en"][0]), 429) if request.is_json else _page(_WAIT, 429)

    def respond() -> Any:
        if request.endpoint == "Superset.language_pack" and (request.view_args or {}).get("lang") in texts:
            return jsonify(texts[(request.view_args or {})["lang"]])
        if request.endpoint == "Superset.log" and "_user_id" not in session:
            # The login page reports that it was opened. The answer to that, with a session of its own, may come after
            # the login and undo it; to ask who the user is would already begin one.
            return Response(status=204)
        if request.endpoint == "DashboardRestApi.put_colors":
            # Whoever looks, the browser writes the colours it chose back into the dashboard; dashboards are files.
            return jsonify(result=[])
        if request.endpoint == "Superset.welcome":
            return redirect(_START.get(str(get_locale()), _START["ko"]))
        return None

    def count(response: Response) -> Response:
        # A form that failed leads back to the login page.
        if is_login() and response.status_code in {302, 401} and not current_user.is_authenticated:
            failed.add(request.remote_addr)
        return response

    def mark(response: Response) -> Response:
        # The encoding that Superset names for CSV has a mark, but Werkzeug no longer reads it. A Korean spreadsheet
        # takes UTF-8 without the mark for CP949.
        if response.mimetype == "text/csv" and not response.is_streamed:
            response.set_data(codecs.BOM_UTF8 + response.get_data().removeprefix(codecs.BOM_UTF8))
        return response

    def disarm(response: Response) -> Response:
        # Tables show as HTML, with a style that may cover the page, whatever looks like it: names of pages, and all
        # else that somebody outside has sent.
        if str(request.endpoint).startswith("ChartDataRestApi.") and response.is_json and not response.is_streamed:
            response.set_data(_TAG.sub(_NO_TAG, response.get_data()))
        return response

    _end_logins(app)
    app.before_request(refuse)
    app.before_request(respond)
    app.after_request(count)
    app.after_request(mark)
    app.after_request(disarm)
    app.after_request(_explain)
    # Where the browser asks for plugins: Superset has lost its own answer with the list views of Flask AppBuilder.
    plugins = [{"key": f"journeymart_{name}", "bundle_url": f"/journeymart/{name}.js"} for name in _SCRIPTS]
    app.add_url_rule("/dynamic-plugins/api/read", "plugins", lambda: jsonify(result=plugins))
    rule = f"/journeymart/<any({', '.join(_SCRIPTS)}):name>.js"
    app.add_url_rule(rule, "script", lambda name: send_file(Path(__file__).with_name(f"{name}.js")))


# Truncating a date gives the database a time with a zone, whose day is the one before in UTC, which charts count in.
TIME_GRAIN_ADDON_EXPRESSIONS = {
    "postgresql": {
        grain: f"date_trunc('{unit}', {{col}}::timestamp)"
        for grain, unit in {"P1D": "day", "P1W": "week", "P1M": "month", "P3M": "quarter", "P1Y": "year"}.items()
    }
}


# Without having asked a server SQLAlchemy doubles backslashes, and nothing is found by a text with one. They stand for
# themselves, as every connection is told below.
PGDialect._backslash_escapes = False


# --- rows -----------------------------------------------------------------------------------------------
def DB_CONNECTION_MUTATOR(  # noqa: N802 - Superset's name
    uri: Any, params: dict[str, Any], username: str, security_manager: Any, source: Any
) -> tuple[Any, dict[str, Any]]:
    """Tell the database whose rows may be read: of the departments of the person who asks, or `*` for all.

    A role of a department ends in @<department>. Who has none of our roles sees no department's rows.
    """
    names = [role.name for role in security_manager.get_user_roles()]
    departments = {name.partition("@")[2] for name in names if name.startswith("journeymart_") and "@" in name}
    if "Admin" in names or any(name.startswith("journeymart_") and "@" not in name for name in names):
        departments = {"*"}
    arguments = params.setdefault("connect_args", {})
    option = f"-c standard_conforming_strings=on -c journeymart.departments={','.join(sorted(departments))}"
    arguments["options"] = f"{arguments.get('options', '')} {option}".strip()
    return uri, params


# --- questions ------------------------------------------------------------------------------------------
class SecurityManager(SupersetSecurityManager):
    """Superset's, for which charts ask what their datasets offer: SQL of one's own is for administrators.

    It would run as the account of the dashboards, which believes Superset whose rows may be read and who is looking.
    """

    def __init__(self, *arguments: Any) -> None:
        """As Superset's; nobody has changed their own account: one that names itself cannot be deleted any more."""
        super().__init__(*arguments)
        event.listen(self.user_model.changed_by_fk, "set", _of_others, retval=True)

    def raise_for_access(self, *targets: Any, query: Any = None, query_context: Any = None, **others: Any) -> None:
        """As Superset's; SQL of one's own raises SupersetSecurityException, as does SQL Lab's of others."""
        super().raise_for_access(*targets, query=query, query_context=query_context, **others)
        if not self.is_admin() and (query or (query_context and _is_of_ones_own(query_context))):
            message = "Only administrators may ask with SQL or a cache time of their own."
            error = SupersetError(message, SupersetErrorType.DATASOURCE_SECURITY_ACCESS_ERROR, ErrorLevel.WARNING)
            raise SupersetSecurityException(error)

    def get_rls_cache_key(self, datasource: Any) -> list[str]:
        """As Superset's, with what templates read: of the request, whose filters need not be those of the query.

        Without it an answer to other filters could be kept for a query that has none, for everybody.
        """
        from superset.utils.core import convert_legacy_filters_into_adhoc, merge_extra_filters  # noqa: PLC0415
        from superset.views.utils import get_form_data  # noqa: PLC0415

        read, _chart = get_form_data()
        convert_legacy_filters_into_adhoc(read)
        merge_extra_filters(read)
        of_templates = json.dumps([read["adhoc_filters"], read.get("time_range")], sort_keys=True)
        return [*super().get_rls_cache_key(datasource), of_templates]


def _of_others(user: Any, changed_by: int | None, *_event: Any) -> int | None:
    return None if changed_by == user.id else changed_by


def _is_of_ones_own(query_context: Any) -> bool:
    # A look at a customer that is kept would be seen again without being written down.
    return query_context.custom_cache_timeout is not None or _brings_sql(query_context)


def _brings_sql(query_context: Any) -> bool:
    columns = {column.column_name for column in query_context.datasource.columns}

    def is_sql(value: Any) -> bool:
        if isinstance(value, dict):
            # Of an axis the browser says its column in this way, too.
            own = "sqlExpression" in value and value["sqlExpression"] not in {None, *columns}
            return own or is_sql(list(value.values()))
        return isinstance(value, list | tuple) and any(map(is_sql, value))

    return any(
        # Superset renders the name of a column as a template before it finds that there is none.
        any(isinstance(column, str) and column not in columns for column in query.columns)
        or query.extras.get("where")
        or query.extras.get("having")
        or is_sql([query.columns, query.metrics, query.filter, query.orderby])
        or is_sql([query.series_columns, query.series_limit_metric])
        for query in query_context.queries
    )


CUSTOM_SECURITY_MANAGER: Any = SecurityManager

# --- who comes in ---------------------------------------------------------------------------------------
AUTH_TYPE = AUTH_DB
_SHORTEST_PASSWORD = 10
FAB_PASSWORD_COMPLEXITY_ENABLED = True


def FAB_PASSWORD_COMPLEXITY_VALIDATOR(password: str) -> None:  # noqa: N802 - Superset's name
    """Passwords have ten characters at least; a shorter one raises PasswordComplexityValidationError."""
    if len(password) < _SHORTEST_PASSWORD:
        raise PasswordComplexityValidationError(f"A password has {_SHORTEST_PASSWORD} characters at least.")


if _SSO := sign_on("SUPERSET"):
    from journeymart.sso.web import security_manager

    AUTH_TYPE = AUTH_OAUTH
    OAUTH_PROVIDERS = [_SSO.provider()]
    CUSTOM_SECURITY_MANAGER = security_manager(_SSO, SecurityManager)


# --- Superset's own log -----------------------------------------------------------------------------------
class EventLogger(DBEventLogger):
    """Superset's, which says who did what when; without what they sent: that names customers, whom no erasure would
    find here, and of an import it is the passwords of databases."""

    def log(self, *event: Any, records: Any = (), referrer: str | None = None, **others: Any) -> None:
        """As Superset's, with the places of the records and the page only."""
        places = [{key: record[key] for key in _PLACES if key in record} for record in records]
        super().log(*event, records=places, referrer=referrer and referrer.partition("?")[0], **others)


_PLACES = ("path", "event_name", "dashboard_id", "slice_id")
EVENT_LOGGER = EventLogger()


def _without_text(record: logging.LogRecord) -> bool:
    # Both the text of a query that failed and what the database quotes of it name customers.
    if record.exc_info and record.exc_info[0] and str(record.msg).startswith("Query "):
        record.msg, record.args = "A query failed: %s", (record.exc_info[0].__name__,)
        record.exc_info = record.exc_text = None
    return True


logging.getLogger("superset.models.helpers").addFilter(_without_text)


# --- what people see of each other ------------------------------------------------------------------------
def _for_administrators(users: Any) -> Any:
    from superset import security_manager  # noqa: PLC0415 - read before Superset is set up

    return users if security_manager.is_admin() else users.filter(false())


# Lists of dashboards and charts offer all accounts as owners, with their e-mail addresses.
EXTRA_RELATED_QUERY_FILTERS = {"user": _for_administrators}

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

EXTRA_SEQUENTIAL_COLOR_SCHEMES = [
    {
        "id": "journeymart_share",
        "label": "journeymart",
        "description": "",
        "isDiverging": False,
        "isDefault": False,
        "colors": ["#F4F7FD", "#7FA8E6"],
    }
]


# --- caches: files for results, the metadata database (Superset's default) for filter states -------------
# One for both, its keys written down in the metadata database: what a publication makes Superset forget
# (superset/cache.py) is looked for by those keys, and in the first of the two only.
CACHE_CONFIG = DATA_CACHE_CONFIG = {
    "CACHE_TYPE": "FileSystemCache",
    "CACHE_DIR": os.path.join(_HOME, "cache", "results"),  # noqa: PTH118
    "CACHE_THRESHOLD": 10_000,
    "CACHE_DEFAULT_TIMEOUT": 3_600,
}
STORE_CACHE_KEYS_IN_METADATA_DB = True
RATELIMIT_STORAGE_URI = "memory://"  # Superset warns without one, though it limits nothing unless it is told to

# --- web security ---------------------------------------------------------------------------------------
WTF_CSRF_ENABLED = True
ENABLE_CORS = False  # Superset lets servers of maps read its answers
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
