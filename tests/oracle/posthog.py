"""PostHog's recorded questions on paths, groups of persons and trends, in our words, or why they cannot be put."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.paths import EXIT
from tests.oracle.recorded import UnexpressedError

Ask = Callable[..., list[tuple[Any, ...]]]
LABEL = {"ko": "시험", "en": "Test"}
PAGE, SCREEN = "$pageview", "$screen"


@dataclass
class Question:
    """The lines and definitions that one question needs, and whether our answer is the recorded one."""

    name: str
    lines: list[dict[str, Any]]
    holds: Callable[[Ask], bool]
    segments: list[dict[str, Any]] = field(default_factory=list)
    cohorts: list[dict[str, Any]] = field(default_factory=list)
    kpis: list[dict[str, Any]] = field(default_factory=list)
    funnels: list[dict[str, Any]] = field(default_factory=list)
    customers: list[dict[str, Any]] = field(default_factory=list)


def questions(shared_data: Path, file: str, express: Callable[..., Question], reasons: Counter[str]) -> list[Question]:
    """What can be asked of a file of cases; why the rest cannot be goes to `reasons`."""
    found = []
    for number, case in enumerate(json.loads((shared_data / "oracles" / file).read_text(encoding="utf-8"))):
        for query in case["queries"]:
            try:
                found.append(express(case, query, f"{file.split('/')[1][0]}{number}-{query['query_no']}"))
            except UnexpressedError as reason:
                reasons[str(reason)] += 1
    return found


# ── paths ──

PATH_GROUPS = ["/bar/*/foo"]  # the wildcards that pages.yml can say, for one question
NOT_OF_PATHS = {
    "end_point": "steps counted from the beginning of what leads to a page; here back from it",
}


def path_question(case: dict[str, Any], query: dict[str, Any], name: str) -> Question:
    """Edges of the first steps, or the people of one; the time per edge is not compared. Of the events, only those of
    the kinds asked for are landed. Sessions are what PostHog calls a path: a pause of 30 minutes ends it."""
    parameters = query["parameters"][0]
    if parameters.get("funnel_paths"):
        return funnel_path_question(case, query, name)
    for key, reason in NOT_OF_PATHS.items():
        if parameters.get(key):
            raise UnexpressedError(reason)
    if case.get("team_flags"):
        raise UnexpressedError("rules that keep a mark of the query string, which is no part of a page here")
    groups = parameters.get("path_groupings")
    if groups and groups != PATH_GROUPS:
        raise UnexpressedError(
            "wildcards of one question that are none of pages, as `.*`; here pages.yml has them for all"
        )
    lines = [
        {"visitor_id": f"{name}-{event['person']}", "event_time": event["timestamp"], "page_code": node, "domain": name}
        for event in case["events"]
        if (node := _node(event)) and _is_wanted(event, node, parameters)
    ]
    if groups:  # by an address, for pages.yml cleans no page codes
        lines = [line | {"page_code": None, "page_url": f"https://{name}{line['page_code']}"} for line in lines]
    start = parameters.get("start_point")
    dates = {"from_date": parameters.get("date_from", "2012-01-01")[:10], "to_date": parameters.get("date_to")}
    depth = int(parameters.get("step_limit", 5))
    if query["method"] == "get_actors":
        (step, source), (_, target) = (parameters[key].split("_", 1) for key in ("path_start_key", "path_end_key"))
        wanted = [value.removeprefix("person:") for value in query["expected"][0]["value"]]

        def people(ask: Ask) -> bool:
            if int(step) >= depth:
                return wanted == []
            rows = ask("paths_people", step=int(step), from_node=source, to_node=target, domain=name, **dates)
            return [row[1].removeprefix(f"{name}-") for row in rows] == wanted

        return Question(name, lines, people)

    def edges(ask: Ask) -> bool:
        if start:
            around = ask("paths_around", node=start, before=0, after=depth - 1, domain=name, **dates)
            rows = [(step + 1, *row) for step, *row in around]
        else:
            rows = ask("paths_main", depth=depth - 1, domain=name, **dates)
        found = Counter({row[:3]: row[3] for row in rows if row[2] != EXIT})
        return _are_expected(_limited(found, int(parameters.get("edge_limit", len(found)))), query)

    return Question(name, lines, edges)


def _limited(edges: Counter[tuple[int, str, str]], limit: int) -> Counter[tuple[int, str, str]]:
    """The most frequent edges, without those to which none of them leads any more."""
    kept = Counter(dict(sorted(edges.items(), key=lambda item: (-item[1], item[0]))[:limit]))
    reached = {(step + 1, target) for step, _, target in kept}
    return Counter({edge: n for edge, n in kept.items() if edge[0] == 1 or edge[:2] in reached})


def _are_expected(edges: Counter[tuple[int, str, str]], query: dict[str, Any]) -> bool:
    """Whether these edges, by the step of their source, are those of the answer."""
    named = [
        (-sessions, f"{step}_{source}", f"{step + 1}_{target}") for (step, source, target), sessions in edges.items()
    ]
    found = [{"source": source, "target": target, "value": -sessions} for sessions, source, target in sorted(named)]
    for item in query["expected"]:
        if item["at"] == "":
            whole = [{key: edge[key] for key in ("source", "target", "value")} for edge in item["value"]]
            if sorted(map(str, found)) != sorted(map(str, whole)):
                return False
            continue
        place, key = item["at"].strip("[]").replace('"', "").split("][")
        if found[int(place)][key] != item["value"]:
            return False
    return True


def funnel_path_question(case: dict[str, Any], query: dict[str, Any], name: str) -> Question:
    """What those do who take a step of a funnel, or stop before it: a segment, and the path around or between steps."""
    parameters = query["parameters"][0]
    steps = [event["id"] for event in sorted(parameters["events"], key=lambda event: event["order"])]
    number = parameters["funnel_step"]
    place, outcome = (number, "entered") if number > 0 else (-number - 1, "dropped")
    unit = {"day": "d"}[parameters["funnel_window_interval_unit"]]
    funnel = {
        "id": f"FN-{name.upper()}", "label": LABEL, "owner": "tests", "entry": "latest",
        "window": f"{parameters['funnel_window_interval']}{unit}",
        "steps": [
            {"name": step, "source": "screen", "where": {"page_code": step, "domain": name}} for step in steps
        ],
    }  # fmt: skip
    segment = {
        "id": f"SG-{name.upper()}", "label": LABEL, "owner": "tests",
        "all_of": [{"funnel": {"id": funnel["id"], "step": place, "outcome": outcome}}],
    }  # fmt: skip
    lines = [
        {"visitor_id": f"{name}-{event['person']}", "customer_id": f"{name}-{event['person']}",
         "event_time": event["timestamp"], "page_code": _node(event), "domain": name}
        for event in case["events"]
    ]  # fmt: skip
    dates = {"from_date": parameters["date_from"], "to_date": parameters["date_to"]}
    scope = {"segment": segment["id"], "domain": name, **dates}
    moves = 4  # five steps, as PostHog asks for unless it is told otherwise

    def edges(ask: Ask) -> bool:
        found: Counter[tuple[int, str, str]] = Counter()
        if parameters["funnel_paths"] == "funnel_path_after_step":
            for step, source, target, sessions in ask(
                "paths_around", node=steps[place - 1], before=0, after=moves, **scope
            ):
                if target != EXIT:
                    found[step + 1, source, target] += sessions
        else:
            for path, sessions, _ in ask("paths_between", start=steps[place - 2], end=steps[place - 1], **scope):
                for step, move in enumerate(pairwise(path.split(" > ")), start=1):
                    if EXIT not in move and step <= moves:
                        found[step, *move] += sessions
        return _are_expected(found, query)

    return Question(name, lines, edges, [segment], funnels=[funnel])


def _node(event: dict[str, Any]) -> str:
    properties = event.get("properties") or {}
    name = {PAGE: properties.get("$current_url"), SCREEN: properties.get("$screen_name")}.get(event["event"])
    name = name if event["event"] in {PAGE, SCREEN} else event["event"]
    return (name.rstrip("/") or "/") if name else ""


def _is_wanted(event: dict[str, Any], node: str, parameters: dict[str, Any]) -> bool:
    kind = event["event"] if event["event"] in {PAGE, SCREEN} else "custom_event"
    kinds = parameters.get("include_event_types", [parameters["path_type"]] if "path_type" in parameters else None)
    named = parameters.get("include_custom_events") or []
    if node in (parameters.get("exclude_events") or []):
        return False
    for item in parameters.get("properties") or []:
        if item["type"] == "group":
            raise UnexpressedError("a filter on groups (companies), whose properties the recording does not say")
        if (event.get("properties") or {}).get(item["key"]) != item["value"]:
            return False
    return kinds is None or kind in kinds or event["event"] in named


# ── groups of persons ──

NOT_OF_GROUPS = {
    "restarted_performing_event": "again after a pause; here the life cycle of a cohort",
}


def group_question(case: dict[str, Any], query: dict[str, Any], name: str) -> Question:
    """Who did what how often within so many days, and did not."""
    if any(item["assert"] == "raises_validation_error" for item in query["expected"]):
        raise UnexpressedError("is refused there")
    asking = _Asking(name, case.get("cohorts", []), datetime.fromisoformat(query["now"]))
    segment = {
        "id": f"SG-{name.upper()}", "label": LABEL, "owner": "tests",
        "all_of": [asking.clause(query["parameters"][0]["properties"])],
    }  # fmt: skip
    lines = [
        {"visitor_id": f"{name}-{event['person']}", "customer_id": f"{name}-{event['person']}",
         "event_time": event["timestamp"], "page_code": f"{name}:{event['event']}", "domain": name}
        for event in case["events"]
    ]  # fmt: skip
    [wanted] = (item["value"] for item in query["expected"])

    def holds(ask: Ask) -> bool:
        rows = ask("segment_members", segment=segment["id"], as_of=query["now"][:10])
        own = [row[0].removeprefix(f"{name}-") for row in rows if row[0].startswith(f"{name}-")]  # of this case
        return [f"person:{person}" for person in own] == sorted(wanted)

    return Question(name, lines, holds, [segment], funnels=asking.funnels, customers=_customers(case, name))


def _customers(case: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """What is known of the persons of a case."""
    return [
        {"customer_id": f"{name}-{person['person']}", "effective_date": "1990-01-01", "attributes": known}
        for person in case["persons"]
        if (known := {key.lstrip("$"): value for key, value in person["properties"].items()})
    ]


@dataclass
class _Asking:
    """The clauses of one question; a sequence is a funnel of its own."""

    name: str
    cohorts: list[dict[str, Any]]
    now: datetime
    funnels: list[dict[str, Any]] = field(default_factory=list)

    def clause(self, group: dict[str, Any]) -> dict[str, Any]:
        if "values" in group:
            return {{"AND": "all_of", "OR": "any_of"}[group["type"]]: [self.clause(item) for item in group["values"]]}
        found = self.one(group)
        return {"none_of": [found]} if group.get("negation") else found

    def one(self, group: dict[str, Any]) -> dict[str, Any]:
        """A clause, whether it shall hold or not."""
        if group["type"] == "person":
            if "@" in group["value"]:
                raise UnexpressedError("a condition on the e-mail address of the person, which is masked here")
            return {"customer": {f"attributes.{group['key'].lstrip('$')}": group["value"]}}
        if group["type"] == "cohort":
            cohort = self.cohorts[group["value"] - 501]  # in the order in which they were made
            parts = [cohort["filters"]] if "filters" in cohort else cohort["groups"]
            return {"any_of": [self.clause(_group(part["properties"])) for part in parts]}
        if group["value"] in NOT_OF_GROUPS:
            raise UnexpressedError(NOT_OF_GROUPS[group["value"]])
        if group["value"] == "performed_event_first_time":
            before = {"date": {"lt": self.date_before(int(group["time_value"]), group["time_interval"])}}
            earlier = {"source": "screen", "where": {"page_code": f"{self.name}:{group['key']}", **before}}
            return {"all_of": [_did(group, self.name), {"did_not": earlier}]}
        if group["value"] == "performed_event_regularly":
            return self.regularly(group)
        return self.sequence(group) if group["value"] == "performed_event_sequence" else _did(group, self.name)

    def date_before(self, number: int, unit: str) -> str:
        """The date so long before now."""
        return (self.now - timedelta(days=number * DAYS[unit])).date().isoformat()

    def regularly(self, group: dict[str, Any]) -> dict[str, Any]:
        """In at least so many of the last periods: in all those of one of the choices."""
        length, unit = int(group["time_value"]), group["time_interval"]
        periods = [
            {
                "date": {
                    "gt": self.date_before((place + 1) * length, unit),
                    "lte": self.date_before(place * length, unit),
                }
            }
            for place in range(group["total_periods"])
        ]
        times = {"gte": group["operator_value"]}
        did = [
            {
                "did": {"source": "screen", "where": {"page_code": f"{self.name}:{group['key']}", **dates}},
                "times": times,
            }
            for dates in periods
        ]
        return {"any_of": [{"all_of": [*choice]} for choice in combinations(did, group["min_periods"])]}

    def sequence(self, group: dict[str, Any]) -> dict[str, Any]:
        """One event, and so many days after it another."""
        since = {"date": {"gte": (self.now - timedelta(days=group["time_value"])).date().isoformat()}}
        content = {
            "id": f"FN-{self.name.upper()}-{len(self.funnels)}", "label": LABEL, "owner": "tests", "entry": "best",
            "window": _days(group["seq_time_value"], group["seq_time_interval"]),
            "steps": [
                {"name": event, "source": "screen", "where": {"page_code": f"{self.name}:{event}", **since}}
                for event in (group["key"], group["seq_event"])
            ],
        }  # fmt: skip
        self.funnels.append(content)
        return {"funnel": {"id": content["id"], "step": 2}}


def _group(properties: Any) -> dict[str, Any]:
    """A list of conditions as the group that it stands for."""
    return {"type": "AND", "values": properties} if isinstance(properties, list) else properties


def _did(group: dict[str, Any], name: str) -> dict[str, Any]:
    did = {"source": "screen", "where": {"page_code": f"{name}:{group['key']}"}}
    clause: dict[str, Any] = {"did": did, "within": _days(group["time_value"], group["time_interval"])}
    if group["value"] == "stopped_performing_event":
        later = _days(group["seq_time_value"], group["seq_time_interval"])
        clause = {"all_of": [clause, {"did_not": did, "within": later}]}
    elif group["value"] == "performed_event_multiple":
        count = int(group["operator_value"])
        clause["times"] = {"eq": {"eq": count}, "gte": {"gte": count}, "lte": {"gte": 1, "lte": count}}[
            group["operator"]
        ]
    return clause


DAYS = {"day": 1, "week": 7, "month": 30}


def _days(number: Any, unit: str) -> str:
    return f"{int(number) * DAYS[unit]}d"


# ── trends ──

OTHERS_LINE = "has an event of another team, and the recording does not say which"
NOT_OF_TRENDS = {
    "test_trends_per_day": OTHERS_LINE,
    "test_trends_per_day_cumulative": OTHERS_LINE,
    "test_breakdown_filtering_bar_chart_by_value": OTHERS_LINE,
    "test_interval_filtering_breakdown": OTHERS_LINE,
    "test_combine_all_cohort_and_icontains": "a breakdown by cohorts and all, of which none does it",
}


def trend_question(case: dict[str, Any], query: dict[str, Any], name: str) -> Question:
    """How often something happened by day, week or month: a key number, added up by the periods of the answer. How many
    people did it: who starts in a cohort of the day; on any of the dates, who is in a segment. Each value of a
    breakdown is a definition of its own."""
    parameters, flags = query["parameters"][0], case.get("team_flags", {})
    series = [*parameters.get("events", ()), *parameters.get("actions", ())]
    _refuse_trend(case, query, series)
    zone = ZoneInfo(flags.get("team.timezone", "UTC"))
    lines = [
        {"visitor_id": f"{name}-{event['person']}", "customer_id": f"{name}-{event['person']}",
         "page_code": f"{name}:{event['event']}", "domain": name,
         "event_time": datetime.fromisoformat(event["timestamp"]).astimezone(zone).replace(tzinfo=UTC).isoformat(),
         "properties": {key.lstrip("$"): value for key, value in (event.get("properties") or {}).items()}}
        for event in case["events"]
    ]  # fmt: skip
    actions = {action["id"]: action for action in query.get("actions") or ()}
    real = flags.get("team.test_account_filters", ()) if "filter_test_accounts" in parameters else ()
    question = Question(name, lines, lambda _: False, customers=_customers(case, name))
    now = datetime.fromisoformat(query["now"]).astimezone(zone)
    first, last = _date(parameters.get("date_from", "-7d"), now), _date(parameters.get("date_to"), now) or now.date()
    if parameters.get("interval", "day") != "day" and "display" not in parameters:
        first = None  # longer periods count as a whole
    asked = [
        _counting(
            question,
            item,
            place,
            _counted(item, actions, parameters, name) | _real(real) | group,
            first,
            last,
            is_total="display" in parameters,
        )
        for place, item in enumerate(series)
        for group in _groups_of(parameters, case)
    ]

    def holds(ask: Ask) -> bool:
        days = sorted((count(ask) for count in asked), key=lambda each: -sum(each.values()))
        wanted = {item["at"]: item["value"] for item in reversed(query["expected"])}
        if wanted == {"": []}:
            return not any(days)
        told = {at: _told(at, days, wanted, (first, last)) for at in wanted if _COUNTED.fullmatch(at)}
        return told != {} and told == {at: wanted[at] for at in told}

    question.holds = holds
    return question


def _refuse_trend(case: dict[str, Any], query: dict[str, Any], series: list[dict[str, Any]]) -> None:
    """Raise why a question cannot be put."""
    parameters = query["parameters"][0]
    reason = NOT_OF_TRENDS.get(case["case"].split(".")[-1])
    maths = {item["math"] for item in series if item.get("math")}
    if any(item["assert"].startswith("raises") for item in query["expected"]):
        reason = "is refused there"
    elif "weekly_active" in maths:
        reason = "how many people within a week: there nobody on dates without an event; here a segment by date"
    elif maths - {"dau"}:
        reason = "a statistic of a property, or of how long sessions last; key numbers count how often"
    elif str(parameters.get("breakdown")) == "email":
        reason = "by e-mail addresses of persons, which are masked here"
    elif parameters.get("interval") == "hour" or str(parameters.get("date_from")).endswith("h"):
        reason = "how often something happened within hours; key numbers are of days"
    elif case["case"].endswith("_limit"):
        reason = "how many values of a breakdown a chart shows"
    if reason:
        raise UnexpressedError(reason)


def _groups_of(parameters: dict[str, Any], case: dict[str, Any]) -> list[dict[str, Any]]:
    """The condition of each value of a breakdown."""
    name = parameters.get("breakdown")
    if name is None:
        return [{}]
    of_person = parameters.get("breakdown_type") == "person"
    owners = case["persons" if of_person else "events"]
    values = {(owner.get("properties") or {}).get(name) for owner in owners}
    prefix = "customer.attributes" if of_person else "properties"
    return [
        {f"{prefix}.{name.lstrip('$')}": {"is_null": True} if value is None else {"eq": value}}
        for value in sorted(values, key=str)
    ]


def _counting(
    question: Question,
    item: dict[str, Any],
    place: int,
    where: dict[str, Any],
    first: date | None,
    last: date,
    *,
    is_total: bool,
) -> Callable[[Ask], dict[date, int]]:
    """How often by day, or how many people; adds the definition that says it."""
    condition, math = {"source": "screen", "where": where}, item.get("math")
    number = f"{question.name.upper()}-{place}-{len(question.kpis) + len(question.cohorts) + len(question.segments)}"
    common = {"label": LABEL, "owner": "tests"}
    if math is None:
        question.kpis.append({"id": f"KP-{number}", **common, "count": condition})
        return lambda ask: {row[0]: row[1] for row in ask("kpi", kpi=f"KP-{number}", from_date=first, to_date=last)}
    if is_total:
        where = where | {"date": {"between": [f"{first}", f"{last}"]}}
        question.segments.append({"id": f"SG-{number}", **common, "all_of": [{"did": condition | {"where": where}}]})
        return lambda ask: {last: len(ask("segment_members", segment=f"SG-{number}"))}
    question.cohorts.append({"id": f"CH-{number}", **common, "period": "day", "ages": 1, "start": condition})
    return lambda ask: {
        row[0]: row[2]
        for row in ask("retention_cells", cohort=f"CH-{number}", as_of=last)
        if row[1] == 0 and (first is None or row[0] >= first)
    }


def _real(filters: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Without the accounts of those who test."""
    return {
        f"customer.attributes.{item['key']}": {{"is_not": "ne"}[item["operator"]]: item["value"]} for item in filters
    }


