"""Fixed-width messages: cut by bytes, decoded afterwards, and every message that is wrong explained."""

from __future__ import annotations

import gzip
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from journeymart.definitions import DefinitionError
from journeymart.definitions.transactions import Transactions, load_transactions
from journeymart.landing.messages import read_messages
from journeymart.landing.readers import MAX_LINE_BYTES, FileRejectedError

LAYOUT = """
file:
  encoding: cp949
  leader: {value: "H"}
  trailer: {value: "T", rows: {offset: 1, length: 3}, totals: {amount: {offset: 4, length: 8, decimals: 2}}}
  header:
    - {name: transaction_id, offset: 1, length: 3, field: transaction_id, label: {ko: 거래, en: Id}}
    - {name: transaction_code, length: 2, field: transaction_code, label: {ko: 코드, en: Code}}
    - {name: amount, length: 7, type: number, decimals: 2, field: amount, label: {ko: 금액, en: Amount}}
transactions:
  TR:
    label: {ko: 이체, en: Transfer}
    category: {ko: 이체, en: Transfer}
    items:
      - {name: to_name, length: 8, label: {ko: 받는 분, en: To}}
      - {name: fee, offset: 10, length: 4, type: number, sign: trailing, label: {ko: 수수료, en: Fee}}
  ZN:
    label: {ko: 존드, en: Zoned}
    category: {ko: 기타, en: Other}
    items:
      - {name: balance, length: 4, type: number, decimals: 1, sign: overpunch, label: {ko: 잔액, en: Balance}}
      - {name: due, length: 8, type: date, label: {ko: 만기일, en: Due}}
      - {name: side, length: 1, values: {"1": buy, "2": sell}, label: {ko: 구분, en: Side}}
  GR:
    label: {ko: 반복, en: Repeated}
    category: {ko: 기타, en: Other}
    items:
      - {name: stocks, length: 1, type: number, label: {ko: 건수, en: Count}}
      - name: held
        times: 3
        count: stocks
        label: {ko: 보유, en: Held}
        items:
          - {name: code, length: 2, label: {ko: 종목, en: Stock}}
          - {name: quantity, length: 2, type: number, label: {ko: 수량, en: Quantity}}
  UT:
    label: {ko: 유니코드, en: Unicode}
    category: {ko: 기타, en: Other}
    encoding: utf-8
    items: [{name: word, length: 6, label: {ko: 말, en: Word}}]
"""
# Bodies without positions, behind the same header.
BODIES = (
    LAYOUT[: LAYOUT.index("  ZN:")]
    + """
  DL:
    label: {ko: 구분자, en: Delimited}
    category: {ko: 기타, en: Other}
    body: delimited
    delimiter: "^"
    items:
      - {name: to_name, label: {ko: 받는 분, en: To}}
      - {name: currency, field: currency, label: {ko: 통화, en: Currency}}
      - {name: due, type: date, label: {ko: 만기일, en: Due}}
      - {name: stocks, type: number, label: {ko: 건수, en: Count}}
      - name: held
        times: 2
        count: stocks
        label: {ko: 보유, en: Held}
        items:
          - {name: code, label: {ko: 종목, en: Stock}}
          - {name: quantity, type: number, label: {ko: 수량, en: Quantity}}
  JS:
    label: {ko: 제이슨, en: JSON}
    category: {ko: 기타, en: Other}
    body: json
    items:
      - {name: side, key: bsGb, values: {"1": buy, "2": sell}, label: {ko: 구분, en: Side}}
      - {name: fee, type: number, label: {ko: 수수료, en: Fee}}
      - {name: at, type: time, label: {ko: 시각, en: At}}
      - {name: session, field: session_id, label: {ko: 세션, en: Session}}
      - name: held
        times: 2
        label: {ko: 보유, en: Held}
        items: [{name: code, label: {ko: 종목, en: Stock}}]
"""
)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Transactions:
    folder = tmp_path_factory.mktemp("definitions")
    (folder / "transactions.yml").write_text(LAYOUT, encoding="utf-8")
    return load_transactions(folder)


