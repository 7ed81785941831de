"""The customer_journey DAG on the real scheduler, started over REST as an operations tool would."""

import hashlib
import json
import time
from typing import Any

import pytest
import requests

from journeymart.db import connect
from journeymart.settings import Settings

pytestmark = pytest.mark.platform

DAG = "customer_journey"
STEPS = ["build", "deliver", "discover", "land", "publish", "pull", "rejected", "validate"]
LONGEST_RUN = 300  # seconds, on a busy machine


class Airflow:
    """Airflow's REST API as administrator."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.airflow_url
        self.session = requests.Session()
        self.session.trust_env = False
        login = {"username": "admin", "password": settings.secret("AIRFLOW_ADMIN_PASSWORD")}
        token = self.session.post(f"{self.url}/auth/token", json=login, timeout=60).json()["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Any:
        response = self.session.get(f"{self.url}/api/v2/{path}", timeout=60)
        response.raise_for_status()
        return response.json()

    def run(self, dag: str = DAG, **conf: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Start a run and wait for its end; returns the run and its task instances."""
        asked = {"logical_date": None, "conf": conf}
        started = self.session.post(f"{self.url}/api/v2/dags/{dag}/dagRuns", json=asked, timeout=60)
        started.raise_for_status()
        path = f"dags/{dag}/dagRuns/{started.json()['dag_run_id']}"
        deadline = time.monotonic() + LONGEST_RUN
        while (run := self.get(path))["state"] not in ("success", "failed"):
            assert time.monotonic() < deadline, f"still {run['state']} after {LONGEST_RUN} s"
            time.sleep(1)
        return run, self.get(f"{path}/taskInstances")["task_instances"]


@pytest.fixture(scope="module")
def airflow(platform: Settings) -> Airflow:
    return Airflow(platform)


def test_the_dag_is_loaded_without_errors(airflow: Airflow) -> None:
    assert airflow.get("importErrors")["import_errors"] == []
    assert airflow.get("plugins/importErrors")["import_errors"] == []
    assert airflow.get(f"dags/{DAG}")["is_paused"] is False
    assert "한국어" in airflow.get(f"dags/{DAG}/details")["doc_md"]


def test_the_first_run_landed_the_sample_in_mapped_tasks(airflow: Airflow, platform: Settings) -> None:
    first = airflow.get(f"dags/{DAG}/dagRuns?order_by=run_after&limit=1")["dag_runs"][0]
    tasks = airflow.get(f"dags/{DAG}/dagRuns/{first['dag_run_id']}/taskInstances")["task_instances"]
    assert first["state"] == "success"
    assert {task["state"] for task in tasks} == {"success"}
    landing = [task for task in tasks if task["task_id"] == "land"]
    assert sorted(task["map_index"] for task in landing) == list(range(len(landing)))
    assert 1 < len(landing) <= 4


def test_a_new_file_is_landed_checked_and_published(airflow: Airflow, platform: Settings) -> None:
    folder = platform.landing / "clickstream" / "e2e"
    folder.mkdir(parents=True)
    lines = [
        {
            "event_id": f"e2e-{n}",
            "event_time": f"2026-06-02T09:0{n}:00+09:00",
            "visitor_id": "e2e 방문자",
            "page_code": page,
        }
        for n, page in enumerate(["HOME", "FX010", "FX020"])
    ]
    unfinished = folder / ".e2e 한글 'quote' {{ 7 }}.tmp"
    unfinished.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    unfinished.rename(folder / "e2e 한글 'quote' {{ 7 }}.ndjson")  # a name is no template

    run, tasks = airflow.run()

    assert run["state"] == "success"
    assert sorted((task["task_id"], task["state"]) for task in tasks) == [(step, "success") for step in STEPS]
    (landed,) = [task for task in tasks if task["task_id"] == "land"]
    assert landed["map_index"] == 0
    assert landed["rendered_map_index"].startswith("1 files clickstream/e2e/e2e 한글 'quote' {{ 7 }}")
    run_id = run["dag_run_id"].replace(":", "-").replace("+", "-")
    with connect("jm_admin", settings=platform) as connection:
        published = connection.execute(
            "select f.rows_loaded, f.run_id, p.run_id from raw.file as f"
            " inner join ops.publication as p using (publication_id) where f.path like %s",
            ("clickstream/e2e/%",),
        ).fetchall()
        events = connection.execute("select count(*) from mart.event where visitor_id = 'e2e 방문자'").fetchone()
    assert published == [(3, run_id, run_id)]
    assert events == (3,)


