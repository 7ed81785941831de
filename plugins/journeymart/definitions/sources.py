"""definitions/sources.yml: the tracking plan. Which fields a source has and where they come from in its files.

The shipped file is the contract: it names every field with its type. A sources.yml elsewhere only says what differs
(`column userID is our visitor_id`); it can narrow the contract, never loosen it, because the tables rest on it.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field as ModelField
from pydantic import field_validator, model_validator

from journeymart.definitions.durations import Duration
from journeymart.definitions.loader import (
    SHIPPED,
    DefinitionModel,
    Document,
    Label,
    Location,
    load_yaml,
    read_document,
    suggestion,
)

Encoding = Literal["cp949", "euc-kr", "utf-8"]
FieldType = Literal["text", "key", "time", "date", "integer", "boolean", "decimal", "json"]
# What a value says about a person. `free_text` may hold any of the others, put there by whoever wrote it.
PersonalClass = Literal[
    "customer", "device", "ip", "name", "email", "phone", "account", "resident_number", "birth", "free_text"
]
# What a line of a web server's access log has to offer as columns.
COMBINED_LOG_COLUMNS = (
    "remote_host",
    "identity",
    "user",
    "time",
    "method",
    "path",
    "protocol",
    "status",
    "bytes",
    "referrer",
    "user_agent",
)
# Sources of things that happen. The others say how something is: an old line of theirs may be what still holds.
HAPPENINGS = frozenset({"clickstream", "transactions", "consultations", "campaign_sends", "survey_responses"})
COMBINED_LOG_TIME = "%d/%b/%Y:%H:%M:%S %z"


class DatePlus(DefinitionModel):
    """A time given as a date and the milliseconds since its start, in two columns."""

    date: str
    milliseconds: str


# A place inside a nested column: $.context.page.url; of a list $.contexts[0].name for its first entry, or
# $.event_params[key=page_title].value for the first one whose `key` is page_title.
NESTED = re.compile(r"^\$(?:\.[A-Za-z_][A-Za-z0-9_]*(?:\[(?:\d+|[A-Za-z_][A-Za-z0-9_]*=[^\[\]]+)\])?)+$")


class Field(DefinitionModel):
    """One field: its type, its rules, and where its value is found."""

    type: FieldType
    is_own: bool = ModelField(default=False, exclude=True)  # not of the contract: kept in properties under its name
    required: bool = False
    personal: PersonalClass | None = None
    allowed: list[str] | None = None
    default: str | None = None
    label: Label
    description: Label
    # Where it comes from: the column of its own name or of an alias, unless one of the others is given.
    aliases: tuple[str, ...] = ()
    source_column: str | None = ModelField(default=None, alias="from")
    value: str | None = None
    hash: list[str] | None = ModelField(default=None, min_length=1)  # md5 of several columns together
    file_line: bool = False
    values: dict[str, str] | None = None  # what the values of a file stand for; "*" for every other one
    names: dict[str, Label] | None = ModelField(default=None, min_length=1)  # what people read in place of a value
    # How a time is written: `iso` (ISO 8601), an epoch, a strptime format, or two columns.
    time: str | DatePlus = "iso"

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        origins = [self.source_column, self.value, self.hash, self.file_line or None]
        if sum(origin is not None for origin in origins) > 1:
            raise ValueError("only one of from, value, hash and file_line can be given")
        for column in self.columns(""):
            if column.startswith("$") and not NESTED.match(column):
                raise ValueError(f"'{column}' is no place such as $.context.page.url or $.items[key=name].value")
        if self.time != "iso" and self.type != "time":
            raise ValueError("'time' says how a time is written; this field is no time")
        if isinstance(self.time, str) and self.time not in ("iso", *EPOCHS) and "%" not in self.time:
            raise ValueError(
                f"'time' must be iso, {', '.join(EPOCHS)}, a format with % codes, or date and milliseconds"
            )
        return self

    def columns(self, name: str) -> list[str]:
        """The columns of a file that its value is taken from: the first that has one, or all for `hash`."""
        if isinstance(self.time, DatePlus):
            return [self.time.date, self.time.milliseconds]
        if self.hash is not None:
            return list(self.hash)
        if self.value is not None or self.file_line:
            return []
        return [self.source_column] if self.source_column is not None else [name, *self.aliases]


MAPPINGS = SHIPPED / "mappings"
OWN_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
# What landing calls its own columns.
RESERVED = frozenset(
    {
        "row_id", "line", "r", "problem", "extra", "unstorable", "kind", "place", "error_place", "site", "event_hash",
        "place_no", "agent_no", "inflow_no", "error_no",
    }
)  # fmt: skip
# Units of an epoch, in microseconds.
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}


class Source(DefinitionModel):
    """One folder of the landing zone."""

    label: Label
    format: Literal["by_name", "ndjson", "csv", "parquet", "combined_log"] = "by_name"
    delimiter: str = ModelField(default=",", min_length=1, max_length=1)
    columns: list[str] | None = ModelField(default=None, min_length=1)
    nulls: tuple[str, ...] = ()
    encoding: Encoding = "utf-8"  # of text files; .dat files have that of their layouts
    time_zone: str = "Asia/Seoul"
    require_done: bool = False
    expect_every: Duration | None = None  # late when its newest event is older than this beside the newest of all
    keep: Duration | None = None  # files whose lines are all older go
    fields: dict[str, Field]

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (ValueError, zoneinfo.ZoneInfoNotFoundError):
            hint = suggestion(value, zoneinfo.available_timezones())  # slow: it opens every file of the database
            raise ValueError(f"unknown time zone '{value}'{hint}") from None
        return value

    @field_validator("columns")
    @classmethod
    def _told_apart(cls, value: list[str] | None) -> list[str] | None:
        names = [column.lower() for column in value or ()]
        for name in names:
            if not name or names.count(name) > 1:
                raise ValueError(f"'{name}' is there twice, whatever its case" if name else "a column needs a name")
        return value

    @field_validator("keep")
    @classmethod
    def _days(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value < timedelta(days=1):
            raise ValueError("must be a day or more")
        return value

    @field_validator("delimiter")
    @classmethod
    def _usable_delimiter(cls, value: str) -> str:
        if not value.isascii() or value in '"\r\n':
            raise ValueError("must be one ASCII character other than a quote or a line end")
        return value

    @model_validator(mode="after")
    def _distinct_columns(self) -> Self:
        owners: dict[str, str] = {}
        for name, field in self.fields.items():
            if field.source_column is not None or field.hash or isinstance(field.time, DatePlus):
                continue
            for column in field.columns(name):
                if column.lower() in owners:
                    raise ValueError(f"'{column}' would be both {owners[column.lower()]} and {name}")
                owners[column.lower()] = name
        return self

    def held(self) -> set[str]:
        """Columns that need not be kept in properties. One that a field only translates says more than the field."""
        translated = {column for name, field in self.fields.items() if field.values for column in field.columns(name)}
        as_is = {
            column
            for name, field in self.fields.items()
            if not field.values and not field.hash
            for column in field.columns(name)
        }
        hashed = {column for field in self.fields.values() for column in field.hash or ()}  # may be personal
        return as_is | (hashed - translated)


class Personal(DefinitionModel):
    """How the classes of which a bank may choose are treated on load; the others are always masked."""

    customer: Literal["keep", "hash"] = "keep"
    device: Literal["keep", "hash"] = "keep"
    ip: Literal["truncate", "hash"] = "truncate"


class Sources(DefinitionModel):
    """The file as a whole."""

    personal: Personal = ModelField(default_factory=Personal)
    sources: dict[str, Source]

    @model_validator(mode="after")
    def _keeps_what_holds(self) -> Self:
        for name, source in self.sources.items():
            if source.keep is not None and name not in HAPPENINGS:
                raise ValueError(
                    f"sources.{name}.keep: an old line of {name} may be what holds today, so it has no end; keep is for"
                    f" {', '.join(sorted(HAPPENINGS))}"
                )
        return self


class _Overlay(DefinitionModel):
    """A sources.yml beside the shipped one; its values are checked after merging."""

    personal: dict[str, Any] = ModelField(default_factory=dict)
    sources: dict[str, dict[str, Any]]


def load_sources(directory: Path | None = None) -> Sources:
    """The shipped tracking plan with what `directory`/sources.yml says differently.

    Raises DefinitionError with file and line for unknown sources, fields and keys, and for anything that would
    loosen the contract: another type, a required field made optional, values beyond the allowed ones, a personal
    field said to be none.
    """
    shipped = read_document("sources", SHIPPED / "sources.yml")
    own = load_yaml("sources", directory)
    if own.path == shipped.path:
        return shipped.parse(Sources)
    own.parse(_Overlay)
    return _merge(shipped, own).parse(Sources)


def field_labels(sources: dict[str, Source]) -> dict[str, dict[str, Label]]:
    """What fields are called, as `fields`, and their values, as `values.<field>`; of two names the first source's."""
    found: dict[str, dict[str, Label]] = {"fields": {}}
    for source in sources.values():
        for name, field in source.fields.items():
            found["fields"].setdefault(name, field.label)
            for value, label in (field.names or {}).items():
                found.setdefault(f"values.{name}", {}).setdefault(value, label)
    return found


