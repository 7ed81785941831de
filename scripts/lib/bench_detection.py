"""Measure detection: many rules over a micro-batch and a back-test of one, beside ClickHouse's sequenceMatch (chdb).

scripts/bench detection                     200 rules on 1 million events: docs/benchmarks/detection.md
scripts/bench detection --millions 1 10
scripts/bench detection --millions 0.1 --rules 20 --dry
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
from pathlib import Path
from typing import Any

import pyarrow as pa
from bench import bank
from measuring import REPO, machine
from pyarrow import parquet

from journeymart.db import connect
from journeymart.definitions.loader import Document
from journeymart.definitions.rules import parse_rules
from journeymart.settings import Settings

RESULTS = REPO / "docs" / "benchmarks" / "detection.md"
PORT_BASE = 58300
MOST_STEPS = 4
WITHIN = 1800  # seconds between steps
TARGETS = {"micro-batch": "≤ 3 s (on 10 million)", "back-test": "≤ 10 s (on 10 million)"}
# The models of the last run that exist for rules; step_match has the conditions of funnels as well.
MODELS = """
    select node, seconds
    from ops.model_result
    where
        run_id = (select run_id from ops.publication order by publication_id desc limit 1)
        and node ~ '[.](int_(detection|trigger)__.*|detection|detection_pending|trigger|step_match|int_step__node)$'
    order by seconds desc
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
    arguments.add_argument("--rules", type=int, default=200)
    arguments.add_argument("--dry", action="store_true", help="print the results, write no file")
    given = arguments.parse_args()
    busy = os.getloadavg()[0]
    text = (
        "# Benchmarks: detection\n\n"
        f"{machine('scripts/bench detection')}; load average {busy:.1f} before the start. {given.rules} rules of two to"
        " four pages, each within 30 minutes of the one before. Rules are evaluated for everybody whom the micro-batch"
        " touches, as far back as each rule reaches, and published with evidence, step times and revisions. ClickHouse"
        " (sequenceMatch, chdb) answers the same question for the same people, yes or no for each, from one Parquet"
        " file.\n\n"
        "| events | | people hit, over all rules | journeymart s | ClickHouse s | target |\n"
        "|---|---|---:|---:|---:|---|\n"
    ) + "".join(row for millions in given.millions for row in _rows(millions, given.rules))
    print(text)
    if not given.dry:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text, encoding="utf-8")


