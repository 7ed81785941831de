"""Transactions of branches and cash machines as the core system sends them: fixed-width messages in CP949."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from journeymart.definitions.transactions import Item, Number, Transactions, load_transactions, placed
from journeymart.sample.banking import Line, amount_total

CHANNELS: Final = ("branch", "atm")
UNKNOWN_CODE: Final = "CASH_CHECK"
"""A code that nobody has told the tracking plan about."""
UNKNOWN_EVERY_DAYS: Final = 3


class Messages:
    """Writes records as the shipped definitions/transactions.yml lays them out."""

    def __init__(self) -> None:
        """Read the layout."""
        self.layout: Transactions = load_transactions()
        if self.layout.file is None or self.layout.file.leader is None or self.layout.file.trailer is None:
            raise ValueError("the shipped transactions.yml lays out no .dat files with leader and trailer")
        self.file, self.leader, self.trailer = self.layout.file, self.layout.file.leader, self.layout.file.trailer

    def content(self, lines: Sequence[Line], date: str) -> list[bytes]:
        """The records of a file: leader, messages, trailer; each with its line end."""
        return self.framed([self._message(line.record) for line in lines], amount_total(lines), date)

    def framed(self, messages: Sequence[bytes], amount: Decimal, date: str) -> list[bytes]:
        """Messages, whose amounts add up to `amount`, between leader and trailer; each with its line end."""
        leader = (self.leader.value + date.replace("-", "")).encode()
        trailer = self.trailer.value.encode()
        numbers = {self.trailer.rows: Decimal(len(messages)), self.trailer.totals["amount"]: amount}
        for number, value in numbers.items():
            if number is not None and number.offset is not None:
                trailer = trailer.ljust(number.offset) + _number(number, value)
        return [record + b"\n" for record in (leader, *messages, trailer)]

    def _message(self, record: dict[str, Any]) -> bytes:
        transaction = self.layout.transactions.get(record["transaction_code"])
        header = self._items(b"D", self.file.header, record)
        if transaction is None:
            return header
        return header + self._items(b"", transaction.items, record["fields"])

    def _items(self, begin: bytes, items: Sequence[Any], values: dict[str, Any]) -> bytes:
        message = begin
        for item, start in placed(list(items)):
            message = message.ljust(start) + self._value(item, values.get(item.name)).ljust(item.length)
        return message

    def _value(self, item: Item, value: Any) -> bytes:
        if value is None:
            return b""
        if item.type == "number":
            return _number(item.number(), Decimal(str(value)))
        if item.type == "time":
            return f"{dt.datetime.fromisoformat(value):%Y%m%d%H%M%S%f}"[: item.length].encode()
        text = str(value)
        if item.values is not None:
            text = next(code for code, meaning in item.values.items() if meaning == text)
        return text.encode(self.file.encoding)


def _number(number: Number, value: Decimal) -> bytes:
    sign = ("-" if value < 0 else "+") if number.sign == "leading" else ""
    return (sign + str(int(abs(value).scaleb(number.decimals))).zfill(number.length - len(sign))).encode()
