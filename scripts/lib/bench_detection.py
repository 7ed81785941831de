"""Measure detection: many rules over a micro-batch and a back-test of one, beside ClickHouse's sequenceMatch (chdb).

scripts/bench detection                     200 rules on 1 million events: docs/benchmarks/detection.md
scripts/bench detection --millions 1 10
scripts/bench detection --millions 0.1 --rules 20 --dry
scripts/bench detection --micro ZONE        on the warehouse of JOURNEYMART_HOME, with a micro-batch that has not landed

The last changes the warehouse, which has to be running: its rules become those of the bench, and the batch stays. Use a
copy. What is written below "## Notes" in the results is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pyarrow as pa
from bench import bank
from measuring import PORT_BASE, REPO, machine
from psycopg.sql import SQL
from pyarrow import csv, parquet

from journeymart.db import connect
from journeymart.definitions.loader import Document
from journeymart.definitions.rules import parse_rules
from journeymart.settings import Settings

RESULTS = REPO / "docs" / "benchmarks" / "detection.md"
MOST_STEPS = 4
WITHIN = 1800  # seconds between steps
RARE = 0.01  # of the events, at most, are views of a page that rules are about
COMMAND = [sys.executable, "-m", "journeymart.cli"]
NOTES = "## Notes"
TARGETS = {"micro-batch": "≤ 3 s (on 10 million)", "back-test": "≤ 10 s (on 10 million)"}
# The models of the last run that exist for rules; step_match has the conditions of funnels as well. The steps of a rule
# are a funnel too: its report.
MODELS = """
    select
        node,
        seconds,
        node ~ '[.](int_(detection|trigger)__.*|detection|detection_pending|trigger|step_match|int_step__node)$',
        node ~ '[.](int_funnel__.*|funnel_entry|funnel_step)$'
    from ops.model_result
    where run_id = (select run_id from ops.publication order by publication_id desc limit 1)
    order by seconds desc
"""
# Pages, the most visited first.
VISITED = """
    select n.code
    from mart.session_event as e
    inner join raw.node as n on e.node_id = n.node_id and n.kind = 'page'
    group by n.code
    order by count(*) desc, n.code
"""
# The rare pages of long sessions, in the order in which they are visited.
SESSIONS = """
    with rare as (
        select node_id
        from mart.session_event
        group by node_id
        having count(*) <= %(rare)s * (select sum(events) from mart.session)
    )

    select array_agg(n.code order by e.event_no)
    from mart.session_event as e
    inner join raw.node as n on e.node_id = n.node_id and n.kind = 'page'
    where e.node_id in (select r.node_id from rare as r)
    group by e.visitor_key, e.started_at
    having count(distinct n.code) >= %(steps)s
    order by e.visitor_key, e.started_at
    limit 5000
"""
# What chdb's Python is given: a Parquet file of person, t (microseconds) and page, and the rules as lists of pages.
PEER = """
import json, sys, time
import chdb
events, rules, people, within = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], int(sys.argv[4]) * 1_000_000
def match(pages):
    pattern = f"(?t<={within})".join(f"(?{n})" for n in range(1, len(pages) + 1))
    return f"sequenceMatch('{pattern}')(toUInt64(t), " + ", ".join(f"page = '{page}'" for page in pages) + ")"
