"""definitions/transactions.yml: the bank's transaction codes and how their messages are laid out.

A message is a common header and a body with the items of its transaction code. Offsets and lengths are bytes of the
encoding, so that a Korean syllable in CP949 takes two; bodies may also be delimited or JSON, which need neither.
`file` is what all messages in .dat files have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field as ModelField
from pydantic import model_validator

from journeymart.definitions.loader import DefinitionModel, Document, Label, Location, load_yaml, suggestion
from journeymart.definitions.sources import Encoding, PersonalClass, Source, Sources, load_sources

MAX_DIGITS = 18  # of a number: what 64 bits hold
DATE_DIGITS = 8  # YYYYMMDD
TIME_DIGITS = (14, 17)  # YYYYMMDDHHMMSS, and with milliseconds
ItemName = ModelField(min_length=1, max_length=63, pattern=r"^[a-z][a-z0-9_]*$")


class Number(DefinitionModel):
    """Where a number stands and how it is written."""

    offset: int | None = ModelField(default=None, ge=0)
    length: int = ModelField(ge=1)
    decimals: int = ModelField(default=0, ge=0, le=8)  # implied: the last digits are behind the point
    sign: Literal["none", "leading", "trailing", "overpunch"] = "none"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        digits = self.length - (self.sign in ("leading", "trailing"))
        if not 1 <= digits <= MAX_DIGITS:
            raise ValueError(f"a number has 1 to {MAX_DIGITS} digits, not {digits}")
        return self


class Item(DefinitionModel):
    """One item of a message. Offset, length, decimals and sign are for those that are laid out by bytes."""

    name: str = ItemName
    label: Label
    type: Literal["text", "number", "date", "time"] = "text"
    offset: int | None = ModelField(default=None, ge=0)  # default: right behind the item before
    length: int = ModelField(default=0, ge=0)
    key: str | None = None  # of a JSON body: its name there, unless it is the same
    decimals: int = ModelField(default=0, ge=0, le=8)
    sign: Literal["none", "leading", "trailing", "overpunch"] = "none"
    field: str | None = None  # the field of source transactions it fills; the others become `fields`
    values: dict[str, str] | None = None  # what the codes in the message stand for
    personal: PersonalClass | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.values is not None and self.type != "text":
            raise ValueError("'values' belong to a text")
        if not self.length:
            return self
        if self.type == "number":
            self.number()
        elif self.decimals or self.sign != "none":
            raise ValueError("'decimals' and 'sign' belong to a number")
        if self.type == "date" and self.length != DATE_DIGITS:
            raise ValueError(f"a date has {DATE_DIGITS} digits (YYYYMMDD)")
        if self.type == "time" and self.length not in TIME_DIGITS:
            raise ValueError("a time has 14 or 17 digits (YYYYMMDDHHMMSS, then milliseconds)")
        return self

    def number(self) -> Number:
        """How its number is written."""
        return Number(length=self.length, decimals=self.decimals, sign=self.sign)


class Group(DefinitionModel):
    """Items that repeat: at most `times`, as often as the item `count` says or a list in JSON has entries."""

    name: str = ItemName
    label: Label
    times: int = ModelField(ge=1, le=1000)
    count: str = ""
    key: str | None = None
    offset: int | None = ModelField(default=None, ge=0)
    items: list[Item] = ModelField(min_length=1)

    @property
    def length(self) -> int:
        """Bytes of all repetitions."""
        return self.times * self.each

    @property
    def each(self) -> int:
        """Bytes of one repetition."""
        return sum(item.length for item in self.items)

    @model_validator(mode="after")
    def _plain_items(self) -> Self:
        if any(item.offset is not None or item.field is not None for item in self.items):
            raise ValueError("items of a group follow each other and fill no field")
        _distinct(self.items)
        return self


class Marker(DefinitionModel):
    """How a record that is no message is recognised."""

    offset: int = ModelField(default=0, ge=0)
    value: str = ModelField(min_length=1)

    @model_validator(mode="after")
    def _plain(self) -> Self:
        if not self.value.isascii():
            raise ValueError("must be ASCII")
        return self


class Trailer(Marker):
    """The last record of a file: how many messages there are, and sums that can be checked."""

    rows: Number | None = None
    totals: dict[Literal["amount"], Number] = ModelField(default_factory=dict)

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if any(number.offset is None for number in [*filter(None, [self.rows]), *self.totals.values()]):
            raise ValueError("a number of the trailer needs its offset")
        return self


class FileMessages(DefinitionModel):
    """Messages in .dat files, one a line."""

    encoding: Encoding = "cp949"
    header: list[Item] = ModelField(min_length=1)
    leader: Marker | None = None  # a first record that is no message
    trailer: Trailer | None = None

    @model_validator(mode="after")
    def _names_the_code(self) -> Self:
        _distinct(self.header)
        _laid_out(self.header)
        if sum(item.field == "transaction_code" for item in self.header) != 1:
            raise ValueError("one item of the header must have 'field: transaction_code'")
        return self


class Transaction(DefinitionModel):
    """One transaction code. Without items its messages consist of the header."""

    label: Label
    category: Label
    channels: list[str] = ModelField(default_factory=list)
    encoding: Encoding | None = None  # when its messages differ from the others
    body: Literal["fixed", "delimited", "json"] = "fixed"
    delimiter: str = ModelField(default="|", min_length=1, max_length=1)
    items: list[Item | Group] = ModelField(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _distinct(self.items)
        if self.body == "fixed":
            _laid_out(self.items)
        else:
            _not_laid_out(self.items, has_keys=self.body == "json")
        if not self.delimiter.isascii() or self.delimiter.isalnum() or self.delimiter in "\r\n":
            raise ValueError("'delimiter' must be one ASCII character other than a letter, a digit or a line end")
        numbers: set[str] = set()
        for item in self.items:
            if isinstance(item, Item):
                numbers |= {item.name} if item.type == "number" else set()
            elif self.body != "json" and item.count not in numbers:
                raise ValueError(
                    f"the group {item.name} counts by '{item.count}', which is no number item of the code before it"
                )
        return self

    @property
    def length(self) -> int:
        """Bytes of its body, if it is laid out by bytes; else 0."""
        return length(self.items) if self.body == "fixed" else 0


class Transactions(DefinitionModel):
    """The file as a whole."""

    file: FileMessages | None = None
    # What becomes of lines with another code; a message with one can never be read.
    unknown_codes: Literal["load", "quarantine"] = "quarantine"
    # Result codes of what was done: a transaction with another one failed. Without them none has.
    done_results: list[str] = ModelField(default_factory=list)
    transactions: dict[str, Transaction]

    def personal_items(self) -> dict[str, PersonalClass]:
        """Items that become `fields` and say something about a person, by name; groups included."""
        items = [item for transaction in self.transactions.values() for item in _flat(transaction.items)]
        return {item.name: item.personal for item in items if item.field is None and item.personal is not None}


def load_transactions(directory: Path | None = None, sources: Sources | None = None) -> Transactions:
    """The transaction codes of `directory`, else the shipped ones; `sources` if they have been read already.

    Raises DefinitionError with file and line.
    """
    document = load_yaml("transactions", directory)
    definitions = document.parse(Transactions)
    source = (sources or load_sources(directory)).sources["transactions"]
    for at, item in _items(definitions):
        _check_field(document, at, item, source)
    for code, transaction in definitions.transactions.items():
        own = _outputs(transaction.items)
        both = [output for output in own if definitions.file and output in _outputs(definitions.file.header)]
        if both:
            raise document.error(("transactions", code, "items"), f"the header fills {both[0]} as well")
    return definitions


def _items(definitions: Transactions) -> Iterator[tuple[Location, Item]]:
    for number, item in enumerate(definitions.file.header if definitions.file else ()):
        yield ("file", "header", number), item
    for code, transaction in definitions.transactions.items():
        for number, entry in enumerate(transaction.items):
            if isinstance(entry, Item):
                yield ("transactions", code, "items", number), entry


def _check_field(document: Document, at: Location, item: Item, source: Source) -> None:
    if item.field is None:
        return
    field = source.fields.get(item.field)
    if field is None or field.type == "json":
        raise document.error((*at, "field"), f"no field of transactions{suggestion(item.field, source.fields)}")


def _outputs(items: list[Any]) -> list[str]:
    """What items fill: fields of the source, or members of `fields` by their own name."""
    return [getattr(item, "field", None) or f"fields.{item.name}" for item in items]


def _distinct(items: list[Any]) -> None:
    seen: set[str] = set()
    for item in items:
        if item.name in seen:
            raise ValueError(f"the item '{item.name}' is there twice")
        seen.add(item.name)
    outputs = _outputs(items)
    for output in outputs:
        if outputs.count(output) > 1:
            raise ValueError(f"two items fill {output}")


def _laid_out(items: list[Any]) -> None:
    """Raise ValueError unless all items have lengths and none begins within another."""
    for item in _flat(items):
        if not item.length:
            raise ValueError(f"the item '{item.name}' needs its length in bytes")
        if item.key is not None:
            raise ValueError(f"the item '{item.name}' has a 'key', which is for JSON bodies")
    end = 0
    for item, start in placed(items):
        if start < end:
            raise ValueError(f"the item '{item.name}' begins at byte {start}, before the end of the one before it")
        end = start + item.length


def _not_laid_out(items: list[Any], has_keys: bool) -> None:
    """Raise ValueError if an item of a delimited or JSON body has what is for bodies that are laid out by bytes."""
    for item in [*items, *_flat(items)]:
        for key, nothing in {"offset": None, "length": 0, "decimals": 0, "sign": "none"}.items():
            if key in item.model_fields_set and getattr(item, key) != nothing:
                raise ValueError(f"the item '{item.name}' has '{key}', which is for bodies laid out by bytes")
        if item.key is not None and not has_keys:
            raise ValueError(f"the item '{item.name}' has a 'key', which is for JSON bodies")


def _flat(items: list[Any]) -> Iterator[Item]:
    """All items, those of groups included."""
    for entry in items:
        yield from entry.items if isinstance(entry, Group) else [entry]


def placed(items: list[Any]) -> list[tuple[Any, int]]:
    """Items and groups with the offset at which each begins, in bytes from the begin of the header or of the items."""
    found = []
    position = 0
    for item in items:
        start = position if item.offset is None else item.offset
        found.append((item, start))
        position = start + item.length
    return found


def length(items: list[Any]) -> int:
    """Bytes up to the end of the last item."""
    return max((start + item.length for item, start in placed(items)), default=0)