def read(tmp_path: Path, layout: Transactions, *records: bytes, end: bytes = b"\n") -> tuple[list[Any], list[Any]]:
    path = tmp_path / "a.dat"
    path.write_bytes(b"".join(record + end for record in records))
    chunks = list(read_messages(path, None, layout))
    rows = [row for chunk in chunks for row in chunk.table.to_pylist()]
    for row in rows:
        row["fields"] = json.loads(row["fields"], parse_float=Decimal)
    return sorted(rows, key=lambda row: row["_line_no"]), [reject for chunk in chunks for reject in chunk.rejects]


def trailer(rows: int, cents: int) -> bytes:
    return f"T{rows:03d}{cents:08d}".encode()


def test_items_are_cut_by_bytes_and_decoded_afterwards(tmp_path: Path, layout: Transactions) -> None:
    body = "김하나  ".encode("cp949") + b"..0150-"
    rows, rejects = read(tmp_path, layout, b"H20260601", b"D001TR0012345" + body[:8] + b"..015-", trailer(1, 12345))
    assert not rejects
    assert rows == [
        {
            "_line_no": 2,
            "_line": "D001TR0012345김하나  ..015-",
            "amount": "123.45",
            "transaction_code": "TR",
            "transaction_id": "001",
            "fields": {"to_name": "김하나", "fee": -15},
        }
    ]


@pytest.mark.parametrize(
    ("digits", "value"),
    [(b"0123", "12.3"), (b"012C", "12.3"), (b"012L", "-12.3"), (b"000}", "0.0"), (b"  5{", "5.0"), (b"    ", None)],
)
def test_overpunched_numbers(tmp_path: Path, layout: Transactions, digits: bytes, value: str | None) -> None:
    rows, rejects = read(tmp_path, layout, b"D001ZN       " + digits + b"202602281", trailer(1, 0))
    assert not rejects
    assert rows[0]["amount"] is None
    expected: dict[str, Any] = {"due": "2026-02-28", "side": "buy"}
    assert rows[0]["fields"] == ({"balance": Decimal(value)} if value else {}) | expected


def test_a_group_repeats_as_often_as_its_count_says(tmp_path: Path, layout: Transactions) -> None:
    rows, rejects = read(
        tmp_path,
        layout,
        b"D001GR00000002AA01BB02",  # cut behind the second
        b"D002GR00000001AA01zzzzzzzz",  # filled up with anything
        b"D003GR00000000            ",
        trailer(3, 0),
        end=b"\r\n",
    )
    assert not rejects
    assert [row["fields"] for row in rows] == [
        {"stocks": 2, "held": [{"code": "AA", "quantity": 1}, {"code": "BB", "quantity": 2}]},
        {"stocks": 1, "held": [{"code": "AA", "quantity": 1}]},
        {"stocks": 0, "held": []},
    ]


def test_a_code_can_have_an_encoding_of_its_own(tmp_path: Path, layout: Transactions) -> None:
    rows, _ = read(tmp_path, layout, b"D001UT0000001" + "말말".encode(), trailer(1, 1))
    assert rows[0]["fields"] == {"word": "말말"}


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Transactions:
    folder = tmp_path_factory.mktemp("definitions")
    (folder / "transactions.yml").write_text(BODIES, encoding="utf-8")
    return load_transactions(folder)


