"""Which regular expressions a condition may use."""

from __future__ import annotations

import re
import warnings

# What takes PostgreSQL long is to prepare a counted repeat of something long: it writes it out. Repeats without a count
# cost nothing, nested or not, as it never tries one way after the other.
MAX_REGULAR_EXPRESSION = 200
MAX_REPEATS = 100
_GROUP = re.compile(r"\(\?(?!:)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_REPEATS = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_TWO_RANGES = re.compile(r"(?:\\.|[^\\])-(?:\\.|[^\\\]])-[^\]]", re.DOTALL)  # [a-c-e], without its bracket
_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?(?:i\)|:))?|\{[\d,]+\}|.", re.DOTALL)


def check_regular_expression(name: str, pattern: str) -> None:
    """Raise ValueError for what Python and PostgreSQL do not read alike: the database is not to find the mistake."""
    problem = None
    try:
        with warnings.catch_warnings(action="error"):
            re.compile(pattern)
    except (re.error, FutureWarning, DeprecationWarning, RecursionError, OverflowError) as error:
        problem = str(error)
    without_escapes = _ESCAPE.sub("", pattern)
    odd = [found for found in _ESCAPE.findall(pattern) if found.isalnum() and found not in "dDwWsS"]
    if len(pattern) > MAX_REGULAR_EXPRESSION:
        problem = f"longer than {MAX_REGULAR_EXPRESSION} characters"
    elif odd:
        problem = f"\\{odd[0]} is not known; there are \\d, \\w, \\s and their opposites"
    elif _GROUP.search(without_escapes.removeprefix("(?i)")):
        problem = "groups begin with ( or (?:"
    elif (
        re.search(r"[*+?}]\+|\[[.:=]", without_escapes)
        or "{" in _REPEATS.sub("", without_escapes)
        or any(
            _TWO_RANGES.search(part.removeprefix("[").removeprefix("^"))
            for part in _PART.findall(pattern)
            if len(part) > 1 and part[0] == "["
        )
    ):
        problem = "is read differently by different engines"
    elif any(int(n or 0) > MAX_REPEATS for pair in _REPEATS.findall(without_escapes) for n in pair):
        problem = f"more than {MAX_REPEATS} repeats"
    elif problem is None and _written_out(pattern) > MAX_REGULAR_EXPRESSION:
        problem = f"longer than {MAX_REGULAR_EXPRESSION} with its repeats written out; * and + may do instead of {{…}}"
    if problem:
        raise ValueError(f"{name}: not a regular expression that can be used: {problem}")


def _written_out(pattern: str) -> int:
    """How many characters a pattern is about once every counted repeat is written out; classes count as one."""
    groups = [0]
    last = 0
    for part in _PART.findall(pattern):
        if part in {"(", "(?:"}:
            groups.append(0)
        elif part == ")":
            last = groups.pop()
            groups[-1] += last
        elif counts := _REPEATS.fullmatch(part):
            times = max(int(n or 0) for n in counts.groups())
            groups[-1] += max(times - 1, 0) * last
        elif part not in {"(?i)", "|", "*", "+", "?", "^", "$"}:
            last = 1
            groups[-1] += 1
    return groups[0]
