"""What the benchmarks share: a server, and one command measured together with the PostgreSQL server it works on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from journeymart.platform import local
from journeymart.platform.postgres import Postgres
from journeymart.settings import Settings

REPO = Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")
PORT_BASE = 58300


@dataclass(frozen=True)
class Measured:
    """One command once: wall and CPU in seconds (ours and PostgreSQL's), peak memory in MB (ours and PostgreSQL's)."""

    wall: float
    cpu: float
    postgres_cpu: float
    own_memory: float
    postgres_memory: float
    database: float = 0.0  # seconds of its statements, where the command keeps count of them

    @property
    def memory(self) -> float:
        """Peak of both, which need not have been at the same moment."""
        return self.own_memory + self.postgres_memory


@contextmanager
def server(kept: Path | None = None) -> Iterator[Settings]:
    """A PostgreSQL server in a home of its own, or in one that is kept."""
    home = kept or Path(tempfile.mkdtemp(prefix="journeymart-bench-home-"))
    os.environ["JOURNEYMART_HOME"] = str(home)
    settings = local.up(lambda _line: None, port_base=PORT_BASE, only_postgres=True)
    try:
        yield settings
    finally:
        Postgres(settings).stop()
        if kept is None:
            shutil.rmtree(home)


def measure(settings: Settings, command: list[str], environment: dict[str, str]) -> Measured:
    """Run a command to its end. Exits with the end of its messages if it fails."""
    before = _postgres_cpu(settings)
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak = _Peak(settings, process.pid)
    errors = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    peak.stop()
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} failed:\n{errors.decode()[-3000:]}")
    return Measured(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        postgres_cpu=_postgres_cpu(settings) - before,
        own_memory=peak.own,
        postgres_memory=peak.postgres,
    )


def machine(command: str) -> str:
    """Under which circumstances `command` measured: day, commit, machine."""
    commit = subprocess.run(
        ["git", "-C", str(REPO), "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Written by `{command}`, {datetime.now(UTC):%Y-%m-%d}, commit {commit}; {platform.machine()}, "
        f"{os.cpu_count()} cores, {memory:.0f} GiB, embedded PostgreSQL 16"
    )


class _Peak:
    """Largest memory of a process, and of PostgreSQL's beside what they share, in MB. Looked at five times a second.

    ru_maxrss would say more: a child begins with the peak of its parent, which has the files in its memory.
    """

    def __init__(self, settings: Settings, pid: int) -> None:
        self.own = self.postgres = 0.0
        self._settings = settings
        self._status = Path(f"/proc/{pid}/status")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            self.own = max(self.own, _megabytes(self._status, "VmHWM:"))
            processes = Postgres(self._settings).process_ids()
            each = [_megabytes(Path(f"/proc/{process}/smaps_rollup"), "Pss_Anon:") for process in processes]
            self.postgres = max(self.postgres, sum(each))

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()


def _megabytes(file: Path, field: str) -> float:
    """A number of /proc; 0 once the process has ended. Of PostgreSQL Pss_Anon, because the kernel calls pages of shared
    buffers private while one process alone has used them."""
    try:
        text = file.read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(field)) / 1024


def _postgres_cpu(settings: Settings) -> float:
    """CPU seconds of the server so far: live processes, and ended ones as their parent counted them."""
    total = 0
    for process in Postgres(settings).process_ids():
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # ended meanwhile
            continue
        total += sum(int(fields[index]) for index in (11, 12, 13, 14))
    return total / TICK
