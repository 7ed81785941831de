"""`journeymart definitions check`: every mistake with its file, its line and what may have been meant."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from typer.testing import CliRunner

from journeymart import pipeline
from journeymart.cli.definitions import app
from journeymart.definitions import SHIPPED
from journeymart.definitions.canaries import load_canaries
from journeymart.definitions.check import check
from journeymart.definitions.loader import DefinitionError, load_yaml
from journeymart.definitions.packs import Report, load_packs
from journeymart.definitions.requests import RequestError, add, origin_of, target_of, with_definition
from journeymart.definitions.schema import DIRECTORY, MODELS, schemas, written
from journeymart.settings import Settings

HEAD = "funnels:\n- id: FN-X\n  label: {ko: 가, en: x}\n  owner: a\n  window: 1h\n"
STEPS = """  steps:
  - {name: one, source: screen, where: {page_code: A}}
  - {name: two, source: screen, where: {page_code: B}}
"""


def errors(directory: Path, text: str, name: str = "funnels.yml") -> list[str]:
    (directory / name).write_text(text)
    return [message.replace(f"{directory}/", "") for message in check(directory).errors]


def transactions_of(content: object) -> Iterator[dict[str, object]]:
    """The conditions on transactions in what a definition file says."""
    if isinstance(content, dict):
        if content.get("source") == "transaction":
            yield content["where"]
        content = list(content.values())
    for part in content if isinstance(content, list) else []:
        yield from transactions_of(part)


@pytest.mark.parametrize("kind", ["funnels", "cohorts", "segments", "kpis", "audiences"])
def test_what_has_failed_is_nothing_done(kind: str) -> None:
    found = list(transactions_of(yaml.safe_load((SHIPPED / f"{kind}.yml").read_text())))
    assert found
    assert [where for where in found if where.get("result_code") != "0000"] == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("  step: []", "funnels.yml:9: funnels.0.step: unknown key; did you mean 'steps'?"),
        ("  count_by: sesion", "funnels.yml:9: funnels.0.count_by: Input should be 'person', 'visitor', 'session' or"),
        ("  step_windows: [null, 2h]", "funnels.yml:9: funnels.0.step_windows.1: must be longer than"),
        ("  exclusions:\n  - {source: screen, where: {page_cod: X}}",
         "funnels.yml:10: funnels.0.exclusions.0.where.page_cod: unknown field 'page_cod' of source screen; did you"),
        ("  exclusions:\n  - {source: screen, where: {page_code: B}}",
         "funnels.yml:8: funnels.0.steps.1: cannot be taken: exclusions.0 is the same"),
        ("  exclusions:\n  - {source: screen, where: {page_code: X}, from_step: 2}",
         "funnels.yml:10: funnels.0.exclusions.0: from_step must lie before to_step"),
        ("  exclusions:\n  - {source: transaction, where: {amount: {gte: 10, lt: 5}}}",
         "funnels.yml:10: funnels.0.exclusions.0.where.amount: amount: cannot be reached: nothing fulfils"),
        ("  step_windows: [1000000000d]", "funnels.yml:9: funnels.0.step_windows.0: a duration is at most 100 years"),
        ("  step_windows: [200000000d]", "funnels.yml:9: funnels.0.step_windows.0: a duration is at most 100 years"),
        ("  step_windows: [" + "9" * 5000 + "]", "funnels.yml:9: the number is too long"),
        ("  hold: [fields.account]", "funnels.yml:9: funnels.0.hold: unknown field 'fields.account' of source"),
        ("  breakdown: {by: customer.grad}", "did you mean 'customer.grade'?"),
        ("  entry: best\n  count_by: attempt", "funnels.yml:10: funnels.0.count_by: attempt goes with entry:"),
    ],
)  # fmt: skip
def test_mistakes_in_a_funnel(tmp_path: Path, line: str, found: str) -> None:
    messages = errors(tmp_path, HEAD + STEPS + line + "\n")
    assert any(found in message for message in messages), messages


def test_a_step_that_nobody_can_reach(tmp_path: Path) -> None:
    steps = STEPS.replace("source: screen, where: {page_code: B}", "source: consultation, where: {category: x}")
    assert errors(tmp_path, HEAD + steps + "  count_by: session\n") == [
        "funnels.yml:8: funnels.0.steps.1: cannot be reached: what is of source consultation has no session"
    ]


@pytest.mark.parametrize(
    ("domains", "found"),
    [
        ("  - {domain: a.example, nam: x}", "pages.yml:3: domains.0.nam: unknown key; did you mean 'name'?"),
        ("  - {domain: 'https://a.example', name: x}", "pages.yml:3: domains.0.domain: a domain is a host name"),
        ("  - {domain: A.example, name: x}", "pages.yml:3: domains.0.domain: a domain is a host name in lower"),
        ("  - {domain: a.example, name: 'x:y'}", "pages.yml:3: domains.0.name: String should match pattern"),
        ("  - {domain: a.example, name: x}\n  - {domain: a.example, name: y}",
         "pages.yml:4: domains.1.domain: a.example is there twice"),
        ("  - {domain: a, channel: app, name: x}\n  - {domain: a, channel: app, name: y}",
         "pages.yml:4: domains.1.domain: a of channel app is there twice"),
    ],
)  # fmt: skip
def test_mistakes_in_the_domains_of_pages(tmp_path: Path, domains: str, found: str) -> None:
    messages = errors(tmp_path, f"path_rules: []\ndomains:\n{domains}\n", "pages.yml")
    assert any(message.startswith(found) for message in messages), messages


def test_domains_of_pages(tmp_path: Path) -> None:
    domains = "  - {domain: a.example, name: 투자}\n  - {domain: a.example, channel: app, name: mts}\n"
    assert errors(tmp_path, f"path_rules: []\ndomains:\n{domains}", "pages.yml") == []


def test_a_file_that_nobody_reads(tmp_path: Path) -> None:
    [message] = errors(tmp_path, "funnels: []", "funels.yml")
    assert message.startswith("funels.yml: is not read; did you mean 'funnels'? (known names: audiences, ")
    (tmp_path / "funels.yml").unlink()
    assert errors(tmp_path, "funnels: []", "funnels.yaml") == ["funnels.yaml: is not read; files end in .yml"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("action_type: swipe", "action_type: cannot be reached: action_type is never 'swipe' (one of click, error, "),
        (
            "action_type: [view, submitt]",
            "action_type.1: cannot be reached: action_type is never 'submitt'; did",
        ),
        (
            "any_of: [{action_type: {eq: clik}}]",
            "any_of.0.action_type.eq: cannot be reached: action_type is never 'cl",
        ),
        ("hour: 24", "hour: hour: cannot be reached: hours are 0 (midnight) to 23, not 24"),
        ("hour: {gt: 23}", "hour: hour: cannot be reached: hours are 0 (midnight) to 23"),
        ("weekday: [0, 6]", "weekday: weekday: cannot be reached: weekdays are 1 (Monday) to 7 (Sunday)"),
    ],
)
def test_a_condition_that_nothing_fulfils(tmp_path: Path, where: str, found: str) -> None:
    [message] = errors(tmp_path, HEAD + STEPS.replace("page_code: A", where))
    assert message.startswith(f"funnels.yml:7: funnels.0.steps.0.where.{found}")


def test_conditions_on_the_hour_that_something_fulfils(tmp_path: Path) -> None:
    where = "hour: {gte: 22, lt: 24}, weekday: [6, 7], action_type: [click, submit]"
    assert errors(tmp_path, HEAD + STEPS.replace("page_code: A", where)) == []


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("mode: bracket", ["mode: bracket needs brackets, the first age of each after the first: [1, 8, 15] is 0, 1"]),
        ("brackets: [1, 8]", ["brackets: belong to mode: bracket, not to exact"]),
        ("mode: bracket, brackets: [1, 1]", ["brackets.1: two brackets begin at age 1"]),
        ("mode: bracket, brackets: [8, 1, 20]", [
            "brackets.1: must rise: 1 comes after 8, whose bracket it would overlap",
            "brackets.2: age 20 is never shown: ages is 12",
        ]),
        ("mode: bracket, brackets: [[1, 7], [8, 14]]", ["brackets: name the first age of each bracket; it goes on"]),
        ("mode: bracket, brackets: [0, 7]", ["brackets.0: Input should be greater than or equal to 1"]),
    ],
)  # fmt: skip
def test_brackets_that_say_nothing(tmp_path: Path, keys: str, found: list[str]) -> None:
    start = "start: {source: screen, where: {page_code: A}}"
    cohort = f"cohorts:\n- {{id: CH-X, label: {{ko: 가, en: x}}, owner: a, {start},\n   period: day, {keys}}}\n"
    messages = errors(tmp_path, cohort, "cohorts.yml")
    assert len(messages) == len(found), messages
    for message, text in zip(messages, found, strict=True):
        assert message.startswith(f"cohorts.yml:3: cohorts.0.{text}")


def test_a_message_that_expires_at_once(tmp_path: Path) -> None:
    rule = (SHIPPED / "rules.yml").read_text(encoding="utf-8")
    message = errors(tmp_path, re.sub("expires: [0-9]+[a-z]", "expires: 0d", rule, count=1), "rules.yml")[0]
    assert "action.expires: must be longer than nothing" in message


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("page_code: A", "page_cod: A", "funnels.yml:7: funnels.0.steps.0.where.page_cod: unknown field 'page_cod' of"),
        ("{ko: 가, en: x}", "가", "funnels.yml:3: funnels.0.label: must be keys with values (en, ko), not '가'"),
        ("steps:", "steps: A\n  #", "funnels.yml:6: funnels.0.steps: must be a list, not 'A'"),
        ("  - {name: two", "  # {name: two", "funnels.yml:6: funnels.0.steps: needs at least 2, not 1"),
    ],
)
def test_one_mistake_is_one_message_in_plain_words(tmp_path: Path, old: str, new: str, found: str) -> None:
    text = (HEAD + STEPS).replace(old, new)
    if "steps: A" in text:
        text = text.partition("  #")[0]
    [message] = errors(tmp_path, text)
    assert message.startswith(found)


def test_a_transaction_code_that_is_not_in_the_catalogue_is_a_warning(tmp_path: Path) -> None:
    steps = STEPS.replace(
        "screen, where: {page_code: B}", "transaction, where: {transaction_code: [FX_REMIT, FX_REMITT]}"
    )
    assert errors(tmp_path, HEAD + steps) == []
    [warning] = check(tmp_path).warnings
    assert warning.endswith(
        "funnels.yml:8: funnels.0.steps.1.where.transaction_code.1: no transaction code 'FX_REMITT' is defined;"
        " did you mean 'FX_REMIT'?"
    )


def test_a_pack_of_a_department_without_a_role_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "packs.yml").write_text(PACK.replace("digital-sales", "digital-sale") + "  anchors: [{page: A}]")
    report = check(tmp_path)
    assert (report.errors, [message.partition("packs.yml:")[2] for message in report.warnings]) == ([], [
        "5: packs.0.owner: roles.yml has no department digital-sale, whose people could open the dashboard;"
        " did you mean 'digital-sales'?"
    ])  # fmt: skip


def test_the_command_says_the_same(tmp_path: Path) -> None:
    errors(tmp_path, HEAD)
    done = CliRunner().invoke(app, ["check", str(tmp_path), "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["errors"] == [f"{tmp_path}/funnels.yml:2: funnels.0.steps: missing"]
    by_option = CliRunner().invoke(app, ["check", "--definitions", str(tmp_path), "--json"])
    assert by_option.stdout == done.stdout
    both = CliRunner().invoke(app, ["check", str(tmp_path), "--definitions", "elsewhere"])
    assert both.exit_code == 2, "one directory or the other"
    assert CliRunner().invoke(app, ["check"]).stdout.endswith(" files, 0 errors, 0 warnings\n")


def test_what_check_refuses_is_not_applied(tmp_path: Path) -> None:
    """Before anything is asked of a database."""
    wrong = errors(tmp_path, HEAD + STEPS.replace("page_code: A", "action_type: swipe"))
    with pytest.raises(DefinitionError) as refused:
        pipeline.apply(Settings.load({}), tmp_path)
    assert [message.replace(f"{tmp_path}/", "") for message in refused.value.messages] == wrong != []
    (tmp_path / "funnels.yml").rename(tmp_path / "funels.yml")
    with pytest.raises(DefinitionError, match="is not read; did you mean 'funnels'"):
        pipeline.apply(Settings.load({}), tmp_path)


SCHEMAS = schemas()
FILES: Registry = Registry().with_resources((name, DRAFT202012.create_resource(item)) for name, item in SCHEMAS.items())


def test_the_schemas_for_editors_are_those_of_the_models() -> None:
    """`PYTHONPATH=plugins python -c "from journeymart.definitions.schema import write; write()"` renews them."""
    found = {path.name: path.read_text(encoding="utf-8") for path in DIRECTORY.iterdir()}
    assert found == {name: written(schema) for name, schema in SCHEMAS.items()}


def validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[f"{kind}.schema.json"], registry=FILES)


@pytest.mark.parametrize("kind", MODELS)
def test_the_shipped_definitions_are_valid_by_their_schema(kind: str) -> None:
    data = yaml.load((SHIPPED / f"{kind}.yml").read_text(encoding="utf-8"), yaml.SafeLoader)
    assert [error.message for error in validator(kind).iter_errors(data)] == []


def test_the_schema_of_conditions_finds_mistakes() -> None:
    def mistakes(where: object) -> int:
        step = {"name": "1", "source": "screen", "where": where}
        funnel = {"id": "FN-X", "label": {"ko": "가", "en": "x"}, "owner": "a", "window": "1h", "steps": [step, step]}
        return len([*validator("funnels").iter_errors({"funnels": [funnel]})])

    assert mistakes({"page_code": ["A"], "properties.a.b": {"gte": 1}, "any_of": [{"customer.grade": "VIP"}]}) == 0
    for wrong in ({"page_cod": "A"}, {"page_code": {"equals": "A"}}, {"properties": "x"}, {"any_of": [{"x": 1}]}):
        assert mistakes(wrong) > 0, wrong


def test_the_schema_of_sources_is_of_what_differs() -> None:
    def mistakes(source: object) -> int:
        return len([*validator("sources").iter_errors({"sources": {"clickstream": source}})])

    assert mistakes({"extends": "snowplow", "time_zone": "UTC", "fields": {"visitor_id": {"from": "userID"}}}) == 0
    for wrong in ({"extends": "snowplough"}, {"fields": {"visitor_id": {"form": "userID"}}}, {"time_zon": "UTC"}):
        assert mistakes(wrong) > 0, wrong


@pytest.mark.parametrize("kind", MODELS)
def test_editors_are_told_the_schema_of_a_shipped_file(kind: str) -> None:
    first, *_ = (SHIPPED / f"{kind}.yml").read_text(encoding="utf-8").splitlines()
    assert first == f"# yaml-language-server: $schema=schemas/{kind}.schema.json"


AUDIENCE = """audiences:
- id: AU-X
  label: {ko: 가, en: x}
  owner: a
  purpose: marketing