def _date(limit: str | None, now: datetime) -> date | None:
    """The date of a limit, which may be so many days ago."""
    if limit and re.fullmatch(r"-\d+d", limit):
        return now.date() - timedelta(days=int(limit[1:-1]))
    return date.fromisoformat(limit[:10]) if limit and re.match(r"\d{4}-\d\d-\d\d", limit) else None


_COUNTED = re.compile(r"""\[(\d+)]\["(data|count|aggregated_value)"](?:\[(\d+)])?|\|len""")


def _told(at: str, series: list[dict[date, int]], wanted: dict[str, Any], dates: tuple[date | None, date]) -> Any:
    """What our key number says at a place of the answer: how often up to where the next label begins."""
    if at == "|len":
        return sum(1 for days in series if days)
    [(number, what, place)] = _COUNTED.findall(at)
    days = series[int(number)]
    label = wanted.get(f'[{number}]["labels"][{place}]') if place else None
    if label:
        return days.get(datetime.strptime(label, "%d-%b-%Y").date(), 0)
    labels = wanted.get(f'[{number}]["labels"]')
    if labels is None:
        first, last = dates
        if what != "data" or first is None:
            return sum(days.values())
        return [days.get(first + timedelta(days=day), 0) for day in range((last - first).days + 1)]
    starts = [datetime.strptime(each, "%d-%b-%Y").date() for each in labels]
    ends = [*starts[1:], date.max]
    found = [sum(n for day, n in days.items() if start <= day < end) for start, end in zip(starts, ends, strict=True)]
    return sum(found) if what == "count" else found