def test_delimited_and_json_bodies_lie_beside_fixed_ones(tmp_path: Path, bodies: Transactions) -> None:
    body = {"bsGb": "1", "fee": 12345678901234567890.5, "at": "20260601093000123", "session": "s1", "new": {"n": 1.50}}
    rows, rejects = read(
        tmp_path,
        bodies,
        b"D001TR0000100kim     ..001+",
        b"D002DL0000100" + "김하나^USD^20260601^2^A1^5^B2^-0.25".encode("cp949"),
        b"D003DL0000100^^^0",
        b"D004JS0000100"
        + json.dumps(body).replace("1.2345678901234567e+19", "12345678901234567890.5").encode()
        + b"\r",
        'D005JS0000100{"held": [{"code": "가"}, {}], "fee": 1500}'.encode("cp949"),
        trailer(5, 500),
    )
    assert not rejects
    assert [row["fields"] for row in rows] == [
        {"to_name": "kim", "fee": 1},
        {
            "to_name": "김하나",
            "due": "2026-06-01",
            "stocks": 2,
            "held": [{"code": "A1", "quantity": 5}, {"code": "B2", "quantity": Decimal("-0.25")}],
        },
        {"stocks": 0, "held": []},
        {"side": "buy", "fee": Decimal("12345678901234567890.5"), "at": "2026-06-01 09:30:00.123000"},
        {"held": [{"code": "가"}, {}], "fee": 1500},
    ]
    assert [row["currency"] for row in rows] == [None, "USD", None, None, None]
    assert [row["session_id"] for row in rows] == [None, None, None, "s1", None]
    assert [row["properties"] for row in rows] == [None, None, None, '{"new":{"n":1.5}}', None]


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (b"DL0000000kim^USD", "due", "The body ends before due, after 2 values."),
        (b"DL0000000kim^USD^^1^A1", "quantity", "The body ends before quantity, after 5 values."),
        (b"DL0000000kim^USD^^0^x", None, "The body has 5 values instead of 4."),
        (b"DL0000000kim^USD^20260229^0", "due", "due is not a date: '20260229'."),
        (b"DL0000000kim^USD^^3", "stocks", "stocks is not between 0 and 2, the most that held has."),
        (b"DL0000000kim^USD^^1,000", "stocks", "stocks is not a number: '1,000'."),
        (b"DL0000000k\xb1^USD^^0", None, "The body is not CP949 at its byte 2."),
        (b'JS0000000{"fee": 1', None, "The body is not JSON."),
        (b"JS0000000[]", None, "The body is not a JSON object."),
        (b'JS0000000{"fee": 1, "fee": 2}', None, "The body has the key 'fee' twice."),
        (b'JS0000000{"fee": NaN}', "fee", "fee is not a number: 'NaN'."),
        (b'JS0000000{"fee": "1,000"}', "fee", "fee is not a number: '1,000'."),
        (b'JS0000000{"fee": 1.5e3}', "fee", "fee is in scientific notation: '1.5e3'."),
        (b'JS0000000{"fee": "-1.2E7"}', "fee", "fee is in scientific notation: '-1.2E7'."),
        (b"DL0000000kim^USD^^1E+3", "stocks", "stocks is in scientific notation: '1E+3'."),
        (b'JS0000000{"session": {"a": 1}}', "session", "session is not one value: '{\"a\":1}'."),
        (b'JS0000000{"session": "\\ud800"}', "session", "session is not a text: '\\ud800'."),
        (b'JS0000000{"bsGb": 3}', "side", "side is not one of 1, 2: '3'."),
        (
            b'JS0000000{"at": "2026-06-01T09:00:00+09:75"}',
            "at",
            "at is not a time: '2026-06-01T09:00:00+09:75'.",
        ),
        (b'JS0000000{"at": "2026-06-01 09+16"}', "at", "at is not a time: '2026-06-01 09+16'."),
        (b'JS0000000{"held": [1]}', "held", "held is not a list of objects."),
        (
            b'JS0000000{"held": [{}, {}, {}]}',
            "held",
            "Its number of entries is not between 0 and 2, the most that held",
        ),
    ],
)
def test_a_body_that_is_not_as_laid_out_is_rejected_alone(
    tmp_path: Path, bodies: Transactions, body: bytes, field: str | None, reason: str
) -> None:
    rows, rejects = read(tmp_path, bodies, b"D001" + body, b"D002DL0000100^^^0", trailer(2, 100))
    assert [row["_line_no"] for row in rows] == [2]
    assert [(reject.line_no, reject.field) for reject in rejects] == [(1, field)]
    assert rejects[0].reason.startswith(reason)


def test_a_date_of_zeros_is_none_in_every_body(tmp_path: Path, bodies: Transactions) -> None:
    lines = (b"D001DL0000100^^00000000^0", b'D002JS0000100{"at": "00000000000000"}', b'D003JS0000100{"at": 0}')
    rows, rejects = read(tmp_path, bodies, *lines, trailer(3, 300))
    assert not rejects
    assert [row["fields"] for row in rows] == [{"stocks": 0, "held": []}, {}, {}]


def test_text_that_json_must_escape(tmp_path: Path, layout: Transactions) -> None:
    rows, _ = read(tmp_path, layout, b'D001TR0000001a"\\\t}{"\'..000+', b'D002TR0000001    \\"  ..000+', trailer(2, 2))
    assert [row["fields"]["to_name"] for row in rows] == ['a"\\\t}{"\'', '\\"']


