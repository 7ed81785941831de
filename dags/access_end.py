"""Access ends: when its last day is over, or at once by this form. What to do when it fails: the .md beside."""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import Param, dag

from journeymart.airflow.access import roles
from journeymart.airflow.steps import StepOperator

ROLES = roles()


@dag(
    dag_id="access_end",
    dag_display_name="권한 종료 / Access ends",
    description="기한이 지난 권한을 거두고, 양식으로는 바로 거둠 / what is past its last day, and by the form at once",
    doc_md=Path(__file__).with_suffix(".md").read_text(encoding="utf-8"),
    schedule="5 * * * *",  # each hour: what midnight did not reach is made good
    start_date=datetime(2026, 1, 1),  # without a zone: the schedule is read in the installation's
    catchup=False,
    max_active_runs=1,
    params={
        "user_name": Param(None, title="계정 / Account", type=["null", "string"], maxLength=64),
        "role": Param(
            None, title="역할 / Role", description="비우면 모든 역할 / all roles, if it is empty",
            type=["null", "string"], enum=[None, *ROLES], values_display=ROLES,
        ),
    },
    tags=["journeymart", "access"],
    default_args={"owner": "data-platform", "retries": 2, "retry_delay": timedelta(seconds=20)},
)  # fmt: skip
def access_end() -> None:
    """End what is over, and what the form asks for."""
    StepOperator(task_id="end", step="access-end", asks=True, execution_timeout=timedelta(minutes=10))


access_end()
