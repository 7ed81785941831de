# ruff: noqa: RUF001 - wide digits and dashes are what this is about
"""What is taken for a personal value, and what is not."""

from __future__ import annotations

import json
import random
import time
from urllib.parse import quote

import duckdb
import pytest

from journeymart.definitions.sources import Personal
from journeymart.landing.personal import HINT, SUSPICIOUS, mask, mask_name
from journeymart.landing.protection import Protection
from journeymart.settings import SettingsError

FOUND = {
    "문의 hong.gildong+1@bank.co.kr 로": "문의 *email* 로",
    "https://b.kr/a?email=hong%40bank.com&x=1": "https://b.kr/a?email=*email*&x=1",
    "hong%2540bank.com": "*email*",
    "홍길동@은행.kr": "*email*",
    "https://user:secret@bank.kr/": "https://*name*@bank.kr/",
    "010-1234-5678로 전화": "*phone*로 전화",
    "01012345678.": "*phone*.",
    "＋８２ １０ 1234 5678": "*phone*",
    "+1 415 555 2671": "*phone*",
    "(031) 123-4567": "*phone*",
    "900101-1234567": "*resident_number*",
    "900101%2D1234567": "*resident_number*",
    "9001011234568": "*resident_number*",
    "2110013123456": "*resident_number*",
    "4111111111111111": "*card*",
    "4111 1111 1111 1112": "*card*",
    "3782-822463-10005": "*card*",
    "110-123-456789": "*account*",
    "110–123–456789": "*account*",
    "123-456789-01-234": "*account*",
    "계좌번호는 110123456789": "계좌번호는 *account*",
    "?acctNo=110123456789&ts=1717200000000": "?acctNo=*account*&ts=1717200000000",
    "?q=%EA%B3%84%EC%A2%8C:110123456789": "?q=%EA%B3%84%EC%A2%8C:*account*",
    "mobile=821012345678": "mobile=*phone*",
    '{"card_number": "4111111111111112"}': '{"card_number": "*card*"}',
    "returnUrl=%2Fu%2F01012345678%2F": "returnUrl=%2Fu%2F*phone*%2F",
    "%252F01012345678": "%252F*phone*",
    "%EC%A0%84%ED%99%9401012345678": "%EC%A0%84%ED%99%94*phone*",
    r"전화\n01012345678\n": r"전화\n*phone*\n",
    r"\uc804\ud65401012345678": r"\uc804\ud654*phone*",
    r"010\u002d1234\u002D5678": "*phone*",
    r"memo\\n010\\u002d1234\\u002d5678": r"memo\\n*phone*",
    f"?q={quote('０１０１２３４５６７８')}": "?q=*phone*",
    "010%E3%80%801234%e3%80%805678": "*phone*",
    "010．1234．5678": "*phone*",
    "110%2D123%2D456789": "*account*",
    "110%E2%80%90123%E2%80%90456789": "*account*",
    r"110\u2010123\u2010456789": "*account*",
    "hong%EF%BC%A0bank.com": "*email*",
    "010_1234_5678로": "*phone*로",
    "010/1234/5678": "*phone*",
    r"010\/123\/4567": "*phone*",
    "/u/010%2F1234%2f5678/a": "/u/*phone*/a",
    "010%252F1234%252F5678": "*phone*",
    "+82_10_1234_5678": "*phone*",
    "+1_415_555_2671": "*phone*",
    "+44/20/7946/0958": "*phone*",
    "q=%2B82%2F2%2F123%2F4567": "q=*phone*",
    "82/010/1234/5678": "*phone*",
    "02_1234_5678": "*phone*",
    "010·1234·5678": "*phone*",
    "031ㆍ123ㆍ4567": "*phone*",
    "＋1·415·555·2671": "*phone*",
    "010\u200b1234\u200b5678": "*phone*",
    "0\u200d1\u200d0\u200d1\u200d2\u200d3\u200d4\u200d5\u200d6\u200d7\u200d8": "*phone*",
    "900101\ufeff-1234567": "*resident_number*",
    "010%E2%80%8B1234%e2%80%8b5678": "*phone*",
    r"010\u00b71234\u200B5678": "*phone*",
}
LEFT = [
    "?ts=1717200000000&order=2025060112345678",  # a time in milliseconds, an order number made of a date
    "1717200000000000",
    "2025-06-01 10:30:00",
    "2025-06-01-103000",
    "20250601-000123",
    "ORD-2025-000123456",
    "주문 2025-0601-123456",
    "1,234,567,890원",
    "amount=1234567890123",
    "account_balance: 1234567890",
    "/account/123456/detail",
    "550e8400-e29b-41d4-a716-446655440000",
    "12345678-1234-1234-1234-123456789012",
    "_ga=GA1.2.1234567890.1717200000",
    "4111111111111112",  # no card: the check digit is wrong
    "icon@2x.png",
    "@bank on medium.com/@bank/post",
    "고객센터 1588-1234",
    "Mozilla/5.0 (Windows NT 10.0) Chrome/120.0.6099.109 Safari/537.36",
    "10.0.0.1",
    "hotel 12345678",
    "110-***-123456",  # masked by the sender
    "%EC%A0%84%ED%99%94%20step%2F12345678",
    r"\uc804\ud654 12345678",
    "2026/11/27",
    "2026/11/27 10:30:00",
    "11/27/2026/1030",
    "2026_11_27_103000",
    "20261127",
    "+2026/11/27",
    "q=a+2026/11/27+10",
    "1,234,567",
    "1·234·567원, 3·1절",
    "02_2026_1127",
    "/02/1234/5678",
    "/a/2026/010/1234/5678",
    "/a/010/1234/5678/9",
    "2026_010_1234_5678",
    "010_1234/5678",
    "ORD_20261127_000123",
    "ORD_A010_1234_5678",
    "010/12/345",
    "101_1234_5678",
    "👩\u200d💻 20261127\u200d👩",
]
PROTECTION = Protection(Personal(), "s" * 32, {"account_no": "account", "memo": "free_text"})


