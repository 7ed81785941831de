"""What the forms of the plugin share: who may ask, that no other site asks for them, and how far a request is.

What is asked for is done by a DAG, because only the scheduler's tasks may write to the warehouse.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
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
from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from fastapi import HTTPException, Query, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from itsdangerous import BadData, URLSafeTimedSerializer
from jinja2 import Environment, FileSystemLoader
from pydantic import BaseModel, Field

from journeymart.airflow.steps import REFUSED
from journeymart.errors import JourneymartError

TOKEN_SECONDS = 8 * 60 * 60
TEXT = r"^[^\x00-\x1f\x7f]*$"
RunId = Annotated[str | None, Query(max_length=250, pattern=TEXT)]
STATES = {
    "queued": ("대기 중", "waiting"),
    "running": ("계산·검증·게시하는 중", "being computed, checked and published"),
    "success": ("게시되었습니다", "published"),
    "failed": ("실패했습니다. 실행 기록을 확인하세요", "failed; see the log of the run"),
}
# what is wrong with other definitions than the one that is asked for
OF_OTHERS = "지금 있는 정의에 잘못이 있습니다. 데이터 팀에 알려 주세요"


class Answers(BaseModel):
    """What every form sends; what it means is checked with the definitions."""

    token: str = Field(default="", max_length=500)


class State(NamedTuple):
    """How far a request is, and what came of it."""

    name: str
    run_id: str
    state: dict[str, str]
    is_over: bool
    members: int | None
    refused: str | None


@dataclass(frozen=True)
class RequestForm:
    """A form of a DAG.

    :param dag_id: the DAG that does what is asked for.
    :param permission: what somebody must be allowed to create who asks (docker/airflow/prepare.py).
    :param role: the Airflow role that is.
    :param template: the page, which is given what is shown and `values`.
    :param korean: what mistakes mean in Korean, by what their English begins with or has in it.
    """

    dag_id: str
    permission: str
    role: str
    template: str
    values: Callable[[], dict[str, Any]]
    korean: tuple[tuple[str, str], ...] = ()

    def asker(self, user: GetUserDep) -> BaseUser:
        """Who asks, if they may."""
        if not get_auth_manager().is_authorized_custom_view(method="POST", resource_name=self.permission, user=user):
            raise HTTPException(HTTPStatus.FORBIDDEN, f"This user may not ask for this; give it the role {self.role}.")
        return user

    def ask(self, user: BaseUser, answers: Answers, content: dict[str, Any], check: Callable[[], Any]) -> Response:
        """Check the request and have it done; what is wrong is said above the form, which keeps what was written."""
        try:
            if _tokens(self.permission).loads(answers.token, max_age=TOKEN_SECONDS) != user.get_id():
                raise BadData("of somebody else")
        except BadData:
            mistake = "양식이 오래되었습니다. 다시 요청하세요. / The form is too old or not yours; send it again."
            return self.page(user, answers, [mistake], status=HTTPStatus.FORBIDDEN)
        try:
            check()
        except JourneymartError as error:
            mistakes = [self._said(line) for line in str(error).splitlines()]
            return self.page(user, answers, mistakes, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        try:
            run = trigger_dag(
                self.dag_id, triggered_by=DagRunTriggeredByType.UI, triggering_user_name=user.get_name(), conf=content
            )
        except AirflowException as error:
            return self.page(user, answers, [str(error)], status=HTTPStatus.SERVICE_UNAVAILABLE)
        # a page that is loaded again asks how far it is, and requests nothing
        return RedirectResponse(f"./?{urlencode({'run': run.run_id})}", HTTPStatus.SEE_OTHER)

    def page(
        self,
        user: BaseUser,
        answers: Answers,
        mistakes: list[str] | None = None,
        *,
        run_id: str | None = None,
        status: int = HTTPStatus.OK,
    ) -> Response:
        """The form; after a request how far it is."""
        try:
            values = self.values()
        except JourneymartError as error:  # somebody has left a file that is not YAML
            why = f"{OF_OTHERS} / {_without_folder(str(error))}"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, why) from error
        nonce = secrets.token_urlsafe(16)
        page = pages.get_template(self.template).render(
            answers=answers,
            mistakes=mistakes,
            run=self._state(run_id) if run_id else None,
            dag_id=self.dag_id,
            nonce=nonce,
            token=_tokens(self.permission).dumps(user.get_id()),
            **values,
        )
        return HTMLResponse(page, status, headers={
            "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'self'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cache-Control": "no-store",
        })  # fmt: skip

    def _said(self, mistake: str) -> str:
        """A mistake without where it stands in the file that nobody has seen yet, in Korean first if it is a known one
        or one of the definitions that are there already."""
        kind = f"{self.dag_id.removesuffix('_request')}s"
        text = _without_folder(mistake)
        text = re.sub(rf"^{kind}\.yml:(\d+: ({kind}\.\d+\.)?)?\s*", "", text)
        of_others = OF_OTHERS if re.match(r"\w+\.yml:\d", text) else None
        korean = of_others or next((korean for part, korean in self.korean if part in text), None)
        return f"{korean} / {text}" if korean else text

    def _state(self, run_id: str) -> State | None:
        found = DagRun.find(dag_id=self.dag_id, run_id=run_id)
        if not found:
            return None
        state = str(found[0].state)
        ko, en = STATES[state]
        name = str((found[0].conf or {}).get("id", ""))
        is_over = state in {"success", "failed"}
        told = results(self.dag_id, run_id) if is_over else {}
        refused = told.get(REFUSED)
        members = (told.get(XCOM_RETURN_KEY) or {}).get("members")
        return State(name, run_id, {"ko": ko, "en": en}, is_over, members, refused and self._said(str(refused)))


pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)


def shown(item: dict[str, Any]) -> str:
    """A definition as people choose it."""
    return f"{item['label']['ko']} / {item['label']['en']} ({item['id']})"


def results(dag_id: str, run_id: str) -> dict[str, Any]:
    """What the task of a request has returned, or why it refused."""
    with create_session() as session:
        query = XComModel.get_many(run_id=run_id, dag_ids=dag_id)
        return {item.key: XComModel.deserialize_value(item) for item in session.scalars(query)}


def _without_folder(mistake: str) -> str:
    return re.sub(r"^(journeymart: )?(\S*/(?=\w+\.yml:))?", "", mistake)


def _tokens(permission: str) -> URLSafeTimedSerializer:
    """Signs who has been given a form, so that no other site can send one in their name."""
    return URLSafeTimedSerializer(conf.get_mandatory_value("api", "secret_key"), salt=permission)
