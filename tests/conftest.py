"""Real parts for the tests: a PostgreSQL server, warehouses on it, and a whole running platform."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from journeymart.platform import local
from journeymart.platform.postgres import Postgres
from journeymart.settings import Settings

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def free_port_base() -> int:
    """Three free consecutive ports, looked for from a place of this process's own: several suites may run at once."""
    first = os.getpid() % 1000 * 15
    for base in range(41000 + first, 60000, 7):
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
        pytest.skip("real data is not beside the project (../shared/data)")
    return SHARED


@pytest.fixture(scope="session")
def server() -> Iterator[Settings]:
    """A PostgreSQL server of its own, in a home that is removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="journeymart-test-"))
    before = os.environ.get("JOURNEYMART_HOME")
    os.environ["JOURNEYMART_HOME"] = str(home)
    settings = local.up(lambda _line: None, port_base=free_port_base(), only_postgres=True)
    yield settings
    Postgres(settings).stop()
    shutil.rmtree(home)
    if before is None:
        del os.environ["JOURNEYMART_HOME"]
    else:
        os.environ["JOURNEYMART_HOME"] = before


@pytest.fixture(scope="session")
def new_warehouse(server: Settings, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Settings]:
    """Creates empty warehouses: databases of their own on the one server."""
    numbers = itertools.count(1)

    def create() -> Settings:
        number = next(numbers)
        home = tmp_path_factory.mktemp(f"home{number}")
        settings = replace(server, pg_database=f"warehouse_{number}", home=home)
        # the server's own home keeps its processes; only addresses and state differ
        Postgres(replace(server, pg_database=settings.pg_database)).provision()
        return settings

    return create


@pytest.fixture
def warehouse(new_warehouse: Callable[[], Settings]) -> Settings:
    """An empty warehouse."""
    return new_warehouse()


@pytest.fixture(scope="session")
def platform() -> Iterator[Settings]:
    """The whole platform as the demo starts it, its pipeline run once by Airflow's scheduler on a small sample bank."""
    home = Path(tempfile.mkdtemp(prefix="journeymart-platform-"))
    environment = {**os.environ, "JOURNEYMART_HOME": str(home)}
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
