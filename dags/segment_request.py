"""A segment that somebody saves in the plugin's form. What to do when it fails: the .md beside."""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import dag

from journeymart.airflow.steps import StepOperator


@dag(
    dag_id="segment_request",
    dag_display_name="고객군 저장 / Save a segment",
    description="보고서의 칸 → 정의에 추가 → 계산·검증·게시 / a cell of a report, added to the definitions, published",
    doc_md=Path(__file__).with_suffix(".md").read_text(encoding="utf-8"),
    schedule=None,
    start_date=datetime(2026, 1, 1),  # without a zone: the installation's
    catchup=False,
    max_active_runs=1,  # two would write the same file
    tags=["journeymart", "segment"],
    default_args={"owner": "data-platform", "retries": 2, "retry_delay": timedelta(seconds=20)},
)
def segment_request() -> None:
    """Do what the configuration of the run asks for."""
    StepOperator(task_id="request", step="segment", asks=True, execution_timeout=timedelta(minutes=30))


segment_request()
