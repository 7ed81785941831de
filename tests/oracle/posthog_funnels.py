"""PostHog's recorded questions on funnels in our words, or why they cannot be put, and our answers in their form."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from pydantic import ValidationError
from tests.oracle.recorded import UnexpressedError

from journeymart.definitions.funnels import Funnel

OPERATORS = {"exact": "in", "icontains": "contains", "is_not": "not_in", "is_set": "is_null"}
ELEMENT = ("tag_name", "text", "href")  # of what an automatically captured click was on; here properties of the event
ORDERS = {"ordered": "ordered", "strict": "strict", "unordered": "any"}
NEVER = {"name": "never", "source": "screen", "where": {"page_code": "never"}}  # beside a funnel's only step
TRENDS_PEOPLE, IDS = "ClickhouseFunnelTrendsActors", '[*]["distinct_ids"]'
STEPS = "funnel_results_equal_ignoring_url_fields"
TIMES = re.compile(r"""\[(\d)]\["median_conversion_time"]""")
DAYS = re.compile(r"""\[(\d+)]\["(reached_from_step_count|reached_to_step_count|conversion_rate|is_period_final)"]""")
Questions = dict[str, tuple[int, dict[str, Any], Any]]  # the case, the query with its funnel, and what was recorded


def key(name: str) -> str:
    """A property's name without the dollar that ours cannot have."""
    return name.replace("$", "").replace(" ", "_")


def condition(step: dict[str, Any], query: dict[str, Any]) -> dict[str, Any]:
    """The condition of a step or of an exclusion."""
    alternatives = step.get("any_of") or [step]
    parts = []
    for one in alternatives:
        where: dict[str, Any] = {"page_code": one.get("event") or one.get("id")}
        where |= {f"properties.element_{name}": {"contains": one[name]} for name in ELEMENT if name in one}
        properties = one.get("properties") or []
        if isinstance(properties, dict):
            properties = [{"key": name, "value": value} for name, value in properties.items()]
        of_all = (query.get("other_parameters") or {}).get("properties") or []
        if isinstance(of_all, dict):
            raise UnexpressedError("a filter on e-mail addresses of persons, which are masked here")
        for item in [*properties, *of_all]:
            operator, value = OPERATORS.get(item.get("operator") or "exact"), item["value"]
            if item.get("type") == "element":
                [value] = value
                where[f"properties.element_{item['key']}"] = {"contains": value}
                continue
            if operator == "is_null":
                value = False
            if operator is None:
                raise UnexpressedError(f"operator {item['operator']}")
            if operator == "contains" and not isinstance(value, str):
                raise UnexpressedError("contains with several values")
            if operator == "in" and not isinstance(value, list):
                value = [value]
            of = "customer.attributes" if item.get("type") == "person" else "properties"
            where[f"{of}.{key(item['key'])}"] = {operator: value}
        parts.append(where)
    where = parts[0] if len(parts) == 1 else {"any_of": parts}
    dates = {}
    for name, operator in (("date_from", "gte"), ("date_to", "lte")):
        moment = query.get(name) or (week_before(query["now"]) if name == "date_from" else None)
        if moment and moment != "all":
            if not moment[:4].isdigit() or (moment[10:] and moment[11:] not in {"00:00:00", "23:59:59"}):
                raise UnexpressedError("a range of dates relative to today, or with a time")
            exclusive = name == "date_to" and moment[11:] == "00:00:00"
            dates["lt" if exclusive else operator] = moment[:10]
    return {"source": "screen", "where": {**where, **({"date": dates} if dates else {})}}


def week_before(now: str) -> str:
    """The first day of a question without dates."""
    return (datetime.fromisoformat(now) - timedelta(days=7)).date().isoformat()


def order_of(query: dict[str, Any]) -> str:
    """What PostHog calls the order of the steps; of a report over a funnel it is another parameter."""
    kind = query["type"].removesuffix("_actors")
    return kind if kind in ORDERS else (query.get("other_parameters") or {}).get("funnel_order_type", "ordered")


