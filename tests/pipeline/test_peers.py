"""Funnels as other tools count them (`analyze funnel --as`): every policy that differs, on journeys read off by hand.

A journey is written as page, day and time; `=` is the account that is held constant. No more than 30 minutes lie
between two events of a session.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any, get_args

import pytest
from tests.conftest import Warehouses
from tests.pipeline.zone import Zone
from typer.testing import CliRunner, Result

from journeymart import pipeline
from journeymart.analysis import AnalysisError
from journeymart.analysis.peers import peers
from journeymart.cli import build_app
from journeymart.cli.analyze.funnels import Peer

DAY = ("--from", "2026-03-02", "--to", "2026-03-02")
X = [{"source": "screen", "where": {"page_code": "X"}}]
# peer, what is not as by default here, options, journeys, and (policy, entered by step) row by row
CASES: list[tuple[str, dict[str, Any], tuple[str, ...], dict[str, str], list[tuple[str, list[int]]]]] = [
    (
        "posthog", {"step_windows": [None, "30m"], "exclusions": X}, (),
        {
            "plain": "A 10:00, B 10:10",
            "again": "A 10:00, A 10:50, B 11:05",  # 65 minutes after the first entry, 15 after the latest
            "slow": "A 10:00, B 10:45",  # within the window, not within that of the step
            "excluded": "A 10:00, X 10:05, B 10:10",
            "excluded, then not": "A 10:00, X 10:05, A 10:20, B 10:30",
            "excluded, then less": "A 10:00, X 10:05, B 10:10, A 12:00",
        },
        [
            ("as defined", [6, 1]),  # plain
            ("step_windows", [6, 2]),  # and slow
            ("exclusion_mode", [3, 2]),  # those that were excluded are gone: their first attempt was
            # again; who was excluded and then not has an attempt without it; then less, too, whom PostHog leaves out
            ("entry", [5, 4]),
        ],
    ),
    (
        "posthog", {"hold": ["properties.account"], "count_by": "session"}, (),
        {
            "same": "A 10:00 =1, B 10:05 =1",
            "other": "A 10:00 =1, B 10:05 =2",
            "two sessions": "A 10:00 =1, A 12:00 =1, B 12:10 =1",
        },
        [
            ("as defined", [4, 2]),  # same, and the second of two sessions
            ("count_by", [3, 1]),  # of two sessions the first entry counts, 130 minutes before B
            ("hold", [3, 2]),  # other
            ("entry", [3, 3]),  # two sessions, from the second entry
        ],
    ),
    (
        "posthog", {}, DAY,
        {
            "the day before": "A 1 10:00, A 10:00, B 10:10",  # by the first entry ever not of this day
            "the day after": "A 23:50, B 3 00:10",
        },
        [
            ("as defined", [1, 1]),  # the day after
            ("dates", [2, 1]),  # the day before enters today; the B of the day after is not read
            ("entry", [2, 1]),
        ],
    ),
    (
        "mixpanel",
        {
            "pages": "AMB", "optional": "M", "count_by": "session", "step_windows": [None, None, "30m"],
            "exclusions": X, "exclusion_mode": "drop_person", "entry": "best",
        }, (),
        {
            "plain": "A 10:00, M 10:05, B 10:10",
            "without M": "A 10:00, B 10:10",
            "slow": "A 10:00, M 10:05, B 10:40",  # B in another session, 40 minutes after A, 35 after M
            "twice": "A 10:00, M 10:05, B 10:10, A 12:00, M 12:05, B 12:10",
            "excluded": "A 10:00, X 10:05, M 10:06, B 10:10",
            "again": "A 10:00, A 10:25, A 10:50, M 10:55, B 11:05",
        },
        [
            # plain, without M, again, twice two sessions; slow comes to M; excluded is not in it
            ("as defined", [6, 5, 5]),
            ("count_by", [5, 4, 4]),  # twice is one person
            ("optional", [5, 4, 3]),  # without M
            ("step_windows", [5, 4, 4]),  # slow
            ("exclusion_mode", [6, 4, 4]),  # excluded enters, and comes no further
            ("entry", [6, 4, 3]),  # again: from the first entry on, M is in time and B is not
        ],
    ),
    (
        "mixpanel", {"order": "strict"}, DAY,
        {
            "direct": "A 10:00, B 10:10",
            "C between": "A 10:00, C 10:05, B 10:10",
            "the day before": "A 1 10:00, A 10:00, B 10:05",
            "the day after": "A 23:50, B 3 00:10",
        },
        [
            ("as defined", [3, 2]),  # direct, the day after; C between enters
            ("dates", [4, 3]),  # the day before enters today
            ("order", [4, 4]),  # C between
        ],
    ),
    (
        "ga4", {"pages": "ABCD", "step_windows": [None, "30m", "30m", "30m"], "exclusions": X}, (),
        {
            "long": "A 10:00, B 10:25, C 10:50, D 11:15",  # 25 minutes each, 75 in all
            "excluded": "A 10:00, X 10:05, B 10:10, C 10:15, D 10:20",
            "again": "A 10:00, A 11:30, B 11:40, C 11:50, D 12:00",
        },
        [
            ("as defined", [3, 1, 1, 0]),  # long comes to C
            ("window", [3, 1, 1, 1]),  # long
            ("exclusions", [3, 2, 2, 2]),  # excluded
            ("entry", [3, 3, 3, 3]),  # again, from the second entry
        ],
    ),
    (
        "ga4", {"order": "any", "window": None, "hold": ["properties.account"], "count_by": "session"}, (),
        {
            "in order": "A 10:00 =1, B 10:05 =1",
            "reversed": "B 10:00 =1, A 10:05 =1",
            "other": "A 10:00 =1, B 10:05 =2",
            "two sessions": "A 10:00 =1, B 12:00 =1",
        },
        [
            ("as defined", [5, 2]),  # one or two steps of five sessions: in order and reversed two
            ("count_by", [4, 3]),  # two sessions are one person with two steps
            ("order", [4, 2]),  # reversed comes to A only
            ("hold", [4, 3]),  # other
            ("entry", [4, 3]),
        ],
    ),
    (
        "ga4", {"pages": "AMB", "optional": "M", "window": None, "entry": "best"}, DAY,
        {
            "without M": "A 10:00, B 10:10",
            "full": "A 10:00, M 10:05, B 10:10",
            "the day after": "A 23:50, M 23:55, B 3 00:05",
        },
        [
            ("as defined", [3, 2, 3]),
            ("dates", [3, 2, 2]),  # the B of the day after is not read
            ("optional", [3, 2, 1]),  # without M
        ],
    ),
    (
        "amplitude", {"count_by": "session", "step_windows": [None, "30m"], "exclusions": X}, (),
        {
            "plain": "A 10:00, B 10:10",
            "slow": "A 10:00, B 10:45",
            "two sessions": "A 10:00, A 12:00, B 12:10",
            "excluded": "A 10:00, X 10:05, B 10:10",
        },
        [
            ("as defined", [5, 2]),  # plain, and the second of two sessions
            ("count_by", [4, 1]),  # of two sessions the first entry
            ("step_windows", [4, 2]),  # slow
            ("exclusion_mode", [3, 2]),  # excluded is gone
            ("entry", [3, 3]),  # two sessions: the longest way
        ],
    ),
    (
        "amplitude", {"entry": "best"}, DAY,
        {
            "the day before": "A 1 10:00, B 1 10:05, A 10:00, B 10:10",  # the earliest of the longest is yesterday's
            "the day after": "A 23:50, B 3 00:10",
        },
        [
            ("as defined", [1, 1]),  # the day after
            ("dates", [2, 2]),  # the day before enters today
        ],
    ),
    (
        "clickhouse",
        {
            "pages": "AMB", "optional": "M", "count_by": "attempt", "step_windows": [None, None, "30m"],
            "exclusions": X,
        }, (),
        {
            "plain": "A 10:00, M 10:05, B 10:10",
            "twice": "A 10:00, M 10:05, B 10:10, A 12:00, M 12:05, B 12:10",
            "without M": "A 10:00, B 10:10",
            "slow": "A 10:00, M 10:05, B 10:40",  # B 40 minutes after A, 35 after M
            "excluded": "A 10:00, X 10:02, M 10:05, B 10:10",
            "again": "A 10:00, A 10:50, M 10:55, B 11:05",  # two attempts: the first waits for B until 10:30
        },
        [
            # eight attempts; M in all but without M, excluded and the first of again, whose time was over by then; B in
            # plain, twice two, without M, the second of again
            ("as defined", [8, 5, 5]),
            ("count_by", [6, 3, 3]),  # the first of twice and of again
            ("optional", [6, 4, 2]),  # without M; the M of again is in time for itself
            ("step_windows", [6, 4, 3]),  # slow
            ("exclusions", [6, 5, 4]),  # excluded
            ("entry", [6, 5, 5]),  # again
        ],
    ),
    (
        "clickhouse", {"order": "any"}, DAY,
        {
            "in order": "A 10:00, B 10:05",
            "reversed": "B 10:00, A 10:05",
            "the day after": "A 23:50, B 3 00:05",
        },
        [
            ("as defined", [3, 3]),
            ("dates", [3, 2]),  # the B of the day after is not read
            ("order", [3, 1]),  # reversed comes to A only
            ("entry", [3, 1]),
        ],
    ),
]  # fmt: skip
EVENT = re.compile(r"(?P<page>\w)(?: (?P<day>\d))? (?P<time>\d\d:\d\d)(?: =(?P<account>\d))?")


def funnel(number: int) -> dict[str, Any]:
    """The funnel of a case; its pages are its own."""
    given = dict(CASES[number][1])
    pages, optional = given.pop("pages", "AB"), given.pop("optional", "")

    def own(page: str) -> dict[str, Any]:
        return {"source": "screen", "where": {"page_code": f"{number}{page}"}}

    if "exclusions" in given:
        given["exclusions"] = [own("X")]
    return {
        "id": f"FN-{number}", "label": {"ko": "시험", "en": "Test"}, "owner": "tests", "window": "1h",
        "steps": [{"name": page, "optional": page in optional, **own(page)} for page in pages], **given,
    }  # fmt: skip


@pytest.fixture(scope="module")
def bank(warehouses: Warehouses, tmp_path_factory: pytest.TempPathFactory) -> Zone:
    zone = Zone(tmp_path_factory.mktemp("bank") / "landing", warehouses.create())
    zone.put("clickstream/a.ndjson", [
        {"event_id": f"{number}{name}{place}", "visitor_id": f"{number}{name}", "customer_id": f"{number}{name}",
         "event_time": f"2026-03-0{event['day'] or 2}T{event['time']}:00+09:00",
         "page_code": f"{number}{event['page']}", "properties": {"account": event["account"]}}
        for number, (_, _, _, journeys, _) in enumerate(CASES)
        for name, journey in journeys.items()
        for place, event in enumerate(EVENT.finditer(journey))
    ])  # fmt: skip
    directory = zone.define(json.dumps({"funnels": [funnel(0)]}), "funnels")
    pipeline.run(zone.settings, zone.directory, definitions=directory)
    (directory / "drafts.yml").write_text(json.dumps({"funnels": [funnel(number) for number in range(len(CASES))]}))
    return zone


def ask(bank: Zone, monkeypatch: pytest.MonkeyPatch, *options: str) -> Result:
    for name, value in (("HOST", "pg_host"), ("PORT", "pg_port"), ("DATABASE", "pg_database")):
        monkeypatch.setenv(f"JOURNEYMART_PG_{name}", str(getattr(bank.settings, value)))
    return CliRunner().invoke(build_app(), ["analyze", "funnel", *options, "--json"])


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: f"{CASES[number][0]}-{number}")
def test_every_policy_that_differs_changes_the_number_as_read_off(
    bank: Zone, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    peer, _, options, _, wanted = CASES[number]
    drafts = str(bank.directory.parent / "definitions" / "drafts.yml")
    answer = ask(bank, monkeypatch, "--definition", drafts, "--id", f"FN-{number}", "--as", peer, *options)
    rows = json.loads(answer.stdout)
    changed = [row for row in rows if row["no"] is not None]
    assert [(row["policy"], row["entered"]) for row in changed] == wanted
    last = [entered[-1] for _, entered in wanted]
    assert [row["change"] for row in changed[1:]] == [after - before for before, after in pairwise(last)]
    assert all(row["ours"] != row["theirs"] and row["why"] and row["source"] for row in changed[1:])
    assert (rows[-1]["entered"], rows[-1]["change"]) == (wanted[-1][1], last[-1] - last[0])
    assert rows[-1]["policy"] == f"as {peers()[peer].name}"
    told = rows[len(changed) : -1]
    assert told and all(row["entered"] is None and row["why"].startswith("not reproduced: ") for row in told)


def test_a_published_funnel_is_asked_for_by_its_file(
    bank: Zone, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """The numbers of the file are those of the mart only while it is what is published."""
    directory = bank.directory.parent / "definitions"
    answer = ask(bank, monkeypatch, "--id", "FN-0", "--as", "posthog", "--definitions", str(directory))
    assert [row["entered"] for row in json.loads(answer.stdout) if row["no"] is not None] == [
        entered for _, entered in CASES[0][4]
    ]
    (tmp_path / "funnels.yml").write_text(json.dumps({"funnels": [funnel(0) | {"window": "2h"}]}))
    refused = ask(bank, monkeypatch, "--id", "FN-0", "--as", "posthog", "--definitions", str(tmp_path))
    assert isinstance(refused.exception, AnalysisError)
    assert "otherwise than it is published" in str(refused.exception)


def test_what_no_funnel_here_can_say_is_told(bank: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a period, Mixpanel looks at the first entry; with order: any, that may be any step."""
    drafts = str(bank.directory.parent / "definitions" / "drafts.yml")
    answer = ask(bank, monkeypatch, "--definition", drafts, "--id", "FN-11", "--as", "mixpanel", *DAY)
    rows = json.loads(answer.stdout)
    assert [row["policy"] for row in rows if row["no"] is None] == ["dates", "ties", "as Mixpanel"]
    assert all(row["source"] for row in rows[1:-1])
    answer = ask(bank, monkeypatch, "--definition", drafts, "--id", "FN-0", "--as", "posthog")
    assert [row["policy"] for row in json.loads(answer.stdout) if row["no"] is None] == [
        "ties", "exclusions", "as PostHog",
    ]  # fmt: skip


def test_every_tool_can_be_named() -> None:
    assert set(peers()) == set(get_args(Peer))
