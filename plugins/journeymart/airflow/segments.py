"""A form for segments: `/journeymart/segments/` in Airflow's web server, for whoever sees a number in a report.

The cell is written as the command line writes it (`journeymart analyze … --save`), by the DAG `segment_request`. Who
may ask is the Airflow role Analyst or Marketer (docker/airflow/prepare.py).
"""

from typing import Annotated, Any, Literal

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from fastapi import Depends, FastAPI, Form, Query, Response
from pydantic import Field

from journeymart.airflow import forms
from journeymart.airflow.forms import TEXT, RequestForm, RunId
from journeymart.definitions import load_yaml
from journeymart.definitions.cells import Asked
from journeymart.definitions.requests import content_of, read, with_definition
from journeymart.definitions.sources import field_labels, load_sources

Report = Literal["funnel", "retention", "lifecycle", "path", "rule"]
REPORTS = {
    "funnel": ("퍼널", "Funnel"),
    "path": ("경로", "Path"),
    "rule": ("탐지", "Detection"),
    "retention": ("재방문", "Retention"),
    "lifecycle": ("생애 주기", "Life cycle"),
}
OUTCOMES = [
    ("dropped", "이탈 / Dropped"),
    ("still_open", "진행 중 / Still open"),
    ("entered", "이 단계에 도달 / Reached this step"),
    ("converted", "다음 단계로 진행 / Went on to the next"),
]
RETURNED = [
    ("returned", "그때 돌아온 사람 / Who returned then"),
    ("away", "그때 돌아오지 않은 사람 / Who did not return then"),
    ("started", "시작한 사람 모두 / All who started"),
]
STATUSES = [
    ("new", "신규 / New"),
    ("returning", "계속 / Returning"),
    ("resurrecting", "복귀 / Resurrecting"),
    ("dormant", "휴면 / Dormant"),
]
PERIODS = {"day": "일 / day", "week": "주 / week", "month": "월 / month"}
KOREAN = (
    ("String should match pattern '^SG-", "식별자는 SG-로 시작하고 영문 대문자, 숫자, -만 씁니다"),
    ("is there already", "이미 있는 식별자입니다. 다른 식별자를 쓰세요"),
    ("there is no funnel", "그런 퍼널이 없습니다"),
    ("there is no rule", "그런 규칙이 없습니다"),
    ("there is no cohort", "그런 코호트가 없습니다"),
    ("there is no segment", "그런 세그먼트가 없습니다"),
    (" steps", "퍼널에 그 단계가 없습니다"),
    ("name an earlier step", "마지막 단계에는 이탈과 진행 중이 없습니다. 앞 단계나 도달을 고르세요"),
    ("has no breakdown", "이 퍼널은 나누어 보지 않습니다. 구분 값을 비우세요"),
    ("a duration", "날수가 아니거나 너무 깁니다"),
    ("longer than nothing", "1일 이상이어야 합니다"),
    ("begins on", "기간의 첫날이 아닙니다. 주는 월요일, 월은 1일입니다"),
    ("the report has no", "보고서에 그런 칸이 없거나 아직 오지 않았습니다"),
    ("cannot be reached: from", "시작일이 종료일보다 늦습니다"),
    ("valid date", "날짜가 아닙니다"),
    ("valid integer", "숫자가 아닙니다"),
    ("out of range", "달력에 없는 날짜입니다"),
    ("than or equal to", "숫자가 범위를 벗어났습니다"),
    ("does not follow", "화면의 숫자와 지금의 정의가 다릅니다. 데이터 팀에 정의 적용을 요청하세요"),
    ("page or transaction is called", "그런 화면이나 거래가 없습니다. 화면에 보이는 이름이나 코드를 쓰세요"),
    ("several pages", "같은 이름의 화면이 여럿입니다. 코드로 쓰세요"),
    ("only with directly", "몇 번째 단계인지는 화면 하나이거나 바로 이어질 때만 정할 수 있습니다"),
    ("nothing comes after the end", "이탈한 뒤에는 갈 곳이 없습니다. 둘 중 하나만 고르세요"),
    ("say what people read", "이름을 쓰세요"),
    ("at least 1", "비어 있습니다"),
    ("cannot be written to", "쓸 수 없는 글자가 있습니다"),
)


