"""A step as a task: what it is asked, what it returns, how it fails and how it is ended; run by Airflow's Python."""

import json
import os
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

from airflow.sdk import Connection
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
)

from journeymart.airflow import steps

RUN_ID = "manual__2026-11-21T23:30:11.205039+00:00"


class RunsSteps(unittest.TestCase):
    """StepOperator against a stand-in for scripts/journeymart."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.program = Path(folder.name) / "journeymart"
        self.enterContext(mock.patch.object(steps, "JOURNEYMART", self.program))
        self.log = self.enterContext(mock.patch.object(steps.StepOperator, "log"))
        self.ti = mock.Mock()
        self.conf = {"id": "AU-'한글"}

    def execute(self, body, **arguments):
        """Run the step `land` with a program of this shell code; returns what the task returns."""
        self.program.write_text(f"#!/bin/bash\n{body}\n")
        self.program.chmod(0o700)
        self.task = steps.StepOperator(task_id="land", **{"step": "land", **arguments})
        # Airflow refuses execute() outside its task runner; what is wrapped is what the runner calls.
        run = mock.Mock(conf=self.conf, triggering_user_name="marketer")
        context = {"run_id": RUN_ID, "dag_run": run, "params": {"full": True}, "ti": self.ti}
        return type(self.task).execute.__wrapped__(self.task, context)

    def test_command_and_result(self):
        result = self.execute("""printf '{"arguments": "%s"}\\n' "$*" """)
        self.assertEqual(result, {"arguments": "step land --run-id manual__2026-11-21T23-30-11.205039-00-00 --json"})

    def test_everything_anew_is_asked_of_the_steps_that_can(self):
        for step, asked in (("discover", True), ("land", False), ("build", True), ("publish", False)):
            with self.subTest(step):
                result = self.execute("""printf '{"arguments": "%s"}\n' "$*" """, step=step)
                self.assertEqual("--full" in result["arguments"].split(), asked)

    def test_only_the_last_line_is_the_result(self):
        self.assertEqual(self.execute("""echo '{"a": 1}'; echo '{"b": 2}'"""), {"b": 2})

    def test_returns_one_item(self):
        self.assertEqual(self.execute("""echo '{"batches": [["a"]]}'""", returns="batches"), [["a"]])
        with self.assertRaises(AirflowFailException):
            self.execute("echo '{}'", returns="batches")

    def test_files_arrive_whatever_their_names_and_number(self):
        names = [f"clickstream/{i:05d} '한글'; $(reboot)\n.csv" for i in range(5000)]
        result = self.execute("""echo "${@: -2}" >&2; printf '{"files": %s}' "$(cat)" """, files=names)
        self.assertEqual(result, {"files": names})

    def test_what_a_run_asks_for_is_handed_over_with_who_asks(self):
        body = """printf '{"given": %s, "who": "%s", "options": "%s"}' "$(cat)" "$JOURNEYMART_USER" "${*: -2}" """
        self.assertEqual(
            self.execute(body, asks=True), {"given": {"id": "AU-'한글"}, "who": "marketer", "options": "--request -"}
        )

    def test_a_run_that_is_started_without_a_form_asks_for_nothing(self):
        for self.conf in ({}, None):
            self.assertEqual(self.execute("""printf '{"given": %s}' "$(cat)" """, asks=True), {"given": {}})

    def test_a_request_that_is_refused_says_why_to_the_form(self):
        with self.assertRaises(AirflowFailException):
            self.execute("echo 'SG-X is there already' >&2; exit 2", asks=True)
        self.ti.xcom_push.assert_called_once_with(key="refused", value="SG-X is there already")
        with self.assertRaises(AirflowException):
            self.execute("exit 1", asks=True)
        self.ti.xcom_push.assert_called_once()

    def test_a_step_may_log_a_lot_before_it_reads_its_files(self):
        result = self.execute(
            "head -c 500000 /dev/zero | tr '\\0' '\\n' >&2; cat >/dev/null; echo '{}'", files=["x" * 200_000]
        )
        self.assertEqual(result, {})

    def test_log_lines_are_logged_as_they_come(self):
        self.execute("echo 'landed 5 rows' >&2; printf 'bad \\xff byte\\n' >&2; echo '{}'")
        lines = [call.args[-1] for call in self.log.info.call_args_list]
        self.assertEqual(lines[:2], ["landed 5 rows", "bad \ufffd byte"])

    def test_a_long_result_does_not_fill_the_log(self):
        self.execute("""printf '{"batches": [["%s"]]}' "$(printf '%01000d ' {1..50})" """)
        self.assertLess(len(self.log.info.call_args.args[-1]), 2001)

    def test_failure_is_retried_and_says_why(self):
        with self.assertRaisesRegex(AirflowException, "2 critical checks failed") as caught:
            self.execute("""echo '{"error": "2 critical checks failed"}'; exit 1""")
        self.assertNotIsInstance(caught.exception, AirflowFailException)
        with self.assertRaisesRegex(AirflowException, "database is out of reach"):
            self.execute("echo 'database is out of reach' >&2; exit 1")
        with self.assertRaisesRegex(AirflowException, r"failed \(SIGKILL\): see the log above"):
            self.execute("kill -9 $$")

    def test_nothing_to_compute_skips_the_rest(self):
        with self.assertRaises(AirflowSkipException):
            self.execute("""echo '{"scope": "empty"}'""")
        self.assertEqual(self.execute("""echo '{"scope": "changes"}'"""), {"scope": "changes"})

    def test_wrong_usage_is_not_retried(self):
        with self.assertRaises(AirflowFailException):
            self.execute("exit 2")

    def test_steps_do_not_see_airflows_secrets(self):
        visible = {
            "AIRFLOW__CORE__FERNET_KEY": "k",
            "_AIRFLOW_X": "k",
            "JOURNEYMART_HOME": "/h",
            "JM_LOADER_PASSWORD": "p",
        }
        with mock.patch.dict(os.environ, visible):
            names = self.execute("""printf '{"names": "%s"}' "$(compgen -e | tr '\\n' ' ')" """)["names"].split()
        self.assertFalse([name for name in names if "AIRFLOW" in name and not name.startswith("JOURNEYMART_")])
        self.assertLessEqual({"JOURNEYMART_HOME", "JM_LOADER_PASSWORD"}, set(names))

    def test_only_the_pull_sees_connections(self):
        environ = {"AIRFLOW_CONN_CORE": "postgresql://r:p@h/d", "AIRFLOW__CORE__FERNET_KEY": "k", "PATH": "/bin"}
        self.assertEqual(set(steps.step_environment(environ)), {"PATH"})
        self.assertEqual(set(steps.step_environment(environ, connections=True)), {"PATH", "AIRFLOW_CONN_CORE"})

    def test_the_pull_gets_connections_that_only_airflow_knows(self):
        databases = self.program.with_name("databases.yml")
        databases.write_text("# connection: no\npulls:\n  a: {connection: core}\n  b:\n    connection: 'gone'\n")
        core = Connection.from_uri("postgresql://r:p%40@h:5433/d?sslmode=require", conn_id="core")

        def get(name):
            if name != "core":
                raise AirflowNotFoundException(name)
            return core

        own = {"JOURNEYMART_DEFINITIONS": str(databases.parent)}  # as an installation has it, containers always
        with mock.patch.dict(os.environ, own), mock.patch.object(Connection, "get", get):
            [value] = steps.stored_connections().values()
            with mock.patch.dict(os.environ, {"AIRFLOW_CONN_CORE": "postgresql://other"}):
                self.assertEqual(steps.stored_connections(), {})
            shown = 'printf \'{"core": %s, "gone": "%s"}\' "$AIRFLOW_CONN_CORE" "$AIRFLOW_CONN_GONE"'
            result = self.execute(shown, step="pull")
            self.assertEqual(result, {"core": json.loads(value), "gone": ""})
            self.assertEqual(self.execute('printf \'{"core": "%s"}\' "$AIRFLOW_CONN_CORE"'), {"core": ""})

    def test_kill_ends_the_step_and_its_children(self):
        mark = self.program.with_name("children")
        body = f"sleep 300 & trap '' TERM; echo $! $$ > {mark}.new; mv {mark}.new {mark}; while :; do sleep 1; done"
        failures = []

        def run():
            try:
                self.execute(body)
            except AirflowException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        while not mark.exists():
            time.sleep(0.05)
        started = time.monotonic()
        self.task.on_kill()
        thread.join(20)
        self.assertLess(time.monotonic() - started, steps.GRACE_SECONDS + 1.5)
        self.assertEqual(len(failures), 1)
        self.assertIn("SIGKILL", str(failures[0]))
        for pid in mark.read_text().split():
            stat = Path(f"/proc/{pid}/stat")
            # A child whose new parent does not reap stays listed as a zombie.
            self.assertTrue(not stat.exists() or stat.read_text().rpartition(") ")[2].startswith("Z"))


class ParsesResults(unittest.TestCase):
    """What counts as a result."""

    def test_anything_but_an_object_is_none(self):
        for text in ("", "\n", "not json", "[1, 2]", '{"a": 1}\nnot json'):
            self.assertEqual(steps.parse_result(text), {}, text)
        self.assertEqual(steps.parse_result(json.dumps({"a": "한글"})), {"a": "한글"})

    def test_run_ids(self):
        self.assertEqual(steps.safe_run_id("a'; b/../c\n가"), "a---b-..-c--")


if __name__ == "__main__":
    unittest.main()
