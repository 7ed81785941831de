"""Access to dashboards, asked for and approved by somebody else. What to do when it fails: the .md beside."""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import Param, dag

from journeymart.airflow.access import AccessRequestOperator, roles

ROLES = roles()
TEXT = {"type": "string", "minLength": 1, "maxLength": 200}


@dag(
    dag_id="access_request",
    dag_display_name="권한 요청 / Access request",
    description="역할을 기한까지 요청 → 다른 사람이 승인 / a role until a date, approved by somebody else",
    doc_md=Path(__file__).with_suffix(".md").read_text(encoding="utf-8"),
    schedule=None,
    start_date=datetime(2026, 1, 1),  # without a zone: the installation's
    catchup=False,
    max_active_runs=200,  # each waits for its answer
    params={
        "user_name": Param(
            title="계정 / Account", description="Superset", pattern="^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$", **TEXT
        ),
        "full_name": Param(title="이름 / Name", **TEXT),
        "email": Param(title="이메일 / E-mail", pattern="^[^@ ]+@[^@ ]+$", **TEXT),
        "role": Param(title="역할 / Role", enum=list(ROLES), values_display=ROLES, **TEXT),
        "until_on": Param(title="마지막 날 / Last day", format="date", **TEXT),
        "reason": Param(title="이유 / Reason", description="고객번호 없이 / without customer numbers", **TEXT),
    },
    tags=["journeymart", "access"],
    default_args={"owner": "data-platform", "retries": 2, "retry_delay": timedelta(seconds=20)},
)
def access_request() -> None:
    """Ask for what the form says, and do what is answered."""
    AccessRequestOperator(task_id="request", execution_timeout=timedelta(minutes=10))


access_request()