@pytest.mark.parametrize(
    ("record", "field", "reason"),
    [
        (b"D001XX0000000", "transaction_code", "There is no layout for transaction_code 'XX'."),
        (b"D001TR00", "amount", "The message ends at byte 8, within its header."),
        (b"D001TR0000000kim     ..1", "fee", "The message has 24 bytes instead of 27."),
        (b"D001TR0000000kim     ..001+ ", None, "The message has 28 bytes instead of 27."),
        (b"D001TR00O0000kim     ..001+", "amount", "amount is not a number as laid out: '00O0000'."),
        (b"D001TR0000000kim     ..00 +", "fee", "fee is not a number as laid out: '00 +'."),
        (b"D001TR0000000kim     ..0012", "fee", "fee is not a number as laid out: '0012'."),
        (b"D001TR0000000kim    \xb1..001+", "to_name", "to_name is not CP949 text: 'kim    \\xb1'."),
        (b"D001ZN0000000000Z202602281", "balance", "balance is not a number as laid out: '000Z'."),
        (b"D001ZN00000000000202602291", "due", "due is not a date as laid out: '20260229'."),
        (b"D001ZN00000000000202602283", "side", "side is not one of 1, 2: '3'."),
        (b"D001GR00000004AA01BB02CC03", "stocks", "stocks is not between 0 and 3, the most that held has."),
        (b"D001GR00000003AA01BB02", "held", "held does not have as many entries as stocks says."),
        (b"D001GR00000001AAx1", "quantity", "quantity is not a number as laid out: 'x1'."),
        (b"D001TR0000000k\0m     ..001+", None, "The line contains a NUL byte."),
    ],
)
def test_a_wrong_message_is_rejected_alone(
    tmp_path: Path, layout: Transactions, record: bytes, field: str | None, reason: str
) -> None:
    good = b"D002TR0000100kim     ..001+"
    rows, rejects = read(tmp_path, layout, b"", good, record, good, trailer(3, 200))
    assert [row["_line_no"] for row in rows] == [2, 4]
    assert [(reject.line_no, reject.field, reject.reason) for reject in rejects] == [(3, field, reason)]
    assert rejects[0].line.startswith(record[:6].decode())


def test_the_amount_of_a_rejected_message_counts_for_the_total(tmp_path: Path, layout: Transactions) -> None:
    rejected = [b"D001XX0000100", b"D002TR0000100kim", b"D003ZN00001000000202602293"]
    rejected += [b"D005TR0000100k\0m     ..001+", b"D006TR0000100kim     ..001+".ljust(MAX_LINE_BYTES + 2)]
    rows, rejects = read(tmp_path, layout, b"D004TR0000100kim     ..001+", *rejected, trailer(6, 600))
    assert (len(rows), len(rejects)) == (1, 5)


def test_a_file_that_differs_from_its_trailer_says_which_message_may_be_why(
    tmp_path: Path, layout: Transactions
) -> None:
    good, wrong = b"D002TR0000100kim     ..001+", b"D003TR00O0100kim     ..001+"
    with pytest.raises(FileRejectedError) as error:
        read(tmp_path, layout, good, wrong, b"D00", trailer(3, 300))
    assert str(error.value) == (
        "has total of amount 1, but its trailer (line 4) declares 3;"
        " rejected messages: 2, the first in line 2: amount is not a number as laid out."
    )


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ([], "has no trailer; is it complete?"),
        ([b"T001000001"], "has a trailer (line 2) whose total of amount cannot be read"),
        ([b"T00200000100"], "has messages 1, but its trailer (line 2) declares 2"),
        ([b"T00100000200"], "has total of amount 1, but its trailer (line 2) declares 2"),
        ([b"T00100000100", b"D"], "goes on behind its trailer (line 2) with line 3"),
        ([b"T00100000100", b"T00100000100"], "goes on behind its trailer (line 2) with line 3"),
    ],
)
def test_the_trailer_decides_about_the_file(
    tmp_path: Path, layout: Transactions, end: list[bytes], reason: str
) -> None:
    with pytest.raises(FileRejectedError) as error:
        read(tmp_path, layout, b"D001TR0000100kim     ..001+", *end)
    assert str(error.value) == reason


