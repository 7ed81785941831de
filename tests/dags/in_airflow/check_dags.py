"""Every DAG imports quickly, says what it is, and keeps to the policy; run by Airflow's Python."""

import ast
import datetime
import os
import sys
import unittest
from pathlib import Path
from unittest import mock

from airflow.dag_processing.dagbag import DagBag

REPO = Path(__file__).resolve().parents[3]
FOLDER = REPO / "dags"
LONGEST_PARSE = 1.0  # seconds; each DAG file is read again and again
LONGEST_FILE = 60  # lines
IMPORTABLE = {"airflow.sdk", "journeymart.airflow"}


def imported(path: Path) -> set[str]:
    """Names of the modules a file imports, standard library excluded."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return {name for name in found if name.split(".")[0] not in sys.stdlib_module_names}


class EveryDag(unittest.TestCase):
    """Policy for all DAGs."""

    @classmethod
    def setUpClass(cls):
        """Read the folder as Airflow's DAG processor does."""
        os.environ.pop("JOURNEYMART_SCHEDULE", None)
        cls.bag = DagBag(FOLDER)

    def test_imports(self):
        self.assertEqual(self.bag.import_errors, {})
        self.assertEqual({path.stem for path in FOLDER.glob("*.py")}, set(self.bag.dags))

    def test_parses_quickly(self):
        slow = {
            stat.file: stat.duration for stat in self.bag.dagbag_stats if stat.duration.total_seconds() > LONGEST_PARSE
        }
        self.assertEqual(slow, {})

    def test_files_are_thin(self):
        for path in FOLDER.glob("*.py"):
            with self.subTest(path.name):
                self.assertLessEqual(len(path.read_text(encoding="utf-8").splitlines()), LONGEST_FILE)
                foreign = {name for name in imported(path) if not any(name.startswith(root) for root in IMPORTABLE)}
                self.assertEqual(foreign, set())

    def test_helpers_need_airflow_only(self):
        """What DAG files import is imported again and again by Airflow's DAG processor."""
        helpers = REPO / "plugins/journeymart/airflow/steps.py"
        self.assertEqual({name for name in imported(helpers) if not name.startswith("airflow.")}, set())

    def test_is_described(self):
        for dag in self.bag.dags.values():
            with self.subTest(dag.dag_id):
                self.assertIn("journeymart", dag.tags)
                self.assertTrue(dag.description)
                runbook = dag.doc_md or ""
                self.assertIn("한국어", runbook)
                for heading in ("## What a run does", "## When it is red"):
                    self.assertIn(heading, runbook)
                for task in dag.tasks:
                    self.assertIn(f"`{task.task_id}`", runbook)

    def test_runs_one_at_a_time_and_never_for_the_past(self):
        for dag in self.bag.dags.values():
            with self.subTest(dag.dag_id):
                # requests wait for their answers beside each other
                self.assertEqual(dag.max_active_runs, 200 if dag.dag_id == "access_request" else 1)
                self.assertFalse(dag.catchup)

    def test_tasks_end_are_owned_and_retried(self):
        for dag in self.bag.dags.values():
            for task in dag.tasks:
                with self.subTest(f"{dag.dag_id}.{task.task_id}"):
                    self.assertEqual(task.owner, "data-platform")
                    self.assertIsNotNone(task.execution_timeout)
                    self.assertEqual(task.retries, 0 if task.task_id in {"rejected", "validate", "check"} else 2)
                    self.assertLessEqual(task.retry_delay, datetime.timedelta(minutes=1))