def _rows(millions: float, number: int) -> list[str]:
    """Table rows of one size."""
    with bank(millions) as (zones, lines), tempfile.TemporaryDirectory(prefix="journeymart-bench-home-") as home:
        environment = {**os.environ, "JOURNEYMART_HOME": home}
        command = [sys.executable, "-m", "journeymart.cli"]

        def run(*arguments: str) -> None:
            subprocess.run([*command, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)

        run("up", "--only", "postgres", "--port-base", str(PORT_BASE))
        try:
            settings = Settings.load(environment)
            definitions = Path(home) / "definitions"
            definitions.mkdir()
            run("run", "--landing", str(zones / "full"))
            rules = _rules(settings, number)
            (definitions / "rules.yml").write_text(json.dumps({"rules": rules}))
            started = time.monotonic()
            run("definitions", "apply", str(definitions))
            print(f"{number} rules applied to the history: {time.monotonic() - started:.1f} s", file=sys.stderr)
            run("run", "--landing", str(zones / "micro"), "--definitions", str(definitions))
            return _measured(settings, Path(home), rules, command, environment, f"{lines['full'] / 1e6:.1f} million")
        finally:
            run("down")


def _measured(
    settings: Settings,
    home: Path,
    rules: list[dict[str, Any]],
    command: list[str],
    environment: dict[str, str],
    size: str,
) -> list[str]:
    pages = [[step["where"]["page_code"] for step in rule["steps"]] for rule in rules]
    with connect("jm_builder", settings=settings) as connection:
        by_model = connection.execute(MODELS).fetchall()
        micro = sum(seconds for _, seconds in by_model)
        print(*by_model, sep="\n", file=sys.stderr)
        ours = dict(
            connection.execute("select rule_id, count(distinct subject_key) from mart.detection group by 1").fetchall()
        )
        [(touched,)] = connection.execute(
            "select count(distinct (rule_id, subject_key)) from mart.detection"
            " where subject_key in (select s.subject_key from build.int_detection__subject as s)"
        ).fetchall()
        _export(connection, home / "events.parquet", """
            select coalesce(s.customer_key, e.customer_key, -e.visitor_key) as person,
                (extract(epoch from e.event_at) * 1000000)::bigint as t, n.code as page
            from mart.session_event as e
            inner join mart.session_fact as s on e.visitor_key = s.visitor_key and e.started_at = s.started_at
            inner join raw.node as n on e.node_id = n.node_id
        """)  # fmt: skip
        _export(connection, home / "people.parquet",
                "select distinct subject_key as person from build.int_detection__subject")  # fmt: skip
    chosen = max(range(len(rules)), key=lambda place: ours.get(rules[place]["id"], 0))
    draft = home / "draft.yml"
    draft.write_text(json.dumps({"rules": [rules[chosen]]}))
    started = time.monotonic()
    result = subprocess.run(
        [*command, "analyze", "rule", "--definition", str(draft), "--summary", "--json"],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    tested = time.monotonic() - started
    assert json.loads(result.stdout), "the back-test finds something"  # noqa: S101
    seconds_all, found_all = _peer(home, [pages[chosen]], "-")
    seconds_micro, found_micro = _peer(home, pages, str(home / "people.parquet"))
    expected = ours.get(rules[chosen]["id"], 0)
    return [
        f"| {size} | {len(rules)} rules, micro-batch of 10,000 | {touched:,} (ClickHouse"
        f" {sum(found_micro):,}) | {micro:.2f} | {seconds_micro:.2f} | {TARGETS['micro-batch']} |\n",
        f"| {size} | back-test of one rule | {expected:,} (ClickHouse {found_all[0]:,}) | {tested:.2f} |"
        f" {seconds_all:.2f} | {TARGETS['back-test']} |\n",
    ]


def _rules(settings: Settings, number: int) -> list[dict[str, Any]]:
    """Rules over what people do: pages that follow each other in sessions drawn at random."""
    chance = random.Random(1)  # noqa: S311 - rules of a benchmark
    with connect("jm_builder", settings=settings) as connection:
        sessions = [
            nodes
            for (nodes,) in connection.execute(
                """
                select array_agg(n.code order by e.event_no)
                from mart.session_event as e
                inner join raw.node as n on e.node_id = n.node_id and n.kind = 'page'
                where (e.visitor_key, e.started_at) in (
                    select f.visitor_key, f.started_at from mart.session_fact as f
                    where f.events > 8 order by f.visitor_key, f.started_at limit 5000
                )
                group by e.visitor_key, e.started_at
                """
            )
            if len(set(nodes)) > MOST_STEPS
        ]
    rules = []
    while len(rules) < number:
        nodes = list(dict.fromkeys(chance.choice(sessions)))
        steps = sorted(chance.sample(range(len(nodes)), min(len(nodes), chance.choice([2, 2, 3, MOST_STEPS]))))
        rules.append({
            "id": f"DR-{len(rules)}", "label": {"ko": "측정", "en": "Measured"}, "owner": "bench",
            "steps": [
                {"name": nodes[place], "source": "screen", "where": {"page_code": nodes[place]}}
                | ({"within": f"{WITHIN}s"} if order else {})
                for order, place in enumerate(steps)
            ],
        })  # fmt: skip
    parse_rules(Document("rules", Path("rules.yml"), {"rules": rules}, {}))
    return rules


def _export(connection: Any, path: Path, query: str) -> None:
    """The rows of a query as a Parquet file."""
    cursor = connection.execute(query)
    names = [column.name for column in cursor.description]
    rows = cursor.fetchall()
    parquet.write_table(pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)}), path)


def _peer(home: Path, pages: list[list[str]], people: str) -> tuple[float, list[int]]:
    python = Path(os.environ.get("JOURNEYMART_VENVS", REPO / ".venvs")) / "bench" / "bin" / "python"
    result = subprocess.run(
        [str(python), "-c", PEER, str(home / "events.parquet"), json.dumps(pages), people, str(WITHIN)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds, found = json.loads(result.stdout.splitlines()[-1])
    return seconds, found


if __name__ == "__main__":
    main()