def test_a_file_that_cannot_be_loaded_makes_the_run_red_and_holds_up_no_other(
    airflow: Airflow, platform: Settings
) -> None:
    """One that is rejected, once; one that there is no room for until it is taken."""
    folder = platform.landing / "consents" / "e2e"
    folder.mkdir(parents=True)
    for name in ("good", "short", "homeless"):
        line = {"customer_id": "e2e", "purpose": name, "granted": True, "effective_at": "2026-06-01T00:00:00Z"}
        (folder / f".{name}").write_text(json.dumps(line) + "\n")
    (folder / "short.ndjson.done").write_text('{"rows": 2}')
    digest = hashlib.sha256((folder / ".homeless").read_bytes()).hexdigest()
    aside, place = platform.archive / ".aside", platform.archive / digest[:2]
    if place.exists():
        place.rename(aside)
    place.touch()  # where a folder has to be
    for name in ("good", "short", "homeless"):
        (folder / f".{name}").rename(folder / f"{name}.ndjson")

    run, tasks = airflow.run()

    place.unlink()
    if aside.exists():
        aside.rename(place)
    assert run["state"] == "failed"
    assert {task["task_id"] for task in tasks if task["state"] != "success"} == {"rejected"}
    assert published_consents(platform) == ["consents/e2e/good.ndjson"]
    assert airflow.run()[0]["state"] == "success"
    assert published_consents(platform) == ["consents/e2e/good.ndjson", "consents/e2e/homeless.ndjson"]


def published_consents(platform: Settings) -> list[str]:
    with connect("jm_admin", settings=platform) as connection:
        rows = connection.execute(
            "select path from raw.file where path like 'consents/e2e/%' and publication_id is not null order by 1"
        ).fetchall()
    return [path for (path,) in rows]


def test_nothing_new_is_a_short_green_run(airflow: Airflow) -> None:
    run, tasks = airflow.run()
    assert run["state"] == "success"
    assert {task["task_id"]: task["state"] for task in tasks} == {
        step: "success" if step in ("pull", "discover") else "skipped" for step in STEPS
    }


def test_everything_is_computed_anew_on_demand(airflow: Airflow, platform: Settings) -> None:
    run, tasks = airflow.run(full=True)
    assert run["state"] == "success"
    assert {task["state"] for task in tasks} == {"success"}
    with connect("jm_admin", settings=platform) as connection:
        last = connection.execute("select scope, status from ops.run order by started_at desc limit 1").fetchone()
    assert last == ("all", "published")


def test_data_docs_are_behind_the_login(airflow: Airflow, platform: Settings) -> None:
    assert requests.get(platform.docs_url, timeout=60).status_code == 401
    page = airflow.session.get(platform.docs_url, timeout=60)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "Data Docs" in page.text and "아직 검증 결과가 없습니다" not in page.text
    assert airflow.session.get(f"{platform.docs_url}%2e%2e/secrets.env", timeout=60).status_code == 404
    # The cookie of a person who has logged in opens the same page in the frame of Airflow's menu.
    token = airflow.session.headers["Authorization"]
    assert isinstance(token, str)
    cookie = {"_token": token.removeprefix("Bearer ")}
    assert requests.get(platform.docs_url, cookies=cookie, timeout=60).status_code == 200


def test_housekeeping_runs_and_takes_nothing_that_has_no_end(airflow: Airflow, platform: Settings) -> None:
    run, tasks = airflow.run("housekeeping")
    assert (run["state"], [task["task_id"] for task in tasks]) == ("success", ["expire"])
    with connect("jm_admin", settings=platform) as connection:
        assert connection.execute("select count(*) from raw.file where status = 'expired'").fetchone() == (0,)


def test_a_canary_that_is_not_seen_turns_its_dag_red(airflow: Airflow, platform: Settings) -> None:
    """One whose robot never came; the scheduler's task says what is missing."""
    definitions = platform.home / "definitions"
    definitions.mkdir(exist_ok=True)
    own = definitions / "canaries.yml"
    own.write_text(
        "canaries: [{id: CN-ROBOT, label: {ko: 로봇, en: Robot}, customer_id: CANARY-ROBOT, visitor_id: canary-robot,"
        " within: 1ms, expect: {timeline: {behaviour: 1}}}]"
    )
    run, tasks = airflow.run("canary")
    own.unlink()
    assert run["state"] == "failed"
    assert {task["task_id"]: task["state"] for task in tasks} == {"send": "success", "check": "failed"}
    with connect("jm_admin", settings=platform) as connection:
        kept = connection.execute("delete from ops.canary returning canary_id, is_seen, hop, missing").fetchall()
    assert kept == [("CN-ROBOT", False, "timeline", "timeline: expected 1 behaviour, seen none")]
