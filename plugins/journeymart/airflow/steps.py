"""A pipeline step as an Airflow task.

A task starts `scripts/journeymart step NAME` in the warehouse environment, so that the DAG and `journeymart run`
call the same functions, and neither dbt nor Great Expectations is ever installed beside Airflow.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from airflow.sdk import BaseOperator, Connection, Context
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
)

REPO = Path(__file__).resolve().parents[3]
JOURNEYMART = REPO / "scripts" / "journeymart"
SHIPPED = REPO / "dbt_project" / "definitions"
WRONG_USAGE = 2
REFUSED = "refused"  # the XCom of a step that was asked for what cannot be
FULL = frozenset({"discover", "build"})  # what a run does otherwise when it is asked to compute everything anew
# Airflow kills a task five seconds after it asked it to end; the step must be gone before.
GRACE_SECONDS = 3


def safe_run_id(run_id: str) -> str:
    """The DAG run's id as the ledger keeps it: letters, digits, `_`, `-` and `.` only (a user may type any run id)."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", run_id)


def step_environment(environ: dict[str, str], *, connections: bool = False) -> dict[str, str]:
    """The environment of a step: everything but Airflow's own settings and secrets, which it has no use for.

    `connections` lets AIRFLOW_CONN_… through, to the step that pulls from other databases.
    """
    return {
        name: value
        for name, value in environ.items()
        if not name.lstrip("_").startswith("AIRFLOW") or (connections and name.startswith("AIRFLOW_CONN_"))
    }


def stored_connections() -> dict[str, str]:
    """The connections that databases.yml names and the environment does not have, but Airflow does (its connections
    page or a secrets backend), as the variables that the step looks for."""
    found = {}
    own = Path(os.environ.get("JOURNEYMART_DEFINITIONS") or SHIPPED) / "databases.yml"
    text = (own if own.exists() else SHIPPED / "databases.yml").read_text("utf-8")  # the one that the step reads
    names = re.findall(r"""^[^#\n]*\bconnection:\s*["']?([A-Za-z_]\w*)""", text, re.MULTILINE)
    for name in sorted(set(names)):
        variable = f"AIRFLOW_CONN_{name.upper()}"
        if variable not in os.environ:
            with contextlib.suppress(AirflowNotFoundException):  # the step says so, and pulls from the others
                found[variable] = Connection.get(name).as_json()
    return found


def parse_result(stdout: str) -> dict[str, Any]:
    """The JSON object in the last line of a step's output; empty if the step ended before it wrote one."""
    lines = stdout.splitlines()
    try:
        result = json.loads(lines[-1]) if lines else {}
    except json.JSONDecodeError:
        return {}
    return result if isinstance(result, dict) else {}


class StepOperator(BaseOperator):
    """Run one step of the pipeline and return its result, or one item of it, as XCom.

    :param step: name of the step as `journeymart step` knows it.
    :param files: landing-zone paths the step is limited to, or what became of them; handed over on standard input,
        since their number and their names are up to whoever lands them.
    :param asks: the step does what the DAG run's configuration asks for, handed over in the same way, in the name of
        who started the run.
    :param returns: key of the result to return instead of all of it.
    """

    template_fields = ("files",)  # so that it may be what another task returned

    def __init__(
        self,
        *,
        step: str,
        files: Sequence[Any] | None = None,
        returns: str | None = None,
        asks: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.step = step
        self.files = files
        self.returns = returns
        self.asks = asks
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> Any:
        """Start the step, log what it reports and return its result.

        A failed step raises and is retried; a build with nothing to compute is skipped, and with it what follows.
        """
        options = ["--full"] if self.step in FULL and context["params"].get("full") else []
        if self.asks:
            run = context["dag_run"]
            result = self.ask(context, self.step, run.conf, run.triggering_user_name)
        elif self.files is not None:
            files = list(self.files)  # of several tasks it comes one by one
            result = self.perform(context, self.step, [*options, "--files", "-"], files)
        else:
            result = self.perform(context, self.step, options)
        if result.get("scope") == "empty":
            # The files that came repeat what is loaded, or none could be read: as `journeymart run`, end here.
            raise AirflowSkipException("there is nothing to compute, so the rest of the run is skipped")
        if self.returns:
            if self.returns not in result:
                raise AirflowFailException(f"step {self.step} returned no {self.returns!r}")
            return result[self.returns]
        return result

    def ask(self, context: Context, step: str, request: Any, asked_by: str | None) -> dict[str, Any]:
        """Start a step that does what is asked for, in the name of who asks."""
        who = {"JOURNEYMART_USER": asked_by or "airflow"}
        return self.perform(context, step, ["--request", "-"], request, who)

    def perform(
        self,
        context: Context,
        step: str,
        options: list[str],
        given: Any = None,
        variables: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Start a step, with what it is given on standard input; log its result and return it."""
        command = [str(JOURNEYMART), "step", step, "--run-id", safe_run_id(context["run_id"]), "--json", *options]
        # Files, not pipes, at both ends: a step may log before it reads its list, however long either is.
        with tempfile.TemporaryFile("w+", encoding="utf-8") as files, tempfile.TemporaryFile("w+b") as output:
            json.dump({} if given is None else given, files)
            files.seek(0)
            code, last_line = self._run(command, files, output, variables or {})
            output.seek(0)
            result = parse_result(output.read().decode(errors="replace"))
        self.log.info("step %s ended with %d: %s", step, code, json.dumps(result, ensure_ascii=False)[:2000])
        if code:
            why = result.get("error") or last_line or "see the log above"
            message = f"step {step} failed ({code if code > 0 else signal.Signals(-code).name}): {why}"
            if code == WRONG_USAGE and self.asks:
                context["ti"].xcom_push(key=REFUSED, value=why)  # for the form that asked
            # Asking wrongly once more does not help; anything else may have been the database or the network.
            raise AirflowFailException(message) if code == WRONG_USAGE else AirflowException(message)
        return result

    def _run(self, command: list[str], files: IO[str], output: IO[bytes], variables: dict[str, str]) -> tuple[int, str]:
        """Run the command with its results in `output`; return its exit code and the last line it logged."""
        last_line = ""
        stored = stored_connections() if self.step == "pull" else {}
        with subprocess.Popen(
            command,
            stdin=files,
            stdout=output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=step_environment(dict(os.environ), connections=self.step == "pull") | stored | variables,
            start_new_session=True,
        ) as process:
            self._process = process
            for line in process.stderr or ():
                if line.strip():
                    last_line = line.rstrip()
                    self.log.info("%s", last_line)
        return process.returncode, last_line

    def on_kill(self) -> None:
        """End the step and everything it started: on a timeout, or when a user stops the task."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
