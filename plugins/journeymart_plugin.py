"""Airflow plugin: Data Docs of the last validations, what channels may show, forms of requests; behind its login.

Airflow mounts a plugin's FastAPI app without any authentication of its own (apache/airflow#72655), so the dependency
on the app is what keeps strangers out. Who may open the menu entry is who may read "Plugins" in Airflow's roles.
"""

from http import HTTPStatus
from typing import Any, ClassVar

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from journeymart.airflow import audiences, segments, triggers
from journeymart.settings import Settings

URL_PREFIX = "/journeymart/docs"
HEADERS = {
    # Great Expectations' pages script and style themselves inline, and Vega compiles its charts; nothing comes from,
    # or goes to, anywhere else.
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # The pages show data: no shared cache keeps them, and a browser asks again whether it may still see them.
    "Cache-Control": "private, no-cache",
}
NOTHING_YET = """<!doctype html><html lang="ko"><meta charset="utf-8"><title>데이터 검증 문서 / Data Docs</title>
<body style="font-family: sans-serif; margin: 3rem"><h1>아직 검증 결과가 없습니다</h1>
<p>고객 여정 DAG 가 처음으로 검증을 마치면 여기에 표시됩니다.</p>
<p lang="en">No validation has run yet. Results appear here after the first run of the customer journey DAG.</p>"""

# Starlette's own file server: refuses paths and symbolic links that lead out of the folder.
files = StaticFiles(directory=Settings.load().docs, html=True, check_dir=False)
app = FastAPI(
    title="journeymart Data Docs",
    dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
    # The generated API pages would be served without the dependency.
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
)


@app.api_route("/{path:path}", methods=["GET", "HEAD"])
async def data_docs(request: Request, path: str) -> Response:
    """One file of the Data Docs site; the front page says so when there is none yet."""
    try:
        response = await files.get_response(files.get_path(request.scope), request.scope)
    except HTTPException as error:
        if error.status_code != HTTPStatus.NOT_FOUND or path:
            raise
        response = HTMLResponse(NOTHING_YET)
    response.headers.update(HEADERS)
    return response


class NothingOfOthers:
    """Answers 404 for the pages that FastAPI makes of the interfaces of Airflow's login and of its tasks, and says with
    every answer that no other site may put it in a frame, over whose buttons it would lead a click.

    The pages load scripts from a CDN, and have no switch as that of Airflow's main interface has (enable_swagger_ui).
    """

    PAGES = tuple(f"/{app}/{page}" for app in ("auth", "execution") for page in ("docs", "redoc"))
    HEADERS: ClassVar[dict[str, str]] = {
        "Content-Security-Policy": "frame-ancestors 'self'; base-uri 'self'; object-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        is_page = scope["type"] == "http" and scope["path"].endswith(self.PAGES)
        await (Response(status_code=HTTPStatus.NOT_FOUND) if is_page else self._app)(scope, receive, say)


class JourneymartPlugin(AirflowPlugin):
    """What journeymart adds to Airflow."""

    name = "journeymart"
    fastapi_apps: ClassVar[list[Any]] = [
        {"app": app, "url_prefix": URL_PREFIX, "name": "journeymart Data Docs"},
        {"app": triggers.app, "url_prefix": "/journeymart/triggers", "name": "journeymart triggers"},
        {"app": audiences.app, "url_prefix": "/journeymart/audiences", "name": "journeymart audiences"},
        {"app": segments.app, "url_prefix": "/journeymart/segments", "name": "journeymart segments"},
    ]
    fastapi_root_middlewares: ClassVar[list[Any]] = [{"middleware": NothingOfOthers, "name": "nothing of other hosts"}]
    external_views: ClassVar[list[dict[str, Any]]] = [
        {
            "name": "데이터 검증 문서 / Data Docs",
            "href": f"{URL_PREFIX}/",
            "destination": "nav",
            "url_route": "journeymart-docs",
            "category": "browse",
        },
        {
            "name": "대상군 요청 / Request an audience",
            "href": "/journeymart/audiences/",
            "destination": "nav",
            "url_route": "journeymart-audiences",
            "category": "browse",
        },
        {
            "name": "고객군 저장 / Save a segment",
            "href": "/journeymart/segments/",
            "destination": "nav",
            "url_route": "journeymart-segments",
            "category": "browse",
        },
    ]