where = f"where person in (select person from file('{people}', Parquet))" if people != "-" else ""
columns = ", ".join(f"sum(m{n})" for n in range(len(rules)))
inner = ", ".join(f"{match(pages)} as m{n}" for n, pages in enumerate(rules))
matched = f"select person, {inner} from file('{events}', Parquet) {where} group by person"
chdb.query("select 1")
started = time.monotonic()
answer = json.loads(str(chdb.query(f"select {columns} from ({matched})", "JSONCompact")))
print(json.dumps([time.monotonic() - started, [int(n) for n in answer["data"][0]]]))
"""


def main() -> None:
    """Run what the arguments ask for and write the results file."""
    arguments = argparse.ArgumentParser(
        prog="scripts/bench detection", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--millions", type=float, nargs="+", default=[1], help="events, in millions")
    arguments.add_argument("--micro", type=Path, metavar="ZONE", help="use JOURNEYMART_HOME and land this on it")
    arguments.add_argument("--rules", type=int, default=200)
    arguments.add_argument("--dry", action="store_true", help="print the results, write no file")
    given = arguments.parse_args()
    busy = os.getloadavg()[0]
    rows = _rows(given.micro, given.rules) if given.micro else ""
    for millions in [] if given.micro else given.millions:
        with _warehouse(millions) as micro:
            rows += _rows(micro, given.rules)
    text = (
        "# Benchmarks: detection\n\n"
        f"{machine('scripts/bench detection')}; load average {busy:.1f} before the start. {given.rules} rules of two to"
        " four pages, each within 30 minutes of the one before, as people visit them in sessions drawn at random; of"
        f" pages that at most {RARE:.0%} of the events view each, because what nearly everybody does is no"
        " reason to act. Rules are evaluated for everybody whom the micro-batch of 10,000 events touches, as far back"
        " as each rule reaches, and published with evidence, step times and revisions: the seconds of all models that"
        " exist for rules, and of those of the step reports. A back-test is `journeymart analyze rule --summary` by"
        " the clock, start of the process included: of the rule that is found most, and of one of two steps that"
        " begins with the most visited page, as costly as a draft gets. ClickHouse (sequenceMatch, chdb) answers the"
        " same question for the same people, yes or no for each, from one Parquet file.\n\n"
        "| events | | people hit, over all rules | journeymart s | ClickHouse s | target |\n"
        f"|---|---|---:|---:|---:|---|\n{rows}"
    )
    print(text)
    if not given.dry:
        _, heading, notes = RESULTS.read_text(encoding="utf-8").partition(NOTES)
        RESULTS.write_text(f"{text}\n{heading}{notes}", encoding="utf-8")


@contextmanager
def _warehouse(millions: float) -> Iterator[Path]:
    """A new warehouse of this size as JOURNEYMART_HOME; gives a micro-batch that has not landed."""
    before = dict(os.environ)
    with bank(millions) as (zones, _), tempfile.TemporaryDirectory(prefix="journeymart-bench-home-") as home:
        os.environ["JOURNEYMART_HOME"] = home
        _run("up", "--only", "postgres", "--port-base", str(PORT_BASE))
        try:
            _run("run", "--landing", str(zones / "full"))
            yield zones / "micro"
        finally:
            _run("down")
            os.environ.clear()
            os.environ.update(before)


def _run(*arguments: str) -> str:
    return subprocess.run([*COMMAND, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def _rows(micro: Path, number: int) -> str:
    """Table rows of the warehouse of JOURNEYMART_HOME."""
    settings = Settings.load()
    with tempfile.TemporaryDirectory(prefix="journeymart-bench-") as folder:
        (definitions := Path(folder) / "definitions").mkdir()
        rules = _rules(settings, number)
        (definitions / "rules.yml").write_text(json.dumps({"rules": rules}))
        started = time.monotonic()
        _run("definitions", "apply", str(definitions))
        print(f"{number} rules applied to the history: {time.monotonic() - started:.1f} s", file=sys.stderr)
        _run("run", "--landing", str(micro), "--definitions", str(definitions))
        return _measured(settings, Path(folder), rules)


def _measured(settings: Settings, folder: Path, rules: list[dict[str, Any]]) -> str:
    with connect("jm_builder", settings=settings) as connection:
        models = connection.execute(MODELS).fetchall()
        print(*models, sep="\n", file=sys.stderr)
        [(events,)] = connection.execute("select sum(events) from mart.session").fetchall()
        ours = dict(
            connection.execute("select rule_id, count(distinct subject_key) from mart.detection group by 1").fetchall()
        )
        [(touched,)] = connection.execute(
            "select count(distinct (rule_id, subject_key)) from mart.detection"
            " where subject_key in (select s.subject_key from build.int_detection__subject as s)"
        ).fetchall()
        _export(connection, folder / "events.parquet", """
            select coalesce(s.customer_key, e.customer_key, -e.visitor_key) as person,
                (extract(epoch from e.event_at) * 1000000)::bigint as t, n.code as page
            from mart.session_event as e
            inner join mart.session_fact as s on e.visitor_key = s.visitor_key and e.started_at = s.started_at
            inner join raw.node as n on e.node_id = n.node_id
        """)  # fmt: skip
        _export(connection, folder / "people.parquet",
                "select distinct subject_key as person from build.int_detection__subject")  # fmt: skip
        visited = [code for (code,) in connection.execute(VISITED)]
    size = f"{events / 1e6:.1f} million"
    of_rules, of_steps = (sum(model[1] for model in models if model[place]) for place in (2, 3))
    seconds, found = _peer(folder, [_pages(rule) for rule in rules], str(folder / "people.parquet"))
    rows = [
        f"| {size} | {len(rules)} rules, {sum(ours.values()):,} people hit in all; micro-batch |"
        f" {touched:,} (ClickHouse {sum(found):,}) | {of_rules:.2f} | {seconds:.2f} | {TARGETS['micro-batch']} |\n",
        f"| {size} | step reports of these rules | | {of_steps:.2f} | | |\n",
    ]
    most = max(rules, key=lambda rule: ours.get(rule["id"], 0))
    for rule in (most, _rule("DR-DRAFT", [visited[0], visited[9]])):
        draft = folder / "draft.yml"
        draft.write_text(json.dumps({"rules": [rule]}))
        started = time.monotonic()
        days = json.loads(_run("analyze", "rule", "--definition", str(draft), "--summary", "--json"))
        tested = time.monotonic() - started
        seconds, [people] = _peer(folder, [_pages(rule)], "-")
        # how many a draft finds in all is not in the summary
        found_by_us = f"{ours[rule['id']]:,}" if rule is most else ""
        rows.append(
            f"| {size} | back-test of {' → '.join(_pages(rule))}, {sum(day['hits'] for day in days):,} hits |"
            f" {found_by_us} (ClickHouse {people:,}) | {tested:.2f} | {seconds:.2f} | {TARGETS['back-test']} |\n"
        )
    return "".join(rows)


def _pages(rule: dict[str, Any]) -> list[str]:
    return [step["where"]["page_code"] for step in rule["steps"]]


def _rules(settings: Settings, number: int) -> list[dict[str, Any]]:
    """Rules over what people do: pages that follow each other in sessions drawn at random."""
    chance = random.Random(1)  # noqa: S311 - rules of a benchmark
    with connect("jm_builder", settings=settings) as connection:
        sessions = [nodes for (nodes,) in connection.execute(SESSIONS, {"rare": RARE, "steps": MOST_STEPS})]
    rules: list[dict[str, Any]] = []
    while len(rules) < number:
        nodes = list(dict.fromkeys(chance.choice(sessions)))
        steps = sorted(chance.sample(range(len(nodes)), chance.choice([2, 2, 3, MOST_STEPS])))
        rules.append(_rule(f"DR-{len(rules)}", [nodes[place] for place in steps]))
    parse_rules(Document("rules", Path("rules.yml"), {"rules": rules}, {}))
    return rules


def _rule(rule_id: str, pages: list[str]) -> dict[str, Any]:
    return {
        "id": rule_id, "label": {"ko": "측정", "en": "Measured"}, "owner": "bench",
        "steps": [
            {"name": page, "source": "screen", "where": {"page_code": page}}
            | ({"within": f"{WITHIN}s"} if order else {})
            for order, page in enumerate(pages)
        ],
    }  # fmt: skip


def _export(connection: psycopg.Connection, path: Path, query: LiteralString) -> None:
    """The rows of a query as a Parquet file."""
    with connection.cursor().copy(SQL("copy ({}) to stdout (format csv, header)").format(SQL(query))) as copy:
        rows = csv.read_csv(pa.BufferReader(b"".join(copy)))
    parquet.write_table(rows, path)


def _peer(folder: Path, pages: list[list[str]], people: str) -> tuple[float, list[int]]:
    python = Path(os.environ.get("JOURNEYMART_VENVS", REPO / ".venvs")) / "bench" / "bin" / "python"
    result = subprocess.run(
        [str(python), "-c", PEER, str(folder / "events.parquet"), json.dumps(pages), people, str(WITHIN)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds, found = json.loads(result.stdout.splitlines()[-1])
    return seconds, found


if __name__ == "__main__":
    main()
