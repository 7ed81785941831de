# ruff: noqa: RUF001 - wide digits and dashes are what this is about
"""What personal values look like: e-mail addresses, phone, resident, card and account numbers, and IP addresses.

`mask` makes `*email*` of an address in a text; `replaced` leaves it to the caller. Masking a masked text changes
nothing. SUSPICIOUS is an expression for DuckDB that finds every text in which there may be something.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote

IP4_PREFIX, IP6_PREFIX = 24, 48
IP4_DOTS, IP6_COLONS = 3, 7
CACHED_ADDRESSES = 10_000
ACCOUNT_DIGITS = range(10, 17)

_GAP = "[-. +)]"  # between groups of digits; other dashes and spaces become these first
_ANY_DASH = (
    r"(?:[-‐-―−－]|%(?:25)*(?:2[Dd]|[eE]2%(?:25)*(?:80%(?:25)*9[0-5]|88%(?:25)*92)|[eE][fF]%(?:25)*[bB][cC]%(?:25)*8[dD])"
    r"|\\+u(?:002[dD]|201[0-5]|2212|[fF]{2}0[dD]))"
)
_ANY_GAP = (
    f"(?:{_ANY_DASH}|[. +)．\u3000\u00a0\u2007]|%(?:25)*(?:2[0-9Bb]|[cC]2%(?:25)*[aA]0|[eE]2%(?:25)*80%(?:25)*87"
    r"|[eE]3%(?:25)*80%(?:25)*80|[eE][fF]%(?:25)*[bB][cC]%(?:25)*8[eE])"
    r"|\\+u(?:002[089bBeE]|00[aA]0|2007|3000|[fF]{2}0[eE]))"
)
_GAPS = _GAP + "{1,3}"
_MAYBE = _GAP + "{0,3}"
_BEFORE, _BEHIND = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
_DAY = "[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_MOBILE = f"01[016-9]{_MAYBE}[0-9]{{3,4}}{_MAYBE}[0-9]{{4}}"
_LANDLINE = f"0(?:2|[3-6][1-5]|70|50[2-8]){_GAPS}[0-9]{{3,4}}{_GAPS}[0-9]{{4}}"
_KOREAN = f"82{_MAYBE}0?(?:1[016-9]|2|[3-6][1-5]|70){_MAYBE}[0-9]{{3,4}}{_MAYBE}[0-9]{{4}}"
# Groups parted by _ or /, always the same, and no row of more groups: paths, dates and order numbers have them, too.
_PARTS = ("_", r"\\?/", r"%(?:25)*2[Ff]\0?")
_PARTED = "|".join(
    rf"(?:\+?82{part}0?1|01)[016-9]{part}[0-9]{{3,4}}{part}[0-9]{{4}}"
    rf"|\+[1-9][0-9]{{0,2}}{part}[0-9]{{1,4}}{part}[0-9]{{3,4}}{part}[0-9]{{3,4}}"
    for part in _PARTS
)
_NO_YEAR = "(?!(?:19|20)[0-9]{2}_)"
_PARTED += f"|0(?:2|[3-6][1-5]|70|50[2-8])_{_NO_YEAR}[0-9]{{3,4}}_[0-9]{{4}}"
_INTERNATIONAL = f"[1-9](?:{_GAP}?[0-9]){{8,14}}"
_CARD_GROUPS = f"[2-69][0-9]{{3}}(?:{_GAP}[0-9]{{4}}){{3}}|3[47][0-9]{{2}}{_GAP}[0-9]{{6}}{_GAP}[0-9]{{5}}"
_CARD_DIGITS = "(?:4|5|6|9|2[2-7]|3[04-9])[0-9]{12,15}"
_ACCOUNT = "[0-9]{2,7}-(?:[0-9]{1,7}-){1,2}[0-9]{3,7}"
_NUMBER = f"[0-9](?:{_GAP}?[0-9]){{8,}}"
# Words that say what the number behind them is, however it is written: `accountNo=`, `"card_number": "`, `계좌번호는 `.
WORDS = {
    "resident_number": (r"resident", "rrn", "jumin", r"\bssn", "주민", "주민등록"),
    "card": ("card", "카드"),
    "phone": ("phone", "mobile", "cell", r"\btel", r"\bhp", "휴대폰", "핸드폰", "전화", "연락처"),
    "account": ("acc(?:oun)?t", "acnt", "계좌", "통장"),
}
_WORD = r"[^\s@\"'<>(),;:?&=/\\.\x1f*]"  # of an e-mail address, in any script
_QUOTES = r"[\"'\\]|%(?:25)*22"
_OPEN, _CLOSE = rf"(?:{_QUOTES}|[(\[\0]){{0,4}}", rf"(?:{_QUOTES}|[)\]]){{0,4}}"


def _any_word(words: Iterable[str]) -> str:
    """One of the words; Korean ones also as addresses and JSON have them."""
    written = []
    for word in words:
        if word.isascii():
            written.append(word)
        else:
            written += [word, quote(word).replace("%", "%(?:25)*"), json.dumps(word)[1:-1].replace("\\", r"\\")]
    return "(?:" + "|".join(written) + ")"


_COLON = f"(?:[:=/]|%(?:25)*3[AaDd]|{_any_word('은는이가')})"


def _label(words: Iterable[str]) -> str:
    return _any_word(words) + "(?:[_ -]?" + _any_word(("no", "num", "number", "nr", "id", "번호")) + r")?\.?"


def _named(words: Iterable[str]) -> str:
    """A number behind such a word."""
    return f"(?i:{_label(words)}{_CLOSE} {{0,3}}{_COLON}? {{0,3}}{_OPEN})({_NUMBER})"


def _is_resident(found: str) -> bool:
    """Thirteen digits in a row may be a time: then the check digit decides, which new numbers no longer have."""
    digits = [int(digit) for digit in found if digit.isdigit()]
    if len(found) > len(digits):
        return True
    *first, check = digits
    weighted = sum(digit * weight for digit, weight in zip(first, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=True))
    foreign = 2 if digits[6] in (5, 6, 7, 8) else 0
    return (11 - weighted % 11 + foreign) % 10 == check or (digits[6] in (3, 4, 7, 8) and found[0] == "2")


def _is_card(found: str) -> bool:
    """Digits in a row may be any number: the check digit (Luhn) decides."""
    total = 0
    for position, digit in enumerate(reversed(found)):
        tens, ones = divmod(int(digit) * (1 + position % 2), 10)
        total += tens + ones
    return total % 10 == 0


def _is_account(found: str) -> bool:
    """Groups of digits that begin as a date are one, or a number made of one."""
    digits = sum(character.isdigit() for character in found)
    return digits in ACCOUNT_DIGITS and not re.match(r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])", found)


@dataclass(frozen=True)
class _Rule:
    """A kind of personal value: how it looks (its last group, else all of it) and what else decides."""

    kind: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = bool


def _rule(kind: str, pattern: str, holds: Callable[[str], bool] = bool) -> _Rule:
    return _Rule(kind, re.compile(pattern), holds)


# The last label of a domain is letters; icon@2x.png is no address.
_EMAIL = _rule("email", rf"(?:{_WORD}|\.){{1,64}}@(?!\d+x\.)(?:{_WORD}{{1,63}}\.){{1,8}}[^\W\d_]{{2,}}")
_RULES = (
    _rule("name", r"://([^\s/?#@*]{1,256})@"),  # who logs in, and with which password
    _EMAIL,
    _rule("resident_number", f"{_BEFORE}{_DAY}{_MAYBE}[1-8][0-9]{{6}}{_BEHIND}", _is_resident),
    _rule("card", f"{_BEFORE}(?:{_CARD_GROUPS}){_BEHIND}"),
    _rule("card", f"{_BEFORE}{_CARD_DIGITS}{_BEHIND}", _is_card),
    _rule("phone", rf"{_BEFORE}(?:{_MOBILE}|\(?{_LANDLINE}|\+?{_KOREAN}){_BEHIND}|\+{_INTERNATIONAL}{_BEHIND}"),
    _rule("phone", rf"(?<![0-9][_/]){_BEFORE}(?:{_PARTED}){_BEHIND}(?![_/][0-9])"),
    _rule("account", rf"(?<![0-9A-Za-z-]){_ACCOUNT}(?:-[0-9]{{1,7}})?(?![0-9A-Za-z]|-[0-9])", _is_account),
    *(_rule(kind, _named(words) + "(?![0-9])") for kind, words in WORDS.items()),
)
# In the name of a file numbers of any other shape are most often parts, offsets and times.
_RULES_OF_NAMES = (
    _EMAIL,
    _rule("phone", "(?<![0-9A-Za-z])(?<![0-9]-)01[016-9]-[1-9][0-9]{2,3}-[0-9]{4}(?!-?[0-9A-Za-z])"),
)
LABELS = {kind: re.compile(f"(?i)(?:{_label(words)})$") for kind, words in WORDS.items()}
NUMBER = re.compile(_NUMBER)
# Encoded characters, of which some could hide a value: of addresses (%40, %2540, %EF%BC%90) and of JSON (\u0040).
_ENCODED = re.compile(
    r"%(?:25)*(40|2[0289BDbd]|3[0-9ADad])"
    r"|(%(?:25)*[C-Ec-e][0-9A-Fa-f](?:%(?:25)*[89ABab][0-9A-Fa-f]){1,2})"
    r"|(?<!\\)\\+u([0-9A-Fa-f]{4})"  # tried once for however many backslashes
)
_SIGNS = frozenset("@ ()+-.0123456789")
# The letters and digits of an encoded character are none of a number behind it: %2F010…, \\n010…. A mark parts them.
_ENCODING = r"%(?:25)*[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\[nrtbf]"
_ENCODED_BEFORE = re.compile(f"(?>{_ENCODING})(?=[0-9])")
_MARK = "\0"
_PLAIN = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # wide Latin letters, digits and signs
_PLAIN |= dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-") | dict.fromkeys([0xA0, 0x3000, 0x2007], " ")
_PLAIN |= dict.fromkeys([0xB7, 0x2022, 0x2027, 0x2219, 0x30FB, 0x318D, 0xFF65], ".")  # dots in the middle
_PLAIN |= dict.fromkeys([0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF], "")  # that take no room
_ADDRESS = re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f]{0,4}(?:[:.][0-9A-Fa-f]{0,4}){2,8}(?![0-9A-Za-z])")


# A digit before a dot in the middle or what takes no room; of their encodings the begin, which says little more.
_UNSEEN = (
    "[0-9](?:[·•‧∙・ㆍ･\u00ad\u200b-\u200d\u2060\ufeff]|%(?:25)*(?:[cC]2|[eE][23fF])|" + r"\\u(?:00[aAbB]|[23fF]))"
)


def _suspicious() -> str:
    """What a row must match to be looked at. DuckDB's expressions have no look-around, so this says less."""

    def spread(pattern: str) -> str:
        return pattern.replace(_GAP, _ANY_GAP)

    start = f"(?:^|[^0-9A-Za-z]|{_ENCODING})"
    words = [word for listed in WORDS.values() for word in listed]
    return "|".join(
        (
            r"[^\s/][@＠][^\s/]",
            r"%(?:25)*(?:40|3[0-9]|[eE][fF]%(?:25)*[bB][cC]%(?:25)*(?:9[0-9]|[aA]0))|[０-９]",
            r"\\u(?:00(?:40|3[0-9])|[fF]{2}(?:1[0-9]|20))",
            start + spread(f"(?:{_DAY}{_MAYBE}[1-8][0-9]{{6}}|{_CARD_GROUPS}|{_CARD_DIGITS})"),
            start + spread(f"(?:{_MOBILE}|{_LANDLINE}|{_KOREAN})"),
            r"(?:\+|%(?:25)*2[Bb])" + spread(_INTERNATIONAL),
            f"(?:^|[^0-9A-Za-z-]|{_ENCODING})" + _ACCOUNT.replace("-(", f"{_ANY_DASH}(").replace("}-", "}" + _ANY_DASH),
            spread(_named(words)),
            f"{start}(?:{_PARTED})".replace(_NO_YEAR, "").replace(r"\+", r"(?:\+|%(?:25)*2[Bb])"),
            _UNSEEN,
        )
    )