def express(query: dict[str, Any], funnel_id: str, number: int, case: dict[str, Any]) -> dict[str, Any]:
    """The funnel that puts the question of `query`; raises UnexpressedError with the reason."""
    kind = order_of(query)
    content: dict[str, Any] = {
        "id": funnel_id, "label": {"ko": "시험", "en": "Test"}, "owner": "tests",
        "steps": [{"name": f"{number}", **condition(step, query)} for number, step in enumerate(query["steps"])],
        "order": ORDERS[kind], "window": f"{query['window_seconds']}s", "entry": "latest",
        "exclusion_mode": "drop_person",
    }  # fmt: skip
    if query["type"] in {"trends", TRENDS_PEOPLE} and counts_again(query, case):
        content |= {"count_by": "attempt", "entry": "first"}
    if len(content["steps"]) == 1:
        content["steps"].append(NEVER)
    for exclusion in query.get("exclusions") or []:
        if exclusion["type"] != "events":
            raise UnexpressedError("an exclusion that is an action, which the recording does not define")
        between = {"from_step": exclusion["funnel_from_step"] + 1, "to_step": exclusion["funnel_to_step"] + 1}
        if kind == "unordered":
            between = {}
        content.setdefault("exclusions", []).append({**condition(exclusion, query), **between})
    if query.get("breakdown") and (is_report(query) or chosen(query) is not None):
        content["breakdown"] = breakdown(query, case)
    if is_report(query):
        for step in content["steps"]:  # its numbers are of all who are in the funnel
            step["where"]["properties.case"] = f"{number}"
    try:
        Funnel.model_validate(content)
    except ValidationError as error:
        raise UnexpressedError(f"refused: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    return content


def value_of(event: dict[str, Any], names: list[str]) -> str | None:
    """The value of a breakdown; of several properties, one made of them."""
    values = [(event.get("properties") or {}).get(name) for name in names]
    known = ["" if value is None else str(value) for value in values]
    return ", ".join(known) if any(known) else None


def names_of(query: dict[str, Any]) -> list[str]:
    """The properties of a breakdown."""
    names = query.get("breakdown") or []
    return names if isinstance(names, list) else [names]


def field_of(names: list[str]) -> str:
    """The field in which the value of a breakdown is landed."""
    return f"properties.{'_and_'.join(map(key, names))}"


def attribution_of(query: dict[str, Any]) -> tuple[str, int]:
    """Which events decide to which group a person belongs, and the step, if it is one."""
    extra = {name: value for name, value in (query.get("other_parameters") or {}).items() if value is not None}
    kind = extra.get("breakdown_attribution_type", "first_touch")
    return kind, int(extra.get("breakdown_attribution_value") or 0) + 1 if kind == "step" else 1


def breakdown(query: dict[str, Any], case: dict[str, Any]) -> dict[str, Any] | None:
    """The breakdown of a question: the value as of one step; None if each value must be a funnel of its own, as a
    person may be in several groups."""
    names = names_of(query)
    if query["breakdown_type"] == "person":
        return {"by": f"customer.attributes.{key(names[0])}", "as_of_step": 1}
    if query["breakdown_type"] != "event":
        raise UnexpressedError(f"a breakdown by {query['breakdown_type']}")
    kind, step = attribution_of(query)
    is_any_order, is_single = order_of(query) == "unordered", len(query["steps"]) == 1
    if kind == "step" and is_any_order and not is_single and (step > 1 or is_report(query)):
        raise UnexpressedError(
            "in any order, each order that a person's steps can be read in, in the group of its value"
        )
    of_step: dict[str, list[str | None]] = defaultdict(list)
    of_all: dict[str, list[str | None]] = defaultdict(list)
    for event in sorted(case["events"], key=lambda event: event["timestamp"]):
        if event["event"] in {each["event"] for each in query["steps"]}:
            of_all[event["person"]].append(value_of(event, names))
            if is_any_order or event["event"] == query["steps"][step - 1]["event"]:
                of_step[event["person"]].append(value_of(event, names))
    if kind == "all_events" or (kind == "step" and is_single):
        return None
    if kind != "step":
        group = chosen(query)
        for person, values in of_all.items():
            known = [value for value in values if value is not None]
            target = known[0 if kind == "first_touch" else -1] if known else None
            differs = {*of_step[person]} - {target}
            if differs and (group is None or (group or None) in {target, *differs}):
                raise UnexpressedError(f"breakdown attributed by {kind}, of whom that is not the value as of a step")
    return {"by": field_of(names), "as_of_step": step}


def narrowed(content: dict[str, Any], query: dict[str, Any], value: str | None, funnel_id: str) -> dict[str, Any]:
    """The funnel of one value: every step has it, or the only one that has."""
    wanted = {field_of(names_of(query)): {"is_null": True} if value is None else value}
    steps = [step if step is NEVER else step | {"where": {**step["where"], **wanted}} for step in content["steps"]]
    return content | {"id": funnel_id, "steps": steps}


def chosen(query: dict[str, Any]) -> str | None:
    """The value of the breakdown whose people are asked for, "" where there is none; None for all."""
    value = (query.get("other_parameters") or {}).get("funnel_step_breakdown")
    if isinstance(value, list):
        return ", ".join(map(str, value)) if any(each != "" for each in value) else ""
    return None if value is None else str(value)


def limited(groups: dict[str, Any], query: dict[str, Any], size: Callable[[Any], int]) -> set[str]:
    """The groups that a report shows with its limit; the rest are its Other."""
    limit = (query.get("other_parameters") or {}).get("breakdown_limit") or len(groups)
    return set(sorted(groups, key=lambda name: -size(groups[name]))[:limit])


def is_report(query: dict[str, Any]) -> bool:
    """Whether a question is about groups, times or dates, rather than about who comes how far."""
    return not query["type"].endswith("_actors") and not query.get("expected_step_counts")


def wanted_days(query: dict[str, Any], case: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """What was recorded of the dates of entry."""
    if query.get("breakdown"):
        raise UnexpressedError("a breakdown by cohorts")
    if query["type"] == TRENDS_PEOPLE:
        return {at: value for at, value in expected.items() if at in {"|len", IDS}}
    days = {at: value for at, value in expected.items() if DAYS.fullmatch(at)}
    if isinstance(expected.get(""), list):
        days = {
            f'[{place}]["{name}"]': value
            for place, day in enumerate(expected[""])
            for name, value in day.items()
            if name != "timestamp"
        }
    if not days:
        raise UnexpressedError("how many hours, dates or weeks a chart shows")
    return days


def counts_again(query: dict[str, Any], case: dict[str, Any]) -> bool:
    """Whether somebody enters on several dates, on each of which they count there: here, by attempt."""
    first = {query["steps"][0]["event"]} if order_of(query) == "ordered" else {s["event"] for s in query["steps"]}
    entries = defaultdict(set)
    for event in case["events"]:
        if event["event"] in first:
            entries[event["person"]].add(event["timestamp"][:10])
    return any(len(dates) > 1 for dates in entries.values())


def wanted_times(bins: list[list[float]]) -> list[tuple[Any, float]]:
    """The begin of each bin and how many took so long. There the longest begins a bin of its own, here it is in the
    last one; and a bin has whole seconds."""
    if len({seconds for seconds, people in bins if people}) < 2:
        raise UnexpressedError("how many took how long, all equally: there in bins of a minute")
    *others, (begin, people), (_, longest) = bins
    return [
        (pytest.approx(seconds, abs=place), count)
        for place, (seconds, count) in enumerate([*others, (begin, people + longest)])
    ]


def group_name(value: Any) -> str:
    """A recorded value of a breakdown as ours."""
    values = value if isinstance(value, list) else [value]
    return ", ".join(map(str, values)) if any(each != "" for each in values) else "(none)"


def wanted_report(query: dict[str, Any], case: dict[str, Any]) -> Any:
    """What was recorded of a report: steps by value of the breakdown, median times, or days."""
    expected = {item["at"]: item["value"] for item in query["expected"]}
    if any(item["assert"].startswith("raises") for item in query["expected"]):
        raise UnexpressedError("is refused there")
    if query["type"] == "time_to_convert":
        return wanted_times(query["expected"][0]["value"]["bins"])
    if query["type"] in {"trends", TRENDS_PEOPLE}:
        return wanted_days(query, case, expected)
    groups: dict[str, Any] = {}
    for item in query["expected"]:
        if item["assert"] == STEPS:
            groups[group_name(item["value"][0]["breakdown_value"])] = [
                (step["count"], step.get("median_conversion_time")) for step in item["value"]
            ]
        elif item["at"].endswith("|len"):
            groups["|len"] = item["value"]
        elif item["at"].endswith('[*][0]["breakdown"]'):
            groups["|values"] = sorted(group_name(value) for value in item["value"])
    medians = {at: value for at, value in expected.items() if TIMES.fullmatch(at)}
    found = groups if query.get("breakdown") else medians
    if not found:
        raise UnexpressedError("recorded in another form")
    return found


def answer_days(connection: psycopg.Connection, query: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """Ours by date of entry; a date on which nobody enters has no row."""
    begin = (query.get("other_parameters") or {}).get("funnel_from_step", 0) + 1
    rows = connection.execute(
        "select entry_date::text, (array_agg(entered order by step_no))[%s]::integer,"
        " (array_agg(entered order by step_no desc))[1]::integer, (array_agg(still_open order by step_no))[1] = 0"
        " from mart.funnel_step where funnel_id = %s group by 1",
        (begin, query["funnel"]),
    ).fetchall()
    days = {row[0]: row[1:] for row in rows}
    found = {}
    for at in expected:
        [(place, name)] = DAYS.findall(at)
        day = (date.fromisoformat(query["date_from"][:10]) + timedelta(days=int(place))).isoformat()
        entered, converted, is_final = days.get(day, (0, 0, True))
        found[at] = {
            "reached_from_step_count": entered, "reached_to_step_count": converted, "is_period_final": is_final,
            "conversion_rate": pytest.approx(100 * converted / entered, abs=0.01) if entered else 0,
        }[name]  # fmt: skip
    return found


def answer_people_of_date(
    connection: psycopg.Connection, query: dict[str, Any], expected: dict[str, Any]
) -> dict[str, Any]:
    """Who entered on a date, or in a week, and converted or dropped."""
    extra = query["other_parameters"]
    first = date.fromisoformat(extra["entrance_period_start"][:10])
    last = first + timedelta(days={"day": 0, "week": 6}[extra["interval"]])
    steps = [len(query["steps"])] if not extra["drop_off"] else range(1, len(query["steps"]))
    outcome = "dropped" if extra["drop_off"] else "entered"
    people = {
        row[0].partition(":")[2]
        for step in steps
        for row in connection.execute(
            "select subject_id from mart.funnel_people(%s, %s, %s, from_date => %s, to_date => %s)",
            (query["funnel"], step, outcome, first, last),
        )
    }
    return {at: len(people) if at == "|len" else [[person] for person in sorted(people)] for at in expected}


def together(of_step: Iterable[tuple[int, float | None]]) -> tuple[int, float | None]:
    """How many of several groups took a step; the median time is only known where all are of the same group."""
    taken = [(count, seconds) for count, seconds in of_step if count]
    return sum(count for count, _ in taken), taken[0][1] if len(taken) == 1 else None


def groups_of(connection: psycopg.Connection, query: dict[str, Any]) -> dict[str, Any]:
    """How many of each group took each step, and their median time; Other are the groups beyond the limit."""
    groups: dict[str, Any] = defaultdict(list)
    if "funnels" in query:
        for value, funnel_id in query["funnels"].items():
            for row in connection.execute("select * from mart.funnel(%s)", (funnel_id,)):
                groups[value or "(none)"].append((row[3], row[9]))
    else:
        for row in connection.execute("select * from mart.funnel(%s, breakdown_by => 'breakdown')", (query["funnel"],)):
            groups[row[0]].append((row[3], row[9]))
    kind, step = attribution_of(query)
    if kind == "step":  # who did not come to that step is in no group
        groups = {name: [(min(count, group[step - 1][0]), at) for count, at in group] for name, group in groups.items()}
    groups = {name: group for name, group in groups.items() if group[0][0]}
    shown = limited(groups, query, lambda group: group[0][0])
    others = [group for name, group in groups.items() if name not in shown]
    groups = {name: groups[name] for name in shown}
    if others:
        groups["Other"] = [together(of_step) for of_step in zip(*others, strict=True)]
    return groups


def answer_report(connection: psycopg.Connection, query: dict[str, Any], expected: Any) -> Any:
    """Ours, in the form of what was recorded: of `mart.funnel`, or of `mart.funnel_step` by date."""
    if query["type"] == TRENDS_PEOPLE:
        return answer_people_of_date(connection, query, expected)
    if query["type"] == "trends":
        return answer_days(connection, query, expected)
    if query["type"] == "time_to_convert":
        extra = query["other_parameters"]
        first, last = (extra.get(f"funnel_{name}_step") for name in ("from", "to"))
        rows = connection.execute(
            "select from_seconds, people from mart.funnel_times(%s, %s, %s, %s)",
            (query["funnel"], (first or 0) + 1, len(query["steps"]) if last is None else last + 1, len(expected)),
        )
        return rows.fetchall()
    if not query.get("breakdown"):
        medians = {row[1]: row[9] for row in connection.execute("select * from mart.funnel(%s)", (query["funnel"],))}
        return {at: medians[int(TIMES.fullmatch(at)[1]) + 1] for at in expected}  # type: ignore[index]
    groups = groups_of(connection, query)
    found: dict[str, Any] = {}
    for name, value in expected.items():
        if name == "|len":
            found[name] = len(groups)
        elif name == "|values":
            found[name] = sorted(groups)
        else:  # as many steps as were recorded, with a time where one was
            pairs = zip(groups.get(name, []), value, strict=False)
            found[name] = [(count, seconds if known is not None else None) for (count, seconds), (_, known) in pairs]
    return found


def wanted(query: dict[str, Any], case: dict[str, Any]) -> Any:
    """What was recorded: counts by step, or people of one step (negative: those who did not come to it)."""
    if is_report(query):
        return wanted_report(query, case)
    if query.get("expected_step_counts"):
        return query["expected_step_counts"]
    extra = query.get("other_parameters") or {}
    if any(item["assert"].startswith("raises") for item in query["expected"]):
        raise UnexpressedError("is refused there")
    for item in query["expected"]:
        if item["assert"] in {"same_elements_any_order", "equal"} and item["at"] == '[*]["id"]':
            if "funnel_step" not in extra:
                break
            return sorted(person.removeprefix("person:") for person in item["value"])
        if item["at"] == "|len" and extra.keys() & {"funnel_step", "funnel_custom_steps"}:
            return item["value"]
    raise UnexpressedError("recorded in another form")


def answer(query: dict[str, Any], entries: list[tuple[Any, ...]], expected: Any) -> Any:
    """Ours, in the form of what was recorded."""
    extra = query.get("other_parameters") or {}
    if "funnel_custom_steps" in extra:  # who came to just one of these steps
        return sum(reached in extra["funnel_custom_steps"] for _, reached, _ in entries)
    if "funnel_step" not in extra:
        counts = [sum(reached > step for _, reached, _ in entries) for step in range(len(query["steps"]))]
        return [None if known is None else count for known, count in zip(expected, counts, strict=False)]
    step, group = extra["funnel_step"], chosen(query)
    kind, of_step = attribution_of(query)
    if group is not None and kind == "step" and step > 0:
        step = max(step, of_step)  # who did not come to that step is in no group
    sizes = Counter(value for _, _, value in entries)
    shown = limited(sizes, query, int)
    people = sorted(
        person
        for person, reached, value in entries
        if (reached >= step if step > 0 else reached == -step - 1)
        and (group is None or "funnels" in query or (value if value in shown else "Other") == (group or "(none)"))
    )
    return len(people) if isinstance(expected, int) else people


def lines(cases: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of a case in another time zone, what its clock shows."""
    for number, case in enumerate(cases):
        zone = ZoneInfo(case.get("team_flags", {}).get("team.timezone", "UTC"))
        combined = {tuple(names_of(query)) for query in case["queries"] if len(names_of(query)) > 1}
        for line, event in enumerate(case["events"]):
            person = f"{number}:{event.get('person')}"
            properties = {key(name): value for name, value in (event.get("properties") or {}).items()}
            for names in combined:
                properties[field_of([*names]).removeprefix("properties.")] = value_of(event, [*names])
            for name in ELEMENT:
                properties[f"element_{name}"] = " ".join(each.get(name, "") for each in event.get("elements") or ())
            moment = datetime.fromisoformat(event["timestamp"]).astimezone(zone).replace(tzinfo=UTC)
            yield {
                "event_id": f"{number}-{line}", "event_time": moment.isoformat(), "visitor_id": person,
                "customer_id": person, "page_code": event["event"], "properties": {**properties, "case": f"{number}"},
            }  # fmt: skip


def customers(cases: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, case in enumerate(cases):
        for person in reversed(case["persons"]):  # a later one of the same name says nothing of itself
            attributes = {key(name): value for name, value in person["properties"].items()}
            if attributes:
                yield {
                    "customer_id": f"{number}:{person['person']}", "effective_date": "1990-01-01",
                    "attributes": attributes,
                }  # fmt: skip


def in_one_zone(cases: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The cases; one that is asked in UTC first and then in another time zone, as two."""
    for case in cases:
        if "team_flags" in case and len(case["queries"]) > 1:
            yield {name: value for name, value in case.items() if name != "team_flags"} | {
                "queries": case["queries"][:1]
            }
            yield case | {"queries": case["queries"][1:]}
        else:
            yield case


def put(cases: list[dict[str, Any]], reasons: Counter[str]) -> tuple[Questions, dict[str, dict[str, Any]]]:
    """PostHog's questions that can be put, and the funnels that put them; why the rest cannot goes to `reasons`."""
    questions: Questions = {}
    funnels: dict[str, dict[str, Any]] = {}
    same: dict[str, str] = {}

    def add(number: int, content: dict[str, Any]) -> str:
        """The id of a funnel, the same for the same question."""
        text = json.dumps([number, {k: v for k, v in content.items() if k != "id"}], sort_keys=True)
        funnels.setdefault(same.setdefault(text, content["id"]), content)
        return same[text]

    for number, case in enumerate(cases):
        for query in case["queries"]:
            question = f"FN-{number}-{query['query_no']}"
            try:
                expected = wanted(query, case)
                content = express(query, question, number, case)
            except UnexpressedError as reason:
                reasons[str(reason)] += 1
                continue
            if content.get("breakdown", 1) is None:
                del content["breakdown"]
                group = chosen(query)
                values = (
                    {value_of(event, names_of(query)) for event in case["events"]} if group is None else {group or None}
                )
                ids = {
                    value: add(number, narrowed(content, query, value, f"{question}-{place}"))
                    for place, value in enumerate(sorted(values, key=str))
                }
                questions[question] = (number, query | {"funnel": next(iter(ids.values())), "funnels": ids}, expected)
            else:
                questions[question] = (number, query | {"funnel": add(number, content)}, expected)
    return questions, funnels