class Answers(forms.Answers):
    """What the form sends: the fields of its report, and those that all have; checked with the definitions."""

    report: Report = "funnel"
    step: str = Field(default="", max_length=100, pattern=TEXT)
    outcome: str = Field(default="dropped", max_length=20, pattern=TEXT)
    breakdown: str = Field(default="", max_length=200, pattern=TEXT)
    cohort: str = Field(default="", max_length=100, pattern=TEXT)
    start: str = Field(default="", max_length=10, pattern=TEXT)
    returned: Literal["returned", "away", "started"] = "returned"
    age: str = Field(default="1", max_length=3, pattern=TEXT)
    status: str = Field(default="dormant", max_length=20, pattern=TEXT)
    through: str = Field(default="", max_length=10_000, pattern=r"^[^\x00-\x09\x0b\x0c\x0e-\x1f\x7f]*$")  # a line each
    directly: bool = False
    at_step: str = Field(default="", max_length=3, pattern=TEXT)
    ends: bool = False
    not_then: str = Field(default="", max_length=300, pattern=TEXT)
    rule: str = Field(default="", max_length=100, pattern=TEXT)
    days: str = Field(default="", max_length=5, pattern=TEXT)
    from_date: str = Field(default="", max_length=10, pattern=TEXT)
    to_date: str = Field(default="", max_length=10, pattern=TEXT)
    channel: str = Field(default="", max_length=100, pattern=TEXT)
    domain: str = Field(default="", max_length=200, pattern=TEXT)
    device_type: str = Field(default="", max_length=100, pattern=TEXT)
    segment: str = Field(default="", max_length=100, pattern=TEXT)
    id: str = Field(default="", max_length=63, pattern=TEXT)
    label_ko: str = Field(default="", max_length=100, pattern=TEXT)
    label_en: str = Field(default="", max_length=100, pattern=TEXT)
    owner: str = Field(default="", max_length=60, pattern=TEXT)
    purpose: str = Field(default="", max_length=200, pattern=TEXT)

    def content(self) -> dict[str, Any]:
        """What is asked of the DAG, as the command line makes it of its options (definitions.cells.Asked)."""
        said = {"channel": self.channel, "domain": self.domain.lower(), "device_type": self.device_type}
        if self.report in {"funnel", "path"}:
            said |= {"from": self.from_date, "to": self.to_date}
        cell = {self.report: self._own() | content_of(said), **content_of({"segment": self.segment})}
        return {
            "id": self.id, "label": {"ko": self.label_ko, "en": self.label_en or self.label_ko}, "owner": self.owner,
            "purpose": self.purpose, "cell": cell,
        }  # fmt: skip

    def _own(self) -> dict[str, Any]:
        """What only cells of this report say."""
        if self.report == "funnel":
            funnel, _, step = self.step.partition("/")
            return {"id": funnel, "step": step, "outcome": self.outcome, **content_of({"breakdown": self.breakdown})}
        if self.report == "path":
            nodes = [line.strip() for line in self.through.splitlines() if line.strip()]
            return {"through": nodes, **content_of({
                "directly": self.directly, "at_step": self.at_step, "ends": self.ends, "not_then": self.not_then.strip()
            })}  # fmt: skip
        if self.report == "rule":
            return {"id": self.rule, **content_of({"within": self.days and f"{self.days}d"})}
        of = {"id": self.cohort, "start": self.start}
        if self.report == "lifecycle":
            return of | {"status": self.status}
        return of if self.returned == "started" else of | {"age": self.age, "returned": self.returned == "returned"}


def offered() -> dict[str, Any]:
    """What the form lets people choose from."""
    definitions = {kind: load_yaml(kind).data.get(kind) or [] for kind in ("segments", "funnels", "cohorts", "rules")}
    values = field_labels(load_sources().sources)
    return {
        "reports": REPORTS, "outcomes": OUTCOMES, "returns": RETURNED, "statuses": STATUSES,
        "steps": [
            (
                f"{item['id']}/{number}",
                f"{item['label']['ko']} · {number}. {step['name']} /"
                f" {item['label']['en']} · {number}. {step.get('name_en', step['name'])}",
            )
            for item in definitions["funnels"]
            for number, step in enumerate(item["steps"], start=1)
        ],
        "cohorts": [
            (item["id"], f"{forms.shown(item)} · {PERIODS[item['period']]}") for item in definitions["cohorts"]
        ],
        "rules": [(item["id"], forms.shown(item)) for item in definitions["rules"]],
        "segments": [("", "–"), *((item["id"], forms.shown(item)) for item in definitions["segments"])],
        "owners": sorted({item["owner"] for items in definitions.values() for item in items}),
        "values": {
            name: [(value, f"{label.ko} / {label.en}") for value, label in values.get(f"values.{name}", {}).items()]
            for name in ("channel", "device_type")
        },
    }  # fmt: skip


app = FastAPI(title="journeymart segments", docs_url=None, redoc_url=None, openapi_url=None)
asking = RequestForm(
    "segment_request", "journeymart segments", "Analyst or Marketer", "segment_form.html", offered, KOREAN
)
User = Annotated[BaseUser, Depends(asking.asker)]


@app.get("/")
def form(user: User, run: RunId = None, report: Annotated[Report, Query()] = "funnel") -> Response:
    """The form for a cell of a report; after a request how far it is."""
    return asking.page(user, Answers(report=report), run_id=run)


@app.post("/")
def request(user: User, answers: Annotated[Answers, Form()]) -> Response:
    """Check the request, as far as that can be done without the warehouse, and have it done."""
    content = answers.content()
    return asking.ask(
        user, answers, content, lambda: with_definition("segments", read(Asked, content).segment().written())
    )