class CustomerJourney(unittest.TestCase):
    """The DAG that the installation lives on."""

    def load(self, schedule=None):
        """The DAG as read with JOURNEYMART_SCHEDULE set to `schedule`, or not set."""
        os.environ.pop("JOURNEYMART_SCHEDULE", None)
        if schedule is not None:
            os.environ["JOURNEYMART_SCHEDULE"] = schedule
        return DagBag(FOLDER / "customer_journey.py").dags["customer_journey"]

    def test_tasks_and_their_order(self):
        dag = self.load()
        self.assertEqual(
            {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
            {
                "pull": ["discover", "rejected"],
                "discover": ["land"],
                "land": ["build", "rejected"],
                "rejected": [],
                "build": ["validate"],
                "validate": ["publish"],
                "publish": ["deliver"],
                "deliver": [],
            },
        )
        self.assertTrue(dag.get_task("land").is_mapped)
        # With any other rule, a run that found nothing would compute and publish all the same.
        rules = {task.task_id: task.trigger_rule.value for task in dag.tasks}
        # A database that is out of reach does not keep files from landing.
        self.assertEqual(rules.pop("discover"), "all_done")
        self.assertEqual(set(rules.values()), {"all_success"})

    def test_schedule(self):
        self.assertEqual(self.load().timetable.expression, "*/5 * * * *")
        self.assertEqual(self.load("0 5 * * *").timetable.expression, "0 5 * * *")
        self.assertFalse(self.load("none").timetable.can_be_scheduled)

    def test_definition_is_the_same_at_every_parse(self):
        # Otherwise Airflow stores a new version of the DAG each time (apache/airflow#63334).
        from airflow.serialization.serialized_objects import DagSerialization

        self.assertEqual(DagSerialization.to_dict(self.load()), DagSerialization.to_dict(self.load()))


class OneStep(unittest.TestCase):
    """The DAGs that do one step, at times of their own."""

    def load(self, name, schedule):
        """The DAG as read with JOURNEYMART_SCHEDULE set to `schedule`."""
        os.environ["JOURNEYMART_SCHEDULE"] = schedule
        return DagBag(FOLDER / f"{name}.py").dags[name]

    def test_the_step_and_its_times(self):
        for name, step, expression in (
            ("department_reports", "report", "0 7-19 * * *"),  # in working hours
            ("housekeeping", "housekeeping", "30 4 * * *"),
        ):
            with self.subTest(name):
                dag = self.load(name, "*/5 * * * *")
                self.assertEqual([task.step for task in dag.tasks], [step])
                self.assertEqual(dag.timetable.expression, expression)

    def test_it_has_no_schedule_where_nothing_has(self):
        for name in ("department_reports", "housekeeping"):
            self.assertFalse(self.load(name, "none").timetable.can_be_scheduled, name)


class Canary(unittest.TestCase):
    """The DAG that an installation decides to have."""

    def load(self, schedule=None):
        """The DAG as read with JOURNEYMART_CANARY_SCHEDULE set to `schedule`, or not set."""
        os.environ.pop("JOURNEYMART_CANARY_SCHEDULE", None)
        if schedule is not None:
            os.environ["JOURNEYMART_CANARY_SCHEDULE"] = schedule
        return DagBag(FOLDER / "canary.py").dags["canary"]

    def test_a_failure_of_either_task_is_one_of_the_run(self):
        dag = self.load()
        tasks = {task.task_id: (sorted(task.downstream_task_ids), task.trigger_rule.value) for task in dag.tasks}
        self.assertEqual(tasks, {"send": (["check"], "all_success"), "check": ([], "all_success")})

    def test_schedule(self):
        self.assertFalse(self.load().timetable.can_be_scheduled)
        self.assertEqual(self.load("0 * * * *").timetable.expression, "0 * * * *")


class Access(unittest.TestCase):
    """The DAGs of who may open what."""

    def test_what_can_be_asked_for_is_what_there_is(self):
        bag = DagBag(FOLDER)
        asked = bag.dags["access_request"].params.get_param("role").schema["enum"]
        self.assertIn("analyst@fx-sales", asked)
        self.assertNotIn("analyst", asked)
        self.assertEqual(bag.dags["access_end"].params.get_param("role").schema["enum"], [None, *asked])

    def test_who_answers_reads_what_is_asked_for(self):
        task = DagBag(FOLDER).dags["access_request"].get_task("request")
        asked = {"user_name": "kim", "full_name": "김 `민지`", "email": "kim@bank.example", "role": "executive"}
        asked |= {"until_on": "2026-12-31", "reason": "{{ 1 }} **x**"}
        task.render_template_fields({"params": asked, "dag_run": mock.Mock(triggering_user_name="lee")})
        self.assertEqual(task.subject, "권한 요청 / Access request: kim → executive")
        for text in ("`kim`", "`김 '민지'`", "`kim@bank.example`", "`2026-12-31`", "`{{ 1 }} **x**`", "`lee`"):
            self.assertIn(text, task.body)

    def test_it_ends_whatever_schedule_the_pipeline_has(self):
        with mock.patch.dict(os.environ, {"JOURNEYMART_SCHEDULE": "none"}):
            dag = DagBag(FOLDER / "access_end.py").dags["access_end"]
        self.assertEqual(dag.timetable.expression, "5 * * * *")


if __name__ == "__main__":
    unittest.main()
