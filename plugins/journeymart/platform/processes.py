"""Start, find and stop long-running processes by a record that survives the command that started them.

A record in run/ holds the leader's /proc stat line and the boot it belongs to, written by the process itself
before it becomes the service. A process id alone proves nothing: ids are reused, and records outlive crashes.
Needs Linux's /proc.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from journeymart.errors import JourneymartError

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
_WRITE_RECORD_THEN_RUN = 'cat /proc/$$/stat /proc/sys/kernel/random/boot_id > "$0" && exec "$@"'
_LARGEST_LOG = 20 * 2**20  # bytes; a larger log is set aside when its service starts
_STATUS_MALFUNCTION = 500  # HTTP answers from here on mean that the server is not well


class PlatformError(JourneymartError):
    """A service of the local platform did not start, or not in time."""


@dataclass(frozen=True)
class Process:
    """A line of /proc/<pid>/stat; `started` is in clock ticks since boot."""

    pid: int
    state: str
    parent: int
    session: int
    started: int


@dataclass(frozen=True)
class Service:
    """A process of the platform that keeps running; its name is that of its record and of its log."""

    name: str
    run: Path
    logs: Path

    @property
    def log(self) -> Path:
        """What the service prints."""
        return self.logs / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.run / f"{self.name}.pid"

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it in a session of its own, unless it runs; what a killed leader left behind is ended first."""
        if self.is_running():
            return
        self.stop()
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            subprocess.Popen(
                ["/bin/sh", "-c", _WRITE_RECORD_THEN_RUN, str(self._record), *command],
                env=dict(environment),
                cwd=self.run,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
            )
        wait_until(self.is_running, seconds=10, what=f"{self.name} to start", log=self.log)

    def is_running(self) -> bool:
        """True if the process that was started still runs."""
        leader = self._recorded()
        return leader is not None and bool(_alive({leader}))

    def stop(self, seconds: float = 20) -> None:
        """Ask it to end; after `seconds` end what is left of it and of everything it started."""
        leader = self._recorded()
        if leader is not None:
            family = _family(leader)
            if _signal(_alive({leader}), signal.SIGTERM):
                deadline = time.monotonic() + seconds
                while _alive(family) and time.monotonic() < deadline:
                    time.sleep(0.1)
                    family |= _family(leader)
            while _signal(_alive(family), signal.SIGKILL):
                time.sleep(0.05)
        self._record.unlink(missing_ok=True)

    def _recorded(self) -> Process | None:
        """The process as recorded, alive or not; None if its id has another meaning by now."""
        try:
            *_, stat, boot_id = self._record.read_text().splitlines()
        except (FileNotFoundError, ValueError):
            return None
        recorded = _parse(stat)
        now = _read(recorded.pid)
        is_reused = now is not None and now.started != recorded.started
        return None if is_reused or boot_id != _BOOT_ID.read_text().strip() else recorded


def wait_until(
    is_done: Callable[[], bool], *, seconds: float, what: str, log: Path, failed: Callable[[], bool] = lambda: False
) -> None:
    """Poll `is_done`; raise PlatformError with the log's end after `seconds`, or as soon as `failed`."""
    deadline = time.monotonic() + seconds
    while not is_done():
        if failed() or time.monotonic() > deadline:
            reason = "it ended" if failed() else f"waited {seconds:.0f} s"
            raise PlatformError(f"gave up waiting for {what}: {reason}; {log} ends with:\n{tail(log)}")
        time.sleep(0.2)


def http_get(url: str, timeout: float = 20) -> tuple[int, bytes] | None:
    """Status and body of a GET that uses no proxy; None if nothing answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, b""
    except (OSError, ValueError):
        return None


def answers(url: str) -> bool:
    """True if a server is there and not failing; a request to log in counts as an answer."""
    response = http_get(url)
    return response is not None and response[0] < _STATUS_MALFUNCTION


def tail(path: Path) -> str:
    """The last 15 lines of a log file, empty if there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16384))
        return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-15:])


def _parse(stat: str) -> Process:
    # The second field is the program's name in parentheses and may contain anything.
    pid, _, rest = stat.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    return Process(int(pid), fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


def _read(pid: int) -> Process | None:
    try:
        return _parse((_PROC / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def _family(leader: Process) -> set[Process]:
    """The leader's session and everything that descends from it.

    Linux keeps a session's id from being reused while a member lives, so this holds after the leader's death too.
    """
    everyone = [process for entry in _PROC.iterdir() if entry.name.isdigit() and (process := _read(int(entry.name)))]
    family = {process for process in everyone if process.session == leader.pid}
    while grown := {p for p in everyone if p not in family and p.parent in {member.pid for member in family}}:
        family |= grown
    return family


def _signal(processes: list[Process], number: int) -> int:
    """Send a signal to each; the number of processes there were."""
    for process in processes:
        with suppress(ProcessLookupError):  # ended by itself just now
            os.kill(process.pid, number)
    return len(processes)


def _alive(family: set[Process]) -> list[Process]:
    # Where nothing reaps orphans (many containers), the dead stay listed as zombies.
    return [p for p in family if (now := _read(p.pid)) and now.started == p.started and now.state not in "ZX"]
