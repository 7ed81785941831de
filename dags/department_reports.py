"""What departments are given without asking. What to do when it fails: the .md beside."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import dag

from journeymart.airflow.steps import StepOperator


@dag(
    dag_id="department_reports",
    dag_display_name="부서 보고서 / Department reports",
    description="기한이 된 보고서를 만들고 보냄 / reports that are due, made and mailed",
    doc_md=Path(__file__).with_suffix(".md").read_text(encoding="utf-8"),
    # Each working hour: data that come late are waited for. Not where customer_journey has no schedule either.
    schedule=None if os.environ.get("JOURNEYMART_SCHEDULE") == "none" else "0 7-19 * * *",
    start_date=datetime(2026, 1, 1),  # without a zone: the schedule is read in the installation's
    catchup=False,
    max_active_runs=1,
    tags=["journeymart", "report"],
    default_args={"owner": "data-platform", "retries": 2, "retry_delay": timedelta(seconds=20)},
)
def department_reports() -> None:
    """Make what is due and not yet there."""
    StepOperator(task_id="report", step="report", execution_timeout=timedelta(minutes=30))


department_reports()