@pytest.mark.parametrize("end", [b"T00100000100\r\n\x1a", b"T00100000100\x1a"])
def test_old_hosts_end_a_file_with_ctrl_z(tmp_path: Path, layout: Transactions, end: bytes) -> None:
    rows, rejects = read(tmp_path, layout, b"D001TR0000100kim     ..001+", end)
    assert (len(rows), rejects) == (1, [])


def test_random_messages_are_read_as_a_plain_loop_reads_them(tmp_path: Path, layout: Transactions) -> None:
    pick = random.Random(7)
    words = ["김", "하나 ", 'a"b', "값\\", "삼성전자", "x y", "", "  끝"]
    lines, expected, total = [], {}, 0
    for number in range(2000):
        cents = pick.randrange(10**7)
        total += cents
        name = "".join(pick.choices(words, k=2)).encode("cp949")[:8].ljust(8)
        fee = pick.choice([f"{pick.randrange(1000):03d}{pick.choice('+-')}", "    ", "12x+"]).encode()
        lines.append(f"D{number % 1000:03d}TR{cents:07d}".encode() + name + b"??" + fee)
        try:
            text = name.decode("cp949").strip()
            whole = None if not fee.strip() else int(fee[3:4] + fee[:3])
        except ValueError:  # UnicodeDecodeError is one
            continue
        fields: dict[str, Any] = {} if not text else {"to_name": text}
        expected[number + 1] = (f"{Decimal(cents) / 100:.2f}", fields | ({} if whole is None else {"fee": whole}))
    path = tmp_path / "b.dat.gz"
    path.write_bytes(gzip.compress(b"\n".join([*lines, f"T999{total:08d}".encode()])))
    open_layout = layout.model_copy(update={"file": layout.file and layout.file.model_copy(update={"trailer": None})})
    chunks = list(read_messages(path, "gzip", open_layout))
    found = {
        row["_line_no"]: (row["amount"], json.loads(row["fields"]))
        for chunk in chunks
        for row in chunk.table.to_pylist()
    }
    assert found == expected
    assert 0 < len(expected) < 2000
    # The record that looks like a trailer is a message of no known code when none is declared.
    assert sum(len(chunk.rejects) for chunk in chunks) == 2001 - len(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("length: 2, field: transaction_code", "length: 2"), "one item of the header must have 'field: transaction_"),
        (("name: fee, offset: 10", "name: fee, offset: 7"), "'fee' begins at byte 7, before the end of the one before"),
        (("length: 8, type: date", "length: 6, type: date"), "a date has 8 digits"),
        (("name: fee, offset", "name: to_name, offset"), "the item 'to_name' is there twice"),
        (("count: stocks", "count: shares"), "counts by 'shares', which is no number item of the code"),
        (("field: amount", "field: amont"), "no field of transactions; did you mean 'amount'?"),
        (("name: balance,", "name: balance, field: amount,"), "the header fills amount as well"),
        (("length: 4, type: number, decimals: 1", "length: 19, type: number, decimals: 1"), "has 1 to 18 digits"),
        (("sign: overpunch", "sine: overpunch"), "unknown key; did you mean 'sign'?"),
        (("name: to_name, length: 8,", "name: to_name,"), "the item 'to_name' needs its length in bytes"),
        (("name: to_name,", "name: to_name, key: toNm,"), "the item 'to_name' has a 'key', which is for JSON bodies"),
        (("encoding: utf-8\n", "body: json\n"), "the item 'word' has 'length', which is for bodies laid out by bytes"),
        (("encoding: utf-8\n", 'delimiter: "1"\n'), "'delimiter' must be one ASCII character other than a letter"),
    ],
)
def test_a_mistake_in_a_layout_is_explained(tmp_path: Path, changes: tuple[str, str], message: str) -> None:
    assert changes[0] in LAYOUT
    (tmp_path / "transactions.yml").write_text(LAYOUT.replace(*changes, 1), encoding="utf-8")
    with pytest.raises(DefinitionError) as error:
        load_transactions(tmp_path)
    assert message in str(error.value)
    assert "transactions.yml:" in str(error.value)
