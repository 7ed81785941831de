"""definitions/rules.yml: what is accepted, and what is said about what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from journeymart.definitions.applied import load_definitions
from journeymart.definitions.loader import DefinitionError, load_yaml
from journeymart.definitions.rules import parse_rules

HEAD = "rules:\n  - id: DR-X\n    label: {ko: 가, en: x}\n    owner: a\n"
A, B = "{name: A, source: screen, where: {page_code: A}}", "{name: B, source: transaction}"


def mistakes(directory: Path, body: str) -> list[str]:
    """What is said about a rule: the messages without the path."""
    (directory / "rules.yml").write_text(HEAD + body, encoding="utf-8")
    with pytest.raises(DefinitionError) as refused:
        parse_rules(load_yaml("rules", directory))
    return [message.removeprefix(f"{directory / 'rules.yml'}:") for message in refused.value.messages]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    steps: [{not: {source: screen}}, " + A + "]", "5: rules.0.steps.0: a not needs a step before it"),
        (
            "    steps:\n" + "      - not: {source: screen}\n" * 3,
            "7: rules.0.steps.1: a not needs a step before it",
        ),
        (
            "    steps:\n      - " + A + "\n      - not: {source: screen}",
            "7: rules.0.steps.1: a not after the last step",
        ),
        (
            "    order: strict\n    steps:\n      - " + A + "\n      - not: {source: screen}\n      - " + B,
            "8: rules.0.steps.1: nothing may come between strict steps",
        ),
        (
            "    steps:\n      - " + A + "\n      - {name: O, source: screen, optional: true}\n"
            "      - not: {source: screen, where: {page_code: C}}\n      - " + B,
            "8: rules.0.steps.2: a not beside an optional step is ambiguous",
        ),
        (
            "    steps:\n      - " + A + "\n      - not: {source: transaction}\n      - " + B,
            "7: rules.0.steps.1: cannot match: the step after it is the same",
        ),
        (
            "    steps:\n      - " + A + "\n      - not: {source: screen}\n"
            "      - {name: M, source: screen, times: {gte: 1, lte: 2}}\n      - " + B,
            "7: rules.0.steps.1: a not before a step with times.lte",
        ),
        (
            "    steps:\n      - {name: A, source: screen, times: {lte: 2}}",
            "6: rules.0.steps.0.times.lte: at most is counted",
        ),
        (
            "    steps:\n      - {name: A, source: screen, times: {gte: 3, lte: 2}}",
            "at least 3 and at most 2 is not possible",
        ),
        (
            "    steps:\n      - {name: A, source: screen, times: {gte: 0}}",
            "6: rules.0.steps.0.times.gte: Input should be",
        ),
        ("    steps:\n      - {name: A, source: screen, optional: true}", "6: rules.0.steps.0.optional: the first and"),
        (
            "    steps:\n      - {name: A, source: screen, within: 5m}",
            "6: rules.0.steps.0.within: counts from the step before",
        ),
        ("    within: 5m\n    steps: [" + A + "]", "5: rules.0.within: one step that happens once takes no time"),
        (
            "    within: 5m\n    steps:\n      - " + A + "\n      - {name: B, source: screen, within: 6m}",
            "8: rules.0.steps.1.within: is longer than within of the rule",
        ),
        ("    steps: [" + A + "]\n    absence: {source: screen}", "6: rules.0.absence: has no end"),
        (
            "    steps: [" + A + "]\n    session_end: true\n    absence: {source: screen, within: 5m}",
            "7: rules.0.absence.within: ends the absence, and so does session_end",
        ),
        ("    steps: [" + A + "]\n    dwell: {gte: 3m}\n    session_end: true", "6: rules.0.dwell: decides when"),
        ("    steps: [" + B + "]\n    dwell: {gte: 3m}", "6: rules.0.dwell: the last step must be of source screen"),
        (
            "    steps: [{name: C, source: consultation}]\n    session_end: true",
            "6: rules.0.session_end: the last step must be of source screen or transaction",
        ),
        (
            "    steps:\n      - " + A + "\n      - " + B + "\n    hold: [fields.account_no]",
            "6: rules.0.steps.0: hold: unknown field 'fields.account_no' of source screen",
        ),
        ("    steps: [" + A + "]\n    cooldwon: 1d", "6: rules.0.cooldwon: unknown key; did you mean 'cooldown'?"),
        (
            "    steps:\n      - {name: A, source: screen, where: {page_cod: A}}",
            "6: rules.0.steps.0.where.page_cod: unknown field 'page_cod'",
        ),
        ("    steps:\n      - {source: screen}", "6: rules.0.steps.0: a step needs name"),
        ("    steps:\n      - {name: A, not: {source: screen}}", "6: rules.0.steps.0: a not stands alone"),
        (
            "    steps:\n      - not: {source: screen, where: {page: A}}",
            "6: rules.0.steps.0.not.where.page: unknown field 'page'",
        ),
        (
            "    steps: [" + A + "]\n    action:\n      kind: popup\n      message_id: MSG-FX-COUPON\n"
            '      quiet_hours: {from: "22:00", to: "22:00"}',
            "9: rules.0.action.quiet_hours: from 22:00 to 22:00 is no time at all: leave quiet_hours out",
        ),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, body: str, message: str) -> None:
    found = mistakes(tmp_path, body)
    assert any(message in text for text in found), found


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    body = "    steps:\n      - {name: A, source: screen, optional: true}\n    absence: {source: screen}"
    assert len(mistakes(tmp_path, body)) == 2


def test_equal_conditions_of_rules_and_funnels_are_matched_once(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(
        HEAD + "    steps: [" + A + "]\n    absence: {source: screen, where: {page_code: A}, within: 5m}",
        encoding="utf-8",
    )
    (tmp_path / "funnels.yml").write_text(
        "funnels:\n  - id: FN-X\n    label: {ko: 가, en: x}\n    owner: a\n    window: 1d\n"
        "    steps: [" + A + ", " + B + "]\n",
        encoding="utf-8",
    )
    (tmp_path / "cohorts.yml").write_text("cohorts: []\n", encoding="utf-8")
    (tmp_path / "segments.yml").write_text("segments: []\n", encoding="utf-8")
    (tmp_path / "kpis.yml").write_text("kpis: []\n", encoding="utf-8")
    definitions = load_definitions(tmp_path)
    [step] = definitions.content["rules", "DR-X"]["steps"]
    assert definitions.content["rules", "DR-X"]["absence"] == [step["condition_id"]]
    assert definitions.content["funnels", "FN-X"]["steps"][0]["condition_id"] == step["condition_id"]
    assert len(definitions.conditions) == 2