def _counted(
    item: dict[str, Any], actions: dict[Any, dict[str, Any]], parameters: dict[str, Any], name: str
) -> dict[str, Any]:
    """The condition of an event, or of the one step of an action."""
    step = actions[item["id"]]["steps"][0] if item["id"] in actions else {"event": item["id"]}
    where: dict[str, Any] = {"page_code": f"{name}:{step['event']}"}
    if "url" in step:
        where["properties.current_url"] = {"contains": step["url"]}
    given = step.get("properties") or ()
    if isinstance(given, dict):
        given = [{"key": key, "value": value} for key, value in given.items()]
    for wanted in (*(item.get("properties") or ()), *given, *(parameters.get("properties") or ())):
        of = "customer.attributes" if wanted.get("type") == "person" else "properties"
        name_of, value, operator = f"{of}.{wanted['key'].lstrip('$')}", wanted["value"], wanted.get("operator", "exact")
        if operator == "not_icontains":
            where["none_of"] = [{name_of: {"contains": value}}]
            continue
        told: dict[str, Any] = (
            {"contains": value} if operator == "icontains" else {"in": value if isinstance(value, list) else [value]}
        )
        if name_of in where:
            where["any_of"] = [{name_of: told}]
        else:
            where[name_of] = told
    return where


# ── what no analysis here answers ──


def unasked(shared_data: Path) -> Iterator[str]:
    """A reason for each question of the file on drivers of conversion."""
    file = shared_data / "oracles" / "posthog_other" / "funnel_correlation.json"
    for case in json.loads(file.read_text(encoding="utf-8")):
        yield from ["which events or properties go with conversion (correlation)"] * len(case["queries"])