"""


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            "  from: {segment: SG-STABEL}",
            "audiences.yml:6: audiences.0.from.segment: segments.yml has no SG-STABEL; did",
        ),
        ("  from: {segment: SG-STABLE, rule: DR-FX-INTENT}", "say exactly one of segment, rule, funnel, cohort"),
        ("  from: {rule: DR-FX-INTENT}", "a rule needs within"),
        ("  from: {segment: SG-STABLE, step: 2}", "step does not belong to a segment"),
        ("  from: {funnel: FN-ACCOUNT-OPEN, step: 9}", "audiences.0.from.step: FN-ACCOUNT-OPEN has 5 steps"),
        ("  from: {cohort: CH-LOGIN-WEEK, start: 2026-06-02}", "audiences.0.from.start: no week begins on 2026-06-02"),
        (
            "  from: {cohort: CH-ACCOUNT-TRADE, start: 2026-06-01, age: 2, returned: false}",
            "audiences.0.from.age: CH-ACCOUNT-TRADE has no age 2",
        ),
        (
            "  from: {segment: SG-STABLE}\n  columns: [name]",
            "audiences.yml:7: audiences.0.columns.0: String should match",
        ),
        ("  from: {segment: SG-STABLE}\n  hold_out: 0.1", "without a goal there is nothing to compare"),
        (
            "  from: {segment: SG-STABLE}\n  suppress: [SG-X]",
            "audiences.yml:7: audiences.0.suppress.0: segments.yml has",
        ),
        (
            "  from: {segment: SG-STABLE}\n  suppress: [SG-STABLE]",
            "audiences.yml:7: audiences.0.suppress: SG-STABLE is the audience itself: nobody would be left",
        ),
        (
            "  from: {funnel: FN-ACCOUNT-OPEN, step: 5, outcome: still_open}",
            "audiences.yml:6: audiences.0.from.outcome: cannot be reached: nobody is still_open at step 5, the last of",
        ),
        (
            "  from: {funnel: FN-ACCOUNT-OPEN, step: 5}",
            "audiences.yml:6: audiences.0.from.step: cannot be reached: nobody is dropped at step 5, the last of",
        ),
    ],
)
def test_mistakes_in_an_audience(tmp_path: Path, line: str, found: str) -> None:
    messages = errors(tmp_path, AUDIENCE + line + "\n", "audiences.yml")
    assert any(found in message for message in messages), messages


def test_rules_that_look_for_the_same(tmp_path: Path) -> None:
    rule = "  label: {ko: 가, en: x}\n  owner: a\n  within: 5m\n" + STEPS
    (tmp_path / "rules.yml").write_text(f"rules:\n- id: DR-A\n{rule}- id: DR-B\n{rule.replace('5m', '9m')}")
    report = check(tmp_path)
    assert report.errors == []
    assert [message.partition("rules.yml:")[2] for message in report.warnings] == [
        "9: rules.1: looks for the same as DR-A, apart from within; whoever is hit by both is contacted twice"
    ]


PACK = "packs:\n- id: PK-X\n  label: {ko: 가, en: x}\n  description: {ko: 가, en: x}\n  owner: digital-sales\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "packs.yml:2: packs.0: say what to look at: anchors, between or funnel"),
        ("  funel: FN-ACCOUNT-OPEN", "packs.yml:6: packs.0.funel: unknown key; did you mean 'funnel'?"),
        ("  funnel: FN-ACCOUNT-OPENED", "packs.yml:6: packs.0.funnel: funnels.yml has no FN-ACCOUNT-OPENED; did you"),
        ("  funnel: FN-REMITTANCE", "packs.yml:6: packs.0.funnel: FN-REMITTANCE belongs to fx-sales; the people of"),
        ("  anchors: [{page: A, error: B}]", "packs.yml:6: packs.0.anchors.0: say one of page, transaction and error"),
        ("  anchors: [{transaction: SEC_OUTT}]",
         "packs.yml:6: packs.0.anchors.0.transaction: no transaction code 'SEC_OUTT' is defined; did you mean"),
        ("  anchors: [{page: A}]\n  segments: [SG-STABEL]",
         "packs.yml:7: packs.0.segments.0: segments.yml has no SG-STABEL; did you mean 'SG-STABLE'?"),
        ("  between: {start: {page: A}, end: {page: A}}",
         "packs.yml:6: packs.0.between.end: the way ends where it starts"),
        ("  anchors: [{page: A}]\n" + PACK.removeprefix("packs:\n") + "  anchors: [{page: A}]",
         "packs.yml:7: packs.1.id: PK-X is there twice"),
        ("  anchors: [{page: A}]\n  report: {every: fortnight}",
         "packs.yml:7: packs.0.report.every: Input should be 'day', 'week' or 'month'"),
        ("  anchors: [{page: A}]\n  report: {every: day, recipients: ['Kim <kim@bank.example>']}",
         "packs.yml:7: packs.0.report.recipients.0: String should match pattern"),
    ],
)  # fmt: skip
def test_a_pack_names_what_exists_and_what_its_people_see(tmp_path, lines, message):
    (tmp_path / "packs.yml").write_text(PACK + lines)
    with pytest.raises(DefinitionError, match=re.escape(message)) as raised:
        load_packs(tmp_path)
    assert len(raised.value.messages) == 1


@pytest.mark.parametrize(
    ("report", "first", "last", "first_before"),
    [
        (Report(every="day"), "2026-03-08", "2026-03-08", "2026-03-07"),
        (Report(every="week"), "2026-03-02", "2026-03-08", "2026-02-23"),
        (Report(every="week", days=28), "2026-02-09", "2026-03-08", "2026-01-12"),
        (Report(every="month"), "2026-02-01", "2026-02-28", "2026-01-01"),
    ],
)
def test_a_report_covers_what_is_over_on_a_monday(report: Report, first: str, last: str, first_before: str) -> None:
    assert report.period(date(2026, 3, 9)) == (date.fromisoformat(first), date.fromisoformat(last))
    begun, ended = report.before(date.fromisoformat(first))
    assert (begun.isoformat(), ended) == (first_before, date.fromisoformat(first) - timedelta(1))


def test_shipped_packs_that_do_not_fit_other_funnels_are_left_out(tmp_path, monkeypatch):
    write = (tmp_path / "funnels.yml").write_text
    write("funnels: []\n", encoding="utf-8")
    assert [pack.id for pack in load_packs(tmp_path)] == ["PK-SEC-OUT", "PK-RANKING-ORDER"]
    monkeypatch.setenv("JOURNEYMART_DEFINITIONS", str(tmp_path))
    assert [pack.id for pack in load_packs()] == ["PK-SEC-OUT", "PK-RANKING-ORDER"]


def test_an_installation_keeps_requests_beside_the_shipped_definitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "definitions"
    monkeypatch.setenv("JOURNEYMART_DEFINITIONS", str(own))
    content = {"id": "AU-ASKED", "label": {"ko": "요청", "en": "Asked"}, "owner": "tests", "purpose": "marketing",
               "from": {"segment": "SG-FX-INTEREST"}}  # fmt: skip
    text = with_definition("audiences", content)
    assert text.startswith((SHIPPED / "audiences.yml").read_text(encoding="utf-8"))
    assert target_of("audiences", None) == own / "audiences.yml"
    add("audiences", content)
    assert target_of("audiences", None).read_text(encoding="utf-8") == text
    assert with_definition("audiences", content) == text, "a request that is repeated finds itself"
    assert with_definition("audiences", content | {"id": "AU-NEXT"}).startswith(text)
    with ThreadPoolExecutor() as requests:
        list(requests.map(add, ["audiences"] * 2, [content | {"id": f"AU-{n}"} for n in range(2)]))
    cell = "{cohort: CH-LOGIN-WEEK, start: 2026-06-01, age: 1, returned: false}"  # as docs/integrate.md has it
    add("audiences", content | {"id": "AU-CELL", "from": origin_of(cell)})
    [*_, first, second, _] = [item["id"] for item in load_yaml("audiences").data["audiences"]]
    assert {first, second} == {"AU-0", "AU-1"}, "requests at once wait for each other"
    with pytest.raises(RequestError, match="--from:"):
        origin_of("{cohort: ")


@pytest.mark.parametrize("indent", ["", "  ", "    "])
def test_a_request_is_added_to_a_list_however_far_it_is_indented(tmp_path: Path, indent: str) -> None:
    segment = {"id": "SG-A", "label": {"ko": "가", "en": "a"}, "owner": "tests", "all_of": [{"did": {"source": "any"}}]}
    listed = textwrap.indent(yaml.safe_dump([segment], allow_unicode=True), indent)
    (tmp_path / "segments.yml").write_text(f"# ours\nsegments:\n{listed}", encoding="utf-8")
    add("segments", segment | {"id": "SG-B"}, tmp_path)
    assert [item["id"] for item in load_yaml("segments", tmp_path).data["segments"]] == ["SG-A", "SG-B"]


CANARY = """canaries:
- id: CN-X
  label: {ko: 가, en: x}
  customer_id: CANARY
  visitor_id: canary
  within: 30m
  expect: {timeline: {behaviour: 1}, funnels: {FN-REMITTANCE: 1}, rules: [DR-FX-STUCK]}
  steps:
  - {source: clickstream, at: "06:00", fields: {page_code: A}}