SUSPICIOUS = _suspicious()
# Says still less, but is compiled and run in a fraction of the time: every number above has nine digits.
HINT = (
    r"[@＠０-９]|%(?:25)*(?:40|3[0-9]|[eE][fF]%(?:25)*[bB][cC]%(?:25)*[9aA])|\\u(?:00[34]|[fF][fF][12])"
    f"|[0-9](?:{_ANY_GAP}{{0,3}}[0-9]){{8}}|{_UNSEEN}|"
    + "|".join(f"[0-9]{part}[0-9]{{3,4}}{part}[0-9]{{3}}" for part in _PARTS)
)
_HINT = re.compile(HINT)


def mask(value: str) -> str:
    """A text without personal values: each becomes its kind in asterisks."""
    return replaced(value, lambda kind, _found: f"*{kind}*")


def mask_name(name: str) -> str:
    """A file's or folder's name without what can only be a person's: e-mail addresses, mobile numbers with hyphens."""
    for rule in _RULES_OF_NAMES:
        name = rule.pattern.sub(f"*{rule.kind}*", name)
    return name


def mask_line(line: str) -> str:
    """A line or a message about it without personal values; of IP addresses the last part is gone."""
    return shorten_addresses(mask(line))


def shorten_addresses(text: str) -> str:
    """A text whose IP addresses are without their last part."""
    return _ADDRESS.sub(lambda found: shortened(found.group()) or found.group(), text)


