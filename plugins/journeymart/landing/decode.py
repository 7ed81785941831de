# ruff: noqa: S608 - making SQL is what this module is for; every name and constant in it is quoted here
"""SQL that gives a chunk of rows its meaning: which column is which field, of which type, and what is wrong with it.

DuckDB runs it over the table `chunk` (row_id, line and the file's columns); what it finds is `typed`: one column per
field of the source, and for a line that cannot be loaded `problem` (a number into `Decoder.problems`). What such a line
holds is asked for afterwards (`Decoder.bad_sql`), so that the others pay nothing for it. Names and constants from
definitions and files are quoted here and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from journeymart.definitions.sources import COMBINED_LOG_COLUMNS, COMBINED_LOG_TIME, EPOCHS, DatePlus, Field, Source
from journeymart.landing.clocks import ISO_NO_OFFSET, NO_OFFSET, skips
from journeymart.landing.personal import mask_line
from journeymart.landing.readers import LINE, FileRejectedError

KEY_LENGTH = 256
SHOWN_CHARACTERS = 80
EXTRA = "extra"  # columns that are no field, as JSON
ROW_ID = "_row_id"
KEYS_HASH = "_keys_hash"  # NDJSON: tells lines with other keys apart; null for a line that is not JSON
# Of a line; null for what is not JSON: there `try` looks at 2048 lines one by one, and each broken one costs an
# exception, as much as ten good lines. To test all lines before costs half as much again as their keys.
HASH_OF_KEYS = f"try(hash(json_keys({LINE})))"
HASH_OF_TESTED_KEYS = f"case when json_valid({LINE}) then try(hash(json_keys({LINE}))) end"
# The first key that a line repeats: which of the two values was meant, nobody can say.
REPEATED_KEY = "list_filter(json_keys(line), lambda key, place: list_position(json_keys(line), key) < place)[1]"
LINE_NO_MASK = 2**32 - 1
MINUTE, HOUR = 60, 3600
WHOLE_NUMBER = r"\s*[-+]?[0-9]+(?:\.0*)?\s*"
UNSHORTENED = "?"  # begins what short_ip cannot shorten
# Times and dates outside are mistakes of the sender, and PostgreSQL or Arrow could not hold all of them.
FIRST_TIME, END_TIME = "1970-01-01", "2200-01-01"
FIRST_DATE, END_DATE = "1800-01-01", "2200-01-01"
AHEAD = "1 day"  # what happened lies no further ahead than a zone that somebody has got wrong
# host identity user [time] "request" status bytes "referrer" "user agent", where a last quote may be missing:
# servers cut long lines. The request is usually `method path protocol`.
_LOG_TEXT = r'((?:[^"\\\r\n]|\\.)*)'
COMBINED_LOG = (
    r"^(\S+) (\S+) (.+?) \[([^\]]+)\] "
    rf'"(?:([A-Z]+) (\S+)(?: (\S+))?|{_LOG_TEXT.replace("(", "(?:", 1)})" (\d{{3}}) (\d+|-)'
    rf'(?: "{_LOG_TEXT}"(?: "{_LOG_TEXT}"?)?)?\s*$'
)


# Trimming copies the line, so only those that do not look like it are trimmed.
_NO_OBJECT = "not starts_with(line, '{') and not starts_with(ltrim(line, e' \\t\\r'), '{')"


def name(identifier: str) -> str:
    """A quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    """A quoted SQL string."""
    return "'" + value.replace("'", "''") + "'"


def short_ip(raw: str) -> str:
    """An IP address without its last part, as far as it is written plainly; protection.py does the others."""
    three, groups = r"(?:[0-9]{1,3}\.){3}", "(?:[1-9a-f][0-9a-f]{0,3}:){3}"
    return (
        f"case when regexp_full_match({raw}, '{three}[0-9]{{1,3}}') then regexp_extract({raw}, '^{three}') || '0'"
        f" when regexp_full_match({raw}, '{groups}[0-9a-f:]+') then regexp_extract({raw}, '^{groups}') || ':'"
        f" else {text(UNSHORTENED)} || {raw} end"
    )


