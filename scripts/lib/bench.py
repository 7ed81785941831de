"""Measure a full build, one more day and a micro-batch, each stage in a process of its own (see scripts/bench)."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from measuring import Measured, machine, measure

from journeymart.db import connect
from journeymart.settings import Settings

REPO = Path(__file__).resolve().parents[2]
STAGES = ("land", "build", "validate", "publish")
IDLE = "nothing new"
SCENARIOS = {  # the stages of each, after those before it
    "full build": STAGES,
    "one more day": STAGES,
    "micro-batch of 10,000": STAGES,
    IDLE: STAGES[:2],
}
ZONES = ("full", "day", "micro", "micro")
DAYS = 30
MICRO_EVENTS = 10_000
# performance.md's targets, with how each is read from a measurement
TARGETS = {
    ("full build", "land"): "P1: ≥ 150,000 events/s",
    ("full build", "build to publish"): "P3: ≥ 300,000 events/s",
    ("one more day", "database"): "P4: ≤ 5 s of database work (on 10 million)",
    ("micro-batch of 10,000", "database"): "P5: ≤ 1 s of database work (on 10 million)",
    (IDLE, "build"): "P10: ≤ 3 s of database work",
}
STORAGE_TARGET = "P11: ≤ 120 bytes in mart"
# Bytes by schema, indexes included; free space that a later run will fill again too.
STORAGE = """
    select n.nspname, sum(pg_total_relation_size(c.oid))::bigint
    from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname in ('raw', 'mart') group by 1"""


def main() -> None:
    """Run what the arguments ask for and write the results file."""
    arguments = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    arguments.add_argument("--millions", type=float, nargs="+", default=[1, 10], help="events, in millions")
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--dry", action="store_true", help="print the results, write no file")
    given = arguments.parse_args()
    sections = []
    busy = os.getloadavg()[0]
    for millions in given.millions:
        with bank(millions) as (zones, events):
            runs = [_run(zones, number) for number in range(given.runs)]
            sections.append(_section(millions, events, [run for run, _ in runs], runs[-1][1]))
    text = _head(given.runs, busy) + "\n".join(sections)
    print(text)
    if not given.dry:
        (REPO / "docs" / "benchmarks.md").write_text(text, encoding="utf-8")


@contextmanager
def bank(millions: float) -> Iterator[tuple[Path, dict[str, int]]]:
    """Landing zones of a synthetic bank: `full`, `day` and `micro`; and the number of clickstream lines in each."""
    folder = Path(tempfile.mkdtemp(prefix="journeymart-bench-"))
    try:
        _sample(folder / "full", "--events", str(int(millions * 1e6)), "--days", str(DAYS))
        found = json.loads((folder / "full" / "truth.json").read_text())["parameters"]
        same = ("--customers", str(found["customers"]), "--nodes", str(found["nodes"]))
        _sample(folder / "day", *same, "--days", str(DAYS + 1), "--from-day", str(DAYS + 1))
        _sample(
            folder / "rest", *same, "--days", str(DAYS + 2), "--from-day", str(DAYS + 2),
            "--file-events", str(MICRO_EVENTS),
        )  # fmt: skip
        first = min((folder / "rest" / "clickstream").rglob("*.ndjson.gz"))
        target = folder / "micro" / first.relative_to(folder / "rest")
        target.parent.mkdir(parents=True)
        shutil.copy2(first, target)
        lines = {name: _lines(folder / name) for name in ("full", "day", "micro")}
        yield folder, lines
    finally:
        shutil.rmtree(folder)


def _sample(out: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "journeymart.cli", "sample", "--out", str(out), "--format", "ndjson", *arguments],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _lines(landing: Path) -> int:
    return sum(
        int(subprocess.run(f"zcat '{file}' | wc -l", shell=True, check=True, capture_output=True).stdout)  # noqa: S602
        for file in (landing / "clickstream").rglob("*.ndjson.gz")
    )


def _run(bank: Path, number: int) -> tuple[dict[tuple[str, str], Measured], dict[str, int]]:
    """The scenarios one after the other on a new warehouse: what was measured, and bytes by schema in the end."""
    home = Path(tempfile.mkdtemp(prefix="journeymart-bench-home-"))
    environment = {**os.environ, "JOURNEYMART_HOME": str(home)}
    command = [sys.executable, "-m", "journeymart.cli"]
    try:
        subprocess.run(
            [*command, "up", "--only", "postgres", "--port-base", "58300"], env=environment, check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        settings = Settings.load(environment)
        result = {}
        for (scenario, stages), zone in zip(SCENARIOS.items(), ZONES, strict=True):
            run_id = f"bench-{number}-{scenario.replace(' ', '-')}"
            for stage in stages:
                step = [*command, "step", stage, "--run-id", run_id, "--landing", str(bank / zone)]
                measured = measure(settings, step, environment)
                if stage == "build":
                    measured = replace(measured, database=_database_seconds(settings, run_id))
                result[scenario, stage] = measured
                print(f"{scenario}, {stage}: {result[scenario, stage].wall:.1f} s", file=sys.stderr)
        with connect("jm_builder", settings=settings) as connection:
            return result, dict(connection.execute(STORAGE).fetchall())
    finally:
        subprocess.run([*command, "down"], env=environment, check=True, stderr=subprocess.DEVNULL)
        shutil.rmtree(home)


def _database_seconds(settings: Settings, run_id: str) -> float:
    """Seconds the run's models, seeds and tests took in the database, one after the other."""
    with connect("jm_builder", settings=settings) as connection:
        row = connection.execute("select sum(seconds) from ops.model_result where run_id = %s", (run_id,)).fetchone()
    return float(row[0]) if row and row[0] else 0.0