def replaced(value: str, replace: Callable[[str, str], str]) -> str:
    """The value with what the rules find replaced; the value as it was if they find nothing."""
    if not _HINT.search(value):
        return value
    text = masked = _ENCODED_BEFORE.sub(rf"\g<0>{_MARK}", plain(value))
    for rule in _RULES if "@" in text else _RULES[2:]:
        masked = rule.pattern.sub(_replacing(rule, replace), masked)
    return value if masked == text else masked.replace(_MARK, "")


def plain(value: str) -> str:
    """A text with the characters decoded that could hide a personal value."""
    return _ENCODED.sub(_decoded, value).translate(_PLAIN)


def _decoded(match: re.Match[str]) -> str:
    sign, character, escape = match.groups()
    if sign:
        return chr(int(sign, 16))
    digits = escape or re.sub("%(?:25)*", "", character)
    found = chr(int(digits, 16)) if escape else bytes.fromhex(digits).decode(errors="ignore")
    return found if found in _SIGNS or (found and ord(found[0]) in _PLAIN) else match.group()


@functools.lru_cache(CACHED_ADDRESSES)
def shortened(value: str) -> str | None:
    """The network of an IP address; None if it is none."""
    if value.count(".") != IP4_DOTS and "::" not in value and value.count(":") != IP6_COLONS:
        return None  # as most times, which would else cost an exception
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    prefix = IP4_PREFIX if address.version == 4 else IP6_PREFIX  # noqa: PLR2004 - IP versions have no names
    return str(ipaddress.ip_network((address, prefix), strict=False).network_address)


def _replacing(rule: _Rule, replace: Callable[[str, str], str]) -> Callable[[re.Match[str]], str]:
    group = rule.pattern.groups

    def replacement(match: re.Match[str]) -> str:
        found = match.group(group)
        if not rule.holds(found):
            return match.group()
        begin, end = (place - match.start() for place in match.span(group))
        return match.group()[:begin] + replace(rule.kind, found) + match.group()[end:]

    return replacement
