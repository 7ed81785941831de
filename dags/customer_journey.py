"""From landed files to a checked, published mart. What each task does and what to do when it fails: the .md beside."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import Param, chain, dag

from journeymart.airflow.steps import StepOperator

SCHEDULE = os.environ.get("JOURNEYMART_SCHEDULE", "*/5 * * * *")


@dag(
    dag_id="customer_journey",
    dag_display_name="고객 여정 / Customer journey",
    description="파일 수신 → 적재 → 계산 → 검증 → 게시 → 전달 / landed files to published marts",
    doc_md=Path(__file__).with_suffix(".md").read_text(encoding="utf-8"),
    schedule=None if SCHEDULE == "none" else SCHEDULE,
    start_date=datetime(2026, 1, 1),  # without a zone: the schedule is read in the installation's
    catchup=False,
    # A run takes everything that has landed: two at a time would compute the same visitors.
    max_active_runs=1,
    params={"full": Param(False, type="boolean", title="처음부터 다시 계산 / Compute everything anew from raw")},
    tags=["journeymart", "core"],
    default_args={"owner": "data-platform", "retries": 2, "retry_delay": timedelta(seconds=20)},
)
def customer_journey() -> None:
    """Chain the eight steps of a run."""
    pull = StepOperator(task_id="pull", step="pull", execution_timeout=timedelta(hours=1))
    # At most 4 batches however many files there are. No batch: nothing is new, and the rest is skipped.
    # An empty batch: nothing to load, but files of an earlier run, definitions or a new version to publish, so go on.
    discover = StepOperator(
        task_id="discover",
        step="discover",
        returns="batches",
        trigger_rule="all_done",  # a database that is out of reach does not keep files from landing
        execution_timeout=timedelta(minutes=10),
    )
    land = StepOperator.partial(
        task_id="land",
        step="land",
        map_index_template="{{ task.files | length }} files {{ task.files | first | default('') }}",
        returns="failed",  # the result of every other file is in the ledger, raw.file
        execution_timeout=timedelta(hours=1),
    ).expand(files=discover.output)
    # Files that are not taken hold up no others: what has landed is published, and the run is red for it all the same.
    rejected = StepOperator(
        task_id="rejected", step="rejected", files=land.output, retries=0, execution_timeout=timedelta(minutes=10)
    )
    build = StepOperator(task_id="build", step="build", execution_timeout=timedelta(hours=2))
    # The same data fails the same check again: no retry, the run turns red at once.
    validate = StepOperator(task_id="validate", step="validate", retries=0, execution_timeout=timedelta(minutes=30))
    publish = StepOperator(task_id="publish", step="publish", execution_timeout=timedelta(minutes=30))
    deliver = StepOperator(task_id="deliver", step="deliver", execution_timeout=timedelta(minutes=15))
    chain(pull, discover, land, build, validate, publish, deliver)
    chain([pull, land], rejected)


customer_journey()
