"""What Airflow and Superset have in common here: an environment, a database to prepare, services to run."""

from __future__ import annotations

import hashlib
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from journeymart.platform.processes import PlatformError, Service, tail, wait_until
from journeymart.settings import METADATA_ROLES, WAREHOUSE_ROLES, Settings, password_variable

# From the caller's shell these would change what the services import, or make each of them recompile it.
_PYTHON_VARIABLES = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV")


class Tool(ABC):
    """One of the platform's web applications, with a virtual environment and a metadata database of its own."""

    name: str

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home / self.name
        self.bin = settings.venvs / self.name / "bin"
        self.folder = settings.repo / "docker" / self.name
        self.services = [Service(name, settings.run, settings.logs) for name in self.commands()]

    @abstractmethod
    def commands(self) -> dict[str, list[str]]:
        """Service name → command line."""

    @abstractmethod
    def variables(self) -> dict[str, str]:
        """Environment variables of its own, secrets included."""

    @abstractmethod
    def is_healthy(self) -> bool:
        """True if the application says of itself that it works."""

    def is_running(self) -> bool:
        """True if all its services run, and are this home's."""
        return all(service.is_running() for service in self.services)

    def environment(self) -> dict[str, str]:
        """The caller's environment without what belongs to others, plus the tool's variables.

        Variables set by the caller win, so that a setting can be tried without editing this file.
        """
        withheld = {password_variable(role) for role in WAREHOUSE_ROLES + METADATA_ROLES} | set(_PYTHON_VARIABLES)
        return {
            **self.variables(),
            **{name: value for name, value in os.environ.items() if name not in withheld},
            "PATH": f"{self.bin}:{os.environ.get('PATH', os.defpath)}",
            "JOURNEYMART_HOME": str(self.settings.home),
            "JOURNEYMART_VENVS": str(self.settings.venvs),
        }

    def prepare(self, database_identity: str) -> None:
        """Migrate the metadata database and create the administrator, unless this version did so already.

        `database_identity` tells a database server created anew from the one that was prepared.
        """
        self.home.mkdir(mode=0o700, exist_ok=True)
        script = self.folder / "prepare.py"
        parts = [(self.folder / "requirements.txt").read_bytes(), script.read_bytes(), database_identity.encode()]
        stamp, version = self.home / "prepared", hashlib.sha256(b"\0".join(parts)).hexdigest()
        if stamp.exists() and stamp.read_text() == version:
            return
        log = self.settings.logs / f"{self.name}-prepare.log"
        # The administrator's is a local account; so are the pages that roles are given permissions on.
        environment = {**self.environment(), **self._admin_password(), "JOURNEYMART_SSO_ISSUER": ""}
        with log.open("wb") as file:
            result = subprocess.run(
                [str(self.bin / "python"), str(script)],
                env=environment, cwd=self.home, stdin=subprocess.DEVNULL, stdout=file, stderr=file, umask=0o077,
                check=False,
            )  # fmt: skip
        if result.returncode:
            raise PlatformError(f"{self.name} could not prepare its database; {log} ends with:\n{tail(log)}")
        stamp.write_text(version)

    def start(self, seconds: float = 300) -> None:
        """Start all services that do not run and wait until the application is healthy."""
        environment = self.environment()
        commands = self.commands()
        for service in self.services:
            service.start(commands[service.name], environment)
        main = self.services[0]
        wait_until(
            self.is_healthy,
            seconds=seconds,
            what=f"{self.name} to be healthy",
            log=main.log,
            failed=lambda: not self.is_running(),
        )

    def stop(self) -> None:
        """Stop its services, all at once."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(Service.stop, self.services))

    def _admin_password(self) -> Mapping[str, str]:
        name = f"{self.name.upper()}_ADMIN_PASSWORD"
        return {name: self.settings.secret(name)}
