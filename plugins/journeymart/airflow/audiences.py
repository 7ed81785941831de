"""A form for audiences: `/journeymart/audiences/` in Airflow's web server.

What is asked for is checked as `journeymart audience request` checks it, and done by the DAG `audience_request`: only
the scheduler's tasks may write to the warehouse. Who may ask is the Airflow role Marketer (docker/airflow/prepare.py).
"""

import re
import secrets
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.configuration import conf
from airflow.exceptions import AirflowException
from airflow.models.dagrun import DagRun
from airflow.utils.types import DagRunTriggeredByType
from fastapi import Depends, FastAPI, Form, HTTPException, Query, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from itsdangerous import BadData, URLSafeTimedSerializer
from jinja2 import Environment, FileSystemLoader
from pydantic import BaseModel, Field

from journeymart.definitions import load_yaml
from journeymart.definitions.audiences import ATTRIBUTES
from journeymart.definitions.requests import content_of, with_audience
from journeymart.errors import JourneymartError

PERMISSION = "journeymart audiences"
DAG_ID = "audience_request"
TOKEN_SECONDS = 8 * 60 * 60
TEXT = r"^[^\x00-\x1f\x7f]*$"
COLUMNS = dict(zip(ATTRIBUTES, ("출생 연도", "성별", "지역", "고객 등급", "투자 성향", "가입일"), strict=True))
SCHEDULES = [
    ("day", "매일 / Each day"),
    ("week", "매주 / Each week"),
    ("month", "매월 / Each month"),
    ("run", "바뀔 때마다 / Whenever something changes"),
]
STATES = {
    "queued": ("대기 중", "waiting"),
    "running": ("계산·검증·게시하는 중", "being computed, checked and published"),
    "success": ("게시되었습니다", "published"),
    "failed": ("실패했습니다. 실행 기록을 확인하세요", "failed; see the log of the run"),
}


class Answers(BaseModel):
    """What the form sends; what it means is checked with the definitions."""

    token: str = Field(default="", max_length=500)
    id: str = Field(default="", max_length=63, pattern=TEXT)
    label_ko: str = Field(default="", max_length=100, pattern=TEXT)
    label_en: str = Field(default="", max_length=100, pattern=TEXT)
    segment: str = Field(default="", max_length=100, pattern=TEXT)
    purpose: str = Field(default="", max_length=60, pattern=TEXT)
    columns: list[str] = Field(default=[], max_length=len(ATTRIBUTES))
    schedule: str = Field(default="day", max_length=10, pattern=TEXT)
    owner: str = Field(default="", max_length=60, pattern=TEXT)
    max_contacts: str = Field(default="", max_length=30, pattern=TEXT)
    file: bool = False

    def content(self) -> dict[str, Any]:
        """The definition, as the command line makes it of its options."""
        return content_of({
            "id": self.id, "label": {"ko": self.label_ko, "en": self.label_en or self.label_ko}, "owner": self.owner,
            "purpose": self.purpose, "from": {"segment": self.segment}, "schedule": self.schedule,
            "columns": self.columns, "max_contacts": self.max_contacts, "file": self.file,
        })  # fmt: skip


class State(NamedTuple):
    """How far a request is."""

    name: str
    run_id: str
    state: dict[str, str]
    is_over: bool


app = FastAPI(title="journeymart audiences", docs_url=None, redoc_url=None, openapi_url=None)
pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)


def marketer(user: GetUserDep) -> BaseUser:
    """Who asks, if they may."""
    if not get_auth_manager().is_authorized_custom_view(method="POST", resource_name=PERMISSION, user=user):
        raise HTTPException(HTTPStatus.FORBIDDEN, "This user may not request audiences; give it the role Marketer.")
    return user


User = Annotated[BaseUser, Depends(marketer)]


@app.get("/")
def form(user: User, run: Annotated[str | None, Query(max_length=250, pattern=TEXT)] = None) -> Response:
    """The empty form; after a request how far it is."""
    return _page(user, Answers(), run=_state(run) if run else None)


@app.post("/")
def request(user: User, answers: Annotated[Answers, Form()]) -> Response:
    """Check the request and have it done; what is wrong is said above the form, which keeps what was written."""
    try:
        if _tokens().loads(answers.token, max_age=TOKEN_SECONDS) != user.get_id():
            raise BadData("of somebody else")
    except BadData:
        mistake = "양식이 오래되었습니다. 다시 요청하세요. / The form is too old or not yours; send it again."
        return _page(user, answers, [mistake], status=HTTPStatus.FORBIDDEN)
    content = answers.content()
    try:
        with_audience(content)
    except JourneymartError as error:
        mistakes = [re.sub(r"^\S+?\.yml:(\d+: (audiences\.\d+\.)?)?\s*", "", line) for line in str(error).splitlines()]
        return _page(user, answers, mistakes, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        run = trigger_dag(
            DAG_ID, triggered_by=DagRunTriggeredByType.UI, triggering_user_name=user.get_name(), conf=content
        )
    except AirflowException as error:
        return _page(user, answers, [str(error)], status=HTTPStatus.SERVICE_UNAVAILABLE)
    # a page that is loaded again asks how far it is, and requests nothing
    return RedirectResponse(f"./?{urlencode({'run': run.run_id})}", HTTPStatus.SEE_OTHER)


def _tokens() -> URLSafeTimedSerializer:
    """Signs who has been given a form, so that no other site can send one in their name."""
    return URLSafeTimedSerializer(conf.get_mandatory_value("api", "secret_key"), salt=PERMISSION)


def _state(run_id: str) -> State | None:
    found = DagRun.find(dag_id=DAG_ID, run_id=run_id)
    if not found:
        return None
    state = str(found[0].state)
    ko, en = STATES[state]
    name = (found[0].conf or {}).get("id", "")
    return State(str(name), run_id, {"ko": ko, "en": en}, is_over=state in {"success", "failed"})


def _page(
    user: BaseUser,
    answers: Answers,
    mistakes: list[str] | None = None,
    *,
    run: State | None = None,
    status: int = HTTPStatus.OK,
) -> Response:
    segments = load_yaml("segments").data["segments"]
    audiences = load_yaml("audiences").data.get("audiences") or []
    nonce = secrets.token_urlsafe(16)
    page = pages.get_template("audience_form.html").render(
        answers=answers,
        mistakes=mistakes,
        run=run,
        nonce=nonce,
        token=_tokens().dumps(user.get_id()),
        segments=[(item["id"], f"{item['label']['ko']} / {item['label']['en']} ({item['id']})") for item in segments],
        columns=[(name, f"{ko} / {name.replace('_', ' ')}") for name, ko in COLUMNS.items()],
        schedules=SCHEDULES,
        purposes=sorted({item["purpose"] for item in audiences}),
        owners=sorted({item["owner"] for item in [*audiences, *segments]}),
    )
    return HTMLResponse(page, status, headers={
        "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'self'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    })  # fmt: skip
