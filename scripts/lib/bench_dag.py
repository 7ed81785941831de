"""Measure the DAG: from a file in the landing zone to its numbers in the mart, and a run that finds nothing.

scripts/bench dag --micro ZONE           docs/benchmarks/dag.md
scripts/bench dag --micro ZONE --files 5 --dry

Measures the platform of JOURNEYMART_HOME, which has to be running, with JOURNEYMART_SCHEDULE=none and data of the size
that is of interest; the clickstream files of ZONE land on it one after the other, and stay.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import re
import shutil
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

from measuring import REPO, machine

from journeymart.db import connect
from journeymart.platform.dag import run_dag
from journeymart.settings import Settings

RESULTS = REPO / "docs" / "benchmarks" / "dag.md"
DAG = "customer_journey"
PATIENCE = 600.0  # seconds
PUBLISHED, NOTHING = 30.0, 20.0  # seconds that 95 of 100 runs may take (performance.md, P5 and P10)


def main() -> None:
    """Run what the arguments ask for and write the results file."""
    arguments = argparse.ArgumentParser(
        prog="scripts/bench dag", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--micro", type=Path, required=True, metavar="ZONE", help="files that have not landed yet")
    arguments.add_argument("--files", type=int, default=20, help="how many of them; a run for each")
    arguments.add_argument("--nothing", type=int, default=10, help="runs that find nothing")
    arguments.add_argument("--dry", action="store_true", help="print the results, write no file")
    given = arguments.parse_args()
    busy = os.getloadavg()[0]
    platform = Settings.load()
    tasks: dict[str, list[float]] = defaultdict(list)
    files = sorted((given.micro / "clickstream").rglob("*.ndjson.gz"))
    published = [
        _published(platform, file, file.relative_to(given.micro), tasks)
        for file in itertools.islice(files, given.files)
    ]
    if not published:
        arguments.error(f"{given.micro} has no clickstream")
    nothing = []
    for _ in range(given.nothing):
        begun = time.time()
        _run(platform, defaultdict(list))
        nothing.append(time.time() - begun)
    text = "\n".join(
        [
            "# The DAG",
            "",
            f"{machine('scripts/bench dag')}; load average {busy:.1f} before the start; {_size(platform)}. The run is"
            " started by hand as soon as the file is in its place: with the schedule, up to its interval comes on top.",
            "",
            "| what | runs | median s | 95 of 100 | most | target |",
            "|---|---:|---:|---:|---:|---|",
            _row("a file of 10,000 events, until its numbers are published", published, f"P5: ≤ {PUBLISHED:.0f} s"),
            _row("nothing new, until the run has ended", nothing, f"P10: ≤ {NOTHING:.0f} s"),
            "",
            "| task | median s |",
            "|---|---:|",
            *(f"| {task} | {statistics.median(seconds):.1f} |" for task, seconds in tasks.items()),
        ]
    )
    print(text)
    if not given.dry:
        RESULTS.write_text(text + "\n", encoding="utf-8")


def _published(platform: Settings, file: Path, place: Path, tasks: dict[str, list[float]]) -> float:
    """Seconds from the moment the file is in its place until the publication that has it."""
    target = platform.landing / place
    target.parent.mkdir(parents=True, exist_ok=True)
    arriving = target.with_name(f".{target.name}")
    shutil.copyfile(file, arriving)
    arriving.rename(target)
    target.with_name(f"{target.name}.done").touch()
    begun = time.time()
    run_id = _run(platform, tasks)
    with connect("jm_builder", settings=platform) as connection:
        row = connection.execute(
            "select extract(epoch from p.published_at)::double precision from ops.publication as p"
            " inner join raw.file as f using (run_id) where p.run_id = %s and f.path = %s",
            (run_id, str(place)),
        ).fetchone()
    if row is None:
        raise SystemExit(f"run {run_id} did not publish {place}")
    print(f"{place}: {row[0] - begun:.1f} s", file=sys.stderr)
    return float(row[0]) - begun


def _run(platform: Settings, tasks: dict[str, list[float]]) -> str:
    """Run the DAG to its end; its id. The seconds of its tasks are added to `tasks`."""

    def report(line: str) -> None:
        if ended := re.fullmatch(r"(\w+)(?: \[\d+\])?: success \((\d+) s\)", line):
            tasks[ended[1]].append(float(ended[2]))

    result = run_dag(platform, DAG, seconds=PATIENCE, report=report)
    if result["state"] != "success":
        raise SystemExit(f"the run ended as {result['state']}: see {result['url']}")
    return re.sub(r"[^A-Za-z0-9_.-]", "-", str(result["run_id"]))  # as the ledger keeps it


def _size(platform: Settings) -> str:
    with connect("jm_dashboard", settings=platform) as connection:
        row = connection.execute("select sum(events), count(*) from mart.session").fetchone()
    if row is None or row[0] is None:
        raise SystemExit(f"{platform.home}: nothing is published")
    return f"{row[0]:,} events in {row[1]:,} sessions"


def _row(what: str, seconds: list[float], target: str) -> str:
    ordered = sorted(seconds)
    most = ordered[math.ceil(0.95 * len(ordered)) - 1]
    limit = float(target.split()[-2])
    return (
        f"| {what} | {len(ordered)} | {statistics.median(ordered):.1f} | {most:.1f} | {ordered[-1]:.1f} |"
        f" {target}: {'met' if most <= limit else 'missed'} |"
    )


if __name__ == "__main__":
    main()
