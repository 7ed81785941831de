"""Personal data is masked on load: what of it reaches the warehouse is decided here and nowhere else.

The tracking plan gives every field a class. Customer numbers and devices are kept or replaced by pseudonyms, IP
addresses are shortened or replaced by pseudonyms, and in every text personal values are looked for. In text they
become `*email*`; as a whole JSON value or key they become a pseudonym (`account-1f0c…`), so that equal ones stay equal.

Two regular expressions in DuckDB, one quick and one close, find the values that may be personal; only those come to
Python, where the rules are exact.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from journeymart.definitions.sources import Personal, Source
from journeymart.landing.decode import UNSHORTENED, name, text
from journeymart.landing.personal import (
    HINT,
    LABELS,
    NUMBER,
    SUSPICIOUS,
    WORDS,
    mask,
    mask_line,
    plain,
    replaced,
    shorten_addresses,
    shortened,
)
from journeymart.settings import SettingsError

if TYPE_CHECKING:
    import duckdb

    from journeymart.landing.typed import Typed

SECRET = "JOURNEYMART_PERSONAL_SECRET"  # noqa: S105 - the name of the variable
SECRET_LENGTH = 32
PSEUDONYM_DIGITS = 24  # 96 bits: no two of a billion customers will share one
CACHED_PSEUDONYMS = 1_000_000
# Classes whose fields are personal as a whole, whatever the plan says about the others.
WHOLE = frozenset({"name", "email", "phone", "account", "resident_number"})
TEXT_TYPES = ("text", "key", "json")
_PSEUDONYM = re.compile(rf"[a-z_]+-[0-9a-f]{{{PSEUDONYM_DIGITS}}}")
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|-?[0-9][0-9.eE+-]*')  # of JSON: strings, keys and numbers


class Protection:
    """Masks what a plan calls personal, with the pseudonyms of one secret.

    `items` are names of message items that are personal as a whole, with their class.
    """

    def __init__(self, policy: Personal, secret: str, items: Mapping[str, str] | None = None) -> None:
        if len(secret) < SECRET_LENGTH:
            raise SettingsError(f"{SECRET} must have at least {SECRET_LENGTH} characters")
        self._secret = secret.encode()
        chosen = {kind for kind in ("customer", "device", "ip") if getattr(policy, kind) == "hash"}
        self._whole = WHOLE | chosen
        self._items = {item: kind for item, kind in (items or {}).items() if kind in self._whole}

    # ── single values ──

    def pseudonym(self, kind: str, value: str) -> str:
        """What stands for a value: the same for every way of writing it, and for itself."""
        if _PSEUDONYM.fullmatch(value):
            return value
        known = plain(value).strip()
        if kind == "email":
            known = known.lower()
        elif kind in WORDS:
            known = "".join(character for character in known if character.isdigit()) or known
            known = "0" + known.removeprefix("82").lstrip("0") if kind == "phone" and known.startswith("82") else known
        digest = hmac.digest(self._secret, f"{kind}:{known}".encode(errors="surrogatepass"), "sha256")
        return f"{kind}-{digest.hex()[:PSEUDONYM_DIGITS]}"

    def key(self, value: str) -> str:
        """A key without personal values: replaced as a whole, so that it still is one."""
        _, kinds = _masked(value)
        return self.pseudonym(kinds[0], value) if kinds else value

    def json(self, value: str) -> str:
        """A JSON text without personal values; those that are a whole value or key become pseudonyms."""
        label = ""

        def masked(token: re.Match[str]) -> str:
            nonlocal label
            string, colon = token.groups()
            found = token.group() if string is None else json.loads(f'"{string}"', strict=False)
            kept = self._json_value(found, "" if colon else label)
            if colon:
                label = found
            return token.group() if kept == found else json.dumps(kept) + (colon or "")

        return _TOKEN.sub(masked, value)

    def _json_value(self, value: str, label: str) -> str:
        if label in self._items and value and "*" not in value:  # with asterisks the sender has masked it
            return self.pseudonym(self._items[label], value)
        masked, kinds = _masked(value)
        if not kinds and NUMBER.fullmatch(plain(value)):
            kinds = [kind for kind, words in LABELS.items() if words.search(label)]
            masked = f"*{kinds[0]}*" if kinds else masked
        return self.pseudonym(kinds[0], value) if kinds and masked.strip() == f"*{kinds[0]}*" else masked

    def address(self, value: str) -> str:
        """An IP address without its last part (IPv4 /24, IPv6 /48); a pseudonym for what is no address."""
        return shortened(value.strip()) or self.pseudonym("ip", value)

    # ── rejected lines ──

    def hidden(self, source: Source) -> dict[str, str]:
        """Fields of a source that are personal as a whole, with their class."""
        return {
            key: item.personal
            for key, item in source.fields.items()
            if item.personal in self._whole and item.type in ("text", "key")
        }

    def hidden_places(self, source: Source) -> dict[str, str]:
        """Places inside nested columns that are personal, with their class: their fields hold what may be kept."""
        kinds = self.hidden(source) | dict.fromkeys(self.shortened(source), "ip")
        return {
            place: kind
            for key, kind in kinds.items()
            for place in source.fields[key].columns(key)
            if place.startswith("$")
        }

    def line(self, line: str, values: Iterable[tuple[str, str | None]], is_suspect: bool = True) -> str:
        """A rejected line without personal values; `values` are those of its fields that are hidden, with class.

        `is_suspect`: what `suspects` says of it.
        """
        for kind, value in values:
            if value:
                pattern = rf"(?<![0-9A-Za-z]){re.escape(value)}(?![0-9A-Za-z])"
                line = re.sub(pattern, self.pseudonym(kind, value), line)
        return mask_line(line) if is_suspect else shorten_addresses(line)

    @staticmethod
    def suspects(engine: duckdb.DuckDBPyConnection, lines: Iterable[str]) -> list[bool]:
        """Of each line, whether a personal value may be in it: a look at hundreds takes as long as the rules at one."""
        engine.register("looked_at", pa.table({"line": pa.array(lines, pa.string())}))
        found = engine.sql(f"select {suspicion('line')} from looked_at").to_arrow_table()  # noqa: S608 - constants
        engine.unregister("looked_at")
        return list(found.column(0).to_pylist())

    # ── rows ──

    def shortened(self, source: Source) -> frozenset[str]:
        """Fields of a source that hold IP addresses and are to lose their last part."""
        return frozenset(
            key for key, item in source.fields.items() if item.personal == "ip" and "ip" not in self._whole
        )

    def apply(
        self,
        engine: duckdb.DuckDBPyConnection,
        typed: Typed,
        source: Source,
        derived: Mapping[str, str],
        known: frozenset[str],
        only_known: bool = False,
    ) -> None:
        """Mask the rows of `typed` that will be loaded, and compute `derived` of the changed ones anew.

        Fields in `known` are not looked at: they become keys of dictionaries, and `is_clean` is asked about new values.
        If it says no they are looked at behind the others, with `only_known`.
        """
        hidden = self.hidden(source)
        if not only_known:
            for column, kind in hidden.items():
                self._pseudonymise(engine, typed, column, kind)
        looked_at = [
            key
            for key, item in source.fields.items()
            if item.type in TEXT_TYPES and item.allowed is None and key not in hidden and (key in known) == only_known
        ]
        addresses = self.shortened(source).intersection(looked_at)
        maskers = {key: {"json": self.json, "key": self.key}.get(source.fields[key].type, mask) for key in looked_at}
        found: dict[str, dict[str, str]] = {}
        for key, value in self._suspicious(engine, typed, maskers.keys() - addresses):
            masked = maskers[key](value)
            if masked != value:
                found.setdefault(key, {})[value] = masked
        for key in addresses:
            values = typed.distinct(key)
            unshortened = values.filter(pc.starts_with(values, UNSHORTENED)).to_pylist()
            if unshortened:
                found[key] = {value: self.address(value.removeprefix(UNSHORTENED)) for value in unshortened}
        if found:
            typed.replace(found, derived)

    def _suspicious(
        self, engine: duckdb.DuckDBPyConnection, typed: Typed, fields: Collection[str]
    ) -> list[tuple[str, str]]:
        """The values that may be personal, each once, with their field: what a quick expression says nothing about is
        not looked at by the close one."""
        columns = [(key, typed.distinct(key)) for key in fields]
        tables = [pa.table({"field": pa.repeat(key, len(values)), "value": values}) for key, values in columns]
        items = "|".join(map(re.escape, self._items))
        of_items = rf'|"(?:{items})"\s*:\s*"[^"*]' if items and "fields" in fields else ""
        engine.register("looked_at", pa.concat_tables(tables))
        rows: list[tuple[str, str]] = engine.execute(
            f"""
            select field, value from looked_at
            where regexp_matches(value, {text(HINT + of_items)})
                and regexp_matches(value, {text(SUSPICIOUS + of_items)})
            """  # noqa: S608 - constants
        ).fetchall()
        engine.unregister("looked_at")
        return rows

    def is_clean(self, engine: duckdb.DuckDBPyConnection, table: str, columns: Iterable[str]) -> bool:
        """Whether no value of a table is personal."""
        return not self._unclean(engine, table, columns)

    def mask_column(self, engine: duckdb.DuckDBPyConnection, table: str, column: str) -> None:
        """Mask the texts of a table."""
        values = {value: mask(value) for value in self._unclean(engine, table, [column])}
        if not values:
            return
        _register_replacing(engine, values)
        engine.execute(
            f"update {table} set {name(column)} = replacing.new from replacing"  # noqa: S608 - quoted names
            f" where {table}.{name(column)} = replacing.old"
        )

    @staticmethod
    def _unclean(engine: duckdb.DuckDBPyConnection, table: str, columns: Iterable[str]) -> list[str]:
        values = ", ".join(map(name, columns))
        found = engine.execute(
            f"select distinct value from (select unnest([{values}]) as value from {table})"  # noqa: S608
            f" where regexp_matches(value, {text(SUSPICIOUS)})"
        ).fetchall()
        return [value for (value,) in found if mask(value) != value]

    def _pseudonymise(self, engine: duckdb.DuckDBPyConnection, typed: Typed, column: str, kind: str) -> None:
        """Replace a column by pseudonyms, each worked out once."""
        engine.execute("create temp table if not exists pseudonyms (kind varchar, value varchar, pseudonym varchar)")
        if engine.execute("select count(*) from pseudonyms").fetchall()[0][0] > CACHED_PSEUDONYMS:
            engine.execute("truncate pseudonyms")
        values = engine.execute(
            f"""
            select distinct {name(column)} from typed
            where problem is null and {name(column)} is not null
                and {name(column)} not in (select value from pseudonyms where kind = ?)
            """,  # noqa: S608 - a quoted name
            [kind],
        ).fetchall()
        new = [value for (value,) in values]
        table = {"kind": [kind] * len(new), "value": new, "pseudonym": [self.pseudonym(kind, value) for value in new]}
        engine.register("new", pa.table({key: pa.array(column, pa.string()) for key, column in table.items()}))
        engine.execute("insert into pseudonyms from new")
        engine.unregister("new")
        typed.update(
            {column: "pseudonyms.pseudonym"},
            f"typed join pseudonyms on pseudonyms.value = typed.{name(column)}"
            f" where problem is null and pseudonyms.kind = {text(kind)}",
        )


def suspicion(value: str) -> str:
    """SQL that says whether a personal value may be in a text."""
    return f"regexp_matches({value}, {text(HINT)}) and regexp_matches({value}, {text(SUSPICIOUS)})"


def _masked(value: str) -> tuple[str, list[str]]:
    """A text without personal values, and their kinds."""
    kinds: list[str] = []

    def replace(kind: str, _found: str) -> str:
        kinds.append(kind)
        return f"*{kind}*"

    return replaced(value, replace), kinds


def _register_replacing(engine: duckdb.DuckDBPyConnection, values: Mapping[str, str]) -> None:
    """Make values and what stands for them the relation `replacing`."""
    old, new = pa.array(values.keys(), pa.string()), pa.array(values.values(), pa.string())
    engine.register("replacing", pa.table({"old": old, "new": new}))
