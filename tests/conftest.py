"""Real parts for the tests: a PostgreSQL server, warehouses on it, and a whole running platform."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import CodeType

import pytest
from dbt_common.clients.jinja import MacroFuzzEnvironment
from tests.outside import Outside, is_alone
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from journeymart.db import connect
from journeymart.platform import local
from journeymart.platform.postgres import Postgres
from journeymart.settings import Settings

gc.set_threshold(50_000, 20, 50)  # as the command line does: a tenth of the time of a run
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


_compile = MacroFuzzEnvironment.compile
_compiled: dict[str, CodeType] = {}


def compile_once(environment: MacroFuzzEnvironment, source: str) -> CodeType:
    """dbt compiles the templates of models in every run, in a sixth of its time; a suite has a hundred runs of them."""
    if source not in _compiled:
        _compiled[source] = _compile(environment, source)
    return _compiled[source]


MacroFuzzEnvironment.compile = compile_once  # type: ignore[assignment, method-assign]


class TogetherScheduling(LoadFileScheduling):
    """Tests that share what is dear to set up stay in one process: those of a file, of the reference, of the checks."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        return file.parent.name if file.parent.name in ("oracle", "expectations") else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> TogetherScheduling:
    """Not --dist loadgroup: pytest-xdist 3.8 writes groups into names where pytest 9.2 no longer reads them."""
    return TogetherScheduling(config, log)


def free_port_base() -> int:
    """Three free consecutive ports, looked for from a place of this process's own: several suites may run at once."""
    first = os.getpid() % 1000 * 15
    for base in range(12000 + first, 32000, 7):  # below those that outgoing connections are given
        with socket.socket() as one, socket.socket() as two, socket.socket() as three:
            try:
                for offset, probe in enumerate((one, two, three)):
                    probe.bind(("127.0.0.1", base + offset))
            except OSError:
                continue
            return base
    raise RuntimeError("no free ports")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data and reference results, where they are at hand."""
    if not SHARED.is_dir():
        # not ours to give, so a clone of the project alone has none
        pytest.skip("real data is not beside the project (../shared/data)")
    return SHARED


@contextmanager
def running_postgres() -> Iterator[Settings]:
    """A PostgreSQL server of its own, in a home that is removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="journeymart-test-"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JOURNEYMART_HOME", str(home))
        for name in ("HOST", "PORT", "DATABASE"):
            environment.delenv(f"JOURNEYMART_PG_{name}", raising=False)  # of another server, for dbt
        settings = local.up(lambda _line: None, port_base=free_port_base(), only_postgres=True)
        with connect("jm_admin", database="postgres", settings=settings, autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes"):  # nobody misses what a power cut would take
                connection.execute(f"alter system set {setting} = off".encode())
            # it goes from database to database, of which there are a hundred; what the models need they do themselves
            connection.execute("alter system set autovacuum = off")
            connection.execute("select pg_reload_conf()")
        yield settings
    # at once: an orderly end would first write out, file by file, what is removed next
    postmaster = int((Postgres(settings).data / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGQUIT)
    while Path(f"/proc/{postmaster}").exists():
        time.sleep(0.1)
    subprocess.run(["rm", "-rf", home], check=True)  # hundreds of thousands of files: Python takes three times as long


@pytest.fixture(scope="session")
def server() -> Iterator[Settings]:
    """The server of the warehouses."""
    with running_postgres() as settings:
        yield settings


class Warehouses:
    """Empty warehouses: databases of their own on one server. Names are used again, and with them what dbt has read of
    the project, because reading takes it seconds and depends on the name."""

    def __init__(self, server: Settings, directory: Path) -> None:
        self._server = server
        self._directory = directory
        self._free: list[str] = []
        self._homes = itertools.count(1)

    def create(self) -> Settings:
        name = self._free.pop() if self._free else f"warehouse_{next(self._homes)}"
        home = self._directory / f"home{next(self._homes)}"
        home.mkdir()
        parsed = self._directory / name
        parsed.mkdir(exist_ok=True)
        (home / "dbt").symlink_to(parsed)
        settings = replace(self._server, pg_database=name, home=home)
        # the server's own home keeps its processes; only addresses and state differ
        Postgres(replace(self._server, pg_database=name)).provision()
        return settings

    def drop(self, settings: Settings) -> None:
        """Set the name free. To drop the database would cost a checkpoint; it goes with the server."""
        name = settings.pg_database
        with connect("jm_admin", database="postgres", settings=self._server, autocommit=True) as connection:
            connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
            connection.execute(f"alter database {name} rename to {name}_until_{next(self._homes)}".encode())
        self._free.append(name)


@pytest.fixture(scope="session")
def warehouses(server: Settings, tmp_path_factory: pytest.TempPathFactory) -> Warehouses:
    return Warehouses(server, tmp_path_factory.mktemp("warehouses"))


@pytest.fixture(scope="module")
def new_warehouse(warehouses: Warehouses) -> Iterator[Callable[[], Settings]]:
    """Creates empty warehouses that are there until the end of the module."""
    created: list[Settings] = []

    def create() -> Settings:
        created.append(warehouses.create())
        return created[-1]

    yield create
    for settings in created:
        warehouses.drop(settings)


@pytest.fixture
def warehouse(warehouses: Warehouses) -> Iterator[Settings]:
    """An empty warehouse, for one test."""
    settings = warehouses.create()
    yield settings
    warehouses.drop(settings)


@pytest.fixture(scope="session")
def outside() -> Outside | None:
    """The way to other machines, watched; none where the tests share the network of their machine."""
    return Outside() if is_alone() else None


@pytest.fixture(scope="session")
def platform(outside: Outside | None) -> Iterator[Settings]:
    """The whole platform as the demo starts it, its pipeline run once by Airflow's scheduler on a small sample bank."""
    home = Path(tempfile.mkdtemp(prefix="journeymart-platform-"))
    # audiences that a test asks for go into a file of its own, as in containers
    environment = {**os.environ, "JOURNEYMART_HOME": str(home), "JOURNEYMART_DEFINITIONS": str(home / "definitions")}
    base = str(free_port_base())
    repo = Path(__file__).resolve().parents[1]
    subprocess.run(
        [repo / "scripts" / "demo", "--customers", "300", "--days", "4", "--port-base", base],
        env=environment,
        check=True,
    )
    yield Settings.load(environment)
    subprocess.run([repo / "scripts" / "journeymart", "down"], env=environment, check=True)
    shutil.rmtree(home)
