"""Canary customers: is what happened what the dashboards show? What to do when it fails: the .md beside."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import chain, dag

from journeymart.airflow.steps import StepOperator

SCHEDULE = os.environ.get("JOURNEYMART_CANARY_SCHEDULE", "none")  # an installation decides whether it has canaries


@dag(
    dag_id="canary",
    dag_display_name="카나리아 고객 / Canary customers",
    description="시험 고객의 여정을 보내고 화면에 보이는지 확인 / journeys of test customers, sent and looked for",
    doc_md=Path(__file__).with_suffix(".md").read_text(encoding="utf-8"),
    schedule=None if SCHEDULE == "none" else SCHEDULE,
    start_date=datetime(2026, 1, 1),  # without a zone: the schedule is read in the installation's
    catchup=False,
    max_active_runs=1,
    tags=["journeymart", "trust"],
    default_args={"owner": "data-platform", "retries": 2, "retry_delay": timedelta(seconds=20)},
)
def canary() -> None:
    """Send what is over, then look for what is due."""
    send = StepOperator(task_id="send", step="canary-send", execution_timeout=timedelta(minutes=10))
    # What is missing stays so until something else is published: no retry, the run turns red at once.
    check = StepOperator(task_id="check", step="canary-check", retries=0, execution_timeout=timedelta(minutes=10))
    chain(send, check)


canary()
