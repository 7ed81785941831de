"""Run one command and measure it together with the PostgreSQL server it works on."""

from __future__ import annotations

import os
import platform
import subprocess
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from journeymart.platform.postgres import Postgres
from journeymart.settings import Settings

REPO = Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")


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


def measure(settings: Settings, command: list[str], environment: dict[str, str]) -> Measured:
    """Run a command to its end. Exits with the end of its messages if it fails."""
    before = _postgres_cpu(settings)
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak = _Peak(settings)
    errors = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    postgres_memory = peak.stop()
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} failed:\n{errors.decode()[-3000:]}")
    return Measured(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        postgres_cpu=_postgres_cpu(settings) - before,
        own_memory=usage.ru_maxrss / 1024,
        postgres_memory=postgres_memory,
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
    """Largest memory of PostgreSQL's processes beside what they share, sampled every half second, in MB."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._peak = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            self._peak = max(self._peak, sum(map(_own_memory, _postgres_processes(self._settings))))

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._peak


def _postgres_processes(settings: Settings) -> list[Path]:
    data = Postgres(settings).data
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == data:
                found.append(entry)
        except OSError:  # ended meanwhile
            continue
    return found


def _own_memory(process: Path) -> float:
    """Without shared buffers, whose pages the kernel calls private while one process alone has used them."""
    try:
        text = (process / "smaps_rollup").read_text()
    except OSError:  # ended meanwhile
        return 0.0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss_Anon:")) / 1024


def _postgres_cpu(settings: Settings) -> float:
    """CPU seconds of the server so far: live processes, and ended ones as their parent counted them."""
    total = 0
    for process in _postgres_processes(settings):
        try:
            fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # ended meanwhile
            continue
        total += sum(int(fields[index]) for index in (11, 12, 13, 14))
    return total / TICK
