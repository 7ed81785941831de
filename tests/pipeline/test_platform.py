"""The embedded PostgreSQL: passwords, crashes, two homes, and that nothing is left behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from journeymart.db import DatabaseUnreachableError, connect
from journeymart.platform.postgres import Postgres
from journeymart.settings import METADATA_ROLES, REPO, WAREHOUSE_ROLES, Settings


class Home:
    """A platform home of its own, driven through the command line as a user would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("JOURNEYMART_", "JM_"))},
            "JOURNEYMART_HOME": str(path),
            "PYTHONPATH": str(REPO / "plugins"),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "journeymart.cli", *arguments]
        return subprocess.run(
            command, env=self.environ, capture_output=True, text=True, timeout=300, check=False,
            umask=0o077,  # as administrators' shells have it
        )  # fmt: skip

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.run("up", "--only", "postgres", "--port-base", str(self.port))

    @property
    def settings(self) -> Settings:
        return Settings.load(self.environ)

    @property
    def server_pid(self) -> int:
        return int((self.path / "postgres/data/postmaster.pid").read_text().split()[0])

    def processes(self) -> list[str]:
        """Ids of the processes working in this home."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "cwd").readlink().is_relative_to(self.path):
                    found.append(entry.name)
            except OSError:
                continue
        return found


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"))
    result = home.up()
    assert result.returncode == 0, result.stderr
    yield home
    result = home.run("down", "--json")
    assert result.returncode == 0, result.stderr
    assert {name: service["healthy"] for name, service in json.loads(result.stdout).items()} == dict.fromkeys(
        ("postgres", "airflow", "superset", "docs"), False
    )
    assert home.processes() == []


def test_status_tells_what_runs(home):
    result = home.run("status", "--json")
    services = json.loads(result.stdout)
    assert set(services) == {"postgres", "airflow", "superset", "docs"}
    assert services["postgres"] == {"url": f"postgresql://127.0.0.1:{home.port}/journeymart", "healthy": True}
    assert services["airflow"] == {"url": f"http://127.0.0.1:{home.port + 1}", "healthy": False}
    assert services["docs"]["url"].endswith("/journeymart/docs/")


def test_a_first_run_finds_a_landing_zone_without_files(home):
    landed = home.run("land")
    assert (landed.returncode, landed.stderr) == (0, ""), landed.stderr
    others = {path.name: path.stat().st_mode & 0o077 for path in home.path.iterdir()}
    assert others == dict.fromkeys(others, 0)
    assert {"archive", "docs", "export", "landing", "reports"} < set(others)
    export = home.path / "export"
    export.chmod(0o755)  # as an older version made it
    assert home.up().returncode == 0
    assert export.stat().st_mode & 0o777 == 0o750
    export.chmod(0o700)


def test_a_list_of_nothing_says_so(home):
    assert home.run("access", "list").stdout == "No access has been asked for.\n"
    assert home.run("quarantine", "list").stdout == "Nothing is in quarantine.\n"


def test_json_holds_no_password(home):
    result = home.run("up", "--only", "postgres", "--json")
    assert json.loads(result.stdout)["postgres"]["healthy"]
    for password in home.settings.secrets.values():
        assert password not in result.stdout + result.stderr


def test_decisions_about_a_device_are_told_to_machines(home):
    with connect("jm_admin", settings=home.settings) as connection:
        connection.execute("insert into raw.visitor (visitor_id) values ('kiosk')")
    device = ["--visitor", "kiosk", "--json"]
    for command, told in ((["unlink", "--reason", "it stands in a branch"], "unlinked"), (["link"], "linked")):
        result = home.run("identity", *command, *device)
        assert json.loads(result.stdout) == {"visitor_id": "kiosk", "decision": told}
    again = home.run("identity", "link", *device)
    assert (again.returncode, again.stdout) == (1, ""), "there is no decision to take back"
    assert "the device of visitor 'kiosk' is not unlinked" in again.stderr


def test_code_that_is_newer_than_the_database_says_what_to_do(home):
    landing = home.path / "landing/clickstream"
    landing.mkdir(parents=True)
    (landing / "a.ndjson").write_text("{}")
    with connect("jm_admin", settings=home.settings) as connection:
        connection.execute("alter table raw.file rename column plan_hash to other")
        connection.execute("alter table ops.access_log rename to old_log")
    try:
        for command in (["land"], ["run"], ["quarantine", "list", "--unmasked"]):
            result = home.run(*command)
            [line] = result.stderr.splitlines()
            assert (result.returncode, result.stdout) == (1, "")
            assert line.startswith("journeymart: the database is not as this version needs it (")
            assert "does not exist): `journeymart up` brings it up to date" in line
    finally:
        with connect("jm_admin", settings=home.settings) as connection:
            connection.execute("alter table raw.file rename column other to plan_hash")
            connection.execute("alter table ops.old_log rename to access_log")
        shutil.rmtree(landing.parent)


@pytest.mark.parametrize("role", WAREHOUSE_ROLES)
def test_every_role_may_log_in_to_the_warehouse_only(home, role):
    with connect(role, settings=home.settings) as connection:
        assert connection.execute("select current_user").fetchone() == (role,)
    if role != "jm_admin":
        for database in (*METADATA_ROLES, "postgres"):
            with pytest.raises(DatabaseUnreachableError, match="permission denied for database"):
                connect(role, database=database, settings=home.settings)


@pytest.mark.parametrize("role", METADATA_ROLES)
def test_a_tool_reaches_its_own_metadata_and_not_the_warehouse(home, role):
    with connect(role, database=role, settings=home.settings) as connection:
        connection.execute("create table probe (a int); drop table probe")
    with pytest.raises(DatabaseUnreachableError, match="permission denied for database"):
        connect(role, settings=home.settings)


def test_only_the_administrator_is_superuser(home):
    with connect("jm_admin", settings=home.settings) as connection:
        powerful = connection.execute(
            "select rolname from pg_roles"
            " where rolcanlogin and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)"
        ).fetchall()
    assert powerful == [("jm_admin",)]


def test_a_wrong_or_missing_password_is_refused(home):
    address = {"host": "127.0.0.1", "port": home.port, "user": "jm_loader", "dbname": "journeymart"}
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**address, password="wrong")
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(**address, passfile="/dev/null")


def test_the_error_names_the_role_and_not_the_password(home):
    environ = {**home.environ, "JM_LOADER_PASSWORD": "never-shown"}
    with pytest.raises(DatabaseUnreachableError, match="as jm_loader") as caught:
        connect("jm_loader", settings=Settings.load(environ))
    assert "never-shown" not in str(caught.value)


def test_the_server_listens_on_this_machine_only_and_stores_scram(home):
    with connect("jm_admin", settings=home.settings) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("show fsync").fetchone() == ("on",)
        stored = connection.execute("select distinct left(rolpassword, 14) from pg_authid where rolcanlogin").fetchall()
    assert stored == [("SCRAM-SHA-256$",)]


def test_the_loader_takes_nothing_out_of_what_is_published(home):
    line = "insert into raw.erased_line (row_id, erasure_id, is_rejected) values (1, 1, false)"
    with (
        connect("jm_loader", settings=home.settings) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(line)


@pytest.mark.parametrize("role", [role for role in WAREHOUSE_ROLES if role != "jm_admin"])
@pytest.mark.parametrize("call", ["lo_creat(-1)", "lo_create(0)", "lo_from_bytea(0, 'x')"])
def test_nobody_keeps_anything_beside_the_tables(home, role, call):
    with connect(role, settings=home.settings, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"select {call}".encode())


@pytest.mark.parametrize("role", ["jm_campaign", "jm_cs", "jm_dashboard", "jm_privacy"])
def test_the_servers_log_has_no_customer_that_a_statement_names(home, role):
    with connect(role, settings=home.settings, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute(f"select 'C00042-{role}', 1 / 0".encode())
        assert connection.execute("show log_min_duration_statement").fetchone() == ("-1",)
    log = "".join(path.read_text() for path in (home.path / "postgres/log").iterdir())
    assert f"{role}@journeymart" in log
    assert "C00042" not in log


def test_session_settings_apply(home):
    with connect("jm_loader", settings=home.settings, work_mem="77MB") as connection:
        assert connection.execute("show work_mem").fetchone() == ("77MB",)
        assert connection.execute("show application_name").fetchone() == ("journeymart jm_loader",)


def test_a_password_that_was_changed_is_the_servers_after_the_next_up(home):
    secrets = home.path / "secrets.env"
    before = secrets.read_text()
    secrets.write_text(before.replace(home.settings.password("jm_auditor"), "another-password"))
    try:
        assert home.up().returncode == 0
        with connect("jm_auditor", settings=home.settings) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        secrets.write_text(before)
        assert home.up().returncode == 0


def test_psql_passes_arguments_through(home):
    result = home.run("psql", "--role", "jm_auditor", "-tA", "-c", "select current_user")
    assert result.stdout.strip() == "jm_auditor"
    assert home.run("psql", "--role", "postgres").returncode == 2


def test_up_after_the_server_was_killed(home):
    with connect("jm_admin", settings=home.settings) as connection:
        connection.execute("create table public.survivor as select 42 as answer")
    killed = home.server_pid
    os.kill(killed, signal.SIGKILL)
    written, aside = home.path / "postgres/data/pg_wal", home.path / "postgres/aside"
    written.rename(aside)
    result = home.up()
    assert (result.returncode, 'required WAL directory "pg_wal" does not exist' in result.stderr) == (1, True)
    aside.rename(written)
    result = home.up()
    assert result.returncode == 0, result.stderr
    assert home.server_pid != killed
    with connect("jm_admin", settings=home.settings) as connection:
        assert connection.execute("select answer from public.survivor").fetchone() == (42,)
        connection.execute("drop table public.survivor")


def test_up_waits_for_a_server_that_recovers(home, monkeypatch):
    """It runs, but accepts nobody until it has recovered from the end of a backend."""
    healthy = iter([False, False, True])
    monkeypatch.setattr(Postgres, "is_healthy", lambda _: next(healthy))
    pid = home.server_pid
    Postgres(home.settings).start()
    assert (list(healthy), home.server_pid) == ([], pid)


def test_a_second_home_runs_beside_and_a_taken_port_is_explained(home, tmp_path):
    other = Home(tmp_path / "other")
    try:
        assert other.up().returncode == 0
        # root writes it, another account reads it
        assert (other.path / "postgres/data/journeymart.conf").stat().st_mode & 0o777 == 0o644
        assert other.settings.password("jm_loader") != home.settings.password("jm_loader")
        other.port, own = home.port, other.port
        refused = other.up()
        assert refused.returncode == 1
        assert "journeymart down` first" in refused.stderr
        assert other.run("down").returncode == 0
        refused = other.up()
        assert refused.returncode == 1
        assert "is taken by another program" in refused.stderr
        other.port = own
        assert other.up().returncode == 0
        assert Postgres(home.settings).is_healthy()
    finally:
        assert other.run("down").returncode == 0
    assert other.processes() == []
    assert json.loads(other.run("status", "--json").stdout)["postgres"]["healthy"] is False


def test_an_interrupted_first_start_is_repeated(tmp_path):
    home = Home(tmp_path)
    unfinished = tmp_path / "postgres/data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("16\n")
    try:
        assert home.up().returncode == 0
    finally:
        assert home.run("down").returncode == 0


def test_a_home_that_was_never_up_is_down(tmp_path):
    home = Home(tmp_path / "new")
    services = json.loads(home.run("status", "--json").stdout)
    assert [service["healthy"] for service in services.values()] == [False] * 4
    assert home.run("down").returncode == 0


@pytest.mark.parametrize("arguments", [("up", "--only", "mysql"), ("up", "--port-base", "many"), ("sideways",)])
def test_wrong_usage_is_exit_code_2(home, arguments):
    assert home.run(*arguments).returncode == 2


def test_a_conflicting_environment_is_refused(home):
    home.environ["JOURNEYMART_PG_HOST"] = "db.bank.example"
    try:
        result = home.run("up", "--only", "postgres")
    finally:
        del home.environ["JOURNEYMART_PG_HOST"]
    assert result.returncode == 1
    assert "JOURNEYMART_PG_HOST=db.bank.example is set in the environment" in result.stderr


@pytest.mark.parametrize("is_up", [True, False])
def test_a_password_that_is_not_the_servers_is_said_at_once(home, is_up):
    if not is_up:
        assert home.run("down").returncode == 0
    started = time.monotonic()
    home.environ["JM_ADMIN_PASSWORD"] = "another"
    try:
        result = home.up()
    finally:
        del home.environ["JM_ADMIN_PASSWORD"]
    assert (result.returncode, time.monotonic() - started < 60) == (1, True)
    assert "JM_ADMIN_PASSWORD in the environment is not the password of PostgreSQL's jm_admin" in result.stderr
    assert home.up().returncode == 0


def test_an_old_home_learns_which_names_are_reserved(home):
    """raw.node as it was, with what had landed."""
    with connect("jm_admin", settings=home.settings) as connection:
        connection.execute("alter table raw.node drop column node")
        connection.execute(
            "insert into raw.node (kind, code) values ('page', '(none)'), ('page', '이탈'), ('transaction', '기타'),"
            " ('page', '유입*'), ('url', '/이탈'), ('page', '이탈률')"
        )
    assert home.up().returncode == 0
    nodes = "select kind, code, node from raw.node order by node_id"
    with connect("jm_admin", settings=home.settings) as connection:
        assert connection.execute(nodes).fetchall() == [
            ("url", "(none)", "(none)"), ("page", "이탈", "이탈*"), ("transaction", "기타", "기타*"),
            ("page", "유입*", "유입**"), ("url", "/이탈", "/이탈"), ("page", "이탈률", "이탈률"),
        ]  # fmt: skip
        connection.execute(
            "delete from raw.node where kind = 'url';"
            "insert into raw.node (kind, code, node)"
            " values ('page', '(none)', '(none)'), ('page', 'A', 'A'), ('page', 'A', 'b:A')"
        )
    assert home.up().returncode == 0
    with connect("jm_admin", settings=home.settings) as connection:
        assert connection.execute(nodes).fetchall()[-3:] == [
            ("page", "(none)", "(none)"), ("page", "A", "A"), ("page", "A", "b:A"),
        ], "a page may be called so, and domains may have pages of their own"  # fmt: skip
        connection.execute("truncate raw.node, raw.visitor cascade")