@pytest.mark.parametrize(("value", "masked"), FOUND.items())
def test_personal_values_are_masked_once(value: str, masked: str) -> None:
    assert mask(value) == masked
    assert mask(masked) == masked


@pytest.mark.parametrize("value", LEFT)
def test_other_numbers_are_left(value: str) -> None:
    assert mask(value) == value
    assert PROTECTION.key(value) == value


@pytest.mark.parametrize(
    "name",
    [
        "topic+10+0000012345.json", "part-00037-3ad957c4-8253-4560-9086-c6e0d12b2cb1-c000.snappy", "a-1764230400006",
        "02-2026-1127", "events_010_2026_1127", "part-010-0001-0002", "10.20.30.40-2026-11-27", "BR-110-234-567890",
        "20261127-1000001", "tx-3-010-1234-5678", "events@2026-11-27",
    ],
)  # fmt: skip
def test_names_of_files_with_numbers_are_left(name: str) -> None:
    assert mask_name(name) == name


def test_names_of_files_with_what_can_only_be_a_persons_are_not() -> None:
    assert mask_name("clicks_kim@bank.kr") == "*email*"
    assert mask_name("kim@bank.kr-2026") == "*email*-2026"
    assert mask_name("log-010-9876-5432_1") == "log-*phone*_1"


def test_rows_with_personal_values_are_found_by_the_database_expression() -> None:
    chance = random.Random(5)
    texts = [
        "".join(chance.choices(["", " ", "가", "x", "=", "/"], k=2)) + value.replace("-", chance.choice("-–. ")) + end
        for value in FOUND
        for end in ("", " 끝", "&a=1")
        for _ in range(20)
    ]
    texts += [written for value in FOUND for written in (quote(value), quote(quote(value)), json.dumps(value)[1:-1])]
    changed = [value for value in texts if mask(value) != value]
    assert len(changed) > len(texts) / 2
    for expression in (HINT, SUSPICIOUS):
        missed = duckdb.execute(
            "select value from (select unnest(?) as value) where not regexp_matches(value, ?)", [changed, expression]
        ).fetchall()
        assert missed == []