"""


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("page_code: A", "page_cod: A",
         "canaries.yml:9: canaries.0.steps.0.fields.page_cod: is no field to fill in of clickstream; did you mean 'p"),
        ("page_code: A", "event_id: A", "canaries.0.steps.0.fields.event_id: is no field to fill in of clickstream"),
        ("page_code: A", "action_type: swipe", "canaries.0.steps.0.fields.action_type: must be one of view, click, "),
        ('clickstream, at: "06:00", fields: {page_code: A}', 'transactions, at: "06:00"',
         "canaries.yml:9: canaries.0.steps.0.fields: transactions needs transaction_code"),
        ("clickstream", "consents", "canaries.yml:9: canaries.0.steps.0.source: Input should be 'clickstream', "),
        ("FN-REMITTANCE", "FN-REMITANCE",
         "canaries.yml:7: canaries.0.expect.funnels.FN-REMITANCE: funnels.yml has no FN-REMITANCE; did you mean 'F"),
        ("DR-FX-STUCK", "DR-FX-STUK", "canaries.yml:7: canaries.0.expect.rules.0: rules.yml has no DR-FX-STUK; did"),
        ("CANARY", "CANARY-{day}", "canaries.yml:4: canaries.0.customer_id: String should match pattern"),
        ("{behaviour: 1}", "{}", "canaries.yml:7: canaries.0.expect.timeline: "),
    ],
)  # fmt: skip
def test_mistakes_in_a_canary(tmp_path: Path, old: str, new: str, found: str) -> None:
    [message] = errors(tmp_path, CANARY.replace(old, new), "canaries.yml")
    assert found in message


def test_canaries_keep_their_customers_and_their_order(tmp_path: Path) -> None:
    again = CANARY.replace("CN-X", "CN-Y").removeprefix("canaries:\n")
    assert errors(tmp_path, CANARY + again, "canaries.yml") == [
        "canaries.yml:12: canaries.1.customer_id: CANARY is another canary's",
        "canaries.yml:13: canaries.1.visitor_id: canary is another canary's",
    ]
    step = '  - {source: clickstream, at: "05:59", fields: {page_code: B}}\n'
    [message] = errors(tmp_path, CANARY + step, "canaries.yml")
    assert message == "canaries.yml:10: canaries.0.steps.1: must come after the step before"


def test_lines_that_landing_would_read_otherwise_are_for_a_robot(tmp_path: Path) -> None:
    """A canary of one's own is a mistake then; a shipped one is left out."""
    assert {canary.id for canary in load_canaries()} == {"CN-WEB", "CN-APP", "CN-COUNTER"}
    (tmp_path / "sources.yml").write_text("sources: {clickstream: {fields: {page_code: {from: screen}}}}")
    assert check(tmp_path).errors == []
    assert [canary.id for canary in load_canaries(tmp_path)] == ["CN-COUNTER"]
    [message] = errors(tmp_path, CANARY, "canaries.yml")
    assert message.endswith(
        "steps.0.source: sources.yml takes page_code from something else: let a robot make this journey"
    )
    robot = CANARY.partition("  steps:")[0]
    assert errors(tmp_path, robot, "canaries.yml") == []