def _merge(shipped: Document, own: Document) -> Document:
    """One document with the values of both; lines point to where a value was written."""
    data: dict[str, Any] = {
        "personal": {**shipped.data["personal"], **own.data.get("personal", {})},
        "sources": {name: dict(source) for name, source in shipped.data["sources"].items()},
    }
    lines = dict(shipped.lines)
    for name, changes in own.data["sources"].items():
        at: Location = ("sources", name)
        if name not in data["sources"]:
            raise own.error(at, f"unknown source{suggestion(name, data['sources'])}")
        if "extends" in changes:
            mapping = _mapping(own, at, changes["extends"])
            data["sources"][name] = _merge(shipped, mapping).data["sources"][name]
            lines |= mapping.lines
            changes = {key: value for key, value in changes.items() if key != "extends"}  # noqa: PLW2901
        fields = changes.get("fields") or {}
        if not isinstance(fields, dict):
            raise own.error((*at, "fields"), "must be a mapping of field names")
        merged = {**data["sources"][name], **changes}
        merged["fields"] = dict(data["sources"][name]["fields"])
        for field, rules in fields.items():
            merged["fields"][field] = _merge_field(own, (*at, "fields", field), merged["fields"], rules)
        data["sources"][name] = merged
    return Document("sources", own.path, data, lines | own.lines)