def test_a_rejected_line_is_suspect_where_the_rules_find_something() -> None:
    lines = [json.dumps({"ip": "10.0.0.1", "memo": value}, ensure_ascii=False)[:-1] for value in (*FOUND, *LEFT)]
    suspects = PROTECTION.suspects(duckdb.connect(), lines)
    for line, is_suspect in zip(lines, suspects, strict=True):
        assert PROTECTION.line(line, (), is_suspect) == PROTECTION.line(line, ())
    assert sum(suspects) < len(lines)


@pytest.mark.parametrize("value", [value for value in FOUND if "\\" not in value])
def test_personal_values_are_masked_in_any_encoding(value: str) -> None:
    json_text = json.dumps(value, ensure_ascii=value != "홍길동@은행.kr")[1:-1]  # which ends at its escapes
    for written in (quote(value), quote(quote(value)), json_text):
        assert mask(written) != written


def test_values_in_json_are_masked_wherever_they_are() -> None:
    value = {
        "account_no": "110123456789",
        "deep": [{"rrn": 9001011234568, "at": 1717200000000, "amount": 1234567890}],
        "note": "계좌 110123456789, hong@bank.kr",
        "hong@bank.kr": True,
        "phone": "010-1234-5678",
        "memo": "fine",
    }
    text = json.dumps(value)
    masked = json.loads(PROTECTION.json(text))
    assert PROTECTION.json(json.dumps(masked)) == json.dumps(masked)
    pseudonym = PROTECTION.pseudonym
    assert masked == {
        "account_no": pseudonym("account", "110-123-456789"),
        "deep": [
            {"rrn": pseudonym("resident_number", "900101-1234568"), "at": 1717200000000, "amount": 1234567890}
        ],
        "note": "계좌 *account*, *email*",
        pseudonym("email", "Hong@bank.kr"): True,
        "phone": pseudonym("phone", "+82 10 1234 5678"),
        "memo": "fine",
    }  # fmt: skip
    unchanged = '{"account_no": "110-***-123456", "a": 1.50}'
    assert PROTECTION.json(unchanged) == unchanged


def test_pseudonyms_depend_on_the_secret_and_stay_what_they_are() -> None:
    one = PROTECTION.pseudonym("customer", "C1")
    assert one == PROTECTION.pseudonym("customer", one) != PROTECTION.pseudonym("device", "C1")
    assert one != Protection(Personal(), "t" * 32).pseudonym("customer", "C1")
    with pytest.raises(SettingsError, match="JOURNEYMART_PERSONAL_SECRET must have at least 32 characters"):
        Protection(Personal(), "short")


@pytest.mark.parametrize(
    ("address", "shortened"),
    [
        ("10.1.2.3", "10.1.2.0"),
        ("::ffff:10.1.2.3", "10.1.2.0"),
        ("2001:db8:abcd:1::1", "2001:db8:abcd::"),
        ("2001:0DB8::1", "2001:db8::"),
    ],
)
def test_addresses_lose_their_last_part(address: str, shortened: str) -> None:
    assert PROTECTION.address(address) == shortened
    assert PROTECTION.line(f'{{"ip": "{address}"}}', ()) != f'{{"ip": "{address}"}}'


def test_what_is_no_address_is_not_kept() -> None:
    assert PROTECTION.address("hong@bank.kr") == PROTECTION.pseudonym("ip", "hong@bank.kr")


def test_long_lines_take_no_long_time() -> None:
    for unit in ("a", "1", "1-", "a@", "01", "accountaccount", "%25", "110-123-"):
        mask(unit * (50_000 // len(unit)))
    started = time.process_time()
    mask("1234567890" + "\\" * 300_000)
    assert time.process_time() - started < 1
