"""Definitions: what is read, what is refused, and whether the message helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from journeymart.definitions import SHIPPED, DefinitionError, DefinitionModel, load_yaml
from journeymart.definitions.applied import load_definitions
from journeymart.definitions.pages import load_pages
from journeymart.definitions.sources import RESERVED, load_sources
from journeymart.landing.targets import TARGETS


def write(directory: Path, text: str, kind: str = "sources") -> Path:
    (directory / f"{kind}.yml").write_text(text, encoding="utf-8")
    return directory


def refused(directory: Path) -> list[str]:
    with pytest.raises(DefinitionError) as error:
        load_sources(directory)
    return [message.removeprefix(f"{directory}/") for message in error.value.messages]


def test_every_shipped_source_can_be_stored():
    assert set(load_sources().sources) == set(TARGETS)


def test_what_landing_makes_for_itself_is_no_field_of_a_banks_own():
    made = [{*target.derived(load_pages()), *target.numbered} for target in TARGETS.values()]
    assert frozenset().union(*made) <= RESERVED


def test_an_absent_file_falls_back_to_the_shipped_one(tmp_path: Path):
    assert load_sources(tmp_path) == load_sources()
    assert load_pages(tmp_path) == load_pages()
    assert load_yaml("pages", tmp_path).path == SHIPPED / "pages.yml"


def test_identifying_fields_have_their_personal_class():
    classes = {
        f"{source}.{name}": field.personal
        for source, definition in load_sources().sources.items()
        for name, field in definition.fields.items()
    }
    assert classes["clickstream.ip"] == "ip"
    assert {personal for field, personal in classes.items() if field.endswith(".customer_id")} == {"customer"}
    assert {personal for field, personal in classes.items() if field.endswith((".properties", ".fields"))} == {
        "free_text"
    }


def test_an_absent_directory_is_an_error(tmp_path: Path):
    with pytest.raises(DefinitionError, match="no such directory"):
        load_sources(tmp_path / "nowhere")


def test_own_sources_say_only_what_differs(tmp_path: Path):
    own = load_sources(write(tmp_path, "sources:\n  clickstream:\n    fields:\n      visitor_id: {from: userID}\n"))
    shipped = load_sources()
    assert own.sources["transactions"] == shipped.sources["transactions"]
    visitor = own.sources["clickstream"].fields["visitor_id"]
    assert visitor.columns("visitor_id") == ["userID"]
    assert visitor.required
    assert own.sources["clickstream"].fields["event_id"] == shipped.sources["clickstream"].fields["event_id"]


def test_own_words_come_after_those_of_a_mapping(tmp_path: Path):
    write(tmp_path, "sources:\n  clickstream:\n    extends: segment\n    fields:\n      visitor_id: {from: device}\n")
    fields = load_sources(tmp_path).sources["clickstream"].fields
    assert fields["visitor_id"].columns("visitor_id") == ["device"]
    assert fields["page_url"].columns("page_url") == ["page_url", "$.context.page.url", "$.properties.url"]
    assert fields["event_id"].required


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sources:\n  clickstream:\n    time_zon: UTC\n",
            "sources.yml:3: sources.clickstream.time_zon: unknown key; did you mean 'time_zone'?",
        ),
        (
            "sources:\n  clickstream:\n    fields:\n      visitor_id:\n        fron: userID\n",
            "sources.yml:5: sources.clickstream.fields.visitor_id.fron: unknown key; did you mean 'from'?",
        ),
        (
            "sources:\n  clickstrem: {}\n",
            "sources.yml:2: sources.clickstrem: unknown source; did you mean 'clickstream'?",
        ),
        (
            "sources:\n  clickstream:\n    fields:\n      visitorid: {from: x}\n",
            "sources.yml:4: sources.clickstream.fields.visitorid: unknown field; did you mean 'visitor_id'?"
            " (columns without a field go to properties; a field of your own needs type, label and description)",
        ),
        (
            "sources:\n  clickstream:\n    fields:\n"
            "      site: {type: text, label: {ko: a, en: a}, description: {ko: a, en: a}}\n",
            "sources.yml:4: sources.clickstream.fields.site: must be named in lower case, by a name that landing does"
            " not use itself",
        ),
        (
            "sources:\n  clickstream:\n    fields:\n      visitor_id: {is_own: true}\n",
            "sources.yml:4: sources.clickstream.fields.visitor_id.is_own: unknown key",
        ),
        (
            "sources:\n  clickstream:\n    time_zone: Asia/Soul\n",
            "sources.yml:3: sources.clickstream.time_zone: unknown time zone 'Asia/Soul'; did you mean 'Asia/Seoul'?",
        ),
        (
            "sources:\n  clickstream:\n    columns: [id, at, ID]\n",
            "sources.yml:3: sources.clickstream.columns: 'id' is there twice, whatever its case",
        ),
        (
            "sources:\n  clickstream:\n    columns: [id, '']\n",
            "sources.yml:3: sources.clickstream.columns: a column needs a name",
        ),
        (
            "sources:\n  clickstream:\n    nulls: [1]\n",
            "sources.yml:3: sources.clickstream.nulls.0: must be text, not 1; put it in quotes",
        ),
        (
            "sources:\n  clickstream:\n    fields:\n      event_id: {type: text}\n",
            "sources.yml:4: sources.clickstream.fields.event_id.type: the type is key and cannot be changed",
        ),
        (
            "sources:\n  clickstream:\n    fields:\n      event_id: {required: false}\n",
            "sources.yml:4: sources.clickstream.fields.event_id.required: the contract requires this field",
        ),
        (
            "sources:\n  clickstream:\n    fields:\n      action_type: {allowed: [view, hover]}\n",
            "sources.yml:4: sources.clickstream.fields.action_type.allowed: the contract does not allow 'hover'",
        ),
        (
            "sources:\n  clickstream:\n    fields:\n      ip: {personal: ~}\n",
            "sources.yml:4: sources.clickstream.fields.ip.personal: the contract says that this field is personal (ip)",
        ),
        (
            "sources:\n  clickstream:\n    fields:\n      event_id: {from: id, file_line: true}\n",
            "sources.yml:4: sources.clickstream.fields.event_id:"
            " only one of from, value, hash and file_line can be given",
        ),
        (
            "sources:\n  clickstream:\n    extends: snowplough\n",
            "sources.yml:3: sources.clickstream.extends: there is no mapping 'snowplough';"
            " there are ga4, matomo, matomo_log, matomo_visits, segment, snowplow, snowplow_tsv",
        ),
        (
            "sources:\n  customers:\n    extends: ga4\n",
            "sources.yml:3: sources.customers.extends: the mapping 'ga4' is not about customers",
        ),
        (
            "sources:\n  clickstream:\n    fields:\n      ip: {from: '$.context..ip'}\n",
            "sources.yml:4: sources.clickstream.fields.ip:"
            " '$.context..ip' is no place such as $.context.page.url or $.items[key=name].value",
        ),
        ("sources: {}\nsources: {}\n", "sources.yml:2: the key 'sources' is there twice"),
        ("- sources\n", "sources.yml:1: must be a mapping of keys to values"),
    ],
)
def test_a_mistake_is_explained_where_it_is(tmp_path: Path, text: str, message: str):
    assert refused(write(tmp_path, text)) == [message]


def test_all_mistakes_of_a_file_are_reported_together(tmp_path: Path):
    text = "sources:\n  clickstream:\n    delimiter: ';;'\n    tme_zone: UTC\n"
    assert len(refused(write(tmp_path, text))) == 2


def test_yaml_that_is_broken_names_the_line(tmp_path: Path):
    assert refused(write(tmp_path, "sources:\n  clickstream: [\n"))[0].startswith("sources.yml:3: ")


class Words(DefinitionModel):
    """For the reading of plain values."""

    words: list[str | bool | int | float | None]


def test_scalars_are_what_they_look_like(tmp_path: Path):
    write(tmp_path, "words: [no, on, yes, 2025-01-01, 0123, 12:30, true, 12, 1.5, ~, '']\n", "words")
    words = load_yaml("words", tmp_path).parse(Words).words
    assert words == ["no", "on", "yes", "2025-01-01", "0123", "12:30", True, 12, 1.5, None, ""]


def test_aliases_cannot_grow_without_end(tmp_path: Path):
    layers = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 9))
    write(tmp_path, f"l0: &l0 [x, x, x, x, x]\n{layers}\n", "words")
    with pytest.raises(DefinitionError, match="too many"):
        load_yaml("words", tmp_path)


@pytest.mark.parametrize("value", ["!!python/object/apply:os.getcwd []", "!!python/name:os.getcwd x", "!own x"])
def test_only_plain_values_are_read(tmp_path: Path, value: str):
    write(tmp_path, f"words: [{value}]\n", "words")
    with pytest.raises(DefinitionError, match="only plain values are read"):
        load_yaml("words", tmp_path)


def test_a_path_rule_must_compile(tmp_path: Path):
    write(tmp_path, "path_rules:\n  - {match: '/a', replace: ''}\n  - {match: '(?=x)', replace: ''}\n", "pages")
    with pytest.raises(DefinitionError, match=r"pages\.yml:3: path_rules\.1\.match: not a regular expression"):
        load_pages(tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("clickstream: {keep: 23h}", "sources.clickstream.keep: must be a day or more"),
        ("customers: {keep: 400d}", "sources.customers.keep: an old line of customers may be what holds today"),
    ],
)
def test_only_what_happens_has_an_end(tmp_path: Path, given: str, message: str) -> None:
    (tmp_path / "sources.yml").write_text(f"sources:\n  {given}")
    with pytest.raises(DefinitionError, match=f"sources.yml:2: {message}"):
        load_sources(tmp_path)


def test_a_source_can_be_expected_every_so_often(tmp_path: Path) -> None:
    (tmp_path / "sources.yml").write_text("sources: {clickstream: {expect_every: 90m}}")
    assert ("sources", "expect_every") not in load_definitions().content
    assert load_definitions(tmp_path).content["sources", "expect_every"] == {"clickstream": 5400}
    plan = load_sources(tmp_path)
    assert type(plan).model_validate_json(plan.model_dump_json(by_alias=True, exclude_none=True)) == plan
