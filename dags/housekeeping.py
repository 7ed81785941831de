"""What is older than it is kept goes. What to do when it fails: the .md beside."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import dag

from journeymart.airflow.steps import StepOperator


@dag(
    dag_id="housekeeping",
    dag_display_name="보존 기간 관리 / Housekeeping",
    description="보존 기간이 지난 파일 정리 / files that are older than their source is kept",
    doc_md=Path(__file__).with_suffix(".md").read_text(encoding="utf-8"),
    # Once a day is enough: ages are counted in days. Not where customer_journey has no schedule either.
    schedule=None if os.environ.get("JOURNEYMART_SCHEDULE") == "none" else "30 4 * * *",
    start_date=datetime(2026, 1, 1),  # without a zone: the installation's
    catchup=False,
    max_active_runs=1,
    tags=["journeymart", "retention"],
    default_args={"owner": "data-platform", "retries": 2, "retry_delay": timedelta(seconds=20)},
)
def housekeeping() -> None:
    """Name the files that are due, and clear what runs have taken away since."""
    # It waits for files that are being loaded, and for a mart that is computed anew.
    StepOperator(task_id="expire", step="housekeeping", execution_timeout=timedelta(hours=3))


housekeeping()
