"""A form for audiences: `/journeymart/audiences/` in Airflow's web server.

What is asked for is checked as `journeymart audience request` checks it, and done by the DAG `audience_request`. Who
may ask is the Airflow role Marketer (docker/airflow/prepare.py).
"""

from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from fastapi import Depends, FastAPI, Form, Response
from pydantic import Field

from journeymart.airflow import forms
from journeymart.airflow.forms import TEXT, RequestForm, RunId
from journeymart.definitions import load_yaml
from journeymart.definitions.audiences import ATTRIBUTES
from journeymart.definitions.requests import content_of, with_definition

COLUMNS = dict(zip(ATTRIBUTES, ("출생 연도", "성별", "지역", "고객 등급", "투자 성향", "가입일"), strict=True))
SCHEDULES = [
    ("day", "매일 / Each day"),
    ("week", "매주 / Each week"),
    ("month", "매월 / Each month"),
    ("run", "바뀔 때마다 / Whenever something changes"),
]


class Answers(forms.Answers):
    """What the form sends; what it means is checked with the definitions."""

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


def offered() -> dict[str, Any]:
    """What the form lets people choose from."""
    segments = load_yaml("segments").data["segments"]
    audiences = load_yaml("audiences").data.get("audiences") or []
    return {
        "segments": [(item["id"], forms.shown(item)) for item in segments],
        "columns": [(name, f"{ko} / {name.replace('_', ' ')}") for name, ko in COLUMNS.items()],
        "schedules": SCHEDULES,
        "purposes": sorted({item["purpose"] for item in audiences}),
        "owners": sorted({item["owner"] for item in [*audiences, *segments]}),
    }


app = FastAPI(title="journeymart audiences", docs_url=None, redoc_url=None, openapi_url=None)
asking = RequestForm("audience_request", "journeymart audiences", "Marketer", "audience_form.html", offered)
User = Annotated[BaseUser, Depends(asking.asker)]


@app.get("/")
def form(user: User, run: RunId = None) -> Response:
    """The empty form; after a request how far it is."""
    return asking.page(user, Answers(), run_id=run)


@app.post("/")
def request(user: User, answers: Annotated[Answers, Form()]) -> Response:
    """Check the request and have it done."""
    content = answers.content()
    return asking.ask(user, answers, content, lambda: with_definition("audiences", content))