def _mapping(own: Document, at: Location, tool: Any) -> Document:
    """The shipped mapping of another tool's names, which `extends` of a source gives."""
    tools = sorted(path.stem for path in MAPPINGS.glob("*.yml"))
    if tool not in tools:
        raise own.error((*at, "extends"), f"there is no mapping '{tool}'; there are {', '.join(tools)}")
    mapping = read_document("sources", MAPPINGS / f"{tool}.yml")
    if at[1] not in mapping.data["sources"]:
        raise own.error((*at, "extends"), f"the mapping '{tool}' is not about {at[1]}")
    return mapping


def _merge_field(own: Document, at: Location, contract: dict[str, Any], rules: Any) -> dict[str, Any]:
    name = str(at[-1])
    if isinstance(rules, dict) and "is_own" in rules:
        raise own.error((*at, "is_own"), "unknown key")
    if name not in contract and isinstance(rules, dict) and {"type", "label", "description"} <= rules.keys():
        if name in RESERVED or not OWN_NAME.fullmatch(name):
            raise own.error(at, "must be named in lower case, by a name that landing does not use itself")
        return {**rules, "is_own": True}
    if name not in contract:
        raise own.error(
            at,
            f"unknown field{suggestion(name, contract)} (columns without a field go to properties; a field of your own"
            " needs type, label and description)",
        )
    if not isinstance(rules, dict):
        raise own.error(at, "must be a mapping, for example {from: userID}")
    base = contract[name]
    if rules.get("type", base["type"]) != base["type"]:
        raise own.error((*at, "type"), f"the type is {base['type']} and cannot be changed")
    if base.get("required") and rules.get("required") is False:
        raise own.error((*at, "required"), "the contract requires this field")
    if base.get("personal") and rules.get("personal", base["personal"]) is None:
        raise own.error((*at, "personal"), f"the contract says that this field is personal ({base['personal']})")
    beyond = sorted(set(map(str, rules.get("allowed") or [])) - set(base.get("allowed") or rules.get("allowed") or []))
    if beyond:
        raise own.error((*at, "allowed"), f"the contract does not allow '{beyond[0]}'")
    return {**base, **rules}