@dataclass(frozen=True)
class Problem:
    """What can be wrong with a field; `reason` shows the value for `{}`."""

    field: str | None
    reason: str

    def sentence(self, value: str | None) -> str:
        """The reason with the value, shortened."""
        shown = (value or "")[:SHOWN_CHARACTERS] + ("…" if len(value or "") > SHOWN_CHARACTERS else "")
        return self.reason.replace("{}", f"'{shown}'")


@dataclass
class Decoder:
    """The SQL for files of one source that have the same format and columns; NDJSON: for lines with these `keys`.

    `derived` are further columns of `typed`, as expressions over the fields; `codes` all there are of transactions,
    None if others are welcome; `hidden` the places inside nested columns that are personal, with their class;
    `repeats`: some lines have a key twice; `happened`: the field whose time cannot lie ahead.
    """

    source: Source
    format: str
    schema: pa.Schema
    derived: dict[str, str] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    careful: bool = False  # look for every value that PostgreSQL refuses; slower
    shortened: frozenset[str] = frozenset()  # fields whose IP addresses lose their last part
    codes: tuple[str, ...] | None = None
    hidden: dict[str, str] = field(default_factory=dict)
    repeats: bool = False
    happened: str | None = None
    problems: list[Problem] = field(default_factory=list)
    sql: str = ""
    as_is: dict[str, str] = field(default_factory=dict)  # fields whose values are those of a column, and not in `sql`
    bad_sql: str = ""  # query of (row id, problem, value, line), with those rows of `chunk` alone that have a problem

    def __post_init__(self) -> None:
        build = {"ndjson": self._ndjson, "combined_log": self._combined_log}.get(self.format, self._columns)
        self.sql = build()

    # ── where raw values come from ──

    def _ndjson(self) -> str:
        wanted = {
            column: item.type
            for key, item in self.source.fields.items()
            for column in item.columns(key)
            if not column.startswith("$") and (item.required or column in self.keys)
        }
        structure = ", ".join(
            f"{_json(column)}: {_json('JSON' if kind == 'json' else 'VARCHAR')}" for column, kind in wanted.items()
        )
        read = f"json_transform(case when {KEYS_HASH} is not null then {LINE} end, {text('{' + structure + '}')})"
        if not wanted:  # fields are all taken from nested columns
            read = KEYS_HASH
        parsed = f"select {ROW_ID}, {LINE}, {read} as r from chunk"
        guards = [
            (Problem(None, "The line is not JSON."), "r is null", "null"),
            (Problem(None, "The line is not a JSON object."), _NO_OBJECT, "null"),
        ]
        if self.repeats:
            guards.append(
                (Problem(None, "The line has the key {} twice."), f"{REPEATED_KEY} is not null", REPEATED_KEY)
            )
        values = {column: f"r.{name(column)}" for column in wanted}
        exact = {
            column: f"case when (strlen({value}) > 15 or contains({value}, '.') or contains({value}, 'e'))"
            f" and not contains({LINE}, '\"' || {value} || '\"') then {_as_written(column, value)} else {value} end"
            for column, value in values.items()
            if wanted[column] == "decimal"
        }
        nested = {
            column: _nested_value(column, f"case when r is not null then {LINE} end")
            for column in self._nested()
            if outermost(column) in self.keys
        }
        return self._select(parsed, {**values, **exact, **nested}, set(), guards)

    def _nested(self) -> list[str]:
        """Places inside nested columns that fields are taken from."""
        fields = self.source.fields.items()
        return [column for key, item in fields for column in item.columns(key) if column.startswith("$")]

    def _combined_log(self) -> str:
        names = ", ".join(text(column) for column in COMBINED_LOG_COLUMNS)
        parsed = f"""
            select {ROW_ID}, {LINE}, regexp_extract({LINE}, {text(COMBINED_LOG)}, [{names}]) as r from chunk"""
        guards = [(Problem(None, "The line is not in the combined log format."), "r.time = ''", "null")]
        values = {column: f"nullif(nullif(r.{name(column)}, ''), '-')" for column in COMBINED_LOG_COLUMNS}
        return self._select(parsed, values, set(), guards, extra=True)

    def _columns(self) -> str:
        plain = {column.name for column in self.schema if _is_text(column.type)}
        values = {
            column.name: f"nullif({name(column.name)}, '')" if column.name in plain else name(column.name)
            for column in self.schema
            if column.name not in (ROW_ID, LINE)
        }
        inside = {
            column: _nested_value(column, f"json_object({text(outer)}, {_as_json(outer, self.schema)})")
            for column in self._nested()
            if (outer := outermost(column)) in values
        }
        values |= inside
        for key, item in self.source.fields.items():
            found = any(column in values for column in item.columns(key))
            if item.required and not found and item.columns(key):
                # A file without a header has a customer's values in its place.
                known = [column for each, other in self.source.fields.items() for column in other.columns(each)]
                named = [column for column in values if column in known]
                raise FileRejectedError(
                    f"has no column for the required field '{key}' (looked for {_listed(item.columns(key))}; of its "
                    f"{len(values)} columns {len(named)} have a name that is known: {_listed(named) or 'none'})"
                )
        nested = {column.name for column in self.schema if pa.types.is_nested(column.type)}
        values |= {column: f"to_json({name(column)})::varchar" for column in nested}
        parsed = "select * from chunk"
        if LINE not in self.schema.names:
            parsed = f"select *, to_json({{{pairs(values)}}})::varchar as {LINE} from chunk"
        typed = set(values) - plain - nested - set(inside)
        if not (self.source.nulls or self.careful or self._has_file_line()):
            self.as_is = self._whole_columns(values)
        return self._select(parsed, values, typed, [], extra=True)

    def _whole_columns(self, values: dict[str, str]) -> dict[str, str]:
        """Fields that are all there is in a column of text, and nothing else."""
        strings = {column.name for column in self.schema if pa.types.is_string(column.type)}
        whole = {}
        for key, item in self.source.fields.items():
            found = [column for column in item.columns(key) if column in values]
            is_more = item.hash is not None or item.values is not None or item.default is not None
            is_changed = item.type not in ("text", "key") or key in self.shortened
            if len(found) == 1 and found[0] in strings and not is_more and not is_changed:
                whole[key] = found[0]
        return whole

    # ── what they mean ──

    def _select(
        self,
        parsed: str,
        values: dict[str, str],
        typed: set[str],
        guards: list[tuple[Problem, str, str]],
        extra: bool = False,
    ) -> str:
        """`parsed` → raw values as text → typed values → typed values with the first problem of each row.

        `parsed` is a query that ends with `from chunk`.
        """
        if self.source.nulls:
            nulls = ", ".join(text(null) for null in self.source.nulls)
            values = {
                column: value if column in typed else f"case when {value} not in ({nulls}) then {value} end"
                for column, value in values.items()
            }
        raw, cast, checks = [], [], list(guards)
        for key, item in self.source.fields.items():
            column = name("raw " + key)
            raw.append(f"{_origin(key, item, values, typed)} as {column}")
            value = short_ip(column) if key in self.shortened else self._cast(item, column)
            cast.append(f"{value} as {name(key)}")
            checks += self._checks(key, item, column, not typed.isdisjoint(item.columns(key)))
        used = self.source.held().union(self._nested())
        extras = {column: value for column, value in values.items() if column not in used} if extra else {}
        extra_sql = self._members(extras) if extras else "null::varchar"
        if self.careful:
            for key, item in self.source.fields.items():
                if item.type == "json":
                    found, reason = f"_field = {text(key)} and _member", f"{key} cannot be stored as JSON"
                    checks.append((Problem(key, f"{reason}."), f"{found} is null", "null"))
                    checks.append((Problem(key, f"{reason} because of {{}}."), f"{found} is not null", "_member"))
        number = "case " + " ".join(f"when {check} then {i}" for i, (_, check, _) in enumerate(checks)) + " end"
        self.problems = [problem for problem, _, _ in checks]
        fields = ", ".join(name(key) for key in self.source.fields if key not in self.as_is)
        derived = "".join(f", {expression} as {name(column)}" for column, expression in self.derived.items())
        unstorable = "left join unstorable using (row_id)" if self.careful else ""
        raw_values = f"select {ROW_ID} as row_id, {LINE} as line, {', '.join(raw)}"
        value = " ".join(f"when {i} then {shown}::varchar" for i, (_, _, shown) in enumerate(checks))
        self.bad_sql = f"""
            with found as (select row_id, problem from typed where problem is not null),
            parsed as ({parsed}),
            raw_values as ({raw_values} from parsed)
            select row_id, problem, case problem {value} end as bad_value, rtrim(line, e'\\r\\n') as bad_line
            from raw_values join found using (row_id) {unstorable}"""
        return f"""
            with parsed as ({parsed}),
            raw_values as (
                {raw_values}{", r" if guards else ""}, {extra_sql} as {EXTRA}
                from parsed
            ),
            cast_values as (select *, {", ".join(cast)} from raw_values),
            checked as (select *, ({number})::usmallint as problem from cast_values {unstorable})
            select row_id, {fields}, {EXTRA}, problem{derived}
            from checked"""

    def _has_file_line(self) -> bool:
        """Whether a field says which line of which file it is."""
        return any(item.file_line for item in self.source.fields.values())

    def _members(self, columns: dict[str, str]) -> str:
        """A JSON object of the columns that have a value, with lists and structs as NDJSON has them."""
        nested = {column.name for column in self.schema if pa.types.is_nested(column.type)}
        members = []
        for column, value in columns.items():
            member = f"to_json({name(column) if column in nested else value})::varchar"
            hidden = {place: kind for place, kind in self.hidden.items() if outermost(place) == column}
            if hidden:
                root = f"json_object({text(column)}, {_as_json(column, self.schema)})"
                written = without(f"json({_as_json(column, self.schema)})::varchar", root, hidden)
                member = written if column in nested else f"coalesce(to_json({written})::varchar, {member})"
            members.append(f"{text(_json(column) + ':')} || {member}")
        return f"'{{' || concat_ws(',', {', '.join(members)}) || '}}'"

    def _cast(self, item: Field, raw: str) -> str:
        match item.type:
            case "time":
                return _time(item, raw, self.format)
            case "date":
                return f"coalesce(try_cast({raw} as date), try_cast({_extended(raw)} as date))"
            case "integer" | "boolean":
                return f"try_cast({raw} as {item.type})"
            case "decimal":
                return f"try_cast({raw} as decimal(20, 4))"
            case "json" if self.format != "ndjson":
                return f"case when try(json_valid({raw})) then {raw} end"
        return raw

    def _checks(self, key: str, item: Field, raw: str, is_typed: bool) -> list[tuple[Problem, str, str]]:
        checks = []
        column = name(key)

        def check(condition: str, reason: str) -> None:
            checks.append((Problem(key, reason), condition, raw))

        if item.required:
            check(f"{raw} is null", f"{key} is missing.")
        if item.type == "key":
            check(
                f"strlen({column}) > {KEY_LENGTH} and length({column}) > {KEY_LENGTH}",
                f"{key} is longer than {KEY_LENGTH} characters: {{}}.",
            )
        if item.type in ("text", "key") and self.format == "ndjson" and item.columns(key):
            types = ", ".join(f"json_type(line, {text('$.' + _json(column))})" for column in item.columns(key))
            check(
                # Comparing is quicker than looking at the first character; most values end at the first comparison.
                f"{raw} >= '[' and ({raw} < ']' or {raw} >= '{{' and {raw} < '|')"
                f" and coalesce({types}) in ('OBJECT', 'ARRAY')",
                f"{key} is not text: {{}}.",
            )
        if item.type not in ("text", "key"):
            check(f"{column} is null and {raw} is not null", f"{key} is not {_KINDS[item.type]}: {{}}.")
        if item.type == "integer":
            # DuckDB rounds, and reads other ways of writing numbers.
            check(f"not regexp_full_match({raw}, '{WHOLE_NUMBER}')", f"{key} is not {_KINDS['integer']}: {{}}.")
        checks += _birthday(key, item)
        if item.type in ("time", "date") and not is_typed:
            # DuckDB knows words for times, as `epoch`.
            check(
                f"({raw} < '0' or {raw} >= ':') and not regexp_matches({raw}, '^\\s*[0-9]')",
                f"{key} is not {_KINDS[item.type]}: {{}}.",
            )
            checks += self._offset(key, item, raw)
        if item.type == "time":
            check(
                f"{column} < timestamptz '{FIRST_TIME} 00:00Z' or {column} >= timestamptz '{END_TIME} 00:00Z'",
                f"{key} is before {FIRST_TIME[:4]} or after {int(END_TIME[:4]) - 1}: {{}}.",
            )
            checks += self._skipped(key, item, raw) + self._ahead(key, raw)
        if item.type == "date":
            check(
                f"{column} < date '{FIRST_DATE}' or {column} >= date '{END_DATE}'",
                f"{key} is before {FIRST_DATE[:4]} or after {int(END_DATE[:4]) - 1}: {{}}.",
            )
        if item.type == "decimal":
            check(f"{column} <> try_cast({raw} as decimal(38, 16))", f"{key} has more than 4 decimals: {{}}.")
            # Who writes so has most often rounded: 1.23457e9 is what is left of 1234567890.12.
            check(f"contains(lower({raw}), 'e')", f"{key} is in scientific notation: {{}}.")
            check(f"contains({raw}, '_')", f"{key} is not {_KINDS['decimal']}: {{}}.")
        if item.allowed is not None:
            values = ", ".join(text(value) for value in item.allowed)
            check(f"{column} not in ({values})", f"{key} is not one of {', '.join(item.allowed)}: {{}}.")
        if key == "transaction_code" and self.codes is not None:
            known = f"{column} in ({', '.join(map(text, self.codes))})" if self.codes else "false"
            check(f"not {known}", f"{key} is not in transactions.yml: {{}}.")
        if self.careful:
            check(f"contains({raw}::varchar, chr(0))", f"{key} contains a NUL character.")
        return checks

    def _ahead(self, key: str, raw: str) -> list[tuple[Problem, str, str]]:
        """What finds times to come: one device whose clock is wrong would end every funnel and fire every absence."""
        problem = Problem(key, f"{key} is more than {AHEAD} ahead of the clock: {{}}.")
        return [(problem, f"{name(key)} > now() + interval {AHEAD}", raw)] if key == self.happened else []

    def _offset(self, key: str, item: Field, raw: str) -> list[tuple[Problem, str, str]]:
        """What finds times with an offset from UTC that there is not; DuckDB reads them."""
        pattern = _no_offset(item, self.format)
        reason = f"{key} is not {_KINDS[item.type]}: {{}}."
        return [(Problem(key, reason), f"regexp_matches({raw}, {text(pattern)})", raw)] if pattern else []

    def _skipped(self, key: str, item: Field, raw: str) -> list[tuple[Problem, str, str]]:
        """What finds times that do not exist because a clock skips them. It reads no more than they are read as: times
        of the hours in which clocks are put forward, until that is done no more."""
        zone, written = self.source.time_zone, _written_time(item, raw, self.format)
        if written is None or not (skipped := skips(zone)):
            return []
        hours = sorted({at // HOUR % 24 for start, end in skipped for at in range(start, end, MINUTE)})
        condition = (
            f"{name(key)} < to_timestamp({skipped[-1][1]}) and epoch_us({name(key)}) // {HOUR * 10**6} % 24"
            f" in ({', '.join(map(str, hours))}) and timezone({text(zone)}, {name(key)}) <> {written}"
        )
        return [(Problem(key, f"{key} does not exist in {zone}, where clocks are put forward: {{}}."), condition, raw)]


def _birthday(key: str, item: Field) -> list[tuple[Problem, str, str]]:
    """What finds a birthday, of which only the year is kept; the reason does not show it."""
    is_year = item.type == "integer" and item.personal == "birth"
    reason = f"{key} is no year of four digits."
    return [(Problem(key, reason), f"{name(key)} not between 1800 and 2199", "null")] if is_year else []


def _origin(key: str, item: Field, values: dict[str, str], typed: set[str]) -> str:
    """The raw value of a field, as text unless a time has its type already."""
    if item.value is not None:
        return text(item.value)
    if item.file_line:
        # No join: a column of the file may have the name of one of `files`.
        content_id = f"(select _content_id from files where _file_id = {ROW_ID} >> 32)"
        return f"{content_id} || '-' || ({ROW_ID} & {LINE_NO_MASK})::varchar"
    columns = [column for column in item.columns(key) if column in values]
    parts = [f"{values[column]}::varchar" for column in columns]
    if isinstance(item.time, DatePlus):
        return f"{parts[0]} || ' + ' || {parts[1]}" if len(parts) == len(item.columns(key)) else "null::varchar"
    if item.hash is not None:
        # Each value in its place: a column that the file does not have is one without a value.
        every = [f"nullif({values[column]}::varchar, '')" if column in values else "null" for column in item.hash]
        known = f"coalesce({', '.join(every)}) is not null"
        return f"case when {known} then md5(to_json([{', '.join(every)}])::varchar) end" if parts else "null::varchar"
    if len(columns) == 1 and columns[0] in typed and item.type == "time" and item.time == "iso":
        return values[columns[0]]
    found = [_present(part) if item.type == "key" else f"nullif({part}, '')" for part in parts]
    if item.values is not None and found:
        found = [_translated(item.values, f"coalesce({', '.join(found)})")]
    if item.default is not None:
        found.append(text(item.default))
    return f"coalesce({', '.join(found)})" if found else "null::varchar"


def _present(raw: str) -> str:
    """A key; one of blanks alone, as columns of fixed width have it, is none: all who have none would be the same."""
    return f"case when {raw} >= '!' or trim({raw}) <> '' then {raw} end"  # most end with the first comparison


def _translated(values: dict[str, str], raw: str) -> str:
    """What a value of the file stands for."""
    cases = " ".join(f"when {text(value)} then {text(meaning)}" for value, meaning in values.items() if value != "*")
    other = f"case when {raw} is not null then {text(values['*'])} end" if "*" in values else raw
    return f"case {raw} {cases} else {other} end" if cases else other


def outermost(column: str) -> str:
    """The column of the file in which a place ($.a.b) lies; any other is one itself."""
    return re.split(r"[.\[]", column, maxsplit=2)[1] if column.startswith("$") else column


def _as_json(column: str, schema: pa.Schema) -> str:
    """A column of the file as JSON: lists and structs, or text that holds JSON."""
    if pa.types.is_nested(schema.field(column).type):
        return f"to_json({name(column)})"
    return f"case when try(json_valid({name(column)}::varchar)) then {name(column)}::json end"


def without(written: str, root: str, hidden: dict[str, str]) -> str:
    """A JSON text with a class in place of what is personal inside it; `root` is the object that has the places."""
    for place, kind in hidden.items():
        found = f"coalesce(nullif({_nested_value(place, root, 'json_extract')}::varchar, 'null'), '')"
        member = _json(re.findall(r"\w+", place)[-1]) + ":"
        for end in ",}":
            shown = text(f"{member}{_json(f'*{kind}*')}{end}")
            written = f"replace({written}, {text(member)} || {found} || {text(end)}, {shown})"
    return written


def _nested_value(place: str, root: str, extract: str = "json_extract_string") -> str:
    """What is at a place inside a JSON object, as text."""
    value, path = root, "$"
    for part, entry_no, key, wanted in re.findall(r"\.(\w+)(?:\[(?:(\d+)|(\w+)=([^\]]+))\])?", place):
        path += f".{_json(part)}" + (f"[{entry_no}]" if entry_no else "")
        if key:
            entry = f"lambda entry: json_extract_string(entry, {text('$.' + _json(key))}) = {text(wanted)}"
            value, path = f"list_filter(json_extract({value}, {text(path + '[*]')}), {entry})[1]", "$"
    return f"{extract}({value}, {text(path)})"


_KINDS = {
    "time": "a time (ISO 8601 or as declared)",
    "date": "a date (YYYY-MM-DD or YYYYMMDD)",
    "integer": "a whole number",
    "boolean": "true or false",
    "decimal": "a decimal number of at most 16 digits before the point",
    "json": "JSON",
}


def _time(item: Field, raw: str, file_format: str) -> str:
    """A timestamptz; times without an offset are in the session's zone, which is the source's."""
    if isinstance(item.time, DatePlus):
        date, milliseconds = (f"split_part({raw}, ' + ', {part})" for part in (1, 2))
        return f"try(try_cast({date} as timestamptz) + to_milliseconds(try_cast({milliseconds} as integer)))"
    if item.time in EPOCHS:
        microseconds = f"(try_cast({raw} as decimal(28, 6)) * {EPOCHS[item.time]})::bigint"
        return f"timezone('UTC', try(make_timestamp({microseconds})))"
    if item.time == "iso" and file_format == "combined_log":
        return f"try_cast(try_strptime({raw}, {text(COMBINED_LOG_TIME)}) as timestamptz)"
    if item.time == "iso":  # coalesce looks at its second value where it has no first one
        return f"coalesce(try_cast({raw} as timestamptz), try_cast({_extended(raw)} as timestamptz))"
    return f"try_cast(try_strptime({raw}, {text(item.time)}) as timestamptz)"


def _no_offset(item: Field, file_format: str) -> str | None:
    """What such times match; None if they cannot have an offset."""
    if isinstance(item.time, DatePlus) or item.time in EPOCHS:
        return None
    if item.time == "iso" and file_format != "combined_log":
        return ISO_NO_OFFSET
    written = COMBINED_LOG_TIME if item.time == "iso" else item.time
    if "%z" not in written:
        return None
    parts = re.split("(%-?.)", written)  # codes are every second one
    parts[::2] = map(re.escape, parts[::2])
    parts[1::2] = (NO_OFFSET if code == "%z" else ".*" for code in parts[1::2])
    return "".join(parts) + r"\s*$"


def _written_time(item: Field, raw: str, file_format: str) -> str | None:
    """A time as a clock shows it, without a zone; null if it says its offset, None if it cannot be without one."""
    if isinstance(item.time, DatePlus) or item.time in EPOCHS or file_format == "combined_log":
        return None
    if item.time == "iso":  # nothing has two offsets
        return f"try_cast(trim({_extended(raw)}) || 'Z' as timestamp)"
    return None if re.search("%[zZ]", item.time) else f"try_strptime({raw}, {text(item.time)})"


def _extended(raw: str) -> str:
    """What DuckDB reads for the other ways ISO 8601 has of writing a date or time: 20260602T090000+0900, 09:00:00,5."""
    written = f"{raw}::varchar"
    for pattern, replacement in (
        (r"^\s*(\d{4})(\d\d)(\d\d)(T|\s*$)", r"\1-\2-\3\4"),
        (r"T(\d\d)(\d\d)(\d\d)", r"T\1:\2:\3"),
        (r"T(\d\d)(\d\d)([^\d:]|$)", r"T\1:\2\3"),
        (r"T(\d\d)([^\d:]|$)", r"T\1:00\2"),
        (r"(:\d\d:\d\d),(\d)", r"\1.\2"),
    ):
        written = f"regexp_replace({written}, {text(pattern)}, {text(replacement)})"
    return written


def _json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def pairs(values: dict[str, str]) -> str:
    """The inside of a struct: names and expressions."""
    return ", ".join(f"{name(column)}: {value}" for column, value in values.items())


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(f"'{mask_line(column)[:SHOWN_CHARACTERS]}'" for column in list(columns)[:20])


def _as_written(column: str, value: str) -> str:
    """A JSON number as it is written: DuckDB gives it back as a double, which holds no more than 15 digits and says
    nothing of an exponent. The same key further inside may come first in the line; it is told by its value."""
    written = rf'"{re.escape(column)}"\s*:\s*(-?[0-9][-+0-9.eE]*)'
    found = f"regexp_extract_all({LINE}, {text(written)}, 1)"
    same = f"list_filter({found}, lambda each: try_cast(each as double) = try_cast({value} as double))"
    return f"coalesce({same}[1], {value})"


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value)