def _head(runs: int, busy: float) -> str:
    return (
        "# Benchmarks\n\n"
        f"{machine('scripts/bench')}; load average {busy:.1f} before the start. "
        f"Median of {runs} run{'s' if runs > 1 else ''} (least–most for the wall clock), each on a new warehouse. "
        "CPU seconds hold on a busy machine, wall clocks do not. Every stage is a process of its own, so its start "
        "(about 3 s for dbt, 4 s for Great Expectations) is in the wall clock. CPU: the stage's own + PostgreSQL's. "
        "Memory: peak of the stage + peak of PostgreSQL's processes, without shared buffers. Database: sum "
        "over models and tests. Analyses beside other engines: [benchmarks/engine.md](benchmarks/engine.md); landing "
        "by format: [benchmarks/landing.md](benchmarks/landing.md). "
        "Detection: [benchmarks/detection.md](benchmarks/detection.md); "
        "the DAG: [benchmarks/dag.md](benchmarks/dag.md).\n\n"
    )


def _section(
    millions: float, events: dict[str, int], runs: list[dict[tuple[str, str], Measured]], stored: dict[str, int]
) -> str:
    lines = [
        f"## {millions:g} million events\n",
        "| scenario | stage | wall s | CPU s | memory MB | database s | events/s | target |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for (scenario, stages), zone in zip(SCENARIOS.items(), ZONES, strict=True):
        for stage in stages:
            all_runs = [run[scenario, stage] for run in runs]
            walls = sorted(item.wall for item in all_runs)
            wall = statistics.median(walls)
            lines.append(
                f"| {scenario} | {stage} | {wall:.1f} ({walls[0]:.1f}–{walls[-1]:.1f}) |"
                f" {_median(all_runs, 'cpu'):.1f} + {_median(all_runs, 'postgres_cpu'):.1f} |"
                f" {_median(all_runs, 'memory'):,.0f} |"
                f" {format(_median(all_runs, 'database'), '.1f') if stage == 'build' else ''} |"
                f" {'' if scenario == IDLE else format(events[zone] / wall, ',.0f')} |"
                f" {TARGETS.get((scenario, stage), '')} |"
            )
        if scenario == IDLE:
            continue
        rest = statistics.median(
            [sum(run[scenario, stage].wall for stage in STAGES if stage != "land") for run in runs]
        )
        target = TARGETS.get((scenario, "build to publish")) or TARGETS.get((scenario, "database"), "")
        lines.append(
            f"| {scenario} | **build to publish** | {rest:.1f} | | | | {events[zone] / rest:,.0f} | {target} |"
        )
    landed = sum(events.values())
    lines.append(
        f"\nLines: {events['full']:,} in the full build, {events['day']:,} in one more day, {events['micro']:,} in the"
        f" micro-batch. Stored in the end, with all indexes: {stored['mart'] / landed:.0f} bytes a line in mart,"
        f" {stored['raw'] / landed:.0f} in raw ({STORAGE_TARGET}).\n"
    )
    return "\n".join(lines)


def _median(runs: list[Measured], field: str) -> float:
    return statistics.median(getattr(run, field) for run in runs)


if __name__ == "__main__":
    main()
